/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A configuration file as it is written: sections with names and values, and the
 * lines that they are on.  What they mean is conf.c's business.
 */
#ifndef SETTINGS_H
#define SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

struct setting {
	char *name;
	unsigned int line;
	char **values;
	size_t count;
};

struct section {
	char *kind;		/* "listener", or "" for what is in none */
	char *title;
	unsigned int line;
	struct setting *settings;
	size_t count;
};

/* The first section is what is in none. */
struct settings {
	struct section *sections;
	size_t count;
};

/* What is wrong with a file, to be told all at once, by lines. */
struct complaints {
	const char *path;
	struct complaint {
		unsigned int line;	/* 0: none in particular */
		char *text;
	} *list;
	size_t count;
};

__attribute__((format(printf, 3, 4)))
void complain(struct complaints *c, unsigned int line, const char *format, ...);
/* Writes and frees them; whether there were any. */
bool complaints_end(struct complaints *c, FILE *to);

/* A kind of section, and the names of what may be in it; %NULL behind the last. */
struct section_kind {
	const char *kind;	/* "" first */
	const char *const *names;
};

/* False if the file could not be read to its end. */
bool settings_read(const char *path, const struct section_kind *kinds, size_t count,
		   struct settings *settings, struct complaints *c);
void settings_free(struct settings *settings);

/* A daemon without memory for its configuration ends. */
void *must(void *memory);

#endif /* SETTINGS_H */
