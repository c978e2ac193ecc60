#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Ends that are slow, and ends that go away, at every moment of a connection.

What was sent arrives, or the other end learns that it did not; and ktlsd keeps
nothing of it.
"""

import contextlib
import hashlib
import itertools
import select
import socket
import struct
import sys
import threading
import time

from bench import (PATIENCE, PORTS, Failure, in_namespace, new_directory, same,
                   write)
from pairs import (CONNECTOR, ENDED, LISTENER, RESET, ROLES, Bench, end_of,
                   exchange, expect_eof, memory_of, part, pattern)
from raw import ALERT, CLOSE_NOTIFY, DATA, WARNING, Raw

LARGE = 6 << 20
# What may lie about in the sockets of the way and in a pipe, of SOCKET bytes each
# and twice that at most.
SOCKET = 256 << 10
ON_THE_WAY = 5 << 20


def reset(sock):
    """Closes it, and says that something was wrong."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def half(sock):
    """Sends no more."""
    sock.shutdown(socket.SHUT_WR)


def close(sock):
    """As programs do."""
    sock.close()


GOINGS = reset, half, close


class Sender:
    """Sends without end, or until all is sent."""

    def __init__(self, send, size):
        self.send, self.size = send, size
        self.sent = 0
        self.hash = hashlib.sha256()
        self.error = None
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        """A record's worth at a time, each with its number."""
        block = pattern(16000)
        try:
            while self.sent < self.size:
                data = self.sent.to_bytes(8, "big") + block
                self.hash.update(data)
                self.send(data)
                self.sent += len(data)
        except OSError as e:
            self.error = e

    def wait_stalled(self):
        """Nothing moves for a second."""
        before = -1
        while self.sent != before:
            before = self.sent
            time.sleep(1)


def test_pressure(bench, role, version, to_tls):
    """The reader sleeps until the sender is stuck, and then reads all of it."""
    workers = [pid for name, pid in bench.processes().items()
               if name.startswith("worker")]
    with bench.counted(closed_done=1), bench.both(role, version) as (end, plain):
        exchange(end, plain)
        for sock in end.sock, plain:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        before = [memory_of(pid) for pid in workers]
        sender = Sender(plain.sendall if to_tls else end.send_data, LARGE)
        sender.wait_stalled()
        if sender.sent > ON_THE_WAY:
            raise Failure("nothing holds the sender back")
        for pid, kilobytes in zip(workers, before):
            if memory_of(pid) > kilobytes + 1024:
                raise Failure(f"a worker that waits has {memory_of(pid)} kB, "
                              f"and had {kilobytes}")
        # Now and then it reads a little.
        digest, count = hashlib.sha256(), 0
        while sender.thread.is_alive() or count < sender.sent:
            data = end.receive_data(1) if to_tls else plain.recv(1 << 16)
            digest.update(data)
            count += len(data)
            if count < 1 << 20:
                time.sleep(0.01)
        same("bytes", count, sender.sent)
        same("hash", digest.hexdigest(), sender.hash.hexdigest())
        part(end, plain)


def test_both_stuck(bench, role, version):
    """Both send, and neither reads; then both do."""
    with bench.counted(closed_done=1), bench.both(role, version) as (end, plain):
        for sock in end.sock, plain:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        senders = Sender(end.send_data, LARGE), Sender(plain.sendall, LARGE)
        for sender in senders:
            sender.wait_stalled()
        digests, counts = [hashlib.sha256(), hashlib.sha256()], [0, 0]
        total = (LARGE + 16007) // 16008 * 16008
        while counts[0] < total or counts[1] < total:
            if counts[0] < total:
                data = plain.recv(1 << 16)
                digests[0].update(data)
                counts[0] += len(data)
            if counts[1] < total and (end.buffer or counts[0] >= total or
                                      select.select([end.sock], [], [], 0)[0]):
                data = end.receive_data(1)
                digests[1].update(data)
                counts[1] += len(data)
        for sender, digest, count in zip(senders, digests, counts):
            sender.thread.join(PATIENCE)
            same("bytes", count, sender.sent)
            same("hash", digest.hexdigest(), sender.hash.hexdigest())
        part(end, plain)


