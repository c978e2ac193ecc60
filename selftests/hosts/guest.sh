# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# A guest: the host's root under its own kernel, in QEMU. The root is shared
# read-only over 9p beneath a tmpfs, /ktls and the job are shares as well, so
# that there is no disk to make, to lock or to repair.

# What in the console's log makes a run fail.
guest_splat='BUG:|WARNING:|Call Trace|Oops|Kernel panic|Unable to handle|general protection fault|UBSAN:|INFO: (task|rcu|possible|suspicious)|unreferenced object|guest-init:'

# Seconds until the command has begun: an idle machine takes 15, or 80 with the
# debug kernel.
guest_patience=${KTLS_BOOT_PATIENCE:-600}

# guest_initramfs JOB LAYERS - busybox, guest-init, and the modules that lead to
# the root.
guest_initramfs()
{
	local layers=$2 tmp=$1/initramfs.d module name names=

	mkdir -p "$tmp"/{bin,dev,proc,sys,modules}
	cp "${layers##*:}/bin/busybox" "$tmp/bin/"
	cp "$hosts/guest-init" "$tmp/init"

	while read -r _ module _; do
		name=${module##*/}
		case $name in
		*.xz)	name=${name%.xz}; xz -dc "$module" >"$tmp/modules/$name" ;;
		*.zst)	name=${name%.zst}; zstd -dcq "$module" >"$tmp/modules/$name" ;;
		*)	cp "$module" "$tmp/modules/" ;;
		esac
		[[ " $names " = *" $name "* ]] || names+=" $name"
	done < <(modprobe -d "${layers%%:*}" -S "$version" --show-depends -a \
			virtio_pci virtio_console virtio_rng \
			9pnet_virtio 9p overlay | grep ^insmod)

	cat >"$tmp/settings" <<-END
		host=$host
		layers='$guest_layers'
		modules='$names'
	END
	(cd "$tmp" && find . | cpio -o -H newc -R 0:0 --quiet) >"$1/initramfs"
}

# guest_accel KERNEL - "kvm" where a guest is known to boot with it, else "tcg":
# /dev/kvm alone proves nothing. The verdict holds for this kernel and QEMU.
guest_accel()
{
	local kernel=$1 key verdict

	[ -w /dev/kvm ] || { echo tcg; return; }

	key=$( (uname -a; grep -m1 'model name' /proc/cpuinfo
		qemu-system-x86_64 --version) | sha256sum)
	verdict=$cache/kvm-${key:0:12}
	if [ ! -e "$verdict" ]; then
		# Without a root the kernel panics and the guest ends: that
		# it got there is enough.
		timeout -k 1 20 qemu-system-x86_64 -nodefaults -no-user-config \
			-display none -no-reboot -accel kvm -cpu host -m 512 \
			-serial stdio -kernel "$kernel" \
			-append 'console=ttyS0 panic=-1' </dev/null 2>&1 |
			grep -q 'Unable to mount root' &&
			echo kvm >"$verdict.$$" || echo tcg >"$verdict.$$"
		mv "$verdict.$$" "$verdict"
		say "KVM probed: guests run with $(<"$verdict")"
	fi
	echo "$(<"$verdict")"
}

