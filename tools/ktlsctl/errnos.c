// SPDX-License-Identifier: GPL-2.0-or-later
/* What the errnos of attempts mean. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "ktlsctl.h"

/* All fit a table that is 80 columns wide. */
static const char *explain_attach(uint32_t err)
{
	switch (err) {
	case 0:
		return "TLS was attached";
	case ENOENT:
		return "tls.ko is not to be had: modprobe tls";
	case ENOTCONN:
		return "the socket was not connected, or not yet";
	case EEXIST:
		return "TLS was attached already: benign";
	case EINVAL:
		return "not on this socket, as one of a sockmap";
	}
	return NULL;
}

static const char *explain_key(uint32_t err)
{
	switch (err) {
	case 0:
		return "the key was installed";
	case EINVAL:
		return "version or cipher unknown, or tx and rx differ";
	case ENOPROTOOPT:
		return "version or cipher unknown to this kernel";
	case ENOENT:
		return "the kernel lacks the cipher";
	case EBUSY:
		return "second key before Linux 6.14, or of TLS 1.2";
	case EFAULT:
		return "the program gave a bad address";
	}
	return NULL;
}

static const char *explain_rekey(uint32_t err)
{
	switch (err) {
	case 0:
		return "the further key was installed";
	case EINVAL:
		return "not the version and cipher of the first key";
	}
	return explain_key(err);
}

const char *explain_result(uint32_t step, uint32_t err)
{
	const char *text = NULL;

	switch (step) {
	case KTLS_STEP_ULP:
		text = explain_attach(err);
		break;
	case KTLS_STEP_TX:
	case KTLS_STEP_RX:
		text = explain_key(err);
		break;
	case KTLS_STEP_REKEY_TX:
	case KTLS_STEP_REKEY_RX:
		text = explain_rekey(err);
		break;
	}
	if (text)
		return text;
	switch (err) {
	case 0:
		return "it succeeded";
	case EPERM:
		return "refused by the policy: ktlsctl policy show";
	case ENOMEM:
		return "out of memory";
	case OTHER_ERRNO:
		return "an errno that user space does not know";
	}
	return strerrordesc_np(err) ?: "?";
}

const char *format_result(char buffer[NUMBER_LEN], uint32_t err)
{
	const char *name;

	if (!err)
		return "ok";
	name = strerrorname_np(err);
	if (name)
		return name;
	if (err == OTHER_ERRNO)
		return "other";
	snprintf(buffer, NUMBER_LEN, "%u", err);
	return buffer;
}
