// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The key process: reads certificates and their keys, reads them again when they are
 * renewed, hands the certificates to the workers, and signs for them.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "identity.h"
#include "keys.h"
#include "ktlsd.h"
#include "message.h"
#include "signable.h"
#include "watch.h"

/* certbot and its like replace several files, one after the other. */
static const struct watch_times times = {
	.quiet = 500,
	.most = 3000,
	.poll = 60000,
};

/*
 * Between attempts to load what failed, as time alone may put it right; @times.poll
 * is when there is one.
 */
#define RETRY UINT64_C(30000000000)	/* ns */

/* What the configuration calls an identity, and what its files hold. */
struct slot {
	const struct conf_identity *conf;
	struct identity *present;	/* %NULL: there was none yet */
	struct identity *former;	/* for handshakes under way */
	uint32_t generation;		/* of @present, 0 without one */
	char error[IDENTITY_ERROR];	/* of the files of now, or "" */
	bool changed;			/* to be loaded again */
	bool told;			/* the supervisor knows all this */
};

struct worker {
	struct worker *next;
	int sign;
	int identities;
	uint32_t *sent;		/* the generation of each slot; 0: none */
	bool waiting;		/* for room in @identities */
};

struct keys {
	struct slot *slots;
	size_t slots_count;
	size_t *slot_of;	/* of each path of @watch */
	struct watch *watch;
	struct worker *workers;
	int epoll;
	int supervisor;
	bool waiting;		/* for room in @supervisor */
	bool ready;		/* the supervisor was told */
	uint64_t retry;		/* when */
	uint64_t complaint;	/* when the next one may be logged */
};

/* What a descriptor is, in the low bits of a worker's address; others are alone. */
enum source {
	SOURCE_SIGN,
	SOURCE_IDENTITIES,
	SOURCE_SUPERVISOR,
	SOURCE_WATCH,
	SOURCE_MASK = 3,
};

static bool follow(const struct keys *k, int op, int fd, uint32_t events,
		   enum source source, struct worker *w)
{
	struct epoll_event e = {
		.events = events,
		.data.u64 = (uintptr_t)w | source,
	};

	return !epoll_ctl(k->epoll, op, fd, &e);
}

static bool nonblocking(int fd)
{
	int flags = fcntl(fd, F_GETFL);

	return flags >= 0 && !fcntl(fd, F_SETFL, flags | O_NONBLOCK);
}

/* Identities. */

static bool same_files(const struct conf_identity *c)
{
	return !strcmp(c->chain, c->key);
}

static void describe_serial(const struct identity *id, char text[41])
{
	uint32_t i;

	*text = '\0';
	for (i = 0; i < id->serial_len; i++)
		sprintf(text + 2 * i, "%02x", id->serial[i]);
}

static void replace(struct slot *s, struct identity *id)
{
	char serial[41];

	describe_serial(id, serial);
	log_line(s->present ? LOG_NOTICE : LOG_INFO,
		 "%s: %s certificate, serial %s, generation %u", s->conf->chain,
		 s->present ? "renewed" : "loaded", serial, s->generation + 1);
	identity_free(s->former);
	s->former = s->present;
	s->present = id;
	s->generation++;
	s->told = false;
}

/* The old one stays where the new one is not good. */
static void load(struct slot *s)
{
	char error[IDENTITY_ERROR] = "";
	struct identity *id = identity_load(s->conf->chain, s->conf->key, error);

	s->changed = false;
	if (strcmp(error, s->error)) {
		if (*error)
			log_line(LOG_ERR, "%s%s", error, s->present ?
				 "; the former certificate stays in use" : "");
		else if (s->present && identity_same(s->present, id))
			log_line(LOG_NOTICE,
				 "%s: the certificate in use, and right again",
				 s->conf->chain);
		strcpy(s->error, error);
		s->told = false;
	}
	if (!id)
		return;
	if (s->present && identity_same(s->present, id))
		identity_free(id);
	else
		replace(s, id);
}

static bool watch_file(struct keys *k, const char *path, size_t slot)
{
	ssize_t n = watch_add(k->watch, path);

	if (n >= 0) {
		k->slot_of[n] = slot;
		return true;
	}
	errno = -n;
	log_line(LOG_ERR, "%s: cannot be watched: %m", path);
	return n != -ENOMEM;
}

