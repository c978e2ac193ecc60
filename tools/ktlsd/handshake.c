// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Handshakes with OpenSSL, in a worker.  Suites and groups are what openssl.cnf
 * says, without what the kernel does not take.
 */
#include <errno.h>
#include <openssl/err.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "handshake.h"
#include "kernel_ciphers.h"
#include "ktlsd.h"
#include "remote_key.h"

/* What a server sends of its own accord: as many as one more connection takes. */
#define TICKETS 1

struct identity {
	X509 *certificate;
	STACK_OF(X509) *issuers;
	EVP_PKEY *key;
};

struct counter_end {
	SSL_CTX *bare;		/* settings, without an identity */
	SSL_CTX **ctx;		/* one for each of its identities, or %NULL */
};

struct shop {
	const struct conf *conf;
	struct counter_end *ends;
	struct identity *identities;
	struct message_ticket_keys tickets;
};

static int shop_index = -1;	/* of SSL_CTX: the shop */
static int listener_index = -1;	/* of SSL_CTX: the listener */
static int handshake_index = -1;	/* of SSL */
static EVP_CIPHER *ticket_cipher;

/* Session tickets */

static int use_ticket_key(SSL *ssl, unsigned char *name, unsigned char *iv,
			  EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, int encrypt)
{
	struct shop *shop = SSL_CTX_get_ex_data(SSL_get_SSL_CTX(ssl),
						shop_index);
	const struct ticket_key *key = NULL;
	OSSL_PARAM params[3];
	uint32_t i;

	if (encrypt && shop->tickets.count) {
		key = &shop->tickets.keys[0];
		memcpy(name, key->name, sizeof(key->name));
		if (RAND_bytes(iv, 16) <= 0)
			return -1;
	}
	for (i = 0; !encrypt && i < shop->tickets.count; i++)
		if (!memcmp(name, shop->tickets.keys[i].name,
			    sizeof(key->name)))
			key = &shop->tickets.keys[i];
	if (!key)
		return 0;
	params[0] = OSSL_PARAM_construct_octet_string("key", (void *)key->hmac,
						      sizeof(key->hmac));
	params[1] = OSSL_PARAM_construct_utf8_string("digest", (char *)"SHA256",
						     0);
	params[2] = OSSL_PARAM_construct_end();
	if (EVP_MAC_CTX_set_params(mac, params) <= 0 ||
	    EVP_CipherInit_ex2(cipher, ticket_cipher, key->aes, iv, encrypt,
			       NULL) <= 0)
		return -1;
	/* A ticket under an older key is answered with one under the newest. */
	return key == &shop->tickets.keys[0] ? 1 : 2;
}

void shop_set_ticket_keys(struct shop *shop,
			  const struct message_ticket_keys *keys)
{
	shop->tickets = *keys;
	if (shop->tickets.count > ARRAY_SIZE(shop->tickets.keys))
		shop->tickets.count = 0;
}

/* Names */

static bool certificate_has(X509 *certificate, const char *name)
{
	return X509_check_host(certificate, name, 0,
			       X509_CHECK_FLAG_NEVER_CHECK_SUBJECT, NULL) > 0;
}

/* The client has said which server it wants. */
static int choose_identity(SSL *ssl, int *alert, void *arg)
{
	struct shop *shop = arg;
	size_t n = (uintptr_t)SSL_CTX_get_ex_data(SSL_get_SSL_CTX(ssl),
						  listener_index);
	const struct conf_listener *l = &shop->conf->listeners[n];
	const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
	size_t i;

	(void)alert;
	for (i = 0; name && i < l->identities_count; i++) {
		struct identity *id = &shop->identities[l->identities[i]];

		if (!shop->ends[n].ctx[i] || !certificate_has(id->certificate, name))
			continue;
		if (SSL_get_SSL_CTX(ssl) != shop->ends[n].ctx[i])
			SSL_set_SSL_CTX(ssl, shop->ends[n].ctx[i]);
		return SSL_TLSEXT_ERR_OK;
	}
	/* The first is for all others. */
	return name ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_NOACK;
}

