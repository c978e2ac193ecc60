// SPDX-License-Identifier: GPL-2.0
/* What the policy denies does not happen, and nothing else is touched. */

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kselftest_harness.h"

#include "life.h"

#define ALICE	1001
#define TLS13	TLS_1_3_VERSION
#define GCM	TLS_CIPHER_AES_GCM_128
#define CGROUP	"/sys/fs/cgroup/ktls-policy"

#define RULE(name)	(1U << KTLS_A_RULE_##name)

FIXTURE(policy)
{
	struct ktls *ktls;
	int initial;
	int fd[2];
};

FIXTURE_SETUP(policy)
{
	self->initial = netns_open();
	ASSERT_EQ(0, netns_new());
	ASSERT_EQ(0, ktls_open(&self->ktls, -1));
	ASSERT_EQ(0, tcp_pair(self->fd));
}

FIXTURE_TEARDOWN(policy)
{
	struct ktls_policy none = {};
	struct ktls *ktls;

	EXPECT_FALSE(kernel_tainted());
	ktls_close(self->ktls);
	EXPECT_EQ(0, ktls_open(&ktls, self->initial));
	EXPECT_EQ(0, ktls_set_policy(ktls, &none, NULL, NULL));
	ktls_close(ktls);
}

static int set(struct ktls *ktls, struct ktls_rule *rules, size_t n)
{
	struct ktls_policy policy = { .rules = rules, .rules_count = n };

	return ktls_set_policy(ktls, &policy, NULL, NULL);
}

static int collect_last(const struct ktls_attempt *attempt, void *arg)
{
	*(struct ktls_attempt *)arg = *attempt;

	return 0;
}

static struct ktls_attempt latest_of(struct ktls *ktls)
{
	struct ktls_attempt attempt = {};

	if (ktls_dump_attempts(ktls, false, collect_last, &attempt))
		abort();

	return attempt;
}

static struct ktls_attempt latest(FIXTURE_DATA(policy) *self)
{
	return latest_of(self->ktls);
}

static uint64_t hits_of(struct ktls *ktls, size_t rule)
{
	const struct ktls_policy *policy;

	if (ktls_get_policy(ktls, &policy) || rule > policy->rules_count)
		abort();

	return rule ? policy->rules[rule - 1].hits : policy->hits;
}

static uint64_t hits(FIXTURE_DATA(policy) *self, size_t rule)
{
	return hits_of(self->ktls, rule);
}

/* In the clear, as far as the kernel is concerned. */
static bool carries(const int fd[2])
{
	uint64_t there = 0, back = 0, sent;

	sent = 0;
	if (!send_pattern(fd[0], 30000, 1, &sent) ||
	    !recv_pattern(fd[1], 30000, 1, &there))
		return false;
	sent = 0;

	return send_pattern(fd[1], 5000, 2, &sent) &&
	       recv_pattern(fd[0], 5000, 2, &back);
}

TEST_F(policy, none)
{
	const struct ktls_policy *policy;

	ASSERT_EQ(0, ktls_get_policy(self->ktls, &policy));
	EXPECT_EQ(0, policy->rules_count);
	EXPECT_EQ(KTLS_ACTION_ALLOW, policy->fallback);
	EXPECT_FALSE(policy->dry_run);
	EXPECT_TRUE(policy->inherit);
	EXPECT_EQ(0, tls_arm(self->fd, TLS13, GCM));
}

/* A program that is refused has its socket, and its data. */
TEST_F(policy, deny_by_default)
{
	struct ktls_policy deny = { .fallback = KTLS_ACTION_DENY };
	struct ktls_attempt attempt;
	int end;

	ASSERT_EQ(0, ktls_set_policy(self->ktls, &deny, NULL, NULL));
	for (end = 0; end < 2; end++) {
		/* That does nothing yet. */
		EXPECT_EQ(0, tls_attach(self->fd[end]));
		EXPECT_EQ(-EPERM, key_install(self->fd[end], TLS_TX, TLS13,
					      GCM, 0));
		EXPECT_EQ(-EPERM, key_install(self->fd[end], TLS_RX, TLS13,
					      GCM, 0));
	}
	EXPECT_TRUE(carries(self->fd));
	attempt = latest(self);
	EXPECT_EQ(KTLS_STEP_RX, attempt.step);
	EXPECT_EQ(EPERM, attempt.error);
	EXPECT_EQ(KTLS_ACTION_DENY, attempt.action);
	EXPECT_EQ(0, attempt.rule);
	EXPECT_EQ(4, hits(self, 0));
	/* Nor is it in the table. */
	EXPECT_EQ(0, module_state().open);
}

/* "Deny receive, keep transmit": one line. */
TEST_F(policy, deny_rx)
{
	struct ktls_rule rule = {
		.match = RULE(DIRECTION),
		.action = KTLS_ACTION_DENY,
		.direction = KTLS_DIRECTION_RX,
	};
	struct ktls_attempt attempt;
	uint64_t sent = 0;
	char raw[5000];

	ASSERT_EQ(0, set(self->ktls, &rule, 1));
	ASSERT_EQ(0, tls_attach(self->fd[0]));
	ASSERT_EQ(0, key_install(self->fd[0], TLS_TX, TLS13, GCM, 0));
	EXPECT_EQ(-EPERM, key_install(self->fd[0], TLS_RX, TLS13, GCM,
				      1));
	attempt = latest(self);
	EXPECT_EQ(1, attempt.rule);
	EXPECT_EQ(KTLS_ACTION_DENY, attempt.action);
	EXPECT_EQ(1, hits(self, 1));
	EXPECT_EQ(1, hits(self, 0));
	/* Records leave, and what comes is left as it is. */
	ASSERT_TRUE(send_pattern(self->fd[0], 1000, 1, &sent));
	EXPECT_EQ(1022, recv(self->fd[1], raw, sizeof(raw), 0));
	EXPECT_EQ(23, raw[0]);
	sent = 0;
	ASSERT_TRUE(send_pattern(self->fd[1], 700, 2, &sent));
	sent = 0;
	EXPECT_TRUE(recv_pattern(self->fd[0], 700, 2, &sent));
}

