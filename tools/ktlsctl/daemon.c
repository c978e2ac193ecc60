// SPDX-License-Identifier: GPL-2.0-or-later
/* ktlsctl daemon: what ktlsd does, and what it is to do. */
#include <errno.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "../ktlsd/counters.h"
#include "daemon.h"

const char daemon_details[] =
	"  status            what it listens on, its certificates, its processes, and\n"
	"                    what it counted\n"
	"  connections       those that are open, with names and ciphers, and with what\n"
	"                    the module counted of them\n"
	"  metrics           counters, expiry and proofs as OpenMetrics, for monitoring\n"
	"  reload            have it read its configuration; one that is wrong changes\n"
	"                    nothing\n"
	"  drain             have it take no new connections, and end with the last one\n";

#define DEFAULT_PATH "/run/ktlsd/control"

/* An answer that is longer is none. */
#define ANSWER_MOST (256 * 1024 * 1024)
/* A reload waits for the new processes. */
#define PATIENCE 60

/* The answer */

struct json_object *daemon_get(struct json_object *o, const char *key)
{
	struct json_object *value = NULL;

	if (json_object_is_type(o, json_type_object))
		json_object_object_get_ex(o, key, &value);
	return value;
}

uint64_t daemon_number(struct json_object *o, const char *key)
{
	struct json_object *value = daemon_get(o, key);

	return json_object_is_type(value, json_type_int) ?
	       json_object_get_uint64(value) : 0;
}

const char *daemon_text(struct json_object *o, const char *key)
{
	static char texts[4][512];
	static unsigned int last;
	struct json_object *value = daemon_get(o, key);
	char *text = texts[++last % ARRAY_SIZE(texts)];

	if (!json_object_is_type(value, json_type_string))
		return "-";
	snprintf(text, sizeof(texts[0]), "%s", json_object_get_string(value));
	clean_text(text);
	return text;
}

static enum status connect_failed(const char *path, int err)
{
	switch (err) {
	case ENOENT:
	case ECONNREFUSED:
		return error(STATUS_FAILED,
			     "ktlsd does not run: nobody answers at %s; start it, as by: systemctl start ktlsd, or name its control socket with --socket",
			     path);
	case EACCES:
	case EPERM:
		return error(STATUS_FAILED,
			     "only root may speak to ktlsd at %s; try it as root", path);
	default:
		return error(STATUS_FAILED, "could not speak to ktlsd at %s: %s", path,
			     strerror(err));
	}
}

static enum status connect_daemon(int *fd)
{
	const char *path = opt.socket ?: DEFAULT_PATH;
	struct timeval patience = { .tv_sec = PATIENCE };
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int err;

	*fd = -1;
	if (!*path || strlen(path) >= sizeof(address.sun_path))
		return error(STATUS_USAGE, "--socket takes a path of 1 to %zu bytes",
			     sizeof(address.sun_path) - 1);
	strcpy(address.sun_path, path);
	*fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (*fd < 0)
		return error(STATUS_FAILED, "could not open a socket: %s",
			     strerror(errno));
	setsockopt(*fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	if (!connect(*fd, (struct sockaddr *)&address, sizeof(address)))
		return STATUS_OK;
	err = errno;
	close(*fd);
	return connect_failed(path, err);
}

/* All until the end; %NULL with an errno. */
static char *read_all(int fd)
{
	size_t len = 0, room = 64 * 1024;
	char *text = malloc(room), *more;
	ssize_t n;

	while (text) {
		n = recv(fd, text + len, room - len - 1, 0);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			break;
		len += n;
		text[len] = '\0';
		if (!n)
			return text;
		if (len + 1 < room)
			continue;
		errno = EFBIG;
		more = room < ANSWER_MOST ? realloc(text, room * 2) : NULL;
		if (!more)
			break;
		text = more;
		room *= 2;
	}
	free(text);
	return NULL;
}

enum status daemon_ask(const char *command, struct json_object **answer)
{
	enum status status;
	char line[64], *text = NULL;
	int fd, len, err;

