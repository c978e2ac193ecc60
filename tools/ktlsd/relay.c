// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * From one end of a connection to the other: by splice() where the kernel does
 * the records and there is much to move, else through a buffer.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <libktls.h>

#include "connection.h"
#include "ktlsd.h"
#include "tls_end.h"
#include "worker.h"

/*
 * In one turn, so that others get theirs: a step costs, even if what it moves is a
 * byte, or nothing at all.
 */
#define TURN_BYTES (1024 * 1024)
#define TURN_STEPS 256
/* How long the other half of a connection may be silent. */
#define HALF_CLOSED_NS 60000000000ull

#define ALERT_BAD_RECORD_MAC 20

/*
 * What a step came to, if it moved nothing.  A number of bytes above 0, or:
 */
enum {
	STEP_NOTHING = 0,	/* it has to wait, or there is nothing to do */
	STEP_OVER = -1,		/* the connection was ended */
};

/*
 * What the kernel could not receive is an error of the whole socket until somebody
 * has asked for it: before, it sends nothing.
 */
static void say_forged(int fd)
{
	socklen_t len = sizeof(int);
	int err;

	getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len);
	ktls_send_alert(fd, ALERT_BAD_RECORD_MAC, MSG_DONTWAIT);
}

/* @side: of the end that failed. */
static void end_by_errno(struct connection *c, enum side side, int err)
{
	if (side == SIDE_PLAIN) {
		connection_end(c, END_BACKEND);
		return;
	}
	if (err == -EBADMSG && c->kernel_tx)
		say_forged(c->ends[SIDE_TLS].fd);
	connection_end(c, err == -EBADMSG || err == -EMSGSIZE || err == -EINVAL ?
		       END_BROKEN : END_RESET);
}

/* What is done with the result of a read that brought nothing. */
static int read_nothing(struct connection *c, struct flow *f, struct end *from,
			ssize_t n)
{
	switch (n) {
	case 0:
		f->ended = true;
		return 1;
	case -EINTR:
		return 1;
	case -EAGAIN:
		from->readable = false;
		return STEP_NOTHING;
	case -ESHUTDOWN:	/* it was ended already */
		return STEP_OVER;
	case -EPIPE:
		connection_end(c, from->side == SIDE_TLS ? END_TRUNCATED :
			       END_BACKEND);
		return STEP_OVER;
	case -ECONNABORTED:
		connection_end(c, END_ALERTED);
		return STEP_OVER;
	default:
		end_by_errno(c, from->side, n);
		return STEP_OVER;
	}
}

static int wrote(struct connection *c, struct flow *f, struct end *to, ssize_t n)
{
	if (n == -EAGAIN) {
		to->writable = false;
		return STEP_NOTHING;
	}
	if (n < 0) {
		end_by_errno(c, to->side, n);
		return STEP_OVER;
	}
	f->held -= n;
	count(to->side == SIDE_TLS ? &c->worker->counters->bytes_out :
	      &c->worker->counters->bytes_in, n);
	return n;
}

/*
 * Less than there was room for: if there is more, epoll says so.  But not where the
 * kernel decrypts: poll() knows of a record when it has been looked for, which only
 * those do who read.
 */
static void took_little(const struct connection *c, struct end *from)
{
	if (from->side == SIDE_PLAIN || !c->kernel_rx)
		from->readable = false;
}

/* Through a buffer: what is small costs less so */

static int push_copied(struct connection *c, struct flow *f, struct end *to,
		       const uint8_t *bytes)
{
	ssize_t n;

	if (to->side == SIDE_TLS) {
		n = tls_write(c, bytes, f->held, false);
	} else {
		do
			n = send(to->fd, bytes, f->held,
				 MSG_DONTWAIT | MSG_NOSIGNAL);
		while (n < 0 && errno == EINTR);
		if (n < 0)
			n = -errno;
	}
	return wrote(c, f, to, n);
}

/* What could not be written yet is kept. */
static int keep(struct connection *c, struct flow *f, const uint8_t *bytes)
{
	f->buffer = malloc(f->held);
	if (!f->buffer) {
		connection_end(c, END_FAILED);
		return STEP_OVER;
	}
	memcpy(f->buffer, bytes, f->held);
	f->start = 0;
	return 1;
}

/* @before: errno of an attempt with splice(), which the kernel may tell but once. */
static int pull_copied(struct connection *c, struct flow *f, struct end *from,
		       struct end *to, int before)
{
	uint8_t *bytes = c->worker->scratch;
	ssize_t n;
	int ret;

