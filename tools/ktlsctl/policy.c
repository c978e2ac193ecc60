// SPDX-License-Identifier: GPL-2.0-or-later
/* ktlsctl policy: what the kernel may do with TLS keys. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ktlsctl.h"

const char policy_details[] =
	"  show              rules with their numbers, and how often each decided\n"
	"  load FILE         replace the policy by that of a file, - is stdin; with\n"
	"                    --check, only say what is wrong with it\n"
	"  save FILE         write it as load reads it, - is stdout\n"
	"  add [N] RULE      add a rule at the end, or as number N\n"
	"  del N             remove a rule\n"
	"  default ACTION    what happens to keys that no rule matches\n"
	"  dry-run on | off  deny nothing, but mark what would have been\n"
	"  reset             have none, or the initial network namespace's\n"
	"  check             which sockets have a key that they would not get now;\n"
	"                    exit code 3 if there are any; --shutdown ends them\n"
	"  test STEP [WHO]   what the policy says of a supposed attempt: STEP is ulp,\n"
	"                    tx, rx, rekey-tx or rekey-rx; WHO is as in a rule\n"
	"\n"
	"The first rule that matches decides; without one, the default does, for keys.\n"
	"A policy is of one network namespace, and goes with the module.\n"
	"\n"
	"RULE: allow, deny or audit, and what it is about; all of it must hold\n"
	"  ulp               TLS is attached to a socket; without it, keys\n"
	"  tx | rx           keys to send with, or to receive with\n"
	"  version VERSION   1.2 or 1.3\n"
	"  cipher CIPHER     aes-gcm-128, aes-gcm-256, aes-ccm-128,\n"
	"                    chacha20-poly1305, sm4-gcm, sm4-ccm, aria-gcm-128,\n"
	"                    aria-gcm-256\n"
	"  mode MODE         sw or hw: who is to have the key\n"
	"  uid USER          effective user of the process, by name or number\n"
	"  cgroup PATH       its cgroup (v2), or one above it\n"
	"  port N            either end's port\n"
	"  sport N           port of this end\n"
	"  dport N           port of the other end\n"
	"  comm NAME         command of the process, whole\n";

/* How often a policy that others change meanwhile is changed. */
#define CHANGE_TRIES 5

static const char *plural(size_t count)
{
	return count == 1 ? "" : "s";
}

/* What is in force from now on. */
static void print_done(const struct ktls_policy *policy, uint32_t generation)
{
	if (opt.json) {
		struct json_object *o = json_object_new_object();

		json_add_number(o, "generation", generation);
		json_print(o);
		return;
	}
	if (policy->inherit) {
		printf("generation %u: no policy of this network namespace's own\n",
		       generation);
		return;
	}
	printf("generation %u: %zu rule%s, default %s%s\n", generation,
	       policy->rules_count, plural(policy->rules_count),
	       ktls_action_name(policy->fallback) ?: "?",
	       policy->dry_run ? ", dry run: nothing is denied" : "");
}

/* show */

void print_rule(size_t number, const struct ktls_policy *policy,
		unsigned int width)
{
	const struct ktls_rule *rule = &policy->rules[number - 1];
	char *text = rule_text(rule), *rest = text, *word, b[NUMBER_LEN];
	size_t column, indent;

	indent = column = printf("%4zu  %7s ", number,
				 format_count(b, rule->hits));
	/* What is in quotes may be torn, but loses no blank. */
	while ((word = strsep(&rest, " "))) {
		if (width && column > indent &&
		    column + 1 + strlen(word) > width) {
			printf("\n%*s", (int)indent + 2, "");
			column = indent + 2;
		}
		column += printf(" %s", word);
	}
	putchar('\n');
	free(text);
}

