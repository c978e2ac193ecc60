# SPDX-License-Identifier: GPL-2.0
"""A TLS end whose records are made by hand.

The handshake is libssl's; then each record is what the test says: of any type,
of any length, whole or in pieces, right or forged, and under any key.
"""

import ctypes
import hashlib
import hmac
import os
import socket
import ssl
import tempfile

PATIENCE = 30
CHANGE_CIPHER_SPEC, ALERT, HANDSHAKE, DATA = 20, 21, 22, 23
RECORD_MAX = 16384

CLOSE_NOTIFY, UNEXPECTED_MESSAGE, BAD_RECORD_MAC = 0, 10, 20
RECORD_OVERFLOW, HANDSHAKE_FAILURE, DECODE_ERROR = 22, 40, 50
USER_CANCELED, NO_RENEGOTIATION = 90, 100
WARNING, FATAL = 1, 2

HELLO_REQUEST, CLIENT_HELLO, NEW_SESSION_TICKET, KEY_UPDATE = 0, 1, 4, 24


class Closed(ConnectionError):
    """There is no more record; with what is behind the last one."""


def message(kind, body):
    """A handshake message."""
    return bytes([kind]) + len(body).to_bytes(3, "big") + body


def key_update(requested):
    """The message that says that a new key is used from here on."""
    return message(KEY_UPDATE, bytes([requested]))


def ticket(size=100):
    """A NewSessionTicket that nobody will use."""
    body = (3600).to_bytes(4, "big") + os.urandom(4) + b"\x01\x07" + \
        size.to_bytes(2, "big") + os.urandom(size) + b"\x00\x00"
    return message(NEW_SESSION_TICKET, body)


class Aead:
    """libcrypto's authenticated ciphers."""

    SET_TAG, GET_TAG, IV_LEN = 17, 16, 9
    lib = None

    @classmethod
    def load(cls):
        """The library, once."""
        if cls.lib:
            return
        lib = ctypes.CDLL("libcrypto.so.3")
        pointer, integer = ctypes.c_void_p, ctypes.c_int
        for name in ("EVP_CIPHER_CTX_new", "EVP_aes_128_gcm",
                     "EVP_aes_256_gcm", "EVP_chacha20_poly1305"):
            getattr(lib, name).restype = pointer
        lib.EVP_CipherInit_ex.argtypes = (
            pointer, pointer, pointer, ctypes.c_char_p, ctypes.c_char_p,
            integer)
        lib.EVP_CipherUpdate.argtypes = (
            pointer, pointer, ctypes.POINTER(integer), ctypes.c_char_p, integer)
        lib.EVP_CipherFinal_ex.argtypes = (
            pointer, pointer, ctypes.POINTER(integer))
        lib.EVP_CIPHER_CTX_ctrl.argtypes = (pointer, integer, integer, pointer)
        lib.EVP_CIPHER_CTX_free.argtypes = (pointer,)
        cls.lib = lib

    def __init__(self, suite):
        self.load()
        self.chacha = "CHACHA20" in suite
        if self.chacha:
            self.cipher, self.key_len = self.lib.EVP_chacha20_poly1305(), 32
        elif "256" in suite.replace("SHA256", ""):
            self.cipher, self.key_len = self.lib.EVP_aes_256_gcm(), 32
        else:
            self.cipher, self.key_len = self.lib.EVP_aes_128_gcm(), 16

    def run(self, encrypt, key, nonce, extra, text, tag=None):
        """The other text, and the tag; or %None if that is wrong."""
        lib, n = self.lib, ctypes.c_int()
        ctx = lib.EVP_CIPHER_CTX_new()
        out = ctypes.create_string_buffer(len(text) + 16)
        new_tag = ctypes.create_string_buffer(16)
        lib.EVP_CipherInit_ex(ctx, self.cipher, None, key, nonce, encrypt)
        if tag:
            lib.EVP_CIPHER_CTX_ctrl(ctx, self.SET_TAG, 16, tag)
        lib.EVP_CipherUpdate(ctx, None, ctypes.byref(n), extra, len(extra))
        lib.EVP_CipherUpdate(ctx, out, ctypes.byref(n), text, len(text))
        good = lib.EVP_CipherFinal_ex(ctx, None, ctypes.byref(n))
        if not tag:
            lib.EVP_CIPHER_CTX_ctrl(ctx, self.GET_TAG, 16, new_tag)
        lib.EVP_CIPHER_CTX_free(ctx)
        if not good:
            return None
        return out.raw[:len(text)] + (b"" if tag else new_tag.raw)


