/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the commands share. */
#ifndef KTLSCTL_H
#define KTLSCTL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "libktls.h"

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/* Room for values as text. */
#define NUMBER_LEN 32
#define ADDR_LEN 64	/* "[address]:port" */
#define PROCESS_LEN 48
#define TIME_LEN 64

/*
 * How a command ends: done, could not, asked in a wrong way, or done and found
 * what one would rather not find.
 */
enum status {
	STATUS_OK = 0,
	STATUS_FAILED = 1,
	STATUS_USAGE = 2,
	STATUS_FOUND = 3,	/* done, and what was examined is not well */
};

struct options {
	bool json;
	bool pretty;
	bool exact;		/* numbers in full */
	bool closed;		/* the history instead of what is open */
	bool failed;		/* attempts that failed only */
	bool follow;		/* attempts as they come */
	bool check;		/* read a policy only */
	bool shutdown;		/* end what violates it */
	double watch;		/* seconds between two blocks, 0 for one block */
	unsigned long count;	/* events or attempts, 0 for no end */
	const char *netns;
	const char *sni;
	const char *alpn;
	const char *ca;		/* file of certificates to trust */
	double timeout;		/* seconds, 0: the default */
	bool ipv4;
	bool ipv6;
	double time;		/* seconds to observe, 0 for none */
	const char *output;	/* file for the report, or %NULL */
	const char *socket;	/* of ktlsd, or %NULL */
};

extern struct options opt;

/* main.c */

/* One row per command; the help is made of it. */
struct command {
	const char *name;
	const char *args;	/* for the synopsis */
	const char *summary;
	const char *details;	/* for "help COMMAND" */
	const char *filter;	/* likewise, the words of its filter */
	const char *options;	/* letters of the options it takes */
	enum status (*run)(int argc, char **argv);
};

/* The table of commands, for completion; %NULL behind the last. */
const struct command *command_at(size_t i);
/* "--name" of the options that a command takes (%NULL: any); likewise. */
const char *option_at(size_t i, const struct command *command, bool *wants);

/*
 * Says what went wrong: on stderr, or with -j as an object on stdout.  The
 * result is @status, for a return statement.
 */
__attribute__((format(printf, 2, 3)))
enum status error(enum status status, const char *format, ...);
/* The same for a call of libktls. */
enum status error_ktls(const struct ktls *ktls);
/* On stderr, in text mode only: what the reader should know besides. */
__attribute__((format(printf, 1, 2)))
void note(const char *format, ...);

/* commands */
enum status run_stats(int argc, char **argv);
enum status run_show(int argc, char **argv);
enum status run_monitor(int argc, char **argv);
enum status run_module(int argc, char **argv);
enum status run_attempts(int argc, char **argv);
enum status run_policy(int argc, char **argv);
enum status run_probe(int argc, char **argv);
enum status run_doctor(int argc, char **argv);
enum status run_why(int argc, char **argv);
enum status run_observe(int argc, char **argv);
enum status run_daemon(int argc, char **argv);
extern const char stats_details[], show_details[], monitor_details[],
	   module_details[], attempts_details[], policy_details[],
	   probe_details[], doctor_details[], why_details[], observe_details[],
	   daemon_details[];

/* netns.c */

/* Opens the handle in the namespace of --netns; complains if it cannot. */
enum status open_ktls(struct ktls **ktls);
/* The file of the namespace of --netns, or of this one; likewise. */
enum status open_read_netns(int *fd);
/* Goes into the namespace of --netns, to stay; complains if it cannot. */
enum status enter_netns(void);
/* Runs a function in a namespace, or in this one if @fd is -1; or -errno. */
int in_netns(int fd, int (*fn)(void *arg), void *arg);
/* A socket to sock_diag there, or a negative errno. */
int sock_diag_connect(void);
/* Whether the kernel shows other users' sockets of the namespace, too. */
bool sees_all_sockets(void);

/* sockets.c: copies of what a dump brings */

/* How often a table that changes while it is read is read. */
#define READ_TRIES 5

struct sockets {
	struct ktls_socket *list;	/* by cookie */
	size_t count;
	size_t room;
};

enum status read_sockets(struct ktls *ktls, const struct ktls_filter *filter,
			 struct sockets *sockets);
void free_sockets(struct sockets *sockets);
const struct ktls_socket *find_socket(const struct sockets *sockets,
				      uint64_t cookie);

/* words.c: values; what is wrong with one is told in a sentence */

struct wrong {
	char text[512];
};

/* Keeps the sentence; the result is false, for a return statement. */
__attribute__((format(printf, 2, 3)))
bool wrong(struct wrong *wrong, const char *format, ...);

/* What the kernel counts all higher errnos as. */
#define OTHER_ERRNO 134

/* A whole decimal number up to @max. */
bool parse_number(const char *s, uint64_t max, uint64_t *value);
/* @key is what the value belongs to, for the sentence. */
bool parse_port(struct wrong *wrong, const char *key, const char *s,
		uint16_t *port);
