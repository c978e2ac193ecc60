// SPDX-License-Identifier: GPL-2.0-or-later
/* ktlsctl: kernel TLS made visible.  Options, commands and help. */
#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ktlsctl.h"
#include "library_trial.h"

struct options opt;

/* Of the command in hand, for what an error tells to type. */
static const char *command_name;

static enum status run_help(int argc, char **argv);
static enum status run_version(int argc, char **argv);

static const struct command commands[] = {
	{ "stats", "[FILTER] [--closed | --watch [SECONDS]]",
	  "totals, and the counters of each socket",
	  stats_details, filter_help, "Cw", run_stats },
	{ "show", "COOKIE | ADDRESS:PORT",
	  "everything about one socket",
	  show_details, NULL, "", run_show },
	{ "monitor", "[FILTER] [--count N]",
	  "events as they come: install, rekey, error, close",
	  monitor_details, filter_help, "c", run_monitor },
	{ "attempts", "[FILTER] [--failed] [--follow] [--count N]",
	  "what was tried, and what came of it",
	  attempts_details, attempt_filter_help, "Ffc", run_attempts },
	{ "policy", "show | load FILE | add RULE | check | ...",
	  "what the kernel may do with TLS keys",
	  policy_details, NULL, "KS", run_policy },
	{ "module", "",
	  "what the module observes on this kernel, and what it lost",
	  module_details, NULL, "", run_module },
	{ "probe", "HOST[:PORT]",
	  "what a TLS server negotiates, and whether that can be on kernel TLS",
	  probe_details, NULL, "sak46t", run_probe },
	{ "why", "TARGET",
	  "why connections are on kernel TLS, or why not",
	  why_details, NULL, "", run_why },
	{ "doctor", "[HOST[:PORT]]",
	  "what stands between this host and kernel TLS, and what to do",
	  doctor_details, NULL, "sak46t", run_doctor },
	{ "daemon", "status | connections | metrics | reload | drain",
	  "what ktlsd does, and is to do",
	  daemon_details, NULL, "U", run_daemon },
	{ "observe", "[-o FILE] -- COMMAND | --time SECONDS",
	  "what moved on this host while a command ran",
	  observe_details, NULL, "To", run_observe },
	{ "version", "",
	  "versions of this program, its library and the module",
	  "", NULL, "", run_version },
	{ "help", "[COMMAND]",
	  "this, or all about a command",
	  "", NULL, "", run_help },
};

static const struct option {
	char letter;		/* what it is called within */
	char key;		/* -x, or 0 for none */
	const char *name;
	const char *arg;	/* %NULL: none; in brackets: may be left out */
	bool global;
	const char *help;
} options[] = {
	{ 'j', 'j', "json", NULL, true, "JSON, by the names of the netlink specification" },
	{ 'p', 'p', "pretty", NULL, true, "JSON on many lines" },
	{ 'n', 'n', "exact", NULL, true, "numbers in full instead of 1.2M" },
	{ 'N', 0, "netns", "NAME|PID", true, "look at another network namespace" },
	{ 'h', 'h', "help", NULL, true, "help, also about a command" },
	{ 'V', 'V', "version", NULL, true, "as the command version" },
	{ 'C', 0, "closed", NULL, false, "the history of closed sockets" },
	{ 'w', 0, "watch", "[SECONDS]", false, "again and again, with rates (default: 1)" },
	{ 'c', 'c', "count", "N", false, "end after N events, or show the latest N attempts" },
	{ 'F', 0, "failed", NULL, false, "those that failed, or would have but for a dry run" },
	{ 'f', 'f', "follow", NULL, false, "attempts as they come" },
	{ 'K', 0, "check", NULL, false, "load: only say what is wrong with the file" },
	{ 'S', 0, "shutdown", NULL, false, "check: end the sockets that violate the policy" },
	{ 's', 0, "sni", "NAME", false, "name to ask for (default: HOST; \"\" for none)" },
	{ 'a', 0, "alpn", "LIST", false, "protocols to offer: h2,http/1.1" },
	{ 'k', 0, "ca", "FILE", false, "trust these certificates, not the system's" },
	{ 't', 0, "timeout", "SECONDS", false, "for each connection, 0.1 to 86400 (default: 10)" },
	{ 'T', 0, "time", "SECONDS", false, "observe for so long, 0.1 to 86400, instead of a command" },
	{ 'o', 'o', "output", "FILE", false, "write the report there" },
	{ 'U', 0, "socket", "PATH", false, "control socket of ktlsd (default: /run/ktlsd/control)" },
	{ '4', '4', "ipv4", NULL, false, "over IPv4 only" },
	{ '6', '6', "ipv6", NULL, false, "over IPv6 only" },
};

