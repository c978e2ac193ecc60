// SPDX-License-Identifier: GPL-2.0-or-later
/* A rule of a policy in words: "deny rx version 1.3 uid www-data". */
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ktlsctl.h"

static const struct {
	const char *key;
	uint32_t bit;
} keys[] = {
	{ "version", KTLS_RULE_MATCH(VERSION) },
	{ "cipher", KTLS_RULE_MATCH(CIPHER) },
	{ "mode", KTLS_RULE_MATCH(MODE) },
	{ "uid", KTLS_RULE_MATCH(UID) },
	{ "cgroup", KTLS_RULE_MATCH(CGROUP_ID) },
	{ "port", KTLS_RULE_MATCH(PORT) },
	{ "sport", KTLS_RULE_MATCH(LOCAL_PORT) },
	{ "dport", KTLS_RULE_MATCH(REMOTE_PORT) },
	{ "comm", KTLS_RULE_MATCH(COMM) },
};

static bool parse_value(uint32_t bit, const char *key, const char *word,
			struct ktls_rule *r, struct wrong *w)
{
	switch (bit) {
	case KTLS_RULE_MATCH(VERSION):
		return parse_version(w, word, &r->version);
	case KTLS_RULE_MATCH(CIPHER):
		return parse_cipher(w, word, &r->cipher);
	case KTLS_RULE_MATCH(MODE):
		return parse_mode(w, word, false, &r->mode);
	case KTLS_RULE_MATCH(UID):
		return parse_user(w, word, &r->uid);
	case KTLS_RULE_MATCH(CGROUP_ID):
		return parse_cgroup(w, word, &r->cgroup_id);
	case KTLS_RULE_MATCH(PORT):
		return parse_port(w, key, word, &r->port);
	case KTLS_RULE_MATCH(LOCAL_PORT):
		return parse_port(w, key, word, &r->local_port);
	case KTLS_RULE_MATCH(REMOTE_PORT):
		return parse_port(w, key, word, &r->remote_port);
	case KTLS_RULE_MATCH(COMM):
		return parse_comm(w, word, r->comm);
	}
	return false;
}

/* "ulp", "tx" or "rx"; false if it is none of them. */
static bool parse_object(const char *word, struct ktls_rule *r)
{
	if (!strcmp(word, "ulp"))
		r->match |= KTLS_RULE_MATCH(ULP);
	else if (!strcmp(word, "tx") || !strcmp(word, "rx"))
		r->match |= KTLS_RULE_MATCH(DIRECTION);
	else
		return false;
	if (*word == 'r')
		r->direction = KTLS_DIRECTION_RX;
	return true;
}

bool parse_rule(int argc, char **argv, struct ktls_rule *r, struct wrong *w)
{
	const uint32_t objects = KTLS_RULE_MATCH(ULP) |
				 KTLS_RULE_MATCH(DIRECTION);
	const uint32_t of_keys = KTLS_RULE_MATCH(VERSION) |
				 KTLS_RULE_MATCH(CIPHER) |
				 KTLS_RULE_MATCH(MODE);
	size_t k;
	int i;

	memset(r, 0, sizeof(*r));
	if (!argc)
		return wrong(w, "a rule begins with allow, deny or audit");
	for (k = KTLS_ACTION_ALLOW; k <= KTLS_ACTION_AUDIT; k++)
		if (!strcmp(argv[0], ktls_action_name(k)))
			break;
	if (k > KTLS_ACTION_AUDIT)
		return wrong(w, "a rule begins with allow, deny or audit, not with \"%s\"",
			     argv[0]);
	r->action = k;

	for (i = 1; i < argc; i++) {
		uint32_t before = r->match;

		if (parse_object(argv[i], r)) {
			if (before & objects)
				return wrong(w, "\"%s\": a rule is about one of ulp, tx and rx, or without them about all keys",
					     argv[i]);
			continue;
		}
		for (k = 0; k < ARRAY_SIZE(keys); k++)
			if (!strcmp(argv[i], keys[k].key))
				break;
		if (k == ARRAY_SIZE(keys))
			return wrong(w, "\"%s\" is nothing that a rule knows; it knows ulp, tx, rx, version, cipher, mode, uid, cgroup, port, sport, dport and comm",
				     argv[i]);
		if (r->match & keys[k].bit)
			return wrong(w, "%s is given twice", argv[i]);
		if (i + 1 == argc)
			return wrong(w, "%s wants a value", argv[i]);
		r->match |= keys[k].bit;
		if (!parse_value(keys[k].bit, argv[i], argv[i + 1], r, w))
			return false;
		i++;
	}
	if (r->match & KTLS_RULE_MATCH(ULP) && r->match & of_keys)
		return wrong(w, "version, cipher and mode are not known yet when TLS is attached (ulp); leave them out, or ulp");
	return true;
}

