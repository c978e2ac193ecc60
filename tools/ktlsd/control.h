/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The control socket: a client sends one line, a command, and is answered with a
 * line of JSON.  An object with "error" says what went wrong.
 */
#ifndef CONTROL_H
#define CONTROL_H

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct control;
struct json_object;

#define CONTROL_CLIENTS 16

enum control_command {
	CONTROL_STATUS,
	CONTROL_RELOAD,
	CONTROL_DRAIN,
	CONTROL_CONNECTIONS,
	CONTROL_METRICS,
};

/*
 * %NULL if it cannot be: @errors says why.  @ask is called with each command; the
 * answer may come later.
 */
struct control *control_open(const char *path,
			     void (*ask)(void *arg, uint64_t client,
					 enum control_command command),
			     void *arg, FILE *errors);
void control_close(struct control *control);

/* Fills in what to wait for, at most 1 + CONTROL_CLIENTS; and when at the latest. */
size_t control_poll(const struct control *control, struct pollfd *fds, uint64_t *until);
void control_handle(struct control *control, const struct pollfd *fds, size_t count);

/* Takes the answer over; a client that is gone is none. */
void control_answer(struct control *control, uint64_t client, struct json_object *answer);
/* {"error": ...} */
__attribute__((format(printf, 1, 2)))
struct json_object *control_error(const char *format, ...);

#endif /* CONTROL_H */
