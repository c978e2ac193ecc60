#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Certificates that are renewed under ktlsd, which is told nothing.

What is served is what a client gets; it connects again and again, meanwhile and
in all the ways there are to replace a file, and is never refused.
"""

import contextlib
import os
import socket
import ssl
import subprocess
import sys
import threading
import time

from bench import (KTLSCTL, PATIENCE, PATIENT, PORTS, Authority, Daemon,
                   Failure, Server, client, connect, echo, in_namespace,
                   new_directory, perform, run, same, talk, wait_for, write)

SOON = 5


def put(path, text):
    """Replaces a file at once."""
    os.rename(write(path + ".new", text), path)


class Place:
    """Where a certificate is, and how a new one gets there."""

    def __init__(self, base, authority):
        self.base, self.authority = base, authority
        self.port = next(PORTS)
        self.number = 0
        os.makedirs(base)
        self.set_up()
        self.renew()

    def set_up(self):
        """Before the first one."""

    def put(self, pair):
        """Another pair of texts, chain and key."""
        self.number += 1
        self.place(*pair)

    def renew(self):
        """With a good one; its serial."""
        pair = self.authority.issue()
        self.put(pair)
        return serial_of(pair[0])

    def path(self, *names):
        """In the place."""
        return os.path.join(self.base, *names)


class OneFile(Place):
    """Both in a file, which is replaced."""

    def configured(self):
        """What ktlsd is told."""
        return self.path("both.pem")

    def place(self, chain, key):
        """By rename()."""
        put(self.configured(), chain + key)


class TwoFiles(Place):
    """A directory in which one is replaced after the other."""

    def configured(self):
        """What ktlsd is told."""
        return self.base

    def place(self, chain, key):
        """In between they do not fit."""
        put(self.path("privkey.pem"), key)
        time.sleep(0.2)
        put(self.path("fullchain.pem"), chain)


class InPlace(Place):
    """A file that is written over, not at once."""

    def configured(self):
        """What ktlsd is told."""
        return self.path("both.pem")

    def place(self, chain, key):
        """A part of it, and then all."""
        with open(self.configured(), "w", encoding="ascii") as file:
            file.write(chain)
            file.flush()
            time.sleep(0.2)
            file.write(key)


class Certbot(Place):
    """live/NAME/*.pem are links to archive/NAME/*N.pem."""

    def set_up(self):
        os.makedirs(self.path("live/localhost"))
        os.makedirs(self.path("archive/localhost"))

    def configured(self):
        """What ktlsd is told."""
        return self.path("live/localhost")

    def place(self, chain, key):
        """As certbot does."""
        for name, text in ("privkey", key), ("fullchain", chain):
            write(self.path(f"archive/localhost/{name}{self.number}.pem"),
                  text)
        for name in "privkey", "fullchain":
            link = self.path(f"live/localhost/{name}.pem")
            with contextlib.suppress(FileNotFoundError):
                os.unlink(link)
            os.symlink(f"../../archive/localhost/{name}{self.number}.pem",
                       link)


class Swap(Place):
    """The directory is another one."""

    def configured(self):
        """What ktlsd is told."""
        return self.path("now")

    def place(self, chain, key):
        """Two renames, of which the first leaves nothing."""
        new = self.path(f"new{self.number}")
        os.mkdir(new)
        write(os.path.join(new, "fullchain.pem"), chain)
        write(os.path.join(new, "privkey.pem"), key)
        if os.path.exists(self.path("now")):
            os.rename(self.path("now"), self.path(f"old{self.number}"))
        os.rename(new, self.path("now"))


class Link(Place):
    """A link to the directory, which is flipped."""

    def configured(self):
        """What ktlsd is told."""
        return self.path("now")

    def place(self, chain, key):
        """By rename() of another link."""
        new = self.path(f"d{self.number}")
        os.mkdir(new)
        write(os.path.join(new, "fullchain.pem"), chain)
        write(os.path.join(new, "privkey.pem"), key)
        os.symlink(new, self.path("link"))
        os.rename(self.path("link"), self.path("now"))


KINDS = (OneFile, TwoFiles, InPlace, Certbot, Swap, Link)


def serial_of(chain):
    """As a client tells it."""
    return run("openssl", "x509", "-noout", "-serial",
               input=chain.encode()).strip().rpartition("=")[2].lstrip("0")


class Clients:
    """Connects to all places, again and again, and keeps what went wrong."""

    def __init__(self, renewal):
        self.renewal = renewal
        self.wrong, self.count, self.over = [], 0, False
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        """Until it is over."""
        while not self.over:
            for place in self.renewal.places.values():
                try:
                    self.renewal.served(place, True)
                    self.count += 1
                except (OSError, Failure) as e:
                    self.wrong.append(f"{type(place).__name__}: {e}")

    def end(self):
        """How many there were, of which none failed."""
        self.over = True
        self.thread.join(PATIENCE)
        if self.wrong:
            raise Failure(f"{len(self.wrong)} of {self.count} handshakes "
                          "failed:\n" + "\n".join(self.wrong[:5]))
        if not self.count:
            raise Failure("there was no handshake")
        return self.count


class Renewal:
    """ktlsd with a listener for each place."""

    def __init__(self, directory):
        self.authority = Authority(directory)
        self.context = client(self.authority.pem)
        self.places = {kind: kind(os.path.join(directory, kind.__name__),
                                  self.authority) for kind in KINDS}
        backend = Server(next(PORTS), echo)
        self.daemon = Daemon(directory, "workers = 2\n" + "".join(f"""
listener {kind.__name__} {{
    address = "127.0.0.1:{place.port}"
    certificate = "{place.configured()}"
    {PATIENT}
    backend = "127.0.0.1:{backend.port}"
}}
""" for kind, place in self.places.items()))
        self.clients = Clients(self)

    def served(self, place, whole=False):
        """The serial of a new connection, which works."""
        with connect(place.port, self.context) as end:
            serial = end.getpeercert()["serialNumber"].lstrip("0")
            if whole:
                talk(end)
            return serial

    def state(self, place):
        """What the status says of its certificate."""
        return next(c for c in self.daemon.status()["certificates"]
                    if c["certificate"].startswith(place.configured()))

    def wait_served(self, place, serial):
        """And how long that took."""
        begin = time.monotonic()
        try:
            wait_for("new certificate", lambda: self.served(place) == serial,
                     SOON)
        except Failure as e:
            raise Failure(f"{e}: {self.served(place)} is served, not {serial}:"
                          f"\n{self.daemon.log()}") from e
        return f"served after {time.monotonic() - begin:.1f} s"

    def renew(self, kind):
        """Twice, and what it says of it."""
        place = self.places[kind]
        for _ in range(2):
            serial = place.renew()
            note = self.wait_served(place, serial)
            wait_for("new serial in the status", lambda s=serial:
                     self.state(place)["serial"].lstrip("0").upper() == s)
        if "error" in self.state(place):
            raise Failure(f"the status says: {self.state(place)}")
        return note

    def broken(self, kind, pair, words):
        """A renewal that is none; and one that is."""
        place = self.places[kind]
        before = self.served(place)
        place.put(pair)
        error = wait_for("error in the status",
                         lambda: self.state(place).get("error"), 30)
        if words not in error:
            raise Failure(f'the error is "{error}", without "{words}"')
        self.daemon.logged(error)
        text = subprocess.run([KTLSCTL, "--socket", self.daemon.control,
                               "daemon", "status"], capture_output=True,
                              text=True, check=True).stdout
        if f"! {self.state(place)['certificate']}" not in text:
            raise Failure(f"the status in words has no error:\n{text}")
        end = time.monotonic() + 2
        while time.monotonic() < end:
            same("what is served meanwhile", self.served(place), before)
        note = self.wait_served(place, place.renew())
        wait_for("end of the error",
                 lambda: "error" not in self.state(place))
        return note

    def wrong_key(self):
        """A chain and the key of another."""
        return self.broken(Certbot, (self.authority.issue()[0],
                                     self.authority.issue()[1]), "key")

    def expired(self):
        """Yesterday's."""
        return self.broken(OneFile, self.authority.issue(expired=True),
                           "expired")

    def half_written(self):
        """Half of a chain, and the key."""
        chain, key = self.authority.issue()
        return self.broken(TwoFiles, (chain[:len(chain) // 2], key),
                           "certificate")

    def under_way(self):
        """A handshake that began before, and goes on behind the renewal."""
        place = self.places[OneFile]
        before = self.served(place)
        # Without a name, or the server looks for the one that has it.
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.load_verify_locations(self.authority.pem)
        come, go = ssl.MemoryBIO(), ssl.MemoryBIO()
        end = context.wrap_bio(come, go)
        with contextlib.suppress(ssl.SSLWantReadError):
            end.do_handshake()
        hello = go.read()
        with socket.create_connection(("127.0.0.1", place.port),
                                      timeout=PATIENCE) as sock:
            sock.sendall(hello[:20])
            wait_for("handshake under way", lambda:
                     self.daemon.counters()["handshakes"] > 0)
            self.wait_served(place, place.renew())
            sock.sendall(hello[20:])
            while True:
                try:
                    end.do_handshake()
                    break
                except ssl.SSLWantReadError:
                    come.write(sock.recv(65536) or b"")
            sock.sendall(go.read())
        same("the serial", end.getpeercert()["serialNumber"].lstrip("0"),
             before)

    def all_the_while(self):
        """No handshake failed."""
        note = f"{self.clients.end()} handshakes"
        counters = self.daemon.counters()
        # Of those that only look at a certificate, none.
        for name, value in counters.items():
            if name.startswith("failed-") and name != "failed-gone":
                same(name, value, 0)
        return note


def main():
    """Of all ways."""
    in_namespace()
    renewal = Renewal(new_directory())
    status = perform(
        [(f"renewed.{kind.__name__}", lambda k=kind: renewal.renew(k))
         for kind in KINDS] +
        [("broken.wrong-key", renewal.wrong_key),
         ("broken.expired", renewal.expired),
         ("broken.half-written", renewal.half_written),
         ("handshake-under-way", renewal.under_way),
         ("no-handshake-failed", renewal.all_the_while)])
    renewal.daemon.kill()
    return status


if __name__ == "__main__":
    sys.exit(main())
