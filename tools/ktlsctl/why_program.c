// SPDX-License-Identifier: GPL-2.0-or-later
/* Why a program does not ask for kernel TLS. */
#include "why.h"

void judge_program(struct connection *c, int direction, bool proven)
{
	struct finding *f = &c->finding[direction];

	conclude(f, proven ? VERDICT_NEVER_ASKED : VERDICT_UNKNOWN, "unknown",
		 proven ? "the program did not ask for it" :
			  "whether the program asked for it is not known");
}
