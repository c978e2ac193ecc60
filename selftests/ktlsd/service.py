#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""ktlsd makes handshakes for other programs, whose records the kernel does.

Both roles with OpenSSL at the other end, certificates that are not accepted, new
keys, ends of all kinds, and programs that do what they should not.
"""

import array
import contextlib
import errno
import fcntl
import grp
import hashlib
import json
import os
import pwd
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

from libktls import Connection, TLSError

HERE = os.path.dirname(os.path.realpath(__file__))
TOOLS = os.path.join(HERE, "../../tools")
KTLSD = os.path.join(TOOLS, "ktlsd/obj/ktlsd")
KTLSCTL = os.path.join(TOOLS, "ktlsctl/obj/ktlsctl")
EXAMPLE = os.path.join(HERE, "obj/https")
PATIENCE = 60
SIZE = 4 << 20
VERSIONS = {"1.2": (0x303, ssl.TLSVersion.TLSv1_2),
            "1.3": (0x304, ssl.TLSVersion.TLSv1_3)}


class Failure(Exception):
    """It is not as it should be."""


def same(name, got, want):
    """Or it fails."""
    if got != want:
        raise Failure(f"{name} is {got!r}, should be {want!r}")


def wait_for(what, condition):
    """Until it is true, which it returns."""
    end = time.monotonic() + PATIENCE
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise Failure(f"no {what} within {PATIENCE} s")
        time.sleep(0.05)


def run(*args):
    """What the command says; it is to succeed."""
    got = subprocess.run(args, check=False, stdout=subprocess.PIPE,
                         stderr=subprocess.PIPE, timeout=PATIENCE)
    if got.returncode:
        raise Failure(f"{' '.join(args)}: exit {got.returncode}: "
                      f"{got.stderr.decode()}{got.stdout.decode()}")
    return got.stdout.decode()


def cookie(sock):
    """By which the module and ktlsd know it."""
    return int.from_bytes(sock.getsockopt(socket.SOL_SOCKET, 57, 8),
                          sys.byteorder)


def takes_rekeys():
    """Does this kernel take a second key?"""
    return tuple(int(n) for n in os.uname().release.split(".")[:2]) >= (6, 14)


@contextlib.contextmanager
def raises(code, words=""):
    """It has to fail with this, and say so."""
    try:
        yield
    except TLSError as e:
        same("the error", errno.errorcode.get(e.errno), errno.errorcode[code])
        if words not in e.strerror:
            raise Failure(f"it says {e.strerror!r}, and not {words!r}") from e
        return
    raise Failure(f"it did not fail with {errno.errorcode[code]}")


class Peer:
    """Does something with the other end, in a thread; its exception is told."""

    def __init__(self, function, *args):
        self.result = self.error = None
        self.thread = threading.Thread(target=self.run, daemon=True,
                                       args=(function, *args))
        self.thread.start()

    def run(self, function, *args):
        try:
            self.result = function(*args)
        except Exception as e:  # pylint: disable=broad-except
            self.error = e

    def join(self):
        """Its result."""
        self.thread.join(PATIENCE)
        if self.thread.is_alive():
            raise Failure("the other end hangs")
        if self.error:
            raise Failure(f"the other end: {self.error!r}") from self.error
        return self.result


def tcp_pair():
    """Two ends of a connection: who connected, and who accepted."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        one = socket.create_connection(server.getsockname(), timeout=PATIENCE)
        other = server.accept()[0]
    one.settimeout(None)
    other.settimeout(PATIENCE)
    return one, other