enum status error(enum status status, const char *format, ...)
{
	char text[1024];
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	if (opt.json) {
		struct json_object *o = json_object_new_object();

		json_object_object_add(o, "error", json_string(text));
		json_print(o);
		return status;
	}
	/* What was printed so far comes first. */
	fflush(stdout);
	if (status == STATUS_USAGE)
		fprintf(stderr, "ktlsctl: %s; for help, type: ktlsctl help%s%s\n",
			text, command_name ? " " : "", command_name ?: "");
	else
		fprintf(stderr, "ktlsctl: %s\n", text);
	return status;
}

enum status error_ktls(const struct ktls *ktls)
{
	return error(STATUS_FAILED, "%s", ktls_strerror(ktls));
}

void note(const char *format, ...)
{
	va_list ap;

	if (opt.json)
		return;
	fflush(stdout);
	fputs("ktlsctl: ", stderr);
	va_start(ap, format);
	vfprintf(stderr, format, ap);
	va_end(ap);
	fputc('\n', stderr);
}

const struct command *command_at(size_t i)
{
	return i < ARRAY_SIZE(commands) ? &commands[i] : NULL;
}

static const struct command *find_command(const char *name)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(commands); i++)
		if (!strcmp(commands[i].name, name))
			return &commands[i];
	return NULL;
}

static bool takes(const struct command *c, const struct option *o)
{
	return o->global || (c && strchr(c->options, o->letter));
}

/* "" for one that the command does not take. */
const char *option_at(size_t i, const struct command *c, bool *wants)
{
	static char name[32];

	if (i >= ARRAY_SIZE(options))
		return NULL;
	if (wants)
		*wants = options[i].arg && *options[i].arg != '[';
	snprintf(name, sizeof(name), "--%s", options[i].name);
	return takes(c, &options[i]) || wants ? name : "";
}

static void help_option(const struct option *o)
{
	char left[32];

	snprintf(left, sizeof(left), "--%s%s%s", o->name, o->arg ? " " : "",
		 o->arg ?: "");
	if (o->key)
		printf("  -%c, %-21s %s\n", o->key, left, o->help);
	else
		printf("      %-21s %s\n", left, o->help);
}

static void help_options(const struct command *c, bool global)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(options); i++)
		if (options[i].global == global && takes(c, &options[i]))
			help_option(&options[i]);
}

static void help_command(const struct command *c)
{
	printf("ktlsctl %s%s%s: %s\n", c->name, *c->args ? " " : "", c->args,
	       c->summary);
	if (*c->details)
		printf("\n%s", c->details);
	if (c->filter)
		printf("\n%s", c->filter);
	printf("\nOptions\n");
	help_options(c, false);
	help_options(c, true);
}

static void help_all(void)
{
	size_t i;

	printf("ktlsctl [OPTIONS] COMMAND ...: kernel TLS made visible\n\n"
	       "Commands\n");
	for (i = 0; i < ARRAY_SIZE(commands); i++)
		printf("  %-8s %s\n", commands[i].name, commands[i].summary);
	printf("\nOptions\n");
	help_options(NULL, true);
	printf("\nWhat to type first: ktlsctl stats; all about it: ktlsctl help stats\n");
}

static enum status run_help(int argc, char **argv)
{
	const struct command *c;

	if (argc > 1)
		return error(STATUS_USAGE, "help takes one command");
	if (!argc) {
		help_all();
		return STATUS_OK;
	}
	c = find_command(argv[0]);
	if (!c) {
		command_name = NULL;
		return error(STATUS_USAGE, "there is no command \"%s\"",
			     argv[0]);
	}
	help_command(c);
	return STATUS_OK;
}

