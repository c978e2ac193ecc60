// SPDX-License-Identifier: GPL-2.0
/* The lock of a socket, for those who must not wait for its owner forever: it may
 * sleep in a page fault, in sendmsg(), for as long as user space likes (FUSE,
 * userfaultfd). Nor may they keep it from its owner: who only looks does so in
 * between, and never owns it.
 */

#include <linux/completion.h>
#include <linux/wait.h>
#include <net/sock.h>

#include "lock.h"

/**
 * struct ktls_lock_wait - a task that waits for a socket
 * @entry: among those who are told when the owner lets go of it
 * @sk: the socket
 * @taken: to wake the task
 * @owned: the socket is the task's; under the lock of the wait queue
 */
struct ktls_lock_wait {
	struct wait_queue_entry entry;
	struct sock *sk;
	struct completion taken;
	bool owned;
};

/* release_sock() comes here with the spinlock of the socket. To take it at once
 * for the task that waits is what an owner cannot outrun that comes back
 * immediately, as one that sends all the time does.
 */
static int ktls_lock_take(struct wait_queue_entry *entry, unsigned int mode,
			  int flags, void *key)
{
	struct ktls_lock_wait *wait;

	wait = container_of(entry, struct ktls_lock_wait, entry);
	if (wait->owned || sock_owned_by_user_nocheck(wait->sk))
		return 0;

	wait->sk->sk_lock.owned = 1;
	wait->owned = true;
	complete(&wait->taken);

	return 0;
}

/**
 * ktls_lock_sock() - lock_sock() with an end
 * @sk: socket
 * @timeout: jiffies to wait for its owner, or 0
 *
 * Context: process, may sleep; a fatal signal ends it, too.
 * Return: true if the socket is the caller's, to be given back with
 * release_sock().
 */
bool ktls_lock_sock(struct sock *sk, unsigned long timeout)
{
	struct ktls_lock_wait wait = { .sk = sk };
	bool owned;

	init_waitqueue_func_entry(&wait.entry, ktls_lock_take);
	init_completion(&wait.taken);

	spin_lock_bh(&sk->sk_lock.slock);
	owned = !sock_owned_by_user_nocheck(sk);
	if (owned)
		sk->sk_lock.owned = 1;
	else
		add_wait_queue(&sk->sk_lock.wq, &wait.entry);
	spin_unlock_bh(&sk->sk_lock.slock);

	if (!owned) {
		if (timeout)
			wait_for_completion_killable_timeout(&wait.taken,
							     timeout);
		/* Until then it may still be handed over. */
		remove_wait_queue(&sk->sk_lock.wq, &wait.entry);
		owned = wait.owned;
	}
	if (owned)
		mutex_acquire(&sk->sk_lock.dep_map, 0, 1, _RET_IP_);

	return owned;
}

/**
 * struct ktls_still - somebody who wants to look at a socket that nobody owns
 * @entry: among those who are told when the owner lets go of it
 * @sk: the socket
 * @look: does it
 * @arg: for it
 * @done: to wake the task
 * @looked: it is done; under the lock of the wait queue
 */
struct ktls_still {
	struct wait_queue_entry entry;
	struct sock *sk;
	void (*look)(struct sock *sk, void *arg);
	void *arg;
	struct completion done;
	bool looked;
};

/* release_sock() comes here with the spinlock of the socket. */
static int ktls_still_now(struct wait_queue_entry *entry, unsigned int mode,
			  int flags, void *key)
{
	struct ktls_still *still;

	still = container_of(entry, struct ktls_still, entry);
	if (still->looked || sock_owned_by_user_nocheck(still->sk))
		return 0;

	still->look(still->sk, still->arg);
	still->looked = true;
	complete(&still->done);

	return 0;
}

/**
 * ktls_look() - look at a socket while nobody owns it
 * @sk: socket
 * @timeout: jiffies to wait for its owner, or 0
 * @look: called once with the socket's spinlock, by whoever lets go of it, maybe
 *	with interrupts disabled
 * @arg: for @look
 *
 * Return: whether @look was called.
 */
bool ktls_look(struct sock *sk, unsigned long timeout,
	       void (*look)(struct sock *sk, void *arg), void *arg)
{
	struct ktls_still still = { .sk = sk, .look = look, .arg = arg };

	init_waitqueue_func_entry(&still.entry, ktls_still_now);
	init_completion(&still.done);

	spin_lock_bh(&sk->sk_lock.slock);
	still.looked = !sock_owned_by_user_nocheck(sk);
	if (still.looked) {
		look(sk, arg);
		spin_unlock_bh(&sk->sk_lock.slock);
		return true;
	}
	add_wait_queue(&sk->sk_lock.wq, &still.entry);
	spin_unlock_bh(&sk->sk_lock.slock);

	if (timeout)
		wait_for_completion_killable_timeout(&still.done, timeout);
	/* Until then it may still be looked at. */
	remove_wait_queue(&sk->sk_lock.wq, &still.entry);

	return still.looked;
}