class Direction:
    """A key, and how many records there were under it."""

    def __init__(self, aead, digest, secret=None, key=None, fixed=None):
        self.aead, self.digest, self.secret = aead, digest, secret
        self.is_13 = secret is not None
        if self.is_13:
            self.derive()
        else:
            # Finished was number 0.
            self.key, self.fixed, self.sequence = key, fixed, 1

    def expand(self, label, size):
        """HKDF-Expand-Label (RFC 8446, 7.1)."""
        label = b"tls13 " + label
        info = size.to_bytes(2, "big") + bytes([len(label)]) + label + b"\x00"
        return hmac.new(self.secret, info + b"\x01", self.digest).digest()[:size]

    def derive(self):
        """From the secret."""
        self.key = self.expand(b"key", self.aead.key_len)
        self.fixed = self.expand(b"iv", 12)
        self.sequence = 0

    def renew(self):
        """After a KeyUpdate."""
        self.secret = self.expand(b"traffic upd", len(self.secret))
        self.derive()

    def whole_nonce(self):
        """As ChaCha20 and all of TLS 1.3 have it."""
        number = int.from_bytes(self.fixed, "big") ^ self.sequence
        return number.to_bytes(12, "big")

    def seal(self, kind, content, padding=0):
        """A record."""
        if self.is_13:
            text = content + bytes([kind]) + bytes(padding)
            head = b"\x17\x03\x03" + (len(text) + 16).to_bytes(2, "big")
            record = head + self.aead.run(1, self.key, self.whole_nonce(),
                                          head, text)
        else:
            count = self.sequence.to_bytes(8, "big")
            explicit = b"" if self.aead.chacha else count
            nonce = self.fixed + explicit if explicit else self.whole_nonce()
            start = bytes([kind]) + b"\x03\x03"
            body = explicit + self.aead.run(
                1, self.key, nonce,
                count + start + len(content).to_bytes(2, "big"), content)
            record = start + len(body).to_bytes(2, "big") + body
        self.sequence += 1
        return record

    def open(self, record):
        """The type, and the content."""
        head, body, tag = record[:5], record[5:-16], record[-16:]
        kind = head[0]
        if self.is_13:
            text = self.aead.run(0, self.key, self.whole_nonce(), head, body,
                                 tag)
        else:
            count = self.sequence.to_bytes(8, "big")
            explicit = b"" if self.aead.chacha else body[:8]
            nonce = self.fixed + explicit if explicit else self.whole_nonce()
            body = body[len(explicit):]
            text = self.aead.run(
                0, self.key, nonce,
                count + head[:3] + len(body).to_bytes(2, "big"), body, tag)
        if text is None:
            raise ValueError(f"a record of {len(record)} bytes that does not "
                             "decrypt")
        self.sequence += 1
        if not self.is_13:
            return kind, text
        text = text.rstrip(b"\x00")
        return text[-1], text[:-1]


