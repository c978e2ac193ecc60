// SPDX-License-Identifier: GPL-2.0
/* The table of kTLS sockets: from the first key to the close, and after it. */

#include <linux/cgroup.h>
#include <linux/delay.h>
#include <linux/fs.h>
#include <linux/net.h>
#include <linux/pid.h>
#include <linux/rhashtable.h>
#include <linux/slab.h>
#include <net/tcp.h>
#include <net/tls.h>
#include <net/tls_offload.h>

#include "counters.h"
#include "events.h"
#include "lock.h"
#include "sockets.h"

/* A task that has room to send needs only a processor: wait that long for it. */
#define KTLS_READ_RETRIES	20

/* How long a reader waits for the owner of a socket, jiffies; for one who kept
 * a reader waiting before; and for all of whom it asks, one after the other.
 */
#define KTLS_READ_PATIENCE	HZ
#define KTLS_READ_IMPATIENCE	(HZ / 20)
#define KTLS_READ_PATIENCE_ALL	(2 * HZ)

/* Open sockets of all namespaces by their TLS context, which every place in
 * tls.ko knows, also the last one of all, where the socket may be gone.
 */
static struct rhashtable ktls_table;
static struct kmem_cache *ktls_cache;

static const struct rhashtable_params ktls_table_params = {
	.head_offset = offsetof(struct ktls_socket, node),
	.key_offset = offsetof(struct ktls_socket, ctx),
	.key_len = sizeof_field(struct ktls_socket, ctx),
	.automatic_shrinking = true,
};

static void ktls_socket_free_rcu(struct rcu_head *rcu)
{
	struct ktls_socket *ks = container_of(rcu, struct ktls_socket, rcu);

	put_pid(ks->pid);
	kmem_cache_free(ktls_cache, ks);
}

void ktls_socket_hold(struct ktls_socket *ks)
{
	refcount_inc(&ks->ref);
}

void ktls_socket_put(struct ktls_socket *ks)
{
	if (refcount_dec_and_test(&ks->ref))
		call_rcu(&ks->rcu, ktls_socket_free_rcu);
}

/* Caller is in an RCU read section, or holds the socket lock. */
static struct ktls_socket *ktls_socket_lookup(struct tls_context *ctx)
{
	return rhashtable_lookup(&ktls_table, &ctx, ktls_table_params);
}

/**
 * ktls_socket_get_by_ctx() - open socket of a TLS context
 * @ctx: TLS context
 *
 * Return: the socket with a reference, or NULL.
 */
struct ktls_socket *ktls_socket_get_by_ctx(struct tls_context *ctx)
{
	struct ktls_socket *ks;

	rcu_read_lock();
	ks = ktls_socket_lookup(ctx);
	if (ks && !refcount_inc_not_zero(&ks->ref))
		ks = NULL;
	rcu_read_unlock();

	return ks;
}

/**
 * ktls_socket_next_open() - walk the open sockets in the order of cookies
 * @kn: namespace
 * @cookie: least cookie wanted; set to where to go on
 *
 * Return: the socket with a reference, or NULL at the end.
 */
struct ktls_socket *ktls_socket_next_open(struct ktls_net *kn, u64 *cookie)
{
	unsigned long index = *cookie;
	struct ktls_socket *ks;

	rcu_read_lock();
	for (ks = xa_find(&kn->open, &index, ULONG_MAX, XA_PRESENT);
	     ks && !refcount_inc_not_zero(&ks->ref);
	     ks = xa_find_after(&kn->open, &index, ULONG_MAX, XA_PRESENT))
		;
	rcu_read_unlock();
	if (ks)
		*cookie = index + 1;

	return ks;
}

/* Number of the oldest closed socket that is kept; caller holds kn->lock. */
static u64 ktls_socket_first_closed(const struct ktls_net *kn)
{
	if (kn->last_closed <= KTLS_CLOSED_LIMIT)
		return 1;
	return kn->last_closed - KTLS_CLOSED_LIMIT + 1;
}

unsigned int ktls_socket_closed_kept(const struct ktls_net *kn)
{
	return min_t(u64, READ_ONCE(kn->last_closed), KTLS_CLOSED_LIMIT);
}

/**
 * ktls_socket_next_closed() - walk the history in the order of closing
 * @kn: namespace
 * @number: least number wanted; set to where to go on
 *
 * Return: the socket with a reference, or NULL at the end.
 */
struct ktls_socket *ktls_socket_next_closed(struct ktls_net *kn, u64 *number)
{
	struct ktls_socket *ks = NULL;
	u64 n;

