// SPDX-License-Identifier: GPL-2.0-or-later
/* The handle of libktls, in front of a kernel that is not one. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fake_kernel.h"
#include "libktls.h"
#include "tap.h"

static struct ktls *open_like(const char *like)
{
	struct ktls *k;

	fake_kernel = like;
	if (ktls_open(&k, -1))
		printf("# ktls_open: %s\n", ktls_strerror(k));
	return k;
}

/* What a dump brought. */
struct brought {
	struct ktls *k;
	int count;
	int stop_at;
	uint64_t sum;
	int busy;
};

static int count_socket(const struct ktls_socket *socket, void *arg)
{
	struct brought *b = arg;
	const struct ktls_module *module;

	b->count++;
	b->sum += socket->cookie;
	if (b->k)
		b->busy = ktls_get_module(b->k, &module);
	return b->count == b->stop_at ? 4242 : 0;
}

static int count_totals(const struct ktls_totals *totals, void *arg)
{
	struct brought *b = arg;

	b->count++;
	b->sum += totals->open;
	return 0;
}

static int count_event(const struct ktls_event *event, void *arg)
{
	struct brought *b = arg;

	b->count++;
	b->sum = b->sum * 10 + event->type;
	return b->count == b->stop_at ? 4242 : 0;
}

static void test_open(void)
{
	static const struct {
		const char *like;
		int err;
		const char *says;
	} cases[] = {
		{ "absent", -ENOPKG, "modprobe ktls" },
		{ "version2", -EPROTO, "version 2" },
	};
	const struct ktls_module *module;
	struct ktls *k;
	size_t i;
	int err;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		fake_kernel = cases[i].like;
		err = ktls_open(&k, -1);
		ok(err == cases[i].err && k &&
		   strstr(ktls_strerror(k), cases[i].says),
		   "open, %s: %s", cases[i].like, ktls_strerror(k));
		ok(ktls_get_module(k, &module) == -ENOTCONN && !module,
		   "open, %s: the handle is good for nothing more",
		   cases[i].like);
		ktls_close(k);
	}
	fake_kernel = "";
	err = ktls_open(&k, 1 << 20);
	ok(err == -EBADF, "open, a bad descriptor: %s", ktls_strerror(k));
	ktls_close(k);
	ktls_close(NULL);
	ok(!strcmp(ktls_strerror(NULL), "out of memory"),
	   "no handle: out of memory");
}

static void test_get(void)
{
	static const struct {
		const char *like;
		int err;
		const char *says;
	} cases[] = {
		{ "old", -EOPNOTSUPP, "older than this program" },
		{ "unloaded", -ENOPKG, "modprobe ktls" },
		{ "explained", -EINVAL, "the moon is not full (EINVAL)" },
		{ "truncated", -EBADMSG, "not well formed" },
		{ "short", -EBADMSG, "not well formed" },
		{ "zero", -EBADMSG, "not well formed" },
	};
	const struct ktls_module *module;
	const struct ktls_socket *socket;
	struct ktls *k;
	size_t i;
	int err;

	k = open_like("");
	err = ktls_get_socket(k, 1003, &socket);
	ok(!err && socket->cookie == 1003 && socket->rx.last_error == EBADMSG,
	   "get a socket");
	err = ktls_get_socket(k, 77, &socket);
	ok(err == -ENOENT && !socket && strstr(ktls_strerror(k), "77"),
	   "get: %s", ktls_strerror(k));
	err = ktls_get_module(k, &module);
	ok(!err && module->lost_events == 3, "get the module");
	ktls_close(k);

	k = open_like("reloaded");
	ok(!ktls_get_socket(k, 1001, &socket) && socket->cookie == 1001,
	   "get, when the module was loaded anew");
	ktls_close(k);

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		k = open_like(cases[i].like);
		err = ktls_get_socket(k, 1001, &socket);
		ok(err == cases[i].err && !socket &&
		   strstr(ktls_strerror(k), cases[i].says), "get, %s: %s",
		   cases[i].like, ktls_strerror(k));
		ktls_close(k);
	}
}

