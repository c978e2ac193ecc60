// SPDX-License-Identifier: GPL-2.0
/*
 * Do the counters of a kTLS socket match what was sent?
 *
 *	client <---TCP---> relay <---TCP---> server
 *
 * Three parties count by themselves: the application its bytes, the test its
 * records (from the sizes that it sent), and the relay the records and bytes
 * that it saw on the wire. The counters must match each of them exactly, on
 * both ends and both ways, at every moment that a test looks at them.
 */

#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <time.h>

#include "kselftest_harness.h"

#include <libktls.h>

#include "peers.h"
#include "relay.h"

/* Direction of an end e: it sends on way e, and receives on way !e. */
#define CLIENT	0
#define SERVER	1

#define MAX_MODEL	4096

/* Nothing takes so many milliseconds, however busy the machine is; the harness
 * ends a test after three times as much.
 */
#define PATIENCE	10000

/* What is known of one way without asking the kernel. */
struct way {
	uint64_t accepted;		/* bytes that send() took */
	uint64_t control;		/* control records among the records */
	unsigned int records;
	uint16_t size[MAX_MODEL];	/* their payload */
	unsigned int open;		/* bytes that MSG_MORE holds back */
	uint64_t received;		/* bytes that recv() gave */
	uint64_t first_seq;		/* rec_seq of the current key */
	uint64_t before_key;		/* records before the current key */
	unsigned int rekeys;
};

FIXTURE(tls)
{
	struct ktls *ktls;
	struct relay *relay;
	int fd[2];
	uint64_t cookie[2];
	struct way way[2];
	uint32_t tx_error[2], rx_error[2];
	struct ktls_socket last[2];
};

FIXTURE_VARIANT(tls)
{
	int family;
	uint16_t version;
	uint16_t cipher;
	unsigned int overhead;
};

FIXTURE_VARIANT_ADD(tls, 12_aes_gcm_128)
{
	.family = AF_INET,
	.version = TLS_1_2_VERSION,
	.cipher = TLS_CIPHER_AES_GCM_128,
	.overhead = OVERHEAD_12,
};

FIXTURE_VARIANT_ADD(tls, 13_aes_gcm_128)
{
	.family = AF_INET,
	.version = TLS_1_3_VERSION,
	.cipher = TLS_CIPHER_AES_GCM_128,
	.overhead = OVERHEAD_13,
};

FIXTURE_VARIANT_ADD(tls, 12_aes_gcm_256)
{
	.family = AF_INET,
	.version = TLS_1_2_VERSION,
	.cipher = TLS_CIPHER_AES_GCM_256,
	.overhead = OVERHEAD_12,
};

FIXTURE_VARIANT_ADD(tls, 13_aes_gcm_256)
{
	.family = AF_INET,
	.version = TLS_1_3_VERSION,
	.cipher = TLS_CIPHER_AES_GCM_256,
	.overhead = OVERHEAD_13,
};

FIXTURE_VARIANT_ADD(tls, 12_chacha20_poly1305)
{
	.family = AF_INET,
	.version = TLS_1_2_VERSION,
	.cipher = TLS_CIPHER_CHACHA20_POLY1305,
	.overhead = OVERHEAD_12_CHACHA,
};

FIXTURE_VARIANT_ADD(tls, 13_chacha20_poly1305)
{
	.family = AF_INET,
	.version = TLS_1_3_VERSION,
	.cipher = TLS_CIPHER_CHACHA20_POLY1305,
	.overhead = OVERHEAD_13,
};

FIXTURE_VARIANT_ADD(tls, 12_aes_ccm_128)
{
	.family = AF_INET,
	.version = TLS_1_2_VERSION,
	.cipher = TLS_CIPHER_AES_CCM_128,
	.overhead = OVERHEAD_12,
};

FIXTURE_VARIANT_ADD(tls, 13_aes_ccm_128)
{
	.family = AF_INET,
	.version = TLS_1_3_VERSION,
	.cipher = TLS_CIPHER_AES_CCM_128,
	.overhead = OVERHEAD_13,
};

FIXTURE_VARIANT_ADD(tls, 12_aes_gcm_128_ipv6)
{
	.family = AF_INET6,
	.version = TLS_1_2_VERSION,
	.cipher = TLS_CIPHER_AES_GCM_128,
	.overhead = OVERHEAD_12,
};

FIXTURE_VARIANT_ADD(tls, 13_chacha20_poly1305_ipv6)
{
	.family = AF_INET6,
	.version = TLS_1_3_VERSION,
	.cipher = TLS_CIPHER_CHACHA20_POLY1305,
	.overhead = OVERHEAD_13,
};

/* What helpers want of a test. */
#define TEST_ARGS							\
	struct __test_metadata *_metadata, FIXTURE_DATA(tls) *self,	\
	const FIXTURE_VARIANT(tls) *variant
#define TEST_PASS	_metadata, self, variant

static uint8_t buffer[256 * 1024];

/* The model: which records a send makes. */

static void model_record(struct way *way, unsigned int size)
{
	if (way->records < MAX_MODEL)
		way->size[way->records] = size;
	way->records++;
}

static void model_flush(struct way *way)
{
	if (way->open)
		model_record(way, way->open);
	way->open = 0;
}

/* An application record is full at 16384 bytes, and ends with the send unless
 * there is more to come.
 */
static void model_send(struct way *way, size_t len, bool more)
{
	way->accepted += len;
	while (way->open + len >= MAX_RECORD) {
		len -= MAX_RECORD - way->open;
		way->open = MAX_RECORD;
		model_flush(way);
	}
	way->open += len;
	if (!more)
		model_flush(way);
}

static void model_control(struct way *way, size_t len)
{
	unsigned int before;

	model_flush(way);
	before = way->records;
	model_send(way, len, false);
	way->control += way->records - before;
}

/* Records that hold the first so many bytes, and what they hold. */
static unsigned int model_touched(const struct way *way, uint64_t bytes,
				  uint64_t *payload)
{
	unsigned int n = 0;

	*payload = 0;
	while (*payload < bytes && n < way->records)
		*payload += way->size[n++];

	return n;
}

/* Records that are whole in the first so many bytes of the wire. */
static unsigned int model_whole(const struct way *way, uint64_t wire,
				unsigned int overhead)
{
	unsigned int n = 0;

	while (n < way->records && wire >= way->size[n] + overhead)
		wire -= way->size[n++] + overhead;

	return n;
}

static uint64_t model_payload(const struct way *way)
{
	return way->accepted - way->open;
}

/* Bringing it up. */

static void link_up(TEST_ARGS, const struct connect_opts *opts)
{
	struct timeval patience = { .tv_sec = 10 };
	struct connect_opts o = opts ? *opts : (struct connect_opts){};
	int hop[2][2], e;

	o.family = variant->family;
	for (e = 0; e < 2; e++)
		ASSERT_EQ(0, connect_pair(&o, hop[e]))
			TH_LOG("hop %d: %s", e, strerror(errno));
	self->fd[CLIENT] = hop[0][0];
	self->fd[SERVER] = hop[1][1];
	self->relay = relay_start(hop[0][1], hop[1][0]);
	ASSERT_NE(NULL, self->relay);

	for (e = 0; e < 2; e++) {
		/* No test hangs. */
		setsockopt(self->fd[e], SOL_SOCKET, SO_RCVTIMEO, &patience,
			   sizeof(patience));
		setsockopt(self->fd[e], SOL_SOCKET, SO_SNDTIMEO, &patience,
			   sizeof(patience));
		self->cookie[e] = socket_cookie(self->fd[e]);
		ASSERT_NE(0, self->cookie[e]);
	}
}

/* The key of a way, at the end that sends (tx) or the other. */
static int key(TEST_ARGS, int way, bool tx)
{
	return install_key(self->fd[tx ? way : !way], tx ? TLS_TX : TLS_RX,
			   variant->version, variant->cipher,
			   way + 2 * self->way[way].rekeys,
			   self->way[way].first_seq);
}

static void secure(TEST_ARGS)
{
	int w;

	ASSERT_EQ(0, attach_ulp(self->fd[CLIENT]));
	ASSERT_EQ(0, attach_ulp(self->fd[SERVER]));
	for (w = 0; w < 2; w++) {
		ASSERT_EQ(0, key(TEST_PASS, w, true));
		ASSERT_EQ(0, key(TEST_PASS, w, false));
	}
}

static void up(TEST_ARGS)
{
	link_up(TEST_PASS, NULL);
	secure(TEST_PASS);
}

/* Looking at the counters. */

static struct ktls_socket look(TEST_ARGS, int e)
{
	const struct ktls_socket *socket = NULL;

	EXPECT_EQ(0, ktls_get_socket(self->ktls, self->cookie[e], &socket))
		TH_LOG("end %d: %s", e, ktls_strerror(self->ktls));

	return socket ? *socket : (struct ktls_socket){};
}

struct want {
	uint64_t records;
	uint64_t payload;
	uint64_t control;
	uint64_t key_records;
	uint32_t rekeys;
	uint32_t error;
	/* 0: what follows from records and payload */
	uint64_t wire;
};