/* The rule matches what it says, and nothing else. */
struct match {
	const char *name;
	struct ktls_rule rule;
	bool denied;
};

static void try_match(struct __test_metadata *_metadata,
		      FIXTURE_DATA(policy) *self, const struct match *match)
{
	struct ktls_rule rule = match->rule;
	int fd[2], err;

	rule.action = KTLS_ACTION_DENY;
	ASSERT_EQ(0, set(self->ktls, &rule, 1)) TH_LOG("%s", match->name);
	ASSERT_EQ(0, tcp_pair(fd));
	ASSERT_EQ(0, tls_attach(fd[0]));
	err = key_install(fd[0], TLS_TX, TLS13, GCM, 0);
	EXPECT_EQ(match->denied ? -EPERM : 0, err) TH_LOG("%s", match->name);
	EXPECT_EQ(match->denied, hits(self, 1)) TH_LOG("%s", match->name);
	close(fd[0]);
	close(fd[1]);
}

TEST_F(policy, fields)
{
	const struct match matches[] = {
		{ "any", {}, true },
		{ "tx", { .match = RULE(DIRECTION) }, true },
		{ "rx", { .match = RULE(DIRECTION),
			  .direction = KTLS_DIRECTION_RX }, false },
		{ "1.3", { .match = RULE(VERSION),
			   .version = TLS_1_3_VERSION }, true },
		{ "1.2", { .match = RULE(VERSION),
			   .version = TLS_1_2_VERSION }, false },
		{ "aes-gcm-128", { .match = RULE(CIPHER),
				   .cipher = GCM }, true },
		{ "chacha", { .match = RULE(CIPHER),
			      .cipher = TLS_CIPHER_CHACHA20_POLY1305 },
		  false },
		{ "sw", { .match = RULE(MODE), .mode = KTLS_MODE_SW }, true },
		{ "uid", { .match = RULE(UID), .uid = 0 }, true },
		{ "other uid", { .match = RULE(UID), .uid = ALICE }, false },
		{ "comm", { .match = RULE(COMM), .comm = "policy" }, true },
		{ "part of comm", { .match = RULE(COMM), .comm = "pol" },
		  false },
		{ "two that match", { .match = RULE(COMM) | RULE(CIPHER),
				      .comm = "policy", .cipher = GCM },
		  true },
		{ "one of two", { .match = RULE(COMM) | RULE(UID),
				  .comm = "policy", .uid = ALICE }, false },
		{ "ulp", { .match = RULE(ULP) | RULE(UID), .uid = ALICE },
		  false },
	};
	size_t i;

	for (i = 0; i < sizeof(matches) / sizeof(matches[0]); i++)
		try_match(_metadata, self, &matches[i]);
}

/* lo is no such device: nothing is denied to it, or marked, and a key is one key. */
TEST_F(policy, mode_hw)
{
	struct ktls_rule rule = {
		.match = RULE(MODE),
		.action = KTLS_ACTION_DENY,
		.mode = KTLS_MODE_HW,
	};
	struct ktls_attempt attempt;

	ASSERT_EQ(0, set(self->ktls, &rule, 1));
	ASSERT_EQ(0, tls_arm(self->fd, TLS13, GCM));
	attempt = latest(self);
	EXPECT_EQ(KTLS_MODE_SW, attempt.mode);
	EXPECT_EQ(KTLS_ACTION_ALLOW, attempt.action);
	EXPECT_EQ(0, attempt.rule);
	EXPECT_EQ(0, hits(self, 1));
	EXPECT_EQ(4, hits(self, 0));
	EXPECT_TRUE(carries(self->fd));

	rule.action = KTLS_ACTION_AUDIT;
	ASSERT_EQ(0, set(self->ktls, &rule, 1));
	ASSERT_EQ(0, tcp_pair(self->fd));
	ASSERT_EQ(0, tls_arm(self->fd, TLS13, GCM));
	EXPECT_EQ(KTLS_ACTION_ALLOW, latest(self).action);
	EXPECT_EQ(0, hits(self, 1));
	EXPECT_EQ(4, hits(self, 0));
}

/* Of either end, of this end, of the other. */
TEST_F(policy, ports)
{
	static const struct {
		uint32_t match;
		bool local, denied;
	} tries[] = {
		{ RULE(PORT), true, true },
		{ RULE(PORT), false, true },
		{ RULE(LOCAL_PORT), true, true },
		{ RULE(LOCAL_PORT), false, false },
		{ RULE(REMOTE_PORT), true, false },
		{ RULE(REMOTE_PORT), false, true },
	};
	struct ktls_rule rule = { .action = KTLS_ACTION_DENY };
	struct ktls_attempt attempt;
	int fd[2], err;
	size_t i;

	for (i = 0; i < sizeof(tries) / sizeof(tries[0]); i++) {
		ASSERT_EQ(0, tcp_pair(fd));
		ASSERT_EQ(0, tls_attach(fd[0]));
		attempt = latest(self);
		rule.match = tries[i].match;
		rule.port = tries[i].local ? attempt.local_port :
					     attempt.remote_port;
		rule.local_port = rule.port;
		rule.remote_port = rule.port;
		ASSERT_EQ(0, set(self->ktls, &rule, 1));
		err = key_install(fd[0], TLS_TX, TLS13, GCM, 0);
		EXPECT_EQ(tries[i].denied ? -EPERM : 0, err) TH_LOG("%zu", i);
		close(fd[0]);
		close(fd[1]);
	}
}

TEST_F(policy, uid_of_who_asks)
{
	struct ktls_rule rule = {
		.match = RULE(UID), .action = KTLS_ACTION_DENY, .uid = ALICE,
	};

	ASSERT_EQ(0, set(self->ktls, &rule, 1));
	ASSERT_EQ(0, tls_attach(self->fd[0]));
	ASSERT_EQ(0, seteuid(ALICE));
	EXPECT_EQ(-EPERM, key_install(self->fd[0], TLS_TX, TLS13, GCM, 0));
	ASSERT_EQ(0, seteuid(0));
	EXPECT_EQ(0, key_install(self->fd[0], TLS_TX, TLS13, GCM, 0));
}

