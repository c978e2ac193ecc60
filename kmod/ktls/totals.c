// SPDX-License-Identifier: GPL-2.0
/* Sums over the sockets of a namespace, open and closed. */

#include <linux/slab.h>

#include "sockets.h"
#include "totals.h"

/**
 * struct ktls_walk - a sum over the open sockets that is being made
 * @node: in &ktls_net.walks
 * @cookie: sockets below this one were visited
 * @totals: the sum; under &ktls_net.lock
 */
struct ktls_walk {
	struct list_head node;
	u64 cookie;
	struct ktls_totals *totals;
};

/**
 * ktls_totals_index() - cell of a combination
 * @dir: &enum ktls_direction
 * @mode: &enum ktls_mode
 * @version: &enum ktls_version
 * @cipher: &enum ktls_cipher
 *
 * Return: index into &ktls_totals.cell, or -1 if nothing is summed there.
 */
int ktls_totals_index(u8 dir, u8 mode, u16 version, u16 cipher)
{
	if (dir > KTLS_DIRECTION_RX ||
	    mode < KTLS_MODE_SW || mode > KTLS_MODE_HW ||
	    version < KTLS_VERSION_TLS_1_2 || version > KTLS_VERSION_TLS_1_3 ||
	    cipher < KTLS_CIPHER_AES_GCM_128 ||
	    cipher > KTLS_CIPHER_ARIA_GCM_256)
		return -1;

	return ((dir * 2 + (mode - KTLS_MODE_SW)) * KTLS_TOTALS_VERSIONS +
		(version - KTLS_VERSION_TLS_1_2)) * KTLS_TOTALS_CIPHERS +
	       (cipher - KTLS_CIPHER_AES_GCM_128);
}

/**
 * ktls_totals_name() - combination of a cell, the reverse of
 *	ktls_totals_index()
 * @index: index into &ktls_totals.cell
 * @dir: result
 * @mode: result
 * @version: result
 * @cipher: result
 */
void ktls_totals_name(int index, u8 *dir, u8 *mode, u16 *version, u16 *cipher)
{
	*cipher = KTLS_CIPHER_AES_GCM_128 + index % KTLS_TOTALS_CIPHERS;
	index /= KTLS_TOTALS_CIPHERS;
	*version = KTLS_VERSION_TLS_1_2 + index % KTLS_TOTALS_VERSIONS;
	index /= KTLS_TOTALS_VERSIONS;
	*mode = KTLS_MODE_SW + index % 2;
	*dir = index / 2;
}

static void ktls_totals_add(struct ktls_totals *totals,
			    const struct ktls_socket *ks,
			    const struct ktls_reading *r)
{
	struct ktls_cell *cell;
	int dir, index;

	for (dir = 0; dir < KTLS_DIRECTIONS; dir++) {
		index = ktls_totals_index(dir, r->stream[dir].mode,
					  ks->version, ks->cipher);
		if (index < 0)
			continue;

		cell = &totals->cell[index];
		if (r->flags & KTLS_SOCKET_FLAGS_CLOSED)
			cell->closed++;
		else
			cell->open++;
		cell->busy += !!(r->flags & KTLS_SOCKET_FLAGS_BUSY);
		cell->records += r->stream[dir].records;
		cell->payload += r->stream[dir].payload;
		cell->wire += r->stream[dir].wire;
		cell->control += r->stream[dir].control;
		cell->rekeys += r->stream[dir].rekeys;
		cell->errors += !!r->stream[dir].last_error;
	}
}

/**
 * ktls_totals_closed() - a socket goes from the open ones to the closed ones
 * @kn: its namespace, &ktls_net.lock held
 * @ks: the socket
 * @r: its final counters
 */
void ktls_totals_closed(struct ktls_net *kn, const struct ktls_socket *ks,
			const struct ktls_reading *r)
{
	struct ktls_walk *walk;

	ktls_totals_add(&kn->totals, ks, r);

	/* A walk began with the closed ones and has yet to come by here. */
	list_for_each_entry(walk, &kn->walks, node)
		if (ks->cookie >= walk->cookie)
			ktls_totals_add(walk->totals, ks, r);
}

/**
 * ktls_totals_read() - sums of a namespace
 * @kn: the namespace
 *
 * Each socket is in it once, also one that is closed meanwhile, so that no sum
 * ever goes down but for a busy socket, whose counters are not to be had.
 *
 * Context: process, may sleep.
 * Return: the sums, to be freed with kvfree(), or NULL for want of memory.
 */
struct ktls_totals *ktls_totals_read(struct ktls_net *kn)
{
	struct ktls_walk walk = { .cookie = 0 };
	unsigned long waited = 0;
	struct ktls_reading r;
	struct ktls_socket *ks;
	u64 cookie = 0;

	walk.totals = kvmalloc(sizeof(*walk.totals), GFP_KERNEL_ACCOUNT);
	if (!walk.totals)
		return NULL;

	spin_lock_bh(&kn->lock);
	*walk.totals = kn->totals;
	list_add(&walk.node, &kn->walks);
	spin_unlock_bh(&kn->lock);

	while ((ks = ktls_socket_next_open(kn, &cookie))) {
		ktls_socket_read(ks, &r, &waited);

		/* One that closed since next_open() was added when it left. */
		spin_lock_bh(&kn->lock);
		if (!ks->unlinked) {
			r.flags &= ~KTLS_SOCKET_FLAGS_CLOSED;
			ktls_totals_add(walk.totals, ks, &r);
		}
		walk.cookie = cookie;
		spin_unlock_bh(&kn->lock);

		ktls_socket_put(ks);
		cond_resched();
	}

	spin_lock_bh(&kn->lock);
	list_del(&walk.node);
	spin_unlock_bh(&kn->lock);

	return walk.totals;
}
