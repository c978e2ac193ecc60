// SPDX-License-Identifier: GPL-2.0-or-later
/* What was found, for people and for programs. */
#include <inttypes.h>
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>

#include "why.h"

#define INDENT 12

static const char *const names[DIRECTIONS] = {
	[KTLS_DIRECTION_TX] = "TX",
	[KTLS_DIRECTION_RX] = "RX",
};

/* Text */

static bool same_text(const char *a, const char *b)
{
	return !a || !b ? a == b : !strcmp(a, b);
}

static bool same_finding(const struct finding *a, const struct finding *b)
{
	size_t i;

	if (a->verdict != b->verdict || !same_text(a->reason, b->reason) ||
	    !same_text(a->text, b->text) || !same_text(a->next, b->next) ||
	    a->remaining_count != b->remaining_count)
		return false;
	for (i = 0; i < a->remaining_count; i++)
		if (strcmp(a->remaining[i].reason, b->remaining[i].reason) ||
		    strcmp(a->remaining[i].text, b->remaining[i].text))
			return false;
	return true;
}

static const char *command_of(const struct connection *c)
{
	return c->holders_count ? c->holders[0]->process.comm : "";
}

/* Nothing that is worth a look differs. */
static bool is_like(const struct connection *a, const struct connection *b)
{
	return a->space == b->space && !strcmp(command_of(a), command_of(b)) &&
	       same_finding(&a->finding[0], &b->finding[0]) &&
	       same_finding(&a->finding[1], &b->finding[1]);
}

static void print_finding(const char *label, const struct finding *f)
{
	char start[64], text[2 * WHY_LEN];
	size_t i;

	snprintf(start, sizeof(start), "  %-8s ", label);
	if (f->reason && strcmp(f->reason, "unknown"))
		snprintf(text, sizeof(text), "%s (%s): %s",
			 verdict_name(f->verdict), f->reason, f->text);
	else
		snprintf(text, sizeof(text), "%s: %s", verdict_name(f->verdict),
			 f->text);
	print_wrapped(start, INDENT - 1, text);
	for (i = 0; i < f->remaining_count; i++) {
		snprintf(text, sizeof(text), "%s (%s)", f->remaining[i].text,
			 f->remaining[i].reason);
		print_wrapped(i ? "           or " : "           it may be: ",
			      INDENT + 2, text);
	}
	if (f->next)
		print_wrapped("           -> ", INDENT + 2, f->next);
}

static void print_ends(const struct connection *c)
{
	char local[ADDR_LEN], remote[ADDR_LEN], process[PROCESS_LEN];
	size_t i;

	printf("%s %s", format_addr(local, c->family, c->local_addr,
				    c->local_port),
	       format_addr(remote, c->family, c->remote_addr, c->remote_port));
	for (i = 0; i < c->holders_count && i < 3; i++)
		printf("%s%s", i ? ", " : "  ",
		       format_pid(process, c->holders[i]->process.pid,
				  c->holders[i]->process.comm));
	if (i < c->holders_count)
		printf(" and %zu more", c->holders_count - i);
	printf("\n");
}

static void print_group(const struct connection *c, size_t count)
{
	char text[4 * WHY_LEN];
	size_t i;

	print_ends(c);
	if (count > 1)
		printf("  and %zu more like it; -j lists all\n", count - 1);
	if (c->space->pid) {
		snprintf(text, sizeof(text),
			 "another network namespace (%" PRIu64 ") than this shell's, whose counters say nothing about it; see: ktlsctl --netns %u stats",
			 c->space->ino, c->space->pid);
		print_wrapped("  netns    ", INDENT - 1, text);
	}
	if (same_finding(&c->finding[0], &c->finding[1])) {
		print_finding("TX, RX", &c->finding[0]);
	} else {
		for (i = 0; i < DIRECTIONS; i++)
			print_finding(names[i], &c->finding[i]);
	}
	for (i = 0; i < c->evidence_count; i++) {
		const struct evidence *e = &c->evidence[i];

		/* What it says stands above. */
		if (same_text(e->text, c->finding[0].text) ||
		    same_text(e->text, c->finding[1].text))
			snprintf(text, sizeof(text), "%s", e->from);
		else
			snprintf(text, sizeof(text), "%s: %s", e->from, e->text);
		print_wrapped(i ? "           " : "  evidence ", INDENT + 1,
			      text);
	}
}

