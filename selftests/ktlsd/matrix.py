#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""ktlsd between real TLS ends and plain ones, for every version and cipher.

    TLS client <----> listener, backend <----> plain server
    plain client <----> connector <----> TLS server

The TLS end is OpenSSL or GnuTLS in this process, or a program of Go or Node.js.
In each cell both ends send, at the same time, and what one has sent is what the
other has received; the client ends its half first. Then the module says that
ktlsd's socket was on kernel TLS in both directions. With KTLSD_FULL=1 all
cells, and each with more bytes; else each cipher and each kind of end once.
"""

import contextlib
import json
import os
import select
import socket
import subprocess
import sys
import threading

import ends
from bench import (HERE, PATIENCE, PATIENT, PORTS, Authority, Daemon, Failure,
                   Skip, in_namespace, new_directory, perform, same, sockets,
                   wait_for, write)

FULL = os.environ.get("KTLSD_FULL") == "1"
SIZE = 16 << 20 if FULL else 256 << 10
LARGE = 1 << 30
VERSIONS = ("1.2", "1.3")
CIPHERS = ("aes-gcm-128", "aes-gcm-256", "chacha20-poly1305", "aes-ccm-128")
KINDS = ("openssl", "gnutls", "go", "node")
ROLES = ("server", "connector")


# What a sample has for each cipher: in each row each kind, and Go has no CCM.
SAMPLE = {
    ("1.2", "server"): ("openssl", "gnutls", "go", "node"),
    ("1.2", "connector"): ("gnutls", "go", "node", "openssl"),
    ("1.3", "server"): ("go", "node", "openssl", "gnutls"),
    ("1.3", "connector"): ("node", "openssl", "go", "gnutls"),
}


def cells(version, role):
    """Pairs of cipher and kind."""
    if not FULL:
        return list(zip(CIPHERS, SAMPLE[version, role]))
    return [(cipher, kind) for cipher in CIPHERS for kind in KINDS
            if (cipher, kind) != ("aes-ccm-128", "go")]


class Program:
    """An end in another language; it does one thing after another."""

    ARGV = {
        "go": [os.path.join(HERE, "obj/peer")],
        "node": ["node", os.path.join(HERE, "peer.js")],
    }
    started = {}

    @classmethod
    def get(cls, kind):
        """It is started the first time."""
        if kind not in cls.started:
            try:
                cls.started[kind] = cls(kind)
            except FileNotFoundError as e:
                raise Skip(f"there is no {e.filename}") from e
        return cls.started[kind]

    def __init__(self, kind):
        self.kind = kind
        self.process = subprocess.Popen(
            self.ARGV[kind], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            text=True, bufsize=1)

    def answer(self):
        """The next line."""
        ready, _, _ = select.select([self.process.stdout], [], [],
                                    30 * PATIENCE if FULL else PATIENCE)
        line = ready and self.process.stdout.readline()
        if not line:
            self.started.pop(self.kind)
            self.process.kill()
            raise Failure(f"{self.kind} says nothing")
        return json.loads(line)

    def begin(self, task):
        """A server is there when this returns."""
        self.process.stdin.write(json.dumps(task) + "\n")
        if task["role"] == "server":
            said = self.answer()
            if "ready" not in said:
                raise Failure(f"{self.kind}: {said}")

    @classmethod
    def end_all(cls):
        """They end with their standard input."""
        for program in cls.started.values():
            program.process.stdin.close()
            program.process.wait(PATIENCE)


class Thread(threading.Thread):
    """Something that goes on meanwhile; join() returns what came of it."""

    def __init__(self, function, *args):
        super().__init__(daemon=True)
        self.function, self.args = function, args
        self.result = {"error": "it has not ended"}
        self.start()

    def run(self):
        try:
            self.result = self.function(*self.args)
        except Exception as e:  # pylint: disable=broad-exception-caught
            self.result = {"error": f"{type(e).__name__}: {e}"}

    def join(self, timeout=30 * PATIENCE):
        super().join(timeout)
        return self.result


class Suite:
    """A ktlsd that has one version and one cipher, and what is around it."""

    def __init__(self, directory, authority, version, cipher):
        self.version, self.cipher = version, cipher
        self.pem, self.ca = authority.server, authority.pem
        name = ends.OpenSSL.CIPHERS[version, cipher]
        conf = write(os.path.join(directory, "openssl.cnf"), f"""
