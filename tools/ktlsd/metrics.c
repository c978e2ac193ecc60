// SPDX-License-Identifier: GPL-2.0-or-later
/* What monitoring is to see, as OpenMetrics: counters, expiry and proofs. */
#include <inttypes.h>
#include <json-c/json.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf.h"
#include "generation.h"
#include "ktlsd.h"
#include "metrics.h"
#include "settings.h"
#include "status.h"
#include "supervisor.h"

/* A time as seconds, from nanoseconds. */
#define SECONDS_FORMAT "%" PRIu64 ".%03" PRIu64
#define SECONDS(ns) ((ns) / 1000000000), ((ns) / 1000000 % 1000)

static void put_escaped(FILE *f, const char *text)
{
	for (; *text; text++) {
		if (*text == '\n') {
			fputs("\\n", f);
			continue;
		}
		if (*text == '\\' || *text == '"')
			fputc('\\', f);
		fputc(*text, f);
	}
}

static void put_family(FILE *f, const char *name, const char *type, const char *help)
{
	fprintf(f, "# TYPE ktlsd_%s %s\n# HELP ktlsd_%s ", name, type, name);
	put_escaped(f, help);
	fputc('\n', f);
}

static void put_counters(FILE *f, const struct supervisor *s)
{
	const struct counter *c;
	struct counters total;
	unsigned int i;

	status_counters(s, &total);
	for (i = 0; i < counters_count; i++) {
		c = &counters_table[i];
		put_family(f, c->name, c->gauge ? "gauge" : "counter", c->doc);
		fprintf(f, "ktlsd_%s%s %" PRIu64 "\n", c->name, c->gauge ? "" : "_total",
			counters_get(&total, c));
	}
}

/* @listener: %NULL of what is not a listener's. */
__attribute__((format(printf, 5, 6)))
static void put_sample(FILE *f, const char *name, const char *listener,
		       const char *certificate, const char *format, ...)
{
	va_list ap;

	fprintf(f, "ktlsd_%s{", name);
	if (listener) {
		fputs("listener=\"", f);
		put_escaped(f, listener);
		fputs("\",", f);
	}
	fputs("certificate=\"", f);
	put_escaped(f, certificate);
	fputs("\"} ", f);
	va_start(ap, format);
	vfprintf(f, format, ap);
	va_end(ap);
	fputc('\n', f);
}

/* The same certificate with another key has no other name. */
static bool is_named_before(const struct conf *conf, size_t identity)
{
	size_t i;

	for (i = 0; i < identity; i++)
		if (!strcmp(conf->identities[i].chain, conf->identities[identity].chain))
			return true;
	return false;
}

static void put_certificates(FILE *f, const struct generation *g)
{
	const struct conf *conf = g->conf;
	size_t i;

	put_family(f, "certificate_not_after_seconds", "gauge",
		   "when the certificate in use expires, in seconds since the epoch");
	for (i = 0; i < conf->identities_count; i++)
		if (g->identities[i].generation && !is_named_before(conf, i))
			put_sample(f, "certificate_not_after_seconds", NULL,
				   conf->identities[i].chain, "%" PRId64,
				   g->identities[i].not_after);
	put_family(f, "certificate_renewal_failed", "gauge",
		   "whether the files of now could not be loaded");
	for (i = 0; i < conf->identities_count; i++)
		if (!is_named_before(conf, i))
			put_sample(f, "certificate_renewal_failed", NULL,
				   conf->identities[i].chain, "%d",
				   !!g->identities[i].error[0]);
}

static void put_proofs(FILE *f, const struct generation *g, const char *name,
		       bool time)
{
	const struct conf *conf = g->conf;
	size_t i, j;

	for (i = 0; i < conf->listeners_count; i++) {
		const struct conf_listener *l = &conf->listeners[i];

		for (j = 0; j < l->identities_count; j++) {
			const struct proof *p = &g->proofs.of[i][j];
			const char *chain = conf->identities[l->identities[j]].chain;

			if (is_named_before(conf, l->identities[j]) || !p->known ||
			    p->last.state == PROOF_SKIPPED)
				continue;
			if (!time)
				put_sample(f, name, l->name, chain, "%d",
					   p->last.state == PROOF_OK);
			else if (p->proven)
				put_sample(f, name, l->name, chain, SECONDS_FORMAT,
					   SECONDS(p->proven));
		}
	}
}

static void put_supervisor(FILE *f, const struct supervisor *s)
{
	put_family(f, "build", "info", "the version");
	fprintf(f, "ktlsd_build_info{version=\"%s\"} 1\n", KTLSD_VERSION);
	put_family(f, "start_time_seconds", "gauge",
		   "when it was started, in seconds since the epoch");
	fprintf(f, "ktlsd_start_time_seconds " SECONDS_FORMAT "\n", SECONDS(s->started));
	put_family(f, "reloads", "counter", "new configurations");
	fprintf(f, "ktlsd_reloads_total %u\n", s->reloads);
	put_family(f, "reload_failed", "gauge", "whether the last reload did");
	fprintf(f, "ktlsd_reload_failed %d\n", !!s->failure);
}

struct json_object *metrics_json(const struct supervisor *s)
{
	struct json_object *o = json_object_new_object();
	size_t len;
	char *text;
	FILE *f = must(open_memstream(&text, &len));

	put_supervisor(f, s);
	put_counters(f, s);
	if (s->current) {
		put_certificates(f, s->current);
		put_family(f, "proof_ok", "gauge",
			   "whether a listener serves the certificate that the file holds");
		put_proofs(f, s->current, "proof_ok", false);
		put_family(f, "proof_time_seconds", "gauge",
			   "when that was so the last time, in seconds since the epoch");
		put_proofs(f, s->current, "proof_time_seconds", true);
	}
	fputs("# EOF\n", f);
	fclose(f);
	json_object_object_add(o, "metrics", status_string(text, len));
	free(text);
	return o;
}
