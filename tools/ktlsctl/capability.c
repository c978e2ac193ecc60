// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What this host can do with kernel TLS.  Version numbers and configuration
 * files say what should be; this tries it: a throw-away key on a pair of TCP
 * sockets, and handshakes of libssl with itself.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/tls.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "capability.h"

#ifndef SOL_TLS
#define SOL_TLS 282
#endif
/* What older kernels answer to an unknown version; user space has no name. */
#define KERNEL_ENOTSUPP 524
/* In one process, the other end is never far. */
#define HANDSHAKE_NS 10000000000ull

/*
 * Under TLS 1.2, a suite also says how keys are exchanged and who signs; it is
 * the server's certificate that decides.
 */
const struct suite suites[SUITES] = {
	{ KTLS_VERSION_TLS_1_2, KTLS_CIPHER_AES_GCM_128,
	  "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:DHE-RSA-AES128-GCM-SHA256:AES128-GCM-SHA256",
	  "gcm(aes)" },
	{ KTLS_VERSION_TLS_1_2, KTLS_CIPHER_AES_GCM_256,
	  "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:DHE-RSA-AES256-GCM-SHA384:AES256-GCM-SHA384",
	  "gcm(aes)" },
	{ KTLS_VERSION_TLS_1_2, KTLS_CIPHER_CHACHA20_POLY1305,
	  "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305:DHE-RSA-CHACHA20-POLY1305",
	  "rfc7539(chacha20,poly1305)" },
	{ KTLS_VERSION_TLS_1_2, KTLS_CIPHER_AES_CCM_128,
	  "ECDHE-ECDSA-AES128-CCM:DHE-RSA-AES128-CCM:AES128-CCM",
	  "ccm(aes)" },
	{ KTLS_VERSION_TLS_1_3, KTLS_CIPHER_AES_GCM_128,
	  "TLS_AES_128_GCM_SHA256", "gcm(aes)" },
	{ KTLS_VERSION_TLS_1_3, KTLS_CIPHER_AES_GCM_256,
	  "TLS_AES_256_GCM_SHA384", "gcm(aes)" },
	{ KTLS_VERSION_TLS_1_3, KTLS_CIPHER_CHACHA20_POLY1305,
	  "TLS_CHACHA20_POLY1305_SHA256", "rfc7539(chacha20,poly1305)" },
	{ KTLS_VERSION_TLS_1_3, KTLS_CIPHER_AES_CCM_128,
	  "TLS_AES_128_CCM_SHA256", "ccm(aes)" },
};

const char *answer_name(enum answer answer)
{
	static const char *const names[] = {
		[ANSWER_NO] = "no",
		[ANSWER_YES] = "yes",
		[ANSWER_UNKNOWN] = "unknown",
	};

	return names[answer];
}

const char *libssl_version(char buffer[NUMBER_LEN])
{
	snprintf(buffer, NUMBER_LEN, "OpenSSL %u.%u.%u",
		 OPENSSL_version_major(), OPENSSL_version_minor(),
		 OPENSSL_version_patch());
	return buffer;
}

void openssl_error(char *buffer, size_t size)
{
	unsigned long e = ERR_get_error();
	const char *reason = e ? ERR_reason_error_string(e) : NULL;

	if (reason)
		snprintf(buffer, size, "%s", reason);
	else if (e)
		ERR_error_string_n(e, buffer, size);
	else
		snprintf(buffer, size, "OpenSSL does not say why");
	ERR_clear_error();
}

/* Sockets */

/* Two ends of a TCP connection over loopback, or -1 and errno. */
static int connect_pair_of(int family, int ends[2])
{
	struct sockaddr_storage addr = { .ss_family = family };
	socklen_t len = family == AF_INET6 ? sizeof(struct sockaddr_in6) :
					     sizeof(struct sockaddr_in);
	int listener, err;

	if (family == AF_INET6)
		((struct sockaddr_in6 *)&addr)->sin6_addr = in6addr_loopback;
	else
		((struct sockaddr_in *)&addr)->sin_addr.s_addr =
			htonl(INADDR_LOOPBACK);
	ends[0] = ends[1] = -1;
	listener = socket(family, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_TCP);
	if (listener < 0)
		return -1;
	ends[0] = socket(family, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_TCP);
	if (ends[0] < 0 || bind(listener, (struct sockaddr *)&addr, len) ||
	    listen(listener, 1) ||
	    getsockname(listener, (struct sockaddr *)&addr, &len) ||
	    connect(ends[0], (struct sockaddr *)&addr, len))
		goto out;
	ends[1] = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
out:
	err = errno;
	close(listener);
	if (ends[1] >= 0)
		return 0;
	if (ends[0] >= 0)
		close(ends[0]);
	errno = err;
	return -1;
}

