// SPDX-License-Identifier: GPL-2.0
/* Every attempt is known, with what came of it. */

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kselftest_harness.h"

#include "life.h"

#define ALICE	1001
#define BOB	1002
#define VERSION	TLS_1_3_VERSION
#define CIPHER	TLS_CIPHER_AES_GCM_128

/* What a namespace keeps of each kind. */
#define LIMIT	1024

struct list {
	struct ktls_attempt *attempt;
	size_t n, size;
};

static int collect(const struct ktls_attempt *attempt, void *arg)
{
	struct list *list = arg;

	if (list->n == list->size) {
		list->size = list->size ? 2 * list->size : 64;
		list->attempt = realloc(list->attempt, list->size *
					sizeof(*list->attempt));
		if (!list->attempt)
			abort();
	}
	list->attempt[list->n++] = *attempt;

	return 0;
}

static int hear(const struct ktls_event *event, void *arg)
{
	if (event->type == KTLS_CMD_ATTEMPT_NTF)
		return collect(event->attempt, arg);

	return 0;
}

FIXTURE(attempts)
{
	struct ktls *ktls;
	struct list list;
};

FIXTURE_SETUP(attempts)
{
	ASSERT_EQ(0, netns_new());
	ASSERT_EQ(0, ktls_open(&self->ktls, -1));
}

FIXTURE_TEARDOWN(attempts)
{
	EXPECT_FALSE(kernel_tainted());
	ktls_close(self->ktls);
	free(self->list.attempt);
}

static void get(struct __test_metadata *_metadata,
		FIXTURE_DATA(attempts) *self, bool failed)
{
	size_t i;

	self->list.n = 0;
	ASSERT_EQ(0, ktls_dump_attempts(self->ktls, failed, collect,
					&self->list))
		TH_LOG("%s", ktls_strerror(self->ktls));
	for (i = 1; i < self->list.n; i++)
		EXPECT_LT(self->list.attempt[i - 1].number,
			  self->list.attempt[i].number);
}

struct sum {
	uint32_t step, error;
	uint64_t n;
};

static int add(const struct ktls_outcome *outcome, void *arg)
{
	struct sum *sum = arg;

	if (outcome->step == sum->step && outcome->error == sum->error)
		sum->n += outcome->attempts;

	return 0;
}

static uint64_t outcomes(FIXTURE_DATA(attempts) *self, uint32_t step,
			 uint32_t error)
{
	struct sum sum = { step, error, 0 };

	if (ktls_dump_outcomes(self->ktls, add, &sum))
		abort();

	return sum.n;
}

static void install(struct __test_metadata *_metadata, const int fd[2])
{
	ASSERT_EQ(0, tls_arm(fd, VERSION, CIPHER));
}

TEST_F(attempts, none)
{
	get(_metadata, self, false);
	EXPECT_EQ(0, self->list.n);
	EXPECT_EQ(0, module_state().attempts);
	EXPECT_EQ(LIMIT, module_state().attempts_limit);
}

TEST_F(attempts, success)
{
	static const uint32_t steps[] = {
		KTLS_STEP_ULP, KTLS_STEP_TX, KTLS_STEP_RX,
	};
	const struct ktls_attempt *one;
	struct ktls_socket s;
	int fd[2];
	size_t i;

	ASSERT_EQ(0, tcp_pair(fd));
	install(_metadata, fd);
	get(_metadata, self, false);
	ASSERT_EQ(6, self->list.n);
	for (i = 0; i < 6; i++) {
		const struct ktls_attempt *a = &self->list.attempt[i];

		ASSERT_TRUE(socket_by_cookie(self->ktls, cookie_of(fd[i / 3]),
					     &s));
		EXPECT_EQ(i + 1, a->number);
		EXPECT_EQ(steps[i % 3], a->step);
		EXPECT_EQ(0, a->error);
		EXPECT_EQ(-1, a->action);
		EXPECT_EQ(0, a->flags);
		EXPECT_EQ(s.cookie, a->cookie);
		EXPECT_EQ(s.inode, a->inode);
		EXPECT_EQ(s.netns, a->netns);
		EXPECT_EQ(s.local_port, a->local_port);
		EXPECT_EQ(s.remote_port, a->remote_port);
		EXPECT_EQ(0, memcmp(s.local_addr, a->local_addr, 16));
		EXPECT_EQ(0, memcmp(s.remote_addr, a->remote_addr, 16));
		EXPECT_EQ(AF_INET, a->family);
		EXPECT_EQ((uint32_t)getpid(), a->pid);
		EXPECT_EQ(0, a->uid);
		EXPECT_STREQ("attempts", a->comm);
		if (i % 3) {
			EXPECT_EQ(VERSION, a->version);
			EXPECT_EQ(CIPHER, a->cipher);
			EXPECT_EQ(KTLS_MODE_SW, a->mode);
		} else {
			EXPECT_EQ(0, a->version);
			EXPECT_EQ(0, a->cipher);
			EXPECT_EQ(KTLS_MODE_NONE, a->mode);
		}
	}
	ASSERT_EQ(0, ktls_get_attempt(self->ktls, 5, &one));
	EXPECT_EQ(0, memcmp(one, &self->list.attempt[4], sizeof(*one)));
	EXPECT_EQ(-ENOENT, ktls_get_attempt(self->ktls, 7, &one));
	EXPECT_EQ(2, outcomes(self, KTLS_STEP_TX, 0));
	get(_metadata, self, true);
	EXPECT_EQ(0, self->list.n);
}

