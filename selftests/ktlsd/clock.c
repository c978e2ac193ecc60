// SPDX-License-Identifier: GPL-2.0
/*
 * To be preloaded: a monotonic clock that can be put forward. The file that
 * KTLSD_CLOCK names holds by how many seconds, 8 bytes as this machine has them.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static const volatile long *ahead;

__attribute__((constructor))
static void begin(void)
{
	const char *path = getenv("KTLSD_CLOCK");
	int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	void *memory;

	if (fd < 0)
		return;
	memory = mmap(NULL, sizeof(*ahead), PROT_READ, MAP_SHARED, fd, 0);
	close(fd);
	if (memory != MAP_FAILED)
		ahead = memory;
}

int clock_gettime(clockid_t clock, struct timespec *now)
{
	int ret = syscall(SYS_clock_gettime, clock, now);

	if (!ret && clock == CLOCK_MONOTONIC && ahead)
		now->tv_sec += *ahead;
	return ret;
}
