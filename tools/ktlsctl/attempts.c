// SPDX-License-Identifier: GPL-2.0-or-later
/* ktlsctl attempts: what was tried, and what came of it. */
#include <errno.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ktlsctl.h"

const char attempts_details[] =
	"An attempt is one try to attach TLS to a socket (ulp), to install the first\n"
	"key of a direction (tx, rx), or a further one (rekey-tx, rekey-rx). First\n"
	"come totals since the module was loaded, whatever the filter, with what the\n"
	"result means; then the latest attempts, newest last. POLICY is what the policy\n"
	"said, and the number of the rule that did; dry-run means that it would have\n"
	"been denied. With --follow, each attempt is a line as it comes, until SIGINT\n"
	"or the number of --count; that takes CAP_NET_ADMIN.\n";

/* How many of them are shown unless more are asked for. */
#define SHOWN 40

struct attempts {
	const struct attempt_filter *filter;
	struct ktls_attempt *list;	/* by number */
	size_t count;
	size_t room;
};

struct outcomes {
	struct ktls_outcome *list;
	size_t count;
	size_t room;
};

static int keep_attempt(const struct ktls_attempt *t, void *arg)
{
	struct attempts *a = arg;
	struct ktls_attempt *list;
	size_t room;

	if (!attempt_filter_match(a->filter, t))
		return 0;
	if (a->count == a->room) {
		room = a->room ? a->room * 2 : 64;
		list = reallocarray(a->list, room, sizeof(*list));
		if (!list)
			return -ENOMEM;
		a->list = list;
		a->room = room;
	}
	a->list[a->count++] = *t;
	return 0;
}

static int keep_outcome(const struct ktls_outcome *t, void *arg)
{
	struct outcomes *o = arg;
	struct ktls_outcome *list;
	size_t room;

	if (o->count == o->room) {
		room = o->room ? o->room * 2 : 16;
		list = reallocarray(o->list, room, sizeof(*list));
		if (!list)
			return -ENOMEM;
		o->list = list;
		o->room = room;
	}
	o->list[o->count++] = *t;
	return 0;
}

static enum status failure(struct ktls *ktls, int err)
{
	if (err == -ENOMEM)
		return error(STATUS_FAILED, "out of memory");
	return error_ktls(ktls);
}

static enum status read_attempts(struct ktls *ktls, struct attempts *a)
{
	int tries, err;

	for (tries = 0; tries < READ_TRIES; tries++) {
		a->count = 0;
		err = ktls_dump_attempts(ktls, opt.failed, keep_attempt, a);
		if (err != -EAGAIN)
			break;
	}
	return err ? failure(ktls, err) : STATUS_OK;
}

static enum status read_outcomes(struct ktls *ktls, struct outcomes *o)
{
	int tries, err;

	for (tries = 0; tries < READ_TRIES; tries++) {
		o->count = 0;
		err = ktls_dump_outcomes(ktls, keep_outcome, o);
		if (err != -EAGAIN)
			break;
	}
	return err ? failure(ktls, err) : STATUS_OK;
}

static void print_outcomes(const struct outcomes *o, unsigned int width)
{
	static const struct column columns[] = {
		TEXT("STEP", 0, 0), TEXT("RESULT", 0, 0),
		NUMBER("ATTEMPTS", 0, 0), TEXT("MEANING", 1, 1),
	};
	struct table *table = table_new(columns, ARRAY_SIZE(columns));
	char b[NUMBER_LEN];
	size_t i;

	for (i = 0; i < o->count; i++) {
		const struct ktls_outcome *t = &o->list[i];

		if (opt.failed && !t->error)
			continue;
		table_add(table, ktls_step_name(t->step) ?: "?");
		table_add(table, format_result(b, t->error));
		table_add(table, format_count(b, t->attempts));
		table_add(table, explain_result(t->step, t->error));
	}
	table_print(table, width, 0);
}

static const char *attempt_local(char b[ADDR_LEN], const struct ktls_attempt *t)
{
	return format_addr(b, t->family, t->local_addr, t->local_port);
}

static const char *attempt_remote(char b[ADDR_LEN],
				  const struct ktls_attempt *t)
{
	return format_addr(b, t->family, t->remote_addr, t->remote_port);
}

static bool is_inherited(const struct ktls_attempt *t)
{
	return t->flags & KTLS_ATTEMPT_FLAGS_INHERITED;
}