	spin_lock_bh(&kn->lock);
	n = max(*number, ktls_socket_first_closed(kn));
	if (n <= kn->last_closed) {
		ks = kn->closed[n % KTLS_CLOSED_LIMIT];
		ktls_socket_hold(ks);
		*number = n + 1;
	}
	spin_unlock_bh(&kn->lock);

	return ks;
}

/**
 * ktls_socket_find() - socket by its cookie, open or closed
 * @kn: namespace
 * @cookie: cookie
 *
 * Return: the socket with a reference, or NULL.
 */
struct ktls_socket *ktls_socket_find(struct ktls_net *kn, u64 cookie)
{
	struct ktls_socket *ks;
	u64 n;

	rcu_read_lock();
	ks = xa_load(&kn->open, cookie);
	if (ks && !refcount_inc_not_zero(&ks->ref))
		ks = NULL;
	rcu_read_unlock();
	if (ks)
		return ks;

	spin_lock_bh(&kn->lock);
	for (n = kn->last_closed; n && n >= ktls_socket_first_closed(kn); n--) {
		ks = kn->closed[n % KTLS_CLOSED_LIMIT];
		if (ks->cookie == cookie) {
			ktls_socket_hold(ks);
			break;
		}
		ks = NULL;
	}
	spin_unlock_bh(&kn->lock);

	return ks;
}

/**
 * ktls_socket_sock() - the socket itself
 * @ks: socket
 *
 * Return: the socket with a reference, to be given back with sock_put(); NULL if
 * its close has begun, or is past.
 */
struct sock *ktls_socket_sock(struct ktls_socket *ks)
{
	struct sock *sk;

	spin_lock_bh(&ks->lock);
	sk = ks->sk;
	if (sk)
		sock_hold(sk);
	spin_unlock_bh(&ks->lock);

	return sk;
}

static u64 ktls_socket_wire(const struct ktls_socket *ks, const struct sock *sk,
			    const struct tls_context *ctx,
			    enum ktls_direction dir)
{
	return dir == KTLS_DIRECTION_TX ?
	       ktls_wire_tx(sk, ctx, READ_ONCE(ks->fin_sent)) :
	       ktls_wire_rx(sk, ctx);
}

/* Records of the latest control message that were sent, to be known from those
 * that were numbered since. An attempt that found no room is made again.
 */
static u64 ktls_socket_control_sent(const struct ktls_stream *st, u64 number)
{
	/* Less than zero: what MSG_MORE held open has not gone yet, either. */
	s64 since = number - st->control_number;

	return clamp_t(s64, since, 0, st->control_left);
}

/* Counters of an open socket, whose lock the caller holds. */
static void ktls_socket_read_open(const struct ktls_socket *ks,
				  const struct sock *sk,
				  struct ktls_reading *r)
{
	struct tls_context *ctx = tls_get_ctx(sk);
	const struct net_device *dev;
	enum ktls_direction dir;

	if (ctx->zerocopy_sendfile)
		r->flags |= KTLS_SOCKET_FLAGS_ZERO_COPY;
	if (ctx->rx_no_pad)
		r->flags |= KTLS_SOCKET_FLAGS_NO_PAD;

	rcu_read_lock();
	dev = rcu_dereference(ctx->netdev);
	r->ifindex = dev ? dev->ifindex : 0;
	rcu_read_unlock();

	for (dir = 0; dir < KTLS_DIRECTIONS; dir++) {
		const struct ktls_stream *st = &ks->stream[dir];
		u64 number;

		if (st->mode == KTLS_MODE_NONE)
			continue;

		/* On 6.1 the close frees it before it lets go of the rest. */
		number = ks->closing ? st->number :
			 ktls_record_number(ctx, dir == KTLS_DIRECTION_TX);
		r->stream[dir].records = st->records + number - st->record_base;
		r->stream[dir].key_records = number - st->record_first;
		r->stream[dir].wire = ktls_socket_wire(ks, sk, ctx, dir) -
				      st->wire_base;
		r->stream[dir].control = st->control +
					 ktls_socket_control_sent(st, number);
	}
}

/* Counters as the close left them; caller holds ks->lock. */
static void ktls_socket_read_closed(const struct ktls_socket *ks,
				    struct ktls_reading *r)
{
	enum ktls_direction dir;

