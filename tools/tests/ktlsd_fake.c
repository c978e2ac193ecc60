// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The processes of ktlsd as the supervisor knows them, without TLS: workers do what
 * their clients say, a line each, and answer with a line.
 *
 * In the directory $KTLSD_FAKE the files keys-die, keys-refuse and worker-mute make
 * processes that start from then on fail.
 */
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../ktlsd/conf.h"
#include "../ktlsd/counters.h"
#include "../ktlsd/ktlsd.h"
#include "../ktlsd/message.h"
#include "../ktlsd/process.h"

#define CLIENTS_MAX 64
#define TURN_MS 200

static bool is_told(const char *what)
{
	const char *directory = getenv("KTLSD_FAKE");
	char path[512];

	snprintf(path, sizeof(path), "%s/%s", directory ?: "/nonexistent", what);
	return !access(path, F_OK);
}

/* Tells each worker who is at the other end of its channels. */
static int serve(int fd, size_t channels)
{
	pid_t pid = getpid();
	struct message m;

	message_send(fd, MESSAGE_READY, NULL, 0, NULL, 0);
	while (message_receive(fd, &m) > 0) {
		if (m.type == MESSAGE_WORKER && m.fds_count == channels)
			(void)!write(m.fds[0], &pid, sizeof(pid));
		message_close_fds(&m);
	}
	return 0;
}

int keys_run(const struct conf *conf, int fd)
{
	struct message_identity_state state;
	size_t i;

	if (is_told("keys-die"))
		abort();
	for (i = 0; i < conf->identities_count; i++) {
		state = (struct message_identity_state){
			.identity = i,
			.generation = 1,
			.not_after = 2000000000,
			.serial = { 0x12, 0xab },
			.serial_len = 2,
		};
		if (is_told("keys-refuse")) {
			state.generation = 0;
			strcpy(state.error, "the key is of another certificate");
		}
		message_send(fd, MESSAGE_IDENTITY_STATE, &state, sizeof(state), NULL, 0);
	}
	return serve(fd, 2);
}

int broker_run(const struct conf *conf, int fd)
{
	(void)conf;
	return serve(fd, 1);
}

int prove_run(const struct conf *conf, int fd)
{
	(void)conf;
	(void)fd;
	return 0;
}

struct fake {
	const struct conf *conf;
	struct counters *counters;
	int fd;
	unsigned int index;
	bool draining;
	pid_t keys, broker;		/* as they say */
	struct message_ticket_keys tickets;
	struct client {
		int fd;
		uint32_t listener;
	} clients[CLIENTS_MAX];
	size_t count;
};

static void say(const struct client *c, const char *text)
{
	(void)!send(c->fd, text, strlen(text), MSG_NOSIGNAL);
}

static void obey(struct fake *f, const struct client *c, const char *line)
{
	char text[256];

	if (!strcmp(line, "die"))
		raise(SIGSEGV);
	if (!strcmp(line, "exit"))
		_exit(7);
	while (!strcmp(line, "hang"))
		pause();
	if (!strcmp(line, "who"))
		snprintf(text, sizeof(text), "%d %u\n", getpid(), f->index);
	else if (!strcmp(line, "channels"))
		snprintf(text, sizeof(text), "%d %d\n", f->keys, f->broker);
	else
		snprintf(text, sizeof(text), "%u %02x%02x %02x%02x\n", f->tickets.count,
			 f->tickets.keys[0].name[0], f->tickets.keys[0].name[1],
			 f->tickets.keys[1].name[0], f->tickets.keys[1].name[1]);
	say(c, text);
}

static void drop(struct fake *f, size_t i)
{
	close(f->clients[i].fd);
	f->clients[i] = f->clients[--f->count];
	f->counters->connections--;
}

/* Lines are short, and come whole. */
static void hear_client(struct fake *f, size_t i)
{
	char line[64];
	ssize_t n = recv(f->clients[i].fd, line, sizeof(line) - 1, MSG_DONTWAIT);

	if (n < 0 && errno == EAGAIN)
		return;
	if (n <= 0) {
		drop(f, i);
		return;
	}
	line[n] = '\0';
	line[strcspn(line, "\n")] = '\0';
	obey(f, &f->clients[i], line);
}

