// SPDX-License-Identifier: GPL-2.0-or-later
/* The handle of libktls, in front of a kernel that is not one. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fake_kernel.h"
#include "libktls.h"
#include "tap.h"

static struct ktls *open_like(const char *like)
{
	struct ktls *k;

	fake_kernel = like;
	if (ktls_open(&k, -1))
		printf("# ktls_open: %s\n", ktls_strerror(k));
	return k;
}

/* What a dump brought. */
struct brought {
	struct ktls *k;
	int count;
	int stop_at;
	uint64_t sum;
	int busy;
};

static int count_socket(const struct ktls_socket *socket, void *arg)
{
	struct brought *b = arg;
	const struct ktls_module *module;

	b->count++;
	b->sum += socket->cookie;
	if (b->k)
		b->busy = ktls_get_module(b->k, &module);
	return b->count == b->stop_at ? 4242 : 0;
}

static int count_totals(const struct ktls_totals *totals, void *arg)
{
	struct brought *b = arg;

	b->count++;
	b->sum += totals->open;
	return 0;
}

static int count_event(const struct ktls_event *event, void *arg)
{
	struct brought *b = arg;

	b->count++;
	b->sum = b->sum * 100 + event->type;
	return b->count == b->stop_at ? 4242 : 0;
}

static int count_attempt(const struct ktls_attempt *attempt, void *arg)
{
	struct brought *b = arg;
	const struct ktls_policy *policy;

	b->count++;
	b->sum += attempt->number;
	if (b->k)
		b->busy = ktls_get_policy(b->k, &policy);
	return b->count == b->stop_at ? 4242 : 0;
}

static int count_outcome(const struct ktls_outcome *outcome, void *arg)
{
	struct brought *b = arg;

	b->count++;
	b->sum += outcome->error;
	return b->count == b->stop_at ? 4242 : 0;
}

static void test_open(void)
{
	static const struct {
		const char *like;
		int err;
		const char *says;
	} cases[] = {
		{ "absent", -ENOPKG, "modprobe ktls" },
		{ "version2", -EPROTO, "version 2" },
	};
	const struct ktls_module *module;
	struct ktls *k;
	size_t i;
	int err;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		fake_kernel = cases[i].like;
		err = ktls_open(&k, -1);
		ok(err == cases[i].err && k &&
		   strstr(ktls_strerror(k), cases[i].says),
		   "open, %s: %s", cases[i].like, ktls_strerror(k));
		ok(ktls_get_module(k, &module) == -ENOTCONN && !module,
		   "open, %s: the handle is good for nothing more",
		   cases[i].like);
		ktls_close(k);
	}
	fake_kernel = "";
	err = ktls_open(&k, 1 << 20);
	ok(err == -EBADF, "open, a bad descriptor: %s", ktls_strerror(k));
	ktls_close(k);
	ktls_close(NULL);
	ok(!strcmp(ktls_strerror(NULL), "out of memory"),
	   "no handle: out of memory");
}

static void test_get(void)
{
	static const struct {
		const char *like;
		int err;
		const char *says;
	} cases[] = {
		{ "old", -EOPNOTSUPP, "older than this program" },
		{ "unloaded", -ENOPKG, "modprobe ktls" },
		{ "explained", -EINVAL, "the moon is not full (EINVAL)" },
		{ "truncated", -EBADMSG, "not well formed" },
		{ "short", -EBADMSG, "not well formed" },
		{ "zero", -EBADMSG, "not well formed" },
	};
	const struct ktls_module *module;
	const struct ktls_socket *socket;
	struct ktls *k;
	size_t i;
	int err;

	k = open_like("");
	err = ktls_get_socket(k, 1003, &socket);
	ok(!err && socket->cookie == 1003 && socket->rx.last_error == EBADMSG,
	   "get a socket");
	err = ktls_get_socket(k, 77, &socket);
	ok(err == -ENOENT && !socket && strstr(ktls_strerror(k), "77"),
	   "get: %s", ktls_strerror(k));
	err = ktls_get_module(k, &module);
	ok(!err && module->lost_events == 3, "get the module");
	ktls_close(k);

	k = open_like("reloaded");
	ok(!ktls_get_socket(k, 1001, &socket) && socket->cookie == 1001,
	   "get, when the module was loaded anew");
	ktls_close(k);

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		k = open_like(cases[i].like);
		err = ktls_get_socket(k, 1001, &socket);
		ok(err == cases[i].err && !socket &&
		   strstr(ktls_strerror(k), cases[i].says), "get, %s: %s",
		   cases[i].like, ktls_strerror(k));
		ktls_close(k);
	}
}

