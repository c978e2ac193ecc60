// SPDX-License-Identifier: LGPL-2.1-or-later
/* The policy: to read it, to replace it, to ask it. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <netlink/attr.h>
#include <netlink/msg.h>

#include "internal.h"

/* A rule with all of its attributes takes less. */
#define RULE_ROOM 160

static int take_policy(struct ktls *k, const struct nlmsghdr *nlh, void *arg)
{
	const void *attrs;
	ssize_t len;

	(void)arg;
	attrs = ktls_attributes(nlh, &len);
	if (!attrs)
		return -EBADMSG;
	free(k->policy.rules);
	return ktls_parse_policy(attrs, len, &k->policy);
}

int ktls_get_policy(struct ktls *k, const struct ktls_policy **policy)
{
	int err;

	*policy = NULL;
	err = ktls_usable(k);
	if (err)
		return err;
	err = ktls_request(k, &(struct ktls_request){
			   .cmd = KTLS_CMD_POLICY_GET }, take_policy, NULL);
	if (err)
		return ktls_fail_request(k, err, "read the policy");
	*policy = &k->policy;
	return 0;
}

struct setting {
	const struct ktls_policy *policy;
	const uint32_t *generation;
};

/* A name that fills its field has no NUL. */
static int put_comm(struct nl_msg *msg, int type, const char *comm)
{
	char name[KTLS_COMM_LEN] = "";

	memcpy(name, comm, strnlen(comm, sizeof(name) - 1));
	return nla_put_string(msg, type, name);
}

static int put_rule(struct nl_msg *msg, const struct ktls_rule *r)
{
	struct nlattr *nest;
	int err;

	nest = nla_nest_start(msg, KTLS_A_POLICY_RULE | NLA_F_NESTED);
	if (!nest)
		return -ENOMEM;
	err = nla_put_u8(msg, KTLS_A_RULE_ACTION, r->action);
	if (r->match & KTLS_RULE_MATCH(ULP))
		err |= nla_put_flag(msg, KTLS_A_RULE_ULP);
	if (r->match & KTLS_RULE_MATCH(DIRECTION))
		err |= nla_put_u8(msg, KTLS_A_RULE_DIRECTION, r->direction);
	if (r->match & KTLS_RULE_MATCH(VERSION))
		err |= nla_put_u16(msg, KTLS_A_RULE_VERSION, r->version);
	if (r->match & KTLS_RULE_MATCH(CIPHER))
		err |= nla_put_u16(msg, KTLS_A_RULE_CIPHER, r->cipher);
	if (r->match & KTLS_RULE_MATCH(MODE))
		err |= nla_put_u8(msg, KTLS_A_RULE_MODE, r->mode);
	if (r->match & KTLS_RULE_MATCH(UID))
		err |= nla_put_u32(msg, KTLS_A_RULE_UID, r->uid);
	if (r->match & KTLS_RULE_MATCH(CGROUP_ID))
		err |= nla_put_u64(msg, KTLS_A_RULE_CGROUP_ID, r->cgroup_id);
	if (r->match & KTLS_RULE_MATCH(PORT))
		err |= nla_put_u16(msg, KTLS_A_RULE_PORT, htons(r->port));
	if (r->match & KTLS_RULE_MATCH(LOCAL_PORT))
		err |= nla_put_u16(msg, KTLS_A_RULE_LOCAL_PORT,
				   htons(r->local_port));
	if (r->match & KTLS_RULE_MATCH(REMOTE_PORT))
		err |= nla_put_u16(msg, KTLS_A_RULE_REMOTE_PORT,
				   htons(r->remote_port));
	if (r->match & KTLS_RULE_MATCH(COMM))
		err |= put_comm(msg, KTLS_A_RULE_COMM, r->comm);
	if (err)
		return -ENOMEM;
	nla_nest_end(msg, nest);
	return 0;
}

static int put_policy(struct nl_msg *msg, const void *what)
{
	const struct setting *s = what;
	const struct ktls_policy *p = s->policy;
	int err = 0;
	size_t i;

	if (s->generation)
		err |= nla_put_u32(msg, KTLS_A_POLICY_GENERATION,
				   *s->generation);
	if (p->inherit) {
		err |= nla_put_flag(msg, KTLS_A_POLICY_INHERIT);
		return err ? -ENOMEM : 0;
	}
	err |= nla_put_u8(msg, KTLS_A_POLICY_DEFAULT, p->fallback);
	if (p->dry_run)
		err |= nla_put_flag(msg, KTLS_A_POLICY_DRY_RUN);
	for (i = 0; !err && i < p->rules_count; i++)
		err = put_rule(msg, &p->rules[i]);
	return err ? -ENOMEM : 0;
}

