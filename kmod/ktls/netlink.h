/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _KTLS_NETLINK_H
#define _KTLS_NETLINK_H

#include <linux/netlink.h>
#include <linux/types.h>
#include <linux/uidgid.h>

struct genl_family;
struct ktls_attempt;
struct ktls_net;
struct ktls_socket;
struct pid_namespace;
struct sk_buff;
struct user_namespace;

extern struct genl_family ktls_family;

/**
 * struct ktls_reader - who asks
 * @user_ns: namespace in whose terms they know users
 * @pid_ns: namespace in whose terms they know processes
 * @uid: their user
 * @admin: they may see everything
 */
struct ktls_reader {
	struct user_namespace *user_ns;
	struct pid_namespace *pid_ns;
	kuid_t uid;
	bool admin;
};

/**
 * struct ktls_dump - where a dump goes on
 * @next: least number that was not looked at: a socket's cookie, that of a closed
 *	socket, an attempt's, or of a cell
 * @waited: how long it has waited for owners of sockets, jiffies
 */
struct ktls_dump {
	u64 next;
	unsigned long waited;
};

static inline struct ktls_dump *ktls_dump(struct netlink_callback *cb)
{
	BUILD_BUG_ON(sizeof(struct ktls_dump) > sizeof(cb->ctx));

	return (struct ktls_dump *)cb->ctx;
}

void ktls_reader_init(struct ktls_reader *reader, struct sk_buff *skb);
bool ktls_reader_sees(const struct ktls_reader *reader, kuid_t uid);

bool ktls_netlink_has_listeners(const struct ktls_net *kn, unsigned int group);
void ktls_netlink_multicast(struct ktls_net *kn, struct sk_buff *skb,
			    unsigned int group);
void ktls_netlink_notify(struct ktls_socket *ks, u8 cmd, int dir);
void ktls_netlink_notify_attempt(struct ktls_net *kn,
				 const struct ktls_attempt *attempt);

int ktls_netlink_init(void);
void ktls_netlink_exit(void);

#endif /* _KTLS_NETLINK_H */
