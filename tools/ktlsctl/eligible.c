// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What a server of this host says of its connections.  Nobody but the two ends
 * knows what one of them negotiated in user space, or that it is TLS at all; but
 * what a server refuses when it is asked, it cannot have negotiated.
 */
#include <stdio.h>
#include <string.h>

#include "negotiation.h"
#include "why.h"

#define TIMEOUT 3
/* Those that do not answer must not keep who asks waiting for long in all. */
#define PATIENCE_NS 20000000000ull

/* What kernel TLS does not know, of each version. */
static const struct suite ineligible[] = {
	{ KTLS_VERSION_TLS_1_2, 0,
	  "ALL:!AESGCM:!CHACHA20:!AESCCM", "" },
	{ KTLS_VERSION_TLS_1_2, 0,
	  "ECDHE-ECDSA-AES256-CCM:ECDHE-ECDSA-AES256-CCM8:ECDHE-ECDSA-AES128-CCM8:DHE-RSA-AES256-CCM:AES256-CCM",
	  "" },
	{ KTLS_VERSION_TLS_1_2 - 1, 0, "ALL", "" },
	{ KTLS_VERSION_TLS_1_2 - 2, 0, "ALL", "" },
	{ KTLS_VERSION_TLS_1_3, 0, "TLS_AES_128_CCM_8_SHA256", "" },
};

/* Answers by end, as many connections have the same. */
struct server {
	const struct space *space;
	struct end end;
	enum answer tls;
	uint64_t handshake;	/* bytes that it sent for one, with tickets */
	bool asked;
	enum answer takes_ineligible;
};

static struct server servers[32];
static size_t servers_count;

static void make_question_of(const struct end *end, struct question *q)
{
	char text[ADDR_LEN], *host = text, *colon;

	memset(q, 0, sizeof(*q));
	format_addr(text, end->family, end->addr, end->port);
	colon = strrchr(text, ':');
	*colon = '\0';
	if (*host == '[') {
		host++;
		colon[-1] = '\0';
	}
	snprintf(q->endpoint.host, sizeof(q->endpoint.host), "%s", host);
	q->endpoint.port = end->port;
	q->endpoint.is_address = true;
	q->sni = "";
	q->timeout = TIMEOUT;
}

static void ask_tls(struct server *s, const struct question *q)
{
	struct address address = { 0 };
	struct negotiation n;

	negotiate(q, NULL, true, &address, &n);
	s->tls = n.done ? ANSWER_YES : ANSWER_UNKNOWN;
	s->handshake = n.received;
	free_negotiation(&n);
}

static void ask_ineligible(struct server *s, const struct question *q)
{
	struct address address = { 0 };
	struct negotiation n;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(ineligible); i++) {
		negotiate(q, &ineligible[i], true, &address, &n);
		free_negotiation(&n);
		/* It may want a certificate, once it has chosen. */
		if (n.done || n.chosen)
			s->takes_ineligible = ANSWER_YES;
		/* To be hung up on may have other reasons. */
		if (n.done || n.chosen || !n.alerted)
			return;
	}
	s->takes_ineligible = ANSWER_NO;
}

static int ask_server(void *arg)
{
	static uint64_t begin;
	struct server *s = arg;
	struct question q;

	if (!begin)
		begin = monotonic_ns();
	if (monotonic_ns() - begin > PATIENCE_NS)
		return 0;
	make_question_of(&s->end, &q);
	if (!s->asked) {
		s->asked = true;
		ask_tls(s, &q);
	} else {
		ask_ineligible(s, &q);
	}
	return 0;
}

static struct server *find_server(const struct space *space, uint16_t family,
				  const uint8_t *addr, uint16_t port)
{
	struct end end = { .family = family, .port = port };
	struct server *s;
	size_t i;

	memcpy(end.addr, addr, family == AF_INET6 ? 16 : 4);
	for (i = 0; i < servers_count; i++)
		if (servers[i].space == space &&
		    !memcmp(&servers[i].end, &end, sizeof(end)))
			return &servers[i];
	if (servers_count == ARRAY_SIZE(servers))
		return NULL;
	s = &servers[servers_count++];
	*s = (struct server){ .space = space, .end = end,
			      .tls = ANSWER_UNKNOWN,
			      .takes_ineligible = ANSWER_UNKNOWN };
	in_netns(space->fd, ask_server, s);
	return s;
}

/* Both ends are on this host: it may be asked without bothering others. */
static bool is_remote_here(const struct connection *c)
{
	size_t len = c->family == AF_INET6 ? 16 : 4;

	return !memcmp(c->local_addr, c->remote_addr, len) ||
	       (c->family == AF_INET && c->remote_addr[0] == 127);
}

enum answer server_has_tls(const struct connection *c)
{
	struct server *s = find_server(c->space, c->family, c->local_addr,
				       c->local_port);

	if (s && s->tls == ANSWER_YES)
		return ANSWER_YES;
	if (is_remote_here(c))
		s = find_server(c->space, c->family, c->remote_addr,
				c->remote_port);
	return s ? s->tls : ANSWER_UNKNOWN;
}

enum answer server_takes_ineligible(const struct connection *c)
{
	struct server *s = find_server(c->space, c->family, c->local_addr,
				       c->local_port);

	/* A client's server decides as well, but is no longer asked so much. */
	if (!s || s->tls != ANSWER_YES)
		return ANSWER_UNKNOWN;
	if (s->takes_ineligible == ANSWER_UNKNOWN)
		in_netns(s->space->fd, ask_server, s);
	return s->takes_ineligible;
}

bool server_has_said_more(const struct connection *c, uint64_t *handshake)
{
	struct server *s = find_server(c->space, c->family, c->local_addr,
				       c->local_port);

	if (!s || s->tls != ANSWER_YES || !s->handshake)
		return false;
	/* To others it may show another certificate, or be asked to try again. */
	*handshake = 2 * s->handshake + 4096;
	return c->sent > *handshake;
}
