/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the commands share that ask a server. */
#ifndef PROBE_H
#define PROBE_H

#include "negotiation.h"

/* From the command line and its options; complains. */
enum status make_question(const char *endpoint, struct question *question);

#endif /* PROBE_H */
