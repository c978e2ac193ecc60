// SPDX-License-Identifier: GPL-2.0-or-later
/* The counters of workers, by name. */
#include <stddef.h>
#include <sys/mman.h>

#include "counters.h"
#include "ktlsd.h"

#define COUNTER_ROW(name, doc) { #name, doc, offsetof(struct counters, name), false },
#define GAUGE_ROW(name, doc) { #name, doc, offsetof(struct counters, name), true },

const struct counter counters_table[] = {
	COUNTERS(COUNTER_ROW, GAUGE_ROW)
};

const unsigned int counters_count = ARRAY_SIZE(counters_table);

static uint64_t *field(struct counters *c, const struct counter *which)
{
	return (uint64_t *)((char *)c + which->offset);
}

uint64_t counters_get(const struct counters *c, const struct counter *which)
{
	return __atomic_load_n((const uint64_t *)((const char *)c + which->offset),
			       __ATOMIC_RELAXED);
}

void counters_add(struct counters *to, const struct counters *from, bool gauges)
{
	unsigned int i;

	for (i = 0; i < counters_count; i++)
		if (gauges || !counters_table[i].gauge)
			*field(to, &counters_table[i]) +=
				counters_get(from, &counters_table[i]);
}

void counters_clear_gauges(struct counters *c)
{
	unsigned int i;

	for (i = 0; i < counters_count; i++)
		if (counters_table[i].gauge)
			*field(c, &counters_table[i]) = 0;
}

struct counters *counters_new(void)
{
	void *memory = mmap(NULL, sizeof(struct counters), PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	return memory == MAP_FAILED ? NULL : memory;
}

void counters_free(struct counters *c)
{
	if (c)
		munmap(c, sizeof(*c));
}
