#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""ktlsctl probe and doctor, with servers on loopback and this very host.

usage: probe.py KTLSCTL KTLSCTL-FAKE

What they say about the kernel is compared with what it answers to Python.
"""

import contextlib
import ctypes
import datetime
import errno
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time

import tap
from tap import ok

REAL, FAKE = map(os.path.abspath, sys.argv[1:3])
SOL_TLS, TLS_TX, TLS_RX, TCP_ULP = 282, 1, 2, 31
VERSIONS = {"tls-1-2": b"\x03\x03", "tls-1-3": b"\x04\x03"}
# Number, and the bytes that follow it.
CIPHERS = {
    "aes-gcm-128": (51, 8 + 16 + 4 + 8), "aes-gcm-256": (52, 8 + 32 + 4 + 8),
    "aes-ccm-128": (53, 8 + 16 + 4 + 8), "chacha20-poly1305": (54, 12 + 32 + 8),
}
SUITES = [(v, c) for v in VERSIONS for c in CIPHERS]


def run(args, program=REAL, columns=100, like="", **env):
    env = dict(os.environ, KTLS_FAKE_KERNEL=like, TZ="UTC", **env)
    env.pop("COLUMNS", None)
    if columns:
        env["COLUMNS"] = str(columns)
    return subprocess.run([program] + args, env=env, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, timeout=120)


def probe(*args, **env):
    """The exit code, and what JSON says."""
    r = run(["-j", "probe", *args], **env)
    try:
        return r.returncode, json.loads(r.stdout)
    except ValueError:
        return r.returncode, {"bad": r.stdout + r.stderr}


# Privileges: ktlsctl tries without CAP_NET_ADMIN, and so does this.

CAP_NET_ADMIN = 12


class Capabilities(ctypes.Structure):
    _fields_ = [("effective", ctypes.c_uint32), ("permitted", ctypes.c_uint32),
                ("inheritable", ctypes.c_uint32)]


@contextlib.contextmanager
def unprivileged():
    libc = ctypes.CDLL(None, use_errno=True)
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    data = (Capabilities * 2)()
    libc.capget(header, data)
    before = data[0].effective
    data[0].effective &= ~(1 << CAP_NET_ADMIN)
    libc.capset(header, data)
    try:
        yield
    finally:
        data[0].effective = before
        libc.capset(header, data)


def kernel_takes(version, cipher, option):
    """0, or the errno that a key of it gets from this kernel."""
    number, size = CIPHERS[cipher]
    with socket.socket() as listener, socket.socket() as end:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        end.connect(listener.getsockname())
        with listener.accept()[0]:
            try:
                end.setsockopt(socket.IPPROTO_TCP, TCP_ULP, b"tls")
                end.setsockopt(SOL_TLS, option, VERSIONS[version] +
                               number.to_bytes(2, sys.byteorder) +
                               os.urandom(size))
            except OSError as e:
                return e.errno
    return 0


with unprivileged():
    KERNEL = {(v, c, d): kernel_takes(v, c, o) for v, c in SUITES
              for d, o in (("tx", TLS_TX), ("rx", TLS_RX))}
HAS_TLS = not KERNEL["tls-1-2", "aes-gcm-128", "tx"]


# Servers

WORK = tempfile.mkdtemp()


def openssl(*args, **kwargs):
    return subprocess.run(["openssl", *args], cwd=WORK, check=True,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          **kwargs)


def make_certificates():
    openssl("req", "-x509", "-newkey", "ec", "-pkeyopt",
            "ec_paramgen_curve:P-256", "-nodes", "-keyout", "ca.key", "-out",
            "ca.pem", "-subj", "/CN=Test CA", "-days", "30")
    for name, subject, names, begin, days in (
            ("good", "/CN=localhost", "DNS:localhost,IP:127.0.0.1,IP:::1", 0, 30),
            ("other", "/CN=other.example", "DNS:other.example", 0, 30),
            ("expired", "/CN=localhost", "DNS:localhost", -30, 1),
            ("far", "/CN=localhost", "DNS:localhost", 0, 2900000),
            ("rude", "/CN=a\033[2Jb", "DNS:localhost", 0, 30)):
        openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
                "-nodes", "-keyout", f"{name}.key", "-out", f"{name}.csr",
                "-subj", subject)
        with open(f"{WORK}/{name}.ext", "w") as f:
            f.write(f"subjectAltName={names}\n")
        now = datetime.datetime.now(datetime.timezone.utc)
        start = now + datetime.timedelta(days=begin, hours=-1)
        # x509 cannot sign for the past, but ca can.
        open(f"{WORK}/{name}.index", "w").close()
        with open(f"{WORK}/{name}.cnf", "w") as f:
            f.write(f"[ca]\ndefault_ca=d\n[d]\ndatabase={WORK}/{name}.index\n"
                    "default_md=sha256\npolicy=p\nrand_serial=yes\n"
                    f"new_certs_dir={WORK}\nunique_subject=no\n"
                    "[p]\ncommonName=supplied\n")
        openssl("ca", "-batch", "-config", f"{name}.cnf", "-cert", "ca.pem",
                "-keyfile", "ca.key", "-in", f"{name}.csr", "-out",
                f"{name}.pem", "-extfile", f"{name}.ext", "-notext",
                "-startdate", start.strftime("%Y%m%d%H%M%SZ"), "-enddate",
                (start + datetime.timedelta(days=days)).strftime(
                    "%Y%m%d%H%M%SZ"))
    openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout",
            "self.key", "-out", "self.pem", "-subj", "/CN=localhost", "-addext",
            "subjectAltName=DNS:localhost", "-days", "30")


def free_port(host="127.0.0.1"):
    with socket.socket(socket.AF_INET6 if ":" in host else
                       socket.AF_INET) as s:
        s.bind((host, 0))
        return s.getsockname()[1]


@contextlib.contextmanager
def server(*args, cert="good", host="127.0.0.1"):
    port = free_port(host)
    where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    p = subprocess.Popen(
        ["openssl", "s_server", "-accept", where, "-cert", f"{cert}.pem",
         "-key", f"{cert}.key", "-quiet", *args], cwd=WORK,
        stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL)
    for _ in range(100):
        with contextlib.suppress(OSError):
            socket.create_connection((host, port)).close()
            break
        time.sleep(0.1)
    try:
        yield port
    finally:
        p.kill()
        p.wait()
        p.stdin.close()


@contextlib.contextmanager
def talker(greeting):
    """Not a TLS server: greets, or with None says nothing."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()

        def serve():
            ends = []
            with contextlib.suppress(OSError):
                while True:
                    end = listener.accept()[0]
                    ends.append(end)
                    if greeting == b"":
                        end.close()
                    elif greeting:
                        end.sendall(greeting)
            for end in ends:
                end.close()

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


