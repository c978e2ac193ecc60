// SPDX-License-Identifier: GPL-2.0-or-later
/* Files over a TLS end: what files.c asks for, done for a connection. */
#include <errno.h>
#include <sys/epoll.h>

#include "connection.h"
#include "files.h"
#include "ktlsd.h"
#include "tls_end.h"
#include "worker.h"

/* That it waits is known from now on. */
static ssize_t note(ssize_t n, bool *ready)
{
	if (n == -EAGAIN)
		*ready = false;
	return n;
}

static ssize_t read_some(void *arg, void *buffer, size_t len)
{
	struct connection *c = arg;
	ssize_t n;

	do
		n = tls_read(c, buffer, len);
	while (n == -EINTR);
	return note(n, &c->ends[SIDE_TLS].readable);
}

static ssize_t write_some(void *arg, const void *buffer, size_t len, bool more)
{
	struct connection *c = arg;
	ssize_t n = tls_write(c, buffer, len, more);

	if (n > 0)
		count(&c->worker->counters->bytes_out, n);
	return note(n, &c->ends[SIDE_TLS].writable);
}

static ssize_t send_some(void *arg, int file, off_t *offset, size_t len)
{
	struct connection *c = arg;
	ssize_t n = tls_send_file(c, file, offset, len);

	if (n > 0)
		count(&c->worker->counters->bytes_out, n);
	return note(n, &c->ends[SIDE_TLS].writable);
}

static int wish(void *arg, const char *path, size_t len)
{
	return worker_wish(arg, path, len);
}

/* What files.c said is to be next. */
static void go_on(struct connection *c, struct files_next next)
{
	struct end *e = &c->ends[SIDE_TLS];

	/* A record may have ended it meanwhile. */
	if (c->state == CONNECTION_DEAD)
		return;
	c->deadline = next.deadline;
	switch (next.what) {
	case FILES_READABLE:
		/* Neither of OpenSSL's records nor of the kernel's epoll knows all. */
		if (!c->kernel_rx && SSL_has_pending(c->handshake.ssl))
			e->readable = true;
		if (e->readable)
			worker_take_turn(c);
		worker_watch(c->worker, e, EPOLLIN);
		break;
	case FILES_WRITABLE:
		if (e->writable)
			worker_take_turn(c);
		else
			worker_watch(c->worker, e, EPOLLOUT);
		break;
	case FILES_GRANTED:
		worker_watch(c->worker, e, 0);
		break;
	case FILES_CLOSE:
		/* As there is no room, nobody waits for it either. */
		tls_say_end(c);
		connection_end(c, END_CLOSED);
		break;
	case FILES_ABORT:
		connection_end(c, END_RESET);
		break;
	}
}

void serve_begin(struct connection *c)
{
	const struct transport transport = {
		.read = read_some, .write = write_some,
		.send_file = send_some, .arg = c,
	};

	c->state = CONNECTION_FILES;
	c->files = files_new(&transport, wish, c);
	if (!c->files) {
		connection_end(c, END_FAILED);
		return;
	}
	c->ends[SIDE_TLS].readable = true;
	serve_run(c);
}

void serve_run(struct connection *c)
{
	struct end *e = &c->ends[SIDE_TLS];
	int err = 0;

	if (e->writable && (c->owes_key_update || c->owes_no_renegotiation))
		err = post_handshake_pay(c);
	if (err == -EAGAIN)
		e->writable = false;
	else if (err)
		return;
	go_on(c, files_event(c->files, e->readable, e->writable));
}

void serve_drain(struct connection *c)
{
	go_on(c, files_drain(c->files));
}

void serve_granted(struct connection *c, int fd)
{
	go_on(c, files_granted(c->files, fd < 0 ? -1 : fd, fd < 0 ? fd : 0));
}
