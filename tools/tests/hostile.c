// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A library that wants more than it should get: what it finds where ktlsctl
 * loads it, in lines of key and value, and then it does not go.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

/* Where the result is to be written. */
#define FD_RESULT 3

extern char **environ;

static int count_files(void)
{
	int fd, count = 0;

	for (fd = FD_RESULT + 1; fd < 1024; fd++)
		count += fcntl(fd, F_GETFD) >= 0;
	return count;
}

static void print_status(void)
{
	char line[256];
	FILE *f = fopen("/proc/self/status", "r");

	while (f && fgets(line, sizeof(line), f))
		if (!strncmp(line, "Uid:", 4) || !strncmp(line, "Gid:", 4) ||
		    !strncmp(line, "Groups:", 7) || !strncmp(line, "Cap", 3) ||
		    !strncmp(line, "NoNewPrivs:", 11))
			dprintf(FD_RESULT, "%s", line);
	if (f)
		fclose(f);
}

__attribute__((constructor))
static void begin(void)
{
	sigset_t all;
	pid_t pid;
	int tty;

	print_status();
	tty = open("/dev/tty", O_RDWR);
	dprintf(FD_RESULT, "Terminal: %d\n", tty >= 0);
	dprintf(FD_RESULT, "Files: %d\n", count_files());
	dprintf(FD_RESULT, "Environment: %d\n", !!*environ);
	pid = fork();
	if (!pid)
		pause();
	dprintf(FD_RESULT, "Fork: %s\n", pid < 0 ? strerror(errno) : "done");
	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, NULL);
	prctl(PR_SET_PDEATHSIG, 0);
	alarm(0);
	dprintf(FD_RESULT, "Session: %d\nPid: %d\n", getsid(0), getpid());
	for (;;)
		pause();
}
