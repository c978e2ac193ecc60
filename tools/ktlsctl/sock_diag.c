// SPDX-License-Identifier: GPL-2.0-or-later
/* Requests to sock_diag, and their answers. */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "sock_diag.h"

struct request {
	struct nlmsghdr nlh;
	struct inet_diag_req_v2 req;
};

uint64_t diag_cookie(const struct inet_diag_sockid *id)
{
	return (uint64_t)id->idiag_cookie[1] << 32 | id->idiag_cookie[0];
}

int diag_ask(struct diag *d, uint16_t type, uint16_t flags,
	     const struct inet_diag_req_v2 *req,
	     void (*fn)(const struct inet_diag_msg *m, size_t len, void *arg),
	     void *arg)
{
	const struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };
	struct request r = {
		.nlh = { .nlmsg_len = sizeof(r), .nlmsg_type = type,
			 .nlmsg_flags = NLM_F_REQUEST | flags,
			 .nlmsg_seq = ++d->seq },
		.req = *req,
	};
	const struct nlmsghdr *nlh;
	const struct nlmsgerr *e;
	size_t left;
	ssize_t n;

	do {
		n = sendto(d->fd, &r, sizeof(r), 0,
			   (const struct sockaddr *)&kernel, sizeof(kernel));
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	for (;;) {
		n = recv(d->fd, d->buffer, sizeof(d->buffer), 0);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n ? -errno : -EIO;
		left = n;
		nlh = (const struct nlmsghdr *)d->buffer;
		for (; NLMSG_OK(nlh, left); nlh = NLMSG_NEXT(nlh, left)) {
			if (nlh->nlmsg_seq != d->seq)
				continue;
			if (nlh->nlmsg_type == NLMSG_DONE)
				return 0;
			e = NLMSG_DATA(nlh);
			if (nlh->nlmsg_type == NLMSG_ERROR)
				return nlh->nlmsg_len <
				       NLMSG_LENGTH(sizeof(*e)) ? -EBADMSG :
				       e->error;
			if (fn && nlh->nlmsg_len >=
			    NLMSG_LENGTH(sizeof(struct inet_diag_msg)))
				fn(NLMSG_DATA(nlh), nlh->nlmsg_len - NLMSG_HDRLEN,
				   arg);
		}
	}
}

enum status diag_explain(const char *what, int err)
{
	switch (err) {
	case -EPERM:
	case -EACCES:
		return error(STATUS_FAILED,
			     "could not %s: this takes CAP_NET_ADMIN; run it as root",
			     what);
	case -EOPNOTSUPP:
		return error(STATUS_FAILED,
			     "could not %s: this kernel is built without CONFIG_INET_DIAG_DESTROY; end the processes instead",
			     what);
	case -ENOENT:
		return error(STATUS_FAILED,
			     "could not %s: tcp_diag.ko is not to be had; type: modprobe tcp_diag",
			     what);
	}
	return error(STATUS_FAILED, "could not %s: %s (%s)", what,
		     strerror(-err), strerrorname_np(-err) ?: "?");
}