bool parse_mode(struct wrong *wrong, const char *s, bool none, uint32_t *mode);
bool parse_version(struct wrong *wrong, const char *s, uint16_t *version);
bool parse_cipher(struct wrong *wrong, const char *s, uint16_t *cipher);
bool parse_step(struct wrong *wrong, const char *key, const char *s,
		uint32_t *step);
bool parse_action(struct wrong *wrong, const char *key, const char *s,
		  uint32_t *action);
bool parse_pid(struct wrong *wrong, const char *s, uint32_t *pid);
bool parse_user(struct wrong *wrong, const char *s, uint32_t *uid);
bool parse_comm(struct wrong *wrong, const char *s, char comm[KTLS_COMM_LEN]);
bool parse_errno(struct wrong *wrong, const char *s, uint32_t *err);

/* cgroup.c */

bool parse_cgroup(struct wrong *wrong, const char *s, uint64_t *id);
/* The path below the mount point of a cgroup's id, if the kernel tells. */
bool cgroup_path(uint64_t id, char *path, size_t size);

/* filter.c */

/* Reads the words of a filter; complains about those that are none. */
enum status parse_filter(int argc, char **argv, struct ktls_filter *filter);
extern const char filter_help[];

/* attempt_filter.c */

struct attempt_filter {
	unsigned int match;	/* the fields in use, 1 << enum */
	uint16_t port;
	uint16_t local_port;
	uint16_t remote_port;
	uint16_t version;
	uint16_t cipher;
	uint32_t step;
	uint32_t error;
	uint32_t action;
	uint32_t pid;
	uint32_t uid;
	uint64_t cgroup_id;
	char comm[KTLS_COMM_LEN];
};

enum status parse_attempt_filter(int argc, char **argv,
				 struct attempt_filter *filter);
bool attempt_filter_match(const struct attempt_filter *filter,
			  const struct ktls_attempt *attempt);
extern const char attempt_filter_help[];

/* errnos.c */

/* What it means that a step had this result, in a few words. */
const char *explain_result(uint32_t step, uint32_t error);
/* "ok", "EPERM" or "other". */
const char *format_result(char buffer[NUMBER_LEN], uint32_t error);

/* rule.c */

/* Reads the words of a rule: "deny", "rx", "uid", "33". */
bool parse_rule(int argc, char **argv, struct ktls_rule *rule,
		struct wrong *wrong);
/* The same words, to be freed; parse_rule() reads them after split_words(). */
char *rule_text(const struct ktls_rule *rule);

/* policy_file.c */

struct complaint {
	unsigned int line;
	struct wrong wrong;
};

/* A policy that can grow, and what is wrong with the file it is read from. */
struct draft {
	struct ktls_policy policy;
	size_t room;
	struct complaint *complaints;
	size_t complaints_count;
	bool out_of_memory;
};

/*
 * Splits a line in place: words are separated by blanks, "in quotes" they may
 * hold some, and # begins a comment.  The number of words, or -1.
 */
int split_words(char *line, char **words, int max, struct wrong *wrong);
/* As many as a rule can have, and some to be wrong. */
#define WORDS_MAX 64

/* Puts a rule at a place, from 0; false without memory or room. */
bool draft_insert(struct draft *draft, size_t at, const struct ktls_rule *rule);
void draft_remove(struct draft *draft, size_t at);
bool draft_copy(struct draft *draft, const struct ktls_policy *policy);
void free_draft(struct draft *draft);
/* Reads all of it, whatever is wrong on the way; -errno if it cannot. */
int read_policy(FILE *file, struct draft *draft);
void write_policy(FILE *file, const struct ktls_policy *policy);

/* policy.c */

/* A rule with its number and hits, on lines that are not too long. */
void print_rule(size_t number, const struct ktls_policy *policy,
		unsigned int width);

/* violations.c */

/* Says which sockets violate the policy; with --shutdown, ends them. */
enum status check_sockets(struct ktls *ktls);

/* destroy.c */

/* What became of sockets that were to be ended. */
struct destroyed {
	size_t ended;
	size_t gone;		/* before we came */
	size_t failed;
};

/* Ends the sockets, as the kernel knows them by their cookies. */
enum status destroy_sockets(const struct sockets *sockets,
			    struct destroyed *destroyed);

/* end.c: an address and a port */

struct end {
	uint16_t family;
	uint8_t addr[16];
	uint16_t port;
};

/* "192.0.2.1:443" or "[2001:db8::1]:443". */
bool parse_end(const char *s, struct end *end);
/* An IPv4 address is the same in its IPv6 form. */
bool is_end(const struct end *end, uint16_t family, const uint8_t *addr,
	    uint16_t port);

/* complete.c */

/* Prints what may stand in the place of the last word. */
enum status complete(int argc, char **argv);

/* format.c: values as text, into a buffer of the caller or one of theirs */

