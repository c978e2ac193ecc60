// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What may stand next on a command line, for the completion of shells.  What is
 * no word of ours, as the name of a file, is left to the shell.
 */
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host.h"

static const char *typed;

static void offer(const char *word)
{
	if (!strncmp(word, typed, strlen(typed)))
		puts(word);
}

static void offer_all(const char *const *words)
{
	for (; *words; words++)
		offer(*words);
}

static const char *const verbs[] = {
	"show", "load", "save", "add", "del", "default", "dry-run", "reset",
	"check", "test", NULL,
};
static const char *const actions[] = { "allow", "deny", "audit", NULL };
static const char *const daemon_verbs[] = {
	"status", "connections", "metrics", "reload", "drain", NULL,
};
static const char *const on_off[] = { "on", "off", NULL };
static const char *const steps[] = {
	"ulp", "tx", "rx", "rekey-tx", "rekey-rx", NULL,
};
static const char *const modes[] = { "sw", "hw", NULL };
static const char *const versions[] = { "1.2", "1.3", NULL };

static const char *const filter_keys[] = {
	"port", "sport", "dport", "mode", "version", "cipher", "pid", "uid",
	"cgroup", NULL,
};
static const char *const directions[] = { "tx", "rx", NULL };
static const char *const attempt_keys[] = {
	"step", "errno", "action", "port", "sport", "dport", "version",
	"cipher", "pid", "uid", "cgroup", "comm", NULL,
};
static const char *const rule_keys[] = {
	"version", "cipher", "mode", "uid", "cgroup", "port", "sport", "dport",
	"comm", NULL,
};
static const char *const rule_objects[] = { "ulp", "tx", "rx", NULL };
static const char *const question_keys[] = {
	"version", "cipher", "mode", "uid", "cgroup", "sport", "dport", "comm",
	NULL,
};

static bool is_in(const char *const *words, const char *word)
{
	for (; *words; words++)
		if (!strcmp(*words, word))
			return true;
	return false;
}

static void offer_users(void)
{
	const struct passwd *user;

	setpwent();
	while ((user = getpwent()))
		offer(user->pw_name);
	endpwent();
}

static void offer_values(const char *key)
{
	unsigned int i;
	const char *name;

	if (!strcmp(key, "mode")) {
		offer_all(modes);
	} else if (!strcmp(key, "version")) {
		offer_all(versions);
	} else if (!strcmp(key, "step")) {
		offer_all(steps);
	} else if (!strcmp(key, "action")) {
		offer_all(actions);
	} else if (!strcmp(key, "uid")) {
		offer_users();
	} else if (!strcmp(key, "cipher")) {
		for (i = KTLS_CIPHER_AES_GCM_128; ktls_cipher_name(i); i++)
			offer(ktls_cipher_name(i));
	} else if (!strcmp(key, "errno")) {
		offer("ok");
		for (i = 1; i < OTHER_ERRNO; i++) {
			name = strerrorname_np(i);
			if (name)
				offer(name);
		}
	}
}

/* Pairs of key and value, and words that stand alone, up to the last. */
static void complete_pairs(int argc, char **argv, const char *const *keys,
			   const char *const *alone)
{
	int i;

	for (i = 0; i < argc - 1; i++) {
		if (!is_in(keys, argv[i]))
			continue;
		if (i == argc - 2) {
			offer_values(argv[i]);
			return;
		}
		i++;
	}
	offer_all(keys);
	if (alone)
		offer_all(alone);
}

static bool is_number(const char *s)
{
	uint64_t unused;

	return parse_number(s, UINT64_MAX, &unused);
}

static void complete_policy(int argc, char **argv)
{
	const char *verb = argv[0];

	if (argc == 1) {
		offer_all(verbs);
	} else if (!strcmp(verb, "default") && argc == 2) {
		offer_all(actions);
	} else if (!strcmp(verb, "dry-run") && argc == 2) {
		offer_all(on_off);
	} else if (!strcmp(verb, "test")) {
		if (argc == 2)
			offer_all(steps);
		else
			complete_pairs(argc - 2, argv + 2, question_keys, NULL);
	} else if (!strcmp(verb, "add")) {
		if (argc > 2 && is_number(argv[1])) {
			argc--;
			argv++;
		}
		if (argc == 2)
			offer_all(actions);
		else
			complete_pairs(argc - 2, argv + 2, rule_keys,
				       rule_objects);
	}
}

/* A word for the shell; the names of many kernel threads are none. */
static bool is_word(const char *comm)
{
	size_t i;

	for (i = 0; comm[i]; i++)
		if (comm[i] <= ' ' || comm[i] > '~' || comm[i] == '/')
			return false;
	return i;
}

static void offer_commands(void)
{
	char comm[KTLS_COMM_LEN];
	unsigned int *pids;
	size_t i, count;

	pids = list_processes(&count);
	for (i = 0; pids && i < count; i++)
		if (read_comm(pids[i], comm) && is_word(comm))
			offer(comm);
	free(pids);
}

static void complete_target(int argc, char **argv)
{
	(void)argv;
	if (argc != 1)
		return;
	offer("pid");
	offer("cookie");
	/* Only names that begin so: nobody wants a list of all processes. */
	if (*typed)
		offer_commands();
}

static void complete_words(int argc, char **argv)
{
	const struct command *c;
	size_t i;

	if (argc == 1 || !strcmp(argv[0], "help")) {
		for (i = 0; argc <= 2 && (c = command_at(i)); i++)
			offer(c->name);
		return;
	}
	if (!strcmp(argv[0], "policy"))
		complete_policy(argc - 1, argv + 1);
	else if (!strcmp(argv[0], "daemon") && argc == 2)
		offer_all(daemon_verbs);
	else if (!strcmp(argv[0], "why"))
		complete_target(argc - 1, argv + 1);
	else if (!strcmp(argv[0], "attempts"))
		complete_pairs(argc - 1, argv + 1, attempt_keys, NULL);
	else if (!strcmp(argv[0], "stats") || !strcmp(argv[0], "monitor"))
		complete_pairs(argc - 1, argv + 1, filter_keys, directions);
}

enum status complete(int argc, char **argv)
{
	const struct command *command = NULL, *c;
	const char *name;
	bool wants;
	size_t i;
	int from, to = 0;

	if (!argc)
		return STATUS_OK;
	typed = argv[argc - 1];
	/* What is left are words: options go, with their values. */
	for (from = 0; from < argc - 1; from++) {
		if (argv[from][0] != '-' || !argv[from][1]) {
			for (i = 0; !command && (c = command_at(i)); i++)
				if (!strcmp(c->name, argv[from]))
					command = c;
			argv[to++] = argv[from];
			continue;
		}
		for (i = 0; (name = option_at(i, NULL, &wants)); i++)
			if (!strcmp(name, argv[from]) && wants)
				break;
		if (!name && strcmp(argv[from], "-c"))
			continue;
		/* The value of this option is nothing that we know. */
		if (++from == argc - 1)
			return STATUS_OK;
	}
	argv[to++] = argv[argc - 1];
	if (*typed == '-') {
		for (i = 0; (name = option_at(i, command, NULL)); i++)
			if (*name)
				offer(name);
		return STATUS_OK;
	}
	complete_words(to, argv);
	return STATUS_OK;
}
