// SPDX-License-Identifier: GPL-2.0-or-later
/* The processes of one configuration, and the channels between them. */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "conf.h"
#include "generation.h"
#include "ktlsd.h"
#include "listen.h"
#include "settings.h"
#include "ticket_keys.h"

#define MS 1000000ULL

/* How long to wait before a process is replaced, in milliseconds. */
#define BACKOFF_LEAST 100
#define BACKOFF_MOST 30000
/* Who has lived so long (ns) did not die of its start. */
#define LIVED (60 * 1000 * MS)
/* For workers to cut off the last connections, when their time is over. */
#define DRAIN_GRACE (2 * 1000 * MS)

struct process *generation_process(struct generation *g, size_t n)
{
	switch (n) {
	case 0:
		return &g->keys;
	case 1:
		return &g->broker;
	case 2:
		return &g->prover;
	default:
		return n - 3 < g->conf->workers ? &g->workers[n - 3] : NULL;
	}
}

struct process *generation_find(struct generation *g, pid_t pid)
{
	struct process *p;
	size_t n;

	for (n = 0; (p = generation_process(g, n)); n++)
		if (p->pid == pid)
			return p;
	return NULL;
}

/* Who does not take a message cannot be relied on any more. */
static bool tell(struct process *p, uint32_t type, const void *body, size_t len,
		 const int *fds, size_t fds_count)
{
	char name[32];
	int err;

	if (!p->pid || p->fd < 0)
		return false;
	err = message_send(p->fd, type, body, len, fds, fds_count);
	if (!err)
		return true;
	/* That it died is told when it is reaped. */
	if (err != -EPIPE && err != -ECONNRESET)
		log_line(LOG_ERR, "%s takes no message: %s; killed",
			 process_name(p, name, sizeof(name)), strerror(-err));
	process_kill(p);
	return false;
}

void generation_tell_workers(struct generation *g, enum message_type type,
			     const void *body, size_t len)
{
	unsigned int i;

	for (i = 0; i < g->conf->workers; i++)
		tell(&g->workers[i], type, body, len, NULL, 0);
}

static void close_pair(int ends[2])
{
	close(ends[0]);
	close(ends[1]);
}

static bool make_pair(int ends[2])
{
	int err = message_pair(ends);

	if (err)
		log_line(LOG_ERR, "no channel between processes: %s", strerror(-err));
	return !err;
}

void generation_join_keys(struct generation *g, struct process *worker)
{
	struct message_worker message = { .worker = worker->index };
	int sign[2], identities[2];

	if (!worker->pid || !g->keys.pid || !make_pair(sign))
		return;
	if (make_pair(identities)) {
		tell(&g->keys, MESSAGE_WORKER, &message, sizeof(message),
		     (int[]){ sign[0], identities[0] }, 2);
		tell(worker, MESSAGE_KEYS, NULL, 0,
		     (int[]){ sign[1], identities[1] }, 2);
		close_pair(identities);
	}
	close_pair(sign);
}

static void join_broker(struct generation *g, struct process *worker)
{
	struct message_worker message = { .worker = worker->index };
	int ends[2];

	if (!worker->pid || !g->broker.pid || !make_pair(ends))
		return;
	tell(&g->broker, MESSAGE_WORKER, &message, sizeof(message), &ends[0], 1);
	tell(worker, MESSAGE_BROKER, NULL, 0, &ends[1], 1);
	close_pair(ends);
}

static bool start(struct generation *g, struct process *p)
{
	char name[32];
	unsigned int i;
	int err;

	err = process_start(p, g->conf, g->listeners, g->conf->listeners_count,
			    p->role == ROLE_WORKER ? g->counters[p->index] : NULL);
	if (err) {
		log_line(LOG_ERR, "could not start %s: %s",
			 process_name(p, name, sizeof(name)), strerror(-err));
		return false;
	}
	if (p->role == ROLE_WORKER) {
		tell(p, MESSAGE_TICKET_KEYS, ticket_keys(),
		     sizeof(struct message_ticket_keys), NULL, 0);
		generation_join_keys(g, p);
		join_broker(g, p);
		return true;
	}
	if (p->role == ROLE_PROVER)
		return true;
	for (i = 0; i < g->conf->workers; i++) {
		if (p->role == ROLE_KEYS)
			generation_join_keys(g, &g->workers[i]);
		else
			join_broker(g, &g->workers[i]);
	}
	return true;
}

