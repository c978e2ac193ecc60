// SPDX-License-Identifier: GPL-2.0-or-later
/* The life of a connection. */
#include <errno.h>
#include <openssl/err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <time.h>
#include <unistd.h>

#include <libktls.h>

#include "connection.h"
#include "knock.h"
#include "ktlsd.h"
#include "proxy.h"
#include "worker.h"

/* Longer than the broker waits for a backend. */
#define BACKEND_NS 30000000000ull

static const struct conf_listener *conf_of(const struct connection *c)
{
	return &c->worker->conf->listeners[c->listener];
}

static struct doorway *doorway_of(const struct connection *c)
{
	return &c->worker->doorways[c->listener];
}

static void set_option(int fd, int level, int name)
{
	const int on = 1;

	setsockopt(fd, level, name, &on, sizeof(on));
}

static bool add_end(struct connection *c, enum side side, int fd)
{
	struct end *e = &c->ends[side];

	e->fd = fd;
	e->side = side;
	e->writable = true;
	set_option(fd, IPPROTO_TCP, TCP_NODELAY);
	set_option(fd, SOL_SOCKET, SO_KEEPALIVE);
	return worker_watch(c->worker, e, EPOLLIN);
}

bool connection_begin_handshake(struct connection *c,
				const struct handshake_wish *wish)
{
	struct worker *w = c->worker;
	struct doorway *d = doorway_of(c);

	if (d->handshakes >= conf_of(c)->max_handshakes ||
	    !handshake_begin(&c->handshake, w->shop, c->listener,
			     c->ends[SIDE_TLS].fd, wish)) {
		count(&w->counters->refused_handshakes, 1);
		return false;
	}
	d->handshakes++;
	count(&w->counters->handshakes, 1);
	c->state = CONNECTION_HANDSHAKE;
	c->deadline = w->now + conf_of(c)->handshake_timeout * 1000000000ull;
	return true;
}

static void begin_handshake(struct connection *c)
{
	if (!connection_begin_handshake(c, NULL)) {
		connection_end(c, END_NOT_BEGUN);
		return;
	}
	/* A client has to say something first. */
	if (conf_is_client(conf_of(c)))
		connection_run(c);
}

/* Without a broker it waits for the next one, which comes at once, or not at all. */
static void ask_backend(struct connection *c)
{
	int err;

	c->state = CONNECTION_BACKEND;
	c->deadline = c->worker->now + BACKEND_NS;
	err = worker_wish(c, NULL, 0);
	if (err && err != -EPIPE)
		connection_granted(c, err);
}

void connection_ask_again(struct connection *c)
{
	if (c->state == CONNECTION_BACKEND)
		ask_backend(c);
	else if (c->state == CONNECTION_FILES)
		serve_granted(c, -EAGAIN);
}

void connection_accept(struct worker *w, size_t listener, int fd)
{
	enum listener_kind kind = w->conf->listeners[listener].kind;
	bool is_client = kind == LISTENER_CLIENT;
	bool proof = !is_client && kind != LISTENER_HANDSHAKE && knock_is(fd);
	struct connection *c = calloc(1, sizeof(*c));
	struct timespec ts;
	int i;

	if (!proof)
		count(&w->counters->accepted, 1);
	if (!c) {
		close(fd);
		count(&w->counters->refused_connections, 1);
		return;
	}
	c->worker = w;
	c->listener = listener;
	c->proof = proof;
	for (i = 0; i < SIDES; i++) {
		c->ends[i].fd = -1;
		c->flows[i].pipe[0] = -1;
		c->flows[i].pipe[1] = -1;
	}
	clock_gettime(CLOCK_REALTIME, &ts);
	c->started = ts.tv_sec * 1000000000ull + ts.tv_nsec;
	if (!worker_add(w, c)) {
		close(fd);
		free(c);
		count(&w->counters->refused_connections, 1);
		return;
	}
	if (!add_end(c, is_client || kind == LISTENER_HANDSHAKE ? SIDE_PLAIN :
		     SIDE_TLS, fd)) {
		connection_end(c, END_FAILED);
		return;
	}
	if (kind == LISTENER_HANDSHAKE) {
		service_accept(c);
		return;
	}
	if (is_client)
		ask_backend(c);
	else
		begin_handshake(c);
}

/* Keys */

