/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef FUZZ_RECORDS_H
#define FUZZ_RECORDS_H

#include <stddef.h>
#include <stdint.h>

/* In the first byte of what it gets. */
#define RECORDS_CLIENT 1	/* ktlsd is one */
#define RECORDS_TLS12 2
#define RECORDS_NO_REKEY 4	/* of the kernel */
#define RECORDS_STUCK 8		/* now and then nothing can be sent */

/* What came of the last input. */
struct fuzz_records {
	int end;		/* enum connection_end, -1: none */
	int alert;		/* that was sent last, -1: none */
	unsigned int alerts;
	unsigned int rekeys_rx;
	unsigned int rekeys_tx;
	unsigned int updates;	/* KeyUpdates sent */
	int last;		/* what post_handshake_record() returned */
};

extern struct fuzz_records fuzz_records;

/*
 * A byte of flags; then records: type, length (2 bytes), content.  Aborts if
 * something does not hold.
 */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

#endif /* FUZZ_RECORDS_H */
