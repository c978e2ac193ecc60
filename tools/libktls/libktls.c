// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The handle: requests, dumps and events.
 *
 * Messages are built with libnl.  They are read here: libnl copies each
 * message it reads into one of its own, which for a dump of all sockets costs
 * more than everything else together.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/genetlink.h>
#include <netlink/attr.h>
#include <netlink/genl/genl.h>
#include <netlink/msg.h>

#include "internal.h"

/* The kernel fills up to 32 KiB of a dump at once if it is offered as much. */
#define BUFFER_SIZE (64 * 1024)
/* Events are about 400 bytes each, and come in bursts. */
#define EVENT_BUFFER (4 * 1024 * 1024)

struct ktls {
	int fd;			/* requests and dumps */
	int event_fd;		/* -1 until ktls_subscribe() */
	int netns;		/* -1: that of the caller */
	uint16_t family;	/* 0 until resolved */
	uint32_t group;
	uint32_t seq;
	bool busy;		/* within a callback */
	struct ktls_socket socket;
	struct ktls_module module;
	char error[640];
	/* What the kernel said about the latest failure. */
	char extack[256];
	_Alignas(8) unsigned char buffer[BUFFER_SIZE];
};

/* Takes what follows a message's header; non-zero ends the request. */
typedef int reply_fn(struct ktls *k, const struct nlmsghdr *nlh, void *arg);

__attribute__((format(printf, 3, 4)))
static int fail(struct ktls *k, int err, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	vsnprintf(k->error, sizeof(k->error), format, ap);
	va_end(ap);
	return err;
}

/* What every request can run into; @what fits "could not ...". */
static int fail_request(struct ktls *k, int err, const char *what)
{
	const char *name = strerrorname_np(-err);

	if (!name)
		name = "?";
	if (err == -ENOPKG || err == -EPROTO)
		return err;	/* resolve() told */
	if (k->extack[0])
		return fail(k, err, "could not %s: %s (%s)", what, k->extack,
			    name);
	switch (err) {
	case -EOPNOTSUPP:
		return fail(k, err,
			    "could not %s: the loaded ktls module does not know how, it is older than this program; update it, then type: modprobe -r ktls && modprobe ktls",
			    what);
	case -EPERM:
	case -EACCES:
		return fail(k, err,
			    "could not %s: this takes CAP_NET_ADMIN; run it as root",
			    what);
	case -EBADMSG:
		return fail(k, err,
			    "could not %s: the kernel's answer is not well formed; please report this",
			    what);
	case -EAGAIN:
		return fail(k, err,
			    "could not %s: the table changed while it was read; try again",
			    what);
	}
	return fail(k, err, "could not %s: %s (%s)", what, strerror(-err),
		    name);
}

/* Keeps the explanation of a refusal; @attrs are those of the answer. */
static void keep_extack(struct ktls *k, const void *attrs, size_t len)
{
	ssize_t left = len;
	const struct nlattr *a;
	size_t n;

	ktls_for_each_attr(a, attrs, left) {
		if ((a->nla_type & NLA_TYPE_MASK) != NLMSGERR_ATTR_MSG)
			continue;
		n = strnlen(ktls_attr_data(a), ktls_attr_len(a));
		if (n >= sizeof(k->extack))
			n = sizeof(k->extack) - 1;
		memcpy(k->extack, ktls_attr_data(a), n);
		k->extack[n] = '\0';
	}
}

/* The errno of an error or of the end of a dump; both begin with it. */
static int end_of(struct ktls *k, const struct nlmsghdr *nlh)
{
	size_t len = nlh->nlmsg_len - NLMSG_HDRLEN, skip;
	const struct nlmsgerr *e = NLMSG_DATA(nlh);
	int err;

	if (len < sizeof(err))
		return nlh->nlmsg_type == NLMSG_DONE ? 0 : -EBADMSG;
	memcpy(&err, e, sizeof(err));
	if (err > 0 || err < -4095)
		return -EBADMSG;
	if (!(nlh->nlmsg_flags & NLM_F_ACK_TLVS))
		return err;

	skip = sizeof(err);
	if (nlh->nlmsg_type == NLMSG_ERROR) {
		skip = sizeof(*e);
		if (len < skip)
			return -EBADMSG;
		/* Without NETLINK_CAP_ACK the request is repeated. */
		if (!(nlh->nlmsg_flags & NLM_F_CAPPED) &&
		    e->msg.nlmsg_len > sizeof(e->msg))
			skip += NLMSG_ALIGN(e->msg.nlmsg_len) - sizeof(e->msg);
	}
	if (skip <= len)
		keep_extack(k, (const char *)e + skip, len - skip);
	return err;
}

