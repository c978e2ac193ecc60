# SPDX-License-Identifier: GPL-2.0
"""The set-ups: what is started, and what is true of its connections.

A reason is what was set up, and nothing that ktlsctl says. Where the words of
ktlsctl leave a choice, all that are true are listed.
"""

import dataclasses
import os
import shutil
import signal
import ssl
import subprocess
import typing

import programs as p
import states
from bench import MPTCP, Peer, wait_for

SOFTWARE = ("software", set())
V11 = ssl.TLSVersion.TLSv1_1
V12 = ssl.TLSVersion.TLSv1_2
V13 = ssl.TLSVersion.TLSv1_3


def never(*reasons):
    """No call was made."""
    return "never-asked", set(reasons)


def refused(*reasons):
    """One was, and failed."""
    return "refused", set(reasons)


PENDING = never("handshake-pending")
PLAIN = never("not-tls", "no-tls-library")


@dataclasses.dataclass
class Row:
    """A set-up: one connection of a program."""
    name: str
    tx: tuple
    rx: tuple
    because: str            # why the reason is true
    label: str = "tls"      # of the program's port
    connect: dict = dataclasses.field(default_factory=dict)
    cipher: str = None      # that is negotiated
    target: str = "pid"     # how ktlsctl is asked
    ask_as: tuple = ()
    before: typing.Callable = None  # it connects, and after
    after: typing.Callable = None
    front: bool = False     # of a proxy, not what is behind it
    verdict_unknown: bool = False   # where nobody can know it


@dataclasses.dataclass
class Phase:
    """Set-ups that share a state of the host."""
    name: str
    state: typing.Callable
    groups: list
    meanwhile: typing.Callable = None   # between connecting and asking


def openssl():
    """Its version, as (3, 5)."""
    text = subprocess.run(["openssl", "version"], check=True,
                          capture_output=True, text=True).stdout
    return tuple(int(n) for n in text.split()[1].split(".")[:2])


def release():
    """The kernel's, as (6, 12)."""
    return tuple(int(n) for n in os.uname().release.split(".")[:2])


def update_key(program, end):
    """Keys are changed in both directions, and data moved."""
    program.say(b"K\n")
    for _ in range(2):
        program.exchange(end)


def converse(program, end):
    """More is said than a handshake takes."""
    for _ in range(40):
        program.exchange(end)


def rewrite(program, _end):
    """The configuration is edited, and not read again by anybody."""
    path = program.argv[-1]
    with open(path, encoding="ascii") as file:
        text = file.read()
    with open(path, "w", encoding="ascii") as file:
        file.write(text.replace("Options -KTLS", "Options KTLS"))


# What a client begins with. Over HTTP/1.1 this server closes each connection.
HTTP2 = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
def reload(program):
    """The configuration is edited, and read again by nginx."""
    path = program.argv[-1]
    with open(path, encoding="ascii") as file:
        text = file.read()
    with open(path, "w", encoding="ascii") as file:
        file.write(text.replace("Options KTLS", "Options -KTLS"))
    master, worker = program.pids()
    os.kill(master, signal.SIGHUP)
    wait_for("new worker", lambda: len(program.pids()) == 2 and
             worker not in program.pids())


ON = "ssl_conf_command Options KTLS; "
SUITES_12 = (
    ("aes128-gcm", "ECDHE-ECDSA-AES128-GCM-SHA256"),
    ("aes256-gcm", "ECDHE-ECDSA-AES256-GCM-SHA384"),
    ("chacha20", "ECDHE-ECDSA-CHACHA20-POLY1305"),
    ("aes128-ccm", "ECDHE-ECDSA-AES128-CCM"),
)
# libssl offers none of them to any kernel.
OTHERS_12 = (
    ("aes256-ccm", "ECDHE-ECDSA-AES256-CCM"),
    ("aes128-cbc", "ECDHE-ECDSA-AES128-SHA256"),
    ("camellia", "ECDHE-ECDSA-CAMELLIA128-SHA256"),
)
SUITES_13 = (
    ("aes128-gcm", "TLS_AES_128_GCM_SHA256"),
    ("aes256-gcm", "TLS_AES_256_GCM_SHA384"),
    ("chacha20", "TLS_CHACHA20_POLY1305_SHA256"),
    ("aes128-ccm", "TLS_AES_128_CCM_SHA256"),
)


