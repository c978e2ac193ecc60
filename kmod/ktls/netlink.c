// SPDX-License-Identifier: GPL-2.0
/* The generic netlink family. Documentation/netlink/specs/ktls.yaml says what
 * every attribute means.
 */

#include <linux/capability.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/pid_namespace.h>
#include <linux/sched.h>
#include <linux/user_namespace.h>
#include <net/genetlink.h>
#include <net/netlink.h>
#include <net/sock.h>

#include "attrs.h"
#include "hooks.h"
#include "main.h"
#include "netlink.h"
#include "netlink_gen.h"
#include "policy.h"
#include "sockets.h"
#include "totals.h"

/**
 * ktls_reader_init() - who asks
 * @reader: to be filled in
 * @skb: request
 *
 * Context: process, that of the task which made the request.
 */
void ktls_reader_init(struct ktls_reader *reader, struct sk_buff *skb)
{
	struct sock *sk = NETLINK_CB(skb).sk;

	reader->user_ns = sk_user_ns(sk);
	reader->pid_ns = task_active_pid_ns(current);
	reader->uid = NETLINK_CREDS(skb)->uid;
	reader->admin = netlink_ns_capable(skb, sock_net(sk)->user_ns,
					   CAP_NET_ADMIN);
}

/**
 * ktls_reader_sees() - may somebody see what is a user's?
 * @reader: somebody
 * @uid: user
 */
bool ktls_reader_sees(const struct ktls_reader *reader, kuid_t uid)
{
	return reader->admin || uid_eq(reader->uid, uid);
}

/* Room for all attributes of a stream, and of a socket with both of its own. */
#define KTLS_STREAM_ROOM	(NLA_HDRLEN + nla_total_size(sizeof(u8)) + \
				 2 * nla_total_size(sizeof(u16)) +	\
				 3 * nla_total_size(sizeof(u32)) +	\
				 5 * nla_total_size(sizeof(u64)))
#define KTLS_SOCKET_ROOM	(nla_total_size(sizeof(u8)) +		\
				 3 * nla_total_size(sizeof(u16)) +	\
				 2 * nla_total_size(16) +		\
				 5 * nla_total_size(sizeof(u32)) +	\
				 5 * nla_total_size(sizeof(u64)) +	\
				 nla_total_size(KTLS_COMM_LEN) +	\
				 2 * KTLS_STREAM_ROOM)

static void ktls_fill_counters(struct ktls_attrs *attrs,
			       const struct ktls_reading *r,
			       enum ktls_direction dir)
{
	const typeof(r->stream[0]) *st = &r->stream[dir];

	ktls_put_uint(attrs, KTLS_A_STREAM_RECORDS, st->records);
	ktls_put_uint(attrs, KTLS_A_STREAM_PAYLOAD_BYTES, st->payload);
	ktls_put_uint(attrs, KTLS_A_STREAM_WIRE_BYTES, st->wire);
	if (st->control)
		ktls_put_uint(attrs, KTLS_A_STREAM_CONTROL_RECORDS,
			      st->control);
	ktls_put_uint(attrs, KTLS_A_STREAM_KEY_RECORDS, st->key_records);
}

static void ktls_fill_stream(struct ktls_attrs *attrs, int type,
			     const struct ktls_socket *ks,
			     const struct ktls_reading *r,
			     enum ktls_direction dir)
{
	const typeof(r->stream[0]) *st = &r->stream[dir];
	struct nlattr *nest;

	nest = ktls_nest_start(attrs, type);
	ktls_put_u8(attrs, KTLS_A_STREAM_MODE, st->mode);
	if (st->mode != KTLS_MODE_NONE) {
		ktls_put_u16(attrs, KTLS_A_STREAM_VERSION, ks->version);
		ktls_put_u16(attrs, KTLS_A_STREAM_CIPHER, ks->cipher);
		if (!(r->flags & KTLS_SOCKET_FLAGS_BUSY))
			ktls_fill_counters(attrs, r, dir);
		if (st->rekeys)
			ktls_put_u32(attrs, KTLS_A_STREAM_REKEYS, st->rekeys);
		if (st->last_error)
			ktls_put_u32(attrs, KTLS_A_STREAM_LAST_ERROR,
				     st->last_error);
		if (st->mode == KTLS_MODE_HW && r->ifindex)
			ktls_put_u32(attrs, KTLS_A_STREAM_IFINDEX, r->ifindex);
	}
	ktls_nest_end(attrs, nest);
}

