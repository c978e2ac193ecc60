// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Private keys that are in another process, as a provider of OpenSSL.
 *
 * The provider is in a library context of its own, where nobody looks for an
 * algorithm by its name: a key that was made there brings its provider along, and
 * all others stay with those of the default context.  What such a key cannot do
 * itself OpenSSL does with the public half, which is all that can be exported.
 */
#include <errno.h>
#include <openssl/core_dispatch.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/params.h>
#include <openssl/provider.h>
#include <openssl/rsa.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "ktlsd.h"
#include "message.h"
#include "remote_key.h"

/* Longer than the key process takes to read many new certificates. */
#define PATIENCE 10	/* seconds */

/* A struct remote_key, for import() alone: no other key brings one. */
#define PARAM_KEY "ktlsd-remote-key"

struct remote_key {
	EVP_PKEY *public;
	uint32_t identity;
	uint32_t generation;
};

enum digest {
	DIGEST_NONE,
	DIGEST_SHA256,
	DIGEST_SHA384,
	DIGEST_SHA512,
	DIGEST_OTHER,
};

/* A signature in the making. */
struct signer {
	const struct remote_key *key;
	enum digest digest;
	bool pss;
	unsigned char *content;	/* of updates */
	size_t len;
};

static OSSL_LIB_CTX *library;
static int channel = -1;

/* For the queue of OpenSSL, where the caller of the handshake finds it. */
#define fail(...) (ERR_raise_data(ERR_LIB_USER, 1, __VA_ARGS__), 0)

/* Keys: OSSL_OP_KEYMGMT. */

static void *key_new(void *provider)
{
	(void)provider;
	return calloc(1, sizeof(struct remote_key));
}

static void key_free(void *data)
{
	struct remote_key *key = data;

	if (key)
		EVP_PKEY_free(key->public);
	free(key);
}

static int key_has(const void *data, int selection)
{
	const struct remote_key *key = data;

	(void)selection;
	return key && key->public;
}

static int key_match(const void *a, const void *b, int selection)
{
	const struct remote_key *ka = a, *kb = b;

	(void)selection;
	return EVP_PKEY_eq(ka->public, kb->public) == 1;
}

static int key_import(void *data, int selection, const OSSL_PARAM params[])
{
	const OSSL_PARAM *p = OSSL_PARAM_locate_const(params, PARAM_KEY);
	struct remote_key *key = data;

	(void)selection;
	if (!p || p->data_type != OSSL_PARAM_OCTET_STRING ||
	    p->data_size != sizeof(*key))
		return 0;
	memcpy(key, p->data, sizeof(*key));
	return EVP_PKEY_up_ref(key->public);
}

static int key_export(void *data, int selection, OSSL_CALLBACK *callback,
		      void *arg)
{
	const struct remote_key *key = data;

	if (selection & OSSL_KEYMGMT_SELECT_PRIVATE_KEY)
		return 0;
	return EVP_PKEY_export(key->public, selection, callback, arg);
}

/* No type is a promise; key_import() and key_export() decide. */
static const OSSL_PARAM *key_types(int selection)
{
	static const OSSL_PARAM none[] = { OSSL_PARAM_END };

	(void)selection;
	return none;
}

static int key_get_params(void *data, OSSL_PARAM params[])
{
	const struct remote_key *key = data;

	return EVP_PKEY_get_params(key->public, params);
}

static const OSSL_PARAM *key_gettable_params(void *provider)
{
	static const OSSL_PARAM gettable[] = {
		OSSL_PARAM_int(OSSL_PKEY_PARAM_BITS, NULL),
		OSSL_PARAM_int(OSSL_PKEY_PARAM_SECURITY_BITS, NULL),
		OSSL_PARAM_int(OSSL_PKEY_PARAM_MAX_SIZE, NULL),
		OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_DEFAULT_DIGEST, NULL, 0),
		OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, NULL, 0),
		OSSL_PARAM_END
	};

	(void)provider;
	return gettable;
}

/* The name of default's signatures for EC keys is another one. */
static const char *key_operation_ec(int operation)
{
	return operation == OSSL_OP_SIGNATURE ? "ECDSA" : "EC";
}

#define FUNCTION(id, f) { id, (void (*)(void))(f) }

#define KEY_FUNCTIONS \
	FUNCTION(OSSL_FUNC_KEYMGMT_NEW, key_new), \
	FUNCTION(OSSL_FUNC_KEYMGMT_FREE, key_free), \
	FUNCTION(OSSL_FUNC_KEYMGMT_HAS, key_has), \
	FUNCTION(OSSL_FUNC_KEYMGMT_MATCH, key_match), \
	FUNCTION(OSSL_FUNC_KEYMGMT_IMPORT, key_import), \
	FUNCTION(OSSL_FUNC_KEYMGMT_IMPORT_TYPES, key_types), \
	FUNCTION(OSSL_FUNC_KEYMGMT_EXPORT, key_export), \
	FUNCTION(OSSL_FUNC_KEYMGMT_EXPORT_TYPES, key_types), \
	FUNCTION(OSSL_FUNC_KEYMGMT_GET_PARAMS, key_get_params), \
	FUNCTION(OSSL_FUNC_KEYMGMT_GETTABLE_PARAMS, key_gettable_params)

