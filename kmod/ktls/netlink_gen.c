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
const struct nla_policy ktls_filter_nl_policy[KTLS_A_FILTER_CGROUP_ID + 1] = {
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

/* Ops table for ktls */
const struct genl_ops ktls_nl_ops[3] = {
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
};

static const struct genl_multicast_group ktls_nl_mcgrps[] = {
	[KTLS_NLGRP_SOCKETS] = { "sockets", },
};