class Setting:
    """Certificates, a ktlsd, and what peers are made of."""

    def __init__(self):
        self.directory = tempfile.mkdtemp(prefix="ktlsd.")
        os.chmod(self.directory, 0o755)
        self.ca = self.authority("ca")
        self.other_ca = self.authority("other")
        self.issue("server", "ca", "DNS:localhost,DNS:www.example.org,"
                   "IP:127.0.0.1,IP:::1")
        self.issue("stranger", "other", "DNS:localhost")
        self.issue("late", "ca", "DNS:localhost", "20200101000000Z",
                   "20200201000000Z")
        self.issue("someone", "ca", "DNS:client.example.org")
        self.handshake = self.path("handshake")
        self.daemon = None

    def path(self, name):
        """In the directory."""
        return os.path.join(self.directory, name)

    def authority(self, name):
        """A certificate to sign others with."""
        run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
            "ec_paramgen_curve:P-256", "-nodes", "-days", "20", "-subj",
            f"/CN={name}", "-keyout", self.path(f"{name}.key"), "-out",
            self.path(f"{name}.pem"))
        with open(self.path(f"{name}.conf"), "w", encoding="ascii") as file:
            file.write(f"""[ca]
default_ca = it
[it]
database = {self.path(name + ".index")}
new_certs_dir = {self.directory}
rand_serial = yes
unique_subject = no
default_md = sha256
policy = any
copy_extensions = copy
[any]
commonName = supplied
""")
        with open(self.path(f"{name}.index"), "w", encoding="ascii"):
            pass
        return self.path(f"{name}.pem")

    def issue(self, name, ca, names, begin=None, end=None):
        """A certificate and its key, in one file."""
        run("openssl", "req", "-new", "-newkey", "ec", "-pkeyopt",
            "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/CN={name}",
            "-addext", f"subjectAltName={names}", "-keyout",
            self.path(f"{name}.key"), "-out", self.path("csr"))
        dates = ["-startdate", begin, "-enddate", end] if begin else \
            ["-days", "10"]
        run("openssl", "ca", "-batch", "-notext", "-config",
            self.path(f"{ca}.conf"), "-cert", self.path(f"{ca}.pem"),
            "-keyfile", self.path(f"{ca}.key"), *dates, "-in",
            self.path("csr"), "-out", self.path(f"{name}.crt"))
        with open(self.path(f"{name}.pem"), "w", encoding="ascii") as out:
            for part in "crt", "key":
                with open(self.path(f"{name}.{part}"),
                          encoding="ascii") as file:
                    out.write(file.read())
        os.chmod(self.path(f"{name}.pem"), 0o600)

    def configure(self, extra=""):
        """Writes it."""
        with open(self.path("conf"), "w", encoding="ascii") as file:
            file.write(f"""
control = "{self.path("control")}"
handshake = "{self.handshake}"
workers = 1
{extra}
service client {{
    role = client
    ca = "{self.ca}"
}}
service local {{
    role = client
    ca = "{self.ca}"
    server-name = localhost
    certificate = "{self.path("someone.pem")}"
    alpn = {{ one, two }}
}}
service web {{ role = client  ca = "{self.ca}" }}
service server {{
    role = server
    certificate = "{self.path("server.pem")}"
    alpn = {{ two, three }}
    handshake-timeout = 5
}}
service strict {{
    role = server
    certificate = "{self.path("server.pem")}"
    client-certificate = required
    client-ca = "{self.ca}"
}}
""")

    def start(self, extra=""):
        """ktlsd."""
        self.configure(extra)
        with open(self.path("log"), "ab") as log:
            # pylint: disable=consider-using-with
            self.daemon = subprocess.Popen([KTLSD, "-c", self.path("conf")],
                                           stderr=log)
        wait_for("ktlsd", lambda: self.daemon.poll() is not None or (
            os.path.exists(self.path("control")) and
            self.status()["state"] == "running"))

    def stop(self):
        """ktlsd."""
        self.daemon.send_signal(signal.SIGINT)
        self.daemon.wait(PATIENCE)

    def ktlsctl(self, *args):
        """What it says, as JSON."""
        return json.loads(run(KTLSCTL, "--json", *args))

    def daemon_says(self, what):
        """The part of ktlsctl that speaks with ktlsd."""
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(PATIENCE)
            s.connect(self.path("control"))
            s.sendall(what.encode() + b"\n")
            data = b""
            while some := s.recv(1 << 16):
                data += some
        return json.loads(data)

    def status(self):
        """Of ktlsd."""
        return self.daemon_says("status")

    def counter(self, name):
        """One of ktlsd's."""
        return self.status()["counters"][name]

    def worker(self):
        """The only one's process."""
        return [p["pid"] for p in self.status()["processes"]
                if p["role"] == "worker"][0]

    def connections(self):
        """That ktlsd knows."""
        return self.daemon_says("connections")["connections"]

    def server(self, version=None, pem="server", ca=None, alpn=()):
        """What a peer is a server with."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.path(f"{pem}.pem"))
        self.restrict(context, version, alpn)
        if ca:
            context.load_verify_locations(ca)
            context.verify_mode = ssl.CERT_REQUIRED
        return context

    def client(self, version=None, pem=None, alpn=()):
        """What a peer is a client with."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(self.ca)
        if pem:
            context.load_cert_chain(self.path(f"{pem}.pem"))
        self.restrict(context, version, alpn)
        return context

    @staticmethod
    def restrict(context, version, alpn):
        """To a version, and to protocols."""
        if version:
            context.minimum_version = VERSIONS[version][1]
            context.maximum_version = VERSIONS[version][1]
        if alpn:
            context.set_alpn_protocols(alpn)

    def program(self, sock, service, **kwargs):
        """Has ktlsd make the handshake."""
        return Connection(sock, self.handshake, service, **kwargs)

    def kernel_does(self, sock):
        """Both directions, as the module sees it."""
        found = [s for s in self.ktlsctl("stats")["sockets"]
                 if s["cookie"] == cookie(sock)]
        same("what the module knows of the socket", len(found), 1)
        same("who sends and receives",
             [found[0][d]["mode"] for d in ("tx", "rx")], ["sw", "sw"])
        return found[0]