static bool tell(const char *file, const char *text)
{
	int fd = open(file, O_WRONLY);
	bool done = fd >= 0 && write(fd, text, strlen(text)) ==
			       (ssize_t)strlen(text);

	if (fd >= 0)
		close(fd);

	return done;
}

/* The cgroup that the process is in now, and those above it. */
TEST_F(policy, cgroup)
{
	struct ktls_rule rule = {
		.match = RULE(CGROUP_ID), .action = KTLS_ACTION_DENY,
	};
	struct stat st;
	char self_id[16];

	snprintf(self_id, sizeof(self_id), "%d", getpid());
	mkdir(CGROUP, 0755);
	mkdir(CGROUP "/below", 0755);
	if (stat(CGROUP, &st) || access(CGROUP "/cgroup.procs", W_OK))
		SKIP(return, "no cgroup v2 at /sys/fs/cgroup");
	rule.cgroup_id = st.st_ino;
	ASSERT_EQ(0, set(self->ktls, &rule, 1));
	ASSERT_EQ(0, tls_attach(self->fd[0]));
	ASSERT_EQ(0, tls_attach(self->fd[1]));

	ASSERT_TRUE(tell(CGROUP "/cgroup.procs", self_id));
	EXPECT_EQ(-EPERM, key_install(self->fd[0], TLS_TX, TLS13, GCM, 0));
	EXPECT_EQ(st.st_ino, latest(self).cgroup_id);
	ASSERT_TRUE(tell(CGROUP "/below/cgroup.procs", self_id));
	EXPECT_EQ(-EPERM, key_install(self->fd[0], TLS_TX, TLS13, GCM, 0));
	ASSERT_TRUE(tell("/sys/fs/cgroup/cgroup.procs", self_id));
	EXPECT_EQ(0, key_install(self->fd[0], TLS_TX, TLS13, GCM, 0));

	/* One that is gone matches nobody. */
	rmdir(CGROUP "/below");
	EXPECT_EQ(0, rmdir(CGROUP));
	EXPECT_EQ(0, key_install(self->fd[1], TLS_RX, TLS13, GCM, 0));
}

TEST_F(policy, ulp)
{
	struct ktls_rule rule = {
		.match = RULE(ULP), .action = KTLS_ACTION_DENY,
	};
	struct ktls_attempt attempt;

	ASSERT_EQ(0, set(self->ktls, &rule, 1));
	EXPECT_EQ(-EPERM, tls_attach(self->fd[0]));
	attempt = latest(self);
	EXPECT_EQ(KTLS_STEP_ULP, attempt.step);
	EXPECT_EQ(EPERM, attempt.error);
	EXPECT_EQ(1, attempt.rule);
	EXPECT_TRUE(carries(self->fd));
	/* Attached before, it may have keys: that is another rule's. */
	ASSERT_EQ(0, set(self->ktls, NULL, 0));
	ASSERT_EQ(0, tls_attach(self->fd[0]));
	ASSERT_EQ(0, set(self->ktls, &rule, 1));
	EXPECT_EQ(0, key_install(self->fd[0], TLS_TX, TLS13, GCM, 0));
}

/* The first that matches decides. */
TEST_F(policy, order)
{
	struct ktls_rule rules[] = {
		{ .match = RULE(DIRECTION), .action = KTLS_ACTION_ALLOW,
		  .direction = KTLS_DIRECTION_TX },
		{ .action = KTLS_ACTION_DENY },
	};

	ASSERT_EQ(0, set(self->ktls, rules, 2));
	ASSERT_EQ(0, tls_attach(self->fd[0]));
	EXPECT_EQ(0, key_install(self->fd[0], TLS_TX, TLS13, GCM, 0));
	EXPECT_EQ(1, latest(self).rule);
	EXPECT_EQ(-EPERM, key_install(self->fd[0], TLS_RX, TLS13, GCM, 0));
	EXPECT_EQ(2, latest(self).rule);
	EXPECT_EQ(1, hits(self, 1));
	EXPECT_EQ(1, hits(self, 2));
}

TEST_F(policy, audit)
{
	struct ktls_rule rule = { .action = KTLS_ACTION_AUDIT };
	struct ktls_attempt attempt;

	ASSERT_EQ(0, set(self->ktls, &rule, 1));
	ASSERT_EQ(0, tls_arm(self->fd, TLS13, GCM));
	attempt = latest(self);
	EXPECT_EQ(0, attempt.error);
	EXPECT_EQ(KTLS_ACTION_AUDIT, attempt.action);
	EXPECT_EQ(1, attempt.rule);
	EXPECT_EQ(KTLS_MODE_SW, attempt.mode);
	EXPECT_EQ(4, hits(self, 1));
	EXPECT_TRUE(carries(self->fd));
}

static int count_failed(const struct ktls_attempt *attempt, void *arg)
{
	(*(unsigned int *)arg)++;

	return 0;
}

TEST_F(policy, dry_run)
{
	struct ktls_rule rule = { .action = KTLS_ACTION_DENY };
	struct ktls_policy policy = {
		.dry_run = true, .rules = &rule, .rules_count = 1,
	};
	struct ktls_attempt attempt;
	unsigned int failed = 0;

	ASSERT_EQ(0, ktls_set_policy(self->ktls, &policy, NULL, NULL));
	ASSERT_EQ(0, tls_arm(self->fd, TLS13, GCM));
	attempt = latest(self);
	EXPECT_EQ(0, attempt.error);
	EXPECT_EQ(KTLS_ACTION_DENY, attempt.action);
	EXPECT_EQ(KTLS_ATTEMPT_FLAGS_DRY_RUN, attempt.flags);
	EXPECT_EQ(4, hits(self, 1));
	EXPECT_TRUE(carries(self->fd));
	/* They are what one looks for. */
	ASSERT_EQ(0, ktls_dump_attempts(self->ktls, true, count_failed,
					&failed));
	EXPECT_EQ(4, failed);
}

