/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Files that a process has mapped to execute, and what is in them. */
#ifndef BINARY_H
#define BINARY_H

#include "capability.h"
#include "host.h"

/* Bytes that tell something; 1 << enum. */
enum trait {
	TRAIT_SOCKET_BIO,	/* names a function that gives libssl a socket */
	TRAIT_OPTIONS,		/* or one that sets its options */
	TRAIT_TLS,		/* has labels that each TLS has to have */
	TRAIT_RECVMSG,		/* names recvmsg() */
	TRAIT_GO,		/* the mark of Go's linker */
	TRAIT_BORINGSSL,
	TRAIT_OPENSSL,		/* the version of a libssl that is linked in */
};

/* A file by its device and inode; each is read once. */
struct binary {
	unsigned int major, minor;
	uint64_t inode;
	unsigned int looked_for;	/* traits */
	unsigned int traits;
	bool unreadable;
	struct binary *next;
};

/* A file that a process executes from. */
struct mapping {
	struct mapped file;
	struct binary *binary;
};

struct mappings {
	struct mapping *list;
	size_t count;
	bool incomplete;	/* there are more */
};

bool same_file(const struct mapped *a, const struct mapped *b);
/* -errno if maps could not be read. */
int read_mappings(unsigned int pid, struct mappings *mappings);
void parse_mappings(const char *text, struct mappings *mappings);
void free_mappings(struct mappings *mappings);
/* The name without directories. */
const char *mapping_name(const struct mapping *mapping);
/* The very file that is mapped, also if it was replaced; or -1 and errno. */
int open_mapping(unsigned int pid, const struct mapping *mapping);

/* Is it in the file? */
enum answer has_trait(unsigned int pid, struct mapping *mapping,
		      enum trait trait);
void free_binaries(void);

#endif /* BINARY_H */
