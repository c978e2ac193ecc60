/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What moves on this host while a command runs. */
#ifndef OBSERVE_H
#define OBSERVE_H

#include <sys/types.h>

#include "ktlsctl.h"

/* movement.c: attempts and sockets, by process */

struct tally {
	uint32_t step;
	uint32_t error;
	uint64_t attempts;
};

/* What went through sockets while we looked. */
struct carried {
	uint64_t sockets;	/* through which something went */
	uint64_t records;
	uint64_t payload;
	uint64_t wire;
};

struct mover {
	uint32_t pid;		/* 0 if not known */
	char comm[KTLS_COMM_LEN];
	struct tally *tallies;
	size_t tallies_count;
	uint64_t installed;
	uint64_t closed;
	uint64_t errors;
	struct carried by[2];	/* by enum ktls_direction */
};

struct movement {
	struct ktls *ktls;
	uint64_t start;		/* by the clock of the module */
	uint64_t latest;	/* number of the latest attempt that is counted */
	uint64_t forgotten;	/* attempts that nobody knows any more */
	bool without_events;	/* one's own, as far as the module keeps them */
	bool lost;		/* events were; dumps had to stand in */
	bool out_of_memory;
	struct mover *list;
	size_t count;
	size_t room;
	/* Open sockets and their counters at the beginning, by cookie. */
	struct ktls_socket *open;
	size_t open_count;
	size_t open_room;
	/* Those whose close is counted. */
	uint64_t *closed;
	size_t closed_count;
	size_t closed_room;
};

/* From here on it counts; 0 or a negative errno. */
int begin_movement(struct movement *m, struct ktls *ktls);
/* Reads what events there are. */
int read_movement(struct movement *m);
/* Counts what is open, and what no event told of. */
int end_movement(struct movement *m);
void free_movement(struct movement *m);
/* Or has it but idle sockets? */
bool mover_moved(const struct mover *mover);

/* namespaces.c: all network namespaces that processes are in, or have names */

struct space {
	uint64_t inode;
	int fd;			/* or -1 if it may not be opened */
	uint32_t pid;		/* the first process seen there, or 0 */
	char comm[KTLS_COMM_LEN];
	char name[64];		/* in /run/netns, or "" */
	bool fresh;		/* it was not there at first */
	bool has_command;	/* the command was seen there */
	bool readable;
	char *before;		/* its tls_stat, or %NULL for none */
	char *after;
	bool has_module;
	uint64_t attempts;	/* latest before; after end_spaces() the difference */
	uint32_t user_pid;	/* who made the latest of them */
	char user[KTLS_COMM_LEN];
};

struct spaces {
	struct space *list;	/* the first is the one that is read */
	size_t count;
	size_t hidden;		/* that may not be looked into */
};

enum status begin_spaces(struct spaces *spaces, bool module);
/* Looks for new ones: of all processes, or of the command's alone. */
void find_spaces(struct spaces *spaces, pid_t command, bool all);
void end_spaces(struct spaces *spaces, bool module);
void free_spaces(struct spaces *spaces);
/* How much a counter of tls_stat grew. */
uint64_t counter_growth(const struct space *space, const char *name);
/* Is there any trace of kernel TLS in it since? */
bool space_moved(const struct space *space);

/* handshakes.c: what is negotiated, as its first packets tell */

struct negotiated {
	uint16_t version;	/* as on the wire */
	uint16_t cipher;
	char name[64];		/* as OpenSSL calls it, or "" */
	bool eligible;		/* for kernel TLS */
	uint64_t handshakes;
};

struct handshakes {
	int fd;			/* or a negative errno: not looked at */
	struct negotiated *list;
	size_t count;
	uint64_t seen[1024];	/* what tells the latest apart */
	size_t next;
	uint64_t dropped;
};

void begin_handshakes(struct handshakes *h, const struct space *space);
void read_handshakes(struct handshakes *h);
void end_handshakes(struct handshakes *h);
/* One packet, from its IP header on. */
void read_server_hello(struct handshakes *h, const uint8_t *packet, size_t len);

/* observe.c and observe_report.c */

enum conclusion {
	CONCLUSION_USED,
	CONCLUSION_REFUSED,
	CONCLUSION_ELSEWHERE,
	CONCLUSION_NOT_ELIGIBLE,
	CONCLUSION_UNUSED,
};

#define MISSING_MAX 8

struct observation {
	int argc;		/* of the command, or 0 for none */
	char **argv;
	pid_t pid;
	int status;		/* as of waitpid() */
	bool ended;
	uint64_t ns;		/* how long */
	bool module;
	struct movement movement;
	/* How often each step had which result meanwhile. */
	struct ktls_outcome *outcomes;
	size_t outcomes_count;
	struct spaces spaces;
	struct handshakes handshakes;
	/* What could not be looked at. */
	char missing[MISSING_MAX][256];
	size_t missing_count;
	enum conclusion conclusion;
	char text[1024];	/* a sentence or two */
};

void conclude_observation(struct observation *o);
void print_observation(const struct observation *o);

#endif /* OBSERVE_H */
