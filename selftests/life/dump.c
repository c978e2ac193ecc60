// SPDX-License-Identifier: GPL-2.0
/* What a dump contains: by filter, over many messages, and of the closed. */

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <netlink/genl/ctrl.h>
#include <netlink/genl/genl.h>

#include "kselftest_harness.h"

#include "life.h"

#define ALICE	1001

/* A kTLS socket as this test made it. */
struct truth {
	struct ktls_socket is;
	int fd;
};

#define TRUTHS_MAX	16

FIXTURE(filters)
{
	struct truth truth[TRUTHS_MAX];
	unsigned int n;
	struct ktls *ktls;
	pid_t child;
	char cgroup[64];
};

static uint16_t port_of(int fd, bool remote)
{
	struct sockaddr_in addr;
	socklen_t len = sizeof(addr);

	if ((remote ? getpeername : getsockname)(fd, (void *)&addr, &len))
		return 0;

	return ntohs(addr.sin_port);
}

/* Do sockets know their cgroup? Not every kernel has that. */
static bool sockets_have_cgroups(void)
{
	return !system("grep -qw cgroup_sk_alloc /proc/kallsyms");
}

/* Inode of the cgroup v2 directory of the calling process. */
static uint64_t cgroup_of_self(void)
{
	char line[256] = "", path[512];
	struct stat st;
	FILE *f;

	if (!sockets_have_cgroups())
		return 0;
	f = fopen("/proc/self/cgroup", "r");
	if (!f)
		return 0;
	while (fgets(line, sizeof(line), f))
		if (!strncmp(line, "0::", 3))
			break;
	fclose(f);
	line[strcspn(line, "\n")] = '\0';
	snprintf(path, sizeof(path), "/sys/fs/cgroup%s", line + 3);

	return stat(path, &st) ? 0 : st.st_ino;
}

static struct truth make_truth(int fd, uint16_t version, uint16_t cipher,
			       bool tx, bool rx)
{
	struct truth truth = {
		.fd = fd,
		.is = {
			.cookie = cookie_of(fd),
			.local_port = port_of(fd, false),
			.remote_port = port_of(fd, true),
			.uid = geteuid(),
			.pid = getpid(),
			.cgroup_id = cgroup_of_self(),
			.tx.mode = tx ? KTLS_MODE_SW : KTLS_MODE_NONE,
			.rx.mode = rx ? KTLS_MODE_SW : KTLS_MODE_NONE,
		},
	};

	if (tx) {
		truth.is.tx.version = version;
		truth.is.tx.cipher = cipher;
	}
	if (rx) {
		truth.is.rx.version = version;
		truth.is.rx.cipher = cipher;
	}

	return truth;
}

/* A pair of which the first has what is asked for, the second all. */
static int add_pair(struct truth *truth, uint16_t version, uint16_t cipher,
		    bool tx, bool rx)
{
	int fd[2], err;

	err = tcp_pair(fd);
	if (!err)
		err = tls_attach(fd[0]);
	if (!err)
		err = tls_attach(fd[1]);
	if (!err && tx)
		err = key_install(fd[0], TLS_TX, version, cipher, 0);
	if (!err && rx)
		err = key_install(fd[0], TLS_RX, version, cipher, 1);
	if (!err)
		err = key_install(fd[1], TLS_TX, version, cipher, 1);
	if (!err)
		err = key_install(fd[1], TLS_RX, version, cipher, 0);
	if (err)
		return err;
	truth[0] = make_truth(fd[0], version, cipher, tx, rx);
	truth[1] = make_truth(fd[1], version, cipher, true, true);

	return 0;
}

