// SPDX-License-Identifier: GPL-2.0
/* Attempts over generic netlink. */

#include <linux/pid_namespace.h>
#include <linux/user_namespace.h>
#include <net/genetlink.h>
#include <net/netlink.h>
#include <net/sock.h>

#include "attempts.h"
#include "netlink.h"
#include "netlink_gen.h"
#include "sockets.h"

static int ktls_fill_ends(struct sk_buff *skb, const struct ktls_ends *ends)
{
	int len = ends->family == AF_INET6 ? 16 : 4;

	if (nla_put_u16(skb, KTLS_A_ATTEMPT_FAMILY, ends->family) ||
	    nla_put(skb, KTLS_A_ATTEMPT_LOCAL_ADDR, len, ends->saddr) ||
	    nla_put(skb, KTLS_A_ATTEMPT_REMOTE_ADDR, len, ends->daddr) ||
	    nla_put_be16(skb, KTLS_A_ATTEMPT_LOCAL_PORT, ends->sport) ||
	    nla_put_be16(skb, KTLS_A_ATTEMPT_REMOTE_PORT, ends->dport))
		return -EMSGSIZE;

	return 0;
}

static int ktls_fill_verdict(struct sk_buff *skb,
			     const struct ktls_verdict *verdict)
{
	if (!verdict->decided)
		return 0;
	if (nla_put_u8(skb, KTLS_A_ATTEMPT_ACTION, verdict->action) ||
	    (verdict->rule &&
	     nla_put_u32(skb, KTLS_A_ATTEMPT_RULE, verdict->rule)) ||
	    (verdict->flags &&
	     nla_put_u32(skb, KTLS_A_ATTEMPT_FLAGS, verdict->flags)))
		return -EMSGSIZE;

	return 0;
}

static int ktls_fill_attempt(struct sk_buff *skb, const struct ktls_net *kn,
			     const struct ktls_attempt *attempt,
			     struct user_namespace *user_ns,
			     struct pid_namespace *pid_ns,
			     u32 portid, u32 seq, int flags, u8 cmd)
{
	pid_t pid = pid_nr_ns(attempt->pid, pid_ns);
	void *hdr;

	hdr = genlmsg_put(skb, portid, seq, &ktls_family, flags, cmd);
	if (!hdr)
		return -EMSGSIZE;

	if (nla_put_u64_64bit(skb, KTLS_A_ATTEMPT_NUMBER, attempt->number,
			      KTLS_A_ATTEMPT_PAD) ||
	    nla_put_uint(skb, KTLS_A_ATTEMPT_TIME, attempt->time) ||
	    nla_put_u8(skb, KTLS_A_ATTEMPT_STEP, attempt->step) ||
	    nla_put_u32(skb, KTLS_A_ATTEMPT_ERRNO, attempt->error) ||
	    ktls_fill_verdict(skb, &attempt->verdict) ||
	    (attempt->version &&
	     nla_put_u16(skb, KTLS_A_ATTEMPT_VERSION, attempt->version)) ||
	    (attempt->cipher &&
	     nla_put_u16(skb, KTLS_A_ATTEMPT_CIPHER, attempt->cipher)) ||
	    (attempt->mode != KTLS_MODE_NONE &&
	     nla_put_u8(skb, KTLS_A_ATTEMPT_MODE, attempt->mode)) ||
	    nla_put_u64_64bit(skb, KTLS_A_ATTEMPT_COOKIE, attempt->cookie,
			      KTLS_A_ATTEMPT_PAD) ||
	    ktls_fill_ends(skb, &attempt->ends) ||
	    nla_put_uint(skb, KTLS_A_ATTEMPT_INODE, attempt->ino) ||
	    nla_put_u32(skb, KTLS_A_ATTEMPT_UID,
			from_kuid_munged(user_ns, attempt->uid)) ||
	    (attempt->cgroup_id &&
	     nla_put_uint(skb, KTLS_A_ATTEMPT_CGROUP_ID,
			  attempt->cgroup_id)) ||
	    nla_put_u32(skb, KTLS_A_ATTEMPT_NETNS, kn->net->ns.inum) ||
	    (pid && nla_put_u32(skb, KTLS_A_ATTEMPT_PID, pid)) ||
	    nla_put_string(skb, KTLS_A_ATTEMPT_COMM, attempt->comm)) {
		genlmsg_cancel(skb, hdr);
		return -EMSGSIZE;
	}
	genlmsg_end(skb, hdr);

	return 0;
}

