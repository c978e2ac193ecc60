// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A kernel to talk to where there is none.
 *
 * The linker puts the functions here in the place of those that make a netlink
 * socket.  At the other end of the pair that they return, a thread answers as
 * the module would, or as $KTLS_FAKE_KERNEL wants it to.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "fake_kernel.h"
#include "internal.h"
#include "message.h"

#define FAMILY 0x21
#define RELOADED_FAMILY 0x22
#define GROUP 9

const char *fake_kernel;

/* Events were; then socket 1 is closed and socket 6 is open. */
static bool lost;

static bool is_like(const char *word)
{
	const char *s = fake_kernel ?: getenv("KTLS_FAKE_KERNEL");
	size_t len = strlen(word);

	for (; s && *s; s += strcspn(s, ","), s += *s == ',')
		if (strcspn(s, ",") == len && !strncmp(s, word, len))
			return true;
	return false;
}

/* An end of the pair, of the thread that serves it. */
struct server {
	int fd;
	int families;		/* how often the family was asked for */
	bool dump;
	struct message out;
};

static void send_out(struct server *s)
{
	if (s->out.len)
		send(s->fd, s->out.data, s->out.len, MSG_NOSIGNAL);
	s->out.len = s->out.last = 0;
}

static void reply_error(struct server *s, const struct nlmsghdr *to, int err,
			const char *text)
{
	struct nlmsgerr e = { .error = err, .msg = *to };

	message_begin(&s->out, NLMSG_ERROR,
		      NLM_F_CAPPED | (text ? NLM_F_ACK_TLVS : 0),
		      to->nlmsg_seq);
	message_bytes(&s->out, &e, sizeof(e));
	if (text)
		put_string(&s->out, NLMSGERR_ATTR_MSG, text);
	send_out(s);
}

static void reply_done(struct server *s, const struct nlmsghdr *to, int err)
{
	message_begin(&s->out, NLMSG_DONE,
		      is_like("interrupted") ? NLM_F_DUMP_INTR : 0,
		      to->nlmsg_seq);
	message_bytes(&s->out, &err, sizeof(err));
	send_out(s);
}

static void reply_family(struct server *s, const struct nlmsghdr *to)
{
	size_t groups, group;
	uint16_t id = FAMILY;

	if (is_like("absent") || (is_like("unloaded") && s->families)) {
		reply_error(s, to, -ENOENT, NULL);
		return;
	}
	if (is_like("reloaded") && s->families)
		id = RELOADED_FAMILY;
	s->families++;
	message_genl(&s->out, GENL_ID_CTRL, CTRL_CMD_NEWFAMILY, 0,
		     to->nlmsg_seq);
	put_string(&s->out, CTRL_ATTR_FAMILY_NAME, KTLS_GENL_NAME);
	put_u16(&s->out, CTRL_ATTR_FAMILY_ID, id);
	put_u32(&s->out, CTRL_ATTR_VERSION, is_like("version2") ? 2 : 1);
	groups = nest_begin(&s->out, CTRL_ATTR_MCAST_GROUPS);
	group = nest_begin(&s->out, 1);
	put_u32(&s->out, CTRL_ATTR_MCAST_GRP_ID, GROUP);
	put_string(&s->out, CTRL_ATTR_MCAST_GRP_NAME, KTLS_MCGRP_SOCKETS);
	nest_end(&s->out, group);
	nest_end(&s->out, groups);
	send_out(s);
	reply_error(s, to, 0, NULL);
}

