// SPDX-License-Identifier: GPL-2.0-or-later
/* A worker's loop. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <libktls.h>

#include "files.h"
#include "kernel_ciphers.h"
#include "knock.h"
#include "ktlsd.h"
#include "message.h"
#include "process.h"
#include "remote_key.h"
#include "sandbox.h"
#include "sources.h"
#include "worker.h"

#define EVENTS_MAX 256
#define ACCEPTS_MAX 16		/* in a row, so that others get their turn */
#define SECOND_NS 1000000000ull
#define TICK_NS SECOND_NS
#define ALIVE_NS 5000000000ull

/*
 * What an event is about: an end of a connection by its address, or what stands
 * here, by a small number.
 */
enum {
	ABOUT_SUPERVISOR = 1,
	ABOUT_IDENTITIES,
	ABOUT_BROKER,
	ABOUT_DOORWAYS,		/* and the listener's number */
	ABOUT_MAX = 4096,
};

/* Connections and what they share */

bool worker_watch(struct worker *w, struct end *end, uint32_t events)
{
	struct epoll_event event = { .events = events, .data.ptr = end };
	int op = !end->watched ? EPOLL_CTL_ADD :
		 events ? EPOLL_CTL_MOD : EPOLL_CTL_DEL;

	if (events == end->watched || end->fd < 0)
		return true;
	if (epoll_ctl(w->epoll, op, end->fd, &event))
		return false;
	end->watched = events;
	return true;
}

static struct connection *connection_of(struct end *end)
{
	return (void *)((char *)(end - end->side) -
			offsetof(struct connection, ends));
}

/* A number by which the broker's answers find it. */
static bool take_slot(struct worker *w, struct connection *c)
{
	struct connection **slots;
	uint32_t i, n = w->slots_count;

	for (i = 0; i < n; i++) {
		uint32_t slot = (w->free_slot + i) % n;

		if (!w->slots[slot]) {
			w->slots[slot] = c;
			w->free_slot = slot + 1;
			c->slot = slot;
			return true;
		}
	}
	slots = reallocarray(w->slots, 2 * n + 64, sizeof(*slots));
	if (!slots)
		return false;
	memset(slots + n, 0, (n + 64) * sizeof(*slots));
	w->slots = slots;
	w->slots_count = 2 * n + 64;
	w->slots[n] = c;
	w->free_slot = n + 1;
	c->slot = n;
	return true;
}

bool worker_add(struct worker *w, struct connection *c)
{
	if (!take_slot(w, c))
		return false;
	c->next = w->connections;
	if (c->next)
		c->next->previous = c;
	w->connections = c;
	count(&w->counters->connections, 1);
	w->doorways[c->listener].open++;
	return true;
}

void worker_move(struct connection *c, size_t listener)
{
	c->worker->doorways[c->listener].open--;
	c->listener = listener;
	c->worker->doorways[c->listener].open++;
}

void worker_bury(struct connection *c)
{
	struct worker *w = c->worker;

	if (c->previous)
		c->previous->next = c->next;
	else
		w->connections = c->next;
	if (c->next)
		c->next->previous = c->previous;
	w->slots[c->slot] = NULL;
	count(&w->counters->connections, -1);
	w->doorways[c->listener].open--;
	/* Events at hand may still name it. */
	c->next = w->dead;
	w->dead = c;
}

static void free_dead(struct worker *w)
{
	struct connection *c, **p = &w->dead;

	while ((c = *p)) {
		/* Its turn comes, and then it is out of that list, too. */
		if (c->has_turn) {
			p = &c->next;
			continue;
		}
		*p = c->next;
		/* It may have ended from within. */
		if (c->files)
			files_free(c->files);
		free(c);
	}
}

void worker_take_turn(struct connection *c)
{
	struct worker *w = c->worker;

	if (c->has_turn)
		return;
	c->has_turn = true;
	c->next_turn = NULL;
	*w->last_turn = c;
	w->last_turn = &c->next_turn;
}

static void run_turns(struct worker *w)
{
	struct connection *c = w->turns, *next;

	w->turns = NULL;
	w->last_turn = &w->turns;
	for (; c; c = next) {
		next = c->next_turn;
		c->has_turn = false;
		connection_run(c);
	}
}

bool worker_get_pipe(struct worker *w, int ends[2])
{
	if (w->pipes_count) {
		w->pipes_count--;
		ends[0] = w->pipes[w->pipes_count][0];
		ends[1] = w->pipes[w->pipes_count][1];
		return true;
	}
	if (pipe2(ends, O_NONBLOCK | O_CLOEXEC)) {
		ends[0] = -1;
		ends[1] = -1;
		return false;
	}
	/* One that is too small does as well, if slower. */
	fcntl(ends[1], F_SETPIPE_SZ, PIPE_BYTES);
	return true;
}

