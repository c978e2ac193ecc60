# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# What the tests of this directory share; each has set $here, and calls begin
# before its first check and finish after its last.
#
#	holds tap check expect json	checks; $out is what they are about
#	load_ktls start_pairs		the module, and sockets
#	need_nginx nginx_conf start_nginx
#					a server, and $work/{cert,key}.pem
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

# Skips the test without it, and without a client.
need_nginx()
{
	if ! command -v nginx >/dev/null || ! command -v curl >/dev/null; then
		echo "1..0 # SKIP needs nginx and curl"
		exit 4
	fi
}

# nginx_conf HTTP [MAIN] - for start_nginx: serves $work/www, with a certificate
# for localhost, and these directives within http and outside
nginx_conf()
{
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes \
		-keyout "$work/key.pem" -out "$work/cert.pem" \
		-subj /CN=localhost -addext subjectAltName=DNS:localhost \
		-days 2 2>/dev/null
	# Its workers are another user.
	chmod 755 "$work"
	cat >"$work/nginx.conf" <<-END
	daemon off;
	pid DIRECTORY/nginx.pid;
	error_log DIRECTORY/error.log;
	worker_processes 1;
	${2-}
	events {}
	http {
		access_log off;
		root $work/www;
		ssl_certificate $work/cert.pem;
		ssl_certificate_key $work/key.pem;
		$1
	}
	END
}

# start_nginx NAME URL COMMAND... - runs it behind these words, as $!, until URL
# is there; what is its own is in $work/NAME
start_nginx()
{
	local directory=$work/$1 url=$2

	shift 2
	mkdir -p "$directory"
	sed "s|DIRECTORY|$directory|" "$work/nginx.conf" >"$directory/nginx.conf"
	"$@" nginx -e "$directory/error.log" -c "$directory/nginx.conf" \
		-p "$directory" &
	for _ in {1..100}; do
		"$@" curl -skI -o /dev/null "$url" && return
		sleep 0.1
	done
}
