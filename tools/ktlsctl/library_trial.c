// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A libssl that is not ours, tried in a child process: what it would give the
 * kernel.  Its two ends talk through memory, over a BIO that sees the request
 * for kernel TLS and declines it, so neither sockets nor a kernel with TLS are
 * needed.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/keyctl.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "library_trial.h"

#define TRIAL_SECONDS 20
/* Where the child has its files. */
#define FD_RESULT 3
#define FD_LIBSSL 4
#define FD_LIBCRYPTO 5
#define FDS_END 6

/*
 * Nobody else is that user, nor anybody's process or file.  Where it is not to
 * be had, as in a user namespace, it is nobody.
 */
#define USER_OF_NONE ((uid_t)-3)
#define USER_NOBODY 65534

/* Besides the loader's own, and ours: libssl and libcrypto take 10 MiB. */
#define MEMORY_MAX (1ull << 30)

/* As in capability.c. */
#define CTRL_SET_KTLS 72

/* The functions of theirs that are called. */
#define FUNCTIONS(F) \
	F(OPENSSL_init_crypto) F(OpenSSL_version) F(OpenSSL_version_num) \
	F(BIO_meth_new) F(BIO_get_new_index) F(BIO_meth_set_write) \
	F(BIO_meth_set_read) F(BIO_meth_set_ctrl) F(BIO_meth_set_create) \
	F(BIO_new) F(BIO_set_data) F(BIO_get_data) F(BIO_set_init) \
	F(BIO_set_flags) F(BIO_clear_flags) \
	F(TLS_server_method) F(TLS_client_method) F(SSL_CTX_new) F(SSL_CTX_ctrl) \
	F(SSL_CTX_set_options) F(SSL_CTX_clear_options) \
	F(SSL_CTX_use_certificate_ASN1) F(SSL_CTX_use_PrivateKey_ASN1) \
	F(SSL_CTX_set_ciphersuites) F(SSL_CTX_set_cipher_list) F(SSL_new) \
	F(SSL_set_bio) F(SSL_set_accept_state) F(SSL_set_connect_state) \
	F(SSL_do_handshake) F(SSL_get_error) \
	F(ERR_get_error) F(ERR_reason_error_string)

static struct {
#define POINTER(name) __typeof__(name) *name;
	FUNCTIONS(POINTER)
} their;

/* Credentials of the server, made by our own library. */
struct credentials {
	unsigned char *cert;
	unsigned char *key;
	int cert_len;
	int key_len;
};

/* One way of a connection that is only memory; a handshake is a few KB. */
struct way {
	char bytes[64 * 1024];
	size_t len;
};

struct side {
	struct way *in;
	struct way *out;
	bool *asked;
};

static int side_write(BIO *bio, const char *data, int len)
{
	const struct side *s = their.BIO_get_data(bio);

	if (len < 0 || (size_t)len > sizeof(s->out->bytes) - s->out->len)
		return -1;
	memcpy(s->out->bytes + s->out->len, data, len);
	s->out->len += len;
	return len;
}

static int side_read(BIO *bio, char *data, int len)
{
	const struct side *s = their.BIO_get_data(bio);
	size_t n = s->in->len;

	their.BIO_clear_flags(bio, BIO_FLAGS_RWS | BIO_FLAGS_SHOULD_RETRY);
	if (len <= 0 || !n) {
		their.BIO_set_flags(bio, BIO_FLAGS_READ | BIO_FLAGS_SHOULD_RETRY);
		return -1;
	}
	if (n > (size_t)len)
		n = len;
	memcpy(data, s->in->bytes, n);
	s->in->len -= n;
	memmove(s->in->bytes, s->in->bytes + n, s->in->len);
	return n;
}

static long side_ctrl(BIO *bio, int cmd, long tx, void *arg)
{
	const struct side *s = their.BIO_get_data(bio);

	(void)arg;
	if (cmd == CTRL_SET_KTLS && s->asked)
		s->asked[tx ? KTLS_DIRECTION_TX : KTLS_DIRECTION_RX] = true;
	return cmd == BIO_CTRL_FLUSH || cmd == BIO_CTRL_DUP;
}

