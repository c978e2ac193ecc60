// SPDX-License-Identifier: ((GPL-2.0 WITH Linux-syscall-note) OR BSD-3-Clause)
/* Do not edit directly, auto-generated from: */
/*	Documentation/netlink/specs/ktls.yaml */
/* YNL-GEN kernel source */
/* To regenerate run: tools/net/ynl/ynl-regen.sh */

#include <net/netlink.h>
#include <net/genetlink.h>

#include "netlink_gen.h"

#include <uapi/linux/ktls.h>

/* Common nested types */
const struct nla_policy ktls_attempt_filter_nl_policy[KTLS_A_ATTEMPT_FILTER_FAILED + 1] = {
	[KTLS_A_ATTEMPT_FILTER_FAILED] = { .type = NLA_FLAG, },
};

const struct nla_policy ktls_filter_nl_policy[KTLS_A_FILTER_VIOLATES + 1] = {
	[KTLS_A_FILTER_CLOSED] = { .type = NLA_FLAG, },
	[KTLS_A_FILTER_DIRECTION] = NLA_POLICY_MAX(NLA_U8, 1),
	[KTLS_A_FILTER_MODE] = NLA_POLICY_MAX(NLA_U8, 2),
	[KTLS_A_FILTER_VERSION] = NLA_POLICY_RANGE(NLA_U16, 771, 772),
	[KTLS_A_FILTER_CIPHER] = NLA_POLICY_RANGE(NLA_U16, 51, 58),
	[KTLS_A_FILTER_PORT] = { .type = NLA_BE16, },
	[KTLS_A_FILTER_LOCAL_PORT] = { .type = NLA_BE16, },
	[KTLS_A_FILTER_REMOTE_PORT] = { .type = NLA_BE16, },
	[KTLS_A_FILTER_UID] = { .type = NLA_U32, },
	[KTLS_A_FILTER_PID] = { .type = NLA_U32, },
	[KTLS_A_FILTER_CGROUP_ID] = { .type = NLA_U64, },
	[KTLS_A_FILTER_VIOLATES] = { .type = NLA_FLAG, },
};

const struct nla_policy ktls_rule_nl_policy[KTLS_A_RULE_HITS + 1] = {
	[KTLS_A_RULE_ACTION] = NLA_POLICY_MAX(NLA_U8, 2),
	[KTLS_A_RULE_ULP] = { .type = NLA_FLAG, },
	[KTLS_A_RULE_DIRECTION] = NLA_POLICY_MAX(NLA_U8, 1),
	[KTLS_A_RULE_VERSION] = NLA_POLICY_RANGE(NLA_U16, 771, 772),
	[KTLS_A_RULE_CIPHER] = NLA_POLICY_RANGE(NLA_U16, 51, 58),
	[KTLS_A_RULE_MODE] = NLA_POLICY_RANGE(NLA_U8, 1, 2),
	[KTLS_A_RULE_UID] = { .type = NLA_U32, },
	[KTLS_A_RULE_CGROUP_ID] = { .type = NLA_U64, },
	[KTLS_A_RULE_PORT] = { .type = NLA_BE16, },
	[KTLS_A_RULE_LOCAL_PORT] = { .type = NLA_BE16, },
	[KTLS_A_RULE_REMOTE_PORT] = { .type = NLA_BE16, },
	[KTLS_A_RULE_COMM] = { .type = NLA_NUL_STRING, .len = 15, },
	[KTLS_A_RULE_HITS] = { .type = NLA_U64, },
};

/* KTLS_CMD_MODULE_GET - do */
const struct nla_policy ktls_module_get_nl_policy[KTLS_A_MODULE_PAD + 1] = {
};

/* KTLS_CMD_SOCKET_GET - do */
const struct nla_policy ktls_socket_get_nl_policy[KTLS_A_SOCKET_FILTER + 1] = {
	[KTLS_A_SOCKET_COOKIE] = { .type = NLA_U64, },
	[KTLS_A_SOCKET_FILTER] = NLA_POLICY_NESTED(ktls_filter_nl_policy),
};

/* KTLS_CMD_TOTALS_GET - do */
const struct nla_policy ktls_totals_get_nl_policy[KTLS_A_TOTALS_CIPHER + 1] = {
	[KTLS_A_TOTALS_DIRECTION] = NLA_POLICY_MAX(NLA_U8, 1),
	[KTLS_A_TOTALS_MODE] = NLA_POLICY_MAX(NLA_U8, 2),
	[KTLS_A_TOTALS_VERSION] = NLA_POLICY_RANGE(NLA_U16, 771, 772),
	[KTLS_A_TOTALS_CIPHER] = NLA_POLICY_RANGE(NLA_U16, 51, 58),
};

/* KTLS_CMD_ATTEMPT_GET - do */
const struct nla_policy ktls_attempt_get_nl_policy[KTLS_A_ATTEMPT_FILTER + 1] = {
	[KTLS_A_ATTEMPT_NUMBER] = { .type = NLA_U64, },
	[KTLS_A_ATTEMPT_FILTER] = NLA_POLICY_NESTED(ktls_attempt_filter_nl_policy),
};

