// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "files.h"
#include "http.h"
#include "ktlsd.h"

#define SECOND 1000000000ull
#define IDLE_TIMEOUT (60 * SECOND)	/* between requests */
#define HEAD_TIMEOUT (10 * SECOND)	/* for all of a request, from its first byte */
#define SEND_TIMEOUT (60 * SECOND)	/* without a byte that goes */
#define LINGER_TIMEOUT (2 * SECOND)	/* for the client to have read why it ends */

#define TURN_MAX (1024 * 1024)		/* bytes, before others have their turn */
#define LINGER_MAX (1024 * 1024)	/* bytes that are read for nothing */

/*
 * A request and the head of its answer.  There is none while the connection is idle,
 * or while it gets a file: it is large, and connections are many.
 */
struct exchange {
	struct http_request request;
	struct http_answer answer;
	size_t sent;		/* of the answer's head */
	size_t len;		/* of @buf */
	char buf[HTTP_HEAD_MAX];
};

struct files {
	struct transport transport;
	int (*wish)(void *arg, const char *path, size_t len);
	void *wish_arg;
	enum state {
		STATE_REQUEST,	/* reads one */
		STATE_WISH,	/* waits for a file */
		STATE_ANSWER,	/* writes */
		STATE_LINGER,	/* has answered, and the client may still be sending */
		STATE_CLOSE,
		STATE_ABORT,
	} state;
	bool draining;
	bool keep_alive;	/* behind this answer */
	bool unread;		/* by us, of what the client sends with its request */
	uint64_t deadline;
	size_t lingered;
	int fd;			/* the file that is sent, or -1 */
	off_t offset;
	off_t left;
	struct exchange *exchange;
};

/* Where a step stands. */
enum step {
	STEP_ON,	/* there is more to do */
	STEP_WAIT,	/* not now */
};

static void set_state(struct files *f, enum state state, uint64_t timeout)
{
	f->state = state;
	f->deadline = timeout ? monotonic_ns() + timeout : 0;
}

static void close_file(struct files *f)
{
	if (f->fd >= 0)
		close(f->fd);
	f->fd = -1;
}

static void end_exchange(struct files *f)
{
	free(f->exchange);
	f->exchange = NULL;
}

static enum step end(struct files *f, enum state state)
{
	close_file(f);
	end_exchange(f);
	set_state(f, state, 0);
	return STEP_WAIT;
}

static void begin_answer(struct files *f)
{
	struct exchange *e = f->exchange;

	e->sent = 0;
	f->offset = e->answer.offset;
	f->left = e->answer.len;
	f->keep_alive = e->answer.keep_alive;
	f->unread = e->request.unread;
	set_state(f, STATE_ANSWER, SEND_TIMEOUT);
}

static void answer_status(struct files *f, unsigned int status)
{
	struct exchange *e = f->exchange;

	if (f->draining)
		e->request.keep_alive = false;
	http_answer_status(&e->request, status, time(NULL), &e->answer);
	begin_answer(f);
}

/* What is read of the request so far. */
static enum step parse(struct files *f)
{
	struct exchange *e = f->exchange;
	struct http_request *r = &e->request;
	size_t len;
	int err;

	len = http_parse(r, e->buf, e->len);
	if (!len)
		return STEP_WAIT;
	if (r->status) {
		answer_status(f, r->status);
		return STEP_ON;
	}
	set_state(f, STATE_WISH, 0);
	err = f->wish(f->wish_arg, r->path, strlen(r->path));
	if (!err)
		return STEP_WAIT;
	answer_status(f, err == -EAGAIN ? HTTP_STATUS_SERVICE_UNAVAILABLE :
					  HTTP_STATUS_INTERNAL_SERVER_ERROR);
	return STEP_ON;
}

/* Reads once, as a second time would find nothing in most cases. */
static enum step read_request(struct files *f, bool *readable)
{
	struct exchange *e = f->exchange;
	ssize_t len;

