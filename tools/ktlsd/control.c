// SPDX-License-Identifier: GPL-2.0-or-later
/* The control socket and its clients. */
#include <errno.h>
#include <json-c/json.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "control.h"
#include "ktlsd.h"
#include "settings.h"
#include "status.h"

#define LINE_MAX_LEN 256
#define PATIENCE (10 * 1000000000ULL)	/* with a client, to send or to read */

struct client {
	int fd;			/* -1: none */
	uint64_t id;
	uint64_t until;		/* monotonic_ns(); 0 while it waits for the answer */
	char line[LINE_MAX_LEN];
	size_t line_len;
	bool asked;
	char *answer;
	size_t answer_len;
	size_t sent;
};

struct control {
	int fd;
	char *path;
	void (*ask)(void *arg, uint64_t client, enum control_command command);
	void *arg;
	uint64_t last_id;
	struct client clients[CONTROL_CLIENTS];
};

static const char *const commands[] = {
	[CONTROL_STATUS] = "status",
	[CONTROL_RELOAD] = "reload",
	[CONTROL_DRAIN] = "drain",
	[CONTROL_CONNECTIONS] = "connections",
	[CONTROL_METRICS] = "metrics",
};

/* The directory above is made if it is not there, as /run is empty at boot. */
static void make_directory(const char *path)
{
	char *copy = must(strdup(path)), *slash = strrchr(copy, '/');

	if (slash && slash != copy) {
		*slash = '\0';
		mkdir(copy, 0755);
	}
	free(copy);
}

static bool is_answered(const struct sockaddr_un *address)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	bool answered;

	if (fd < 0)
		return false;
	answered = !connect(fd, (const struct sockaddr *)address, sizeof(*address)) ||
		   errno == EAGAIN;
	close(fd);
	return answered;
}

static int open_socket(const char *path, FILE *errors)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	mode_t mask;
	int fd, err;

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	make_directory(path);
	if (is_answered(&address)) {
		fprintf(errors, "another ktlsd runs: it answers at %s; end that one, or give this one another path with control\n",
			path);
		return -1;
	}
	unlink(path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0) {
		fprintf(errors, "could not open the control socket: %s\n", strerror(errno));
		return -1;
	}
	/* Nobody else's, from its begin on. */
	mask = umask(0177);
	err = bind(fd, (struct sockaddr *)&address, sizeof(address)) ||
	      listen(fd, CONTROL_CLIENTS) ? errno : 0;
	umask(mask);
	if (err) {
		fprintf(errors, "could not open the control socket %s: %s\n", path,
			strerror(err));
		close(fd);
		return -1;
	}
	return fd;
}

struct control *control_open(const char *path,
			     void (*ask)(void *arg, uint64_t client,
					 enum control_command command),
			     void *arg, FILE *errors)
{
	int i, fd = open_socket(path, errors);
	struct control *c;

	if (fd < 0)
		return NULL;
	c = must(calloc(1, sizeof(*c)));
	c->fd = fd;
	c->path = must(strdup(path));
	c->ask = ask;
	c->arg = arg;
	for (i = 0; i < CONTROL_CLIENTS; i++)
		c->clients[i].fd = -1;
	return c;
}

static void drop(struct client *client)
{
	close(client->fd);
	free(client->answer);
	*client = (struct client){ .fd = -1 };
}

void control_close(struct control *c)
{
	size_t i;

	if (!c)
		return;
	for (i = 0; i < CONTROL_CLIENTS; i++)
		if (c->clients[i].fd >= 0)
			drop(&c->clients[i]);
	close(c->fd);
	unlink(c->path);
	free(c->path);
	free(c);
}

size_t control_poll(const struct control *c, struct pollfd *fds, uint64_t *until)
{
	size_t i, n = 0;
	bool room = false;

	for (i = 0; i < CONTROL_CLIENTS; i++) {
		const struct client *client = &c->clients[i];

		if (client->fd < 0) {
			room = true;
			continue;
		}
		fds[n++] = (struct pollfd){
			.fd = client->fd,
			/* One that waits is watched for its end only. */
			.events = client->answer ? POLLOUT : client->asked ? 0 : POLLIN,
		};
		if (client->until && client->until < *until)
			*until = client->until;
	}
	if (room)
		fds[n++] = (struct pollfd){ .fd = c->fd, .events = POLLIN };
	return n;
}

