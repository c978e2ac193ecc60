// SPDX-License-Identifier: GPL-2.0-or-later
/* What an observation comes to, in a sentence, tables and JSON. */
#include <errno.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "host.h"
#include "observe.h"

static const char *const codes[] = {
	[CONCLUSION_USED] = "used",
	[CONCLUSION_REFUSED] = "refused",
	[CONCLUSION_ELSEWHERE] = "elsewhere",
	[CONCLUSION_NOT_ELIGIBLE] = "not-eligible",
	[CONCLUSION_UNUSED] = "unused",
};

/* In a sentence */

struct sentence {
	struct observation *o;
	size_t len;
};

__attribute__((format(printf, 2, 3)))
static void say(struct sentence *s, const char *format, ...)
{
	const size_t size = sizeof(s->o->text);
	va_list ap;

	if (s->len >= size)
		return;
	va_start(ap, format);
	s->len += vsnprintf(s->o->text + s->len, size - s->len, format, ap);
	va_end(ap);
}

static bool is_key(uint32_t step)
{
	return step != KTLS_STEP_ULP;
}

/* EEXIST of the second direction is no failure. */
static bool is_failure(const struct ktls_outcome *t)
{
	return t->error && !(t->step == KTLS_STEP_ULP && t->error == EEXIST);
}

static bool is_used(const struct observation *o)
{
	static const char *const counters[] = {
		"TlsTxSw", "TlsRxSw", "TlsTxDevice", "TlsRxDevice",
	};
	size_t i;

	for (i = 0; i < o->outcomes_count; i++)
		if (is_key(o->outcomes[i].step) && !o->outcomes[i].error)
			return true;
	for (i = 0; i < ARRAY_SIZE(counters); i++)
		if (counter_growth(&o->spaces.list[0], counters[i]))
			return true;
	for (i = 0; i < o->movement.count; i++)
		if (o->movement.list[i].by[0].records ||
		    o->movement.list[i].by[1].records)
			return true;
	return false;
}

/* The first step that failed is the cause of what follows. */
static const struct ktls_outcome *find_failure(const struct observation *o)
{
	size_t i;

	for (i = 0; i < o->outcomes_count; i++)
		if (is_failure(&o->outcomes[i]))
			return &o->outcomes[i];
	return NULL;
}

static const struct space *find_elsewhere(const struct observation *o)
{
	size_t i;

	for (i = 1; i < o->spaces.count; i++)
		if (space_moved(&o->spaces.list[i]))
			return &o->spaces.list[i];
	return NULL;
}

/* Where the command was, but for the namespace that was read. */
static const struct space *find_command(const struct observation *o)
{
	size_t i;

	for (i = 1; i < o->spaces.count; i++)
		if (o->spaces.list[i].has_command)
			return &o->spaces.list[i];
	return NULL;
}

static uint64_t count_handshakes(const struct observation *o, bool eligible)
{
	uint64_t n = 0;
	size_t i;

	for (i = 0; i < o->handshakes.count; i++)
		if (o->handshakes.list[i].eligible == eligible)
			n += o->handshakes.list[i].handshakes;
	return n;
}

static const char *s_of(uint64_t n)
{
	return n == 1 ? "" : "s";
}

static void name_space(struct sentence *s, const struct space *n)
{
	char comm[KTLS_COMM_LEN];

	say(s, "%" PRIu64, n->inode);
	if (n->name[0])
		say(s, " (%s)", n->name);
	else if (n->pid)
		say(s, " (of %u/%s)", n->pid, format_comm(comm, n->comm));
}

static void say_failure(struct sentence *s, const struct ktls_outcome *t)
{
	char b[NUMBER_LEN];

	say(s, "%s got %s: %s", ktls_step_name(t->step) ?: "?",
	    format_result(b, t->error), explain_result(t->step, t->error));
}

