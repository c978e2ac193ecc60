# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# What the user is told. Standard output belongs to COMMAND alone: everything
# here goes to standard error.

say()
{
	printf 'hosts: %s\n' "$*" >&2
}

die()
{
	say "$@"
	exit 1
}

usage_error()
{
	say "$@"
	say "try: $0 --help"
	exit 2
}

# step LOG TEXT COMMAND... - run a long COMMAND with its output in LOG. A pipe
# gets one line, a terminal one line that shows that something moves.
step()
{
	local log=$1 text=$2 start=$SECONDS pid status=0
	shift 2

	mkdir -p "${log%/*}"
	set -m		# a process group of its own, to be ended as a whole
	(set -e; "$@") </dev/null >"$log" 2>&1 &
	pid=$!
	set +m
	trap 'kill -- -$pid 2>/dev/null; exit 130' INT TERM HUP

	if [ -t 2 ]; then
		while kill -0 $pid 2>/dev/null; do
			printf '\rhosts: %s, %d s\e[K' "$text" $((SECONDS - start)) >&2
			sleep 0.5
		done
		printf '\r\e[K' >&2
	else
		say "$text"
	fi

	wait $pid || status=$?
	trap - INT TERM HUP
	if [ $status -ne 0 ]; then
		say "$text: failed, exit code $status; the end of $log:"
		tail -n 20 "$log" >&2
		exit 1
	fi
	say "$text: done in $((SECONDS - start)) s"
}