# Tests

def test_usage():
    for command in ("probe", "doctor"):
        for args, says in [
            (["a", "b"], "one server"),
            (["[::1"], "written as [2001:db8::1]"),
            (["::1"], "in brackets: [::1]"),
            (["[127.0.0.1]"], "no IPv6 address"),
            (["[::1]443"], "written as"),
            (["https://example.org/"], "not a URL"),
            (["example.org/"], "not a URL"),
            ([""], "HOST is a name"),
            ([":443"], "HOST is a name"),
            (["x" * 256], "at most 255"),
            (["localhost:0"], "from 1 to 65535"),
            (["localhost:65536"], "from 1 to 65535"),
            (["localhost:"], "from 1 to 65535"),
            (["localhost:https"], "from 1 to 65535"),
            (["localhost", "--timeout", "0"], "0.1 to 86400"),
            (["localhost", "--timeout", "x"], "0.1 to 86400"),
            (["localhost", "--alpn", ""], "divided by commas"),
            (["localhost", "--alpn", "h2,"], "divided by commas"),
            (["localhost", "--alpn", "x" * 256], "divided by commas"),
            (["localhost", "--sni", "x" * 256], "at most 255"),
            (["localhost", "-4", "-6"], "do not go together"),
            (["localhost", "--closed"], "does not take --closed"),
        ]:
            r = run([command, *args])
            ok(r.returncode == 2 and not r.stdout and
               r.stderr.count("\n") == 1 and says in r.stderr,
               f"usage: {command} {' '.join(args)[:40]}",
               (r.returncode, r.stderr))
    r = run(["probe"])
    ok(r.returncode == 2 and "wants one server" in r.stderr,
       "probe wants a server", r.stderr)
    r = run(["doctor", "-4"])
    ok(r.returncode == 2 and "about a server" in r.stderr,
       "doctor has options for a server only", r.stderr)