static void put_stream(struct message *m, uint16_t type, int i)
{
	uint64_t big = is_like("wide") ? UINT64_MAX - i : 0;
	size_t nest = nest_begin(m, type);
	bool tx = type == KTLS_A_SOCKET_TX;

	if (i == 2 && !tx) {
		put_u8(m, KTLS_A_STREAM_MODE, KTLS_MODE_NONE);
		nest_end(m, nest);
		return;
	}
	put_u8(m, KTLS_A_STREAM_MODE, is_like("strange") ? 77 :
	       i == 3 ? KTLS_MODE_HW : KTLS_MODE_SW);
	put_u16(m, KTLS_A_STREAM_VERSION, is_like("strange") ? 0x305 :
		i == 2 ? KTLS_VERSION_TLS_1_2 : KTLS_VERSION_TLS_1_3);
	put_u16(m, KTLS_A_STREAM_CIPHER, is_like("strange") ? 999 :
		big ? KTLS_CIPHER_CHACHA20_POLY1305 : KTLS_CIPHER_AES_GCM_128);
	if (!is_like("busy")) {
		put_uint(m, KTLS_A_STREAM_RECORDS, big ?: 1234567);
		put_uint(m, KTLS_A_STREAM_PAYLOAD_BYTES, big ?: 3650722201);
		put_uint(m, KTLS_A_STREAM_WIRE_BYTES, big ?: 3677882675);
		if (tx)
			put_uint(m, KTLS_A_STREAM_CONTROL_RECORDS, 2);
		put_uint(m, KTLS_A_STREAM_KEY_RECORDS, big ?: 1234);
	}
	put_u32(m, KTLS_A_STREAM_REKEYS, i == 3);
	if (i == 3 && !tx)
		put_u32(m, KTLS_A_STREAM_LAST_ERROR, EBADMSG);
	if (i == 3)
		put_u32(m, KTLS_A_STREAM_IFINDEX, 1);
	nest_end(m, nest);
}

/*
 * Socket @i: 1 is plain, 2 transmits only, 3 is of a device and had an error,
 * 4 was adopted, 5 is closed.
 */
static void put_socket(struct message *m, int i)
{
	static const uint8_t v6[16] = {
		0x20, 0x01, 0x0d, 0xb8, [4 ... 14] = 0xab, [15] = 1,
	};
	bool wide = is_like("wide");
	uint8_t local[16] = { 10, 0, 0, 1 }, remote[16] = { 10, 0, 0, 7 };
	uint32_t flags = 0;

	if (wide || i == 4) {
		memcpy(local, v6, 16);
		memcpy(remote, v6, 16);
	}
	put_u64(m, KTLS_A_SOCKET_COOKIE, 1000 + i);
	put_u16(m, KTLS_A_SOCKET_FAMILY, wide || i == 4 ? AF_INET6 : AF_INET);
	put(m, KTLS_A_SOCKET_LOCAL_ADDR, local, wide || i == 4 ? 16 : 4);
	put(m, KTLS_A_SOCKET_REMOTE_ADDR, remote, wide || i == 4 ? 16 : 4);
	put_port(m, KTLS_A_SOCKET_LOCAL_PORT, wide ? 65535 : 443);
	put_port(m, KTLS_A_SOCKET_REMOTE_PORT, 50000 + i);
	if (i != 5)
		put_uint(m, KTLS_A_SOCKET_INODE, 4711);
	put_u32(m, KTLS_A_SOCKET_UID, 0);
	put_uint(m, KTLS_A_SOCKET_CGROUP_ID, 1);
	put_u32(m, KTLS_A_SOCKET_NETNS, 4026531840);
	if (i != 4) {
		if (!is_like("container"))
			put_u32(m, KTLS_A_SOCKET_PID, wide ? 4194304 : 812);
		put_string(m, KTLS_A_SOCKET_COMM, is_like("noisy") ?
			   "\033[2J\xff\xc3\xa9 \"" :
			   wide ? "fifteen-letters" : "nginx");
	}
	put_u64(m, KTLS_A_SOCKET_INSTALL_TIME, 1700000000000000000);
	if (i == 4)
		flags |= KTLS_SOCKET_FLAGS_ADOPTED;
	if (i == 5) {
		flags |= KTLS_SOCKET_FLAGS_CLOSED |
			 KTLS_SOCKET_FLAGS_TRUNCATED |
			 KTLS_SOCKET_FLAGS_INCOMPLETE;
		put_u64(m, KTLS_A_SOCKET_CLOSE_TIME, 1700000100000000000);
	}
	if (is_like("busy"))
		flags |= KTLS_SOCKET_FLAGS_BUSY;
	if (is_like("strange")) {
		flags |= 1u << 30;
		put(m, 300, "later", 5);
	}
	put_u32(m, KTLS_A_SOCKET_FLAGS, flags);
	put_stream(m, KTLS_A_SOCKET_TX, i);
	put_stream(m, KTLS_A_SOCKET_RX, i);
}

