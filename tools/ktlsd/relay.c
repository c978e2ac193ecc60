// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * From one end of a connection to the other: by splice() where the kernel does
 * the records, else through a buffer.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <libktls.h>

#include "connection.h"
#include "ktlsd.h"
#include "tls_end.h"
#include "worker.h"

/* As much as a record holds (RFC 8446, 5.1). */
#define BUFFER_BYTES 16384
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

/* @side: of the end that failed. */
static void end_by_errno(struct connection *c, enum side side, int err)
{
	if (side == SIDE_PLAIN) {
		connection_end(c, END_BACKEND);
		return;
	}
	if (err == -EBADMSG && c->kernel_tx)
		ktls_send_alert(c->ends[SIDE_TLS].fd, ALERT_BAD_RECORD_MAC,
				MSG_DONTWAIT);
	connection_end(c, err == -EBADMSG || err == -EMSGSIZE || err == -EINVAL ?
		       END_BROKEN : END_RESET);
}

/* Reading */

/*
 * A record that is no data stands in front, or @splice_err says what else there
 * is.
 */
static int take_control_record(struct connection *c, struct flow *f,
			       int splice_err)
{
	uint8_t content[BUFFER_BYTES], type;
	struct end *e = &c->ends[SIDE_TLS];
	ssize_t n;
	int ret;

	n = ktls_receive(e->fd, content, sizeof(content), &type, MSG_DONTWAIT);
	/* The kernel found no record, and says so but once. */
	if (n == -EAGAIN && splice_err)
		n = -splice_err;
	if (n == -EAGAIN) {
		e->readable = false;
		return STEP_NOTHING;
	}
	if (n < 0) {
		end_by_errno(c, SIDE_TLS, n);
		return STEP_OVER;
	}
	if (!n && !type) {
		connection_end(c, END_TRUNCATED);
		return STEP_OVER;
	}
	if (type == KTLS_RECORD_DATA && !n)
		return 1;
	if (type == KTLS_RECORD_DATA) {
		/* splice() had another reason, and would have it again. */
		f->copied = true;
		f->buffer = malloc(BUFFER_BYTES);
		if (!f->buffer) {
			connection_end(c, END_FAILED);
			return STEP_OVER;
		}
		__builtin_memcpy(f->buffer, content, n);
		f->start = 0;
		f->held = n;
		return n;
	}
	ret = post_handshake_record(c, type, content, n);
	if (ret < 0)
		return STEP_OVER;
	f->ended = ret;
	return 1;
}

/* Into the pipe, which is empty. */
static int pull_spliced(struct connection *c, struct flow *f, struct end *from)
{
	ssize_t n;

	if (f->pipe[0] < 0 && !worker_get_pipe(c->worker, f->pipe)) {
		connection_end(c, END_FAILED);
		return STEP_OVER;
	}
	do
		n = splice(from->fd, NULL, f->pipe[1], NULL, PIPE_BYTES,
			   SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
	while (n < 0 && errno == EINTR);
	if (n > 0) {
		f->held += n;
		return n;
	}
	if (n < 0 && errno == EAGAIN) {
		/* Or what there is has filled the pipe. */
		if (!f->held)
			from->readable = false;
		return STEP_NOTHING;
	}
	if (from->side == SIDE_TLS && (!n || errno == EINVAL || errno == EIO))
		return take_control_record(c, f, n ? errno : 0);
	if (n < 0) {
		end_by_errno(c, from->side, -errno);
		return STEP_OVER;
	}
	f->ended = true;
	return 1;
}

static int pull_copied(struct connection *c, struct flow *f, struct end *from)
{
	ssize_t n;

	if (!f->buffer)
		f->buffer = malloc(BUFFER_BYTES);
	if (!f->buffer) {
		connection_end(c, END_FAILED);
		return STEP_OVER;
	}
	if (from->side == SIDE_PLAIN)
		n = recv(from->fd, f->buffer, BUFFER_BYTES, MSG_DONTWAIT);
	else
		n = tls_read(c, f->buffer, BUFFER_BYTES);
	if (from->side == SIDE_PLAIN && n < 0)
		n = -errno;
	if (n > 0) {
		f->start = 0;
		f->held = n;
		return n;
	}
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

/* Writing */

static int push(struct connection *c, struct flow *f, struct end *to)
{
	ssize_t n;

	do {
		if (!f->copied)
			n = splice(f->pipe[0], NULL, to->fd, NULL, f->held,
				   SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
		else if (to->side == SIDE_TLS)
			n = tls_write(c, f->buffer + f->start, f->held, false);
		else
			n = send(to->fd, f->buffer + f->start, f->held,
				 MSG_DONTWAIT | MSG_NOSIGNAL);
	} while (n == -1 && errno == EINTR);
	if (n == -1)
		n = -errno;
	if (n == -EAGAIN) {
		to->writable = false;
		return STEP_NOTHING;
	}
	if (n < 0) {
		end_by_errno(c, to->side, n);
		return STEP_OVER;
	}
	f->start += n;
	f->held -= n;
	count(to->side == SIDE_TLS ? &c->worker->counters->bytes_out :
	      &c->worker->counters->bytes_in, n);
	return n;
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
		n = push(c, f, to);
		/* An idle connection costs no pipe. */
		if (n > 0 && !f->held && !f->copied)
			worker_put_pipe(c->worker, f->pipe, true);
		return n;
	}
	if (f->ended)
		return !f->done && to->writable ? finish(c, f, to) : STEP_NOTHING;
	if (!from->readable)
		return STEP_NOTHING;
	n = f->copied ? pull_copied(c, f, from) : pull_spliced(c, f, from);
	if (n == STEP_NOTHING && !f->held) {
		if (f->pipe[0] >= 0)
			worker_put_pipe(c->worker, f->pipe, true);
		free(f->buffer);
		f->buffer = NULL;
	}
	return n;
}

void relay_run(struct connection *c)
{
	struct flow *in = &c->flows[SIDE_TLS], *out = &c->flows[SIDE_PLAIN];
	struct end *tls = &c->ends[SIDE_TLS], *plain = &c->ends[SIDE_PLAIN];
	unsigned int steps = 0;
	size_t moved = 0;
	int n, m, err;

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
	/* A backend may be slow to answer the last request: that is its affair. */
	c->deadline = out->done ? c->worker->now + HALF_CLOSED_NS : 0;
}
