// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Handshakes for other programs.  The socket stays theirs: it is one open file, whose
 * flags and options are not to be changed, and with which they can do all the time
 * what they like.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <libktls.h>

#include "connection.h"
#include "ktlsd.h"
#include "worker.h"

#ifndef TCP_ULP
#define TCP_ULP 31
#endif

#define REQUEST_NS 10000000000ull	/* to say what is wanted */

/* What a program does with its socket may have a call of ours wait: not for longer. */
#define PATIENCE_US 10000

/* Of what is no socket, that is to be closed: more than that is refused. */
#define UNCLOSED_MAX 64

static BIO_METHOD *bio_method;
static int closer[2] = { -1, -1 };
static unsigned int unclosed;

/* Calls that others can have wait */

static void on_alarm(int signal)
{
	(void)signal;
}

static void set_alarm(long us)
{
	/* Again and again, as the first one may come before the call. */
	const struct itimerval when = {
		.it_interval.tv_usec = us, .it_value.tv_usec = us,
	};

	setitimer(ITIMER_REAL, &when, NULL);
}

/*
 * A thread that waits in send() may keep another that wants to, if TLS is attached
 * already.
 */
static ssize_t send_foreign(int fd, const void *data, size_t len)
{
	ssize_t n;

	set_alarm(PATIENCE_US);
	n = send(fd, data, len, MSG_DONTWAIT | MSG_NOSIGNAL);
	set_alarm(0);
	return n;
}

static int socket_option(int fd, int level, int name)
{
	socklen_t len = sizeof(int);
	int value;

	return getsockopt(fd, level, name, &value, &len) ? -errno : value;
}

/*
 * Who closes a socket last may have to linger, also for those that are still in the
 * queue of one; and what is no socket may be of a file system that never answers,
 * whatever comes.
 */
static void close_foreign(int fd)
{
	if (socket_option(fd, SOL_SOCKET, SO_TYPE) >= 0) {
		set_alarm(PATIENCE_US);
		close(fd);
		set_alarm(0);
		return;
	}
	__atomic_add_fetch(&unclosed, 1, __ATOMIC_RELAXED);
	(void)!write(closer[1], &fd, sizeof(fd));
}

static void *close_files(void *arg)
{
	int fd;

	sem_post(arg);
	while (read(closer[0], &fd, sizeof(fd)) == sizeof(fd)) {
		close(fd);
		__atomic_sub_fetch(&unclosed, 1, __ATOMIC_RELAXED);
	}
	return NULL;
}

bool service_start(const struct conf *conf)
{
	size_t n = conf->listeners_count;
	sigset_t alarm, before;
	pthread_t thread;
	sem_t begun;
	int err;

	if (!n || conf->listeners[n - 1].kind != LISTENER_HANDSHAKE)
		return true;
	/* That is for us. */
	sigemptyset(&alarm);
	sigaddset(&alarm, SIGALRM);
	pthread_sigmask(SIG_BLOCK, &alarm, &before);
	err = sem_init(&begun, 0, 0) || pipe2(closer, O_CLOEXEC) ? errno :
	      pthread_create(&thread, NULL, close_files, &begun);
	/* What a thread calls when it starts, the sandbox forbids. */
	if (!err)
		err = sem_wait(&begun) ? errno : 0;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (err)
		log_line(LOG_ERR, "cannot start: %s", strerror(err));
	return !err;
}

/* A socket that may be blocking, and is not to be made otherwise. */

static int bio_write(BIO *bio, const char *data, int len)
{
	int fd = (intptr_t)BIO_get_data(bio);
	ssize_t n = send_foreign(fd, data, len);

	BIO_clear_retry_flags(bio);
	if (n < 0 && errno == EAGAIN)
		BIO_set_retry_write(bio);
	return n;
}

static int bio_read(BIO *bio, char *data, int len)
{
	ssize_t n = recv((intptr_t)BIO_get_data(bio), data, len, MSG_DONTWAIT);

	BIO_clear_retry_flags(bio);
	BIO_clear_flags(bio, BIO_FLAGS_IN_EOF);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		BIO_set_retry_read(bio);
	if (!n)
		BIO_set_flags(bio, BIO_FLAGS_IN_EOF);
	return n;
}