static int choose_protocol(SSL *ssl, const unsigned char **out,
			   unsigned char *len, const unsigned char *in,
			   unsigned int in_len, void *arg)
{
	const struct handshake *h = SSL_get_ex_data(ssl, handshake_index);

	(void)arg;
	if (!h->alpn_len)
		return SSL_TLSEXT_ERR_NOACK;
	if (SSL_select_next_proto((unsigned char **)out, len, h->alpn,
				  h->alpn_len, in, in_len) !=
	    OPENSSL_NPN_NEGOTIATED)
		return SSL_TLSEXT_ERR_ALERT_FATAL;
	return SSL_TLSEXT_ERR_OK;
}

/* Settings */

/*
 * Of what openssl.cnf allows, what the kernel takes.  A key that only signs can't
 * decrypt: no key transport.
 */
static bool restrict_ciphers(SSL_CTX *ctx, const struct kernel_ciphers *kernel)
{
	STACK_OF(SSL_CIPHER) *list = SSL_CTX_get_ciphers(ctx);
	char tls12[4096] = "", tls13[512] = "";
	int i;

	for (i = 0; i < sk_SSL_CIPHER_num(list); i++) {
		const SSL_CIPHER *c = sk_SSL_CIPHER_value(list, i);
		int exchange = SSL_CIPHER_get_kx_nid(c);
		bool is_13 = exchange == NID_kx_any;
		char *to = is_13 ? tls13 : tls12;
		size_t room = is_13 ? sizeof(tls13) : sizeof(tls12);
		size_t len = strlen(to);

		if (!is_13 && exchange != NID_kx_ecdhe &&
		    exchange != NID_kx_dhe)
			continue;
		if (!kernel_ciphers_has(kernel, is_13 ? TLS1_3_VERSION :
					TLS1_2_VERSION, secrets_cipher(c)))
			continue;
		snprintf(to + len, room - len, "%s%s", len ? ":" : "",
			 SSL_CIPHER_get_name(c));
	}
	if (*tls12 ? !SSL_CTX_set_cipher_list(ctx, tls12) :
	    !SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION))
		return false;
	if (*tls13)
		return SSL_CTX_set_ciphersuites(ctx, tls13);
	return *tls12 && SSL_CTX_set_max_proto_version(ctx, TLS1_2_VERSION);
}

static void see_message(int write_p, int version, int type, const void *buf,
			size_t len, SSL *ssl, void *arg)
{
	struct handshake *h = SSL_get_ex_data(ssl, handshake_index);
	const uint8_t *message = buf;

	(void)version;
	(void)arg;
	if (!h || !h->over)
		return;
	if (write_p && type == SSL3_RT_HEADER)
		h->records++;
	if (write_p || type != SSL3_RT_HANDSHAKE)
		return;
	h->heard = true;
	if (len == 5 && message[0] == SSL3_MT_KEY_UPDATE) {
		h->key_updates++;
		h->key_update |= message[4];
	}
}

static void set_up_server(SSL_CTX *ctx, struct shop *shop,
			  const struct conf_listener *l)
{
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	/* They are sent when it is known how many records that makes. */
	SSL_CTX_set_num_tickets(ctx, 0);
	SSL_CTX_set_tlsext_ticket_key_evp_cb(ctx, use_ticket_key);
	SSL_CTX_set_tlsext_servername_callback(ctx, choose_identity);
	SSL_CTX_set_tlsext_servername_arg(ctx, shop);
	SSL_CTX_set_alpn_select_cb(ctx, choose_protocol, NULL);
	SSL_CTX_set_options(ctx, SSL_OP_CIPHER_SERVER_PREFERENCE |
			    SSL_OP_PRIORITIZE_CHACHA);
	if (l->client_auth != CLIENT_AUTH_NONE)
		SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER |
				   (l->client_auth == CLIENT_AUTH_REQUIRED ?
				    SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0), NULL);
}

static void set_up_client(SSL_CTX *ctx)
{
	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
}