static const OSSL_DISPATCH key_functions[] = {
	KEY_FUNCTIONS,
	{ 0, NULL }
};

static const OSSL_DISPATCH key_functions_ec[] = {
	KEY_FUNCTIONS,
	FUNCTION(OSSL_FUNC_KEYMGMT_QUERY_OPERATION_NAME, key_operation_ec),
	{ 0, NULL }
};

/* Signatures: OSSL_OP_SIGNATURE. */

static void *signer_new(void *provider, const char *properties)
{
	(void)provider;
	(void)properties;
	return calloc(1, sizeof(struct signer));
}

static void signer_free(void *data)
{
	struct signer *s = data;

	free(s->content);
	free(s);
}

static void *signer_dup(void *data)
{
	const struct signer *s = data;
	struct signer *copy = malloc(sizeof(*copy));

	if (!copy)
		return NULL;
	*copy = *s;
	if (!s->content)
		return copy;
	copy->content = malloc(s->len);
	if (copy->content) {
		memcpy(copy->content, s->content, s->len);
		return copy;
	}
	free(copy);
	return NULL;
}

static enum digest digest_named(const char *name)
{
	static const struct {
		const char *name;
		enum digest digest;
	} names[] = {
		{ "", DIGEST_NONE },
		{ "UNDEF", DIGEST_NONE },
		{ "SHA256", DIGEST_SHA256 },
		{ "SHA2-256", DIGEST_SHA256 },
		{ "SHA-256", DIGEST_SHA256 },
		{ "SHA384", DIGEST_SHA384 },
		{ "SHA2-384", DIGEST_SHA384 },
		{ "SHA-384", DIGEST_SHA384 },
		{ "SHA512", DIGEST_SHA512 },
		{ "SHA2-512", DIGEST_SHA512 },
		{ "SHA-512", DIGEST_SHA512 },
	};
	size_t i;

	if (!name)
		return DIGEST_NONE;
	for (i = 0; i < ARRAY_SIZE(names); i++) {
		if (!strcasecmp(name, names[i].name))
			return names[i].digest;
	}
	return DIGEST_OTHER;
}

/* SignatureScheme, RFC 8446, 4.2.3; 0: there is none that we take. */
static uint16_t scheme(const struct signer *s)
{
	static const uint16_t pkcs1[] = { 0, 0x0401, 0x0501, 0x0601, 0 };
	static const uint16_t pss[] = { 0, 0x0804, 0x0805, 0x0806, 0 };
	static const uint16_t ecdsa[] = { 0, 0x0403, 0x0503, 0x0603, 0 };

	switch (EVP_PKEY_get_base_id(s->key->public)) {
	case EVP_PKEY_RSA:
		return s->pss ? pss[s->digest] : pkcs1[s->digest];
	case EVP_PKEY_EC:
		return ecdsa[s->digest];
	case EVP_PKEY_ED25519:
		return s->digest == DIGEST_NONE ? 0x0807 : 0;
	case EVP_PKEY_ED448:
		return s->digest == DIGEST_NONE ? 0x0808 : 0;
	default:
		return 0;
	}
}

static int set_padding(struct signer *s, const OSSL_PARAM *p)
{
	int mode = 0;

	if (p->data_type == OSSL_PARAM_UTF8_STRING) {
		if (!strcmp(p->data, OSSL_PKEY_RSA_PAD_MODE_PKCSV15))
			mode = RSA_PKCS1_PADDING;
		else if (!strcmp(p->data, OSSL_PKEY_RSA_PAD_MODE_PSS))
			mode = RSA_PKCS1_PSS_PADDING;
	} else if (!OSSL_PARAM_get_int(p, &mode)) {
		return 0;
	}
	if (mode != RSA_PKCS1_PADDING && mode != RSA_PKCS1_PSS_PADDING)
		return fail("a padding that TLS does not have");
	s->pss = mode == RSA_PKCS1_PSS_PADDING;
	return 1;
}

/* The only one in TLS is as long as the digest. */
static int check_salt(const struct signer *s, const OSSL_PARAM *p)
{
	static const int sizes[] = { 0, 32, 48, 64, 0 };
	int len;

	if (p->data_type == OSSL_PARAM_UTF8_STRING ?
	    !strcmp(p->data, OSSL_PKEY_RSA_PSS_SALT_LEN_DIGEST) :
	    OSSL_PARAM_get_int(p, &len) &&
	    (len == RSA_PSS_SALTLEN_DIGEST || len == sizes[s->digest]))
		return 1;
	return fail("a length of the salt that TLS does not have");
}

