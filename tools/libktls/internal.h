/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the files of libktls share, and the unit tests look into. */
#ifndef KTLS_INTERNAL_H
#define KTLS_INTERNAL_H

#include <stddef.h>
#include <sys/types.h>

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
