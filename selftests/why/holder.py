#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Programs in Python that do TLS in one way or another, and hold on. Each imports
what it needs and no more, as that takes long on a slow machine.

usage: holder.py serve PORT PEM [ktls] [mptcp]		with the socket module
       holder.py asyncio PORT PEM [ktls]
       holder.py plain PORT [ssl]			without TLS
       holder.py connect PORT [ktls] [mptcp]		as a client
       holder.py raw PORT STEP...			no library asks

STEP is connect, ulp, or tx:CIPHER or rx:CIPHER with the number of the kernel.
"""

import socket
import struct
import sys
import time

ENABLE_KTLS = 1 << 3    # ssl.OP_ENABLE_KTLS comes with Python 3.12
MPTCP = 262
TLS = 282
REPLY = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok\n"


def context(side, *args):
    """For TLS, with kernel TLS or without."""
    import ssl
    made = ssl.SSLContext(side)
    if side == ssl.PROTOCOL_TLS_CLIENT:
        made.check_hostname = False
        made.verify_mode = ssl.CERT_NONE
    else:
        made.load_cert_chain(args[0])
    if "ktls" in args:
        made.options |= ENABLE_KTLS
    return made


def tcp(*args):
    """A socket that is not connected."""
    return socket.socket(socket.AF_INET, socket.SOCK_STREAM,
                         MPTCP if "mptcp" in args else 0)


def answer(listener):
    """Answers the first message of each connection, and closes none."""
    kept = []
    while True:
        kept.append(listener.accept()[0])
        kept[-1].recv(4096)
        kept[-1].sendall(REPLY)


def listen(port, *args):
    """On the loopback device."""
    listener = tcp(*args)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", int(port)))
    listener.listen()
    return listener


def serve(port, *args):
    """TLS over a socket that libssl knows."""
    import ssl
    answer(context(ssl.PROTOCOL_TLS_SERVER, *args).wrap_socket(
        listen(port, *args), server_side=True))


def plain(port, *args):
    """No TLS, though perhaps with libssl in memory."""
    if "ssl" in args:
        import ssl
        ssl.create_default_context()
    answer(listen(port))


def serve_asyncio(port, *args):
    """TLS over memory buffers."""
    import asyncio
    import ssl

    async def one(reader, writer):
        await reader.read(4096)
        writer.write(REPLY)
        await writer.drain()
        await asyncio.sleep(3600)

    async def run():
        server = await asyncio.start_server(
            one, "127.0.0.1", int(port),
            ssl=context(ssl.PROTOCOL_TLS_SERVER, *args))
        await server.serve_forever()

    asyncio.run(run())


def connect(port, *args):
    """TLS as a client."""
    import ssl
    end = tcp(*args)
    end.connect(("127.0.0.1", int(port)))
    end = context(ssl.PROTOCOL_TLS_CLIENT, *args).wrap_socket(end)
    end.sendall(b"GET / HTTP/1.1\r\n\r\n")
    end.recv(4096)
    time.sleep(3600)


def key(cipher):
    """Some key, in the kernel's layout."""
    lengths = {52: 56, 54: 56, 58: 56}
    # The kernel knows ARIA in TLS 1.2 only.
    header = struct.pack("=HH", 0x303 if cipher in (57, 58) else 0x304, cipher)
    return header.ljust(lengths.get(cipher, 40), b"k")


def raw(port, *steps):
    """The steps, whatever comes of them."""
    end = tcp()
    for step in steps:
        name, _, cipher = step.partition(":")
        try:
            if name == "connect":
                end.connect(("127.0.0.1", int(port)))
            elif name == "ulp":
                end.setsockopt(socket.IPPROTO_TCP, 31, b"tls")
            else:
                end.setsockopt(TLS, {"tx": 1, "rx": 2}[name], key(int(cipher)))
        except OSError as e:
            print(step, e, flush=True)
    end.sendall(b"done")
    time.sleep(3600)


{"serve": serve, "asyncio": serve_asyncio, "plain": plain, "connect": connect,
 "raw": raw}[sys.argv[1]](*sys.argv[2:])