static void say_used(struct sentence *s, const struct ktls_outcome *failure)
{
	say(s, "kernel TLS was used");
	if (failure) {
		say(s, "; some were refused: ");
		say_failure(s, failure);
	}
	if (find_elsewhere(s->o))
		say(s, "; it was in other network namespaces as well");
}

static void say_elsewhere(struct sentence *s, const struct space *n)
{
	char comm[KTLS_COMM_LEN];

	say(s, "this was the wrong place to look: nothing moved in network namespace %" PRIu64
	    ", but something did in ", s->o->spaces.list[0].inode);
	name_space(s, n);
	if (n->user[0])
		say(s, ", by %u/%s", n->user_pid, format_comm(comm, n->user));
	if (n->name[0])
		say(s, "; type: ktlsctl --netns %s observe ...", n->name);
	else if (n->pid)
		say(s, "; type: ktlsctl --netns %u observe ...", n->pid);
}

static void say_unused(struct sentence *s, uint64_t eligible,
		       uint64_t others)
{
	const struct observation *o = s->o;
	const struct space *command = find_command(o);

	if (eligible && !o->module)
		say(s, "kernel TLS was not used, though %" PRIu64
		    " TLS handshake%s could have been on it: nobody asked, or was refused, which without ktls.ko looks the same",
		    eligible, s_of(eligible));
	else if (eligible)
		say(s, "nobody asked: of %" PRIu64 " TLS handshake%s, %" PRIu64
		    " could have been on kernel TLS, but no program tried to",
		    eligible + others, s_of(eligible + others), eligible);
	else if (o->handshakes.fd < 0)
		say(s, "kernel TLS was not used: nobody asked, or there was no TLS");
	else
		say(s, "kernel TLS was not used, and no TLS handshake was seen in this network namespace");
	if (command) {
		say(s, "; the command was in another network namespace, ");
		name_space(s, command);
		say(s, ", where nothing moved either");
	}
}

void conclude_observation(struct observation *o)
{
	const struct ktls_outcome *failure = find_failure(o);
	const struct space *elsewhere = find_elsewhere(o);
	const struct space *command = find_command(o);
	uint64_t eligible = count_handshakes(o, true);
	uint64_t others = count_handshakes(o, false);
	struct sentence s = { .o = o };

	if (is_used(o)) {
		o->conclusion = CONCLUSION_USED;
		say_used(&s, failure);
	} else if (failure) {
		o->conclusion = CONCLUSION_REFUSED;
		say(&s, "it was asked for, and refused: ");
		say_failure(&s, failure);
	} else if (elsewhere) {
		o->conclusion = CONCLUSION_ELSEWHERE;
		say_elsewhere(&s, elsewhere);
	} else if (command && !command->readable) {
		o->conclusion = CONCLUSION_ELSEWHERE;
		say(&s, "the command was in another network namespace, ");
		name_space(&s, command);
		say(&s, ", which is for root to look into");
	} else if (others && !eligible) {
		o->conclusion = CONCLUSION_NOT_ELIGIBLE;
		say(&s, "what was negotiated is nothing for kernel TLS: %s under TLS version %#x",
		    o->handshakes.list[0].name[0] ?
		    o->handshakes.list[0].name : "an unknown cipher",
		    o->handshakes.list[0].version);
	} else {
		o->conclusion = CONCLUSION_UNUSED;
		say_unused(&s, eligible, others);
	}
}

/* In tables */

static void print_heading(const struct observation *o)
{
	int i;

	printf("\nktlsctl: observed for %.1f s", o->ns / 1e9);
	for (i = 0; i < o->argc; i++)
		printf("%s%s", i ? " " : ": ", o->argv[i]);
	if (o->argc && WIFSIGNALED(o->status))
		printf(" (killed by signal %d)", WTERMSIG(o->status));
	else if (o->argc)
		printf(" (exit status %d)", WEXITSTATUS(o->status));
	printf("\n");
}

