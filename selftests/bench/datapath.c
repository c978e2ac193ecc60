// SPDX-License-Identifier: GPL-2.0
/* Instructions that a kTLS send and receive take; wants a machine whose time
 * stamp counter counts instructions. Prints a line for each size: size, send,
 * receive; each the median of many.
 */

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <x86intrin.h>

#include "pair.h"

#define ROUNDS	501

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static uint64_t median(uint64_t *v)
{
	qsort(v, ROUNDS, sizeof(*v), compare);
	return v[ROUNDS / 2];
}

static void measure(int fd[2], size_t size)
{
	static uint64_t sent[ROUNDS], received[ROUNDS];
	static char buf[16384];
	int i;

	for (i = -20; i < ROUNDS; i++) {
		uint64_t t[3];

		t[0] = __rdtsc();
		if (send(fd[0], buf, size, 0) != (ssize_t)size)
			err(1, "send");
		t[1] = __rdtsc();
		if (recv(fd[1], buf, size, 0) != (ssize_t)size)
			err(1, "recv");
		t[2] = __rdtsc();
		/* The first rounds warm up. */
		if (i < 0)
			continue;
		sent[i] = t[1] - t[0];
		received[i] = t[2] - t[1];
	}
	printf("%zu %llu %llu\n", size, (unsigned long long)median(sent),
	       (unsigned long long)median(received));
}

int main(void)
{
	int listener = pair_listen(), fd[2];

	pair_connect(listener, fd);
	pair_install(fd[0]);
	pair_install(fd[1]);
	measure(fd, 1000);
	measure(fd, 16384);

	return 0;
}
