/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What systemd is told, and what it hands on; without it nothing of that happens. */
#ifndef NOTIFY_H
#define NOTIFY_H

#include <stddef.h>
#include <stdint.h>

/* Takes the environment in; once. */
void notify_init(void);

/* "READY=1", with newlines between several. */
__attribute__((format(printf, 1, 2)))
void notify(const char *format, ...);

/* How often it wants to hear WATCHDOG=1, in nanoseconds; 0: it does not. */
uint64_t notify_watchdog(void);

/* The sockets that it has opened for us: @count from @first on. */
void notify_sockets(int *first, size_t *count);

#endif /* NOTIFY_H */