	*answer = NULL;
	status = connect_daemon(&fd);
	if (status)
		return status;
	len = snprintf(line, sizeof(line), "%s\n", command);
	if (send(fd, line, len, MSG_NOSIGNAL) == len)
		text = read_all(fd);
	err = errno;
	close(fd);
	if (!text && err == EAGAIN)
		return error(STATUS_FAILED, "ktlsd did not answer within %d s", PATIENCE);
	if (!text)
		return error(STATUS_FAILED, "could not speak to ktlsd: %s",
			     strerror(err));
	/* It closes at once on those whose commands it does not take. */
	if (!*text) {
		free(text);
		return error(STATUS_FAILED,
			     "ktlsd did not answer: it ended, or it is not for this user; try it as root");
	}
	*answer = json_tokener_parse(text);
	free(text);
	if (!json_object_is_type(*answer, json_type_object))
		return error(STATUS_FAILED,
			     "what answered is not ktlsd, or one of another age");
	return STATUS_OK;
}

/* What is wrong with a configuration may take many lines. */
static enum status print_error(struct json_object *answer)
{
	struct json_object *value = daemon_get(answer, "error");
	char *copy, *line, *rest;

	if (!value)
		return STATUS_OK;
	if (opt.json) {
		json_print(json_object_get(answer));
		return STATUS_FAILED;
	}
	copy = strdup(json_object_get_string(value));
	for (rest = copy; copy && (line = strsep(&rest, "\n")); ) {
		clean_text(line);
		error(STATUS_FAILED, "%s", line);
	}
	free(copy);
	return STATUS_FAILED;
}

/* status */

static const char *ago(char buffer[NUMBER_LEN], uint64_t since)
{
	uint64_t now = now_ns();

	return format_duration(buffer, now > since ? now - since : 0);
}

static void print_heading(struct json_object *o)
{
	uint64_t reloads = daemon_number(o, "reloads");
	char at[TIME_LEN], duration[NUMBER_LEN];

	printf("ktlsd %s, process %" PRIu64 ", %s since %s, %s\n",
	       daemon_text(o, "version"), daemon_number(o, "pid"),
	       daemon_text(o, "state"),
	       format_time(at, daemon_number(o, "start-time")),
	       ago(duration, daemon_number(o, "start-time")));
	printf("configuration  %s", daemon_text(o, "configuration"));
	if (daemon_number(o, "load-time"))
		printf(", read %s ago", ago(duration, daemon_number(o, "load-time")));
	printf(", %" PRIu64 " reload%s\n", reloads, reloads == 1 ? "" : "s");
	if (daemon_get(o, "reload-error"))
		printf("last reload    failed: %s\n", daemon_text(o, "reload-error"));
	printf("ticket keys    changed %s ago\n",
	       ago(duration, daemon_number(o, "ticket-key-time")));
}

static size_t length(struct json_object *list)
{
	return json_object_is_type(list, json_type_array) ?
	       json_object_array_length(list) : 0;
}

static void print_listeners(struct json_object *list, unsigned int width)
{
	static const struct column columns[] = {
		TEXT("LISTENER", 0, 0), TEXT("KIND", 0, 0), TEXT("ADDRESS", 0, 0),
		TEXT("TO", 1, 1), NUMBER("CERTIFICATES", 1, 1),
	};
	struct table *table;
	char b[NUMBER_LEN];
	size_t i;

	if (!length(list))
		return;
	table = table_new(columns, ARRAY_SIZE(columns));
	for (i = 0; i < length(list); i++) {
		struct json_object *o = json_object_array_get_idx(list, i);

		table_add(table, daemon_text(o, "name"));
		table_add(table, daemon_text(o, "kind"));
		table_add(table, daemon_text(o, "address"));
		table_add(table, daemon_text(o, daemon_get(o, "root") ? "root" :
						"backend"));
		snprintf(b, sizeof(b), "%zu", length(daemon_get(o, "certificates")));
		table_add(table, b);
	}
	printf("\n");
	table_print(table, width, 0);
}

static const char *expiry(char buffer[NUMBER_LEN + 16], struct json_object *o)
{
	int64_t left = daemon_number(o, "not-after") * 1000000000 - now_ns();

	if (!daemon_number(o, "generation"))
		return "-";
	if (left <= 0)
		return "EXPIRED";
	format_duration(buffer, left);
	return buffer;
}

static void print_certificates(struct json_object *list, unsigned int width)
{
	static const struct column columns[] = {
		TEXT("CERTIFICATE", 0, 0), NUMBER("EXPIRES IN", 1, 1),
		NUMBER("GENERATION", 1, 1), TEXT("SERIAL", 1, 1),
	};
	char b[NUMBER_LEN + 16];
	struct table *table;
	size_t i;

	if (!length(list))
		return;
	table = table_new(columns, ARRAY_SIZE(columns));
	for (i = 0; i < length(list); i++) {
		struct json_object *o = json_object_array_get_idx(list, i);

		table_add(table, daemon_text(o, "certificate"));
		table_add(table, expiry(b, o));
		snprintf(b, sizeof(b), "%" PRIu64, daemon_number(o, "generation"));
		table_add(table, b);
		table_add(table, daemon_text(o, "serial"));
	}
	printf("\n");
	table_print(table, width, 0);
	for (i = 0; i < length(list); i++) {
		struct json_object *o = json_object_array_get_idx(list, i);
		const char *expires = daemon_text(o, "expiry");

		if (daemon_get(o, "error"))
			printf("! %s: %s\n", daemon_text(o, "certificate"),
			       daemon_text(o, "error"));
		if (!strcmp(expires, "expired"))
			printf("! %s: it has expired; renew it\n",
			       daemon_text(o, "certificate"));
		else if (!strcmp(expires, "soon"))
			printf("! %s: expires in %s; renew it\n",
			       daemon_text(o, "certificate"), expiry(b, o));
	}
}

/* Whether it is served as the file has it. */
static void print_wrong(const char *listener, struct json_object *proof)
{
	const char *state = daemon_text(proof, "state");

	if (!strcmp(state, "proven"))
		return;
	printf("! %s, %s: ", listener, daemon_text(proof, "certificate"));
	if (!strcmp(state, "stale"))
		printf("serves serial %s, and the file holds %s\n",
		       daemon_text(proof, "served-serial"),
		       daemon_text(proof, "file-serial"));
	else
		printf("%s\n", daemon_text(proof, "error"));
}

static void print_proofs(struct json_object *listeners, unsigned int width)
{
	static const struct column columns[] = {
		TEXT("LISTENER", 0, 0), TEXT("CERTIFICATE", 0, 0), TEXT("STATE", 0, 0),
		NUMBER("LOOKED AT", 1, 1), NUMBER("PROVEN", 1, 1),
	};
	char b[NUMBER_LEN], cell[NUMBER_LEN + 8];
	struct json_object *l, *p, *proofs;
	struct table *table;
	size_t i, j, count = 0;

	for (i = 0; i < length(listeners); i++)
		count += length(daemon_get(json_object_array_get_idx(listeners, i),
					   "proofs"));
	if (!count)
		return;
	table = table_new(columns, ARRAY_SIZE(columns));
	for (i = 0; i < length(listeners); i++) {
		l = json_object_array_get_idx(listeners, i);
		proofs = daemon_get(l, "proofs");
		for (j = 0; j < length(proofs); j++) {
			p = json_object_array_get_idx(proofs, j);
			table_add(table, daemon_text(l, "name"));
			table_add(table, daemon_text(p, "certificate"));
			table_add(table, daemon_text(p, "state"));
			snprintf(cell, sizeof(cell), "%s ago",
				 ago(b, daemon_number(p, "look-time")));
			table_add(table, cell);
			snprintf(cell, sizeof(cell), "%s ago",
				 ago(b, daemon_number(p, "proven-time")));
			table_add(table, daemon_get(p, "proven-time") ? cell : "never");
		}
	}
	printf("\n");
	table_print(table, width, 0);
	for (i = 0; i < length(listeners); i++) {
		l = json_object_array_get_idx(listeners, i);
		proofs = daemon_get(l, "proofs");
		for (j = 0; j < length(proofs); j++)
			print_wrong(daemon_text(l, "name"),
				    json_object_array_get_idx(proofs, j));
	}
}

static void print_processes(struct json_object *list, unsigned int width)
{
	static const struct column columns[] = {
		TEXT("PROCESS", 0, 0), NUMBER("PID", 0, 0), TEXT("STATE", 0, 0),
		NUMBER("AGE", 0, 0), NUMBER("REPLACED", 1, 1),
		NUMBER("OPEN", 1, 1), NUMBER("ACCEPTED", 1, 1),
	};
	struct table *table;
	char b[NUMBER_LEN * 2];
	size_t i;

	if (!length(list))
		return;
	table = table_new(columns, ARRAY_SIZE(columns));
	for (i = 0; i < length(list); i++) {
		struct json_object *o = json_object_array_get_idx(list, i);
		struct json_object *counters = daemon_get(o, "counters");

		if (daemon_get(o, "worker"))
			snprintf(b, sizeof(b), "worker %" PRIu64,
				 daemon_number(o, "worker"));
		else
			snprintf(b, sizeof(b), "%.20s", daemon_text(o, "role"));
		table_add(table, b);
		snprintf(b, sizeof(b), "%" PRIu64, daemon_number(o, "pid"));
		table_add(table, daemon_get(o, "pid") ? b : "-");
		table_add(table, daemon_text(o, "state"));
		table_add(table, daemon_get(o, "age") ?
			  format_duration(b, daemon_number(o, "age")) : "-");
		table_add(table, format_count(b, daemon_number(o, "replaced")));
		table_add(table, counters ?
			  format_count(b, daemon_number(counters, "connections")) : "-");
		table_add(table, counters ?
			  format_count(b, daemon_number(counters, "accepted")) : "-");
	}
	printf("\n");
	table_print(table, width, 0);
}

#define COUNTER_DOC(name, doc) { #name, doc },

static void print_counters(struct json_object *counters)
{
	static const struct {
		const char *name;
		const char *doc;
	} docs[] = {
		COUNTERS(COUNTER_DOC, COUNTER_DOC)
	};
	char name[64], label[96], b[NUMBER_LEN], *c;
	size_t i;

	printf("\n");
	for (i = 0; i < ARRAY_SIZE(docs); i++) {
		snprintf(name, sizeof(name), "%s", docs[i].name);
		for (c = name; *c; c++)
			if (*c == '_')
				*c = '-';
		snprintf(label, sizeof(label), "%-25s %7s  ", name,
			 format_count(b, daemon_number(counters, name)));
		print_wrapped(label, 35, docs[i].doc);
	}
}

static enum status status_text(struct json_object *o)
{
	unsigned int width, height;

