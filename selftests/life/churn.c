// SPDX-License-Identifier: GPL-2.0
/*
 * The module comes and goes while everything it watches goes on:
 *
 *	workers		connect, transfer, close in every way there is, for ever
 *	keepers		keep one connection each over all cycles
 *	lister		dumps open and closed sockets and totals without a pause
 *	listener	subscribes to events
 *	this		load, look, unload, CYCLES times (100, or for a minute)
 *
 * Every byte is compared at both ends.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kselftest_harness.h"

#include "life.h"

#define WORKERS		2
#define KEEPERS		4
#define PROCESSES	(WORKERS + KEEPERS + 2)


/* Without CYCLES, a machine on which these take longer does fewer, ms. */
#define ENOUGH		60000

struct process {
	pid_t pid;
	/* What it did; the first that went wrong. */
	uint64_t connections;
	uint64_t bytes;
	uint64_t dumps;
	uint64_t events;
	char failure[160];
	/* Of a keeper's two ends. */
	uint64_t cookie[2];
};

struct shared {
	volatile bool stop;
	struct process process[PROCESSES];
};

static struct shared *shared;

#define FAIL(me, ...)							\
do {									\
	if (!(me)->failure[0])						\
		snprintf((me)->failure, sizeof((me)->failure), __VA_ARGS__); \
} while (0)

static const uint16_t ciphers[] = {
	TLS_CIPHER_AES_GCM_128, TLS_CIPHER_AES_GCM_256,
	TLS_CIPHER_CHACHA20_POLY1305,
};

/* There and back; true if all came as it was sent. */
static bool exchange(struct process *me, const int fd[2], uint64_t position[2],
		     uint64_t seed, unsigned int *random)
{
	int from;

	for (from = 0; from < 2; from++) {
		size_t len = 1 + rand_r(random) % 20000;
		uint64_t sent = position[from];

		if (!send_pattern(fd[from], len, seed + from, &sent)) {
			FAIL(me, "send: %s", strerror(errno));
			return false;
		}
		if (!recv_pattern(fd[!from], len, seed + from,
				  &position[from])) {
			FAIL(me, "receive: %s", strerror(errno));
			return false;
		}
		me->bytes += len;
	}

	return true;
}

/* Everything that was sent before the close must still arrive. */
static bool last_words(struct process *me, const int fd[2],
		       uint64_t position[2], uint64_t seed,
		       unsigned int *random)
{
	size_t len = 1 + rand_r(random) % 20000;
	uint64_t sent = position[0];
	char end;

	if (!send_pattern(fd[0], len, seed, &sent)) {
		FAIL(me, "last send: %s", strerror(errno));
		return false;
	}
	if (rand_r(random) % 2) {
		struct linger linger = { .l_onoff = 1, .l_linger = 5 };

		setsockopt(fd[0], SOL_SOCKET, SO_LINGER, &linger,
			   sizeof(linger));
	}
	close(fd[0]);
	if (!recv_pattern(fd[1], len, seed, &position[0])) {
		FAIL(me, "last receive: %s", strerror(errno));
		return false;
	}
	if (recv(fd[1], &end, 1, 0) != 0) {
		FAIL(me, "no end of file behind the last record");
		return false;
	}
	me->bytes += len;

	return true;
}

static void work(struct process *me, unsigned int random)
{
	while (!shared->stop && !me->failure[0]) {
		uint16_t version = rand_r(&random) % 2 ? TLS_1_3_VERSION :
							 TLS_1_2_VERSION;
		uint16_t cipher = ciphers[rand_r(&random) % 3];
		unsigned int rounds = rand_r(&random) % 4;
		uint64_t seed = (uint64_t)random << 8;
		uint64_t position[2] = {};
		int fd[2], err;

		err = tls_pair(fd, version, cipher);
		if (err) {
			FAIL(me, "connect or install: %s", strerror(-err));
			break;
		}
		while (rounds--)
			if (!exchange(me, fd, position, seed, &random))
				return;
		switch (rand_r(&random) % 4) {
		case 0:
			close_reset(fd[0]);
			close(fd[1]);
			break;
		case 1:
			shutdown(fd[0], SHUT_WR);
			close(fd[1]);
			close(fd[0]);
			break;
		default:
			if (!last_words(me, fd, position, seed, &random))
				return;
			close(fd[1]);
			break;
		}
		me->connections++;
		/* The module needs some of the processor to come and go. */
		sleep_ms(5);
	}
}

