// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The broker, as a process of its own that is spoken to as workers and the supervisor
 * do, and as they do not.  Run by root, it gives its privileges up, which is seen.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../ktlsd/conf.h"
#include "../ktlsd/ktlsd.h"
#include "../ktlsd/message.h"
#include "../ktlsd/process.h"
#include "tap.h"

#define WISHES_MAX 1024		/* of a worker, as the broker has it */

/* What a process that the supervisor started does. */
bool process_follow(void)
{
	return true;
}

enum {
	BACKEND_TCP4,
	BACKEND_TCP6,
	BACKEND_UNIX,
	BACKEND_REFUSES,
	BACKEND_NO_SOCKET,
	BACKEND_SILENT,		/* drops what comes, as its backlog is full */
	BACKEND_BUSY,		/* of Unix, its backlog is full */
	FILES,
	FILES_NONE,		/* whose root is not there */
	LISTENERS,
};

static struct conf_listener listeners[LISTENERS];
static char user[] = "nobody";
static char path[] = "test.conf";
static struct conf conf = {
	.path = path,
	.user = user,
	.listeners = listeners,
	.listeners_count = LISTENERS,
};

static char directory[] = "/tmp/ktlsd_broker.XXXXXX";
static int sockets[LISTENERS];
static pid_t broker;
static int supervisor = -1;

/* Sets @fd to listen, and the backend of a listener to where. */
static void listen_at(unsigned int i, struct sockaddr *any, socklen_t len, int backlog)
{
	int fd = socket(any->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct address *a = &listeners[i].backend;

	if (bind(fd, any, len) || (backlog >= 0 && listen(fd, backlog))) {
		perror("listen");
		exit(1);
	}
	a->len = sizeof(a->un);
	getsockname(fd, &a->any, &a->len);
	sockets[i] = fd;
}

static void listen_tcp(unsigned int i, sa_family_t family, int backlog)
{
	struct sockaddr_in6 in6 = {
		.sin6_family = AF_INET6,
		.sin6_addr = IN6ADDR_LOOPBACK_INIT,
	};
	struct sockaddr_in in = {
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};

	if (family == AF_INET)
		listen_at(i, (struct sockaddr *)&in, sizeof(in), backlog);
	else
		listen_at(i, (struct sockaddr *)&in6, sizeof(in6), backlog);
}

static void listen_unix(unsigned int i, const char *name, int backlog)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };

	snprintf(un.sun_path, sizeof(un.sun_path), "%.60s/%s", directory, name);
	listen_at(i, (struct sockaddr *)&un, sizeof(un), backlog);
	chmod(un.sun_path, 0777);
}

static char *name_of(const char *name)
{
	static char full[4][256];
	static unsigned int next;
	char *p = full[next++ % ARRAY_SIZE(full)];

	snprintf(p, sizeof(full[0]), "%.60s/%s", directory, name);
	return p;
}

static void make_file(const char *name, mode_t mode)
{
	int fd = open(name_of(name), O_WRONLY | O_CREAT | O_CLOEXEC, 0644);

	if (fd < 0 || write(fd, name, strlen(name)) != (ssize_t)strlen(name) ||
	    fchmod(fd, mode)) {
		perror(name);
		exit(1);
	}
	close(fd);
}

static void must_do(int failed, const char *what)
{
	if (failed) {
		perror(what);
		exit(1);
	}
}