static bool wants_closed(const struct nlmsghdr *nlh)
{
	const struct nlattr *a, *b;
	ssize_t len = nlh->nlmsg_len - NLMSG_HDRLEN - GENL_HDRLEN, in;

	ktls_for_each_attr(a, (const void *)((const char *)nlh + NLMSG_HDRLEN +
					     GENL_HDRLEN), len) {
		if ((a->nla_type & NLA_TYPE_MASK) != KTLS_A_SOCKET_FILTER)
			continue;
		in = ktls_attr_len(a);
		ktls_for_each_attr(b, ktls_attr_data(a), in)
			if (b->nla_type == KTLS_A_FILTER_CLOSED)
				return true;
	}
	return false;
}

static uint64_t wanted_cookie(const struct nlmsghdr *nlh)
{
	const struct nlattr *a;
	ssize_t len = nlh->nlmsg_len - NLMSG_HDRLEN - GENL_HDRLEN;
	uint64_t cookie = 0;

	ktls_for_each_attr(a, (const void *)((const char *)nlh + NLMSG_HDRLEN +
					     GENL_HDRLEN), len)
		if (a->nla_type == KTLS_A_SOCKET_COOKIE)
			memcpy(&cookie, ktls_attr_data(a), sizeof(cookie));
	return cookie;
}

/* Part of an answer with something wrong about it. */
static void spoil(struct server *s)
{
	struct nlmsghdr *nlh = message_header(&s->out);

	if (is_like("truncated"))
		nlh->nlmsg_len += 400;
	if (is_like("short"))
		nlh->nlmsg_len = NLMSG_HDRLEN + 1;
	if (is_like("zero"))
		nlh->nlmsg_len = 0;
}

static void dump_sockets(struct server *s, const struct nlmsghdr *to)
{
	int first = 1, last = 4, i;

	if (is_like("many"))
		last = 1000;
	if (is_like("empty"))
		last = 0;
	if (lost) {
		first = 2;
		last = 6;
	}
	if (wants_closed(to) && last)
		first = last = 5;
	for (i = first; i <= last; i++) {
		if (lost && i == 5 && first != last)
			continue;
		if (is_like("stray") && i == 2) {
			message_genl(&s->out, FAMILY, KTLS_CMD_SOCKET_GET,
				     NLM_F_MULTI, to->nlmsg_seq + 1000);
			put_socket(&s->out, 77);
		}
		message_genl(&s->out, FAMILY, KTLS_CMD_SOCKET_GET, NLM_F_MULTI,
			     to->nlmsg_seq);
		put_socket(&s->out, i);
		spoil(s);
		if (s->out.len > 12000)
			send_out(s);
	}
	send_out(s);
	if (is_like("noend")) {
		message_begin(&s->out, NLMSG_DONE, 0, to->nlmsg_seq);
		send_out(s);
		return;
	}
	reply_done(s, to, is_like("unfinished") ? -ENOBUFS : 0);
}