def test_errors():
    """What goes wrong is one line."""
    closed = free_port()
    with talker(b"220 mail ESMTP\r\n") as smtp, talker(None) as silent, \
            talker(b"") as hangup, \
            talker(b"HTTP/1.1 400 Bad Request\r\n\r\n") as http:
        for args, says in [
            ([f"127.0.0.1:{closed}"], "refused the connection"),
            ([f"127.0.0.1:{smtp}"], "does not speak TLS"),
            ([f"127.0.0.1:{http}"], "does not speak TLS"),
            ([f"127.0.0.1:{hangup}"], "does it speak TLS"),
            ([f"127.0.0.1:{silent}", "--timeout", "0.5"],
             "did not answer the handshake in time"),
            (["no-such-host.invalid"], "could not find the address"),
            (["127.0.0.1", "-6"], "in IPv6"),
            (["[::1]", "-4"], "in IPv4"),
            (["localhost", "--ca", "/no/such"], "No such file"),
            (["localhost", "--ca", "/dev/null"], "no certificates"),
            (["localhost", "--netns", "no-such"], "ip netns list"),
        ]:
            r = run(["probe", *args])
            ok(r.returncode == 1 and not r.stdout and says in r.stderr and
               r.stderr.count("\n") == 1 and
               r.stderr.startswith("ktlsctl: "),
               f"error: {' '.join(args)}", (r.returncode, r.stderr))
            code, j = probe(*args)
            ok(code == 1 and says in j.get("error", ""),
               f"error in JSON: {' '.join(args)}", j)


def check_judgement(name, suite, d, j, libssl):
    """What is said of a direction agrees with the kernel and with libssl."""
    err = KERNEL[(*suite, d)]
    libssl_can = libssl >= (3, 2, 0) or (
        suite[0] == "tls-1-2" or (d == "tx" and suite[1] != "aes-ccm-128"))
    got = j[d]
    ok(got["qualifies"] == ("yes" if not err and libssl_can else "no"),
       f"{name}: {' '.join(suite)} {d}: {got['qualifies']}", (err, got))
    why = got.get("why", "")
    ok(("OpenSSL" in why) != libssl_can and
       bool(err) == ("the kernel " in why.replace("the kernel the key", "")
                     .replace("the kernel its key", "")) and
       (not err or errno.errorcode[err] in why),
       f"{name}: {' '.join(suite)} {d}: why", (err, why))


