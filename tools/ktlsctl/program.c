// SPDX-License-Identifier: GPL-2.0-or-later
/* What a process does TLS with: libraries, language, known programs. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "program.h"

/* TLS libraries by the names of their files, the longer names first. */
static const struct {
	const char *prefix;
	enum library_kind kind;
	const char *name;
} known_libraries[] = {
	{ "libssl3.so", LIBRARY_WITHOUT, "NSS" },
	{ "libssl.so.0.", LIBRARY_WITHOUT, "OpenSSL before 3.0" },
	{ "libssl.so.1.", LIBRARY_WITHOUT, "OpenSSL before 3.0" },
	{ "libssl.so.10", LIBRARY_WITHOUT, "OpenSSL before 3.0" },
	{ "libssl.so.4", LIBRARY_OTHER, "LibreSSL, or a later OpenSSL" },
	{ "libssl.so.5", LIBRARY_OTHER, "LibreSSL" },
	{ "libssl.so", LIBRARY_OPENSSL, "OpenSSL" },
	{ "libgnutls.so", LIBRARY_GNUTLS, "GnuTLS" },
	{ "libmbedtls.so", LIBRARY_WITHOUT, "Mbed TLS" },
	{ "libbearssl.so", LIBRARY_WITHOUT, "BearSSL" },
	{ "libwolfssl.so", LIBRARY_OTHER, "wolfSSL" },
	{ "libs2n.so", LIBRARY_OTHER, "s2n-tls" },
	{ "libtls.so", LIBRARY_OTHER, "LibreSSL" },
	{ "libboringssl", LIBRARY_WITHOUT, "BoringSSL" },
};

/*
 * selftests/why runs each on Debian with Options = KTLS in openssl.cnf, and
 * strace sees no TCP_ULP.  Elsewhere, nodejs is called node, and apache2 httpd.
 */
static const struct fact facts[] = {
	{ "node", NULL, "program-own-io",
	  "Node.js gives OpenSSL memory instead of the socket, so that it cannot ask, whatever openssl.cnf says" },
	{ "nodejs", NULL, "program-own-io",
	  "Node.js gives OpenSSL memory instead of the socket, so that it cannot ask, whatever openssl.cnf says" },
	{ "curl", "libcurl.so", "program-own-io",
	  "libcurl does not let OpenSSL have the socket, so that it cannot ask, whatever openssl.cnf says" },
	{ "apache2", "mod_ssl.so", "program-own-io",
	  "mod_ssl does not let OpenSSL have the socket, so that it cannot ask, whatever its configuration says" },
	{ "httpd", "mod_ssl.so", "program-own-io",
	  "mod_ssl does not let OpenSSL have the socket, so that it cannot ask, whatever its configuration says" },
};

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

/* The name of the executable, also after it was replaced. */
static void exe_name(const struct holder *h, char *buffer, size_t size)
{
	char *deleted;

	snprintf(buffer, size, "%s", base_name(h->exe));
	deleted = strstr(buffer, " (deleted)");
	if (deleted)
		*deleted = '\0';
}

static void find_libraries(struct program *p)
{
	size_t i, k;

	for (i = 0; i < p->mappings.count; i++) {
		const char *name = mapping_name(&p->mappings.list[i]);

		for (k = 0; k < ARRAY_SIZE(known_libraries); k++)
			if (!strncmp(name, known_libraries[k].prefix,
				     strlen(known_libraries[k].prefix)))
				break;
		if (k == ARRAY_SIZE(known_libraries) ||
		    p->libraries_count == LIBRARIES_MAX)
			continue;
		p->libraries[p->libraries_count++] = (struct tls_library){
			.kind = known_libraries[k].kind,
			.name = known_libraries[k].name,
			.mapping = &p->mappings.list[i],
		};
	}
}

/* The file that the process was started from is the first that is mapped. */
static struct mapping *executable_of(struct holder *h)
{
	struct program *p = h->program;
	char name[256];
	size_t i;

	exe_name(h, name, sizeof(name));
	for (i = 0; i < p->mappings.count; i++)
		if (!strcmp(mapping_name(&p->mappings.list[i]), name))
			return &p->mappings.list[i];
	return NULL;
}

static bool maps(const struct program *p, const char *prefix)
{
	size_t i;

	for (i = 0; i < p->mappings.count; i++)
		if (!strncmp(mapping_name(&p->mappings.list[i]), prefix,
			     strlen(prefix)))
			return true;
	return false;
}

static void find_runtime(struct holder *h)
{
	struct program *p = h->program;
	struct mapping *exe = executable_of(h);
	char name[256];

	exe_name(h, name, sizeof(name));
	if (maps(p, "libjvm.so"))
		p->runtime = RUNTIME_JAVA;
	else if (!strcmp(name, "node") || !strcmp(name, "nodejs") ||
		 maps(p, "libnode.so"))
		p->runtime = RUNTIME_NODE;
	/* Go's binaries are alone, or with the libc. */
	else if (exe && !p->libraries_count &&
		 has_trait(h->process.pid, exe, TRAIT_GO) == ANSWER_YES)
		p->runtime = RUNTIME_GO;
}

static void read_argv(struct program *p, unsigned int pid)
{
	size_t len, i, n = 0;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%u/cmdline", pid);
	p->argv_text = read_bytes(path, &len);
	if (!p->argv_text || !len)
		return;
	for (i = 0; i < len; i++)
		n += !p->argv_text[i];
	p->argv = calloc(n + 2, sizeof(*p->argv));
	if (!p->argv)
		return;
	for (i = 0, n = 0; i < len; i += strlen(p->argv_text + i) + 1)
		p->argv[n++] = p->argv_text + i;
}

