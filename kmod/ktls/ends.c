// SPDX-License-Identifier: GPL-2.0
/* What names a socket: its two ends, and its cookie. */

#include <linux/sock_diag.h>
#include <linux/string.h>
#include <net/inet_sock.h>
#include <net/ipv6.h>

#include "ends.h"

/**
 * ktls_ends_of() - addresses and ports of a TCP socket
 * @ends: result
 * @sk: socket
 */
void ktls_ends_of(struct ktls_ends *ends, const struct sock *sk)
{
	const struct inet_sock *inet = inet_sk(sk);

	memset(ends, 0, sizeof(*ends));
	ends->family = sk->sk_family;
	ends->sport = inet->inet_sport;
	ends->dport = inet->inet_dport;
#if IS_ENABLED(CONFIG_IPV6)
	if (sk->sk_family == AF_INET6) {
		memcpy(ends->saddr, &sk->sk_v6_rcv_saddr, sizeof(ends->saddr));
		memcpy(ends->daddr, &sk->sk_v6_daddr, sizeof(ends->daddr));
		return;
	}
#endif
	memcpy(ends->saddr, &inet->inet_rcv_saddr, sizeof(__be32));
	memcpy(ends->daddr, &inet->inet_daddr, sizeof(__be32));
}

/**
 * ktls_cookie_of() - the number that names a socket while the host runs
 * @sk: socket
 *
 * sock_gen_cookie() itself is not exported.
 */
u64 ktls_cookie_of(struct sock *sk)
{
	u32 cookie[2];

	sock_diag_save_cookie(sk, cookie);

	return cookie[0] | (u64)cookie[1] << 32;
}