def wrap(context, sock, server_side):
    """TLS by Python, which tells a cut from an end."""
    return context.wrap_socket(sock, server_side=server_side,
                               suppress_ragged_eofs=False,
                               server_hostname=None if server_side else
                               "localhost")


def exchange(context, sock, server_side, data):
    """Receives as much as it sends after that, and the end."""
    with wrap(context, sock, server_side) as end:
        got = bytearray()
        while len(got) < len(data):
            some = end.recv(1 << 16)
            if not some:
                raise Failure(f"it ended after {len(got)} bytes")
            got += some
        end.sendall(data)
        certificate = end.getpeercert()
        same("what follows", end.recv(1), b"")
        # Says the same.
        end.unwrap().close()
        return hashlib.sha256(got).hexdigest(), certificate


def talk(s, context, server_side, service, **kwargs):
    """Data both ways, on the kernel's TLS; what was told of it."""
    ours, theirs = os.urandom(SIZE), os.urandom(SIZE)
    one, other = tcp_pair()
    mine, peers = (other, one) if service in ("server", "strict") else \
        (one, other)
    mine.settimeout(None)
    flags = fcntl.fcntl(mine, fcntl.F_GETFL)
    peer = Peer(exchange, context, peers, server_side, theirs)
    tls = s.program(mine, service, **kwargs)
    same("the flags of the socket", fcntl.fcntl(mine, fcntl.F_GETFL), flags)
    s.kernel_does(mine)
    known = [c for c in s.connections() if c["cookie"] == cookie(mine)]
    same("what ktlsd tells of it",
         [(c["listener"], c["tx"], c["rx"], c["remote-port"]) for c in known],
         [(service, "kernel", "kernel", mine.getpeername()[1])])
    tls.send(ours)
    got = tls.receive_all(SIZE)
    same("what came", hashlib.sha256(got).digest(),
         hashlib.sha256(theirs).digest())
    tls.shutdown()
    same("the end", tls.receive(), b"")
    same("the end, again", tls.receive(), b"")
    digest, certificate = peer.join()
    same("what went", digest, hashlib.sha256(ours).hexdigest())
    seen = s.kernel_does(mine)
    if min(seen[d]["payload-bytes"] for d in ("tx", "rx")) < SIZE:
        raise Failure(f"the kernel moved less: {seen}")
    return tls, certificate


def check_client(s, version):
    """A program is the client."""
    tls, _ = talk(s, s.server(version, alpn=["two"]), True, "client",
                  name="localhost", alpn=["one", "two"])
    same("version", tls.told.version, VERSIONS[version][0])
    same("protocol", tls.told.alpn, b"two")
    same("verified", (tls.told.verified, tls.told.unverified), (True, None))
    same("names", tls.names(), ["localhost", "www.example.org"])
    same("addresses", tls.addresses(), ["127.0.0.1", "::1"])
    with open(s.path("server.crt"), encoding="ascii") as file:
        same("certificate", tls.certificates()[0],
             ssl.PEM_cert_to_DER_cert(file.read()))
    cipher = tls.told.cipher.decode()
    tls.close()
    wait_for("end in ktlsd", lambda: not s.connections())
    return cipher


def check_server(s, version):
    """A program is the server."""
    tls, _ = talk(s, s.client(version, alpn=["three", "two"]), False, "server")
    same("version", tls.told.version, VERSIONS[version][0])
    same("protocol", tls.told.alpn, b"two")
    same("server name", tls.told.server_name, b"localhost")
    same("verified", tls.told.verified, False)
    same("why not", tls.told.unverified, b"the other end has no certificate")
    tls.close()


