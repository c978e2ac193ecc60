// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What the configuration that a running server was started with says of kernel
 * TLS.  The readers, a file per server, find the parts of it that may serve a
 * connection; here is what follows from these.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "conf_server.h"

/* How far up a worker looks for its master. */
#define MASTERS_MAX 4

static const struct conf_kind kinds[] = {
	{ "nginx", read_nginx, "ssl_conf_command Options KTLS",
	  "nginx -s reload", NULL, true, NULL },
	{ "apache2", read_apache, NULL, "apachectl graceful", NULL, false,
	  "mod_ssl does not let OpenSSL have the socket, and so never asks" },
	{ "httpd", read_apache, NULL, "apachectl graceful", NULL, false,
	  "mod_ssl does not let OpenSSL have the socket, and so never asks" },
	{ "haproxy", read_haproxy, "ktls on on the bind line",
	  "systemctl reload haproxy", NULL, false,
	  "this build of HAProxy does not let OpenSSL have the socket, and so never asks" },
	{ "lighttpd", read_lighttpd,
	  "ssl.openssl.ssl-conf-cmd = (\"Options\" => \"KTLS\")",
	  "systemctl restart lighttpd",
	  "if tls.ko could be had when it started (as root it loads that itself)", true, NULL },
	{ "stunnel4", read_stunnel, "options = ENABLE_KTLS in its section",
	  "restart stunnel", NULL, true, NULL },
	{ "stunnel", read_stunnel, "options = ENABLE_KTLS in its section",
	  "restart stunnel", NULL, true, NULL },
	{ "hitch", read_hitch,
	  "Options = KTLS in the section system_default of openssl.cnf",
	  "restart hitch", NULL, true, NULL },
	{ "openssl", read_openssl, "-ktls on its command line",
	  "start it again", NULL, true, NULL },
};

const struct conf_kind *conf_kind(const char *name)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(kinds); i++)
		if (!strcmp(kinds[i].name, name))
			return &kinds[i];
	return NULL;
}

/* Addresses */

static bool is_any(const uint8_t *addr, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++)
		if (addr[i])
			return false;
	return true;
}

enum conf_match conf_match_addr(const char *addr, bool v6only,
				const struct conf_end *end)
{
	size_t n = strlen(addr);
	char bare[64];
	uint8_t a[16];

	if (!n || !strcmp(addr, "*"))
		return CONF_ANY;
	if (n >= sizeof(bare))
		return CONF_PERHAPS;
	strcpy(bare, addr);
	if (addr[0] == '[' && addr[n - 1] == ']') {
		memcpy(bare, addr + 1, n - 2);
		bare[n - 2] = '\0';
	}
	/* An interface. */
	bare[strcspn(bare, "%")] = '\0';
	if (!strcmp(bare, "localhost"))
		strcpy(bare, end->family == AF_INET ? "127.0.0.1" : "::1");
	if (inet_pton(AF_INET, bare, a) == 1) {
		if (end->family != AF_INET)
			return CONF_NO_MATCH;
		if (is_any(a, 4))
			return CONF_ANY;
		return memcmp(a, end->addr, 4) ? CONF_NO_MATCH : CONF_EXACT;
	}
	if (inet_pton(AF_INET6, bare, a) == 1) {
		if (is_any(a, 16))
			return end->family == AF_INET6 || end->mapped ||
			       !v6only ? CONF_ANY : CONF_NO_MATCH;
		if (end->family == AF_INET)
			return CONF_NO_MATCH;
		return memcmp(a, end->addr, 16) ? CONF_NO_MATCH : CONF_EXACT;
	}
	return CONF_PERHAPS;
}

enum conf_match conf_match_v4(const char *addr, bool v6only,
			      const struct conf_end *end)
{
	return conf_match_addr(*addr && strcmp(addr, "*") ? addr : "0.0.0.0",
			       v6only, end);
}

bool conf_split_addr(char *s, char **addr, uint16_t *port)
{
	static char any[] = "";
	char *colon = strrchr(s, ':'), *bracket = strrchr(s, ']');
	uint64_t value;

	if (colon && (!bracket || bracket < colon)) {
		*colon = '\0';
		*addr = s;
		s = colon + 1;
	} else if (bracket || !parse_number(s, UINT16_MAX, &value)) {
		*addr = s;
		return false;
	} else {
		*addr = any;
	}
	if (!parse_number(s, UINT16_MAX, &value))
		value = 0;	/* a range, or a variable */
	*port = value;
	return true;
}