static int connect_pair(int ends[2])
{
	if (!connect_pair_of(AF_INET, ends))
		return 0;
	return connect_pair_of(AF_INET6, ends);
}

/* The kernel */

union key {
	struct tls_crypto_info info;
	struct tls12_crypto_info_aes_gcm_128 gcm_128;
	struct tls12_crypto_info_aes_gcm_256 gcm_256;
	struct tls12_crypto_info_aes_ccm_128 ccm_128;
	struct tls12_crypto_info_chacha20_poly1305 chacha20;
};

static socklen_t key_size(uint16_t cipher)
{
	switch (cipher) {
	case KTLS_CIPHER_AES_GCM_128:
		return sizeof(struct tls12_crypto_info_aes_gcm_128);
	case KTLS_CIPHER_AES_GCM_256:
		return sizeof(struct tls12_crypto_info_aes_gcm_256);
	case KTLS_CIPHER_AES_CCM_128:
		return sizeof(struct tls12_crypto_info_aes_ccm_128);
	default:
		return sizeof(struct tls12_crypto_info_chacha20_poly1305);
	}
}

static void try_kernel(const struct suite *suite,
		       struct kernel_trial trials[DIRECTIONS])
{
	static const int options[DIRECTIONS] = {
		[KTLS_DIRECTION_TX] = TLS_TX,
		[KTLS_DIRECTION_RX] = TLS_RX,
	};
	union key key;
	int ends[2], i;

	if (connect_pair(ends)) {
		for (i = 0; i < DIRECTIONS; i++)
			trials[i] = (struct kernel_trial){ STEP_SOCKETS, errno };
		return;
	}
	if (setsockopt(ends[0], IPPROTO_TCP, TCP_ULP, "tls", 3)) {
		for (i = 0; i < DIRECTIONS; i++)
			trials[i] = (struct kernel_trial){ STEP_ULP, errno };
		goto out;
	}
	for (i = 0; i < DIRECTIONS; i++) {
		/* Not secret, as nothing is sent; but no two are the same. */
		if (RAND_bytes((unsigned char *)&key, sizeof(key)) != 1)
			memset(&key, 0, sizeof(key));
		key.info.version = suite->version;
		key.info.cipher_type = suite->cipher;
		trials[i].step = STEP_KEY;
		trials[i].error = setsockopt(ends[0], SOL_TLS, options[i], &key,
					     key_size(suite->cipher)) ?
				  errno : 0;
		OPENSSL_cleanse(&key, sizeof(key));
	}
out:
	close(ends[0]);
	close(ends[1]);
}

/* libssl */

/*
 * BIO_CTRL_SET_KTLS is not in the public headers, but the same from OpenSSL
 * 3.0 to 3.6.  If a later one should number it in another way, a key that was
 * offered and refused is not seen, and nothing is said about it.
 */
#define CTRL_SET_KTLS 72

/* Above the socket's BIO, it sees what libssl asks of it. */
static int seen_write(BIO *bio, const char *data, int len)
{
	int n = BIO_write(BIO_next(bio), data, len);

	BIO_clear_retry_flags(bio);
	BIO_copy_next_retry(bio);
	return n;
}

static int seen_read(BIO *bio, char *data, int len)
{
	int n = BIO_read(BIO_next(bio), data, len);

	BIO_clear_retry_flags(bio);
	BIO_copy_next_retry(bio);
	return n;
}

static long seen_ctrl(BIO *bio, int cmd, long tx, void *arg)
{
	bool *asked = BIO_get_data(bio);

	if (!BIO_next(bio))
		return 0;
	if (cmd == CTRL_SET_KTLS && asked)
		asked[tx ? KTLS_DIRECTION_TX : KTLS_DIRECTION_RX] = true;
	return BIO_ctrl(BIO_next(bio), cmd, tx, arg);
}

static int seen_create(BIO *bio)
{
	BIO_set_init(bio, 1);
	return 1;
}

/* All that the handshakes share. */
struct library {
	BIO_METHOD *seen;
	EVP_PKEY *key;
	X509 *cert;
};

