/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The TLS end of a connection, whoever does the records of either direction.  None
 * of these waits; all return negative errnos.
 */
#ifndef TLS_END_H
#define TLS_END_H

#include <stdbool.h>
#include <sys/types.h>

struct connection;

/*
 * Returns bytes, or 0 if the other end has ended its stream as TLS does; else
 * -EAGAIN; -EINTR after what was no data; -EPIPE if the stream is cut off;
 * -ECONNABORTED after a fatal alert; -EBADMSG for a forged record; -ESHUTDOWN if the
 * connection was ended meanwhile; or another.
 */
ssize_t tls_read(struct connection *c, void *buffer, size_t len);
/* @more: what follows may go into the same record. */
ssize_t tls_write(struct connection *c, const void *buffer, size_t len,
		  bool more);
/* As sendfile(): 0 at the end of the file. */
ssize_t tls_send_file(struct connection *c, int file, off_t *offset, size_t len);
/* Sends close_notify. */
int tls_say_end(struct connection *c);

#endif /* TLS_END_H */