	if (from->side == SIDE_TLS) {
		n = tls_read(c, bytes, SCRATCH_BYTES);
	} else {
		n = recv(from->fd, bytes, SCRATCH_BYTES, MSG_DONTWAIT);
		if (n < 0)
			n = -errno;
	}
	if (n == -EAGAIN && before)
		n = -before;
	if (n <= 0)
		return read_nothing(c, f, from, n);
	if (n < SCRATCH_BYTES)
		took_little(c, from);
	else if (!f->copied)
		f->bulk = true;
	f->held = n;
	ret = to->writable ? push_copied(c, f, to, bytes) : STEP_NOTHING;
	if (ret == STEP_OVER || !f->held)
		return ret;
	return keep(c, f, bytes + (ret > 0 ? ret : 0));
}

/* Through a pipe */

static int push_spliced(struct connection *c, struct flow *f, struct end *to)
{
	ssize_t n;

	do
		n = splice(f->pipe[0], NULL, to->fd, NULL, f->held,
			   SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
	while (n < 0 && errno == EINTR);
	n = wrote(c, f, to, n < 0 ? -errno : n);
	/* An idle connection costs no pipe. */
	if (n != STEP_OVER && !f->held)
		worker_put_pipe(c->worker, f->pipe, true);
	return n;
}

static int pull_spliced(struct connection *c, struct flow *f, struct end *from,
			struct end *to)
{
	ssize_t n;
	int err;

	if (f->pipe[0] < 0 && !worker_get_pipe(c->worker, f->pipe)) {
		connection_end(c, END_FAILED);
		return STEP_OVER;
	}
	do
		n = splice(from->fd, NULL, f->pipe[1], NULL, PIPE_BYTES,
			   SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
	while (n < 0 && errno == EINTR);
	if (n <= 0) {
		/* Be it a record that is no data, or the end: read() knows. */
		err = n ? errno : 0;
		worker_put_pipe(c->worker, f->pipe, true);
		f->bulk = false;
		return pull_copied(c, f, from, to, err);
	}
	f->held = n;
	if (n < SCRATCH_BYTES) {
		took_little(c, from);
		f->bulk = false;
	}
	return to->writable ? push_spliced(c, f, to) : n;
}

/* All has been given on: say that it is all. */
static int finish(struct connection *c, struct flow *f, struct end *to)
{
	int err = 0;

	if (to->side == SIDE_TLS)
		err = tls_say_end(c);
	if (err == -EAGAIN) {
		to->writable = false;
		return STEP_NOTHING;
	}
	if (err) {
		end_by_errno(c, to->side, err);
		return STEP_OVER;
	}
	shutdown(to->fd, SHUT_WR);
	f->done = true;
	return 1;
}

/* A step of one flow. */
static int move(struct connection *c, struct flow *f, struct end *from,
		struct end *to)
{
	int n;

	if (f->held) {
		if (!to->writable)
			return STEP_NOTHING;
		if (f->pipe[0] >= 0)
			return push_spliced(c, f, to);
		n = push_copied(c, f, to, f->buffer + f->start);
		if (n > 0)
			f->start += n;
		if (n != STEP_OVER && !f->held) {
			free(f->buffer);
			f->buffer = NULL;
		}
		return n;
	}
	if (f->ended)
		return !f->done && to->writable ? finish(c, f, to) : STEP_NOTHING;
	if (!from->readable)
		return STEP_NOTHING;
	return f->bulk ? pull_spliced(c, f, from, to) :
			 pull_copied(c, f, from, to, 0);
}

/* What can go on is to be told by epoll, and what can't is not. */
static void watch(struct connection *c, struct flow *from_it,
		  struct flow *to_it, struct end *e, bool owes)
{
	uint32_t events = 0;

	if (!from_it->ended && !from_it->held)
		events |= EPOLLIN;
	if (!e->writable && (to_it->held || (to_it->ended && !to_it->done) || owes))
		events |= EPOLLOUT;
	worker_watch(c->worker, e, events);
}

void relay_run(struct connection *c)
{
	struct flow *in = &c->flows[SIDE_TLS], *out = &c->flows[SIDE_PLAIN];
	struct end *tls = &c->ends[SIDE_TLS], *plain = &c->ends[SIDE_PLAIN];
	int n, m, err, steps = 0;
	size_t moved = 0;

	do {
		if (c->owes_key_update || c->owes_no_renegotiation) {
			err = tls->writable ? post_handshake_pay(c) : 0;
			if (err == -EAGAIN)
				tls->writable = false;
			else if (err)
				return;
		}
		n = move(c, in, tls, plain);
		if (n == STEP_OVER)
			return;
		m = move(c, out, plain, tls);
		if (m == STEP_OVER)
			return;
		moved += n + m;
	} while ((n || m) && moved < TURN_BYTES && ++steps < TURN_STEPS);

	if (in->done && out->done) {
		connection_end(c, END_CLOSED);
		return;
	}
	if (n || m)
		worker_take_turn(c);
	watch(c, in, out, tls, c->owes_key_update || c->owes_no_renegotiation);
	watch(c, out, in, plain, false);
	/* A backend may be slow to answer the last request: that is its affair. */
	c->deadline = out->done ? c->worker->now + HALF_CLOSED_NS : 0;
}
