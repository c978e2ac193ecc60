/* SPDX-License-Identifier: GPL-2.0 */
/* What is needed of net/tls/tls.h: that header is private to the in-tree module,
 * and not shipped with a distribution's headers.
 */
#ifndef _KTLS_COMPAT_NET_TLS_OFFLOAD_H
#define _KTLS_COMPAT_NET_TLS_OFFLOAD_H

#include <linux/skmsg.h>
#include <linux/version.h>
#include <net/tls.h>

/* How a record to be sent begins, since 4.20. Only the kernel makes one. */
struct tls_rec {
	struct list_head list;
	int tx_ready;
	int tx_flags;

	struct sk_msg msg_plaintext;
	struct sk_msg msg_encrypted;
};

/* Parameters of the functions that are hooked. */

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 7, 0)
/* Goes with 6.1. */
#define splicing_pages			in_tcp_sendpages
#define TLS_SET_SW_OFFLOAD_PARAMS \
	struct sock *sk, struct tls_context *ctx, int tx
#define TLS_SET_SW_OFFLOAD_ARGS		sk, ctx, tx
#define TLS_SET_DEVICE_OFFLOAD_PARAMS \
	struct sock *sk, struct tls_context *ctx
#define TLS_SET_DEVICE_OFFLOAD_ARGS	sk, ctx
#elif LINUX_VERSION_CODE < KERNEL_VERSION(6, 14, 0)
/* Goes with 6.12. */
#define TLS_SET_SW_OFFLOAD_PARAMS	struct sock *sk, int tx
#define TLS_SET_SW_OFFLOAD_ARGS		sk, tx
#define TLS_SET_DEVICE_OFFLOAD_PARAMS	struct sock *sk
#define TLS_SET_DEVICE_OFFLOAD_ARGS	sk
#else
#define TLS_SET_SW_OFFLOAD_PARAMS \
	struct sock *sk, int tx, struct tls_crypto_info *new_crypto_info
#define TLS_SET_SW_OFFLOAD_ARGS		sk, tx, new_crypto_info
#define TLS_SET_DEVICE_OFFLOAD_PARAMS	struct sock *sk
#define TLS_SET_DEVICE_OFFLOAD_ARGS	sk
#endif

/* Goes with 6.12: records were of one size. */
static inline size_t tls_tx_max_payload(const struct tls_context *ctx)
{
#ifdef TLS_TX_MAX_PAYLOAD_LEN
	return ctx->tx_max_payload_len;
#else
	return TLS_MAX_PAYLOAD_SIZE;
#endif
}

#endif /* _KTLS_COMPAT_NET_TLS_OFFLOAD_H */
