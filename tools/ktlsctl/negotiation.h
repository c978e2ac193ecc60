/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a TLS server agrees to. */
#ifndef NEGOTIATION_H
#define NEGOTIATION_H

#include "capability.h"
#include "endpoint.h"

#define NAME_LEN 64
#define FAILURE_LEN 320
#define SUBJECT_LEN 512
#define CHAIN_MAX 10

/* What to ask a server for. */
struct question {
	struct endpoint endpoint;
	int family;
	const char *sni;	/* "" for none */
	unsigned char alpn[256];	/* as on the wire */
	size_t alpn_len;
	const char *ca;		/* file, or %NULL for the system's */
	double timeout;		/* seconds, for each connection */
};

struct certificate {
	char subject[SUBJECT_LEN];
	char issuer[SUBJECT_LEN];
	int64_t not_before;	/* seconds since the epoch */
	int64_t not_after;
};

struct chain {
	size_t count;		/* as the server sent it */
	struct certificate list[CHAIN_MAX];
	char *names;		/* subject alternative names, or %NULL */
	long verify;		/* X509_V_OK, or why not to be trusted */
	const char *name;	/* that it was compared with */
	bool name_matches;
};

/* The server's end of the connection. */
struct server_end {
	enum {
		END_ELSEWHERE,		/* another host has it */
		END_HIDDEN,		/* no ktls.ko to ask, or no right to */
		END_IN_USER_SPACE,	/* no kTLS socket of this namespace */
		END_IN_KERNEL,
	} state;
	uint32_t mode[DIRECTIONS];	/* enum ktls_mode */
};

/* Looks for it with the module, while @fd is connected. */
void find_server_end(int fd, struct server_end *end);

struct negotiation {
	bool done;
	bool refused;		/* not done, as the server did not want to */
	bool alerted;		/* and said so */
	bool chosen;		/* not done, but the server had chosen a cipher */
	bool disliked;		/* or as libssl did not, here */
	char failure[FAILURE_LEN];	/* a line, unless done */
	uint16_t version;	/* on the wire */
	uint16_t cipher;	/* enum ktls_cipher, or 0 for another */
	char version_name[NAME_LEN];	/* as OpenSSL calls them */
	char suite[NAME_LEN];
	char group[NAME_LEN];	/* "" where there is none */
	char alpn[256];		/* "" for none */
	char compression[NAME_LEN];	/* "" for none */
	uint64_t received;	/* bytes of all that the server sent */
	unsigned int tickets;	/* for resumption */
	unsigned long ticket_seconds;	/* how long they are good for */
	struct chain chain;
	struct server_end end;
};

/*
 * Shakes hands with a server: with @suite only, or if %NULL as libssl does by
 * itself, with what goes with it (certificates, tickets).  @anything: also what
 * it would not take by itself.  @address is kept from one call to the next.
 */
void negotiate(const struct question *question, const struct suite *suite,
	       bool anything, struct address *address, struct negotiation *n);
void free_negotiation(struct negotiation *n);

/*
 * Whether what was negotiated can be on kernel TLS at this host, in a
 * direction, and why not.
 */
enum answer judge(const struct negotiation *n,
		  const struct capability all[SUITES], int direction,
		  char why[WHY_LEN]);

/* Names, divided by commas, as on the wire; complains. */
enum status parse_alpn(const char *s, struct question *question);

/* Certificates, in certificate.c */

struct ssl_st;
/* @name: what it is to be good for. */
void read_chain(struct ssl_st *ssl, const char *name, struct chain *chain);
/* What s_client says about a verification. */
const char *verify_text(long verify);

#endif /* NEGOTIATION_H */
