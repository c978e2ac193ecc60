# SPDX-License-Identifier: GPL-2.0
"""Real programs with TLS connections that stay open, and what strace saw."""

import contextlib
import ctypes
import fcntl
import glob
import itertools
import os
import signal
import socket
import ssl
import subprocess
import termios
import threading
import time

import trace

# A kernel that checks itself takes several times longer.
PATIENCE = 300 if os.path.exists("/sys/kernel/debug/kmemleak") else 120
CLONE_NEWNET = 0x40000000
MPTCP = 262
REQUEST = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
# The rest of the body never comes, so that the client waits for it.
REPLY = b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + b"x" * 1000
# The client has no opinion, but for the version.
ANY_CIPHER = "ALL:COMPLEMENTOFALL:!aNULL:@SECLEVEL=0"


class Broken(Exception):
    """A set-up is not what it claims to be."""


def wait_for(what, condition):
    """Until it is true, which it returns."""
    end = time.monotonic() + PATIENCE
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise Broken(f"no {what} within {PATIENCE} s")
        time.sleep(0.05)


def listening(pid):
    """Ports with a listener, in the network namespace of a process."""
    ports = set()
    for table in "tcp", "tcp6":
        with contextlib.suppress(OSError), \
                open(f"/proc/{pid}/net/{table}", encoding="ascii") as lines:
            for line in lines:
                words = line.split()
                if words[3] == "0A":
                    ports.add(int(words[1].rpartition(":")[2], 16))
    return ports


def new_socket(netns=None, protocol=0):
    """A TCP socket in a network namespace, which is left again."""
    made = []

    def make():
        if netns:
            with open(f"/run/netns/{netns}", "rb") as file:
                if ctypes.CDLL(None).setns(file.fileno(), CLONE_NEWNET):
                    return
        made.append(socket.socket(socket.AF_INET, socket.SOCK_STREAM, protocol))

    # A thread may go there alone.
    thread = threading.Thread(target=make)
    thread.start()
    thread.join()
    if not made:
        raise Broken(f"cannot enter the network namespace {netns}")
    made[0].settimeout(PATIENCE)
    return made[0]


def set_version(context, version):
    """Just this one, if any."""
    context.set_ciphers(ANY_CIPHER)
    if version:
        context.minimum_version = context.maximum_version = version


