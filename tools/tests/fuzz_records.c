// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What must hold of any records that are no data and that come after a handshake.
 * For libFuzzer:
 *
 *	make -C tools/tests fuzz_records && tools/tests/obj-fuzz/fuzz_records
 *
 * and for the unit test, which brings bytes of its own.
 */
#include <errno.h>
#include <linux/tls.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <libktls.h>

#include "../ktlsd/connection.h"
#include "../ktlsd/counters.h"
#include "../ktlsd/worker.h"
#include "fuzz_records.h"

#define must_hold(c) \
	do { \
		if (!(c)) { \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #c); \
			abort(); \
		} \
	} while (0)

#define FD 77
#define KEY_UPDATES_MOST 64

struct fuzz_records fuzz_records;
static unsigned int flags, calls;

static bool stuck(void)
{
	return flags & RECORDS_STUCK && ++calls % 3;
}

/* The kernel, and the rest of a worker */

int ktls_send_alert(int fd, uint8_t description, int how)
{
	must_hold(fd == FD && how == MSG_DONTWAIT);
	must_hold(fuzz_records.end < 0);
	if (stuck())
		return -EAGAIN;
	fuzz_records.alert = description;
	fuzz_records.alerts++;
	return 0;
}

int ktls_send_record(int fd, uint8_t type, const void *content, size_t len, int how)
{
	static const uint8_t update[] = { 24, 0, 0, 1, 0 };

	must_hold(fd == FD && how == MSG_DONTWAIT && fuzz_records.end < 0);
	must_hold(type == KTLS_RECORD_HANDSHAKE && len == sizeof(update) &&
		  !memcmp(content, update, len));
	/* A new key for each of ours, before there is another. */
	must_hold(fuzz_records.updates == fuzz_records.rekeys_tx);
	if (stuck())
		return -EAGAIN;
	fuzz_records.updates++;
	return 0;
}

int ktls_set_key(int fd, unsigned int direction, const void *key, size_t len)
{
	const struct tls_crypto_info *info = key;

	must_hold(fd == FD && fuzz_records.end < 0);
	must_hold(info->version == TLS_1_3_VERSION && len);
	if (flags & RECORDS_NO_REKEY)
		return -EBUSY;
	if (direction == KTLS_DIRECTION_TX) {
		fuzz_records.rekeys_tx++;
		must_hold(fuzz_records.updates == fuzz_records.rekeys_tx);
	} else {
		fuzz_records.rekeys_rx++;
		must_hold(fuzz_records.rekeys_rx <= KEY_UPDATES_MOST);
	}
	return 0;
}

void connection_end(struct connection *c, enum connection_end why)
{
	must_hold(fuzz_records.end < 0);
	fuzz_records.end = why;
	c->state = CONNECTION_DEAD;
}

static void set_up(struct connection *c, struct worker *w, struct conf *conf,
		   struct conf_listener *l, struct counters *counters)
{
	struct secrets *s = &c->handshake.secrets;

	fuzz_records = (struct fuzz_records){ .end = -1, .alert = -1 };
	calls = 0;
	l->kind = flags & RECORDS_CLIENT ? LISTENER_CLIENT : LISTENER_SERVER;
	conf->listeners = l;
	conf->listeners_count = 1;
	w->conf = conf;
	w->counters = counters;
	w->now = 1;
	c->worker = w;
	c->state = CONNECTION_RELAY;
	c->ends[SIDE_TLS].fd = FD;
	c->kernel_rx = true;
	c->kernel_tx = true;
	s->version = flags & RECORDS_TLS12 ? TLS_1_2_VERSION : TLS_1_3_VERSION;
	s->cipher = TLS_CIPHER_AES_GCM_128;
	s->len = 32;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct connection c = { 0 };
	struct worker w = { 0 };
	struct conf conf = { 0 };
	struct conf_listener l = { 0 };
	struct counters counters = { 0 };
	static bool begun;
	uint8_t *content;
	size_t n;
	int ret;

	if (!begun)
		must_hold(secrets_init());
	begun = true;
	if (!len)
		return 0;
	flags = *data;
	set_up(&c, &w, &conf, &l, &counters);
	for (data++, len--; len >= 3; data += n, len -= n) {
		uint8_t type = data[0];

		n = data[1] << 8 | data[2];
		data += 3;
		len -= 3;
		if (n > len)
			n = len;
		/* So that what is read behind it is noticed. */
		content = malloc(n ?: 1);
		memcpy(content, data, n);
		ret = post_handshake_record(&c, type, content, n);
		free(content);
		fuzz_records.last = ret;
		must_hold((ret < 0) == (fuzz_records.end >= 0) && ret <= 1);
		if (ret < 0)
			break;
		must_hold(c.records.head_len < sizeof(c.records.head));
		must_hold(ret == 0 || (type == KTLS_RECORD_ALERT && n == 2));
		if (!c.owes_key_update && !c.owes_no_renegotiation)
			continue;
		ret = post_handshake_pay(&c);
		must_hold(ret == -EAGAIN || (ret < 0) == (fuzz_records.end >= 0));
		if (ret == -EAGAIN)
			continue;
		if (ret)
			break;
		must_hold(!c.owes_key_update && !c.owes_no_renegotiation);
	}
	/* What was said of keys is what was counted. */
	must_hold(counters.rekeys_rx == fuzz_records.rekeys_rx);
	must_hold(counters.rekeys_tx == fuzz_records.rekeys_tx);
	if (flags & RECORDS_TLS12)
		must_hold(!fuzz_records.rekeys_rx && !fuzz_records.updates);
	return 0;
}
