// SPDX-License-Identifier: GPL-2.0
/* A load on a server that ends TLS in front of another one, and that other one.
 *
 * usage: relay_load backend PORT
 *	  relay_load bulk|small|connect|idle PORT COUNT
 *
 * backend answers each request, which is a number and a newline, with as many
 * bytes. bulk asks once for COUNT MiB, small COUNT times for 1 KiB, connect
 * makes COUNT connections with a request of 1 byte on each, one after the other.
 * idle holds COUNT connections, says "ready" and waits for its standard input.
 */

#include <arpa/inet.h>
#include <err.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

static const struct sockaddr_in *address(const char *port)
{
	static struct sockaddr_in addr = { .sin_family = AF_INET };

	addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	addr.sin_port = htons(atoi(port));
	return &addr;
}

/* The backend */

static void *answer(void *arg)
{
	static char bytes[65536];
	int fd = (int)(long)arg;
	char request[32];
	size_t n = 0, left;
	ssize_t got;

	while (n < sizeof(request) - 1 && (got = recv(fd, request + n, 1, 0)) == 1) {
		if (request[n++] != '\n')
			continue;
		for (left = strtoull(request, NULL, 10); left; left -= got) {
			got = send(fd, bytes, left < sizeof(bytes) ? left :
				   sizeof(bytes), MSG_NOSIGNAL);
			if (got <= 0)
				goto out;
		}
		n = 0;
	}
out:
	close(fd);
	return NULL;
}

static void serve(const char *port)
{
	int listener = socket(AF_INET, SOCK_STREAM, 0), fd;
	const int on = 1;
	pthread_t thread;

	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(listener, (void *)address(port), sizeof(struct sockaddr_in)) ||
	    listen(listener, 1024))
		err(1, "port %s", port);
	while ((fd = accept(listener, NULL, NULL)) >= 0) {
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
		if (pthread_create(&thread, NULL, answer, (void *)(long)fd))
			err(1, "thread");
		pthread_detach(thread);
	}
	err(1, "accept");
}

/* The load */

static SSL *connect_to(SSL_CTX *ctx, const char *port)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	const int on = 1;
	SSL *ssl;

	if (connect(fd, (void *)address(port), sizeof(struct sockaddr_in)))
		err(1, "port %s", port);
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	ssl = SSL_new(ctx);
	if (!ssl || !SSL_set_fd(ssl, fd) || SSL_connect(ssl) != 1)
		errx(1, "port %s: no handshake", port);
	return ssl;
}

static void ask(SSL *ssl, size_t bytes)
{
	static char buffer[16384];
	size_t n;

	n = snprintf(buffer, sizeof(buffer), "%zu\n", bytes);
	if (!SSL_write_ex(ssl, buffer, n, &n))
		errx(1, "the connection ended");
	while (bytes) {
		if (!SSL_read_ex(ssl, buffer, sizeof(buffer), &n))
			errx(1, "%zu bytes are missing", bytes);
		bytes -= n;
	}
}

static void end(SSL *ssl)
{
	int fd = SSL_get_fd(ssl);

	SSL_shutdown(ssl);
	SSL_free(ssl);
	close(fd);
}

int main(int argc, char **argv)
{
	struct rlimit limit;
	size_t i, count;
	SSL_CTX *ctx;
	SSL *ssl;

	signal(SIGPIPE, SIG_IGN);
	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	if (argc == 3 && !strcmp(argv[1], "backend"))
		serve(argv[2]);
	if (argc != 4)
		errx(2, "usage: backend PORT | bulk|small|connect|idle PORT COUNT");
	count = atoi(argv[3]);
	ctx = SSL_CTX_new(TLS_client_method());
	if (!ctx || !SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION) ||
	    !SSL_CTX_set_ciphersuites(ctx, "TLS_AES_128_GCM_SHA256") ||
	    !SSL_CTX_set1_groups_list(ctx, "X25519"))
		errx(1, "no TLS 1.3");
	if (!strcmp(argv[1], "bulk")) {
		ssl = connect_to(ctx, argv[2]);
		ask(ssl, count << 20);
		end(ssl);
	} else if (!strcmp(argv[1], "small")) {
		ssl = connect_to(ctx, argv[2]);
		for (i = 0; i < count; i++)
			ask(ssl, 1024);
		end(ssl);
	} else if (!strcmp(argv[1], "connect")) {
		for (i = 0; i < count; i++) {
			ssl = connect_to(ctx, argv[2]);
			ask(ssl, 1);
			end(ssl);
		}
	} else {
		for (i = 0; i < count; i++)
			ask(connect_to(ctx, argv[2]), 1);
		puts("ready");
		fflush(stdout);
		getchar();
	}
	return 0;
}
