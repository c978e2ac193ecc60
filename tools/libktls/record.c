// SPDX-License-Identifier: LGPL-2.1-or-later
/* Records of a kTLS socket: keys, content types and alerts. */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/tls.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>

#include "libktls.h"

#ifndef TCP_ULP
#define TCP_ULP 31
#endif
#ifndef SOL_TLS
#define SOL_TLS 282
#endif

#define LEVEL_WARNING 1
#define LEVEL_FATAL 2

int ktls_attach(int fd)
{
	if (setsockopt(fd, IPPROTO_TCP, TCP_ULP, "tls", sizeof("tls")) < 0 &&
	    errno != EEXIST)
		return -errno;
	return 0;
}

int ktls_set_key(int fd, unsigned int direction, const void *crypto_info,
		 size_t len)
{
	int name = direction == KTLS_DIRECTION_TX ? TLS_TX : TLS_RX;

	if (setsockopt(fd, SOL_TLS, name, crypto_info, len) < 0)
		return -errno;
	return 0;
}

ssize_t ktls_receive(int fd, void *buffer, size_t len, uint8_t *type, int flags)
{
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(sizeof(uint8_t))];
	} control;
	struct iovec iov = { buffer, len };
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = &control, .msg_controllen = sizeof(control),
	};
	struct cmsghdr *c;
	ssize_t n;

	do
		n = recvmsg(fd, &msg, flags);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	/* At the end there is no record any more, and no type. */
	*type = n ? KTLS_RECORD_DATA : 0;
	for (c = CMSG_FIRSTHDR(&msg); c; c = CMSG_NXTHDR(&msg, c))
		if (c->cmsg_level == SOL_TLS &&
		    c->cmsg_type == TLS_GET_RECORD_TYPE)
			memcpy(type, CMSG_DATA(c), sizeof(*type));
	return n;
}

int ktls_send_record(int fd, uint8_t type, const void *content, size_t len,
		     int flags)
{
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(sizeof(uint8_t))];
	} control = { .align = {
		.cmsg_level = SOL_TLS, .cmsg_type = TLS_SET_RECORD_TYPE,
		.cmsg_len = CMSG_LEN(sizeof(uint8_t)),
	} };
	struct iovec iov = { (void *)content, len };
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = &control, .msg_controllen = sizeof(control),
	};
	ssize_t n;

	memcpy(CMSG_DATA(&control.align), &type, sizeof(type));
	do
		n = sendmsg(fd, &msg, flags | MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	/* A record is taken as a whole. */
	return (size_t)n == len ? 0 : -EIO;
}

int ktls_send_alert(int fd, uint8_t description, int flags)
{
	uint8_t alert[2] = { LEVEL_FATAL, description };

	if (description == KTLS_ALERT_CLOSE_NOTIFY ||
	    description == KTLS_ALERT_NO_RENEGOTIATION)
		alert[0] = LEVEL_WARNING;
	return ktls_send_record(fd, KTLS_RECORD_ALERT, alert, sizeof(alert),
				flags);
}