	/* While it lingers it is still among the open ones. */
	if (ks->close_time)
		r->flags |= KTLS_SOCKET_FLAGS_CLOSED;
	r->ifindex = ks->ifindex;
	for (dir = 0; dir < KTLS_DIRECTIONS; dir++) {
		const struct ktls_stream *st = &ks->stream[dir];

		r->stream[dir].records = st->records;
		r->stream[dir].key_records = st->key_records;
		r->stream[dir].wire = st->wire;
		r->stream[dir].control = st->control;
	}
}

/* Let go of the socket, with the counters as they are. Caller holds ks->lock, and
 * the socket lock, or the socket's spinlock while nobody owns it.
 */
static void ktls_socket_stop(struct ktls_socket *ks)
{
	struct ktls_reading r = {};
	enum ktls_direction dir;

	ktls_socket_read_open(ks, ks->sk, &r);
	for (dir = 0; dir < KTLS_DIRECTIONS; dir++) {
		struct ktls_stream *st = &ks->stream[dir];

		st->records = r.stream[dir].records;
		st->key_records = r.stream[dir].key_records;
		st->control = r.stream[dir].control;
		st->wire = r.stream[dir].wire;
	}
	ks->flags |= r.flags;
	ks->ifindex = r.ifindex;
	/* Soon the context is no longer found through the socket. */
	if (ktls_fin_sent(ks->sk, ks->fin_sent))
		WRITE_ONCE(ks->fin_sent, true);
	ks->sk = NULL;
}

/**
 * struct ktls_read - a reader on the way to the counters
 * @ks: whose they are
 * @r: where they go
 * @err: -EBUSY until they are there; -EAGAIN if it is worth while to try again in
 *	a moment
 */
struct ktls_read {
	struct ktls_socket *ks;
	struct ktls_reading *r;
	int err;
};

/* For ktls_look(): interrupts may be off. */
static void ktls_socket_look(struct sock *sk, void *arg)
{
	struct ktls_read *read = arg;
	struct ktls_socket *ks = read->ks;
	struct ktls_reading *r = read->r;

	read->err = 0;
	/* A close that began meanwhile left its mark before it took the lock;
	 * one that has not begun waits for the lock.
	 */
	spin_lock(&ks->lock);
	memset(r, 0, sizeof(*r));
	r->flags = ks->flags;
	if (ks->sk) {
		ktls_socket_read_open(ks, sk, r);
		if (!ktls_wire_tx_known(sk, tls_get_ctx(sk)))
			read->err = -EAGAIN;
	} else {
		ktls_socket_read_closed(ks, r);
	}
	spin_unlock(&ks->lock);
}

/* How long to wait for this one, of a reader who has waited so long for others. */
static unsigned long ktls_socket_patience(const struct ktls_socket *ks,
					  unsigned long waited)
{
	unsigned long patience = READ_ONCE(ks->busy) ? KTLS_READ_IMPATIENCE :
						       KTLS_READ_PATIENCE;

	if (waited >= KTLS_READ_PATIENCE_ALL)
		return 0;

	return min(patience, KTLS_READ_PATIENCE_ALL - waited);
}

static int ktls_socket_try_read(struct ktls_socket *ks, struct sock *sk,
				struct ktls_reading *r, unsigned long patience)
{
	struct ktls_read read = { .ks = ks, .r = r, .err = -EBUSY };

	ktls_look(sk, patience, ktls_socket_look, &read);

	return read.err;
}

/* Counters of a socket to which the caller has a reference. */
static int ktls_socket_read_sock(struct ktls_socket *ks, struct sock *sk,
				 struct ktls_reading *r, unsigned long *waited)
{
	unsigned long patience = ktls_socket_patience(ks, *waited);
	unsigned int tries = patience ? KTLS_READ_RETRIES : 0;
	unsigned long began = jiffies;
	int err;

	while ((err = ktls_socket_try_read(ks, sk, r, patience)) == -EAGAIN &&
	       tries--)
		usleep_range(100, 1000);
	/* For whom nobody waited may have been about to let go. */
	if (patience)
		WRITE_ONCE(ks->busy, err == -EBUSY);
	*waited += jiffies - began;

	return err;
}

/**
 * ktls_socket_read() - the counters of a socket at this moment
 * @ks: socket, open or closed
 * @r: result
 * @waited: how long the caller has waited for owners of sockets so far, jiffies:
 *	who reads many does not wait for each in full
 *
 * If its owner keeps the socket locked, or stays where it cannot be known how
 * much it gave to TCP, there are no counters, and a flag says so.
 *
 * Context: process, may sleep for KTLS_READ_PATIENCE.
 */
