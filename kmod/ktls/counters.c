// SPDX-License-Identifier: GPL-2.0
/* What a socket carried, derived from what TLS and TCP count by themselves. */

#include <linux/skbuff.h>
#include <linux/unaligned.h>
#include <net/tcp.h>
#include <net/tls.h>
#include <net/tls_offload.h>

#include "counters.h"

/**
 * ktls_fin_sent() - did a socket send a FIN?
 * @sk: socket, locked
 * @fin_sent: a FIN was sent before the socket reached TCP_CLOSE, where the
 *	state does not tell any more
 *
 * TCP numbers a FIN like a byte.
 */
bool ktls_fin_sent(const struct sock *sk, bool fin_sent)
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

static u64 ktls_sg_bytes(const struct scatterlist *sg)
{
	u64 len = 0;

	for (; sg; sg = sg_next((struct scatterlist *)sg))
		len += sg->length;

	return len;
}

static const struct sk_buff *ktls_queue_tail(const struct sock *sk)
{
	const struct sk_buff *skb = tcp_write_queue_tail(sk);

	return skb ?: tcp_rtx_queue_tail(sk);
}

/* Is a task inside tls_push_sg(), where it may sleep without the lock? */
static bool ktls_pushing(const struct tls_context *ctx)
{
	return ctx->tx_conf == TLS_SW && ctx->splicing_pages &&
	       !ctx->partially_sent_record;
}

/* How much of a record is in TCP's queue, when a task in tls_push_sg() waits for
 * room and alone knows how far it got: the queue ends with the record's own
 * pages.
 */
static u64 ktls_pushed(const struct sock *sk, const struct sk_msg *msg)
{
	const struct scatterlist *sg = &msg->sg.data[msg->sg.curr];
	const struct sk_buff *skb = ktls_queue_tail(sk);
	const skb_frag_t *frag;
	phys_addr_t end;
	u64 pushed = 0;

	if (!skb || !skb_shinfo(skb)->nr_frags)
		return 0;

	frag = &skb_shinfo(skb)->frags[skb_shinfo(skb)->nr_frags - 1];
	end = page_to_phys(skb_frag_page(frag)) + skb_frag_off(frag) +
	      skb_frag_size(frag);

	for (; sg; sg = sg_next((struct scatterlist *)sg)) {
		phys_addr_t start = sg_phys((struct scatterlist *)sg);

		if (end > start && end <= start + sg->length)
			return pushed + end - start;
		pushed += sg->length;
	}

	return 0;
}

/* Bytes of encrypted records that TCP had no room for yet. */
static u64 ktls_unsent(const struct sock *sk, const struct tls_context *ctx)
{
	const struct scatterlist *partial = ctx->partially_sent_record;
	const struct list_head *records;
	const struct tls_rec *rec;
	u64 len = 0;

	if (ctx->tx_conf != TLS_SW)
		return partial ? ktls_sg_bytes(partial) -
				 ctx->partially_sent_offset : 0;

	records = &tls_sw_ctx_tx(ctx)->tx_list;
	if (list_empty(records))
		return 0;

	/* Those behind the first wait as a whole. */
	rec = list_first_entry(records, struct tls_rec, list);
	if (partial)
		len = ktls_sg_bytes(partial) - ctx->partially_sent_offset;
	else if (ktls_pushing(ctx))
		len = rec->msg_encrypted.sg.size -
		      ktls_pushed(sk, &rec->msg_encrypted);
	else
		len = rec->msg_encrypted.sg.size;
	list_for_each_entry_continue(rec, records, list)
		len += rec->msg_encrypted.sg.size;

	return len;
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
	       ktls_unsent(sk, ctx) - ktls_fin_sent(sk, fin_sent);
}

/**
 * ktls_wire_tx_known() - can ktls_wire_tx() tell?
 * @sk: socket, locked
 * @ctx: its TLS context
 *
 * A task that was waiting for room has it, for all was acknowledged, but did
 * not run yet: nothing in the queue says how much of its record went.
 */
bool ktls_wire_tx_known(const struct sock *sk, const struct tls_context *ctx)
{
	return !ktls_pushing(ctx) || ktls_queue_tail(sk);
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