/* One datagram from the kernel into the buffer: its length or an errno. */
static ssize_t receive(struct ktls *k, int fd, int flags)
{
	struct sockaddr_nl from = { 0 };
	struct iovec iov = { k->buffer, sizeof(k->buffer) };
	struct msghdr msg = {
		.msg_name = &from,
		.msg_namelen = sizeof(from),
		.msg_iov = &iov,
		.msg_iovlen = 1,
	};
	ssize_t len;

	for (;;) {
		msg.msg_namelen = sizeof(from);
		from.nl_pid = 0;
		len = recvmsg(fd, &msg, flags);
		if (len < 0 && errno == EINTR)
			continue;
		if (len < 0)
			return -errno;
		/* Any process may send to a netlink socket; only the kernel
		 * is listened to.
		 */
		if (msg.msg_namelen >= sizeof(from) && from.nl_pid)
			continue;
		if (msg.msg_flags & MSG_TRUNC)
			return -EMSGSIZE;
		return len;
	}
}

static int answer(struct ktls *k, bool dump, reply_fn *fn, void *arg)
{
	int result = 0, err;
	bool intr = false;

	/*
	 * After a failure the rest is read too, and dropped: the kernel starts
	 * no second dump on a socket before the first is over.
	 */
	for (;;) {
		const struct nlmsghdr *nlh = (void *)k->buffer;
		ssize_t n = receive(k, k->fd, 0);
		size_t len;

		if (n == -EMSGSIZE) {
			result = result ?: -EBADMSG;
			continue;
		}
		if (n <= 0)
			return n ? n : -EIO;
		for (len = n; NLMSG_OK(nlh, len); nlh = NLMSG_NEXT(nlh, len)) {
			if (nlh->nlmsg_seq != k->seq)
				continue;
			if (nlh->nlmsg_flags & NLM_F_DUMP_INTR)
				intr = true;
			switch (nlh->nlmsg_type) {
			case NLMSG_NOOP:
				break;
			case NLMSG_ERROR:
			case NLMSG_DONE:
				err = end_of(k, nlh);
				if (!result)
					result = err;
				if (!result && intr)
					result = -EAGAIN;
				return result;
			default:
				if (!result)
					result = fn(k, nlh, arg);
			}
		}
		/* What a kernel never sends has no end to wait for. */
		if (len && !dump)
			return result ?: -EBADMSG;
		if (len)
			result = result ?: -EBADMSG;
	}
}

/* Sends a request and reads the answer to its end. */
static int transact(struct ktls *k, struct nl_msg *msg, reply_fn *fn, void *arg)
{
	struct nlmsghdr *nlh = nlmsg_hdr(msg);
	struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };
	bool dump = nlh->nlmsg_flags & NLM_F_DUMP;
	int err;

	k->extack[0] = '\0';
	nlh->nlmsg_seq = ++k->seq;
	nlh->nlmsg_pid = 0;
	nlh->nlmsg_flags |= NLM_F_REQUEST;
	if (!dump)
		nlh->nlmsg_flags |= NLM_F_ACK;
	do {
		err = sendto(k->fd, nlh, nlh->nlmsg_len, 0,
			     (struct sockaddr *)&kernel, sizeof(kernel));
	} while (err < 0 && errno == EINTR);
	if (err < 0)
		return -errno;

	k->busy = true;
	err = answer(k, dump, fn, arg);
	k->busy = false;
	return err;
}

static const void *attributes(const struct nlmsghdr *nlh, ssize_t *len)
{
	if (nlh->nlmsg_len < NLMSG_HDRLEN + GENL_HDRLEN)
		return NULL;
	*len = nlh->nlmsg_len - NLMSG_HDRLEN - GENL_HDRLEN;
	return (const char *)nlh + NLMSG_HDRLEN + GENL_HDRLEN;
}

