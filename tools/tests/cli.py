#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""ktlsctl as its users meet it: exit codes, messages, JSON, widths.

usage: cli.py KTLSCTL KTLSCTL-FAKE SPEC MAN

KTLSCTL-FAKE is linked with a kernel of its own, see fake_kernel.h.
"""

import fcntl
import json
import os
import pty
import random
import re
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import time

import yaml

import tap
from tap import ok

REAL, FAKE, SPEC, MAN = sys.argv[1:5]
WIDTH = 100


def run(args, like="", program=FAKE, columns=WIDTH, **kwargs):
    env = dict(os.environ, KTLS_FAKE_KERNEL=like, TZ="UTC")
    env.pop("COLUMNS", None)
    if columns:
        env["COLUMNS"] = str(columns)
    kwargs.setdefault("stdout", subprocess.PIPE)
    return subprocess.run([program] + args, env=env, stderr=subprocess.PIPE,
                          text=True, errors="surrogateescape", timeout=60,
                          **kwargs)


def test_usage():
    """What is wrong with the command line needs no module: exit code 2."""
    for args, says in [
        (["stat"], 'there is no command "stat"'),
        (["foo"], "type: ktlsctl help"),
        (["help", "foo"], 'there is no command "foo"'),
        (["help", "stats", "show"], "one command"),
        (["--jso", "stats"], 'no option "--jso"'),
        (["-x"], 'no option "-x"'),
        (["-nx", "stats"], 'no option "-x"'),
        (["--json=1"], "--json takes no value"),
        (["--netns"], "--netns wants a value"),
        (["stats", "--netns", "a/b"], "ip netns list"),
        (["stats", "--netns", ""], "ip netns list"),
        (["stats", "--count", "1"], "stats does not take --count"),
        (["module", "--watch"], "module does not take --watch"),
        (["show", "--closed", "1"], "show does not take --closed"),
        (["monitor", "-c"], "-c wants a value"),
        (["monitor", "-c", "0"], "from 1 on"),
        (["monitor", "-c", "-3"], "from 1 on"),
        (["monitor", "--count=x"], "from 1 on"),
        (["stats", "--watch", "0"], "0.1 to 86400"),
        (["stats", "--watch=x"], "0.1 to 86400"),
        (["stats", "--watch", "1x"], "0.1 to 86400"),
        (["stats", "--watch", "--closed"], "do not go together"),
        (["stats", "443"], '"443" is no filter; filters are port'),
        (["stats", "port"], "port wants a value"),
        (["stats", "port", "65536"], "0 to 65535"),
        (["stats", "port", "-1"], None),
        (["stats", "port", " 1"], "0 to 65535"),
        (["stats", "port", "1", "port", "2"], "port is given twice"),
        (["stats", "sport", "http"], "sport takes a port number"),
        (["stats", "dport", ""], "dport takes a port number"),
        (["stats", "tx", "rx"], "at once"),
        (["stats", "mode", "hardware"], "none, sw or hw"),
        (["daemon"], "status, connections, metrics, reload or drain"),
        (["daemon", "stop"], 'not "stop"'),
        (["daemon", "status", "x"], "takes no argument"),
        (["daemon", "status", "--socket", ""], "a path of"),
        (["stats", "--socket", "x"], "stats does not take --socket"),
        (["stats", "version", "1.1"], "1.2 or 1.3"),
        (["stats", "cipher", "aes"], "aes-gcm-128, aes-gcm-256"),
        (["stats", "pid", "0"], "pid takes"),
        (["stats", "pid", "nginx"], "pid takes"),
        (["stats", "uid", "no-such-user"], 'no user "no-such-user"'),
        (["stats", "uid", "4294967295"], "uid takes"),
        (["stats", "cgroup", "/no/such/cgroup"], "cgroup"),
        (["monitor", "cipher", "aes"], "aes-gcm-128"),
        (["show"], "show wants one socket"),
        (["show", "1", "2"], "show wants one socket"),
        (["show", "x"], "neither a cookie nor an end"),
        (["show", "10.0.0.1"], "neither a cookie nor an end"),
        (["show", "10.0.0.1:99999"], "neither a cookie nor an end"),
        (["show", "[10.0.0.1]:443"], "neither a cookie nor an end"),
        (["show", "2001:db8::1:443"], "neither a cookie nor an end"),
        (["show", "[]:443"], "neither a cookie nor an end"),
        (["show", "[::1:443"], "neither a cookie nor an end"),
        (["show", "18446744073709551616"], "neither a cookie nor an end"),
        (["module", "x"], "module takes no argument"),
        (["attempts", "rx"], '"rx" is no filter; filters are step'),
        (["attempts", "step"], "step wants a value"),
        (["attempts", "step", "rx", "step", "tx"], "step is given twice"),
        (["attempts", "step", "close"], "ulp, tx, rx, rekey-tx or rekey-rx"),
        (["attempts", "errno", "EFOO"], "errno takes a name as EPERM"),
        (["attempts", "errno", "-1"], None),
        (["attempts", "errno", "4096"], "errno takes a name as EPERM"),
        (["attempts", "action", "maybe"], "allow, deny or audit"),
        (["attempts", "pid", "x"], "pid takes"),
        (["attempts", "comm", "sixteen-letters-"], "the 15 bytes that"),
        (["attempts", "comm", ""], "name of a command"),
        (["attempts", "--closed"], "attempts does not take --closed"),
        (["attempts", "-c", "0"], "from 1 on"),
        (["stats", "--failed"], "stats does not take --failed"),
        (["policy"], "policy wants one of show"),
        (["policy", "list"], 'policy has no "list"'),
        (["policy", "show", "x"], "policy show takes no argument"),
        (["policy", "load"], "policy load takes the name of a file"),
        (["policy", "load", "a", "b"], "policy load takes the name of a file"),
        (["policy", "show", "--check"], "policy show does not take --check"),
        (["policy", "load", "--shutdown", "x"],
         "policy load does not take --shutdown"),
        (["policy", "check", "--check"], "policy check does not take --check"),
        (["stats", "--shutdown"], "stats does not take --shutdown"),
        (["policy", "del"], "policy del takes the number of a rule"),
        (["policy", "del", "0"], "from 1 on"),
        (["policy", "del", "x"], "from 1 on"),
        (["policy", "default"], "policy default takes allow, deny or audit"),
        (["policy", "default", "no"], "allow, deny or audit"),
        (["policy", "dry-run", "yes"], "on or off"),
        (["policy", "add"], "policy add takes a rule"),
        (["policy", "add", "0", "deny"], "numbered from 1"),
        (["policy", "add", "refuse"], "begins with allow, deny or audit"),
        (["policy", "add", "deny", "rx", "tx"], "one of ulp, tx and rx"),
        (["policy", "add", "deny", "ulp", "version", "1.3"],
         "not known yet when TLS is attached"),
        (["policy", "add", "deny", "pid", "1"], "nothing that a rule knows"),
        (["policy", "add", "deny", "mode", "none"], "sw or hw"),
        (["policy", "add", "deny", "uid"], "uid wants a value"),
        (["policy", "add", "deny", "uid", "1", "uid", "2"], "given twice"),
        (["policy", "add", 'deny comm "x'], "closing quote"),
        (["policy", "test"], "policy test takes what is attempted"),
        (["policy", "test", "close"], "ulp, tx, rx, rekey-tx or rekey-rx"),
        (["policy", "test", "rx"], "give its version and cipher"),
        (["policy", "test", "rx", "version", "1.3"],
         "give its version and cipher"),
        (["policy", "test", "ulp", "mode", "sw"], "not known yet"),
        (["policy", "test", "ulp", "port", "1"], "nothing that an attempt has"),
        (["policy", "test", "ulp", "uid"], "uid wants a value"),
        (["policy", "test", "ulp", "uid", "0", "uid", "0"], "given twice"),
        (["why"], "wants a target"),
        (["why", "1", "2"], "one target"),
        (["why", "a", "b", "c"], "one target"),
        (["why", ":http"], "port number"),
        (["why", ":65536"], "0 to 65535"),
        (["why", "1:2"], "no end of a connection"),
        (["why", "pid", "x"], "number of a process"),
        (["why", "cookie", "0"], "cookie of a socket"),
        (["why", "cookie", "-1"], None),
        (["why", "/"], "name of a command"),
        (["why", "--closed", "x"], "why does not take --closed"),
        (["observe"], "behind --, or --time"),
        (["observe", "--time", "1", "--", "true"], "not both"),
        (["observe", "--time", "0"], "0.1 to 86400"),
        (["observe", "--time"], "--time wants a value"),
        (["observe", "-o"], "-o wants a value"),
        (["stats", "--time", "1"], "stats does not take --time"),
        (["version", "x"], "version takes no argument"),
    ]:
        r = run(args, program=REAL)
        line = r.stderr
        ok(r.returncode == 2 and not r.stdout and line.count("\n") == 1 and
           line.startswith("ktlsctl: ") and (not says or says in line),
           f"usage: {' '.join(args)}", (r.returncode, line))
        if says:
            r = run(["-j"] + args, program=REAL)
            try:
                text = json.loads(r.stdout)["error"]
            except (ValueError, KeyError):
                text = ""
            ok(r.returncode == 2 and not r.stderr and
               (says in text or says == "type: ktlsctl help"),
               f"usage in JSON: {' '.join(args)}", (r.stdout, r.stderr))


def test_help():
    for args in [[], ["help"], ["-h"], ["--help"]]:
        r = run(args, program=REAL)
        ok(r.returncode == 0 and "ktlsctl stats" in r.stdout,
           f"help: {args}", r.stdout)
    words = [line.split()[0] for line in
             run([], program=REAL).stdout.split("Commands\n")[1]
             .split("\n\n")[0].splitlines()]
    ok(words == ["stats", "show", "monitor", "attempts", "policy", "module",
                 "probe", "why", "doctor", "daemon", "observe", "version", "help"],
       "help lists the commands", words)
    for word in words:
        a = run(["help", word], program=REAL)
        b = run([word, "--help"], program=REAL)
        ok(a.returncode == 0 and a.stdout == b.stdout and
           a.stdout.startswith(f"ktlsctl {word}") and
           max(map(len, a.stdout.splitlines())) <= WIDTH,
           f"help of {word}", a.stdout)
    r = run(["-V"], program=REAL)
    ok(r.returncode == 0 and r.stdout.startswith("ktlsctl "), "-V", r.stdout)


def test_kernel_errors():
    """Everything else that goes wrong: one line, exit code 1."""
    for like, args, says in [
        ("absent", ["stats"], "not loaded; type: modprobe ktls"),
        ("absent", ["show", "1"], "type: modprobe ktls"),
        ("absent", ["show", "10.0.0.1:1"], "type: modprobe ktls"),
        ("absent", ["monitor"], "type: modprobe ktls"),
        ("absent", ["module"], "type: modprobe ktls"),
        ("absent", ["stats", "--watch"], "type: modprobe ktls"),
        ("version2", ["stats"], "version 2 of the interface"),
        ("old", ["stats"], "older than this program"),
        ("unloaded", ["stats"], "type: modprobe ktls"),
        ("explained", ["stats"], "the moon is not full (EINVAL)"),
        ("denied", ["monitor"], "CAP_NET_ADMIN"),
        ("truncated", ["stats"], "not well formed"),
        ("unfinished", ["stats"], "ENOBUFS"),
        ("farewell", ["monitor"], "the ktls module was unloaded"),
        ("", ["--netns", "no-such-namespace", "stats"], "ip netns list"),
        ("", ["--netns", "2147483647", "stats"], "no process 2147483647"),
        ("refuse-netns", ["--netns", str(os.getpid()), "stats"],
         "CAP_SYS_ADMIN"),
        ("absent", ["attempts"], "type: modprobe ktls"),
        ("absent", ["policy", "show"], "type: modprobe ktls"),
        ("absent", ["policy", "add", "deny"], "type: modprobe ktls"),
        ("old", ["attempts"], "older than this program"),
        ("old", ["policy", "show"], "older than this program"),
        ("explained", ["attempts"], "the moon is not full (EINVAL)"),
        ("explained", ["policy", "reset"], "the moon is not full (EINVAL)"),
        ("truncated", ["attempts"], "not well formed"),
        ("truncated", ["policy", "show"], "not well formed"),
        ("unfinished", ["attempts"], "ENOBUFS"),
        ("denied", ["attempts", "--follow"], "CAP_NET_ADMIN"),
        ("farewell", ["attempts", "-f"], "the ktls module was unloaded"),
        ("unprivileged", ["policy", "show"], "CAP_NET_ADMIN"),
        ("unprivileged", ["policy", "check"], "CAP_NET_ADMIN"),
        ("unprivileged", ["policy", "add", "deny"], "CAP_NET_ADMIN"),
        ("unenforceable", ["policy", "add", "deny"], "hooks are missing"),
        ("unenforceable", ["policy", "load", "/dev/null"],
         "hooks are missing"),
        ("stale", ["policy", "add", "deny"], "again and again"),
        ("", ["policy", "add", "2", "deny"], "no place 2 for a rule"),
        ("", ["policy", "del", "1"], "there is no rule 1"),
        ("", ["policy", "load", "/no/such/file"], "could not open"),
        ("", ["policy", "load", "/"], "could not read /: Is a directory"),
        ("", ["policy", "save", "/no/such/file"], "could not write"),
        ("", ["policy", "save", "/"], "could not write"),
        ("", ["show", "7"], "no kTLS socket of yours has the cookie 7"),
        ("", ["show", "10.9.9.9:1"], "has the end 10.9.9.9:1"),
        ("", ["show", "10.0.0.1:443"], "3 sockets have the end"),
    ]:
        r = run(args, like)
        errors = r.stderr.splitlines()
        ok(r.returncode == 1 and len(errors) == 1 and says in errors[0] and
           errors[0].startswith("ktlsctl: "),
           f"kernel {like or 'as ever'}: {' '.join(args)}",
           (r.returncode, r.stdout, r.stderr))
        r = run(["-j"] + args, like)
        try:
            text = json.loads(r.stdout.splitlines()[-1])["error"]
        except (ValueError, KeyError, IndexError):
            text = ""
        ok(r.returncode == 1 and says.split("; type")[0] in text,
           f"kernel {like or 'as ever'}, in JSON: {' '.join(args)}",
           (r.stdout, r.stderr))
    r = run(["show", "10.0.0.1:443"])
    ok(all(c in r.stdout for c in ("1001", "1002", "1003")),
       "an end of several sockets lists their cookies", r.stdout)
    r = run(["version"], "absent")
    ok(r.returncode == 0 and "module not loaded" in r.stdout,
       "version without the module", r.stdout)


def test_text():
    r = run(["stats"])
    lines = r.stdout.splitlines()
    ok(r.returncode == 0 and lines[0].startswith("Totals") and
       any(line.split()[:4] == ["DIR", "MODE", "TLS", "CIPHER"]
           for line in lines), "stats has totals", r.stdout)
    ok("4 open sockets, 1 adopted" in r.stdout and
       "\n* adopted: " in r.stdout and "\n! a direction had" in r.stdout and
       "\n~" not in r.stdout, "stats explains the marks it shows", r.stdout)
    ok(" 10.0.0.1:443 " in r.stdout and "1.2M" in r.stdout and
       "3.4G" in r.stdout and "812/nginx" in r.stdout,
       "stats has sockets", r.stdout)
    r = run(["stats", "-n"])
    ok("1234567" in r.stdout and "3650722201" in r.stdout,
       "-n shows numbers in full", r.stdout)
    r = run(["stats", "--closed"])
    ok("1 closed socket, 1 incomplete" in r.stdout and
       "\n~ incomplete" in r.stdout and "\n# truncated" in r.stdout and
       " ago" in r.stdout, "stats --closed", r.stdout)
    r = run(["stats"], "busy")
    ok(r.returncode == 0 and "\n? busy: " in r.stdout and
       " sw       -     - sw         -     - " in r.stdout and
       ", 4 busy: the totals lack them\n" in r.stdout,
       "stats of busy sockets", r.stdout)
    r = run(["stats"], "container")
    ok(" nginx" in r.stdout and "0/nginx" not in r.stdout,
       "stats of processes in another PID namespace", r.stdout)
    r = run(["stats", "sport", "444"])
    ok("matches the filter" in r.stdout and r.returncode == 0,
       "stats says that nothing matches", r.stdout)
    r = run(["stats", "rx", "mode", "none"])
    ok("1 open socket\n" in r.stdout and ":50002" in r.stdout,
       "a filter is kept to even if the kernel does not", r.stdout)
    r = run(["stats"], "empty")
    ok(r.returncode == 0 and "No kTLS sockets are open" in r.stdout and
       "--netns" in r.stdout, "stats says that there is nothing", r.stdout)
    r = run(["stats", "--closed"], "empty")
    ok(r.returncode == 0 and "was closed" in r.stdout,
       "stats --closed says that there is nothing", r.stdout)
    r = run(["stats"], "empty,incomplete-hooks")
    ok("could not be armed" in r.stdout, "stats says why there is nothing",
       r.stdout)
    r = run(["stats"], "interrupted")
    ok(r.returncode == 0 and "may be missing" in r.stderr,
       "stats of a table that never stands still", r.stderr)
    r = run(["module"], "incomplete-hooks")
    ok("ctx-free" in r.stdout and "without it: everything" in r.stdout,
       "module says what is missing", r.stdout)

    r = run(["show", "1001"])
    ok(r.returncode == 0 and "mean record   2957 bytes" in r.stdout and
       "1.2M (1234567)" in r.stdout and
       "count since the first key was installed" in r.stdout,
       "show a socket", r.stdout)
    r = run(["show", "1002"])
    ok("none: the kernel has no key" in r.stdout, "show a direction without key",
       r.stdout)
    r = run(["show", "10.0.0.7:50003"])
    ok(r.returncode == 0 and "EBADMSG: a record did not decrypt" in r.stdout and
       "hw: the device lo has the key" in r.stdout,
       "show by the remote end, with an error", r.stdout)
    r = run(["show", "[2001:0db8:abab:abab:abab:abab:abab:ab01]:50004"])
    ok(r.returncode == 0 and "since the socket was adopted" in r.stdout and
       "not known" in r.stdout, "show an adopted socket by its IPv6 end",
       r.stdout)
    r = run(["show", "10.0.0.7:50005"])
    ok(r.returncode == 0 and "lasted        1m40s" in r.stdout and
       "truncated: " in r.stdout, "show finds a closed socket", r.stdout)
    r = run(["show", "1001"], "incomplete-hooks")
    ok("control       not observed on this kernel" in r.stdout,
       "show does not call zero what is not known", r.stdout)
    r = run(["show", "1001"], "busy")
    ok("busy: locked by" in r.stdout and "records" not in r.stdout and
       "rekeys" in r.stdout, "show of a busy socket", r.stdout)
    r = run(["show", "1003"], "noisy")
    ok("\033" not in r.stdout and "?[2J???_\"" in r.stdout,
       "a command name cannot steer the terminal", r.stdout)


def test_width():
    for like in ["", "wide", "strange", "many", "noisy", "empty"]:
        for args in [["stats"], ["stats", "-n"], ["stats", "--closed"],
                     ["stats", "-n", "--closed"], ["show", "1003"],
                     ["show", "1005"], ["module"], ["attempts"],
                     ["attempts", "--failed"]]:
            for width in (WIDTH, 80) if args[0] in ("stats", "attempts") \
                    else (WIDTH,):
                r = run(args, like, columns=width)
                # Addresses are never cut; two of IPv6 want 100 columns.
                widest = max(len(line) for line in r.stdout.splitlines()
                             if width == WIDTH or ("[2001:" not in line and
                                                    "[fdfd:" not in line))
                ok(r.returncode == 0 and widest <=
                   (WIDTH if like == "wide" else width),
                   f"{' '.join(args)} in {width} columns, kernel "
                   f"{like or 'as ever'}: {widest}", r.stdout)
    r = run(["stats"], "wide")
    ok("\n! [2001:" in r.stdout and "\n* [2001:" in r.stdout,
       "rows of two lines have their marks", r.stdout)
    r = run(["stats"], "wide", columns=None)
    ok(any("fifteen-letters" in line and line.count("[2001:") == 2
           for line in r.stdout.splitlines()),
       "a pipe gets one line per socket", r.stdout)


def on_terminal(args, like, seconds=0, columns=WIDTH, rows=30):
    """What ktlsctl writes to a terminal of this size, and its exit code."""
    pid, fd = pty.fork()
    if not pid:
        os.environ.pop("COLUMNS", None)
        os.environ["KTLS_FAKE_KERNEL"] = like
        os.execv(FAKE, [FAKE] + args)
    fcntl.ioctl(fd, termios.TIOCSWINSZ,
                struct.pack("HHHH", rows, columns, 0, 0))
    if seconds:
        time.sleep(seconds)
        os.kill(pid, signal.SIGINT)
    text = b""
    while True:
        try:
            more = os.read(fd, 65536)
        except OSError:
            break
        if not more:
            break
        text += more
    os.close(fd)
    return text.decode(), os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_watch():
    text, code = on_terminal(["stats", "--watch", "0.2"], "many", 1.5)
    frames = text.split("\033[H\033[J")
    ok(code == 0 and len(frames) >= 4, "--watch redraws until SIGINT",
       (code, text[:2000]))
    ok(all(frame.count("\n") <= 30 for frame in frames) and
       "more; for all" in frames[-1], "--watch keeps to the height of the terminal",
       frames[-1])
    ok(all(len(line) <= WIDTH for frame in frames
           for line in frame.replace("\r", "").split("\n")),
       "--watch keeps to its width", frames[-1])

    p = subprocess.Popen([FAKE, "stats", "--watch", "0.2"],
                         stdout=subprocess.PIPE, text=True)
    time.sleep(1.5)
    p.send_signal(signal.SIGINT)
    text = p.communicate()[0]
    ok(p.returncode == 0 and "\033" not in text and
       text.count("Totals of") >= 2 and "RECORDS/s" in text,
       "--watch in a pipe has no escape codes", (p.returncode, text))

    p = subprocess.Popen([FAKE, "-j", "stats", "--watch", "0.2"],
                         stdout=subprocess.PIPE, text=True)
    time.sleep(1)
    p.terminate()
    objects = [json.loads(line) for line in p.communicate()[0].splitlines()]
    ok(p.returncode == 0 and len(objects) >= 2 and
       all("time" in o for o in objects), "--watch in JSON: one object a line",
       objects)


def test_monitor():
    r = run(["monitor", "--count", "4"])
    lines = r.stdout.splitlines()
    ok(r.returncode == 0 and [line.split()[1] for line in lines] ==
       ["install", "rekey", "error", "close"] and
       "EBADMSG" in lines[2] and "key 2" in lines[1] and
       "tx 1.2M records 3.4G bytes" in lines[3], "monitor", r.stdout)
    r = run(["monitor", "--count", "1", "rx"])
    ok(r.stdout.split()[1:3] == ["error", "rx"], "monitor with a filter",
       r.stdout)
    r = run(["monitor", "-c1", "sport", "443", "mode", "hw"])
    ok(r.stdout.split()[1] == "rekey", "monitor with another", r.stdout)
    r = run(["monitor", "-c6"], "lost")
    missed = [line for line in r.stdout.splitlines() if "(missed)" in line]
    ok(r.returncode == 0 and len(missed) == 2 and "install" in missed[0] and
       ":50006" in missed[0] and "close" in missed[1] and
       ":50001" in missed[1] and
       "sockets opened meanwhile: 1, closed: 1" in r.stdout,
       "monitor tells what it missed", (r.stdout, r.stderr))
    r = run(["-j", "monitor", "-c6"], "lost")
    objects = [json.loads(line) for line in r.stdout.splitlines()]
    ok(objects[4].get("missed") is True and
       {k: v for k, v in objects[-1].items() if k != "time"} ==
       {"name": "resync", "opened": 1, "closed": 1},
       "and in JSON", (r.stdout, r.stderr))
    p = subprocess.Popen([FAKE, "monitor"], stdout=subprocess.PIPE, text=True)
    first = [p.stdout.readline() for _ in range(4)]
    p.send_signal(signal.SIGINT)
    ok(p.wait(10) == 0 and "close" in first[3],
       "monitor prints at once, and ends with SIGINT", first)
    p.stdout.close()
    p = subprocess.Popen([FAKE, "monitor"], stdout=subprocess.PIPE, text=True)
    p.stdout.readline()
    p.stdout.close()
    ok(p.wait(10) != 0, "monitor ends when nobody reads it")
    r = run(["-j", "monitor", "-c", "4"])
    objects = [json.loads(line) for line in r.stdout.splitlines()]
    ok([o["name"] for o in objects] == [
        "socket-install-ntf", "socket-rekey-ntf", "socket-error-ntf",
        "socket-close-ntf"], "monitor in JSON: one object a line", r.stdout)
    r = run(["-p", "monitor", "-c", "4"])
    ok(len(r.stdout.splitlines()) == 4, "even if it is to be pretty", r.stdout)


def test_output():
    with open("/dev/full", "w") as full:
        for args in (["stats"], ["-j", "stats"], ["module"], ["help"],
                     ["monitor", "-c", "1"]):
            r = run(args, stdout=full)
            ok(r.returncode == 1 and "No space left" in r.stderr,
               f"a full disk: {' '.join(args)}", (r.returncode, r.stderr))
    for args in ("stats", "monitor -c 1", "help"):
        r = subprocess.run(["sh", "-c", f"{FAKE} {args} >&-"],
                           stderr=subprocess.PIPE, text=True)
        ok(r.returncode == 1 and "could not write" in r.stderr,
           f"stdout is closed: {args}", (r.returncode, r.stderr))
    r = run(["-p", "stats"], columns=None)
    ok(len(r.stdout.splitlines()) > 50 and
       json.loads(r.stdout) == json.loads(run(["-j", "stats"]).stdout),
       "pretty JSON says the same as plain")
    r = run(["-j", "stats"], "noisy")
    ok(json.loads(r.stdout)["sockets"][0]["comm"] == '\033[2J?\u00e9 "',
       "JSON is UTF-8 whatever a command is called", r.stdout)


def test_attempts():
    r = run(["attempts"])
    ok(r.returncode == 0 and "\nulp       ENOENT  " in r.stdout and
       "tls.ko is not to be had" in r.stdout and "benign" in r.stdout and
       "before Linux 6.14" in r.stdout and "\n6 attempts\n" in r.stdout,
       "attempts has results and what they mean", r.stdout)
    last = r.stdout.splitlines()[-1].split()
    ok(last[2:] == ["rx", "EINVAL", "audit", "250", "0xffff", "cipher-4711",
                    "812/nginx"], "the newest is the last", r.stdout)
    ok(" deny 2 " in r.stdout and " allow default " in r.stdout,
       "attempts says what the policy said", r.stdout)
    r = run(["attempts", "--failed"])
    ok("4 attempts" in r.stdout and " ok " not in r.stdout and
       "failures only" in r.stdout, "attempts --failed", r.stdout)
    r = run(["attempts"], "dry-attempts")
    ok(" dry-run 2 " in r.stdout and "\n^ inherited: " in r.stdout,
       "attempts of a dry run, judged by another namespace", r.stdout)
    for words, numbers in [
            (["step", "rx"], [3, 6]), (["errno", "EPERM"], [3]),
            (["errno", "1"], [3]), (["errno", "ok"], [1, 2]),
            (["action", "audit"], [6]), (["port", "50004"], [4]),
            (["sport", "443", "dport", "50005"], [5]), (["dport", "443"], []),
            (["version", "1.3", "cipher", "aes-gcm-256"], [3]),
            (["uid", "33"], [1, 3, 5]), (["pid", "812", "step", "tx"], [2]),
            (["pid", "813"], []), (["comm", "nginx", "uid", "0"], [2, 4, 6]),
            (["comm", "ngin"], []), (["cgroup", "1", "errno", "16"], [5])]:
        r = run(["-j", "attempts"] + words)
        ok([a["number"] for a in json.loads(r.stdout)["attempts"]] == numbers,
           f"attempts {' '.join(words)}", r.stdout)
    r = run(["attempts", "pid", "813"])
    ok(r.returncode == 0 and "matches the filter" in r.stdout,
       "attempts says that nothing matches", r.stdout)
    r = run(["attempts"], "many")
    ok("The latest 40 of 1000 attempts; for more: --count 1000" in r.stdout and
       ":51000" in r.stdout and ":50960" not in r.stdout,
       "attempts shows the latest", r.stdout)
    r = run(["attempts", "-c", "2"])
    ok("The latest 2 of 6" in r.stdout and ":50005" in r.stdout and
       ":50004" not in r.stdout, "or as many as asked for", r.stdout)
    ok(len(json.loads(run(["-j", "attempts"], "many").stdout)["attempts"])
       == 1000, "JSON has all of them")
    r = run(["attempts"], "no-attempts")
    ok(r.returncode == 0 and "Nothing was attempted" in r.stdout,
       "attempts says that there were none", r.stdout)
    r = run(["attempts"], "noisy")
    ok("\033" not in r.stdout, "a command name cannot steer the terminal",
       r.stdout)

    r = run(["attempts", "--follow", "-c", "4"])
    lines = r.stdout.splitlines()
    ok(r.returncode == 0 and [x.split()[1] for x in lines] ==
       ["ulp", "tx", "rx", "ulp"] and " deny 2" in lines[2] and
       max(map(len, lines)) <= WIDTH, "attempts --follow: a line each",
       r.stdout)
    r = run(["attempts", "-f", "--failed", "-c", "1"])
    ok(" rx       EPERM " in r.stdout and r.stdout.count("\n") == 1,
       "attempts --follow --failed", r.stdout)
    r = run(["attempts", "-f", "-c", "3"], "lost")
    ok(r.stdout.count("(missed)") == 2 and
       "found since: 2, forgotten: 1" in r.stdout and
       r.stdout.splitlines()[-1].split()[1:3] == ["ulp", "ENOTCONN"],
       "attempts --follow reads what it missed, and nothing twice", r.stdout)
    r = run(["-p", "attempts", "-f", "-c", "3"], "lost")
    events = [json.loads(line) for line in r.stdout.splitlines()]
    ok([e["name"] for e in events] == ["attempt-ntf", "attempt-ntf", "resync",
                                       "attempt-ntf"] and
       events[0]["missed"] is True and events[2]["forgotten"] == 1,
       "likewise in JSON, one object a line", r.stdout)


def observe(like, *args, **kwargs):
    """The exit status, what went to stdout, and the report."""
    r = run(["-j", "observe", *args], like, **kwargs)
    try:
        return r.returncode, r.stdout, json.loads(r.stderr)
    except ValueError:
        return r.returncode, r.stdout, r.stderr


def test_observe():
    code, out, j = observe("", "--", "sh", "-c", "cat; exit 9", input="in")
    ok(code == 9 and out == "in" and j["command"] == {
        "argv": ["sh", "-c", "cat; exit 9"], "exit-status": 9},
       "observe leaves the command alone", (code, out, j))
    nginx = j["processes"][0]
    ok(j["module"] and j["conclusion"] == "used" and
       [(p["pid"], p["comm"]) for p in j["processes"]] == [(812, "nginx")] and
       (nginx["installed"], nginx["closed"], nginx["errors"]) == (1, 1, 1) and
       nginx["tx"]["records"] == 1234567, "observe counts sockets", j)
    ok([(o["step"], o["errno"], o["attempts"]) for o in nginx["outcomes"]] ==
       [("ulp", 0, 1), ("tx", 0, 1), ("rx", 1, 1), ("ulp", 107, 1)],
       "observe counts attempts, those before not", nginx["outcomes"])
    r = run(["observe", "--", "true"], columns=80)
    ok(r.returncode == 0 and not r.stdout and
       "observed for 0." in r.stderr and "(exit status 0)" in r.stderr and
       "812/nginx" in r.stderr and "Conclusion: kernel TLS was used" in
       r.stderr and max(map(len, r.stderr.splitlines())) <= 80,
       "observe in words", r.stderr)
    code, out, j = observe("idle", "--", "true")
    ok(code == 0 and j["conclusion"] in ("unused", "not-eligible") and
       not j["processes"] and not j["outcomes"], "observe: nothing", j)
    code, out, j = observe("refusing", "--", "true")
    ok(j["conclusion"] == "refused" and "rx got EPERM" in j["text"] and
       [o["errno"] for o in j["processes"][0]["outcomes"]] == [1] and
       "2 attempts" in " ".join(j["missing"]), "observe: refused", j)
    code, out, j = observe("absent", "--", "false")
    ok(code == 1 and j["module"] is False and
       "modprobe ktls" in j["missing"][0] and not j["processes"],
       "observe without the module", j)
    code, out, j = observe("lost", "--", "true")
    ok(code == 0 and "events were lost" in " ".join(j["missing"]) and
       j["processes"][0]["closed"] >= 1 and
       sum(o["attempts"] for o in j["processes"][0]["outcomes"]) >= 3,
       "observe after a loss", j)
    code, out, j = observe("farewell", "--", "sh", "-c",
                           "sleep 0.5; echo end; exit 3")
    ok(code == 3 and out == "end\n" and
       "unloaded" in " ".join(j["missing"]),
       "observe goes on when the module goes", (code, out, j))
    code, out, j = observe("many,wide", "--", "true")
    ok(code == 0 and len(j["processes"]) == 1, "observe with many sockets", j)
    code, out, j = observe("refuse-netns", "--", "true")
    ok(code == 0 and j["module"], "observe without ways to other namespaces",
       j)
    r = run(["observe", "--", "true"], "noisy")
    ok("\033" not in r.stderr, "a command name cannot steer the terminal",
       r.stderr)
    with tempfile.TemporaryDirectory() as work:
        mark = os.path.join(work, "mark")
        for args, like, want in [
                (["-o", work, "--", "touch", mark], "", 1),
                (["-o", work + "/x/y", "--", "touch", mark], "", 1),
                (["--netns", "no-such", "--", "touch", mark], "", 1),
                (["--", "touch", mark], "denied", 1),
                (["--", "/no/such", mark], "", 127),
                (["--", work, mark], "", 126)]:
            r = run(["observe"] + args, like)
            ok(r.returncode == want and not r.stdout and
               r.stderr.count("\n") == 1 and not os.path.exists(mark),
               f"observe {args[0]} {like}: {want}", (r.returncode, r.stderr))
        report = os.path.join(work, "report")
        r = run(["-j", "observe", "-o", report, "--", "sh", "-c",
                 "echo out; echo err >&2; kill -9 $$"])
        with open(report) as f:
            j = json.load(f)
        ok(r.returncode == 137 and r.stdout == "out\n" and
           r.stderr == "err\n" and j["command"]["signal"] == 9,
           "observe -o", (r, j))
    start = time.time()
    r = run(["-j", "observe", "--time", "0.5"], "idle")
    j = json.loads(r.stdout)
    ok(r.returncode == 0 and not r.stderr and "command" not in j and
       0.5 <= j["seconds"] < 5 and time.time() - start >= 0.5,
       "observe --time: to stdout", r.stdout + r.stderr)
    for args, number, want in [(["--time", "60"], signal.SIGINT, 0),
                               (["--", "sleep", "60"], signal.SIGTERM, 143),
                               (["--", "sh", "-c", "trap 'exit 4' INT; "
                                 "while :; do sleep 0.1; done"],
                                signal.SIGINT, 4)]:
        p = subprocess.Popen([FAKE, "observe"] + args, text=True,
                             env=dict(os.environ, KTLS_FAKE_KERNEL="idle"),
                             stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        time.sleep(2)
        p.send_signal(number)
        text = p.communicate(timeout=30)[0]
        ok(p.returncode == want and "Conclusion:" in text,
           f"observe {args[0]}: signal {number}", (p.returncode, text))
    r = subprocess.run([FAKE, "-j", "observe", "--", "unshare", "-n", "sleep",
                        "0.5"], stderr=subprocess.PIPE, text=True,
                       env=dict(os.environ, KTLS_FAKE_KERNEL="idle"))
    if r.returncode == 0:
        j = json.loads(r.stderr)
        ok([(s["new"], s["command"]) for s in j["namespaces"]] ==
           [(True, True)] and j["conclusion"] == "elsewhere",
           "observe: a command in a namespace of its own", j)
    else:
        ok(True, "observe: a namespace of its own # SKIP not allowed here")


class State:
    """A fake policy that outlives the processes that change it."""

    def __enter__(self):
        self.dir = tempfile.TemporaryDirectory()
        os.environ["KTLS_FAKE_STATE"] = os.path.join(self.dir.name, "state")
        return self.dir.name

    def __exit__(self, *unused):
        del os.environ["KTLS_FAKE_STATE"]
        self.dir.cleanup()


def test_policy():
    with State() as tmp:
        name = os.path.join(tmp, "policy.conf")
        r = run(["policy", "show"])
        ok(r.returncode == 0 and "rules         none" in r.stdout and
           "default       allow" in r.stdout, "policy show: none", r.stdout)
        r = run(["policy", "add", "deny", "rx", "uid", "33", "version", "1.3"])
        ok(r.stdout == "generation 1: 1 rule, default allow\n",
           "policy add", r.stdout)
        run(["policy", "add", "1", "audit", "ulp", "comm", "my prog"])
        r = run(["policy", "add", "2", 'allow comm "my prog" # or so'])
        ok("3 rules" in r.stdout, "policy add of a line, in a place",
           r.stdout + r.stderr)
        run(["policy", "default", "deny"])
        r = run(["policy", "dry-run", "on"])
        ok("dry run: nothing is denied" in r.stdout, "policy dry-run",
           r.stdout)
        r = run(["policy", "show"])
        ok("generation    5\n" in r.stdout and "dry run       on" in r.stdout
           and "default       deny" in r.stdout and
           '   1        1  audit ulp comm "my prog"\n'
           '   2        2  allow comm "my prog"\n'
           '   3        3  deny rx version 1.3 uid ' in r.stdout,
           "policy show: text of the rules", r.stdout)
        saved = run(["policy", "save", "-"]).stdout
        r = run(["policy", "save", name])
        with open(name) as f:
            ok(r.returncode == 0 and f.read() == saved and
               os.listdir(tmp).count("policy.conf") == 1 and
               len(os.listdir(tmp)) == 2, "policy save: a file", r.stderr)
        before = json.loads(run(["-j", "policy", "show"]).stdout)
        r = run(["policy", "reset"])
        ok("no policy of this network namespace's own" in r.stdout and
           "none" in run(["policy", "show"]).stdout, "policy reset", r.stdout)
        r = run(["policy", "load", name])
        after = json.loads(run(["-j", "policy", "show"]).stdout)
        before["generation"] = after["generation"]
        ok(r.returncode == 0 and before == after,
           "policy load reads what save wrote", (before, after))
        r = run(["-j", "policy", "del", "2"])
        ok(json.loads(r.stdout) == {"generation": after["generation"] + 1} and
           "allow comm" not in run(["policy", "save", "-"]).stdout,
           "policy del", r.stdout)
        r = run(["policy", "default", "allow"], "stale-once")
        ok(r.returncode == 0 and "default allow" in r.stdout,
           "a change is made again if others were faster", r.stdout)
        r = run(["policy", "add", "deny"], "inherited")
        ok(r.returncode == 0 and "policy of its own now" in r.stderr,
           "a change of what is inherited is a copy", r.stderr)
        r = run(["policy", "show"], "inherited")
        ok("inherited     from the initial" in r.stdout, "show: inherited",
           r.stdout)
        run(["policy", "add", "1", "audit", "comm", "a  b"])
        r = run(["policy", "show"])
        ok('audit comm "a  b"\n' in r.stdout, "show keeps blanks", r.stdout)
        run(["policy", "del", "1"])
        r = run(["policy", "show"], "huge-policy")
        ok(r.returncode == 0 and "RULE" in r.stdout,
           "an answer larger than any buffer", r.stdout + r.stderr)
        for args in (["save", "-"], ["add", "deny"]):
            r = run(["policy"] + args, "later-rule")
            ok(r.returncode == 1 and "condition that this program" in r.stderr,
               f"policy {args[0]}: a rule that is not understood", r.stderr)

        rules = [f"deny tx sport {i} dport {i} port {i} version 1.3 cipher "
                 f"aes-gcm-128 mode hw uid {100000 + i} cgroup {2 ** 50 + i} "
                 f"comm fifteen-letters\n" for i in range(257)]
        with open(name, "w") as f:
            f.writelines(rules[:256])
        r = run(["policy", "load", name])
        ok("256 rules" in r.stdout and
           run(["policy", "save", "-"]).stdout.splitlines(True)[3:] ==
           [f"deny tx version 1.3 cipher aes-gcm-128 mode hw uid {100000 + i} "
            f"cgroup {2 ** 50 + i} port {i} sport {i} dport {i} "
            f"comm fifteen-letters\n" for i in range(256)],
           "a policy of 256 rules there and back", r.stdout + r.stderr)
        for width in (80, WIDTH):
            r = run(["policy", "show"], "wide", columns=width)
            ok(max(map(len, r.stdout.splitlines())) <= width,
               f"policy show in {width} columns", r.stdout)
        r = run(["policy", "add", "deny"])
        ok(r.returncode == 1 and "256 rules" in r.stderr, "but not of 257",
           r.stderr)
        with open(name, "w") as f:
            f.writelines(rules)
        r = run(["policy", "load", name])
        ok(r.returncode == 1 and ":257: this is rule 257" in r.stderr,
           "nor from a file", r.stderr)
        with open("/dev/full", "w") as full:
            r = run(["policy", "save", "-"], stdout=full)
        ok(r.returncode == 1 and "No space left" in r.stderr,
           "policy save: a full disk", r.stderr)


def test_policy_file():
    good = (b"# comment\n\n \t default  audit # so\r\ndry-run on\n"
            b'deny rx version 1.3 cipher aes-gcm-128 uid 0 cgroup 4711 '
            b'port 443 comm "a \\"b\\" \\x1b\\\\"\naudit tx mode hw\nallow')
    r = run(["-j", "policy", "load", "--check", "-"], program=REAL,
            input=good.decode())
    p = json.loads(r.stdout)
    ok(p["default"] == "audit" and p["dry-run"] is True and
       len(p["rule"]) == 3 and p["rule"][0]["comm"] == 'a "b" \x1b\\' and
       p["rule"][0]["cgroup-id"] == 4711, "a file with all there is", r.stdout)
    r = run(["policy", "load", "--check", "-"], program=REAL, input="")
    ok(r.returncode == 0 and "0 rules, nothing wrong" in r.stdout,
       "an empty file", r.stdout)
    bad = [
        ("refuse rx", "a line begins with allow, deny, audit, default or"),
        ("deny rx\x00tx", "NUL byte"),
        ("deny " + "x" * 70000, "too long"),
        ("deny " + "rx " * 100, "more than 64 words"),
        ('deny comm "x', "closing quote"),
        ('deny comm "x"y', "blank is missing after a quote"),
        ('deny comm "\\n"', "a backslash is followed by"),
        ('deny comm "\\x0"', "a backslash is followed by"),
        ('deny comm "\\x00"', "a backslash is followed by"),
        ("deny rx tx", "one of ulp, tx and rx"),
        ("deny ulp cipher aes-gcm-128", "not known yet"),
        ("deny port 65536", "0 to 65535"),
        ("deny port", "port wants a value"),
        ("deny version 1.1", "1.2 or 1.3"),
        ("deny cipher aes", "aes-gcm-128, "),
        ("deny mode none", "sw or hw"),
        ("deny uid no-such-user", "there is no user"),
        ("deny uid 4294967295", "there is no user"),
        ("deny cgroup /no/such", "cgroup"),
        ("deny comm 0123456789abcdef", "the 15 bytes"),
        ("deny colour blue", "nothing that a rule knows"),
        ("default", "default takes one of"),
        ("default maybe", "default is given twice"),
        ("dry-run", "dry-run takes on or off"),
        ("dry-run on", "dry-run is given twice"),
        ("\x1b[2Jdeny", "?[2Jdeny"),
    ]
    text = "".join(line + "\n" for line, _ in bad)
    r = run(["policy", "load", "--check", "-"], program=REAL, input=text)
    lines = r.stderr.splitlines()
    ok(r.returncode == 1 and len(lines) == len(bad) + 1 and
       f"stdin: {len(bad)} lines were not understood" in lines[-1],
       "all that is wrong with a file is told", r.stderr)
    for i, ((line, says), got) in enumerate(zip(bad, lines)):
        ok(got.startswith(f"ktlsctl: stdin:{i + 1}: ") and says in got and
           "\033" not in got, f"line {i + 1}: {says}", got)
    r = run(["-j", "policy", "load", "-"], input=text)
    o = json.loads(r.stdout)
    ok(r.returncode == 1 and len(o["lines"]) == len(bad) and
       o["lines"][1]["line"] == 2 and "not understood" in o["error"],
       "likewise in JSON", r.stdout)

    name = os.path.join(os.path.dirname(sys.argv[0]),
                        "../ktlsctl/policy.conf")
    r = run(["policy", "load", "--check", name], program=REAL)
    ok(r.returncode == 0 and "nothing wrong" in r.stdout,
       "the example is a policy", r.stdout + r.stderr)
    with open(name) as f:
        lines = [x[1:] for x in f if re.match("#(allow|deny|audit|def|dry)", x)]
    r = run(["policy", "load", "--check", "-"], program=REAL,
            input="".join(x for x in lines if "cgroup" not in x))
    ok(r.returncode == 0 and len(lines) > 5, "and its examples are rules",
       r.stdout + r.stderr)

    # Lines made of what lines are made of, and of what they are not.
    words = ["deny", "allow", "audit", "default", "dry-run", "on", "rx", "ulp",
             "version", "1.3", "cipher", "aes-gcm-128", "uid", "0", "port",
             "443", "comm", '"', '"a b"', '"\\', "\\x", "#", "\0", "\r",
             "\x7f", "\xff", "mode", "sw", "cgroup", "1", " ", "\t"]
    random.seed(20240229)
    codes = set()
    for _ in range(20):
        text = "\n".join(" ".join(random.choices(words, k=random.randrange(9)))
                         for _ in range(300))
        r = run(["policy", "load", "--check", "-"], program=REAL, input=text)
        codes.add(r.returncode)
    ok(codes <= {0, 1}, "6000 random lines do no harm", codes)


def test_check():
    with State():
        r = run(["policy", "check"])
        ok(r.returncode == 0 and "No open socket violates" in r.stdout,
           "policy check: none", r.stdout)
        run(["policy", "add", "deny", "tx", "dport", "50003"])
        run(["policy", "add", "deny", "rx", "version", "1.3"])
        r = run(["policy", "check"])
        ok(r.returncode == 3 and "3 open sockets violate" in r.stdout and
           "deny tx dport 50003" in r.stdout and
           "check --shutdown" in r.stdout, "policy check: some (exit 3)",
           r.stdout)
        for like in ("", "wide", "noisy", "many"):
            for width in (WIDTH, 80):
                r = run(["policy", "check"], like, columns=width)
                widest = max(len(line) for line in r.stdout.splitlines()
                             if width == WIDTH or "[2001:" not in line)
                ok(r.returncode == 3 and widest <= width,
                   f"policy check in {width} columns, kernel "
                   f"{like or 'as ever'}: {widest}", r.stdout)
        r = run(["-j", "policy", "check"])
        ok(r.returncode == 3 and [s["rule"] for s in
                                  json.loads(r.stdout)["sockets"]] == [2, 1, 2],
           "policy check in JSON", r.stdout)
        r = run(["policy", "check", "--shutdown"])
        ok(r.returncode == 0 and
           "3 ended, 0 closed meanwhile, 0 not ended" in r.stdout,
           "policy check --shutdown", r.stdout + r.stderr)
        r = run(["-j", "policy", "check", "--shutdown"], "diag-gone")
        ok(r.returncode == 0 and json.loads(r.stdout)["shutdown"] ==
           {"ended": 0, "gone": 3, "failed": 0}, "sockets that are gone",
           r.stdout)
        for like, says in [("diag-denied", "CAP_NET_ADMIN"),
                           ("diag-missing", "modprobe tcp_diag"),
                           ("destroy-denied", "CAP_NET_ADMIN"),
                           ("destroy-unknown", "CONFIG_INET_DIAG_DESTROY")]:
            r = run(["policy", "check", "--shutdown"], like)
            ok(r.returncode == 1 and says in r.stderr, f"shutdown: {like}",
               r.stdout + r.stderr)
        r = run(["policy", "check", "--shutdown"], "many")
        ok(r.returncode == 0 and "999 ended" in r.stdout,
           "shutdown of many", r.stdout[-300:] + r.stderr)
        run(["policy", "dry-run", "on"])
        r = run(["policy", "check"])
        ok(r.returncode == 3 and "would deny them, but does not" in r.stdout,
           "policy check of a dry run", r.stdout)
        r = run(["policy", "check", "--shutdown"])
        ok(r.returncode == 1 and "dry-run off" in r.stderr,
           "a dry run ends nothing", r.stderr)
        run(["policy", "reset"])
        run(["policy", "default", "deny"])
        r = run(["policy", "check"])
        ok(r.returncode == 3 and " default " in r.stdout and
           "\ndefault        deny\n" in r.stdout, "the default is violated",
           r.stdout)


def test_question():
    with State():
        run(["policy", "add", "deny", "rx", "uid", "33", "mode", "hw"])
        run(["policy", "add", "audit", "port", "443"])
        run(["policy", "add", "deny", "ulp", "comm", "x"])
        key = ["version", "1.3", "cipher", "aes-gcm-128"]
        for args, says in [
                (["rx"] + key + ["uid", "33", "mode", "hw"],
                 "deny: rule 1: deny rx mode hw uid "),
                (["rekey-rx"] + key + ["uid", "33", "mode", "hw"],
                 "deny: rule 1: deny rx"),
                (["rx"] + key + ["uid", "33"], "allow: no rule matches\n"),
                (["tx"] + key + ["dport", "443"], "audit: rule 2: audit port 443"),
                (["ulp", "comm", "x", "sport", "443", "cgroup", "1"],
                 "deny: rule 3: deny ulp comm x"),
                (["ulp"], "allow: no rule matches")]:
            r = run(["policy", "test"] + args)
            ok(r.returncode == 0 and r.stdout.startswith(says),
               f"policy test {' '.join(args)}", r.stdout + r.stderr)
        r = run(["policy", "test", "ulp", "comm", "x"], "unprivileged")
        ok(r.returncode == 1 and "CAP_NET_ADMIN" in r.stderr,
           "policy test by those who may not read the rules",
           r.stdout + r.stderr)
        r = run(["policy", "test", "ulp", "comm", "x"], "inherited")
        ok("rule 3 of the initial network namespace: deny ulp" in r.stdout,
           "policy test: inherited", r.stdout)
        run(["policy", "dry-run", "on"])
        r = run(["-j", "policy", "test", "ulp", "comm", "x"])
        ok(json.loads(r.stdout) == {"action": "deny", "rule": 3,
                                    "flags": ["dry-run"]},
           "policy test in JSON", r.stdout)
        r = run(["policy", "test", "ulp", "comm", "x"])
        ok(r.stdout.startswith("deny, but for the dry run: rule 3"),
           "policy test of a dry run", r.stdout)


def test_why():
    """Its connections are of no process, so that only the kernel tells."""
    r = run(["-j", "why", ":443"])
    j = json.loads(r.stdout)
    by = {c["cookie"]: c for c in j["connections"]}
    ok(r.returncode == 0 and j["target"] == ":443" and j["module"] and
       sorted(by) == list(range(1001, 1007)), "why: all at a port", r.stdout)
    c = by[1001]
    ok({"family", "local-addr", "remote-addr", "local-port", "remote-port",
        "inode", "uid", "netns", "processes", "tx", "rx", "evidence"} < set(c)
       and c["tx"]["verdict"] == "software" and "reason" not in c["tx"],
       "why: names, and a verdict", c)
    ok(by[1003]["tx"]["verdict"] == "device", "why: a device", by[1003])
    c = by[1006]
    ok(c["rx"]["verdict"] == "refused" and c["rx"]["reason"] == "refused" and
       "EINVAL" in c["rx"]["text"] and
       any("attempt 6" in e["from"] for e in c["evidence"]),
       "why: refused", c)
    ok(c["tx"]["verdict"] == "unknown" and c["tx"]["reason"] == "unknown" and
       len(c["tx"]["remaining"]) >= 2 and
       all(x["reason"] and x["text"] for x in c["tx"]["remaining"]),
       "why: unknown, with what remains", c)
    for like in ["many", "wide", "strange", "noisy", "busy", "container",
                 "dry-attempts", "no-attempts", "incomplete-hooks", "inherited",
                 "unprivileged"]:
        r = run(["why", ":443"], like)
        ok(r.returncode == 0 and r.stdout and
           max(map(len, r.stdout.splitlines())) <= WIDTH and
           not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\xff]", r.stdout),
           f"why: {like}", r.stdout[-1000:] + r.stderr)
    r = run(["why", ":443"], "many")
    ok(r.stdout.count("more like it") >= 1 and
       len(r.stdout.splitlines()) < 200, "why: many are folded",
       r.stdout[:1000])
    ok(len(json.loads(run(["-j", "why", ":443"], "many").stdout)
           ["connections"]) == 1000, "why: but not in JSON")
    r = run(["why", "cookie", "1002"])
    ok(r.returncode == 0 and "software" in r.stdout, "why: a cookie", r.stdout)
    r = run(["-j", "why", ":50002"])
    ok([c["cookie"] for c in json.loads(r.stdout)["connections"]] == [1002],
       "why: the other end's port", r.stdout)
    r = run(["-j", "why", ":443"], "absent")
    j = json.loads(r.stdout)
    ok(r.returncode == 0 and not j["module"] and
       any("modprobe ktls" in m for m in j["missing"]) and
       all(c[d]["verdict"] == "unknown" for c in j["connections"]
           for d in ("tx", "rx")), "why: no module", r.stdout)
    for args, like, says in [
            ([":443"], "diag-gone", "no TCP connection now"),
            ([":443"], "diag-missing", "tcp_diag"),
            ([":443"], "diag-denied", "CAP_NET_ADMIN"),
            (["4194305"], "", "nor an open TCP connection"),
            (["no-such-command"], "", "no process is called"),
            (["pid", "4194305"], "", "no process 4194305"),
            ([str(os.getpid())], "", "has no TCP connection now")]:
        r = run(["why"] + args, like)
        ok(r.returncode == 1 and says in r.stderr and
           len(r.stderr.splitlines()) == 1, f"why {args} {like}",
           r.stdout + r.stderr)


def test_completion():
    for words, offers in [
            (["st"], ["stats"]), (["po"], ["policy"]), ([""], None),
            (["policy", "d"], ["del", "default", "dry-run"]),
            (["policy", "default", ""], ["allow", "deny", "audit"]),
            (["policy", "dry-run", "o"], ["on", "off"]),
            (["policy", "add", "d"], ["deny"]),
            (["policy", "add", "2", "d"], ["deny"]),
            (["policy", "add", "deny", "u"], ["uid", "ulp"]),
            (["policy", "add", "deny", "rx", "mode", ""], ["sw", "hw"]),
            (["policy", "add", "deny", "uid", "roo"], ["root"]),
            (["policy", "test", "r"], ["rx", "rekey-tx", "rekey-rx"]),
            (["policy", "test", "rx", "cipher", "aes-g"],
             ["aes-gcm-128", "aes-gcm-256"]),
            (["policy", "load", ""], []), (["policy", "load", "x", ""], []),
            (["policy", "--s"], ["--shutdown"]),
            (["attempts", "step", "u"], ["ulp"]),
            (["attempts", "--fo"], ["--follow"]),
            (["-j", "attempts", "errno", "EPE"], ["EPERM"]),
            (["--netns", "x", "stats", "version", ""], ["1.2", "1.3"]),
            (["--netns", ""], []), (["stats", "-c", ""], []),
            (["stats", "port", "1", "r"], ["rx"]),
            (["observe", "--t"], ["--time"]), (["observe", "--", "x"], []),
            (["daemon", ""], ["status", "connections", "metrics", "reload",
                              "drain"]),
            (["daemon", "--s"], ["--socket"]), (["daemon", "status", ""], []),
            (["why", "co"], ["cookie"]), (["why", "pid", ""], []),
            (["help", "mod"], ["module"]), (["nonsense", ""], []),
            ([], [])]:
        r = run(["--complete"] + words, program=REAL)
        got = r.stdout.split()
        ok(r.returncode == 0 and not r.stderr and
           (got == offers if offers is not None else len(got) == 13),
           f"completion of {words}", r.stdout + r.stderr)
    script = os.path.join(os.path.dirname(sys.argv[0]),
                          "../ktlsctl/completion/ktlsctl")
    r = subprocess.run(
        ["bash", "-c", """
