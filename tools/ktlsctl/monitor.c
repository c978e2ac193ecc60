// SPDX-License-Identifier: GPL-2.0-or-later
/* ktlsctl monitor: events as they come. */
#include <errno.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ktlsctl.h"

const char monitor_details[] =
	"One line for each install of a key, rekey, error and close, until SIGINT or\n"
	"the number of events of --count. If events come faster than they are\n"
	"printed, some are lost; then the table is read, and what changed meanwhile\n"
	"is printed with (missed) after it. Takes CAP_NET_ADMIN.\n";

struct monitor {
	struct ktls *ktls;
	struct ktls_filter filter;
	/* Open sockets we know of, to tell what we missed; by cookie. */
	uint64_t *known;
	size_t count;
	size_t room;
	unsigned long shown;
	bool out_of_memory;
};

/* Ends ktls_dispatch() for reasons of ours. */
#define ENOUGH 1

/* Where a cookie is or belongs. */
static size_t position(const struct monitor *m, uint64_t cookie)
{
	size_t low = 0, high = m->count, middle;

	while (low < high) {
		middle = low + (high - low) / 2;
		if (m->known[middle] < cookie)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static bool knows(const struct monitor *m, uint64_t cookie)
{
	size_t i = position(m, cookie);

	return i < m->count && m->known[i] == cookie;
}

static void learn(struct monitor *m, uint64_t cookie)
{
	size_t i = position(m, cookie), room;
	uint64_t *known;

	if (i < m->count && m->known[i] == cookie)
		return;
	if (m->count == m->room) {
		room = m->room ? m->room * 2 : 256;
		known = reallocarray(m->known, room, sizeof(*known));
		if (!known) {
			m->out_of_memory = true;
			return;
		}
		m->known = known;
		m->room = room;
	}
	memmove(m->known + i + 1, m->known + i,
		(m->count - i) * sizeof(*m->known));
	m->known[i] = cookie;
	m->count++;
}

static void forget(struct monitor *m, uint64_t cookie)
{
	size_t i = position(m, cookie);

	if (i == m->count || m->known[i] != cookie)
		return;
	m->count--;
	memmove(m->known + i, m->known + i + 1,
		(m->count - i) * sizeof(*m->known));
}

/* "socket-install-ntf" as people say it. */
static const char *word_of(int type)
{
	switch (type) {
	case KTLS_CMD_SOCKET_INSTALL_NTF:
		return "install";
	case KTLS_CMD_SOCKET_REKEY_NTF:
		return "rekey";
	case KTLS_CMD_SOCKET_ERROR_NTF:
		return "error";
	case KTLS_CMD_SOCKET_CLOSE_NTF:
		return "close";
	}
	return "?";
}

static void print_counters(const char *direction, const struct ktls_stream *s)
{
	char records[NUMBER_LEN], bytes[NUMBER_LEN];

	if (s->mode == KTLS_MODE_NONE)
		return;
	printf(" %s %s records %s bytes", direction,
	       format_count(records, s->records),
	       format_bytes(bytes, s->payload_bytes));
}

static void print_error(const struct ktls_stream *s)
{
	if (s->last_error)
		printf(" %s", strerrorname_np(s->last_error) ?: "?");
}

static void print_event(const struct ktls_event *e, bool missed)
{
	const struct ktls_socket *s = e->socket;
	const struct ktls_stream *t = e->direction == KTLS_DIRECTION_TX ||
		(e->direction < 0 && s->tx.mode != KTLS_MODE_NONE) ?
		&s->tx : &s->rx;
	char at[TIME_LEN], local[ADDR_LEN], remote[ADDR_LEN];
	char process[PROCESS_LEN], b[3][NUMBER_LEN];

	printf("%s %-7s %-2s %s %s TLS %s %s %s %s", format_clock(at, now_ns()),
	       word_of(e->type),
	       e->direction < 0 ? "" : ktls_direction_name(e->direction) ?: "?",
	       format_local(local, s), format_remote(remote, s),
	       format_version(b[0], t->version),
	       format_cipher(b[1], t->cipher), format_mode(b[2], t->mode),
	       format_process(process, s));
	switch (e->type) {
	case KTLS_CMD_SOCKET_CLOSE_NTF:
		print_counters("tx", &s->tx);
		print_error(&s->tx);
		print_counters("rx", &s->rx);
		print_error(&s->rx);
		break;
	case KTLS_CMD_SOCKET_REKEY_NTF:
		if (t->last_error)
			printf(" refused");
		else
			printf(" key %" PRIu64, (uint64_t)t->rekeys + 1);
		print_error(t);
		break;
	case KTLS_CMD_SOCKET_ERROR_NTF:
		print_error(t);
		break;
	}
	if (s->flags & KTLS_SOCKET_FLAGS_TRUNCATED)
		printf(" truncated");
	if (s->flags & KTLS_SOCKET_FLAGS_INCOMPLETE)
		printf(" incomplete");
	printf("%s\n", missed ? " (missed)" : "");
}

static int show_event(struct monitor *m, const struct ktls_event *e,
		      bool missed)
{
	if (!ktls_filter_match(&m->filter, e->socket))
		return 0;
	if (m->filter.match & KTLS_MATCH(DIRECTION) && e->direction >= 0 &&
	    (uint32_t)e->direction != m->filter.direction)
		return 0;
	if (opt.json) {
		struct json_object *o = json_object_new_object();
		struct json_object *msg = json_socket(e->socket);
		const char *direction = e->direction < 0 ? NULL :
			ktls_direction_name(e->direction);

		json_object_object_add(o, "name", json_object_new_string(
				       ktls_event_name(e->type)));
		json_add_number(o, "time", now_ns());
		if (missed)
			json_object_object_add(o, "missed",
					       json_object_new_boolean(1));
		if (direction)
			json_object_object_add(msg, "direction",
				json_object_new_string(direction));
		json_object_object_add(o, "msg", msg);
		json_print(o);
	} else {
		print_event(e, missed);
	}
	return ++m->shown == opt.count ? ENOUGH : 0;
}

static int on_event(const struct ktls_event *e, void *arg)
{
	struct monitor *m = arg;

	if (e->type == KTLS_CMD_SOCKET_CLOSE_NTF)
		forget(m, e->socket->cookie);
	else
		learn(m, e->socket->cookie);
	return show_event(m, e, false);
}

/* What became of the sockets while events were lost. */
static enum status resync(struct monitor *m, bool *enough)
{
	struct ktls_event e = { .direction = -1 };
	struct sockets now = { 0 };
	size_t i, opened = 0, closed = 0;
	enum status status;

	status = read_sockets(m->ktls, NULL, &now);
	if (status)
		return status;
	for (i = 0; i < now.count && !*enough; i++) {
		if (knows(m, now.list[i].cookie))
			continue;
		opened++;
		learn(m, now.list[i].cookie);
		e.type = KTLS_CMD_SOCKET_INSTALL_NTF;
		e.socket = &now.list[i];
		*enough = show_event(m, &e, true);
	}
	for (i = 0; i < m->count && !*enough; ) {
		if (find_socket(&now, m->known[i])) {
			i++;
			continue;
		}
		closed++;
		e.type = KTLS_CMD_SOCKET_CLOSE_NTF;
		if (!ktls_get_socket(m->ktls, m->known[i], &e.socket))
			*enough = show_event(m, &e, true);
		forget(m, m->known[i]);
	}
	free_sockets(&now);
	if (opt.json) {
		struct json_object *o = json_object_new_object();

		json_object_object_add(o, "name",
				       json_object_new_string("resync"));
		json_add_number(o, "time", now_ns());
		json_add_number(o, "opened", opened);
		json_add_number(o, "closed", closed);
		json_print(o);
	} else {
		char at[TIME_LEN];

		printf("%s resync  events were lost; by the table, sockets opened meanwhile: %zu, closed: %zu\n",
		       format_clock(at, now_ns()), opened, closed);
	}
	return STATUS_OK;
}

static enum status monitor(struct monitor *m)
{
	struct sockets now = { 0 };
	enum status status;
	bool enough = false;
	size_t i;
	int err;

	if (ktls_subscribe(m->ktls))
		return error_ktls(m->ktls);
	/* After the subscription, so that nothing falls in between. */
	status = read_sockets(m->ktls, NULL, &now);
	for (i = 0; i < now.count; i++)
		learn(m, now.list[i].cookie);
	free_sockets(&now);
	if (status)
		return status;

	while (!enough) {
		switch (wait_for(ktls_event_fd(m->ktls), 0)) {
		case WOKEN_INTERRUPTED:
			return STATUS_OK;
		case WOKEN_NO_READER:
			return STATUS_FAILED;
		default:
			break;
		}
		err = ktls_dispatch(m->ktls, on_event, m);
		if (err == -ENOBUFS) {
			/* Old news first, then the table. */
			err = ktls_dispatch(m->ktls, on_event, m);
			if (!err || err == -ENOBUFS) {
				status = resync(m, &enough);
				if (status)
					return status;
				err = 0;
			}
		}
		if (err == ENOUGH)
			enough = true;
		else if (err)
			return error_ktls(m->ktls);
		if (m->out_of_memory)
			return error(STATUS_FAILED, "out of memory");
		if (!flush())
			return STATUS_FAILED;
	}
	return STATUS_OK;
}

enum status run_monitor(int argc, char **argv)
{
	struct monitor m = { 0 };
	enum status status;

	status = parse_filter(argc, argv, &m.filter);
	if (status)
		return status;
	/* One event, one line: whoever reads them reads lines. */
	opt.pretty = false;
	status = open_ktls(&m.ktls);
	if (status)
		return status;
	catch_signals();
	status = monitor(&m);
	free(m.known);
	ktls_close(m.ktls);
	return status;
}