/* The family */

struct family {
	uint16_t id;
	uint32_t version;
	uint32_t group;
};

static uint32_t attr_u32(const struct nlattr *a)
{
	uint32_t value = 0;
	size_t len = ktls_attr_len(a);

	memcpy(&value, ktls_attr_data(a),
	       len < sizeof(value) ? len : sizeof(value));
	return value;
}

static bool attr_is(const struct nlattr *a, const char *s)
{
	return ktls_attr_len(a) == strlen(s) + 1 &&
	       !memcmp(ktls_attr_data(a), s, strlen(s) + 1);
}

static void find_group(const struct nlattr *nest, struct family *f)
{
	ssize_t left = ktls_attr_len(nest), in;
	const struct nlattr *group, *a;
	bool ours;
	uint32_t id;

	ktls_for_each_attr(group, ktls_attr_data(nest), left) {
		ours = false;
		id = 0;
		in = ktls_attr_len(group);
		ktls_for_each_attr(a, ktls_attr_data(group), in) {
			switch (a->nla_type & NLA_TYPE_MASK) {
			case CTRL_ATTR_MCAST_GRP_NAME:
				ours = attr_is(a, KTLS_MCGRP_SOCKETS);
				break;
			case CTRL_ATTR_MCAST_GRP_ID:
				id = attr_u32(a);
				break;
			}
		}
		if (ours)
			f->group = id;
	}
}

static int take_family(struct ktls *k, const struct nlmsghdr *nlh, void *arg)
{
	struct family *f = arg;
	const struct nlattr *a;
	const void *attrs;
	ssize_t len;

	(void)k;
	attrs = attributes(nlh, &len);
	if (!attrs)
		return -EBADMSG;
	ktls_for_each_attr(a, attrs, len) {
		switch (a->nla_type & NLA_TYPE_MASK) {
		case CTRL_ATTR_FAMILY_ID:
			f->id = attr_u32(a);
			break;
		case CTRL_ATTR_VERSION:
			f->version = attr_u32(a);
			break;
		case CTRL_ATTR_MCAST_GROUPS:
			find_group(a, f);
			break;
		}
	}
	return 0;
}

static int resolve(struct ktls *k)
{
	struct family f = { 0 };
	struct nl_msg *msg;
	int err = -ENOMEM;

	msg = nlmsg_alloc();
	if (msg && genlmsg_put(msg, 0, 0, GENL_ID_CTRL, 0, 0,
			       CTRL_CMD_GETFAMILY, 1) &&
	    !nla_put_string(msg, CTRL_ATTR_FAMILY_NAME, KTLS_GENL_NAME))
		err = transact(k, msg, take_family, &f);
	nlmsg_free(msg);

	if (err == -ENOENT)
		return fail(k, -ENOPKG,
			    "the ktls module is not loaded; type: modprobe ktls");
	if (err)
		return fail_request(k, err, "ask for the ktls module");
	if (f.version != KTLS_GENL_VERSION)
		return fail(k, -EPROTO,
			    "the ktls module speaks version %u of the interface, this program version %u; install both from the same release, then type: modprobe -r ktls && modprobe ktls",
			    f.version, KTLS_GENL_VERSION);
	if (!f.id)
		return fail_request(k, -EBADMSG, "ask for the ktls module");
	k->family = f.id;
	k->group = f.group;
	return 0;
}

int ktls_open(struct ktls **result, int netns)
{
	struct ktls *k;

	*result = NULL;
	k = malloc(sizeof(*k));
	if (!k)
		return -ENOMEM;
	memset(k, 0, offsetof(struct ktls, buffer));
	k->event_fd = -1;
	k->netns = -1;
	k->fd = -1;
	*result = k;

	if (netns >= 0) {
		k->netns = fcntl(netns, F_DUPFD_CLOEXEC, 3);
		if (k->netns < 0)
			return fail_request(k, -errno,
					    "use the network namespace");
	}
	k->fd = ktls_connect(k->netns);
	if (k->fd == -EPERM)
		return fail(k, k->fd,
			    "could not enter the network namespace: this takes CAP_SYS_ADMIN; run it as root");
	if (k->fd == -EINVAL && netns >= 0)
		return fail(k, k->fd,
			    "could not enter the network namespace: this is none; it is a file as /run/netns/NAME or /proc/PID/ns/net");
	if (k->fd < 0)
		return fail_request(k, k->fd, "connect to netlink");
	return resolve(k);
}