class Raw:
    """An end. Without a certificate it is a client."""

    def __init__(self, sock, version="1.3", pem=None, chacha=False):
        self.sock, self.is_13 = sock, version == "1.3"
        sock.settimeout(PATIENCE)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if pem else
                                 ssl.PROTOCOL_TLS_CLIENT)
        number = ssl.TLSVersion.TLSv1_3 if self.is_13 else \
            ssl.TLSVersion.TLSv1_2
        context.minimum_version = context.maximum_version = number
        if pem:
            context.load_cert_chain(pem)
            # They would be records of libssl's, and counted.
            context.num_tickets = 0
        else:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if not self.is_13:
            context.set_ciphers("ECDHE+CHACHA20" if chacha else "ECDHE+AESGCM")
        file, self.secrets_path = tempfile.mkstemp()
        os.close(file)
        context.keylog_filename = self.secrets_path
        self.is_server = bool(pem)
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.ssl = context.wrap_bio(self.incoming, self.outgoing,
                                    self.is_server,
                                    None if pem else "localhost")
        self.seen = self.said = b""
        self.tx = self.rx = None

    def close(self):
        """As it is."""
        self.sock.close()

    def step(self):
        """True when the handshake is over; what is to be sent is in outgoing."""
        try:
            self.ssl.do_handshake()
            return True
        except ssl.SSLWantReadError:
            return False

    def speak(self):
        """What the handshake has to say."""
        data = self.outgoing.read()
        self.said += data
        self.sock.sendall(data)

    def receive_some(self):
        """For the handshake."""
        data = self.sock.recv(65536)
        if not data:
            raise Closed("in the handshake")
        self.seen += data
        self.incoming.write(data)

    def handshake(self, *first):
        """Arguments for seal(), of records that go with the last flight."""
        while not self.step():
            self.speak()
            self.receive_some()
        last = self.outgoing.read()
        self.said += last
        self.derive()
        self.sock.sendall(last + b"".join(self.tx.seal(*r) for r in first))
        self.buffer = self.incoming.read()

    def logged(self, label):
        """A secret."""
        with open(self.secrets_path, encoding="ascii") as file:
            for line in file:
                if line.startswith(label + " "):
                    return [bytes.fromhex(word) for word in line.split()[1:]]
        raise ValueError(f"no {label} in the log of secrets")

    def derive(self):
        """The keys that follow the handshake."""
        suite = self.ssl.cipher()[0]
        aead = Aead(suite)
        digest = hashlib.sha384 if "SHA384" in suite else hashlib.sha256
        if self.is_13:
            client, server = (
                Direction(aead, digest,
                          self.logged(f"{side}_TRAFFIC_SECRET_0")[1])
                for side in ("CLIENT", "SERVER"))
        else:
            client, server = self.derive_block(aead, digest)
        os.unlink(self.secrets_path)
        self.tx, self.rx = (server, client) if self.is_server else \
            (client, server)

    def derive_block(self, aead, digest):
        """Of TLS 1.2 (RFC 5246, 6.3)."""
        client_random, master = self.logged("CLIENT_RANDOM")
        # In the server's first message.
        server_random = (self.said if self.is_server else self.seen)[11:43]
        seed = b"key expansion" + server_random + client_random
        fixed = 12 if aead.chacha else 4
        block, a = b"", seed
        while len(block) < 2 * (aead.key_len + fixed):
            a = hmac.new(master, a, digest).digest()
            block += hmac.new(master, a + seed, digest).digest()
        key, rest = aead.key_len, block[2 * aead.key_len:]
        return (Direction(aead, digest, key=block[:key], fixed=rest[:fixed]),
                Direction(aead, digest, key=block[key:2 * key],
                          fixed=rest[fixed:2 * fixed]))

    # After the handshake

    def send(self, kind, content, padding=0):
        """A record."""
        self.sock.sendall(self.tx.seal(kind, content, padding))

    def send_data(self, data, size=RECORD_MAX):
        """In records of that size."""
        for i in range(0, len(data), size):
            self.send(DATA, data[i:i + size])

    def update(self, requested=False):
        """A new key for what is sent."""
        self.send(HANDSHAKE, key_update(requested))
        self.tx.renew()

    def alert(self, number, level=WARNING):
        """An alert."""
        self.send(ALERT, bytes([level, number]))

    def fill(self, size):
        """Until the buffer has so much."""
        while len(self.buffer) < size:
            data = self.sock.recv(65536)
            if not data:
                raise Closed(f"after {len(self.buffer)} bytes of a record"
                             if self.buffer else "")
            self.buffer += data

    def receive(self):
        """The next record; tickets are not worth a word."""
        while True:
            self.fill(5)
            size = 5 + int.from_bytes(self.buffer[3:5], "big")
            self.fill(size)
            record, self.buffer = self.buffer[:size], self.buffer[size:]
            kind, content = self.rx.open(record)
            if kind != HANDSHAKE or content[0] != NEW_SESSION_TICKET:
                return kind, content

    def receive_data(self, size):
        """So much of it; a KeyUpdate that comes in between is followed."""
        data = b""
        while len(data) < size:
            kind, content = self.receive()
            if kind == HANDSHAKE and content == key_update(False):
                self.rx.renew()
            elif kind == DATA:
                data += content
            else:
                raise ValueError(f"a record of type {kind} ({content.hex()}) "
                                 f"after {len(data)} bytes of {size}")
        return data