def in_12(cipher):
    """nginx's directives for it."""
    return f"ssl_protocols TLSv1.2; ssl_ciphers {cipher}:@SECLEVEL=0; "


def in_13(cipher):
    """nginx's directives for it."""
    return "ssl_protocols TLSv1.3; " \
           f"ssl_conf_command Ciphersuites {cipher}; "


def nginx_on(rx13):
    """nginx with kernel TLS, and all that may come between."""
    servers, rows = {}, []
    for name, cipher in SUITES_12:
        servers[f"12-{name}"] = ON + in_12(cipher)
        rows.append(Row(f"nginx.on.tls12.{name}", SOFTWARE, SOFTWARE,
                        "ssl_conf_command Options KTLS", f"12-{name}",
                        cipher=cipher))
    for name, cipher in OTHERS_12:
        servers[f"12-{name}"] = ON + in_12(cipher)
        rows.append(Row(f"nginx.on.tls12.{name}", never("not-eligible"),
                        never("not-eligible"),
                        "libssl has no kernel TLS for the cipher",
                        f"12-{name}", cipher=cipher))
    servers["11"] = ON + "ssl_protocols TLSv1.1; ssl_ciphers ALL:@SECLEVEL=0;"
    rows.append(Row("nginx.on.tls11", never("not-eligible"),
                    never("not-eligible"), "libssl has none for TLS 1.1", "11",
                    connect={"version": V11}))
    for name, cipher in SUITES_13:
        servers[f"13-{name}"] = ON + in_13(cipher)
        # libssl 3.0 has no CCM of TLS 1.3 for the kernel.
        ccm = name == "aes128-ccm" and rx13 != SOFTWARE
        rows.append(Row(f"nginx.on.tls13.{name}",
                        never("not-eligible") if ccm else SOFTWARE,
                        never("not-eligible", "tls13-receive-openssl-3.0")
                        if ccm else rx13,
                        "ssl_conf_command Options KTLS", f"13-{name}",
                        cipher=cipher, target="port"
                        if name == "aes128-gcm" else "pid"))
    servers["padding"] = ON + "ssl_protocols TLSv1.3; " \
        "ssl_conf_command RecordPadding 512;"
    # libssl 3.0 asks all the same.
    rows.append(Row("nginx.on.padding", never("record-padding")
                    if rx13 == SOFTWARE else SOFTWARE, rx13,
                    "RecordPadding 512", "padding"))
    for denied in "tx", "rx":
        servers[denied] = ON + "ssl_protocols TLSv1.2;"
    rows += [
        Row("nginx.on.silent", PENDING, PENDING,
            "the client has said nothing yet", "12-aes128-gcm",
            connect={"version": "silent"}),
        Row("nginx.on.half", PENDING, PENDING, "the client does not go on",
            "12-aes128-gcm", connect={"version": "half"}),
        Row("nginx.on.policy-tx", refused("policy"), SOFTWARE,
            "a rule denies tx to this port", "tx"),
        Row("nginx.on.policy-rx", SOFTWARE, refused("policy"),
            "a rule denies rx to this port", "rx", target="cookie"),
    ]

    return ("nginx",), lambda b, n: p.nginx(b, n, servers), rows


