/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Handshakes of a worker, and what they are made with. */
#ifndef HANDSHAKE_H
#define HANDSHAKE_H

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stdint.h>

#include "conf.h"
#include "message.h"
#include "secrets.h"

/*
 * What a worker shakes hands with: the settings of each listener and what the
 * key process says of the identities.  Those that are under way keep what they
 * began with.
 */
struct shop;

/*
 * @conf is borrowed.  Reads the files of authorities, and asks the kernel which
 * ciphers it takes: to be called before the sandbox closes.  %NULL after a line
 * in the log.
 */
struct shop *shop_open(const struct conf *conf);
void shop_close(struct shop *shop);

/* A new or renewed identity; @len as received.  False if it makes no sense. */
bool shop_set_identity(struct shop *shop, const struct message_identity *m,
		       size_t len);
void shop_set_ticket_keys(struct shop *shop,
			  const struct message_ticket_keys *keys);
/* Can this listener shake hands, or does it still miss an identity? */
bool shop_is_ready(const struct shop *shop, size_t listener);

enum handshake_step {
	HANDSHAKE_READ,		/* wants to read, or */
	HANDSHAKE_WRITE,	/* to write, before it can go on */
	HANDSHAKE_DONE,
	HANDSHAKE_FAILED,
};

/* What a program wants in the place of what the configuration says. */
struct handshake_wish {
	const char *server_name;	/* of clients; or "" */
	const unsigned char *alpn;	/* as on the wire; it is to outlive the handshake */
	size_t alpn_len;		/* or 0 */
	BIO *bio;			/* to be used with the socket, and taken over */
};

struct handshake {
	SSL *ssl;
	const unsigned char *alpn;	/* to choose from */
	size_t alpn_len;
	struct secrets secrets;
	uint64_t records;	/* sent under the application key */
	bool over;		/* but tickets are not sent yet */
	/* After @over, what OpenSSL was told: */
	bool heard;		/* a message, or more */
	bool key_update;	/* the other end wants new keys of us */
	unsigned int key_updates;	/* it has new ones */
	enum handshake_failure {
		FAILURE_GONE,		/* the other end is */
		FAILURE_ALERT,		/* that it sent */
		FAILURE_PROTOCOL,	/* it is none, or has nothing in common */
		FAILURE_CERTIFICATE,	/* of the other end */
		FAILURE_KEY,		/* no signature */
		FAILURE_OTHER,
	} failure;
	char why[160];		/* one line, printable */
};

/* What was negotiated, to be told; after HANDSHAKE_DONE. */
void handshake_describe(const struct handshake *h, const struct shop *shop,
			size_t listener, struct message_connection *m);

/* @wish: or %NULL.  False without memory. */
bool handshake_begin(struct handshake *h, struct shop *shop, size_t listener,
		     int fd, const struct handshake_wish *wish);
enum handshake_step handshake_step(struct handshake *h);
void handshake_end(struct handshake *h);

#endif /* HANDSHAKE_H */
