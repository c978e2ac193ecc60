// SPDX-License-Identifier: GPL-2.0-or-later
/* Which network namespace, and what one may see of it. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/capability.h>
#include <linux/netlink.h>
#include <linux/nsfs.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "ktlsctl.h"

/* The file of a namespace as "ip netns" names it, or of a process. */
static enum status open_netns(const char *name, int *fd)
{
	char path[PATH_MAX];
	uint64_t pid;

	if (parse_number(name, INT_MAX, &pid)) {
		snprintf(path, sizeof(path), "/proc/%s/ns/net", name);
		*fd = open(path, O_RDONLY | O_CLOEXEC);
		if (*fd >= 0)
			return STATUS_OK;
		if (errno == ENOENT)
			return error(STATUS_FAILED,
				     "--netns: there is no process %s", name);
		return error(STATUS_FAILED,
			     "--netns: could not open %s: %s", path,
			     strerror(errno));
	}
	if (!*name || strchr(name, '/') || !strcmp(name, ".") ||
	    !strcmp(name, "..") || strlen(name) > NAME_MAX)
		return error(STATUS_USAGE,
			     "--netns takes a name as in \"ip netns list\" or a process id, not \"%s\"",
			     name);
	snprintf(path, sizeof(path), "/run/netns/%s", name);
	*fd = open(path, O_RDONLY | O_CLOEXEC);
	if (*fd >= 0)
		return STATUS_OK;
	if (errno == ENOENT)
		return error(STATUS_FAILED,
			     "--netns: there is no network namespace named \"%s\"; to see which there are, type: ip netns list",
			     name);
	return error(STATUS_FAILED, "--netns: could not open %s: %s", path,
		     strerror(errno));
}

enum status open_read_netns(int *fd)
{
	if (opt.netns)
		return open_netns(opt.netns, fd);
	*fd = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	if (*fd >= 0)
		return STATUS_OK;
	return error(STATUS_FAILED, "could not open /proc/self/ns/net: %s",
		     strerror(errno));
}

enum status open_ktls(struct ktls **ktls)
{
	enum status status;
	int netns = -1;
	int err;

	*ktls = NULL;
	if (opt.netns) {
		status = open_netns(opt.netns, &netns);
		if (status)
			return status;
	}
	err = ktls_open(ktls, netns);
	if (netns >= 0)
		close(netns);
	if (!err)
		return STATUS_OK;
	status = error_ktls(*ktls);
	ktls_close(*ktls);
	*ktls = NULL;
	return status;
}

enum status enter_netns(void)
{
	enum status status;
	int netns, err;

	if (!opt.netns)
		return STATUS_OK;
	status = open_netns(opt.netns, &netns);
	if (status)
		return status;
	err = setns(netns, CLONE_NEWNET) ? errno : 0;
	close(netns);
	if (err == EPERM)
		return error(STATUS_FAILED,
			     "--netns: to enter another network namespace takes CAP_SYS_ADMIN; try it as root");
	if (err)
		return error(STATUS_FAILED,
			     "--netns: could not enter the network namespace: %s",
			     strerror(err));
	return STATUS_OK;
}

struct visit {
	int netns;
	int (*fn)(void *arg);
	void *arg;
	int result;
};

static void *visit(void *arg)
{
	struct visit *v = arg;

	if (v->netns >= 0 && setns(v->netns, CLONE_NEWNET))
		v->result = -errno;
	else
		v->result = v->fn(v->arg);
	return NULL;
}

/* By a thread that ends there, as the way back takes a privilege more. */
int in_netns(int fd, int (*fn)(void *arg), void *arg)
{
	struct visit v = { .netns = fd, .fn = fn, .arg = arg };
	pthread_t thread;
	int err;

	err = pthread_create(&thread, NULL, visit, &v);
	if (err)
		return -err;
	pthread_join(thread, NULL);
	return v.result;
}

int sock_diag_connect(void)
{
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);

	return fd < 0 ? -errno : fd;
}

/*
 * CAP_NET_ADMIN counts in the user namespace that owns the network namespace.
 * The kernel does not show us an owner out of our reach.
 */
bool sees_all_sockets(void)
{
	struct __user_cap_header_struct header = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];
	int netns, owner;

	if (syscall(SYS_capget, &header, data))
		return true;
	if (!(data[0].effective & 1U << CAP_NET_ADMIN))
		return false;
	/* Who got into another one has all capabilities over it. */
	if (opt.netns)
		return true;
	netns = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	if (netns < 0)
		return true;
	owner = ioctl(netns, NS_GET_USERNS);
	close(netns);
	if (owner < 0)
		return errno != EPERM;
	close(owner);
	return true;
}
