/* SPDX-License-Identifier: ((GPL-2.0 WITH Linux-syscall-note) OR BSD-3-Clause) */
/* Do not edit directly, auto-generated from: */
/*	Documentation/netlink/specs/ktls.yaml */
/* YNL-GEN uapi header */
/* To regenerate run: tools/net/ynl/ynl-regen.sh */

#ifndef _UAPI_LINUX_KTLS_H
#define _UAPI_LINUX_KTLS_H

#define KTLS_GENL_NAME		"ktls"
#define KTLS_GENL_VERSION	1

#define KTLS_COMM_LEN	16

/**
 * enum ktls_direction
 * @KTLS_DIRECTION_TX: From this host to the peer.
 * @KTLS_DIRECTION_RX: From the peer to this host.
 */
enum ktls_direction {
	KTLS_DIRECTION_TX,
	KTLS_DIRECTION_RX,
};

/**
 * enum ktls_mode - Who encrypts or decrypts the records of one direction.
 * @KTLS_MODE_NONE: The kernel has no key; user space does it, or nobody yet.
 * @KTLS_MODE_SW: The kernel does it on the CPU.
 * @KTLS_MODE_HW: The key was accepted by a network device.
 */
enum ktls_mode {
	KTLS_MODE_NONE,
	KTLS_MODE_SW,
	KTLS_MODE_HW,
};

/*
 * Protocol version as on the wire (RFC 5246, RFC 8446).
 */
enum ktls_version {
	KTLS_VERSION_TLS_1_2 = 771,
	KTLS_VERSION_TLS_1_3,
};

/*
 * Record protection, numbered as TLS_CIPHER_* in linux/tls.h.
 */
enum ktls_cipher {
	KTLS_CIPHER_AES_GCM_128 = 51,
	KTLS_CIPHER_AES_GCM_256,
	KTLS_CIPHER_AES_CCM_128,
	KTLS_CIPHER_CHACHA20_POLY1305,
	KTLS_CIPHER_SM4_GCM,
	KTLS_CIPHER_SM4_CCM,
	KTLS_CIPHER_ARIA_GCM_128,
	KTLS_CIPHER_ARIA_GCM_256,
};

/**
 * enum ktls_step - What a program asked the kernel for.
 * @KTLS_STEP_ULP: To attach TLS to the socket, setsockopt(TCP_ULP, "tls").
 * @KTLS_STEP_TX: The first key to send with, setsockopt(TLS_TX).
 * @KTLS_STEP_RX: The first key to receive with, setsockopt(TLS_RX).
 * @KTLS_STEP_REKEY_TX: A further key to send with.
 * @KTLS_STEP_REKEY_RX: A further key to receive with.
 */
enum ktls_step {
	KTLS_STEP_ULP,
	KTLS_STEP_TX,
	KTLS_STEP_RX,
	KTLS_STEP_REKEY_TX,
	KTLS_STEP_REKEY_RX,
};

/**
 * enum ktls_action - What a policy says of an attempt.
 * @KTLS_ACTION_DENY: The attempt fails with EPERM, and the program is on its
 *   own.
 * @KTLS_ACTION_AUDIT: It is allowed, and the attempt is marked.
 */
enum ktls_action {
	KTLS_ACTION_ALLOW,
	KTLS_ACTION_DENY,
	KTLS_ACTION_AUDIT,
};

/**
 * enum ktls_attempt_flags
 * @KTLS_ATTEMPT_FLAGS_DRY_RUN: It would have been denied, but the policy only
 *   tries itself out.
 * @KTLS_ATTEMPT_FLAGS_INHERITED: The rule is of the initial network
 *   namespace's policy.
 */
enum ktls_attempt_flags {
	KTLS_ATTEMPT_FLAGS_DRY_RUN = 1,
	KTLS_ATTEMPT_FLAGS_INHERITED = 2,
};

