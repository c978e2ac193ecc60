/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a worker gives up before it meets anybody. */
#ifndef SANDBOX_H
#define SANDBOX_H

#include <stdbool.h>

/*
 * Becomes @user, where it may, without privileges and without a way to new ones.
 * False after a line in the log.
 */
bool sandbox_become(const char *user);

/*
 * Only the calls of a worker from now on: it moves bytes between descriptors
 * that it is given.  Any other ends the process.  False after a line in the log.
 */
bool sandbox_close(void);

#endif /* SANDBOX_H */
