# SPDX-License-Identifier: GPL-2.0
"""A ktlsd with both roles, and the two ends of connections through it.

    Raw as client <----> listener, backend <----> plain end
    plain end <----> connector <----> Raw as server
"""

import contextlib
import itertools
import json
import os
import socket
import sys

import raw
from bench import (PATIENCE, PORTS, Authority, Daemon, Failure, has_kernel_tls,
                   perform, same)
from raw import (ALERT, CLOSE_NOTIFY, DATA, FATAL, RECORD_MAX, WARNING,
                 Raw)

LISTENER, CONNECTOR = "listener", "connector"
ROLES = LISTENER, CONNECTOR
# Of a worker, as worker.h says.
PIPES_KEPT = 64
ENDED = "ended"
RESET = "reset"


def release():
    """Of the kernel."""
    return tuple(int(n) for n in os.uname().release.split("-")[0].split(".")[:2])


def pattern(size, seed=1):
    """Bytes that tell where they are."""
    return b"".join(b"%08x" % (n * 2654435761 * seed & 0xffffffff)
                    for n in range(size // 8 + 1))[:size]


def receive_exactly(sock, size):
    """From a plain end; less only if the stream ends."""
    data = b""
    while len(data) < size:
        some = sock.recv(size - len(data))
        if not some:
            break
        data += some
    return data


def end_of(sock):
    """How a plain end's stream ends, and what came before."""
    data = b""
    while True:
        try:
            some = sock.recv(65536)
        except ConnectionResetError:
            return RESET, data
        if not some:
            return ENDED, data
        data += some


def fds_of(pid):
    """How many files it has open."""
    return len(os.listdir(f"/proc/{pid}/fd"))


def memory_of(pid):
    """Kilobytes that nobody else has."""
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
        return sum(int(line.split()[1]) for line in file
                   if line.startswith("Private_"))


class Direct(Daemon):
    """One that is asked without another process, as it is asked often."""

    def ask(self, verb):
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(PATIENCE)
            sock.connect(self.control)
            sock.sendall(verb.encode() + b"\n")
            with sock.makefile() as answer:
                return json.loads(answer.readline())


class Bench:
    """A ktlsd with both roles, and what is around it."""

    def __init__(self, directory, conf="", limits="", loop=False):
        """@conf: more of it; @limits: of the listener; @loop: what the connector
        connects to is the listener."""
        self.directory = directory
        self.kernel = has_kernel_tls()
        # Of TLS 1.3 the kernel takes a second key from 6.14 on; libssl always.
        self.rekeys = not self.kernel or release() >= (6, 14)
        authority = Authority(directory)
        self.pem = authority.issue_file(os.path.join(directory, "pem"))
        self.port, self.connector = next(PORTS), next(PORTS)
        self.backend = socket.create_server(("127.0.0.1", next(PORTS)))
        self.remote = socket.create_server(("127.0.0.1", next(PORTS)))
        self.backend_port = self.backend.getsockname()[1]
        remote = self.port if loop else self.remote.getsockname()[1]
        for listener in self.backend, self.remote:
            listener.settimeout(PATIENCE)
        self.daemon = Direct(directory, f"""
{conf or "workers = 2"}
listener www {{
	address = "127.0.0.1:{self.port}"
	certificate = "{self.pem}"
	backend = "127.0.0.1:{self.backend_port}"
	{"require = kernel" if self.kernel else ""}
	{limits}
}}
connector out {{
	address = "127.0.0.1:{self.connector}"
	backend = "127.0.0.1:{remote}"
	server-name = "localhost"
	ca = "{authority.pem}"
	{"require = kernel" if self.kernel else ""}
}}
""")
        self.others = []

    def perform(self, tests):
        """Those whose names have a word of the command line; the exit code."""
        if len(sys.argv) > 1:
            tests = [t for t in tests if any(w in t[0] for w in sys.argv[1:])]
        code = perform(tests)
        if code:
            lines = self.daemon.log().splitlines()[-40:]
            print("\n".join("# " + line for line in lines))
        return code

    def processes(self):
        """Their numbers, by name."""
        status = self.daemon.status()
        found = {"supervisor": status["pid"]}
        for p in status["processes"]:
            found[p["role"] + str(p.get("worker", ""))] = p.get("pid")
        return found

    def resources(self):
        """Of each process: open files, and kilobytes of memory."""
        return {name: (fds_of(pid), memory_of(pid))
                for name, pid in self.processes().items()}

    def check_idle(self, before, memory=4096, patience=PATIENCE):
        """No connection is left, and nothing of any."""
        self.daemon.wait_counter("connections", len(self.others),
                                 patience)
        same("handshakes", self.daemon.counters()["handshakes"], 0)
        for name, (fds, kilobytes) in self.resources().items():
            # Pipes are kept for others, but so many at most.
            # And who has just asked may not have been forgotten yet.
            room = 2 * PIPES_KEPT if name.startswith("worker") else \
                name == "supervisor"
            if fds > before[name][0] + room:
                raise Failure(f"{name} has {fds} files open, and had "
                              f"{before[name][0]}")
            if kilobytes > before[name][1] + memory:
                raise Failure(f"{name} has {kilobytes} kB of memory, and had "
                              f"{before[name][1]}")

    def pair(self, role, version="1.3", first=(), **kwargs):
        """Both ends of a connection through ktlsd."""
        if role == LISTENER:
            end = Raw(socket.create_connection(("127.0.0.1", self.port),
                                               PATIENCE), version, **kwargs)
            end.handshake(*first)
            plain = self.backend.accept()[0]
        else:
            plain = socket.create_connection(("127.0.0.1", self.connector),
                                             PATIENCE)
            end = Raw(self.remote.accept()[0], version, pem=self.pem, **kwargs)
            end.handshake(*first)
        plain.settimeout(PATIENCE)
        return end, plain

    @contextlib.contextmanager
    def both(self, *args, **kwargs):
        """As pair(), and they are closed."""
        end, plain = self.pair(*args, **kwargs)
        try:
            yield end, plain
        finally:
            end.close()
            plain.close()

    @contextlib.contextmanager
    def counted(self, **changes):
        """These counters change by so much, and nothing else ends."""
        before = self.daemon.counters()
        yield
        for name, by in changes.items():
            name = name.replace("_", "-")
            if not self.kernel and name.startswith("rekeys"):
                continue
            self.daemon.wait_counter(name, before[name] + by)
        after = self.daemon.counters()
        for name in after:
            if name.startswith("closed-") and name.replace("-", "_") not in changes:
                same(name, after[name], before[name])

    def begin_others(self):
        """Connections that are to live on, whatever becomes of the rest."""
        for role, version in itertools.product(ROLES, ("1.2", "1.3")):
            # More than one for each worker.
            self.others += [self.pair(role, version) for _ in range(3)]

    def check_others(self):
        """They do."""
        for end, plain in self.others:
            exchange(end, plain)


def exchange(end, plain, size=1000, record=RECORD_MAX):
    """Both ways, byte for byte."""
    data = pattern(size, 3)
    end.send_data(data, record)
    got = receive_exactly(plain, size)
    same("bytes to the plain end", len(got), size)
    same("data to the plain end", got == data, True)
    data = pattern(size, 5)
    plain.sendall(data)
    same("data to the TLS end", end.receive_data(size) == data, True)


def part(end, plain):
    """The end, in order: close_notify both ways."""
    end.alert(CLOSE_NOTIFY)
    same("end of the plain stream", end_of(plain), (ENDED, b""))
    plain.close()
    same("last record", end.receive(), (ALERT, bytes([WARNING, 0])))
    expect_eof(end)


def expect_eof(end):
    """Nothing comes any more, and no half of a record."""
    try:
        got = end.receive()
    except raw.Closed as why:
        same("what is behind the last record", str(why), "")
        return
    raise Failure(f"another record: {got}")


def expect_alert(end, number, level=FATAL):
    """And then the end."""
    same("record", end.receive(), (ALERT, bytes([level, number])))
    with contextlib.suppress(ConnectionResetError):
        expect_eof(end)