static long bio_control(BIO *bio, int command, long number, void *pointer)
{
	(void)number;
	(void)pointer;
	switch (command) {
	case BIO_CTRL_FLUSH:
		return 1;
	case BIO_CTRL_EOF:
		return BIO_test_flags(bio, BIO_FLAGS_IN_EOF) != 0;
	}
	return 0;
}

static BIO *new_bio(int fd)
{
	BIO *bio = BIO_new(bio_method);

	if (bio) {
		BIO_set_data(bio, (void *)(intptr_t)fd);
		BIO_set_init(bio, 1);
	}
	return bio;
}

bool service_init(void)
{
	/* Without SA_RESTART: that calls return is what it is for. */
	const struct sigaction action = { .sa_handler = on_alarm };

	bio_method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK,
				  "a program's socket");
	return bio_method && BIO_meth_set_write(bio_method, bio_write) &&
	       BIO_meth_set_read(bio_method, bio_read) &&
	       BIO_meth_set_ctrl(bio_method, bio_control) &&
	       !sigaction(SIGALRM, &action, NULL);
}

/* Answers */

static uint32_t answer_buffer[KTLS_WIRE_ANSWER_MAX / sizeof(uint32_t)];

static void begin_answer(struct ktls_wire_writer *w, enum ktls_wire_type type)
{
	ktls_wire_begin(w, answer_buffer, sizeof(answer_buffer), type);
}

/* Who does not read it is not waited for.  False if it did not go. */
static bool send_answer(struct connection *c, const struct ktls_wire_writer *w)
{
	return send(c->ends[SIDE_PLAIN].fd, w->buffer, w->len, MSG_DONTWAIT |
		    MSG_NOSIGNAL) == (ssize_t)w->len;
}

__attribute__((format(printf, 4, 5)))
static bool answer_error(struct connection *c, enum ktls_wire_type type, int err,
			 const char *format, ...)
{
	struct ktls_wire_writer w;
	char sentence[512];
	va_list ap;

	va_start(ap, format);
	vsnprintf(sentence, sizeof(sentence), format, ap);
	va_end(ap);
	begin_answer(&w, type);
	ktls_wire_put_number(&w, KTLS_WIRE_ERROR, err);
	ktls_wire_put_text(&w, KTLS_WIRE_SENTENCE, sentence);
	if (type == KTLS_WIRE_RESULT && c->service)
		ktls_wire_put_number(&w, KTLS_WIRE_BEGUN, 1);
	return send_answer(c, &w);
}

/* The socket is the program's alone again. */
static void give_back(struct connection *c)
{
	struct end *e = &c->ends[SIDE_TLS];

	if (e->fd < 0)
		return;
	/* Or its events would go on, as it stays open. */
	worker_watch(c->worker, e, 0);
	close_foreign(e->fd);
	e->fd = -1;
}

void service_end(struct connection *c)
{
	give_back(c);
	close_foreign(c->ends[SIDE_PLAIN].fd);
	c->ends[SIDE_PLAIN].fd = -1;
	if (c->service)
		free(c->service->request);
	free(c->service);
	c->service = NULL;
}

void service_failed(struct connection *c, int err, const char *why)
{
	answer_error(c, KTLS_WIRE_RESULT, err, "%s", why);
	connection_end(c, END_NOT_BEGUN);
}

/* What is known of the other end */

static bool put_certificate(struct ktls_wire_writer *w, X509 *x)
{
	unsigned char *der = NULL;
	int len = i2d_X509(x, &der);
	bool put;

	if (len < 0)
		return true;
	put = ktls_wire_put(w, KTLS_WIRE_CERTIFICATE, der, len);
	OPENSSL_free(der);
	return put;
}

