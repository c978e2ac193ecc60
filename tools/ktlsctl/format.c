// SPDX-License-Identifier: GPL-2.0-or-later
/* Values as people read them. */
#include <arpa/inet.h>
#include <inttypes.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "ktlsctl.h"

/*
 * At most four digits and a unit, rounded, never "1000k" or "1024M" where the
 * next unit says the same.
 */
static const char *human(char buffer[NUMBER_LEN], uint64_t value,
			 unsigned int base, const char *units)
{
	unsigned int unit = 0;
	/* In tenths, to round in integers. */
	uint64_t whole = value, rest = 0, tenths;

	if (opt.exact || value < base) {
		snprintf(buffer, NUMBER_LEN, "%" PRIu64, value);
		return buffer;
	}
	while (whole >= base) {
		rest = whole % base;
		whole /= base;
		unit++;
	}
	tenths = whole * 10 + (rest * 10 + base / 2) / base;
	if (tenths >= 100 || whole >= 10) {
		whole += rest * 2 >= base;
		if (whole < base) {
			snprintf(buffer, NUMBER_LEN, "%" PRIu64 "%c", whole,
				 units[unit - 1]);
			return buffer;
		}
		unit++;
		tenths = 10;
	}
	snprintf(buffer, NUMBER_LEN, "%" PRIu64 ".%" PRIu64 "%c", tenths / 10,
		 tenths % 10, units[unit - 1]);
	return buffer;
}

const char *format_count(char buffer[NUMBER_LEN], uint64_t value)
{
	return human(buffer, value, 1000, "kMGTPE");
}

const char *format_bytes(char buffer[NUMBER_LEN], uint64_t value)
{
	return human(buffer, value, 1024, "KMGTPE");
}

const char *format_addr(char buffer[ADDR_LEN], uint16_t family,
			const uint8_t *addr, uint16_t port)
{
	char text[INET6_ADDRSTRLEN];

	if (family == AF_INET6) {
		inet_ntop(AF_INET6, addr, text, sizeof(text));
		snprintf(buffer, ADDR_LEN, "[%s]:%u", text, port);
	} else {
		inet_ntop(AF_INET, addr, text, sizeof(text));
		snprintf(buffer, ADDR_LEN, "%s:%u", text, port);
	}
	return buffer;
}

const char *format_local(char buffer[ADDR_LEN], const struct ktls_socket *s)
{
	return format_addr(buffer, s->family, s->local_addr, s->local_port);
}

const char *format_remote(char buffer[ADDR_LEN], const struct ktls_socket *s)
{
	return format_addr(buffer, s->family, s->remote_addr, s->remote_port);
}

void clean_text(char *text)
{
	unsigned char *s = (unsigned char *)text;

	for (; *s; s++)
		if (*s < ' ' || *s >= 0x7f)
			*s = '?';
}

const char *format_comm(char buffer[KTLS_COMM_LEN], const char *comm)
{
	size_t i;

	for (i = 0; i < KTLS_COMM_LEN - 1 && comm[i]; i++)
		buffer[i] = comm[i] > ' ' && comm[i] < 0x7f ? comm[i] :
			    comm[i] == ' ' ? '_' : '?';
	buffer[i] = '\0';
	return buffer;
}

const char *format_pid(char buffer[PROCESS_LEN], uint32_t pid,
		       const char *comm)
{
	char clean[KTLS_COMM_LEN];

	if (!comm[0])
		snprintf(buffer, PROCESS_LEN, "-");
	else if (!pid)
		snprintf(buffer, PROCESS_LEN, "%s", format_comm(clean, comm));
	else
		snprintf(buffer, PROCESS_LEN, "%u/%s", pid,
			 format_comm(clean, comm));
	return buffer;
}

const char *format_process(char buffer[PROCESS_LEN],
			   const struct ktls_socket *s)
{
	return format_pid(buffer, s->pid, s->comm);
}

const char *format_user(char buffer[NUMBER_LEN], uint32_t uid)
{
	const struct passwd *user = getpwuid(uid);

	if (user && strlen(user->pw_name) < NUMBER_LEN)
		strcpy(buffer, user->pw_name);
	else
		snprintf(buffer, NUMBER_LEN, "%u", uid);
	return buffer;
}

