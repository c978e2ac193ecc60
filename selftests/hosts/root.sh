# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# The root of a host: a Debian release with its own kernel, headers, compiler
# and libraries. This file and packages are its recipe, and the key of the
# cache is their hash: change either, and every root is made anew.

mirror=${KTLS_MIRROR:-http://deb.debian.org/debian}

# root_dir RELEASE - where its root is, or will be.
root_dir()
{
	local key

	key=$(sha256sum <"$hosts/root.sh" && sha256sum <"$hosts/packages")
	key=$(sha256sum <<<"$key$mirror")
	echo "$cache/roots/$1-${key:0:12}"
}

# The generator of netlink code, the checkers and the test harness of the
# kernel's own tree, at /usr/src/ynl with the paths they have there.
root_add_ynl()
{
	local root=$1 tmp=$1/tmp/source version

	version=$(basename "$root"/boot/vmlinuz-*)
	version=$(cut -d. -f1,2 <<<"${version#vmlinuz-}")
	mkdir "$tmp"
	(cd "$tmp" && apt-get download "linux-source-$version")
	dpkg-deb --fsys-tarfile "$tmp"/*.deb |
		tar -xO "./usr/src/linux-source-$version.tar.xz" >"$tmp/source.tar.xz"
	mkdir -p "$root/usr/src/ynl"
	# What is missing (6.1 has no ynl) is none of our business.
	xz -dc -T0 "$tmp/source.tar.xz" |
		tar -x -C "$root/usr/src/ynl" --strip-components=1 --wildcards \
			--no-wildcards-match-slash \
			"linux-source-$version/tools/net/ynl" \
			"linux-source-$version/Documentation/netlink" \
			"linux-source-$version/scripts/checkpatch.pl" \
			"linux-source-$version/scripts/spelling.txt" \
			"linux-source-$version/scripts/const_structs.checkpatch" \
			"linux-source-$version/scripts/kernel-doc*" \
			"linux-source-$version/scripts/lib/kdoc" \
			"linux-source-$version/tools/testing/selftests/kselftest*" \
			"linux-source-$version/tools/lib/python" || true
	test -f "$root/usr/src/ynl/scripts/checkpatch.pl"
	rm -r "$tmp"
}

root_make()
{
	local release=$1 root=$2 include sources=("$mirror")

	include=$(sed 's/#.*//' "$hosts/packages" | xargs | tr ' ' ,)
	rm -rf --one-file-system "$root.tmp"
	mkdir -p "${root%/*}"

	# Kernels are fixed there first.
	[ "$release" = sid ] ||
		sources+=("deb $mirror-security $release-security main")

	export hosts
	# sid's Release file may have expired where a mirror lags behind.
	INITRD=No mmdebstrap --mode=root --variant=apt \
		--include="$include" \
		--aptopt='APT::Install-Recommends "false"' \
		--aptopt='Acquire::Check-Valid-Until "false"' \
		--dpkgopt=force-unsafe-io \
		--dpkgopt='path-exclude=/usr/share/doc/*' \
		--dpkgopt='path-exclude=/usr/share/locale/*' \
		--dpkgopt='path-exclude=/usr/share/man/*' \
		--customize-hook='APT_CONFIG=$MMDEBSTRAP_APT_CONFIG \
			bash -e -c ". \"$hosts/root.sh\"; root_add_ynl \"$1\""' \
		--customize-hook='echo "127.0.0.1 localhost" >"$1/etc/hosts"' \
		--customize-hook='echo "::1 localhost" >>"$1/etc/hosts"' \
		--customize-hook='mkdir "$1/ktls"' \
		"$release" "$root.tmp" "${sources[@]}"
	mv "$root.tmp" "$root"
}

# root_need RELEASE - make its root unless the cache has it.
root_need()
{
	local release=$1 root lock

	root=$(root_dir "$release")
	[ -d "$root" ] && return

	# Two runs at once: the second waits, then finds the first one's root.
	mkdir -p "$cache"
	exec {lock}>"$cache/$release.lock"
	flock "$lock"
	[ -d "$root" ] || step "$cache/log/$release.log" \
		"making the root of $release" root_make "$release" "$root"
	exec {lock}>&-
}