/* One message about a socket; @dir is -1 where it is about both directions, @rule
 * if it violates none.
 */
static int ktls_fill_socket(struct sk_buff *skb, const struct ktls_socket *ks,
			    const struct ktls_reading *r,
			    struct user_namespace *user_ns,
			    struct pid_namespace *pid_ns,
			    u32 portid, u32 seq, int flags, u8 cmd, int dir,
			    int rule)
{
	struct ktls_attrs attrs;
	pid_t pid;
	void *hdr;

	hdr = genlmsg_put(skb, portid, seq, &ktls_family, flags, cmd);
	if (!hdr)
		return -EMSGSIZE;
	if (skb_tailroom(skb) < KTLS_SOCKET_ROOM) {
		genlmsg_cancel(skb, hdr);
		return -EMSGSIZE;
	}
	attrs.pos = skb_tail_pointer(skb);

	ktls_put(&attrs, KTLS_A_SOCKET_COOKIE, &ks->cookie, sizeof(u64));
	if (dir >= 0)
		ktls_put_u8(&attrs, KTLS_A_SOCKET_DIRECTION, dir);
	ktls_put_u16(&attrs, KTLS_A_SOCKET_FAMILY, ks->ends.family);
	if (ks->ends.family == AF_INET6) {
		ktls_put(&attrs, KTLS_A_SOCKET_LOCAL_ADDR, ks->ends.saddr, 16);
		ktls_put(&attrs, KTLS_A_SOCKET_REMOTE_ADDR, ks->ends.daddr, 16);
	} else {
		ktls_put(&attrs, KTLS_A_SOCKET_LOCAL_ADDR, ks->ends.saddr, 4);
		ktls_put(&attrs, KTLS_A_SOCKET_REMOTE_ADDR, ks->ends.daddr, 4);
	}
	ktls_put_be16(&attrs, KTLS_A_SOCKET_LOCAL_PORT, ks->ends.sport);
	ktls_put_be16(&attrs, KTLS_A_SOCKET_REMOTE_PORT, ks->ends.dport);
	if (!ks->close_time)
		ktls_put_uint(&attrs, KTLS_A_SOCKET_INODE, ks->ino);
	ktls_put_u32(&attrs, KTLS_A_SOCKET_UID,
		     from_kuid_munged(user_ns, ks->uid));
	if (ks->cgroup_id)
		ktls_put_uint(&attrs, KTLS_A_SOCKET_CGROUP_ID, ks->cgroup_id);
	ktls_put_u32(&attrs, KTLS_A_SOCKET_NETNS, ks->kn->net->ns.inum);
	pid = pid_nr_ns(ks->pid, pid_ns);
	if (pid)
		ktls_put_u32(&attrs, KTLS_A_SOCKET_PID, pid);
	if (ks->pid)
		ktls_put(&attrs, KTLS_A_SOCKET_COMM, ks->comm,
			 strnlen(ks->comm, KTLS_COMM_LEN - 1) + 1);
	ktls_put_uint(&attrs, KTLS_A_SOCKET_INSTALL_TIME, ks->install_time);
	if (ks->close_time)
		ktls_put_uint(&attrs, KTLS_A_SOCKET_CLOSE_TIME,
			      ks->close_time);
	if (r->flags)
		ktls_put_u32(&attrs, KTLS_A_SOCKET_FLAGS, r->flags);
	ktls_fill_stream(&attrs, KTLS_A_SOCKET_TX, ks, r, KTLS_DIRECTION_TX);
	ktls_fill_stream(&attrs, KTLS_A_SOCKET_RX, ks, r, KTLS_DIRECTION_RX);
	if (rule >= 0)
		ktls_put_u32(&attrs, KTLS_A_SOCKET_RULE, rule);

	skb_put(skb, attrs.pos - (void *)skb_tail_pointer(skb));
	genlmsg_end(skb, hdr);

	return 0;
}

/* The kernel keeps one answer for all namespaces: true if one has listeners. */
bool ktls_netlink_has_listeners(const struct ktls_net *kn, unsigned int group)
{
	return genl_has_listeners(&ktls_family, kn->net, group);
}

/**
 * ktls_netlink_multicast() - send to all who listen in a namespace
 * @kn: namespace
 * @skb: message, which is given away
 * @group: KTLS_NLGRP_*
 *
 * Context: process, may sleep.
 */