static void test_dump(void)
{
	static const struct {
		const char *like;
		int err;
		const char *says;
	} cases[] = {
		{ "truncated", -EBADMSG, "not well formed" },
		{ "short", -EBADMSG, "not well formed" },
		{ "zero", -EBADMSG, "not well formed" },
		{ "interrupted", -EAGAIN, "try again" },
		{ "unfinished", -ENOBUFS, "ENOBUFS" },
		{ "denied", -EPERM, "CAP_NET_ADMIN" },
		{ "noend", 0, "" },
	};
	struct ktls_filter filter = { .match = KTLS_MATCH(CLOSED) };
	struct brought b = { 0 };
	struct ktls *k;
	size_t i;
	int err;

	k = open_like("many");
	ok(!ktls_dump_sockets(k, NULL, count_socket, &b) && b.count == 1000 &&
	   b.sum == 1000 * 1000 + 500500, "dump of 1000 sockets");
	b = (struct brought){ .stop_at = 3 };
	err = ktls_dump_sockets(k, NULL, count_socket, &b);
	ok(err == 4242 && b.count == 3, "a callback ends a dump");
	b = (struct brought){ 0 };
	ok(!ktls_dump_totals(k, count_totals, &b) && b.count == 2 &&
	   b.sum == 8, "nothing of it is left in the way of the next");
	b = (struct brought){ .k = k, .stop_at = 1 };
	ktls_dump_sockets(k, NULL, count_socket, &b);
	ok(b.busy == -EBUSY, "a callback cannot use the handle");
	b = (struct brought){ 0 };
	ok(!ktls_dump_sockets(k, &filter, count_socket, &b) && b.count == 1 &&
	   b.sum == 1005, "the filter reaches the kernel");
	ktls_close(k);

	k = open_like("stray");
	b = (struct brought){ 0 };
	ok(!ktls_dump_sockets(k, NULL, count_socket, &b) && b.count == 4,
	   "answers to other requests are dropped");
	ktls_close(k);

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		k = open_like(cases[i].like);
		b = (struct brought){ 0 };
		err = ktls_dump_sockets(k, NULL, count_socket, &b);
		ok(err == cases[i].err &&
		   (!err || strstr(ktls_strerror(k), cases[i].says)),
		   "dump, %s: %s", cases[i].like, err ? ktls_strerror(k) : "");
		ktls_close(k);
	}
}

static void test_events(void)
{
	struct brought b = { 0 };
	struct pollfd fd;
	struct ktls *k;
	int err;

	k = open_like("");
	ok(ktls_event_fd(k) == -1 &&
	   ktls_dispatch(k, count_event, &b) == -ENOTCONN,
	   "no events without a subscription");
	ok(!ktls_subscribe(k) && !ktls_subscribe(k), "subscribe, twice");
	fd.fd = ktls_event_fd(k);
	fd.events = POLLIN;
	ok(poll(&fd, 1, 1000) == 1, "the descriptor is readable");
	b.stop_at = 1;
	err = ktls_dispatch(k, count_event, &b);
	ok(err == 4242 && b.count == 1, "a callback ends the reading");
	ok(!ktls_dispatch(k, count_event, &b) && b.count == 4 &&
	   b.sum == 10111213, "the other events are still there");
	ok(!ktls_dispatch(k, count_event, &b) && b.count == 4,
	   "and then no more");
	ktls_close(k);

	k = open_like("denied");
	err = ktls_subscribe(k);
	ok(err == -EPERM && ktls_event_fd(k) == -1, "subscribe: %s",
	   ktls_strerror(k));
	ktls_close(k);

	k = open_like("lost");
	ktls_subscribe(k);
	err = ktls_dispatch(k, count_event, &b);
	ok(err == -ENOBUFS, "dispatch: %s", ktls_strerror(k));
	b = (struct brought){ 0 };
	ok(!ktls_dispatch(k, count_event, &b) && b.count == 4,
	   "what is left of the events comes then");
	ktls_close(k);

	k = open_like("farewell");
	ktls_subscribe(k);
	b = (struct brought){ 0 };
	err = ktls_dispatch(k, count_event, &b);
	ok(err == -ENOPKG && b.count == 4, "dispatch: %s", ktls_strerror(k));
	ktls_close(k);
}