void ktls_socket_read(struct ktls_socket *ks, struct ktls_reading *r,
		      unsigned long *waited)
{
	enum ktls_direction dir;
	struct sock *sk;

	memset(r, 0, sizeof(*r));

	spin_lock_bh(&ks->lock);
	r->flags = ks->flags;
	sk = ks->sk;
	if (sk)
		sock_hold(sk);
	else
		ktls_socket_read_closed(ks, r);
	spin_unlock_bh(&ks->lock);

	if (sk) {
		if (ktls_socket_read_sock(ks, sk, r, waited)) {
			memset(r, 0, sizeof(*r));
			r->flags = ks->flags | KTLS_SOCKET_FLAGS_BUSY;
		}
		sock_put(sk);
	}

	for (dir = 0; dir < KTLS_DIRECTIONS; dir++) {
		const struct ktls_stream *st = &ks->stream[dir];
		u64 overhead;

		r->stream[dir].mode = st->mode;
		r->stream[dir].rekeys = st->rekeys;
		r->stream[dir].last_error = READ_ONCE(st->last_error);

		/* Less only when the close cut the last record. */
		overhead = r->stream[dir].records * ks->overhead;
		if (r->stream[dir].wire > overhead)
			r->stream[dir].payload = r->stream[dir].wire - overhead;
	}

	if (ks->version == KTLS_VERSION_TLS_1_3 &&
	    ks->stream[KTLS_DIRECTION_RX].mode != KTLS_MODE_NONE)
		r->flags |= KTLS_SOCKET_FLAGS_PADDING_UNKNOWN;
}

static u64 ktls_socket_cgroup_id(struct sock *sk)
{
#ifdef CONFIG_SOCK_CGROUP_DATA
	return cgroup_id(sock_cgroup_ptr(&sk->sk_cgrp_data));
#else
	return 0;
#endif
}

static int ktls_socket_history(struct ktls_net *kn)
{
	struct ktls_socket **closed;

	if (READ_ONCE(kn->closed))
		return 0;

	closed = kvcalloc(KTLS_CLOSED_LIMIT, sizeof(*closed),
			  GFP_KERNEL_ACCOUNT);
	if (!closed)
		return -ENOMEM;

	spin_lock_bh(&kn->lock);
	if (!kn->closed)
		swap(kn->closed, closed);
	spin_unlock_bh(&kn->lock);
	kvfree(closed);

	return 0;
}

/* Caller holds the socket lock, and gets a reference. */
static struct ktls_socket *ktls_socket_create(struct sock *sk,
					      struct tls_context *ctx,
					      u32 flags)
{
	struct ktls_net *kn = ktls_net(sock_net(sk));
	struct ktls_socket *ks;
	int err;

	if (ktls_socket_history(kn))
		goto lost;

	ks = kmem_cache_zalloc(ktls_cache, GFP_KERNEL_ACCOUNT);
	if (!ks)
		goto lost;

	ks->ctx = ctx;
	ks->kn = kn;
	ks->sk = sk;
	spin_lock_init(&ks->lock);
	refcount_set(&ks->ref, 2);
	INIT_LIST_HEAD(&ks->event_node);
	ks->cookie = ktls_cookie_of(sk);
	ks->install_time = ktime_get_real_ns();
	ks->cgroup_id = ktls_socket_cgroup_id(sk);
	ks->ino = sock_i_ino(sk);
	ks->uid = sock_net_uid(sock_net(sk), sk);
	ks->flags = flags;
	if (!(flags & KTLS_SOCKET_FLAGS_ADOPTED)) {
		ks->pid = get_pid(task_tgid(current));
		get_task_comm(ks->comm, current->group_leader);
	}
	ktls_ends_of(&ks->ends, sk);

	/* First where the close will look for it. */
	err = rhashtable_insert_fast(&ktls_table, &ks->node, ktls_table_params);
	if (err)
		goto free;
	err = xa_err(xa_store_bh(&kn->open, ks->cookie, ks,
				 GFP_KERNEL_ACCOUNT));
	if (err)
		goto remove;
	atomic_inc(&kn->n_open);

	return ks;

remove:
	rhashtable_remove_fast(&ktls_table, &ks->node, ktls_table_params);
	/* Somebody may have found it. */
	ktls_socket_put(ks);
	ktls_socket_put(ks);
	goto lost;
free:
	put_pid(ks->pid);
	kmem_cache_free(ktls_cache, ks);
lost:
	atomic64_inc(&kn->lost_sockets);
	return NULL;
}

static void ktls_socket_set_protocol(struct ktls_socket *ks,
				     const struct tls_context *ctx)
{
	ks->version = ctx->prot_info.version;
	ks->cipher = ctx->prot_info.cipher_type;
	ks->overhead = ctx->prot_info.overhead_size;
}