static void print_policy(const struct ktls_policy *p)
{
	unsigned int width, height;
	char b[NUMBER_LEN];
	size_t i;

	terminal_size(&width, &height);
	printf("generation    %u\n", p->generation);
	if (p->inherit)
		printf("inherited     from the initial network namespace; this one has none of its own\n");
	printf("dry run       %s\n", p->dry_run ?
	       "on: nothing is denied; ktlsctl attempts shows what would have been" :
	       "off");
	printf("default       %s, for keys that no rule matches: %s so far\n",
	       ktls_action_name(p->fallback) ?: "?", format_count(b, p->hits));
	if (!p->rules_count) {
		printf("rules         none\n");
		return;
	}
	printf("\nRULE     HITS  WHAT\n");
	for (i = 1; i <= p->rules_count; i++)
		print_rule(i, p, width);
}

static enum status show(struct ktls *ktls, int argc, char **argv)
{
	const struct ktls_policy *policy;

	(void)argc;
	(void)argv;
	if (ktls_get_policy(ktls, &policy))
		return error_ktls(ktls);
	if (opt.json)
		json_print(json_policy(policy));
	else
		print_policy(policy);
	return STATUS_OK;
}

/* load and save */

static enum status report(const char *name, const struct draft *d)
{
	struct json_object *o, *list;
	struct wrong all;
	size_t i;

	wrong(&all, "%s: %zu line%s not understood, nothing was loaded", name,
	      d->complaints_count, d->complaints_count == 1 ? " was" : "s were");
	if (!opt.json) {
		for (i = 0; i < d->complaints_count; i++)
			fprintf(stderr, "ktlsctl: %s:%u: %s\n", name,
				d->complaints[i].line,
				d->complaints[i].wrong.text);
		return error(STATUS_FAILED,
			     "%s; for help, type: ktlsctl help policy",
			     all.text);
	}
	o = json_object_new_object();
	list = json_object_new_array();
	json_object_object_add(o, "error", json_string(all.text));
	for (i = 0; i < d->complaints_count; i++) {
		struct json_object *line = json_object_new_object();

		json_add_number(line, "line", d->complaints[i].line);
		json_object_object_add(line, "error",
				json_string(d->complaints[i].wrong.text));
		json_object_array_add(list, line);
	}
	json_object_object_add(o, "lines", list);
	json_print(o);
	return STATUS_FAILED;
}

static enum status read_file(const char *name, struct draft *d)
{
	FILE *file = stdin;
	int err;

	if (!strcmp(name, "-"))
		name = "stdin";
	else
		file = fopen(name, "re");
	if (!file)
		return error(STATUS_FAILED, "could not open %s: %s", name,
			     strerror(errno));
	err = read_policy(file, d);
	if (file != stdin)
		fclose(file);
	if (err)
		return error(STATUS_FAILED, "could not read %s: %s", name,
			     strerror(-err));
	return d->complaints_count ? report(name, d) : STATUS_OK;
}

/* Needs the module only once the file was understood. */
static enum status load(struct ktls *unused, int argc, char **argv)
{
	struct ktls *ktls = NULL;
	struct draft d = { 0 };
	enum status status;
	uint32_t generation;

	(void)unused;
	(void)argc;
	status = read_file(argv[0], &d);
	if (status)
		goto out;
	if (opt.check) {
		if (opt.json)
			json_print(json_policy(&d.policy));
		else
			printf("%s: %zu rule%s, nothing wrong\n", argv[0],
			       d.policy.rules_count,
			       plural(d.policy.rules_count));
		goto out;
	}
	status = open_ktls(&ktls);
	if (status)
		goto out;
	if (ktls_set_policy(ktls, &d.policy, NULL, &generation))
		status = error_ktls(ktls);
	else
		print_done(&d.policy, generation);
out:
	ktls_close(ktls);
	free_draft(&d);
	return status;
}

static enum status save_failed(const char *name)
{
	return error(STATUS_FAILED, "could not write %s: %s", name,
		     strerror(errno));
}