/* Watched first, so that what changes while it is read is read again. */
static bool load_all(struct keys *k, const struct conf *conf)
{
	struct slot *s;
	size_t i;

	k->slots_count = conf->identities_count;
	k->slots = calloc(k->slots_count ?: 1, sizeof(*k->slots));
	k->slot_of = calloc(2 * k->slots_count ?: 1, sizeof(*k->slot_of));
	if (!k->slots || !k->slot_of)
		return false;
	for (i = 0; i < k->slots_count; i++) {
		s = &k->slots[i];
		s->conf = &conf->identities[i];
		if (!watch_file(k, s->conf->chain, i) ||
		    (!same_files(s->conf) && !watch_file(k, s->conf->key, i)))
			return false;
		load(s);
	}
	return true;
}

/* The supervisor. */

static int tell_state(const struct keys *k, const struct slot *s)
{
	struct message_identity_state state = {
		.identity = s - k->slots,
		.generation = s->generation,
	};

	strcpy(state.error, s->error);
	if (s->present) {
		state.not_after = s->present->not_after;
		state.serial_len = s->present->serial_len;
		memcpy(state.serial, s->present->serial, sizeof(state.serial));
	}
	return message_send(k->supervisor, MESSAGE_IDENTITY_STATE, &state,
			    sizeof(state), NULL, 0);
}

/* As much as there is room for; false if it is gone. */
static bool tell_supervisor(struct keys *k)
{
	bool waiting;
	int err = 0;
	size_t i;

	for (i = 0; i < k->slots_count && !err; i++) {
		if (k->slots[i].told)
			continue;
		err = tell_state(k, &k->slots[i]);
		k->slots[i].told = !err;
	}
	if (!err && !k->ready) {
		err = message_send(k->supervisor, MESSAGE_READY, NULL, 0, NULL,
				   0);
		k->ready = !err;
	}
	if (err && err != -EAGAIN)
		return false;
	waiting = err;
	if (waiting != k->waiting)
		follow(k, EPOLL_CTL_MOD, k->supervisor,
		       EPOLLIN | (waiting ? EPOLLOUT : 0), SOURCE_SUPERVISOR,
		       NULL);
	k->waiting = waiting;
	return true;
}

/* Workers. */

static void drop_worker(struct keys *k, struct worker *w)
{
	struct worker **at = &k->workers;

	while (*at != w)
		at = &(*at)->next;
	*at = w->next;
	close(w->sign);
	close(w->identities);
	free(w->sent);
	free(w);
}

static int send_identity(const struct keys *k, const struct worker *w,
			 const struct slot *s)
{
	static union {
		struct message_identity identity;
		unsigned char bytes[MESSAGE_MAX];
	} m;

	m.identity.identity = s - k->slots;
	m.identity.generation = s->generation;
	m.identity.certificates = s->present->certificates;
	m.identity.len = s->present->len;
	memcpy(m.identity.der, s->present->der, s->present->len);
	return message_send(w->identities, MESSAGE_IDENTITY, &m,
			    sizeof(m.identity) + m.identity.len, NULL, 0);
}

/* Those that it has not yet, as far as there is room; false if it is gone. */
static bool send_identities(const struct keys *k, struct worker *w)
{
	bool waiting;
	int err = 0;
	size_t i;

	for (i = 0; i < k->slots_count && !err; i++) {
		if (w->sent[i] == k->slots[i].generation)
			continue;
		err = send_identity(k, w, &k->slots[i]);
		if (!err)
			w->sent[i] = k->slots[i].generation;
	}
	if (err && err != -EAGAIN)
		return false;
	waiting = err;
	if (waiting != w->waiting)
		follow(k, EPOLL_CTL_MOD, w->identities,
		       EPOLLIN | (waiting ? EPOLLOUT : 0), SOURCE_IDENTITIES, w);
	w->waiting = waiting;
	return true;
}

static void send_all(struct keys *k)
{
	struct worker *w, *next;

	for (w = k->workers; w; w = next) {
		next = w->next;
		if (!send_identities(k, w))
			drop_worker(k, w);
	}
}

