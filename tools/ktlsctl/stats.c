// SPDX-License-Identifier: GPL-2.0-or-later
/* ktlsctl stats: what all sockets carried, and each of them. */
#include <errno.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ktlsctl.h"

const char stats_details[] =
	"Totals count from the load of the module on; they hold open and closed\n"
	"sockets. A socket's counters begin with its first key. TX is what this\n"
	"host sends, RX what it receives: sw means that the kernel does the\n"
	"cryptography on the CPU, hw that a network device has the key, none that\n"
	"user space does it. Records are counted in thousands (k, M, G), bytes in\n"
	"units of 1024 (K, M, G); -n shows both in full. Bytes of sockets are\n"
	"payload, without what TLS adds.\n";

struct sample {
	struct sockets sockets;
	struct ktls_totals *totals;
	size_t totals_count;
	size_t totals_room;
	bool no_totals;		/* not for our eyes */
	uint64_t at;		/* monotonic_ns() */
};

static int keep_totals(const struct ktls_totals *t, void *arg)
{
	struct sample *s = arg;
	struct ktls_totals *totals;
	size_t room;

	if (s->totals_count == s->totals_room) {
		room = s->totals_room ? s->totals_room * 2 : 16;
		totals = reallocarray(s->totals, room, sizeof(*totals));
		if (!totals)
			return -ENOMEM;
		s->totals = totals;
		s->totals_room = room;
	}
	s->totals[s->totals_count++] = *t;
	return 0;
}

static int by_kind(const void *a, const void *b)
{
	const struct ktls_totals *x = a, *y = b;

	if (x->direction != y->direction)
		return x->direction < y->direction ? -1 : 1;
	if (x->mode != y->mode)
		return x->mode < y->mode ? -1 : 1;
	if (x->version != y->version)
		return x->version < y->version ? -1 : 1;
	return x->cipher < y->cipher ? -1 : x->cipher > y->cipher;
}

static enum status read_sample(struct ktls *ktls,
			       const struct ktls_filter *filter,
			       struct sample *s)
{
	enum status status;
	int tries, err;

	for (tries = 0; tries < READ_TRIES; tries++) {
		s->totals_count = 0;
		err = ktls_dump_totals(ktls, keep_totals, s);
		if (err != -EAGAIN)
			break;
	}
	s->no_totals = err == -EPERM || err == -EACCES;
	if (err == -ENOMEM)
		return error(STATUS_FAILED, "out of memory");
	/* In a hurry, a row may be missing; read_sockets() says so. */
	if (err && err != -EAGAIN && !s->no_totals)
		return error_ktls(ktls);
	if (s->totals_count)
		qsort(s->totals, s->totals_count, sizeof(*s->totals), by_kind);

	status = read_sockets(ktls, filter, &s->sockets);
	s->at = monotonic_ns();
	return status;
}

static void free_sample(struct sample *s)
{
	free_sockets(&s->sockets);
	free(s->totals);
	*s = (struct sample){ 0 };
}

static const struct ktls_totals *find_totals(const struct sample *s,
					     const struct ktls_totals *like)
{
	size_t i;

	for (i = 0; s && i < s->totals_count; i++)
		if (!by_kind(&s->totals[i], like))
			return &s->totals[i];
	return NULL;
}

/* How many per second, between two readings of a counter. */
static uint64_t rate(uint64_t before, uint64_t now, uint64_t ns)
{
	/* A counter that went back belongs to a module loaded anew. */
	if (!ns || now < before)
		return 0;
	return (now - before) * 1e9 / ns + 0.5;
}

static uint64_t elapsed(const struct sample *before, const struct sample *now)
{
	return before ? now->at - before->at : 0;
}

/* Totals */

