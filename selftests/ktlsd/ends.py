# SPDX-License-Identifier: GPL-2.0
"""Ends of connections: TLS by libssl and by GnuTLS, and no TLS.

None of them waits. They have the same methods:

    handshake()     until it is over
    send(data)      how many bytes of it were taken
    receive(size)   some bytes, or none if the other end has ended its stream
    say_end()       ends the own stream, as the protocol has it

and raise WouldBlock; Truncated, if the stream is cut off; or ConnectionError.
"""

import contextlib
import ctypes
import hashlib
import os
import select
import socket
import ssl
import time

from bench import PATIENCE

CHUNK = 65536
CUT_OFF = "cut off"
ENDED = "ended"
RESET = "reset"


class WouldBlock(Exception):
    """To be tried again later."""


class Truncated(Exception):
    """The other end is gone without an end of its stream."""


class Plain:
    """No TLS. Its end is TCP's."""

    def __init__(self, sock):
        sock.setblocking(False)
        self.sock = sock

    def handshake(self):
        """There is none."""

    def send(self, data):
        """As all of them."""
        try:
            return self.sock.send(data)
        except BlockingIOError as e:
            raise WouldBlock from e

    def receive(self, size):
        """As all of them."""
        try:
            return self.sock.recv(size)
        except BlockingIOError as e:
            raise WouldBlock from e

    def say_end(self):
        """Half of the connection is over."""
        self.sock.shutdown(socket.SHUT_WR)

    def close(self):
        """As it is."""
        self.sock.close()