/**
 * enum ktls_socket_flags
 * @KTLS_SOCKET_FLAGS_ZERO_COPY: TLS_TX_ZEROCOPY_RO is set: sendfile() does not
 *   copy. Only a device makes use of it.
 * @KTLS_SOCKET_FLAGS_NO_PAD: TLS_RX_EXPECT_NO_PAD is set: the reader promises
 *   that the peer does not pad its TLS 1.3 records.
 * @KTLS_SOCKET_FLAGS_ADOPTED: A key was there before the module was: the
 *   counters begin when the module was loaded, and who installed the key is
 *   not known.
 * @KTLS_SOCKET_FLAGS_PADDING_UNKNOWN: Received payload bytes include the
 *   padding that a TLS 1.3 peer may have added; the kernel does not keep its
 *   length.
 * @KTLS_SOCKET_FLAGS_CLOSED: The socket was closed; its counters are final.
 * @KTLS_SOCKET_FLAGS_TRUNCATED: The socket was closed before its last record
 *   was handed to TCP as a whole; the peer cannot have decrypted that record.
 * @KTLS_SOCKET_FLAGS_INCOMPLETE: The final counters are older than the close,
 *   because the close had begun before the module could see it.
 * @KTLS_SOCKET_FLAGS_BUSY: No counters this time: its owner kept the socket
 *   locked for longer than a reader waits, as a task does that waits in
 *   sendmsg() for a page of its memory; or was in the middle of a record, and
 *   did not run.
 */
enum ktls_socket_flags {
	KTLS_SOCKET_FLAGS_ZERO_COPY = 1,
	KTLS_SOCKET_FLAGS_NO_PAD = 2,
	KTLS_SOCKET_FLAGS_ADOPTED = 4,
	KTLS_SOCKET_FLAGS_PADDING_UNKNOWN = 8,
	KTLS_SOCKET_FLAGS_CLOSED = 16,
	KTLS_SOCKET_FLAGS_TRUNCATED = 32,
	KTLS_SOCKET_FLAGS_INCOMPLETE = 64,
	KTLS_SOCKET_FLAGS_BUSY = 128,
};

/**
 * enum ktls_hook - What the module observes, one bit for each place in the
 *   kernel.
 * @KTLS_HOOK_SET_SW_OFFLOAD: Install and rekey of keys for the CPU.
 * @KTLS_HOOK_SET_DEVICE_OFFLOAD: Install of transmit keys in a device.
 * @KTLS_HOOK_SET_DEVICE_OFFLOAD_RX: Install of receive keys in a device.
 * @KTLS_HOOK_SETSOCKOPT: The result of a request for a key.
 * @KTLS_HOOK_CLOSE: Final record numbers.
 * @KTLS_HOOK_FREE_CTX_TX: Final transmitted bytes.
 * @KTLS_HOOK_CTX_FREE: End of a socket's life; without it there is no table at
 *   all.
 * @KTLS_HOOK_ERR_ABORT: Errors that end a direction.
 * @KTLS_HOOK_PROCESS_CMSG: Control records sent.
 * @KTLS_HOOK_SOCK_STATE: Whether a FIN was sent, which TCP counts as a byte.
 * @KTLS_HOOK_SET_ULP: Attempts to attach TLS to a socket.
 */
enum ktls_hook {
	KTLS_HOOK_SET_SW_OFFLOAD = 1,
	KTLS_HOOK_SET_DEVICE_OFFLOAD = 2,
	KTLS_HOOK_SET_DEVICE_OFFLOAD_RX = 4,
	KTLS_HOOK_SETSOCKOPT = 8,
	KTLS_HOOK_CLOSE = 16,
	KTLS_HOOK_FREE_CTX_TX = 32,
	KTLS_HOOK_CTX_FREE = 64,
	KTLS_HOOK_ERR_ABORT = 128,
	KTLS_HOOK_PROCESS_CMSG = 256,
	KTLS_HOOK_SOCK_STATE = 512,
	KTLS_HOOK_SET_ULP = 1024,
};

enum {
	KTLS_A_STREAM_MODE = 1,
	KTLS_A_STREAM_VERSION,
	KTLS_A_STREAM_CIPHER,
	KTLS_A_STREAM_RECORDS,
	KTLS_A_STREAM_PAYLOAD_BYTES,
	KTLS_A_STREAM_WIRE_BYTES,
	KTLS_A_STREAM_CONTROL_RECORDS,
	KTLS_A_STREAM_REKEYS,
	KTLS_A_STREAM_KEY_RECORDS,
	KTLS_A_STREAM_LAST_ERROR,
	KTLS_A_STREAM_IFINDEX,

	__KTLS_A_STREAM_MAX
};
#define KTLS_A_STREAM_MAX (__KTLS_A_STREAM_MAX - 1)

enum {
	KTLS_A_FILTER_CLOSED = 1,
	KTLS_A_FILTER_DIRECTION,
	KTLS_A_FILTER_MODE,
	KTLS_A_FILTER_VERSION,
	KTLS_A_FILTER_CIPHER,
	KTLS_A_FILTER_PORT,
	KTLS_A_FILTER_LOCAL_PORT,
	KTLS_A_FILTER_REMOTE_PORT,
	KTLS_A_FILTER_UID,
	KTLS_A_FILTER_PID,
	KTLS_A_FILTER_CGROUP_ID,
	KTLS_A_FILTER_VIOLATES,

