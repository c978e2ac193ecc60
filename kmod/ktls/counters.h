/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _KTLS_COUNTERS_H
#define _KTLS_COUNTERS_H

#include <linux/types.h>

struct sock;
struct tls_context;

/* Numbers that TLS and TCP keep anyway. Each grows without limit (64 bits) from
 * an origin of its own; only differences mean something.
 *
 * All of these want the socket to hold still: the caller owns the socket lock,
 * or has the socket's spinlock while nobody owns it.
 */
bool ktls_fin_sent(const struct sock *sk, bool fin_sent);
u64 ktls_wire_tx(const struct sock *sk, const struct tls_context *ctx,
		 bool fin_sent);
bool ktls_wire_tx_known(const struct sock *sk, const struct tls_context *ctx);
u64 ktls_wire_rx(const struct sock *sk, const struct tls_context *ctx);
u64 ktls_record_number(const struct tls_context *ctx, bool tx);

/* The number that the current key began with; needs no lock but the key's own
 * existence.
 */
u64 ktls_first_record_number(const struct tls_context *ctx, bool tx);

#endif /* _KTLS_COUNTERS_H */
