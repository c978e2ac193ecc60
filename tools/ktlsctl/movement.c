// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Attempts and sockets while a command runs, by process.  Events tell of them;
 * where these were lost, what the module keeps does.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "observe.h"

/* Processes beyond are counted as one without a name. */
#define MOVERS_MAX 1024

static bool grow(void *list, size_t *room, size_t count, size_t size)
{
	void **p = list, *more;
	size_t wanted;

	if (count < *room)
		return true;
	wanted = *room ? *room * 2 : 64;
	more = reallocarray(*p, wanted, size);
	if (!more)
		return false;
	*p = more;
	*room = wanted;
	return true;
}

static struct mover *find_mover(struct movement *m, uint32_t pid,
				const char *comm)
{
	struct mover *v;
	size_t i;

	for (i = 0; i < m->count; i++)
		if (m->list[i].pid == pid && !strcmp(m->list[i].comm, comm))
			return &m->list[i];
	if (m->count > MOVERS_MAX)
		return &m->list[MOVERS_MAX];
	if (!grow(&m->list, &m->room, m->count, sizeof(*m->list))) {
		m->out_of_memory = true;
		return NULL;
	}
	v = &m->list[m->count++];
	memset(v, 0, sizeof(*v));
	if (m->count <= MOVERS_MAX) {
		v->pid = pid;
		memcpy(v->comm, comm, sizeof(v->comm));
	}
	return v;
}

/* Attempts */

static void count_attempt(struct movement *m, const struct ktls_attempt *t)
{
	struct mover *v;
	struct tally *more;
	size_t i;

	if (t->number <= m->latest)
		return;
	m->forgotten += t->number - m->latest - 1;
	m->latest = t->number;
	v = find_mover(m, t->pid, t->comm);
	if (!v)
		return;
	for (i = 0; i < v->tallies_count; i++)
		if (v->tallies[i].step == t->step &&
		    v->tallies[i].error == t->error)
			break;
	if (i == v->tallies_count) {
		more = reallocarray(v->tallies, i + 1, sizeof(*more));
		if (!more) {
			m->out_of_memory = true;
			return;
		}
		v->tallies = more;
		v->tallies[v->tallies_count++] = (struct tally){
			.step = t->step, .error = t->error,
		};
	}
	v->tallies[i].attempts++;
}

static int on_attempt(const struct ktls_attempt *t, void *arg)
{
	struct movement *m = arg;

	/* Others' are not shown without events: their numbers are no loss. */
	if (m->without_events && t->number > m->latest)
		m->latest = t->number - 1;
	count_attempt(m, t);
	return 0;
}

/* Sockets */