def test_default():
    with server() as port:
        code, j = probe(f"localhost:{port}", "-4", "--alpn", "h2,http/1.1")
        libssl = tuple(map(int, j["libssl"].split()[1].split(".")))
        first = j["default"]
        ok(first["version"] == "TLSv1.3" and
           first["suite"] == "TLS_AES_256_GCM_SHA384" and
           first["cipher"] == "aes-gcm-256" and first["sni"] == "localhost" and
           "alpn" not in first and first["tickets"] == 2 and
           first["ticket-seconds"] == 7200 and first.get("group"),
           "a server as it comes", j)
        ok(j["address"] == f"127.0.0.1:{port}" and j["port"] == port and
           j["host"] == "localhost", "where it is", j)
        both = all(first[d]["qualifies"] == "yes" for d in ("tx", "rx"))
        ok(code == (0 if both else 3) and j["qualifies"] == both,
           "the exit code says whether it qualifies", (code, j["qualifies"]))
        for d in ("tx", "rx"):
            check_judgement("default", ("tls-1-3", "aes-gcm-256"), d, first,
                            libssl)
        ok([(e["version"], e["cipher"]) for e in j["each"]] ==
           [(v, c) for v in VERSIONS for c in
            ("aes-gcm-128", "aes-gcm-256", "chacha20-poly1305",
             "aes-ccm-128")], "each suite was asked for", j["each"])
        for e in j["each"]:
            suite = e["version"], e["cipher"]
            # s_server takes CCM only if told to.
            if e["cipher"] == "aes-ccm-128":
                ok(e["server"] == "no" and "alert" in e["failure"],
                   f"refused: {' '.join(suite)}", e)
                continue
            ok(e["server"] == "yes", f"taken: {' '.join(suite)}", e)
            for d in ("tx", "rx"):
                check_judgement("each", suite, d, e, libssl)
        for columns in (80, 100):
            r = run(["probe", f"localhost:{port}"], columns=columns)
            widest = max(map(len, r.stdout.splitlines()))
            ok(r.returncode == code and widest <= columns and not r.stderr,
               f"text in {columns} columns: {widest}", r.stdout + r.stderr)
        ok("TLS_AES_256_GCM_SHA384" in r.stdout and
           "20 (unable to get local issuer certificate)" in r.stdout and
           ("Yes: with Linux" if both else "No: with Linux") in r.stdout,
           "text and JSON are of one mind", r.stdout)
        r = run(["probe", f"localhost:{port}"], columns=None)
        ok(r.returncode == code, "and in a pipe", r.stdout)
        with open("/dev/full", "w") as full:
            r = subprocess.run([REAL, "probe", f"127.0.0.1:{port}"],
                               stdout=full, stderr=subprocess.PIPE, text=True)
        ok(r.returncode == 1 or code == 3, "a full disk", r)

    with server("-alpn", "h2", "-cipher", "ALL", "-ciphersuites",
                "TLS_AES_128_CCM_SHA256:TLS_AES_256_GCM_SHA384") as port:
        code, j = probe(f"localhost:{port}", "--alpn", "http/1.1,h2", "--sni", "")
        ok(j["default"]["alpn"] == "h2" and "sni" not in j["default"],
           "ALPN, and no SNI", j["default"])
        each = {(e["version"], e["cipher"]): e for e in j["each"]}
        for suite in (("tls-1-2", "aes-ccm-128"), ("tls-1-3", "aes-ccm-128")):
            ok(each[suite]["server"] == "yes" and "CCM" in
               each[suite]["suite"], f"taken: {' '.join(suite)}", each[suite])
            for d in ("tx", "rx"):
                check_judgement("each", suite, d, each[suite], libssl)
        ok(each["tls-1-3", "aes-gcm-128"]["server"] == "no" and
           each["tls-1-3", "chacha20-poly1305"]["server"] == "no",
           "and refused, as the server has no other", j["each"])


