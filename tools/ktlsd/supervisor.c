// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The process that starts the others, and replaces them: it keeps its privileges,
 * and does next to nothing with them.
 */
#include <errno.h>
#include <json-c/json.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "conf.h"
#include "control.h"
#include "generation.h"
#include "knock.h"
#include "ktlsd.h"
#include "listen.h"
#include "message.h"
#include "metrics.h"
#include "notify.h"
#include "query.h"
#include "settings.h"
#include "status.h"
#include "supervisor.h"
#include "ticket_keys.h"
#include "tls_load.h"

#define SECOND 1000000000ULL

#define START_PATIENCE (120 * SECOND)	/* until a generation is ready */
#define SILENCE (30 * SECOND)		/* of a worker that hangs */
#define TURN (5 * SECOND)		/* the longest wait of the loop */

uint64_t wall_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return now.tv_sec * SECOND + now.tv_nsec;
}

/* What was written to a stream, line by line, to the log. */
static void log_lines(int priority, char *text)
{
	char *line, *rest = text;

	while ((line = strsep(&rest, "\n")))
		if (*line)
			log_line(priority, "%s", line);
}

/* The end of a reload */

static void answer_waiting(struct supervisor *s, const char *failure)
{
	struct json_object *o;
	size_t i;

	for (i = 0; i < s->waiting_count; i++) {
		if (failure) {
			o = control_error("%s", failure);
		} else {
			o = json_object_new_object();
			json_object_object_add(o, "reloads",
					       json_object_new_int64(s->reloads));
		}
		control_answer(s->control, s->waiting[i], o);
	}
	free(s->waiting);
	s->waiting = NULL;
	s->waiting_count = 0;
}

static void forget(struct supervisor *s, struct generation *g)
{
	g->next = s->old;
	s->old = g;
}

static void stop(struct supervisor *s, int status);

/* @text: what is wrong, a line each; freed. */
static void start_failed(struct supervisor *s, char *text)
{
	char *copy = must(strdup(text));
	size_t len = strlen(text);

	log_lines(LOG_ERR, copy);
	free(copy);
	if (len && text[len - 1] == '\n')
		text[len - 1] = '\0';
	if (s->next) {
		generation_kill(s->next, s->current ? s->current->conf : NULL);
		forget(s, s->next);
		s->next = NULL;
	}
	free(s->failure);
	s->failure = text;
	if (!s->current) {
		stop(s, 1);
		return;
	}
	log_line(LOG_ERR, "the configuration of before stays in force");
	answer_waiting(s, s->failure);
	notify("READY=1\nSTATUS=The last reload failed; the configuration of before is in force");
}

__attribute__((format(printf, 2, 3)))
static void start_failed_because(struct supervisor *s, const char *format, ...)
{
	va_list ap;
	char *text;

	va_start(ap, format);
	if (vasprintf(&text, format, ap) < 0)
		text = NULL;
	va_end(ap);
	start_failed(s, must(text));
}

static void start_done(struct supervisor *s)
{
	struct generation *before = s->current;

	s->current = s->next;
	s->current->starting = false;
	s->next = NULL;
	s->loaded = wall_ns();
	free(s->failure);
	s->failure = NULL;
	if (before) {
		s->reloads++;
		generation_drain(before, s->current->conf);
		forget(s, before);
		log_line(LOG_NOTICE, "%s is in force; connections of before have %u s to end",
			 s->path, before->conf->drain_timeout);
		if (strcmp(s->current->conf->control, before->conf->control))
			log_line(LOG_WARNING, "control = %s takes a restart, not a reload",
				 s->current->conf->control);
	} else {
		log_line(LOG_NOTICE, "%s is in force: %zu listeners, %u workers", s->path,
			 s->current->conf->listeners_count, s->current->conf->workers);
	}
	answer_waiting(s, NULL);
	notify("READY=1\nSTATUS=%zu listeners, %u workers",
	       s->current->conf->listeners_count, s->current->conf->workers);
}

/* Whether all files of a new configuration could be loaded; else the first error. */
static const char *identity_failure(const struct generation *g, const char **file)
{
	size_t i;

	for (i = 0; i < g->conf->identities_count; i++) {
		if (!g->identities_known[i] || g->identities[i].generation)
			continue;
		*file = g->conf->identities[i].chain;
		return g->identities[i].error;
	}
	return NULL;
}

