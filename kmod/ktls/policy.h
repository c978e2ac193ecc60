/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _KTLS_POLICY_H
#define _KTLS_POLICY_H

#include <linux/types.h>
#include <linux/uidgid.h>

#include "attempts.h"

struct cgroup;
struct ktls_net;
struct ktls_socket;
struct netlink_ext_ack;

/* Most rules of a policy: each is tried in turn with every key. */
#define KTLS_RULES_LIMIT	256

/**
 * struct ktls_rule - what to do with attempts of a kind
 * @match: attributes that an attempt has to have, BIT(KTLS_A_RULE_*)
 * @action: &enum ktls_action
 * @direction: &enum ktls_direction
 * @mode: &enum ktls_mode
 * @version: protocol
 * @cipher: of the key
 * @uid: effective user
 * @cgroup_id: cgroup that the process is in or below
 * @port: of either end, network byte order
 * @sport: local port, likewise
 * @dport: remote port, likewise
 * @comm: command
 * @hits: attempts it decided
 */
struct ktls_rule {
	u32 match;
	u8 action;
	u8 direction;
	u8 mode;
	u16 version;
	u16 cipher;
	kuid_t uid;
	u64 cgroup_id;
	__be16 port;
	__be16 sport;
	__be16 dport;
	char comm[KTLS_COMM_LEN];
	atomic64_t hits;
};

/**
 * struct ktls_policy - rules in their order; never changed but for the hits
 * @rcu: to free it
 * @number: of the change that set it, which is no other's; from 1
 * @admin: was set with CAP_NET_ADMIN in the initial user namespace
 * @dry_run: nothing is denied
 * @fallback: &enum ktls_action where no rule matches
 * @hits: attempts that @fallback decided
 * @n_rules: how many
 * @rule: the rules
 */
struct ktls_policy {
	struct rcu_head rcu;
	unsigned long number;
	bool admin;
	bool dry_run;
	u8 fallback;
	atomic64_t hits;
	unsigned int n_rules;
	struct ktls_rule rule[];
};

/**
 * struct ktls_subject - what a policy is asked about
 * @step: &enum ktls_step
 * @mode: &enum ktls_mode that the key is to have
 * @version: protocol
 * @cipher: of the key
 * @uid: effective user
 * @cgroup: of the process, or NULL
 * @sport: local port, network byte order
 * @dport: remote port, likewise
 * @comm: command
 */
struct ktls_subject {
	u8 step;
	u8 mode;
	u16 version;
	u16 cipher;
	kuid_t uid;
	struct cgroup *cgroup;
	__be16 sport;
	__be16 dport;
	const char *comm;
};

/**
 * struct ktls_word - what a policy says of an attempt
 * @policy: its number, 0 if it says nothing
 * @rule: the rule that decides, from 1; 0 for the default
 */
struct ktls_word {
	unsigned long policy;
	u16 rule;
};

/**
 * struct ktls_judgement - what is said of an attempt
 * @verdict: in the end
 * @own: what the namespace's policy says
 * @initial: what the initial namespace's says, if it is asked
 */
struct ktls_judgement {
	struct ktls_verdict verdict;
	struct ktls_word own;
	struct ktls_word initial;
};

int ktls_policy_enforce(struct ktls_net *kn, const struct ktls_attempt *attempt,
			u8 mode, struct ktls_judgement *judgement);
void ktls_policy_count(struct ktls_net *kn,
		       const struct ktls_judgement *judgement);
int ktls_policy_ask(struct ktls_net *kn, struct ktls_subject *subject,
		    const u64 *cgroup_id, bool admin,
		    struct ktls_verdict *verdict);
bool ktls_policy_violated(struct ktls_net *kn, struct ktls_socket *ks,
			  int *rule);

struct ktls_policy *ktls_policy_alloc(unsigned int n_rules);
int ktls_policy_replace(struct ktls_net *kn, struct ktls_policy *policy,
			bool admin, const u32 *generation, u32 *next,
			struct netlink_ext_ack *extack);
const struct ktls_policy *ktls_policy_in_force(struct ktls_net *kn,
					       bool *inherited,
					       u32 *generation);
void ktls_policy_net_exit(struct ktls_net *kn);

#endif /* _KTLS_POLICY_H */