	if (!*readable)
		return STEP_WAIT;
	*readable = false;
	if (!e) {
		e = malloc(sizeof(*e));
		if (!e)
			return end(f, STATE_ABORT);
		http_request_init(&e->request);
		e->len = 0;
		f->exchange = e;
	}
	len = f->transport.read(f->transport.arg, e->buf + e->len,
				sizeof(e->buf) - e->len);
	if (len > 0) {
		if (!e->len)
			f->deadline = monotonic_ns() + HEAD_TIMEOUT;
		e->len += len;
		return parse(f);
	}
	if (!len)
		return end(f, e->len ? STATE_ABORT : STATE_CLOSE);
	if (len != -EAGAIN)
		return end(f, STATE_ABORT);
	/* Its memory is not worth to wait with. */
	if (!e->len)
		end_exchange(f);
	return STEP_WAIT;
}

/* The answer has been written. */
static enum step end_answer(struct files *f)
{
	struct exchange *e = f->exchange;
	size_t used;

	close_file(f);
	if (f->unread) {
		/* Who closes now resets, and what the client has not read yet is lost. */
		end_exchange(f);
		set_state(f, STATE_LINGER, LINGER_TIMEOUT);
		return STEP_ON;
	}
	if (!f->keep_alive || f->draining)
		return end(f, STATE_CLOSE);
	if (!e || e->len == e->request.parsed) {
		end_exchange(f);
		set_state(f, STATE_REQUEST, IDLE_TIMEOUT);
		return STEP_ON;
	}
	/* The next request came along. */
	used = e->request.parsed;
	e->len -= used;
	memmove(e->buf, e->buf + used, e->len);
	http_request_init(&e->request);
	set_state(f, STATE_REQUEST, HEAD_TIMEOUT);
	return parse(f);
}

static enum step write_head(struct files *f)
{
	struct transport *t = &f->transport;
	struct exchange *e = f->exchange;
	ssize_t len;

	while (e->sent < e->answer.head_len) {
		len = t->write(t->arg, e->answer.head + e->sent,
			       e->answer.head_len - e->sent, f->left);
		if (len == -EAGAIN)
			return STEP_WAIT;
		if (len <= 0)
			return end(f, STATE_ABORT);
		e->sent += len;
		f->deadline = monotonic_ns() + SEND_TIMEOUT;
	}
	if (f->left && e->len == e->request.parsed)
		end_exchange(f);
	return STEP_ON;
}

/* Writes for one turn. */
static enum step write_answer(struct files *f)
{
	struct transport *t = &f->transport;
	size_t turn = TURN_MAX;
	ssize_t len;

	if (f->exchange && write_head(f) == STEP_WAIT)
		return STEP_WAIT;
	while (f->left) {
		if (!turn)
			return STEP_WAIT;
		len = t->send_file(t->arg, f->fd, &f->offset,
				   f->left < (off_t)turn ? (size_t)f->left : turn);
		if (len == -EAGAIN)
			return STEP_WAIT;
		/* The file has become shorter: nothing else may stand for its bytes. */
		if (len <= 0)
			return end(f, STATE_ABORT);
		f->left -= len;
		turn -= len;
		f->deadline = monotonic_ns() + SEND_TIMEOUT;
	}
	return end_answer(f);
}

static enum step linger(struct files *f, bool *readable)
{
	char buf[4096];
	ssize_t len;

	if (!*readable)
		return STEP_WAIT;
	*readable = false;
	len = f->transport.read(f->transport.arg, buf, sizeof(buf));
	if (len == -EAGAIN)
		return STEP_WAIT;
	if (len <= 0)
		return end(f, STATE_CLOSE);
	f->lingered += len;
	return f->lingered < LINGER_MAX ? STEP_WAIT : end(f, STATE_CLOSE);
}

static void time_out(struct files *f)
{
	switch (f->state) {
	case STATE_REQUEST:
		if (!f->exchange) {
			end(f, STATE_CLOSE);
			break;
		}
		f->exchange->request.keep_alive = false;
		f->exchange->request.unread = true;
		answer_status(f, HTTP_STATUS_REQUEST_TIMEOUT);
		break;
	case STATE_LINGER:
		end(f, STATE_CLOSE);
		break;
	default:
		end(f, STATE_ABORT);
		break;
	}
}

static struct files_next next_of(const struct files *f)
{
	struct files_next next = { .deadline = f->deadline };

