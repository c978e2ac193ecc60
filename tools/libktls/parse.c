// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * From netlink attributes to structures.
 *
 * A host has a hundred thousand sockets, and a dump brings some forty
 * attributes of each, so there is one pass, no table of pointers, and no call
 * per attribute.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"

/* A number of whatever width the kernel chose ("uint" is 4 or 8 bytes). */
static inline bool number(const struct nlattr *a, uint64_t *value)
{
	const void *data = ktls_attr_data(a);
	size_t len = ktls_attr_len(a);

	/* The most frequent first. */
	if (len == sizeof(uint32_t))
		*value = *(const uint32_t *)data;
	else if (len == sizeof(uint64_t))
		memcpy(value, data, sizeof(*value));
	else if (len == sizeof(uint16_t))
		*value = *(const uint16_t *)data;
	else if (len == sizeof(uint8_t))
		*value = *(const uint8_t *)data;
	else
		return false;
	return true;
}

#define NUMBER(field)						\
	do {							\
		if (!number(a, &value))				\
			return -EBADMSG;			\
		(field) = value;				\
	} while (0)

static inline bool port(const struct nlattr *a, uint16_t *value)
{
	const uint8_t *data = ktls_attr_data(a);

	if (ktls_attr_len(a) != sizeof(*value))
		return false;
	*value = data[0] << 8 | data[1];
	return true;
}

static inline bool address(const struct nlattr *a, uint8_t value[16])
{
	switch (ktls_attr_len(a)) {
	case 4:
		memcpy(value, ktls_attr_data(a), 4);
		return true;
	case 16:
		memcpy(value, ktls_attr_data(a), 16);
		return true;
	}
	return false;
}

/* Copies what fits; the structure was cleared, so the last byte is NUL. */
static inline void string(const struct nlattr *a, char *value, size_t size)
{
	size_t len = ktls_attr_len(a);

	memcpy(value, ktls_attr_data(a), len < size ? len : size - 1);
}

static int parse_stream(const struct nlattr *nest, struct ktls_stream *s)
{
	ssize_t left = ktls_attr_len(nest);
	const struct nlattr *a;
	uint64_t value;

	ktls_for_each_attr(a, ktls_attr_data(nest), left) {
		switch (a->nla_type & NLA_TYPE_MASK) {
		case KTLS_A_STREAM_MODE:
			NUMBER(s->mode);
			break;
		case KTLS_A_STREAM_VERSION:
			NUMBER(s->version);
			break;
		case KTLS_A_STREAM_CIPHER:
			NUMBER(s->cipher);
			break;
		case KTLS_A_STREAM_RECORDS:
			NUMBER(s->records);
			break;
		case KTLS_A_STREAM_PAYLOAD_BYTES:
			NUMBER(s->payload_bytes);
			break;
		case KTLS_A_STREAM_WIRE_BYTES:
			NUMBER(s->wire_bytes);
			break;
		case KTLS_A_STREAM_CONTROL_RECORDS:
			NUMBER(s->control_records);
			break;
		case KTLS_A_STREAM_REKEYS:
			NUMBER(s->rekeys);
			break;
		case KTLS_A_STREAM_KEY_RECORDS:
			NUMBER(s->key_records);
			break;
		case KTLS_A_STREAM_LAST_ERROR:
			NUMBER(s->last_error);
			break;
		case KTLS_A_STREAM_IFINDEX:
			NUMBER(s->ifindex);
			break;
		}
	}
	return left > 0 ? -EBADMSG : 0;
}

