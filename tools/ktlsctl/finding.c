// SPDX-License-Identifier: GPL-2.0-or-later
/* What is said of a connection, and where it is known from. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "why.h"

/* There is no way to go on without memory, and none to explain it. */
static void *must(void *p)
{
	if (!p) {
		fputs("ktlsctl: out of memory\n", stderr);
		exit(STATUS_FAILED);
	}
	return p;
}

static char *format_text(const char *format, va_list ap)
{
	char *text = NULL;

	if (vasprintf(&text, format, ap) < 0)
		text = NULL;
	must(text);
	clean_text(text);
	return text;
}

void add_evidence(struct connection *c, const char *from, const char *format,
		  ...)
{
	struct evidence e;
	va_list ap;
	size_t i;

	va_start(ap, format);
	e.text = format_text(format, ap);
	va_end(ap);
	/* Both directions may have been led to it. */
	for (i = 0; i < c->evidence_count; i++) {
		if (!strcmp(c->evidence[i].text, e.text) &&
		    !strcmp(c->evidence[i].from, from)) {
			free(e.text);
			return;
		}
	}
	e.from = must(strdup(from));
	clean_text(e.from);
	c->evidence = must(reallocarray(c->evidence, c->evidence_count + 1,
					sizeof(*c->evidence)));
	c->evidence[c->evidence_count++] = e;
}

static void free_remaining(struct finding *f)
{
	size_t i;

	for (i = 0; i < f->remaining_count; i++)
		free(f->remaining[i].text);
	free(f->remaining);
	f->remaining = NULL;
	f->remaining_count = 0;
}

void conclude(struct finding *f, enum verdict verdict, const char *reason,
	      const char *format, ...)
{
	va_list ap;

	free_finding(f);
	f->verdict = verdict;
	f->reason = reason;
	va_start(ap, format);
	f->text = format_text(format, ap);
	va_end(ap);
}

void advise(struct finding *f, const char *format, ...)
{
	va_list ap;

	free(f->next);
	va_start(ap, format);
	f->next = format_text(format, ap);
	va_end(ap);
}

void add_remaining(struct finding *f, const char *reason, const char *format,
		   ...)
{
	va_list ap;
	size_t i;

	for (i = 0; i < f->remaining_count; i++)
		if (!strcmp(f->remaining[i].reason, reason))
			return;
	f->remaining = must(reallocarray(f->remaining, f->remaining_count + 1,
					 sizeof(*f->remaining)));
	va_start(ap, format);
	f->remaining[f->remaining_count].text = format_text(format, ap);
	va_end(ap);
	f->remaining[f->remaining_count++].reason = reason;
}

void copy_finding(struct finding *to, const struct finding *from)
{
	size_t i;

	conclude(to, from->verdict, from->reason, "%s", from->text);
	if (from->next)
		advise(to, "%s", from->next);
	for (i = 0; i < from->remaining_count; i++)
		add_remaining(to, from->remaining[i].reason, "%s",
			      from->remaining[i].text);
}

void free_finding(struct finding *f)
{
	free(f->text);
	free(f->next);
	free_remaining(f);
	*f = (struct finding){ 0 };
}

void free_connection(struct connection *c)
{
	size_t i;

	for (i = 0; i < DIRECTIONS; i++)
		free_finding(&c->finding[i]);
	for (i = 0; i < c->evidence_count; i++) {
		free(c->evidence[i].from);
		free(c->evidence[i].text);
	}
	free(c->evidence);
	free(c->holders);
}

const char *verdict_name(enum verdict verdict)
{
	static const char *const names[] = {
		[VERDICT_UNKNOWN] = "unknown",
		[VERDICT_NEVER_ASKED] = "never-asked",
		[VERDICT_REFUSED] = "refused",
		[VERDICT_SOFTWARE] = "software",
		[VERDICT_DEVICE] = "device",
	};

	return names[verdict];
}

void add_missing(struct missing *m, const char *format, ...)
{
	va_list ap;
	char *text;
	size_t i;

	va_start(ap, format);
	text = format_text(format, ap);
	va_end(ap);
	for (i = 0; i < m->count; i++) {
		if (!strcmp(m->list[i], text)) {
			free(text);
			return;
		}
	}
	m->list = must(reallocarray(m->list, m->count + 1, sizeof(*m->list)));
	m->list[m->count++] = text;
}

void free_missing(struct missing *m)
{
	size_t i;

	for (i = 0; i < m->count; i++)
		free(m->list[i]);
	free(m->list);
	*m = (struct missing){ 0 };
}
