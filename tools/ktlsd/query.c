// SPDX-License-Identifier: GPL-2.0-or-later
/* Asks all workers for their connections, and makes one answer of it. */
#include <arpa/inet.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include "conf.h"
#include "control.h"
#include "generation.h"
#include "ktlsd.h"
#include "query.h"
#include "settings.h"
#include "status.h"
#include "supervisor.h"

#define PATIENCE (5 * 1000000000ULL)

struct query {
	uint64_t *clients;
	size_t clients_count;
	uint64_t *later;	/* who asked while it was under way */
	size_t later_count;
	pid_t *workers;		/* whose answers are not over */
	size_t workers_count;
	struct json_object *list;
	uint64_t until;
};

static void add_client(uint64_t **list, size_t *count, uint64_t client)
{
	*list = must(reallocarray(*list, *count + 1, sizeof(**list)));
	(*list)[(*count)++] = client;
}

static void ask_generation(struct query *q, struct generation *g)
{
	unsigned int i;

	if (!g || g->stopping)
		return;
	q->workers = must(reallocarray(q->workers, q->workers_count + g->conf->workers,
				       sizeof(*q->workers)));
	for (i = 0; i < g->conf->workers; i++)
		if (g->workers[i].pid)
			q->workers[q->workers_count++] = g->workers[i].pid;
	generation_tell_workers(g, MESSAGE_CONNECTIONS, NULL, 0);
}

static void finish(struct supervisor *s)
{
	struct query *q = s->query;
	struct json_object *o = json_object_new_object();
	uint64_t *later = q->later;
	size_t i, later_count = q->later_count;

	json_object_object_add(o, "connections", q->list);
	if (q->workers_count)
		json_object_object_add(o, "silent-workers",
				       json_object_new_uint64(q->workers_count));
	s->query = NULL;
	for (i = 0; i < q->clients_count; i++)
		control_answer(s->control, q->clients[i], json_object_get(o));
	json_object_put(o);
	free(q->clients);
	free(q->workers);
	free(q);
	for (i = 0; i < later_count; i++)
		query_ask(s, later[i]);
	free(later);
}

void query_ask(struct supervisor *s, uint64_t client)
{
	struct generation *g;
	struct query *q = s->query;

	if (q) {
		add_client(&q->later, &q->later_count, client);
		return;
	}
	q = must(calloc(1, sizeof(*q)));
	s->query = q;
	add_client(&q->clients, &q->clients_count, client);
	q->list = json_object_new_array();
	q->until = monotonic_ns() + PATIENCE;
	ask_generation(q, s->current);
	for (g = s->old; g; g = g->next)
		ask_generation(q, g);
	if (!q->workers_count)
		finish(s);
}

static void add_address(struct json_object *o, const char *name, uint16_t family,
			const uint8_t *address)
{
	char text[INET6_ADDRSTRLEN];

	if (inet_ntop(family, address, text, sizeof(text)))
		json_object_object_add(o, name, json_object_new_string(text));
}

/* What peers chose, bounded: as JSON has it, it is UTF-8. */
static void add_text(struct json_object *o, const char *name, const char *text,
		     size_t size)
{
	if (*text)
		json_object_object_add(o, name, status_string(text, strnlen(text, size)));
}

static void add_number(struct json_object *o, const char *name, uint64_t value)
{
	json_object_object_add(o, name, json_object_new_uint64(value));
}

#define ADD_TEXT(o, name, field) add_text(o, name, field, sizeof(field))

static void add_connection(struct query *q, const struct generation *g,
			   const struct process *p, const struct message_connection *c)
{
	const struct conf *conf = g->conf;
	struct json_object *o = json_object_new_object();
	const char *version;

	add_number(o, "cookie", c->cookie);
	if (c->listener < conf->listeners_count)
		json_object_object_add(o, "listener", json_object_new_string(
				       conf->listeners[c->listener].name));
	add_number(o, "worker", p->index);
	add_number(o, "pid", p->pid);
	add_number(o, "family", c->family);
	add_address(o, "local-addr", c->family, c->local_addr);
	add_address(o, "remote-addr", c->family, c->remote_addr);
	add_number(o, "local-port", c->local_port);
	add_number(o, "remote-port", c->remote_port);
	add_number(o, "start-time", c->started);
	if (c->version) {
		version = c->version == 0x0304 ? "1.3" : c->version == 0x0303 ? "1.2" : "?";
		json_object_object_add(o, "version", json_object_new_string(version));
		ADD_TEXT(o, "cipher", c->cipher);
		json_object_object_add(o, "tx", json_object_new_string(
				       c->kernel_tx ? "kernel" : "user"));
		json_object_object_add(o, "rx", json_object_new_string(
				       c->kernel_rx ? "kernel" : "user"));
	}
	if (c->identity >= 0 && (size_t)c->identity < conf->identities_count)
		json_object_object_add(o, "certificate", json_object_new_string(
				       conf->identities[c->identity].chain));
	ADD_TEXT(o, "server-name", c->server_name);
	ADD_TEXT(o, "alpn", c->alpn);
	ADD_TEXT(o, "peer-name", c->peer_name);
	json_object_array_add(q->list, o);
}

void query_gone(struct supervisor *s, const struct process *p)
{
	struct query *q = s->query;
	size_t i;

	for (i = 0; q && i < q->workers_count; i++) {
		if (q->workers[i] != p->pid)
			continue;
		q->workers[i] = q->workers[--q->workers_count];
		if (!q->workers_count)
			finish(s);
		return;
	}
}

void query_heard(struct supervisor *s, struct generation *g, struct process *p,
		 const struct message *m)
{
	const struct message_connection *list = m->body;
	size_t i;

	if (!s->query)
		return;
	for (i = 0; i < m->len / sizeof(*list); i++)
		add_connection(s->query, g, p, &list[i]);
	if (!m->len)
		query_gone(s, p);
}

uint64_t query_until(struct supervisor *s)
{
	return s->query ? s->query->until : UINT64_MAX;
}

void query_check(struct supervisor *s, uint64_t now)
{
	if (s->query && s->query->until <= now)
		finish(s);
}
