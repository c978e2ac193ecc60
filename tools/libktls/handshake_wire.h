/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What libktls and ktlsd say to each other over the socket of the handshake
 * service: SOCK_SEQPACKET, one connection for one TLS connection.
 *
 * The program sends a request with the TCP socket (SCM_RIGHTS), and gets a result
 * when the handshake is over.  As long as it keeps the connection, ktlsd keeps the
 * secrets: the program sends a rekey, again with the socket, and gets an answer.
 *
 * A message is a header and items, each at a multiple of 4 bytes; numbers are as
 * this machine has them.  Texts end with their only NUL.  Items that a receiver does
 * not know are left out; those that it knows are right, or the message is not.
 */
#ifndef KTLS_HANDSHAKE_WIRE_H
#define KTLS_HANDSHAKE_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define KTLS_WIRE_PATH "/run/ktlsd/handshake"
#define KTLS_WIRE_VERSION 1

#define KTLS_WIRE_REQUEST_MAX 2048		/* bytes of what a program sends */
#define KTLS_WIRE_ANSWER_MAX (128 * 1024)	/* and of what it gets */

enum ktls_wire_type {
	KTLS_WIRE_REQUEST = 1,	/* to ktlsd, with a socket */
	KTLS_WIRE_RESULT,
	KTLS_WIRE_REKEY,	/* to ktlsd, with the socket */
	KTLS_WIRE_REKEYED,
};

struct ktls_wire_header {
	uint16_t version;	/* KTLS_WIRE_VERSION */
	uint16_t type;
	uint32_t len;		/* with the header */
};

enum ktls_wire_item_type {
	/* Of requests. */
	KTLS_WIRE_SERVICE = 1,	/* text: a section of ktlsd.conf */
	KTLS_WIRE_SERVER_NAME,	/* text, also of results */
	KTLS_WIRE_ALPN,		/* text, in requests one for each protocol */
	KTLS_WIRE_TIMEOUT,	/* uint32_t: milliseconds */
	KTLS_WIRE_DIRECTION,	/* uint32_t, of rekeys: enum ktls_direction */

	/* Of answers. */
	KTLS_WIRE_ERROR = 32,	/* int32_t: negative errno; or there is none */
	KTLS_WIRE_SENTENCE,	/* text: about it */
	KTLS_WIRE_TLS_VERSION,	/* uint32_t: as TLS has it, 0x0304 */
	KTLS_WIRE_CIPHER,	/* text: as OpenSSL names the suite */
	KTLS_WIRE_KERNEL_TX,	/* uint32_t: 1 if the kernel has the key */
	KTLS_WIRE_KERNEL_RX,
	KTLS_WIRE_VERIFIED,	/* uint32_t: 1 if the peer is who it says */
	KTLS_WIRE_UNVERIFIED,	/* text: why not */
	KTLS_WIRE_CERTIFICATE,	/* DER; the peer's, then its issuers */
	KTLS_WIRE_DNS_NAME,	/* text: of the peer's certificate */
	KTLS_WIRE_IP_ADDRESS,	/* 4 or 16 bytes; likewise */
	KTLS_WIRE_CUT,		/* uint32_t: 1 if not all of these had room */
	KTLS_WIRE_SERVER,	/* uint32_t: 1 if the program is the server */
	KTLS_WIRE_BEGUN,	/* uint32_t: 1 if bytes went, so that it cannot be tried again */
};

struct ktls_wire_item {
	uint16_t type;
	uint16_t reserved;	/* 0 */
	uint32_t len;		/* of what follows, without what fills it up */
};

/* Writes a message; @room is at least that of a header. */
struct ktls_wire_writer {
	uint8_t *buffer;
	size_t room;
	size_t len;
};

void ktls_wire_begin(struct ktls_wire_writer *w, void *buffer, size_t room,
		     enum ktls_wire_type type);
/* False, with nothing written, if there is no room. */
bool ktls_wire_put(struct ktls_wire_writer *w, enum ktls_wire_item_type type,
		   const void *data, size_t len);
bool ktls_wire_put_text(struct ktls_wire_writer *w, enum ktls_wire_item_type type,
			const char *text);
bool ktls_wire_put_number(struct ktls_wire_writer *w,
			  enum ktls_wire_item_type type, uint32_t number);

/* Reads one. */
struct ktls_wire_reader {
	const uint8_t *next;
	size_t left;
};

/* The type, or -EBADMSG, or -EPROTONOSUPPORT for another version. */
int ktls_wire_open(struct ktls_wire_reader *r, const void *message, size_t len);
/* 1 and an item, whose @data is aligned to 4 bytes if the message is; 0; -EBADMSG. */
int ktls_wire_next(struct ktls_wire_reader *r, struct ktls_wire_item *item,
		   const void **data);
bool ktls_wire_is_text(const struct ktls_wire_item *item, const void *data);
bool ktls_wire_get_number(const struct ktls_wire_item *item, const void *data,
			  uint32_t *number);

/* What a program asks for, as ktlsd has it. */
struct ktls_wire_request {
	enum ktls_wire_type type;	/* KTLS_WIRE_REQUEST or _REKEY */
	char service[64];
	char server_name[256];		/* or "" */
	uint8_t alpn[256];		/* as on TLS's wire */
	uint32_t alpn_len;
	uint32_t timeout;		/* milliseconds, 0: ktlsd's own */
	uint32_t direction;
};

/* Returns its bytes, or -EINVAL if something is too long. */
ssize_t ktls_wire_write_request(void *buffer, size_t room,
				const struct ktls_wire_request *request);
/* Returns 0, -EBADMSG or -EPROTONOSUPPORT. */
int ktls_wire_read_request(const void *message, size_t len,
			   struct ktls_wire_request *request);

#endif /* KTLS_HANDSHAKE_WIRE_H */
