#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""What servers that end TLS in front of others cost, in instructions.

On a machine whose clock counts instructions the processor time of a process is
their number. Over loopback whoever sends does the receiving, too, so that a row
without TLS is there to be compared with. Speaks TAP: ktlsd has to keep its goals.
"""

import contextlib
import glob
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.realpath(__file__))
TOP = os.path.realpath(os.path.join(HERE, "../.."))
LOAD = os.path.join(HERE, "relay_load")
BACKEND = 9000
FULL = not os.environ.get("QUICK")
BULK = 32 if FULL else 4        # MiB
SMALL = 400 if FULL else 50     # requests
CONNECT = 60 if FULL else 10    # connections
IDLE = 100 if FULL else 10      # connections

# M per MiB, k per request of 1 KiB, M per connection, KiB of memory of an idle one
GOALS = {"bulk": 3.9, "small": 85, "connect": 2.2, "idle": 28}


def write(path, text):
    with open(path, "w", encoding="ascii") as file:
        file.write(text)
    return path


def certificate(directory):
    key, cert = (os.path.join(directory, n) for n in ("key.pem", "cert.pem"))
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
         "ec_paramgen_curve:P-256", "-nodes", "-keyout", key, "-out", cert,
         "-subj", "/CN=localhost", "-days", "2"], check=True,
        capture_output=True)
    both = os.path.join(directory, "both.pem")
    with open(both, "wb") as out:
        for path in cert, key:
            with open(path, "rb") as file:
                out.write(file.read())
    os.chmod(both, 0o644)
    return both


def ktlsd(d, pem, port):
    conf = write(f"{d}/ktlsd.conf", f"""
workers = 1
user = nobody
prove-interval = 0
control = "{d}/control"
listener bench {{
    address = "127.0.0.1:{port}"
    certificate = "{pem}"
    backend = "127.0.0.1:{BACKEND}"
}}
""")
    return [f"{TOP}/tools/ktlsd/obj/ktlsd", "-c", conf]


def haproxy(d, pem, port, tls=True):
    crt = f"ssl crt {pem}" if tls else ""
    conf = write(f"{d}/haproxy.cfg", f"""
global
    nbthread 1
defaults
    mode tcp
    option splice-auto
    timeout connect 60s
    timeout client 600s
    timeout server 600s
listen bench
    bind 127.0.0.1:{port} {crt}
    server b 127.0.0.1:{BACKEND}
""")
    return ["haproxy", "-db", "-f", conf]


def plain(d, pem, port):
    return haproxy(d, pem, port, False)


def nginx(d, pem, port, options=""):
    modules = "/usr/lib/nginx/modules/ngx_stream_module.so"
    load = f"load_module {modules};" if os.path.exists(modules) else ""
    conf = write(f"{d}/nginx.conf", f"""{load}
daemon off;
pid {d}/nginx.pid;
error_log {d}/nginx.error;
worker_processes 1;
events {{}}
stream {{
    server {{
        listen 127.0.0.1:{port} ssl;
        ssl_protocols TLSv1.3;
        ssl_certificate {pem};
        ssl_certificate_key {pem};
        {options}
        proxy_pass 127.0.0.1:{BACKEND};
    }}
}}
""")
    return ["nginx", "-e", f"{d}/nginx.error", "-c", conf]


def nginx_ktls(d, pem, port):
    return nginx(d, pem, port, "ssl_conf_command Options KTLS;")


def hitch(d, pem, port):
    conf = write(f"{d}/hitch.conf", f"""
frontend = "[127.0.0.1]:{port}"
backend = "[127.0.0.1]:{BACKEND}"
pem-file = "{pem}"
workers = 1
daemon = off
user = "nobody"
ocsp-dir = ""
""")
    return ["hitch", f"--config={conf}"]


def stunnel(d, pem, port):
    conf = write(f"{d}/stunnel.conf", f"""
