// SPDX-License-Identifier: GPL-2.0
/* The module comes or goes at the worst moment. */

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <netlink/genl/ctrl.h>
#include <netlink/genl/genl.h>

#include "kselftest_harness.h"

#include "life.h"

#define VERSION		TLS_1_3_VERSION
#define CIPHER		TLS_CIPHER_AES_GCM_128

/* What does not happen in this time does not happen by itself. */
#define A_WHILE		700

/* Something that takes long, in a thread of its own. */
struct task {
	pthread_t thread;
	void (*run)(struct task *task);
	int fd;
	void *page;
	struct key key;
	int result;
	bool done, stop;
};

static void *task_main(void *arg)
{
	struct task *task = arg;

	task->run(task);
	__atomic_store_n(&task->done, true, __ATOMIC_RELEASE);

	return NULL;
}

static void task_start(struct task *task, void (*run)(struct task *task))
{
	task->run = run;
	task->done = false;
	if (pthread_create(&task->thread, NULL, task_main, task))
		abort();
}

static bool task_done(struct task *task)
{
	return __atomic_load_n(&task->done, __ATOMIC_ACQUIRE);
}

static bool task_wait(struct task *task, unsigned int ms)
{
	uint64_t end = now_ms() + ms;

	while (!task_done(task) && now_ms() < end)
		sleep_ms(5);

	return task_done(task);
}

static void run_unload(struct task *task)
{
	task->result = module_unload(unload_limit(), NULL, NULL);
}

static void run_load(struct task *task)
{
	task->result = module_load();
}

static void run_close(struct task *task)
{
	close(task->fd);
}

/* Install a key that is read from a page, which may take its time to come. */
static void run_install(struct task *task)
{
	task->result = setsockopt(task->fd, SOL_TLS, TLS_TX, task->page,
				  task->key.len) ? -errno : 0;
}

/* Send a page that may take its time to come. */
static void run_send(struct task *task)
{
	ssize_t sent = send(task->fd, task->page, getpagesize(), 0);

	task->result = sent < 0 ? -errno : sent;
}

/* Send without a rest, and read as quickly. */
static void run_flood(struct task *task)
{
	static const char block[1 << 16];
	/* A call must not take as long as a reader waits. */
	size_t len = slow_kernel() ? 1000 : sizeof(block);

	while (!__atomic_load_n(&task->stop, __ATOMIC_RELAXED) &&
	       send(task->fd, block, len, 0) > 0)
		;
}

static void run_drain(struct task *task)
{
	static char block[1 << 17];

	while (recv(task->fd, block, sizeof(block), 0) > 0)
		;
}

FIXTURE(unload)
{
	struct task unload;
	int fd[2], bystander[2];
	uint64_t position[2];
};

FIXTURE_SETUP(unload)
{
	ASSERT_EQ(0, netns_new());
	if (!module_loaded())
		ASSERT_EQ(0, module_load());
	ASSERT_EQ(0, tls_pair(self->bystander, TLS_1_2_VERSION,
			      TLS_CIPHER_CHACHA20_POLY1305));
}

FIXTURE_TEARDOWN(unload)
{
	if (!module_loaded())
		EXPECT_EQ(0, module_load());
	EXPECT_FALSE(kernel_tainted());
}

static bool works(const int fd[2], uint64_t position[2])
{
	uint64_t sent = position[0];

	return send_pattern(fd[0], 5000, 1, &sent) &&
	       recv_pattern(fd[1], 5000, 1, &position[0]) &&
	       (sent = position[1], send_pattern(fd[1], 77, 2, &sent)) &&
	       recv_pattern(fd[0], 77, 2, &position[1]);
}

