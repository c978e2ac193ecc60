#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# ktlsctl why, asked about nginx and openssl that do and do not ask for kernel
# TLS, are refused, and run in another network namespace. What many programs do
# is tested in ../why.
#
#	this namespace:	nginx on 8443 (asks), 8444 (does not) and 8080 (no TLS),
#			openssl s_server on 9443 (does not)
#	ktlsctl-why:	nginx likewise

set -u

here=$(dirname "$(realpath "$0")")
# shellcheck source=selftests/ktlsctl/common.sh
. "$here/common.sh"
other=ktlsctl-why

# Of the first connection in the JSON, c.
python="
c = (j.get('connections') or [None])[0]
def said(regex):
    return any(re.search(regex, e['from'] + ': ' + e['text'])
	       for e in c['evidence'])
def both(verdict, reason=None):
    return all(c[d]['verdict'] == verdict and c[d].get('reason') == reason
	       for d in ('tx', 'rx'))
"

why()
{
	out=$(ktlsctl -j why "$@" 2>&1)
	status=$?
}

# shellcheck disable=SC2317,SC2329 # cleanup calls it
restore()
{
	ip netns del "$other" 2>/dev/null
	# As it was found.
	load_ktls
	ktlsctl policy reset >/dev/null
}

# fetch URL OPTION... - slowly, so that there is something to ask about; not
# before a part of it is there, and with it the keys
fetch()
{
	local file

	file=$(mktemp -p "$work")
	"${within[@]}" curl -sk --limit-rate 10k "${@:2}" -o "$file" "$1" &
	for _ in {1..200}; do
		[ -s "$file" ] && return
		sleep 0.1
	done
}

# ask_openssl PORT - a client that stays
ask_openssl()
{
	openssl s_client -quiet -connect "127.0.0.1:$1" >/dev/null 2>&1 \
		< <(exec sleep 300) &
	for _ in {1..200}; do
		ss -Htn "sport = :$1" | grep -q ESTAB && break
		sleep 0.1
	done
	sleep 2
}

need_nginx
begin
within=()
mkdir -p "$work/www"
head -c 30M /dev/zero >"$work/www/large"
nginx_conf "
	send_timeout 3600;
	# nginx 1.22 has no TLS 1.3 by itself.
	ssl_protocols TLSv1.2 TLSv1.3;
	server {
		listen 127.0.0.1:8443 ssl;
		ssl_conf_command Options KTLS;
	}
	server { listen 127.0.0.1:8444 ssl; }
	server { listen 127.0.0.1:8080; }
"
start_nginx here http://127.0.0.1:8080/ env

# Targets
why :9
[ $status = 1 ] && grep -q 'no TCP connection' <<<"$out"
tap $? "a port without connections: exit 1, and what to do"
why 4194305
[ $status = 1 ] && grep -q 'nor an open TCP connection' <<<"$out"
tap $? "neither a process nor a cookie"
why no-such-command
[ $status = 1 ] && grep -q 'no process is called' <<<"$out"
tap $? "no such command"

# On kernel TLS
fetch https://127.0.0.1:8443/large --tls-max 1.2
why :8443
check "TLS 1.2 is in software, both ways" "both('software')"
check "nothing was missing" "j['module'] and j['missing'] == []"
check "one connection, and nginx has it" "len(j['connections']) == 1 and
	c['local-port'] == 8443 and
	[p['comm'] for p in c['processes']] == ['nginx']"
cookie=$(python3 -c "import json, sys
print(json.loads(sys.argv[1])['connections'][0]['cookie'])" "$out")
why cookie "$cookie"
check "the same by its cookie" "both('software') and c['cookie'] == $cookie"
pid=$(pgrep -f 'nginx: worker' | head -1)
why "$pid"
check "the same by its process" "both('software') and c['cookie'] == $cookie"
why 127.0.0.1:8443
check "the same by its end" "both('software') and c['cookie'] == $cookie"
kill %%
fetch https://127.0.0.1:8443/large --tlsv1.3
why :8443
check "TLS 1.3 is sent by the kernel" "c['tx']['verdict'] == 'software'"
check "and received, by OpenSSL 3.2 and later" "
	c['rx']['verdict'] == 'software' if not said('OpenSSL 3.[01]')
	else c['rx']['reason'] == 'tls13-receive-openssl-3.0' and
	c['rx']['verdict'] == 'never-asked'"
kill %%

# Never asked
fetch https://127.0.0.1:8444/large
why :8444
check "nginx that is not told to ask" "both('never-asked', 'option-not-set')"
check "and where that is written" "said('nginx.conf:')"
check "and that ktls.ko has seen nothing" "said('ktls.ko: no attempt')"
check "and what to do" "'ssl_conf_command' in c['tx']['next']"
why curl
check "curl does not let OpenSSL have the socket, or has GnuTLS" "
	c['tx']['verdict'] == 'never-asked' and c['tx']['reason'] in
	('program-own-io', 'library-without-ktls')"
kill %%
fetch http://127.0.0.1:8080/large
why :8080
check "no TLS" "both('never-asked', 'not-tls')"
kill %%
openssl s_server -accept 127.0.0.1:9443 -cert "$work/cert.pem" \
	-key "$work/key.pem" -quiet >/dev/null 2>&1 < <(exec sleep 300) &
server=$!
sleep 2
ask_openssl 9443
why :9443
check "s_server without -ktls" "both('never-asked', 'option-not-set')"
check "its libssl was tried" "said('maps: .*libssl.* .OpenSSL 3')"
why openssl
check "both ends by their command" "len(j['connections']) == 2"

# Refused
ktlsctl policy add deny rx >/dev/null
fetch https://127.0.0.1:8443/large --tls-max 1.2
why :8443
check "the policy denied to receive, and not to send" "
	c['tx']['verdict'] == 'software' and
	c['rx']['verdict'] == 'refused' and c['rx']['reason'] == 'policy' and
	'rule 1' in c['rx']['text'] and said('deny rx')"
ktlsctl policy reset >/dev/null
kill %%

# Somewhere else
ip netns add $other
ip -n $other link set lo up
within=(ip netns exec "$other")
start_nginx there http://127.0.0.1:8080/ "${within[@]}"
fetch https://127.0.0.1:8443/large
within=()
why :8443
check "a connection in another network namespace is found" "
	len(j['connections']) == 1 and c['tx']['verdict'] == 'software'"
out=$(COLUMNS=100 ktlsctl why :8443)
grep -q "another network namespace" <<<"$out"
tap $? "and it is said that it is another"
! grep -q '.\{101\}' <<<"$out"
tap $? "no line is longer than the terminal"
out=$(ktlsctl -j why --netns $other :8443)
check "or asked for" "c['tx']['verdict'] == 'software'"
kill %%

# Many, folded
for _ in {1..6}; do
	fetch https://127.0.0.1:8444/large
done
out=$(ktlsctl why :8444)
[ "$(grep -c never-asked <<<"$out")" = 1 ] && grep -q '5 more' <<<"$out"
tap $? "many of a kind are one block"
why :8444
check "but all are in JSON" "len(j['connections']) == 6"

# Without the module
rmmod ktls
fetch https://127.0.0.1:8443/large --tls-max 1.2
why :8443
check "without ktls.ko: sock_diag has the mode" "both('software') and
	not j['module'] and any('ktls.ko' in m for m in j['missing'])"
why :9443
check "and the command line has the reason" \
	"both('never-asked', 'option-not-set')"
load_ktls
why :8443
check "a connection that is older than ktls.ko" "both('software') and
	said('before ktls.ko was loaded')"
kill $server

finish