/* All of it or nothing: the old file stays until the new one is complete. */
static enum status save_file(const char *name, const struct ktls_policy *policy)
{
	char path[PATH_MAX];
	enum status status;
	struct stat st;
	bool beside;
	FILE *file;
	int fd;

	/* What is no file, as /dev/stdout, is not to be replaced. */
	beside = lstat(name, &st) || S_ISREG(st.st_mode);
	if (!beside) {
		file = fopen(name, "we");
		if (!file)
			return save_failed(name);
	} else {
		if ((size_t)snprintf(path, sizeof(path), "%s.XXXXXX", name) >=
		    sizeof(path)) {
			errno = ENAMETOOLONG;
			return save_failed(name);
		}
		fd = mkostemp(path, O_CLOEXEC);
		if (fd < 0)
			return save_failed(name);
		file = fdopen(fd, "w");
		if (!file) {
			close(fd);
			unlink(path);
			return save_failed(name);
		}
		fchmod(fd, !stat(name, &st) ? st.st_mode & 07777 : 0644);
	}
	write_policy(file, policy);
	if (fflush(file) || ferror(file) || (beside && fsync(fileno(file)))) {
		status = save_failed(name);
		fclose(file);
		if (beside)
			unlink(path);
		return status;
	}
	if (fclose(file) || (beside && rename(path, name))) {
		status = save_failed(name);
		if (beside)
			unlink(path);
		return status;
	}
	return STATUS_OK;
}

static enum status save(struct ktls *ktls, int argc, char **argv)
{
	const struct ktls_policy *policy;
	size_t i;

	(void)argc;
	if (ktls_get_policy(ktls, &policy))
		return error_ktls(ktls);
	for (i = 0; i < policy->rules_count; i++)
		if (policy->rules[i].match & KTLS_RULE_UNKNOWN)
			return error(STATUS_FAILED,
				     "could not save the policy: rule %zu has a condition that this program does not know, the loaded ktls module is newer; update the program",
				     i + 1);
	if (strcmp(argv[0], "-"))
		return save_file(argv[0], policy);
	write_policy(stdout, policy);
	return STATUS_OK;
}

/* Changes: what is there is read, changed, and set if nobody else did. */

typedef enum status change_fn(struct draft *d, void *arg);

static enum status change(struct ktls *ktls, change_fn *fn, void *arg)
{
	const struct ktls_policy *policy;
	struct draft d = { 0 };
	uint32_t generation;
	enum status status;
	bool inherited;
	int tries, err;

	for (tries = 0; tries < CHANGE_TRIES; tries++) {
		if (ktls_get_policy(ktls, &policy))
			return error_ktls(ktls);
		generation = policy->generation;
		inherited = policy->inherit;
		status = STATUS_OK;
		if (!draft_copy(&d, policy))
			status = error(STATUS_FAILED, "out of memory");
		/* What is inherited stays in force, as a copy. */
		d.policy.inherit = false;
		if (!status)
			status = fn(&d, arg);
		if (status) {
			free_draft(&d);
			return status;
		}
		err = ktls_set_policy(ktls, &d.policy, &generation,
				      &generation);
		if (!err) {
			if (inherited)
				note("this network namespace has a policy of its own now: a copy of the inherited one, with this change");
			print_done(&d.policy, generation);
		}
		free_draft(&d);
		if (!err)
			return STATUS_OK;
		if (err != -ESTALE)
			return error_ktls(ktls);
	}
	return error(STATUS_FAILED,
		     "others changed the policy again and again meanwhile; try again");
}

struct addition {
	struct ktls_rule rule;
	uint64_t number;	/* 0: at the end */
};

static enum status add_rule(struct draft *d, void *arg)
{
	const struct addition *a = arg;
	size_t count = d->policy.rules_count;

