// SPDX-License-Identifier: LGPL-2.1-or-later
/* TLS connections whose handshake ktlsd makes, and whose records the kernel does. */
#define _GNU_SOURCE
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "handshake.h"

/* What a record holds (RFC 8446, 5.1). */
#define RECORD_BYTES 16384

#define TIMEOUT_MS 60000	/* if neither the program nor ktlsd has one */
#define SLACK_MS 5000		/* for ktlsd to say that its own is over */
#define REKEY_MS 10000

#define ALERT_BAD_RECORD_MAC 20

static struct handshake *of(struct ktls_handshake *h)
{
	return (struct handshake *)h;
}

__attribute__((format(printf, 3, 4)))
static int fail(struct handshake *h, int err, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	vsnprintf(h->why, sizeof(h->why), format, ap);
	va_end(ap);
	return err;
}

/* And nothing will go on after that. */
static int end(struct handshake *h, int err)
{
	h->failed = err;
	return err;
}

static int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000LL + t.tv_nsec / 1000000;
}

/* The connection to ktlsd */

static int connect_service(struct handshake *h, const char *path, unsigned int ms)
{
	struct timeval patience = { .tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000 };
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	if (strlen(path) >= sizeof(address.sun_path))
		return fail(h, -EINVAL, "the path %.64s... is too long for a socket", path);
	strcpy(address.sun_path, path);
	h->service = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (h->service < 0)
		return fail(h, -errno, "could not make a socket: %s", strerror(errno));
	/* It may have many to serve. */
	setsockopt(h->service, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	if (!connect(h->service, (struct sockaddr *)&address, sizeof(address)))
		return 0;
	switch (errno) {
	case ENOENT:
	case ECONNREFUSED:
		return fail(h, -ECONNREFUSED,
			    "ktlsd does not answer at %s: it does not run, or has no service in ktlsd.conf",
			    path);
	case EACCES:
	case EPERM:
		return fail(h, -EACCES,
			    "this user may not connect to %s; see handshake-group in ktlsd.conf(5)",
			    path);
	case EAGAIN:
		return fail(h, -ETIMEDOUT, "ktlsd is too busy: %s was not accepted",
			    path);
	default:
		return fail(h, -errno, "could not connect to %s: %s", path,
			    strerror(errno));
	}
}

static int send_message(struct handshake *h, const void *message, size_t len)
{
	union {
		char bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = { .align = {
		.cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS,
		.cmsg_len = CMSG_LEN(sizeof(int)),
	} };
	struct iovec iov = { (void *)message, len };
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = &control, .msg_controllen = sizeof(control.bytes),
	};
	ssize_t n;

	memcpy(CMSG_DATA(&control.align), &h->fd, sizeof(h->fd));
	do
		n = sendmsg(h->service, &msg, MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : 0;
}

/* Returns the bytes of an answer in @h->message, or a negative errno. */
static ssize_t receive_message(struct handshake *h, unsigned int ms)
{
	struct pollfd p = { .fd = h->service, .events = POLLIN };
	int64_t until = now_ms() + ms, left;
	ssize_t n;
	int ret;

	do {
		left = until - now_ms();
		ret = poll(&p, 1, left < 0 ? 0 : left > INT_MAX ? INT_MAX : (int)left);
	} while (ret < 0 && errno == EINTR);
	if (ret <= 0)
		return ret ? -errno : -ETIMEDOUT;
	h->message = malloc(KTLS_WIRE_ANSWER_MAX);
	if (!h->message)
		return -ENOMEM;
	do
		n = recv(h->service, h->message, KTLS_WIRE_ANSWER_MAX, MSG_TRUNC);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	if (n > KTLS_WIRE_ANSWER_MAX)
		return -EBADMSG;
	/* Most are short, and are kept for long. */
	if (n) {
		uint8_t *less = realloc(h->message, n);

		if (less)
			h->message = less;
	}
	return n ?: -ECONNRESET;
}

/* One message and its answer. */
static int converse(struct handshake *h, const struct ktls_wire_request *request,
		    enum ktls_wire_type answer, unsigned int ms)
{
	uint8_t buffer[KTLS_WIRE_REQUEST_MAX];
	ssize_t len;
	int err;

	len = ktls_wire_write_request(buffer, sizeof(buffer), request);
	if (len < 0)
		return fail(h, len, "what is asked for is too long");
	err = send_message(h, buffer, len);
	if (err == -EBADF)
		return fail(h, err, "%d is no descriptor", h->fd);
	/* It may have been refused already, with the reason in an answer. */
	if (err && err != -EPIPE && err != -ECONNRESET)
		return fail(h, err, "could not speak to ktlsd: %s", strerror(-err));
	len = receive_message(h, ms);
	h->begun = 1;
	if (len == -ECONNRESET)
		return fail(h, len, "ktlsd ended while it was at it; see its log");
	if (len < 0)
		return fail(h, len, "ktlsd did not answer: %s", strerror(-len));
	h->begun = 0;
	err = ktls_handshake_read_answer(h, len, answer);
	if (err) {
		h->begun = 1;
		return fail(h, err, err == -EPROTONOSUPPORT ?
			    "ktlsd is of another version than libktls; install the same" :
			    "the answer of ktlsd makes no sense: %s", strerror(-err));
	}
	if (h->error)
		return fail(h, h->error, "%s", h->sentence ?: strerror(-h->error));
	return 0;
}

/* The handshake */

static int copy(struct handshake *h, char *to, size_t room, const char *from,
		const char *what)
{
	if (!from)
		return 0;
	if (strlen(from) >= room)
		return fail(h, -EINVAL, "the name of the %s is too long: at most %zu bytes",
			    what, room - 1);
	strcpy(to, from);
	return 0;
}

static int copy_protocols(struct handshake *h, struct ktls_wire_request *w,
			  const char *const *name)
{
	size_t len;

	for (; name && *name; name++) {
		len = strlen(*name);
		if (!len || len > 255 || len + 1 > sizeof(w->alpn) - w->alpn_len)
			return fail(h, -EINVAL,
				    "names of ALPN have 1 to 255 bytes, and %zu together",
				    sizeof(w->alpn));
		w->alpn[w->alpn_len++] = len;
		memcpy(w->alpn + w->alpn_len, *name, len);
		w->alpn_len += len;
	}
	return 0;
}

int ktls_handshake(int fd, const struct ktls_handshake_request *request,
		   struct ktls_handshake **handshake)
{
	struct ktls_wire_request w = { .type = KTLS_WIRE_REQUEST };
	struct handshake *h = calloc(1, sizeof(*h));
	unsigned int ms = request->timeout ?: TIMEOUT_MS;
	int err;

	*handshake = (struct ktls_handshake *)h;
	if (!h)
		return -ENOMEM;
	h->fd = fd;
	h->service = -1;
	w.timeout = request->timeout;
	if (!request->service || !*request->service) {
		err = fail(h, -EINVAL, "no service is named; name a section of ktlsd.conf");
		return end(h, err);
	}
	err = copy(h, w.service, sizeof(w.service), request->service, "service");
	if (!err)
		err = copy(h, w.server_name, sizeof(w.server_name),
			   request->server_name, "server");
	if (!err)
		err = copy_protocols(h, &w, request->alpn);
	if (!err)
		err = connect_service(h, request->path ?: KTLS_WIRE_PATH, ms);
	if (!err)
		err = converse(h, &w, KTLS_WIRE_RESULT, ms > UINT_MAX - SLACK_MS ?
			       UINT_MAX : ms + SLACK_MS);
	if (err) {
		/* Who overlooks that would go on in clear. */
		if (h->begun)
			shutdown(fd, SHUT_RDWR);
		return end(h, err);
	}
	h->post.server = h->server;
	h->post.tls13 = h->version == KTLS_VERSION_TLS_1_3;
	return 0;
}

void ktls_handshake_free(struct ktls_handshake *handshake)
{
	struct handshake *h = of(handshake);

	if (!h)
		return;
	if (h->service >= 0)
		close(h->service);
	ktls_handshake_forget_answer(h);
	free(h);
}

const char *ktls_handshake_strerror(const struct ktls_handshake *handshake)
{
	const struct handshake *h = (const struct handshake *)handshake;

	if (!h)
		return "out of memory";
	return *h->why ? h->why : "no error";
}

/* Afterwards */

/* Has ktlsd set the next key of a direction. */
static int set_next_key(struct handshake *h, unsigned int direction)
{
	const struct ktls_wire_request w = {
		.type = KTLS_WIRE_REKEY, .direction = direction,
	};
	struct handshake answer = { .fd = h->fd, .service = h->service };
	int err = converse(&answer, &w, KTLS_WIRE_REKEYED, REKEY_MS);

	ktls_handshake_forget_answer(&answer);
	if (err == -ECONNRESET)
		return fail(h, -EOPNOTSUPP,
			    "there is a new key, and ktlsd, which had the next, is gone");
	if (err)
		memcpy(h->why, answer.why, sizeof(h->why));
	return err;
}

/* What is owed to the peer.  -EAGAIN: later. */
static int pay(struct handshake *h, int flags)
{
	uint8_t message[KTLS_KEY_UPDATE_LEN];
	int err;

	if (h->owes_no_renegotiation) {
		err = ktls_send_alert(h->fd, KTLS_ALERT_NO_RENEGOTIATION, flags);
		if (err)
			return err;
		h->owes_no_renegotiation = false;
	}
	/* Behind the end nothing is to be sent any more. */
	if (!h->owes_key_update || h->said_end)
		return 0;
	ktls_key_update_message(message, false);
	err = ktls_send_record(h->fd, KTLS_RECORD_HANDSHAKE, message,
			       sizeof(message), flags);
	if (err)
		return err;
	h->owes_key_update = false;
	err = set_next_key(h, KTLS_DIRECTION_TX);
	return err ? end(h, err) : 0;
}

int ktls_handshake_rekey(struct ktls_handshake *handshake, bool request)
{
	struct handshake *h = of(handshake);
	uint8_t message[KTLS_KEY_UPDATE_LEN];
	int err;

	if (h->failed)
		return h->failed;
	if (!h->post.tls13)
		return fail(h, -EOPNOTSUPP, "TLS 1.2 has no new keys");
	if (h->said_end)
		return fail(h, -EPIPE, "after the end there is nothing to encrypt");
	ktls_key_update_message(message, request);
	err = ktls_send_record(h->fd, KTLS_RECORD_HANDSHAKE, message,
			       sizeof(message), 0);
	if (err)
		return fail(h, err, "could not send: %s", strerror(-err));
	/* That answers the peer, too. */
	h->owes_key_update = false;
	err = set_next_key(h, KTLS_DIRECTION_TX);
	return err ? end(h, err) : 0;
}

ssize_t ktls_send_data(struct ktls_handshake *handshake, const void *buffer,
		       size_t len, int flags)
{
	struct handshake *h = of(handshake);
	ssize_t n;
	int err;

	if (h->failed)
		return h->failed;
	if (h->said_end)
		return fail(h, -EPIPE, "it was ended with ktls_shutdown()");
	err = pay(h, flags & MSG_DONTWAIT);
	if (err)
		return err;
	do
		n = send(h->fd, buffer, len, flags | MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	return n < 0 ? fail(h, -errno, "could not send: %s", strerror(errno)) : n;
}

/* The peer did what cannot be gone on with. */
static int give_up(struct handshake *h, int alert, int err)
{
	if (!h->said_end)
		ktls_send_alert(h->fd, alert, MSG_DONTWAIT);
	h->said_end = true;
	return end(h, err);
}

/* A record that is no data.  Returns 0 to go on. */
static int see_record(struct handshake *h, uint8_t type, const uint8_t *content,
		      size_t len)
{
	int events = ktls_post_handshake_read(&h->post, type, content, len), err;

	if (events < 0) {
		fail(h, 0, "the other end sent what does not belong here");
		return give_up(h, -events, -EPROTO);
	}
	if (events & KTLS_POST_ALERT) {
		fail(h, 0, "the other end sent the alert %u", h->post.alert);
		h->said_end = true;
		return end(h, -ECONNABORTED);
	}
	if (events & KTLS_POST_END) {
		h->ended = true;
		return 0;
	}
	h->owes_key_update |= !!(events & KTLS_POST_KEY_WANTED);
	h->owes_no_renegotiation |= !!(events & KTLS_POST_RENEGOTIATION);
	if (events & KTLS_POST_KEY_UPDATE) {
		err = set_next_key(h, KTLS_DIRECTION_RX);
		if (err)
			return give_up(h, KTLS_ALERT_CLOSE_NOTIFY, err);
	}
	return 0;
}

static ssize_t receive_failed(struct handshake *h, int err)
{
	if (err == -EAGAIN)
		return err;
	fail(h, 0, err == -EBADMSG ? "a record was forged or damaged" :
	     "could not receive: %s", strerror(-err));
	if (err == -EBADMSG)
		return give_up(h, ALERT_BAD_RECORD_MAC, err);
	return end(h, err);
}

ssize_t ktls_receive_data(struct ktls_handshake *handshake, void *buffer, size_t len,
			  int flags)
{
	struct handshake *h = of(handshake);
	uint8_t spare[RECORD_BYTES], byte, type;
	bool is_small = len < sizeof(spare);
	ssize_t n;
	int err;

	flags &= MSG_DONTWAIT;
	while (!h->ended && !h->failed) {
		/* If there is no room now, or the peer is gone: it has time. */
		pay(h, MSG_DONTWAIT);
		if (h->failed)
			break;
		type = KTLS_RECORD_DATA;
		n = 0;
		/* Alerts and messages are to be had as a whole. */
		if (is_small)
			n = ktls_receive(h->fd, &byte, 1, &type, flags | MSG_PEEK);
		if (n >= 0)
			n = type == KTLS_RECORD_DATA ?
			    ktls_receive(h->fd, buffer, len, &type, flags) :
			    ktls_receive(h->fd, spare, sizeof(spare), &type, flags);
		if (n < 0)
			return receive_failed(h, n);
		if (!type) {
			fail(h, 0, "the stream was cut off: it ended without close_notify");
			return end(h, -EPIPE);
		}
		if (type == KTLS_RECORD_DATA) {
			/* There are empty ones, too. */
			if (n || !len)
				return n;
			continue;
		}
		err = see_record(h, type, is_small ? spare : buffer, n);
		if (err)
			return err;
	}
	return h->failed;
}

int ktls_shutdown(struct ktls_handshake *handshake)
{
	struct handshake *h = of(handshake);
	int err;

	if (!h->said_end && !h->failed) {
		err = pay(h, 0);
		if (!err)
			err = ktls_send_alert(h->fd, KTLS_ALERT_CLOSE_NOTIFY, 0);
		if (err && err != -EPIPE && err != -ECONNRESET && err != -ENOTCONN)
			return fail(h, err, "could not send: %s", strerror(-err));
		h->said_end = true;
	}
	/* The other end may have left as soon as it had said that it ends. */
	if (shutdown(h->fd, SHUT_WR) && errno != ENOTCONN)
		return fail(h, -errno, "could not end it: %s", strerror(errno));
	return h->failed;
}