static void make_files(void)
{
	must_do(!mkdtemp(directory) || chmod(directory, 0755), "mkdtemp");
	must_do(mkdir(name_of("root"), 0755) || mkdir(name_of("root/sub"), 0755) ||
		mkdir(name_of("root/empty"), 0755) ||
		mkdir(name_of("root/nested"), 0755) ||
		mkdir(name_of("root/nested/index.html"), 0755) ||
		mkdir(name_of("root/closed"), 0700), "mkdir");
	make_file("root/index.html", 0644);
	make_file("root/file", 0644);
	make_file("root/sub/index.html", 0644);
	make_file("root/secret", 0600);
	make_file("root/closed/file", 0644);
	make_file("outside", 0644);
	must_do(symlink("file", name_of("root/link")) ||
		symlink("sub/../file", name_of("root/link2")) ||
		symlink("../outside", name_of("root/out")) ||
		symlink("..", name_of("root/up")) ||
		symlink("/etc/passwd", name_of("root/absolute")) ||
		symlink("/proc/self/cwd", name_of("root/magic")) ||
		symlink("loop", name_of("root/loop")) ||
		mkfifo(name_of("root/fifo"), 0666), "symlink");
	listen_unix(BACKEND_UNIX, "root/socket", 16);
	listeners[FILES].root = name_of("root");
	listeners[FILES_NONE].root = name_of("nothing");
}

static void set_up(void)
{
	struct sockaddr_un *un = &listeners[BACKEND_NO_SOCKET].backend.un;
	struct address *a;
	unsigned int i;
	int fd;

	make_files();
	listen_tcp(BACKEND_TCP4, AF_INET, 128);
	listen_tcp(BACKEND_TCP6, AF_INET6, 128);
	listen_tcp(BACKEND_REFUSES, AF_INET, -1);
	un->sun_family = AF_UNIX;
	snprintf(un->sun_path, sizeof(un->sun_path), "%.60s/none", directory);
	listeners[BACKEND_NO_SOCKET].backend.len = sizeof(*un);
	listen_tcp(BACKEND_SILENT, AF_INET, 0);
	listen_unix(BACKEND_BUSY, "busy", 0);
	/* Whom nobody accepts. */
	for (i = BACKEND_SILENT; i <= BACKEND_BUSY; i++) {
		a = &listeners[i].backend;
		fd = socket(a->any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
		must_do(connect(fd, &a->any, a->len), "connect");
	}
	listeners[FILES].kind = LISTENER_FILES;
	listeners[FILES_NONE].kind = LISTENER_FILES;
	for (i = 0; i < LISTENERS; i++)
		listeners[i].line = i;
}

static void set_timeout(int fd, unsigned int seconds)
{
	struct timeval timeout = { .tv_sec = seconds };

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
}

static bool start(void)
{
	struct message m;
	int ends[2];

	must_do(message_pair(ends), "message_pair");
	fflush(NULL);
	broker = fork();
	if (!broker) {
		close(ends[0]);
		_exit(broker_run(&conf, ends[1]));
	}
	close(ends[1]);
	supervisor = ends[0];
	set_timeout(supervisor, 10);
	return message_receive(supervisor, &m) == 1 && m.type == MESSAGE_READY;
}

/* Returns a worker's end of a channel to the broker. */
static int new_worker(unsigned int index)
{
	struct message_worker body = { .worker = index };
	int ends[2];

	must_do(message_pair(ends), "message_pair");
	must_do(message_send(supervisor, MESSAGE_WORKER, &body, sizeof(body), &ends[1], 1),
		"message_send");
	close(ends[1]);
	set_timeout(ends[0], 10);
	return ends[0];
}

static int send_wish(int worker, uint32_t type, unsigned int listener, uint64_t tag,
		     const char *name, size_t len)
{
	union {
		struct message_wish wish;
		char bytes[sizeof(struct message_wish) + 2 * PATH_MAX];
	} body = { .wish = { .tag = tag, .listener = listener } };

	memcpy(body.wish.path, name, len);
	return message_send(worker, type, &body, offsetof(struct message_wish, path) + len,
			    NULL, 0);
}

/* Returns a descriptor or a negative errno; the tag is to be @tag. */
static int receive_grant(int worker, uint64_t tag)
{
	const struct message_grant *grant;
	struct message m;
	int err;

	err = message_receive(worker, &m);
	if (err <= 0)
		return err ?: -ECONNRESET;
	grant = m.body;
	if (m.type != MESSAGE_GRANT || grant->tag != tag ||
	    !grant->error != (m.fds_count == 1)) {
		message_close_fds(&m);
		return -EBADMSG;
	}
	return grant->error ?: m.fds[0];
}

static int ask_connect(int worker, unsigned int listener)
{
	static uint64_t tag = 1ull << 40;

	send_wish(worker, MESSAGE_CONNECT, listener, ++tag, "", 0);
	return receive_grant(worker, tag);
}

static int ask_open(int worker, unsigned int listener, const char *name, size_t len)
{
	static uint64_t tag = 2ull << 40;

	send_wish(worker, MESSAGE_OPEN, listener, ++tag, name, len);
	return receive_grant(worker, tag);
}

/* Whether what is sent on @fd arrives at who listens. */
static bool is_connected(int fd, int listener)
{
	int peer = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	bool good;
	char c;

	good = peer >= 0 && send(fd, "x", 1, MSG_NOSIGNAL) == 1 &&
	       recv(peer, &c, 1, 0) == 1 && c == 'x';
	close(peer);
	return good;
}

static void test_connects(void)
{
	static const unsigned int backends[] = { BACKEND_TCP4, BACKEND_TCP6, BACKEND_UNIX };
	int worker = new_worker(0), fd;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(backends); i++) {
		fd = ask_connect(worker, backends[i]);
		ok(fd >= 0 && is_connected(fd, sockets[backends[i]]) &&
		   (fcntl(fd, F_GETFL) & O_NONBLOCK) && (fcntl(fd, F_GETFD) & FD_CLOEXEC),
		   "backend %u is connected to", backends[i]);
		close(fd);
	}
	ok(ask_connect(worker, BACKEND_REFUSES) == -ECONNREFUSED, "one that refuses");
	ok(ask_connect(worker, BACKEND_NO_SOCKET) == -ENOENT, "one that is not there");
	close(worker);
}

