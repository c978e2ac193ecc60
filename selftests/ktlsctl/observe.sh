#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# ktlsctl observe: kernel TLS that is used, refused, not asked for, impossible or
# elsewhere, by nginx and curl; each is told apart.
#
#	this namespace:		nginx, port 8443 on kernel TLS, 8444 not
#	ktlsctl-observe:	the same once more

set -u

here=$(dirname "$(realpath "$0")")
# shellcheck source=selftests/ktlsctl/common.sh
. "$here/common.sh"
other=ktlsctl-observe

python="
def of(comm):
    return [p for p in j['processes'] if p['comm'] == comm]
def sums(key):
    return sum(p[key] for p in j['processes'])
"

# observe ARG... - the report is left in $out, the exit status in $status
observe()
{
	ktlsctl -j observe -o "$work/report" "$@"
	status=$?
	out=$(cat "$work/report")
}

# get PORT ARG... - for what is observed
# shellcheck disable=SC2317,SC2329 # which calls it
get()
{
	local port=$1

	shift
	curl -sk "$@" "https://127.0.0.1:$port/file" | cmp - "$work/www/file"
}

# shellcheck disable=SC2317,SC2329 # cleanup calls it
restore()
{
	ip netns del "$other" 2>/dev/null
	modprobe tls
	load_ktls
	ktlsctl policy default allow >/dev/null
}

need_nginx
begin
mkdir "$work/www"
head -c 300000 /dev/urandom >"$work/www/file"
head -c 32M /dev/zero >"$work/www/large"
nginx_conf "
	sendfile on;
	ssl_protocols TLSv1.2 TLSv1.3;
	ssl_ciphers ALL;
	server {
		listen 127.0.0.1:8443 ssl;
		ssl_conf_command Options KTLS;
	}
	server {
		listen 127.0.0.1:8444 ssl;
	}
"
export -f get
export work
modprobe tls
start_nginx here https://127.0.0.1:8444/ env

# The command is left alone.
out=$(ktlsctl -j observe -- cat <<<"through" 2>/dev/null)
holds "$out" = through
tap $? "the command has stdin and stdout"
out=$(ktlsctl observe -- sh -c 'echo only this >&2; exit 7' 2>&1 >/dev/null)
holds $? = 7 && grep -q "^only this" <<<"$out" &&
	grep -q "exit status 7" <<<"$out"
tap $? "the report follows on stderr, the exit status is the command's"
# shellcheck disable=SC2016 # the shell that is run
observe -- sh -c 'kill -TERM $$'
holds $status = 143
tap $? "one that a signal killed"
check "says so" "j['command']['signal'] == 15"
ktlsctl observe -- /no/such/command >/dev/null 2>&1
holds $? = 127
tap $? "one that is not there"
observe -- true
check "nothing moves" "j['conclusion'] == 'unused' and not j['processes'] and
	not j['outcomes'] and not j['handshakes'] and not j['tls-stat']"

# Used, or not.
observe -- bash -c 'get 8443'
holds $status = 0
tap $? "the data is right"
check "used" "j['conclusion'] == 'used' and not j['missing']"
check "by nginx alone" "len(j['processes']) == 1 and
	of('nginx')[0]['installed'] == of('nginx')[0]['closed'] == 1"
check "the bytes went through it" "of('nginx')[0]['tx']['sockets'] == 1 and
	300000 < of('nginx')[0]['tx']['payload-bytes'] < 310000 and
	of('nginx')[0]['tx']['wire-bytes'] > of('nginx')[0]['tx']['payload-bytes']"
check "by keys that were installed" "any(o['step'] == 'tx' and not o['errno']
	for o in of('nginx')[0]['outcomes']) and j['tls-stat']['TlsTxSw'] == 1"
check "a handshake was seen" "sum(h['handshakes'] for h in j['handshakes']
	if h['eligible']) == 1"
observe -- bash -c 'get 8444'
check "nobody asked" "j['conclusion'] == 'unused' and
	'nobody asked' in j['text'] and not j['processes'] and
	[h['eligible'] for h in j['handshakes']] == [True]"
