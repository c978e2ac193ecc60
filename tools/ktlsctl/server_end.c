// SPDX-License-Identifier: GPL-2.0-or-later
/* The other end of one's own connection, if this host has it: what became of it. */
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "negotiation.h"

/* How long a server may take to install what it got last. */
#define SETTLE_NS 1000000000ull
#define PAUSE_NS 50000000

static uint16_t port_of(const struct sockaddr_storage *addr)
{
	if (addr->ss_family == AF_INET6)
		return ntohs(((const struct sockaddr_in6 *)addr)->sin6_port);
	return ntohs(((const struct sockaddr_in *)addr)->sin_port);
}

/* What is sent to an address of this host comes from the same address. */
static bool same_addr(const struct sockaddr_storage *a,
		      const struct sockaddr_storage *b)
{
	const struct sockaddr_in6 *a6 = (const void *)a, *b6 = (const void *)b;
	const struct sockaddr_in *a4 = (const void *)a, *b4 = (const void *)b;

	if (a->ss_family != b->ss_family)
		return false;
	if (a->ss_family == AF_INET6)
		return !memcmp(&a6->sin6_addr, &b6->sin6_addr,
			       sizeof(a6->sin6_addr));
	return a4->sin_addr.s_addr == b4->sin_addr.s_addr;
}

static int keep_modes(const struct ktls_socket *socket, void *arg)
{
	struct server_end *end = arg;

	end->state = END_IN_KERNEL;
	end->mode[KTLS_DIRECTION_TX] = socket->tx.mode;
	end->mode[KTLS_DIRECTION_RX] = socket->rx.mode;
	return 0;
}

void find_server_end(int fd, struct server_end *end)
{
	struct ktls_filter filter = {
		.match = KTLS_MATCH(LOCAL_PORT) | KTLS_MATCH(REMOTE_PORT),
	};
	struct timespec pause = { .tv_nsec = PAUSE_NS };
	uint64_t until = monotonic_ns() + SETTLE_NS;
	struct sockaddr_storage here, there;
	socklen_t len = sizeof(here);
	struct ktls *ktls;
	int err;

	memset(end, 0, sizeof(*end));
	if (getsockname(fd, (struct sockaddr *)&here, &len))
		return;
	len = sizeof(there);
	if (getpeername(fd, (struct sockaddr *)&there, &len) ||
	    !same_addr(&here, &there))
		return;
	end->state = END_HIDDEN;
	if (!sees_all_sockets())
		return;
	filter.local_port = port_of(&there);
	filter.remote_port = port_of(&here);
	err = ktls_open(&ktls, -1);
	/* The two directions come one after the other. */
	while (!err) {
		err = ktls_dump_sockets(ktls, &filter, keep_modes, end);
		if (err == -EAGAIN)
			err = 0;
		if (end->state == END_IN_KERNEL &&
		    end->mode[KTLS_DIRECTION_TX] != KTLS_MODE_NONE &&
		    end->mode[KTLS_DIRECTION_RX] != KTLS_MODE_NONE)
			break;
		if (monotonic_ns() > until)
			break;
		nanosleep(&pause, NULL);
	}
	if (!err && end->state == END_HIDDEN)
		end->state = END_IN_USER_SPACE;
	ktls_close(ktls);
}
