// SPDX-License-Identifier: GPL-2.0
/* Every event once, about the right direction, with the right numbers. */

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kselftest_harness.h"

#include "life.h"

#define CIPHER	TLS_CIPHER_AES_GCM_128

struct heard {
	int type;
	int direction;
	struct ktls_socket socket;
};

FIXTURE(events)
{
	struct ktls *ktls;
	struct heard *heard;
	unsigned int n, size;
};

FIXTURE_SETUP(events)
{
	ASSERT_EQ(0, netns_new());
	ASSERT_EQ(0, ktls_open(&self->ktls, -1));
	ASSERT_EQ(0, ktls_subscribe(self->ktls));
	self->size = 4096;
	self->heard = calloc(self->size, sizeof(*self->heard));
	ASSERT_NE(NULL, self->heard);
}

FIXTURE_TEARDOWN(events)
{
	ktls_close(self->ktls);
	free(self->heard);
}

static int hear(const struct ktls_event *event, void *arg)
{
	FIXTURE_DATA(events) *self = arg;

	if (self->n == self->size)
		return -E2BIG;
	self->heard[self->n].type = event->type;
	self->heard[self->n].direction = event->direction;
	self->heard[self->n].socket = *event->socket;
	self->n++;

	return 0;
}

/* Until there are @want, and a while longer: none may be too many. */
static void listen_for(struct __test_metadata *_metadata,
		       FIXTURE_DATA(events) *self, unsigned int want)
{
	struct pollfd p = { .events = POLLIN };
	uint64_t end = now_ms() + 10000;
	unsigned int before = self->n;

	while (now_ms() < end) {
		p.fd = ktls_event_fd(self->ktls);
		if (self->n >= want && end > now_ms() + 200)
			end = now_ms() + 200;
		poll(&p, 1, 50);
		ASSERT_EQ(0, ktls_dispatch(self->ktls, hear, self))
			TH_LOG("%s", ktls_strerror(self->ktls));
		if (self->n != before && self->n < want)
			end = now_ms() + 10000;
		before = self->n;
	}
	EXPECT_EQ(want, self->n);
}

static void forget(FIXTURE_DATA(events) *self)
{
	self->n = 0;
}

/* How often it was heard; the last one goes to @last. */
static unsigned int times(FIXTURE_DATA(events) *self, uint64_t cookie, int type,
			  int direction, struct ktls_socket *last)
{
	unsigned int i, n = 0;

	for (i = 0; i < self->n; i++) {
		if (self->heard[i].socket.cookie != cookie ||
		    self->heard[i].type != type ||
		    self->heard[i].direction != direction)
			continue;
		if (last)
			*last = self->heard[i].socket;
		n++;
	}

	return n;
}

#define INSTALL	KTLS_CMD_SOCKET_INSTALL_NTF
#define REKEY	KTLS_CMD_SOCKET_REKEY_NTF
#define ERROR	KTLS_CMD_SOCKET_ERROR_NTF
#define CLOSE	KTLS_CMD_SOCKET_CLOSE_NTF
#define TX	KTLS_DIRECTION_TX
#define RX	KTLS_DIRECTION_RX

TEST_F(events, install)
{
	struct ktls_socket s;
	uint64_t cookie;
	int fd[2];

	ASSERT_EQ(0, tcp_pair(fd));
	cookie = cookie_of(fd[0]);
	ASSERT_EQ(0, tls_attach(fd[0]));
	listen_for(_metadata, self, 0);

	ASSERT_EQ(0, key_install(fd[0], TLS_RX, TLS_1_3_VERSION, CIPHER, 0));
	listen_for(_metadata, self, 1);
	ASSERT_EQ(1, times(self, cookie, INSTALL, RX, &s));
	EXPECT_EQ(KTLS_MODE_SW, s.rx.mode);
	EXPECT_EQ(KTLS_MODE_NONE, s.tx.mode);
	EXPECT_EQ(getpid(), s.pid);
	forget(self);

	ASSERT_EQ(0, key_install(fd[0], TLS_TX, TLS_1_3_VERSION, CIPHER, 1));
	listen_for(_metadata, self, 1);
	ASSERT_EQ(1, times(self, cookie, INSTALL, TX, &s));
	EXPECT_EQ(KTLS_MODE_SW, s.rx.mode);
	EXPECT_EQ(KTLS_MODE_SW, s.tx.mode);
	EXPECT_EQ(CIPHER, s.tx.cipher);
	EXPECT_EQ(0, s.tx.records);
}

/* A key that the kernel does not take is no install. */
TEST_F(events, install_refused)
{
	struct key key;
	int fd[2];

	ASSERT_EQ(0, tcp_pair(fd));
	ASSERT_EQ(0, tls_attach(fd[0]));
	key_make(&key, TLS_1_3_VERSION, CIPHER, 0);
	EXPECT_EQ(-1, setsockopt(fd[0], SOL_TLS, TLS_TX, &key, key.len - 1));
	key.info.version = 0x0301;
	EXPECT_EQ(-1, setsockopt(fd[0], SOL_TLS, TLS_TX, &key, key.len));
	close(fd[0]);
	close(fd[1]);
	listen_for(_metadata, self, 0);
	EXPECT_EQ(0, module_state().closed);
}