/* Each as the kernel refuses it. */
TEST_F(attempts, refused)
{
	const struct ktls_attempt *a;
	struct key key;
	int fd[2], alone;

	alone = socket(AF_INET, SOCK_STREAM, 0);
	ASSERT_LE(0, alone);
	EXPECT_EQ(-ENOTCONN, tls_attach(alone));

	ASSERT_EQ(0, tcp_pair(fd));
	ASSERT_EQ(0, tls_attach(fd[0]));
	key_make(&key, VERSION, CIPHER, 0);
	key.info.version = 0x302;
	EXPECT_EQ(-1, setsockopt(fd[0], SOL_TLS, TLS_TX, &key, key.len));
	EXPECT_EQ(EINVAL, errno);
	key_make(&key, VERSION, CIPHER, 0);
	key.info.cipher_type = 77;
	EXPECT_EQ(-1, setsockopt(fd[0], SOL_TLS, TLS_RX, &key, key.len));
	EXPECT_EQ(EINVAL, errno);
	/* Too short to tell of what. */
	EXPECT_EQ(-1, setsockopt(fd[0], SOL_TLS, TLS_RX, &key, 3));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(-1, setsockopt(fd[0], SOL_TLS, TLS_RX, (void *)8, key.len));
	EXPECT_EQ(EFAULT, errno);

	get(_metadata, self, true);
	ASSERT_EQ(5, self->list.n);
	a = self->list.attempt;
	EXPECT_EQ(KTLS_STEP_ULP, a[0].step);
	EXPECT_EQ(ENOTCONN, a[0].error);
	EXPECT_EQ(cookie_of(alone), a[0].cookie);
	EXPECT_EQ(KTLS_STEP_TX, a[1].step);
	EXPECT_EQ(EINVAL, a[1].error);
	EXPECT_EQ(0x302, a[1].version);
	EXPECT_EQ(CIPHER, a[1].cipher);
	EXPECT_EQ(KTLS_MODE_NONE, a[1].mode);
	EXPECT_EQ(KTLS_STEP_RX, a[2].step);
	EXPECT_EQ(77, a[2].cipher);
	EXPECT_EQ(EINVAL, a[3].error);
	EXPECT_EQ(0, a[3].cipher);
	EXPECT_EQ(EFAULT, a[4].error);
	EXPECT_EQ(0, a[4].version);
	EXPECT_EQ(2, outcomes(self, KTLS_STEP_RX, EINVAL));
	EXPECT_EQ(1, outcomes(self, KTLS_STEP_RX, EFAULT));
	EXPECT_EQ(1, outcomes(self, KTLS_STEP_ULP, 0));
	EXPECT_EQ(6, module_state().attempts);
}

/* libssl attaches once for each direction. */
TEST_F(attempts, twice)
{
	int fd[2];

	ASSERT_EQ(0, tcp_pair(fd));
	ASSERT_EQ(0, tls_attach(fd[0]));
	EXPECT_EQ(-EEXIST, tls_attach(fd[0]));
	get(_metadata, self, false);
	EXPECT_EQ(1, self->list.n);
	EXPECT_EQ(1, outcomes(self, KTLS_STEP_ULP, EEXIST));
}

TEST_F(attempts, rekey)
{
	int fd[2], err;

	ASSERT_EQ(0, tls_pair(fd, VERSION, CIPHER));
	err = key_install(fd[0], TLS_TX, VERSION, CIPHER, 9);
	get(_metadata, self, false);
	ASSERT_EQ(7, self->list.n);
	EXPECT_EQ(KTLS_STEP_REKEY_TX, self->list.attempt[6].step);
	EXPECT_EQ((uint32_t)-err, self->list.attempt[6].error);
	EXPECT_TRUE(!err || err == -EBUSY);
}