/**
 * ktls_netlink_notify_attempt() - tell listeners of an attempt
 * @kn: namespace
 * @attempt: attempt
 *
 * Context: process, may sleep.
 */
void ktls_netlink_notify_attempt(struct ktls_net *kn,
				 const struct ktls_attempt *attempt)
{
	struct sk_buff *skb;

	if (!ktls_netlink_has_listeners(kn, KTLS_NLGRP_ATTEMPTS))
		return;

	skb = genlmsg_new(GENLMSG_DEFAULT_SIZE, GFP_KERNEL_ACCOUNT);
	if (!skb)
		goto lost;
	/* One message for all listeners. */
	if (WARN_ON_ONCE(ktls_fill_attempt(skb, kn, attempt, kn->net->user_ns,
					   &init_pid_ns, 0, 0, 0,
					   KTLS_CMD_ATTEMPT_NTF))) {
		nlmsg_free(skb);
		goto lost;
	}
	ktls_netlink_multicast(kn, skb, KTLS_NLGRP_ATTEMPTS);
	return;
lost:
	atomic64_inc(&kn->lost_events);
}

int ktls_nl_attempt_get_doit(struct sk_buff *skb, struct genl_info *info)
{
	struct nlattr *attr = info->attrs[KTLS_A_ATTEMPT_NUMBER];
	struct ktls_net *kn = ktls_net(genl_info_net(info));
	struct ktls_attempt attempt;
	struct ktls_reader reader;
	struct sk_buff *reply;
	u64 number, next;
	int err;

	if (info->attrs[KTLS_A_ATTEMPT_FILTER]) {
		NL_SET_ERR_MSG_ATTR(info->extack,
				    info->attrs[KTLS_A_ATTEMPT_FILTER],
				    "a filter is for dumps; give a number, or set NLM_F_DUMP");
		return -EINVAL;
	}
	if (!attr) {
		GENL_SET_ERR_MSG(info,
				 "which attempt? give its number, or set NLM_F_DUMP");
		return -EINVAL;
	}
	number = nla_get_u64(attr);
	next = number;
	ktls_reader_init(&reader, skb);
	if (!ktls_attempt_next(kn, &next, false, &attempt))
		goto absent;
	/* As if it were not there: its existence is its owner's. */
	if (attempt.number != number ||
	    !ktls_reader_sees(&reader, attempt.uid)) {
		ktls_attempt_put(&attempt);
		goto absent;
	}

	err = -ENOMEM;
	reply = genlmsg_new(GENLMSG_DEFAULT_SIZE, GFP_KERNEL);
	if (!reply)
		goto put;
	err = ktls_fill_attempt(reply, kn, &attempt, reader.user_ns,
				reader.pid_ns, info->snd_portid, info->snd_seq,
				0, KTLS_CMD_ATTEMPT_GET);
	if (err)
		nlmsg_free(reply);
	else
		err = genlmsg_reply(reply, info);
put:
	ktls_attempt_put(&attempt);
	return err;
absent:
	NL_SET_ERR_MSG_ATTR(info->extack, attr,
			    "no attempt of yours with this number is kept in this network namespace");
	return -ENOENT;
}

int ktls_nl_attempt_get_dumpit(struct sk_buff *skb,
			       struct netlink_callback *cb)
{
	struct nlattr *f[KTLS_A_ATTEMPT_FILTER_MAX + 1] = {};
	struct nlattr **attrs = genl_info_dump(cb)->attrs;
	struct ktls_net *kn = ktls_net(sock_net(skb->sk));
	struct ktls_dump *dump = ktls_dump(cb);
	struct ktls_attempt attempt;
	struct ktls_reader reader;
	u64 next = dump->next;
	int err = 0;