static size_t print_totals(const struct sample *before,
			   const struct sample *now, unsigned int width)
{
	static const struct column plain[] = {
		TEXT("DIR", 0, 0), TEXT("MODE", 0, 0), TEXT("TLS", 0, 0),
		TEXT("CIPHER", 0, 0),
		NUMBER("OPEN", 0, 0), NUMBER("CLOSED", 0, 0),
		NUMBER("RECORDS", 1, 1), NUMBER("PAYLOAD", 1, 1),
		NUMBER("WIRE", 1, 1), NUMBER("CONTROL", 1, 2),
		NUMBER("REKEYS", 1, 2), NUMBER("ERRORS", 1, 2),
	};
	static const struct column watch[] = {
		TEXT("DIR", 0, 0), TEXT("MODE", 0, 0), TEXT("TLS", 0, 0),
		TEXT("CIPHER", 0, 0),
		NUMBER("OPEN", 0, 0), NUMBER("CLOSED", 0, 0),
		NUMBER("RECORDS", 1, 1), NUMBER("PAYLOAD", 1, 1),
		NUMBER("RECORDS/s", 1, 2), NUMBER("PAYLOAD/s", 1, 2),
		NUMBER("WIRE/s", 1, 2),
	};
	struct table *table;
	char b[NUMBER_LEN];
	uint64_t ns = elapsed(before, now);
	size_t i;

	table = opt.watch ? table_new(watch, ARRAY_SIZE(watch)) :
			    table_new(plain, ARRAY_SIZE(plain));
	for (i = 0; i < now->totals_count; i++) {
		const struct ktls_totals *t = &now->totals[i];
		const struct ktls_totals *p = find_totals(before, t);
		static const struct ktls_totals nothing;

		table_add(table, ktls_direction_name(t->direction) ?: "?");
		table_add(table, format_mode(b, t->mode));
		table_add(table, format_version(b, t->version));
		table_add(table, format_cipher(b, t->cipher));
		table_add(table, format_count(b, t->open));
		table_add(table, format_count(b, t->closed));
		table_add(table, format_count(b, t->records));
		table_add(table, format_bytes(b, t->payload_bytes));
		if (!opt.watch) {
			table_add(table, format_bytes(b, t->wire_bytes));
			table_add(table, format_count(b, t->control_records));
			table_add(table, format_count(b, t->rekeys));
			table_add(table, format_count(b, t->errors));
			continue;
		}
		if (!before || t->busy || (p && p->busy)) {
			table_add(table, "-");
			table_add(table, "-");
			table_add(table, "-");
			continue;
		}
		if (!p)
			p = &nothing;
		table_add(table, format_count(b, rate(p->records, t->records,
						      ns)));
		table_add(table, format_bytes(b, rate(p->payload_bytes,
						      t->payload_bytes, ns)));
		table_add(table, format_bytes(b, rate(p->wire_bytes,
						      t->wire_bytes, ns)));
	}
	return table_print(table, width, 0);
}

/* Sockets */

struct row {
	const struct ktls_socket *now;
	const struct ktls_socket *before;
	uint64_t rate;
	bool busy;
};

static int by_rate(const void *a, const void *b)
{
	const struct row *x = a, *y = b;

	if (x->rate != y->rate)
		return x->rate < y->rate ? 1 : -1;
	return x->now->cookie < y->now->cookie ? -1 :
	       x->now->cookie > y->now->cookie;
}

/* Its counters are not known. */
static bool is_busy(const struct ktls_socket *s)
{
	return s->flags & KTLS_SOCKET_FLAGS_BUSY;
}

static const struct {
	char sign;
	const char *text;
} marks[] = {
	{ '*', "adopted: had its key before the module was loaded; counters begin then" },
	{ '!', "a direction had an error; for more, type: ktlsctl show ADDRESS:PORT" },
	{ '~', "incomplete: closed before the module could read its last counters" },
	{ '#', "truncated: closed before its last record was sent as a whole" },
	{ '?', "busy: locked by a task that waits in a call on it; no counters this time" },
};

static bool has_mark(const struct ktls_socket *s, size_t mark)
{
	switch (marks[mark].sign) {
	case '*':
		return s->flags & KTLS_SOCKET_FLAGS_ADOPTED;
	case '!':
		return s->tx.last_error || s->rx.last_error;
	case '~':
		return s->flags & KTLS_SOCKET_FLAGS_INCOMPLETE;
	case '#':
		return s->flags & KTLS_SOCKET_FLAGS_TRUNCATED;
	case '?':
		return is_busy(s);
	}
	return false;
}

