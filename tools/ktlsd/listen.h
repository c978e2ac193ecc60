/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Sockets that listen: those that systemd has opened, of before, or new ones. */
#ifndef LISTEN_H
#define LISTEN_H

#include <stdbool.h>
#include <stdio.h>

struct conf;

/*
 * Opens the sockets of all listeners of @conf into @fds.  What @old, which may be
 * %NULL, has in @old_fds is kept, so that no connection in its queue is lost.
 * False if one could not be opened: then none is, and @errors says which.
 */
bool listen_open(const struct conf *conf, int *fds, const struct conf *old,
		 const int *old_fds, FILE *errors);

/*
 * Closes them.  At addresses that @kept, which may be %NULL, has not, nobody listens
 * any more, whichever process has the socket, and the files of Unix sockets go; but
 * what systemd has opened is systemd's.
 */
void listen_close(const struct conf *conf, int *fds, const struct conf *kept);

#endif /* LISTEN_H */
