// SPDX-License-Identifier: GPL-2.0
/* What the kernel may do with TLS keys, by rules that an operator sets. */

#include <linux/cgroup.h>
#include <linux/cred.h>
#include <linux/mm.h>
#include <linux/mutex.h>
#include <linux/netlink.h>
#include <linux/rcupdate.h>
#include <net/sock.h>

#include "policy.h"
#include "sockets.h"

/* Serialises those who replace a policy, of any namespace. */
static DEFINE_MUTEX(ktls_policy_mutex);

/* Number of the latest change of a policy, of any namespace; under the mutex. */
static unsigned long ktls_policy_latest;

static enum ktls_direction ktls_step_direction(u8 step)
{
	return step == KTLS_STEP_RX || step == KTLS_STEP_REKEY_RX ?
	       KTLS_DIRECTION_RX : KTLS_DIRECTION_TX;
}

/* Is the process in the cgroup, or below it? */
static bool ktls_cgroup_below(struct cgroup *cgroup, u64 id)
{
#ifdef CONFIG_CGROUPS
	for (; cgroup; cgroup = cgroup_parent(cgroup))
		if (cgroup_id(cgroup) == id)
			return true;
#endif

	return false;
}

static bool ktls_rule_matches(const struct ktls_rule *rule,
			      const struct ktls_subject *subject)
{
	bool attach = subject->step == KTLS_STEP_ULP;
	u32 match = rule->match;
	bool ulp = match & BIT(KTLS_A_RULE_ULP);

	if (ulp != attach)
		return false;
	if (match & BIT(KTLS_A_RULE_DIRECTION) &&
	    rule->direction != ktls_step_direction(subject->step))
		return false;
	if (match & BIT(KTLS_A_RULE_VERSION) &&
	    rule->version != subject->version)
		return false;
	if (match & BIT(KTLS_A_RULE_CIPHER) && rule->cipher != subject->cipher)
		return false;
	if (match & BIT(KTLS_A_RULE_MODE) && rule->mode != subject->mode)
		return false;
	if (match & BIT(KTLS_A_RULE_UID) && !uid_eq(rule->uid, subject->uid))
		return false;
	if (match & BIT(KTLS_A_RULE_CGROUP_ID) &&
	    !ktls_cgroup_below(subject->cgroup, rule->cgroup_id))
		return false;
	if (match & BIT(KTLS_A_RULE_PORT) && rule->port != subject->sport &&
	    rule->port != subject->dport)
		return false;
	if (match & BIT(KTLS_A_RULE_LOCAL_PORT) &&
	    rule->sport != subject->sport)
		return false;
	if (match & BIT(KTLS_A_RULE_REMOTE_PORT) &&
	    rule->dport != subject->dport)
		return false;
	if (match & BIT(KTLS_A_RULE_COMM) &&
	    strncmp(rule->comm, subject->comm, sizeof(rule->comm)))
		return false;

	return true;
}

/* Caller is in an RCU read section. */
static void ktls_policy_judge(const struct ktls_policy *policy,
			      const struct ktls_subject *subject,
			      struct ktls_verdict *verdict)
{
	unsigned int i;

	memset(verdict, 0, sizeof(*verdict));
	for (i = 0; i < policy->n_rules; i++) {
		if (!ktls_rule_matches(&policy->rule[i], subject))
			continue;
		verdict->action = policy->rule[i].action;
		verdict->rule = i + 1;
		verdict->decided = true;
		break;
	}
	/* The default is about keys; attaching alone does nothing. */
	if (!verdict->decided && subject->step != KTLS_STEP_ULP) {
		verdict->action = policy->fallback;
		verdict->decided = true;
	}
	if (policy->dry_run && verdict->action == KTLS_ACTION_DENY)
		verdict->flags |= KTLS_ATTEMPT_FLAGS_DRY_RUN;
}

/* Of two that allow, the one that has it marked says more. */
static unsigned int ktls_verdict_weight(const struct ktls_verdict *verdict)
{
	if (!verdict->decided)
		return 0;
	if (verdict->action == KTLS_ACTION_ALLOW)
		return 1;
	if (verdict->action == KTLS_ACTION_AUDIT ||
	    verdict->flags & KTLS_ATTEMPT_FLAGS_DRY_RUN)
		return 2;

	return 3;
}

