# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# Without a guest: COMMAND runs on this machine's kernel inside the host's
# root, in namespaces of its own, and with a throw-away layer over the root,
# as the root is shared by all runs.

native_net=--net

# Runs in the new namespaces.
native_enter()
{
	local layers=$1 tree=$2 new=$3
	shift 3

	# Neither layers nor tree are beneath it, wherever they are.
	mount -t tmpfs tmpfs "$new"
	mkdir "$new/upper" "$new/work" "$new/root"
	mount -t overlay overlay "$new/root" \
		-o "lowerdir=$layers,upperdir=$new/upper,workdir=$new/work"
	mount --bind "$tree" "$new/root/ktls"
	mount -t proc proc "$new/root/proc"
	mount --rbind /sys "$new/root/sys"
	mount --rbind /dev "$new/root/dev"
	mount -t tmpfs tmpfs "$new/root/tmp"
	mount -t tmpfs tmpfs "$new/root/run"
	hostname "$KTLS_HOST"
	ip link set lo up

	# No exec: as the first process of its namespace, a make that is told to end
	# would not.
	chroot "$new/root" env -C /ktls -- "$@"
}

# native_run LAYERS TREE COMMAND...
native_run()
{
	local layers=$1 tree=$2
	shift 2

	mkdir -p "$cache/mnt"
	# bash -c, as a function does not survive unshare.
	# shellcheck disable=SC2086 # $native_net may be empty
	env -i "${environment[@]}" \
		unshare --mount --pid --ipc --uts $native_net --fork --kill-child \
		bash -e -c '. "$0"; native_enter "$@"' "$hosts/native.sh" \
		"$layers" "$tree" "$cache/mnt" "$@"
}
