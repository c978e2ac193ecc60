// SPDX-License-Identifier: GPL-2.0
/* Requests at random, near what the specification allows and far from it, while
 * there are sockets to ask about. Nothing is to be seen of it but answers.
 *
 * usage: fuzz MESSAGES [SEED]	with the table of fuzz_table.py as its input
 */

#include <errno.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <netlink/genl/ctrl.h>
#include <netlink/genl/genl.h>

#include "../life/life.h"

/* Messages that go with one call. */
#define BATCH		32

#define SETS_MAX	32
#define ATTRS_MAX	64
#define OPS_MAX		32

enum type { U8, U16, U32, U64, UINT, FLAG, STRING, BINARY, NEST, PAD };

static const char *const types[] = {
	"u8", "u16", "u32", "u64", "uint", "flag", "string", "binary", "nest",
	"pad",
};

struct attr {
	enum type type;
	int nested;
};

static struct attr sets[SETS_MAX][ATTRS_MAX];
static unsigned int n_attrs[SETS_MAX];

static struct {
	uint8_t cmd;
	unsigned int set;
	bool dump;
} ops[OPS_MAX];
static unsigned int n_ops;

static uint64_t cookies[8];

/* By command. */
static uint64_t answers[256];

static uint64_t state;

/* xorshift64*, which is the same everywhere for a seed. */
static uint64_t any(void)
{
	state ^= state >> 12;
	state ^= state << 25;
	state ^= state >> 27;

	return state * 0x2545f4914f6cdd1dULL;
}

static unsigned int below(unsigned int n)
{
	return (any() >> 33) % n;
}

static bool one_in(unsigned int n)
{
	return !below(n);
}

static bool read_table(void)
{
	unsigned int set, number, dump;
	char line[256], type[32];
	int nested;
	size_t t;

	while (fgets(line, sizeof(line), stdin)) {
		if (sscanf(line, "attr %u %u %31s %d", &set, &number, type,
			   &nested) == 4) {
			if (set >= SETS_MAX || number >= ATTRS_MAX)
				return false;
			for (t = 0; t < sizeof(types) / sizeof(*types); t++)
				if (!strcmp(types[t], type))
					break;
			if (t == sizeof(types) / sizeof(*types))
				return false;
			sets[set][number] = (struct attr) { t, nested };
			n_attrs[set] = number;
		} else if (sscanf(line, "op %u %u %*u %u", &number, &set,
				  &dump) == 3) {
			if (n_ops == OPS_MAX)
				return false;
			ops[n_ops].cmd = number;
			ops[n_ops].set = set;
			ops[n_ops++].dump = dump;
		}
	}

	return n_ops;
}

/* A value that means something here and there, or any. */
static uint64_t number(void)
{
	switch (below(8)) {
	case 0:
		return cookies[below(8)];
	case 1:
		return 0x303 + below(2);
	case 2:
		return 51 + below(8);
	case 3:
		return any();
	case 4:
		return ~0ULL >> below(64);
	default:
		return below(5);
	}
}

static void put_attrs(struct nl_msg *msg, unsigned int set, unsigned int depth);

static void put_attr(struct nl_msg *msg, unsigned int set, unsigned int depth)
{
	unsigned int type = 1 + below(n_attrs[set]);
	const struct attr *attr = &sets[set][type];
	uint64_t value = number();
	uint8_t bytes[256];
	struct nlattr *nest;
	unsigned int i;

	/* One that does not exist, one that is another, or of any length. */
	if (one_in(50))
		type = below(1 << 14);
	if (one_in(50)) {
		for (i = 0; i < sizeof(bytes); i++)
			bytes[i] = any();
		nla_put(msg, type, below(sizeof(bytes)), bytes);
		return;
	}
	switch (attr->type) {
	case U8:
		nla_put_u8(msg, type, value);
		break;
	case U16:
		nla_put_u16(msg, type, value);
		break;
	case U32:
		nla_put_u32(msg, type, value);
		break;
	case U64:
		nla_put_u64(msg, type, value);
		break;
	case UINT:
		if (one_in(2))
			nla_put_u32(msg, type, value);
		else
			nla_put_u64(msg, type, value);
		break;
	case FLAG:
		nla_put_flag(msg, type);
		break;
	case STRING:
		memset(bytes, 'a', sizeof(bytes));
		bytes[below(18)] = 0;
		nla_put(msg, type, 1 + below(18), bytes);
		break;
	case BINARY:
	case PAD:
		nla_put(msg, type, below(20), bytes);
		break;
	case NEST:
		nest = nla_nest_start(msg, type);
		if (nest) {
			put_attrs(msg, attr->nested, depth + 1);
			nla_nest_end(msg, nest);
		}
		break;
	}
}

static void put_attrs(struct nl_msg *msg, unsigned int set, unsigned int depth)
{
	unsigned int n = one_in(20) ? below(12) : below(4);

	if (!n_attrs[set] || depth > 4)
		return;
	while (n--)
		put_attr(msg, set, depth);
}

