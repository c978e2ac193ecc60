// SPDX-License-Identifier: GPL-2.0-or-later
/* Files as another process has them. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <inttypes.h>
#include <linux/openat2.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "conf_files.h"
#include "host.h"

/* More than any configuration has, and little to read. */
#define FILES_MAX 4000
#define FILE_MAX (1u << 20)
#define BYTES_MAX (16u << 20)
#define ENTRIES_MAX 20000
#define DEPTH_MAX 32
/* Of a binary, and of a heap. */
#define SEARCH_MAX (64u << 20)

struct conf_files {
	unsigned int pid;	/* 0: a root without a process */
	int root;
	char cwd[PATH_MAX];
	unsigned int count;
	unsigned int entries;	/* of directories */
	size_t bytes;
	char failure[256];
	/* The file that was changed last. */
	char newest[512];
	uint64_t newest_ns;
	char *args;
	char *argv[CONF_ARGS_MAX];
	int argc;
};

static int open_proc(const struct conf_files *f, const char *name, int flags)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%u/%s", f->pid, name);
	return open(path, flags | O_CLOEXEC);
}

static char *read_proc(const struct conf_files *f, const char *name,
		       size_t *len)
{
	char *text;
	int fd;

	fd = open_proc(f, name, O_RDONLY);
	if (fd < 0)
		return NULL;
	text = read_open(fd, BYTES_MAX, len);
	close(fd);
	return text;
}

struct conf_files *conf_open_root(const char *root, const char *cwd)
{
	struct conf_files *f = calloc(1, sizeof(*f));

	if (!f)
		return NULL;
	snprintf(f->cwd, sizeof(f->cwd), "%s", cwd);
	f->root = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (f->root >= 0)
		return f;
	free(f);
	return NULL;
}

/* Its working directory, as a path within its root. */
static void read_cwd(struct conf_files *f)
{
	char link[64], root[PATH_MAX], cwd[PATH_MAX];
	ssize_t n, m;

	snprintf(link, sizeof(link), "/proc/%u/cwd", f->pid);
	n = readlink(link, cwd, sizeof(cwd) - 1);
	snprintf(link, sizeof(link), "/proc/%u/root", f->pid);
	m = readlink(link, root, sizeof(root) - 1);
	if (n < 0 || m < 0)
		return;
	cwd[n] = '\0';
	root[m] = '\0';
	/* In a chroot, both are shown from outside of it. */
	if (m > 1 && !strncmp(cwd, root, m) && (!cwd[m] || cwd[m] == '/'))
		memmove(cwd, cwd + m, n - m + 1);
	snprintf(f->cwd, sizeof(f->cwd), "%s", *cwd ? cwd : "/");
}

struct conf_files *conf_open(unsigned int pid)
{
	struct conf_files *f;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%u/root", pid);
	f = conf_open_root(path, "/");
	if (!f)
		return NULL;
	f->pid = pid;
	read_cwd(f);
	return f;
}

void conf_close(struct conf_files *f)
{
	if (!f)
		return;
	close(f->root);
	free(f->args);
	free(f);
}

void conf_fail(struct conf_files *f, const char *format, ...)
{
	va_list ap;

	if (*f->failure)
		return;
	va_start(ap, format);
	vsnprintf(f->failure, sizeof(f->failure), format, ap);
	va_end(ap);
}

void conf_fail_if_cut(struct conf_files *f, const char *path,
		      const struct conf_text *text)
{
	if (text->cut)
		conf_fail(f, "%.200s has a line of more than %u bytes", path,
			  CONF_LINE_MAX);
}

const char *conf_failure(const struct conf_files *f)
{
	return f->failure;
}

const char *conf_newer(const struct conf_files *f, uint64_t ns)
{
	return f->newest_ns > ns ? f->newest : NULL;
}

void conf_forget_newer(struct conf_files *f)
{
	f->newest_ns = 0;
}

bool conf_join(char out[PATH_MAX], const char *dir, const char *path)
{
	int n;

	if (*path == '/')
		n = snprintf(out, PATH_MAX, "%s", path);
	else
		n = snprintf(out, PATH_MAX, "%s%s%s", dir,
			     *dir && dir[strlen(dir) - 1] == '/' ? "" : "/",
			     path);
	return n < PATH_MAX;
}

void conf_dirname(char path[PATH_MAX])
{
	char *slash = strrchr(path, '/');

	if (slash == path)
		slash++;
	if (slash)
		*slash = '\0';
	else
		strcpy(path, ".");
}

