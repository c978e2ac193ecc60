// SPDX-License-Identifier: GPL-2.0-or-later
/* A certificate, its issuers and its private key, as files have them. */
#include <errno.h>
#include <fcntl.h>
#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "identity.h"
#include "ktlsd.h"

/* A file, in memory that is wiped: there may be a key in it. */
struct text {
	const char *path;
	char *data;		/* ends with a NUL behind @len */
	size_t len;
	size_t size;		/* of @data */
};

__attribute__((format(printf, 2, 3)))
static bool fail(char error[IDENTITY_ERROR], const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	vsnprintf(error, IDENTITY_ERROR, format, ap);
	va_end(ap);
	/* What OpenSSL had to say is no use to a reader. */
	ERR_clear_error();
	return false;
}

static void text_free(struct text *t)
{
	OPENSSL_secure_clear_free(t->data, t->size);
	t->data = NULL;
}

static bool text_fill(int fd, struct text *t, char *error)
{
	struct stat st;
	ssize_t n;

	if (fstat(fd, &st))
		return fail(error, "%s cannot be read: %m", t->path);
	if (!S_ISREG(st.st_mode))
		return fail(error, "%s is not a file", t->path);
	if (st.st_size > IDENTITY_FILE_MAX)
		return fail(error,
			    "%s is longer than %d KiB: no certificate with its chain is",
			    t->path, IDENTITY_FILE_MAX / 1024);
	t->size = st.st_size + 1;
	t->data = OPENSSL_secure_malloc(t->size);
	if (!t->data)
		return fail(error, "no memory to read %s", t->path);
	/* What is written to it now is another change. */
	do {
		n = read(fd, t->data + t->len, t->size - 1 - t->len);
		if (n > 0)
			t->len += n;
	} while (n > 0 || (n < 0 && errno == EINTR));
	if (n < 0)
		return fail(error, "%s cannot be read: %m", t->path);
	if (!t->len)
		return fail(error, "%s is empty", t->path);
	t->data[t->len] = '\0';
	return true;
}

static bool text_read(const char *path, struct text *t, char *error)
{
	/* Whoever put a FIFO there does not stop us. */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	bool good;

	memset(t, 0, sizeof(*t));
	t->path = path;
	if (fd < 0)
		return fail(error, "%s cannot be opened: %m", path);
	good = text_fill(fd, t, error);
	close(fd);
	if (!good)
		text_free(t);
	return good;
}

/* The last line may be as far as a writer had got. */
static bool text_is_cut(const struct text *t)
{
	static const char begin[] = "-----BEGIN ";
	const char *line = memrchr(t->data, '\n', t->len);
	size_t len;

	line = line ? line + 1 : t->data;
	len = t->data + t->len - line;
	if (len > strlen(begin))
		len = strlen(begin);
	return len && !strncmp(line, begin, len);
}

static const char *subject(X509 *x, char *name, int size)
{
	X509_NAME *n = X509_get_subject_name(x);

	if (X509_NAME_get_text_by_NID(n, NID_commonName, name, size) <= 0)
		X509_NAME_oneline(n, name, size);
	return name;
}

