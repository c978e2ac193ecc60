/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the readers of the servers' configurations share. */
#ifndef CONF_SERVER_H
#define CONF_SERVER_H

#include "conf_files.h"
#include "conf_lexer.h"
#include "server_conf.h"

/* The end of a connection that a configuration is asked about. */
struct conf_end {
	uint16_t family;
	uint16_t port;
	uint8_t addr[16];
	bool mapped;		/* IPv4 on a socket of IPv6 */
};

/* How well an address that a server listens on matches an end. */
enum conf_match {
	CONF_NO_MATCH,
	CONF_ANY,		/* all addresses */
	CONF_EXACT,
	CONF_PERHAPS,		/* a name, or what cannot be told */
};

/*
 * @addr: "*", "1.2.3.4", "::1", "[::1]" or a name; "" for all.  @v6only: does
 * "::" mean IPv6 alone?
 */
enum conf_match conf_match_addr(const char *addr, bool v6only,
				const struct conf_end *end);
/* The same of servers to which "*" and "" mean all addresses of IPv4. */
enum conf_match conf_match_v4(const char *addr, bool v6only,
			      const struct conf_end *end);
/*
 * Splits "ADDRESS:PORT", "[ADDRESS]:PORT" or "PORT" in place; false if there
 * is no port.
 */
bool conf_split_addr(char *s, char **addr, uint16_t *port);

/* What a part of a configuration says of kernel TLS. */
enum conf_setting {
	CONF_UNSET,
	CONF_ON,
	CONF_OFF,
	CONF_PLAIN,		/* there is no TLS in the first place */
};

#define CONF_SETTINGS 4

/* The setting that "Options = KTLS" or the like makes of an earlier one. */
enum conf_setting conf_options(enum conf_setting before, const char *value);

/* What was found about the end, by all parts that may be the one. */
struct conf_result {
	struct conf_files *files;
	struct conf_end end;
	enum conf_match best;	/* of the parts in here */
	size_t count[CONF_SETTINGS];
	char from[CONF_SETTINGS][512];	/* the first of each */
	bool padding;		/* one of them pads records */
	bool fragments;		/* or makes small ones */
	/* The end may be that of a connection that the server made. */
	bool outgoing;
	bool knows_ktls;	/* this build can ask, though others never do */
	bool always;		/* this build asks in any case unless told not to */
};

/*
 * A part that matches: better matches take the place of worse ones.  Not for
 * CONF_NO_MATCH.
 */
void conf_add(struct conf_result *result, enum conf_match match,
	      enum conf_setting setting, const char *file, unsigned int line);

/* The readers: what runs with these arguments? */
typedef void conf_reader(struct conf_result *result, int argc, char **argv);

conf_reader read_nginx, read_apache, read_haproxy, read_lighttpd, read_stunnel,
	    read_hitch, read_openssl;

/* A server by the name of its executable. */
struct conf_kind {
	const char *name;
	conf_reader *read;
	const char *option;	/* how it is told to ask */
	const char *reload;	/* what makes it read that */
	/* When it asks without being told, or %NULL if it does not. */
	const char *by_default;
	bool has_cnf;		/* OpenSSL's own configuration counts */
	const char *own_io;	/* why it never asks, or %NULL */
};

const struct conf_kind *conf_kind(const char *name);
/* For tests: @cnf may be %NULL if it is not known. */
void conf_read(const struct conf_kind *kind, struct conf_result *result,
	       int argc, char **argv, const struct openssl_cnf *cnf,
	       uint64_t started, struct server_conf *conf);

#endif /* CONF_SERVER_H */