TEST_F(events, close)
{
	uint64_t sent[2] = {}, got[2] = {}, cookie[2];
	const size_t len[2] = { 50000, 123 };
	const size_t records[2] = { 4, 1 };
	struct ktls_socket s, history;
	int fd[2], end;

	ASSERT_EQ(0, tls_pair(fd, TLS_1_3_VERSION, CIPHER));
	listen_for(_metadata, self, 4);
	forget(self);
	for (end = 0; end < 2; end++) {
		cookie[end] = cookie_of(fd[end]);
		ASSERT_TRUE(send_pattern(fd[end], len[end], end, &sent[end]));
		ASSERT_TRUE(recv_pattern(fd[!end], len[end], end, &got[end]));
	}
	close(fd[0]);
	close(fd[1]);
	listen_for(_metadata, self, 2);
	for (end = 0; end < 2; end++) {
		ASSERT_EQ(1, times(self, cookie[end], CLOSE, -1, &s));
		EXPECT_TRUE(s.flags & KTLS_SOCKET_FLAGS_CLOSED);
		EXPECT_LE(s.install_time, s.close_time);
		EXPECT_EQ(records[end], s.tx.records);
		EXPECT_EQ(records[!end], s.rx.records);
		EXPECT_EQ(len[end], s.tx.payload_bytes);
		EXPECT_EQ(len[!end], s.rx.payload_bytes);
		ASSERT_TRUE(socket_by_cookie(self->ktls, cookie[end],
					     &history));
		EXPECT_EQ(0, memcmp(&s, &history, sizeof(s)));
	}
}

/* A record that nobody with the key made. */
TEST_F(events, error)
{
	static const uint8_t record[5 + 64] = { 23, 3, 3, 0, 64 };
	struct ktls_socket s;
	uint64_t cookie;
	char c;
	int fd[2];

	ASSERT_EQ(0, tcp_pair(fd));
	cookie = cookie_of(fd[0]);
	ASSERT_EQ(0, tls_attach(fd[0]));
	ASSERT_EQ(0, key_install(fd[0], TLS_TX, TLS_1_3_VERSION, CIPHER, 0));
	ASSERT_EQ(0, key_install(fd[0], TLS_RX, TLS_1_3_VERSION, CIPHER, 1));
	listen_for(_metadata, self, 2);
	forget(self);

	ASSERT_EQ((ssize_t)sizeof(record),
		  send(fd[1], record, sizeof(record), 0));
	EXPECT_EQ(-1, recv(fd[0], &c, 1, 0));
	EXPECT_EQ(EBADMSG, errno);
	listen_for(_metadata, self, 1);
	ASSERT_EQ(1, times(self, cookie, ERROR, RX, &s));
	EXPECT_EQ(EBADMSG, s.rx.last_error);
	EXPECT_EQ(0, s.tx.last_error);
	forget(self);

	/* Whoever asks again is told again, but nothing new has happened. */
	EXPECT_EQ(-1, recv(fd[0], &c, 1, 0));
	EXPECT_EQ(-1, recv(fd[0], &c, 1, 0));
	close(fd[0]);
	listen_for(_metadata, self, 1);
	ASSERT_EQ(1, times(self, cookie, CLOSE, -1, &s));
	EXPECT_EQ(EBADMSG, s.rx.last_error);
	EXPECT_EQ(0, s.rx.records);
}

/* Where the kernel knows no further keys, they are refused. */
TEST_F(events, rekey)
{
	struct ktls_socket s;
	uint64_t cookie, sent = 0;
	int fd[2], err;

	ASSERT_EQ(0, tls_pair(fd, TLS_1_3_VERSION, CIPHER));
	cookie = cookie_of(fd[0]);
	ASSERT_TRUE(send_pattern(fd[0], 1000, 0, &sent));
	listen_for(_metadata, self, 4);
	forget(self);

	err = key_install(fd[0], TLS_TX, TLS_1_3_VERSION, CIPHER, 7);
	listen_for(_metadata, self, 1);
	ASSERT_EQ(1, times(self, cookie, REKEY, TX, &s));
	EXPECT_EQ(1, s.tx.records);
	EXPECT_EQ(0, s.rx.last_error);
	if (err) {
		EXPECT_EQ(-EBUSY, err);
		EXPECT_EQ(0, s.tx.rekeys);
		EXPECT_EQ(EBUSY, s.tx.last_error);
		EXPECT_EQ(1, s.tx.key_records);
		return;
	}
	EXPECT_EQ(1, s.tx.rekeys);
	EXPECT_EQ(0, s.tx.last_error);
	EXPECT_EQ(0, s.tx.key_records);
	forget(self);

	/* Another cipher on the way is not allowed. */
	err = key_install(fd[0], TLS_TX, TLS_1_3_VERSION,
			  TLS_CIPHER_AES_GCM_256, 8);
	EXPECT_EQ(-EINVAL, err);
	listen_for(_metadata, self, 1);
	ASSERT_EQ(1, times(self, cookie, REKEY, TX, &s));
	EXPECT_EQ(1, s.tx.rekeys);
	EXPECT_EQ(EINVAL, s.tx.last_error);
	forget(self);

	ASSERT_EQ(0, key_install(fd[1], TLS_RX, TLS_1_3_VERSION, CIPHER, 7));
	listen_for(_metadata, self, 1);
	EXPECT_EQ(1, times(self, cookie_of(fd[1]), REKEY, RX, &s));
	EXPECT_EQ(1, s.rx.rekeys);
}

