// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What the two ends of the handshake service say to each other, and what they make of
 * what others would say; and records after a handshake, in whatever pieces.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "../libktls/handshake.h"
#include "tap.h"

#define MUTATIONS 200000

static uint32_t state = 1;

/* Always the same, so that a failure is found again. */
static uint32_t any(uint32_t below)
{
	state = state * 1664525 + 1013904223;
	return (uint64_t)state * below >> 32;
}

static size_t make_request(uint8_t *buffer, enum ktls_wire_type type)
{
	struct ktls_wire_request q = {
		.type = type, .service = "web", .server_name = "example.org",
		.alpn = "\2h2\10http/1.1", .alpn_len = 12, .timeout = 1234,
		.direction = KTLS_DIRECTION_RX,
	};

	return ktls_wire_write_request(buffer, KTLS_WIRE_REQUEST_MAX, &q);
}

static void test_request(void)
{
	uint32_t aligned[KTLS_WIRE_REQUEST_MAX / 4];
	uint8_t *buffer = (uint8_t *)aligned;
	struct ktls_wire_writer w;
	struct ktls_wire_request q;
	size_t len = make_request(buffer, KTLS_WIRE_REQUEST), i;
	uint16_t other = KTLS_WIRE_VERSION + 1;
	bool all = true;
	char name[300];

	ok(!ktls_wire_read_request(buffer, len, &q) &&
	   q.type == KTLS_WIRE_REQUEST && !strcmp(q.service, "web") &&
	   !strcmp(q.server_name, "example.org") && q.alpn_len == 12 &&
	   !memcmp(q.alpn, "\2h2\10http/1.1", 12) && q.timeout == 1234,
	   "a request is read as it was written");
	for (i = 0; i < len; i++)
		all = all && ktls_wire_read_request(buffer, i, &q) == -EBADMSG;
	ok(all, "a part of it is no message");
	ok(ktls_wire_read_request(buffer, len + 1, &q) == -EBADMSG,
	   "with something behind it, it is none");
	memcpy(buffer, &other, sizeof(other));
	ok(ktls_wire_read_request(buffer, len, &q) == -EPROTONOSUPPORT,
	   "another version is told from nonsense");

	len = make_request(buffer, KTLS_WIRE_REKEY);
	ok(!ktls_wire_read_request(buffer, len, &q) && q.type == KTLS_WIRE_REKEY &&
	   q.direction == KTLS_DIRECTION_RX, "so is a rekey");

	ktls_wire_begin(&w, buffer, sizeof(aligned), KTLS_WIRE_REQUEST);
	ktls_wire_put_text(&w, KTLS_WIRE_SERVICE, "a");
	ktls_wire_put(&w, 77, "what later versions say", 23);
	ok(!ktls_wire_read_request(buffer, w.len, &q) && !strcmp(q.service, "a"),
	   "items that are not known are left out");
	ktls_wire_put_text(&w, KTLS_WIRE_SERVICE, "b");
	ok(ktls_wire_read_request(buffer, w.len, &q) == -EBADMSG,
	   "there are no two services");

	ktls_wire_begin(&w, buffer, sizeof(aligned), KTLS_WIRE_REQUEST);
	ktls_wire_put(&w, KTLS_WIRE_SERVICE, "a\0b", 4);
	ok(ktls_wire_read_request(buffer, w.len, &q) == -EBADMSG,
	   "a text has no NUL within");
	ktls_wire_begin(&w, buffer, sizeof(aligned), KTLS_WIRE_REQUEST);
	ktls_wire_put(&w, KTLS_WIRE_SERVICE, "ab", 2);
	ok(ktls_wire_read_request(buffer, w.len, &q) == -EBADMSG,
	   "and has one at its end");
	memset(name, 'x', sizeof(name));
	name[256] = '\0';
	ktls_wire_begin(&w, buffer, sizeof(aligned), KTLS_WIRE_REQUEST);
	ktls_wire_put_text(&w, KTLS_WIRE_SERVER_NAME, name);
	ok(ktls_wire_read_request(buffer, w.len, &q) == -EBADMSG,
	   "a name that is too long is refused");
	ktls_wire_begin(&w, buffer, sizeof(aligned), KTLS_WIRE_REQUEST);
	for (i = 0; i < 130; i++)
		ktls_wire_put_text(&w, KTLS_WIRE_ALPN, "x");
	ok(ktls_wire_read_request(buffer, w.len, &q) == -EBADMSG,
	   "so are too many protocols");
	ktls_wire_begin(&w, buffer, 64, KTLS_WIRE_REQUEST);
	ok(!ktls_wire_put(&w, KTLS_WIRE_SERVICE, name, 49) && w.len == 8 &&
	   ktls_wire_put(&w, KTLS_WIRE_SERVICE, name, 48) && w.len == 64 &&
	   !ktls_wire_put(&w, KTLS_WIRE_SERVICE, name, 0),
	   "what has no room is not written");
}

