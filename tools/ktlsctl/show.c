// SPDX-License-Identifier: GPL-2.0-or-later
/* ktlsctl show: everything about one socket. */
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <net/if.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ktlsctl.h"

const char show_details[] =
	"The socket is named by its cookie, as -j and inet_diag (ss -e) have it, or\n"
	"by either of its ends: 192.0.2.1:443 or [2001:db8::1]:443. Open sockets are\n"
	"searched first, then the closed ones.\n";

static bool has_end(const struct ktls_socket *s, const struct end *end)
{
	return is_end(end, s->family, s->local_addr, s->local_port) ||
	       is_end(end, s->family, s->remote_addr, s->remote_port);
}

/* Text */

__attribute__((format(printf, 2, 3)))
static void line(const char *label, const char *format, ...)
{
	va_list ap;

	printf("  %-13s ", label);
	va_start(ap, format);
	vprintf(format, ap);
	va_end(ap);
	putchar('\n');
}

#define BOTH_LEN (2 * NUMBER_LEN + 4)

/* "1.2M (1234567)" */
static const char *both(char buffer[BOTH_LEN],
			const char *(*format)(char *, uint64_t), uint64_t value)
{
	char human[NUMBER_LEN], exact[NUMBER_LEN];

	snprintf(exact, sizeof(exact), "%" PRIu64, value);
	if (!strcmp(format(human, value), exact))
		snprintf(buffer, BOTH_LEN, "%s", exact);
	else
		snprintf(buffer, BOTH_LEN, "%s (%s)", human, exact);
	return buffer;
}

static const char *explain_error(uint32_t err)
{
	switch (err) {
	case EBADMSG:
		return "a record did not decrypt: it was damaged or forged, or the keys differ";
	case EMSGSIZE:
		return "a record was longer than TLS allows, or too short to be one";
	case EINVAL:
		return "a record had a wrong header, or a key was not acceptable";
	case EBUSY:
		return "a further key was refused: only TLS 1.3 on Linux 6.14 or later takes one";
	case EKEYEXPIRED:
		return "the peer changed its key, and the program did not install the new one";
	case EOVERFLOW:
		return "the record number has reached its end";
	case ENOENT:
		return "the kernel lacks the cipher";
	case ENOMEM:
		return "out of memory";
	case EPIPE:
	case ECONNRESET:
		return "the connection was broken";
	}
	return strerror(err);
}

static const char *explain_flag(uint32_t flag)
{
	switch (flag) {
	case KTLS_SOCKET_FLAGS_ZERO_COPY:
		return "sendfile() does not copy, where a device has the key";
	case KTLS_SOCKET_FLAGS_NO_PAD:
		return "the reader promises that the peer does not pad records";
	case KTLS_SOCKET_FLAGS_ADOPTED:
		return "its key was there before the module";
	case KTLS_SOCKET_FLAGS_PADDING_UNKNOWN:
		return "received payload includes padding, if the peer pads";
	case KTLS_SOCKET_FLAGS_CLOSED:
		return "its counters are final";
	case KTLS_SOCKET_FLAGS_TRUNCATED:
		return "closed before its last record was sent as a whole";
	case KTLS_SOCKET_FLAGS_INCOMPLETE:
		return "closed before the module could read its last counters";
	case KTLS_SOCKET_FLAGS_BUSY:
		return "locked by a task that waits in a call on it; no counters";
	}
	return "of a later module than this program";
}

static void print_flags(uint32_t flags)
{
	const char *label = "flags";
	uint32_t bit;

	for (bit = 1; bit; bit <<= 1) {
		const char *name = ktls_socket_flag_name(bit);

		if (!(flags & bit))
			continue;
		if (name)
			line(label, "%s: %s", name, explain_flag(bit));
		else
			line(label, "%#x: %s", bit, explain_flag(bit));
		label = "";
	}
}