	switch (f->state) {
	case STATE_REQUEST:
	case STATE_LINGER:
		next.what = FILES_READABLE;
		break;
	case STATE_WISH:
		next.what = FILES_GRANTED;
		break;
	case STATE_ANSWER:
		next.what = FILES_WRITABLE;
		break;
	case STATE_CLOSE:
		next.what = FILES_CLOSE;
		break;
	case STATE_ABORT:
		next.what = FILES_ABORT;
		break;
	}
	return next;
}

/* Goes on as far as it can. */
static void run(struct files *f, bool readable, bool writable)
{
	enum step step = STEP_ON;

	while (step == STEP_ON) {
		switch (f->state) {
		case STATE_REQUEST:
			step = read_request(f, &readable);
			break;
		case STATE_ANSWER:
			step = writable ? write_answer(f) : STEP_WAIT;
			break;
		case STATE_LINGER:
			step = linger(f, &readable);
			break;
		default:
			step = STEP_WAIT;
			break;
		}
	}
}

struct files_next files_event(struct files *f, bool readable, bool writable)
{
	/* What was not waited for may as well be tried. */
	run(f, readable, writable || f->state != STATE_ANSWER);
	if (f->deadline && monotonic_ns() >= f->deadline) {
		time_out(f);
		run(f, false, true);
	}
	return next_of(f);
}

static unsigned int status_of(int error)
{
	switch (error) {
	case -ENOENT:
	case -ENOTDIR:
	case -ENAMETOOLONG:
	/* A directory's index.html is one itself. */
	case -EISDIR:
		return HTTP_STATUS_NOT_FOUND;
	case -EACCES:
	case -EPERM:
	case -ELOOP:
	case -EXDEV:
		return HTTP_STATUS_FORBIDDEN;
	case -EAGAIN:
	case -EMFILE:
	case -ENFILE:
	case -ETIMEDOUT:
		return HTTP_STATUS_SERVICE_UNAVAILABLE;
	default:
		return HTTP_STATUS_INTERNAL_SERVER_ERROR;
	}
}

static bool is_directory(const char *path)
{
	size_t len = strlen(path);

	return !len || path[len - 1] == '/';
}

/*
 * What fits behind the head goes with it: that is cheaper than to have the kernel
 * fetch it.  Returns false if the file is shorter than it was.
 */
static bool join_body(struct http_answer *a, int fd)
{
	ssize_t len;

	if (a->len > (off_t)(sizeof(a->head) - a->head_len))
		return true;
	for (; a->len; a->len -= len) {
		len = pread(fd, a->head + a->head_len, a->len, a->offset);
		if (len <= 0)
			return false;
		a->head_len += len;
		a->offset += len;
	}
	return true;
}

struct files_next files_granted(struct files *f, int fd, int error)
{
	struct exchange *e = f->exchange;
	struct stat st;

	if (f->state != STATE_WISH) {
		if (fd >= 0)
			close(fd);
		return next_of(f);
	}
	f->fd = fd;
	if (!error && fstat(fd, &st))
		error = -errno;
	if (f->draining)
		e->request.keep_alive = false;

	if (!error) {
		http_answer_file(&e->request, &st, time(NULL), &e->answer);
		if (join_body(&e->answer, fd))
			begin_answer(f);
		else
			end(f, STATE_ABORT);
	} else if (error == -EISDIR && !is_directory(e->request.path)) {
		http_answer_directory(&e->request, time(NULL), &e->answer);
		begin_answer(f);
	} else {
		answer_status(f, status_of(error));
	}
	run(f, false, true);
	return next_of(f);
}

struct files_next files_drain(struct files *f)
{
	f->draining = true;
	if (f->state == STATE_REQUEST && !f->exchange)
		end(f, STATE_CLOSE);
	return next_of(f);
}

struct files *files_new(const struct transport *transport,
			int (*wish)(void *arg, const char *path, size_t len),
			void *wish_arg)
{
	struct files *f = calloc(1, sizeof(*f));

	if (!f)
		return NULL;
	f->transport = *transport;
	f->wish = wish;
	f->wish_arg = wish_arg;
	f->fd = -1;
	set_state(f, STATE_REQUEST, IDLE_TIMEOUT);
	return f;
}

void files_free(struct files *f)
{
	if (!f)
		return;
	close_file(f);
	end_exchange(f);
	free(f);
}
