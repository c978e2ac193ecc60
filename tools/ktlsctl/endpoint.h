/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A TLS server on the network, and TCP connections to it. */
#ifndef ENDPOINT_H
#define ENDPOINT_H

#include <sys/socket.h>

#include "ktlsctl.h"

#define HOST_LEN 256
#define HTTPS_PORT 443

/* HOST[:PORT] as the user wrote it. */
struct endpoint {
	char host[HOST_LEN];	/* without brackets */
	uint16_t port;
	bool is_address;	/* not a name */
};

/* Complains if it is none. */
enum status parse_endpoint(const char *s, struct endpoint *endpoint);

/* The port of a URL with https://, or 0 if it is none. */
uint16_t https_port(const char *url);

/* Where its name led to, when it was reached first. */
struct address {
	struct sockaddr_storage addr;
	socklen_t len;		/* 0: not known yet */
	char text[ADDR_LEN];
};

/*
 * Connects until @deadline (monotonic_ns()), trying all addresses of @family
 * (AF_UNSPEC: any) if @address is not known yet.  The socket does not block.
 * @why gets one line if there is none (-1).
 */
int connect_endpoint(const struct endpoint *endpoint, int family,
		     struct address *address, uint64_t deadline, char *why,
		     size_t size);

#endif /* ENDPOINT_H */
