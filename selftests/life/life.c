// SPDX-License-Identifier: GPL-2.0
/* What the tests of life and death have in common, see life.h. */

#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "life.h"

#define MODULE	"../../kmod/ktls/ktls.ko"

bool slow_kernel(void)
{
	return !access("/sys/kernel/debug/kmemleak", F_OK);
}

unsigned int scale(const char *variable, unsigned int normal,
		   unsigned int slow)
{
	const char *value = getenv(variable);

	if (value && *value)
		return strtoul(value, NULL, 10);
	return slow_kernel() ? slow : normal;
}

unsigned int unload_limit(void)
{
	return slow_kernel() ? 60000 : 5000;
}

uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000ULL + now.tv_nsec / 1000000;
}

void sleep_ms(unsigned int ms)
{
	struct timespec pause = {
		.tv_sec = ms / 1000,
		.tv_nsec = ms % 1000 * 1000000L,
	};

	nanosleep(&pause, NULL);
}

int module_load(void)
{
	int fd, err = 0;

	fd = open(MODULE, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (syscall(SYS_finit_module, fd, "", 0))
		err = -errno;
	close(fd);

	return err;
}

int module_unload(unsigned int patience, unsigned int *busy_ms,
		  unsigned int *exit_ms)
{
	uint64_t begin = now_ms(), request;
	int err;

	for (;;) {
		request = now_ms();
		err = syscall(SYS_delete_module, "ktls", O_NONBLOCK) ?
		      -errno : 0;
		if (err != -EAGAIN || now_ms() - begin > patience)
			break;
		sleep_ms(1);
	}
	if (busy_ms)
		*busy_ms = now_ms() - begin;
	if (exit_ms)
		*exit_ms = now_ms() - request;

	return err;
}

bool module_loaded(void)
{
	return !access("/sys/module/ktls", F_OK);
}

struct ktls_module module_state(void)
{
	const struct ktls_module *module;
	struct ktls_module copy = {};
	struct ktls *ktls;

	if (!ktls_open(&ktls, -1) && !ktls_get_module(ktls, &module))
		copy = *module;
	ktls_close(ktls);

	return copy;
}

bool kernel_tainted(void)
{
	unsigned long taint = 0;
	FILE *f;

	f = fopen("/proc/sys/kernel/tainted", "r");
	if (!f || fscanf(f, "%lu", &taint) != 1)
		taint = ~0UL;
	if (f)
		fclose(f);

	/* Bad page, died, warned, soft lockup. */
	return taint & (1 << 5 | 1 << 7 | 1 << 9 | 1 << 14);
}

int netns_new(void)
{
	struct ifreq ifr = { .ifr_name = "lo", .ifr_flags = IFF_UP };
	int fd, err = 0;

	if (unshare(CLONE_NEWNET))
		return -errno;
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (ioctl(fd, SIOCSIFFLAGS, &ifr))
		err = -errno;
	close(fd);

	return err;
}

int netns_open(void)
{
	return open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
}

int netns_enter(int netns)
{
	return setns(netns, CLONE_NEWNET) ? -errno : 0;
}

void key_make(struct key *key, uint16_t version, uint16_t cipher,
	      uint8_t seed)
{
	size_t i, seq;

	memset(key, 0, sizeof(*key));
	switch (cipher) {
#define KEY_OF(name, member)						\
	case TLS_CIPHER_##name:						\
		key->len = sizeof(key->member);				\
		seq = (char *)key->member.rec_seq - (char *)key;	\
		break
	KEY_OF(AES_GCM_128, gcm128);
	KEY_OF(AES_GCM_256, gcm256);
	KEY_OF(AES_CCM_128, ccm128);
	KEY_OF(CHACHA20_POLY1305, chacha);
	KEY_OF(SM4_GCM, sm4gcm);
	KEY_OF(SM4_CCM, sm4ccm);
#undef KEY_OF
	default:
		abort();
	}
	/* The number of the first record stands last. */
	for (i = sizeof(key->info); i < seq; i++)
		key->bytes[i] = seed + 37 * i;
	key->info.version = version;
	key->info.cipher_type = cipher;
}

int key_install(int fd, int optname, uint16_t version, uint16_t cipher,
		uint8_t seed)
{
	struct key key;

	key_make(&key, version, cipher, seed);
	if (setsockopt(fd, SOL_TLS, optname, &key, key.len))
		return -errno;

	return 0;
}

int tcp_pair(int fd[2])
{
	struct sockaddr_in addr = {
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	socklen_t len = sizeof(addr);
	int listener, err = 0;

	fd[0] = -1;
	fd[1] = -1;
	listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (listener < 0)
		return -errno;
	if (bind(listener, (void *)&addr, len) || listen(listener, 1) ||
	    getsockname(listener, (void *)&addr, &len))
		goto error;
	fd[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd[0] < 0 || connect(fd[0], (void *)&addr, len))
		goto error;
	fd[1] = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	if (fd[1] >= 0)
		goto out;
error:
	err = -errno;
	if (fd[0] >= 0)
		close(fd[0]);
	fd[0] = -1;
out:
	close(listener);
	return err;
}

int tls_attach(int fd)
{
	if (setsockopt(fd, IPPROTO_TCP, TCP_ULP, "tls", sizeof("tls")))
		return -errno;

	return 0;
}

int tls_arm(const int fd[2], uint16_t version, uint16_t cipher)
{
	int end, err;

	for (end = 0; end < 2; end++) {
		err = tls_attach(fd[end]);
		if (!err)
			err = key_install(fd[end], TLS_TX, version, cipher,
					  end);
		if (!err)
			err = key_install(fd[end], TLS_RX, version, cipher,
					  !end);
		if (err)
			return err;
	}

	return 0;
}

int tls_pair(int fd[2], uint16_t version, uint16_t cipher)
{
	int err = tcp_pair(fd);

	if (err)
		return err;
	err = tls_arm(fd, version, cipher);
	if (err) {
		close(fd[0]);
		close(fd[1]);
		fd[0] = -1;
		fd[1] = -1;
	}

	return err;
}

uint64_t cookie_of(int fd)
{
	uint64_t cookie = 0;
	socklen_t len = sizeof(cookie);

	getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &len);

	return cookie;
}

void close_reset(int fd)
{
	struct linger linger = { .l_onoff = 1 };

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
	close(fd);
}

int send_alert(int fd)
{
	uint8_t alert[2] = { 1, 0 }, buf[CMSG_SPACE(1)] = {};
	struct iovec iov = { .iov_base = alert, .iov_len = sizeof(alert) };
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = buf,
		.msg_controllen = sizeof(buf),
	};
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);

	cmsg->cmsg_level = SOL_TLS;
	cmsg->cmsg_type = TLS_SET_RECORD_TYPE;
	cmsg->cmsg_len = CMSG_LEN(1);
	*CMSG_DATA(cmsg) = 21;

	return sendmsg(fd, &msg, MSG_NOSIGNAL) == 2 ? 0 : -errno;
}