	__KTLS_A_FILTER_MAX
};
#define KTLS_A_FILTER_MAX (__KTLS_A_FILTER_MAX - 1)

enum {
	KTLS_A_SOCKET_PAD = 1,
	KTLS_A_SOCKET_COOKIE,
	KTLS_A_SOCKET_FILTER,
	KTLS_A_SOCKET_DIRECTION,
	KTLS_A_SOCKET_FAMILY,
	KTLS_A_SOCKET_LOCAL_ADDR,
	KTLS_A_SOCKET_REMOTE_ADDR,
	KTLS_A_SOCKET_LOCAL_PORT,
	KTLS_A_SOCKET_REMOTE_PORT,
	KTLS_A_SOCKET_INODE,
	KTLS_A_SOCKET_UID,
	KTLS_A_SOCKET_CGROUP_ID,
	KTLS_A_SOCKET_NETNS,
	KTLS_A_SOCKET_PID,
	KTLS_A_SOCKET_COMM,
	KTLS_A_SOCKET_INSTALL_TIME,
	KTLS_A_SOCKET_CLOSE_TIME,
	KTLS_A_SOCKET_FLAGS,
	KTLS_A_SOCKET_TX,
	KTLS_A_SOCKET_RX,
	KTLS_A_SOCKET_RULE,

	__KTLS_A_SOCKET_MAX
};
#define KTLS_A_SOCKET_MAX (__KTLS_A_SOCKET_MAX - 1)

enum {
	KTLS_A_TOTALS_DIRECTION = 1,
	KTLS_A_TOTALS_MODE,
	KTLS_A_TOTALS_VERSION,
	KTLS_A_TOTALS_CIPHER,
	KTLS_A_TOTALS_OPEN,
	KTLS_A_TOTALS_CLOSED,
	KTLS_A_TOTALS_BUSY,
	KTLS_A_TOTALS_RECORDS,
	KTLS_A_TOTALS_PAYLOAD_BYTES,
	KTLS_A_TOTALS_WIRE_BYTES,
	KTLS_A_TOTALS_CONTROL_RECORDS,
	KTLS_A_TOTALS_REKEYS,
	KTLS_A_TOTALS_ERRORS,

	__KTLS_A_TOTALS_MAX
};
#define KTLS_A_TOTALS_MAX (__KTLS_A_TOTALS_MAX - 1)

enum {
	KTLS_A_ATTEMPT_FILTER_FAILED = 1,

	__KTLS_A_ATTEMPT_FILTER_MAX
};
#define KTLS_A_ATTEMPT_FILTER_MAX (__KTLS_A_ATTEMPT_FILTER_MAX - 1)

enum {
	KTLS_A_ATTEMPT_PAD = 1,
	KTLS_A_ATTEMPT_NUMBER,
	KTLS_A_ATTEMPT_TIME,
	KTLS_A_ATTEMPT_STEP,
	KTLS_A_ATTEMPT_ERRNO,
	KTLS_A_ATTEMPT_ACTION,
	KTLS_A_ATTEMPT_RULE,
	KTLS_A_ATTEMPT_FLAGS,
	KTLS_A_ATTEMPT_VERSION,
	KTLS_A_ATTEMPT_CIPHER,
	KTLS_A_ATTEMPT_MODE,
	KTLS_A_ATTEMPT_COOKIE,
	KTLS_A_ATTEMPT_FAMILY,
	KTLS_A_ATTEMPT_LOCAL_ADDR,
	KTLS_A_ATTEMPT_REMOTE_ADDR,
	KTLS_A_ATTEMPT_LOCAL_PORT,
	KTLS_A_ATTEMPT_REMOTE_PORT,
	KTLS_A_ATTEMPT_INODE,
	KTLS_A_ATTEMPT_UID,
	KTLS_A_ATTEMPT_CGROUP_ID,
	KTLS_A_ATTEMPT_NETNS,
	KTLS_A_ATTEMPT_PID,
	KTLS_A_ATTEMPT_COMM,
	KTLS_A_ATTEMPT_FILTER,

	__KTLS_A_ATTEMPT_MAX
};
#define KTLS_A_ATTEMPT_MAX (__KTLS_A_ATTEMPT_MAX - 1)

