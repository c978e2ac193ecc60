// SPDX-License-Identifier: GPL-2.0
/* The least that a reader of sock_diag can do to learn of every TCP socket what
 * kernel TLS and TCP know of it: what ours is measured against. Prints how many
 * have kernel TLS.
 */

#include <err.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static unsigned long ktls;
static unsigned long long bytes;

static void socket_seen(struct nlmsghdr *nlh)
{
	struct inet_diag_msg *msg = NLMSG_DATA(nlh);
	struct rtattr *rta = (struct rtattr *)(msg + 1);
	int len = nlh->nlmsg_len - NLMSG_LENGTH(sizeof(*msg));

	for (; RTA_OK(rta, len); rta = RTA_NEXT(rta, len)) {
		if (rta->rta_type == INET_DIAG_ULP_INFO) {
			ktls++;
		} else if (rta->rta_type == INET_DIAG_INFO) {
			struct tcp_info *info = RTA_DATA(rta);

			bytes += info->tcpi_bytes_acked;
		}
	}
}

int main(void)
{
	struct {
		struct nlmsghdr nlh;
		struct inet_diag_req_v2 req;
	} request = {
		.nlh.nlmsg_len = sizeof(request),
		.nlh.nlmsg_type = SOCK_DIAG_BY_FAMILY,
		.nlh.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP,
		.req.sdiag_family = AF_INET,
		.req.sdiag_protocol = IPPROTO_TCP,
		.req.idiag_ext = 1 << (INET_DIAG_INFO - 1),
		.req.idiag_states = 1 << 1,	/* established */
	};
	static char buf[65536];
	int fd = socket(AF_NETLINK, SOCK_RAW, NETLINK_SOCK_DIAG);

	if (fd < 0 || send(fd, &request, sizeof(request), 0) < 0)
		err(1, "sock_diag");
	for (;;) {
		ssize_t len = recv(fd, buf, sizeof(buf), 0);
		struct nlmsghdr *nlh = (struct nlmsghdr *)buf;

		if (len < 0)
			err(1, "recv");
		for (; NLMSG_OK(nlh, len); nlh = NLMSG_NEXT(nlh, len)) {
			if (nlh->nlmsg_type == NLMSG_DONE) {
				printf("%lu %llu\n", ktls, bytes);
				return 0;
			}
			if (nlh->nlmsg_type == NLMSG_ERROR)
				errx(1, "sock_diag refuses");
			socket_seen(nlh);
		}
	}
}
