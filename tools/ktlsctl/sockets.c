// SPDX-License-Identifier: GPL-2.0-or-later
/* A copy of the table. */
#include <errno.h>
#include <stdlib.h>

#include "ktlsctl.h"

struct keep {
	const struct ktls_filter *filter;
	struct sockets *sockets;
};

static int keep_socket(const struct ktls_socket *socket, void *arg)
{
	struct keep *keep = arg;
	struct sockets *s = keep->sockets;
	struct ktls_socket *list;
	size_t room;

	/* A module of another age may not know all of the filter. */
	if (!ktls_filter_match(keep->filter, socket))
		return 0;
	if (s->count == s->room) {
		room = s->room ? s->room * 2 : 64;
		list = reallocarray(s->list, room, sizeof(*list));
		if (!list)
			return -ENOMEM;
		s->list = list;
		s->room = room;
	}
	s->list[s->count++] = *socket;
	return 0;
}

static int by_cookie(const void *a, const void *b)
{
	const struct ktls_socket *x = a, *y = b;

	return x->cookie < y->cookie ? -1 : x->cookie > y->cookie;
}

enum status read_sockets(struct ktls *ktls, const struct ktls_filter *filter,
			 struct sockets *sockets)
{
	struct keep keep = { filter, sockets };
	int tries, err;

	for (tries = 0; tries < READ_TRIES; tries++) {
		sockets->count = 0;
		err = ktls_dump_sockets(ktls, filter, keep_socket, &keep);
		if (err != -EAGAIN)
			break;
	}
	if (err == -ENOMEM)
		return error(STATUS_FAILED, "out of memory");
	/* What is there is right, if not all of it. */
	if (err == -EAGAIN)
		note("the table changes so fast that sockets may be missing here");
	else if (err)
		return error_ktls(ktls);
	/* They come in this order; the history need not. */
	if (sockets->count)
		qsort(sockets->list, sockets->count, sizeof(*sockets->list),
		      by_cookie);
	return STATUS_OK;
}

void free_sockets(struct sockets *sockets)
{
	free(sockets->list);
	*sockets = (struct sockets){ 0 };
}

const struct ktls_socket *find_socket(const struct sockets *sockets,
				      uint64_t cookie)
{
	const struct ktls_socket key = { .cookie = cookie };

	if (!sockets->count)
		return NULL;
	return bsearch(&key, sockets->list, sockets->count, sizeof(key),
		       by_cookie);
}