static void set_end(struct conf_end *end, uint16_t family, const uint8_t *addr,
		    uint16_t port)
{
	*end = (struct conf_end){ .family = family, .port = port };
	memcpy(end->addr, addr, family == AF_INET ? 4 : 16);
	if (family == AF_INET6 &&
	    IN6_IS_ADDR_V4MAPPED((const struct in6_addr *)addr)) {
		end->family = AF_INET;
		end->mapped = true;
		memmove(end->addr, end->addr + 12, 4);
	}
}

/* Settings */

enum conf_setting conf_options(enum conf_setting before, const char *value)
{
	int found = find_ktls_option(value);

	return found > 0 ? CONF_ON : found < 0 ? CONF_OFF : before;
}

void conf_add(struct conf_result *r, enum conf_match match,
	      enum conf_setting setting, const char *file, unsigned int line)
{
	/* An address beats all addresses; what is not known beats nothing. */
	if (match == CONF_EXACT && r->best == CONF_ANY) {
		memset(r->count, 0, sizeof(r->count));
		r->best = CONF_EXACT;
	}
	if (match == CONF_ANY && r->best == CONF_EXACT)
		return;
	if (match > r->best || r->best == CONF_NO_MATCH)
		r->best = match;
	if (!r->count[setting]++)
		snprintf(r->from[setting], sizeof(r->from[setting]), "%s:%u",
			 file, line);
}

/* What follows */

__attribute__((format(printf, 3, 4)))
static void say(char *text, size_t size, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, size, format, ap);
	va_end(ap);
}

/* The settings that were found, each with what it comes to. */
static void conclude(const struct conf_kind *k, struct conf_result *r,
		     const struct openssl_cnf *cnf, struct server_conf *c)
{
	const size_t *n = r->count;
	bool own_io = k->own_io && !r->knows_ktls;
	bool cnf_on = (k->has_cnf && cnf && cnf->ktls) || r->always;
	bool on = n[CONF_ON] || (n[CONF_UNSET] && (cnf_on || own_io));
	bool depends = n[CONF_UNSET] && !cnf_on && k->by_default;
	bool off = n[CONF_OFF] ||
		   (n[CONF_UNSET] && !cnf_on && !own_io && !depends);
	enum conf_setting s;
	size_t servers = 0;

	for (s = 0; s < CONF_SETTINGS; s++) {
		servers += n[s];
		if (n[s])
			snprintf(c->from, sizeof(c->from), "%s", r->from[s]);
	}
	c->several = servers > 1;
	if (on + off + depends + !!n[CONF_PLAIN] > 1) {
		say(c->text, sizeof(c->text),
		    "parts of the configuration that may serve this connection differ: as %s has it, and as %s",
		    n[CONF_ON] ? r->from[CONF_ON] : r->from[CONF_UNSET],
		    n[CONF_OFF] ? r->from[CONF_OFF] :
		    n[CONF_PLAIN] ? r->from[CONF_PLAIN] : r->from[CONF_UNSET]);
		return;
	}
	if (r->outgoing && on && !own_io) {
		say(c->text, sizeof(c->text),
		    "this is no port that %s listens on; it is told to ask on some of the connections that it makes",
		    k->name);
		return;
	}
	if (depends) {
		say(c->text, sizeof(c->text),
		    "%s is not told whether to ask for kernel TLS, and asks %s",
		    k->name, k->by_default);
		say(c->next, sizeof(c->next), "to make it ask: %s; then: %s",
		    k->option, k->reload);
		return;
	}
	if (!on && !off && !n[CONF_PLAIN]) {
		say(c->text, sizeof(c->text),
		    "nothing in the configuration of %s is about this port",
		    k->name);
		return;
	}
	if (n[CONF_PLAIN]) {
		c->asks = ANSWER_NO;
		c->reason = "not-tls";
		say(c->text, sizeof(c->text),
		    "%s has no TLS on this port by its configuration", k->name);
		return;
	}
	if (own_io) {
		c->asks = ANSWER_NO;
		c->reason = "program-own-io";
		say(c->text, sizeof(c->text), "%s%s", k->own_io,
		    n[CONF_ON] ? ", whatever it is told" : "");
		return;
	}
	if (on) {
		c->asks = ANSWER_YES;
		c->tx_reason = r->padding || (cnf && k->has_cnf && cnf->padding) ?
			       "record-padding" :
			       r->fragments ? "small-fragments" : NULL;
		if (n[CONF_ON])
			say(c->text, sizeof(c->text),
			    "%s is told to ask for kernel TLS", k->name);
		else if (r->always)
			say(c->text, sizeof(c->text),
			    "%s asks for kernel TLS unless told not to, and is not",
			    k->name);
		else
			say(c->text, sizeof(c->text),
			    "%s is told to ask for kernel TLS by %s", k->name,
			    cnf->path);
		return;
	}
	c->asks = ANSWER_NO;
	c->reason = "option-not-set";
	if (n[CONF_OFF])
		say(c->text, sizeof(c->text),
		    "%s is told not to ask for kernel TLS", k->name);
	else
		say(c->text, sizeof(c->text),
		    "%s asks for kernel TLS only if told to, and is not%s%s",
		    k->name, k->has_cnf ? "; nor by " : "",
		    k->has_cnf ? cnf->path : "");
	if (k->option)
		say(c->next, sizeof(c->next), "to make it ask: %s; then: %s",
		    k->option, k->reload);
}

