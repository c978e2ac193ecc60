// SPDX-License-Identifier: GPL-2.0-or-later
/* ktlsctl doctor: what stands between this host and kernel TLS. */
#include <errno.h>
#include <json-c/json.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "doctor.h"
#include "probe.h"

const char doctor_details[] =
	"Looks at this host from the kernel to the network device, and says of each\n"
	"item whether it is ok, a problem, or unknown, what that was read from, and\n"
	"what to do. What can be tried is tried, without privileges and on loopback.\n"
	"With HOST, it also asks that server once what it negotiates; ktlsctl probe\n"
	"asks for more. Nothing is changed. It takes neither root nor the module, but\n"
	"sees less without.\n"
	"\n"
	"Exit status: 0 if no problem was found, 3 if one was.\n";

struct item {
	const char *area;
	char *name;
	enum state state;
	char *evidence;
	char *fix;
};

struct checklist {
	struct item *list;
	size_t count;
	size_t room;
};

static char *must(char *text)
{
	if (!text) {
		fputs("ktlsctl: out of memory\n", stderr);
		exit(STATUS_FAILED);
	}
	clean_text(text);
	return text;
}

static char *format_text(const char *format, va_list ap)
{
	char *text;

	return must(vasprintf(&text, format, ap) < 0 ? NULL : text);
}

void add_item(struct checklist *list, const char *area, const char *name,
	      enum state state, const char *evidence, ...)
{
	struct item *item;
	va_list ap;

	if (list->count == list->room) {
		list->room = list->room ? list->room * 2 : 32;
		item = reallocarray(list->list, list->room, sizeof(*item));
		if (!item) {
			must(NULL);
			return;
		}
		list->list = item;
	}
	item = &list->list[list->count++];
	*item = (struct item){ .area = area, .state = state };
	item->name = must(strdup(name));
	va_start(ap, evidence);
	item->evidence = format_text(evidence, ap);
	va_end(ap);
}

void add_fix(struct checklist *list, const char *fix, ...)
{
	va_list ap;

	va_start(ap, fix);
	list->list[list->count - 1].fix = format_text(fix, ap);
	va_end(ap);
}

static void free_checklist(struct checklist *list)
{
	size_t i;

	for (i = 0; i < list->count; i++) {
		free(list->list[i].name);
		free(list->list[i].evidence);
		free(list->list[i].fix);
	}
	free(list->list);
}

static size_t count_state(const struct checklist *list, enum state state)
{
	size_t i, count = 0;

	for (i = 0; i < list->count; i++)
		count += list->list[i].state == state;
	return count;
}

static const char *state_name(enum state state)
{
	static const char *const names[] = {
		[STATE_OK] = "ok",
		[STATE_PROBLEM] = "problem",
		[STATE_UNKNOWN] = "unknown",
	};

	return names[state];
}

static void print_text(const struct checklist *list)
{
	char label[64];
	size_t i;
	int indent = 0, len;

	for (i = 0; i < list->count; i++) {
		len = strlen(list->list[i].name);
		if (len > indent)
			indent = len;
	}
	/* An unusual name, as of a server, may stick out. */
	indent = 2 + 8 + (indent > 18 ? 18 : indent) + 1;
	for (i = 0; i < list->count; i++) {
		const struct item *item = &list->list[i];

		if (!i || strcmp(item->area, item[-1].area))
			printf("%s%s\n", i ? "\n" : "", item->area);
		snprintf(label, sizeof(label), "  %-7s %-*s ",
			 state_name(item->state), indent - 11, item->name);
		print_wrapped(label, indent, item->evidence);
		if (item->fix) {
			snprintf(label, sizeof(label), "%*s", indent, "-> ");
			print_wrapped(label, indent, item->fix);
		}
	}
	printf("\n%zu ok, %zu problem%s, %zu unknown\n",
	       count_state(list, STATE_OK), count_state(list, STATE_PROBLEM),
	       count_state(list, STATE_PROBLEM) == 1 ? "" : "s",
	       count_state(list, STATE_UNKNOWN));
}

static void print_json(const struct checklist *list)
{
	struct json_object *o = json_object_new_object();
	struct json_object *items = json_object_new_array();
	size_t i;
	int s;

	for (i = 0; i < list->count; i++) {
		const struct item *item = &list->list[i];
		struct json_object *j = json_object_new_object();

		json_object_object_add(j, "area", json_string(item->area));
		json_object_object_add(j, "name", json_string(item->name));
		json_object_object_add(j, "state",
				       json_string(state_name(item->state)));
		json_object_object_add(j, "evidence",
				       json_string(item->evidence));
		if (item->fix)
			json_object_object_add(j, "fix", json_string(item->fix));
		json_object_array_add(items, j);
	}
	json_object_object_add(o, "items", items);
	for (s = STATE_OK; s <= STATE_UNKNOWN; s++)
		json_add_number(o, state_name(s), count_state(list, s));
	json_print(o);
}

