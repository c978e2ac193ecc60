// SPDX-License-Identifier: GPL-2.0-or-later
/* Lines for the operator. */
#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "ktlsd.h"

static char process[16];

/* systemd says which file the journal is: standard error may have been moved. */
static bool stderr_is_journal(void)
{
	static int known;
	unsigned long long dev, ino;
	const char *stream;
	struct stat st;

	if (!known) {
		stream = getenv("JOURNAL_STREAM");
		known = stream && sscanf(stream, "%llu:%llu", &dev, &ino) == 2 &&
			!fstat(STDERR_FILENO, &st) &&
			st.st_dev == dev && st.st_ino == ino ? 1 : -1;
	}
	return known > 0;
}

/* What others can cause at will must not fill the disk: so many lines a second. */
#define OFTEN 20

static bool is_too_often(int priority)
{
	static unsigned int said, left_out;
	static uint64_t begin;
	uint64_t now;

	if (priority < LOG_INFO)
		return false;
	now = monotonic_ns();
	if (now - begin >= 1000000000) {
		unsigned int n = left_out;

		begin = now;
		said = 0;
		left_out = 0;
		if (n)
			log_line(LOG_NOTICE, "%u lines like those before were left out",
				 n);
	}
	if (said++ < OFTEN)
		return false;
	left_out++;
	return true;
}

void log_line(int priority, const char *format, ...)
{
	char text[2048], line[sizeof(text) + 64];
	int saved = errno;
	va_list ap;
	ssize_t n;
	int len;
	char *c;

	if (is_too_often(priority))
		return;
	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	for (c = text; *c; c++) {
		/* UTF-8 is as it came. */
		if (iscntrl((unsigned char)*c))
			*c = '?';
	}
	if (stderr_is_journal())
		len = snprintf(line, sizeof(line), "<%d>", priority);
	else
		len = snprintf(line, sizeof(line), "ktlsd: ");
	if (process[0])
		len += snprintf(line + len, sizeof(line) - len, "%s: ", process);
	len += snprintf(line + len, sizeof(line) - len, "%s\n", text);
	/* In one piece, so that the lines of several processes stay apart. */
	do {
		n = write(STDERR_FILENO, line, len);
	} while (n < 0 && errno == EINTR);
	errno = saved;
}

void log_name(const char *name)
{
	char comm[16];

	snprintf(process, sizeof(process), "%s", name);
	snprintf(comm, sizeof(comm), "ktlsd-%s", name);
	prctl(PR_SET_NAME, comm);
	/* It is a file's name, which a sandbox may not let us ask for later. */
	stderr_is_journal();
}

uint64_t monotonic_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * UINT64_C(1000000000) + t.tv_nsec;
}
