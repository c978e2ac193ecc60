#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# ktlsctl against the module and real sockets: says what is there, in text and
# JSON, and what is wrong.

set -u

here=$(dirname "$(realpath "$0")")
# shellcheck source=selftests/ktlsctl/common.sh
. "$here/common.sh"
nobody=65534

lines()
{
	local want=$1

	shift
	out=$("$@" 2>&1)
	[ "$(wc -l <<<"$out")" = "$want" ]
	tap $? "$*: $want lines"
}

begin
start_pairs env
pairs=$!
{
	read -r cookie port
	read -r _ remote
	read -r _ port6
} <"$work/pairs"
ktls=(ktlsctl -j)

expect 0 "127.0.0.1:$port +127.0.0.1:$remote +1.3 +aes-gcm-128" ktlsctl stats
expect 0 "\[::1\]:$port6" ktlsctl stats
expect 0 'chacha20-poly1305' ktlsctl stats cipher chacha20-poly1305
expect 0 'No open kTLS socket' ktlsctl stats cipher aes-ccm-128

# Every name is one of the specification.
json "[s['cookie'] for s in j['sockets']] == [$cookie]" \
	"${ktls[@]}" stats sport "$port"
json "j['sockets'][0]['tx']['records'] == 11" "${ktls[@]}" stats sport "$port"
json "j['sockets'][0]['tx']['payload-bytes'] == 10002" \
	"${ktls[@]}" stats sport "$port"
json "j['sockets'][0]['tx']['control-records'] == 1" "${ktls[@]}" stats sport "$port"
json "j['sockets'][0]['rx']['records'] == 10" "${ktls[@]}" stats dport "$port"
json "len(j['sockets']) == 2" "${ktls[@]}" stats port "$port"
json "len(j['sockets']) == 4" "${ktls[@]}" stats pid "$pairs"
json "len(j['sockets']) == 0" "${ktls[@]}" stats uid $nobody
json "len(j['sockets']) == 4" "${ktls[@]}" stats version 1.3 mode sw
json "all(t['open'] >= 2 for t in j['totals'])" "${ktls[@]}" stats

# Text and JSON are of one mind.
expect 0 'records +11' ktlsctl show "$cookie"
expect 0 'payload +.*10002' ktlsctl show "$cookie"
expect 0 "process +$pairs/" ktlsctl show "$cookie"
expect 1 '2 sockets have the end' ktlsctl show "127.0.0.1:$port"
expect 1 'no kTLS socket' ktlsctl show 127.0.0.1:1
expect 1 'no kTLS socket' ktlsctl show 18446744073709551615
expect 2 'nonsense' ktlsctl show nonsense
expect 0 'missing +nothing' ktlsctl module

# 100 columns are enough for every row.
out=$(COLUMNS=100 ktlsctl stats | awk 'length > 100')
[ -z "$out" ]
tap $? "stats: at most 100 columns"

# Another user sees neither sockets nor events.
expect 0 'hidden|own' setpriv --reuid $nobody --clear-groups ktlsctl stats
json "j['sockets'] == []" \
	setpriv --reuid $nobody --clear-groups "${ktls[@]}" stats
expect 1 'CAP_NET_ADMIN|root' setpriv --reuid $nobody --clear-groups \
	ktlsctl monitor
expect 1 'no kTLS socket' setpriv --reuid $nobody --clear-groups \
	ktlsctl show "$cookie"

# Nor does another namespace.
ip netns add ktlsctl-test
json "j['sockets'] == [] and j['totals'] == []" \
	"${ktls[@]}" --netns ktlsctl-test stats
expect 1 'no-such' ktlsctl --netns no-such stats
ip netns del ktlsctl-test

# Events: two keys for each of four ends, in JSON one line each.
ktlsctl -j monitor -c 8 >"$work/events" 2>&1 &
monitor=$!
sleep 2
"$here/pairs.py" $nobody >/dev/null &
more=$!
timeout 20 tail --pid=$monitor -f /dev/null
lines 8 cat "$work/events"
# As their owner, who needs no privilege for it.
json "len(j['sockets']) == 4" \
	setpriv --reuid $nobody --clear-groups "${ktls[@]}" stats

ktlsctl monitor -c 4 >"$work/events" 2>&1 &
monitor=$!
sleep 2
kill "$more"
timeout 20 tail --pid=$monitor -f /dev/null
lines 4 grep -E 'close' "$work/events"
expect 0 "$nobody|closed" ktlsctl stats --closed uid $nobody
json "len([s for s in j['sockets'] if s['uid'] == $nobody]) == 4" \
	"${ktls[@]}" stats --closed

# The module goes, and comes back under the sockets.
rmmod ktls
expect 1 'not loaded.*modprobe ktls' ktlsctl stats
json "'not loaded' in j['error']" sh -c "ktlsctl -j stats || true"
load_ktls
json "all('adopted' in s['flags'] for s in j['sockets'])" \
	"${ktls[@]}" stats
json "j['sockets'][0]['tx']['key-records'] == 11" "${ktls[@]}" stats sport "$port"
json "j['sockets'][0]['tx']['records'] == 0" "${ktls[@]}" stats sport "$port"
expect 0 'adopted' ktlsctl stats

kill "$pairs"
finish