static void keep(struct process *me, unsigned int random)
{
	uint64_t seed = (uint64_t)random << 8;
	uint64_t position[2] = {};
	int fd[2], err;

	err = tls_pair(fd, random % 2 ? TLS_1_3_VERSION : TLS_1_2_VERSION,
		       ciphers[random % 3]);
	if (err) {
		FAIL(me, "connect or install: %s", strerror(-err));
		return;
	}
	me->cookie[0] = cookie_of(fd[0]);
	__atomic_store_n(&me->cookie[1], cookie_of(fd[1]), __ATOMIC_RELEASE);

	while (!shared->stop) {
		if (!exchange(me, fd, position, seed, &random))
			return;
		sleep_ms(50);
	}
	if (last_words(me, fd, position, seed, &random))
		me->connections++;
	close(fd[1]);
}

static int ignore_totals(const struct ktls_totals *totals, void *arg)
{
	return 0;
}

/* May an answer be an error while the module comes and goes? */
static bool gone(int err)
{
	return err == -ENOPKG || err == -EAGAIN;
}

static void list(struct process *me, unsigned int random)
{
	struct ktls_filter closed = { .match = KTLS_MATCH(CLOSED) };
	struct cookies cookies = {};

	while (!shared->stop && !me->failure[0]) {
		struct ktls *ktls;
		int err;

		err = ktls_open(&ktls, -1);
		while (!err && !shared->stop) {
			err = cookies_dump(ktls, NULL, &cookies);
			if (!err && !cookies_ascend(&cookies))
				FAIL(me, "a dump went back");
			if (!err)
				err = cookies_dump(ktls, &closed, &cookies);
			if (!err)
				err = ktls_dump_totals(ktls, ignore_totals,
						       NULL);
			if (!err)
				me->dumps++;
			sleep_ms(2);
		}
		if (err && !gone(err))
			FAIL(me, "dump: %s", ktls_strerror(ktls));
		ktls_close(ktls);
		/* The unload gets in between two dumps only. */
		sleep_ms(1);
	}
	cookies_free(&cookies);
}

#define SEEN_MAX	(1 << 22)
static uint8_t closed_seen[SEEN_MAX / 8];

static int heard(const struct ktls_event *event, void *arg)
{
	uint64_t cookie = event->socket->cookie % SEEN_MAX;
	struct process *me = arg;

	me->events++;
	if (event->type != KTLS_CMD_SOCKET_CLOSE_NTF)
		return 0;
	if (closed_seen[cookie / 8] & 1 << cookie % 8)
		FAIL(me, "socket %llu was closed twice",
		     (unsigned long long)event->socket->cookie);
	closed_seen[cookie / 8] |= 1 << cookie % 8;

	return 0;
}

static void listen_to_events(struct process *me, unsigned int random)
{
	while (!shared->stop && !me->failure[0]) {
		struct ktls *ktls;
		int err;

		err = ktls_open(&ktls, -1);
		if (!err)
			err = ktls_subscribe(ktls);
		while ((!err || err == -ENOBUFS) && !shared->stop) {
			struct pollfd p = {
				.fd = ktls_event_fd(ktls),
				.events = POLLIN,
			};

			poll(&p, 1, 200);
			err = ktls_dispatch(ktls, heard, me);
		}
		if (err && err != -ENOBUFS && !gone(err))
			FAIL(me, "events: %s", ktls_strerror(ktls));
		ktls_close(ktls);
		sleep_ms(1);
	}
}

FIXTURE(churn)
{
	unsigned int processes;
};

static void start(struct __test_metadata *_metadata,
		  FIXTURE_DATA(churn) *self,
		  void (*run)(struct process *me, unsigned int random))
{
	struct process *me = &shared->process[self->processes++];
	pid_t pid;

	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		/* What is timed is the module, not the wait for a processor. */
		errno = 0;
		if (nice(10) == -1 && errno)
			_exit(1);
		run(me, self->processes);
		_exit(0);
	}
	me->pid = pid;
}

FIXTURE_SETUP(churn)
{
	int i;

	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, shared);
	ASSERT_EQ(0, netns_new());
	if (module_loaded())
		ASSERT_EQ(0, module_unload(unload_limit(), NULL, NULL));

	for (i = 0; i < KEEPERS; i++)
		start(_metadata, self, keep);
	for (i = 0; i < WORKERS; i++)
		start(_metadata, self, work);
	start(_metadata, self, list);
	start(_metadata, self, listen_to_events);
	for (i = 0; i < KEEPERS; i++)
		while (!__atomic_load_n(&shared->process[i].cookie[1],
					__ATOMIC_ACQUIRE) &&
		       !shared->process[i].failure[0])
			sleep_ms(10);
}

FIXTURE_TEARDOWN(churn)
{
	int i;

	for (i = 0; i < PROCESSES; i++)
		if (shared->process[i].pid > 0)
			kill(shared->process[i].pid, SIGKILL);
	if (!module_loaded())
		module_load();
	munmap(shared, sizeof(*shared));
}