static void print_counters(const struct ktls_stream *t, bool tx,
			   const struct ktls_module *module)
{
	char b[BOTH_LEN];

	line("records", "%s", both(b, format_count, t->records));
	line("payload", "%s bytes", both(b, format_bytes, t->payload_bytes));
	line("on the wire", "%s bytes", both(b, format_bytes, t->wire_bytes));
	if (t->records)
		line("mean record", "%" PRIu64 " bytes of payload, %" PRIu64
		     " of overhead",
		     (t->payload_bytes + t->records / 2) / t->records,
		     t->wire_bytes < t->payload_bytes ? 0 :
		     (t->wire_bytes - t->payload_bytes + t->records / 2) /
		     t->records);
	if (tx && module && module->missing & KTLS_HOOK_PROCESS_CMSG)
		line("control", "not observed on this kernel");
	else if (tx)
		line("control", "%s (alerts and the like, made by user space)",
		     both(b, format_count, t->control_records));
	line("key records", "%s since the current key was installed",
	     both(b, format_count, t->key_records));
}

static void print_stream(const struct ktls_socket *s, bool tx,
			 const struct ktls_module *module)
{
	const struct ktls_stream *t = tx ? &s->tx : &s->rx;
	char b[NUMBER_LEN], device[IF_NAMESIZE];
	const char *name;

	printf("\n%s\n", tx ? "Transmit (TX)" : "Receive (RX)");
	if (t->mode == KTLS_MODE_NONE) {
		line("mode", "none: the kernel has no key, user space does it");
		if (t->last_error) {
			name = strerrorname_np(t->last_error);
			line("last error", "%s: %s", name ?: "?",
			     explain_error(t->last_error));
		}
		return;
	}
	switch (t->mode) {
	case KTLS_MODE_SW:
		line("mode", "sw: the kernel does it on the CPU");
		break;
	case KTLS_MODE_HW:
		/* Names of other namespaces' devices are not ours to read. */
		if (!opt.netns && if_indextoname(t->ifindex, device))
			line("mode", "hw: the device %s has the key", device);
		else
			line("mode", "hw: the device of index %u has the key",
			     t->ifindex);
		break;
	default:
		line("mode", "%u", t->mode);
	}
	line("version", "TLS %s", format_version(b, t->version));
	line("cipher", "%s", format_cipher(b, t->cipher));
	if (!(s->flags & KTLS_SOCKET_FLAGS_BUSY))
		print_counters(t, tx, module);
	line("rekeys", "%u", t->rekeys);
	if (t->last_error) {
		name = strerrorname_np(t->last_error);
		line("last error", "%s: %s", name ?: "?",
		     explain_error(t->last_error));
	} else if (module && module->missing & KTLS_HOOK_ERR_ABORT) {
		line("last error", "not observed on this kernel");
	} else {
		line("last error", "none");
	}
}

static void print_socket(const struct ktls_socket *s,
			 const struct ktls_module *module)
{
	char local[ADDR_LEN], remote[ADDR_LEN], process[PROCESS_LEN];
	char at[TIME_LEN], ago[NUMBER_LEN], path[PATH_MAX];
	bool adopted = s->flags & KTLS_SOCKET_FLAGS_ADOPTED;
	bool closed = s->flags & KTLS_SOCKET_FLAGS_CLOSED || s->close_time;
	const struct passwd *user = getpwuid(s->uid);
	uint64_t now = now_ns();
	struct stat st;

	printf("Socket %" PRIu64 "\n", s->cookie);
	line("local", "%s", format_local(local, s));
	line("remote", "%s", format_remote(remote, s));
	line("process", "%s", s->comm[0] ? format_process(process, s) :
	     "not known: it installed the key before the module was loaded");
	line("user", "%s (%u)", user ? user->pw_name : "?", s->uid);
	if (s->cgroup_id && cgroup_path(s->cgroup_id, path, sizeof(path)))
		line("cgroup", "%s", path);
	else if (s->cgroup_id)
		line("cgroup", "of id %" PRIu64, s->cgroup_id);
	if (!stat("/proc/self/ns/net", &st) && st.st_ino == s->netns)
		line("namespace", "%u, that of this shell", s->netns);
	else
		line("namespace", "%u", s->netns);
	if (s->inode)
		line("inode", "%" PRIu64, s->inode);
	line(adopted ? "adopted" : "first key", "%s, %s ago",
	     format_time(at, s->install_time),
	     format_duration(ago, now > s->install_time ?
			     now - s->install_time : 0));
	if (closed) {
		line("closed", "%s, %s ago", format_time(at, s->close_time),
		     format_duration(ago, now > s->close_time ?
				     now - s->close_time : 0));
		if (s->close_time > s->install_time)
			line("lasted", "%s", format_duration(ago,
				s->close_time - s->install_time));
	}
	print_flags(s->flags);
	print_stream(s, true, module);
	print_stream(s, false, module);

	if (adopted)
		printf("\nRecords and bytes count since the socket was adopted, that is since the module\n"
		       "was loaded; key records since the current key was installed.\n");
	else
		printf("\nRecords and bytes count since the first key was installed.\n");
	if (s->flags & KTLS_SOCKET_FLAGS_INCOMPLETE)
		printf("They are older than the close: what came last is missing.\n");
}

