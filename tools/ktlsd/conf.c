// SPDX-License-Identifier: GPL-2.0-or-later
/* What the settings of a configuration mean, and what is wrong with them. */
#include <arpa/inet.h>
#include <errno.h>
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "conf.h"
#include "ktlsd.h"
#include "settings.h"

/* What is read once all of a section is there, as it depends on each other. */
struct draft {
	const struct setting *address;
	const struct setting *backend;
	const struct setting *root;
	const struct setting *certificate;
	const struct setting *key;
	const struct setting *client_auth;
	const struct setting *ca;
	const struct setting *server_name;
	/* Of services, where there is another name for it, too. */
	const struct setting *role;
	const struct setting *client_ca;
};

struct reader {
	struct conf *conf;
	struct complaints complaints;
	struct draft draft;		/* of the section in hand */
};

enum type {
	NUMBER,		/* unsigned int */
	BOOLEAN,
	PATH,
	TEXT,
	WORD,		/* bool: whether it is the second of @words */
	PROTOCOLS,	/* alpn */
	LATER,		/* struct draft */
};

struct option {
	const char *name;
	enum type type;
	size_t offset;
	unsigned int least, most;
	const char *unit;
	const char *words;	/* with a space between */
	bool list;
};

#define OPTION(structure, option, kind, member, ...)			\
	{ .name = option, .type = kind, .offset = offsetof(structure, member), \
	  __VA_ARGS__ }
#define CONF(...) OPTION(struct conf, __VA_ARGS__)
#define EACH(...) OPTION(struct conf_listener, __VA_ARGS__)
#define PART(option, ...) OPTION(struct draft, option, LATER, __VA_ARGS__)
#define FROM_TO(from, to, of) .least = from, .most = to, .unit = of

static const struct option top_options[] = {
	CONF("user", TEXT, user),
	CONF("workers", NUMBER, workers, FROM_TO(1, 1024, "processes")),
	CONF("control", PATH, control),
	CONF("handshake", PATH, handshake),
	CONF("handshake-group", TEXT, handshake_group),
	CONF("ticket-hours", NUMBER, ticket_hours, FROM_TO(1, 84, "hours")),
	CONF("drain-timeout", NUMBER, drain_timeout, FROM_TO(1, 86400, "seconds")),
	CONF("prove-interval", NUMBER, prove_interval, FROM_TO(0, 86400, "seconds")),
};

/* Of all that does TLS, */
#define TLS								\
	PART("certificate", certificate, .list = true),			\
	PART("key", key, .list = true),					\
	EACH("alpn", PROTOCOLS, alpn, .list = true),			\
	EACH("max-connections", NUMBER, max_connections,		\
	     FROM_TO(1, 1000000, "connections")),			\
	EACH("max-handshakes", NUMBER, max_handshakes,			\
	     FROM_TO(1, 100000, "handshakes")),				\
	EACH("handshake-timeout", NUMBER, handshake_timeout,		\
	     FROM_TO(1, 600, "seconds"))

/* and of what has an address, and a backend. */
#define COMMON								\
	PART("address", address),					\
	TLS,								\
	PART("backend", backend),					\
	EACH("require", WORD, require_kernel, .words = "any kernel"),	\
	EACH("source-rate", NUMBER, source_rate,			\
	     FROM_TO(0, 1000000, "connections a second"))

static const struct option listener_options[] = {
	COMMON,
	PART("root", root),
	EACH("proxy-protocol", BOOLEAN, proxy_protocol),
	PART("client-certificate", client_auth),
	PART("client-ca", ca),
};

static const struct option connector_options[] = {
	COMMON,
	PART("server-name", server_name),
	PART("ca", ca),
};

static const struct option service_options[] = {
	TLS,
	PART("role", role),
	PART("client-certificate", client_auth),
	PART("client-ca", client_ca),
	PART("server-name", server_name),
	PART("ca", ca),
};

#define OPTIONS_MAX 32

static const struct section_type {
	const char *name;
	const struct option *options;
	size_t count;
} section_types[] = {
	{ "", top_options, ARRAY_SIZE(top_options) },
	{ "listener", listener_options, ARRAY_SIZE(listener_options) },
	{ "connector", connector_options, ARRAY_SIZE(connector_options) },
	{ "service", service_options, ARRAY_SIZE(service_options) },
};

