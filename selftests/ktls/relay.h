/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A man in the middle of a TCP connection, who reads TLS record headers:
 *
 *	client <---TCP---> relay <---TCP---> server
 *
 * What it counted is the truth that the counters of either end have to match.
 * It can stop reading, let only so many bytes through, flip one, or reset.
 */
#ifndef KTLS_RELAY_H
#define KTLS_RELAY_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RELAY_ALL	INT64_MAX

/**
 * struct records - TLS records in a stream of bytes
 * @bytes: of the stream so far
 * @whole: bytes of records that are complete
 * @records: complete ones
 * @control: complete ones whose header names another type than application
 *	data; TLS 1.3 hides the type of most
 * @skip: bytes yet to come that are no records, and count nowhere
 * @broken: this is no TLS stream
 * @first: length of the first record
 */
struct records {
	uint64_t bytes;
	uint64_t whole;
	uint64_t records;
	uint64_t control;
	uint64_t first;
	uint64_t skip;
	bool broken;
	/* private */
	uint8_t header[5];
	unsigned int header_len;
	unsigned int left;
};

void records_feed(struct records *r, const uint8_t *data, size_t len);

/**
 * struct relay_way - one way through the relay
 * @in: socket it reads from
 * @out: socket it writes to
 * @seen: what the sender's TCP handed over
 * @passed: what went on to the receiver
 * @may_read: bytes that may still be read
 * @may_pass: bytes that may still go on
 * @flip: position in the stream of a byte to invert, -1 for none
 * @glue_fin: let the FIN ride on the last data
 * @eof: the sender's FIN came
 * @eof_passed: it went on
 */
struct relay_way {
	int in, out;
	struct records seen, passed;
	int64_t may_read, may_pass;
	int64_t flip;
	bool glue_fin;
	bool eof, eof_passed;
	bool dead;
	/* read, but not yet passed on */
	uint8_t *buf;
	size_t len, start, size;
};

struct relay {
	pthread_mutex_t lock;
	pthread_t thread;
	int wake;
	bool stop;
	/* to_server, to_client */
	struct relay_way way[2];
};

/* The relay owns the sockets from now on. */
struct relay *relay_start(int client_side, int server_side);
void relay_stop(struct relay *relay);

void relay_may_read(struct relay *relay, int way, int64_t bytes);
void relay_may_pass(struct relay *relay, int way, int64_t bytes);
void relay_flip(struct relay *relay, int way, int64_t position);
void relay_glue_fin(struct relay *relay, int way);
/* The next bytes are in the clear. */
void relay_skip(struct relay *relay, int way, uint64_t bytes);
/* Reset the connection with the client (0) or the server (1). */
void relay_reset(struct relay *relay, int side);
/* Add bytes to a way as if the sender had sent them. */
void relay_inject(struct relay *relay, int way, const void *data, size_t len);

/* Copies of what was counted. */
struct records relay_seen(struct relay *relay, int way);
struct records relay_passed(struct relay *relay, int way);

/* Wait until the relay has seen so many bytes of a way, has passed them on, or
 * the receiver's TCP acknowledged them (which may take 40 ms); false if it takes
 * too long. Likewise for the end of the stream.
 */
bool relay_wait_seen(struct relay *relay, int way, uint64_t bytes);
bool relay_wait_passed(struct relay *relay, int way, uint64_t bytes);
bool relay_wait_acked(struct relay *relay, int way, uint64_t bytes);
bool relay_wait_eof_seen(struct relay *relay, int way);
bool relay_wait_eof_acked(struct relay *relay, int way);

#endif /* KTLS_RELAY_H */