void pattern(uint8_t *buf, size_t len, uint64_t seed, uint64_t position)
{
	size_t i;

	for (i = 0; i < len; i++, position++) {
		uint64_t word = (position / 8 + 1) * 0x9e3779b97f4a7c15ULL;

		buf[i] = (word ^ seed * 0xbf58476d1ce4e5b9ULL) >>
			 position % 8 * 8;
	}
}

bool send_pattern(int fd, size_t len, uint64_t seed, uint64_t *position)
{
	uint8_t buf[16384];

	while (len) {
		size_t want = len < sizeof(buf) ? len : sizeof(buf);
		ssize_t n;

		pattern(buf, want, seed, *position);
		n = send(fd, buf, want, MSG_NOSIGNAL);
		if (n < 0)
			return false;
		*position += n;
		len -= n;
	}

	return true;
}

bool recv_pattern(int fd, size_t len, uint64_t seed, uint64_t *position)
{
	uint8_t buf[16384], want[16384];

	while (len) {
		ssize_t n = recv(fd, buf, len < sizeof(buf) ? len : sizeof(buf),
				 0);

		if (n < 0)
			return false;
		if (n == 0) {
			errno = EPIPE;
			return false;
		}
		pattern(want, n, seed, *position);
		if (memcmp(buf, want, n)) {
			errno = EBADMSG;
			return false;
		}
		*position += n;
		len -= n;
	}

	return true;
}

bool socket_by_cookie(struct ktls *ktls, uint64_t cookie,
		      struct ktls_socket *copy)
{
	const struct ktls_socket *socket;

	if (ktls_get_socket(ktls, cookie, &socket))
		return false;
	*copy = *socket;

	return true;
}

static int cookies_add(const struct ktls_socket *socket, void *arg)
{
	struct cookies *cookies = arg;

	if (cookies->n == cookies->size) {
		cookies->size = cookies->size ? cookies->size * 2 : 1024;
		cookies->cookie = realloc(cookies->cookie, cookies->size *
					  sizeof(*cookies->cookie));
		if (!cookies->cookie)
			abort();
	}
	cookies->cookie[cookies->n++] = socket->cookie;

	return 0;
}

int cookies_dump(struct ktls *ktls, const struct ktls_filter *filter,
		 struct cookies *cookies)
{
	cookies->n = 0;

	return ktls_dump_sockets(ktls, filter, cookies_add, cookies);
}

unsigned int cookies_count(const struct cookies *cookies, uint64_t cookie)
{
	unsigned int count = 0;
	size_t i;

	for (i = 0; i < cookies->n; i++)
		count += cookies->cookie[i] == cookie;

	return count;
}

bool cookies_ascend(const struct cookies *cookies)
{
	size_t i;

	for (i = 1; i < cookies->n; i++)
		if (cookies->cookie[i] <= cookies->cookie[i - 1])
			return false;

	return true;
}

void cookies_free(struct cookies *cookies)
{
	free(cookies->cookie);
	memset(cookies, 0, sizeof(*cookies));
}

int page_open(void **page)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register range = {
		.range.len = getpagesize(),
		.mode = UFFDIO_REGISTER_MODE_MISSING,
	};
	int fd;

	fd = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return -1;
	*page = mmap(NULL, getpagesize(), PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	range.range.start = (uintptr_t)*page;
	if (*page == MAP_FAILED || ioctl(fd, UFFDIO_API, &api) ||
	    ioctl(fd, UFFDIO_REGISTER, &range)) {
		close(fd);
		return -1;
	}

	return fd;
}

bool page_wanted(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	struct uffd_msg msg;

	return poll(&p, 1, 10000) == 1 &&
	       read(fd, &msg, sizeof(msg)) == sizeof(msg);
}

int page_fill(int fd, void *page, const void *bytes, size_t len)
{
	static char content[1 << 16] __attribute__((aligned(4096)));
	struct uffdio_copy copy = {
		.dst = (uintptr_t)page,
		.src = (uintptr_t)content,
		.len = getpagesize(),
	};

	memcpy(content, bytes, len);

	return ioctl(fd, UFFDIO_COPY, &copy) ? -errno : 0;
}
