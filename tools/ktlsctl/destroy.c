// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * To end connections that are not ours: SOCK_DESTROY, as ss -K does.
 *
 * The kernel looks for a connection by its ends and the device it is bound to,
 * which the table of kTLS sockets does not have, and compares the cookie then.
 * So sock_diag is asked for all connections first, and those with one of the
 * cookies are ended, with what it said of them.
 */
#include <errno.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "sock_diag.h"

struct target {
	uint8_t family;
	struct inet_diag_sockid id;
};

struct destroy {
	struct diag diag;
	const struct sockets *sockets;
	struct target *targets;
	size_t count;
};

static void keep_target(const struct inet_diag_msg *m, size_t len, void *arg)
{
	struct destroy *d = arg;

	(void)len;
	if (!find_socket(d->sockets, diag_cookie(&m->id)) ||
	    d->count == d->sockets->count)
		return;
	d->targets[d->count].family = m->idiag_family;
	d->targets[d->count++].id = m->id;
}

static int find_targets(struct destroy *d, uint8_t family)
{
	const struct inet_diag_req_v2 req = {
		.sdiag_family = family,
		.sdiag_protocol = IPPROTO_TCP,
		.idiag_states = ~0u,
	};

	return diag_ask(&d->diag, SOCK_DIAG_BY_FAMILY, NLM_F_DUMP, &req,
			keep_target, d);
}

static int destroy(struct destroy *d, const struct target *t)
{
	const struct inet_diag_req_v2 req = {
		.sdiag_family = t->family,
		.sdiag_protocol = IPPROTO_TCP,
		.idiag_states = ~0u,
		.id = t->id,
	};

	return diag_ask(&d->diag, SOCK_DESTROY, NLM_F_ACK, &req, NULL, NULL);
}

static enum status end_targets(struct destroy *d, struct destroyed *result)
{
	uint64_t told = monotonic_ns();
	int err, first = 0;
	size_t i;

	for (i = 0; i < d->count; i++) {
		err = destroy(d, &d->targets[i]);
		if (!err) {
			result->ended++;
		} else if (err == -ENOENT || err == -ESTALE) {
			result->gone++;
		} else {
			result->failed++;
			first = first ?: err;
		}
		if (monotonic_ns() - told > 1000000000) {
			note("%zu of %zu sockets done", i + 1, d->count);
			told = monotonic_ns();
		}
	}
	return first ? diag_explain("end a socket", first) : STATUS_OK;
}

enum status destroy_sockets(const struct sockets *sockets,
			    struct destroyed *result)
{
	enum status status;
	struct destroy *d;
	int err;

	*result = (struct destroyed){ 0 };
	if (!sockets->count)
		return STATUS_OK;
	status = enter_netns();
	if (status)
		return status;
	d = calloc(1, sizeof(*d));
	if (!d)
		return error(STATUS_FAILED, "out of memory");
	d->sockets = sockets;
	d->targets = calloc(sockets->count, sizeof(*d->targets));
	d->diag.fd = sock_diag_connect();
	err = !d->targets ? -ENOMEM : d->diag.fd < 0 ? d->diag.fd : 0;
	if (!err)
		err = find_targets(d, AF_INET);
	if (!err)
		err = find_targets(d, AF_INET6);
	if (err) {
		status = diag_explain("list the connections", err);
	} else {
		result->gone = sockets->count - d->count;
		status = end_targets(d, result);
	}
	if (d->diag.fd >= 0)
		close(d->diag.fd);
	free(d->targets);
	free(d);
	return status;
}
