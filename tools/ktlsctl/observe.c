// SPDX-License-Identifier: GPL-2.0-or-later
/* ktlsctl observe: what moves on this host while a command runs. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "observe.h"

const char observe_details[] =
	"Runs COMMAND and then says what moved on this host meanwhile, whoever moved it:\n"
	"attempts to put sockets on kernel TLS and what came of them, sockets and what\n"
	"went through them, by process; counters of tls_stat; TLS handshakes on the wire;\n"
	"and other network namespaces. At the end stands what that means: kernel TLS was\n"
	"used, or refused, or nobody asked, or what was negotiated is nothing for it, or\n"
	"it happened elsewhere. With --time it waits for so long instead, for a load that\n"
	"runs elsewhere; SIGINT ends it earlier.\n"
	"\n"
	"COMMAND has this terminal for its own: the report goes to stderr, or to FILE, in\n"
	"JSON as well (with --time: to stdout). The exit status is that of COMMAND; 128\n"
	"and the signal's number if one killed it; 127 if it was not found, 126 if it\n"
	"could not be run. Takes root to see what others do.\n";

/* How often new namespaces are looked for: the command's, and all. */
#define FAMILY_NS 20000000ull
#define ALL_NS 500000000ull
/* What the other ends do when the command has ended is its doing, too. */
#define BEHIND_NS 200000000ull

__attribute__((format(printf, 2, 3)))
static void miss(struct observation *o, const char *format, ...)
{
	va_list ap;

	if (o->missing_count == MISSING_MAX)
		return;
	va_start(ap, format);
	vsnprintf(o->missing[o->missing_count++], sizeof(o->missing[0]),
		  format, ap);
	va_end(ap);
}

/* Results */

struct outcomes {
	struct ktls_outcome list[256];
	size_t count;
};

static int on_outcome(const struct ktls_outcome *outcome, void *arg)
{
	struct outcomes *o = arg;

	if (o->count < ARRAY_SIZE(o->list))
		o->list[o->count++] = *outcome;
	return 0;
}

static int read_outcomes(struct ktls *ktls, struct outcomes *o)
{
	int tries, err = 0;

	for (tries = 0; tries < READ_TRIES; tries++) {
		o->count = 0;
		err = ktls_dump_outcomes(ktls, on_outcome, o);
		if (err != -EAGAIN)
			break;
	}
	return err == -EAGAIN ? 0 : err;
}

static uint64_t outcome_of(const struct outcomes *o, uint32_t step,
			   uint32_t error)
{
	size_t i;

	for (i = 0; i < o->count; i++)
		if (o->list[i].step == step && o->list[i].error == error)
			return o->list[i].attempts;
	return 0;
}

/* Keeps the difference. */
static bool subtract_outcomes(struct observation *o, const struct outcomes *now,
			      const struct outcomes *before)
{
	size_t i;

	o->outcomes = calloc(now->count ?: 1, sizeof(*o->outcomes));
	if (!o->outcomes)
		return false;
	for (i = 0; i < now->count; i++) {
		struct ktls_outcome t = now->list[i];

		t.attempts -= outcome_of(before, t.step, t.error);
		if (t.attempts)
			o->outcomes[o->outcomes_count++] = t;
	}
	return true;
}

/* The command */

struct run {
	struct observation *o;
	sigset_t mask;		/* that we were started with */
	int signals;
	int pidfd;
};

static bool catch_run(struct run *r)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGQUIT);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, &r->mask);
	r->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return r->signals >= 0;
}

/* Runs it; the result is 0, or the errno of what could not be. */
static int start_command(struct run *r)
{
	int fds[2], err = 0;
	ssize_t n;
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC))
		return errno;
	fflush(NULL);
	pid = fork();
	if (!pid) {
		sigprocmask(SIG_SETMASK, &r->mask, NULL);
		execvp(r->o->argv[0], r->o->argv);
		err = errno;
		(void)!write(fds[1], &err, sizeof(err));
		_exit(127);
	}
	err = errno;
	close(fds[1]);
	if (pid < 0) {
		close(fds[0]);
		return err;
	}
	/* Nothing to read: the end was closed by a good exec. */
	do {
		n = read(fds[0], &err, sizeof(err));
	} while (n < 0 && errno == EINTR);
	close(fds[0]);
	if (n == sizeof(err)) {
		waitpid(pid, NULL, 0);
		return err;
	}
	r->o->pid = pid;
	r->pidfd = syscall(SYS_pidfd_open, pid, 0);
	return 0;
}

