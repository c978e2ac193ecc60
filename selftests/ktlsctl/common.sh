# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# What the tests of this directory share; each has set $here, and calls begin
# before its first check and finish after its last.
#
#	holds tap check expect json	checks; $out is what they are about
#	load_ktls start_pairs		the module, and sockets
#
# A test's own restore() is called when it ends, with $work gone and what it
# started ended; python=... has definitions for its expressions.

n=0 failed=0
python=

# begin - with $work, a directory for what is temporary
begin()
{
	echo "TAP version 13"
	work=$(mktemp -d)
	trap cleanup EXIT
}

finish()
{
	echo "1..$n"
	exit "$failed"
}

restore()
{
	:
}

cleanup()
{
	# shellcheck disable=SC2046 # a word each
	kill $(jobs -p) 2>/dev/null
	wait 2>/dev/null
	rm -rf "$work"
	restore
}

# The condition, as a command that can be asked for its status.
holds()
{
	[ "$@" ]
}

# tap STATUS NAME
tap()
{
	n=$((n + 1))
	if [ "$1" = 0 ]; then
		echo "ok $n $2"
	else
		echo "not ok $n $2"
		echo "# ${out//$'\n'/$'\n# '}"
		failed=1
	fi
}

# is_true PYTHON - an expression about the JSON in $out, as j
is_true()
{
	python3 -c "
import json, re, sys
j = json.loads(sys.argv[1])
$python
sys.exit(not ($1))" "$out"
}

# check NAME PYTHON - as is_true
check()
{
	is_true "$2"
	tap $? "$1"
}

# json PYTHON COMMAND... - as is_true, of what the command prints
json()
{
	local expression=$1

	shift
	out=$("$@" 2>&1) && is_true "$expression"
	tap $? "$*: $expression"
}

# expect CODE REGEX COMMAND... - its exit code, and something that it says
expect()
{
	local code=$1 regex=$2 got=0

	shift 2
	out=$(timeout 20 "$@" 2>&1 </dev/null) || got=$?
	[ "$got" = "$code" ] && grep -qE -- "$regex" <<<"$out"
	tap $? "$* (exit $code)"
	[ "$got" = "$code" ] || echo "# exit code was $got"
}

# If it is not.
load_ktls()
{
	[ -e /sys/module/ktls ] || insmod "$here/../../kmod/ktls/ktls.ko"
}

# start_pairs COMMAND... - runs pairs.py behind these words, as $!; what it says of
# its sockets is in $work/pairs
start_pairs()
{
	: >"$work/pairs"
	"$@" "$here/pairs.py" 0 >"$work/pairs" &
	until [ "$(wc -l <"$work/pairs")" = 4 ]; do sleep 0.1; done
}