/* A pair of which the first lacks its key to send with. */
static void almost(struct __test_metadata *_metadata, int fd[2])
{
	ASSERT_EQ(0, tcp_pair(fd));
	ASSERT_EQ(0, tls_attach(fd[0]));
	ASSERT_EQ(0, tls_attach(fd[1]));
	ASSERT_EQ(0, key_install(fd[0], TLS_RX, VERSION, CIPHER, 1));
	ASSERT_EQ(0, key_install(fd[1], TLS_RX, VERSION, CIPHER, 0));
	ASSERT_EQ(0, key_install(fd[1], TLS_TX, VERSION, CIPHER, 1));
}

static void adopted_whole(struct __test_metadata *_metadata, int fd)
{
	struct ktls_socket s;
	struct ktls *ktls;

	ASSERT_EQ(0, ktls_open(&ktls, -1));
	ASSERT_TRUE(socket_by_cookie(ktls, cookie_of(fd), &s));
	EXPECT_EQ(KTLS_MODE_SW, s.tx.mode);
	EXPECT_EQ(KTLS_MODE_SW, s.rx.mode);
	EXPECT_TRUE(s.flags & KTLS_SOCKET_FLAGS_ADOPTED);
	EXPECT_EQ(0, s.pid);
	ktls_close(ktls);
}

/* A task sleeps inside a wrapper: its way back leads through the module. */
TEST_F_TIMEOUT(unload, parked_in_setsockopt, 300)
{
	struct task install = {};
	uint64_t position[2] = {};
	int uffd;

	uffd = page_open(&install.page);
	if (uffd < 0)
		SKIP(return, "no userfaultfd");
	almost(_metadata, self->fd);
	key_make(&install.key, VERSION, CIPHER, 0);
	install.fd = self->fd[0];
	task_start(&install, run_install);
	ASSERT_TRUE(page_wanted(uffd));

	task_start(&self->unload, run_unload);
	EXPECT_FALSE(task_wait(&self->unload, A_WHILE));
	/* Others go on. */
	EXPECT_TRUE(works(self->bystander, self->position));
	EXPECT_FALSE(task_done(&install));
	EXPECT_TRUE(module_loaded());

	ASSERT_EQ(0, page_fill(uffd, install.page, install.key.bytes,
			       install.key.len));
	EXPECT_TRUE(task_wait(&install, 5000));
	EXPECT_EQ(0, install.result);
	EXPECT_TRUE(task_wait(&self->unload, unload_limit()));
	EXPECT_EQ(0, self->unload.result);
	EXPECT_FALSE(module_loaded());
	EXPECT_TRUE(works(self->fd, position));

	ASSERT_EQ(0, module_load());
	adopted_whole(_metadata, self->fd[0]);
	EXPECT_TRUE(works(self->fd, position));
}

static int add_busy(const struct ktls_totals *totals, void *arg)
{
	*(uint64_t *)arg += totals->busy;

	return 0;
}

/* A task sleeps in sendmsg() with the lock of the socket, for as long as it
 * likes: nobody else has to.
 */
