/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the configuration files of servers are made of: lines, words, braces. */
#ifndef CONF_LEXER_H
#define CONF_LEXER_H

#include <stdbool.h>
#include <stddef.h>

/* A longer word is cut: it is nothing that is looked for here.  A line may be. */
#define CONF_WORD_MAX 1024
#define CONF_LINE_MAX 8192

/* How a language separates its words. */
struct conf_language {
	const char *marks;	/* characters that end a word and are one */
	const char *leading;	/* those that do so only between words */
	const char *quotes;
};

struct conf_text {
	const char *at;
	const char *end;
	unsigned int line;	/* of what was read last, from 1 */
	unsigned int next;	/* of what follows, for conf_line() */
	bool cut;		/* a line was, by conf_line() */
	const struct conf_language *language;
};

enum conf_token {
	CONF_END = 0,
	CONF_BAD = -1,		/* a quote without an end */
	CONF_WORD = 'w',
	CONF_QUOTED = 'q',	/* a word in quotes */
	/* else the mark itself */
};

void conf_begin(struct conf_text *text, const char *s, size_t len,
		const struct conf_language *language);
/* The next token; # begins a comment. A newline is one if it is a mark. */
int conf_token(struct conf_text *text, char word[CONF_WORD_MAX]);

/*
 * The next line without blanks around it; if @continued, with those that it
 * goes on in after a backslash.  False at the end.
 */
bool conf_line(struct conf_text *text, char line[CONF_LINE_MAX],
	       bool continued);
/*
 * Splits a line in place at blanks; quotes keep words together, a backslash
 * takes the meaning from the next character, # begins a comment.
 */
int conf_words(char *line, char **words, int max);
/* Splits "key = value"; false if it is none. */
bool conf_assignment(char *line, char **key, char **value);

#endif /* CONF_LEXER_H */