# guest_run LAYERS TREE COMMAND... - LAYERS as overlayfs has them, the one
# with the kernel first.
guest_run()
{
	local layers=$1 tree=$2 kernel job layer accel reader status attempt
	local guest_layers='' n=0 share='local,multidevs=remap,security_model=none'
	local -a shares=() machine=() tty=()
	shift 2

	kernel=$(echo "${layers%%:*}"/boot/vmlinuz-*)
	job=$(mktemp -d "${TMPDIR:-/tmp}/ktls-$host.XXXXXX")
	# shellcheck disable=SC2064 # now, as job is local
	trap "guest_clean '$job'" EXIT
	trap 'exit 130' INT
	trap 'exit 143' TERM HUP

	for layer in ${layers//:/ }; do
		guest_layers+=" layer$n"
		shares+=(-virtfs "$share,path=$layer,mount_tag=layer$n,readonly=on")
		n=$((n + 1))
	done
	shares+=(-virtfs "$share,path=$tree,mount_tag=ktls"
		 -virtfs "$share,path=$job,mount_tag=job")

	guest_initramfs "$job" "$layers"
	cp "$hosts/guest-job" "$job/"
	printf 'export %q\n' "${environment[@]}" >"$job/environment"
	printf '#!/bin/bash\ncd /ktls\nexec' >"$job/command"
	printf ' %q' "$@" >>"$job/command"
	chmod +x "$job/command"
	: >"$job/output"

	if $icount; then
		# Time is the number of instructions executed. With erms and
		# fsrm a whole copy would count as one.
		cpus=1
		machine=(-accel tcg,thread=single -cpu max,-erms,-fsrm
			 -icount shift=0,align=off,sleep=off
			 -rtc base=utc,clock=vm)
		append="nokaslr norandmaps $append"
	else
		accel=$(guest_accel "$kernel")
		machine=(-accel "$accel" -cpu max)
	fi

	if $interactive; then
		stty size >"$job/interactive" 2>/dev/null
		tty=(-chardev stdio,id=tty,signal=off -device virtio-serial-pci
		     -device virtconsole,chardev=tty)
	fi

	ln -sfn "$job/console.log" "$tree/$console"
	for attempt in 1 2 3; do
		guest_boot
		# Under TCG, QEMU 10 aborts now and then while the firmware maps
		# devices, and on a busy machine a kernel finds that its timers
		# do not work. Who boots never fails three times.
		[ $status -ne 124 ] && [ $status -ne 137 ] &&
			[ ! -e "$job/begun" ] && [ $attempt -lt 3 ] || break
		say "$host: ended before the command began; once more"
	done

	guest_verdict "$job" "$tree/$console" $status
}

# guest_boot - with what guest_run has prepared; QEMU's exit code is in status.
guest_boot()
{
	# However this script ends, even by SIGKILL, the guest ends with it.
	setpriv --pdeathsig TERM \
	timeout --foreground -k 5 "$timeout" \
	setpriv --pdeathsig KILL \
	qemu-system-x86_64 -nodefaults -no-user-config -display none -no-reboot \
		"${machine[@]}" -smp "$cpus" -m "$mem" \
		-kernel "$kernel" -initrd "$job/initramfs" \
		-append "console=ttyS0 loglevel=5 oops=panic panic=-1 $append" \
		-serial "file:$job/console.log" \
		-device virtio-rng-pci "${shares[@]}" "${tty[@]}" \
		<&0 2>"$job/qemu.log" &
	qemu=$!		# global, for guest_clean
	guest_watch "$qemu" &

	# In the background, as a trap waits for what is in the foreground.
	tail -q -n +1 -s 0.1 -f --pid=$qemu "$job/output" &
	reader=$!
	status=0
	wait $qemu || status=$?
	wait $reader
}

# guest_watch PID - end a guest that hangs before its command has begun, as the
# clocks of a machine that is busy can make it, so that it is started once more
guest_watch()
{
	local begin=$SECONDS

	while kill -0 "$1" 2>/dev/null && [ ! -e "$job/begun" ]; do
		if [ $((SECONDS - begin)) -ge "$guest_patience" ]; then
			kill -ABRT "$1"
			return
		fi
		sleep 1
	done
}

guest_clean()
{
	[ -z "${qemu:-}" ] || kill "$qemu" 2>/dev/null
	rm -rf "$1"
}

# guest_verdict JOB CONSOLE STATUS - from QEMU's exit code, the guest's and the console
# to the exit code of the run.
guest_verdict()
{
	local job=$1 console=$2 status=$3

	grep -v 'terminating on signal' "$job/qemu.log" >&2
	mv "$job/console.log" "$console"
	[ ! -e "$job/leaks-found" ] || cat "$job/leaks-found" >>"$console"

	if grep -E -q "$guest_splat" "$console"; then
		say "$host: the kernel complained; from $console:"
		grep -E -B 5 -A 40 "$guest_splat" "$console" | head -n 200 >&2
		[ -s "$job/status" ] && [ "$(<"$job/status")" -ne 0 ] &&
			exit "$(<"$job/status")"
		exit 1
	fi

	[ -s "$job/status" ] && exit "$(<"$job/status")"

	if [ "$status" -eq 124 ] || [ "$status" -eq 137 ]; then
		say "$host: no end after $timeout s; the end of $console:"
		status=124
	else
		say "$host: the guest died; the end of $console:"
		status=1
	fi
	tail -n 30 "$console" >&2
	exit $status
}