int ktls_parse_socket(const void *attrs, size_t len, struct ktls_socket *s,
		      int *direction)
{
	ssize_t left = len;
	const struct nlattr *a;
	uint64_t value;

	memset(s, 0, sizeof(*s));
	*direction = -1;
	s->rule = -1;
	ktls_for_each_attr(a, attrs, left) {
		switch (a->nla_type & NLA_TYPE_MASK) {
		case KTLS_A_SOCKET_COOKIE:
			NUMBER(s->cookie);
			break;
		case KTLS_A_SOCKET_DIRECTION:
			NUMBER(*direction);
			break;
		case KTLS_A_SOCKET_FAMILY:
			NUMBER(s->family);
			break;
		case KTLS_A_SOCKET_LOCAL_ADDR:
			if (!address(a, s->local_addr))
				return -EBADMSG;
			break;
		case KTLS_A_SOCKET_REMOTE_ADDR:
			if (!address(a, s->remote_addr))
				return -EBADMSG;
			break;
		case KTLS_A_SOCKET_LOCAL_PORT:
			if (!port(a, &s->local_port))
				return -EBADMSG;
			break;
		case KTLS_A_SOCKET_REMOTE_PORT:
			if (!port(a, &s->remote_port))
				return -EBADMSG;
			break;
		case KTLS_A_SOCKET_INODE:
			NUMBER(s->inode);
			break;
		case KTLS_A_SOCKET_UID:
			NUMBER(s->uid);
			break;
		case KTLS_A_SOCKET_CGROUP_ID:
			NUMBER(s->cgroup_id);
			break;
		case KTLS_A_SOCKET_NETNS:
			NUMBER(s->netns);
			break;
		case KTLS_A_SOCKET_PID:
			NUMBER(s->pid);
			break;
		case KTLS_A_SOCKET_COMM:
			string(a, s->comm, sizeof(s->comm));
			break;
		case KTLS_A_SOCKET_INSTALL_TIME:
			NUMBER(s->install_time);
			break;
		case KTLS_A_SOCKET_CLOSE_TIME:
			NUMBER(s->close_time);
			break;
		case KTLS_A_SOCKET_FLAGS:
			NUMBER(s->flags);
			break;
		case KTLS_A_SOCKET_TX:
			if (parse_stream(a, &s->tx))
				return -EBADMSG;
			break;
		case KTLS_A_SOCKET_RX:
			if (parse_stream(a, &s->rx))
				return -EBADMSG;
			break;
		case KTLS_A_SOCKET_RULE:
			NUMBER(s->rule);
			break;
		}
	}
	return left > 0 ? -EBADMSG : 0;
}

int ktls_parse_totals(const void *attrs, size_t len, struct ktls_totals *t)
{
	ssize_t left = len;
	const struct nlattr *a;
	uint64_t value;

	memset(t, 0, sizeof(*t));
	ktls_for_each_attr(a, attrs, left) {
		switch (a->nla_type & NLA_TYPE_MASK) {
		case KTLS_A_TOTALS_DIRECTION:
			NUMBER(t->direction);
			break;
		case KTLS_A_TOTALS_MODE:
			NUMBER(t->mode);
			break;
		case KTLS_A_TOTALS_VERSION:
			NUMBER(t->version);
			break;
		case KTLS_A_TOTALS_CIPHER:
			NUMBER(t->cipher);
			break;
		case KTLS_A_TOTALS_OPEN:
			NUMBER(t->open);
			break;
		case KTLS_A_TOTALS_CLOSED:
			NUMBER(t->closed);
			break;
		case KTLS_A_TOTALS_BUSY:
			NUMBER(t->busy);
			break;
		case KTLS_A_TOTALS_RECORDS:
			NUMBER(t->records);
			break;
		case KTLS_A_TOTALS_PAYLOAD_BYTES:
			NUMBER(t->payload_bytes);
			break;
		case KTLS_A_TOTALS_WIRE_BYTES:
			NUMBER(t->wire_bytes);
			break;
		case KTLS_A_TOTALS_CONTROL_RECORDS:
			NUMBER(t->control_records);
			break;
		case KTLS_A_TOTALS_REKEYS:
			NUMBER(t->rekeys);
			break;
		case KTLS_A_TOTALS_ERRORS:
			NUMBER(t->errors);
			break;
		}
	}
	return left > 0 ? -EBADMSG : 0;
}

int ktls_parse_module(const void *attrs, size_t len, struct ktls_module *m)
{
	ssize_t left = len;
	const struct nlattr *a;
	uint64_t value;

	memset(m, 0, sizeof(*m));
	ktls_for_each_attr(a, attrs, left) {
		switch (a->nla_type & NLA_TYPE_MASK) {
		case KTLS_A_MODULE_VERSION:
			string(a, m->version, sizeof(m->version));
			break;
		case KTLS_A_MODULE_ARMED:
			NUMBER(m->armed);
			break;
		case KTLS_A_MODULE_MISSING:
			NUMBER(m->missing);
			break;
		case KTLS_A_MODULE_OPEN:
			NUMBER(m->open);
			break;
		case KTLS_A_MODULE_CLOSED:
			NUMBER(m->closed);
			break;
		case KTLS_A_MODULE_CLOSED_LIMIT:
			NUMBER(m->closed_limit);
			break;
		case KTLS_A_MODULE_LOST_SOCKETS:
			NUMBER(m->lost_sockets);
			break;
		case KTLS_A_MODULE_LOST_EVENTS:
			NUMBER(m->lost_events);
			break;
		case KTLS_A_MODULE_LOAD_TIME:
			NUMBER(m->load_time);
			break;
		case KTLS_A_MODULE_ATTEMPTS:
			NUMBER(m->attempts);
			break;
		case KTLS_A_MODULE_ATTEMPTS_LIMIT:
			NUMBER(m->attempts_limit);
			break;
		case KTLS_A_MODULE_LOST_ATTEMPTS:
			NUMBER(m->lost_attempts);
			break;
		}
	}
	return left > 0 ? -EBADMSG : 0;
}