	if (attrs && attrs[KTLS_A_ATTEMPT_NUMBER]) {
		NL_SET_ERR_MSG_ATTR(cb->extack, attrs[KTLS_A_ATTEMPT_NUMBER],
				    "a dump takes a filter, not a number");
		return -EINVAL;
	}
	if (attrs && attrs[KTLS_A_ATTEMPT_FILTER]) {
		err = nla_parse_nested(f, KTLS_A_ATTEMPT_FILTER_MAX,
				       attrs[KTLS_A_ATTEMPT_FILTER],
				       ktls_attempt_filter_nl_policy,
				       cb->extack);
		if (err)
			return err;
	}
	ktls_reader_init(&reader, cb->skb);

	while (ktls_attempt_next(kn, &next, f[KTLS_A_ATTEMPT_FILTER_FAILED],
				 &attempt)) {
		if (ktls_reader_sees(&reader, attempt.uid))
			err = ktls_fill_attempt(skb, kn, &attempt,
						reader.user_ns, reader.pid_ns,
						NETLINK_CB(cb->skb).portid,
						cb->nlh->nlmsg_seq, NLM_F_MULTI,
						KTLS_CMD_ATTEMPT_GET);
		ktls_attempt_put(&attempt);
		if (err)
			break;
		dump->next = next;
		cond_resched();
	}

	return skb->len ?: err;
}

static int ktls_fill_outcome(struct sk_buff *skb, unsigned int step,
			     unsigned int error, u64 attempts, u32 portid,
			     u32 seq, int flags)
{
	void *hdr;

	hdr = genlmsg_put(skb, portid, seq, &ktls_family, flags,
			  KTLS_CMD_OUTCOME_GET);
	if (!hdr)
		return -EMSGSIZE;
	if (nla_put_u8(skb, KTLS_A_OUTCOME_STEP, step) ||
	    nla_put_u32(skb, KTLS_A_OUTCOME_ERRNO, error) ||
	    nla_put_uint(skb, KTLS_A_OUTCOME_ATTEMPTS, attempts)) {
		genlmsg_cancel(skb, hdr);
		return -EMSGSIZE;
	}
	genlmsg_end(skb, hdr);

	return 0;
}

int ktls_nl_outcome_get_doit(struct sk_buff *skb, struct genl_info *info)
{
	struct nlattr *step = info->attrs[KTLS_A_OUTCOME_STEP];
	struct nlattr *error = info->attrs[KTLS_A_OUTCOME_ERRNO];
	struct ktls_net *kn = ktls_net(genl_info_net(info));
	struct sk_buff *reply;
	u64 attempts;
	int err;

	if (!step || !error) {
		GENL_SET_ERR_MSG(info,
				 "which outcome? give step and errno, or set NLM_F_DUMP");
		return -EINVAL;
	}
	if (nla_get_u32(error) >= KTLS_ERRNOS) {
		NL_SET_ERR_MSG_ATTR(info->extack, error,
				    "beyond the errnos that are told from each other");
		return -EINVAL;
	}
	attempts = ktls_attempt_outcomes(kn, nla_get_u8(step),
					 nla_get_u32(error));
	if (!attempts) {
		GENL_SET_ERR_MSG(info, "no attempt ended so");
		return -ENOENT;
	}

	reply = genlmsg_new(GENLMSG_DEFAULT_SIZE, GFP_KERNEL);
	if (!reply)
		return -ENOMEM;
	err = ktls_fill_outcome(reply, nla_get_u8(step), nla_get_u32(error),
				attempts, info->snd_portid, info->snd_seq, 0);
	if (err) {
		nlmsg_free(reply);
		return err;
	}

	return genlmsg_reply(reply, info);
}

int ktls_nl_outcome_get_dumpit(struct sk_buff *skb,
			       struct netlink_callback *cb)
{
	struct ktls_net *kn = ktls_net(sock_net(skb->sk));
	struct ktls_dump *dump = ktls_dump(cb);
	int err = 0;

	for (; dump->next < KTLS_STEPS * KTLS_ERRNOS; dump->next++) {
		unsigned int step = (unsigned int)dump->next / KTLS_ERRNOS;
		unsigned int error = (unsigned int)dump->next % KTLS_ERRNOS;
		u64 attempts = ktls_attempt_outcomes(kn, step, error);

		if (!attempts)
			continue;
		err = ktls_fill_outcome(skb, step, error, attempts,
					NETLINK_CB(cb->skb).portid,
					cb->nlh->nlmsg_seq, NLM_F_MULTI);
		if (err)
			break;
	}

	return skb->len ?: err;
}