static int take_generation(struct ktls *k, const struct nlmsghdr *nlh,
			   void *arg)
{
	struct ktls_policy answer;
	uint32_t *next = arg;
	const void *attrs;
	ssize_t len;
	int err;

	(void)k;
	attrs = ktls_attributes(nlh, &len);
	if (!attrs)
		return -EBADMSG;
	err = ktls_parse_policy(attrs, len, &answer);
	*next = answer.generation;
	free(answer.rules);
	return err;
}

int ktls_set_policy(struct ktls *k, const struct ktls_policy *policy,
		    const uint32_t *generation, uint32_t *next)
{
	const struct setting setting = { policy, generation };
	uint32_t unused;
	size_t i;
	int err;

	err = ktls_usable(k);
	if (err)
		return err;
	/* The kernel refuses them, too, if they fit a message at all. */
	if (!policy->inherit && policy->rules_count > KTLS_RULES_MAX)
		return ktls_fail(k, -E2BIG,
				 "could not set the policy: it has %zu rules, and %d is the most there may be",
				 policy->rules_count, KTLS_RULES_MAX);
	for (i = 0; !policy->inherit && i < policy->rules_count; i++)
		if (policy->rules[i].match & KTLS_RULE_UNKNOWN)
			return ktls_fail(k, -EOPNOTSUPP,
					 "could not set the policy: rule %zu has a condition that this program does not know, the loaded ktls module is newer; update the program",
					 i + 1);
	err = ktls_request(k, &(struct ktls_request){
			   .cmd = KTLS_CMD_POLICY_SET,
			   .room = policy->inherit ? 0 :
				   policy->rules_count * RULE_ROOM,
			   .put = put_policy, .what = &setting },
			   take_generation, next ?: &unused);
	return err ? ktls_fail_request(k, err, "set the policy") : 0;
}

static int put_question(struct nl_msg *msg, const void *what)
{
	const struct ktls_question *q = what;
	int err;

	err = nla_put_u8(msg, KTLS_A_QUESTION_STEP, q->step);
	if (q->given & KTLS_GIVEN(VERSION))
		err |= nla_put_u16(msg, KTLS_A_QUESTION_VERSION, q->version);
	if (q->given & KTLS_GIVEN(CIPHER))
		err |= nla_put_u16(msg, KTLS_A_QUESTION_CIPHER, q->cipher);
	if (q->given & KTLS_GIVEN(MODE))
		err |= nla_put_u8(msg, KTLS_A_QUESTION_MODE, q->mode);
	if (q->given & KTLS_GIVEN(UID))
		err |= nla_put_u32(msg, KTLS_A_QUESTION_UID, q->uid);
	if (q->given & KTLS_GIVEN(CGROUP_ID))
		err |= nla_put_u64(msg, KTLS_A_QUESTION_CGROUP_ID,
				   q->cgroup_id);
	if (q->given & KTLS_GIVEN(LOCAL_PORT))
		err |= nla_put_u16(msg, KTLS_A_QUESTION_LOCAL_PORT,
				   htons(q->local_port));
	if (q->given & KTLS_GIVEN(REMOTE_PORT))
		err |= nla_put_u16(msg, KTLS_A_QUESTION_REMOTE_PORT,
				   htons(q->remote_port));
	if (q->given & KTLS_GIVEN(COMM))
		err |= put_comm(msg, KTLS_A_QUESTION_COMM, q->comm);
	return err ? -ENOMEM : 0;
}

static int take_verdict(struct ktls *k, const struct nlmsghdr *nlh, void *arg)
{
	const void *attrs;
	ssize_t len;

	(void)arg;
	attrs = ktls_attributes(nlh, &len);
	if (!attrs)
		return -EBADMSG;
	return ktls_parse_verdict(attrs, len, &k->verdict);
}

int ktls_test_policy(struct ktls *k, const struct ktls_question *question,
		     const struct ktls_verdict **verdict)
{
	int err;

	*verdict = NULL;
	err = ktls_usable(k);
	if (err)
		return err;
	err = ktls_request(k, &(struct ktls_request){
			   .cmd = KTLS_CMD_POLICY_TEST,
			   .put = put_question, .what = question },
			   take_verdict, NULL);
	if (err)
		return ktls_fail_request(k, err, "ask the policy");
	*verdict = &k->verdict;
	return 0;
}
