// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The parser of libktls with messages good and bad, and what ktlsctl makes of
 * values.  Needs no kernel module.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../ktlsctl/binary.h"
#include "../ktlsctl/endpoint.h"
#include "../ktlsctl/host.h"
#include "../ktlsctl/observe.h"
#include "internal.h"
#include "message.h"
#include "tap.h"

struct options opt;

/* What main.c of ktlsctl has. */
enum status error(enum status status, const char *format, ...)
{
	(void)format;
	return status;
}

enum status error_ktls(const struct ktls *ktls)
{
	(void)ktls;
	return STATUS_FAILED;
}

void note(const char *format, ...)
{
	(void)format;
}

/* Parses a copy of just the right size, so that the sanitizer sees more. */
static int parse(const struct message *m, size_t len, struct ktls_socket *s,
		 int *direction)
{
	unsigned char *copy = malloc(len ?: 1);
	int err;

	memcpy(copy, m->data, len);
	err = ktls_parse_socket(copy, len, s, direction);
	free(copy);
	return err;
}

static const uint8_t v6[16] = { 0x20, 0x01, 0x0d, 0xb8, [15] = 1 };

static void build_stream(struct message *m, uint16_t type, bool wide)
{
	void (*number)(struct message *m, uint16_t type, uint64_t v) =
		wide ? put_u64 : put_uint;
	size_t nest = nest_begin(m, type);

	put_u8(m, KTLS_A_STREAM_MODE, KTLS_MODE_HW);
	put_u16(m, KTLS_A_STREAM_VERSION, KTLS_VERSION_TLS_1_3);
	put_u16(m, KTLS_A_STREAM_CIPHER, KTLS_CIPHER_AES_GCM_256);
	number(m, KTLS_A_STREAM_RECORDS, 11);
	number(m, KTLS_A_STREAM_PAYLOAD_BYTES, 5000000000);
	number(m, KTLS_A_STREAM_WIRE_BYTES, 5000000242);
	number(m, KTLS_A_STREAM_CONTROL_RECORDS, 2);
	put_u32(m, KTLS_A_STREAM_REKEYS, 3);
	number(m, KTLS_A_STREAM_KEY_RECORDS, 4);
	put_u32(m, KTLS_A_STREAM_LAST_ERROR, EBADMSG);
	put_u32(m, KTLS_A_STREAM_IFINDEX, 7);
	nest_end(m, nest);
}

static void build(struct message *m, bool wide, bool unknown)
{
	memset(m, 0, sizeof(*m));
	put_u64(m, KTLS_A_SOCKET_COOKIE, 0x123456789a);
	put_u8(m, KTLS_A_SOCKET_DIRECTION, KTLS_DIRECTION_RX);
	put_u16(m, KTLS_A_SOCKET_FAMILY, AF_INET6);
	put(m, KTLS_A_SOCKET_LOCAL_ADDR, v6, 16);
	put(m, KTLS_A_SOCKET_REMOTE_ADDR, v6, 16);
	put_port(m, KTLS_A_SOCKET_LOCAL_PORT, 443);
	put_port(m, KTLS_A_SOCKET_REMOTE_PORT, 51234);
	if (unknown) {
		put(m, 200, "a later module", 14);
		put(m, 0, "", 0);
	}
	put_u32(m, KTLS_A_SOCKET_INODE, 99);
	put_u32(m, KTLS_A_SOCKET_UID, 33);
	put_uint(m, KTLS_A_SOCKET_CGROUP_ID, 77);
	put_u32(m, KTLS_A_SOCKET_NETNS, 4026531840);
	put_u32(m, KTLS_A_SOCKET_PID, 812);
	put_string(m, KTLS_A_SOCKET_COMM, "nginx");
	put_u64(m, KTLS_A_SOCKET_INSTALL_TIME, 1700000000000000000);
	put_u64(m, KTLS_A_SOCKET_CLOSE_TIME, 1700000001000000000);
	put_u32(m, KTLS_A_SOCKET_FLAGS, KTLS_SOCKET_FLAGS_CLOSED);
	build_stream(m, KTLS_A_SOCKET_TX, wide);
	build_stream(m, KTLS_A_SOCKET_RX, wide);
}

static bool is_complete(const struct ktls_socket *s)
{
	const struct ktls_stream *t = &s->rx;

	return s->cookie == 0x123456789a && s->family == AF_INET6 &&
	       !memcmp(s->local_addr, v6, 16) &&
	       !memcmp(s->remote_addr, v6, 16) && s->local_port == 443 &&
	       s->remote_port == 51234 && s->inode == 99 && s->uid == 33 &&
	       s->cgroup_id == 77 && s->netns == 4026531840 && s->pid == 812 &&
	       !strcmp(s->comm, "nginx") &&
	       s->install_time == 1700000000000000000 &&
	       s->close_time == 1700000001000000000 &&
	       s->flags == KTLS_SOCKET_FLAGS_CLOSED &&
	       !memcmp(&s->tx, &s->rx, sizeof(s->tx)) &&
	       t->mode == KTLS_MODE_HW && t->version == KTLS_VERSION_TLS_1_3 &&
	       t->cipher == KTLS_CIPHER_AES_GCM_256 && t->records == 11 &&
	       t->payload_bytes == 5000000000 && t->wire_bytes == 5000000242 &&
	       t->control_records == 2 && t->rekeys == 3 &&
	       t->key_records == 4 && t->last_error == EBADMSG &&
	       t->ifindex == 7;
}

