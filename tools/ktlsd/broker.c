// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The broker connects to backends and opens files for workers, which may do neither:
 * what it hands out is beneath a root or behind a backend of the configuration, so a
 * worker that is not itself any more gets no further than that.
 *
 * It waits for nobody but in epoll_wait(): connects are under way side by side, and
 * a worker that does not take its answers is not listened to until it does.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <netinet/tcp.h>
#include <seccomp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/queue.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "conf.h"
#include "ktlsd.h"
#include "message.h"
#include "privileges.h"
#include "process.h"

#define MSEC 1000000ull
#define CONNECT_TIMEOUT (5000 * MSEC)
#define ANSWER_TIMEOUT (5000 * MSEC)	/* for a worker to take one */
#define RETRY_INTERVAL (10 * MSEC)	/* of a Unix socket whose backlog is full */
#define ALIVE_INTERVAL (10000 * MSEC)
#define WISHES_MAX 1024			/* of a worker, at the same time */
#define MESSAGES_MAX 64			/* of a worker, before others have their turn */
#define OPEN_TRIES 8

#define DIRECTORY_INDEX "index.html"

/* What epoll tells of.  It may do so once more in the turn in which it goes away. */
struct source {
	enum source_kind {
		SOURCE_SUPERVISOR,
		SOURCE_WORKER,
		SOURCE_WISH,
	} kind;
	bool gone;
	SLIST_ENTRY(source) trash;
};

struct worker {
	struct source source;
	unsigned int index;
	int fd;
	unsigned int wishes;
	TAILQ_HEAD(, wish) answers;	/* that it has not taken; otherwise wishes are read */
	uint64_t deadline;		/* for it to take one */
	TAILQ_ENTRY(worker) next;
};

/* A connect that is under way, or an answer that waits. */
struct wish {
	struct source source;
	struct worker *worker;
	uint64_t tag;
	const struct address *to;
	int fd;
	int error;
	bool retry;		/* to be tried again instead of waited for */
	uint64_t deadline;
	TAILQ_ENTRY(wish) next;
};

struct broker {
	const struct conf *conf;
	int *roots;		/* directories, as the configuration has listeners; or -1 */
	struct source supervisor;
	int supervisor_fd;
	int epoll;
	uint64_t now;
	TAILQ_HEAD(, worker) workers;
	TAILQ_HEAD(, wish) connects;	/* the oldest first */
	unsigned int retries;	/* of them, those to be tried again */
	uint64_t retry_at;
	uint64_t alive_at;
	SLIST_HEAD(, source) trash;
};

static void throw_away(struct broker *b, struct source *s)
{
	s->gone = true;
	SLIST_INSERT_HEAD(&b->trash, s, trash);
}

static void empty_trash(struct broker *b)
{
	struct source *s;

	while (!SLIST_EMPTY(&b->trash)) {
		s = SLIST_FIRST(&b->trash);
		SLIST_REMOVE_HEAD(&b->trash, trash);
		free(s);
	}
}

static int watch(const struct broker *b, int op, int fd, uint32_t events,
		 struct source *s)
{
	struct epoll_event event = { .events = events, .data.ptr = s };

	return epoll_ctl(b->epoll, op, fd, &event) ? -errno : 0;
}

static void free_wish(struct broker *b, struct wish *wish)
{
	if (wish->fd >= 0)
		close(wish->fd);
	wish->worker->wishes--;
	throw_away(b, &wish->source);
}

static void leave_connects(struct broker *b, struct wish *wish)
{
	TAILQ_REMOVE(&b->connects, wish, next);
	b->retries -= wish->retry;
}