static bool is_plain(const char *s)
{
	/* A quote or # within a word is an ordinary character. */
	if (!*s || *s == '#' || *s == '"')
		return false;
	for (; *s; s++)
		if ((unsigned char)*s <= ' ' || (unsigned char)*s >= 0x7f)
			return false;
	return true;
}

static void print_word(FILE *f, const char *s)
{
	if (is_plain(s)) {
		fputs(s, f);
		return;
	}
	fputc('"', f);
	for (; *s; s++) {
		if (*s == '"' || *s == '\\')
			fprintf(f, "\\%c", *s);
		else if ((unsigned char)*s < ' ' || (unsigned char)*s >= 0x7f)
			fprintf(f, "\\x%02x", (unsigned char)*s);
		else
			fputc(*s, f);
	}
	fputc('"', f);
}

/* A name only if it is read back as the same number. */
static void print_user(FILE *f, uint32_t uid)
{
	const struct passwd *user = getpwuid(uid);
	struct wrong unused;
	char name[256];
	uint32_t back;

	if (user && strlen(user->pw_name) < sizeof(name)) {
		strcpy(name, user->pw_name);
		if (is_plain(name) && parse_user(&unused, name, &back) &&
		    back == uid) {
			fputs(name, f);
			return;
		}
	}
	fprintf(f, "%u", uid);
}

static void print_cgroup(FILE *f, uint64_t id)
{
	struct wrong unused;
	char path[PATH_MAX];
	uint64_t back;

	if (cgroup_path(id, path, sizeof(path)) &&
	    parse_cgroup(&unused, path, &back) && back == id)
		print_word(f, path);
	else
		fprintf(f, "%llu", (unsigned long long)id);
}

char *rule_text(const struct ktls_rule *r)
{
	char *text = NULL, b[NUMBER_LEN];
	uint32_t match = r->match;
	size_t size;
	FILE *f;

	f = open_memstream(&text, &size);
	if (!f)
		return NULL;
	fputs(ktls_action_name(r->action) ?: "?", f);
	if (match & KTLS_RULE_MATCH(ULP))
		fputs(" ulp", f);
	if (match & KTLS_RULE_MATCH(DIRECTION))
		fprintf(f, " %s", ktls_direction_name(r->direction) ?: "?");
	if (match & KTLS_RULE_MATCH(VERSION))
		fprintf(f, " version %s", format_version(b, r->version));
	if (match & KTLS_RULE_MATCH(CIPHER))
		fprintf(f, " cipher %s", format_cipher(b, r->cipher));
	if (match & KTLS_RULE_MATCH(MODE))
		fprintf(f, " mode %s", format_mode(b, r->mode));
	if (match & KTLS_RULE_MATCH(UID)) {
		fputs(" uid ", f);
		print_user(f, r->uid);
	}
	if (match & KTLS_RULE_MATCH(CGROUP_ID)) {
		fputs(" cgroup ", f);
		print_cgroup(f, r->cgroup_id);
	}
	if (match & KTLS_RULE_MATCH(PORT))
		fprintf(f, " port %u", r->port);
	if (match & KTLS_RULE_MATCH(LOCAL_PORT))
		fprintf(f, " sport %u", r->local_port);
	if (match & KTLS_RULE_MATCH(REMOTE_PORT))
		fprintf(f, " dport %u", r->remote_port);
	if (match & KTLS_RULE_MATCH(COMM)) {
		fputs(" comm ", f);
		print_word(f, r->comm);
	}
	/* parse_rule() does not know it either. */
	if (match & KTLS_RULE_UNKNOWN)
		fputs(" (and more, of a later module)", f);
	if (fclose(f)) {
		free(text);
		return NULL;
	}
	return text;
}
