#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Those who want too much get less, and the others do not notice.

Progress of others is measured in bytes for so many handshakes, as a second is not
the same on all machines.
"""

import contextlib
import itertools
import os
import socket
import subprocess
import sys
import threading
import time

from bench import (PATIENCE, PORTS, Failure, Skip, in_namespace, new_directory, run,
                   same, wait_for)
from pairs import Bench, exchange, part, pattern
from raw import Raw

HALF_OPEN = 20
TIMEOUT = 3
RATE = 10
HANDSHAKES = 300
# What a connection that is there moves while one handshake is made. The flood may
# take most of the processor, not all.
SHARE = 4096


def connect(port, source=None, family=socket.AF_INET):
    """A client, from an address."""
    sock = socket.socket(family)
    sock.settimeout(PATIENCE)
    host = "127.0.0.1" if family == socket.AF_INET else "::1"
    if source:
        sock.bind((source, 0))
    sock.connect((host, port))
    return sock


def is_closed(sock):
    """By the other end, and nothing was said."""
    try:
        return sock.recv(1) == b""
    except ConnectionResetError:
        return True


def test_half_open(bench):
    """Clients that say nothing take their places, and no more."""
    end, plain = bench.pair("listener")
    exchange(end, plain)
    # Of one worker.
    with bench.counted(refused_handshakes=5, failed_timeout=HALF_OPEN):
        silent = [connect(bench.port) for _ in range(HALF_OPEN)]
        bench.daemon.wait_counter("handshakes", HALF_OPEN)
        for _ in range(5):
            with connect(bench.port) as sock:
                same("one too many is closed", is_closed(sock), True)
        exchange(end, plain)
        for sock in silent:
            same("a silent one is closed", is_closed(sock), True)
            sock.close()
        exchange(end, plain)
    bench.daemon.wait_counter("handshakes", 0)
    # Now others may come again.
    other, other_plain = bench.pair("listener")
    exchange(other, other_plain)
    with bench.counted(closed_done=2):
        part(other, other_plain)
        part(end, plain)


def test_slow(bench):
    """A byte now and then does not keep a place."""
    with bench.counted(failed_timeout=5):
        slow = [Raw(connect(bench.port)) for _ in range(5)]
        for end in slow:
            end.step()
        hellos = [end.outgoing.read() for end in slow]
        begin = time.monotonic()
        sent = 0
        with contextlib.suppress(ConnectionError):
            for sent in range(1000):
                for end, hello in zip(slow, hellos):
                    end.sock.sendall(hello[sent:sent + 1])
                time.sleep(0.1)
                if bench.daemon.counters()["handshakes"] == 0:
                    break
        if time.monotonic() - begin > 5 * TIMEOUT:
            raise Failure("they could stay for long")
        for end in slow:
            end.close()


def rate_of(bench, sources, family=socket.AF_INET):
    """How many connections of so many got in."""
    before = bench.daemon.counters()
    for source in sources:
        with connect(bench.rated6 if family == socket.AF_INET6 else bench.rated,
                     source, family):
            pass
    wait_for("connections", lambda: bench.daemon.counters()["accepted"] ==
             before["accepted"] + len(sources))
    return len(sources) - bench.daemon.counters()["refused-rate"] + \
        before["refused-rate"]


def test_rate(bench):
    """So many a second of one source, and others are not concerned."""
    begin = time.monotonic()
    got = rate_of(bench, ["127.0.0.1"] * 100)
    seconds = time.monotonic() - begin
    if not RATE <= got <= RATE * (seconds + 1) + 1:
        raise Failure(f"{got} connections in {seconds} s")
    same("of another source", rate_of(bench, ["127.0.0.2"] * RATE), RATE)
    # Its time comes again.
    time.sleep(1.1)
    got = rate_of(bench, ["127.0.0.1"] * RATE)
    same("after a second", got, RATE)


def test_rate_prefix(bench):
    """With IPv6, a source is what one host may have."""
    begin = time.monotonic()
    same_host = [f"fd00:1::{n:x}" for n in range(1, 11)] * 5
    got = rate_of(bench, same_host, socket.AF_INET6)
    seconds = time.monotonic() - begin
    if not RATE <= got <= RATE * (seconds + 1) + 1:
        raise Failure(f"{got} connections in {seconds} s")
    others = [f"fd00:{n:x}::1" for n in range(2, 12)]
    same("of other prefixes", rate_of(bench, others, socket.AF_INET6),
         len(others))


FLOOD = """
import socket, ssl, sys
context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
while True:
    try:
        with socket.create_connection(("127.0.0.1", int(sys.argv[1]))) as sock:
            sock.settimeout(20)
            context.wrap_socket(sock).close()
    except OSError:
        pass