def test_versions():
    with server("-tls1_2") as port:
        code, j = probe(f"localhost:{port}")
        ok(j["default"]["version"] == "TLSv1.2" and
           all(e["server"] == "no" for e in j["each"]
               if e["version"] == "tls-1-3"), "TLS 1.2 only", j)
    with server("-tls1_2", "-no_ticket", "-cipher",
                "ECDHE-ECDSA-AES128-SHA256") as port:
        code, j = probe(f"localhost:{port}")
        first = j["default"]
        ok(code == 3 and first["tickets"] == 0 and "cipher" not in first and
           all(first[d]["qualifies"] == "no" and
               "ECDHE-ECDSA-AES128-SHA256 is not for kernel TLS" in
               first[d]["why"] for d in ("tx", "rx")) and
           all(e["server"] == "no" for e in j["each"]),
           "a cipher with CBC does not qualify", j)
    with server("-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-CCM8:@SECLEVEL=0"
                ) as port:
        code, j = probe(f"localhost:{port}")
        first = j.get("default", {})
        ok(code == 3 and "alert" in first.get("default-refused", "") and
           first["suite"] == "ECDHE-ECDSA-AES128-CCM8" and
           first["tx"]["qualifies"] == "no" and
           all(e["server"] == "no" for e in j["each"]),
           "nor does one with a short tag, which is not asked for by default",
           j)
    with server("-tls1_3", "-ciphersuites", "TLS_AES_128_CCM_SHA256") as port:
        code, j = probe(f"localhost:{port}")
        ok(code == 3 and "default-refused" in j["default"] and
           j["default"]["cipher"] == "aes-ccm-128",
           "a server that refuses the default", j)
        r = run(["probe", f"localhost:{port}"])
        ok(r.returncode == 3 and "all that OpenSSL knows" in r.stdout,
           "and in text", r.stdout)
    with server("-tls1_1", "-cipher", "ALL:@SECLEVEL=0") as port:
        code, j = probe(f"localhost:{port}")
        ok(code == 3 and j["default"]["version"] == "TLSv1.1" and
           "TLSv1.1 is not for kernel TLS" in j["default"]["tx"]["why"],
           "TLS 1.1 does not qualify", j)


def test_certificates():
    def certificates(port, *args):
        return probe(f"localhost:{port}", "-4", *args)[1]["default"][
            "certificates"]

    ca = f"{WORK}/ca.pem"
    with server("-CAfile", ca, "-build_chain") as port:
        c = certificates(port, "--ca", ca)
        ok(c["verify"] == 0 and c["verify-text"] == "ok" and
           c["name"] == "localhost" and c["name-matches"] is True and
           c["names"].startswith("DNS:localhost, IP Address:127.0.0.1") and
           c["chain"][0]["subject"] == "CN = localhost" and
           c["chain"][0]["issuer"] == "CN = Test CA" and
           c["chain"][0]["not-before"] < time.time() <
           c["chain"][0]["not-after"], "a good certificate", c)
        c = certificates(port)
        ok(c["verify"] != 0, "of a CA that the system does not trust", c)
        s = subprocess.run(
            ["openssl", "s_client", "-connect", f"127.0.0.1:{port}"],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, text=True).stdout
        code = re.search(r"Verify return code: (\d+) \((.*)\)", s)
        ok(code and int(code[1]) == c["verify"] and
           code[2] == c["verify-text"], "as s_client says", (c, code))
        c = certificates(port, "--sni", "other.example")
        ok(c["name"] == "other.example" and c["name-matches"] is False,
           "not for the name that is asked for", c)
        c = probe(f"127.0.0.1:{port}")[1]["default"]["certificates"]
        ok(c["name"] == "127.0.0.1" and c["name-matches"] is True,
           "for an address", c)
    with server(cert="other") as port:
        c = certificates(port, "--ca", ca)
        ok(c["verify"] == 0 and c["name-matches"] is False, "a wrong name", c)
        r = run(["probe", f"localhost:{port}", "--ca", ca])
        ok("it is not good for localhost" in r.stdout, "and in text", r.stdout)
    with server(cert="expired") as port:
        c = certificates(port, "--ca", ca)
        ok(c["verify"] == 10 and "expired" in c["verify-text"],
           "an expired certificate", c)
        r = run(["probe", f"localhost:{port}", "--ca", ca])
        ok(": expired\n" in r.stdout and
           "10 (certificate has expired)" in r.stdout, "and in text", r.stdout)
    with server(cert="self") as port:
        c = certificates(port)
        ok(c["verify"] == 18 and c["chain"][0]["subject"] ==
           c["chain"][0]["issuer"], "a self-signed certificate", c)
        j = probe(f"localhost:{port}")[1]
        ok("RSA" in j["each"][0].get("suite", ""), "with RSA", j["each"][0])
    with server(cert="far") as port:
        r = run(["probe", f"localhost:{port}"])
        ok(r.returncode in (0, 3) and re.search(r"valid .* to 99\d\d-",
                                                r.stdout),
           "a certificate for thousands of years", r.stdout + r.stderr)
    with server(cert="rude") as port:
        r = run(["probe", f"localhost:{port}"])
        ok("\033" not in r.stdout and "CN = a" in r.stdout,
           "a certificate cannot steer the terminal", r.stdout)


