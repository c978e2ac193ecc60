/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A certificate, its issuers and its private key, as files have them. */
#ifndef IDENTITY_H
#define IDENTITY_H

#include <openssl/evp.h>
#include <openssl/x509.h>
#include <stdbool.h>
#include <stdint.h>

#include "message.h"

/* Of a reason, in struct message_identity_state. */
#define IDENTITY_ERROR sizeof(((struct message_identity_state *)0)->error)

/* Enough for any chain; longer files are not read. */
#define IDENTITY_FILE_MAX (128 * 1024)

struct identity {
	EVP_PKEY *key;
	uint32_t certificates;	/* in der: each with its length (4 bytes) before it */
	uint32_t len;
	unsigned char *der;
	int64_t not_after;	/* seconds since the epoch */
	uint8_t serial[20];
	uint32_t serial_len;
};

/*
 * Reads a certificate with its chain, and its key; @key may be the same file.  %NULL
 * if they cannot be used, with the reason in @error: one sentence.
 */
struct identity *identity_load(const char *chain, const char *key,
			       char error[IDENTITY_ERROR]);
void identity_free(struct identity *i);

/* The certificate alone, whatever its key; likewise. */
X509 *identity_certificate(const char *chain, char error[IDENTITY_ERROR]);
/* Its serial, as in it; returns its length. */
uint32_t identity_serial(const X509 *certificate, uint8_t serial[20]);

/* The same certificates; they are with the same key then. */
bool identity_same(const struct identity *a, const struct identity *b);

#endif /* IDENTITY_H */
