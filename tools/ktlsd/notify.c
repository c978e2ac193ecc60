// SPDX-License-Identifier: GPL-2.0-or-later
/* The protocols of systemd: sd_notify(3), sd_listen_fds(3), sd_watchdog_enabled(3). */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "ktlsd.h"
#include "notify.h"

#define SOCKETS_FIRST 3

static struct sockaddr_un to;
static socklen_t to_len;
static uint64_t watchdog;
static size_t sockets;

/* A number in the environment; 0 if there is none. */
static unsigned long long number(const char *name)
{
	const char *text = getenv(name);
	unsigned long long value;
	char *end;

	if (!text || *text < '0' || *text > '9')
		return 0;
	errno = 0;
	value = strtoull(text, &end, 10);
	return errno || *end ? 0 : value;
}

static void find_socket(void)
{
	const char *path = getenv("NOTIFY_SOCKET");
	size_t len;

	if (!path || (path[0] != '/' && path[0] != '@'))
		return;
	len = strlen(path);
	if (len < 2 || len >= sizeof(to.sun_path))
		return;
	to.sun_family = AF_UNIX;
	memcpy(to.sun_path, path, len);
	if (path[0] == '@')
		to.sun_path[0] = '\0';
	to_len = offsetof(struct sockaddr_un, sun_path) + len;
}

void notify_init(void)
{
	static const char *const names[] = {
		"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_FDS",
		"LISTEN_PID", "LISTEN_FDNAMES",
	};
	unsigned long long pid = getpid(), count;
	size_t i;

	find_socket();
	if (number("WATCHDOG_USEC") < UINT64_MAX / 1000 &&
	    (!getenv("WATCHDOG_PID") || number("WATCHDOG_PID") == pid))
		watchdog = number("WATCHDOG_USEC") * 1000;
	count = number("LISTEN_FDS");
	if (number("LISTEN_PID") == pid && count < 4096)
		sockets = count;
	for (i = 0; i < sockets; i++)
		if (fcntl(SOCKETS_FIRST + i, F_SETFD, FD_CLOEXEC))
			sockets = i;
	/* They are for this process only. */
	for (i = 0; i < ARRAY_SIZE(names); i++)
		unsetenv(names[i]);
}

void notify(const char *format, ...)
{
	char text[1024];
	va_list ap;
	int fd, len;

	if (!to_len)
		return;
	va_start(ap, format);
	len = vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	if (len < 0)
		return;
	if ((size_t)len >= sizeof(text))
		len = sizeof(text) - 1;
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return;
	/* Whoever does not read that is not to hold us up. */
	if (sendto(fd, text, len, MSG_NOSIGNAL | MSG_DONTWAIT,
		   (struct sockaddr *)&to, to_len) < 0)
		log_line(LOG_WARNING, "could not notify systemd: %s", strerror(errno));
	close(fd);
}

uint64_t notify_watchdog(void)
{
	return watchdog;
}

void notify_sockets(int *first, size_t *count)
{
	*first = SOCKETS_FIRST;
	*count = sockets;
}
