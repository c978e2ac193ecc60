/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What TLS says after the handshake, where the kernel does the records: alerts,
 * session tickets, KeyUpdates (RFC 8446, 4.6), in any order, in pieces or several
 * in a record.  Of ktlsd and of libktls: what is to be done about it is theirs.
 */
#ifndef KTLS_POST_HANDSHAKE_H
#define KTLS_POST_HANDSHAKE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What was read of one connection. */
struct ktls_post_handshake {
	bool server;		/* this end is the server */
	bool tls13;
	uint32_t left;		/* of a handshake message that is skipped */
	uint8_t head[4];	/* of one that has come in part */
	uint8_t head_len;
	uint8_t alert;		/* that came, with KTLS_POST_ALERT */
};

/* What was in a record, or'ed. */
enum ktls_post_events {
	KTLS_POST_END = 1,		/* close_notify */
	KTLS_POST_ALERT = 2,		/* another one that is fatal */
	KTLS_POST_KEY_UPDATE = 4,	/* the next record is under the next key */
	KTLS_POST_KEY_WANTED = 8,	/* and one of ours is to be */
	KTLS_POST_RENEGOTIATION = 16,	/* is wanted, and is to be refused */
};

/* Returns that, or the negative number of the alert that it is to be answered with. */
int ktls_post_handshake_read(struct ktls_post_handshake *p, uint8_t type,
			     const uint8_t *content, size_t len);

/* The KeyUpdate to send; @request: that asks for one. */
#define KTLS_KEY_UPDATE_LEN 5
void ktls_key_update_message(uint8_t message[KTLS_KEY_UPDATE_LEN], bool request);

#endif /* KTLS_POST_HANDSHAKE_H */
