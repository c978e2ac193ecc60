// SPDX-License-Identifier: GPL-2.0-or-later
/* Has the kernel load its tls module. */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ktlsd.h"
#include "tls_load.h"

/* Only a connected socket takes an upper protocol.  Returns 0 or an errno. */
static int try_ulp(void)
{
	struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	int server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	socklen_t len = sizeof(address);
	int err = 0;

	if (server < 0 || client < 0 ||
	    bind(server, (struct sockaddr *)&address, sizeof(address)) ||
	    listen(server, 1) ||
	    getsockname(server, (struct sockaddr *)&address, &len) ||
	    connect(client, (struct sockaddr *)&address, sizeof(address)) ||
	    setsockopt(client, SOL_TCP, TCP_ULP, "tls", sizeof("tls")))
		err = errno;
	if (server >= 0)
		close(server);
	if (client >= 0)
		close(client);
	return err;
}

static void modprobe(void)
{
	pid_t pid = fork();
	int status;

	if (!pid) {
		execl("/sbin/modprobe", "modprobe", "-q", "tls", NULL);
		_exit(127);
	}
	while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
}

bool tls_load(void)
{
	int err = try_ulp();

	if (err == ENOENT && !geteuid()) {
		modprobe();
		err = try_ulp();
	}
	if (!err)
		return true;
	log_line(LOG_WARNING,
		 "the kernel offers no tls: %s%s; connections stay in user space, for more type: ktlsctl doctor",
		 strerror(err), err == ENOENT ? " (try: modprobe tls)" : "");
	return false;
}