bool make_certificate(EVP_PKEY **key, X509 **cert)
{
	X509_NAME *name;

	*key = EVP_EC_gen("P-256");
	*cert = X509_new();
	if (!*key || !*cert)
		return false;
	name = X509_get_subject_name(*cert);
	return X509_set_version(*cert, X509_VERSION_3) &&
	       ASN1_INTEGER_set(X509_get_serialNumber(*cert), 1) &&
	       X509_gmtime_adj(X509_getm_notBefore(*cert), -3600) &&
	       X509_gmtime_adj(X509_getm_notAfter(*cert), 3600) &&
	       X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
					  (const unsigned char *)"localhost",
					  -1, -1, 0) &&
	       X509_set_issuer_name(*cert, name) &&
	       X509_set_pubkey(*cert, *key) &&
	       X509_sign(*cert, *key, EVP_sha256());
}

static bool open_library(struct library *l)
{
	l->seen = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_FILTER,
			       "key watch");
	return l->seen && BIO_meth_set_write(l->seen, seen_write) &&
	       BIO_meth_set_read(l->seen, seen_read) &&
	       BIO_meth_set_ctrl(l->seen, seen_ctrl) &&
	       BIO_meth_set_create(l->seen, seen_create) &&
	       make_certificate(&l->key, &l->cert);
}

static void close_library(struct library *l)
{
	X509_free(l->cert);
	EVP_PKEY_free(l->key);
	BIO_meth_free(l->seen);
}

static SSL *new_end(const struct library *l, const struct suite *suite,
		    bool server, int fd, bool *asked)
{
	SSL_CTX *ctx = SSL_CTX_new(server ? TLS_server_method() :
					    TLS_client_method());
	BIO *seen = NULL, *bio = NULL;
	SSL *ssl = NULL;

	/* libssl's numbers of versions are those of the kernel. */
	if (!ctx || !SSL_CTX_set_min_proto_version(ctx, suite->version) ||
	    !SSL_CTX_set_max_proto_version(ctx, suite->version) ||
	    !(suite->version == KTLS_VERSION_TLS_1_3 ?
	      SSL_CTX_set_ciphersuites(ctx, suite->openssl) :
	      SSL_CTX_set_cipher_list(ctx, suite->openssl)))
		goto out;
	if (server && (!SSL_CTX_use_certificate(ctx, l->cert) ||
		       !SSL_CTX_use_PrivateKey(ctx, l->key)))
		goto out;
	SSL_CTX_set_verify(ctx, SSL_VERIFY_NONE, NULL);
	/* One end will do; the other may have it from openssl.cnf. */
	if (server)
		SSL_CTX_set_options(ctx, SSL_OP_ENABLE_KTLS);
	else
		SSL_CTX_clear_options(ctx, SSL_OP_ENABLE_KTLS);
	seen = BIO_new(l->seen);
	bio = BIO_new_socket(fd, BIO_NOCLOSE);
	ssl = SSL_new(ctx);
	if (!seen || !bio || !ssl) {
		BIO_free(seen);
		BIO_free(bio);
		SSL_free(ssl);
		ssl = NULL;
		goto out;
	}
	BIO_set_data(seen, asked);
	seen = BIO_push(seen, bio);
	SSL_set_bio(ssl, seen, seen);
	if (server)
		SSL_set_accept_state(ssl);
	else
		SSL_set_connect_state(ssl);
out:
	SSL_CTX_free(ctx);
	return ssl;
}

/* One step of a handshake; false if it cannot go on. */
static bool step(SSL *ssl, bool *done)
{
	int n, err;

	if (*done)
		return true;
	ERR_clear_error();
	n = SSL_do_handshake(ssl);
	if (n == 1) {
		*done = true;
		return true;
	}
	err = SSL_get_error(ssl, n);
	return err == SSL_ERROR_WANT_READ || err == SSL_ERROR_WANT_WRITE;
}

static bool shake_hands(SSL *client, SSL *server, const int ends[2],
			struct library_trial *trial)
{
	uint64_t deadline = monotonic_ns() + HANDSHAKE_NS;
	bool client_done = false, server_done = false;
	struct pollfd fds[] = {
		{ .fd = ends[0], .events = POLLIN },
		{ .fd = ends[1], .events = POLLIN },
	};

	for (;;) {
		if (!step(client, &client_done) ||
		    !step(server, &server_done)) {
			openssl_error(trial->failure, sizeof(trial->failure));
			return false;
		}
		if (client_done && server_done)
			return true;
		if (monotonic_ns() > deadline) {
			trial->untried = true;
			snprintf(trial->failure, sizeof(trial->failure),
				 "the handshake took too long");
			return false;
		}
		/* Short: each waits for the other, and who is done reads no more. */
		poll(fds, ARRAY_SIZE(fds), 10);
	}
}