static int side_create(BIO *bio)
{
	their.BIO_set_init(bio, 1);
	return 1;
}

static bool load(struct build_trial *t)
{
	char path[32];
	void *crypto, *ssl;
	Lmid_t ns;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", FD_LIBCRYPTO);
	crypto = dlmopen(LM_ID_NEWLM, path, RTLD_NOW | RTLD_LOCAL);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", FD_LIBSSL);
	/* It finds its libcrypto by the name, as that is there already. */
	ssl = crypto && !dlinfo(crypto, RTLD_DI_LMID, &ns) ?
	      dlmopen(ns, path, RTLD_NOW | RTLD_LOCAL) : NULL;
	if (!ssl) {
		snprintf(t->failure, sizeof(t->failure),
			 "it could not be loaded: %s", dlerror() ?: "?");
		return false;
	}
#define LOAD(name) \
	their.name = dlsym(ssl, #name); \
	if (!their.name) { \
		snprintf(t->failure, sizeof(t->failure), "it has no " #name); \
		return false; \
	}
	FUNCTIONS(LOAD)
	return true;
}

static SSL *new_side(const struct credentials *c, const struct suite *suite,
		     BIO_METHOD *method, bool server, struct side *side)
{
	BIO *bio = their.BIO_new(method);
	SSL_CTX *ctx;
	SSL *ssl;

	ctx = their.SSL_CTX_new(server ? their.TLS_server_method() :
					 their.TLS_client_method());
	if (!bio || !ctx ||
	    !their.SSL_CTX_ctrl(ctx, SSL_CTRL_SET_MIN_PROTO_VERSION,
				suite->version, NULL) ||
	    !their.SSL_CTX_ctrl(ctx, SSL_CTRL_SET_MAX_PROTO_VERSION,
				suite->version, NULL) ||
	    !(suite->version == KTLS_VERSION_TLS_1_3 ?
	      their.SSL_CTX_set_ciphersuites(ctx, suite->openssl) :
	      their.SSL_CTX_set_cipher_list(ctx, suite->openssl)))
		return NULL;
	if (server) {
		if (!their.SSL_CTX_use_certificate_ASN1(ctx, c->cert_len,
							c->cert) ||
		    !their.SSL_CTX_use_PrivateKey_ASN1(EVP_PKEY_EC, ctx, c->key,
						       c->key_len))
			return NULL;
		their.SSL_CTX_set_options(ctx, SSL_OP_ENABLE_KTLS);
	} else {
		their.SSL_CTX_clear_options(ctx, SSL_OP_ENABLE_KTLS);
	}
	ssl = their.SSL_new(ctx);
	if (!ssl)
		return NULL;
	their.BIO_set_data(bio, side);
	their.SSL_set_bio(ssl, bio, bio);
	if (server)
		their.SSL_set_accept_state(ssl);
	else
		their.SSL_set_connect_state(ssl);
	return ssl;
}

/* Nothing is freed: the child is gone soon. */
static bool shake_hands(const struct credentials *c, const struct suite *suite,
			BIO_METHOD *method, bool *asked)
{
	static struct way ways[2];
	struct side server_side = { &ways[0], &ways[1], asked };
	struct side client_side = { &ways[1], &ways[0], NULL };
	bool server_done = false, client_done = false;
	SSL *server, *client;
	int i, n;

	ways[0].len = 0;
	ways[1].len = 0;
	server = new_side(c, suite, method, true, &server_side);
	client = new_side(c, suite, method, false, &client_side);
	if (!server || !client)
		return false;
	for (i = 0; i < 100 && !(server_done && client_done); i++) {
		SSL *ssl = i & 1 ? server : client;
		bool *done = i & 1 ? &server_done : &client_done;

		if (*done)
			continue;
		n = their.SSL_do_handshake(ssl);
		*done = n == 1;
		if (n != 1 &&
		    their.SSL_get_error(ssl, n) != SSL_ERROR_WANT_READ)
			return false;
	}
	return server_done && client_done;
}

static void try_all(const struct credentials *c, struct build_trial *t)
{
	BIO_METHOD *method;
	char *space;
	int i;

	if (!load(t))
		return;
	/* No openssl.cnf, and what that might load. */
	their.OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG, NULL);
	/* "OpenSSL 3.5.1 1 Jul 2025" */
	snprintf(t->version, sizeof(t->version), "%s",
		 their.OpenSSL_version(OPENSSL_VERSION));
	space = strchr(t->version, ' ');
	space = space ? strchr(space + 1, ' ') : NULL;
	if (space)
		*space = '\0';
	t->number = their.OpenSSL_version_num();
	method = their.BIO_meth_new(their.BIO_get_new_index() |
				    BIO_TYPE_SOURCE_SINK, "memory");
	if (!method || !their.BIO_meth_set_write(method, side_write) ||
	    !their.BIO_meth_set_read(method, side_read) ||
	    !their.BIO_meth_set_ctrl(method, side_ctrl) ||
	    !their.BIO_meth_set_create(method, side_create)) {
		snprintf(t->failure, sizeof(t->failure), "out of memory");
		return;
	}
	for (i = 0; i < SUITES; i++) {
		t->negotiated[i] = shake_hands(c, &suites[i], method,
					       t->asked[i]);
		t->done |= t->negotiated[i];
	}
	if (!t->done) {
		const char *why = their.ERR_reason_error_string(
				  their.ERR_get_error());

		snprintf(t->failure, sizeof(t->failure),
			 "it did not come to terms with itself: %s",
			 why ?: "it does not say why");
	}
}

/* The child */

static const struct {
	const char *name;
	int flag;
} namespaces[] = {
	/* Not that of users, in which the others' numbers mean something else. */
	{ "cgroup", CLONE_NEWCGROUP }, { "ipc", CLONE_NEWIPC },
	{ "uts", CLONE_NEWUTS }, { "net", CLONE_NEWNET },
	{ "pid", CLONE_NEWPID }, { "mnt", CLONE_NEWNS },
};

static bool is_ours(unsigned int pid, const char *what)
{
	char path[64];
	struct stat a, b;

	snprintf(path, sizeof(path), "/proc/self/%s", what);
	if (stat(path, &a))
		return false;
	snprintf(path, sizeof(path), "/proc/%u/%s", pid, what);
	return !stat(path, &b) && a.st_ino == b.st_ino && a.st_dev == b.st_dev;
}

static bool fail(struct build_trial *t, const char *what)
{
	snprintf(t->failure, sizeof(t->failure), "could not %s: %s", what,
		 strerror(errno));
	return false;
}

static bool enter(unsigned int of, struct build_trial *t)
{
	char path[64];
	int root, pidfd, flags = 0;
	bool same_root;
	size_t i;

	snprintf(path, sizeof(path), "/proc/%u/root", of);
	same_root = is_ours(of, "root/.");
	root = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (root < 0)
		return fail(t, "open its root directory");
	for (i = 0; i < ARRAY_SIZE(namespaces); i++) {
		snprintf(path, sizeof(path), "ns/%s", namespaces[i].name);
		if (!is_ours(of, path))
			flags |= namespaces[i].flag;
	}
	if (flags) {
		pidfd = syscall(SYS_pidfd_open, of, 0);
		if (pidfd < 0 || setns(pidfd, flags))
			return fail(t, "enter its namespaces");
		close(pidfd);
	}
	if ((flags & CLONE_NEWNS || !same_root) &&
	    (fchdir(root) || chroot(".")))
		return fail(t, "enter its root directory");
	close(root);
	return true;
}

static void limit(int resource, rlim_t value)
{
	const struct rlimit limit = { value, value };

	setrlimit(resource, &limit);
}

/* Whoever has none sees only processes that are his own. */
static bool has_capabilities(void)
{
	struct __user_cap_header_struct header = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = { 0 };

	return syscall(SYS_capget, &header, data) || data[0].permitted ||
	       data[1].permitted;
}

static bool become(uid_t user)
{
	return !setresgid(user, user, user) && !setresuid(user, user, user);
}

/*
 * Not the user of the process: which that is may change between two looks at it,
 * as when it executes a program that is setuid, and to become root for a file of
 * somebody else's would be to run it as root.
 */
static bool drop(struct build_trial *t)
{
	struct __user_cap_header_struct header = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};
	struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = { 0 };
	int cap;

	for (cap = 0; cap < 64; cap++)
		prctl(PR_CAPBSET_DROP, cap, 0, 0, 0);
	if (has_capabilities() &&
	    (setgroups(0, NULL) ||
	     (!become(USER_OF_NONE) && !become(USER_NOBODY))))
		return fail(t, "become another user");
	if (syscall(SYS_capset, &header, none) ||
	    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return fail(t, "drop privileges");
	limit(RLIMIT_CPU, TRIAL_SECONDS);
	limit(RLIMIT_FSIZE, 0);
	limit(RLIMIT_CORE, 0);
#ifndef __SANITIZE_ADDRESS__
	limit(RLIMIT_AS, MEMORY_MAX);
#endif
	return true;
}

/* The files alone are left. */
static bool keep_files(int result, int libssl, int libcrypto,
		       struct build_trial *t)
{
	int high[3], i, fds[3] = { result, libssl, libcrypto };
	int null = open("/dev/null", O_RDWR);

	for (i = 0; i < 3; i++) {
		high[i] = fcntl(fds[i], F_DUPFD, FDS_END);
		if (high[i] < 0)
			return fail(t, "keep its files");
	}
	for (i = 0; i < 3; i++) {
		if (null >= 0)
			dup2(null, i);
		if (dup2(high[i], FD_RESULT + i) < 0)
			return fail(t, "keep its files");
	}
	if (syscall(SYS_close_range, FDS_END, ~0u, 0))
		return fail(t, "close files");
	return true;
}

__attribute__((noreturn))
static void report(const struct build_trial *t)
{
	(void)!write(FD_RESULT, t, sizeof(*t));
	_exit(0);
}

static bool make_credentials(struct credentials *c)
{
	EVP_PKEY *key;
	X509 *cert;

	*c = (struct credentials){ 0 };
	if (make_certificate(&key, &cert)) {
		c->cert_len = i2d_X509(cert, &c->cert);
		c->key_len = i2d_PrivateKey(key, &c->key);
	}
	X509_free(cert);
	EVP_PKEY_free(key);
	return c->cert_len > 0 && c->key_len > 0;
}

struct work {
	const struct credentials *credentials;
	struct build_trial *trial;
};

/*
 * In a thread of its own: their libc numbers the data of threads as ours does,
 * and the first thread has data of our libcrypto.  For the same reason it does
 * not end, or our libcrypto would free what theirs has left.
 */
static void *try_in_thread(void *arg)
{
	const struct work *work = arg;

	/* There will be no other process or thread. */
	limit(RLIMIT_NPROC, 0);
	try_all(work->credentials, work->trial);
	report(work->trial);
}

/* Whatever the other does about signals, and when ktlsctl is gone. */
__attribute__((noreturn))
static void end_in_time(pid_t pid)
{
	/* That of the result fails once nobody waits for it. */
	struct pollfd fds[2] = { { .events = POLLIN }, { .fd = FD_RESULT } };
	sigset_t all;

	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, NULL);
	fds[0].fd = syscall(SYS_pidfd_open, pid, 0);
	if (fds[0].fd >= 0)
		poll(fds, 2, TRIAL_SECONDS * 1000);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	_exit(0);
}

