# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# The root of a host: a Debian release with its own kernel, headers, compiler
# and libraries.

mirror=${KTLS_MIRROR:-http://deb.debian.org/debian}

# root_packages RELEASE - the list that packages holds for it, with commas
root_packages()
{
	sed 's/#.*//' "$hosts/packages" |
		awk -v release="$1" '
			/\[/ && !match($0, "[[ ]" release "[] ]") { next }
			NF { print $1 }' | paste -sd,
}

# root_dir RELEASE - where its root is, or will be. A change of the recipe makes
# every root anew.
root_dir()
{
	{ declare -f root_make root_add_ynl; root_packages "$1"; echo "$mirror"; } |
		cache_name "roots/$1"
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

# root_make RELEASE ROOT
root_make()
{
	local release=$1 root=$2 sources=("$mirror")

	# Kernels are fixed there first.
	[ "$release" = sid ] ||
		sources+=("deb $mirror-security $release-security main")

	export hosts
	# sid's Release file may have expired where a mirror lags behind.
	INITRD=No mmdebstrap --mode=root --variant=apt \
		--include="$(root_packages "$release")" \
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
		"$release" "$root" "${sources[@]}"
}

# root_need RELEASE - make its root unless the cache has it.
root_need()
{
	cache_need "$(root_dir "$1")" "making the root of $1" root_make "$1"
}