static void accept_client(struct fake *f, uint32_t listener, int socket)
{
	int fd = accept4(socket, NULL, NULL, SOCK_CLOEXEC);

	if (fd < 0)
		return;
	if (f->count == CLIENTS_MAX) {
		close(fd);
		return;
	}
	f->clients[f->count++] = (struct client){ fd, listener };
	f->counters->accepted++;
	f->counters->connections++;
}

static void tell_connections(const struct fake *f)
{
	struct message_connection c;
	struct sockaddr_in address;
	socklen_t len;
	size_t i;

	for (i = 0; i < f->count; i++) {
		memset(&c, 0, sizeof(c));
		c.listener = f->clients[i].listener;
		len = sizeof(c.cookie);
		getsockopt(f->clients[i].fd, SOL_SOCKET, SO_COOKIE, &c.cookie, &len);
		c.family = AF_INET;
		len = sizeof(address);
		if (!getpeername(f->clients[i].fd, (struct sockaddr *)&address, &len)) {
			memcpy(c.remote_addr, &address.sin_addr, 4);
			c.remote_port = ntohs(address.sin_port);
		}
		c.started = 1700000000000000000;
		c.version = 0x0304;
		c.kernel_tx = 1;
		strcpy(c.cipher, "TLS_AES_128_GCM_SHA256");
		/* What a client may call a server; and no NUL in the last. */
		strcpy(c.server_name, "a\xff\x1b[2J\xc3\xa9");
		memset(c.peer_name, 'p', sizeof(c.peer_name));
		message_send(f->fd, MESSAGE_CONNECTIONS, &c, sizeof(c), NULL, 0);
	}
	message_send(f->fd, MESSAGE_CONNECTIONS, NULL, 0, NULL, 0);
}

/* False if it is gone. */
static bool hear_supervisor(struct fake *f)
{
	struct message m;

	if (message_receive(f->fd, &m) <= 0)
		return false;
	switch (m.type) {
	case MESSAGE_KEYS:
		if (m.fds_count != 2 ||
		    read(m.fds[0], &f->keys, sizeof(f->keys)) != sizeof(f->keys))
			f->keys = 0;
		break;
	case MESSAGE_BROKER:
		if (m.fds_count != 1 ||
		    read(m.fds[0], &f->broker, sizeof(f->broker)) != sizeof(f->broker))
			f->broker = 0;
		break;
	case MESSAGE_TICKET_KEYS:
		memcpy(&f->tickets, m.body, sizeof(f->tickets));
		break;
	case MESSAGE_CONNECTIONS:
		tell_connections(f);
		break;
	case MESSAGE_DRAIN:
		/* Sockets stay open here: that nobody listens is the supervisor's doing. */
		f->draining = true;
		break;
	}
	message_close_fds(&m);
	return true;
}

int worker_run(const struct conf *conf, unsigned int index, const int *listeners,
	       struct counters *shared, int fd)
{
	struct fake f = { .conf = conf, .counters = shared, .fd = fd, .index = index };
	struct pollfd *fds = calloc(1 + conf->listeners_count + CLIENTS_MAX, sizeof(*fds));
	size_t i, n, sockets, clients;

	if (!fds)
		return 1;
	if (!is_told("worker-mute"))
		message_send(fd, MESSAGE_READY, NULL, 0, NULL, 0);
	while (!f.draining || f.count) {
		n = 0;
		fds[n++] = (struct pollfd){ .fd = fd, .events = POLLIN };
		sockets = f.draining ? 0 : conf->listeners_count;
		for (i = 0; i < sockets; i++)
			fds[n++] = (struct pollfd){ listeners[i], POLLIN, 0 };
		clients = f.count;
		for (i = 0; i < clients; i++)
			fds[n++] = (struct pollfd){ f.clients[i].fd, POLLIN, 0 };
		poll(fds, n, TURN_MS);
		message_send(fd, MESSAGE_ALIVE, NULL, 0, NULL, 0);
		/* From behind, as who goes leaves its place to the last. */
		for (i = clients; i; i--)
			if (fds[sockets + i].revents)
				hear_client(&f, i - 1);
		for (i = 0; i < sockets; i++)
			if (fds[1 + i].revents)
				accept_client(&f, i, listeners[i]);
		if (fds[0].revents && !hear_supervisor(&f))
			return 0;
	}
	free(fds);
	return 0;
}
