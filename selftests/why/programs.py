# SPDX-License-Identifier: GPL-2.0
"""The programs that ktlsctl why is asked about, and their configurations."""

import os
import subprocess
import sys

from bench import Peer, Program

HERE = os.path.dirname(os.path.realpath(__file__))
KTLS_CNF = """openssl_conf = init
[init]
ssl_conf = ssl
[ssl]
system_default = defaults
[defaults]
Options = KTLS
"""


def cnf(bench):
    """The environment that makes all of libssl ask."""
    return {"OPENSSL_CONF": bench.path("ktls.cnf", KTLS_CNF)}


# As a user without privileges.
AS_NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")


def nginx_with(bench, name, blocks, ports, wrapper=(), **kwargs):
    """It, with these server blocks."""
    conf = bench.path(f"{name}/nginx.conf", f"""daemon off;
pid {bench.directory}/{name}.pid;
error_log {bench.directory}/{name}.error;
worker_processes 1;
events {{}}
http {{
    access_log off;
    keepalive_timeout 600;
    ssl_certificate {bench.pem};
    ssl_certificate_key {bench.pem};
    {blocks}
}}
""")
    return Program(bench, name, [
        *wrapper, "nginx", "-e", bench.path(f"{name}.error"), "-p",
        os.path.dirname(conf), "-c", conf], ports, **kwargs)


def nginx(bench, name, servers, wrapper=(), **kwargs):
    """A port for each label; and for each of its directives a virtual host."""
    ports, blocks = {}, []
    for label, hosts in servers.items():
        # The policy's rules are there already.
        ports[label] = bench.denied.get(label) or next(bench.ports)
        for n, text in enumerate([hosts] if isinstance(hosts, str) else hosts):
            blocks.append(f"""
    server {{
        listen 127.0.0.1:{ports[label]} ssl;
        server_name host{n};
        {text}
    }}""")
    return nginx_with(bench, name, "".join(blocks), ports, wrapper, **kwargs)


def nginx_plain(bench, name, directives):
    """Without TLS, next to directives that are about it."""
    port = next(bench.ports)
    return nginx_with(bench, name, f"""{directives}
    server {{ listen 127.0.0.1:{port}; }}""", {"tls": port})


def nginx_proxy(bench, name, directives, tls=True):
    """A client of a server."""
    port, peer = next(bench.ports), Peer(bench, tls)
    return nginx_with(bench, name, f"""{directives}
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass http{'s' if tls else ''}://127.0.0.1:{peer.port};
            proxy_buffering off;
        }}
    }}""", {"tls": port}, peer=peer)


def apache(bench, name, directives="", **kwargs):
    """mod_ssl; it gives libssl a BIO of its own."""
    port, plain = next(bench.ports), next(bench.ports)
    modules = "".join(
        f"LoadModule {module}_module /usr/lib/apache2/modules/mod_{module}.so\n"
        for module in ("mpm_event", "authz_core", "socache_shmcb", "ssl"))
    conf = bench.path(f"{name}/apache.conf", f"""{modules}
ServerRoot {bench.directory}
ServerName localhost
PidFile {bench.directory}/{name}.pid
DefaultRuntimeDir {bench.directory}
Mutex file:{bench.directory} default
ErrorLog {bench.directory}/{name}.error
DocumentRoot {bench.directory}
StartServers 1
ServerLimit 1
ThreadsPerChild 4
MaxRequestWorkers 4
MinSpareThreads 1
MaxSpareThreads 4
KeepAliveTimeout 600
Listen 127.0.0.1:{port}
Listen 127.0.0.1:{plain}
<VirtualHost *:{port}>
    SSLEngine on
    SSLCertificateFile {bench.pem}
    {directives}
</VirtualHost>
""")
    return Program(bench, name, ["apache2", "-DFOREGROUND", "-f", conf],
                   {"tls": port, "plain": plain}, **kwargs)


def lighttpd(bench, name, directives="", **kwargs):
    """It asks by default."""
    port = next(bench.ports)
    conf = bench.path(f"{name}/lighttpd.conf", f"""
server.modules = ( "mod_openssl" )
server.document-root = "{bench.directory}"
server.bind = "127.0.0.1"
server.port = {port}
server.errorlog = "{bench.directory}/{name}.error"
server.max-keep-alive-idle = 600
ssl.engine = "enable"
ssl.pemfile = "{bench.pem}"
{directives}
""")
    return Program(bench, name, ["lighttpd", "-D", "-f", conf], {"tls": port},
                   **kwargs)


def haproxy(bench, name, **kwargs):
    """As distributions build it, with a BIO of its own."""
    port = next(bench.ports)
    conf = bench.path(f"{name}/haproxy.cfg", f"""
defaults
    mode http
    timeout connect 5s
    timeout client 600s
    timeout server 600s
    timeout http-keep-alive 600s
frontend web
    bind 127.0.0.1:{port} ssl crt {bench.pem}
    http-request return status 200 content-type text/plain string ok
""")
    return Program(bench, name, ["haproxy", "-db", "-f", conf], {"tls": port},
                   **kwargs)


def haproxy_plain(bench, name):
    """Neither of its ends has TLS."""
    port, peer = next(bench.ports), Peer(bench, tls=False)
    conf = bench.path(f"{name}/haproxy.cfg", f"""
defaults
    mode http
    timeout connect 5s
    timeout client 600s
    timeout server 600s
frontend web
    bind 127.0.0.1:{port}
    default_backend behind
backend behind
    server one 127.0.0.1:{peer.port}
""")
    return Program(bench, name, ["haproxy", "-db", "-f", conf], {"tls": port},
                   peer=peer)


