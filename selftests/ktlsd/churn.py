#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Ten thousand connections of all kinds: no byte is lost, and nothing is left.

CONNECTIONS= how many. Of those that end in order, each byte is compared at both
ends; of the others that ktlsd forgets them.
"""

import collections
import contextlib
import multiprocessing
import os
import random
import socket
import ssl
import struct
import sys

from bench import (PATIENCE, Failure, Server, echo, in_namespace, new_directory,
                   same)
from pairs import Bench, pattern

CONNECTIONS = int(os.environ.get("CONNECTIONS", "10000"))
PROCESSES = 4
# Of the connections, after which all is there that stays.
WARM_UP = 10
# Kilobytes by which a process may have grown since: a connection that leaves 1 kB
# behind in one of two workers is 5 MB.
GROWTH = 2048
DATA = pattern(200000, 9)


def context(version):
    """Of a client."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.check_hostname, made.verify_mode = False, ssl.CERT_NONE
    number = ssl.TLSVersion.TLSv1_2 if version == "1.2" else \
        ssl.TLSVersion.TLSv1_3
    made.minimum_version = made.maximum_version = number
    return made


def reset(sock):
    """No end in order."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


class Client:
    """One of the processes; all that it does follows from its number."""

    def __init__(self, number, port, connector):
        self.random = random.Random(number)
        self.port, self.connector = port, connector
        self.contexts = {v: context(v) for v in ("1.2", "1.3")}
        self.sessions = {}

    def connect(self, port):
        """A plain connection."""
        sock = socket.create_connection(("127.0.0.1", port), PATIENCE)
        sock.settimeout(PATIENCE)
        return sock

    def shaken(self, version, resumed=False):
        """A TLS connection."""
        session = self.sessions.get(version) if resumed else None
        sock = self.contexts[version].wrap_socket(self.connect(self.port),
                                                  session=session)
        if resumed and session and not sock.session_reused:
            raise Failure("the session is not resumed")
        return sock

    def exchange(self, sock):
        """There and back, byte for byte."""
        for _ in range(self.random.randint(1, 3)):
            begin = self.random.randrange(len(DATA))
            data = DATA[begin:begin + self.random.choice((1, 100, 20000))]
            sock.sendall(data)
            got = b""
            while len(got) < len(data):
                some = sock.recv(len(data) - len(got))
                if not some:
                    raise Failure(f"the end after {len(got)} of {len(data)}")
                got += some
            same("data", got == data, True)

    def in_order(self, version, resumed=False):
        """From begin to end; and a session for the next."""
        sock = self.shaken(version, resumed)
        self.exchange(sock)
        self.sessions[version] = sock.session
        sock.unwrap().close()

    def resumed(self, version):
        """Likewise, with the session of the last."""
        self.in_order(version, True)

    def cut_off(self, version):
        """No close_notify."""
        with self.shaken(version) as sock:
            self.exchange(sock)

    def cut_off_at_once(self, version):
        """Right after the handshake."""
        self.shaken(version).close()

    def reset(self, version):
        """With something unread, and something unsent."""
        sock = self.shaken(version)
        sock.sendall(DATA[:self.random.randrange(100000)])
        reset(sock)

    def reset_at_once(self, version):
        """Right after the handshake."""
        reset(self.shaken(version))

    def silent(self, version):
        """No handshake at all."""
        del version
        self.connect(self.port).close()

    def garbage(self, version):
        """It is none."""
        del version
        with self.connect(self.port) as sock:
            sock.sendall(self.random.randbytes(self.random.randint(1, 1000)))

    def half_shaken(self, version):
        """It ends in its middle."""
        with self.connect(self.port) as sock:
            made = self.contexts[version]
            incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
            with contextlib.suppress(ssl.SSLWantReadError):
                made.wrap_bio(incoming, outgoing).do_handshake()
            sock.sendall(outgoing.read())
            if self.random.random() < 0.5:
                sock.recv(100)

    def through_connector(self, version):
        """Plain, and TLS to the listener: ktlsd with itself."""
        del version
        with self.connect(self.connector) as sock:
            self.exchange(sock)
            sock.shutdown(socket.SHUT_WR)
            same("end", sock.recv(100), b"")

    def through_connector_reset(self, version):
        """Plain, and a reset."""
        del version
        sock = self.connect(self.connector)
        sock.sendall(DATA[:self.random.randrange(100000)])
        reset(sock)

    # How often, and what.
    KINDS = ((4, "in_order"), (4, "resumed"), (1, "cut_off"),
             (1, "cut_off_at_once"), (1, "reset"), (1, "reset_at_once"),
             (1, "silent"), (1, "garbage"), (1, "half_shaken"),
             (2, "through_connector"), (1, "through_connector_reset"))

    def run(self, count, answer):
        """So many; how many of each kind, or what went wrong."""
        done = collections.Counter()
        kinds = [name for often, name in self.KINDS for _ in range(often)]
        kind = None
        try:
            for _ in range(count):
                kind = self.random.choice(kinds)
                getattr(self, kind)(self.random.choice(("1.2", "1.3")))
                done[kind] += 1
        except (OSError, Failure) as e:
            answer.put(f"{kind}: {type(e).__name__}: {e}")
            return
        answer.put(done)


def run(bench, count):
    """All of the processes; how many connections there were of each kind."""
    answers = multiprocessing.Queue()
    processes = [multiprocessing.Process(
        target=lambda n=n: Client(n, bench.port, bench.connector).run(
            count // PROCESSES, answers)) for n in range(PROCESSES)]
    for process in processes:
        process.start()
    total = collections.Counter()
    for process in processes:
        got = answers.get()
        if isinstance(got, str):
            for other in processes:
                other.kill()
            raise Failure(got)
        total += got
    for process in processes:
        process.join()
    return total


def main():
    """As TAP."""
    multiprocessing.set_start_method("fork")
    in_namespace()
    directory = new_directory()
    bench = Bench(directory, loop=True)
    bench.backend.close()
    server = Server(bench.backend_port, echo)
    state = {}

    def warm_up():
        run(bench, CONNECTIONS // WARM_UP)
        bench.daemon.wait_counter("connections", 0)
        state["before"] = bench.resources()

    def churn():
        total = run(bench, CONNECTIONS)
        state["total"] = total
        return ", ".join(f"{n} {kind}" for kind, n in total.most_common())

    def idle():
        bench.check_idle(state["before"], GROWTH)
        # And not what is kept to be used again, either.
        after = bench.resources()
        return ", ".join(
            f"{name}: {fds[0]} files, {fds[1]} kB (before: "
            f"{state['before'][name][0]}, {state['before'][name][1]})"
            for name, fds in after.items())

    def counted():
        counters = bench.daemon.counters()
        for name in ("failed-key", "failed-other", "failed-timeout",
                     "closed-other", "closed-no-backend", "closed-record",
                     "closed-timeout", "refused-connections"):
            same(name, counters[name], 0)
        ends = sum(n for name, n in counters.items() if name.split("-")[0] in
                   ("closed", "failed", "refused"))
        same("connections, and how they ended", ends, counters["accepted"])

    code = bench.perform([("warm-up", warm_up), ("churn", churn),
                          ("nothing.is.left", idle), ("all.counted", counted)])
    server.close()
    return code


if __name__ == "__main__":
    sys.exit(main())
