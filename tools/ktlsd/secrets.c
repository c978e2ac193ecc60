// SPDX-License-Identifier: GPL-2.0-or-later
/* From a handshake to the keys that the kernel wants. */
#include <errno.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <string.h>

#include "ktlsd.h"
#include "secrets.h"

#define RANDOM_LEN 32
#define MASTER_LEN 48
/* AES: a part of the nonce that does not change, and one that does. */
#define SALT_LEN 4
#define IV_LEN 12

_Static_assert(TLS_CIPHER_AES_GCM_128_SALT_SIZE == SALT_LEN &&
	       TLS_CIPHER_AES_GCM_256_SALT_SIZE == SALT_LEN &&
	       TLS_CIPHER_AES_CCM_128_SALT_SIZE == SALT_LEN, "salt");
_Static_assert(TLS_CIPHER_CHACHA20_POLY1305_IV_SIZE == IV_LEN, "nonce");

/* To look up an algorithm costs more than to use it: for each hash a context. */
static EVP_KDF_CTX *hkdf_sha256, *hkdf_sha384;
static EVP_KDF *prf;
static int ssl_index = -1;

static EVP_KDF_CTX *new_hkdf(EVP_KDF *hkdf, const char *digest)
{
	int mode = EVP_KDF_HKDF_MODE_EXPAND_ONLY;
	const OSSL_PARAM params[] = {
		OSSL_PARAM_int(OSSL_KDF_PARAM_MODE, &mode),
		OSSL_PARAM_utf8_string(OSSL_KDF_PARAM_DIGEST, (char *)digest,
				       strlen(digest)),
		OSSL_PARAM_END
	};
	EVP_KDF_CTX *ctx = EVP_KDF_CTX_new(hkdf);

	if (ctx && EVP_KDF_CTX_set_params(ctx, params) > 0)
		return ctx;
	EVP_KDF_CTX_free(ctx);
	return NULL;
}

bool secrets_init(void)
{
	EVP_KDF *hkdf = EVP_KDF_fetch(NULL, "HKDF", NULL);

	if (hkdf) {
		hkdf_sha256 = new_hkdf(hkdf, "SHA256");
		hkdf_sha384 = new_hkdf(hkdf, "SHA384");
	}
	EVP_KDF_free(hkdf);
	prf = EVP_KDF_fetch(NULL, "TLS1-PRF", NULL);
	ssl_index = SSL_get_ex_new_index(0, NULL, NULL, NULL, NULL);
	return hkdf_sha256 && hkdf_sha384 && prf && ssl_index >= 0;
}

void secrets_forget(struct secrets *s)
{
	OPENSSL_cleanse(s, sizeof(*s));
}

void kernel_key_forget(struct kernel_key *key)
{
	OPENSSL_cleanse(key, sizeof(*key));
}

static bool read_hex(const char *s, uint8_t *bytes, size_t len)
{
	size_t i;
	int high, low;

	for (i = 0; i < len; i++, s += 2) {
		high = OPENSSL_hexchar2int(s[0]);
		low = high < 0 ? -1 : OPENSSL_hexchar2int(s[1]);
		if (low < 0)
			return false;
		bytes[i] = high << 4 | low;
	}
	return !*s;
}

/* A line of SSLKEYLOGFILE: label, client random, secret. */
static void keep_secret(const SSL *ssl, const char *line)
{
	struct secrets *s = SSL_get_ex_data(ssl, ssl_index);
	static const char *const labels[SECRET_SIDES] = {
		[SECRET_CLIENT] = "CLIENT_TRAFFIC_SECRET_0 ",
		[SECRET_SERVER] = "SERVER_TRAFFIC_SECRET_0 ",
	};
	const char *hex = strrchr(line, ' ');
	size_t len;
	int i;

	if (!s || !hex)
		return;
	hex++;
	len = strlen(hex) / 2;
	for (i = 0; i < SECRET_SIDES; i++) {
		if (strncmp(line, labels[i], strlen(labels[i])) ||
		    len > sizeof(s->traffic[i]))
			continue;
		if (read_hex(hex, s->traffic[i], len))
			s->len = len;
	}
}

void secrets_watch(SSL_CTX *ctx)
{
	SSL_CTX_set_keylog_callback(ctx, keep_secret);
}

bool secrets_collect(SSL *ssl, struct secrets *secrets)
{
	return SSL_set_ex_data(ssl, ssl_index, secrets);
}