static void test_good_messages(void)
{
	struct ktls_socket s;
	struct message m;
	int dir;

	build(&m, false, false);
	ok(!parse(&m, m.len, &s, &dir) && is_complete(&s) &&
	   dir == KTLS_DIRECTION_RX, "a socket is read in full");
	build(&m, true, false);
	ok(!parse(&m, m.len, &s, &dir) && is_complete(&s),
	   "numbers of eight bytes are read");
	build(&m, false, true);
	ok(!parse(&m, m.len, &s, &dir) && is_complete(&s),
	   "unknown attributes are ignored");

	memset(&s, 0xff, sizeof(s));
	m.len = 0;
	ok(!parse(&m, 0, &s, &dir) && !s.cookie && !s.comm[0] &&
	   s.tx.mode == KTLS_MODE_NONE && dir == -1,
	   "what is absent is zero");

	memset(&m, 0, sizeof(m));
	put(&m, KTLS_A_SOCKET_COMM, "0123456789abcdefghij", 20);
	ok(!parse(&m, m.len, &s, &dir) &&
	   !strcmp(s.comm, "0123456789abcde"),
	   "a string too long and without NUL is cut");

	/* The kernel pads the last attribute; a reader need not insist. */
	memset(&m, 0, sizeof(m));
	put_u8(&m, KTLS_A_SOCKET_DIRECTION, KTLS_DIRECTION_TX);
	ok(!parse(&m, 5, &s, &dir) && dir == KTLS_DIRECTION_TX,
	   "padding at the end may be missing");
}

static void test_bad_messages(void)
{
	static const struct {
		const char *what;
		uint16_t type;
		size_t len;
	} bad[] = {
		{ "a cookie of 3 bytes", KTLS_A_SOCKET_COOKIE, 3 },
		{ "a cookie of 0 bytes", KTLS_A_SOCKET_COOKIE, 0 },
		{ "a cookie of 12 bytes", KTLS_A_SOCKET_COOKIE, 12 },
		{ "an address of 5 bytes", KTLS_A_SOCKET_LOCAL_ADDR, 5 },
		{ "an address of 17 bytes", KTLS_A_SOCKET_REMOTE_ADDR, 17 },
		{ "a port of 4 bytes", KTLS_A_SOCKET_LOCAL_PORT, 4 },
		{ "a port of 1 byte", KTLS_A_SOCKET_REMOTE_PORT, 1 },
		{ "a stream that is no nest", KTLS_A_SOCKET_TX, 7 },
	};
	static const uint8_t junk[32] = { [0 ... 31] = 0xff };
	struct ktls_socket s;
	struct message m;
	size_t i, wrong;
	int dir;

	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		memset(&m, 0, sizeof(m));
		put(&m, bad[i].type, junk, bad[i].len);
		ok(parse(&m, m.len, &s, &dir) == -EBADMSG, "%s is refused",
		   bad[i].what);
	}

	/* Cut anywhere but between two attributes, a message is no message. */
	build(&m, false, false);
	for (i = wrong = 0; i < m.len; i++) {
		int err = parse(&m, i, &s, &dir);

		if (err && err != -EBADMSG)
			wrong++;
		if (i % 4 == 1 && i % NLA_ALIGNTO != 1 && !err)
			wrong++;
	}
	ok(!wrong, "a message cut short anywhere does no harm");

	memset(&m, 0, sizeof(m));
	put_u64(&m, KTLS_A_SOCKET_COOKIE, 1);
	((struct nlattr *)m.data)->nla_len = 0;
	ok(parse(&m, m.len, &s, &dir) == -EBADMSG, "a length of 0 is refused");
	((struct nlattr *)m.data)->nla_len = 3;
	ok(parse(&m, m.len, &s, &dir) == -EBADMSG,
	   "a length below that of its header is refused");
	((struct nlattr *)m.data)->nla_len = 0xffff;
	ok(parse(&m, m.len, &s, &dir) == -EBADMSG,
	   "a length beyond the message is refused");

	memset(&m, 0, sizeof(m));
	i = nest_begin(&m, KTLS_A_SOCKET_TX);
	put_u64(&m, KTLS_A_STREAM_RECORDS, 1);
	nest_end(&m, i);
	((struct nlattr *)(m.data + 4))->nla_len = 64;
	ok(parse(&m, m.len, &s, &dir) == -EBADMSG,
	   "a length beyond its nest is refused");
}

/* Messages with random damage; the sanitizers are the judges. */
static void test_damaged_messages(void)
{
	struct message good, m;
	struct ktls_module module;
	struct ktls_totals totals;
	struct ktls_attempt attempt;
	struct ktls_outcome outcome;
	struct ktls_verdict verdict;
	struct ktls_rule policy_rule;
	struct ktls_policy policy;
	struct ktls_socket s;
	int i, n, dir, refused = 0;

	srandom(20240229);
	build(&good, false, true);
	for (i = 0; i < 100000; i++) {
		unsigned char *copy;
		size_t len;

		m = good;
		for (n = random() % 4; n >= 0; n--)
			m.data[random() % m.len] = random();
		len = random() % 4 ? m.len : (size_t)random() % m.len;
		refused += !!parse(&m, len, &s, &dir);
		s.comm[KTLS_COMM_LEN - 1] |= 0;
		if (memchr(s.comm, 0, sizeof(s.comm)) == NULL)
			break;
		copy = malloc(len ?: 1);
		memcpy(copy, m.data, len);
		ktls_parse_module(copy, len, &module);
		ktls_parse_totals(copy, len, &totals);
		ktls_parse_attempt(copy, len, &attempt);
		ktls_parse_outcome(copy, len, &outcome);
		ktls_parse_verdict(copy, len, &verdict);
		ktls_parse_rule(copy, len, &policy_rule);
		ktls_parse_policy(copy, len, &policy);
		free(policy.rules);
		free(copy);
	}
	ok(i == 100000 && refused > 1000 && refused < 100000,
	   "100000 damaged messages do no harm");
}

