/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the commands share. */
#ifndef KTLSCTL_H
#define KTLSCTL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "libktls.h"

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/* How a command ends: done, could not, or asked in a wrong way. */
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
	double watch;		/* seconds between two blocks, 0 for one block */
	unsigned long count;	/* events, 0 for no end */
	const char *netns;
	const char *sni;
	const char *alpn;
	const char *ca;		/* file of certificates to trust */
	double timeout;		/* seconds, 0: the default */
	bool ipv4;
	bool ipv6;
};

extern struct options opt;

/* main.c */

/* One row per command; the help is made of it. */
struct command {
	const char *name;
	const char *args;	/* for the synopsis */
	const char *summary;
	const char *details;	/* for "help COMMAND" */
	const char *options;	/* letters of the options it takes */
	enum status (*run)(int argc, char **argv);
};

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
enum status run_probe(int argc, char **argv);
enum status run_doctor(int argc, char **argv);
extern const char stats_details[], show_details[], monitor_details[],
	   module_details[], probe_details[], doctor_details[];

/* netns.c */

/* Opens the handle in the namespace of --netns; complains if it cannot. */
enum status open_ktls(struct ktls **ktls);
/* Goes into the namespace of --netns, to stay; complains if it cannot. */
enum status enter_netns(void);
/* Whether the kernel shows other users' sockets of the namespace, too. */
bool sees_all_sockets(void);

/* filter.c */

/* Reads the words of a filter; complains about those that are none. */
enum status parse_filter(int argc, char **argv, struct ktls_filter *filter);
extern const char filter_help[];
/* A whole decimal number up to @max. */
bool parse_number(const char *s, uint64_t max, uint64_t *value);

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

/* format.c: values as text, into a buffer of the caller or one of theirs */

#define NUMBER_LEN 32
#define ADDR_LEN 64	/* "[address]:port" */
#define PROCESS_LEN 48
#define TIME_LEN 64

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
/* Without what a terminal could take for a command. */
const char *format_comm(char buffer[KTLS_COMM_LEN], const char *comm);
/* "1.3", the name of a version as people write it. */
const char *format_version(char buffer[NUMBER_LEN], uint16_t version);
const char *format_cipher(char buffer[NUMBER_LEN], uint16_t cipher);
const char *format_mode(char buffer[NUMBER_LEN], uint32_t mode);
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
struct json_object *json_string(const char *s);
void json_add_number(struct json_object *object, const char *name,
		     uint64_t value);
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
