/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The secrets of a TLS connection, and the kernel's keys that are derived from
 * them.  Only OpenSSL's public interface is asked, so that every version gives
 * the kernel both directions, and keys can be renewed when its SSL is long gone.
 */
#ifndef SECRETS_H
#define SECRETS_H

#include <linux/tls.h>
#include <openssl/ssl.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

/* What setsockopt() wants of one direction. */
struct kernel_key {
	union {
		struct tls_crypto_info info;
		struct tls12_crypto_info_aes_gcm_128 aes_gcm_128;
		struct tls12_crypto_info_aes_gcm_256 aes_gcm_256;
		struct tls12_crypto_info_aes_ccm_128 aes_ccm_128;
		struct tls12_crypto_info_chacha20_poly1305 chacha20_poly1305;
	};
	socklen_t len;
};

/* Whose records a secret is for. */
enum secret_side {
	SECRET_CLIENT,
	SECRET_SERVER,
	SECRET_SIDES,
};

struct secrets {
	uint16_t version;	/* as on the wire, and the kernel has it */
	uint16_t cipher;	/* TLS_CIPHER_..., 0: none that the kernel knows */
	uint8_t len;		/* bytes of a secret: its hash has as many */
	/* Of TLS 1.3: application traffic secrets (RFC 8446, 7.1). */
	uint8_t traffic[SECRET_SIDES][48];
};

/* Once, before any other. */
bool secrets_init(void);

/* Has @ctx's connections tell their secrets to the one set by secrets_collect(). */
void secrets_watch(SSL_CTX *ctx);
/* Where @ssl's secrets go. */
bool secrets_collect(SSL *ssl, struct secrets *secrets);

/* Does the kernel know this cipher, as TLS_CIPHER_...?  0 if not. */
uint16_t secrets_cipher(const SSL_CIPHER *cipher);

/*
 * The keys of both directions, after the handshake.  @records: how many this end
 * has sent under its application key, which is 0 with TLS 1.2.
 * Returns 0, -EPROTONOSUPPORT if no kernel knows what was negotiated, or -EIO if
 * OpenSSL fails.
 */
int secrets_derive(SSL *ssl, struct secrets *s, uint64_t records,
		   struct kernel_key *tx, struct kernel_key *rx);

/* The next key of one side, after a KeyUpdate (RFC 8446, 7.2). */
int secrets_renew(struct secrets *s, enum secret_side side,
		  struct kernel_key *key);

/* Of a cipher's structure. */
socklen_t kernel_key_len(uint16_t cipher);

void secrets_forget(struct secrets *s);
void kernel_key_forget(struct kernel_key *key);

#endif /* SECRETS_H */