static STACK_OF(X509) *read_chain(const struct text *t, char *error)
{
	BIO *bio = BIO_new_mem_buf(t->data, t->len);
	STACK_OF(X509) *chain = sk_X509_new_null();
	unsigned char *data = NULL;
	char *name = NULL, *header = NULL;
	const unsigned char *at;
	bool good = bio && chain;
	X509 *x;
	long len;

	if (!good)
		fail(error, "no memory to read %s", t->path);
	/* Other things may be between them, as the key. */
	while (good && PEM_read_bio_ex(bio, &name, &header, &data, &len,
				       PEM_FLAG_SECURE |
				       PEM_FLAG_EAY_COMPATIBLE)) {
		if (!strcmp(name, PEM_STRING_X509) ||
		    !strcmp(name, PEM_STRING_X509_OLD)) {
			at = data;
			x = d2i_X509(NULL, &at, len);
			good = x && sk_X509_push(chain, x);
			if (!good) {
				X509_free(x);
				fail(error, "certificate %d in %s is damaged",
				     sk_X509_num(chain) + 1, t->path);
			}
		}
		OPENSSL_secure_free(name);
		OPENSSL_secure_free(header);
		OPENSSL_secure_clear_free(data, len);
	}
	if (good && (ERR_GET_REASON(ERR_peek_last_error()) !=
		     PEM_R_NO_START_LINE || text_is_cut(t)))
		good = fail(error,
			    "%s is damaged or half-written (%d certificates before that are whole): write it anew, and rename it into place",
			    t->path, sk_X509_num(chain));
	if (good && !sk_X509_num(chain))
		good = fail(error,
			    "%s holds no certificate: a PEM file with \"BEGIN CERTIFICATE\" is needed",
			    t->path);
	ERR_clear_error();
	BIO_free(bio);
	if (good)
		return chain;
	sk_X509_pop_free(chain, X509_free);
	return NULL;
}

/* Nobody is there to be asked. */
static int no_passphrase(char *buf, int size, int writing, void *asked)
{
	(void)buf;
	(void)size;
	(void)writing;
	*(bool *)asked = true;
	return -1;
}

static EVP_PKEY *read_key(const struct text *t, char *error)
{
	BIO *bio = BIO_new_mem_buf(t->data, t->len);
	EVP_PKEY *key = NULL;
	bool asked = false;

	if (bio)
		key = PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, &asked);
	BIO_free(bio);
	if (key) {
		ERR_clear_error();
		return key;
	}
	if (asked)
		fail(error,
		     "the private key in %s is encrypted, and nobody can be asked for its passphrase: decrypt it with \"openssl pkey\"",
		     t->path);
	else if (!strstr(t->data, "PRIVATE KEY-----"))
		fail(error,
		     "%s holds no private key: a PEM file with \"BEGIN PRIVATE KEY\" is needed",
		     t->path);
	else
		fail(error,
		     "the private key in %s is damaged, half-written or of an unknown kind: \"openssl pkey -in\" has to be able to read it",
		     t->path);
	return NULL;
}

static bool check_kind(EVP_PKEY *key, const char *path, char *error)
{
	char curve[64] = "explicit parameters";
	size_t len;

	switch (EVP_PKEY_get_base_id(key)) {
	case EVP_PKEY_RSA:
		if (EVP_PKEY_get_bits(key) >= 2048)
			return true;
		return fail(error,
			    "the RSA key of %s has %d bits, and is too weak: take at least 2048",
			    path, EVP_PKEY_get_bits(key));
	case EVP_PKEY_EC:
		EVP_PKEY_get_group_name(key, curve, sizeof(curve), &len);
		if (!strcmp(curve, SN_X9_62_prime256v1) ||
		    !strcmp(curve, SN_secp384r1) || !strcmp(curve, SN_secp521r1))
			return true;
		return fail(error,
			    "the EC key of %s is of a curve (%s) that TLS does not take: use P-256, P-384 or P-521",
			    path, curve);
	case EVP_PKEY_ED25519:
	case EVP_PKEY_ED448:
		return true;
	default:
		return fail(error,
			    "the key of %s is of a kind (%s) that is not supported: use RSA, EC, Ed25519 or Ed448",
			    path, EVP_PKEY_get0_type_name(key) ?: "unknown");
	}
}

static bool check_fits(STACK_OF(X509) *chain, EVP_PKEY *key,
		       const struct text *c, const struct text *k, char *error)
{
	int i;

	for (i = 0; i < sk_X509_num(chain); i++) {
		if (X509_check_private_key(sk_X509_value(chain, i), key))
			break;
	}
	if (!i)
		return true;
	if (i < sk_X509_num(chain))
		return fail(error,
			    "the private key in %s is that of certificate %d in %s: put that one first, and then its issuers",
			    k->path, i + 1, c->path);
	return fail(error,
		    "the private key in %s is not the one of the certificate in %s: both have to be from the same request",
		    k->path, c->path);
}