/* Sockets that live on are in the table as soon as the module is. */
static void look(struct __test_metadata *_metadata, unsigned int cycle)
{
	struct cookies cookies = {};
	struct ktls *ktls;
	int i, err;

	ASSERT_EQ(0, ktls_open(&ktls, -1));
	do {
		err = cookies_dump(ktls, NULL, &cookies);
	} while (err == -EAGAIN);
	ASSERT_EQ(0, err)
		TH_LOG("cycle %u: %s", cycle, ktls_strerror(ktls));
	for (i = 0; i < 2 * KEEPERS; i++) {
		uint64_t cookie = shared->process[i / 2].cookie[i % 2];

		EXPECT_EQ(1, cookies_count(&cookies, cookie))
			TH_LOG("cycle %u: socket %llu of %zu", cycle,
			       (unsigned long long)cookie, cookies.n);
	}
	cookies_free(&cookies);
	ktls_close(ktls);
}

/* Where a cycle is over before the lister has its turn: let it have one. */
static void await_dump(void)
{
	struct process *lister = &shared->process[PROCESSES - 2];
	uint64_t before = lister->dumps, end = now_ms() + 30000;

	while (*(volatile uint64_t *)&lister->dumps == before &&
	       now_ms() < end)
		sleep_ms(10);
}

static void finish(struct __test_metadata *_metadata)
{
	int i, status;

	shared->stop = true;
	for (i = 0; i < PROCESSES; i++) {
		struct process *p = &shared->process[i];

		ASSERT_EQ(p->pid, waitpid(p->pid, &status, 0));
		p->pid = 0;
		EXPECT_EQ(0, status);
		EXPECT_STREQ("", p->failure);
	}
}

TEST_F_TIMEOUT(churn, load_unload, 1500)
{
	unsigned int cycles = scale("CYCLES", 100, 3), cycle;
	unsigned int longest = 0, longest_busy = 0, sum = 0, loads = 0;
	uint64_t begin = now_ms(), connections = 0, bytes = 0, load;
	unsigned int random = 1;
	int i, err;

	for (cycle = 1; cycle <= cycles; cycle++) {
		unsigned int exit_ms, busy_ms;

		if (!getenv("CYCLES") && now_ms() - begin > ENOUGH)
			cycles = cycle;

		load = now_ms();
		err = module_load();
		ASSERT_EQ(0, err) TH_LOG("cycle %u: load", cycle);
		loads += now_ms() - load;
		look(_metadata, cycle);
		/* Now and then straight from one into the other. */
		if (rand_r(&random) % 4)
			sleep_ms(rand_r(&random) % 200);
		if (slow_kernel())
			await_dump();
		err = module_unload(unload_limit(), &busy_ms, &exit_ms);
		ASSERT_EQ(0, err)
			TH_LOG("cycle %u: unload, %u ms", cycle, busy_ms);
		if (exit_ms > longest)
			longest = exit_ms;
		if (busy_ms > longest_busy)
			longest_busy = busy_ms;
		sum += exit_ms;
		for (i = 0; i < PROCESSES; i++)
			ASSERT_STREQ("", shared->process[i].failure)
				TH_LOG("cycle %u", cycle);
	}
	finish(_metadata);

	EXPECT_GE(unload_limit(), longest);
	EXPECT_GE(unload_limit(), longest_busy);
	EXPECT_FALSE(kernel_tainted());

	/* Nobody has a kTLS socket any more: nothing may keep tls.ko. */
	err = -EAGAIN;
	for (i = 0; err == -EAGAIN && i < 100; i++) {
		err = syscall(SYS_delete_module, "tls", O_NONBLOCK) ?
		      -errno : 0;
		sleep_ms(10);
	}
	EXPECT_EQ(0, err) TH_LOG("rmmod tls");
	EXPECT_EQ(0, system("modprobe tls"));

	for (i = 0; i < PROCESSES; i++) {
		connections += shared->process[i].connections;
		bytes += shared->process[i].bytes;
	}
	EXPECT_LT(cycles, connections);
	EXPECT_LT(0, shared->process[PROCESSES - 2].dumps);
	EXPECT_LT(0, shared->process[PROCESSES - 1].events);
	TH_LOG("%u cycles in %llu s; %llu connections, %llu kB, %llu rounds of dumps, %llu events",
	       cycles, (unsigned long long)(now_ms() - begin) / 1000,
	       (unsigned long long)connections,
	       (unsigned long long)bytes / 1000,
	       (unsigned long long)shared->process[PROCESSES - 2].dumps,
	       (unsigned long long)shared->process[PROCESSES - 1].events);
	TH_LOG("load: %u ms on average; unload: %u ms on average, %u ms at most, %u ms with waiting for dumps",
	       loads / cycles, sum / cycles, longest, longest_busy);
}

TEST_HARNESS_MAIN
