// SPDX-License-Identifier: GPL-2.0-or-later
/* A policy as a file: a line for each rule. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ktlsctl.h"

/* Longer lines are nothing that a person wrote. */
#define LINE_MAX_LEN (64 * 1024)

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == '\v' ||
	       c == '\f';
}

static int hex_digit(char c)
{
	static const char digits[] = "0123456789abcdef";
	const char *at = c ? strchr(digits, c | 0x20) : NULL;

	return at && (c >= 'A' || (c >= '0' && c <= '9')) ? at - digits : -1;
}

/* Of what follows a quote to the next; where to go on, or %NULL. */
static char *unquote(char *in, char *out, struct wrong *w)
{
	int high, low;

	while (*in != '"') {
		if (!*in) {
			wrong(w, "the closing quote is missing");
			return NULL;
		}
		if (*in != '\\') {
			*out++ = *in++;
			continue;
		}
		in++;
		if (*in == '"' || *in == '\\') {
			*out++ = *in++;
			continue;
		}
		high = *in == 'x' ? hex_digit(in[1]) : -1;
		low = high >= 0 ? hex_digit(in[2]) : -1;
		if (low < 0 || !(high | low)) {
			wrong(w, "in quotes, a backslash is followed by a quote, by another, or by xHH, a byte other than 00");
			return NULL;
		}
		*out++ = high << 4 | low;
		in += 3;
	}
	*out = '\0';
	in++;
	if (*in && !is_blank(*in)) {
		wrong(w, "a blank is missing after a quote");
		return NULL;
	}
	return in;
}

int split_words(char *line, char **words, int max, struct wrong *w)
{
	int count = 0;

	for (;;) {
		while (is_blank(*line))
			line++;
		if (!*line || *line == '#')
			return count;
		if (count == max) {
			wrong(w, "more than %d words", max);
			return -1;
		}
		if (*line == '"') {
			words[count++] = line;
			/* It gets shorter, so in its own place. */
			line = unquote(line + 1, line, w);
			if (!line)
				return -1;
			continue;
		}
		words[count++] = line;
		while (*line && !is_blank(*line))
			line++;
		if (*line)
			*line++ = '\0';
	}
}

bool draft_insert(struct draft *d, size_t at, const struct ktls_rule *rule)
{
	struct ktls_policy *p = &d->policy;
	struct ktls_rule *rules;
	size_t room;

	if (p->rules_count == d->room) {
		room = d->room ? d->room * 2 : 16;
		rules = reallocarray(p->rules, room, sizeof(*rules));
		if (!rules) {
			d->out_of_memory = true;
			return false;
		}
		p->rules = rules;
		d->room = room;
	}
	memmove(p->rules + at + 1, p->rules + at,
		(p->rules_count - at) * sizeof(*p->rules));
	p->rules[at] = *rule;
	p->rules_count++;
	return true;
}

void draft_remove(struct draft *d, size_t at)
{
	struct ktls_policy *p = &d->policy;

	p->rules_count--;
	memmove(p->rules + at, p->rules + at + 1,
		(p->rules_count - at) * sizeof(*p->rules));
}

bool draft_copy(struct draft *d, const struct ktls_policy *policy)
{
	size_t i;

	free_draft(d);
	d->policy = *policy;
	d->policy.rules = NULL;
	d->policy.rules_count = 0;
	for (i = 0; i < policy->rules_count; i++)
		if (!draft_insert(d, i, &policy->rules[i]))
			return false;
	return true;
}

void free_draft(struct draft *d)
{
	free(d->policy.rules);
	free(d->complaints);
	*d = (struct draft){ 0 };
}

static void complain(struct draft *d, unsigned int line, const struct wrong *w)
{
	struct complaint *list;

	list = reallocarray(d->complaints, d->complaints_count + 1,
			    sizeof(*list));
	if (!list) {
		d->out_of_memory = true;
		return;
	}
	d->complaints = list;
	list[d->complaints_count++] = (struct complaint){ line, *w };
}

/* What a file may say once. */
struct said {
	bool fallback;
	bool dry_run;
};

static bool read_words(struct draft *d, struct said *said, int count,
		       char **words, struct wrong *w)
{
	struct ktls_rule rule;

	if (!strcmp(words[0], "default")) {
		if (said->fallback)
			return wrong(w, "default is given twice");
		said->fallback = true;
		if (count != 2)
			return wrong(w, "default takes one of allow, deny and audit");
		return parse_action(w, "default", words[1],
				    &d->policy.fallback);
	}
	if (!strcmp(words[0], "dry-run")) {
		if (said->dry_run)
			return wrong(w, "dry-run is given twice");
		said->dry_run = true;
		if (count != 2 || (strcmp(words[1], "on") &&
				   strcmp(words[1], "off")))
			return wrong(w, "dry-run takes on or off");
		d->policy.dry_run = !strcmp(words[1], "on");
		return true;
	}
	if (strcmp(words[0], "allow") && strcmp(words[0], "deny") &&
	    strcmp(words[0], "audit"))
		return wrong(w, "a line begins with allow, deny, audit, default or dry-run, not with \"%s\"",
			     words[0]);
	if (!parse_rule(count, words, &rule, w))
		return false;
	if (d->policy.rules_count == KTLS_RULES_MAX)
		return wrong(w, "this is rule %d, and %d is the most there may be",
			     KTLS_RULES_MAX + 1, KTLS_RULES_MAX);
	draft_insert(d, d->policy.rules_count, &rule);
	return true;
}

/* One character more than fits is read, to know of it. */
static bool read_line(FILE *file, char *line, size_t *len)
{
	int c;

	*len = 0;
	while ((c = getc(file)) != EOF && c != '\n')
		if (*len < LINE_MAX_LEN)
			line[(*len)++] = c;
	line[*len] = '\0';
	return c != EOF || *len;
}

int read_policy(FILE *file, struct draft *d)
{
	struct said said = { 0 };
	unsigned int number = 0;
	char *words[WORDS_MAX];
	struct wrong w;
	size_t len;
	char *line;
	int count;

	*d = (struct draft){ 0 };
	line = malloc(LINE_MAX_LEN + 1);
	if (!line)
		return -ENOMEM;
	while (read_line(file, line, &len)) {
		bool good;

		number++;
		count = 0;
		if (len == LINE_MAX_LEN) {
			good = wrong(&w, "the line is too long");
		} else if (strlen(line) != len) {
			good = wrong(&w, "the line has a NUL byte; is this a text file?");
		} else {
			count = split_words(line, words, WORDS_MAX, &w);
			good = count >= 0;
		}
		if (good && count)
			good = read_words(d, &said, count, words, &w);
		if (!good)
			complain(d, number, &w);
		/* Nobody reads them all. */
		if (d->out_of_memory || d->complaints_count > 1000)
			break;
	}
	free(line);
	if (ferror(file))
		return -errno;
	return d->out_of_memory ? -ENOMEM : 0;
}

void write_policy(FILE *file, const struct ktls_policy *policy)
{
	char *text;
	size_t i;

	fprintf(file, "# Policy of kernel TLS; see ktlsctl-policy(8)\n");
	fprintf(file, "default %s\n", ktls_action_name(policy->fallback));
	fprintf(file, "dry-run %s\n", policy->dry_run ? "on" : "off");
	for (i = 0; i < policy->rules_count; i++) {
		text = rule_text(&policy->rules[i]);
		fprintf(file, "%s\n", text ?: "");
		free(text);
	}
}
