/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _KTLS_SOCKETS_H
#define _KTLS_SOCKETS_H

#include <linux/list.h>
#include <linux/refcount.h>
#include <linux/rhashtable-types.h>
#include <linux/spinlock.h>
#include <linux/types.h>
#include <linux/uidgid.h>
#include <linux/workqueue.h>
#include <linux/xarray.h>
#include <net/net_namespace.h>

#include <uapi/linux/ktls.h>

#include "attempts.h"
#include "ends.h"
#include "totals.h"

struct pid;
struct ktls_policy;
struct sock;
struct tls_context;

/* Most closed sockets that a namespace remembers. */
#define KTLS_CLOSED_LIMIT	1024

#define KTLS_DIRECTIONS		2

/**
 * struct ktls_net - what the module knows of one network namespace
 * @net: the namespace; outlives this
 * @open: open sockets by cookie; its own lock
 * @n_open: how many
 * @lock: protects what follows, as far as @walks
 * @closed: the latest KTLS_CLOSED_LIMIT closed sockets, each at the place of its
 *	number modulo the limit, with a reference; allocated with the first socket
 * @last_closed: number of the latest close, from 1
 * @totals: sums over all sockets ever closed
 * @walks: sums over open sockets that are being made
 * @events: open and closed sockets with something to tell, a reference to each
 * @n_events: how many
 * @events_lock: protects @events and @n_events
 * @events_work: sends what is to be told
 * @attempts: attempts to attach TLS and to install keys
 * @policy: what is allowed, NULL if that is the initial namespace's to say;
 *	under RCU
 * @policy_generation: number of the change that set @policy last
 * @lost_sockets: kTLS sockets that no memory was left for, or that were not to
 *	be had when the module was loaded
 * @lost_events: notifications that a listener did not get
 */
struct ktls_net {
	struct net *net;
	struct xarray open;
	atomic_t n_open;
	/* closed, last_closed, totals, walks; ktls_socket.unlinked */
	spinlock_t lock;
	struct ktls_socket **closed;
	u64 last_closed;
	struct ktls_totals totals;
	struct list_head walks;
	struct list_head events;
	unsigned int n_events;
	/* events, n_events; taken in any context */
	spinlock_t events_lock;
	struct work_struct events_work;
	struct ktls_attempts attempts;
	struct ktls_policy __rcu *policy;
	unsigned long policy_generation;
	atomic64_t lost_sockets;
	atomic64_t lost_events;
};

struct ktls_net *ktls_net(const struct net *net);

/**
 * struct ktls_stream - one direction of a socket
 * @wire_base: ktls_wire_*() when counting began
 * @record_base: number of the first record counted under the current key
 * @record_first: number of the first record of the current key
 * @records: records counted under earlier keys; all of them once closed
 * @number: once the close has begun, number of the next record
 * @key_records: once closed, records under the last key
 * @wire: once closed, bytes on the wire
 * @control: control records known to be sent
 * @control_number: number of the record that the last control message began
 * @control_left: records that this message makes, as far as they are not in
 *	@control
 * @rekeys: keys after the first
 * @last_error: positive errno
 * @mode: &enum ktls_mode
 *
 * Written under the socket lock; @last_error anywhere.
 */
struct ktls_stream {
	u64 wire_base;
	u64 record_base;
	u64 record_first;
	u64 records;
	u64 number;
	u64 key_records;
	u64 wire;
	u64 control;
	u64 control_number;
	u64 control_left;
	u32 rekeys;
	u32 last_error;
	u8 mode;
};

/**
 * struct ktls_socket - a socket that has, or had, a key in the kernel
 * @node: in the table of open sockets, which holds a reference
 * @ctx: key of that table; not to be followed from here
 * @kn: its network namespace; not to be followed once closed and forgotten
 * @sk: the socket, NULL from the moment its close takes the counters; under
 *	@lock
 * @lock: protects @sk and, once closed, the counters
 * @ref: the table (open or closed), the event queue, and readers
 * @rcu: to free it
 * @event_node: in the event queue
 * @events: events to be sent, see events.h
 * @cookie: name of the socket, key of &ktls_net.open
 * @install_time: ns since the epoch
 * @close_time: ns since the epoch, 0 while open
 * @cgroup_id: of the owner's cgroup, 0 if there is none
 * @ino: inode of the socket
 * @uid: owner
 * @pid: thread group that installed the first key, with a reference, or NULL if
 *	adopted
 * @flags: &enum ktls_socket_flags that do not change while it is open
 * @version: of both directions
 * @cipher: of both directions
 * @overhead: bytes that a record adds to its payload
 * @ends: addresses and ports
 * @unlinked: it left &ktls_net.open; under &ktls_net.lock
 * @fin_sent: a FIN was sent before the socket reached TCP_CLOSE
 * @closing: its close has begun
 * @busy: the latest reader waited in vain for its owner
 * @ifindex: once closed, device that held a key, or 0
 * @comm: command that installed the first key
 * @stream: by &enum ktls_direction
 */