void worker_put_pipe(struct worker *w, int ends[2], bool empty)
{
	if (empty && w->pipes_count < PIPES_KEPT) {
		w->pipes[w->pipes_count][0] = ends[0];
		w->pipes[w->pipes_count][1] = ends[1];
		w->pipes_count++;
	} else {
		close(ends[0]);
		close(ends[1]);
	}
	ends[0] = -1;
	ends[1] = -1;
}

int worker_wish(struct connection *c, const char *path, size_t len)
{
	union {
		struct message_wish wish;
		char space[sizeof(struct message_wish) + PATH_MAX];
	} u = { .wish = {
		.tag = (uint64_t)(uint32_t)c->started << 32 | c->slot,
		.listener = c->listener,
	} };

	if (len > PATH_MAX)
		return -ENAMETOOLONG;
	if (c->worker->broker < 0)
		return -EPIPE;
	if (path)
		memcpy(u.wish.path, path, len);
	return message_send(c->worker->broker, path ? MESSAGE_OPEN :
			    MESSAGE_CONNECT, &u, path ?
			    offsetof(struct message_wish, path) + len :
			    sizeof(u.wish), NULL, 0);
}

static void take_grant(struct worker *w, struct message *m)
{
	const struct message_grant *grant = m->body;
	uint32_t slot = grant->tag;
	struct connection *c = slot < w->slots_count ? w->slots[slot] : NULL;
	int fd = grant->error ?: -EIO;

	/* It may have ended meanwhile, and another one have its place. */
	if (!c || (c->state != CONNECTION_BACKEND &&
		   c->state != CONNECTION_FILES) ||
	    (uint32_t)c->started != grant->tag >> 32)
		return;
	if (!grant->error && m->fds_count) {
		fd = m->fds[0];
		m->fds[0] = -1;
	}
	if (c->state == CONNECTION_FILES)
		serve_granted(c, fd);
	else
		connection_granted(c, fd);
}

/* Doors */

static void set_doorway(struct worker *w, size_t n, bool open)
{
	struct doorway *d = &w->doorways[n];
	struct epoll_event event = {
		/* One of the workers is woken, not all. */
		.events = EPOLLIN | EPOLLEXCLUSIVE,
		.data.u64 = ABOUT_DOORWAYS + n,
	};

	if (d->fd < 0 || d->watched == open)
		return;
	if (!epoll_ctl(w->epoll, open ? EPOLL_CTL_ADD : EPOLL_CTL_DEL, d->fd,
		       &event))
		d->watched = open;
}

/* Who asks for a service waits as long as one is not ready. */
static bool is_ready(const struct worker *w, size_t n)
{
	size_t i;

	if (w->conf->listeners[n].kind != LISTENER_HANDSHAKE)
		return shop_is_ready(w->shop, n);
	for (i = 0; i < w->conf->listeners_count; i++)
		if (conf_is_service(&w->conf->listeners[i]) &&
		    !shop_is_ready(w->shop, i))
			return false;
	return true;
}

/* While there is no key process, who knocks waits for the next one. */
static void set_doorways(struct worker *w)
{
	size_t n;

	for (n = 0; n < w->conf->listeners_count; n++)
		set_doorway(w, n, !w->draining && w->doorways[n].open <
			    w->conf->listeners[n].max_connections &&
			    is_ready(w, n) &&
			    (w->identities >= 0 ||
			     !w->conf->listeners[n].identities_count));
}

/* The rate is the daemon's, and each worker has its share. */
static bool admit(struct worker *w, size_t n, int fd, const struct sockaddr *from)
{
	unsigned int rate = w->conf->listeners[n].source_rate;

	if (!rate || sources_admit(w->sources, n, from,
				   SECOND_NS * w->conf->workers / rate,
				   w->now) || knock_is(fd))
		return true;
	count(&w->counters->accepted, 1);
	count(&w->counters->refused_rate, 1);
	return false;
}

static void accept_some(struct worker *w, size_t n)
{
	struct sockaddr_storage from;
	socklen_t len;
	int i, fd;

	for (i = 0; i < ACCEPTS_MAX; i++) {
		if (w->doorways[n].open >=
		    w->conf->listeners[n].max_connections) {
			set_doorway(w, n, false);
			return;
		}
		len = sizeof(from);
		fd = accept4(w->doorways[n].fd, (struct sockaddr *)&from, &len,
			     SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd < 0) {
			/* Until the next tick, and not at once again. */
			if (errno != EAGAIN && errno != ECONNABORTED)
				set_doorway(w, n, false);
			return;
		}
		if (admit(w, n, fd, (struct sockaddr *)&from))
			connection_accept(w, n, fd);
		else
			close(fd);
	}
}