static void test_other_messages(void)
{
	struct ktls_module module;
	struct ktls_totals totals;
	struct message m = { .len = 0 };

	put_u8(&m, KTLS_A_TOTALS_DIRECTION, KTLS_DIRECTION_RX);
	put_u8(&m, KTLS_A_TOTALS_MODE, KTLS_MODE_SW);
	put_u16(&m, KTLS_A_TOTALS_VERSION, KTLS_VERSION_TLS_1_2);
	put_u16(&m, KTLS_A_TOTALS_CIPHER, KTLS_CIPHER_SM4_GCM);
	put_uint(&m, KTLS_A_TOTALS_OPEN, 1);
	put_uint(&m, KTLS_A_TOTALS_CLOSED, 2);
	put_uint(&m, KTLS_A_TOTALS_RECORDS, 3);
	put_uint(&m, KTLS_A_TOTALS_PAYLOAD_BYTES, UINT64_MAX);
	put_uint(&m, KTLS_A_TOTALS_WIRE_BYTES, 5);
	put_uint(&m, KTLS_A_TOTALS_CONTROL_RECORDS, 6);
	put_uint(&m, KTLS_A_TOTALS_REKEYS, 7);
	put_uint(&m, KTLS_A_TOTALS_ERRORS, 8);
	ok(!ktls_parse_totals(m.data, m.len, &totals) &&
	   totals.direction == KTLS_DIRECTION_RX &&
	   totals.mode == KTLS_MODE_SW &&
	   totals.version == KTLS_VERSION_TLS_1_2 &&
	   totals.cipher == KTLS_CIPHER_SM4_GCM && totals.open == 1 &&
	   totals.closed == 2 && totals.records == 3 &&
	   totals.payload_bytes == UINT64_MAX && totals.wire_bytes == 5 &&
	   totals.control_records == 6 && totals.rekeys == 7 &&
	   totals.errors == 8, "totals are read in full");

	m.len = 0;
	put_string(&m, KTLS_A_MODULE_VERSION, "0.1.0");
	put_u32(&m, KTLS_A_MODULE_ARMED, 0x3ff);
	put_u32(&m, KTLS_A_MODULE_MISSING, 1);
	put_uint(&m, KTLS_A_MODULE_OPEN, 2);
	put_u32(&m, KTLS_A_MODULE_CLOSED, 3);
	put_u32(&m, KTLS_A_MODULE_CLOSED_LIMIT, 4);
	put_uint(&m, KTLS_A_MODULE_LOST_SOCKETS, 5);
	put_uint(&m, KTLS_A_MODULE_LOST_EVENTS, 6);
	put_uint(&m, KTLS_A_MODULE_LOAD_TIME, 1700000000000000000);
	ok(!ktls_parse_module(m.data, m.len, &module) &&
	   !strcmp(module.version, "0.1.0") && module.armed == 0x3ff &&
	   module.missing == 1 && module.open == 2 && module.closed == 3 &&
	   module.closed_limit == 4 && module.lost_sockets == 5 &&
	   module.lost_events == 6 &&
	   module.load_time == 1700000000000000000, "the module is read in full");
}

static void test_filter(void)
{
	struct ktls_socket s = {
		.local_port = 443, .remote_port = 50000, .uid = 33, .pid = 812,
		.cgroup_id = 7,
		.tx = { .mode = KTLS_MODE_SW, .version = KTLS_VERSION_TLS_1_3,
			.cipher = KTLS_CIPHER_AES_GCM_128 },
	};
	struct ktls_filter f = { 0 };

	ok(ktls_filter_match(NULL, &s) && ktls_filter_match(&f, &s),
	   "no filter matches");
	f = (struct ktls_filter){ .match = KTLS_MATCH(PORT), .port = 50000 };
	ok(ktls_filter_match(&f, &s), "port matches the remote end");
	f.match = KTLS_MATCH(LOCAL_PORT);
	f.local_port = 50000;
	ok(!ktls_filter_match(&f, &s), "a local port is local");
	f = (struct ktls_filter){ .match = KTLS_MATCH(DIRECTION),
				  .direction = KTLS_DIRECTION_RX };
	ok(!ktls_filter_match(&f, &s), "rx is not on kernel TLS here");
	f.match |= KTLS_MATCH(MODE);
	f.mode = KTLS_MODE_NONE;
	ok(ktls_filter_match(&f, &s), "rx has mode none here");
	f.direction = KTLS_DIRECTION_TX;
	ok(!ktls_filter_match(&f, &s), "tx has not");
	f = (struct ktls_filter){
		.match = KTLS_MATCH(VERSION) | KTLS_MATCH(CIPHER),
		.version = KTLS_VERSION_TLS_1_3,
		.cipher = KTLS_CIPHER_AES_GCM_128,
	};
	ok(ktls_filter_match(&f, &s), "version and cipher match in one direction");
	s.tx.version = KTLS_VERSION_TLS_1_2;
	s.rx = (struct ktls_stream){ .mode = KTLS_MODE_SW,
				     .version = KTLS_VERSION_TLS_1_3 };
	ok(!ktls_filter_match(&f, &s), "but not across two");
	f = (struct ktls_filter){
		.match = KTLS_MATCH(UID) | KTLS_MATCH(PID) |
			 KTLS_MATCH(CGROUP_ID),
		.uid = 33, .pid = 812, .cgroup_id = 7,
	};
	ok(ktls_filter_match(&f, &s), "uid, pid and cgroup match");
	f.cgroup_id = 8;
	ok(!ktls_filter_match(&f, &s), "all of a filter must match");
}