static size_t make_answer(uint8_t *buffer, size_t room)
{
	struct ktls_wire_writer w;

	ktls_wire_begin(&w, buffer, room, KTLS_WIRE_RESULT);
	ktls_wire_put_number(&w, KTLS_WIRE_ERROR, -EPERM);
	ktls_wire_put_text(&w, KTLS_WIRE_SENTENCE, "no");
	ktls_wire_put_number(&w, KTLS_WIRE_TLS_VERSION, KTLS_VERSION_TLS_1_3);
	ktls_wire_put_number(&w, KTLS_WIRE_KERNEL_TX, 1);
	ktls_wire_put_number(&w, KTLS_WIRE_VERIFIED, 1);
	ktls_wire_put_text(&w, KTLS_WIRE_ALPN, "h2");
	ktls_wire_put(&w, KTLS_WIRE_CERTIFICATE, "\x30\x01\x00", 3);
	ktls_wire_put(&w, KTLS_WIRE_CERTIFICATE, "\x30\x00", 2);
	ktls_wire_put_text(&w, KTLS_WIRE_DNS_NAME, "example.org");
	ktls_wire_put(&w, KTLS_WIRE_IP_ADDRESS, "\x7f\0\0\1", 4);
	ktls_wire_put(&w, KTLS_WIRE_IP_ADDRESS, "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1", 16);
	return w.len;
}

static int read_answer(struct handshake *h, const uint8_t *buffer, size_t len)
{
	memset(h, 0, sizeof(*h));
	/* Of its own, so that what reads behind the end is noticed. */
	h->message = malloc(len ?: 1);
	memcpy(h->message, buffer, len);
	return ktls_handshake_read_answer(h, len, KTLS_WIRE_RESULT);
}

static void test_answer(void)
{
	uint8_t buffer[1024];
	struct handshake h;
	const struct ktls_handshake *t = &h.told;
	size_t len = make_answer(buffer, sizeof(buffer)), i;
	bool all = true;

	ok(!read_answer(&h, buffer, len) && h.error == -EPERM &&
	   !strcmp(h.sentence, "no") && t->version == KTLS_VERSION_TLS_1_3 &&
	   t->kernel_tx && !t->kernel_rx && t->verified &&
	   !strcmp(t->alpn, "h2") && !t->server_name && !t->unverified,
	   "an answer is read as it was written");
	ok(t->certificates_count == 2 && t->certificates[0].len == 3 &&
	   !memcmp(t->certificates[0].der, "\x30\x01\x00", 3) &&
	   t->certificates[1].len == 2 && t->dns_names_count == 1 &&
	   !strcmp(t->dns_names[0], "example.org") &&
	   t->ip_addresses_count == 2 &&
	   t->ip_addresses[0].family == AF_INET &&
	   t->ip_addresses[0].address[0] == 127 &&
	   t->ip_addresses[1].family == AF_INET6 &&
	   t->ip_addresses[1].address[15] == 1,
	   "with its lists, in their order");
	ktls_handshake_forget_answer(&h);
	for (i = 0; i < len; i++) {
		all = all && read_answer(&h, buffer, i) == -EBADMSG;
		ktls_handshake_forget_answer(&h);
	}
	ok(all, "a part of it is no message");
}

/* Whatever comes, what is made of it is within it, or the sanitizers say so. */
static void test_mutations(void)
{
	uint8_t buffer[1024], request[KTLS_WIRE_REQUEST_MAX], *copy;
	struct ktls_wire_request q;
	struct handshake h;
	size_t len, i, j, taken = 0, sum = 0;
	bool all = true;

	for (i = 0; i < MUTATIONS; i++) {
		len = i % 2 ? make_answer(buffer, sizeof(buffer)) :
			      make_request(buffer, KTLS_WIRE_REQUEST);
		for (j = 1 + any(3); j; j--)
			buffer[any(len)] = any(4) ? any(256) : any(2) ? 0 : 255;
		/* Its length may be right with less of it. */
		if (!any(8)) {
			uint32_t less = 8 + any(len - 8);

			memcpy(buffer + 4, &less, sizeof(less));
			len = less;
		}
		if (i % 2) {
			taken += !read_answer(&h, buffer, len);
			for (j = 0; j < h.told.certificates_count; j++)
				if (h.told.certificates[j].len)
					sum += h.told.certificates[j].der[0];
			for (j = 0; j < h.told.dns_names_count; j++)
				if (h.told.dns_names[j])
					sum += strlen(h.told.dns_names[j]);
			sum += h.sentence ? strlen(h.sentence) : 0;
			ktls_handshake_forget_answer(&h);
			continue;
		}
		copy = malloc(len);
		memcpy(copy, buffer, len);
		if (!ktls_wire_read_request(copy, len, &q)) {
			taken++;
			/* What was taken can be said again. */
			all = all && strlen(q.service) < sizeof(q.service) &&
			      strlen(q.server_name) < sizeof(q.server_name) &&
			      q.alpn_len <= sizeof(q.alpn) &&
			      ktls_wire_write_request(request, sizeof(request), &q) > 0;
		}
		free(copy);
	}
	ok(all && taken > MUTATIONS / 100 && taken < MUTATIONS && sum,
	   "%d mangled messages do no harm (%zu made sense)", MUTATIONS, taken);
}