def test_ipv6():
    try:
        port = free_port("::1")
    except OSError:
        ok(True, "IPv6 # SKIP this host has none")
        return
    with server(host="::1") as port:
        code, j = probe(f"[::1]:{port}", "-6")
        ok(code in (0, 3) and j["address"] == f"[::1]:{port}" and
           j["default"]["certificates"]["name-matches"] is True and
           "sni" not in j["default"], "IPv6", j)


def doctor(*args, program=REAL, **env):
    r = run(["-j", "doctor", *args], program=program, **env)
    try:
        j = json.loads(r.stdout)
    except ValueError:
        return r.returncode, {"bad": r.stdout + r.stderr}, {}
    return r.returncode, j, {(i["area"], i["name"]): i for i in
                             j.get("items", [])}


def test_doctor():
    code, j, items = doctor()
    states = [i["state"] for i in j["items"]]
    ok(all(j[s] == states.count(s) for s in ("ok", "problem", "unknown")) and
       sum(j[s] for s in ("ok", "problem", "unknown")) == len(states) and
       code == (3 if j["problem"] else 0),
       "the exit code says whether there is a problem", j)
    areas = list(dict.fromkeys(i["area"] for i in j["items"]))
    ok(areas == ["kernel", "module", "crypto", "library", "server",
                 "protocol", "counters", "device"], "items have their order",
       areas)
    ok(all(i["evidence"] for i in j["items"]) and
       all("fix" in i for i in j["items"] if i["state"] == "problem" and
           "see kernel" not in i["evidence"] and i["area"] != "protocol"),
       "all have evidence, problems a fix", j)
    for columns in (80, 100):
        r = run(["doctor"], columns=columns)
        widest = max((len(line) for line in r.stdout.splitlines()
                      # What is typed and where a file is are not cut.
                      if not re.search(r"\S{50}", line)), default=0)
        ok(r.returncode == code and widest <= columns and not r.stderr,
           f"text in {columns} columns: {widest}", r.stdout)
    ok(all(i["name"] in r.stdout for i in j["items"]) and
       re.search(r"\d+ ok, \d+ problems?, \d+ unknown\n$", r.stdout),
       "text has what JSON has", r.stdout)

    has = KERNEL["tls-1-2", "aes-gcm-128", "tx"] != errno.ENOENT
    ok((items["module", "tls.ko"]["state"] == "ok") == has,
       "tls.ko is loaded or not", items["module", "tls.ko"])
    if HAS_TLS:
        for c in CIPHERS:
            takes = not any(KERNEL[v, c, d] for v in VERSIONS
                            for d in ("tx", "rx"))
            ok((items["crypto", c]["state"] == "ok") == takes,
               f"the kernel has {c} or not", items["crypto", c])
    else:
        item = items["crypto", "ciphers"]
        first = KERNEL["tls-1-2", "aes-gcm-128", "tx"]
        ok(item["state"] == "unknown" and errno.errorcode[first] in
           item["evidence"], "nothing is said of ciphers without tls.ko", item)
    libssl = items["library", "libssl"]
    old = "OpenSSL 3.0" in libssl["evidence"] or \
        "OpenSSL 3.1" in libssl["evidence"]
    ok(libssl["state"] == ("problem" if old else "ok") and
       ("TLS 1.3 aes-gcm-256 rx" in libssl["evidence"]) == old,
       "what libssl offers", libssl)

    try:
        with open("/proc/net/tls_stat") as f:
            nonzero = any(int(line.split()[1]) for line in f)
        item = items["counters", "tls_stat"]
        ok((item["state"] != "unknown") == nonzero or HAS_TLS,
           "counters", item)
    except OSError as e:
        ok(items["counters", "tls_stat"]["state"] == "unknown" and
           os.strerror(e.errno) in items["counters", "tls_stat"]["evidence"],
           "no counters", items["counters", "tls_stat"])
    names = {name for _, name in socket.if_nameindex()}
    text = " ".join(i["name"] + " " + i["evidence"] for i in j["items"]
                    if i["area"] == "device")
    ok(all(re.search(rf"\b{re.escape(name)}\b", text) for name in names),
       "all devices", (names, text))


