#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The trial of a library that is not ours: one of OpenSSL, and a hostile one."""

import os
import pty
import signal
import sys
import time

NAME = "ktlsctl-library-trial"
FD_RESULT, FD_LIBSSL, FD_LIBCRYPTO = 3, 4, 5

count = 0
failed = 0


def ok(good, name):
    """Prints a line of TAP."""
    global count, failed
    count += 1
    failed += not good
    print(f"{'ok' if good else 'not ok'} {count} - {name}")


class Trial:
    """ktlsctl, as it starts itself for that, with a terminal."""

    def __init__(self, ktlsctl, libssl, libcrypto):
        self.out, result = os.pipe()
        files = [result, os.open(libssl, os.O_RDONLY),
                 os.open(libcrypto, os.O_RDONLY)]
        self.pid, self.terminal = pty.fork()
        if not self.pid:
            high = [self.above(fd) for fd in files]
            for fd, to in zip(high, (FD_RESULT, FD_LIBSSL, FD_LIBCRYPTO)):
                os.dup2(fd, to)
            os.closerange(FD_LIBCRYPTO + 1, 256)
            # As a job of a shell is: it is not the leader of the session.
            if os.fork():
                os.closerange(FD_RESULT, 256)
                os.wait()
                os._exit(0)
            os.execve(ktlsctl, [NAME, str(os.getpid())], {})
        for fd in files:
            os.close(fd)

    @staticmethod
    def above(fd):
        """The same file, out of the way."""
        while fd <= FD_LIBCRYPTO:
            fd = os.dup(fd)
        return fd

    def read(self, until=None):
        """All of the result, or until a word is in it."""
        data = b""
        end = time.monotonic() + 60
        while time.monotonic() < end:
            more = os.read(self.out, 4096)
            data += more
            if not more or (until and until in data):
                break
        return data

    def close(self):
        """Nobody waits for it any more."""
        os.close(self.out)
        os.waitpid(self.pid, 0)
        os.close(self.terminal)


def test_openssl(ktlsctl):
    """It comes to terms with itself."""
    directories = ["/usr/lib/x86_64-linux-gnu", "/usr/lib64", "/usr/lib"]
    for directory in directories:
        libssl = f"{directory}/libssl.so.3"
        libcrypto = f"{directory}/libcrypto.so.3"
        if os.path.exists(libssl) and os.path.exists(libcrypto):
            break
    else:
        print("# SKIP: no libssl.so.3")
        return
    trial = Trial(ktlsctl, libssl, libcrypto)
    data = trial.read()
    trial.close()
    ok(b"OpenSSL 3." in data and data[0] == 1, "OpenSSL is tried")
    if data[:1] != b"\x01":
        print(f"# {data[:200]}")


def is_there(pid):
    """Whether the process runs."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as f:
            return f.read().split(") ")[1][0] != "Z"
    except FileNotFoundError:
        return False


def test_hostile(ktlsctl, library):
    """A library that wants more gets nothing."""
    trial = Trial(ktlsctl, library, library)
    data = trial.read(b"Pid: ").decode()
    time.sleep(0.2)
    found = dict(line.split(":", 1) for line in data.splitlines())
    found = {key: value.split() for key, value in found.items()}
    print("#", found)
    pid = int(found["Pid"][0])
    if os.geteuid():
        print("# SKIP: it is nobody else's user without root")
    else:
        ok(all(int(uid) in (2 ** 32 - 3, 65534) for uid in found["Uid"]),
           "it is nobody else's user")
        ok(found["Gid"] == found["Uid"] and not found["Groups"],
           "nor in a group")
    ok(all(not int(found[f"Cap{which}"][0], 16)
           for which in ("Inh", "Prm", "Eff", "Amb")),
       "it has no capabilities")
    ok(found["NoNewPrivs"] == ["1"], "and gets none")
    ok(found["Terminal"] == ["0"], "it has no terminal")
    ok(found["Files"] == ["2"], "nor files but the libraries")
    ok(found["Environment"] == ["0"], "nor an environment")
    ok(found["Fork"] != ["done"], "it starts no process")
    ok(is_there(pid), "it does not go")
    trial.close()
    for _ in range(100):
        if not is_there(pid):
            break
        time.sleep(0.1)
    ok(not is_there(pid), "and goes once nobody waits for it")
    if is_there(pid):
        os.kill(pid, signal.SIGKILL)


def main():
    """All of them, and a plan."""
    ktlsctl, library = (os.path.realpath(path) for path in sys.argv[1:])
    test_openssl(ktlsctl)
    test_hostile(ktlsctl, library)
    print(f"1..{count}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
