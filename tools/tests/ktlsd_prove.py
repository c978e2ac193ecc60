#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""ktlsd proves that it serves what is in the files.

usage: ktlsd_prove.py KTLSD KTLSCTL

It needs no module: connections stay in user space.
"""

import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time

import tap
from ktlsd_supervisor import CTL, DIR, daemon, free_port, is_alive, listener
from tap import ok


def path(name):
    return os.path.join(DIR, name)


def openssl(*args):
    subprocess.run(["openssl", *args], check=True, stdin=subprocess.DEVNULL,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def certificate(name, names="", days="90", end=None):
    """NAME.crt and NAME.key; @end: seconds until it expires."""
    args = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
            "-keyout", path(name + ".key"), "-subj", f"/CN={name}"]
    san = ["-addext", f"subjectAltName={names}"] if names else []
    if end is None:
        openssl("req", "-x509", *args, *san, "-out", path(name + ".crt"),
                "-days", days)
        return
    with open(path("ca.conf"), "w") as f:
        f.write(f"[ca]\ndefault_ca = x\n[x]\ndatabase = {DIR}/index\n"
                f"serial = {DIR}/serial\nnew_certs_dir = {DIR}\n"
                "default_md = sha256\npolicy = p\ncopy_extensions = copy\n"
                "[p]\ncommonName = supplied\n")
    open(path("index"), "w").close()
    until = time.strftime("%Y%m%d%H%M%SZ", time.gmtime(time.time() + end))
    openssl("req", *args, *san, "-new", "-out", path("csr"))
    openssl("ca", "-batch", "-config", path("ca.conf"), "-selfsign", "-rand_serial",
            "-keyfile", path(name + ".key"), "-in", path("csr"), "-out",
            path(name + ".crt"), "-notext", "-enddate", until)


def serial(name):
    r = subprocess.run(["openssl", "x509", "-in", path(name + ".crt"), "-noout",
                        "-serial"], check=True, stdout=subprocess.PIPE,
                       text=True)
    return r.stdout.strip().split("=")[1].lower()


def install(name, as_name, kinds=("crt", "key")):
    """As a renewal does it: each file at once."""
    for kind in kinds:
        shutil.copy(path(f"{name}.{kind}"), path("new"))
        os.rename(path("new"), path(f"{as_name}.{kind}"))


def settings(*names):
    names = list(names)
    return [f"certificate = {{ {', '.join(path(n + '.crt') for n in names)} }}",
            f"key = {{ {', '.join(path(n + '.key') for n in names)} }}"]


def conf(listeners, interval=1):
    return (f"workers = 2\nprove-interval = {interval}\ndrain-timeout = 2\n" +
            "".join(listener(s, name) for name, s in listeners))


def proofs(d):
    return {(at["name"], os.path.basename(p["certificate"])[:-4]): p
            for at in d.status()["listeners"] for p in at["proofs"]}


def states(d):
    return {key: p["state"] for key, p in proofs(d).items()}


def served(port, name=None):
    """The serial that a client sees."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with socket.create_connection(("127.0.0.1", port), 10) as s:
        with context.wrap_socket(s, server_hostname=name) as t:
            der = t.getpeercert(True)
    r = subprocess.run(["openssl", "x509", "-inform", "der", "-noout", "-serial"],
                       input=der, check=True, stdout=subprocess.PIPE)
    return r.stdout.decode().strip().split("=")[1].lower()


def ctl(d, *args):
    r = subprocess.run([CTL, *args, "--socket", d.path], stdout=subprocess.PIPE,
                       text=True, env=dict(os.environ, COLUMNS="160"))
    return r.stdout if r.returncode == 0 else f"exit status {r.returncode}"


def metric(d, name, **labels):
    labels = ",".join(f'{k}="{v}"' for k, v in labels.items())
    for line in ctl(d, "daemon", "metrics").splitlines():
        if line.startswith(f"ktlsd_{name}{{{labels}}} "):
            return float(line.split()[-1])
    return None


A, B, M = ("www", "a"), ("www", "b"), ("mtls", "a")


