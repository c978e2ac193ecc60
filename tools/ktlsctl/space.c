// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Network namespaces: the TCP connections of each, as sock_diag has them, and
 * what ktls.ko knows there.  A port or a process says nothing about the
 * namespace, and who looks at the wrong one sees nothing: so all are searched
 * that some process is in.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/sock_diag.h>
#include <linux/tcp.h>
#include <linux/tls.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sock_diag.h"
#include "why.h"

/* Of the kernel's include/net/tcp_states.h: established, or half-closed. */
#define STATES (1 << 1 | 1 << 4 | 1 << 5 | 1 << 8)

/* What TLS_INFO_TXCONF and _RXCONF say. */
#define CONF_SW 2
#define CONF_HW 3
#define CONF_HW_RECORD 4

struct reading {
	struct space *space;
	wanted_fn *wanted;
	const void *arg;
	bool out_of_memory;
};

/* Attributes, one after the other; %NULL at the end. */
static const struct nlattr *next_attr(const char **p, size_t *left)
{
	const struct nlattr *a = (const struct nlattr *)*p;
	size_t len;

	if (*left < sizeof(*a) || a->nla_len < sizeof(*a) || a->nla_len > *left)
		return NULL;
	len = NLA_ALIGN(a->nla_len);
	if (len > *left)
		len = *left;
	*p += len;
	*left -= len;
	return a;
}

static size_t attr_len(const struct nlattr *a)
{
	return a->nla_len - NLA_HDRLEN;
}

static const char *attr_data(const struct nlattr *a)
{
	return (const char *)a + NLA_HDRLEN;
}

static uint16_t attr_u16(const struct nlattr *a)
{
	uint16_t value = 0;

	if (attr_len(a) >= sizeof(value))
		memcpy(&value, attr_data(a), sizeof(value));
	return value;
}

static uint32_t mode_of(uint16_t conf)
{
	return conf == CONF_SW ? KTLS_MODE_SW :
	       conf == CONF_HW || conf == CONF_HW_RECORD ? KTLS_MODE_HW :
	       KTLS_MODE_NONE;
}

static void parse_tls(struct connection *c, const struct nlattr *tls)
{
	const char *p = attr_data(tls);
	size_t left = attr_len(tls);
	const struct nlattr *a;

	while ((a = next_attr(&p, &left))) {
		switch (a->nla_type & NLA_TYPE_MASK) {
		case TLS_INFO_VERSION:
			c->version = attr_u16(a);
			break;
		case TLS_INFO_CIPHER:
			c->cipher = attr_u16(a);
			break;
		case TLS_INFO_TXCONF:
			c->mode[KTLS_DIRECTION_TX] = mode_of(attr_u16(a));
			break;
		case TLS_INFO_RXCONF:
			c->mode[KTLS_DIRECTION_RX] = mode_of(attr_u16(a));
			break;
		}
	}
}

static void parse_ulp(struct connection *c, const struct nlattr *ulp)
{
	const char *p = attr_data(ulp), *name;
	size_t left = attr_len(ulp);
	const struct nlattr *a;

	c->ulp = ULP_OTHER;
	while ((a = next_attr(&p, &left))) {
		switch (a->nla_type & NLA_TYPE_MASK) {
		case INET_ULP_INFO_NAME:
			name = attr_data(a);
			if (attr_len(a) >= 4 && !memcmp(name, "tls", 4))
				c->ulp = ULP_TLS;
			else if (attr_len(a) >= 6 && !memcmp(name, "mptcp", 6))
				c->ulp = ULP_MPTCP;
			break;
		case INET_ULP_INFO_TLS:
			parse_tls(c, a);
			break;
		}
	}
}

/* Has each end said something? */
static void parse_info(struct connection *c, const struct nlattr *a)
{
	struct tcp_info info = { 0 };
	size_t len = attr_len(a);

	if (len < offsetof(struct tcp_info, tcpi_segs_out))
		return;
	memcpy(&info, attr_data(a), len < sizeof(info) ? len : sizeof(info));
	/* The SYN is acknowledged like a byte. */
	c->sent = info.tcpi_bytes_acked ? info.tcpi_bytes_acked - 1 : 0;
	c->silent = !info.tcpi_bytes_received || !c->sent;
}