static void test_numbers(void)
{
	static const struct {
		uint64_t value;
		const char *count, *bytes;
	} cases[] = {
		{ 0, "0", "0" },
		{ 999, "999", "999" },
		{ 1000, "1.0k", "1000" },
		{ 1023, "1.0k", "1023" },
		{ 1024, "1.0k", "1.0K" },
		{ 1049, "1.0k", "1.0K" },
		{ 1050, "1.1k", "1.0K" },
		{ 1536, "1.5k", "1.5K" },
		{ 9949, "9.9k", "9.7K" },
		{ 9950, "10k", "9.7K" },
		{ 10239, "10k", "10K" },
		{ 999499, "999k", "976K" },
		{ 999500, "1.0M", "976K" },
		{ 1048063, "1.0M", "1023K" },
		{ 1048064, "1.0M", "1.0M" },
		{ 1048576, "1.0M", "1.0M" },
		{ 3650722201, "3.7G", "3.4G" },
		{ 1ull << 40, "1.1T", "1.0T" },
		{ 1ull << 60, "1.2E", "1.0E" },
		{ UINT64_MAX, "18E", "16E" },
	};
	char count[NUMBER_LEN], bytes[NUMBER_LEN];
	uint64_t value;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		format_count(count, cases[i].value);
		format_bytes(bytes, cases[i].value);
		ok(!strcmp(count, cases[i].count) &&
		   !strcmp(bytes, cases[i].bytes), "%llu is %s, or %s bytes",
		   (unsigned long long)cases[i].value, count, bytes);
	}
	/* Never wider than the columns reckon with. */
	for (value = 1, i = 0; value && i < 4000; i++) {
		if (strlen(format_count(count, value)) > 4 ||
		    strlen(format_bytes(bytes, value)) > 5)
			break;
		value += value / 100 + 1;
		if (value > 1ull << 63)
			break;
	}
	ok(value > 1ull << 63, "no number is wider than five characters");
	opt.exact = true;
	ok(!strcmp(format_bytes(bytes, UINT64_MAX), "18446744073709551615"),
	   "exact numbers are exact");
	opt.exact = false;
}

static void test_values(void)
{
	struct ktls_socket s = { .family = AF_INET6, .local_port = 443 };
	char b[ADDR_LEN];

	memset(s.local_addr, 0xff, 16);
	s.local_port = 65535;
	ok(!strcmp(format_local(b, &s),
		   "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535"),
	   "an IPv6 address is in brackets");
	s.family = AF_INET;
	ok(!strcmp(format_local(b, &s), "255.255.255.255:65535"),
	   "an IPv4 address is not");
	ok(!strcmp(format_process(b, &s), "-"), "no process is a dash");
	s.pid = 1;
	memcpy(s.comm, "a\033[2J b\xff\x9b", 10);
	ok(!strcmp(format_process(b, &s), "1/a?[2J_b??"),
	   "a command name cannot steer the terminal");
	ok(!strcmp(format_duration(b, 59999999999), "59s") &&
	   !strcmp(format_duration(b, 60000000000), "1m00s") &&
	   !strcmp(format_duration(b, 3661000000000), "1h01m") &&
	   !strcmp(format_duration(b, 90000000000000), "1d01h"),
	   "durations have two units");
	ok(!strcmp(format_version(b, 0x305), "0x305") &&
	   !strcmp(format_cipher(b, 99), "cipher-99") &&
	   !strcmp(format_mode(b, 9), "9"),
	   "values of a later module are shown as numbers");
	ok(!ktls_socket_flag_name(0) && !ktls_socket_flag_name(3) &&
	   !ktls_hook_name(1u << 31) && !ktls_version_name(0) &&
	   !ktls_cipher_name(50) && !ktls_cipher_name(59) &&
	   !ktls_event_name(0), "what has no name has none");
}

static const struct column columns[] = {
	TEXT("ONE", 0, 0), NUMBER("TWO", 0, 1), TEXT("THREE", 1, 2),
};

/* Text of a table with one row, in a buffer to be freed. */
static char *table_text(unsigned int width, const char *one, const char *two)
{
	struct table *t = table_new(columns, ARRAY_SIZE(columns));
	FILE *before = stdout;
	char *text = NULL;
	size_t size;

	table_add(t, one);
	table_add(t, two);
	table_add(t, "3");
	stdout = open_memstream(&text, &size);
	table_print(t, width, 0);
	fclose(stdout);
	stdout = before;
	return text;
}

