// SPDX-License-Identifier: GPL-2.0-or-later
/* Bytes of a TLS end: the kernel's records, or OpenSSL's. */
#include <errno.h>
#include <openssl/err.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <unistd.h>

#include <libktls.h>

#include "connection.h"
#include "ktlsd.h"
#include "tls_end.h"
#include "worker.h"

/* What a record holds (RFC 8446, 5.1). */
#define RECORD_BYTES 16384

/*
 * What OpenSSL was told besides data.  Returns 1 if that was anything; a negative
 * number if the connection was ended.
 */
static int take_heard(struct connection *c)
{
	struct handshake *h = &c->handshake;
	bool heard = h->heard;

	/* Where OpenSSL sends, it answers itself. */
	c->owes_key_update |= c->kernel_tx && h->key_update;
	h->heard = false;
	h->key_update = false;
	for (; h->key_updates; h->key_updates--)
		if (post_handshake_count_key(c))
			return -1;
	return heard;
}

static ssize_t read_user(struct connection *c, void *buffer, size_t len)
{
	SSL *ssl = c->handshake.ssl;
	bool got;
	size_t n;
	int ret;

	ERR_clear_error();
	got = SSL_read_ex(ssl, buffer, len, &n);
	ret = take_heard(c);
	if (ret < 0)
		return -ESHUTDOWN;
	if (got)
		return n;
	switch (SSL_get_error(ssl, 0)) {
	case SSL_ERROR_WANT_READ:
	case SSL_ERROR_WANT_WRITE:
		return ret ? -EINTR : -EAGAIN;
	case SSL_ERROR_ZERO_RETURN:
		return 0;
	case SSL_ERROR_SYSCALL:
		return errno ? -errno : -EPIPE;
	}
	/* It was cut off. */
	if (ERR_GET_REASON(ERR_peek_error()) ==
	    SSL_R_UNEXPECTED_EOF_WHILE_READING)
		return -EPIPE;
	return ERR_GET_REASON(ERR_peek_error()) >= SSL_AD_REASON_OFFSET ?
	       -ECONNABORTED : -EBADMSG;
}

static ssize_t read_kernel(struct connection *c, void *buffer, size_t len)
{
	uint8_t type;
	ssize_t n;
	int ret;

	n = ktls_receive(c->ends[SIDE_TLS].fd, buffer, len, &type, MSG_DONTWAIT);
	if (n < 0)
		return n;
	if (type == KTLS_RECORD_DATA)
		/* There are empty ones, too. */
		return n ?: -EINTR;
	if (!type)
		return -EPIPE;
	ret = post_handshake_record(c, type, buffer, n);
	if (ret < 0)
		return -ESHUTDOWN;
	return ret ? 0 : -EINTR;
}

ssize_t tls_read(struct connection *c, void *buffer, size_t len)
{
	return c->kernel_rx ? read_kernel(c, buffer, len) :
			      read_user(c, buffer, len);
}

static ssize_t write_user(struct connection *c, const void *buffer, size_t len)
{
	size_t n;

	ERR_clear_error();
	if (SSL_write_ex(c->handshake.ssl, buffer, len, &n))
		return n;
	switch (SSL_get_error(c->handshake.ssl, 0)) {
	case SSL_ERROR_WANT_READ:
	case SSL_ERROR_WANT_WRITE:
		return -EAGAIN;
	default:
		return -EPIPE;
	}
}

ssize_t tls_write(struct connection *c, const void *buffer, size_t len,
		  bool more)
{
	ssize_t n;

	if (!c->kernel_tx)
		return write_user(c, buffer, len);
	do
		n = send(c->ends[SIDE_TLS].fd, buffer, len, MSG_DONTWAIT |
			 MSG_NOSIGNAL | (more ? MSG_MORE : 0));
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

ssize_t tls_send_file(struct connection *c, int file, off_t *offset, size_t len)
{
	char buffer[RECORD_BYTES];
	ssize_t n;

	if (c->kernel_tx) {
		n = sendfile(c->ends[SIDE_TLS].fd, file, offset, len);
		return n < 0 ? -errno : n;
	}
	n = pread(file, buffer, len < sizeof(buffer) ? len : sizeof(buffer),
		  *offset);
	if (n <= 0)
		return n < 0 ? -errno : 0;
	n = write_user(c, buffer, n);
	if (n > 0)
		*offset += n;
	return n;
}

int tls_say_end(struct connection *c)
{
	int ret;

	if (c->kernel_tx)
		return ktls_send_alert(c->ends[SIDE_TLS].fd,
				       KTLS_ALERT_CLOSE_NOTIFY, MSG_DONTWAIT);
	ERR_clear_error();
	ret = SSL_shutdown(c->handshake.ssl);
	if (ret >= 0)
		return 0;
	return SSL_get_error(c->handshake.ssl, ret) == SSL_ERROR_WANT_WRITE ?
	       -EAGAIN : -EPIPE;
}
