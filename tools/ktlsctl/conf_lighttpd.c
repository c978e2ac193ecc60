// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * lighttpd: it asks unless ssl.openssl.ssl-conf-cmd says -KTLS, for the main
 * server or in a $SERVER["socket"].
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#include "conf_server.h"

#define INCLUDES_MAX 8
#define BLOCKS_MAX 32
#define SOCKETS_MAX 256

struct scope {
	enum conf_match match;
	bool has_engine;
	bool engine;
	bool has_commands;
	enum conf_setting ktls;
	char from[256];
	unsigned int line;
};

struct lighttpd {
	struct conf_result *result;
	char dir[PATH_MAX];
	struct scope global;
	struct scope sockets[SOCKETS_MAX];
	int count;
	char bind[CONF_WORD_MAX];
	char port[64];
	int includes;
	/* A token that was read too far. */
	int ahead;
	char ahead_word[CONF_WORD_MAX];
};

/* What an expression comes to. */
struct value {
	char text[CONF_WORD_MAX];
	bool known;		/* it has no variables */
	bool is_list;
	enum conf_setting ktls;	/* that "Options" in the list make */
	bool padding;
};

static const struct conf_language language = { "{}()[]=,+:!~<>$;", "", "\"" };

static int read_block(struct lighttpd *l, struct conf_text *text,
		      struct scope *scope, const char *file, int depth);
static void read_braces(struct lighttpd *l, struct conf_text *text,
			struct scope *scope, const char *file, int depth);

static int next(struct lighttpd *l, struct conf_text *text,
		char word[CONF_WORD_MAX])
{
	int token = l->ahead;

	if (!token)
		return conf_token(text, word);
	memcpy(word, l->ahead_word, CONF_WORD_MAX);
	l->ahead = 0;
	return token;
}

static void put_back(struct lighttpd *l, int token,
		     const char word[CONF_WORD_MAX])
{
	l->ahead = token;
	memcpy(l->ahead_word, word, CONF_WORD_MAX);
}

/* ( "Options" => "-KTLS", ... ), lists in lists skipped */
static void read_list(struct lighttpd *l, struct conf_text *text,
		      struct value *v)
{
	char word[CONF_WORD_MAX], key[64] = "";
	bool is_value = false;
	int token, depth = 1;

	v->is_list = true;
	while (depth && (token = next(l, text, word)) > 0) {
		if (token == '(') {
			depth++;
		} else if (token == ')') {
			depth--;
		} else if (token == '>') {
			is_value = true;
		} else if (token == ',') {
			is_value = false;
			*key = '\0';
		} else if (token == CONF_QUOTED && depth == 1) {
			if (!is_value)
				snprintf(key, sizeof(key), "%.63s", word);
			else if (!strcasecmp(key, "Options"))
				v->ktls = conf_options(v->ktls, word);
			else if (!strcasecmp(key, "RecordPadding"))
				v->padding = atoi(word) > 1;
		} else if (token == CONF_WORD && is_value) {
			/* A variable may hold anything. */
			v->known = false;
		}
	}
}

static void read_value(struct lighttpd *l, struct conf_text *text,
		       struct value *v)
{
	char word[CONF_WORD_MAX];
	size_t len = 0;
	int token;

	*v = (struct value){ .known = true };
	do {
		token = next(l, text, word);
		if (token == CONF_QUOTED ||
		    (token == CONF_WORD && *word >= '0' && *word <= '9')) {
			snprintf(v->text + len, sizeof(v->text) - len, "%s",
				 word);
			len = strlen(v->text);
		} else if (token == CONF_WORD) {
			v->known = false;
		} else if (token == '(') {
			read_list(l, text, v);
		} else {
			v->known = false;
			put_back(l, token, word);
			return;
		}
		token = next(l, text, word);
	} while (token == '+');
	if (token > 0)
		put_back(l, token, word);
}

static void assign(struct lighttpd *l, struct scope *s, const char *key,
		   const struct value *v)
{
	if (!strcmp(key, "ssl.engine")) {
		s->has_engine = true;
		s->engine = !strcmp(v->text, "enable");
	} else if (!strcmp(key, "ssl.openssl.ssl-conf-cmd")) {
		s->has_commands = true;
		s->ktls = v->ktls;
		l->result->padding |= v->padding;
	} else if (s == &l->global && !strcmp(key, "server.port")) {
		snprintf(l->port, sizeof(l->port), "%.63s", v->text);
	} else if (s == &l->global && !strcmp(key, "server.bind")) {
		snprintf(l->bind, sizeof(l->bind), "%s", v->text);
	} else {
		return;
	}
	if (!v->known)
		conf_fail(l->result->files,
			  "%s is made of variables (lighttpd)", key);
}