/* A process of its own, in a cgroup of its own where there are cgroups. */
static void add_child(struct __test_metadata *_metadata,
		      FIXTURE_DATA(filters) *self)
{
	struct truth theirs[2];
	int up[2], procs;
	char path[128];
	unsigned int i;

	ASSERT_EQ(0, pipe(up));
	snprintf(self->cgroup, sizeof(self->cgroup),
		 "/sys/fs/cgroup/ktls-dump-%d", getpid());
	mkdir(self->cgroup, 0755);
	self->child = fork();
	ASSERT_LE(0, self->child);
	if (!self->child) {
		/* What this process closes is to be closed. */
		for (i = 0; i < self->n; i++)
			close(self->truth[i].fd);
		snprintf(path, sizeof(path), "%s/cgroup.procs", self->cgroup);
		procs = open(path, O_WRONLY);
		if (procs >= 0 && write(procs, "0", 1) != 1)
			_exit(1);
		if (add_pair(theirs, TLS_1_2_VERSION, TLS_CIPHER_AES_GCM_128,
			     true, true) ||
		    write(up[1], theirs, sizeof(theirs)) != sizeof(theirs))
			_exit(1);
		pause();
	}
	close(up[1]);
	ASSERT_EQ((ssize_t)sizeof(theirs), read(up[0], theirs, sizeof(theirs)));
	memcpy(&self->truth[self->n], theirs, sizeof(theirs));
	self->n += 2;
}

FIXTURE_SETUP(filters)
{
	ASSERT_EQ(0, netns_new());
	ASSERT_EQ(0, ktls_open(&self->ktls, -1));

#define ADD(...)							\
do {									\
	ASSERT_EQ(0, add_pair(&self->truth[self->n], __VA_ARGS__));	\
	self->n += 2;							\
} while (0)
	ADD(TLS_1_3_VERSION, TLS_CIPHER_AES_GCM_128, true, true);
	ADD(TLS_1_3_VERSION, TLS_CIPHER_CHACHA20_POLY1305, true, false);
	ADD(TLS_1_2_VERSION, TLS_CIPHER_AES_GCM_256, false, true);
	ASSERT_EQ(0, seteuid(ALICE));
	ADD(TLS_1_2_VERSION, TLS_CIPHER_AES_GCM_128, true, true);
	ASSERT_EQ(0, seteuid(0));
	add_child(_metadata, self);
#undef ADD
}

FIXTURE_TEARDOWN(filters)
{
	if (self->child > 0) {
		kill(self->child, SIGKILL);
		waitpid(self->child, NULL, 0);
	}
	rmdir(self->cgroup);
	ktls_close(self->ktls);
}

static bool stream_fits(const struct ktls_filter *f, const struct ktls_stream *s)
{
	if (f->match & KTLS_MATCH(MODE)) {
		if (s->mode != f->mode)
			return false;
	} else if (s->mode == KTLS_MODE_NONE) {
		return false;
	}

	return (!(f->match & KTLS_MATCH(VERSION)) ||
		s->version == f->version) &&
	       (!(f->match & KTLS_MATCH(CIPHER)) || s->cipher == f->cipher);
}

/* What the contract says, read once more. */
static bool fits(const struct ktls_filter *f, const struct ktls_socket *s)
{
	const struct ktls_stream *one = f->direction == KTLS_DIRECTION_TX ?
					&s->tx : &s->rx;

	if ((f->match & KTLS_MATCH(PORT) && f->port != s->local_port &&
	     f->port != s->remote_port) ||
	    (f->match & KTLS_MATCH(LOCAL_PORT) &&
	     f->local_port != s->local_port) ||
	    (f->match & KTLS_MATCH(REMOTE_PORT) &&
	     f->remote_port != s->remote_port) ||
	    (f->match & KTLS_MATCH(UID) && f->uid != s->uid) ||
	    (f->match & KTLS_MATCH(PID) && f->pid != s->pid) ||
	    (f->match & KTLS_MATCH(CGROUP_ID) && f->cgroup_id != s->cgroup_id))
		return false;
	if (f->match & KTLS_MATCH(DIRECTION))
		return stream_fits(f, one);

	return stream_fits(f, &s->tx) || stream_fits(f, &s->rx);
}

