// SPDX-License-Identifier: GPL-2.0-or-later
/* nginx: ssl_conf_command, in http, stream and mail. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "conf_server.h"

/* A listen may have many, and ssl at the end. */
#define WORDS 32
#define SERVERS_MAX 20000
#define INCLUDES_MAX 16
#define BLOCKS_MAX 64

enum block {
	MAIN,
	PROTOCOL,		/* http, stream or mail */
	SERVER,
	OTHER,
};

/* What a server block or the protocol above it says. */
struct scope {
	bool has_commands;	/* any ssl_conf_command: then none is inherited */
	bool padding;
	enum conf_setting ktls;
	bool starttls;
};

struct virtual {
	struct scope scope;
	enum conf_match match;
	bool listens;		/* it says where */
	bool tls;
	bool rejects;		/* every handshake */
	char from[256];
	unsigned int line;
};

struct nginx {
	struct conf_result *result;
	char prefix[PATH_MAX];
	char conf_dir[PATH_MAX];
	char words[WORDS][CONF_WORD_MAX];
	int count;
	bool is_http;
	struct scope above;
	struct virtual *servers;
	size_t servers_count;
	size_t servers_room;
	bool elsewhere;		/* KTLS for connections that nginx makes */
	int includes;
};

static const struct conf_language language = { ";{", "}", "\"'" };

static int read_block(struct nginx *n, struct conf_text *text, enum block block,
		      const char *file, int depth);
static void read_text_of(struct nginx *n, enum block block, const char *s,
			 size_t len, const char *file, int depth);

static struct virtual *last_server(struct nginx *n)
{
	return &n->servers[n->servers_count - 1];
}

static bool add_server(struct nginx *n, const char *file, unsigned int line)
{
	struct virtual *more, *v;
	size_t room;

	if (n->servers_count == n->servers_room) {
		room = n->servers_room ? n->servers_room * 2 : 32;
		more = room > SERVERS_MAX ? NULL :
		       reallocarray(n->servers, room, sizeof(*more));
		if (!more) {
			conf_fail(n->result->files, "%.200s: too many servers",
				  file);
			return false;
		}
		n->servers = more;
		n->servers_room = room;
	}
	v = &n->servers[n->servers_count++];
	*v = (struct virtual){ .line = line };
	snprintf(v->from, sizeof(v->from), "%s", file);
	return true;
}

/* listen ADDRESS:PORT ssl ...; */
static void read_listen(struct nginx *n, struct virtual *v)
{
	enum conf_match match;
	bool v6only = true, tls = false;
	uint16_t port;
	char *addr;
	int i;

	v->listens = true;
	for (i = 2; i < n->count; i++) {
		/* Over UDP: not the port that is asked about. */
		if (!strcmp(n->words[i], "quic") || !strcmp(n->words[i], "udp"))
			return;
		if (!strcmp(n->words[i], "ssl"))
			tls = true;
		if (!strcmp(n->words[i], "ipv6only=off"))
			v6only = false;
	}
	addr = n->words[1];
	if (!strncmp(addr, "unix:", 5))
		return;
	if (!conf_split_addr(addr, &addr, &port))
		port = n->is_http ? 80 : 0;
	if (port && port != n->result->end.port)
		return;
	match = conf_match_v4(addr, v6only, &n->result->end);
	if (!port && match)
		match = CONF_PERHAPS;	/* a range of ports */
	if (match > v->match)
		v->match = match;
	if (match)
		v->tls |= tls;
}

static void read_command(struct scope *s, const char *name, const char *value)
{
	if (!s->has_commands) {
		s->has_commands = true;
		s->ktls = CONF_UNSET;
	}
	if (!strcasecmp(name, "Options"))
		s->ktls = conf_options(s->ktls, value);
	else if (!strcasecmp(name, "RecordPadding"))
		s->padding = atoi(value) > 1;
}

static void read_directive(struct nginx *n, enum block block)
{
	const char *name = n->words[0], *value = n->words[1], *under;
	struct virtual *v = block == SERVER ? last_server(n) : NULL;
	struct scope *s = v ? &v->scope : &n->above;

	if (n->count < 2)
		return;
	/* proxy_ssl_conf_command and its like: of the other side. */
	under = strstr(name, "_ssl_conf_command");
	if (under && n->count > 2 && !strcasecmp(value, "Options") &&
	    conf_options(CONF_UNSET, n->words[2]) == CONF_ON)
		n->elsewhere = true;
	if (block != SERVER && block != PROTOCOL)
		return;
	if (!strcmp(name, "ssl_conf_command") && n->count > 2)
		read_command(s, value, n->words[2]);
	else if (!strcmp(name, "starttls"))
		s->starttls = strcmp(value, "off");
	else if (v && !strcmp(name, "listen"))
		read_listen(n, v);
	else if (v && !strcmp(name, "ssl") && !strcmp(value, "on"))
		v->tls = true;
	else if (v && !strcmp(name, "ssl_reject_handshake"))
		v->rejects = !strcmp(value, "on");
}

