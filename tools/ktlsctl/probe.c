// SPDX-License-Identifier: GPL-2.0-or-later
/* ktlsctl probe: what a server negotiates, and what this host could do with it. */
#include <errno.h>
#include <json-c/json.h>
#include <openssl/ssl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "probe.h"

#define DEFAULT_TIMEOUT 10
#define FIELD 16	/* where the text of a field begins */

const char probe_details[] =
	"Shakes hands with the server: once as OpenSSL does by itself, then with each\n"
	"version and cipher of kernel TLS alone. Each that the server takes is judged\n"
	"by what the kernel and OpenSSL of this host can do, for sending (TX) and\n"
	"receiving (RX); that is found out by trying, on loopback, without privileges.\n"
	"So it is best typed where the server runs. PORT is 443 if not given; an IPv6\n"
	"address is written in brackets: [2001:db8::1]:443.\n"
	"\n"
	"Exit status: 0 if the default handshake qualifies in both directions, 3 if\n"
	"not, 1 if there was no TLS handshake.\n";

/* Of one handshake, for each direction. */
struct judgement {
	enum answer answer[DIRECTIONS];
	char why[DIRECTIONS][WHY_LEN];
};

struct probe {
	struct question question;
	struct address address;
	struct capability capabilities[SUITES];
	/* With what libssl asks for by itself, or else with all it knows. */
	struct negotiation first;
	struct judgement first_judgement;
	char refusal[FAILURE_LEN];	/* of the former, if so */
	struct negotiation each[SUITES];
	struct judgement judgement[SUITES];
};

enum status make_question(const char *endpoint, struct question *q)
{
	enum status status;
	SSL_CTX *ctx;
	bool good;

	memset(q, 0, sizeof(*q));
	if (opt.ipv4 && opt.ipv6)
		return error(STATUS_USAGE,
			     "-4 and -6 do not go together; without them, both are tried");
	status = parse_endpoint(endpoint, &q->endpoint);
	if (status)
		return status;
	if (opt.alpn) {
		status = parse_alpn(opt.alpn, q);
		if (status)
			return status;
	}
	if (opt.sni && strlen(opt.sni) > 255)
		return error(STATUS_USAGE,
			     "--sni takes a name of at most 255 letters");
	q->family = opt.ipv4 ? AF_INET : opt.ipv6 ? AF_INET6 : AF_UNSPEC;
	/* By its standard, a name, never an address. */
	q->sni = opt.sni ?: q->endpoint.is_address ? "" : q->endpoint.host;
	q->timeout = opt.timeout ?: DEFAULT_TIMEOUT;
	q->ca = opt.ca;
	if (!q->ca)
		return STATUS_OK;
	if (access(q->ca, R_OK))
		return error(STATUS_FAILED, "--ca: could not read %s: %s",
			     q->ca, strerror(errno));
	ctx = SSL_CTX_new(TLS_client_method());
	good = ctx && SSL_CTX_load_verify_file(ctx, q->ca);
	SSL_CTX_free(ctx);
	if (!good)
		return error(STATUS_FAILED,
			     "--ca: %s has no certificates in PEM form", q->ca);
	return STATUS_OK;
}

static void judge_both(const struct negotiation *n,
		       const struct capability all[SUITES],
		       struct judgement *j)
{
	int i;

	for (i = 0; n->done && i < DIRECTIONS; i++)
		j->answer[i] = judge(n, all, i, j->why[i]);
}

static bool qualifies(const struct judgement *j)
{
	return j->answer[KTLS_DIRECTION_TX] == ANSWER_YES &&
	       j->answer[KTLS_DIRECTION_RX] == ANSWER_YES;
}

/* Text */

__attribute__((format(printf, 2, 3)))
static void field(const char *label, const char *format, ...)
{
	char text[2048], padded[FIELD + 1];
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	snprintf(padded, sizeof(padded), "  %-13s ", label);
	print_wrapped(padded, FIELD, text);
}

static void print_judgement(const char *label, const struct judgement *j,
			    int direction)
{
	switch (j->answer[direction]) {
	case ANSWER_YES:
		field(label, "qualifies for kernel TLS");
		return;
	case ANSWER_NO:
		field(label, "does not qualify: %s", j->why[direction]);
		return;
	case ANSWER_UNKNOWN:
		field(label, "unknown: %s", j->why[direction]);
	}
}

