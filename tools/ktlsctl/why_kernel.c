// SPDX-License-Identifier: GPL-2.0-or-later
/* What the kernel knows of a connection: its keys, and what was refused. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "why.h"

static const char *option_name(int direction)
{
	return direction == KTLS_DIRECTION_TX ? "TLS_TX" : "TLS_RX";
}

static const char *purpose(int direction)
{
	return direction == KTLS_DIRECTION_TX ? "send" : "receive";
}

/* Who has the key, according to ktls.ko or else to sock_diag. */
static uint32_t find_mode(struct connection *c, int direction)
{
	const struct ktls_socket *s = find_socket(&c->space->sockets, c->cookie);
	const struct ktls_stream *stream;
	char v[NUMBER_LEN], n[NUMBER_LEN], m[2][NUMBER_LEN];

	if (s) {
		stream = direction == KTLS_DIRECTION_TX ? &s->tx : &s->rx;
		c->version = s->tx.version ?: s->rx.version;
		c->cipher = s->tx.cipher ?: s->rx.cipher;
		add_evidence(c, "ktls.ko", "TX %s, RX %s, TLS %s, %s%s",
			     format_mode(m[0], s->tx.mode),
			     format_mode(m[1], s->rx.mode),
			     format_version(v, c->version),
			     format_cipher(n, c->cipher),
			     s->flags & KTLS_SOCKET_FLAGS_ADOPTED ?
			     "; it had its keys before ktls.ko was loaded" : "");
		return stream->mode;
	}
	if (c->ulp != ULP_TLS)
		return KTLS_MODE_NONE;
	if (c->version)
		add_evidence(c, "sock_diag", "TX %s, RX %s, TLS %s, %s",
			     format_mode(m[0], c->mode[KTLS_DIRECTION_TX]),
			     format_mode(m[1], c->mode[KTLS_DIRECTION_RX]),
			     format_version(v, c->version),
			     format_cipher(n, c->cipher));
	else
		add_evidence(c, "sock_diag",
			     "TLS is attached to the socket, and has no key");
	return c->mode[direction];
}

/*
 * The attempts of a socket in their order.  An error counts until the same step
 * succeeds; EEXIST of the ULP is not kept, and means that it was there.
 */
static const struct ktls_attempt *find_failure(const struct connection *c,
					       uint32_t step, bool *succeeded)
{
	const struct ktls_attempt *failure = NULL;
	size_t i;

	*succeeded = false;
	for (i = 0; i < c->space->attempts_count; i++) {
		const struct ktls_attempt *t = &c->space->attempts[i];

		if (t->cookie != c->cookie || t->step != step)
			continue;
		if (!t->error) {
			failure = NULL;
			*succeeded = true;
		} else if (!failure) {
			failure = t;
		}
	}
	return failure;
}

static void cite(struct connection *c, const struct ktls_attempt *t)
{
	char at[TIME_LEN], r[NUMBER_LEN], p[PROCESS_LEN], v[NUMBER_LEN];
	char n[NUMBER_LEN], what[128] = "", from[64];

	snprintf(from, sizeof(from), "ktls.ko, attempt %llu",
		 (unsigned long long)t->number);
	if (t->version)
		snprintf(what, sizeof(what), " (TLS %s, %s)",
			 format_version(v, t->version),
			 format_cipher(n, t->cipher));
	add_evidence(c, from, "%s: %s%s returned %s to %s",
		     format_when(at, t->time),
		     t->step == KTLS_STEP_ULP ? "TCP_ULP" :
		     option_name(t->step == KTLS_STEP_RX), what,
		     format_result(r, t->error),
		     format_pid(p, t->pid, t->comm));
}

/* EPERM: by the policy, or by another that is not ours. */
static void explain_denial(struct connection *c, const struct ktls_attempt *t,
			   struct finding *f)
{
	const struct ktls_policy *p = c->space->policy;
	bool inherited = t->flags & KTLS_ATTEMPT_FLAGS_INHERITED;
	char *rule = NULL;