/* Whether a server of this host did what it could. */
static void check_end(struct checklist *list, const struct server_end *end)
{
	char tx[NUMBER_LEN], rx[NUMBER_LEN];

	switch (end->state) {
	case END_ELSEWHERE:
		return;
	case END_HIDDEN:
		add_item(list, "protocol", "server's end", STATE_UNKNOWN,
			 "it is on this host; whether it was on kernel TLS, root can see with ktls.ko");
		return;
	case END_IN_USER_SPACE:
		add_item(list, "protocol", "server's end", STATE_PROBLEM,
			 "of this very connection, it was not on kernel TLS in this network namespace (ktls.ko): the server did not ask for it, or runs in another namespace");
		add_fix(list, "tell the server to ask for it, as nginx with: ssl_conf_command Options KTLS; or all that read openssl.cnf with: Options = KTLS");
		return;
	case END_IN_KERNEL:
		add_item(list, "protocol", "server's end", STATE_OK,
			 "of this very connection, it was on kernel TLS: TX %s, RX %s (ktls.ko)",
			 format_mode(tx, end->mode[KTLS_DIRECTION_TX]),
			 format_mode(rx, end->mode[KTLS_DIRECTION_RX]));
	}
}

/* The one item that only a server can tell. */
static void check_protocol(struct checklist *list, const struct findings *f,
			   const struct question *q)
{
	char name[HOST_LEN + 8], tx[WHY_LEN], rx[WHY_LEN];
	struct address address = { 0 };
	struct negotiation n;
	enum answer t, r;

	if (!q) {
		add_item(list, "protocol", "handshake", STATE_UNKNOWN,
			 "no server was asked what it negotiates");
		add_fix(list, "type: ktlsctl doctor HOST:PORT, or for more: ktlsctl probe HOST:PORT");
		return;
	}
	snprintf(name, sizeof(name), "%s:%u", q->endpoint.host,
		 q->endpoint.port);
	negotiate(q, NULL, false, &address, &n);
	if (!n.done) {
		add_item(list, "protocol", name, n.refused ? STATE_PROBLEM :
			 STATE_UNKNOWN, "%s", n.failure);
		return;
	}
	t = judge(&n, f->capabilities, KTLS_DIRECTION_TX, tx);
	r = judge(&n, f->capabilities, KTLS_DIRECTION_RX, rx);
	if (t == ANSWER_YES && r == ANSWER_YES) {
		add_item(list, "protocol", name, STATE_OK,
			 "%s with %s qualifies for kernel TLS in both directions on this host",
			 n.version_name, n.suite);
		check_end(list, &n.end);
		goto out;
	}
	if (!strcmp(tx, rx))
		add_item(list, "protocol", name, STATE_PROBLEM,
			 "%s with %s does not qualify: %s", n.version_name,
			 n.suite, tx);
	else
		add_item(list, "protocol", name, STATE_PROBLEM,
			 "%s with %s: TX %s%s%s, RX %s%s%s", n.version_name,
			 n.suite, answer_name(t), *tx ? ": " : "", tx,
			 answer_name(r), *rx ? ": " : "", rx);
	add_fix(list, "to see what else it takes, type: ktlsctl probe %s", name);
	if (t == ANSWER_YES || r == ANSWER_YES)
		check_end(list, &n.end);
out:
	free_negotiation(&n);
}

/* The list is there in the initial network namespace only. */
static void find_tls(struct findings *f)
{
	const struct kernel_trial *t = &f->capabilities[0].kernel[0];
	char *ulps;

	if (t->step == STEP_KEY || (t->step == STEP_ULP && t->error == ENOENT)) {
		f->has_tls = t->step == STEP_KEY ? ANSWER_YES : ANSWER_NO;
		f->has_tls_from = t->step == STEP_KEY ?
				  "a socket took TCP_ULP" : "TCP_ULP: ENOENT";
		return;
	}
	f->has_tls_from = "/proc/sys/net/ipv4/tcp_available_ulp";
	ulps = read_text(f->has_tls_from);
	f->has_tls = !ulps ? ANSWER_UNKNOWN :
		     has_word(ulps, "tls") ? ANSWER_YES : ANSWER_NO;
	free(ulps);
}

static enum status examine(const struct question *q, struct checklist *list)
{
	struct findings f = { 0 };
	enum status status;

	f.tls_stat = read_text("/proc/net/tls_stat");
	f.tls_stat_error = f.tls_stat ? 0 : errno;
	status = read_processes(&f.processes);
	if (!status) {
		/* The trials count in tls_stat. */
		try_capabilities(f.capabilities);
		find_tls(&f);
		check_kernel(list, &f);
		check_modules(list, &f);
		check_crypto(list, &f);
		check_library(list, &f);
		check_servers(list, &f);
		check_protocol(list, &f, q);
		check_counters(list, &f);
		check_devices(list);
	}
	free_processes(&f.processes);
	free(f.tls_stat);
	return status;
}

enum status run_doctor(int argc, char **argv)
{
	struct checklist list = { 0 };
	enum status status = STATUS_OK;
	struct question q;

	if (argc > 1)
		return error(STATUS_USAGE, "doctor takes one server at most");
	if (!argc && (opt.sni || opt.alpn || opt.ca || opt.timeout ||
		      opt.ipv4 || opt.ipv6))
		return error(STATUS_USAGE,
			     "--sni, --alpn, --ca, --timeout, -4 and -6 are about a server: doctor HOST");
	if (argc)
		status = make_question(argv[0], &q);
	if (!status)
		status = enter_netns();
	if (!status)
		status = examine(argc ? &q : NULL, &list);
	if (!status) {
		if (opt.json)
			print_json(&list);
		else
			print_text(&list);
		if (count_state(&list, STATE_PROBLEM))
			status = STATUS_FOUND;
	}
	free_checklist(&list);
	return status;
}