def nginx_off():
    """nginx that is not told to ask, or not everywhere."""
    servers = {
        "12": "ssl_protocols TLSv1.2;",
        "13": "ssl_protocols TLSv1.3;",
        "hosts": ["ssl_protocols TLSv1.2; ",
                  ON + "ssl_protocols TLSv1.2;"],
    }
    no = never("option-not-set")
    return ("nginx",), lambda b, n: p.nginx(b, n, servers), [
        Row("nginx.off.tls12", no, no, "no directive", "12",
            target="command"),
        Row("nginx.off.tls13", no, no, "no directive", "13", target="address"),
        Row("nginx.off.host-without", no, no,
            "this virtual host has no directive, another one has", "hosts",
            connect={"name": "host0"}),
        Row("nginx.off.host-with", SOFTWARE, SOFTWARE,
            "this virtual host has the directive", "hosts",
            connect={"name": "host1"}),
    ]


def nginx_others(rx13):
    """nginx that runs in other ways."""
    one = {"tls": "ssl_protocols TLSv1.2;"}
    no = never("option-not-set")
    minus = {"tls": "ssl_protocols TLSv1.2; ssl_conf_command Options -KTLS;"}
    return [
        (("nginx",), lambda b, n: p.nginx(b, n, one, env=p.cnf(b)), [
            Row("nginx.cnf", SOFTWARE, SOFTWARE, "openssl.cnf has it")]),
        (("nginx",), lambda b, n: p.nginx(b, n, minus, env=p.cnf(b)), [
            Row("nginx.cnf-minus", no, no,
                "openssl.cnf has it, and -KTLS takes it away")]),
        (("nginx",), lambda b, n: p.nginx(b, n, minus), [
            Row("nginx.edited", no, no,
                "started with -KTLS, and the file was changed since",
                after=rewrite)]),
        (("nginx",), lambda b, n: p.nginx(
            b, n, {"tls": ON + "ssl_protocols TLSv1.2;"}), [
                Row("nginx.reloaded", no, no,
                    "it was told -KTLS, and to read that", before=reload,
                    target="port")]),
        (("nginx",), lambda b, n: p.nginx(
            b, n, {"tls": ON + "ssl_protocols TLSv1.3;"},
            netns=states.NETNS), [
                Row("nginx.netns", SOFTWARE, rx13,
                    "in another network namespace")]),
        (("nginx",), lambda b, n: p.nginx_plain(b, n, ON), [
            Row("nginx.plain", PLAIN, PLAIN, "a port without TLS",
                connect={"version": "plain"})]),
        (("nginx",), lambda b, n: p.nginx_proxy(b, n, ON, tls=False), [
            Row("nginx.upstream-plain", PLAIN, PLAIN,
                "what it proxies has no TLS", connect={"version": "plain"})]),
        (("nginx",), lambda b, n: p.nginx_proxy(b, n, ON), [
            Row("nginx.upstream-off", no, no,
                "only what clients see is told to ask",
                connect={"version": "plain"})]),
        (("nginx",), lambda b, n: p.nginx_proxy(
            b, n, "proxy_ssl_protocols TLSv1.3; "
            "proxy_ssl_conf_command Options KTLS;"), [
                Row("nginx.upstream-on", SOFTWARE, rx13,
                    "proxy_ssl_conf_command", connect={"version": "plain"},
                    target="port")]),
        (("nginx", "mptcpize"), lambda b, n: p.nginx(
            b, n, {"tls": ON + "ssl_protocols TLSv1.2;"},
            ["mptcpize", "run"]), [
                Row("nginx.mptcp", refused("mptcp"), refused("mptcp"),
                    "the socket is of MPTCP",
                    connect={"protocol": MPTCP})]),
    ]