def check_mutual(s, version):
    """Both ends have certificates, in both roles."""
    tls, _ = talk(s, s.client(version, pem="someone"), False, "strict")
    same("verified", tls.told.verified, True)
    same("names", tls.names(), ["client.example.org"])
    same("certificates", len(tls.certificates()) >= 1, True)
    tls.close()
    tls, certificate = talk(s, s.server(version, ca=s.ca, alpn=["two"]), True,
                            "local")
    same("the client as the server sees it", certificate["subject"],
         ((("commonName", "someone"),),))
    same("protocol of the service", tls.told.alpn, b"two")
    tls.close()


def check_override(s, _):
    """A program's protocols go before those of the service."""
    one, other = tcp_pair()
    peer = Peer(wrap, s.client(alpn=["mine", "two"]), one, False)
    tls = s.program(other, "server", alpn=["mine"])
    same("protocol", tls.told.alpn, b"mine")
    peer.join().close()
    tls.close()


def check_address(s, _):
    """A server is verified by its address."""
    for address, good in ("127.0.0.1", True), ("127.0.0.2", False):
        one, other = tcp_pair()
        peer = Peer(wrap, s.server(), other, True)
        with contextlib.nullcontext() if good else raises(errno.EKEYREJECTED):
            s.program(one, "client", name=address).free()
        if good:
            peer.join().close()
        one.close()
        other.close()


def refused(s, pem, words, name="localhost"):
    """The certificate of a server, and the peer is told by an alert."""
    for version in VERSIONS:
        one, other = tcp_pair()
        peer = Peer(wrap, s.server(version, pem=pem), other, True)
        before = s.counter("failed-certificate")
        with raises(errno.EKEYREJECTED, words):
            s.program(one, "client", name=name)
        try:
            peer.join().recv(1)
        except Failure as e:
            if "ALERT" not in str(e):
                raise
        except ssl.SSLError as e:
            if "ALERT" not in str(e):
                raise
        # What a program writes after that does not go in clear.
        try:
            one.send(b"secret")
            raise Failure("the socket still sends")
        except BrokenPipeError:
            pass
        same("counted", s.counter("failed-certificate"), before + 1)
        one.close()
        other.close()


def check_wrong_name(s, _):
    """A certificate for another name."""
    refused(s, "server", "hostname mismatch", name="example.com")


def check_wrong_ca(s, _):
    """A certificate of an authority that nobody trusts."""
    refused(s, "stranger", "unable to get local issuer certificate")


def check_expired(s, _):
    """A certificate of the past."""
    refused(s, "late", "certificate has expired")


def check_no_client_certificate(s, version):
    """A client without a certificate, where one is required."""
    one, other = tcp_pair()
    Peer(wrap, s.client(version), one, False)
    with raises(errno.EKEYREJECTED, "no certificate"):
        s.program(other, "strict")
    one.close()
    other.close()


def check_wrong_sockets(s, _):
    """What is no connection over TCP."""
    def attempt(sock, code, words):
        with raises(code, words):
            s.program(sock, "client", name="localhost")

    ends = os.pipe()
    attempt(ends[0], errno.ENOTSOCK, "no socket")
    for end in ends:
        os.close(end)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect(("127.0.0.1", 9))
        attempt(sock, errno.EOPNOTSUPP, "another protocol")
    one, other = socket.socketpair()
    attempt(one, errno.EOPNOTSUPP, "another family")
    one.close()
    other.close()
    with socket.socket() as sock:
        attempt(sock, errno.ENOTCONN, "not connected")
        sock.bind(("127.0.0.1", 0))
        sock.listen()
        attempt(sock, errno.EOPNOTSUPP, "listens")
        # It still does.
        socket.create_connection(sock.getsockname(), timeout=5).close()
    one, other = tcp_pair()
    one.setsockopt(socket.IPPROTO_TCP, 31, b"tls")
    attempt(one, errno.EISCONN, "already")
    one.close()
    other.close()
    with raises(errno.EBADF):
        s.program(987, "client", name="localhost")


def check_wrong_requests(s, _):
    """What ktlsd does not have, or was not told."""
    one, other = tcp_pair()
    with raises(errno.ENOENT, 'no service is called "nobody"'):
        s.program(one, "nobody")
    with raises(errno.EINVAL, "which server"):
        s.program(one, "client")
    with raises(errno.EINVAL, "too long"):
        s.program(one, "client", name="x" * 300)
    with raises(errno.EINVAL, "ALPN"):
        s.program(one, "client", name="localhost", alpn=["x" * 256])
    with raises(errno.ECONNREFUSED, "does not answer"):
        Connection(one, s.path("nothing"), "client", name="localhost")
    # Nothing has gone over the socket, which is as good as before.
    peer = Peer(wrap, s.server(), other, True)
    s.program(one, "client", name="localhost").free()
    peer.join().close()
    one.close()