# Ends that go away

def client(bench):
    """Of the listener, connected."""
    sock = socket.create_connection(("127.0.0.1", bench.port), PATIENCE)
    sock.settimeout(PATIENCE)
    return sock


def gone(sock):
    """Both directions are over, in whatever way."""
    with contextlib.suppress(OSError):
        while sock.recv(65536):
            pass


def test_before_hello(bench, going):
    """Not a byte of TLS."""
    with bench.counted(failed_gone=1):
        sock = client(bench)
        going(sock)
        if going is half:
            gone(sock)


def test_in_hello(bench, going):
    """After some bytes of the first message."""
    end = Raw(client(bench))
    end.step()
    hello = end.outgoing.read()
    for size in (1, 5, 6, len(hello) // 2, len(hello) - 1):
        with bench.counted(failed_gone=1):
            sock = client(bench)
            sock.sendall(hello[:size])
            going(sock)
            if going is half:
                gone(sock)
    end.close()
    bench.daemon.wait_counter("connections", 0)


def test_in_handshake(bench, going, version):
    """When the server has said its part."""
    with bench.counted(failed_gone=1):
        end = Raw(client(bench), version)
        end.step()
        end.speak()
        end.receive_some()
        going(end.sock)
        if going is half:
            gone(end.sock)


def test_in_connector(bench, going, version):
    """The server goes, in the handshake; or the plain end does."""
    for plain_goes in (False, True):
        before = bench.daemon.counters()
        plain = socket.create_connection(("127.0.0.1", bench.connector), PATIENCE)
        plain.settimeout(PATIENCE)
        end = Raw(bench.remote.accept()[0], version, pem=bench.pem)
        while not end.seen:
            end.receive_some()
        if plain_goes and going is half:
            # That is no reason to end it.
            plain.sendall(b"last words")
            half(plain)
            end.incoming.write(b"")
            end.handshake()
            same("data", end.receive(), (DATA, b"last words"))
            same("end", end.receive(), (ALERT, bytes([WARNING, CLOSE_NOTIFY])))
            end.alert(CLOSE_NOTIFY)
            same("end of the plain stream", end_of(plain), (ENDED, b""))
        elif plain_goes:
            going(plain)
            end.step()
            end.speak()
            # Some would notice at once, and some with what is sent.
            with contextlib.suppress(Exception):
                end.receive_some()
                end.step()
            end.close()
        else:
            going(end.sock)
            same("end of the plain stream", end_of(plain)[1], b"")
        end.close()
        plain.close()
        bench.daemon.wait_counter("connections", 0)
        del before


def test_before_backend(bench, going, version):
    """While the backend does not answer."""
    full = socket.socket()
    full.bind(("127.0.0.1", bench.full))
    full.listen(0)
    # From then on the kernel drops those that knock.
    stuck = []
    for _ in range(3):
        sock = socket.socket()
        sock.setblocking(False)
        sock.connect_ex(full.getsockname())
        stuck.append(sock)
    time.sleep(0.2)
    end = Raw(socket.create_connection(("127.0.0.1", bench.full_port), PATIENCE),
              version)
    end.handshake()
    end.send_data(b"hello")
    time.sleep(0.2)
    going(end.sock)
    if going is half:
        time.sleep(0.2)
    full.close()
    for sock in stuck:
        sock.close()
    if going is half:
        gone(end.sock)
    end.close()
    bench.daemon.wait_counter("connections", 0)


def test_in_relay(bench, going, role, version, plain_goes, loaded):
    """While data flow, or do not, either way."""
    end, plain = bench.pair(role, version)
    exchange(end, plain)
    senders = []
    if loaded:
        senders = [Sender(end.send_data, LARGE), Sender(plain.sendall, LARGE)]
        time.sleep(0.3)
    leaver, stayer = (plain, end.sock) if plain_goes else (end.sock, plain)
    going(leaver)
    if going is half and not plain_goes:
        # As TLS has it, that is a truncation.
        gone(plain)
    elif going is half:
        senders[1:] or end.receive()
    else:
        gone(stayer)
    end.close()
    plain.close()
    for sender in senders:
        sender.thread.join(PATIENCE)
        same("sending", sender.thread.is_alive(), False)


def test_after_half(bench, going, role, version, plain_first):
    """One half is closed in order; then the other end goes."""
    end, plain = bench.pair(role, version)
    exchange(end, plain)
    if plain_first:
        half(plain)
        same("last record", end.receive(),
             (ALERT, bytes([WARNING, CLOSE_NOTIFY])))
        end.send_data(b"after")
        same("data", plain.recv(100), b"after")
        going(end.sock)
        if going is reset:
            same("end of the plain stream", end_of(plain), (RESET, b""))
        else:
            same("end of the plain stream", end_of(plain), (RESET, b""))
    else:
        end.alert(CLOSE_NOTIFY)
        same("end of the plain stream", plain.recv(100), b"")
        plain.sendall(b"after")
        same("data", end.receive(), (DATA, b"after"))
        going(plain)
        if going is reset:
            with contextlib.suppress(ConnectionResetError):
                expect_eof(end)
        else:
            same("last record", end.receive(),
                 (ALERT, bytes([WARNING, CLOSE_NOTIFY])))
            expect_eof(end)
    end.close()
    plain.close()


def test_no_backend(bench, version):
    """Nobody listens."""
    with bench.counted(closed_no_backend=1):
        end = Raw(socket.create_connection(("127.0.0.1", bench.full_port),
                                           PATIENCE), version)
        end.handshake()
        # libssl's records, which it cannot be told, are without an alert.
        if bench.kernel:
            same("last record", end.receive()[0], ALERT)
        gone(end.sock)
        end.close()


def main():
    """As TAP."""
    in_namespace()
    for name in "tcp_rmem", "tcp_wmem":
        write(f"/proc/sys/net/ipv4/{name}", f"4096 65536 {SOCKET}\n")
    full, full_port = next(PORTS), next(PORTS)
    directory = new_directory()
    bench = Bench(directory, f"""
workers = 2
listener full {{
	address = "127.0.0.1:{full_port}"
	certificate = "{directory}/pem"
	backend = "127.0.0.1:{full}"
}}
""")
    bench.full, bench.full_port = full, full_port
    # Once, so that all is there that stays.
    for role, version in itertools.product(ROLES, ("1.2", "1.3")):
        with bench.both(role, version) as (end, plain):
            exchange(end, plain, 100000)
            part(end, plain)
    bench.daemon.wait_counter("connections", 0)
    before = bench.resources()
    tests = []

    def add(function, *args):
        def test():
            function(bench, *args)
            bench.daemon.wait_counter("connections", 0)
            same("handshakes", bench.daemon.counters()["handshakes"], 0)

        words = [getattr(a, "__name__", str(a)) for a in args]
        tests.append((".".join([function.__name__[5:], *words]), test))

    for going in GOINGS:
        add(test_before_hello, going)
        add(test_in_hello, going)
        for version in ("1.2", "1.3"):
            add(test_in_handshake, going, version)
            add(test_in_connector, going, version)
            add(test_before_backend, going, version)
    for version in ("1.2", "1.3"):
        add(test_no_backend, version)
    for going, role in itertools.product(GOINGS, ROLES):
        for plain_goes, loaded in itertools.product((False, True), repeat=2):
            add(test_in_relay, going, role, "1.3", plain_goes, loaded)
        for plain_first in (False, True):
            for version in ("1.2", "1.3"):
                add(test_after_half, going, role, version, plain_first)
    for role, version in itertools.product(ROLES, ("1.2", "1.3")):
        for to_tls in (False, True):
            add(test_pressure, role, version, to_tls)
        add(test_both_stuck, role, version)
    tests.append(("nothing.is.left", lambda: bench.check_idle(before)))
    return bench.perform(tests)


if __name__ == "__main__":
    sys.exit(main())