static void print_attempts(const struct movement *m, unsigned int width)
{
	static const struct column columns[] = {
		TEXT("PROCESS", 0, 0), TEXT("STEP", 0, 0), TEXT("RESULT", 0, 0),
		NUMBER("ATTEMPTS", 0, 0), TEXT("MEANING", 1, 1),
	};
	struct table *table = table_new(columns, ARRAY_SIZE(columns));
	char b[PROCESS_LEN];
	size_t i, k, rows = 0;

	for (i = 0; i < m->count; i++) {
		const struct mover *v = &m->list[i];

		for (k = 0; k < v->tallies_count; k++, rows++) {
			const struct tally *t = &v->tallies[k];

			table_add(table, format_pid(b, v->pid, v->comm));
			table_add(table, ktls_step_name(t->step) ?: "?");
			table_add(table, format_result(b, t->error));
			table_add(table, format_count(b, t->attempts));
			table_add(table, explain_result(t->step, t->error));
		}
	}
	if (rows)
		printf("\nAttempts\n");
	table_print(table, width, 0);
}

static void print_sockets(const struct movement *m, unsigned int width)
{
	static const struct column columns[] = {
		TEXT("PROCESS", 0, 0), NUMBER("INSTALLED", 0, 0),
		NUMBER("CLOSED", 0, 0), NUMBER("ERRORS", 0, 0),
		NUMBER("TX RECORDS", 1, 1), NUMBER("BYTES", 1, 1),
		NUMBER("RX RECORDS", 1, 2), NUMBER("BYTES", 1, 2),
	};
	struct table *table = table_new(columns, ARRAY_SIZE(columns));
	char b[PROCESS_LEN];
	size_t i, rows = 0;

	for (i = 0; i < m->count; i++) {
		const struct mover *v = &m->list[i];
		const struct carried *tx = &v->by[KTLS_DIRECTION_TX];
		const struct carried *rx = &v->by[KTLS_DIRECTION_RX];

		if (!v->installed && !v->closed && !v->errors &&
		    !tx->sockets && !rx->sockets)
			continue;
		rows++;
		table_add(table, format_pid(b, v->pid, v->comm));
		table_add(table, format_count(b, v->installed));
		table_add(table, format_count(b, v->closed));
		table_add(table, format_count(b, v->errors));
		table_add(table, format_count(b, tx->records));
		table_add(table, format_bytes(b, tx->payload));
		table_add(table, format_count(b, rx->records));
		table_add(table, format_bytes(b, rx->payload));
	}
	if (rows)
		printf("\nSockets on kernel TLS, and what went through them meanwhile\n");
	table_print(table, width, 0);
}

/* The names of the counters, in the order of the file; false at the end. */
static bool next_counter(const char **at, char name[64])
{
	size_t len;

	if (!*at || !**at)
		return false;
	len = strcspn(*at, " \t\n");
	snprintf(name, 64, "%.*s", (int)(len < 63 ? len : 63), *at);
	*at += strcspn(*at, "\n");
	*at += **at == '\n';
	return true;
}

static void print_counters(const struct space *s, const char *label)
{
	const char *at = s->after;
	char name[64], line[1024] = "";
	uint64_t growth;
	size_t len = 0;

	while (next_counter(&at, name)) {
		growth = counter_growth(s, name);
		if (growth && len < sizeof(line))
			len += snprintf(line + len, sizeof(line) - len,
					"%s%s +%" PRIu64, len ? ", " : "",
					name, growth);
	}
	print_wrapped(label, 12, len ? line : s->after ?
		      "no counter moved" : "there is none: tls.ko is not loaded");
}

