// SPDX-License-Identifier: GPL-2.0-or-later
/* Cgroups (v2): their paths, and the inodes by which the kernel calls them. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "ktlsctl.h"

/* The second is where hosts with both versions have it. */
static const char *const roots[] = {
	"/sys/fs/cgroup", "/sys/fs/cgroup/unified",
};

static bool on_cgroup2(const char *path)
{
	struct statfs fs;

	return !statfs(path, &fs) && fs.f_type == CGROUP2_SUPER_MAGIC;
}

static bool id_of(const char *path, uint64_t *id)
{
	struct stat st;

	if (!on_cgroup2(path) || stat(path, &st) || !S_ISDIR(st.st_mode))
		return false;
	*id = st.st_ino;
	return true;
}

bool parse_cgroup(struct wrong *w, const char *s, uint64_t *id)
{
	char path[PATH_MAX];
	bool any = false;
	size_t i;

	/* What cgroup_path() has no path for is written so. */
	if (parse_number(s, UINT64_MAX, id) && *id)
		return true;
	if (id_of(s, id))
		return true;
	for (i = 0; i < ARRAY_SIZE(roots); i++) {
		if (on_cgroup2(roots[i]))
			any = true;
		if ((size_t)snprintf(path, sizeof(path), "%s%s%s", roots[i],
				     *s == '/' ? "" : "/", s) < sizeof(path) &&
		    id_of(path, id))
			return true;
	}
	if (!any)
		return wrong(w, "cgroup: no cgroup (v2) file system is mounted at /sys/fs/cgroup");
	return wrong(w, "cgroup takes the path of a cgroup (v2) as systemd-cgls shows it; there is no \"%s\" now",
		     s);
}

bool cgroup_path(uint64_t id, char *path, size_t size)
{
	/* FILEID_KERNFS of the kernel: the handle is the id. */
	struct {
		struct file_handle handle;
		uint64_t id;
	} h = {
		.handle = { .handle_bytes = sizeof(id), .handle_type = 0xfe },
	};
	char link[64];
	ssize_t n;
	size_t i, len;
	int root, fd;

	memcpy(h.handle.f_handle, &id, sizeof(id));
	for (i = 0; i < ARRAY_SIZE(roots); i++) {
		root = open(roots[i], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (root < 0)
			continue;
		fd = open_by_handle_at(root, &h.handle,
				       O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		close(root);
		if (fd < 0)
			continue;
		snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
		n = readlink(link, path, size - 1);
		close(fd);
		if (n <= 0)
			continue;
		path[n] = '\0';
		len = strlen(roots[i]);
		if (strncmp(path, roots[i], len))
			return true;
		memmove(path, path + len, n - len + 1);
		if (!*path)
			strcpy(path, "/");
		return true;
	}
	return false;
}