void ktls_netlink_multicast(struct ktls_net *kn, struct sk_buff *skb,
			    unsigned int group)
{
	int err;

	/* -ESRCH: nobody listens in this namespace; those of all were asked
	 * before. A listener without room is told of only if it has
	 * NETLINK_BROADCAST_ERROR.
	 */
	err = genlmsg_multicast_netns(&ktls_family, kn->net, skb, 0, group,
				      GFP_KERNEL);
	if (err && err != -ESRCH)
		atomic64_inc(&kn->lost_events);
}

/**
 * ktls_netlink_notify() - send a notification
 * @ks: socket it is about
 * @cmd: &enum ktls_cmd
 * @dir: &enum ktls_direction, or -1
 *
 * Context: process, may sleep, without the socket lock.
 */
void ktls_netlink_notify(struct ktls_socket *ks, u8 cmd, int dir)
{
	struct ktls_net *kn = ks->kn;
	unsigned long waited = 0;
	struct ktls_reading r;
	struct sk_buff *skb;
	int err;

	if (!ktls_netlink_has_listeners(kn, KTLS_NLGRP_SOCKETS))
		return;

	ktls_socket_read(ks, &r, &waited);

	skb = genlmsg_new(GENLMSG_DEFAULT_SIZE, GFP_KERNEL_ACCOUNT);
	if (!skb)
		goto lost;
	/* One message for all listeners. */
	err = ktls_fill_socket(skb, ks, &r, kn->net->user_ns, &init_pid_ns, 0,
			       0, 0, cmd, dir, -1);
	if (WARN_ON_ONCE(err)) {
		nlmsg_free(skb);
		goto lost;
	}

	ktls_netlink_multicast(kn, skb, KTLS_NLGRP_SOCKETS);
	return;
lost:
	atomic64_inc(&kn->lost_events);
}

int ktls_nl_module_get_doit(struct sk_buff *skb, struct genl_info *info)
{
	struct ktls_net *kn = ktls_net(genl_info_net(info));
	struct sk_buff *reply;
	void *hdr;

	reply = genlmsg_new(GENLMSG_DEFAULT_SIZE, GFP_KERNEL);
	if (!reply)
		return -ENOMEM;

	hdr = genlmsg_put_reply(reply, info, &ktls_family, 0,
				KTLS_CMD_MODULE_GET);
	if (!hdr ||
	    nla_put_string(reply, KTLS_A_MODULE_VERSION, KTLS_VERSION) ||
	    nla_put_u32(reply, KTLS_A_MODULE_ARMED, ktls_hooks_armed()) ||
	    nla_put_u32(reply, KTLS_A_MODULE_MISSING, ktls_hooks_missing()) ||
	    nla_put_uint(reply, KTLS_A_MODULE_OPEN, atomic_read(&kn->n_open)) ||
	    nla_put_u32(reply, KTLS_A_MODULE_CLOSED,
			ktls_socket_closed_kept(kn)) ||
	    nla_put_u32(reply, KTLS_A_MODULE_CLOSED_LIMIT,
			KTLS_CLOSED_LIMIT) ||
	    nla_put_uint(reply, KTLS_A_MODULE_LOST_SOCKETS,
			 atomic64_read(&kn->lost_sockets)) ||
	    nla_put_uint(reply, KTLS_A_MODULE_LOST_EVENTS,
			 atomic64_read(&kn->lost_events)) ||
	    nla_put_uint(reply, KTLS_A_MODULE_LOAD_TIME, ktls_load_time) ||
	    nla_put_uint(reply, KTLS_A_MODULE_ATTEMPTS,
			 READ_ONCE(kn->attempts.latest)) ||
	    nla_put_u32(reply, KTLS_A_MODULE_ATTEMPTS_LIMIT,
			KTLS_ATTEMPTS_LIMIT) ||
	    nla_put_uint(reply, KTLS_A_MODULE_LOST_ATTEMPTS,
			 READ_ONCE(kn->attempts.lost))) {
		nlmsg_free(reply);
		return -EMSGSIZE;
	}
	genlmsg_end(reply, hdr);

	return genlmsg_reply(reply, info);
}

