/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the configuration that a running server was started with says of kernel TLS. */
#ifndef SERVER_CONF_H
#define SERVER_CONF_H

#include "capability.h"
#include "host.h"

struct server_conf {
	enum answer asks;	/* does it make libssl ask on such a connection? */
	const char *reason;	/* code if asks == ANSWER_NO, else %NULL */
	char text[WHY_LEN];	/* one sentence: what was found */
	char from[512];		/* file:line, or what was read */
	char next[WHY_LEN];	/* one step to take, or "" */
};

/*
 * False if the process is no server that is known here.  ANSWER_UNKNOWN where
 * virtual servers on the same port differ and the name the client asked for is
 * not known, or where a part could not be read.
 */
bool read_server_conf(const struct process *process, uint16_t family,
		      const uint8_t *local_addr, uint16_t local_port,
		      struct server_conf *conf);

#endif /* SERVER_CONF_H */
