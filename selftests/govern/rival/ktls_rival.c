// SPDX-License-Identifier: GPL-2.0
/* What others do where ktls.ko is, for a test: to hook a function as a live patch
 * does, and to take keys as a network device does.
 */

#include <linux/ftrace.h>
#include <linux/module.h>
#include <linux/netdevice.h>
#include <linux/nsproxy.h>
#include <linux/sched.h>
#include <net/net_namespace.h>
#include <net/tls.h>

static bool hook;
module_param(hook, bool, 0444);
MODULE_PARM_DESC(hook, "hook tcp_set_ulp()");

static bool device;
module_param(device, bool, 0444);
MODULE_PARM_DESC(device, "lo of the loader's network namespace can do TLS");

static bool refuse;
module_param(refuse, bool, 0644);
MODULE_PARM_DESC(refuse, "it does not take keys");

/* It leads where it led before; to claim the function is enough. */
static void notrace rival_hook(unsigned long ip, unsigned long parent_ip,
			       struct ftrace_ops *ops,
			       struct ftrace_regs *fregs)
{
}

static struct ftrace_ops rival_ops = {
	.func	= rival_hook,
	.flags	= FTRACE_OPS_FL_IPMODIFY,
};

/* As long as a key is there, so is the module. */
static int rival_dev_add(struct net_device *netdev, struct sock *sk,
			 enum tls_offload_ctx_dir direction,
			 struct tls_crypto_info *crypto_info,
			 u32 start_offload_tcp_sn)
{
	if (refuse || !try_module_get(THIS_MODULE))
		return -ENOSPC;

	return 0;
}

static void rival_dev_del(struct net_device *netdev,
			  struct tls_context *tls_ctx,
			  enum tls_offload_ctx_dir direction)
{
	module_put(THIS_MODULE);
}

static int rival_dev_resync(struct net_device *netdev, struct sock *sk, u32 seq,
			    u8 *rcd_sn, enum tls_offload_ctx_dir direction)
{
	return 0;
}

static const struct tlsdev_ops rival_tlsdev_ops = {
	.tls_dev_add	= rival_dev_add,
	.tls_dev_del	= rival_dev_del,
	.tls_dev_resync	= rival_dev_resync,
};

#define RIVAL_FEATURES	(NETIF_F_HW_TLS_TX | NETIF_F_HW_TLS_RX)

/* With a reference, so that its device stays. */
static struct net *rival_net;

static int __init rival_init(void)
{
	/* It is written to. */
	static char name[] = "tcp_set_ulp";
	int err;

	if (hook) {
		err = ftrace_set_filter(&rival_ops, name, strlen(name), 0);
		if (!err)
			err = register_ftrace_function(&rival_ops);
		if (err) {
			ftrace_free_filter(&rival_ops);
			return err;
		}
	}
	if (device) {
		rival_net = get_net(current->nsproxy->net_ns);
		rtnl_lock();
		rival_net->loopback_dev->tlsdev_ops = &rival_tlsdev_ops;
		rival_net->loopback_dev->features |= RIVAL_FEATURES;
		rtnl_unlock();
	}

	return 0;
}

static void __exit rival_exit(void)
{
	if (hook) {
		unregister_ftrace_function(&rival_ops);
		ftrace_free_filter(&rival_ops);
	}
	if (device) {
		rtnl_lock();
		rival_net->loopback_dev->features &= ~RIVAL_FEATURES;
		rival_net->loopback_dev->tlsdev_ops = NULL;
		rtnl_unlock();
		/* Whoever is about to ask it. */
		synchronize_net();
		put_net(rival_net);
	}
}

module_init(rival_init);
module_exit(rival_exit);

MODULE_DESCRIPTION("What others do where ktls is, for a test");
MODULE_LICENSE("GPL");