/* Messages */

static void set_channel(struct worker *w, int *channel, int fd, uint64_t about)
{
	struct epoll_event event = { .events = EPOLLIN, .data.u64 = about };

	if (*channel >= 0)
		close(*channel);
	*channel = fd;
	if (fd < 0)
		return;
	fcntl(fd, F_SETFL, O_NONBLOCK);
	epoll_ctl(w->epoll, EPOLL_CTL_ADD, fd, &event);
}

static int take_fd(struct message *m, size_t i)
{
	int fd = i < m->fds_count ? m->fds[i] : -1;

	if (fd >= 0)
		m->fds[i] = -1;
	return fd;
}

static void drain(struct worker *w)
{
	struct connection *c, *next;

	w->draining = true;
	w->drain_until = monotonic_ns() +
			 w->conf->drain_timeout * 1000000000ull;
	set_doorways(w);
	for (c = w->connections; c; c = next) {
		next = c->next;
		if (c->state == CONNECTION_FILES)
			serve_drain(c);
	}
}

/* As many as fit into a message, and so on. */
static void tell_connections(struct worker *w)
{
	static struct message_connection list[64];
	struct connection *c;
	size_t n = 0;

	for (c = w->connections; c; c = c->next) {
		connection_describe(c, &list[n++]);
		if (n == ARRAY_SIZE(list)) {
			message_send(w->supervisor, MESSAGE_CONNECTIONS, list,
				     sizeof(list), NULL, 0);
			n = 0;
		}
	}
	if (n)
		message_send(w->supervisor, MESSAGE_CONNECTIONS, list,
			     n * sizeof(*list), NULL, 0);
	message_send(w->supervisor, MESSAGE_CONNECTIONS, NULL, 0, NULL, 0);
}

static void ask_again(struct worker *w)
{
	struct connection *c, *next;

	for (c = w->connections; c; c = next) {
		next = c->next;
		connection_ask_again(c);
	}
}

static void obey(struct worker *w, struct message *m)
{
	int fd;

	switch (m->type) {
	case MESSAGE_KEYS:
		fd = take_fd(m, 0);
		remote_key_set_channel(fd);
		if (w->sign >= 0)
			close(w->sign);
		w->sign = fd;
		set_channel(w, &w->identities, take_fd(m, 1), ABOUT_IDENTITIES);
		break;
	case MESSAGE_BROKER:
		set_channel(w, &w->broker, take_fd(m, 0), ABOUT_BROKER);
		ask_again(w);
		break;
	case MESSAGE_TICKET_KEYS:
		if (m->len == sizeof(struct message_ticket_keys))
			shop_set_ticket_keys(w->shop, m->body);
		break;
	case MESSAGE_CONNECTIONS:
		tell_connections(w);
		break;
	case MESSAGE_DRAIN:
		drain(w);
		break;
	case MESSAGE_IDENTITY:
		shop_set_identity(w->shop, m->body, m->len);
		break;
	case MESSAGE_GRANT:
		if (m->len == sizeof(struct message_grant))
			take_grant(w, m);
		break;
	}
}

/* False if the other end is gone. */
static bool hear(struct worker *w, int fd)
{
	struct message m;
	int ret;

	while ((ret = message_receive(fd, &m)) > 0) {
		obey(w, &m);
		message_close_fds(&m);
	}
	return ret == -EAGAIN;
}

static void hear_about(struct worker *w, uint64_t about)
{
	switch (about) {
	case ABOUT_SUPERVISOR:
		/* Nobody is left to work for. */
		if (!hear(w, w->supervisor))
			_exit(0);
		break;
	case ABOUT_IDENTITIES:
		if (hear(w, w->identities))
			break;
		set_channel(w, &w->identities, -1, 0);
		/* If it lives, as after a question that took too long: another one. */
		message_send(w->supervisor, MESSAGE_KEYS, NULL, 0, NULL, 0);
		break;
	case ABOUT_BROKER:
		if (!hear(w, w->broker))
			set_channel(w, &w->broker, -1, 0);
		break;
	default:
		accept_some(w, about - ABOUT_DOORWAYS);
		return;
	}
	set_doorways(w);
}

/* The loop */

