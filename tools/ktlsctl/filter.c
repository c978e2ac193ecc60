// SPDX-License-Identifier: GPL-2.0-or-later
/* Which sockets: "dport 443 cipher aes-gcm-128". */
#include <errno.h>
#include <pwd.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "ktlsctl.h"

const char filter_help[] =
	"FILTER: all of these must hold\n"
	"  port N            either end's port\n"
	"  sport N           port of this end\n"
	"  dport N           port of the other end\n"
	"  tx | rx           this direction is on kernel TLS; mode, version and\n"
	"                    cipher are about it alone\n"
	"  mode MODE         sw, hw or none\n"
	"  version VERSION   1.2 or 1.3\n"
	"  cipher CIPHER     aes-gcm-128, aes-gcm-256, aes-ccm-128,\n"
	"                    chacha20-poly1305, sm4-gcm, sm4-ccm, aria-gcm-128,\n"
	"                    aria-gcm-256\n"
	"  pid N             process that installed the key\n"
	"  uid USER          owner of the socket, by name or number\n"
	"  cgroup PATH       cgroup (v2) that the socket was made in, but not\n"
	"                    its children: /system.slice/nginx.service\n";

bool parse_number(const char *s, uint64_t max, uint64_t *value)
{
	char *end;

	/* strtoull() takes signs and spaces, too. */
	if (*s < '0' || *s > '9')
		return false;
	errno = 0;
	*value = strtoull(s, &end, 10);
	return !errno && !*end && *value <= max;
}

static enum status parse_port(const char *key, const char *s, uint16_t *port)
{
	uint64_t value;

	if (!parse_number(s, UINT16_MAX, &value))
		return error(STATUS_USAGE,
			     "%s takes a port number from 0 to 65535, not \"%s\"",
			     key, s);
	*port = value;
	return STATUS_OK;
}

/*
 * Values with names: those of the range [first, last] that have one, as the
 * message about a bad one lists them.
 */
static enum status parse_name(const char *key, const char *s,
			      const char *(*name_of)(unsigned int),
			      unsigned int first, unsigned int last,
			      unsigned int *value)
{
	char list[256] = "";
	unsigned int i;
	size_t len;

	for (i = first; i <= last; i++) {
		const char *name = name_of(i);

		if (!strcmp(name, s)) {
			*value = i;
			return STATUS_OK;
		}
		len = strlen(list);
		snprintf(list + len, sizeof(list) - len, "%s%s",
			 i == first ? "" : i == last ? " or " : ", ", name);
	}
	return error(STATUS_USAGE, "%s takes %s, not \"%s\"", key, list, s);
}

static const char *version_name(unsigned int version)
{
	char unused[NUMBER_LEN];

	return format_version(unused, version);
}

static enum status parse_user(const char *s, uint32_t *uid)
{
	const struct passwd *user;
	uint64_t value;

	/* The highest number means "none" to the kernel. */
	if (parse_number(s, UINT32_MAX - 1, &value)) {
		*uid = value;
		return STATUS_OK;
	}
	user = getpwnam(s);
	if (!user)
		return error(STATUS_USAGE,
			     "uid takes a user's name or number; there is no user \"%s\"",
			     s);
	*uid = user->pw_uid;
	return STATUS_OK;
}

static bool on_cgroup2(const char *path)
{
	struct statfs fs;

	return !statfs(path, &fs) && fs.f_type == CGROUP2_SUPER_MAGIC;
}

static enum status parse_cgroup(const char *s, uint64_t *id)
{
	/* The second is where hosts with both versions have it. */
	static const char *const roots[] = {
		"", "/sys/fs/cgroup", "/sys/fs/cgroup/unified",
	};
	char path[PATH_MAX];
	struct stat st;
	bool any = false;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(roots); i++) {
		if (i && on_cgroup2(roots[i]))
			any = true;
		if ((size_t)snprintf(path, sizeof(path), "%s%s%s", roots[i],
				     *s == '/' || !i ? "" : "/", s) >=
		    sizeof(path))
			continue;
		if (on_cgroup2(path) && !stat(path, &st) &&
		    S_ISDIR(st.st_mode)) {
			*id = st.st_ino;
			return STATUS_OK;
		}
	}
	if (!any)
		return error(STATUS_USAGE,
			     "cgroup: no cgroup (v2) file system is mounted at /sys/fs/cgroup");
	return error(STATUS_USAGE,
		     "cgroup takes the path of a cgroup (v2) as systemd-cgls shows it; there is no \"%s\"",
		     s);
}