/* A key after the first is a key. */
TEST_F(policy, rekey)
{
	struct ktls_rule rule = { .action = KTLS_ACTION_DENY };
	struct ktls_attempt attempt;

	ASSERT_EQ(0, tls_arm(self->fd, TLS13, GCM));
	if (key_install(self->fd[0], TLS_TX, TLS13, GCM, 7) ||
	    key_install(self->fd[1], TLS_RX, TLS13, GCM, 7))
		SKIP(return, "this kernel refuses a second key");
	EXPECT_TRUE(carries(self->fd));
	ASSERT_EQ(0, set(self->ktls, &rule, 1));
	EXPECT_EQ(-EPERM, key_install(self->fd[0], TLS_TX, TLS13, GCM, 8));
	attempt = latest(self);
	EXPECT_EQ(KTLS_STEP_REKEY_TX, attempt.step);
	EXPECT_EQ(EPERM, attempt.error);
	EXPECT_EQ(TLS13, attempt.version);
	/* The key that it had goes on. */
	EXPECT_TRUE(carries(self->fd));
}

TEST_F(policy, generation)
{
	struct ktls_policy policy = {};
	uint32_t first, second, wrong;

	ASSERT_EQ(0, ktls_set_policy(self->ktls, &policy, NULL, &first));
	ASSERT_EQ(0, ktls_set_policy(self->ktls, &policy, &first, &second));
	EXPECT_LT(first, second);
	policy.fallback = KTLS_ACTION_DENY;
	EXPECT_EQ(-ESTALE, ktls_set_policy(self->ktls, &policy, &first,
					   &wrong));
	EXPECT_EQ(0, tls_arm(self->fd, TLS13, GCM));
}

static uint32_t generation_of(struct ktls *ktls)
{
	const struct ktls_policy *policy;

	if (ktls_get_policy(ktls, &policy))
		abort();

	return policy->generation;
}

/* Who inherits finds out what the initial namespace changes, and nobody takes one
 * state for another.
 */
TEST_F(policy, generation_inherited)
{
	struct ktls_policy none = { .inherit = true }, allow = {};
	uint32_t seen[6], wrong;
	struct ktls *initial;
	int i, k;

	ASSERT_EQ(0, ktls_open(&initial, self->initial));
	seen[0] = generation_of(self->ktls);
	ASSERT_EQ(0, set(initial, NULL, 0));
	seen[1] = generation_of(self->ktls);
	ASSERT_EQ(0, ktls_set_policy(initial, &none, NULL, NULL));
	seen[2] = generation_of(self->ktls);
	/* What was inherited is gone, though nobody was here. */
	EXPECT_EQ(-ESTALE, ktls_set_policy(self->ktls, &allow, &seen[1],
					   &wrong));
	ASSERT_EQ(0, ktls_set_policy(self->ktls, &allow, &seen[2], &seen[3]));
	EXPECT_EQ(seen[3], generation_of(self->ktls));
	ASSERT_EQ(0, ktls_set_policy(self->ktls, &none, &seen[3], &seen[4]));
	EXPECT_EQ(seen[4], generation_of(self->ktls));
	ASSERT_EQ(0, set(initial, NULL, 0));
	seen[5] = generation_of(self->ktls);
	for (i = 0; i < 6; i++)
		for (k = 0; k < i; k++)
			EXPECT_LT(seen[k], seen[i]);

	/* With a policy of its own, that of the other is another's. */
	ASSERT_EQ(0, ktls_set_policy(self->ktls, &allow, NULL, &seen[0]));
	ASSERT_EQ(0, set(initial, NULL, 0));
	EXPECT_EQ(seen[0], generation_of(self->ktls));
	ktls_close(initial);
}

static void *add_rules(void *arg)
{
	unsigned int i, *errors = arg;
	struct ktls *ktls;

	if (ktls_open(&ktls, -1))
		abort();
	for (i = 0; i < 25; i++) {
		const struct ktls_policy *now;
		struct ktls_policy next = {};
		uint32_t generation;
		int err;

		do {
			if (ktls_get_policy(ktls, &now))
				abort();
			generation = now->generation;
			next.rules_count = now->rules_count + 1;
			next.rules = calloc(next.rules_count,
					    sizeof(*next.rules));
			memcpy(next.rules, now->rules, now->rules_count *
			       sizeof(*next.rules));
			next.rules[now->rules_count].match = RULE(UID);
			next.rules[now->rules_count].uid = i;
			err = ktls_set_policy(ktls, &next, &generation, NULL);
			free(next.rules);
		} while (err == -ESTALE);
		if (err)
			(*errors)++;
	}
	ktls_close(ktls);

	return NULL;
}

/* Writers do not lose each other's rules. */
TEST_F_TIMEOUT(policy, writers, 300)
{
	const struct ktls_policy *policy;
	unsigned int errors[4] = {}, seen[25] = {};
	uint32_t before = generation_of(self->ktls);
	pthread_t thread[4];
	size_t i;

	for (i = 0; i < 4; i++)
		ASSERT_EQ(0, pthread_create(&thread[i], NULL, add_rules,
					    &errors[i]));
	for (i = 0; i < 4; i++) {
		pthread_join(thread[i], NULL);
		EXPECT_EQ(0, errors[i]);
	}
	ASSERT_EQ(0, ktls_get_policy(self->ktls, &policy));
	ASSERT_EQ(100, policy->rules_count);
	for (i = 0; i < 100; i++)
		seen[policy->rules[i].uid]++;
	for (i = 0; i < 25; i++)
		EXPECT_EQ(4, seen[i]);
	EXPECT_EQ(before + 100, policy->generation);
}

static volatile bool replacing;

/* One that denies sending, and one that denies receiving. */
static void *replace(void *arg)
{
	struct ktls_rule rules[] = {
		{ .match = RULE(UID), .action = KTLS_ACTION_AUDIT,
		  .uid = ALICE },
		{ .match = RULE(DIRECTION), .action = KTLS_ACTION_DENY },
	};
	unsigned int i, *rounds = arg;
	struct ktls *ktls;

	if (ktls_open(&ktls, -1))
		abort();
	for (i = 0; replacing; i++) {
		rules[1].direction = i % 2;
		if (set(ktls, rules + i % 2, 2 - i % 2))
			abort();
	}
	*rounds = i;
	ktls_close(ktls);

	return NULL;
}