/* One attribute of a filter, as a socket has it. */
static void take(struct ktls_filter *f, unsigned int attribute,
		 const struct ktls_socket *s, unsigned int random)
{
	unsigned int dir = f->match & KTLS_MATCH(DIRECTION) ? f->direction :
							      random % 2;
	const struct ktls_stream *stream = dir ? &s->rx : &s->tx;

	/* There is no version 0. */
	if (attribute != KTLS_A_FILTER_MODE && stream->mode == KTLS_MODE_NONE)
		stream = dir ? &s->tx : &s->rx;
	f->match |= 1U << attribute;
	switch (attribute) {
	case KTLS_A_FILTER_DIRECTION:
		f->direction = random % 2;
		break;
	case KTLS_A_FILTER_MODE:
		f->mode = stream->mode;
		break;
	case KTLS_A_FILTER_VERSION:
		f->version = stream->version;
		break;
	case KTLS_A_FILTER_CIPHER:
		f->cipher = stream->cipher;
		break;
	case KTLS_A_FILTER_PORT:
		f->port = random % 2 ? s->local_port : s->remote_port;
		break;
	case KTLS_A_FILTER_LOCAL_PORT:
		f->local_port = s->local_port;
		break;
	case KTLS_A_FILTER_REMOTE_PORT:
		f->remote_port = s->remote_port;
		break;
	case KTLS_A_FILTER_UID:
		f->uid = s->uid;
		break;
	case KTLS_A_FILTER_PID:
		f->pid = s->pid;
		break;
	case KTLS_A_FILTER_CGROUP_ID:
		f->cgroup_id = s->cgroup_id;
		break;
	}
}

static const char *describe(const struct ktls_filter *f)
{
	static char text[256];

	snprintf(text, sizeof(text),
		 "match %#x dir %u mode %u version %#x cipher %u port %u %u %u uid %u pid %u cgroup %llu",
		 f->match, f->direction, f->mode, f->version, f->cipher,
		 f->port, f->local_port, f->remote_port, f->uid, f->pid,
		 (unsigned long long)f->cgroup_id);

	return text;
}

/* How many the filter found; all that it should, and no other. */
static size_t try(struct __test_metadata *_metadata,
		  FIXTURE_DATA(filters) *self, struct ktls_filter *f)
{
	struct cookies cookies = {};
	size_t want = 0, n;
	unsigned int i;

	ASSERT_EQ(0, cookies_dump(self->ktls, f, &cookies))
		TH_LOG("%s: %s", describe(f), ktls_strerror(self->ktls));
	for (i = 0; i < self->n; i++) {
		bool expected = fits(f, &self->truth[i].is);

		want += expected;
		EXPECT_EQ(expected, cookies_count(&cookies,
						  self->truth[i].is.cookie))
			TH_LOG("socket %u: %s", i, describe(f));
	}
	EXPECT_EQ(want, cookies.n) TH_LOG("%s", describe(f));
	n = cookies.n;
	cookies_free(&cookies);

	return n;
}

TEST_F(filters, none)
{
	struct ktls_filter f = {};

	EXPECT_EQ(self->n, try(_metadata, self, &f));
	if (sockets_have_cgroups())
		EXPECT_NE(self->truth[0].is.cgroup_id,
			  self->truth[self->n - 1].is.cgroup_id);
}

TEST_F(filters, each_alone)
{
	unsigned int attribute, i, random;

	for (attribute = KTLS_A_FILTER_DIRECTION;
	     attribute <= KTLS_A_FILTER_CGROUP_ID; attribute++) {
		size_t least = ~0UL, most = 0;

		for (i = 0; i < self->n; i++) {
			for (random = 0; random < 2; random++) {
				struct ktls_filter f = {};
				size_t n;

				take(&f, attribute, &self->truth[i].is, random);
				n = try(_metadata, self, &f);
				least = n < least ? n : least;
				most = n > most ? n : most;
			}
		}
		/* Each finds something, and leaves something out. */
		if (attribute == KTLS_A_FILTER_CGROUP_ID &&
		    !sockets_have_cgroups())
			continue;
		EXPECT_LT(0, most) TH_LOG("attribute %u", attribute);
		EXPECT_GT(self->n, least) TH_LOG("attribute %u", attribute);
	}
}

