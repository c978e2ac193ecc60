// SPDX-License-Identifier: GPL-2.0
/* Notifications: sent at once where the caller may sleep, else by a worker. */

#include <linux/srcu.h>
#include <linux/workqueue.h>

#include "events.h"
#include "netlink.h"
#include "netlink_gen.h"
#include "sockets.h"

/* Sockets of a namespace that may wait for its worker; beyond it events are
 * lost, and counted.
 */
#define KTLS_EVENTS_LIMIT	8192

/* Events of a kind that are sent before those of the other kind have a turn. */
#define KTLS_EVENTS_BATCH	32

/* Each namespace has a worker of its own: one may have to wait for a socket that
 * somebody keeps locked.
 */
static struct workqueue_struct *ktls_events_wq;
static bool ktls_events_stopped;

/* Held while something is sent: the family is there until the end. */
DEFINE_STATIC_SRCU(ktls_events_srcu);

static const u8 ktls_event_cmd[KTLS_EVENTS] = {
	[KTLS_EVENT_INSTALL_TX]	= KTLS_CMD_SOCKET_INSTALL_NTF,
	[KTLS_EVENT_INSTALL_RX]	= KTLS_CMD_SOCKET_INSTALL_NTF,
	[KTLS_EVENT_REKEY_TX]	= KTLS_CMD_SOCKET_REKEY_NTF,
	[KTLS_EVENT_REKEY_RX]	= KTLS_CMD_SOCKET_REKEY_NTF,
	[KTLS_EVENT_ERROR_TX]	= KTLS_CMD_SOCKET_ERROR_NTF,
	[KTLS_EVENT_ERROR_RX]	= KTLS_CMD_SOCKET_ERROR_NTF,
	[KTLS_EVENT_CLOSE]	= KTLS_CMD_SOCKET_CLOSE_NTF,
};

/**
 * ktls_events_mark() - note an event, to be sent by ktls_events_send()
 * @ks: socket
 * @event: what happened
 */
void ktls_events_mark(struct ktls_socket *ks, enum ktls_event event)
{
	set_bit(event, &ks->events);
}

/**
 * ktls_events_send() - send what was noted for a socket
 * @ks: socket
 *
 * Context: process, may sleep, without the socket lock.
 */
void ktls_events_send(struct ktls_socket *ks)
{
	unsigned int event;
	int srcu;

	if (!READ_ONCE(ks->events))
		return;

	srcu = srcu_read_lock(&ktls_events_srcu);
	for (event = 0; event < KTLS_EVENTS; event++) {
		int dir = event == KTLS_EVENT_CLOSE ? -1 : event & 1;

		if (test_and_clear_bit(event, &ks->events) &&
		    !READ_ONCE(ktls_events_stopped))
			ktls_netlink_notify(ks, ktls_event_cmd[event], dir);
	}
	srcu_read_unlock(&ktls_events_srcu, srcu);
}

/**
 * ktls_events_queue() - have an event sent by the worker
 * @ks: socket; the queue takes a reference of its own
 * @event: what happened
 *
 * Context: any.
 */
void ktls_events_queue(struct ktls_socket *ks, enum ktls_event event)
{
	struct ktls_net *kn = ks->kn;
	bool lost = false;
	unsigned long irq;

	if (READ_ONCE(ktls_events_stopped) ||
	    !ktls_netlink_has_listeners(kn, KTLS_NLGRP_SOCKETS))
		return;

	set_bit(event, &ks->events);

	spin_lock_irqsave(&kn->events_lock, irq);
	if (list_empty(&ks->event_node)) {
		if (kn->n_events < KTLS_EVENTS_LIMIT) {
			ktls_socket_hold(ks);
			list_add_tail(&ks->event_node, &kn->events);
			kn->n_events++;
		} else {
			lost = true;
		}
	}
	spin_unlock_irqrestore(&kn->events_lock, irq);

	if (lost) {
		clear_bit(event, &ks->events);
		atomic64_inc(&kn->lost_events);
	} else {
		queue_work(ktls_events_wq, &kn->events_work);
	}
}

/**
 * ktls_events_kick() - have the attempts sent that listeners were not told of
 * @kn: namespace
 */
void ktls_events_kick(struct ktls_net *kn)
{
	if (!READ_ONCE(ktls_events_stopped))
		queue_work(ktls_events_wq, &kn->events_work);
}

/* True if there may be more. */
static bool ktls_events_send_attempts(struct ktls_net *kn)
{
	struct ktls_attempt attempt;
	unsigned int n;
	int srcu;

	for (n = 0; n < KTLS_EVENTS_BATCH; n++) {
		if (READ_ONCE(ktls_events_stopped) ||
		    !ktls_attempts_unsent(kn, &attempt))
			return false;
		srcu = srcu_read_lock(&ktls_events_srcu);
		if (!READ_ONCE(ktls_events_stopped))
			ktls_netlink_notify_attempt(kn, &attempt);
		srcu_read_unlock(&ktls_events_srcu, srcu);
		ktls_attempt_put(&attempt);
	}

	return true;
}

/* True if there may be more. */
static bool ktls_events_send_sockets(struct ktls_net *kn)
{
	struct ktls_socket *ks;
	unsigned int n;

	for (n = 0; n < KTLS_EVENTS_BATCH; n++) {
		spin_lock_irq(&kn->events_lock);
		ks = list_first_entry_or_null(&kn->events, struct ktls_socket,
					      event_node);
		if (ks) {
			list_del_init(&ks->event_node);
			kn->n_events--;
		}
		spin_unlock_irq(&kn->events_lock);
		if (!ks)
			return false;

		ktls_events_send(ks);
		ktls_socket_put(ks);
	}

	return true;
}

/* Turn by turn: anybody can make attempts, and many. */
static void ktls_events_work(struct work_struct *work)
{
	struct ktls_net *kn = container_of(work, struct ktls_net, events_work);
	bool more;

	do {
		more = ktls_events_send_sockets(kn);
		more |= ktls_events_send_attempts(kn);
		cond_resched();
	} while (more);
}

void ktls_events_net_init(struct ktls_net *kn)
{
	INIT_LIST_HEAD(&kn->events);
	spin_lock_init(&kn->events_lock);
	INIT_WORK(&kn->events_work, ktls_events_work);
}

/**
 * ktls_events_net_exit() - wait until all that is queued was sent
 * @kn: namespace, whose open sockets were forgotten a grace period ago, so that
 *	nothing more is queued, and no socket is waited for
 *
 * Context: process, may sleep.
 */
void ktls_events_net_exit(struct ktls_net *kn)
{
	flush_work(&kn->events_work);
}

/**
 * ktls_events_stop() - send and queue nothing more
 *
 * Context: process, may sleep.
 */
void ktls_events_stop(void)
{
	WRITE_ONCE(ktls_events_stopped, true);
	/* Those who queue cannot be preempted; those who send may sleep. */
	synchronize_rcu();
	synchronize_srcu(&ktls_events_srcu);
	flush_workqueue(ktls_events_wq);
}

int __init ktls_events_init(void)
{
	ktls_events_wq = alloc_workqueue("ktls", WQ_UNBOUND, 0);

	return ktls_events_wq ? 0 : -ENOMEM;
}

void ktls_events_exit(void)
{
	destroy_workqueue(ktls_events_wq);
}
