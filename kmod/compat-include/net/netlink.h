/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _KTLS_COMPAT_NET_NETLINK_H
#define _KTLS_COMPAT_NET_NETLINK_H

#include <linux/version.h>
#include_next <net/netlink.h>

/* Goes with 6.1: "uint", a number in 4 or 8 bytes as it needs, came in 6.7. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 7, 0)
static inline int nla_put_uint(struct sk_buff *skb, int attrtype, u64 value)
{
	u32 low = value;

	if (value == low)
		return nla_put_u32(skb, attrtype, low);
	return nla_put(skb, attrtype, sizeof(value), &value);
}
#endif

#endif /* _KTLS_COMPAT_NET_NETLINK_H */