static void print_handshakes(const struct handshakes *h)
{
	char line[256], b[NUMBER_LEN];
	size_t i;

	for (i = 0; i < h->count; i++) {
		const struct negotiated *n = &h->list[i];

		snprintf(line, sizeof(line), "%" PRIu64 " handshake%s: TLS %s, %s (%#06x), %s",
			 n->handshakes, s_of(n->handshakes),
			 n->version == 0x304 ? "1.3" :
			 n->version == 0x303 ? "1.2" :
			 n->version == 0x302 ? "1.1" :
			 n->version == 0x301 ? "1.0" :
			 format_version(b, n->version),
			 n->name[0] ? n->name : "unknown cipher", n->cipher,
			 n->eligible ? "eligible" :
			 "nothing for kernel TLS");
		print_wrapped(i ? "" : "on the wire", 12, line);
	}
	if (!h->count && h->fd >= 0)
		print_wrapped("on the wire", 12, "no TLS handshake was seen");
}

static void print_spaces(const struct observation *o)
{
	struct observation scratch = { 0 };
	struct sentence s;
	const struct space *n;
	size_t i;

	for (i = 1; i < o->spaces.count; i++) {
		n = &o->spaces.list[i];
		if (!space_moved(n) && !n->has_command)
			continue;
		s = (struct sentence){ .o = &scratch };
		say(&s, "Network namespace ");
		name_space(&s, n);
		printf("\n%s%s%s\n", scratch.text,
		       n->fresh ? ", new" : "",
		       n->has_command ? ", the command was there" : "");
		if (n->has_module)
			printf("%-12s%" PRIu64 "\n", "attempts", n->attempts);
		print_counters(n, "tls_stat");
	}
}

static void print_text(const struct observation *o)
{
	unsigned int width, height;
	char label[64];
	size_t i;

	terminal_size(&width, &height);
	print_heading(o);
	if (o->module) {
		print_attempts(&o->movement, width);
		print_sockets(&o->movement, width);
	}
	snprintf(label, sizeof(label), "%" PRIu64, o->spaces.list[0].inode);
	printf("\nNetwork namespace %s%s\n", label,
	       opt.netns ? ", as --netns says" : "");
	if (o->module && !o->outcomes_count)
		printf("%-12snone\n", "attempts");
	print_counters(&o->spaces.list[0], "tls_stat");
	print_handshakes(&o->handshakes);
	print_spaces(o);
	printf("\n");
	for (i = 0; i < o->missing_count; i++)
		print_wrapped("Missing:", 12, o->missing[i]);
	print_wrapped("Conclusion:", 12, o->text);
}

/* In JSON */

static struct json_object *json_counters(const struct space *s)
{
	struct json_object *o = json_object_new_object();
	const char *at = s->after;
	uint64_t growth;
	char name[64];

	while (next_counter(&at, name)) {
		growth = counter_growth(s, name);
		if (growth)
			json_add_number(o, name, growth);
	}
	return o;
}

static struct json_object *json_carried(const struct carried *c)
{
	struct json_object *o = json_object_new_object();

	json_add_number(o, "sockets", c->sockets);
	json_add_number(o, "records", c->records);
	json_add_number(o, "payload-bytes", c->payload);
	json_add_number(o, "wire-bytes", c->wire);
	return o;
}

static struct json_object *json_mover(const struct mover *v)
{
	struct json_object *o = json_object_new_object();
	struct json_object *list = json_object_new_array();
	size_t i;

	json_add_number(o, "pid", v->pid);
	json_object_object_add(o, "comm", json_string(v->comm));
	for (i = 0; i < v->tallies_count; i++) {
		const struct ktls_outcome t = {
			.step = v->tallies[i].step,
			.error = v->tallies[i].error,
			.attempts = v->tallies[i].attempts,
		};

		json_object_array_add(list, json_outcome(&t));
	}
	json_object_object_add(o, "outcomes", list);
	json_add_number(o, "installed", v->installed);
	json_add_number(o, "closed", v->closed);
	json_add_number(o, "errors", v->errors);
	json_object_object_add(o, "tx", json_carried(&v->by[KTLS_DIRECTION_TX]));
	json_object_object_add(o, "rx", json_carried(&v->by[KTLS_DIRECTION_RX]));
	return o;
}

