// SPDX-License-Identifier: GPL-2.0
/* Others are in the same places: one who hooks a function, as a live patch does,
 * and a device that takes keys. rival/ is the module that plays them.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "kselftest_harness.h"

#include "life.h"

#define RIVAL	"rival/ktls_rival.ko"
#define REFUSE	"/sys/module/ktls_rival/parameters/refuse"

/* All that a device of 2018 can do. */
#define TLS12	TLS_1_2_VERSION
#define GCM	TLS_CIPHER_AES_GCM_128

#define RULE(name)	(1U << KTLS_A_RULE_##name)

static int rival_load(const char *parameters)
{
	int fd, err = 0;

	fd = open(RIVAL, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (syscall(SYS_finit_module, fd, parameters, 0))
		err = -errno;
	close(fd);

	return err;
}

/* Once the keys are gone that it has: they go behind the scenes. */
static int rival_unload(void)
{
	uint64_t end = now_ms() + 30000;

	while (syscall(SYS_delete_module, "ktls_rival", O_NONBLOCK)) {
		if (errno == ENOENT)
			return 0;
		if (now_ms() > end)
			return -errno;
		sleep_ms(20);
	}

	return 0;
}

/* Every test begins and ends with ktls alone. */
FIXTURE(rivals)
{
	struct ktls *ktls;
};

FIXTURE_SETUP(rivals)
{
	if (access(RIVAL, R_OK))
		SKIP(return, "no " RIVAL);
	ASSERT_EQ(0, netns_new());
	ASSERT_EQ(0, ktls_open(&self->ktls, -1));
}

FIXTURE_TEARDOWN(rivals)
{
	EXPECT_EQ(0, rival_unload());
	if (!module_loaded())
		EXPECT_EQ(0, module_load());
	EXPECT_EQ(0, module_state().missing);
	EXPECT_FALSE(kernel_tainted());
	ktls_close(self->ktls);
}

static int set(struct ktls *ktls, struct ktls_rule *rule, bool dry_run)
{
	struct ktls_policy policy = {
		.dry_run = dry_run,
		.rules = rule, .rules_count = !!rule,
	};

	return ktls_set_policy(ktls, &policy, NULL, NULL);
}

static int collect_last(const struct ktls_attempt *attempt, void *arg)
{
	*(struct ktls_attempt *)arg = *attempt;

	return 0;
}

/* Where somebody else has one function, that one is not hooked, and no other is
 * lost.
 */
TEST_F(rivals, hook)
{
	struct ktls_attempt attempt = {};
	struct ktls_module state;
	struct ktls_socket s;
	struct ktls *ktls;
	int fd[2];

	ASSERT_EQ(0, module_unload(unload_limit(), NULL, NULL));
	ASSERT_EQ(0, rival_load("hook=1"));
	ASSERT_EQ(0, module_load());
	state = module_state();
	EXPECT_EQ(KTLS_HOOK_SET_ULP, state.missing);
	EXPECT_EQ(0, state.armed & KTLS_HOOK_SET_ULP);

	ASSERT_EQ(0, ktls_open(&ktls, -1));
	ASSERT_EQ(0, tls_pair(fd, TLS12, GCM));
	ASSERT_TRUE(socket_by_cookie(ktls, cookie_of(fd[0]), &s));
	EXPECT_EQ(KTLS_MODE_SW, s.tx.mode);
	ASSERT_EQ(0, ktls_dump_attempts(ktls, false, collect_last, &attempt));
	EXPECT_EQ(KTLS_STEP_RX, attempt.step);
	EXPECT_EQ(4, attempt.number);
	/* One that does not see all is none. */
	EXPECT_EQ(-EOPNOTSUPP, set(ktls, NULL, false));
	ktls_close(ktls);

	ASSERT_EQ(0, module_unload(unload_limit(), NULL, NULL));
	ASSERT_EQ(0, rival_unload());
	ASSERT_EQ(0, module_load());
	EXPECT_EQ(0, module_state().missing);
}

/**
 * struct expected - what comes of two keys of a socket, for TX and for RX
 * @name: of the case
 * @rule: the only one
 * @dry_run: the policy's
 * @refuse: the device does not take keys
 * @mode: who has the keys in the end
 * @action: that the attempts tell of
 * @by_rule: the rule decided that
 * @hits: of the rule, and of the default
 */
struct expected {
	const char *name;
	struct ktls_rule rule;
	bool dry_run, refuse;
	uint32_t mode;
	int action;
	bool by_rule;
	uint64_t hits[2];
};

#define DEVICE(what) \
	{ .match = RULE(MODE), .mode = KTLS_MODE_HW, .action = (what) }
#define CPU(what) \
	{ .match = RULE(MODE), .mode = KTLS_MODE_SW, .action = (what) }

static void try_device(struct __test_metadata *_metadata,
		       FIXTURE_DATA(rivals) *self, const struct expected *e)
{
	const struct ktls_policy *policy;
	struct ktls_rule rule = e->rule;
	struct ktls_attempt attempt;
	struct ktls_socket s;
	int fd[2], file, dir;

	file = open(REFUSE, O_WRONLY);
	ASSERT_EQ(1, write(file, e->refuse ? "1" : "0", 1));
	close(file);
	ASSERT_EQ(0, set(self->ktls, &rule, e->dry_run));
	ASSERT_EQ(0, tcp_pair(fd));
	ASSERT_EQ(0, tls_attach(fd[0]));
	for (dir = 0; dir < 2; dir++) {
		ASSERT_EQ(0, key_install(fd[0], dir ? TLS_RX : TLS_TX, TLS12,
					 GCM, dir))
			TH_LOG("%s", e->name);
		ASSERT_EQ(0, ktls_dump_attempts(self->ktls, false,
						collect_last, &attempt));
		EXPECT_EQ(e->mode, attempt.mode) TH_LOG("%s", e->name);
		EXPECT_EQ(e->action, attempt.action) TH_LOG("%s", e->name);
		EXPECT_EQ(e->by_rule, attempt.rule) TH_LOG("%s", e->name);
		EXPECT_EQ(e->dry_run ? KTLS_ATTEMPT_FLAGS_DRY_RUN : 0,
			  attempt.flags) TH_LOG("%s", e->name);
	}
	ASSERT_TRUE(socket_by_cookie(self->ktls, cookie_of(fd[0]), &s));
	EXPECT_EQ(e->mode, s.tx.mode) TH_LOG("%s", e->name);
	EXPECT_EQ(e->mode, s.rx.mode) TH_LOG("%s", e->name);
	ASSERT_EQ(0, ktls_get_policy(self->ktls, &policy));
	EXPECT_EQ(e->hits[0], policy->rules[0].hits) TH_LOG("%s", e->name);
	EXPECT_EQ(e->hits[1], policy->hits) TH_LOG("%s", e->name);
	close_reset(fd[0]);
	close(fd[1]);
}

TEST_F(rivals, device)
{
	const struct expected cases[] = {
		{ "another's rule", { .match = RULE(UID), .uid = 1001 },
		  .mode = KTLS_MODE_HW, .action = KTLS_ACTION_ALLOW,
		  .hits = { 0, 2 } },
		{ "marked", DEVICE(KTLS_ACTION_AUDIT),
		  .mode = KTLS_MODE_HW, .action = KTLS_ACTION_AUDIT,
		  .by_rule = true, .hits = { 2, 0 } },
		/* Two were denied to it, and two allowed to the CPU. */
		{ "denied", DEVICE(KTLS_ACTION_DENY),
		  .mode = KTLS_MODE_SW, .action = KTLS_ACTION_ALLOW,
		  .hits = { 2, 2 } },
		{ "nearly denied", DEVICE(KTLS_ACTION_DENY), .dry_run = true,
		  .mode = KTLS_MODE_HW, .action = KTLS_ACTION_DENY,
		  .by_rule = true, .hits = { 2, 0 } },
		{ "refused", DEVICE(KTLS_ACTION_AUDIT), .refuse = true,
		  .mode = KTLS_MODE_SW, .action = KTLS_ACTION_ALLOW,
		  .hits = { 0, 2 } },
		{ "denied to the CPU", CPU(KTLS_ACTION_DENY),
		  .mode = KTLS_MODE_HW, .action = KTLS_ACTION_ALLOW,
		  .hits = { 0, 2 } },
		{ "refused, marked", CPU(KTLS_ACTION_AUDIT), .refuse = true,
		  .mode = KTLS_MODE_SW, .action = KTLS_ACTION_AUDIT,
		  .by_rule = true, .hits = { 2, 0 } },
	};
	size_t i;

	ASSERT_EQ(0, rival_load("device=1"));
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		try_device(_metadata, self, &cases[i]);
}

TEST_HARNESS_MAIN
