// SPDX-License-Identifier: GPL-2.0-or-later
/* Handshakes with a server, and what comes of them. */
#include <errno.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "negotiation.h"

/* How long a server that is done may take to send a ticket, at least. */
#define TICKET_NS 200000000ull

#define ALL_OF_TLS_1_3 \
	"TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256:" \
	"TLS_AES_128_GCM_SHA256:TLS_AES_128_CCM_SHA256:" \
	"TLS_AES_128_CCM_8_SHA256"

enum status parse_alpn(const char *s, struct question *q)
{
	size_t len;

	q->alpn_len = 0;
	for (;; s += len + 1) {
		len = strcspn(s, ",");
		if (!len || len > 255 ||
		    q->alpn_len + 1 + len > sizeof(q->alpn))
			return error(STATUS_USAGE,
				     "--alpn takes names divided by commas, as h2,http/1.1, at most %zu letters",
				     sizeof(q->alpn) - 1);
		q->alpn[q->alpn_len++] = len;
		memcpy(q->alpn + q->alpn_len, s, len);
		q->alpn_len += len;
		if (!s[len])
			return STATUS_OK;
	}
}

static int count_ticket(SSL *ssl, SSL_SESSION *session)
{
	struct negotiation *n = SSL_get_app_data(ssl);

	if (SSL_SESSION_has_ticket(session)) {
		n->tickets++;
		n->ticket_seconds =
			SSL_SESSION_get_ticket_lifetime_hint(session);
	}
	return 0;	/* OpenSSL keeps it */
}

static SSL *new_client(const struct question *q, const struct suite *suite,
		       bool anything, int fd, struct negotiation *n)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	SSL *ssl = NULL;

	if (!ctx)
		return NULL;
	SSL_CTX_set_verify(ctx, SSL_VERIFY_NONE, NULL);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT |
				       SSL_SESS_CACHE_NO_INTERNAL);
	SSL_CTX_sess_set_new_cb(ctx, count_ticket);
	/* It asks; whether records are done by this kernel is no matter here. */
	SSL_CTX_clear_options(ctx, SSL_OP_ENABLE_KTLS);
	if (q->ca) {
		if (!SSL_CTX_load_verify_file(ctx, q->ca))
			goto out;
	} else {
		/* Without any, no chain is trusted, and that is said. */
		SSL_CTX_set_default_verify_paths(ctx);
		ERR_clear_error();
	}
	if (suite &&
	    (!SSL_CTX_set_min_proto_version(ctx, suite->version) ||
	     !SSL_CTX_set_max_proto_version(ctx, suite->version) ||
	     !(suite->version == KTLS_VERSION_TLS_1_3 ?
	       SSL_CTX_set_ciphersuites(ctx, suite->openssl) :
	       SSL_CTX_set_cipher_list(ctx, suite->openssl))))
		goto out;
	if (!suite && anything &&
	    (!SSL_CTX_set_min_proto_version(ctx, TLS1_VERSION) ||
	     !SSL_CTX_set_cipher_list(ctx, "ALL") ||
	     !SSL_CTX_set_ciphersuites(ctx, ALL_OF_TLS_1_3)))
		goto out;
	if (anything)
		SSL_CTX_set_security_level(ctx, 0);
	if (q->alpn_len && SSL_CTX_set_alpn_protos(ctx, q->alpn, q->alpn_len))
		goto out;
	ssl = SSL_new(ctx);
	if (!ssl)
		goto out;
	SSL_set_app_data(ssl, n);
	if (!SSL_set_fd(ssl, fd) ||
	    (*q->sni && !SSL_set_tlsext_host_name(ssl, q->sni))) {
		SSL_free(ssl);
		ssl = NULL;
	}
out:
	SSL_CTX_free(ctx);
	return ssl;
}

/*
 * Whether an error in OpenSSL's queue has this reason.  Errors are wrapped in
 * others, the more the later the version.
 */
static unsigned long find_alert(const unsigned long *errors, size_t count)
{
	size_t i;

	for (i = 0; i < count; i++)
		if (ERR_GET_LIB(errors[i]) == ERR_LIB_SSL &&
		    ERR_GET_REASON(errors[i]) >= SSL_AD_REASON_OFFSET)
			return ERR_GET_REASON(errors[i]) - SSL_AD_REASON_OFFSET;
	return 0;
}

static bool has_reason(const unsigned long *errors, size_t count, int reason)
{
	size_t i;

	for (i = 0; i < count; i++)
		if (ERR_GET_LIB(errors[i]) == ERR_LIB_SSL &&
		    ERR_GET_REASON(errors[i]) == reason)
			return true;
	return false;
}

/* Why a handshake did not come about, in a line. */
static void explain_failure(const char *where, int ssl_error, int err,
			    struct negotiation *n)
{
	unsigned long errors[16], alert, e;
	const char *reason;
	size_t count = 0;

