/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The configuration of ktlsd: read once by the supervisor, and then the same in
 * all processes that it forks.  A new one means new workers.
 */
#ifndef CONF_H
#define CONF_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>
#include <sys/un.h>

/* An address as the kernel wants it: TCP over IPv4 or IPv6, or a Unix socket. */
struct address {
	union {
		struct sockaddr any;
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
		struct sockaddr_un un;
	};
	socklen_t len;
	char *text;		/* as the configuration has it */
};

/* A certificate chain and its private key. */
struct conf_identity {
	char *chain;		/* PEM file: the certificate, then its issuers */
	char *key;		/* PEM file, may be the same */
	unsigned int line;	/* where it is named first */
};

enum client_auth {
	CLIENT_AUTH_NONE,
	CLIENT_AUTH_OPTIONAL,
	CLIENT_AUTH_REQUIRED,
};

/* What connections to an address get. */
struct conf_listener {
	char *name;
	unsigned int line;
	enum listener_kind {
		LISTENER_SERVER,	/* TLS from the client, plain to the backend */
		LISTENER_CLIENT,	/* plain from the client, TLS to the backend */
		LISTENER_FILES,		/* TLS from the client, files of a directory */
		/* Handshakes for programs, which have the connection: no address. */
		LISTENER_SERVICE_SERVER,
		LISTENER_SERVICE_CLIENT,
		LISTENER_HANDSHAKE,	/* the socket that they ask at, the last one */
	} kind;
	struct address address;
	struct address backend;		/* of LISTENER_SERVER and LISTENER_CLIENT */
	char *root;			/* of LISTENER_FILES: directory */
	bool proxy_protocol;		/* version 2, to the backend */
	bool require_kernel;		/* no connection whose keys are refused */
	/*
	 * Indexes of conf.identities: those to choose from by the client's server
	 * name, the first where none fits; of a LISTENER_CLIENT at most one, for
	 * a server that asks.
	 */
	size_t *identities;
	size_t identities_count;
	unsigned char *alpn;		/* as on the wire, in order of preference */
	size_t alpn_len;
	enum client_auth client_auth;	/* of servers */
	char *ca;			/* PEM file: whom to trust the other end of, or %NULL */
	/*
	 * Of clients: to ask for, and to verify; an address in numbers only to
	 * verify.  Programs may name another.
	 */
	char *server_name;
	/* Limits: of each worker, but for the rate. */
	unsigned int max_connections;
	unsigned int max_handshakes;	/* at the same time */
	unsigned int handshake_timeout;	/* seconds */
	unsigned int source_rate;	/* new connections a second of one source, 0: any */
};

/* Which end of TLS this host is. */
static inline bool conf_is_client(const struct conf_listener *l)
{
	return l->kind == LISTENER_CLIENT || l->kind == LISTENER_SERVICE_CLIENT;
}

static inline bool conf_is_service(const struct conf_listener *l)
{
	return l->kind == LISTENER_SERVICE_SERVER ||
	       l->kind == LISTENER_SERVICE_CLIENT;
}

struct conf {
	char *path;
	char *user;			/* of workers and broker */
	unsigned int workers;
	char *control;			/* path of the control socket */
	char *handshake;		/* path of the handshake service's, or %NULL */
	char *handshake_group;		/* who may use it, besides root, or %NULL */
	gid_t handshake_gid;		/* or 0 */
	unsigned int ticket_hours;	/* between new keys for session tickets */
	unsigned int drain_timeout;	/* seconds that old connections have to end */
	unsigned int prove_interval;	/* seconds between self-connects, 0: none */
	struct conf_identity *identities;
	size_t identities_count;
	struct conf_listener *listeners;
	size_t listeners_count;
};

/*
 * Reads a configuration; %NULL if there is something wrong with it, and all of
 * that is in @errors, a line each.  No certificate is opened.
 */
struct conf *conf_read(const char *path, FILE *errors);
/* Whether the files that it names are there, of the right kind; likewise. */
bool conf_check_files(const struct conf *conf, FILE *errors);
void conf_free(struct conf *conf);

/*
 * The addresses as the configuration has them: "192.0.2.1:443", "[2001:db8::1]:443",
 * "*:443" (all of IPv6 and IPv4), "unix:/run/app.sock", "unix:@abstract".  With
 * @resolve names too: "example.org:443", whose first address is taken.  %NULL, or
 * what is wrong, in @wrong.
 */
const char *address_parse(struct address *address, const char *text, bool resolve,
			  char *wrong, size_t size);
/* Whether sockets that listen on both get in each other's way. */
bool address_overlaps(const struct address *a, const struct address *b);
bool address_equal(const struct address *a, const struct address *b);
/* "*": of IPv6 and IPv4. */
bool address_is_any(const struct address *address);

#endif /* CONF_H */
