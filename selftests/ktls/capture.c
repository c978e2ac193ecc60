// SPDX-License-Identifier: GPL-2.0
/*
 * Do the counters of a kTLS socket match a capture of the wire?
 *
 *	client <---TCP---> server
 *	            |
 *	         capture
 *
 * What crosses the loopback device is captured by a packet socket, put in the
 * order of its sequence numbers, each byte once, and parsed for TLS records.
 */

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "kselftest_harness.h"

#include <libktls.h>

#include "peers.h"
#include "relay.h"

/* What a way may carry in a test. */
#define MAX_STREAM	(4 * 1024 * 1024)

struct stream {
	uint16_t port;			/* of the sender */
	bool syn_seen;
	uint32_t first;			/* sequence number of byte 0 */
	uint8_t *data;
	uint8_t *have;			/* per byte */
	uint64_t end;
	bool fin;
};

FIXTURE(capture)
{
	struct ktls *ktls;
	int packet;
	int fd[2];
	uint64_t cookie[2];
	struct stream way[2];
	uint64_t sent[2], received[2], control[2];
};

FIXTURE_VARIANT(capture)
{
	int family;
	uint16_t version;
	uint16_t cipher;
	unsigned int overhead;
};

FIXTURE_VARIANT_ADD(capture, 12_aes_gcm_128)
{
	.family = AF_INET,
	.version = TLS_1_2_VERSION,
	.cipher = TLS_CIPHER_AES_GCM_128,
	.overhead = OVERHEAD_12,
};

FIXTURE_VARIANT_ADD(capture, 13_aes_gcm_128)
{
	.family = AF_INET6,
	.version = TLS_1_3_VERSION,
	.cipher = TLS_CIPHER_AES_GCM_128,
	.overhead = OVERHEAD_13,
};

FIXTURE_VARIANT_ADD(capture, 12_aes_gcm_256)
{
	.family = AF_INET6,
	.version = TLS_1_2_VERSION,
	.cipher = TLS_CIPHER_AES_GCM_256,
	.overhead = OVERHEAD_12,
};

FIXTURE_VARIANT_ADD(capture, 13_aes_gcm_256)
{
	.family = AF_INET,
	.version = TLS_1_3_VERSION,
	.cipher = TLS_CIPHER_AES_GCM_256,
	.overhead = OVERHEAD_13,
};

FIXTURE_VARIANT_ADD(capture, 12_chacha20_poly1305)
{
	.family = AF_INET6,
	.version = TLS_1_2_VERSION,
	.cipher = TLS_CIPHER_CHACHA20_POLY1305,
	.overhead = OVERHEAD_12_CHACHA,
};

FIXTURE_VARIANT_ADD(capture, 13_chacha20_poly1305)
{
	.family = AF_INET,
	.version = TLS_1_3_VERSION,
	.cipher = TLS_CIPHER_CHACHA20_POLY1305,
	.overhead = OVERHEAD_13,
};

FIXTURE_VARIANT_ADD(capture, 12_aes_ccm_128)
{
	.family = AF_INET,
	.version = TLS_1_2_VERSION,
	.cipher = TLS_CIPHER_AES_CCM_128,
	.overhead = OVERHEAD_12,
};

FIXTURE_VARIANT_ADD(capture, 13_aes_ccm_128)
{
	.family = AF_INET6,
	.version = TLS_1_3_VERSION,
	.cipher = TLS_CIPHER_AES_CCM_128,
	.overhead = OVERHEAD_13,
};

#define TEST_ARGS							\
	struct __test_metadata *_metadata, FIXTURE_DATA(capture) *self,	\
	const FIXTURE_VARIANT(capture) *variant
#define TEST_PASS	_metadata, self, variant

static uint8_t buffer[256 * 1024];

/* Puts a segment where it belongs. */
static void take_segment(TEST_ARGS, const struct tcphdr *tcp,
			 const uint8_t *data, size_t len)
{
	struct stream *way;
	uint64_t at, i;

	for (way = self->way; way < self->way + 2; way++)
		if (way->port == tcp->source)
			break;
	if (way == self->way + 2)
		return;

	if (tcp->syn) {
		way->first = ntohl(tcp->seq) + 1;
		way->syn_seen = true;
		return;
	}
	ASSERT_TRUE(way->syn_seen);
	/* Streams of a test are far shorter than 2^32. */
	at = (uint32_t)(ntohl(tcp->seq) - way->first);
	ASSERT_LE(at + len, MAX_STREAM);

	way->fin |= tcp->fin;
	for (i = at; i < at + len; i++) {
		if (way->have[i])
			ASSERT_EQ(way->data[i], data[i - at]);
		way->data[i] = data[i - at];
		way->have[i] = 1;
	}
	/* What follows a FIN is empty, and one too far. */
	if (len && at + len > way->end)
		way->end = at + len;
}

