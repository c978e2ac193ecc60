// SPDX-License-Identifier: GPL-2.0-or-later
/* Asks the kernel by handing it keys that nobody uses. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <libktls.h>

#include "kernel_ciphers.h"
#include "ktlsd.h"
#include "secrets.h"

/* A connected TCP socket, and its other end. */
static bool make_pair(int ends[2])
{
	struct sockaddr_in addr = {
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	socklen_t len = sizeof(addr);
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	ends[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ends[1] = -1;
	if (listener >= 0 && ends[0] >= 0 &&
	    !bind(listener, (struct sockaddr *)&addr, len) &&
	    !listen(listener, 1) &&
	    !getsockname(listener, (struct sockaddr *)&addr, &len) &&
	    !connect(ends[0], (struct sockaddr *)&addr, len))
		ends[1] = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	if (listener >= 0)
		close(listener);
	if (ends[1] >= 0)
		return true;
	if (ends[0] >= 0)
		close(ends[0]);
	return false;
}

static bool takes(uint16_t version, uint16_t cipher, socklen_t len)
{
	struct kernel_key key = { .info = { version, cipher }, .len = len };
	int ends[2], err;

	if (!make_pair(ends))
		return false;
	err = ktls_attach(ends[0]);
	/* The algorithm is looked for when a key is to be used. */
	if (!err)
		err = ktls_set_key(ends[0], KTLS_DIRECTION_TX, &key, key.len);
	close(ends[0]);
	close(ends[1]);
	/* What a policy says of this key it need not say of others. */
	return !err || err == -EPERM;
}

const struct kernel_ciphers *kernel_ciphers(void)
{
	static const struct {
		uint16_t cipher;
		socklen_t len;
	} ciphers[] = {
		{ TLS_CIPHER_AES_GCM_128,
		  sizeof(struct tls12_crypto_info_aes_gcm_128) },
		{ TLS_CIPHER_AES_GCM_256,
		  sizeof(struct tls12_crypto_info_aes_gcm_256) },
		{ TLS_CIPHER_AES_CCM_128,
		  sizeof(struct tls12_crypto_info_aes_ccm_128) },
		{ TLS_CIPHER_CHACHA20_POLY1305,
		  sizeof(struct tls12_crypto_info_chacha20_poly1305) },
	};
	static const uint16_t versions[] = { TLS_1_2_VERSION, TLS_1_3_VERSION };
	static struct kernel_ciphers known;
	static bool asked;
	size_t v, c;

	if (asked)
		return &known;
	asked = true;
	for (v = 0; v < ARRAY_SIZE(versions); v++) {
		for (c = 0; c < ARRAY_SIZE(ciphers); c++) {
			if (!takes(versions[v], ciphers[c].cipher,
				   ciphers[c].len))
				continue;
			known.list[known.count].version = versions[v];
			known.list[known.count].cipher = ciphers[c].cipher;
			known.count++;
		}
	}
	return &known;
}

bool kernel_ciphers_has(const struct kernel_ciphers *k, uint16_t version,
			uint16_t cipher)
{
	unsigned int i;

	for (i = 0; i < k->count; i++)
		if (k->list[i].version == version && k->list[i].cipher == cipher)
			return true;
	return false;
}