static void print_first(const struct probe *p)
{
	const struct negotiation *n = &p->first;
	char tx[NUMBER_LEN], rx[NUMBER_LEN];

	printf(*p->refusal ? "Handshake with all that OpenSSL knows\n" :
			     "Default handshake\n");
	if (*p->refusal)
		field("the default", "%s", p->refusal);
	field("version", "%s", n->version_name);
	field("cipher", "%s", n->suite);
	field("group", "%s", *n->group ? n->group : "none");
	field("SNI", "%s", *p->question.sni ? p->question.sni : "none sent");
	field("ALPN", "%s", *n->alpn ? n->alpn : p->question.alpn_len ?
	      "the server chose none" : "none offered");
	field("compression", "%s", *n->compression ? n->compression : "none");
	if (!n->tickets)
		field("tickets", "none came");
	else if (n->ticket_seconds)
		field("tickets", "%u, good for %lu s", n->tickets,
		      n->ticket_seconds);
	else
		field("tickets", "%u", n->tickets);
	print_judgement("TX", &p->first_judgement, KTLS_DIRECTION_TX);
	print_judgement("RX", &p->first_judgement, KTLS_DIRECTION_RX);
	switch (n->end.state) {
	case END_ELSEWHERE:
		break;
	case END_HIDDEN:
		field("server's end", "on this host; whether it was on kernel TLS, root can see with ktls.ko");
		break;
	case END_IN_USER_SPACE:
		field("server's end", "not on kernel TLS in this network namespace (ktls.ko): the server did not ask for it, or runs in another namespace");
		break;
	case END_IN_KERNEL:
		field("server's end", "on kernel TLS: TX %s, RX %s (ktls.ko)",
		      format_mode(tx, n->end.mode[KTLS_DIRECTION_TX]),
		      format_mode(rx, n->end.mode[KTLS_DIRECTION_RX]));
	}
}

static void print_chain(const struct chain *chain)
{
	char from[TIME_LEN], to[TIME_LEN], label[NUMBER_LEN];
	uint64_t now = now_ns() / 1000000000;
	size_t i;

	printf("\nCertificates\n");
	for (i = 0; i < chain->count; i++) {
		const struct certificate *c = &chain->list[i];

		snprintf(label, sizeof(label), "%zu subject", i);
		field(label, "%s", c->subject);
		field("  issuer", "%s", c->issuer);
		field("  valid", "%s to %s%s",
		      format_seconds(from, c->not_before),
		      format_seconds(to, c->not_after),
		      c->not_after < (int64_t)now ? ": expired" :
		      c->not_before > (int64_t)now ? ": not yet" : "");
	}
	if (!chain->count) {
		field("chain", "the server sent none");
		return;
	}
	field("names", "%s", chain->names ?: "none (no subjectAltName)");
	field("verification", "%ld (%s)", chain->verify,
	      verify_text(chain->verify));
	field("name check", "%s %s", chain->name_matches ?
	      "it is good for" : "it is not good for", chain->name);
}

/* Reasons that are said below the table, each once. */
struct notes {
	const char *text[SUITES * (DIRECTIONS + 1)];
	size_t count;
};

static void add_note(struct notes *notes, const char *text, char *cell,
		     size_t size)
{
	size_t i, len = strlen(cell);

	for (i = 0; i < notes->count; i++)
		if (!strcmp(notes->text[i], text))
			break;
	if (i == notes->count)
		notes->text[notes->count++] = text;
	snprintf(cell + len, size - len, "%s%zu", len ? "," : "", i + 1);
}

static const char *server_answer(const struct negotiation *n)
{
	return n->done ? "yes" : n->refused ? "no" : "unknown";
}