static void add_worker(struct keys *k, struct message *m)
{
	struct worker *w;

	if (m->fds_count != 2) {
		log_line(LOG_ERR, "a worker without its two channels");
		return;
	}
	w = calloc(1, sizeof(*w));
	if (w)
		w->sent = calloc(k->slots_count ?: 1, sizeof(*w->sent));
	if (!w || !w->sent) {
		free(w);
		log_line(LOG_ERR, "no memory for a worker");
		return;
	}
	w->sign = m->fds[0];
	w->identities = m->fds[1];
	m->fds[0] = -1;
	m->fds[1] = -1;
	w->next = k->workers;
	k->workers = w;
	if (!nonblocking(w->sign) || !nonblocking(w->identities) ||
	    !follow(k, EPOLL_CTL_ADD, w->sign, EPOLLIN, SOURCE_SIGN, w) ||
	    !follow(k, EPOLL_CTL_ADD, w->identities, EPOLLIN, SOURCE_IDENTITIES,
		    w)) {
		log_line(LOG_ERR, "a worker's channels are of no use: %m");
		drop_worker(k, w);
	} else if (!send_identities(k, w)) {
		drop_worker(k, w);
	}
}

/* False when it is gone. */
static bool hear_supervisor(struct keys *k)
{
	struct message m;
	int got = message_receive(k->supervisor, &m);

	if (got == -EAGAIN)
		return true;
	if (got <= 0)
		return false;
	if (m.type == MESSAGE_WORKER)
		add_worker(k, &m);
	message_close_fds(&m);
	return true;
}

/* Signatures. */

struct scheme {
	uint16_t scheme;
	int kind;		/* EVP_PKEY_... */
	const char *digest;
	bool pss;
	const char *curve;	/* that goes with it in TLS 1.3 */
	EVP_MD *md;
};

static struct scheme schemes[] = {
	{ 0x0401, EVP_PKEY_RSA, "SHA256", false, NULL, NULL },
	{ 0x0501, EVP_PKEY_RSA, "SHA384", false, NULL, NULL },
	{ 0x0601, EVP_PKEY_RSA, "SHA512", false, NULL, NULL },
	{ 0x0804, EVP_PKEY_RSA, "SHA256", true, NULL, NULL },
	{ 0x0805, EVP_PKEY_RSA, "SHA384", true, NULL, NULL },
	{ 0x0806, EVP_PKEY_RSA, "SHA512", true, NULL, NULL },
	{ 0x0403, EVP_PKEY_EC, "SHA256", false, "prime256v1", NULL },
	{ 0x0503, EVP_PKEY_EC, "SHA384", false, "secp384r1", NULL },
	{ 0x0603, EVP_PKEY_EC, "SHA512", false, "secp521r1", NULL },
	{ 0x0807, EVP_PKEY_ED25519, NULL, false, NULL, NULL },
	{ 0x0808, EVP_PKEY_ED448, NULL, false, NULL, NULL },
};

static bool fetch_digests(void)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(schemes); i++) {
		if (!schemes[i].digest)
			continue;
		schemes[i].md = EVP_MD_fetch(NULL, schemes[i].digest, NULL);
		if (!schemes[i].md)
			return false;
	}
	return true;
}

/* %NULL: it is none of this key, or not where it is to be signed with. */
static const struct scheme *find_scheme(uint16_t number, EVP_PKEY *key,
					enum signable what)
{
	const struct scheme *s = NULL;
	char curve[64] = "";
	size_t i, len;

	for (i = 0; i < ARRAY_SIZE(schemes) && !s; i++) {
		if (schemes[i].scheme == number)
			s = &schemes[i];
	}
	if (!s || s->kind != EVP_PKEY_get_base_id(key))
		return NULL;
	if (what != SIGNABLE_TLS_1_3)
		return s;
	/* TLS 1.3 has no PKCS #1 there, and binds the digest to the curve. */
	if (s->kind == EVP_PKEY_RSA && !s->pss)
		return NULL;
	if (s->curve && (!EVP_PKEY_get_group_name(key, curve, sizeof(curve),
						  &len) ||
			 strcmp(curve, s->curve)))
		return NULL;
	return s;
}