	if (a->number > count + 1)
		return error(STATUS_FAILED,
			     "there is no place %" PRIu64 " for a rule: there %s %zu",
			     a->number, count == 1 ? "is" : "are", count);
	if (count >= KTLS_RULES_MAX)
		return error(STATUS_FAILED,
			     "there are %d rules, which is the most there may be; type: ktlsctl policy del N",
			     KTLS_RULES_MAX);
	if (!draft_insert(d, a->number ? a->number - 1 : count, &a->rule))
		return error(STATUS_FAILED, "out of memory");
	return STATUS_OK;
}

static enum status add(struct ktls *ktls, int argc, char **argv)
{
	struct addition a = { .number = 0 };
	char *words[WORDS_MAX], *line = NULL;
	struct wrong w;
	bool good;

	if (argc > 1 && parse_number(argv[0], UINT32_MAX, &a.number)) {
		if (!a.number)
			return error(STATUS_USAGE,
				     "rules are numbered from 1");
		argc--;
		argv++;
	}
	/* A rule in quotes is a line of a file. */
	if (argc == 1 && strchr(argv[0], ' ')) {
		line = strdup(argv[0]);
		if (!line)
			return error(STATUS_FAILED, "out of memory");
		argc = split_words(line, words, WORDS_MAX, &w);
		argv = words;
	}
	good = argc >= 0 && parse_rule(argc, argv, &a.rule, &w);
	free(line);
	if (!good)
		return error(STATUS_USAGE, "%s", w.text);
	/* Without a handle: this was to see whether it is one. */
	return ktls ? change(ktls, add_rule, &a) : STATUS_OK;
}

static enum status delete_rule(struct draft *d, void *arg)
{
	const uint64_t *number = arg;

	if (*number > d->policy.rules_count)
		return error(STATUS_FAILED,
			     "there is no rule %" PRIu64 "; to see which there are, type: ktlsctl policy show",
			     *number);
	draft_remove(d, *number - 1);
	return STATUS_OK;
}

static enum status del(struct ktls *ktls, int argc, char **argv)
{
	uint64_t number;

	(void)argc;
	if (!parse_number(argv[0], UINT32_MAX, &number) || !number)
		return error(STATUS_USAGE,
			     "del takes the number of a rule from 1 on, not \"%s\"",
			     argv[0]);
	return ktls ? change(ktls, delete_rule, &number) : STATUS_OK;
}

static enum status set_default(struct draft *d, void *arg)
{
	d->policy.fallback = *(const uint32_t *)arg;
	return STATUS_OK;
}

static enum status fallback(struct ktls *ktls, int argc, char **argv)
{
	uint32_t action;
	struct wrong w;

	(void)argc;
	if (!parse_action(&w, "default", argv[0], &action))
		return error(STATUS_USAGE, "%s", w.text);
	return ktls ? change(ktls, set_default, &action) : STATUS_OK;
}

static enum status set_dry_run(struct draft *d, void *arg)
{
	d->policy.dry_run = *(const bool *)arg;
	return STATUS_OK;
}

static enum status dry_run(struct ktls *ktls, int argc, char **argv)
{
	bool on = !strcmp(argv[0], "on");

	(void)argc;
	if (!on && strcmp(argv[0], "off"))
		return error(STATUS_USAGE, "dry-run takes on or off, not \"%s\"",
			     argv[0]);
	return ktls ? change(ktls, set_dry_run, &on) : STATUS_OK;
}

static enum status reset(struct ktls *ktls, int argc, char **argv)
{
	const struct ktls_policy none = { .inherit = true };
	uint32_t generation;

	(void)argc;
	(void)argv;
	if (ktls_set_policy(ktls, &none, NULL, &generation))
		return error_ktls(ktls);
	print_done(&none, generation);
	return STATUS_OK;
}

static enum status check(struct ktls *ktls, int argc, char **argv)
{
	(void)argc;
	(void)argv;
	return check_sockets(ktls);
}

/* test */

