#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""ktlsd is told to reload and to drain, while clients are at work.

Some clients keep their connections, others come and go. None of them notices:
what is sent comes back, whoever answers, and nobody is refused.
"""

import contextlib
import os
import random
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time

from bench import (KTLSCTL, PATIENCE, PATIENT, PORTS, Authority, Daemon,
                   Failure, Server, client, connect, echo, in_namespace,
                   ktlsctl, new_directory, perform, same, talk, wait_for)

KEEPERS = 6
VISITORS = 3
TIMES = 4


class Clients:
    """Those that are at work, until they are told to end."""

    def __init__(self, port, context):
        self.port, self.context = port, context
        self.over = False
        self.wrong, self.turns = [], [0] * (KEEPERS + VISITORS)
        self.threads = [threading.Thread(
            target=self.attempt, daemon=True,
            args=(self.keep if n < KEEPERS else self.visit, n))
            for n in range(KEEPERS + VISITORS)]
        for thread in self.threads:
            thread.start()

    def attempt(self, function, n):
        """Keeps what goes wrong."""
        try:
            function(n)
        except (OSError, Failure) as e:
            self.wrong.append(f"{function.__name__} {n}, turn "
                              f"{self.turns[n]}: {type(e).__name__}: {e}")

    def keep(self, n):
        """One connection."""
        with connect(self.port, self.context) as end:
            while not self.over:
                talk(end, os.urandom(random.randrange(1, 50000)))
                self.turns[n] += 1
                time.sleep(0.02)
            end.unwrap()

    def visit(self, n):
        """Many, one after the other."""
        while not self.over:
            with connect(self.port, self.context) as end:
                talk(end)
                end.unwrap()
            self.turns[n] += 1

    def go_on(self, times=2):
        """Until each has done that much more; fails if one cannot."""
        want = [turns + times for turns in self.turns]

        def is_done():
            self.check()
            return all(now >= then for now, then in zip(self.turns, want))

        wait_for("turn of each client", is_done)

    def check(self):
        """Nothing has gone wrong yet."""
        if self.wrong:
            raise Failure("\n".join(self.wrong))

    def end(self):
        """All of them; what they say."""
        self.over = True
        for thread in self.threads:
            thread.join(PATIENCE)
        self.check()
        return f"{sum(self.turns[:KEEPERS])} messages, " \
               f"{sum(self.turns[KEEPERS:])} connections"


class Setting:
    """ktlsd, and what is around it."""

    def __init__(self, directory):
        self.directory = directory
        self.authority = Authority(directory)
        self.context = client(self.authority.pem)
        self.pem = self.authority.issue_file(
            os.path.join(directory, "server.pem"))
        self.backend = Server(next(PORTS), echo)
        self.port = next(PORTS)
        self.daemon = Daemon(directory, self.conf())

    def listener(self, name, port, backend=None):
        """A section of a configuration."""
        return f"""
