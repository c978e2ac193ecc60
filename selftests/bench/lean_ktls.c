// SPDX-License-Identifier: GPL-2.0
/* As lean_diag.c, but through libktls. */

#include <err.h>
#include <stdio.h>

#include <libktls.h>

static unsigned long ktls;
static unsigned long long bytes;

static int socket_seen(const struct ktls_socket *socket, void *arg)
{
	ktls++;
	bytes += socket->tx.wire_bytes;
	return 0;
}

int main(void)
{
	struct ktls *handle;

	if (ktls_open(&handle, -1) ||
	    ktls_dump_sockets(handle, NULL, socket_seen, NULL))
		errx(1, "%s", ktls_strerror(handle));
	printf("%lu %llu\n", ktls, bytes);
	ktls_close(handle);

	return 0;
}