static void count_refusal(struct counters *n, int err)
{
	switch (-err) {
	case ENOENT:
	case ENOPROTOOPT:
		count(&n->keys_no_tls, 1);
		break;
	case EINVAL:
	case EPROTONOSUPPORT:
	case ENOTSUP:
		count(&n->keys_cipher, 1);
		break;
	case EPERM:
	case EACCES:
		count(&n->keys_policy, 1);
		break;
	case ENOMEM:
	case ENOBUFS:
		count(&n->keys_memory, 1);
		break;
	default:
		count(&n->keys_other, 1);
	}
}

/*
 * The kernel may take the key of one direction and not the other.  Returns a negative
 * errno then.
 */
static int install_keys(struct connection *c)
{
	struct kernel_key tx, rx;
	int fd = c->ends[SIDE_TLS].fd, err, err_tx, err_rx;
	struct counters *n = c->worker->counters;
	struct handshake *h = &c->handshake;
	SSL *ssl = h->ssl;

	/* What it has in hand of the next records, it has to finish. */
	if (SSL_has_pending(ssl))
		err = -EINPROGRESS;
	else
		err = secrets_derive(ssl, &h->secrets, h->records, &tx, &rx);
	if (!err)
		err = ktls_attach(fd);
	err_tx = err;
	err_rx = err;
	if (!err) {
		err_rx = ktls_set_key(fd, KTLS_DIRECTION_RX, &rx, rx.len);
		err_tx = ktls_set_key(fd, KTLS_DIRECTION_TX, &tx, tx.len);
	}
	kernel_key_forget(&tx);
	kernel_key_forget(&rx);
	c->kernel_tx = !err_tx;
	c->kernel_rx = !err_rx;
	if (c->kernel_tx)
		count(&n->kernel_tx, 1);
	if (c->kernel_rx)
		count(&n->kernel_rx, 1);
	if (err_tx || err_rx)
		count_refusal(n, err_tx ?: err_rx);
	return err_tx ?: err_rx;
}

/* What will be told of it, while there is still somebody to ask. */
static void keep_description(struct connection *c)
{
	struct description *t = &c->told;
	struct message_connection m = { 0 };
	socklen_t len = sizeof(t->cookie);

	handshake_describe(&c->handshake, c->worker->shop, c->listener, &m);
	getsockopt(c->ends[SIDE_TLS].fd, SOL_SOCKET, SO_COOKIE, &t->cookie, &len);
	t->identity = m.identity;
	t->certificate = m.verified;
	memcpy(t->cipher, m.cipher, sizeof(t->cipher));
	t->server_name = *m.server_name ? strdup(m.server_name) : NULL;
	t->alpn = *m.alpn ? strdup(m.alpn) : NULL;
	t->peer_name = *m.peer_name ? strdup(m.peer_name) : NULL;
}

int connection_hand_over(struct connection *c)
{
	keep_description(c);
	return install_keys(c);
}

/* What the kernel did not take is OpenSSL's to do. */
static void stay_in_user_space(struct connection *c, int err)
{
	struct counters *n = c->worker->counters;

	if (!c->kernel_tx)
		count(&n->user_tx, 1);
	if (!c->kernel_rx)
		count(&n->user_rx, 1);
	/* Who has left already wants none. */
	if (err == -ENOTCONN)
		return;
	log_line(LOG_INFO, "%s: %s stays in user space: %s", conf_of(c)->name,
		 !c->kernel_tx && !c->kernel_rx ? "a connection" :
		 !c->kernel_tx ? "sending of a connection" :
		 "receiving of a connection", strerror(-err));
}

/* True if the connection may go on. */
static bool take_over(struct connection *c)
{
	struct handshake *h = &c->handshake;
	BIO *nowhere;
	int err;

	err = connection_hand_over(c);
	if (err)
		stay_in_user_space(c, err);
	c->flows[SIDE_TLS].copied = !c->kernel_rx ||
				    !c->worker->splices_records;
	c->flows[SIDE_PLAIN].copied = !c->kernel_tx;
	if (c->kernel_tx && c->kernel_rx) {
		SSL_free(h->ssl);
		h->ssl = NULL;
		return true;
	}
	if (conf_of(c)->require_kernel) {
		count(&c->worker->counters->closed_no_kernel, 1);
		return false;
	}
	if (!c->kernel_tx)
		return true;
	/* What OpenSSL would say now, as an alert, is not for the kernel to encrypt. */
	nowhere = BIO_new(BIO_s_null());
	if (!nowhere)
		return false;
	SSL_set0_wbio(h->ssl, nowhere);
	return true;
}

