/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef STATUS_H
#define STATUS_H

#include <stddef.h>

struct json_object;
struct supervisor;

/* All that the supervisor knows, for the control socket. */
struct json_object *status_json(const struct supervisor *s);
/* Bytes that others chose as a string of JSON: what is not UTF-8 becomes '?'. */
struct json_object *status_string(const char *text, size_t len);

#endif /* STATUS_H */