static void test_table(void)
{
	char *text;

	text = table_text(0, "x", "1");
	ok(!strcmp(text, "ONE  TWO  THREE\nx      1  3\n"),
	   "a table has two spaces between columns");
	free(text);
	text = table_text(13, "x", "1");
	ok(!strcmp(text, "ONE TWO THREE\nx     1 3\n"), "or one, if there is no room");
	free(text);
	text = table_text(14, "xxxxxxxxxxxx", "1");
	ok(!strcmp(text, "ONE TWO THREE\nxxxxxxxxxxxx 1\n        3\n"),
	   "or the first columns of long rows apart");
	free(text);
	text = table_text(9, "xxxxxxxx", "1");
	ok(!strcmp(text, "ONE\n    TWO\n    THREE\nxxxxxxxx\n      1\n    3\n"),
	   "or three lines");
	free(text);
}

/* Damaged lines; the sanitizers are the judges. */
static void test_words(void)
{
	static const char *const good[] = {
		"deny rx version 1.3 uid 0 port 443 comm \"a \\x1b\\\" b\"",
		"audit tx mode hw cipher sm4-gcm cgroup 12345678901234567 # so",
		"allow ulp comm a\"b sport 1 dport 2",
	};
	struct ktls_rule r, back;
	char *words[WORDS_MAX], *line, *text;
	int i, n, count, understood = 0;
	struct wrong w;
	bool same = true;

	srandom(20240301);
	for (i = 0; i < 100000; i++) {
		line = strdup(good[i % ARRAY_SIZE(good)]);
		for (n = i < 3 ? 0 : random() % 4; n > 0; n--)
			line[random() % strlen(line)] = random() % 255 + 1;
		count = split_words(line, words, WORDS_MAX, &w);
		if (count > 0 && parse_rule(count, words, &r, &w)) {
			understood++;
			/* What was understood is written and read alike. */
			text = rule_text(&r);
			count = split_words(text, words, WORDS_MAX, &w);
			if (count < 1 || !parse_rule(count, words, &back, &w) ||
			    memcmp(&r, &back, sizeof(r)))
				same = false;
			free(text);
		}
		free(line);
	}
	ok(understood > 10000 && understood < 100000,
	   "100000 damaged rules do no harm");
	ok(same, "those that are rules are written as they are read");
}

static void test_endpoint(void)
{
	static const struct {
		const char *text;
		const char *host;	/* %NULL: it is none */
		unsigned int port;
		bool is_address;
	} cases[] = {
		{ "example.org", "example.org", 443, false },
		{ "example.org:8443", "example.org", 8443, false },
		{ "192.0.2.1", "192.0.2.1", 443, true },
		{ "192.0.2.1:1", "192.0.2.1", 1, true },
		{ "[2001:db8::1]", "2001:db8::1", 443, true },
		{ "[2001:db8::1]:65535", "2001:db8::1", 65535, true },
		{ "1.2.3", "1.2.3", 443, false },
		{ "2001:db8::1", NULL, 0, false },
		{ "[2001:db8::1", NULL, 0, false },
		{ "[]", NULL, 0, false },
		{ "[]:443", NULL, 0, false },
		{ "[::1]x", NULL, 0, false },
		{ "[example.org]", NULL, 0, false },
		{ "", NULL, 0, false },
		{ ":1", NULL, 0, false },
		{ "a:", NULL, 0, false },
		{ "a:0", NULL, 0, false },
		{ "a:-1", NULL, 0, false },
		{ "a:65536", NULL, 0, false },
		{ "a:1:2", NULL, 0, false },
		{ "https://a", NULL, 0, false },
		{ "a/b", NULL, 0, false },
		{ "a b", NULL, 0, false },
		{ "\xc3\xa9", NULL, 0, false },
	};
	struct endpoint e;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		enum status status = parse_endpoint(cases[i].text, &e);

		if (!cases[i].host)
			ok(status == STATUS_USAGE, "\"%s\" is no endpoint",
			   cases[i].text);
		else
			ok(!status && !strcmp(e.host, cases[i].host) &&
			   e.port == cases[i].port &&
			   e.is_address == cases[i].is_address,
			   "\"%s\" is an endpoint", cases[i].text);
	}
}

static void test_https_port(void)
{
	static const struct {
		const char *url;
		uint16_t port;
	} cases[] = {
		{ "https://a", 443 },
		{ "https://a/b:1/c", 443 },
		{ "https://a:8443/b", 8443 },
		{ "https://a?b@c:2", 443 },
		{ "https://user:1@a", 443 },
		{ "https://user:1@a:2#b", 2 },
		{ "https://[2001:db8::1]", 443 },
		{ "https://[2001:db8::1]:8443", 8443 },
		{ "https://", 0 },
		{ "https://a:b", 0 },
		{ "https://a:65536", 0 },
		{ "http://a", 0 },
		{ "--upstream=https://a", 0 },
		{ "", 0 },
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(cases); i++)
		ok(https_port(cases[i].url) == cases[i].port,
		   "port %u of \"%s\"", cases[i].port, cases[i].url);
}

static void test_open_regular(void)
{
	static const struct {
		const char *path;
		int err;
	} cases[] = {
		{ "/dev/null", EINVAL },
		{ "/", EISDIR },
		{ "/nowhere", ENOENT },
		{ "/proc/self/exe", 0 },
	};
	size_t i;
	int fd;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		fd = open_regular(open(cases[i].path, O_PATH));
		ok((fd < 0 ? errno : 0) == cases[i].err, "%s: %s",
		   cases[i].path, fd < 0 ? strerror(errno) : "is a file");
		if (fd >= 0)
			close(fd);
	}
}

