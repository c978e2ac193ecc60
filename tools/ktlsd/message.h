/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Messages between the processes of ktlsd, over SOCK_SEQPACKET: one datagram each,
 * with descriptors where its type says so.  Structures are as this machine has
 * them, as both ends are the same program.
 */
#ifndef MESSAGE_H
#define MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * The processes, and who speaks with whom:
 *
 *	supervisor -- keys, broker, each worker: what to do, and what came of it
 *	worker -- keys: signatures (blocking), and identities as they change
 *	worker -- broker: descriptors that a worker could not get itself
 *	prover -- supervisor: what is served, while it lives
 */
enum message_type {
	/* From the supervisor. */
	MESSAGE_WORKER = 1,	/* to keys and broker: struct message_worker, and its ends */
	MESSAGE_KEYS,		/* to a worker: 2 descriptors, sign and identities;
				 * from it: they have ended */
	MESSAGE_BROKER,		/* to a worker: 1 descriptor */
	MESSAGE_TICKET_KEYS,	/* to a worker: struct message_ticket_keys */
	MESSAGE_DRAIN,		/* to a worker: no new connections; end with the last */
	MESSAGE_CONNECTIONS,	/* to a worker: tell all; answered with the same, see below */

	/* Between worker and keys. */
	MESSAGE_IDENTITY = 32,	/* to a worker: struct message_identity */
	MESSAGE_SIGN,		/* to keys: struct message_sign */
	MESSAGE_SIGNATURE,	/* to a worker: struct message_signature */

	/* Between worker and broker. */
	MESSAGE_CONNECT = 48,	/* to the broker: struct message_wish */
	MESSAGE_OPEN,		/* to the broker: struct message_wish with a path */
	MESSAGE_GRANT,		/* to the worker: struct message_grant, 1 descriptor */

	/* To the supervisor. */
	MESSAGE_READY = 64,	/* its start is over */
	MESSAGE_IDENTITY_STATE,	/* from keys: struct message_identity_state */
	MESSAGE_ALIVE,		/* still turning its loop */
	MESSAGE_PROOF,		/* from the prover: struct message_proof */
};

#define MESSAGE_MAX (128 * 1024)	/* bytes, with all chains of issuers */
#define MESSAGE_FDS 4

struct message_worker {
	uint32_t worker;	/* index */
};

struct message_ticket_keys {
	struct ticket_key {
		uint8_t name[16];
		uint8_t aes[32];
		uint8_t hmac[32];
	} keys[3];		/* to encrypt with; next (known to others first); last */
	uint32_t count;
};

struct message_identity {
	uint32_t identity;	/* index in the configuration */
	uint32_t generation;	/* of its files: to be named when it signs */
	uint32_t certificates;	/* in der: each with its length (4 bytes) before it */
	uint32_t len;
	uint8_t der[];
};

/* What TLS lets its servers and clients sign, and nothing else. */
struct message_sign {
	uint32_t identity;
	uint32_t generation;
	uint16_t scheme;	/* SignatureScheme, RFC 8446, 4.2.3 */
	uint16_t len;
	uint8_t content[];	/* to be hashed and signed */
};

struct message_signature {
	int32_t error;		/* negative errno, or 0 */
	uint32_t len;
	uint8_t signature[];
};

/* A backend's connection, or a file beneath a listener's root. */
struct message_wish {
	uint64_t tag;		/* of the worker's own, in the answer */
	uint32_t listener;
	char path[];		/* of MESSAGE_OPEN, to the end of the message, no NUL */
};

struct message_grant {
	uint64_t tag;
	int32_t error;		/* negative errno, or 0 and a descriptor */
};

struct message_identity_state {
	uint32_t identity;
	uint32_t generation;	/* 0: there is none yet */
	int64_t not_after;	/* seconds since the epoch */
	uint8_t serial[20];	/* of the certificate, as in it */
	uint32_t serial_len;
	char error[512];	/* why the files of now are not in use, or "" */
};

/* What a listener serves, and what the file of one of its certificates holds. */
struct message_proof {
	uint32_t listener;	/* index in the configuration */
	uint32_t place;		/* of the certificate, in those of the listener */
	enum proof_state {
		PROOF_OK,	/* the same */
		PROOF_STALE,	/* another one is served */
		PROOF_FAILED,	/* no certificate was seen, or no proof that it is its */
		PROOF_UNREADABLE,	/* the file */
		PROOF_SKIPPED,	/* there is no way to ask for it */
		PROOF_STATES,
	} state;
	uint8_t served[20];	/* its serial, as in it */
	uint32_t served_len;
	uint8_t file[20];	/* likewise */
	uint32_t file_len;
	char error[256];	/* why, or "" */
};

/*
 * To MESSAGE_CONNECTIONS a worker answers with messages of that type whose body is
 * an array of these, as many as fit; one without a body ends the answer.
 */
struct message_connection {
	uint64_t cookie;	/* SO_COOKIE of the socket that speaks TLS */
	uint64_t started;	/* nanoseconds since the epoch */
	uint32_t listener;	/* index in the configuration */
	int32_t identity;	/* likewise; -1: none */
	uint16_t version;	/* 0x0304; 0: the handshake is not over */
	uint16_t family;	/* of the socket that speaks TLS, as all of this */
	uint8_t local_addr[16];	/* 4 bytes of them are in use with AF_INET */
	uint8_t remote_addr[16];
	uint16_t local_port;	/* as the machine has numbers */
	uint16_t remote_port;
	uint8_t kernel_tx;
	uint8_t kernel_rx;
	uint8_t verified;	/* it has a certificate, which was */
	char cipher[40];	/* as OpenSSL names the suite */
	char server_name[256];	/* that the client asked for, or "" */
	char alpn[64];
	char peer_name[256];	/* of the peer's certificate that was verified, or "" */
};

/* What was received. */
struct message {
	uint32_t type;
	size_t len;
	int fds[MESSAGE_FDS];	/* the receiver's; -1 behind the last */
	size_t fds_count;
	void *body;		/* of @len bytes, aligned; good until the next one */
};

/* Two connected ends, close-on-exec. */
int message_pair(int ends[2]);

/*
 * Returns 0, or a negative errno: -EAGAIN if the other end is slow and the
 * descriptor non-blocking, -EPIPE if it is gone.
 */
int message_send(int fd, uint32_t type, const void *body, size_t len,
		 const int *fds, size_t fds_count);

/*
 * Returns 1 with a message; 0 if the other end is gone; or a negative errno, with
 * -EAGAIN where there is none now.  A body shorter than @at_least[type] is
 * -EBADMSG: who receives that gives the other end up.
 */
int message_receive(int fd, struct message *m);

/* Closes the descriptors that nobody took. */
void message_close_fds(struct message *m);

#endif /* MESSAGE_H */
