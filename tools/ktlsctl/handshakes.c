// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * TLS handshakes on the wire.  That nobody asked for kernel TLS leaves no trace
 * in the kernel; what a server has chosen is to be read by all, in the first
 * packet that it sends.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <openssl/obj_mac.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "observe.h"

/* Enough of a packet to hold a ServerHello. */
#define SNAP 2048
#define NEGOTIATED_MAX 64

/*
 * TCP over IPv4 or IPv6 (without further headers), whose payload begins with a
 * record of type handshake (22) that begins with a ServerHello (2).
 */
static const struct sock_filter program[] = {
	BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 0),
	BPF_STMT(BPF_ALU | BPF_AND | BPF_K, 0xf0),
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0x40, 0, 6),
	/* IPv4: X is the length of the header; no fragment but the first. */
	BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 9),
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, IPPROTO_TCP, 0, 20),
	BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 6),
	BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, 0x1fff, 18, 0),
	BPF_STMT(BPF_LDX | BPF_B | BPF_MSH, 0),
	BPF_STMT(BPF_JMP | BPF_JA, 4),
	/* IPv6 */
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0x60, 0, 15),
	BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 6),
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, IPPROTO_TCP, 0, 13),
	BPF_STMT(BPF_LDX | BPF_IMM, 40),
	/* TCP: X moves behind its header. */
	BPF_STMT(BPF_LD | BPF_B | BPF_IND, 12),
	BPF_STMT(BPF_ALU | BPF_AND | BPF_K, 0xf0),
	BPF_STMT(BPF_ALU | BPF_RSH | BPF_K, 2),
	BPF_STMT(BPF_ALU | BPF_ADD | BPF_X, 0),
	BPF_STMT(BPF_MISC | BPF_TAX, 0),
	BPF_STMT(BPF_LD | BPF_B | BPF_IND, 0),
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 22, 0, 5),
	BPF_STMT(BPF_LD | BPF_B | BPF_IND, 1),
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 3, 0, 3),
	BPF_STMT(BPF_LD | BPF_B | BPF_IND, 5),
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 2, 0, 1),
	BPF_STMT(BPF_RET | BPF_K, SNAP),
	BPF_STMT(BPF_RET | BPF_K, 0),
};

static int listen_to_all(void *arg)
{
	const struct sock_fprog filter = {
		.len = ARRAY_SIZE(program),
		.filter = (struct sock_filter *)program,
	};
	struct sockaddr_ll addr = {
		.sll_family = AF_PACKET,
		.sll_protocol = htons(ETH_P_ALL),
	};
	const int room = 4 << 20;
	int *fd = arg, err;

	/* Of no protocol yet, so that nothing comes before the filter. */
	*fd = socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (*fd < 0)
		return -errno;
	setsockopt(*fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room));
	if (setsockopt(*fd, SOL_SOCKET, SO_ATTACH_FILTER, &filter,
		       sizeof(filter)) ||
	    bind(*fd, (struct sockaddr *)&addr, sizeof(addr))) {
		err = -errno;
		close(*fd);
		return err;
	}
	return 0;
}

void begin_handshakes(struct handshakes *h, const struct space *space)
{
	int err, fd = -1;

	if (opt.netns)
		err = in_netns(space->fd, listen_to_all, &fd);
	else
		err = listen_to_all(&fd);
	h->fd = err ?: fd;
}

