// SPDX-License-Identifier: GPL-2.0-or-later
/* Sockets that listen. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "conf.h"
#include "ktlsd.h"
#include "listen.h"
#include "notify.h"

#define BACKLOG 4096	/* or net.core.somaxconn, if that is less */

static int duplicate(int fd)
{
	return fcntl(fd, F_DUPFD_CLOEXEC, 3);
}

static bool is_listening(int fd)
{
	socklen_t len = sizeof(int);
	int value = 0;

	return !getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &value, &len) && value;
}

/* What systemd has opened for this address, or -1. */
static int find_passed(const struct address *wanted)
{
	struct address address;
	size_t i, count;
	int first;

	notify_sockets(&first, &count);
	for (i = 0; i < count; i++) {
		memset(&address, 0, sizeof(address));
		address.len = sizeof(address.un);
		if (getsockname(first + i, &address.any, &address.len))
			continue;
		if (address_equal(&address, wanted) && is_listening(first + i)) {
			int fd = duplicate(first + i);

			if (fd >= 0)
				fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
			return fd;
		}
	}
	return -1;
}

static int find_old(const struct conf *conf, const struct conf_listener *l,
		    const struct conf *old, const int *old_fds)
{
	size_t i;

	for (i = 0; old && i < old->listeners_count; i++) {
		if (!address_equal(&old->listeners[i].address, &l->address))
			continue;
		/* A file has its group for good. */
		if (l->kind == LISTENER_HANDSHAKE &&
		    old->handshake_gid != conf->handshake_gid)
			return -1;
		return duplicate(old_fds[i]);
	}
	return -1;
}

/*
 * Where programs ask for handshakes.  That there is one ktlsd only is a matter of
 * its control socket: what is there is of one that has ended, or ours and outdated.
 */
static int open_handshake(const struct conf *conf, const struct address *a)
{
	int fd = socket(a->any.sa_family, SOCK_SEQPACKET | SOCK_CLOEXEC |
			SOCK_NONBLOCK, 0);
	mode_t mask;
	int err = 0;

	if (fd < 0)
		return -errno;
	unlink(a->un.sun_path);
	/* Nobody else's, from its begin on; to chown() would take a capability more. */
	mask = umask(conf->handshake_gid ? 0117 : 0177);
	setfsgid(conf->handshake_gid);
	if (bind(fd, &a->any, a->len) || listen(fd, BACKLOG))
		err = -errno;
	setfsgid(getegid());
	umask(mask);
	if (err)
		close(fd);
	return err ?: fd;
}

/* A socket file that nobody listens on any more is in the way. */
static void remove_stale(const struct address *a)
{
	struct stat st;
	int fd;

	if (a->any.sa_family != AF_UNIX || !a->un.sun_path[0] ||
	    lstat(a->un.sun_path, &st) || !S_ISSOCK(st.st_mode))
		return;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd >= 0 && connect(fd, &a->any, a->len) && errno == ECONNREFUSED)
		unlink(a->un.sun_path);
	if (fd >= 0)
		close(fd);
}

static int open_socket(const struct address *a)
{
	int one = 1, only = !address_is_any(a);
	int fd, err;

	fd = socket(a->any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	remove_stale(a);
	if (a->any.sa_family != AF_UNIX)
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (a->any.sa_family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &only, sizeof(only));
	if (bind(fd, &a->any, a->len) || listen(fd, BACKLOG)) {
		err = errno;
		close(fd);
		return -err;
	}
	/* Who may connect is a matter of the directory that it is in. */
	if (a->any.sa_family == AF_UNIX && a->un.sun_path[0])
		chmod(a->un.sun_path, 0666);
	return fd;
}

static int open_new(const struct conf *conf, const struct conf_listener *l)
{
	const struct address *a = &l->address;
	struct address all;
	int fd;

	if (l->kind == LISTENER_HANDSHAKE)
		return open_handshake(conf, a);
	fd = open_socket(a);

	/* A host without IPv6 has IPv4 still. */
	if (fd != -EAFNOSUPPORT || !address_is_any(a))
		return fd;
	memset(&all, 0, sizeof(all));
	all.in.sin_family = AF_INET;
	all.in.sin_port = a->in6.sin6_port;
	all.len = sizeof(all.in);
	return open_socket(&all);
}

static const char *what_to_do(int err)
{
	switch (err) {
	case EADDRINUSE:
		return "; another program listens there, see: ss -ltnp";
	case EADDRNOTAVAIL:
		return "; it is no address of this host, see: ip address";
	case EACCES:
	case EPERM:
		return "; start ktlsd as root, or let systemd open the socket";
	default:
		return "";
	}
}

bool listen_open(const struct conf *conf, int *fds, const struct conf *old,
		 const int *old_fds, FILE *errors)
{
	bool good = true;
	size_t i;

	for (i = 0; i < conf->listeners_count; i++) {
		const struct conf_listener *l = &conf->listeners[i];

		fds[i] = -1;
		if (conf_is_service(l))
			continue;
		fds[i] = find_old(conf, l, old, old_fds);
		if (fds[i] < 0)
			fds[i] = find_passed(&l->address);
		if (fds[i] < 0)
			fds[i] = open_new(conf, l);
		if (fds[i] >= 0)
			continue;
		fprintf(errors, "%s:%u: could not listen on %s: %s%s\n", conf->path,
			l->line, l->address.text, strerror(-fds[i]),
			what_to_do(-fds[i]));
		good = false;
	}
	for (i = 0; !good && i < conf->listeners_count; i++) {
		if (fds[i] >= 0)
			close(fds[i]);
		fds[i] = -1;
	}
	return good;
}

static bool has_address(const struct conf *conf, const struct address *wanted)
{
	size_t i;

	for (i = 0; conf && i < conf->listeners_count; i++)
		if (address_equal(&conf->listeners[i].address, wanted))
			return true;
	return false;
}

/* For all processes that have it, and not only for this one. */
static void stop_listening(const struct address *a, int fd)
{
	int passed = find_passed(a);

	if (passed >= 0) {
		/* It is systemd's, which goes on. */
		close(passed);
		return;
	}
	shutdown(fd, SHUT_RDWR);
	if (a->any.sa_family == AF_UNIX && a->un.sun_path[0])
		unlink(a->un.sun_path);
}

void listen_close(const struct conf *conf, int *fds, const struct conf *kept)
{
	size_t i;

	for (i = 0; i < conf->listeners_count; i++) {
		if (fds[i] < 0)
			continue;
		if (!has_address(kept, &conf->listeners[i].address))
			stop_listening(&conf->listeners[i].address, fds[i]);
		close(fds[i]);
		fds[i] = -1;
	}
}
