#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""ktlsctl why against real programs, whose truth is known without it.

A connection of each set-up is held open. strace has seen what the program asked
the kernel for: that is the verdict, and it must be what ktlsctl says, in each
direction. The reason is known to whoever wrote the set-up, as it is what was
set up; where the kernel refused, strace must have seen the errno that goes with
it. ktlsctl may say "unknown" for a reason, with the true one among those that
remain. It must never say another.

usage: setups.py [-v] [NAME...]		NAME is the beginning of set-ups' names
"""

import own_ends     # first

import concurrent.futures
import contextlib
import copy
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import warnings

import bench as benches
import table
from bench import Broken

TOP = os.path.realpath(os.path.join(os.path.dirname(__file__), "../.."))
KTLSCTL = os.path.join(TOP, "tools/ktlsctl/obj/ktlsctl")
# Programs at a time; most of the time each waits for another one.
WORKERS = 4
SKIP = 4


def ask(target, prefix=()):
    """What ktlsctl says, and its exit code."""
    done = subprocess.run([*prefix, KTLSCTL, "-j", "why", *target],
                          capture_output=True, timeout=benches.PATIENCE,
                          check=False)
    try:
        return json.loads(done.stdout), done.returncode
    except ValueError:
        raise Broken(f"ktlsctl why {' '.join(target)}: exit "
                     f"{done.returncode}, {done.stderr.decode()[-500:]}"
                     f"{done.stdout.decode()[-500:]}") from None


class End:
    """The end of a connection that is judged."""

    def __init__(self, row, program):
        self.row, self.program = row, program
        if row.before:
            row.before(program)
        if program.ports:
            client = program.connect(row.label, **row.connect)
            self.cipher = client.cipher()[0] if row.cipher else None
            self.local = client.getpeername()[1]
            self.remote = client.getsockname()[1]
        if program.peer and not row.front:
            end = program.peer.wait_client(program.sources.get(row.label))
            self.local, self.remote = end.getpeername()[1], program.peer.port
            self.cipher = end.cipher()[0] if row.cipher else None
        if row.cipher and self.cipher != row.cipher:
            raise Broken(f"negotiated {self.cipher}")
        if row.after:
            row.after(program, client if program.ports else None)
        # It has none before it is accepted.
        self.inode = benches.wait_for("socket", self.find_inode)
        self.pids = program.holders(self.inode)
        self.trace = program.trace(self.local, self.remote, self.inode)

    def find_inode(self):
        """Of the socket."""
        ends = f"0100007F:{self.local:04X}", f"0100007F:{self.remote:04X}"
        pid = self.program.process.pid
        with open(f"/proc/{pid}/net/tcp", encoding="ascii") as lines:
            for line in lines:
                words = line.split()
                if (words[1], words[2]) == ends:
                    return int(words[9])
        return 0

    def target(self):
        """As a user would name it."""
        pid = str(self.pids[-1])
        if self.row.target == "pid":
            return ["pid", pid]
        if self.row.target == "port":
            return [f":{self.local}"]
        if self.row.target == "address":
            return [f"127.0.0.1:{self.local}"]
        if self.row.target == "command":
            with open(f"/proc/{pid}/comm", encoding="ascii") as comm:
                return [comm.read().strip()]
        assert self.row.target == "cookie"
        line = subprocess.run(
            ["ss", "-tneH", f"( sport = :{self.local} and "
             f"dport = :{self.remote} )"], check=True, capture_output=True,
            text=True).stdout
        return ["cookie", str(int(line.partition("sk:")[2].split()[0], 16))]

    def find(self, told):
        """This connection in what ktlsctl says of several."""
        found = [c for c in told["connections"]
                 if (c["local-port"], c["remote-port"]) ==
                 (self.local, self.remote)]
        if len(found) != 1:
            raise Broken(f"the connection {self.local} -> {self.remote} is "
                         f"{len(found)} times in {json.dumps(told)}")
        return found[0]


def compare(row, calls, connection):
    """What is wrong, and what became of each direction's reason."""
    wrong, reasons = [], {}
    for direction in "tx", "rx":
        verdict, true_reasons = getattr(row, direction)
        told = connection[direction]
        truth = calls.verdicts(direction)
        if verdict not in truth or \
                (verdict == "refused" and true_reasons and not any(
                    calls.shows(direction, r) for r in true_reasons)):
            wrong.append(f"{direction}: the set-up is to be {verdict}, but "
                         f"strace saw: {calls}")
        if told["verdict"] == "unknown" and row.verdict_unknown:
            pass
        elif told["verdict"] not in truth:
            wrong.append(f"{direction}: the verdict is {told['verdict']}, "
                         f"but strace saw: {calls}")
        if not told.get("text", "").isprintable():
            wrong.append(f"{direction}: not text: {told['text']!a}")
        reason = told.get("reason")
        remaining = {r["reason"] for r in told.get("remaining", [])}
        if told["verdict"] == "software":
            reasons[direction] = "-"
        elif reason == "unknown":
            reasons[direction] = "unknown"
            if not true_reasons & remaining:
                wrong.append(f"{direction}: none of {sorted(true_reasons)} is "
                             f"among what remains: {sorted(remaining)}")
        elif reason in true_reasons:
            reasons[direction] = "true"
        elif reason == told["verdict"] == "refused":
            # The errno, and no more.
            reasons[direction] = "unknown"
            error = calls.refusal(direction)[1]
            if error not in told["text"]:
                wrong.append(f"{direction}: {error} is not told")
        else:
            reasons[direction] = "wrong"
            wrong.append(f"{direction}: the reason is {reason}, but is one of "
                         f"{sorted(true_reasons)}: {row.because}")
    return wrong, reasons


