/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A connection of a worker: from when it is accepted, over the handshake and the
 * keys, to its end.
 */
#ifndef CONNECTION_H
#define CONNECTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>

#include <handshake_wire.h>
#include <post_handshake.h>

#include "conf.h"
#include "handshake.h"

struct worker;

enum side {
	SIDE_TLS,
	SIDE_PLAIN,
	SIDES,
};

/* One of its sockets. */
struct end {
	int fd;			/* -1: there is none yet */
	enum side side;
	bool readable;		/* as epoll said, and nothing else since */
	bool writable;		/* until a call says otherwise */
	uint32_t watched;	/* events that epoll is asked for, 0: it is not */
};

/* What goes from one end to the other. */
struct flow {
	bool copied;		/* through a buffer, always */
	bool bulk;		/* through a pipe, as there is much */
	bool ended;		/* no more will come, and */
	bool done;		/* the other end has been told */
	int pipe[2];		/* while something is in it */
	uint8_t *buffer;	/* likewise */
	size_t start;		/* in @buffer */
	size_t held;		/* bytes that were taken, and not given on */
};

/* Of a connection that is a program's. */
struct service {
	struct ktls_wire_request *request;	/* until the handshake is over */
	struct sockaddr_storage local, remote;
	bool broken;		/* a key was not to be had */
};

struct connection {
	struct worker *worker;
	struct connection *previous, *next;	/* of the worker */
	struct connection *next_turn;		/* has more to do */
	bool has_turn;
	enum connection_state {
		CONNECTION_ACCEPTED,	/* nothing is under way yet */
		CONNECTION_REQUEST,	/* waits for what a program wants */
		CONNECTION_HANDSHAKE,
		CONNECTION_BACKEND,	/* waits for the broker */
		CONNECTION_RELAY,
		CONNECTION_FILES,
		CONNECTION_SERVED,	/* the program has it, and may want new keys */
		CONNECTION_DEAD,	/* freed when the events at hand are over */
	} state;
	size_t listener;
	uint32_t slot;			/* in the worker's table */
	uint64_t started;		/* nanoseconds since the epoch */
	uint64_t deadline;		/* by the monotonic clock; 0: none */
	struct end ends[SIDES];
	struct flow flows[SIDES];	/* by the end that they come from */
	struct files *files;		/* instead of a plain end, or %NULL */
	struct service *service;	/* the plain end is a program's, that asked; or %NULL */

	/* TLS: who does it after the handshake; SSL stays where user space does. */
	struct handshake handshake;
	bool kernel_tx;
	bool kernel_rx;
	struct ktls_post_handshake records;
	unsigned int key_updates;	/* since @key_updates_since */
	uint64_t key_updates_since;
	bool owes_key_update;		/* the other end wants a new key of ours */
	bool owes_no_renegotiation;	/* or an answer */

	bool proof;			/* it is the prover's, see knock.h */

	/* To be told, once the handshake is over. */
	struct description {
		uint64_t cookie;
		int32_t identity;
		char cipher[40];
		bool certificate;	/* of the other end, that was verified */
		char *server_name;	/* or %NULL, as those that follow */
		char *alpn;
		char *peer_name;
	} told;
};

/* All about it, for who asks. */
void connection_describe(struct connection *c, struct message_connection *m);

/* A new one, from an accepted socket, which it owns.  @fd is closed on failure. */
void connection_accept(struct worker *w, size_t listener, int fd);
/* The broker's answer: a descriptor, or a negative errno. */
void connection_granted(struct connection *c, int fd_or_error);
/* There is another broker, which knows nothing of what the last one was asked. */
void connection_ask_again(struct connection *c);
/*
 * For service.c: begins a handshake at its TLS end, or returns false if there are too
 * many of them; gives the kernel the keys after it, and returns a negative errno if it
 * did not take both, of which it knows then what is in @kernel_tx and @kernel_rx.
 */
bool connection_begin_handshake(struct connection *c,
				const struct handshake_wish *wish);
int connection_hand_over(struct connection *c);
/* Something happened at an end, or it is its turn. */
void connection_run(struct connection *c);
/* Its deadline is over. */
void connection_late(struct connection *c);

/* Why it ends; each is counted. */
enum connection_end {
	END_CLOSED,
	END_TRUNCATED,
	END_RESET,		/* by the TLS end */
	END_BACKEND,		/* by the plain end */
	END_ALERTED,
	END_BROKEN,
	END_REKEY_UNSUPPORTED,
	END_REKEY_STORM,
	END_IDLE,
	END_DRAINED,
	END_FAILED,		/* as this host could not go on */
	END_NOT_BEGUN,		/* counted otherwise */
};

/*
 * Ends it.  Unless it was closed by both, the plain end learns by a reset that
 * what it got may not be all.
 */
void connection_end(struct connection *c, enum connection_end why);

/* relay.c: moves what can be moved; ends the connection when it is over. */
void relay_run(struct connection *c);

/* serve.c: files instead of a backend. */
void serve_begin(struct connection *c);
void serve_run(struct connection *c);
/* No request after the one that is under way. */
void serve_drain(struct connection *c);
/* The broker's answer: a descriptor, or a negative errno. */
void serve_granted(struct connection *c, int fd_or_error);

/* service.c: handshakes for programs. */
void service_accept(struct connection *c);
void service_run(struct connection *c);
/* Its handshake is over, or has failed: tells the program. */
void service_done(struct connection *c);
void service_failed(struct connection *c, int err, const char *why);
/* Closes what is the program's. */
void service_end(struct connection *c);
/* When a worker starts; and when its privileges are gone, as it has a thread then. */
bool service_init(void);
bool service_start(const struct conf *conf);

/* post_handshake.c: records that are no data, where the kernel does the records. */

/*
 * What came in one.  Returns 0 to go on; 1 if the other end has ended its stream;
 * a negative number if the connection was ended.
 */
int post_handshake_record(struct connection *c, uint8_t type,
			  const uint8_t *content, size_t len);
/*
 * Sets the next key of a direction, enum ktls_direction.  Returns -EDQUOT if the other
 * end had too many of them.
 */
int post_handshake_next_key(struct connection *c, unsigned int direction);
/*
 * The other end has a new key, whoever does the records.  Returns 0, or a negative
 * number if that was one too many, and the connection was ended.
 */
int post_handshake_count_key(struct connection *c);
/*
 * Sends what is owed to the TLS end.  Returns 0, -EAGAIN, or another negative
 * number if the connection was ended.
 */
int post_handshake_pay(struct connection *c);

#endif /* CONNECTION_H */