	if (t->action != KTLS_ACTION_DENY ||
	    t->flags & KTLS_ATTEMPT_FLAGS_DRY_RUN) {
		conclude(f, VERDICT_REFUSED, "security-policy",
			 "the kernel refused it with EPERM, and the policy of ktls did not: another security policy does (SELinux, AppArmor, seccomp, BPF)");
		advise(f, "ask who runs that; to see what it says, type: dmesg | grep -i -e denied -e audit");
		return;
	}
	/* It may have been replaced since. */
	if (t->rule && p && t->rule <= p->rules_count && p->inherit == inherited)
		rule = rule_text(&p->rules[t->rule - 1]);
	if (t->rule)
		conclude(f, VERDICT_REFUSED, "policy",
			 "rule %u of the policy%s denied it", t->rule,
			 inherited ? " of the initial network namespace" : "");
	else
		conclude(f, VERDICT_REFUSED, "policy",
			 "the default of the policy%s denied it",
			 inherited ? " of the initial network namespace" : "");
	if (rule)
		add_evidence(c, "ktlsctl policy show", "rule %u is now: %s",
			     t->rule, rule);
	free(rule);
	advise(f, "if it should be allowed, change the policy: ktlsctl policy show");
}

static void explain_ulp(struct connection *c, const struct ktls_attempt *t,
			struct finding *f)
{
	char r[NUMBER_LEN];

	switch (t->error) {
	case EPERM:
		explain_denial(c, t, f);
		return;
	case ENOENT:
		conclude(f, VERDICT_REFUSED, "tls-module-not-loaded",
			 "the kernel had no TLS to attach when it was asked (TCP_ULP: ENOENT)");
		advise(f, "type: modprobe tls");
		return;
	case ENOTCONN:
		conclude(f, VERDICT_REFUSED, "socket-not-connected",
			 "the program asked before the socket was connected, or after it was closed (TCP_ULP: ENOTCONN)");
		advise(f, "the program has to ask once connect() is done");
		return;
	case ENOPROTOOPT:
	case EOPNOTSUPP:
		if (c->ulp == ULP_MPTCP) {
			conclude(f, VERDICT_REFUSED, "mptcp",
				 "it is a socket of MPTCP, which takes no TLS in the kernel (TCP_ULP: %s)",
				 format_result(r, t->error));
			advise(f, "have the program use plain TCP, as without mptcpize");
			return;
		}
		conclude(f, VERDICT_REFUSED, "no-ulp",
			 "the socket knows no TCP_ULP (%s)",
			 format_result(r, t->error));
		return;
	case ENOMEM:
	case ENOBUFS:
		conclude(f, VERDICT_REFUSED, "no-memory",
			 "the kernel had no memory for it (TCP_ULP: %s)",
			 format_result(r, t->error));
		return;
	}
	conclude(f, VERDICT_REFUSED, "refused",
		 "the kernel refused to attach TLS (TCP_ULP: %s): %s",
		 format_result(r, t->error), explain_result(t->step, t->error));
}

/* The suite of a key that was refused; %NULL if it is none that can be tried. */
static const struct suite *find_suite(const struct ktls_attempt *t)
{
	size_t i;

	for (i = 0; i < SUITES; i++)
		if (suites[i].version == t->version &&
		    suites[i].cipher == t->cipher)
			return &suites[i];
	return NULL;
}

const struct capability *kernel_trials(void)
{
	static struct capability all[SUITES];
	static bool tried;

	if (!tried)
		try_capabilities(all);
	tried = true;
	return all;
}

/* Does the kernel refuse such a key always? */
static void explain_cipher(struct connection *c, const struct ktls_attempt *t,
			   int direction, struct finding *f)
{
	char b[3][NUMBER_LEN], why[WHY_LEN];
	const char *v = format_version(b[0], t->version);
	const char *n = format_cipher(b[1], t->cipher);
	const char *r = format_result(b[2], t->error);
	const struct suite *suite = find_suite(t);
	const struct kernel_trial *trial;

	if (t->error == ENOENT) {
		conclude(f, VERDICT_REFUSED, "algorithm-missing",
			 "the kernel has no %s to %s with under TLS %s (%s: %s)",
			 suite ? suite->algorithm : n, purpose(direction), v,
			 option_name(direction), r);
		advise(f, "let the program use another cipher, as aes-gcm-128, or give the kernel the module that has this one");
		return;
	}
	trial = suite ? &kernel_trials()[suite - suites].kernel[direction] :
			NULL;
	if (trial && trial->step == STEP_KEY &&
	    kernel_does(suite, trial, direction, why) == ANSWER_NO) {
		add_evidence(c, "tried on a socket of its own", "%s", why);
		conclude(f, VERDICT_REFUSED, "cipher-unsupported",
			 "this kernel does not take %s under TLS %s to %s (%s: %s)",
			 n, v, purpose(direction), option_name(direction), r);
		advise(f, "let the program use another cipher, as aes-gcm-128, or boot a later kernel");
		return;
	}
	conclude(f, VERDICT_REFUSED, "refused",
		 "the kernel refused the key to %s, of %s under TLS %s (%s: %s)%s",
		 purpose(direction), n, v, option_name(direction), r,
		 trial && !trial->error ?
		 ", though it takes such a key on another socket" : "");
}

