// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The prover connects to each listener as clients do, once for each of its
 * certificates, and compares what is served with what the file holds.
 *
 * It reads the files first, and cannot open any when it meets the network.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <netinet/in.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <seccomp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "conf.h"
#include "identity.h"
#include "knock.h"
#include "ktlsd.h"
#include "message.h"
#include "privileges.h"
#include "process.h"

#define MSEC UINT64_C(1000000)
#define TIMEOUT (5000 * MSEC)	/* for a handshake, with its connect */

#define NAME_MAX_LEN 255

/* In place of the star of a name that has one. */
#define ANY_LABEL "ktlsd-proves"

/* The certificate of a file, or why there is none. */
struct paper {
	X509 *certificate;
	char error[IDENTITY_ERROR];
};

/* A look at one certificate of one listener. */
struct look {
	const struct conf_listener *listener;
	X509 *file;
	X509 *served;
	bool asked;		/* for ours, when the server had proven its own */
	char name[NAME_MAX_LEN + 1];	/* or "" */
	uint64_t deadline;
	int fd;
	struct message_proof *proof;
};

struct prover {
	const struct conf *conf;
	struct paper *papers;	/* as the configuration has identities */
	SSL_CTX *ctx;
	int supervisor;
};

__attribute__((format(printf, 3, 4)))
static bool end(struct look *k, enum proof_state state, const char *format, ...)
{
	va_list ap;

	k->proof->state = state;
	va_start(ap, format);
	vsnprintf(k->proof->error, sizeof(k->proof->error), format, ap);
	va_end(ap);
	return false;
}

/* Names */

static bool has_name(X509 *certificate, const char *name)
{
	return X509_check_host(certificate, name, 0,
			       X509_CHECK_FLAG_NEVER_CHECK_SUBJECT, NULL) > 0;
}

static bool take_name(const GENERAL_NAME *general, char name[NAME_MAX_LEN + 1])
{
	const unsigned char *text;
	int len, type;

	text = GENERAL_NAME_get0_value(general, &type);
	if (type != GEN_DNS)
		return false;
	len = ASN1_STRING_length((const ASN1_STRING *)text);
	text = ASN1_STRING_get0_data((const ASN1_STRING *)text);
	if (len < 1 || len > NAME_MAX_LEN - (int)strlen(ANY_LABEL) ||
	    memchr(text, '\0', len))
		return false;
	if (text[0] == '*')
		snprintf(name, NAME_MAX_LEN + 1, ANY_LABEL "%.*s", len - 1, text + 1);
	else
		snprintf(name, NAME_MAX_LEN + 1, "%.*s", len, text);
	return true;
}

/*
 * A worker chooses the first certificate that has the name; so it has to be one that
 * those before it have not.
 */
static bool is_taken(const struct prover *p, const struct look *k, const char *name)
{
	const struct paper *paper;
	uint32_t i;

	for (i = 0; i < k->proof->place; i++) {
		paper = &p->papers[k->listener->identities[i]];
		if (paper->certificate && has_name(paper->certificate, name))
			return true;
	}
	return false;
}

static bool find_name(const struct prover *p, struct look *k)
{
	GENERAL_NAMES *names = X509_get_ext_d2i(k->file, NID_subject_alt_name, NULL,
						NULL);
	bool any = false, found = false;
	int i;

	for (i = 0; i < sk_GENERAL_NAME_num(names) && !found; i++) {
		if (!take_name(sk_GENERAL_NAME_value(names, i), k->name))
			continue;
		any = true;
		found = !is_taken(p, k, k->name);
	}
	GENERAL_NAMES_free(names);
	if (found)
		return true;
	*k->name = '\0';
	/* The first is for those who ask for none. */
	if (!k->proof->place)
		return true;
	if (any)
		return end(k, PROOF_SKIPPED,
			   "certificates before it have all of its names, so no client gets it");
	return end(k, PROOF_SKIPPED,
		   "it has no DNS name that a client could ask for, and is not the first");
}

/* The connection */

static bool wait_for(const struct look *k, short events)
{
	struct pollfd fd = { .fd = k->fd, .events = events };
	uint64_t now = monotonic_ns();

	return now < k->deadline &&
	       poll(&fd, 1, (k->deadline - now) / MSEC + 1) != 0;
}

