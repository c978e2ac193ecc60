// SPDX-License-Identifier: GPL-2.0-or-later
/* Users, privileges and system calls. */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/tls.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <seccomp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ktlsd.h"
#include "privileges.h"
#include "sandbox.h"

#ifndef TCP_ULP
#define TCP_ULP 31
#endif
#ifndef SOL_TLS
#define SOL_TLS 282
#endif

/* An empty directory that nobody can put anything into, as its name is gone. */
static bool leave_files(void)
{
	char path[] = "/tmp/ktlsd.XXXXXX";

	return mkdtemp(path) && !chdir(path) && !rmdir(path) && !chroot(".");
}

bool sandbox_become(const char *user)
{
	if (geteuid() == 0) {
		if (!privileges_drop(user, 1ull << CAP_SYS_CHROOT))
			return false;
		if (!leave_files()) {
			log_line(LOG_ERR, "Cannot leave the file system: %s",
				 strerror(errno));
			return false;
		}
	}
	if (!privileges_drop(user, 0))
		return false;
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)) {
		log_line(LOG_ERR, "Cannot hide memory: %s", strerror(errno));
		return false;
	}
	return true;
}

/* Calls that are harmless with any argument, as they take what is there. */
static const int plain_calls[] = {
	SCMP_SYS(accept4), SCMP_SYS(brk), SCMP_SYS(clock_gettime),
	SCMP_SYS(clock_nanosleep), SCMP_SYS(close), SCMP_SYS(epoll_ctl),
	SCMP_SYS(epoll_pwait), SCMP_SYS(epoll_wait), SCMP_SYS(exit),
	SCMP_SYS(exit_group), SCMP_SYS(fstat), SCMP_SYS(futex),
	SCMP_SYS(getpeername), SCMP_SYS(getpid), SCMP_SYS(getrandom),
	SCMP_SYS(getsockname), SCMP_SYS(getsockopt), SCMP_SYS(gettid),
	SCMP_SYS(gettimeofday), SCMP_SYS(lseek), SCMP_SYS(madvise),
	SCMP_SYS(mremap), SCMP_SYS(munmap), SCMP_SYS(newfstatat),
	SCMP_SYS(pipe2), SCMP_SYS(poll), SCMP_SYS(pread64), SCMP_SYS(read),
	SCMP_SYS(readv), SCMP_SYS(recvfrom), SCMP_SYS(recvmsg),
	SCMP_SYS(restart_syscall), SCMP_SYS(rt_sigaction),
	SCMP_SYS(rt_sigprocmask), SCMP_SYS(rt_sigreturn), SCMP_SYS(sendfile),
	SCMP_SYS(sendto), SCMP_SYS(sendmsg), SCMP_SYS(setitimer),
	SCMP_SYS(shutdown),
	SCMP_SYS(splice), SCMP_SYS(tgkill), SCMP_SYS(write), SCMP_SYS(writev),
#ifdef __SANITIZE_ADDRESS__
	SCMP_SYS(sigaltstack), SCMP_SYS(sched_yield), SCMP_SYS(getrlimit),
	SCMP_SYS(prlimit64), SCMP_SYS(open), SCMP_SYS(openat),
	SCMP_SYS(readlink), SCMP_SYS(set_robust_list), SCMP_SYS(clone),
	SCMP_SYS(wait4), SCMP_SYS(prctl), SCMP_SYS(ptrace),
#endif
};

static const struct option {
	int level;
	int name;
} options[] = {
	{ IPPROTO_TCP, TCP_ULP },
	{ IPPROTO_TCP, TCP_NODELAY },
	{ IPPROTO_TCP, TCP_CORK },
	{ SOL_TLS, TLS_TX },
	{ SOL_TLS, TLS_RX },
	{ SOL_SOCKET, SO_LINGER },
	{ SOL_SOCKET, SO_KEEPALIVE },
	{ SOL_SOCKET, SO_RCVTIMEO },
	{ SOL_SOCKET, SO_SNDTIMEO },
};

static int allow(scmp_filter_ctx filter)
{
	size_t i;
	int err;

	for (i = 0; i < ARRAY_SIZE(plain_calls); i++) {
		err = seccomp_rule_add(filter, SCMP_ACT_ALLOW, plain_calls[i], 0);
		if (err)
			return err;
	}
	for (i = 0; i < ARRAY_SIZE(options); i++) {
		err = seccomp_rule_add(filter, SCMP_ACT_ALLOW,
				       SCMP_SYS(setsockopt), 2,
				       SCMP_A1(SCMP_CMP_EQ, options[i].level),
				       SCMP_A2(SCMP_CMP_EQ, options[i].name));
		if (err)
			return err;
	}
	/* Memory, but none to execute. */
	err = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1,
			       SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
	if (!err)
		err = seccomp_rule_add(filter, SCMP_ACT_ALLOW,
				       SCMP_SYS(mprotect), 1,
					       SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
	/* Of pipes and sockets: flags and sizes. */
	if (!err)
		err = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(fcntl),
				       1, SCMP_A1(SCMP_CMP_EQ, F_SETPIPE_SZ));
	if (!err)
		err = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(fcntl),
				       1, SCMP_A1(SCMP_CMP_EQ, F_GETFL));
	if (!err)
		err = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(fcntl),
				       1, SCMP_A1(SCMP_CMP_EQ, F_SETFL));
	return err;
}

bool sandbox_close(void)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_KILL_PROCESS);
	int err = filter ? allow(filter) : -ENOMEM;

	/* Of all threads. */
	if (!err)
		err = seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1);
	if (!err)
		err = seccomp_load(filter);
	if (err)
		log_line(LOG_ERR, "cannot restrict the system calls: %s",
			 strerror(-err));
	seccomp_release(filter);
	return !err;
}