static void explain_key(struct connection *c, const struct ktls_attempt *t,
			int direction, struct finding *f)
{
	char r[NUMBER_LEN];

	switch (t->error) {
	case EPERM:
		explain_denial(c, t, f);
		return;
	case EINVAL:
	case ENOENT:
	case ENOPROTOOPT:
	case OTHER_ERRNO:
	case 524:	/* ENOTSUPP of the kernel */
		explain_cipher(c, t, direction, f);
		return;
	case EBUSY:
		conclude(f, VERDICT_REFUSED, "key-already-installed",
			 "the direction had a key already, and takes no second one (%s: EBUSY)",
			 option_name(direction));
		return;
	case ENOMEM:
	case ENOBUFS:
		conclude(f, VERDICT_REFUSED, "no-memory",
			 "the kernel had no memory for the key to %s (%s: %s)",
			 purpose(direction), option_name(direction),
			 format_result(r, t->error));
		return;
	}
	conclude(f, VERDICT_REFUSED, "refused",
		 "the kernel refused the key to %s (%s: %s): %s",
		 purpose(direction), option_name(direction),
		 format_result(r, t->error), explain_result(t->step, t->error));
}

/* Nothing of it can have escaped us. */
static bool is_known(const struct connection *c)
{
	const struct ktls_socket *s = find_socket(&c->space->sockets, c->cookie);
	uint64_t since = c->space->known_since;
	size_t i;

	if (s && !(s->flags & KTLS_SOCKET_FLAGS_ADOPTED) &&
	    s->install_time >= since)
		return true;
	if (since == UINT64_MAX || !c->holders_count)
		return false;
	for (i = 0; i < c->holders_count; i++)
		if (!c->holders[i]->start || c->holders[i]->start < since)
			return false;
	return true;
}

bool judge_kernel(struct connection *c, int direction, bool *proven)
{
	struct finding *f = &c->finding[direction];
	const struct ktls_attempt *ulp, *key;
	char m[NUMBER_LEN];
	bool attached, installed;
	uint32_t mode;

	*proven = false;
	mode = find_mode(c, direction);
	if (mode != KTLS_MODE_NONE) {
		conclude(f, mode == KTLS_MODE_HW ? VERDICT_DEVICE :
						   VERDICT_SOFTWARE, NULL,
			 "the kernel does it (%s)", format_mode(m, mode));
		return true;
	}
	/* It is refused before ktls.ko can see it. */
	if (c->ulp == ULP_MPTCP)
		add_evidence(c, "sock_diag", "it is a subflow of MPTCP");
	if (!c->space->has_module)
		return false;
	ulp = find_failure(c, KTLS_STEP_ULP, &attached);
	key = find_failure(c, direction == KTLS_DIRECTION_TX ? KTLS_STEP_TX :
			   KTLS_STEP_RX, &installed);
	/* Without TLS attached, a key is refused with ENOPROTOOPT. */
	if (ulp && !attached && c->ulp != ULP_TLS) {
		cite(c, ulp);
		explain_ulp(c, ulp, f);
		return true;
	}
	if (key) {
		cite(c, key);
		if (!c->version) {
			c->version = key->version;
			c->cipher = key->cipher;
		}
		explain_key(c, key, direction, f);
		return true;
	}
	if (!installed && c->ulp != ULP_MPTCP)
		*proven = is_known(c);
	if (!*proven)
		return false;
	if (find_socket(&c->space->sockets, c->cookie) || c->ulp == ULP_TLS)
		add_evidence(c, "ktls.ko",
			     "no attempt to install a key to %s, and none can have escaped it",
			     purpose(direction));
	else
		add_evidence(c, "ktls.ko",
			     "no attempt, and it has observed all since before the process began");
	return false;
}