TEST_F_TIMEOUT(unload, parked_in_sendmsg, 300)
{
	static char content[1 << 16], got[sizeof(content)];
	struct cookies cookies = {};
	struct task sender = {};
	uint64_t cookie, busy = 0, position[2] = {};
	struct ktls_socket s;
	struct ktls *ktls;
	int uffd;

	uffd = page_open(&sender.page);
	if (uffd < 0)
		SKIP(return, "no userfaultfd");
	ASSERT_EQ(0, tls_pair(self->fd, VERSION, CIPHER));
	EXPECT_TRUE(works(self->fd, position));
	cookie = cookie_of(self->fd[0]);
	ASSERT_EQ(0, ktls_open(&ktls, -1));
	sender.fd = self->fd[0];
	task_start(&sender, run_send);
	ASSERT_TRUE(page_wanted(uffd));

	ASSERT_TRUE(socket_by_cookie(ktls, cookie, &s));
	EXPECT_TRUE(s.flags & KTLS_SOCKET_FLAGS_BUSY);
	EXPECT_FALSE(s.flags & KTLS_SOCKET_FLAGS_CLOSED);
	EXPECT_EQ(KTLS_MODE_SW, s.tx.mode);
	EXPECT_EQ(0, s.tx.records);
	EXPECT_EQ((uint32_t)getpid(), s.pid);
	ASSERT_EQ(0, cookies_dump(ktls, NULL, &cookies));
	EXPECT_EQ(4, cookies.n);
	EXPECT_EQ(1, cookies_count(&cookies, cookie));
	ASSERT_EQ(0, ktls_dump_totals(ktls, add_busy, &busy));
	/* In both directions. */
	EXPECT_EQ(2, busy);

	EXPECT_EQ(0, module_unload(unload_limit(), NULL, NULL));
	EXPECT_EQ(0, module_load());
	EXPECT_EQ(1, module_state().lost_sockets);
	EXPECT_EQ(3, module_state().open);
	EXPECT_TRUE(works(self->bystander, self->position));
	EXPECT_FALSE(task_done(&sender));

	memset(content, 'x', getpagesize());
	ASSERT_EQ(0, page_fill(uffd, sender.page, content, getpagesize()));
	EXPECT_TRUE(task_wait(&sender, 5000));
	EXPECT_EQ(getpagesize(), sender.result);
	EXPECT_EQ(getpagesize(), recv(self->fd[1], got, getpagesize(),
				      MSG_WAITALL));
	EXPECT_EQ(0, memcmp(got, content, getpagesize()));
	EXPECT_TRUE(works(self->fd, position));
	ktls_close(ktls);
}

/* Who reads many of them does not wait for each. */
TEST_F_TIMEOUT(unload, many_parked, 300)
{
	static char content[1 << 16];
	static struct task sender[30];
	struct cookies cookies = {};
	int uffd[30], fd[2], pass;
	unsigned int i, n = 30;
	uint64_t began, busy;
	struct ktls *ktls;

	ASSERT_EQ(0, ktls_open(&ktls, -1));
	for (i = 0; i < n; i++) {
		uffd[i] = page_open(&sender[i].page);
		if (uffd[i] < 0)
			SKIP(return, "no userfaultfd");
		ASSERT_EQ(0, tls_pair(fd, VERSION, CIPHER));
		sender[i].fd = fd[0];
		task_start(&sender[i], run_send);
		ASSERT_TRUE(page_wanted(uffd[i]));
	}
	for (pass = 0; pass < 3; pass++) {
		began = now_ms();
		ASSERT_EQ(0, cookies_dump(ktls, NULL, &cookies));
		EXPECT_GT(5000, now_ms() - began)
			TH_LOG("%d: %llu ms", pass, now_ms() - began);
		EXPECT_EQ(2 * n + 2, cookies.n);
		began = now_ms();
		busy = 0;
		ASSERT_EQ(0, ktls_dump_totals(ktls, add_busy, &busy));
		EXPECT_EQ(2 * n, busy);
		EXPECT_GT(5000, now_ms() - began)
			TH_LOG("%d: %llu ms", pass, now_ms() - began);
	}
	for (i = 0; i < n; i++) {
		ASSERT_EQ(0, page_fill(uffd[i], sender[i].page, content,
				       getpagesize()));
		EXPECT_TRUE(task_wait(&sender[i], 5000));
	}
	busy = 0;
	ASSERT_EQ(0, ktls_dump_totals(ktls, add_busy, &busy));
	EXPECT_EQ(0, busy);
	ktls_close(ktls);
}

