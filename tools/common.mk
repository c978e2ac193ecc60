# SPDX-License-Identifier: GPL-2.0-or-later
# What the Makefiles of the tools share.

VERSION := 0.1.0

PREFIX ?= /usr/local
BINDIR ?= $(PREFIX)/sbin
LIBDIR ?= $(PREFIX)/lib
INCLUDEDIR ?= $(PREFIX)/include
MANDIR ?= $(PREFIX)/share/man
DOCDIR ?= $(PREFIX)/share/doc/ktls
UNITDIR ?= $(PREFIX)/lib/systemd/system
SYSUSERSDIR ?= $(PREFIX)/lib/sysusers.d
COMPLETIONDIR ?= $(PREFIX)/share/bash-completion/completions

CC ?= cc
AR ?= ar
INSTALL ?= install
PKG_CONFIG ?= pkg-config

TOOLS := $(patsubst %/,%,$(dir $(lastword $(MAKEFILE_LIST))))

CFLAGS ?= -O2 -g
ALL_CFLAGS := -std=gnu11 -Wall -Wextra -Wshadow -Wstrict-prototypes \
	      -Wmissing-prototypes -Wwrite-strings -MMD -MP -pthread \
	      -I$(TOOLS)/../include/uapi -I$(TOOLS)/libktls $(CFLAGS)
ALL_LDFLAGS := -pthread $(LDFLAGS)

# CI=1 or WERROR=1: a warning ends the build.
ifneq ($(filter 1 true,$(CI) $(WERROR)),)
ALL_CFLAGS += -Werror
endif

# SANITIZE=1: with the address and the undefined behaviour sanitizer, apart
# from the normal build.
ifeq ($(SANITIZE),1)
O := obj-san
ALL_CFLAGS += -fsanitize=address,undefined -fno-sanitize-recover=all \
	      -fno-omit-frame-pointer
ALL_LDFLAGS += -fsanitize=address,undefined
else
O := obj
endif

LIBKTLS_DIR := $(TOOLS)/libktls
LIBKTLS_A := $(LIBKTLS_DIR)/$(O)/libktls.a
