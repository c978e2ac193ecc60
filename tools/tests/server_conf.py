#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What configurations of servers say, and that none of them takes us down.

usage: server_conf.py SERVER_CONF
"""

import os
import random
import subprocess
import sys
import tempfile

import tap
from tap import ok

PROGRAM = sys.argv[1]
ROUNDS = int(os.environ.get("ROUNDS", "2000"))


def write(root, files):
    for path, text in files.items():
        path = os.path.join(root, path.lstrip("/"))
        os.makedirs(os.path.dirname(path), exist_ok=True)
        if isinstance(text, tuple):
            os.symlink(text[0], path)
            continue
        if text is None:
            os.mkfifo(path)
            continue
        with open(path, "wb") as file:
            file.write(text if isinstance(text, bytes) else text.encode())


def ask(server, files, args, addr="10.0.0.1", port=443):
    with tempfile.TemporaryDirectory() as root:
        os.mkdir(os.path.join(root, "cwd"))
        write(root, files)
        return subprocess.run([PROGRAM, server, root, addr, str(port)] + args,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              text=True, errors="replace", timeout=60,
                              check=False)


def expect(name, server, files, args, want, addr="10.0.0.1", port=443,
           where=None, says=None):
    """WANT: "yes -", "no option-not-set", "unknown -"."""
    files = {"/openssl.cnf": "", **files}
    if files["/openssl.cnf"] is None:
        del files["/openssl.cnf"]
    r = ask(server, files, args, addr, port)
    lines = r.stdout.splitlines() + ["", "", ""]
    ok(r.returncode == 0 and not r.stderr and lines[0] == want and
       (where is None or lines[1] == where) and
       (says is None or says in lines[2]),
       f"{server}: {name}", f"want {want} {where}\n{r.stdout}{r.stderr}")


CNF_ON = "openssl_conf = a\n[a]\nssl_conf = b\n[b]\nsystem_default = c\n" \
    "[c]\nOptions = KTLS\n"


# nginx

ON = "ssl_conf_command Options KTLS;"
OFF = "ssl_conf_command Options -KTLS;"


def nginx(name, conf, want, args=None, files=None, **more):
    expect(name, "nginx", {"/etc/nginx/nginx.conf": conf, **(files or {})},
           args if args is not None else
           ["nginx: master process /usr/sbin/nginx"], want, **more)


def server(listen, *rest):
    return f"server {{ listen {listen}; {' '.join(rest)} }}\n"


def http(*parts, above=""):
    return f"events {{}}\nhttp {{\n{above}\n{''.join(parts)}}}\n"


def test_nginx():
    nginx("off by default", http(server("443 ssl")), "no option-not-set",
          where="/etc/nginx/nginx.conf:4")
    nginx("on", http(server("443 ssl", ON)), "yes -",
          where="/etc/nginx/nginx.conf:4")
    nginx("off", http(server("443 ssl", OFF)), "no option-not-set")
    nginx("inherited", http(server("443 ssl"), above=ON), "yes -")
    nginx("inherited from below", "http { " + server("443 ssl") + ON + "}",
          "yes -")
    nginx("any command replaces what is inherited",
          http(server("443 ssl", "ssl_conf_command NumTickets 1;"), above=ON),
          "no option-not-set")
    nginx("among others", http(server(
        "443 ssl", "ssl_conf_command options SessionTicket,ktls;")), "yes -")
    nginx("two commands, the later counts", http(server("443 ssl", ON, OFF)),
          "no option-not-set")
    nginx("openssl.cnf", http(server("443 ssl")), "yes -",
          files={"/openssl.cnf": CNF_ON}, says="/openssl.cnf")
    nginx("on, whatever openssl.cnf says", http(server("443 ssl", ON)),
          "yes -", files={"/openssl.cnf": CNF_ON.replace("KTLS", "-KTLS")})
    nginx("off, whatever openssl.cnf says", http(server("443 ssl", OFF)),
          "no option-not-set", files={"/openssl.cnf": CNF_ON})
    nginx("openssl.cnf not known", http(server("443 ssl")), "unknown -",
          files={"/openssl.cnf": None})
    nginx("openssl.cnf not known, and not needed",
          http(server("443 ssl", ON)), "yes -", files={"/openssl.cnf": None})
    nginx("openssl.cnf, included", http(server("443 ssl")), "yes -",
          files={"/openssl.cnf": "# .include x\n.include = /y\n",
                 "/y": CNF_ON})
    # OpenSSL would include them, from this host; a FIFO is never read in full.
    with tempfile.TemporaryDirectory() as outside:
        fifo = os.path.join(outside, "f")
        os.mkfifo(fifo)
        with open(os.path.join(outside, "on"), "w", encoding="ascii") as file:
            file.write(CNF_ON)
        for path in fifo, os.path.join(outside, "on"):
            for line in (".incl\\\nude PATH", "\\\n.include PATH",
                         "\\\n.\\\ninclude PATH", "x::.include PATH",
                         ".includes PATH", ".include\rPATH",
                         "\ufeff.include PATH", " \f.include PATH"):
                nginx(f"openssl.cnf with {line!r}", http(server("443 ssl")),
                      "no option-not-set" if line.startswith(("\\\n.include",
                                                              " \f"))
                      else "unknown -",
                      files={"/openssl.cnf": line.replace("PATH", path) + "\n"})
    nginx("openssl.cnf with a variable", http(server("443 ssl")), "unknown -",
          files={"/openssl.cnf": CNF_ON + "\n.include $x/y\n"})
    nginx("openssl.cnf with our environment", http(server("443 ssl")),
          "unknown -",
          files={"/openssl.cnf": CNF_ON.replace("KTLS", "$ENV::PATH")})
    nginx("openssl.cnf that is a FIFO", http(server("443 ssl")), "unknown -",
          files={"/openssl.cnf": ".include /f\n", "/f": None})
    nginx("openssl.cnf broken", http(server("443 ssl")), "unknown -",
          files={"/openssl.cnf": "[a\n"})
    nginx("no TLS", http(server("443")), "no not-tls")
    nginx("ssl on", http(server("443", "ssl on;", ON)), "yes -")
    nginx("another port", http(server("443 ssl", ON), server("8443 ssl")),
          "yes -")
    nginx("another port, off", http(server("443 ssl", ON), server("8443 ssl")),
          "no option-not-set", port=8443)
    nginx("virtual servers that agree",
          http(server("443 ssl", ON), server("443 ssl", ON)), "yes -")
    nginx("virtual servers that differ",
          http(server("443 ssl", ON), server("443 ssl")), "unknown -",
          says="differ")
    nginx("one listens with ssl for all",
          http(server("443", ON), server("443 ssl", ON)), "yes -")
    nginx("a virtual server that rejects", http(
        server("443 ssl", ON), server("443 ssl", "ssl_reject_handshake on;")),
          "yes -")
    nginx("an address beats all", http(
        server("10.0.0.1:443 ssl", ON), server("443 ssl")), "yes -")
    nginx("all beat another address", http(
        server("10.0.0.2:443 ssl", ON), server("443 ssl")),
          "no option-not-set")
    nginx("IPv6", http(server("[::]:443 ssl", ON), server("443 ssl")),
          "yes -", addr="2001:db8::1")
    nginx("IPv6 and IPv4", http(server("[::]:443 ssl", ON), server("443 ssl")),
          "no option-not-set")
    nginx("IPv6 for IPv4", http(server("[::]:443 ssl ipv6only=off", ON)),
          "yes -")
    nginx("IPv4 on IPv6", http(server("[::]:443 ssl", ON)), "yes -",
          addr="::ffff:10.0.0.1")
    nginx("an IPv6 address", http(server("[2001:db8::1]:443 ssl", ON),
                                  server("[::]:443 ssl")), "yes -",
          addr="2001:db8::1")
    nginx("a name", http(server("example.org:443 ssl", ON)), "yes -")
    nginx("a name, and all", http(server("example.org:443 ssl", ON),
                                  server("443 ssl")), "unknown -")
    nginx("localhost", http(server("localhost:443 ssl", ON),
                            server("443 ssl")), "yes -", addr="127.0.0.1")
    nginx("QUIC has no TCP", http(server("443 quic", ON, "listen 443 ssl;")),
          "yes -")
    nginx("a Unix socket", http(server("unix:/run/x ssl", ON),
                                server("443 ssl")), "no option-not-set")
    nginx("a range of ports", "stream { " + server("10.0.0.1:400-500 ssl", ON)
          + "}", "yes -")
    nginx("stream", "stream { " + server("443 ssl", ON) + "}", "yes -")
    nginx("http is not inherited by stream",
          http(above=ON) + "stream { " + server("443 ssl") + "}",
          "no option-not-set")
    nginx("mail with STARTTLS", "mail { " +
          server("143", "starttls on;", ON) + "}", "yes -", port=143)
    nginx("record padding", http(server(
        "443 ssl", ON, "ssl_conf_command RecordPadding 64;")),
          "yes record-padding")
    nginx("no padding to speak of", http(server(
        "443 ssl", ON, "ssl_conf_command RecordPadding 0;")), "yes -")
    nginx("a connection of its own", http(server("443 ssl", ON)),
          "no option-not-set", port=40000)
    nginx("a connection of its own that may ask", http(server(
        "80", "location / { proxy_ssl_conf_command Options KTLS; }")),
          "unknown -", port=40000)
    nginx("no listen", "http { server { " + ON + "} }", "no not-tls", port=80)


def test_nginx_files():
    site = {"/etc/nginx/sites-enabled/a": ("/etc/nginx/sites/a",),
            "/etc/nginx/sites/a": server("443 ssl", ON)}
    nginx("included by a pattern", http("include sites-enabled/*;"), "yes -",
          files=site, where="/etc/nginx/sites-enabled/a:1")
    nginx("nothing included", http("include conf.d/*.conf;",
                                   server("443 ssl")), "no option-not-set")
    nginx("an include that is missing",
          http("include x.conf;", server("443 ssl", ON)), "unknown -",
          says="x.conf could not be read")
    nginx("included within a server",
          http(server("443 ssl", "include snippets/tls.conf;")), "yes -",
          files={"/etc/nginx/snippets/tls.conf": ON})
    nginx("two patterns", http("include */*/x.conf;"), "yes -",
          files={"/etc/nginx/a/b/x.conf": server("443 ssl", ON)})
    nginx("a link out of the root", http("include l;"), "unknown -",
          files={"/etc/nginx/l": ("../../../../../../../etc/passwd",)})
    nginx("a link within the root", http("include l;"), "yes -",
          files={"/etc/nginx/l": ("../../../../../../x",),
                 "/x": server("443 ssl", ON)})
    nginx("a device", http("include /dev/zero;", server("443 ssl")),
          "unknown -")
    nginx("a listen of many words", http(server(
        "443 default_server reuseport backlog=511 rcvbuf=1m sndbuf=1m "
        "deferred so_keepalive=on ssl")), "no option-not-set")
    nginx("a worker without its master", http(server("443 ssl")), "unknown -",
          args=["nginx: worker process"])
    nginx("a FIFO", http("include f;", server("443 ssl")), "unknown -",
          files={"/etc/nginx/f": None}, says="f could not be read")
    nginx("a directory", http("include conf.d;", server("443 ssl")),
          "unknown -", files={"/etc/nginx/conf.d/x": ""})
    for args in [["nginx: master process nginx -c /x/y.conf"],
                 ["nginx: master process nginx -p /x -c y.conf -g daemon off;"],
                 ["nginx: master process nginx -g daemon off; -c /x/y.conf"],
                 ["nginx", "-c", "/x/y.conf"],
                 ["nginx", "-p/x/", "-cy.conf", "-g", "daemon off;"]]:
        nginx(f"arguments {args}", http(server("443 ssl")), "yes -",
              args=args, files={"/x/y.conf": http(server("443 ssl", ON))},
              where="/x/y.conf:4")
    nginx("a file of the working directory", "", "yes -", args=["nginx", "-p", ".", "-c", "n.conf"],
          files={"/cwd/n.conf": http(server("443 ssl", ON))})
    nginx("directives of the command line", "", "yes -",
          args=["nginx", "-g", http(server("443 ssl", ON))])
    nginx("quotes, escapes and comments", http(
        server("443 ssl", "# }", "\nserver_name \"a } b\" 'c\\' {' ${x}y;", ON,
               "if ($a ~ \"{\") { return 1; }")), "yes -")
    nginx("blocks of Lua", http(server(
        "443 ssl", "content_by_lua_block { local s = \"}\" -- }\n",
        "if x then y = { '}' } end }", ON)), "yes -")
    nginx("no configuration", http(server("443 ssl")), "unknown -",
          args=["nginx", "-c", "/none"])


def test_nginx_hostile():
    for name, text in [
            ("empty", ""),
            ("a block without an end", "http { server { listen 443 ssl;"),
            ("a } too many", http(server("443 ssl", ON)) + "}"),
            ("a quote without an end", 'http { server { listen "443 ssl; } }'),
            ("a file that includes itself", "include nginx.conf;"),
            ("a file that includes itself, often",
             "include nginx.conf; " * 50),
            ("a file that includes all", "include *;" * 10),
            ("a huge line", "#" + "x" * 900000),
            ("a huge word", "http { " + "x" * 900000 + " ; }"),
            ("too large a file", " " * (1 << 20)),
            ("many blocks", "a{" * 100000),
            ("many blocks with an end", "a{" * 500 + "}" * 500),
            ("many servers", "http {" + "server{listen 443 ssl;}" * 30000 +
             "}"),
            ("binary junk", random.Random(1).randbytes(100000)),
            ("NUL", b"http { server { listen 443\0 ssl; \0 } }"),
            ("only marks", "{};" * 1000),
            ("a long pattern", "include " + "*/" * 2000 + ";"),
            ("a long name", "include " + "x/" * 5000 + ";"),
            ("a listen without words", "http { server { listen; ; } }"),
            ("strange listens", "http { server { listen : ssl; listen [ ssl;"
             "listen ]:443; listen :::::; listen 99999 ssl; listen [::443; } }")]:
        # Some of these are configurations of nothing.
        r = ask("nginx", {"/etc/nginx/nginx.conf": text, "/openssl.cnf": ""},
                ["nginx"])
        ok(r.returncode == 0 and not r.stderr and r.stdout and
           not r.stdout.startswith("yes"),
           f"nginx: {name}", (r.returncode, r.stdout, r.stderr))
        if name not in ("empty", "a huge line", "a huge word", "only marks",
                        "NUL", "a listen without words", "strange listens",
                        "binary junk", "a long pattern", "a long name",
                        "many blocks with an end"):
            ok(r.stdout.startswith("unknown"), f"nginx: {name}: unknown",
               r.stdout)


# Apache

def apache(name, conf, want, args=None, files=None, **more):
    expect(name, "apache2", {"/etc/apache2/apache2.conf": conf,
                             **(files or {})},
           args or ["/usr/sbin/apache2", "-k", "start"], want, **more)


def test_apache():
    tls = "Listen 443\n<VirtualHost *:443>\nSSLEngine on\n%s\n</VirtualHost>\n"
    apache("TLS", tls % "", "no program-own-io",
           where="/etc/apache2/apache2.conf:2")
    apache("told to ask", tls % "SSLOpenSSLConfCmd Options KTLS",
           "no program-own-io", says="whatever it is told")
    apache("no TLS", "Listen 80\n<VirtualHost *:80>\n</VirtualHost>\n" +
           tls % "", "no not-tls", port=80)
    apache("in all the server", "Listen 8443\nSSLEngine on\n",
           "no program-own-io", port=8443)
    apache("by protocol", "Listen 8443 https\n<VirtualHost *>\n"
           "</VirtualHost>\n", "no program-own-io", port=8443)
    apache("included", "IncludeOptional sites-enabled/*.conf\n",
           "no program-own-io",
           files={"/etc/apache2/sites-enabled/x.conf": tls % "",
                  "/etc/apache2/sites-enabled/x.bak": "SSLEngine off\n"})
    apache("an include that is missing", "Include x\n" + tls % "",
           "unknown -")
    apache("a file by name", "", "no program-own-io",
           args=["httpd", "-d", "/a", "-f", "b.conf"],
           files={"/a/b.conf": tls % ""})
    apache("a continued line", "Listen \\\n443\n<VirtualHost \\\n*:443>\n"
           "SSLEngine \\\non\n</VirtualHost>\n", "no program-own-io")
    apache("a connection of its own", tls % "", "unknown -", port=40000)
    apache("a file that includes itself", "Include apache2.conf\n" * 3,
           "unknown -")
    apache("binary junk", random.Random(2).randbytes(100000), "unknown -")


# HAProxy

def haproxy(name, conf, want, args=None, files=None, **more):
    expect(name, "haproxy", {"/etc/haproxy/haproxy.cfg": conf,
                             **(files or {})},
           args or ["/usr/sbin/haproxy", "-Ws", "-f",
                    "/etc/haproxy/haproxy.cfg", "-p", "/run/haproxy.pid"],
           want, **more)


def test_haproxy():
    haproxy("TLS", "frontend x\n  bind :443 ssl crt /x.pem\n",
            "no program-own-io", where="/etc/haproxy/haproxy.cfg:2")
    haproxy("all addresses", "frontend x\n bind *:443,:::443 v6only ssl crt x\n",
            "no program-own-io")
    haproxy("no TLS", "listen x\n bind 10.0.0.1:443\n", "no not-tls")
    haproxy("a range", "listen x\n bind :400-500 ssl crt x\n",
            "no program-own-io")
    haproxy("a prefix", "frontend x\n bind tcp4@:443 ssl crt x\n",
            "no program-own-io")
    haproxy("QUIC", "frontend x\n bind :443 ssl crt x\n bind quic4@:443\n",
            "no program-own-io")
    haproxy("a descriptor", "frontend x\n bind fd@5 ssl crt x\n bind :443\n",
            "unknown -")
    haproxy("a variable", "frontend x\n bind ${A} ssl crt x\n bind :443\n",
            "unknown -")
    haproxy("TLS by default", "peers p\n default-bind ssl crt /x.pem\n"
            " bind :443\n", "no program-own-io")
    haproxy("and not of the next section", "peers p\n default-bind ssl crt x\n"
            "frontend f\n bind :443\n", "no not-tls")
    haproxy("requests of Lua", "global\n lua-load /x.lua\nfrontend f\n"
            " bind :80\n", "unknown -")
    haproxy("OCSP", "listen x\n bind :80\n bind :444 ssl crt x ocsp-update on\n",
            "unknown -")
    haproxy("a line too long", "frontend x\n bind :443 " + "x" * 9000 +
            " ssl crt y\n", "unknown -")
    haproxy("a comment", "listen x\n bind :443 # ssl\n", "no not-tls")
    haproxy("to a server with TLS", "backend x\n server a b:443 ssl\n",
            "no program-own-io", port=40000)
    haproxy("to a server without TLS", "backend x\n server a b:80\n",
            "no not-tls", port=40000)
    haproxy("a directory", "", "no program-own-io",
            args=["haproxy", "-W", "-f", "/c", "-f", "/d.cfg"],
            files={"/c/a.cfg": "frontend x\nbind :443 ssl crt x\n",
                   "/c/b.txt": "frontend y\nbind :443\n", "/d.cfg": ""})
    haproxy("behind --", "", "no program-own-io", args=["haproxy", "--", "/a"],
            files={"/a": "frontend x\nbind :443 ssl crt x\n"})
    haproxy("binary junk", random.Random(3).randbytes(100000), "no not-tls")


# lighttpd

def lighttpd(name, conf, want, args=None, files=None, **more):
    expect(name, "lighttpd", {"/etc/lighttpd/lighttpd.conf": conf,
                              **(files or {})},
           args or ["/usr/sbin/lighttpd", "-D", "-f",
                    "/etc/lighttpd/lighttpd.conf"], want, **more)


def test_lighttpd():
    tls = '$SERVER["socket"] == ":443" { ssl.engine = "enable" %s }\n'
    off = 'ssl.openssl.ssl-conf-cmd = ("MinProtocol" => "TLSv1.2", ' \
        '"Options" => "-KTLS")\n'
    on = 'ssl.openssl.ssl-conf-cmd += ("Options" => "KTLS")\n'
    lighttpd("by default", tls % "", "unknown -",
             says="if tls.ko could be had when it started",
             where="/etc/lighttpd/lighttpd.conf:1")
    lighttpd("on", tls % on, "yes -")
    for module, want in [("ssl.pemfile", "yes -"),
                         ("ssl.pemfile /x/tcp_available_ulp", "unknown -")]:
        lighttpd(f"a build with {module}", tls % "", want, files={
            "/usr/lib/lighttpd/mod_openssl.so": "x" * 200000 + module})
    lighttpd("openssl.cnf", tls % "", "yes -", files={"/openssl.cnf": CNF_ON})
    lighttpd("off", tls % off, "no option-not-set")
    lighttpd("off for all", off + tls % "", "no option-not-set")
    lighttpd("other options", tls % off.replace("-KTLS", "-SessionTicket"),
             "unknown -")
    lighttpd("no TLS", 'server.port = 443\n' + (tls % "").replace(
        ":443", ":8443"), "no not-tls")
    lighttpd("the main server", 'server.port = 443\nssl.engine = "enable"\n'
             + on, "yes -")
    lighttpd("the main server, elsewhere", 'server.port = 443\n'
             'server.bind = "10.0.0.2"\nssl.engine = "enable"\n',
             "no not-tls")
    lighttpd("included", 'include "conf-enabled/*.conf"\n' + off, "yes -",
             files={"/etc/lighttpd/conf-enabled/x.conf":
                    tls % 'ssl.openssl.ssl-conf-cmd = ("Options" => "KTLS")'})
    lighttpd("a script of the package",
             'include_shell "/usr/share/lighttpd/create-mime.conf.pl"\n' +
             tls % on, "yes -")
    lighttpd("a script", 'include_shell "/bin/x"\n' + tls % "", "unknown -")
    lighttpd("conditions", '$HTTP["host"] =~ "x" { a = "b" } else '
             '$HTTP["host"] == "y" { } else { c = "d" }\n' + tls % on, "yes -")
    lighttpd("variables", 'var.x = "a"\nserver.document-root = var.x + "/y"\n'
             + tls % on, "yes -")
    lighttpd("a variable that matters", 'server.port = env.PORT\n' + tls % "",
             "unknown -")
    lighttpd("another address", (tls % "").replace(":443", "10.0.0.2:443"),
             "no not-tls")
    lighttpd("IPv6", (tls % "").replace(":443", "[::]:443") + on, "yes -",
             addr="2001:db8::1")
    for text in ['$', '$SERVER["socket"] == ":443"', tls % '{', '"', '}',
                 'include "lighttpd.conf"\n', 'a = (' * 1000,
                 '{' * 1000, 'include "' + '*/' * 500 + '"',
                 'a = "' + 'x' * 100000, 'include var.x', 'a = b = c + + ']:
        r = ask("lighttpd", {"/etc/lighttpd/lighttpd.conf": text},
                ["lighttpd"])
        ok(r.returncode == 0 and not r.stderr and
           r.stdout.split()[0] != "yes", f"lighttpd: {text[:40]!r}",
           (r.returncode, r.stdout, r.stderr))
    lighttpd("a socket of variables",
             'var.p = "443"\nserver.port = 80\n'
             '$SERVER["socket"] == "10.0.0.1:" + var.p '
             '{ ssl.engine = "enable" }\n', "unknown -")
    lighttpd("but a socket",
             'server.port = 443\n'
             '$SERVER["socket"] != ":80" { ssl.engine = "enable" }\n',
             "unknown -")


# stunnel

def stunnel(name, conf, want, args=None, files=None, **more):
    expect(name, "stunnel4", {"/etc/stunnel/x.conf": conf, **(files or {})},
           args or ["/usr/bin/stunnel4", "/etc/stunnel/x.conf"], want, **more)


def test_stunnel():
    stunnel("off by default", "cert = x\n[a]\naccept = 443\nconnect = 80\n",
            "no option-not-set", where="/etc/stunnel/x.conf:2")
    stunnel("on", "[a]\naccept = 443\noptions = ENABLE_KTLS\n", "yes -")
    stunnel("on for all", "options = ENABLE_KTLS\n[a]\naccept = 443\n",
            "yes -")
    stunnel("on for all but one", "options = ENABLE_KTLS\n[a]\naccept = :443\n"
            "options = -ENABLE_KTLS\n", "no option-not-set")
    stunnel("on for another", "[a]\naccept = 443\n[b]\naccept = 444\n"
            "options = ENABLE_KTLS\n", "no option-not-set")
    stunnel("by a command", "[a]\naccept = 443\nconfig = Options:KTLS\n",
            "yes -")
    stunnel("openssl.cnf", "[a]\naccept = 443\n", "yes -",
            files={"/openssl.cnf": CNF_ON})
    stunnel("a client", "client = yes\n[a]\naccept = 443\n", "no not-tls")
    stunnel("a client, on its other side", "[a]\nclient = yes\naccept = 1\n"
            "options = ENABLE_KTLS\n", "unknown -", port=40000)
    stunnel("a client that does not ask", "[a]\nclient = yes\naccept = 1\n",
            "no option-not-set", port=40000)
    stunnel("the other side of a server", "[a]\naccept = 1\n", "no not-tls",
            port=40000)
    stunnel("a port by name", "[a]\naccept = https\n", "no option-not-set")
    stunnel("an IPv6 address", "[a]\naccept = :::443\noptions = ENABLE_KTLS\n",
            "yes -", addr="2001:db8::1")
    stunnel("comments", "; options = ENABLE_KTLS\n#x\n[a]\n accept = 443\n",
            "no option-not-set")
    stunnel("included", "include = /etc/stunnel/d\n", "yes -",
            files={"/etc/stunnel/d/a":
                   "[a]\naccept = 443\noptions = ENABLE_KTLS\n"})
    stunnel("files that include each other", "include = /etc/stunnel\n",
            "unknown -")
    stunnel("from a descriptor", "", "unknown -", args=["stunnel", "-fd", "0"])
    stunnel("binary junk", random.Random(4).randbytes(100000), "unknown -",
            args=["stunnel", "/none"])


# hitch and openssl

def test_hitch():
    def hitch(name, conf, want, args=None, files=None, **more):
        expect(name, "hitch", {"/etc/hitch/hitch.conf": conf, **(files or {})},
               args or ["/usr/sbin/hitch", "--user", "_hitch", "--config",
                        "/etc/hitch/hitch.conf"], want, **more)

    one = 'frontend = "[*]:443"\nbackend = "[127.0.0.1]:80"\npem-file = "x"\n'
    hitch("off by default", one, "no option-not-set",
          where="/etc/hitch/hitch.conf:1")
    hitch("openssl.cnf", one, "yes -", files={"/openssl.cnf": CNF_ON})
    hitch("a block", 'pem-file = { cert = "x" }\nfrontend = {\nhost = "*"\n'
          'port = "443"\n}\n', "no option-not-set")
    hitch("another address", 'frontend = { host = "10.0.0.2" port = "443" }',
          "no not-tls")
    hitch("its backend", one, "no not-tls", port=40000)
    hitch("by default", "pem-file = \"x\"\n", "no option-not-set", port=8443)
    hitch("an argument", "", "no option-not-set",
          args=["hitch", "--frontend=[10.0.0.1]:443+x.pem", "y.pem"])
    hitch("a quote without an end", 'frontend = "[*]:443', "unknown -")
    hitch("a block without an end", 'frontend = {', "unknown -")
    hitch("blocks in blocks", 'frontend = {' * 1000, "unknown -")


def test_openssl():
    def openssl(name, args, want, **more):
        expect(name, "openssl", more.pop("files", {}), ["openssl"] + args,
               want, **more)

    openssl("off by default", ["s_server", "-accept", "443"],
            "no option-not-set")
    openssl("on", ["s_server", "-ktls", "-accept", "443"], "yes -")
    openssl("two dashes", ["s_client", "--ktls"], "yes -")
    openssl("sendfile", ["s_server", "-WWW", "-sendfile"], "no option-not-set")
    openssl("zerocopy sendfile", ["s_server", "-zerocopy_sendfile"], "yes -")
    openssl("openssl.cnf", ["s_server"], "yes -",
            files={"/openssl.cnf": CNF_ON})
    openssl("record padding", ["s_server", "-ktls", "-record_padding", "512"],
            "yes record-padding")
    openssl("small fragments", ["s_server", "-max_send_frag=1024", "-ktls"],
            "yes small-fragments")
    openssl("another command", ["speed"], "unknown -")
    openssl("no command", [], "unknown -")


# At random

def test_mutations():
    for kind, path, text, args in [
            ("nginx", "etc/nginx/nginx.conf",
             http("include nginx.conf;", server("443 ssl", ON),
                  server("[::]:443 ssl", "content_by_lua_block { '}' }")),
             ["nginx: master process nginx -c nginx.conf -p /etc/nginx"]),
            ("apache2", "etc/apache2/apache2.conf",
             "Include *.conf\nListen 443 https\n<VirtualHost *:443>\n"
             "SSLEngine on\n</VirtualHost>\n", []),
            ("haproxy", "h", "frontend x\nbind :443,*:444 ssl \"a\\\" b\" 'x'\n"
             "server a b ssl # x\n", ["haproxy", "-f", "/h"]),
            ("lighttpd", "etc/lighttpd/lighttpd.conf",
             '$SERVER["socket"] == ":443" { ssl.engine = "enable" '
             'ssl.openssl.ssl-conf-cmd += ("Options" => "-KTLS") }\n'
             'include "*.conf"\na = b + ("c" => ("d"))\n', []),
            ("stunnel4", "s", "client = no\n[a]\naccept = :::443\n"
             "options = -ENABLE_KTLS\nconfig = Options:KTLS\n"
             "include = /\n", ["stunnel", "s", "/s"]),
            ("hitch", "h", 'frontend = "[*]:443+x"\nfrontend = { host = "x"\n'
             'port = "443" }\npem-file = { a = "b" }\n',
             ["hitch", "--config=/h"]),
            ("nginx", "openssl.cnf", CNF_ON, ["nginx", "-g",
                                              http(server("443 ssl"))])]:
        with tempfile.TemporaryDirectory() as root:
            os.mkdir(os.path.join(root, "cwd"))
            write(root, {"openssl.cnf": "", path: text})
            r = subprocess.run([PROGRAM, "--mutate", str(ROUNDS), "1", kind,
                                root, path, "10.0.0.1", "443"] + args,
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                               text=True, errors="replace", timeout=600,
                               check=False)
            ok(r.returncode == 0, f"{kind}: {ROUNDS} mutations of {path}",
               r.stdout)


test_nginx()
test_nginx_files()
test_nginx_hostile()
test_apache()
test_haproxy()
test_lighttpd()
test_stunnel()
test_hitch()
test_openssl()
test_mutations()
sys.exit(tap.end())