/* Many at a time, from two processes: three for each socket. */
TEST_F_TIMEOUT(events, exactly_once, 300)
{
	const unsigned int pairs = slow_kernel() ? 30 : 150;
	unsigned int i, j, child, closes = 0;
	uint64_t payload = 0;
	int status;

	for (child = 0; child < 2; child++) {
		pid_t pid = fork();

		ASSERT_LE(0, pid);
		if (pid)
			continue;
		for (i = 0; i < pairs; i++) {
			uint64_t sent = 0, got = 0;
			int fd[2];

			if (tls_pair(fd, TLS_1_2_VERSION, CIPHER) ||
			    !send_pattern(fd[0], 100, i, &sent) ||
			    !recv_pattern(fd[1], 100, i, &got))
				_exit(1);
			if (i % 2)
				close_reset(fd[0]);
			else
				close(fd[0]);
			close(fd[1]);
		}
		_exit(0);
	}
	listen_for(_metadata, self, 2 * pairs * 2 * 3);
	for (child = 0; child < 2; child++) {
		ASSERT_LT(0, wait(&status));
		EXPECT_EQ(0, status);
	}

	for (i = 0; i < self->n; i++) {
		const struct heard *h = &self->heard[i];

		for (j = 0; j < i; j++)
			if (self->heard[j].socket.cookie == h->socket.cookie &&
			    self->heard[j].type == h->type &&
			    self->heard[j].direction == h->direction)
				break;
		EXPECT_EQ(i, j)
			TH_LOG("event %u again, as %u", j, i);
		if (h->type == CLOSE) {
			closes++;
			payload += h->socket.tx.payload_bytes;
		}
	}
	EXPECT_EQ(2 * pairs * 2, closes);
	EXPECT_EQ(2 * pairs * 100, payload);
	EXPECT_EQ(0, module_state().lost_events);
}

/* Who reads too slowly is told so, and catches up with a dump. */
TEST_F_TIMEOUT(events, overrun, 60)
{
	const unsigned int pairs = 40;
	struct cookies cookies = {};
	const int small = 1;
	unsigned int i;
	int fd[pairs][2], err, end;

	ASSERT_EQ(0, setsockopt(ktls_event_fd(self->ktls), SOL_SOCKET,
				SO_RCVBUFFORCE, &small, sizeof(small)));
	for (i = 0; i < pairs; i++)
		ASSERT_EQ(0, tls_pair(fd[i], TLS_1_3_VERSION, CIPHER));

	do {
		err = ktls_dispatch(self->ktls, hear, self);
	} while (!err && self->n < 4 * pairs && now_ms());
	EXPECT_EQ(-ENOBUFS, err);
	EXPECT_GT(4 * pairs, self->n);

	ASSERT_EQ(0, cookies_dump(self->ktls, NULL, &cookies));
	EXPECT_EQ(2 * pairs, cookies.n);
	for (i = 0; i < pairs; i++)
		for (end = 0; end < 2; end++)
			EXPECT_EQ(1, cookies_count(&cookies,
						   cookie_of(fd[i][end])));

	/* What is left of before is read; then it is as if nothing was. */
	while (ktls_dispatch(self->ktls, hear, self) == -ENOBUFS)
		;
	EXPECT_EQ(4 * pairs - self->n, module_state().lost_events);
	forget(self);
	close(fd[0][0]);
	listen_for(_metadata, self, 1);
}

/* Nothing is kept for those who come later. */
TEST_F(events, from_now_on)
{
	struct ktls *late;
	int fd[2];

	ASSERT_EQ(0, tls_pair(fd, TLS_1_3_VERSION, CIPHER));
	ktls_close(self->ktls);
	close(fd[0]);
	ASSERT_EQ(0, ktls_open(&late, -1));
	ASSERT_EQ(0, ktls_subscribe(late));
	self->ktls = late;
	listen_for(_metadata, self, 0);
	close(fd[1]);
	listen_for(_metadata, self, 1);
}

TEST_HARNESS_MAIN