static void take_packet(TEST_ARGS, uint16_t protocol, const uint8_t *packet,
			size_t len)
{
	const struct ipv6hdr *v6 = (const void *)packet;
	const struct iphdr *v4 = (const void *)packet;
	const struct tcphdr *tcp;
	size_t ip;

	if (protocol == ETH_P_IP) {
		if (v4->protocol != IPPROTO_TCP)
			return;
		ip = v4->ihl * 4;
		/* No padding on loopback; tot_len is 0 beyond 64 KiB. */
	} else if (protocol == ETH_P_IPV6) {
		if (v6->nexthdr != IPPROTO_TCP)
			return;
		ip = sizeof(*v6);
	} else {
		return;
	}
	ASSERT_LE(ip + sizeof(*tcp), len);
	tcp = (const void *)(packet + ip);
	take_segment(TEST_PASS, tcp, (const uint8_t *)tcp + tcp->doff * 4,
		     len - ip - tcp->doff * 4);
}

/* Everything that was captured so far. */
static void take_packets(TEST_ARGS)
{
	struct sockaddr_ll from;
	socklen_t len;
	ssize_t n;

	for (;;) {
		len = sizeof(from);
		n = recvfrom(self->packet, buffer, sizeof(buffer),
			     MSG_DONTWAIT | MSG_TRUNC, (void *)&from, &len);
		if (n < 0)
			break;
		ASSERT_LE(n, sizeof(buffer));
		/* Loopback shows each packet on its way out and in. */
		if (from.sll_pkttype != PACKET_OUTGOING)
			take_packet(TEST_PASS, ntohs(from.sll_protocol), buffer,
				    n);
	}
	ASSERT_EQ(EAGAIN, errno);
}

static void check_stream(TEST_ARGS, int w, const struct ktls_stream *is)
{
	struct stream *way = &self->way[w];
	struct records records = {};
	uint64_t i;

	for (i = 0; i < way->end; i++)
		ASSERT_EQ(1, way->have[i])
			TH_LOG("byte %llu was not captured",
			       (unsigned long long)i);
	records_feed(&records, way->data, way->end);
	EXPECT_FALSE(records.broken);
	EXPECT_EQ(records.bytes, records.whole);
	EXPECT_EQ(records.records, is->records);
	EXPECT_EQ(records.bytes, is->wire_bytes);
	EXPECT_EQ(records.bytes - records.records * variant->overhead,
		  is->payload_bytes);
	EXPECT_EQ(self->sent[w], is->payload_bytes);
	EXPECT_EQ(self->received[w], is->payload_bytes);
}

static struct ktls_socket look(TEST_ARGS, int e)
{
	const struct ktls_socket *socket = NULL;

	EXPECT_EQ(0, ktls_get_socket(self->ktls, self->cookie[e], &socket));

	return socket ? *socket : (struct ktls_socket){};
}

static void check_all(TEST_ARGS)
{
	struct tpacket_stats stats;
	socklen_t len = sizeof(stats);
	struct ktls_socket socket;
	int e;

	take_packets(TEST_PASS);
	ASSERT_EQ(0, getsockopt(self->packet, SOL_PACKET, PACKET_STATISTICS,
				&stats, &len));
	ASSERT_EQ(0, stats.tp_drops);
	for (e = 0; e < 2; e++) {
		socket = look(TEST_PASS, e);
		EXPECT_EQ(self->control[e], socket.tx.control_records);
		check_stream(TEST_PASS, e, &socket.tx);
		check_stream(TEST_PASS, !e, &socket.rx);
	}
}

static void put(TEST_ARGS, int e, size_t len)
{
	ASSERT_EQ(len, send(self->fd[e], buffer, len, MSG_NOSIGNAL));
	self->sent[e] += len;
}

static void take(TEST_ARGS, int e)
{
	while (self->received[!e] < self->sent[!e]) {
		uint8_t type;
		ssize_t n = recv_record(self->fd[e], &type, buffer,
					sizeof(buffer), 0);

		ASSERT_LT(0, n);
		self->received[!e] += n;
	}
}

