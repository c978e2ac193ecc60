// SPDX-License-Identifier: GPL-2.0-or-later
/* Tables that are never wider than the terminal, as far as that is possible. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ktlsctl.h"

#define INDENT 4	/* of the second and third line of a row */

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

static unsigned int line_of(const struct column *c, unsigned int lines)
{
	return lines == 1 ? 0 : lines == 2 ? c->line_of_2 : c->line_of_3;
}

/* The last column of a line is not padded, so that no line ends in spaces. */
static bool is_last(const struct table *t, size_t column, unsigned int lines)
{
	unsigned int line = line_of(&t->columns[column], lines);

	while (++column < t->columns_count)
		if (line_of(&t->columns[column], lines) == line)
			return false;
	return true;
}

static void print_line(const struct table *t, const size_t *widths,
		       char **cells, unsigned int lines, unsigned int line)
{
	const char *between = "";
	const char *text;
	size_t i;

	if (line)
		printf("%*s", INDENT, "");
	for (i = 0; i < t->columns_count; i++) {
		const struct column *c = &t->columns[i];

		if (line_of(c, lines) != line)
			continue;
		text = cells ? cells[i] : c->title;
		if (c->right)
			printf("%s%*s", between, (int)widths[i], text);
		else if (is_last(t, i, lines))
			printf("%s%s", between, text);
		else
			printf("%s%-*s", between, (int)widths[i], text);
		between = " ";
	}
	putchar('\n');
}

static size_t width_of(const struct table *t, const size_t *widths,
		       unsigned int lines)
{
	size_t i, width[3] = { 0, INDENT - 1, INDENT - 1 }, most = 0;

	width[0] = -1;	/* no space before the first */
	for (i = 0; i < t->columns_count; i++)
		width[line_of(&t->columns[i], lines)] += 1 + widths[i];
	for (i = 0; i < lines; i++)
		if (width[i] > most)
			most = width[i];
	return most;
}

size_t table_print(struct table *t, unsigned int width, size_t max_lines)
{
	size_t rows = t->count / t->columns_count, row, i, len, left = 0;
	size_t *widths = must(calloc(t->columns_count, sizeof(*widths)));
	unsigned int lines = 1, line;

	for (i = 0; i < t->columns_count; i++)
		widths[i] = strlen(t->columns[i].title);
	for (i = 0; i < t->count; i++) {
		len = strlen(t->cells[i]);
		if (len > widths[i % t->columns_count])
			widths[i % t->columns_count] = len;
	}
	while (width && lines < 3 && width_of(t, widths, lines) > width)
		lines++;

	for (line = 0; line < lines; line++)
		print_line(t, widths, NULL, lines, line);
	for (row = 0; row < rows; row++) {
		if (max_lines && (row + 2) * lines > max_lines) {
			left = rows - row;
			break;
		}
		for (line = 0; line < lines; line++)
			print_line(t, widths,
				   t->cells + row * t->columns_count, lines,
				   line);
	}

	for (i = 0; i < t->count; i++)
		free(t->cells[i]);
	free(t->cells);
	free(widths);
	free(t);
	return left;
}