/* 1234567 as 1.2M, or with -n as it is; units of 1000. */
const char *format_count(char buffer[NUMBER_LEN], uint64_t value);
/* The same in units of 1024, for bytes. */
const char *format_bytes(char buffer[NUMBER_LEN], uint64_t value);
const char *format_addr(char buffer[ADDR_LEN], uint16_t family,
			const uint8_t *addr, uint16_t port);
const char *format_local(char buffer[ADDR_LEN], const struct ktls_socket *s);
const char *format_remote(char buffer[ADDR_LEN], const struct ktls_socket *s);
const char *format_process(char buffer[PROCESS_LEN],
			   const struct ktls_socket *s);
/* Without what a terminal could take for a command; in place. */
void clean_text(char *text);
/* The same of a command's name, as one word. */
const char *format_comm(char buffer[KTLS_COMM_LEN], const char *comm);
/* "1.3", the name of a version as people write it. */
const char *format_version(char buffer[NUMBER_LEN], uint16_t version);
const char *format_cipher(char buffer[NUMBER_LEN], uint16_t cipher);
const char *format_mode(char buffer[NUMBER_LEN], uint32_t mode);
/* "812/nginx", of any process. */
const char *format_pid(char buffer[PROCESS_LEN], uint32_t pid,
		       const char *comm);
/* Nanoseconds since the epoch as local time of day, with milliseconds. */
const char *format_clock(char buffer[TIME_LEN], uint64_t ns);
/* The same without, and with the date unless it is today's. */
const char *format_when(char buffer[TIME_LEN], uint64_t ns);
/* What the policy said of an attempt: "deny 3". */
const char *format_verdict(char buffer[NUMBER_LEN], int32_t action,
			   uint32_t rule, uint32_t flags);
/* The name of a user, or the number. */
const char *format_user(char buffer[NUMBER_LEN], uint32_t uid);
/* Nanoseconds since the epoch as local date and time. */
const char *format_time(char buffer[TIME_LEN], uint64_t ns);
/* The same from seconds, also of times that nanoseconds do not reach. */
const char *format_seconds(char buffer[TIME_LEN], int64_t seconds);
/* How long, in its two greatest units: 3m04s. */
const char *format_duration(char buffer[NUMBER_LEN], uint64_t ns);
uint64_t now_ns(void);

/* table.c */

struct column {
	const char *title;
	bool right;		/* numbers */
	/*
	 * On which line of a row the column stands if the row does not fit the
	 * terminal in one line, and if the table does not even so.
	 */
	unsigned char line_of_2;
	unsigned char line_of_3;
};

#define TEXT(title, line_of_2, line_of_3) \
	{ title, false, line_of_2, line_of_3 }
#define NUMBER(title, line_of_2, line_of_3) \
	{ title, true, line_of_2, line_of_3 }

struct table;

struct table *table_new(const struct column *columns, size_t count);
/* The next cell of the current row; rows follow each other. */
void table_add(struct table *table, const char *text);
/*
 * Prints and frees it.  @width is that of the terminal, 0 for no limit;
 * @max_lines ends it earlier, 0 for no limit.  Returns the rows left out.
 */
size_t table_print(struct table *table, unsigned int width, size_t max_lines);

/* print.c */

/* Columns and rows of the terminal on stdout; 0 if it is none. */
void terminal_size(unsigned int *columns, unsigned int *rows);
/*
 * Prints a line that begins with @label and is no wider than the terminal:
 * what goes on below stands under its text, @indent columns in.
 */
void print_wrapped(const char *label, unsigned int indent, const char *text);
/* Flushes stdout; complains and returns false if something was not written. */
bool flush(void);

struct json_object;
/* JSON of the library's structures, by the names of the specification. */
struct json_object *json_socket(const struct ktls_socket *socket);
struct json_object *json_totals(const struct ktls_totals *totals);
struct json_object *json_module(const struct ktls_module *module);
struct json_object *json_attempt(const struct ktls_attempt *attempt);
struct json_object *json_outcome(const struct ktls_outcome *outcome);
struct json_object *json_policy(const struct ktls_policy *policy);
struct json_object *json_verdict(const struct ktls_verdict *verdict);
struct json_object *json_string(const char *s);
void json_add_number(struct json_object *object, const char *name,
		     uint64_t value);
void json_add_addr(struct json_object *object, const char *name, uint16_t family,
		   const uint8_t *addr);
/* Prints it on a line of its own and gives it back. */
void json_print(struct json_object *object);

/* signals.c */

/* From here on SIGINT and SIGTERM are kept for wait_for(). */
void catch_signals(void);

enum woken {
	WOKEN_TIMEOUT,
	WOKEN_READABLE,
	WOKEN_INTERRUPTED,	/* the user wants an end */
	WOKEN_NO_READER,	/* nobody reads stdout any more */
};

/*
 * Waits for @fd (-1: none) at most until @deadline (CLOCK_MONOTONIC in
 * nanoseconds, 0: for ever).
 */
enum woken wait_for(int fd, uint64_t deadline);
uint64_t monotonic_ns(void);

#endif /* KTLSCTL_H */
