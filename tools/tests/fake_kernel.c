// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A kernel to talk to where there is none.
 *
 * The linker puts the functions here in the place of those that make a netlink
 * socket.  At the other end of the pair that they return, a thread answers as
 * the module would, or as $KTLS_FAKE_KERNEL wants it to.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/inet_diag.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MESSAGE_ROOM (256 * 1024)

#include "fake_kernel.h"
#include "internal.h"
#include "message.h"

#define FAMILY 0x21
#define RELOADED_FAMILY 0x22
#define GROUP 9
#define ATTEMPTS_GROUP 10

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

/* Somebody waits for events, and so for something to happen. */
static bool joined;

/* An end of the pair, of the thread that serves it. */
struct server {
	int fd;
	int families;		/* how often the family was asked for */
	void (*answer)(struct server *s, const struct nlmsghdr *nlh);
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
	if (!is_like("old")) {
		group = nest_begin(&s->out, 2);
		put_u32(&s->out, CTRL_ATTR_MCAST_GRP_ID, ATTEMPTS_GROUP);
		put_string(&s->out, CTRL_ATTR_MCAST_GRP_NAME,
			   KTLS_MCGRP_ATTEMPTS);
		nest_end(&s->out, group);
	}
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

static bool wants(const struct nlmsghdr *nlh, uint16_t filter, uint16_t flag)
{
	const struct nlattr *a, *b;
	ssize_t len = nlh->nlmsg_len - NLMSG_HDRLEN - GENL_HDRLEN, in;

	ktls_for_each_attr(a, (const void *)((const char *)nlh + NLMSG_HDRLEN +
					     GENL_HDRLEN), len) {
		if ((a->nla_type & NLA_TYPE_MASK) != filter)
			continue;
		in = ktls_attr_len(a);
		ktls_for_each_attr(b, ktls_attr_data(a), in)
			if (b->nla_type == flag)
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

/* Attempts */

static const struct fake_attempt {
	uint8_t step;
	uint8_t err;
	int8_t action;		/* -1: nobody decided */
	uint8_t rule;
	uint16_t cipher;
} fake_attempts[] = {
	{ KTLS_STEP_ULP, 0, -1, 0, 0 },
	{ KTLS_STEP_TX, 0, -1, 0, KTLS_CIPHER_AES_GCM_128 },
	{ KTLS_STEP_RX, EPERM, KTLS_ACTION_DENY, 2, KTLS_CIPHER_AES_GCM_256 },
	{ KTLS_STEP_ULP, ENOTCONN, -1, 0, 0 },
	{ KTLS_STEP_REKEY_TX, EBUSY, KTLS_ACTION_ALLOW, 0,
	  KTLS_CIPHER_CHACHA20_POLY1305 },
	{ KTLS_STEP_RX, EINVAL, KTLS_ACTION_AUDIT, 250, 4711 },
};

/* Attempt @i from 1; the known ones come again and again. */
static void put_attempt(struct message *m, int i)
{
	const struct fake_attempt *t = &fake_attempts[(i - 1) % 6];
	bool wide = is_like("wide");
	uint8_t local[16] = { 10, 0, 0, 1 }, remote[16] = { 10, 0, 0, 7 };
	int len = wide ? 16 : 4;

	if (wide) {
		memset(local, 0xfd, 16);
		memset(remote, 0xfd, 16);
	}
	put_u64(m, KTLS_A_ATTEMPT_NUMBER, i);
	put_u64(m, KTLS_A_ATTEMPT_TIME, 1700000000000000000 + i * 1000000000ull);
	put_u8(m, KTLS_A_ATTEMPT_STEP, is_like("strange") ? 77 : t->step);
	put_u32(m, KTLS_A_ATTEMPT_ERRNO, is_like("strange") ? 999 :
		is_like("dry-attempts") ? 0 : t->err);
	if (is_like("strange"))
		put_u8(m, KTLS_A_ATTEMPT_ACTION, 77);
	else if (t->action >= 0)
		put_u8(m, KTLS_A_ATTEMPT_ACTION, t->action);
	if (t->rule)
		put_u32(m, KTLS_A_ATTEMPT_RULE, t->rule);
	if (is_like("strange"))
		put_u32(m, KTLS_A_ATTEMPT_FLAGS, 1u << 30);
	else if (is_like("dry-attempts") && t->action >= 0)
		put_u32(m, KTLS_A_ATTEMPT_FLAGS,
			KTLS_ATTEMPT_FLAGS_INHERITED |
			(t->action == KTLS_ACTION_DENY ?
			 KTLS_ATTEMPT_FLAGS_DRY_RUN : 0));
	if (t->cipher) {
		put_u16(m, KTLS_A_ATTEMPT_VERSION,
			t->cipher == 4711 ? 0xffff : KTLS_VERSION_TLS_1_3);
		put_u16(m, KTLS_A_ATTEMPT_CIPHER, t->cipher);
		if (!t->err)
			put_u8(m, KTLS_A_ATTEMPT_MODE, KTLS_MODE_SW);
	}
	put_u64(m, KTLS_A_ATTEMPT_COOKIE, 1000 + i);
	put_u16(m, KTLS_A_ATTEMPT_FAMILY, wide ? AF_INET6 : AF_INET);
	put(m, KTLS_A_ATTEMPT_LOCAL_ADDR, local, len);
	put(m, KTLS_A_ATTEMPT_REMOTE_ADDR, remote, len);
	put_port(m, KTLS_A_ATTEMPT_LOCAL_PORT, wide ? 65535 : 443);
	put_port(m, KTLS_A_ATTEMPT_REMOTE_PORT, 50000 + i);
	put_uint(m, KTLS_A_ATTEMPT_INODE, 4711);
	put_u32(m, KTLS_A_ATTEMPT_UID, i % 2 ? 33 : 0);
	put_uint(m, KTLS_A_ATTEMPT_CGROUP_ID, 1);
	put_u32(m, KTLS_A_ATTEMPT_NETNS, 4026531840);
	put_u32(m, KTLS_A_ATTEMPT_PID, wide ? 4194304 : 812);
	put_string(m, KTLS_A_ATTEMPT_COMM, is_like("noisy") ?
		   "\033[2J\xff\xc3\xa9 \"" :
		   wide ? "fifteen-letters" : "nginx");
}

static int attempts_count(void)
{
	if (is_like("empty") || is_like("no-attempts"))
		return 0;
	return is_like("many") ? 1000 : lost ? 9 : 6;
}

static bool attempt_failed(int i)
{
	const struct fake_attempt *t = &fake_attempts[(i - 1) % 6];

	return is_like("dry-attempts") ? t->action == KTLS_ACTION_DENY : t->err;
}

static void dump_attempts(struct server *s, const struct nlmsghdr *to)
{
	bool failed = wants(to, KTLS_A_ATTEMPT_FILTER,
			    KTLS_A_ATTEMPT_FILTER_FAILED);
	int i;

	for (i = 1; i <= attempts_count(); i++) {
		/* Forgotten. */
		if ((lost && i == 8) || (failed && !attempt_failed(i)))
			continue;
		message_genl(&s->out, FAMILY, KTLS_CMD_ATTEMPT_GET, NLM_F_MULTI,
			     to->nlmsg_seq);
		put_attempt(&s->out, i);
		spoil(s);
		if (s->out.len > 12000)
			send_out(s);
	}
	send_out(s);
	reply_done(s, to, is_like("unfinished") ? -ENOBUFS : 0);
}

static void get_attempt(struct server *s, const struct nlmsghdr *to)
{
	/* The number has the attribute of the same number. */
	uint64_t number = wanted_cookie(to);

	if (!number || number > 6) {
		reply_error(s, to, -ENOENT, "no such attempt here");
		return;
	}
	message_genl(&s->out, FAMILY, KTLS_CMD_ATTEMPT_GET, 0, to->nlmsg_seq);
	put_attempt(&s->out, number);
	spoil(s);
	send_out(s);
	reply_error(s, to, 0, NULL);
}

static void dump_outcomes(struct server *s, const struct nlmsghdr *to)
{
	static const struct ktls_outcome list[] = {
		{ KTLS_STEP_ULP, 0, 12345 }, { KTLS_STEP_ULP, ENOENT, 1 },
		{ KTLS_STEP_ULP, EEXIST, 12345 }, { KTLS_STEP_ULP, EPERM, 1 },
		{ KTLS_STEP_ULP, ENOTCONN, 3 },
		{ KTLS_STEP_TX, 0, 12000 }, { KTLS_STEP_TX, EINVAL, 1 },
		{ KTLS_STEP_RX, EPERM, 7 }, { KTLS_STEP_RX, 92, 1 },
		{ KTLS_STEP_REKEY_TX, EBUSY, 1 }, { KTLS_STEP_REKEY_RX, 0, 1 },
		{ KTLS_STEP_REKEY_RX, EINVAL, 1 }, { KTLS_STEP_RX, 134, 1 },
		{ KTLS_STEP_RX, EADDRNOTAVAIL, UINT64_MAX },
	};
	size_t i;

	for (i = 0; i < sizeof(list) / sizeof(list[0]); i++) {
		if (!attempts_count())
			break;
		message_genl(&s->out, FAMILY, KTLS_CMD_OUTCOME_GET, NLM_F_MULTI,
			     to->nlmsg_seq);
		put_u8(&s->out, KTLS_A_OUTCOME_STEP,
		       is_like("strange") ? 77 : list[i].step);
		put_u32(&s->out, KTLS_A_OUTCOME_ERRNO,
			is_like("strange") ? 999 : list[i].error);
		put_uint(&s->out, KTLS_A_OUTCOME_ATTEMPTS,
			 is_like("wide") ? UINT64_MAX : list[i].attempts +
			 (joined && is_like("refusing") &&
			  list[i].step == KTLS_STEP_RX &&
			  list[i].error == EPERM));
		spoil(s);
	}
	send_out(s);
	reply_done(s, to, 0);
}

/* The policy: what was set, as it was set, and its generation */

static struct state {
	uint32_t generation;
	uint32_t len;
	bool set;
	_Alignas(8) unsigned char attrs[128 * 1024];
} state;

void fake_kernel_reset(void)
{
	memset(&state, 0, sizeof(state));
	lost = false;
}

static void state_file(bool save)
{
	const char *name = getenv("KTLS_FAKE_STATE");
	int fd;

	if (!name)
		return;
	fd = open(name, save ? O_WRONLY | O_CREAT | O_TRUNC : O_RDONLY, 0600);
	if (fd < 0)
		return;
	if ((save ? write(fd, &state, sizeof(state)) :
		    read(fd, &state, sizeof(state))) < 0)
		abort();
	close(fd);
}

/* Rule @i from 1 has decided as often as its number says. */
static void put_rules(struct message *m)
{
	const struct nlattr *a;
	ssize_t left = state.len;
	unsigned int i = 0;
	size_t nest;

	ktls_for_each_attr(a, (const void *)state.attrs, left) {
		if ((a->nla_type & NLA_TYPE_MASK) != KTLS_A_POLICY_RULE) {
			put(m, a->nla_type, ktls_attr_data(a),
			    ktls_attr_len(a));
			continue;
		}
		nest = nest_begin(m, KTLS_A_POLICY_RULE);
		message_bytes(m, ktls_attr_data(a), ktls_attr_len(a));
		put_u64(m, KTLS_A_RULE_HITS, is_like("wide") ? UINT64_MAX : ++i);
		if (is_like("later-rule"))
			put_u32(m, 300, 1);
		/* As nla_put_u64_64bit() does. */
		put(m, KTLS_A_RULE_PAD, "", 0);
		nest_end(m, nest);
	}
}

static void get_policy(struct server *s, const struct nlmsghdr *to)
{
	int i;

	if (is_like("unprivileged")) {
		reply_error(s, to, -EPERM, NULL);
		return;
	}
	state_file(false);
	message_genl(&s->out, FAMILY, KTLS_CMD_POLICY_GET, 0, to->nlmsg_seq);
	put_u32(&s->out, KTLS_A_POLICY_GENERATION, state.generation);
	if (is_like("inherited"))
		put(&s->out, KTLS_A_POLICY_INHERIT, "", 0);
	put_uint(&s->out, KTLS_A_POLICY_HITS, 42);
	put_rules(&s->out);
	for (i = 0; is_like("huge-policy") && i < 10; i++) {
		static const char junk[10000];

		put(&s->out, 300, junk, sizeof(junk));
	}
	spoil(s);
	send_out(s);
	reply_error(s, to, 0, NULL);
}

static void set_policy(struct server *s, const struct nlmsghdr *to)
{
	const void *attrs = (const char *)to + NLMSG_HDRLEN + GENL_HDRLEN;
	ssize_t len = to->nlmsg_len - NLMSG_HDRLEN - GENL_HDRLEN;
	const uint32_t *generation = NULL;
	const struct nlattr *a;
	struct message kept = { .len = 0 };
	static bool once;

	if (is_like("unenforceable")) {
		reply_error(s, to, -EOPNOTSUPP, "hooks are missing, see module-get");
		return;
	}
	state_file(false);
	if (is_like("stale") || (is_like("stale-once") && !once))
		state.generation++;
	once = true;
	ktls_for_each_attr(a, attrs, len) {
		uint16_t type = a->nla_type & NLA_TYPE_MASK;

		if (type == KTLS_A_POLICY_GENERATION)
			generation = ktls_attr_data(a);
		else if (type != KTLS_A_POLICY_INHERIT)
			put(&kept, a->nla_type, ktls_attr_data(a),
			    ktls_attr_len(a));
	}
	if (generation && *generation != state.generation) {
		state_file(true);
		reply_error(s, to, -ESTALE,
			    "the policy was changed meanwhile; read it again");
		return;
	}
	state.generation++;
	state.len = kept.len;
	memcpy(state.attrs, kept.data, kept.len);
	state_file(true);
	message_genl(&s->out, FAMILY, KTLS_CMD_POLICY_SET, 0, to->nlmsg_seq);
	put_u32(&s->out, KTLS_A_POLICY_GENERATION, state.generation);
	spoil(s);
	send_out(s);
	reply_error(s, to, 0, NULL);
}

static bool rule_matches(const struct ktls_rule *r,
			 const struct ktls_question *q)
{
	uint32_t m = r->match;
	uint32_t direction = q->step == KTLS_STEP_RX ||
			     q->step == KTLS_STEP_REKEY_RX;

	return !!(m & KTLS_RULE_MATCH(ULP)) == (q->step == KTLS_STEP_ULP) &&
	       !(m & KTLS_RULE_MATCH(DIRECTION) && r->direction != direction) &&
	       !(m & KTLS_RULE_MATCH(VERSION) && r->version != q->version) &&
	       !(m & KTLS_RULE_MATCH(CIPHER) && r->cipher != q->cipher) &&
	       !(m & KTLS_RULE_MATCH(MODE) && r->mode != q->mode) &&
	       !(m & KTLS_RULE_MATCH(UID) && r->uid != q->uid) &&
	       !(m & KTLS_RULE_MATCH(CGROUP_ID) &&
		 r->cgroup_id != q->cgroup_id) &&
	       !(m & KTLS_RULE_MATCH(PORT) && r->port != q->local_port &&
		 r->port != q->remote_port) &&
	       !(m & KTLS_RULE_MATCH(LOCAL_PORT) &&
		 r->local_port != q->local_port) &&
	       !(m & KTLS_RULE_MATCH(REMOTE_PORT) &&
		 r->remote_port != q->remote_port) &&
	       !(m & KTLS_RULE_MATCH(COMM) && strcmp(r->comm, q->comm));
}

static void judge(const struct ktls_question *q, struct ktls_verdict *v)
{
	struct ktls_policy p;
	size_t i;

	state_file(false);
	memset(v, 0, sizeof(*v));
	if (ktls_parse_policy(state.attrs, state.len, &p))
		abort();
	for (i = 0; i < p.rules_count; i++)
		if (rule_matches(&p.rules[i], q))
			break;
	if (i < p.rules_count) {
		v->rule = i + 1;
		v->action = p.rules[i].action;
	} else if (q->step != KTLS_STEP_ULP) {
		v->action = p.fallback;
	}
	if (v->action == KTLS_ACTION_DENY && p.dry_run)
		v->flags |= KTLS_ATTEMPT_FLAGS_DRY_RUN;
	if (is_like("inherited"))
		v->flags |= KTLS_ATTEMPT_FLAGS_INHERITED;
	free(p.rules);
}

static uint32_t value_of(const struct nlattr *a)
{
	uint32_t value = 0;

	memcpy(&value, ktls_attr_data(a),
	       ktls_attr_len(a) < 4 ? ktls_attr_len(a) : 4);
	return value;
}

static void test_policy(struct server *s, const struct nlmsghdr *to)
{
	const void *attrs = (const char *)to + NLMSG_HDRLEN + GENL_HDRLEN;
	ssize_t len = to->nlmsg_len - NLMSG_HDRLEN - GENL_HDRLEN;
	struct ktls_question q = { .mode = KTLS_MODE_SW, .comm = "caller" };
	const struct nlattr *a;
	struct ktls_verdict v;

	ktls_for_each_attr(a, attrs, len) {
		switch (a->nla_type) {
		case KTLS_A_QUESTION_STEP:
			q.step = value_of(a);
			break;
		case KTLS_A_QUESTION_VERSION:
			q.version = value_of(a);
			break;
		case KTLS_A_QUESTION_CIPHER:
			q.cipher = value_of(a);
			break;
		case KTLS_A_QUESTION_MODE:
			q.mode = value_of(a);
			break;
		case KTLS_A_QUESTION_UID:
			q.uid = value_of(a);
			break;
		case KTLS_A_QUESTION_CGROUP_ID:
			memcpy(&q.cgroup_id, ktls_attr_data(a), 8);
			break;
		case KTLS_A_QUESTION_LOCAL_PORT:
			q.local_port = ntohs(value_of(a));
			break;
		case KTLS_A_QUESTION_REMOTE_PORT:
			q.remote_port = ntohs(value_of(a));
			break;
		case KTLS_A_QUESTION_COMM:
			strncpy(q.comm, ktls_attr_data(a), sizeof(q.comm) - 1);
			break;
		}
	}
	if (q.step != KTLS_STEP_ULP && !q.version) {
		reply_error(s, to, -EINVAL,
			    "with which key? give version and cipher");
		return;
	}
	judge(&q, &v);
	message_genl(&s->out, FAMILY, KTLS_CMD_POLICY_TEST, 0, to->nlmsg_seq);
	put_u8(&s->out, KTLS_A_QUESTION_ACTION, v.action);
	if (v.rule)
		put_u32(&s->out, KTLS_A_QUESTION_RULE, v.rule);
	if (v.flags)
		put_u32(&s->out, KTLS_A_QUESTION_FLAGS, v.flags);
	spoil(s);
	send_out(s);
	reply_error(s, to, 0, NULL);
}

/* The rule that socket @i violates, as put_socket() makes it, or -1. */
static int violated(int i)
{
	struct ktls_question q = {
		.step = KTLS_STEP_TX,
		.mode = i == 3 ? KTLS_MODE_HW : KTLS_MODE_SW,
		.version = i == 2 ? KTLS_VERSION_TLS_1_2 : KTLS_VERSION_TLS_1_3,
		.cipher = KTLS_CIPHER_AES_GCM_128,
		.local_port = 443, .remote_port = 50000 + i, .cgroup_id = 1,
		.comm = "nginx",
	};
	struct ktls_verdict v;

	judge(&q, &v);
	if (v.action != KTLS_ACTION_DENY && i != 2) {
		q.step = KTLS_STEP_RX;
		judge(&q, &v);
	}
	return v.action == KTLS_ACTION_DENY ? (int)v.rule : -1;
}

static void dump_sockets(struct server *s, const struct nlmsghdr *to)
{
	bool violates = wants(to, KTLS_A_SOCKET_FILTER, KTLS_A_FILTER_VIOLATES);
	int first = 1, last = 4, i;

	if (is_like("many"))
		last = 1000;
	if (is_like("empty"))
		last = 0;
	if (lost) {
		first = 2;
		last = 6;
	}
	if (wants(to, KTLS_A_SOCKET_FILTER, KTLS_A_FILTER_CLOSED) && last)
		first = last = 5;
	for (i = first; i <= last; i++) {
		int rule = violates ? violated(i) : -1;

		if (lost && i == 5 && first != last)
			continue;
		if (violates && rule < 0)
			continue;
		if (is_like("stray") && i == 2) {
			message_genl(&s->out, FAMILY, KTLS_CMD_SOCKET_GET,
				     NLM_F_MULTI, to->nlmsg_seq + 1000);
			put_socket(&s->out, 77);
		}
		message_genl(&s->out, FAMILY, KTLS_CMD_SOCKET_GET, NLM_F_MULTI,
			     to->nlmsg_seq);
		put_socket(&s->out, i);
		if (rule >= 0)
			put_u32(&s->out, KTLS_A_SOCKET_RULE, rule);
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
		is_like("incomplete-hooks") ? 0x6bf : 0x7ff);
	put_u32(&s->out, KTLS_A_MODULE_MISSING,
		is_like("incomplete-hooks") ? 0x140 : 0);
	put_uint(&s->out, KTLS_A_MODULE_OPEN, is_like("empty") ? 0 : 4);
	put_u32(&s->out, KTLS_A_MODULE_CLOSED, is_like("empty") ? 0 : 1);
	put_u32(&s->out, KTLS_A_MODULE_CLOSED_LIMIT, 1024);
	put_uint(&s->out, KTLS_A_MODULE_LOST_SOCKETS, 0);
	put_uint(&s->out, KTLS_A_MODULE_LOST_EVENTS, 3);
	put_u64(&s->out, KTLS_A_MODULE_LOAD_TIME, 1700000000000000000);
	put_uint(&s->out, KTLS_A_MODULE_ATTEMPTS, 6);
	put_u32(&s->out, KTLS_A_MODULE_ATTEMPTS_LIMIT, 1024);
	put_uint(&s->out, KTLS_A_MODULE_LOST_ATTEMPTS,
		 is_like("wide") ? UINT64_MAX : 0);
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
	else if (genl->cmd == KTLS_CMD_ATTEMPT_GET && dump)
		dump_attempts(s, nlh);
	else if (genl->cmd == KTLS_CMD_ATTEMPT_GET)
		get_attempt(s, nlh);
	else if (genl->cmd == KTLS_CMD_OUTCOME_GET)
		dump_outcomes(s, nlh);
	else if (genl->cmd == KTLS_CMD_POLICY_GET)
		get_policy(s, nlh);
	else if (genl->cmd == KTLS_CMD_POLICY_SET)
		set_policy(s, nlh);
	else if (genl->cmd == KTLS_CMD_POLICY_TEST)
		test_policy(s, nlh);
	else if (genl->cmd == KTLS_CMD_TOTALS_GET)
		dump_totals(s, nlh);
	else if (dump)
		dump_sockets(s, nlh);
	else
		get_socket(s, nlh);
}

static void *serve(void *arg)
{
	_Alignas(8) static __thread unsigned char request[128 * 1024];
	struct server *s = arg;
	ssize_t len;

	while ((len = recv(s->fd, request, sizeof(request), 0)) > 0)
		if ((size_t)len >= NLMSG_HDRLEN + GENL_HDRLEN)
			s->answer(s, (struct nlmsghdr *)request);
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

static void send_attempt(struct server *s, int i)
{
	message_genl(&s->out, FAMILY, KTLS_CMD_ATTEMPT_NTF, 0, 0);
	put_attempt(&s->out, i);
	send_out(s);
}

/* sock_diag: all sockets but the first, which is bound to a device */

static void diag_sockets(struct server *s, const struct nlmsghdr *to,
			 uint8_t family)
{
	struct inet_diag_msg m = { .idiag_family = family };
	int i, last = is_like("many") ? 1000 : 6;

	for (i = 1; i <= last && !is_like("diag-gone"); i++) {
		if ((i == 4) != (family == AF_INET6))
			continue;
		message_begin(&s->out, SOCK_DIAG_BY_FAMILY, NLM_F_MULTI,
			      to->nlmsg_seq);
		m.id.idiag_cookie[0] = 1000 + i;
		/* No process of any host has such a high one open. */
		m.idiag_inode = 4294000000u + i;
		m.id.idiag_if = i == 1 ? 7 : 0;
		m.id.idiag_sport = htons(443);
		m.id.idiag_dport = htons(50000 + i);
		message_bytes(&s->out, &m, sizeof(m));
		if (s->out.len > 12000)
			send_out(s);
	}
	send_out(s);
	reply_done(s, to, 0);
}

static void diag_destroy(struct server *s, const struct nlmsghdr *to,
			 const struct inet_diag_req_v2 *req)
{
	int i = req->id.idiag_cookie[0] - 1000, err = 0;

	if (is_like("destroy-unknown"))
		err = -EOPNOTSUPP;
	else if (is_like("destroy-denied"))
		err = -EPERM;
	else if (i == 2)
		err = -ENOENT;
	else if (req->id.idiag_sport != htons(443) ||
		 req->id.idiag_dport != htons(50000 + i) ||
		 req->id.idiag_if != (i == 1 ? 7u : 0))
		err = -EINVAL;
	reply_error(s, to, err, NULL);
}

static void diag_answer(struct server *s, const struct nlmsghdr *nlh)
{
	const struct inet_diag_req_v2 *req = NLMSG_DATA(nlh);

	if (nlh->nlmsg_len < NLMSG_LENGTH(sizeof(*req)))
		reply_error(s, nlh, -EINVAL, NULL);
	else if (is_like("diag-missing"))
		reply_error(s, nlh, -ENOENT, NULL);
	else if (nlh->nlmsg_type == SOCK_DESTROY)
		diag_destroy(s, nlh, req);
	else
		diag_sockets(s, nlh, req->sdiag_family);
}

/* Peers of the sockets that joined the group, for events. */
static struct server *servers[1024];

int __wrap_ktls_connect(int netns);
int __wrap_ktls_join(int fd, uint32_t group);
int __wrap_sock_diag_connect(void);
ssize_t __real_recvmsg(int fd, struct msghdr *msg, int flags);
ssize_t __wrap_recvmsg(int fd, struct msghdr *msg, int flags);

static int connect_to(void (*answer_fn)(struct server *s,
					const struct nlmsghdr *nlh))
{
	const int size = 1 << 20;
	sigset_t all, before;
	struct server *s;
	pthread_t thread;
	int fds[2], err;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds))
		return -errno;
	s = calloc(1, sizeof(*s));
	if (!s)
		return -ENOMEM;
	s->fd = fds[1];
	s->answer = answer_fn;
	setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	setsockopt(fds[1], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
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

int __wrap_ktls_connect(int netns)
{
	if (netns >= 0 && is_like("refuse-netns"))
		return -EPERM;
	return connect_to(answer);
}

int __wrap_sock_diag_connect(void)
{
	return is_like("diag-denied") ? -EPERM : connect_to(diag_answer);
}

int __wrap_ktls_join(int fd, uint32_t group)
{
	struct server *s = servers[fd];
	int i;

	if (is_like("denied"))
		return -EPERM;
	joined = true;
	if (is_like("refusing") && group == ATTEMPTS_GROUP)
		send_attempt(s, 9);
	if (is_like("idle") || is_like("refusing"))
		return 0;
	if (group == ATTEMPTS_GROUP) {
		for (i = 6; i <= 10; i++)
			send_attempt(s, i);
		if (is_like("farewell"))
			send_farewell(s);
	}
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