static void test_kernel_version(void)
{
	static const struct {
		const char *text;
		bool is_debian;
		unsigned int version[3], fixed;
	} cases[] = {
		{ "Linux version 6.1.0-49-amd64 (debian-kernel@lists.debian.org) (gcc-12 (Debian 12.2.0-14+deb12u1) 12.2.0, GNU ld (GNU Binutils for Debian) 2.40) #1 SMP PREEMPT_DYNAMIC Debian 6.1.174-1 (2026-06-08)\n",
		  true, { 6, 1, 174 }, 192 },
		{ "Linux version 6.12.117+deb13-amd64 (debian-kernel@lists.debian.org) (x86_64-linux-gnu-gcc-14 (Debian 14.2.0-19) 14.2.0) #1 SMP PREEMPT_DYNAMIC Debian 6.12.117-1 (2026-11-02)\n",
		  true, { 6, 12, 117 }, 115 },
		{ "Linux version 6.12.90+bpo-amd64 (debian-kernel@lists.debian.org) (gcc) #1 SMP Debian 6.12.90-1~bpo12+1 (2026-07-01)\n",
		  true, { 6, 12, 90 }, 115 },
		{ "Linux version 7.2.13+deb14-amd64 (debian-kernel@lists.debian.org) (gcc) #1 SMP Debian 7.2.13-1 (2026-11-11)\n",
		  true, { 7, 2, 13 }, 0 },
		/* One's own, with Debian's compiler. */
		{ "Linux version 6.1.50 (root@host) (gcc (Debian 12.2.0-14) 12.2.0) #1 SMP Debian 6.1.50\n",
		  false, { 0 }, 0 },
		{ "Linux version 6.8.0-45-generic (buildd@lcy02) (gcc) #45-Ubuntu SMP\n",
		  false, { 0 }, 0 },
		{ "", false, { 0 }, 0 },
		{ "(debian-kernel@lists.debian.org) #", false, { 0 }, 0 },
	};
	struct ktls_kernel k;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		ktls_parse_kernel(cases[i].text, &k);
		ok(k.is_debian == cases[i].is_debian &&
		   (!k.is_debian || !memcmp(k.version, cases[i].version,
					    sizeof(k.version))) &&
		   k.fixed == cases[i].fixed,
		   "kernel %zu of /proc/version", i);
	}
}

static void test_module_files(void)
{
	static const char dep[] =
		"kernel/net/mptcp/mptls.ko: kernel/net/tls/tlsx.ko\n"
		"kernel/net/rds/rds.ko.xz: kernel/net/tls/tls.ko.xz\n";

	ok(!lists_module_file(dep, "tls") && !lists_module_file("", "tls") &&
	   lists_module_file(dep, "rds") &&
	   lists_module_file("kernel/net/tls/tls.ko:\n", "tls") &&
	   lists_module_file("a.ko:\nkernel/net/tls/tls.ko.zst: b.ko", "tls") &&
	   lists_module_file("kernel/net/tls/tls.ko\n", "tls"),
	   "a module in modules.dep");
	ok(loads_module("# comment\n\n tls\n", "tls") &&
	   loads_module("loop\ntls", "tls") && !loads_module("#tls\n", "tls") &&
	   !loads_module("; tls\n", "tls") && !loads_module("tlsx\n", "tls") &&
	   !loads_module("", "tls"), "a module in modules-load.d");
	ok(forbids_module("blacklist tls\n", "tls") == FORBIDDEN_BLACKLIST &&
	   forbids_module("\tblacklist\ttls # why\n", "tls") ==
	   FORBIDDEN_BLACKLIST &&
	   forbids_module("install tls /bin/false\n", "tls") ==
	   FORBIDDEN_INSTALL &&
	   forbids_module("blacklist tls\ninstall tls /bin/true", "tls") ==
	   FORBIDDEN_INSTALL && !forbids_module("#blacklist tls\n", "tls") &&
	   !forbids_module("blacklist tlsx\noptions tls a=1\n", "tls") &&
	   !forbids_module("install tls\n", "tls"),
	   "a module in modprobe.d");
	ok(parse_config("# CONFIG_TLS is not set\n", "CONFIG_TLS") == 0 &&
	   parse_config("CONFIG_TLS_DEVICE=y\nCONFIG_TLS=m\n", "CONFIG_TLS") ==
	   'm' && parse_config("CONFIG_TLS_DEVICE=y", "CONFIG_TLS") == 0,
	   "a kernel's config");
	ok(has_word("espintcp mptcp tls\n", "tls") &&
	   has_word("tls", "tls") && !has_word("mptcp tlsx\n", "tls") &&
	   !has_word("\n", "tls") && !has_word("", "tls"), "a word of a list");
}

static void test_counters(void)
{
	static const char stat[] =
		"TlsCurrTxSw                     \t0\n"
		"TlsTxSw                         \t12\n"
		"TlsDecryptError                 \t18446744073709551615\n";
	char tiny[8], b[256];
	uint64_t value;

	ok(parse_counter(stat, "TlsTxSw", &value) && value == 12 &&
	   parse_counter(stat, "TlsCurrTxSw", &value) && !value &&
	   parse_counter(stat, "TlsDecryptError", &value) &&
	   value == UINT64_MAX && !parse_counter(stat, "TlsTx", &value) &&
	   !parse_counter("", "TlsTxSw", &value), "counters of tls_stat");
	format_counters(stat, b, sizeof(b));
	ok(!strcmp(b, "TlsTxSw 12, TlsDecryptError 18446744073709551615"),
	   "those that are not zero");
	format_counters("TlsTxSw 0\n", b, sizeof(b));
	ok(!strcmp(b, "all are zero"), "or none");
	format_counters(stat, tiny, sizeof(tiny));
	ok(!strcmp(tiny, "TlsTxSw"), "as many as there is room for");
}

