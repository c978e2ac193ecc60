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

/* All that a request may hold, but for the rules of a policy. */
#define REQUEST_ROOM 4096
/* Events are about 400 bytes each, and come in bursts. */
#define EVENT_BUFFER (4 * 1024 * 1024)

int ktls_fail(struct ktls *k, int err, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	vsnprintf(k->error, sizeof(k->error), format, ap);
	va_end(ap);
	return err;
}

int ktls_fail_request(struct ktls *k, int err, const char *what)
{
	const char *name = strerrorname_np(-err);

	if (!name)
		name = "?";
	if (err == -ENOPKG || err == -EPROTO)
		return err;	/* resolve() told */
	if (k->extack[0])
		return ktls_fail(k, err, "could not %s: %s (%s)", what, k->extack,
				 name);
	switch (err) {
	case -EOPNOTSUPP:
		return ktls_fail(k, err,
				 "could not %s: the loaded ktls module does not know how, it is older than this program; update it, then type: modprobe -r ktls && modprobe ktls",
				 what);
	case -EPERM:
	case -EACCES:
		return ktls_fail(k, err,
				 "could not %s: this takes CAP_NET_ADMIN; run it as root",
				 what);
	case -EBADMSG:
		return ktls_fail(k, err,
				 "could not %s: the kernel's answer is not well formed; please report this",
				 what);
	case -EAGAIN:
		return ktls_fail(k, err,
				 "could not %s: the table changed while it was read; try again",
				 what);
	}
	return ktls_fail(k, err, "could not %s: %s (%s)", what, strerror(-err),
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

static int grow_buffer(struct ktls *k, size_t size)
{
	void *buffer;

	if (size <= k->buffer_size)
		return 0;
	buffer = realloc(k->buffer, size);
	if (!buffer)
		return -ENOMEM;
	k->buffer = buffer;
	k->buffer_size = size;
	return 0;
}

/* One datagram from the kernel into the buffer: its length or an errno. */
static ssize_t receive(struct ktls *k, int fd, int flags)
{
	struct sockaddr_nl from = { 0 };
	struct iovec iov = { k->buffer, k->buffer_size };
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
		if (msg.msg_namelen >= sizeof(from) && from.nl_pid) {
			if (flags & MSG_PEEK)
				recv(fd, k->buffer, 1, MSG_DONTWAIT);
			continue;
		}
		if (msg.msg_flags & MSG_TRUNC && !(flags & MSG_PEEK))
			return -EMSGSIZE;
		return len;
	}
}

/*
 * The same, with room for it whatever its length.  Takes a second look, which
 * is too much for each part of a dump; these the kernel fits to the buffer.
 */
static ssize_t receive_whole(struct ktls *k, int fd)
{
	ssize_t len = receive(k, fd, MSG_PEEK | MSG_TRUNC);
	int err;

	if (len > 0) {
		err = grow_buffer(k, len);
		if (err)
			return err;
	}
	return len < 0 ? len : receive(k, fd, 0);
}

static int answer(struct ktls *k, bool dump, ktls_reply_fn *fn, void *arg)
{
	int result = 0, err;
	bool intr = false;

	/*
	 * After a failure the rest is read too, and dropped: the kernel starts
	 * no second dump on a socket before the first is over.
	 */
	for (;;) {
		ssize_t n = dump ? receive(k, k->fd, 0) :
				   receive_whole(k, k->fd);
		const struct nlmsghdr *nlh = (void *)k->buffer;
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
static int transact(struct ktls *k, struct nl_msg *msg, ktls_reply_fn *fn,
		    void *arg)
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

const void *ktls_attributes(const struct nlmsghdr *nlh, ssize_t *len)
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
	uint32_t groups[KTLS_GROUPS];
};

static const char *const group_names[KTLS_GROUPS] = {
	KTLS_MCGRP_SOCKETS,
	KTLS_MCGRP_ATTEMPTS,
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

static void find_groups(const struct nlattr *nest, struct family *f)
{
	ssize_t left = ktls_attr_len(nest), in;
	const struct nlattr *group, *a;
	uint32_t id;
	int i, ours;

	ktls_for_each_attr(group, ktls_attr_data(nest), left) {
		ours = -1;
		id = 0;
		in = ktls_attr_len(group);
		ktls_for_each_attr(a, ktls_attr_data(group), in) {
			switch (a->nla_type & NLA_TYPE_MASK) {
			case CTRL_ATTR_MCAST_GRP_NAME:
				for (i = 0; i < KTLS_GROUPS; i++)
					if (attr_is(a, group_names[i]))
						ours = i;
				break;
			case CTRL_ATTR_MCAST_GRP_ID:
				id = attr_u32(a);
				break;
			}
		}
		if (ours >= 0)
			f->groups[ours] = id;
	}
}

static int take_family(struct ktls *k, const struct nlmsghdr *nlh, void *arg)
{
	struct family *f = arg;
	const struct nlattr *a;
	const void *attrs;
	ssize_t len;

	(void)k;
	attrs = ktls_attributes(nlh, &len);
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
			find_groups(a, f);
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
		return ktls_fail(k, -ENOPKG,
				 "the ktls module is not loaded; type: modprobe ktls");
	if (err)
		return ktls_fail_request(k, err, "ask for the ktls module");
	if (f.version != KTLS_GENL_VERSION)
		return ktls_fail(k, -EPROTO,
				 "the ktls module speaks version %u of the interface, this program version %u; install both from the same release, then type: modprobe -r ktls && modprobe ktls",
				 f.version, KTLS_GENL_VERSION);
	if (!f.id)
		return ktls_fail_request(k, -EBADMSG, "ask for the ktls module");
	k->family = f.id;
	memcpy(k->groups, f.groups, sizeof(k->groups));
	return 0;
}

int ktls_open(struct ktls **result, int netns)
{
	struct ktls *k;

	*result = NULL;
	k = calloc(1, sizeof(*k));
	if (!k)
		return -ENOMEM;
	if (grow_buffer(k, KTLS_BUFFER_SIZE)) {
		free(k);
		return -ENOMEM;
	}
	k->event_fd = -1;
	k->netns = -1;
	k->fd = -1;
	*result = k;

	if (netns >= 0) {
		k->netns = fcntl(netns, F_DUPFD_CLOEXEC, 3);
		if (k->netns < 0)
			return ktls_fail_request(k, -errno,
						 "use the network namespace");
	}
	k->fd = ktls_connect(k->netns);
	if (k->fd == -EPERM)
		return ktls_fail(k, k->fd,
				 "could not enter the network namespace: this takes CAP_SYS_ADMIN; run it as root");
	if (k->fd == -EINVAL && netns >= 0)
		return ktls_fail(k, k->fd,
				 "could not enter the network namespace: this is none; it is a file as /run/netns/NAME or /proc/PID/ns/net");
	if (k->fd < 0)
		return ktls_fail_request(k, k->fd, "connect to netlink");
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
	free(k->policy.rules);
	free(k->buffer);
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

int ktls_usable(struct ktls *k)
{
	if (k->busy)
		return ktls_fail(k, -EBUSY,
				 "the handle is in use; a callback may not use it");
	/* After a failed ktls_open(), which said why. */
	return k->family ? 0 : -ENOTCONN;
}

static int put_cookie(struct nl_msg *msg, const void *what)
{
	return nla_put_u64(msg, KTLS_A_SOCKET_COOKIE,
			   *(const uint64_t *)what) ? -ENOMEM : 0;
}

static int put_filter(struct nl_msg *msg, const void *what)
{
	const struct ktls_filter *f = what;
	struct nlattr *nest;
	int err = 0;

	if (!f || !f->match)
		return 0;
	nest = nla_nest_start(msg, KTLS_A_SOCKET_FILTER | NLA_F_NESTED);
	if (!nest)
		return -ENOMEM;
	if (f->match & KTLS_MATCH(CLOSED))
		err |= nla_put_flag(msg, KTLS_A_FILTER_CLOSED);
	if (f->match & KTLS_MATCH(VIOLATES))
		err |= nla_put_flag(msg, KTLS_A_FILTER_VIOLATES);
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

static int request_once(struct ktls *k, const struct ktls_request *r,
			ktls_reply_fn *fn, void *arg)
{
	struct nl_msg *msg;
	int err = -ENOMEM;

	msg = nlmsg_alloc_size(REQUEST_ROOM + r->room);
	if (msg && genlmsg_put(msg, 0, 0, k->family, 0, r->flags, r->cmd,
			       KTLS_GENL_VERSION)) {
		err = r->put ? r->put(msg, r->what) : 0;
		if (!err)
			err = transact(k, msg, fn, arg);
	}
	nlmsg_free(msg);
	return err;
}

/*
 * The kernel says ENOENT for a family that is gone, too.  If the module was
 * loaded anew since, it has another number, and the request is repeated.
 */
int ktls_request(struct ktls *k, const struct ktls_request *r,
		 ktls_reply_fn *fn, void *arg)
{
	uint16_t before = k->family;
	int err;

	err = request_once(k, r, fn, arg);
	/* No dump begins once an unload has. */
	if (err == -EPROTONOSUPPORT)
		return ktls_fail(k, -ENOPKG,
				 "the ktls module is being unloaded; type: modprobe ktls");
	if (err != -ENOENT || k->extack[0])
		return err;
	err = resolve(k);
	if (err)
		return err;
	if (k->family == before)
		return -ENOENT;
	return request_once(k, r, fn, arg);
}

static int take_module(struct ktls *k, const struct nlmsghdr *nlh, void *arg)
{
	const void *attrs;
	ssize_t len;

	(void)arg;
	attrs = ktls_attributes(nlh, &len);
	if (!attrs)
		return -EBADMSG;
	return ktls_parse_module(attrs, len, &k->module);
}

int ktls_get_module(struct ktls *k, const struct ktls_module **module)
{
	int err;

	*module = NULL;
	err = ktls_usable(k);
	if (err)
		return err;
	err = ktls_request(k, &(struct ktls_request){
			   .cmd = KTLS_CMD_MODULE_GET }, take_module, NULL);
	if (err)
		return ktls_fail_request(k, err, "read the state of the module");
	*module = &k->module;
	return 0;
}

static int take_socket(struct ktls *k, const struct nlmsghdr *nlh, void *arg)
{
	const void *attrs;
	int direction;
	ssize_t len;

	(void)arg;
	attrs = ktls_attributes(nlh, &len);
	if (!attrs)
		return -EBADMSG;
	return ktls_parse_socket(attrs, len, &k->socket, &direction);
}

int ktls_get_socket(struct ktls *k, uint64_t cookie,
		    const struct ktls_socket **socket)
{
	int err;

	*socket = NULL;
	err = ktls_usable(k);
	if (err)
		return err;
	err = ktls_request(k, &(struct ktls_request){
			   .cmd = KTLS_CMD_SOCKET_GET,
			   .put = put_cookie, .what = &cookie },
			   take_socket, NULL);
	if (err == -ENOENT)
		return ktls_fail(k, err,
				 "no kTLS socket of yours has the cookie %llu, neither open nor in the history of closed ones",
				 (unsigned long long)cookie);
	if (err)
		return ktls_fail_request(k, err, "read the socket");
	*socket = &k->socket;
	return 0;
}

struct each {
	ktls_socket_fn *socket;
	ktls_totals_fn *totals;
	void *arg;
	int stopped;	/* what the callback returned */
};

static int each_socket(struct ktls *k, const struct nlmsghdr *nlh, void *arg)
{
	struct each *each = arg;
	const void *attrs;
	int direction;
	ssize_t len;

	attrs = ktls_attributes(nlh, &len);
	if (!attrs ||
	    ktls_parse_socket(attrs, len, &k->socket, &direction))
		return -EBADMSG;
	each->stopped = each->socket(&k->socket, each->arg);
	return each->stopped ? KTLS_STOPPED : 0;
}

static int each_totals(struct ktls *k, const struct nlmsghdr *nlh, void *arg)
{
	struct each *each = arg;
	struct ktls_totals totals;
	const void *attrs;
	ssize_t len;

	(void)k;
	attrs = ktls_attributes(nlh, &len);
	if (!attrs || ktls_parse_totals(attrs, len, &totals))
		return -EBADMSG;
	each->stopped = each->totals(&totals, each->arg);
	return each->stopped ? KTLS_STOPPED : 0;
}

int ktls_dump_sockets(struct ktls *k, const struct ktls_filter *filter,
		      ktls_socket_fn *fn, void *arg)
{
	struct each each = { .socket = fn, .arg = arg };
	int err;

	err = ktls_usable(k);
	if (err)
		return err;
	err = ktls_request(k, &(struct ktls_request){
			   .cmd = KTLS_CMD_SOCKET_GET, .flags = NLM_F_DUMP,
			   .put = put_filter, .what = filter },
			   each_socket, &each);
	if (err == KTLS_STOPPED)
		return each.stopped;
	return err ? ktls_fail_request(k, err, "list the sockets") : 0;
}

int ktls_dump_totals(struct ktls *k, ktls_totals_fn *fn, void *arg)
{
	struct each each = { .totals = fn, .arg = arg };
	int err;

	err = ktls_usable(k);
	if (err)
		return err;
	err = ktls_request(k, &(struct ktls_request){
			   .cmd = KTLS_CMD_TOTALS_GET, .flags = NLM_F_DUMP },
			   each_totals, &each);
	if (err == KTLS_STOPPED)
		return each.stopped;
	return err ? ktls_fail_request(k, err, "list the totals") : 0;
}

/* Events */

static int connect_events(struct ktls *k)
{
	const int size = EVENT_BUFFER, on = 1;
	int fd, err;

	fd = ktls_connect(k->netns);
	if (fd < 0)
		return ktls_fail_request(k, fd, "connect to netlink");
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)))
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	/* The module is to count what finds no room here. */
	setsockopt(fd, SOL_NETLINK, NETLINK_BROADCAST_ERROR, &on, sizeof(on));
	/* Tells of the module's end; it is open to everybody. */
	err = ktls_join(fd, GENL_ID_CTRL);
	if (err) {
		close(fd);
		return ktls_fail_request(k, err, "subscribe to events");
	}
	k->event_fd = fd;
	return 0;
}

int ktls_subscribe_to(struct ktls *k, unsigned int events)
{
	unsigned int i, joined = k->joined;
	int err;

	err = ktls_usable(k);
	if (err)
		return err;
	k->extack[0] = '\0';
	if (k->event_fd < 0)
		err = connect_events(k);
	for (i = 0; !err && i < KTLS_GROUPS; i++) {
		if (!(events & ~k->joined & 1U << i))
			continue;
		err = k->groups[i] ? ktls_join(k->event_fd, k->groups[i]) :
				     -EOPNOTSUPP;
		if (err)
			ktls_fail_request(k, err, "subscribe to events");
		else
			k->joined |= 1U << i;
	}
	/* A part of what was asked for would be taken for all of it. */
	if (err && k->event_fd >= 0 && !joined) {
		close(k->event_fd);
		k->event_fd = -1;
		k->joined = 0;
	}
	return err;
}

int ktls_subscribe(struct ktls *k)
{
	return ktls_subscribe_to(k, KTLS_EVENTS_SOCKETS);
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

	attrs = ktls_attributes(nlh, &len);
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
	struct ktls_event event = { .direction = -1 };
	const void *attrs;
	ssize_t len;
	int err;

	if (nlh->nlmsg_type == GENL_ID_CTRL) {
		if (!is_farewell(k, nlh))
			return 0;
		return ktls_fail(k, -ENOPKG,
				 "the ktls module was unloaded; type: modprobe ktls");
	}
	if (nlh->nlmsg_type != k->family)
		return 0;
	attrs = ktls_attributes(nlh, &len);
	if (!attrs)
		return ktls_fail_request(k, -EBADMSG, "read an event");
	/* One of a later version: who does not know it does not miss it. */
	if (!ktls_event_name(genl->cmd))
		return 0;
	event.type = genl->cmd;
	if (event.type == KTLS_CMD_ATTEMPT_NTF) {
		event.attempt = &k->attempt;
		err = ktls_parse_attempt(attrs, len, &k->attempt);
	} else {
		event.socket = &k->socket;
		err = ktls_parse_socket(attrs, len, &k->socket,
					&event.direction);
	}
	if (err)
		return ktls_fail_request(k, err, "read an event");
	k->busy = true;
	err = fn(&event, arg);
	k->busy = false;
	return err;
}

int ktls_dispatch(struct ktls *k, ktls_event_fn *fn, void *arg)
{
	int err;

	err = ktls_usable(k);
	if (err)
		return err;
	if (k->event_fd < 0)
		return ktls_fail(k, -ENOTCONN, "not subscribed to events");
	for (;;) {
		ssize_t n = receive(k, k->event_fd, MSG_DONTWAIT);
		const struct nlmsghdr *nlh = (void *)k->buffer;
		size_t len;

		if (n == -EAGAIN || n == -EWOULDBLOCK || n == 0)
			return 0;
		if (n == -ENOBUFS)
			return ktls_fail(k, -ENOBUFS,
					 "events came faster than they were read, and some were lost");
		k->extack[0] = '\0';
		if (n < 0)
			return ktls_fail_request(k, n, "read events");
		for (len = n; NLMSG_OK(nlh, len); nlh = NLMSG_NEXT(nlh, len)) {
			err = take_event(k, nlh, fn, arg);
			if (err)
				return err;
		}
	}
}
