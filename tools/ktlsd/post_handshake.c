// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What TLS says after the handshake, where the kernel does the records, and what is to
 * be done about it.
 */
#include <errno.h>
#include <sys/socket.h>

#include <libktls.h>

#include "connection.h"
#include "ktlsd.h"
#include "worker.h"

#define KEY_UPDATE 24
#ifndef SOL_TLS
#define SOL_TLS 282
#endif

/* More than that of them in a minute is no use that we know. */
#define KEY_UPDATES_MAX 64
#define MINUTE_NS 60000000000ull

static bool is_server(const struct connection *c)
{
	return !conf_is_client(&c->worker->conf->listeners[c->listener]);
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

static bool is_one_too_many(struct connection *c)
{
	uint64_t now = c->worker->now;

	if (now - c->key_updates_since > MINUTE_NS) {
		c->key_updates_since = now;
		c->key_updates = 0;
	}
	return ++c->key_updates > KEY_UPDATES_MAX;
}

int post_handshake_count_key(struct connection *c)
{
	if (!is_one_too_many(c))
		return 0;
	return give_up(c, END_REKEY_STORM, KTLS_ALERT_UNEXPECTED_MESSAGE);
}

int post_handshake_next_key(struct connection *c, unsigned int direction)
{
	enum secret_side own = is_server(c) ? SECRET_SERVER : SECRET_CLIENT;
	enum secret_side other = is_server(c) ? SECRET_CLIENT : SECRET_SERVER;

	if (direction == KTLS_DIRECTION_TX)
		return set_next_key(c, own, direction);
	if (is_one_too_many(c))
		return -EDQUOT;
	return set_next_key(c, other, direction);
}

/* The other end's records are under its next key from here on. */
static int follow_key_update(struct connection *c, bool wants_ours)
{
	int err = post_handshake_next_key(c, KTLS_DIRECTION_RX);

	if (err == -EDQUOT)
		return give_up(c, END_REKEY_STORM,
			       KTLS_ALERT_UNEXPECTED_MESSAGE);
	/* Before 6.14 the kernel takes a key but once. */
	if (err)
		return give_up(c, END_REKEY_UNSUPPORTED,
			       KTLS_ALERT_CLOSE_NOTIFY);
	c->owes_key_update |= wants_ours;
	return 0;
}

/*
 * The kernel (since 6.14) waits for a key where a record of the handshake begins like
 * a KeyUpdate, also in the middle of another message (tls_check_pending_rekey()).
 * It goes on when it gets the key that it has.
 */
static void keep_key(struct connection *c)
{
	struct kernel_key key = { 0 };
	int fd = c->ends[SIDE_TLS].fd;

	key.len = kernel_key_len(c->handshake.secrets.cipher);
	if (!getsockopt(fd, SOL_TLS, TLS_RX, &key, &key.len))
		ktls_set_key(fd, KTLS_DIRECTION_RX, &key, key.len);
	kernel_key_forget(&key);
}

int post_handshake_record(struct connection *c, uint8_t type,
			  const uint8_t *content, size_t len)
{
	int events;

	c->records.server = is_server(c);
	c->records.tls13 = c->handshake.secrets.version == TLS1_3_VERSION;
	events = ktls_post_handshake_read(&c->records, type, content, len);
	if (events < 0)
		return give_up(c, END_BROKEN, -events);
	if (events & KTLS_POST_ALERT)
		return give_up(c, END_ALERTED, -1);
	if (events & KTLS_POST_RENEGOTIATION)
		c->owes_no_renegotiation = true;
	if (events & KTLS_POST_KEY_UPDATE)
		return follow_key_update(c, events & KTLS_POST_KEY_WANTED);
	if (c->records.tls13 && type == KTLS_RECORD_HANDSHAKE && len &&
	    content[0] == KEY_UPDATE)
		keep_key(c);
	return !!(events & KTLS_POST_END);
}

/* Only one answer is due, however often was asked (RFC 8446, 4.6.3). */
static int pay_key_update(struct connection *c)
{
	uint8_t message[KTLS_KEY_UPDATE_LEN];
	SSL *ssl = c->handshake.ssl;
	int err;

	if (!c->kernel_tx) {
		if (!SSL_key_update(ssl, SSL_KEY_UPDATE_NOT_REQUESTED))
			return give_up(c, END_BROKEN, -1);
		return SSL_do_handshake(ssl) == 1 ? 0 : -EAGAIN;
	}
	ktls_key_update_message(message, false);
	err = ktls_send_record(c->ends[SIDE_TLS].fd, KTLS_RECORD_HANDSHAKE,
			       message, sizeof(message), MSG_DONTWAIT);
	if (err == -EAGAIN)
		return err;
	if (err)
		return give_up(c, END_RESET, -1);
	if (post_handshake_next_key(c, KTLS_DIRECTION_TX))
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