static bool connect_to(struct look *k, const struct address *to)
{
	socklen_t len = sizeof(int);
	int err = 0;

	k->fd = socket(to->any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (k->fd < 0)
		return end(k, PROOF_FAILED, "no socket: %s", strerror(errno));
	err = knock_bind(k->fd, &to->any, to->len);
	if (err == EADDRNOTAVAIL) {
		close(k->fd);
		k->fd = -1;
		/* It may wander between hosts. */
		return end(k, PROOF_SKIPPED, "this host has not the address now");
	}
	if (!err && connect(k->fd, &to->any, to->len)) {
		err = errno;
		if (err == EINPROGRESS && wait_for(k, POLLOUT)) {
			if (getsockopt(k->fd, SOL_SOCKET, SO_ERROR, &err, &len))
				err = errno;
		} else if (err == EINPROGRESS) {
			err = ETIMEDOUT;
		}
	}
	if (!err)
		return true;
	close(k->fd);
	k->fd = -1;
	return end(k, PROOF_FAILED, "no connection: %s", strerror(err));
}

static bool connect_listener(struct look *k)
{
	struct address to = k->listener->address;
	in_port_t port = to.in6.sin6_port;

	if (address_is_any(&to)) {
		to.in6.sin6_addr = in6addr_loopback;
		if (connect_to(k, &to))
			return true;
		/* There may be no IPv6. */
		to = (struct address){ .len = sizeof(to.in) };
		to.in.sin_family = AF_INET;
		to.in.sin_port = port;
	}
	if (to.any.sa_family == AF_INET && to.in.sin_addr.s_addr == INADDR_ANY)
		to.in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return connect_to(k, &to);
}

/* The handshake */

/* Whom to trust is not the question: the file says what it is to be. */
static int see_certificate(X509_STORE_CTX *store, void *arg)
{
	SSL *ssl = X509_STORE_CTX_get_ex_data(store,
					      SSL_get_ex_data_X509_STORE_CTX_idx());
	struct look *k = SSL_get_app_data(ssl);
	X509 *x = X509_STORE_CTX_get0_cert(store);

	(void)arg;
	if (!k->served && x && X509_up_ref(x))
		k->served = x;
	return 1;
}

/* The server has signed by then. */
static int have_no_certificate(SSL *ssl, X509 **x, EVP_PKEY **key)
{
	struct look *k = SSL_get_app_data(ssl);

	(void)x;
	(void)key;
	k->asked = true;
	return 0;
}

static const char *reason(int error, int err)
{
	const char *text = ERR_reason_error_string(ERR_peek_error());

	if (error == SSL_ERROR_SSL && text)
		return text;
	return err ? strerror(err) : "it was closed";
}

static bool shake_hands(struct look *k, SSL *ssl)
{
	int result, error, err;

	for (;;) {
		ERR_clear_error();
		errno = 0;
		result = SSL_connect(ssl);
		err = errno;
		if (result > 0)
			return true;
		error = SSL_get_error(ssl, result);
		if (error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE)
			break;
		if (wait_for(k, error == SSL_ERROR_WANT_READ ? POLLIN : POLLOUT))
			continue;
		error = SSL_ERROR_SYSCALL;
		err = ETIMEDOUT;
		break;
	}
	/* Clients have to have a certificate, and we have none. */
	if (k->asked)
		return true;
	end(k, PROOF_FAILED, "no handshake: %s", reason(error, err));
	ERR_clear_error();
	return false;
}

/*
 * Without its close_notify a server may hold it for an attack; it ends, too, then or
 * when we do, and there is no need to wait for all of that.
 */
static void say_goodbye(struct look *k, SSL *ssl)
{
	char rest[4096];
	int i;

	if (SSL_is_init_finished(ssl))
		SSL_shutdown(ssl);
	shutdown(k->fd, SHUT_WR);
	/* What is left unread would have the kernel reset it. */
	for (i = 0; i < 16 && wait_for(k, POLLIN); i++)
		if (read(k->fd, rest, sizeof(rest)) <= 0)
			break;
}

static bool meet(const struct prover *p, struct look *k)
{
	SSL *ssl = SSL_new(p->ctx);
	bool good;

	good = ssl && SSL_set_fd(ssl, k->fd) > 0 && SSL_set_app_data(ssl, k) > 0 &&
	       (!*k->name || SSL_set_tlsext_host_name(ssl, k->name) > 0) &&
	       (!k->listener->alpn_len ||
		!SSL_set_alpn_protos(ssl, k->listener->alpn, k->listener->alpn_len));
	if (!good)
		end(k, PROOF_FAILED, "no memory for a handshake");
	else
		good = shake_hands(k, ssl);
	if (good)
		say_goodbye(k, ssl);
	SSL_free(ssl);
	return good;
}

static void compare(struct look *k)
{
	unsigned char a[EVP_MAX_MD_SIZE], b[EVP_MAX_MD_SIZE];
	struct message_proof *proof = k->proof;
	unsigned int a_len, b_len;

	if (!k->served) {
		end(k, PROOF_FAILED, "it showed no certificate");
		return;
	}
	proof->served_len = identity_serial(k->served, proof->served);
	if (!X509_digest(k->file, EVP_sha256(), a, &a_len) ||
	    !X509_digest(k->served, EVP_sha256(), b, &b_len))
		end(k, PROOF_FAILED, "no SHA-256");
	else
		proof->state = a_len == b_len && !memcmp(a, b, a_len) ?
			       PROOF_OK : PROOF_STALE;
}

static void look(const struct prover *p, uint32_t listener, uint32_t place)
{
	struct message_proof proof = { .listener = listener, .place = place };
	const struct conf_listener *l = &p->conf->listeners[listener];
	const struct paper *paper = &p->papers[l->identities[place]];
	struct look k = {
		.listener = l,
		.file = paper->certificate,
		.deadline = monotonic_ns() + TIMEOUT,
		.fd = -1,
		.proof = &proof,
	};

	if (!k.file) {
		end(&k, PROOF_UNREADABLE, "%s", paper->error);
	} else {
		proof.file_len = identity_serial(k.file, proof.file);
		if (find_name(p, &k) && connect_listener(&k) && meet(p, &k))
			compare(&k);
	}
	X509_free(k.served);
	if (k.fd >= 0)
		close(k.fd);
	message_send(p->supervisor, MESSAGE_PROOF, &proof, sizeof(proof), NULL, 0);
}

/* Before the sandbox is closed. */

static bool read_papers(struct prover *p)
{
	struct paper *paper;
	size_t i;

	p->papers = calloc(p->conf->identities_count + 1, sizeof(*p->papers));
	for (i = 0; p->papers && i < p->conf->identities_count; i++) {
		paper = &p->papers[i];
		paper->certificate = identity_certificate(p->conf->identities[i].chain,
							  paper->error);
	}
	return p->papers;
}

static bool make_context(struct prover *p)
{
	SSL *ssl;

	p->ctx = SSL_CTX_new(TLS_client_method());
	if (!p->ctx)
		return false;
	SSL_CTX_set_verify(p->ctx, SSL_VERIFY_NONE, NULL);
	SSL_CTX_set_cert_verify_callback(p->ctx, see_certificate, NULL);
	SSL_CTX_set_client_cert_cb(p->ctx, have_no_certificate);
	SSL_CTX_set_session_cache_mode(p->ctx, SSL_SESS_CACHE_OFF);
	/* Has all loaded that would be at the first one. */
	ssl = SSL_new(p->ctx);
	SSL_free(ssl);
	return ssl;
}

static int allow(scmp_filter_ctx filter)
{
	static const int calls[] = {
		SCMP_SYS(bind), SCMP_SYS(brk), SCMP_SYS(clock_gettime),
		SCMP_SYS(close), SCMP_SYS(connect), SCMP_SYS(exit_group),
		SCMP_SYS(futex), SCMP_SYS(getpid), SCMP_SYS(getrandom),
		SCMP_SYS(getsockname), SCMP_SYS(gettimeofday), SCMP_SYS(madvise),
		SCMP_SYS(mremap), SCMP_SYS(munmap),
		SCMP_SYS(poll), SCMP_SYS(ppoll), SCMP_SYS(read),
		SCMP_SYS(restart_syscall), SCMP_SYS(rt_sigreturn),
		SCMP_SYS(sendmsg), SCMP_SYS(shutdown), SCMP_SYS(time),
		SCMP_SYS(write),
#ifdef __SANITIZE_ADDRESS__
		SCMP_SYS(sigaltstack), SCMP_SYS(sched_yield), SCMP_SYS(gettid),
#endif
	};
	const int type = SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC;
	static const int families[] = { AF_INET, AF_INET6 };
	static const int maps[] = { SCMP_SYS(mmap), SCMP_SYS(mprotect) };
	int err = 0;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(calls) && !err; i++)
		err = seccomp_rule_add(filter, SCMP_ACT_ALLOW, calls[i], 0);
	for (i = 0; i < ARRAY_SIZE(families) && !err; i++)
		err = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(socket), 2,
				       SCMP_A0(SCMP_CMP_EQ, families[i]),
				       SCMP_A1(SCMP_CMP_EQ, type));
	for (i = 0; i < ARRAY_SIZE(maps) && !err; i++)
		err = seccomp_rule_add(filter, SCMP_ACT_ALLOW, maps[i], 1,
				       SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
	return err ?: seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(getsockopt), 2,
				       SCMP_A1(SCMP_CMP_EQ, SOL_SOCKET),
				       SCMP_A2(SCMP_CMP_EQ, SO_ERROR));
}