/* One that was busy no longer is, and its numbers are whole. */
TEST_F_TIMEOUT(unload, busy_for_a_while, 300)
{
	static char content[1 << 16], got[sizeof(content)];
	struct task sender = {};
	struct ktls_socket s;
	struct ktls *ktls;
	uint64_t cookie;
	int uffd;

	uffd = page_open(&sender.page);
	if (uffd < 0)
		SKIP(return, "no userfaultfd");
	ASSERT_EQ(0, tls_pair(self->fd, VERSION, CIPHER));
	cookie = cookie_of(self->fd[0]);
	ASSERT_EQ(0, ktls_open(&ktls, -1));
	sender.fd = self->fd[0];
	task_start(&sender, run_send);
	ASSERT_TRUE(page_wanted(uffd));
	ASSERT_TRUE(socket_by_cookie(ktls, cookie, &s));
	EXPECT_TRUE(s.flags & KTLS_SOCKET_FLAGS_BUSY);
	ASSERT_EQ(0, page_fill(uffd, sender.page, content, getpagesize()));
	EXPECT_TRUE(task_wait(&sender, 5000));
	EXPECT_EQ(getpagesize(), recv(self->fd[1], got, getpagesize(),
				      MSG_WAITALL));

	ASSERT_TRUE(socket_by_cookie(ktls, cookie, &s));
	EXPECT_FALSE(s.flags & KTLS_SOCKET_FLAGS_BUSY);
	EXPECT_EQ(1, s.tx.records);
	EXPECT_EQ((uint64_t)getpagesize(), s.tx.payload_bytes);
	ktls_close(ktls);
}

/* A socket whose owners never rest is not busy: they let go of it now and then. */
TEST_F_TIMEOUT(unload, flood, 300)
{
	unsigned int i, reads = slow_kernel() ? 50 : 300;
	struct task sender[3] = {}, reader = {};
	uint64_t cookie, before = 0;
	struct ktls_socket s;
	struct ktls *ktls;

	ASSERT_EQ(0, tls_pair(self->fd, VERSION, CIPHER));
	cookie = cookie_of(self->fd[0]);
	ASSERT_EQ(0, ktls_open(&ktls, -1));
	reader.fd = self->fd[1];
	task_start(&reader, run_drain);
	for (i = 0; i < 3; i++) {
		sender[i].fd = self->fd[0];
		task_start(&sender[i], run_flood);
	}
	for (i = 0; i < reads; i++) {
		ASSERT_TRUE(socket_by_cookie(ktls, cookie, &s));
		EXPECT_FALSE(s.flags & KTLS_SOCKET_FLAGS_BUSY)
			TH_LOG("read %u", i);
		EXPECT_LE(before, s.tx.payload_bytes);
		before = s.tx.payload_bytes;
	}
	EXPECT_LT(0, before);
	for (i = 0; i < 3; i++)
		__atomic_store_n(&sender[i].stop, true, __ATOMIC_RELAXED);
	for (i = 0; i < 3; i++)
		EXPECT_TRUE(task_wait(&sender[i], 60000));
	ktls_close(ktls);
}

/* As parked_in_setsockopt, but the key is refused in the end; many at a time. */
TEST_F_TIMEOUT(unload, parked_and_refused, 300)
{
	struct task install[8] = {};
	int uffd[8], fd[8][2];
	unsigned int i;

	for (i = 0; i < 8; i++) {
		uffd[i] = page_open(&install[i].page);
		if (uffd[i] < 0)
			SKIP(return, "no userfaultfd");
		almost(_metadata, fd[i]);
		key_make(&install[i].key, VERSION, CIPHER, 0);
		install[i].key.info.version = 0x0300;
		install[i].fd = fd[i][0];
		task_start(&install[i], run_install);
		ASSERT_TRUE(page_wanted(uffd[i]));
	}
	task_start(&self->unload, run_unload);
	for (i = 0; i < 8; i++) {
		EXPECT_FALSE(task_wait(&self->unload, 100));
		ASSERT_EQ(0, page_fill(uffd[i], install[i].page,
				       install[i].key.bytes,
				       install[i].key.len));
		EXPECT_TRUE(task_wait(&install[i], 5000));
		EXPECT_EQ(-EINVAL, install[i].result);
	}
	EXPECT_TRUE(task_wait(&self->unload, unload_limit()));
	EXPECT_EQ(0, self->unload.result);
}

/* A socket with one key, whose other one is on its way while the hooks are
 * armed.
 */