/* That it can be used, and not only that its public half is right. */
static bool check_signs(X509 *x, EVP_PKEY *key, const struct text *k,
			char *error)
{
	static const unsigned char content[] = "ktlsd tries a key";
	EVP_MD_CTX *sign = EVP_MD_CTX_new(), *verify = EVP_MD_CTX_new();
	EVP_PKEY *public = X509_get0_pubkey(x);
	unsigned char signature[2048];
	size_t len = sizeof(signature);
	const char *md = NULL;
	bool good;

	if (EVP_PKEY_get_base_id(key) == EVP_PKEY_RSA ||
	    EVP_PKEY_get_base_id(key) == EVP_PKEY_EC)
		md = "SHA256";
	good = sign && verify &&
	       EVP_DigestSignInit_ex(sign, NULL, md, NULL, NULL, key, NULL) > 0 &&
	       EVP_DigestSign(sign, signature, &len, content,
			      sizeof(content)) > 0 &&
	       EVP_DigestVerifyInit_ex(verify, NULL, md, NULL, NULL, public,
				       NULL) > 0 &&
	       EVP_DigestVerify(verify, signature, len, content,
				sizeof(content)) > 0;
	EVP_MD_CTX_free(sign);
	EVP_MD_CTX_free(verify);
	if (good)
		return true;
	return fail(error,
		    "the private key in %s is damaged: its signatures are not right",
		    k->path);
}

static const char *date(const ASN1_TIME *t, char *text, size_t size)
{
	struct tm tm;

	if (!ASN1_TIME_to_tm(t, &tm) ||
	    !strftime(text, size, "%Y-%m-%d %H:%M:%S UTC", &tm))
		snprintf(text, size, "an unreadable date");
	return text;
}

/*
 * The dates of the certificate alone: issuers that are over are sent on purpose at
 * times, for the sake of old clients.
 */
static bool check_dates(X509 *x, const struct text *c, char *error)
{
	char when[64];

	/* 0 is an error, as a date that is none. */
	if (X509_cmp_current_time(X509_get0_notBefore(x)) >= 0)
		return fail(error,
			    "the certificate in %s is not valid before %s: check the clock of this machine",
			    c->path,
			    date(X509_get0_notBefore(x), when, sizeof(when)));
	if (X509_cmp_current_time(X509_get0_notAfter(x)) <= 0)
		return fail(error,
			    "the certificate in %s expired on %s: renew it",
			    c->path,
			    date(X509_get0_notAfter(x), when, sizeof(when)));
	return true;
}

static bool issues(X509 *issuer, X509 *x)
{
	EVP_PKEY *key = X509_get0_pubkey(issuer);

	return key && X509_check_issued(issuer, x) == X509_V_OK &&
	       X509_verify(x, key) > 0;
}

static bool check_order(STACK_OF(X509) *chain, const struct text *c,
			char *error)
{
	char a[128], b[128];
	int i, j;

	for (i = 0; i + 1 < sk_X509_num(chain); i++) {
		X509 *x = sk_X509_value(chain, i);

		if (issues(sk_X509_value(chain, i + 1), x))
			continue;
		for (j = 0; j < sk_X509_num(chain); j++) {
			if (j != i && issues(sk_X509_value(chain, j), x))
				break;
		}
		subject(x, a, sizeof(a));
		subject(sk_X509_value(chain, i + 1), b, sizeof(b));
		if (j < sk_X509_num(chain))
			return fail(error,
				    "the chain in %s is out of order: certificate %d (%s) is issued by number %d, not by number %d (%s) that follows it",
				    c->path, i + 1, a, j + 1, i + 2, b);
		return fail(error,
			    "the chain in %s is wrong: certificate %d (%s) is not issued by number %d (%s) that follows it, nor by another one in the file",
			    c->path, i + 1, a, i + 2, b);
	}
	return true;
}