/* One value for both directions, as nearly always, or both. */
static void add_both(struct table *table, const struct ktls_socket *s,
		     bool cipher)
{
	char tx[NUMBER_LEN], rx[NUMBER_LEN], both[2 * NUMBER_LEN];
	bool has_tx = s->tx.mode != KTLS_MODE_NONE;
	bool has_rx = s->rx.mode != KTLS_MODE_NONE;
	const char *t, *r;

	t = cipher ? format_cipher(tx, s->tx.cipher) :
		     format_version(tx, s->tx.version);
	r = cipher ? format_cipher(rx, s->rx.cipher) :
		     format_version(rx, s->rx.version);
	if (!has_rx || (has_tx && !strcmp(t, r))) {
		table_add(table, t);
	} else if (!has_tx) {
		table_add(table, r);
	} else {
		snprintf(both, sizeof(both), "%s/%s", t, r);
		table_add(table, both);
	}
}

static void add_stream(struct table *table, const struct ktls_stream *s,
		       const struct ktls_stream *before, uint64_t ns, bool busy)
{
	char b[NUMBER_LEN];

	table_add(table, format_mode(b, s->mode));
	if (busy || s->mode == KTLS_MODE_NONE || (opt.watch && !ns)) {
		table_add(table, "-");
		table_add(table, "-");
	} else if (opt.watch) {
		table_add(table, format_count(b, rate(before->records,
						      s->records, ns)));
		table_add(table, format_bytes(b, rate(before->payload_bytes,
						      s->payload_bytes, ns)));
	} else {
		table_add(table, format_count(b, s->records));
		table_add(table, format_bytes(b, s->payload_bytes));
	}
}

static void print_sockets(const struct sample *before,
			  const struct sample *now, unsigned int width,
			  size_t max_lines)
{
	/* The first column is as wide as its marks are. */
	static const struct column plain[] = {
		TEXT("", 0, 0), TEXT("LOCAL", 0, 0), TEXT("REMOTE", 0, 0),
		TEXT("TLS", 1, 1),
		TEXT("CIPHER", 1, 1),
		TEXT("TX", 1, 1),
		NUMBER("RECORDS", 1, 1), NUMBER("BYTES", 1, 1),
		TEXT("RX", 1, 2),
		NUMBER("RECORDS", 1, 2), NUMBER("BYTES", 1, 2),
		TEXT("PROCESS", 1, 2),
		NUMBER("CLOSED", 1, 2),
	};
	static const struct column watch[] = {
		TEXT("", 0, 0), TEXT("LOCAL", 0, 0), TEXT("REMOTE", 0, 0),
		TEXT("TLS", 1, 1),
		TEXT("CIPHER", 1, 1),
		TEXT("TX", 1, 1),
		NUMBER("REC/s", 1, 1), NUMBER("BYTES/s", 1, 1),
		TEXT("RX", 1, 2),
		NUMBER("REC/s", 1, 2), NUMBER("BYTES/s", 1, 2),
		TEXT("PROCESS", 1, 2),
	};
	static const struct ktls_socket nothing;
	char b[ADDR_LEN];
	uint64_t ns = elapsed(before, now);
	uint64_t wall = now_ns();
	struct table *table;
	struct row *rows;
	size_t i, m, n, left, count = now->sockets.count;

	rows = calloc(count, sizeof(*rows));
	if (!rows)
		return;
	for (i = 0; i < count; i++) {
		const struct ktls_socket *s = &now->sockets.list[i];
		const struct ktls_socket *p = before ?
			find_socket(&before->sockets, s->cookie) : NULL;

		rows[i].now = s;
		rows[i].before = p ?: &nothing;
		rows[i].busy = is_busy(s) || is_busy(rows[i].before);
		rows[i].rate = rows[i].busy ? 0 :
			       rate(rows[i].before->tx.payload_bytes,
				    s->tx.payload_bytes, ns) +
			       rate(rows[i].before->rx.payload_bytes,
				    s->rx.payload_bytes, ns);
	}
	/* The busiest first, as far as it is known. */
	if (opt.watch)
		qsort(rows, count, sizeof(*rows), by_rate);

	table = opt.watch ? table_new(watch, ARRAY_SIZE(watch)) :
		table_new(plain, ARRAY_SIZE(plain) - !opt.closed);
	for (i = 0; i < count; i++) {
		const struct ktls_socket *s = rows[i].now;
		char sign[ARRAY_SIZE(marks) + 1] = "";

		for (m = n = 0; m < ARRAY_SIZE(marks); m++)
			if (has_mark(s, m))
				sign[n++] = marks[m].sign;
		table_add(table, sign);
		table_add(table, format_local(b, s));
		table_add(table, format_remote(b, s));
		add_both(table, s, false);
		add_both(table, s, true);
		add_stream(table, &s->tx, &rows[i].before->tx, ns,
			   rows[i].busy);
		add_stream(table, &s->rx, &rows[i].before->rx, ns,
			   rows[i].busy);
		table_add(table, format_process(b, s));
		if (opt.closed && s->close_time && s->close_time < wall) {
			char ago[NUMBER_LEN + 8];

			format_duration(ago, wall - s->close_time);
			strcat(ago, " ago");
			table_add(table, ago);
		} else if (opt.closed) {
			table_add(table, "now");
		}
	}
	left = table_print(table, width, max_lines);
	if (left)
		printf("... and %zu more; for all, type: ktlsctl stats\n",
		       left);

	for (m = 0; m < ARRAY_SIZE(marks); m++) {
		for (i = 0; i < count - left; i++)
			if (has_mark(rows[i].now, m))
				break;
		if (i < count - left)
			printf("%c %s\n", marks[m].sign, marks[m].text);
	}
	free(rows);
}