struct program *find_program(struct holder *h)
{
	struct program *p;

	if (h->program)
		return h->program;
	p = h->program = calloc(1, sizeof(*p));
	if (!p)
		return NULL;
	p->error = -read_mappings(h->process.pid, &p->mappings);
	if (p->error)
		return p;
	find_libraries(p);
	find_runtime(h);
	read_argv(p, h->process.pid);
	return p;
}

void free_program(struct program *p)
{
	if (!p)
		return;
	free_mappings(&p->mappings);
	free(p->argv);
	free(p->argv_text);
	free(p);
}

static bool is_library(const struct program *p, const struct mapping *m)
{
	size_t i;

	for (i = 0; i < p->libraries_count; i++)
		if (p->libraries[i].mapping == m)
			return true;
	/* It comes with libssl, and has half of the functions. */
	return !strncmp(mapping_name(m), "libcrypto.so", 12);
}

enum answer program_has(struct holder *h, enum trait trait)
{
	struct program *p = find_program(h);
	enum answer answer = ANSWER_NO, one;
	size_t i;

	if (!p || p->error)
		return ANSWER_UNKNOWN;
	for (i = 0; i < p->mappings.count; i++) {
		struct mapping *m = &p->mappings.list[i];

		if (is_library(p, m))
			continue;
		one = has_trait(h->process.pid, m, trait);
		if (one == ANSWER_YES)
			return one;
		if (one == ANSWER_UNKNOWN)
			answer = one;
	}
	return answer;
}

const struct fact *find_fact(struct holder *h)
{
	struct program *p = find_program(h);
	char name[256];
	size_t i;

	exe_name(h, name, sizeof(name));
	for (i = 0; p && i < ARRAY_SIZE(facts); i++)
		if (!strcmp(facts[i].comm, name) &&
		    (!facts[i].mapped || maps(p, facts[i].mapped)))
			return &facts[i];
	return NULL;
}

/* Trials, one for each libssl with its libcrypto */

struct tried {
	const struct binary *libssl;
	const struct binary *libcrypto;
	uid_t uid;
	struct build_trial trial;
	struct tried *next;
};

static struct tried *all_tried;

void free_trials(void)
{
	struct tried *t;

	while ((t = all_tried)) {
		all_tried = t->next;
		free(t);
	}
}

static struct mapping *find_mapping(struct program *p, const char *prefix)
{
	size_t i;

	for (i = 0; i < p->mappings.count; i++)
		if (!strncmp(mapping_name(&p->mappings.list[i]), prefix,
			     strlen(prefix)))
			return &p->mappings.list[i];
	return NULL;
}

static void try_files(const struct holder *h, struct mapping *libssl,
		      struct mapping *libcrypto, struct build_trial *trial)
{
	int ssl = open_mapping(h->process.pid, libssl);
	int crypto = open_mapping(h->process.pid, libcrypto);

	if (ssl < 0 || crypto < 0)
		snprintf(trial->failure, sizeof(trial->failure),
			 "it could not be opened: %s", strerror(errno));
	else
		try_build(h->process.pid, ssl, crypto, trial);
	if (ssl >= 0)
		close(ssl);
	if (crypto >= 0)
		close(crypto);
}

const struct build_trial *try_library_of(struct holder *h)
{
	struct program *p = find_program(h);
	struct mapping *libssl, *libcrypto;
	struct tried *t;

	if (!p || p->error)
		return NULL;
	if (p->trial)
		return p->trial;
	libssl = find_mapping(p, "libssl.so");
	libcrypto = find_mapping(p, "libcrypto.so");
	if (!libssl || !libcrypto)
		return NULL;
	/* Also tells one file from the other. */
	has_trait(h->process.pid, libssl, TRAIT_TLS);
	has_trait(h->process.pid, libcrypto, TRAIT_TLS);
	for (t = all_tried; t; t = t->next)
		if (t->libssl == libssl->binary && t->uid == h->uid &&
		    t->libcrypto == libcrypto->binary)
			return p->trial = &t->trial;
	t = calloc(1, sizeof(*t));
	if (!t)
		return NULL;
	t->libssl = libssl->binary;
	t->libcrypto = libcrypto->binary;
	t->uid = h->uid;
	try_files(h, libssl, libcrypto, &t->trial);
	t->next = all_tried;
	all_tried = t;
	return p->trial = &t->trial;
}

/* Behind 14 bytes of mark: the size of a pointer, flags, and at 32 the version. */
void go_version(struct holder *h, char *buffer, size_t size)
{
	struct mapping *exe = executable_of(h);
	static const char mark[] = "\xff Go buildinf:";
	char text[64 * 1024];
	const char *found;
	size_t len, n;
	ssize_t got;
	off_t at;
	int fd;

	*buffer = '\0';
	fd = exe ? open_mapping(h->process.pid, exe) : -1;
	for (at = 0; fd >= 0 && at < 1 << 30; at += sizeof(text) - 256) {
		got = pread(fd, text, sizeof(text), at);
		if (got <= 0)
			break;
		found = memmem(text, got, mark, sizeof(mark) - 1);
		if (!found || found + 256 > text + got)
			continue;
		len = (unsigned char)found[32];
		/* From Go 1.18 on it stands there itself. */
		if (!(found[15] & 2) || len >= 128)
			break;
		for (n = 0; n < len && n + 1 < size; n++)
			buffer[n] = found[33 + n];
		buffer[n] = '\0';
		clean_text(buffer);
		break;
	}
	if (fd >= 0)
		close(fd);
}
