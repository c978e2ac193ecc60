#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# Requests at random, by the specification. A kernel that checks itself gets a
# million; MESSAGES and SEED say otherwise.

spec=../../Documentation/netlink/specs/ktls.yaml

cd "$(dirname "$0")" || exit
[ -e /sys/kernel/debug/kmemleak ] && messages=1000000 || messages=100000
./fuzz_table.py $spec | ./fuzz "${MESSAGES:-$messages}" ${SEED:+"$SEED"}
