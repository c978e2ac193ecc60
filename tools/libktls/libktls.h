/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libktls: the kTLS sockets of a network namespace, as the ktls kernel module
 * sees them.
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
#include <stdint.h>

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
};

/* What of a filter is in use: 1 << KTLS_A_FILTER_*. */
#define KTLS_MATCH(name) (1U << KTLS_A_FILTER_##name)

/**
 * struct ktls_filter - which sockets
 * @match: the fields in use, KTLS_MATCH(MODE) | KTLS_MATCH(PID) ...; others
 *	are not read.  KTLS_MATCH(CLOSED) has no field: it asks for the history
 *	of closed sockets instead of the open ones.
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
 * struct ktls_event - something happened to a socket
 * @type: KTLS_CMD_SOCKET_INSTALL_NTF, _REKEY_NTF, _ERROR_NTF or _CLOSE_NTF
 * @direction: enum ktls_direction it is about, or -1 for the whole socket
 * @socket: the socket at that moment; after a close its final counters
 */
struct ktls_event {
	int type;
	int direction;
	const struct ktls_socket *socket;
};

/* Callbacks return 0 to go on; anything else ends the call and is its result. */
typedef int ktls_socket_fn(const struct ktls_socket *socket, void *arg);
typedef int ktls_totals_fn(const struct ktls_totals *totals, void *arg);
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
 * @filter: filter; KTLS_MATCH(CLOSED) is not looked at
 * @socket: socket
 *
 * For events, which the kernel does not filter.
 */
bool ktls_filter_match(const struct ktls_filter *filter,
		       const struct ktls_socket *socket);

/**
 * ktls_subscribe() - ask for events
 * @ktls: handle
 *
 * What happens from now on waits to be read by ktls_dispatch().  So subscribe
 * first and dump then, to miss nothing.
 *
 * Return: 0 (again if already subscribed); -EPERM without CAP_NET_ADMIN in the
 * user namespace that owns the network namespace; or another negative errno.
 */
int ktls_subscribe(struct ktls *ktls);

/**
 * ktls_event_fd() - descriptor for poll()
 * @ktls: handle
 *
 * Return: a descriptor that is readable when ktls_dispatch() has work to do,
 * or -1 before ktls_subscribe().  It belongs to the handle.
 */
int ktls_event_fd(const struct ktls *ktls);

/**
 * ktls_dispatch() - read what events there are, without waiting
 * @ktls: handle; the callback may not use it (-EBUSY)
 * @fn: called for each; event and socket are good until it returns
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
/* Of an event's type: "socket-install-ntf". */
const char *ktls_event_name(int type);

/**
 * ktls_library_version() - version of the library in use, as "0.1.0"
 */
const char *ktls_library_version(void);

#ifdef __cplusplus
}
#endif

#endif /* LIBKTLS_H */