TEST_F_TIMEOUT(unload, load_while_installing, 300)
{
	struct task install = {}, load = {};
	uint64_t position[2] = {};
	int uffd;

	uffd = page_open(&install.page);
	if (uffd < 0)
		SKIP(return, "no userfaultfd");
	ASSERT_EQ(0, module_unload(unload_limit(), NULL, NULL));
	almost(_metadata, self->fd);
	key_make(&install.key, VERSION, CIPHER, 0);
	install.fd = self->fd[0];
	task_start(&install, run_install);
	ASSERT_TRUE(page_wanted(uffd));

	/* It cannot have the socket, and does not wait for it forever. */
	task_start(&load, run_load);
	EXPECT_TRUE(task_wait(&load, 60000));
	EXPECT_EQ(0, load.result);
	EXPECT_EQ(1, module_state().lost_sockets);
	EXPECT_FALSE(task_done(&install));
	ASSERT_EQ(0, page_fill(uffd, install.page, install.key.bytes,
			       install.key.len));
	EXPECT_TRUE(task_wait(&install, 5000));
	EXPECT_EQ(0, install.result);
	adopted_whole(_metadata, self->fd[0]);
	EXPECT_TRUE(works(self->fd, position));
}

/* What the kernel calls to load a module: it waits until it is let go. */
#define HELPER_DIR	"/tmp/ktls-unload"

static char modprobe_path[256];

static void helper_restore(void)
{
	FILE *f = fopen("/proc/sys/kernel/modprobe", "w");

	if (f) {
		fputs(modprobe_path, f);
		fclose(f);
	}
}

static bool helper_start(void)
{
	FILE *f;

	if (system("rm -rf " HELPER_DIR "; mkdir " HELPER_DIR))
		return false;
	f = fopen("/proc/sys/kernel/modprobe", "r");
	if (!f || !fgets(modprobe_path, sizeof(modprobe_path), f))
		return false;
	fclose(f);
	f = fopen(HELPER_DIR "/modprobe", "w");
	if (!f)
		return false;
	fputs("#!/bin/sh\n"
	      "touch " HELPER_DIR "/parked\n"
	      "while [ ! -e " HELPER_DIR "/go ]; do sleep 0.05; done\n"
	      "exec /sbin/modprobe \"$@\"\n", f);
	fclose(f);
	if (chmod(HELPER_DIR "/modprobe", 0755))
		return false;
	f = fopen("/proc/sys/kernel/modprobe", "w");
	if (!f)
		return false;
	fputs(HELPER_DIR "/modprobe", f);

	return !fclose(f);
}

static bool helper_called(void)
{
	unsigned int i;

	for (i = 0; i < 1000; i++, sleep_ms(10))
		if (!access(HELPER_DIR "/parked", F_OK))
			return true;

	return false;
}

static bool known_to_crypto(const char *name)
{
	char line[256];
	bool known = false;
	FILE *f;

	f = fopen("/proc/crypto", "r");
	while (f && fgets(line, sizeof(line), f))
		if (strstr(line, name) && !strncmp(line, "name", 4))
			known = true;
	if (f)
		fclose(f);

	return known;
}

/* A task sleeps two wrappers deep, with the socket lock: the cipher's module is
 * being loaded. A dump then waits for that socket, and keeps the module, too.
 */