void run_trial(int argc, char **argv)
{
	static struct build_trial t;
	struct credentials c;
	struct work work = { &c, &t };
	pthread_t thread;
	uint64_t of;
	pid_t pid;

	if (argc != 2 || !parse_number(argv[1], INT32_MAX, &of))
		_exit(STATUS_USAGE);
	/* No terminal to type into, and no keys of who runs us. */
	if (setsid() < 0) {
		fail(&t, "begin a session");
		report(&t);
	}
	syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL);
	if (!make_credentials(&c)) {
		openssl_error(t.failure, sizeof(t.failure));
		report(&t);
	}
	if (!enter(of, &t))
		report(&t);
	/* The namespace of processes is that of children only. */
	pid = fork();
	if (pid < 0) {
		fail(&t, "start a process");
		report(&t);
	}
	if (pid)
		end_in_time(pid);
	if (drop(&t)) {
		if (pthread_create(&thread, NULL, try_in_thread, &work))
			fail(&t, "start a thread");
		else
			pthread_join(thread, NULL);
	}
	report(&t);
}

/* Nothing that we have read is to be found in the memory of that program. */
__attribute__((noreturn))
static void run_child(unsigned int of, int result, int libssl, int libcrypto)
{
	static struct build_trial t;
	char name[] = TRIAL_NAME, pid[16];
	char *argv[] = { name, pid, NULL }, *envp[] = { NULL };

	signal(SIGPIPE, SIG_DFL);
	snprintf(pid, sizeof(pid), "%u", of);
	if (keep_files(result, libssl, libcrypto, &t)) {
		execve("/proc/self/exe", argv, envp);
		fail(&t, "start ktlsctl again");
	}
	report(&t);
}