class OpenSSL(Plain):
    """libssl, which in this process has no kernel TLS."""

    MIN, MAX, NAME, MODE = 123, 124, 55, 33
    WANT_READ, WANT_WRITE, SYSCALL, ZERO_RETURN = 2, 3, 5, 6
    UNEXPECTED_EOF = 294
    VERSIONS = {"1.2": 0x303, "1.3": 0x304}
    CIPHERS = {
        ("1.2", "aes-gcm-128"): "ECDHE-ECDSA-AES128-GCM-SHA256",
        ("1.2", "aes-gcm-256"): "ECDHE-ECDSA-AES256-GCM-SHA384",
        ("1.2", "chacha20-poly1305"): "ECDHE-ECDSA-CHACHA20-POLY1305",
        ("1.2", "aes-ccm-128"): "ECDHE-ECDSA-AES128-CCM",
        ("1.3", "aes-gcm-128"): "TLS_AES_128_GCM_SHA256",
        ("1.3", "aes-gcm-256"): "TLS_AES_256_GCM_SHA384",
        ("1.3", "chacha20-poly1305"): "TLS_CHACHA20_POLY1305_SHA256",
        ("1.3", "aes-ccm-128"): "TLS_AES_128_CCM_SHA256",
    }
    lib = crypto = None

    @classmethod
    def load(cls):
        """The library, once."""
        if cls.lib:
            return
        cls.crypto = ctypes.CDLL("libcrypto.so.3")
        lib = ctypes.CDLL("libssl.so.3", use_errno=True)
        pointer, long = ctypes.c_void_p, ctypes.c_long
        for name, result, *arguments in (
                ("TLS_method", pointer),
                ("SSL_CTX_new", pointer, pointer),
                ("SSL_CTX_free", None, pointer),
                ("SSL_CTX_ctrl", long, pointer, ctypes.c_int, long, pointer),
                ("SSL_CTX_set_cipher_list", ctypes.c_int, pointer,
                 ctypes.c_char_p),
                ("SSL_CTX_set_ciphersuites", ctypes.c_int, pointer,
                 ctypes.c_char_p),
                ("SSL_CTX_use_certificate_chain_file", ctypes.c_int, pointer,
                 ctypes.c_char_p),
                ("SSL_CTX_use_PrivateKey_file", ctypes.c_int, pointer,
                 ctypes.c_char_p, ctypes.c_int),
                ("SSL_CTX_load_verify_locations", ctypes.c_int, pointer,
                 ctypes.c_char_p, ctypes.c_char_p),
                ("SSL_CTX_set_verify", None, pointer, ctypes.c_int, pointer),
                ("SSL_new", pointer, pointer),
                ("SSL_free", None, pointer),
                ("SSL_set_fd", ctypes.c_int, pointer, ctypes.c_int),
                ("SSL_set1_host", ctypes.c_int, pointer, ctypes.c_char_p),
                ("SSL_ctrl", long, pointer, ctypes.c_int, long, pointer),
                ("SSL_set_connect_state", None, pointer),
                ("SSL_set_accept_state", None, pointer),
                ("SSL_do_handshake", ctypes.c_int, pointer),
                ("SSL_shutdown", ctypes.c_int, pointer),
                ("SSL_get_error", ctypes.c_int, pointer, ctypes.c_int),
                ("SSL_get1_session", pointer, pointer),
                ("SSL_set_session", ctypes.c_int, pointer, pointer),
                ("SSL_SESSION_set_max_early_data", ctypes.c_int, pointer,
                 ctypes.c_uint32),
                ("SSL_SESSION_free", None, pointer),
                ("SSL_get_early_data_status", ctypes.c_int, pointer),
                ("SSL_session_reused", ctypes.c_int, pointer)):
            function = getattr(lib, name)
            function.restype, function.argtypes = result, arguments
        size = ctypes.POINTER(ctypes.c_size_t)
        for name in "SSL_read_ex", "SSL_write_ex", "SSL_write_early_data":
            function = getattr(lib, name)
            function.argtypes = (pointer, pointer, ctypes.c_size_t, size)
        cls.crypto.ERR_peek_last_error.restype = ctypes.c_ulong
        cls.crypto.ERR_error_string_n.argtypes = (
            ctypes.c_ulong, ctypes.c_char_p, ctypes.c_size_t)
        cls.lib = lib

    def __init__(self, sock, version, cipher=None, server_pem=None, ca=None,
                 name="localhost"):
        """A server with a certificate, else a client that trusts @ca."""
        super().__init__(sock)
        self.load()
        lib = self.lib
        self.ctx = lib.SSL_CTX_new(lib.TLS_method())
        for which in self.MIN, self.MAX:
            lib.SSL_CTX_ctrl(self.ctx, which, self.VERSIONS[version], None)
        if cipher:
            suite = self.CIPHERS[version, cipher].encode()
            if not (lib.SSL_CTX_set_cipher_list if version == "1.2" else
                    lib.SSL_CTX_set_ciphersuites)(self.ctx, suite):
                raise ConnectionError(f"libssl has no {suite.decode()}")
        if server_pem:
            path = server_pem.encode()
            lib.SSL_CTX_use_certificate_chain_file(self.ctx, path)
            lib.SSL_CTX_use_PrivateKey_file(self.ctx, path, 1)
        else:
            lib.SSL_CTX_load_verify_locations(self.ctx, ca.encode(), None)
            lib.SSL_CTX_set_verify(self.ctx, 1, None)
        self.ssl = lib.SSL_new(self.ctx)
        # Partial writes, from where they stand.
        lib.SSL_ctrl(self.ssl, self.MODE, 3, None)
        lib.SSL_set_fd(self.ssl, sock.fileno())
        if server_pem:
            lib.SSL_set_accept_state(self.ssl)
        else:
            lib.SSL_set1_host(self.ssl, name.encode())
            lib.SSL_ctrl(self.ssl, self.NAME, 0,
                         ctypes.cast(name.encode(), ctypes.c_void_p))
            lib.SSL_set_connect_state(self.ssl)
        self.buffer = ctypes.create_string_buffer(CHUNK)
        self.count = ctypes.c_size_t()

    def call(self, function, *args):
        """True, or False at the end of the stream."""
        self.crypto.ERR_clear_error()
        result = function(self.ssl, *args)
        if result > 0:
            return True
        error = self.lib.SSL_get_error(self.ssl, result)
        if error in (self.WANT_READ, self.WANT_WRITE):
            raise WouldBlock
        if error == self.ZERO_RETURN:
            return False
        if error == self.SYSCALL:
            raise ConnectionResetError(os.strerror(ctypes.get_errno()))
        code = self.crypto.ERR_peek_last_error()
        if code & 0x7fffff == self.UNEXPECTED_EOF:
            raise Truncated
        text = ctypes.create_string_buffer(256)
        self.crypto.ERR_error_string_n(code, text, len(text))
        raise ConnectionError(text.value.decode())

    def handshake(self):
        self.call(self.lib.SSL_do_handshake)

    def send(self, data):
        data = bytes(data)
        self.call(self.lib.SSL_write_ex, data, len(data),
                  ctypes.byref(self.count))
        return self.count.value

    def receive(self, size):
        if not self.call(self.lib.SSL_read_ex, self.buffer,
                         min(size, CHUNK), ctypes.byref(self.count)):
            return b""
        return self.buffer.raw[:self.count.value]

    def say_end(self):
        # 0: it was sent, and the other end has not said the same yet.
        self.crypto.ERR_clear_error()
        if self.lib.SSL_shutdown(self.ssl) < 0:
            raise WouldBlock

    def close(self):
        self.lib.SSL_free(self.ssl)
        self.lib.SSL_CTX_free(self.ctx)
        super().close()


