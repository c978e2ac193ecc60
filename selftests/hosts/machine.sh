# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# The machine that the hosts run on: the programs and rights that it must offer.

machine_missing()
{
	local program package major

	while read -r program package; do
		command -v "$program" >/dev/null || echo "$package"
	done <<-END
		cpio			cpio
		flock			util-linux
		git			git
		hostname		hostname
		ip			iproute2
		mmdebstrap		mmdebstrap
		modprobe		kmod
		mount			mount
		qemu-system-x86_64	qemu-system-x86
		rsync			rsync
		xz			xz-utils
		zstd			zstd
	END

	[ $EUID -eq 0 ] || command -v newuidmap >/dev/null || echo uidmap

	# QEMU 7.2 crashes a 7.2 kernel now and then where there is no KVM.
	if command -v qemu-system-x86_64 >/dev/null; then
		major=$(qemu-system-x86_64 --version | grep -o -m1 '[0-9]*' | head -n 1)
		[ "$major" -ge 8 ] || echo qemu-system-x86
	fi
}

machine_install()
{
	local -a from=()

	if [ "$(. /etc/os-release; echo "$VERSION_CODENAME")" = bookworm ]; then
		from=(-t bookworm-backports)
		apt-cache policy | grep -q n=bookworm-backports ||
			echo "deb ${mirror:?} bookworm-backports main" \
				>/etc/apt/sources.list.d/ktls-backports.list
	fi
	export DEBIAN_FRONTEND=noninteractive
	apt-get update
	apt-get install -y --no-install-recommends "${from[@]}" "$@"
}

# machine_need - install what is missing, or tell how.
machine_need()
{
	local -a missing=()
	local lock

	PATH=$PATH:/usr/sbin:/sbin
	mapfile -t missing < <(machine_missing)
	[ ${#missing[@]} -gt 0 ] || return 0

	if [ $EUID -ne 0 ] || ! command -v apt-get >/dev/null; then
		die "please install: ${missing[*]} (on Debian: sudo apt-get" \
		    "install ${missing[*]}; on Debian 12 QEMU must come from" \
		    "bookworm-backports)"
	fi
	mkdir -p "$cache"
	exec {lock}>"$cache/machine.lock"
	flock "$lock"
	step "$cache/log/machine.log" "installing ${missing[*]}" \
		machine_install "${missing[@]}"
	exec {lock}>&-
}

# machine_root COMMAND... - run COMMAND, which is this script once more, as root:
# of a user namespace, where the user is not root already.
machine_root()
{
	[ $EUID -ne 0 ] || return 0
	exec unshare --map-root-user --map-auto --mount --pid --mount-proc \
		--fork --kill-child -- "$@"
	exit 1
}