const char *format_version(char buffer[NUMBER_LEN], uint16_t version)
{
	switch (version) {
	case 0:
		return "-";
	case KTLS_VERSION_TLS_1_2:
		return "1.2";
	case KTLS_VERSION_TLS_1_3:
		return "1.3";
	}
	snprintf(buffer, NUMBER_LEN, "%#x", version);
	return buffer;
}

const char *format_cipher(char buffer[NUMBER_LEN], uint16_t cipher)
{
	const char *name = ktls_cipher_name(cipher);

	if (name)
		return name;
	if (!cipher)
		return "-";
	snprintf(buffer, NUMBER_LEN, "cipher-%u", cipher);
	return buffer;
}

const char *format_mode(char buffer[NUMBER_LEN], uint32_t mode)
{
	const char *name = ktls_mode_name(mode);

	if (name)
		return name;
	snprintf(buffer, NUMBER_LEN, "%u", mode);
	return buffer;
}

const char *format_seconds(char buffer[TIME_LEN], int64_t seconds)
{
	time_t t = seconds;
	struct tm tm;

	if (!localtime_r(&t, &tm) ||
	    !strftime(buffer, TIME_LEN, "%Y-%m-%d %H:%M:%S", &tm))
		snprintf(buffer, TIME_LEN, "%" PRId64 " s", seconds);
	return buffer;
}

static bool local_time(struct tm *tm, uint64_t ns)
{
	time_t seconds = ns / 1000000000;

	return localtime_r(&seconds, tm);
}

const char *format_clock(char buffer[TIME_LEN], uint64_t ns)
{
	struct tm tm = { 0 };

	local_time(&tm, ns);
	snprintf(buffer, TIME_LEN, "%02d:%02d:%02d.%03u", tm.tm_hour, tm.tm_min,
		 tm.tm_sec, (unsigned int)(ns / 1000000 % 1000));
	return buffer;
}

const char *format_when(char buffer[TIME_LEN], uint64_t ns)
{
	struct tm tm = { 0 }, today = { 0 };

	if (!local_time(&tm, ns) || !local_time(&today, now_ns()))
		snprintf(buffer, TIME_LEN, "%" PRIu64 " s", ns / 1000000000);
	else if (tm.tm_year == today.tm_year && tm.tm_yday == today.tm_yday)
		strftime(buffer, TIME_LEN, "%H:%M:%S", &tm);
	else
		strftime(buffer, TIME_LEN, "%Y-%m-%d %H:%M:%S", &tm);
	return buffer;
}

const char *format_verdict(char buffer[NUMBER_LEN], int32_t action,
			   uint32_t rule, uint32_t flags)
{
	const char *name = action < 0 ? NULL : ktls_action_name(action);

	if (action < 0)
		return "-";
	if (flags & KTLS_ATTEMPT_FLAGS_DRY_RUN)
		name = "dry-run";
	if (rule)
		snprintf(buffer, NUMBER_LEN, "%s %u", name ?: "?", rule);
	else
		snprintf(buffer, NUMBER_LEN, "%s default", name ?: "?");
	return buffer;
}

const char *format_time(char buffer[TIME_LEN], uint64_t ns)
{
	return format_seconds(buffer, ns / 1000000000);
}

const char *format_duration(char buffer[NUMBER_LEN], uint64_t ns)
{
	uint64_t s = ns / 1000000000;

	if (s < 60)
		snprintf(buffer, NUMBER_LEN, "%" PRIu64 "s", s);
	else if (s < 3600)
		snprintf(buffer, NUMBER_LEN, "%" PRIu64 "m%02" PRIu64 "s",
			 s / 60, s % 60);
	else if (s < 86400)
		snprintf(buffer, NUMBER_LEN, "%" PRIu64 "h%02" PRIu64 "m",
			 s / 3600, s / 60 % 60);
	else
		snprintf(buffer, NUMBER_LEN, "%" PRIu64 "d%02" PRIu64 "h",
			 s / 86400, s / 3600 % 24);
	return buffer;
}

uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return ts.tv_sec * 1000000000ull + ts.tv_nsec;
}