def begin_handshake(end):
    """Until the server has answered, and waits for the client to go on."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    out = ssl.MemoryBIO()
    with contextlib.suppress(ssl.SSLWantReadError):
        context.wrap_bio(ssl.MemoryBIO(), out,
                         server_hostname="localhost").do_handshake()
    end.sendall(out.read())
    if not end.recv(4096):
        raise Broken("the server refused to begin a handshake")


class Bench:
    """A directory with a certificate, ports that are free, and peers."""

    def __init__(self, directory):
        self.directory = directory
        self.ports = itertools.count(20001)
        # What was written, which the lock keeps true of the files.
        self.texts, self.lock = {}, threading.Lock()
        self.pem = os.path.join(directory, "both.pem")
        key = os.path.join(directory, "key.pem")
        certificate = os.path.join(directory, "cert.pem")
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
             "ec_paramgen_curve:P-256", "-nodes", "-keyout", key, "-out",
             certificate, "-subj", "/CN=localhost", "-addext",
             "subjectAltName=DNS:localhost,IP:127.0.0.1", "-days", "2"],
            check=True, capture_output=True)
        with open(self.pem, "w", encoding="ascii") as both:
            for path in key, certificate:
                os.chmod(path, 0o644)
                with open(path, encoding="ascii") as part:
                    both.write(part.read())
        self.key, self.certificate = key, certificate
        self.backend = Peer(self, tls=False)
        # Ports that the policy has a rule about: its direction is denied.
        self.denied = {what: next(self.ports) for what in ("tx", "rx")}

    def path(self, name, text=None):
        """A file's path, and the file if it is to have some text.

        One that has it is let be: it would be newer than those that read it.
        """
        path = os.path.join(self.directory, name)
        if text is None:
            return path
        with self.lock:
            if self.texts.get(path) == text:
                return path
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "w", encoding="ascii") as file:
                file.write(text)
            self.texts[path] = text
        return path


class Peer:
    """A server within this process; it answers each first message."""

    def __init__(self, bench, tls=True, version=None):
        self.port = next(bench.ports)
        self.kept = []
        self.context = None
        if tls:
            self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.context.load_cert_chain(bench.pem)
            set_version(self.context, version)
        self.listener = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        """Until the listener is closed."""
        while True:
            try:
                end = self.listener.accept()[0]
            except OSError:
                return
            threading.Thread(target=self.answer, args=(end,),
                             daemon=True).start()

    def answer(self, end):
        """Takes a message; only then is the connection ready."""
        with contextlib.suppress(OSError):
            if self.context:
                end = self.context.wrap_socket(end, server_side=True)
            end.settimeout(PATIENCE)
            if end.recv(4096):
                end.sendall(REPLY)
                self.kept.append(end)

    def wait_client(self, source=None):
        """The end of a client that sent its message, by its port."""
        return wait_for("message of the client", lambda: next(
            (end for end in self.kept
             if source in (None, end.getpeername()[1])), None))

    def close(self):
        """With all connections."""
        # A thread that waits in accept() would keep it.
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for end in self.kept:
            end.close()


class Program:
    """A program under strace. Its ports have labels."""

    def __init__(self, bench, name, argv, ports=None, env=None, stdin=None,
                 netns=None, peer=None, sources=None):
        self.bench, self.name, self.argv = bench, name, argv
        self.ports = ports or {}
        self.env = env or {}
        self.stdin, self.netns, self.peer = stdin, netns, peer
        # A client's own ports, by label.
        self.sources = sources or {}
        self.prefix = bench.path(f"{name}.trace")
        self.log = bench.path(f"{name}.log")
        self.process = None
        self.kept = []

    def start(self):
        """Until it listens, or its message has come."""
        argv = [*trace.STRACE, "-o", self.prefix, "--", *self.argv]
        if self.netns:
            argv = ["ip", "netns", "exec", self.netns, *argv]
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                argv, env={**os.environ, **self.env}, stdin=subprocess.PIPE,
                stdout=log, stderr=log, start_new_session=True,
                cwd=self.bench.directory)
        if self.stdin and self.peer:
            self.say(self.stdin)
        wait_for(f"listener of {self.name}", self.listens)

    def listens(self):
        """On all its ports?"""
        if self.process.poll() is not None:
            raise Broken(f"{self.name} has ended")
        return set(self.ports.values()) <= listening(self.process.pid)

    def say(self, text):
        """On its standard input, until it has been read."""
        self.process.stdin.write(text)
        self.process.stdin.flush()
        left = bytearray(4)

        def is_read():
            fcntl.ioctl(self.process.stdin, termios.FIONREAD, left)
            return not any(left)

        wait_for(f"reading by {self.name}", is_read)

    def connect(self, label, version=None, protocol=0, request=REQUEST,
                name="localhost", alpn="http/1.1"):
        """A client within this process: the connection that it keeps."""
        # A server may lose its patience on a slow machine.
        for _ in range(4):
            with contextlib.suppress(ConnectionError):
                return self.try_to_connect(label, version, protocol, request,
                                           name, alpn)
        return self.try_to_connect(label, version, protocol, request, name,
                                   alpn)

    def try_to_connect(self, label, version, protocol, request, name, alpn):
        """Once."""
        end = new_socket(self.netns, protocol)
        end.connect(("127.0.0.1", self.ports[label]))
        if version not in ("plain", "silent", "half"):
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
            set_version(context, version)
            context.set_alpn_protocols([alpn])
            end = context.wrap_socket(end, server_hostname=name)
        self.kept.append(end)
        if version == "half":
            begin_handshake(end)
        elif version != "silent":
            self.exchange(end, request)
        return end

    def exchange(self, end, request=REQUEST):
        """A message each way: the handshake is over, and so are its calls."""
        end.sendall(request)
        if self.stdin and not self.peer:
            self.say(self.stdin)
        if not end.recv(4096):
            raise Broken(f"{self.name} closed the connection")

    def pids(self):
        """All its processes: strace has a file for each thread."""
        found = set()
        for path in glob.glob(glob.escape(self.prefix) + ".*"):
            with contextlib.suppress(OSError), \
                    open(f"/proc/{path.rpartition('.')[2]}/status",
                         encoding="ascii", errors="replace") as file:
                status = dict(line.split(":", 1) for line in file)
                if status["State"].split()[0] not in "ZX":
                    found.add(int(status["Tgid"]))
        return sorted(found)

    def holders(self, inode):
        """Those of them that have the socket."""
        wanted, found = f"socket:[{inode}]", []
        for pid in self.pids():
            with contextlib.suppress(OSError):
                for fd in glob.glob(f"/proc/{pid}/fd/*"):
                    with contextlib.suppress(OSError):
                        if os.readlink(fd) == wanted:
                            found.append(pid)
                            break
        return found

    def trace(self, local, remote, inode):
        """What it asked for, about one connection."""
        return trace.Trace(self.prefix, local, remote, inode)

    def stop(self):
        """With all that belongs to it."""
        for end in self.kept:
            end.close()
        if self.peer:
            self.peer.close()
        if self.process:
            # What strace runs would outlive it.
            for pid in self.pids():
                with contextlib.suppress(OSError):
                    os.kill(pid, signal.SIGKILL)
            with contextlib.suppress(OSError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.process.stdin.close()
            wait_for(f"end of {self.name}", lambda: not self.pids())

    def last_words(self):
        """The end of its log."""
        with contextlib.suppress(OSError), \
                open(self.log, encoding="utf-8", errors="replace") as file:
            return file.read()[-1500:]
        return ""