/* Other protocols above TCP are none of our business. */
TEST_F(attempts, other_ulp)
{
	int fd[2];

	ASSERT_EQ(0, tcp_pair(fd));
	setsockopt(fd[0], IPPROTO_TCP, TCP_ULP, "smc", 4);
	setsockopt(fd[0], IPPROTO_TCP, TCP_ULP, "tlsx", 5);
	get(_metadata, self, false);
	EXPECT_EQ(0, self->list.n);
}

/* The many do not push out the few. */
TEST_F_TIMEOUT(attempts, bounded, 300)
{
	unsigned int i, n = 3 * LIMIT;
	struct key key;
	int fd[2];

	ASSERT_EQ(0, tls_pair(fd, VERSION, CIPHER));
	key_make(&key, VERSION, CIPHER, 0);
	key.info.version = 0x302;
	for (i = 0; i < n; i++)
		setsockopt(fd[0], SOL_TLS, TLS_TX, &key, key.len);
	get(_metadata, self, true);
	ASSERT_EQ(LIMIT, self->list.n);
	EXPECT_EQ(6 + n, self->list.attempt[LIMIT - 1].number);
	EXPECT_EQ(6 + n - LIMIT + 1, self->list.attempt[0].number);
	get(_metadata, self, false);
	ASSERT_EQ(6 + LIMIT, self->list.n);
	for (i = 0; i < 6; i++)
		EXPECT_EQ(i + 1, self->list.attempt[i].number);
	EXPECT_EQ(6 + n, module_state().attempts);
}

/* Refused attempts, of as many users as there are in a user namespace of hers, if
 * she has one.
 */
static int make_flood(bool namespace, int down)
{
	int alone = socket(AF_INET, SOCK_STREAM, 0);
	unsigned int i;
	char c;

	if (setresgid(ALICE, ALICE, ALICE) || setresuid(ALICE, ALICE, ALICE))
		return 1;
	if (namespace && (prctl(PR_SET_DUMPABLE, 1) || unshare(CLONE_NEWUSER)))
		return 2;
	/* Now, or once it has users. */
	if (read(down, &c, 1) != 1)
		return 3;
	for (i = 0; i < 3 * LIMIT; i++) {
		if (namespace && setresuid(-1, 1 + i % 999, -1))
			return 4;
		if (tls_attach(alone) != -ENOTCONN)
			return 5;
	}

	return 0;
}

static void flood_by_alice(struct __test_metadata *_metadata, bool namespace)
{
	int down[2], status;
	char command[128];
	pid_t pid;

	ASSERT_EQ(0, pipe(down));
	pid = fork();
	if (!pid)
		_exit(make_flood(namespace, down[0]));
	if (namespace) {
		snprintf(command, sizeof(command),
			 "until echo 0 100000 1000 >/proc/%d/uid_map; do sleep 0.1; done 2>/dev/null",
			 pid);
		ASSERT_EQ(0, system(command));
	}
	ASSERT_EQ(1, write(down[1], "", 1));
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status) TH_LOG("exit %d", WEXITSTATUS(status));
	close(down[0]);
	close(down[1]);
}

/* Bob's attempts of a list. */
static unsigned int bobs(const struct list *list)
{
	unsigned int n = 0;
	size_t i;

	for (i = 0; i < list->n; i++)
		n += list->attempt[i].uid == BOB;

	return n;
}

/* A user who makes many does not push out those of another. */
TEST_F_TIMEOUT(attempts, flooded, 300)
{
	unsigned int i, namespace, tries = 0;
	int alone;

again:
	alone = socket(AF_INET, SOCK_STREAM, 0);
	ASSERT_EQ(0, seteuid(BOB));
	for (i = 0; i < 5; i++)
		EXPECT_EQ(-ENOTCONN, tls_attach(alone));
	ASSERT_EQ(0, seteuid(0));
	for (namespace = 0; namespace < 2; namespace++) {
		flood_by_alice(_metadata, namespace);
		get(_metadata, self, true);
		ASSERT_EQ(LIMIT, self->list.n);
		EXPECT_EQ(3 * LIMIT * (namespace + 1) + 5,
			  self->list.attempt[LIMIT - 1].number);
		/* One time in 64 they have a share in common. */
		if (!bobs(&self->list) && tries++ < 2) {
			close(alone);
			ktls_close(self->ktls);
			ASSERT_EQ(0, netns_new());
			ASSERT_EQ(0, ktls_open(&self->ktls, -1));
			goto again;
		}
		EXPECT_EQ(5, bobs(&self->list));
		EXPECT_EQ(1, self->list.attempt[0].number);
	}
	/* All is for those who need it, until there are others. */
	ASSERT_EQ(0, seteuid(BOB));
	for (i = 0; i < LIMIT; i++)
		tls_attach(alone);
	ASSERT_EQ(0, seteuid(0));
	get(_metadata, self, true);
	EXPECT_EQ(LIMIT, self->list.n);
	EXPECT_LE(LIMIT / 2, bobs(&self->list));
	EXPECT_GE(LIMIT / 2 + 1, bobs(&self->list));
}