def test_well(d, backend):
    ok(d.until(lambda: states(d) == {A: "proven", B: "proven", M: "proven"}),
       "all listeners are proven, with all of their certificates", d.read_log())
    p = proofs(d)
    ok(all(p[key]["served-serial"] == p[key]["file-serial"] == serial(key[1])
           for key in p), "by their serials", p)
    before = p[A]["proven-time"]
    ok(d.until(lambda: proofs(d)[A]["proven-time"] > before), "again and again")
    c = {k: v for k, v in d.status()["counters"].items()
         if v and k not in ("connections", "handshakes")}
    ok(not c, "that counts as nothing", c)
    ok("no handshake" not in d.read_log() and "! " not in ctl(d, "daemon", "status"),
       "and fills no log", d.read_log())
    backend.settimeout(0.1)
    try:
        backend.accept()
        ok(False, "no backend is connected to")
    except socket.timeout:
        ok(True, "no backend is connected to")
    text = ctl(d, "daemon", "metrics")
    ok(text.endswith("\n# EOF\n") and
       all(line.startswith(("ktlsd_", "# TYPE ktlsd_", "# HELP ktlsd_", "# EOF"))
           for line in text.splitlines()) and
       metric(d, "proof_ok", listener="www", certificate=path("b.crt")) == 1 and
       abs(metric(d, "proof_time_seconds", listener="www",
                  certificate=path("b.crt")) - time.time()) < 60,
       "metrics", text)
    not_after = [c["not-after"] for c in d.status()["certificates"]
                 if c["certificate"] == path("a.crt")][0]
    ok(abs(not_after - time.time() - 90 * 86400) < 600 and
       metric(d, "certificate_not_after_seconds",
              certificate=path("a.crt")) == not_after,
       "expiry, in seconds since the epoch", not_after)
    ok("expire" not in d.read_log(), "and that it is far away is not logged",
       d.read_log())


def test_half_renewed(d):
    """A certificate without its key: the old one stays in use."""
    old = serial("b")
    install("b2", "b", ["crt"])
    ok(d.until(lambda: f"www: serves another certificate (serial {old})" in
               d.read_log(), 15),
       "the old one is served: noticed", d.read_log())
    p = proofs(d)
    ok(p[B]["state"] == "stale" and p[B]["served-serial"] == old and
       p[B]["file-serial"] == serial("b2") and p[A]["state"] == "proven",
       "and which one", p)
    ok(f"! www, {path('b.crt')}: serves serial {old}" in ctl(d, "daemon", "status") and
       metric(d, "proof_ok", listener="www", certificate=path("b.crt")) == 0,
       "ktlsctl says so", ctl(d, "daemon", "status"))
    time.sleep(3)
    ok(d.read_log().count(f"www: serves another certificate (serial {old})") == 1,
       "logged once",
       d.read_log())
    install("b2", "b", ["key"])
    ok(d.until(lambda: states(d)[B] == "proven", 40) and
       served(d.port, "b.example.org") == serial("b2"), "well again", states(d))
    ok(d.read_log().count(f"www: serves the certificate in {path('b.crt')} again") ==
       1, "logged, too", d.read_log())


def test_deaf(d):
    keys = d.pids("keys")[0]
    old = serial("a")
    os.kill(keys, signal.SIGSTOP)
    try:
        install("a2", "a")
        ok(d.until(lambda: "could not prove that it serves " + path("a.crt") in
                   d.read_log(), 40), "a key process that is deaf is noticed",
           d.read_log())
        p = proofs(d)
        ok(p[A]["state"] == "failed" and "no handshake" in p[A]["error"] and
           p[A]["file-serial"] == serial("a2") != old, "with the reason", p)
    finally:
        os.kill(keys, signal.SIGCONT)
    ok(d.until(lambda: set(states(d).values()) == {"proven"}, 40) and
       proofs(d)[A]["served-serial"] == serial("a2") and
       served(d.port, "a.example.org") == serial("a2"),
       "when it hears again, all is well", proofs(d))


def test_hidden(d):
    """A file that changes behind inotify's back, as mounts do."""
    def mount(*args):
        return subprocess.run(["nsenter", "-t", str(d.process.pid), "-m", *args],
                              stderr=subprocess.PIPE, text=True).returncode == 0

    old = served(d.port, "a.example.org")
    if not mount("mount", "--bind", path("a3.crt"), path("a.crt")):
        ok(True, "a change that nobody is told of # SKIP it takes root")
        return
    ok(d.until(lambda: states(d)[A] == states(d)[M] == "stale" and
               d.read_log().count("mtls: serves another certificate") == 1, 15),
       "a change that nobody was told of is noticed", d.read_log())
    p = proofs(d)[A]
    ok(p["served-serial"] == old and p["file-serial"] == serial("a3") and
       served(d.port, "a.example.org") == old, "the old one is served", p)
    mount("umount", path("a.crt"))
    ok(d.until(lambda: set(states(d).values()) == {"proven"}, 15), "well again",
       proofs(d))