static int signer_set_params(void *data, const OSSL_PARAM params[])
{
	struct signer *s = data;
	const OSSL_PARAM *p;

	if (!params)
		return 1;
	p = OSSL_PARAM_locate_const(params, OSSL_SIGNATURE_PARAM_PAD_MODE);
	if (p && !set_padding(s, p))
		return 0;
	p = OSSL_PARAM_locate_const(params, OSSL_SIGNATURE_PARAM_PSS_SALTLEN);
	if (p && !check_salt(s, p))
		return 0;
	p = OSSL_PARAM_locate_const(params, OSSL_SIGNATURE_PARAM_MGF1_DIGEST);
	if (p && (p->data_type != OSSL_PARAM_UTF8_STRING ||
		  digest_named(p->data) != s->digest))
		return fail("a mask that TLS does not have");
	return 1;
}

static const OSSL_PARAM *signer_settable_params(void *data, void *provider)
{
	static const OSSL_PARAM none[] = { OSSL_PARAM_END };
	static const OSSL_PARAM rsa[] = {
		OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_PAD_MODE, NULL, 0),
		OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_PSS_SALTLEN, NULL, 0),
		OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_MGF1_DIGEST, NULL, 0),
		OSSL_PARAM_END
	};
	const struct signer *s = data;

	(void)provider;
	return !s || !s->key ||
	       EVP_PKEY_get_base_id(s->key->public) == EVP_PKEY_RSA ? rsa : none;
}

static int sign_init(void *data, const char *digest, void *key,
		     const OSSL_PARAM params[])
{
	struct signer *s = data;

	if (key)
		s->key = key;
	if (!s->key)
		return 0;
	s->digest = digest_named(digest);
	s->pss = false;
	s->len = 0;
	if (!scheme(s))
		return fail("a digest (%s) that TLS does not sign with this key",
			    digest ?: "none");
	return signer_set_params(s, params);
}

static int sign_update(void *data, const unsigned char *content, size_t len)
{
	struct signer *s = data;
	unsigned char *all;

	if (len > UINT16_MAX - s->len)
		return fail("more to be signed than a handshake has");
	all = realloc(s->content, s->len + len ?: 1);
	if (!all)
		return 0;
	memcpy(all + s->len, content, len);
	s->content = all;
	s->len += len;
	return 1;
}

/* An answer that comes too late would be taken for that to the next question. */
static int give_up(const char *why)
{
	if (channel >= 0)
		shutdown(channel, SHUT_RDWR);
	channel = -1;
	return fail("the key process %s", why);
}

static int ask(const struct signer *s, const unsigned char *content, size_t len,
	       unsigned char *signature, size_t *signature_len, size_t size)
{
	static union {
		struct message_sign sign;
		unsigned char bytes[sizeof(struct message_sign) + UINT16_MAX];
	} request;
	const struct message_signature *answer;
	struct message m;
	int err;

	if (len > UINT16_MAX)
		return fail("more to be signed than a handshake has");
	request.sign.identity = s->key->identity;
	request.sign.generation = s->key->generation;
	request.sign.scheme = scheme(s);
	request.sign.len = len;
	memcpy(request.sign.content, content, len);
	err = message_send(channel, MESSAGE_SIGN, &request,
			   sizeof(request.sign) + len, NULL, 0);
	if (err)
		return give_up(err == -EAGAIN ? "is stuck" : "is gone");
	err = message_receive(channel, &m);
	if (err <= 0)
		return give_up(err == -EAGAIN ? "does not answer" : "is gone");
	message_close_fds(&m);
	answer = m.body;
	if (m.type != MESSAGE_SIGNATURE ||
	    answer->len > m.len - sizeof(*answer))
		return give_up("answers with something else");
	if (answer->error)
		return fail("the key process does not sign this: %s",
			    strerror(-answer->error));
	if (answer->len > size)
		return fail("a signature longer than the key's");
	memcpy(signature, answer->signature, answer->len);
	*signature_len = answer->len;
	return 1;
}

static int sign(void *data, unsigned char *signature, size_t *signature_len,
		size_t size, const unsigned char *content, size_t len)
{
	const struct signer *s = data;

	if (!s->key)
		return 0;
	if (!signature) {
		*signature_len = EVP_PKEY_get_size(s->key->public);
		return 1;
	}
	return ask(s, content, len, signature, signature_len, size);
}