static void ktls_socket_settle_control(struct ktls_stream *st, u64 number)
{
	st->control += ktls_socket_control_sent(st, number);
	st->control_left = 0;
}

/**
 * ktls_socket_install_begin() - a key is about to be installed
 * @sk: socket, locked
 * @dir: direction
 * @in: what to remember until ktls_socket_install_end()
 */
void ktls_socket_install_begin(struct sock *sk, enum ktls_direction dir,
			       struct ktls_install *in)
{
	struct tls_context *ctx = tls_get_ctx(sk);
	bool tx = dir == KTLS_DIRECTION_TX;
	struct ktls_socket *ks;
	bool fin_sent;

	/* Known from its other direction, or else what was before does not
	 * matter: base and counter must only agree.
	 */
	rcu_read_lock();
	ks = ktls_socket_lookup(ctx);
	fin_sent = ks && READ_ONCE(ks->fin_sent);
	rcu_read_unlock();

	in->rekey = (tx ? ctx->tx_conf : ctx->rx_conf) != TLS_BASE;
	in->wire = tx ? ktls_wire_tx(sk, ctx, fin_sent) :
			ktls_wire_rx(sk, ctx);
	in->record = in->rekey ? ktls_record_number(ctx, tx) : 0;
}

/**
 * ktls_key_mode() - who has the key of a direction
 * @ctx: TLS context
 * @dir: direction
 */
enum ktls_mode ktls_key_mode(const struct tls_context *ctx,
			     enum ktls_direction dir)
{
	switch (dir == KTLS_DIRECTION_TX ? ctx->tx_conf : ctx->rx_conf) {
	case TLS_SW:
		return KTLS_MODE_SW;
	case TLS_HW:
		return KTLS_MODE_HW;
	default:
		return KTLS_MODE_NONE;
	}
}

/* Into the table, with the keys that came unseen, if there are any. Caller holds
 * the socket lock, and gets a reference.
 */
static struct ktls_socket *ktls_socket_take_in(struct sock *sk,
					       struct tls_context *ctx)
{
	bool adopted = ctx->tx_conf != TLS_BASE || ctx->rx_conf != TLS_BASE;
	enum ktls_direction dir;
	struct ktls_socket *ks;

	ks = ktls_socket_create(sk, ctx,
				adopted ? KTLS_SOCKET_FLAGS_ADOPTED : 0);
	if (!ks || !adopted)
		return ks;

	spin_lock_bh(&ks->lock);
	ktls_socket_set_protocol(ks, ctx);
	for (dir = 0; dir < KTLS_DIRECTIONS; dir++) {
		bool tx = dir == KTLS_DIRECTION_TX;
		struct ktls_stream *st = &ks->stream[dir];

		st->mode = ktls_key_mode(ctx, dir);
		if (st->mode == KTLS_MODE_NONE)
			continue;
		st->wire_base = ktls_socket_wire(ks, sk, ctx, dir);
		st->record_base = ktls_record_number(ctx, tx);
		st->record_first = ktls_first_record_number(ctx, tx);
	}
	spin_unlock_bh(&ks->lock);

	return ks;
}

/**
 * ktls_socket_install_end() - a key was installed
 * @sk: socket, locked
 * @dir: direction
 * @mode: who has the key
 * @in: from ktls_socket_install_begin()
 */
void ktls_socket_install_end(struct sock *sk, enum ktls_direction dir,
			     enum ktls_mode mode,
			     const struct ktls_install *in)
{
	struct tls_context *ctx = tls_get_ctx(sk);
	struct ktls_socket *ks = ktls_socket_get_by_ctx(ctx);
	bool tx = dir == KTLS_DIRECTION_TX;
	struct ktls_stream *st;
	u64 number;

	if (!ks) {
		/* Not seen when it began: what it sent so far is not known. */
		if (in->rekey)
			return;
		ks = ktls_socket_take_in(sk, ctx);
		if (!ks)
			return;
	}

	st = &ks->stream[dir];
	number = ktls_record_number(ctx, tx);

	/* The event worker may be reading. */
	spin_lock_bh(&ks->lock);
	if (in->rekey) {
		ktls_socket_settle_control(st, in->record);
		st->records += in->record - st->record_base;
		st->rekeys++;
		st->last_error = 0;
	} else {
		st->wire_base = in->wire;
		st->mode = mode;
		ktls_socket_set_protocol(ks, ctx);
	}
	st->record_base = number;
	st->record_first = number;
	spin_unlock_bh(&ks->lock);

	if (in->rekey)
		ktls_events_mark(ks, KTLS_EVENT_REKEY_TX + dir);
	else
		ktls_events_mark(ks, KTLS_EVENT_INSTALL_TX + dir);
	ktls_socket_put(ks);
}