static bool do_sign(EVP_PKEY *key, const struct scheme *s,
		    const struct message_sign *m, unsigned char *signature,
		    size_t *len)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	EVP_PKEY_CTX *pctx;
	bool good;

	good = ctx && EVP_DigestSignInit(ctx, &pctx, s->md, NULL, key) > 0 &&
	       (!s->pss ||
		(EVP_PKEY_CTX_set_rsa_padding(pctx, RSA_PKCS1_PSS_PADDING) > 0 &&
		 EVP_PKEY_CTX_set_rsa_pss_saltlen(pctx,
						  RSA_PSS_SALTLEN_DIGEST) > 0)) &&
	       EVP_DigestSign(ctx, signature, len, m->content, m->len) > 0;
	EVP_MD_CTX_free(ctx);
	if (!good)
		ERR_clear_error();
	return good;
}

/* Of a worker that is not what it should be; it does not fill the log. */
static void complain(struct keys *k, const char *what)
{
	uint64_t now = monotonic_ns();

	if (now < k->complaint)
		return;
	k->complaint = now + UINT64_C(1000000000);
	log_line(LOG_WARNING, "a signature was asked for and refused: %s", what);
}

static EVP_PKEY *key_of(const struct keys *k, const struct message_sign *m)
{
	const struct slot *s;

	if (m->identity >= k->slots_count || !m->generation)
		return NULL;
	s = &k->slots[m->identity];
	if (s->present && m->generation == s->generation)
		return s->present->key;
	if (s->former && m->generation == s->generation - 1)
		return s->former->key;
	return NULL;
}

static int answer(struct keys *k, const struct message_sign *m,
		  unsigned char *signature, size_t *len)
{
	enum signable what = signable(m->content, m->len);
	EVP_PKEY *key = key_of(k, m);
	const struct scheme *s;

	if (what == SIGNABLE_NOT) {
		complain(k, "it is nothing that TLS signs");
		return -EACCES;
	}
	/* Renewed twice since; the handshake was a slow one. */
	if (!key)
		return -ENOENT;
	s = find_scheme(m->scheme, key, what);
	if (!s) {
		complain(k, "its scheme is none for this key in TLS");
		return -EINVAL;
	}
	return do_sign(key, s, m, signature, len) ? 0 : -EIO;
}

/* False if the worker is gone, or not to be dealt with. */
static bool hear_worker(struct keys *k, struct worker *w)
{
	/* RSA of 16384 bits is the longest that OpenSSL has. */
	static union {
		struct message_signature signature;
		unsigned char bytes[sizeof(struct message_signature) + 2048];
	} out;
	const struct message_sign *request;
	struct message m;
	int got = message_receive(w->sign, &m);
	size_t len = sizeof(out) - sizeof(out.signature);

	if (got == -EAGAIN)
		return true;
	if (got <= 0)
		return false;
	message_close_fds(&m);
	request = m.body;
	if (m.type != MESSAGE_SIGN || request->len != m.len - sizeof(*request))
		return false;
	out.signature.error = answer(k, request, out.signature.signature, &len);
	out.signature.len = out.signature.error ? 0 : len;
	/* It asks one at a time, so there is room. */
	return !message_send(w->sign, MESSAGE_SIGNATURE, &out,
			     sizeof(out.signature) + out.signature.len, NULL, 0);
}

/* Nothing is said on the identities' channel but that it ends. */
static bool hear_identities(const struct keys *k, struct worker *w,
			    uint32_t events)
{
	struct message m;

	if (events & EPOLLIN && message_receive(w->identities, &m) != -EAGAIN) {
		message_close_fds(&m);
		return false;
	}
	return !(events & (EPOLLERR | EPOLLHUP)) && send_identities(k, w);
}

/* Its life. */

/* All but reading files whoever they belong to. */
static bool drop_capabilities(void)
{
	struct __user_cap_header_struct header = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};
	struct __user_cap_data_struct caps[_LINUX_CAPABILITY_U32S_3];
	uint32_t keep = 1u << CAP_DAC_READ_SEARCH;

	if (syscall(SYS_capget, &header, caps))
		return false;
	caps[0].permitted &= keep;
	caps[0].effective = caps[0].permitted;
	caps[0].inheritable = 0;
	memset(&caps[1], 0, sizeof(caps[1]));
	return !syscall(SYS_capset, &header, caps);
}

/*
 * What it does from now on: messages, files that are only read, and what libcrypto
 * and the C library need for themselves.
 */