static enum status run_version(int argc, char **argv)
{
	const struct ktls_module *module = NULL;
	struct ktls *ktls;
	int err;

	if (argc)
		return error(STATUS_USAGE, "version takes no argument, not \"%s\"",
			     argv[0]);
	err = ktls_open(&ktls, -1);
	if (!err)
		err = ktls_get_module(ktls, &module);
	if (opt.json) {
		struct json_object *o = json_object_new_object();

		json_object_object_add(o, "ktlsctl",
				       json_object_new_string(KTLSCTL_VERSION));
		json_object_object_add(o, "libktls", json_object_new_string(
				       ktls_library_version()));
		if (module)
			json_object_object_add(o, "module",
					       json_string(module->version));
		json_print(o);
	} else {
		printf("ktlsctl %s, libktls %s, module %s\n", KTLSCTL_VERSION,
		       ktls_library_version(),
		       module ? module->version :
		       err == -ENOPKG ? "not loaded" : "not known");
	}
	ktls_close(ktls);
	return STATUS_OK;
}

/* Options: anywhere in the line, never abbreviated, until "--". */

struct line {
	int argc;		/* what is left of it */
	char **argv;
	int words_count;	/* command and arguments found so far */
	char **words;
	bool help;
	bool version;
	bool used[256];		/* by letter */
};

static bool parse_seconds(const char *s, double *seconds)
{
	char *end;

	if (*s < '0' || *s > '9')
		return false;
	errno = 0;
	*seconds = strtod(s, &end);
	return !errno && !*end && *seconds >= 0.1 && *seconds <= 86400;
}

static enum status use_option(struct line *l, const struct option *o,
			      const char *arg)
{
	uint64_t value;

	l->used[(unsigned char)o->letter] = true;
	switch (o->letter) {
	case 'j':
		opt.json = true;
		break;
	case 'p':
		opt.json = true;
		opt.pretty = true;
		break;
	case 'n':
		opt.exact = true;
		break;
	case 'N':
		opt.netns = arg;
		break;
	case 'h':
		l->help = true;
		break;
	case 'V':
		l->version = true;
		break;
	case 'C':
		opt.closed = true;
		break;
	case 'w':
		opt.watch = 1;
		if (arg && !parse_seconds(arg, &opt.watch))
			return error(STATUS_USAGE,
				     "--watch takes seconds from 0.1 to 86400, not \"%s\"",
				     arg);
		break;
	case 'F':
		opt.failed = true;
		break;
	case 'f':
		opt.follow = true;
		break;
	case 'K':
		opt.check = true;
		break;
	case 'S':
		opt.shutdown = true;
		break;
	case 'c':
		if (!parse_number(arg, ULONG_MAX, &value) || !value)
			return error(STATUS_USAGE,
				     "--count takes a number from 1 on, not \"%s\"",
				     arg);
		opt.count = value;
		break;
	case 's':
		opt.sni = arg;
		break;
	case 'a':
		opt.alpn = arg;
		break;
	case 'k':
		opt.ca = arg;
		break;
	case 't':
		if (!parse_seconds(arg, &opt.timeout))
			return error(STATUS_USAGE,
				     "--timeout takes seconds from 0.1 to 86400, not \"%s\"",
				     arg);
		break;
	case 'T':
		if (!parse_seconds(arg, &opt.time))
			return error(STATUS_USAGE,
				     "--time takes seconds from 0.1 to 86400, not \"%s\"",
				     arg);
		break;
	case 'o':
		opt.output = arg;
		break;
	case 'U':
		opt.socket = arg;
		break;
	case '4':
		opt.ipv4 = true;
		break;
	case '6':
		opt.ipv6 = true;
		break;
	}
	return STATUS_OK;
}

static char *next_word(struct line *l)
{
	if (!l->argc)
		return NULL;
	l->argc--;
	return *l->argv++;
}

