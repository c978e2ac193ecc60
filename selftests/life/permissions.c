// SPDX-License-Identifier: GPL-2.0
/* Who sees which sockets, and who may listen to events. */

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kselftest_harness.h"

#include "life.h"

#define ALICE	1001
#define BOB	1002
#define VERSION	TLS_1_3_VERSION
#define CIPHER	TLS_CIPHER_AES_GCM_128

/* A namespace with a pair of root's and a pair of Alice's. */
FIXTURE(permissions)
{
	int netns;
	int root[2], alice[2];
	uint64_t cookie_root[2], cookie_alice[2];
};

FIXTURE_SETUP(permissions)
{
	int end;

	ASSERT_EQ(0, netns_new());
	self->netns = netns_open();
	ASSERT_LE(0, self->netns);
	ASSERT_EQ(0, tls_pair(self->root, VERSION, CIPHER));
	/* The owner of a socket is who made it. */
	ASSERT_EQ(0, seteuid(ALICE));
	ASSERT_EQ(0, tls_pair(self->alice, VERSION, CIPHER));
	ASSERT_EQ(0, seteuid(0));
	for (end = 0; end < 2; end++) {
		self->cookie_root[end] = cookie_of(self->root[end]);
		self->cookie_alice[end] = cookie_of(self->alice[end]);
	}
}

FIXTURE_TEARDOWN(permissions)
{
}

static void become(struct __test_metadata *_metadata, uid_t uid)
{
	ASSERT_EQ(0, setgroups(0, NULL));
	ASSERT_EQ(0, setresgid(uid, uid, uid));
	ASSERT_EQ(0, setresuid(uid, uid, uid));
}

static int store_uid(const struct ktls_socket *socket, void *arg)
{
	*(uint32_t *)arg = socket->uid;

	return 0;
}

TEST_F(permissions, admin_sees_all)
{
	struct cookies cookies = {};
	struct ktls_socket copy;
	struct ktls *ktls;
	int end;

	ASSERT_EQ(0, ktls_open(&ktls, -1));
	ASSERT_EQ(0, cookies_dump(ktls, NULL, &cookies));
	EXPECT_EQ(4, cookies.n);
	for (end = 0; end < 2; end++) {
		ASSERT_TRUE(socket_by_cookie(ktls, self->cookie_root[end],
					     &copy));
		EXPECT_EQ(0, copy.uid);
		ASSERT_TRUE(socket_by_cookie(ktls, self->cookie_alice[end],
					     &copy));
		EXPECT_EQ(ALICE, copy.uid);
	}
	EXPECT_EQ(0, ktls_subscribe(ktls));
}

TEST_F(permissions, user_sees_own)
{
	struct ktls_filter closed = { .match = KTLS_MATCH(CLOSED) };
	struct cookies cookies = {};
	struct ktls_socket copy;
	struct ktls *ktls;
	int end;

	become(_metadata, ALICE);
	ASSERT_EQ(0, ktls_open(&ktls, -1));
	ASSERT_EQ(0, cookies_dump(ktls, NULL, &cookies));
	EXPECT_EQ(2, cookies.n);
	for (end = 0; end < 2; end++) {
		EXPECT_EQ(1, cookies_count(&cookies, self->cookie_alice[end]));
		EXPECT_TRUE(socket_by_cookie(ktls, self->cookie_alice[end],
					     &copy));
		EXPECT_FALSE(socket_by_cookie(ktls, self->cookie_root[end],
					      &copy));
	}

	/* The same in the history. */
	close(self->root[0]);
	close(self->alice[0]);
	ASSERT_EQ(0, cookies_dump(ktls, &closed, &cookies));
	EXPECT_EQ(1, cookies.n);
	EXPECT_EQ(1, cookies_count(&cookies, self->cookie_alice[0]));
	EXPECT_TRUE(socket_by_cookie(ktls, self->cookie_alice[0], &copy));
	EXPECT_FALSE(socket_by_cookie(ktls, self->cookie_root[0], &copy));
}

TEST_F(permissions, others_do_not_exist)
{
	const struct ktls_socket *socket;
	char missing[256], hidden[256];
	struct cookies cookies = {};
	struct ktls *ktls;
	char *number;

	become(_metadata, BOB);
	ASSERT_EQ(0, ktls_open(&ktls, -1));
	ASSERT_EQ(0, cookies_dump(ktls, NULL, &cookies));
	EXPECT_EQ(0, cookies.n);

	/* One that is not there and one that is not his: the same answer, but
	 * for the number.
	 */
	EXPECT_EQ(-ENOENT, ktls_get_socket(ktls, self->cookie_alice[0],
					   &socket));
	snprintf(hidden, sizeof(hidden), "%s", ktls_strerror(ktls));
	EXPECT_EQ(-ENOENT, ktls_get_socket(ktls, ~0ULL >> 1, &socket));
	snprintf(missing, sizeof(missing), "%s", ktls_strerror(ktls));
	number = strpbrk(hidden, "0123456789");
	if (number) {
		size_t at = number - hidden;

		EXPECT_EQ(0, strncmp(hidden, missing, at));
		EXPECT_STREQ(number + strspn(number, "0123456789"),
			     missing + at +
			     strspn(missing + at, "0123456789"));
	} else {
		EXPECT_STREQ(hidden, missing);
	}
}

