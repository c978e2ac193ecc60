// SPDX-License-Identifier: LGPL-2.1-or-later
/* Values and their names in the specification. */
#include <stddef.h>

#include "libktls.h"

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

static const char *name_of(const char *const *names, size_t count,
			   unsigned int value)
{
	return value < count ? names[value] : NULL;
}

/* Of a value with one bit set, in a table by the number of the bit. */
static const char *name_of_bit(const char *const *names, size_t count,
			       unsigned int bit)
{
	if (!bit || bit & (bit - 1))
		return NULL;
	return name_of(names, count, __builtin_ctz(bit));
}

const char *ktls_direction_name(unsigned int direction)
{
	static const char *const names[] = {
		[KTLS_DIRECTION_TX] = "tx",
		[KTLS_DIRECTION_RX] = "rx",
	};

	return name_of(names, ARRAY_SIZE(names), direction);
}

const char *ktls_mode_name(unsigned int mode)
{
	static const char *const names[] = {
		[KTLS_MODE_NONE] = "none",
		[KTLS_MODE_SW] = "sw",
		[KTLS_MODE_HW] = "hw",
	};

	return name_of(names, ARRAY_SIZE(names), mode);
}

const char *ktls_version_name(unsigned int version)
{
	static const char *const names[] = {
		"tls-1-2",
		"tls-1-3",
	};

	return name_of(names, ARRAY_SIZE(names),
		       version - KTLS_VERSION_TLS_1_2);
}

const char *ktls_cipher_name(unsigned int cipher)
{
	static const char *const names[] = {
		"aes-gcm-128",
		"aes-gcm-256",
		"aes-ccm-128",
		"chacha20-poly1305",
		"sm4-gcm",
		"sm4-ccm",
		"aria-gcm-128",
		"aria-gcm-256",
	};

	return name_of(names, ARRAY_SIZE(names),
		       cipher - KTLS_CIPHER_AES_GCM_128);
}

const char *ktls_socket_flag_name(unsigned int flag)
{
	static const char *const names[] = {
		"zero-copy",
		"no-pad",
		"adopted",
		"padding-unknown",
		"closed",
		"truncated",
		"incomplete",
		"busy",
	};

	return name_of_bit(names, ARRAY_SIZE(names), flag);
}

const char *ktls_hook_name(unsigned int hook)
{
	static const char *const names[] = {
		"set-sw-offload",
		"set-device-offload",
		"set-device-offload-rx",
		"setsockopt",
		"close",
		"free-ctx-tx",
		"ctx-free",
		"err-abort",
		"process-cmsg",
		"sock-state",
		"set-ulp",
	};

	return name_of_bit(names, ARRAY_SIZE(names), hook);
}

const char *ktls_step_name(unsigned int step)
{
	static const char *const names[] = {
		[KTLS_STEP_ULP] = "ulp",
		[KTLS_STEP_TX] = "tx",
		[KTLS_STEP_RX] = "rx",
		[KTLS_STEP_REKEY_TX] = "rekey-tx",
		[KTLS_STEP_REKEY_RX] = "rekey-rx",
	};

	return name_of(names, ARRAY_SIZE(names), step);
}

const char *ktls_action_name(unsigned int action)
{
	static const char *const names[] = {
		[KTLS_ACTION_ALLOW] = "allow",
		[KTLS_ACTION_DENY] = "deny",
		[KTLS_ACTION_AUDIT] = "audit",
	};

	return name_of(names, ARRAY_SIZE(names), action);
}

const char *ktls_attempt_flag_name(unsigned int flag)
{
	static const char *const names[] = {
		"dry-run",
		"inherited",
	};

	return name_of_bit(names, ARRAY_SIZE(names), flag);
}

const char *ktls_event_name(int type)
{
	switch (type) {
	case KTLS_CMD_ATTEMPT_NTF:
		return "attempt-ntf";
	case KTLS_CMD_SOCKET_INSTALL_NTF:
		return "socket-install-ntf";
	case KTLS_CMD_SOCKET_REKEY_NTF:
		return "socket-rekey-ntf";
	case KTLS_CMD_SOCKET_ERROR_NTF:
		return "socket-error-ntf";
	case KTLS_CMD_SOCKET_CLOSE_NTF:
		return "socket-close-ntf";
	}
	return NULL;
}
