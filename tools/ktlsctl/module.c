// SPDX-License-Identifier: GPL-2.0-or-later
/* ktlsctl module: what the module observes on this kernel. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "ktlsctl.h"

const char module_details[] =
	"What could not be observed on this kernel is listed with what is then\n"
	"missing from the other commands.\n";

/* What one does not know without a hook. */
static const char *without(uint32_t hook)
{
	switch (hook) {
	case KTLS_HOOK_SET_SW_OFFLOAD:
		return "sockets that use the CPU, and who installed their keys";
	case KTLS_HOOK_SET_DEVICE_OFFLOAD:
		return "sockets whose device transmits";
	case KTLS_HOOK_SET_DEVICE_OFFLOAD_RX:
		return "sockets whose device receives";
	case KTLS_HOOK_SETSOCKOPT:
		return "keys that were refused";
	case KTLS_HOOK_FREE_CTX_TX:
		return "the last transmitted bytes of closed sockets";
	case KTLS_HOOK_CLOSE:
	case KTLS_HOOK_CTX_FREE:
		return "everything: there is no table of sockets";
	case KTLS_HOOK_ERR_ABORT:
		return "errors";
	case KTLS_HOOK_PROCESS_CMSG:
		return "control records";
	case KTLS_HOOK_SOCK_STATE:
		return "the exact bytes of sockets that were shut down";
	case KTLS_HOOK_SET_ULP:
		return "attempts to attach TLS; no policy can be set";
	}
	return "what this program is too old to know";
}

/* Their names, after a label, in lines that are not too long. */
static void print_hooks(const char *label, uint32_t hooks)
{
	char unknown[NUMBER_LEN];
	size_t column = 0, len;
	const char *name;
	uint32_t bit;

	printf("%-13s", label);
	if (!hooks)
		printf(" nothing");
	for (bit = 1; bit; bit <<= 1) {
		if (!(hooks & bit))
			continue;
		name = ktls_hook_name(bit);
		if (!name) {
			snprintf(unknown, sizeof(unknown), "%#x", bit);
			name = unknown;
		}
		len = strlen(name) + 1;
		if (column && column + len > 66) {
			printf("\n%-13s", "");
			column = 0;
		}
		printf(" %s", name);
		column += len;
	}
	putchar('\n');
}

static void print_text(const struct ktls_module *m)
{
	char at[TIME_LEN], ago[NUMBER_LEN];
	uint64_t now = now_ns();
	const char *name;
	uint32_t bit;

	printf("version       %s\n", m->version);
	printf("loaded        %s, %s ago\n", format_time(at, m->load_time),
	       format_duration(ago, now > m->load_time ?
			       now - m->load_time : 0));
	printf("open          %" PRIu64 " kTLS sockets\n", m->open);
	printf("closed        %" PRIu64 " in the history, which keeps %" PRIu64
	       "\n", m->closed, m->closed_limit);
	printf("lost sockets  %" PRIu64 "%s\n", m->lost_sockets,
	       m->lost_sockets ? " for want of memory, or locked while the module was loaded" : "");
	printf("lost events   %" PRIu64 "%s\n", m->lost_events,
	       m->lost_events ? " that listeners did not read in time" : "");
	printf("attempts      %" PRIu64 " recorded; of those that succeeded and of those that failed,\n"
	       "              the latest %" PRIu64 " each are kept\n", m->attempts,
	       m->attempts_limit);
	if (m->lost_attempts)
		printf("              %" PRIu64 " were not even counted, for want of memory\n",
		       m->lost_attempts);
	print_hooks("observed", m->armed);
	if (!m->missing) {
		print_hooks("missing", 0);
		return;
	}
	printf("missing\n");
	for (bit = 1; bit; bit <<= 1) {
		name = ktls_hook_name(bit);
		if (m->missing & bit)
			printf("  %-21s without it: %s\n", name ?: "?",
			       without(bit));
	}
}

enum status run_module(int argc, char **argv)
{
	const struct ktls_module *module;
	enum status status;
	struct ktls *ktls;

	if (argc)
		return error(STATUS_USAGE, "module takes no argument, not \"%s\"",
			     argv[0]);
	status = open_ktls(&ktls);
	if (status)
		return status;
	if (ktls_get_module(ktls, &module))
		status = error_ktls(ktls);
	else if (opt.json)
		json_print(json_module(module));
	else
		print_text(module);
	ktls_close(ktls);
	return status;
}