static void dump_totals(struct server *s, const struct nlmsghdr *to)
{
	uint64_t big = is_like("wide") ? UINT64_MAX : 0;
	int dir;

	for (dir = 0; dir < 2 && !is_like("empty"); dir++) {
		message_genl(&s->out, FAMILY, KTLS_CMD_TOTALS_GET, NLM_F_MULTI,
			     to->nlmsg_seq);
		put_u8(&s->out, KTLS_A_TOTALS_DIRECTION, dir);
		put_u8(&s->out, KTLS_A_TOTALS_MODE,
		       is_like("strange") ? 77 : KTLS_MODE_SW);
		put_u16(&s->out, KTLS_A_TOTALS_VERSION, KTLS_VERSION_TLS_1_3);
		put_u16(&s->out, KTLS_A_TOTALS_CIPHER,
			big ? KTLS_CIPHER_CHACHA20_POLY1305 :
			KTLS_CIPHER_AES_GCM_128);
		put_uint(&s->out, KTLS_A_TOTALS_OPEN, big ?: 4);
		put_uint(&s->out, KTLS_A_TOTALS_CLOSED, big ?: 1);
		put_uint(&s->out, KTLS_A_TOTALS_RECORDS, big ?: 6172835);
		put_uint(&s->out, KTLS_A_TOTALS_PAYLOAD_BYTES,
			 big ?: 18253611005);
		put_uint(&s->out, KTLS_A_TOTALS_WIRE_BYTES, big ?: 18389413375);
		put_uint(&s->out, KTLS_A_TOTALS_CONTROL_RECORDS, big ?: 10);
		put_uint(&s->out, KTLS_A_TOTALS_REKEYS, big ?: 1);
		put_uint(&s->out, KTLS_A_TOTALS_ERRORS, big ?: 1);
	}
	send_out(s);
	reply_done(s, to, 0);
}

static void get_module(struct server *s, const struct nlmsghdr *to)
{
	message_genl(&s->out, FAMILY, KTLS_CMD_MODULE_GET, 0, to->nlmsg_seq);
	put_string(&s->out, KTLS_A_MODULE_VERSION, "0.1.0");
	put_u32(&s->out, KTLS_A_MODULE_ARMED,
		is_like("incomplete-hooks") ? 0x2bf : 0x3ff);
	put_u32(&s->out, KTLS_A_MODULE_MISSING,
		is_like("incomplete-hooks") ? 0x140 : 0);
	put_uint(&s->out, KTLS_A_MODULE_OPEN, is_like("empty") ? 0 : 4);
	put_u32(&s->out, KTLS_A_MODULE_CLOSED, is_like("empty") ? 0 : 1);
	put_u32(&s->out, KTLS_A_MODULE_CLOSED_LIMIT, 1024);
	put_uint(&s->out, KTLS_A_MODULE_LOST_SOCKETS, 0);
	put_uint(&s->out, KTLS_A_MODULE_LOST_EVENTS, 3);
	put_u64(&s->out, KTLS_A_MODULE_LOAD_TIME, 1700000000000000000);
	spoil(s);
	send_out(s);
	reply_error(s, to, 0, NULL);
}

static void get_socket(struct server *s, const struct nlmsghdr *to)
{
	uint64_t cookie = wanted_cookie(to);

	if (cookie < 1001 || cookie > 1005) {
		reply_error(s, to, -ENOENT, "no such socket here");
		return;
	}
	message_genl(&s->out, FAMILY, KTLS_CMD_SOCKET_GET, 0, to->nlmsg_seq);
	put_socket(&s->out, cookie - 1000);
	spoil(s);
	send_out(s);
	reply_error(s, to, 0, NULL);
}