static void print_nothing(struct ktls *ktls, const struct sample *now,
			  const struct ktls_filter *filter)
{
	const struct ktls_module *module;
	uint64_t closed = 0, open = 0;

	if (!ktls_get_module(ktls, &module)) {
		if (module->missing &
		    (KTLS_HOOK_CLOSE | KTLS_HOOK_CTX_FREE)) {
			printf("The module could not be armed on this kernel; for more, type: ktlsctl module\n");
			return;
		}
		closed = module->closed;
		open = module->open;
	}
	if (filter->match & ~KTLS_MATCH(CLOSED)) {
		printf("No %s kTLS socket of this network namespace matches the filter.\n",
		       opt.closed ? "closed" : "open");
		return;
	}
	if (opt.closed) {
		printf("No kTLS socket was closed in this network namespace since the module was loaded.\n");
		return;
	}
	if (!open || sees_all_sockets())
		printf("No kTLS sockets are open in this network namespace.\n");
	else
		printf("None of the open kTLS sockets of this network namespace is yours.\n");
	if (closed || now->totals_count) {
		printf("For those that were closed, type: ktlsctl stats --closed\n");
		return;
	}
	printf("Sockets of containers are in namespaces of their own: ktlsctl stats --netns PID\n"
	       "Programs have to ask for kernel TLS; OpenSSL does with the option KTLS.\n");
}

static void print_heading(const struct sample *now)
{
	size_t i, adopted = 0, incomplete = 0, busy = 0;
	size_t count = now->sockets.count;

	for (i = 0; i < count; i++) {
		const struct ktls_socket *s = &now->sockets.list[i];

		adopted += !!(s->flags & KTLS_SOCKET_FLAGS_ADOPTED);
		incomplete += !!(s->flags & KTLS_SOCKET_FLAGS_INCOMPLETE);
		busy += is_busy(s);
	}
	printf("%zu %s socket%s", count, opt.closed ? "closed" : "open",
	       count == 1 ? "" : "s");
	if (adopted)
		printf(", %zu adopted", adopted);
	if (incomplete)
		printf(", %zu incomplete", incomplete);
	if (busy)
		printf(", %zu busy: the totals lack them", busy);
	printf("\n");
}

