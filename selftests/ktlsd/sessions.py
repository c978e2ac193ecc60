#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""What ktlsd negotiates, and what it refuses.

Sessions that are resumed, by any worker and under older ticket keys; the
certificate that fits the name; protocols; certificates of clients; no early
data; and the keys that the kernel does not take: who does the records then, and
that none of them is lost.
"""

import atexit
import contextlib
import ctypes
import errno
import os
import queue
import socket
import ssl
import struct
import subprocess
import sys
import threading
import time

import ends
from bench import (HERE, KTLSCTL, PATIENCE, PATIENT, PORTS, TOP, Authority,
                   Daemon, Failure, Server, Skip, client, connect, echo,
                   has_kernel_tls, in_namespace, new_directory, perform, run,
                   same, sockets, talk, wait_for, write)

TLS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}
VERSIONS = tuple(TLS)
WORKERS = 3
SIZE = 1 << 20
NO_TLS = "/run/modprobe.d/ktlsd-test.conf"
PROXY = b"\r\n\r\n\0\r\nQUIT\n"


class Setting:
    """A ktlsd with a listener for each thing, and what is around it."""

    def __init__(self, directory):
        self.directory = directory
        self.authority = Authority(directory)
        self.stranger = Authority(directory, "strangers")
        self.ca = self.authority.pem
        path = self.path
        for name in "localhost", "example.org", "*.example.net", "someone":
            self.authority.issue_file(path(name), name)
        self.authority.issue_file(path("expired"), "late", expired=True)
        self.stranger.issue_file(path("stranger"), "stranger")
        self.backend = Server(next(PORTS), echo)
        self.headers = queue.Queue()
        self.proxied = Server(next(PORTS), self.take_header)
        self.ports = {name: next(PORTS) for name in (
            "www", "alpn", "none", "optional", "required", "proxy")}
        one = f'certificate = "{path("localhost")}"'
        trust = f'client-ca = "{self.ca}"'
        self.daemon = self.start(f"workers = {WORKERS}\n" + "".join((
            self.listener("www", f"""certificate = {{
                "{path("localhost")}", "{path("example.org")}",
                "{path("*.example.net")}" }}"""),
            self.listener("alpn", one, 'alpn = { "h2", "http/1.1" }'),
            self.listener("none", one),
            self.listener("optional", one, trust,
                          "client-certificate = optional"),
            self.listener("required", one, trust,
                          "client-certificate = required"),
            self.listener("proxy", one, 'alpn = "imap"',
                          "proxy-protocol = true", backend=self.proxied))))

    def path(self, name):
        """Of a file in the directory."""
        return os.path.join(self.directory, name)

    def start(self, conf, env=None):
        """A ktlsd."""
        return Daemon(self.directory, conf, env)

    def listener(self, name, *settings, port=None, backend=None):
        """A section of a configuration."""
        return "\n".join((
            f"listener {name} {{",
            f'address = "127.0.0.1:{port or self.ports[name]}"',
            f'backend = "127.0.0.1:{(backend or self.backend).port}"',
            PATIENT, *settings, "}\n"))

    def connect(self, listener, context=None, version=None, **kwargs):
        """A connection to a listener."""
        context = context or client(self.ca)
        if version:
            context.minimum_version = context.maximum_version = TLS[version]
        return connect(self.ports[listener], context, **kwargs)

    # Resumption

    def session(self, port, context):
        """Of a connection that was used."""
        with connect(port, context) as end:
            talk(end)
            same("resumption of the first connection", end.session_reused,
                 False)
            return end.session

    def resumed(self, version):
        """By every worker, whoever it was that made the ticket."""
        context = client(self.ca, minimum_version=TLS[version],
                         maximum_version=TLS[version])
        port = self.ports["www"]
        session = self.session(port, context)
        before = self.daemon.counters()["handshakes-resumed"]
        results = []

        def attempt():
            try:
                with connect(port, context, session=session) as end:
                    talk(end)
                    results.append(end.session_reused)
            except (OSError, Failure) as e:
                results.append(e)

        def workers():
            return [p["counters"]["handshakes-resumed"]
                    for p in self.daemon.status()["processes"]
                    if p["role"] == "worker"]

        begin = workers()
        # Who accepts is chance.
        for _ in range(20):
            threads = [threading.Thread(target=attempt) for _ in range(16)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            each = [now - then for now, then in zip(workers(), begin)]
            if all(each):
                break
        same("what is not resumed", [r for r in results if r is not True], [])
        same("what was counted", self.daemon.counters()["handshakes-resumed"] -
             before, len(results))
        if not all(each):
            raise Failure(f"not all workers had their turn: {each}")
        return f"by each worker: {each}"

    def rotated(self, version):
        """A ticket outlives one change of keys, and not all."""
        clock = write(self.path("clock"), "\0" * 8)
        port = next(PORTS)
        daemon = self.start(
            "ticket-hours = 1\nworkers = 1\n" + self.listener(
                "rotated", f'certificate = "{self.path("localhost")}"',
                port=port),
            {"LD_PRELOAD": os.path.join(HERE, "obj/clock.so"),
             "KTLSD_CLOCK": clock})
        context = client(self.ca, minimum_version=TLS[version],
                         maximum_version=TLS[version])

        def pass_hours(hours):
            changed = daemon.status()["ticket-key-time"]
            with open(clock, "r+b") as file:
                file.write(struct.pack("l", hours * 3600))
            wait_for("change of keys", lambda:
                     daemon.status()["ticket-key-time"] != changed)

        def is_resumed():
            with connect(port, context, session=session) as end:
                talk(end)
                return end.session_reused

        try:
            session = self.session(port, context)
            pass_hours(1)
            same("resumption after one change", is_resumed(), True)
            pass_hours(2)
            pass_hours(3)
            same("resumption after three changes", is_resumed(), False)
        finally:
            daemon.kill()

    def early(self):
        """Early data is refused, and the connection goes on without."""
        port = self.ports["www"]
        lib = None

        def wait(function, *args):
            deadline = time.monotonic() + PATIENCE
            while True:
                try:
                    return function(*args)
                except ends.WouldBlock:
                    if time.monotonic() > deadline:
                        raise
                    time.sleep(0.01)

        def come_back(end, text):
            end.send(text)
            same("what comes back", wait(end.receive, 1000), text)

        def new():
            return ends.OpenSSL(socket.create_connection(("127.0.0.1", port)),
                                "1.3", ca=self.ca)

        end = new()
        lib = end.lib
        wait(end.handshake)
        come_back(end, b"first")
        session = lib.SSL_get1_session(end.ssl)
        # Without, it would not be good for another connection.
        end.say_end()
        end.close()
        # The ticket does not say so.
        lib.SSL_SESSION_set_max_early_data(session, 10000)
        end = new()
        lib.SSL_set_session(end.ssl, session)
        wait(end.call, lib.SSL_write_early_data, b"early", 5,
             ctypes.byref(end.count))
        wait(end.handshake)
        same("early data's status (1: refused)",
             lib.SSL_get_early_data_status(end.ssl), 1)
        same("resumption", lib.SSL_session_reused(end.ssl), 1)
        come_back(end, b"late")
        end.close()
        lib.SSL_SESSION_free(session)

    # Names and protocols

    def names(self, version):
        """The certificate that fits, and the first for all others."""
        for name, want in (("localhost", "localhost"),
                           ("example.org", "example.org"),
                           ("a.example.net", "*.example.net"),
                           ("nobody.invalid", "localhost"),
                           (None, "localhost")):
            context = client(self.ca)
            context.check_hostname = False
            with self.connect("www", context, version, name=name) as end:
                talk(end)
                got = dict(p[0] for p in end.getpeercert()["subject"])
                same(f"certificate for {name}", got["commonName"], want)
                told = self.told(end)
                same("server name told", told.get("server-name"), name)
                same("certificate told", told["certificate"], self.path(want))

    def told(self, end):
        """What ktlsctl daemon connections says of it."""
        port = end.getsockname()[1]
        return next(c for c in self.daemon.ask("connections")["connections"]
                    if c["remote-port"] == port)

    def protocols(self, version):
        """What the client and the configuration have in common."""
        for offer, want in ((["http/1.1"], "http/1.1"), (["h2"], "h2"),
                            (["http/1.1", "h2"], "h2"), ([], None)):
            context = client(self.ca)
            if offer:
                context.set_alpn_protocols(offer)
            with self.connect("alpn", context, version) as end:
                talk(end)
                same(f"protocol of {offer}", end.selected_alpn_protocol(),
                     want)
                same("protocol told", self.told(end).get("alpn"), want)
        context = client(self.ca)
        context.set_alpn_protocols(["imap"])
        before = self.daemon.counters()["failed-protocol"]
        try:
            with self.connect("alpn", context, version):
                pass
            raise Failure("nothing in common, and no refusal")
        except ssl.SSLError as e:
            if "no_application_protocol" not in str(e).lower().replace(
                    " ", "_"):
                raise Failure(f"it is refused with: {e}") from e
        self.daemon.wait_counter("failed-protocol", before + 1)

    # Certificates of clients

    def clients(self, version, listener):
        """Who may come in."""
        good = {"none": (None, "someone", "stranger", "expired"),
                "optional": (None, "someone"),
                "required": ("someone",)}[listener]
        for name in None, "someone", "stranger", "expired":
            context = client(self.ca)
            if name:
                context.load_cert_chain(self.path(name))
            before = self.daemon.counters()["failed-certificate"]
            peer, error = None, None
            try:
                with self.connect(listener, context, version) as end:
                    talk(end)
                    peer = self.told(end).get("peer-name")
            except (OSError, Failure) as e:
                error = e
            if (name in good) != (error is None):
                raise Failure(f"{name or 'no certificate'}: "
                              f"{error or 'let in'}\n{self.daemon.log()}")
            same("the name told", peer, "someone" if name in good and
                 name == "someone" and listener != "none" else None)
            self.daemon.wait_counter("failed-certificate",
                                     before + (error is not None))

    def own_certificate(self):
        """A connector has one for servers that ask, and looks at theirs."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.path("localhost"))
        context.load_verify_locations(self.ca)
        context.verify_mode = ssl.CERT_REQUIRED
        seen = queue.Queue()

        def serve(sock):
            with context.wrap_socket(sock, server_side=True) as end:
                seen.put(dict(p[0] for p in end.getpeercert()["subject"]))
                echo(end)

        server = Server(next(PORTS), serve)
        ports = {name: next(PORTS) for name in ("good", "name", "ca")}
        daemon = self.start("".join(f"""
connector {name} {{
    address = "127.0.0.1:{port}"
    backend = "127.0.0.1:{server.port}"
    server-name = "{"other.invalid" if name == "name" else "localhost"}"
    certificate = "{self.path("someone")}"
    ca = "{(self.stranger if name == "ca" else self.authority).pem}"
    {PATIENT}
}}""" for name, port in ports.items()))
        try:
            with socket.create_connection(
                    ("127.0.0.1", ports["good"]), PATIENCE) as end:
                talk(end)
                same("what the server saw", seen.get(timeout=PATIENCE),
                     {"commonName": "someone"})
            for n, name in enumerate(("name", "ca"), 1):
                with socket.create_connection(
                        ("127.0.0.1", ports[name]), PATIENCE) as end:
                    got = b""
                    with contextlib.suppress(ConnectionResetError):
                        got = end.recv(1)
                        raise Failure(f"no reset for the wrong {name}: {got}")
                daemon.wait_counter("failed-certificate", n)
        finally:
            daemon.kill()
            server.close()

    # The PROXY protocol

    def take_header(self, end):
        """And then it is an echo."""
        head = end.recv(16, socket.MSG_WAITALL)
        body = end.recv(struct.unpack("!H", head[14:])[0], socket.MSG_WAITALL)
        self.headers.put((head, body))
        echo(end)

    def proxy(self, version):
        """Version 2, with the client's address and what it negotiated."""
        context = client(self.ca)
        context.set_alpn_protocols(["imap"])
        with self.connect("proxy", context, version) as end:
            # It does not wait for the client's first word.
            head, body = self.headers.get(timeout=PATIENCE)
            talk(end)
            here, there = end.getsockname(), end.getpeername()
            suite = end.cipher()[0]
        same("the header", head[:14], PROXY + b"\x21\x11")
        same("the addresses", body[:12], socket.inet_aton(here[0]) +
             socket.inet_aton(there[0]) + struct.pack("!HH", here[1], there[1]))
        values = self.values(body[12:])
        same("the protocol", values.get(1), b"imap")
        same("the name", values.get(2), b"localhost")
        same("no certificate", values.get(0x20, b"")[:5], b"\1\0\0\0\1")
        inner = self.values(values[0x20][5:])
        same("the version", inner.get(0x21), f"TLSv{version}".encode())
        same("the cipher", inner.get(0x23), suite.encode())

    @staticmethod
    def values(data):
        """By type."""
        found = {}
        while data:
            kind, size = struct.unpack_from("!BH", data)
            found[kind] = data[3:3 + size]
            data = data[3 + size:]
        return found

    # Keys that the kernel does not take

    def exchange(self, port, version, backend):
        """Both ways at the same time; the port of the client, if all came."""
        sock = socket.create_connection(("127.0.0.1", port))
        mine = sock.getsockname()[1]
        ours = ends.Exchange(ends.OpenSSL(sock, version, ca=self.ca), SIZE,
                             True)
        results = {}
        thread = threading.Thread(
            target=lambda: results.update(client=ours.run()), daemon=True)
        thread.start()
        there = ends.Exchange(ends.Plain(backend.accept()[0]), SIZE, False)
        server = there.run()
        thread.join(PATIENCE)
        ours.end.close()
        there.end.close()
        got = results.get("client", {})
        for name, result in ("client", got), ("backend", server):
            same(f"bytes that the {name} received", result.get("bytes"), SIZE)
            same(f"the end that the {name} saw", result["end"], ends.ENDED)
        same("the hash of what was sent", server["received"], got["sent"])
        same("the hash of what was received", got["received"], server["sent"])
        return mine

    def with_policy(self, version, *denied):
        """Who does what, when the policy denies these directions."""
        if not has_kernel_tls():
            raise Skip("this host has no kernel TLS")
        run(KTLSCTL, "policy", "load", "-", input="".join(
            f"deny {way}\n" for way in denied).encode())
        backend = socket.create_server(("127.0.0.1", 0))
        backend.settimeout(PATIENCE)
        conf, ports = "", {}
        for require in "any", "kernel":
            ports[require] = next(PORTS)
            conf += f"""
listener {require} {{
    address = "127.0.0.1:{ports[require]}"
    backend = "127.0.0.1:{backend.getsockname()[1]}"
    certificate = "{self.path("localhost")}"
    require = {require}
    {PATIENT}
}}
"""
        daemon = self.start("workers = 1\n" + conf)
        try:
            mine = self.exchange(ports["any"], version, backend)
            daemon.wait_counter("closed-done", 1)
            counters = daemon.counters()
            for way in "tx", "rx":
                same(f"user-{way}", counters[f"user-{way}"], way in denied)
                same(f"kernel-{way}", counters[f"kernel-{way}"],
                     way not in denied)
            same("keys-policy", counters["keys-policy"], bool(denied))
            found = sockets("sport", ports["any"], "dport", mine)
            for way in "tx", "rx":
                modes = [s[way]["mode"] for s in found if way in s and
                         s[way].get("mode", "none") != "none"]
                same(f"mode of {way}", modes,
                     [] if way in denied else ["sw"])
            if not denied:
                self.exchange(ports["kernel"], version, backend)
                return
            self.refused(daemon, ports["kernel"], version)
            daemon.logged(os.strerror(errno.EPERM))
        finally:
            daemon.kill()
            backend.close()
            subprocess.run([KTLSCTL, "policy", "reset"], check=False,
                           capture_output=True)

    def refused(self, daemon, port, version):
        """require = kernel, and it is not to be had."""
        context = client(self.ca, minimum_version=TLS[version],
                         maximum_version=TLS[version])
        try:
            with connect(port, context) as end:
                end.settimeout(PATIENCE)
                got = end.recv(1)
        except ssl.SSLError as error:
            # Of class SSLEOFError from Python 3.12 on.
            same("error", "EOF" in str(error), True)
            got = b""
        except ConnectionError:
            got = b""
        same("what a client gets that is refused", got, b"")
        daemon.wait_counter("closed-no-kernel", 1)

    def without_module(self):
        """The kernel has no tls."""
        if not os.path.exists("/sys/module/ktls"):
            raise Skip("ktls.ko is not loaded")
        ports = next(PORTS), next(PORTS)
        one = f'certificate = "{self.path("localhost")}"'
        daemon = None
        # Neither the kernel nor ktlsd is to bring it back.
        os.makedirs(os.path.dirname(NO_TLS), exist_ok=True)
        atexit.register(self.restore_module)
        run("rmmod", "ktls")
        try:
            try:
                run("rmmod", "tls")
            except Failure as e:
                raise Skip("tls.ko is in use") from e
            write(NO_TLS, "install tls /bin/false\n")
            daemon = self.start(
                "workers = 1\n" + self.listener("any", one, port=ports[0]) +
                self.listener("kernel", one, "require = kernel", port=ports[1]))
            daemon.logged("the kernel offers no tls")
            for version in VERSIONS:
                context = client(self.ca, minimum_version=TLS[version],
                                 maximum_version=TLS[version])
                with connect(ports[0], context) as end:
                    talk(end, os.urandom(50000))
            counters = daemon.counters()
            same("user-tx", counters["user-tx"], 2)
            same("user-rx", counters["user-rx"], 2)
            same("keys-no-tls", counters["keys-no-tls"], 2)
            self.refused(daemon, ports[1], "1.3")
        finally:
            if daemon:
                daemon.kill()
            self.restore_module()

    @staticmethod
    def restore_module():
        """As it was, whatever has happened."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(NO_TLS)
        if not os.path.exists("/sys/module/ktls"):
            run("modprobe", "tls")
            run("insmod", os.path.join(TOP, "kmod/ktls/ktls.ko"))

    def tests(self):
        """Names and functions."""
        tests = [("early-data", self.early),
                 ("connector.certificates", self.own_certificate)]
        for v in VERSIONS:
            tests += [
                (f"{v}.resumed", lambda v=v: self.resumed(v)),
                (f"{v}.rotated", lambda v=v: self.rotated(v)),
                (f"{v}.names", lambda v=v: self.names(v)),
                (f"{v}.protocols", lambda v=v: self.protocols(v)),
                (f"{v}.proxy", lambda v=v: self.proxy(v)),
            ]
            tests += [(f"{v}.client-certificate.{n}",
                       lambda v=v, n=n: self.clients(v, n))
                      for n in ("none", "optional", "required")]
            tests += [("{}.denied.{}".format(v, "-".join(ways) or "nothing"),
                       lambda v=v, w=ways: self.with_policy(v, *w))
                      for ways in ((), ("rx",), ("tx",), ("tx", "rx"))]
        # Last, as what the module knew is gone.
        return tests + [("without-tls.ko", self.without_module)]


def main():
    """Of all."""
    in_namespace()
    setting = Setting(new_directory())
    status = perform(setting.tests())
    setting.daemon.kill()
    return status


if __name__ == "__main__":
    sys.exit(main())