static void give_up(struct broker *b, struct worker *w, const char *why)
{
	struct wish *wish, *next;

	if (why)
		log_line(LOG_WARNING, "Worker %u is given up: %s", w->index, why);
	for (wish = TAILQ_FIRST(&b->connects); wish; wish = next) {
		next = TAILQ_NEXT(wish, next);
		if (wish->worker != w)
			continue;
		leave_connects(b, wish);
		free_wish(b, wish);
	}
	while ((wish = TAILQ_FIRST(&w->answers))) {
		TAILQ_REMOVE(&w->answers, wish, next);
		free_wish(b, wish);
	}
	close(w->fd);
	TAILQ_REMOVE(&b->workers, w, next);
	throw_away(b, &w->source);
}

/* Returns 0, or -EAGAIN, or -EPIPE. */
static int send_grant(const struct worker *w, uint64_t tag, int fd, int error)
{
	struct message_grant grant = { .tag = tag, .error = error };
	int err;

	err = message_send(w->fd, MESSAGE_GRANT, &grant, sizeof(grant), &fd, fd >= 0);
	if (!err || err == -EAGAIN || err == -EPIPE)
		return err;
	/* Too many descriptors are on their way, or so. */
	grant.error = err;
	return message_send(w->fd, MESSAGE_GRANT, &grant, sizeof(grant), NULL, 0);
}

static struct wish *new_wish(struct worker *w, uint64_t tag, int fd)
{
	struct wish *wish = calloc(1, sizeof(*wish));

	if (!wish)
		return NULL;
	wish->source.kind = SOURCE_WISH;
	wish->worker = w;
	wish->tag = tag;
	wish->fd = fd;
	w->wishes++;
	return wish;
}

/* Has an answer wait until the worker takes it. */
static void keep_answer(struct broker *b, struct worker *w, struct wish *wish)
{
	if (TAILQ_EMPTY(&w->answers)) {
		w->deadline = b->now + ANSWER_TIMEOUT;
		watch(b, EPOLL_CTL_MOD, w->fd, EPOLLOUT, &w->source);
	}
	TAILQ_INSERT_TAIL(&w->answers, wish, next);
}

/* Answers at once if that can be; takes @fd over. */
static void answer(struct broker *b, struct worker *w, uint64_t tag, int fd, int error)
{
	struct wish *wish;
	int err = -EAGAIN;

	if (TAILQ_EMPTY(&w->answers))
		err = send_grant(w, tag, fd, error);
	if (err == -EAGAIN) {
		wish = new_wish(w, tag, fd);
		if (wish) {
			wish->error = error;
			keep_answer(b, w, wish);
			return;
		}
	}
	if (fd >= 0)
		close(fd);
	if (err)
		give_up(b, w, err == -EPIPE ? NULL : strerror(-err));
}

/* The answer to a wish that had to wait. */
static void answer_wish(struct broker *b, struct wish *wish, int error)
{
	struct worker *w = wish->worker;
	int err = -EAGAIN;

	leave_connects(b, wish);
	/* It is the worker's from now on, and closing it here would not take it out. */
	if (!wish->retry)
		watch(b, EPOLL_CTL_DEL, wish->fd, 0, NULL);
	if (error) {
		close(wish->fd);
		wish->fd = -1;
		wish->error = error;
	}
	if (TAILQ_EMPTY(&w->answers))
		err = send_grant(w, wish->tag, wish->fd, wish->error);
	if (err == -EAGAIN) {
		keep_answer(b, w, wish);
		return;
	}
	free_wish(b, wish);
	if (err)
		give_up(b, w, err == -EPIPE ? NULL : strerror(-err));
}

static void send_answers(struct broker *b, struct worker *w)
{
	struct wish *wish;
	int err;

	while ((wish = TAILQ_FIRST(&w->answers))) {
		err = send_grant(w, wish->tag, wish->fd, wish->error);
		if (err == -EAGAIN)
			return;
		if (err) {
			give_up(b, w, err == -EPIPE ? NULL : strerror(-err));
			return;
		}
		w->deadline = b->now + ANSWER_TIMEOUT;
		TAILQ_REMOVE(&w->answers, wish, next);
		free_wish(b, wish);
	}
	watch(b, EPOLL_CTL_MOD, w->fd, EPOLLIN, &w->source);
}

