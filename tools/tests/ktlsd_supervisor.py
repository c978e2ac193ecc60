#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The configuration of ktlsd, its supervisor, and the control socket.

usage: ktlsd_supervisor.py KTLSD-FAKE KTLSCTL

KTLSD-FAKE has workers that do what their clients say, see ktlsd_fake.c.
"""

import contextlib
import json
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import threading
import time

import tap
from tap import ok

FAKE, CTL = (os.path.abspath(path) for path in sys.argv[1:3])
DIR = tempfile.mkdtemp(prefix="ktlsd-")
CERT = os.path.join(DIR, "cert.pem")
LIVE = os.path.join(DIR, "live")

GOOD = f"""
user = nobody
workers = 2
listener www {{
    address = "127.0.0.1:PORT"
    certificate = "{CERT}"
    backend = "127.0.0.1:1"
}}
"""


def make_certificate():
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                    "ec_paramgen_curve:P-256", "-nodes", "-keyout",
                    CERT + ".key", "-out", CERT + ".crt", "-days", "3",
                    "-subj", "/CN=localhost"], check=True,
                   stderr=subprocess.DEVNULL)
    os.mkdir(LIVE)
    shutil.copy(CERT + ".crt", os.path.join(LIVE, "fullchain.pem"))
    shutil.copy(CERT + ".key", os.path.join(LIVE, "privkey.pem"))
    with open(CERT, "w") as both:
        for part in (".crt", ".key"):
            with open(CERT + part) as f:
                both.write(f.read())


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def write(name, text):
    path = os.path.join(DIR, name)
    with open(path, "w") as f:
        f.write(text)
    return path


def check(text, name="check.conf"):
    return subprocess.run([FAKE, "--check", "-c", write(name, text)],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True, errors="surrogateescape", timeout=60)


# Configuration


def listener(settings, name="x", kind="listener"):
    return f"{kind} {name} {{\n" + "".join(s + "\n" for s in settings) + "}\n"


A = 'address = "*:4443"'
C = f'certificate = "{CERT}"'
B = 'backend = "127.0.0.1:80"'

MANY_WRONG = ("# one\n/* two\nthree */ usr = a\n// four\nwrk = 3\n" +
              listener([A, C, B, "foo = 1", "bar = { a, # no\n b }"]))

# What is wrong, in which line (0: none in particular), and what is said of it.
WRONG = [
    ("", [(0, "nothing to do")]),
    ("\nlistener x {\n", [(2, "the { that opens here is not closed")]),
    ("x = { a, b\n", [(1, "the { that opens here is not closed")]),
    ("user =", [(2, "premature end")]),
    ("}\n", [(1, "unexpected closing brace")]),
    ("listener {\n}\n", [(1, "write its name before the {")]),
    ("listener x\nuser = y\n", [(2, "missing opening brace")]),
    ("user nobody\n", [(1, "write NAME = VALUE")]),
    ("user =\n\n'no\n", [(3, "the quote that opens here is not closed")]),
    ('user = "no\n', [(1, "the quote that opens here is not closed")]),
    ("user = \0\n", [(0, "byte 0")]),
    # All that is wrong is told, and comments do not shift its lines.
    (MANY_WRONG,
     [(3, 'no option "usr"; outside of sections there are user'),
      (5, 'no option "wrk"'),
      (10, 'a listener has no option "foo"; its options are address'),
      (11, 'no option "bar"')]),
    ("bla x { y = 1 }\n", [(1, 'no option "bla"')]),
    ("user = no-such-user\n" + listener([A, C, B]),
     [(1, "useradd --system")]),
    ("user = root\n" + listener([A, C, B]), [(1, "not to be root")]),
    ("workers = 0\n" + listener([A, C, B]), [(1, 'from 1 to 1024, not "0"')]),
    ("workers = 1x\nticket-hours = -1\ndrain-timeout = 99999999999999999999\n" +
     listener([A, C, B]),
     [(1, 'not "1x"'), (2, 'not "-1"'), (3, "from 1 to 86400")]),
    ("control = run\n" + listener([A, C, B]), [(1, "a path from / on")]),
    ("control = " + "/x" * 60 + "\n" + listener([A, C, B]),
     [(0, "too long for a socket")]),
    (listener([]), [(1, "x has no address"), (1, "x has no certificate"),
                    (1, "x has no backend")]),
    (listener([], kind="connector"), [(1, "x has no address"),
                                      (1, "x has no backend")]),
    (listener(["address = 443", C, B]), [(2, "write it as 192.0.2.1:443")]),
    (listener(["address = \"1.2.3.4:\"", C, B]), [(2, "1 to 65535")]),
    (listener(["address = \"1.2.3.4:65536\"", C, B]), [(2, "1 to 65535")]),
    (listener(["address = \"1.2.3.4:0\"", C, B]), [(2, "1 to 65535")]),
    (listener(["address = \"1.2.3.4:https\"", C, B]), [(2, "1 to 65535")]),
    (listener(["address = \"1.2.3:443:\"", C, B]), [(2, "write it as")]),
    (listener(["address = \"::1:443\"", C, B]), [(2, "write it as")]),
    (listener(["address = \"[1.2.3.4]:443\"", C, B]), [(2, "write it as")]),
    (listener(["address = \"[::1:443\"", C, B]), [(2, "write it as")]),
    (listener(["address = \"localhost:443\"", C, B]),
     [(2, "no address in numbers; to listen on all write *:443")]),
    (listener(["address = \"unix:/x\"", C, B]), [(2, "on TCP only")]),
    (listener(["address = \"unix:x\"", C, B]), [(2, "a path from / on")]),
    (listener(["address = \"unix:@\"", C, B]), [(2, "abstract")]),
    (listener(["address = \"unix:/" + "x" * 120 + "\"", C, B]),
     [(2, "at most 107 bytes")]),
    (listener([A, "backend = \"unix:/x\""], kind="connector"),
     [(3, "on TCP only")]),
    (listener([A, C, "backend = \"no-such-host.invalid:80\""]),
     [(4, "could not be resolved")]),
    (listener([A, C, B, "root = /tmp"]),
     [(5, "root and backend (line 4) exclude each other")]),
    (listener([A, C, "root = tmp"]), [(4, "a path from / on")]),
    (listener([A, C, "root = /tmp", "proxy-protocol = true"]),
     [(4, "nobody to speak proxy-protocol to")]),
    (listener([A, "certificate = { /a, /b }", "key = /c", B]),
     [(4, "2 certificates and 1 key;")]),
    (listener([A, "certificate = /a", "key = { /c, /d }", B]),
     [(4, "1 certificate and 2 keys;")]),
    (listener([A, "key = /c", B]), [(1, "no certificate"),
                                    (3, "name the certificate")]),
    (listener([A, "certificate = a.pem", B]), [(3, "a path from / on")]),
    (listener([A, "certificate = { /a, /b }", B], kind="connector"),
     [(3, "one certificate at most")]),
    (listener([A, C, B, "proxy-protocol = 2"]), [(5, "takes true or false")]),
    (listener([A, C, B, "require = user"]), [(5, "any kernel")]),
    (listener([A, C, B, "client-certificate = yes"]),
     [(5, "none optional required")]),
    (listener([A, C, B, "client-certificate = required"]),
     [(5, "name a file of certificates with client-ca")]),
    (listener([A, C, B, "client-ca = /x"]), [(5, "alone asks no client")]),
    (listener([A, C, B, "server-name = x"]), [(5, "a listener has no option")]),
    (listener([A, B, "client-ca = x"], kind="connector"),
     [(4, "a connector has no option")]),
    (listener([A, B, "server-name = \"\""], kind="connector"),
     [(4, "1 to 255 bytes")]),
    (listener([A, C, B, 'alpn = { h2, "" }']), [(5, "1 to 255 bytes")]),
    (listener([A, C, B, "alpn = " + "x" * 256]), [(5, "1 to 255 bytes")]),
    (listener([A, C, B, "max-connections = 0", "max-handshakes = 0",
               "handshake-timeout = 601", "source-rate = -1"]),
     [(5, "from 1 to 1000000"), (6, "from 1 to 100000"), (7, "from 1 to 600"),
      (8, "from 0 to 1000000")]),
    (listener([A, C, B, B]), [(5, "a second time, after line 4; remove one")]),
    (listener([A, C, B, C]), [(5, "make a list")]),
    (listener([A, A.replace("=", "= {") + "}", C, B]), [(3, "a second time")]),
    (listener(["address = { a, b }", C, B]), [(2, "takes one value, not 2"),
                                              (1, "no address")]),
    (listener([A, C, B]) + listener([A, C, B], "y"),
     [(7, "taken by *:4443 of x, line 1")]),
    (listener([A, C, B]) + listener(['address = "127.0.0.1:4443"', C, B], "y"),
     [(7, "address 127.0.0.1:4443 is taken by *:4443")]),
    (listener(['address = "0.0.0.0:1"', C, B]) +
     listener(['address = "127.0.0.1:1"', C, B], "y"), [(7, "is taken by")]),
    (listener(['address = "unix:/x"', B], kind="connector") +
     listener(['address = "unix:/x"', B], "y", "connector"),
     [(6, "is taken by")]),
    (listener([A, C, B]) + listener(['address = "*:1"', C, B]),
     [(6, "the name x is taken by line 1")]),
    (listener([A, C, B], '""'), [(1, "1 to 63 bytes")]),
    # Services.
    ("handshake = /run/x\n" + listener([A, C, B]),
     [(1, "there is none; write a service")]),
    (listener([C], kind="service"), [(1, "no role; write role = server")]),
    (listener(["role = both"], kind="service"), [(2, "server client")]),
    (listener(["role = server"], kind="service"), [(1, "no certificate")]),
    (listener(["role = client", A, B], kind="service"),
     [(3, "a service has no option"), (4, "a service has no option")]),
    (listener(["role = server", C, "ca = /x", "server-name = x"],
              kind="service"),
     [(4, "ca is not for role = server"), (5, "server-name is not for")]),
    (listener(["role = client", "client-ca = /x", "client-certificate = none"],
              kind="service"),
     [(3, "client-ca is not for role = client"),
      (4, "client-certificate is not for")]),
    (listener(["role = server", C, "client-certificate = required"],
              kind="service"), [(4, "name a file of certificates")]),
    (listener(["role = client", "certificate = { /a, /b }"], kind="service"),
     [(3, "one certificate at most")]),
    ("handshake-group = no-such-group\n" +
     listener(["role = client"], kind="service"), [(1, "groupadd --system")]),
    ("control = /x\nhandshake = /x\n" +
     listener(["role = client"], kind="service"), [(2, "the same socket")]),
    (f"handshake = /{'x' * 200}\n" +
     listener(["role = client"], kind="service"), [(1, "at most 107 bytes")]),
    # Files: they are looked at when all else is right.
    (listener([A, "certificate = /no/such", B]),
     [(3, "certificate /no/such: No such file")]),
    (listener([A, C, "key = /no/such", B]), [(3, "key /no/such: No such file")]),
    (listener([A, f'certificate = "{CERT}.crt"', B]), [(3, "no private key")]),
    (listener([A, C, "root = /etc/passwd"]), [(1, "is no directory")]),
    (listener([A, C, B, "client-certificate = optional", "client-ca = /tmp"]),
     [(1, "is no file")]),
    (listener([A, C, B, "client-certificate = optional",
               "client-ca = /etc/passwd"]), [(1, "no certificates in PEM")]),
]

RIGHT = [
    (listener([A, C, B]), 1, 1),
    (listener([A, f'certificate = "{LIVE}"', B]) +
     listener(["address = \"127.0.0.1:1\"", f'certificate = {{ "{LIVE}", "{CERT}" }}',
               "root = /tmp"], "y"), 2, 2),
    (listener(["address = '[::1]:443'", C, B]) +
     listener(["address = '127.0.0.1:443'", C, B], "y") +
     listener(["address = '127.0.0.2:443'", C, B], "z"), 3, 1),
    (listener([A, f'certificate = "{CERT}.crt"', f'key = "{CERT}.key"',
               "backend = 'unix:/run/x'", "proxy-protocol = on", "alpn = imap",
               "client-certificate = required", f"client-ca = '{CERT}'",
               "require = kernel", "source-rate = 0"]) +
     listener(["address = 'unix:@x'", "backend = localhost:443",
               "server-name = example.org"], "y", "connector"), 2, 1),
    ("handshake = /run/x\nhandshake-group = root\n" +
     listener(["role = client", f"ca = '{CERT}'", "server-name = x",
               "alpn = { h2, http/1.1 }", C], kind="service") +
     listener(["role = server", C, "client-certificate = optional",
               f"client-ca = '{CERT}'"], "y", "service"), 2, 1),
]


def test_configuration():
    for text, said in WRONG:
        r = check(text)
        lines = r.stderr.splitlines()
        path = os.path.join(DIR, "check.conf")
        wanted = [(f"{path}:{line}: " if line else f"{path}: ", words)
                  for line, words in said]
        ok(r.returncode == 1 and not r.stdout and len(lines) == len(said) and
           all(any(got.startswith(where) and words in got for got in lines)
               for where, words in wanted),
           f"wrong: {said[0][1]}", text + r.stderr)
    r = check(MANY_WRONG)
    ok([int(line.split(":")[1]) for line in r.stderr.splitlines()] ==
       [3, 5, 10, 11], "they come in the order of lines", r.stderr)
    for text, listeners, certificates in RIGHT:
        r = check(text)
        ok(r.returncode == 0 and not r.stderr and
           f": ok: {listeners} listener{'' if listeners == 1 else 's'}, "
           f"{certificates} certificate{'' if certificates == 1 else 's'}\n" in
           r.stdout, f"right: {listeners}, {certificates}", text + r.stderr)
    for cut in range(0, len(GOOD), 7):
        r = check(GOOD[:cut])
        if r.returncode != 1 or "AddressSanitizer" in r.stderr:
            ok(False, f"a file that ends after {cut} bytes", r.stderr)
    ok(True, "a file may end anywhere")


def test_usage():
    for args, code, says in [
            (["-x"], 2, "for help"), (["foo"], 2, 'there is "foo"'),
            (["-c"], 2, "for help"), (["--check=1"], 2, "for help"),
            (["-c", "/no/such"], 1, "could not open it"),
            (["-c", "/tmp"], 1, "it is no file"),
            (["-h"], 0, "--check"), (["--version"], 0, "ktlsd 0")]:
        r = subprocess.run([FAKE] + args, stdout=subprocess.PIPE,
                           stderr=subprocess.STDOUT, text=True, timeout=30)
        ok(r.returncode == code and says in r.stdout,
           f"ktlsd {' '.join(args)}: {code}", r.stdout)
    with open("/dev/full", "w") as full:
        r = subprocess.run([FAKE, "--help"], stdout=full,
                           stderr=subprocess.PIPE, text=True)
    ok(r.returncode == 1 and "No space left" in r.stderr, "a full disk",
       r.stderr)


# The supervisor


class Daemon:
    """A ktlsd that runs, and what it has told systemd."""

    def __init__(self, conf=GOOD, env=None, argv=None, pass_fds=()):
        self.dir = tempfile.mkdtemp(dir=DIR)
        self.port = free_port()
        self.conf = os.path.join(self.dir, "conf")
        self.path = os.path.join(self.dir, "control")
        self.notified = []
        self.write(conf)
        notify = os.path.join(self.dir, "notify")
        self.notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.notify.bind(notify)
        threading.Thread(target=self.read_notified, daemon=True).start()
        self.log = open(os.path.join(self.dir, "log"), "w+")
        self.process = subprocess.Popen(
            (argv or []) + [FAKE, "-c", self.conf], stderr=self.log,
            pass_fds=pass_fds,
            env=dict(os.environ, NOTIFY_SOCKET=notify, KTLSD_FAKE=self.dir,
                     **(env or {})))

    def write(self, conf):
        conf = f'control = "{self.path}"\n' + conf.replace("PORT",
                                                           str(self.port))
        with open(self.conf, "w") as f:
            f.write(conf)

    def touch(self, name):
        return write(os.path.join(self.dir, name), "")

    def read_notified(self):
        with contextlib.suppress(OSError):
            while True:
                message = self.notify.recv(4096).decode()
                if not message:
                    return
                self.notified.append(message)

    def wait_notified(self, text, timeout=20):
        return self.until(lambda: any(text in message
                                      for message in self.notified), timeout)

    def connect(self, port=None):
        s = socket.create_connection(("127.0.0.1", port or self.port), 10)
        return s

    def worker(self, index):
        """A connection to this worker; others are closed."""
        end = time.monotonic() + 10
        while time.monotonic() < end:
            s = self.connect()
            if ask(s, "who").split()[1] == str(index):
                return s
            s.close()
            time.sleep(0.01)
        raise AssertionError("no such worker")

    def command(self, command, timeout=30):
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(timeout)
            s.connect(self.path)
            s.sendall(command + b"\n")
            answer = b""
            while True:
                more = s.recv(65536)
                if not more:
                    break
                answer += more
        return json.loads(answer)

    def status(self):
        return self.command(b"status")

    def pids(self, role):
        return [p["pid"] for p in self.status()["processes"]
                if p["role"] == role and "pid" in p]

    def until(self, condition, timeout=10):
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            if condition():
                return True
            time.sleep(0.05)
        return False

    def read_log(self):
        self.log.seek(0)
        return self.log.read()

    def wait(self, timeout=20):
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            return None

    def end(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            if self.wait() is None:
                self.process.kill()
                self.process.wait()
        self.notify.shutdown(socket.SHUT_RDWR)
        self.notify.close()
        log = self.read_log()
        self.log.close()
        ok("Sanitizer" not in log and "runtime error" not in log,
           "no complaint of a sanitizer", log)
        return log


@contextlib.contextmanager
def daemon(*args, **kwargs):
    d = Daemon(*args, **kwargs)
    try:
        ready = d.wait_notified("READY=1")
        if not ready:
            ok(False, "it becomes ready", d.read_log())
        yield d
    finally:
        d.end()


def ask(s, line):
    s.sendall(line.encode() + b"\n")
    return s.recv(256).decode()


def is_alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as f:
            return f.read().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_run():
    with daemon() as d:
        j = d.status()
        ok(j["state"] == "running" and j["reloads"] == 0 and
           [p["state"] for p in j["processes"]] == ["running"] * 4 and
           j["listeners"][0]["name"] == "www" and
           j["certificates"][0]["serial"] == "12ab", "status", j)
        ok(stat.S_IMODE(os.stat(d.path).st_mode) == 0o600,
           "the control socket is its owner's", oct(os.stat(d.path).st_mode))
        a, b = d.worker(0), d.worker(1)
        keys, broker = d.pids("keys")[0], d.pids("broker")[0]
        ok(ask(a, "channels") == ask(b, "channels") == f"{keys} {broker}\n",
           "all workers have channels to keys and broker", ask(a, "channels"))
        tickets = ask(a, "tickets")
        ok(tickets == ask(b, "tickets") and tickets.startswith("2 "),
           "and the same ticket keys", tickets)
        fds = os.listdir(f"/proc/{keys}/fd")
        ok(len(fds) <= 5, "keys has no descriptor of others", fds)

        j = d.command(b"connections")["connections"]
        ok(len(j) == 2 and all(c["cookie"] and c["listener"] == "www" and
                               c["tx"] == "kernel" and c["rx"] == "user" and
                               c["server-name"] == "a?\x1b[2J\u00e9" and
                               c["peer-name"] == "p" * 256 for c in j),
           "connections of both workers, whatever they are called", j)
        ok(sorted(c["remote-port"] for c in j) ==
           sorted(s.getsockname()[1] for s in (a, b)), "with their ports", j)
        r = subprocess.run([CTL, "daemon", "connections", "--socket", d.path],
                           stdout=subprocess.PIPE, text=True)
        ok(r.returncode == 0 and "\033" not in r.stdout and
           "2 connections" in r.stdout, "ktlsctl daemon connections", r.stdout)

        pid = int(ask(a, "who").split()[0])
        a.sendall(b"die\n")
        ok(a.recv(1) == b"" if not reset(a) else True,
           "a worker's connections end with it")
        ok(d.until(lambda: d.pids("worker") and len(d.pids("worker")) == 2 and
                   pid not in d.pids("worker")), "it is replaced", d.status())
        ok(ask(b, "who").split()[1] == "1", "the other's connections live")
        a = d.worker(0)
        ok(ask(a, "channels") == f"{keys} {broker}\n" and
           ask(a, "tickets") == tickets, "the new one has all that it had",
           ask(a, "channels"))
        p = [p for p in d.status()["processes"] if p.get("worker") == 0][0]
        ok(p["replaced"] == 1 and p["counters"]["connections"] == 1 and
           "killed by SIGSEGV" in d.read_log(), "counted, and logged", p)

        for role in ("keys", "broker"):
            os.kill(d.pids(role)[0], signal.SIGKILL)
            ok(d.until(lambda: d.pids(role) and
                       str(d.pids(role)[0]) in ask(a, "channels").split() and
                       str(d.pids(role)[0]) in ask(b, "channels").split()),
               f"a new {role} has channels to all workers", d.status())
        a.sendall(b"exit\n")
        ok(d.until(lambda: "exit status 7" in d.read_log()),
           "an exit status is logged", d.read_log())
        b.close()
        ok(d.until(lambda: d.status()["counters"]["connections"] == 0),
           "gauges go back", d.status()["counters"])
        r = subprocess.run([FAKE, "-c", d.conf], stderr=subprocess.PIPE,
                           text=True, timeout=30)
        ok(r.returncode == 1 and "another ktlsd runs" in r.stderr,
           "there is one only", r.stderr)
        ok(d.status()["state"] == "running", "which goes on")


def reset(s):
    """Whether the connection was reset instead of ended."""
    try:
        s.setblocking(True)
        return s.recv(1, socket.MSG_PEEK) != b""
    except ConnectionResetError:
        return True


def test_backoff():
    with daemon() as d:
        for _ in range(3):
            before = d.pids("keys")
            os.kill(before[0], signal.SIGKILL)
            d.until(lambda: d.pids("keys") not in ([], before))
        ok("replaced in 0 ms" in d.read_log() and
           "replaced in 200 ms" in d.read_log() and
           "replaced in 400 ms" in d.read_log(),
           "who ends again and again is replaced ever later", d.read_log())


def hammer(d, stop, failures):
    """Connects all the time, and wants an answer each time."""
    while not stop.is_set():
        try:
            with d.connect() as s:
                s.settimeout(10)
                if not ask(s, "who"):
                    failures.append("no answer")
        except OSError as e:
            failures.append(str(e))


def test_reload():
    with daemon() as d:
        a = d.connect()
        old = ask(a, "who").split()[0]
        tickets = ask(a, "tickets")
        stop, failures = threading.Event(), []
        threads = [threading.Thread(target=hammer, args=(d, stop, failures))
                   for _ in range(4)]
        for t in threads:
            t.start()
        for _ in range(3):
            j = d.command(b"reload")
        os.kill(d.process.pid, signal.SIGHUP)
        ok(j == {"reloads": 3}, "reload by the control socket", j)
        ok(d.until(lambda: d.status()["reloads"] == 4), "and by SIGHUP")
        stop.set()
        for t in threads:
            t.join()
        ok(not failures, "no connection is lost on the way", failures[:5])
        d.notified.clear()
        d.command(b"reload")
        ok(d.wait_notified("READY=1") and
           any(m.startswith("RELOADING=1\nMONOTONIC_USEC=") for m in d.notified),
           "systemd is told", d.notified)
        ok(ask(a, "who").split()[0] == old, "connections of before live")
        b = d.connect()
        ok(int(ask(b, "who").split()[0]) in d.pids("worker") and
           ask(b, "who").split()[0] != old and ask(b, "tickets") == tickets,
           "new ones have new workers, and the same ticket keys")
        j = d.status()
        ok(len([p for p in j["processes"] if p["state"] == "draining"]) >= 1,
           "a generation drains", j["processes"])
        ok(len(d.command(b"connections")["connections"]) == 2,
           "all connections are listed")
        accepted = j["counters"]["accepted"]
        a.close()
        ok(d.until(lambda: len(d.status()["processes"]) == 4 and
                   not is_alive(int(old))), "and ends", d.status())
        ok(d.status()["counters"]["accepted"] >= accepted,
           "what it counted is kept", d.status()["counters"])

        # What is wrong costs nothing.
        generation = d.status()["processes"][0]["generation"]
        for conf, says in [
                (GOOD.replace("www", "w w"), "missing opening brace"),
                (GOOD.replace("workers = 2", "workers = 0\nfoo = 1"),
                 "from 1 to 1024"),
                (GOOD.replace(CERT, "/no/such"), "No such file"),
                (GOOD + listener([f'address = "127.0.0.1:{BUSY}"', C, B]),
                 "another program listens there")]:
            d.write(conf)
            j = d.command(b"reload")
            ok(says in j.get("error", ""), f"a reload fails: {says}", j)
        r = subprocess.run([CTL, "daemon", "reload", "--socket", d.path],
                           stderr=subprocess.PIPE, text=True)
        ok(r.returncode == 1 and says in r.stderr, "ktlsctl daemon reload", r)
        d.write(GOOD)
        for name, says in [("keys-die", "keys ended in its start: killed by SIGABRT"),
                           ("keys-refuse", "the key is of another certificate")]:
            d.touch(name)
            j = d.command(b"reload")
            ok(says in j.get("error", ""), f"a reload fails: {name}", j)
            os.unlink(os.path.join(d.dir, name))
        j = d.status()
        ok(says in j["reload-error"] and j["state"] == "running" and
           ask(b, "who") and d.connect(), "the old one is in force", j)
        ok(d.until(lambda: {p["generation"] for p in d.status()["processes"]} ==
                   {generation}), "its processes, too", d.status())

        # Other addresses.
        other = free_port()
        d.write(GOOD.replace("PORT", str(other)))
        j = d.command(b"reload")
        ok("error" not in j and ask(d.connect(other), "who"),
           "a new address", j)
        refused = False
        b.close()
        d.until(lambda: len(d.status()["processes"]) == 4)
        try:
            d.connect()
        except ConnectionRefusedError:
            refused = True
        ok(refused, "and the old one is closed")


def test_drain():
    with daemon() as d:
        a = d.connect()
        ask(a, "who")
        d.process.send_signal(signal.SIGTERM)
        ok(d.wait_notified("STOPPING=1"), "SIGTERM: systemd is told")
        ok(d.until(lambda: not connects(d)), "no new connections")
        ok(ask(a, "who") and d.status()["state"] == "draining",
           "those of before live")
        j = d.command(b"reload")
        ok("being stopped" in j["error"], "it is too late to reload", j)
        a.close()
        ok(d.wait() == 0 and not os.path.exists(d.path),
           "it ends with the last one", d.read_log())
    with daemon("drain-timeout = 1\n" + GOOD) as d:
        a = d.connect()
        pid = int(ask(a, "who").split()[0])
        j = d.command(b"drain")
        begin = time.monotonic()
        ok(j == {"timeout": 1} and d.wait() == 0 and not is_alive(pid) and
           0.9 < time.monotonic() - begin < 5, "drain, with a timeout", j)
    with daemon() as d:
        a = d.connect()
        ask(a, "who")
        d.process.send_signal(signal.SIGTERM)
        d.wait_notified("STOPPING=1")
        d.process.send_signal(signal.SIGTERM)
        ok(d.wait(3) == 0, "the second SIGTERM: at once")
    with daemon() as d:
        a = d.connect()
        ask(a, "who")
        d.process.send_signal(signal.SIGINT)
        ok(d.wait(3) == 0, "SIGINT: at once")
    with daemon() as d:
        pids = d.pids("worker") + d.pids("keys") + d.pids("broker")
        d.process.kill()
        d.wait()
        ok(d.until(lambda: not any(map(is_alive, pids))),
           "all end with the supervisor", pids)


def connects(d):
    try:
        d.connect().close()
        return True
    except OSError:
        return False


def test_failed_start():
    for name, says in [("keys-die", "SIGABRT"),
                       ("keys-refuse", "of another certificate")]:
        d = Daemon.__new__(Daemon)
        original = Daemon.write

        def write_and_touch(self, conf, name=name):
            original(self, conf)
            self.touch(name)
        Daemon.write = write_and_touch
        try:
            d.__init__()
        finally:
            Daemon.write = original
        ok(d.wait() == 1 and says in d.read_log(), f"no start: {name}",
           d.read_log())
        d.end()
    d = Daemon(GOOD.replace("PORT", str(BUSY)))
    ok(d.wait() == 1 and "another program listens there" in d.read_log(),
       "no start: an address that is taken", d.read_log())
    d.end()


def test_systemd():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        s.listen()
        port = s.getsockname()[1]
        early = socket.create_connection(("127.0.0.1", port))
        fd = os.dup2(s.fileno(), 3) if s.fileno() != 3 else 3
        os.set_inheritable(3, True)
        with daemon(GOOD.replace("PORT", str(port)), pass_fds=(3,),
                    argv=["sh", "-c", 'LISTEN_PID=$$ exec "$@"', "sh"],
                    env={"LISTEN_FDS": "1", "WATCHDOG_USEC": "200000"}) as d:
            ok(ask(early, "who"), "a socket that systemd has opened, and its queue")
            d.notified.clear()
            begin = time.monotonic()
            ok(d.until(lambda: d.notified.count("WATCHDOG=1") >= 5, 5) and
               time.monotonic() - begin < 2, "the watchdog is fed", d.notified)
            ok("error" not in d.command(b"reload") and
               ask(d.connect(port), "who"), "it stays over a reload")
    if fd == 3 and s.fileno() == -1:
        with contextlib.suppress(OSError):
            os.close(3)


def connector(path):
    return listener([f'address = "unix:{path}"', B], "up", "connector")


def test_files():
    """Unix sockets have files, which are there while somebody listens."""
    with daemon() as d:
        one, two = (os.path.join(d.dir, name) for name in ("one", "two"))
        stale = socket.socket(socket.AF_UNIX)
        stale.bind(one)
        stale.close()
        d.write(GOOD + connector(one))
        j = d.command(b"reload")
        inode = os.stat(one).st_ino
        ok("error" not in j and stat.S_IMODE(os.stat(one).st_mode) == 0o666,
           "a file that nobody listens on is in nobody's way", j)
        d.command(b"reload")
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(one)
            ok(ask(s, "who") and os.stat(one).st_ino == inode,
               "it stays over a reload")
        d.write(GOOD + connector(two))
        d.command(b"reload")
        ok(os.path.exists(two) and not os.path.exists(one),
           "and goes with its listener")
        d.command(b"drain")
        ok(d.wait() == 0 and not os.path.exists(two), "or with ktlsd")


def test_control():
    with daemon() as d:
        for command, says in [
                (b"foo", "no such command"), (b"", "no such command"),
                (b"status ", "no such command"), (b"x" * 300, "short line"),
                (b"\xff\0", "no such command")]:
            j = d.command(command)
            ok(says in j.get("error", ""), f"control: {command[:9]}", j)
        silent = [socket.socket(socket.AF_UNIX) for _ in range(15)]
        for s in silent:
            s.connect(d.path)
            s.sendall(b"sta")
        ok(d.status()["state"] == "running", "clients that hold others up")
        last = socket.socket(socket.AF_UNIX)
        last.connect(d.path)
        gone = socket.socket(socket.AF_UNIX)
        gone.connect(d.path)
        gone.sendall(b"reload\n")
        gone.close()
        for s in silent[:8]:
            s.close()
        last.sendall(b"status\n")
        ok(last.recv(1) == b"{", "one that had to wait for its turn")
        last.close()
        ok(d.until(lambda: d.status()["reloads"] == 1),
           "one that did not wait for its answer", d.read_log())
        d.worker(0).sendall(b"hang\n")
        begin = time.monotonic()
        j = d.command(b"connections")
        ok(j["silent-workers"] == 1 and time.monotonic() - begin < 8,
           "connections, with a worker that hangs", j)
        for s in silent:
            s.close()


def test_hang(d):
    """At the end, as it takes half a minute."""
    ok(d.until(lambda: "hangs; killed" in d.read_log(), 45) and
       d.until(lambda: len(d.pids("worker")) == 2),
       "a worker that hangs is replaced", d.read_log())
    ok(d.read_log().count("hangs; killed") == 1, "and no other", d.read_log())


def test_names():
    """What is counted is in the manual's words, once."""
    r = subprocess.run([CTL, "daemon", "status", "--socket", "/no/such"],
                       stderr=subprocess.PIPE, text=True)
    ok(r.returncode == 1 and "ktlsd does not run" in r.stderr and
       "systemctl start" in r.stderr, "ktlsctl: nobody answers", r.stderr)
    with daemon() as d:
        j = d.status()
        r = subprocess.run([CTL, "daemon", "status", "--socket", d.path],
                           stdout=subprocess.PIPE, text=True,
                           env=dict(os.environ, COLUMNS="100"))
        ok(r.returncode == 0 and all(f"\n{name} " in r.stdout
                                     for name in j["counters"]) and
           max(map(len, r.stdout.splitlines())) <= 100,
           "ktlsctl daemon status has all counters", r.stdout)
        r = subprocess.run([CTL, "-j", "daemon", "status", "--socket", d.path],
                           stdout=subprocess.PIPE, text=True)
        ok(json.loads(r.stdout).keys() == j.keys(), "and so in JSON", r.stdout)


BUSY = 0


def main():
    global BUSY
    make_certificate()
    os.environ.setdefault("ASAN_OPTIONS", "handle_segv=0:handle_abort=0")
    print("TAP version 13")
    busy = socket.socket()
    busy.bind(("127.0.0.1", 0))
    busy.listen()
    BUSY = busy.getsockname()[1]
    with daemon() as hung:
        hung.worker(1).sendall(b"hang\n")
        test_usage()
        test_configuration()
        test_run()
        test_backoff()
        test_reload()
        test_drain()
        test_failed_start()
        test_systemd()
        test_files()
        test_control()
        test_names()
        test_hang(hung)
    shutil.rmtree(DIR)
    return tap.end()


if __name__ == "__main__":
    sys.exit(main())
