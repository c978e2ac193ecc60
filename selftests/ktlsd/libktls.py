# SPDX-License-Identifier: GPL-2.0
"""A program that has ktlsd make its handshakes: libktls, and what is around it."""

import ctypes
import errno
import os
import socket

HERE = os.path.dirname(os.path.realpath(__file__))
LIBRARY = os.path.join(HERE, "../../tools/libktls/obj/libktls.so")


class Request(ctypes.Structure):
    """struct ktls_handshake_request"""

    _fields_ = [("service", ctypes.c_char_p),
                ("path", ctypes.c_char_p),
                ("server_name", ctypes.c_char_p),
                ("alpn", ctypes.POINTER(ctypes.c_char_p)),
                ("timeout", ctypes.c_uint),
                ("reserved", ctypes.c_uint64 * 4)]


class Certificate(ctypes.Structure):
    """struct ktls_certificate"""

    _fields_ = [("der", ctypes.c_void_p), ("len", ctypes.c_size_t)]


class Address(ctypes.Structure):
    """struct ktls_ip_address"""

    _fields_ = [("family", ctypes.c_uint16), ("address", ctypes.c_uint8 * 16)]


class Result(ctypes.Structure):
    """struct ktls_handshake"""

    _fields_ = [("version", ctypes.c_uint16),
                ("kernel_tx", ctypes.c_bool),
                ("kernel_rx", ctypes.c_bool),
                ("verified", ctypes.c_bool),
                ("names_cut", ctypes.c_bool),
                ("cipher", ctypes.c_char_p),
                ("alpn", ctypes.c_char_p),
                ("server_name", ctypes.c_char_p),
                ("unverified", ctypes.c_char_p),
                ("certificates", ctypes.POINTER(Certificate)),
                ("certificates_count", ctypes.c_size_t),
                ("dns_names", ctypes.POINTER(ctypes.c_char_p)),
                ("dns_names_count", ctypes.c_size_t),
                ("ip_addresses", ctypes.POINTER(Address)),
                ("ip_addresses_count", ctypes.c_size_t)]


class TLSError(OSError):
    """What libktls says of a failure."""


def load():
    """The library, with the types of what is used."""
    lib = ctypes.CDLL(LIBRARY)
    handle, size = ctypes.POINTER(Result), ctypes.c_size_t
    for name, result, *arguments in (
            ("ktls_handshake", ctypes.c_int, ctypes.c_int,
             ctypes.POINTER(Request), ctypes.POINTER(handle)),
            ("ktls_handshake_free", None, handle),
            ("ktls_handshake_strerror", ctypes.c_char_p, handle),
            ("ktls_handshake_rekey", ctypes.c_int, handle, ctypes.c_bool),
            ("ktls_receive_data", ctypes.c_ssize_t, handle, ctypes.c_void_p,
             size, ctypes.c_int),
            ("ktls_send_data", ctypes.c_ssize_t, handle, ctypes.c_char_p, size,
             ctypes.c_int),
            ("ktls_shutdown", ctypes.c_int, handle)):
        function = getattr(lib, name)
        function.restype, function.argtypes = result, arguments
    return lib


LIB = load()


class Connection:
    """A socket that speaks TLS, or an exception that says why not."""

    def __init__(self, sock, path, service, name=None, alpn=(), timeout=0):
        self.sock = sock
        names = (ctypes.c_char_p * (len(alpn) + 1))(
            *(p.encode() for p in alpn), None)
        request = Request(service.encode(), path.encode(),
                          name.encode() if name else None,
                          names if alpn else None, timeout)
        self.handle = ctypes.POINTER(Result)()
        try:
            self.check(LIB.ktls_handshake(
                sock if isinstance(sock, int) else sock.fileno(),
                ctypes.byref(request), ctypes.byref(self.handle)))
        except TLSError:
            self.free()
            raise
        self.told = self.handle.contents
        self.buffer = ctypes.create_string_buffer(1 << 16)

    def check(self, result):
        """The result, or the exception."""
        if result < 0:
            why = LIB.ktls_handshake_strerror(self.handle).decode()
            raise TLSError(-result, f"{errno.errorcode.get(-result)}: {why}")
        return result

    def free(self):
        """Of the handle; the socket stays."""
        LIB.ktls_handshake_free(self.handle)
        self.handle = None

    def close(self):
        """Of both."""
        self.free()
        self.sock.close()

    def send(self, data):
        """All of it."""
        while data:
            data = data[self.check(LIB.ktls_send_data(
                self.handle, data, len(data), 0)):]

    def receive(self, size=1 << 16, flags=0):
        """Bytes, none at the end."""
        count = self.check(LIB.ktls_receive_data(self.handle, self.buffer,
                                                 size, flags))
        return self.buffer.raw[:count]

    def receive_all(self, size):
        """So many bytes, or until the end."""
        data = bytearray()
        while len(data) < size:
            some = self.receive(min(size - len(data), 1 << 16))
            if not some:
                break
            data += some
        return bytes(data)

    def rekey(self, request):
        """A new key to send with."""
        self.check(LIB.ktls_handshake_rekey(self.handle, request))

    def shutdown(self):
        """The end of what is sent."""
        self.check(LIB.ktls_shutdown(self.handle))

    def certificates(self):
        """Of the other end, in DER."""
        return [ctypes.string_at(c.der, c.len) for c in
                self.told.certificates[:self.told.certificates_count]]

    def names(self):
        """Of the other end's certificate."""
        return [n.decode() for n in
                self.told.dns_names[:self.told.dns_names_count]]

    def addresses(self):
        """Of the other end's certificate."""
        return [socket.inet_ntop(a.family, bytes(
            a.address[:4 if a.family == socket.AF_INET else 16]))
            for a in self.told.ip_addresses[:self.told.ip_addresses_count]]