/* Returns 0, -EINPROGRESS, -EAGAIN (try again), or another negative errno. */
static int try_connect(int fd, const struct address *to)
{
	if (!connect(fd, &to->any, to->len) || errno == EISCONN)
		return 0;
	return errno == EALREADY || errno == EINTR ? -EINPROGRESS : -errno;
}

static int begin_connect(const struct address *to, int *fd)
{
	int on = 1, err;

	*fd = socket(to->any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (*fd < 0)
		return -errno;
	if (to->any.sa_family != AF_UNIX)
		setsockopt(*fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	err = try_connect(*fd, to);
	/* On this machine it is over by now, and a second look is cheaper than epoll. */
	if (err == -EINPROGRESS)
		err = try_connect(*fd, to);
	return err;
}

/* A connect is under way, or to be tried again as a backlog is full. */
static void begin_wish(struct broker *b, struct wish *wish, const struct address *to,
		       bool retry)
{
	int err;

	wish->to = to;
	wish->deadline = b->now + CONNECT_TIMEOUT;
	wish->retry = retry;
	TAILQ_INSERT_TAIL(&b->connects, wish, next);
	if (retry) {
		/* Not by epoll, which always has something to say of such a socket. */
		if (!b->retries++)
			b->retry_at = b->now + RETRY_INTERVAL;
		return;
	}
	err = watch(b, EPOLL_CTL_ADD, wish->fd, EPOLLOUT, &wish->source);
	if (err)
		answer_wish(b, wish, err);
}

static void grant_connect(struct broker *b, struct worker *w, uint64_t tag,
			  const struct address *to)
{
	struct wish *wish;
	int fd = -1, err;
	bool retry;

	if (w->wishes >= WISHES_MAX) {
		answer(b, w, tag, -1, -EAGAIN);
		return;
	}
	err = begin_connect(to, &fd);
	if (!err) {
		answer(b, w, tag, fd, 0);
		return;
	}
	retry = err == -EAGAIN && to->any.sa_family == AF_UNIX;
	if (err == -EINPROGRESS || retry) {
		wish = new_wish(w, tag, fd);
		if (wish) {
			begin_wish(b, wish, to, retry);
			return;
		}
		err = -ENOMEM;
	}
	if (fd >= 0)
		close(fd);
	answer(b, w, tag, -1, err);
}

/* Something came of a connect. */
static void go_on(struct broker *b, struct wish *wish)
{
	int err = try_connect(wish->fd, wish->to);

	if (err == -EINPROGRESS || (err == -EAGAIN && wish->retry))
		return;
	answer_wish(b, wish, err);
}

/*
 * Opens a file of @len bytes of name beneath @root: a regular one.  That of a directory
 * with a slash behind it is its index.
 */
static int open_beneath(int root, const char *path, size_t len)
{
	static const struct open_how how = {
		.flags = O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS,
	};
	int fd, tries = OPEN_TRIES, err = 0;
	char name[PATH_MAX];
	struct stat st;

	if (root < 0 || memchr(path, '\0', len))
		return -ENOENT;
	if (len + sizeof(DIRECTORY_INDEX) > sizeof(name))
		return -ENAMETOOLONG;
	memcpy(name, path, len);
	name[len] = '\0';
	if (!len || name[len - 1] == '/')
		strcpy(name + len, DIRECTORY_INDEX);

	/* While something is being renamed the kernel cannot be sure. */
	do {
		fd = syscall(SYS_openat2, root, name, &how, sizeof(how));
	} while (fd < 0 && (errno == EAGAIN || errno == EINTR) && --tries);
	if (fd < 0) {
		switch (errno) {
		case ENOTDIR:
			return -ENOENT;
		case ELOOP:
		case EXDEV:
		case ENXIO:
			return -EACCES;
		default:
			return -errno;
		}
	}
	if (fstat(fd, &st))
		err = -errno;
	else if (S_ISDIR(st.st_mode))
		err = -EISDIR;
	else if (!S_ISREG(st.st_mode))
		err = -EACCES;
	if (err)
		close(fd);
	return err ?: fd;
}

/* Returns false if it is nothing that a worker says. */
static bool grant(struct broker *b, struct worker *w, const struct message *m)
{
	const struct message_wish *wish = m->body;
	size_t fixed = offsetof(struct message_wish, path);
	const struct conf_listener *listener;
	int fd;

	if ((m->type != MESSAGE_CONNECT && m->type != MESSAGE_OPEN) ||
	    m->len < fixed || m->fds_count ||
	    wish->listener >= b->conf->listeners_count)
		return false;
	listener = &b->conf->listeners[wish->listener];
	if ((listener->kind == LISTENER_FILES) != (m->type == MESSAGE_OPEN))
		return false;
	if (m->type == MESSAGE_CONNECT) {
		grant_connect(b, w, wish->tag, &listener->backend);
	} else {
		fd = open_beneath(b->roots[wish->listener], wish->path, m->len - fixed);
		answer(b, w, wish->tag, fd < 0 ? -1 : fd, fd < 0 ? fd : 0);
	}
	return true;
}

static void read_wishes(struct broker *b, struct worker *w)
{
	struct message m;
	int i, err;

	for (i = 0; i < MESSAGES_MAX; i++) {
		err = message_receive(w->fd, &m);
		if (err == -EAGAIN)
			return;
		if (err <= 0) {
			give_up(b, w, err ? strerror(-err) : NULL);
			return;
		}
		if (!grant(b, w, &m)) {
			message_close_fds(&m);
			give_up(b, w, "it sent what no worker sends");
			return;
		}
		/* It is to take its answers first. */
		if (w->source.gone || !TAILQ_EMPTY(&w->answers))
			return;
	}
}

static void handle_worker(struct broker *b, struct worker *w, uint32_t events)
{
	if (!TAILQ_EMPTY(&w->answers))
		send_answers(b, w);
	else if (events & (EPOLLIN | EPOLLHUP | EPOLLERR))
		read_wishes(b, w);
}

static int set_nonblocking(int fd)
{
	return fcntl(fd, F_SETFL, O_RDWR | O_NONBLOCK) ? -errno : 0;
}

/* Takes the descriptor of the message. */
static int add_worker(struct broker *b, struct message *m)
{
	const struct message_worker *body = m->body;
	struct worker *w = calloc(1, sizeof(*w));
	int err;

	if (!w)
		return -ENOMEM;
	w->source.kind = SOURCE_WORKER;
	w->index = body->worker;
	w->fd = m->fds[0];
	TAILQ_INIT(&w->answers);
	err = set_nonblocking(w->fd) ?:
	      watch(b, EPOLL_CTL_ADD, w->fd, EPOLLIN, &w->source);
	if (err) {
		free(w);
		return err;
	}
	m->fds[0] = -1;
	TAILQ_INSERT_TAIL(&b->workers, w, next);
	return 0;
}

/* Returns false at the end. */
static bool handle_supervisor(struct broker *b)
{
	struct message m;
	int err;

	while ((err = message_receive(b->supervisor_fd, &m)) > 0) {
		if (m.type == MESSAGE_WORKER && m.fds_count == 1) {
			err = add_worker(b, &m);
			if (err)
				log_line(LOG_ERR, "Cannot serve a worker: %s",
					 strerror(-err));
		}
		message_close_fds(&m);
	}
	return err == -EAGAIN;
}

static void watch_clock(struct broker *b)
{
	struct worker *w, *next_worker;
	struct wish *wish, *next;

	while ((wish = TAILQ_FIRST(&b->connects)) && wish->deadline <= b->now)
		answer_wish(b, wish, -ETIMEDOUT);
	if (b->retries && b->retry_at <= b->now) {
		b->retry_at = b->now + RETRY_INTERVAL;
		for (wish = TAILQ_FIRST(&b->connects); wish; wish = next) {
			next = TAILQ_NEXT(wish, next);
			if (wish->retry)
				go_on(b, wish);
			/* Its worker has gone, and took it along. */
			if (next && next->source.gone)
				break;
		}
	}
	for (w = TAILQ_FIRST(&b->workers); w; w = next_worker) {
		next_worker = TAILQ_NEXT(w, next);
		if (!TAILQ_EMPTY(&w->answers) && w->deadline <= b->now)
			give_up(b, w, "it does not take its answers");
	}
	if (b->alive_at <= b->now) {
		message_send(b->supervisor_fd, MESSAGE_ALIVE, NULL, 0, NULL, 0);
		b->alive_at = b->now + ALIVE_INTERVAL;
	}
}

/* Milliseconds until the clock is to be looked at. */
static int timeout_of(const struct broker *b)
{
	const struct wish *first = TAILQ_FIRST(&b->connects);
	uint64_t next = b->alive_at;
	const struct worker *w;

	if (first && first->deadline < next)
		next = first->deadline;
	if (b->retries && b->retry_at < next)
		next = b->retry_at;
	TAILQ_FOREACH(w, &b->workers, next)
		if (!TAILQ_EMPTY(&w->answers) && w->deadline < next)
			next = w->deadline;
	return next <= b->now ? 0 : (next - b->now + MSEC - 1) / MSEC;
}

/* Returns false at the end. */
static bool turn(struct broker *b)
{
	struct epoll_event events[64];
	struct source *s;
	bool on = true;
	int i, n;

	n = epoll_wait(b->epoll, events, ARRAY_SIZE(events), timeout_of(b));
	b->now = monotonic_ns();
	for (i = 0; i < n && on; i++) {
		s = events[i].data.ptr;
		if (s->gone)
			continue;
		switch (s->kind) {
		case SOURCE_SUPERVISOR:
			on = handle_supervisor(b);
			break;
		case SOURCE_WORKER:
			handle_worker(b, (struct worker *)s, events[i].events);
			break;
		case SOURCE_WISH:
			go_on(b, (struct wish *)s);
			break;
		}
	}
	watch_clock(b);
	empty_trash(b);
	return on;
}

/*
 * The sandbox: what is used above, and of that with the arguments used.  Where there
 * is no backend nothing is connected to, and no file is opened but from a root.
 */
static int allow(scmp_filter_ctx filter, const struct broker *b)
{
	static const int calls[] = {
		SCMP_SYS(brk), SCMP_SYS(clock_gettime), SCMP_SYS(close),
		SCMP_SYS(epoll_ctl), SCMP_SYS(epoll_pwait), SCMP_SYS(epoll_wait),
		SCMP_SYS(exit_group), SCMP_SYS(fstat), SCMP_SYS(madvise),
		SCMP_SYS(munmap), SCMP_SYS(recvmsg), SCMP_SYS(restart_syscall),
		SCMP_SYS(rt_sigreturn), SCMP_SYS(sendmsg),
#ifdef __SANITIZE_ADDRESS__
		SCMP_SYS(sigaltstack),	/* at the end */
#endif
	};
	const int type = SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC;
	const struct conf_listener *listener;
	bool families[AF_MAX] = { false };
	bool connects = false;
	int err = 0, family;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(calls) && !err; i++)
		err = seccomp_rule_add(filter, SCMP_ACT_ALLOW, calls[i], 0);
	/* As fstat() of some C libraries is. */
	err = err ?: seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(newfstatat), 1,
				      SCMP_A3(SCMP_CMP_EQ, AT_EMPTY_PATH));
	err = err ?: seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(fcntl), 1,
				      SCMP_A1(SCMP_CMP_EQ, F_SETFL));
	err = err ?: seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(write), 1,
				      SCMP_A0(SCMP_CMP_EQ, STDERR_FILENO));
	err = err ?: seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1,
				      SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));

	for (i = 0; i < b->conf->listeners_count && !err; i++) {
		listener = &b->conf->listeners[i];
		if (listener->kind == LISTENER_FILES) {
			if (b->roots[i] >= 0)
				err = seccomp_rule_add(filter, SCMP_ACT_ALLOW,
						       SCMP_SYS(openat2), 1,
						       SCMP_A0(SCMP_CMP_EQ,
							       b->roots[i]));
			continue;
		}
		family = listener->backend.any.sa_family;
		connects = true;
		if (families[family])
			continue;
		families[family] = true;
		err = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(socket), 2,
				       SCMP_A0(SCMP_CMP_EQ, family),
				       SCMP_A1(SCMP_CMP_EQ, type));
	}
	if (!err && connects)
		err = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(connect), 0) ?:
		      seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(setsockopt), 2,
				       SCMP_A1(SCMP_CMP_EQ, IPPROTO_TCP),
				       SCMP_A2(SCMP_CMP_EQ, TCP_NODELAY));
	return err;
}

