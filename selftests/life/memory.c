// SPDX-License-Identifier: GPL-2.0
/*
 * What a kTLS socket costs: at most 512 bytes of memory.
 *
 * The sockets are there first. Then the module is loaded and adopts them, so
 * that what the kernel has less of afterwards is the module's, all of it:
 * objects, indices, and what is lost in between.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kselftest_harness.h"

#include "life.h"

#define LIMIT		512

/* Memory in slabs, large allocations and per-CPU areas, bytes. */
static long long memory(void)
{
	unsigned long long value, sum = 0;
	char line[128], name[64];
	FILE *f;

	/* What was freed after a grace period is to be gone. */
	sleep_ms(300);
	f = fopen("/proc/meminfo", "r");
	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%63[^:]: %llu", name, &value) != 2)
			continue;
		if (!strcmp(name, "SUnreclaim") ||
		    !strcmp(name, "VmallocUsed") || !strcmp(name, "Percpu"))
			sum += value * 1024;
	}
	if (f)
		fclose(f);

	return sum;
}

static unsigned long long slab_number(const char *file)
{
	unsigned long long value = 0;
	char path[128];
	FILE *f;

	snprintf(path, sizeof(path), "/sys/kernel/slab/ktls_socket/%s", file);
	f = fopen(path, "r");
	if (f && fscanf(f, "%llu", &value) != 1)
		value = 0;
	if (f)
		fclose(f);

	return value;
}

/* Load, look, unload: what was used while it was loaded. */
static long long used(struct __test_metadata *_metadata, unsigned int sockets)
{
	unsigned int load_ms, exit_ms;
	long long before, with;
	uint64_t begin;

	before = memory();
	begin = now_ms();
	ASSERT_EQ(0, module_load());
	load_ms = now_ms() - begin;
	with = memory();
	EXPECT_EQ(sockets, module_state().open);
	ASSERT_EQ(0, module_unload(unload_limit(), NULL, &exit_ms));
	EXPECT_GE(unload_limit(), exit_ms);
	TH_LOG("%u sockets: %lld kB, load %u ms, unload %u ms", sockets,
	       (with - before) / 1024, load_ms, exit_ms);

	return with - before;
}

FIXTURE(memory)
{
};

FIXTURE_SETUP(memory)
{
	struct rlimit limit = { 1 << 16, 1 << 16 };

	/* Redzones and quarantines are not ours. */
	if (slow_kernel())
		SKIP(return, "a debug kernel needs more for everything");
	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &limit));
	ASSERT_EQ(0, netns_new());
	if (module_loaded())
		ASSERT_EQ(0, module_unload(unload_limit(), NULL, NULL));
}

FIXTURE_TEARDOWN(memory)
{
	if (!module_loaded())
		EXPECT_EQ(0, module_load());
}

TEST_F_TIMEOUT(memory, of_a_socket, 300)
{
	unsigned int i, n = scale("SOCKETS", 10000, 0);
	unsigned long long object = 0, objects;
	long long empty, full;
	int fd[2];

	/* The first time something else is allocated, too. */
	used(_metadata, 0);
	empty = used(_metadata, 0);
	for (i = 0; i < n; i += 2) {
		ASSERT_EQ(0, tcp_pair(fd));
		ASSERT_EQ(0, tls_attach(fd[0]));
		ASSERT_EQ(0, tls_attach(fd[1]));
		ASSERT_EQ(0, key_install(fd[0], TLS_TX, TLS_1_3_VERSION,
					 TLS_CIPHER_AES_GCM_128, 0));
		ASSERT_EQ(0, key_install(fd[1], TLS_TX, TLS_1_3_VERSION,
					 TLS_CIPHER_AES_GCM_128, 0));
	}
	full = used(_metadata, n);
	TH_LOG("%lld bytes a socket", (full - empty) / n);
	EXPECT_LT(0, full - empty);
	EXPECT_GE(LIMIT, (full - empty) / n);

	ASSERT_EQ(0, module_load());
	objects = slab_number("objs_per_slab");
	if (objects)
		object = (4096ULL << slab_number("order")) / objects;
	TH_LOG("%llu bytes of that are the object, %llu with what its slab wastes",
	       slab_number("object_size"), object);
	EXPECT_GE(LIMIT, object);
}

TEST_HARNESS_MAIN