	while (count < ARRAY_SIZE(errors) && (e = ERR_get_error()))
		errors[count++] = e;
	ERR_clear_error();
	alert = find_alert(errors, count);
	if (alert) {
		n->refused = true;
		n->alerted = true;
		snprintf(n->failure, sizeof(n->failure),
			 "%s refused the handshake with the alert \"%s\"%s",
			 where, SSL_alert_desc_string_long(alert),
			 alert == SSL_AD_UNRECOGNIZED_NAME ?
			 "; does it know the name of --sni?" : "");
		return;
	}
	if (has_reason(errors, count, SSL_R_WRONG_VERSION_NUMBER) ||
	    has_reason(errors, count, SSL_R_PACKET_LENGTH_TOO_LONG) ||
	    has_reason(errors, count, SSL_R_HTTP_REQUEST) ||
	    has_reason(errors, count, SSL_R_BAD_RECORD_TYPE)) {
		snprintf(n->failure, sizeof(n->failure),
			 "%s does not speak TLS: what it answered is no TLS record; is it the right port?",
			 where);
		return;
	}
	if (has_reason(errors, count, SSL_R_UNSUPPORTED_PROTOCOL)) {
		n->disliked = true;
		snprintf(n->failure, sizeof(n->failure),
			 "%s wants a version of TLS that this host's OpenSSL does not take",
			 where);
		return;
	}
	if (has_reason(errors, count, SSL_R_NO_CIPHERS_AVAILABLE)) {
		n->disliked = true;
		snprintf(n->failure, sizeof(n->failure),
			 "this host's OpenSSL has no such cipher, or its configuration forbids it");
		return;
	}
	if (ssl_error == SSL_ERROR_ZERO_RETURN ||
	    has_reason(errors, count, SSL_R_UNEXPECTED_EOF_WHILE_READING) ||
	    (ssl_error == SSL_ERROR_SYSCALL &&
	     (!err || err == EPIPE || err == ECONNRESET))) {
		n->refused = true;
		snprintf(n->failure, sizeof(n->failure),
			 "%s closed the connection during the handshake; does it speak TLS?",
			 where);
		return;
	}
	if (ssl_error == SSL_ERROR_SYSCALL) {
		snprintf(n->failure, sizeof(n->failure),
			 "the handshake with %s failed: %s", where,
			 strerror(err));
		return;
	}
	/* As a weak key, or a signature that is out of use. */
	n->disliked = true;
	reason = count ? ERR_reason_error_string(errors[0]) : NULL;
	snprintf(n->failure, sizeof(n->failure),
		 "the handshake with %s failed: %s", where,
		 reason ?: "OpenSSL does not say why");
}

/* Waits for what libssl waits for; false at the deadline. */
static bool wait_ssl(SSL *ssl, int ssl_error, uint64_t deadline)
{
	struct pollfd pollfd = {
		.fd = SSL_get_fd(ssl),
		.events = ssl_error == SSL_ERROR_WANT_WRITE ? POLLOUT : POLLIN,
	};
	uint64_t now = monotonic_ns(), ns = deadline > now ? deadline - now : 0;
	struct timespec left = { ns / 1000000000, ns % 1000000000 };
	int n;

	n = ppoll(&pollfd, 1, &left, NULL);
	return n > 0 || (n < 0 && errno == EINTR);
}

static bool shake_hands(SSL *ssl, const char *where, uint64_t deadline,
			struct negotiation *n)
{
	int ret, ssl_error, err;

	for (;;) {
		ERR_clear_error();
		errno = 0;
		ret = SSL_connect(ssl);
		err = errno;
		if (ret == 1)
			return true;
		ssl_error = SSL_get_error(ssl, ret);
		if (ssl_error != SSL_ERROR_WANT_READ &&
		    ssl_error != SSL_ERROR_WANT_WRITE) {
			n->chosen = SSL_get_pending_cipher(ssl);
			explain_failure(where, ssl_error, err, n);
			return false;
		}
		if (!wait_ssl(ssl, ssl_error, deadline)) {
			snprintf(n->failure, sizeof(n->failure),
				 "%s took the connection, but did not answer the handshake in time; does it speak TLS?",
				 where);
			return false;
		}
	}
}

/* TLS 1.3 sends tickets after the handshake. */
static void wait_for_tickets(SSL *ssl, struct negotiation *n, uint64_t deadline)
{
	unsigned int tickets;
	char byte;
	int ret;

	do {
		tickets = n->tickets;
		ERR_clear_error();
		ret = SSL_peek(ssl, &byte, 1);
		if (n->tickets != tickets) {
			/* If there is another, it is already on its way. */
			deadline = monotonic_ns() + TICKET_NS / 10;
			continue;
		}
		if (ret > 0 || SSL_get_error(ssl, ret) != SSL_ERROR_WANT_READ)
			break;
	} while (wait_ssl(ssl, SSL_ERROR_WANT_READ, deadline));
	ERR_clear_error();
}

/* Kernel TLS has no cipher with a shorter tag. */
static bool has_short_tag(const char *suite)
{
	return strstr(suite, "CCM8") || strstr(suite, "CCM_8");
}

