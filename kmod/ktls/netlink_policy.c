// SPDX-License-Identifier: GPL-2.0
/* The policy over generic netlink. */

#include <linux/capability.h>
#include <linux/cred.h>
#include <linux/mm.h>
#include <linux/sched.h>
#include <linux/user_namespace.h>
#include <net/genetlink.h>
#include <net/netlink.h>
#include <net/sock.h>

#include "hooks.h"
#include "netlink.h"
#include "netlink_gen.h"
#include "policy.h"
#include "sockets.h"

/* Room for a rule with all of its attributes. */
#define KTLS_RULE_ROOM	(nla_total_size(0) + 4 * nla_total_size(1) +	\
			 5 * nla_total_size(2) + nla_total_size(4) +	\
			 2 * nla_total_size_64bit(8) +			\
			 nla_total_size(KTLS_COMM_LEN))

static int ktls_fill_rule(struct sk_buff *skb, const struct ktls_rule *rule,
			  struct user_namespace *user_ns)
{
	u32 match = rule->match;
	struct nlattr *nest;

	nest = nla_nest_start(skb, KTLS_A_POLICY_RULE);
	if (!nest)
		return -EMSGSIZE;

	if (nla_put_u8(skb, KTLS_A_RULE_ACTION, rule->action) ||
	    (match & BIT(KTLS_A_RULE_ULP) &&
	     nla_put_flag(skb, KTLS_A_RULE_ULP)) ||
	    (match & BIT(KTLS_A_RULE_DIRECTION) &&
	     nla_put_u8(skb, KTLS_A_RULE_DIRECTION, rule->direction)) ||
	    (match & BIT(KTLS_A_RULE_VERSION) &&
	     nla_put_u16(skb, KTLS_A_RULE_VERSION, rule->version)) ||
	    (match & BIT(KTLS_A_RULE_CIPHER) &&
	     nla_put_u16(skb, KTLS_A_RULE_CIPHER, rule->cipher)) ||
	    (match & BIT(KTLS_A_RULE_MODE) &&
	     nla_put_u8(skb, KTLS_A_RULE_MODE, rule->mode)) ||
	    (match & BIT(KTLS_A_RULE_UID) &&
	     nla_put_u32(skb, KTLS_A_RULE_UID,
			 from_kuid_munged(user_ns, rule->uid))) ||
	    (match & BIT(KTLS_A_RULE_CGROUP_ID) &&
	     nla_put_u64_64bit(skb, KTLS_A_RULE_CGROUP_ID, rule->cgroup_id,
			       KTLS_A_RULE_PAD)) ||
	    (match & BIT(KTLS_A_RULE_PORT) &&
	     nla_put_be16(skb, KTLS_A_RULE_PORT, rule->port)) ||
	    (match & BIT(KTLS_A_RULE_LOCAL_PORT) &&
	     nla_put_be16(skb, KTLS_A_RULE_LOCAL_PORT, rule->sport)) ||
	    (match & BIT(KTLS_A_RULE_REMOTE_PORT) &&
	     nla_put_be16(skb, KTLS_A_RULE_REMOTE_PORT, rule->dport)) ||
	    (match & BIT(KTLS_A_RULE_COMM) &&
	     nla_put_string(skb, KTLS_A_RULE_COMM, rule->comm)) ||
	    nla_put_u64_64bit(skb, KTLS_A_RULE_HITS,
			      atomic64_read(&rule->hits), KTLS_A_RULE_PAD))
		return -EMSGSIZE;
	nla_nest_end(skb, nest);

	return 0;
}

static int ktls_fill_policy(struct sk_buff *skb, u32 generation,
			    const struct ktls_policy *policy, bool inherited,
			    struct user_namespace *user_ns)
{
	unsigned int i;

	if (nla_put_u32(skb, KTLS_A_POLICY_GENERATION, generation) ||
	    nla_put_u8(skb, KTLS_A_POLICY_DEFAULT,
		       policy ? policy->fallback : KTLS_ACTION_ALLOW) ||
	    (inherited && nla_put_flag(skb, KTLS_A_POLICY_INHERIT)) ||
	    nla_put_uint(skb, KTLS_A_POLICY_HITS,
			 policy ? atomic64_read(&policy->hits) : 0))
		return -EMSGSIZE;
	if (!policy)
		return 0;
	if (policy->dry_run && nla_put_flag(skb, KTLS_A_POLICY_DRY_RUN))
		return -EMSGSIZE;
	for (i = 0; i < policy->n_rules; i++)
		if (ktls_fill_rule(skb, &policy->rule[i], user_ns))
			return -EMSGSIZE;

	return 0;
}