static void answer(struct server *s, const struct nlmsghdr *nlh)
{
	const struct genlmsghdr *genl = NLMSG_DATA(nlh);
	bool dump = nlh->nlmsg_flags & NLM_F_DUMP;
	uint16_t family = FAMILY;

	if (nlh->nlmsg_type == GENL_ID_CTRL) {
		reply_family(s, nlh);
		return;
	}
	if (is_like("reloaded"))
		family = RELOADED_FAMILY;
	if (nlh->nlmsg_type != family || is_like("unloaded"))
		reply_error(s, nlh, -ENOENT, NULL);
	else if (is_like("old"))
		reply_error(s, nlh, -EOPNOTSUPP, NULL);
	else if (is_like("explained"))
		reply_error(s, nlh, -EINVAL, "the moon is not full");
	else if (is_like("denied") && dump)
		reply_error(s, nlh, -EPERM, NULL);
	else if (genl->cmd == KTLS_CMD_MODULE_GET)
		get_module(s, nlh);
	else if (genl->cmd == KTLS_CMD_TOTALS_GET)
		dump_totals(s, nlh);
	else if (dump)
		dump_sockets(s, nlh);
	else
		get_socket(s, nlh);
}

static void *serve(void *arg)
{
	_Alignas(8) unsigned char request[4096];
	struct server *s = arg;
	ssize_t len;

	while ((len = recv(s->fd, request, sizeof(request), 0)) > 0)
		if ((size_t)len >= NLMSG_HDRLEN + GENL_HDRLEN)
			answer(s, (struct nlmsghdr *)request);
	close(s->fd);
	free(s);
	return NULL;
}

static void send_event(struct server *s, uint8_t cmd, int direction, int i)
{
	message_genl(&s->out, FAMILY, cmd, 0, 0);
	if (direction >= 0)
		put_u8(&s->out, KTLS_A_SOCKET_DIRECTION, direction);
	put_socket(&s->out, i);
	send_out(s);
}

static void send_farewell(struct server *s)
{
	message_genl(&s->out, GENL_ID_CTRL, CTRL_CMD_DELFAMILY, 0, 0);
	put_u16(&s->out, CTRL_ATTR_FAMILY_ID, FAMILY);
	send_out(s);
}

/* Peers of the sockets that joined the group, for events. */
static struct server *servers[1024];

int __wrap_ktls_connect(int netns);
int __wrap_ktls_join(int fd, uint32_t group);
ssize_t __real_recvmsg(int fd, struct msghdr *msg, int flags);
ssize_t __wrap_recvmsg(int fd, struct msghdr *msg, int flags);

int __wrap_ktls_connect(int netns)
{
	sigset_t all, before;
	struct server *s;
	pthread_t thread;
	int fds[2], err;

	if (netns >= 0 && is_like("refuse-netns"))
		return -EPERM;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds))
		return -errno;
	s = calloc(1, sizeof(*s));
	if (!s)
		return -ENOMEM;
	s->fd = fds[1];
	servers[fds[0]] = s;
	/* A kernel takes no signals from those who wait for them. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	err = pthread_create(&thread, NULL, serve, s);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (err)
		return -err;
	pthread_detach(thread);
	return fds[0];
}

int __wrap_ktls_join(int fd, uint32_t group)
{
	struct server *s = servers[fd];

	if (is_like("denied"))
		return -EPERM;
	if (group != GROUP)
		return 0;
	send_event(s, KTLS_CMD_SOCKET_INSTALL_NTF, KTLS_DIRECTION_TX, 1);
	send_event(s, 200, KTLS_DIRECTION_TX, 1);
	send_event(s, KTLS_CMD_SOCKET_REKEY_NTF, KTLS_DIRECTION_TX, 3);
	send_event(s, KTLS_CMD_SOCKET_ERROR_NTF, KTLS_DIRECTION_RX, 3);
	send_event(s, KTLS_CMD_SOCKET_CLOSE_NTF, -1, 5);
	if (is_like("farewell"))
		send_farewell(s);
	return 0;
}

/* The one thing that a socket pair cannot do. */
ssize_t __wrap_recvmsg(int fd, struct msghdr *msg, int flags)
{
	if (is_like("lost") && flags & MSG_DONTWAIT && !lost) {
		lost = true;
		errno = ENOBUFS;
		return -1;
	}
	return __real_recvmsg(fd, msg, flags);
}