/* The terminal sends its signals to the command as well; others do not. */
static bool pass_signals(struct run *r)
{
	struct signalfd_siginfo info;
	bool any = false;

	while (read(r->signals, &info, sizeof(info)) == sizeof(info)) {
		any = true;
		if (r->o->pid && info.ssi_code != SI_KERNEL)
			kill(r->o->pid, info.ssi_signo);
	}
	return any;
}

static void reap(struct run *r)
{
	struct observation *o = r->o;

	if (!o->ended && o->pid &&
	    waitpid(o->pid, &o->status, WNOHANG) == o->pid)
		o->ended = true;
}

/* Until the command ends, or the time. */
static int wait_for_end(struct run *r, uint64_t deadline)
{
	struct observation *o = r->o;
	struct pollfd fds[] = {
		{ .fd = r->signals, .events = POLLIN },
		{ .fd = r->pidfd, .events = POLLIN },
		{ .fd = o->module ? ktls_event_fd(o->movement.ktls) : -1,
		  .events = POLLIN },
		{ .fd = o->handshakes.fd, .events = POLLIN },
	};
	uint64_t now = monotonic_ns(), family = now, all = now + ALL_NS, left;
	struct timespec ts;
	int err = 0;

	while (!err && !o->ended && (!deadline || now < deadline)) {
		if (now >= family) {
			find_spaces(&o->spaces, o->pid, now >= all);
			if (now >= all)
				all = now + ALL_NS;
			/* Not too much of the processor for that. */
			family = monotonic_ns();
			family += FAMILY_NS + 20 * (family - now);
		}
		left = family > now ? family - now : 0;
		if (deadline && left > deadline - now)
			left = deadline - now;
		ts.tv_sec = left / 1000000000;
		ts.tv_nsec = left % 1000000000;
		ppoll(fds, ARRAY_SIZE(fds), &ts, NULL);
		if (pass_signals(r) && !o->pid)
			break;
		if (o->module)
			err = read_movement(&o->movement);
		read_handshakes(&o->handshakes);
		reap(r);
		now = monotonic_ns();
	}
	return err;
}

/* All of it */

static enum status begin(struct observation *o, struct outcomes *outcomes)
{
	enum status status;
	struct ktls *ktls;
	int netns, err;

	status = open_read_netns(&netns);
	if (status)
		return status;
	err = ktls_open(&ktls, opt.netns ? netns : -1);
	close(netns);
	if (!err)
		err = read_outcomes(ktls, outcomes);
	if (!err)
		err = begin_movement(&o->movement, ktls);
	if (err == -ENOPKG) {
		miss(o, "ktls.ko is not loaded (modprobe ktls): only counters of tls_stat are seen, not who asked, nor refusals");
	} else if (err == -ENOMEM) {
		status = error(STATUS_FAILED, "out of memory");
	} else if (err) {
		status = error_ktls(ktls);
	}
	o->module = !err;
	o->movement.ktls = err ? NULL : ktls;
	if (err)
		ktls_close(ktls);
	if (!err && o->movement.without_events)
		miss(o, "without CAP_NET_ADMIN there are no events: of attempts and sockets, these are your own that the module keeps");
	if (!status)
		status = begin_spaces(&o->spaces, o->module);
	if (status)
		return status;
	if (o->spaces.hidden)
		miss(o, "the network namespaces of %zu processes are for root to see",
		     o->spaces.hidden);
	begin_handshakes(&o->handshakes, &o->spaces.list[0]);
	if (o->handshakes.fd < 0)
		miss(o, "TLS handshakes could not be looked at: %s%s",
		     strerror(-o->handshakes.fd),
		     o->handshakes.fd == -EPERM ? " (it takes CAP_NET_RAW)" : "");
	return STATUS_OK;
}