int ktls_nl_socket_get_doit(struct sk_buff *skb, struct genl_info *info)
{
	struct ktls_net *kn = ktls_net(genl_info_net(info));
	struct ktls_reader reader;
	unsigned long waited = 0;
	struct ktls_reading r;
	struct ktls_socket *ks;
	struct sk_buff *reply;
	int err;

	if (info->attrs[KTLS_A_SOCKET_FILTER]) {
		NL_SET_ERR_MSG_ATTR(info->extack,
				    info->attrs[KTLS_A_SOCKET_FILTER],
				    "a filter is for dumps; give a cookie, or set NLM_F_DUMP");
		return -EINVAL;
	}
	if (!info->attrs[KTLS_A_SOCKET_COOKIE]) {
		GENL_SET_ERR_MSG(info,
				 "which socket? give its cookie, or set NLM_F_DUMP");
		return -EINVAL;
	}

	ktls_reader_init(&reader, skb);
	ks = ktls_socket_find(kn,
			      nla_get_u64(info->attrs[KTLS_A_SOCKET_COOKIE]));
	if (ks && !ktls_reader_sees(&reader, ks->uid)) {
		/* As if it were not there: its existence is its owner's. */
		ktls_socket_put(ks);
		ks = NULL;
	}
	if (!ks) {
		NL_SET_ERR_MSG_ATTR(info->extack,
				    info->attrs[KTLS_A_SOCKET_COOKIE],
				    "no kTLS socket of yours with this cookie, open or lately closed, in this network namespace");
		return -ENOENT;
	}

	reply = genlmsg_new(GENLMSG_DEFAULT_SIZE, GFP_KERNEL);
	if (!reply) {
		err = -ENOMEM;
		goto put;
	}
	ktls_socket_read(ks, &r, &waited);
	err = ktls_fill_socket(reply, ks, &r, reader.user_ns, reader.pid_ns,
			       info->snd_portid, info->snd_seq, 0,
			       KTLS_CMD_SOCKET_GET, -1, -1);
	if (err)
		nlmsg_free(reply);
	else
		err = genlmsg_reply(reply, info);
put:
	ktls_socket_put(ks);
	return err;
}

static bool ktls_match_stream(struct nlattr **f, const struct ktls_socket *ks,
			      const struct ktls_reading *r,
			      enum ktls_direction dir)
{
	u8 mode = r->stream[dir].mode;

	if (f[KTLS_A_FILTER_DIRECTION] &&
	    (nla_get_u8(f[KTLS_A_FILTER_DIRECTION]) != dir ||
	     (mode == KTLS_MODE_NONE && !f[KTLS_A_FILTER_MODE])))
		return false;
	if (f[KTLS_A_FILTER_MODE] && nla_get_u8(f[KTLS_A_FILTER_MODE]) != mode)
		return false;
	if ((f[KTLS_A_FILTER_VERSION] || f[KTLS_A_FILTER_CIPHER]) &&
	    mode == KTLS_MODE_NONE)
		return false;
	if (f[KTLS_A_FILTER_VERSION] &&
	    nla_get_u16(f[KTLS_A_FILTER_VERSION]) != ks->version)
		return false;
	if (f[KTLS_A_FILTER_CIPHER] &&
	    nla_get_u16(f[KTLS_A_FILTER_CIPHER]) != ks->cipher)
		return false;

	return true;
}

/* What can be told before the counters are read. */
static bool ktls_match_socket(struct nlattr **f, const struct ktls_socket *ks,
			      const struct ktls_reader *reader)
{
	__be16 port;

	if (f[KTLS_A_FILTER_PORT]) {
		port = nla_get_be16(f[KTLS_A_FILTER_PORT]);
		if (ks->ends.sport != port && ks->ends.dport != port)
			return false;
	}
	if (f[KTLS_A_FILTER_LOCAL_PORT] &&
	    nla_get_be16(f[KTLS_A_FILTER_LOCAL_PORT]) != ks->ends.sport)
		return false;
	if (f[KTLS_A_FILTER_REMOTE_PORT] &&
	    nla_get_be16(f[KTLS_A_FILTER_REMOTE_PORT]) != ks->ends.dport)
		return false;
	if (f[KTLS_A_FILTER_UID]) {
		kuid_t uid = make_kuid(reader->user_ns,
				       nla_get_u32(f[KTLS_A_FILTER_UID]));

		if (!uid_valid(uid) || !uid_eq(uid, ks->uid))
			return false;
	}
	if (f[KTLS_A_FILTER_PID] &&
	    nla_get_u32(f[KTLS_A_FILTER_PID]) !=
	    pid_nr_ns(ks->pid, reader->pid_ns))
		return false;
	if (f[KTLS_A_FILTER_CGROUP_ID] &&
	    nla_get_u64(f[KTLS_A_FILTER_CGROUP_ID]) != ks->cgroup_id)
		return false;

	return true;
}

static struct ktls_socket *ktls_dump_next(struct ktls_net *kn, bool closed,
					  u64 *next)
{
	return closed ? ktls_socket_next_closed(kn, next) :
			ktls_socket_next_open(kn, next);
}