void conf_read(const struct conf_kind *k, struct conf_result *r, int argc,
	       char **argv, const struct openssl_cnf *cnf, uint64_t started,
	       struct server_conf *c)
{
	const char *newer;

	memset(c, 0, sizeof(*c));
	c->asks = ANSWER_UNKNOWN;
	k->read(r, argc, argv);
	c->outgoing = r->outgoing;
	if (*conf_failure(r->files)) {
		say(c->text, sizeof(c->text),
		    "the configuration of %s is not known in full: %s", k->name,
		    conf_failure(r->files));
		return;
	}
	newer = conf_newer(r->files, started);
	if (newer) {
		say(c->text, sizeof(c->text),
		    "the configuration of %s was changed since the process started, and may not be the one in use: %.160s",
		    k->name, newer);
		snprintf(c->from, sizeof(c->from), "%s", newer);
		say(c->next, sizeof(c->next), "%s", k->reload);
		return;
	}
	/* Something has to be known of what is not said. */
	if (r->count[CONF_UNSET] && k->has_cnf && !r->always &&
	    (!cnf || *cnf->failure)) {
		say(c->text, sizeof(c->text),
		    "%s leaves it to OpenSSL's own configuration, which is not known: %s",
		    k->name, cnf ? cnf->failure : "its name was not found");
		snprintf(c->from, sizeof(c->from), "%s", r->from[CONF_UNSET]);
		return;
	}
	conclude(k, r, cnf, c);
}

/* Processes */

/* Field 4 and 22 of /proc/PID/stat. */
static bool read_stat(unsigned int pid, unsigned int *parent, uint64_t *ticks)
{
	char path[64], *text, *s;
	bool ok = false;

	snprintf(path, sizeof(path), "/proc/%u/stat", pid);
	text = read_text(path);
	/* The name may hold anything, but nothing behind it a bracket. */
	s = text ? strrchr(text, ')') : NULL;
	if (s)
		ok = sscanf(s, ") %*c %u %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %" SCNu64,
			    parent, ticks) == 2;
	free(text);
	return ok;
}

static uint64_t clock_ns(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return ts.tv_sec * 1000000000ull + ts.tv_nsec;
}

/* When it started, by CLOCK_REALTIME; ticks begin with the boot. */
static uint64_t start_time(uint64_t ticks)
{
	const uint64_t tick = 1000000000 / sysconf(_SC_CLK_TCK);

	/* It is cut down to a whole one. */
	return clock_ns(CLOCK_REALTIME) - clock_ns(CLOCK_BOOTTIME) +
	       (ticks + 1) * tick;
}