#define bad(r, setting, ...) complain(&(r)->complaints, (setting)->line, __VA_ARGS__)

static void read_number(struct reader *r, const struct setting *s,
			const struct option *o, unsigned int *to)
{
	const char *text = s->values[0];
	unsigned long value;
	char *end;

	errno = 0;
	value = strtoul(text, &end, 10);
	if (*text < '0' || *text > '9' || *end || errno || value < o->least ||
	    value > o->most)
		bad(r, s, "%s takes a number of %s from %u to %u, not \"%s\"", s->name,
		    o->unit, o->least, o->most, text);
	else
		*to = value;
}

static void read_boolean(struct reader *r, const struct setting *s, bool *to)
{
	static const char *const words[] = { "false", "true", "no", "yes", "off", "on" };
	size_t i;

	for (i = 0; i < ARRAY_SIZE(words); i++)
		if (!strcasecmp(s->values[0], words[i]))
			break;
	if (i == ARRAY_SIZE(words))
		bad(r, s, "%s takes true or false, not \"%s\"", s->name, s->values[0]);
	else
		*to = i % 2;
}

/* The place of a word among others, or -1 and a complaint. */
static int read_word(struct reader *r, const struct setting *s, const char *words)
{
	const char *text = s->values[0], *word = words;
	size_t len;
	int i;

	for (i = 0; *word; i++) {
		len = strcspn(word, " ");
		if (strlen(text) == len && !strncmp(text, word, len))
			return i;
		word += len;
		word += strspn(word, " ");
	}
	bad(r, s, "%s takes one of these words: %s; not \"%s\"", s->name, words, text);
	return -1;
}

static bool is_path(struct reader *r, const struct setting *s, const char *path)
{
	if (path[0] == '/' && strlen(path) < PATH_MAX)
		return true;
	if (path[0] == '/')
		bad(r, s, "the path of %s is too long", s->name);
	else
		bad(r, s, "%s takes a path from / on, not \"%s\"", s->name, path);
	return false;
}

static void read_path(struct reader *r, const struct setting *s, char **to)
{
	if (!is_path(r, s, s->values[0]))
		return;
	free(*to);
	*to = must(strdup(s->values[0]));
}

static void add_protocol(struct conf_listener *l, const char *name)
{
	size_t len = strlen(name);

	l->alpn = must(realloc(l->alpn, l->alpn_len + 1 + len));
	l->alpn[l->alpn_len++] = len;
	memcpy(l->alpn + l->alpn_len, name, len);
	l->alpn_len += len;
}

static void read_protocols(struct reader *r, const struct setting *s,
			   struct conf_listener *l)
{
	size_t i, len;

	for (i = 0; i < s->count; i++) {
		len = strlen(s->values[i]);
		if (!len || len > 255 || l->alpn_len + 1 + len > 0xffff) {
			bad(r, s, "%s takes names of 1 to 255 bytes, 65535 together",
			    s->name);
			return;
		}
		add_protocol(l, s->values[i]);
	}
}

/* @base is what offsets of the section's options count from. */
static void read_setting(struct reader *r, const struct setting *s,
			 const struct option *o, void *base)
{
	void *to = (char *)(o->type == LATER ? &r->draft : base) + o->offset;
	int word;

	if (s->count > 1 && !o->list) {
		bad(r, s, "%s takes one value, not %zu", s->name, s->count);
		return;
	}
	switch (o->type) {
	case NUMBER:
		read_number(r, s, o, to);
		break;
	case BOOLEAN:
		read_boolean(r, s, to);
		break;
	case PATH:
		read_path(r, s, to);
		break;
	case TEXT:
		free(*(char **)to);
		*(char **)to = must(strdup(s->values[0]));
		break;
	case WORD:
		word = read_word(r, s, o->words);
		*(bool *)to = word > 0;
		break;
	case PROTOCOLS:
		read_protocols(r, s, base);
		break;
	case LATER:
		*(const struct setting **)to = s;
		break;
	}
}