static void check_stream(TEST_ARGS, const char *what, int e,
			 const struct ktls_stream *is, const struct want *want)
{
	uint64_t wire = want->wire;

	if (!wire)
		wire = want->payload + want->records * variant->overhead;

	EXPECT_EQ(want->records, is->records);
	EXPECT_EQ(want->payload, is->payload_bytes);
	EXPECT_EQ(wire, is->wire_bytes);
	EXPECT_EQ(want->control, is->control_records);
	EXPECT_EQ(want->key_records, is->key_records);
	EXPECT_EQ(want->rekeys, is->rekeys);
	EXPECT_EQ(want->error, is->last_error);
	EXPECT_EQ(KTLS_MODE_SW, is->mode);
	EXPECT_EQ(variant->version, is->version);
	EXPECT_EQ(variant->cipher, is->cipher);
	EXPECT_EQ(0, is->ifindex);

	if (want->records != is->records || want->payload != is->payload_bytes ||
	    wire != is->wire_bytes || want->control != is->control_records)
		TH_LOG("that was %s of the %s", what, e ? "server" : "client");
}

static struct want want_tx(TEST_ARGS, int e)
{
	const struct way *way = &self->way[e];

	return (struct want) {
		.records = way->records,
		.payload = model_payload(way),
		.control = way->control,
		.key_records = way->records - way->before_key,
		.rekeys = way->rekeys,
		.error = self->tx_error[e],
	};
}

/* All that an end sent counts, on the wire or not yet. */
static void check_tx(TEST_ARGS, int e)
{
	struct ktls_socket socket = look(TEST_PASS, e);
	struct want want = want_tx(TEST_PASS, e);

	check_stream(TEST_PASS, "TX", e, &socket.tx, &want);
}

static struct want want_rx(TEST_ARGS, int e, uint64_t bytes)
{
	const struct way *way = &self->way[!e];
	struct want want = {
		.rekeys = way->rekeys,
		.error = self->rx_error[e],
	};

	want.records = model_touched(way, bytes, &want.payload);
	want.key_records = want.records - way->before_key;

	return want;
}

/* An end that has been given the first so many bytes decrypted whole records. */
static void check_rx_at(TEST_ARGS, int e, uint64_t bytes)
{
	struct ktls_socket socket = look(TEST_PASS, e);
	struct want want = want_rx(TEST_PASS, e, bytes);

	check_stream(TEST_PASS, "RX", e, &socket.rx, &want);
}

static void check_rx(TEST_ARGS, int e)
{
	check_rx_at(TEST_PASS, e, self->way[!e].received);
}

/* All went through: the wire agrees with both ends. */
static void check_wire(TEST_ARGS, int w)
{
	struct ktls_socket tx = look(TEST_PASS, w), rx = look(TEST_PASS, !w);
	struct records seen, passed;

	EXPECT_TRUE(relay_wait_seen(self->relay, w, tx.tx.wire_bytes));
	seen = relay_seen(self->relay, w);
	EXPECT_FALSE(seen.broken);
	EXPECT_EQ(seen.bytes, seen.whole);
	EXPECT_EQ(seen.records, tx.tx.records);
	EXPECT_EQ(seen.bytes, tx.tx.wire_bytes);
	EXPECT_EQ(seen.bytes - seen.records * variant->overhead,
		  tx.tx.payload_bytes);
	if (variant->version == TLS_1_2_VERSION)
		EXPECT_EQ(seen.control, tx.tx.control_records);

	EXPECT_TRUE(relay_wait_passed(self->relay, w, seen.bytes));
	passed = relay_passed(self->relay, w);
	EXPECT_EQ(passed.records, rx.rx.records);
	EXPECT_EQ(passed.bytes, rx.rx.wire_bytes);
	EXPECT_EQ(passed.bytes - passed.records * variant->overhead,
		  rx.rx.payload_bytes);
	EXPECT_EQ(self->way[w].received, rx.rx.payload_bytes);
}

/* Everything that was sent was read. */
static void check_all(TEST_ARGS)
{
	int e;

	for (e = 0; e < 2; e++) {
		EXPECT_EQ(model_payload(&self->way[e]), self->way[e].received);
		check_tx(TEST_PASS, e);
		check_rx(TEST_PASS, e);
		check_wire(TEST_PASS, e);
	}
}

/* Sending and receiving. */

static void put(TEST_ARGS, int e, size_t len, int flags)
{
	ASSERT_EQ(len, send(self->fd[e], buffer, len, flags | MSG_NOSIGNAL))
		TH_LOG("%zu bytes: %s", len, strerror(errno));
	model_send(&self->way[e], len, flags & MSG_MORE);
}

static void put_control(TEST_ARGS, int e, uint8_t type, size_t len)
{
	ASSERT_EQ(len, send_record(self->fd[e], type, buffer, len, 0));
	model_control(&self->way[e], len);
}

static void take(TEST_ARGS, int e, size_t len)
{
	while (len) {
		ssize_t n = recv(self->fd[e], buffer, len, 0);

		ASSERT_LT(0, n) TH_LOG("%s", strerror(errno));
		self->way[!e].received += n;
		len -= n;
	}
}

static void take_all(TEST_ARGS, int e)
{
	const struct way *way = &self->way[!e];

	take(TEST_PASS, e, model_payload(way) - way->received);
}

static void take_control(TEST_ARGS, int e, uint8_t type, size_t len)
{
	while (len) {
		uint8_t is = 0;
		ssize_t n = recv_record(self->fd[e], &is, buffer, len, 0);

		ASSERT_LT(0, n);
		ASSERT_EQ(type, is);
		self->way[!e].received += n;
		len -= n;
	}
}

/* The end. */

static bool same_stream(const struct ktls_stream *a, const struct ktls_stream *b)
{
	return !memcmp(a, b, sizeof(*a));
}

static void check_closed(TEST_ARGS, int e)
{
	self->last[e] = look(TEST_PASS, e);
	EXPECT_EQ(KTLS_SOCKET_FLAGS_CLOSED,
		  self->last[e].flags & KTLS_SOCKET_FLAGS_CLOSED);
	EXPECT_EQ(0, self->last[e].flags & KTLS_SOCKET_FLAGS_INCOMPLETE);
	EXPECT_NE(0, self->last[e].close_time);
	EXPECT_EQ(0, self->last[e].inode);
}

static void shut(TEST_ARGS, int e)
{
	close(self->fd[e]);
	self->fd[e] = -1;
	check_closed(TEST_PASS, e);
}

/* Close an end that has nothing left to say: its counters stay. */
static void shut_same(TEST_ARGS, int e)
{
	struct ktls_socket before = look(TEST_PASS, e);

	shut(TEST_PASS, e);
	EXPECT_EQ(0, self->last[e].flags & KTLS_SOCKET_FLAGS_TRUNCATED);
	EXPECT_TRUE(same_stream(&before.tx, &self->last[e].tx))
		TH_LOG("TX of the %s changed with its close",
		       e ? "server" : "client");
	EXPECT_TRUE(same_stream(&before.rx, &self->last[e].rx))
		TH_LOG("RX of the %s changed with its close",
		       e ? "server" : "client");
}

struct sums {
	uint64_t sockets;
	struct ktls_totals dir[2];
};

static void sum_stream(struct ktls_totals *sum, const struct ktls_stream *s)
{
	if (s->mode == KTLS_MODE_NONE)
		return;
	sum->closed++;
	sum->records += s->records;
	sum->payload_bytes += s->payload_bytes;
	sum->wire_bytes += s->wire_bytes;
	sum->control_records += s->control_records;
	sum->rekeys += s->rekeys;
	sum->errors += !!s->last_error;
}

static int sum_socket(const struct ktls_socket *socket, void *arg)
{
	struct sums *sums = arg;

	sums->sockets++;
	sum_stream(&sums->dir[KTLS_DIRECTION_TX], &socket->tx);
	sum_stream(&sums->dir[KTLS_DIRECTION_RX], &socket->rx);

	return 0;
}

static int take_totals(const struct ktls_totals *totals, void *arg)
{
	struct sums *sums = arg;

	sums->dir[totals->direction] = *totals;

	return 0;
}

/* Totals of the namespace are the sum of its sockets, each seen to be right. */
static void check_totals(TEST_ARGS)
{
	const struct ktls_filter closed = { .match = KTLS_MATCH(CLOSED) };
	struct sums want = {}, is = {};
	int d;

	EXPECT_EQ(0, ktls_dump_sockets(self->ktls, &closed, sum_socket, &want));
	EXPECT_EQ(0, ktls_dump_totals(self->ktls, take_totals, &is));
	for (d = 0; d < 2; d++) {
		EXPECT_EQ(0, is.dir[d].open);
		EXPECT_EQ(want.dir[d].closed, is.dir[d].closed);
		EXPECT_EQ(want.dir[d].records, is.dir[d].records);
		EXPECT_EQ(want.dir[d].payload_bytes, is.dir[d].payload_bytes);
		EXPECT_EQ(want.dir[d].wire_bytes, is.dir[d].wire_bytes);
		EXPECT_EQ(want.dir[d].control_records,
			  is.dir[d].control_records);
		EXPECT_EQ(want.dir[d].rekeys, is.dir[d].rekeys);
		EXPECT_EQ(want.dir[d].errors, is.dir[d].errors);
	}
}

