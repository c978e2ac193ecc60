/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _KTLS_ATTEMPTS_H
#define _KTLS_ATTEMPTS_H

#include <linux/spinlock.h>
#include <linux/types.h>
#include <linux/uidgid.h>

#include <uapi/linux/ktls.h>

#include "ends.h"

struct ktls_net;
struct pid;
struct sock;

/* Most attempts that a namespace remembers, of those that succeeded and of those
 * that failed each: what is frequent does not push out what is not.
 */
#define KTLS_ATTEMPTS_LIMIT	1024

/* Shares that users fall into: who makes many does not push out another's. */
#define KTLS_SHARES		64

/* Results that are told from each other: 0, the errnos that user space knows
 * (EHWPOISON is the last), and all others in one.
 */
#define KTLS_ERRNOS		135

#define KTLS_STEPS		(KTLS_STEP_REKEY_RX + 1)

/**
 * struct ktls_verdict - what the policy says of an attempt
 * @action: &enum ktls_action
 * @decided: a rule or the default of a policy decided
 * @rule: which, from 1; 0 for the default
 * @flags: &enum ktls_attempt_flags
 */
struct ktls_verdict {
	u8 action;
	bool decided;
	u16 rule;
	u32 flags;
};

/**
 * struct ktls_attempt - one try to attach TLS or to install a key
 * @number: in the namespace, from 1
 * @time: when it returned, ns since the epoch
 * @cookie: of the socket
 * @ino: of the socket
 * @cgroup_id: of the process, 0 without cgroups
 * @pid: thread group, with a reference
 * @uid: effective user
 * @error: positive errno, or 0
 * @verdict: of the policy
 * @version: as the program gave it, 0 if that is not known
 * @cipher: likewise
 * @ends: of the socket
 * @step: &enum ktls_step
 * @mode: &enum ktls_mode, if the key was installed
 * @comm: command
 */
struct ktls_attempt {
	u64 number;
	u64 time;
	u64 cookie;
	u64 ino;
	u64 cgroup_id;
	struct pid *pid;
	kuid_t uid;
	u32 error;
	struct ktls_verdict verdict;
	u16 version;
	u16 cipher;
	struct ktls_ends ends;
	u8 step;
	u8 mode;
	char comm[KTLS_COMM_LEN];
};

/**
 * struct ktls_ring - the latest attempts of a kind
 * @n: how many
 * @order: their places in @entry, in the order of their numbers
 * @share: whose the attempt at each place is
 * @held: how many each share has
 * @entry: the attempts
 */
struct ktls_ring {
	unsigned int n;
	u16 order[KTLS_ATTEMPTS_LIMIT];
	u8 share[KTLS_ATTEMPTS_LIMIT];
	u16 held[KTLS_SHARES];
	struct ktls_attempt entry[KTLS_ATTEMPTS_LIMIT];
};

/**
 * struct ktls_attempts - what a namespace knows of its attempts
 * @lock: protects the rest
 * @seed: makes it unknown which users have a share in common; never changed
 * @ring: of those that succeeded, and of those that failed
 * @latest: number of the latest
 * @sent: number of the latest that listeners were told of, or nobody listened to
 * @outcomes: how often a step had a result; allocated with the first attempt, as
 *	are the rings
 * @lost: attempts that there was no memory for
 */
struct ktls_attempts {
	/* all that follows but the seed */
	spinlock_t lock;
	u32 seed;
	struct ktls_ring *ring[2];
	u64 latest;
	u64 sent;
	u64 (*outcomes)[KTLS_ERRNOS];
	u64 lost;
};

u64 ktls_current_cgroup_id(void);
void ktls_attempt_init(struct ktls_attempt *attempt, struct sock *sk,
		       enum ktls_step step);
void ktls_attempt_record(struct ktls_net *kn, struct ktls_attempt *attempt,
			 int err);

bool ktls_attempt_next(struct ktls_net *kn, u64 *number, bool failed,
		       struct ktls_attempt *attempt);
void ktls_attempt_put(struct ktls_attempt *attempt);
u64 ktls_attempt_outcomes(struct ktls_net *kn, unsigned int step,
			  unsigned int error);

bool ktls_attempts_unsent(struct ktls_net *kn, struct ktls_attempt *attempt);

void ktls_attempts_net_init(struct ktls_net *kn);
void ktls_attempts_net_exit(struct ktls_net *kn);

#endif /* _KTLS_ATTEMPTS_H */
