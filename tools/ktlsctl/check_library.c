// SPDX-License-Identifier: GPL-2.0-or-later
/* The doctor's items about libssl, its builds and its configuration. */
#include <glob.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "doctor.h"

/* The libssl that this program runs with. */
static bool own_library(struct mapped *own)
{
	char *text = read_text("/proc/self/maps");
	bool found = text && parse_maps(text, own);

	free(text);
	return found;
}

static bool is_same(const struct mapped *a, const struct mapped *b)
{
	return a->inode && a->inode == b->inode && a->major == b->major &&
	       a->minor == b->minor;
}

/* What it does not offer to the kernel, and the first reason. */
static void check_own(struct checklist *list, const struct findings *f,
		      const struct mapped *own)
{
	char why[WHY_LEN], first[WHY_LEN] = "", b[NUMBER_LEN], what[512] = "";
	char v[NUMBER_LEN];
	enum state state = STATE_OK;
	size_t len = 0;
	int i, d;

	for (i = 0; i < SUITES; i++) {
		for (d = 0; d < DIRECTIONS; d++) {
			enum answer a = library_does(&suites[i],
						     &f->capabilities[i], d,
						     why);

			if (a == ANSWER_YES || len >= sizeof(what))
				continue;
			if (!*first) {
				snprintf(first, sizeof(first), "%s", why);
				state = STATE_UNKNOWN;
			}
			if (a == ANSWER_NO)
				state = STATE_PROBLEM;
			len += snprintf(what + len, sizeof(what) - len,
					"%sTLS %s %s %s", len ? ", " : "",
					format_version(v, suites[i].version),
					ktls_cipher_name(suites[i].cipher),
					ktls_direction_name(d));
		}
	}
	libssl_version(b);
	if (state == STATE_OK) {
		add_item(list, "library", "libssl", state,
			 "%s (%s) offers the kernel all its keys, of TLS 1.2 and 1.3, to send and to receive (tried)",
			 b, *own->path ? own->path : "linked in");
		return;
	}
	if (state == STATE_UNKNOWN) {
		add_item(list, "library", "libssl", state, "%s (%s)", first,
			 *own->path ? own->path : "linked in");
		return;
	}
	add_item(list, "library", "libssl", state,
		 "%s (%s) does not offer the kernel all its keys; it lacks %s (tried): %s",
		 b, *own->path ? own->path : "linked in", what, first);
	if (OpenSSL_version_num() < 0x30200000)
		add_fix(list, "sending works with OpenSSL 3.0 and 3.1; to receive TLS 1.3 as well takes Debian 13 or OpenSSL 3.2");
}

/* A file of libssl that was seen, and by how many processes. */
struct build {
	struct mapped file;
	bool installed;
	size_t processes;
	unsigned int pid;	/* one of them */
	char comm[KTLS_COMM_LEN];
};

struct builds {
	struct build list[64];
	size_t count;
	size_t hidden;		/* processes whose maps are not ours to read */
};

static struct build *find_build(struct builds *builds,
				const struct mapped *file)
{
	size_t i;

	for (i = 0; i < builds->count; i++)
		if (is_same(&builds->list[i].file, file) &&
		    builds->list[i].file.deleted == file->deleted)
			return &builds->list[i];
	if (builds->count == ARRAY_SIZE(builds->list))
		return NULL;
	builds->list[builds->count] = (struct build){ .file = *file };
	return &builds->list[builds->count++];
}

static void find_mapped(struct builds *builds, const struct processes *p)
{
	struct build *build;
	size_t i;

	for (i = 0; i < p->count; i++) {
		const struct process *process = &p->list[i];

		builds->hidden += process->maps_hidden;
		if (!*process->libssl.path)
			continue;
		build = find_build(builds, &process->libssl);
		if (!build)
			continue;
		if (!build->processes++) {
			build->pid = process->pid;
			format_comm(build->comm, process->comm);
		}
	}
}

/*
 * Those in the places of distributions.  What stat() says of the device is not
 * always what maps say.
 */
