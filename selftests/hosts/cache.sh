# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# What takes long to make is made once, and kept outside the checkout. It is
# there in full or not at all: whoever interrupts the making starts it anew.

cache=${XDG_CACHE_HOME:-$HOME/.cache}/ktls

# cache_name KIND/NAME - the directory's name, from the recipe on standard input
cache_name()
{
	local key

	key=$(sha256sum)
	echo "$cache/$1-${key:0:12}"
}

# cache_need DIR TEXT COMMAND... - make DIR with COMMAND, which has the name to
# make it under as its last argument, unless it is there.
cache_need()
{
	local dir=$1 text=$2 lock
	shift 2

	if [ ! -d "$dir" ]; then
		mkdir -p "${dir%/*}"
		# Of two runs, the second waits and finds what the first made.
		exec {lock}>"$dir.lock"
		flock "$lock"
		[ -d "$dir" ] || step "$cache/log/${dir##*/}" "$text" \
			cache_make "$dir" "$@"
		exec {lock}>&-
	fi
	touch "$dir"
}

cache_make()
{
	local dir=$1
	shift

	# Recipes change, and a root is large.
	find "$cache"/*/ -mindepth 1 -maxdepth 1 -mtime +30 \
		-exec rm -rf --one-file-system {} +

	rm -rf --one-file-system "$dir.tmp"
	# shellcheck disable=SC2064 # now, as dir is local
	trap "rm -rf --one-file-system '$dir.tmp'" EXIT
	"$@" "$dir.tmp"
	mv "$dir.tmp" "$dir"
}