static void test_maps(void)
{
	static const char libc[] =
		"7f00-7f10 r-xp 00000000 fe:01 1311 /usr/lib/libc.so.6\n"
		"7f10-7f20 rw-p 00000000 00:00 0 \n"
		"7f20-7f30 rw-p 00000000 00:00 0    [stack]\n";
	static const char lib[] =
		"7f00-7f10 r-xp 00000000 fe:01 1311 /usr/lib/libssl3.so\n"
		"7f10-7f20 r-xp 00000000 fe:1a 4711   /opt/a b/libssl.so.3\n"
		"7f20-7f30 r-xp 00000000 fe:01 4712   /usr/lib/libssl.so.1.1";
	static const char gone[] =
		"7f10-7f20 r-xp 00000000 00:2a 99 /usr/lib/libssl.so.3 (deleted)\n";
	struct mapped m;

	ok(!parse_maps(libc, &m) && !parse_maps("", &m) &&
	   !parse_maps("/libssl.so.3\n", &m), "no libssl in maps");
	ok(parse_maps(lib, &m) && !strcmp(m.path, "/opt/a b/libssl.so.3") &&
	   m.major == 0xfe && m.minor == 0x1a && m.inode == 4711 && !m.deleted,
	   "the first libssl in maps");
	ok(parse_maps(gone, &m) && !strcmp(m.path, "/usr/lib/libssl.so.3") &&
	   m.inode == 99 && m.deleted, "one that was replaced");
}

static void test_mappings(void)
{
	static const char text[] =
		"5600-5601 r--p 00000000 fe:1a 11 /usr/sbin/nginx\n"
		"5601-5602 r-xp 00001000 fe:1a 11 /usr/sbin/nginx\n"
		"5602-5603 rw-p 00002000 fe:1a 12 /usr/share/data\n"
		"7f00-7f10 r-xp 00000000 fe:1a 13 /usr/lib/libssl.so.3\n"
		"7f10-7f20 r-xp 00008000 fe:1a 13 /usr/lib/libssl.so.3\n"
		"7f20-7f30 r-xp 00000000 00:2a 14 /a b/c (deleted)\n"
		"7ff0-7ff1 r-xp 00000000 00:00 0 [vdso]\n";
	struct mappings m;
	char *lines = NULL;
	size_t i, size;
	FILE *many;

	parse_mappings(text, &m);
	ok(m.count == 3, "files that are executed from");
	ok(m.count == 3 && !strcmp(mapping_name(&m.list[0]), "nginx") &&
	   !strcmp(m.list[0].file.range, "5601-5602") &&
	   !strcmp(mapping_name(&m.list[1]), "libssl.so.3") &&
	   m.list[1].file.inode == 13, "each once, and where");
	ok(m.count == 3 && m.list[2].file.deleted &&
	   !strcmp(m.list[2].file.path, "/a b/c"), "also one that is gone");
	free_mappings(&m);
	many = open_memstream(&lines, &size);
	for (i = 1; many && i <= 5000; i++)
		fprintf(many, "1-2 r-xp 0 fe:1a %zu /a\n", i);
	if (many)
		fclose(many);
	parse_mappings(lines ?: "", &m);
	ok(m.incomplete && m.count && m.count < 5000, "not all of too many");
	free_mappings(&m);
	free(lines);
	parse_mappings("\n/\nx /\n", &m);
	ok(!m.count, "no file in what is no list of them");
	free_mappings(&m);

	/* Of this very program; it names these, and the bytes of no other. */
	ok(!read_mappings(getpid(), &m), "our own maps");
	for (i = 0; i < m.count; i++)
		if (!strncmp(mapping_name(&m.list[i]), "unit", 4))
			break;
	if (i < m.count && has_trait(getpid(), &m.list[i], TRAIT_OPENSSL) !=
	    ANSWER_UNKNOWN) {
		ok(has_trait(getpid(), &m.list[i], TRAIT_SOCKET_BIO) ==
		   ANSWER_YES, "a trait of a file");
		ok(has_trait(getpid(), &m.list[i], TRAIT_SOCKET_BIO) ==
		   ANSWER_YES, "the same when it is known");
	}
	free_mappings(&m);
	ok(read_mappings(4194305, &m) < 0, "no maps of no process");
	free_binaries();
}

static void test_end(void)
{
	static const uint8_t four[16] = { 192, 0, 2, 1 };
	static const uint8_t mapped[16] = { [10] = 0xff, 0xff, 192, 0, 2, 1 };
	struct end end;

	ok(parse_end("192.0.2.1:443", &end) && end.port == 443 &&
	   is_end(&end, AF_INET, four, 443), "an end");
	ok(is_end(&end, AF_INET6, mapped, 443), "the same on a socket of IPv6");
	ok(!is_end(&end, AF_INET, four, 444) &&
	   !is_end(&end, AF_INET, mapped, 443), "but not another");
	ok(parse_end("[::ffff:192.0.2.1]:443", &end) &&
	   is_end(&end, AF_INET, four, 443), "and the other way round");
	ok(!parse_end(":443", &end) && !parse_end("1.2.3.4", &end) &&
	   !parse_end("[::1:443", &end) && !parse_end("", &end) &&
	   !parse_end("1.2.3.4:99999", &end), "no ends");
}

