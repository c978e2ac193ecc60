#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Counters of real TLS peers against a capture by tcpdump.

    openssl s_client -ktls <----> openssl s_server -ktls
    curl                   <----> nginx with ssl_conf_command Options KTLS

Each connection is captured as a whole. A direction's records in the kernel are
the last ones of its stream: OpenSSL hands over the key once, between two
records. So, from the end of the capture, there must be as many records as the
kernel says, with exactly as many bytes, and in them exactly what the
application sent, the alert at the end, and where the protocol has them the
Finished message and the session tickets.
"""

import atexit
import collections
import json
import os
import re
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time

TOP = os.path.realpath(os.path.join(os.path.dirname(__file__), "../.."))
KTLSCTL = os.path.join(TOP, "tools/ktlsctl/obj/ktlsctl")
PATIENCE = 60

FIN, SYN, RST = 1, 2, 4
CHANGE_CIPHER_SPEC = 20
ALERT = 2           # bytes of close_notify
FINISHED = 16       # bytes of TLS 1.2's Finished, with its header
SIZES = (5000, 100000)

Suite = collections.namedtuple("Suite", "version name ciphersuite overhead")
SUITES = (
    Suite("tls-1-2", "aes-gcm-128", "ECDHE-ECDSA-AES128-GCM-SHA256", 29),
    Suite("tls-1-2", "aes-gcm-256", "ECDHE-ECDSA-AES256-GCM-SHA384", 29),
    Suite("tls-1-2", "chacha20-poly1305", "ECDHE-ECDSA-CHACHA20-POLY1305", 21),
    Suite("tls-1-2", "aes-ccm-128", "ECDHE-ECDSA-AES128-CCM", 29),
    Suite("tls-1-3", "aes-gcm-128", "TLS_AES_128_GCM_SHA256", 22),
    Suite("tls-1-3", "aes-gcm-256", "TLS_AES_256_GCM_SHA384", 22),
    Suite("tls-1-3", "chacha20-poly1305", "TLS_CHACHA20_POLY1305_SHA256", 22),
    Suite("tls-1-3", "aes-ccm-128", "TLS_AES_128_CCM_SHA256", 22),
)


class Failure(Exception):
    """A counter is wrong, or a peer did not do what it should."""


class Skip(Exception):
    """This host cannot do it, and why."""


def run(*args, **kwargs):
    return subprocess.run(args, check=True, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, timeout=PATIENCE, **kwargs)


def wait_for(what, condition):
    end = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > end:
            raise Failure(f"no {what} within {PATIENCE} s")
        time.sleep(0.01)


def listening(port):
    """Is there a listener? Without connecting to it."""
    with open("/proc/net/tcp", encoding="ascii") as table:
        return any(f":{port:04X} 00000000:0000 0A" in line for line in table)


class Capture:
    """What tcpdump sees of a port, as streams of TLS records."""

    def __init__(self, directory, port):
        self.path = os.path.join(directory, f"{port}.pcap")
        self.port = port
        self.tcpdump = subprocess.Popen(
            ["tcpdump", "-i", "lo", "-U", "-n", "--immediate-mode", "-B",
             "16384", "-Z", "root", "-w", self.path, f"tcp port {port}"],
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        # It says so when it has begun.
        self.tcpdump.stderr.readline()

    def stop(self):
        """Bytes from the server and from the client, FINs and all seen."""
        wait_for("end of the connection in the capture",
                 lambda: len(self.read()[1]) == 2)
        said = self.end()
        if not re.search(r"^0 packets dropped by kernel", said, re.M):
            raise Failure(f"tcpdump lost packets: {said}")
        return self.read()[0]

    def end(self):
        """What tcpdump has to say; to be called again does no harm."""
        if self.tcpdump.poll() is not None:
            return ""
        self.tcpdump.send_signal(signal.SIGINT)
        said = self.tcpdump.stderr.read().decode()
        self.tcpdump.wait()
        return said

    def read(self):
        """Streams by direction, each byte once; and which have ended."""
        streams, base, ends = {}, {}, set()
        for packet in packets(self.path):
            parsed = tcp_segment(packet)
            if not parsed:
                continue
            source, seq, flags, data = parsed
            way = "tx" if source == self.port else "rx"
            if flags & SYN:
                base[way] = seq + 1
                continue
            at = (seq - base[way]) & 0xffffffff
            stream = streams.setdefault(way, bytearray())
            if data:
                if at > len(stream):
                    raise Failure(f"a hole in the capture at {at}")
                stream[at:at + len(data)] = data
            ends |= {way} if flags & FIN else set()
            ends |= {"tx", "rx"} if flags & RST else set()
        return streams, ends


def packets(path):
    """Frames of a capture file that may still be growing."""
    with open(path, "rb") as file:
        data = file.read()
    at = 24
    while at + 16 <= len(data):
        size, = struct.unpack_from("<I", data, at + 8)
        if at + 16 + size > len(data):
            return
        yield data[at + 16:at + 16 + size]
        at += 16 + size


def tcp_segment(frame):
    """Port, sequence number, flags and payload of a frame with IPv4."""
    if frame[12:14] != b"\x08\x00" or frame[23] != 6:
        return None
    ip_len = (frame[14] & 15) * 4
    total, = struct.unpack_from("!H", frame, 16)
    tcp = frame[14 + ip_len:14 + total] if total else frame[14 + ip_len:]
    source, _, seq = struct.unpack_from("!HHI", tcp)
    flags = tcp[13]
    return source, seq, flags, tcp[(tcp[12] >> 4) * 4:]


def records(stream):
    """(type, bytes on the wire) of each record."""
    at, found = 0, []
    while at < len(stream):
        kind, version, size = struct.unpack_from("!BHH", stream, at)
        if version >> 8 != 3:
            raise Failure(f"no TLS record at {at}")
        found.append((kind, 5 + size))
        at += 5 + size
    if at != len(stream):
        raise Failure("the last record is not complete")
    return found


def sockets(port, side):
    """The closed kTLS sockets of a port."""
    out = json.loads(run(KTLSCTL, "--json", "stats", side,
                         str(port), "--closed").stdout)
    return out["sockets"]


def check(what, suite, stream, found, application, extra_records, extra_bytes):
    """One direction: found is what the module says of it."""
    seen = records(stream)
    count = found.get("records", 0)
    kernel = seen[len(seen) - count:]
    wire = sum(size for _, size in kernel)
    payload = wire - count * suite.overhead

    def same(name, is_, want):
        if is_ != want:
            raise Failure(f"{what}: {name} is {is_}, should be {want}; "
                          f"records on the wire: {seen}")

    same("version", found["version"], suite.version)
    same("cipher", found["cipher"], suite.name)
    same("wire-bytes", found["wire-bytes"], wire)
    same("payload-bytes", found["payload-bytes"], payload)
    if suite.version == "tls-1-2":
        # It shows where encryption began.
        begin = [kind for kind, _ in seen].index(CHANGE_CIPHER_SPEC) + 1
        if what.endswith("RX") and count == len(seen) - begin - 1:
            # libssl had read the first of them when it got the key.
            extra_bytes -= FINISHED
        else:
            same("records", count, len(seen) - begin)
    # Tickets are the first, and their size is for the wire to tell.
    tickets = sum(size - suite.overhead for _, size in kernel[:extra_records])
    same("application's bytes", payload - tickets - extra_bytes, application)


class OpenSSL:
    """s_client and s_server, both with kernel TLS."""

    def __init__(self, directory):
        self.directory = directory
        run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
            "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj",
            "/CN=localhost", "-keyout", "key.pem", "-out", "cert.pem",
            cwd=directory)
        for size in SIZES:
            with open(os.path.join(directory, f"{size}"), "wb") as file:
                file.write(os.urandom(size))

    @staticmethod
    def available():
        got = subprocess.run(["openssl", "s_server", "-help"], check=False,
                             stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        return b"-ktls" in got.stdout

    def connect(self, port, suite, size, sendfile, tickets):
        protocol = "-tls1_2" if suite.version == "tls-1-2" else "-tls1_3"
        option = "-cipher" if suite.version == "tls-1-2" else "-ciphersuites"
        server = subprocess.Popen(
            ["openssl", "s_server", "-accept", str(port), "-4", "-ktls",
             "-WWW", "-quiet", "-naccept", "1", "-num_tickets", str(tickets),
             protocol, option, suite.ciphersuite, "-cert", "cert.pem",
             "-key", "key.pem"] + (["-sendfile"] if sendfile else []),
            cwd=self.directory, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        try:
            wait_for("listener", lambda: listening(port))
            request = f"GET /{size} HTTP/1.0\r\n\r\n".encode()
            client = run("openssl", "s_client", "-connect",
                         f"127.0.0.1:{port}", "-ktls", "-quiet", "-ign_eof",
                         protocol, option, suite.ciphersuite,
                         "-CAfile", "cert.pem", cwd=self.directory,
                         input=request)
            said = server.communicate(timeout=PATIENCE)[0]
        finally:
            server.kill()
            server.wait()
        body = client.stdout
        if len(body) < size:
            raise Failure(f"{len(body)} bytes came: {said.decode()}")
        return len(body), len(request)

    def test(self, port, suite, size, sendfile=False, tickets=0):
        capture = Capture(self.directory, port)
        try:
            response, request = self.connect(port, suite, size, sendfile,
                                             tickets)
            streams = capture.stop()
        finally:
            capture.end()
        servers = sockets(port, "sport")
        clients = sockets(port, "dport")
        if len(servers) != 1 or len(clients) != 1:
            raise Failure(f"{len(servers)} servers, {len(clients)} clients "
                          "on kernel TLS")
        old = suite.version == "tls-1-2"
        first = FINISHED if old else 0
        ticket_records = 0 if old else tickets
        # Either end's count of either way; the client's own alert may find
        # the connection closed, and then nobody receives it.
        way = [
            ("server TX", streams["tx"], servers[0]["tx"], response,
             ticket_records, first + ALERT),
            ("client RX", streams["tx"], clients[0]["rx"], response,
             ticket_records, first + ALERT),
            ("client TX", streams["rx"], clients[0]["tx"], request,
             0, first + ALERT),
        ]
        for args in way:
            check(args[0], suite, *args[1:])
        # Its last record, the alert, the server does not wait for.
        last = records(streams["rx"])[-1][1]
        rx = servers[0]["rx"]
        stream = streams["rx"]
        alert = ALERT
        if rx["records"] < clients[0]["tx"]["records"]:
            stream = stream[:-last]
            alert = 0
        check("server RX", suite, stream, rx, request, 0, first + alert)


class Nginx:
    """nginx with kernel TLS, curl without."""

    def __init__(self, directory, openssl):
        self.directory = directory
        self.version = openssl
        self.process = None

    def configure(self, port, suite):
        old = suite.version == "tls-1-2"
        conf = os.path.join(self.directory, "nginx.conf")
        protocol = "TLSv1.2" if old else "TLSv1.3"
        ciphers = f"ssl_ciphers {suite.ciphersuite};" if old else \
            f"ssl_conf_command Ciphersuites {suite.ciphersuite};"
        with open(conf, "w", encoding="ascii") as file:
            file.write(f"""