static void check_start(struct supervisor *s, uint64_t now)
{
	const char *file, *failure;

	if (!s->next)
		return;
	if (generation_ready(s->next)) {
		failure = identity_failure(s->next, &file);
		if (failure)
			start_failed_because(s, "certificate %s: %s", file, failure);
		else
			start_done(s);
	} else if (now >= s->next_until) {
		start_failed_because(s, "the new processes were not ready in time");
	}
}

/* Takes @conf over, if it is not %NULL: what is wrong is in @errors. */
static void start_generation(struct supervisor *s, struct conf *conf, FILE *errors,
			     char **text)
{
	if (conf && !conf_check_files(conf, errors)) {
		conf_free(conf);
		conf = NULL;
	}
	if (conf)
		s->next = generation_start(conf, s->current, errors);
	fclose(errors);
	if (!s->next) {
		start_failed(s, *text);
		return;
	}
	free(*text);
	s->next_until = monotonic_ns() + START_PATIENCE;
}

static void reload(struct supervisor *s)
{
	size_t len;
	FILE *errors;
	char *text;

	/* One after the other: what was read may be outdated by now. */
	if (s->next) {
		s->again = true;
		return;
	}
	log_line(LOG_NOTICE, "reads %s", s->path);
	notify("RELOADING=1\nMONOTONIC_USEC=%llu\nSTATUS=Reads %s",
	       (unsigned long long)monotonic_ns() / 1000, s->path);
	errors = must(open_memstream(&text, &len));
	start_generation(s, conf_read(s->path, errors), errors, &text);
}

/* The end */

static void stop(struct supervisor *s, int status)
{
	if (s->stopping)
		return;
	s->stopping = true;
	s->status = status;
	notify("STOPPING=1\nSTATUS=Ends with the last connection");
	if (s->next) {
		generation_kill(s->next, NULL);
		forget(s, s->next);
		s->next = NULL;
		answer_waiting(s, "ktlsd is being stopped");
	}
	if (s->current) {
		log_line(LOG_NOTICE, "no new connections; those of before have %u s to end",
			 s->current->conf->drain_timeout);
		generation_drain(s->current, NULL);
		forget(s, s->current);
		s->current = NULL;
	}
}

static void stop_now(struct supervisor *s)
{
	struct generation *g;

	stop(s, 0);
	for (g = s->old; g; g = g->next)
		generation_kill(g, NULL);
}

/* What happens to processes */

/* The first generation, or the one behind @g; %NULL behind the last. */
static struct generation *each_generation(struct supervisor *s, struct generation *g)
{
	if (!g)
		return s->current ?: s->next ?: s->old;
	if (g == s->current)
		return s->next ?: s->old;
	if (g == s->next)
		return s->old;
	return g->next;
}

static void identity_state(struct generation *g, const struct message *m)
{
	const struct message_identity_state *state = m->body;

	if (m->len < sizeof(*state) || state->identity >= g->conf->identities_count ||
	    state->serial_len > sizeof(state->serial))
		return;
	g->identities[state->identity] = *state;
	g->identities[state->identity].error[sizeof(state->error) - 1] = '\0';
	g->identities_known[state->identity] = true;
	proofs_hurry(g);
}

static void heard(struct supervisor *s, struct generation *g, struct process *p,
		  const struct message *m)
{
	switch (m->type) {
	case MESSAGE_READY:
		p->ready = true;
		break;
	case MESSAGE_IDENTITY_STATE:
		if (p->role == ROLE_KEYS)
			identity_state(g, m);
		break;
	case MESSAGE_KEYS:
		if (p->role == ROLE_WORKER)
			generation_join_keys(g, p);
		break;
	case MESSAGE_PROOF:
		if (p->role == ROLE_PROVER)
			proofs_heard(g, m);
		break;
	case MESSAGE_CONNECTIONS:
		if (p->role == ROLE_WORKER)
			query_heard(s, g, p, m);
		break;
	}
}

static void listen_to(struct supervisor *s, struct generation *g, struct process *p)
{
	struct message m;
	int result;

	if (p->fd < 0)
		return;
	while ((result = message_receive(p->fd, &m)) > 0) {
		p->heard = monotonic_ns();
		message_close_fds(&m);
		heard(s, g, p, &m);
		/* To answer it may have been too much. */
		if (p->fd < 0)
			return;
	}
	if (result == -EAGAIN || result == -EINTR)
		return;
	/* A process without its channel is none; mostly it has ended. */
	close(p->fd);
	p->fd = -1;
}