static int end(struct observation *o, const struct outcomes *before)
{
	struct outcomes now = { .count = 0 };
	int err = 0;

	end_handshakes(&o->handshakes);
	if (o->handshakes.dropped)
		miss(o, "%" PRIu64 " packets with TLS handshakes were not looked at",
		     o->handshakes.dropped);
	end_spaces(&o->spaces, o->module);
	if (!o->module)
		return 0;
	err = end_movement(&o->movement);
	if (!err)
		err = read_outcomes(o->movement.ktls, &now);
	if (!err && !subtract_outcomes(o, &now, before))
		err = -ENOMEM;
	if (o->movement.lost)
		miss(o, "events were lost, and taken from what the module keeps");
	if (o->movement.forgotten)
		miss(o, "of %" PRIu64 " attempts it is not known any more whose they were",
		     o->movement.forgotten);
	if (err == -ENOPKG)
		miss(o, "ktls.ko was unloaded meanwhile");
	else if (err)
		miss(o, "attempts and sockets could not be read: %s",
		     err == -ENOMEM ? "out of memory" :
		     ktls_strerror(o->movement.ktls));
	return err;
}

static int exit_status(const struct observation *o)
{
	if (!o->argc)
		return STATUS_OK;
	if (WIFSIGNALED(o->status))
		return 128 + WTERMSIG(o->status);
	return WEXITSTATUS(o->status);
}

static enum status observe(struct run *r)
{
	struct outcomes *before = calloc(1, sizeof(*before));
	struct observation *o = r->o;
	uint64_t start, deadline = 0;
	enum status status;
	int err;

	if (!before)
		return error(STATUS_FAILED, "out of memory");
	status = begin(o, before);
	if (status) {
		free(before);
		return status;
	}
	start = monotonic_ns();
	err = o->argc ? start_command(r) : 0;
	if (err) {
		free(before);
		error(STATUS_FAILED, "could not run %s: %s", o->argv[0],
		      strerror(err));
		return err == ENOENT ? 127 : 126;
	}
	if (!o->argc)
		deadline = start + opt.time * 1e9;
	err = wait_for_end(r, deadline);
	/* Whatever became of the module, the command is to end. */
	while (o->argc && !o->ended) {
		if (waitpid(o->pid, &o->status, 0) == o->pid)
			o->ended = true;
	}
	o->ns = monotonic_ns() - start;
	if (o->argc && !err) {
		o->ended = false;
		o->pid = 0;
		r->pidfd = -1;
		wait_for_end(r, monotonic_ns() + BEHIND_NS);
	}
	end(o, before);
	free(before);
	conclude_observation(o);
	return exit_status(o);
}

enum status run_observe(int argc, char **argv)
{
	struct observation o = { .argc = argc, .argv = argv };
	struct run r = { .o = &o, .pidfd = -1 };
	enum status status;
	int report = -1;

	if (argc && opt.time)
		return error(STATUS_USAGE,
			     "observe takes a command or --time, not both");
	if (!argc && !opt.time)
		return error(STATUS_USAGE,
			     "observe wants a command behind --, or --time SECONDS");
	if (opt.output) {
		report = open(opt.output,
			      O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
		if (report < 0)
			return error(STATUS_FAILED, "could not write %s: %s",
				     opt.output, strerror(errno));
	} else if (argc) {
		report = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
	}
	if (!catch_run(&r))
		return error(STATUS_FAILED, "could not take signals: %s",
			     strerror(errno));
	status = observe(&r);
	if (o.text[0]) {
		/* What prints prints to stdout. */
		fflush(stdout);
		if (report >= 0)
			dup2(report, STDOUT_FILENO);
		print_observation(&o);
		if (!flush() && !status)
			status = STATUS_FAILED;
	}
	if (report >= 0)
		close(report);
	ktls_close(o.movement.ktls);
	free_movement(&o.movement);
	free_spaces(&o.spaces);
	free(o.handshakes.list);
	free(o.outcomes);
	return status;
}