/* Each that matches, with what it inherits. */
static void add_servers(struct nginx *n)
{
	struct conf_result *r = n->result;
	struct virtual *v;
	bool tls[CONF_PERHAPS + 1] = { 0 };
	size_t i;

	for (i = 0; i < n->servers_count; i++) {
		v = &n->servers[i];
		if (!v->listens && n->is_http &&
		    (r->end.port == 80 || r->end.port == 8000))
			v->match = conf_match_v4("*", true, &r->end);
		/* One listen with ssl makes it so for all of the address. */
		tls[v->match] |= v->tls;
	}
	for (i = 0; i < n->servers_count; i++) {
		enum conf_setting setting;
		struct scope *s;

		v = &n->servers[i];
		if (!v->match)
			continue;
		s = v->scope.has_commands ? &v->scope : &n->above;
		setting = s->ktls;
		if (!tls[v->match] && !v->scope.starttls && !n->above.starttls)
			setting = CONF_PLAIN;
		else if (v->rejects)
			continue;
		else
			r->padding |= s->padding;
		conf_add(r, v->match, setting, v->from, v->line);
	}
}

/* Code of Lua: braces in pairs, but for those in strings and comments. */
static void skip_lua(struct conf_text *t)
{
	unsigned int depth = 1;
	char quote = 0, c;

	while (t->at < t->end && depth) {
		c = *t->at++;
		t->line += c == '\n';
		if (quote) {
			if (c == '\\' && t->at < t->end)
				t->at++;
			else if (c == quote || c == '\n')
				quote = 0;
		} else if (c == '"' || c == '\'') {
			quote = c;
		} else if (c == '-' && t->at < t->end && *t->at == '-') {
			while (t->at < t->end && *t->at != '\n')
				t->at++;
		} else if (c == '{') {
			depth++;
		} else if (c == '}') {
			depth--;
		}
	}
}

struct inclusion {
	struct nginx *nginx;
	enum block block;
	int depth;
};

static void include_file(const char *path, void *arg)
{
	struct inclusion *i = arg;
	struct nginx *n = i->nginx;
	size_t len;
	char *s;

	s = conf_load(n->result->files, path, &len);
	if (!s)
		return;
	n->includes++;
	read_text_of(n, i->block, s, len, path, i->depth);
	n->includes--;
	free(s);
}

static void include(struct nginx *n, enum block block, int depth)
{
	struct inclusion i = { n, block, depth };
	char path[PATH_MAX];

	if (n->includes >= INCLUDES_MAX) {
		conf_fail(n->result->files,
			  "%.200s: files that include each other",
			  n->words[1]);
		return;
	}
	if (conf_join(path, n->conf_dir, n->words[1]))
		conf_glob(n->result->files, path, include_file, &i);
}

/* The block that opens, by the words before it. */
static void open_block(struct nginx *n, struct conf_text *text,
		       enum block block, const char *file, int depth)
{
	const char *name = n->count ? n->words[0] : "";
	const unsigned int line = text->line;
	const size_t len = strlen(name);
	int end;

	if (len > 13 && !strcmp(name + len - 13, "_by_lua_block")) {
		skip_lua(text);
		return;
	}
	if (depth >= BLOCKS_MAX) {
		conf_fail(n->result->files,
			  "%.200s:%u: too many blocks in each other", file,
			  line);
		text->at = text->end;
		return;
	}
	if (block == MAIN && (!strcmp(name, "http") ||
			      !strcmp(name, "stream") ||
			      !strcmp(name, "mail"))) {
		n->is_http = !strcmp(name, "http");
		n->above = (struct scope){ 0 };
		n->servers_count = 0;
		end = read_block(n, text, PROTOCOL, file, depth + 1);
		add_servers(n);
	} else {
		block = block == PROTOCOL && !strcmp(name, "server") &&
			add_server(n, file, line) ? SERVER : OTHER;
		end = read_block(n, text, block, file, depth + 1);
	}
	if (end != '}')
		conf_fail(n->result->files, "%.200s:%u: a block without an end",
			  file, line);
}

/* What ended it: CONF_END, CONF_BAD or '}'. */
static int read_block(struct nginx *n, struct conf_text *text, enum block block,
		      const char *file, int depth)
{
	char word[CONF_WORD_MAX];
	int token;

	n->count = 0;
	while ((token = conf_token(text, word)) != CONF_END) {
		switch (token) {
		case CONF_WORD:
		case CONF_QUOTED:
			if (n->count < WORDS)
				memcpy(n->words[n->count++], word,
				       sizeof(word));
			break;
		case ';':
			if (n->count == 2 && !strcmp(n->words[0], "include"))
				include(n, block, depth);
			else
				read_directive(n, block);
			n->count = 0;
			break;
		case '{':
			open_block(n, text, block, file, depth);
			n->count = 0;
			break;
		default:
			return token;
		}
	}
	return CONF_END;
}

