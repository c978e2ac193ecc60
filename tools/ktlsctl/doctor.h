/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The checklist of ktlsctl doctor, and who fills it. */
#ifndef DOCTOR_H
#define DOCTOR_H

#include "capability.h"
#include "host.h"

enum state {
	STATE_OK,
	STATE_PROBLEM,
	STATE_UNKNOWN,		/* could not be looked at, or decides nothing */
};

struct checklist;

/* The next item; items of an area follow each other.  Says what was read. */
__attribute__((format(printf, 5, 6)))
void add_item(struct checklist *list, const char *area, const char *name,
	      enum state state, const char *evidence, ...);
/* What to do about the latest. */
__attribute__((format(printf, 2, 3)))
void add_fix(struct checklist *list, const char *fix, ...);

/* What several of them look at; all of it was read before anything is tried. */
struct findings {
	enum answer has_tls;	/* is there a TLS to attach now? */
	const char *has_tls_from;	/* who says so */
	char *tls_stat;		/* of this namespace, or %NULL */
	int tls_stat_error;
	struct processes processes;
	struct capability capabilities[SUITES];
};

/* check_kernel.c */
void check_kernel(struct checklist *list, const struct findings *f);
void check_modules(struct checklist *list, const struct findings *f);
void check_crypto(struct checklist *list, const struct findings *f);

/* check_library.c */
void check_library(struct checklist *list, const struct findings *f);

/* check_servers.c */
void check_servers(struct checklist *list, const struct findings *f);
void check_counters(struct checklist *list, const struct findings *f);
void check_devices(struct checklist *list);

#endif /* DOCTOR_H */