/**
 * ktls_socket_install_undo() - a key that seemed installed was taken back
 * @sk: socket, locked
 * @dir: direction
 */
void ktls_socket_install_undo(struct sock *sk, enum ktls_direction dir)
{
	struct ktls_socket *ks = ktls_socket_get_by_ctx(tls_get_ctx(sk));

	if (!ks)
		return;

	spin_lock_bh(&ks->lock);
	ks->stream[dir].mode = KTLS_MODE_NONE;
	spin_unlock_bh(&ks->lock);
	clear_bit(KTLS_EVENT_INSTALL_TX + dir, &ks->events);
	ktls_socket_put(ks);
}

/* Is its close still to come? It begins after the last reference to the file
 * is gone; then it may have passed the hook already, and wait for the socket
 * lock. What has no file is closed by a kernel that asks nobody.
 */
static bool ktls_socket_in_use(const struct sock *sk)
{
	const struct socket *sock = sk->sk_socket;

	return sock && sock->file && file_count(sock->file);
}

/**
 * ktls_socket_adopt() - take in a socket that got its key unseen
 * @sk: socket, locked
 *
 * One whose close the module may not see is left alone, or let go of at once:
 * there would be nobody to take its pointer back.
 */
void ktls_socket_adopt(struct sock *sk)
{
	struct tls_context *ctx = tls_get_ctx(sk);
	struct ktls_socket *ks;

	if (!ctx || !ktls_socket_in_use(sk) ||
	    (ctx->tx_conf == TLS_BASE && ctx->rx_conf == TLS_BASE))
		return;

	ks = ktls_socket_get_by_ctx(ctx);
	if (ks) {
		ktls_socket_put(ks);
		return;
	}

	ks = ktls_socket_take_in(sk, ctx);
	if (!ks)
		return;

	/* A close that began before the socket was in the table did not find it
	 * there. One that begins now does: it drops the last reference to the
	 * file before it looks.
	 */
	smp_mb();
	if (!ktls_socket_in_use(sk)) {
		/* Without a user, only the flush is still to come. */
		spin_lock_bh(&ks->lock);
		if (ks->sk)
			ktls_socket_stop(ks);
		spin_unlock_bh(&ks->lock);
	}
	ktls_socket_put(ks);
}

/**
 * ktls_socket_control() - a control message is about to be sent
 * @sk: socket, locked
 * @len: its length, 0 if it will be refused: the one before was then, too, or
 *	was sent by now
 */
void ktls_socket_control(struct sock *sk, size_t len)
{
	struct tls_context *ctx = tls_get_ctx(sk);
	struct ktls_socket *ks;
	struct ktls_stream *st;
	u64 number;

	rcu_read_lock();
	ks = ktls_socket_lookup(ctx);
	if (!ks)
		goto out;

	st = &ks->stream[KTLS_DIRECTION_TX];
	if (st->mode == KTLS_MODE_NONE)
		goto out;

	spin_lock_bh(&ks->lock);
	number = ktls_record_number(ctx, true);
	ktls_socket_settle_control(st, number);
	/* A record that MSG_MORE holds open goes first. */
	st->control_number = number + ctx->pending_open_record_frags;
	st->control_left = DIV_ROUND_UP(len, tls_tx_max_payload(ctx));
	spin_unlock_bh(&ks->lock);
out:
	rcu_read_unlock();
}

/**
 * ktls_socket_error() - TLS gives up on a socket
 * @sk: socket
 * @err: negative errno
 *
 * The kernel does not say which direction it was. A record that is not what it
 * should be can only have been received; of the rest, all happens on sending.
 *
 * Context: any.
 */
void ktls_socket_error(struct sock *sk, int err)
{
	enum ktls_direction dir = KTLS_DIRECTION_TX;
	struct ktls_socket *ks;

	rcu_read_lock();
	ks = ktls_socket_lookup(tls_get_ctx(sk));
	if (ks) {
		if (err == -EBADMSG || err == -EMSGSIZE || err == -EINVAL ||
		    ks->stream[KTLS_DIRECTION_TX].mode == KTLS_MODE_NONE)
			dir = KTLS_DIRECTION_RX;
		/* It is said again to everybody who asks the socket again. */
		if (xchg(&ks->stream[dir].last_error, -err) != -err)
			ktls_events_queue(ks, KTLS_EVENT_ERROR_TX + dir);
	}
	rcu_read_unlock();
}

