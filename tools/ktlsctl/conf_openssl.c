// SPDX-License-Identifier: GPL-2.0-or-later
/* openssl s_server and s_client: what the command line says. */
#include <stdlib.h>
#include <string.h>

#include "conf_server.h"

/* The most that a record holds, and no less is for kernel TLS. */
#define FRAGMENT 16384

/* "-name", "--name" or "-name=value"; @value: of what follows. */
static bool is_option(const char *arg, const char *name, const char *next,
		      const char **value)
{
	size_t len = strlen(name);

	if (*arg++ != '-')
		return false;
	arg += *arg == '-';
	if (strncmp(arg, name, len) || (arg[len] && arg[len] != '='))
		return false;
	*value = arg[len] ? arg + len + 1 : next ?: "";
	return true;
}

void read_openssl(struct conf_result *r, int argc, char **argv)
{
	enum conf_setting setting = CONF_UNSET;
	const char *value;
	bool implies;
	char yes[2];
	int i;

	if (argc < 2 || (strcmp(argv[1], "s_server") &&
			 strcmp(argv[1], "s_client"))) {
		conf_fail(r->files, "openssl runs neither as s_server nor as s_client");
		return;
	}
	/* Before 3.2, -sendfile takes for granted that somebody asks. */
	implies = conf_find_exe(r->files, "-sendfile depends on -ktls", "",
				yes, sizeof(yes));
	for (i = 2; i < argc; i++) {
		const char *next = i + 1 < argc ? argv[i + 1] : NULL;

		if (is_option(argv[i], "ktls", next, &value) ||
		    is_option(argv[i], "zerocopy_sendfile", next, &value) ||
		    (is_option(argv[i], "sendfile", next, &value) && implies))
			setting = CONF_ON;
		else if (is_option(argv[i], "record_padding", next, &value))
			r->padding = atoi(value) > 1;
		else if (is_option(argv[i], "max_send_frag", next, &value))
			r->fragments = atoi(value) != FRAGMENT;
	}
	conf_add(r, CONF_EXACT, setting, "/proc/PID/cmdline", 1);
}
