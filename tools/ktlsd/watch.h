/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Files that are replaced, in whatever way: in place, by a rename over them, by
 * another target of a symbolic link or another directory anywhere in their path.
 */
#ifndef WATCH_H
#define WATCH_H

#include <stddef.h>
#include <sys/types.h>

struct watch;

/* In milliseconds. */
struct watch_times {
	unsigned int quiet;	/* without a change, before anything is reported */
	unsigned int most;	/* from the first change, whether quiet or not */
	unsigned int poll;	/* for file systems that do not tell of changes */
};

/* %NULL and errno if there is no inotify for us. */
struct watch *watch_new(const struct watch_times *times);
void watch_free(struct watch *w);

/* Returns the number of the path, from 0 on, or a negative errno. */
ssize_t watch_add(struct watch *w, const char *path);

/* Readable when watch_next() has to be called. */
int watch_fd(const struct watch *w);

/* The number of a path to be looked at again; to be called until it is -1. */
ssize_t watch_next(struct watch *w);

#endif /* WATCH_H */