/* Each key is judged by one of them as a whole. */
TEST_F_TIMEOUT(policy, replace_under_load, 900)
{
	unsigned int n, i, rounds = 0, denied[2] = {};
	struct ktls_rule rule = { .action = KTLS_ACTION_ALLOW };
	pthread_t thread;
	int fd[2], err;

	n = scale("CONNECTIONS", 10000, 500);
	ASSERT_EQ(0, set(self->ktls, &rule, 1));
	replacing = true;
	ASSERT_EQ(0, pthread_create(&thread, NULL, replace, &rounds));
	for (i = 0; i < n; i++) {
		ASSERT_EQ(0, tcp_pair(fd));
		ASSERT_EQ(0, tls_attach(fd[0]));
		err = key_install(fd[0], TLS_TX, TLS13, GCM, 0);
		EXPECT_TRUE(!err || err == -EPERM);
		denied[0] += !!err;
		err = key_install(fd[0], TLS_RX, TLS13, GCM, 1);
		EXPECT_TRUE(!err || err == -EPERM);
		denied[1] += !!err;
		close_reset(fd[0]);
		close(fd[1]);
	}
	replacing = false;
	pthread_join(thread, NULL);
	TH_LOG("%u connections, %u policies, %u and %u keys denied", n, rounds,
	       denied[0], denied[1]);
	EXPECT_LT(0, denied[0]);
	EXPECT_LT(0, denied[1]);
	EXPECT_GT(n, denied[0]);
	EXPECT_GT(n, denied[1]);
	EXPECT_EQ(0, module_state().open);
}

/* The largest policy, and the smallest. */
static void *grow_and_shrink(void *arg)
{
	static struct ktls_rule rules[256];
	struct ktls *ktls;
	unsigned int i;

	if (ktls_open(&ktls, -1))
		abort();
	for (i = 0; replacing; i++)
		if (set(ktls, rules, i % 2 ? 256 : 0))
			abort();
	ktls_close(ktls);

	return NULL;
}

/* Who reads gets one of them as a whole. */
TEST_F_TIMEOUT(policy, read_while_replaced, 300)
{
	unsigned int i, large = 0, n = scale("READS", 5000, 300);
	const struct ktls_policy *policy;
	pthread_t thread;

	replacing = true;
	ASSERT_EQ(0, pthread_create(&thread, NULL, grow_and_shrink, NULL));
	for (i = 0; i < n; i++) {
		ASSERT_EQ(0, ktls_get_policy(self->ktls, &policy))
			TH_LOG("%s", ktls_strerror(self->ktls));
		EXPECT_TRUE(!policy->rules_count ||
			    policy->rules_count == 256);
		large += !!policy->rules_count;
	}
	replacing = false;
	pthread_join(thread, NULL);
	EXPECT_LT(0, large);
	EXPECT_GT(n, large);
}

TEST_F(policy, limits)
{
	struct ktls_rule *rules = calloc(257, sizeof(*rules));
	const struct ktls_policy *policy;
	unsigned int i;

	for (i = 0; i < 257; i++) {
		rules[i].match = RULE(UID) | RULE(COMM) | RULE(PORT) |
				 RULE(LOCAL_PORT) | RULE(REMOTE_PORT) |
				 RULE(CGROUP_ID) | RULE(VERSION) |
				 RULE(CIPHER) | RULE(MODE) | RULE(DIRECTION);
		rules[i].action = KTLS_ACTION_DENY;
		rules[i].version = TLS13;
		rules[i].cipher = GCM;
		rules[i].mode = KTLS_MODE_SW;
		rules[i].uid = i;
		rules[i].cgroup_id = 1ULL << 40 | i;
		memcpy(rules[i].comm, "fifteen-letters", 16);
	}
	EXPECT_EQ(-E2BIG, set(self->ktls, rules, 257));
	ASSERT_EQ(0, set(self->ktls, rules, 256));
	ASSERT_EQ(0, ktls_get_policy(self->ktls, &policy));
	ASSERT_EQ(256, policy->rules_count);
	EXPECT_EQ(0, memcmp(rules, policy->rules, 256 * sizeof(*rules)));
	free(rules);
}

TEST_F(policy, refused_rules)
{
	struct ktls_rule rule = {
		.match = RULE(ULP) | RULE(DIRECTION),
		.action = KTLS_ACTION_DENY,
	};

	EXPECT_EQ(-EINVAL, set(self->ktls, &rule, 1));
	EXPECT_NE(NULL, strstr(ktls_strerror(self->ktls), "attached"))
		TH_LOG("%s", ktls_strerror(self->ktls));
	rule.match = 0;
	rule.action = 9;
	EXPECT_GT(0, set(self->ktls, &rule, 1));
	/* And the old one is in force. */
	EXPECT_EQ(0, tls_arm(self->fd, TLS13, GCM));
}

static const struct ktls_question any_key = {
	.given = KTLS_GIVEN(VERSION) | KTLS_GIVEN(CIPHER),
	.step = KTLS_STEP_TX, .version = TLS13, .cipher = GCM,
};

TEST_F(policy, privileges)
{
	const struct ktls_verdict *verdict;
	const struct ktls_policy *policy;
	struct ktls_policy none = {};
	pid_t pid;
	int status;

	pid = fork();
	if (!pid) {
		struct ktls *ktls;

		if (setresuid(ALICE, ALICE, ALICE) || ktls_open(&ktls, -1))
			_exit(1);
		if (ktls_set_policy(ktls, &none, NULL, NULL) != -EPERM)
			_exit(2);
		if (ktls_get_policy(ktls, &policy) != -EPERM)
			_exit(3);
		if (ktls_test_policy(ktls, &any_key, &verdict) != -EPERM)
			_exit(4);
		_exit(0);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status) TH_LOG("exit %d", WEXITSTATUS(status));
}

