// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What goes to stdout.  Each structure has one function that makes JSON of it,
 * whichever command prints it.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ktlsctl.h"

void terminal_size(unsigned int *columns, unsigned int *rows)
{
	const char *env = getenv("COLUMNS");
	struct winsize size;
	uint64_t value;

	*columns = 0;
	*rows = 0;
	if (!ioctl(STDOUT_FILENO, TIOCGWINSZ, &size)) {
		/* A serial line does not know its own. */
		*columns = size.ws_col ?: 80;
		*rows = size.ws_row ?: 24;
	}
	/* For those who want a table in a file to be as wide as they say. */
	if (env && parse_number(env, 10000, &value) && value)
		*columns = value;
}

void print_wrapped(const char *label, unsigned int indent, const char *text)
{
	unsigned int width, height, column;
	bool begun = false;
	size_t len;

	terminal_size(&width, &height);
	column = printf("%-*s", (int)indent, label);
	for (; *text; begun = true) {
		len = strcspn(text, " ");
		if (begun && width && column + 1 + len > width) {
			printf("\n%*s", (int)indent, "");
			column = indent;
		} else if (begun) {
			putchar(' ');
			column++;
		}
		printf("%.*s", (int)len, text);
		column += len;
		text += len;
		text += *text == ' ';
	}
	putchar('\n');
}

bool flush(void)
{
	if (!fflush(stdout) && !ferror(stdout))
		return true;
	/* Who closed the pipe knows. */
	if (errno != EPIPE)
		fprintf(stderr, "ktlsctl: could not write the output: %s\n",
			strerror(errno));
	return false;
}

/* JSON is UTF-8, a command name is whatever bytes a program chose. */
struct json_object *json_string(const char *s)
{
	char clean[1024];
	size_t i = 0, n;

	while (*s && i < sizeof(clean) - 4) {
		unsigned char c = *s;

		n = c < 0x80 ? 1 : c >= 0xc2 && c < 0xe0 ? 2 :
		    (c & 0xf0) == 0xe0 ? 3 : c >= 0xf0 && c < 0xf5 ? 4 : 0;
		for (size_t k = 1; k < n; k++)
			if ((s[k] & 0xc0) != 0x80)
				n = 0;
		/* Overlong forms and surrogates. */
		if (n == 3 && ((c == 0xe0 && (unsigned char)s[1] < 0xa0) ||
			       (c == 0xed && (unsigned char)s[1] >= 0xa0)))
			n = 0;
		if (n == 4 && ((c == 0xf0 && (unsigned char)s[1] < 0x90) ||
			       (c == 0xf4 && (unsigned char)s[1] >= 0x90)))
			n = 0;
		if (!n) {
			clean[i++] = '?';
			s++;
			continue;
		}
		memcpy(clean + i, s, n);
		i += n;
		s += n;
	}
	return json_object_new_string_len(clean, i);
}

void json_add_number(struct json_object *o, const char *name, uint64_t value)
{
	json_object_object_add(o, name, json_object_new_uint64(value));
}

/* Of a value without a name in this program, the number. */
static void add_name(struct json_object *o, const char *key, const char *name,
		     uint64_t value)
{
	if (name)
		json_object_object_add(o, key, json_object_new_string(name));
	else
		json_add_number(o, key, value);
}

static void add_bits(struct json_object *o, const char *key, uint32_t bits,
		     const char *(*name_of)(unsigned int bit))
{
	struct json_object *list = json_object_new_array();
	unsigned int bit;

	for (bit = 1; bit; bit <<= 1) {
		const char *name;

		if (!(bits & bit))
			continue;
		name = name_of(bit);
		json_object_array_add(list, name ?
				      json_object_new_string(name) :
				      json_object_new_uint64(bit));
	}
	json_object_object_add(o, key, list);
}

void json_add_addr(struct json_object *o, const char *key, uint16_t family,
		     const uint8_t *addr)
{
	char text[INET6_ADDRSTRLEN];

	if (inet_ntop(family, addr, text, sizeof(text)))
		json_object_object_add(o, key, json_object_new_string(text));
}

static void add_if(struct json_object *o, const char *key, uint64_t value)
{
	if (value)
		json_add_number(o, key, value);
}