FIXTURE_SETUP(tls)
{
	int fds[2], err;
	unsigned int i;

	self->fd[0] = -1;
	self->fd[1] = -1;
	/* Nothing starts at zero that could be mistaken for a count. */
	self->way[CLIENT].first_seq = 5;
	self->way[SERVER].first_seq = 1000;
	for (i = 0; i < sizeof(buffer); i++)
		buffer[i] = i * 7;

	ASSERT_EQ(0, new_namespace());
	ASSERT_EQ(0, ktls_open(&self->ktls, -1))
		TH_LOG("%s", ktls_strerror(self->ktls));

	/* Does this kernel have the cipher? */
	ASSERT_EQ(0, connect_pair(&(struct connect_opts){ .family = AF_INET },
				  fds));
	err = attach_ulp(fds[0]);
	if (!err)
		err = install_key(fds[0], TLS_TX, variant->version,
				  variant->cipher, 0, 0);
	close(fds[0]);
	close(fds[1]);
	if (err == -ENOENT || err == -EINVAL)
		SKIP(return, "this kernel has not got the cipher (%s)",
		     strerrorname_np(-err));
	ASSERT_EQ(0, err);
}

FIXTURE_TEARDOWN(tls)
{
	int e;

	for (e = 0; e < 2; e++)
		if (self->fd[e] >= 0 && self->cookie[e])
			shut_same(TEST_PASS, e);
	if (self->relay)
		relay_stop(self->relay);
	check_totals(TEST_PASS);
	ktls_close(self->ktls);
}

static const size_t sizes[] = { 1, 100, 1000, 16384, 16385, 100000 };

TEST_F(tls, sizes)
{
	unsigned int i;
	int e;

	up(TEST_PASS);
	check_all(TEST_PASS);
	for (e = 0; e < 2; e++) {
		for (i = 0; i < ARRAY_SIZE(sizes); i++) {
			put(TEST_PASS, e, sizes[i], 0);
			take_all(TEST_PASS, !e);
			check_all(TEST_PASS);
		}
	}
	/* And all at once. */
	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		put(TEST_PASS, CLIENT, sizes[i], 0);
		put(TEST_PASS, SERVER, sizes[i] + 3, 0);
	}
	take_all(TEST_PASS, CLIENT);
	take_all(TEST_PASS, SERVER);
	check_all(TEST_PASS);
}

/* What the kernel sent on its own terms: how many records it made is for the
 * wire to say, and the model takes it from there.
 */
static void learn_records(TEST_ARGS, int w, size_t len)
{
	struct way *way = &self->way[w];
	struct records seen;

	way->accepted += len;
	len += way->open;
	way->open = 0;
	do {
		struct ktls_socket tx = look(TEST_PASS, w);

		ASSERT_TRUE(relay_wait_seen(self->relay, w, tx.tx.wire_bytes));
		seen = relay_seen(self->relay, w);
	} while (seen.bytes != seen.whole);

	ASSERT_LE(way->records, seen.records);
	/* Only the sum of their sizes matters when all is read. */
	while (way->records < seen.records) {
		unsigned int left = seen.records - way->records;
		size_t size = left == 1 ? len : MAX_RECORD;

		model_record(way, size < len ? size : len);
		len -= size < len ? size : len;
	}
	ASSERT_EQ(seen.bytes, model_payload(way) +
			      seen.records * variant->overhead);
}

TEST_F(tls, sendfile)
{
	static const size_t lengths[] = { 100, 16384, 70000, 4096, 200001 };
	unsigned int i;
	int file, e;

	file = memfd_create("sendfile", MFD_CLOEXEC);
	ASSERT_LE(0, file);
	ASSERT_EQ(sizeof(buffer), write(file, buffer, sizeof(buffer)));

	up(TEST_PASS);
	for (i = 0; i < ARRAY_SIZE(lengths); i++) {
		off_t offset = i * 1234;
		size_t left = lengths[i];

		e = i & 1;
		while (left) {
			ssize_t n = sendfile(self->fd[e], file, &offset, left);

			ASSERT_LT(0, n);
			left -= n;
		}
		learn_records(TEST_PASS, e, lengths[i]);
		take_all(TEST_PASS, !e);
		check_all(TEST_PASS);
	}
	close(file);
}

TEST_F(tls, msg_more)
{
	int e;

	up(TEST_PASS);
	for (e = 0; e < 2; e++) {
		/* Held open: no record yet. */
		put(TEST_PASS, e, 100, MSG_MORE);
		check_tx(TEST_PASS, e);
		put(TEST_PASS, e, 1, MSG_MORE);
		check_tx(TEST_PASS, e);
		/* Fills it, and begins another. */
		put(TEST_PASS, e, 16384, MSG_MORE);
		EXPECT_EQ(101, self->way[e].open);
		check_tx(TEST_PASS, e);
		take_all(TEST_PASS, !e);
		check_all(TEST_PASS);
		/* Exactly full. */
		put(TEST_PASS, e, 16384 - 101, MSG_MORE);
		EXPECT_EQ(0, self->way[e].open);
		check_tx(TEST_PASS, e);
		put(TEST_PASS, e, 5, MSG_MORE);
		put(TEST_PASS, e, 5, 0);
		take_all(TEST_PASS, !e);
		check_all(TEST_PASS);
	}
	/* Lost with the close. */
	put(TEST_PASS, CLIENT, 300, MSG_MORE);
	check_tx(TEST_PASS, CLIENT);
}

/* A record held open ends with what comes after it in another type. */
TEST_F(tls, msg_more_control)
{
	up(TEST_PASS);
	put(TEST_PASS, CLIENT, 77, MSG_MORE);
	/* Nothing of it is sent, but what was open. */
	ASSERT_EQ(0, send_record(self->fd[CLIENT], CONTENT_ALERT, buffer, 0,
				 0));
	model_flush(&self->way[CLIENT]);
	check_tx(TEST_PASS, CLIENT);
	put(TEST_PASS, CLIENT, 78, MSG_MORE);
	put_control(TEST_PASS, CLIENT, CONTENT_ALERT, 2);
	check_tx(TEST_PASS, CLIENT);
	take(TEST_PASS, SERVER, 77 + 78);
	take_control(TEST_PASS, SERVER, CONTENT_ALERT, 2);
	check_all(TEST_PASS);
}

static void splice_all(TEST_ARGS, int from, int to, size_t len, int flags)
{
	while (len) {
		ssize_t n = splice(from, NULL, to, NULL, len, flags);

		ASSERT_LT(0, n) TH_LOG("%s", strerror(errno));
		len -= n;
	}
}

TEST_F(tls, splice_in)
{
	int p[2], e;

	ASSERT_EQ(0, pipe2(p, O_CLOEXEC));
	up(TEST_PASS);
	for (e = 0; e < 2; e++) {
		ASSERT_EQ(5000, write(p[1], buffer, 5000));
		splice_all(TEST_PASS, p[0], self->fd[e], 5000, SPLICE_F_MORE);
		/* Held open, but not before 6.5. */
		model_send(&self->way[e], 5000,
			   !look(TEST_PASS, e).tx.records);
		check_tx(TEST_PASS, e);
		ASSERT_EQ(40000, write(p[1], buffer, 40000));
		splice_all(TEST_PASS, p[0], self->fd[e], 40000, 0);
		learn_records(TEST_PASS, e, 40000);
		take_all(TEST_PASS, !e);
		check_all(TEST_PASS);
	}
}

TEST_F(tls, splice_out)
{
	uint64_t *received;
	int p[2], e;

	ASSERT_EQ(0, pipe2(p, O_CLOEXEC));
	up(TEST_PASS);
	for (e = 0; e < 2; e++) {
		received = &self->way[e].received;
		put(TEST_PASS, e, 9000, 0);
		put(TEST_PASS, e, 16384 + 50, 0);
		check_rx(TEST_PASS, !e);

		/* A part of a record: all of it was decrypted. */
		splice_all(TEST_PASS, self->fd[!e], p[1], 4000, 0);
		ASSERT_EQ(4000, read(p[0], buffer, 4000));
		*received += 4000;
		check_rx(TEST_PASS, !e);
		splice_all(TEST_PASS, self->fd[!e], p[1], 5000, 0);
		ASSERT_EQ(5000, read(p[0], buffer, 5000));
		*received += 5000;
		check_rx(TEST_PASS, !e);
		splice_all(TEST_PASS, self->fd[!e], p[1], 16384 + 50, 0);
		*received += 16384 + 50;
		check_all(TEST_PASS);
		close(p[0]);
		close(p[1]);
		ASSERT_EQ(0, pipe2(p, O_CLOEXEC));
	}
}

