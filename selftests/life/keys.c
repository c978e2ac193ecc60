// SPDX-License-Identifier: GPL-2.0
/* No byte of a key leaves tls.ko: not in a reply, not in an event. */

#include <ctype.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <netlink/genl/ctrl.h>
#include <netlink/genl/genl.h>

#include "kselftest_harness.h"

#include "life.h"

/* Fewer bytes in a row may be a coincidence. */
#define GIVEAWAY	4

static const struct {
	uint16_t version, cipher;
} protocols[] = {
	{ TLS_1_3_VERSION, TLS_CIPHER_AES_GCM_256 },
	{ TLS_1_3_VERSION, TLS_CIPHER_CHACHA20_POLY1305 },
	{ TLS_1_2_VERSION, TLS_CIPHER_AES_GCM_128 },
	{ TLS_1_2_VERSION, TLS_CIPHER_AES_CCM_128 },
};

/* Seeds of the keys in use: of the first end, the second, and a later one. */
static const uint8_t seeds[] = { 0, 1, 201 };

static unsigned int messages;

/* Is some of a key in what the kernel said? */
static bool gives_away(const void *said, size_t len)
{
	struct key key;
	size_t i, j, k;

	messages++;
	for (i = 0; i < sizeof(protocols) / sizeof(protocols[0]); i++) {
		for (j = 0; j < sizeof(seeds); j++) {
			key_make(&key, protocols[i].version,
				 protocols[i].cipher, seeds[j]);
			/* Behind version and cipher, before the number. */
			for (k = 4; k + GIVEAWAY <= key.len - 8; k++)
				if (memmem(said, len, key.bytes + k, GIVEAWAY))
					return true;
		}
	}

	return false;
}

FIXTURE(keys)
{
	int fd[4][2];
	struct ktls *ktls;
	struct nl_sock *sk;
	int family;
};

FIXTURE_SETUP(keys)
{
	unsigned int i;

	ASSERT_EQ(0, netns_new());
	ASSERT_EQ(0, ktls_open(&self->ktls, -1));
	ASSERT_EQ(0, ktls_subscribe(self->ktls));
	self->sk = nl_socket_alloc();
	ASSERT_EQ(0, genl_connect(self->sk));
	self->family = genl_ctrl_resolve(self->sk, KTLS_GENL_NAME);
	ASSERT_LT(0, self->family);
	for (i = 0; i < 4; i++)
		ASSERT_EQ(0, tls_pair(self->fd[i], protocols[i].version,
				      protocols[i].cipher));
	/* Refused or not, it must not be seen. */
	for (i = 0; i < 4; i++)
		key_install(self->fd[i][0], TLS_TX, protocols[i].version,
			    protocols[i].cipher, 201);
}

FIXTURE_TEARDOWN(keys)
{
	nl_socket_free(self->sk);
	ktls_close(self->ktls);
}

/* Send a request and search all that comes back. */
static void ask(struct __test_metadata *_metadata, FIXTURE_DATA(keys) *self,
		uint8_t cmd, int flags, const uint64_t *cookie, bool closed)
{
	bool more = true, answered = false;
	struct nl_msg *msg;
	struct nlattr *nest;
	char buf[32768];
	ssize_t len;

	msg = nlmsg_alloc();
	ASSERT_NE(NULL, msg);
	ASSERT_NE(NULL, genlmsg_put(msg, 0, 0, self->family, 0, flags, cmd, 1));
	if (cookie)
		nla_put_u64(msg, KTLS_A_SOCKET_COOKIE, *cookie);
	if (closed) {
		nest = nla_nest_start(msg, KTLS_A_SOCKET_FILTER);
		nla_put_flag(msg, KTLS_A_FILTER_CLOSED);
		nla_nest_end(msg, nest);
	}
	ASSERT_LE(0, nl_send_auto(self->sk, msg));
	nlmsg_free(msg);
	while (more) {
		struct nlmsghdr *nlh = (void *)buf;
		size_t left;

		len = recv(nl_socket_get_fd(self->sk), buf, sizeof(buf), 0);
		ASSERT_LT(0, len);
		EXPECT_FALSE(gives_away(buf, len)) TH_LOG("command %u", cmd);
		for (left = len; NLMSG_OK(nlh, left);
		     nlh = NLMSG_NEXT(nlh, left)) {
			if (nlh->nlmsg_type == self->family)
				answered = true;
			if (nlh->nlmsg_type == NLMSG_DONE ||
			    nlh->nlmsg_type == NLMSG_ERROR)
				more = false;
		}
	}
	EXPECT_TRUE(answered) TH_LOG("command %u", cmd);
}

TEST_F(keys, search_finds)
{
	struct key key;
	char said[200] = {};

	EXPECT_FALSE(gives_away(said, sizeof(said)));
	key_make(&key, protocols[1].version, protocols[1].cipher, 1);
	memcpy(said + 77, key.bytes + 20, GIVEAWAY);
	EXPECT_TRUE(gives_away(said, sizeof(said)));
}

TEST_F(keys, replies)
{
	unsigned int i, end;

	ask(_metadata, self, KTLS_CMD_MODULE_GET, NLM_F_ACK, NULL, false);
	ask(_metadata, self, KTLS_CMD_SOCKET_GET, NLM_F_DUMP, NULL, false);
	ask(_metadata, self, KTLS_CMD_TOTALS_GET, NLM_F_DUMP, NULL, false);
	for (i = 0; i < 4; i++) {
		for (end = 0; end < 2; end++) {
			uint64_t cookie = cookie_of(self->fd[i][end]);

			ask(_metadata, self, KTLS_CMD_SOCKET_GET, NLM_F_ACK,
			    &cookie, false);
			close(self->fd[i][end]);
			ask(_metadata, self, KTLS_CMD_SOCKET_GET, NLM_F_ACK,
			    &cookie, false);
		}
	}
	ask(_metadata, self, KTLS_CMD_SOCKET_GET, NLM_F_DUMP, NULL, true);
	ask(_metadata, self, KTLS_CMD_TOTALS_GET, NLM_F_DUMP, NULL, false);
	EXPECT_LE(20, messages);
}

TEST_F(keys, events)
{
	struct pollfd p = {
		.fd = ktls_event_fd(self->ktls),
		.events = POLLIN,
	};
	char buf[32768];
	unsigned int i;
	ssize_t len;

	for (i = 0; i < 4; i++) {
		close(self->fd[i][0]);
		close(self->fd[i][1]);
	}
	while (poll(&p, 1, 1000) == 1) {
		len = recv(p.fd, buf, sizeof(buf), 0);
		ASSERT_LT(0, len);
		EXPECT_FALSE(gives_away(buf, len));
	}
	/* Four pairs: 16 installs, 4 further keys, 8 closes. */
	EXPECT_LE(28, messages);
}

TEST_HARNESS_MAIN
