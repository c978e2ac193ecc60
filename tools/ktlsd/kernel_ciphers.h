/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Versions and ciphers that this kernel takes. */
#ifndef KERNEL_CIPHERS_H
#define KERNEL_CIPHERS_H

#include <stdbool.h>
#include <stdint.h>

struct kernel_ciphers {
	unsigned int count;	/* 0: it has no TLS at all */
	struct {
		uint16_t version;
		uint16_t cipher;	/* TLS_CIPHER_... */
	} list[8];
};

/* Tried the first time, with throw-away keys: needs a loopback device. */
const struct kernel_ciphers *kernel_ciphers(void);
bool kernel_ciphers_has(const struct kernel_ciphers *k, uint16_t version,
			uint16_t cipher);

#endif /* KERNEL_CIPHERS_H */
