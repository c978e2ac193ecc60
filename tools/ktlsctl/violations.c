// SPDX-License-Identifier: GPL-2.0-or-later
/* ktlsctl policy check: sockets with a key that they would not get now. */
#include <errno.h>
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>

#include "ktlsctl.h"

static void add_both(struct table *table, const char *tx, const char *rx)
{
	char both[2 * NUMBER_LEN];

	if (!strcmp(tx, rx) || !strcmp(rx, "-")) {
		table_add(table, tx);
	} else if (!strcmp(tx, "-")) {
		table_add(table, rx);
	} else {
		snprintf(both, sizeof(both), "%s/%s", tx, rx);
		table_add(table, both);
	}
}

static void print_sockets(const struct sockets *sockets, unsigned int width)
{
	static const struct column columns[] = {
		TEXT("LOCAL", 0, 0), TEXT("REMOTE", 0, 0),
		TEXT("RULE", 1, 1), TEXT("TLS", 1, 1), TEXT("CIPHER", 1, 1),
		TEXT("TX", 1, 1), TEXT("RX", 1, 1), TEXT("USER", 1, 2),
		TEXT("PROCESS", 1, 2),
	};
	struct table *table = table_new(columns, ARRAY_SIZE(columns));
	char b[ADDR_LEN], c[NUMBER_LEN];
	size_t i;

	for (i = 0; i < sockets->count; i++) {
		const struct ktls_socket *s = &sockets->list[i];

		table_add(table, format_local(b, s));
		table_add(table, format_remote(b, s));
		if (s->rule > 0)
			snprintf(b, sizeof(b), "%d", s->rule);
		else
			strcpy(b, s->rule ? "?" : "default");
		table_add(table, b);
		add_both(table, format_version(b, s->tx.version),
			 format_version(c, s->rx.version));
		add_both(table, format_cipher(b, s->tx.cipher),
			 format_cipher(c, s->rx.cipher));
		table_add(table, format_mode(b, s->tx.mode));
		table_add(table, format_mode(b, s->rx.mode));
		table_add(table, format_user(b, s->uid));
		table_add(table, format_process(b, s));
	}
	table_print(table, width, 0);
}

/* The rules that are violated, or the default. */
static void print_rules(const struct sockets *sockets,
			const struct ktls_policy *policy, unsigned int width)
{
	bool violated[KTLS_RULES_MAX + 1] = { 0 };
	size_t i;

	for (i = 0; i < sockets->count; i++)
		if (sockets->list[i].rule >= 0 &&
		    sockets->list[i].rule <= KTLS_RULES_MAX)
			violated[sockets->list[i].rule] = true;
	printf("\nRULE     HITS  WHAT\n");
	for (i = 1; i <= policy->rules_count && i <= KTLS_RULES_MAX; i++)
		if (violated[i])
			print_rule(i, policy, width);
	if (violated[0])
		printf("default        %s\n",
		       ktls_action_name(policy->fallback) ?: "?");
}

static void print_text(const struct sockets *sockets,
		       const struct ktls_policy *policy)
{
	unsigned int width, height;

	terminal_size(&width, &height);
	if (!sockets->count) {
		printf("No open socket violates the policy.\n");
		return;
	}
	if (sockets->count == 1)
		printf("1 open socket violates the policy\n");
	else
		printf("%zu open sockets violate the policy\n", sockets->count);
	print_sockets(sockets, width);
	print_rules(sockets, policy, width);
	if (policy->dry_run)
		printf("The policy is a dry run: it would deny them, but does not.\n");
	else if (!opt.shutdown)
		printf("They keep their keys until they are closed; to end them now, type:\n"
		       "ktlsctl policy check --shutdown\n");
}

static void print_json(const struct sockets *sockets,
		       const struct destroyed *destroyed)
{
	struct json_object *o = json_object_new_object(), *inner;
	struct json_object *list = json_object_new_array();
	size_t i;

	for (i = 0; i < sockets->count; i++)
		json_object_array_add(list, json_socket(&sockets->list[i]));
	json_object_object_add(o, "sockets", list);
	if (destroyed) {
		inner = json_object_new_object();
		json_add_number(inner, "ended", destroyed->ended);
		json_add_number(inner, "gone", destroyed->gone);
		json_add_number(inner, "failed", destroyed->failed);
		json_object_object_add(o, "shutdown", inner);
	}
	json_print(o);
}

static enum status end_them(const struct sockets *sockets)
{
	struct destroyed d = { 0 };
	enum status status;

	status = destroy_sockets(sockets, &d);
	if (opt.json && !(status && !d.failed))
		print_json(sockets, &d);
	else if (!opt.json && sockets->count && !(status && !d.failed))
		printf("\n%zu ended, %zu closed meanwhile, %zu not ended\n",
		       d.ended, d.gone, d.failed);
	return status;
}

enum status check_sockets(struct ktls *ktls)
{
	const struct ktls_filter filter = { .match = KTLS_MATCH(VIOLATES) };
	const struct ktls_policy *policy;
	struct sockets sockets = { 0 };
	enum status status;

	/*
	 * First, also because a module that has no policy does not know the
	 * filter, and would bring all sockets.
	 */
	if (ktls_get_policy(ktls, &policy))
		return error_ktls(ktls);
	if (opt.shutdown && policy->dry_run)
		return error(STATUS_FAILED,
			     "the policy is a dry run, which is to do no harm; to mean it, type: ktlsctl policy dry-run off");
	status = read_sockets(ktls, &filter, &sockets);
	if (!status) {
		if (!opt.json)
			print_text(&sockets, policy);
		else if (!opt.shutdown)
			print_json(&sockets, NULL);
		if (opt.shutdown)
			status = end_them(&sockets);
		else if (sockets.count)
			status = STATUS_FOUND;
	}
	free_sockets(&sockets);
	return status;
}
