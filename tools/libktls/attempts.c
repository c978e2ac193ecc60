// SPDX-License-Identifier: LGPL-2.1-or-later
/* Attempts, and how often they came out how. */
#include <errno.h>

#include <netlink/attr.h>
#include <netlink/msg.h>

#include "internal.h"

static int put_number(struct nl_msg *msg, const void *what)
{
	return nla_put_u64(msg, KTLS_A_ATTEMPT_NUMBER,
			   *(const uint64_t *)what) ? -ENOMEM : 0;
}

static int take_attempt(struct ktls *k, const struct nlmsghdr *nlh, void *arg)
{
	const void *attrs;
	ssize_t len;

	(void)arg;
	attrs = ktls_attributes(nlh, &len);
	if (!attrs)
		return -EBADMSG;
	return ktls_parse_attempt(attrs, len, &k->attempt);
}

int ktls_get_attempt(struct ktls *k, uint64_t number,
		     const struct ktls_attempt **attempt)
{
	int err;

	*attempt = NULL;
	err = ktls_usable(k);
	if (err)
		return err;
	err = ktls_request(k, &(struct ktls_request){
			   .cmd = KTLS_CMD_ATTEMPT_GET,
			   .put = put_number, .what = &number },
			   take_attempt, NULL);
	if (err == -ENOENT)
		return ktls_fail(k, err,
				 "no attempt of yours with the number %llu is kept",
				 (unsigned long long)number);
	if (err)
		return ktls_fail_request(k, err, "read the attempt");
	*attempt = &k->attempt;
	return 0;
}

static int put_filter(struct nl_msg *msg, const void *what)
{
	const bool *failed = what;
	struct nlattr *nest;

	if (!*failed)
		return 0;
	nest = nla_nest_start(msg, KTLS_A_ATTEMPT_FILTER | NLA_F_NESTED);
	if (!nest || nla_put_flag(msg, KTLS_A_ATTEMPT_FILTER_FAILED))
		return -ENOMEM;
	nla_nest_end(msg, nest);
	return 0;
}

struct each {
	ktls_attempt_fn *attempt;
	ktls_outcome_fn *outcome;
	void *arg;
	int stopped;	/* what the callback returned */
};

static int each_attempt(struct ktls *k, const struct nlmsghdr *nlh, void *arg)
{
	struct each *each = arg;
	int err;

	err = take_attempt(k, nlh, NULL);
	if (err)
		return err;
	each->stopped = each->attempt(&k->attempt, each->arg);
	return each->stopped ? KTLS_STOPPED : 0;
}

int ktls_dump_attempts(struct ktls *k, bool failed, ktls_attempt_fn *fn,
		       void *arg)
{
	struct each each = { .attempt = fn, .arg = arg };
	int err;

	err = ktls_usable(k);
	if (err)
		return err;
	err = ktls_request(k, &(struct ktls_request){
			   .cmd = KTLS_CMD_ATTEMPT_GET, .flags = NLM_F_DUMP,
			   .put = put_filter, .what = &failed },
			   each_attempt, &each);
	if (err == KTLS_STOPPED)
		return each.stopped;
	return err ? ktls_fail_request(k, err, "list the attempts") : 0;
}

static int each_outcome(struct ktls *k, const struct nlmsghdr *nlh, void *arg)
{
	struct each *each = arg;
	struct ktls_outcome outcome;
	const void *attrs;
	ssize_t len;

	(void)k;
	attrs = ktls_attributes(nlh, &len);
	if (!attrs || ktls_parse_outcome(attrs, len, &outcome))
		return -EBADMSG;
	each->stopped = each->outcome(&outcome, each->arg);
	return each->stopped ? KTLS_STOPPED : 0;
}

int ktls_dump_outcomes(struct ktls *k, ktls_outcome_fn *fn, void *arg)
{
	struct each each = { .outcome = fn, .arg = arg };
	int err;

	err = ktls_usable(k);
	if (err)
		return err;
	err = ktls_request(k, &(struct ktls_request){
			   .cmd = KTLS_CMD_OUTCOME_GET, .flags = NLM_F_DUMP },
			   each_outcome, &each);
	if (err == KTLS_STOPPED)
		return each.stopped;
	return err ? ktls_fail_request(k, err, "list the outcomes") : 0;
}
