/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What TLS signs, told from anything else that a key could be misused for. */
#ifndef SIGNABLE_H
#define SIGNABLE_H

#include <stddef.h>
#include <stdint.h>

enum signable {
	SIGNABLE_NOT,
	SIGNABLE_TLS_1_3,	/* CertificateVerify of a server or a client */
	SIGNABLE_TLS_1_2,	/* ServerKeyExchange, or a client's CertificateVerify */
};

enum signable signable(const uint8_t *content, size_t len);

#endif /* SIGNABLE_H */