def test_doctor_module():
    for like, state, says in (
            ("", "ok", "all its hooks are armed"),
            ("absent", "problem", "not loaded"),
            ("incomplete-hooks", "problem", "close, ctx-free"),
            ("version2", "unknown", "version 2 of the interface"),
            ("old", "unknown", "older than this program"),
            ("denied", "ok", "armed")):
        code, j, items = doctor(program=FAKE, like=like)
        item = items.get(("module", "ktls.ko"), {})
        ok(item.get("state") == state and (says in item["evidence"] or
                                           like == "incomplete-hooks"),
           f"ktls.ko: {like or 'as ever'}", item or j)


def test_doctor_servers():
    """A process that is called nginx will do."""
    nginx = f"{WORK}/nginx"
    shutil.copy(shutil.which("sleep"), nginx)
    with subprocess.Popen([nginx, "100"]) as p:
        time.sleep(0.3)
        _, j, items = doctor(program=FAKE)
        item = items.get(("server", "nginx"), {})
        # The fake kernel's sockets are of nginx.
        ok(item.get("state") == "ok" and "3 open, 1 closed" in
           item["evidence"] and "this network namespace" in item["evidence"] and
           "no libssl is mapped" in item["evidence"], "a server with sockets",
           item or j)
        _, j, items = doctor(program=FAKE, like="empty")
        item = items.get(("server", "nginx"), {})
        ok(item.get("state") == "unknown" and
           ("ssl_conf_command" in item.get("fix", "") or
            "for root to see" in item["evidence"]), "a server without",
           item or j)
        _, j, items = doctor(program=FAKE, like="absent")
        item = items.get(("server", "nginx"), {})
        ok(item.get("state") == "unknown" and "not loaded" in item["evidence"],
           "a server, and no module to ask", item or j)
        p.kill()
    haproxy = f"{WORK}/haproxy"
    shutil.copy(shutil.which("sleep"), haproxy)
    with subprocess.Popen([haproxy, "100"]) as p:
        time.sleep(0.3)
        _, j, items = doctor(program=FAKE, like="empty")
        item = items.get(("server", "haproxy"), {})
        ok(item.get("state") == "problem" and "never asks" in item["evidence"],
           "a server that never asks", item or j)
        p.kill()
    # In a namespace of its own, if we may make one.
    p = subprocess.Popen(["unshare", "-n", nginx, "100"],
                         stderr=subprocess.DEVNULL)
    time.sleep(0.5)
    if p.poll() is not None:
        ok(True, "a server in another namespace # SKIP may not make one")
        return
    _, j, items = doctor(program=FAKE)
    item = items.get(("server", "nginx"), {})
    ok("another network namespace" in item.get("evidence", ""),
       "a server in another namespace", item or j)
    item = items.get(("counters", "nginx"), {})
    ok("say nothing about it" in item.get("evidence", ""),
       "whose counters are not those of this one", item or j)
    p.kill()
    p.wait()