static void print_table(const struct ktls_attempt *list, size_t count,
			unsigned int width)
{
	static const struct column columns[] = {
		TEXT("", 0, 0), TEXT("LOCAL", 0, 0), TEXT("REMOTE", 0, 0),
		TEXT("WHEN", 1, 1), TEXT("STEP", 1, 1), TEXT("RESULT", 1, 1),
		TEXT("POLICY", 1, 1), TEXT("TLS", 1, 2), TEXT("CIPHER", 1, 2), TEXT("PROCESS", 1, 2),
	};
	struct table *table = table_new(columns, ARRAY_SIZE(columns));
	bool inherited = false;
	char b[ADDR_LEN];
	size_t i;

	for (i = 0; i < count; i++) {
		const struct ktls_attempt *t = &list[i];

		inherited |= is_inherited(t);
		table_add(table, is_inherited(t) ? "^" : "");
		table_add(table, attempt_local(b, t));
		table_add(table, attempt_remote(b, t));
		table_add(table, format_when(b, t->time));
		table_add(table, ktls_step_name(t->step) ?: "?");
		table_add(table, format_result(b, t->error));
		table_add(table, format_verdict(b, t->action, t->rule,
						t->flags));
		table_add(table, format_version(b, t->version));
		table_add(table, format_cipher(b, t->cipher));
		table_add(table, format_pid(b, t->pid, t->comm));
	}
	table_print(table, width, 0);
	if (inherited)
		printf("^ inherited: by the policy of the initial network namespace\n");
}

static void print_text(struct ktls *ktls, const struct outcomes *o,
		       const struct attempts *a)
{
	size_t shown = opt.count ?: SHOWN;
	const struct ktls_module *module;
	unsigned int width, height;

	terminal_size(&width, &height);
	if (ktls_get_module(ktls, &module))
		module = NULL;
	if (module && module->missing & KTLS_HOOK_SET_ULP)
		printf("Attempts to attach TLS are not observed on this kernel.\n");
	if (!o->count) {
		printf("Nothing was attempted in this network namespace since the module was loaded.\n"
		       "Programs have to ask for kernel TLS; OpenSSL does with the option KTLS.\n");
		return;
	}
	printf("Results in this network namespace%s%s\n",
	       opt.failed ? ", failures only" : "",
	       a->filter->match ? ", whatever the filter" : "");
	print_outcomes(o, width);
	printf("\n");

	if (shown > a->count)
		shown = a->count;
	if (!a->count)
		printf("No attempt that is kept%s%s.\n",
		       opt.failed ? " has failed" : "",
		       !a->filter->match ? "" :
		       opt.failed ? " and matches the filter" :
		       " matches the filter");
	else if (shown < a->count)
		printf("The latest %zu of %zu attempts; for more: --count %zu\n",
		       shown, a->count, a->count);
	else
		printf("%zu attempt%s\n", a->count, a->count == 1 ? "" : "s");
	if (a->count)
		print_table(a->list + a->count - shown, shown, width);
	if (!sees_all_sockets())
		printf("These are your own attempts; those of others are shown to root only.\n");
}

static void print_json(const struct outcomes *o, const struct attempts *a)
{
	struct json_object *object = json_object_new_object();
	struct json_object *list = json_object_new_array();
	size_t i;

	for (i = 0; i < o->count; i++)
		if (!opt.failed || o->list[i].error)
			json_object_array_add(list, json_outcome(&o->list[i]));
	json_object_object_add(object, "outcomes", list);
	list = json_object_new_array();
	i = opt.count && opt.count < a->count ? a->count - opt.count : 0;
	for (; i < a->count; i++)
		json_object_array_add(list, json_attempt(&a->list[i]));
	json_object_object_add(object, "attempts", list);
	json_print(object);
}

static enum status list_attempts(struct ktls *ktls,
				 const struct attempt_filter *filter)
{
	struct attempts attempts = { .filter = filter };
	struct outcomes outcomes = { 0 };
	enum status status;

	status = read_outcomes(ktls, &outcomes);
	if (!status)
		status = read_attempts(ktls, &attempts);
	if (!status && opt.json)
		print_json(&outcomes, &attempts);
	else if (!status)
		print_text(ktls, &outcomes, &attempts);
	free(attempts.list);
	free(outcomes.list);
	return status;
}

/* As they come */

struct follow {
	struct ktls *ktls;
	const struct attempt_filter *filter;
	uint64_t latest;	/* number of the latest that we know of */
	uint64_t missed;	/* that were found after a loss */
	uint64_t forgotten;	/* numbers that nobody knows any more */
	unsigned long shown;
};

/* Ends ktls_dispatch() for reasons of ours. */
#define ENOUGH 1

