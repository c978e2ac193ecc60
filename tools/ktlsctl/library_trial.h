/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What another process's libssl would give the kernel, tried. */
#ifndef LIBRARY_TRIAL_H
#define LIBRARY_TRIAL_H

#include "capability.h"

struct build_trial {
	bool done;		/* else nothing below is known but the failure */
	char failure[160];
	char version[64];	/* "OpenSSL 3.0.17", as it calls itself */
	uint32_t number;	/* 0x30000110 */
	bool negotiated[SUITES];
	/* It offered its key, by direction of the server's end. */
	bool asked[SUITES][DIRECTIONS];
};

/*
 * Loads libssl and libcrypto from open files, lets libssl shake hands with
 * itself, and sees which keys it offers to the kernel; none gets there.  The
 * files may be anybody's, so it is done by this program started anew, in the
 * namespaces and the root directory of the process @of, as a user that nobody
 * else is, without capabilities, terminal or other files, and for a few seconds
 * at most.
 */
void try_build(unsigned int of, int libssl, int libcrypto,
	       struct build_trial *trial);

/* What this program is called by itself for that, and then runs. */
#define TRIAL_NAME "ktlsctl-library-trial"

__attribute__((noreturn))
void run_trial(int argc, char **argv);

#endif /* LIBRARY_TRIAL_H */
