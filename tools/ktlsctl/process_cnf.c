// SPDX-License-Identifier: GPL-2.0-or-later
/* OpenSSL's configuration, as another process has read it. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf_files.h"
#include "conf_lexer.h"
#include "server_conf.h"

#define INCLUDES_MAX 8

/* The file with those that it includes in their places. */
struct expansion {
	struct conf_files *files;
	FILE *out;
	char dir[PATH_MAX];	/* where relative names begin, or "" */
	int depth;
};

static void expand(struct expansion *e, const char *path);

static void include_file(const char *path, void *arg)
{
	expand(arg, path);
}

static void include(struct expansion *e, const char *value)
{
	static const char *const patterns[] = { "*.cnf", "*.conf" };
	char path[PATH_MAX], pattern[PATH_MAX];
	size_t i;

	/* Variables, quotes and comments. */
	if (strpbrk(value, "$\\\"'`#")) {
		conf_fail(e->files, "an .include that is not understood: %.200s",
			  value);
		return;
	}
	if (!conf_join(path, *e->dir ? e->dir : ".", value))
		return;
	if (!conf_is_dir(e->files, path)) {
		expand(e, path);
		return;
	}
	for (i = 0; i < ARRAY_SIZE(patterns); i++)
		if (conf_join(pattern, path, patterns[i]))
			conf_glob(e->files, pattern, include_file, e);
}

static void expand(struct expansion *e, const char *path)
{
	char line[CONF_LINE_MAX], *s;
	struct conf_text text;
	size_t len;

	if (e->depth >= INCLUDES_MAX) {
		conf_fail(e->files, "%.200s: files that include each other",
			  path);
		return;
	}
	/* OpenSSL goes on without what is not there. */
	s = conf_load_if(e->files, path, &len);
	if (!s) {
		if (errno != ENOENT && errno != ENOTDIR)
			conf_fail(e->files, "%.200s could not be read: %s",
				  path, strerror(errno));
		return;
	}
	e->depth++;
	conf_begin(&text, s, len, NULL);
	while (conf_line(&text, line, false)) {
		size_t skip = 8;

		if (*line == '#')
			continue;
		if (strncmp(line, ".include", 8) ||
		    !strchr(" \t=", line[8])) {
			if (!strncmp(line, ".pragma", 7) &&
			    strstr(line, "includedir:"))
				snprintf(e->dir, sizeof(e->dir), "%s",
					 strstr(line, "includedir:") + 11);
			fprintf(e->out, "%s\n", line);
			continue;
		}
		skip += strspn(line + skip, " \t");
		skip += line[skip] == '=';
		skip += strspn(line + skip, " \t");
		include(e, line + skip);
	}
	conf_fail_if_cut(e->files, path, &text);
	e->depth--;
	free(s);
}

/* Where libssl looks: libcrypto, which is beside it, was built with that. */
static bool default_path(struct conf_files *files, const struct mapped *libssl,
			 char path[PATH_MAX])
{
	char libcrypto[PATH_MAX], dir[PATH_MAX];
	const char *name = strstr(libssl->path, "/libssl.so");

	if (!name || libssl->deleted)
		return false;
	snprintf(libcrypto, sizeof(libcrypto), "%.*s/libcrypto.so%s",
		 (int)(name - libssl->path), libssl->path, name + 10);
	return conf_find(files, libcrypto, "OPENSSLDIR: \"", "\"", dir,
			 sizeof(dir)) &&
	       conf_join(path, dir, "openssl.cnf");
}

/*
 * It is parsed by our OpenSSL, which would include files of this host, and take
 * variables of our environment: nothing of that may be left, also not in words
 * that go on in the next line.
 */
static bool is_alone(const char *text, size_t size, char *failure, size_t room)
{
	char *joined = calloc(1, size + 1);
	size_t i, n = 0;
	bool alone;

	for (i = 0; joined && i < size; i++) {
		if (text[i] == '\\' && i + 1 < size && text[i + 1] == '\n')
			i++;
		else
			joined[n++] = text[i];
	}
	alone = joined && !strstr(joined, ".include") &&
		!strstr(joined, "ENV::");
	if (!alone)
		snprintf(failure, room,
			 "it has an .include that is not understood, or takes from its environment");
	free(joined);
	return alone;
}

bool read_cnf_file(struct conf_files *files, const char *path,
		   const char *include_dir, struct openssl_cnf *cnf)
{
	struct expansion e = { .files = files };
	char *text = NULL;
	size_t size = 0;

	memset(cnf, 0, sizeof(*cnf));
	snprintf(cnf->path, sizeof(cnf->path), "%.255s", path);
	snprintf(e.dir, sizeof(e.dir), "%s", include_dir);
	e.out = open_memstream(&text, &size);
	if (!e.out)
		return false;
	expand(&e, path);
	fclose(e.out);
	if (is_alone(text, size, cnf->failure, sizeof(cnf->failure)))
		parse_openssl_cnf(text, size, cnf);
	free(text);
	return !*cnf->failure;
}

bool read_process_cnf(struct conf_files *files, const struct mapped *libssl,
		      struct openssl_cnf *cnf)
{
	char path[PATH_MAX], dir[PATH_MAX];

	memset(cnf, 0, sizeof(*cnf));
	switch (conf_environment(files, "OPENSSL_CONF", path, sizeof(path))) {
	case CONF_HIDDEN:
		snprintf(cnf->failure, sizeof(cnf->failure),
			 "the environment that it was started with may name another file in OPENSSL_CONF");
		return false;
	case CONF_ABSENT:
		if (default_path(files, libssl, path))
			break;
		snprintf(cnf->failure, sizeof(cnf->failure),
			 "where its OpenSSL looks for that was not found");
		return false;
	case CONF_FOUND:
		break;
	}
	if (conf_environment(files, "OPENSSL_CONF_INCLUDE", dir,
			     sizeof(dir)) != CONF_FOUND)
		*dir = '\0';
	return read_cnf_file(files, path, dir, cnf);
}