static void print_line(const struct ktls_attempt *t, bool missed)
{
	char at[TIME_LEN], local[ADDR_LEN], remote[ADDR_LEN];
	char process[PROCESS_LEN], b[4][NUMBER_LEN];

	printf("%s %-8s %-8s %s %s", format_clock(at, t->time),
	       ktls_step_name(t->step) ?: "?", format_result(b[0], t->error),
	       attempt_local(local, t), attempt_remote(remote, t));
	if (t->version || t->cipher)
		printf(" TLS %s %s", format_version(b[1], t->version),
		       format_cipher(b[2], t->cipher));
	if (t->mode != KTLS_MODE_NONE)
		printf(" %s", format_mode(b[3], t->mode));
	printf(" %s", format_pid(process, t->pid, t->comm));
	if (t->action >= 0)
		printf(" %s%s", format_verdict(b[0], t->action, t->rule,
					       t->flags),
		       is_inherited(t) ? " inherited" : "");
	printf("%s\n", missed ? " (missed)" : "");
}

static int show_attempt(struct follow *f, const struct ktls_attempt *t,
			bool missed)
{
	if (!attempt_filter_match(f->filter, t))
		return 0;
	if (opt.failed && !t->error && !(t->flags & KTLS_ATTEMPT_FLAGS_DRY_RUN))
		return 0;
	if (opt.json) {
		struct json_object *o = json_object_new_object();

		json_object_object_add(o, "name", json_object_new_string(
				       ktls_event_name(KTLS_CMD_ATTEMPT_NTF)));
		json_add_number(o, "time", now_ns());
		if (missed)
			json_object_object_add(o, "missed",
					       json_object_new_boolean(1));
		json_object_object_add(o, "msg", json_attempt(t));
		json_print(o);
	} else {
		print_line(t, missed);
	}
	return ++f->shown == opt.count ? ENOUGH : 0;
}

static int on_event(const struct ktls_event *e, void *arg)
{
	struct follow *f = arg;

	/* What a dump has brought meanwhile. */
	if (!e->attempt || e->attempt->number <= f->latest)
		return 0;
	f->latest = e->attempt->number;
	return show_attempt(f, e->attempt, false);
}

static int on_missed(const struct ktls_attempt *t, void *arg)
{
	struct follow *f = arg;

	if (t->number <= f->latest)
		return 0;
	f->forgotten += t->number - f->latest - 1;
	f->latest = t->number;
	f->missed++;
	return show_attempt(f, t, true);
}

/* What was attempted while events were lost, as far as it is kept. */
static enum status resync(struct follow *f, bool *enough)
{
	char at[TIME_LEN];
	int err;

	f->missed = 0;
	f->forgotten = 0;
	/* All of them: numbers tell what is missing. */
	err = ktls_dump_attempts(f->ktls, false, on_missed, f);
	if (err == ENOUGH)
		*enough = true;
	else if (err && err != -EAGAIN)
		return error_ktls(f->ktls);
	if (opt.json) {
		struct json_object *o = json_object_new_object();

		json_object_object_add(o, "name",
				       json_object_new_string("resync"));
		json_add_number(o, "time", now_ns());
		json_add_number(o, "missed", f->missed);
		json_add_number(o, "forgotten", f->forgotten);
		json_print(o);
	} else {
		printf("%s resync   events were lost; attempts found since: %" PRIu64
		       ", forgotten: %" PRIu64 "\n", format_clock(at, now_ns()),
		       f->missed, f->forgotten);
	}
	return STATUS_OK;
}

static enum status follow(struct ktls *ktls, const struct attempt_filter *filter)
{
	struct follow f = { .ktls = ktls, .filter = filter };
	const struct ktls_module *module;
	bool enough = false;
	enum status status;
	int err;

	/* Before the subscription: what is later comes as an event. */
	if (ktls_get_module(ktls, &module))
		return error_ktls(ktls);
	f.latest = module->attempts;
	if (ktls_subscribe_to(ktls, KTLS_EVENTS_ATTEMPTS))
		return error_ktls(ktls);
	while (!enough) {
		switch (wait_for(ktls_event_fd(ktls), 0)) {
		case WOKEN_INTERRUPTED:
			return STATUS_OK;
		case WOKEN_NO_READER:
			return STATUS_FAILED;
		default:
			break;
		}
		err = ktls_dispatch(ktls, on_event, &f);
		if (err == -ENOBUFS) {
			status = resync(&f, &enough);
			if (status)
				return status;
			err = 0;
		}
		if (err == ENOUGH)
			enough = true;
		else if (err)
			return error_ktls(ktls);
		if (!flush())
			return STATUS_FAILED;
	}
	return STATUS_OK;
}

enum status run_attempts(int argc, char **argv)
{
	struct attempt_filter filter;
	enum status status;
	struct ktls *ktls;

	status = parse_attempt_filter(argc, argv, &filter);
	if (status)
		return status;
	/* One attempt, one line: whoever follows them reads lines. */
	if (opt.follow)
		opt.pretty = false;
	status = open_ktls(&ktls);
	if (status)
		return status;
	if (opt.follow) {
		catch_signals();
		status = follow(ktls, &filter);
	} else {
		status = list_attempts(ktls, &filter);
	}
	ktls_close(ktls);
	return status;
}
