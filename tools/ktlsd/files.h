/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A connection that is served files: what is to be done when, over a transport that
 * is the worker's.
 */
#ifndef FILES_H
#define FILES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * What bytes go over, in the clear; none of it blocks.  All return how many bytes
 * went, or a negative errno, -EAGAIN if it is not the time.
 */
struct transport {
	/* 0: the client has ended its side. */
	ssize_t (*read)(void *arg, void *buf, size_t len);
	/* @more: more follows at once, and may go into the same record. */
	ssize_t (*write)(void *arg, const void *buf, size_t len, bool more);
	/* As sendfile(): 0 at the file's end. */
	ssize_t (*send_file)(void *arg, int fd, off_t *offset, size_t len);
	void *arg;
};

struct files_next {
	enum {
		FILES_READABLE,		/* call files_event() when there is more */
		FILES_WRITABLE,		/* or when there is room */
		FILES_GRANTED,		/* call files_granted() with what came of the wish */
		FILES_CLOSE,		/* all is said: end it as TLS does */
		FILES_ABORT,		/* end it so that the client sees that it is cut */
	} what;
	uint64_t deadline;		/* of monotonic_ns(): call files_event() then; 0: none */
};

struct files;

/*
 * @wish asks for a file beneath the root, and does not call back from within.  It
 * returns 0 or a negative errno.  %NULL without memory.
 */
struct files *files_new(const struct transport *transport,
			int (*wish)(void *arg, const char *path, size_t len),
			void *wish_arg);

/*
 * To be called first when the connection is there, with @readable.  What is said to
 * be ready and is not made use of is to be said again, as epoll does unless told not
 * to; a transport that holds bytes is readable.
 */
struct files_next files_event(struct files *f, bool readable, bool writable);

/* The answer to the wish: a descriptor, which is taken, or a negative errno. */
struct files_next files_granted(struct files *f, int fd, int error);

/* No request after the one that is under way. */
struct files_next files_drain(struct files *f);

void files_free(struct files *f);

#endif /* FILES_H */