static int sign_final(void *data, unsigned char *signature,
		      size_t *signature_len, size_t size)
{
	const struct signer *s = data;

	return sign(data, signature, signature_len, size,
		    s->content ?: (const unsigned char *)"", s->len);
}

static const OSSL_DISPATCH signature_functions[] = {
	FUNCTION(OSSL_FUNC_SIGNATURE_NEWCTX, signer_new),
	FUNCTION(OSSL_FUNC_SIGNATURE_FREECTX, signer_free),
	FUNCTION(OSSL_FUNC_SIGNATURE_DUPCTX, signer_dup),
	FUNCTION(OSSL_FUNC_SIGNATURE_DIGEST_SIGN_INIT, sign_init),
	FUNCTION(OSSL_FUNC_SIGNATURE_DIGEST_SIGN_UPDATE, sign_update),
	FUNCTION(OSSL_FUNC_SIGNATURE_DIGEST_SIGN_FINAL, sign_final),
	FUNCTION(OSSL_FUNC_SIGNATURE_DIGEST_SIGN, sign),
	FUNCTION(OSSL_FUNC_SIGNATURE_SET_CTX_PARAMS, signer_set_params),
	FUNCTION(OSSL_FUNC_SIGNATURE_SETTABLE_CTX_PARAMS,
		 signer_settable_params),
	{ 0, NULL }
};

/* The provider. */

#define PROPERTIES "provider=ktlsd"

static const OSSL_ALGORITHM keys[] = {
	{ "RSA:rsaEncryption:1.2.840.113549.1.1.1", PROPERTIES, key_functions, "" },
	{ "EC:id-ecPublicKey:1.2.840.10045.2.1", PROPERTIES, key_functions_ec, "" },
	{ "ED25519:1.3.101.112", PROPERTIES, key_functions, "" },
	{ "ED448:1.3.101.113", PROPERTIES, key_functions, "" },
	{ NULL, NULL, NULL, NULL }
};

static const OSSL_ALGORITHM signatures[] = {
	{ "RSA:rsaEncryption:1.2.840.113549.1.1.1", PROPERTIES,
	  signature_functions, "" },
	{ "ECDSA", PROPERTIES, signature_functions, "" },
	{ "ED25519:1.3.101.112", PROPERTIES, signature_functions, "" },
	{ "ED448:1.3.101.113", PROPERTIES, signature_functions, "" },
	{ NULL, NULL, NULL, NULL }
};

static const OSSL_ALGORITHM *query(void *provider, int operation, int *no_cache)
{
	(void)provider;
	*no_cache = 0;
	switch (operation) {
	case OSSL_OP_KEYMGMT:
		return keys;
	case OSSL_OP_SIGNATURE:
		return signatures;
	default:
		return NULL;
	}
}

static int provider_init(const OSSL_CORE_HANDLE *handle,
			 const OSSL_DISPATCH *in, const OSSL_DISPATCH **out,
			 void **context)
{
	static const OSSL_DISPATCH functions[] = {
		FUNCTION(OSSL_FUNC_PROVIDER_QUERY_OPERATION, query),
		{ 0, NULL }
	};

	(void)in;
	*context = (void *)handle;
	*out = functions;
	return 1;
}

bool remote_key_init(void)
{
	library = OSSL_LIB_CTX_new();
	return library &&
	       OSSL_PROVIDER_add_builtin(library, "ktlsd", provider_init) &&
	       OSSL_PROVIDER_load(library, "ktlsd");
}

void remote_key_set_channel(int fd)
{
	const struct timeval patience = { .tv_sec = PATIENCE };

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	channel = fd;
}

static const char *kind(EVP_PKEY *public)
{
	switch (EVP_PKEY_get_base_id(public)) {
	case EVP_PKEY_RSA:
		return "RSA";
	case EVP_PKEY_EC:
		return "EC";
	case EVP_PKEY_ED25519:
		return "ED25519";
	case EVP_PKEY_ED448:
		return "ED448";
	default:
		return NULL;
	}
}

EVP_PKEY *remote_key_new(X509 *certificate, uint32_t identity,
			 uint32_t generation)
{
	struct remote_key data = {
		.public = X509_get0_pubkey(certificate),
		.identity = identity,
		.generation = generation,
	};
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_octet_string(PARAM_KEY, &data, sizeof(data)),
		OSSL_PARAM_construct_end(),
	};
	const char *name = data.public ? kind(data.public) : NULL;
	EVP_PKEY *key = NULL;
	EVP_PKEY_CTX *ctx;

	if (!name)
		return NULL;
	ctx = EVP_PKEY_CTX_new_from_name(library, name, NULL);
	if (!ctx || EVP_PKEY_fromdata_init(ctx) <= 0 ||
	    EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_KEYPAIR, params) <= 0)
		key = NULL;
	EVP_PKEY_CTX_free(ctx);
	return key;
}
