// SPDX-License-Identifier: GPL-2.0
/* A man in the middle of a TCP connection, see relay.h. */

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <linux/sockios.h>
#include <time.h>
#include <unistd.h>

#include "relay.h"

#define RELAY_CHUNK	65536
#define RELAY_PATIENCE	"10000" /* ms */

void records_feed(struct records *r, const uint8_t *data, size_t len)
{
	size_t skip = len < r->skip ? len : r->skip;

	r->skip -= skip;
	data += skip;
	len -= skip;
	r->bytes += len;

	while (len && !r->broken) {
		size_t n;

		if (r->header_len < sizeof(r->header)) {
			r->header[r->header_len++] = *data++;
			len--;
			if (r->header_len < sizeof(r->header))
				continue;
			r->left = r->header[3] << 8 | r->header[4];
			if (r->header[0] < 20 || r->header[0] > 24 ||
			    r->header[1] != 3 || r->header[2] != 3) {
				r->broken = true;
				return;
			}
		}

		n = len < r->left ? len : r->left;
		data += n;
		len -= n;
		r->left -= n;
		if (r->left)
			continue;

		if (!r->records)
			r->first = sizeof(r->header) +
				   (r->header[3] << 8 | r->header[4]);
		r->whole += sizeof(r->header) +
			    (r->header[3] << 8 | r->header[4]);
		r->records++;
		r->control += r->header[0] != 23;
		r->header_len = 0;
	}
}

static void way_read(struct relay_way *way)
{
	size_t want;
	ssize_t n;

	if (way->eof || way->dead || way->may_read <= 0)
		return;

	want = way->may_read < RELAY_CHUNK ? way->may_read : RELAY_CHUNK;
	if (way->start) {
		memmove(way->buf, way->buf + way->start, way->len);
		way->start = 0;
	}
	if (way->len + want > way->size) {
		way->size = way->len + want;
		way->buf = realloc(way->buf, way->size);
		if (!way->buf)
			abort();
	}

	n = recv(way->in, way->buf + way->len, want, MSG_DONTWAIT);
	if (n > 0) {
		records_feed(&way->seen, way->buf + way->len, n);
		way->len += n;
		if (way->may_read != RELAY_ALL)
			way->may_read -= n;
	} else if (n == 0) {
		way->eof = true;
	} else if (errno != EAGAIN) {
		way->dead = true;
	}
}

static void way_write(struct relay_way *way)
{
	size_t want;
	ssize_t n;

	want = way->may_pass < (int64_t)way->len ? way->may_pass : way->len;
	if (want && !way->dead) {
		int64_t at = way->flip - (int64_t)way->passed.bytes;

		if (at >= 0 && at < (int64_t)want) {
			way->buf[way->start + at] ^= 0xff;
			way->flip = -1;
		}
		n = send(way->out, way->buf + way->start, want,
			 MSG_DONTWAIT | MSG_NOSIGNAL |
			 (way->glue_fin ? MSG_MORE : 0));
		if (n > 0) {
			records_feed(&way->passed, way->buf + way->start, n);
			way->start += n;
			way->len -= n;
			if (way->may_pass != RELAY_ALL)
				way->may_pass -= n;
		} else if (n < 0 && errno != EAGAIN) {
			way->dead = true;
		}
	}

	if (way->eof && !way->len && !way->eof_passed && way->may_pass > 0) {
		shutdown(way->out, SHUT_WR);
		way->eof_passed = true;
	}
}

static bool way_may_read(const struct relay_way *way)
{
	return !way->eof && !way->dead && way->may_read > 0;
}

static bool way_may_write(const struct relay_way *way)
{
	return !way->dead && way->len && way->may_pass > 0;
}

static void *relay_run(void *arg)
{
	struct relay *relay = arg;
	struct pollfd fds[5];
	uint64_t ignored;
	int i;

	pthread_mutex_lock(&relay->lock);
	while (!relay->stop) {
		for (i = 0; i < 2; i++) {
			struct relay_way *way = &relay->way[i];

			way_read(way);
			way_write(way);
			/* A negative descriptor is ignored, and so is a hangup
			 * that would wake us for ever.
			 */
			fds[2 * i].fd = way_may_read(way) ? way->in : -1;
			fds[2 * i].events = POLLIN;
			fds[2 * i + 1].fd = way_may_write(way) ? way->out : -1;
			fds[2 * i + 1].events = POLLOUT;
		}
		fds[4].fd = relay->wake;
		fds[4].events = POLLIN;

		pthread_mutex_unlock(&relay->lock);
		poll(fds, 5, -1);
		pthread_mutex_lock(&relay->lock);
		if (fds[4].revents &&
		    read(relay->wake, &ignored, sizeof(ignored)) < 0)
			abort();
	}
	pthread_mutex_unlock(&relay->lock);

	return NULL;
}

struct relay *relay_start(int client_side, int server_side)
{
	struct relay *relay = calloc(1, sizeof(*relay));
	int i;

	if (!relay)
		return NULL;

	relay->wake = eventfd(0, EFD_CLOEXEC);
	pthread_mutex_init(&relay->lock, NULL);
	for (i = 0; i < 2; i++) {
		relay->way[i].in = i ? server_side : client_side;
		relay->way[i].out = i ? client_side : server_side;
		relay->way[i].may_read = RELAY_ALL;
		relay->way[i].may_pass = RELAY_ALL;
		relay->way[i].flip = -1;
	}
	if (relay->wake < 0 ||
	    pthread_create(&relay->thread, NULL, relay_run, relay)) {
		free(relay);
		return NULL;
	}

