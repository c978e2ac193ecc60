/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the files of libktls share, and the unit tests look into. */
#ifndef KTLS_INTERNAL_H
#define KTLS_INTERNAL_H

#include <stddef.h>

#include <linux/netlink.h>

#include "libktls.h"

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

/*
 * Walk over attributes.  After the loop @len is 0 if they were well formed.
 * All of them are aligned as netlink wants it, but for eight-byte payloads.
 */
static inline bool ktls_attr_ok(const struct nlattr *a, size_t len)
{
	return len >= sizeof(*a) && a->nla_len >= sizeof(*a) &&
	       a->nla_len <= len;
}

static inline const struct nlattr *ktls_attr_next(const struct nlattr *a,
						  size_t *len)
{
	size_t step = NLA_ALIGN(a->nla_len);

	/* The padding of the last one may be left out. */
	if (step > *len)
		step = *len;
	*len -= step;
	return (const struct nlattr *)((const char *)a + step);
}

#define ktls_for_each_attr(a, attrs, len) \
	for ((a) = (attrs); ktls_attr_ok(a, len); \
	     (a) = ktls_attr_next(a, &(len)))

static inline const void *ktls_attr_data(const struct nlattr *a)
{
	return a + 1;
}

static inline size_t ktls_attr_len(const struct nlattr *a)
{
	return a->nla_len - sizeof(*a);
}

#endif /* KTLS_INTERNAL_H */