int ktls_nl_socket_get_dumpit(struct sk_buff *skb, struct netlink_callback *cb)
{
	struct ktls_net *kn = ktls_net(sock_net(skb->sk));
	struct nlattr **attrs = genl_info_dump(cb)->attrs;
	struct nlattr *f[KTLS_A_FILTER_MAX + 1] = {};
	struct ktls_dump *dump = ktls_dump(cb);
	u64 next = dump->next;
	struct ktls_reader reader;
	struct ktls_socket *ks;
	int err = 0;

	if (attrs && attrs[KTLS_A_SOCKET_COOKIE]) {
		NL_SET_ERR_MSG_ATTR(cb->extack, attrs[KTLS_A_SOCKET_COOKIE],
				    "a dump takes a filter, not a cookie");
		return -EINVAL;
	}
	if (attrs && attrs[KTLS_A_SOCKET_FILTER]) {
		err = nla_parse_nested(f, KTLS_A_FILTER_MAX,
				       attrs[KTLS_A_SOCKET_FILTER],
				       ktls_filter_nl_policy, cb->extack);
		if (err)
			return err;
	}
	ktls_reader_init(&reader, cb->skb);

	while ((ks = ktls_dump_next(kn, f[KTLS_A_FILTER_CLOSED], &next))) {
		struct ktls_reading r;
		int rule = -1;

		if (ktls_reader_sees(&reader, ks->uid) &&
		    ktls_match_socket(f, ks, &reader) &&
		    (!f[KTLS_A_FILTER_VIOLATES] ||
		     ktls_policy_violated(kn, ks, &rule))) {
			ktls_socket_read(ks, &r, &dump->waited);
			/* Both none: the key is just being installed. */
			if ((r.stream[KTLS_DIRECTION_TX].mode ||
			     r.stream[KTLS_DIRECTION_RX].mode) &&
			    (ktls_match_stream(f, ks, &r, KTLS_DIRECTION_TX) ||
			     ktls_match_stream(f, ks, &r, KTLS_DIRECTION_RX)))
				err = ktls_fill_socket(skb, ks, &r,
						       reader.user_ns,
						       reader.pid_ns,
						       NETLINK_CB(cb->skb).portid,
						       cb->nlh->nlmsg_seq,
						       NLM_F_MULTI,
						       KTLS_CMD_SOCKET_GET, -1,
						       rule);
		}
		ktls_socket_put(ks);
		if (err)
			break;
		dump->next = next;
		cond_resched();
	}

	return skb->len ?: err;
}

static int ktls_fill_totals(struct sk_buff *skb, const struct ktls_cell *cell,
			    int index, u32 portid, u32 seq, int flags)
{
	u16 version, cipher;
	u8 dir, mode;
	void *hdr;

	hdr = genlmsg_put(skb, portid, seq, &ktls_family, flags,
			  KTLS_CMD_TOTALS_GET);
	if (!hdr)
		return -EMSGSIZE;

	ktls_totals_name(index, &dir, &mode, &version, &cipher);
	if (nla_put_u8(skb, KTLS_A_TOTALS_DIRECTION, dir) ||
	    nla_put_u8(skb, KTLS_A_TOTALS_MODE, mode) ||
	    nla_put_u16(skb, KTLS_A_TOTALS_VERSION, version) ||
	    nla_put_u16(skb, KTLS_A_TOTALS_CIPHER, cipher) ||
	    nla_put_uint(skb, KTLS_A_TOTALS_OPEN, cell->open) ||
	    nla_put_uint(skb, KTLS_A_TOTALS_CLOSED, cell->closed) ||
	    nla_put_uint(skb, KTLS_A_TOTALS_BUSY, cell->busy) ||
	    nla_put_uint(skb, KTLS_A_TOTALS_RECORDS, cell->records) ||
	    nla_put_uint(skb, KTLS_A_TOTALS_PAYLOAD_BYTES, cell->payload) ||
	    nla_put_uint(skb, KTLS_A_TOTALS_WIRE_BYTES, cell->wire) ||
	    nla_put_uint(skb, KTLS_A_TOTALS_CONTROL_RECORDS, cell->control) ||
	    nla_put_uint(skb, KTLS_A_TOTALS_REKEYS, cell->rekeys) ||
	    nla_put_uint(skb, KTLS_A_TOTALS_ERRORS, cell->errors)) {
		genlmsg_cancel(skb, hdr);
		return -EMSGSIZE;
	}

	genlmsg_end(skb, hdr);
	return 0;
}