def servers(rx13, new):
    """Other servers."""
    own = never("program-own-io")
    no = never("option-not-set")
    return [
        # These take longest to start.
        (("node",), p.node, [
            Row("node.server", own, own, "its TLS runs over memory buffers")]),
        (("pebble-challtestsrv",), p.challtestsrv, [
            Row("go.server", never("no-tls-library"), never("no-tls-library"),
                "the TLS of Go has no kernel TLS",
                connect={"alpn": "h2", "request": HTTP2})]),
        (("apache2",), p.apache, [
            Row("apache.off", own, own, "mod_ssl has a BIO of its own")]),
        (("apache2",), lambda b, n: p.apache(
            b, n, "SSLOpenSSLConfCmd Options KTLS"), [
                Row("apache.on", own, own, "the option changes nothing",
                    target="port"),
                Row("apache.plain", PLAIN, PLAIN, "a port without TLS",
                    "plain", connect={"version": "plain"}, target="port")]),
        (("lighttpd",), p.lighttpd, [
            Row("lighttpd.default", SOFTWARE, rx13, "it asks by default")]),
        (("lighttpd",), lambda b, n: p.lighttpd(
            b, n, 'ssl.openssl.ssl-conf-cmd = ( "Options" => "-KTLS" )'), [
                Row("lighttpd.off", no, no, "-KTLS in its configuration",
                    target="port")]),
        (("haproxy",), p.haproxy, [
            Row("haproxy.default", own, own, "it has a BIO of its own")]),
        (("haproxy",), lambda b, n: p.haproxy(b, n, env=p.cnf(b)), [
            Row("haproxy.cnf", own, own, "the option changes nothing",
                target="command")]),
        (("haproxy",), p.haproxy_plain, [
            Row("haproxy.plain", PLAIN, PLAIN, "a port without TLS",
                connect={"version": "plain"}, front=True, target="port"),
            Row("haproxy.backend", PLAIN, PLAIN, "a backend without TLS",
                connect={"version": "plain"}, target="port")]),
        (("stunnel4",), p.stunnel, [
            Row("stunnel.off", no, no, "no option in its configuration")]),
        (("stunnel4",), lambda b, n: p.stunnel(b, n, "options = ENABLE_KTLS"), [
            Row("stunnel.on", SOFTWARE, rx13, "ENABLE_KTLS")]),
        (("stunnel4",), lambda b, n: p.stunnel(b, n, env=p.cnf(b)), [
            Row("stunnel.cnf", SOFTWARE, rx13, "openssl.cnf has it",
                target="port")]),
        (("stunnel4",), lambda b, n: p.stunnel(b, n, client=True), [
            Row("stunnel.client", no, no, "no option in its configuration",
                connect={"version": "plain"}),
            Row("stunnel.client-front", PLAIN, PLAIN,
                "its own client speaks no TLS", connect={"version": "plain"},
                front=True)]),
        (("hitch",), p.hitch, [
            Row("hitch.off", no, no, "openssl.cnf does not have it")]),
        (("hitch",), lambda b, n: p.hitch(b, n, env=p.cnf(b)), [
            Row("hitch.cnf", SOFTWARE, rx13, "openssl.cnf has it")]),
        (("hitch",), lambda b, n: p.hitch(b, n, Peer(b, tls=False),
                                          env=p.cnf(b)), [
            Row("hitch.backend", PLAIN, PLAIN,
                "behind the proxy there is no TLS")]),
        (("memcached",), p.memcached, [
            Row("memcached.off", no, no, "no ssl_kernel_tls",
                connect={"request": b"version\r\n"})]),
        (("memcached",), lambda b, n: p.memcached(b, n, "ssl_kernel_tls"), [
            Row("memcached.on", SOFTWARE, rx13, "ssl_kernel_tls",
                connect={"request": b"version\r\n"})]),
        (("gnutls-serv",), p.gnutls_serv, [
            Row("gnutls.server", never("library-without-ktls"),
                never("library-without-ktls"),
                "this GnuTLS is built without")]),
        (("gnutls-serv",), lambda b, n: p.gnutls_serv(
            b, n, env=p.gnutls_ktls(b)), [
                Row("gnutls.server-ktls", never("library-without-ktls"),
                    never("library-without-ktls"),
                    "built without, though its configuration allows it",
                    target="port")]),
        (("socat",), p.socat, [
            Row("socat.off", no, no, "openssl.cnf does not have it")]),
        (("socat",), lambda b, n: p.socat(b, n, env=p.cnf(b)), [
            Row("socat.cnf", SOFTWARE, rx13, "openssl.cnf has it")]),
    ]


