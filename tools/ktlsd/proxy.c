// SPDX-License-Identifier: GPL-2.0-or-later
/* Numbers are as in the protocol's specification, 2.2. */
#include <netinet/in.h>
#include <stdint.h>
#include <string.h>

#include "proxy.h"

#define COMMAND_LOCAL 0x20
#define COMMAND_PROXY 0x21

#define FAMILY_UNKNOWN 0x00
#define FAMILY_TCP4 0x11
#define FAMILY_TCP6 0x21

#define TYPE_ALPN 0x01
#define TYPE_AUTHORITY 0x02
#define TYPE_CRC32C 0x03
#define TYPE_SSL 0x20
#define SUBTYPE_VERSION 0x21
#define SUBTYPE_CN 0x22
#define SUBTYPE_CIPHER 0x23

#define CLIENT_SSL 0x01
#define CLIENT_CERT_CONN 0x02
#define CLIENT_CERT_SESS 0x04

static const char signature[] = "\r\n\r\n\0\r\nQUIT\n";

/* Where what is written goes; what does not fit is counted only. */
struct writer {
	unsigned char *data;
	size_t size;
	size_t len;
};

static void put(struct writer *w, const void *data, size_t len)
{
	if (len && w->len <= w->size && len <= w->size - w->len)
		memcpy(w->data + w->len, data, len);
	w->len += len;
}

static void put_u8(struct writer *w, uint8_t v)
{
	put(w, &v, sizeof(v));
}

static void put_u16(struct writer *w, uint16_t v)
{
	v = htons(v);
	put(w, &v, sizeof(v));
}

static void put_u32(struct writer *w, uint32_t v)
{
	v = htonl(v);
	put(w, &v, sizeof(v));
}

/* Sets what stands at @at, which was written before. */
static void patch(struct writer *w, size_t at, const void *data, size_t len)
{
	if (w->len <= w->size)
		memcpy(w->data + at, data, len);
}

static void put_value(struct writer *w, uint8_t type, const void *data, size_t len)
{
	put_u8(w, type);
	put_u16(w, len);
	put(w, data, len);
}

static void put_string(struct writer *w, uint8_t type, const char *text)
{
	if (text)
		put_value(w, type, text, strlen(text));
}

static void put_ssl(struct writer *w, const struct proxy_client *c)
{
	uint8_t flags = CLIENT_SSL;
	uint16_t len;
	size_t at;

	if (c->certificate)
		flags |= CLIENT_CERT_CONN;
	if (c->certificate || c->session_certificate)
		flags |= CLIENT_CERT_SESS;

	put_u8(w, TYPE_SSL);
	at = w->len;
	put_u16(w, 0);
	put_u8(w, flags);
	/* 0 is a certificate that was verified, and nothing else. */
	put_u32(w, !((flags & CLIENT_CERT_SESS) && c->verified));
	put_string(w, SUBTYPE_VERSION, c->version);
	put_string(w, SUBTYPE_CIPHER, c->cipher);
	put_string(w, SUBTYPE_CN, c->common_name);
	len = htons(w->len - at - sizeof(len));
	patch(w, at, &len, sizeof(len));
}

/* As RFC 4960, appendix B, has it. */
static uint32_t crc32c(const unsigned char *data, size_t len)
{
	uint32_t crc = ~0u;
	int bit;

	while (len--) {
		crc ^= *data++;
		for (bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78 : 0);
	}
	return ~crc;
}

/* A client of IPv4 may come in by a socket of IPv6; its address is still IPv4. */
static bool is_ipv4(const struct sockaddr *address, struct in_addr *in)
{
	const struct sockaddr_in6 *in6 = (const void *)address;

	if (address->sa_family == AF_INET)
		*in = ((const struct sockaddr_in *)address)->sin_addr;
	else if (address->sa_family == AF_INET6 &&
		 IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr))
		memcpy(in, &in6->sin6_addr.s6_addr[12], sizeof(*in));
	else
		return false;
	return true;
}

static in_port_t port_of(const struct sockaddr *address)
{
	if (address->sa_family == AF_INET)
		return ((const struct sockaddr_in *)address)->sin_port;
	return ((const struct sockaddr_in6 *)address)->sin6_port;
}

/* Returns false if there is nothing that the protocol could tell. */
static bool put_addresses(struct writer *w, const struct sockaddr *source,
			  const struct sockaddr *destination)
{
	struct in_addr in[2];
	in_port_t ports[2];

	if (!source || !destination)
		return false;
	if (is_ipv4(source, &in[0]) && is_ipv4(destination, &in[1])) {
		put_u8(w, COMMAND_PROXY);
		put_u8(w, FAMILY_TCP4);
		put_u16(w, 0);
		put(w, in, sizeof(in));
	} else if (source->sa_family == AF_INET6 &&
		   destination->sa_family == AF_INET6) {
		put_u8(w, COMMAND_PROXY);
		put_u8(w, FAMILY_TCP6);
		put_u16(w, 0);
		put(w, &((const struct sockaddr_in6 *)source)->sin6_addr, 16);
		put(w, &((const struct sockaddr_in6 *)destination)->sin6_addr, 16);
	} else {
		return false;
	}
	ports[0] = port_of(source);
	ports[1] = port_of(destination);
	put(w, ports, sizeof(ports));
	return true;
}

size_t proxy_header(const struct proxy_client *client, unsigned char *header,
		    size_t size)
{
	struct writer w = { .data = header, .size = size };
	uint16_t len;
	uint32_t crc;

	put(&w, signature, sizeof(signature) - 1);
	if (!put_addresses(&w, client->source, client->destination)) {
		put_u8(&w, COMMAND_LOCAL);
		put_u8(&w, FAMILY_UNKNOWN);
		put_u16(&w, 0);
		return w.len <= size ? w.len : 0;
	}
	if (client->alpn_len)
		put_value(&w, TYPE_ALPN, client->alpn, client->alpn_len);
	put_string(&w, TYPE_AUTHORITY, client->server_name);
	if (client->version)
		put_ssl(&w, client);
	put_u8(&w, TYPE_CRC32C);
	put_u16(&w, sizeof(crc));
	put_u32(&w, 0);
	if (w.len > size || w.len > UINT16_MAX)
		return 0;

	len = htons(w.len - 16);
	patch(&w, 14, &len, sizeof(len));
	/* Of all of it, with zeros in its own place. */
	crc = htonl(crc32c(header, w.len));
	patch(&w, w.len - sizeof(crc), &crc, sizeof(crc));
	return w.len;
}