int ktls_nl_totals_get_doit(struct sk_buff *skb, struct genl_info *info)
{
	struct ktls_net *kn = ktls_net(genl_info_net(info));
	struct nlattr **attrs = info->attrs;
	const struct ktls_cell *cell;
	struct ktls_totals *totals;
	struct sk_buff *reply;
	int err, index;

	if (!attrs[KTLS_A_TOTALS_DIRECTION] || !attrs[KTLS_A_TOTALS_MODE] ||
	    !attrs[KTLS_A_TOTALS_VERSION] || !attrs[KTLS_A_TOTALS_CIPHER]) {
		GENL_SET_ERR_MSG(info,
				 "which sum? give direction, mode, version and cipher, or set NLM_F_DUMP");
		return -EINVAL;
	}
	index = ktls_totals_index(nla_get_u8(attrs[KTLS_A_TOTALS_DIRECTION]),
				  nla_get_u8(attrs[KTLS_A_TOTALS_MODE]),
				  nla_get_u16(attrs[KTLS_A_TOTALS_VERSION]),
				  nla_get_u16(attrs[KTLS_A_TOTALS_CIPHER]));
	if (index < 0) {
		NL_SET_ERR_MSG_ATTR(info->extack, attrs[KTLS_A_TOTALS_MODE],
				    "nothing is summed for this mode; try sw or hw");
		return -EINVAL;
	}

	totals = ktls_totals_read(kn);
	if (!totals)
		return -ENOMEM;
	cell = &totals->cell[index];
	if (!cell->open && !cell->closed) {
		GENL_SET_ERR_MSG(info, "no socket had this combination");
		err = -ENOENT;
		goto free;
	}

	reply = genlmsg_new(GENLMSG_DEFAULT_SIZE, GFP_KERNEL);
	if (!reply) {
		err = -ENOMEM;
		goto free;
	}
	err = ktls_fill_totals(reply, cell, index, info->snd_portid,
			       info->snd_seq, 0);
	if (err)
		nlmsg_free(reply);
	else
		err = genlmsg_reply(reply, info);
free:
	kvfree(totals);
	return err;
}

int ktls_nl_totals_get_dumpit(struct sk_buff *skb, struct netlink_callback *cb)
{
	struct ktls_net *kn = ktls_net(sock_net(skb->sk));
	struct ktls_dump *dump = ktls_dump(cb);
	const struct ktls_cell *cell;
	struct ktls_totals *totals;
	int err = 0;

	/* Spare the last call, which has nothing to add, the walk. */
	if (dump->next == KTLS_TOTALS_CELLS)
		return 0;

	totals = ktls_totals_read(kn);
	if (!totals)
		return -ENOMEM;

	for (; dump->next < KTLS_TOTALS_CELLS; dump->next++) {
		cell = &totals->cell[dump->next];
		if (!cell->open && !cell->closed)
			continue;
		err = ktls_fill_totals(skb, cell, dump->next,
				       NETLINK_CB(cb->skb).portid,
				       cb->nlh->nlmsg_seq, NLM_F_MULTI);
		if (err)
			break;
	}
	kvfree(totals);

	return skb->len ?: err;
}

/* As generated, with the permission that the spec's language cannot say. */
static const struct genl_multicast_group ktls_mcgrps[] = {
	[KTLS_NLGRP_SOCKETS] = {
		.name	= KTLS_MCGRP_SOCKETS,
		.flags	= GENL_MCAST_CAP_NET_ADMIN,
	},
	[KTLS_NLGRP_ATTEMPTS] = {
		.name	= KTLS_MCGRP_ATTEMPTS,
		.flags	= GENL_MCAST_CAP_NET_ADMIN,
	},
};

struct genl_family ktls_family __ro_after_init = {
	.name		= KTLS_GENL_NAME,
	.version	= KTLS_GENL_VERSION,
	.netnsok	= true,
	.parallel_ops	= true,
	.module		= THIS_MODULE,
	.ops		= ktls_nl_ops,
	.n_ops		= ARRAY_SIZE(ktls_nl_ops),
	.mcgrps		= ktls_mcgrps,
	.n_mcgrps	= ARRAY_SIZE(ktls_mcgrps),
};

int __init ktls_netlink_init(void)
{
	return genl_register_family(&ktls_family);
}

void ktls_netlink_exit(void)
{
	genl_unregister_family(&ktls_family);
}
