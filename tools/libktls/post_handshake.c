// SPDX-License-Identifier: LGPL-2.1-or-later
/* Records that are no data, after the handshake. */
#include "libktls.h"
#include "post_handshake.h"

#define HEAD 4
#define HELLO_REQUEST 0
#define CLIENT_HELLO 1
#define NEW_SESSION_TICKET 4
#define KEY_UPDATE 24

/* @len: bytes of the message; @there: of them and all behind, in this record. */
static int see_message(struct ktls_post_handshake *p, uint8_t message,
		       const uint8_t *content, size_t len, size_t there)
{
	if (p->tls13 && message == KEY_UPDATE) {
		/* Nothing may stand behind it under the same key. */
		if (len != 1 || there != 1 || content[0] > 1)
			return -KTLS_ALERT_UNEXPECTED_MESSAGE;
		return KTLS_POST_KEY_UPDATE |
		       (content[0] ? KTLS_POST_KEY_WANTED : 0);
	}
	if (message == NEW_SESSION_TICKET && p->tls13 && !p->server)
		return 0;
	if (!p->tls13 && message == (p->server ? CLIENT_HELLO : HELLO_REQUEST))
		return KTLS_POST_RENEGOTIATION;
	return -KTLS_ALERT_UNEXPECTED_MESSAGE;
}

/* Messages may begin and end anywhere in records. */
static int see_handshake(struct ktls_post_handshake *p, const uint8_t *c, size_t len)
{
	int events = 0, ret;
	size_t n;

	while (len) {
		if (p->left) {
			/* Of a ticket nothing is of interest. */
			n = len < p->left ? len : p->left;
			p->left -= n;
			c += n;
			len -= n;
			continue;
		}
		while (p->head_len < HEAD && len) {
			p->head[p->head_len++] = *c++;
			len--;
		}
		/*
		 * A KeyUpdate in pieces is not worth the trouble: with the first
		 * of them the kernel waits for a key.
		 */
		if (p->head[0] == KEY_UPDATE && !len)
			return -KTLS_ALERT_UNEXPECTED_MESSAGE;
		if (p->head_len < HEAD)
			return events;
		n = p->head[1] << 16 | p->head[2] << 8 | p->head[3];
		p->head_len = 0;
		p->left = n;
		ret = see_message(p, p->head[0], c, n, len);
		if (ret < 0)
			return ret;
		events |= ret;
	}
	return events;
}

static int see_alert(struct ktls_post_handshake *p, const uint8_t *alert, size_t len)
{
	if (len != 2)
		return -KTLS_ALERT_DECODE_ERROR;
	switch (alert[1]) {
	case KTLS_ALERT_CLOSE_NOTIFY:
		return KTLS_POST_END;
	case KTLS_ALERT_USER_CANCELED:
	case KTLS_ALERT_NO_RENEGOTIATION:
		return 0;
	default:
		p->alert = alert[1];
		return KTLS_POST_ALERT;
	}
}

int ktls_post_handshake_read(struct ktls_post_handshake *p, uint8_t type,
			     const uint8_t *content, size_t len)
{
	switch (type) {
	case KTLS_RECORD_ALERT:
		return see_alert(p, content, len);
	case KTLS_RECORD_HANDSHAKE:
		return see_handshake(p, content, len);
	default:
		return -KTLS_ALERT_UNEXPECTED_MESSAGE;
	}
}

void ktls_key_update_message(uint8_t message[KTLS_KEY_UPDATE_LEN], bool request)
{
	message[0] = KEY_UPDATE;
	message[1] = 0;
	message[2] = 0;
	message[3] = 1;
	message[4] = request;
}
