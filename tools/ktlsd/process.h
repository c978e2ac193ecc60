/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The processes that the supervisor forks, and what they run. */
#ifndef PROCESS_H
#define PROCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct conf;
struct counters;

enum role {
	ROLE_KEYS,
	ROLE_BROKER,
	ROLE_WORKER,
	ROLE_PROVER,
};

/*
 * What each runs; the result is the exit status.  @fd is the channel to the
 * supervisor.  Whoever sees the end of it ends.
 */
int keys_run(const struct conf *conf, int fd);
int broker_run(const struct conf *conf, int fd);
/* @listeners: the sockets, as conf->listeners has them. */
int worker_run(const struct conf *conf, unsigned int index, const int *listeners,
	       struct counters *shared, int fd);
/* Looks at each listener once, and ends. */
int prove_run(const struct conf *conf, int fd);

/*
 * Has the kernel end this process with the supervisor.  To be called again after
 * a change of user, which undoes it.  False if the supervisor is gone already.
 */
bool process_follow(void);

struct process {
	enum role role;
	unsigned int index;	/* of a worker */
	pid_t pid;		/* 0: there is none now */
	int fd;			/* channel to it, non-blocking */
	bool ready;
	bool ended;		/* is not to be replaced */
	uint64_t started;	/* monotonic_ns() */
	uint64_t heard;		/* when it sent something last; likewise */
	uint64_t again;		/* when it is to be replaced; likewise */
	unsigned int backoff;	/* milliseconds, the latest */
	unsigned int replaced;	/* how often */
};

/*
 * Forks it.  Returns 0 or a negative errno.  The child has no descriptor but the
 * first three, its channel and @listeners.
 */
int process_start(struct process *p, const struct conf *conf, const int *listeners,
		  size_t listeners_count, struct counters *shared);
/* "worker 3" */
const char *process_name(const struct process *p, char *buffer, size_t size);
/* "killed by SIGSEGV", "exit status 1" */
const char *process_end(int status, char *buffer, size_t size);
/* The end of its channel, and of it if it still runs. */
void process_kill(struct process *p);

#endif /* PROCESS_H */