static bool parse_question(int argc, char **argv, struct ktls_question *q,
			   struct wrong *w)
{
	static const struct {
		const char *key;
		uint32_t bit;
	} keys[] = {
		{ "version", KTLS_GIVEN(VERSION) },
		{ "cipher", KTLS_GIVEN(CIPHER) },
		{ "mode", KTLS_GIVEN(MODE) },
		{ "uid", KTLS_GIVEN(UID) },
		{ "cgroup", KTLS_GIVEN(CGROUP_ID) },
		{ "sport", KTLS_GIVEN(LOCAL_PORT) },
		{ "dport", KTLS_GIVEN(REMOTE_PORT) },
		{ "comm", KTLS_GIVEN(COMM) },
	};
	const uint32_t of_keys = KTLS_GIVEN(VERSION) | KTLS_GIVEN(CIPHER) |
				 KTLS_GIVEN(MODE);
	bool good = true;
	size_t k;
	int i;

	memset(q, 0, sizeof(*q));
	if (!parse_step(w, "test", argv[0], &q->step))
		return false;
	for (i = 1; i < argc; i += 2) {
		const char *word = i + 1 < argc ? argv[i + 1] : NULL;

		for (k = 0; k < ARRAY_SIZE(keys); k++)
			if (!strcmp(argv[i], keys[k].key))
				break;
		if (k == ARRAY_SIZE(keys))
			return wrong(w, "\"%s\" is nothing that an attempt has; it has version, cipher, mode, uid, cgroup, sport, dport and comm",
				     argv[i]);
		if (q->given & keys[k].bit)
			return wrong(w, "%s is given twice", argv[i]);
		if (!word)
			return wrong(w, "%s wants a value", argv[i]);
		q->given |= keys[k].bit;
		switch (keys[k].bit) {
		case KTLS_GIVEN(VERSION):
			good = parse_version(w, word, &q->version);
			break;
		case KTLS_GIVEN(CIPHER):
			good = parse_cipher(w, word, &q->cipher);
			break;
		case KTLS_GIVEN(MODE):
			good = parse_mode(w, word, false, &q->mode);
			break;
		case KTLS_GIVEN(UID):
			good = parse_user(w, word, &q->uid);
			break;
		case KTLS_GIVEN(CGROUP_ID):
			good = parse_cgroup(w, word, &q->cgroup_id);
			break;
		case KTLS_GIVEN(LOCAL_PORT):
			good = parse_port(w, argv[i], word, &q->local_port);
			break;
		case KTLS_GIVEN(REMOTE_PORT):
			good = parse_port(w, argv[i], word, &q->remote_port);
			break;
		case KTLS_GIVEN(COMM):
			good = parse_comm(w, word, q->comm);
			break;
		}
		if (!good)
			return false;
	}
	if (q->step == KTLS_STEP_ULP && q->given & of_keys)
		return wrong(w, "version, cipher and mode are not known yet when TLS is attached (ulp); leave them out");
	if (q->step != KTLS_STEP_ULP && (q->given & KTLS_GIVEN(VERSION) ?
					 !(q->given & KTLS_GIVEN(CIPHER)) : true))
		return wrong(w, "which key is to be installed? give its version and cipher");
	return true;
}

static void print_verdict(const struct ktls_verdict *v,
			  const struct ktls_policy *policy)
{
	bool inherited = v->flags & KTLS_ATTEMPT_FLAGS_INHERITED;
	char *text = NULL;

	/* The rules that can be read are those of the namespace, if it has any. */
	if (v->rule && v->rule <= policy->rules_count &&
	    inherited == policy->inherit)
		text = rule_text(&policy->rules[v->rule - 1]);
	printf("%s%s", ktls_action_name(v->action) ?: "?",
	       v->flags & KTLS_ATTEMPT_FLAGS_DRY_RUN ?
	       ", but for the dry run" : "");
	if (v->rule)
		printf(": rule %u%s%s%s", v->rule, inherited ?
		       " of the initial network namespace" : "",
		       text ? ": " : "", text ?: "");
	else
		printf(": no rule matches%s", inherited ?
		       ", by the policy of the initial network namespace" : "");
	putchar('\n');
	free(text);
}

