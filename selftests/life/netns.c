// SPDX-License-Identifier: GPL-2.0
/*
 * Sockets that close, and namespaces that end, while others look.
 *
 * A TLS context is freed after its socket, and the socket holds the namespace:
 * whoever closes the last socket of a namespace races with its end.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kselftest_harness.h"

#include "life.h"

#define VERSION		TLS_1_3_VERSION
#define CIPHER		TLS_CIPHER_AES_GCM_128

FIXTURE(end)
{
	int home;
};

FIXTURE_SETUP(end)
{
	ASSERT_EQ(0, netns_new());
	self->home = netns_open();
}

/* The unload waits for all namespaces to be gone, and complains of what they
 * left.
 */
FIXTURE_TEARDOWN(end)
{
	unsigned int exit_ms = 0;

	EXPECT_EQ(0, module_unload(unload_limit(), NULL, &exit_ms));
	EXPECT_GE(unload_limit(), exit_ms);
	EXPECT_EQ(0, module_load());
	EXPECT_FALSE(kernel_tainted());
}

static unsigned int rounds(void)
{
	return slow_kernel() ? 10 : 40;
}

/* The last thing in a namespace is a socket, and it closes. */
TEST_F_TIMEOUT(end, last_socket, 300)
{
	unsigned int round;
	int fd[2];

	for (round = 0; round < rounds(); round++) {
		ASSERT_EQ(0, netns_new());
		ASSERT_EQ(0, tls_pair(fd, VERSION, CIPHER));
		ASSERT_EQ(0, netns_enter(self->home));
		if (round % 2)
			close_reset(fd[0]);
		else
			close(fd[0]);
		close_reset(fd[1]);
	}
}

/* A process dies, and its namespace with it, with open sockets, closed ones,
 * and a listener.
 */
TEST_F_TIMEOUT(end, process, 300)
{
	struct ktls *ktls;
	unsigned int round, i;
	int fd[2], status;
	pid_t pid;

	for (round = 0; round < rounds(); round++) {
		pid = fork();
		ASSERT_LE(0, pid);
		if (pid) {
			ASSERT_EQ(pid, waitpid(pid, &status, 0));
			EXPECT_EQ(SIGKILL, status);
			continue;
		}
		if (netns_new() || ktls_open(&ktls, -1) ||
		    (round % 2 && ktls_subscribe(ktls)))
			_exit(1);
		for (i = 0; i < 6; i++) {
			if (tls_pair(fd, VERSION, CIPHER))
				_exit(1);
			if (i % 2)
				close(fd[0]);
		}
		kill(getpid(), SIGKILL);
	}
}

/* Events wait for the worker when their last listener goes. */
TEST_F_TIMEOUT(end, queued_events, 300)
{
	unsigned int round, i;
	struct ktls *ktls;
	int fd[4][2];

	for (round = 0; round < rounds(); round++) {
		ASSERT_EQ(0, netns_new());
		ASSERT_EQ(0, ktls_open(&ktls, -1));
		ASSERT_EQ(0, ktls_subscribe(ktls));
		for (i = 0; i < 4; i++)
			ASSERT_EQ(0, tls_pair(fd[i], VERSION, CIPHER));
		ASSERT_EQ(0, netns_enter(self->home));
		for (i = 0; i < 4; i++) {
			close_reset(fd[i][0]);
			close_reset(fd[i][1]);
		}
		ktls_close(ktls);
	}
}

/* Nobody has the socket any more, but its data is still on the way. */
TEST_F_TIMEOUT(end, orphans, 300)
{
	const int size = 1 << 20;
	unsigned int round;

	for (round = 0; round < rounds() / 4; round++) {
		uint64_t sent = 0, got = 0;
		int fd[2];
		char c;

		ASSERT_EQ(0, netns_new());
		ASSERT_EQ(0, tls_pair(fd, VERSION, CIPHER));
		ASSERT_EQ(0, setsockopt(fd[0], SOL_SOCKET, SO_SNDBUFFORCE,
					&size, sizeof(size)));
		ASSERT_TRUE(send_pattern(fd[0], 300000, 1, &sent));
		close(fd[0]);
		/* The table forgets it at once, the namespace does not. */
		EXPECT_EQ(1, module_state().open);
		EXPECT_EQ(1, module_state().closed);
		ASSERT_EQ(0, netns_enter(self->home));
		if (round % 2) {
			EXPECT_TRUE(recv_pattern(fd[1], sent, 1, &got));
			EXPECT_EQ(0, recv(fd[1], &c, 1, 0));
		}
		close(fd[1]);
	}
}

/* A close sleeps in a namespace that everybody else has left. */
TEST_F_TIMEOUT(end, lingering, 300)
{
	struct linger linger = { .l_onoff = 1, .l_linger = 30 };
	const int size = 1 << 20;
	uint64_t sent = 0, got = 0;
	int fd[2], last[2], status;
	pid_t pid;
	char c;

	ASSERT_EQ(0, pipe(last));
	ASSERT_EQ(0, netns_new());
	ASSERT_EQ(0, tls_pair(fd, VERSION, CIPHER));
	ASSERT_EQ(0, netns_enter(self->home));
	ASSERT_EQ(0, setsockopt(fd[0], SOL_SOCKET, SO_SNDBUFFORCE, &size,
				sizeof(size)));
	ASSERT_EQ(0, setsockopt(fd[0], SOL_SOCKET, SO_LINGER, &linger,
				sizeof(linger)));
	ASSERT_TRUE(send_pattern(fd[0], 300000, 1, &sent));
	pid = fork();
	if (!pid) {
		close(fd[1]);
		if (read(last[0], &c, 1) != 1)
			_exit(1);
		close(fd[0]);
		_exit(0);
	}
	close(fd[0]);
	ASSERT_EQ(1, write(last[1], "", 1));
	sleep_ms(300);
	EXPECT_EQ(0, waitpid(pid, &status, WNOHANG));
	EXPECT_TRUE(recv_pattern(fd[1], sent, 1, &got));
	EXPECT_EQ(0, recv(fd[1], &c, 1, 0));
	close_reset(fd[1]);
	EXPECT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
}

