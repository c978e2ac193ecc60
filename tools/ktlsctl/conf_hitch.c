// SPDX-License-Identifier: GPL-2.0-or-later
/* hitch: its frontends; what is behind it gets no TLS. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf_server.h"

static const struct conf_language language = { "={}", ";", "\"'" };

struct hitch {
	struct conf_result *result;
	bool has_frontend;
};

/* "[ADDRESS]:PORT+CERTIFICATE" */
static void read_frontend(struct hitch *h, const char *value, const char *file,
			  unsigned int line)
{
	char copy[CONF_WORD_MAX], *addr;
	uint16_t port;

	h->has_frontend = true;
	snprintf(copy, sizeof(copy), "%s", value);
	copy[strcspn(copy, "+")] = '\0';
	if (conf_split_addr(copy, &addr, &port) &&
	    port == h->result->end.port) {
		enum conf_match match;

		if (!strcmp(addr, "[*]"))
			*addr = '\0';
		match = conf_match_addr(addr, false, &h->result->end);
		if (match)
			conf_add(h->result, match, CONF_UNSET, file, line);
	}
}

/* { host = "*"  port = "443"  ... } */
static int read_block(struct hitch *h, struct conf_text *text,
		      const char *file)
{
	char word[CONF_WORD_MAX], key[64] = "", whole[CONF_WORD_MAX];
	char host[512] = "*", port[64] = "8443";
	unsigned int line = text->line;
	bool is_value = false;
	int token;

	while ((token = conf_token(text, word)) > 0 && token != '}') {
		if (token == '=') {
			is_value = true;
		} else if (token == '{') {
			return CONF_BAD;
		} else if (!is_value) {
			snprintf(key, sizeof(key), "%.63s", word);
		} else {
			is_value = false;
			if (!strcmp(key, "host"))
				snprintf(host, sizeof(host), "%.500s", word);
			else if (!strcmp(key, "port"))
				snprintf(port, sizeof(port), "%.60s", word);
		}
	}
	if (token != '}')
		return CONF_BAD;
	snprintf(whole, sizeof(whole), "[%s]:%s", host, port);
	read_frontend(h, whole, file, line);
	return token;
}

static void read_file(struct hitch *h, const char *path)
{
	char word[CONF_WORD_MAX], key[64] = "", *s;
	struct conf_text text;
	int token, depth = 0;
	bool is_value = false;
	size_t len;

	s = conf_load(h->result->files, path, &len);
	if (!s)
		return;
	conf_begin(&text, s, len, &language);
	while ((token = conf_token(&text, word)) > 0) {
		if (token == '=') {
			is_value = true;
		} else if (token == '{') {
			if (!strcmp(key, "frontend") && is_value && !depth)
				token = read_block(h, &text, path);
			else
				depth++;
			if (token < 0)
				break;
			is_value = false;
		} else if (token == '}') {
			depth -= depth > 0;
		} else if (is_value) {
			if (!strcmp(key, "frontend") && !depth)
				read_frontend(h, word, path, text.line);
			is_value = false;
		} else {
			snprintf(key, sizeof(key), "%.63s", word);
		}
	}
	if (token < 0 || depth)
		conf_fail(h->result->files,
			  "%.200s:%u: a quote or a block without an end", path,
			  text.line);
	free(s);
}

void read_hitch(struct conf_result *r, int argc, char **argv)
{
	struct hitch h = { .result = r };
	const char *file = NULL;
	int i;

	for (i = 1; i < argc; i++) {
		const char *next = i + 1 < argc ? argv[i + 1] : "";

		if (!strncmp(argv[i], "--config=", 9))
			file = argv[i] + 9;
		else if (!strcmp(argv[i], "--config"))
			file = next;
		else if (!strncmp(argv[i], "--frontend=", 11))
			read_frontend(&h, argv[i] + 11, "/proc/PID/cmdline", 1);
		else if (!strcmp(argv[i], "-f") ||
			 !strcmp(argv[i], "--frontend"))
			read_frontend(&h, next, "/proc/PID/cmdline", 1);
	}
	if (file)
		read_file(&h, file);
	if (!h.has_frontend)
		read_frontend(&h, "[*]:8443", file ?: "/proc/PID/cmdline", 1);
	if (r->best == CONF_NO_MATCH)
		conf_add(r, CONF_ANY, CONF_PLAIN, file ?: "/proc/PID/cmdline",
			 1);
}
