// SPDX-License-Identifier: LGPL-2.1-or-later
/* What ktlsd answered, as programs are told. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "handshake.h"

/* Counts first, and then has room. */
struct lists {
	struct ktls_certificate *certificates;
	const char **dns_names;
	struct ktls_ip_address *addresses;
	size_t certificates_count, dns_names_count, addresses_count;
};

static bool take_text(const struct ktls_wire_item *item, const void *data,
		      const char **to)
{
	if (!ktls_wire_is_text(item, data))
		return false;
	*to = data;
	return true;
}

static bool take_address(const struct ktls_wire_item *item, const void *data,
			 struct lists *l)
{
	size_t n = l->addresses_count++;

	if (item->len != 4 && item->len != 16)
		return false;
	if (!l->addresses)
		return true;
	l->addresses[n].family = item->len == 4 ? AF_INET : AF_INET6;
	memcpy(l->addresses[n].address, data, item->len);
	return true;
}

/* Into the lists that are there, or only counted. */
static bool take_item(struct handshake *h, struct lists *l,
		      const struct ktls_wire_item *item, const void *data)
{
	uint32_t number;
	const char *text;

	switch (item->type) {
	case KTLS_WIRE_ERROR:
		if (!ktls_wire_get_number(item, data, &number) ||
		    (int32_t)number > 0 || (int32_t)number < -4095)
			return false;
		h->error = (int32_t)number;
		return true;
	case KTLS_WIRE_SENTENCE:
		return take_text(item, data, &h->sentence);
	case KTLS_WIRE_TLS_VERSION:
		return ktls_wire_get_number(item, data, &h->version);
	case KTLS_WIRE_CIPHER:
		return take_text(item, data, &h->told.cipher);
	case KTLS_WIRE_ALPN:
		return take_text(item, data, &h->told.alpn);
	case KTLS_WIRE_SERVER_NAME:
		return take_text(item, data, &h->told.server_name);
	case KTLS_WIRE_KERNEL_TX:
		return ktls_wire_get_number(item, data, &h->kernel_tx);
	case KTLS_WIRE_KERNEL_RX:
		return ktls_wire_get_number(item, data, &h->kernel_rx);
	case KTLS_WIRE_VERIFIED:
		return ktls_wire_get_number(item, data, &h->verified);
	case KTLS_WIRE_UNVERIFIED:
		return take_text(item, data, &h->told.unverified);
	case KTLS_WIRE_CUT:
		return ktls_wire_get_number(item, data, &h->cut);
	case KTLS_WIRE_SERVER:
		return ktls_wire_get_number(item, data, &h->server);
	case KTLS_WIRE_BEGUN:
		return ktls_wire_get_number(item, data, &h->begun);
	case KTLS_WIRE_CERTIFICATE:
		if (l->certificates)
			l->certificates[l->certificates_count] =
				(struct ktls_certificate){ data, item->len };
		l->certificates_count++;
		return item->len;
	case KTLS_WIRE_DNS_NAME:
		if (!take_text(item, data, &text))
			return false;
		if (l->dns_names)
			l->dns_names[l->dns_names_count] = text;
		l->dns_names_count++;
		return true;
	case KTLS_WIRE_IP_ADDRESS:
		return take_address(item, data, l);
	}
	return true;
}

static int take_all(struct handshake *h, struct lists *l, size_t len,
		    enum ktls_wire_type type)
{
	struct ktls_wire_reader r;
	struct ktls_wire_item item;
	const void *data;
	int ret;

	l->certificates_count = 0;
	l->dns_names_count = 0;
	l->addresses_count = 0;
	ret = ktls_wire_open(&r, h->message, len);
	if (ret < 0)
		return ret;
	if (ret != (int)type)
		return -EBADMSG;
	while ((ret = ktls_wire_next(&r, &item, &data)) > 0)
		if (!take_item(h, l, &item, data))
			return -EBADMSG;
	return ret;
}

int ktls_handshake_read_answer(struct handshake *h, size_t len,
			       enum ktls_wire_type type)
{
	struct ktls_handshake *t = &h->told;
	struct lists l = { 0 };
	int err;

	err = take_all(h, &l, len, type);
	if (err)
		return err;
	l.certificates = calloc(l.certificates_count + 1, sizeof(*l.certificates));
	l.dns_names = calloc(l.dns_names_count + 1, sizeof(*l.dns_names));
	l.addresses = calloc(l.addresses_count + 1, sizeof(*l.addresses));
	t->certificates = l.certificates;
	t->dns_names = l.dns_names;
	t->ip_addresses = l.addresses;
	if (!l.certificates || !l.dns_names || !l.addresses)
		return -ENOMEM;
	err = take_all(h, &l, len, type);
	t->certificates_count = l.certificates_count;
	t->dns_names_count = l.dns_names_count;
	t->ip_addresses_count = l.addresses_count;
	t->version = h->version;
	t->kernel_tx = h->kernel_tx;
	t->kernel_rx = h->kernel_rx;
	t->verified = h->verified;
	t->names_cut = h->cut;
	return err;
}

void ktls_handshake_forget_answer(struct handshake *h)
{
	free((void *)h->told.certificates);
	free((void *)h->told.dns_names);
	free((void *)h->told.ip_addresses);
	free(h->message);
	memset(&h->told, 0, sizeof(h->told));
	h->message = NULL;
	h->sentence = NULL;
}
