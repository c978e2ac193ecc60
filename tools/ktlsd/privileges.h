/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a process may do, given up for good. */
#ifndef PRIVILEGES_H
#define PRIVILEGES_H

#include <stdbool.h>
#include <stdint.h>

/*
 * Becomes @user, with its groups, and without a capability but those of @keep (bits of
 * 1 << CAP_...); nothing that it executes gets more.  Who is not root stays who it is.
 * False if that cannot be, which has been logged.
 */
bool privileges_drop(const char *user, uint64_t keep);

#endif /* PRIVILEGES_H */
