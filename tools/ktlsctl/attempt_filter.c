// SPDX-License-Identifier: GPL-2.0-or-later
/* Which attempts: "step rx errno EPERM". */
#include <string.h>

#include "ktlsctl.h"

const char attempt_filter_help[] =
	"FILTER: all of these must hold\n"
	"  step STEP         ulp, tx, rx, rekey-tx or rekey-rx\n"
	"  errno ERRNO       what it returned: EPERM, a number, or ok\n"
	"  action ACTION     what the policy said: allow, deny or audit\n"
	"  port N            either end's port\n"
	"  sport N           port of this end\n"
	"  dport N           port of the other end\n"
	"  version VERSION   1.2 or 1.3\n"
	"  cipher CIPHER     aes-gcm-128, aes-gcm-256, aes-ccm-128,\n"
	"                    chacha20-poly1305, sm4-gcm, sm4-ccm, aria-gcm-128,\n"
	"                    aria-gcm-256\n"
	"  pid N             process that tried\n"
	"  uid USER          its effective user, by name or number\n"
	"  cgroup PATH       its cgroup (v2), but not those below it:\n"
	"                    /system.slice/nginx.service\n"
	"  comm NAME         its command, whole\n";

enum field {
	STEP, ERRNO, ACTION, PORT, SPORT, DPORT, VERSION, CIPHER, PID, UID,
	CGROUP, COMM,
};

static const char *const keys[] = {
	"step", "errno", "action", "port", "sport", "dport", "version",
	"cipher", "pid", "uid", "cgroup", "comm",
};

static bool parse_value(enum field field, const char *key, const char *word,
			struct attempt_filter *f, struct wrong *w)
{
	switch (field) {
	case STEP:
		return parse_step(w, key, word, &f->step);
	case ERRNO:
		return parse_errno(w, word, &f->error);
	case ACTION:
		return parse_action(w, key, word, &f->action);
	case PORT:
		return parse_port(w, key, word, &f->port);
	case SPORT:
		return parse_port(w, key, word, &f->local_port);
	case DPORT:
		return parse_port(w, key, word, &f->remote_port);
	case VERSION:
		return parse_version(w, word, &f->version);
	case CIPHER:
		return parse_cipher(w, word, &f->cipher);
	case PID:
		return parse_pid(w, word, &f->pid);
	case UID:
		return parse_user(w, word, &f->uid);
	case CGROUP:
		return parse_cgroup(w, word, &f->cgroup_id);
	case COMM:
		return parse_comm(w, word, f->comm);
	}
	return false;
}

enum status parse_attempt_filter(int argc, char **argv,
				 struct attempt_filter *f)
{
	struct wrong w;
	size_t field;
	int i;

	*f = (struct attempt_filter){ 0 };
	for (i = 0; i < argc; i += 2) {
		for (field = 0; field < ARRAY_SIZE(keys); field++)
			if (!strcmp(argv[i], keys[field]))
				break;
		if (field == ARRAY_SIZE(keys))
			return error(STATUS_USAGE,
				     "\"%s\" is no filter; filters are step, errno, action, port, sport, dport, version, cipher, pid, uid, cgroup and comm",
				     argv[i]);
		if (f->match & 1U << field)
			return error(STATUS_USAGE, "%s is given twice",
				     argv[i]);
		if (i + 1 == argc)
			return error(STATUS_USAGE, "%s wants a value", argv[i]);
		f->match |= 1U << field;
		if (!parse_value(field, argv[i], argv[i + 1], f, &w))
			return error(STATUS_USAGE, "%s", w.text);
	}
	return STATUS_OK;
}

bool attempt_filter_match(const struct attempt_filter *f,
			  const struct ktls_attempt *t)
{
	const bool matches[] = {
		[STEP] = t->step == f->step,
		[ERRNO] = t->error == f->error,
		[ACTION] = t->action >= 0 && (uint32_t)t->action == f->action,
		[PORT] = t->local_port == f->port || t->remote_port == f->port,
		[SPORT] = t->local_port == f->local_port,
		[DPORT] = t->remote_port == f->remote_port,
		[VERSION] = t->version == f->version,
		[CIPHER] = t->cipher == f->cipher,
		[PID] = t->pid == f->pid,
		[UID] = t->uid == f->uid,
		[CGROUP] = t->cgroup_id == f->cgroup_id,
		[COMM] = !strcmp(t->comm, f->comm),
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(matches); i++)
		if (f->match & 1U << i && !matches[i])
			return false;
	return true;
}