struct count {
	unsigned int open, closes;
};

static int count_event(const struct ktls_event *event, void *arg)
{
	struct count *count = arg;

	if (event->type == KTLS_CMD_SOCKET_CLOSE_NTF)
		count->closes++;

	return 0;
}

static int add_records(const struct ktls_totals *totals, void *arg)
{
	*(uint64_t *)arg += totals->records;

	return 0;
}

/* Dumps, single looks and sums, while sockets close under them. The sums never
 * go down, and in the end are what was sent.
 */
TEST_F_TIMEOUT(end, look_while_closing, 300)
{
	const unsigned int closers = 2, pairs = slow_kernel() ? 40 : 200;
	unsigned int i, child, looks = 0, running = closers;
	struct cookies cookies = {};
	uint64_t records = 0, before = 0;
	struct count count = {};
	struct ktls_socket s;
	struct ktls *ktls;
	struct pollfd p;
	uint64_t end;
	int status;

	ASSERT_EQ(0, ktls_open(&ktls, -1));
	ASSERT_EQ(0, ktls_subscribe(ktls));
	for (child = 0; child < closers; child++) {
		pid_t pid = fork();

		ASSERT_LE(0, pid);
		if (pid)
			continue;
		for (i = 0; i < pairs; i++) {
			uint64_t sent = 0, got = 0;
			int fd[2];

			if (tls_pair(fd, VERSION, CIPHER) ||
			    !send_pattern(fd[0], 1000, 1, &sent) ||
			    !recv_pattern(fd[1], 1000, 1, &got))
				_exit(1);
			close_reset(fd[i % 2]);
			close(fd[!(i % 2)]);
		}
		_exit(0);
	}
	while (running) {
		if (waitpid(-1, &status, WNOHANG) > 0) {
			EXPECT_EQ(0, status);
			running--;
		}
		ASSERT_EQ(0, cookies_dump(ktls, NULL, &cookies));
		EXPECT_TRUE(cookies_ascend(&cookies));
		/* One of these is being closed while it is looked at. */
		for (i = 0; i < cookies.n; i++)
			looks += socket_by_cookie(ktls, cookies.cookie[i], &s);
		records = 0;
		ASSERT_EQ(0, ktls_dump_totals(ktls, add_records, &records));
		EXPECT_LE(before, records);
		before = records;
		ktls_dispatch(ktls, count_event, &count);
	}
	records = 0;
	ASSERT_EQ(0, ktls_dump_totals(ktls, add_records, &records));
	EXPECT_EQ(2 * closers * pairs, records);
	EXPECT_EQ(0, module_state().open);
	EXPECT_LT(0, looks);

	p.fd = ktls_event_fd(ktls);
	p.events = POLLIN;
	end = now_ms() + 10000;
	while (count.closes < 2 * closers * pairs && now_ms() < end) {
		poll(&p, 1, 100);
		ASSERT_EQ(0, ktls_dispatch(ktls, count_event, &count));
	}
	EXPECT_EQ(2 * closers * pairs, count.closes);
	ktls_close(ktls);
}

struct late {
	int fd;
	void *page;
	struct key key;
};

static void *install_late(void *arg)
{
	const struct late *late = arg;

	return (void *)(long)setsockopt(late->fd, SOL_TLS, TLS_TX, late->page,
					late->key.len);
}

/* In a namespace of which nothing is left but a request for a key. */
static int be_late(int home, int parked)
{
	struct late late;
	pthread_t thread;
	void *result;
	int fd[2], uffd;

	uffd = page_open(&late.page);
	if (uffd < 0)
		return 77;
	key_make(&late.key, VERSION, CIPHER, 0);
	if (netns_new() || tcp_pair(fd) || tls_attach(fd[0]) ||
	    netns_enter(home))
		return 1;
	late.fd = fd[0];
	if (pthread_create(&thread, NULL, install_late, &late) ||
	    !page_wanted(uffd))
		return 2;
	/* What is left has no descriptor but the one in use. */
	close(fd[0]);
	close_reset(fd[1]);
	if (write(parked, "", 1) != 1)
		return 3;
	sleep_ms(100);
	if (page_fill(uffd, late.page, late.key.bytes, late.key.len) ||
	    pthread_join(thread, &result))
		return 4;

	return 0;
}

/* The request goes on to its end, or ends with its process. */
TEST_F_TIMEOUT(end, late_key, 300)
{
	unsigned int round;
	int parked[2], status;
	pid_t pid;
	char c;

	for (round = 0; round < rounds(); round++) {
		ASSERT_EQ(0, pipe(parked));
		pid = fork();
		if (!pid)
			_exit(be_late(self->home, parked[1]));
		close(parked[1]);
		if (read(parked[0], &c, 1) == 1 && round % 2)
			kill(pid, SIGKILL);
		close(parked[0]);
		ASSERT_EQ(pid, waitpid(pid, &status, 0));
		if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
			SKIP(return, "no userfaultfd");
		EXPECT_EQ(round % 2 ? SIGKILL : 0, status)
			TH_LOG("exit %d", WEXITSTATUS(status));
	}
}

TEST_HARNESS_MAIN