/* How many rules there are; it may be more or less in the next moment. */
static unsigned int ktls_policy_rules(struct ktls_net *kn)
{
	const struct ktls_policy *policy;
	unsigned int n_rules;
	u32 generation;
	bool inherited;

	rcu_read_lock();
	policy = ktls_policy_in_force(kn, &inherited, &generation);
	n_rules = policy ? policy->n_rules : 0;
	rcu_read_unlock();

	return n_rules;
}

/* An answer with room for so many rules; -EMSGSIZE if there are more by now. */
static struct sk_buff *ktls_policy_reply(struct sk_buff *skb,
					 struct genl_info *info,
					 unsigned int room)
{
	struct ktls_net *kn = ktls_net(genl_info_net(info));
	const struct ktls_policy *policy;
	struct ktls_reader reader;
	struct sk_buff *reply;
	int err = -EMSGSIZE;
	bool inherited;
	u32 generation;
	void *hdr;

	ktls_reader_init(&reader, skb);
	reply = genlmsg_new(GENLMSG_DEFAULT_SIZE + room * KTLS_RULE_ROOM,
			    GFP_KERNEL);
	if (!reply)
		return ERR_PTR(-ENOMEM);

	hdr = genlmsg_put_reply(reply, info, &ktls_family, 0,
				KTLS_CMD_POLICY_GET);
	if (!hdr)
		goto free;

	rcu_read_lock();
	policy = ktls_policy_in_force(kn, &inherited, &generation);
	if (policy && inherited && !netlink_capable(skb, CAP_NET_ADMIN)) {
		GENL_SET_ERR_MSG(info,
				 "the policy in force is the host's, and not yours to read");
		err = -EACCES;
	} else if (!policy || policy->n_rules <= room) {
		err = ktls_fill_policy(reply, generation, policy, inherited,
				       reader.user_ns);
	}
	rcu_read_unlock();
	if (err)
		goto free;
	genlmsg_end(reply, hdr);

	return reply;
free:
	nlmsg_free(reply);
	return ERR_PTR(err);
}

int ktls_nl_policy_get_doit(struct sk_buff *skb, struct genl_info *info)
{
	struct ktls_net *kn = ktls_net(genl_info_net(info));
	struct sk_buff *reply;

	reply = ktls_policy_reply(skb, info, ktls_policy_rules(kn));
	if (reply == ERR_PTR(-EMSGSIZE))
		reply = ktls_policy_reply(skb, info, KTLS_RULES_LIMIT);

	return IS_ERR(reply) ? PTR_ERR(reply) : genlmsg_reply(reply, info);
}

/* What a rule has to be, in the words of its attributes. */
static int ktls_parse_rule(struct ktls_rule *rule, const struct nlattr *attr,
			   struct user_namespace *user_ns,
			   struct netlink_ext_ack *extack)
{
	struct nlattr *a[KTLS_A_RULE_MAX + 1];
	unsigned int i;
	int err;

	err = nla_parse_nested(a, KTLS_A_RULE_MAX, attr, ktls_rule_nl_policy,
			       extack);
	if (err)
		return err;

	if (!a[KTLS_A_RULE_ACTION]) {
		NL_SET_ERR_MSG_ATTR(extack, attr, "a rule without an action");
		return -EINVAL;
	}
	if (a[KTLS_A_RULE_ULP] &&
	    (a[KTLS_A_RULE_DIRECTION] || a[KTLS_A_RULE_VERSION] ||
	     a[KTLS_A_RULE_CIPHER] || a[KTLS_A_RULE_MODE])) {
		NL_SET_ERR_MSG_ATTR(extack, attr,
				    "direction, version, cipher and mode are not known when TLS is attached");
		return -EINVAL;
	}

	for (i = 1; i <= KTLS_A_RULE_MAX; i++)
		if (a[i])
			rule->match |= BIT(i);
	rule->action = nla_get_u8(a[KTLS_A_RULE_ACTION]);
	if (a[KTLS_A_RULE_DIRECTION])
		rule->direction = nla_get_u8(a[KTLS_A_RULE_DIRECTION]);
	if (a[KTLS_A_RULE_VERSION])
		rule->version = nla_get_u16(a[KTLS_A_RULE_VERSION]);
	if (a[KTLS_A_RULE_CIPHER])
		rule->cipher = nla_get_u16(a[KTLS_A_RULE_CIPHER]);
	if (a[KTLS_A_RULE_MODE])
		rule->mode = nla_get_u8(a[KTLS_A_RULE_MODE]);
	if (a[KTLS_A_RULE_CGROUP_ID])
		rule->cgroup_id = nla_get_u64(a[KTLS_A_RULE_CGROUP_ID]);
	if (a[KTLS_A_RULE_PORT])
		rule->port = nla_get_be16(a[KTLS_A_RULE_PORT]);
	if (a[KTLS_A_RULE_LOCAL_PORT])
		rule->sport = nla_get_be16(a[KTLS_A_RULE_LOCAL_PORT]);
	if (a[KTLS_A_RULE_REMOTE_PORT])
		rule->dport = nla_get_be16(a[KTLS_A_RULE_REMOTE_PORT]);
	if (a[KTLS_A_RULE_COMM])
		nla_strscpy(rule->comm, a[KTLS_A_RULE_COMM],
			    sizeof(rule->comm));
	if (a[KTLS_A_RULE_UID]) {
		rule->uid = make_kuid(user_ns,
				      nla_get_u32(a[KTLS_A_RULE_UID]));
		if (!uid_valid(rule->uid)) {
			NL_SET_ERR_MSG_ATTR(extack, a[KTLS_A_RULE_UID],
					    "no such user in this user namespace");
			return -EINVAL;
		}
	}

