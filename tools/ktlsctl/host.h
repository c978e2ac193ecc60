/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What this host's files say about it. */
#ifndef HOST_H
#define HOST_H

#include "ktlsctl.h"

/*
 * To read a file that others have named: @file is it by O_PATH, and closed here.
 * What is no regular file is not opened, as that may do something, as with a
 * watchdog, or take for ever.  -1 and errno if not.
 */
int open_regular(int file);

/* A whole file as text, also one of /proc; %NULL and errno if not. */
char *read_text(const char *path);
/* The same where it may have zeros, as a command line has. */
char *read_bytes(const char *path, size_t *size);
/* And of one that is open, up to @max bytes of it. */
char *read_open(int fd, size_t max, size_t *size);

/* Is @word one of the words of @text? */
bool has_word(const char *text, const char *word);

/* The value of a setting ("CONFIG_TLS") in a kernel's config, or 0. */
char parse_config(const char *text, const char *name);
/* Is the module in modules.dep or modules.builtin? */
bool lists_module_file(const char *text, const char *module);
/* Is it named in a file of modules-load.d? */
bool loads_module(const char *text, const char *module);

enum forbidden {
	FORBIDDEN_NOT,
	FORBIDDEN_BLACKLIST,	/* not loaded by the kernel when it wants it */
	FORBIDDEN_INSTALL,	/* another command is run in its place */
};

/* What a file of modprobe.d says of it. */
enum forbidden forbids_module(const char *text, const char *module);

/* tls_module.c */

/*
 * Calls @fn for the text of each *.conf in a directory; ends with the first
 * that it returns true for, whose path @path gets.
 */
bool in_directory(const char *directory,
		  bool (*fn)(const char *text, void *arg), void *arg,
		  char *path, size_t size);
/* Is tls.ko forbidden, and which file says so? */
enum forbidden find_forbidden(char *path, size_t size);
/* Where the kernel's package says that there is a tls.ko; false if nowhere. */
bool find_tls_module(const char *release, const char *list, char *path,
		     size_t size);

/* A counter of tls_stat; false if it is not there. */
bool parse_counter(const char *tls_stat, const char *name, uint64_t *value);
/* Those above zero, as "TlsTxSw 3, TlsRxSw 2"; "all are zero" if none. */
void format_counters(const char *tls_stat, char *buffer, size_t size);

/* openssl_cnf.c */

/* The options for all programs, as OpenSSL's configuration file has them. */
struct openssl_cnf {
	char path[256];
	char failure[160];	/* why it could not be read, or "" */
	char section[64];	/* where they are to be, or "" */
	char options[256];	/* as written there, or "" */
	bool ktls;
	bool padding;		/* records are padded, which kernel TLS cannot */
};

/* "Options = KTLS,-SessionTicket": 1 turns it on, -1 off, 0 says nothing. */
int find_ktls_option(const char *options);
/* Reads the text of a file; all but path and failure. */
void parse_openssl_cnf(const char *text, size_t len, struct openssl_cnf *cnf);
/* @path: the file, or %NULL for the one that OpenSSL takes by itself. */
void read_openssl_cnf(const char *path, struct openssl_cnf *cnf);

/* devices.c */

enum feature {
	FEATURE_ABSENT,		/* the device has no such thing */
	FEATURE_OFF,		/* and may be turned on */
	FEATURE_ON,
};

struct device {
	char name[16];
	int error;		/* errno: not known */
	enum feature tx;	/* tls-hw-tx-offload */
	enum feature rx;
};

/* Those of this network namespace, to be freed; or %NULL and errno. */
struct device *read_devices(size_t *count);

/* processes.c */

/* A file, as libssl, that a process has mapped. */
struct mapped {
	char path[256];		/* in its own mount namespace; "" for none */
	char range[40];		/* where, as /proc/PID/map_files names it */
	bool executable;
	unsigned int major, minor;
	uint64_t inode;
	bool deleted;		/* the file was replaced since */
};

/* A line of /proc/PID/maps; false if it is no file. */
bool parse_map(const char *line, const char *end, struct mapped *file);
/* The first libssl.so of /proc/PID/maps. */
bool parse_maps(const char *text, struct mapped *libssl);

struct process {
	unsigned int pid;
	char comm[KTLS_COMM_LEN];
	uint64_t netns;		/* inode, 0 if not known */
	bool maps_hidden;
	struct mapped libssl;
};

struct processes {
	struct process *list;
	size_t count;
};

/* The numbers of all, to be freed; or %NULL and errno. */
unsigned int *list_processes(size_t *count);
/* False, and "", if it is gone. */
bool read_comm(unsigned int pid, char comm[KTLS_COMM_LEN]);
void read_process(unsigned int pid, struct process *process);
/* Complains and returns STATUS_FAILED without memory or /proc. */
enum status read_processes(struct processes *processes);
void free_processes(struct processes *processes);

#endif /* HOST_H */
