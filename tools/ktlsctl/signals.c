// SPDX-License-Identifier: GPL-2.0-or-later
/* Waiting, and being told to stop. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#include "ktlsctl.h"

static int signal_fd = -1;

void catch_signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	signal_fd = signalfd(-1, &set, SFD_CLOEXEC);
	/* Without it the signals end the program at once, as ever. */
	if (signal_fd >= 0)
		sigprocmask(SIG_BLOCK, &set, NULL);
}

uint64_t monotonic_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ull + ts.tv_nsec;
}

enum woken wait_for(int fd, uint64_t deadline)
{
	/* A pipe without a reader shows an error, asked for or not. */
	struct pollfd fds[] = {
		{ .fd = signal_fd, .events = POLLIN },
		{ .fd = STDOUT_FILENO },
		{ .fd = fd, .events = POLLIN },
	};
	struct timespec left, *timeout = NULL;
	uint64_t now, ns;
	int n;

	for (;;) {
		if (deadline) {
			now = monotonic_ns();
			ns = deadline > now ? deadline - now : 0;
			left.tv_sec = ns / 1000000000;
			left.tv_nsec = ns % 1000000000;
			timeout = &left;
		}
		n = ppoll(fds, ARRAY_SIZE(fds), timeout, NULL);
		if (n < 0 && errno != EINTR)
			return WOKEN_INTERRUPTED;
		if (n < 0)
			continue;
		if (!n)
			return WOKEN_TIMEOUT;
		if (fds[0].revents)
			return WOKEN_INTERRUPTED;
		if (fds[2].revents)
			return WOKEN_READABLE;
		if (fds[1].revents & (POLLERR | POLLNVAL))
			return WOKEN_NO_READER;
		/* A terminal that hung up. */
		if (fds[1].revents)
			return WOKEN_INTERRUPTED;
	}
}
