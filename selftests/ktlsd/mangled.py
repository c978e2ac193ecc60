#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Handshakes of which some bytes are others: to the listener, and to the connector.

With KTLSD= a ktlsd that was built with sanitizers. No process dies of any of it,
and after each bunch a right handshake succeeds. SEED= and ROUNDS= for more.
"""

import contextlib
import os
import random
import socket
import ssl
import sys
import time

from bench import (PATIENCE, Failure, in_namespace, new_directory, same)
from pairs import CONNECTOR, LISTENER, Bench, exchange, part
from raw import Raw

SEED = int(os.environ.get("SEED", "1"))
ROUNDS = int(os.environ.get("ROUNDS", "300"))
BUNCH = 50
# For an answer, or none.
MOMENT = 0.05


class Mangler:
    """Changes bytes, by chance."""

    def __init__(self, seed):
        self.random = random.Random(seed)

    def pieces(self, data):
        """The same bytes, in several segments."""
        cuts = sorted(self.random.randrange(len(data) + 1) for _ in range(3))
        return [p for p in (data[:cuts[0]], data[cuts[0]:cuts[1]],
                            data[cuts[1]:cuts[2]], data[cuts[2]:]) if p]

    def mangle(self, data):
        """Others."""
        data = bytearray(data)
        for _ in range(self.random.randint(1, 4)):
            at = self.random.randrange(len(data) or 1)
            # What comes first is lengths and types.
            if self.random.random() < 0.5:
                at = min(at, self.random.randrange(60))
            kind = self.random.randrange(7)
            if kind == 0:
                data[at:at + 1] = bytes([self.random.randrange(256)])
            elif kind == 1 and at < len(data):
                data[at] ^= 1 << self.random.randrange(8)
            elif kind == 2:
                del data[at:at + self.random.randint(1, 40)]
            elif kind == 3:
                data[at:at] = self.random.randbytes(self.random.randint(1, 40))
            elif kind == 4:
                data[at:at + 2] = self.random.choice(
                    (b"\0\0", b"\xff\xff", b"\x40\0", b"\x40\x01"))
            elif kind == 5:
                data[at:at] = data[self.random.randrange(len(data) or 1):][:200]
            else:
                del data[at + 5:]
        return bytes(data)


def receive(sock):
    """What comes in a moment; %None at the end."""
    sock.settimeout(MOMENT)
    with contextlib.suppress(TimeoutError):
        return sock.recv(65536) or None
    return b""


def talk(end, mangler, flight):
    """A handshake whose so manieth flight is mangled."""
    for n in range(8):
        with contextlib.suppress(ssl.SSLError):
            end.step()
        said = end.outgoing.read()
        if said:
            if n >= flight:
                said = mangler.mangle(said)
            for piece in mangler.pieces(said):
                end.sock.sendall(piece)
        if n > flight:
            return
        got = receive(end.sock)
        if got is None:
            return
        end.incoming.write(got)


def to_listener(bench, mangler, version):
    """A client."""
    end = Raw(socket.create_connection(("127.0.0.1", bench.port), PATIENCE),
              version)
    with contextlib.suppress(ConnectionError), contextlib.closing(end):
        talk(end, mangler, mangler.random.choice((0, 0, 1)))
        end.sock.shutdown(socket.SHUT_WR)
        receive(end.sock)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(end.secrets_path)


def to_connector(bench, mangler, version):
    """A server."""
    with socket.create_connection(("127.0.0.1", bench.connector), PATIENCE):
        end = Raw(bench.remote.accept()[0], version, pem=bench.pem)
        with contextlib.suppress(ConnectionError), contextlib.closing(end):
            end.incoming.write(receive(end.sock) or b"")
            talk(end, mangler, mangler.random.choice((0, 0, 1)))
    with contextlib.suppress(FileNotFoundError):
        os.unlink(end.secrets_path)


def drop_backends(bench):
    """What has come through; it is a right handshake after all."""
    bench.backend.settimeout(0)
    with contextlib.suppress(BlockingIOError):
        while True:
            bench.backend.accept()[0].close()
    bench.backend.settimeout(PATIENCE)


def check_alive(bench):
    """All processes are those of the begin, and a handshake succeeds."""
    log = bench.daemon.log()
    for word in "Sanitizer", "runtime error", "ended:":
        if word in log:
            raise Failure(log[log.index(word) - 200:][:4000])
    bench.daemon.wait_counter("connections", 0)
    drop_backends(bench)
    for role in LISTENER, CONNECTOR:
        with bench.both(role) as (end, plain):
            exchange(end, plain)
            part(end, plain)


def test(bench, attack, version):
    """Bunch by bunch."""
    mangler = Mangler(f"{SEED} {attack.__name__} {version}")
    begin = time.monotonic()
    for n in range(ROUNDS):
        attack(bench, mangler, version)
        if n % BUNCH == BUNCH - 1:
            check_alive(bench)
    check_alive(bench)
    counters = bench.daemon.counters()
    same("handshakes", counters["handshakes"], 0)
    return f"{ROUNDS} in {time.monotonic() - begin:.0f} s"


def main():
    """As TAP."""
    in_namespace()
    bench = Bench(new_directory())
    return bench.perform([
        (f"{attack.__name__}.{version}",
         lambda attack=attack, version=version: test(bench, attack, version))
        for attack in (to_listener, to_connector) for version in ("1.2", "1.3")])


if __name__ == "__main__":
    sys.exit(main())
