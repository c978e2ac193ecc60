// SPDX-License-Identifier: GPL-2.0-or-later
/* Tables that are never wider than the terminal, as far as that is possible. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ktlsctl.h"

#define INDENT 4	/* of the second and third of three lines */

struct table {
	const struct column *columns;
	size_t columns_count;
	char **cells;
	size_t count;
	size_t room;
};

static void *must(void *memory)
{
	if (!memory) {
		fputs("ktlsctl: out of memory\n", stderr);
		exit(STATUS_FAILED);
	}
	return memory;
}

struct table *table_new(const struct column *columns, size_t count)
{
	struct table *t = must(calloc(1, sizeof(*t)));

	t->columns = columns;
	t->columns_count = count;
	return t;
}

void table_add(struct table *t, const char *text)
{
	if (t->count == t->room) {
		t->room = t->room ? t->room * 2 : 256;
		t->cells = must(realloc(t->cells,
					t->room * sizeof(*t->cells)));
	}
	t->cells[t->count++] = must(strdup(text));
}

/*
 * A table has one of these forms, the first that fits:
 * - a line for each row;
 * - the same, but of the rows whose first columns are too long for that, they
 *   stand alone on a line, and the others below, in their places (an IPv6
 *   address does not tear the whole table apart);
 * - three lines for each row.
 */
struct form {
	unsigned int gap;	/* spaces between columns */
	unsigned int lines;	/* 1, 2 or 3 */
	size_t *widths;		/* of columns */
	bool *is_long;		/* rows of two lines */
	size_t long_count;
};

static size_t rows_of(const struct table *t)
{
	return t->count / t->columns_count;
}

static bool is_first(const struct column *c)
{
	return !c->line_of_2;
}

static unsigned int line_of(const struct column *c, const struct form *f)
{
	return f->lines == 3 ? c->line_of_3 : 0;
}

static void measure(const struct table *t, struct form *f)
{
	size_t row, i, len;

	for (i = 0; i < t->columns_count; i++)
		f->widths[i] = strlen(t->columns[i].title);
	for (row = 0; row < rows_of(t); row++) {
		for (i = 0; i < t->columns_count; i++) {
			/* Marks, without a title, stay in their place. */
			if (f->is_long[row] && is_first(&t->columns[i]) &&
			    *t->columns[i].title)
				continue;
			len = strlen(t->cells[row * t->columns_count + i]);
			if (len > f->widths[i])
				f->widths[i] = len;
		}
	}
}

/* The widest of the lines. */
static size_t width_of(const struct table *t, const struct form *f)
{
	size_t i, width[3] = { 0 }, most = 0;

	for (i = 0; i < t->columns_count; i++)
		/* An empty column without a title is not there. */
		if (f->widths[i])
			width[line_of(&t->columns[i], f)] +=
				f->gap + f->widths[i];
	for (i = 0; i < 3; i++) {
		/* There is no gap before the first. */
		if (width[i])
			width[i] = width[i] - f->gap + (i ? INDENT : 0);
		if (width[i] > most)
			most = width[i];
	}
	return most;
}

static size_t longest_first(const struct table *t, size_t row)
{
	size_t i, len, most = 0;

	for (i = 0; i < t->columns_count; i++) {
		len = strlen(t->cells[row * t->columns_count + i]);
		if (is_first(&t->columns[i]) && len > most)
			most = len;
	}
	return most;
}

/* Gives rows a second line, the longest first, until the others fit. */
static bool fit_in_two(const struct table *t, struct form *f,
		       unsigned int width)
{
	size_t row, most;

	f->lines = 2;
	f->long_count = 0;
	memset(f->is_long, 0, rows_of(t) * sizeof(*f->is_long));
	for (;;) {
		measure(t, f);
		if (width_of(t, f) <= width)
			return true;
		most = 0;
		for (row = 0; row < rows_of(t); row++)
			if (!f->is_long[row] && longest_first(t, row) > most)
				most = longest_first(t, row);
		if (!most)
			return false;
		for (row = 0; row < rows_of(t); row++) {
			if (!f->is_long[row] && longest_first(t, row) == most) {
				f->is_long[row] = true;
				f->long_count++;
			}
		}
	}
}

