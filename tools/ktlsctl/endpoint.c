// SPDX-License-Identifier: GPL-2.0-or-later
/* Servers by name or address, and connections to them that do not take long. */
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "endpoint.h"

static bool is_address(const char *s)
{
	unsigned char addr[sizeof(struct in6_addr)];

	return inet_pton(AF_INET, s, addr) == 1 ||
	       inet_pton(AF_INET6, s, addr) == 1;
}

/* What no name of a host has, so that a URL is not looked up in the DNS. */
static bool is_host(const char *s)
{
	for (; *s; s++)
		if (*s <= ' ' || *s >= 0x7f || strchr("/\\@[]?#\"'%", *s))
			return false;
	return true;
}

uint16_t https_port(const char *url)
{
	static const char scheme[] = "https://";
	char host[HOST_LEN], *s, *end;
	uint64_t port;
	size_t len;

	if (strncmp(url, scheme, strlen(scheme)))
		return 0;
	url += strlen(scheme);
	len = strcspn(url, "/?#");
	if (!len || len >= sizeof(host))
		return 0;
	memcpy(host, url, len);
	host[len] = '\0';
	/* Behind a user and an address, which may have colons. */
	s = strrchr(host, '@');
	s = s ? s + 1 : host;
	end = strchr(s, ']');
	s = strrchr(end ?: s, ':');
	if (!s)
		return HTTPS_PORT;
	return parse_number(s + 1, UINT16_MAX, &port) ? port : 0;
}

enum status parse_endpoint(const char *s, struct endpoint *e)
{
	const char *end, *port = NULL;
	unsigned char addr[16];
	uint64_t value = HTTPS_PORT;
	size_t len;

	if (inet_pton(AF_INET6, s, addr) == 1)
		return error(STATUS_USAGE,
			     "an IPv6 address is written in brackets: [%s] or [%s]:443",
			     s, s);
	if (*s == '[') {
		end = strchr(++s, ']');
		if (!end || (end[1] && end[1] != ':'))
			return error(STATUS_USAGE,
				     "an IPv6 address is written as [2001:db8::1] or [2001:db8::1]:443, not \"[%s\"",
				     s);
		if (end[1])
			port = end + 2;
	} else {
		end = strchr(s, ':');
		if (end)
			port = end + 1;
		else
			end = s + strlen(s);
	}
	len = end - s;
	if (!len || len >= sizeof(e->host))
		return error(STATUS_USAGE,
			     "HOST is a name or an address of at most %d letters",
			     HOST_LEN - 1);
	memcpy(e->host, s, len);
	e->host[len] = '\0';
	if (*end == ']' && inet_pton(AF_INET6, e->host, addr) != 1)
		return error(STATUS_USAGE,
			     "\"%s\" is no IPv6 address, but stands in brackets",
			     e->host);
	if (!is_host(e->host) || (port && !strncmp(port, "//", 2)))
		return error(STATUS_USAGE,
			     "HOST is a name or an address, as example.org or 192.0.2.1:443, not a URL: \"%s\"",
			     s);
	if (port && (!parse_number(port, UINT16_MAX, &value) || !value))
		return error(STATUS_USAGE,
			     "a port is a number from 1 to 65535, not \"%s\"",
			     port);
	e->port = value;
	e->is_address = is_address(e->host);
	return STATUS_OK;
}

static void set_text(struct address *a)
{
	const struct sockaddr_in6 *v6 = (const void *)&a->addr;
	const struct sockaddr_in *v4 = (const void *)&a->addr;

	if (a->addr.ss_family == AF_INET6)
		format_addr(a->text, AF_INET6, v6->sin6_addr.s6_addr,
			    ntohs(v6->sin6_port));
	else
		format_addr(a->text, AF_INET, (const uint8_t *)&v4->sin_addr,
			    ntohs(v4->sin_port));
}

/* 0 once @fd is connected, or the errno; ETIMEDOUT at the deadline. */
static int finish_connect(int fd, uint64_t deadline)
{
	struct pollfd pollfd = { .fd = fd, .events = POLLOUT };
	struct timespec left;
	socklen_t len = sizeof(int);
	uint64_t now, ns;
	int n, err = 0;

	do {
		now = monotonic_ns();
		ns = deadline > now ? deadline - now : 0;
		left.tv_sec = ns / 1000000000;
		left.tv_nsec = ns % 1000000000;
		n = ppoll(&pollfd, 1, &left, NULL);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno;
	if (!n)
		return ETIMEDOUT;
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len))
		return errno;
	return err;
}

static int connect_to(const struct address *a, uint64_t deadline, char *why,
		      size_t size)
{
	int fd, err = 0;

	fd = socket(a->addr.ss_family,
		    SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP);
	if (fd < 0) {
		err = errno;
	} else if (connect(fd, (const struct sockaddr *)&a->addr, a->len)) {
		err = errno;
		if (err == EINPROGRESS)
			err = finish_connect(fd, deadline);
	}
	if (!err)
		return fd;
	if (fd >= 0)
		close(fd);
	switch (err) {
	case ECONNREFUSED:
		snprintf(why, size,
			 "%s refused the connection: no server listens there",
			 a->text);
		break;
	case ETIMEDOUT:
		snprintf(why, size,
			 "%s did not answer in time: the host is down, or a firewall drops what is sent there; --timeout waits longer",
			 a->text);
		break;
	default:
		snprintf(why, size, "could not connect to %s: %s", a->text,
			 strerror(err));
	}
	return -1;
}

int connect_endpoint(const struct endpoint *e, int family,
		     struct address *address, uint64_t deadline, char *why,
		     size_t size)
{
	struct addrinfo hints = {
		.ai_family = family,
		.ai_socktype = SOCK_STREAM,
		.ai_flags = AI_NUMERICSERV,
	};
	struct addrinfo *list, *ai;
	char port[8];
	int err, fd = -1;

	if (address->len)
		return connect_to(address, deadline, why, size);
	snprintf(port, sizeof(port), "%u", e->port);
	err = getaddrinfo(e->host, port, &hints, &list);
	if (err) {
		snprintf(why, size, "could not find the address of %s%s: %s",
			 e->host, family == AF_INET ? " in IPv4" :
			 family == AF_INET6 ? " in IPv6" : "",
			 err == EAI_SYSTEM ? strerror(errno) :
					     gai_strerror(err));
		return -1;
	}
	for (ai = list; ai && fd < 0; ai = ai->ai_next) {
		struct address a = { .len = ai->ai_addrlen };
		uint64_t until = deadline, now = monotonic_ns();

		/* One that never answers is not to cost the others their time. */
		if (ai->ai_next && deadline > now)
			until = now + (deadline - now) / 2;
		memcpy(&a.addr, ai->ai_addr, ai->ai_addrlen);
		set_text(&a);
		fd = connect_to(&a, until, why, size);
		if (fd >= 0)
			*address = a;
	}
	freeaddrinfo(list);
	return fd;
}