TEST_F(tls, partial_reads)
{
	static const size_t reads[] = {
		1, 999, 16384 - 1000, 1, 98, 1, 16384, 16384 / 2, 3000,
	};
	unsigned int i;
	int e;

	up(TEST_PASS);
	for (e = 0; e < 2; e++) {
		put(TEST_PASS, e, 16384, 0);
		put(TEST_PASS, e, 100, 0);
		put(TEST_PASS, e, 34000, 0);
		put(TEST_PASS, e, 1, 0);
		ASSERT_TRUE(relay_wait_acked(self->relay, e,
					      50485 + 6 * variant->overhead));
		check_rx_at(TEST_PASS, !e, 0);
		for (i = 0; i < ARRAY_SIZE(reads); i++) {
			take(TEST_PASS, !e, reads[i]);
			check_rx(TEST_PASS, !e);
		}
		take_all(TEST_PASS, !e);
		check_all(TEST_PASS);
	}
}

TEST_F(tls, peek)
{
	int e, i;

	up(TEST_PASS);
	for (e = 0; e < 2; e++) {
		uint64_t *received = &self->way[e].received;

		put(TEST_PASS, e, 1000, 0);
		put(TEST_PASS, e, 500, 0);
		/* A record that was peeked at is decrypted, once. */
		for (i = 0; i < 3; i++) {
			ASSERT_EQ(10, recv(self->fd[!e], buffer, 10, MSG_PEEK));
			check_rx_at(TEST_PASS, !e, *received + 10);
		}
		take(TEST_PASS, !e, 10);
		check_rx(TEST_PASS, !e);
		ASSERT_EQ(1490, recv(self->fd[!e], buffer, 1490,
				     MSG_PEEK | MSG_WAITALL));
		check_rx_at(TEST_PASS, !e, *received + 1490);
		take_all(TEST_PASS, !e);
		check_all(TEST_PASS);
	}
}

TEST_F(tls, control_records)
{
	int e;

	up(TEST_PASS);
	for (e = 0; e < 2; e++) {
		put_control(TEST_PASS, e, CONTENT_ALERT, 2);
		check_tx(TEST_PASS, e);
		put(TEST_PASS, e, 100, 0);
		put_control(TEST_PASS, e, CONTENT_HANDSHAKE, 50);
		/* More than one record holds. */
		put_control(TEST_PASS, e, CONTENT_HANDSHAKE, 40000);
		check_tx(TEST_PASS, e);
		/* Of the default type: nothing special. */
		ASSERT_EQ(30, send_record(self->fd[e], CONTENT_DATA, buffer,
					  30, 0));
		model_send(&self->way[e], 30, false);
		/* Nothing to send: no record. */
		ASSERT_EQ(0, send_record(self->fd[e], CONTENT_ALERT, buffer,
					 0, 0));
		put(TEST_PASS, e, 1, 0);
		check_tx(TEST_PASS, e);
		/* No such thing: nothing is sent. */
		ASSERT_EQ(-1, send_record(self->fd[e], CONTENT_ALERT, buffer,
					  2, MSG_MORE));
		check_tx(TEST_PASS, e);

		take_control(TEST_PASS, !e, CONTENT_ALERT, 2);
		take(TEST_PASS, !e, 100);
		/* Data does not mix with another type: EIO, but decrypted. */
		ASSERT_EQ(-1, recv(self->fd[!e], buffer, 50, 0));
		ASSERT_EQ(EIO, errno);
		check_rx_at(TEST_PASS, !e, self->way[e].received + 1);
		take_control(TEST_PASS, !e, CONTENT_HANDSHAKE, 50);
		take_control(TEST_PASS, !e, CONTENT_HANDSHAKE, 40000);
		take(TEST_PASS, !e, 31);
		check_all(TEST_PASS);
	}
}

static const struct connect_opts small_buffers = {
	.sndbuf = 8192,
	.rcvbuf = 16384,
};

/* An application that retries a message that was refused. */
static bool try_control(TEST_ARGS, int e, size_t len)
{
	struct way *way = &self->way[e];
	ssize_t n;

	n = send_record(self->fd[e], CONTENT_ALERT, buffer, len, MSG_DONTWAIT);
	if (n < 0) {
		/* What was open is closed all the same. */
		model_flush(way);
		return false;
	}
	model_control(way, n);
	return true;
}

static struct tcp_info tcp_info(TEST_ARGS, int e)
{
	struct tcp_info info = {};
	socklen_t len = sizeof(info);

	EXPECT_EQ(0, getsockopt(self->fd[e], IPPROTO_TCP, TCP_INFO, &info,
				&len));

	return info;
}

/* Bytes that are encrypted, and that TCP has not taken. */
static uint64_t behind_tcp(TEST_ARGS, int e)
{
	struct ktls_socket socket = look(TEST_PASS, e);
	struct tcp_info info = tcp_info(TEST_PASS, e);

	return socket.tx.wire_bytes - (info.tcpi_bytes_sent -
				       info.tcpi_bytes_retrans +
				       info.tcpi_notsent_bytes);
}

/* Does nothing change any more but by the relay's reading? All that is under way
 * was acknowledged, and the peer's window is shut.
 */
static bool stalled(const struct tcp_info *info)
{
	return !info->tcpi_unacked && info->tcpi_notsent_bytes &&
	       !info->tcpi_snd_wnd;
}

/* Wait for that, or, if nobody is going to send more, for the end of it. */
static bool wait_stalled(TEST_ARGS, int e, bool sending)
{
	struct timespec nap = { .tv_nsec = 1000000 };
	struct tcp_info info;
	unsigned int i;

	for (i = 0; i < PATIENCE; i++) {
		info = tcp_info(TEST_PASS, e);
		if (stalled(&info) ||
		    (!sending && !info.tcpi_unacked && !info.tcpi_notsent_bytes))
			break;
		nanosleep(&nap, NULL);
	}
	EXPECT_GT(PATIENCE, i)
		TH_LOG("%u packets under way, window %u, %u bytes to send",
		       info.tcpi_unacked, info.tcpi_snd_wnd,
		       info.tcpi_notsent_bytes);

	return stalled(&info);
}

/* Fill the buffers of a way whose relay does not read, until nothing makes room
 * any more.
 */
static void get_stuck(TEST_ARGS, int e)
{
	static const size_t pieces[] = { 5000, 20000, 100, 16384, 1 };
	bool stuck = false;
	unsigned int i;

	relay_may_read(self->relay, e, 0);
	for (i = 0; i < MAX_MODEL; i++) {
		ssize_t n = send(self->fd[e], buffer,
				 pieces[i % ARRAY_SIZE(pieces)], MSG_DONTWAIT);

		if (n >= 0) {
			model_send(&self->way[e], n, false);
			stuck = false;
			continue;
		}
		ASSERT_EQ(EAGAIN, errno);
		if (stuck)
			return;
		stuck = wait_stalled(TEST_PASS, e, false);
	}
	ASSERT_TRUE(stuck);
}

/* How much TCP takes in this namespace, before it sends some. Unlike with the
 * size of a buffer, no socket is told, so that nobody but us makes use of it.
 */
static void limit_unsent(TEST_ARGS, uint32_t bytes)
{
	int fd = open("/proc/sys/net/ipv4/tcp_notsent_lowat",
		      O_WRONLY | O_CLOEXEC);

	ASSERT_LE(0, fd);
	ASSERT_LT(0, dprintf(fd, "%u", bytes));
	close(fd);
}

/* Let records wait behind an end that is stuck: a part of one, and then another
 * as a whole, if it is to be two. TCP takes a segment or two of the first at a
 * time.
 */
static void get_behind(TEST_ARGS, int e, bool two)
{
	struct way *way = &self->way[e];
	int size = 1 << 20;
	uint64_t behind;
	unsigned int i;

	limit_unsent(TEST_PASS, 1);
	ASSERT_EQ(0, setsockopt(self->fd[e], SOL_SOCKET, SO_SNDBUFFORCE, &size,
				sizeof(size)));
	for (i = 0; i < 100; i++) {
		size_t len = 100 + i;

		behind = behind_tcp(TEST_PASS, e);
		if (two ? behind > way->size[way->records - 1] +
				   variant->overhead : behind)
			break;
		if (!behind)
			len = MAX_RECORD;
		limit_unsent(TEST_PASS,
			     tcp_info(TEST_PASS, e).tcpi_notsent_bytes + 1);
		/* The worker that sends may still be awake, and be quicker. */
		if (send(self->fd[e], buffer, len, MSG_DONTWAIT) > 0)
			model_send(way, len, false);
		check_tx(TEST_PASS, e);
	}
	EXPECT_GT(100, i);
}