	terminal_size(&width, &height);
	print_heading(o);
	print_listeners(daemon_get(o, "listeners"), width);
	print_certificates(daemon_get(o, "certificates"), width);
	print_proofs(daemon_get(o, "listeners"), width);
	print_processes(daemon_get(o, "processes"), width);
	print_counters(daemon_get(o, "counters"));
	return STATUS_OK;
}

static enum status metrics_text(struct json_object *o)
{
	struct json_object *text = daemon_get(o, "metrics");

	if (!json_object_is_type(text, json_type_string))
		return error(STATUS_FAILED, "this ktlsd has no metrics; it is an old one");
	fputs(json_object_get_string(text), stdout);
	return STATUS_OK;
}

static enum status reload_text(struct json_object *o)
{
	uint64_t reloads = daemon_number(o, "reloads");

	printf("the configuration is in force, %" PRIu64 " reload%s\n", reloads,
	       reloads == 1 ? "" : "s");
	return STATUS_OK;
}

static enum status drain_text(struct json_object *o)
{
	printf("ktlsd takes no new connections; it ends with the last one, or in %" PRIu64
	       " s\n", daemon_number(o, "timeout"));
	return STATUS_OK;
}

static const struct verb {
	const char *name;
	enum status (*text)(struct json_object *answer);
} verbs[] = {
	{ "status", status_text },
	{ "connections", NULL },
	{ "metrics", metrics_text },
	{ "reload", reload_text },
	{ "drain", drain_text },
};

enum status run_daemon(int argc, char **argv)
{
	const struct verb *verb = NULL;
	struct json_object *answer;
	enum status status;
	size_t i;

	for (i = 0; argc && i < ARRAY_SIZE(verbs); i++)
		if (!strcmp(verbs[i].name, argv[0]))
			verb = &verbs[i];
	if (!argc)
		return error(STATUS_USAGE,
			     "daemon wants to know what: status, connections, metrics, reload or drain");
	if (!verb)
		return error(STATUS_USAGE,
			     "daemon knows status, connections, metrics, reload and drain, not \"%s\"",
			     argv[0]);
	if (argc > 1)
		return error(STATUS_USAGE, "daemon %s takes no argument, not \"%s\"",
			     verb->name, argv[1]);
	status = daemon_ask(verb->name, &answer);
	if (!status)
		status = print_error(answer);
	if (status)
		goto out;
	if (!verb->text)
		status = daemon_connections(answer);
	else if (opt.json)
		json_print(json_object_get(answer));
	else
		status = verb->text(answer);
out:
	json_object_put(answer);
	return status;
}