static void reap(struct supervisor *s)
{
	struct generation *g;
	struct process *p;
	char name[32], how[64];
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		p = NULL;
		for (g = NULL; (g = each_generation(s, g)); ) {
			p = generation_find(g, pid);
			if (p)
				break;
		}
		if (!p)
			continue;
		/* What it said at last, as why it ended. */
		listen_to(s, g, p);
		query_gone(s, p);
		generation_reaped(g, p, status);
		if (g == s->next)
			start_failed_because(s, "%s ended in its start: %s",
					     process_name(p, name, sizeof(name)),
					     process_end(status, how, sizeof(how)));
	}
}

/* Workers that hang are of no use to anybody. */
static void check_silence(struct supervisor *s, uint64_t now)
{
	struct generation *g;
	unsigned int i;

	for (g = NULL; (g = each_generation(s, g)); ) {
		for (i = 0; !g->stopping && i < g->conf->workers; i++) {
			struct process *p = &g->workers[i];

			/* If all of us were frozen, it was no silence. */
			if (now - s->turned > 2 * TURN)
				p->heard = now;
			/* One that starts loads the kernel's ciphers, too. */
			if (!p->pid || now - p->heard <
			    (p->ready ? SILENCE : START_PATIENCE))
				continue;
			log_line(LOG_ERR, "worker %u (pid %d) hangs; killed", i, p->pid);
			p->heard = now;
			process_kill(p);
		}
	}
}

static void check_old(struct supervisor *s, uint64_t now)
{
	struct generation **link = &s->old, *g;

	while ((g = *link)) {
		if (g->draining && !g->stopping && now >= g->drain_until) {
			log_line(LOG_WARNING,
				 "processes of before did not end with their time; killed");
			generation_kill(g, NULL);
		}
		if (generation_alive(g)) {
			link = &g->next;
			continue;
		}
		*link = g->next;
		generation_free(g, &s->retired);
	}
}

/* The other things that happen */

static void rotate_tickets(struct supervisor *s, uint64_t now)
{
	struct generation *g;

	if (!s->current || now < s->tickets_at)
		return;
	/* The first time they are as new as we are. */
	if (s->tickets_at) {
		ticket_keys_rotate();
		for (g = NULL; (g = each_generation(s, g)); )
			if (!g->stopping)
				generation_tell_workers(g, MESSAGE_TICKET_KEYS, ticket_keys(),
							sizeof(struct message_ticket_keys));
	}
	s->tickets_rotated = wall_ns();
	s->tickets_at = now + s->current->conf->ticket_hours * 3600 * SECOND;
}

static void feed_watchdog(struct supervisor *s, uint64_t now)
{
	if (!notify_watchdog() || now < s->watchdog_at)
		return;
	notify("WATCHDOG=1");
	s->watchdog_at = now + notify_watchdog() / 2;
}

static void ask(void *arg, uint64_t client, enum control_command command)
{
	struct supervisor *s = arg;
	struct json_object *o;

	switch (command) {
	case CONTROL_METRICS:
		control_answer(s->control, client, metrics_json(s));
		return;
	case CONTROL_STATUS:
		control_answer(s->control, client, status_json(s));
		return;
	case CONTROL_CONNECTIONS:
		query_ask(s, client);
		return;
	case CONTROL_RELOAD:
		if (s->stopping) {
			control_answer(s->control, client,
				       control_error("ktlsd is being stopped"));
			return;
		}
		s->waiting = must(reallocarray(s->waiting, s->waiting_count + 1,
					       sizeof(*s->waiting)));
		s->waiting[s->waiting_count++] = client;
		reload(s);
		return;
	case CONTROL_DRAIN:
		o = json_object_new_object();
		json_object_object_add(o, "timeout", json_object_new_int64(
				       s->current ? s->current->conf->drain_timeout : 0));
		control_answer(s->control, client, o);
		stop(s, 0);
		return;
	}
}

static void read_signals(struct supervisor *s)
{
	struct signalfd_siginfo info;

	while (read(s->signals, &info, sizeof(info)) == sizeof(info)) {
		switch (info.ssi_signo) {
		case SIGCHLD:
			reap(s);
			break;
		case SIGHUP:
			if (!s->stopping)
				reload(s);
			break;
		case SIGINT:
			stop_now(s);
			break;
		case SIGTERM:
			if (s->stopping)
				stop_now(s);
			else
				stop(s, 0);
			break;
		}
	}
}