static void print_each(const struct probe *p)
{
	static const struct column columns[] = {
		TEXT("TLS", 0, 0), TEXT("CIPHER", 0, 0), TEXT("SERVER", 0, 0),
		TEXT("TX", 0, 0), TEXT("RX", 0, 0), TEXT("WHY", 1, 1),
		TEXT("SUITE", 1, 1),
	};
	struct table *table = table_new(columns, ARRAY_SIZE(columns));
	unsigned int width, height;
	struct notes notes = { 0 };
	char b[NUMBER_LEN];
	size_t i;
	int d;

	printf("\nEach version and cipher of kernel TLS alone\n");
	for (i = 0; i < SUITES; i++) {
		const struct negotiation *n = &p->each[i];
		const struct judgement *j = &p->judgement[i];
		char why[NUMBER_LEN] = "";

		table_add(table, format_version(b, suites[i].version));
		table_add(table, format_cipher(b, suites[i].cipher));
		table_add(table, server_answer(n));
		for (d = 0; d < DIRECTIONS; d++) {
			table_add(table, n->done ? answer_name(j->answer[d]) :
						   "-");
			if (n->done && *j->why[d] &&
			    (!d || strcmp(j->why[0], j->why[d])))
				add_note(&notes, j->why[d], why, sizeof(why));
		}
		/* That it refused is what the column says. */
		if (!n->done && !n->refused)
			add_note(&notes, n->failure, why, sizeof(why));
		table_add(table, *why ? why : "-");
		table_add(table, n->done ? n->suite : "-");
	}
	terminal_size(&width, &height);
	table_print(table, width, 0);
	for (i = 0; i < notes.count; i++) {
		snprintf(b, sizeof(b), "%zu ", i + 1);
		print_wrapped(b, 3, notes.text[i]);
	}
}

static void host_name(char *buffer, size_t size)
{
	struct utsname uts;
	char b[NUMBER_LEN];

	if (uname(&uts))
		snprintf(uts.release, sizeof(uts.release), "?");
	snprintf(buffer, size, "Linux %s and %s", uts.release,
		 libssl_version(b));
}

static void print_text(const struct probe *p)
{
	const enum answer *a = p->first_judgement.answer;
	char host[128], text[512];

	printf("%s port %u at %s\n\n", p->question.endpoint.host,
	       p->question.endpoint.port, p->address.text);
	print_first(p);
	print_chain(&p->first.chain);
	print_each(p);
	host_name(host, sizeof(host));
	snprintf(text, sizeof(text),
		 "%s: with %s, what the server negotiates%s qualifies for kernel TLS %s.",
		 qualifies(&p->first_judgement) ? "Yes" : "No", host,
		 *p->refusal ? "" : " by default",
		 qualifies(&p->first_judgement) ? "in both directions" :
		 a[KTLS_DIRECTION_TX] == ANSWER_YES ? "for sending (TX) only" :
		 a[KTLS_DIRECTION_RX] == ANSWER_YES ? "for receiving (RX) only" :
		 "in neither direction");
	putchar('\n');
	print_wrapped("", 0, text);
	if (p->first.end.state <= END_HIDDEN &&
	    (a[KTLS_DIRECTION_TX] == ANSWER_YES ||
	     a[KTLS_DIRECTION_RX] == ANSWER_YES))
		print_wrapped("", 0,
			      "Whether the server asks for it is seen where it runs: ktlsctl stats");
}

/* JSON */

static void add_string(struct json_object *o, const char *key, const char *s)
{
	json_object_object_add(o, key, json_string(s));
}

static void add_judgement(struct json_object *o, const struct judgement *j)
{
	int i;

	for (i = 0; i < DIRECTIONS; i++) {
		struct json_object *d = json_object_new_object();

		add_string(d, "qualifies", answer_name(j->answer[i]));
		if (*j->why[i])
			add_string(d, "why", j->why[i]);
		json_object_object_add(o, ktls_direction_name(i), d);
	}
}

static struct json_object *json_chain(const struct chain *chain)
{
	struct json_object *o = json_object_new_object();
	struct json_object *list = json_object_new_array();
	size_t i;

	for (i = 0; i < chain->count; i++) {
		const struct certificate *c = &chain->list[i];
		struct json_object *item = json_object_new_object();

		add_string(item, "subject", c->subject);
		add_string(item, "issuer", c->issuer);
		json_object_object_add(item, "not-before",
				       json_object_new_int64(c->not_before));
		json_object_object_add(item, "not-after",
				       json_object_new_int64(c->not_after));
		json_object_array_add(list, item);
	}
	json_object_object_add(o, "chain", list);
	if (chain->names)
		add_string(o, "names", chain->names);
	json_object_object_add(o, "verify",
			       json_object_new_int64(chain->verify));
	add_string(o, "verify-text", verify_text(chain->verify));
	add_string(o, "name", chain->name);
	json_object_object_add(o, "name-matches",
			       json_object_new_boolean(chain->name_matches));
	return o;
}

static struct json_object *json_first(const struct probe *p)
{
	const struct negotiation *n = &p->first;
	struct json_object *o = json_object_new_object();
	char b[NUMBER_LEN];
	int i;