static void print_text(struct ktls *ktls, const struct sample *before,
		       const struct sample *now,
		       const struct ktls_filter *filter)
{
	unsigned int width, height;
	size_t lines = 0;

	terminal_size(&width, &height);
	if (opt.watch) {
		char b[TIME_LEN];

		/* Home, and clear what is below. */
		if (height)
			printf("\033[H\033[J");
		printf("%s, every %gs\n\n", format_time(b, now_ns()),
		       opt.watch);
		/* What stands around the sockets. */
		if (height) {
			lines = now->totals_count + 10;
			lines = height > lines + 4 ? height - lines : 4;
		}
	}
	if (now->totals_count) {
		printf("Totals of this network namespace%s\n",
		       filter->match & ~KTLS_MATCH(CLOSED) ?
		       ", whatever the filter" : "");
		print_totals(before, now, width);
		printf("\n");
	}
	if (now->sockets.count) {
		print_heading(now);
		print_sockets(before, now, width, lines);
	} else {
		print_nothing(ktls, now, filter);
	}
	if (!sees_all_sockets())
		printf("These are your own sockets; those of others are shown to root only.\n");
	/* Between blocks in a pipe. */
	if (opt.watch && !height)
		printf("\n");
}

static void print_json(const struct sample *now)
{
	struct json_object *o = json_object_new_object();
	struct json_object *list;
	size_t i;

	if (opt.watch)
		json_add_number(o, "time", now_ns());
	if (!now->no_totals) {
		list = json_object_new_array();
		for (i = 0; i < now->totals_count; i++)
			json_object_array_add(list,
					      json_totals(&now->totals[i]));
		json_object_object_add(o, "totals", list);
	}
	list = json_object_new_array();
	for (i = 0; i < now->sockets.count; i++)
		json_object_array_add(list, json_socket(&now->sockets.list[i]));
	json_object_object_add(o, "sockets", list);
	json_print(o);
}

static enum status watch(struct ktls *ktls, const struct ktls_filter *filter)
{
	struct sample samples[2] = { 0 };
	struct sample *before = NULL, *now = &samples[0];
	uint64_t interval = opt.watch * 1e9;
	unsigned int width, height;
	enum status status;
	uint64_t next;

	terminal_size(&width, &height);
	catch_signals();
	next = monotonic_ns();
	for (;;) {
		status = read_sample(ktls, filter, now);
		if (status)
			break;
		if (opt.json)
			print_json(now);
		/* In a pipe, the first block is the first with rates. */
		else if (before || height)
			print_text(ktls, before, now, filter);
		if (!flush()) {
			status = STATUS_FAILED;
			break;
		}
		before = now;
		now = now == &samples[0] ? &samples[1] : &samples[0];

		/* Behind time, intervals are left out rather than hurried. */
		while (next <= monotonic_ns())
			next += interval;
		if (wait_for(-1, next) != WOKEN_TIMEOUT)
			break;
	}
	free_sample(&samples[0]);
	free_sample(&samples[1]);
	return status;
}

enum status run_stats(int argc, char **argv)
{
	struct sample sample = { 0 };
	struct ktls_filter filter;
	enum status status;
	struct ktls *ktls;

	status = parse_filter(argc, argv, &filter);
	if (status)
		return status;
	if (opt.closed && opt.watch)
		return error(STATUS_USAGE,
			     "--closed and --watch do not go together: closed sockets change no more");
	if (opt.closed)
		filter.match |= KTLS_MATCH(CLOSED);
	status = open_ktls(&ktls);
	if (status)
		return status;

	if (opt.watch) {
		status = watch(ktls, &filter);
	} else {
		status = read_sample(ktls, &filter, &sample);
		if (!status && opt.json)
			print_json(&sample);
		else if (!status)
			print_text(ktls, NULL, &sample, &filter);
		free_sample(&sample);
	}
	ktls_close(ktls);
	return status;
}