static void stuck_writer(TEST_ARGS, const struct connect_opts *opts, int step,
			 bool two)
{
	struct way *way = &self->way[CLIENT];
	bool retry = false;
	unsigned int i;

	link_up(TEST_PASS, opts);
	secure(TEST_PASS);
	get_stuck(TEST_PASS, CLIENT);
	/* Encrypted records wait for room in TCP's queue. */
	check_tx(TEST_PASS, CLIENT);
	for (i = 0; i < 4; i++) {
		EXPECT_FALSE(try_control(TEST_PASS, CLIENT, 2));
		check_tx(TEST_PASS, CLIENT);
	}
	get_behind(TEST_PASS, CLIENT, two);
	for (i = 0; i < 4; i++) {
		EXPECT_FALSE(try_control(TEST_PASS, CLIENT, 2));
		check_tx(TEST_PASS, CLIENT);
	}
	limit_unsent(TEST_PASS, UINT32_MAX);
	setsockopt(self->fd[CLIENT], SOL_SOCKET, SO_SNDBUF, &opts->sndbuf,
		   sizeof(opts->sndbuf));

	/* Room for a little at a time, and always something that wants it. */
	for (i = 0; i < 60; i++) {
		struct timespec nap = { .tv_nsec = 500000 };
		int more = i % 3 ? 0 : MSG_MORE;

		relay_may_read(self->relay, CLIENT, step);
		nanosleep(&nap, NULL);
		if (retry || i % 5 == 4) {
			bool open = way->open;

			retry = !try_control(TEST_PASS, CLIENT, 2) && open;
		} else {
			size_t len = 100 + i % 100;
			ssize_t n;

			/* Nothing waits: something large. */
			if (!behind_tcp(TEST_PASS, CLIENT))
				len = MAX_RECORD;
			n = send(self->fd[CLIENT], buffer, len,
				 MSG_DONTWAIT | more);
			if (n > 0)
				model_send(way, n, more);
		}
		check_tx(TEST_PASS, CLIENT);
	}

	relay_may_read(self->relay, CLIENT, RELAY_ALL);
	if (retry)
		put_control(TEST_PASS, CLIENT, CONTENT_ALERT, 2);
	put(TEST_PASS, CLIENT, 10, 0);
	check_tx(TEST_PASS, CLIENT);
	while (way->received < model_payload(way)) {
		uint8_t type;
		ssize_t n = recv_record(self->fd[SERVER], &type, buffer,
					sizeof(buffer), 0);

		ASSERT_LT(0, n);
		way->received += n;
	}
	check_all(TEST_PASS);
}

TEST_F(tls, stuck_writer)
{
	stuck_writer(TEST_PASS, &small_buffers, 1500, false);
}

/* A record takes many segments, and more than one record may wait: TCP has room
 * for a little before it says so.
 */
static const struct connect_opts small_segments = {
	.sndbuf = 60000,
	.rcvbuf = 2048,
};

TEST_F(tls, stuck_writer_many_records)
{
	stuck_writer(TEST_PASS, &small_segments, 700, true);
}

struct blocked_send {
	pthread_t thread;
	int fd;
	size_t len;
	ssize_t sent;
};

static void *blocked_send(void *arg)
{
	struct blocked_send *b = arg;

	b->sent = send(b->fd, buffer, b->len, MSG_NOSIGNAL);

	return NULL;
}

/* A task that sleeps in send() is somewhere within a record. */
#define LOOKS	40

static void blocked_writer(TEST_ARGS, const struct connect_opts *opts, int step)
{
	struct blocked_send b = { .len = 250000 };
	struct timespec nap = { .tv_nsec = 1000000 };
	struct ktls_socket socket;
	unsigned int i;

	link_up(TEST_PASS, opts);
	secure(TEST_PASS);
	relay_may_read(self->relay, CLIENT, 0);
	b.fd = self->fd[CLIENT];
	ASSERT_EQ(0, pthread_create(&b.thread, NULL, blocked_send, &b));
	ASSERT_TRUE(wait_stalled(TEST_PASS, CLIENT, true));

	/* What waits is more than the relay will read: while nothing does, the
	 * kernel does not know how far a task got that has room, but does not
	 * run.
	 */
	ASSERT_LT(LOOKS * step, tcp_info(TEST_PASS, CLIENT).tcpi_notsent_bytes);
	for (i = 0; i < LOOKS; i++) {
		struct want want = {};

		nanosleep(&nap, NULL);
		socket = look(TEST_PASS, CLIENT);
		/* Full ones, until the last. */
		want.records = socket.tx.records;
		want.key_records = want.records;
		want.payload = want.records * MAX_RECORD;
		EXPECT_GT(b.len, want.payload);
		check_stream(TEST_PASS, "TX", CLIENT, &socket.tx, &want);
		relay_may_read(self->relay, CLIENT, step);
	}
	relay_may_read(self->relay, CLIENT, RELAY_ALL);
	pthread_join(b.thread, NULL);
	ASSERT_EQ(b.len, b.sent);
	model_send(&self->way[CLIENT], b.len, false);
	check_tx(TEST_PASS, CLIENT);
	take_all(TEST_PASS, SERVER);
	check_all(TEST_PASS);
}

TEST_F(tls, blocked_writer)
{
	const struct connect_opts opts = {
		.sndbuf = 50000,
		.rcvbuf = 16384,
	};

	blocked_writer(TEST_PASS, &opts, 1500);
}

TEST_F(tls, blocked_writer_small_segments)
{
	const struct connect_opts opts = {
		.sndbuf = 40000,
		.rcvbuf = 2048,
	};

	blocked_writer(TEST_PASS, &opts, 700);
}

static void *blocked_control(void *arg)
{
	struct blocked_send *b = arg;

	b->sent = send_record(b->fd, CONTENT_HANDSHAKE, buffer, b->len, 0);

	return NULL;
}

/* A long control message, part of which was sent. */
TEST_F(tls, blocked_control)
{
	struct blocked_send b = { .len = 100000 };
	struct timespec nap = { .tv_nsec = 1000000 };
	struct ktls_socket socket;
	unsigned int i, partial = 0;

	link_up(TEST_PASS, &small_buffers);
	secure(TEST_PASS);
	relay_may_read(self->relay, CLIENT, 0);
	/* The first record is not of it. */
	put(TEST_PASS, CLIENT, 100, MSG_MORE);
	b.fd = self->fd[CLIENT];
	ASSERT_EQ(0, pthread_create(&b.thread, NULL, blocked_control, &b));
	ASSERT_TRUE(wait_stalled(TEST_PASS, CLIENT, true));
	for (i = 0; i < LOOKS; i++) {
		nanosleep(&nap, NULL);
		socket = look(TEST_PASS, CLIENT);
		EXPECT_EQ(socket.tx.records - !!socket.tx.records,
			  socket.tx.control_records);
		partial += socket.tx.control_records < 7;
		relay_may_read(self->relay, CLIENT, 3000);
	}
	EXPECT_NE(0, partial);

	relay_may_read(self->relay, CLIENT, RELAY_ALL);
	pthread_join(b.thread, NULL);
	ASSERT_EQ(b.len, b.sent);
	model_control(&self->way[CLIENT], b.len);
	check_tx(TEST_PASS, CLIENT);
	take(TEST_PASS, SERVER, 100);
	take_control(TEST_PASS, SERVER, CONTENT_HANDSHAKE, b.len);
	check_all(TEST_PASS);
}

/* A receive buffer smaller than a record: the TLS parser copies the record out
 * of TCP's queue as it comes.
 */
TEST_F(tls, small_receive_buffer)
{
	const struct connect_opts opts = { .rcvbuf = 2048 };
	static const size_t cuts[] = { 3, 2, 20, 1000, 5000, 10000 };
	int64_t size = 16384 + variant->overhead, left;
	unsigned int i, round;

	link_up(TEST_PASS, &opts);
	secure(TEST_PASS);
	for (round = 0; round < 3; round++) {
		relay_may_pass(self->relay, CLIENT, 0);
		put(TEST_PASS, CLIENT, 16384, 0);
		put(TEST_PASS, CLIENT, 700, 0);
		left = size;
		for (i = 0; i < ARRAY_SIZE(cuts); i++) {
			struct timespec nap = { .tv_nsec = 1000000 };

			relay_may_pass(self->relay, CLIENT, cuts[i]);
			left -= cuts[i];
			relay_wait_passed(self->relay, CLIENT,
					  (round + 1) * size - left +
					  round * (700 + variant->overhead));
			nanosleep(&nap, NULL);
			check_rx(TEST_PASS, SERVER);
			ASSERT_EQ(-1, recv(self->fd[SERVER], buffer, 1,
					   MSG_DONTWAIT));
			ASSERT_EQ(EAGAIN, errno);
		}
		relay_may_pass(self->relay, CLIENT, left);
		take(TEST_PASS, SERVER, 1);
		check_rx(TEST_PASS, SERVER);
		take(TEST_PASS, SERVER, 16383);
		check_rx(TEST_PASS, SERVER);
		/* A part of the next. */
		relay_may_pass(self->relay, CLIENT, 100);
		relay_wait_acked(self->relay, CLIENT,
				  (round + 1) * size + 100 +
				  round * (700 + variant->overhead));
		check_rx(TEST_PASS, SERVER);
		relay_may_pass(self->relay, CLIENT, RELAY_ALL);
		take_all(TEST_PASS, SERVER);
		check_all(TEST_PASS);
	}
	/* And as fast as it goes. */
	put(TEST_PASS, CLIENT, 100000, 0);
	take_all(TEST_PASS, SERVER);
	check_all(TEST_PASS);
}

