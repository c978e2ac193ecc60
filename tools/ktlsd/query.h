/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The question which connections there are, put to all workers. */
#ifndef QUERY_H
#define QUERY_H

#include <stdint.h>

struct generation;
struct message;
struct process;
struct supervisor;

/* Asks for a client, or joins those that wait for a question to begin. */
void query_ask(struct supervisor *s, uint64_t client);
/* A part of the answer. */
void query_heard(struct supervisor *s, struct generation *g, struct process *p,
		 const struct message *m);
/* A worker that answers no more. */
void query_gone(struct supervisor *s, const struct process *p);
/* Answers if time is over; when that is, or %UINT64_MAX. */
uint64_t query_until(struct supervisor *s);
void query_check(struct supervisor *s, uint64_t now);

#endif /* QUERY_H */