	if (*p->refusal)
		add_string(o, "default-refused", p->refusal);
	add_string(o, "version", n->version_name);
	if (n->cipher)
		add_string(o, "cipher", ktls_cipher_name(n->cipher));
	add_string(o, "suite", n->suite);
	if (*n->group)
		add_string(o, "group", n->group);
	if (*p->question.sni)
		add_string(o, "sni", p->question.sni);
	if (*n->alpn)
		add_string(o, "alpn", n->alpn);
	if (*n->compression)
		add_string(o, "compression", n->compression);
	json_add_number(o, "tickets", n->tickets);
	if (n->tickets)
		json_add_number(o, "ticket-seconds", n->ticket_seconds);
	add_judgement(o, &p->first_judgement);
	json_object_object_add(o, "certificates", json_chain(&n->chain));
	if (n->end.state >= END_IN_USER_SPACE) {
		struct json_object *end = json_object_new_object();

		for (i = 0; i < DIRECTIONS; i++)
			add_string(end, ktls_direction_name(i),
				   format_mode(b, n->end.mode[i]));
		json_object_object_add(o, "server-end", end);
	}
	return o;
}

static struct json_object *json_each(const struct probe *p)
{
	struct json_object *list = json_object_new_array();
	size_t i;

	for (i = 0; i < SUITES; i++) {
		const struct negotiation *n = &p->each[i];
		struct json_object *o = json_object_new_object();

		add_string(o, "version", ktls_version_name(suites[i].version));
		add_string(o, "cipher", ktls_cipher_name(suites[i].cipher));
		add_string(o, "server", server_answer(n));
		if (n->done) {
			add_string(o, "suite", n->suite);
			add_judgement(o, &p->judgement[i]);
		} else {
			add_string(o, "failure", n->failure);
		}
		json_object_array_add(list, o);
	}
	return list;
}

static void print_json(const struct probe *p)
{
	struct json_object *o = json_object_new_object();
	struct utsname uts;
	char b[NUMBER_LEN];

	add_string(o, "host", p->question.endpoint.host);
	json_add_number(o, "port", p->question.endpoint.port);
	add_string(o, "address", p->address.text);
	add_string(o, "libssl", libssl_version(b));
	if (!uname(&uts))
		add_string(o, "kernel", uts.release);
	json_object_object_add(o, "default", json_first(p));
	json_object_object_add(o, "each", json_each(p));
	json_object_object_add(o, "qualifies", json_object_new_boolean(
			       !*p->refusal && qualifies(&p->first_judgement)));
	json_print(o);
}

/* What libssl asks for by itself; if that comes to nothing, all it knows. */
static enum status ask_first(struct probe *p)
{
	negotiate(&p->question, NULL, false, &p->address, &p->first);
	if (p->first.done)
		return STATUS_OK;
	if (!p->first.refused && !p->first.disliked)
		return error(STATUS_FAILED, "%s", p->first.failure);
	memcpy(p->refusal, p->first.failure, sizeof(p->refusal));
	negotiate(&p->question, NULL, true, &p->address, &p->first);
	if (!p->first.done)
		return error(STATUS_FAILED, "%s", p->refusal);
	return STATUS_OK;
}

static enum status probe(struct probe *p)
{
	enum status status = ask_first(p);
	size_t i;

	if (status)
		return status;
	try_capabilities(p->capabilities);
	judge_both(&p->first, p->capabilities, &p->first_judgement);
	for (i = 0; i < SUITES; i++) {
		negotiate(&p->question, &suites[i], false, &p->address,
			  &p->each[i]);
		judge_both(&p->each[i], p->capabilities, &p->judgement[i]);
	}
	if (opt.json)
		print_json(p);
	else
		print_text(p);
	return !*p->refusal && qualifies(&p->first_judgement) ? STATUS_OK :
								STATUS_FOUND;
}

enum status run_probe(int argc, char **argv)
{
	enum status status;
	struct probe *p;

	if (argc != 1)
		return error(STATUS_USAGE,
			     "probe wants one server: example.org, 192.0.2.1:8443 or [2001:db8::1]:443");
	p = calloc(1, sizeof(*p));
	if (!p)
		return error(STATUS_FAILED, "out of memory");
	status = make_question(argv[0], &p->question);
	if (!status)
		status = enter_netns();
	if (!status)
		status = probe(p);
	free_negotiation(&p->first);
	free(p);
	return status;
}
