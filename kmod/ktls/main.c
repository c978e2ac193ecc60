// SPDX-License-Identifier: GPL-2.0
/* ktls: makes kernel TLS visible. */

#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/kmod.h>
#include <linux/module.h>
#include <linux/timekeeping.h>
#include <net/net_namespace.h>
#include <net/netns/generic.h>
#include <net/tls.h>

#include "adopt.h"
#include "events.h"
#include "hooks.h"
#include "main.h"
#include "netlink.h"
#include "policy.h"
#include "sockets.h"

u64 ktls_load_time;

static unsigned int ktls_net_id;

/**
 * ktls_net() - what the module keeps for a network namespace
 * @net: namespace
 */
struct ktls_net *ktls_net(const struct net *net)
{
	return net_generic(net, ktls_net_id);
}

static int __net_init ktls_net_init(struct net *net)
{
	struct ktls_net *kn = ktls_net(net);

	kn->net = net;
	ktls_events_net_init(kn);
	ktls_attempts_net_init(kn);
	ktls_sockets_net_init(kn);

	return 0;
}

static void __net_exit ktls_net_pre_exit(struct net *net)
{
	ktls_sockets_net_pre_exit(ktls_net(net));
}

static void __net_exit ktls_net_exit(struct net *net)
{
	struct ktls_net *kn = ktls_net(net);

	ktls_events_net_exit(kn);
	ktls_sockets_net_exit(kn);
	ktls_attempts_net_exit(kn);
	ktls_policy_net_exit(kn);
}

static struct pernet_operations ktls_net_ops = {
	.init		= ktls_net_init,
	.pre_exit	= ktls_net_pre_exit,
	.exit		= ktls_net_exit,
	.id		= &ktls_net_id,
	.size		= sizeof(struct ktls_net),
};

/* Any symbol of tls.ko will do: whoever has one keeps the module. */
static bool ktls_pin_tls(void)
{
	if (symbol_get(tls_validate_xmit_skb))
		return true;
	request_module("tcp-ulp-tls");
	return symbol_get(tls_validate_xmit_skb);
}

static void ktls_unpin_tls(void)
{
	symbol_put(tls_validate_xmit_skb);
}

static int __init ktls_init(void)
{
	int err;

	/* Observers take the locks of sockets where nobody may sleep. */
	if (IS_ENABLED(CONFIG_PREEMPT_RT)) {
		pr_err("kernels with PREEMPT_RT are not supported\n");
		return -EOPNOTSUPP;
	}
	if (!ktls_pin_tls()) {
		pr_err("no kernel TLS: the module tls (CONFIG_TLS=m, CONFIG_TLS_DEVICE=y) is not there\n");
		return -ENOENT;
	}
	ktls_load_time = ktime_get_real_ns();

	err = ktls_events_init();
	if (err)
		goto unpin;
	err = ktls_sockets_init();
	if (err)
		goto events;
	err = register_pernet_subsys(&ktls_net_ops);
	if (err)
		goto sockets;
	err = ktls_hooks_arm();
	if (err) {
		pr_err("nothing can be observed: ftrace does not let us hook tls_sk_proto_close(), tls_sw_release_resources_tx() and tls_ctx_free(); if kernel.ftrace_enabled is 0, type: sysctl kernel.ftrace_enabled=1\n");
		goto pernet;
	}
	ktls_adopt_all();
	err = ktls_netlink_init();
	if (err)
		goto disarm;

	pr_info("%s, observing%s\n", KTLS_VERSION,
		ktls_hooks_missing() ? " in part, see above" : "");

	return 0;

disarm:
	ktls_hooks_disarm_adders();
	ktls_hooks_disarm_removers();
pernet:
	unregister_pernet_subsys(&ktls_net_ops);
sockets:
	ktls_sockets_exit();
events:
	ktls_events_exit();
unpin:
	ktls_unpin_tls();
	return err;
}

static void __exit ktls_exit(void)
{
	/* Nobody hears of a socket, nobody looks at one, none comes in, none
	 * leaves: in this order, because each needs those behind it.
	 */
	ktls_events_stop();
	ktls_netlink_exit();
	ktls_hooks_disarm_adders();
	ktls_hooks_disarm_removers();
	unregister_pernet_subsys(&ktls_net_ops);
	ktls_sockets_exit();
	ktls_events_exit();
	ktls_unpin_tls();
}

module_init(ktls_init);
module_exit(ktls_exit);

MODULE_DESCRIPTION("Kernel TLS made visible: sockets, counters, events");
MODULE_LICENSE("GPL");
MODULE_VERSION(KTLS_VERSION);
