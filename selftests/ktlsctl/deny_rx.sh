#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# "Deny RX now", typed on a host with a live nginx and real clients: new
# connections lose kernel RX and nothing else, what is open goes on, and policy
# check lists what still has it.

set -u

here=$(dirname "$(realpath "$0")")
# shellcheck source=selftests/ktlsctl/common.sh
. "$here/common.sh"
port=8443
clients=3

# In a network namespace of its own, so that nothing else is counted.
if [ "${KTLS_DENY_RX-}" != netns ]; then
	need_nginx
	KTLS_DENY_RX=netns exec unshare --net "$0"
fi
ip link set lo up

# same FILE - it is the one that nginx has
same()
{
	out=$(cmp "$work/www/large" "$1" 2>&1)
	tap $? "the data is that of the other end: ${1##*/}"
}

# await N DIRECTION - until so many sockets of nginx have a key for it
await()
{
	local keys

	for _ in {1..100}; do
		keys=$(ktlsctl -j stats sport $port |
			grep -o "\"$2\":{\"mode\":\"sw\"" | wc -l)
		[ "$keys" = "$1" ] && break
		sleep 0.1
	done
}

begin
mkdir -m 777 "$work/www" "$work/www/put"
head -c 6M /dev/urandom >"$work/www/large"
# With a worker that may write there.
nginx_conf "
	sendfile on;
	client_max_body_size 0;
	client_body_temp_path $work/body;
	# In both directions with every OpenSSL that has kernel TLS.
	ssl_protocols TLSv1.2;
	ssl_ciphers ECDHE-ECDSA-AES128-GCM-SHA256;
	ssl_conf_command Options KTLS;
	server {
		listen 127.0.0.1:$port ssl;
		# Some clients wait.
		send_timeout 600;
		location /put/ {
			dav_methods PUT;
		}
	}
" 'user root;'
start_nginx here https://127.0.0.1:$port/ env

# hold NAME GATE - a fetch that stops in the middle until there is a file GATE
hold()
{
	curl -skf "https://127.0.0.1:$port/large" | {
		until [ -e "$work/$2" ]; do sleep 0.1; done
		cat >"$work/$1"
	} &
}

put()
{
	out=$(curl -sSkf -T "$work/www/large" \
		"https://127.0.0.1:$port/put/$1" 2>&1)
	tap $? "curl sends $1 to nginx"
	same "$work/www/put/$1"
}

# A new connection as it is without a policy.
put before
for _ in {1..50}; do
	ktlsctl -j stats --closed sport $port >"$work/closed"
	grep -q '"tx":{' "$work/closed" && break
	sleep 0.1
done
if ! grep -q '"rx":{"mode":"sw"' "$work/closed"; then
	echo "1..$n # SKIP this nginx receives without kernel TLS"
	exit 4
fi
both="s['tx']['mode'] == 'sw' and s['rx']['mode'] == 'sw'"
json "j['sockets'] and all($both for s in j['sockets'])" \
	cat "$work/closed"

# They go on when all else was seen.
pids=()
for i in $(seq $clients); do
	hold "old.$i" go-old
	pids+=($!)
done
await $clients rx
json "len(j['sockets']) == $clients and all($both for s in j['sockets'])" \
	ktlsctl -j stats sport $port
old=$(python3 -c 'import json, sys
print(sorted(s["cookie"] for s in json.load(sys.stdin)["sockets"]))' <<<"$out")

# The line.
expect 0 '1 rule, default allow' ktlsctl policy add 1 deny rx

hold new go-new
new=$!
await $((clients + 1)) tx
json "[(s['tx']['mode'], s.get('rx', {}).get('mode', 'none')) for s in j['sockets']
      if s['cookie'] not in $old] == [('sw', 'none')]" \
	ktlsctl -j stats sport $port
: >"$work/go-new"
wait $new
same "$work/new"
put after
json "[(a['step'], a['action'], a['rule']) for a in j['attempts'] if a['errno']] ==
      [('rx', 'deny', 1)] * 2" ktlsctl -j attempts --failed
json "j['rule'][0]['hits'] == 2" ktlsctl -j policy show

# Those that still have it, and no other.
json "sorted(s['cookie'] for s in j['sockets']) == $old and
      all(s['rule'] == 1 for s in j['sockets'])" \
	sh -c 'ktlsctl -j policy check; [ $? = 3 ]'
json "len(j['sockets']) == $clients and all($both for s in j['sockets'])" \
	ktlsctl -j stats sport $port

# They have it to the end.
: >"$work/go-old"
wait "${pids[@]}"
for i in $(seq $clients); do
	same "$work/old.$i"
done
for _ in {1..50}; do
	ktlsctl policy check >/dev/null && break
	sleep 0.1
done
expect 0 'No open socket violates' ktlsctl policy check
json "not [s for s in j['sockets'] if 'last-error' in s.get('tx', {}) or
      'last-error' in s.get('rx', {})]" ktlsctl -j stats --closed sport $port

finish