static bool put_name(struct ktls_wire_writer *w, const GENERAL_NAME *name)
{
	const ASN1_STRING *s;
	char text[256];
	int type, len;

	s = GENERAL_NAME_get0_value(name, &type);
	len = type == GEN_DNS || type == GEN_IPADD ? ASN1_STRING_length(s) : 0;
	if (type == GEN_IPADD && (len == 4 || len == 16))
		return ktls_wire_put(w, KTLS_WIRE_IP_ADDRESS,
				     ASN1_STRING_get0_data(s), len);
	/* One with a NUL is there to be taken for another. */
	if (type != GEN_DNS || !len || len >= (int)sizeof(text) ||
	    memchr(ASN1_STRING_get0_data(s), '\0', len))
		return true;
	memcpy(text, ASN1_STRING_get0_data(s), len);
	text[len] = '\0';
	return ktls_wire_put_text(w, KTLS_WIRE_DNS_NAME, text);
}

static bool put_names(struct ktls_wire_writer *w, X509 *x)
{
	GENERAL_NAMES *names = X509_get_ext_d2i(x, NID_subject_alt_name, NULL, NULL);
	bool all = true;
	int i;

	for (i = 0; names && all && i < sk_GENERAL_NAME_num(names); i++)
		all = put_name(w, sk_GENERAL_NAME_value(names, i));
	GENERAL_NAMES_free(names);
	return all;
}

static void put_peer(struct ktls_wire_writer *w, SSL *ssl)
{
	STACK_OF(X509) *chain = SSL_get_peer_cert_chain(ssl);
	X509 *peer = SSL_get0_peer_certificate(ssl), *x;
	long verified = SSL_get_verify_result(ssl);
	bool all;
	int i;

	if (!peer) {
		ktls_wire_put_text(w, KTLS_WIRE_UNVERIFIED,
				   "the other end has no certificate");
		return;
	}
	ktls_wire_put_number(w, KTLS_WIRE_VERIFIED, verified == X509_V_OK);
	if (verified != X509_V_OK)
		ktls_wire_put_text(w, KTLS_WIRE_UNVERIFIED,
				   X509_verify_cert_error_string(verified));
	all = put_certificate(w, peer) && put_names(w, peer);
	for (i = 0; all && i < sk_X509_num(chain); i++) {
		x = sk_X509_value(chain, i);
		/* A server's is in it, a client's is not. */
		if (i || X509_cmp(x, peer))
			all = put_certificate(w, x);
	}
	if (!all)
		ktls_wire_put_number(w, KTLS_WIRE_CUT, 1);
	ERR_clear_error();
}

static void explain_refusal(struct connection *c, int err)
{
	const char *direction = c->kernel_rx ? "send" : c->kernel_tx ? "receive" :
				"send and receive";

	log_line(LOG_INFO, "%s: the kernel takes no key to %s with: %s",
		 c->worker->conf->listeners[c->listener].name, direction,
		 strerror(-err));
	answer_error(c, KTLS_WIRE_RESULT, err,
		     "the kernel takes no key to %s with: %s%s", direction,
		     strerror(-err), err == -EPERM || err == -EACCES ?
		     "; a policy denies it, see: ktlsctl policy" :
		     err == -ENOENT ? "; has it tls? See: modprobe tls" : "");
}

void service_done(struct connection *c)
{
	struct handshake *h = &c->handshake;
	struct ktls_wire_writer w;
	const char *name;
	int err;

	c->state = CONNECTION_SERVED;
	c->deadline = 0;
	err = connection_hand_over(c);
	if (err) {
		count(&c->worker->counters->closed_no_kernel, 1);
		/* So that the other end knows, too. */
		if (c->kernel_tx)
			ktls_send_alert(c->ends[SIDE_TLS].fd,
					KTLS_ALERT_INTERNAL_ERROR, MSG_DONTWAIT);
		else
			SSL_shutdown(h->ssl);
		explain_refusal(c, err);
		connection_end(c, END_NOT_BEGUN);
		return;
	}
	begin_answer(&w, KTLS_WIRE_RESULT);
	ktls_wire_put_number(&w, KTLS_WIRE_TLS_VERSION, h->secrets.version);
	ktls_wire_put_number(&w, KTLS_WIRE_SERVER, SSL_is_server(h->ssl));
	ktls_wire_put_number(&w, KTLS_WIRE_KERNEL_TX, c->kernel_tx);
	ktls_wire_put_number(&w, KTLS_WIRE_KERNEL_RX, c->kernel_rx);
	ktls_wire_put_text(&w, KTLS_WIRE_CIPHER, c->told.cipher);
	if (c->told.alpn)
		ktls_wire_put_text(&w, KTLS_WIRE_ALPN, c->told.alpn);
	name = SSL_get_servername(h->ssl, TLSEXT_NAMETYPE_host_name);
	if (name)
		ktls_wire_put_text(&w, KTLS_WIRE_SERVER_NAME, name);
	put_peer(&w, h->ssl);
	SSL_free(h->ssl);
	h->ssl = NULL;
	give_back(c);
	free(c->service->request);
	c->service->request = NULL;
	if (!send_answer(c, &w))
		connection_end(c, END_BACKEND);
}

