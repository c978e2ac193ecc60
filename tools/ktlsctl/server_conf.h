/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the configuration that a running server was started with says. */
#ifndef SERVER_CONF_H
#define SERVER_CONF_H

#include "capability.h"
#include "host.h"

struct server_conf {
	/* Does it make libssl ask for kernel TLS on such a connection? */
	enum answer asks;
	/* A code if it does not, else %NULL. */
	const char *reason;
	/*
	 * A code if @asks is ANSWER_YES, but libssl does not then ask for what
	 * is sent: "record-padding" or "small-fragments".
	 */
	const char *tx_reason;
	/* The server may have made it, so that it need not be TLS. */
	bool outgoing;
	/* Virtual servers that may serve it, which may differ in their ciphers. */
	bool several;
	char text[WHY_LEN];	/* one sentence: what was found */
	char from[512];		/* file:line, or what was read */
	char next[WHY_LEN];	/* one step to take, or "" */
};

/*
 * False if the process is no server that is known here. ANSWER_UNKNOWN where
 * virtual servers on the same port differ and the name the client asked for is
 * not known, or where a part could not be read.
 */
bool read_server_conf(const struct process *process, uint16_t family,
		      const uint8_t *local_addr, uint16_t local_port,
		      struct server_conf *conf);

/* process_cnf.c */

struct conf_files;

/*
 * OpenSSL's configuration as a process has read it; @path gets where that is,
 * and @failure why it is not known.
 */
bool read_process_cnf(struct conf_files *files, const struct mapped *libssl,
		      struct openssl_cnf *cnf);
/* For tests as well: a file, with those that it includes from @include_dir. */
bool read_cnf_file(struct conf_files *files, const char *path,
		   const char *include_dir, struct openssl_cnf *cnf);

#endif /* SERVER_CONF_H */