TEST_F(tls, corrupt_record)
{
	up(TEST_PASS);
	put(TEST_PASS, SERVER, 50, 0);
	put(TEST_PASS, CLIENT, 1000, 0);
	relay_flip(self->relay, CLIENT,
		   1000 + variant->overhead + 500);
	put(TEST_PASS, CLIENT, 900, 0);
	put(TEST_PASS, CLIENT, 800, 0);
	take(TEST_PASS, SERVER, 1000);
	check_rx(TEST_PASS, SERVER);
	ASSERT_EQ(-1, recv(self->fd[SERVER], buffer, 900, 0));
	ASSERT_EQ(EBADMSG, errno);
	/* It does not count, nor does what is behind it. */
	self->rx_error[SERVER] = EBADMSG;
	check_rx(TEST_PASS, SERVER);
	ASSERT_EQ(-1, recv(self->fd[SERVER], buffer, 900, 0));
	check_rx(TEST_PASS, SERVER);
	check_tx(TEST_PASS, CLIENT);
	/* The other way is not concerned, though it ends there, too. */
	ASSERT_EQ(-1, send(self->fd[SERVER], buffer, 50, MSG_NOSIGNAL));
	take_all(TEST_PASS, CLIENT);
	check_tx(TEST_PASS, SERVER);
	check_rx(TEST_PASS, CLIENT);
}

static void bad_header(TEST_ARGS, const uint8_t *header, int err, bool cut)
{
	static const uint8_t body[64];

	put(TEST_PASS, CLIENT, 1000, 0);
	take_all(TEST_PASS, SERVER);
	check_all(TEST_PASS);

	if (cut) {
		relay_inject(self->relay, CLIENT, header, 3);
		ASSERT_TRUE(relay_wait_acked(self->relay, CLIENT,
					      1003 + variant->overhead));
		check_rx(TEST_PASS, SERVER);
		relay_inject(self->relay, CLIENT, header + 3, 2);
	} else {
		relay_inject(self->relay, CLIENT, header, 5);
	}
	relay_inject(self->relay, CLIENT, body, sizeof(body));
	ASSERT_EQ(-1, recv(self->fd[SERVER], buffer, 1, 0));
	EXPECT_EQ(err, errno);
	self->rx_error[SERVER] = err;
	check_rx(TEST_PASS, SERVER);
}

static const uint8_t bad_version[] = { 23, 5, 5, 0, 64 };
static const uint8_t too_long[] = { 23, 3, 3, 0xff, 0xff };
static const uint8_t too_short[] = { 23, 3, 3, 0, 1 };

TEST_F(tls, bad_version)
{
	up(TEST_PASS);
	bad_header(TEST_PASS, bad_version, EINVAL, false);
}

TEST_F(tls, record_too_long)
{
	up(TEST_PASS);
	bad_header(TEST_PASS, too_long, EMSGSIZE, true);
}

TEST_F(tls, record_too_short)
{
	up(TEST_PASS);
	bad_header(TEST_PASS, too_short, EBADMSG, false);
}

/* While the parser copies the record out of a small buffer. */
TEST_F(tls, bad_header_small_buffer)
{
	const struct connect_opts opts = { .rcvbuf = 2048 };

	link_up(TEST_PASS, &opts);
	secure(TEST_PASS);
	bad_header(TEST_PASS, bad_version, EINVAL, true);
}

TEST_F(tls, reset)
{
	int err;
	socklen_t len = sizeof(err);

	up(TEST_PASS);
	put(TEST_PASS, SERVER, 400, 0);
	take_all(TEST_PASS, CLIENT);
	/* Nobody takes this any more, and TCP has not got rid of it all. */
	relay_may_read(self->relay, CLIENT, 0);
	setsockopt(self->fd[CLIENT], SOL_SOCKET, SO_SNDBUF,
		   &(int){ 1 << 20 }, sizeof(int));
	put(TEST_PASS, CLIENT, 200000, 0);
	check_tx(TEST_PASS, CLIENT);
	relay_reset(self->relay, CLIENT);
	ASSERT_EQ(-1, recv(self->fd[CLIENT], buffer, 1, 0));
	ASSERT_EQ(ECONNRESET, errno);
	check_tx(TEST_PASS, CLIENT);
	check_rx(TEST_PASS, CLIENT);
	ASSERT_EQ(0, getsockopt(self->fd[CLIENT], SOL_SOCKET, SO_ERROR, &err,
				&len));
	check_tx(TEST_PASS, CLIENT);
	shut_same(TEST_PASS, CLIENT);
}

/* A record that TCP refuses to take at all. */
TEST_F(tls, send_after_reset)
{
	struct ktls_stream *last = &self->last[CLIENT].tx;
	uint64_t wire;

	up(TEST_PASS);
	put(TEST_PASS, CLIENT, 600, 0);
	take_all(TEST_PASS, SERVER);
	check_all(TEST_PASS);
	wire = 600 + variant->overhead;
	relay_reset(self->relay, CLIENT);
	ASSERT_EQ(-1, recv(self->fd[CLIENT], buffer, 1, 0));
	ASSERT_EQ(ECONNRESET, errno);
	/* The kernel has encrypted it before TCP says no. */
	ASSERT_EQ(100, send(self->fd[CLIENT], buffer, 100, MSG_NOSIGNAL));
	model_send(&self->way[CLIENT], 100, false);
	self->tx_error[CLIENT] = EPIPE;
	check_tx(TEST_PASS, CLIENT);
	shut(TEST_PASS, CLIENT);
	EXPECT_NE(0, self->last[CLIENT].flags & KTLS_SOCKET_FLAGS_TRUNCATED);
	EXPECT_EQ(2, last->records);
	EXPECT_EQ(wire, last->wire_bytes);
	EXPECT_EQ(wire, relay_seen(self->relay, CLIENT).bytes);
}

TEST_F(tls, reset_after_fin)
{
	up(TEST_PASS);
	relay_may_read(self->relay, CLIENT, 0);
	put(TEST_PASS, CLIENT, 3000, 0);
	ASSERT_EQ(0, shutdown(self->fd[CLIENT], SHUT_WR));
	check_tx(TEST_PASS, CLIENT);
	relay_reset(self->relay, CLIENT);
	ASSERT_EQ(-1, recv(self->fd[CLIENT], buffer, 1, 0));
	/* TCP_CLOSE does not tell that there was a FIN. */
	check_tx(TEST_PASS, CLIENT);
	shut_same(TEST_PASS, CLIENT);
}

TEST_F(tls, fin)
{
	int e;

	up(TEST_PASS);
	for (e = 0; e < 2; e++) {
		put(TEST_PASS, e, 2000, 0);
		take_all(TEST_PASS, !e);
		ASSERT_EQ(0, shutdown(self->fd[e], SHUT_WR));
		check_all(TEST_PASS);
		ASSERT_TRUE(relay_wait_eof_acked(self->relay, e));
		check_all(TEST_PASS);
		ASSERT_EQ(0, recv(self->fd[!e], buffer, 1, 0));
		check_all(TEST_PASS);
		if (e)
			break;
		/* The other half lives on. */
		put(TEST_PASS, !e, 20000, 0);
		take_all(TEST_PASS, e);
		check_all(TEST_PASS);
	}
}

/* FIN sent second, and not acknowledged: LAST_ACK. */
TEST_F(tls, last_ack)
{
	up(TEST_PASS);
	put(TEST_PASS, SERVER, 2000, 0);
	take_all(TEST_PASS, CLIENT);
	ASSERT_EQ(0, shutdown(self->fd[SERVER], SHUT_WR));
	ASSERT_EQ(0, recv(self->fd[CLIENT], buffer, 1, 0));
	relay_may_read(self->relay, CLIENT, 0);
	/* More than the relay has room for, so that the FIN waits. */
	setsockopt(self->fd[CLIENT], SOL_SOCKET, SO_SNDBUF,
		   &(int){ 1 << 20 }, sizeof(int));
	put(TEST_PASS, CLIENT, 200000, 0);
	check_tx(TEST_PASS, CLIENT);
	ASSERT_EQ(0, shutdown(self->fd[CLIENT], SHUT_WR));
	check_tx(TEST_PASS, CLIENT);
	relay_may_read(self->relay, CLIENT, RELAY_ALL);
	take_all(TEST_PASS, SERVER);
	ASSERT_EQ(0, recv(self->fd[SERVER], buffer, 1, 0));
	check_all(TEST_PASS);
}

/* FIN came, data is still to be read. */
TEST_F(tls, fin_before_read)
{
	up(TEST_PASS);
	put(TEST_PASS, CLIENT, 2000, 0);
	put(TEST_PASS, CLIENT, 3000, 0);
	ASSERT_EQ(0, shutdown(self->fd[CLIENT], SHUT_RDWR));
	ASSERT_TRUE(relay_wait_eof_acked(self->relay, CLIENT));
	check_rx_at(TEST_PASS, SERVER, 0);
	take(TEST_PASS, SERVER, 100);
	check_rx(TEST_PASS, SERVER);
	take_all(TEST_PASS, SERVER);
	check_all(TEST_PASS);
	ASSERT_EQ(0, recv(self->fd[SERVER], buffer, 1, 0));
	check_all(TEST_PASS);
	shut_same(TEST_PASS, SERVER);
	check_tx(TEST_PASS, CLIENT);
}

