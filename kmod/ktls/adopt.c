// SPDX-License-Identifier: GPL-2.0
/* Sockets that were on kernel TLS before the module was loaded. */

#include <net/inet_hashtables.h>
#include <net/sock.h>
#include <net/tcp.h>
#include <net/tls.h>

#include "adopt.h"
#include "lock.h"
#include "sockets.h"

/* Sockets taken out of a hash bucket at a time. */
#define KTLS_ADOPT_BATCH	64

static struct sock *ktls_batch[KTLS_ADOPT_BATCH] __initdata;

/* How long all owners together may keep the load waiting. */
static unsigned long ktls_adopt_patience __initdata = 2 * HZ;

static bool __init ktls_adoptable(const struct sock *sk)
{
	const struct tcp_ulp_ops *ulp;
	struct ktls_socket *ks;
	void *ctx;

	if (!sk_fullsock(sk))
		return false;
	ulp = READ_ONCE(inet_csk(sk)->icsk_ulp_ops);
	if (!ulp || strcmp(ulp->name, "tls"))
		return false;
	ctx = rcu_access_pointer(inet_csk(sk)->icsk_ulp_data);
	if (!ctx)
		return false;

	/* Known from an earlier round, or installed meanwhile. */
	ks = ktls_socket_get_by_ctx(ctx);
	if (ks)
		ktls_socket_put(ks);

	return !ks;
}

static void __init ktls_adopt_socket(struct sock *sk)
{
	unsigned long began = jiffies, waited;

	if (ktls_lock_sock(sk, ktls_adopt_patience)) {
		ktls_socket_adopt(sk);
		release_sock(sk);
	} else {
		/* If its other key is to come, it is taken in then. */
		atomic64_inc(&ktls_net(sock_net(sk))->lost_sockets);
	}
	waited = jiffies - began;
	ktls_adopt_patience -= min(waited, ktls_adopt_patience);
}

static void __init ktls_adopt_bucket(struct inet_hashinfo *hash,
				     unsigned int bucket)
{
	spinlock_t *lock = inet_ehash_lockp(hash, bucket);
	struct hlist_nulls_node *node;
	unsigned int i, n, skip = 0;
	struct sock *sk;

	do {
		unsigned int seen = 0;

		n = 0;
		spin_lock_bh(lock);
		sk_nulls_for_each(sk, node, &hash->ehash[bucket].chain) {
			if (seen++ < skip)
				continue;
			if (n == KTLS_ADOPT_BATCH)
				break;
			skip = seen;
			if (ktls_adoptable(sk) &&
			    refcount_inc_not_zero(&sk->sk_refcnt))
				ktls_batch[n++] = sk;
		}
		spin_unlock_bh(lock);

		for (i = 0; i < n; i++) {
			ktls_adopt_socket(ktls_batch[i]);
			sock_put(ktls_batch[i]);
		}
	} while (n == KTLS_ADOPT_BATCH);
}

static void __init ktls_adopt_hash(struct inet_hashinfo *hash)
{
	unsigned int bucket;

	for (bucket = 0; bucket <= hash->ehash_mask; bucket++) {
		if (!hlist_nulls_empty(&hash->ehash[bucket].chain))
			ktls_adopt_bucket(hash, bucket);
		cond_resched();
	}
}

/**
 * ktls_adopt_all() - take in the sockets that have a key already
 *
 * The hooks are armed: what gets its key now is seen there, and what closes now
 * leaves the table again.
 *
 * Context: process, may sleep.
 */
void __init ktls_adopt_all(void)
{
	struct inet_hashinfo *common = init_net.ipv4.tcp_death_row.hashinfo;
	struct net *net;

	ktls_adopt_hash(common);

	/* A namespace may have a hash of its own
	 * (net.ipv4.tcp_child_ehash_entries).
	 */
	down_read(&net_rwsem);
	for_each_net(net)
		if (net->ipv4.tcp_death_row.hashinfo != common)
			ktls_adopt_hash(net->ipv4.tcp_death_row.hashinfo);
	up_read(&net_rwsem);
}