/* Kilobytes that the kernel has not given back. */
static long memory(void)
{
	long value, sum = 0;
	char line[128];
	FILE *f;

	sleep_ms(300);
	f = fopen("/proc/meminfo", "r");
	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "SUnreclaim: %ld", &value) == 1 ||
		    sscanf(line, "VmallocUsed: %ld", &value) == 1)
			sum += value;
	if (f)
		fclose(f);

	return sum;
}

/* A thousand a second for a minute, only faster; refused by the kernel and by the
 * policy, at each step.
 */
TEST_F_TIMEOUT(attempts, flood, 900)
{
	struct ktls_rule rules[] = {
		{ .match = 1U << KTLS_A_RULE_ULP, .action = KTLS_ACTION_DENY },
		{ .action = KTLS_ACTION_DENY },
	};
	struct ktls_policy deny = { .rules = rules, .rules_count = 2 };
	unsigned int i, n = scale("ATTEMPTS", 60000, 6000), all, step;
	int alone, fd[2], pass;
	long before = 0, after;
	struct key key;

	alone = socket(AF_INET, SOCK_STREAM, 0);
	ASSERT_EQ(0, tcp_pair(fd));
	ASSERT_EQ(0, tls_attach(fd[0]));
	ASSERT_EQ(0, ktls_set_policy(self->ktls, &deny, NULL, NULL));
	key_make(&key, VERSION, CIPHER, 0);
	/* The first fills what is bounded. */
	for (pass = 0; pass < 2; pass++) {
		all = pass ? n : 3 * LIMIT;
		for (i = 0; i < all / 3; i++) {
			EXPECT_EQ(-EPERM, tls_attach(alone));
			for (step = TLS_TX; step <= TLS_RX; step++) {
				EXPECT_EQ(-1, setsockopt(fd[0], SOL_TLS, step,
							 &key, key.len));
				EXPECT_EQ(EPERM, errno);
			}
		}
		after = memory();
		if (!pass)
			before = after;
	}
	TH_LOG("%u attempts: %ld kB before, %ld kB after", n, before, after);
	/* As much as others may do meanwhile; 32 bytes leaked each are twice that. */
	EXPECT_GT(before + n / 60, after);

	/* All are counted, and those that had to go are known to be gone. */
	all = 3 * LIMIT + n;
	EXPECT_EQ(all / 3, outcomes(self, KTLS_STEP_ULP, EPERM));
	EXPECT_EQ(all / 3, outcomes(self, KTLS_STEP_TX, EPERM));
	EXPECT_EQ(all / 3, outcomes(self, KTLS_STEP_RX, EPERM));
	EXPECT_EQ(1 + all, module_state().attempts);
	EXPECT_EQ(0, module_state().lost_attempts);
	EXPECT_EQ(0, module_state().open);
	get(_metadata, self, true);
	ASSERT_EQ(LIMIT, self->list.n);
	EXPECT_EQ(1 + all, self->list.attempt[LIMIT - 1].number);
	EXPECT_EQ(1 + all - LIMIT + 1, self->list.attempt[0].number);
}

static void listen_for(struct __test_metadata *_metadata,
		       FIXTURE_DATA(attempts) *self, struct list *list,
		       unsigned int want)
{
	struct pollfd p = { .events = POLLIN };
	uint64_t end = now_ms() + 10000;

	p.fd = ktls_event_fd(self->ktls);
	while (now_ms() < end) {
		if (list->n >= want && end > now_ms() + 200)
			end = now_ms() + 200;
		poll(&p, 1, 50);
		ASSERT_EQ(0, ktls_dispatch(self->ktls, hear, list))
			TH_LOG("%s", ktls_strerror(self->ktls));
	}
	EXPECT_EQ(want, list->n);
}