/* Is the word of the initial namespace's policy the one that counts? What it
 * denies or marks, another cannot hide by doing as much.
 */
static bool ktls_verdict_theirs(const struct ktls_verdict *theirs,
				const struct ktls_verdict *own)
{
	unsigned int weight = ktls_verdict_weight(theirs);

	if (theirs->action == KTLS_ACTION_ALLOW)
		return weight > ktls_verdict_weight(own);

	return weight >= ktls_verdict_weight(own);
}

/* What one of the policies says. Caller is in an RCU read section. */
static struct ktls_verdict ktls_policy_word(const struct ktls_policy *policy,
					    const struct ktls_subject *subject,
					    struct ktls_word *word)
{
	struct ktls_verdict verdict;

	ktls_policy_judge(policy, subject, &verdict);
	if (verdict.decided) {
		word->policy = policy->number;
		word->rule = verdict.rule;
	}

	return verdict;
}

/* The policy of the initial namespace, if it has a say in another: there is none,
 * or that is the word of somebody who could not have set the first. Caller is in
 * an RCU read section.
 */
static const struct ktls_policy *ktls_policy_of_host(struct ktls_net *kn)
{
	const struct ktls_policy *own = rcu_dereference(kn->policy);
	struct ktls_net *initial = ktls_net(&init_net);

	if (kn == initial || (own && own->admin))
		return NULL;

	return rcu_dereference(initial->policy);
}

/* What is in force says of an attempt. Caller is in an RCU read section. */
static void ktls_policies_judge(struct ktls_net *kn,
				const struct ktls_subject *subject,
				struct ktls_judgement *judgement)
{
	const struct ktls_policy *own, *host;
	struct ktls_verdict theirs;

	memset(judgement, 0, sizeof(*judgement));
	own = rcu_dereference(kn->policy);
	if (own)
		judgement->verdict = ktls_policy_word(own, subject,
						      &judgement->own);
	host = ktls_policy_of_host(kn);
	if (!host)
		return;

	theirs = ktls_policy_word(host, subject, &judgement->initial);
	if (ktls_verdict_theirs(&theirs, &judgement->verdict)) {
		theirs.flags |= KTLS_ATTEMPT_FLAGS_INHERITED;
		judgement->verdict = theirs;
	}
}

static bool ktls_policy_none(const struct ktls_net *kn)
{
	return !rcu_access_pointer(kn->policy) &&
	       !rcu_access_pointer(ktls_net(&init_net)->policy);
}

/**
 * ktls_policy_enforce() - may the calling process do this?
 * @kn: namespace of the socket
 * @attempt: what it tries
 * @mode: who is to have the key
 * @judgement: gets what is said of it, to be counted by ktls_policy_count() once
 *	it has come to that
 *
 * Context: process, that of the program that asks.
 * Return: 0 or -EPERM.
 */
int ktls_policy_enforce(struct ktls_net *kn, const struct ktls_attempt *attempt,
			u8 mode, struct ktls_judgement *judgement)
{
	const struct ktls_verdict *verdict = &judgement->verdict;
	struct ktls_subject subject = {
		.step		= attempt->step,
		.mode		= mode,
		.version	= attempt->version,
		.cipher		= attempt->cipher,
		.uid		= attempt->uid,
		.sport		= attempt->ends.sport,
		.dport		= attempt->ends.dport,
		.comm		= attempt->comm,
	};

	if (ktls_policy_none(kn)) {
		memset(judgement, 0, sizeof(*judgement));
		return 0;
	}

	rcu_read_lock();
#ifdef CONFIG_CGROUPS
	subject.cgroup = task_dfl_cgroup(current);
#endif
	ktls_policies_judge(kn, &subject, judgement);
	rcu_read_unlock();

	return verdict->action == KTLS_ACTION_DENY &&
	       !(verdict->flags & KTLS_ATTEMPT_FLAGS_DRY_RUN) ? -EPERM : 0;
}

static void ktls_policy_hit(struct ktls_net *kn, const struct ktls_word *word)
{
	struct ktls_policy *policy;

	if (!word->policy)
		return;

	rcu_read_lock();
	policy = rcu_dereference(kn->policy);
	/* Of one that was replaced meanwhile, nobody reads the hits. */
	if (policy && policy->number == word->policy)
		atomic64_inc(word->rule ? &policy->rule[word->rule - 1].hits :
					  &policy->hits);
	rcu_read_unlock();
}

