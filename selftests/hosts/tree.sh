# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# build/HOST, which a host sees as /ktls: the checkout's sources, and beside
# them whatever that host builds. Sources keep their time stamps, so that make
# finds only what has changed.

tree_list()
{
	cd "$checkout" || exit
	if [ -e .git ]; then
		git ls-files -z --cached --others --exclude-standard
	else
		find . -path ./build -prune -o \( -type f -o -type l \) -printf '%P\0'
	fi | LC_ALL=C sort -z -u
}

# tree_sync DIR - bring DIR up to date with the checkout.
tree_sync()
{
	local dir=$1 lock path

	mkdir -p "$dir"
	exec {lock}>"$dir.lock"
	flock "$lock"

	# git lists what is deleted but not yet committed, too: hence -e.
	tree_list | while IFS= read -r -d '' path; do
		if [ -e "$checkout/$path" ] || [ -L "$checkout/$path" ]; then
			printf '%s\0' "$path"
		fi
	done >"$dir.sources.new"

	# What was a source the last time and is none now must go; anything
	# else in DIR was built there, and stays.
	if [ -e "$dir.sources" ]; then
		LC_ALL=C comm -z -23 "$dir.sources" "$dir.sources.new" |
			(cd "$dir" && xargs -0 -r rm -f --)
	fi

	rsync --links --perms --times --from0 --files-from="$dir.sources.new" \
		"$checkout/" "$dir/"
	mv "$dir.sources.new" "$dir.sources"
	exec {lock}>&-
}