def openssl_tool(rx13, new):
    """openssl s_server and s_client; -ktls came with 3.2."""
    no = never("option-not-set")
    groups = [
        ((), p.s_server, [
            Row("s_server.off", no, no, "no -ktls", target="command")]),
        ((), lambda b, n: p.s_server(b, n, "-tls1_2", env=p.cnf(b), wrapper=[
            *p.AS_NOBODY, "unshare", "--user", "--map-root-user"]), [
                Row("s_server.userns", SOFTWARE, SOFTWARE,
                    "openssl.cnf has it; root of a user namespace may ask")]),
        ((), lambda b, n: p.s_server(b, n, "-max_send_frag", "4096",
                                     env=p.cnf(b)), [
            # libssl 3.0 then asks in neither direction.
            Row("s_server.fragments", never("small-fragments"),
                SOFTWARE if new else never("small-fragments",
                                           "tls13-receive-openssl-3.0"),
                "sends fragments of 4096 bytes")]),
        ((), p.s_client, [
            Row("s_client.off", no, no, "no -ktls", target="port")]),
        ((), lambda b, n: p.s_client(b, n, env=p.cnf(b)), [
            Row("s_client.cnf", SOFTWARE, rx13, "openssl.cnf has it",
                target="cookie")]),
    ]
    if new:
        groups += [
            ((), lambda b, n: p.s_server(b, n, "-ktls", "-tls1_3"), [
                Row("s_server.on", SOFTWARE, SOFTWARE, "-ktls",
                    target="port")]),
            ((), lambda b, n: p.s_client(b, n, "-ktls", "-tls1_2"), [
                Row("s_client.on", SOFTWARE, SOFTWARE, "-ktls")]),
            ((), lambda b, n: p.s_client(b, n, "-ktls", "-tls1_2", "-cipher",
                                         OTHERS_12[1][1]), [
                Row("s_client.cbc", never("not-eligible"),
                    never("not-eligible"), "libssl has none for CBC",
                    cipher=OTHERS_12[1][1])]),
        ]
    if new and release() >= (6, 14):
        groups.append(((), lambda b, n: p.s_server(b, n, "-ktls"), [
            Row("s_server.key-update", SOFTWARE, SOFTWARE,
                "the kernel took the second keys, too", after=update_key)]))
    return groups


def clients():
    """Other clients."""
    own = never("program-own-io")
    gnutls = never("library-without-ktls")
    url = "https://127.0.0.1:PORT/"
    return [
        (("curl",), lambda b, n: p.to_peer(b, n, ["curl", "-sk", url]), [
            Row("curl", own, own, "it has a BIO of its own")]),
        (("curl",), lambda b, n: p.to_peer(b, n, ["curl", "-sk", url],
                                           env=p.cnf(b)), [
            Row("curl.cnf", own, own, "the option changes nothing",
                target="port")]),
        (("curl",), lambda b, n: p.to_peer(
            b, n, ["curl", "-s", "http://127.0.0.1:PORT/"], tls=False), [
            Row("curl.plain", PLAIN, PLAIN, "http, without TLS")]),
        (("wget",), lambda b, n: p.to_peer(
            b, n, ["wget", "-q", "-O", "/dev/null",
                   "http://127.0.0.1:PORT/"], tls=False), [
            Row("wget.plain", PLAIN, PLAIN, "http, without TLS")]),
        (("busybox",), lambda b, n: p.to_peer(
            b, n, ["env", "PATH=/nowhere", shutil.which("busybox"), "wget",
                   "-q", "--no-check-certificate", "-O", "/dev/null", url]), [
            Row("busybox", never("no-tls-library", "library-without-ktls"),
                never("no-tls-library", "library-without-ktls"),
                "it has a TLS of its own, if it finds no openssl")]),
        (("wget",), lambda b, n: p.to_peer(
            b, n, ["wget", "-q", "--no-check-certificate", "-O", "/dev/null",
                   url]), [
            Row("wget", gnutls, gnutls, "it uses GnuTLS, built without")]),
        (("gnutls-cli",), lambda b, n: p.to_peer(
            b, n, ["gnutls-cli", "--insecure", "-p", "PORT", "127.0.0.1"],
            stdin=b"message\n", env=p.gnutls_ktls(b)), [
            Row("gnutls.client", gnutls, gnutls,
                "built without, though its configuration allows it")]),
        (("nc",), lambda b, n: p.to_peer(
            b, n, ["nc", "127.0.0.1", "PORT"], tls=False, stdin=b"message\n"), [
            Row("nc", never("no-tls-library"), never("no-tls-library"),
                "it knows no TLS")]),
    ]


