/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Requests to the kernel's sock_diag, which knows all TCP connections. */
#ifndef SOCK_DIAG_H
#define SOCK_DIAG_H

#include <linux/inet_diag.h>
#include <linux/netlink.h>

#include "ktlsctl.h"

struct diag {
	int fd;			/* of sock_diag_connect() */
	uint32_t seq;
	_Alignas(8) char buffer[64 * 1024];
};

/*
 * Asks with a request about TCP sockets and reads the answer: @fn is called for
 * each socket in it, and may be %NULL.  Returns 0 or a negative errno.
 */
int diag_ask(struct diag *diag, uint16_t type, uint16_t flags,
	     const struct inet_diag_req_v2 *request,
	     void (*fn)(const struct inet_diag_msg *m, size_t len, void *arg),
	     void *arg);

/* What inet_diag knows a socket by, as one number. */
uint64_t diag_cookie(const struct inet_diag_sockid *id);

/* What it means that sock_diag could not do @what. */
enum status diag_explain(const char *what, int err);

#endif /* SOCK_DIAG_H */