. "$1"
ktlsctl() { "$KTLSCTL" "$@"; }
COMP_WORDS=(ktlsctl policy dry-run o)
COMP_CWORD=3
_ktlsctl
echo "${COMPREPLY[@]}"
COMP_WORDS=(ktlsctl policy load /et)
_ktlsctl
echo "${COMPREPLY[@]}"
complete -p ktlsctl""", "bash", script], stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True,
        env=dict(os.environ, KTLSCTL=REAL))
    ok(r.stdout.startswith("on off\n\ncomplete ") and "_ktlsctl" in r.stdout,
       "the script of bash asks the program", r.stdout)


class Spec:
    """The specification: names of attributes, and of the values of enums."""

    def __init__(self, path):
        with open(path) as f:
            spec = yaml.safe_load(f)
        self.sets = {s["name"]: {a["name"]: a for a in s["attributes"]}
                     for s in spec["attribute-sets"]}
        self.enums = {}
        for d in spec["definitions"]:
            self.enums[d["name"]] = [
                e if isinstance(e, str) else e["name"]
                for e in d.get("entries", [])]
        self.operations = [o["name"] for o in spec["operations"]["list"]]

    def wrong(self, name, obj):
        """What of an object the attribute set does not have."""
        wrong = []
        for key, value in obj.items():
            attr = self.sets[name].get(key)
            if attr is None:
                wrong.append(key)
            elif attr.get("multi-attr"):
                wrong += sum((self.wrong(attr["nested-attributes"], v)
                              for v in value), [])
            elif "nested-attributes" in attr:
                wrong += self.wrong(attr["nested-attributes"], value)
            elif attr["type"] == "flag":
                if value is not True:
                    wrong.append(key)
            elif "enum" in attr:
                values = value if attr.get("enum-as-flags") else [value]
                wrong += [v for v in values
                          if v not in self.enums[attr["enum"]]]
            elif attr["type"] == "uint" or attr["type"].startswith("u"):
                if not isinstance(value, int):
                    wrong.append(key)
            elif not isinstance(value, str):
                wrong.append(key)
        return wrong

    def missing(self, name, obj):
        have = set(obj)
        return sorted(set(self.sets[name]) - have)


def test_names():
    spec = Spec(SPEC)
    stats = json.loads(run(["-j", "stats"]).stdout)
    closed = json.loads(run(["-j", "stats", "--closed"]).stdout)
    module = json.loads(run(["-j", "module"], "incomplete-hooks").stdout)
    sockets = stats["sockets"] + closed["sockets"]

    ok(set(stats) == {"totals", "sockets"}, "JSON of stats", set(stats))
    wrong = sum((spec.wrong("socket", s) for s in sockets), [])
    ok(not wrong, "sockets have names of the specification", wrong)
    wrong = sum((spec.wrong("totals", t) for t in stats["totals"]), [])
    ok(not wrong, "totals have names of the specification", wrong)
    wrong = spec.wrong("module", module)
    ok(not wrong, "the module has names of the specification", wrong)

    # And nothing that the kernel sent is left out.
    everything = {}
    stream = {}
    for s in sockets:
        everything.update(s)
        stream.update(s["tx"])
        stream.update(s["rx"])
    ok(spec.missing("socket", everything) == ["direction", "filter", "pad",
                                             "rule"],
       "sockets have all of them", spec.missing("socket", everything))
    ok(not spec.missing("stream", stream), "streams have all of them",
       spec.missing("stream", stream))
    ok(not spec.missing("totals", stats["totals"][0]),
       "totals have all of them", spec.missing("totals", stats["totals"][0]))
    ok(spec.missing("module", module) == ["pad"],
       "the module has all of them", spec.missing("module", module))
    hooks = json.loads(run(["-j", "module"]).stdout)["armed"]
    ok(hooks == spec.enums["hook"], "hooks have names", hooks)

    for line in run(["-j", "monitor", "-c", "4"]).stdout.splitlines():
        event = json.loads(line)
        wrong = spec.wrong("socket", event["msg"])
        ok(event["name"] in spec.operations and not wrong and
           set(event) == {"name", "time", "msg"},
           f"JSON of {event['name']}", event)

    attempts = json.loads(run(["-j", "attempts"]).stdout)
    ok(set(attempts) == {"outcomes", "attempts"}, "JSON of attempts",
       set(attempts))
    wrong = sum((spec.wrong("attempt", a) for a in attempts["attempts"]), [])
    ok(not wrong, "attempts have names of the specification", wrong)
    wrong = sum((spec.wrong("outcome", o) for o in attempts["outcomes"]), [])
    ok(not wrong, "outcomes have names of the specification", wrong)
    everything = {}
    for a in attempts["attempts"]:
        everything.update(a)
    ok(spec.missing("attempt", everything) == ["filter", "pad"],
       "attempts have all of them", spec.missing("attempt", everything))
    flags = json.loads(run(["-j", "attempts"], "dry-attempts").stdout)
    ok(flags["attempts"][2]["flags"] == spec.enums["attempt-flags"],
       "flags of attempts have names", flags["attempts"][2])
    strange = json.loads(run(["-j", "attempts"], "strange").stdout)
    ok(strange["attempts"][0]["step"] == 77 and
       strange["attempts"][0]["action"] == 77 and
       strange["attempts"][0]["flags"] == [1 << 30],
       "attempts of a later module are numbers", strange["attempts"][0])
    for line in run(["-j", "attempts", "-f", "-c", "4"]).stdout.splitlines():
        event = json.loads(line)
        ok(event["name"] in spec.operations and
           not spec.wrong("attempt", event["msg"]) and
           set(event) == {"name", "time", "msg"},
           f"JSON of {event['name']}", event)

    with State():
        run(["policy", "load", "-"], input=(
            "dry-run on\ndefault deny\naudit ulp\nallow rx version 1.2 "
            "cipher sm4-gcm mode hw uid 1 cgroup 7 port 1 sport 2 dport 3 "
            "comm x\ndeny\n"))
        policy = json.loads(run(["-j", "policy", "show"], "inherited").stdout)
        everything = {}
        for rule in policy["rule"]:
            everything.update(rule)
        ok(not spec.wrong("policy", policy) and
           not spec.missing("policy", policy),
           "the policy has names of the specification, and all", policy)
        ok(spec.missing("rule", everything) == ["pad"], "rules have all",
           spec.missing("rule", everything))
        ok([r["action"] for r in policy["rule"]] ==
           ["audit", "allow", "deny"], "actions have names", policy)
        verdict = json.loads(run(["-j", "policy", "test", "ulp"]).stdout)
        ok(not spec.wrong("question", verdict), "and so has a verdict",
           verdict)

    strange = json.loads(run(["-j", "show", "1001"], "strange").stdout)
    ok(strange["tx"]["mode"] == 77 and strange["tx"]["cipher"] == 999 and
       strange["flags"] == [1 << 30],
       "values of a later module are numbers", strange)

    # The help and the messages list what the specification has.
    text = run(["help", "stats"], program=REAL).stdout
    ok(all(c in text for c in spec.enums["cipher"]) and
       all(m in text for m in spec.enums["mode"]),
       "help names all ciphers and modes", text)
    for command in ("attempts", "policy"):
        text = run(["help", command], program=REAL).stdout
        ok(all(x in text for x in spec.enums["cipher"] + spec.enums["step"] +
               spec.enums["action"]), f"help of {command} likewise", text)


def test_manual():
    """Every option, command and filter is in the manual."""
    def page(name):
        with open(os.path.join(MAN, name)) as f:
            return f.read().replace("\\-", "-")

    top = run([], program=REAL).stdout
    commands = re.findall(r"^  (\w+) ", top.split("Options")[0], re.M)
    everywhere = re.findall(r"--([a-z]+)", top)
    for word in everywhere:
        ok(f"-{word}" in page("ktlsctl.8"), f"manual has --{word}")
    for command in commands:
        ok(f".It Cm {command}" in page("ktlsctl.8"), f"manual has {command}")
        text = run(["help", command], program=REAL).stdout
        own = set(re.findall(r"--([a-z]+)", text)) - set(everywhere)
        for word in sorted(own):
            ok(f"-{word}" in page(f"ktlsctl-{command}.8"),
               f"manual of {command} has --{word}")
    text = run(["help", "stats"], program=REAL).stdout
    for word in re.findall(r"^  ([a-z]+) ", text.split("FILTER:")[1], re.M):
        ok(f".It Cm {word}" in page("ktlsctl-stats.8"),
           f"manual has the filter {word}")
    text = run(["help", "attempts"], program=REAL).stdout
    for word in re.findall(r"^  ([a-z]+) ", text.split("FILTER:")[1], re.M):
        ok(f".It Cm {word}" in page("ktlsctl-attempts.8"),
           f"manual of attempts has the filter {word}")
    for command in ("policy", "daemon"):
        text = run(["help", command], program=REAL).stdout
        for word in re.findall(r"^  ([a-z-]+) ", text.split("Options")[0],
                               re.M):
            ok(f".It Cm {word}" in page(f"ktlsctl-{command}.8"),
               f"manual of {command} has {word}")


def main():
    # Whoever was started in the background ignores it, and so would those we start.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    print("TAP version 13")
    for test in (test_usage, test_help, test_kernel_errors, test_text,
                 test_width, test_watch, test_monitor, test_output,
                 test_attempts, test_observe, test_policy, test_policy_file, test_check,
                 test_question, test_why, test_completion, test_names,
                 test_manual):
        test()
    return tap.end()


if __name__ == "__main__":
    sys.exit(main())