static uint16_t local_port(int fd)
{
	struct sockaddr_in6 addr;
	socklen_t len = sizeof(addr);

	if (getsockname(fd, (struct sockaddr *)&addr, &len))
		return 0;
	/* At the same place for both families. */
	return addr.sin6_port;
}

FIXTURE_SETUP(capture)
{
	struct connect_opts opts = { .family = variant->family };
	struct timeval patience = { .tv_sec = 10 };
	int bytes = 64 * 1024 * 1024, e, err;
	struct sockaddr_ll addr = {
		.sll_family = AF_PACKET,
		.sll_protocol = htons(ETH_P_ALL),
	};

	self->fd[0] = -1;
	self->fd[1] = -1;
	ASSERT_EQ(0, new_namespace());
	ASSERT_EQ(0, ktls_open(&self->ktls, -1))
		TH_LOG("%s", ktls_strerror(self->ktls));

	self->packet = socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	ASSERT_LE(0, self->packet);
	ASSERT_EQ(0, setsockopt(self->packet, SOL_SOCKET, SO_RCVBUFFORCE,
				&bytes, sizeof(bytes)));
	addr.sll_ifindex = if_nametoindex("lo");
	ASSERT_EQ(0, bind(self->packet, (void *)&addr, sizeof(addr)));

	ASSERT_EQ(0, connect_pair(&opts, self->fd));
	for (e = 0; e < 2; e++) {
		setsockopt(self->fd[e], SOL_SOCKET, SO_RCVTIMEO, &patience,
			   sizeof(patience));
		self->cookie[e] = socket_cookie(self->fd[e]);
		self->way[e].port = local_port(self->fd[e]);
		self->way[e].data = calloc(2, MAX_STREAM);
		ASSERT_NE(NULL, self->way[e].data);
		self->way[e].have = self->way[e].data + MAX_STREAM;
		ASSERT_EQ(0, attach_ulp(self->fd[e]));
	}
	for (e = 0; e < 2; e++) {
		err = install_key(self->fd[e], TLS_TX, variant->version,
				  variant->cipher, e, 0);
		if (err == -ENOENT || err == -EINVAL)
			SKIP(return, "this kernel has not got the cipher (%s)",
			     strerrorname_np(-err));
		ASSERT_EQ(0, err);
		ASSERT_EQ(0, install_key(self->fd[!e], TLS_RX, variant->version,
					 variant->cipher, e, 0));
	}
}

FIXTURE_TEARDOWN(capture)
{
	close(self->fd[0]);
	close(self->fd[1]);
	close(self->packet);
	ktls_close(self->ktls);
	free(self->way[0].data);
	free(self->way[1].data);
}

TEST_F(capture, both_ways)
{
	static const size_t sizes[] = { 1, 100, 1000, 16384, 16385, 100000 };
	unsigned int i;
	int e;

	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		for (e = 0; e < 2; e++) {
			put(TEST_PASS, e, sizes[i] + e);
			if (i == 2) {
				ASSERT_EQ(2, send_record(self->fd[e],
							 CONTENT_ALERT, buffer,
							 2, 0));
				self->sent[e] += 2;
				self->control[e]++;
			}
			take(TEST_PASS, !e);
		}
	}
	check_all(TEST_PASS);

	/* A FIN is no byte. */
	ASSERT_EQ(0, shutdown(self->fd[0], SHUT_WR));
	ASSERT_EQ(0, recv(self->fd[1], buffer, 1, 0));
	check_all(TEST_PASS);
	EXPECT_TRUE(self->way[0].fin);
	put(TEST_PASS, 1, 5000);
	take(TEST_PASS, 0);
	ASSERT_EQ(0, shutdown(self->fd[1], SHUT_WR));
	ASSERT_EQ(0, recv(self->fd[0], buffer, 1, 0));
	check_all(TEST_PASS);
}

/* Segments that get lost are sent again, and count once. */
TEST_F(capture, retransmission)
{
	unsigned int i;

	if (system("tc qdisc add dev lo root netem loss 5% duplicate 5% 2>/dev/null"))
		SKIP(return, "no netem");

	for (i = 0; i < 40; i++) {
		put(TEST_PASS, i & 1, 30000 + i);
		take(TEST_PASS, !(i & 1));
	}
	system("tc qdisc del dev lo root");
	/* The last acknowledgement may have been lost: one more round. */
	put(TEST_PASS, 0, 10);
	take(TEST_PASS, 1);
	put(TEST_PASS, 1, 10);
	take(TEST_PASS, 0);
	check_all(TEST_PASS);
}

TEST_HARNESS_MAIN