/* FIN in the last segment of data: reading the data takes it, too. */
TEST_F(tls, fin_with_data)
{
	int e;

	up(TEST_PASS);
	for (e = 0; e < 2; e++) {
		relay_glue_fin(self->relay, e);
		relay_may_pass(self->relay, e, 0);
		put(TEST_PASS, e, 2000, 0);
		put(TEST_PASS, e, 3000, 0);
		ASSERT_TRUE(relay_wait_seen(self->relay, e,
					    5000 + 2 * variant->overhead));
		ASSERT_EQ(0, shutdown(self->fd[e], SHUT_WR));
		check_tx(TEST_PASS, e);
		relay_may_pass(self->relay, e, RELAY_ALL);
		ASSERT_TRUE(relay_wait_eof_acked(self->relay, e));
		check_rx_at(TEST_PASS, !e, 0);
		take(TEST_PASS, !e, 2000);
		check_rx(TEST_PASS, !e);
		take_all(TEST_PASS, !e);
		check_rx(TEST_PASS, !e);
		ASSERT_EQ(0, recv(self->fd[!e], buffer, 1, 0));
		check_all(TEST_PASS);
	}
}

/* A FIN in the middle of a record. */
TEST_F(tls, fin_in_record)
{
	struct records passed;

	up(TEST_PASS);
	put(TEST_PASS, CLIENT, 500, 0);
	take_all(TEST_PASS, SERVER);
	relay_may_pass(self->relay, CLIENT, 300);
	put(TEST_PASS, CLIENT, 5000, 0);
	ASSERT_TRUE(relay_wait_acked(self->relay, CLIENT,
				      800 + variant->overhead));
	shutdown(self->relay->way[CLIENT].out, SHUT_WR);
	/* To the reader, that is an end like any other. */
	recv(self->fd[SERVER], buffer, 1, 0);
	check_rx(TEST_PASS, SERVER);
	passed = relay_passed(self->relay, CLIENT);
	EXPECT_EQ(1, passed.records);
	check_tx(TEST_PASS, CLIENT);
}

/* Close while TCP has yet to send: all of it counts, and gets there. */
static void close_with_pending(TEST_ARGS, const struct linger *linger)
{
	struct records seen;

	up(TEST_PASS);
	relay_may_read(self->relay, CLIENT, 0);
	put(TEST_PASS, CLIENT, 50000, 0);
	if (linger)
		ASSERT_EQ(0, setsockopt(self->fd[CLIENT], SOL_SOCKET, SO_LINGER,
					linger, sizeof(*linger)));
	shut_same(TEST_PASS, CLIENT);
	check_tx(TEST_PASS, CLIENT);
	if (linger && !linger->l_linger)
		return;

	relay_may_read(self->relay, CLIENT, RELAY_ALL);
	take_all(TEST_PASS, SERVER);
	check_all(TEST_PASS);
	ASSERT_EQ(0, recv(self->fd[SERVER], buffer, 1, 0));
	seen = relay_seen(self->relay, CLIENT);
	EXPECT_EQ(seen.bytes, self->last[CLIENT].tx.wire_bytes);
	EXPECT_EQ(seen.records, self->last[CLIENT].tx.records);
}

TEST_F(tls, close_with_pending)
{
	close_with_pending(TEST_PASS, NULL);
}

TEST_F(tls, close_lingering)
{
	const struct linger linger = { .l_onoff = 1, .l_linger = 1 };

	close_with_pending(TEST_PASS, &linger);
}

TEST_F(tls, close_with_reset)
{
	const struct linger linger = { .l_onoff = 1 };

	close_with_pending(TEST_PASS, &linger);
}

/* Close with data that nobody read. */
TEST_F(tls, close_unread)
{
	up(TEST_PASS);
	put(TEST_PASS, CLIENT, 5000, 0);
	put(TEST_PASS, CLIENT, 6000, 0);
	ASSERT_TRUE(relay_wait_acked(self->relay, CLIENT,
				      11000 + 2 * variant->overhead));
	take(TEST_PASS, SERVER, 100);
	shut_same(TEST_PASS, SERVER);
	check_rx(TEST_PASS, SERVER);
}

/* Close while a part of the last records waits for room in TCP's queue. */
static void close_stuck(TEST_ARGS, bool room)
{
	struct ktls_stream *last = &self->last[CLIENT].tx;
	struct way *way = &self->way[CLIENT];
	struct records seen;

	link_up(TEST_PASS, &small_segments);
	secure(TEST_PASS);
	get_stuck(TEST_PASS, CLIENT);
	get_behind(TEST_PASS, CLIENT, false);
	if (room)
		limit_unsent(TEST_PASS, UINT32_MAX);
	shut(TEST_PASS, CLIENT);
	limit_unsent(TEST_PASS, UINT32_MAX);

	relay_may_read(self->relay, CLIENT, RELAY_ALL);
	ASSERT_TRUE(relay_wait_eof_seen(self->relay, CLIENT));
	seen = relay_seen(self->relay, CLIENT);
	EXPECT_EQ(seen.bytes, last->wire_bytes);
	EXPECT_EQ(way->records, last->records);
	EXPECT_EQ(model_whole(way, seen.bytes, variant->overhead), seen.records);
	EXPECT_EQ(room, seen.records == last->records);
	EXPECT_EQ(!room, !!(self->last[CLIENT].flags &
			    KTLS_SOCKET_FLAGS_TRUNCATED));

	/* The other end got what was whole. */
	while (recv(self->fd[SERVER], buffer, sizeof(buffer), 0) > 0)
		;
	self->last[SERVER] = look(TEST_PASS, SERVER);
	EXPECT_EQ(seen.records, self->last[SERVER].rx.records);
	EXPECT_EQ(seen.whole, self->last[SERVER].rx.wire_bytes);
}

/* It cuts the record, as TCP takes nothing. */
TEST_F(tls, close_stuck)
{
	close_stuck(TEST_PASS, false);
}

/* It hands over the rest of it. */
TEST_F(tls, close_stuck_with_room)
{
	close_stuck(TEST_PASS, true);
}

/* Sequence numbers of TCP and of the records pass 2^32 on the way. */
TEST_F(tls, wrap)
{
	const struct connect_opts opts = { .wrap = true };
	int e, i;

	self->way[CLIENT].first_seq = 0xfffffffe;
	self->way[SERVER].first_seq = 0xfffffffffffffe;
	link_up(TEST_PASS, &opts);
	secure(TEST_PASS);
	for (e = 0; e < 2; e++) {
		for (i = 0; i < 5; i++) {
			put(TEST_PASS, e, 9000, 0);
			check_tx(TEST_PASS, e);
			take_all(TEST_PASS, !e);
			check_all(TEST_PASS);
		}
	}
	/* The wrap within what is queued. */
	relay_may_read(self->relay, SERVER, 0);
	put(TEST_PASS, SERVER, 20000, 0);
	check_tx(TEST_PASS, SERVER);
	relay_may_read(self->relay, SERVER, RELAY_ALL);
	take_all(TEST_PASS, CLIENT);
	check_all(TEST_PASS);
}

/* The first of more than 2^64 records ends the connection. */
TEST_F(tls, last_record_number)
{
	self->way[CLIENT].first_seq = UINT64_MAX - 1;
	up(TEST_PASS);
	put(TEST_PASS, CLIENT, 10, 0);
	take_all(TEST_PASS, SERVER);
	check_all(TEST_PASS);
}

/* Attach with data in the clear before, around and behind. */
TEST_F(tls, late_key)
{
	link_up(TEST_PASS, NULL);
	relay_skip(self->relay, CLIENT, 3000);
	relay_skip(self->relay, SERVER, 2000);
	/* Read by the receiver, read in part, not read at all. */
	ASSERT_EQ(1000, send(self->fd[CLIENT], buffer, 1000, 0));
	ASSERT_EQ(1000, recv(self->fd[SERVER], buffer, 1000, MSG_WAITALL));
	/* Not sent yet when the key comes. */
	relay_may_read(self->relay, CLIENT, 0);
	ASSERT_EQ(2000, send(self->fd[CLIENT], buffer, 2000, 0));
	ASSERT_EQ(2000, send(self->fd[SERVER], buffer, 2000, 0));
	ASSERT_EQ(2000, recv(self->fd[CLIENT], buffer, 2000, MSG_WAITALL));

	ASSERT_EQ(0, attach_ulp(self->fd[CLIENT]));
	ASSERT_EQ(0, key(TEST_PASS, CLIENT, true));
	put(TEST_PASS, CLIENT, 500, 0);
	put(TEST_PASS, CLIENT, 16384, 0);
	check_tx(TEST_PASS, CLIENT);
	relay_may_read(self->relay, CLIENT, RELAY_ALL);
	ASSERT_EQ(2000, recv(self->fd[SERVER], buffer, 2000, MSG_WAITALL));
	/* Records that came before their key. */
	ASSERT_TRUE(relay_wait_acked(self->relay, CLIENT,
				      16884 + 2 * variant->overhead));
	ASSERT_EQ(0, attach_ulp(self->fd[SERVER]));
	ASSERT_EQ(0, key(TEST_PASS, CLIENT, false));
	check_rx(TEST_PASS, SERVER);
	take_all(TEST_PASS, SERVER);
	check_rx(TEST_PASS, SERVER);

	/* The other way only now. */
	ASSERT_EQ(0, key(TEST_PASS, SERVER, true));
	ASSERT_EQ(0, key(TEST_PASS, SERVER, false));
	put(TEST_PASS, SERVER, 100, 0);
	take_all(TEST_PASS, CLIENT);
	check_all(TEST_PASS);
}

