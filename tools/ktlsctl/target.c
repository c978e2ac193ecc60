// SPDX-License-Identifier: GPL-2.0-or-later
/* Which connections one wants to know about: PID, COMMAND, :PORT ... */
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "why.h"

static bool is_process(uint64_t pid)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%llu", (unsigned long long)pid);
	return pid && pid <= INT_MAX && !access(path, F_OK);
}

static enum status parse_explicit(const char *key, const char *word,
				  struct target *t)
{
	struct wrong w;

	if (!strcmp(key, "pid")) {
		t->kind = TARGET_PID;
		if (!parse_pid(&w, word, &t->pid))
			return error(STATUS_USAGE, "%s", w.text);
		return STATUS_OK;
	}
	if (!strcmp(key, "cookie")) {
		t->kind = TARGET_COOKIE;
		if (!parse_number(word, UINT64_MAX, &t->cookie) || !t->cookie)
			return error(STATUS_USAGE,
				     "cookie takes the cookie of a socket (ss -e has it), not \"%s\"",
				     word);
		return STATUS_OK;
	}
	return error(STATUS_USAGE,
		     "why takes one target: PID, COMMAND, :PORT, ADDRESS:PORT, COOKIE, or explicitly: pid N, cookie N");
}

enum status parse_target(int argc, char **argv, struct target *t)
{
	const char *s = argv[0];
	struct wrong w;
	uint64_t number;

	memset(t, 0, sizeof(*t));
	if (argc == 2)
		return parse_explicit(s, argv[1], t);
	if (argc != 1)
		return parse_explicit("", "", t);
	if (*s == ':') {
		t->kind = TARGET_PORT;
		if (!parse_port(&w, "why", s + 1, &t->end.port))
			return error(STATUS_USAGE, "%s", w.text);
		return STATUS_OK;
	}
	if (parse_end(s, &t->end)) {
		t->kind = TARGET_END;
		return STATUS_OK;
	}
	if (parse_number(s, UINT64_MAX, &number)) {
		/* Cookies are small on a host that was booted just now. */
		t->kind = is_process(number) ? TARGET_PID : TARGET_COOKIE;
		t->pid = number;
		t->cookie = number;
		return STATUS_OK;
	}
	if (strchr(s, ':'))
		return error(STATUS_USAGE,
			     "\"%s\" is no end of a connection: write 192.0.2.1:443, [2001:db8::1]:443 or :443",
			     s);
	t->kind = TARGET_COMMAND;
	/* "/usr/sbin/nginx" is what people have at hand, too. */
	if (strrchr(s, '/'))
		s = strrchr(s, '/') + 1;
	if (!*s)
		return error(STATUS_USAGE, "why takes the name of a command, not \"%s\"",
			     argv[0]);
	snprintf(t->comm, sizeof(t->comm), "%.*s", KTLS_COMM_LEN - 1, s);
	return STATUS_OK;
}
