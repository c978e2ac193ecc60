/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef STATUS_H
#define STATUS_H

#include <stddef.h>

#include <stdint.h>

#include "counters.h"

struct json_object;
struct supervisor;

/* Room for a serial in hexadecimal. */
#define STATUS_SERIAL 41

/* All that the supervisor knows, for the control socket. */
struct json_object *status_json(const struct supervisor *s);
/* Bytes that others chose as a string of JSON: what is not UTF-8 becomes '?'. */
struct json_object *status_string(const char *text, size_t len);

void status_serial(char text[STATUS_SERIAL], const uint8_t *serial, uint32_t len);
/* What all workers have counted, those that are gone, too. */
void status_counters(const struct supervisor *s, struct counters *total);

#endif /* STATUS_H */