"""


def test_flood(bench):
    """Handshakes without end, and a transfer goes on."""
    end, plain = bench.pair("listener")
    exchange(end, plain)
    floods = [subprocess.Popen([sys.executable, "-c", FLOOD,
                                str(bench.flooded)]) for _ in range(8)]
    stop = threading.Event()

    def feed():
        with contextlib.suppress(OSError):
            while not stop.is_set():
                plain.sendall(pattern(65536))

    feeder = threading.Thread(target=feed)
    try:
        wait_for("flood", lambda:
                 bench.daemon.counters()["handshakes-done"] > 30)
        feeder.start()
        before = bench.daemon.counters()
        begin = time.monotonic()
        moved = 0
        done = 0
        while done < HANDSHAKES and time.monotonic() < begin + 2 * PATIENCE:
            moved += len(end.receive_data(65536))
            if moved % (1 << 20) == 0 or time.monotonic() > begin + 5:
                done = bench.daemon.counters()["handshakes-done"] - \
                    before["handshakes-done"]
    finally:
        stop.set()
        for flood in floods:
            flood.kill()
            flood.wait()
        end.close()
        plain.close()
        feeder.join()
    if moved < SHARE * done:
        raise Failure(f"{moved} bytes while {done} handshakes were made")
    return f"{moved >> 10} kB while {done} handshakes were made"


def test_small_records(bench):
    """A client that sends as many records as it can takes no more than its turn."""
    end, plain = bench.pair("listener")
    flood, flood_plain = bench.pair("listener")
    stop = threading.Event()
    sent = [0]

    def send():
        with contextlib.suppress(OSError):
            while not stop.is_set():
                burst = b"".join(flood.tx.seal(23, b"") + flood.tx.seal(23, b"x")
                                 for _ in range(200))
                flood.sock.sendall(burst)
                sent[0] += 400

    def drain():
        with contextlib.suppress(OSError):
            while flood_plain.recv(65536):
                pass

    threads = [threading.Thread(target=f) for f in (send, drain)]
    for thread in threads:
        thread.start()
    begin, rounds = sent[0], 0
    deadline = time.monotonic() + PATIENCE
    while sent[0] < begin + 20000 and time.monotonic() < deadline:
        exchange(end, plain, 100)
        rounds += 1
    stop.set()
    flood.close()
    flood_plain.close()
    for thread in threads:
        thread.join()
    records = sent[0] - begin
    end.close()
    plain.close()
    # All that a turn allows is less than that for each way of a round.
    if rounds * 4000 < records:
        raise Failure(f"{rounds} rounds while {records} records came")
    return f"{rounds} rounds while {records} records came"


def test_descriptors(bench):
    """A worker that may open no more files waits, and does not turn in vain."""
    worker = bench.processes()["worker0"]
    end, plain = bench.pair("listener")
    limit = len(os.listdir(f"/proc/{worker}/fd")) + 2
    try:
        run("prlimit", "--pid", str(worker), f"--nofile={limit}:")
    except Failure as e:
        end.close()
        plain.close()
        raise Skip(str(e).strip()) from e
    some = [connect(bench.port) for _ in range(10)]

    def ticks():
        with open(f"/proc/{worker}/stat", encoding="ascii") as file:
            return sum(int(n) for n in file.read().split()[13:15])

    time.sleep(0.5)
    before = ticks()
    time.sleep(2)
    spent = ticks() - before
    exchange(end, plain)
    run("prlimit", "--pid", str(worker), "--nofile=1000:")
    for sock in some:
        sock.close()
    if spent > os.sysconf("SC_CLK_TCK"):
        raise Failure(f"{spent} ticks of the processor, for nothing")
    with bench.counted(closed_done=2):
        other, other_plain = bench.pair("listener")
        exchange(other, other_plain)
        part(other, other_plain)
        part(end, plain)


WRITER = """
import os, sys
while True:
    for n in range(100):
        path = f"{sys.argv[1]}/beside.{sys.argv[2]}.{n}"
        with open(path, "wb", 0) as file:
            for _ in range(10):
                file.write(b"x")
        os.rename(path, path + ".new")
        os.unlink(path + ".new")
"""


def test_files_beside(bench):
    """Files that are written all the time where the certificate is."""
    os.link(bench.pem, bench.pem + ".link")
    writers = [subprocess.Popen([sys.executable, "-c", WRITER,
                                 bench.directory, str(n)]) for n in range(6)]
    try:
        time.sleep(2)
        with bench.counted(closed_done=20):
            for _ in range(10):
                for version in ("1.2", "1.3"):
                    end, plain = bench.pair("listener", version)
                    exchange(end, plain)
                    part(end, plain)
    finally:
        for writer in writers:
            writer.kill()
            writer.wait()
        os.unlink(bench.pem + ".link")
    same("signatures that failed", bench.daemon.counters()["failed-key"], 0)


def main():
    """As TAP."""
    in_namespace()
    run("ip", "address", "add", "127.0.0.2/8", "dev", "lo")
    for address in itertools.chain(
            (f"fd00:1::{n:x}" for n in range(1, 11)),
            (f"fd00:{n:x}::1" for n in range(2, 12))):
        run("ip", "address", "add", address + "/128", "dev", "lo", "nodad")
    directory = new_directory()
    rated, rated6, flooded = next(PORTS), next(PORTS), next(PORTS)
    bench = Bench(directory, f"""
workers = 1
listener flooded {{
	address = "127.0.0.1:{flooded}"
	certificate = "{directory}/pem"
	backend = "127.0.0.1:1"
}}
listener rated {{
	address = "127.0.0.1:{rated}"
	certificate = "{directory}/pem"
	backend = "127.0.0.1:1"
	source-rate = {RATE}
}}
listener rated6 {{
	address = "[::1]:{rated6}"
	certificate = "{directory}/pem"
	backend = "127.0.0.1:1"
	source-rate = {RATE}
}}
""", f"""
	max-handshakes = {HALF_OPEN}
	handshake-timeout = {TIMEOUT}
""")
    bench.rated, bench.rated6, bench.flooded = rated, rated6, flooded
    return bench.perform([
        (test.__name__[5:], lambda test=test: test(bench))
        for test in (test_half_open, test_slow, test_rate, test_rate_prefix,
                     test_flood, test_small_records, test_files_beside,
                     test_descriptors)])


if __name__ == "__main__":
    sys.exit(main())