TEST_F_TIMEOUT(unload, parked_in_install, 300)
{
	struct task install = {};
	uint16_t cipher;

	/* Whoever was asked for once is there. */
	if (!known_to_crypto("ccm(sm4)"))
		cipher = TLS_CIPHER_SM4_CCM;
	else if (!known_to_crypto("gcm(sm4)"))
		cipher = TLS_CIPHER_SM4_GCM;
	else
		SKIP(return, "all ciphers are loaded");

	ASSERT_EQ(0, tcp_pair(self->fd));
	ASSERT_EQ(0, tls_attach(self->fd[0]));
	key_make(&install.key, VERSION, cipher, 0);
	install.page = &install.key;
	install.fd = self->fd[0];
	ASSERT_TRUE(helper_start());
	task_start(&install, run_install);
	EXPECT_TRUE(helper_called());
	task_start(&self->unload, run_unload);
	EXPECT_FALSE(task_wait(&self->unload, A_WHILE));
	EXPECT_TRUE(works(self->bystander, self->position));
	EXPECT_FALSE(task_done(&install));

	close(open(HELPER_DIR "/go", O_CREAT | O_WRONLY, 0644));
	/* The kernel may have no such cipher; what counts is the way back. */
	/* And tries one out before it gives it away, which takes time. */
	EXPECT_TRUE(task_wait(&install, 120000));
	helper_restore();
	EXPECT_TRUE(task_wait(&self->unload, unload_limit()));
	EXPECT_EQ(0, self->unload.result);
}

/* More than the peer takes unread, but no more than the sender may keep. */
static void stuff(struct __test_metadata *_metadata, int fd[2],
		  uint64_t *position)
{
	const int size = 1 << 20;

	ASSERT_EQ(0, setsockopt(fd[0], SOL_SOCKET, SO_SNDBUFFORCE, &size,
				sizeof(size)));
	ASSERT_TRUE(send_pattern(fd[0], 400000, 3, position));
}

/* A task sleeps in close(): it is inside tls.ko, and must not be in ours. */
TEST_F_TIMEOUT(unload, lingering, 300)
{
	struct linger linger = { .l_onoff = 1, .l_linger = 40 };
	struct task closer = {};
	uint64_t sent = 0, got = 0;
	struct cookies cookies = {};
	unsigned int exit_ms;
	struct ktls_socket s;
	struct ktls *ktls;
	uint64_t cookie;
	char end;

	ASSERT_EQ(0, tls_pair(self->fd, VERSION, CIPHER));
	cookie = cookie_of(self->fd[0]);
	stuff(_metadata, self->fd, &sent);
	ASSERT_EQ(0, setsockopt(self->fd[0], SOL_SOCKET, SO_LINGER, &linger,
				sizeof(linger)));
	closer.fd = self->fd[0];
	task_start(&closer, run_close);
	EXPECT_FALSE(task_wait(&closer, A_WHILE));

	/* It is not closed yet, and its numbers can be had. */
	ASSERT_EQ(0, ktls_open(&ktls, -1));
	ASSERT_EQ(0, cookies_dump(ktls, NULL, &cookies));
	EXPECT_EQ(1, cookies_count(&cookies, cookie));
	ASSERT_TRUE(socket_by_cookie(ktls, cookie, &s));
	EXPECT_FALSE(s.flags & KTLS_SOCKET_FLAGS_CLOSED);
	EXPECT_EQ(sent, s.tx.payload_bytes);

	ASSERT_EQ(0, module_unload(unload_limit(), NULL, &exit_ms));
	EXPECT_GE(unload_limit(), exit_ms);
	EXPECT_FALSE(task_done(&closer));

	/* Whose close was not seen is not adopted, and not looked at. */
	ASSERT_EQ(0, module_load());
	ASSERT_EQ(0, cookies_dump(ktls, NULL, &cookies));
	EXPECT_EQ(0, cookies_count(&cookies, cookie));
	EXPECT_EQ(1, cookies_count(&cookies, cookie_of(self->fd[1])));
	EXPECT_FALSE(task_done(&closer));

	EXPECT_TRUE(recv_pattern(self->fd[1], sent, 3, &got));
	EXPECT_EQ(0, recv(self->fd[1], &end, 1, 0));
	EXPECT_TRUE(task_wait(&closer, 5000));
	EXPECT_TRUE(works(self->bystander, self->position));
}

/* Sockets come and go while the hooks are armed: none enters the table and
 * does not leave it.
 */
