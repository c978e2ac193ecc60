// SPDX-License-Identifier: LGPL-2.1-or-later
/* Netlink sockets, also in other network namespaces. */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>

#include "internal.h"

#ifndef SOL_NETLINK
#define SOL_NETLINK 270
#endif

static int connect_here(void)
{
	struct sockaddr_nl addr = { .nl_family = AF_NETLINK };
	const int on = 1;
	int fd, err;

	fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_GENERIC);
	if (fd < 0)
		return -errno;
	if (bind(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0) {
		err = -errno;
		close(fd);
		return err;
	}
	/* Both are older than any kernel that runs the module. */
	setsockopt(fd, SOL_NETLINK, NETLINK_EXT_ACK, &on, sizeof(on));
	setsockopt(fd, SOL_NETLINK, NETLINK_CAP_ACK, &on, sizeof(on));
	return fd;
}

struct there {
	int netns;
	int result;
};

static void *connect_there(void *arg)
{
	struct there *there = arg;

	if (setns(there->netns, CLONE_NEWNET) < 0)
		there->result = -errno;
	else
		there->result = connect_here();
	return NULL;
}

/*
 * The way into another namespace is taken by a thread that ends there: to come
 * back takes a privilege that the way in does not.
 */
int ktls_connect(int netns)
{
	struct there there = { .netns = netns };
	pthread_t thread;
	int err;

	if (netns < 0)
		return connect_here();
	err = pthread_create(&thread, NULL, connect_there, &there);
	if (err)
		return -err;
	pthread_join(thread, NULL);
	return there.result;
}

int ktls_join(int fd, uint32_t group)
{
	if (setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group,
		       sizeof(group)) < 0)
		return -errno;
	return 0;
}
