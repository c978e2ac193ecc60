/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The process that starts the others, and replaces them. */
#ifndef SUPERVISOR_H
#define SUPERVISOR_H

#include <stdbool.h>
#include <stdint.h>

#include "counters.h"

struct conf;
struct control;
struct generation;
struct query;

struct supervisor {
	const char *path;		/* of the configuration */
	struct control *control;
	char *control_path;
	struct generation *current;	/* %NULL before the first is ready */
	struct generation *next;	/* being started */
	struct generation *old;		/* draining, or killed; the latest first */
	struct query *query;
	struct counters retired;	/* of generations that are gone */
	int signals;
	bool again;			/* a reload was asked for during another */
	bool stopping;
	int status;			/* to exit with */
	uint64_t next_until;		/* when @next has to be ready; monotonic_ns() */
	uint64_t tickets_at;
	uint64_t watchdog_at;
	uint64_t turned;		/* when the loop did so the last time */
	uint64_t started;		/* nanoseconds since the epoch */
	uint64_t loaded;		/* likewise, the configuration in force */
	uint64_t tickets_rotated;	/* likewise */
	unsigned int reloads;
	char *failure;			/* of the last reload, or %NULL */
	uint64_t *waiting;		/* clients, for the end of a reload */
	size_t waiting_count;
};

/* Takes @conf over.  Returns the exit status. */
int supervisor_run(struct conf *conf);

uint64_t wall_ns(void);

#endif /* SUPERVISOR_H */