static struct nl_msg *message(int family, uint32_t seq)
{
	unsigned int op = below(n_ops);
	struct nl_msg *msg = nlmsg_alloc();
	uint8_t cmd = ops[op].cmd;
	int flags = NLM_F_REQUEST;

	if (!msg)
		abort();
	if (one_in(100))
		cmd = any();
	/* Dumps take long: fewer of them. */
	if (ops[op].dump && one_in(16))
		flags |= NLM_F_DUMP;
	if (one_in(4))
		flags |= NLM_F_ACK;
	if (one_in(40))
		flags |= any() & 0xffff & ~NLM_F_DUMP;
	genlmsg_put(msg, 0, seq, family, 0, flags, cmd, one_in(50) ? any() : 1);
	put_attrs(msg, ops[op].set, 0);
	/* Cut, or with something behind. */
	if (one_in(100))
		nlmsg_hdr(msg)->nlmsg_len -= below(nlmsg_hdr(msg)->nlmsg_len -
						   NLMSG_HDRLEN + 1);

	return msg;
}

/* Read what there is, and note what was answered in earnest. */
static void drain(int fd, int family)
{
	static char buf[1 << 16];
	struct nlmsghdr *nlh;
	ssize_t len;

	for (;;) {
		len = recv(fd, buf, sizeof(buf), MSG_DONTWAIT);
		if (len < 0 && errno != ENOBUFS)
			return;
		for (nlh = (void *)buf; len > 0 && NLMSG_OK(nlh, len);
		     nlh = NLMSG_NEXT(nlh, len))
			if (nlh->nlmsg_type == family)
				answers[genlmsg_hdr(nlh)->cmd]++;
	}
}

static uint64_t send_batch(struct nl_sock *sk, int family, uint32_t *seq)
{
	static uint8_t batch[BATCH * 8192];
	unsigned int i, n = 1 + below(BATCH);
	size_t len = 0;

	for (i = 0; i < n; i++) {
		struct nl_msg *msg = message(family, ++*seq);
		struct nlmsghdr *nlh = nlmsg_hdr(msg);

		if (len + NLMSG_ALIGN(nlh->nlmsg_len) <= sizeof(batch)) {
			memcpy(batch + len, nlh, nlh->nlmsg_len);
			len += NLMSG_ALIGN(nlh->nlmsg_len);
		}
		nlmsg_free(msg);
	}
	/* It waits while a dump is under way, or has no room: read. */
	while (send(nl_socket_get_fd(sk), batch, len, MSG_DONTWAIT) < 0 &&
	       (errno == EAGAIN || errno == EBUSY || errno == ENOBUFS))
		drain(nl_socket_get_fd(sk), family);
	drain(nl_socket_get_fd(sk), family);

	return n;
}

int main(int argc, char **argv)
{
	uint64_t sent = 0, wanted;
	struct nl_sock *sk;
	uint32_t seq = 0;
	bool bad = false;
	int family, fd[4][2];
	unsigned int i;

	if (argc < 2 || !read_table()) {
		fprintf(stderr, "usage: fuzz_table.py SPEC | fuzz MESSAGES [SEED]\n");
		return 2;
	}
	wanted = strtoull(argv[1], NULL, 0);
	state = argc > 2 ? strtoull(argv[2], NULL, 0) : (uint64_t)time(NULL);
	printf("TAP version 13\n1..1\n# seed %#llx\n",
	       (unsigned long long)state);
	fflush(stdout);
	state = (state + 1) * 0x9e3779b97f4a7c15ULL;

	if (netns_new())
		abort();
	for (i = 0; i < 4; i++) {
		if (tls_pair(fd[i], TLS_1_3_VERSION, TLS_CIPHER_AES_GCM_128))
			abort();
		cookies[2 * i] = cookie_of(fd[i][0]);
		cookies[2 * i + 1] = cookie_of(fd[i][1]);
		if (i > 1)
			close(fd[i][0]);
	}
	sk = nl_socket_alloc();
	if (!sk || genl_connect(sk))
		abort();
	family = genl_ctrl_resolve(sk, KTLS_GENL_NAME);
	if (family < 0)
		abort();

	while (sent < wanted) {
		sent += send_batch(sk, family, &seq);
		/* With attempts and a policy that is just in force. */
		if (one_in(64)) {
			close(fd[0][0]);
			close(fd[0][1]);
			if (tcp_pair(fd[0]))
				abort();
			tls_attach(fd[0][0]);
			tls_attach(fd[0][1]);
			tls_arm(fd[0], TLS_1_3_VERSION, TLS_CIPHER_AES_GCM_128);
		}
	}
	nl_socket_free(sk);
	/* What never gets through tests nothing. */
	for (i = 0; i < n_ops; i++) {
		printf("# command %u was answered %llu times\n", ops[i].cmd,
		       (unsigned long long)answers[ops[i].cmd]);
		bad |= !answers[ops[i].cmd];
	}
	bad |= kernel_tainted();
	printf("%sok 1 %llu messages, and the kernel has nothing to say\n",
	       bad ? "not " : "", (unsigned long long)sent);

	return bad;
}