static void test_dump(void)
{
	static const struct {
		const char *like;
		int err;
		const char *says;
	} cases[] = {
		{ "truncated", -EBADMSG, "not well formed" },
		{ "short", -EBADMSG, "not well formed" },
		{ "zero", -EBADMSG, "not well formed" },
		{ "interrupted", -EAGAIN, "try again" },
		{ "unfinished", -ENOBUFS, "ENOBUFS" },
		{ "denied", -EPERM, "CAP_NET_ADMIN" },
		{ "noend", 0, "" },
	};
	struct ktls_filter filter = { .match = KTLS_MATCH(CLOSED) };
	struct brought b = { 0 };
	struct ktls *k;
	size_t i;
	int err;

	k = open_like("many");
	ok(!ktls_dump_sockets(k, NULL, count_socket, &b) && b.count == 1000 &&
	   b.sum == 1000 * 1000 + 500500, "dump of 1000 sockets");
	b = (struct brought){ .stop_at = 3 };
	err = ktls_dump_sockets(k, NULL, count_socket, &b);
	ok(err == 4242 && b.count == 3, "a callback ends a dump");
	b = (struct brought){ 0 };
	ok(!ktls_dump_totals(k, count_totals, &b) && b.count == 2 &&
	   b.sum == 8, "nothing of it is left in the way of the next");
	b = (struct brought){ .k = k, .stop_at = 1 };
	ktls_dump_sockets(k, NULL, count_socket, &b);
	ok(b.busy == -EBUSY, "a callback cannot use the handle");
	b = (struct brought){ 0 };
	ok(!ktls_dump_sockets(k, &filter, count_socket, &b) && b.count == 1 &&
	   b.sum == 1005, "the filter reaches the kernel");
	ktls_close(k);

	k = open_like("stray");
	b = (struct brought){ 0 };
	ok(!ktls_dump_sockets(k, NULL, count_socket, &b) && b.count == 4,
	   "answers to other requests are dropped");
	ktls_close(k);

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		k = open_like(cases[i].like);
		b = (struct brought){ 0 };
		err = ktls_dump_sockets(k, NULL, count_socket, &b);
		ok(err == cases[i].err &&
		   (!err || strstr(ktls_strerror(k), cases[i].says)),
		   "dump, %s: %s", cases[i].like, err ? ktls_strerror(k) : "");
		ktls_close(k);
	}
}

static void test_events(void)
{
	struct brought b = { 0 };
	struct pollfd fd;
	struct ktls *k;
	int err;

	k = open_like("");
	ok(ktls_event_fd(k) == -1 &&
	   ktls_dispatch(k, count_event, &b) == -ENOTCONN,
	   "no events without a subscription");
	ok(!ktls_subscribe(k) && !ktls_subscribe(k), "subscribe, twice");
	fd.fd = ktls_event_fd(k);
	fd.events = POLLIN;
	ok(poll(&fd, 1, 1000) == 1, "the descriptor is readable");
	b.stop_at = 1;
	err = ktls_dispatch(k, count_event, &b);
	ok(err == 4242 && b.count == 1, "a callback ends the reading");
	ok(!ktls_dispatch(k, count_event, &b) && b.count == 4 &&
	   b.sum == 4567, "the other events are still there");
	ok(!ktls_dispatch(k, count_event, &b) && b.count == 4,
	   "and then no more");
	ktls_close(k);

	k = open_like("denied");
	err = ktls_subscribe(k);
	ok(err == -EPERM && ktls_event_fd(k) == -1, "subscribe: %s",
	   ktls_strerror(k));
	ktls_close(k);

	k = open_like("lost");
	ktls_subscribe(k);
	err = ktls_dispatch(k, count_event, &b);
	ok(err == -ENOBUFS, "dispatch: %s", ktls_strerror(k));
	b = (struct brought){ 0 };
	ok(!ktls_dispatch(k, count_event, &b) && b.count == 4,
	   "what is left of the events comes then");
	ktls_close(k);

	k = open_like("farewell");
	ktls_subscribe(k);
	b = (struct brought){ 0 };
	err = ktls_dispatch(k, count_event, &b);
	ok(err == -ENOPKG && b.count == 4, "dispatch: %s", ktls_strerror(k));
	ktls_close(k);
}

int main(void)
{
	tap_begin();
	test_open();
	test_get();
	test_dump();
	test_events();
	return tap_end();
}
