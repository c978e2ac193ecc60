// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Apache: whatever it is told, mod_ssl never asks.  So this looks for where
 * there is TLS, and for whether somebody told it, to no avail.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "conf_server.h"

#define WORDS 128
#define INCLUDES_MAX 8

enum engine {
	ENGINE_UNSET,
	ENGINE_ON,
	ENGINE_OFF,
};

struct host {
	enum conf_match match;
	enum engine engine;
	bool told;		/* to ask */
	char from[256];
	unsigned int line;
};

struct apache {
	struct conf_result *result;
	char root[PATH_MAX];
	int includes;
	struct host global;
	struct host *now;	/* the host or &global */
	struct host host;
	/* Of the hosts that match, which are to wait for the global one. */
	struct host unset;
	bool listens;		/* on the port */
};

static void read_file(const char *path, void *arg);

static void include(struct apache *a, const char *value)
{
	char path[PATH_MAX], pattern[PATH_MAX];

	if (!conf_join(path, a->root, value))
		return;
	if (!conf_is_dir(a->result->files, path))
		conf_glob(a->result->files, path, read_file, a);
	else if (conf_join(pattern, path, "*"))
		conf_glob(a->result->files, pattern, read_file, a);
}

static void add_host(struct apache *a, const struct host *h,
		     enum engine engine)
{
	enum conf_setting setting = CONF_PLAIN;

	if (engine == ENGINE_ON)
		setting = h->told ? CONF_ON : CONF_UNSET;
	conf_add(a->result, h->match, setting, h->from, h->line);
}

/* <VirtualHost ADDRESS[:PORT] ...> */
static void begin_host(struct apache *a, char **words, int n, const char *file,
		       unsigned int line)
{
	enum conf_match match;
	uint16_t port;
	char *addr;
	int i;

	a->host = (struct host){ .line = line };
	snprintf(a->host.from, sizeof(a->host.from), "%s", file);
	a->now = &a->host;
	for (i = 1; i < n; i++) {
		words[i][strcspn(words[i], ">")] = '\0';
		if (!strcmp(words[i], "_default_") ||
		    !strncmp(words[i], "_default_:", 10))
			words[i] += 8, *words[i] = '*';
		if (conf_split_addr(words[i], &addr, &port) && port &&
		    port != a->result->end.port)
			continue;
		match = conf_match_addr(addr, false, &a->result->end);
		if (match > a->host.match)
			a->host.match = match;
	}
}

static void end_host(struct apache *a)
{
	if (a->now == &a->host && a->host.match) {
		if (a->host.engine)
			add_host(a, &a->host, a->host.engine);
		else
			a->unset = a->host;
	}
	a->now = &a->global;
}

/* Listen [ADDRESS:]PORT [PROTOCOL] */
static void read_listen(struct apache *a, char **words, int n)
{
	uint16_t port;
	char *addr;

	if (!conf_split_addr(words[1], &addr, &port) ||
	    port != a->result->end.port)
		return;
	a->listens = true;
	/* mod_ssl takes the protocol for its word. */
	if (n > 2 ? !strcasecmp(words[2], "https") : port == 443)
		a->global.engine = a->global.engine ?: ENGINE_ON;
}

static void read_directive(struct apache *a, char **words, int n,
			   const char *path, unsigned int line)
{
	const char *name = words[0];

	if (!strcasecmp(name, "</VirtualHost>"))
		end_host(a);
	if (n < 2)
		return;
	if (!strcasecmp(name, "<VirtualHost"))
		begin_host(a, words, n, path, line);
	else if (!strcasecmp(name, "ServerRoot"))
		snprintf(a->root, sizeof(a->root), "%s", words[1]);
	else if (!strcasecmp(name, "Include") ||
		 !strcasecmp(name, "IncludeOptional"))
		include(a, words[1]);
	else if (!strcasecmp(name, "Listen"))
		read_listen(a, words, n);
	else if (!strcasecmp(name, "SSLEngine"))
		a->now->engine = strcasecmp(words[1], "off") ? ENGINE_ON :
							       ENGINE_OFF;
	else if (n > 2 && !strcasecmp(name, "SSLOpenSSLConfCmd") &&
		 !strcasecmp(words[1], "Options"))
		a->now->told = conf_options(CONF_UNSET, words[2]) == CONF_ON;
}

static void read_file(const char *path, void *arg)
{
	char line[CONF_LINE_MAX], *words[WORDS], *s;
	struct apache *a = arg;
	struct conf_text text;
	size_t len;
	int n;

	if (conf_is_dir(a->result->files, path))
		return;
	if (a->includes >= INCLUDES_MAX) {
		conf_fail(a->result->files,
			  "%.200s: files that include each other", path);
		return;
	}
	s = conf_load(a->result->files, path, &len);
	if (!s)
		return;
	a->includes++;
	conf_begin(&text, s, len, NULL);
	while (conf_line(&text, line, true)) {
		n = conf_words(line, words, WORDS);
		if (n)
			read_directive(a, words, n, path, text.line);
	}
	conf_fail_if_cut(a->result->files, path, &text);
	a->includes--;
	free(s);
}

void read_apache(struct conf_result *r, int argc, char **argv)
{
	struct apache *a = calloc(1, sizeof(*a));
	const char *file = "apache2.conf";
	char path[PATH_MAX];
	int i;

	if (!a) {
		conf_fail(r->files, "out of memory");
		return;
	}
	a->result = r;
	a->now = &a->global;
	strcpy(a->root, "/etc/apache2");
	if (!conf_is_dir(r->files, a->root)) {
		strcpy(a->root, "/etc/httpd");
		file = "conf/httpd.conf";
	}
	for (i = 1; i + 1 < argc; i++) {
		if (!strcmp(argv[i], "-d"))
			snprintf(a->root, sizeof(a->root), "%s", argv[i + 1]);
		else if (!strcmp(argv[i], "-f"))
			file = argv[i + 1];
	}
	if (conf_join(path, a->root, file)) {
		snprintf(a->global.from, sizeof(a->global.from), "%.255s",
			 path);
		a->global.line = 1;
		a->global.match = CONF_ANY;
		read_file(path, a);
	}
	if (a->unset.match)
		add_host(a, &a->unset, a->global.engine);
	else if (a->listens && r->best == CONF_NO_MATCH)
		add_host(a, &a->global, a->global.engine);
	/* mod_proxy may have TLS or none, on any port of its own. */
	r->outgoing = r->best == CONF_NO_MATCH;
	free(a);
}