static bool allow(scmp_filter_ctx ctx)
{
	static const int calls[] = {
		SCMP_SYS(brk), SCMP_SYS(clock_getres), SCMP_SYS(clock_gettime),
		SCMP_SYS(close), SCMP_SYS(epoll_ctl), SCMP_SYS(epoll_pwait),
		SCMP_SYS(epoll_wait), SCMP_SYS(exit), SCMP_SYS(exit_group),
		SCMP_SYS(fstat), SCMP_SYS(fstat64), SCMP_SYS(fstatat64),
		SCMP_SYS(futex), SCMP_SYS(getpid), SCMP_SYS(getrandom),
		SCMP_SYS(gettid), SCMP_SYS(gettimeofday),
		SCMP_SYS(inotify_add_watch), SCMP_SYS(inotify_rm_watch),
		SCMP_SYS(lseek), SCMP_SYS(lstat), SCMP_SYS(lstat64),
		SCMP_SYS(madvise), SCMP_SYS(mremap), SCMP_SYS(munmap),
		SCMP_SYS(newfstatat), SCMP_SYS(read), SCMP_SYS(readlink),
		SCMP_SYS(readlinkat), SCMP_SYS(recvmsg),
		SCMP_SYS(restart_syscall), SCMP_SYS(rt_sigaction),
		SCMP_SYS(rt_sigprocmask), SCMP_SYS(rt_sigreturn),
		SCMP_SYS(sched_getaffinity), SCMP_SYS(sched_yield),
		SCMP_SYS(sendmsg), SCMP_SYS(sigaltstack), SCMP_SYS(stat),
		SCMP_SYS(stat64), SCMP_SYS(statx), SCMP_SYS(sysinfo),
		SCMP_SYS(time), SCMP_SYS(timerfd_settime), SCMP_SYS(write),
#ifdef __SANITIZE_ADDRESS__
		/* For what it has to say. */
		SCMP_SYS(getcwd), SCMP_SYS(getuid), SCMP_SYS(pipe),
		SCMP_SYS(pipe2), SCMP_SYS(pread64), SCMP_SYS(prlimit64),
		SCMP_SYS(getrlimit), SCMP_SYS(uname),
#endif
	};
	const struct scmp_arg_cmp self[] = {
		SCMP_A0(SCMP_CMP_EQ, getpid()),
	};
	const struct scmp_arg_cmp read_only_at[] = {
		SCMP_A2(SCMP_CMP_MASKED_EQ,
			O_ACCMODE | O_CREAT | O_TRUNC, O_RDONLY),
	};
	const struct scmp_arg_cmp read_only[] = {
		SCMP_A1(SCMP_CMP_MASKED_EQ,
			O_ACCMODE | O_CREAT | O_TRUNC, O_RDONLY),
	};
	const struct scmp_arg_cmp no_code[] = {
		SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0),
	};
	const struct scmp_arg_cmp get_flags[] = {
		SCMP_A1(SCMP_CMP_EQ, F_GETFL),
	};
	const struct scmp_arg_cmp set_flags[] = {
		SCMP_A1(SCMP_CMP_EQ, F_SETFL),
	};
	const struct {
		int call;
		const struct scmp_arg_cmp *arg;
	} some[] = {
		{ SCMP_SYS(openat), read_only_at },
		{ SCMP_SYS(open), read_only },
		{ SCMP_SYS(mmap), no_code },
		{ SCMP_SYS(mmap2), no_code },
		{ SCMP_SYS(mprotect), no_code },
		{ SCMP_SYS(fcntl), get_flags },
		{ SCMP_SYS(fcntl), set_flags },
		{ SCMP_SYS(fcntl64), get_flags },
		{ SCMP_SYS(fcntl64), set_flags },
		/* abort() */
		{ SCMP_SYS(tgkill), self },
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(calls); i++) {
		if (seccomp_rule_add(ctx, SCMP_ACT_ALLOW, calls[i], 0))
			return false;
	}
	for (i = 0; i < ARRAY_SIZE(some); i++) {
		if (seccomp_rule_add_array(ctx, SCMP_ACT_ALLOW, some[i].call, 1,
					   some[i].arg))
			return false;
	}
	return true;
}

static bool filter_calls(void)
{
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_KILL_PROCESS);
	bool good = ctx && allow(ctx) && !seccomp_load(ctx);

	seccomp_release(ctx);
	return good;
}