	return 0;
}

static struct ktls_policy *ktls_parse_policy(struct genl_info *info,
					     struct user_namespace *user_ns)
{
	struct nlattr **attrs = info->attrs;
	struct ktls_policy *policy;
	struct nlattr *attr;
	unsigned int n = 0;
	int left, err;

	nlmsg_for_each_attr(attr, info->nlhdr, GENL_HDRLEN, left)
		n += nla_type(attr) == KTLS_A_POLICY_RULE;
	if (n > KTLS_RULES_LIMIT) {
		GENL_SET_ERR_MSG(info, "more than 256 rules");
		return ERR_PTR(-E2BIG);
	}

	policy = ktls_policy_alloc(n);
	if (!policy)
		return ERR_PTR(-ENOMEM);
	policy->dry_run = nla_get_flag(attrs[KTLS_A_POLICY_DRY_RUN]);
	if (attrs[KTLS_A_POLICY_DEFAULT])
		policy->fallback = nla_get_u8(attrs[KTLS_A_POLICY_DEFAULT]);

	n = 0;
	nlmsg_for_each_attr(attr, info->nlhdr, GENL_HDRLEN, left) {
		if (nla_type(attr) != KTLS_A_POLICY_RULE)
			continue;
		err = ktls_parse_rule(&policy->rule[n++], attr, user_ns,
				      info->extack);
		if (err) {
			kvfree(policy);
			return ERR_PTR(err);
		}
	}

	return policy;
}

/* A policy that is not kept is worse than none. */
static bool ktls_policy_enforceable(struct genl_info *info)
{
	const u32 need = KTLS_HOOK_SETSOCKOPT | KTLS_HOOK_SET_SW_OFFLOAD |
			 KTLS_HOOK_SET_DEVICE_OFFLOAD |
			 KTLS_HOOK_SET_DEVICE_OFFLOAD_RX | KTLS_HOOK_SET_ULP;

	if (!(ktls_hooks_missing() & need))
		return true;
	GENL_SET_ERR_MSG(info,
			 "this kernel does not let the module enforce a policy: hooks are missing, see module-get");
	return false;
}

int ktls_nl_policy_set_doit(struct sk_buff *skb, struct genl_info *info)
{
	struct ktls_net *kn = ktls_net(genl_info_net(info));
	struct nlattr **attrs = info->attrs;
	bool admin = netlink_capable(skb, CAP_NET_ADMIN);
	struct ktls_policy *policy = NULL;
	struct ktls_reader reader;
	u32 generation, next = 0;
	struct sk_buff *reply;
	void *hdr;
	int err;

	if (attrs[KTLS_A_POLICY_INHERIT] &&
	    (attrs[KTLS_A_POLICY_RULE] || attrs[KTLS_A_POLICY_DEFAULT] ||
	     attrs[KTLS_A_POLICY_DRY_RUN])) {
		NL_SET_ERR_MSG_ATTR(info->extack,
				    attrs[KTLS_A_POLICY_INHERIT],
				    "either inherit a policy or set one");
		return -EINVAL;
	}
	if (!ktls_policy_enforceable(info))
		return -EOPNOTSUPP;

	/* First whatever may fail: once it is set, the answer has to come. */
	reply = genlmsg_new(GENLMSG_DEFAULT_SIZE, GFP_KERNEL);
	if (!reply)
		return -ENOMEM;
	err = -EMSGSIZE;
	hdr = genlmsg_put_reply(reply, info, &ktls_family, 0,
				KTLS_CMD_POLICY_SET);
	if (!hdr)
		goto free;

	ktls_reader_init(&reader, skb);
	if (!attrs[KTLS_A_POLICY_INHERIT]) {
		policy = ktls_parse_policy(info, reader.user_ns);
		if (IS_ERR(policy)) {
			err = PTR_ERR(policy);
			goto free;
		}
	}
	if (attrs[KTLS_A_POLICY_GENERATION])
		generation = nla_get_u32(attrs[KTLS_A_POLICY_GENERATION]);
	err = ktls_policy_replace(kn, policy, admin,
				  attrs[KTLS_A_POLICY_GENERATION] ?
				  &generation : NULL, &next, info->extack);
	if (err) {
		kvfree(policy);
		goto free;
	}

	nla_put_u32(reply, KTLS_A_POLICY_GENERATION, next);
	genlmsg_end(reply, hdr);

	return genlmsg_reply(reply, info);
free:
	nlmsg_free(reply);
	return err;
}

