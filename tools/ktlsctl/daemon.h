/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What ktlsd answers. */
#ifndef DAEMON_H
#define DAEMON_H

#include <stdint.h>

#include "ktlsctl.h"

struct json_object;

/* Asks ktlsd; complains if it cannot.  @answer: to be put back by the caller. */
enum status daemon_ask(const char *command, struct json_object **answer);

/* A part of an answer, whatever the daemon said: %NULL, 0 or "-" if it is absent. */
struct json_object *daemon_get(struct json_object *o, const char *key);
uint64_t daemon_number(struct json_object *o, const char *key);
/* Fit for a terminal; good until the fourth call after it. */
const char *daemon_text(struct json_object *o, const char *key);

/* Prints the connections of an answer, with what the module knows of them. */
enum status daemon_connections(struct json_object *answer);

#endif /* DAEMON_H */