static uint16_t kernel_cipher(const SSL_CIPHER *cipher)
{
	if (!cipher || has_short_tag(SSL_CIPHER_get_name(cipher)))
		return 0;
	switch (SSL_CIPHER_get_cipher_nid(cipher)) {
	case NID_aes_128_gcm:
		return KTLS_CIPHER_AES_GCM_128;
	case NID_aes_256_gcm:
		return KTLS_CIPHER_AES_GCM_256;
	case NID_aes_128_ccm:
		return KTLS_CIPHER_AES_CCM_128;
	case NID_chacha20_poly1305:
		return KTLS_CIPHER_CHACHA20_POLY1305;
	}
	return 0;
}

static void read_result(SSL *ssl, struct negotiation *n)
{
	const SSL_CIPHER *cipher = SSL_get_current_cipher(ssl);
	const COMP_METHOD *compression = SSL_get_current_compression(ssl);
	const char *group = NULL;
	const unsigned char *alpn;
	unsigned int alpn_len;
	int id;

	n->done = true;
	n->version = SSL_version(ssl);
	n->cipher = kernel_cipher(cipher);
	snprintf(n->version_name, sizeof(n->version_name), "%s",
		 SSL_get_version(ssl));
	snprintf(n->suite, sizeof(n->suite), "%s",
		 cipher ? SSL_CIPHER_get_name(cipher) : "?");
	id = SSL_get_negotiated_group(ssl);
	if (id)
		group = SSL_group_to_name(ssl, id);
	snprintf(n->group, sizeof(n->group), "%s", group ?: "");
	if (compression)
		snprintf(n->compression, sizeof(n->compression), "%s",
			 SSL_COMP_get_name(compression));
	SSL_get0_alpn_selected(ssl, &alpn, &alpn_len);
	if (alpn_len >= sizeof(n->alpn))
		alpn_len = sizeof(n->alpn) - 1;
	if (alpn_len)
		memcpy(n->alpn, alpn, alpn_len);
	n->alpn[alpn_len] = '\0';
	clean_text(n->alpn);
}

static uint64_t count_received(int fd)
{
	struct tcp_info info = { 0 };
	socklen_t len = sizeof(info);

	getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len);
	return info.tcpi_bytes_received;
}

void negotiate(const struct question *q, const struct suite *suite,
	       bool anything, struct address *address, struct negotiation *n)
{
	uint64_t begin = monotonic_ns();
	uint64_t deadline = begin + q->timeout * 1e9;
	struct sigaction ignore = { .sa_handler = SIG_IGN }, pipe_action;
	uint64_t until;
	SSL *ssl;
	int fd;

	memset(n, 0, sizeof(*n));
	fd = connect_endpoint(&q->endpoint, q->family, address, deadline,
			      n->failure, sizeof(n->failure));
	if (fd < 0)
		return;
	/* A server may close while we still write. */
	sigaction(SIGPIPE, &ignore, &pipe_action);
	ERR_clear_error();
	ssl = new_client(q, suite, anything, fd, n);
	if (!ssl) {
		n->disliked = true;
		openssl_error(n->failure, sizeof(n->failure));
		goto out;
	}
	if (!shake_hands(ssl, address->text, deadline, n))
		goto out;
	read_result(ssl, n);
	if (!suite) {
		/* As long as the handshake took is twice there and back. */
		until = monotonic_ns() + (monotonic_ns() - begin) + TICKET_NS;
		if (until > deadline)
			until = deadline;
		if (n->version == TLS1_3_VERSION)
			wait_for_tickets(ssl, n, until);
		find_server_end(fd, &n->end);
		read_chain(ssl, *q->sni ? q->sni : q->endpoint.host, &n->chain);
	}
	n->received = count_received(fd);
	SSL_shutdown(ssl);
out:
	SSL_free(ssl);
	ERR_clear_error();
	close(fd);
	sigaction(SIGPIPE, &pipe_action, NULL);
}

void free_negotiation(struct negotiation *n)
{
	free(n->chain.names);
	n->chain.names = NULL;
}

enum answer judge(const struct negotiation *n,
		  const struct capability all[SUITES], int direction,
		  char why[WHY_LEN])
{
	int i;

	if (n->version != KTLS_VERSION_TLS_1_2 &&
	    n->version != KTLS_VERSION_TLS_1_3) {
		snprintf(why, WHY_LEN,
			 "%s is not for kernel TLS, which knows TLS 1.2 and 1.3",
			 n->version_name);
		return ANSWER_NO;
	}
	if (!n->cipher) {
		snprintf(why, WHY_LEN,
			 "%s is not for kernel TLS: its ciphers are AES-128-GCM, AES-256-GCM, ChaCha20-Poly1305 and AES-128-CCM",
			 n->suite);
		return ANSWER_NO;
	}
	if (*n->compression) {
		snprintf(why, WHY_LEN,
			 "kernel TLS does not compress, and the connection does (%s)",
			 n->compression);
		return ANSWER_NO;
	}
	for (i = 0; i < SUITES; i++)
		if (suites[i].version == n->version &&
		    suites[i].cipher == n->cipher)
			return host_does(&suites[i], &all[i], direction, why);
	snprintf(why, WHY_LEN, "%s was not tried", n->suite);
	return ANSWER_UNKNOWN;
}
