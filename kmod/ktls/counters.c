// SPDX-License-Identifier: GPL-2.0
/* What a socket carried, derived from what TLS and TCP count by themselves. */

#include <linux/skbuff.h>
#include <linux/unaligned.h>
#include <net/tcp.h>
#include <net/tls.h>

#include "counters.h"

/* TCP numbers a FIN like a byte. In TCP_CLOSE the state does not tell any more
 * whether one was sent.
 */
static bool ktls_fin_sent(const struct sock *sk, bool fin_sent)
{
	switch (sk->sk_state) {
	case TCP_FIN_WAIT1:
	case TCP_FIN_WAIT2:
	case TCP_CLOSING:
	case TCP_LAST_ACK:
	case TCP_TIME_WAIT:
		return true;
	case TCP_CLOSE:
		return fin_sent;
	default:
		return false;
	}
}

/* Bytes of an encrypted record that TCP had no room for yet. */
static u64 ktls_unsent(const struct tls_context *ctx)
{
	const struct scatterlist *sg = ctx->partially_sent_record;
	u64 len = 0;

	if (!sg)
		return 0;
	for (; sg; sg = sg_next((struct scatterlist *)sg))
		len += sg->length;
	return len - ctx->partially_sent_offset;
}

/**
 * ktls_wire_tx() - bytes of encrypted records
 * @sk: socket, locked
 * @ctx: its TLS context
 * @fin_sent: a FIN was sent before the socket reached TCP_CLOSE
 *
 * Return: position in the stream behind the last record, TCP's sequence number
 * without the wrap.
 */
u64 ktls_wire_tx(const struct sock *sk, const struct tls_context *ctx,
		 bool fin_sent)
{
	const struct tcp_sock *tp = tcp_sk(sk);

	return tp->bytes_acked + (tp->write_seq - tp->snd_una) +
	       ktls_unsent(ctx) - ktls_fin_sent(sk, fin_sent);
}

/**
 * ktls_wire_rx() - bytes of decrypted records
 * @sk: socket, locked
 * @ctx: its TLS context
 *
 * Under memory pressure the TLS parser copies a record out of TCP's queue piece
 * by piece; until it is decrypted these pieces do not count.
 *
 * Return: position in the stream behind the last record.
 */
u64 ktls_wire_rx(const struct sock *sk, const struct tls_context *ctx)
{
	const struct tcp_sock *tp = tcp_sk(sk);
	u32 queued = tp->rcv_nxt - tp->copied_seq;
	u64 wire = tp->bytes_received - queued;

	if (ctx->rx_conf != TLS_BASE) {
		const struct tls_strparser *strp = &tls_sw_ctx_rx(ctx)->strp;

		if (strp->copy_mode && strp->anchor)
			wire -= strp->anchor->len;
	}

	/* SOCK_DONE: a FIN came. With nothing queued it was taken too. */
	if (sock_flag(sk, SOCK_DONE) && !queued)
		wire--;

	return wire;
}

/**
 * ktls_record_number() - number of the next record (RFC 8446, 5.3)
 * @ctx: TLS context with a key in this direction
 * @tx: direction
 */
u64 ktls_record_number(const struct tls_context *ctx, bool tx)
{
	return get_unaligned_be64(tx ? ctx->tx.rec_seq : ctx->rx.rec_seq);
}

u64 ktls_first_record_number(const struct tls_context *ctx, bool tx)
{
	const union tls_crypto_context *cc;

	cc = tx ? &ctx->crypto_send : &ctx->crypto_recv;

	switch (cc->info.cipher_type) {
#define KTLS_FIRST(cipher, type)					\
	case TLS_CIPHER_##cipher:					\
		return get_unaligned_be64(((const struct tls12_crypto_info_##type *) \
					   &cc->info)->rec_seq)
	KTLS_FIRST(AES_GCM_128, aes_gcm_128);
	KTLS_FIRST(AES_GCM_256, aes_gcm_256);
	KTLS_FIRST(AES_CCM_128, aes_ccm_128);
	KTLS_FIRST(CHACHA20_POLY1305, chacha20_poly1305);
	KTLS_FIRST(SM4_GCM, sm4_gcm);
	KTLS_FIRST(SM4_CCM, sm4_ccm);
	KTLS_FIRST(ARIA_GCM_128, aria_gcm_128);
	KTLS_FIRST(ARIA_GCM_256, aria_gcm_256);
#undef KTLS_FIRST
	default:
		return 0;
	}
}