/* As the process would open it. */
static int open_within(const struct conf_files *f, const char *path, int flags)
{
	struct open_how how = {
		.flags = flags | O_CLOEXEC,
		.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS,
	};
	char whole[PATH_MAX];

	if (!conf_join(whole, f->cwd, path)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	return syscall(SYS_openat2, f->root, whole, &how, sizeof(how));
}

static int open_file(const struct conf_files *f, const char *path)
{
	return open_regular(open_within(f, path, O_PATH));
}

static void note_age(struct conf_files *f, const char *path,
		     const struct stat *st)
{
	/* The time of a change cannot be set back, as that of a write can. */
	uint64_t ns = st->st_ctim.tv_sec * 1000000000ull + st->st_ctim.tv_nsec;

	if (ns <= f->newest_ns)
		return;
	f->newest_ns = ns;
	snprintf(f->newest, sizeof(f->newest), "%s", path);
}

char *conf_load_if(struct conf_files *f, const char *path, size_t *len)
{
	size_t n = 0;
	struct stat st;
	char *text;
	int fd;

	if (f->count >= FILES_MAX || f->bytes >= BYTES_MAX) {
		conf_fail(f, "there is more of it than %u files or %u MiB",
			  FILES_MAX, BYTES_MAX >> 20);
		errno = EFBIG;
		return NULL;
	}
	fd = open_file(f, path);
	if (fd < 0)
		return NULL;
	if (fstat(fd, &st)) {
		close(fd);
		return NULL;
	}
	/* What has no size is a file of the kernel, and reading may take from it. */
	text = st.st_size ? read_open(fd, FILE_MAX, &n) : strdup("");
	close(fd);
	if (!text)
		return NULL;
	if (n == FILE_MAX)
		conf_fail(f, "%.200s has more than %u MiB", path,
			  FILE_MAX >> 20);
	note_age(f, path, &st);
	f->count++;
	f->bytes += n;
	if (len)
		*len = n;
	return text;
}

char *conf_load(struct conf_files *f, const char *path, size_t *len)
{
	char *text = conf_load_if(f, path, len);

	if (!text)
		conf_fail(f, "%.200s could not be read: %s", path,
			  strerror(errno));
	return text;
}

bool conf_is_dir(struct conf_files *f, const char *path)
{
	int fd = open_within(f, path, O_RDONLY | O_DIRECTORY);

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

/* Patterns */

bool conf_is_pattern(const char *path)
{
	return strpbrk(path, "*?[");
}

struct walk {
	struct conf_files *files;
	conf_path_fn *fn;
	void *arg;
	size_t count;
};

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The names in a directory that match, sorted; to be freed, all of them. */
static char **list_dir(struct conf_files *f, const char *path,
		       const char *pattern, size_t *count)
{
	char **names = NULL, **more;
	size_t room = 0;
	struct dirent *entry;
	struct stat st;
	DIR *dir;
	int fd;

	*count = 0;
	fd = open_within(f, path, O_RDONLY | O_DIRECTORY);
	if (fd < 0) {
		/* No directory, no files: most are patterns for this reason. */
		if (errno != ENOENT && errno != ENOTDIR)
			conf_fail(f, "%.200s could not be read: %s", path,
				  strerror(errno));
		return NULL;
	}
	if (!fstat(fd, &st))
		note_age(f, path, &st);
	dir = fdopendir(fd);
	if (!dir) {
		close(fd);
		return NULL;
	}
	while ((entry = readdir(dir))) {
		if (++f->entries > ENTRIES_MAX) {
			conf_fail(f, "%.200s: its patterns lead to more than %u names",
				  path, ENTRIES_MAX);
			break;
		}
		if (fnmatch(pattern, entry->d_name, FNM_PERIOD))
			continue;
		if (*count == room) {
			room = room ? room * 2 : 64;
			more = reallocarray(names, room, sizeof(*names));
			if (!more) {
				conf_fail(f, "out of memory");
				break;
			}
			names = more;
		}
		names[*count] = strdup(entry->d_name);
		if (names[*count])
			++*count;
	}
	closedir(dir);
	if (names)
		qsort(names, *count, sizeof(*names), compare_names);
	return names;
}

/* @done is a directory, @rest what is to be found in there. */
static void walk(struct walk *w, const char *done, const char *rest, int depth)
{
	char path[PATH_MAX], part[NAME_MAX + 1];
	size_t len, count, i;
	char **names;

	rest += strspn(rest, "/");
	len = strcspn(rest, "/");
	if (!len || len > NAME_MAX || depth > DEPTH_MAX ||
	    w->files->count >= FILES_MAX || w->files->entries > ENTRIES_MAX)
		return;
	memcpy(part, rest, len);
	part[len] = '\0';
	rest += len;
	if (!conf_is_pattern(part)) {
		if (!conf_join(path, done, part))
			return;
		if (*rest) {
			walk(w, path, rest, depth + 1);
		} else {
			w->count++;
			w->fn(path, w->arg);
		}
		return;
	}
	names = list_dir(w->files, *done ? done : "/", part, &count);
	for (i = 0; i < count; i++) {
		if (conf_join(path, done, names[i])) {
			if (*rest) {
				walk(w, path, rest, depth + 1);
			} else {
				w->count++;
				w->fn(path, w->arg);
			}
		}
		free(names[i]);
	}
	free(names);
}

size_t conf_glob(struct conf_files *f, const char *pattern, conf_path_fn *fn,
		 void *arg)
{
	struct walk w = { .files = f, .fn = fn, .arg = arg };
	char whole[PATH_MAX];

	if (conf_join(whole, f->cwd, pattern))
		walk(&w, "", whole, 0);
	return w.count;
}

/* Strings in binaries, and in memory */

struct search {
	const char *key;
	const char *ends;
	char *value;
	size_t size;
	bool whole;		/* only if it stands behind a NUL */
};

static bool search(int fd, off_t at, size_t max, const struct search *s)
{
	size_t len = strlen(s->key), keep = len + s->size + 1;
	size_t n = 0, done = 0, left, i;
	static char buffer[1 << 17];
	char *hit, *from;
	bool last = false;
	ssize_t got;

	while (!last) {
		got = pread(fd, buffer + n, sizeof(buffer) - n, at + done);
		last = got <= 0 || done + got >= max;
		if (got > 0) {
			done += got;
			n += got;
		}
		for (from = buffer;
		     (hit = memmem(from, buffer + n - from, s->key, len));
		     from = hit + 1) {
			left = buffer + n - hit - len;
			/* It goes on in the next piece. */
			if (left < s->size && !last)
				break;
			if (s->whole && (hit == buffer || hit[-1]))
				continue;
			for (i = 0; i < left && i + 1 < s->size; i++) {
				if (!hit[len + i] ||
				    strchr(s->ends, hit[len + i]))
					break;
				s->value[i] = hit[len + i];
			}
			s->value[i] = '\0';
			return true;
		}
		if (n > keep) {
			memmove(buffer, buffer + n - keep, keep);
			n = keep;
		}
	}
	return false;
}

bool conf_find(struct conf_files *f, const char *path, const char *key,
	       const char *ends, char *value, size_t size)
{
	struct search s = { key, ends, value, size, false };
	int fd = open_file(f, path);
	bool found;

	if (fd < 0)
		return false;
	found = search(fd, 0, SEARCH_MAX, &s);
	close(fd);
	return found;
}

bool conf_find_exe(struct conf_files *f, const char *key, const char *ends,
		   char *value, size_t size)
{
	struct search s = { key, ends, value, size, false };
	bool found;
	int fd;

	if (!f->pid)
		return false;
	fd = open_proc(f, "exe", O_RDONLY);
	if (fd < 0)
		return false;
	found = search(fd, 0, SEARCH_MAX, &s);
	close(fd);
	return found;
}

/* Arguments and environment */

int conf_args(struct conf_files *f, char ***argv)
{
	size_t len = 0, i = 0;

	*argv = f->argv;
	if (f->args || !f->pid)
		return f->argc;
	f->args = read_proc(f, "cmdline", &len);
	while (f->args && i < len && f->argc < CONF_ARGS_MAX) {
		f->argv[f->argc++] = f->args + i;
		i += strlen(f->args + i) + 1;
	}
	/* A title leaves NULs behind. */
	while (f->argc && !*f->argv[f->argc - 1])
		f->argc--;
	return f->argc;
}

/*
 * nginx moves its environment into the heap and its title into the place of
 * that.  What is moved together is found together.
 */
static enum conf_found search_heap(struct conf_files *f, const char *name,
				   char *value, size_t size)
{
	static const char *const usual[] = { "PATH=", "LANG=", "PWD=", "HOME=" };
	uintptr_t begin, end;
	char *maps, *line, key[64], some[2];
	enum conf_found found = CONF_HIDDEN;
	size_t len = 0, i;
	struct search s;
	int fd = -1;

	maps = read_proc(f, "maps", &len);
	line = maps ? strstr(maps, "[heap]") : NULL;
	while (line && line > maps && line[-1] != '\n')
		line--;
	if (line && sscanf(line, "%" SCNxPTR "-%" SCNxPTR, &begin, &end) == 2)
		fd = open_proc(f, "mem", O_RDONLY);
	free(maps);
	if (fd < 0)
		return CONF_HIDDEN;
	if (end - begin > SEARCH_MAX)
		end = begin + SEARCH_MAX;
	snprintf(key, sizeof(key), "%s=", name);
	s = (struct search){ key, "", value, size, true };
	if (search(fd, begin, end - begin, &s))
		found = CONF_FOUND;
	for (i = 0; i < ARRAY_SIZE(usual) && found == CONF_HIDDEN; i++) {
		s = (struct search){ usual[i], "", some, sizeof(some), true };
		if (search(fd, begin, end - begin, &s))
			found = CONF_ABSENT;
	}
	close(fd);
	return found;
}

enum conf_found conf_environment(struct conf_files *f, const char *name,
				 char *value, size_t size)
{
	enum conf_found found = CONF_ABSENT;
	size_t len = 0, n, i;
	bool erased = false;
	char *env;

	if (!f->pid)
		return CONF_ABSENT;
	env = read_proc(f, "environ", &len);
	if (!env)
		return CONF_HIDDEN;
	n = strlen(name);
	for (i = 0; i < len; i += strlen(env + i) + 1) {
		if (!strncmp(env + i, name, n) && env[i + n] == '=') {
			snprintf(value, size, "%s", env + i + n + 1);
			found = CONF_FOUND;
			break;
		}
		erased |= !strchr(env + i, '=');
	}
	free(env);
	if (found == CONF_ABSENT && erased)
		found = search_heap(f, name, value, size);
	return found;
}
