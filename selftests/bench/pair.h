/* SPDX-License-Identifier: GPL-2.0 */
/* kTLS connections over loopback, with a fixed key: what is measured here has
 * no secret to keep.
 */
#ifndef _BENCH_PAIR_H
#define _BENCH_PAIR_H

#include <arpa/inet.h>
#include <err.h>
#include <linux/tls.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef SOL_TLS
#define SOL_TLS 282
#endif

static inline int pair_listen(void)
{
	struct sockaddr_in addr = {
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	if (fd < 0 || bind(fd, (struct sockaddr *)&addr, sizeof(addr)) ||
	    listen(fd, 128))
		err(1, "listen");
	return fd;
}

static inline void pair_connect(int listener, int fd[2])
{
	struct sockaddr_in addr;
	socklen_t len = sizeof(addr);

	fd[0] = socket(AF_INET, SOCK_STREAM, 0);
	if (fd[0] < 0 ||
	    getsockname(listener, (struct sockaddr *)&addr, &len) ||
	    connect(fd[0], (struct sockaddr *)&addr, len))
		err(1, "connect");
	fd[1] = accept(listener, NULL, NULL);
	if (fd[1] < 0)
		err(1, "accept");
}

static inline void pair_install(int fd)
{
	struct tls12_crypto_info_aes_gcm_128 key = {
		.info.version = TLS_1_3_VERSION,
		.info.cipher_type = TLS_CIPHER_AES_GCM_128,
		.key = "0123456789abcde",
	};

	if (setsockopt(fd, IPPROTO_TCP, TCP_ULP, "tls", sizeof("tls")) ||
	    setsockopt(fd, SOL_TLS, TLS_TX, &key, sizeof(key)) ||
	    setsockopt(fd, SOL_TLS, TLS_RX, &key, sizeof(key)))
		err(1, "kernel TLS");
}

#endif /* _BENCH_PAIR_H */