static enum conf_match match(const struct lighttpd *l, char *socket)
{
	const char *v6 = "[::]";
	uint16_t port;
	char *addr;

	if (*socket == '/' || !conf_split_addr(socket, &addr, &port) ||
	    port != l->result->end.port)
		return CONF_NO_MATCH;
	/* With server.v6only off, which is not looked at, it may be. */
	if (!strcmp(addr, v6) && l->result->end.family == AF_INET)
		return l->result->end.mapped ? CONF_ANY : CONF_NO_MATCH;
	return conf_match_v4(addr, true, &l->result->end);
}

/*
 * $SERVER["socket"] == "ADDRESS:PORT" {: a scope of its own; other conditions
 * are about requests, and so come too late for TLS.
 */
static void read_condition(struct lighttpd *l, struct conf_text *text,
			   const char *file, int depth)
{
	char word[CONF_WORD_MAX], what[64] = "", which[64] = "", value[512] = "";
	struct scope other = { 0 }, *s = &other;
	bool equals = true, known = true;
	int token, n = 0;

	while ((token = next(l, text, word)) > 0 && token != '{') {
		if (token == '!' || token == '~')
			equals = false;
		if (token != CONF_WORD && token != CONF_QUOTED)
			continue;
		if (n > 2 || (n == 2 && token == CONF_WORD))
			known = false;
		snprintf(n == 0 ? what : n == 1 ? which : value,
			 n < 2 ? sizeof(what) : sizeof(value), "%.60s", word);
		n++;
	}
	if (token != '{') {
		conf_fail(l->result->files, "%.200s:%u: a condition without a block",
			  file, text->line);
		return;
	}
	if (!strcmp(what, "SERVER") && !strcmp(which, "socket")) {
		if (!equals || !known) {
			conf_fail(l->result->files,
				  "%.200s:%u: a condition that does not name a socket (lighttpd)",
				  file, text->line);
		} else if (l->count == SOCKETS_MAX) {
			conf_fail(l->result->files,
				  "more than %d sockets (lighttpd)",
				  SOCKETS_MAX);
		} else {
			s = &l->sockets[l->count++];
			s->line = text->line;
			snprintf(s->from, sizeof(s->from), "%s", file);
			s->match = match(l, value);
		}
	}
	read_braces(l, text, s, file, depth + 1);
}

struct inclusion {
	struct lighttpd *lighttpd;
	struct scope *scope;
	int depth;
};

static void include_file(const char *path, void *arg)
{
	struct inclusion *i = arg;
	struct lighttpd *l = i->lighttpd;
	struct conf_text text;
	size_t len;
	char *s;

	if (l->includes >= INCLUDES_MAX) {
		conf_fail(l->result->files,
			  "%.200s: files that include each other", path);
		return;
	}
	s = conf_load(l->result->files, path, &len);
	if (!s)
		return;
	l->includes++;
	conf_begin(&text, s, len, &language);
	if (read_block(l, &text, i->scope, path, i->depth) != CONF_END)
		conf_fail(l->result->files,
			  "%.200s:%u: a } too many, or a quote without an end",
			  path, text.line);
	l->ahead = 0;
	l->includes--;
	free(s);
}

static void include(struct lighttpd *l, struct conf_text *text,
		    struct scope *scope, bool shell, const char *file,
		    int depth)
{
	struct inclusion i = { l, scope, depth };
	char path[PATH_MAX];
	struct value v;

	read_value(l, text, &v);
	if (shell) {
		/* The package's own say nothing of TLS. */
		if (strncmp(v.text, "/usr/share/lighttpd/", 20))
			conf_fail(l->result->files,
				  "%.200s:%u: include_shell, which is not run here",
				  file, text->line);
	} else if (!v.known) {
		conf_fail(l->result->files,
			  "%.200s:%u: an include made of variables", file,
			  text->line);
	} else if (conf_join(path, l->dir, v.text)) {
		int ahead = l->ahead;
		char word[CONF_WORD_MAX];

		/* Behind the text of the file. */
		memcpy(word, l->ahead_word, sizeof(word));
		l->ahead = 0;
		conf_glob(l->result->files, path, include_file, &i);
		put_back(l, ahead, word);
	}
}