def check_no_tls(s, _):
    """Peers that speak no TLS, go away, or say nothing."""
    one, other = tcp_pair()
    other.sendall(b"220 this is something else\r\n")
    with raises(errno.EPROTO):
        s.program(one, "client", name="localhost")
    one.close()
    other.close()
    one, other = tcp_pair()
    other.close()
    with raises(errno.ECONNRESET):
        s.program(one, "client", name="localhost")
    one.close()
    one, other = tcp_pair()
    begin = time.monotonic()
    with raises(errno.ETIMEDOUT, "too long"):
        s.program(one, "client", name="localhost", timeout=500)
    if time.monotonic() - begin > 4:
        raise Failure("the timeout took its time")
    one.close()
    other.close()


def check_truncated(s, version):
    """A stream that is cut off is told from one that ends."""
    one, other = tcp_pair()
    peer = Peer(wrap, s.server(version), other, True)
    tls = s.program(one, "client", name="localhost")
    end = peer.join()
    end.sendall(b"half of it")
    os.close(end.detach())
    same("what came", tls.receive_all(10), b"half of it")
    for _ in range(2):
        with raises(errno.EPIPE, "cut off"):
            tls.receive()
    tls.close()


def check_small_buffers(s, version):
    """A byte at a time, and nothing where there is nothing yet."""
    one, other = tcp_pair()
    peer = Peer(wrap, s.server(version), other, True)
    tls = s.program(one, "client", name="localhost")
    end = peer.join()
    # Tickets come first with TLS 1.3.
    for _ in range(2):
        with raises(errno.EAGAIN):
            tls.receive(1, socket.MSG_DONTWAIT)
    end.sendall(b"hello")
    same("what came", b"".join(tls.receive(1) for _ in range(5)), b"hello")
    Peer(end.unwrap)
    same("the end", tls.receive(1), b"")
    tls.close()


def openssl(s, mode, *args):
    """A peer by the openssl command, which is told what to do by its input."""
    # pylint: disable=consider-using-with
    return subprocess.Popen(["openssl", mode, *args], stdin=subprocess.PIPE,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                            cwd=s.directory)