static void see_end(const struct epoll_event *event)
{
	struct end *end = event->data.ptr;
	struct connection *c = connection_of(end);

	if (c->state == CONNECTION_DEAD)
		return;
	if (c->state == CONNECTION_HANDSHAKE && end->side != SIDE_TLS &&
	    !c->service) {
		/* What it says is for later. */
		worker_watch(c->worker, end, 0);
		return;
	}
	/* Errors are told by the call that comes next. */
	if (event->events & ~EPOLLOUT)
		end->readable = true;
	if (event->events & ~EPOLLIN)
		end->writable = true;
	connection_run(c);
}

static void tick(struct worker *w)
{
	bool late = w->draining && w->now >= w->drain_until;
	struct connection *c, *next;

	if (late && w->connections)
		log_line(LOG_WARNING, "connections did not end within %u s; closed",
			 w->conf->drain_timeout);
	for (c = w->connections; c; c = next) {
		next = c->next;
		if (late)
			connection_end(c, END_DRAINED);
		else if (c->deadline && c->deadline <= w->now)
			connection_late(c);
	}
	set_doorways(w);
}

static int loop(struct worker *w)
{
	struct epoll_event events[EVENTS_MAX];
	uint64_t next_tick = 0, next_alive = 0;
	int i, n;

	while (!w->draining || w->connections) {
		n = epoll_wait(w->epoll, events, EVENTS_MAX,
			       w->turns ? 0 : 1000);
		w->now = monotonic_ns();
		for (i = 0; i < n; i++) {
			if (events[i].data.u64 < ABOUT_MAX)
				hear_about(w, events[i].data.u64);
			else
				see_end(&events[i]);
		}
		run_turns(w);
		if (w->now >= next_tick) {
			tick(w);
			next_tick = w->now + TICK_NS;
		}
		if (w->now >= next_alive) {
			message_send(w->supervisor, MESSAGE_ALIVE, NULL, 0,
				     NULL, 0);
			next_alive = w->now + ALIVE_NS;
		}
		free_dead(w);
	}
	return 0;
}

/* Some kernels lose what they splice from kTLS to a pipe that is full. */
static bool is_sound(void)
{
	struct ktls_kernel k;

	ktls_get_kernel(&k);
	if (!k.is_debian || !k.fixed || k.version[2] >= k.fixed)
		return true;
	log_line(LOG_WARNING, "Debian's Linux %u.%u.%u has faults in kernel TLS that %u.%u.%u has not: what is received is copied, which costs more; update the kernel",
		 k.version[0], k.version[1], k.version[2], k.version[0],
		 k.version[1], k.fixed);
	return false;
}

static bool needs_sources(const struct conf *conf)
{
	size_t n;

	for (n = 0; n < conf->listeners_count; n++)
		if (conf->listeners[n].source_rate)
			return true;
	return false;
}

static bool set_up(struct worker *w, const int *listeners)
{
	int supervisor;
	size_t n;

	signal(SIGPIPE, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	signal(SIGINT, SIG_IGN);
	signal(SIGTERM, SIG_DFL);
	w->last_turn = &w->turns;
	w->sign = -1;
	w->identities = -1;
	w->broker = -1;
	w->splices_records = is_sound();
	w->epoll = epoll_create1(EPOLL_CLOEXEC);
	w->doorways = calloc(w->conf->listeners_count, sizeof(*w->doorways));
	if (w->epoll < 0 || !w->doorways || !remote_key_init() ||
	    !secrets_init() || !service_init()) {
		log_line(LOG_ERR, "cannot start: %s", strerror(errno));
		return false;
	}
	if (needs_sources(w->conf)) {
		w->sources = sources_new();
		if (!w->sources) {
			log_line(LOG_ERR, "cannot start: no memory for source-rate");
			return false;
		}
	}
	kernel_ciphers();
	w->shop = shop_open(w->conf);
	if (!w->shop)
		return false;
	for (n = 0; n < w->conf->listeners_count; n++)
		w->doorways[n].fd = listeners[n];
	supervisor = w->supervisor;
	w->supervisor = -1;
	set_channel(w, &w->supervisor, supervisor, ABOUT_SUPERVISOR);
	return sandbox_become(w->conf->user) && process_follow() &&
	       service_start(w->conf) && sandbox_close();
}

int worker_run(const struct conf *conf, unsigned int index,
	       const int *listeners, struct counters *counters, int supervisor)
{
	struct worker w = {
		.conf = conf, .index = index, .counters = counters,
		.supervisor = supervisor,
	};

	if (!set_up(&w, listeners))
		return 1;
	message_send(w.supervisor, MESSAGE_READY, NULL, 0, NULL, 0);
	return loop(&w);
}