/* Requests */

/* The only one; if there are more, none. */
static void take_descriptors(const struct cmsghdr *cmsg, const struct msghdr *msg,
			     int *only)
{
	size_t i, count;
	int fd;

	if (cmsg->cmsg_level != SOL_SOCKET || cmsg->cmsg_type != SCM_RIGHTS)
		return;
	count = (cmsg->cmsg_len - CMSG_LEN(0)) / sizeof(fd);
	for (i = 0; i < count; i++) {
		memcpy(&fd, CMSG_DATA(cmsg) + i * sizeof(fd), sizeof(fd));
		if (count == 1 && *only < 0 && !(msg->msg_flags & MSG_CTRUNC))
			*only = fd;
		else
			close_foreign(fd);
	}
}

/*
 * Returns 1 with a request, and its descriptor or -1; 0 at the end; or a negative
 * errno.
 */
static int receive_request(struct connection *c, struct ktls_wire_request *q, int *fd)
{
	union {
		char bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control;
	uint8_t buffer[KTLS_WIRE_REQUEST_MAX];
	struct iovec iov = { buffer, sizeof(buffer) };
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = &control, .msg_controllen = CMSG_LEN(sizeof(int)),
	};
	struct cmsghdr *cmsg;
	ssize_t n;
	int err;

	*fd = -1;
	set_alarm(PATIENCE_US);
	n = recvmsg(c->ends[SIDE_PLAIN].fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	set_alarm(0);
	if (n < 0)
		return errno == EINTR ? -EAGAIN : -errno;
	/* There is room for one; of more the kernel closes the others, mostly. */
	for (cmsg = CMSG_FIRSTHDR(&msg); cmsg; cmsg = CMSG_NXTHDR(&msg, cmsg))
		take_descriptors(cmsg, &msg, fd);
	if (!n)
		err = 0;
	else if (msg.msg_flags & MSG_TRUNC)
		err = -EBADMSG;
	else
		err = ktls_wire_read_request(buffer, n, q) ?: 1;
	if (err <= 0 && *fd >= 0) {
		close_foreign(*fd);
		*fd = -1;
	}
	return err;
}

/* Returns 0, or a negative errno and what is wrong with it. */
static int check_socket(int fd, const char **wrong)
{
	int family = socket_option(fd, SOL_SOCKET, SO_DOMAIN);
	struct sockaddr_storage peer;
	socklen_t len = sizeof(peer);
	char ulp[16] = "";

	if (fd < 0) {
		*wrong = "no socket came with the request, or more than one";
		return -EBADF;
	}
	if (family < 0) {
		*wrong = "the descriptor is no socket";
		return -ENOTSOCK;
	}
	if (family != AF_INET && family != AF_INET6) {
		*wrong = "TLS in the kernel is on TCP, and the socket is of another family";
		return -EOPNOTSUPP;
	}
	if (socket_option(fd, SOL_SOCKET, SO_PROTOCOL) != IPPROTO_TCP) {
		*wrong = "TLS in the kernel is on TCP, and the socket is of another protocol";
		return -EOPNOTSUPP;
	}
	if (socket_option(fd, SOL_SOCKET, SO_ACCEPTCONN)) {
		*wrong = "the socket listens; hand in one that accept() returns";
		return -EOPNOTSUPP;
	}
	if (getpeername(fd, (struct sockaddr *)&peer, &len)) {
		*wrong = "the socket is not connected";
		return -ENOTCONN;
	}
	len = sizeof(ulp);
	if (!getsockopt(fd, IPPROTO_TCP, TCP_ULP, ulp, &len) && len && *ulp) {
		*wrong = "the socket has TLS, or another protocol on top of TCP, already";
		return -EISCONN;
	}
	return 0;
}

static size_t find_service(const struct conf *conf, const char *name)
{
	size_t i;

	for (i = 0; i < conf->listeners_count; i++)
		if (conf_is_service(&conf->listeners[i]) &&
		    !strcmp(conf->listeners[i].name, name))
			break;
	return i;
}

/* Returns 0 if it may begin; else the program has been told, or is gone. */
static int check_request(struct connection *c, const struct ktls_wire_request *q,
			 int fd, size_t *service)
{
	const struct conf *conf = c->worker->conf;
	size_t n = find_service(conf, q->service);
	const struct conf_listener *l = &conf->listeners[n];
	const char *wrong;
	int err;

	err = check_socket(fd, &wrong);
	if (err)
		return answer_error(c, KTLS_WIRE_RESULT, err, "%s", wrong), err;
	if (n == conf->listeners_count)
		return answer_error(c, KTLS_WIRE_RESULT, -ENOENT,
				    "no service is called \"%s\"; see the sections \"service\" of %s",
				    q->service, conf->path), -ENOENT;
	if (conf_is_client(l) && !*q->server_name && !l->server_name)
		return answer_error(c, KTLS_WIRE_RESULT, -EINVAL,
				    "nobody says which server it is to be; name it, or write server-name in service %s",
				    l->name), -EINVAL;
	if (__atomic_load_n(&unclosed, __ATOMIC_RELAXED) > UNCLOSED_MAX)
		return answer_error(c, KTLS_WIRE_RESULT, -EBUSY,
				    "ktlsd was given files that cannot be closed"), -EBUSY;
	if (!shop_is_ready(c->worker->shop, n))
		return answer_error(c, KTLS_WIRE_RESULT, -ENOKEY,
				    "the certificate of service %s is not loaded; see: ktlsctl daemon status",
				    l->name), -ENOKEY;
	if (c->worker->doorways[n].open >= l->max_connections)
		return answer_error(c, KTLS_WIRE_RESULT, -EBUSY,
				    "service %s is at its max-connections", l->name), -EBUSY;
	if (c->worker->doorways[n].handshakes >= l->max_handshakes)
		return answer_error(c, KTLS_WIRE_RESULT, -EBUSY,
				    "service %s is at its max-handshakes", l->name), -EBUSY;
	*service = n;
	return 0;
}

/* False if it does not go on; the program has been told. */
static bool take_socket(struct connection *c, const struct ktls_wire_request *q,
			int fd)
{
	struct service *s = calloc(1, sizeof(*s));
	struct handshake_wish wish;
	socklen_t len;
	size_t n;

	if (s)
		s->request = malloc(sizeof(*q));
	if (!s || !s->request || check_request(c, q, fd, &n)) {
		if (fd >= 0)
			close_foreign(fd);
		if (s)
			free(s->request);
		free(s);
		return false;
	}
	worker_move(c, n);
	*s->request = *q;
	len = sizeof(s->local);
	getsockname(fd, (struct sockaddr *)&s->local, &len);
	len = sizeof(s->remote);
	getpeername(fd, (struct sockaddr *)&s->remote, &len);
	c->service = s;
	c->ends[SIDE_TLS].fd = fd;
	c->ends[SIDE_TLS].side = SIDE_TLS;
	wish = (struct handshake_wish){
		.server_name = s->request->server_name,
		.alpn = s->request->alpn,
		.alpn_len = s->request->alpn_len,
		.bio = new_bio(fd),
	};
	if (!connection_begin_handshake(c, &wish) ||
	    !worker_watch(c->worker, &c->ends[SIDE_TLS], EPOLLIN)) {
		answer_error(c, KTLS_WIRE_RESULT, -EINVAL,
			     "the handshake could not begin; is \"%s\" the name of a server?",
			     s->request->server_name);
		return false;
	}
	if (q->timeout && c->worker->now + q->timeout * 1000000ull < c->deadline)
		c->deadline = c->worker->now + q->timeout * 1000000ull;
	worker_take_turn(c);
	return true;
}

/* Whether it is the socket of before, which nobody else could have been given. */
static bool is_same(const struct connection *c, int fd)
{
	socklen_t len = sizeof(uint64_t);
	uint64_t cookie;

	return fd >= 0 && !getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &len) &&
	       cookie == c->told.cookie;
}