static void test_opens(void)
{
	static const struct {
		const char *name;
		int error;
		const char *is;		/* what is in the file */
	} cases[] = {
		{ "file", 0, "root/file" },
		{ "", 0, "root/index.html" },
		{ "sub/", 0, "root/sub/index.html" },
		{ "sub/index.html", 0, "root/sub/index.html" },
		{ "link", 0, "root/file" },
		{ "link2", 0, "root/file" },
		{ "./file", 0, "root/file" },
		{ "sub/../file", 0, "root/file" },
		{ "sub", -EISDIR, NULL },
		{ "empty/", -ENOENT, NULL },
		{ "nested/", -EISDIR, NULL },
		{ "none", -ENOENT, NULL },
		{ "file/", -ENOENT, NULL },
		{ "file/x", -ENOENT, NULL },
		{ "fifo", -EACCES, NULL },
		{ "socket", -EACCES, NULL },
		{ "out", -EACCES, NULL },
		{ "up/outside", -EACCES, NULL },
		{ "absolute", -EACCES, NULL },
		{ "magic/etc/passwd", -EACCES, NULL },
		{ "loop", -EACCES, NULL },
		{ "../outside", -EACCES, NULL },
		{ "sub/../../outside", -EACCES, NULL },
		{ "/etc/passwd", -EACCES, NULL },
		{ "/", -EACCES, NULL },
		{ "..", -EACCES, NULL },
	};
	char text[64], longest[2 * PATH_MAX];
	int worker = new_worker(1), fd;
	struct stat st;
	ssize_t len;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		fd = ask_open(worker, FILES, cases[i].name, strlen(cases[i].name));
		len = fd >= 0 ? read(fd, text, sizeof(text)) : 0;
		ok(cases[i].error ? fd == cases[i].error :
		   fd >= 0 && len == (ssize_t)strlen(cases[i].is) &&
		   !memcmp(text, cases[i].is, len),
		   "\"%s\": %s", cases[i].name, fd < 0 ? strerror(-fd) : cases[i].is);
		if (fd >= 0)
			close(fd);
	}
	fd = ask_open(worker, FILES, "file", 4);
	ok(fd >= 0 && (fcntl(fd, F_GETFL) & O_ACCMODE) == O_RDONLY && !fstat(fd, &st) &&
	   write(fd, "x", 1) < 0, "a file is open for reading only");
	close(fd);
	ok(ask_open(worker, FILES, "file\0.html", 10) == -ENOENT, "no name has a NUL");
	memset(longest, 'a', sizeof(longest));
	ok(ask_open(worker, FILES, longest, 256) == -ENAMETOOLONG, "a long name");
	ok(ask_open(worker, FILES, longest, PATH_MAX) == -ENAMETOOLONG, "a longer one");
	ok(ask_open(worker, FILES, longest, sizeof(longest)) == -ENAMETOOLONG,
	   "one longer than a path can be");
	ok(ask_open(worker, FILES_NONE, "file", 4) == -ENOENT, "a root that is not there");
	if (!geteuid()) {
		ok(ask_open(worker, FILES, "secret", 6) == -EACCES,
		   "what only root may read");
		ok(ask_open(worker, FILES, "closed/file", 11) == -EACCES,
		   "and where only root may go");
	}
	close(worker);
}

