/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The processes of one configuration.  A reload makes a new generation, and the
 * old one ends with its last connection.
 */
#ifndef GENERATION_H
#define GENERATION_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "counters.h"
#include "message.h"
#include "process.h"
#include "proofs.h"

struct conf;

struct generation {
	unsigned int number;
	struct conf *conf;
	int *listeners;			/* sockets, as conf has the listeners */
	struct process keys;
	struct process broker;
	struct process prover;		/* one at times */
	struct process *workers;	/* conf->workers of them */
	struct counters **counters;	/* of each */
	struct message_identity_state *identities;	/* as conf has them */
	bool *identities_known;
	struct proofs proofs;
	bool starting;			/* not in force yet: who ends is not replaced */
	bool draining;
	bool stopping;			/* killed, and to be waited for */
	uint64_t drain_until;		/* monotonic_ns(): who is left is killed */
	struct generation *next;	/* an older one */
};

/*
 * Starts all processes.  Takes @conf over, and keeps the listeners of @old.  %NULL
 * if that cannot be: @errors says why, and @conf is freed.
 */
struct generation *generation_start(struct conf *conf, const struct generation *old,
				    FILE *errors);
/* All have said that they are ready. */
bool generation_ready(const struct generation *g);
/* Whether there is a process left. */
bool generation_alive(const struct generation *g);
/* No new connections.  @kept: the configuration that goes on, or %NULL. */
void generation_drain(struct generation *g, const struct conf *kept);
/* At once; likewise. */
void generation_kill(struct generation *g, const struct conf *kept);
/* Of dead ones.  What they counted goes to @counters. */
void generation_free(struct generation *g, struct counters *counters);

/* The n-th process: keys, broker, prover, workers; %NULL behind the last. */
struct process *generation_process(struct generation *g, size_t n);
/* Which one that is, or %NULL. */
struct process *generation_find(struct generation *g, pid_t pid);
/* One has ended: closes what there was, and says when the next one is to come. */
void generation_reaped(struct generation *g, struct process *p, int status);
/* Replaces those whose time has come. */
void generation_replace(struct generation *g, uint64_t now);
/* When that is for the next; %UINT64_MAX: never. */
uint64_t generation_next(const struct generation *g);

/* Channels between a worker and keys, if both live. */
void generation_join_keys(struct generation *g, struct process *worker);
/* Starts a prover, if that can be. */
void generation_prove(struct generation *g);

/* To all workers. */
void generation_tell_workers(struct generation *g, enum message_type type,
			     const void *body, size_t len);

#endif /* GENERATION_H */