static bool enter_sandbox(const struct broker *b)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_KILL_PROCESS);
	int err;

	if (!filter) {
		log_line(LOG_ERR, "Cannot make the sandbox: no memory");
		return false;
	}
	err = seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH,
			       SCMP_ACT_KILL_PROCESS) ?:
	      allow(filter, b) ?:
	      seccomp_load(filter);
	seccomp_release(filter);
	if (err)
		log_line(LOG_ERR, "Cannot enter the sandbox: %s", strerror(-err));
	return !err;
}

/* While there is the right to open them. */
static bool open_roots(struct broker *b)
{
	const struct conf_listener *listener;
	size_t i;

	b->roots = calloc(b->conf->listeners_count, sizeof(*b->roots));
	if (!b->roots)
		return !b->conf->listeners_count;
	for (i = 0; i < b->conf->listeners_count; i++) {
		listener = &b->conf->listeners[i];
		b->roots[i] = -1;
		if (listener->kind != LISTENER_FILES)
			continue;
		b->roots[i] = open(listener->root, O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (b->roots[i] < 0)
			log_line(LOG_ERR,
				 "%s: line %u: root %s: %s; nothing of it is served before the next reload",
				 b->conf->path, listener->line, listener->root,
				 strerror(errno));
	}
	return true;
}

/* Each connect that is under way has one. */
static void want_descriptors(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit))
		return;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
}

static bool begin(struct broker *b)
{
	int err;

	want_descriptors();
	b->epoll = epoll_create1(EPOLL_CLOEXEC);
	err = b->epoll < 0 ? -errno : 0;
	err = err ?: set_nonblocking(b->supervisor_fd);
	err = err ?: watch(b, EPOLL_CTL_ADD, b->supervisor_fd, EPOLLIN, &b->supervisor);
	if (err) {
		log_line(LOG_ERR, "Cannot begin: %s", strerror(-err));
		return false;
	}
	if (!open_roots(b) || !privileges_drop(b->conf->user, 0) || !process_follow() ||
	    !enter_sandbox(b))
		return false;
	return !message_send(b->supervisor_fd, MESSAGE_READY, NULL, 0, NULL, 0);
}

int broker_run(const struct conf *conf, int supervisor_fd)
{
	struct broker b = {
		.conf = conf,
		.supervisor = { .kind = SOURCE_SUPERVISOR },
		.supervisor_fd = supervisor_fd,
		.now = monotonic_ns(),
	};

	TAILQ_INIT(&b.workers);
	TAILQ_INIT(&b.connects);
	SLIST_INIT(&b.trash);
	if (!begin(&b))
		return 1;
	while (turn(&b))
		;
	return 0;
}
