// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Fetches a page over TLS without a TLS library: ktlsd makes the handshake, the kernel
 * does the records.  ktlsd.conf has: service web { role = client }
 *
 *	cc -o https https.c $(pkg-config --cflags --libs libktls)
 *	./https example.org 443
 */
#include <libktls.h>
#include <netdb.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	const struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
	struct ktls_handshake_request request = { .service = "web" };
	struct ktls_handshake *tls;
	struct addrinfo *a;
	char buffer[16384];
	ssize_t n;
	int fd;

	if (argc < 3 || getaddrinfo(argv[1], argv[2], &hints, &a))
		return 2;
	fd = socket(a->ai_family, a->ai_socktype, a->ai_protocol);
	if (fd < 0 || connect(fd, a->ai_addr, a->ai_addrlen))
		return 1;
	request.server_name = argv[1];
	if (!ktls_handshake(fd, &request, &tls)) {
		/* All that is written is encrypted from here on. */
		dprintf(fd, "GET / HTTP/1.0\r\nHost: %s\r\n\r\n", argv[1]);
		while ((n = ktls_receive_data(tls, buffer, sizeof(buffer), 0)) > 0)
			fwrite(buffer, n, 1, stdout);
		if (!n && !ktls_shutdown(tls))
			return 0;
	}
	fprintf(stderr, "%s: %s\n", argv[1], ktls_handshake_strerror(tls));
	return 1;
}