static void try_library(const struct library *l, const struct suite *suite,
			struct library_trial *trial)
{
	SSL *client, *server;
	int ends[2], i;

	if (connect_pair(ends)) {
		trial->untried = true;
		snprintf(trial->failure, sizeof(trial->failure),
			 "could not connect over loopback: %s",
			 strerror(errno));
		return;
	}
	for (i = 0; i < 2; i++)
		fcntl(ends[i], F_SETFL, O_NONBLOCK);
	ERR_clear_error();
	client = new_end(l, suite, false, ends[0], NULL);
	server = client ? new_end(l, suite, true, ends[1], trial->asked) : NULL;
	if (!server) {
		openssl_error(trial->failure, sizeof(trial->failure));
	} else if (shake_hands(client, server, ends, trial)) {
		trial->negotiated = true;
		trial->taken[KTLS_DIRECTION_TX] =
			BIO_get_ktls_send(SSL_get_wbio(server));
		trial->taken[KTLS_DIRECTION_RX] =
			BIO_get_ktls_recv(SSL_get_rbio(server));
	}
	for (i = 0; i < DIRECTIONS; i++)
		trial->asked[i] |= trial->taken[i];
	/* They wipe their keys. */
	SSL_free(client);
	SSL_free(server);
	close(ends[0]);
	close(ends[1]);
	ERR_clear_error();
}

/*
 * With CAP_NET_ADMIN, the kernel would load tls.ko for us: then a host is well
 * once it was examined, until it boots again, and the server that has no such
 * privilege is refused.  Returns what to give back.
 */
static bool drop_net_admin(struct __user_cap_data_struct before[2])
{
	struct __user_cap_header_struct header = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];

	if (syscall(SYS_capget, &header, before) ||
	    !(before[0].effective & 1U << CAP_NET_ADMIN))
		return false;
	memcpy(data, before, sizeof(data));
	data[0].effective &= ~(1U << CAP_NET_ADMIN);
	return !syscall(SYS_capset, &header, data);
}

static void restore_net_admin(const struct __user_cap_data_struct before[2])
{
	struct __user_cap_header_struct header = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};

	syscall(SYS_capset, &header, before);
}

void try_capabilities(struct capability all[SUITES])
{
	struct __user_cap_data_struct before[_LINUX_CAPABILITY_U32S_3];
	struct sigaction ignore = { .sa_handler = SIG_IGN }, pipe_action;
	struct library l = { 0 };
	char failure[sizeof(all->library.failure)] = "";
	bool dropped;
	int i;

	memset(all, 0, SUITES * sizeof(*all));
	dropped = drop_net_admin(before);
	/* An end may be closed while the other still writes. */
	sigaction(SIGPIPE, &ignore, &pipe_action);
	if (!open_library(&l))
		openssl_error(failure, sizeof(failure));
	for (i = 0; i < SUITES; i++) {
		try_kernel(&suites[i], all[i].kernel);
		all[i].library.untried = *failure;
		if (*failure)
			memcpy(all[i].library.failure, failure,
			       sizeof(failure));
		else
			try_library(&l, &suites[i], &all[i].library);
	}
	close_library(&l);
	sigaction(SIGPIPE, &pipe_action, NULL);
	if (dropped)
		restore_net_admin(before);
}

/* What it means */