struct generation *generation_start(struct conf *conf, const struct generation *old,
				    FILE *errors)
{
	struct generation *g = must(calloc(1, sizeof(*g)));
	static unsigned int number;
	struct process *p;
	unsigned int i;
	size_t n;

	g->conf = conf;
	g->listeners = must(calloc(conf->listeners_count + 1, sizeof(*g->listeners)));
	g->workers = must(calloc(conf->workers, sizeof(*g->workers)));
	g->counters = must(calloc(conf->workers, sizeof(*g->counters)));
	g->identities = must(calloc(conf->identities_count + 1, sizeof(*g->identities)));
	g->identities_known = must(calloc(conf->identities_count + 1,
					  sizeof(*g->identities_known)));
	g->keys = (struct process){ .role = ROLE_KEYS, .fd = -1 };
	g->broker = (struct process){ .role = ROLE_BROKER, .fd = -1 };
	/* Nothing is amiss while there is none. */
	g->prover = (struct process){ .role = ROLE_PROVER, .fd = -1, .ended = true };
	proofs_init(g);
	for (i = 0; i < conf->workers; i++) {
		g->workers[i] = (struct process){
			.role = ROLE_WORKER, .index = i, .fd = -1,
		};
		g->counters[i] = must(counters_new());
	}
	if (!listen_open(conf, g->listeners, old ? old->conf : NULL,
			 old ? old->listeners : NULL, errors)) {
		generation_free(g, NULL);
		return NULL;
	}
	g->number = ++number;
	g->starting = true;
	for (n = 0; (p = generation_process(g, n)); n++) {
		if (p->role == ROLE_PROVER || start(g, p))
			continue;
		fprintf(errors, "%s: could not start all processes\n", conf->path);
		generation_kill(g, old ? old->conf : NULL);
		for (n = 0; (p = generation_process(g, n)); n++)
			if (p->pid)
				waitpid(p->pid, NULL, 0);
		generation_free(g, NULL);
		return NULL;
	}
	return g;
}

void generation_prove(struct generation *g)
{
	start(g, &g->prover);
}

bool generation_ready(const struct generation *g)
{
	unsigned int i;

	if (!g->keys.ready || !g->broker.ready)
		return false;
	for (i = 0; i < g->conf->workers; i++)
		if (!g->workers[i].ready)
			return false;
	return true;
}

static bool has_workers(const struct generation *g)
{
	unsigned int i;

	for (i = 0; i < g->conf->workers; i++)
		if (g->workers[i].pid)
			return true;
	return false;
}

bool generation_alive(const struct generation *g)
{
	return g->keys.pid || g->broker.pid || g->prover.pid || has_workers(g);
}

void generation_drain(struct generation *g, const struct conf *kept)
{
	if (g->draining)
		return;
	g->draining = true;
	g->drain_until = monotonic_ns() + g->conf->drain_timeout * 1000ULL * MS +
			 DRAIN_GRACE;
	/* In this order, or workers would see sockets that do not listen. */
	generation_tell_workers(g, MESSAGE_DRAIN, NULL, 0);
	listen_close(g->conf, g->listeners, kept);
	process_kill(&g->prover);
	if (!has_workers(g))
		generation_kill(g, kept);
}

void generation_kill(struct generation *g, const struct conf *kept)
{
	struct process *p;
	size_t n;

	g->stopping = true;
	listen_close(g->conf, g->listeners, kept);
	for (n = 0; (p = generation_process(g, n)); n++)
		process_kill(p);
}

void generation_reaped(struct generation *g, struct process *p, int status)
{
	uint64_t now = monotonic_ns();
	char name[32], how[64];
	pid_t pid = p->pid;

	p->pid = 0;
	p->ready = false;
	process_kill(p);	/* its channel only */
	if (p->role == ROLE_WORKER)
		counters_clear_gauges(g->counters[p->index]);
	if (p->role == ROLE_PROVER) {
		proofs_ended(g, status);
		return;
	}
	process_name(p, name, sizeof(name));
	process_end(status, how, sizeof(how));
	if (g->starting) {
		p->ended = true;
		return;
	}
	if (g->stopping || (g->draining && p->role == ROLE_WORKER)) {
		p->ended = true;
		if (!g->stopping && status)
			log_line(LOG_ERR, "%s (pid %d) ended while it drained: %s", name,
				 pid, how);
		/* Without workers there is nobody to sign or to connect for. */
		if (!g->stopping && !has_workers(g))
			generation_kill(g, NULL);
		return;
	}
	if (now - p->started > LIVED)
		p->backoff = 0;
	p->backoff = p->backoff ? p->backoff * 2 : BACKOFF_LEAST;
	if (p->backoff > BACKOFF_MOST)
		p->backoff = BACKOFF_MOST;
	/* The first one is not kept waiting. */
	p->again = now + (p->backoff > BACKOFF_LEAST ? p->backoff * MS : 0);
	p->replaced++;
	log_line(LOG_ERR, "%s (pid %d) ended: %s; replaced in %u ms", name, pid, how,
		 p->backoff > BACKOFF_LEAST ? p->backoff : 0);
}

void generation_replace(struct generation *g, uint64_t now)
{
	struct process *p;
	size_t n;

	for (n = 0; !g->stopping && (p = generation_process(g, n)); n++) {
		if (p->pid || p->ended || p->again > now)
			continue;
		if (!start(g, p))
			p->again = now + BACKOFF_MOST * MS;
	}
}

uint64_t generation_next(const struct generation *g)
{
	struct generation *all = (struct generation *)g;
	uint64_t next = UINT64_MAX;
	struct process *p;
	size_t n;

	if (g->stopping)
		return next;
	if (g->draining)
		next = g->drain_until;
	for (n = 0; (p = generation_process(all, n)); n++)
		if (!p->pid && !p->ended && p->again < next)
			next = p->again;
	return next;
}

void generation_free(struct generation *g, struct counters *counters)
{
	size_t i;

	listen_close(g->conf, g->listeners, NULL);
	for (i = 0; i < g->conf->workers; i++) {
		if (counters)
			counters_add(counters, g->counters[i], false);
		counters_free(g->counters[i]);
	}
	proofs_free(g);
	conf_free(g->conf);
	free(g->listeners);
	free(g->workers);
	free(g->counters);
	free(g->identities);
	free(g->identities_known);
	free(g);
}