void ktls_close(struct ktls *k)
{
	if (!k)
		return;
	if (k->fd >= 0)
		close(k->fd);
	if (k->event_fd >= 0)
		close(k->event_fd);
	if (k->netns >= 0)
		close(k->netns);
	free(k);
}

const char *ktls_strerror(const struct ktls *k)
{
	if (!k)
		return "out of memory";
	return k->error;
}

const char *ktls_library_version(void)
{
	return LIBKTLS_VERSION;
}

/* Requests */

static int usable(struct ktls *k)
{
	if (k->busy)
		return fail(k, -EBUSY,
			    "the handle is in use; a callback may not use it");
	/* After a failed ktls_open(), which said why. */
	return k->family ? 0 : -ENOTCONN;
}

static int put_filter(struct nl_msg *msg, const struct ktls_filter *f)
{
	struct nlattr *nest;
	int err = 0;

	if (!f || !f->match)
		return 0;
	nest = nla_nest_start(msg, KTLS_A_SOCKET_FILTER | NLA_F_NESTED);
	if (!nest)
		return -ENOMEM;
	if (f->match & KTLS_MATCH(CLOSED))
		err |= nla_put_flag(msg, KTLS_A_FILTER_CLOSED);
	if (f->match & KTLS_MATCH(DIRECTION))
		err |= nla_put_u8(msg, KTLS_A_FILTER_DIRECTION, f->direction);
	if (f->match & KTLS_MATCH(MODE))
		err |= nla_put_u8(msg, KTLS_A_FILTER_MODE, f->mode);
	if (f->match & KTLS_MATCH(VERSION))
		err |= nla_put_u16(msg, KTLS_A_FILTER_VERSION, f->version);
	if (f->match & KTLS_MATCH(CIPHER))
		err |= nla_put_u16(msg, KTLS_A_FILTER_CIPHER, f->cipher);
	if (f->match & KTLS_MATCH(PORT))
		err |= nla_put_u16(msg, KTLS_A_FILTER_PORT, htons(f->port));
	if (f->match & KTLS_MATCH(LOCAL_PORT))
		err |= nla_put_u16(msg, KTLS_A_FILTER_LOCAL_PORT,
				   htons(f->local_port));
	if (f->match & KTLS_MATCH(REMOTE_PORT))
		err |= nla_put_u16(msg, KTLS_A_FILTER_REMOTE_PORT,
				   htons(f->remote_port));
	if (f->match & KTLS_MATCH(UID))
		err |= nla_put_u32(msg, KTLS_A_FILTER_UID, f->uid);
	if (f->match & KTLS_MATCH(PID))
		err |= nla_put_u32(msg, KTLS_A_FILTER_PID, f->pid);
	if (f->match & KTLS_MATCH(CGROUP_ID))
		err |= nla_put_u64(msg, KTLS_A_FILTER_CGROUP_ID, f->cgroup_id);
	if (err)
		return -ENOMEM;
	nla_nest_end(msg, nest);
	return 0;
}

static int request_once(struct ktls *k, uint8_t cmd, int flags,
			const uint64_t *cookie,
			const struct ktls_filter *filter, reply_fn *fn,
			void *arg)
{
	struct nl_msg *msg;
	int err = -ENOMEM;

	msg = nlmsg_alloc();
	if (msg && genlmsg_put(msg, 0, 0, k->family, 0, flags, cmd,
			       KTLS_GENL_VERSION) &&
	    (!cookie || !nla_put_u64(msg, KTLS_A_SOCKET_COOKIE, *cookie)) &&
	    !put_filter(msg, filter))
		err = transact(k, msg, fn, arg);
	nlmsg_free(msg);
	return err;
}

/*
 * The kernel says ENOENT for a family that is gone, too.  If the module was
 * loaded anew since, it has another number, and the request is repeated.
 */