static void read_section(struct reader *r, const struct section *section,
			 const struct section_type *type, void *base)
{
	const struct setting *s;
	size_t i, j;

	r->draft = (struct draft){ 0 };
	for (i = 0; i < section->count; i++) {
		s = &section->settings[i];
		for (j = 0; j < i; j++)
			if (!strcmp(section->settings[j].name, s->name))
				break;
		if (j < i) {
			bad(r, s, "%s is given a second time, after line %u; remove one%s",
			    s->name, section->settings[j].line,
			    strcmp(s->name, "certificate") && strcmp(s->name, "key") &&
			    strcmp(s->name, "alpn") ? "" :
			    ", or make a list: { FIRST, SECOND }");
			continue;
		}
		for (j = 0; j < type->count; j++)
			if (!strcmp(type->options[j].name, s->name))
				read_setting(r, s, &type->options[j], base);
	}
}

static void read_address(struct reader *r, const struct setting *s, bool resolve,
			 struct address *to)
{
	char wrong[512];

	if (address_parse(to, s->values[0], resolve, wrong, sizeof(wrong)))
		bad(r, s, "%s \"%s\": %s", s->name, s->values[0], wrong);
}

/* The same files are one identity, however many listeners have it. */
static size_t add_identity(struct conf *conf, char *chain, char *key, unsigned int line)
{
	struct conf_identity *identity;
	size_t i;

	for (i = 0; i < conf->identities_count; i++) {
		identity = &conf->identities[i];
		if (!strcmp(identity->chain, chain) && !strcmp(identity->key, key)) {
			free(chain);
			free(key);
			return i;
		}
	}
	conf->identities = must(reallocarray(conf->identities, i + 1,
					     sizeof(*conf->identities)));
	conf->identities[conf->identities_count++] = (struct conf_identity){
		.chain = chain,
		.key = key,
		.line = line,
	};
	return i;
}

static bool is_directory(const char *path)
{
	struct stat st;

	return !stat(path, &st) && S_ISDIR(st.st_mode);
}

static char *in_directory(const char *directory, const char *name)
{
	char *path;

	return must(asprintf(&path, "%s/%s", directory, name) < 0 ? NULL : path);
}

static void read_identities(struct reader *r, struct conf_listener *l)
{
	const struct setting *c = r->draft.certificate, *k = r->draft.key;
	char *chain, *key;
	size_t i;

	if (k && !c) {
		bad(r, k, "there is a key, and no certificate; name the certificate, too");
		return;
	}
	if (k && k->count != c->count) {
		bad(r, k, "there %s %zu certificate%s and %zu key%s; name a key for each, in the same order, or none where they are in the same files",
		    c->count == 1 ? "is" : "are", c->count, c->count == 1 ? "" : "s",
		    k->count, k->count == 1 ? "" : "s");
		return;
	}
	if (c && conf_is_client(l) && c->count > 1) {
		bad(r, c, "a client has one certificate at most, not %zu", c->count);
		return;
	}
	for (i = 0; c && i < c->count; i++) {
		if (!is_path(r, c, c->values[i]) || (k && !is_path(r, k, k->values[i])))
			continue;
		if (is_directory(c->values[i])) {
			chain = in_directory(c->values[i], "fullchain.pem");
			key = k ? must(strdup(k->values[i])) :
				  in_directory(c->values[i], "privkey.pem");
		} else {
			chain = must(strdup(c->values[i]));
			key = must(strdup(k ? k->values[i] : chain));
		}
		l->identities = must(reallocarray(l->identities, l->identities_count + 1,
						  sizeof(*l->identities)));
		l->identities[l->identities_count++] =
			add_identity(r->conf, chain, key, c->line);
	}
}

static void finish_ca(struct reader *r, struct conf_listener *l)
{
	const struct setting *auth = r->draft.client_auth;
	int word;

	if (auth) {
		word = read_word(r, auth, "none optional required");
		l->client_auth = word < 0 ? CLIENT_AUTH_NONE : (enum client_auth)word;
	}
	if (r->draft.ca)
		read_path(r, r->draft.ca, &l->ca);
	if (l->client_auth && !r->draft.ca)
		bad(r, auth, "%s = %s wants to know whom to trust; name a file of certificates with client-ca",
		    auth->name, auth->values[0]);
	if (!conf_is_client(l) && r->draft.ca && !auth)
		bad(r, r->draft.ca, "client-ca alone asks no client; write client-certificate = optional or required, too");
}

static bool is_unix(const struct address *a)
{
	return a->any.sa_family == AF_UNIX;
}

