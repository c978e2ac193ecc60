/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How workers know the prover at their door: its connections are served as others
 * are, but lead to no backend, and are not counted.
 */
#ifndef KNOCK_H
#define KNOCK_H

#include <stdbool.h>
#include <sys/socket.h>

/* For the supervisor, before it forks. */
void knock_init(void);
/*
 * For the prover: binds a socket to the address that it is to connect to, which has
 * to be of this host, and makes its port known.  Returns 0 or an errno.
 */
int knock_bind(int fd, const struct sockaddr *to, socklen_t len);
/* No connection is the prover's any more. */
void knock_end(void);
/* For workers: whether this accepted connection is its. */
bool knock_is(int fd);

#endif /* KNOCK_H */
