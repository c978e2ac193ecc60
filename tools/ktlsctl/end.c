// SPDX-License-Identifier: GPL-2.0-or-later
/* An end of a connection: "192.0.2.1:443" or "[2001:db8::1]:443". */
#include <arpa/inet.h>
#include <string.h>

#include "ktlsctl.h"

bool parse_end(const char *s, struct end *end)
{
	char addr[INET6_ADDRSTRLEN];
	const char *colon = strrchr(s, ':');
	uint64_t port;
	size_t len;

	if (!colon || !parse_number(colon + 1, UINT16_MAX, &port))
		return false;
	len = colon - s;
	end->port = port;
	end->family = AF_INET;
	if (*s == '[') {
		if (len < 2 || s[len - 1] != ']')
			return false;
		end->family = AF_INET6;
		s++;
		len -= 2;
	}
	if (len >= sizeof(addr))
		return false;
	memcpy(addr, s, len);
	addr[len] = '\0';
	return inet_pton(end->family, addr, end->addr) == 1;
}

static bool same_addr(const struct end *end, uint16_t family,
		      const uint8_t *addr)
{
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };

	if (end->family == family)
		return !memcmp(end->addr, addr, family == AF_INET6 ? 16 : 4);
	/* A server that listens on :: has its IPv4 clients as ::ffff:a.b.c.d. */
	if (family == AF_INET6)
		return !memcmp(addr, mapped, 12) &&
		       !memcmp(addr + 12, end->addr, 4);
	return !memcmp(end->addr, mapped, 12) &&
	       !memcmp(addr, end->addr + 12, 4);
}

bool is_end(const struct end *end, uint16_t family, const uint8_t *addr,
	    uint16_t port)
{
	return port == end->port && same_addr(end, family, addr);
}