static void read_text_of(struct nginx *n, enum block block, const char *s,
			 size_t len, const char *file, int depth)
{
	struct conf_text text;

	conf_begin(&text, s, len, &language);
	switch (read_block(n, &text, block, file, depth)) {
	case '}':
		conf_fail(n->result->files, "%.200s:%u: a } too many", file,
			  text.line);
		break;
	case CONF_BAD:
		conf_fail(n->result->files, "%.200s: a quote without an end",
			  file);
		break;
	}
}

/*
 * The title of a master process has the arguments, without what kept them
 * apart: "nginx: master process nginx -g daemon off; -c /etc/nginx.conf".  An
 * option's value goes on until the next option.
 */
static const char *next_option(const char *s, char *letter, char *value,
			       size_t size)
{
	const char *end;

	s = strstr(s, " -");
	if (!s || !s[2])
		return NULL;
	*letter = s[2];
	s += 3;
	s += *s == ' ';
	for (end = strstr(s, " -"); end; end = strstr(end + 1, " -"))
		if (strchr("cegpqtTvV?h", end[2]) &&
		    (!end[2] || end[3] == ' ' || end[3] == '/' || !end[3]))
			break;
	end = end ?: s + strlen(s);
	snprintf(value, size, "%.*s", (int)(end - s), s);
	return end;
}

static void use_option(char letter, const char *value, char conf[PATH_MAX],
		       char prefix[PATH_MAX], char *globals, size_t size)
{
	switch (letter) {
	case 'c':
		snprintf(conf, PATH_MAX, "%s", value);
		break;
	case 'p':
		snprintf(prefix, PATH_MAX, "%s", value);
		break;
	case 'g':
		snprintf(globals, size, "%s", value);
		break;
	}
}

static void read_arguments(struct conf_files *files, int argc, char **argv,
			   char conf[PATH_MAX], char prefix[PATH_MAX],
			   char *globals, size_t size)
{
	static const char title[] = "nginx: master process ";
	char letter, value[CONF_LINE_MAX];
	const char *s;
	int i;

	if (argc && !strncmp(argv[0], title, strlen(title))) {
		for (s = argv[0]; (s = next_option(s, &letter, value,
						   sizeof(value))); )
			use_option(letter, value, conf, prefix, globals, size);
		return;
	}
	if (argc && !strncmp(argv[0], "nginx: ", 7))
		conf_fail(files, "the master process, which has its arguments, is gone");
	for (i = 1; i < argc; i++) {
		if (argv[i][0] != '-' || !strchr("cpge", argv[i][1]) ||
		    !argv[i][1])
			continue;
		letter = argv[i][1];
		if (argv[i][2])
			use_option(letter, argv[i] + 2, conf, prefix, globals,
				   size);
		else if (i + 1 < argc)
			use_option(letter, argv[++i], conf, prefix, globals,
				   size);
	}
}

void read_nginx(struct conf_result *r, int argc, char **argv)
{
	char conf[PATH_MAX] = "", prefix[PATH_MAX] = "", path[PATH_MAX];
	char globals[CONF_LINE_MAX] = "";
	struct nginx *n = calloc(1, sizeof(*n));
	size_t len;
	char *s;

	if (!n) {
		conf_fail(r->files, "out of memory");
		return;
	}
	n->result = r;
	/* What it was built with is kept for nginx -V; else it is Debian's. */
	strcpy(conf, "conf/nginx.conf");
	if (!conf_find_exe(r->files, " --prefix=", " ", prefix,
			   sizeof(prefix))) {
		strcpy(prefix, "/usr/share/nginx");
		strcpy(conf, "/etc/nginx/nginx.conf");
	}
	if (conf_find_exe(r->files, " --conf-path=", " ", path, sizeof(path)))
		strcpy(conf, path);
	read_arguments(r->files, argc, argv, conf, prefix, globals,
		       sizeof(globals));

	if (!conf_join(path, prefix, conf)) {
		conf_fail(r->files, "the name of nginx's configuration is too long");
	} else {
		snprintf(n->conf_dir, sizeof(n->conf_dir), "%s", path);
		conf_dirname(n->conf_dir);
		read_text_of(n, MAIN, globals, strlen(globals), "nginx -g", 0);
		s = conf_load(r->files, path, &len);
		if (s)
			read_text_of(n, MAIN, s, len, path, 0);
		free(s);
	}
	/* Locally, connections to others have any port. */
	r->outgoing = r->best == CONF_NO_MATCH;
	if (r->outgoing)
		conf_add(r, CONF_ANY, n->elsewhere ? CONF_ON : CONF_UNSET, path,
			 1);
	free(n->servers);
	free(n);
}