TEST_F(filters, nothing_like_it)
{
	struct ktls_filter none[] = {
		{ KTLS_MATCH(MODE), .mode = KTLS_MODE_HW },
		{ KTLS_MATCH(VERSION) | KTLS_MATCH(CIPHER),
		  .version = TLS_1_2_VERSION,
		  .cipher = TLS_CIPHER_CHACHA20_POLY1305 },
		{ KTLS_MATCH(CIPHER), .cipher = TLS_CIPHER_SM4_CCM },
		{ KTLS_MATCH(PORT), .port = 1 },
		{ KTLS_MATCH(LOCAL_PORT), .local_port = 1 },
		{ KTLS_MATCH(REMOTE_PORT), .remote_port = 1 },
		{ KTLS_MATCH(UID), .uid = 4242 },
		/* Not a user at all. */
		{ KTLS_MATCH(UID), .uid = -1 },
		{ KTLS_MATCH(PID), .pid = 1 },
		/* As an adopted socket has it. */
		{ KTLS_MATCH(PID), .pid = 0 },
		{ KTLS_MATCH(CGROUP_ID), .cgroup_id = ~0ULL },
		{ KTLS_MATCH(CLOSED) },
	};
	unsigned int i;

	for (i = 0; i < sizeof(none) / sizeof(none[0]); i++) {
		struct cookies cookies = {};

		EXPECT_EQ(0, cookies_dump(self->ktls, &none[i], &cookies));
		EXPECT_EQ(0, cookies.n) TH_LOG("%s", describe(&none[i]));
	}
}

/* Every two together, and many more: of one socket, or of several mixed. */
TEST_F(filters, combined)
{
	const unsigned int first = KTLS_A_FILTER_DIRECTION;
	const unsigned int last = KTLS_A_FILTER_CGROUP_ID;
	unsigned int a, b, i, found = 0, empty = 0, random = 1;

	for (a = first; a <= last; a++) {
		for (b = a + 1; b <= last; b++) {
			struct ktls_filter f = {};

			i = rand_r(&random) % self->n;
			take(&f, a, &self->truth[i].is, rand_r(&random));
			if (rand_r(&random) % 3 == 0)
				i = rand_r(&random) % self->n;
			take(&f, b, &self->truth[i].is, rand_r(&random));
			if (try(_metadata, self, &f))
				found++;
			else
				empty++;
		}
	}
	for (b = 0; b < scale("FILTERS", 300, 60); b++) {
		struct ktls_filter f = {};

		i = rand_r(&random) % self->n;
		for (a = first; a <= last; a++) {
			unsigned int j = i;

			if (rand_r(&random) % 2)
				continue;
			if (rand_r(&random) % 8 == 0)
				j = rand_r(&random) % self->n;
			take(&f, a, &self->truth[j].is, rand_r(&random));
		}
		if (try(_metadata, self, &f))
			found++;
		else
			empty++;
	}
	EXPECT_LT(50, found);
	EXPECT_LT(10, empty);
}

/* The history is filtered by the same rules. */
TEST_F(filters, closed)
{
	struct ktls_filter f = {
		.match = KTLS_MATCH(CLOSED),
	};
	struct cookies cookies = {};

	close(self->truth[0].fd);
	close(self->truth[2].fd);
	ASSERT_EQ(0, cookies_dump(self->ktls, &f, &cookies));
	EXPECT_EQ(2, cookies.n);

	f.match |= KTLS_MATCH(CIPHER);
	f.cipher = TLS_CIPHER_CHACHA20_POLY1305;
	ASSERT_EQ(0, cookies_dump(self->ktls, &f, &cookies));
	ASSERT_EQ(1, cookies.n);
	EXPECT_EQ(self->truth[2].is.cookie, cookies.cookie[0]);

	f.match |= KTLS_MATCH(DIRECTION);
	f.direction = KTLS_DIRECTION_RX;
	ASSERT_EQ(0, cookies_dump(self->ktls, &f, &cookies));
	EXPECT_EQ(0, cookies.n);

	f.match = KTLS_MATCH(CLOSED) | KTLS_MATCH(LOCAL_PORT) |
		  KTLS_MATCH(PID);
	f.local_port = self->truth[0].is.local_port;
	f.pid = getpid();
	ASSERT_EQ(0, cookies_dump(self->ktls, &f, &cookies));
	ASSERT_EQ(1, cookies.n);
	EXPECT_EQ(self->truth[0].is.cookie, cookies.cookie[0]);

	/* And they are not open any more. */
	f.match = 0;
	ASSERT_EQ(0, cookies_dump(self->ktls, &f, &cookies));
	EXPECT_EQ(self->n - 2, cookies.n);
}

