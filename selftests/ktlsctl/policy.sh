#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The policy as an operator has it: what is denied is denied to real sockets, and
# ktlsctl says so; what was there before is found, and ended.

set -u

here=$(dirname "$(realpath "$0")")
# shellcheck source=selftests/ktlsctl/common.sh
. "$here/common.sh"
nobody=65534

# tries UID RESULT... - of ulp, tx and rx
tries()
{
	local uid=$1 want

	shift
	want=$(printf '%s\n' "$@")
	out=$("$here/tries.py" "$uid" 2>&1)
	holds "$out" = "$want"
	tap $? "uid $uid: $*"
}

# load LINE... - as the policy
load()
{
	expect 0 "$# rule" sh -c "printf '%s\\n' \"\$@\" | ktlsctl policy load -" \
		sh "$@"
}

# shellcheck disable=SC2317,SC2329 # cleanup calls it
restore()
{
	ktlsctl policy reset >/dev/null 2>&1
}

begin
ktls=(ktlsctl -j)
key=(version 1.3 cipher aes-gcm-128)
unprivileged=(setpriv --reuid "$nobody" --clear-groups)

start_pairs env
pairs=$!

expect 0 'rules +none' ktlsctl policy show
expect 0 'No open socket violates' ktlsctl policy check
tries 0 'ulp ok' 'tx ok' 'rx ok'
json "not j['rule'] and j['default'] == 'allow'" "${ktls[@]}" policy show

# What is denied fails, is told, and is counted.
load 'deny rx' 'audit tx'
tries 0 'ulp ok' 'tx ok' 'rx EPERM'
expect 0 'rx +EPERM +[0-9]+ +refused by the policy' ktlsctl attempts
expect 0 'rx +EPERM +deny 1 .*tries.py|rx +EPERM +deny 1 .*python' \
	ktlsctl attempts --failed
json "[(a['step'], a['errno'], a.get('action'), a.get('rule'))
      for a in j['attempts'][-3:]] == [('ulp', 0, None, None),
      ('tx', 0, 'audit', 2), ('rx', 1, 'deny', 1)]" "${ktls[@]}" attempts
json "[r['hits'] for r in j['rule']] == [1, 1]" "${ktls[@]}" policy show
expect 0 '^deny: rule 1: deny rx$' ktlsctl policy test rx "${key[@]}"
expect 0 '^audit: rule 2: audit tx$' ktlsctl policy test tx "${key[@]}"
expect 0 '^allow: no rule' ktlsctl policy test ulp
out=$(COLUMNS=100 ktlsctl attempts | awk 'length > 100')
holds -z "$out"
tap $? "attempts: at most 100 columns"

# Only the administrator sees the rules, and may ask them; attempts anybody sees,
# their own.
expect 1 'CAP_NET_ADMIN' "${unprivileged[@]}" ktlsctl policy show
expect 1 'CAP_NET_ADMIN' "${unprivileged[@]}" ktlsctl policy reset
expect 1 'CAP_NET_ADMIN' "${unprivileged[@]}" ktlsctl attempts --follow
expect 1 'CAP_NET_ADMIN' "${unprivileged[@]}" ktlsctl policy test rx "${key[@]}"
json "not j['attempts']" "${unprivileged[@]}" "${ktls[@]}" attempts

# By user.
expect 0 '3 rules' ktlsctl policy add 1 deny ulp uid $nobody
tries $nobody 'ulp EPERM' 'tx ENOPROTOOPT' 'rx ENOPROTOOPT'
tries 0 'ulp ok' 'tx ok' 'rx EPERM'
expect 0 'deny ulp uid nobody' ktlsctl policy show
expect 0 '2 rules' ktlsctl policy del 1
expect 1 'no rule 3' ktlsctl policy del 3