class GnuTLS(Plain):
    """libgnutls."""

    AGAIN, INTERRUPTED, PREMATURE = -28, -52, -110
    SERVER, CLIENT, NONBLOCK, NO_SIGNAL = 1, 2, 8, 64
    CIPHERS = {
        "aes-gcm-128": "AES-128-GCM",
        "aes-gcm-256": "AES-256-GCM",
        "chacha20-poly1305": "CHACHA20-POLY1305",
        "aes-ccm-128": "AES-128-CCM",
    }
    lib = None

    @classmethod
    def load(cls):
        """The library, once."""
        if cls.lib:
            return
        lib = ctypes.CDLL("libgnutls.so.30")
        pointer, size = ctypes.c_void_p, ctypes.c_size_t
        for name, *arguments in (
                ("gnutls_certificate_allocate_credentials",
                 ctypes.POINTER(pointer)),
                ("gnutls_certificate_free_credentials", pointer),
                ("gnutls_certificate_set_x509_key_file", pointer,
                 ctypes.c_char_p, ctypes.c_char_p, ctypes.c_int),
                ("gnutls_certificate_set_x509_trust_file", pointer,
                 ctypes.c_char_p, ctypes.c_int),
                ("gnutls_init", ctypes.POINTER(pointer), ctypes.c_uint),
                ("gnutls_deinit", pointer),
                ("gnutls_priority_set_direct", pointer, ctypes.c_char_p,
                 pointer),
                ("gnutls_credentials_set", pointer, ctypes.c_int, pointer),
                ("gnutls_transport_set_int2", pointer, ctypes.c_int,
                 ctypes.c_int),
                ("gnutls_server_name_set", pointer, ctypes.c_int,
                 ctypes.c_char_p, size),
                ("gnutls_session_set_verify_cert", pointer, ctypes.c_char_p,
                 ctypes.c_uint),
                ("gnutls_handshake", pointer),
                ("gnutls_record_send", pointer, pointer, size),
                ("gnutls_record_recv", pointer, pointer, size),
                ("gnutls_bye", pointer, ctypes.c_int)):
            getattr(lib, name).argtypes = arguments
        for name in "gnutls_record_send", "gnutls_record_recv":
            getattr(lib, name).restype = ctypes.c_ssize_t
        lib.gnutls_strerror.restype = ctypes.c_char_p
        cls.lib = lib

    def __init__(self, sock, version, cipher, server_pem=None, ca=None,
                 name="localhost"):
        super().__init__(sock)
        self.load()
        lib = self.lib
        self.credentials, self.session = ctypes.c_void_p(), ctypes.c_void_p()
        lib.gnutls_certificate_allocate_credentials(
            ctypes.byref(self.credentials))
        lib.gnutls_init(ctypes.byref(self.session), self.NONBLOCK |
                        self.NO_SIGNAL |
                        (self.SERVER if server_pem else self.CLIENT))
        self.check(lib.gnutls_priority_set_direct(self.session, (
            f"NORMAL:-VERS-ALL:+VERS-TLS{version}:-CIPHER-ALL:"
            f"+{self.CIPHERS[cipher]}").encode(), None))
        if server_pem:
            self.check(lib.gnutls_certificate_set_x509_key_file(
                self.credentials, server_pem.encode(), server_pem.encode(), 1))
        else:
            self.name = name.encode()
            self.check(lib.gnutls_certificate_set_x509_trust_file(
                self.credentials, ca.encode(), 1))
            lib.gnutls_server_name_set(self.session, 1, self.name,
                                       len(self.name))
            lib.gnutls_session_set_verify_cert(self.session, self.name, 0)
        lib.gnutls_credentials_set(self.session, 1, self.credentials)
        lib.gnutls_transport_set_int2(self.session, sock.fileno(),
                                      sock.fileno())
        self.buffer = ctypes.create_string_buffer(CHUNK)
        # What it has taken and not sent, it wants to be given again.
        self.held = None

    def check(self, result):
        """The result, if it is none of the errors."""
        if result >= 0:
            return result
        if result in (self.AGAIN, self.INTERRUPTED):
            raise WouldBlock
        if result == self.PREMATURE:
            raise Truncated
        raise ConnectionError(self.lib.gnutls_strerror(result).decode())

    def handshake(self):
        self.check(self.lib.gnutls_handshake(self.session))

    def send(self, data):
        self.held = self.held or bytes(data)
        count = self.check(self.lib.gnutls_record_send(
            self.session, self.held, len(self.held)))
        self.held = None
        return count

    def receive(self, size):
        count = self.check(self.lib.gnutls_record_recv(
            self.session, self.buffer, min(size, CHUNK)))
        return self.buffer.raw[:count]

    def say_end(self):
        self.check(self.lib.gnutls_bye(self.session, 1))

    def close(self):
        self.lib.gnutls_deinit(self.session)
        self.lib.gnutls_certificate_free_credentials(self.credentials)
        super().close()