/* A key for a direction that TCP has closed: it stays at nothing. */
TEST_F(tls, key_after_fin)
{
	struct ktls_socket socket;
	int e;

	link_up(TEST_PASS, NULL);
	ASSERT_EQ(0, attach_ulp(self->fd[CLIENT]));
	ASSERT_EQ(0, attach_ulp(self->fd[SERVER]));
	ASSERT_EQ(0, key(TEST_PASS, SERVER, false));
	ASSERT_EQ(0, key(TEST_PASS, CLIENT, false));
	ASSERT_EQ(0, shutdown(self->fd[CLIENT], SHUT_WR));
	ASSERT_EQ(0, shutdown(self->fd[SERVER], SHUT_WR));
	ASSERT_TRUE(relay_wait_eof_acked(self->relay, CLIENT));
	ASSERT_TRUE(relay_wait_eof_acked(self->relay, SERVER));
	ASSERT_EQ(0, recv(self->fd[CLIENT], buffer, 1, 0));
	ASSERT_EQ(0, recv(self->fd[SERVER], buffer, 1, 0));
	for (e = 0; e < 2; e++) {
		socket = look(TEST_PASS, e);
		EXPECT_EQ(KTLS_MODE_NONE, socket.tx.mode);
		EXPECT_EQ(0, socket.rx.wire_bytes);
		ASSERT_EQ(0, key(TEST_PASS, e, true));
	}
	check_all(TEST_PASS);
}

TEST_F(tls, one_direction)
{
	struct ktls_socket socket;

	link_up(TEST_PASS, NULL);
	ASSERT_EQ(0, attach_ulp(self->fd[CLIENT]));
	ASSERT_EQ(0, attach_ulp(self->fd[SERVER]));
	ASSERT_EQ(0, key(TEST_PASS, CLIENT, true));
	ASSERT_EQ(0, key(TEST_PASS, CLIENT, false));
	relay_skip(self->relay, SERVER, 123);
	ASSERT_EQ(123, send(self->fd[SERVER], buffer, 123, 0));
	put(TEST_PASS, CLIENT, 1000, 0);
	take_all(TEST_PASS, SERVER);
	ASSERT_EQ(123, recv(self->fd[CLIENT], buffer, 123, MSG_WAITALL));
	check_tx(TEST_PASS, CLIENT);
	check_rx(TEST_PASS, SERVER);

	socket = look(TEST_PASS, CLIENT);
	EXPECT_EQ(KTLS_MODE_NONE, socket.rx.mode);
	EXPECT_EQ(0, socket.rx.records);
	EXPECT_EQ(0, socket.rx.wire_bytes);
	EXPECT_EQ(0, socket.rx.payload_bytes);
	EXPECT_EQ(0, socket.flags & KTLS_SOCKET_FLAGS_PADDING_UNKNOWN);
	socket = look(TEST_PASS, SERVER);
	EXPECT_EQ(KTLS_MODE_NONE, socket.tx.mode);
	EXPECT_EQ(0, socket.tx.records);
	EXPECT_EQ(0, socket.tx.wire_bytes);
	EXPECT_EQ(variant->version == TLS_1_3_VERSION,
		  !!(socket.flags & KTLS_SOCKET_FLAGS_PADDING_UNKNOWN));
}

TEST_F(tls, flags)
{
	bool tls13 = variant->version == TLS_1_3_VERSION;
	struct ktls_socket socket;
	uint32_t on = 1;

	up(TEST_PASS);
	socket = look(TEST_PASS, CLIENT);
	EXPECT_EQ(tls13 ? KTLS_SOCKET_FLAGS_PADDING_UNKNOWN : 0, socket.flags);
	ASSERT_EQ(0, setsockopt(self->fd[CLIENT], SOL_TLS, TLS_TX_ZEROCOPY_RO,
				&on, sizeof(on)));
	socket = look(TEST_PASS, CLIENT);
	EXPECT_NE(0, socket.flags & KTLS_SOCKET_FLAGS_ZERO_COPY);
	EXPECT_EQ(tls13 ? 0 : -1,
		  setsockopt(self->fd[SERVER], SOL_TLS, TLS_RX_EXPECT_NO_PAD,
			     &on, sizeof(on)));
	socket = look(TEST_PASS, SERVER);
	EXPECT_EQ(tls13, !!(socket.flags & KTLS_SOCKET_FLAGS_NO_PAD));
	EXPECT_EQ(getpid(), socket.pid);
	EXPECT_EQ(variant->family, socket.family);
	/* Neither changes what is counted. */
	put(TEST_PASS, CLIENT, 40000, 0);
	take_all(TEST_PASS, SERVER);
	check_all(TEST_PASS);
}

/* KeyUpdate (RFC 8446, 4.6.3), and new keys on both ends of a way. Kernels
 * before 6.14, and all of them with TLS 1.2, refuse; then nothing changes but
 * that the refusal is on record.
 */
static void rekey(TEST_ARGS, int w)
{
	/* TLS 1.2 has none: a HelloRequest. */
	const uint8_t key_update[5] = {
		[0] = variant->version == TLS_1_3_VERSION ? 24 : 0, [3] = 1,
	};
	struct way *way = &self->way[w];
	uint64_t old_seq = way->first_seq;
	unsigned int records;
	uint8_t type;
	int err;

	ASSERT_EQ(sizeof(key_update),
		  send_record(self->fd[w], CONTENT_HANDSHAKE, key_update,
			      sizeof(key_update), 0));
	model_control(way, sizeof(key_update));
	records = way->records;
	way->rekeys++;
	way->first_seq = way->rekeys * 3;
	err = key(TEST_PASS, w, true);
	if (err == -EBUSY) {
		way->rekeys--;
		way->first_seq = old_seq;
		self->tx_error[w] = EBUSY;
		EXPECT_EQ(-EBUSY, key(TEST_PASS, w, false));
		self->rx_error[!w] = EBUSY;
	} else {
		ASSERT_EQ(0, err);
		way->before_key = records;
	}
	check_tx(TEST_PASS, w);
	/* Before the other end follows, under the new key already. */
	put(TEST_PASS, w, 700, 0);
	check_tx(TEST_PASS, w);
	ASSERT_EQ(sizeof(key_update),
		  recv_record(self->fd[!w], &type, buffer, 100, 0));
	ASSERT_EQ(CONTENT_HANDSHAKE, type);
	way->received += sizeof(key_update);
	if (!err) {
		ASSERT_EQ(-1, recv(self->fd[!w], buffer, 1, 0));
		ASSERT_EQ(EKEYEXPIRED, errno);
		ASSERT_EQ(0, key(TEST_PASS, w, false));
	}
	check_rx(TEST_PASS, !w);
	take_all(TEST_PASS, !w);
	check_all(TEST_PASS);
}

TEST_F(tls, rekey)
{
	int round, w;

	up(TEST_PASS);
	for (round = 0; round < 3; round++) {
		for (w = 0; w < 2; w++) {
			put(TEST_PASS, w, 20000, 0);
			take_all(TEST_PASS, !w);
			rekey(TEST_PASS, w);
			put(TEST_PASS, w, 100, 0);
			put(TEST_PASS, w, 16385, 0);
			take_all(TEST_PASS, !w);
			check_all(TEST_PASS);
		}
	}
	if (self->tx_error[CLIENT] == EBUSY &&
	    variant->version == TLS_1_3_VERSION)
		TH_LOG("this kernel refuses a second key");
}

/* A key of another cipher is no key for this socket, on any kernel. */
TEST_F(tls, rekey_refused)
{
	uint16_t other = variant->cipher == TLS_CIPHER_AES_GCM_128 ?
			 TLS_CIPHER_AES_GCM_256 : TLS_CIPHER_AES_GCM_128;
	int err;

	up(TEST_PASS);
	put(TEST_PASS, CLIENT, 100, 0);
	take_all(TEST_PASS, SERVER);
	err = install_key(self->fd[CLIENT], TLS_TX, variant->version, other, 9,
			  0);
	ASSERT_TRUE(err == -EBUSY || err == -EINVAL);
	self->tx_error[CLIENT] = -err;
	check_all(TEST_PASS);
	put(TEST_PASS, CLIENT, 100, 0);
	take_all(TEST_PASS, SERVER);
	check_all(TEST_PASS);
}

TEST_HARNESS_MAIN
