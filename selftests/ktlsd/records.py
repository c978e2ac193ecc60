#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Records that no library sends, to both roles of ktlsd.

Whatever comes, data before and after it are byte-exact, or the connection ends with
the right alert, and is counted; and other connections live on.
"""

import contextlib
import itertools
import socket
import struct
import sys
import threading

from bench import PATIENCE, in_namespace, new_directory, same
from pairs import (CONNECTOR, ENDED, LISTENER, RESET, ROLES, Bench, end_of,
                   exchange, expect_alert, expect_eof, part, pattern,
                   receive_exactly)
from raw import (ALERT, BAD_RECORD_MAC, CLIENT_HELLO, CLOSE_NOTIFY, DATA,
                 DECODE_ERROR, FATAL, HANDSHAKE, HANDSHAKE_FAILURE,
                 HELLO_REQUEST, NO_RENEGOTIATION, RECORD_MAX,
                 UNEXPECTED_MESSAGE, USER_CANCELED, WARNING, key_update, message,
                 ticket)


# Keys that change

def test_update(bench, role, requested):
    """Data before and after a new key of the other end; and ours, if asked."""
    if bench.rekeys:
        changes = {"rekeys_rx": 3, "rekeys_tx": 3 if requested else 0,
                   "closed_done": 1}
    else:
        changes = {"closed_rekey_unsupported": 1}
    with bench.counted(**changes), bench.both(role) as (end, plain):
        exchange(end, plain, 100000)
        if not bench.rekeys:
            data = pattern(50000)
            end.send_data(data)
            end.update(requested)
            # No more is understood, and no more is taken for right.
            how, got = end_of(plain)
            same("end of the plain stream", how, RESET)
            same("what came is right", data.startswith(got), True)
            expect_alert(end, CLOSE_NOTIFY, WARNING)
            return
        for size in (100000, 1, 70000):
            end.send_data(pattern(size))
            end.update(requested)
            end.send_data(pattern(size, 7))
            got = receive_exactly(plain, 2 * size)
            same("data around a new key", got == pattern(size) + pattern(size, 7),
                 True)
            # libssl answers with the data that it sends next.
            if requested and bench.kernel:
                same("answer", end.receive(), (HANDSHAKE, key_update(False)))
                end.rx.renew()
            exchange(end, plain, size)
        part(end, plain)


def test_update_while_sending(bench, role):
    """Our key is asked for while we have much to send."""
    if not bench.rekeys:
        return "needs a kernel that takes new keys"
    data = pattern(4 << 20)
    with bench.counted(closed_done=1, rekeys_rx=5, rekeys_tx=5), \
            bench.both(role) as (end, plain):
        end.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        sender = Sender(plain, data)
        for _ in range(5):
            end.update(True)
        got, answers = b"", 0
        while len(got) < len(data):
            kind, content = end.receive()
            if kind == DATA:
                got += content
                continue
            same("record", (kind, content), (HANDSHAKE, key_update(False)))
            end.rx.renew()
            answers += 1
        sender.join()
        same("data", got == data, True)
        # One may do for several that come together, and each is counted.
        same("answers", 1 <= answers <= 5, True)

        part(end, plain)
    return None


class Sender:
    """Sends while others receive."""

    def __init__(self, sock, data):
        self.thread = threading.Thread(target=sock.sendall, args=(data,),
                                       daemon=True)
        self.thread.start()

    def join(self):
        """Until all is sent."""
        self.thread.join(PATIENCE)
        same("sending", self.thread.is_alive(), False)


def test_storm(bench, role, requested):
    """More new keys than make sense."""
    ending = "closed_rekey_storm" if bench.rekeys else "closed_rekey_unsupported"
    with bench.counted(**{ending: 1}), bench.both(role) as (end, plain):
        exchange(end, plain)
        with contextlib.suppress(ConnectionError):
            for _ in range(5000):
                end.update(requested)
        same("end of the plain stream", end_of(plain), (RESET, b""))
    bench.check_others()


def test_storm_unread(bench, role):
    """So many that all ask for an answer, which nobody reads."""
    ending = "closed_rekey_storm" if bench.rekeys else "closed_rekey_unsupported"
    with bench.counted(**{ending: 1}), bench.both(role) as (end, plain):
        plain.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                plain.send(bytes(65536))
        plain.settimeout(PATIENCE)
        with contextlib.suppress(ConnectionError):
            for _ in range(200):
                end.update(True)
        same("end of the plain stream", end_of(plain), (RESET, b""))
    bench.check_others()


# Handshake messages

def test_tickets(bench):
    """To a client, in all the ways that records allow."""
    with bench.counted(closed_done=1), bench.both(CONNECTOR) as (end, plain):
        exchange(end, plain)
        end.send(HANDSHAKE, ticket() + ticket(1) + ticket(5000))
        exchange(end, plain)
        whole = ticket(300) + ticket(20)
        for size in (1, 2, 3, 4, 5, 7, 100, 308, len(whole) - 1):
            for i in range(0, len(whole), size):
                end.send(HANDSHAKE, whole[i:i + size])
            exchange(end, plain)
        part(end, plain)


def test_ticket_and_update(bench):
    """One record with a ticket and, behind it, a KeyUpdate."""
    for requested in (False, True):
        ending = {"closed_done": 1, "rekeys_rx": 1,
                  "rekeys_tx": 1 if requested else 0} if bench.rekeys else \
            {"closed_rekey_unsupported": 1}
        with bench.counted(**ending), bench.both(CONNECTOR) as (end, plain):
            exchange(end, plain)
            end.send(HANDSHAKE, ticket() + ticket() + key_update(requested))
            end.tx.renew()
            with contextlib.suppress(ConnectionError):
                end.send_data(pattern(100000))
            if not bench.rekeys:
                same("end of the plain stream", end_of(plain), (RESET, b""))
                expect_alert(end, CLOSE_NOTIFY, WARNING)
                continue
            got = receive_exactly(plain, 100000)
            same("data behind it", got == pattern(100000), True)
            if requested and bench.kernel:
                same("answer", end.receive(), (HANDSHAKE, key_update(False)))
                end.rx.renew()
            exchange(end, plain)
            part(end, plain)


def refused(bench, role, records, alert=UNEXPECTED_MESSAGE, version="1.3",
            counter="closed_record"):
    """The connection ends with an alert, and the plain end by a reset."""
    with bench.counted(**{counter: 1}), bench.both(role, version) as (end, plain):
        exchange(end, plain)
        end.sock.sendall(b"".join(end.tx.seal(*r) for r in records))
        same("end of the plain stream", end_of(plain), (RESET, b""))
        if alert is None:
            with contextlib.suppress(ConnectionResetError):
                expect_eof(end)
        else:
            expect_alert(end, alert)


def test_bad_messages(bench, role):
    """Handshake messages that have no place here."""
    update = key_update(False)
    for records in (
            # In pieces.
            [(HANDSHAKE, update[:4]), (HANDSHAKE, update[4:])],
            [(HANDSHAKE, update[:1]), (HANDSHAKE, update[1:])],
            # With something behind it, too long, too short, of no kind.
            [(HANDSHAKE, update + update)],
            [(HANDSHAKE, update + b"\x04")],
            [(HANDSHAKE, message(24, b"\x00\x00"))],
            [(HANDSHAKE, message(24, b""))],
            [(HANDSHAKE, message(24, b"\x02"))],
            [(HANDSHAKE, message(20, bytes(32)))],
            [(HANDSHAKE, message(CLIENT_HELLO, bytes(100)))],
            [(HANDSHAKE, message(13, bytes(20)))],
            [(HANDSHAKE, message(HELLO_REQUEST, b""))],
            [(HANDSHAKE, b"\xff\xff\xff\xff")]):
        refused(bench, role, records)
    if role == LISTENER:
        refused(bench, role, [(HANDSHAKE, ticket())])


def test_renegotiation(bench, role):
    """TLS 1.2 has it, and ktlsd has not."""
    hello = message(CLIENT_HELLO, b"\x03\x03" + bytes(32) + b"\x00" +
                    b"\x00\x02\xc0\x2b\x01\x00") if role == LISTENER else \
        message(HELLO_REQUEST, b"")
    with bench.counted(closed_done=1), bench.both(role, "1.2") as (end, plain):
        exchange(end, plain)
        for _ in range(3):
            end.send(HANDSHAKE, hello)
            same("answer", end.receive(),
                 (ALERT, bytes([WARNING, NO_RENEGOTIATION])))
            exchange(end, plain)
        part(end, plain)
    other = message(HELLO_REQUEST, b"") if role == LISTENER else \
        message(CLIENT_HELLO, bytes(60))
    refused(bench, role, [(HANDSHAKE, other)], version="1.2")
    refused(bench, role, [(HANDSHAKE, key_update(False))], version="1.2")


# Data, alerts, and what is none of it

def test_data(bench, role, version):
    """Records of every length, and empty ones."""
    with bench.counted(closed_done=1), bench.both(role, version) as (end, plain):
        exchange(end, plain, 300, 1)
        exchange(end, plain, 20 * RECORD_MAX, RECORD_MAX)
        exchange(end, plain, 50000, 1459)
        for _ in range(10):
            end.send(DATA, b"")
        exchange(end, plain)
        for i in range(100):
            end.send(DATA, b"")
            end.send(DATA, bytes([i]))
            end.send(DATA, b"")
        same("data between empty records", receive_exactly(plain, 100),
             bytes(range(100)))
        if version == "1.3":
            for padding in (0, 1, 255, 16000):
                end.send(DATA, b"padded", padding)
                same("padded data", receive_exactly(plain, 6), b"padded")
            end.send(DATA, b"", 16384)
        # A record that comes byte by byte.
        for byte in end.tx.seal(DATA, b"slow"):
            end.sock.sendall(bytes([byte]))
        same("data", receive_exactly(plain, 4), b"slow")
        exchange(end, plain)
        part(end, plain)


def test_first_data(bench, role, version):
    """Data in the same segment as the last of the handshake."""
    for size in (1, 1000, RECORD_MAX):
        with bench.counted(closed_done=1), \
                bench.both(role, version, first=[(DATA, pattern(size))] * 3) as \
                (end, plain):
            same("first data", receive_exactly(plain, 3 * size) ==
                 3 * pattern(size), True)
            exchange(end, plain)
            part(end, plain)


def test_first_and_last(bench, role, version):
    """All that there is in that segment: data, and the end."""
    first = [(DATA, b"hello"), (ALERT, bytes([WARNING, CLOSE_NOTIFY]))]
    with bench.counted(closed_done=1), \
            bench.both(role, version, first=first) as (end, plain):
        same("the plain stream", end_of(plain), (ENDED, b"hello"))
        plain.sendall(b"answer")
        same("answer", end.receive(), (DATA, b"answer"))
        plain.close()
        same("last record", end.receive(), (ALERT, bytes([WARNING, 0])))
        expect_eof(end)


def test_alerts(bench, role, version):
    """Those that end nothing, and those that end all."""
    with bench.counted(closed_done=1), bench.both(role, version) as (end, plain):
        end.alert(USER_CANCELED)
        exchange(end, plain)
        part(end, plain)
    # One end has ended, the other has not.
    with bench.counted(closed_done=1), bench.both(role, version) as (end, plain):
        end.alert(CLOSE_NOTIFY)
        same("end of the plain stream", end_of(plain), (ENDED, b""))
        plain.sendall(pattern(100000))
        same("data", end.receive_data(100000) == pattern(100000), True)
        plain.close()
        same("last record", end.receive(), (ALERT, bytes([WARNING, 0])))
        expect_eof(end)
    for number in (HANDSHAKE_FAILURE, 10, 20, 80, 255):
        refused(bench, role, [(ALERT, bytes([FATAL, number]))], None, version,
                "closed_alert")
    for content in (b"\x02", b"\x01\x00\x00", bytes(100)):
        refused(bench, role, [(ALERT, content)], DECODE_ERROR, version)


def test_truncation(bench, role, version):
    """The end of TCP is none of TLS."""
    for half in (b"", b"\x17\x03\x03\x00\x40half"):
        with bench.counted(closed_truncated=1), \
                bench.both(role, version) as (end, plain):
            exchange(end, plain)
            end.send_data(pattern(1000))
            end.sock.sendall(half)
            end.sock.shutdown(socket.SHUT_WR)
            how, got = end_of(plain)
            same("end of the plain stream", how, RESET)
            same("what came before", pattern(1000).startswith(got), True)


def test_reset(bench, role, version):
    """The TLS end is gone."""
    with bench.counted(closed_reset=1), bench.both(role, version) as (end, plain):
        exchange(end, plain)
        end.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                            struct.pack("ii", 1, 0))
        end.close()
        same("end of the plain stream", end_of(plain)[0], RESET)


def test_forged(bench, role, version):
    """A record that was made, or changed, by somebody else."""
    for where in (-1, 5, 20):
        with bench.counted(closed_record=1), \
                bench.both(role, version) as (end, plain):
            exchange(end, plain)
            end.send(DATA, b"good")
            record = bytearray(end.tx.seal(DATA, pattern(1000)))
            record[where] ^= 1
            end.sock.sendall(record + end.tx.seal(DATA, b"behind it"))
            how, got = end_of(plain)
            same("end of the plain stream", how, RESET)
            same("only what is right came", b"good".startswith(got), True)
            expect_alert(end, BAD_RECORD_MAC)
    # Again, or in another order.
    with bench.counted(closed_record=1), bench.both(role, version) as (end, plain):
        record = end.tx.seal(DATA, b"once")
        end.sock.sendall(record + record)
        how, got = end_of(plain)
        same("only what is right came", b"once".startswith(got), True)
        expect_alert(end, BAD_RECORD_MAC)


def test_no_records(bench, role, version):
    """What is no record, or none of a type that there is."""
    for kind in (24, 99, 0xff):
        refused(bench, role, [(kind, b"what")], UNEXPECTED_MESSAGE, version)
    if version == "1.3":
        # Without any type in it, which the kernel does not tell from a forged one.
        refused(bench, role, [(0, b"")], BAD_RECORD_MAC if bench.kernel else
                UNEXPECTED_MESSAGE)
    for garbage in (b"GET / HTTP/1.1\r\n\r\n" * 10,
                    b"\x17\x03\x03\xff\xff" + bytes(100),
                    b"\x17\x03\x03\x00\x00" + bytes(100),
                    b"\x17\x03\x03\x00\x01" + bytes(100),
                    b"\x17\x02\x00\x00\x40" + bytes(100)):
        with bench.counted(closed_record=1), \
                bench.both(role, version) as (end, plain):
            exchange(end, plain)
            end.sock.sendall(garbage)
            same("end of the plain stream", end_of(plain), (RESET, b""))


def test_half_at_once(bench, role, version):
    """Both say the end at the same time."""
    for _ in range(20):
        with bench.counted(closed_done=1), \
                bench.both(role, version) as (end, plain):
            plain.shutdown(socket.SHUT_WR)
            end.alert(CLOSE_NOTIFY)
            same("end of the plain stream", end_of(plain), (ENDED, b""))
            same("last record", end.receive(),
                 (ALERT, bytes([WARNING, 0])))


def main():
    """As TAP."""
    in_namespace()
    bench = Bench(new_directory())
    bench.begin_others()
    tests = [("others", bench.check_others)]

    def add(function, *args):
        name = ".".join(str(a) for a in (function.__name__[5:], *args)
                        if not isinstance(a, bool))
        if any(a is True for a in args):
            name += ".requested"
        tests.append((name, lambda: function(bench, *args)))

    for role in ROLES:
        for requested in (False, True):
            add(test_update, role, requested)
            add(test_storm, role, requested)
        add(test_update_while_sending, role)
        add(test_storm_unread, role)
        add(test_bad_messages, role)
        add(test_renegotiation, role)
    add(test_tickets)
    add(test_ticket_and_update)
    for role, version in itertools.product(ROLES, ("1.2", "1.3")):
        for function in (test_data, test_first_data, test_first_and_last,
                         test_alerts, test_truncation, test_reset, test_forged,
                         test_no_records, test_half_at_once):
            add(function, role, version)
    tests.append(("others.again", bench.check_others))
    return bench.perform(tests)


if __name__ == "__main__":
    sys.exit(main())
