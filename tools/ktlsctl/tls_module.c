// SPDX-License-Identifier: GPL-2.0-or-later
/* Whether there is a tls.ko, and whether it may be loaded. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host.h"

/* Where the tools of kmod look, the first before the last. */
static const char *const modprobe_directories[] = {
	"/etc/modprobe.d", "/run/modprobe.d", "/usr/local/lib/modprobe.d",
	"/usr/lib/modprobe.d", "/lib/modprobe.d",
};

bool in_directory(const char *directory,
		  bool (*fn)(const char *text, void *arg), void *arg,
		  char *path, size_t size)
{
	struct dirent *entry;
	bool found = false;
	const char *dot;
	char *text;
	DIR *dir;

	dir = opendir(directory);
	while (dir && !found && (entry = readdir(dir))) {
		dot = strrchr(entry->d_name, '.');
		if (!dot || strcmp(dot, ".conf"))
			continue;
		snprintf(path, size, "%s/%s", directory, entry->d_name);
		text = read_text(path);
		found = text && fn(text, arg);
		free(text);
	}
	if (dir)
		closedir(dir);
	return found;
}

static bool forbids_tls(const char *text, void *arg)
{
	enum forbidden *forbidden = arg;

	*forbidden = forbids_module(text, "tls");
	return *forbidden != FORBIDDEN_NOT;
}

enum forbidden find_forbidden(char *path, size_t size)
{
	enum forbidden forbidden = FORBIDDEN_NOT;
	char *text;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(modprobe_directories); i++)
		if (in_directory(modprobe_directories[i], forbids_tls,
				 &forbidden, path, size))
			return forbidden;
	/* The same, said to the boot loader. */
	text = read_text("/proc/cmdline");
	if (text && (has_word(text, "modprobe.blacklist=tls") ||
		     has_word(text, "module_blacklist=tls"))) {
		forbidden = FORBIDDEN_BLACKLIST;
		snprintf(path, size, "/proc/cmdline");
	}
	free(text);
	return forbidden;
}

bool find_tls_module(const char *release, const char *list, char *path,
		     size_t size)
{
	bool found;
	char *text;

	snprintf(path, size, "/lib/modules/%s/%s", release, list);
	text = read_text(path);
	found = text && lists_module_file(text, "tls");
	free(text);
	return found;
}