def s_server(s):
    """A server by openssl, connected, and the program at it."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    process = openssl(s, "s_server", "-accept", f"127.0.0.1:{port}", "-cert",
                      "server.pem", "-key", "server.pem", "-tls1_3", "-naccept",
                      "1")

    def connect():
        with contextlib.suppress(OSError):
            return socket.create_connection(("127.0.0.1", port), timeout=5)
        return None

    sock = wait_for("s_server", connect)
    sock.settimeout(None)
    return process, s.program(sock, "client", name="localhost")


def tell(process, text):
    """As if typed."""
    process.stdin.write(text)
    process.stdin.flush()
    # A command has to be alone in what openssl reads at once.
    time.sleep(0.3)


def check_key_update(s, _):
    """The peer changes its key, and wants one of ours, several times."""
    process, tls = s_server(s)
    try:
        tell(process, b"before\n")
        same("before", tls.receive_all(7), b"before\n")
        for i, command in enumerate((b"k\n", b"K\n", b"K\n")):
            tell(process, command)
            tell(process, b"after%d\n" % i)
            if not takes_rekeys():
                # It ends well: we say so, and the peer knows.
                with raises(errno.EOPNOTSUPP, "6.14"):
                    tls.receive()
                same("counted", s.counter("closed-rekey-unsupported") > 0, True)
                return "no second key here: ended"
            same("after", tls.receive_all(7), b"after%d\n" % i)
            tls.send(b"mine%d\n" % i)
        same("keys received with", s.counter("rekeys-rx") >= 3, True)
        same("keys sent with", s.counter("rekeys-tx") >= 2, True)
        tls.rekey(True)
        tls.send(b"by myself\n")
        tell(process, b"answer\n")
        same("answer", tls.receive_all(7), b"answer\n")
        tls.shutdown()
        out = process.communicate(timeout=PATIENCE)[0]
        for word in b"mine0\n", b"mine1\n", b"mine2\n", b"by myself\n":
            if word not in out:
                raise Failure(f"openssl did not get {word!r}: {out!r}")
        return "3 by the peer, 1 by the program"
    finally:
        process.kill()
        process.communicate()
        tls.close()


def check_storm(s, _):
    """New keys without end are not followed."""
    if not takes_rekeys():
        return "no second key here"
    process, tls = s_server(s)
    try:
        stop = threading.Event()

        def storm():
            with contextlib.suppress(OSError):
                while not stop.is_set():
                    process.stdin.write(b"k\n")
                    process.stdin.flush()
                    time.sleep(0.02)

        peer = Peer(storm)
        with raises(errno.EDQUOT, "too often"):
            while tls.receive():
                pass
        stop.set()
        peer.join()
        return ""
    finally:
        process.kill()
        process.communicate()
        tls.close()


def check_ktlsd_gone(s, _):
    """Without ktlsd, data goes on; a new key does not."""
    process, tls = s_server(s)
    try:
        s.stop()
        tell(process, b"data\n")
        same("data", tls.receive_all(5), b"data\n")
        tls.send(b"data, too\n")
        tell(process, b"k\n")
        tell(process, b"more\n")
        with raises(errno.EOPNOTSUPP, "gone"):
            tls.receive()
        return ""
    finally:
        process.kill()
        process.communicate()
        tls.close()
        s.start()


def check_policy(s, _):
    """What a policy denies is said."""
    for rule in "deny rx", "deny tx", "deny ulp":
        run(KTLSCTL, "policy", "add", *rule.split())
        try:
            one, other = tcp_pair()
            peer = Peer(wrap, s.server(), other, True)
            with raises(errno.EPERM, "policy"):
                s.program(one, "client", name="localhost")
            # The other end hears of it.
            with contextlib.suppress(ssl.SSLError, OSError):
                same("what the other end gets", peer.join().recv(10), b"")
            one.close()
        finally:
            run(KTLSCTL, "policy", "reset")
    same("counted", s.counter("keys-policy") >= 3, True)


def check_nonblocking(s, _):
    """A socket stays as it was, blocking or not."""
    for blocking in True, False:
        one, other = tcp_pair()
        one.setblocking(blocking)
        flags = fcntl.fcntl(one, fcntl.F_GETFL)
        peer = Peer(wrap, s.server(), other, True)
        tls = s.program(one, "client", name="localhost")
        same("flags", fcntl.fcntl(one, fcntl.F_GETFL), flags)
        if not blocking:
            with raises(errno.EAGAIN):
                while True:
                    tls.receive()
        peer.join().close()
        tls.close()


# Programs that do what they should not

def knock(s):
    """A connection to ktlsd, without libktls."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    sock.settimeout(PATIENCE)
    sock.connect(s.handshake)
    return sock


def message(kind, *items, version=1):
    """Of the wire."""
    body = b""
    for number, data in items:
        body += struct.pack("=HHI", number, 0, len(data)) + data
        body += bytes(-len(data) % 4)
    return struct.pack("=HHI", version, kind, 8 + len(body)) + body


def pass_on(sock, data, *fds):
    """With descriptors."""
    sock.sendmsg([data], [(socket.SOL_SOCKET, socket.SCM_RIGHTS,
                           array.array("i", fds))] if fds else [])


def works(s):
    """Somebody else gets what he wants, at once."""
    begin = time.monotonic()
    one, other = tcp_pair()
    peer = Peer(wrap, s.server(), other, True)
    tls = s.program(one, "client", name="localhost")
    peer.join().close()
    tls.close()
    return time.monotonic() - begin


ASK = message(1, (1, b"client\0"), (2, b"localhost\0"))


