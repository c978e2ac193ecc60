// SPDX-License-Identifier: GPL-2.0-or-later
/* All network namespaces of this host, and what moves in them. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host.h"
#include "observe.h"

/* More are not looked at. */
#define SPACES_MAX 4096
/* A descendant of the command that has more above it is not found. */
#define FAMILY_MAX 16

/* What is in a namespace now */

static uint64_t own_inode(void)
{
	struct stat st;

	return stat("/proc/self/ns/net", &st) ? 0 : st.st_ino;
}

static int read_tls_stat(void *arg)
{
	char **text = arg;

	errno = 0;
	*text = read_text("/proc/thread-self/net/tls_stat");
	/* Without tls.ko there is none. */
	return *text || errno == ENOENT ? 0 : -errno;
}

struct latest {
	uint64_t number;
	struct space *space;
};

static int on_attempt(const struct ktls_attempt *t, void *arg)
{
	struct latest *l = arg;

	if (t->number <= l->number)
		return 0;
	l->space->user_pid = t->pid;
	memcpy(l->space->user, t->comm, sizeof(l->space->user));
	return 0;
}

static void read_module(struct space *s, bool first)
{
	const struct ktls_module *module;
	struct latest latest = { s->attempts, s };
	struct ktls *ktls;

	if (!ktls_open(&ktls, s->fd) && !ktls_get_module(ktls, &module)) {
		uint64_t number = module->attempts;

		s->has_module = true;
		if (!first && number > s->attempts)
			ktls_dump_attempts(ktls, false, on_attempt, &latest);
		s->attempts = first ? number : number - s->attempts;
	}
	ktls_close(ktls);
}

static void measure(struct space *s, bool first, bool module)
{
	char **text = first ? &s->before : &s->after;
	int err;

	if (s->inode == own_inode())
		err = read_tls_stat(text);
	else
		err = s->fd < 0 ? -EACCES : in_netns(s->fd, read_tls_stat, text);
	s->readable = !err;
	if (module && (first || s->has_module || s->fresh))
		read_module(s, first);
}

/* Finding them */

static struct space *find_space(const struct spaces *spaces, uint64_t inode)
{
	size_t i;

	for (i = 0; i < spaces->count; i++)
		if (spaces->list[i].inode == inode)
			return &spaces->list[i];
	return NULL;
}

/* @path is its file; the file keeps it for us. */
static struct space *add_space(struct spaces *spaces, uint64_t inode,
			       const char *path)
{
	struct space *list, *s;
	struct stat st;

	if (spaces->count == SPACES_MAX)
		return NULL;
	list = reallocarray(spaces->list, spaces->count + 1, sizeof(*list));
	if (!list)
		return NULL;
	spaces->list = list;
	s = &list[spaces->count++];
	*s = (struct space){ .inode = inode };
	s->fd = open(path, O_RDONLY | O_CLOEXEC);
	/* The process may be another, or elsewhere, by now. */
	if (s->fd >= 0 && (fstat(s->fd, &st) || st.st_ino != inode)) {
		close(s->fd);
		s->fd = -1;
	}
	return s;
}

static void name_process(struct space *s, uint32_t pid)
{
	char path[64], *text;

	s->pid = pid;
	snprintf(path, sizeof(path), "/proc/%u/comm", pid);
	text = read_text(path);
	if (!text)
		return;
	text[strcspn(text, "\n")] = '\0';
	snprintf(s->comm, sizeof(s->comm), "%.15s", text);
	free(text);
}

static struct space *see_process(struct spaces *spaces, uint32_t pid)
{
	struct space *s;
	char path[64];
	struct stat st;

	snprintf(path, sizeof(path), "/proc/%u/ns/net", pid);
	if (stat(path, &st)) {
		spaces->hidden += errno == EACCES || errno == EPERM;
		return NULL;
	}
	s = find_space(spaces, st.st_ino) ?:
	    add_space(spaces, st.st_ino, path);
	if (s && !s->pid)
		name_process(s, pid);
	return s;
}

static void see_processes(struct spaces *spaces)
{
	DIR *proc = opendir("/proc");
	struct dirent *entry;
	uint64_t pid;

	spaces->hidden = 0;
	while (proc && (entry = readdir(proc)))
		if (parse_number(entry->d_name, INT32_MAX, &pid))
			see_process(spaces, pid);
	if (proc)
		closedir(proc);
}

static void see_names(struct spaces *spaces)
{
	DIR *dir = opendir("/run/netns");
	struct dirent *entry;
	struct space *s;
	char path[300];
	struct stat st;

	while (dir && (entry = readdir(dir))) {
		if (entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "/run/netns/%s", entry->d_name);
		if (stat(path, &st))
			continue;
		s = find_space(spaces, st.st_ino) ?:
		    add_space(spaces, st.st_ino, path);
		if (s)
			snprintf(s->name, sizeof(s->name), "%.63s",
				 entry->d_name);
	}
	if (dir)
		closedir(dir);
}

/* The command and what it has started. */
static void see_family(struct spaces *spaces, pid_t pid, int depth)
{
	struct space *s = see_process(spaces, pid);
	char path[64], *text, *word, *save;

	if (s)
		s->has_command = true;
	if (depth == FAMILY_MAX)
		return;
	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", pid, pid);
	text = read_text(path);
	for (word = text ? strtok_r(text, " ", &save) : NULL; word;
	     word = strtok_r(NULL, " ", &save))
		see_family(spaces, atoi(word), depth + 1);
	free(text);
}

enum status begin_spaces(struct spaces *spaces, bool module)
{
	enum status status;
	struct stat st;
	size_t i;
	int fd;

	status = open_read_netns(&fd);
	if (status)
		return status;
	if (!fstat(fd, &st) && add_space(spaces, st.st_ino, "/dev/null")) {
		close(spaces->list[0].fd);
		spaces->list[0].fd = fd;
	} else {
		close(fd);
		return error(STATUS_FAILED, "out of memory");
	}
	see_names(spaces);
	see_processes(spaces);
	for (i = 0; i < spaces->count; i++)
		measure(&spaces->list[i], true, module);
	return STATUS_OK;
}

void find_spaces(struct spaces *spaces, pid_t command, bool all)
{
	size_t i = spaces->count;

	if (command > 0)
		see_family(spaces, command, 0);
	if (all) {
		see_names(spaces);
		see_processes(spaces);
	}
	for (; i < spaces->count; i++)
		spaces->list[i].fresh = true;
}

void end_spaces(struct spaces *spaces, bool module)
{
	size_t i;

	find_spaces(spaces, 0, true);
	for (i = 0; i < spaces->count; i++)
		measure(&spaces->list[i], false, module);
}

void free_spaces(struct spaces *spaces)
{
	struct space *s;
	size_t i;

	for (i = 0; i < spaces->count; i++) {
		s = &spaces->list[i];
		if (s->fd >= 0)
			close(s->fd);
		free(s->before);
		free(s->after);
	}
	free(spaces->list);
}

uint64_t counter_growth(const struct space *s, const char *name)
{
	uint64_t before = 0, after = 0;

	if (!s->after || !parse_counter(s->after, name, &after))
		return 0;
	if (s->before)
		parse_counter(s->before, name, &before);
	return after > before ? after - before : 0;
}

bool space_moved(const struct space *s)
{
	static const char *const counters[] = {
		"TlsTxSw", "TlsRxSw", "TlsTxDevice", "TlsRxDevice",
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(counters); i++)
		if (counter_growth(s, counters[i]))
			return true;
	return s->has_module && s->attempts;
}