/* A filter does not show what may not be seen. */
TEST_F(permissions, filter_uid_of_others)
{
	struct ktls_filter filter = {
		.match = KTLS_MATCH(UID),
		.uid = ALICE,
	};
	struct cookies cookies = {};
	struct ktls *ktls;

	become(_metadata, BOB);
	ASSERT_EQ(0, ktls_open(&ktls, -1));
	ASSERT_EQ(0, cookies_dump(ktls, &filter, &cookies));
	EXPECT_EQ(0, cookies.n);
}

TEST_F(permissions, user_may_not_listen)
{
	struct ktls *ktls;

	become(_metadata, ALICE);
	ASSERT_EQ(0, ktls_open(&ktls, -1));
	EXPECT_EQ(-EPERM, ktls_subscribe(ktls));
}

static int add_open(const struct ktls_totals *totals, void *arg)
{
	*(uint64_t *)arg += totals->open;

	return 0;
}

/* Sums tell nothing of a single user, as /proc/net/tls_stat: all see them. */
TEST_F(permissions, totals_are_public)
{
	struct ktls *ktls;
	uint64_t open = 0;

	become(_metadata, BOB);
	ASSERT_EQ(0, ktls_open(&ktls, -1));
	ASSERT_EQ(0, ktls_dump_totals(ktls, add_open, &open));
	/* Four sockets, two directions. */
	EXPECT_EQ(8, open);
}

/* What decides is who asked, not who opened the socket or reads the answer. */
TEST_F(permissions, dropped_privileges)
{
	struct cookies cookies = {};
	struct ktls *ktls;

	ASSERT_EQ(0, ktls_open(&ktls, -1));
	become(_metadata, ALICE);
	ASSERT_EQ(0, cookies_dump(ktls, NULL, &cookies));
	EXPECT_EQ(2, cookies.n);
}

TEST_F(permissions, other_netns_sees_nothing)
{
	struct ktls_filter closed = { .match = KTLS_MATCH(CLOSED) };
	const struct ktls_socket *socket;
	struct cookies cookies = {};
	struct ktls *ktls, *theirs;
	uint64_t open = 0;

	close(self->root[0]);
	ASSERT_EQ(0, netns_new());
	ASSERT_EQ(0, ktls_open(&ktls, -1));
	ASSERT_EQ(0, cookies_dump(ktls, NULL, &cookies));
	EXPECT_EQ(0, cookies.n);
	ASSERT_EQ(0, cookies_dump(ktls, &closed, &cookies));
	EXPECT_EQ(0, cookies.n);
	EXPECT_EQ(-ENOENT, ktls_get_socket(ktls, self->cookie_root[0],
					   &socket));
	EXPECT_EQ(-ENOENT, ktls_get_socket(ktls, self->cookie_root[1],
					   &socket));
	ASSERT_EQ(0, ktls_dump_totals(ktls, add_open, &open));
	EXPECT_EQ(0, open);
	EXPECT_EQ(0, module_state().open);
	EXPECT_EQ(0, module_state().closed);

	ASSERT_EQ(0, ktls_open(&theirs, self->netns));
	ASSERT_EQ(0, cookies_dump(theirs, NULL, &cookies));
	EXPECT_EQ(3, cookies.n);
}

static int count_event(const struct ktls_event *event, void *arg)
{
	(*(unsigned int *)arg)++;

	return 0;
}

TEST_F(permissions, other_netns_hears_nothing)
{
	struct ktls *here, *there;
	unsigned int events = 0;
	int fd[2];

	ASSERT_EQ(0, ktls_open(&here, -1));
	ASSERT_EQ(0, ktls_subscribe(here));
	ASSERT_EQ(0, netns_new());
	ASSERT_EQ(0, ktls_open(&there, -1));
	ASSERT_EQ(0, ktls_subscribe(there));
	ASSERT_EQ(0, tls_pair(fd, VERSION, CIPHER));

	ASSERT_EQ(0, ktls_dispatch(here, count_event, &events));
	EXPECT_EQ(0, events);
	ASSERT_EQ(0, ktls_dispatch(there, count_event, &events));
	EXPECT_EQ(4, events);
}

static void map_root(struct __test_metadata *_metadata, const char *file,
		     const char *line)
{
	int fd = open(file, O_WRONLY);

	ASSERT_LE(0, fd);
	ASSERT_EQ((ssize_t)strlen(line), write(fd, line, strlen(line)));
	close(fd);
}

/* Alice is root in a user namespace. */
static void contain(struct __test_metadata *_metadata, int flags)
{
	char line[64];

	become(_metadata, ALICE);
	/* A process that changed its uid may not write to its own files. */
	ASSERT_EQ(0, prctl(PR_SET_DUMPABLE, 1));
	ASSERT_EQ(0, unshare(CLONE_NEWUSER | flags));
	snprintf(line, sizeof(line), "0 %u 1\n", ALICE);
	map_root(_metadata, "/proc/self/setgroups", "deny");
	map_root(_metadata, "/proc/self/uid_map", line);
	map_root(_metadata, "/proc/self/gid_map", line);
	ASSERT_EQ(0, geteuid());
}