static struct json_object *json_stream(const struct ktls_stream *s, bool tx,
				       bool busy)
{
	struct json_object *o = json_object_new_object();

	add_name(o, "mode", ktls_mode_name(s->mode), s->mode);
	if (s->mode == KTLS_MODE_NONE)
		return o;
	add_name(o, "version", ktls_version_name(s->version), s->version);
	add_name(o, "cipher", ktls_cipher_name(s->cipher), s->cipher);
	if (!busy) {
		json_add_number(o, "records", s->records);
		json_add_number(o, "payload-bytes", s->payload_bytes);
		json_add_number(o, "wire-bytes", s->wire_bytes);
		if (tx)
			json_add_number(o, "control-records",
					s->control_records);
		json_add_number(o, "key-records", s->key_records);
	}
	json_add_number(o, "rekeys", s->rekeys);
	add_if(o, "last-error", s->last_error);
	add_if(o, "ifindex", s->ifindex);
	return o;
}

struct json_object *json_socket(const struct ktls_socket *s)
{
	struct json_object *o = json_object_new_object();
	bool busy = s->flags & KTLS_SOCKET_FLAGS_BUSY;

	json_add_number(o, "cookie", s->cookie);
	json_add_number(o, "family", s->family);
	json_add_addr(o, "local-addr", s->family, s->local_addr);
	json_add_addr(o, "remote-addr", s->family, s->remote_addr);
	json_add_number(o, "local-port", s->local_port);
	json_add_number(o, "remote-port", s->remote_port);
	add_if(o, "inode", s->inode);
	json_add_number(o, "uid", s->uid);
	add_if(o, "cgroup-id", s->cgroup_id);
	json_add_number(o, "netns", s->netns);
	add_if(o, "pid", s->pid);
	if (s->comm[0])
		json_object_object_add(o, "comm", json_string(s->comm));
	json_add_number(o, "install-time", s->install_time);
	add_if(o, "close-time", s->close_time);
	add_bits(o, "flags", s->flags, ktls_socket_flag_name);
	json_object_object_add(o, "tx", json_stream(&s->tx, true, busy));
	json_object_object_add(o, "rx", json_stream(&s->rx, false, busy));
	if (s->rule >= 0)
		json_add_number(o, "rule", s->rule);
	return o;
}

struct json_object *json_totals(const struct ktls_totals *t)
{
	struct json_object *o = json_object_new_object();

	add_name(o, "direction", ktls_direction_name(t->direction),
		 t->direction);
	add_name(o, "mode", ktls_mode_name(t->mode), t->mode);
	add_name(o, "version", ktls_version_name(t->version), t->version);
	add_name(o, "cipher", ktls_cipher_name(t->cipher), t->cipher);
	json_add_number(o, "open", t->open);
	json_add_number(o, "closed", t->closed);
	json_add_number(o, "busy", t->busy);
	json_add_number(o, "records", t->records);
	json_add_number(o, "payload-bytes", t->payload_bytes);
	json_add_number(o, "wire-bytes", t->wire_bytes);
	json_add_number(o, "control-records", t->control_records);
	json_add_number(o, "rekeys", t->rekeys);
	json_add_number(o, "errors", t->errors);
	return o;
}

struct json_object *json_module(const struct ktls_module *m)
{
	struct json_object *o = json_object_new_object();

	json_object_object_add(o, "version", json_string(m->version));
	add_bits(o, "armed", m->armed, ktls_hook_name);
	add_bits(o, "missing", m->missing, ktls_hook_name);
	json_add_number(o, "open", m->open);
	json_add_number(o, "closed", m->closed);
	json_add_number(o, "closed-limit", m->closed_limit);
	json_add_number(o, "lost-sockets", m->lost_sockets);
	json_add_number(o, "lost-events", m->lost_events);
	json_add_number(o, "load-time", m->load_time);
	json_add_number(o, "attempts", m->attempts);
	json_add_number(o, "attempts-limit", m->attempts_limit);
	json_add_number(o, "lost-attempts", m->lost_attempts);
	return o;
}

struct json_object *json_attempt(const struct ktls_attempt *t)
{
	struct json_object *o = json_object_new_object();

