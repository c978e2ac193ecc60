/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _KTLS_TOTALS_H
#define _KTLS_TOTALS_H

#include <linux/list.h>
#include <linux/types.h>

#include <uapi/linux/ktls.h>

struct ktls_net;
struct ktls_reading;
struct ktls_socket;

#define KTLS_TOTALS_VERSIONS	2
#define KTLS_TOTALS_CIPHERS \
	(KTLS_CIPHER_ARIA_GCM_256 - KTLS_CIPHER_AES_GCM_128 + 1)
/* direction x (sw, hw) x version x cipher */
#define KTLS_TOTALS_CELLS	(2 * 2 * KTLS_TOTALS_VERSIONS * \
				 KTLS_TOTALS_CIPHERS)

/**
 * struct ktls_cell - sums over the streams of one combination
 * @open: sockets open now; filled in by ktls_totals_read() only
 * @closed: sockets closed
 * @busy: of the open ones, those whose counters are not in the sums
 * @records: sum of records
 * @payload: sum of payload bytes
 * @wire: sum of bytes on the wire
 * @control: sum of control records sent
 * @rekeys: sum of rekeys
 * @errors: streams with an error
 */
struct ktls_cell {
	u64 open;
	u64 closed;
	u64 busy;
	u64 records;
	u64 payload;
	u64 wire;
	u64 control;
	u64 rekeys;
	u64 errors;
};

struct ktls_totals {
	struct ktls_cell cell[KTLS_TOTALS_CELLS];
};

int ktls_totals_index(u8 dir, u8 mode, u16 version, u16 cipher);
void ktls_totals_name(int index, u8 *dir, u8 *mode, u16 *version, u16 *cipher);
void ktls_totals_closed(struct ktls_net *kn, const struct ktls_socket *ks,
			const struct ktls_reading *r);
struct ktls_totals *ktls_totals_read(struct ktls_net *kn);

#endif /* _KTLS_TOTALS_H */
