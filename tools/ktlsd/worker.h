/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A worker: the process that meets the others of the network. */
#ifndef WORKER_H
#define WORKER_H

#include "connection.h"
#include "counters.h"

#define PIPES_KEPT 64
#define SCRATCH_BYTES 16384	/* what a record holds (RFC 8446, 5.1) */
#define PIPE_BYTES (256 * 1024)

struct worker {
	const struct conf *conf;
	unsigned int index;
	struct counters *counters;
	struct shop *shop;
	int epoll;
	/* Message sockets, -1: not there. */
	int supervisor, sign, identities, broker;
	struct doorway {
		int fd;			/* listening, -1 while none may come */
		bool watched;
		unsigned int open;
		unsigned int handshakes;
	} *doorways;			/* as many as there are listeners */
	bool draining;
	uint64_t drain_until;		/* monotonic; then the last ones are cut off */
	bool splices_records;		/* this kernel's splice() from kTLS is sound */

	struct sources *sources;	/* %NULL: no listener asks for a rate */
	struct connection *connections;
	struct connection *turns, **last_turn;
	struct connection *dead;
	struct connection **slots;
	uint32_t slots_count;
	uint32_t free_slot;		/* to look for one from */
	int pipes[PIPES_KEPT][2];	/* empty ones */
	size_t pipes_count;
	uint64_t now;			/* monotonic, of the events at hand */
	uint8_t scratch[SCRATCH_BYTES];	/* for what is read and written at once */
};

/* For connections. */
void worker_take_turn(struct connection *c);
/*
 * Which events (EPOLLIN, EPOLLOUT) bring the connection's turn, as long as they hold;
 * with 0 not even an error does.
 */
bool worker_watch(struct worker *w, struct end *end, uint32_t events);
/* From the listener that it came by to the one that it wants. */
void worker_move(struct connection *c, size_t listener);
/*
 * Asks the broker for a file by its @path beneath the listener's root, or with %NULL
 * for a connection to the backend.  Returns 0 or a negative errno.
 */
int worker_wish(struct connection *c, const char *path, size_t len);
void worker_bury(struct connection *c);
bool worker_get_pipe(struct worker *w, int ends[2]);
/* @empty: as it must be to be used again. */
void worker_put_pipe(struct worker *w, int ends[2], bool empty);
bool worker_add(struct worker *w, struct connection *c);

#endif /* WORKER_H */
