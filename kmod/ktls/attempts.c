// SPDX-License-Identifier: GPL-2.0
/* Attempts to attach TLS to a socket, or to install a key, and their results. */

#include <linux/cgroup.h>
#include <linux/cred.h>
#include <linux/jhash.h>
#include <linux/mm.h>
#include <linux/net.h>
#include <linux/pid.h>
#include <linux/random.h>
#include <linux/sched.h>
#include <linux/user_namespace.h>
#include <net/sock.h>

#include "attempts.h"
#include "events.h"
#include "netlink.h"
#include "netlink_gen.h"
#include "sockets.h"

/**
 * ktls_current_cgroup_id() - inode of the calling process's cgroup, 0 without
 *
 * It may move whenever it likes.
 */
u64 ktls_current_cgroup_id(void)
{
	u64 id = 0;

#ifdef CONFIG_CGROUPS
	rcu_read_lock();
	id = cgroup_id(task_dfl_cgroup(current));
	rcu_read_unlock();
#endif

	return id;
}

/**
 * ktls_attempt_init() - who asks, and for which socket
 * @attempt: to be filled in
 * @sk: socket
 * @step: what for
 *
 * Context: process, that of the program that asks.
 */
void ktls_attempt_init(struct ktls_attempt *attempt, struct sock *sk,
		       enum ktls_step step)
{
	memset(attempt, 0, sizeof(*attempt));
	attempt->step = step;
	attempt->cgroup_id = ktls_current_cgroup_id();
	attempt->uid = current_euid();
	get_task_comm(attempt->comm, current->group_leader);
	attempt->cookie = ktls_cookie_of(sk);
	attempt->ino = sock_i_ino(sk);
	ktls_ends_of(&attempt->ends, sk);
}

/* What was asked for once more, and was there: libssl does so with every
 * connection. Only counted.
 */
static bool ktls_attempt_is_noise(const struct ktls_attempt *attempt)
{
	return attempt->step == KTLS_STEP_ULP && attempt->error == EEXIST;
}

static bool ktls_attempt_failed(const struct ktls_attempt *attempt)
{
	return attempt->error ||
	       attempt->verdict.flags & KTLS_ATTEMPT_FLAGS_DRY_RUN;
}

/* Room for the attempts of a namespace, with the first of them. */
static bool ktls_attempts_room(struct ktls_attempts *attempts)
{
	u64 (*outcomes)[KTLS_ERRNOS];
	struct ktls_ring *ring[2];
	bool room;

	if (READ_ONCE(attempts->outcomes))
		return true;

	ring[0] = kvzalloc(sizeof(*ring[0]), GFP_KERNEL_ACCOUNT);
	ring[1] = kvzalloc(sizeof(*ring[1]), GFP_KERNEL_ACCOUNT);
	outcomes = kvcalloc(KTLS_STEPS, sizeof(*outcomes), GFP_KERNEL_ACCOUNT);

	spin_lock(&attempts->lock);
	if (ring[0] && ring[1] && outcomes && !attempts->outcomes) {
		swap(attempts->ring[0], ring[0]);
		swap(attempts->ring[1], ring[1]);
		swap(attempts->outcomes, outcomes);
	}
	room = attempts->outcomes;
	if (!room)
		attempts->lost++;
	spin_unlock(&attempts->lock);

	kvfree(ring[0]);
	kvfree(ring[1]);
	kvfree(outcomes);

	return room;
}

/* Whose the calling process's attempts are. In a user namespace of their own,
 * anybody can be many users; they all count as the one who made it.
 */
static unsigned int ktls_share(const struct ktls_attempts *attempts)
{
	const struct user_namespace *ns = current_user_ns();
	kuid_t uid = current_euid();

	for (; ns->parent; ns = ns->parent)
		uid = ns->owner;

	return jhash_1word(__kuid_val(uid), attempts->seed) % KTLS_SHARES;
}

/* Where in the order the oldest attempt is of those who have most. Caller holds
 * the lock.
 */
static unsigned int ktls_ring_victim(const struct ktls_ring *ring)
{
	unsigned int most = 0, i;

	for (i = 1; i < KTLS_SHARES; i++)
		if (ring->held[i] > ring->held[most])
			most = i;
	for (i = 0; ring->share[ring->order[i]] != most; i++)
		;

	return i;
}

/* Room for one more, which has the highest number; in it is the one that has to
 * go, if one has. Caller holds the lock.
 */
static struct ktls_attempt *ktls_ring_add(struct ktls_ring *ring,
					  unsigned int share)
{
	unsigned int place = ring->n, where;

	if (ring->n < KTLS_ATTEMPTS_LIMIT) {
		ring->n++;
	} else {
		where = ktls_ring_victim(ring);
		place = ring->order[where];
		ring->held[ring->share[place]]--;
		memmove(&ring->order[where], &ring->order[where + 1],
			(ring->n - 1 - where) * sizeof(ring->order[0]));
	}
	ring->order[ring->n - 1] = place;
	ring->share[place] = share;
	ring->held[share]++;

	return &ring->entry[place];
}

/**
 * ktls_attempt_record() - an attempt has returned
 * @kn: namespace of the socket
 * @attempt: from ktls_attempt_init(), with what else is known
 * @err: what it returned, 0 or a negative errno
 *
 * Context: process, that of the program that asks, may sleep.
 */