class Report:
    """TAP, and the sums."""

    def __init__(self, verbose):
        self.verbose, self.n, self.failed = verbose, 0, 0
        self.sums = {}
        self.lock = threading.Lock()
        self.samples = []

    def result(self, name, wrong, comment=""):
        """A line."""
        with self.lock:
            self.n += 1
            for text in wrong:
                print("# " + text.replace("\n", "\n# "))
            self.failed += bool(wrong)
            print(f"{'not ok' if wrong else 'ok'} {self.n} {name}"
                  f"{comment and f' # {comment}'}", flush=True)

    def judged(self, row, end, connection):
        """A set-up's connection, compared."""
        wrong, reasons = compare(row, end.trace, connection)
        told = {process["pid"] for process in connection["processes"]}
        if told != set(end.pids) and (told or not row.verdict_unknown):
            wrong.append(f"held by {end.pids}, but told of {sorted(told)}")
        with self.lock:
            self.samples.append((row, end.trace, connection))
            for direction, what in reasons.items():
                told = connection[direction]["verdict"]
                self.sums[told] = self.sums.get(told, 0) + 1
                if what != "-":
                    self.sums[what] = self.sums.get(what, 0) + 1
        words = []
        for direction in "tx", "rx":
            told = connection[direction]
            words.append(f"{direction} {told['verdict']}")
            if reasons[direction] != "-":
                words[-1] += f" ({told.get('reason')})"
        if wrong:
            wrong.append(json.dumps(connection))
        elif self.verbose:
            print("# " + json.dumps(connection))
        self.result(row.name, wrong, ", ".join(words))


class Group:
    """The set-ups of one program, from its start to its end."""

    def __init__(self, bench, report, name, rows, build):
        self.bench, self.report = bench, report
        self.name, self.rows, self.build = name, rows, build
        self.program, self.ends, self.answers = None, [], {}

    def broken(self, rows, why):
        """Set-ups that could not be judged."""
        text = str(why) if isinstance(why, (Broken, OSError)) else \
            traceback.format_exc()
        for row in rows:
            self.report.result(row.name, [
                text, self.program.last_words() if self.program else ""])

    def start(self):
        """Until all connections are there."""
        try:
            self.program = self.build(self.bench, self.name)
            self.program.start()
        except Exception as why:
            self.broken(self.rows, why)
            return
        for row in self.rows:
            try:
                self.ends.append((row, End(row, self.program)))
            except Exception as why:
                self.broken([row], why)

    def ask(self):
        """And judge the answer."""
        for row, end in self.ends:
            try:
                question = tuple(end.target()), tuple(row.ask_as)
                if question not in self.answers:
                    self.answers[question] = ask(*question)[0]
                answer = self.answers[question]
                if "connections" not in answer:
                    raise Broken(json.dumps(answer))
                self.report.judged(row, end, end.find(answer))
            except Exception as why:
                self.broken([row], why)

    def stop(self):
        """All of it."""
        try:
            if self.program:
                self.program.stop()
        except Exception as why:
            self.broken([], why)

    def run(self):
        """From the start to the end."""
        self.start()
        self.ask()
        self.stop()


