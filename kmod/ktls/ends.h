/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _KTLS_ENDS_H
#define _KTLS_ENDS_H

#include <linux/types.h>

struct sock;

/**
 * struct ktls_ends - addresses and ports of a connection
 * @family: AF_INET or AF_INET6
 * @sport: local port, network byte order
 * @dport: remote port, network byte order
 * @saddr: local address; IPv4 in the first 4 bytes
 * @daddr: remote address, likewise
 */
struct ktls_ends {
	u16 family;
	__be16 sport;
	__be16 dport;
	u8 saddr[16];
	u8 daddr[16];
};

void ktls_ends_of(struct ktls_ends *ends, const struct sock *sk);
u64 ktls_cookie_of(struct sock *sk);

#endif /* _KTLS_ENDS_H */
