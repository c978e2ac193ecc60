// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "ktlsd.h"
#include "privileges.h"

static bool switch_user(const char *user, uint64_t keep)
{
	const struct passwd *pw;

	errno = 0;
	pw = getpwnam(user);
	if (!pw) {
		log_line(LOG_ERR, "There is no user %s to run as: %s", user,
			 errno ? strerror(errno) : "unknown");
		return false;
	}
	if (keep && prctl(PR_SET_KEEPCAPS, 1)) {
		log_line(LOG_ERR, "Cannot keep capabilities: %s", strerror(errno));
		return false;
	}
	if (initgroups(user, pw->pw_gid) ||
	    setresgid(pw->pw_gid, pw->pw_gid, pw->pw_gid) ||
	    setresuid(pw->pw_uid, pw->pw_uid, pw->pw_uid)) {
		log_line(LOG_ERR, "Cannot become user %s: %s", user, strerror(errno));
		return false;
	}
	return true;
}

/* What no program executed later may have; only who has CAP_SETPCAP may say so. */
static void limit(uint64_t keep)
{
	int cap;

	for (cap = 0; cap < 64; cap++)
		if (!(keep >> cap & 1))
			prctl(PR_CAPBSET_DROP, cap);
}

static bool set_capabilities(uint64_t keep)
{
	struct __user_cap_header_struct header = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};
	struct __user_cap_data_struct data[] = {
		{ .effective = keep, .permitted = keep },
		{ .effective = keep >> 32, .permitted = keep >> 32 },
	};

	return !syscall(SYS_capset, &header, data);
}

bool privileges_drop(const char *user, uint64_t keep)
{
	if (!geteuid()) {
		limit(keep);
		if (!switch_user(user, keep))
			return false;
	} else {
		keep = 0;
	}
	/* The ambient ones go with the inheritable ones. */
	if (!set_capabilities(keep) || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)) {
		log_line(LOG_ERR, "Cannot give up privileges: %s", strerror(errno));
		return false;
	}
	return true;
}