/*
 * Those that the system trusts: all of them now, and not as OpenSSL would, each from
 * its directory when it is wanted.
 */
static bool read_system_authorities(SSL_CTX *ctx)
{
	const char *const files[] = {
		getenv(X509_get_default_cert_file_env()) ?: "",
		X509_get_default_cert_file(),
		"/etc/ssl/certs/ca-certificates.crt",
		"/etc/pki/tls/certs/ca-bundle.crt",
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(files); i++)
		if (!access(files[i], R_OK) && SSL_CTX_load_verify_file(ctx, files[i]))
			return true;
	/* Nobody, until some are installed. */
	ERR_clear_error();
	log_line(LOG_WARNING, "this system has no file of authorities; name one with ca, or install ca-certificates");
	return true;
}

/* Whom to trust, by files: while there are some. */
static bool read_authorities(SSL_CTX *ctx, const struct conf_listener *l)
{
	if (conf_is_client(l))
		return l->ca ? SSL_CTX_load_verify_file(ctx, l->ca) :
			       read_system_authorities(ctx);
	if (l->client_auth == CLIENT_AUTH_NONE)
		return true;
	SSL_CTX_set_client_CA_list(ctx, SSL_load_client_CA_file(l->ca));
	return SSL_CTX_get_client_CA_list(ctx) &&
	       SSL_CTX_load_verify_file(ctx, l->ca);
}

/* The same for an identity that comes when the sandbox is closed. */
static bool share_authorities(SSL_CTX *ctx, const SSL_CTX *bare)
{
	const STACK_OF(X509_NAME) *names = SSL_CTX_get_client_CA_list(bare);
	STACK_OF(X509_NAME) *copy = NULL;

	if (names) {
		copy = SSL_dup_CA_list(names);
		if (!copy)
			return false;
		SSL_CTX_set_client_CA_list(ctx, copy);
	}
	SSL_CTX_set1_cert_store(ctx, SSL_CTX_get_cert_store(bare));
	return true;
}

static SSL_CTX *new_ctx(struct shop *shop, size_t n)
{
	const struct conf_listener *l = &shop->conf->listeners[n];
	const struct kernel_ciphers *kernel = kernel_ciphers();
	bool client = conf_is_client(l);
	SSL_CTX *ctx = SSL_CTX_new(client ? TLS_client_method() :
				   TLS_server_method());

	if (!ctx)
		return NULL;
	if (SSL_CTX_get_min_proto_version(ctx) < TLS1_2_VERSION)
		SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
	/* Keys are ours to hand on; a second handshake would change them. */
	SSL_CTX_clear_options(ctx, SSL_OP_ENABLE_KTLS);
	SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION);
	SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE |
			 SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
			 SSL_MODE_RELEASE_BUFFERS);
	/* It returns after each message, so that none is read without end. */
	SSL_CTX_clear_mode(ctx, SSL_MODE_AUTO_RETRY);
	SSL_CTX_set_read_ahead(ctx, 0);
	SSL_CTX_set_msg_callback(ctx, see_message);
	secrets_watch(ctx);
	if (client)
		set_up_client(ctx);
	else
		set_up_server(ctx, shop, l);
	if (!SSL_CTX_set_ex_data(ctx, shop_index, shop) ||
	    !SSL_CTX_set_ex_data(ctx, listener_index, (void *)(uintptr_t)n) ||
	    !SSL_CTX_set_session_id_context(ctx, (const void *)l->name,
					    strnlen(l->name, 32)) ||
	    (kernel->count && !restrict_ciphers(ctx, kernel)) ||
	    !(shop->ends[n].bare ? share_authorities(ctx, shop->ends[n].bare) :
	      read_authorities(ctx, l))) {
		SSL_CTX_free(ctx);
		return NULL;
	}
	return ctx;
}

static SSL_CTX *new_ctx_with(struct shop *shop, size_t n, struct identity *id)
{
	SSL_CTX *ctx = new_ctx(shop, n);

	if (ctx && !SSL_CTX_use_cert_and_key(ctx, id->certificate, id->key,
					     id->issuers, 1)) {
		SSL_CTX_free(ctx);
		return NULL;
	}
	return ctx;
}

