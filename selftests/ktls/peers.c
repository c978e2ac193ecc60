// SPDX-License-Identifier: GPL-2.0
/* Two ends of a TCP connection, and keys for them. */

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/tcp.h>

#include "peers.h"

/* <netinet/tcp.h> has these, but cannot be had together with <linux/tcp.h>. */
#define TCPOPT_MAXSEG	2
#define TCPOPT_WINDOW	3

int attach_ulp(int fd)
{
	return setsockopt(fd, IPPROTO_TCP, TCP_ULP, "tls", sizeof("tls")) ?
	       -errno : 0;
}

int install_key(int fd, int optname, uint16_t version, uint16_t cipher,
		unsigned int number, uint64_t rec_seq)
{
	union {
		struct tls_crypto_info info;
		struct tls12_crypto_info_aes_gcm_128 gcm128;
		struct tls12_crypto_info_aes_gcm_256 gcm256;
		struct tls12_crypto_info_aes_ccm_128 ccm128;
		struct tls12_crypto_info_chacha20_poly1305 chacha20;
	} key;
	uint8_t *seq;
	socklen_t len;
	int i;

	memset(&key, 0x40 + number, sizeof(key));
	key.info.version = version;
	key.info.cipher_type = cipher;

	switch (cipher) {
	case TLS_CIPHER_AES_GCM_128:
		seq = key.gcm128.rec_seq;
		len = sizeof(key.gcm128);
		break;
	case TLS_CIPHER_AES_GCM_256:
		seq = key.gcm256.rec_seq;
		len = sizeof(key.gcm256);
		break;
	case TLS_CIPHER_AES_CCM_128:
		seq = key.ccm128.rec_seq;
		len = sizeof(key.ccm128);
		break;
	case TLS_CIPHER_CHACHA20_POLY1305:
		seq = key.chacha20.rec_seq;
		len = sizeof(key.chacha20);
		break;
	default:
		return -EINVAL;
	}
	for (i = 7; i >= 0; i--, rec_seq >>= 8)
		seq[i] = rec_seq;

	return setsockopt(fd, SOL_TLS, optname, &key, len) ? -errno : 0;
}

ssize_t send_record(int fd, uint8_t type, const void *data, size_t len,
		    int flags)
{
	union {
		char buf[CMSG_SPACE(1)];
		struct cmsghdr align;
	} control = {};
	struct iovec iov = { .iov_base = (void *)data, .iov_len = len };
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control.buf),
	};
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);

	cmsg->cmsg_level = SOL_TLS;
	cmsg->cmsg_type = TLS_SET_RECORD_TYPE;
	cmsg->cmsg_len = CMSG_LEN(1);
	*CMSG_DATA(cmsg) = type;

	return sendmsg(fd, &msg, flags | MSG_NOSIGNAL);
}

ssize_t recv_record(int fd, uint8_t *type, void *data, size_t len, int flags)
{
	union {
		char buf[CMSG_SPACE(1)];
		struct cmsghdr align;
	} control;
	struct iovec iov = { .iov_base = data, .iov_len = len };
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control.buf),
	};
	struct cmsghdr *cmsg;
	ssize_t n;

	*type = 0;
	n = recvmsg(fd, &msg, flags);
	if (n >= 0) {
		cmsg = CMSG_FIRSTHDR(&msg);
		if (cmsg && cmsg->cmsg_level == SOL_TLS &&
		    cmsg->cmsg_type == TLS_GET_RECORD_TYPE)
			*type = *CMSG_DATA(cmsg);
	}

	return n;
}

uint64_t socket_cookie(int fd)
{
	uint64_t cookie = 0;
	socklen_t len = sizeof(cookie);

	getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &len);
	return cookie;
}

int new_namespace(void)
{
	struct ifreq ifr = { .ifr_name = "lo", .ifr_flags = IFF_UP };
	int fd, err = 0;

	if (unshare(CLONE_NEWNET))
		return -errno;
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (ioctl(fd, SIOCSIFFLAGS, &ifr))
		err = -errno;
	close(fd);

	return err;
}