static void find_installed(struct builds *builds)
{
	static const char *const patterns[] = {
		"/usr/lib/*/libssl.so.[0-9]*", "/usr/lib/libssl.so.[0-9]*",
		"/usr/lib64/libssl.so.[0-9]*", "/usr/local/lib/libssl.so.[0-9]*",
		"/usr/local/lib/*/libssl.so.[0-9]*",
		"/usr/local/lib64/libssl.so.[0-9]*",
		"/opt/*/lib/libssl.so.[0-9]*", "/opt/*/lib64/libssl.so.[0-9]*",
	};
	size_t i, j, k;
	glob_t found;

	for (i = 0; i < ARRAY_SIZE(patterns); i++) {
		if (glob(patterns[i], 0, NULL, &found))
			continue;
		for (j = 0; j < found.gl_pathc; j++) {
			char *path = realpath(found.gl_pathv[j], NULL);
			struct mapped file = { 0 };
			struct stat st;

			if (!path)
				continue;
			if (!stat(path, &st))
				file.inode = st.st_ino;
			snprintf(file.path, sizeof(file.path), "%s", path);
			free(path);
			/* A container's may have the same path. */
			for (k = 0; k < builds->count; k++)
				if (!strcmp(builds->list[k].file.path,
					    file.path) &&
				    builds->list[k].file.inode == file.inode)
					break;
			if (k == builds->count &&
			    builds->count < ARRAY_SIZE(builds->list))
				builds->list[builds->count++].file = file;
			if (k < ARRAY_SIZE(builds->list))
				builds->list[k].installed = true;
		}
		globfree(&found);
	}
}

static void check_build(struct checklist *list, const struct build *build,
			const struct mapped *own)
{
	const char *name = strrchr(build->file.path, '/');
	char users[96] = "no process has it mapped";

	name = name ? name + 1 : build->file.path;
	if (build->processes)
		snprintf(users, sizeof(users), "%zu process%s %s it mapped (%u/%s%s)",
			 build->processes, build->processes == 1 ? "" : "es",
			 build->processes == 1 ? "has" : "have", build->pid,
			 build->comm, build->processes == 1 ? "" : " ...");
	if (build->file.deleted) {
		add_item(list, "library", name, STATE_PROBLEM,
			 "%s was replaced since it was started: %s (/proc/PID/maps)",
			 build->file.path, users);
		add_fix(list, "restart what uses it; to see all, type: grep -l 'libssl.*deleted' /proc/[0-9]*/maps");
	} else if (is_same(&build->file, own)) {
		add_item(list, "library", name, STATE_OK,
			 "%s is the one that was tried: %s (/proc/PID/maps)",
			 build->file.path, users);
	} else {
		add_item(list, "library", name, STATE_UNKNOWN,
			 "%s%s was not tried, as this program does not run with it: %s",
			 build->file.path, build->installed ? "" :
			 " (of a container?)", users);
	}
}

static void check_cnf(struct checklist *list)
{
	struct openssl_cnf cnf;

	read_openssl_cnf(NULL, &cnf);
	if (*cnf.failure) {
		add_item(list, "library", "openssl.cnf", STATE_UNKNOWN,
			 "%s could not be read: %s", cnf.path, cnf.failure);
		return;
	}
	if (cnf.ktls) {
		add_item(list, "library", "openssl.cnf", STATE_OK,
			 "%s tells all programs that read it to ask for kernel TLS ([%s] Options = %s)",
			 cnf.path, cnf.section, cnf.options);
		return;
	}
	add_item(list, "library", "openssl.cnf", STATE_UNKNOWN,
		 "%s does not tell programs to ask for kernel TLS (%s%s%s): each does so or not by its own configuration",
		 cnf.path, *cnf.section ? "[" : "", *cnf.section ? cnf.section :
		 "no section of system_default", *cnf.section ?
		 "] has no Options = KTLS" : "");
	if (*cnf.section)
		add_fix(list, "for all programs that read it, put \"Options = %s%sKTLS\" into its section [%s]",
			cnf.options, *cnf.options ? "," : "", cnf.section);
	else
		add_fix(list, "for all programs that read it, make a section that [openssl_init] ssl_conf, and there system_default leads to, with \"Options = KTLS\"; see config(5)");
}

void check_library(struct checklist *list, const struct findings *f)
{
	struct builds *builds = calloc(1, sizeof(*builds));
	struct mapped own = { 0 };
	size_t i;

	if (!own_library(&own))
		memset(&own, 0, sizeof(own));
	check_own(list, f, &own);
	if (builds) {
		find_mapped(builds, &f->processes);
		find_installed(builds);
		for (i = 0; i < builds->count; i++)
			check_build(list, &builds->list[i], &own);
		if (builds->hidden)
			add_item(list, "library", "processes", STATE_UNKNOWN,
				 "what %zu of %zu processes have mapped is for root to read (/proc/PID/maps)",
				 builds->hidden, f->processes.count);
		free(builds);
	}
	check_cnf(list);
}
