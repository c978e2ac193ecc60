/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the tests of life and death have in common: the module, namespaces, and
 * pairs of connected sockets with keys.
 */
#ifndef KTLS_LIFE_H
#define KTLS_LIFE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include <linux/tls.h>

#include "libktls.h"

#ifndef SOL_TLS
#define SOL_TLS		282
#endif
#ifndef TCP_ULP
#define TCP_ULP		31
#endif

/* Of the harness: too short for a debug kernel on an emulated processor. */
#undef TEST_TIMEOUT_DEFAULT
#define TEST_TIMEOUT_DEFAULT	150

/* A kernel that checks itself is many times slower: do less there. */
bool slow_kernel(void);
/* A number from the environment, else @normal, or @slow on a slow kernel. */
unsigned int scale(const char *variable, unsigned int normal,
		   unsigned int slow);

/* Longest that an unload may take that nobody holds up, ms. */
unsigned int unload_limit(void);

uint64_t now_ms(void);
void sleep_ms(unsigned int ms);

/* Both return 0 or a negative errno. A module in use (a dump keeps it) is asked
 * again for @patience ms; @busy_ms gets the time of the whole, @exit_ms that of
 * the request that succeeded. Either may be NULL.
 */
int module_load(void);
int module_unload(unsigned int patience, unsigned int *busy_ms,
		  unsigned int *exit_ms);
bool module_loaded(void);
/* The sum over all namespaces cannot be had; this is the caller's. */
struct ktls_module module_state(void);

/* Has the kernel warned or died since it was booted? */
bool kernel_tainted(void);

/* The caller moves to a new network namespace, with its loopback device up. */
int netns_new(void);
int netns_open(void);
int netns_enter(int netns);

/**
 * struct key - what TLS_TX and TLS_RX take
 * @len: size of the member of the union that @cipher wants
 */
struct key {
	union {
		struct tls_crypto_info info;
		struct tls12_crypto_info_aes_gcm_128 gcm128;
		struct tls12_crypto_info_aes_gcm_256 gcm256;
		struct tls12_crypto_info_aes_ccm_128 ccm128;
		struct tls12_crypto_info_chacha20_poly1305 chacha;
		struct tls12_crypto_info_sm4_gcm sm4gcm;
		struct tls12_crypto_info_sm4_ccm sm4ccm;
		uint8_t bytes[64];
	};
	socklen_t len;
};

/* Key, IV and salt follow from the seed; the first record is number 0. */
void key_make(struct key *key, uint16_t version, uint16_t cipher,
	      uint8_t seed);
int key_install(int fd, int optname, uint16_t version, uint16_t cipher,
		uint8_t seed);

/* All return 0 or a negative errno. fd[0] connects to fd[1]. */
int tcp_pair(int fd[2]);
int tls_attach(int fd);
/* Keys for what fd[0] sends and what fd[1] sends, at both ends. */
int tls_arm(const int fd[2], uint16_t version, uint16_t cipher);
int tls_pair(int fd[2], uint16_t version, uint16_t cipher);

uint64_t cookie_of(int fd);
void close_reset(int fd);
int send_alert(int fd);

/* The stream of bytes that a seed makes, from a position on. */
void pattern(uint8_t *buf, size_t len, uint64_t seed, uint64_t position);
/* Send, receive and compare; false, and a reason in errno (EBADMSG: other
 * bytes), if that fails.
 */
bool send_pattern(int fd, size_t len, uint64_t seed, uint64_t *position);
bool recv_pattern(int fd, size_t len, uint64_t seed, uint64_t *position);

/* A page that is not there until it is filled: whoever touches it waits. A
 * descriptor for the other two, or -1.
 */
int page_open(void **page);
/* Does somebody wait for the page? */
bool page_wanted(int fd);
int page_fill(int fd, void *page, const void *bytes, size_t len);

/* A socket by its cookie, copied; false if there is none. */
bool socket_by_cookie(struct ktls *ktls, uint64_t cookie,
		      struct ktls_socket *copy);

/**
 * struct cookies - what a dump saw
 * @cookie: in the order of the dump
 * @n: how many
 * @size: room in @cookie
 */
struct cookies {
	uint64_t *cookie;
	size_t n, size;
};

int cookies_dump(struct ktls *ktls, const struct ktls_filter *filter,
		 struct cookies *cookies);
/* How often a cookie is there. */
unsigned int cookies_count(const struct cookies *cookies, uint64_t cookie);
bool cookies_ascend(const struct cookies *cookies);
void cookies_free(struct cookies *cookies);

#endif /* KTLS_LIFE_H */