listener {name} {{
    address = "127.0.0.1:{port}"
    certificate = "{self.pem}"
    {PATIENT}
    backend = "127.0.0.1:{(backend or self.backend).port}"
}}
"""

    def conf(self, *more, **kwargs):
        """The configuration, and other sections."""
        return "workers = 2\n" + self.listener("www", self.port, **kwargs) + \
            "".join(more)

    def generations(self):
        """Of processes, by the supervisor."""
        return {p["generation"] for p in self.daemon.status()["processes"]}

    def hang_up(self):
        """Reload, by the signal."""
        before = self.daemon.status()["reloads"]
        self.daemon.process.send_signal(signal.SIGHUP)
        wait_for("reload", lambda:
                 self.daemon.status()["reloads"] == before + 1)

    def command(self):
        """Reload, by the command, which ends when it is done."""
        before = self.daemon.status()["reloads"]
        same("reloads", ktlsctl("--socket", self.daemon.control, "daemon",
                                "reload")["reloads"], before + 1)

    def reload(self, how):
        """Several times, and then the old processes are gone."""
        clients = Clients(self.port, self.context)
        try:
            for _ in range(TIMES):
                clients.go_on()
                how()
            clients.go_on()
            if len(self.generations()) < 2:
                raise Failure("no connection was kept by an old process")
        finally:
            note = clients.end()
        self.wait_alone()
        return note

    def wait_alone(self):
        """Until nobody is left who has an old configuration."""
        wait_for("end of old processes", lambda: len(self.generations()) == 1)

    def changed(self):
        """What is new is for new connections only."""
        def shout(end):
            while True:
                data = end.recv(65536)
                if not data:
                    return
                end.sendall(data.upper())

        other, port = Server(next(PORTS), shout), next(PORTS)
        try:
            self.change(other, port)
        finally:
            self.daemon.configure(self.conf())
            self.command()
            other.close()

    def wait_answer(self, want):
        """Of the backend that is to be; an old worker may not have heard."""
        def answer():
            with connect(self.port, self.context) as end:
                end.sendall(b"after")
                return end.recv(100)

        wait_for(f"answer {want}", lambda: answer() == want, 10)

    def change(self, other, port):
        """To another backend and one more listener, and back."""
        with connect(self.port, self.context) as old:
            talk(old, b"before")
            self.daemon.configure(self.conf(self.listener("more", port),
                                            backend=other))
            self.command()
            self.wait_answer(b"AFTER")
            with connect(port, self.context) as new:
                talk(new)
            talk(old, b"as before")
            self.daemon.configure(self.conf())
            self.command()
            talk(old, b"still as before")
        self.wait_answer(b"after")
        with contextlib.suppress(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port), PATIENCE).close()
            raise Failure("a listener that is gone still listens")

    def broken(self):
        """The old configuration stays, and it says what is wrong."""
        taken = socket.create_server(("127.0.0.1", 0))
        clients = Clients(self.port, self.context)
        try:
            for text, words in (
                    (self.conf() + "listener x {\n", "ktlsd.conf:"),
                    (self.conf() + "nonsense = 1\n", "nonsense"),
                    (self.conf(self.listener("x", self.port)), "is taken by"),
                    (self.conf(self.listener(
                        "x", taken.getsockname()[1])), "could not listen"),
                    (self.conf().replace(self.pem, "/nonexistent"),
                     "/nonexistent")):
                self.fail(text, words)
                clients.go_on()
        finally:
            self.daemon.configure(self.conf())
            taken.close()
            note = clients.end()
        self.command()
        if "reload-error" in self.daemon.status():
            raise Failure("the error of before is still told")
        return note

    def fail(self, text, words):
        """This configuration is not taken."""
        before = self.daemon.status()
        self.daemon.configure(text)
        got = subprocess.run([KTLSCTL, "--socket", self.daemon.control,
                              "daemon", "reload"], capture_output=True,
                             text=True, check=False, timeout=PATIENCE)
        same(f"the exit code (what was said: {got.stderr})", got.returncode, 1)
        after = self.daemon.status()
        for what, said in (("ktlsctl", got.stderr),
                           ("the status", after.get("reload-error", "")),
                           ("the log", self.daemon.log())):
            if words not in said:
                raise Failure(f'{what} does not say "{words}": {said}')
        same("reloads", after["reloads"], before["reloads"])
        for told in after, before:
            for listener in told["listeners"]:
                # They come in time.
                listener.pop("proofs", None)
        same("listeners", after["listeners"], before["listeners"])

    def drain(self, how):
        """Connections go on, and it ends with the last one."""
        daemon = self.daemon
        ends = [connect(self.port, self.context) for _ in range(4)]
        try:
            for end in ends:
                talk(end)
            how()

            def is_closed():
                try:
                    with socket.create_connection(("127.0.0.1", self.port)):
                        return False
                except ConnectionRefusedError:
                    return True
                except ConnectionResetError:
                    # It stood at the door when that was closed.
                    return False

            wait_for("refusal", is_closed)
            same("the state", daemon.status()["state"], "draining")
            while ends:
                for end in ends:
                    talk(end, os.urandom(20000))
                end = ends.pop()
                end.unwrap()
                end.close()
                same("its end", daemon.process.poll() is None or not ends,
                     True)
            same("the exit code", daemon.process.wait(PATIENCE), 0)
        finally:
            for end in ends:
                end.close()
            daemon.kill()
            self.daemon = Daemon(self.directory, self.conf())

    def late(self):
        """Who does not end is cut off, and that is no end of the stream."""
        held = []

        def hold(end):
            data = end.recv(100)
            end.sendall(data)
            try:
                held.append(end.recv(100))
            except OSError as e:
                held.append(type(e).__name__)

        backend = Server(next(PORTS), hold)
        self.daemon.configure("drain-timeout = 2\n" +
                              self.conf(backend=backend))
        self.command()
        self.wait_alone()
        with connect(self.port, self.context) as end:
            talk(end)
            self.daemon.configure(self.conf())
            self.command()
            begin = time.monotonic()
            try:
                got = end.recv(1)
            except (ssl.SSLError, ConnectionResetError):
                got = "cut off"
            seconds = time.monotonic() - begin
            same("what the client sees", got, "cut off")
        if not 1 < seconds < 15:
            raise Failure(f"cut off after {seconds:.1f} s, should be 2")
        wait_for("end at the backend", lambda: held)
        same("what the backend sees", held, ["ConnectionResetError"])
        self.daemon.wait_counter("closed-drained", 1)
        backend.close()

    def tests(self):
        """Names and functions."""
        def drain():
            ktlsctl("--socket", self.daemon.control, "daemon", "drain")

        def terminate():
            self.daemon.process.send_signal(signal.SIGTERM)

        return [
            ("reload.signal", lambda: self.reload(self.hang_up)),
            ("reload.command", lambda: self.reload(self.command)),
            ("reload.changed", self.changed),
            ("reload.broken", self.broken),
            ("reload.late", self.late),
            ("drain.command", lambda: self.drain(drain)),
            ("drain.signal", lambda: self.drain(terminate)),
        ]


def main():
    """Of all."""
    in_namespace()
    setting = Setting(new_directory())
    status = perform(setting.tests())
    setting.daemon.kill()
    return status


if __name__ == "__main__":
    sys.exit(main())
