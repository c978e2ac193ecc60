// SPDX-License-Identifier: GPL-2.0-or-later
/* Values as people write them, on the command line and in files. */
#include <errno.h>
#include <limits.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ktlsctl.h"

bool wrong(struct wrong *w, const char *format, ...)
{
	va_list ap;
	char *c;

	va_start(ap, format);
	vsnprintf(w->text, sizeof(w->text), format, ap);
	va_end(ap);
	/* A file may hold what steers a terminal. */
	for (c = w->text; *c; c++)
		if ((unsigned char)*c < ' ' || *c == 0x7f)
			*c = '?';
	return false;
}

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

bool parse_port(struct wrong *w, const char *key, const char *s,
		uint16_t *port)
{
	uint64_t value;

	if (!parse_number(s, UINT16_MAX, &value))
		return wrong(w, "%s takes a port number from 0 to 65535, not \"%s\"",
			     key, s);
	*port = value;
	return true;
}

/*
 * Values with names: those of the range [first, last] that have one, as the
 * message about a bad one lists them.
 */
static bool parse_name(struct wrong *w, const char *key, const char *s,
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
			return true;
		}
		len = strlen(list);
		snprintf(list + len, sizeof(list) - len, "%s%s",
			 i == first ? "" : i == last ? " or " : ", ", name);
	}
	return wrong(w, "%s takes %s, not \"%s\"", key, list, s);
}

bool parse_mode(struct wrong *w, const char *s, bool none, uint32_t *mode)
{
	return parse_name(w, "mode", s, ktls_mode_name,
			  none ? KTLS_MODE_NONE : KTLS_MODE_SW, KTLS_MODE_HW,
			  mode);
}

static const char *version_name(unsigned int version)
{
	char unused[NUMBER_LEN];

	return format_version(unused, version);
}

bool parse_version(struct wrong *w, const char *s, uint16_t *version)
{
	unsigned int value;

	if (!parse_name(w, "version", s, version_name, KTLS_VERSION_TLS_1_2,
			KTLS_VERSION_TLS_1_3, &value))
		return false;
	*version = value;
	return true;
}

bool parse_cipher(struct wrong *w, const char *s, uint16_t *cipher)
{
	unsigned int value;

	if (!parse_name(w, "cipher", s, ktls_cipher_name,
			KTLS_CIPHER_AES_GCM_128, KTLS_CIPHER_ARIA_GCM_256,
			&value))
		return false;
	*cipher = value;
	return true;
}

bool parse_step(struct wrong *w, const char *key, const char *s,
		uint32_t *step)
{
	return parse_name(w, key, s, ktls_step_name, KTLS_STEP_ULP,
			  KTLS_STEP_REKEY_RX, step);
}

bool parse_action(struct wrong *w, const char *key, const char *s,
		  uint32_t *action)
{
	return parse_name(w, key, s, ktls_action_name, KTLS_ACTION_ALLOW,
			  KTLS_ACTION_AUDIT, action);
}

bool parse_pid(struct wrong *w, const char *s, uint32_t *pid)
{
	uint64_t value;

	if (!parse_number(s, INT_MAX, &value) || !value)
		return wrong(w, "pid takes the number of a process, not \"%s\"",
			     s);
	*pid = value;
	return true;
}

bool parse_user(struct wrong *w, const char *s, uint32_t *uid)
{
	const struct passwd *user;
	uint64_t value;

	/* The highest number means "none" to the kernel. */
	if (parse_number(s, UINT32_MAX - 1, &value)) {
		*uid = value;
		return true;
	}
	user = getpwnam(s);
	if (!user)
		return wrong(w, "uid takes a user's name or number; there is no user \"%s\"",
			     s);
	*uid = user->pw_uid;
	return true;
}

bool parse_comm(struct wrong *w, const char *s, char comm[KTLS_COMM_LEN])
{
	if (!*s)
		return wrong(w, "comm takes the name of a command, not \"\"");
	if (strlen(s) >= KTLS_COMM_LEN)
		return wrong(w, "comm takes the %d bytes that the kernel keeps of a command's name: \"%.*s\", not \"%s\"",
			     KTLS_COMM_LEN - 1, KTLS_COMM_LEN - 1, s, s);
	memset(comm, 0, KTLS_COMM_LEN);
	memcpy(comm, s, strlen(s));
	return true;
}

bool parse_errno(struct wrong *w, const char *s, uint32_t *err)
{
	/* The kernel knows no higher one that user space does. */
	static const struct {
		const char *name;
		uint32_t err;
	} others[] = {
		{ "ok", 0 }, { "other", OTHER_ERRNO },
		{ "EWOULDBLOCK", EWOULDBLOCK }, { "ENOTSUP", ENOTSUP },
	};
	uint64_t value;
	uint32_t i;

	if (parse_number(s, 4095, &value)) {
		*err = value;
		return true;
	}
	for (i = 1; i < OTHER_ERRNO; i++) {
		const char *name = strerrorname_np(i);

		if (name && !strcmp(name, s)) {
			*err = i;
			return true;
		}
	}
	for (i = 0; i < ARRAY_SIZE(others); i++) {
		if (!strcmp(others[i].name, s)) {
			*err = others[i].err;
			return true;
		}
	}
	return wrong(w, "errno takes a name as EPERM, a number, or ok, not \"%s\"",
		     s);
}