observe -- bash -c 'get 8443 --tls-max 1.2 --ciphers ECDHE-ECDSA-AES128-SHA256'
check "not eligible" "j['conclusion'] == 'not-eligible' and
	'ECDHE-ECDSA-AES128-SHA256' in j['text'] and not j['outcomes']"
observe -- bash -c 'for i in 1 2 3; do get 8443; get 8444; done'
check "three of six" "j['conclusion'] == 'used' and sums('installed') == 3 and
	sums('closed') == 3 and j['tls-stat']['TlsTxSw'] == 3 and
	sum(h['handshakes'] for h in j['handshakes']) == 6"

# A socket that is open from before to after; it has more than buffers hold.
curl -sk --limit-rate 1M -o /dev/null https://127.0.0.1:8443/large &
slow=$!
for _ in {1..50}; do
	[ "$(ktlsctl -j stats sport 8443 | grep -c '"cookie"')" = 1 ] && break
	sleep 0.1
done
observe --time 3
check "with --time, and sockets from before" "j['conclusion'] == 'used' and
	sums('installed') == 0 and 0 < of('nginx')[0]['tx']['payload-bytes'] < 32 << 20"
kill $slow

# Refused.
ktlsctl policy default deny >/dev/null
observe -- bash -c 'get 8443'
check "refused by the policy" "j['conclusion'] == 'refused' and
	'EPERM' in j['text'] and 'policy' in j['text'] and
	any(o['errno'] == 1 for o in of('nginx')[0]['outcomes'])"
holds $status = 0
tap $? "and the data is right all the same"
ktlsctl policy default allow >/dev/null

# Elsewhere.
ip netns add $other
ip -n $other link set lo up
start_nginx there https://127.0.0.1:8444/ ip netns exec $other
observe -- ip netns exec $other bash -c 'get 8443'
check "elsewhere" "j['conclusion'] == 'elsewhere' and
	'--netns $other' in j['text'] and not j['processes']"
check "in the namespace of that name" "[(s['name'], s['attempts'] > 0,
	s['tls-stat']['TlsTxSw'], s['command']) for s in j['namespaces']] ==
	[('$other', True, 1, True)]"
observe --netns $other -- ip netns exec $other bash -c 'get 8443'
check "used, if one looks there" "j['conclusion'] == 'used' and
	of('nginx')[0]['installed'] == 1 and
	not any(s['attempts'] or s['tls-stat'] for s in j['namespaces'])"
observe --netns $other -- bash -c 'get 8443'
check "elsewhere, the other way round" "j['conclusion'] == 'elsewhere' and
	not j['processes'] and not j['handshakes']"
observe -- ip netns exec $other bash -c 'get 8444'
check "not used there either" "j['conclusion'] == 'unused' and
	[s['command'] for s in j['namespaces']] == [True]"
# In a namespace that lives no longer than the command.
# shellcheck disable=SC2016 # the shell that is run
observe -- unshare -n sh -c 'ip link set lo up
	openssl s_server -accept 9443 -cert "$work/cert.pem" -key "$work/key.pem" \
		-www -naccept 1 >/dev/null 2>&1 &
	sleep 1; curl -sk https://127.0.0.1:9443/ >/dev/null; wait'
check "in one of its own" "j['conclusion'] in ('unused', 'elsewhere') and
	[(s['new'], s['command']) for s in j['namespaces']] == [(True, True)]"

# Without privileges.
out=$(setpriv --reuid 65534 --clear-groups ktlsctl -j observe -- true \
	2>&1 >/dev/null)
check "without privileges" "len(j['missing']) >= 3 and
	j['conclusion'] == 'unused'"

# Without the module.
rmmod ktls
observe -- bash -c 'get 8443'
check "without ktls.ko" "not j['module'] and j['conclusion'] == 'used' and
	j['tls-stat']['TlsTxSw'] == 1 and 'modprobe ktls' in j['missing'][0]"
observe -- bash -c 'get 8444'
check "without ktls.ko, not used" "j['conclusion'] == 'unused' and
	'nobody asked, or was refused' in j['text']"
observe -- ip netns exec $other bash -c 'get 8443'
check "without ktls.ko, elsewhere" "j['conclusion'] == 'elsewhere'"

finish