/* A namespace without a policy has the initial one's. */
TEST_F(policy, inherit)
{
	struct ktls_rule rule = { .action = KTLS_ACTION_DENY };
	struct ktls_policy none = { .inherit = true };
	const struct ktls_policy *policy;
	struct ktls_attempt attempt;
	struct ktls *initial;

	ASSERT_EQ(0, ktls_open(&initial, self->initial));
	ASSERT_EQ(0, set(initial, &rule, 1));
	ASSERT_EQ(0, tls_attach(self->fd[0]));
	EXPECT_EQ(-EPERM, key_install(self->fd[0], TLS_TX, TLS13, GCM, 0));
	attempt = latest(self);
	EXPECT_EQ(1, attempt.rule);
	EXPECT_EQ(KTLS_ATTEMPT_FLAGS_INHERITED, attempt.flags);
	ASSERT_EQ(0, ktls_get_policy(self->ktls, &policy));
	EXPECT_TRUE(policy->inherit);
	EXPECT_EQ(1, policy->rules_count);
	EXPECT_EQ(1, policy->rules[0].hits);

	/* Its own, set by the host's administrator, is its own. */
	ASSERT_EQ(0, set(self->ktls, NULL, 0));
	EXPECT_EQ(0, key_install(self->fd[0], TLS_TX, TLS13, GCM, 0));
	ASSERT_EQ(0, ktls_get_policy(self->ktls, &policy));
	EXPECT_FALSE(policy->inherit);
	EXPECT_EQ(0, policy->rules_count);
	ASSERT_EQ(0, ktls_set_policy(self->ktls, &none, NULL, NULL));
	EXPECT_EQ(-EPERM, key_install(self->fd[0], TLS_RX, TLS13, GCM, 0));
	ASSERT_EQ(0, set(initial, NULL, 0));
	EXPECT_EQ(0, key_install(self->fd[0], TLS_RX, TLS13, GCM, 0));
	ktls_close(initial);
}

static void map_root(struct __test_metadata *_metadata, const char *file,
		     const char *line)
{
	ASSERT_TRUE(tell(file, line));
}

/* Root of a user namespace of their own, and of a network namespace in it. */
static void contain(struct __test_metadata *_metadata)
{
	char line[64];

	ASSERT_EQ(0, setresgid(ALICE, ALICE, ALICE));
	ASSERT_EQ(0, setresuid(ALICE, ALICE, ALICE));
	ASSERT_EQ(0, prctl(PR_SET_DUMPABLE, 1));
	ASSERT_EQ(0, unshare(CLONE_NEWUSER | CLONE_NEWNET));
	snprintf(line, sizeof(line), "0 %u 1\n", ALICE);
	map_root(_metadata, "/proc/self/setgroups", "deny");
	map_root(_metadata, "/proc/self/uid_map", line);
	map_root(_metadata, "/proc/self/gid_map", line);
	ASSERT_EQ(0, system("ip link set lo up"));
}

/* They may deny themselves more, but allow no more. */
TEST_F(policy, contained)
{
	struct ktls_rule deny_rx = {
		.match = RULE(DIRECTION), .action = KTLS_ACTION_DENY,
		.direction = KTLS_DIRECTION_RX,
	};
	struct ktls_rule allow = { .action = KTLS_ACTION_ALLOW };
	struct ktls_rule deny = { .action = KTLS_ACTION_DENY };
	struct ktls *initial, *ktls;
	int fd[2], status;
	pid_t pid;

	ASSERT_EQ(0, ktls_open(&initial, self->initial));
	ASSERT_EQ(0, set(initial, &deny_rx, 1));
	pid = fork();
	if (!pid) {
		contain(_metadata);
		if (ktls_open(&ktls, -1) || set(ktls, &allow, 1) ||
		    tcp_pair(fd) || tls_attach(fd[0]))
			_exit(1);
		if (key_install(fd[0], TLS_RX, TLS13, GCM, 0) != -EPERM)
			_exit(2);
		if (set(ktls, &deny, 1) ||
		    key_install(fd[0], TLS_TX, TLS13, GCM, 0) != -EPERM)
			_exit(3);
		if (set(ktls, &allow, 1) ||
		    key_install(fd[0], TLS_TX, TLS13, GCM, 0))
			_exit(4);
		_exit(0);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status) TH_LOG("exit %d", WEXITSTATUS(status));
	ktls_close(initial);
}

static int try_to_ask(int want)
{
	const struct ktls_verdict *verdict;
	const struct ktls_policy *policy;
	struct ktls *ktls;

	if (ktls_open(&ktls, -1))
		return 1;
	/* What is inherited is read or not, and asked or not. */
	if (ktls_get_policy(ktls, &policy) != want ||
	    ktls_test_policy(ktls, &any_key, &verdict) != want)
		return 2;
	/* Their own is theirs to read; the answer is not theirs alone. */
	if (ktls_set_policy(ktls, &(struct ktls_policy) {
			    .fallback = KTLS_ACTION_DENY }, NULL, NULL) ||
	    ktls_get_policy(ktls, &policy))
		return 3;
	if (ktls_test_policy(ktls, &any_key, &verdict) != want)
		return 4;
	if (!want && verdict->action != KTLS_ACTION_DENY)
		return 5;

	return 0;
}

/* The host's rules are not theirs to know. */
TEST_F(policy, contained_question)
{
	struct ktls_policy none = { .inherit = true };
	struct ktls_rule rule = { .action = KTLS_ACTION_ALLOW };
	struct ktls *initial;
	int status, want;
	pid_t pid;

	ASSERT_EQ(0, ktls_open(&initial, self->initial));
	for (want = 0; want >= -EACCES; want -= EACCES) {
		ASSERT_EQ(0, want ? set(initial, &rule, 1) :
			  ktls_set_policy(initial, &none, NULL, NULL));
		pid = fork();
		if (!pid) {
			contain(_metadata);
			_exit(try_to_ask(want));
		}
		ASSERT_EQ(pid, waitpid(pid, &status, 0));
		EXPECT_EQ(0, status) TH_LOG("%d: exit %d", want,
					    WEXITSTATUS(status));
	}
	ktls_close(initial);
}

/**
 * struct both - what comes of a key under two policies
 * @host: policy of the initial namespace
 * @own: that of the container
 * @err: what the program gets
 * @action: of the verdict
 * @flags: likewise
 */
struct both {
	struct ktls_policy host, own;
	int err, action;
	uint32_t flags;
};