class Wrapped(Plain):
    """TLS by the ssl module, over a socket that it has wrapped."""

    def again(self, function, *args):
        """Its result, with the exceptions of this module."""
        try:
            return function(*args)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError) as e:
            raise WouldBlock from e
        except ssl.SSLZeroReturnError:
            return b""
        except ssl.SSLEOFError as e:
            raise Truncated from e

    def handshake(self):
        self.again(self.sock.do_handshake)

    def send(self, data):
        return self.again(self.sock.send, data)

    def receive(self, size):
        return self.again(self.sock.recv, size)


class Stream:
    """Bytes by chance, each chunk with a number; and their hash."""

    block = os.urandom(CHUNK)

    def __init__(self, size):
        self.left, self.number = size, 0
        self.chunk = memoryview(b"")
        self.hash = hashlib.sha256()

    def next(self):
        """What is to be sent, or nothing any more."""
        if not self.chunk and self.left:
            chunk = self.number.to_bytes(8, "big") + self.block[8:]
            chunk = chunk[:self.left]
            self.number += 1
            self.left -= len(chunk)
            self.hash.update(chunk)
            self.chunk = memoryview(chunk)
        return self.chunk

    def took(self, count):
        """So many bytes were sent."""
        self.chunk = self.chunk[count:]


class Exchange:
    """Sends and receives at the same time, until both have ended.

    With first, the own stream is ended when all is sent; else when the other
    end has ended its own.
    """

    def __init__(self, end, size, first, truncate=False):
        self.end, self.first, self.truncate = end, first, truncate
        self.stream = Stream(size)
        self.hash = hashlib.sha256()
        self.received = 0
        self.shaken = self.said = False
        # How the other end has ended.
        self.how = None

    def turn(self):
        """Whether something has moved."""
        moved = False
        if not self.shaken:
            self.end.handshake()
            self.shaken = moved = True
        for step in self.send, self.receive:
            try:
                moved |= step()
            except WouldBlock:
                pass
        return moved

    def send(self):
        """Something, or the end."""
        if self.said:
            return False
        data = self.stream.next()
        if data:
            self.stream.took(self.end.send(data))
            return True
        if not self.first and not self.how:
            return False
        if self.truncate:
            self.end.sock.shutdown(socket.SHUT_WR)
        else:
            self.end.say_end()
        self.said = True
        return True

    def receive(self):
        """Something, or the end."""
        if self.how:
            return False
        try:
            data = self.end.receive(CHUNK)
        except Truncated:
            self.how = CUT_OFF
            return True
        if data:
            self.hash.update(data)
            self.received += len(data)
        else:
            self.how = ENDED
        return True

    def drain(self):
        """What has come before a reset, which it was told when it sent."""
        with contextlib.suppress(WouldBlock, OSError):
            while not self.how:
                self.receive()

    def run(self, until=None):
        """What came of it, as the programs in other languages say it."""
        deadline = time.monotonic() + PATIENCE
        result = {}
        try:
            while not (self.said and self.how) and not (until and until(self)):
                try:
                    moved = self.turn()
                except WouldBlock:
                    moved = False
                if moved:
                    deadline = time.monotonic() + PATIENCE
                    continue
                if time.monotonic() > deadline:
                    result["error"] = f"nothing moved for {PATIENCE} s"
                    break
                sending = not self.shaken or self.stream.chunk or \
                    (not self.said and (self.first or self.how))
                # OpenSSL may wait for the other way than it was called for.
                select.select([self.end.sock] if not self.how else [],
                              [self.end.sock] if sending and self.shaken
                              else [], [], 0.2)
        except (ConnectionResetError, BrokenPipeError) as e:
            self.drain()
            self.how = RESET
            result["why"] = str(e)
        except (OSError, Truncated) as e:
            result["error"] = f"{type(e).__name__}: {e}"
        result.update(sent=self.stream.hash.hexdigest(),
                      left=self.stream.left + len(self.stream.chunk),
                      received=self.hash.hexdigest(), bytes=self.received,
                      end=self.how)
        return result