static void keep_connection(const struct inet_diag_msg *m, size_t len,
			    void *arg)
{
	struct reading *r = arg;
	struct space *s = r->space;
	struct connection c = { .space = s }, *list;
	const char *p = (const char *)(m + 1);
	size_t left = len - sizeof(*m);
	const struct nlattr *a;

	/* Nobody has it any more. */
	if (!m->idiag_inode || r->out_of_memory)
		return;
	c.cookie = diag_cookie(&m->id);
	c.inode = m->idiag_inode;
	c.uid = m->idiag_uid;
	c.family = m->idiag_family;
	c.local_port = ntohs(m->id.idiag_sport);
	c.remote_port = ntohs(m->id.idiag_dport);
	memcpy(c.local_addr, m->id.idiag_src, sizeof(c.local_addr));
	memcpy(c.remote_addr, m->id.idiag_dst, sizeof(c.remote_addr));
	if (!r->wanted(&c, r->arg))
		return;
	c.ulp = s->sees_all ? ULP_NONE : ULP_HIDDEN;
	while ((a = next_attr(&p, &left))) {
		if ((a->nla_type & NLA_TYPE_MASK) == INET_DIAG_ULP_INFO)
			parse_ulp(&c, a);
		else if ((a->nla_type & NLA_TYPE_MASK) == INET_DIAG_INFO)
			parse_info(&c, a);
	}
	if (s->count == s->room) {
		s->room = s->room ? s->room * 2 : 64;
		list = reallocarray(s->list, s->room, sizeof(*list));
		if (!list) {
			r->out_of_memory = true;
			return;
		}
		s->list = list;
	}
	s->list[s->count++] = c;
}

static int connect_there(void *arg)
{
	bool *sees_all = arg;

	*sees_all = sees_all_sockets();
	return sock_diag_connect();
}

static int dump(struct diag *d, struct reading *r, uint8_t family)
{
	const struct inet_diag_req_v2 req = {
		.sdiag_family = family,
		.sdiag_protocol = IPPROTO_TCP,
		.idiag_ext = 1 << (INET_DIAG_INFO - 1),
		.idiag_states = STATES,
	};

	return diag_ask(d, SOCK_DIAG_BY_FAMILY, NLM_F_DUMP, &req,
			keep_connection, r);
}

static int by_ends(const void *a, const void *b)
{
	const struct connection *x = a, *y = b;

	return x->cookie < y->cookie ? -1 : x->cookie > y->cookie;
}

static int read_connections(struct space *s, wanted_fn *wanted, const void *arg)
{
	struct reading r = { .space = s, .wanted = wanted, .arg = arg };
	struct diag *d = calloc(1, sizeof(*d));
	int err;

	if (!d)
		return -ENOMEM;
	d->fd = s->fd < 0 ? connect_there(&s->sees_all) :
			    in_netns(s->fd, connect_there, &s->sees_all);
	err = d->fd < 0 ? d->fd : 0;
	if (!err)
		err = dump(d, &r, AF_INET);
	if (!err)
		err = dump(d, &r, AF_INET6);
	if (!err && r.out_of_memory)
		err = -ENOMEM;
	if (d->fd >= 0)
		close(d->fd);
	free(d);
	if (s->count)
		qsort(s->list, s->count, sizeof(*s->list), by_ends);
	return err;
}

/* That of a process; 0, -errno, or 1 if that is elsewhere or gone by now. */
static int open_space(struct space *s, const struct netns *netns)
{
	struct stat st;
	char path[64];

	*s = (struct space){ .ino = netns->ino, .pid = netns->pid, .fd = -1,
			     .known_since = UINT64_MAX };
	snprintf(path, sizeof(path), "/proc/%u/ns/net", netns->pid);
	s->fd = open(path, O_RDONLY | O_CLOEXEC);
	if (s->fd < 0)
		return errno == ENOENT ? 1 : -errno;
	if (!fstat(s->fd, &st) && st.st_ino == s->ino)
		return 0;
	close(s->fd);
	return 1;
}

static enum status read_other_space(struct spaces *spaces,
				    const struct netns *netns,
				    struct missing *missing,
				    wanted_fn *wanted, const void *arg)
{
	struct space *s = &spaces->list[spaces->count];
	int err;

	err = open_space(s, netns);
	if (err > 0)
		return STATUS_OK;
	if (!err) {
		/* Anybody may make many: those with nothing are not kept. */
		err = read_connections(s, wanted, arg);
		if (s->count)
			spaces->count++;
		else
			close(s->fd);
	}
	if (err == -ENOMEM)
		return error(STATUS_FAILED, "out of memory");
	if (err)
		add_missing(missing,
			    "the connections in the network namespace of process %u: %s; try it as root",
			    netns->pid, strerror(-err));
	return STATUS_OK;
}

enum status read_spaces(struct spaces *spaces, const struct holders *h,
			struct missing *missing, wanted_fn *wanted,
			const void *arg)
{
	enum status status = STATUS_OK;
	struct space *s;
	struct stat st;
	size_t i;
	int err;

	*spaces = (struct spaces){ 0 };
	spaces->list = calloc(h->netns_count + 1, sizeof(*spaces->list));
	if (!spaces->list)
		return error(STATUS_FAILED, "out of memory");
	s = &spaces->list[spaces->count++];
	*s = (struct space){ .fd = -1, .known_since = UINT64_MAX };
	if (!stat("/proc/self/ns/net", &st))
		s->ino = st.st_ino;
	err = read_connections(s, wanted, arg);
	if (err == -ENOMEM)
		return error(STATUS_FAILED, "out of memory");
	if (err)
		return diag_explain("list the connections", err);
	/* Who names one wants that one. */
	for (i = 0; !status && i < h->netns_count && !opt.netns; i++)
		if (h->netns[i].ino != s->ino)
			status = read_other_space(spaces, &h->netns[i], missing,
						  wanted, arg);
	return status;
}