/* Sets the next key.  Returns 0, or a negative errno and a sentence. */
static int renew(struct connection *c, const struct ktls_wire_request *q, int fd,
		 const char **why)
{
	int err;

	if (!is_same(c, fd)) {
		*why = "that is not the socket of the handshake";
		return -EBADF;
	}
	if (c->service->broken || c->handshake.secrets.version != TLS1_3_VERSION ||
	    q->direction > KTLS_DIRECTION_RX) {
		*why = "there is no next key";
		return -EINVAL;
	}
	c->ends[SIDE_TLS].fd = fd;
	err = post_handshake_next_key(c, q->direction);
	c->ends[SIDE_TLS].fd = -1;
	if (!err)
		return 0;
	c->service->broken = true;
	*why = "the kernel refused the next key";
	switch (err) {
	case -EDQUOT:
		count(&c->worker->counters->closed_rekey_storm, 1);
		*why = "the other end has changed its key too often";
		return err;
	case -EPERM:
	case -EACCES:
		*why = "a policy denies the next key, see: ktlsctl policy";
		break;
	case -EBUSY:
	case -EINVAL:
		err = -EOPNOTSUPP;
		*why = "there is a new key, and this kernel takes no second one; Linux 6.14 does";
		break;
	}
	count(&c->worker->counters->closed_rekey_unsupported, 1);
	return err;
}