/* Each is heard once, as it is read. */
TEST_F(attempts, events)
{
	struct list heard = {};
	unsigned int i;
	int fd[2], alone;

	ASSERT_EQ(0, ktls_subscribe_to(self->ktls, KTLS_EVENTS_ATTEMPTS));
	alone = socket(AF_INET, SOCK_STREAM, 0);
	for (i = 0; i < 20; i++) {
		ASSERT_EQ(0, tls_pair(fd, VERSION, CIPHER));
		tls_attach(alone);
		tls_attach(fd[0]);
		close(fd[0]);
		close(fd[1]);
	}
	listen_for(_metadata, self, &heard, 140);
	get(_metadata, self, false);
	ASSERT_EQ(heard.n, self->list.n);
	EXPECT_EQ(0, memcmp(heard.attempt, self->list.attempt,
			    heard.n * sizeof(*heard.attempt)));
	EXPECT_EQ(0, module_state().lost_events);
	free(heard.attempt);
}

/* Who begins to listen late does not hear of what was. */
TEST_F(attempts, events_from_now_on)
{
	struct list heard = {};
	int fd[2];

	ASSERT_EQ(0, tls_pair(fd, VERSION, CIPHER));
	ASSERT_EQ(0, ktls_subscribe_to(self->ktls, KTLS_EVENTS_ATTEMPTS));
	tls_attach(socket(AF_INET, SOCK_STREAM, 0));
	listen_for(_metadata, self, &heard, 1);
	EXPECT_EQ(7, heard.attempt[0].number);
	free(heard.attempt);
}

/* What a listener does not hear is counted, or it is told. */
TEST_F_TIMEOUT(attempts, events_lost, 300)
{
	unsigned int i, n = 20000, told = 0;
	struct list heard = {};
	uint64_t deadline;
	int alone, err;

	ASSERT_EQ(0, ktls_subscribe_to(self->ktls, KTLS_EVENTS_ATTEMPTS));
	alone = socket(AF_INET, SOCK_STREAM, 0);
	for (i = 0; i < n; i++)
		tls_attach(alone);
	/* The latest is kept, and so it comes, unless there is no room for it. */
	deadline = now_ms() + 60000;
	do {
		sleep_ms(100);
		err = ktls_dispatch(self->ktls, hear, &heard);
		told += err == -ENOBUFS;
	} while (err == -ENOBUFS ||
		 (!err && !told && now_ms() < deadline &&
		  (!heard.n || heard.attempt[heard.n - 1].number < n)));
	EXPECT_EQ(0, err);
	EXPECT_GT(n, heard.n);
	TH_LOG("%zu of %u heard, %llu lost, told %u times", heard.n, n,
	       (unsigned long long)module_state().lost_events, told);
	if (!told)
		EXPECT_EQ(n, heard.n + module_state().lost_events);
	/* It is there to be read. */
	get(_metadata, self, true);
	EXPECT_EQ(n, self->list.attempt[self->list.n - 1].number);
	free(heard.attempt);
}

TEST_F(attempts, others)
{
	const struct ktls_attempt *one;
	pid_t pid;
	int fd[2], status;

	ASSERT_EQ(0, tls_pair(fd, VERSION, CIPHER));
	ASSERT_EQ(0, seteuid(ALICE));
	tls_attach(socket(AF_INET, SOCK_STREAM, 0));
	ASSERT_EQ(0, seteuid(0));
	get(_metadata, self, false);
	ASSERT_EQ(7, self->list.n);
	EXPECT_EQ(ALICE, self->list.attempt[6].uid);

	pid = fork();
	if (!pid) {
		struct list list = {};
		struct ktls *ktls;

		if (setresuid(ALICE, ALICE, ALICE) || ktls_open(&ktls, -1) ||
		    ktls_dump_attempts(ktls, false, collect, &list))
			_exit(1);
		if (list.n != 1 || list.attempt[0].number != 7)
			_exit(2);
		if (ktls_get_attempt(ktls, 1, &one) != -ENOENT ||
		    ktls_get_attempt(ktls, 7, &one))
			_exit(3);
		if (ktls_subscribe_to(ktls, KTLS_EVENTS_ATTEMPTS) != -EPERM)
			_exit(4);
		_exit(0);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status) TH_LOG("exit %d", WEXITSTATUS(status));

	ASSERT_EQ(0, netns_new());
	EXPECT_EQ(0, module_state().attempts);
}

TEST_HARNESS_MAIN