uint16_t secrets_cipher(const SSL_CIPHER *cipher)
{
	const char *name = SSL_CIPHER_get_name(cipher);

	/* The kernel has none with a short tag. */
	if (strstr(name, "CCM8") || strstr(name, "CCM_8"))
		return 0;
	switch (SSL_CIPHER_get_cipher_nid(cipher)) {
	case NID_aes_128_gcm:
		return TLS_CIPHER_AES_GCM_128;
	case NID_aes_256_gcm:
		return TLS_CIPHER_AES_GCM_256;
	case NID_aes_128_ccm:
		return TLS_CIPHER_AES_CCM_128;
	case NID_chacha20_poly1305:
		return TLS_CIPHER_CHACHA20_POLY1305;
	}
	return 0;
}

static size_t key_len(uint16_t cipher)
{
	switch (cipher) {
	case TLS_CIPHER_AES_GCM_256:
	case TLS_CIPHER_CHACHA20_POLY1305:
		return 32;
	default:
		return 16;
	}
}

/* HKDF-Expand-Label without a context (RFC 8446, 7.1). */
static bool expand_label(const struct secrets *s, const uint8_t *secret,
			 const char *label, uint8_t *out, size_t len)
{
	EVP_KDF_CTX *kdf = s->len == 48 ? hkdf_sha384 : hkdf_sha256;
	static uint8_t nothing[1];
	size_t label_len = strlen(label);
	uint8_t info[32];
	OSSL_PARAM params[] = {
		OSSL_PARAM_octet_string(OSSL_KDF_PARAM_KEY, (void *)secret,
					s->len),
		OSSL_PARAM_octet_string(OSSL_KDF_PARAM_INFO, info,
					10 + label_len),
		OSSL_PARAM_END
	};
	const OSSL_PARAM forget[] = {
		OSSL_PARAM_octet_string(OSSL_KDF_PARAM_KEY, nothing,
					sizeof(nothing)),
		OSSL_PARAM_END
	};
	bool ok;

	info[0] = len >> 8;
	info[1] = len;
	info[2] = 6 + label_len;
	memcpy(info + 3, "tls13 ", 6);
	memcpy(info + 9, label, label_len);
	info[9 + label_len] = 0;
	ok = EVP_KDF_derive(kdf, out, len, params) > 0;
	EVP_KDF_CTX_set_params(kdf, forget);
	return ok;
}

socklen_t kernel_key_len(uint16_t cipher)
{
	switch (cipher) {
	case TLS_CIPHER_AES_GCM_128:
		return sizeof(struct tls12_crypto_info_aes_gcm_128);
	case TLS_CIPHER_AES_GCM_256:
		return sizeof(struct tls12_crypto_info_aes_gcm_256);
	case TLS_CIPHER_AES_CCM_128:
		return sizeof(struct tls12_crypto_info_aes_ccm_128);
	default:
		return sizeof(struct tls12_crypto_info_chacha20_poly1305);
	}
}

static void put_sequence(uint8_t *to, uint64_t n)
{
	int i;

	for (i = 7; i >= 0; i--, n >>= 8)
		to[i] = n;
}

/* @iv: IV_LEN bytes. */
static void fill_key(const struct secrets *s, const uint8_t *key,
		     const uint8_t *iv, uint64_t sequence, struct kernel_key *k)
{
	memset(k, 0, sizeof(*k));
	k->info.version = s->version;
	k->info.cipher_type = s->cipher;
	k->len = kernel_key_len(s->cipher);
#define FILL_AES(what) do {						\
	memcpy(k->what.key, key, sizeof(k->what.key));			\
	memcpy(k->what.salt, iv, SALT_LEN);				\
	memcpy(k->what.iv, iv + SALT_LEN, sizeof(k->what.iv));		\
	put_sequence(k->what.rec_seq, sequence);			\
} while (0)
	switch (s->cipher) {
	case TLS_CIPHER_AES_GCM_128:
		FILL_AES(aes_gcm_128);
		break;
	case TLS_CIPHER_AES_GCM_256:
		FILL_AES(aes_gcm_256);
		break;
	case TLS_CIPHER_AES_CCM_128:
		FILL_AES(aes_ccm_128);
		break;
	case TLS_CIPHER_CHACHA20_POLY1305:
		memcpy(k->chacha20_poly1305.key, key,
		       sizeof(k->chacha20_poly1305.key));
		memcpy(k->chacha20_poly1305.iv, iv, IV_LEN);
		put_sequence(k->chacha20_poly1305.rec_seq, sequence);
		break;
	}
#undef FILL_AES
}

/* RFC 8446, 7.3 */
static int derive_side(const struct secrets *s, enum secret_side side,
		       uint64_t sequence, struct kernel_key *k)
{
	uint8_t key[32], iv[IV_LEN];
	bool ok;

	ok = expand_label(s, s->traffic[side], "key", key, key_len(s->cipher)) &&
	     expand_label(s, s->traffic[side], "iv", iv, IV_LEN);
	if (ok)
		fill_key(s, key, iv, sequence, k);
	OPENSSL_cleanse(key, sizeof(key));
	OPENSSL_cleanse(iv, sizeof(iv));
	return ok ? 0 : -EIO;
}