openssl_conf = all
[all]
ssl_conf = ssl
[ssl]
system_default = it
[it]
MinProtocol = TLSv{version}
MaxProtocol = TLSv{version}
{"CipherString" if version == "1.2" else "Ciphersuites"} = {name}
""")
        self.port = next(PORTS)
        self.plain = socket.create_server(("127.0.0.1", 0))
        self.plain.settimeout(PATIENCE)
        self.connectors = {kind: (next(PORTS), next(PORTS)) for kind in KINDS}
        self.daemon = Daemon(directory, f"""
workers = 1
listener www {{
    address = "127.0.0.1:{self.port}"
    certificate = "{self.pem}"
    {PATIENT}
    backend = "127.0.0.1:{self.plain.getsockname()[1]}"
}}
""" + "".join(f"""
connector {kind} {{
    address = "127.0.0.1:{here}"
    backend = "127.0.0.1:{there}"
    server-name = "localhost"
    ca = "{self.ca}"
    {PATIENT}
}}
""" for kind, (here, there) in self.connectors.items()),
                             {"OPENSSL_CONF": conf})
        self.done = self.cut = 0

    def task(self, role, port, size):
        """For a program."""
        return {"role": role, "port": port, "version": self.version,
                "cipher": self.cipher, "size": size, "pem": self.pem,
                "ca": self.ca}

    def tls(self, kind, sock, server):
        """An end in this process."""
        make = ends.OpenSSL if kind == "openssl" else ends.GnuTLS
        return make(sock, self.version, self.cipher,
                    **({"server_pem": self.pem} if server else
                       {"ca": self.ca}))

    @staticmethod
    def exchange(end, size, first, truncate=False, until=None):
        """And then it is closed."""
        port = end.sock.getsockname()[1]
        try:
            return {**ends.Exchange(end, size, first, truncate).run(until),
                    "port": port}
        finally:
            end.close()

    def client(self, kind, size, truncate=False):
        """A TLS client and a plain server: what came of them."""
        if kind in Program.ARGV:
            program = Program.get(kind)
            program.begin(self.task("client", self.port, size))
            client = Thread(program.answer)
        else:
            sock = socket.create_connection(("127.0.0.1", self.port))
            client = Thread(self.exchange, self.tls(kind, sock, False), size,
                            True, truncate)
        end = ends.Plain(self.plain.accept()[0])
        return client, Thread(self.exchange, end, size, False)

    def server(self, kind, size, truncate=False):
        """A plain client and a TLS server: what came of the two."""
        here, there = self.connectors[kind]
        if kind in Program.ARGV:
            program = Program.get(kind)
            program.begin(self.task("server", there, size))
            sock = socket.create_connection(("127.0.0.1", here))
            server = Thread(program.answer)
        else:
            with socket.create_server(("127.0.0.1", there)) as listener:
                listener.settimeout(PATIENCE)
                sock = socket.create_connection(("127.0.0.1", here))
                end = self.tls(kind, listener.accept()[0], True)
            server = Thread(self.exchange, end, size, truncate, truncate)
        return server, Thread(self.exchange, ends.Plain(sock), size,
                              not truncate)

    def begin(self, role, kind, size, truncate=False):
        """The TLS end, and the plain one."""
        return (self.client if role == "server" else self.server)(
            kind, size, truncate)

    def mine(self, role, kind, port):
        """ktlsd's socket, when it is closed."""
        filters = ("sport", self.port, "dport", port) if role == "server" \
            else ("dport", self.connectors[kind][1])
        found = [s for s in sockets(*filters) if "close-time" in s or
                 s.get("closed")]
        return found[0] if found else None

    def cell(self, role, kind, size):
        """All that is to be said of one."""
        tls, plain = (thread.join() for thread in
                      self.begin(role, kind, size))
        for name, end in ("TLS end", tls), ("plain end", plain):
            if end.get("error"):
                raise Failure(f"the {name}: {end['error']}\nthe TLS end: {tls}"
                              f"\nthe plain end: {plain}\n"
                              f"{self.daemon.log()}")
            same(f"what the {name} had left to send", end["left"], 0)
            same(f"what the {name} received", end["bytes"], size)
            same(f"the end that the {name} saw", end["end"], ends.ENDED)
        same("the hash of what TLS sent", plain["received"], tls["sent"])
        same("the hash of what TLS received", tls["received"], plain["sent"])
        self.done += 1
        self.daemon.wait_counter("closed-done", self.done)
        self.look(role, kind, tls["port"], size)

    def look(self, role, kind, port, size):
        """What the module says."""
        found = wait_for("socket of ktlsd in ktlsctl stats",
                         lambda: self.mine(role, kind, port))
        for way in "tx", "rx":
            counted = found[way]
            same(f"mode of {way}", counted["mode"], "sw")
            same(f"version of {way}", counted["version"],
                 "tls-" + self.version.replace(".", "-"))
            same(f"cipher of {way}", counted["cipher"], self.cipher)
            if counted["payload-bytes"] < size:
                raise Failure(f"payload of {way}: {counted}")

    def truncation(self, role):
        """A FIN without close_notify is no end, and the plain end learns it."""
        tls, plain = (thread.join() for thread in
                      self.begin(role, "openssl", 100000, True))
        same("what the plain end received", plain["bytes"], 100000)
        same("the hash of what TLS sent", plain["received"], tls["sent"])
        same("the end that the plain end saw", plain["end"], ends.RESET)
        self.cut += 1
        self.daemon.wait_counter("closed-truncated", self.cut)
        same("closed-done", self.daemon.counters()["closed-done"], self.done)

    def half(self):
        """The backend sees the end when close_notify comes, and not before."""
        sock = socket.create_connection(("127.0.0.1", self.port))
        end = self.tls("openssl", sock, False)
        backend = None
        try:
            client = ends.Exchange(end, 100000, False)
            client.run(lambda e: e.shaken and not e.stream.left and
                       not e.stream.chunk)
            backend = self.plain.accept()[0]
            backend.settimeout(PATIENCE)
            left = 100000
            while left:
                left -= len(backend.recv(left))
            ready, _, _ = select.select([backend], [], [], 0.5)
            same("the backend's end before close_notify", bool(ready), False)
            end.say_end()
            same("the backend's end", backend.recv(1), b"")
            # The other half goes on, whatever the first one did.
            for _ in range(10):
                backend.sendall(bytes(10000))
            backend.close()
            result = client.run(lambda e: e.how)
            same("what the client received", result["bytes"], 100000)
            same("its end", result["end"], ends.ENDED)
        finally:
            end.close()
            if backend:
                backend.close()
        self.done += 1
        self.daemon.wait_counter("closed-done", self.done)