int ktls_parse_attempt(const void *attrs, size_t len, struct ktls_attempt *t)
{
	ssize_t left = len;
	const struct nlattr *a;
	uint64_t value;

	memset(t, 0, sizeof(*t));
	t->action = -1;
	ktls_for_each_attr(a, attrs, left) {
		switch (a->nla_type & NLA_TYPE_MASK) {
		case KTLS_A_ATTEMPT_NUMBER:
			NUMBER(t->number);
			break;
		case KTLS_A_ATTEMPT_TIME:
			NUMBER(t->time);
			break;
		case KTLS_A_ATTEMPT_STEP:
			NUMBER(t->step);
			break;
		case KTLS_A_ATTEMPT_ERRNO:
			NUMBER(t->error);
			break;
		case KTLS_A_ATTEMPT_ACTION:
			NUMBER(t->action);
			break;
		case KTLS_A_ATTEMPT_RULE:
			NUMBER(t->rule);
			break;
		case KTLS_A_ATTEMPT_FLAGS:
			NUMBER(t->flags);
			break;
		case KTLS_A_ATTEMPT_VERSION:
			NUMBER(t->version);
			break;
		case KTLS_A_ATTEMPT_CIPHER:
			NUMBER(t->cipher);
			break;
		case KTLS_A_ATTEMPT_MODE:
			NUMBER(t->mode);
			break;
		case KTLS_A_ATTEMPT_COOKIE:
			NUMBER(t->cookie);
			break;
		case KTLS_A_ATTEMPT_FAMILY:
			NUMBER(t->family);
			break;
		case KTLS_A_ATTEMPT_LOCAL_ADDR:
			if (!address(a, t->local_addr))
				return -EBADMSG;
			break;
		case KTLS_A_ATTEMPT_REMOTE_ADDR:
			if (!address(a, t->remote_addr))
				return -EBADMSG;
			break;
		case KTLS_A_ATTEMPT_LOCAL_PORT:
			if (!port(a, &t->local_port))
				return -EBADMSG;
			break;
		case KTLS_A_ATTEMPT_REMOTE_PORT:
			if (!port(a, &t->remote_port))
				return -EBADMSG;
			break;
		case KTLS_A_ATTEMPT_INODE:
			NUMBER(t->inode);
			break;
		case KTLS_A_ATTEMPT_UID:
			NUMBER(t->uid);
			break;
		case KTLS_A_ATTEMPT_CGROUP_ID:
			NUMBER(t->cgroup_id);
			break;
		case KTLS_A_ATTEMPT_NETNS:
			NUMBER(t->netns);
			break;
		case KTLS_A_ATTEMPT_PID:
			NUMBER(t->pid);
			break;
		case KTLS_A_ATTEMPT_COMM:
			string(a, t->comm, sizeof(t->comm));
			break;
		}
	}
	return left > 0 ? -EBADMSG : 0;
}

int ktls_parse_outcome(const void *attrs, size_t len, struct ktls_outcome *o)
{
	ssize_t left = len;
	const struct nlattr *a;
	uint64_t value;

	memset(o, 0, sizeof(*o));
	ktls_for_each_attr(a, attrs, left) {
		switch (a->nla_type & NLA_TYPE_MASK) {
		case KTLS_A_OUTCOME_STEP:
			NUMBER(o->step);
			break;
		case KTLS_A_OUTCOME_ERRNO:
			NUMBER(o->error);
			break;
		case KTLS_A_OUTCOME_ATTEMPTS:
			NUMBER(o->attempts);
			break;
		}
	}
	return left > 0 ? -EBADMSG : 0;
}