def python(rx13):
    """Python's ssl, in its different ways, in one process and others."""
    no = never("option-not-set")
    own = never("program-own-io")
    return [
        ((), lambda b, n: p.python_server(
            b, n, "ssl", "ssl+ktls", "asyncio+ktls", "plain",
            "ssl+ktls+mptcp"), [
                Row("python.off", no, no, "no OP_ENABLE_KTLS", "ssl"),
                Row("python.on", SOFTWARE, rx13, "OP_ENABLE_KTLS", "ssl+ktls"),
                Row("python.asyncio", own, own,
                    "asyncio runs TLS over memory buffers", "asyncio+ktls"),
                Row("python.plain", PLAIN, PLAIN,
                    "it has libssl in memory, but not for this one", "plain",
                    connect={"version": "plain"}, target="port"),
                Row("python.mptcp", refused("mptcp"), refused("mptcp"),
                    "the socket is of MPTCP", "ssl+ktls+mptcp",
                    connect={"version": V12, "protocol": MPTCP},
                    # Nothing of it reaches tls.ko.
                    target="port", verdict_unknown=True)]),
        ((), lambda b, n: p.python_client(b, n, "ssl", env=p.cnf(b)), [
            Row("python.client-cnf", SOFTWARE, rx13, "openssl.cnf has it")]),
        ((), lambda b, n: p.python_server(b, n, "ssl", "ssl+ktls",
                                          wrapper=p.AS_NOBODY), [
            # What it is that a user may not see is told.
            Row("python.nobody-off", no, no, "no OP_ENABLE_KTLS", "ssl",
                ask_as=p.AS_NOBODY, verdict_unknown=True),
            Row("python.nobody-on", SOFTWARE, rx13, "OP_ENABLE_KTLS",
                "ssl+ktls", ask_as=p.AS_NOBODY, verdict_unknown=True)]),
    ]


def raw():
    """Calls that no library would make like this."""
    late = refused("socket-not-connected")
    none = refused("algorithm-missing")
    rows = [
        Row("raw.not-connected", late, late, "it asked before connect()",
            "ulp,connect"),
        Row("raw.unknown-cipher", refused("cipher-unsupported"), SOFTWARE,
            "no kernel has a cipher 99", "connect,ulp,tx=99,rx=51"),
        Row("raw.aria", none, none, "Debian's kernels have no ARIA",
            "connect,ulp,tx=57,rx=57"),
        # What it does reaches nobody who could tell.
        Row("raw.no-ulp", refused("no-ulp", "no-tls-library"),
            never("no-ulp", "no-tls-library"), "it forgot the ULP",
            "connect,tx=51"),
        Row("raw.twice", SOFTWARE, never("no-key"),
            "the second key is refused, the first stays",
            "connect,ulp,tx=51,tx=51"),
        Row("raw.no-keys", never("no-key"), never("no-key"),
            "it never gave a key", "connect,ulp"),
    ]
    return [((), lambda b, n: p.raw(b, n, *(r.label for r in rows)), rows)]


