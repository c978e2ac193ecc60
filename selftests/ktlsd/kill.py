#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Each process of ktlsd is killed under load; and what a worker has, and may do.

Who dies is replaced, and takes nothing along but its own connections. A worker,
were it another's, would find no private key in its memory nor in its files, and
would die of what it is not to do.
"""

import contextlib
import ctypes
import os
import re
import signal
import socket
import sys
import threading
import time

from bench import (PATIENCE, PORTS, Failure, Skip, in_namespace,
                   new_directory, run, same, wait_for)
from pairs import Bench, exchange, part
from raw import CLOSE_NOTIFY, Raw

WORKERS = 2


class Load:
    """Connections that exchange data all the time."""

    def __init__(self, bench, count):
        self.lock = threading.Lock()
        self.alive = [True] * count
        self.rounds = [0] * count
        self.stop = threading.Event()
        self.pairs = [bench.pair("listener", "1.3" if i % 2 else "1.2")
                      for i in range(count)]
        self.threads = [threading.Thread(target=self.run, args=(i,))
                        for i in range(count)]
        for thread in self.threads:
            thread.start()

    def run(self, i):
        """One of them."""
        try:
            while not self.stop.is_set():
                exchange(*self.pairs[i], 2000)
                self.rounds[i] += 1
                time.sleep(0.02)
        except (OSError, Failure, ValueError):
            self.alive[i] = False

    def wait_progress(self):
        """Those that live, do so."""
        before = list(self.rounds)
        try:
            wait_for("progress", lambda: all(
                not alive or now > then + 2 for alive, now, then in
                zip(self.alive, self.rounds, before)))
        except Failure as e:
            raise Failure(f"{e}: {self.alive}, {before}, {self.rounds}") from e

    def end(self):
        """Of those that are left."""
        self.stop.set()
        for thread in self.threads:
            thread.join()
        for end, plain in self.pairs:
            end.close()
            plain.close()


def process(bench, name):
    """What the status says of it."""
    for p in bench.daemon.status()["processes"]:
        if p["role"] + str(p.get("worker", "")) == name:
            return p
    raise Failure(f"there is no {name}")


def kill(bench, name):
    """And it is replaced."""
    before = process(bench, name)
    os.kill(before["pid"], signal.SIGKILL)
    wait_for(f"another {name}", lambda: (
        lambda p: p.get("pid") not in (None, before["pid"]) and
        p["state"] == "running")(process(bench, name)))


def test_killed(bench, name):
    """Under load, twice; new connections come through all the time."""
    load = Load(bench, 12)
    try:
        for _ in range(2):
            load.wait_progress()
            victims = process(bench, name)["counters"]["connections"] \
                if name.startswith("worker") else 0
            dead = load.alive.count(False)
            kill(bench, name)
            if name.startswith("worker"):
                wait_for("end of its connections", lambda: load.alive.count(
                    False) == dead + victims)
            # All at once, before and after the new one is there.
            for version in ("1.2", "1.3") * 5:
                end, plain = bench.pair("listener", version)
                exchange(end, plain)
                end.alert(CLOSE_NOTIFY)
                end.close()
                plain.close()
            load.wait_progress()
            same("connections that ended", load.alive.count(False),
                 dead + victims)
        if not name.startswith("worker"):
            same("connections that ended", load.alive.count(False), 0)
    finally:
        load.end()
    bench.daemon.wait_counter("connections", 0)


def test_backend_pending(bench):
    """The broker is killed while it waits for a backend: the next one is asked."""
    full = socket.socket()
    full.bind(("127.0.0.1", bench.full))
    full.listen(0)
    stuck = []
    for _ in range(3):
        sock = socket.socket()
        sock.setblocking(False)
        sock.connect_ex(full.getsockname())
        stuck.append(sock)
    time.sleep(0.2)
    end = Raw(socket.create_connection(("127.0.0.1", bench.full_port), PATIENCE))
    end.handshake()
    end.send_data(b"hello")
    time.sleep(0.3)
    kill(bench, "broker")
    for sock in stuck:
        sock.close()
    full.settimeout(PATIENCE)
    # Those that were stuck, perhaps, and then it.
    while True:
        plain = full.accept()[0]
        plain.settimeout(PATIENCE)
        if plain.recv(100) == b"hello":
            break
    exchange(end, plain)
    part(end, plain)
    full.close()


def test_supervisor(bench):
    """Without it nobody goes on: all end, and no connection hangs."""
    end, plain = bench.pair("listener")
    exchange(end, plain)
    pids = bench.processes()
    bench.daemon.process.kill()
    bench.daemon.process.wait()
    wait_for("end of all", lambda: not any(
        os.path.exists(f"/proc/{pid}") for pid in pids.values()), 10)
    with contextlib.suppress(OSError):
        while plain.recv(1000):
            pass
    with contextlib.suppress(OSError):
        while end.sock.recv(1000):
            pass
    end.close()
    plain.close()


# What there is in memory

def memory(pid):
    """All that the process can read or write, piece by piece."""
    with open(f"/proc/{pid}/maps", encoding="ascii") as maps, \
            open(f"/proc/{pid}/mem", "rb", 0) as mem:
        for line in maps:
            span, mode, *_ = line.split()
            if "r" not in mode or line.rstrip().endswith("[vvar]") or \
                    "[vsyscall]" in line or "[vvar" in line:
                continue
            begin, end = (int(n, 16) for n in span.split("-"))
            mem.seek(begin)
            try:
                yield mem.read(end - begin)
            except OSError:
                continue


def needles(path):
    """What the private key is made of, as it may lie in memory."""
    text = run("openssl", "pkey", "-in", path, "-noout", "-text")
    found = []
    for name in ("priv:", "privateExponent:", "prime1:", "prime2:",
                 "exponent1:", "exponent2:", "coefficient:"):
        match = re.search(name + r"\n((?: +[0-9a-f:]+\n)+)", text)
        if match:
            number = bytes.fromhex(re.sub(r"[\s:]", "", match[1])).lstrip(b"\0")
            # In parts of 16 bytes: a number of another length begins elsewhere.
            little = number[::-1]
            found += [number[:16], number[-16:], little[:16], little[-16:]]
    with open(path, encoding="ascii") as file:
        pem = file.read()
    body = pem[pem.index("PRIVATE KEY-----"):].splitlines()
    found.append(body[2].encode()[:40])
    return found


def holders(bench, secrets):
    """The names of the processes in whose memory any of it is."""
    names = set()
    for name, pid in bench.processes().items():
        for piece in memory(pid):
            if any(secret in piece for secret in secrets):
                names.add(name)
                break
    return names


def shake_hands(bench, port, count=4):
    """So that all that is needed of the key has been used."""
    for i in range(count):
        end = Raw(socket.create_connection(("127.0.0.1", port), PATIENCE),
                  "1.3" if i % 2 else "1.2")
        end.handshake()
        end.close()
    bench.daemon.wait_counter("connections", 0)


def test_memory(bench, kind):
    """The key is in the key process, and nowhere else; before and after renewals."""
    path = f"{bench.directory}/{kind}.pem"
    port = bench.ports[kind]
    old = []
    for _ in range(3):
        secrets = needles(path)
        shake_hands(bench, port, 8)
        same("who has the key", holders(bench, secrets), {"keys"})
        same("who has an old key", holders(bench, old) - {"keys"}, set())
        old += secrets
        generation = next(c["generation"] for c in
                          bench.daemon.status()["certificates"]
                          if c["certificate"] == path)
        make_certificate(bench.directory, kind)
        wait_for("renewed certificate", lambda: any(
            c["certificate"] == path and c["generation"] > generation for c in
            bench.daemon.status()["certificates"]))
    shake_hands(bench, port, 8)
    same("who has a key", holders(bench, old + needles(path)), {"keys"})


def test_files(bench):
    """No process but the key process has a file of a key open."""
    shake_hands(bench, bench.ports["ec"])
    for name, pid in bench.processes().items():
        for fd in os.listdir(f"/proc/{pid}/fd"):
            with contextlib.suppress(FileNotFoundError):
                target = os.readlink(f"/proc/{pid}/fd/{fd}")
                if target.endswith(".pem") or (name.startswith("worker") and
                                               target.startswith("/") and
                                               not target.endswith("/log") and
                                               target != "/dev/null"):
                    raise Failure(f"{name} has {target} open")
        if name.startswith("worker"):
            with open(f"/proc/{pid}/status", encoding="ascii") as file:
                status = file.read()
            same("capabilities", re.search(r"CapEff:\s*(\w+)", status)[1],
                 "0" * 16)
            same("seccomp", re.search(r"Seccomp:\s*(\d)", status)[1], "2")
            same("no new privileges",
                 re.search(r"NoNewPrivs:\s*(\d)", status)[1], "1")
            same("user", re.search(r"Uid:\s*(\d+)", status)[1] != "0", True)
            same("root directory",
                 os.listdir(f"/proc/{pid}/root"), [])


# What a worker may do

class Tracer:
    """Changes the system calls of a process."""

    ATTACH, SYSCALL, GETREGS, SETREGS, DETACH = 16, 24, 12, 13, 17
    # struct user_regs_struct of x86-64, in its order.
    RDX, RSI, RDI, ORIG_RAX, COUNT = 12, 13, 14, 15, 27

    def __init__(self, pid):
        self.libc = ctypes.CDLL(None, use_errno=True)
        self.libc.ptrace.argtypes = (ctypes.c_long, ctypes.c_long,
                                     ctypes.c_void_p, ctypes.c_void_p)
        self.pid = pid
        self.ask(self.ATTACH)
        self.wait()

    def ask(self, request, data=None):
        """Or it fails."""
        if self.libc.ptrace(request, self.pid, None, data) < 0:
            raise OSError(ctypes.get_errno(), "ptrace")

    def wait(self):
        """What became of the process."""
        return os.waitpid(self.pid, 0x40000000)[1]

    def inject(self, number, *args):
        """Instead of the next system call; the signal of which it died, or 0."""
        self.ask(self.SYSCALL)
        self.wait()
        regs = (ctypes.c_ulonglong * self.COUNT)()
        self.ask(self.GETREGS, regs)
        regs[self.ORIG_RAX] = number
        for where, value in zip((self.RDI, self.RSI, self.RDX), args):
            regs[where] = value & (1 << 64) - 1
        self.ask(self.SETREGS, regs)
        self.ask(self.SYSCALL)
        status = self.wait()
        if os.WIFSIGNALED(status):
            return os.WTERMSIG(status)
        # It lives: what it called has come back.
        self.ask(self.DETACH)
        return 0


# Numbers of x86-64, and arguments that would do.
FORBIDDEN = {
    "open": (2, 0, 0, 0),
    "openat": (257, -100, 0, 0),
    "socket": (41, socket.AF_INET, socket.SOCK_STREAM, 0),
    "connect": (42, 5, 0, 16),
    "bind": (49, 5, 0, 16),
    "execve": (59, 0, 0, 0),
    "execveat": (322, -100, 0, 0),
    "fork": (57,),
    "clone": (56, 17, 0, 0),
    "ptrace": (101, 16, 1, 0),
    "mprotect": (10, 0, 4096, 5),
    "setuid": (105, 0),
    "mount": (165, 0, 0, 0),
    "bpf": (321, 0, 0, 0),
    "io_uring_setup": (425, 1, 0, 0),
    "kill": (62, 1, 0),
    "setsockopt": (54, 0, 1, 25),
}
ALLOWED = {"getpid": (39,)}


def test_forbidden(bench, name, call):
    """A worker dies of it, the log says so, and the others live on."""
    if os.uname().machine != "x86_64":
        raise Skip("the numbers are those of x86-64")
    worker = process(bench, "worker0")
    before = bench.daemon.log().count("SIGSYS")
    end, plain = bench.pair("listener")
    died = Tracer(worker["pid"]).inject(*call)
    if name in ALLOWED:
        same("signal", died, 0)
        exchange(end, plain)
    else:
        same("signal", died, signal.SIGSYS)
        wait_for("line in the log", lambda: bench.daemon.log().count("SIGSYS") >
                 before)
        wait_for("another worker", lambda: process(bench, "worker0")["state"] ==
                 "running")
    end.close()
    plain.close()
    bench.daemon.wait_counter("connections", 0)


def make_certificate(directory, kind):
    """A new key, and a certificate, put there by a rename."""
    pem, key = (f"{directory}/{kind}.{n}" for n in ("new", "key"))
    run("openssl", "req", "-x509", "-newkey",
        *(("rsa:2048",) if kind == "rsa" else
          ("ec", "-pkeyopt", "ec_paramgen_curve:P-256")),
        "-nodes", "-days", "20", "-subj", "/CN=localhost", "-keyout", key,
        "-out", pem)
    with open(key, encoding="ascii") as file:
        text = file.read()
    os.unlink(key)
    with open(pem, "a", encoding="ascii") as file:
        file.write(text)
    os.rename(pem, f"{directory}/{kind}.pem")


def main():
    """As TAP."""
    in_namespace()
    directory = new_directory()
    ports = {kind: next(PORTS) for kind in ("rsa", "ec")}
    full, full_port = next(PORTS), next(PORTS)
    conf = f"workers = {WORKERS}\n"
    for kind, port in ports.items():
        make_certificate(directory, kind)
        conf += f"""
listener {kind} {{
	address = "127.0.0.1:{port}"
	certificate = "{directory}/{kind}.pem"
	backend = "127.0.0.1:1"
}}
"""
    bench = Bench(directory, conf + f"""
listener full {{
	address = "127.0.0.1:{full_port}"
	certificate = "{directory}/ec.pem"
	backend = "127.0.0.1:{full}"
}}
""")
    bench.ports, bench.full, bench.full_port = ports, full, full_port
    tests = [("files", lambda: test_files(bench))]
    for kind in ports:
        tests.append((f"memory.{kind}", lambda kind=kind: test_memory(bench, kind)))
    for name in ("keys", "broker", *(f"worker{n}" for n in range(WORKERS))):
        tests.append((f"killed.{name}",
                      lambda name=name: test_killed(bench, name)))
    tests.append(("killed.broker.pending", lambda: test_backend_pending(bench)))
    for name, call in (ALLOWED | FORBIDDEN).items():
        tests.append((f"call.{name}", lambda name=name, call=call:
                      test_forbidden(bench, name, call)))
    tests.append(("killed.supervisor", lambda: test_supervisor(bench)))
    return bench.perform(tests)


if __name__ == "__main__":
    sys.exit(main())