static bool enter_sandbox(void)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_KILL_PROCESS);
	int err = filter ? allow(filter) : -ENOMEM;

	err = err ?: seccomp_load(filter);
	seccomp_release(filter);
	if (err)
		log_line(LOG_ERR, "Cannot enter the sandbox: %s", strerror(-err));
	return !err;
}

static bool begin(struct prover *p)
{
	/* Files of others, if need be; and then none. */
	if (!privileges_drop(p->conf->user, 1ull << CAP_DAC_READ_SEARCH) ||
	    !process_follow())
		return false;
	/* There may be keys next to certificates. */
	prctl(PR_SET_DUMPABLE, 0);
	if (!read_papers(p) || !make_context(p)) {
		log_line(LOG_ERR, "Cannot begin: no memory, or OpenSSL is not well");
		return false;
	}
	return privileges_drop(p->conf->user, 0) && enter_sandbox();
}

int prove_run(const struct conf *conf, int supervisor_fd)
{
	struct prover p = { .conf = conf, .supervisor = supervisor_fd };
	uint32_t i, j;

	if (!begin(&p))
		return 1;
	for (i = 0; i < conf->listeners_count; i++) {
		const struct conf_listener *l = &conf->listeners[i];

		for (j = 0; l->address.len && !conf_is_client(l) &&
		     j < l->identities_count; j++)
			look(&p, i, j);
	}
	knock_end();
	return 0;
}