enum answer kernel_does(const struct suite *suite,
			const struct kernel_trial *trial, int direction,
			char why[WHY_LEN])
{
	const char *name = strerrorname_np(trial->error) ?: "?";
	const char *option = direction == KTLS_DIRECTION_TX ? "TLS_TX" :
							      "TLS_RX";
	char b[NUMBER_LEN], c[NUMBER_LEN];

	*why = '\0';
	if (!trial->error)
		return ANSWER_YES;
	switch (trial->step) {
	case STEP_SOCKETS:
		snprintf(why, WHY_LEN,
			 "the kernel could not be tried, as no TCP connection over loopback came about (%s); is lo up?",
			 name);
		return ANSWER_UNKNOWN;
	case STEP_ULP:
		switch (trial->error) {
		case ENOENT:
			snprintf(why, WHY_LEN,
				 "the kernel has no TLS: tls.ko is not loaded, or not built for it (TCP_ULP: ENOENT); type: modprobe tls");
			return ANSWER_NO;
		case EPERM:
		case EACCES:
			snprintf(why, WHY_LEN,
				 "a security policy refused TLS in the kernel (TCP_ULP: %s)",
				 name);
			return ANSWER_NO;
		case ENOPROTOOPT:
			snprintf(why, WHY_LEN,
				 "the kernel knows no TCP_ULP: it is older than 4.13, or TCP is not its own here (ENOPROTOOPT)");
			return ANSWER_NO;
		}
		break;
	case STEP_KEY:
		switch (trial->error) {
		case EINVAL:
		case ENOPROTOOPT:
		case EOPNOTSUPP:
		case KERNEL_ENOTSUPP:
			snprintf(why, WHY_LEN,
				 "the kernel does not know %s under TLS %s (%s: %s)",
				 format_cipher(b, suite->cipher),
				 format_version(c, suite->version), option,
				 trial->error == KERNEL_ENOTSUPP ? "ENOTSUPP" :
								   name);
			return ANSWER_NO;
		case ENOENT:
			snprintf(why, WHY_LEN,
				 "the kernel lacks the algorithm %s (%s: ENOENT): its module is missing, or FIPS mode forbids it",
				 suite->algorithm, option);
			return ANSWER_NO;
		case EPERM:
		case EACCES:
			snprintf(why, WHY_LEN,
				 "a policy of this host refused the key (%s: %s)",
				 option, name);
			return ANSWER_NO;
		case ENOMEM:
		case ENOBUFS:
			break;
		default:
			snprintf(why, WHY_LEN,
				 "the kernel refused the key (%s: %s)", option,
				 name);
			return ANSWER_NO;
		}
	}
	snprintf(why, WHY_LEN, "the kernel could not be tried (%s: %s)",
		 trial->step == STEP_ULP ? "TCP_ULP" : option, name);
	return ANSWER_UNKNOWN;
}

enum answer library_does(const struct suite *suite,
			 const struct capability *c, int direction,
			 char why[WHY_LEN])
{
	const struct library_trial *t = &c->library;
	char b[NUMBER_LEN], v[NUMBER_LEN], n[NUMBER_LEN];

	*why = '\0';
	if (t->taken[direction])
		return ANSWER_YES;
	libssl_version(b);
	if (t->untried) {
		snprintf(why, WHY_LEN, "%s could not be tried (%s)", b,
			 t->failure);
		return ANSWER_UNKNOWN;
	}
	if (!t->negotiated) {
		snprintf(why, WHY_LEN,
			 "%s of this host does not negotiate %s under TLS %s (%s)",
			 b, format_cipher(n, suite->cipher),
			 format_version(v, suite->version), t->failure);
		return ANSWER_NO;
	}
	if (t->asked[direction]) {
		/* What the kernel refuses is not libssl's fault. */
		if (c->kernel[direction].error)
			return ANSWER_YES;
		snprintf(why, WHY_LEN,
			 "%s offered its key, and the kernel refused it, though it took one in a trial before",
			 b);
		return ANSWER_UNKNOWN;
	}
#ifdef OPENSSL_NO_KTLS
	snprintf(why, WHY_LEN, "%s was built without kernel TLS", b);
#else
	if (suite->version == KTLS_VERSION_TLS_1_3 &&
	    direction == KTLS_DIRECTION_RX &&
	    OpenSSL_version_num() < 0x30200000)
		snprintf(why, WHY_LEN,
			 "%s never gives the kernel the key to receive TLS 1.3; OpenSSL 3.2 and later do",
			 b);
	else
		snprintf(why, WHY_LEN,
			 "%s does not offer the kernel its key to %s %s under TLS %s",
			 b, direction == KTLS_DIRECTION_TX ? "send" : "receive",
			 format_cipher(n, suite->cipher),
			 format_version(v, suite->version));
#endif
	return ANSWER_NO;
}

enum answer host_does(const struct suite *suite, const struct capability *c,
		      int direction, char why[WHY_LEN])
{
	char library_why[WHY_LEN];
	enum answer kernel, library;
	size_t len;

	kernel = kernel_does(suite, &c->kernel[direction], direction, why);
	library = library_does(suite, c, direction, library_why);
	len = strlen(why);
	if (*library_why)
		snprintf(why + len, WHY_LEN - len, "%s%s", len ? "; and " : "",
			 library_why);
	if (kernel == ANSWER_NO || library == ANSWER_NO)
		return ANSWER_NO;
	return kernel == ANSWER_UNKNOWN ? kernel : library;
}