foreground = yes
pid =
syslog = no
debug = 3
[bench]
accept = 127.0.0.1:{port}
connect = 127.0.0.1:{BACKEND}
cert = {pem}
""")
    return ["stunnel", conf]


SERVERS = {"plain": plain, "ktlsd": ktlsd, "haproxy": haproxy, "nginx": nginx,
           "nginx-ktls": nginx_ktls, "hitch": hitch, "stunnel": stunnel}


def family(pid):
    """A process and all that come from it."""
    found = {pid}
    while True:
        more = set()
        for path in glob.glob("/proc/[0-9]*/stat"):
            with contextlib.suppress(OSError):
                with open(path, encoding="ascii", errors="replace") as file:
                    text = file.read()
                if int(text.rpartition(")")[2].split()[1]) in found:
                    more.add(int(text.split()[0]))
        if more <= found:
            return found
        found |= more


def instructions(pids):
    total = 0
    for pid in pids:
        for path in glob.glob(f"/proc/{pid}/task/*/schedstat"):
            with contextlib.suppress(OSError), \
                    open(path, encoding="ascii") as file:
                total += int(file.read().split()[0])
    return total


def memory(pids):
    """Private, in KiB."""
    total = 0
    for pid in pids:
        with contextlib.suppress(OSError), \
                open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
            for line in file:
                if line.startswith("Private_"):
                    total += int(line.split()[1])
    return total


def wait_for_port(port):
    for _ in range(600):
        with contextlib.suppress(OSError), \
                socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.1)
    sys.exit(f"nothing listens on port {port}")


def load(kind, port, count, tls=True):
    if tls:
        subprocess.run([LOAD, kind, str(port), str(count)], check=True)
        return
    for _ in range(count if kind == "connect" else 1):
        with socket.create_connection(("127.0.0.1", port)) as end:
            for _ in range(count if kind == "small" else 1):
                left = {"bulk": count << 20, "small": 1024, "connect": 1}[kind]
                end.sendall(b"%d\n" % left)
                while left:
                    left -= len(end.recv(65536))


def cost(server, kind, count, port):
    """Of one load, after a small one that warms up."""
    load(kind, port, 1, server != "plain")
    time.sleep(0.2)
    before = instructions(family(PIDS[server]))
    load(kind, port, count, server != "plain")
    time.sleep(0.2)
    return (instructions(family(PIDS[server])) - before) / count


def idle(server, port):
    before = memory(family(PIDS[server]))
    with subprocess.Popen([LOAD, "idle", str(port), str(IDLE)],
                          stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE) as client:
        client.stdout.readline()
        after = memory(family(PIDS[server]))
        client.communicate(b"\n")
    return (after - before) / IDLE


PIDS = {}


@contextlib.contextmanager
def never_idle():
    """An idle machine's clock would leap to the next timeout there is."""
    pid = os.fork()
    if not pid:
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
        while True:
            pass
    try:
        yield
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def main():
    wanted = sys.argv[1:] or list(SERVERS)
    rows, failed = {}, 0
    directory = tempfile.mkdtemp(prefix="ktls-relays.")
    os.chmod(directory, 0o755)
    pem = certificate(directory)
    print("#              M per MiB   k per request   M per connection   KiB idle",
          flush=True)
    with never_idle(), \
            subprocess.Popen([LOAD, "backend", str(BACKEND)]) as backend:
        wait_for_port(BACKEND)
        for n, (name, argv) in enumerate(SERVERS.items()):
            if name not in wanted:
                continue
            port = 9100 + n
            argv = argv(directory, pem, port)
            if not shutil.which(argv[0]):
                print(f"# {name}: no {argv[0]} here")
                continue
            with subprocess.Popen(argv, stderr=subprocess.DEVNULL,
                                  stdout=subprocess.DEVNULL) as server:
                PIDS[name] = server.pid
                wait_for_port(port)
                time.sleep(1)
                rows[name] = {
                    "bulk": cost(name, "bulk", BULK, port) / 1e6,
                    "small": cost(name, "small", SMALL, port) / 1e3,
                    "connect": cost(name, "connect", CONNECT, port) / 1e6}
                if name != "plain":
                    rows[name]["idle"] = idle(name, port)
                row = rows[name]
                print(f"# {name:<12} {row['bulk']:10.2f} {row['small']:15.1f} "
                      f"{row['connect']:18.2f} {row.get('idle', 0):10.1f}",
                      flush=True)
                server.send_signal(signal.SIGTERM)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    server.wait(5)
                server.kill()
        backend.kill()
    shutil.rmtree(directory)
    if "ktlsd" not in rows:
        return 0
    for n, (what, goal) in enumerate(GOALS.items(), 1):
        good = rows["ktlsd"][what] <= goal
        failed += not good
        print(f"{'ok' if good else 'not ok'} {n} relays:{what} "
              f"# {rows['ktlsd'][what]:.2f}, at most {goal}")
    print(f"1..{len(GOALS)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