static void end_of_handshake(struct connection *c)
{
	doorway_of(c)->handshakes--;
	count(&c->worker->counters->handshakes, -1);
}

/*
 * What a backend is told of the client, before all else.  There is room for it in a
 * socket that is new.
 */
static bool send_proxy_header(struct connection *c)
{
	struct sockaddr_storage source, destination;
	socklen_t len = sizeof(source);
	const struct description *t = &c->told;
	struct proxy_client client = {
		.source = (struct sockaddr *)&source,
		.destination = (struct sockaddr *)&destination,
		.alpn = (const unsigned char *)t->alpn,
		.alpn_len = t->alpn ? strlen(t->alpn) : 0,
		.server_name = t->server_name,
		.version = c->handshake.secrets.version == TLS1_3_VERSION ?
			   "TLSv1.3" : "TLSv1.2",
		.cipher = t->cipher,
		.common_name = t->peer_name,
		.certificate = t->certificate,
		.session_certificate = t->certificate,
		.verified = t->certificate,
	};
	unsigned char header[PROXY_MAX];
	size_t n;

	if (getpeername(c->ends[SIDE_TLS].fd, (struct sockaddr *)&source, &len))
		return false;
	len = sizeof(destination);
	if (getsockname(c->ends[SIDE_TLS].fd, (struct sockaddr *)&destination,
			&len))
		return false;
	n = proxy_header(&client, header, sizeof(header));
	return n && send(c->ends[SIDE_PLAIN].fd, header, n, MSG_DONTWAIT |
			 MSG_NOSIGNAL) == (ssize_t)n;
}

static void begin_relay(struct connection *c)
{
	c->state = CONNECTION_RELAY;
	c->deadline = 0;
	if (conf_of(c)->proxy_protocol && !send_proxy_header(c)) {
		connection_end(c, END_BACKEND);
		return;
	}
	/* Of what OpenSSL holds epoll knows nothing. */
	if (!c->kernel_rx)
		c->ends[SIDE_TLS].readable = true;
	relay_run(c);
}

static void count_failure(struct counters *n, enum handshake_failure why)
{
	switch (why) {
	case FAILURE_GONE:
		count(&n->failed_gone, 1);
		break;
	case FAILURE_ALERT:
		count(&n->failed_alert, 1);
		break;
	case FAILURE_PROTOCOL:
		count(&n->failed_protocol, 1);
		break;
	case FAILURE_CERTIFICATE:
		count(&n->failed_certificate, 1);
		break;
	case FAILURE_KEY:
		count(&n->failed_key, 1);
		break;
	case FAILURE_OTHER:
		count(&n->failed_other, 1);
		break;
	}
}

static int failure_errno(enum handshake_failure why)
{
	switch (why) {
	case FAILURE_GONE:
		return -ECONNRESET;
	case FAILURE_ALERT:
		return -ECONNABORTED;
	case FAILURE_CERTIFICATE:
		return -EKEYREJECTED;
	case FAILURE_KEY:
		return -ENOKEY;
	case FAILURE_PROTOCOL:
	case FAILURE_OTHER:
		break;
	}
	return -EPROTO;
}