static void test_attempts(void)
{
	const struct ktls_attempt *attempt;
	struct brought b = { 0 };
	struct ktls *k;
	int err;

	fake_kernel_reset();
	k = open_like("many");
	ok(!ktls_dump_attempts(k, false, count_attempt, &b) &&
	   b.count == 1000 && b.sum == 500500, "dump of 1000 attempts");
	b = (struct brought){ .stop_at = 3, .k = k };
	err = ktls_dump_attempts(k, false, count_attempt, &b);
	ok(err == 4242 && b.count == 3 && b.busy == -EBUSY,
	   "a callback ends it, and cannot use the handle");
	ktls_close(k);

	k = open_like("");
	b = (struct brought){ 0 };
	ok(!ktls_dump_attempts(k, true, count_attempt, &b) && b.count == 4 &&
	   b.sum == 3 + 4 + 5 + 6, "the filter reaches the kernel");
	b = (struct brought){ 0 };
	ok(!ktls_dump_outcomes(k, count_outcome, &b) && b.count == 14,
	   "dump of outcomes");
	b = (struct brought){ .stop_at = 2 };
	ok(ktls_dump_outcomes(k, count_outcome, &b) == 4242, "and its end");
	err = ktls_get_attempt(k, 3, &attempt);
	ok(!err && attempt->number == 3 && attempt->error == EPERM &&
	   attempt->action == KTLS_ACTION_DENY && attempt->rule == 2 &&
	   attempt->local_port == 443 && !strcmp(attempt->comm, "nginx"),
	   "get an attempt");
	ok(!ktls_get_attempt(k, 1, &attempt) && attempt->action == -1,
	   "nobody decided about another");
	err = ktls_get_attempt(k, 77, &attempt);
	ok(err == -ENOENT && !attempt && strstr(ktls_strerror(k), "77"),
	   "get: %s", ktls_strerror(k));
	ktls_close(k);

	k = open_like("truncated");
	ok(ktls_dump_attempts(k, false, count_attempt, &b) == -EBADMSG &&
	   ktls_dump_outcomes(k, count_outcome, &b) == -EBADMSG &&
	   ktls_get_attempt(k, 1, &attempt) == -EBADMSG,
	   "what is not well formed is refused");
	ktls_close(k);
}

static int check_attempt_event(const struct ktls_event *event, void *arg)
{
	struct brought *b = arg;

	b->count++;
	if (event->attempt && !event->socket && event->direction == -1 &&
	    event->type == KTLS_CMD_ATTEMPT_NTF)
		b->sum += event->attempt->number;
	return 0;
}

