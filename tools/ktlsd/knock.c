// SPDX-License-Identifier: GPL-2.0-or-later
/* The prover's connections, by their port, in memory that all processes share. */
#include <errno.h>
#include <stddef.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/mman.h>

#include "knock.h"

union any {
	struct sockaddr any;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
};

/* As the network has it; 0: none.  %NULL where there are no processes, as in tests. */
static in_port_t *announced;

void knock_init(void)
{
	void *page = mmap(NULL, sizeof(*announced), PROT_READ | PROT_WRITE,
			  MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	/* Without it the prover is one as others. */
	if (page != MAP_FAILED)
		announced = page;
}

static void announce(in_port_t port)
{
	if (announced)
		__atomic_store_n(announced, port, __ATOMIC_RELEASE);
}

static in_port_t *port_of(union any *a)
{
	return a->any.sa_family == AF_INET ? &a->in.sin_port : &a->in6.sin6_port;
}

int knock_bind(int fd, const struct sockaddr *to, socklen_t len)
{
	union any a = { 0 };

	memcpy(&a, to, len < sizeof(a) ? len : sizeof(a));
	*port_of(&a) = 0;
	if (bind(fd, &a.any, len))
		return errno;
	len = sizeof(a);
	if (getsockname(fd, &a.any, &len))
		return errno;
	announce(*port_of(&a));
	return 0;
}

void knock_end(void)
{
	announce(0);
}

/* Nobody can come from the address that he goes to but from this host. */
bool knock_is(int fd)
{
	in_port_t port = announced ? __atomic_load_n(announced, __ATOMIC_ACQUIRE) : 0;
	union any from = { 0 }, to = { 0 };
	socklen_t len = sizeof(from);

	if (!port || getpeername(fd, &from.any, &len) || *port_of(&from) != port)
		return false;
	len = sizeof(to);
	if (getsockname(fd, &to.any, &len) || from.any.sa_family != to.any.sa_family)
		return false;
	return from.any.sa_family == AF_INET ?
	       from.in.sin_addr.s_addr == to.in.sin_addr.s_addr :
	       IN6_ARE_ADDR_EQUAL(&from.in6.sin6_addr, &to.in6.sin6_addr);
}