/* One key, under a policy of their own; the exit code says what was wrong. */
static int try_both(const struct both *both)
{
	struct ktls_attempt attempt;
	struct ktls *ktls;
	int fd[2];

	if (ktls_open(&ktls, -1) ||
	    ktls_set_policy(ktls, &both->own, NULL, NULL) || tcp_pair(fd) ||
	    tls_attach(fd[0]))
		return 1;
	if (key_install(fd[0], TLS_TX, TLS13, GCM, 0) != both->err)
		return 2;
	attempt = latest_of(ktls);
	if (attempt.action != both->action)
		return 3;
	if (attempt.flags != both->flags)
		return 4;
	/* Each counts what it said. */
	return hits_of(ktls, 0) == 1 ? 0 : 5;
}

#define ALWAYS(what)	{ .fallback = KTLS_ACTION_##what }
#define NEARLY_DENY	{ .fallback = KTLS_ACTION_DENY, .dry_run = true }
#define THEIRS		KTLS_ATTEMPT_FLAGS_INHERITED
#define DRY_RUN		KTLS_ATTEMPT_FLAGS_DRY_RUN

/* Nor hide what the host wants to know of; the stricter word counts. */
TEST_F(policy, contained_both)
{
	const struct both cases[] = {
		{ ALWAYS(ALLOW), ALWAYS(ALLOW), 0, KTLS_ACTION_ALLOW, 0 },
		{ ALWAYS(ALLOW), ALWAYS(AUDIT), 0, KTLS_ACTION_AUDIT, 0 },
		{ ALWAYS(ALLOW), ALWAYS(DENY), -EPERM, KTLS_ACTION_DENY, 0 },
		{ ALWAYS(ALLOW), NEARLY_DENY, 0, KTLS_ACTION_DENY, DRY_RUN },
		{ ALWAYS(AUDIT), ALWAYS(ALLOW), 0, KTLS_ACTION_AUDIT, THEIRS },
		{ ALWAYS(AUDIT), ALWAYS(AUDIT), 0, KTLS_ACTION_AUDIT, THEIRS },
		{ ALWAYS(AUDIT), NEARLY_DENY, 0, KTLS_ACTION_AUDIT, THEIRS },
		{ ALWAYS(AUDIT), ALWAYS(DENY), -EPERM, KTLS_ACTION_DENY, 0 },
		{ NEARLY_DENY, ALWAYS(AUDIT), 0, KTLS_ACTION_DENY,
		  THEIRS | DRY_RUN },
		{ NEARLY_DENY, ALWAYS(DENY), -EPERM, KTLS_ACTION_DENY, 0 },
		{ ALWAYS(DENY), ALWAYS(AUDIT), -EPERM, KTLS_ACTION_DENY,
		  THEIRS },
		{ ALWAYS(DENY), ALWAYS(DENY), -EPERM, KTLS_ACTION_DENY,
		  THEIRS },
	};
	struct ktls *initial;
	int status;
	pid_t pid;
	size_t i;

	ASSERT_EQ(0, ktls_open(&initial, self->initial));
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		ASSERT_EQ(0, ktls_set_policy(initial, &cases[i].host, NULL,
					     NULL));
		pid = fork();
		if (!pid) {
			contain(_metadata);
			_exit(try_both(&cases[i]));
		}
		ASSERT_EQ(pid, waitpid(pid, &status, 0));
		EXPECT_EQ(0, status) TH_LOG("%zu: exit %d", i,
					    WEXITSTATUS(status));
		EXPECT_EQ(1, hits_of(initial, 0)) TH_LOG("%zu", i);
	}
	ktls_close(initial);
}

/* Nor undo what the host's administrator set for their namespace. */
TEST_F(policy, contained_by_admin)
{
	struct ktls_policy none = { .inherit = true };
	struct ktls_rule deny = { .action = KTLS_ACTION_DENY };
	int up[2], down[2], fd[2], status, netns;
	struct ktls *ktls;
	char path[64], c;
	pid_t pid;

	ASSERT_EQ(0, pipe(up));
	ASSERT_EQ(0, pipe(down));
	pid = fork();
	if (!pid) {
		contain(_metadata);
		if (write(up[1], "", 1) != 1 || read(down[0], &c, 1) != 1 ||
		    ktls_open(&ktls, -1))
			_exit(1);
		if (set(ktls, NULL, 0) != -EPERM)
			_exit(2);
		if (ktls_set_policy(ktls, &none, NULL, NULL) != -EPERM)
			_exit(3);
		if (tcp_pair(fd) || tls_attach(fd[0]))
			_exit(4);
		if (key_install(fd[0], TLS_TX, TLS13, GCM, 0) != -EPERM)
			_exit(5);
		_exit(0);
	}
	ASSERT_EQ(1, read(up[0], &c, 1));
	snprintf(path, sizeof(path), "/proc/%d/ns/net", pid);
	netns = open(path, O_RDONLY);
	ASSERT_EQ(0, ktls_open(&ktls, netns));
	ASSERT_EQ(0, set(ktls, &deny, 1));
	ASSERT_EQ(1, write(down[1], "", 1));
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status) TH_LOG("exit %d", WEXITSTATUS(status));
	ktls_close(ktls);
}

static int collect_rule(const struct ktls_socket *socket, void *arg)
{
	*(int *)arg = socket->rule;

	return 0;
}

/* Sockets that would not get their key any more. */
TEST_F(policy, violates)
{
	struct ktls_filter violates = { .match = KTLS_MATCH(VIOLATES) };
	struct ktls_rule rules[] = {
		{ .match = RULE(UID), .action = KTLS_ACTION_DENY,
		  .uid = ALICE },
		{ .match = RULE(DIRECTION), .action = KTLS_ACTION_DENY,
		  .direction = KTLS_DIRECTION_RX },
	};
	struct cookies cookies = {};
	int rule = -7, one[2];

	ASSERT_EQ(0, tls_arm(self->fd, TLS13, GCM));
	ASSERT_EQ(0, tcp_pair(one));
	ASSERT_EQ(0, tls_attach(one[0]));
	ASSERT_EQ(0, key_install(one[0], TLS_TX, TLS13, GCM, 0));
	ASSERT_EQ(0, cookies_dump(self->ktls, &violates, &cookies));
	EXPECT_EQ(0, cookies.n);

	ASSERT_EQ(0, set(self->ktls, rules, 2));
	ASSERT_EQ(0, cookies_dump(self->ktls, &violates, &cookies));
	EXPECT_EQ(2, cookies.n);
	EXPECT_EQ(1, cookies_count(&cookies, cookie_of(self->fd[0])));
	EXPECT_EQ(0, cookies_count(&cookies, cookie_of(one[0])));
	ASSERT_EQ(0, ktls_dump_sockets(self->ktls, &violates, collect_rule,
				       &rule));
	EXPECT_EQ(2, rule);
	/* To look is not to hit. */
	EXPECT_EQ(0, hits(self, 2));
	/* They go on. */
	EXPECT_TRUE(carries(self->fd));
}

