// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * To end connections that are not ours: SOCK_DESTROY, as ss -K does.
 *
 * The kernel looks for a connection by its ends and the device it is bound to,
 * which the table of kTLS sockets does not have, and compares the cookie then.
 * So sock_diag is asked for all connections first, and those with one of the
 * cookies are ended, with what it said of them.
 */
#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "ktlsctl.h"

struct diag {
	int fd;
	uint32_t seq;
	const struct sockets *sockets;
	struct target {
		uint8_t family;
		struct inet_diag_sockid id;
	} *targets;
	size_t count;
	_Alignas(8) char buffer[64 * 1024];
};

struct diag_request {
	struct nlmsghdr nlh;
	struct inet_diag_req_v2 req;
};

static uint64_t cookie_of(const struct inet_diag_sockid *id)
{
	return (uint64_t)id->idiag_cookie[1] << 32 | id->idiag_cookie[0];
}

static bool keep_target(struct diag *d, const struct nlmsghdr *nlh)
{
	const struct inet_diag_msg *m = NLMSG_DATA(nlh);

	if (nlh->nlmsg_len < NLMSG_LENGTH(sizeof(*m)) ||
	    !find_socket(d->sockets, cookie_of(&m->id)) ||
	    d->count == d->sockets->count)
		return false;
	d->targets[d->count].family = m->idiag_family;
	d->targets[d->count++].id = m->id;
	return true;
}

/* Sends a request and reads the answer; 0 or a negative errno. */
static int ask(struct diag *d, struct diag_request *r)
{
	const struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };
	const struct nlmsghdr *nlh;
	const struct nlmsgerr *e;
	size_t left;
	ssize_t n;

	r->nlh.nlmsg_len = sizeof(*r);
	r->nlh.nlmsg_seq = ++d->seq;
	do {
		n = sendto(d->fd, r, sizeof(*r), 0,
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
			keep_target(d, nlh);
		}
	}
}

static int find_targets(struct diag *d, uint8_t family)
{
	struct diag_request r = {
		.nlh = { .nlmsg_type = SOCK_DIAG_BY_FAMILY,
			 .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP },
		.req = { .sdiag_family = family,
			 .sdiag_protocol = IPPROTO_TCP,
			 .idiag_states = ~0u },
	};

	return ask(d, &r);
}

static int destroy(struct diag *d, const struct target *t)
{
	struct diag_request r = {
		.nlh = { .nlmsg_type = SOCK_DESTROY,
			 .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK },
		.req = { .sdiag_family = t->family,
			 .sdiag_protocol = IPPROTO_TCP,
			 .idiag_states = ~0u,
			 .id = t->id },
	};

	return ask(d, &r);
}

static enum status explain(const char *what, int err)
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

static enum status end_targets(struct diag *d, struct destroyed *result)
{
	uint64_t told = monotonic_ns();
	int err, first = 0;
	size_t i;

	for (i = 0; i < d->count; i++) {
		err = destroy(d, &d->targets[i]);
		if (!err) {
			result->ended++;
		} else if (err == -ENOENT || err == -ESTALE) {
			result->gone++;
		} else {
			result->failed++;
			first = first ?: err;
		}
		if (monotonic_ns() - told > 1000000000) {
			note("%zu of %zu sockets done", i + 1, d->count);
			told = monotonic_ns();
		}
	}
	return first ? explain("end a socket", first) : STATUS_OK;
}

enum status destroy_sockets(const struct sockets *sockets,
			    struct destroyed *result)
{
	enum status status;
	struct diag *d;
	int err;

	*result = (struct destroyed){ 0 };
	if (!sockets->count)
		return STATUS_OK;
	status = enter_netns();
	if (status)
		return status;
	d = calloc(1, sizeof(*d));
	if (!d)
		return error(STATUS_FAILED, "out of memory");
	d->sockets = sockets;
	d->targets = calloc(sockets->count, sizeof(*d->targets));
	d->fd = sock_diag_connect();
	err = !d->targets ? -ENOMEM : d->fd < 0 ? d->fd : 0;
	if (!err)
		err = find_targets(d, AF_INET);
	if (!err)
		err = find_targets(d, AF_INET6);
	if (err) {
		status = explain("list the connections", err);
	} else {
		result->gone = sockets->count - d->count;
		status = end_targets(d, result);
	}
	if (d->fd >= 0)
		close(d->fd);
	free(d->targets);
	free(d);
	return status;
}
