/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The header of the PROXY protocol, version 2: what a backend is told of the client
 * and of its TLS before the client's first byte.
 */
#ifndef PROXY_H
#define PROXY_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

#define PROXY_MAX 4096

/* Strings are %NULL where there is nothing to tell. */
struct proxy_client {
	const struct sockaddr *source;		/* the client */
	const struct sockaddr *destination;	/* where it connected to */
	const unsigned char *alpn;		/* the protocol chosen */
	size_t alpn_len;
	const char *server_name;		/* that it asked for */
	const char *version;			/* "TLSv1.3" */
	const char *cipher;
	const char *common_name;		/* of its certificate, UTF-8 */
	bool certificate;			/* shown on this connection */
	bool session_certificate;		/* or on one that this one resumes */
	bool verified;				/* successfully */
};

/*
 * Returns the header's length, or 0 if it would be longer than @size.  Without two
 * addresses of one family of TCP it is one that says so and has nothing else.
 */
size_t proxy_header(const struct proxy_client *client, unsigned char *header,
		    size_t size);

#endif /* PROXY_H */
