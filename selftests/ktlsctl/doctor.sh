#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# ktlsctl probe and doctor on a host with nginx on kernel TLS: what they foretell
# is what the module then sees, and what is taken away is found missing.
#
#	this namespace:		nginx on port 8443
#	ktlsctl-doctor:		nginx on port 8443, with counters of its own

set -u

here=$(dirname "$(realpath "$0")")
# shellcheck source=selftests/ktlsctl/common.sh
. "$here/common.sh"
other=ktlsctl-doctor
url=https://127.0.0.1:8443
boot=/etc/modules-load.d/ktlsctl-test.conf
forbid=/etc/modprobe.d/ktlsctl-test.conf

# Of doctor's report.
python="
items = {(i['area'], i['name']): i
	 for i in (j.get('items', []) if isinstance(j, dict) else [])}
def item(area, name, state, regex=''):
    i = items[area, name]
    return i['state'] == state and re.search(regex, i['evidence'])
"

doctor()
{
	out=$(ktlsctl -j doctor "$@" 2>&1)
}

# shellcheck disable=SC2317,SC2329 # cleanup calls it
restore()
{
	ip netns del "$other" 2>/dev/null
	rm -f "$boot" "$forbid"
	rmdir "${boot%/*}" 2>/dev/null
	# As it was found.
	modprobe tls
	load_ktls
}

# Until it is gone.
stop_nginx()
{
	kill "$1"
	wait "$1" 2>/dev/null
}

# fetch VERSION - slowly, so that there is something to see
fetch()
{
	curl -sk --limit-rate 100k "--tlsv$1" --tls-max "$1" -o /dev/null \
		$url/large &
	for _ in {1..100}; do
		[ "$(ktlsctl -j stats sport 8443 | grep -c '"cookie"')" = 1 ] &&
			break
		sleep 0.1
	done
	# The other direction's key comes with the peer's last message.
	sleep 1
	ktlsctl -j stats sport 8443 >"$work/seen"
	kill $!
	wait $! 2>/dev/null
}

need_nginx
begin
mkdir -p "$work/www" "${boot%/*}" "${forbid%/*}"
head -c 4M /dev/zero >"$work/www/large"
nginx_conf "
	sendfile on;
	ssl_protocols TLSv1.2 TLSv1.3;
	server {
		listen 127.0.0.1:8443 ssl;
		ssl_conf_command Options KTLS;
	}
"
echo tls >$boot
start_nginx here $url/ env
nginx=$!

# What is foretold...
out=$(ktlsctl -j probe localhost:8443 --ca "$work/cert.pem")
foretold=$out
check "nginx takes both versions" \
	"all(e['server'] == 'yes' for e in j['each'] if 'gcm' in e['cipher'])"
check "TLS 1.2 qualifies in both directions" \
	"all(e[d]['qualifies'] == 'yes' for e in j['each'] for d in ('tx', 'rx')
	     if e['version'] == 'tls-1-2' and e['server'] == 'yes')"
check "TLS 1.3 qualifies to send, and with OpenSSL 3.2 to receive" \
	"all((e['tx']['qualifies'], e['rx']['qualifies']) ==
	     ('yes', 'no' if re.match('OpenSSL 3.[01]', j['libssl']) else 'yes')
	     for e in j['each']
	     if e['version'] == 'tls-1-3' and e['server'] == 'yes')"
check "the certificate is trusted, and of the right name" \
	"j['default']['certificates']['verify'] == 0 and
	 j['default']['certificates']['name-matches']"

# ... is what happens.
check "probe saw the server's end on kernel TLS as foretold" "
	all(j['default']['server-end'][d] ==
	    ('sw' if j['default'][d]['qualifies'] == 'yes' else 'none')
	    for d in ('tx', 'rx'))"
for version in 1.2 1.3; do
	fetch $version
	out="[$foretold, $(cat "$work/seen")]"
	check "TLS $version is as foretold" "[
		(s['tx']['mode'], s['rx']['mode'])
		for s in j[1]['sockets']] == [tuple(
			'sw' if e[d]['qualifies'] == 'yes' else 'none'
			for d in ('tx', 'rx'))
		for e in j[0]['each']
		if e['version'] == j[1]['sockets'][0]['tx']['version'] and
		   e['cipher'] == j[1]['sockets'][0]['tx']['cipher']]"
done

# All is well, but for an old OpenSSL, or an old kernel.
doctor localhost:8443
check "doctor: tls.ko" "item('module', 'tls.ko', 'ok', 'loaded') and
	item('module', 'at boot', 'ok', '$boot')"