/* What OpenSSL complains of, in one line. */
static const char *openssl_error(void)
{
	unsigned long e = ERR_peek_last_error();
	const char *reason = e ? ERR_reason_error_string(e) : NULL;

	ERR_clear_error();
	return reason ?: "no reason given";
}

struct shop *shop_open(const struct conf *conf)
{
	struct shop *shop = calloc(1, sizeof(*shop));
	size_t n;

	if (shop_index < 0) {
		shop_index = SSL_CTX_get_ex_new_index(0, NULL, NULL, NULL, NULL);
		listener_index = SSL_CTX_get_ex_new_index(0, NULL, NULL, NULL,
							  NULL);
		handshake_index = SSL_get_ex_new_index(0, NULL, NULL, NULL, NULL);
		ticket_cipher = EVP_CIPHER_fetch(NULL, "AES-256-CBC", NULL);
	}
	if (!shop || !ticket_cipher) {
		free(shop);
		return NULL;
	}
	shop->conf = conf;
	shop->ends = calloc(conf->listeners_count, sizeof(*shop->ends));
	shop->identities = calloc(conf->identities_count ?: 1,
				  sizeof(*shop->identities));
	if (!shop->ends || !shop->identities)
		goto fail;
	for (n = 0; n < conf->listeners_count; n++) {
		const struct conf_listener *l = &conf->listeners[n];

		if (l->kind == LISTENER_HANDSHAKE)
			continue;
		shop->ends[n].ctx = calloc(l->identities_count ?: 1,
					   sizeof(SSL_CTX *));
		shop->ends[n].bare = new_ctx(shop, n);
		if (!shop->ends[n].ctx || !shop->ends[n].bare) {
			log_line(LOG_ERR, "%s: cannot be set up: %s%s%s",
				 l->name, openssl_error(), l->ca ? "; CA: " : "",
				 l->ca ?: "");
			goto fail;
		}
	}
	return shop;
fail:
	shop_close(shop);
	return NULL;
}

static void forget_identity(struct identity *id)
{
	X509_free(id->certificate);
	sk_X509_pop_free(id->issuers, X509_free);
	EVP_PKEY_free(id->key);
	memset(id, 0, sizeof(*id));
}

void shop_close(struct shop *shop)
{
	size_t n, i;

	for (n = 0; shop->ends && n < shop->conf->listeners_count; n++) {
		for (i = 0; shop->ends[n].ctx &&
		     i < shop->conf->listeners[n].identities_count; i++)
			SSL_CTX_free(shop->ends[n].ctx[i]);
		free(shop->ends[n].ctx);
		SSL_CTX_free(shop->ends[n].bare);
	}
	for (i = 0; shop->identities && i < shop->conf->identities_count; i++)
		forget_identity(&shop->identities[i]);
	OPENSSL_cleanse(&shop->tickets, sizeof(shop->tickets));
	free(shop->identities);
	free(shop->ends);
	free(shop);
}

static bool read_chain(const struct message_identity *m, size_t len,
		       struct identity *id)
{
	const uint8_t *p = m->der, *end = (const uint8_t *)m + len;
	uint32_t i, n;
	X509 *x;

	id->issuers = sk_X509_new_null();
	for (i = 0; id->issuers && i < m->certificates; i++) {
		if (end - p < (ptrdiff_t)sizeof(n))
			return false;
		memcpy(&n, p, sizeof(n));
		p += sizeof(n);
		if (n > (size_t)(end - p))
			return false;
		x = d2i_X509(NULL, &p, n);
		if (!x)
			return false;
		if (!i)
			id->certificate = x;
		else if (!sk_X509_push(id->issuers, x))
			return false;
	}
	return id->certificate;
}

