#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""The kernel's own ynl reads the family with the project's specification.

YNL names the ynl to use, tools/net/ynl of a kernel tree; the first kernel to
have one is 6.3.
"""

import json
import os
import socket
import subprocess
import sys

SKIP = 4
TOP = os.path.realpath(os.path.join(os.path.dirname(__file__), "../.."))
SPEC = os.path.join(TOP, "Documentation/netlink/specs/ktls.yaml")
YNL = os.environ.get("YNL", "/usr/src/ynl/tools/net/ynl")
SCHEMA = os.path.join(YNL, "../../../Documentation/netlink/genetlink-legacy.yaml")

TCP_ULP = 31
SOL_TLS = 282
TLS_TX, TLS_RX = 1, 2
TLS_1_3 = b"\x04\x03"
AES_GCM_128 = b"\x33\x00"
KEY = TLS_1_3 + AES_GCM_128 + bytes(8) + b"k" * 16 + bytes(4) + bytes(8)


def cli():
    """The command line of ynl; it moved in 6.15."""
    for path in ("pyynl/cli.py", "cli.py"):
        if os.path.exists(os.path.join(YNL, path)):
            return [sys.executable, os.path.join(YNL, path)]
    print(f"1..0 # SKIP no ynl at {YNL}")
    sys.exit(SKIP)


def ynl(*args, schema=("--no-schema",)):
    """What ynl says, as a Python value."""
    out = subprocess.run(
        cli() + ["--spec", SPEC, *schema, "--output-json", *args],
        stdout=subprocess.PIPE, check=True).stdout
    return json.loads(out)


def pair(family, address):
    """Two ends of a connection, with kernel TLS in both directions."""
    with socket.socket(family) as listener:
        listener.bind((address, 0))
        listener.listen()
        ends = socket.create_connection(listener.getsockname()[:2]), \
            listener.accept()[0]
    for end in ends:
        end.setsockopt(socket.IPPROTO_TCP, TCP_ULP, b"tls")
        end.setsockopt(SOL_TLS, TLS_TX, KEY)
        end.setsockopt(SOL_TLS, TLS_RX, KEY)
    return ends


class Tap:
    """Numbers the checks."""

    def __init__(self, plan):
        self.count = 0
        self.failed = False
        print(f"TAP version 13\n1..{plan}")

    def check(self, name, got, want):
        """One of them."""
        self.count += 1
        if got == want:
            print(f"ok {self.count} {name}")
        else:
            self.failed = True
            print(f"# got {got!r}, want {want!r}")
            print(f"not ok {self.count} {name}")


def main():
    """All of them."""
    client, server = pair(socket.AF_INET, "127.0.0.1")
    client6, server6 = pair(socket.AF_INET6, "::1")
    client.sendall(b"x" * 1000)
    assert server.recv(4096) == b"x" * 1000
    cookie = int.from_bytes(client.getsockopt(socket.SOL_SOCKET, 57, 8),
                            sys.byteorder)
    port = server.getsockname()[1]
    # Once with the schema of specifications, which takes its time; this is
    # also where it ends if there is no ynl.
    module = ynl("--do", "module-get", "--json", "{}",
                 schema=("--schema", SCHEMA))

    tap = Tap(11)
    tap.check("module: nothing is missing", module.get("missing", []), [])

    one = ynl("--do", "socket-get", "--json", json.dumps({"cookie": cookie}))
    tap.check("socket: ports", (one["local-port"], one["remote-port"]),
              (client.getsockname()[1], port))
    tap.check("socket: addresses", (one["local-addr"], one["remote-addr"]),
              ("127.0.0.1", "127.0.0.1"))
    tap.check("socket: pid", one["pid"], os.getpid())
    tap.check("socket: tx", one["tx"], {
        "mode": "sw", "version": "tls-1-3", "cipher": "aes-gcm-128",
        "records": 1, "payload-bytes": 1000, "wire-bytes": 1022,
        "key-records": 1})
    tap.check("socket: rx", one["rx"], {
        "mode": "sw", "version": "tls-1-3", "cipher": "aes-gcm-128",
        "records": 0, "payload-bytes": 0, "wire-bytes": 0, "key-records": 0})

    found = ynl("--dump", "socket-get", "--json",
                json.dumps({"filter": {"local-port": port}}))
    tap.check("dump: filter", [s["local-port"] for s in found], [port])
    tap.check("dump: the other end", found[0]["rx"]["payload-bytes"], 1000)

    everything = ynl("--dump", "socket-get")
    cookies = [s["cookie"] for s in everything]
    tap.check("dump: in order", cookies, sorted(set(cookies)))
    tap.check("dump: IPv6", {s["local-port"] for s in everything
                             if s["local-addr"] == "::1"},
              {client6.getsockname()[1], server6.getsockname()[1]})

    total = [t for t in ynl("--dump", "totals-get")
             if (t["direction"], t["cipher"]) == ("tx", "aes-gcm-128")
             and t["version"] == "tls-1-3"]
    tap.check("totals: open", [t["open"] for t in total], [4])

    return tap.failed


sys.exit(main())