union address {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
};

static void loopback(union address *addr, int family)
{
	memset(addr, 0, sizeof(*addr));
	addr->any.sa_family = family;
	if (family == AF_INET6)
		addr->v6.sin6_addr = in6addr_loopback;
	else
		addr->v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
}

static int new_socket(const struct connect_opts *opts)
{
	int fd, one = 1;

	fd = socket(opts->family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (opts->sndbuf)
		setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &opts->sndbuf,
			   sizeof(int));
	if (opts->rcvbuf)
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &opts->rcvbuf,
			   sizeof(int));
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));

	return fd;
}

static int bind_loopback(int fd, int family, union address *addr)
{
	socklen_t len = sizeof(*addr);

	loopback(addr, family);
	if (bind(fd, &addr->any, len) || getsockname(fd, &addr->any, &len))
		return -errno;

	return 0;
}

static int set_queue(int fd, int queue, uint32_t seq)
{
	return setsockopt(fd, IPPROTO_TCP, TCP_REPAIR_QUEUE, &queue,
			  sizeof(queue)) ||
	       setsockopt(fd, IPPROTO_TCP, TCP_QUEUE_SEQ, &seq, sizeof(seq));
}

/* Both ends by TCP_REPAIR, which lets us choose the sequence numbers. */
static int repair_pair(const struct connect_opts *opts, int ends[2])
{
	/* What either end sends first: a few records before the wrap. */
	const uint32_t seq[2] = { -1500U, -33000U };
	union address addr[2];
	int i, err, mode;

	for (i = 0; i < 2; i++) {
		ends[i] = new_socket(opts);
		if (ends[i] < 0)
			return ends[i];
		mode = TCP_REPAIR_ON;
		if (setsockopt(ends[i], IPPROTO_TCP, TCP_REPAIR, &mode,
			       sizeof(mode)))
			return -errno;
		err = bind_loopback(ends[i], opts->family, &addr[i]);
		if (err)
			return err;
		if (set_queue(ends[i], TCP_SEND_QUEUE, seq[i]) ||
		    set_queue(ends[i], TCP_RECV_QUEUE, seq[!i]))
			return -errno;
	}
	for (i = 0; i < 2; i++) {
		struct tcp_repair_opt options[] = {
			{ .opt_code = TCPOPT_MAXSEG, .opt_val = 32768 },
			{ .opt_code = TCPOPT_WINDOW, .opt_val = 7 | 7 << 16 },
		};
		struct tcp_repair_window window = {
			.snd_wl1 = seq[!i],
			.snd_wnd = 60000,
			.max_window = 60000,
			.rcv_wnd = 60000,
			.rcv_wup = seq[!i],
		};

		if (connect(ends[i], &addr[!i].any, sizeof(addr[!i])) ||
		    setsockopt(ends[i], IPPROTO_TCP, TCP_REPAIR_OPTIONS,
			       options, sizeof(options)) ||
		    setsockopt(ends[i], IPPROTO_TCP, TCP_REPAIR_WINDOW,
			       &window, sizeof(window)))
			return -errno;
	}
	for (i = 0; i < 2; i++) {
		mode = TCP_REPAIR_OFF_NO_WP;
		if (setsockopt(ends[i], IPPROTO_TCP, TCP_REPAIR, &mode,
			       sizeof(mode)))
			return -errno;
	}

	return 0;
}

int connect_pair(const struct connect_opts *opts, int ends[2])
{
	socklen_t len = sizeof(union address);
	union address addr;
	int listener, err, one = 1;

	if (opts->wrap)
		return repair_pair(opts, ends);

	listener = new_socket(opts);
	if (listener < 0)
		return listener;
	err = bind_loopback(listener, opts->family, &addr);
	if (err)
		return err;
	ends[0] = new_socket(opts);
	if (ends[0] < 0)
		return ends[0];
	if (listen(listener, 1) || connect(ends[0], &addr.any, len))
		return -errno;
	ends[1] = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	if (ends[1] < 0)
		return -errno;
	setsockopt(ends[1], IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	close(listener);

	return 0;
}
