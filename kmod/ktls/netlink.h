/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _KTLS_NETLINK_H
#define _KTLS_NETLINK_H

#include <linux/types.h>

struct ktls_net;
struct ktls_socket;

bool ktls_netlink_has_listeners(const struct ktls_net *kn);
void ktls_netlink_notify(struct ktls_socket *ks, u8 cmd, int dir);

int ktls_netlink_init(void);
void ktls_netlink_exit(void);

#endif /* _KTLS_NETLINK_H */