/**
 * ktls_socket_rekey_failed() - a further key was refused
 * @ks: socket
 * @dir: direction
 * @err: negative errno
 *
 * Context: process, may sleep, without the socket lock.
 */
void ktls_socket_rekey_failed(struct ktls_socket *ks, enum ktls_direction dir,
			      int err)
{
	WRITE_ONCE(ks->stream[dir].last_error, -err);
	ktls_events_mark(ks, KTLS_EVENT_REKEY_TX + dir);
}

/**
 * ktls_socket_fin_sent() - a socket that had sent its FIN reaches TCP_CLOSE
 * @sk: socket
 *
 * Context: any.
 */
void ktls_socket_fin_sent(const struct sock *sk)
{
	struct tls_context *ctx;
	struct ktls_socket *ks;

	rcu_read_lock();
	ctx = rcu_dereference(inet_csk(sk)->icsk_ulp_data);
	ks = ctx ? ktls_socket_lookup(ctx) : NULL;
	if (ks)
		WRITE_ONCE(ks->fin_sent, true);
	rcu_read_unlock();
}

/**
 * ktls_socket_close() - a socket is about to be closed
 * @sk: socket; its last user is here
 *
 * Everything but what is still to be flushed is final, and will be gone or
 * changed when the context is freed.
 */
void ktls_socket_close(struct sock *sk)
{
	struct tls_context *ctx = tls_get_ctx(sk);
	enum ktls_direction dir;
	struct ktls_socket *ks;

	rcu_read_lock();
	ks = ktls_socket_lookup(ctx);
	if (!ks)
		goto out;

	/* The softirq may be taking in an ACK or data. */
	local_bh_disable();
	bh_lock_sock(sk);
	spin_lock(&ks->lock);
	if (ks->sk) {
		/* Without a user, no record is numbered any more. */
		for (dir = 0; dir < KTLS_DIRECTIONS; dir++) {
			struct ktls_stream *st = &ks->stream[dir];
			bool tx = dir == KTLS_DIRECTION_TX;

			if (st->mode != KTLS_MODE_NONE)
				st->number = ktls_record_number(ctx, tx);
		}
		ks->closing = true;

		/* It may have an owner, though: the worker of tls.ko that
		 * sends, and frees what it sent; ktls_socket_release_tx() comes
		 * after that.
		 */
		if (ctx->tx_conf != TLS_SW || !sock_owned_by_user(sk))
			ktls_socket_stop(ks);
	}
	spin_unlock(&ks->lock);
	bh_unlock_sock(sk);
	local_bh_enable();
out:
	rcu_read_unlock();
}

/**
 * ktls_socket_release_tx() - a closing socket is about to flush what is unsent
 * @sk: socket, locked; the worker that sends is gone
 */
void ktls_socket_release_tx(struct sock *sk)
{
	struct ktls_socket *ks;

	rcu_read_lock();
	ks = ktls_socket_lookup(tls_get_ctx(sk));
	if (ks) {
		spin_lock_bh(&ks->lock);
		if (ks->sk && ks->closing)
			ktls_socket_stop(ks);
		spin_unlock_bh(&ks->lock);
	}
	rcu_read_unlock();
}

/**
 * ktls_socket_flushed() - a closing socket handed all that it will to TCP
 * @ctx: its TLS context; the socket is alive, and nobody owns its lock
 */
void ktls_socket_flushed(struct tls_context *ctx)
{
	struct sock *sk = ctx->sk;
	struct ktls_socket *ks;
	struct ktls_stream *st;
	u64 wire;

	rcu_read_lock();
	ks = ktls_socket_lookup(ctx);
	if (!ks)
		goto out;

	st = &ks->stream[KTLS_DIRECTION_TX];
	local_bh_disable();
	bh_lock_sock(sk);
	spin_lock(&ks->lock);
	if (!ks->sk) {
		wire = ktls_wire_tx(sk, ctx, READ_ONCE(ks->fin_sent)) -
		       st->wire_base;
		if (wire < st->wire)
			ks->flags |= KTLS_SOCKET_FLAGS_TRUNCATED;
		st->wire = wire;
	}
	spin_unlock(&ks->lock);
	bh_unlock_sock(sk);
	local_bh_enable();
out:
	rcu_read_unlock();
}

/* Take a socket out of the open ones, once. The reference of the table goes to
 * the history if there is something to remember, or away.
 */