enum {
	KTLS_A_OUTCOME_STEP = 1,
	KTLS_A_OUTCOME_ERRNO,
	KTLS_A_OUTCOME_ATTEMPTS,

	__KTLS_A_OUTCOME_MAX
};
#define KTLS_A_OUTCOME_MAX (__KTLS_A_OUTCOME_MAX - 1)

enum {
	KTLS_A_RULE_PAD = 1,
	KTLS_A_RULE_ACTION,
	KTLS_A_RULE_ULP,
	KTLS_A_RULE_DIRECTION,
	KTLS_A_RULE_VERSION,
	KTLS_A_RULE_CIPHER,
	KTLS_A_RULE_MODE,
	KTLS_A_RULE_UID,
	KTLS_A_RULE_CGROUP_ID,
	KTLS_A_RULE_PORT,
	KTLS_A_RULE_LOCAL_PORT,
	KTLS_A_RULE_REMOTE_PORT,
	KTLS_A_RULE_COMM,
	KTLS_A_RULE_HITS,

	__KTLS_A_RULE_MAX
};
#define KTLS_A_RULE_MAX (__KTLS_A_RULE_MAX - 1)

enum {
	KTLS_A_POLICY_GENERATION = 1,
	KTLS_A_POLICY_DEFAULT,
	KTLS_A_POLICY_DRY_RUN,
	KTLS_A_POLICY_INHERIT,
	KTLS_A_POLICY_HITS,
	KTLS_A_POLICY_RULE,

	__KTLS_A_POLICY_MAX
};
#define KTLS_A_POLICY_MAX (__KTLS_A_POLICY_MAX - 1)

enum {
	KTLS_A_QUESTION_PAD = 1,
	KTLS_A_QUESTION_STEP,
	KTLS_A_QUESTION_VERSION,
	KTLS_A_QUESTION_CIPHER,
	KTLS_A_QUESTION_MODE,
	KTLS_A_QUESTION_UID,
	KTLS_A_QUESTION_CGROUP_ID,
	KTLS_A_QUESTION_LOCAL_PORT,
	KTLS_A_QUESTION_REMOTE_PORT,
	KTLS_A_QUESTION_COMM,
	KTLS_A_QUESTION_ACTION,
	KTLS_A_QUESTION_RULE,
	KTLS_A_QUESTION_FLAGS,

	__KTLS_A_QUESTION_MAX
};
#define KTLS_A_QUESTION_MAX (__KTLS_A_QUESTION_MAX - 1)

enum {
	KTLS_A_MODULE_PAD = 1,
	KTLS_A_MODULE_VERSION,
	KTLS_A_MODULE_ARMED,
	KTLS_A_MODULE_MISSING,
	KTLS_A_MODULE_OPEN,
	KTLS_A_MODULE_CLOSED,
	KTLS_A_MODULE_CLOSED_LIMIT,
	KTLS_A_MODULE_LOST_SOCKETS,
	KTLS_A_MODULE_LOST_EVENTS,
	KTLS_A_MODULE_LOAD_TIME,
	KTLS_A_MODULE_ATTEMPTS,
	KTLS_A_MODULE_ATTEMPTS_LIMIT,
	KTLS_A_MODULE_LOST_ATTEMPTS,

	__KTLS_A_MODULE_MAX
};
#define KTLS_A_MODULE_MAX (__KTLS_A_MODULE_MAX - 1)

enum ktls_cmd {
	KTLS_CMD_MODULE_GET = 1,
	KTLS_CMD_SOCKET_GET,
	KTLS_CMD_TOTALS_GET,
	KTLS_CMD_ATTEMPT_GET,
	KTLS_CMD_OUTCOME_GET,
	KTLS_CMD_POLICY_GET,
	KTLS_CMD_POLICY_SET,
	KTLS_CMD_POLICY_TEST,
	KTLS_CMD_ATTEMPT_NTF,
	KTLS_CMD_SOCKET_INSTALL_NTF,
	KTLS_CMD_SOCKET_REKEY_NTF,
	KTLS_CMD_SOCKET_ERROR_NTF,
	KTLS_CMD_SOCKET_CLOSE_NTF,

	__KTLS_CMD_MAX
};
#define KTLS_CMD_MAX (__KTLS_CMD_MAX - 1)

#define KTLS_MCGRP_SOCKETS	"sockets"
#define KTLS_MCGRP_ATTEMPTS	"attempts"

#endif /* _UAPI_LINUX_KTLS_H */