class Matrix:
    """Suites, one after the other, as each has a ktlsd of its own."""

    def __init__(self, directory):
        self.directory = directory
        self.authority = Authority(directory)
        self.authority.server = self.authority.issue_file(
            os.path.join(directory, "server.pem"))
        self.suite = None

    def get(self, version, cipher):
        """The one that there is, if it is that."""
        s = self.suite
        if not s or (s.version, s.cipher) != (version, cipher):
            self.close()
            self.suite = Suite(self.directory, self.authority, version, cipher)
        return self.suite

    def close(self):
        """Nothing is left of it."""
        if self.suite:
            suite, self.suite = self.suite, None
            suite.plain.close()
            same("the exit code of ktlsd", suite.daemon.stop(), 0)

    def in_suite(self, version, cipher, method, *args):
        """A test, in a ktlsd that is fresh after a failure."""
        def test():
            try:
                return getattr(self.get(version, cipher), method)(*args)
            except BaseException:
                suite, self.suite = self.suite, None
                if suite:
                    suite.daemon.kill()
                raise
        return test

    def tests(self):
        """Names and functions."""
        tests = []
        for version in VERSIONS:
            for cipher in CIPHERS:
                for role in ROLES:
                    tests += [
                        (f"{role}.{version}.{cipher}.{kind}", self.in_suite(
                            version, cipher, "cell", role, kind, SIZE))
                        for c, kind in cells(version, role) if c == cipher]
                if cipher != CIPHERS[0]:
                    continue
                tests.append((f"server.{version}.half-close", self.in_suite(
                    version, cipher, "half")))
                tests += [
                    (f"{role}.{version}.truncation", self.in_suite(
                        version, cipher, "truncation", role))
                    for role in ROLES]
        if FULL:
            tests.append(("server.1.3.aes-gcm-128.openssl.1GiB", self.in_suite(
                "1.3", "aes-gcm-128", "cell", "server", "openssl", LARGE)))
        return tests


def main():
    """Of all cells."""
    in_namespace()
    # They take their time to start.
    for kind in Program.ARGV:
        with contextlib.suppress(Skip):
            Program.get(kind)
    matrix = Matrix(new_directory())
    status = perform(matrix.tests())
    Program.end_all()
    matrix.close()
    return status


if __name__ == "__main__":
    sys.exit(main())