/* Root in a container: no more than Alice outside of it... */
TEST_F(permissions, user_namespace_alone)
{
	struct cookies cookies = {};
	struct ktls *ktls;

	contain(_metadata, 0);
	ASSERT_EQ(0, ktls_open(&ktls, -1));
	ASSERT_EQ(0, cookies_dump(ktls, NULL, &cookies));
	EXPECT_EQ(2, cookies.n);
	EXPECT_EQ(1, cookies_count(&cookies, self->cookie_alice[0]));
	EXPECT_EQ(-EPERM, ktls_subscribe(ktls));
}

/* ...but all of a network namespace of its own, uids in its own terms. */
TEST_F(permissions, user_and_network_namespace)
{
	struct ktls_filter mine = { .match = KTLS_MATCH(UID), .uid = 0 };
	struct ktls_filter alice = { .match = KTLS_MATCH(UID), .uid = ALICE };
	struct cookies cookies = {};
	struct ktls *ktls;
	uint32_t uid = ~0;
	int fd[2];

	contain(_metadata, CLONE_NEWNET);
	ASSERT_EQ(0, system("ip link set lo up"));
	ASSERT_EQ(0, tls_pair(fd, VERSION, CIPHER));
	ASSERT_EQ(0, ktls_open(&ktls, -1));
	ASSERT_EQ(0, cookies_dump(ktls, NULL, &cookies));
	EXPECT_EQ(2, cookies.n);
	EXPECT_EQ(0, ktls_subscribe(ktls));

	ASSERT_EQ(0, ktls_dump_sockets(ktls, NULL, store_uid, &uid));
	EXPECT_EQ(0, uid);
	ASSERT_EQ(0, cookies_dump(ktls, &mine, &cookies));
	EXPECT_EQ(2, cookies.n);
	/* There is no such user in this namespace. */
	ASSERT_EQ(0, cookies_dump(ktls, &alice, &cookies));
	EXPECT_EQ(0, cookies.n);
}

/* A socket of a user that the reader's namespace does not know. */
TEST_F(permissions, unmapped_owner)
{
	uint32_t uid = 0;
	pid_t pid;
	int fd[2], up[2], down[2], status, netns;
	char path[64], c;
	struct ktls *ktls;

	ASSERT_EQ(0, pipe(up));
	ASSERT_EQ(0, pipe(down));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		contain(_metadata, CLONE_NEWNET);
		if (system("ip link set lo up") || write(up[1], "", 1) != 1 ||
		    read(down[0], &c, 1) != 1 || ktls_open(&ktls, -1) ||
		    ktls_dump_sockets(ktls, NULL, store_uid, &uid))
			_exit(1);
		_exit(uid == 65534 ? 0 : 2);
	}
	ASSERT_EQ(1, read(up[0], &c, 1));
	snprintf(path, sizeof(path), "/proc/%d/ns/net", pid);
	netns = open(path, O_RDONLY);
	ASSERT_LE(0, netns);
	ASSERT_EQ(0, netns_enter(netns));
	ASSERT_EQ(0, tls_pair(fd, VERSION, CIPHER));
	ASSERT_EQ(1, write(down[1], "", 1));
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
}

static int store_pid(const struct ktls_socket *socket, void *arg)
{
	*(uint32_t *)arg = socket->pid;

	return 0;
}

/* In a container, processes have the numbers that one sees there. */
TEST_F(permissions, pid_namespace)
{
	struct ktls_filter first = { .match = KTLS_MATCH(PID), .pid = 1 };
	struct cookies cookies = {};
	struct ktls *ktls;
	uint32_t number;
	int fd[2], status;
	pid_t pid;

	ASSERT_EQ(0, netns_new());
	ASSERT_EQ(0, unshare(CLONE_NEWPID));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		if (tls_pair(fd, VERSION, CIPHER) || ktls_open(&ktls, -1) ||
		    ktls_dump_sockets(ktls, NULL, store_pid, &number))
			_exit(1);
		if (number != 1)
			_exit(2);
		if (cookies_dump(ktls, &first, &cookies) || cookies.n != 2)
			_exit(3);
		/* One that is not there, seen from within. */
		if (cookies_dump(ktls, &(struct ktls_filter) {
					 .match = KTLS_MATCH(PID),
					 .pid = 4000000,
				 }, &cookies) || cookies.n)
			_exit(4);
		_exit(0);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status) TH_LOG("exit %d", WEXITSTATUS(status));

	/* From outside, it is who it is here. */
	ASSERT_EQ(0, ktls_open(&ktls, -1));
	number = 0;
	ASSERT_EQ(0, ktls_dump_sockets(ktls, &(struct ktls_filter) {
					       .match = KTLS_MATCH(CLOSED),
				       }, store_pid, &number));
	EXPECT_EQ((uint32_t)pid, number);
}

TEST_HARNESS_MAIN
