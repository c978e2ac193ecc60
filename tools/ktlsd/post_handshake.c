// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What TLS says after the handshake, where the kernel does the records: alerts,
 * session tickets, KeyUpdates (RFC 8446, 4.6), in any order, in pieces or several
 * in a record.
 */
#include <errno.h>
#include <sys/socket.h>

#include <libktls.h>

#include "connection.h"
#include "ktlsd.h"
#include "worker.h"

#define HANDSHAKE_HEAD 4
#define HELLO_REQUEST 0
#define CLIENT_HELLO 1
#define NEW_SESSION_TICKET 4
#define KEY_UPDATE 24

/* More than that of them in a minute is no use that we know. */
#define KEY_UPDATES_MAX 64
#define MINUTE_NS 60000000000ull

static bool is_server(const struct connection *c)
{
	return c->worker->conf->listeners[c->listener].kind != LISTENER_CLIENT;
}

static enum secret_side own_side(const struct connection *c)
{
	return is_server(c) ? SECRET_SERVER : SECRET_CLIENT;
}

static int give_up(struct connection *c, enum connection_end why, int alert)
{
	if (alert >= 0 && c->kernel_tx)
		ktls_send_alert(c->ends[SIDE_TLS].fd, alert, MSG_DONTWAIT);
	connection_end(c, why);
	return -1;
}

static int set_next_key(struct connection *c, enum secret_side side,
			unsigned int direction)
{
	struct kernel_key key;
	int err = secrets_renew(&c->handshake.secrets, side, &key);

	if (!err)
		err = ktls_set_key(c->ends[SIDE_TLS].fd, direction, &key, key.len);
	kernel_key_forget(&key);
	if (!err)
		count(direction == KTLS_DIRECTION_TX ?
		      &c->worker->counters->rekeys_tx :
		      &c->worker->counters->rekeys_rx, 1);
	return err;
}

int post_handshake_count_key(struct connection *c)
{
	uint64_t now = c->worker->now;

	if (now - c->key_updates_since > MINUTE_NS) {
		c->key_updates_since = now;
		c->key_updates = 0;
	}
	if (++c->key_updates <= KEY_UPDATES_MAX)
		return 0;
	return give_up(c, END_REKEY_STORM, KTLS_ALERT_UNEXPECTED_MESSAGE);
}

/* The other end's records are under its next key from here on. */
static int follow_key_update(struct connection *c, bool wants_ours)
{
	if (post_handshake_count_key(c))
		return -1;
	/* Before 6.14 the kernel takes a key but once. */
	if (set_next_key(c, own_side(c) == SECRET_SERVER ? SECRET_CLIENT :
			 SECRET_SERVER, KTLS_DIRECTION_RX))
		return give_up(c, END_REKEY_UNSUPPORTED,
			       KTLS_ALERT_CLOSE_NOTIFY);
	c->owes_key_update |= wants_ours;
	return 0;
}

/* @len: bytes of the message; @there: of them and all behind, in this record. */
static int see_message(struct connection *c, uint8_t message,
		       const uint8_t *content, size_t len, size_t there)
{
	bool is_13 = c->handshake.secrets.version == TLS1_3_VERSION;

	if (is_13 && message == KEY_UPDATE) {
		/* Nothing may stand behind it under the same key. */
		if (len != 1 || there != 1 || content[0] > 1)
			return give_up(c, END_BROKEN,
				       KTLS_ALERT_UNEXPECTED_MESSAGE);
		return follow_key_update(c, content[0]);
	}
	if (message == NEW_SESSION_TICKET && is_13 && !is_server(c))
		return 0;
	if (!is_13 && message == (is_server(c) ? CLIENT_HELLO : HELLO_REQUEST)) {
		c->owes_no_renegotiation = true;
		return 0;
	}
	return give_up(c, END_BROKEN, KTLS_ALERT_UNEXPECTED_MESSAGE);
}

