/* SPDX-License-Identifier: ((GPL-2.0 WITH Linux-syscall-note) OR BSD-3-Clause) */
/* Do not edit directly, auto-generated from: */
/*	Documentation/netlink/specs/ktls.yaml */
/* YNL-GEN kernel header */
/* To regenerate run: tools/net/ynl/ynl-regen.sh */

#ifndef _LINUX_KTLS_GEN_H
#define _LINUX_KTLS_GEN_H

#include <net/netlink.h>
#include <net/genetlink.h>

#include <uapi/linux/ktls.h>

/* Common nested types */
extern const struct nla_policy ktls_attempt_filter_nl_policy[KTLS_A_ATTEMPT_FILTER_FAILED + 1];
extern const struct nla_policy ktls_filter_nl_policy[KTLS_A_FILTER_VIOLATES + 1];
extern const struct nla_policy ktls_rule_nl_policy[KTLS_A_RULE_HITS + 1];

extern const struct nla_policy ktls_module_get_nl_policy[KTLS_A_MODULE_PAD + 1];

extern const struct nla_policy ktls_socket_get_nl_policy[KTLS_A_SOCKET_FILTER + 1];

extern const struct nla_policy ktls_totals_get_nl_policy[KTLS_A_TOTALS_CIPHER + 1];

extern const struct nla_policy ktls_attempt_get_nl_policy[KTLS_A_ATTEMPT_FILTER + 1];

extern const struct nla_policy ktls_outcome_get_nl_policy[KTLS_A_OUTCOME_ERRNO + 1];

extern const struct nla_policy ktls_policy_get_nl_policy[KTLS_A_POLICY_INHERIT + 1];

extern const struct nla_policy ktls_policy_set_nl_policy[KTLS_A_POLICY_RULE + 1];

extern const struct nla_policy ktls_policy_test_nl_policy[KTLS_A_QUESTION_COMM + 1];

/* Ops table for ktls */
extern const struct genl_ops ktls_nl_ops[8];

int ktls_nl_module_get_doit(struct sk_buff *skb, struct genl_info *info);
int ktls_nl_socket_get_doit(struct sk_buff *skb, struct genl_info *info);
int ktls_nl_socket_get_dumpit(struct sk_buff *skb, struct netlink_callback *cb);
int ktls_nl_totals_get_doit(struct sk_buff *skb, struct genl_info *info);
int ktls_nl_totals_get_dumpit(struct sk_buff *skb, struct netlink_callback *cb);
int ktls_nl_attempt_get_doit(struct sk_buff *skb, struct genl_info *info);
int ktls_nl_attempt_get_dumpit(struct sk_buff *skb,
			       struct netlink_callback *cb);
int ktls_nl_outcome_get_doit(struct sk_buff *skb, struct genl_info *info);
int ktls_nl_outcome_get_dumpit(struct sk_buff *skb,
			       struct netlink_callback *cb);
int ktls_nl_policy_get_doit(struct sk_buff *skb, struct genl_info *info);
int ktls_nl_policy_set_doit(struct sk_buff *skb, struct genl_info *info);
int ktls_nl_policy_test_doit(struct sk_buff *skb, struct genl_info *info);

enum {
	KTLS_NLGRP_SOCKETS,
	KTLS_NLGRP_ATTEMPTS,
};

#endif /* _LINUX_KTLS_GEN_H */