def hitch(bench, name, peer=None, **kwargs):
    """A proxy, in front of the backend or of a peer that is judged."""
    port = next(bench.ports)
    conf = bench.path(f"{name}/hitch.conf", f"""
frontend = "[127.0.0.1]:{port}"
backend = "[127.0.0.1]:{(peer or bench.backend).port}"
pem-file = "{bench.pem}"
user = "nobody"
group = "nogroup"
workers = 1
daemon = off
""")
    return Program(bench, name, ["hitch", f"--config={conf}"], {"tls": port},
                   peer=peer, **kwargs)


def stunnel(bench, name, options="", client=False, **kwargs):
    """A proxy, for clients or for servers."""
    port = next(bench.ports)
    peer = Peer(bench) if client else None
    to = peer.port if client else bench.backend.port
    conf = bench.path(f"{name}/stunnel.conf", f"""
foreground = yes
pid =
syslog = no
[tls]
accept = 127.0.0.1:{port}
connect = 127.0.0.1:{to}
{"client = yes" if client else f"cert = {bench.pem}"}
{options}
""")
    return Program(bench, name, ["stunnel4", conf], {"tls": port}, peer=peer,
                   **kwargs)


def s_server(bench, name, *options, wrapper=(), **kwargs):
    """Its answer is what it gets on its standard input."""
    port = next(bench.ports)
    return Program(bench, name, [
        *wrapper, "openssl", "s_server", "-accept", f"127.0.0.1:{port}",
        "-cert", bench.pem, "-key", bench.pem, *options], {"tls": port},
        stdin=b"answer " * 40 + b"\n", **kwargs)


def to_peer(bench, name, argv, version=None, tls=True, **kwargs):
    """A client; PORT in its arguments becomes the peer's port."""
    peer = Peer(bench, tls, version)
    argv = [word.replace("PORT", str(peer.port)) for word in argv]
    return Program(bench, name, argv, peer=peer, **kwargs)


def s_client(bench, name, *options, **kwargs):
    """It sends what it gets on its standard input."""
    return to_peer(bench, name, [
        "openssl", "s_client", "-connect", "127.0.0.1:PORT", *options],
        stdin=b"message\n", **kwargs)


def python(what, *args):
    """holder.py, with these arguments."""
    return [sys.executable, os.path.join(HERE, "holder.py"), what, *args]


def python_server(bench, name, *hows, wrapper=(), **kwargs):
    """Its labels are what the connections are."""
    ports = {how: next(bench.ports) for how in hows}
    return Program(bench, name, [*wrapper, *python(
        "serve", bench.pem, *(f"{how}:{ports[how]}" for how in hows))],
        ports, **kwargs)


def python_client(bench, name, how, **kwargs):
    """A connection of this kind."""
    return to_peer(bench, name, python("connect", f"{how}:PORT"), **kwargs)


def raw(bench, name, *steps):
    """A connection for each list of steps, which is its label."""
    peer = Peer(bench, tls=False)
    sources = {label: next(bench.ports) for label in steps}
    return Program(bench, name, python(
        "raw", str(peer.port), *(f"{s}:{p}" for s, p in sources.items())),
        peer=peer, sources=sources)


def node(bench, name):
    """A server in Node.js."""
    port = next(bench.ports)
    return Program(bench, name, [
        "node", os.path.join(HERE, "holder.js"), str(port),
        bench.pem], {"tls": port})


def memcached(bench, name, *options):
    """With a switch of its own."""
    port = next(bench.ports)
    words = ",".join([f"ssl_chain_cert={bench.pem}", f"ssl_key={bench.pem}",
                      *options])
    return Program(bench, name, [
        "memcached", "-u", "nobody", "-l", "127.0.0.1", "-p", str(port), "-t",
        "1", "-Z", "-o", words], {"tls": port})


def challtestsrv(bench, name):
    """A server in Go: pebble's, which has a certificate of its own."""
    port, management = next(bench.ports), next(bench.ports)
    command = "pebble-challtestsrv"
    said = subprocess.run([command, "-h"], capture_output=True, text=True,
                          check=False).stderr
    # What it has to serve besides differs from version to version.
    off = [word for flag in ("-http01", "-tlsalpn01", "-dns01", "-dnsserver",
                             "-doh") if f" {flag} " in said
           for word in (flag, "")]
    return Program(bench, name, [
        command, "-https01", f"127.0.0.1:{port}", "-management",
        f"127.0.0.1:{management}", *off], {"tls": port})


def gnutls_serv(bench, name, **kwargs):
    """It echoes."""
    port = next(bench.ports)
    return Program(bench, name, [
        "gnutls-serv", "--echo", "--x509keyfile", bench.pem,
        "--x509certfile", bench.pem, "-p", str(port)], {"tls": port}, **kwargs)


def gnutls_ktls(bench):
    """GnuTLS's own configuration, in which it is allowed."""
    return {"GNUTLS_SYSTEM_PRIORITY_FILE": bench.path(
        "gnutls.conf", "[global]\nktls = true\n")}


def socat(bench, name, **kwargs):
    """A proxy in front of the backend."""
    port = next(bench.ports)
    return Program(bench, name, [
        "socat", f"OPENSSL-LISTEN:{port},bind=127.0.0.1,cert={bench.pem},"
        "verify=0,reuseaddr,fork", f"TCP:127.0.0.1:{bench.backend.port}"],
        {"tls": port}, **kwargs)