enum status parse_filter(int argc, char **argv, struct ktls_filter *f)
{
	enum status status;
	unsigned int value = 0;
	uint64_t number;
	uint32_t bit;
	int i;

	*f = (struct ktls_filter){ 0 };
	for (i = 0; i < argc; i++) {
		const char *key = argv[i];
		const char *word = i + 1 < argc ? argv[i + 1] : NULL;

		if (!strcmp(key, "tx") || !strcmp(key, "rx")) {
			if (f->match & KTLS_MATCH(DIRECTION))
				return error(STATUS_USAGE,
					     "tx and rx cannot be asked for at once");
			f->match |= KTLS_MATCH(DIRECTION);
			f->direction = *key == 't' ? KTLS_DIRECTION_TX :
						     KTLS_DIRECTION_RX;
			continue;
		}
		if (!strcmp(key, "port"))
			bit = KTLS_MATCH(PORT);
		else if (!strcmp(key, "sport"))
			bit = KTLS_MATCH(LOCAL_PORT);
		else if (!strcmp(key, "dport"))
			bit = KTLS_MATCH(REMOTE_PORT);
		else if (!strcmp(key, "mode"))
			bit = KTLS_MATCH(MODE);
		else if (!strcmp(key, "version"))
			bit = KTLS_MATCH(VERSION);
		else if (!strcmp(key, "cipher"))
			bit = KTLS_MATCH(CIPHER);
		else if (!strcmp(key, "pid"))
			bit = KTLS_MATCH(PID);
		else if (!strcmp(key, "uid"))
			bit = KTLS_MATCH(UID);
		else if (!strcmp(key, "cgroup"))
			bit = KTLS_MATCH(CGROUP_ID);
		else
			return error(STATUS_USAGE,
				     "\"%s\" is no filter; filters are port, sport, dport, tx, rx, mode, version, cipher, pid, uid and cgroup",
				     key);
		if (f->match & bit)
			return error(STATUS_USAGE, "%s is given twice", key);
		if (!word)
			return error(STATUS_USAGE, "%s wants a value", key);
		f->match |= bit;
		i++;

		status = STATUS_OK;
		switch (bit) {
		case KTLS_MATCH(PORT):
			status = parse_port(key, word, &f->port);
			break;
		case KTLS_MATCH(LOCAL_PORT):
			status = parse_port(key, word, &f->local_port);
			break;
		case KTLS_MATCH(REMOTE_PORT):
			status = parse_port(key, word, &f->remote_port);
			break;
		case KTLS_MATCH(MODE):
			status = parse_name(key, word, ktls_mode_name,
					    KTLS_MODE_NONE, KTLS_MODE_HW,
					    &value);
			f->mode = value;
			break;
		case KTLS_MATCH(VERSION):
			status = parse_name(key, word, version_name,
					    KTLS_VERSION_TLS_1_2,
					    KTLS_VERSION_TLS_1_3, &value);
			f->version = value;
			break;
		case KTLS_MATCH(CIPHER):
			status = parse_name(key, word, ktls_cipher_name,
					    KTLS_CIPHER_AES_GCM_128,
					    KTLS_CIPHER_ARIA_GCM_256, &value);
			f->cipher = value;
			break;
		case KTLS_MATCH(PID):
			if (!parse_number(word, INT_MAX, &number) || !number)
				return error(STATUS_USAGE,
					     "pid takes the number of a process, not \"%s\"",
					     word);
			f->pid = number;
			break;
		case KTLS_MATCH(UID):
			status = parse_user(word, &f->uid);
			break;
		case KTLS_MATCH(CGROUP_ID):
			status = parse_cgroup(word, &f->cgroup_id);
			break;
		}
		if (status)
			return status;
	}
	return STATUS_OK;
}