bool keys_sandbox(void)
{
	if (!drop_capabilities())
		log_line(LOG_ERR, "capabilities cannot be dropped: %m");
	else if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		log_line(LOG_ERR, "new privileges cannot be ruled out: %m");
	else if (!filter_calls())
		log_line(LOG_ERR, "system calls cannot be filtered (seccomp): %m");
	else
		return true;
	return false;
}

/* Locked into memory, so that keys do not get into swap. */
static void make_secure_heap(const struct conf *conf)
{
	const size_t files = 2 << 20;
	size_t size = files;

	/* Files while they are read, and two keys of each identity. */
	while (size < files + conf->identities_count * (16 << 10))
		size *= 2;
	CRYPTO_secure_malloc_init(size, 64);
}

static bool begin(struct keys *k, const struct conf *conf)
{
	prctl(PR_SET_DUMPABLE, 0);
	make_secure_heap(conf);
	k->epoll = epoll_create1(EPOLL_CLOEXEC);
	k->watch = watch_new(&times);
	if (k->epoll < 0 || !k->watch) {
		log_line(LOG_ERR, "changes of files cannot be watched: %m");
		return false;
	}
	if (!fetch_digests()) {
		log_line(LOG_ERR, "OpenSSL has no SHA-2 as it is configured here");
		return false;
	}
	if (!load_all(k, conf)) {
		log_line(LOG_ERR, "no memory for the certificates");
		return false;
	}
	if (!nonblocking(k->supervisor) ||
	    !follow(k, EPOLL_CTL_ADD, k->supervisor, EPOLLIN, SOURCE_SUPERVISOR,
		    NULL) ||
	    !follow(k, EPOLL_CTL_ADD, watch_fd(k->watch), EPOLLIN, SOURCE_WATCH,
		    NULL)) {
		log_line(LOG_ERR, "its channels are of no use: %m");
		return false;
	}
	k->retry = monotonic_ns() + RETRY;
	return keys_sandbox();
}

static void look_again(struct keys *k)
{
	ssize_t n;
	size_t i;

	while ((n = watch_next(k->watch)) >= 0)
		k->slots[k->slot_of[n]].changed = true;
	if (monotonic_ns() >= k->retry) {
		for (i = 0; i < k->slots_count; i++)
			k->slots[i].changed |= !!*k->slots[i].error;
		k->retry = monotonic_ns() + RETRY;
	}
	for (i = 0; i < k->slots_count; i++) {
		if (k->slots[i].changed)
			load(&k->slots[i]);
	}
	send_all(k);
}

/* One event; false at the end. */
static bool step(struct keys *k)
{
	struct epoll_event e;
	struct worker *w;

	/* One at a time, as a worker may go with any. */
	if (epoll_wait(k->epoll, &e, 1, -1) < 0)
		return errno == EINTR;
	w = (struct worker *)(uintptr_t)(e.data.u64 & ~(uint64_t)SOURCE_MASK);
	switch ((enum source)(e.data.u64 & SOURCE_MASK)) {
	case SOURCE_SIGN:
		if (!hear_worker(k, w))
			drop_worker(k, w);
		return true;
	case SOURCE_IDENTITIES:
		if (!hear_identities(k, w, e.events))
			drop_worker(k, w);
		return true;
	case SOURCE_SUPERVISOR:
		return hear_supervisor(k) && tell_supervisor(k);
	case SOURCE_WATCH:
		look_again(k);
		return tell_supervisor(k);
	}
	return true;
}

static void end(struct keys *k)
{
	size_t i;

	while (k->workers)
		drop_worker(k, k->workers);
	for (i = 0; k->slots && i < k->slots_count; i++) {
		identity_free(k->slots[i].present);
		identity_free(k->slots[i].former);
	}
	free(k->slots);
	free(k->slot_of);
	watch_free(k->watch);
	for (i = 0; i < ARRAY_SIZE(schemes); i++) {
		EVP_MD_free(schemes[i].md);
		schemes[i].md = NULL;
	}
	if (k->epoll >= 0)
		close(k->epoll);
}

int keys_run(const struct conf *conf, int supervisor_fd)
{
	struct keys k = { .supervisor = supervisor_fd, .epoll = -1 };
	int status = EXIT_FAILURE;

	if (begin(&k, conf)) {
		status = EXIT_SUCCESS;
		if (tell_supervisor(&k)) {
			while (step(&k))
				;
		}
	}
	end(&k);
	return status;
}
