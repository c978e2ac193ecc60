// SPDX-License-Identifier: GPL-2.0-or-later
/* The life of a connection. */
#include <errno.h>
#include <openssl/err.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <time.h>
#include <unistd.h>

#include <libktls.h>

#include "connection.h"
#include "ktlsd.h"
#include "worker.h"

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
	/* The first call that waits tells otherwise. */
	e->readable = true;
	e->writable = true;
	set_option(fd, IPPROTO_TCP, TCP_NODELAY);
	set_option(fd, SOL_SOCKET, SO_KEEPALIVE);
	return worker_watch(c->worker, e);
}

static void begin_handshake(struct connection *c)
{
	struct worker *w = c->worker;
	struct doorway *d = doorway_of(c);

	if (d->handshakes >= conf_of(c)->max_handshakes ||
	    !handshake_begin(&c->handshake, w->shop, c->listener,
			     c->ends[SIDE_TLS].fd)) {
		w->counters->limited++;
		connection_end(c, END_NOT_BEGUN);
		return;
	}
	d->handshakes++;
	w->counters->handshakes++;
	c->state = CONNECTION_HANDSHAKE;
	c->deadline = w->now + conf_of(c)->handshake_timeout * 1000000000ull;
	connection_run(c);
}

static void ask_backend(struct connection *c)
{
	c->state = CONNECTION_BACKEND;
	c->deadline = 0;
	if (!worker_ask_backend(c))
		connection_granted(c, -EPIPE);
}

void connection_accept(struct worker *w, size_t listener, int fd)
{
	bool is_client = w->conf->listeners[listener].kind == LISTENER_CLIENT;
	struct connection *c = calloc(1, sizeof(*c));
	struct timespec ts;
	int i;

	w->counters->accepted++;
	if (!c) {
		close(fd);
		w->counters->limited++;
		return;
	}
	c->worker = w;
	c->listener = listener;
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
		w->counters->limited++;
		return;
	}
	if (!add_end(c, is_client ? SIDE_PLAIN : SIDE_TLS, fd)) {
		connection_end(c, END_RESET);
		return;
	}
	if (is_client)
		ask_backend(c);
	else
		begin_handshake(c);
}

/* Keys */

/*
 * The kernel may take the key of one direction and not the other: then OpenSSL
 * does the other.
 */
static void install_keys(struct connection *c)
{
	struct kernel_key tx, rx;
	int fd = c->ends[SIDE_TLS].fd, err, err_tx, err_rx;
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
	if (!err_tx)
		c->worker->counters->tx_kernel++;
	else
		c->worker->counters->tx_user++;
	if (!err_rx)
		c->worker->counters->rx_kernel++;
	else
		c->worker->counters->rx_user++;
	if (err_tx || err_rx)
		log_line(LOG_INFO, "%s: %s stays in user space: %s",
			 conf_of(c)->name,
			 err_tx && err_rx ? "a connection" :
			 err_tx ? "sending of a connection" :
			 "receiving of a connection",
			 strerror(-(err_tx ?: err_rx)));
}

/* True if the connection may go on. */
static bool take_over(struct connection *c)
{
	struct handshake *h = &c->handshake;
	BIO *nowhere;

	install_keys(c);
	c->flows[SIDE_TLS].copied = !c->kernel_rx ||
				    !c->worker->splices_records;
	c->flows[SIDE_PLAIN].copied = !c->kernel_tx;
	if (c->kernel_tx && c->kernel_rx) {
		SSL_free(h->ssl);
		h->ssl = NULL;
		return true;
	}
	if (conf_of(c)->require_kernel) {
		c->worker->counters->refused_kernel++;
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
	c->worker->counters->handshakes--;
}

static void begin_relay(struct connection *c)
{
	c->state = CONNECTION_RELAY;
	c->deadline = 0;
	relay_run(c);
}

static void run_handshake(struct connection *c)
{
	struct counters *n = c->worker->counters;

	switch (handshake_step(&c->handshake)) {
	case HANDSHAKE_READ:
	case HANDSHAKE_WRITE:
		return;
	case HANDSHAKE_FAILED:
		if (c->handshake.alerted)
			n->handshakes_alerted++;
		else
			n->handshakes_failed++;
		log_line(LOG_DEBUG, "%s: no handshake: %s", conf_of(c)->name,
			 c->handshake.failure);
		connection_end(c, END_NOT_BEGUN);
		return;
	case HANDSHAKE_DONE:
		break;
	}
	end_of_handshake(c);
	n->handshakes_done++;
	if (SSL_session_reused(c->handshake.ssl))
		n->handshakes_resumed++;
	if (!take_over(c)) {
		c->state = CONNECTION_BACKEND;
		connection_end(c, END_NOT_BEGUN);
		return;
	}
	if (c->ends[SIDE_PLAIN].fd >= 0)
		begin_relay(c);
	else
		ask_backend(c);
}

void connection_granted(struct connection *c, int fd)
{
	bool is_client = conf_of(c)->kind == LISTENER_CLIENT;

	if (fd < 0) {
		c->worker->counters->backend_failed++;
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
		connection_end(c, END_RESET);
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
		run_handshake(c);
		break;
	case CONNECTION_RELAY:
		relay_run(c);
		break;
	case CONNECTION_BACKEND:
	case CONNECTION_DEAD:
		break;
	}
}

void connection_late(struct connection *c)
{
	if (c->state == CONNECTION_HANDSHAKE) {
		c->worker->counters->handshakes_timeout++;
		connection_end(c, END_NOT_BEGUN);
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
		n->closed++;
		break;
	case END_TRUNCATED:
		n->truncated++;
		break;
	case END_RESET:
		n->reset++;
		break;
	case END_ALERTED:
		n->alerted++;
		break;
	case END_BROKEN:
		n->broken++;
		break;
	case END_REKEY_UNSUPPORTED:
		n->rekey_unsupported++;
		break;
	case END_REKEY_STORM:
		n->rekey_storm++;
		break;
	case END_IDLE:
		n->idle++;
		break;
	case END_DRAINED:
		n->drained++;
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
	/* An alert that was sent is to arrive: no reset towards TLS, but for one. */
	if (plain->fd >= 0 && why != END_CLOSED)
		reset(plain->fd);
	if (tls->fd >= 0 && why == END_RESET)
		reset(tls->fd);
	for (i = 0; i < SIDES; i++) {
		struct flow *f = &c->flows[i];

		if (f->pipe[0] >= 0)
			worker_put_pipe(w, f->pipe, !f->held);
		free(f->buffer);
		f->buffer = NULL;
		if (c->ends[i].fd >= 0)
			close(c->ends[i].fd);
		c->ends[i].fd = -1;
	}
	handshake_end(&c->handshake);
	c->state = CONNECTION_DEAD;
	worker_bury(c);
}
