# SPDX-License-Identifier: GPL-2.0
# How this tree is built, tried and tested; Kbuild says what the kernel's build
# system is to make of it.
#
#	make			module and tools, for the running kernel
#	make install		both, as root; then: modprobe ktls && ktlsctl stats
#	make demo		see it work on a virtual machine, or with
#				HOST=local on this one
#	make check		test everything on three kernels
#		HOSTS="..."	on these of: bookworm trixie sid local
#		TESTS="..."	these only, e.g. TESTS="static ktls ktls:counters"
#	make check-full		as check, with every cell of ktlsd's matrix, more
#				bytes in each, and what takes it minutes to bear
#	make check-debug	all that needs a kernel, on one that checks itself
#	make bench		what it costs, in instructions
#	make mutate		whether the tests notice wrong counters
#	make generate		remake what comes from the netlink specification

KDIR ?= /lib/modules/$(shell uname -r)/build
HOSTS ?= bookworm trixie sid
HOST ?= trixie
RUN := selftests/hosts/run

all: modules tools

modules:
	$(MAKE) -C $(KDIR) M=$(CURDIR) modules

tools:
	$(MAKE) -C tools

selftests: tools
	$(MAKE) -C selftests

modules_install: modules
	$(MAKE) -C $(KDIR) M=$(CURDIR) modules_install
	depmod -a

install: modules_install
	$(MAKE) -C tools install
	ldconfig

demo:
	@selftests/demo/demo $(HOST)

check:
	@selftests/check $(if $(filter local,$(HOST)),local,$(HOSTS)) -- $(TESTS)

check-full:
	@KTLSD_FULL=1 TIMEOUT=14400 selftests/check \
		$(if $(filter local,$(HOST)),local,$(HOSTS)) -- $(TESTS)

check-debug:
	@selftests/check debug -- $(TESTS)

bench:
	@selftests/bench/bench $(HOSTS)

mutate: HOST := sid
mutate:
	@selftests/ktls/mutate.sh $(HOST)

generate:
	@$(RUN) --no-boot sid -- selftests/static generate
	cp build/sid/include/uapi/linux/ktls.h include/uapi/linux/
	cp build/sid/kmod/ktls/netlink_gen.h build/sid/kmod/ktls/netlink_gen.c \
		kmod/ktls/

clean:
	$(MAKE) -C $(KDIR) M=$(CURDIR) clean
	$(MAKE) -C tools clean
	$(MAKE) -C selftests clean

.PHONY: all modules tools selftests modules_install install demo check \
	check-full check-debug bench mutate generate clean