/* The key block (RFC 5246, 6.3): keys, then what is fixed of the nonces. */
static int derive_block(SSL *ssl, const struct secrets *s,
			struct kernel_key sides[SECRET_SIDES])
{
	const EVP_MD *md = SSL_CIPHER_get_handshake_digest(SSL_get_current_cipher(ssl));
	size_t key = key_len(s->cipher);
	size_t iv = s->cipher == TLS_CIPHER_CHACHA20_POLY1305 ? IV_LEN : SALT_LEN;
	uint8_t master[MASTER_LEN], seed[13 + 2 * RANDOM_LEN] = "key expansion";
	uint8_t block[2 * (32 + IV_LEN)], nonce[IV_LEN];
	OSSL_PARAM params[] = {
		OSSL_PARAM_utf8_string(OSSL_KDF_PARAM_DIGEST,
				       (char *)EVP_MD_get0_name(md),
				       strlen(EVP_MD_get0_name(md))),
		OSSL_PARAM_octet_string(OSSL_KDF_PARAM_SECRET, master,
					sizeof(master)),
		OSSL_PARAM_octet_string(OSSL_KDF_PARAM_SEED, seed,
					sizeof(seed)),
		OSSL_PARAM_END
	};
	EVP_KDF_CTX *kdf = EVP_KDF_CTX_new(prf);
	int i, err = -EIO;

	if (!kdf ||
	    SSL_SESSION_get_master_key(SSL_get_session(ssl), master,
				       sizeof(master)) != sizeof(master) ||
	    SSL_get_server_random(ssl, seed + 13, RANDOM_LEN) != RANDOM_LEN ||
	    SSL_get_client_random(ssl, seed + 13 + RANDOM_LEN, RANDOM_LEN) !=
	    RANDOM_LEN ||
	    EVP_KDF_derive(kdf, block, 2 * (key + iv), params) <= 0)
		goto out;
	/* Of the explicit part, which is sent, only that it never comes twice. */
	for (i = 0; i < SECRET_SIDES; i++) {
		memcpy(nonce, block + 2 * key + i * iv, iv);
		if (iv == SALT_LEN)
			put_sequence(nonce + SALT_LEN, 1);
		/* Finished was number 0. */
		fill_key(s, block + i * key, nonce, 1, &sides[i]);
	}
	err = 0;
out:
	EVP_KDF_CTX_free(kdf);
	OPENSSL_cleanse(master, sizeof(master));
	OPENSSL_cleanse(block, sizeof(block));
	OPENSSL_cleanse(nonce, sizeof(nonce));
	return err;
}

int secrets_derive(SSL *ssl, struct secrets *s, uint64_t records,
		   struct kernel_key *tx, struct kernel_key *rx)
{
	const SSL_CIPHER *cipher = SSL_get_current_cipher(ssl);
	bool server = SSL_is_server(ssl);
	struct kernel_key sides[SECRET_SIDES];
	int err;

	s->version = SSL_version(ssl);
	s->cipher = cipher ? secrets_cipher(cipher) : 0;
	if (!s->cipher)
		return -EPROTONOSUPPORT;
	if (s->version == TLS1_3_VERSION) {
		if (!s->len)
			return -EIO;
		err = derive_side(s, SECRET_CLIENT, server ? 0 : records,
				  &sides[SECRET_CLIENT]);
		if (!err)
			err = derive_side(s, SECRET_SERVER,
					  server ? records : 0,
					  &sides[SECRET_SERVER]);
	} else if (s->version == TLS1_2_VERSION) {
		err = derive_block(ssl, s, sides);
	} else {
		return -EPROTONOSUPPORT;
	}
	if (!err) {
		*tx = sides[server ? SECRET_SERVER : SECRET_CLIENT];
		*rx = sides[server ? SECRET_CLIENT : SECRET_SERVER];
	}
	OPENSSL_cleanse(sides, sizeof(sides));
	return err;
}

int secrets_renew(struct secrets *s, enum secret_side side,
		  struct kernel_key *key)
{
	uint8_t next[sizeof(s->traffic[0])];
	int err = -EIO;

	if (expand_label(s, s->traffic[side], "traffic upd", next, s->len)) {
		memcpy(s->traffic[side], next, s->len);
		err = derive_side(s, side, 0, key);
	}
	OPENSSL_cleanse(next, sizeof(next));
	return err;
}
