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

bool parse_maps(const char *text, struct mapped *libssl)
{
	const char *slash, *end, *name;
	size_t len;

	memset(libssl, 0, sizeof(*libssl));
	for (; *text; text = *end ? end + 1 : end) {
		end = text + strcspn(text, "\n");
		/* 7f..-7f.. r-xp 00000000 fe:01 1234    /usr/lib/libssl.so.3 */
		slash = memchr(text, '/', end - text);
		if (!slash)
			continue;
		name = memrchr(slash, '/', end - slash);
		if (end - name < 10 || strncmp(name, "/libssl.so", 10))
			continue;
		if (sscanf(text, "%*s %*s %*s %x:%x %" SCNu64, &libssl->major,
			   &libssl->minor, &libssl->inode) != 3)
			continue;
		len = end - slash;
		if (len > strlen(DELETED) &&
		    !strncmp(end - strlen(DELETED), DELETED, strlen(DELETED))) {
			libssl->deleted = true;
			len -= strlen(DELETED);
		}
		if (len >= sizeof(libssl->path))
			len = sizeof(libssl->path) - 1;
		memcpy(libssl->path, slash, len);
		libssl->path[len] = '\0';
		return true;
	}
	return false;
}

static void read_process(unsigned int pid, struct process *p)
{
	char path[64], *text;
	struct stat st;

	memset(p, 0, sizeof(*p));
	p->pid = pid;
	snprintf(path, sizeof(path), "/proc/%u/comm", pid);
	text = read_text(path);
	if (text) {
		text[strcspn(text, "\n")] = '\0';
		snprintf(p->comm, sizeof(p->comm), "%.*s", KTLS_COMM_LEN - 1,
			 text);
		free(text);
	}
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

enum status read_processes(struct processes *p)
{
	struct process *list;
	struct dirent *entry;
	uint64_t pid;
	DIR *proc;

	memset(p, 0, sizeof(*p));
	proc = opendir("/proc");
	if (!proc)
		return error(STATUS_FAILED, "could not read /proc: %s",
			     strerror(errno));
	while ((entry = readdir(proc))) {
		if (!parse_number(entry->d_name, INT_MAX, &pid))
			continue;
		if (p->count == p->room) {
			p->room = p->room ? p->room * 2 : 256;
			list = reallocarray(p->list, p->room, sizeof(*list));
			if (!list) {
				closedir(proc);
				return error(STATUS_FAILED, "out of memory");
			}
			p->list = list;
		}
		read_process(pid, &p->list[p->count++]);
	}
	closedir(proc);
	return STATUS_OK;
}

void free_processes(struct processes *p)
{
	free(p->list);
	memset(p, 0, sizeof(*p));
}