static void test_attempt_events(void)
{
	struct brought b = { 0 };
	struct ktls *k;

	k = open_like("");
	ok(!ktls_subscribe_to(k, KTLS_EVENTS_ATTEMPTS) &&
	   !ktls_dispatch(k, check_attempt_event, &b) && b.count == 5 &&
	   b.sum == 6 + 7 + 8 + 9 + 10, "events of attempts");
	b = (struct brought){ 0 };
	ok(!ktls_subscribe(k) && !ktls_dispatch(k, check_attempt_event, &b) &&
	   b.count == 4 && !b.sum, "and those of sockets besides");
	ktls_close(k);

	k = open_like("denied");
	ok(ktls_subscribe_to(k, KTLS_EVENTS_ATTEMPTS | KTLS_EVENTS_SOCKETS) ==
	   -EPERM && ktls_event_fd(k) == -1, "subscribe: %s",
	   ktls_strerror(k));
	ktls_close(k);

	k = open_like("old");
	ok(ktls_subscribe_to(k, KTLS_EVENTS_ATTEMPTS | KTLS_EVENTS_SOCKETS) ==
	   -EOPNOTSUPP && ktls_event_fd(k) == -1, "subscribe: %s",
	   ktls_strerror(k));
	ok(!ktls_subscribe(k), "an old module has events of sockets");
	ktls_close(k);
}

static bool same_rule(const struct ktls_rule *a, const struct ktls_rule *b)
{
	return a->match == b->match && a->action == b->action &&
	       a->direction == b->direction && a->mode == b->mode &&
	       a->version == b->version && a->cipher == b->cipher &&
	       a->port == b->port && a->local_port == b->local_port &&
	       a->remote_port == b->remote_port && a->uid == b->uid &&
	       a->cgroup_id == b->cgroup_id && !strcmp(a->comm, b->comm);
}

