/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the files of libktls share, and the unit tests look into. */
#ifndef KTLS_INTERNAL_H
#define KTLS_INTERNAL_H

#include <stddef.h>
#include <sys/types.h>

#include <linux/netlink.h>

#include "libktls.h"

struct nl_msg;

/* The kernel fills up to 32 KiB of a dump at once if it is offered as much. */
#define KTLS_BUFFER_SIZE (64 * 1024)

/* Multicast groups, in the order of enum ktls_events. */
#define KTLS_GROUPS 2

struct ktls {
	int fd;			/* requests and dumps */
	int event_fd;		/* -1 until ktls_subscribe_to() */
	int netns;		/* -1: that of the caller */
	uint16_t family;	/* 0 until resolved */
	uint32_t groups[KTLS_GROUPS];
	unsigned int joined;	/* enum ktls_events */
	uint32_t seq;
	bool busy;		/* within a callback */
	struct ktls_socket socket;
	struct ktls_module module;
	struct ktls_attempt attempt;
	struct ktls_policy policy;
	struct ktls_verdict verdict;
	char error[640];
	/* What the kernel said about the latest failure. */
	char extack[256];
	unsigned char *buffer;
	size_t buffer_size;
};

/* Keeps what ktls_strerror() is to say; the result is @err. */
__attribute__((format(printf, 3, 4)))
int ktls_fail(struct ktls *k, int err, const char *format, ...);
/* What every request can run into; @what fits "could not ...". */
int ktls_fail_request(struct ktls *k, int err, const char *what);
/* 0, or why the handle cannot be used now. */
int ktls_usable(struct ktls *k);

/* What a request is made of. */
struct ktls_request {
	uint8_t cmd;
	int flags;
	size_t room;		/* for more than a few attributes */
	/* Adds them; 0 or a negative errno. */
	int (*put)(struct nl_msg *msg, const void *what);
	const void *what;
};

/* Takes what follows a message's header; non-zero ends the request. */
typedef int ktls_reply_fn(struct ktls *k, const struct nlmsghdr *nlh,
			  void *arg);

/* Ends a request for a reason that is the caller's. */
#define KTLS_STOPPED 1

/* Sends a request, and gives each message of the answer to @fn. */
int ktls_request(struct ktls *k, const struct ktls_request *request,
		 ktls_reply_fn *fn, void *arg);
/* The attributes of a message; %NULL if it is too short for any. */
const void *ktls_attributes(const struct nlmsghdr *nlh, ssize_t *len);

/*
 * Connects to generic netlink in the namespace @netns (-1: the caller's);
 * a socket or a negative errno.
 */
int ktls_connect(int netns);
/* Joins a multicast group; apart, for tests to replace. */
int ktls_join(int fd, uint32_t group);

/*
 * Fill a structure from the attributes of a message, @len bytes of them.
 * Return 0, or -EBADMSG if they are not well formed.  What is unknown is
 * ignored; of numbers any width is read.
 */
int ktls_parse_socket(const void *attrs, size_t len, struct ktls_socket *socket,
		      int *direction);
int ktls_parse_totals(const void *attrs, size_t len,
		      struct ktls_totals *totals);
int ktls_parse_module(const void *attrs, size_t len,
		      struct ktls_module *module);
int ktls_parse_attempt(const void *attrs, size_t len,
		       struct ktls_attempt *attempt);
int ktls_parse_outcome(const void *attrs, size_t len,
		       struct ktls_outcome *outcome);
int ktls_parse_rule(const void *attrs, size_t len, struct ktls_rule *rule);
/* Also -ENOMEM.  @policy's rules are allocated and are to be freed. */
int ktls_parse_policy(const void *attrs, size_t len,
		      struct ktls_policy *policy);
int ktls_parse_verdict(const void *attrs, size_t len,
		       struct ktls_verdict *verdict);

/*
 * Walk over attributes.  @left is what is left of them, and may get below
 * zero, because the padding of the last one may be missing; it is above zero
 * after the loop if they were not well formed.  All are aligned as netlink
 * wants it, but for eight-byte payloads.
 */
static inline bool ktls_attr_ok(const struct nlattr *a, ssize_t left)
{
	return left >= (ssize_t)sizeof(*a) && a->nla_len >= sizeof(*a) &&
	       a->nla_len <= left;
}

static inline const struct nlattr *ktls_attr_next(const struct nlattr *a,
						  ssize_t *left)
{
	unsigned int step = NLA_ALIGN((unsigned int)a->nla_len);

	*left -= step;
	return (const struct nlattr *)((const char *)a + step);
}

#define ktls_for_each_attr(a, attrs, left) \
	for ((a) = (attrs); ktls_attr_ok(a, left); \
	     (a) = ktls_attr_next(a, &(left)))

static inline const void *ktls_attr_data(const struct nlattr *a)
{
	return a + 1;
}

static inline size_t ktls_attr_len(const struct nlattr *a)
{
	return a->nla_len - sizeof(*a);
}

#endif /* KTLS_INTERNAL_H */
