// SPDX-License-Identifier: GPL-2.0-or-later
/* The status of all, as JSON. */
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "conf.h"
#include "generation.h"
#include "ktlsd.h"
#include "settings.h"
#include "status.h"
#include "supervisor.h"
#include "utf8.h"

struct json_object *status_string(const char *text, size_t len)
{
	struct json_object *o;
	char *clean = must(malloc(len + 1));
	size_t i, n;

	for (i = 0; i < len; i += n) {
		n = utf8_length(text + i, len - i);
		if (n)
			memcpy(clean + i, text + i, n);
		else
			clean[i] = '?';
		n = n ?: 1;
	}
	o = json_object_new_string_len(clean, len);
	free(clean);
	return o;
}

static void add_number(struct json_object *o, const char *name, uint64_t value)
{
	json_object_object_add(o, name, json_object_new_uint64(value));
}

static void add_string(struct json_object *o, const char *name, const char *text)
{
	if (text)
		json_object_object_add(o, name, status_string(text, strlen(text)));
}

static struct json_object *json_counters(const struct counters *counters)
{
	struct json_object *o = json_object_new_object();
	char name[64];
	unsigned int i;
	char *c;

	for (i = 0; i < counters_count; i++) {
		snprintf(name, sizeof(name), "%s", counters_table[i].name);
		for (c = name; *c; c++)
			if (*c == '_')
				*c = '-';
		add_number(o, name, counters_get(counters, &counters_table[i]));
	}
	return o;
}

void status_serial(char text[STATUS_SERIAL], const uint8_t *serial, uint32_t len)
{
	uint32_t i;

	*text = '\0';
	for (i = 0; i < len && i < STATUS_SERIAL / 2; i++)
		sprintf(text + 2 * i, "%02x", serial[i]);
}

void status_counters(const struct supervisor *s, struct counters *total)
{
	struct generation *g;
	unsigned int i;

	*total = s->retired;
	for (g = s->current ?: s->old; g; g = g == s->current ? s->old : g->next)
		for (i = 0; i < g->conf->workers; i++)
			counters_add(total, g->counters[i], true);
}

static const char *state_of(const struct generation *g, const struct process *p)
{
	if (!p->pid)
		return p->ended ? "ended" : "to be replaced";
	if (g->stopping)
		return "killed";
	if (!p->ready)
		return "starting";
	return g->draining ? "draining" : "running";
}

static void add_processes(struct json_object *list, struct generation *g)
{
	static const char *const roles[] = {
		[ROLE_KEYS] = "keys", [ROLE_BROKER] = "broker", [ROLE_WORKER] = "worker",
	};
	uint64_t now = monotonic_ns();
	struct json_object *o;
	struct process *p;
	size_t n;

	for (n = 0; g && (p = generation_process(g, n)); n++) {
		/* It comes and goes. */
		if (p->role == ROLE_PROVER)
			continue;
		o = json_object_new_object();
		add_string(o, "role", roles[p->role]);
		if (p->role == ROLE_WORKER)
			add_number(o, "worker", p->index);
		add_number(o, "generation", g->number);
		if (p->pid) {
			add_number(o, "pid", p->pid);
			add_number(o, "age", now - p->started);
		}
		add_string(o, "state", state_of(g, p));
		add_number(o, "replaced", p->replaced);
		if (p->role == ROLE_WORKER)
			json_object_object_add(o, "counters",
					       json_counters(g->counters[p->index]));
		json_object_array_add(list, o);
	}
}

static void add_serial(struct json_object *o, const char *name, const uint8_t *serial,
		       uint32_t len)
{
	char text[STATUS_SERIAL];

	status_serial(text, serial, len);
	add_string(o, name, text);
}

static struct json_object *json_proofs(const struct generation *g, size_t listener)
{
	const struct conf_listener *l = &g->conf->listeners[listener];
	struct json_object *list = json_object_new_array(), *o;
	size_t i;

