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
import re
import signal
import struct
import subprocess
import sys
import termios
import time

import yaml

REAL, FAKE, SPEC, MAN = sys.argv[1:5]
WIDTH = 100
count = failed = 0


def ok(passed, name, got=None):
    global count, failed
    count += 1
    print(f"{'' if passed else 'not '}ok {count} {name}")
    if not passed:
        failed += 1
        for line in str(got)[:2000].splitlines():
            print("#", line)
    sys.stdout.flush()


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
    ok(words == ["stats", "show", "monitor", "module", "probe", "doctor",
                  "version", "help"],
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
                     ["show", "1005"], ["module"]]:
            for width in (WIDTH, 80) if args[0] == "stats" else (WIDTH,):
                r = run(args, like, columns=width)
                # Addresses are never cut; two of IPv6 want 100 columns.
                widest = max(len(line) for line in r.stdout.splitlines()
                             if width == WIDTH or "[2001:" not in line)
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
            elif "nested-attributes" in attr:
                wrong += self.wrong(attr["nested-attributes"], value)
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
    ok(spec.missing("socket", everything) == ["direction", "filter", "pad"],
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

    strange = json.loads(run(["-j", "show", "1001"], "strange").stdout)
    ok(strange["tx"]["mode"] == 77 and strange["tx"]["cipher"] == 999 and
       strange["flags"] == [1 << 30],
       "values of a later module are numbers", strange)

    # The help and the messages list what the specification has.
    text = run(["help", "stats"], program=REAL).stdout
    ok(all(c in text for c in spec.enums["cipher"]) and
       all(m in text for m in spec.enums["mode"]),
       "help names all ciphers and modes", text)


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


def main():
    print("TAP version 13")
    for test in (test_usage, test_help, test_kernel_errors, test_text,
                 test_width, test_watch, test_monitor, test_output,
                 test_names, test_manual):
        test()
    print(f"1..{count}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
