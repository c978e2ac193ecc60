// SPDX-License-Identifier: GPL-2.0-or-later
/* Processes, and the libssl that they run with. */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "host.h"

#define DELETED " (deleted)"

/* 7f..-7f.. r-xp 00000000 fe:01 1234    /usr/lib/libssl.so.3 */
bool parse_map(const char *line, const char *end, struct mapped *file)
{
	const char *slash = memchr(line, '/', end - line);
	char head[128], access[8];
	size_t len;

	memset(file, 0, sizeof(*file));
	if (!slash)
		return false;
	/* What is before the path is short; sscanf() would measure all lines. */
	snprintf(head, sizeof(head), "%.*s", (int)(slash - line), line);
	if (sscanf(head, "%39s %7s %*s %x:%x %" SCNu64, file->range, access,
		   &file->major, &file->minor, &file->inode) != 5)
		return false;
	file->executable = strchr(access, 'x');
	len = end - slash;
	if (len > strlen(DELETED) &&
	    !strncmp(end - strlen(DELETED), DELETED, strlen(DELETED))) {
		file->deleted = true;
		len -= strlen(DELETED);
	}
	if (len >= sizeof(file->path))
		len = sizeof(file->path) - 1;
	memcpy(file->path, slash, len);
	file->path[len] = '\0';
	return true;
}

bool parse_maps(const char *text, struct mapped *libssl)
{
	const char *end;

	for (; *text; text = *end ? end + 1 : end) {
		end = text + strcspn(text, "\n");
		if (parse_map(text, end, libssl) &&
		    !strncmp(strrchr(libssl->path, '/'), "/libssl.so", 10))
			return true;
	}
	memset(libssl, 0, sizeof(*libssl));
	return false;
}

bool read_comm(unsigned int pid, char comm[KTLS_COMM_LEN])
{
	char path[64], *text;

	comm[0] = '\0';
	snprintf(path, sizeof(path), "/proc/%u/comm", pid);
	text = read_text(path);
	if (!text)
		return false;
	text[strcspn(text, "\n")] = '\0';
	snprintf(comm, KTLS_COMM_LEN, "%.*s", KTLS_COMM_LEN - 1, text);
	free(text);
	return true;
}

void read_process(unsigned int pid, struct process *p)
{
	char path[64], *text;
	struct stat st;

	memset(p, 0, sizeof(*p));
	p->pid = pid;
	read_comm(pid, p->comm);
	snprintf(path, sizeof(path), "/proc/%u/ns/net", pid);
	if (!stat(path, &st))
		p->netns = st.st_ino;
	snprintf(path, sizeof(path), "/proc/%u/maps", pid);
	text = read_text(path);
	if (text)
		parse_maps(text, &p->libssl);
	else
		p->maps_hidden = errno == EACCES || errno == EPERM;
	free(text);
}

unsigned int *list_processes(size_t *count)
{
	unsigned int *list = NULL, *more;
	struct dirent *entry;
	size_t room = 0;
	uint64_t pid;
	DIR *proc;

	*count = 0;
	proc = opendir("/proc");
	while (proc && (entry = readdir(proc))) {
		if (!parse_number(entry->d_name, INT_MAX, &pid))
			continue;
		if (*count == room) {
			room = room ? room * 2 : 256;
			more = reallocarray(list, room, sizeof(*list));
			if (!more) {
				free(list);
				list = NULL;
				break;
			}
			list = more;
		}
		list[(*count)++] = pid;
	}
	if (proc)
		closedir(proc);
	return list;
}

enum status read_processes(struct processes *p)
{
	unsigned int *pids;
	size_t i, count;

	memset(p, 0, sizeof(*p));
	pids = list_processes(&count);
	if (!pids)
		return error(STATUS_FAILED, "could not read /proc: %s",
			     strerror(errno));
	p->list = calloc(count, sizeof(*p->list));
	if (!p->list) {
		free(pids);
		return error(STATUS_FAILED, "out of memory");
	}
	for (i = 0; i < count; i++)
		read_process(pids[i], &p->list[p->count++]);
	free(pids);
	return STATUS_OK;
}

void free_processes(struct processes *p)
{
	free(p->list);
	memset(p, 0, sizeof(*p));
}
