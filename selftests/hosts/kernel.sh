# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# The debug host's kernel: Debian's source with debug.config, compiled in the
# root of sid. It is a layer to be put over that root.

# kernel_dir ROOT - where the kernel for ROOT is, or will be. The key is what it
# is made from; not ROOT as such, as a new package there changes no kernel.
kernel_dir()
{
	{ cat "$hosts/debug.config"; declare -f kernel_build
	  basename "$1"/boot/vmlinuz-*; } | cache_name kernels/debug
}

# kernel_build VERSION - runs inside the root. The working directory becomes
# the layer.
kernel_build()
{
	local version=$1 release src

	apt-get update
	apt-get download "linux-source-$version"
	dpkg-deb --fsys-tarfile linux-source-*.deb |
		tar -xO "./usr/src/linux-source-$version.tar.xz" |
		tar -xJ --exclude='drivers/gpu/drm/*/*.[ch]'
	rm linux-source-*.deb

	cd "linux-source-$version"
	make -s tinyconfig
	scripts/kconfig/merge_config.sh -m .config ../debug.config
	make -s olddefconfig
	# What the fragment asks for may depend on what it does not.
	sed -n 's/^# \(CONFIG_.*\) is not set$/\1=/p' ../debug.config >../unset
	grep '^CONFIG_' ../debug.config | grep -vFx -f .config >../missing || true
	grep -F -f ../unset .config >>../missing || true
	[ ! -s ../missing ] || { echo 'not as debug.config wants:'; cat ../missing; false; }

	make -j"$(nproc)" bzImage modules
	release=$(make -s kernelrelease)
	cd ..

	src=usr/src/linux-$release
	mkdir -p boot usr/lib usr/src
	ln -s usr/lib lib
	mv "linux-source-$version" "$src"
	cp "$src/arch/x86/boot/bzImage" "boot/vmlinuz-$release"
	cp "$src/.config" "boot/config-$release"
	cp "$src/System.map" "boot/System.map-$release"
	make -s -C "$src" INSTALL_MOD_PATH="$PWD" modules_install
	ln -sfn "../../../src/linux-$release" "usr/lib/modules/$release/build"

	# A module's build wants headers, makefiles and scripts, but no source.
	find "$src" -path "$src/scripts" -prune -o \
		-path "$src/tools/objtool" -prune -o \
		-type f ! -name '*.h' ! -name 'Makefile*' ! -name 'Kbuild*' \
		! -name 'Kconfig*' ! -name '*.mk' ! -name '*.lds' \
		! -name '*.include' ! -name Module.symvers ! -name '.config' \
		! -name '*.conf' ! -name '*.cmd' ! -name '*.release' \
		! -name vmlinux -exec rm {} +
	find "$src" -type d -empty -delete
	rm debug.config missing unset
}

# kernel_make ROOT LAYER
kernel_make()
{
	local version

	version=$(basename "$1"/boot/vmlinuz-*)
	version=$(cut -d. -f1,2 <<<"${version#vmlinuz-}")
	mkdir -p "$2"
	cp "$hosts/debug.config" "$2/"
	# It gets the source from Debian: the network stays.
	native_net=
	native_run "$1" "$2" bash -e -o pipefail -c \
		"$(declare -f kernel_build); kernel_build $version"
}

# kernel_need ROOT - make its debug kernel unless the cache has it.
kernel_need()
{
	cache_need "$(kernel_dir "$1")" \
		'making the debug kernel, which takes a quarter of an hour' \
		kernel_make "$1"
}