static void run_handshake(struct connection *c)
{
	struct counters *n = c->worker->counters;

	switch (handshake_step(&c->handshake)) {
	case HANDSHAKE_READ:
		worker_watch(c->worker, &c->ends[SIDE_TLS], EPOLLIN);
		return;
	case HANDSHAKE_WRITE:
		worker_watch(c->worker, &c->ends[SIDE_TLS], EPOLLOUT);
		return;
	case HANDSHAKE_FAILED:
		if (c->proof && c->handshake.failure != FAILURE_KEY) {
			/* It has no certificate to show, and has seen ours. */
			connection_end(c, END_NOT_BEGUN);
			return;
		}
		count_failure(n, c->handshake.failure);
		/* What others do wrong fills no log; what we do does. */
		log_line(c->handshake.failure == FAILURE_KEY ? LOG_WARNING :
			 LOG_DEBUG, "%s: no handshake: %s", conf_of(c)->name,
			 c->handshake.why);
		if (c->service)
			service_failed(c, failure_errno(c->handshake.failure),
				       c->handshake.why);
		else
			connection_end(c, END_NOT_BEGUN);
		return;
	case HANDSHAKE_DONE:
		break;
	}
	end_of_handshake(c);
	if (c->proof) {
		SSL_shutdown(c->handshake.ssl);
		c->state = CONNECTION_BACKEND;
		connection_end(c, END_NOT_BEGUN);
		return;
	}
	count(&n->handshakes_done, 1);
	count(SSL_version(c->handshake.ssl) == TLS1_3_VERSION ?
	      &n->handshakes_tls13 : &n->handshakes_tls12, 1);
	if (SSL_session_reused(c->handshake.ssl))
		count(&n->handshakes_resumed, 1);
	if (c->service) {
		service_done(c);
		return;
	}
	if (!take_over(c)) {
		c->state = CONNECTION_BACKEND;
		connection_end(c, END_NOT_BEGUN);
		return;
	}
	if (conf_of(c)->kind == LISTENER_FILES)
		serve_begin(c);
	else if (c->ends[SIDE_PLAIN].fd >= 0)
		begin_relay(c);
	else
		ask_backend(c);
}

void connection_granted(struct connection *c, int fd)
{
	bool is_client = conf_of(c)->kind == LISTENER_CLIENT;

	if (fd < 0) {
		count(&c->worker->counters->closed_no_backend, 1);
		log_line(LOG_WARNING, "%s: no connection to %s: %s",
			 conf_of(c)->name, conf_of(c)->backend.text,
			 strerror(-fd));
		if (c->kernel_tx)
			ktls_send_alert(c->ends[SIDE_TLS].fd,
					KTLS_ALERT_INTERNAL_ERROR, MSG_DONTWAIT);
		connection_end(c, END_NOT_BEGUN);
		return;
	}
	if (!add_end(c, is_client ? SIDE_TLS : SIDE_PLAIN, fd)) {
		connection_end(c, END_FAILED);
		return;
	}
	if (is_client)
		begin_handshake(c);
	else
		begin_relay(c);
}

void connection_run(struct connection *c)
{
	switch (c->state) {
	case CONNECTION_HANDSHAKE:
		/* Its program may have left. */
		if (c->service)
			service_run(c);
		if (c->state == CONNECTION_HANDSHAKE)
			run_handshake(c);
		break;
	case CONNECTION_REQUEST:
	case CONNECTION_SERVED:
		service_run(c);
		break;
	case CONNECTION_RELAY:
		relay_run(c);
		break;
	case CONNECTION_FILES:
		serve_run(c);
		break;
	case CONNECTION_ACCEPTED:
	case CONNECTION_BACKEND:
		/* What it says is for later. */
		worker_watch(c->worker, &c->ends[SIDE_TLS], 0);
		worker_watch(c->worker, &c->ends[SIDE_PLAIN], 0);
		break;
	case CONNECTION_DEAD:
		break;
	}
}

void connection_late(struct connection *c)
{
	if (c->state == CONNECTION_HANDSHAKE) {
		count(&c->worker->counters->failed_timeout, 1);
		if (c->service)
			service_failed(c, -ETIMEDOUT, "the handshake took too long");
		else
			connection_end(c, END_NOT_BEGUN);
	} else if (c->state == CONNECTION_REQUEST) {
		connection_end(c, END_NOT_BEGUN);
	} else if (c->state == CONNECTION_FILES) {
		serve_run(c);
	} else if (c->state == CONNECTION_BACKEND) {
		connection_granted(c, -ETIMEDOUT);
	} else {
		connection_end(c, END_IDLE);
	}
}

static void reset(int fd)
{
	static const struct linger at_once = { .l_onoff = 1, .l_linger = 0 };

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
}

static void count_end(struct counters *n, enum connection_end why)
{
	switch (why) {
	case END_CLOSED:
		count(&n->closed_done, 1);
		break;
	case END_TRUNCATED:
		count(&n->closed_truncated, 1);
		break;
	case END_RESET:
		count(&n->closed_reset, 1);
		break;
	case END_BACKEND:
		count(&n->closed_backend, 1);
		break;
	case END_ALERTED:
		count(&n->closed_alert, 1);
		break;
	case END_BROKEN:
		count(&n->closed_record, 1);
		break;
	case END_REKEY_UNSUPPORTED:
		count(&n->closed_rekey_unsupported, 1);
		break;
	case END_REKEY_STORM:
		count(&n->closed_rekey_storm, 1);
		break;
	case END_IDLE:
		count(&n->closed_timeout, 1);
		break;
	case END_DRAINED:
		count(&n->closed_drained, 1);
		break;
	case END_FAILED:
		count(&n->closed_other, 1);
		break;
	case END_NOT_BEGUN:
		break;
	}
}