/* The loop */

static uint64_t sooner(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static uint64_t next_event(struct supervisor *s, uint64_t now)
{
	uint64_t until = sooner(now + TURN, query_until(s));
	struct generation *g;

	if (s->next)
		until = sooner(until, s->next_until);
	if (notify_watchdog())
		until = sooner(until, s->watchdog_at);
	if (s->current && s->tickets_at)
		until = sooner(until, s->tickets_at);
	if (s->current)
		until = sooner(until, proofs_next(s->current));
	for (g = NULL; (g = each_generation(s, g)); )
		until = sooner(until, generation_next(g));
	return until;
}

/* The room for all that is waited for, and the processes' in front. */
static struct pollfd *make_list(struct supervisor *s, size_t *count)
{
	struct generation *g;
	struct pollfd *fds;
	struct process *p;
	size_t n, i = 0, all = 1 + 1 + CONTROL_CLIENTS;

	for (g = NULL; (g = each_generation(s, g)); )
		all += 3 + g->conf->workers;
	fds = must(calloc(all, sizeof(*fds)));
	fds[i++] = (struct pollfd){ .fd = s->signals, .events = POLLIN };
	for (g = NULL; (g = each_generation(s, g)); )
		for (n = 0; (p = generation_process(g, n)); n++)
			if (p->fd >= 0)
				fds[i++] = (struct pollfd){ .fd = p->fd, .events = POLLIN };
	*count = i;
	return fds;
}

static bool is_readable(const struct pollfd *fds, size_t count, int fd)
{
	size_t i;

	for (i = 0; i < count; i++)
		if (fds[i].fd == fd)
			return fds[i].revents;
	return false;
}

static void turn(struct supervisor *s)
{
	uint64_t now = monotonic_ns(), until = next_event(s, now);
	struct generation *g;
	struct pollfd *fds;
	struct process *p;
	size_t n, count, control;

	fds = make_list(s, &count);
	control = control_poll(s->control, fds + count, &until);
	/* Rounded up, or the last millisecond is spent turning. */
	poll(fds, count + control, until > now ? (until - now) / 1000000 + 1 : 0);
	for (g = NULL; (g = each_generation(s, g)); )
		for (n = 0; (p = generation_process(g, n)); n++)
			if (p->fd >= 0 && is_readable(fds, count, p->fd))
				listen_to(s, g, p);
	if (fds[0].revents)
		read_signals(s);
	control_handle(s->control, fds + count, control);
	free(fds);

	now = monotonic_ns();
	check_silence(s, now);
	s->turned = now;
	check_start(s, now);
	if (s->again && !s->next && !s->stopping) {
		s->again = false;
		reload(s);
	}
	for (g = NULL; (g = each_generation(s, g)); )
		if (g != s->next)
			generation_replace(g, now);
	if (s->current)
		proofs_turn(s->current, now);
	query_check(s, now);
	check_old(s, now);
	rotate_tickets(s, now);
	feed_watchdog(s, now);
}

static bool open_signals(struct supervisor *s)
{
	sigset_t set;

	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, NULL);
	s->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (s->signals < 0)
		log_line(LOG_ERR, "could not receive signals: %s", strerror(errno));
	return s->signals >= 0;
}

/* A connection takes some descriptors. */
static void raise_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) || limit.rlim_cur == limit.rlim_max)
		return;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
}

int supervisor_run(struct conf *conf)
{
	struct supervisor s = {
		.path = must(strdup(conf->path)),
		.control_path = must(strdup(conf->control)),
		.started = wall_ns(),
		.turned = monotonic_ns(),
	};
	size_t len;
	FILE *errors;
	char *text;

	log_name("supervisor");
	notify_init();
	raise_limit();
	tls_load();
	knock_init();
	/* Before what is expensive: a second ktlsd ends here. */
	s.control = control_open(s.control_path, ask, &s, stderr);
	if (!s.control || !open_signals(&s)) {
		conf_free(conf);
		s.status = 1;
	} else {
		errors = must(open_memstream(&text, &len));
		start_generation(&s, conf, errors, &text);
		while (!s.stopping || s.old)
			turn(&s);
		log_line(LOG_NOTICE, "ends");
		close(s.signals);
	}
	control_close(s.control);
	ticket_keys_forget();
	free(s.waiting);
	free(s.failure);
	free(s.control_path);
	free((char *)s.path);
	return s.status;
}
