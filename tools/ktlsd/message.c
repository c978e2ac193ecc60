// SPDX-License-Identifier: GPL-2.0-or-later
/* Messages between the processes of ktlsd. */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "ktlsd.h"
#include "message.h"

/* Before the body, which it leaves aligned. */
struct header {
	uint32_t type;
	uint32_t len;
};

/* What the fixed part of a body takes. */
static const size_t at_least[] = {
	[MESSAGE_WORKER] = sizeof(struct message_worker),
	[MESSAGE_KEYS] = 0,
	[MESSAGE_BROKER] = 0,
	[MESSAGE_TICKET_KEYS] = sizeof(struct message_ticket_keys),
	[MESSAGE_DRAIN] = 0,
	[MESSAGE_CONNECTIONS] = 0,
	[MESSAGE_IDENTITY] = sizeof(struct message_identity),
	[MESSAGE_SIGN] = sizeof(struct message_sign),
	[MESSAGE_SIGNATURE] = sizeof(struct message_signature),
	[MESSAGE_CONNECT] = offsetof(struct message_wish, path),
	[MESSAGE_OPEN] = offsetof(struct message_wish, path),
	[MESSAGE_GRANT] = sizeof(struct message_grant),
	[MESSAGE_READY] = 0,
	[MESSAGE_IDENTITY_STATE] = sizeof(struct message_identity_state),
	[MESSAGE_ALIVE] = 0,
	[MESSAGE_PROOF] = sizeof(struct message_proof),
};

int message_pair(int ends[2])
{
	/* The longest message, and what the kernel keeps with it. */
	int size = 2 * MESSAGE_MAX, i;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends))
		return -errno;
	for (i = 0; i < 2; i++)
		setsockopt(ends[i], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	return 0;
}

int message_send(int fd, uint32_t type, const void *body, size_t len,
		 const int *fds, size_t fds_count)
{
	union {
		char bytes[CMSG_SPACE(MESSAGE_FDS * sizeof(int))];
		struct cmsghdr align;
	} control;
	struct header header = { .type = type, .len = len };
	struct iovec iov[] = {
		{ .iov_base = &header, .iov_len = sizeof(header) },
		{ .iov_base = (void *)body, .iov_len = len },
	};
	struct msghdr msg = { .msg_iov = iov, .msg_iovlen = len ? 2 : 1 };
	struct cmsghdr *c;

	if (len > MESSAGE_MAX || fds_count > MESSAGE_FDS)
		return -EMSGSIZE;
	if (fds_count) {
		memset(&control, 0, sizeof(control));
		msg.msg_control = &control;
		msg.msg_controllen = CMSG_SPACE(fds_count * sizeof(int));
		c = CMSG_FIRSTHDR(&msg);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(fds_count * sizeof(int));
		memcpy(CMSG_DATA(c), fds, fds_count * sizeof(int));
	}
	while (sendmsg(fd, &msg, MSG_NOSIGNAL) < 0) {
		switch (errno) {
		case EINTR:
			continue;
		case EWOULDBLOCK:
			return -EAGAIN;
		case ECONNRESET:
		case ECONNREFUSED:
		case ENOTCONN:
			return -EPIPE;
		default:
			return -errno;
		}
	}
	return 0;
}

static void take_fds(struct message *m, struct msghdr *msg)
{
	struct cmsghdr *c;
	size_t i, n;
	int fd;

	for (c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (i = 0; i < n; i++) {
			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
			if (m->fds_count < MESSAGE_FDS)
				m->fds[m->fds_count++] = fd;
			else
				close(fd);
		}
	}
}

int message_receive(int fd, struct message *m)
{
	static _Alignas(8) unsigned char buffer[MESSAGE_MAX];
	union {
		char bytes[CMSG_SPACE(MESSAGE_FDS * sizeof(int))];
		struct cmsghdr align;
	} control;
	struct header header;
	struct iovec iov[] = {
		{ .iov_base = &header, .iov_len = sizeof(header) },
		{ .iov_base = buffer, .iov_len = sizeof(buffer) },
	};
	struct msghdr msg = {
		.msg_iov = iov,
		.msg_iovlen = 2,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};
	ssize_t n;
	size_t i;

	m->type = 0;
	m->len = 0;
	m->fds_count = 0;
	m->body = buffer;
	for (i = 0; i < MESSAGE_FDS; i++)
		m->fds[i] = -1;
	do {
		n = recvmsg(fd, &msg, MSG_CMSG_CLOEXEC);
	} while (n < 0 && errno == EINTR);
	if (n < 0) {
		/* It left without having read all. */
		if (errno == ECONNRESET)
			return 0;
		return errno == EWOULDBLOCK ? -EAGAIN : -errno;
	}
	/* No message is shorter than its header. */
	if (!n)
		return 0;
	take_fds(m, &msg);
	m->len = n - sizeof(header);
	if ((msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) ||
	    (size_t)n < sizeof(header) || header.len != m->len ||
	    !header.type || header.type >= ARRAY_SIZE(at_least) ||
	    m->len < at_least[header.type]) {
		message_close_fds(m);
		return -EBADMSG;
	}
	m->type = header.type;
	return 1;
}

void message_close_fds(struct message *m)
{
	size_t i;

	for (i = 0; i < MESSAGE_FDS; i++) {
		if (m->fds[i] >= 0)
			close(m->fds[i]);
		m->fds[i] = -1;
	}
	m->fds_count = 0;
}