def check_hostile(s, _):
    """Nonsense, silence, and descriptors of all kinds: nobody else notices."""
    pid = s.worker()
    wait_for("end of all", lambda: not s.connections())
    before = len(os.listdir(f"/proc/{pid}/fd"))
    one, other = tcp_pair()
    held = []
    for data in (b"", b"x", bytes(8), bytes(4096), message(1), message(9),
                 message(2), message(3, (5, bytes(4))), ASK[:-1],
                 message(1, (1, b"client")), message(1, version=2),
                 message(1, *((1, b"client\0") for _ in range(9)))):
        sock = knock(s)
        held.append(sock)
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            pass_on(sock, data, one.fileno())
    # More descriptors than one, and none.
    for count in 0, 2, 200:
        sock = knock(s)
        held.append(sock)
        pass_on(sock, ASK, *[one.fileno()] * count)
        if b"no socket" not in sock.recv(4096):
            raise Failure(f"{count} descriptors were taken")
    with open("/dev/null", "rb") as null:
        sock = knock(s)
        pass_on(sock, ASK, null.fileno())
        same("a file", b"no socket" in sock.recv(4096), True)
    # Who says nothing, who says it twice, and who leaves at once.
    held += [knock(s) for _ in range(200)]
    for _ in range(100):
        sock = knock(s)
        a, b = tcp_pair()
        pass_on(sock, ASK, a.fileno())
        sock.close()
        held += [a, b]
    sock = knock(s)
    a, b = tcp_pair()
    pass_on(sock, ASK, a.fileno())
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        for _ in range(100):
            pass_on(sock, ASK, a.fileno())
    held += [sock, a, b]
    took = works(s)
    if took > 5:
        raise Failure(f"somebody else had to wait for {took:.1f} s")
    for sock in (*held, one, other):
        sock.close()
    wait_for("end of all", lambda: not s.connections())
    same("the worker", s.worker(), pid)
    wait_for("closed descriptors",
             lambda: len(os.listdir(f"/proc/{pid}/fd")) <= before)
    return f"another one in {took * 1000:.0f} ms"


def check_deaf(s, _):
    """Who does not read what ktlsd says is dropped."""
    pid = s.worker()
    one, other = tcp_pair()
    peer = Peer(wrap, s.server("1.3"), other, True)
    sock = knock(s)
    pass_on(sock, ASK, one.fileno())
    end = peer.join()
    sock.setblocking(False)
    sent = 0
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        begin = time.monotonic()
        while time.monotonic() - begin < 20:
            try:
                pass_on(sock, message(3, (5, struct.pack("=I", 7))),
                        one.fileno())
                sent += 1
            except BlockingIOError:
                time.sleep(0.01)
        raise Failure("it is never dropped")
    end.close()
    works(s)
    same("the worker", s.worker(), pid)
    return f"after {sent} requests"


def check_lingering(s, _):
    """A socket that has to linger, and whose other owner left, holds nobody up."""
    one, other = tcp_pair()
    one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                   struct.pack("ii", 1, 300))
    # As much as goes, and it is never read: to linger is to wait for that.
    one.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        while True:
            one.send(bytes(1 << 16))
    sock = knock(s)
    pass_on(sock, ASK, one.fileno())
    wait_for("begin", lambda: s.status()["counters"]["handshakes"])
    # The worker is the last one to have it.
    one.close()
    sock.close()
    took = works(s)
    if took > 5:
        raise Failure(f"somebody else had to wait for {took:.1f} s")
    other.close()
    return f"another one in {took * 1000:.0f} ms"


def check_wrong_rekey(s, _):
    """Keys are for the socket that they were made for."""
    one, other = tcp_pair()
    third, fourth = tcp_pair()
    peer = Peer(wrap, s.server("1.3"), other, True)
    sock = knock(s)
    pass_on(sock, ASK, one.fileno())
    peer.join()
    sock.recv(1 << 17)
    for args in ((third.fileno(),), ()):
        pass_on(sock, message(3, (5, struct.pack("=I", 1))), *args)
        if b"not the socket" not in sock.recv(4096):
            raise Failure("another socket got the key")
    for end in one, other, third, fourth, sock:
        end.close()


def check_permission(s, _):
    """Only root and the group may ask."""
    same("mode", oct(os.stat(s.handshake).st_mode & 0o777), "0o600")
    nobody = pwd.getpwnam("nobody")
    group = grp.getgrnam("daemon").gr_gid

    def attempt(*groups):
        """As nobody: 0, or the errno."""
        pid = os.fork()
        if pid:
            return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        os.setgroups(groups)
        os.setgid(nobody.pw_gid)
        os.setuid(nobody.pw_uid)
        one = tcp_pair()[0]
        try:
            s.program(one, "nobody")
        except TLSError as e:
            os._exit(e.errno)
        os._exit(0)

    same("nobody's error", attempt(), errno.EACCES)
    s.configure('handshake-group = "daemon"')
    s.daemon_says("reload")
    same("mode", oct(os.stat(s.handshake).st_mode & 0o777), "0o660")
    same("group", os.stat(s.handshake).st_gid, group)
    same("nobody's error", attempt(), errno.EACCES)
    same("the group's error", attempt(group), errno.ENOENT)
    s.configure()
    s.daemon_says("reload")
    same("mode", oct(os.stat(s.handshake).st_mode & 0o777), "0o600")