struct ktls_socket {
	struct rhash_head node;
	struct tls_context *ctx;
	struct ktls_net *kn;
	struct sock *sk;
	/* sk; the counters once it is NULL */
	spinlock_t lock;
	refcount_t ref;
	struct rcu_head rcu;
	struct list_head event_node;
	unsigned long events;
	u64 cookie;
	u64 install_time;
	u64 close_time;
	u64 cgroup_id;
	u64 ino;
	kuid_t uid;
	struct pid *pid;
	u32 flags;
	u16 version;
	u16 cipher;
	u16 overhead;
	struct ktls_ends ends;
	bool unlinked;
	bool fin_sent;
	bool closing;
	bool busy;
	int ifindex;
	char comm[KTLS_COMM_LEN];
	struct ktls_stream stream[KTLS_DIRECTIONS];
};

/**
 * struct ktls_reading - the counters of a socket at one moment
 * @flags: all of &enum ktls_socket_flags
 * @ifindex: device that holds a key, or 0
 * @stream: by &enum ktls_direction, the numbers as the netlink contract has
 *	them
 */
struct ktls_reading {
	u32 flags;
	int ifindex;
	struct {
		u64 records;
		u64 key_records;
		u64 payload;
		u64 wire;
		u64 control;
		u32 rekeys;
		u32 last_error;
		u8 mode;
	} stream[KTLS_DIRECTIONS];
};

void ktls_socket_read(struct ktls_socket *ks, struct ktls_reading *r,
		      unsigned long *waited);
unsigned int ktls_socket_closed_kept(const struct ktls_net *kn);

struct ktls_socket *ktls_socket_find(struct ktls_net *kn, u64 cookie);
struct ktls_socket *ktls_socket_next_open(struct ktls_net *kn, u64 *cookie);
struct ktls_socket *ktls_socket_next_closed(struct ktls_net *kn, u64 *number);
struct ktls_socket *ktls_socket_get_by_ctx(struct tls_context *ctx);
void ktls_socket_hold(struct ktls_socket *ks);
void ktls_socket_put(struct ktls_socket *ks);
struct sock *ktls_socket_sock(struct ktls_socket *ks);

/**
 * struct ktls_install - an attempt to install a key, from before to after
 * @wire: ktls_wire_*() before
 * @record: number of the next record under the old key
 * @rekey: there was an old key
 */
struct ktls_install {
	u64 wire;
	u64 record;
	bool rekey;
};

enum ktls_mode ktls_key_mode(const struct tls_context *ctx,
			     enum ktls_direction dir);

/* What happens to a socket. The socket lock is held but where said. */
void ktls_socket_install_begin(struct sock *sk, enum ktls_direction dir,
			       struct ktls_install *in);
void ktls_socket_install_end(struct sock *sk, enum ktls_direction dir,
			     enum ktls_mode mode,
			     const struct ktls_install *in);
void ktls_socket_install_undo(struct sock *sk, enum ktls_direction dir);
void ktls_socket_adopt(struct sock *sk);
void ktls_socket_control(struct sock *sk, size_t len);
/* Any context. */
void ktls_socket_error(struct sock *sk, int err);
void ktls_socket_rekey_failed(struct ktls_socket *ks, enum ktls_direction dir,
			      int err);
void ktls_socket_fin_sent(const struct sock *sk);
void ktls_socket_release_tx(struct sock *sk);
/* Nobody is inside a call on the socket. */
void ktls_socket_close(struct sock *sk);
void ktls_socket_flushed(struct tls_context *ctx);
/* The socket may be gone. */
void ktls_socket_freed(struct tls_context *ctx);

int ktls_sockets_init(void);
void ktls_sockets_exit(void);
void ktls_sockets_net_init(struct ktls_net *kn);
void ktls_sockets_net_pre_exit(struct ktls_net *kn);
void ktls_sockets_net_exit(struct ktls_net *kn);

#endif /* _KTLS_SOCKETS_H */