def phases():
    """All of them, in order; the last ones change the host most."""
    new = openssl() >= (3, 2)
    rx13 = SOFTWARE if new else never("tls13-receive-openssl-3.0")
    on = {"tls": ON + "ssl_protocols TLSv1.2;"}
    both = {**on, "off": "ssl_protocols TLSv1.2;"}

    def nginx(ports):
        return lambda b, n: p.nginx(b, n, ports)

    def half(name, label="tls"):
        return Row(name, PENDING, PENDING, "the client does not go on", label,
                   connect={"version": "half"}, target="port",
                   verdict_unknown=True)

    def s_server(wrapper=()):
        return lambda b, n: p.s_server(b, n, "-tls1_2", wrapper=wrapper,
                                       env=p.cnf(b))

    def module(name, reason, because, label="tls"):
        return Row(name, refused(reason), refused(reason), because, label,
                   after=converse, verdict_unknown=True)

    # It takes nothing that could be another reason.
    strict = {"strict": ON + in_12("ECDHE-ECDSA-AES128-GCM-SHA256")}

    return [
        Phase("usual", states.usual, [
            *servers(rx13, new), *python(rx13), nginx_on(rx13), nginx_off(),
            *nginx_others(rx13), *openssl_tool(rx13, new), *clients(),
            *raw()]),
        Phase("AES-CCM blocked", states.ccm_blocked, [
            (("nginx",), nginx({"tls": ON + in_12("ECDHE-ECDSA-AES128-CCM")}), [
                Row("ccm-blocked.nginx", refused("algorithm-missing"),
                    refused("algorithm-missing"), "modprobe may not load ccm",
                    cipher="ECDHE-ECDSA-AES128-CCM")])]),
        Phase("ktls.ko later", states.without_ktls, [
            (("nginx",), nginx(both), [
                Row("later.nginx-on", SOFTWARE, SOFTWARE,
                    "it had its keys before"),
                Row("later.nginx-off", never("option-not-set"),
                    never("option-not-set"), "no directive", "off",
                    verdict_unknown=True)])], states.load_ktls),
        Phase("no ktls.ko", states.without_ktls, [
            (("nginx",), nginx(both), [
                Row("without.nginx-on", SOFTWARE, SOFTWARE, "no ktls.ko",
                    verdict_unknown=True),
                Row("without.nginx-off", never("option-not-set"),
                    never("option-not-set"), "no directive", "off",
                    verdict_unknown=True)])]),
        Phase("tls.ko not loaded", states.without_tls, [
            ((), s_server(p.AS_NOBODY), [
                module("not-loaded.openssl", "tls-module-not-loaded",
                       "who is not privileged cannot have it loaded")]),
            (("nginx",), nginx({**on, **strict, "cbc": ON + in_12(OTHERS_12[1][1])}), [
                module("not-loaded.nginx", "tls-module-not-loaded",
                       "its workers have no privileges"),
                module("not-loaded.nginx-strict", "tls-module-not-loaded",
                       "its workers have no privileges", "strict"),
                Row("not-loaded.nginx-cbc", never("not-eligible"),
                    never("not-eligible"),
                    "libssl has no kernel TLS for the cipher", "cbc",
                    cipher=OTHERS_12[1][1], verdict_unknown=True)]),
        ]),
        Phase("tls.ko blacklisted", states.tls_blacklisted, [
            ((), s_server(), [
                module("blacklisted.openssl", "tls-module-forbidden",
                       "modprobe.d has a blacklist for it")]),
            ((), s_server(), [half("blacklisted.pending")]),
            (("nginx",), nginx({**strict, "half": strict["strict"]}), [
                module("blacklisted.nginx", "tls-module-forbidden",
                       "modprobe.d has a blacklist for it", "strict"),
                half("blacklisted.nginx-half", "half")])]),
        Phase("tls.ko absent", states.tls_absent, [
            ((), s_server(), [
                module("absent.openssl", "tls-module-absent",
                       "its file is not there")]),
            (("nginx",), nginx(strict), [
                module("absent.nginx", "tls-module-absent",
                       "its file is not there", "strict")])]),
    ]
