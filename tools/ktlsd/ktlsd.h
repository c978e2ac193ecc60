/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What all parts of ktlsd share. */
#ifndef KTLSD_H
#define KTLSD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <syslog.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/*
 * A line for the operator: to standard error, with the priority in front as systemd
 * wants it if it is the journal.  @priority: LOG_ERR ... LOG_DEBUG.  What comes from
 * others is made printable.
 */
__attribute__((format(printf, 2, 3)))
void log_line(int priority, const char *format, ...);

/* Names the process in its lines, and in ps. */
void log_name(const char *name);

uint64_t monotonic_ns(void);

#endif /* KTLSD_H */