/* KTLS_CMD_OUTCOME_GET - do */
const struct nla_policy ktls_outcome_get_nl_policy[KTLS_A_OUTCOME_ERRNO + 1] = {
	[KTLS_A_OUTCOME_STEP] = NLA_POLICY_MAX(NLA_U8, 4),
	[KTLS_A_OUTCOME_ERRNO] = { .type = NLA_U32, },
};

/* KTLS_CMD_POLICY_GET - do */
const struct nla_policy ktls_policy_get_nl_policy[KTLS_A_POLICY_INHERIT + 1] = {
	[KTLS_A_POLICY_INHERIT] = { .type = NLA_FLAG, },
};

/* KTLS_CMD_POLICY_SET - do */
const struct nla_policy ktls_policy_set_nl_policy[KTLS_A_POLICY_RULE + 1] = {
	[KTLS_A_POLICY_GENERATION] = { .type = NLA_U32, },
	[KTLS_A_POLICY_DEFAULT] = NLA_POLICY_MAX(NLA_U8, 2),
	[KTLS_A_POLICY_DRY_RUN] = { .type = NLA_FLAG, },
	[KTLS_A_POLICY_INHERIT] = { .type = NLA_FLAG, },
	[KTLS_A_POLICY_RULE] = NLA_POLICY_NESTED(ktls_rule_nl_policy),
};

/* KTLS_CMD_POLICY_TEST - do */
const struct nla_policy ktls_policy_test_nl_policy[KTLS_A_QUESTION_COMM + 1] = {
	[KTLS_A_QUESTION_STEP] = NLA_POLICY_MAX(NLA_U8, 4),
	[KTLS_A_QUESTION_VERSION] = NLA_POLICY_RANGE(NLA_U16, 771, 772),
	[KTLS_A_QUESTION_CIPHER] = NLA_POLICY_RANGE(NLA_U16, 51, 58),
	[KTLS_A_QUESTION_MODE] = NLA_POLICY_RANGE(NLA_U8, 1, 2),
	[KTLS_A_QUESTION_UID] = { .type = NLA_U32, },
	[KTLS_A_QUESTION_CGROUP_ID] = { .type = NLA_U64, },
	[KTLS_A_QUESTION_LOCAL_PORT] = { .type = NLA_BE16, },
	[KTLS_A_QUESTION_REMOTE_PORT] = { .type = NLA_BE16, },
	[KTLS_A_QUESTION_COMM] = { .type = NLA_NUL_STRING, .len = 15, },
};

/* Ops table for ktls */
const struct genl_ops ktls_nl_ops[8] = {
	{
		.cmd		= KTLS_CMD_MODULE_GET,
		.doit		= ktls_nl_module_get_doit,
		.policy		= ktls_module_get_nl_policy,
		.maxattr	= KTLS_A_MODULE_PAD,
	},
	{
		.cmd		= KTLS_CMD_SOCKET_GET,
		.doit		= ktls_nl_socket_get_doit,
		.dumpit		= ktls_nl_socket_get_dumpit,
		.policy		= ktls_socket_get_nl_policy,
		.maxattr	= KTLS_A_SOCKET_FILTER,
	},
	{
		.cmd		= KTLS_CMD_TOTALS_GET,
		.doit		= ktls_nl_totals_get_doit,
		.dumpit		= ktls_nl_totals_get_dumpit,
		.policy		= ktls_totals_get_nl_policy,
		.maxattr	= KTLS_A_TOTALS_CIPHER,
	},
	{
		.cmd		= KTLS_CMD_ATTEMPT_GET,
		.doit		= ktls_nl_attempt_get_doit,
		.dumpit		= ktls_nl_attempt_get_dumpit,
		.policy		= ktls_attempt_get_nl_policy,
		.maxattr	= KTLS_A_ATTEMPT_FILTER,
	},
	{
		.cmd		= KTLS_CMD_OUTCOME_GET,
		.doit		= ktls_nl_outcome_get_doit,
		.dumpit		= ktls_nl_outcome_get_dumpit,
		.policy		= ktls_outcome_get_nl_policy,
		.maxattr	= KTLS_A_OUTCOME_ERRNO,
	},
	{
		.cmd		= KTLS_CMD_POLICY_GET,
		.doit		= ktls_nl_policy_get_doit,
		.policy		= ktls_policy_get_nl_policy,
		.maxattr	= KTLS_A_POLICY_INHERIT,
		.flags		= GENL_UNS_ADMIN_PERM,
	},
	{
		.cmd		= KTLS_CMD_POLICY_SET,
		.doit		= ktls_nl_policy_set_doit,
		.policy		= ktls_policy_set_nl_policy,
		.maxattr	= KTLS_A_POLICY_RULE,
		.flags		= GENL_UNS_ADMIN_PERM,
	},
	{
		.cmd		= KTLS_CMD_POLICY_TEST,
		.doit		= ktls_nl_policy_test_doit,
		.policy		= ktls_policy_test_nl_policy,
		.maxattr	= KTLS_A_QUESTION_COMM,
		.flags		= GENL_UNS_ADMIN_PERM,
	},
};

static const struct genl_multicast_group ktls_nl_mcgrps[] = {
	[KTLS_NLGRP_SOCKETS] = { "sockets", },
	[KTLS_NLGRP_ATTEMPTS] = { "attempts", },
};