def test_doctor_cnf():
    def cnf(text):
        with open(f"{WORK}/openssl.cnf", "w") as f:
            f.write(text)
        return doctor(OPENSSL_CONF=f"{WORK}/openssl.cnf")[2][
            "library", "openssl.cnf"]

    head = "openssl_conf = i\n[i]\nssl_conf = s\n[s]\nsystem_default = d\n"
    for text, state, says in (
            (head + "[d]\nOptions = KTLS\n", "ok", "[d] Options = KTLS"),
            (head + "[d]\nOptions = -SessionTicket, ktls\n", "ok", "ktls"),
            (head + "[d]\n1.Options = KTLS\n2.options = ServerPreference\n",
             "ok", "KTLS,ServerPreference"),
            (head + "[d]\nOptions = -KTLS\n", "unknown", "does not tell"),
            (head + "[d]\nOptions = KTLSX\n", "unknown", "does not tell"),
            (head + "[d]\nMinProtocol = TLSv1.2\n", "unknown", "[d]"),
            ("[x]\nOptions = KTLS\n", "unknown", "no section"),
            ("[x\n", "unknown", "line 1")):
        item = cnf(text)
        ok(item["state"] == state and says in item["evidence"],
           f"openssl.cnf: {text.splitlines()[-1]}", item)
    item = doctor(OPENSSL_CONF="/no/such")[2]["library", "openssl.cnf"]
    ok(item["state"] == "unknown" and "/no/such" in item["evidence"],
       "no openssl.cnf", item)


def test_doctor_protocol():
    with server() as port:
        code, j, items = doctor(f"localhost:{port}")
        item = items["protocol", f"localhost:{port}"]
        qualified = probe(f"localhost:{port}")[0] == 0
        ok((item["state"] == "ok") == qualified and
           "TLSv1.3 with TLS_AES_256_GCM_SHA384" in item["evidence"],
           "doctor asks a server", item)
    _, j, items = doctor(f"127.0.0.1:{port}")
    item = items["protocol", f"127.0.0.1:{port}"]
    ok(item["state"] == "unknown" and "refused the connection" in
       item["evidence"], "or cannot", item)


def test_without_loopback():
    """What could not be tried is unknown."""
    r = subprocess.run(["unshare", "-n", REAL, "-j", "doctor"],
                       stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if not r.stdout:
        ok(True, "without loopback # SKIP may not make a namespace")
        return
    items = {(i["area"], i["name"]): i for i in json.loads(r.stdout)["items"]}
    ok(all(items[item]["state"] == "unknown" for item in (
        ("module", "tls.ko"), ("crypto", "ciphers"), ("library", "libssl"))) and
       "is lo up?" in items["crypto", "ciphers"]["evidence"],
       "without loopback", items)


def test_privileges():
    """Who looks changes nothing, and may be nobody."""
    before = os.path.exists("/sys/module/tls")
    run(["doctor"])
    ok(os.path.exists("/sys/module/tls") == before,
       "tls.ko is not loaded by a look")
    if os.getuid():
        ok(True, "as another user # SKIP this is one")
        return
    r = subprocess.run(["setpriv", "--reuid", "65534", "--clear-groups", REAL,
                        "-j", "doctor"], stdout=subprocess.PIPE,
                       stderr=subprocess.PIPE, text=True, cwd="/")
    try:
        items = {(i["area"], i["name"]): i
                 for i in json.loads(r.stdout)["items"]}
    except ValueError:
        items = {}
    ok(r.returncode in (0, 3) and not r.stderr and
       items.get(("library", "processes"), {}).get("state") == "unknown",
       "as another user", r)


def main():
    print("TAP version 13")
    make_certificates()
    try:
        for test in (test_usage, test_errors, test_default, test_versions,
                     test_certificates, test_ipv6, test_doctor,
                     test_doctor_module, test_doctor_servers, test_doctor_cnf,
                     test_doctor_protocol, test_without_loopback,
                     test_privileges):
            test()
    finally:
        shutil.rmtree(WORK)
    return tap.end()


if __name__ == "__main__":
    sys.exit(main())