static void choose_form(const struct table *t, unsigned int width,
			struct form *f)
{
	size_t with_two = SIZE_MAX;

	f->lines = 1;
	measure(t, f);
	for (f->gap = 2; f->gap; f->gap--)
		if (!width || width_of(t, f) <= width)
			break;
	if (f->gap)
		return;

	f->gap = 2;
	if (fit_in_two(t, f, width))
		with_two = f->long_count;
	f->gap = 1;
	if (fit_in_two(t, f, width)) {
		if (f->long_count < with_two)
			return;
		f->gap = 2;
		fit_in_two(t, f, width);
		return;
	}

	f->lines = 3;
	memset(f->is_long, 0, rows_of(t) * sizeof(*f->is_long));
	measure(t, f);
	for (f->gap = 2; f->gap > 1; f->gap--)
		if (width_of(t, f) <= width)
			break;
}

/* The columns of one line, or of a part of it: all, the first, the others. */
enum part { ALL, FIRST, OTHERS };

static bool is_in(const struct table *t, size_t i, const struct form *f,
		  unsigned int line, enum part part)
{
	const struct column *c = &t->columns[i];

	if (part != ALL && is_first(c) != (part == FIRST))
		return false;
	return f->widths[i] && line_of(c, f) == line;
}

static void print_line(const struct table *t, const struct form *f,
		       char **cells, unsigned int line, enum part part)
{
	int between = 0;
	size_t i, last = 0;

	for (i = 0; i < t->columns_count; i++)
		if (is_in(t, i, f, line, part))
			last = i;
	if (line)
		printf("%*s", INDENT, "");
	/* Where the first columns are in other rows. */
	for (i = 0; part == OTHERS && i < t->columns_count; i++)
		if (is_in(t, i, f, line, FIRST))
			printf("%*s", (int)(f->widths[i] + f->gap), "");
	for (i = 0; i < t->columns_count; i++) {
		const char *text = cells ? cells[i] : t->columns[i].title;
		int width = f->widths[i];

		if (!is_in(t, i, f, line, part))
			continue;
		if (part == FIRST && *t->columns[i].title)
			width = 0;
		printf("%*s", between, "");
		if (t->columns[i].right)
			printf("%*s", width, text);
		else if (i == last)	/* no line ends in spaces */
			printf("%s", text);
		else
			printf("%-*s", width, text);
		between = part == FIRST ? 1 : f->gap;
	}
	putchar('\n');
}

size_t table_print(struct table *t, unsigned int width, size_t max_lines)
{
	size_t rows = rows_of(t), row, i, printed, left = 0;
	struct form f = {
		.widths = must(calloc(t->columns_count, sizeof(*f.widths))),
		.is_long = must(calloc(rows + 1, sizeof(*f.is_long))),
	};
	unsigned int line;
	char **cells;

	choose_form(t, width, &f);
	for (line = 0; line == 0 || (f.lines == 3 && line < 3); line++)
		print_line(t, &f, NULL, line, ALL);
	printed = line;
	for (row = 0; row < rows; row++) {
		cells = t->cells + row * t->columns_count;
		printed += f.lines == 3 ? 3 : 1 + f.is_long[row];
		/* There is to be room for a line that says so. */
		if (max_lines && printed + (row + 1 < rows) > max_lines) {
			left = rows - row;
			break;
		}
		if (f.is_long[row]) {
			print_line(t, &f, cells, 0, FIRST);
			print_line(t, &f, cells, 0, OTHERS);
			continue;
		}
		for (line = 0; line == 0 || (f.lines == 3 && line < 3); line++)
			print_line(t, &f, cells, line, ALL);
	}

	for (i = 0; i < t->count; i++)
		free(t->cells[i]);
	free(t->cells);
	free(f.widths);
	free(f.is_long);
	free(t);
	return left;
}
