# SPDX-License-Identifier: GPL-2.0
"""What the tests of ktlsd share: the daemon, certificates, and TAP."""

import atexit
import contextlib
import itertools
import json
import os
import shutil
import signal
import socket
import ssl
import struct
import subprocess
import sys
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.realpath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
KTLSD = os.environ.get("KTLSD") or \
    os.path.join(TOP, "tools/ktlsd/obj/ktlsd")
KTLSCTL = os.path.join(TOP, "tools/ktlsctl/obj/ktlsctl")
# A kernel that checks itself takes several times longer.
PATIENCE = 300 if os.path.exists("/sys/kernel/debug/kmemleak") else 120
# For listeners, as a guest without KVM has little time for each process.
PATIENT = f"handshake-timeout = {PATIENCE}"
PORTS = itertools.count(20001)


class Failure(Exception):
    """It is not as it should be."""


class Skip(Exception):
    """This host cannot do it, and why."""


def same(name, got, want):
    """Or it fails."""
    if got != want:
        raise Failure(f"{name} is {got!r}, should be {want!r}")


def wait_for(what, condition, patience=PATIENCE):
    """Until it is true, which it returns."""
    end = time.monotonic() + patience
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise Failure(f"no {what} within {patience} s")
        time.sleep(0.05)


def run(*args, **kwargs):
    """What the command says; it is to succeed."""
    got = subprocess.run(args, check=False, stdout=subprocess.PIPE,
                         stderr=subprocess.PIPE, timeout=PATIENCE, **kwargs)
    if got.returncode:
        raise Failure(f"{' '.join(args)}: exit {got.returncode}: "
                      f"{got.stderr.decode()}{got.stdout.decode()}")
    return got.stdout.decode()


def ktlsctl(*args):
    """What it says, as JSON."""
    return json.loads(run(KTLSCTL, "--json", *args))


def sockets(*filters):
    """Those on kernel TLS that the module knows, closed ones too."""
    return ktlsctl("stats", *(str(word) for word in filters),
                   "--closed")["sockets"]


def in_namespace():
    """In a network namespace of its own, so that nothing else is counted."""
    if os.environ.get("KTLSD_TEST") != "netns":
        os.environ["KTLSD_TEST"] = "netns"
        os.execvp("unshare", ["unshare", "--net", sys.executable, *sys.argv])
    run("ip", "link", "set", "lo", "up")
    # What a kernel loads for its first keys takes long on a slow guest, and
    # ktlsd does not wait for ever until a worker has begun.
    for cipher, size in (51, 40), (52, 56), (53, 40), (54, 56):
        has_kernel_tls(struct.pack("HH", 0x304, cipher).ljust(size, b"\0"))


def has_kernel_tls(info=None):
    """A host without it can run some of the tests. With the key, if any."""
    with socket.create_server(("127.0.0.1", 0)) as server, \
            socket.create_connection(server.getsockname()) as end:
        try:
            end.setsockopt(socket.IPPROTO_TCP, 31, b"tls")
            if info:
                end.setsockopt(282, 1, info)
        except OSError:
            return False
    return True


def new_directory():
    """It is gone when the test ends; others may look into it."""
    directory = tempfile.mkdtemp(prefix="ktlsd.")
    os.chmod(directory, 0o755)
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    return directory


def write(path, text):
    """The path of a file with this text."""
    with open(path, "w", encoding="ascii") as file:
        file.write(text)
    return path


def read(path):
    """Its text."""
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read()


class Authority:
    """Issues certificates, in a directory."""

    def __init__(self, directory, name="ca"):
        self.base = os.path.join(directory, name)
        os.mkdir(self.base)
        self.key, self.pem = self.file("key"), self.file("ca.pem")
        write(self.file("conf"), f"""
[ca]
default_ca = it
[it]
database = {self.file("index")}
new_certs_dir = {self.base}
rand_serial = yes
unique_subject = no
default_md = sha256
policy = any
copy_extensions = copy
[any]
commonName = supplied
""")
        write(self.file("index"), "")
        run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
            "ec_paramgen_curve:P-256", "-nodes", "-days", "20", "-subj",
            f"/CN={name}", "-keyout", self.key, "-out", self.pem)

    def file(self, name):
        """Its path."""
        return os.path.join(self.base, name)

    def issue(self, name="localhost", expired=False):
        """The texts of a certificate and of its key."""
        request, key, pem = (self.file(n) for n in ("csr", "new", "pem"))
        run("openssl", "req", "-new", "-newkey", "ec", "-pkeyopt",
            "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/CN={name}",
            "-addext", f"subjectAltName=DNS:{name}", "-keyout", key, "-out",
            request)
        years = ("2001", "2002") if expired else ("2020", "2049")
        run("openssl", "ca", "-batch", "-notext", "-config", self.file("conf"),
            "-keyfile", self.key, "-cert", self.pem, "-in", request, "-out",
            pem, "-startdate", f"{years[0]}0101000000Z", "-enddate",
            f"{years[1]}0101000000Z")
        return read(pem), read(key)

    def issue_file(self, path, name="localhost", **kwargs):
        """Both in one file."""
        return write(path, "".join(self.issue(name, **kwargs)))