static int request(struct ktls *k, uint8_t cmd, int flags,
		   const uint64_t *cookie, const struct ktls_filter *filter,
		   reply_fn *fn, void *arg)
{
	uint16_t before = k->family;
	int err;

	err = request_once(k, cmd, flags, cookie, filter, fn, arg);
	/* No dump begins once an unload has. */
	if (err == -EPROTONOSUPPORT)
		return fail(k, -ENOPKG,
			    "the ktls module is being unloaded; type: modprobe ktls");
	if (err != -ENOENT || k->extack[0])
		return err;
	err = resolve(k);
	if (err)
		return err;
	if (k->family == before)
		return -ENOENT;
	return request_once(k, cmd, flags, cookie, filter, fn, arg);
}

static int take_module(struct ktls *k, const struct nlmsghdr *nlh, void *arg)
{
	const void *attrs;
	ssize_t len;

	(void)arg;
	attrs = attributes(nlh, &len);
	if (!attrs)
		return -EBADMSG;
	return ktls_parse_module(attrs, len, &k->module);
}

int ktls_get_module(struct ktls *k, const struct ktls_module **module)
{
	int err;

	*module = NULL;
	err = usable(k);
	if (err)
		return err;
	err = request(k, KTLS_CMD_MODULE_GET, 0, NULL, NULL, take_module, NULL);
	if (err)
		return fail_request(k, err, "read the state of the module");
	*module = &k->module;
	return 0;
}

static int take_socket(struct ktls *k, const struct nlmsghdr *nlh, void *arg)
{
	const void *attrs;
	int direction;
	ssize_t len;

	(void)arg;
	attrs = attributes(nlh, &len);
	if (!attrs)
		return -EBADMSG;
	return ktls_parse_socket(attrs, len, &k->socket, &direction);
}

int ktls_get_socket(struct ktls *k, uint64_t cookie,
		    const struct ktls_socket **socket)
{
	int err;

	*socket = NULL;
	err = usable(k);
	if (err)
		return err;
	err = request(k, KTLS_CMD_SOCKET_GET, 0, &cookie, NULL, take_socket,
		      NULL);
	if (err == -ENOENT)
		return fail(k, err,
			    "no kTLS socket of yours has the cookie %llu, neither open nor in the history of closed ones",
			    (unsigned long long)cookie);
	if (err)
		return fail_request(k, err, "read the socket");
	*socket = &k->socket;
	return 0;
}

struct each {
	ktls_socket_fn *socket;
	ktls_totals_fn *totals;
	void *arg;
	int stopped;	/* what the callback returned */
};

/* Ends a request for a reason that is the caller's. */
#define STOPPED 1

static int each_socket(struct ktls *k, const struct nlmsghdr *nlh, void *arg)
{
	struct each *each = arg;
	const void *attrs;
	int direction;
	ssize_t len;

	attrs = attributes(nlh, &len);
	if (!attrs ||
	    ktls_parse_socket(attrs, len, &k->socket, &direction))
		return -EBADMSG;
	each->stopped = each->socket(&k->socket, each->arg);
	return each->stopped ? STOPPED : 0;
}

static int each_totals(struct ktls *k, const struct nlmsghdr *nlh, void *arg)
{
	struct each *each = arg;
	struct ktls_totals totals;
	const void *attrs;
	ssize_t len;

	(void)k;
	attrs = attributes(nlh, &len);
	if (!attrs || ktls_parse_totals(attrs, len, &totals))
		return -EBADMSG;
	each->stopped = each->totals(&totals, each->arg);
	return each->stopped ? STOPPED : 0;
}

int ktls_dump_sockets(struct ktls *k, const struct ktls_filter *filter,
		      ktls_socket_fn *fn, void *arg)
{
	struct each each = { .socket = fn, .arg = arg };
	int err;

	err = usable(k);
	if (err)
		return err;
	err = request(k, KTLS_CMD_SOCKET_GET, NLM_F_DUMP, NULL, filter,
		      each_socket, &each);
	if (err == STOPPED)
		return each.stopped;
	return err ? fail_request(k, err, "list the sockets") : 0;
}