void print_why(const struct spaces *spaces, const struct missing *missing)
{
	size_t s, i, j, k, count, groups = 0, total = 0;

	for (s = 0; s < spaces->count; s++) {
		const struct connection *list = spaces->list[s].list;

		total += spaces->list[s].count;
		for (i = 0; i < spaces->list[s].count; i++) {
			/* The first of its kind stands for them all. */
			for (j = 0; j < i; j++)
				if (is_like(&list[j], &list[i]))
					break;
			if (j < i)
				continue;
			for (count = 1, k = i + 1; k < spaces->list[s].count; k++)
				count += is_like(&list[i], &list[k]);
			if (groups++)
				printf("\n");
			print_group(&list[i], count);
		}
	}
	for (i = 0; i < missing->count; i++) {
		if (!i)
			printf("\nWhat could not be looked at\n");
		print_wrapped("  - ", 4, missing->list[i]);
	}
	if (total > 1)
		printf("\n%zu connections, of %zu kind%s\n", total, groups,
		       groups == 1 ? "" : "s");
}

/* JSON */

static struct json_object *json_finding(const struct finding *f)
{
	struct json_object *o = json_object_new_object();
	struct json_object *list, *j;
	size_t i;

	json_object_object_add(o, "verdict",
			       json_string(verdict_name(f->verdict)));
	if (f->reason)
		json_object_object_add(o, "reason", json_string(f->reason));
	json_object_object_add(o, "text", json_string(f->text));
	if (f->next)
		json_object_object_add(o, "next", json_string(f->next));
	if (!f->remaining_count)
		return o;
	list = json_object_new_array();
	for (i = 0; i < f->remaining_count; i++) {
		j = json_object_new_object();
		json_object_object_add(j, "reason",
				       json_string(f->remaining[i].reason));
		json_object_object_add(j, "text",
				       json_string(f->remaining[i].text));
		json_object_array_add(list, j);
	}
	json_object_object_add(o, "remaining", list);
	return o;
}

static struct json_object *json_connection(const struct connection *c)
{
	struct json_object *o = json_object_new_object();
	struct json_object *list = json_object_new_array(), *j;
	size_t i;

	json_add_number(o, "cookie", c->cookie);
	json_add_number(o, "family", c->family);
	json_add_addr(o, "local-addr", c->family, c->local_addr);
	json_add_addr(o, "remote-addr", c->family, c->remote_addr);
	json_add_number(o, "local-port", c->local_port);
	json_add_number(o, "remote-port", c->remote_port);
	json_add_number(o, "inode", c->inode);
	json_add_number(o, "uid", c->uid);
	json_add_number(o, "netns", c->space->ino);
	for (i = 0; i < c->holders_count; i++) {
		const struct process *p = &c->holders[i]->process;

		j = json_object_new_object();
		json_add_number(j, "pid", p->pid);
		json_object_object_add(j, "comm", json_string(p->comm));
		json_object_array_add(list, j);
	}
	json_object_object_add(o, "processes", list);
	for (i = 0; i < DIRECTIONS; i++)
		json_object_object_add(o, ktls_direction_name(i),
				       json_finding(&c->finding[i]));
	list = json_object_new_array();
	for (i = 0; i < c->evidence_count; i++) {
		j = json_object_new_object();
		json_object_object_add(j, "from",
				       json_string(c->evidence[i].from));
		json_object_object_add(j, "text",
				       json_string(c->evidence[i].text));
		json_object_array_add(list, j);
	}
	json_object_object_add(o, "evidence", list);
	return o;
}

void print_why_json(const char *target, bool module,
		    const struct spaces *spaces, const struct missing *missing)
{
	struct json_object *o = json_object_new_object();
	struct json_object *list = json_object_new_array();
	size_t i, j;

	json_object_object_add(o, "target", json_string(target));
	json_object_object_add(o, "module", json_object_new_boolean(module));
	for (i = 0; i < missing->count; i++)
		json_object_array_add(list, json_string(missing->list[i]));
	json_object_object_add(o, "missing", list);
	list = json_object_new_array();
	for (i = 0; i < spaces->count; i++)
		for (j = 0; j < spaces->list[i].count; j++)
			json_object_array_add(list, json_connection(
					      &spaces->list[i].list[j]));
	json_object_object_add(o, "connections", list);
	json_print(o);
}
