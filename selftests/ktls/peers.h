/* SPDX-License-Identifier: GPL-2.0 */
/* Two ends of a TCP connection, and keys for them. */
#ifndef KTLS_PEERS_H
#define KTLS_PEERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <linux/tls.h>

#ifndef SOL_TLS
#define SOL_TLS 282
#endif
#ifndef TCP_ULP
#define TCP_ULP 31
#endif
#ifndef TLS_TX_ZEROCOPY_RO
#define TLS_TX_ZEROCOPY_RO 3
#endif
#ifndef TLS_RX_EXPECT_NO_PAD
#define TLS_RX_EXPECT_NO_PAD 4
#endif

#define MAX_RECORD	16384

enum content_type {
	CONTENT_ALERT = 21,
	CONTENT_HANDSHAKE = 22,
	CONTENT_DATA = 23,
};

/* What a record adds to its payload. From the RFCs, not from the kernel: the
 * header, an explicit nonce with TLS 1.2 but for ChaCha20 (RFC 5288, 6655,
 * 7905), the tag, and the content type with TLS 1.3 (RFC 8446, 5.2).
 */
#define OVERHEAD_12		(5 + 8 + 16)
#define OVERHEAD_12_CHACHA	(5 + 16)
#define OVERHEAD_13		(5 + 16 + 1)

/* A key of either direction is derived from its number. */
int install_key(int fd, int optname, uint16_t version, uint16_t cipher,
		unsigned int number, uint64_t rec_seq);
int attach_ulp(int fd);

ssize_t send_record(int fd, uint8_t type, const void *data, size_t len,
		    int flags);
ssize_t recv_record(int fd, uint8_t *type, void *data, size_t len, int flags);

uint64_t socket_cookie(int fd);

/* A network namespace of one's own, so that nobody else's sockets are in the
 * totals.
 */
int new_namespace(void);

struct connect_opts {
	int family;
	int sndbuf, rcvbuf;	/* of both ends, 0 for the default */
	bool wrap;		/* sequence numbers are about to wrap */
};

/* Two ends of a connection: ends[0] called, ends[1] answered. */
int connect_pair(const struct connect_opts *opts, int ends[2]);

#endif /* KTLS_PEERS_H */
