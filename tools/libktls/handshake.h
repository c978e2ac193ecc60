/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What is behind a struct ktls_handshake. */
#ifndef KTLS_HANDSHAKE_H
#define KTLS_HANDSHAKE_H

#include "handshake_wire.h"
#include "libktls.h"
#include "post_handshake.h"

struct handshake {
	struct ktls_handshake told;	/* first */
	int fd;				/* the program's */
	int service;			/* connection to ktlsd, or -1 */
	uint8_t *message;		/* ktlsd's answer, which @told points into */
	int error;			/* negative, of the answer */
	uint32_t kernel_tx, kernel_rx, verified, cut, server, begun, version;
	const char *sentence;
	struct ktls_post_handshake post;
	bool owes_key_update;
	bool owes_no_renegotiation;
	bool said_end;
	bool ended;			/* the peer has, with close_notify */
	int failed;			/* negative errno: so will all that follows */
	char why[512];
};

/*
 * Fills @h, which is zeroed, from the answer in @h->message.  Returns 0, -EBADMSG,
 * -EPROTONOSUPPORT or -ENOMEM; what is allocated is @h's in any case.  What ktlsd says
 * of the handshake is in @h.
 */
int ktls_handshake_read_answer(struct handshake *h, size_t len,
			       enum ktls_wire_type type);
void ktls_handshake_forget_answer(struct handshake *h);

#endif /* KTLS_HANDSHAKE_H */