static void test_policy(void)
{
	static struct ktls_rule rules[KTLS_RULES_MAX + 1];
	struct ktls_policy mine = {
		.fallback = KTLS_ACTION_DENY, .dry_run = true,
		.rules = rules, .rules_count = KTLS_RULES_MAX,
	};
	struct ktls_question question = { .step = KTLS_STEP_ULP };
	const struct ktls_verdict *verdict;
	const struct ktls_policy *policy;
	uint32_t generation = 0, next = 0;
	struct ktls *k;
	size_t i;
	int err;

	for (i = 0; i < KTLS_RULES_MAX; i++)
		rules[i] = (struct ktls_rule){
			.match = i % 2 ? KTLS_RULE_MATCH(ULP) :
				 KTLS_RULE_MATCH(DIRECTION) |
				 KTLS_RULE_MATCH(VERSION) |
				 KTLS_RULE_MATCH(CIPHER) |
				 KTLS_RULE_MATCH(MODE) | KTLS_RULE_MATCH(UID) |
				 KTLS_RULE_MATCH(CGROUP_ID) |
				 KTLS_RULE_MATCH(PORT) |
				 KTLS_RULE_MATCH(LOCAL_PORT) |
				 KTLS_RULE_MATCH(REMOTE_PORT) |
				 KTLS_RULE_MATCH(COMM),
			.action = i % 3,
		};
	for (i = 0; i < KTLS_RULES_MAX; i += 2) {
		rules[i].direction = KTLS_DIRECTION_RX;
		rules[i].version = KTLS_VERSION_TLS_1_3;
		rules[i].cipher = KTLS_CIPHER_SM4_CCM;
		rules[i].mode = KTLS_MODE_HW;
		rules[i].uid = 4000000000u + i;
		rules[i].cgroup_id = 1ull << 60 | i;
		rules[i].port = i;
		rules[i].local_port = 65535 - i;
		rules[i].remote_port = 256 * i;
		strcpy(rules[i].comm, "fifteen-letters");
	}

	fake_kernel_reset();
	k = open_like("");
	ok(!ktls_get_policy(k, &policy) && !policy->generation &&
	   !policy->rules_count && policy->fallback == KTLS_ACTION_ALLOW,
	   "no policy allows all");
	ok(!ktls_set_policy(k, &mine, &generation, &next) && next == 1,
	   "set a policy of 256 rules");
	err = ktls_get_policy(k, &policy);
	for (i = 0; !err && i < policy->rules_count; i++)
		if (!same_rule(&policy->rules[i], &rules[i]) ||
		    policy->rules[i].hits != i + 1)
			break;
	ok(!err && i == KTLS_RULES_MAX && policy->dry_run && !policy->inherit &&
	   policy->fallback == KTLS_ACTION_DENY && policy->hits == 42,
	   "and get it");
	err = ktls_set_policy(k, &mine, &generation, &next);
	ok(err == -ESTALE && strstr(ktls_strerror(k), "read it again"),
	   "set: %s", ktls_strerror(k));
	ok(!ktls_set_policy(k, &mine, NULL, NULL), "set, whatever is there");
	mine.rules_count++;
	err = ktls_set_policy(k, &mine, NULL, NULL);
	ok(err == -E2BIG, "set: %s", ktls_strerror(k));
	mine.rules_count = 1;
	rules[0].match |= KTLS_RULE_UNKNOWN;
	err = ktls_set_policy(k, &mine, NULL, NULL);
	ok(err == -EOPNOTSUPP && strstr(ktls_strerror(k), "rule 1 has"),
	   "set: %s", ktls_strerror(k));
	mine = (struct ktls_policy){ .inherit = true };
	ok(!ktls_set_policy(k, &mine, NULL, &next) && next == 3 &&
	   !ktls_get_policy(k, &policy) && !policy->rules_count,
	   "set none");

	rules[0] = (struct ktls_rule){
		.match = KTLS_RULE_MATCH(ULP) | KTLS_RULE_MATCH(COMM),
		.action = KTLS_ACTION_AUDIT,
	};
	/* A name without NUL is cut. */
	memset(rules[0].comm, 'x', sizeof(rules[0].comm));
	mine = (struct ktls_policy){ .rules = rules, .rules_count = 1 };
	ok(!ktls_set_policy(k, &mine, NULL, NULL) &&
	   !ktls_get_policy(k, &policy) &&
	   !strcmp(policy->rules[0].comm, "xxxxxxxxxxxxxxx"),
	   "a name that fills its field");
	question.given = KTLS_GIVEN(COMM);
	memset(question.comm, 'x', sizeof(question.comm));
	ok(!ktls_test_policy(k, &question, &verdict) &&
	   verdict->action == KTLS_ACTION_AUDIT && verdict->rule == 1 &&
	   !verdict->flags, "test it");
	question.step = KTLS_STEP_TX;
	err = ktls_test_policy(k, &question, &verdict);
	ok(err == -EINVAL && !verdict &&
	   strstr(ktls_strerror(k), "give version and cipher"), "test: %s",
	   ktls_strerror(k));
	ktls_close(k);

	k = open_like("huge-policy");
	ok(!ktls_get_policy(k, &policy) && policy->rules_count == 1 &&
	   !ktls_get_policy(k, &policy), "an answer larger than the buffer");
	ktls_close(k);
	k = open_like("later-rule");
	ok(!ktls_get_policy(k, &policy) &&
	   policy->rules[0].match & KTLS_RULE_UNKNOWN,
	   "a condition of a later module is marked");
	ktls_close(k);
	k = open_like("unenforceable");
	err = ktls_set_policy(k, &mine, NULL, NULL);
	ok(err == -EOPNOTSUPP && strstr(ktls_strerror(k), "hooks are missing"),
	   "set: %s", ktls_strerror(k));
	ktls_close(k);
	k = open_like("truncated");
	ok(ktls_get_policy(k, &policy) == -EBADMSG && !policy &&
	   ktls_set_policy(k, &mine, NULL, NULL) == -EBADMSG &&
	   ktls_get_policy(k, &policy) == -EBADMSG,
	   "what is not well formed is refused");
	ktls_close(k);
	k = open_like("absent");
	ok(ktls_get_policy(k, &policy) == -ENOTCONN && !policy &&
	   ktls_test_policy(k, &question, &verdict) == -ENOTCONN,
	   "a handle that is good for nothing");
	ktls_close(k);
}

int main(void)
{
	tap_begin();
	test_open();
	test_get();
	test_dump();
	test_events();
	test_attempts();
	test_attempt_events();
	test_policy();
	return tap_end();
}
