/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The nouns of ktlsctl why: connections, who holds them, and what was found. */
#ifndef WHY_H
#define WHY_H

#include <sys/types.h>

#include "capability.h"
#include "host.h"

enum verdict {
	VERDICT_UNKNOWN,
	VERDICT_NEVER_ASKED,
	VERDICT_REFUSED,
	VERDICT_SOFTWARE,
	VERDICT_DEVICE,
};

/* What is said of one direction of a connection. */
struct finding {
	enum verdict verdict;
	const char *reason;	/* code, "unknown", or %NULL */
	char *text;		/* one sentence */
	char *next;		/* one step to take, or %NULL */
	/* What it may still be, if the reason is unknown. */
	struct remaining {
		const char *reason;
		char *text;
	} *remaining;
	size_t remaining_count;
};

struct evidence {
	char *from;		/* what was read */
	char *text;		/* what it said */
};

enum ulp {
	ULP_HIDDEN,		/* shown with CAP_NET_ADMIN only */
	ULP_NONE,
	ULP_TLS,
	ULP_MPTCP,
	ULP_OTHER,
};

/* A TCP connection as sock_diag has it, and what was found out. */
struct connection {
	struct space *space;
	uint64_t cookie;
	uint32_t inode;
	uint32_t uid;
	uint16_t family;
	uint16_t local_port;
	uint16_t remote_port;
	uint8_t local_addr[16];
	uint8_t remote_addr[16];
	enum ulp ulp;
	uint32_t mode[DIRECTIONS];	/* enum ktls_mode, with ULP_TLS */
	uint16_t version;
	uint16_t cipher;
	bool silent;		/* nothing came, or nothing went: no handshake */
	uint64_t sent;		/* bytes that the other end has acknowledged */
	bool settled[DIRECTIONS];	/* by what the kernel says */

	struct holder **holders;	/* as many as there are */
	size_t holders_count;

	struct finding finding[DIRECTIONS];
	struct evidence *evidence;
	size_t evidence_count;
};

/* finding.c */

__attribute__((format(printf, 3, 4)))
void add_evidence(struct connection *c, const char *from, const char *format,
		  ...);
/* Says it, instead of what was said before. */
__attribute__((format(printf, 4, 5)))
void conclude(struct finding *f, enum verdict verdict, const char *reason,
	      const char *format, ...);
__attribute__((format(printf, 2, 3)))
void advise(struct finding *f, const char *format, ...);
/* Not twice for the same reason. */
__attribute__((format(printf, 3, 4)))
void add_remaining(struct finding *f, const char *reason, const char *format,
		   ...);
void copy_finding(struct finding *to, const struct finding *from);
void free_finding(struct finding *f);
void free_connection(struct connection *c);
const char *verdict_name(enum verdict verdict);
/* What was missing when things were looked at; each is said once. */
struct missing {
	char **list;
	size_t count;
};

__attribute__((format(printf, 2, 3)))
void add_missing(struct missing *missing, const char *format, ...);
void free_missing(struct missing *missing);

/* target.c */

/* Which connections. */
struct target {
	enum {
		TARGET_PID,
		TARGET_COMMAND,
		TARGET_PORT,
		TARGET_END,
		TARGET_COOKIE,
	} kind;
	unsigned int pid;
	char comm[KTLS_COMM_LEN];
	struct end end;		/* or the port of it */
	uint64_t cookie;
};

/* Complains if the words are none. */
enum status parse_target(int argc, char **argv, struct target *target);

/* holders.c: processes and the sockets that they have open */

/* A process; what costs to find out is found out when it is wanted. */
struct holder {
	struct process process;
	uint64_t start;		/* nanoseconds since the epoch, 0: not known */
	uint64_t ticks;		/* the same by the kernel */
	unsigned int parent;
	uid_t uid;
	uint64_t capabilities;	/* effective */
	bool known;		/* status could be read */
	char exe[256];		/* "" if hidden */
	struct program *program;	/* program.c */
};

struct holders {
	struct hold {
		uint64_t inode;
		unsigned int pid;
	} *holds;		/* by inode */
	size_t count;
	size_t room;
	size_t hidden;		/* processes whose descriptors we may not see */
	struct holder **list;
	size_t list_count;
	/* One process of each network namespace. */
	struct netns {
		uint64_t ino;
		unsigned int pid;
	} *netns;
	size_t netns_count;
};

enum status read_holders(struct holders *holders);
void free_holders(struct holders *holders);
/* Does this process have a socket with this inode open? */
bool holds_socket(const struct holders *holders, unsigned int pid,
		  uint64_t inode);
/* It runs, and still the same program. */
bool is_there(const struct holder *holder);
/* %NULL if it is gone, or without memory. */
struct holder *find_holder(struct holders *holders, unsigned int pid);
bool attach_holders(struct holders *holders, struct connection *c);

/* space.c: network namespaces, their connections and what ktls.ko knows there */

struct space {
	uint64_t ino;		/* 0: not known */
	unsigned int pid;	/* a process in it, 0 for the caller's own */
	int fd;			/* -1 for the caller's own */
	struct connection *list;
	size_t count;
	size_t room;

	/* read_kernel() */
	bool asked;
	bool has_module;
	bool sees_all;
	uint32_t missing_hooks;
	uint64_t load_time;
	/* From here on, all attempts are known; UINT64_MAX: never. */
	uint64_t known_since;
	struct sockets sockets;
	struct ktls_attempt *attempts;
	size_t attempts_count;
	size_t attempts_room;
	struct ktls_policy *policy;	/* with copies of its rules, or %NULL */
};

struct spaces {
	struct space *list;
	size_t count;
};

typedef bool wanted_fn(const struct connection *c, const void *arg);

/*
 * Finds the connections that are wanted, in all network namespaces that can be
 * entered; with --netns in that one.
 */
enum status read_spaces(struct spaces *spaces, const struct holders *holders,
			struct missing *missing, wanted_fn *wanted,
			const void *arg);
void close_spaces(struct spaces *spaces);
/* What ktls.ko knows in a namespace. */
enum status read_kernel(struct space *space, struct missing *missing);

/* why_kernel.c */

/*
 * What the kernel says of a direction; true if that settles it.  @proven: if
 * not, whether it is proven that nothing was asked for.
 */
bool judge_kernel(struct connection *c, int direction, bool *proven);

/* What this host's kernel does, tried once; see try_capabilities(). */
const struct capability *kernel_trials(void);

/* eligible.c */

/*
 * Is the connection one of TLS?  ANSWER_YES if a server at this end of it, or at
 * the other if that is on this host, shakes hands when it is asked; never
 * ANSWER_NO.
 */
enum answer server_has_tls(const struct connection *c);
/*
 * Does the server at this end of the connection take versions or ciphers that
 * kernel TLS does not know?  It is asked for them.
 */
enum answer server_takes_ineligible(const struct connection *c);
/*
 * Has the server at this end of the connection sent more than any handshake of
 * it takes (@handshake: bytes)?  Then that is done.
 */
bool server_has_said_more(const struct connection *c, uint64_t *handshake);

/* why_program.c */

/* Why the program does not ask, where the kernel does not know. */
void judge_program(struct connection *c, int direction, bool proven);
/* What was read for that. */
void free_known(void);

/* why_print.c */

void print_why(const struct spaces *spaces, const struct missing *missing);
void print_why_json(const char *target, bool module,
		    const struct spaces *spaces, const struct missing *missing);

#endif /* WHY_H */