static pid_t come_and_go(void)
{
	pid_t pid = fork();
	int fd[2];

	if (pid)
		return pid;
	while (!tcp_pair(fd)) {
		if (tls_attach(fd[0]) ||
		    key_install(fd[0], TLS_TX, VERSION, CIPHER, 0))
			break;
		close_reset(fd[0]);
		close(fd[1]);
	}
	_exit(1);
}

TEST_F_TIMEOUT(unload, nothing_stale, 300)
{
	unsigned int round, rounds = slow_kernel() ? 2 : 6;
	struct ktls_module state;
	pid_t pid[3];
	int i, status;

	for (round = 0; round < rounds; round++) {
		ASSERT_EQ(0, module_unload(unload_limit(), NULL, NULL));
		for (i = 0; i < 3; i++)
			pid[i] = come_and_go();
		sleep_ms(50);
		ASSERT_EQ(0, module_load());
		sleep_ms(50);
		for (i = 0; i < 3; i++) {
			EXPECT_EQ(0, waitpid(pid[i], &status, WNOHANG));
			kill(pid[i], SIGKILL);
			waitpid(pid[i], &status, 0);
		}
		state = module_state();
		/* The bystander. */
		EXPECT_EQ(2, state.open) TH_LOG("round %u", round);
		EXPECT_LT(0, state.closed);
		EXPECT_EQ(0, state.lost_sockets);
	}
	EXPECT_TRUE(works(self->bystander, self->position));
}

/* Closes that begin before the hooks are armed, and go on behind them: the
 * closer gets little of the processor, and stops anywhere.
 */
TEST_F_TIMEOUT(unload, load_while_closing, 300)
{
	const struct sched_param idle = {};
	unsigned int i, round, pairs = 60;
	struct ktls_filter closed = { .match = KTLS_MATCH(CLOSED) };
	struct cookies cookies = {};
	struct ktls_socket s;
	struct ktls *ktls;
	pid_t pid, hog[2];
	int fd[2], go[2];
	char c;

	ASSERT_EQ(0, ktls_open(&ktls, -1));
	for (round = 0; round < (slow_kernel() ? 2 : 5); round++) {
		ASSERT_EQ(0, module_unload(unload_limit(), NULL, NULL));
		ASSERT_EQ(0, pipe(go));
		pid = fork();
		if (!pid) {
			for (i = 0; i < pairs; i++)
				if (tls_pair(fd, VERSION, CIPHER))
					_exit(1);
			sched_setscheduler(0, SCHED_IDLE, &idle);
			if (write(go[1], "", 1) != 1)
				_exit(1);
			/* All sockets are closed here, one by one. */
			_exit(0);
		}
		ASSERT_EQ(1, read(go[0], &c, 1));
		for (i = 0; i < 2; i++) {
			hog[i] = fork();
			while (!hog[i])
				;
		}
		ASSERT_EQ(0, module_load());
		for (i = 0; i < 20; i++) {
			ASSERT_EQ(0, cookies_dump(ktls, NULL, &cookies))
				TH_LOG("%s", ktls_strerror(ktls));
			EXPECT_TRUE(cookies_ascend(&cookies));
		}
		for (i = 0; i < 2; i++) {
			kill(hog[i], SIGKILL);
			waitpid(hog[i], NULL, 0);
		}
		ASSERT_EQ(pid, waitpid(pid, NULL, 0));
		EXPECT_EQ(2, module_state().open);
		ASSERT_EQ(0, cookies_dump(ktls, &closed, &cookies));
		for (i = 0; i < cookies.n; i++) {
			ASSERT_TRUE(socket_by_cookie(ktls, cookies.cookie[i],
						     &s));
			EXPECT_FALSE(s.flags & KTLS_SOCKET_FLAGS_INCOMPLETE);
			EXPECT_EQ(KTLS_MODE_SW, s.tx.mode);
		}
		close(go[0]);
		close(go[1]);
	}
}

