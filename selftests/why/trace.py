# SPDX-License-Identifier: GPL-2.0
"""What a program asked the kernel for, as strace saw it."""

import glob
import re

# Without --seccomp-bpf each call of a program would stop it, twice.
STRACE = ("strace", "-ff", "--seccomp-bpf", "-qq", "-yy", "-s4", "-e",
          "trace=setsockopt", "-e", "signal=none")

# setsockopt(4<TCP:[127.0.0.1:9443->127.0.0.1:37470]>, SOL_TLS, TLS_TX, ...
CALL = re.compile(r"setsockopt\(\d+<(?P<file>.*?)>, "
                  r"(?P<option>SOL_TCP, TCP_ULP|SOL_TLS, TLS_[TR]X)"
                  r"\b.*\) += (?P<result>-?\d+)(?: (?P<errno>E\w+))?")
STEPS = {"SOL_TCP, TCP_ULP": "ulp", "SOL_TLS, TLS_TX": "tx",
         "SOL_TLS, TLS_RX": "rx"}

# What a reason looks like from outside: the step that fails first, and how.
SIGNS = {
    "tls-module-absent": ("ulp", "ENOENT"),
    "tls-module-not-loaded": ("ulp", "ENOENT"),
    "tls-module-forbidden": ("ulp", "ENOENT"),
    "socket-not-connected": ("ulp", "ENOTCONN"),
    "mptcp": ("ulp", "ENOPROTOOPT EOPNOTSUPP"),
    "policy": ("ulp tx rx", "EPERM"),
    "cipher-unsupported": ("tx rx", "EINVAL"),
    "algorithm-missing": ("tx rx", "ENOENT"),
    "no-ulp": ("tx rx", "ENOPROTOOPT"),
    "security-policy": ("ulp tx rx", "EPERM EACCES"),
}


def is_about(file, local, remote, inode):
    """Is it this connection? Before it was one it had one end, or none."""
    return re.search(rf":{local}(->.*:{remote})?]$", file) or \
        inode and file.endswith(f"[{inode}]")


class Trace:
    """The calls of a program about one connection: (step, errno or "")."""

    def __init__(self, prefix, local, remote, inode):
        self.calls = []
        for path in sorted(glob.glob(glob.escape(prefix) + ".*")):
            with open(path, encoding="utf-8", errors="replace") as file:
                for line in file:
                    call = CALL.match(line)
                    if call and is_about(call["file"], local, remote, inode):
                        self.calls.append((STEPS[call["option"]],
                                           call["errno"] or ""))

    def of(self, step):
        """The results of a step, in order."""
        return [error for name, error in self.calls if name == step]

    def verdicts(self, direction):
        """The words that are true of a direction; mostly one."""
        keys = self.of(direction)
        if "" in keys:
            return {"software"}
        if keys and not self.of("ulp"):
            # It asked for the second step without the first.
            return {"refused", "never-asked"}
        if keys:
            return {"refused"}
        # The second of two ULPs is of no account.
        refused = {e for e in self.of("ulp") if e not in ("", "EEXIST")}
        if not refused:
            return {"never-asked"}
        if self.of("tx") or self.of("rx"):
            # It wanted the other direction only.
            return {"refused", "never-asked"}
        return {"refused"}

    def refusal(self, direction):
        """The step that failed first, and its errno; or nothing."""
        for step, error in self.calls:
            if step in ("ulp", direction) and error not in ("", "EEXIST"):
                return step, error
        return "", ""

    def shows(self, direction, reason):
        """Does a refusal look as it must for this reason?"""
        step, error = self.refusal(direction)
        steps, errnos = SIGNS.get(reason, (step, error))
        return step in steps.split() and error in errnos.split()

    def __str__(self):
        return ", ".join(f"{step} {error or 'ok'}"
                         for step, error in self.calls) or "no call"