static bool read_exe(unsigned int pid, char name[NAME_MAX + 1],
		     struct stat *st)
{
	char path[64], link[PATH_MAX], *slash;
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%u/exe", pid);
	n = readlink(path, link, sizeof(link) - 1);
	if (n < 0 || stat(path, st))
		return false;
	link[n] = '\0';
	slash = strrchr(link, '/');
	slash = slash ? slash + 1 : link;
	/* An upgrade replaces it under a running server. */
	if (n > 10 && !strcmp(link + n - 10, " (deleted)"))
		link[n - 10] = '\0';
	snprintf(name, NAME_MAX + 1, "%.255s", slash);
	return true;
}

/* A worker's configuration is that of its master, which runs the same. */
static unsigned int find_master(unsigned int pid, const struct stat *exe)
{
	char name[NAME_MAX + 1];
	unsigned int parent, i;
	struct stat st;
	uint64_t ticks;

	for (i = 0; i < MASTERS_MAX; i++) {
		if (!read_stat(pid, &parent, &ticks) || parent <= 1 ||
		    !read_exe(parent, name, &st) ||
		    st.st_dev != exe->st_dev || st.st_ino != exe->st_ino)
			break;
		pid = parent;
	}
	return pid;
}

/*
 * OpenSSL reads its configuration once, when the program starts: what makes a
 * server read its own again does not reach it.
 */
static void read_cnf(struct conf_files *files, unsigned int master,
		     const struct mapped *libssl, struct openssl_cnf *cnf)
{
	unsigned int parent;
	const char *newer;
	uint64_t ticks;

	if (read_process_cnf(files, libssl, cnf) &&
	    read_stat(master, &parent, &ticks)) {
		newer = conf_newer(files, start_time(ticks));
		if (newer)
			snprintf(cnf->failure, sizeof(cnf->failure),
				 "%.80s was changed since the process started",
				 newer);
	}
	conf_forget_newer(files);
}

bool read_server_conf(const struct process *process, uint16_t family,
		      const uint8_t *local_addr, uint16_t local_port,
		      struct server_conf *conf)
{
	char name[NAME_MAX + 1], **argv;
	unsigned int master, parent;
	const struct conf_kind *kind;
	struct conf_result *result;
	struct openssl_cnf cnf;
	uint64_t ticks = 0;
	bool has_exe;
	struct stat exe;
	int argc;

	has_exe = read_exe(process->pid, name, &exe);
	if (!has_exe)
		snprintf(name, sizeof(name), "%s", process->comm);
	kind = conf_kind(name);
	if (!kind)
		return false;
	memset(conf, 0, sizeof(*conf));
	conf->asks = ANSWER_UNKNOWN;
	result = calloc(1, sizeof(*result));
	master = has_exe ? find_master(process->pid, &exe) : process->pid;
	if (result)
		result->files = conf_open(master);
	if (result && !has_exe) {
		/* Without it, its master and what that was told are not found. */
		say(conf->text, sizeof(conf->text),
		    "the configuration of %s was not looked for, as /proc/%u/exe is hidden",
		    kind->name, process->pid);
		say(conf->next, sizeof(conf->next), "try it as root");
		if (result->files)
			conf_close(result->files);
		free(result);
		return true;
	}
	if (!result || !result->files) {
		say(conf->text, sizeof(conf->text),
		    "the configuration of %s could not be read: /proc/%u/root: %s",
		    kind->name, master, strerror(errno));
		say(conf->next, sizeof(conf->next), "try it as root");
		free(result);
		return true;
	}
	set_end(&result->end, family, local_addr, local_port);
	argc = conf_args(result->files, &argv);
	if (kind->has_cnf)
		read_cnf(result->files, master, &process->libssl, &cnf);
	if (!read_stat(process->pid, &parent, &ticks))
		conf_fail(result->files, "the process is gone");
	/* Another library, or one that is linked in. */
	if (!kind->own_io && !process->maps_hidden && !*process->libssl.path)
		conf_fail(result->files, "it has no libssl.so mapped");
	conf_read(kind, result, argc, argv, kind->has_cnf ? &cnf : NULL,
		  start_time(ticks), conf);
	if (!strcmp(conf->from, "/proc/PID/cmdline:1"))
		snprintf(conf->from, sizeof(conf->from), "/proc/%u/cmdline",
			 master);
	conf_close(result->files);
	free(result);
	return true;
}