static void finish_server(struct reader *r, struct conf_listener *l)
{
	if (l->address.len && is_unix(&l->address))
		bad(r, r->draft.address,
		    "TLS in the kernel is on TCP only; give an address and a port");
	if (!r->draft.certificate)
		complain(&r->complaints, l->line,
			 "listener %s has no certificate; write certificate = \"/path\"",
			 l->name);
	if (r->draft.root && r->draft.backend)
		bad(r, r->draft.root,
		    "root and backend (line %u) exclude each other: files are served, or connections handed on; remove one",
		    r->draft.backend->line);
	else if (r->draft.root)
		l->kind = LISTENER_FILES;
	else if (!r->draft.backend)
		complain(&r->complaints, l->line,
			 "listener %s has no backend; write backend = \"ADDRESS:PORT\", or root = \"/directory\" to serve files",
			 l->name);
	if (r->draft.root) {
		read_path(r, r->draft.root, &l->root);
		if (!l->alpn_len)
			add_protocol(l, "http/1.1");
		if (l->proxy_protocol)
			bad(r, r->draft.root,
			    "with root there is nobody to speak proxy-protocol to; remove it");
	}
}

static void read_server_name(struct reader *r, struct conf_listener *l)
{
	const struct setting *name = r->draft.server_name;

	if (!name->values[0][0] || strlen(name->values[0]) > 255)
		bad(r, name, "%s takes a name of 1 to 255 bytes", name->name);
	else
		l->server_name = must(strdup(name->values[0]));
}

static void not_of_role(struct reader *r, const struct setting *s, const char *role,
			const char *what_to_do)
{
	if (s)
		bad(r, s, "%s is not for role = %s; %s", s->name, role, what_to_do);
}

static void finish_service(struct reader *r, struct conf_listener *l)
{
	const struct setting *role = r->draft.role;
	int word;

	if (!role) {
		complain(&r->complaints, l->line,
			 "service %s has no role; write role = server or role = client",
			 l->name);
		return;
	}
	word = read_word(r, role, "server client");
	if (word < 0)
		return;
	if (word) {
		l->kind = LISTENER_SERVICE_CLIENT;
		not_of_role(r, r->draft.client_ca, "client",
			    "ca names whom to trust a server of");
		not_of_role(r, r->draft.client_auth, "client", "remove it");
		r->draft.client_auth = NULL;
		if (r->draft.server_name)
			read_server_name(r, l);
		return;
	}
	not_of_role(r, r->draft.ca, "server",
		    "client-ca names whom to trust a client of");
	not_of_role(r, r->draft.server_name, "server", "remove it");
	r->draft.ca = r->draft.client_ca;
	if (!r->draft.certificate)
		complain(&r->complaints, l->line,
			 "service %s has no certificate; write certificate = \"/path\"",
			 l->name);
}

static void finish_connector(struct reader *r, struct conf_listener *l)
{
	const char *backend, *colon;

	if (!r->draft.backend) {
		complain(&r->complaints, l->line,
			 "connector %s has no backend; write backend = \"HOST:PORT\"",
			 l->name);
		return;
	}
	if (l->backend.len && is_unix(&l->backend)) {
		bad(r, r->draft.backend,
		    "TLS in the kernel is on TCP only; give a host and a port");
		return;
	}
	if (r->draft.server_name) {
		read_server_name(r, l);
		return;
	}
	backend = r->draft.backend->values[0];
	colon = strrchr(backend, ':');
	if (!colon)
		return;		/* and known to be wrong */
	if (backend[0] == '[' && colon > backend + 1)
		l->server_name = must(strndup(backend + 1, colon - backend - 2));
	else
		l->server_name = must(strndup(backend, colon - backend));
}

static void check_duplicates(struct reader *r, const struct conf_listener *l)
{
	const struct conf_listener *other;

	for (other = r->conf->listeners; other < l; other++) {
		if (!strcmp(other->name, l->name))
			complain(&r->complaints, l->line,
				 "the name %s is taken by line %u; choose another",
				 l->name, other->line);
		if (l->address.len && other->address.len &&
		    address_overlaps(&l->address, &other->address))
			bad(r, r->draft.address,
			    "address %s is taken by %s of %s, line %u; choose another address or port",
			    l->address.text, other->address.text, other->name,
			    other->line);
	}
}

static struct conf_listener *add_listener(struct conf *conf, const char *name,
					  unsigned int line)
{
	struct conf_listener *l;

	conf->listeners = must(reallocarray(conf->listeners, conf->listeners_count + 1,
					    sizeof(*conf->listeners)));
	l = &conf->listeners[conf->listeners_count++];
	*l = (struct conf_listener){
		.name = must(strdup(name)),
		.line = line,
		.max_connections = 16384,
		.max_handshakes = 512,
		.handshake_timeout = 10,
	};
	return l;
}