def test_unreadable(d):
    os.rename(path("b.crt"), path("away"))
    ok(d.until(lambda: f"could not prove that it serves {path('b.crt')}: " in
               d.read_log() and states(d)[B] == "unreadable", 15),
       "a file that is gone", d.read_log())
    os.rename(path("away"), path("b.crt"))
    ok(d.until(lambda: states(d)[B] == "proven", 15), "and that is back",
       proofs(d))


def test_end(d):
    j = d.command(b"reload")
    ok("error" not in j and d.until(lambda: len(states(d)) == 3 and
                                    set(states(d).values()) == {"proven"}),
       "a new configuration is proven, too", j)
    ok("prover ended" not in d.read_log(), "no prover ended early", d.read_log())


def test_names():
    """Which certificates can be asked for."""
    port = free_port()
    with daemon(conf([("all", ['address = "*:PORT"'] + root() +
                       settings("bare", "star", "a", "same", "bare2")),
                      ("four", [f'address = "0.0.0.0:{port}"'] + root() +
                       settings("a", "star"))])) as d:
        ok(d.until(lambda: len(states(d)) == 7), "all are looked at", states(d))
        p = proofs(d)
        ok({key: x["state"] for key, x in p.items()} ==
           {("all", "bare"): "proven", ("all", "star"): "proven",
            ("all", "a"): "skipped", ("all", "same"): "proven",
            ("all", "bare2"): "skipped", ("four", "a"): "proven",
            ("four", "star"): "proven"},
           "wildcards, no name, names that others have", p)
        ok("certificates before it have all of its names" in
           p["all", "a"]["error"] and "no DNS name" in p["all", "bare2"]["error"],
           "and why not", p)


def test_expiry():
    certificate("soon", "DNS:soon.example.org", days="13")
    certificate("now", "DNS:now.example.org", end=12)
    with daemon(conf([("x", ['address = "127.0.0.1:PORT"'] + root() +
                       settings("soon", "now", "a"))], 0)) as d:
        ok(d.until(lambda: "soon.crt: the certificate expires in 1" in
                   d.read_log()), "expires soon: logged", d.read_log())
        j = json.loads(ctl(d, "-j", "daemon", "status"))
        e = {os.path.basename(c["certificate"]): c["expiry"]
             for c in j["certificates"]}
        ok(e == {"soon.crt": "soon", "now.crt": "soon", "a.crt": "good"},
           "in the status", e)
        ok(f"! {path('soon.crt')}: expires in 1" in ctl(d, "daemon", "status"),
           "and for the eye", ctl(d, "daemon", "status"))
        ok(d.until(lambda: "now.crt: the certificate in use has expired" in
                   d.read_log(), 20), "expired: logged when it happens",
           d.read_log())
        ok(f"! {path('now.crt')}: it has expired" in ctl(d, "daemon", "status"),
           "and in the status", ctl(d, "daemon", "status"))
        ok(d.read_log().count("expires in") == 2 and
           d.read_log().count("has expired") == 1, "once", d.read_log())
        ok(not proofs(d) and d.status()["counters"]["accepted"] == 0,
           "prove-interval = 0: nothing is proven", proofs(d))


def root():
    return [f'root = "{path("files")}"']


def main():
    print("TAP version 13")
    os.mkdir(path("files"))
    for name in ("a", "a2", "a3"):
        certificate(name, "DNS:a.example.org")
    for name in ("b", "b2"):
        certificate(name, "DNS:b.example.org,DNS:c.example.org")
    certificate("bare")
    certificate("bare2")
    certificate("star", "DNS:*.example.org")
    certificate("same", "DNS:a.example.org,DNS:x.y.example.org")
    test_names()
    test_expiry()
    backend = socket.create_server(("127.0.0.1", 0))
    to = f'backend = "127.0.0.1:{backend.getsockname()[1]}"'
    argv = ["unshare", "-m"] if os.geteuid() == 0 and subprocess.run(
        ["unshare", "-m", "true"], stderr=subprocess.DEVNULL).returncode == 0 else []
    text = conf([("www", ['address = "*:PORT"'] + root() + settings("a", "b")),
                 ("mtls", [f'address = "127.0.0.1:{free_port()}"', to,
                           "client-certificate = required", "source-rate = 1",
                           f'client-ca = "{path("bare.crt")}"'] + settings("a"))])
    with daemon(text, argv=argv) as d:
        test_well(d, backend)
        test_hidden(d)
        test_half_renewed(d)
        test_deaf(d)
        test_unreadable(d)
        test_end(d)
        pid = d.process.pid
    ok(not is_alive(pid), "it ends")
    backend.close()
    shutil.rmtree(DIR)
    return tap.end()


if __name__ == "__main__":
    sys.exit(main())
