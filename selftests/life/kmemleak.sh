#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# What nobody points at any more, after all else has run: asked with the module
# loaded and again without it. Memory that was freed a moment ago may look lost
# at first.

ksft_skip=4
kmemleak=/sys/kernel/debug/kmemleak
ko=../../kmod/ktls/ktls.ko
status=0

cd "$(dirname "$0")" || exit
echo "TAP version 13"
if [ ! -w $kmemleak ]; then
	echo "1..0 # SKIP kernel without kmemleak"
	exit $ksft_skip
fi

# leaks NUMBER NAME - anything of ours, or found on the way through us?
leaks()
{
	sleep 6	# younger objects are not reported
	echo scan >$kmemleak
	sleep 6
	echo scan >$kmemleak
	if grep -q ktls $kmemleak; then
		sed 's/^/# /' $kmemleak | head -n 100
		echo "not ok $1 $2"
		status=1
	else
		echo "ok $1 $2 # $(grep -c ^unreferenced $kmemleak) of others"
	fi
}

echo "1..2"
[ -e /sys/module/ktls ] || insmod $ko || status=1
leaks 1 "nothing lost while loaded"
rmmod ktls || status=1
leaks 2 "nothing lost when unloaded"
insmod $ko || status=1
exit $status