int ktls_dump_totals(struct ktls *k, ktls_totals_fn *fn, void *arg)
{
	struct each each = { .totals = fn, .arg = arg };
	int err;

	err = usable(k);
	if (err)
		return err;
	err = request(k, KTLS_CMD_TOTALS_GET, NLM_F_DUMP, NULL, NULL,
		      each_totals, &each);
	if (err == STOPPED)
		return each.stopped;
	return err ? fail_request(k, err, "list the totals") : 0;
}

/* Events */

int ktls_subscribe(struct ktls *k)
{
	const int size = EVENT_BUFFER, on = 1;
	int fd, err;

	err = usable(k);
	if (err)
		return err;
	if (k->event_fd >= 0)
		return 0;
	fd = ktls_connect(k->netns);
	if (fd < 0)
		return fail_request(k, fd, "connect to netlink");
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)))
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	/* The module is to count what finds no room here. */
	setsockopt(fd, SOL_NETLINK, NETLINK_BROADCAST_ERROR, &on, sizeof(on));
	/* The second tells of the module's end; it is open to everybody. */
	err = k->group ? ktls_join(fd, k->group) : -EOPNOTSUPP;
	if (!err)
		err = ktls_join(fd, GENL_ID_CTRL);
	if (err) {
		close(fd);
		k->extack[0] = '\0';
		return fail_request(k, err, "subscribe to events");
	}
	k->event_fd = fd;
	return 0;
}

int ktls_event_fd(const struct ktls *k)
{
	return k->event_fd;
}

/* Whether generic netlink says that our family is gone. */
static bool is_farewell(const struct ktls *k, const struct nlmsghdr *nlh)
{
	const struct genlmsghdr *genl = NLMSG_DATA(nlh);
	const struct nlattr *a;
	const void *attrs;
	ssize_t len;

	attrs = attributes(nlh, &len);
	if (!attrs || genl->cmd != CTRL_CMD_DELFAMILY)
		return false;
	ktls_for_each_attr(a, attrs, len) {
		if ((a->nla_type & NLA_TYPE_MASK) == CTRL_ATTR_FAMILY_ID)
			return (uint16_t)attr_u32(a) == k->family;
	}
	return false;
}

static int take_event(struct ktls *k, const struct nlmsghdr *nlh,
		      ktls_event_fn *fn, void *arg)
{
	const struct genlmsghdr *genl = NLMSG_DATA(nlh);
	struct ktls_event event = { .socket = &k->socket };
	const void *attrs;
	ssize_t len;
	int err;

	if (nlh->nlmsg_type == GENL_ID_CTRL) {
		if (!is_farewell(k, nlh))
			return 0;
		return fail(k, -ENOPKG,
			    "the ktls module was unloaded; type: modprobe ktls");
	}
	if (nlh->nlmsg_type != k->family)
		return 0;
	attrs = attributes(nlh, &len);
	if (!attrs)
		return fail_request(k, -EBADMSG, "read an event");
	/* One of a later version: who does not know it does not miss it. */
	if (!ktls_event_name(genl->cmd))
		return 0;
	event.type = genl->cmd;
	if (ktls_parse_socket(attrs, len, &k->socket, &event.direction))
		return fail_request(k, -EBADMSG, "read an event");
	k->busy = true;
	err = fn(&event, arg);
	k->busy = false;
	return err;
}

int ktls_dispatch(struct ktls *k, ktls_event_fn *fn, void *arg)
{
	int err;

	err = usable(k);
	if (err)
		return err;
	if (k->event_fd < 0)
		return fail(k, -ENOTCONN, "not subscribed to events");
	for (;;) {
		const struct nlmsghdr *nlh = (void *)k->buffer;
		ssize_t n = receive(k, k->event_fd, MSG_DONTWAIT);
		size_t len;

		if (n == -EAGAIN || n == -EWOULDBLOCK || n == 0)
			return 0;
		if (n == -ENOBUFS)
			return fail(k, -ENOBUFS,
				    "events came faster than they were read, and some were lost");
		k->extack[0] = '\0';
		if (n < 0)
			return fail_request(k, n, "read events");
		for (len = n; NLMSG_OK(nlh, len); nlh = NLMSG_NEXT(nlh, len)) {
			err = take_event(k, nlh, fn, arg);
			if (err)
				return err;
		}
	}
}
