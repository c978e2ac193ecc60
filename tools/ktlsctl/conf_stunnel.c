// SPDX-License-Identifier: GPL-2.0-or-later
/* stunnel: a service per section, of which those above the first are defaults. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "conf_server.h"

#define INCLUDES_MAX 8

struct service {
	bool is_client;
	enum conf_setting ktls;
	enum conf_match match;
	char from[256];
	unsigned int line;
};

struct stunnel {
	struct conf_result *result;
	struct service defaults;
	struct service now;
	bool in_service;
	bool elsewhere;		/* a client may ask, of the other end */
	bool elsewhere_not;
	int includes;
};

static void read_file(struct stunnel *s, const char *path);

static void end_service(struct stunnel *s)
{
	struct service *v = &s->now;

	if (!s->in_service)
		return;
	if (v->is_client && v->ktls == CONF_ON)
		s->elsewhere = true;
	else if (v->is_client)
		s->elsewhere_not = true;
	if (v->match)
		conf_add(s->result, v->match,
			 v->is_client ? CONF_PLAIN : v->ktls, v->from, v->line);
}

/* "ENABLE_KTLS", or "-ENABLE_KTLS" to take it back. */
static enum conf_setting read_options(enum conf_setting before, const char *s)
{
	bool clear = *s == '-';

	s += clear;
	if (strcasecmp(s, "ENABLE_KTLS"))
		return before;
	return clear ? CONF_OFF : CONF_ON;
}

static void read_accept(struct stunnel *s, struct service *v, char *value)
{
	uint16_t port;
	char *addr;

	v->match = CONF_NO_MATCH;
	if (*value == '/')
		return;
	if (!conf_split_addr(value, &addr, &port) || !port)
		v->match = CONF_PERHAPS;	/* the name of a port */
	else if (port == s->result->end.port)
		v->match = conf_match_addr(addr, false, &s->result->end);
}

static void include_file(const char *path, void *arg)
{
	struct stunnel *s = arg;

	if (!conf_is_dir(s->result->files, path))
		read_file(s, path);
}

static void read_assignment(struct stunnel *s, const char *key, char *value)
{
	struct service *v = s->in_service ? &s->now : &s->defaults;
	char pattern[PATH_MAX];

	if (!strcasecmp(key, "include")) {
		if (conf_join(pattern, value, "*"))
			conf_glob(s->result->files, pattern, include_file, s);
	} else if (!strcasecmp(key, "client")) {
		v->is_client = !strcasecmp(value, "yes");
	} else if (!strcasecmp(key, "options")) {
		v->ktls = read_options(v->ktls, value);
	} else if (!strcasecmp(key, "config") &&
		   !strncasecmp(value, "Options:", 8)) {
		v->ktls = conf_options(v->ktls, value + 8);
	} else if (!strcasecmp(key, "accept")) {
		read_accept(s, v, value);
	}
}

static void read_file(struct stunnel *s, const char *path)
{
	char line[CONF_LINE_MAX], *key, *value;
	struct conf_text text;
	size_t len;
	char *t;

	if (s->includes >= INCLUDES_MAX) {
		conf_fail(s->result->files,
			  "%.200s: files that include each other", path);
		return;
	}
	t = conf_load(s->result->files, path, &len);
	if (!t)
		return;
	s->includes++;
	conf_begin(&text, t, len, NULL);
	while (conf_line(&text, line, false)) {
		if (!*line || *line == ';' || *line == '#')
			continue;
		if (*line == '[') {
			end_service(s);
			s->in_service = true;
			s->now = s->defaults;
			s->now.line = text.line;
			snprintf(s->now.from, sizeof(s->now.from), "%s", path);
		} else if (conf_assignment(line, &key, &value)) {
			read_assignment(s, key, value);
		}
	}
	conf_fail_if_cut(s->result->files, path, &text);
	s->includes--;
	free(t);
}

void read_stunnel(struct conf_result *r, int argc, char **argv)
{
	struct stunnel *s = calloc(1, sizeof(*s));
	const char *path = "/etc/stunnel/stunnel.conf";

	if (!s) {
		conf_fail(r->files, "out of memory");
		return;
	}
	s->result = r;
	if (argc > 1 && !strcmp(argv[1], "-fd"))
		conf_fail(r->files, "it was read from a descriptor (stunnel -fd)");
	else if (argc > 1)
		path = argv[argc - 1];
	read_file(s, path);
	end_service(s);
	/* Without sections it serves its standard input. */
	if (!s->in_service)
		conf_add(r, CONF_PERHAPS, s->defaults.ktls, path, 1);
	if (r->best == CONF_NO_MATCH) {
		r->outgoing = true;
		if (s->elsewhere)
			conf_add(r, CONF_ANY, CONF_ON, path, 1);
		if (s->elsewhere_not)
			conf_add(r, CONF_ANY, CONF_UNSET, path, 1);
		if (!s->elsewhere && !s->elsewhere_not)
			conf_add(r, CONF_ANY, CONF_PLAIN, path, 1);
	}
	free(s);
}
