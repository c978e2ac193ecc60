/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the supervisor knows of certificates as they are served: what the provers
 * have found, and which expire.
 */
#ifndef PROOFS_H
#define PROOFS_H

#include <stdbool.h>
#include <stdint.h>

#include "message.h"

struct generation;

/* A certificate of a listener. */
struct proof {
	struct message_proof last;	/* if it is @known */
	bool known;
	bool said;		/* that something is wrong, which is @said_state */
	enum proof_state said_state;
	uint64_t wrong_since;	/* monotonic_ns(), 0: it is not */
	uint64_t looked;	/* nanoseconds since the epoch */
	uint64_t proven;	/* likewise, when it was right the last time; 0: never */
};

enum expiry {
	EXPIRY_GOOD,
	EXPIRY_SOON,		/* within 14 days */
	EXPIRY_OVER,
};

struct expiry_said {
	uint64_t at;		/* monotonic_ns(), 0: nothing was said */
	enum expiry what;
};

struct proofs {
	struct proof **of;	/* each listener, as the configuration has them */
	uint64_t at;		/* when the next prover is to start; monotonic_ns() */
	bool failed;		/* the last prover did, and that was logged */
	struct expiry_said *expiry_said;	/* of each identity */
	uint64_t expiry_at;	/* when they are to be looked at; likewise */
};

/* Of a certificate, by the seconds since the epoch. */
enum expiry proofs_expiry(int64_t not_after);

void proofs_init(struct generation *g);
void proofs_free(struct generation *g);
/* Its certificates have changed: proven soon. */
void proofs_hurry(struct generation *g);
void proofs_heard(struct generation *g, const struct message *m);
/* The prover has ended, in this way. */
void proofs_ended(struct generation *g, int status);
/* Starts a prover if it is time, and tells what expires; of what is in force only. */
void proofs_turn(struct generation *g, uint64_t now);
/* When that is to be called, or %UINT64_MAX. */
uint64_t proofs_next(const struct generation *g);

/* "stale", for programs. */
const char *proof_word(enum proof_state state);

#endif /* PROOFS_H */