/* A packet with a ServerHello. */
static size_t build_hello(uint8_t *packet, bool ipv6, uint16_t version,
			  uint16_t cipher, uint8_t random)
{
	uint8_t *p = packet, *tcp, *record, *extensions;
	const uint16_t legacy = version < 0x303 ? version : 0x303;

	memset(p, 0, 512);
	p[0] = ipv6 ? 0x60 : 0x46;
	p[ipv6 ? 6 : 9] = 6;
	tcp = p + (ipv6 ? 40 : 24);
	tcp[12] = 8 << 4;
	record = p = tcp + 32;
	*p++ = 22;
	*p++ = 3;
	*p++ = 3;
	p += 2;
	*p++ = 2;
	p += 3;
	*p++ = legacy >> 8;
	*p++ = legacy & 0xff;
	memset(p, random, 32);
	p += 32;
	*p++ = 32;
	memset(p, 0x55, 32);
	p += 32;
	*p++ = cipher >> 8;
	*p++ = cipher & 0xff;
	*p++ = 0;
	extensions = p;
	p += 2;
	/* key_share, of nothing */
	*p++ = 0;
	*p++ = 51;
	*p++ = 0;
	*p++ = 1;
	*p++ = 9;
	if (version == 0x304) {
		*p++ = 0;
		*p++ = 43;
		*p++ = 0;
		*p++ = 2;
		*p++ = 3;
		*p++ = 4;
	}
	extensions[1] = p - extensions - 2;
	record[3] = (p - record - 5) >> 8;
	record[4] = (p - record - 5) & 0xff;
	record[8] = p - record - 9;
	if (!ipv6)
		packet[3] = p - packet;
	return p - packet;
}

static struct negotiated hello(bool ipv6, uint16_t version, uint16_t cipher)
{
	struct handshakes h = { .fd = -1 };
	struct negotiated n = { 0 };
	uint8_t packet[512];
	size_t len;

	len = build_hello(packet, ipv6, version, cipher, 7);
	read_server_hello(&h, packet, len);
	/* It comes by another device as well. */
	read_server_hello(&h, packet, len);
	if (h.count == 1)
		n = h.list[0];
	free(h.list);
	return n;
}

static void test_handshakes(void)
{
	struct handshakes h = { .fd = -1 };
	uint8_t packet[512], *copy;
	struct negotiated n;
	size_t len, i;

	n = hello(false, 0x304, 0x1301);
	ok(n.version == 0x304 && n.cipher == 0x1301 && n.handshakes == 1 &&
	   n.eligible && !strcmp(n.name, "TLS_AES_128_GCM_SHA256"),
	   "a handshake of TLS 1.3");
	n = hello(true, 0x303, 0xc02b);
	ok(n.version == 0x303 && n.handshakes == 1 && n.eligible,
	   "one of TLS 1.2 over IPv6");
	n = hello(true, 0x303, 0xc023);
	ok(n.handshakes == 1 && !n.eligible, "one with CBC is not eligible");
	n = hello(false, 0x304, 0x1305);
	ok(n.handshakes == 1 && !n.eligible, "nor one with a short tag");
	n = hello(false, 0x302, 0xc013);
	ok(n.version == 0x302 && !n.eligible, "nor one of TLS 1.1");
	n = hello(false, 0x304, 0xfafa);
	ok(n.handshakes == 1 && !n.eligible && !n.name[0],
	   "nor one of a cipher that nobody knows");

	/* Whatever is cut off, copied so that the sanitizer sees more. */
	len = build_hello(packet, false, 0x304, 0x1301, 9);
	for (i = 0; i < len; i++) {
		copy = malloc(i ?: 1);
		memcpy(copy, packet, i);
		read_server_hello(&h, copy, i);
		free(copy);
	}
	ok(h.count <= 1, "truncated packets");
	srandom(1);
	for (i = 0; i < 200000; i++) {
		size_t times = 1 + random() % 4;

		len = build_hello(packet, random() % 2, 0x304, 0x1301, i);
		while (times--)
			packet[random() % len] = random();
		copy = malloc(len);
		memcpy(copy, packet, len);
		read_server_hello(&h, copy, len);
		free(copy);
	}
	ok(h.count, "damaged packets");
	free(h.list);
	h = (struct handshakes){ .fd = -1 };
	len = build_hello(packet, true, 0x304, 0x1301, 9);
	memcpy(packet + 40 + 32 + 11, (uint8_t[]){
		0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11 }, 8);
	read_server_hello(&h, packet, len);
	ok(!h.count, "a request for another ClientHello is no handshake");
}

int main(void)
{
	tap_begin();
	test_good_messages();
	test_bad_messages();
	test_damaged_messages();
	test_other_messages();
	test_filter();
	test_numbers();
	test_values();
	test_table();
	test_words();
	test_endpoint();
	test_https_port();
	test_open_regular();
	test_kernel_version();
	test_module_files();
	test_counters();
	test_maps();
	test_mappings();
	test_end();
	test_handshakes();
	return tap_end();
}