bool shop_set_identity(struct shop *shop, const struct message_identity *m,
		       size_t len)
{
	const struct conf *conf = shop->conf;
	struct identity id = { 0 };
	size_t n, i;

	if (len < sizeof(*m) || m->identity >= conf->identities_count)
		return false;
	if (!read_chain(m, len, &id))
		goto fail;
	id.key = remote_key_new(id.certificate, m->identity, m->generation);
	if (!id.key)
		goto fail;
	for (n = 0; n < conf->listeners_count; n++) {
		const struct conf_listener *l = &conf->listeners[n];

		for (i = 0; i < l->identities_count; i++) {
			SSL_CTX *ctx;

			if (l->identities[i] != m->identity)
				continue;
			ctx = new_ctx_with(shop, n, &id);
			if (!ctx)
				goto fail;
			/* Those that have begun with it hold on to it. */
			SSL_CTX_free(shop->ends[n].ctx[i]);
			shop->ends[n].ctx[i] = ctx;
		}
	}
	forget_identity(&shop->identities[m->identity]);
	shop->identities[m->identity] = id;
	return true;
fail:
	log_line(LOG_ERR, "%s: cannot be used: %s",
		 conf->identities[m->identity].chain, openssl_error());
	forget_identity(&id);
	return false;
}

bool shop_is_ready(const struct shop *shop, size_t n)
{
	const struct conf_listener *l = &shop->conf->listeners[n];
	size_t i;

	for (i = 0; i < l->identities_count; i++)
		if (!shop->ends[n].ctx[i])
			return false;
	return true;
}

/* One handshake */

/* An address is verified, but not asked for (RFC 6066, 3). */
static bool set_server_name(SSL *ssl, const char *name)
{
	return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), name) ||
	       (SSL_set_tlsext_host_name(ssl, name) && SSL_set1_host(ssl, name));
}

bool handshake_begin(struct handshake *h, struct shop *shop, size_t n, int fd,
		     const struct handshake_wish *wish)
{
	const struct conf_listener *l = &shop->conf->listeners[n];
	SSL_CTX *ctx = l->identities_count ? shop->ends[n].ctx[0] :
					     shop->ends[n].bare;
	const char *name = wish && *wish->server_name ? wish->server_name :
			   l->server_name;
	BIO *bio = wish ? wish->bio : BIO_new_socket(fd, BIO_NOCLOSE);

	memset(h, 0, sizeof(*h));
	h->alpn = l->alpn;
	h->alpn_len = l->alpn_len;
	if (wish && wish->alpn_len) {
		h->alpn = wish->alpn;
		h->alpn_len = wish->alpn_len;
	}
	h->ssl = SSL_new(ctx);
	if (h->ssl && bio)
		SSL_set_bio(h->ssl, bio, bio);
	else
		BIO_free(bio);
	if (!h->ssl || !bio || !SSL_set_ex_data(h->ssl, handshake_index, h) ||
	    !secrets_collect(h->ssl, &h->secrets))
		goto fail;
	if (!conf_is_client(l)) {
		SSL_set_accept_state(h->ssl);
		return true;
	}
	SSL_set_connect_state(h->ssl);
	if ((name && !set_server_name(h->ssl, name)) ||
	    (h->alpn_len && SSL_set_alpn_protos(h->ssl, h->alpn, h->alpn_len)))
		goto fail;
	ERR_clear_error();
	return true;
fail:
	ERR_clear_error();
	handshake_end(h);
	return false;
}

void handshake_end(struct handshake *h)
{
	SSL_free(h->ssl);
	h->ssl = NULL;
	secrets_forget(&h->secrets);
}