void read_handshakes(struct handshakes *h)
{
	struct sockaddr_ll from;
	uint8_t packet[SNAP];
	socklen_t len;
	ssize_t n;

	while (h->fd >= 0) {
		len = sizeof(from);
		n = recvfrom(h->fd, packet, sizeof(packet), MSG_DONTWAIT,
			     (struct sockaddr *)&from, &len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return;
		read_server_hello(h, packet, n);
	}
}

void end_handshakes(struct handshakes *h)
{
	struct tpacket_stats stats = { 0 };
	socklen_t len = sizeof(stats);

	read_handshakes(h);
	if (h->fd < 0)
		return;
	if (!getsockopt(h->fd, SOL_PACKET, PACKET_STATISTICS, &stats, &len))
		h->dropped = stats.tp_drops;
	close(h->fd);
}

/* What was read */

/* All that is read from the wire is read by these. */
struct reader {
	const uint8_t *at;
	size_t left;
	bool bad;
};

static const uint8_t *take(struct reader *r, size_t n)
{
	const uint8_t *at = r->at;

	if (r->bad || n > r->left) {
		r->bad = true;
		return NULL;
	}
	r->at += n;
	r->left -= n;
	return at;
}

static unsigned int take_number(struct reader *r, size_t n)
{
	const uint8_t *at = take(r, n);
	unsigned int value = 0;

	while (at && n--)
		value = value << 8 | *at++;
	return value;
}

static bool begin_payload(struct reader *r)
{
	const uint8_t *ip = r->at;
	size_t len;

	if (r->left < 40)
		return false;
	if (ip[0] >> 4 == 4) {
		/* Behind it, what a short packet is filled up with. */
		len = ip[2] << 8 | ip[3];
		if (len && len < r->left)
			r->left = len;
		take(r, (ip[0] & 0xf) * 4);
	} else {
		take(r, 40);
	}
	if (r->bad || r->left < 20)
		return false;
	take(r, (r->at[12] >> 4) * 4);
	return !r->bad;
}

/* Packets come twice where they pass two devices, or were lost: soon. */
static bool is_new(struct handshakes *h, const uint8_t random[32])
{
	uint64_t id;
	size_t i;

	memcpy(&id, random + 8, sizeof(id));
	for (i = 0; i < ARRAY_SIZE(h->seen); i++)
		if (h->seen[i] == id)
			return false;
	h->seen[h->next++ % ARRAY_SIZE(h->seen)] = id;
	return true;
}

static bool is_eligible(uint16_t version, const SSL_CIPHER *cipher)
{
	if (!cipher || (version != TLS1_2_VERSION && version != TLS1_3_VERSION))
		return false;
	switch (SSL_CIPHER_get_cipher_nid(cipher)) {
	case NID_aes_128_gcm:
	case NID_aes_256_gcm:
	case NID_chacha20_poly1305:
		return true;
	case NID_aes_128_ccm:
		/* The kernel's tags have 16 bytes. */
		return !strstr(SSL_CIPHER_get_name(cipher), "CCM8") &&
		       !strstr(SSL_CIPHER_get_name(cipher), "CCM_8");
	}
	return false;
}

static void describe(struct negotiated *n)
{
	const uint8_t id[] = { n->cipher >> 8, n->cipher & 0xff };
	SSL_CTX *ctx = SSL_CTX_new(TLS_method());
	SSL *ssl = ctx ? SSL_new(ctx) : NULL;
	const SSL_CIPHER *cipher = ssl ? SSL_CIPHER_find(ssl, id) : NULL;

	n->eligible = is_eligible(n->version, cipher);
	if (cipher)
		snprintf(n->name, sizeof(n->name), "%s",
			 SSL_CIPHER_get_name(cipher));
	SSL_free(ssl);
	SSL_CTX_free(ctx);
}

static void count(struct handshakes *h, uint16_t version, uint16_t cipher)
{
	struct negotiated *n;
	size_t i;

	for (i = 0; i < h->count; i++) {
		n = &h->list[i];
		if (n->version == version && n->cipher == cipher) {
			n->handshakes++;
			return;
		}
	}
	if (h->count == NEGOTIATED_MAX)
		return;
	n = reallocarray(h->list, h->count + 1, sizeof(*n));
	if (!n)
		return;
	h->list = n;
	n += h->count++;
	*n = (struct negotiated){
		.version = version, .cipher = cipher, .handshakes = 1,
	};
	describe(n);
}

void read_server_hello(struct handshakes *h, const uint8_t *packet, size_t len)
{
	/* A server that wants another ClientHello says so in this place. */
	static const uint8_t retry[] = {
		0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11,
	};
	struct reader r = { .at = packet, .left = len };
	unsigned int version, cipher, type, size;
	const uint8_t *random;

	if (!begin_payload(&r) || take_number(&r, 1) != 22 ||
	    take_number(&r, 1) != 3)
		return;
	take(&r, 1 + 2);		/* version and length of the record */
	if (take_number(&r, 1) != 2)
		return;
	take(&r, 3);			/* length of the message */
	version = take_number(&r, 2);
	random = take(&r, 32);
	take(&r, take_number(&r, 1));	/* session id */
	cipher = take_number(&r, 2);
	take(&r, 1);			/* compression */
	if (r.bad || !memcmp(random, retry, sizeof(retry)))
		return;
	/* Of TLS 1.3 the version is in an extension. */
	take_number(&r, 2);
	while (!r.bad && r.left >= 4) {
		type = take_number(&r, 2);
		size = take_number(&r, 2);
		if (type == TLSEXT_TYPE_supported_versions && size == 2 &&
		    r.left >= 2)
			version = r.at[0] << 8 | r.at[1];
		take(&r, size);
	}
	if (is_new(h, random))
		count(h, version, cipher);
}
