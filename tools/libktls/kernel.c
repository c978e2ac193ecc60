// SPDX-License-Identifier: LGPL-2.1-or-later
/* Which kernel this is, and whether it has the fixes of kernel TLS. */
#include <stdio.h>
#include <string.h>

#include "libktls.h"

/* The versions of Debian's series that have them. */
static unsigned int fixed_in(const struct ktls_kernel *k)
{
	if (k->version[0] == 6 && k->version[1] == 1)
		return 192;
	if (k->version[0] == 6 && k->version[1] == 12)
		return 115;
	return 0;
}

/*
 * "Linux version 6.12.115-amd64 (debian-kernel@lists.debian.org) (gcc ...) #1
 * SMP PREEMPT_DYNAMIC Debian 6.12.115-1 (2026-10-02)": the release may stand
 * still while the package goes on, as 6.1.0-49-amd64 does.  A kernel of one's
 * own has Debian's compiler at most.
 */
void ktls_parse_kernel(const char *text, struct ktls_kernel *k)
{
	const char *s = strchr(text, '#');

	memset(k, 0, sizeof(*k));
	if (!s || !strstr(text, "(debian-kernel@lists.debian.org)"))
		return;
	s = strstr(s, " Debian ");
	if (!s || sscanf(s, " Debian %u.%u.%u", &k->version[0], &k->version[1],
			 &k->version[2]) != 3)
		return;
	k->is_debian = true;
	k->fixed = fixed_in(k);
}

void ktls_get_kernel(struct ktls_kernel *k)
{
	FILE *file = fopen("/proc/version", "re");
	char text[1024] = "";

	if (file) {
		if (!fgets(text, sizeof(text), file))
			*text = '\0';
		fclose(file);
	}
	ktls_parse_kernel(text, k);
}