/**
 * ktls_policy_count() - something came of what the policies said
 * @kn: namespace of the socket
 * @judgement: from ktls_policy_enforce()
 *
 * Each policy counts what it said, also where the other's word was stricter.
 */
void ktls_policy_count(struct ktls_net *kn,
		       const struct ktls_judgement *judgement)
{
	ktls_policy_hit(kn, &judgement->own);
	ktls_policy_hit(ktls_net(&init_net), &judgement->initial);
}

/* With a reference, or NULL. */
static struct cgroup *ktls_cgroup_get(u64 id)
{
#ifdef CONFIG_CGROUPS
	struct cgroup *cgroup = cgroup_get_from_id(id);

	return IS_ERR(cgroup) ? NULL : cgroup;
#else
	return NULL;
#endif
}

static void ktls_cgroup_put(struct cgroup *cgroup)
{
#ifdef CONFIG_CGROUPS
	if (cgroup)
		cgroup_put(cgroup);
#endif
}

/**
 * ktls_policy_ask() - what would the policy say?
 * @kn: namespace
 * @subject: of what; its cgroup is set here
 * @cgroup_id: inode of the cgroup's directory, or NULL for that of the calling
 *	process
 * @admin: who asks has CAP_NET_ADMIN in the initial user namespace
 * @verdict: result
 *
 * A cgroup that the caller's cgroup namespace does not show is none for them, and
 * nothing is said of it, rather than something wrong.
 *
 * Context: process.
 * Return: 0; -ENOENT if there is no such cgroup; -EACCES if the host's policy has a
 * say, and is not the caller's to ask.
 */
int ktls_policy_ask(struct ktls_net *kn, struct ktls_subject *subject,
		    const u64 *cgroup_id, bool admin,
		    struct ktls_verdict *verdict)
{
	struct ktls_judgement judgement;
	struct cgroup *cgroup = NULL;
	int err = 0;

	if (cgroup_id) {
		cgroup = ktls_cgroup_get(*cgroup_id);
		if (!cgroup)
			return -ENOENT;
	}

	rcu_read_lock();
	subject->cgroup = cgroup;
#ifdef CONFIG_CGROUPS
	if (!cgroup)
		subject->cgroup = task_dfl_cgroup(current);
#endif
	if (!admin && ktls_policy_of_host(kn))
		err = -EACCES;
	else
		ktls_policies_judge(kn, subject, &judgement);
	rcu_read_unlock();
	ktls_cgroup_put(cgroup);
	if (!err)
		*verdict = judgement.verdict;

	return err;
}

/* Has a socket, to which the caller has a reference, a key that it would not get
 * now? It keeps its cgroup, whatever namespaces the calling process is in.
 */
static bool ktls_policy_denies(struct ktls_net *kn,
			       const struct ktls_socket *ks, struct sock *sk,
			       enum ktls_direction dir, int *rule)
{
	const struct ktls_subject subject = {
		.step		= KTLS_STEP_TX + dir,
		.mode		= ks->stream[dir].mode,
		.version	= ks->version,
		.cipher		= ks->cipher,
		.uid		= ks->uid,
#ifdef CONFIG_SOCK_CGROUP_DATA
		.cgroup		= sock_cgroup_ptr(&sk->sk_cgrp_data),
#endif
		.sport		= ks->ends.sport,
		.dport		= ks->ends.dport,
		.comm		= ks->comm,
	};
	struct ktls_judgement judgement;

	if (subject.mode == KTLS_MODE_NONE)
		return false;

	rcu_read_lock();
	ktls_policies_judge(kn, &subject, &judgement);
	rcu_read_unlock();
	*rule = judgement.verdict.rule;

	return judgement.verdict.action == KTLS_ACTION_DENY;
}

/**
 * ktls_policy_violated() - has a socket a key that it would not get now?
 * @kn: namespace
 * @ks: socket
 * @rule: gets the rule, or 0 for the default
 *
 * One that is closed, or about to be, has none.
 */
bool ktls_policy_violated(struct ktls_net *kn, struct ktls_socket *ks,
			  int *rule)
{
	struct sock *sk;
	bool violated;

	if (ktls_policy_none(kn))
		return false;

	sk = ktls_socket_sock(ks);
	if (!sk)
		return false;
	violated = ktls_policy_denies(kn, ks, sk, KTLS_DIRECTION_TX, rule) ||
		   ktls_policy_denies(kn, ks, sk, KTLS_DIRECTION_RX, rule);
	sock_put(sk);

	return violated;
}

