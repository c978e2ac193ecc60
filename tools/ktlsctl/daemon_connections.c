// SPDX-License-Identifier: GPL-2.0-or-later
/* ktlsctl daemon connections: what ktlsd knows of them, and what the module does. */
#include <errno.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <string.h>

#include "daemon.h"

/* Without the module there is less to see, and nothing wrong. */
static enum status read_module(struct sockets *sockets, bool *loaded)
{
	const struct ktls_filter all = { 0 };
	enum status status = STATUS_OK;
	struct ktls *ktls;

	*loaded = false;
	if (opt.netns) {
		status = open_ktls(&ktls);
		if (status)
			return status;
	} else if (ktls_open(&ktls, -1)) {
		ktls_close(ktls);
		return STATUS_OK;
	}
	*loaded = true;
	status = read_sockets(ktls, &all, sockets);
	ktls_close(ktls);
	return status;
}

static void print_json(struct json_object *answer, struct json_object *list,
		       const struct sockets *sockets)
{
	const struct ktls_socket *socket;
	struct json_object *o;
	size_t i, count = json_object_array_length(list);

	for (i = 0; i < count; i++) {
		o = json_object_array_get_idx(list, i);
		socket = find_socket(sockets, daemon_number(o, "cookie"));
		if (socket && json_object_is_type(o, json_type_object))
			json_object_object_add(o, "socket", json_socket(socket));
	}
	json_print(json_object_get(answer));
}

/* "[2001:db8::1]:443" */
static const char *remote(char buffer[ADDR_LEN], struct json_object *o)
{
	const char *address = daemon_text(o, "remote-addr");

	snprintf(buffer, ADDR_LEN, strchr(address, ':') ? "[%.45s]:%u" : "%.45s:%u",
		 address, (unsigned int)(uint16_t)daemon_number(o, "remote-port"));
	return buffer;
}

/* Who does a direction, and how much that was. */
static void add_stream(struct table *table, struct json_object *o, const char *key,
		       const struct ktls_socket *socket)
{
	const struct ktls_stream *s = NULL;
	char b[NUMBER_LEN];
	bool known;

	if (socket)
		s = !strcmp(key, "tx") ? &socket->tx : &socket->rx;
	known = s && s->mode != KTLS_MODE_NONE &&
		!(socket->flags & KTLS_SOCKET_FLAGS_BUSY);
	table_add(table, s && s->mode != KTLS_MODE_NONE ? format_mode(b, s->mode) :
		  daemon_text(o, key));
	table_add(table, known ? format_count(b, s->records) : "-");
	table_add(table, known ? format_bytes(b, s->payload_bytes) : "-");
}

static void print_text(struct json_object *list, const struct sockets *sockets,
		       bool loaded)
{
	static const struct column columns[] = {
		TEXT("LISTENER", 0, 0), TEXT("REMOTE", 0, 0),
		TEXT("TLS", 1, 1), TEXT("CIPHER", 1, 1),
		TEXT("TX", 1, 2), NUMBER("RECORDS", 1, 2), NUMBER("BYTES", 1, 2),
		TEXT("RX", 1, 2), NUMBER("RECORDS", 1, 2), NUMBER("BYTES", 1, 2),
		NUMBER("AGE", 1, 1), TEXT("NAME", 1, 1), TEXT("ALPN", 1, 1),
		TEXT("PEER", 1, 1),
	};
	size_t i, count = json_object_array_length(list);
	const struct ktls_socket *socket;
	unsigned int width, height;
	uint64_t now = now_ns(), start;
	struct json_object *o;
	struct table *table;
	char b[ADDR_LEN];

	if (!count) {
		printf("ktlsd has no connections.\n");
		return;
	}
	terminal_size(&width, &height);
	table = table_new(columns, ARRAY_SIZE(columns));
	for (i = 0; i < count; i++) {
		o = json_object_array_get_idx(list, i);
		socket = find_socket(sockets, daemon_number(o, "cookie"));
		start = daemon_number(o, "start-time");
		table_add(table, daemon_text(o, "listener"));
		table_add(table, remote(b, o));
		table_add(table, daemon_text(o, "version"));
		table_add(table, daemon_text(o, "cipher"));
		add_stream(table, o, "tx", socket);
		add_stream(table, o, "rx", socket);
		table_add(table, format_duration(b, now > start ? now - start : 0));
		table_add(table, daemon_text(o, "server-name"));
		table_add(table, daemon_text(o, "alpn"));
		table_add(table, daemon_text(o, "peer-name"));
	}
	printf("%zu connection%s\n", count, count == 1 ? "" : "s");
	table_print(table, width, 0);
	if (!loaded)
		note("the ktls module is not loaded, so that records and bytes are not known");
}

enum status daemon_connections(struct json_object *answer)
{
	struct json_object *list = daemon_get(answer, "connections");
	struct sockets sockets = { 0 };
	enum status status;
	uint64_t silent;
	bool loaded;

	if (!json_object_is_type(list, json_type_array))
		return error(STATUS_FAILED,
			     "what answered is not ktlsd, or one of another age");
	status = read_module(&sockets, &loaded);
	if (!status && opt.json)
		print_json(answer, list, &sockets);
	else if (!status)
		print_text(list, &sockets, loaded);
	silent = daemon_number(answer, "silent-workers");
	if (silent)
		note("%" PRIu64 " worker%s did not answer: their connections are missing here",
		     silent, silent == 1 ? "" : "s");
	free_sockets(&sockets);
	return status;
}
