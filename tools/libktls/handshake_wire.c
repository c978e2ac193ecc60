// SPDX-License-Identifier: LGPL-2.1-or-later
/* Messages of the handshake service: what both ends do with them. */
#include <errno.h>
#include <string.h>

#include "handshake_wire.h"

#define ALIGNED(n) (((n) + 3) & ~(size_t)3)

void ktls_wire_begin(struct ktls_wire_writer *w, void *buffer, size_t room,
		     enum ktls_wire_type type)
{
	struct ktls_wire_header header = {
		.version = KTLS_WIRE_VERSION,
		.type = type,
		.len = sizeof(header),
	};

	*w = (struct ktls_wire_writer){
		.buffer = buffer, .room = room, .len = sizeof(header),
	};
	memcpy(buffer, &header, sizeof(header));
}

bool ktls_wire_put(struct ktls_wire_writer *w, enum ktls_wire_item_type type,
		   const void *data, size_t len)
{
	struct ktls_wire_item item = { .type = type, .len = len };
	uint32_t all;

	if (len > w->room || sizeof(item) + ALIGNED(len) > w->room - w->len)
		return false;
	memcpy(w->buffer + w->len, &item, sizeof(item));
	w->len += sizeof(item);
	memset(w->buffer + w->len, 0, ALIGNED(len));
	if (len)
		memcpy(w->buffer + w->len, data, len);
	w->len += ALIGNED(len);
	all = w->len;
	memcpy(w->buffer + offsetof(struct ktls_wire_header, len), &all,
	       sizeof(all));
	return true;
}

bool ktls_wire_put_text(struct ktls_wire_writer *w, enum ktls_wire_item_type type,
			const char *text)
{
	return ktls_wire_put(w, type, text, strlen(text) + 1);
}

bool ktls_wire_put_number(struct ktls_wire_writer *w,
			  enum ktls_wire_item_type type, uint32_t number)
{
	return ktls_wire_put(w, type, &number, sizeof(number));
}

int ktls_wire_open(struct ktls_wire_reader *r, const void *message, size_t len)
{
	struct ktls_wire_header header;

	if (len < sizeof(header))
		return -EBADMSG;
	memcpy(&header, message, sizeof(header));
	/* What follows may be anything in another version. */
	if (header.version != KTLS_WIRE_VERSION)
		return -EPROTONOSUPPORT;
	if (header.len != len || !header.type)
		return -EBADMSG;
	r->next = (const uint8_t *)message + sizeof(header);
	r->left = len - sizeof(header);
	return header.type;
}

int ktls_wire_next(struct ktls_wire_reader *r, struct ktls_wire_item *item,
		   const void **data)
{
	if (!r->left)
		return 0;
	if (r->left < sizeof(*item))
		return -EBADMSG;
	memcpy(item, r->next, sizeof(*item));
	r->next += sizeof(*item);
	r->left -= sizeof(*item);
	if (item->len > r->left || ALIGNED(item->len) > r->left)
		return -EBADMSG;
	*data = r->next;
	r->next += ALIGNED(item->len);
	r->left -= ALIGNED(item->len);
	return 1;
}

bool ktls_wire_is_text(const struct ktls_wire_item *item, const void *data)
{
	return item->len && memchr(data, '\0', item->len) ==
	       (const char *)data + item->len - 1;
}

bool ktls_wire_get_number(const struct ktls_wire_item *item, const void *data,
			  uint32_t *number)
{
	if (item->len != sizeof(*number))
		return false;
	memcpy(number, data, sizeof(*number));
	return true;
}

/* Requests */

ssize_t ktls_wire_write_request(void *buffer, size_t room,
				const struct ktls_wire_request *q)
{
	struct ktls_wire_writer w;
	bool good = true;
	uint32_t i;

	ktls_wire_begin(&w, buffer, room, q->type);
	if (q->type == KTLS_WIRE_REKEY)
		good = ktls_wire_put_number(&w, KTLS_WIRE_DIRECTION, q->direction);
	if (*q->service)
		good = good && ktls_wire_put_text(&w, KTLS_WIRE_SERVICE, q->service);
	if (*q->server_name)
		good = good && ktls_wire_put_text(&w, KTLS_WIRE_SERVER_NAME,
						  q->server_name);
	if (q->timeout)
		good = good && ktls_wire_put_number(&w, KTLS_WIRE_TIMEOUT,
						    q->timeout);
	for (i = 0; good && i < q->alpn_len; i += 1 + q->alpn[i]) {
		char name[256] = "";

		memcpy(name, q->alpn + i + 1, q->alpn[i]);
		good = ktls_wire_put_text(&w, KTLS_WIRE_ALPN, name);
	}
	return good ? (ssize_t)w.len : -EINVAL;
}

static bool read_text(const struct ktls_wire_item *item, const void *data, char *to,
		      size_t room)
{
	/* A second one would not be the one that was meant. */
	if (!ktls_wire_is_text(item, data) || item->len > room || *to)
		return false;
	memcpy(to, data, item->len);
	return true;
}

static bool add_protocol(const struct ktls_wire_item *item, const void *data,
			 struct ktls_wire_request *q)
{
	size_t len = item->len - 1;	/* without the NUL */

	if (!ktls_wire_is_text(item, data) || !len || len > 255 ||
	    len + 1 > sizeof(q->alpn) - q->alpn_len)
		return false;
	q->alpn[q->alpn_len++] = len;
	memcpy(q->alpn + q->alpn_len, data, len);
	q->alpn_len += len;
	return true;
}

int ktls_wire_read_request(const void *message, size_t len,
			   struct ktls_wire_request *q)
{
	struct ktls_wire_reader r;
	struct ktls_wire_item item;
	bool good = true;
	const void *data;
	int ret;

	memset(q, 0, sizeof(*q));
	ret = ktls_wire_open(&r, message, len);
	if (ret < 0)
		return ret;
	if (ret != KTLS_WIRE_REQUEST && ret != KTLS_WIRE_REKEY)
		return -EBADMSG;
	q->type = ret;
	while (good && (ret = ktls_wire_next(&r, &item, &data)) > 0) {
		switch (item.type) {
		case KTLS_WIRE_SERVICE:
			good = read_text(&item, data, q->service,
					 sizeof(q->service));
			break;
		case KTLS_WIRE_SERVER_NAME:
			good = read_text(&item, data, q->server_name,
					 sizeof(q->server_name));
			break;
		case KTLS_WIRE_ALPN:
			good = add_protocol(&item, data, q);
			break;
		case KTLS_WIRE_TIMEOUT:
			good = ktls_wire_get_number(&item, data, &q->timeout);
			break;
		case KTLS_WIRE_DIRECTION:
			good = ktls_wire_get_number(&item, data, &q->direction);
			break;
		}
	}
	return good ? ret : -EBADMSG;
}
