/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Files as another process has them: within its root, whatever links say, and
 * not more of them than a configuration takes.  What they hold was written by
 * others.
 */
#ifndef CONF_FILES_H
#define CONF_FILES_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "conf_lexer.h"

struct conf_files;

/* Those of a process; or %NULL and errno. */
struct conf_files *conf_open(unsigned int pid);
/* The same of a directory that is to be the root. */
struct conf_files *conf_open_root(const char *root, const char *cwd);
void conf_close(struct conf_files *files);

/*
 * The text of a file, with the length if @len is not %NULL; to be freed.
 * %NULL if it cannot be read, which is noted.  A relative path is one of the
 * working directory.
 */
char *conf_load(struct conf_files *files, const char *path, size_t *len);
/* The same of a file that need not be there. */
char *conf_load_if(struct conf_files *files, const char *path, size_t *len);

/* Is called for each path, in order. */
typedef void conf_path_fn(const char *path, void *arg);
/*
 * The files that a pattern with *, ? and [] matches, sorted; without any of
 * these, the path itself.  Returns how many.
 */
size_t conf_glob(struct conf_files *files, const char *pattern,
		 conf_path_fn *fn, void *arg);
bool conf_is_pattern(const char *path);
bool conf_is_dir(struct conf_files *files, const char *path);

/* @path, which is relative to @dir unless it begins with a slash. */
bool conf_join(char out[PATH_MAX], const char *dir, const char *path);
/* The directory of a file, in place. */
void conf_dirname(char path[PATH_MAX]);

/*
 * What follows @key in a (binary) file up to one of @ends; false if it is not
 * in there.
 */
bool conf_find(struct conf_files *files, const char *path, const char *key,
	       const char *ends, char *value, size_t size);
/* The same in the executable of the process. */
bool conf_find_exe(struct conf_files *files, const char *key, const char *ends,
		   char *value, size_t size);

/* Notes what could not be read; the first stays. */
__attribute__((format(printf, 2, 3)))
void conf_fail(struct conf_files *files, const char *format, ...);
/* That, or "". */
/* As what they say is not known in full if lines of @path were cut. */
void conf_fail_if_cut(struct conf_files *files, const char *path,
		      const struct conf_text *text);
const char *conf_failure(const struct conf_files *files);
/* A file or directory that was changed after this time of CLOCK_REALTIME. */
const char *conf_newer(const struct conf_files *files, uint64_t ns);
/* Of those that were read so far, it is not asked any more. */
void conf_forget_newer(struct conf_files *files);

/* Arguments and environment of the process. */

#define CONF_ARGS_MAX 256

/* The arguments of the process, which belong to @files. */
int conf_args(struct conf_files *files, char ***argv);

enum conf_found {
	CONF_ABSENT,
	CONF_FOUND,
	CONF_HIDDEN,		/* it may be there */
};

/*
 * A variable of the environment that the process was started with, even if it
 * has written a title over that.
 */
enum conf_found conf_environment(struct conf_files *files, const char *name,
				 char *value, size_t size);

#endif /* CONF_FILES_H */
