// SPDX-License-Identifier: GPL-2.0-or-later
/* Files of the kernel and of module tools, read. */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host.h"

/* Maps of a big process have megabytes; nothing here has more. */
#define TEXT_MAX (64u << 20)

int open_regular(int file)
{
	int fd = -1, err = EINVAL;
	struct stat st;
	char path[64];

	if (file < 0)
		return -1;
	if (fstat(file, &st)) {
		err = errno;
	} else if (S_ISREG(st.st_mode)) {
		snprintf(path, sizeof(path), "/proc/self/fd/%d", file);
		fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
		err = errno;
	} else if (S_ISDIR(st.st_mode)) {
		err = EISDIR;
	}
	close(file);
	errno = err;
	return fd;
}

char *read_text(const char *path)
{
	size_t unused;

	return read_bytes(path, &unused);
}

char *read_bytes(const char *path, size_t *size)
{
	char *text;
	int fd, err;

	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return NULL;
	text = read_open(fd, TEXT_MAX, size);
	err = errno;
	close(fd);
	errno = err;
	return text;
}

/* Files of /proc have no size to ask for. */
char *read_open(int fd, size_t max, size_t *size)
{
	size_t len = 0, room = 16384;
	char *text = malloc(room + 1), *more;
	ssize_t n;
	int err;

	while (text) {
		n = read(fd, text + len, room - len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			err = errno;
			free(text);
			errno = err;
			return NULL;
		}
		len += n;
		if (!n || len >= max)
			break;
		if (len < room)
			continue;
		room *= 2;
		more = realloc(text, room + 1);
		if (!more)
			free(text);
		text = more;
	}
	if (!text)
		return NULL;
	*size = len < max ? len : max;
	text[*size] = '\0';
	return text;
}

/* Copies the next line without its newline; false at the end. */
static bool next_line(const char **text, char *line, size_t size)
{
	size_t len, copied;

	if (!**text)
		return false;
	len = strcspn(*text, "\n");
	copied = len < size ? len : size - 1;
	memcpy(line, *text, copied);
	line[copied] = '\0';
	*text += len;
	if (**text)
		(*text)++;
	return true;
}

bool has_word(const char *text, const char *word)
{
	size_t len, wanted = strlen(word);

	while (*text) {
		text += strspn(text, " \t\n");
		len = strcspn(text, " \t\n");
		if (len && len == wanted && !strncmp(text, word, len))
			return true;
		text += len;
	}
	return false;
}

char parse_config(const char *text, const char *name)
{
	size_t len = strlen(name);
	char line[256];

	while (next_line(&text, line, sizeof(line)))
		if (!strncmp(line, name, len) && line[len] == '=')
			return line[len + 1];
	return 0;
}

bool lists_module_file(const char *text, const char *module)
{
	size_t len = strlen(module);
	char line[1024], *name;

	while (next_line(&text, line, sizeof(line))) {
		line[strcspn(line, ":")] = '\0';
		name = strrchr(line, '/');
		name = name ? name + 1 : line;
		/* .ko, .ko.xz, .ko.zst */
		if (!strncmp(name, module, len) &&
		    !strncmp(name + len, ".ko", 3))
			return true;
	}
	return false;
}

/* The words of a line of configuration, without comments. */
static int split(char *line, const char *words[], int max)
{
	char *save, *word;
	int n = 0;

	if (line[strspn(line, " \t")] == '#' || line[strspn(line, " \t")] == ';')
		return 0;
	for (word = strtok_r(line, " \t", &save); word && n < max;
	     word = strtok_r(NULL, " \t", &save))
		words[n++] = word;
	return n;
}

bool loads_module(const char *text, const char *module)
{
	const char *words[1];
	char line[1024];

	while (next_line(&text, line, sizeof(line)))
		if (split(line, words, 1) == 1 && !strcmp(words[0], module))
			return true;
	return false;
}

enum forbidden forbids_module(const char *text, const char *module)
{
	enum forbidden found = FORBIDDEN_NOT;
	const char *words[3];
	char line[1024];
	int n;

	while (next_line(&text, line, sizeof(line))) {
		n = split(line, words, 3);
		if (n == 3 && !strcmp(words[0], "install") &&
		    !strcmp(words[1], module))
			return FORBIDDEN_INSTALL;
		if (n >= 2 && !strcmp(words[0], "blacklist") &&
		    !strcmp(words[1], module))
			found = FORBIDDEN_BLACKLIST;
	}
	return found;
}

bool parse_counter(const char *tls_stat, const char *name, uint64_t *value)
{
	char line[256], key[128];

	while (next_line(&tls_stat, line, sizeof(line)))
		if (sscanf(line, "%127s %" SCNu64, key, value) == 2 &&
		    !strcmp(key, name))
			return true;
	return false;
}

void format_counters(const char *tls_stat, char *buffer, size_t size)
{
	char line[256], key[128];
	size_t len = 0;
	uint64_t value;

	*buffer = '\0';
	while (next_line(&tls_stat, line, sizeof(line))) {
		if (sscanf(line, "%127s %" SCNu64, key, &value) != 2 || !value ||
		    len >= size)
			continue;
		len += snprintf(buffer + len, size - len, "%s%s %" PRIu64,
				len ? ", " : "", key, value);
	}
	if (!len)
		snprintf(buffer, size, "all are zero");
}
