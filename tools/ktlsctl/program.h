/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a process does TLS with. */
#ifndef PROGRAM_H
#define PROGRAM_H

#include "binary.h"
#include "library_trial.h"
#include "why.h"

enum library_kind {
	LIBRARY_OPENSSL,
	LIBRARY_GNUTLS,
	LIBRARY_WITHOUT,	/* one that never asks */
	LIBRARY_OTHER,		/* of which that is not known */
};

/* A TLS library that is mapped. */
struct tls_library {
	enum library_kind kind;
	const char *name;	/* "GnuTLS" */
	struct mapping *mapping;
};

enum runtime {
	RUNTIME_NONE,
	RUNTIME_GO,
	RUNTIME_JAVA,
	RUNTIME_NODE,
};

#define LIBRARIES_MAX 8

struct program {
	int error;		/* errno: its maps are hidden */
	struct mappings mappings;
	struct tls_library libraries[LIBRARIES_MAX];
	size_t libraries_count;
	enum runtime runtime;
	char **argv;		/* %NULL at the end; or %NULL */
	char *argv_text;
	bool cnf_read;
	enum answer cnf;	/* its openssl.cnf tells OpenSSL to ask */
	char cnf_path[256];
	/* A trial of its libssl; %NULL before. */
	const struct build_trial *trial;
};

/* Once for each process; %NULL without memory. */
struct program *find_program(struct holder *holder);
void free_program(struct program *program);

/* The process's libssl, tried; %NULL if it maps none. */
const struct build_trial *try_library_of(struct holder *holder);
void free_trials(void);

/*
 * Has a file of the process, other than its TLS libraries, this trait?  It is
 * unknown if one cannot be read, and none has it.
 */
enum answer program_has(struct holder *holder, enum trait trait);

/* Programs of which it is known what they do. */
struct fact {
	const char *comm;	/* name of the executable */
	const char *mapped;	/* and of a file that it has to map, or %NULL */
	const char *reason;
	const char *text;
};

/* Why it never asks, whatever it is told; %NULL if that is not known. */
const struct fact *find_fact(struct holder *holder);

/* The version of Go in a binary's mark, or "". */
void go_version(struct holder *holder, char *buffer, size_t size);

#endif /* PROGRAM_H */