FIXTURE(many)
{
	int *fd;
	unsigned int n;
};

FIXTURE_SETUP(many)
{
	struct rlimit limit = { 1 << 16, 1 << 16 };

	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &limit));
	ASSERT_EQ(0, netns_new());
}

FIXTURE_TEARDOWN(many)
{
}

/* Both ends of a pair have a key to send with. */
static void open_many(struct __test_metadata *_metadata,
		      FIXTURE_DATA(many) *self, unsigned int n)
{
	unsigned int i, end;

	self->fd = calloc(n, sizeof(*self->fd));
	ASSERT_NE(NULL, self->fd);
	for (i = 0; i < n; i += 2) {
		ASSERT_EQ(0, tcp_pair(&self->fd[i]));
		for (end = i; end < i + 2; end++) {
			ASSERT_EQ(0, tls_attach(self->fd[end]));
			ASSERT_EQ(0, key_install(self->fd[end], TLS_TX,
						 TLS_1_3_VERSION,
						 TLS_CIPHER_AES_GCM_128, 0));
		}
	}
	self->n = n;
}

/* A dump read in small bites, by hand; the cookies as they come. */
static unsigned int dump_slowly(struct __test_metadata *_metadata,
				struct cookies *cookies)
{
	unsigned int messages = 0;
	struct nlmsghdr *nlh;
	struct nlattr *cookie;
	char buf[4096];
	struct nl_sock *sk;
	int family;
	ssize_t len;

	sk = nl_socket_alloc();
	ASSERT_NE(NULL, sk);
	/* The kernel learns from the first read how much is read at once. */
	ASSERT_EQ(0, nl_socket_set_msg_buf_size(sk, sizeof(buf)));
	ASSERT_EQ(0, genl_connect(sk));
	ASSERT_EQ(0, nl_socket_set_buffer_size(sk, 2304, 0));
	family = genl_ctrl_resolve(sk, KTLS_GENL_NAME);
	ASSERT_LT(0, family);
	ASSERT_LE(0, genl_send_simple(sk, family, KTLS_CMD_SOCKET_GET,
				      KTLS_GENL_VERSION, NLM_F_DUMP));
	for (;; messages++) {
		len = recv(nl_socket_get_fd(sk), buf, sizeof(buf), MSG_TRUNC);
		ASSERT_LT(0, len);
		ASSERT_GE((ssize_t)sizeof(buf), len);
		for (nlh = (void *)buf; NLMSG_OK(nlh, len);
		     nlh = NLMSG_NEXT(nlh, len)) {
			struct genlmsghdr *genl = NLMSG_DATA(nlh);

			if (nlh->nlmsg_type == NLMSG_DONE)
				goto done;
			ASSERT_EQ(family, nlh->nlmsg_type);
			cookie = nla_find(genlmsg_attrdata(genl, 0),
					  genlmsg_attrlen(genl, 0),
					  KTLS_A_SOCKET_COOKIE);
			ASSERT_NE(NULL, cookie);
			ASSERT_GT(cookies->size, cookies->n);
			cookies->cookie[cookies->n++] = nla_get_u64(cookie);
		}
	}
done:
	nl_socket_free(sk);

	return messages;
}