/* In a cgroup namespace that does not show the cgroup of the sockets. */
static int keep_cgroup(const struct ktls_socket *socket, void *arg)
{
	*(uint64_t *)arg = socket->cgroup_id;

	return 0;
}

static int try_from_elsewhere(FIXTURE_DATA(policy) *self, uint64_t cgroup)
{
	struct ktls_filter violates = { .match = KTLS_MATCH(VIOLATES) };
	struct ktls_question question = any_key;
	const struct ktls_verdict *verdict;
	struct cookies cookies = {};

	if (!tell(CGROUP "-other/cgroup.procs", "0") ||
	    unshare(CLONE_NEWCGROUP))
		return 1;
	if (cookies_dump(self->ktls, &violates, &cookies) || cookies.n != 2)
		return 2;
	/* Not the one they are in; and of that one they know nothing. */
	if (ktls_test_policy(self->ktls, &question, &verdict) ||
	    verdict->action != KTLS_ACTION_ALLOW)
		return 3;
	question.given |= KTLS_GIVEN(CGROUP_ID);
	question.cgroup_id = cgroup;
	if (ktls_test_policy(self->ktls, &question, &verdict) != -ENOENT)
		return 4;

	return 0;
}

TEST_F(policy, violates_cgroup)
{
	struct ktls_rule rule = {
		.match = RULE(CGROUP_ID), .action = KTLS_ACTION_DENY,
	};
	struct ktls_question question = any_key;
	const struct ktls_verdict *verdict;
	uint64_t known = 0;
	struct stat st;
	int status;
	pid_t pid;

	mkdir(CGROUP, 0755);
	mkdir(CGROUP "-other", 0755);
	if (stat(CGROUP, &st) || access(CGROUP "/cgroup.procs", W_OK))
		SKIP(return, "no cgroup v2 at /sys/fs/cgroup");
	ASSERT_TRUE(tell(CGROUP "/cgroup.procs", "0"));
	close(self->fd[0]);
	close(self->fd[1]);
	ASSERT_EQ(0, tls_pair(self->fd, TLS13, GCM));
	ASSERT_TRUE(tell("/sys/fs/cgroup/cgroup.procs", "0"));
	ASSERT_EQ(0, ktls_dump_sockets(self->ktls, NULL, keep_cgroup, &known));
	if (!known)
		SKIP(return, "a kernel without CONFIG_SOCK_CGROUP_DATA");
	ASSERT_EQ(st.st_ino, known);
	rule.cgroup_id = st.st_ino;
	ASSERT_EQ(0, set(self->ktls, &rule, 1));

	pid = fork();
	if (!pid)
		_exit(try_from_elsewhere(self, st.st_ino));
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status) TH_LOG("exit %d", WEXITSTATUS(status));

	question.given |= KTLS_GIVEN(CGROUP_ID);
	question.cgroup_id = st.st_ino;
	ASSERT_EQ(0, ktls_test_policy(self->ktls, &question, &verdict));
	EXPECT_EQ(KTLS_ACTION_DENY, verdict->action);
	EXPECT_EQ(0, rmdir(CGROUP));
	EXPECT_EQ(0, rmdir(CGROUP "-other"));
	EXPECT_EQ(-ENOENT, ktls_test_policy(self->ktls, &question, &verdict));
}

TEST_F(policy, test)
{
	struct ktls_rule rules[] = {
		{ .match = RULE(UID) | RULE(DIRECTION),
		  .action = KTLS_ACTION_AUDIT, .uid = ALICE },
		{ .match = RULE(ULP) | RULE(COMM), .action = KTLS_ACTION_DENY,
		  .comm = "evil" },
	};
	struct ktls_policy policy = {
		.fallback = KTLS_ACTION_DENY, .rules = rules,
		.rules_count = 2,
	};
	struct ktls_question question = any_key;
	const struct ktls_verdict *verdict;

	ASSERT_EQ(0, ktls_set_policy(self->ktls, &policy, NULL, NULL));
	ASSERT_EQ(0, ktls_test_policy(self->ktls, &question, &verdict));
	EXPECT_EQ(KTLS_ACTION_DENY, verdict->action);
	EXPECT_EQ(0, verdict->rule);
	question.given |= KTLS_GIVEN(UID);
	question.uid = ALICE;
	ASSERT_EQ(0, ktls_test_policy(self->ktls, &question, &verdict));
	EXPECT_EQ(KTLS_ACTION_AUDIT, verdict->action);
	EXPECT_EQ(1, verdict->rule);
	question.step = KTLS_STEP_ULP;
	question.given = KTLS_GIVEN(COMM);
	strcpy(question.comm, "evil");
	ASSERT_EQ(0, ktls_test_policy(self->ktls, &question, &verdict));
	EXPECT_EQ(KTLS_ACTION_DENY, verdict->action);
	EXPECT_EQ(2, verdict->rule);
	question.given = 0;
	ASSERT_EQ(0, ktls_test_policy(self->ktls, &question, &verdict));
	EXPECT_EQ(KTLS_ACTION_ALLOW, verdict->action);
	question.step = KTLS_STEP_TX;
	EXPECT_EQ(-EINVAL, ktls_test_policy(self->ktls, &question, &verdict));
	EXPECT_EQ(0, hits(self, 1));
}

TEST_HARNESS_MAIN