def check_reload(s, _):
    """A connection of before has its keys until the old workers end."""
    if not takes_rekeys():
        return "no second key here"
    process, tls = s_server(s)
    try:
        s.daemon_says("reload")
        works(s)
        tell(process, b"K\n")
        tell(process, b"after\n")
        same("after", tls.receive_all(6), b"after\n")
        return ""
    finally:
        process.kill()
        process.communicate()
        tls.close()


def check_example(s, _):
    """The program that the documentation shows fetches a page from nginx."""
    if not shutil.which("nginx"):
        return "SKIP no nginx"
    port = 8443
    os.mkdir(s.path("www"), 0o755)
    with open(s.path("www/index.html"), "w", encoding="ascii") as file:
        file.write("a page\n" * 100000)
    with open(s.path("nginx.conf"), "w", encoding="ascii") as file:
        file.write(f"""daemon off;
pid {s.path("nginx.pid")};
error_log {s.path("nginx.log")};
events {{}}
http {{
    access_log off;
    server {{
        listen 127.0.0.1:{port} ssl;
        listen [::1]:{port} ssl;
        ssl_certificate {s.path("server.pem")};
        ssl_certificate_key {s.path("server.pem")};
        root {s.path("www")};
    }}
}}
""")
    # The path that the example has.
    os.makedirs("/run/ktlsd", exist_ok=True)
    link = "/run/ktlsd/handshake"
    with contextlib.suppress(FileNotFoundError):
        os.unlink(link)
    os.symlink(s.handshake, link)
    with subprocess.Popen(["nginx", "-c", s.path("nginx.conf")]) as nginx:
        try:
            def fetch(name):
                return subprocess.run([EXAMPLE, name, str(port)], check=False,
                                      stdout=subprocess.PIPE,
                                      stderr=subprocess.PIPE,
                                      timeout=PATIENCE)

            got = wait_for("page", lambda: (g := fetch("localhost")) and
                           g.returncode == 0 and g)
            same("the page", got.stdout.count(b"a page\n"), 100000)
            # By an address whose name is none of the certificate's.
            with open("/etc/hosts", "a", encoding="ascii") as file:
                file.write("127.0.0.1 example.com\n")
            got = fetch("example.com")
            same("exit status", got.returncode, 1)
            same("it says why", b"hostname mismatch" in got.stderr, True)
            return got.stderr.decode().strip()
        finally:
            nginx.terminate()
            os.unlink(link)


CHECKS = [
    *((f, v) for v in VERSIONS for f in (
        check_client, check_server, check_mutual, check_truncated,
        check_small_buffers, check_no_client_certificate)),
    *((f, None) for f in (
        check_override, check_address, check_wrong_name, check_wrong_ca,
        check_expired, check_wrong_sockets, check_wrong_requests, check_no_tls,
        check_nonblocking, check_key_update, check_storm, check_policy,
        check_hostile, check_deaf, check_lingering, check_wrong_rekey,
        check_permission, check_reload, check_ktlsd_gone, check_example)),
]


def main():
    """TAP."""
    if os.environ.get("KTLSD_TEST") != "netns":
        os.environ["KTLSD_TEST"] = "netns"
        os.execvp("unshare", ["unshare", "--net", "--mount", sys.executable,
                              *sys.argv])
    run("ip", "link", "set", "lo", "up")
    sys.stdout.reconfigure(line_buffering=True)
    wanted = sys.argv[1:]
    checks = [(f, v) for f, v in CHECKS if not wanted or f.__name__[6:] in wanted]
    print("TAP version 13")
    print(f"1..{len(checks)}")
    s = Setting()
    failed = 0
    try:
        s.start()
        for number, (function, version) in enumerate(checks, 1):
            name = function.__doc__.rstrip(".") + \
                (f" (TLS {version})" if version else "")
            begin = time.monotonic()
            try:
                note = function(s, version) or ""
            except Exception as e:  # pylint: disable=broad-except
                failed += 1
                print(f"# {type(e).__name__}: {e}")
                print(f"not ok {number} {name}")
                continue
            note = f"{note}, " if note else ""
            print(f"ok {number} {name} # {note}"
                  f"{time.monotonic() - begin:.1f} s")
        s.stop()
    finally:
        if failed:
            with open(s.path("log"), encoding="utf-8",
                      errors="replace") as file:
                for line in file.readlines()[-60:]:
                    print("#", line.rstrip())
        if s.daemon and s.daemon.poll() is None:
            s.daemon.kill()
        shutil.rmtree(s.directory, ignore_errors=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
