// SPDX-License-Identifier: GPL-2.0-or-later
/* Addresses, from text to what the kernel wants. */
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "conf.h"
#include "settings.h"

static const char *parse_unix(struct address *a, const char *path, char *wrong,
			      size_t size)
{
	struct sockaddr_un *un = &a->un;
	size_t len = strlen(path);

	/* An abstract name has a NUL in front, and none behind. */
	if (len >= sizeof(un->sun_path)) {
		snprintf(wrong, size, "a path of a Unix socket has at most %zu bytes",
			 sizeof(un->sun_path) - 1);
		return wrong;
	}
	if (path[0] != '/' && (path[0] != '@' || len < 2)) {
		snprintf(wrong, size,
			 "behind unix: there is a path from / on, or @ and an abstract name");
		return wrong;
	}
	un->sun_family = AF_UNIX;
	memcpy(un->sun_path, path, len + 1);
	a->len = offsetof(struct sockaddr_un, sun_path) + len + 1;
	if (path[0] == '@') {
		un->sun_path[0] = '\0';
		a->len--;
	}
	return NULL;
}

static bool is_port(const char *s)
{
	char *end;
	unsigned long value;

	if (*s < '0' || *s > '9')
		return false;
	value = strtoul(s, &end, 10);
	return !*end && value >= 1 && value <= 65535;
}

/* Splits at the last colon; brackets stand around an address that has some. */
static bool split(char *text, char **host, char **port)
{
	char *colon = strrchr(text, ':');
	size_t len;

	if (!colon || colon == text)
		return false;
	*colon = '\0';
	*port = colon + 1;
	*host = text;
	len = strlen(text);
	if (text[0] == '[' && text[len - 1] == ']') {
		text[len - 1] = '\0';
		*host = text + 1;
		return strchr(*host, ':');
	}
	return !strpbrk(text, ":[]");
}

static const char *parse_inet(struct address *a, char *text, bool resolve,
			      char *wrong, size_t size)
{
	struct addrinfo hints = {
		.ai_socktype = SOCK_STREAM,
		.ai_flags = AI_NUMERICSERV | (resolve ? 0 : AI_NUMERICHOST),
	};
	char *host, *port, any[] = "::";
	struct addrinfo *list;
	int err;

	if (!split(text, &host, &port)) {
		snprintf(wrong, size,
			 "write it as 192.0.2.1:443, [2001:db8::1]:443%s or unix:/path",
			 resolve ? ", example.org:443" : ", *:443");
		return wrong;
	}
	if (!is_port(port)) {
		snprintf(wrong, size, "the port is a number from 1 to 65535, not \"%s\"",
			 port);
		return wrong;
	}
	if (!resolve && !strcmp(host, "*"))
		host = any;
	err = getaddrinfo(host, port, &hints, &list);
	if (err && !resolve) {
		snprintf(wrong, size,
			 "\"%s\" is no address in numbers; to listen on all write *:%s",
			 host, port);
		return wrong;
	}
	if (err) {
		snprintf(wrong, size,
			 "\"%s\" could not be resolved: %s; see whether the name server answers, or write the address",
			 host, err == EAI_SYSTEM ? strerror(errno) : gai_strerror(err));
		return wrong;
	}
	memcpy(&a->any, list->ai_addr, list->ai_addrlen);
	a->len = list->ai_addrlen;
	freeaddrinfo(list);
	return NULL;
}

const char *address_parse(struct address *address, const char *text, bool resolve,
			  char *wrong, size_t size)
{
	const char *result;
	char *copy;

	memset(address, 0, sizeof(*address));
	if (!strncmp(text, "unix:", 5)) {
		result = parse_unix(address, text + 5, wrong, size);
	} else {
		copy = must(strdup(text));
		result = parse_inet(address, copy, resolve, wrong, size);
		free(copy);
	}
	if (!result)
		address->text = must(strdup(text));
	return result;
}

static uint16_t port_of(const struct address *a)
{
	return a->any.sa_family == AF_INET ? a->in.sin_port : a->in6.sin6_port;
}

static bool is_inet(const struct address *a)
{
	return a->any.sa_family == AF_INET || a->any.sa_family == AF_INET6;
}

bool address_is_any(const struct address *a)
{
	return a->any.sa_family == AF_INET6 &&
	       IN6_IS_ADDR_UNSPECIFIED(&a->in6.sin6_addr);
}

static bool is_any_of_family(const struct address *a)
{
	return a->any.sa_family == AF_INET ?
	       a->in.sin_addr.s_addr == INADDR_ANY : address_is_any(a);
}

bool address_equal(const struct address *a, const struct address *b)
{
	return a->len == b->len && !memcmp(&a->any, &b->any, a->len);
}

bool address_overlaps(const struct address *a, const struct address *b)
{
	if (address_equal(a, b))
		return true;
	if (!is_inet(a) || !is_inet(b) || port_of(a) != port_of(b))
		return false;
	if (address_is_any(a) || address_is_any(b))
		return true;
	return a->any.sa_family == b->any.sa_family &&
	       (is_any_of_family(a) || is_any_of_family(b));
}
