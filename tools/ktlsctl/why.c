// SPDX-License-Identifier: GPL-2.0-or-later
/* ktlsctl why: for each connection, is it on kernel TLS, and why not. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "program.h"

const char why_details[] =
	"TARGET is one of\n"
	"  PID               all TCP connections of a process (explicitly: pid N)\n"
	"  COMMAND           of all processes of that name, as nginx\n"
	"  :PORT             at that port of this end; if there are none, of the other\n"
	"  ADDRESS:PORT      likewise, as 192.0.2.1:443 or [2001:db8::1]:443\n"
	"  COOKIE            one, by its cookie as in ss -e (explicitly: cookie N)\n"
	"\n"
	"Each direction of a connection (TX: from here, RX: to here) gets a verdict:\n"
	"  software          it is on kernel TLS, and the CPU does it\n"
	"  device            it is, and a network device does it\n"
	"  refused           the program asked for it, and the kernel refused\n"
	"  never-asked       the program did not ask for it\n"
	"  unknown           it is not on kernel TLS, and none of these is proven\n"
	"with the reason, what it is known from, and one step to take. Where the\n"
	"reason is not known, it says what it may be. All network namespaces are\n"
	"searched, or that of --netns. It knows most as root and with ktls.ko loaded\n"
	"before the connection was made. Nothing is changed.\n";

struct wish {
	const struct target *target;
	const struct holders *holders;
	const unsigned int *pids;	/* of a command or a process */
	size_t pids_count;
	bool remote;		/* the port is that of the other end */
};

static bool is_wanted(const struct connection *c, const void *arg)
{
	const struct wish *w = arg;
	const struct target *t = w->target;
	size_t i;

	switch (t->kind) {
	case TARGET_PID:
	case TARGET_COMMAND:
		for (i = 0; i < w->pids_count; i++)
			if (holds_socket(w->holders, w->pids[i], c->inode))
				return true;
		return false;
	case TARGET_PORT:
		return t->end.port == (w->remote ? c->remote_port :
						   c->local_port);
	case TARGET_END:
		return w->remote ?
		       is_end(&t->end, c->family, c->remote_addr,
			      c->remote_port) :
		       is_end(&t->end, c->family, c->local_addr, c->local_port);
	case TARGET_COOKIE:
		return c->cookie == t->cookie;
	}
	return false;
}

/* The processes of a command, to be freed. */
static enum status find_pids(const struct target *t, unsigned int **pids,
			     size_t *count)
{
	char path[64], comm[KTLS_COMM_LEN];
	unsigned int *list;
	size_t i, n;

	*count = 0;
	if (t->kind == TARGET_PID) {
		snprintf(path, sizeof(path), "/proc/%u", t->pid);
		if (access(path, F_OK))
			return error(STATUS_FAILED, "there is no process %u",
				     t->pid);
		*pids = malloc(sizeof(**pids));
		if (!*pids)
			return error(STATUS_FAILED, "out of memory");
		**pids = t->pid;
		*count = 1;
		return STATUS_OK;
	}
	list = list_processes(&n);
	if (!list)
		return error(STATUS_FAILED, "could not read /proc");
	for (i = 0; i < n; i++)
		if (read_comm(list[i], comm) && !strcmp(comm, t->comm))
			list[(*count)++] = list[i];
	*pids = list;
	if (!*count)
		return error(STATUS_FAILED,
			     "no process is called \"%s\" now (/proc/PID/comm has %d bytes at most); to see which there are, type: ps -e",
			     t->comm, KTLS_COMM_LEN - 1);
	return STATUS_OK;
}

/* There is nothing to explain: say what to do. */
static enum status no_connection(const char *name, const struct wish *w)
{
	const char *closed = "for those closed meanwhile, type: ktlsctl stats --closed, or ktlsctl attempts";

	if (w->holders->hidden)
		return error(STATUS_FAILED,
			     "no TCP connection of %s that we may see: other users' descriptors are hidden; try it as root",
			     name);
	if (w->target->kind == TARGET_COOKIE)
		return error(STATUS_FAILED,
			     "there is no process %s, nor an open TCP connection with this cookie; %s",
			     name, closed);
	return error(STATUS_FAILED,
		     "%s has no TCP connection now, in no network namespace; keep one open and ask again; %s",
		     name, closed);
}

static size_t count_connections(const struct spaces *spaces)
{
	size_t i, count = 0;

	for (i = 0; i < spaces->count; i++)
		count += spaces->list[i].count;
	return count;
}

static enum status judge_all(struct spaces *spaces, struct holders *holders,
			     struct missing *missing)
{
	enum status status;
	size_t i, j;
	int d;

	for (i = 0; i < spaces->count; i++) {
		struct space *s = &spaces->list[i];

		if (!s->count)
			continue;
		status = read_kernel(s, missing);
		if (status)
			return status;
		for (j = 0; j < s->count; j++) {
			struct connection *c = &s->list[j];
			bool proven[DIRECTIONS];

			if (!attach_holders(holders, c))
				return error(STATUS_FAILED, "out of memory");
			/* What one came to tells of the other. */
			for (d = 0; d < DIRECTIONS; d++)
				c->settled[d] = judge_kernel(c, d, &proven[d]);
			for (d = 0; d < DIRECTIONS; d++)
				if (!c->settled[d])
					judge_program(c, d, proven[d]);
		}
	}
	return STATUS_OK;
}

static enum status explain(const char *name, struct wish *w,
			   struct holders *holders)
{
	struct missing missing = { 0 };
	struct spaces spaces = { 0 };
	enum status status;
	bool module = false;
	size_t i;

	status = read_spaces(&spaces, holders, &missing, is_wanted, w);
	if (!status && !count_connections(&spaces) &&
	    (w->target->kind == TARGET_PORT || w->target->kind == TARGET_END)) {
		w->remote = true;
		close_spaces(&spaces);
		free_missing(&missing);
		status = read_spaces(&spaces, holders, &missing, is_wanted, w);
	}
	if (!status && !count_connections(&spaces))
		status = no_connection(name, w);
	if (!status)
		status = judge_all(&spaces, holders, &missing);
	if (!status) {
		if (holders->hidden)
			add_missing(&missing,
				    "the descriptors of %zu processes of other users; try it as root",
				    holders->hidden);
		for (i = 0; i < spaces.count; i++)
			module |= spaces.list[i].has_module;
		if (opt.json)
			print_why_json(name, module, &spaces, &missing);
		else
			print_why(&spaces, &missing);
	}
	close_spaces(&spaces);
	free_missing(&missing);
	free_known();
	free_trials();
	free_binaries();
	return status;
}

enum status run_why(int argc, char **argv)
{
	struct holders holders = { 0 };
	unsigned int *pids = NULL;
	struct target target;
	enum status status;
	struct wish wish = { .target = &target, .holders = &holders };

	if (!argc)
		return error(STATUS_USAGE,
			     "why wants a target: PID, COMMAND, :PORT, ADDRESS:PORT or COOKIE");
	status = parse_target(argc, argv, &target);
	if (!status)
		status = enter_netns();
	if (!status &&
	    (target.kind == TARGET_PID || target.kind == TARGET_COMMAND))
		status = find_pids(&target, &pids, &wish.pids_count);
	wish.pids = pids;
	if (!status)
		status = read_holders(&holders);
	if (!status)
		status = explain(argv[argc - 1], &wish, &holders);
	free(pids);
	free_holders(&holders);
	return status;
}
