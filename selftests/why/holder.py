#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Connections of Python that do TLS in one way or another, and are held.

usage: holder.py serve PEM HOW:PORT...		HOW: plain, ssl, asyncio
       holder.py connect HOW:PORT...		HOW: ssl
       holder.py raw PORT STEP,...:SOURCE...	STEP: connect, ulp, tx=CIPHER

HOW may have +ktls and +mptcp behind it. SOURCE is a client's own port, CIPHER a
number of the kernel. Nothing is imported without need: that takes long on a
slow machine.
"""

import socket
import struct
import sys
import threading
import time

ENABLE_KTLS = 1 << 3    # ssl.OP_ENABLE_KTLS comes with Python 3.12
MPTCP = 262
TLS = 282
REPLY = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok\n"


def context(words, pem=None):
    """For TLS, with kernel TLS or without."""
    import ssl
    if pem:
        made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        made.load_cert_chain(pem)
    else:
        made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        made.check_hostname = False
        made.verify_mode = ssl.CERT_NONE
    if "ktls" in words:
        made.options |= ENABLE_KTLS
    return made


def new_socket(words):
    """Not connected."""
    made = socket.socket(socket.AF_INET, socket.SOCK_STREAM,
                         MPTCP if "mptcp" in words else 0)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    return made


def serve(pem, words, port):
    """Answers the first message of each connection, and closes none."""
    listener = new_socket(words)
    listener.bind(("127.0.0.1", port))
    # Before it listens: who connects does not wait.
    made = None if "plain" in words else context(words, pem)
    listener.listen()
    kept = []
    while True:
        end = listener.accept()[0]
        if made:
            end = made.wrap_socket(end, server_side=True)
        end.recv(4096)
        end.sendall(REPLY)
        kept.append(end)


def serve_asyncio(pem, words, port):
    """The same over memory buffers."""
    import asyncio

    async def one(reader, writer):
        await reader.read(4096)
        writer.write(REPLY)
        await writer.drain()
        await asyncio.sleep(3600)

    async def run():
        server = await asyncio.start_server(one, "127.0.0.1", port,
                                            ssl=context(words, pem))
        await server.serve_forever()

    asyncio.run(run())


def connect(words, port):
    """TLS as a client."""
    end = new_socket(words)
    end.connect(("127.0.0.1", port))
    end = context(words).wrap_socket(end)
    end.sendall(b"GET / HTTP/1.1\r\n\r\n")
    end.recv(4096)
    time.sleep(3600)


def key(cipher):
    """Some key, in the kernel's layout."""
    lengths = {52: 56, 54: 56, 58: 56}
    # The kernel knows ARIA in TLS 1.2 only.
    header = struct.pack("=HH", 0x303 if cipher in (57, 58) else 0x304, cipher)
    return header.ljust(lengths.get(cipher, 40), b"k")


def raw(port, steps, source):
    """The steps, whatever comes of them."""
    end = new_socket(())
    end.bind(("127.0.0.1", source))
    for step in steps:
        name, _, cipher = step.partition("=")
        try:
            if name == "connect":
                end.connect(("127.0.0.1", port))
            elif name == "ulp":
                end.setsockopt(socket.IPPROTO_TCP, 31, b"tls")
            else:
                end.setsockopt(TLS, {"tx": 1, "rx": 2}[name], key(int(cipher)))
        except OSError as e:
            print(step, e, flush=True)
    end.sendall(b"done")
    time.sleep(3600)


def main(what, *args):
    """A thread for each."""
    args = list(args)
    first = args.pop(0) if what != "connect" else None
    for arg in args:
        words, _, port = arg.partition(":")
        port = int(port)
        if what == "raw":
            call = raw, int(first), words.split(","), port
        elif what == "connect":
            call = connect, words.split("+"), port
        elif "asyncio" in words:
            call = serve_asyncio, first, words.split("+"), port
        else:
            call = serve, first, words.split("+"), port
        threading.Thread(target=call[0], args=call[1:]).start()


main(*sys.argv[1:])