static enum status show(struct ktls *ktls, const struct ktls_socket *s)
{
	const struct ktls_socket copy = *s;
	const struct ktls_module *module;

	if (opt.json) {
		json_print(json_socket(s));
		return STATUS_OK;
	}
	if (ktls_get_module(ktls, &module))
		module = NULL;
	print_socket(&copy, module);
	return STATUS_OK;
}

static enum status list_matches(const char *what, const struct sockets *found)
{
	static const struct column columns[] = {
		NUMBER("COOKIE", 0, 0), TEXT("LOCAL", 0, 0), TEXT("REMOTE", 0, 0),
		TEXT("PROCESS", 1, 1),
	};
	unsigned int width, height;
	struct table *table;
	char b[ADDR_LEN];
	size_t i;

	error(STATUS_FAILED,
	      "%zu sockets have the end %s; name one by its cookie%s",
	      found->count, what, opt.json ? "" : ":");
	if (opt.json)
		return STATUS_FAILED;
	terminal_size(&width, &height);
	table = table_new(columns, ARRAY_SIZE(columns));
	for (i = 0; i < found->count; i++) {
		const struct ktls_socket *s = &found->list[i];

		snprintf(b, sizeof(b), "%" PRIu64, s->cookie);
		table_add(table, b);
		table_add(table, format_local(b, s));
		table_add(table, format_remote(b, s));
		table_add(table, format_process(b, s));
	}
	table_print(table, width, 0);
	return STATUS_FAILED;
}

static enum status show_end(struct ktls *ktls, const char *what,
			    const struct end *end)
{
	struct ktls_filter filter = {
		.match = KTLS_MATCH(PORT),
		.port = end->port,
	};
	struct sockets found = { 0 };
	enum status status;
	size_t i, n;

	for (;;) {
		status = read_sockets(ktls, &filter, &found);
		if (status)
			break;
		for (i = n = 0; i < found.count; i++)
			if (has_end(&found.list[i], end))
				found.list[n++] = found.list[i];
		found.count = n;
		if (n == 1) {
			status = show(ktls, &found.list[0]);
			break;
		}
		if (n) {
			status = list_matches(what, &found);
			break;
		}
		if (filter.match & KTLS_MATCH(CLOSED)) {
			status = error(STATUS_FAILED,
				       "no kTLS socket%s has the end %s, neither open nor in the history of closed ones; to see which there are, type: ktlsctl stats",
				       sees_all_sockets() ? "" : " of yours",
				       what);
			break;
		}
		filter.match |= KTLS_MATCH(CLOSED);
	}
	free_sockets(&found);
	return status;
}

enum status run_show(int argc, char **argv)
{
	const struct ktls_socket *socket;
	enum status status;
	struct ktls *ktls;
	struct end end;
	uint64_t cookie;
	bool by_cookie;

	if (argc != 1)
		return error(STATUS_USAGE,
			     "show wants one socket: its cookie, or an end as 192.0.2.1:443 or [2001:db8::1]:443");
	by_cookie = parse_number(argv[0], UINT64_MAX, &cookie);
	if (!by_cookie && !parse_end(argv[0], &end))
		return error(STATUS_USAGE,
			     "\"%s\" is neither a cookie nor an end as 192.0.2.1:443 or [2001:db8::1]:443",
			     argv[0]);
	status = open_ktls(&ktls);
	if (status)
		return status;
	if (!by_cookie)
		status = show_end(ktls, argv[0], &end);
	else if (ktls_get_socket(ktls, cookie, &socket))
		status = error_ktls(ktls);
	else
		status = show(ktls, socket);
	ktls_close(ktls);
	return status;
}
