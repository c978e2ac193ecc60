// SPDX-License-Identifier: GPL-2.0-or-later
/* Forked processes, with nothing of the supervisor's but what they are to have. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "conf.h"
#include "ktlsd.h"
#include "message.h"
#include "process.h"
#include "settings.h"
#include "ticket_keys.h"

static pid_t supervisor;

bool process_follow(void)
{
	if (!supervisor)
		return true;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	return getppid() == supervisor;
}

static int by_number(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}

/* Closes all others, whoever opened them. */
static void keep_only(int fd, const int *listeners, size_t count)
{
	int *keep = must(calloc(count + 1, sizeof(*keep)));
	unsigned int next = STDERR_FILENO + 1;
	size_t i;

	if (count)
		memcpy(keep, listeners, count * sizeof(*keep));
	keep[count] = fd;
	qsort(keep, count + 1, sizeof(*keep), by_number);
	for (i = 0; i <= count; i++) {
		/* Not every listener has one. */
		if (keep[i] < 0)
			continue;
		if ((unsigned int)keep[i] > next)
			close_range(next, keep[i] - 1, 0);
		if ((unsigned int)keep[i] >= next)
			next = keep[i] + 1;
	}
	close_range(next, ~0U, 0);
	free(keep);
}

static void default_signals(void)
{
	/*
	 * What a terminal or an unwise systemd sends to all is the supervisor's
	 * business: a worker ends when it is told, and with its last connection.
	 */
	static const int ignored[] = { SIGHUP, SIGINT, SIGTERM, SIGPIPE };
	sigset_t none;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(ignored); i++)
		signal(ignored[i], SIG_IGN);
	signal(SIGCHLD, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

const char *process_name(const struct process *p, char *buffer, size_t size)
{
	static const char *const names[] = {
		[ROLE_KEYS] = "keys", [ROLE_BROKER] = "broker", [ROLE_PROVER] = "prover",
	};

	if (p->role == ROLE_WORKER)
		snprintf(buffer, size, "worker %u", p->index);
	else
		snprintf(buffer, size, "%s", names[p->role]);
	return buffer;
}

__attribute__((noreturn))
static void run(const struct process *p, const struct conf *conf, const int *listeners,
		size_t listeners_count, struct counters *shared, int fd)
{
	int status = 1;
	char name[32];

	default_signals();
	keep_only(fd, listeners, p->role == ROLE_WORKER ? listeners_count : 0);
	/* A worker is told its own, and the others are to know none. */
	ticket_keys_forget();
	log_name(process_name(p, name, sizeof(name)));
	if (!process_follow())
		_exit(1);
	switch (p->role) {
	case ROLE_KEYS:
		status = keys_run(conf, fd);
		break;
	case ROLE_BROKER:
		status = broker_run(conf, fd);
		break;
	case ROLE_WORKER:
		status = worker_run(conf, p->index, listeners, shared, fd);
		break;
	case ROLE_PROVER:
		status = prove_run(conf, fd);
		break;
	}
	/* Not exit(): what the supervisor has for its own end is not ours. */
	_exit(status);
}

int process_start(struct process *p, const struct conf *conf, const int *listeners,
		  size_t listeners_count, struct counters *shared)
{
	int ends[2], err;
	pid_t pid;

	err = message_pair(ends);
	if (err)
		return err;
	fcntl(ends[0], F_SETFL, fcntl(ends[0], F_GETFL) | O_NONBLOCK);
	supervisor = getpid();
	fflush(NULL);
	pid = fork();
	if (!pid)
		run(p, conf, listeners, listeners_count, shared, ends[1]);
	err = errno;
	close(ends[1]);
	if (pid < 0) {
		close(ends[0]);
		return -err;
	}
	p->pid = pid;
	p->fd = ends[0];
	p->ready = false;
	p->started = monotonic_ns();
	p->heard = p->started;
	return 0;
}

const char *process_end(int status, char *buffer, size_t size)
{
	if (WIFSIGNALED(status))
		snprintf(buffer, size, "killed by SIG%s%s",
			 sigabbrev_np(WTERMSIG(status)) ?: "?",
			 WTERMSIG(status) == SIGSYS ?
			 " (a system call that its sandbox forbids)" :
			 WCOREDUMP(status) ? " (core dumped)" : "");
	else
		snprintf(buffer, size, "exit status %d", WEXITSTATUS(status));
	return buffer;
}

void process_kill(struct process *p)
{
	if (p->fd >= 0)
		close(p->fd);
	p->fd = -1;
	if (p->pid)
		kill(p->pid, SIGKILL);
}