static int compare_cookies(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

/* Others come and go all the time, with lower and with higher cookies. */
static pid_t churn(void)
{
	pid_t pid = fork();
	int fd[2];

	if (pid)
		return pid;
	while (!tls_pair(fd, TLS_1_2_VERSION, TLS_CIPHER_AES_GCM_128)) {
		close_reset(fd[0]);
		close(fd[1]);
	}
	_exit(1);
}

TEST_F_TIMEOUT(many, resume, 600)
{
	unsigned int rounds, i, messages, n = scale("SOCKETS", 5000, 600);
	struct cookies cookies = { .size = 2 * n };
	uint64_t begin = now_ms();
	pid_t pid;

	cookies.cookie = calloc(cookies.size, sizeof(uint64_t));
	ASSERT_NE(NULL, cookies.cookie);
	pid = churn();
	ASSERT_LT(0, pid);
	open_many(_metadata, self, n);
	TH_LOG("%u sockets in %llu ms", n,
	       (unsigned long long)(now_ms() - begin));
	begin = now_ms();
	for (rounds = 0; rounds < 3; rounds++) {
		cookies.n = 0;
		messages = dump_slowly(_metadata, &cookies);
		EXPECT_LT(n / 30, messages);
		/* Exactly once: none twice, and all of ours. */
		EXPECT_TRUE(cookies_ascend(&cookies));
		for (i = 0; i < n; i++) {
			uint64_t cookie = cookie_of(self->fd[i]);

			ASSERT_NE(NULL, bsearch(&cookie, cookies.cookie,
						cookies.n, sizeof(cookie),
						compare_cookies))
				TH_LOG("socket %u of %u is missing", i, n);
		}
		/* The odd ones go; the rest is still whole. */
		if (rounds == 1) {
			for (i = 0; i < n / 2; i++) {
				close(self->fd[2 * i + 1]);
				self->fd[i] = self->fd[2 * i];
			}
			n /= 2;
		}
	}
	EXPECT_EQ(0, waitpid(pid, NULL, WNOHANG));
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	TH_LOG("dumps in %u messages, %llu ms", messages,
	       (unsigned long long)(now_ms() - begin) / 3);
}

/* The latest 1024, in the order in which they were closed. */
TEST_F_TIMEOUT(many, history, 600)
{
	struct ktls_filter closed = { .match = KTLS_MATCH(CLOSED) };
	unsigned int i, n = slow_kernel() ? 1100 : 1300, random = 1;
	struct cookies cookies = {};
	struct ktls_socket copy;
	struct ktls *ktls;
	uint64_t *order;

	order = calloc(n, sizeof(*order));
	ASSERT_NE(NULL, order);
	open_many(_metadata, self, n);
	ASSERT_EQ(0, ktls_open(&ktls, -1));
	ASSERT_EQ(0, cookies_dump(ktls, &closed, &cookies));
	EXPECT_EQ(0, cookies.n);

	for (i = 0; i < n; i++) {
		unsigned int j = i + rand_r(&random) % (n - i);
		int fd = self->fd[j];

		self->fd[j] = self->fd[i];
		order[i] = cookie_of(fd);
		close_reset(fd);
		if (i == 99) {
			ASSERT_EQ(0, cookies_dump(ktls, &closed, &cookies));
			ASSERT_EQ(100, cookies.n);
			EXPECT_EQ(0, memcmp(order, cookies.cookie,
					    100 * sizeof(*order)));
		}
	}

	ASSERT_EQ(0, cookies_dump(ktls, &closed, &cookies));
	ASSERT_EQ(1024, cookies.n);
	EXPECT_EQ(0, memcmp(order + n - 1024, cookies.cookie,
			    1024 * sizeof(*order)));
	EXPECT_EQ(1024, module_state().closed);
	EXPECT_EQ(1024, module_state().closed_limit);
	EXPECT_EQ(0, module_state().open);
	/* By name, too. */
	EXPECT_FALSE(socket_by_cookie(ktls, order[n - 1025], &copy));
	ASSERT_TRUE(socket_by_cookie(ktls, order[n - 1024], &copy));
	EXPECT_TRUE(copy.flags & KTLS_SOCKET_FLAGS_CLOSED);
	EXPECT_NE(0, copy.close_time);
	EXPECT_TRUE(socket_by_cookie(ktls, order[n - 1], &copy));
}

TEST_HARNESS_MAIN