static void read_listener(struct reader *r, const struct section *section,
			  const struct section_type *type)
{
	struct conf *conf = r->conf;
	bool connector = !strcmp(type->name, "connector");
	bool service = !strcmp(type->name, "service");
	struct conf_listener *l;

	l = add_listener(conf, section->title, section->line);
	l->kind = connector ? LISTENER_CLIENT : service ? LISTENER_SERVICE_SERVER :
		  LISTENER_SERVER;
	if (!l->name[0] || strlen(l->name) > 63)
		complain(&r->complaints, l->line,
			 "the name of a %s has 1 to 63 bytes", type->name);
	read_section(r, section, type, l);
	if (r->draft.address)
		read_address(r, r->draft.address, false, &l->address);
	else if (!service)
		complain(&r->complaints, l->line,
			 "%s %s has no address; write address = \"*:443\", or which it is",
			 type->name, l->name);
	if (r->draft.backend)
		read_address(r, r->draft.backend, true, &l->backend);
	if (connector)
		finish_connector(r, l);
	else if (service)
		finish_service(r, l);
	else
		finish_server(r, l);
	read_identities(r, l);
	finish_ca(r, l);
	check_duplicates(r, l);
}

static unsigned int count_cpus(void)
{
	cpu_set_t set;

	if (sched_getaffinity(0, sizeof(set), &set))
		return 1;
	return CPU_COUNT(&set) ?: 1;
}

/* The line of a setting outside of sections, or 0. */
static unsigned int line_of(const struct section *top, const char *name)
{
	size_t i;

	for (i = 0; i < top->count; i++)
		if (!strcmp(top->settings[i].name, name))
			return top->settings[i].line;
	return 0;
}

static void finish_user(struct reader *r, const struct section *top)
{
	struct conf *conf = r->conf;
	unsigned int line = line_of(top, "user");

	if (!conf->user) {
		conf->user = must(strdup(getpwnam("ktlsd") ? "ktlsd" : "nobody"));
		return;
	}
	errno = 0;
	if (!getpwnam(conf->user))
		complain(&r->complaints, line,
			 "there is no user \"%s\"%s%s; name one that is, or add it: useradd --system --no-create-home %s",
			 conf->user, errno ? ": " : "", errno ? strerror(errno) : "",
			 conf->user);
	else if (!getpwnam(conf->user)->pw_uid)
		complain(&r->complaints, line,
			 "the user is not to be root; name one without privileges");
}

/* The socket that programs ask at for services. */
static void finish_handshake(struct reader *r, const struct section *top)
{
	struct conf *conf = r->conf;
	unsigned int line = line_of(top, "handshake");
	char wrong[512], *text;
	struct conf_listener *l;
	struct group *group;
	size_t i;

	if (conf->handshake_group) {
		group = getgrnam(conf->handshake_group);
		if (group)
			conf->handshake_gid = group->gr_gid;
		else
			complain(&r->complaints, line_of(top, "handshake-group"),
				 "there is no group \"%s\"; name one that is, or add it: groupadd --system %s",
				 conf->handshake_group, conf->handshake_group);
	}
	for (i = 0; i < conf->listeners_count; i++)
		if (conf_is_service(&conf->listeners[i]))
			break;
	if (i == conf->listeners_count) {
		if (conf->handshake)
			complain(&r->complaints, line,
				 "handshake is for services, and there is none; write a service, or remove it");
		return;
	}
	if (!conf->handshake)
		conf->handshake = must(strdup("/run/ktlsd/handshake"));
	if (!strcmp(conf->handshake, conf->control))
		complain(&r->complaints, line,
			 "handshake and control are the same socket; choose another path");
	l = add_listener(conf, "handshake", line);
	l->kind = LISTENER_HANDSHAKE;
	text = must(asprintf(&text, "unix:%s", conf->handshake) < 0 ? NULL : text);
	if (address_parse(&l->address, text, false, wrong, sizeof(wrong)))
		complain(&r->complaints, line, "handshake \"%s\": %s",
			 conf->handshake, wrong);
	free(text);
}