check "doctor: ktls.ko" "item('module', 'ktls.ko', 'ok', 'armed')"
check "doctor: crypto" \
	"all(i['state'] == 'ok' for i in j['items'] if i['area'] == 'crypto')"
check "doctor: libssl" "item('library', 'libssl',
	'problem' if 'OpenSSL 3.0' in items['library', 'libssl']['evidence']
	else 'ok', 'tried')"
check "doctor: nginx has kTLS sockets" \
	"item('server', 'nginx', 'ok', 'libssl is mapped; kTLS sockets: ')"
check "doctor: counters" "item('counters', 'tls_stat', 'ok', 'TlsTxSw [1-9]')"
check "doctor: handshake" "item('protocol', 'localhost:8443',
	'problem' if items['library', 'libssl']['state'] == 'problem'
	else 'ok', 'TLS')"
check "doctor: saw the server's end on kernel TLS" \
	"item('protocol', \"server's end\", 'ok', 'TX sw, RX (sw|none)')"
check "doctor: nothing else is a problem" \
	"{i['area'] for i in j['items'] if i['state'] == 'problem'} <=
	 {'library', 'protocol', 'kernel'}"
want=$(python3 -c "import json, sys
print(3 if json.loads(sys.argv[1])['problem'] else 0)" "$out")
ktlsctl doctor localhost:8443 >/dev/null
holds $? = "$want"
tap $? "doctor: exit status $want"

# A server that does not ask.
openssl s_server -accept 127.0.0.1:9443 -cert "$work/cert.pem" \
	-key "$work/key.pem" -quiet >/dev/null 2>&1 < <(sleep 60) &
deaf=$!
sleep 2
doctor localhost:9443
check "doctor: saw the server's end in user space" \
	"item('protocol', \"server's end\", 'problem', 'did not ask')"
out=$(ktlsctl -j probe localhost:9443)
check "probe: saw it, too" \
	"j['default']['server-end'] == {'tx': 'none', 'rx': 'none'}"
kill $deaf

# Servers in another namespace have counters of their own.
stop_nginx $nginx
ip netns add $other
ip -n $other link set lo up
start_nginx there $url/ ip netns exec $other
nginx=$!
doctor
check "doctor: nginx in another namespace" \
	"item('server', 'nginx', 'ok', 'another network namespace')"
check "doctor: has counters of its own" \
	"item('counters', 'nginx', 'ok', 'say nothing about it.*TlsTxSw [1-9]')"
out=$(ktlsctl -j probe --netns $other 127.0.0.1:8443)
check "probe from another namespace" "j['default']['tx']['qualifies'] == 'yes'"

# The module goes.
rmmod ktls
doctor
check "doctor: no ktls.ko" "item('module', 'ktls.ko', 'problem', 'not loaded')"
check "doctor: nor what it knows of nginx" \
	"item('server', 'nginx', 'unknown', 'not loaded')"
rm $boot
doctor
# But where others want it, as Debian's lighttpd does.
check "doctor: tls.ko will be missing after a boot" \
	"item('module', 'at boot', 'problem') or
	 item('module', 'at boot', 'ok', '/modules') and
	 '$boot' not in items['module', 'at boot']['evidence']"

# Then tls.ko does, if it is not in use.
stop_nginx $nginx
ip netns del $other
if rmmod tls; then
	doctor
	check "doctor: no tls.ko" "item('module', 'tls.ko', 'problem',
		'not loaded') and item('kernel', 'tls', 'ok', 'as a module') and
		item('crypto', 'ciphers', 'unknown', 'ENOENT') and
		item('counters', 'tls_stat', 'unknown', 'No such file')"
	openssl s_server -accept 127.0.0.1:8443 -cert "$work/cert.pem" \
		-key "$work/key.pem" -quiet >/dev/null 2>&1 < <(sleep 60) &
	sleep 2
	out=$(ktlsctl -j probe 127.0.0.1:8443)
	holds $? = 3
	tap $? "probe without tls.ko (exit 3)"
	check "probe: says so" "'tls.ko is not loaded' in
		j['default']['tx']['why'] and not j['qualifies']"
	out=$(cat /proc/sys/net/ipv4/tcp_available_ulp)
	! grep -qw tls <<<"$out"
	tap $? "neither has loaded it"
	echo "blacklist tls" >$forbid
	doctor
	check "doctor: forbidden" \
		"item('module', 'tls.ko', 'problem', '$forbid.*blacklist')"
else
	echo "# tls.ko is in use"
fi

finish
