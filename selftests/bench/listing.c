// SPDX-License-Identifier: GPL-2.0
/* Holds sockets, some of them with kernel TLS, and runs each of the commands
 * that list them. Prints a line for each: CPU time in ns, which is instructions
 * on a machine that counts them as such, and the command.
 *
 * usage: listing SOCKETS KTLS-SOCKETS COMMAND...
 */

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>

#include "pair.h"

static long long cpu_ns(const char *command)
{
	struct timespec ts;
	clockid_t clock;
	int status;
	pid_t pid;

	pid = fork();
	if (pid < 0)
		err(1, "fork");
	if (!pid) {
		int null = open("/dev/null", O_WRONLY);

		dup2(null, 1);
		/* One process, so that its clock holds all of it. */
		execl("/bin/sh", "sh", "-c", command, NULL);
		_exit(127);
	}
	/* Its clock can be read until it is reaped. */
	if (clock_getcpuclockid(pid, &clock) ||
	    waitid(P_PID, pid, &(siginfo_t){}, WEXITED | WNOWAIT) ||
	    clock_gettime(clock, &ts))
		err(1, "clock");
	waitpid(pid, &status, 0);
	if (status)
		errx(1, "%s: exit %d", command, WEXITSTATUS(status));

	return ts.tv_sec * 1000000000LL + ts.tv_nsec;
}

int main(int argc, char **argv)
{
	struct rlimit files = { 65536, 65536 };
	int sockets, ktls, listener, i;

	if (argc < 4)
		errx(2, "usage: listing SOCKETS KTLS-SOCKETS COMMAND...");
	sockets = atoi(argv[1]);
	ktls = atoi(argv[2]);
	if (setrlimit(RLIMIT_NOFILE, &files))
		err(1, "setrlimit");

	listener = pair_listen();
	for (i = 0; i < sockets; i += 2) {
		int fd[2];

		pair_connect(listener, fd);
		fcntl(fd[0], F_SETFD, FD_CLOEXEC);
		fcntl(fd[1], F_SETFD, FD_CLOEXEC);
		if (i < ktls) {
			pair_install(fd[0]);
			pair_install(fd[1]);
		}
	}

	for (i = 3; i < argc; i++) {
		/* The first time, pages and modules come in. */
		cpu_ns(argv[i]);
		printf("%lld %s\n", cpu_ns(argv[i]), argv[i]);
		fflush(stdout);
	}

	return 0;
}