/* What ended it: CONF_END, CONF_BAD or '}'. */
static int read_block(struct lighttpd *l, struct conf_text *text,
		      struct scope *scope, const char *file, int depth)
{
	char word[CONF_WORD_MAX], key[CONF_WORD_MAX];
	struct scope other = { 0 };
	struct value v;
	int token;

	while ((token = next(l, text, word)) > 0 && token != '}') {
		if (token == '$') {
			read_condition(l, text, file, depth);
		} else if (token == '{') {
			/* Behind else: of requests as well. */
			read_braces(l, text, &other, file, depth + 1);
		} else if (token == CONF_WORD && !strcmp(word, "include")) {
			include(l, text, scope, false, file, depth);
		} else if (token == CONF_WORD &&
			   !strcmp(word, "include_shell")) {
			include(l, text, scope, true, file, depth);
		} else if (token == CONF_WORD && strcmp(word, "else")) {
			memcpy(key, word, sizeof(key));
			while ((token = next(l, text, word)) == '+' ||
			       token == ':')
				;
			if (token != '=') {
				put_back(l, token, word);
				continue;
			}
			read_value(l, text, &v);
			assign(l, scope, key, &v);
		}
	}
	return token;
}

static void read_braces(struct lighttpd *l, struct conf_text *text,
			struct scope *scope, const char *file, int depth)
{
	unsigned int line = text->line;

	if (depth >= BLOCKS_MAX) {
		conf_fail(l->result->files,
			  "%.200s:%u: too many blocks in each other", file,
			  line);
		text->at = text->end;
	} else if (read_block(l, text, scope, file, depth) != '}') {
		conf_fail(l->result->files, "%.200s:%u: a block without an end",
			  file, line);
	}
}

static void add_scope(struct lighttpd *l, const struct scope *s)
{
	const struct scope *global = &l->global;
	bool tls = s->has_engine ? s->engine : global->engine;
	enum conf_setting ktls = s->has_commands ? s->ktls : global->ktls;

	if (s->match)
		conf_add(l->result, s->match, tls ? ktls : CONF_PLAIN, s->from,
			 s->line);
}

/* Newer ones ask only if the kernel has TLS, by a file that is named there. */
static bool asks_always(struct conf_files *files)
{
	static const char *const modules[] = {
		"/usr/lib/lighttpd/mod_openssl.so",
		"/usr/lib64/lighttpd/mod_openssl.so",
		"/usr/local/lib/lighttpd/mod_openssl.so",
	};
	char yes[2];
	size_t i;

	for (i = 0; i < ARRAY_SIZE(modules); i++)
		if (conf_find(files, modules[i], "ssl.pemfile", "", yes,
			      sizeof(yes)))
			return !conf_find(files, modules[i],
					  "tcp_available_ulp", "", yes,
					  sizeof(yes));
	return false;
}

void read_lighttpd(struct conf_result *r, int argc, char **argv)
{
	struct lighttpd *l = calloc(1, sizeof(*l));
	const char *path = "/etc/lighttpd/lighttpd.conf";
	struct inclusion inclusion = { l, NULL, 0 };
	char main[CONF_WORD_MAX + 128];
	int i;

	if (!l) {
		conf_fail(r->files, "out of memory");
		return;
	}
	l->result = r;
	r->always = asks_always(r->files);
	strcpy(l->port, "80");
	for (i = 1; i < argc; i++) {
		if (!strncmp(argv[i], "-f", 2))
			path = argv[i][2] ? argv[i] + 2 :
			       i + 1 < argc ? argv[i + 1] : path;
	}
	snprintf(l->dir, sizeof(l->dir), "%s", path);
	conf_dirname(l->dir);
	inclusion.scope = &l->global;
	include_file(path, &inclusion);

	for (i = 0; i < l->count; i++)
		add_scope(l, &l->sockets[i]);
	if (*l->bind == '/')
		*l->bind = '\0';
	snprintf(main, sizeof(main), "%s:%s", l->bind, l->port);
	l->global.match = r->best ? CONF_NO_MATCH : match(l, main);
	l->global.line = 1;
	snprintf(l->global.from, sizeof(l->global.from), "%s", path);
	add_scope(l, &l->global);
	/* To its backends it speaks no TLS. */
	if (r->best == CONF_NO_MATCH)
		conf_add(r, CONF_ANY, CONF_PLAIN, path, 1);
	free(l);
}
