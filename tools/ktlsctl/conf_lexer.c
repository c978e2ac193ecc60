// SPDX-License-Identifier: GPL-2.0-or-later
/* What the configuration files of servers are made of. */
#include <string.h>

#include "conf_lexer.h"

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == '\v' ||
	       c == '\f' || !c;
}

static bool is_one_of(char c, const char *set)
{
	return c && strchr(set, c);
}

void conf_begin(struct conf_text *t, const char *s, size_t len,
		const struct conf_language *language)
{
	*t = (struct conf_text){
		.at = s, .end = s + len, .line = 1, .next = 1,
		.language = language,
	};
}

static char take(struct conf_text *t)
{
	char c = *t->at++;

	t->line += c == '\n';
	return c;
}

static void add(char word[CONF_WORD_MAX], size_t *n, char c)
{
	if (*n < CONF_WORD_MAX - 1)
		word[(*n)++] = c ?: '?';
}

static int quoted(struct conf_text *t, char quote, char word[CONF_WORD_MAX])
{
	size_t n = 0;
	char c;

	while (t->at < t->end) {
		c = take(t);
		if (c == quote) {
			word[n] = '\0';
			return CONF_QUOTED;
		}
		if (c == '\\' && t->at < t->end &&
		    (*t->at == quote || *t->at == '\\'))
			c = take(t);
		add(word, &n, c);
	}
	word[n] = '\0';
	return CONF_BAD;
}

int conf_token(struct conf_text *t, char word[CONF_WORD_MAX])
{
	const struct conf_language *l = t->language;
	size_t n = 0;
	char c;

	word[0] = '\0';
	for (;;) {
		if (t->at == t->end)
			return CONF_END;
		c = *t->at;
		if (is_one_of(c, l->marks) || is_one_of(c, l->leading))
			return take(t);
		if (c == '#')
			while (t->at < t->end && *t->at != '\n')
				t->at++;
		else if (is_blank(c))
			take(t);
		else
			break;
	}
	if (is_one_of(c, l->quotes)) {
		take(t);
		return quoted(t, c, word);
	}
	for (; t->at < t->end; add(word, &n, take(t))) {
		c = *t->at;
		/* ${variable} is no block. */
		if (c == '{' && n && word[n - 1] == '$') {
			while (t->at < t->end && *t->at != '}' &&
			       !is_blank(*t->at))
				add(word, &n, take(t));
			if (t->at == t->end || is_blank(*t->at))
				break;
			continue;
		}
		if (is_blank(c) || is_one_of(c, l->marks))
			break;
		if (c == '\\' && t->end - t->at > 1)
			add(word, &n, take(t));
	}
	word[n] = '\0';
	return CONF_WORD;
}

bool conf_line(struct conf_text *t, char line[CONF_LINE_MAX], bool continued)
{
	size_t n = 0, start = 0;
	bool more = true;
	char c;

	if (t->at == t->end)
		return false;
	t->line = t->next;
	while (more && t->at < t->end) {
		c = *t->at++;
		if (c != '\n') {
			if (n < CONF_LINE_MAX - 1)
				line[n++] = c ?: '?';
			else
				t->cut = true;
			continue;
		}
		t->next++;
		more = continued && n && line[n - 1] == '\\';
		if (more)
			line[n - 1] = ' ';
	}
	while (n && is_blank(line[n - 1]))
		n--;
	line[n] = '\0';
	while (is_blank(line[start]) && start < n)
		start++;
	memmove(line, line + start, n - start + 1);
	return true;
}

int conf_words(char *line, char **words, int max)
{
	char *from = line, *to, quote = 0;
	int n = 0;

	for (;;) {
		while (*from == ' ' || *from == '\t')
			from++;
		if (!*from || *from == '#' || n == max)
			return n;
		words[n++] = to = from;
		for (; *from && (quote || (*from != ' ' && *from != '\t'));
		     from++) {
			if (quote ? *from == quote :
				    *from == '"' || *from == '\'') {
				quote = quote ? 0 : *from;
				continue;
			}
			if (*from == '\\' && quote != '\'' && from[1])
				from++;
			*to++ = *from;
		}
		quote = 0;
		if (*from)
			from++;
		*to = '\0';
	}
}

static void trim(char *s)
{
	size_t n = strlen(s);

	while (n && (s[n - 1] == ' ' || s[n - 1] == '\t'))
		s[--n] = '\0';
}

bool conf_assignment(char *line, char **key, char **value)
{
	char *equals = strchr(line, '=');

	if (!equals)
		return false;
	*equals++ = '\0';
	trim(line);
	*key = line;
	*value = equals + strspn(equals, " \t");
	trim(*value);
	return **key;
}