static struct json_object *json_command(const struct observation *o)
{
	struct json_object *c = json_object_new_object();
	struct json_object *list = json_object_new_array();
	int i;

	for (i = 0; i < o->argc; i++)
		json_object_array_add(list, json_string(o->argv[i]));
	json_object_object_add(c, "argv", list);
	if (WIFSIGNALED(o->status))
		json_add_number(c, "signal", WTERMSIG(o->status));
	else
		json_add_number(c, "exit-status", WEXITSTATUS(o->status));
	return c;
}

static struct json_object *json_space(const struct space *s)
{
	struct json_object *o = json_object_new_object();

	json_add_number(o, "netns", s->inode);
	if (s->name[0])
		json_object_object_add(o, "name", json_string(s->name));
	if (s->pid) {
		json_add_number(o, "pid", s->pid);
		json_object_object_add(o, "comm", json_string(s->comm));
	}
	json_object_object_add(o, "command",
			       json_object_new_boolean(s->has_command));
	json_object_object_add(o, "new", json_object_new_boolean(s->fresh));
	if (s->has_module)
		json_add_number(o, "attempts", s->attempts);
	json_object_object_add(o, "tls-stat", json_counters(s));
	return o;
}

static struct json_object *json_negotiated(const struct negotiated *n)
{
	struct json_object *o = json_object_new_object();

	json_add_number(o, "version", n->version);
	json_add_number(o, "cipher", n->cipher);
	json_object_object_add(o, "name", json_string(n->name));
	json_object_object_add(o, "eligible",
			       json_object_new_boolean(n->eligible));
	json_add_number(o, "handshakes", n->handshakes);
	return o;
}

static void print_json(const struct observation *o)
{
	struct json_object *object = json_object_new_object(), *list;
	char seconds[NUMBER_LEN];
	size_t i;

	snprintf(seconds, sizeof(seconds), "%.3f", o->ns / 1e9);
	json_object_object_add(object, "seconds",
			       json_object_new_double_s(o->ns / 1e9, seconds));
	json_object_object_add(object, "module",
			       json_object_new_boolean(o->module));
	json_add_number(object, "netns", o->spaces.list[0].inode);
	if (o->argc)
		json_object_object_add(object, "command", json_command(o));
	list = json_object_new_array();
	for (i = 0; i < o->missing_count; i++)
		json_object_array_add(list, json_string(o->missing[i]));
	json_object_object_add(object, "missing", list);
	json_object_object_add(object, "conclusion", json_object_new_string(
			       codes[o->conclusion]));
	json_object_object_add(object, "text", json_object_new_string(o->text));
	list = json_object_new_array();
	for (i = 0; i < o->outcomes_count; i++)
		json_object_array_add(list, json_outcome(&o->outcomes[i]));
	json_object_object_add(object, "outcomes", list);
	list = json_object_new_array();
	for (i = 0; i < o->movement.count; i++)
		if (mover_moved(&o->movement.list[i]))
			json_object_array_add(list,
				json_mover(&o->movement.list[i]));
	json_object_object_add(object, "processes", list);
	json_object_object_add(object, "tls-stat",
			       json_counters(&o->spaces.list[0]));
	list = json_object_new_array();
	for (i = 0; i < o->handshakes.count; i++)
		json_object_array_add(list,
				      json_negotiated(&o->handshakes.list[i]));
	json_object_object_add(object, "handshakes", list);
	list = json_object_new_array();
	for (i = 1; i < o->spaces.count; i++)
		if (space_moved(&o->spaces.list[i]) ||
		    o->spaces.list[i].has_command)
			json_object_array_add(list,
					      json_space(&o->spaces.list[i]));
	json_object_object_add(object, "namespaces", list);
	json_print(object);
}

void print_observation(const struct observation *o)
{
	if (opt.json)
		print_json(o);
	else
		print_text(o);
}
