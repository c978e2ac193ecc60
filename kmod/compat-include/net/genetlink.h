/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _KTLS_COMPAT_NET_GENETLINK_H
#define _KTLS_COMPAT_NET_GENETLINK_H

#include <linux/version.h>
#include_next <net/genetlink.h>

/* Goes with 6.1: 6.6 embeds a struct genl_info in the dump's state. Both have
 * the parsed attributes under the same name.
 */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 6, 0)
#define genl_info_dump(cb)	genl_dumpit_info(cb)
#endif

#endif /* _KTLS_COMPAT_NET_GENETLINK_H */