void close_spaces(struct spaces *spaces)
{
	size_t i, j;

	for (i = 0; i < spaces->count; i++) {
		struct space *s = &spaces->list[i];

		for (j = 0; j < s->count; j++)
			free_connection(&s->list[j]);
		free(s->list);
		free_sockets(&s->sockets);
		free(s->attempts);
		if (s->policy)
			free(s->policy->rules);
		free(s->policy);
		if (s->fd >= 0)
			close(s->fd);
	}
	free(spaces->list);
	*spaces = (struct spaces){ 0 };
}

/* What ktls.ko knows */

static int keep_attempt(const struct ktls_attempt *t, void *arg)
{
	struct space *s = arg;
	struct ktls_attempt *list;

	if (s->attempts_count == s->attempts_room) {
		s->attempts_room = s->attempts_room ? s->attempts_room * 2 : 64;
		list = reallocarray(s->attempts, s->attempts_room,
				    sizeof(*list));
		if (!list)
			return -ENOMEM;
		s->attempts = list;
	}
	s->attempts[s->attempts_count++] = *t;
	return 0;
}

static bool has_failed(const struct ktls_attempt *t)
{
	return t->error || t->flags & KTLS_ATTEMPT_FLAGS_DRY_RUN;
}

/*
 * Of those that succeeded and of those that failed, so many are kept: since when
 * is each of them that was ever made?
 */
static uint64_t known_since(const struct space *s,
			    const struct ktls_module *module)
{
	uint64_t count[2] = { 0 }, oldest[2] = { 0 }, since = module->load_time;
	size_t i;

	if (!s->sees_all || module->lost_attempts || !module->load_time ||
	    module->missing & (KTLS_HOOK_SET_ULP | KTLS_HOOK_SETSOCKOPT))
		return UINT64_MAX;
	for (i = 0; i < s->attempts_count; i++) {
		const struct ktls_attempt *t = &s->attempts[i];

		if (!count[has_failed(t)]++)
			oldest[has_failed(t)] = t->time;
	}
	for (i = 0; i < 2; i++)
		if (count[i] >= module->attempts_limit && oldest[i] > since)
			since = oldest[i];
	return since;
}

static void keep_policy(struct space *s, const struct ktls_policy *policy)
{
	s->policy = calloc(1, sizeof(*s->policy));
	if (!s->policy)
		return;
	*s->policy = *policy;
	s->policy->rules = calloc(policy->rules_count + 1,
				  sizeof(*policy->rules));
	if (!s->policy->rules) {
		free(s->policy);
		s->policy = NULL;
		return;
	}
	memcpy(s->policy->rules, policy->rules,
	       policy->rules_count * sizeof(*policy->rules));
}

static enum status read_module(struct space *s, struct ktls *ktls,
			       struct missing *missing)
{
	const struct ktls_module *module;
	const struct ktls_policy *policy;
	struct ktls_module copy;
	enum status status;
	int err, tries;

	err = ktls_get_module(ktls, &module);
	if (err)
		return error_ktls(ktls);
	copy = *module;
	s->missing_hooks = copy.missing;
	s->load_time = copy.load_time;
	status = read_sockets(ktls, NULL, &s->sockets);
	for (tries = 0; !status && tries < READ_TRIES; tries++) {
		s->attempts_count = 0;
		err = ktls_dump_attempts(ktls, false, keep_attempt, s);
		if (err != -EAGAIN)
			break;
	}
	if (status)
		return status;
	if (err == -ENOMEM)
		return error(STATUS_FAILED, "out of memory");
	if (err)
		return error_ktls(ktls);
	s->has_module = true;
	s->known_since = known_since(s, &copy);
	if (!s->sees_all)
		add_missing(missing,
			    "attempts and kTLS sockets of other users (they take CAP_NET_ADMIN); try it as root");
	if (copy.missing & (KTLS_HOOK_SET_ULP | KTLS_HOOK_SETSOCKOPT))
		add_missing(missing,
			    "attempts: ktls.ko could not hook them on this kernel; for more, type: ktlsctl module");
	if (!ktls_get_policy(ktls, &policy))
		keep_policy(s, policy);
	return STATUS_OK;
}

enum status read_kernel(struct space *s, struct missing *missing)
{
	enum status status = STATUS_OK;
	struct ktls *ktls;
	int err;

	if (s->asked)
		return STATUS_OK;
	s->asked = true;
	err = ktls_open(&ktls, s->fd);
	if (!err)
		status = read_module(s, ktls, missing);
	else if (err == -ENOPKG)
		add_missing(missing,
			    "what was attempted and what came of it: ktls.ko is not loaded; type: modprobe ktls, then connect anew");
	else
		add_missing(missing, "what ktls.ko knows: %s",
			    ktls_strerror(ktls));
	ktls_close(ktls);
	return status;
}