/**
 * ktls_policy_alloc() - a policy to be filled in
 * @n_rules: at most KTLS_RULES_LIMIT
 *
 * Return: the policy, which allows all, to be given to ktls_policy_replace() or
 * kvfree(); NULL for want of memory.
 */
struct ktls_policy *ktls_policy_alloc(unsigned int n_rules)
{
	struct ktls_policy *policy;

	policy = kvzalloc(struct_size(policy, rule, n_rules),
			  GFP_KERNEL_ACCOUNT);
	if (policy)
		policy->n_rules = n_rules;

	return policy;
}

/* Number of the latest change of what is in force, which may be inherited. Caller
 * holds the mutex.
 */
static unsigned long ktls_policy_generation(const struct ktls_net *kn)
{
	const struct ktls_net *initial = ktls_net(&init_net);

	if (rcu_access_pointer(kn->policy))
		return kn->policy_generation;

	return max(kn->policy_generation, initial->policy_generation);
}

/**
 * ktls_policy_replace() - set the policy of a namespace
 * @kn: namespace
 * @policy: the new one, whose owner this becomes on success; NULL to inherit
 * @admin: who asks has CAP_NET_ADMIN in the initial user namespace
 * @generation: what the present one has to have, or NULL
 * @next: gets the generation of the new one
 * @extack: gets the reason of a failure
 *
 * What is being judged meanwhile is judged by the old one or the new one, never
 * by parts of both.
 *
 * Context: process, may sleep.
 * Return: 0, -ESTALE, or -EPERM.
 */
int ktls_policy_replace(struct ktls_net *kn, struct ktls_policy *policy,
			bool admin, const u32 *generation, u32 *next,
			struct netlink_ext_ack *extack)
{
	struct ktls_policy *old;
	unsigned long number;
	int err = 0;

	mutex_lock(&ktls_policy_mutex);
	old = rcu_dereference_protected(kn->policy,
					lockdep_is_held(&ktls_policy_mutex));
	if (generation && *generation != (u32)ktls_policy_generation(kn)) {
		NL_SET_ERR_MSG(extack,
			       "the policy was changed meanwhile; read it again");
		err = -ESTALE;
	} else if (old && old->admin && !admin) {
		NL_SET_ERR_MSG(extack,
			       "the policy was set by the host's administrator, and only they may change it");
		err = -EPERM;
	} else {
		number = ++ktls_policy_latest;
		if (policy) {
			policy->admin = admin;
			policy->number = number;
		}
		rcu_assign_pointer(kn->policy, policy);
		*next = number;
		/* Who reads this one finds these rules, or later ones. */
		smp_store_release(&kn->policy_generation, number);
	}
	mutex_unlock(&ktls_policy_mutex);

	if (!err && old)
		kvfree_rcu(old, rcu);

	return err;
}

/**
 * ktls_policy_in_force() - the policy of a namespace, to be looked at
 * @kn: namespace
 * @inherited: it is the initial namespace's
 * @generation: number of the latest change of these rules, or of earlier ones: who
 *	changes them meanwhile is found out
 *
 * Context: RCU read section.
 * Return: the policy, or NULL if there is none.
 */
const struct ktls_policy *ktls_policy_in_force(struct ktls_net *kn,
					       bool *inherited, u32 *generation)
{
	struct ktls_net *initial = ktls_net(&init_net);
	const struct ktls_policy *policy;
	unsigned long own, theirs;

	/* Before the rules, as they are written behind them. */
	own = smp_load_acquire(&kn->policy_generation);
	/* Likewise. */
	theirs = smp_load_acquire(&initial->policy_generation);
	policy = rcu_dereference(kn->policy);
	*inherited = !policy && kn != initial;
	*generation = policy ? own : max(own, theirs);

	return policy ?: rcu_dereference(initial->policy);
}

/**
 * ktls_policy_net_exit() - forget the policy of a namespace
 * @kn: namespace, in which nobody asks for anything any more
 */
void ktls_policy_net_exit(struct ktls_net *kn)
{
	kvfree(rcu_dereference_protected(kn->policy, true));
}