/* The events of records that hold @bytes, cut by chance. */
static int read_pieces(bool server, bool tls13, const uint8_t *bytes, size_t len,
		       bool whole)
{
	struct ktls_post_handshake p = { .server = server, .tls13 = tls13 };
	int events = 0, ret;
	size_t n;

	while (len) {
		uint8_t *copy;

		n = whole ? len : 1 + any(len);
		copy = malloc(n);
		memcpy(copy, bytes, n);
		ret = ktls_post_handshake_read(&p, KTLS_RECORD_HANDSHAKE, copy, n);
		free(copy);
		if (ret < 0)
			return ret;
		events |= ret;
		bytes += n;
		len -= n;
	}
	return events;
}

static void test_records(void)
{
	static const uint8_t tickets[] = "\4\0\0\3abc\4\0\0\0\4\0\0\1x";
	static const uint8_t both[] = "\4\0\0\3abc\x18\0\0\1\1";
	static const uint8_t hello[] = "\0\0\0\0";
	struct ktls_post_handshake p = { .tls13 = true };
	uint8_t update[KTLS_KEY_UPDATE_LEN], junk[64];
	bool all = true;
	size_t i, j;

	for (i = 0; i < 1000; i++)
		all = all && !read_pieces(false, true, tickets,
					  sizeof(tickets) - 1, false);
	ok(all, "tickets come in any pieces");
	ok(read_pieces(true, true, tickets, sizeof(tickets) - 1, true) ==
	   -KTLS_ALERT_UNEXPECTED_MESSAGE, "but not to a server");
	ok(read_pieces(false, true, both, sizeof(both) - 1, true) ==
	   (KTLS_POST_KEY_UPDATE | KTLS_POST_KEY_WANTED),
	   "a KeyUpdate may stand behind a ticket");
	ktls_key_update_message(update, false);
	ok(read_pieces(true, true, update, sizeof(update), true) ==
	   KTLS_POST_KEY_UPDATE, "our own is one");
	ok(read_pieces(true, false, update, sizeof(update), true) < 0,
	   "which TLS 1.2 does not have");
	ok(read_pieces(false, false, hello, 4, true) == KTLS_POST_RENEGOTIATION &&
	   read_pieces(false, true, hello, 4, true) < 0,
	   "nor TLS 1.3 a HelloRequest");
	ok(ktls_post_handshake_read(&p, KTLS_RECORD_ALERT, (uint8_t *)"\1\0", 2) ==
	   KTLS_POST_END &&
	   !ktls_post_handshake_read(&p, KTLS_RECORD_ALERT, (uint8_t *)"\1\x5a", 2) &&
	   ktls_post_handshake_read(&p, KTLS_RECORD_ALERT, (uint8_t *)"\2\x28", 2) ==
	   KTLS_POST_ALERT && p.alert == 40 &&
	   ktls_post_handshake_read(&p, KTLS_RECORD_ALERT, (uint8_t *)"\1", 1) < 0 &&
	   ktls_post_handshake_read(&p, KTLS_RECORD_CHANGE_CIPHER_SPEC,
				    (uint8_t *)"\1", 1) < 0,
	   "alerts are told from each other");
	for (i = 0; i < MUTATIONS; i++) {
		for (j = 0; j < sizeof(junk); j++)
			junk[j] = any(3) ? 0 : any(2) ? 4 : any(256);
		read_pieces(any(2), any(2), junk, sizeof(junk), any(2));
	}
	ok(true, "%d records of junk do no harm", MUTATIONS);
}

int main(void)
{
	tap_begin();
	test_request();
	test_answer();
	test_mutations();
	test_records();
	return tap_end();
}