	return relay;
}

static void relay_lock(struct relay *relay)
{
	pthread_mutex_lock(&relay->lock);
}

static void relay_unlock(struct relay *relay)
{
	uint64_t one = 1;

	pthread_mutex_unlock(&relay->lock);
	if (write(relay->wake, &one, sizeof(one)) < 0)
		abort();
}

void relay_stop(struct relay *relay)
{
	int i;

	relay_lock(relay);
	relay->stop = true;
	relay_unlock(relay);
	pthread_join(relay->thread, NULL);

	for (i = 0; i < 2; i++) {
		if (relay->way[i].in >= 0)
			close(relay->way[i].in);
		free(relay->way[i].buf);
	}
	close(relay->wake);
	free(relay);
}

void relay_may_read(struct relay *relay, int way, int64_t bytes)
{
	relay_lock(relay);
	relay->way[way].may_read = bytes;
	relay_unlock(relay);
}

void relay_may_pass(struct relay *relay, int way, int64_t bytes)
{
	relay_lock(relay);
	relay->way[way].may_pass = bytes;
	relay_unlock(relay);
}

void relay_flip(struct relay *relay, int way, int64_t position)
{
	relay_lock(relay);
	relay->way[way].flip = position;
	relay_unlock(relay);
}

void relay_glue_fin(struct relay *relay, int way)
{
	relay_lock(relay);
	relay->way[way].glue_fin = true;
	relay_unlock(relay);
}

void relay_skip(struct relay *relay, int way, uint64_t bytes)
{
	relay_lock(relay);
	relay->way[way].seen.skip = bytes;
	relay->way[way].passed.skip = bytes;
	relay_unlock(relay);
}

void relay_reset(struct relay *relay, int side)
{
	struct linger now = { .l_onoff = 1 };
	int i, fd;

	relay_lock(relay);
	fd = side ? relay->way[0].out : relay->way[0].in;
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	for (i = 0; i < 2; i++) {
		relay->way[i].dead = true;
		if (relay->way[i].in == fd)
			relay->way[i].in = -1;
		if (relay->way[i].out == fd)
			relay->way[i].out = -1;
	}
	close(fd);
	relay_unlock(relay);
}

void relay_inject(struct relay *relay, int w, const void *data, size_t len)
{
	struct relay_way *way = &relay->way[w];

	relay_lock(relay);
	way->buf = realloc(way->buf, way->start + way->len + len);
	if (!way->buf)
		abort();
	way->size = way->start + way->len + len;
	memcpy(way->buf + way->start + way->len, data, len);
	way->len += len;
	relay_unlock(relay);
}

struct records relay_seen(struct relay *relay, int way)
{
	struct records r;

	relay_lock(relay);
	r = relay->way[way].seen;
	relay_unlock(relay);

	return r;
}

struct records relay_passed(struct relay *relay, int way)
{
	struct records r;

	relay_lock(relay);
	r = relay->way[way].passed;
	relay_unlock(relay);

	return r;
}

/* Acknowledged is handed over: loopback loses nothing. */
static bool way_acked(const struct relay_way *way)
{
	int queued = 0;

	if (way->out >= 0)
		ioctl(way->out, SIOCOUTQ, &queued);

	return !queued;
}

enum waiting_for { SEEN, PASSED, ACKED, END_SEEN, END_ACKED };

static bool relay_wait(struct relay *relay, int w, enum waiting_for what,
		       uint64_t bytes)
{
	struct relay_way *way = &relay->way[w];
	struct timespec nap = { .tv_nsec = 500 * 1000 };
	const char *patience = getenv("RELAY_PATIENCE") ?: RELAY_PATIENCE;
	struct timespec begin, now;
	bool done;

	clock_gettime(CLOCK_MONOTONIC, &begin);
	for (;;) {
		relay_lock(relay);
		switch (what) {
		case SEEN:
			done = way->seen.bytes >= bytes;
			break;
		case PASSED:
			done = way->passed.bytes >= bytes;
			break;
		case ACKED:
			done = way->passed.bytes >= bytes && way_acked(way);
			break;
		case END_SEEN:
			done = way->eof;
			break;
		default:
			done = way->eof_passed && way_acked(way);
		}
		pthread_mutex_unlock(&relay->lock);
		if (done)
			return true;

		clock_gettime(CLOCK_MONOTONIC, &now);
		if ((now.tv_sec - begin.tv_sec) * 1000 +
		    (now.tv_nsec - begin.tv_nsec) / 1000000 > atol(patience))
			return false;
		nanosleep(&nap, NULL);
	}
}

bool relay_wait_seen(struct relay *relay, int way, uint64_t bytes)
{
	return relay_wait(relay, way, SEEN, bytes);
}

bool relay_wait_passed(struct relay *relay, int way, uint64_t bytes)
{
	return relay_wait(relay, way, PASSED, bytes);
}

bool relay_wait_acked(struct relay *relay, int way, uint64_t bytes)
{
	return relay_wait(relay, way, ACKED, bytes);
}

bool relay_wait_eof_seen(struct relay *relay, int way)
{
	return relay_wait(relay, way, END_SEEN, 0);
}

bool relay_wait_eof_acked(struct relay *relay, int way)
{
	return relay_wait(relay, way, END_ACKED, 0);
}
