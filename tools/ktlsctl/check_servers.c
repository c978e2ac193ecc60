// SPDX-License-Identifier: GPL-2.0-or-later
/* The doctor's items about servers, counters and network devices. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "doctor.h"

/* Servers by the names of their processes, and what is known of them. */
static const struct kind {
	const char *comm;
	const char *never;	/* why it does not ask, or %NULL */
	const char *how;	/* to make it ask */
} kinds[] = {
	{ "nginx", NULL,
	  "ssl_conf_command Options KTLS; in its server block (and sendfile on;)" },
	{ "apache2",
	  "mod_ssl does not let OpenSSL have the socket, and so never asks", NULL },
	{ "httpd",
	  "mod_ssl does not let OpenSSL have the socket, and so never asks", NULL },
	{ "haproxy",
	  "as distributions build it, it does not let OpenSSL have the socket, and so never asks",
	  NULL },
	{ "lighttpd", NULL,
	  "it does so by itself if tls.ko can be had when it starts, unless ssl.openssl.ssl-conf-cmd has \"-KTLS\"" },
	{ "caddy", "the TLS of Go does not know kernel TLS", NULL },
	{ "traefik", "the TLS of Go does not know kernel TLS", NULL },
	{ "envoy", "BoringSSL does not know kernel TLS", NULL },
};

/* The processes of a kind in one network namespace. */
struct server {
	const struct kind *kind;
	uint64_t netns;		/* 0 if not known */
	unsigned int pid;	/* the first */
	size_t processes;
	size_t without_libssl;
	size_t hidden;
	/* kTLS sockets, as the module has them. */
	int error;
	char failure[256];
	size_t open;
	size_t closed;
	size_t adopted;		/* of nobody knows whom */
};

struct servers {
	struct server list[64];
	size_t count;
	uint64_t netns;		/* ours */
};

static const struct kind *find_kind(const char *comm)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(kinds); i++)
		if (!strcmp(kinds[i].comm, comm))
			return &kinds[i];
	return NULL;
}

static struct server *find_server(struct servers *servers,
				  const struct kind *kind, uint64_t netns)
{
	struct server *s;
	size_t i;

	for (i = 0; i < servers->count; i++) {
		s = &servers->list[i];
		if (s->kind == kind && s->netns == netns)
			return s;
	}
	if (servers->count == ARRAY_SIZE(servers->list))
		return NULL;
	s = &servers->list[servers->count++];
	*s = (struct server){ .kind = kind, .netns = netns };
	return s;
}

static void find_servers(struct servers *servers, const struct processes *p)
{
	const struct kind *kind;
	struct server *s;
	struct stat st;
	size_t i;

	memset(servers, 0, sizeof(*servers));
	if (!stat("/proc/self/ns/net", &st))
		servers->netns = st.st_ino;
	for (i = 0; i < p->count; i++) {
		kind = find_kind(p->list[i].comm);
		s = kind ? find_server(servers, kind, p->list[i].netns) : NULL;
		if (!s)
			continue;
		if (!s->processes++)
			s->pid = p->list[i].pid;
		s->hidden += p->list[i].maps_hidden;
		s->without_libssl += !p->list[i].maps_hidden &&
				     !*p->list[i].libssl.path;
	}
}

static bool is_here(const struct servers *servers, const struct server *s)
{
	return !s->netns || s->netns == servers->netns;
}

/* kTLS sockets */

struct counting {
	struct server *server;
	const struct processes *processes;
	size_t *count;
};

static bool is_of(const struct counting *c, const struct ktls_socket *socket)
{
	size_t i;

	/* A worker may be gone while its sockets are not. */
	if (!strcmp(socket->comm, c->server->kind->comm))
		return true;
	for (i = 0; socket->pid && i < c->processes->count; i++)
		if (c->processes->list[i].pid == socket->pid)
			return find_kind(c->processes->list[i].comm) ==
			       c->server->kind;
	return false;
}

static int count_socket(const struct ktls_socket *socket, void *arg)
{
	struct counting *c = arg;

	if (is_of(c, socket))
		++*c->count;
	else if (!socket->comm[0])
		c->server->adopted++;
	return 0;
}