static bool put_chain(struct identity *id, STACK_OF(X509) *chain,
		      const struct text *c, char *error)
{
	unsigned char *at;
	uint32_t len;
	int i;

	for (i = 0; i < sk_X509_num(chain); i++)
		id->len += sizeof(len) + i2d_X509(sk_X509_value(chain, i), NULL);
	if (id->len > MESSAGE_MAX - sizeof(struct message_identity))
		return fail(error,
			    "the chain in %s is longer than any client would take",
			    c->path);
	at = malloc(id->len);
	id->der = at;
	if (!at)
		return fail(error, "no memory for the chain in %s", c->path);
	id->certificates = sk_X509_num(chain);
	for (i = 0; i < sk_X509_num(chain); i++) {
		len = i2d_X509(sk_X509_value(chain, i), NULL);
		memcpy(at, &len, sizeof(len));
		at += sizeof(len);
		i2d_X509(sk_X509_value(chain, i), &at);
	}
	return true;
}

uint32_t identity_serial(const X509 *certificate, uint8_t serial[20])
{
	const ASN1_INTEGER *number = X509_get0_serialNumber(certificate);
	int len = ASN1_STRING_length(number);

	/* Longer ones are none. */
	if (len > 20)
		len = 20;
	memcpy(serial, ASN1_STRING_get0_data(number), len);
	return len;
}

static void put_facts(struct identity *id, X509 *x)
{
	struct tm tm = {};

	ASN1_TIME_to_tm(X509_get0_notAfter(x), &tm);
	id->not_after = timegm(&tm);
	id->serial_len = identity_serial(x, id->serial);
}

static bool load(struct identity *id, const struct text *c,
		 const struct text *k, char *error)
{
	STACK_OF(X509) *chain = read_chain(c, error);
	X509 *x;
	bool good;

	if (!chain)
		return false;
	id->key = read_key(k, error);
	x = sk_X509_value(chain, 0);
	good = id->key && check_kind(id->key, k->path, error) &&
	       check_fits(chain, id->key, c, k, error) &&
	       check_signs(x, id->key, k, error) &&
	       check_dates(x, c, error) && check_order(chain, c, error) &&
	       put_chain(id, chain, c, error);
	if (good)
		put_facts(id, x);
	sk_X509_pop_free(chain, X509_free);
	return good;
}

struct identity *identity_load(const char *chain, const char *key,
			       char error[IDENTITY_ERROR])
{
	bool one = !strcmp(chain, key), good;
	struct text c, k = {};
	struct identity *id;

	if (!text_read(chain, &c, error))
		return NULL;
	if (!one && !text_read(key, &k, error)) {
		text_free(&c);
		return NULL;
	}
	id = calloc(1, sizeof(*id));
	good = id ? load(id, &c, one ? &c : &k, error) :
		    fail(error, "no memory for %s", chain);
	text_free(&c);
	text_free(&k);
	ERR_clear_error();
	if (good)
		return id;
	identity_free(id);
	return NULL;
}

X509 *identity_certificate(const char *path, char error[IDENTITY_ERROR])
{
	STACK_OF(X509) *chain;
	struct text t;
	X509 *x;

	if (!text_read(path, &t, error))
		return NULL;
	chain = read_chain(&t, error);
	text_free(&t);
	x = chain ? sk_X509_shift(chain) : NULL;
	sk_X509_pop_free(chain, X509_free);
	return x;
}

void identity_free(struct identity *i)
{
	if (!i)
		return;
	EVP_PKEY_free(i->key);
	free(i->der);
	free(i);
}

bool identity_same(const struct identity *a, const struct identity *b)
{
	return a->len == b->len && !memcmp(a->der, b->der, a->len);
}
