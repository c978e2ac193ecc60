// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Whether the server of a connection takes what no kernel does: nobody but its
 * two ends knows what a connection negotiated in user space, but a server that
 * refuses all else cannot have negotiated it.
 */
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

#include "negotiation.h"
#include "why.h"

#define TIMEOUT 5

/* What kernel TLS does not know, of each version. */
static const struct suite ineligible[] = {
	{ KTLS_VERSION_TLS_1_2, 0,
	  "ALL:!AESGCM:!CHACHA20:!AESCCM:@SECLEVEL=0", "" },
	{ KTLS_VERSION_TLS_1_2, 0,
	  "ECDHE-ECDSA-AES256-CCM:ECDHE-ECDSA-AES256-CCM8:ECDHE-ECDSA-AES128-CCM8:DHE-RSA-AES256-CCM:AES256-CCM:@SECLEVEL=0",
	  "" },
	{ KTLS_VERSION_TLS_1_2 - 1, 0, "ALL:@SECLEVEL=0", "" },
	{ KTLS_VERSION_TLS_1_2 - 2, 0, "ALL:@SECLEVEL=0", "" },
	{ KTLS_VERSION_TLS_1_3, 0, "TLS_AES_128_CCM_8_SHA256", "" },
};

struct asking {
	const struct space *space;
	struct question question;
	enum answer answer;
};

static void *ask_server(void *arg)
{
	struct asking *a = arg;
	struct address address = { 0 };
	struct negotiation n;
	size_t i;

	a->answer = ANSWER_UNKNOWN;
	if (a->space->fd >= 0 && setns(a->space->fd, CLONE_NEWNET))
		return NULL;
	for (i = 0; i < ARRAY_SIZE(ineligible); i++) {
		negotiate(&a->question, &ineligible[i], false, &address, &n);
		if (n.done)
			a->answer = ANSWER_YES;
		if (!n.refused || n.done)
			return NULL;
		free_negotiation(&n);
	}
	a->answer = ANSWER_NO;
	return NULL;
}

/* Answers by end, as many connections have the same. */
static struct {
	const struct space *space;
	char end[ADDR_LEN];
	enum answer answer;
} known[16];
static size_t known_count;

enum answer server_takes_ineligible(const struct connection *c)
{
	struct asking a = { .space = c->space };
	pthread_t thread;
	char end[ADDR_LEN];
	size_t i;

	format_addr(end, c->family, c->local_addr, c->local_port);
	for (i = 0; i < known_count; i++)
		if (known[i].space == c->space && !strcmp(known[i].end, end))
			return known[i].answer;
	snprintf(a.question.endpoint.host, sizeof(a.question.endpoint.host),
		 "%s", format_addr(end, c->family, c->local_addr, 0));
	/* "address:0", or "[address]:0" */
	*strrchr(a.question.endpoint.host, ':') = '\0';
	if (*a.question.endpoint.host == '[') {
		i = strlen(a.question.endpoint.host);
		memmove(a.question.endpoint.host, a.question.endpoint.host + 1,
			i);
		a.question.endpoint.host[i - 2] = '\0';
	}
	a.question.endpoint.port = c->local_port;
	a.question.endpoint.is_address = true;
	a.question.sni = "";
	a.question.timeout = TIMEOUT;
	if (pthread_create(&thread, NULL, ask_server, &a))
		return ANSWER_UNKNOWN;
	pthread_join(thread, NULL);
	if (known_count < ARRAY_SIZE(known)) {
		known[known_count].space = c->space;
		format_addr(known[known_count].end, c->family, c->local_addr,
			    c->local_port);
		known[known_count++].answer = a.answer;
	}
	return a.answer;
}