static enum status test(struct ktls *ktls, int argc, char **argv)
{
	const struct ktls_policy *policy;
	const struct ktls_verdict *answer;
	struct ktls_question question;
	struct ktls_verdict verdict;
	uint32_t generation;
	struct wrong w;
	int tries;

	if (!parse_question(argc, argv, &question, &w))
		return error(STATUS_USAGE, "%s", w.text);
	if (!ktls)
		return STATUS_OK;
	/* Rule and text are to be of the same policy. */
	for (tries = 0; tries < READ_TRIES; tries++) {
		if (ktls_get_policy(ktls, &policy))
			return error_ktls(ktls);
		generation = policy->generation;
		if (ktls_test_policy(ktls, &question, &answer))
			return error_ktls(ktls);
		verdict = *answer;
		if (ktls_get_policy(ktls, &policy))
			return error_ktls(ktls);
		if (policy->generation == generation)
			break;
	}
	if (opt.json)
		json_print(json_verdict(&verdict));
	else
		print_verdict(&verdict, policy);
	return STATUS_OK;
}

static const struct {
	const char *name;
	int min, max;		/* words behind it */
	const char *wants;
	/*
	 * Without a handle first, to complain about the words whether the
	 * module is there or not.
	 */
	bool twice;
	bool check, shutdown;	/* options */
	enum status (*run)(struct ktls *ktls, int argc, char **argv);
} verbs[] = {
	{ "show", 0, 0, "no argument", false, false, false, show },
	{ "load", 1, 1, "the name of a file, or -", false, true, false, load },
	{ "save", 1, 1, "the name of a file, or -", false, false, false, save },
	{ "add", 1, INT_MAX, "a rule", true, false, false, add },
	{ "del", 1, 1, "the number of a rule", true, false, false, del },
	{ "default", 1, 1, "allow, deny or audit", true, false, false,
	  fallback },
	{ "dry-run", 1, 1, "on or off", true, false, false, dry_run },
	{ "reset", 0, 0, "no argument", false, false, false, reset },
	{ "check", 0, 0, "no argument", false, false, true, check },
	{ "test", 1, INT_MAX, "what is attempted: ulp, tx, rx, rekey-tx or rekey-rx",
	  true, false, false, test },
};

enum status run_policy(int argc, char **argv)
{
	struct ktls *ktls = NULL;
	enum status status;
	size_t i;

	if (!argc)
		return error(STATUS_USAGE,
			     "policy wants one of show, load, save, add, del, default, dry-run, reset, check and test");
	for (i = 0; i < ARRAY_SIZE(verbs); i++)
		if (!strcmp(argv[0], verbs[i].name))
			break;
	if (i == ARRAY_SIZE(verbs))
		return error(STATUS_USAGE,
			     "policy has no \"%s\"; it has show, load, save, add, del, default, dry-run, reset, check and test",
			     argv[0]);
	argc--;
	argv++;
	if (argc < verbs[i].min || argc > verbs[i].max)
		return error(STATUS_USAGE, "policy %s takes %s", verbs[i].name,
			     verbs[i].wants);
	if (opt.check && !verbs[i].check)
		return error(STATUS_USAGE, "policy %s does not take --check",
			     verbs[i].name);
	if (opt.shutdown && !verbs[i].shutdown)
		return error(STATUS_USAGE, "policy %s does not take --shutdown",
			     verbs[i].name);
	if (verbs[i].run == load)
		return load(NULL, argc, argv);
	if (verbs[i].twice) {
		status = verbs[i].run(NULL, argc, argv);
		if (status)
			return status;
	}
	status = open_ktls(&ktls);
	if (status)
		return status;
	status = verbs[i].run(ktls, argc, argv);
	ktls_close(ktls);
	return status;
}