static void ktls_socket_unlink(struct ktls_socket *ks,
			       const struct ktls_reading *last)
{
	struct ktls_net *kn = ks->kn;
	struct ktls_socket *forgotten = ks;

	spin_lock_bh(&kn->lock);
	if (ks->unlinked) {
		spin_unlock_bh(&kn->lock);
		return;
	}
	ks->unlinked = true;
	/* Before the context can be freed, and another have its address. */
	rhashtable_remove_fast(&ktls_table, &ks->node, ktls_table_params);
	if (last) {
		struct ktls_socket **slot;

		ktls_totals_closed(kn, ks, last);
		slot = &kn->closed[++kn->last_closed % KTLS_CLOSED_LIMIT];
		forgotten = *slot;
		*slot = ks;
	}
	spin_unlock_bh(&kn->lock);

	xa_erase_bh(&kn->open, ks->cookie);
	atomic_dec(&kn->n_open);
	if (forgotten)
		ktls_socket_put(forgotten);
}

/**
 * ktls_socket_freed() - the TLS context of a socket is about to be freed
 * @ctx: TLS context
 *
 * Every path ends here, not each passes ktls_socket_close() in the module's
 * sight. The socket may be gone.
 */
void ktls_socket_freed(struct tls_context *ctx)
{
	unsigned long waited = 0;
	struct ktls_reading r;
	struct ktls_socket *ks;

	rcu_read_lock();
	ks = ktls_socket_lookup(ctx);
	if (!ks)
		goto out;

	spin_lock_bh(&ks->lock);
	if (ks->sk) {
		/* Its close was not seen. */
		ks->flags |= KTLS_SOCKET_FLAGS_INCOMPLETE;
		ks->sk = NULL;
	}
	ks->close_time = ktime_get_real_ns();
	spin_unlock_bh(&ks->lock);

	/* Does not sleep: there is no socket to wait for. */
	ktls_socket_read(ks, &r, &waited);
	if (r.stream[KTLS_DIRECTION_TX].mode == KTLS_MODE_NONE &&
	    r.stream[KTLS_DIRECTION_RX].mode == KTLS_MODE_NONE) {
		/* The install failed after all. */
		ktls_socket_unlink(ks, NULL);
	} else {
		ktls_events_queue(ks, KTLS_EVENT_CLOSE);
		ktls_socket_unlink(ks, &r);
	}
out:
	rcu_read_unlock();
}

void ktls_sockets_net_init(struct ktls_net *kn)
{
	xa_init_flags(&kn->open, XA_FLAGS_LOCK_BH);
	atomic_set(&kn->n_open, 0);
	spin_lock_init(&kn->lock);
	INIT_LIST_HEAD(&kn->walks);
}

/**
 * ktls_sockets_net_pre_exit() - forget the open sockets of a namespace
 * @kn: namespace
 *
 * A TLS context may outlive its socket, and with it the namespace. After a
 * grace period nobody uses the namespace who found it through a socket.
 */
void ktls_sockets_net_pre_exit(struct ktls_net *kn)
{
	struct ktls_socket *ks;
	u64 cookie = 0;

	while ((ks = ktls_socket_next_open(kn, &cookie))) {
		spin_lock_bh(&ks->lock);
		ks->sk = NULL;
		spin_unlock_bh(&ks->lock);
		ktls_socket_unlink(ks, NULL);
		ktls_socket_put(ks);
	}
}

/**
 * ktls_sockets_net_exit() - forget the closed sockets of a namespace
 * @kn: namespace, whose open ones were forgotten a grace period ago
 */
void ktls_sockets_net_exit(struct ktls_net *kn)
{
	unsigned int i;

	if (kn->closed)
		for (i = 0; i < KTLS_CLOSED_LIMIT; i++)
			if (kn->closed[i])
				ktls_socket_put(kn->closed[i]);
	kvfree(kn->closed);
	xa_destroy(&kn->open);
}

int ktls_sockets_init(void)
{
	int err;

	ktls_cache = KMEM_CACHE(ktls_socket, SLAB_ACCOUNT);
	if (!ktls_cache)
		return -ENOMEM;

	err = rhashtable_init(&ktls_table, &ktls_table_params);
	if (err)
		kmem_cache_destroy(ktls_cache);

	return err;
}

/**
 * ktls_sockets_exit() - free the table, which is empty by now
 */
void ktls_sockets_exit(void)
{
	rhashtable_destroy(&ktls_table);
	/* For ktls_socket_free_rcu(). */
	rcu_barrier();
	kmem_cache_destroy(ktls_cache);
}