/* Whether the broker has closed a worker's channel. */
static bool is_given_up(int worker)
{
	struct message m;
	int err;

	/* What it sent before does not count. */
	while ((err = message_receive(worker, &m)) > 0)
		message_close_fds(&m);
	return !err;
}

static void test_nonsense(void)
{
	static const struct {
		const char *name;
		uint32_t type;
		uint32_t listener;
		size_t len;
		bool fd;
	} cases[] = {
		{ "a connection to files", MESSAGE_CONNECT, FILES, 12, false },
		{ "a file of a backend", MESSAGE_OPEN, BACKEND_TCP4, 16, false },
		{ "a listener that is none", MESSAGE_CONNECT, LISTENERS, 12, false },
		{ "a listener far away", MESSAGE_OPEN, UINT32_MAX, 16, false },
		{ "half a wish", MESSAGE_CONNECT, BACKEND_TCP4, 11, false },
		{ "a wish with a descriptor", MESSAGE_OPEN, FILES, 16, true },
		{ "a worker that brings one", MESSAGE_WORKER, 0, 16, true },
		{ "what keys say", MESSAGE_SIGN, 0, 64, false },
		{ "a type that is none", 1000, 0, 16, false },
		{ "no type", 0, 0, 16, false },
	};
	int other = new_worker(2), worker, fd;
	char body[64] = "";
	size_t i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		worker = new_worker(3);
		memset(body, 'f', sizeof(body));
		memcpy(body + 8, &cases[i].listener, 4);
		message_send(worker, cases[i].type, body, cases[i].len, &supervisor,
			     cases[i].fd);
		ok(is_given_up(worker), "who sends %s is given up", cases[i].name);
		close(worker);
	}
	worker = new_worker(3);
	send(worker, "x", 1, 0);
	ok(is_given_up(worker), "and who sends a byte");
	close(worker);
	fd = ask_connect(other, BACKEND_TCP4);
	ok(fd >= 0 && is_connected(fd, sockets[BACKEND_TCP4]), "others are not");
	close(fd);
	close(other);
}

static uint64_t milliseconds(void)
{
	return monotonic_ns() / 1000000;
}

