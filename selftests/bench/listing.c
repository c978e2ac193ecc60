// SPDX-License-Identifier: GPL-2.0
/* Holds sockets, some of them with kernel TLS, and runs each of the commands
 * that list them. Prints a line for each: CPU time in ns, which is instructions
 * on a machine that counts them as such, and the command.
 *
 * usage: listing SOCKETS KTLS-SOCKETS COMMAND...
 */

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>

#include "pair.h"

static long long cpu_ns(const char *command)
{
	char *words[8], *copy = strdup(command);
	struct timespec ts;
	clockid_t clock;
	int status, n = 0;
	pid_t pid;

	for (char *word = strtok(copy, " "); word && n < 7;
	     word = strtok(NULL, " "))
		words[n++] = word;
	words[n] = NULL;

	pid = fork();
	if (pid < 0)
		err(1, "fork");
	if (!pid) {
		dup2(open("/dev/null", O_WRONLY), 1);
		execvp(words[0], words);
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
	free(copy);

	return ts.tv_sec * 1000000000LL + ts.tv_nsec;
}

/* In a process of its own: those that list them are not to pay for closing
 * copies of them.
 */
static void hold(int sockets, int ktls, int ready)
{
	int listener = pair_listen(), i;

	for (i = 0; i < sockets; i += 2) {
		int fd[2];

		pair_connect(listener, fd);
		if (i < ktls) {
			pair_install(fd[0]);
			pair_install(fd[1]);
		}
	}
	if (write(ready, "", 1) != 1)
		err(1, "write");
	pause();
}

int main(int argc, char **argv)
{
	struct rlimit files = { 65536, 65536 };
	int ready[2], i;
	pid_t holder;
	char c;

	if (argc < 4)
		errx(2, "usage: listing SOCKETS KTLS-SOCKETS COMMAND...");
	if (setrlimit(RLIMIT_NOFILE, &files) || pipe2(ready, O_CLOEXEC))
		err(1, "setrlimit, pipe");

	holder = fork();
	if (!holder) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		hold(atoi(argv[1]), atoi(argv[2]), ready[1]);
		_exit(1);
	}
	close(ready[1]);
	if (holder < 0 || read(ready[0], &c, 1) != 1)
		errx(1, "no sockets");

	for (i = 3; i < argc; i++) {
		/* The first time, pages and modules come in. */
		cpu_ns(argv[i]);
		printf("%lld %s\n", cpu_ns(argv[i]), argv[i]);
		fflush(stdout);
	}
	kill(holder, SIGKILL);
	waitpid(holder, NULL, 0);

	return 0;
}