int ktls_parse_rule(const void *attrs, size_t len, struct ktls_rule *r)
{
	ssize_t left = len;
	const struct nlattr *a;
	uint64_t value;

	memset(r, 0, sizeof(*r));
	ktls_for_each_attr(a, attrs, left) {
		switch (a->nla_type & NLA_TYPE_MASK) {
		case KTLS_A_RULE_ACTION:
			NUMBER(r->action);
			break;
		case KTLS_A_RULE_ULP:
			break;
		case KTLS_A_RULE_DIRECTION:
			NUMBER(r->direction);
			break;
		case KTLS_A_RULE_VERSION:
			NUMBER(r->version);
			break;
		case KTLS_A_RULE_CIPHER:
			NUMBER(r->cipher);
			break;
		case KTLS_A_RULE_MODE:
			NUMBER(r->mode);
			break;
		case KTLS_A_RULE_UID:
			NUMBER(r->uid);
			break;
		case KTLS_A_RULE_CGROUP_ID:
			NUMBER(r->cgroup_id);
			break;
		case KTLS_A_RULE_PORT:
			if (!port(a, &r->port))
				return -EBADMSG;
			break;
		case KTLS_A_RULE_LOCAL_PORT:
			if (!port(a, &r->local_port))
				return -EBADMSG;
			break;
		case KTLS_A_RULE_REMOTE_PORT:
			if (!port(a, &r->remote_port))
				return -EBADMSG;
			break;
		case KTLS_A_RULE_COMM:
			string(a, r->comm, sizeof(r->comm));
			break;
		case KTLS_A_RULE_HITS:
			NUMBER(r->hits);
			continue;
		case KTLS_A_RULE_PAD:
			continue;
		default:
			/* Without it, the rule would match more. */
			r->match |= KTLS_RULE_UNKNOWN;
			continue;
		}
		r->match |= 1U << (a->nla_type & NLA_TYPE_MASK);
	}
	r->match &= ~KTLS_RULE_MATCH(ACTION);
	return left > 0 ? -EBADMSG : 0;
}

static size_t count_rules(const void *attrs, ssize_t left)
{
	const struct nlattr *a;
	size_t count = 0;

	ktls_for_each_attr(a, attrs, left)
		count += (a->nla_type & NLA_TYPE_MASK) == KTLS_A_POLICY_RULE;
	return count;
}

int ktls_parse_policy(const void *attrs, size_t len, struct ktls_policy *p)
{
	ssize_t left = len;
	const struct nlattr *a;
	uint64_t value;

	memset(p, 0, sizeof(*p));
	p->rules = calloc(count_rules(attrs, len) ?: 1, sizeof(*p->rules));
	if (!p->rules)
		return -ENOMEM;
	ktls_for_each_attr(a, attrs, left) {
		switch (a->nla_type & NLA_TYPE_MASK) {
		case KTLS_A_POLICY_GENERATION:
			NUMBER(p->generation);
			break;
		case KTLS_A_POLICY_DEFAULT:
			NUMBER(p->fallback);
			break;
		case KTLS_A_POLICY_DRY_RUN:
			p->dry_run = true;
			break;
		case KTLS_A_POLICY_INHERIT:
			p->inherit = true;
			break;
		case KTLS_A_POLICY_HITS:
			NUMBER(p->hits);
			break;
		case KTLS_A_POLICY_RULE:
			if (ktls_parse_rule(ktls_attr_data(a), ktls_attr_len(a),
					    &p->rules[p->rules_count++]))
				return -EBADMSG;
			break;
		}
	}
	return left > 0 ? -EBADMSG : 0;
}

int ktls_parse_verdict(const void *attrs, size_t len, struct ktls_verdict *v)
{
	ssize_t left = len;
	const struct nlattr *a;
	uint64_t value;

	memset(v, 0, sizeof(*v));
	ktls_for_each_attr(a, attrs, left) {
		switch (a->nla_type & NLA_TYPE_MASK) {
		case KTLS_A_QUESTION_ACTION:
			NUMBER(v->action);
			break;
		case KTLS_A_QUESTION_RULE:
			NUMBER(v->rule);
			break;
		case KTLS_A_QUESTION_FLAGS:
			NUMBER(v->flags);
			break;
		}
	}
	return left > 0 ? -EBADMSG : 0;
}
