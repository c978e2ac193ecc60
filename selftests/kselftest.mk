# SPDX-License-Identifier: GPL-2.0
# How tests are built that say TEST_GEN_PROGS and TEST_PROGS, as kselftests do.

# Where kselftest_harness.h is: tools/testing/selftests of a kernel tree.
KSFT_DIR ?= /usr/src/ynl/tools/testing/selftests
TOP := $(dir $(lastword $(MAKEFILE_LIST)))..

# Its unconnected size_t and long in printf formats are the harness's own.
CFLAGS ?= -O2 -g
CFLAGS += -Wall -Wextra -Wno-unused-parameter -Wno-missing-field-initializers \
	  -Wno-sign-compare $(if $(WERROR),-Werror)
CPPFLAGS += -D_GNU_SOURCE -I$(TOP)/include/uapi -I$(TOP)/tools/libktls \
	    -isystem $(KSFT_DIR)

all: $(TEST_GEN_PROGS) $(TEST_GEN_FILES)

list-tests:
	@printf '%s\n' $(TEST_GEN_PROGS) $(TEST_PROGS)

clean:
	$(RM) $(TEST_GEN_PROGS) $(TEST_GEN_FILES)

.PHONY: all clean list-tests
