#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Asks for kernel TLS as a user, and says what came of each step.

usage: tries.py UID

Prints a line for each: "rx EPERM".
"""

import errno
import os
import socket
import sys

KEY = b"\x04\x03\x33\x00" + bytes(8) + b"k" * 16 + bytes(12)


def attempt(step, *args):
    """One step, and its line."""
    result = "ok"
    try:
        END.setsockopt(*args)
    except OSError as e:
        result = errno.errorcode[e.errno]
    print(step, result)


os.setuid(int(sys.argv[1]))
with socket.socket() as listener:
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    END = socket.create_connection(listener.getsockname())
    PEER = listener.accept()[0]
attempt("ulp", socket.IPPROTO_TCP, 31, b"tls")
attempt("tx", 282, 1, KEY)
attempt("rx", 282, 2, KEY)