static void read_all(struct reader *r, const struct settings *settings)
{
	struct conf *conf = r->conf;
	size_t i, j;

	conf->workers = count_cpus();
	conf->control = must(strdup("/run/ktlsd/control"));
	conf->ticket_hours = 12;
	conf->drain_timeout = 60;
	conf->prove_interval = 60;
	for (i = 0; i < settings->count; i++) {
		const struct section *section = &settings->sections[i];

		for (j = 0; j < ARRAY_SIZE(section_types); j++)
			if (!strcmp(section_types[j].name, section->kind))
				break;
		if (!j)
			read_section(r, section, &section_types[j], conf);
		else
			read_listener(r, section, &section_types[j]);
	}
	if (settings->count) {
		finish_user(r, &settings->sections[0]);
		finish_handshake(r, &settings->sections[0]);
	}
	if (strlen(conf->control) >= sizeof(((struct sockaddr_un *)0)->sun_path))
		complain(&r->complaints, 0, "the path of control is too long for a socket");
	if (!conf->listeners_count)
		complain(&r->complaints, 0,
			 "it has nothing to do; write a listener, see ktlsd.conf(5)");
}

struct conf *conf_read(const char *path, FILE *errors)
{
	static const char *names[ARRAY_SIZE(section_types)][OPTIONS_MAX];
	struct section_kind kinds[ARRAY_SIZE(section_types)];
	struct settings settings;
	struct reader r = {
		.conf = must(calloc(1, sizeof(*r.conf))),
		.complaints.path = path,
	};
	size_t i, j;

	for (i = 0; i < ARRAY_SIZE(section_types); i++) {
		for (j = 0; j < section_types[i].count; j++)
			names[i][j] = section_types[i].options[j].name;
		kinds[i] = (struct section_kind){ section_types[i].name, names[i] };
	}
	r.conf->path = must(strdup(path));
	/* Of a file that ends in the middle, what is missing is not to be told. */
	if (settings_read(path, kinds, ARRAY_SIZE(kinds), &settings, &r.complaints))
		read_all(&r, &settings);
	settings_free(&settings);
	if (complaints_end(&r.complaints, errors)) {
		conf_free(r.conf);
		return NULL;
	}
	return r.conf;
}

static void check_file(struct complaints *c, unsigned int line, const char *what,
		       const char *path, mode_t kind)
{
	struct stat st;

	if (stat(path, &st))
		complain(c, line, "%s %s: %s", what, path, strerror(errno));
	else if ((st.st_mode & S_IFMT) != kind)
		complain(c, line, "%s %s is no %s", what, path,
			 kind == S_IFDIR ? "directory" : "file");
	else if (access(path, kind == S_IFDIR ? R_OK | X_OK : R_OK))
		complain(c, line, "%s %s: %s", what, path, strerror(errno));
}

bool conf_check_files(const struct conf *conf, FILE *errors)
{
	struct complaints c = { .path = conf->path };
	size_t i;

	for (i = 0; i < conf->identities_count; i++) {
		const struct conf_identity *identity = &conf->identities[i];

		check_file(&c, identity->line, "certificate", identity->chain, S_IFREG);
		if (strcmp(identity->chain, identity->key))
			check_file(&c, identity->line, "key", identity->key, S_IFREG);
	}
	for (i = 0; i < conf->listeners_count; i++) {
		const struct conf_listener *l = &conf->listeners[i];

		if (l->ca)
			check_file(&c, l->line, conf_is_client(l) ? "ca" :
				   "client-ca", l->ca, S_IFREG);
		if (l->root)
			check_file(&c, l->line, "root", l->root, S_IFDIR);
	}
	return !complaints_end(&c, errors);
}

void conf_free(struct conf *conf)
{
	size_t i;

	if (!conf)
		return;
	for (i = 0; i < conf->identities_count; i++) {
		free(conf->identities[i].chain);
		free(conf->identities[i].key);
	}
	for (i = 0; i < conf->listeners_count; i++) {
		struct conf_listener *l = &conf->listeners[i];

		free(l->name);
		free(l->address.text);
		free(l->backend.text);
		free(l->root);
		free(l->identities);
		free(l->alpn);
		free(l->ca);
		free(l->server_name);
	}
	free(conf->identities);
	free(conf->listeners);
	free(conf->path);
	free(conf->user);
	free(conf->control);
	free(conf->handshake);
	free(conf->handshake_group);
	free(conf);
}