static bool rekey(struct connection *c, const struct ktls_wire_request *q, int fd)
{
	struct ktls_wire_writer w;
	const char *why;
	int err;

	err = renew(c, q, fd, &why);
	if (fd >= 0)
		close_foreign(fd);
	if (err)
		return answer_error(c, KTLS_WIRE_REKEYED, err, "%s", why);
	begin_answer(&w, KTLS_WIRE_REKEYED);
	return send_answer(c, &w);
}

/* A message that has a place now.  False if it is the last one. */
static bool obey(struct connection *c, const struct ktls_wire_request *q, int fd)
{
	if (c->state == CONNECTION_SERVED && q->type == KTLS_WIRE_REKEY)
		return rekey(c, q, fd);
	if (c->state == CONNECTION_REQUEST && q->type == KTLS_WIRE_REQUEST)
		return take_socket(c, q, fd);
	if (fd >= 0)
		close_foreign(fd);
	return false;
}

static void take_request(struct connection *c)
{
	enum connection_end why = END_NOT_BEGUN;
	struct ktls_wire_request q;
	int fd, ret;

	ret = receive_request(c, &q, &fd);
	if (ret == -EAGAIN)
		return;
	if (ret > 0 && obey(c, &q, fd))
		return;
	if (ret == -EPROTONOSUPPORT || ret == -EBADMSG)
		answer_error(c, KTLS_WIRE_RESULT, ret, ret == -EBADMSG ?
			     "the request makes no sense" :
			     "ktlsd is of another version than libktls; install the same");
	else if (!ret && c->state == CONNECTION_SERVED)
		why = END_CLOSED;
	if (c->state != CONNECTION_DEAD)
		connection_end(c, why);
}

/* During a handshake nothing is to be said, but that it is not wanted any more. */
static void look_for_end(struct connection *c)
{
	char byte;

	if (recv(c->ends[SIDE_PLAIN].fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 &&
	    errno == EAGAIN)
		return;
	count(&c->worker->counters->failed_gone, 1);
	connection_end(c, END_NOT_BEGUN);
}

void service_accept(struct connection *c)
{
	c->state = CONNECTION_REQUEST;
	c->deadline = c->worker->now + REQUEST_NS;
}

void service_run(struct connection *c)
{
	struct end *e = &c->ends[SIDE_PLAIN];

	if (!e->readable)
		return;
	/* If there is more, epoll says so again, and others get their turn. */
	e->readable = false;
	if (c->state == CONNECTION_HANDSHAKE)
		look_for_end(c);
	else
		take_request(c);
}
