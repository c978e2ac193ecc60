/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The key process: the only one that reads private keys. */
#ifndef KEYS_H
#define KEYS_H

#include <stdbool.h>

#include "conf.h"

/* The whole of it, in a process of its own; returns its exit status. */
int keys_run(const struct conf *conf, int supervisor_fd);

/* Gives up what is not needed once all is loaded; false, and a line, if it cannot. */
bool keys_sandbox(void);

#endif /* KEYS_H */