static enum status long_option(struct line *l, const char *word)
{
	const char *equals = strchr(word, '=');
	size_t len = equals ? (size_t)(equals - word) : strlen(word);
	const struct option *o = NULL;
	const char *arg = NULL;
	double seconds;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(options); i++)
		if (strlen(options[i].name) == len &&
		    !strncmp(options[i].name, word, len))
			o = &options[i];
	if (!o)
		return error(STATUS_USAGE, "there is no option \"--%s\"", word);
	if (equals && !o->arg)
		return error(STATUS_USAGE, "--%s takes no value", o->name);
	if (equals) {
		arg = equals + 1;
	} else if (o->arg && *o->arg == '[') {
		/* A number right behind is meant for it. */
		if (l->argc && parse_seconds(l->argv[0], &seconds))
			arg = next_word(l);
		else if (l->argc && l->argv[0][0] >= '0' &&
			 l->argv[0][0] <= '9')
			arg = next_word(l);	/* a bad one: complain */
	} else if (o->arg) {
		arg = next_word(l);
		if (!arg)
			return error(STATUS_USAGE, "--%s wants a value (%s)",
				     o->name, o->arg);
	}
	return use_option(l, o, arg);
}

static enum status short_options(struct line *l, const char *word)
{
	enum status status;

	for (; *word; word++) {
		const struct option *o = NULL;
		const char *arg = NULL;
		size_t i;

		for (i = 0; i < ARRAY_SIZE(options); i++)
			if (options[i].key == *word)
				o = &options[i];
		if (!o)
			return error(STATUS_USAGE, "there is no option \"-%c\"",
				     *word);
		if (o->arg) {
			arg = word[1] ? word + 1 : next_word(l);
			if (!arg)
				return error(STATUS_USAGE,
					     "-%c wants a value (%s)", o->key,
					     o->arg);
		}
		status = use_option(l, o, arg);
		if (status || o->arg)
			return status;
	}
	return STATUS_OK;
}

static enum status parse_line(struct line *l)
{
	enum status status = STATUS_OK;
	char *word;

	while (!status && (word = next_word(l))) {
		if (!strcmp(word, "--")) {
			while ((word = next_word(l)))
				l->words[l->words_count++] = word;
			break;
		}
		if (!strncmp(word, "--", 2)) {
			status = long_option(l, word + 2);
		} else if (word[0] == '-' && word[1]) {
			status = short_options(l, word + 1);
		} else {
			if (!l->words_count && find_command(word))
				command_name = word;
			l->words[l->words_count++] = word;
		}
	}
	return status;
}

static enum status run(struct line *l)
{
	const struct command *c;
	enum status status;
	size_t i;

	status = parse_line(l);
	if (status)
		return status;
	if (l->version)
		return run_version(0, NULL);
	if (!l->words_count) {
		help_all();
		return STATUS_OK;
	}
	c = find_command(l->words[0]);
	if (!c)
		return error(STATUS_USAGE, "there is no command \"%s\"",
			     l->words[0]);
	if (l->help) {
		help_command(c);
		return STATUS_OK;
	}
	for (i = 0; i < ARRAY_SIZE(options); i++)
		if (l->used[(unsigned char)options[i].letter] &&
		    !takes(c, &options[i]))
			return error(STATUS_USAGE, "%s does not take --%s",
				     c->name, options[i].name);
	return c->run(l->words_count - 1, l->words + 1);
}

/*
 * If one of the first three descriptors is closed, the next socket would get
 * its number, and the output.
 */
static void fill_descriptors(void)
{
	int fd;

	for (fd = 0; fd <= 2; fd++)
		if (fcntl(fd, F_GETFD) < 0 && errno == EBADF)
			/* Not for writing: who writes is to see an error. */
			(void)!open("/dev/null", O_RDONLY);
}

int main(int argc, char **argv)
{
	struct line l = { .argc = argc - 1, .argv = argv + 1 };
	enum status status;

	fill_descriptors();
	if (argc < 1)
		return STATUS_USAGE;
	if (!strcmp(argv[0], TRIAL_NAME))
		run_trial(argc, argv);
	l.words = calloc(argc, sizeof(*l.words));
	if (!l.words)
		return STATUS_FAILED;
	/* Whoever reads lines gets them; tables are flushed at their end. */
	setvbuf(stdout, NULL, _IOFBF, 64 * 1024);
	/* For shells; not in the help. */
	if (argc > 1 && !strcmp(argv[1], "--complete"))
		status = complete(argc - 2, argv + 2);
	else
		status = run(&l);
	free(l.words);
	if (!flush() && !status)
		status = STATUS_FAILED;
	return status;
}