class Daemon:
    """ktlsd with a configuration."""

    def __init__(self, directory, conf, env=None):
        self.base = tempfile.mkdtemp(prefix="d", dir=directory)
        os.chmod(self.base, 0o755)
        self.control = os.path.join(self.base, "control")
        self.path = os.path.join(self.base, "ktlsd.conf")
        self.log_path = os.path.join(self.base, "log")
        self.configure(conf)
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen(
                [KTLSD, "--config", self.path],
                env={**os.environ, **(env or {})},
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        atexit.register(self.kill)
        wait_for("start of ktlsd", self.is_running)

    def configure(self, conf):
        """To be read at the next reload."""
        write(self.path + ".new", f'control = "{self.control}"\n{conf}')
        os.rename(self.path + ".new", self.path)

    def is_running(self):
        """It is, and ready."""
        if self.process.poll() is not None:
            raise Failure(f"ktlsd has ended: {self.log()}")
        try:
            return self.status()["state"] == "running"
        except OSError:
            return False

    def ask(self, verb):
        """Its answer, as ktlsctl gets it; who asks often saves a process."""
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(PATIENCE)
            sock.connect(self.control)
            sock.sendall(verb.encode() + b"\n")
            with sock.makefile() as answer:
                text = answer.read()
        if not text:
            raise Failure(f"ktlsd does not answer: {self.log()}")
        return json.loads(text)

    def status(self):
        """All of it."""
        return self.ask("status")

    def counters(self):
        """Of all workers, by name."""
        return self.status()["counters"]

    def log(self):
        """All that it has said."""
        return read(self.log_path)

    def logged(self, text):
        """Whether that is in the log; it waits for it."""
        try:
            return wait_for(text, lambda: text in self.log(), 10)
        except Failure as e:
            raise Failure(f'"{text}" is not in the log:\n{self.log()}') from e

    def wait_counter(self, name, value, patience=PATIENCE):
        """Until it is that; or it fails."""
        try:
            wait_for(name, lambda: self.counters()[name] == value, patience)
        except Failure as e:
            raise Failure(f"{name} is {self.counters()[name]}, should be "
                          f"{value}:\n{self.log()}") from e

    def stop(self):
        """Its exit code. It ends with its last connection."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE)

    def kill(self):
        """Whatever it does."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.send_signal(signal.SIGTERM)
                self.process.wait(5)
            self.process.kill()
            self.process.wait()


class Server:
    """Accepts connections within this process, each in a thread of its own."""

    def __init__(self, port, handle):
        self.port, self.handle = port, handle
        self.listener = socket.create_server(("127.0.0.1", port), backlog=1024)
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        """Until it is closed."""
        while True:
            try:
                end = self.listener.accept()[0]
            except OSError:
                return
            threading.Thread(target=self.attempt, args=(end,),
                             daemon=True).start()

    def attempt(self, end):
        """The client may go whenever it likes."""
        with end, contextlib.suppress(OSError):
            end.settimeout(PATIENCE)
            self.handle(end)

    def close(self):
        """No more of them."""
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()


def echo(end):
    """What a backend may do: gives all back, and ends when the client does."""
    while True:
        data = end.recv(65536)
        if not data:
            return
        end.sendall(data)


def client(ca, **settings):
    """A context of the ssl module that trusts this file."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(ca)
    # Python takes a stream that is cut off for one that has ended.
    context.options &= ~ssl.OP_IGNORE_UNEXPECTED_EOF
    for name, value in settings.items():
        setattr(context, name, value)
    return context


def connect(port, context, name="localhost", **kwargs):
    """A TLS connection, to be closed."""
    sock = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
    try:
        return context.wrap_socket(sock, server_hostname=name,
                                   suppress_ragged_eofs=False, **kwargs)
    except (OSError, ValueError):
        sock.close()
        raise


def talk(end, data=b"here and back"):
    """With an echo behind ktlsd."""
    end.sendall(data)
    got = b""
    while len(got) < len(data):
        part = end.recv(65536)
        if not part:
            raise Failure(f"the stream ends after {len(got)} bytes")
        got += part
    if got != data:
        raise Failure("what comes back is not what was sent")


def perform(tests):
    """Runs all of them: names and functions. The exit code."""
    print("TAP version 13")
    print(f"1..{len(tests)}", flush=True)
    failed = False
    for n, (name, function) in enumerate(tests, 1):
        begin = time.monotonic()
        try:
            note = function()
            seconds = f"{time.monotonic() - begin:.1f} s"
            print(f"ok {n} {name} # {seconds}{', ' + note if note else ''}")
        except Skip as why:
            print(f"ok {n} {name} # SKIP {why}")
        except (Failure, OSError, LookupError, ValueError,
                subprocess.SubprocessError) as why:
            failed = True
            text = f"{type(why).__name__}: {why}"
            print("# " + text.replace("\n", "\n# "))
            print(f"not ok {n} {name}")
        sys.stdout.flush()
    return 1 if failed else 0
