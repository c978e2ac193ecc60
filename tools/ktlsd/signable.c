// SPDX-License-Identifier: GPL-2.0-or-later
/* What TLS signs, told from anything else that a key could be misused for. */
#include <stdbool.h>
#include <string.h>

#include "ktlsd.h"
#include "signable.h"

/* RFC 8446, 4.4.3. */
static bool is_verify_1_3(const uint8_t *content, size_t len)
{
	static const char server[] = "TLS 1.3, server CertificateVerify";
	static const char client[] = "TLS 1.3, client CertificateVerify";
	size_t i;

	_Static_assert(sizeof(server) == sizeof(client), "of the same length");
	/* SHA-256 or SHA-384 of the handshake, behind the NUL of the text. */
	if (len != 64 + sizeof(server) + 32 && len != 64 + sizeof(server) + 48)
		return false;
	for (i = 0; i < 64; i++) {
		if (content[i] != ' ')
			return false;
	}
	return !memcmp(content + 64, server, sizeof(server)) ||
	       !memcmp(content + 64, client, sizeof(client));
}

/*
 * RFC 8422, 5.4: two randoms, which may be anything, a named curve and a point of it.
 */
static bool is_key_exchange(const uint8_t *content, size_t len)
{
	static const struct {
		uint16_t curve;
		uint8_t len;
		bool uncompressed;
	} curves[] = {
		{ 23, 65, true },	/* P-256 */
		{ 24, 97, true },	/* P-384 */
		{ 25, 133, true },	/* P-521 */
		{ 26, 65, true },	/* Brainpool, 256 bits */
		{ 27, 97, true },	/* 384 */
		{ 28, 129, true },	/* 512 */
		{ 29, 32, false },	/* X25519 */
		{ 30, 56, false },	/* X448 */
	};
	const uint8_t *params = content + 64;
	size_t i;

	if (len < 64 + 5 || params[0] != 3)
		return false;
	for (i = 0; i < ARRAY_SIZE(curves); i++) {
		if (curves[i].curve == (params[1] << 8 | params[2]))
			return params[3] == curves[i].len &&
			       len == 64u + 4 + curves[i].len &&
			       (!curves[i].uncompressed || params[4] == 4);
	}
	return false;
}

/*
 * RFC 5246, 7.4.8: all handshake messages from ClientHello to ClientKeyExchange.
 */
static bool is_verify_1_2(const uint8_t *content, size_t len)
{
	enum {
		CLIENT_HELLO = 1,
		SERVER_HELLO = 2,
		CERTIFICATE = 11,
		SERVER_KEY_EXCHANGE = 12,
		CERTIFICATE_REQUEST = 13,
		SERVER_HELLO_DONE = 14,
		CLIENT_KEY_EXCHANGE = 16,
		CERTIFICATE_STATUS = 22,
	};
	size_t at = 0, size, count = 0;
	uint8_t type = 0;

	while (at < len) {
		if (len - at < 4)
			return false;
		type = content[at];
		size = content[at + 1] << 16 | content[at + 2] << 8 |
		       content[at + 3];
		at += 4;
		if (size > len - at)
			return false;
		switch (type) {
		case CLIENT_HELLO:
		case SERVER_HELLO:
			/* The first and the second; both begin with 3.3. */
			if (count != type - 1u || size < 34 ||
			    content[at] != 3 || content[at + 1] != 3)
				return false;
			break;
		case CERTIFICATE:
		case SERVER_KEY_EXCHANGE:
		case CERTIFICATE_REQUEST:
		case SERVER_HELLO_DONE:
		case CERTIFICATE_STATUS:
			if (count < 2)
				return false;
			break;
		case CLIENT_KEY_EXCHANGE:
			return count > 2 && at + size == len;
		default:
			return false;
		}
		at += size;
		count++;
	}
	return false;
}

enum signable signable(const uint8_t *content, size_t len)
{
	if (is_verify_1_3(content, len))
		return SIGNABLE_TLS_1_3;
	if (is_key_exchange(content, len) || is_verify_1_2(content, len))
		return SIGNABLE_TLS_1_2;
	return SIGNABLE_NOT;
}