/* Messages may begin and end anywhere in records. */
static int see_handshake(struct connection *c, const uint8_t *p, size_t len)
{
	size_t n;
	int err;

	while (len) {
		if (c->message_left) {
			/* Of a ticket nothing is of interest. */
			n = len < c->message_left ? len : c->message_left;
			c->message_left -= n;
			p += n;
			len -= n;
			continue;
		}
		while (c->message_head_len < HANDSHAKE_HEAD && len) {
			c->message_head[c->message_head_len++] = *p++;
			len--;
		}
		/*
		 * A KeyUpdate in pieces is not worth the trouble: with the first
		 * of them the kernel waits for a key.
		 */
		if (c->message_head[0] == KEY_UPDATE && !len)
			return give_up(c, END_BROKEN,
				       KTLS_ALERT_UNEXPECTED_MESSAGE);
		if (c->message_head_len < HANDSHAKE_HEAD)
			return 0;
		n = c->message_head[1] << 16 | c->message_head[2] << 8 |
		    c->message_head[3];
		c->message_head_len = 0;
		c->message_left = n;
		err = see_message(c, c->message_head[0], p, n, len);
		if (err)
			return err;
	}
	return 0;
}

static int see_alert(struct connection *c, const uint8_t *alert, size_t len)
{
	if (len != 2)
		return give_up(c, END_BROKEN, KTLS_ALERT_DECODE_ERROR);
	switch (alert[1]) {
	case KTLS_ALERT_CLOSE_NOTIFY:
		return 1;
	case KTLS_ALERT_USER_CANCELED:
	case KTLS_ALERT_NO_RENEGOTIATION:
		return 0;
	default:
		return give_up(c, END_ALERTED, -1);
	}
}

int post_handshake_record(struct connection *c, uint8_t type,
			  const uint8_t *content, size_t len)
{
	switch (type) {
	case KTLS_RECORD_ALERT:
		return see_alert(c, content, len);
	case KTLS_RECORD_HANDSHAKE:
		return see_handshake(c, content, len);
	default:
		return give_up(c, END_BROKEN, KTLS_ALERT_UNEXPECTED_MESSAGE);
	}
}

/* Only one answer is due, however often was asked (RFC 8446, 4.6.3). */
static int pay_key_update(struct connection *c)
{
	static const uint8_t message[HANDSHAKE_HEAD + 1] = { KEY_UPDATE, 0, 0, 1, 0 };
	SSL *ssl = c->handshake.ssl;
	int err;

	if (!c->kernel_tx) {
		if (!SSL_key_update(ssl, SSL_KEY_UPDATE_NOT_REQUESTED))
			return give_up(c, END_BROKEN, -1);
		return SSL_do_handshake(ssl) == 1 ? 0 : -EAGAIN;
	}
	err = ktls_send_record(c->ends[SIDE_TLS].fd, KTLS_RECORD_HANDSHAKE,
			       message, sizeof(message), MSG_DONTWAIT);
	if (err == -EAGAIN)
		return err;
	if (err)
		return give_up(c, END_RESET, -1);
	if (set_next_key(c, own_side(c), KTLS_DIRECTION_TX))
		return give_up(c, END_REKEY_UNSUPPORTED, -1);
	return 0;
}

int post_handshake_pay(struct connection *c)
{
	int err;

	if (c->owes_no_renegotiation) {
		err = c->kernel_tx ?
		      ktls_send_alert(c->ends[SIDE_TLS].fd,
				      KTLS_ALERT_NO_RENEGOTIATION, MSG_DONTWAIT) : 0;
		if (err == -EAGAIN)
			return err;
		if (err)
			return give_up(c, END_RESET, -1);
		c->owes_no_renegotiation = false;
	}
	if (c->owes_key_update) {
		err = pay_key_update(c);
		if (err)
			return err;
		c->owes_key_update = false;
	}
	return 0;
}
