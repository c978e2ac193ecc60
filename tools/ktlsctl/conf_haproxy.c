// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * HAProxy: "ktls on" of bind and server lines, which builds with that feature
 * know; others never ask.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf_server.h"

#define WORDS 128

struct haproxy {
	struct conf_result *result;
	bool elsewhere;		/* it may ask on connections that it makes */
	bool elsewhere_not;
	bool other_clients;	/* it connects to more than servers */
	enum conf_setting bind;	/* of the section's bind lines without "ssl" */
};

/*
 * Whatever begins no section that has bind lines of its own, it only has to be
 * known where those end to which default-bind applies.
 */
static bool is_section(const char *word)
{
	static const char *const sections[] = {
		"global", "defaults", "frontend", "listen", "backend", "peers",
		"log-forward", "ring", "resolvers", "mailers", "userlist",
		"program", "cache", "http-errors", "crt-store", "acme",
		"fcgi-app", "traces",
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(sections); i++)
		if (!strcmp(word, sections[i]))
			return true;
	return false;
}

/* Does the line have it make requests of its own, as for Lua, OCSP or ACME? */
static bool makes_requests(char **words, int n)
{
	int i;

	if (!strncmp(words[0], "lua-", 4) || !strncmp(words[0], "httpclient.", 11) ||
	    !strcmp(words[0], "acme") || !strcmp(words[0], "mailers"))
		return true;
	for (i = 1; i < n; i++)
		if (!strncmp(words[i], "ocsp-update", 11) ||
		    !strcmp(words[i], "acme"))
			return true;
	return false;
}

/* The setting of a line, by the words behind its addresses. */
static enum conf_setting setting_of(char **words, int n, int from)
{
	enum conf_setting setting = CONF_PLAIN;
	bool on = false;
	int i;

	for (i = from; i < n; i++) {
		if (!strcmp(words[i], "ssl"))
			setting = CONF_UNSET;
		else if (!strcmp(words[i], "ktls") && i + 1 < n)
			on = !strcmp(words[i + 1], "on");
	}
	return setting == CONF_UNSET && on ? CONF_ON : setting;
}

/* What is no TCP of this host's, by what stands before the @. */
static bool is_other(const char *addr)
{
	static const char *const others[] = {
		"unix@", "abns", "uxst@", "uxdg@", "sockpair@", "quic", "udp",
		"dgram+",
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(others); i++)
		if (!strncmp(addr, others[i], strlen(others[i])) &&
		    strchr(addr, '@'))
			return true;
	return *addr == '/';
}

/* bind ADDRESS:PORT[,...] ... */
static void read_bind(struct haproxy *h, char **words, int n, const char *file,
		      unsigned int line)
{
	enum conf_setting setting = setting_of(words, n, 2);
	char *addr, *next, *save, *dash, *at;
	enum conf_match match;
	bool v6only = false;
	uint16_t port;
	int i;

	if (setting == CONF_PLAIN)
		setting = h->bind;
	for (i = 2; i < n; i++)
		v6only |= !strcmp(words[i], "v6only");
	for (next = strtok_r(words[1], ",", &save); next;
	     next = strtok_r(NULL, ",", &save)) {
		if (is_other(next))
			continue;
		/* A descriptor, or variables, may be of any port. */
		if (!strncmp(next, "fd@", 3) || !strchr(next, ':')) {
			conf_add(h->result, CONF_PERHAPS, setting, file, line);
			continue;
		}
		/* ipv4@, tcp6@ ... */
		at = strchr(next, '@');
		if (at)
			next = at + 1;
		dash = strchr(next, '-');
		if (!conf_split_addr(next, &addr, &port))
			continue;
		if (port && port != h->result->end.port)
			continue;
		match = conf_match_v4(addr, v6only, &h->result->end);
		if (match && (!port || dash))
			match = CONF_PERHAPS;
		if (match)
			conf_add(h->result, match, setting, file, line);
	}
}

static void read_file(const char *path, void *arg)
{
	char line[CONF_LINE_MAX], *words[WORDS], *s;
	struct haproxy *h = arg;
	struct conf_text text;
	size_t len;
	int n;

	if (conf_is_dir(h->result->files, path))
		return;
	s = conf_load(h->result->files, path, &len);
	if (!s)
		return;
	conf_begin(&text, s, len, NULL);
	while (conf_line(&text, line, false)) {
		n = conf_words(line, words, WORDS);
		if (n && is_section(words[0]))
			h->bind = CONF_PLAIN;
		if (n < 2)
			continue;
		h->other_clients |= makes_requests(words, n);
		if (!strcmp(words[0], "default-bind")) {
			h->bind = setting_of(words, n, 1);
		} else if (!strcmp(words[0], "bind")) {
			read_bind(h, words, n, path, text.line);
		} else if (!strcmp(words[0], "server") ||
			   !strcmp(words[0], "default-server") ||
			   !strcmp(words[0], "server-template")) {
			switch (setting_of(words, n, 1)) {
			case CONF_ON:
				h->elsewhere = true;
				break;
			case CONF_UNSET:
				h->elsewhere_not = true;
				break;
			default:
				break;
			}
		}
	}
	conf_fail_if_cut(h->result->files, path, &text);
	free(s);
}

static void read_path(struct haproxy *h, const char *path)
{
	char pattern[PATH_MAX];

	if (!conf_is_dir(h->result->files, path))
		read_file(path, h);
	else if (conf_join(pattern, path, "*.cfg"))
		conf_glob(h->result->files, pattern, read_file, h);
}

void read_haproxy(struct conf_result *r, int argc, char **argv)
{
	struct haproxy h = { .result = r, .bind = CONF_PLAIN };
	const char *last = "/proc/PID/cmdline";
	bool all = false;
	char yes[2];
	int i;

	/* Of the features that haproxy -vv lists. */
	r->knows_ktls = conf_find_exe(r->files, "+KTLS", " ", yes, sizeof(yes));
	for (i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "--"))
			all = true;
		else if (all)
			read_path(&h, last = argv[i]);
		else if (!strcmp(argv[i], "-f") && i + 1 < argc)
			read_path(&h, last = argv[++i]);
	}
	if (r->best == CONF_NO_MATCH) {
		r->outgoing = true;
		if (h.elsewhere)
			conf_add(r, CONF_ANY, CONF_ON, last, 1);
		if (h.elsewhere_not)
			conf_add(r, CONF_ANY, CONF_UNSET, last, 1);
		if (!h.elsewhere && !h.elsewhere_not && !h.other_clients)
			conf_add(r, CONF_ANY, CONF_PLAIN, last, 1);
	}
}