	for (i = 0; i < l->identities_count; i++) {
		const struct proof *p = &g->proofs.of[listener][i];

		if (!p->known)
			continue;
		o = json_object_new_object();
		add_string(o, "certificate", g->conf->identities[l->identities[i]].chain);
		add_string(o, "state", proof_word(p->last.state));
		add_number(o, "look-time", p->looked);
		if (p->proven)
			add_number(o, "proven-time", p->proven);
		if (p->last.served_len)
			add_serial(o, "served-serial", p->last.served,
				   p->last.served_len);
		if (p->last.file_len)
			add_serial(o, "file-serial", p->last.file, p->last.file_len);
		if (p->last.error[0])
			add_string(o, "error", p->last.error);
		json_object_array_add(list, o);
	}
	return list;
}

static struct json_object *json_listeners(const struct generation *g)
{
	static const char *const kinds[] = {
		[LISTENER_SERVER] = "server", [LISTENER_CLIENT] = "client",
		[LISTENER_FILES] = "files",
		[LISTENER_SERVICE_SERVER] = "server for programs",
		[LISTENER_SERVICE_CLIENT] = "client for programs",
		[LISTENER_HANDSHAKE] = "handshake",
	};
	struct json_object *list = json_object_new_array(), *o, *certificates;
	const struct conf *conf = g->conf;
	size_t i, j;

	for (i = 0; i < conf->listeners_count; i++) {
		const struct conf_listener *l = &conf->listeners[i];

		o = json_object_new_object();
		add_string(o, "name", l->name);
		add_string(o, "kind", kinds[l->kind]);
		add_string(o, "address", l->address.text);
		add_string(o, "backend", l->backend.text);
		add_string(o, "root", l->root);
		add_string(o, "server-name", l->server_name);
		certificates = json_object_new_array();
		for (j = 0; j < l->identities_count; j++)
			json_object_array_add(certificates, status_string(
				conf->identities[l->identities[j]].chain,
				strlen(conf->identities[l->identities[j]].chain)));
		json_object_object_add(o, "certificates", certificates);
		if (l->address.len && !conf_is_client(l))
			json_object_object_add(o, "proofs", json_proofs(g, i));
		json_object_array_add(list, o);
	}
	return list;
}

static struct json_object *json_identities(const struct generation *g)
{
	static const char *const expiries[] = {
		[EXPIRY_GOOD] = "good", [EXPIRY_SOON] = "soon", [EXPIRY_OVER] = "expired",
	};
	struct json_object *list = json_object_new_array(), *o;
	size_t i;

	for (i = 0; i < g->conf->identities_count; i++) {
		const struct message_identity_state *state = &g->identities[i];

		o = json_object_new_object();
		add_string(o, "certificate", g->conf->identities[i].chain);
		add_string(o, "key", g->conf->identities[i].key);
		add_number(o, "generation", state->generation);
		if (state->generation) {
			json_object_object_add(o, "not-after",
					       json_object_new_int64(state->not_after));
			add_string(o, "expiry",
				   expiries[proofs_expiry(state->not_after)]);
			add_serial(o, "serial", state->serial, state->serial_len);
		}
		if (state->error[0])
			add_string(o, "error", state->error);
		json_object_array_add(list, o);
	}
	return list;
}

struct json_object *status_json(const struct supervisor *s)
{
	struct json_object *o = json_object_new_object(), *processes;
	struct counters total;
	struct generation *g;

	add_string(o, "version", KTLSD_VERSION);
	add_number(o, "pid", getpid());
	add_string(o, "configuration", s->path);
	add_string(o, "state", s->stopping ? "draining" : s->next ?
		   (s->current ? "reloading" : "starting") : "running");
	add_number(o, "start-time", s->started);
	if (s->loaded)
		add_number(o, "load-time", s->loaded);
	add_number(o, "reloads", s->reloads);
	add_string(o, "reload-error", s->failure);
	add_number(o, "ticket-key-time", s->tickets_rotated);

	processes = json_object_new_array();
	add_processes(processes, s->current);
	add_processes(processes, s->next);
	for (g = s->old; g; g = g->next)
		add_processes(processes, g);
	status_counters(s, &total);
	if (s->current) {
		json_object_object_add(o, "listeners", json_listeners(s->current));
		json_object_object_add(o, "certificates", json_identities(s->current));
	}
	json_object_object_add(o, "processes", processes);
	json_object_object_add(o, "counters", json_counters(&total));
	return o;
}
