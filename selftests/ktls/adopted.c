// SPDX-License-Identifier: GPL-2.0
/*
 * What is known of sockets that had their keys before the module was loaded?
 * Unloads the module and loads it again.
 */

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "kselftest_harness.h"

#include <libktls.h>

#include "peers.h"

#define KTLS_KO		"../../kmod/ktls/ktls.ko"

static int unload(void)
{
	int tries, err = 0;

	/* Others may be looking at it. */
	for (tries = 0; tries < 200; tries++) {
		err = syscall(SYS_delete_module, "ktls", O_NONBLOCK) ? -errno :
								       0;
		if (err != -EAGAIN && err != -EBUSY)
			break;
		usleep(100000);
	}

	return err;
}

static int load(void)
{
	int fd, err = 0;

	fd = open(KTLS_KO, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (syscall(SYS_finit_module, fd, "", 0))
		err = -errno;
	close(fd);

	return err;
}

/* Since the module was loaded, and since the key was installed. */
struct way {
	uint64_t records, payload, control;
	uint64_t key_records;
};

FIXTURE(adopted)
{
	struct ktls *ktls;
	int fd[2];
	uint64_t cookie[2];
	struct way sent[2], read[2];
};

FIXTURE_VARIANT(adopted)
{
	int family;
	uint16_t version;
	uint16_t cipher;
	unsigned int overhead;
};

FIXTURE_VARIANT_ADD(adopted, 12_aes_gcm_128)
{
	.family = AF_INET,
	.version = TLS_1_2_VERSION,
	.cipher = TLS_CIPHER_AES_GCM_128,
	.overhead = OVERHEAD_12,
};

FIXTURE_VARIANT_ADD(adopted, 13_aes_gcm_256)
{
	.family = AF_INET6,
	.version = TLS_1_3_VERSION,
	.cipher = TLS_CIPHER_AES_GCM_256,
	.overhead = OVERHEAD_13,
};

#define TEST_ARGS							\
	struct __test_metadata *_metadata, FIXTURE_DATA(adopted) *self,	\
	const FIXTURE_VARIANT(adopted) *variant
#define TEST_PASS	_metadata, self, variant

static uint8_t buffer[128 * 1024];

static void count(struct way *way, size_t len)
{
	way->records++;
	way->payload += len;
	way->key_records++;
}

/* One record each. */
static void put(TEST_ARGS, int e, size_t len)
{
	ASSERT_EQ(len, send(self->fd[e], buffer, len, MSG_NOSIGNAL));
	count(&self->sent[e], len);
}

/* One whole record. */
static void take(TEST_ARGS, int e, size_t len)
{
	ASSERT_EQ(len, recv(self->fd[e], buffer, len, MSG_WAITALL));
	count(&self->read[e], len);
}

static void check(TEST_ARGS, int e)
{
	const struct ktls_socket *socket = NULL;

	ASSERT_EQ(0, ktls_get_socket(self->ktls, self->cookie[e], &socket));
	EXPECT_NE(0, socket->flags & KTLS_SOCKET_FLAGS_ADOPTED);
	EXPECT_EQ(0, socket->pid);
	EXPECT_STREQ("", socket->comm);
	EXPECT_EQ(variant->family, socket->family);
	EXPECT_EQ(variant->version, socket->tx.version);
	EXPECT_EQ(variant->cipher, socket->tx.cipher);

	EXPECT_EQ(KTLS_MODE_SW, socket->tx.mode);
	EXPECT_EQ(self->sent[e].records, socket->tx.records);
	EXPECT_EQ(self->sent[e].payload, socket->tx.payload_bytes);
	EXPECT_EQ(self->sent[e].payload +
		  self->sent[e].records * variant->overhead,
		  socket->tx.wire_bytes);
	EXPECT_EQ(self->sent[e].control, socket->tx.control_records);
	EXPECT_EQ(self->sent[e].key_records, socket->tx.key_records);

	EXPECT_EQ(KTLS_MODE_SW, socket->rx.mode);
	EXPECT_EQ(self->read[e].records, socket->rx.records);
	EXPECT_EQ(self->read[e].payload, socket->rx.payload_bytes);
	EXPECT_EQ(self->read[e].payload +
		  self->read[e].records * variant->overhead,
		  socket->rx.wire_bytes);
	EXPECT_EQ(self->read[e].key_records, socket->rx.key_records);
}

/* The module comes, and finds what there is. */
static void adopt(TEST_ARGS)
{
	int e;

	ASSERT_EQ(0, load());
	ASSERT_EQ(0, ktls_open(&self->ktls, -1))
		TH_LOG("%s", ktls_strerror(self->ktls));
	for (e = 0; e < 2; e++) {
		self->sent[e] = (struct way){
			.key_records = self->sent[e].key_records,
		};
		self->read[e] = (struct way){
			.key_records = self->read[e].key_records,
		};
		check(TEST_PASS, e);
	}
}

static int key(TEST_ARGS, int w, unsigned int number, bool tx)
{
	return install_key(self->fd[tx ? w : !w], tx ? TLS_TX : TLS_RX,
			   variant->version, variant->cipher, number + w,
			   100 * (w + 1));
}

FIXTURE_SETUP(adopted)
{
	struct connect_opts opts = { .family = variant->family };
	struct timeval patience = { .tv_sec = 10 };
	int e, err;

	self->fd[0] = -1;
	self->fd[1] = -1;
	ASSERT_EQ(0, new_namespace());
	ASSERT_EQ(0, unload());
	ASSERT_EQ(0, connect_pair(&opts, self->fd));
	for (e = 0; e < 2; e++) {
		setsockopt(self->fd[e], SOL_SOCKET, SO_RCVTIMEO, &patience,
			   sizeof(patience));
		self->cookie[e] = socket_cookie(self->fd[e]);
		ASSERT_EQ(0, attach_ulp(self->fd[e]));
	}
	for (e = 0; e < 2; e++) {
		err = key(TEST_PASS, e, 0, true);
		if (err == -ENOENT || err == -EINVAL)
			SKIP(return, "this kernel has not got the cipher (%s)",
			     strerrorname_np(-err));
		ASSERT_EQ(0, err);
		ASSERT_EQ(0, key(TEST_PASS, e, 0, false));
	}
}

FIXTURE_TEARDOWN(adopted)
{
	const struct ktls_socket *socket;
	int e;

	for (e = 0; e < 2; e++) {
		struct ktls_stream tx = {}, rx = {};

		if (self->ktls && !ktls_get_socket(self->ktls, self->cookie[e],
						   &socket)) {
			tx = socket->tx;
			rx = socket->rx;
		}
		close(self->fd[e]);
		if (!self->ktls)
			continue;
		EXPECT_EQ(0, ktls_get_socket(self->ktls, self->cookie[e],
					     &socket));
		EXPECT_NE(0, socket->flags & KTLS_SOCKET_FLAGS_CLOSED);
		EXPECT_NE(0, socket->flags & KTLS_SOCKET_FLAGS_ADOPTED);
		EXPECT_EQ(0, memcmp(&tx, &socket->tx, sizeof(tx)));
		EXPECT_EQ(0, memcmp(&rx, &socket->rx, sizeof(rx)));
	}
	ktls_close(self->ktls);
	/* For those who come after us. */
	load();
}

TEST_F(adopted, used)
{
	put(TEST_PASS, 0, 1000);
	put(TEST_PASS, 0, 16384);
	put(TEST_PASS, 1, 1);
	take(TEST_PASS, 1, 1000);
	take(TEST_PASS, 1, 16384);
	take(TEST_PASS, 0, 1);
	adopt(TEST_PASS);

	put(TEST_PASS, 0, 300);
	put(TEST_PASS, 1, 16384);
	put(TEST_PASS, 1, 16384);
	ASSERT_EQ(2, send_record(self->fd[0], CONTENT_ALERT, buffer, 2, 0));
	count(&self->sent[0], 2);
	self->sent[0].control++;
	check(TEST_PASS, 0);
	take(TEST_PASS, 1, 300);
	take(TEST_PASS, 0, 16384);
	check(TEST_PASS, 0);
	check(TEST_PASS, 1);
	take(TEST_PASS, 0, 16384);
	check(TEST_PASS, 0);
}

TEST_F(adopted, unused)
{
	adopt(TEST_PASS);
	put(TEST_PASS, 0, 10);
	take(TEST_PASS, 1, 10);
	check(TEST_PASS, 0);
	check(TEST_PASS, 1);
}

/* Records under way when the module comes count where they happen after. */
TEST_F(adopted, in_between)
{
	put(TEST_PASS, 0, 700);
	put(TEST_PASS, 0, 800);
	put(TEST_PASS, 0, 900);
	/* Decrypted, not read. */
	ASSERT_EQ(10, recv(self->fd[1], buffer, 10, MSG_PEEK));
	count(&self->read[1], 700);
	/* Held open. */
	ASSERT_EQ(50, send(self->fd[1], buffer, 50, MSG_MORE));
	adopt(TEST_PASS);

	ASSERT_EQ(700, recv(self->fd[1], buffer, 700, 0));
	check(TEST_PASS, 1);
	take(TEST_PASS, 1, 800);
	take(TEST_PASS, 1, 900);
	check(TEST_PASS, 1);
	ASSERT_EQ(50, send(self->fd[1], buffer, 50, 0));
	count(&self->sent[1], 100);
	check(TEST_PASS, 1);
	take(TEST_PASS, 0, 100);
	check(TEST_PASS, 0);
}

/* The last record has no room in TCP's queue when the module comes. */
TEST_F(adopted, stuck)
{
	unsigned int refused = 0;
	uint64_t left = 0;

	while (refused < 2) {
		ssize_t n = send(self->fd[0], buffer, 16384, MSG_DONTWAIT);

		if (n < 0) {
			refused++;
			continue;
		}
		ASSERT_EQ(16384, n);
		left++;
		count(&self->sent[0], n);
	}
	adopt(TEST_PASS);
	for (; left; left--)
		take(TEST_PASS, 1, 16384);
	check(TEST_PASS, 0);
	check(TEST_PASS, 1);
	put(TEST_PASS, 0, 5);
	take(TEST_PASS, 1, 5);
	check(TEST_PASS, 0);
	check(TEST_PASS, 1);
}

TEST_F(adopted, after_fin)
{
	put(TEST_PASS, 0, 10);
	ASSERT_EQ(0, shutdown(self->fd[0], SHUT_WR));
	take(TEST_PASS, 1, 10);
	ASSERT_EQ(0, recv(self->fd[1], buffer, 1, 0));
	adopt(TEST_PASS);
	put(TEST_PASS, 1, 20);
	take(TEST_PASS, 0, 20);
	check(TEST_PASS, 0);
	ASSERT_EQ(0, shutdown(self->fd[1], SHUT_WR));
	ASSERT_EQ(0, recv(self->fd[0], buffer, 1, 0));
	check(TEST_PASS, 0);
	check(TEST_PASS, 1);
}

/* Records of the second key are counted from its own first number. */
TEST_F(adopted, after_rekey)
{
	int w, err;

	for (w = 0; w < 2; w++) {
		put(TEST_PASS, w, 10);
		put(TEST_PASS, w, 20);
		take(TEST_PASS, !w, 10);
		take(TEST_PASS, !w, 20);
		err = key(TEST_PASS, w, 2, true);
		if (!err) {
			ASSERT_EQ(0, key(TEST_PASS, w, 2, false));
			self->sent[w].key_records = 0;
			self->read[!w].key_records = 0;
		} else {
			ASSERT_EQ(-EBUSY, err);
		}
	}
	put(TEST_PASS, 0, 30);
	take(TEST_PASS, 1, 30);
	adopt(TEST_PASS);
	put(TEST_PASS, 1, 40);
	take(TEST_PASS, 0, 40);
	check(TEST_PASS, 0);
	check(TEST_PASS, 1);
}

TEST_HARNESS_MAIN