int ktls_nl_policy_test_doit(struct sk_buff *skb, struct genl_info *info)
{
	struct ktls_net *kn = ktls_net(genl_info_net(info));
	struct nlattr **attrs = info->attrs;
	struct ktls_subject subject = {
		.mode	= KTLS_MODE_SW,
		.uid	= current_euid(),
	};
	struct ktls_verdict verdict;
	char comm[KTLS_COMM_LEN];
	struct ktls_reader reader;
	struct sk_buff *reply;
	u64 cgroup_id;
	void *hdr;
	int err;

	if (!attrs[KTLS_A_QUESTION_STEP]) {
		GENL_SET_ERR_MSG(info, "what is attempted? give a step");
		return -EINVAL;
	}
	subject.step = nla_get_u8(attrs[KTLS_A_QUESTION_STEP]);
	if (subject.step != KTLS_STEP_ULP &&
	    (!attrs[KTLS_A_QUESTION_VERSION] ||
	     !attrs[KTLS_A_QUESTION_CIPHER])) {
		GENL_SET_ERR_MSG(info,
				 "with which key? give version and cipher");
		return -EINVAL;
	}
	ktls_reader_init(&reader, skb);
	if (attrs[KTLS_A_QUESTION_VERSION])
		subject.version = nla_get_u16(attrs[KTLS_A_QUESTION_VERSION]);
	if (attrs[KTLS_A_QUESTION_CIPHER])
		subject.cipher = nla_get_u16(attrs[KTLS_A_QUESTION_CIPHER]);
	if (attrs[KTLS_A_QUESTION_MODE])
		subject.mode = nla_get_u8(attrs[KTLS_A_QUESTION_MODE]);
	if (attrs[KTLS_A_QUESTION_LOCAL_PORT])
		subject.sport = nla_get_be16(attrs[KTLS_A_QUESTION_LOCAL_PORT]);
	if (attrs[KTLS_A_QUESTION_REMOTE_PORT])
		subject.dport =
			nla_get_be16(attrs[KTLS_A_QUESTION_REMOTE_PORT]);
	if (attrs[KTLS_A_QUESTION_UID]) {
		subject.uid = make_kuid(reader.user_ns,
					nla_get_u32(attrs[KTLS_A_QUESTION_UID]));
		if (!uid_valid(subject.uid)) {
			NL_SET_ERR_MSG_ATTR(info->extack,
					    attrs[KTLS_A_QUESTION_UID],
					    "no such user in this user namespace");
			return -EINVAL;
		}
	}
	if (attrs[KTLS_A_QUESTION_COMM])
		nla_strscpy(comm, attrs[KTLS_A_QUESTION_COMM], sizeof(comm));
	else
		get_task_comm(comm, current->group_leader);
	subject.comm = comm;
	if (attrs[KTLS_A_QUESTION_CGROUP_ID])
		cgroup_id = nla_get_u64(attrs[KTLS_A_QUESTION_CGROUP_ID]);

	err = ktls_policy_ask(kn, &subject, attrs[KTLS_A_QUESTION_CGROUP_ID] ?
			      &cgroup_id : NULL,
			      netlink_capable(skb, CAP_NET_ADMIN), &verdict);
	if (err == -EACCES)
		GENL_SET_ERR_MSG(info,
				 "the host's policy has a say here, and is not yours to ask");
	else if (err)
		NL_SET_ERR_MSG_ATTR(info->extack,
				    attrs[KTLS_A_QUESTION_CGROUP_ID],
				    "no cgroup of this number in your cgroup namespace");
	if (err)
		return err;

	reply = genlmsg_new(GENLMSG_DEFAULT_SIZE, GFP_KERNEL);
	if (!reply)
		return -ENOMEM;
	hdr = genlmsg_put_reply(reply, info, &ktls_family, 0,
				KTLS_CMD_POLICY_TEST);
	if (!hdr ||
	    nla_put_u8(reply, KTLS_A_QUESTION_ACTION, verdict.action) ||
	    (verdict.rule &&
	     nla_put_u32(reply, KTLS_A_QUESTION_RULE, verdict.rule)) ||
	    (verdict.flags &&
	     nla_put_u32(reply, KTLS_A_QUESTION_FLAGS, verdict.flags))) {
		nlmsg_free(reply);
		return -EMSGSIZE;
	}
	genlmsg_end(reply, hdr);

	return genlmsg_reply(reply, info);
}
