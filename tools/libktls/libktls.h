/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libktls: the kTLS sockets of a network namespace, the attempts to make more
 * of them, and the policy about these, as the ktls kernel module has them.
 *
 * All functions that return int return 0, or a negative errno unless they say
 * otherwise; ktls_strerror() then has a sentence for a human.  A handle is
 * used by one thread at a time; two threads use two handles.  Structures that
 * the library hands out belong to it and may grow at their end; those that the
 * caller allocates are read as far as their fields say.
 */
#ifndef LIBKTLS_H
#define LIBKTLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <linux/ktls.h>

#ifdef __cplusplus
extern "C" {
#endif

/* An open connection to the module; see ktls_open(). */
struct ktls;

/**
 * struct ktls_stream - one direction of a kTLS socket
 * @mode: enum ktls_mode, who does the cryptography; with KTLS_MODE_NONE all
 *	else is 0
 * @version: enum ktls_version
 * @cipher: enum ktls_cipher
 * @rekeys: keys installed after the first
 * @last_error: positive errno that ended this direction or that its latest
 *	rekey got, 0 for none
 * @ifindex: network device that holds the key, 0 for none
 * @records: records encrypted or decrypted, of any content type
 * @payload_bytes: bytes inside them, without header, nonce, tag and type
 * @wire_bytes: bytes of them in the TCP stream, without retransmissions
 * @control_records: records of a type other than application data that user
 *	space sent; transmit only
 * @key_records: records under the current key, since it was installed even
 *	if the socket was adopted
 * @reserved: for later fields
 *
 * @records, @payload_bytes and @wire_bytes count from the first key on, or for
 * an adopted socket (KTLS_SOCKET_FLAGS_ADOPTED) from when the module was
 * loaded.
 */
struct ktls_stream {
	uint32_t mode;
	uint16_t version;
	uint16_t cipher;
	uint32_t rekeys;
	uint32_t last_error;
	uint32_t ifindex;
	uint64_t records;
	uint64_t payload_bytes;
	uint64_t wire_bytes;
	uint64_t control_records;
	uint64_t key_records;
	uint64_t reserved[2];
};

/**
 * struct ktls_socket - a kTLS socket, open or closed
 * @cookie: socket cookie (SO_COOKIE), never used twice while the host runs
 * @inode: inode as in /proc/PID/fd, 0 once closed
 * @cgroup_id: inode of the owner's cgroup v2 directory, 0 if not known
 * @install_time: when the first key was installed, or the socket adopted, in
 *	nanoseconds since the epoch
 * @close_time: when it was closed, likewise; 0 while it is open
 * @uid: owner, in the reader's user namespace
 * @pid: process that installed the first key, in the reader's PID namespace, or
 *	the initial one in events; 0 if not known (adopted), or not there
 * @netns: inode of the network namespace as in /proc/PID/ns/net
 * @flags: enum ktls_socket_flags, or'ed
 * @family: AF_INET or AF_INET6
 * @local_port: host byte order
 * @remote_port: host byte order
 * @local_addr: network byte order; 4 bytes are used with AF_INET, else 16
 * @remote_addr: likewise
 * @comm: command name of the process at install, "" if not known; any bytes but NUL,
 *	so clean it before you show it on a terminal
 * @tx: from this host to the peer
 * @rx: from the peer to this host
 * @rule: in a dump with KTLS_MATCH(VIOLATES), the number of the rule that it
 *	violates, from 1, or 0 for the policy's default; else -1
 */
struct ktls_socket {
	uint64_t cookie;
	uint64_t inode;
	uint64_t cgroup_id;
	uint64_t install_time;
	uint64_t close_time;
	uint32_t uid;
	uint32_t pid;
	uint32_t netns;
	uint32_t flags;
	uint16_t family;
	uint16_t local_port;
	uint16_t remote_port;
	uint8_t local_addr[16];
	uint8_t remote_addr[16];
	char comm[KTLS_COMM_LEN];
	struct ktls_stream tx;
	struct ktls_stream rx;
	int32_t rule;
};

/**
 * struct ktls_totals - sums over the sockets with the same direction, mode,
 *	version and cipher, open and closed, since the module was loaded
 * @direction: enum ktls_direction
 * @mode: enum ktls_mode
 * @version: enum ktls_version
 * @cipher: enum ktls_cipher
 * @open: sockets open now
 * @closed: sockets closed
 * @busy: of the open ones, those that are not in the sums
 *	(KTLS_SOCKET_FLAGS_BUSY)
 * @records: as in &struct ktls_stream, as are the next three
 * @payload_bytes: see there
 * @wire_bytes: see there
 * @control_records: see there
 * @rekeys: keys installed after the first
 * @errors: sockets whose direction had an error
 */
struct ktls_totals {
	uint32_t direction;
	uint32_t mode;
	uint16_t version;
	uint16_t cipher;
	uint64_t open;
	uint64_t closed;
	uint64_t busy;
	uint64_t records;
	uint64_t payload_bytes;
	uint64_t wire_bytes;
	uint64_t control_records;
	uint64_t rekeys;
	uint64_t errors;
};

/**
 * struct ktls_module - what the module observes, and what it keeps
 * @version: version of ktls.ko
 * @armed: enum ktls_hook or'ed, what is observed
 * @missing: what could not be armed; the facts that need it read as zero
 * @open: kTLS sockets in the table of the namespace
 * @closed: closed sockets in its history
 * @closed_limit: most that the history keeps; the oldest go first
 * @lost_sockets: kTLS sockets that are not in the table: no memory was left, or
 *	their owner kept them locked while the module was loaded
 * @lost_events: events that were not delivered
 * @load_time: when it was loaded, in nanoseconds since the epoch
 * @attempts: number of the latest attempt in the namespace
 * @attempts_limit: most attempts that are kept, of those that succeeded and of
 *	those that failed each; the oldest go first
 * @lost_attempts: attempts that were not even counted for want of memory
 */
struct ktls_module {
	char version[64];
	uint32_t armed;
	uint32_t missing;
	uint64_t open;
	uint64_t closed;
	uint64_t closed_limit;
	uint64_t lost_sockets;
	uint64_t lost_events;
	uint64_t load_time;
	uint64_t attempts;
	uint64_t attempts_limit;
	uint64_t lost_attempts;
};

/* What of a filter is in use: 1 << KTLS_A_FILTER_*. */
#define KTLS_MATCH(name) (1U << KTLS_A_FILTER_##name)

/**
 * struct ktls_filter - which sockets
 * @match: the fields in use, KTLS_MATCH(MODE) | KTLS_MATCH(PID) ...; others
 *	are not read.  KTLS_MATCH(CLOSED) has no field: it asks for the history
 *	of closed sockets instead of the open ones.  Nor has
 *	KTLS_MATCH(VIOLATES): sockets with a key that the policy would deny
 *	now; @rule of the socket says which rule.
 * @direction: enum ktls_direction: this direction is on kernel TLS, and
 *	@mode, @version and @cipher are about it alone.  Without it, either
 *	direction may match, but one must match all three.
 * @mode: enum ktls_mode
 * @version: enum ktls_version
 * @cipher: enum ktls_cipher
 * @port: either end's port; ports are in host byte order
 * @local_port: port of this end
 * @remote_port: port of the other end
 * @uid: owner, in the caller's user namespace
 * @pid: process that installed the first key, in the caller's PID namespace
 * @cgroup_id: inode of a cgroup v2 directory; its children do not match
 */
struct ktls_filter {
	uint32_t match;
	uint32_t direction;
	uint32_t mode;
	uint16_t version;
	uint16_t cipher;
	uint16_t port;
	uint16_t local_port;
	uint16_t remote_port;
	uint32_t uid;
	uint32_t pid;
	uint64_t cgroup_id;
};

/**
 * struct ktls_attempt - one try to attach TLS to a socket or to install a key
 * @number: from 1 on in the order of the namespace's attempts
 * @time: when it returned, in nanoseconds since the epoch
 * @cookie: of the socket
 * @inode: of the socket, as in /proc/PID/fd
 * @cgroup_id: inode of the process's cgroup v2 directory, 0 if not known
 * @step: enum ktls_step
 * @error: positive errno that it returned, 0 if it succeeded
 * @action: enum ktls_action, what the policy said; -1 if none decided
 * @rule: number of the rule that decided, from 1; 0 if the default did
 * @flags: enum ktls_attempt_flags, or'ed
 * @mode: enum ktls_mode, who has the key; KTLS_MODE_NONE unless it was
 *	installed
 * @version: as the program gave it, of any value; 0 if not known
 * @cipher: likewise
 * @uid: effective user of the process, in the reader's user namespace
 * @pid: process, in the reader's PID namespace, or the initial one in events; 0
 *	if it is not there
 * @netns: inode of the network namespace as in /proc/PID/ns/net
 * @family: AF_INET or AF_INET6
 * @local_port: host byte order
 * @remote_port: host byte order; 0 before a connection
 * @local_addr: network byte order; 4 bytes are used with AF_INET, else 16
 * @remote_addr: likewise
 * @comm: command name of the process; any bytes but NUL
 */
struct ktls_attempt {
	uint64_t number;
	uint64_t time;
	uint64_t cookie;
	uint64_t inode;
	uint64_t cgroup_id;
	uint32_t step;
	uint32_t error;
	int32_t action;
	uint32_t rule;
	uint32_t flags;
	uint32_t mode;
	uint16_t version;
	uint16_t cipher;
	uint32_t uid;
	uint32_t pid;
	uint32_t netns;
	uint16_t family;
	uint16_t local_port;
	uint16_t remote_port;
	uint8_t local_addr[16];
	uint8_t remote_addr[16];
	char comm[KTLS_COMM_LEN];
};

/**
 * struct ktls_outcome - how often a step had a result, since the module was
 *	loaded
 * @step: enum ktls_step
 * @error: positive errno, or 0 for success
 * @attempts: how often
 */
struct ktls_outcome {
	uint32_t step;
	uint32_t error;
	uint64_t attempts;
};

/* What of a rule is in use: 1 << KTLS_A_RULE_*. */
#define KTLS_RULE_MATCH(name) (1U << KTLS_A_RULE_##name)

/* In an answer: the rule has a condition that this library does not know. */
#define KTLS_RULE_UNKNOWN (1U << 31)

/* Most rules of a policy. */
#define KTLS_RULES_MAX 256

/**
 * struct ktls_rule - what to do with attempts of a kind
 * @match: the fields in use, KTLS_RULE_MATCH(UID) | KTLS_RULE_MATCH(PORT) ...;
 *	an attempt has to have all of them.  KTLS_RULE_MATCH(ULP) has no field:
 *	the rule is about attaching TLS to a socket, where @direction, @version,
 *	@cipher and @mode are not known.  Without it, it is about keys.
 * @action: enum ktls_action
 * @direction: enum ktls_direction
 * @mode: KTLS_MODE_SW or KTLS_MODE_HW, who is to have the key
 * @version: enum ktls_version
 * @cipher: enum ktls_cipher
 * @port: either end's port; ports are in host byte order
 * @local_port: port of this end
 * @remote_port: port of the other end
 * @uid: effective user of the process, in the caller's user namespace
 * @cgroup_id: inode of a cgroup v2 directory: of the process's, or one above
 * @hits: attempts that it decided since it was set; not read in ktls_set_policy()
 * @comm: command name of the process, whole
 * @reserved: for later fields; zero
 */
struct ktls_rule {
	uint32_t match;
	uint32_t action;
	uint32_t direction;
	uint32_t mode;
	uint16_t version;
	uint16_t cipher;
	uint16_t port;
	uint16_t local_port;
	uint16_t remote_port;
	uint32_t uid;
	uint64_t cgroup_id;
	uint64_t hits;
	char comm[KTLS_COMM_LEN];
	uint64_t reserved[2];
};

/**
 * struct ktls_policy - what the kernel may do with TLS keys
 * @generation: grows with every change, also of what is inherited
 * @fallback: enum ktls_action, "default" in the specification: for keys that no
 *	rule matches
 * @dry_run: nothing is denied; what would have been is marked
 * @inherit: the namespace has none of its own, and what follows is the one of
 *	the initial namespace; in ktls_set_policy(): it is to have none
 * @hits: attempts that @fallback decided
 * @rules_count: how many rules there are, up to KTLS_RULES_MAX
 * @rules: in the order in which they are tried; the first that matches decides
 */
struct ktls_policy {
	uint32_t generation;
	uint32_t fallback;
	bool dry_run;
	bool inherit;
	uint64_t hits;
	size_t rules_count;
	struct ktls_rule *rules;
};

/* What of a question is in use: 1 << KTLS_A_QUESTION_*. */
#define KTLS_GIVEN(name) (1U << KTLS_A_QUESTION_##name)

/**
 * struct ktls_question - a supposed attempt
 * @given: the fields in use, KTLS_GIVEN(UID) ...; the kernel takes the caller's
 *	own for user, cgroup and command, software for the mode, and 0 for ports
 * @step: enum ktls_step; always in use
 * @mode: KTLS_MODE_SW or KTLS_MODE_HW
 * @version: enum ktls_version; has to be given unless @step is KTLS_STEP_ULP
 * @cipher: enum ktls_cipher; likewise
 * @local_port: host byte order
 * @remote_port: host byte order
 * @uid: in the caller's user namespace
 * @cgroup_id: inode of a cgroup v2 directory
 * @comm: command name
 */
struct ktls_question {
	uint32_t given;
	uint32_t step;
	uint32_t mode;
	uint16_t version;
	uint16_t cipher;
	uint16_t local_port;
	uint16_t remote_port;
	uint32_t uid;
	uint64_t cgroup_id;
	char comm[KTLS_COMM_LEN];
};

/**
 * struct ktls_verdict - what the policy says of an attempt
 * @action: enum ktls_action
 * @rule: number of the rule that decided, from 1; 0 if the default did
 * @flags: enum ktls_attempt_flags, or'ed
 */
struct ktls_verdict {
	uint32_t action;
	uint32_t rule;
	uint32_t flags;
};

/* Kinds of events, to be or'ed. */
enum ktls_events {
	KTLS_EVENTS_SOCKETS = 1,	/* install, rekey, error and close */
	KTLS_EVENTS_ATTEMPTS = 2,
};

/**
 * struct ktls_event - something happened
 * @type: KTLS_CMD_SOCKET_INSTALL_NTF, _REKEY_NTF, _ERROR_NTF or _CLOSE_NTF; or
 *	KTLS_CMD_ATTEMPT_NTF
 * @direction: enum ktls_direction it is about, or -1 for the whole socket, and
 *	for attempts
 * @socket: the socket at that moment; after a close its final counters; %NULL
 *	for attempts
 * @attempt: the attempt, else %NULL
 */
struct ktls_event {
	int type;
	int direction;
	const struct ktls_socket *socket;
	const struct ktls_attempt *attempt;
};

/* Callbacks return 0 to go on; anything else ends the call and is its result. */
typedef int ktls_socket_fn(const struct ktls_socket *socket, void *arg);
typedef int ktls_totals_fn(const struct ktls_totals *totals, void *arg);
typedef int ktls_attempt_fn(const struct ktls_attempt *attempt, void *arg);
typedef int ktls_outcome_fn(const struct ktls_outcome *outcome, void *arg);
typedef int ktls_event_fn(const struct ktls_event *event, void *arg);

/**
 * ktls_open() - connect to the module
 * @ktls: gets the handle
 * @netns: descriptor of the network namespace to look at, as of
 *	/run/netns/NAME or /proc/PID/ns/net, or -1 for the caller's; the library
 *	keeps a copy
 *
 * Also after an error *@ktls is to be closed, and may be given to
 * ktls_strerror(); it is %NULL without memory.
 *
 * Return: 0; -ENOPKG if the module is not loaded; -EPROTO if it speaks another
 * version of the interface; -EPERM if the namespace may not be entered;
 * or another negative errno.
 */
int ktls_open(struct ktls **ktls, int netns);

/**
 * ktls_close() - give everything back
 * @ktls: handle, or %NULL
 */
void ktls_close(struct ktls *ktls);

/**
 * ktls_strerror() - the latest failure of a handle
 * @ktls: handle, or %NULL if ktls_open() had no memory for one
 *
 * Return: what failed, why, and where it is known what to do, in one line
 * without a newline.  It holds the kernel's own explanation if there was one.
 * It belongs to the handle and changes with the next call.
 */
const char *ktls_strerror(const struct ktls *ktls);

/**
 * ktls_get_module() - what the module observes
 * @ktls: handle
 * @module: gets a structure of the handle, good until the next call
 *
 * Return: 0 or a negative errno; -ENOPKG if the module was unloaded.
 */
int ktls_get_module(struct ktls *ktls, const struct ktls_module **module);

/**
 * ktls_get_socket() - one socket, open or closed
 * @ktls: handle
 * @cookie: its cookie
 * @socket: gets a structure of the handle, good until the next call
 *
 * Return: 0; -ENOENT if there is none or the caller may not see it; -ENOPKG if
 * the module was unloaded; or another negative errno.
 */
int ktls_get_socket(struct ktls *ktls, uint64_t cookie,
		    const struct ktls_socket **socket);

/**
 * ktls_dump_sockets() - all sockets that match, in the order of their cookies
 * @ktls: handle; the callback may not use it (-EBUSY)
 * @filter: which, or %NULL for all open ones
 * @fn: called for each; the socket is good until it returns
 * @arg: passed on
 *
 * Without CAP_NET_ADMIN in the user namespace that owns the network namespace,
 * the caller's own sockets only.
 *
 * Return: 0; what @fn returned; -EAGAIN if the table changed so much meanwhile
 * that sockets may be missing or come twice (call again); -ENOPKG if the
 * module was unloaded; or another negative errno.
 */
int ktls_dump_sockets(struct ktls *ktls, const struct ktls_filter *filter,
		      ktls_socket_fn *fn, void *arg);

/**
 * ktls_dump_totals() - sums of the namespace
 * @ktls: handle; the callback may not use it (-EBUSY)
 * @fn: called for each combination of direction, mode, version and cipher
 * @arg: passed on
 *
 * Return: as ktls_dump_sockets().
 */
int ktls_dump_totals(struct ktls *ktls, ktls_totals_fn *fn, void *arg);

/**
 * ktls_filter_match() - would a dump with this filter contain this socket?
 * @filter: filter; KTLS_MATCH(CLOSED) is not looked at, nor is
 *	KTLS_MATCH(VIOLATES), of which only the kernel knows
 * @socket: socket
 *
 * For events, which the kernel does not filter.
 */
bool ktls_filter_match(const struct ktls_filter *filter,
		       const struct ktls_socket *socket);

/**
 * ktls_get_attempt() - one attempt
 * @ktls: handle
 * @number: its number
 * @attempt: gets a structure of the handle, good until the next call
 *
 * Return: 0; -ENOENT if it is not kept or the caller may not see it; -ENOPKG if
 * the module was unloaded; or another negative errno.
 */
int ktls_get_attempt(struct ktls *ktls, uint64_t number,
		     const struct ktls_attempt **attempt);

/**
 * ktls_dump_attempts() - the attempts that are kept, oldest first
 * @ktls: handle; the callback may not use it (-EBUSY)
 * @failed: only those that failed, or would have but for a dry run
 * @fn: called for each; the attempt is good until it returns
 * @arg: passed on
 *
 * Numbers that are missing in between were forgotten, or are other users':
 * without CAP_NET_ADMIN these are the caller's own.
 *
 * Return: as ktls_dump_sockets().
 */
int ktls_dump_attempts(struct ktls *ktls, bool failed, ktls_attempt_fn *fn,
		       void *arg);

/**
 * ktls_dump_outcomes() - how often each step had which result
 * @ktls: handle; the callback may not use it (-EBUSY)
 * @fn: called for each step and errno that occurred, in this order
 * @arg: passed on
 *
 * Counts all users' attempts, and those that are forgotten.
 *
 * Return: as ktls_dump_sockets().
 */
int ktls_dump_outcomes(struct ktls *ktls, ktls_outcome_fn *fn, void *arg);

/**
 * ktls_get_policy() - the policy that is in force in the namespace
 * @ktls: handle
 * @policy: gets a structure of the handle, good until the next call of a policy
 *	function
 *
 * Without any, it allows all and has no rules.
 *
 * Return: 0; -EPERM without CAP_NET_ADMIN in the user namespace that owns the
 * network namespace; -EACCES if it is inherited, and the caller lacks CAP_NET_ADMIN
 * in the initial user namespace; -ENOPKG if the module was unloaded; or another
 * negative errno.
 */
int ktls_get_policy(struct ktls *ktls, const struct ktls_policy **policy);

/**
 * ktls_set_policy() - replace the policy of the namespace as a whole
 * @ktls: handle
 * @policy: the new one, of which generation and hits are not read; with
 *	@policy->inherit nothing else is
 * @generation: what that of the present policy has to be, or %NULL for any
 * @next: gets the generation of the new one; may be %NULL
 *
 * To change a policy: get it, change a copy, and set that with the generation of
 * what was got; after -ESTALE, begin anew.
 *
 * Return: 0; -ESTALE if the policy was changed meanwhile; -E2BIG if there are
 * too many rules; -EINVAL if a rule is not possible; -EOPNOTSUPP if the module
 * cannot enforce a policy on this kernel, or a rule has KTLS_RULE_UNKNOWN; -EPERM without CAP_NET_ADMIN, or if
 * the policy is the word of somebody with more privileges; -ENOPKG if the module
 * was unloaded; or another negative errno.
 */
int ktls_set_policy(struct ktls *ktls, const struct ktls_policy *policy,
		    const uint32_t *generation, uint32_t *next);

/**
 * ktls_test_policy() - what would the policy say?
 * @ktls: handle
 * @question: a supposed attempt
 * @verdict: gets a structure of the handle, good until the next call
 *
 * Nothing is counted.
 *
 * Return: 0; -EINVAL if the question lacks something; -ENOENT if the caller's cgroup
 * namespace has no cgroup of that number; -EPERM or -EACCES as ktls_get_policy();
 * -ENOPKG if the module was unloaded; or another negative errno.
 */
int ktls_test_policy(struct ktls *ktls, const struct ktls_question *question,
		     const struct ktls_verdict **verdict);

/**
 * ktls_subscribe_to() - ask for events
 * @ktls: handle
 * @events: enum ktls_events, or'ed
 *
 * What happens from now on waits to be read by ktls_dispatch().  So subscribe
 * first and dump then, to miss nothing.  Further calls add to what was asked
 * for.
 *
 * Return: 0; -EPERM without CAP_NET_ADMIN in the user namespace that owns the
 * network namespace; -EOPNOTSUPP if the module does not know these events; or
 * another negative errno.
 */
int ktls_subscribe_to(struct ktls *ktls, unsigned int events);

/**
 * ktls_subscribe() - ask for events of sockets
 * @ktls: handle
 *
 * Return: as ktls_subscribe_to(ktls, KTLS_EVENTS_SOCKETS), which it is.
 */
int ktls_subscribe(struct ktls *ktls);

/**
 * ktls_event_fd() - descriptor for poll()
 * @ktls: handle
 *
 * Return: a descriptor that is readable when ktls_dispatch() has work to do,
 * or -1 before ktls_subscribe_to().  It belongs to the handle.
 */
int ktls_event_fd(const struct ktls *ktls);

/**
 * ktls_dispatch() - read what events there are, without waiting
 * @ktls: handle; the callback may not use it (-EBUSY)
 * @fn: called for each; the event and what it points to are good until it
 *	returns
 * @arg: passed on
 *
 * Return: 0 if all were read; what @fn returned, then events may be left;
 * -ENOBUFS if events were lost (those left can still be read; dump to learn
 * what became of the sockets); -ENOPKG if the module was unloaded, then no
 * event will ever come; or another negative errno.
 */
int ktls_dispatch(struct ktls *ktls, ktls_event_fn *fn, void *arg);

/*
 * Names as in the specification: "sw", "tls-1-3", "aes-gcm-128", "zero-copy"
 * or "close"; %NULL for a value unknown to this library.  Flags and hooks are
 * named one bit at a time.
 */
const char *ktls_direction_name(unsigned int direction);
const char *ktls_mode_name(unsigned int mode);
const char *ktls_version_name(unsigned int version);
const char *ktls_cipher_name(unsigned int cipher);
const char *ktls_socket_flag_name(unsigned int flag);
const char *ktls_hook_name(unsigned int hook);
const char *ktls_step_name(unsigned int step);
const char *ktls_action_name(unsigned int action);
const char *ktls_attempt_flag_name(unsigned int flag);
/* Of an event's type: "socket-install-ntf". */
const char *ktls_event_name(int type);

/**
 * struct ktls_kernel - the kernel that runs, as far as its distribution is known
 * @is_debian: it is of a package of Debian's, and the rest has a meaning
 * @version: of that package: 6, 12, 115
 * @fixed: the version of the series (as version[2]) from which on kernel TLS neither
 *	loses data to a pipe that is full nor gets out of step when it receives; 0 if
 *	that is not known of this series
 */
struct ktls_kernel {
	bool is_debian;
	unsigned int version[3];
	unsigned int fixed;
};

/**
 * ktls_get_kernel() - find out which kernel runs
 * @kernel: gets it
 */
void ktls_get_kernel(struct ktls_kernel *kernel);

/**
 * ktls_parse_kernel() - the same of a text
 * @proc_version: what /proc/version holds
 * @kernel: gets it
 */
void ktls_parse_kernel(const char *proc_version, struct ktls_kernel *kernel);

/*
 * Records of a socket, whoever made the handshake.  These take a descriptor, no
 * handle, and do not need the module.  TLS has the numbers from IANA's registries
 * (RFC 8446, 5.1 and 6).
 */
#define KTLS_RECORD_CHANGE_CIPHER_SPEC	20
#define KTLS_RECORD_ALERT		21
#define KTLS_RECORD_HANDSHAKE		22
#define KTLS_RECORD_DATA		23

#define KTLS_ALERT_CLOSE_NOTIFY		0
#define KTLS_ALERT_UNEXPECTED_MESSAGE	10
#define KTLS_ALERT_DECODE_ERROR		50
#define KTLS_ALERT_INTERNAL_ERROR	80
#define KTLS_ALERT_USER_CANCELED	90
#define KTLS_ALERT_NO_RENEGOTIATION	100

/**
 * ktls_attach() - attach the TLS protocol to a socket (TCP_ULP)
 * @fd: connected TCP socket
 *
 * Return: 0, also if it has it already; -ENOENT if the kernel has no TLS and the
 * caller may not load it; -ENOTCONN; -EOPNOTSUPP for a socket of MPTCP; -EPERM
 * by a policy; or another negative errno.
 */
int ktls_attach(int fd);

/**
 * ktls_set_key() - give the kernel the key of a direction (TLS_TX, TLS_RX)
 * @fd: socket to which TLS is attached
 * @direction: enum ktls_direction
 * @crypto_info: struct tls12_crypto_info_... of <linux/tls.h>; wipe it afterwards
 * @len: its bytes
 *
 * Return: 0; -EBUSY if there is a key and this kernel takes no second one;
 * -ENOENT if it lacks the cipher; -EINVAL; -EPERM by a policy; or another
 * negative errno.
 */
int ktls_set_key(int fd, unsigned int direction, const void *crypto_info,
		 size_t len);

/**
 * ktls_receive() - receive what is in a record, and its content type
 * @fd: socket whose records the kernel decrypts
 * @buffer: gets it; 16 KiB hold any record
 * @len: room; what does not fit is left for the next call
 * @type: gets the content type (KTLS_RECORD_...), 0 at the end of the stream
 * @flags: as of recv()
 *
 * read() and recv() fail with EIO where the next record is no data: an alert, or
 * what belongs to a handshake.  A stream that ends without the alert
 * KTLS_ALERT_CLOSE_NOTIFY was cut off by the network or by an attacker.
 *
 * Return: bytes, 0 at the end; -EBADMSG if a record was forged or damaged;
 * -EKEYEXPIRED if the other end has changed its key (KeyUpdate), and the next
 * has to be set first; or another negative errno.
 */
ssize_t ktls_receive(int fd, void *buffer, size_t len, uint8_t *type, int flags);

/**
 * ktls_send_record() - send a record of some content type
 * @fd: socket whose records the kernel encrypts
 * @type: content type
 * @content: what is in it
 * @len: at most 16 KiB
 * @flags: as of send(); MSG_NOSIGNAL is implied
 *
 * Return: 0, or a negative errno.
 */
int ktls_send_record(int fd, uint8_t type, const void *content, size_t len,
		     int flags);

/**
 * ktls_send_alert() - send an alert
 * @fd: socket whose records the kernel encrypts
 * @description: KTLS_ALERT_...; a fatal one, but for the end and renegotiation
 * @flags: as of send()
 *
 * Before a stream is closed, or half of it with shutdown(), the other end wants
 * KTLS_ALERT_CLOSE_NOTIFY.
 *
 * Return: 0, or a negative errno.
 */
int ktls_send_alert(int fd, uint8_t description, int flags);

/*
 * TLS for programs, without a TLS library: ktlsd makes the handshake, the kernel does
 * the records.  A handle is used by one thread at a time, and with it what sends on
 * its socket: records of data must not come between what changes a key.  A program
 * whose threads send and receive at the same time polls, and holds a lock while it
 * calls one of these with MSG_DONTWAIT.
 */

/**
 * struct ktls_handshake_request - what a TLS connection is to be
 * @service: name of the section "service" of ktlsd.conf that says which role,
 *	certificate and authorities
 * @path: of ktlsd's socket, or %NULL for /run/ktlsd/handshake
 * @server_name: of clients: the name or the address in numbers that the server's
 *	certificate has to be for; %NULL: the one of the service
 * @alpn: names of protocols in order of preference, with %NULL behind the last; or
 *	%NULL: those of the service
 * @timeout: milliseconds, or 0; in any case not more than the service's
 *	handshake-timeout
 * @reserved: for later fields; zero
 */
struct ktls_handshake_request {
	const char *service;
	const char *path;
	const char *server_name;
	const char *const *alpn;
	unsigned int timeout;
	uint64_t reserved[4];
};

/**
 * struct ktls_certificate - a certificate
 * @der: its bytes
 * @len: how many
 */
struct ktls_certificate {
	const uint8_t *der;
	size_t len;
};

/**
 * struct ktls_ip_address - an address in a certificate
 * @family: AF_INET or AF_INET6
 * @address: network byte order; 4 bytes are used with AF_INET, else 16
 */
struct ktls_ip_address {
	uint16_t family;
	uint8_t address[16];
};

/**
 * struct ktls_handshake - what was negotiated, and who the other end is
 * @version: enum ktls_version
 * @kernel_tx: the kernel encrypts; always, after success
 * @kernel_rx: and decrypts; likewise
 * @verified: the other end has a certificate, which an authority of the service has
 *	signed and which is valid; that of a server is also for the name
 * @names_cut: there were more certificates or names than fit here
 * @cipher: name of the suite, as OpenSSL has it
 * @alpn: protocol that was agreed upon, or %NULL
 * @server_name: that the client has asked for, or %NULL
 * @unverified: why @verified is not true, or %NULL
 * @certificates: the other end's, then those that it sent of its issuers
 * @certificates_count: how many; 0 if it has none, and where a session was resumed
 *	possibly without the issuers
 * @dns_names: in the other end's certificate (SAN); for a client not all of them
 *	are the server's that it wants, but one is if @verified
 * @dns_names_count: how many
 * @ip_addresses: likewise
 * @ip_addresses_count: how many
 */
struct ktls_handshake {
	uint16_t version;
	bool kernel_tx;
	bool kernel_rx;
	bool verified;
	bool names_cut;
	const char *cipher;
	const char *alpn;
	const char *server_name;
	const char *unverified;
	const struct ktls_certificate *certificates;
	size_t certificates_count;
	const char *const *dns_names;
	size_t dns_names_count;
	const struct ktls_ip_address *ip_addresses;
	size_t ip_addresses_count;
};

/**
 * ktls_handshake() - have a connected socket speak TLS
 * @fd: connected TCP socket, on which nothing was sent or received, or as much as its
 *	protocol says (STARTTLS); blocking or not
 * @request: what it is to be
 * @handshake: gets the handle
 *
 * Waits until the handshake is over.  From then on what is sent on the socket is
 * encrypted, by whatever call, sendfile() and splice() included; to receive,
 * ktls_receive_data() is there.
 *
 * @fd stays the caller's: it has to stay open under that number as long as the handle,
 * and is closed by the caller.  Its flags stay as they are.
 *
 * Also after an error *@handshake is to be freed, and may be given to
 * ktls_handshake_strerror(); it is %NULL without memory.  If the handshake had begun,
 * the socket is shut down, so that nothing goes over it in clear.
 *
 * Return: 0; -ECONNREFUSED if ktlsd does not run, or serves no programs; -EACCES if it
 * does not serve this user; -ENOENT if it has no such service; -EBUSY if it is at a
 * limit; -ETIMEDOUT; -EKEYREJECTED if the other end's certificate is not accepted;
 * -ECONNABORTED if the other end sent an alert; -ECONNRESET if it went away;
 * -EPROTO if it speaks no TLS, or has nothing in common; -EPERM or another error of
 * ktls_attach() and ktls_set_key() if the kernel takes no key; -ENOTSOCK,
 * -EOPNOTSUPP, -ENOTCONN or -EISCONN if @fd is no socket, not of TCP, not connected, or
 * speaks TLS already; -EINVAL; or another negative errno.
 */
int ktls_handshake(int fd, const struct ktls_handshake_request *request,
		   struct ktls_handshake **handshake);

/**
 * ktls_handshake_free() - give the handle back
 * @handshake: handle, or %NULL
 *
 * The socket is left as it is.  ktlsd forgets the secrets: a new key of the other end
 * cannot be followed any more.
 */
void ktls_handshake_free(struct ktls_handshake *handshake);

/**
 * ktls_handshake_strerror() - the latest failure of a handle
 * @handshake: handle, or %NULL if there was no memory for one
 *
 * Return: what failed and why, in one line without a newline.  It belongs to the
 * handle, and is good until the next call with it.
 */
const char *ktls_handshake_strerror(const struct ktls_handshake *handshake);

/**
 * ktls_receive_data() - receive, in the place of read()
 * @handshake: handle
 * @buffer: gets the bytes
 * @len: room
 * @flags: MSG_DONTWAIT, or 0
 *
 * Sees to what is no data: session tickets, alerts, and new keys (KeyUpdate), which
 * ktlsd is asked for.
 *
 * Return: bytes; 0 if the other end has ended its stream as TLS does (close_notify);
 * -EPIPE if the stream was cut off, so that what was received may not be all; -EAGAIN
 * if there is nothing now; -ECONNABORTED after a fatal alert; -EBADMSG if a record was
 * forged or damaged; -EPROTO if the other end broke the protocol; -EOPNOTSUPP if
 * it has changed its key, and this kernel takes no second one (before 6.14), or ktlsd
 * is gone; -EDQUOT if it did so too often; or another negative errno.  All but
 * -EAGAIN is final.
 */
ssize_t ktls_receive_data(struct ktls_handshake *handshake, void *buffer, size_t len,
			  int flags);

/**
 * ktls_send_data() - send, in the place of send()
 * @handshake: handle
 * @buffer: what to send
 * @len: bytes
 * @flags: as of send(); MSG_NOSIGNAL is implied
 *
 * Other calls do as well, as long as the other end asks for no new key; this one
 * answers it, before the data, as TLS wants it.
 *
 * Return: bytes, which may be less than @len; or a negative errno.
 */
ssize_t ktls_send_data(struct ktls_handshake *handshake, const void *buffer,
		       size_t len, int flags);

/**
 * ktls_handshake_rekey() - send under a new key from now on
 * @handshake: handle, of TLS 1.3
 * @request: ask the other end for a new one, too
 *
 * Long before 2^24.5 records were sent with AES-GCM (RFC 8446, 5.5).  Before Linux
 * 6.14, the kernel takes no second key; the connection is at its end then.
 *
 * Return: 0; -EOPNOTSUPP with TLS 1.2, when nothing was changed, or if the kernel
 * takes no second key; or another negative errno.
 */
int ktls_handshake_rekey(struct ktls_handshake *handshake, bool request);

/**
 * ktls_shutdown() - say that this was all
 * @handshake: handle
 *
 * Sends close_notify, and shuts the sending half of the socket down.  The other end
 * may still send, and that be received, until ktls_receive_data() returns 0.
 *
 * Return: 0; -EAGAIN if there is no room now and the socket is not blocking; or
 * another negative errno.
 */
int ktls_shutdown(struct ktls_handshake *handshake);

/**
 * ktls_library_version() - version of the library in use, as "0.1.0"
 */
const char *ktls_library_version(void);

#ifdef __cplusplus
}
#endif

#endif /* LIBKTLS_H */
