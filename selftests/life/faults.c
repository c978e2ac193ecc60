// SPDX-License-Identifier: GPL-2.0
/*
 * Every allocation fails once: the first, the second... of a key install, of a
 * dump, of a look. What the module cannot keep it counts, and the connection
 * goes on as if nothing was.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kselftest_harness.h"

#include "life.h"

#define VERSION	TLS_1_3_VERSION
#define CIPHER	TLS_CIPHER_AES_GCM_128

#define FAULTS_MAX	400

static int fault_fd = -1;

static void fault_arm(unsigned int n)
{
	char line[16];
	int len = snprintf(line, sizeof(line), "%u", n);

	if (pwrite(fault_fd, line, len, 0) != len)
		abort();
}

/* Did it happen? */
static bool fault_disarm(void)
{
	char line[16] = "";
	bool happened;

	if (pread(fault_fd, line, sizeof(line) - 1, 0) < 0)
		abort();
	happened = !atoi(line);
	fault_arm(0);

	return happened;
}

static bool tell(const char *file, const char *value)
{
	int fd = open(file, O_WRONLY);
	bool done = fd >= 0 && write(fd, value, 1) == 1;

	if (fd >= 0)
		close(fd);

	return done;
}

FIXTURE(faults)
{
	struct ktls *ktls;
	bool able;
};

FIXTURE_SETUP(faults)
{
	fault_fd = open("/proc/thread-self/fail-nth", O_RDWR);
	if (fault_fd < 0 ||
	    !tell("/sys/kernel/debug/failslab/ignore-gfp-wait", "N"))
		return;
	self->able = true;
	/* Pages, too, where the kernel can. */
	tell("/sys/kernel/debug/fail_page_alloc/ignore-gfp-wait", "N");
	ASSERT_EQ(0, netns_new());
	ASSERT_EQ(0, ktls_open(&self->ktls, -1));
}

/* In each test, as 6.1's harness runs it after a setup that skips. */
#define NEED_FAULTS() do {						\
	if (!self->able)						\
		SKIP(return, "kernel without fault injection (FAILSLAB)"); \
} while (0)

FIXTURE_TEARDOWN(faults)
{
	if (self->ktls)
		ktls_close(self->ktls);
}

/* The end that installs under faults sends and is heard, known or not. */
TEST_F_TIMEOUT(faults, install, 600)
{
	unsigned int n, refused = 0, lost = 0, kept = 0;

	NEED_FAULTS();
	for (n = 1; n < FAULTS_MAX; n++) {
		uint64_t before, sent = 0, got = 0;
		struct ktls_socket s;
		bool happened;
		int fd[2], err;

		ASSERT_EQ(0, tcp_pair(fd));
		ASSERT_EQ(0, tls_attach(fd[0]));
		ASSERT_EQ(0, tls_attach(fd[1]));
		ASSERT_EQ(0, key_install(fd[1], TLS_RX, VERSION, CIPHER, 0));
		before = module_state().lost_sockets;

		fault_arm(n);
		err = key_install(fd[0], TLS_TX, VERSION, CIPHER, 0);
		happened = fault_disarm();
		if (err) {
			EXPECT_TRUE(happened);
			refused++;
			EXPECT_FALSE(socket_by_cookie(self->ktls,
						      cookie_of(fd[0]), &s));
			/* The next try is not the worse for it. */
			err = key_install(fd[0], TLS_TX, VERSION, CIPHER, 0);
			ASSERT_EQ(0, err) TH_LOG("fault %u", n);
		}
		if (socket_by_cookie(self->ktls, cookie_of(fd[0]), &s)) {
			EXPECT_EQ(KTLS_MODE_SW, s.tx.mode);
			EXPECT_EQ(before, module_state().lost_sockets);
			kept++;
		} else {
			EXPECT_EQ(before + 1, module_state().lost_sockets)
				TH_LOG("fault %u", n);
			lost++;
		}
		EXPECT_TRUE(send_pattern(fd[0], 3000, 1, &sent));
		EXPECT_TRUE(recv_pattern(fd[1], 3000, 1, &got));
		close(fd[0]);
		close(fd[1]);
		if (!happened)
			break;
	}
	TH_LOG("%u allocations: %u installs refused, %u sockets lost, %u kept",
	       n - 1, refused, lost, kept);
	EXPECT_GT(FAULTS_MAX, n);
	EXPECT_LT(0, refused);
	EXPECT_LT(0, lost);
	EXPECT_LT(0, kept);
	EXPECT_EQ(0, module_state().open);
	EXPECT_FALSE(kernel_tainted());
}

static int count_event(const struct ktls_event *event, void *arg)
{
	(*(unsigned int *)arg)++;

	return 0;
}

/* An event is heard, or counted as lost. */
TEST_F_TIMEOUT(faults, event, 600)
{
	unsigned int n, missed = 0;
	bool happened = true;

	NEED_FAULTS();
	ASSERT_EQ(0, ktls_subscribe(self->ktls));
	for (n = 1; n < FAULTS_MAX && happened; n++) {
		uint64_t before = module_state().lost_events, lost = 0, end;
		unsigned int heard = 0, want;
		struct ktls_socket s;
		int fd[2];

		ASSERT_EQ(0, tcp_pair(fd));
		ASSERT_EQ(0, tls_attach(fd[0]));
		fault_arm(n);
		key_install(fd[0], TLS_TX, VERSION, CIPHER, 0);
		happened = fault_disarm();
		/* Its install, and its close. */
		want = socket_by_cookie(self->ktls, cookie_of(fd[0]), &s) ?
		       2 : 0;
		close(fd[0]);
		close(fd[1]);
		end = now_ms() + 5000;
		do {
			/* It may say that some were lost: they are counted. */
			ktls_dispatch(self->ktls, count_event, &heard);
			lost = module_state().lost_events - before;
		} while (heard + lost < want && now_ms() < end);
		EXPECT_EQ(want, heard + lost) TH_LOG("fault %u", n);
		missed += lost;
	}
	TH_LOG("%u allocations, %u events lost and counted", n - 1, missed);
	EXPECT_GT(FAULTS_MAX, n);
	EXPECT_LT(0, missed);
}

/* A dump, a look and the sums fail, or are right. */
TEST_F_TIMEOUT(faults, look, 600)
{
	unsigned int n, i, failed = 0;
	struct cookies cookies = {};
	bool happened = true;
	int fd[8][2];

	NEED_FAULTS();
	for (i = 0; i < 8; i++)
		ASSERT_EQ(0, tls_pair(fd[i], VERSION, CIPHER));
	for (n = 1; n < FAULTS_MAX && happened; n++) {
		struct ktls_socket s;
		int err;

		fault_arm(n);
		err = cookies_dump(self->ktls, NULL, &cookies);
		happened = fault_disarm();
		if (err)
			failed++;
		else
			EXPECT_EQ(16, cookies.n) TH_LOG("fault %u", n);

		fault_arm(n);
		socket_by_cookie(self->ktls, cookie_of(fd[0][0]), &s);
		happened |= fault_disarm();
		fault_arm(n);
		module_state();
		happened |= fault_disarm();
		ASSERT_EQ(0, cookies_dump(self->ktls, NULL, &cookies));
		EXPECT_EQ(16, cookies.n);
	}
	TH_LOG("%u allocations, %u dumps failed", n - 1, failed);
	EXPECT_GT(FAULTS_MAX, n);
	EXPECT_LT(0, failed);
	EXPECT_FALSE(kernel_tainted());
}

TEST_HARNESS_MAIN