void connection_end(struct connection *c, enum connection_end why)
{
	struct worker *w = c->worker;
	struct end *tls = &c->ends[SIDE_TLS], *plain = &c->ends[SIDE_PLAIN];
	int i;

	count_end(w->counters, why);
	if (c->state == CONNECTION_HANDSHAKE)
		end_of_handshake(c);
	if (conf_of(c)->kind == LISTENER_HANDSHAKE || conf_is_service(conf_of(c)))
		service_end(c);
	/* An alert that was sent is to arrive: no reset towards TLS, but for one. */
	if (plain->fd >= 0 && why != END_CLOSED)
		reset(plain->fd);
	if (tls->fd >= 0 && (why == END_RESET || why == END_BACKEND))
		reset(tls->fd);
	for (i = 0; i < SIDES; i++) {
		struct flow *f = &c->flows[i];

		if (f->pipe[0] >= 0)
			worker_put_pipe(w, f->pipe, !f->held);
		free(f->buffer);
		f->buffer = NULL;
		/*
		 * The broker may have its copy still, with which the socket would
		 * stay watched, for a connection that is no more.
		 */
		worker_watch(w, &c->ends[i], 0);
		if (c->ends[i].fd >= 0)
			close(c->ends[i].fd);
		c->ends[i].fd = -1;
	}
	handshake_end(&c->handshake);
	free(c->told.server_name);
	free(c->told.alpn);
	free(c->told.peer_name);
	c->state = CONNECTION_DEAD;
	worker_bury(c);
}

static void put_address(const struct sockaddr_storage *s, uint16_t *family,
			uint8_t addr[16], uint16_t *port)
{
	const struct sockaddr_in6 *in6 = (const void *)s;
	const struct sockaddr_in *in = (const void *)s;

	*family = s->ss_family;
	if (s->ss_family == AF_INET) {
		memcpy(addr, &in->sin_addr, 4);
		*port = ntohs(in->sin_port);
	} else if (s->ss_family == AF_INET6 &&
		   IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr)) {
		*family = AF_INET;
		memcpy(addr, &in6->sin6_addr.s6_addr[12], 4);
		*port = ntohs(in6->sin6_port);
	} else if (s->ss_family == AF_INET6) {
		memcpy(addr, &in6->sin6_addr, 16);
		*port = ntohs(in6->sin6_port);
	}
}

static void copy_name(char *to, size_t room, const char *from)
{
	if (from)
		snprintf(to, room, "%s", from);
}

void connection_describe(struct connection *c, struct message_connection *m)
{
	struct sockaddr_storage s = { 0 };
	int fd = c->ends[SIDE_TLS].fd;
	socklen_t len = sizeof(s);

	memset(m, 0, sizeof(*m));
	if (c->service) {
		put_address(&c->service->local, &m->family, m->local_addr,
			    &m->local_port);
		put_address(&c->service->remote, &m->family, m->remote_addr,
			    &m->remote_port);
	}
	m->cookie = c->told.cookie;
	m->started = c->started;
	m->listener = c->listener;
	m->identity = c->told.cookie ? c->told.identity : -1;
	m->kernel_tx = c->kernel_tx;
	m->kernel_rx = c->kernel_rx;
	m->version = c->handshake.secrets.version;
	memcpy(m->cipher, c->told.cipher, sizeof(m->cipher));
	copy_name(m->server_name, sizeof(m->server_name), c->told.server_name);
	copy_name(m->alpn, sizeof(m->alpn), c->told.alpn);
	copy_name(m->peer_name, sizeof(m->peer_name), c->told.peer_name);
	if (fd < 0 || c->service)
		return;
	if (!getsockname(fd, (struct sockaddr *)&s, &len))
		put_address(&s, &m->family, m->local_addr, &m->local_port);
	len = sizeof(s);
	if (!getpeername(fd, (struct sockaddr *)&s, &len))
		put_address(&s, &m->family, m->remote_addr, &m->remote_port);
}