# By cgroup, also from below.
if mkdir -p /sys/fs/cgroup/ktls-test/below 2>/dev/null &&
	[ -e /sys/fs/cgroup/ktls-test/below/cgroup.procs ]; then
	load 'allow cgroup /ktls-test'
	expect 0 'default deny' ktlsctl policy default deny
	out=$(sh -c 'echo $$ >/sys/fs/cgroup/ktls-test/below/cgroup.procs
		exec "$0" 0' "$here/tries.py" 2>&1)
	holds "$out" = $'ulp ok\ntx ok\nrx ok'
	tap $? "below the cgroup that is allowed"
	tries 0 'ulp ok' 'tx EPERM' 'rx EPERM'
	expect 0 'allow cgroup /ktls-test$' ktlsctl policy save -
	rmdir /sys/fs/cgroup/ktls-test/below /sys/fs/cgroup/ktls-test
fi

# A dry run denies nothing, and says what it would.
load 'deny rx'
expect 0 'dry run: nothing is denied' ktlsctl policy dry-run on
tries 0 'ulp ok' 'tx ok' 'rx ok'
expect 0 'rx +ok +dry-run 1 ' ktlsctl attempts --failed -c 1
expect 0 '^deny, but for the dry run' ktlsctl policy test rx "${key[@]}"
expect 3 'would deny them, but does not' ktlsctl policy check
expect 1 'dry-run off' ktlsctl policy check --shutdown
expect 0 'default allow$' ktlsctl policy dry-run off

# As they come.
timeout 20 ktlsctl attempts --follow -c 3 >"$work/events" 2>&1 &
follow=$!
sleep 2
tries 0 'ulp ok' 'tx ok' 'rx EPERM'
wait "$follow"
out=$(cat "$work/events")
holds "$(awk '{ print $2 $3 }' <<<"$out" | xargs)" = 'ulpok txok rxEPERM'
tap $? "attempts --follow"

# What had its keys before keeps them, until it is ended.
json "len(j['sockets']) == 4 and all(s['rule'] == 1 for s in j['sockets'])" \
	sh -c 'ktlsctl -j policy check; [ $? = 3 ]'
expect 3 '4 open sockets violate the policy' ktlsctl policy check
# With one end goes the other.
expect 0 '2 ended, 2 closed meanwhile, 0 not ended' ktlsctl policy check --shutdown
out=$(ss -tnH state established | grep -cE "[:]($(cut -d' ' -f2 "$work/pairs" |
	paste -sd'|'))( |\$)")
holds "$out" = 0
tap $? "none of them is connected any more"
kill "$pairs"
wait "$pairs" 2>/dev/null
expect 0 'No open socket violates' ktlsctl policy check

# Namespaces inherit, until they have their own.
ip netns add ktlsctl-policy
expect 0 'inherited +from the initial' ktlsctl --netns ktlsctl-policy policy show
expect 0 'policy of its own' ktlsctl --netns ktlsctl-policy policy add deny tx
expect 0 '2 +0 +deny tx' ktlsctl --netns ktlsctl-policy policy show
json "len(j['rule']) == 1" "${ktls[@]}" policy show
expect 0 'none|no policy' ktlsctl --netns ktlsctl-policy policy reset
ip netns exec ktlsctl-policy ip link set lo up
ktlsctl policy reset >/dev/null
start_pairs ip netns exec ktlsctl-policy
pairs=$!
load 'deny version 1.3'
expect 0 'No open socket' ktlsctl policy check
expect 0 '2 ended, 2 closed' ktlsctl --netns ktlsctl-policy policy check --shutdown
kill "$pairs"
wait "$pairs" 2>/dev/null
ip netns del ktlsctl-policy

# As large as one may be, there and back; one more is refused.
for i in $(seq 256); do
	echo "deny tx version 1.3 cipher aes-gcm-128 mode hw uid $i port $i sport $i dport $i comm fifteen-letters"
done >"$work/policy"
expect 0 '256 rules' ktlsctl policy load "$work/policy"
ktlsctl policy save "$work/saved"
json "len(j['rule']) == 256" "${ktls[@]}" policy show
out=$(diff <(ktlsctl -j policy load --check "$work/policy") \
	<(ktlsctl -j policy load --check "$work/saved"))
tap $? "load reads what save wrote"
expect 1 '256 rules' ktlsctl policy add deny
expect 0 'no policy of this' ktlsctl policy reset

# It goes with the module.
load 'deny rx'
rmmod ktls
expect 1 'not loaded' ktlsctl policy show
load_ktls
tries 0 'ulp ok' 'tx ok' 'rx ok'

finish