daemon off;
master_process off;
pid {self.directory}/nginx.pid;
error_log {self.directory}/error.log info;
events {{ worker_connections 64; }}
http {{
	access_log off;
	sendfile on;
	keepalive_timeout 0;
	client_body_temp_path {self.directory}/body;
	proxy_temp_path {self.directory}/proxy;
	fastcgi_temp_path {self.directory}/fastcgi;
	uwsgi_temp_path {self.directory}/uwsgi;
	scgi_temp_path {self.directory}/scgi;
	server {{
		listen 127.0.0.1:{port} ssl;
		root {self.directory};
		ssl_certificate {self.directory}/cert.pem;
		ssl_certificate_key {self.directory}/key.pem;
		ssl_protocols {protocol};
		{ciphers}
		ssl_conf_command Options KTLS;
		ssl_session_tickets off;
	}}
}}
""")
        self.process = subprocess.Popen(["nginx", "-c", conf],
                                        stdout=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL)
        wait_for("nginx", lambda: listening(port))

    def test(self, port, suite, size):
        capture = Capture(self.directory, port)
        try:
            self.configure(port, suite)
            out = run("curl", "-s", "--ciphers" if suite.version == "tls-1-2"
                      else "--tls13-ciphers", suite.ciphersuite,
                      "--cacert", "cert.pem", "--resolve",
                      f"localhost:{port}:127.0.0.1", "-o", "/dev/null", "-w",
                      "%{size_download} %{size_header} %{size_request}",
                      f"https://localhost:{port}/{size}",
                      cwd=self.directory).stdout.split()
            wait_for("close", lambda: sockets(port, "sport"))
            streams = capture.stop()
        finally:
            capture.end()
            if self.process:
                self.process.terminate()
                self.process.wait()
        body, header, request = (int(n) for n in out)
        if body != size:
            raise Failure(f"curl got {body} bytes")

        found, = sockets(port, "sport")
        old = suite.version == "tls-1-2"
        first = FINISHED if old else 0
        # Stateful tickets, but for TLS 1.2.
        check("nginx TX", suite, streams["tx"], found["tx"], body + header,
              0 if old else 2, first + ALERT)
        rx = found.get("rx")
        if not rx or not rx.get("mode") or rx["mode"] == "none":
            if self.version >= (3, 2):
                raise Failure("nginx receives without kernel TLS")
            return
        # curl's alert may come too late.
        stream, alert = streams["rx"], ALERT
        if sum(s for _, s in records(stream)[-rx["records"]:]) != \
                rx["wire-bytes"]:
            stream = stream[:-records(stream)[-1][1]]
            alert = 0
        check("nginx RX", suite, stream, rx, request, 0, first + alert)


def main():
    if os.environ.get("KTLS_INTEROP") != "netns":
        os.environ["KTLS_INTEROP"] = "netns"
        os.execvp("unshare", ["unshare", "--net", sys.executable, __file__])
    run("ip", "link", "set", "lo", "up")

    directory = tempfile.mkdtemp(prefix="ktls-interop.")
    os.chmod(directory, 0o755)
    atexit.register(shutil.rmtree, directory)
    version = run("openssl", "version").stdout.decode().split()[1]
    version = tuple(int(n) for n in version.split(".")[:2])

    openssl = OpenSSL(directory)
    nginx = Nginx(directory, version)
    tests = []
    for suite in SUITES:
        name = f"{suite.version}.{suite.name}"
        tests.append((f"openssl.{name}", openssl, suite, (SIZES[0],)))
        tests.append((f"openssl.{name}.sendfile", openssl, suite,
                      (SIZES[1], True)))
        if suite.version == "tls-1-3":
            tests.append((f"openssl.{name}.tickets", openssl, suite,
                          (SIZES[0], False, 2)))
        tests.append((f"nginx.{name}", nginx, suite, (SIZES[1],)))

    print("TAP version 13")
    print(f"1..{len(tests)}")
    failed = 0
    for n, (name, peers, suite, args) in enumerate(tests, 1):
        try:
            if peers is openssl and not openssl.available():
                raise Skip("this openssl has no -ktls")
            if suite.version == "tls-1-3" and suite.name == "aes-ccm-128" \
                    and version < (3, 2):
                raise Skip("this libssl has no kernel TLS for it")
            peers.test(20000 + n, suite, *args)
            print(f"ok {n} {name}")
        except Skip as why:
            print(f"ok {n} {name} # SKIP {why}")
        except (Failure, subprocess.SubprocessError, KeyError,
                ValueError) as why:
            failed += 1
            detail = getattr(why, "stderr", None)
            print(f"# {type(why).__name__}: {why}")
            if detail:
                print("# " + detail.decode().replace("\n", "\n# "))
            print(f"not ok {n} {name}")
        sys.stdout.flush()

    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