/* A dump that somebody began and does not read keeps the module. */
TEST_F_TIMEOUT(unload, dump_in_progress, 300)
{
	int fd[60][2], family, i;
	struct nlmsghdr *nlh;
	char buf[4096];
	struct nl_sock *sk;
	bool done = false;
	ssize_t len;

	for (i = 0; i < 60; i++)
		ASSERT_EQ(0, tls_pair(fd[i], VERSION, CIPHER));
	sk = nl_socket_alloc();
	ASSERT_EQ(0, nl_socket_set_msg_buf_size(sk, sizeof(buf)));
	ASSERT_EQ(0, genl_connect(sk));
	ASSERT_EQ(0, nl_socket_set_buffer_size(sk, 2304, 0));
	family = genl_ctrl_resolve(sk, KTLS_GENL_NAME);
	ASSERT_LT(0, family);
	ASSERT_LE(0, genl_send_simple(sk, family, KTLS_CMD_SOCKET_GET,
				      KTLS_GENL_VERSION, NLM_F_DUMP));
	EXPECT_EQ(-EAGAIN, module_unload(100, NULL, NULL));
	while (!done) {
		len = recv(nl_socket_get_fd(sk), buf, sizeof(buf), 0);
		ASSERT_LT(0, len);
		for (nlh = (void *)buf; NLMSG_OK(nlh, len);
		     nlh = NLMSG_NEXT(nlh, len))
			done |= nlh->nlmsg_type == NLMSG_DONE;
	}
	EXPECT_EQ(0, module_unload(1000, NULL, NULL));
	nl_socket_free(sk);
}

/* A listener does not keep it, and is told. */
static int ignore_event(const struct ktls_event *event, void *arg)
{
	return 0;
}

TEST_F_TIMEOUT(unload, listener, 300)
{
	struct ktls *ktls;
	int err = 0, i;

	ASSERT_EQ(0, ktls_open(&ktls, -1));
	ASSERT_EQ(0, ktls_subscribe(ktls));
	close(self->bystander[0]);
	EXPECT_EQ(0, module_unload(0, NULL, NULL));
	for (i = 0; !err && i < 100; i++, sleep_ms(10))
		err = ktls_dispatch(ktls, ignore_event, NULL);
	EXPECT_EQ(-ENOPKG, err);
	ktls_close(ktls);
}

/* Namespaces that outlive the module, with open and with closed sockets. */
TEST_F_TIMEOUT(unload, namespaces, 300)
{
	struct ktls_socket s;
	unsigned int exit_ms;
	int netns[4], fd[4][2], gone[2], i;
	uint64_t position[4][2] = {};
	struct ktls *ktls;

	for (i = 0; i < 4; i++) {
		ASSERT_EQ(0, netns_new());
		netns[i] = netns_open();
		ASSERT_EQ(0, tls_pair(gone, VERSION, CIPHER));
		ASSERT_EQ(0, tls_pair(fd[i], VERSION, CIPHER));
		close(gone[0]);
		close_reset(gone[1]);
		EXPECT_EQ(2, module_state().open);
		EXPECT_EQ(2, module_state().closed);
	}
	ASSERT_EQ(0, module_unload(unload_limit(), NULL, &exit_ms));
	EXPECT_GE(unload_limit(), exit_ms);
	for (i = 0; i < 4; i++)
		EXPECT_TRUE(works(fd[i], position[i]));
	ASSERT_EQ(0, module_load());
	for (i = 0; i < 4; i++) {
		ASSERT_EQ(0, ktls_open(&ktls, netns[i]));
		EXPECT_TRUE(socket_by_cookie(ktls, cookie_of(fd[i][0]), &s));
		EXPECT_TRUE(s.flags & KTLS_SOCKET_FLAGS_ADOPTED);
		ASSERT_EQ(0, netns_enter(netns[i]));
		EXPECT_EQ(2, module_state().open);
		EXPECT_EQ(0, module_state().closed);
		EXPECT_TRUE(works(fd[i], position[i]));
		ktls_close(ktls);
	}
}

TEST_HARNESS_MAIN