static size_t position(const struct movement *m, uint64_t cookie)
{
	size_t low = 0, high = m->open_count, middle;

	while (low < high) {
		middle = low + (high - low) / 2;
		if (m->open[middle].cookie < cookie)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static struct ktls_socket *find_open(struct movement *m, uint64_t cookie)
{
	size_t i = position(m, cookie);

	return i < m->open_count && m->open[i].cookie == cookie ?
	       &m->open[i] : NULL;
}

/* Its counters begin here; those of a new one with nothing. */
static void add_open(struct movement *m, const struct ktls_socket *s, bool new)
{
	size_t i = position(m, s->cookie);

	if (i < m->open_count && m->open[i].cookie == s->cookie)
		return;
	if (!grow(&m->open, &m->open_room, m->open_count, sizeof(*m->open))) {
		m->out_of_memory = true;
		return;
	}
	memmove(m->open + i + 1, m->open + i,
		(m->open_count - i) * sizeof(*m->open));
	m->open[i] = *s;
	m->open_count++;
	if (new) {
		struct mover *v = find_mover(m, s->pid, s->comm);

		memset(&m->open[i].tx, 0, sizeof(s->tx));
		memset(&m->open[i].rx, 0, sizeof(s->rx));
		if (v)
			v->installed++;
	}
}

static void carry(struct carried *c, const struct ktls_stream *now,
		  const struct ktls_stream *before)
{
	if (now->mode == KTLS_MODE_NONE)
		return;
	c->sockets += now->wire_bytes > before->wire_bytes;
	/* They do not go back, unless the module was loaded anew. */
	if (now->records >= before->records)
		c->records += now->records - before->records;
	if (now->payload_bytes >= before->payload_bytes)
		c->payload += now->payload_bytes - before->payload_bytes;
	if (now->wire_bytes >= before->wire_bytes)
		c->wire += now->wire_bytes - before->wire_bytes;
}

static void count_socket(struct movement *m, const struct ktls_socket *s,
			 const struct ktls_socket *before)
{
	struct mover *v = find_mover(m, s->pid, s->comm);

	if (!v)
		return;
	carry(&v->by[KTLS_DIRECTION_TX], &s->tx, &before->tx);
	carry(&v->by[KTLS_DIRECTION_RX], &s->rx, &before->rx);
}

static void count_close(struct movement *m, const struct ktls_socket *s)
{
	static const struct ktls_socket nothing;
	struct ktls_socket *before = find_open(m, s->cookie);
	struct mover *v = find_mover(m, s->pid, s->comm);

	if (!grow(&m->closed, &m->closed_room, m->closed_count,
		  sizeof(*m->closed))) {
		m->out_of_memory = true;
		return;
	}
	m->closed[m->closed_count++] = s->cookie;
	if (v) {
		v->closed++;
		v->installed += !before;
	}
	count_socket(m, s, before ?: &nothing);
	if (!before)
		return;
	m->open_count--;
	memmove(before, before + 1, (char *)(m->open + m->open_count) -
				    (char *)before);
}

static int on_event(const struct ktls_event *e, void *arg)
{
	struct movement *m = arg;
	struct mover *v;

	if (e->attempt)
		count_attempt(m, e->attempt);
	if (!e->socket)
		return 0;
	switch (e->type) {
	case KTLS_CMD_SOCKET_INSTALL_NTF:
		add_open(m, e->socket, true);
		break;
	case KTLS_CMD_SOCKET_CLOSE_NTF:
		count_close(m, e->socket);
		break;
	case KTLS_CMD_SOCKET_ERROR_NTF:
		v = find_mover(m, e->socket->pid, e->socket->comm);
		if (v)
			v->errors++;
		break;
	}
	return 0;
}

static int on_first(const struct ktls_socket *s, void *arg)
{
	struct movement *m = arg;

	add_open(m, s, s->install_time >= m->start &&
		       !(s->flags & KTLS_SOCKET_FLAGS_ADOPTED));
	return m->out_of_memory ? -ENOMEM : 0;
}

static int dump(struct movement *m, const struct ktls_filter *filter,
		ktls_socket_fn *fn)
{
	int tries, err = 0;

	for (tries = 0; tries < READ_TRIES; tries++) {
		err = ktls_dump_sockets(m->ktls, filter, fn, m);
		if (err != -EAGAIN)
			return err;
	}
	/* Some may be missing from a table in motion: they are counted later. */
	return 0;
}

int begin_movement(struct movement *m, struct ktls *ktls)
{
	const struct ktls_module *module;
	int err;

	m->ktls = ktls;
	/* Before the subscription: what is later comes as an event. */
	err = ktls_get_module(ktls, &module);
	if (err)
		return err;
	m->latest = module->attempts;
	m->start = now_ns();
	err = ktls_subscribe_to(ktls, KTLS_EVENTS_SOCKETS |
				      KTLS_EVENTS_ATTEMPTS);
	m->without_events = err == -EPERM;
	if (err && !m->without_events)
		return err;
	return dump(m, NULL, on_first);
}

int read_movement(struct movement *m)
{
	int err;

	if (m->without_events)
		return 0;
	do {
		err = ktls_dispatch(m->ktls, on_event, m);
		m->lost |= err == -ENOBUFS;
	} while (err == -ENOBUFS);
	if (!err && m->out_of_memory)
		err = -ENOMEM;
	return err;
}

/* At the end */

static int compare_cookies(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

static bool was_closed(const struct movement *m, uint64_t cookie)
{
	return m->closed && bsearch(&cookie, m->closed, m->closed_count,
				    sizeof(cookie), compare_cookies);
}

/* What is in the history, and no event told of. */
static int on_history(const struct ktls_socket *s, void *arg)
{
	struct movement *m = arg;

	if (s->close_time < m->start || was_closed(m, s->cookie))
		return 0;
	/* Unless it was ours from the start, it is new. */
	count_close(m, s);
	qsort(m->closed, m->closed_count, sizeof(*m->closed), compare_cookies);
	return m->out_of_memory ? -ENOMEM : 0;
}

static int count_open(struct movement *m)
{
	const struct ktls_socket *before;
	struct sockets now = { 0 };
	size_t i;

	if (read_sockets(m->ktls, NULL, &now))
		return -EIO;
	for (i = 0; i < now.count; i++) {
		/* What no event told of, unless it is closed by now. */
		if (!was_closed(m, now.list[i].cookie))
			add_open(m, &now.list[i], true);
		before = find_open(m, now.list[i].cookie);
		if (before)
			count_socket(m, &now.list[i], before);
	}
	free_sockets(&now);
	return 0;
}

int end_movement(struct movement *m)
{
	const struct ktls_filter closed = { .match = KTLS_MATCH(CLOSED) };
	int err;

	err = read_movement(m);
	if (!err)
		err = ktls_dump_attempts(m->ktls, false, on_attempt, m);
	if (err == -EAGAIN)
		err = 0;
	if (err)
		return err;
	if (m->closed)
		qsort(m->closed, m->closed_count, sizeof(*m->closed),
		      compare_cookies);
	err = dump(m, &closed, on_history);
	if (!err)
		err = count_open(m);
	return m->out_of_memory ? -ENOMEM : err;
}

bool mover_moved(const struct mover *v)
{
	return v->tallies_count || v->installed || v->closed || v->errors ||
	       v->by[KTLS_DIRECTION_TX].sockets ||
	       v->by[KTLS_DIRECTION_RX].sockets;
}

void free_movement(struct movement *m)
{
	size_t i;

	for (i = 0; i < m->count; i++)
		free(m->list[i].tallies);
	free(m->list);
	free(m->open);
	free(m->closed);
}