static void accept_client(struct control *c)
{
	int fd = accept4(c->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	socklen_t len = sizeof(struct ucred);
	struct ucred peer = { 0 };
	size_t i;

	if (fd < 0)
		return;
	/* Whoever has the mode of the socket changed by mistake. */
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) ||
	    (peer.uid && peer.uid != geteuid())) {
		close(fd);
		return;
	}
	for (i = 0; i < CONTROL_CLIENTS; i++) {
		if (c->clients[i].fd >= 0)
			continue;
		c->clients[i] = (struct client){
			.fd = fd,
			.id = ++c->last_id,
			.until = monotonic_ns() + PATIENCE,
		};
		return;
	}
	close(fd);
}

static void send_answer(struct client *client)
{
	char rest[4096];
	ssize_t n;
	int i;

	while (client->sent < client->answer_len) {
		n = send(client->fd, client->answer + client->sent,
			 client->answer_len - client->sent, MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return;
		if (n < 0)
			break;
		client->sent += n;
		client->until = monotonic_ns() + PATIENCE;
	}
	/* What stays unread would have the kernel take the answer back. */
	for (i = 0; i < 16; i++)
		if (recv(client->fd, rest, sizeof(rest), 0) <= 0)
			break;
	drop(client);
}

struct json_object *control_error(const char *format, ...)
{
	struct json_object *o = json_object_new_object();
	va_list ap;
	char *text;

	va_start(ap, format);
	if (vasprintf(&text, format, ap) < 0)
		text = NULL;
	va_end(ap);
	/* It may cite a file, which may be in any encoding. */
	json_object_object_add(o, "error", status_string(must(text), strlen(text)));
	free(text);
	return o;
}

static void answer(struct client *client, struct json_object *o)
{
	const char *text = json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN);

	client->answer_len = strlen(text) + 1;
	client->answer = must(malloc(client->answer_len + 1));
	memcpy(client->answer, text, client->answer_len - 1);
	client->answer[client->answer_len - 1] = '\n';
	json_object_put(o);
	client->until = monotonic_ns() + PATIENCE;
	send_answer(client);
}

void control_answer(struct control *c, uint64_t id, struct json_object *o)
{
	size_t i;

	for (i = 0; c && i < CONTROL_CLIENTS; i++) {
		if (c->clients[i].fd < 0 || c->clients[i].id != id)
			continue;
		answer(&c->clients[i], o);
		return;
	}
	json_object_put(o);
}

static void ask(struct control *c, struct client *client, const char *line)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(commands); i++) {
		if (strcmp(commands[i], line))
			continue;
		client->asked = true;
		client->until = 0;
		c->ask(c->arg, client->id, i);
		return;
	}
	answer(client, control_error("there is no such command; there are status, metrics, connections, reload and drain"));
}

static void read_line(struct control *c, struct client *client)
{
	char *end;
	ssize_t n;

	n = recv(client->fd, client->line + client->line_len,
		 sizeof(client->line) - client->line_len, 0);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		drop(client);
		return;
	}
	client->line_len += n;
	end = memchr(client->line, '\n', client->line_len);
	if (end) {
		*end = '\0';
		ask(c, client, client->line);
	} else if (client->line_len == sizeof(client->line)) {
		answer(client, control_error("a command is one short line"));
	}
}

static struct client *find_client(struct control *c, int fd)
{
	size_t i;

	for (i = 0; i < CONTROL_CLIENTS; i++)
		if (c->clients[i].fd == fd)
			return &c->clients[i];
	return NULL;
}

void control_handle(struct control *c, const struct pollfd *fds, size_t count)
{
	uint64_t now = monotonic_ns();
	struct client *client;
	size_t i;

	for (i = 0; i < count; i++) {
		if (!fds[i].revents || fds[i].fd == c->fd)
			continue;
		client = find_client(c, fds[i].fd);
		if (!client)
			continue;
		if (client->answer)
			send_answer(client);
		else if (client->asked)
			drop(client);
		else
			read_line(c, client);
	}
	/* Now that a number that was closed cannot mean two clients. */
	for (i = 0; i < count; i++)
		if (fds[i].fd == c->fd && fds[i].revents)
			accept_client(c);
	for (i = 0; i < CONTROL_CLIENTS; i++)
		if (c->clients[i].fd >= 0 && c->clients[i].until &&
		    c->clients[i].until < now)
			drop(&c->clients[i]);
}
