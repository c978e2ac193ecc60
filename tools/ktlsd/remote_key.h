/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Private keys that are in another process: to OpenSSL a key as any other, which
 * signs by asking that process.
 */
#ifndef REMOTE_KEY_H
#define REMOTE_KEY_H

#include <openssl/evp.h>
#include <openssl/x509.h>
#include <stdbool.h>
#include <stdint.h>

/* Registers the provider; once, before anything else.  False if OpenSSL cannot. */
bool remote_key_init(void);

/*
 * Where signatures come from, from now on: a message socket to the key process, which
 * stays the caller's.  To sign is to receive a message: bodies of former ones are
 * gone.  A socket that fails is shut down, and there are no signatures until the next.
 */
void remote_key_set_channel(int fd);

/*
 * The key of this certificate: RSA, EC, Ed25519 or Ed448.  %NULL without memory, or
 * for another kind.  The caller frees it.
 */
EVP_PKEY *remote_key_new(X509 *certificate, uint32_t identity,
			 uint32_t generation);

#endif /* REMOTE_KEY_H */