/* Backends that let one wait, and workers that do. */
static void test_waiting(void)
{
	int waiting = new_worker(4), dying = new_worker(5), busy = new_worker(6);
	int other = new_worker(7), fd;
	unsigned int i, timeouts = 0;
	uint64_t begin, took;

	begin = milliseconds();
	for (i = 0; i < WISHES_MAX; i++)
		send_wish(waiting, MESSAGE_CONNECT, BACKEND_SILENT, i, "", 0);
	send_wish(waiting, MESSAGE_CONNECT, BACKEND_SILENT, 7777, "", 0);
	ok(receive_grant(waiting, 7777) == -EAGAIN, "a worker has so many wishes at once");
	for (i = 0; i < 10; i++)
		send_wish(dying, MESSAGE_CONNECT, BACKEND_SILENT, i, "", 0);
	close(dying);

	send_wish(busy, MESSAGE_CONNECT, BACKEND_BUSY, 1, "", 0);
	send_wish(busy, MESSAGE_CONNECT, BACKEND_BUSY, 2, "", 0);
	fd = ask_connect(other, BACKEND_TCP4);
	ok(fd >= 0 && is_connected(fd, sockets[BACKEND_TCP4]) &&
	   milliseconds() - begin < 2000, "others do not wait for it");
	close(fd);
	fd = ask_open(other, FILES, "file", 4);
	ok(fd >= 0 && milliseconds() - begin < 2000, "for files neither");
	close(fd);

	/* The one that had filled the backlog, and the two that were waiting. */
	close(accept4(sockets[BACKEND_BUSY], NULL, NULL, SOCK_CLOEXEC));
	fd = receive_grant(busy, 1);
	ok(fd >= 0 && is_connected(fd, sockets[BACKEND_BUSY]),
	   "a Unix socket whose backlog was full is connected to when there is room");
	close(fd);
	fd = receive_grant(busy, 2);
	ok(fd >= 0 && is_connected(fd, sockets[BACKEND_BUSY]), "one after the other");
	close(fd);

	for (i = 0; i < WISHES_MAX; i++)
		timeouts += receive_grant(waiting, i) == -ETIMEDOUT;
	took = milliseconds() - begin;
	ok(timeouts == WISHES_MAX && took >= 4500 && took < 9000,
	   "%u connects to a silent backend end after five seconds: %u ms", timeouts,
	   (unsigned int)took);
	fd = ask_connect(waiting, BACKEND_TCP4);
	ok(fd >= 0 && is_connected(fd, sockets[BACKEND_TCP4]),
	   "the worker may have wishes again");
	close(fd);

	/* TCP tries again in a second; by then there is room. */
	send_wish(waiting, MESSAGE_CONNECT, BACKEND_SILENT, 1, "", 0);
	poll(NULL, 0, 100);
	close(accept4(sockets[BACKEND_SILENT], NULL, NULL, SOCK_CLOEXEC));
	fd = receive_grant(waiting, 1);
	/* What becomes of it then is not the broker's business any more. */
	ok(fd >= 0 && is_connected(fd, sockets[BACKEND_SILENT]),
	   "a backend that takes its time is connected to");
	shutdown(fd, SHUT_RDWR);
	poll(NULL, 0, 100);
	close(fd);
	close(waiting);
	close(busy);
	close(other);
}

/* Sends wishes until the broker has had enough of them; returns how many. */
static unsigned int flood(int worker)
{
	struct pollfd p = { .fd = worker, .events = POLLOUT };
	unsigned int n = 0;

	fcntl(worker, F_SETFL, O_NONBLOCK);
	while (n < 100000) {
		if (!send_wish(worker, MESSAGE_OPEN, FILES, n, "file", 4))
			n++;
		else if (!poll(&p, 1, 500))
			break;
	}
	fcntl(worker, F_SETFL, 0);
	return n;
}