	json_add_number(o, "number", t->number);
	json_add_number(o, "time", t->time);
	add_name(o, "step", ktls_step_name(t->step), t->step);
	json_add_number(o, "errno", t->error);
	if (t->action >= 0)
		add_name(o, "action", ktls_action_name(t->action), t->action);
	add_if(o, "rule", t->rule);
	add_bits(o, "flags", t->flags, ktls_attempt_flag_name);
	/* Whatever the program gave, so as the specification has it. */
	add_if(o, "version", t->version);
	add_if(o, "cipher", t->cipher);
	if (t->mode != KTLS_MODE_NONE)
		add_name(o, "mode", ktls_mode_name(t->mode), t->mode);
	json_add_number(o, "cookie", t->cookie);
	json_add_number(o, "family", t->family);
	json_add_addr(o, "local-addr", t->family, t->local_addr);
	json_add_addr(o, "remote-addr", t->family, t->remote_addr);
	json_add_number(o, "local-port", t->local_port);
	json_add_number(o, "remote-port", t->remote_port);
	add_if(o, "inode", t->inode);
	json_add_number(o, "uid", t->uid);
	add_if(o, "cgroup-id", t->cgroup_id);
	json_add_number(o, "netns", t->netns);
	add_if(o, "pid", t->pid);
	if (t->comm[0])
		json_object_object_add(o, "comm", json_string(t->comm));
	return o;
}

struct json_object *json_outcome(const struct ktls_outcome *outcome)
{
	struct json_object *o = json_object_new_object();

	add_name(o, "step", ktls_step_name(outcome->step), outcome->step);
	json_add_number(o, "errno", outcome->error);
	json_add_number(o, "attempts", outcome->attempts);
	return o;
}

static void add_flag(struct json_object *o, const char *key)
{
	json_object_object_add(o, key, json_object_new_boolean(1));
}

static struct json_object *json_rule(const struct ktls_rule *r)
{
	struct json_object *o = json_object_new_object();
	uint32_t match = r->match;

	add_name(o, "action", ktls_action_name(r->action), r->action);
	if (match & KTLS_RULE_MATCH(ULP))
		add_flag(o, "ulp");
	if (match & KTLS_RULE_MATCH(DIRECTION))
		add_name(o, "direction", ktls_direction_name(r->direction),
			 r->direction);
	if (match & KTLS_RULE_MATCH(VERSION))
		add_name(o, "version", ktls_version_name(r->version),
			 r->version);
	if (match & KTLS_RULE_MATCH(CIPHER))
		add_name(o, "cipher", ktls_cipher_name(r->cipher), r->cipher);
	if (match & KTLS_RULE_MATCH(MODE))
		add_name(o, "mode", ktls_mode_name(r->mode), r->mode);
	if (match & KTLS_RULE_MATCH(UID))
		json_add_number(o, "uid", r->uid);
	if (match & KTLS_RULE_MATCH(CGROUP_ID))
		json_add_number(o, "cgroup-id", r->cgroup_id);
	if (match & KTLS_RULE_MATCH(PORT))
		json_add_number(o, "port", r->port);
	if (match & KTLS_RULE_MATCH(LOCAL_PORT))
		json_add_number(o, "local-port", r->local_port);
	if (match & KTLS_RULE_MATCH(REMOTE_PORT))
		json_add_number(o, "remote-port", r->remote_port);
	if (match & KTLS_RULE_MATCH(COMM))
		json_object_object_add(o, "comm", json_string(r->comm));
	json_add_number(o, "hits", r->hits);
	return o;
}

struct json_object *json_policy(const struct ktls_policy *p)
{
	struct json_object *o = json_object_new_object();
	struct json_object *list = json_object_new_array();
	size_t i;

	json_add_number(o, "generation", p->generation);
	add_name(o, "default", ktls_action_name(p->fallback), p->fallback);
	if (p->dry_run)
		add_flag(o, "dry-run");
	if (p->inherit)
		add_flag(o, "inherit");
	json_add_number(o, "hits", p->hits);
	for (i = 0; i < p->rules_count; i++)
		json_object_array_add(list, json_rule(&p->rules[i]));
	json_object_object_add(o, "rule", list);
	return o;
}

struct json_object *json_verdict(const struct ktls_verdict *v)
{
	struct json_object *o = json_object_new_object();

	add_name(o, "action", ktls_action_name(v->action), v->action);
	add_if(o, "rule", v->rule);
	add_bits(o, "flags", v->flags, ktls_attempt_flag_name);
	return o;
}

void json_print(struct json_object *object)
{
	int flags = JSON_C_TO_STRING_NOSLASHESCAPE;

	flags |= opt.pretty ? JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED :
			      JSON_C_TO_STRING_PLAIN;
	puts(json_object_to_json_string_ext(object, flags));
	json_object_put(object);
}