/* Ours */

/* What it writes is not to be trusted. */
static bool read_result(int fd, struct build_trial *t)
{
	uint64_t deadline = monotonic_ns() + (TRIAL_SECONDS + 5) * 1000000000ull;
	struct pollfd poll_fd = { .fd = fd, .events = POLLIN };
	struct build_trial got;
	size_t len = 0;
	uint64_t now;
	ssize_t n;
	int i, d;

	while (len < sizeof(got)) {
		now = monotonic_ns();
		if (now >= deadline ||
		    poll(&poll_fd, 1, (deadline - now) / 1000000 + 1) <= 0)
			return false;
		n = read(fd, (char *)&got + len, sizeof(got) - len);
		if (n <= 0)
			return false;
		len += n;
	}
	got.failure[sizeof(got.failure) - 1] = '\0';
	got.version[sizeof(got.version) - 1] = '\0';
	clean_text(got.failure);
	clean_text(got.version);
	memcpy(t->failure, got.failure, sizeof(t->failure));
	memcpy(t->version, got.version, sizeof(t->version));
	t->number = got.number;
	/* Any byte may stand where a bool is meant to. */
	t->done = *(unsigned char *)&got.done == 1;
	for (i = 0; i < SUITES; i++) {
		t->negotiated[i] = *(unsigned char *)&got.negotiated[i] == 1;
		for (d = 0; d < DIRECTIONS; d++)
			t->asked[i][d] =
				*(unsigned char *)&got.asked[i][d] == 1;
	}
	return true;
}

void try_build(unsigned int of, int libssl, int libcrypto,
	       struct build_trial *t)
{
	int ends[2];
	pid_t pid;

	memset(t, 0, sizeof(*t));
	if (pipe2(ends, O_CLOEXEC)) {
		fail(t, "make a pipe");
		return;
	}
	fflush(stdout);
	pid = fork();
	if (!pid)
		run_child(of, ends[1], libssl, libcrypto);
	close(ends[1]);
	if (pid < 0)
		fail(t, "start a process");
	else if (!read_result(ends[0], t))
		snprintf(t->failure, sizeof(t->failure),
			 "it crashed, or took too long");
	close(ends[0]);
	/* It is the one that ends the other. */
	if (pid > 0)
		waitpid(pid, NULL, 0);
}