static void test_slow_workers(void)
{
	int slow = new_worker(8), stuck = new_worker(9), other = new_worker(10), fd;
	unsigned int n, i, opened = 0;
	uint64_t begin;

	n = flood(slow);
	flood(stuck);
	fd = ask_open(other, FILES, "file", 4);
	ok(n > 100 && n < 100000 && fd >= 0,
	   "a worker that does not read is not read after %u wishes; others are", n);
	close(fd);
	for (i = 0; i < n; i++) {
		fd = receive_grant(slow, i);
		opened += fd >= 0;
		close(fd);
	}
	ok(opened == n, "when it does, it gets all of its %u files", opened);
	fd = ask_connect(slow, BACKEND_TCP4);
	ok(fd >= 0 && is_connected(fd, sockets[BACKEND_TCP4]), "and is served again");
	close(fd);
	begin = milliseconds();
	/* Nothing that it would read itself: the broker closes it, and so it is writable. */
	while (milliseconds() - begin < 10000 &&
	       send_wish(stuck, MESSAGE_OPEN, FILES, 0, "file", 4) != -EPIPE) {
		fcntl(stuck, F_SETFL, O_NONBLOCK);
		poll(NULL, 0, 100);
	}
	ok(send_wish(stuck, MESSAGE_OPEN, FILES, 0, "file", 4) == -EPIPE,
	   "one that never does is given up");
	close(slow);
	close(stuck);
	close(other);
}

static unsigned int count_fds(void)
{
	unsigned int n = 0;
	char name[64];
	DIR *d;

	snprintf(name, sizeof(name), "/proc/%d/fd", broker);
	d = opendir(name);
	while (d && readdir(d))
		n++;
	if (d)
		closedir(d);
	return n;
}

/* Whether /proc/PID/status has this line. */
static bool has_status(const char *line)
{
	char name[64], text[8192];
	size_t len;
	FILE *file;

	snprintf(name, sizeof(name), "/proc/%d/status", broker);
	file = fopen(name, "r");
	len = fread(text, 1, sizeof(text) - 1, file);
	fclose(file);
	text[len] = '\0';
	return strstr(text, line);
}

static void test_privileges(void)
{
	ok(has_status("\nSeccomp:\t2\n"), "it is in a sandbox");
	ok(has_status("\nNoNewPrivs:\t1\n"), "it gets no new privileges");
	ok(has_status("\nCapPrm:\t0000000000000000\n") &&
	   has_status("\nCapEff:\t0000000000000000\n") &&
	   has_status("\nCapInh:\t0000000000000000\n") &&
	   has_status("\nCapAmb:\t0000000000000000\n"), "it has no capabilities");
	if (geteuid())
		return;
	ok(has_status("\nCapBnd:\t0000000000000000\n"), "nothing it executed would");
	ok(has_status("\nUid:\t65534\t65534\t65534\t65534\n") &&
	   has_status("\nGid:\t65534\t65534\t65534\t65534\n") &&
	   (has_status("\nGroups:\t65534 \n") || has_status("\nGroups:\t \n")),
	   "it is another user, in no group of root's");
}

static void test_end(void)
{
	int worker = new_worker(11), status = -1;

	close(supervisor);
	waitpid(broker, &status, 0);
	ok(!status && is_given_up(worker), "it ends with the supervisor: status 0x%x",
	   status);
	close(worker);
}

static void test_bad_user(void)
{
	static char nobody_of_that_name[] = "no such user";
	int status = 0;

	if (geteuid())
		return;
	conf.user = nobody_of_that_name;
	ok(!start() && waitpid(broker, &status, 0) == broker && WIFEXITED(status) &&
	   WEXITSTATUS(status) == 1, "without its user it does not begin");
	close(supervisor);
}

static void tear_down(void)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -r %s", directory);
	must_do(system(command), command);
}

int main(void)
{
	static const gid_t groups[] = { 0, 4, 65534 };
	unsigned int fds;

	tap_begin();
	signal(SIGPIPE, SIG_IGN);
	set_up();
	/* Those that the broker is not to keep. */
	if (!geteuid())
		must_do(setgroups(ARRAY_SIZE(groups), groups), "setgroups");
	if (!ok(start(), "it begins"))
		return tap_end();
	fds = count_fds();
	test_privileges();
	test_connects();
	test_opens();
	test_nonsense();
	test_waiting();
	test_slow_workers();
	/* It may not yet have seen the last one go. */
	poll(NULL, 0, 200);
	ok(count_fds() == fds, "it has as many descriptors as in the beginning");
	test_end();
	test_bad_user();
	tear_down();
	return tap_end();
}