static void count_sockets(const struct servers *servers, struct server *s,
			  const struct processes *processes)
{
	struct counting c = { .server = s, .processes = processes };
	struct ktls_filter filter = { .match = KTLS_MATCH(CLOSED) };
	struct ktls *ktls = NULL;
	char path[64];
	int netns = -1;

	if (!is_here(servers, s)) {
		snprintf(path, sizeof(path), "/proc/%u/ns/net", s->pid);
		netns = open(path, O_RDONLY | O_CLOEXEC);
		if (netns < 0) {
			s->error = errno;
			snprintf(s->failure, sizeof(s->failure),
				 "%s could not be opened: %s", path,
				 strerror(errno));
			return;
		}
	}
	s->error = -ktls_open(&ktls, netns);
	c.count = &s->closed;
	if (!s->error)
		s->error = -ktls_dump_sockets(ktls, &filter, count_socket, &c);
	c.count = &s->open;
	/* Some may be missing from a table in motion, but none is too many. */
	if (!s->error || s->error == EAGAIN)
		s->error = -ktls_dump_sockets(ktls, NULL, count_socket, &c);
	if (s->error == EAGAIN)
		s->error = 0;
	if (s->error)
		snprintf(s->failure, sizeof(s->failure), "%s",
			 ktls_strerror(ktls));
	ktls_close(ktls);
	if (netns >= 0)
		close(netns);
}

static void describe(const struct servers *servers, const struct server *s,
		     char *buffer, size_t size)
{
	const char *libssl = "libssl is mapped";
	char where[64] = "this network namespace";

	if (s->hidden)
		libssl = "whether libssl is mapped is for root to see";
	else if (s->without_libssl == s->processes)
		libssl = "no libssl is mapped";
	else if (s->without_libssl)
		libssl = "libssl is mapped by some";
	if (!s->netns)
		snprintf(where, sizeof(where),
			 "which network namespace is for root to see");
	else if (!is_here(servers, s))
		snprintf(where, sizeof(where),
			 "another network namespace (%" PRIu64 ")", s->netns);
	snprintf(buffer, size, "%zu process%s (first: %u), %s, %s",
		 s->processes, s->processes == 1 ? "" : "es", s->pid, where,
		 libssl);
}

static void check_server(struct checklist *list, const struct servers *servers,
			 const struct server *s)
{
	const char *name = s->kind->comm;
	char text[256];

	describe(servers, s, text, sizeof(text));
	if (s->open + s->closed) {
		add_item(list, "server", name, STATE_OK,
			 "%s; kTLS sockets: %zu open, %zu closed before (ktls.ko)",
			 text, s->open, s->closed);
		return;
	}
	if (s->kind->never) {
		add_item(list, "server", name, STATE_PROBLEM, "%s; %s", text,
			 s->kind->never);
		add_fix(list, "serve what should be on kernel TLS by another server, as nginx");
		return;
	}
	if (s->error) {
		add_item(list, "server", name, STATE_UNKNOWN,
			 "%s; whether it has kTLS sockets is not known: %s",
			 text, s->failure);
		return;
	}
	if (!sees_all_sockets()) {
		add_item(list, "server", name, STATE_UNKNOWN,
			 "%s; whether it has kTLS sockets is for root to see",
			 text);
		return;
	}
	if (s->adopted) {
		add_item(list, "server", name, STATE_UNKNOWN,
			 "%s; no kTLS socket is known to be its own, but %zu had their keys before ktls.ko was loaded, by nobody knows whom",
			 text, s->adopted);
		return;
	}
	add_item(list, "server", name, STATE_UNKNOWN,
		 "%s; it had no kTLS socket since ktls.ko was loaded: no client came, or it does not ask",
		 text);
	add_fix(list, "to make it ask: %s; then connect once, and type: ktlsctl stats --closed",
		s->kind->how);
}

void check_servers(struct checklist *list, const struct findings *f)
{
	struct servers *servers = malloc(sizeof(*servers));
	size_t i;

	if (!servers)
		return;
	find_servers(servers, &f->processes);
	for (i = 0; i < servers->count; i++) {
		count_sockets(servers, &servers->list[i], &f->processes);
		check_server(list, servers, &servers->list[i]);
	}
	if (!servers->count)
		add_item(list, "server", "processes", STATE_UNKNOWN,
			 "none runs that this program knows by name (nginx, apache2, haproxy, lighttpd ...; /proc/PID/comm)");
	free(servers);
}

/* Counters */

