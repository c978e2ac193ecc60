#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Holds kTLS connections open and moves a known amount over each.

usage: pairs.py UID

One over IPv4 with AES-128-GCM, one over IPv6 with ChaCha20-Poly1305; each gets
ten sends of 1000 bytes and an alert. Prints the cookie and port of the sending
and of the receiving end of each, then sleeps.
"""

import os
import signal
import socket
import sys

TLS_1_3 = b"\x04\x03"
KEYS = {
    socket.AF_INET: TLS_1_3 + b"\x33\x00" + bytes(8) + b"k" * 16 + bytes(12),
    socket.AF_INET6: TLS_1_3 + b"\x36\x00" + bytes(12) + b"k" * 32 + bytes(8),
}


def pair(family, address):
    """Two ends of a connection, with kernel TLS in both directions."""
    with socket.socket(family) as listener:
        listener.bind((address, 0))
        listener.listen()
        ends = socket.create_connection(listener.getsockname()[:2]), \
            listener.accept()[0]
    for end in ends:
        end.setsockopt(socket.IPPROTO_TCP, 31, b"tls")
        for direction in 1, 2:
            end.setsockopt(282, direction, KEYS[family])
    for _ in range(10):
        ends[0].sendall(b"x" * 1000)
    # A warning that means nothing to the receiver, which does not read it.
    ends[0].sendmsg([b"\x01\x5a"], [(282, 1, b"\x15")])
    left = 10000
    while left:
        left -= len(ends[1].recv(left))
    for end in ends:
        cookie = int.from_bytes(end.getsockopt(socket.SOL_SOCKET, 57, 8),
                                sys.byteorder)
        print(cookie, end.getsockname()[1])
    return ends


os.setuid(int(sys.argv[1]))
PAIRS = [pair(socket.AF_INET, "127.0.0.1"), pair(socket.AF_INET6, "::1")]
sys.stdout.flush()
signal.pause()
