// SPDX-License-Identifier: GPL-2.0-or-later
/* Processes, and the sockets that they have open. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "program.h"

static bool add_hold(struct holders *h, uint64_t inode, unsigned int pid)
{
	struct hold *holds;

	if (h->count == h->room) {
		h->room = h->room ? h->room * 2 : 256;
		holds = reallocarray(h->holds, h->room, sizeof(*holds));
		if (!holds)
			return false;
		h->holds = holds;
	}
	h->holds[h->count++] = (struct hold){ inode, pid };
	return true;
}

static bool read_descriptors(struct holders *h, unsigned int pid)
{
	char path[64], link[64];
	struct dirent *entry;
	uint64_t inode;
	ssize_t len;
	bool good = true;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%u/fd", pid);
	dir = opendir(path);
	if (!dir) {
		h->hidden += errno == EACCES || errno == EPERM;
		return true;
	}
	while (good && (entry = readdir(dir))) {
		len = readlinkat(dirfd(dir), entry->d_name, link,
				 sizeof(link) - 1);
		if (len < 0)
			continue;
		link[len] = '\0';
		if (sscanf(link, "socket:[%" SCNu64 "]", &inode) == 1)
			good = add_hold(h, inode, pid);
	}
	closedir(dir);
	return good;
}

static bool add_netns(struct holders *h, unsigned int pid)
{
	struct netns *netns;
	struct stat st;
	char path[64];
	size_t i;

	snprintf(path, sizeof(path), "/proc/%u/ns/net", pid);
	if (stat(path, &st))
		return true;
	for (i = 0; i < h->netns_count; i++)
		if (h->netns[i].ino == st.st_ino)
			return true;
	netns = reallocarray(h->netns, h->netns_count + 1, sizeof(*netns));
	if (!netns)
		return false;
	h->netns = netns;
	h->netns[h->netns_count++] = (struct netns){ st.st_ino, pid };
	return true;
}

static int by_inode(const void *a, const void *b)
{
	const struct hold *x = a, *y = b;

	if (x->inode != y->inode)
		return x->inode < y->inode ? -1 : 1;
	return x->pid < y->pid ? -1 : x->pid > y->pid;
}

enum status read_holders(struct holders *h)
{
	unsigned int *pids;
	bool good = true;
	size_t i, count;

	memset(h, 0, sizeof(*h));
	pids = list_processes(&count);
	if (!pids)
		return error(STATUS_FAILED, "could not read /proc: %s",
			     strerror(errno));
	for (i = 0; good && i < count; i++)
		good = read_descriptors(h, pids[i]) && add_netns(h, pids[i]);
	free(pids);
	if (!good)
		return error(STATUS_FAILED, "out of memory");
	if (h->count)
		qsort(h->holds, h->count, sizeof(*h->holds), by_inode);
	return STATUS_OK;
}

void free_holders(struct holders *h)
{
	size_t i;

	for (i = 0; i < h->list_count; i++) {
		free_program(h->list[i]->program);
		free(h->list[i]);
	}
	free(h->list);
	free(h->holds);
	free(h->netns);
	memset(h, 0, sizeof(*h));
}

/* The first hold of that inode and process, or behind it. */
static size_t first_hold(const struct holders *h, uint64_t inode,
			 unsigned int pid)
{
	const struct hold key = { inode, pid };
	size_t low = 0, high = h->count, middle;

	while (low < high) {
		middle = low + (high - low) / 2;
		if (by_inode(&h->holds[middle], &key) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

bool holds_socket(const struct holders *h, unsigned int pid, uint64_t inode)
{
	size_t i = first_hold(h, inode, pid);

	return i < h->count && h->holds[i].inode == inode &&
	       h->holds[i].pid == pid;
}

/*
 * The 22nd field of stat is when it began, in ticks since the boot; the second
 * is its name in brackets, with whatever in it.
 */
static bool find_ticks(const char *text, unsigned int *parent, uint64_t *ticks)
{
	const char *s = strrchr(text, ')');

	return s && sscanf(s, ") %*c %u %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %" SCNu64,
			   parent, ticks) == 2;
}

static void parse_stat(const char *text, struct holder *p)
{
	struct timespec boot, now;
	uint64_t since;

	if (!find_ticks(text, &p->parent, &p->ticks))
		return;
	clock_gettime(CLOCK_BOOTTIME, &boot);
	clock_gettime(CLOCK_REALTIME, &now);
	since = p->ticks * (1000000000 / sysconf(_SC_CLK_TCK));
	p->start = (now.tv_sec - boot.tv_sec) * 1000000000ull + now.tv_nsec -
		   boot.tv_nsec + since;
}

static void parse_status(const char *text, struct holder *p)
{
	const char *s;

	s = strstr(text, "\nUid:");
	p->known = s && sscanf(s, "\nUid: %*u %u", &p->uid) == 1;
	s = strstr(text, "\nCapEff:");
	p->known = p->known && s &&
		   sscanf(s, "\nCapEff: %" SCNx64, &p->capabilities) == 1;
}

static void read_link(unsigned int pid, char *exe, size_t size)
{
	char path[64];
	ssize_t len;

	snprintf(path, sizeof(path), "/proc/%u/exe", pid);
	len = readlink(path, exe, size - 1);
	exe[len > 0 ? len : 0] = '\0';
}

bool is_there(const struct holder *p)
{
	char path[64], exe[sizeof(p->exe)], *text;
	unsigned int parent;
	uint64_t ticks = 0;

	snprintf(path, sizeof(path), "/proc/%u/stat", p->process.pid);
	text = read_text(path);
	if (text && !find_ticks(text, &parent, &ticks))
		ticks = 0;
	free(text);
	read_link(p->process.pid, exe, sizeof(exe));
	return text && ticks == p->ticks && !strcmp(exe, p->exe);
}

struct holder *find_holder(struct holders *h, unsigned int pid)
{
	struct holder *p, **list;
	char path[64], *text;
	size_t i;

	for (i = 0; i < h->list_count; i++)
		if (h->list[i]->process.pid == pid)
			return h->list[i];
	snprintf(path, sizeof(path), "/proc/%u/stat", pid);
	text = read_text(path);
	p = text ? calloc(1, sizeof(*p)) : NULL;
	list = p ? reallocarray(h->list, h->list_count + 1, sizeof(*list)) :
		   NULL;
	if (!list) {
		free(p);
		free(text);
		return NULL;
	}
	h->list = list;
	h->list[h->list_count++] = p;
	parse_stat(text, p);
	free(text);
	read_process(pid, &p->process);
	snprintf(path, sizeof(path), "/proc/%u/status", pid);
	text = read_text(path);
	if (text)
		parse_status(text, p);
	free(text);
	read_link(pid, p->exe, sizeof(p->exe));
	return p;
}

bool attach_holders(struct holders *h, struct connection *c)
{
	size_t i, count = 0;
	struct holder *p;

	i = first_hold(h, c->inode, 0);
	while (i + count < h->count && h->holds[i + count].inode == c->inode)
		count++;
	if (!count)
		return true;
	c->holders = calloc(count, sizeof(*c->holders));
	if (!c->holders)
		return false;
	for (; count--; i++) {
		/* One that has it open twice is one all the same. */
		if (c->holders_count && h->holds[i].pid ==
		    c->holders[c->holders_count - 1]->process.pid)
			continue;
		p = find_holder(h, h->holds[i].pid);
		if (p)
			c->holders[c->holders_count++] = p;
	}
	return true;
}