def self_check(report):
    """A test that finds nothing wrong with what is wrong is none."""
    def fails(name, row, calls, told):
        wrong = compare(row, calls, told)[0]
        report.result(f"self-check.{name}",
                      [] if wrong else ["it was not noticed"])

    good = [s for s in report.samples if not compare(*s)[0]]
    if not good:
        return
    for name, sample in (
            ("software", next((s for s in good
                               if s[0].tx[0] == "software"), None)),
            ("never-asked", next((s for s in good if s[0].tx[0] == "never-asked"
                                  and s[2]["tx"]["reason"] in s[0].tx[1]),
                                 None)),
            ("refused", next((s for s in good if s[0].tx[0] == "refused" and
                              s[2]["tx"]["reason"] in s[0].tx[1]), None))):
        if not sample:
            continue
        row, calls, told = sample
        for verdict in ("software", "never-asked", "refused", "device"):
            if verdict == name:
                continue
            lie = copy.deepcopy(told)
            lie["tx"]["verdict"] = verdict
            fails(f"{name}.told-{verdict}", row, calls, lie)
        if name == "software":
            continue
        lie = copy.deepcopy(told)
        lie["tx"]["reason"] = "no-memory"
        fails(f"{name}.another-reason", row, calls, lie)
        lie["tx"]["reason"] = "unknown"
        lie["tx"]["remaining"] = [{"reason": "no-memory"}]
        fails(f"{name}.remains-another", row, calls, lie)
    # What one set-up is told is not true of another.
    pairs = [(a, b) for a in good for b in good
             if not a[1].verdicts("tx") & b[1].verdicts("tx") and
             b[2]["tx"]["verdict"] != "unknown"]
    if pairs:
        (row, calls, _), (_, _, told) = pairs[0]
        fails("another-connection", row, calls, told)
        fails("another-trace", row, pairs[0][1][1], pairs[0][0][2])


def run_phase(phase, bench, report, groups):
    """Its groups at the same time, in the state that it is about."""
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(phase.state(bench))
        except (OSError, subprocess.SubprocessError, Broken) as why:
            for group in groups:
                group.broken(group.rows, Broken(f"{phase.name}: {why}"))
            return
        with concurrent.futures.ThreadPoolExecutor(WORKERS) as pool:
            if phase.meanwhile:
                list(pool.map(Group.start, groups))
                phase.meanwhile()
                list(pool.map(Group.ask, groups))
                list(pool.map(Group.stop, groups))
            else:
                list(pool.map(Group.run, groups))


def main(args):
    """Exit code."""
    verbose = "-v" in args
    names = [a for a in args if a != "-v"]
    if not os.path.exists(KTLSCTL):
        print(f"1..0 # SKIP no {KTLSCTL}")
        return SKIP
    assert own_ends
    # Whoever ends it wants the host back as it was.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    # Old versions of TLS are wanted.
    warnings.simplefilter("ignore", DeprecationWarning)

    directory = tempfile.mkdtemp(prefix="ktls-why.")
    os.chmod(directory, 0o755)
    begin = time.monotonic()
    print("TAP version 13")
    report = Report(verbose)
    bench = benches.Bench(directory)
    try:
        for phase in table.phases():
            groups = []
            for needs, build, rows in phase.groups:
                rows = [r for r in rows if not names or
                        any(r.name.startswith(n) for n in names)]
                missing = [n for n in needs if not shutil.which(n)]
                if missing:
                    for row in rows:
                        report.result(row.name, [],
                                      f"SKIP no {missing[0]} here")
                elif rows:
                    groups.append(Group(bench, report, rows[0].name, rows,
                                        build))
            if groups:
                started = time.monotonic()
                run_phase(phase, bench, report, groups)
                print(f"# {phase.name}: "
                      f"{time.monotonic() - started:.1f} s", flush=True)
        self_check(report)
    finally:
        bench.backend.close()
        shutil.rmtree(directory)
    print("# " + ", ".join(f"{n} {what}" for what, n in
                           sorted(report.sums.items())))
    print(f"# {time.monotonic() - begin:.1f} s")
    print(f"1..{report.n}")
    return 1 if report.failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
