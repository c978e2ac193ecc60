// SPDX-License-Identifier: GPL-2.0-or-later
/* How often each source connects. */
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "sources.h"

#define SECOND 1000000000ull

/* A source can be in one place of these, found by its hash. */
#define SETS 1024
#define WAYS 8

struct source {
	uint64_t prefix[2];	/* the address, and the listener */
	uint64_t due;		/* when what it has taken is paid off; 0: no source */
};

struct sources {
	uint64_t seed;		/* nobody is to know who shares its set with whom */
	struct source table[SETS][WAYS];
};

struct sources *sources_new(void)
{
	struct sources *s = calloc(1, sizeof(*s));

	if (s && getrandom(&s->seed, sizeof(s->seed), 0) != sizeof(s->seed)) {
		free(s);
		return NULL;
	}
	return s;
}

void sources_free(struct sources *s)
{
	free(s);
}

/* False for a socket that has no address. */
static bool read_prefix(const struct sockaddr *from, uint64_t *prefix)
{
	const struct sockaddr_in6 *in6 = (const void *)from;
	const struct sockaddr_in *in = (const void *)from;
	uint32_t in_addr;

	*prefix = 0;
	if (from->sa_family == AF_INET) {
		in_addr = in->sin_addr.s_addr;
	} else if (from->sa_family != AF_INET6) {
		return false;
	} else if (!IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr)) {
		memcpy(prefix, &in6->sin6_addr, sizeof(*prefix));
		return true;
	} else {
		memcpy(&in_addr, &in6->sin6_addr.s6_addr[12], sizeof(in_addr));
	}
	/* Not ::/64, which is of IPv6. */
	*prefix = (uint64_t)in_addr << 32 | 0xffff;
	return true;
}

static uint64_t mix(uint64_t n)
{
	n ^= n >> 32;
	n *= 0xd6e8feb86659fd93ull;
	n ^= n >> 32;
	n *= 0xd6e8feb86659fd93ull;
	return n ^ n >> 32;
}

/* Its place, or that of the one which was quiet longest. */
static struct source *find(struct sources *s, const uint64_t prefix[2])
{
	uint64_t hash = mix(mix(prefix[0] ^ s->seed) ^ prefix[1]);
	struct source *set = s->table[hash % SETS], *oldest = set;
	unsigned int i;

	for (i = 0; i < WAYS; i++) {
		if (set[i].due && !memcmp(set[i].prefix, prefix,
					  sizeof(set[i].prefix)))
			return &set[i];
		if (set[i].due < oldest->due)
			oldest = &set[i];
	}
	memcpy(oldest->prefix, prefix, sizeof(oldest->prefix));
	oldest->due = 0;
	return oldest;
}

bool sources_admit(struct sources *s, size_t listener,
		   const struct sockaddr *from, uint64_t cost, uint64_t now)
{
	uint64_t prefix[2] = { 0, listener }, due;
	struct source *source;

	if (!read_prefix(from, &prefix[0]))
		return true;
	source = find(s, prefix);
	due = (source->due > now ? source->due : now) + cost;
	if (due - now > (cost > SECOND ? cost : SECOND))
		return false;
	source->due = due;
	return true;
}
