/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where connections come from, and how many of each.  A source is an address of
 * IPv4, or a /64 of IPv6, which is what one host may have.
 */
#ifndef SOURCES_H
#define SOURCES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

struct sources;

/* %NULL without memory. */
struct sources *sources_new(void);
void sources_free(struct sources *s);

/*
 * Whether one more connection to @listener is within its rate: one each @cost
 * nanoseconds, with as many at once as make a second, but one at least.  What has
 * no address is.  Of too many sources those that were quiet longest are forgotten.
 */
bool sources_admit(struct sources *s, size_t listener,
		   const struct sockaddr *from, uint64_t cost, uint64_t now);

#endif /* SOURCES_H */