/* Names the failure by what OpenSSL has in its queue. */
static void explain(struct handshake *h, int why, int err)
{
	unsigned long e = ERR_peek_error(), last = ERR_peek_last_error();
	int reason = e && ERR_GET_LIB(e) == ERR_LIB_SSL ? ERR_GET_REASON(e) : 0;
	long verify = SSL_get_verify_result(h->ssl);
	const char *text = NULL;

	h->failure = FAILURE_PROTOCOL;
	if (reason >= SSL_AD_REASON_OFFSET) {
		h->failure = FAILURE_ALERT;
		snprintf(h->why, sizeof(h->why),
			 "the other end sent the alert \"%s\"",
			 SSL_alert_desc_string_long(reason - SSL_AD_REASON_OFFSET));
	} else if (reason && verify != X509_V_OK) {
		h->failure = FAILURE_CERTIFICATE;
		snprintf(h->why, sizeof(h->why),
			 "the certificate of the other end was not accepted: %s",
			 X509_verify_cert_error_string(verify));
	} else if (reason == SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE) {
		h->failure = FAILURE_CERTIFICATE;
		text = "the other end has no certificate";
	} else if (!e || reason == SSL_R_UNEXPECTED_EOF_WHILE_READING) {
		h->failure = FAILURE_GONE;
		text = why == SSL_ERROR_SYSCALL && err ? strerror(err) :
		       "the other end closed the connection";
	} else if (!reason || ERR_GET_LIB(last) == ERR_LIB_PROV ||
		   reason == ERR_R_EVP_LIB || reason == ERR_R_INTERNAL_ERROR) {
		h->failure = FAILURE_KEY;
		text = ERR_reason_error_string(e);
	} else {
		text = ERR_reason_error_string(e);
	}
	if (h->failure != FAILURE_ALERT && !*h->why)
		snprintf(h->why, sizeof(h->why), "%s",
			 text ?: "OpenSSL gives no reason");
	ERR_clear_error();
}

static bool queue_tickets(struct handshake *h)
{
	int i;

	if (!SSL_is_server(h->ssl) || SSL_version(h->ssl) != TLS1_3_VERSION)
		return true;
	for (i = 0; i < TICKETS; i++)
		if (!SSL_new_session_ticket(h->ssl))
			return false;
	return true;
}

enum handshake_step handshake_step(struct handshake *h)
{
	int ret, why, err;

	for (;;) {
		errno = 0;
		ret = SSL_do_handshake(h->ssl);
		err = errno;
		if (ret != 1)
			break;
		if (h->over)
			return HANDSHAKE_DONE;
		h->over = true;
		if (!queue_tickets(h))
			return HANDSHAKE_DONE;
	}
	why = SSL_get_error(h->ssl, ret);
	switch (why) {
	case SSL_ERROR_WANT_READ:
		return HANDSHAKE_READ;
	case SSL_ERROR_WANT_WRITE:
		return HANDSHAKE_WRITE;
	default:
		explain(h, why, err);
		return HANDSHAKE_FAILED;
	}
}

static void copy_text(char *to, size_t room, const void *from, size_t len)
{
	if (len >= room)
		len = room - 1;
	memcpy(to, from, len);
	to[len] = '\0';
}

void handshake_describe(const struct handshake *h, const struct shop *shop,
			size_t n, struct message_connection *m)
{
	const struct conf_listener *l = &shop->conf->listeners[n];
	const char *name = SSL_get_servername(h->ssl, TLSEXT_NAMETYPE_host_name);
	X509 *peer = SSL_get0_peer_certificate(h->ssl);
	const unsigned char *alpn;
	unsigned int alpn_len;
	size_t i;

	m->version = SSL_version(h->ssl);
	copy_text(m->cipher, sizeof(m->cipher), SSL_get_cipher_name(h->ssl),
		  strlen(SSL_get_cipher_name(h->ssl)));
	if (name)
		copy_text(m->server_name, sizeof(m->server_name), name,
			  strlen(name));
	SSL_get0_alpn_selected(h->ssl, &alpn, &alpn_len);
	if (alpn_len)
		copy_text(m->alpn, sizeof(m->alpn), alpn, alpn_len);
	m->verified = peer && SSL_get_verify_result(h->ssl) == X509_V_OK;
	if (m->verified)
		X509_NAME_get_text_by_NID(X509_get_subject_name(peer),
					  NID_commonName, m->peer_name,
					  sizeof(m->peer_name));
	m->identity = -1;
	for (i = 0; i < l->identities_count; i++)
		if (SSL_get_certificate(h->ssl) ==
		    shop->identities[l->identities[i]].certificate)
			m->identity = l->identities[i];
}