static void check_tls_stat(struct checklist *list, const char *name,
			   const char *where, const char *text, const char *path)
{
	static const char *const errors[] = {
		"TlsDecryptError", "TlsTxRekeyError", "TlsRxRekeyError",
	};
	static const char *const used[] = {
		"TlsTxSw", "TlsRxSw", "TlsTxDevice", "TlsRxDevice",
	};
	uint64_t value, sum = 0, wrong = 0;
	char counters[512];
	size_t i;

	for (i = 0; i < ARRAY_SIZE(used); i++)
		if (parse_counter(text, used[i], &value))
			sum += value;
	for (i = 0; i < ARRAY_SIZE(errors); i++)
		if (parse_counter(text, errors[i], &value))
			wrong += value;
	format_counters(text, counters, sizeof(counters));
	if (wrong) {
		add_item(list, "counters", name, STATE_PROBLEM,
			 "%s%s: %s; a connection with such an error is broken",
			 path, where, counters);
		add_fix(list, "to see whose it is when it comes again, type: ktlsctl monitor; damaged or forged records count as well");
	} else if (!sum) {
		add_item(list, "counters", name, STATE_UNKNOWN,
			 "%s%s: no connection was ever on kernel TLS, or tls.ko was loaded only now",
			 path, where);
	} else {
		add_item(list, "counters", name, STATE_OK,
			 "%s%s: %s (what ktlsctl probe and doctor tried before is among them)",
			 path, where, counters);
	}
}

static void check_other_namespace(struct checklist *list,
				  const struct server *s)
{
	char path[64], where[128], *text;

	snprintf(path, sizeof(path), "/proc/%u/net/tls_stat", s->pid);
	text = read_text(path);
	if (!text) {
		add_item(list, "counters", s->kind->comm, STATE_UNKNOWN,
			 "%s could not be read: %s; it runs in a network namespace of its own, so that the counters of this one say nothing about it",
			 path, strerror(errno));
		return;
	}
	snprintf(where, sizeof(where),
		 " (not the namespace of this shell, whose counters say nothing about it)");
	check_tls_stat(list, s->kind->comm, where, text, path);
	add_fix(list, "to see its sockets, type: ktlsctl --netns %u stats",
		s->pid);
	free(text);
}

void check_counters(struct checklist *list, const struct findings *f)
{
	struct servers *servers = malloc(sizeof(*servers));
	size_t i, j;

	if (!servers)
		return;
	if (f->tls_stat)
		check_tls_stat(list, "tls_stat", "", f->tls_stat,
			       "/proc/net/tls_stat");
	else
		add_item(list, "counters", "tls_stat", STATE_UNKNOWN,
			 "/proc/net/tls_stat could not be read: %s%s",
			 strerror(f->tls_stat_error),
			 f->tls_stat_error == ENOENT ?
			 "; it comes with tls.ko" : "");
	find_servers(servers, &f->processes);
	for (i = 0; i < servers->count; i++) {
		const struct server *s = &servers->list[i];

		/* Each namespace once. */
		for (j = 0; j < i; j++)
			if (servers->list[j].netns == s->netns)
				break;
		if (j == i && !is_here(servers, s))
			check_other_namespace(list, s);
	}
	free(servers);
}

/* Network devices */

static const char *feature_name(enum feature feature)
{
	static const char *const names[] = {
		[FEATURE_ABSENT] = "absent",
		[FEATURE_OFF] = "off",
		[FEATURE_ON] = "on",
	};

	return names[feature];
}

static void check_device(struct checklist *list, const struct device *d)
{
	add_item(list, "device", d->name, STATE_OK,
		 "tls-hw-tx-offload is %s, tls-hw-rx-offload is %s (ethtool)",
		 feature_name(d->tx), feature_name(d->rx));
	if (d->tx == FEATURE_OFF || d->rx == FEATURE_OFF)
		add_fix(list, "where the device is to do it instead of the CPU, type: ethtool -K %s%s%s",
			d->name, d->tx == FEATURE_OFF ?
			" tls-hw-tx-offload on" : "",
			d->rx == FEATURE_OFF ? " tls-hw-rx-offload on" : "");
}

void check_devices(struct checklist *list)
{
	char plain[512] = "";
	struct device *devices;
	size_t i, count, len = 0;

	devices = read_devices(&count);
	if (!devices) {
		add_item(list, "device", "devices", STATE_UNKNOWN,
			 "the network devices could not be listed: %s",
			 strerror(errno));
		return;
	}
	for (i = 0; i < count; i++) {
		const struct device *d = &devices[i];

		if (d->error) {
			add_item(list, "device", d->name, STATE_UNKNOWN,
				 "its features could not be read (ethtool): %s",
				 strerror(d->error));
		} else if (d->tx != FEATURE_ABSENT || d->rx != FEATURE_ABSENT) {
			check_device(list, d);
		} else if (len < sizeof(plain)) {
			len += snprintf(plain + len, sizeof(plain) - len,
					"%s%s", len ? ", " : "", d->name);
		}
	}
	/* As nearly all: nothing is wrong with that. */
	if (len)
		add_item(list, "device", "no offload", STATE_OK,
			 "%s: the CPU does it (ethtool: no tls-hw-tx-offload, no tls-hw-rx-offload)",
			 plain);
	free(devices);
}