void ktls_attempt_record(struct ktls_net *kn, struct ktls_attempt *attempt,
			 int err)
{
	struct ktls_attempts *attempts = &kn->attempts;
	bool listeners = ktls_netlink_has_listeners(kn, KTLS_NLGRP_ATTEMPTS);
	unsigned int column, share;
	struct ktls_attempt *slot;
	struct pid *forgotten;

	if (!ktls_attempts_room(attempts))
		return;

	attempt->error = -err;
	attempt->time = ktime_get_real_ns();
	column = min_t(unsigned int, attempt->error, KTLS_ERRNOS - 1);
	share = ktls_share(attempts);

	spin_lock(&attempts->lock);
	attempts->outcomes[attempt->step][column]++;
	if (ktls_attempt_is_noise(attempt)) {
		spin_unlock(&attempts->lock);
		return;
	}
	attempt->number = ++attempts->latest;
	if (!listeners)
		attempts->sent = attempts->latest;
	slot = ktls_ring_add(attempts->ring[ktls_attempt_failed(attempt)],
			     share);
	forgotten = slot->pid;
	*slot = *attempt;
	slot->pid = get_pid(task_tgid(current));
	spin_unlock(&attempts->lock);

	put_pid(forgotten);
	if (listeners)
		ktls_events_kick(kn);
}

/* First one of a ring with a number that is not less, or NULL. Caller holds the
 * lock.
 */
static const struct ktls_attempt *ktls_ring_find(const struct ktls_ring *ring,
						 u64 number)
{
	unsigned int low = 0, high = ring ? ring->n : 0, end = high;

	while (low < high) {
		unsigned int middle = low + (high - low) / 2;

		if (ring->entry[ring->order[middle]].number < number)
			low = middle + 1;
		else
			high = middle;
	}

	return low < end ? &ring->entry[ring->order[low]] : NULL;
}

/* Caller holds the lock, and gets a reference to the process. */
static bool ktls_attempt_find(struct ktls_attempts *attempts, u64 number,
			      bool failed, struct ktls_attempt *attempt)
{
	const struct ktls_attempt *ok, *found;

	found = ktls_ring_find(attempts->ring[true], number);
	if (!failed) {
		ok = ktls_ring_find(attempts->ring[false], number);
		if (ok && (!found || ok->number < found->number))
			found = ok;
	}
	if (!found)
		return false;

	*attempt = *found;
	get_pid(attempt->pid);

	return true;
}

/**
 * ktls_attempt_next() - walk the attempts that are kept, in their order
 * @kn: namespace
 * @number: least number wanted; set to where to go on
 * @failed: only those that failed, or would have
 * @attempt: a copy, to be given back with ktls_attempt_put()
 *
 * Return: false at the end.
 */
bool ktls_attempt_next(struct ktls_net *kn, u64 *number, bool failed,
		       struct ktls_attempt *attempt)
{
	struct ktls_attempts *attempts = &kn->attempts;
	bool found;

	spin_lock(&attempts->lock);
	found = ktls_attempt_find(attempts, *number, failed, attempt);
	spin_unlock(&attempts->lock);
	if (found)
		*number = attempt->number + 1;

	return found;
}

void ktls_attempt_put(struct ktls_attempt *attempt)
{
	put_pid(attempt->pid);
}

/**
 * ktls_attempt_outcomes() - how often a step had a result
 * @kn: namespace
 * @step: &enum ktls_step
 * @error: positive errno, or 0; below KTLS_ERRNOS
 */
u64 ktls_attempt_outcomes(struct ktls_net *kn, unsigned int step,
			  unsigned int error)
{
	struct ktls_attempts *attempts = &kn->attempts;
	u64 n = 0;

	spin_lock(&attempts->lock);
	if (attempts->outcomes)
		n = attempts->outcomes[step][error];
	spin_unlock(&attempts->lock);

	return n;
}

/**
 * ktls_attempts_unsent() - the next one that listeners were not told of
 * @kn: namespace
 * @attempt: a copy, to be given back with ktls_attempt_put()
 *
 * Those that were pushed out of their ring before their turn are lost events.
 *
 * Return: false if there is none.
 */
bool ktls_attempts_unsent(struct ktls_net *kn, struct ktls_attempt *attempt)
{
	struct ktls_attempts *attempts = &kn->attempts;
	u64 lost = 0;
	bool found;

	spin_lock(&attempts->lock);
	found = ktls_attempt_find(attempts, attempts->sent + 1, false,
				  attempt);
	if (found) {
		lost = attempt->number - attempts->sent - 1;
		attempts->sent = attempt->number;
	}
	spin_unlock(&attempts->lock);
	atomic64_add(lost, &kn->lost_events);

	return found;
}

void ktls_attempts_net_init(struct ktls_net *kn)
{
	spin_lock_init(&kn->attempts.lock);
	kn->attempts.seed = get_random_u32();
}

/**
 * ktls_attempts_net_exit() - forget the attempts of a namespace
 * @kn: namespace, in which nobody asks for anything any more
 */
void ktls_attempts_net_exit(struct ktls_net *kn)
{
	struct ktls_attempts *attempts = &kn->attempts;
	unsigned int i, kind;

	for (kind = 0; kind < 2; kind++) {
		struct ktls_ring *ring = attempts->ring[kind];

		for (i = 0; ring && i < ring->n; i++)
			put_pid(ring->entry[i].pid);
		kvfree(ring);
	}
	kvfree(attempts->outcomes);
}
