// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What ktlsd says to clients that want files, and to backends: HTTP, connections of
 * clients that do all they can think of, the PROXY protocol.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "../ktlsd/files.h"
#include "../ktlsd/http.h"
#include "../ktlsd/ktlsd.h"
#include "../ktlsd/proxy.h"
#include "fuzz_http.h"
#include "tap.h"

#define SECOND 1000000000ull

/* What stands still unless it is moved. */
static uint64_t clock_ns;

uint64_t monotonic_ns(void)
{
	return clock_ns;
}

/* Requests */

static struct http_request request;
static struct http_answer answer;

/* In a copy of the right size, so that the sanitizer sees more; it is to be freed. */
static char *parse(const char *text, size_t *used)
{
	size_t len = strlen(text);
	char *copy = malloc(len ?: 1);

	memcpy(copy, text, len);
	http_request_init(&request);
	*used = http_parse(&request, copy, len);
	return copy;
}

static void test_targets(void)
{
	static const struct {
		const char *target;
		unsigned int status;
		const char *path;
	} cases[] = {
		{ "/", 0, "" },
		{ "//", 0, "" },
		{ "/?a=/../b", 0, "" },
		{ "/index.html", 0, "index.html" },
		{ "/a/b/c", 0, "a/b/c" },
		{ "/a/b/", 0, "a/b/" },
		{ "/a//b///c", 0, "a/b/c" },
		{ "//a/b", 0, "a/b" },
		{ "///etc/passwd", 0, "etc/passwd" },
		{ "/a?b?c", 0, "a" },
		{ "/a/.", 0, "a/" },
		{ "/a/./b", 0, "a/b" },
		{ "/.", 0, "" },
		{ "/./", 0, "" },
		{ "/a/..", 0, "" },
		{ "/a/../b", 0, "b" },
		{ "/a/b/../../c/", 0, "c/" },
		{ "/a/b/..", 0, "a/" },
		{ "/a/%2e%2E/b", 0, "b" },
		{ "/a/.%2e/b", 0, "b" },
		{ "/%2e/a", 0, "a" },
		{ "/...", 0, "..." },
		{ "/..a/b..", 0, "..a/b.." },
		{ "/.well-known/x", 0, ".well-known/x" },
		{ "/a%20b", 0, "a b" },
		{ "/a+b", 0, "a+b" },
		{ "/%C3%A4", 0, "\303\244" },
		{ "/\303\244", 0, "\303\244" },
		{ "/%25", 0, "%" },
		{ "/%252e%252e/a", 0, "%2e%2e/a" },
		{ "/a%3fb", 0, "a?b" },
		{ "/a%23b", 0, "a#b" },
		{ "/a\\..\\b", 0, "a\\..\\b" },
		{ "/a%0ab", 0, "a\nb" },
		{ "/a;b=c,d", 0, "a;b=c,d" },
		{ "http://example.org/a", 0, "a" },
		{ "HTTPS://example.org/a/../b", 0, "b" },
		{ "https://example.org", 0, "" },
		{ "http://example.org?q", 0, "" },
		{ "http://example.org:80//a", 0, "a" },
		{ "/..", 400, NULL },
		{ "/../", 400, NULL },
		{ "/../etc/passwd", 400, NULL },
		{ "/a/../../etc/passwd", 400, NULL },
		{ "/%2e%2e/etc/passwd", 400, NULL },
		{ "/a/%2e./%2e%2e/b", 400, NULL },
		{ "/a%2fb", 400, NULL },
		{ "/a%2Fb", 400, NULL },
		{ "/..%2fetc/passwd", 400, NULL },
		{ "/a%00", 400, NULL },
		{ "/%00", 400, NULL },
		{ "/a%", 400, NULL },
		{ "/a%2", 400, NULL },
		{ "/a%2g", 400, NULL },
		{ "/a%g2", 400, NULL },
		{ "/a% 2", 400, NULL },
		{ "/a#b", 400, NULL },
		{ "/a\tb", 400, NULL },
		{ "/a\001b", 400, NULL },
		{ "/a\177b", 400, NULL },
		{ "a", 400, NULL },
		{ "*", 400, NULL },
		{ "../a", 400, NULL },
		{ "example.org:443", 400, NULL },
		{ "ftp://example.org/a", 400, NULL },
		{ "file:///etc/passwd", 400, NULL },
		{ "http://", 400, NULL },
	};
	char text[512], *copy;
	size_t i, used;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		snprintf(text, sizeof(text), "GET %s HTTP/1.1\r\nHost: x\r\n\r\n",
			 cases[i].target);
		copy = parse(text, &used);
		ok(used && request.status == cases[i].status &&
		   (!cases[i].path || !strcmp(request.path, cases[i].path)),
		   "target %zu: %u", i, request.status);
		free(copy);
	}
}

#define OK_HEAD "GET /a HTTP/1.1\r\nHost: x\r\n"

static void test_requests(void)
{
	static const struct {
		const char *name;
		const char *text;
		unsigned int status;
		enum { CLOSE, KEEP, UNREAD } after;
	} cases[] = {
		{ "1.1", OK_HEAD "\r\n", 0, KEEP },
		{ "1.1 with close", OK_HEAD "Connection: close\r\n\r\n", 0, CLOSE },
		{ "close among others", OK_HEAD "Connection: x, Close\r\n\r\n", 0, CLOSE },
		{ "1.0", "GET /a HTTP/1.0\r\n\r\n", 0, CLOSE },
		{ "1.0 with keep-alive",
		  "GET /a HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", 0, KEEP },
		{ "a later 1.x", "GET /a HTTP/1.7\r\nHost: x\r\n\r\n", 0, KEEP },
		{ "empty lines before", "\r\n\r\n" OK_HEAD "\r\n", 0, KEEP },
		{ "lines without CR", "GET /a HTTP/1.1\nHost: x\n\n", 0, KEEP },
		{ "an empty field", OK_HEAD "X:\r\nY: \r\n\r\n", 0, KEEP },
		{ "an empty host", "GET /a HTTP/1.1\r\nHost:\r\n\r\n", 0, KEEP },
		{ "a host with a port", "GET / HTTP/1.1\r\nHost: [::1]:443\r\n\r\n", 0, KEEP },
		{ "no content", OK_HEAD "Content-Length: 0\r\n\r\n", 0, KEEP },
		{ "an upgrade", OK_HEAD "Connection: upgrade\r\nUpgrade: h2c\r\n\r\n", 0, KEEP },
		{ "no host", "GET /a HTTP/1.1\r\n\r\n", 400, UNREAD },
		{ "two hosts", OK_HEAD "Host: x\r\n\r\n", 400, UNREAD },
		{ "two hosts in 1.0",
		  "GET / HTTP/1.0\r\nHost: x\r\nHost: y\r\n\r\n", 400, UNREAD },
		{ "a host with a path", "GET / HTTP/1.1\r\nHost: x/y\r\n\r\n", 400, UNREAD },
		{ "a host with a space", "GET / HTTP/1.1\r\nHost: x y\r\n\r\n", 400, UNREAD },
		{ "0.9", "GET /a\r\n\r\n", 505, UNREAD },
		{ "2.0", "GET /a HTTP/2.0\r\nHost: x\r\n\r\n", 505, UNREAD },
		{ "the preface of HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 405, UNREAD },
		{ "no version", "GET /a HTTP\r\n\r\n", 400, UNREAD },
		{ "POST without content", "POST /a HTTP/1.1\r\nHost: x\r\n\r\n", 405, KEEP },
		{ "DELETE", "DELETE /a HTTP/1.1\r\nHost: x\r\n\r\n", 405, KEEP },
		{ "OPTIONS of all", "OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", 405, KEEP },
		{ "POST",
		  "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\na", 405, UNREAD },
		{ "PUT in chunks",
		  "PUT /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n", 405, UNREAD },
		{ "CONNECT", "CONNECT x:443 HTTP/1.1\r\nHost: x\r\n\r\n", 405, UNREAD },
		{ "an unknown method", "BREW /a HTTP/1.1\r\nHost: x\r\n\r\n", 405, UNREAD },
		{ "a method in small letters", "get /a HTTP/1.1\r\nHost: x\r\n\r\n", 400, UNREAD },
		{ "TLS", "\026\003\001\001\001\001", 400, UNREAD },
		{ "GET with content", OK_HEAD "Content-Length: 5\r\n\r\nhello", 413, UNREAD },
		{ "GET in chunks",
		  OK_HEAD "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 413, UNREAD },
		{ "content of two lengths",
		  OK_HEAD "Content-Length: 0\r\nContent-Length: 5\r\n\r\n", 400, UNREAD },
		{ "content of a bad length", OK_HEAD "Content-Length: -1\r\n\r\n", 400, UNREAD },
		{ "content of a length without end",
		  OK_HEAD "Content-Length: 99999999999999999999\r\n\r\n", 400, UNREAD },
		{ "a length and chunks",
		  OK_HEAD "Content-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n", 400, UNREAD },
		{ "another transfer encoding",
		  OK_HEAD "Transfer-Encoding: gzip\r\n\r\n", 413, UNREAD },
		{ "a space before the colon", OK_HEAD "X : y\r\n\r\n", 400, UNREAD },
		{ "a space in a name", OK_HEAD "X Y: z\r\n\r\n", 400, UNREAD },
		{ "a field over two lines", OK_HEAD "X: y\r\n z\r\n\r\n", 400, UNREAD },
		{ "a field in the second line", OK_HEAD "X:\r\n z\r\n\r\n", 400, UNREAD },
		{ "a field without a name", OK_HEAD ": y\r\n\r\n", 400, UNREAD },
		{ "a line without a colon", OK_HEAD "X\r\n\r\n", 400, UNREAD },
		{ "a CR in a field", OK_HEAD "X: y\rz\r\n\r\n", 400, UNREAD },
		{ "a control character", OK_HEAD "X: y\001\r\n\r\n", 400, UNREAD },
	};
	size_t i, used;
	char *copy;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		copy = parse(cases[i].text, &used);
		ok(used && request.status == cases[i].status &&
		   request.keep_alive == (cases[i].after == KEEP) &&
		   request.unread == (cases[i].after == UNREAD) &&
		   (request.unread || used == strlen(cases[i].text)),
		   "%s: %u%s%s, %zu bytes", cases[i].name, request.status,
		   request.keep_alive ? ", kept alive" : "",
		   request.unread ? ", not read to its end" : "", used);
		LLVMFuzzerTestOneInput((const uint8_t *)cases[i].text,
				       strlen(cases[i].text));
		free(copy);
	}

	copy = parse(OK_HEAD "\r\nGET /b", &used);
	ok(used == strlen(OK_HEAD "\r\n"), "the next request is left alone");
	free(copy);
	copy = parse(OK_HEAD "Connection: upgrade\r\nUpgrade: x\r\n\r\nGET /b", &used);
	ok(used == strlen(OK_HEAD "Connection: upgrade\r\nUpgrade: x\r\n\r\n"),
	   "behind an upgrade that is not taken, too");
	free(copy);
	copy = parse("HEAD / HTTP/1.1\r\nHost: x\r\n", &used);
	ok(!used && !request.status, "half a request is none");
	free(copy);
	copy = parse("HEAD / HTTP/1.1\r\nHost: x\r\n\r\n", &used);
	ok(request.head, "HEAD is told from GET");
	free(copy);
}

static char *repeat(char *p, const char *text, size_t times)
{
	while (times--)
		p = stpcpy(p, text);
	return p;
}

static void test_limits(void)
{
	char *text = malloc(4 * HTTP_HEAD_MAX), *p, *copy;
	size_t used;

	strcpy(repeat(stpcpy(text, OK_HEAD), "X: y\r\n", 99), "\r\n");
	copy = parse(text, &used);
	ok(used && !request.status, "100 fields are read");
	free(copy);
	strcpy(repeat(stpcpy(text, OK_HEAD), "X: y\r\n", 100), "\r\n");
	copy = parse(text, &used);
	ok(used && request.status == 431 && request.unread, "101 are not");
	free(copy);

	p = stpcpy(stpcpy(text, OK_HEAD), "X: ");
	p = repeat(p, "y", HTTP_HEAD_MAX - 4 - (p - text));
	strcpy(p, "\r\n\r\n");
	copy = parse(text, &used);
	ok(used == HTTP_HEAD_MAX && !request.status, "8 KiB are read");
	free(copy);
	strcpy(p, "y\r\n\r\n");
	copy = parse(text, &used);
	ok(used && request.status == 431, "a byte more is not");
	free(copy);
	p[0] = '\0';
	copy = parse(text, &used);
	ok(!used, "before that, there is more to come");
	free(copy);

	p = stpcpy(text, "GET /");
	p = repeat(p, "a", HTTP_HEAD_MAX);
	copy = parse(text, &used);
	ok(used && request.status == 414, "a target of 8 KiB is too long");
	free(copy);

	p = repeat(stpcpy(text, "GET /"), "a", PATH_MAX - 2);
	strcpy(p, " HTTP/1.1\r\nHost: x\r\n\r\n");
	copy = parse(text, &used);
	ok(!request.status && strlen(request.path) == PATH_MAX - 2,
	   "a path may be as long as the kernel's");
	free(copy);
	strcpy(p, "a HTTP/1.1\r\nHost: x\r\n\r\n");
	copy = parse(text, &used);
	ok(request.status == 414, "and not longer");
	free(copy);
	free(text);
}

/* Answers */

#define MTIME 784111777		/* Sun, 06 Nov 1994 08:49:37 GMT */
#define NOW (MTIME + 86400)
#define ETAG "\"ae1b981c3a4d715-3e8-7\""

static const struct stat file_stat = {
	.st_size = 1000,
	.st_ino = 7,
	.st_mtim = { .tv_sec = MTIME, .tv_nsec = 123456789 },
};

/* Answers a request with these fields for @st. */
static void answer_fields(const char *line, const char *fields, const struct stat *st)
{
	char text[2048], *copy;
	size_t used;

	snprintf(text, sizeof(text), "%s HTTP/1.1\r\nHost: x\r\n%s\r\n", line, fields);
	copy = parse(text, &used);
	http_answer_file(&request, st, NOW, &answer);
	answer.head[answer.head_len] = '\0';
	free(copy);
}

static void test_conditions(void)
{
	static const char etag[] = "ETAG";
	static const struct {
		const char *fields;	/* ETAG stands for the file's */
		unsigned int status;
		off_t len;
	} cases[] = {
		{ "", 200, 1000 },
		{ "If-None-Match: ETAG\r\n", 304, 0 },
		{ "If-None-Match: W/ETAG\r\n", 304, 0 },
		{ "If-None-Match: *\r\n", 304, 0 },
		{ "If-None-Match: \"x\", ETAG\r\n", 304, 0 },
		{ "If-None-Match: \"x\" ,, W/ETAG , \"y\"\r\n", 304, 0 },
		{ "If-None-Match: \"x\"\r\nIf-None-Match: ETAG\r\n", 304, 0 },
		{ "If-None-Match: \"a,b\", ETAG\r\n", 304, 0 },
		{ "If-None-Match: \"x\"\r\n", 200, 1000 },
		{ "If-None-Match: x\r\n", 200, 1000 },
		{ "If-None-Match: W/\r\n", 200, 1000 },
		{ "If-None-Match: \"\r\n", 200, 1000 },
		{ "If-None-Match:\r\n", 200, 1000 },
		{ "If-Match: ETAG\r\n", 200, 1000 },
		{ "If-Match: *\r\n", 200, 1000 },
		{ "If-Match: \"x\", ETAG\r\n", 200, 1000 },
		{ "If-Match: W/ETAG\r\n", 412, 0 },
		{ "If-Match: \"x\"\r\n", 412, 0 },
		{ "If-Match:\r\n", 412, 0 },
		/* The three forms of a date. */
		{ "If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT\r\n", 304, 0 },
		{ "If-Modified-Since: Sunday, 06-Nov-94 08:49:37 GMT\r\n", 304, 0 },
		{ "If-Modified-Since: Sun Nov  6 08:49:37 1994\r\n", 304, 0 },
		{ "If-Modified-Since: Sun, 06 Nov 1994 08:49:36 GMT\r\n", 200, 1000 },
		{ "If-Modified-Since: Mon, 07 Nov 1994 08:49:37 GMT\r\n", 304, 0 },
		{ "If-Modified-Since: yesterday\r\n", 200, 1000 },
		{ "If-Modified-Since: Sun, 06 Nov 1994 08:49:37 CET\r\n", 200, 1000 },
		{ "If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT; x\r\n", 200, 1000 },
		{ "If-Modified-Since: Mon, 07 Nov 1994 08:49:37 GMT\r\n"
		  "If-Modified-Since: Mon, 07 Nov 1994 08:49:37 GMT\r\n", 200, 1000 },
		{ "If-Unmodified-Since: Sun, 06 Nov 1994 08:49:37 GMT\r\n", 200, 1000 },
		{ "If-Unmodified-Since: Sun, 06 Nov 1994 08:49:36 GMT\r\n", 412, 0 },
		{ "If-Unmodified-Since: whenever\r\n", 200, 1000 },
		/* What goes before what. */
		{ "If-Match: ETAG\r\nIf-Unmodified-Since: Sat, 05 Nov 1994 00:00:00 GMT\r\n",
		  200, 1000 },
		{ "If-Match: \"x\"\r\nIf-None-Match: ETAG\r\n", 412, 0 },
		{ "If-Match: ETAG\r\nIf-None-Match: ETAG\r\n", 304, 0 },
		{ "If-None-Match: \"x\"\r\nIf-Modified-Since: Mon, 07 Nov 1994 08:49:37 GMT\r\n",
		  200, 1000 },
		{ "If-None-Match: ETAG\r\nIf-Modified-Since: Sat, 05 Nov 1994 00:00:00 GMT\r\n",
		  304, 0 },
		{ "If-None-Match: ETAG\r\nRange: bytes=0-9\r\n", 304, 0 },
		{ "If-Match: \"x\"\r\nRange: bytes=5000-\r\n", 412, 0 },
		/* Ranges. */
		{ "Range: bytes=0-9\r\n", 206, 10 },
		{ "Range: BYTES=0-0\r\n", 206, 1 },
		{ "Range: bytes=990-\r\n", 206, 10 },
		{ "Range: bytes=990-5000\r\n", 206, 10 },
		{ "Range: bytes=999-999\r\n", 206, 1 },
		{ "Range: bytes=-10\r\n", 206, 10 },
		{ "Range: bytes=-5000\r\n", 206, 1000 },
		{ "Range: bytes=0-999\r\n", 206, 1000 },
		{ "Range: bytes=0-99999999999999999999999\r\n", 206, 1000 },
		{ "Range: bytes=1000-\r\n", 416, 0 },
		{ "Range: bytes=1000-1001\r\n", 416, 0 },
		{ "Range: bytes=99999999999999999999999-\r\n", 416, 0 },
		{ "Range: bytes=-0\r\n", 416, 0 },
		{ "Range: bytes=9-0\r\n", 200, 1000 },
		{ "Range: bytes=0-9,20-29\r\n", 200, 1000 },
		{ "Range: bytes=0-9,\r\n", 200, 1000 },
		{ "Range: bytes=-\r\n", 200, 1000 },
		{ "Range: bytes=\r\n", 200, 1000 },
		{ "Range: bytes=0\r\n", 200, 1000 },
		{ "Range: bytes=a-b\r\n", 200, 1000 },
		{ "Range: bytes=0x1-\r\n", 200, 1000 },
		{ "Range: bytes=--1\r\n", 200, 1000 },
		{ "Range: bytes=1-2-3\r\n", 200, 1000 },
		{ "Range: lines=0-9\r\n", 200, 1000 },
		{ "Range: bytes 0-9\r\n", 200, 1000 },
		{ "Range: bytes=0-9\r\nRange: bytes=20-29\r\n", 200, 1000 },
		{ "Range: bytes=0-9\r\nIf-Range: ETAG\r\n", 206, 10 },
		{ "Range: bytes=0-9\r\nIf-Range: W/ETAG\r\n", 200, 1000 },
		{ "Range: bytes=0-9\r\nIf-Range: \"x\"\r\n", 200, 1000 },
		{ "Range: bytes=5000-\r\nIf-Range: \"x\"\r\n", 200, 1000 },
		{ "Range: bytes=0-9\r\nIf-Range: Sun, 06 Nov 1994 08:49:37 GMT\r\n", 206, 10 },
		{ "Range: bytes=0-9\r\nIf-Range: Mon, 07 Nov 1994 08:49:37 GMT\r\n", 200, 1000 },
		{ "Range: bytes=0-9\r\nIf-Range: Sat, 05 Nov 1994 08:49:37 GMT\r\n", 200, 1000 },
		{ "Range: bytes=0-9\r\nIf-Range: x\r\nIf-Range: x\r\n", 200, 1000 },
	};
	char fields[512], quoted[64], *p;
	const char *from, *at;
	struct stat st;
	size_t i;

	/* The tag is what the first answer says. */
	answer_fields("GET /a", "", &file_stat);
	p = strstr(answer.head, "ETag: ");
	snprintf(quoted, sizeof(quoted), "%.*s", (int)strcspn(p + 6, "\r"), p + 6);

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		for (p = fields, from = cases[i].fields;
		     (at = strstr(from, etag)); from = at + strlen(etag))
			p += sprintf(p, "%.*s%s", (int)(at - from), from, quoted);
		strcpy(p, from);
		answer_fields("GET /a", fields, &file_stat);
		ok(answer.status == cases[i].status && answer.len == cases[i].len,
		   "condition %zu: %u, %jd bytes", i, answer.status,
		   (intmax_t)answer.len);
	}

	answer_fields("GET /a", "Range: bytes=100-199\r\n", &file_stat);
	ok(answer.offset == 100 && answer.len == 100 &&
	   strstr(answer.head, "\r\nContent-Range: bytes 100-199/1000\r\n") &&
	   strstr(answer.head, "\r\nContent-Length: 100\r\n"), "a range in the middle");
	answer_fields("GET /a", "Range: bytes=-100\r\n", &file_stat);
	ok(answer.offset == 900 && answer.len == 100 &&
	   strstr(answer.head, "\r\nContent-Range: bytes 900-999/1000\r\n"),
	   "a range at the end");
	answer_fields("GET /a", "Range: bytes=1000-\r\n", &file_stat);
	ok(strstr(answer.head, "\r\nContent-Range: bytes */1000\r\n"),
	   "what could have been had is told");
	answer_fields("HEAD /a", "Range: bytes=0-9\r\n", &file_stat);
	ok(answer.status == 200 && !answer.len &&
	   strstr(answer.head, "\r\nContent-Length: 1000\r\n"),
	   "HEAD has no ranges, and no body");
	answer_fields("HEAD /a", "If-None-Match: *\r\n", &file_stat);
	ok(answer.status == 304, "HEAD has conditions");

	st = file_stat;
	st.st_size = 0;
	answer_fields("GET /a", "", &st);
	ok(answer.status == 200 && !answer.len &&
	   strstr(answer.head, "\r\nContent-Length: 0\r\n"), "an empty file");
	answer_fields("GET /a", "Range: bytes=0-\r\n", &st);
	ok(answer.status == 416, "it has no first byte");
	answer_fields("GET /a", "Range: bytes=-1\r\n", &st);
	ok(answer.status == 200 && !answer.len, "its last one is all of it");

	st = file_stat;
	st.st_mtim.tv_sec = NOW;
	answer_fields("GET /a", "Range: bytes=0-9\r\n"
		      "If-Range: Mon, 07 Nov 1994 08:49:37 GMT\r\n", &st);
	ok(answer.status == 200, "a date of this very second proves nothing");
	st.st_mtim.tv_sec = NOW + 1000;
	answer_fields("GET /a", "", &st);
	ok(strstr(answer.head, "\r\nLast-Modified: Mon, 07 Nov 1994 08:49:37 GMT\r\n"),
	   "no file is from the future");

	/* Each of what a tag is made of makes another one. */
	st = file_stat;
	st.st_mtim.tv_nsec++;
	answer_fields("GET /a", "", &st);
	ok(!strstr(answer.head, quoted), "another time, another tag");
	st = file_stat;
	st.st_size++;
	answer_fields("GET /a", "", &st);
	ok(!strstr(answer.head, quoted), "another size, another tag");
	st = file_stat;
	st.st_ino++;
	answer_fields("GET /a", "", &st);
	ok(!strstr(answer.head, quoted), "another file, another tag");
}

static void check_text(const char *what, const char *expected)
{
	bool same = answer.head_len == strlen(expected) &&
		    !memcmp(answer.head, expected, answer.head_len);

	ok(same, "%s", what);
	if (!same)
		printf("# %.*s\n", (int)answer.head_len, answer.head);
}

static void test_answers(void)
{
	static const struct {
		const char *path;
		const char *type;
	} types[] = {
		{ "/", "text/html" }, { "/a/", "text/html" },
		{ "/a.html", "text/html" }, { "/a.HTM", "text/html" },
		{ "/a.b.css", "text/css" }, { "/a.js", "text/javascript" },
		{ "/a.svg", "image/svg+xml" }, { "/a.woff2", "font/woff2" },
		{ "/a.tar.gz", "application/gzip" }, { "/a.wasm", "application/wasm" },
		{ "/a", "application/octet-stream" }, { "/a.", "application/octet-stream" },
		{ "/html", "application/octet-stream" },
		{ "/a.html/b", "application/octet-stream" },
		{ "/a.htmlx", "application/octet-stream" },
		{ "/.html", "text/html" },
	};
	char line[64], type[96], *copy;
	size_t i, used;

	answer_fields("GET /a.txt", "", &file_stat);
	check_text("the head of a file",
		   "HTTP/1.1 200 OK\r\n"
		   "Date: Mon, 07 Nov 1994 08:49:37 GMT\r\n"
		   "Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
		   "ETag: " ETAG "\r\n"
		   "Accept-Ranges: bytes\r\n"
		   "Content-Type: text/plain\r\n"
		   "Content-Length: 1000\r\n"
		   "X-Content-Type-Options: nosniff\r\n\r\n");
	answer_fields("GET /a.txt", "Connection: close\r\nIf-None-Match: *\r\n", &file_stat);
	check_text("the head of no file",
		   "HTTP/1.1 304 Not Modified\r\n"
		   "Date: Mon, 07 Nov 1994 08:49:37 GMT\r\n"
		   "Connection: close\r\n"
		   "Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
		   "ETag: " ETAG "\r\n\r\n");

	copy = parse("GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", &used);
	http_answer_status(&request, 404, NOW, &answer);
	check_text("an error",
		   "HTTP/1.1 404 Not Found\r\n"
		   "Date: Mon, 07 Nov 1994 08:49:37 GMT\r\n"
		   "Connection: keep-alive\r\n"
		   "Content-Type: text/plain\r\n"
		   "Content-Length: 14\r\n"
		   "X-Content-Type-Options: nosniff\r\n\r\n"
		   "404 Not Found\n");
	free(copy);
	copy = parse("HEAD /a HTTP/1.1\r\nHost: x\r\n\r\n", &used);
	http_answer_status(&request, 404, NOW, &answer);
	check_text("an error to HEAD",
		   "HTTP/1.1 404 Not Found\r\n"
		   "Date: Mon, 07 Nov 1994 08:49:37 GMT\r\n"
		   "Content-Type: text/plain\r\n"
		   "Content-Length: 14\r\n"
		   "X-Content-Type-Options: nosniff\r\n\r\n");
	free(copy);
	copy = parse("PUT /a HTTP/1.1\r\nHost: x\r\n\r\n", &used);
	http_answer_status(&request, request.status, NOW, &answer);
	answer.head[answer.head_len] = '\0';
	ok(strstr(answer.head, "\r\nAllow: GET, HEAD\r\n"), "methods are told");
	free(copy);

	copy = parse("GET //a%20b/%5cc%0d%0aX:%20y?q=%2f&\\\303\244 HTTP/1.1\r\nHost: x\r\n\r\n",
		     &used);
	http_answer_directory(&request, NOW, &answer);
	answer.head[answer.head_len] = '\0';
	ok(strstr(answer.head, "HTTP/1.1 301 Moved Permanently\r\n") &&
	   strstr(answer.head,
		  "\r\nLocation: /a%20b/%5Cc%0D%0AX:%20y/?q=%2f&%5C%C3%A4\r\n"),
	   "where a directory is: on this server, whatever its name");
	free(copy);

	for (i = 0; i < ARRAY_SIZE(types); i++) {
		snprintf(line, sizeof(line), "GET %s", types[i].path);
		snprintf(type, sizeof(type), "\r\nContent-Type: %s\r\n", types[i].type);
		answer_fields(line, "", &file_stat);
		ok(strstr(answer.head, type), "%s is %s", types[i].path, types[i].type);
	}
}

/* Bytes that mean something come often. */
static void mutate(uint8_t *data, size_t *len, size_t size)
{
	static const char often[] = "\r\n :,%/.?-=\"*#\0\t\377HW0";
	unsigned int times = 1 + random() % 6;
	size_t at, n;

	while (times--) {
		at = *len ? random() % *len : 0;
		switch (random() % 5) {
		case 0:
			if (*len)
				data[at] = random();
			break;
		case 1:
			if (*len)
				data[at] = often[random() % (sizeof(often) - 1)];
			break;
		case 2:		/* comes twice */
			n = random() % (*len - at + 1);
			if (*len + n > size)
				break;
			memmove(data + at + n, data + at, *len - at);
			*len += n;
			break;
		case 3:		/* is missing */
			n = random() % (*len - at + 1);
			memmove(data + at, data + at + n, *len - at - n);
			*len -= n;
			break;
		default:
			if (*len == size)
				break;
			memmove(data + at + 1, data + at, *len - at);
			data[at] = often[random() % (sizeof(often) - 1)];
			(*len)++;
			break;
		}
	}
}

static void test_mutations(void)
{
	static const char *const seeds[] = {
		OK_HEAD "Range: bytes=0-99\r\nIf-Range: \"a\"\r\n\r\n" OK_HEAD,
		"HEAD http://x/a/../b%20c/?q#f HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
		OK_HEAD "If-None-Match: W/\"a\", \"b\"\r\nIf-Match: *\r\n"
		"If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT\r\n\r\n",
		"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc",
	};
	uint8_t data[2 * HTTP_HEAD_MAX];
	int round;
	size_t len;

	srandom(4);
	for (round = 0; round < 5000; round++) {
		len = strlen(seeds[round % ARRAY_SIZE(seeds)]);
		memcpy(data, seeds[round % ARRAY_SIZE(seeds)], len);
		mutate(data, &len, sizeof(data));
		LLVMFuzzerTestOneInput(data, len);
	}
	ok(true, "%d mutations", round);
}

/* Connections */

struct fake {
	/* From the client. */
	const char *in;
	size_t in_len;
	size_t in_max;		/* bytes a read, 0: any */
	bool in_end;
	int in_error;
	/* To it. */
	char out[512 * 1024];
	size_t out_len;		/* what is behind @out is counted only */
	size_t room;		/* bytes that may be written */
	size_t out_max;		/* bytes a write, 0: any */
	int out_error;
	unsigned int writes, sends;
	bool more;		/* of the last write */
	/* To the broker. */
	char path[PATH_MAX];
	unsigned int wishes;
	int wish_error;
};

static struct fake fake;

static ssize_t fake_read(void *arg, void *buf, size_t len)
{
	struct fake *k = arg;

	if (k->in_error)
		return k->in_error;
	if (!k->in_len)
		return k->in_end ? 0 : -EAGAIN;
	if (len > k->in_len)
		len = k->in_len;
	if (k->in_max && len > k->in_max)
		len = k->in_max;
	memcpy(buf, k->in, len);
	k->in += len;
	k->in_len -= len;
	return len;
}

static ssize_t fake_room(struct fake *k, size_t len)
{
	if (k->out_error)
		return k->out_error;
	if (!k->room)
		return -EAGAIN;
	if (len > k->room)
		len = k->room;
	if (k->out_max && len > k->out_max)
		len = k->out_max;
	return len;
}

static ssize_t fake_write(void *arg, const void *buf, size_t size, bool more)
{
	struct fake *k = arg;
	ssize_t len = fake_room(k, size);

	if (len < 0)
		return len;
	k->writes++;
	k->more = more;
	if (k->out_len + len <= sizeof(k->out))
		memcpy(k->out + k->out_len, buf, len);
	k->out_len += len;
	k->room -= len;
	return len;
}

static ssize_t fake_send_file(void *arg, int fd, off_t *offset, size_t size)
{
	struct fake *k = arg;
	ssize_t len = fake_room(k, size);
	struct stat st;

	if (len < 0)
		return len;
	k->sends++;
	if (fstat(fd, &st))
		return -errno;
	if (len > st.st_size - *offset)
		len = st.st_size - *offset;
	if (k->out_len + len <= sizeof(k->out) &&
	    pread(fd, k->out + k->out_len, len, *offset) != len)
		return -EIO;
	k->out_len += len;
	k->room -= len;
	*offset += len;
	return len;
}

static int fake_wish(void *arg, const char *path, size_t len)
{
	struct fake *k = arg;

	k->wishes++;
	memcpy(k->path, path, len);
	k->path[len] = '\0';
	return k->wish_error;
}

static const struct transport transport = {
	.read = fake_read,
	.write = fake_write,
	.send_file = fake_send_file,
	.arg = &fake,
};

/* A connection whose client has sent @in. */
static struct files *begin(const char *in)
{
	memset(&fake, 0, offsetof(struct fake, out));
	memset(&fake.out_len, 0, sizeof(fake) - offsetof(struct fake, out_len));
	fake.in = in;
	fake.in_len = strlen(in);
	fake.room = SIZE_MAX;
	clock_ns = 1000 * SECOND;
	return files_new(&transport, fake_wish, &fake);
}

/* As epoll would call until nothing is ready; the file is what the broker grants. */
static struct files_next drive(struct files *f, const char *path, int error)
{
	struct files_next next = files_event(f, true, false);
	unsigned int turns;
	int fd;

	for (turns = 0; turns < 1000000; turns++) {
		switch (next.what) {
		case FILES_READABLE:
			if (!fake.in_len && !fake.in_end && !fake.in_error)
				return next;
			next = files_event(f, true, false);
			break;
		case FILES_WRITABLE:
			if (!fake.room)
				return next;
			next = files_event(f, false, true);
			break;
		case FILES_GRANTED:
			fd = error ? -1 : open(path, O_RDONLY | O_CLOEXEC);
			next = files_granted(f, fd, error);
			break;
		default:
			return next;
		}
	}
	return next;
}

static bool out_has(const char *text)
{
	return memmem(fake.out, fake.out_len, text, strlen(text));
}

/* How often there is this text. */
static unsigned int out_count(const char *text)
{
	const char *p = fake.out, *end = p + fake.out_len;
	unsigned int n = 0;

	while ((p = memmem(p, end - p, text, strlen(text)))) {
		p += strlen(text);
		n++;
	}
	return n;
}

static const char *out_body(size_t *len)
{
	const char *p = memmem(fake.out, fake.out_len, "\r\n\r\n", 4);

	*len = p ? fake.out + fake.out_len - p - 4 : 0;
	return p ? p + 4 : NULL;
}

static char directory[] = "/tmp/ktlsd_files.XXXXXX";

/* A file whose bytes tell where they are. */
static const char *make_file(const char *name, size_t size)
{
	static char path[128];
	unsigned char block[4096];
	size_t at, i;
	int fd;

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	for (at = 0; at < size; at += i) {
		for (i = 0; i < sizeof(block) && at + i < size; i++)
			block[i] = (at + i) * 31 + (at + i) / 251;
		if (write(fd, block, i) != (ssize_t)i)
			break;
	}
	close(fd);
	return path;
}

static bool is_part(const char *data, size_t len, size_t at)
{
	size_t i;

	for (i = 0; i < len; i++)
		if ((unsigned char)data[i] !=
		    (unsigned char)((at + i) * 31 + (at + i) / 251))
			return false;
	return true;
}

static int lowest_fd(void)
{
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	close(fd);
	return fd;
}

#define GET(path) "GET " path " HTTP/1.1\r\nHost: x\r\n\r\n"

static void test_files(void)
{
	struct files_next next;
	const char *path, *body;
	int fd = lowest_fd();
	struct files *f;
	size_t len;

	path = make_file("small", 1000);
	f = begin(GET("/small"));
	next = files_event(f, true, false);
	ok(next.what == FILES_GRANTED && fake.wishes == 1 && !strcmp(fake.path, "small"),
	   "a request becomes a wish");
	next = files_granted(f, open(path, O_RDONLY | O_CLOEXEC), 0);
	body = out_body(&len);
	ok(fake.writes == 1 && !fake.more && !fake.sends && len == 1000 &&
	   is_part(body, len, 0), "a small file leaves with its head");
	ok(next.what == FILES_READABLE && next.deadline == clock_ns + 60 * SECOND,
	   "then the connection is idle, for a minute");
	fake.in = GET("/small");
	fake.in_len = strlen(fake.in);
	drive(f, path, 0);
	ok(out_count("HTTP/1.1 200 OK\r\n") == 2, "and takes another request");
	files_free(f);

	path = make_file("empty", 0);
	f = begin(GET("/empty"));
	next = drive(f, path, 0);
	body = out_body(&len);
	ok(next.what == FILES_READABLE && body && !len && !fake.more,
	   "an empty file has a head only, behind which nothing is waited for");
	files_free(f);

	path = make_file("medium", 100000);
	f = begin(GET("/medium"));
	next = drive(f, path, 0);
	body = out_body(&len);
	ok(next.what == FILES_READABLE && fake.writes == 1 && fake.more &&
	   fake.sends == 1 && len == 100000 && is_part(body, len, 0),
	   "the head of a larger one waits for its first bytes");
	files_free(f);

	f = begin("GET /medium HTTP/1.1\r\nHost: x\r\nRange: bytes=5000-94999\r\n\r\n");
	drive(f, path, 0);
	body = out_body(&len);
	ok(out_has("HTTP/1.1 206 ") && len == 90000 && is_part(body, len, 5000),
	   "a range of it");
	files_free(f);

	f = begin("HEAD /medium HTTP/1.1\r\nHost: x\r\n\r\n");
	next = drive(f, path, 0);
	body = out_body(&len);
	ok(next.what == FILES_READABLE && body && !len && !fake.more &&
	   out_has("Content-Length: 100000\r\n"), "HEAD has no body");
	files_free(f);

	f = begin("GET /medium HTTP/1.0\r\n\r\n");
	next = drive(f, path, 0);
	ok(next.what == FILES_CLOSE, "1.0 is closed");
	files_free(f);

	f = begin(GET("/1") "HEAD /2 HTTP/1.1\r\nHost: x\r\n\r\n" GET("/3")
		  "PUT /4 HTTP/1.1\r\nHost: x\r\n\r\n" GET("/5") "GET /6");
	next = drive(f, path, 0);
	ok(next.what == FILES_READABLE && fake.wishes == 4 && !strcmp(fake.path, "5") &&
	   out_count("HTTP/1.1 200 OK\r\n") == 4 && out_count("HTTP/1.1 405 ") == 1 &&
	   fake.out_len > 300000 && next.deadline == clock_ns + 10 * SECOND,
	   "requests that came at once are answered one by one");
	files_free(f);

	f = begin(GET("/1") GET("/2"));
	fake.in_max = 1;
	fake.out_max = 7;
	next = drive(f, path, 0);
	ok(next.what == FILES_READABLE && out_count("HTTP/1.1 200 OK\r\n") == 2 &&
	   is_part(fake.out + fake.out_len - 100000, 100000, 0),
	   "byte by byte in, a few at a time out");
	files_free(f);
	ok(lowest_fd() == fd, "no file stays open");
}

static void test_large_files(void)
{
	const char *path = make_file("large", 5 << 20);
	int fd = lowest_fd();
	struct files_next next;
	struct files *f;
	size_t before;

	f = begin(GET("/large"));
	files_event(f, true, false);
	next = files_granted(f, open(path, O_RDONLY | O_CLOEXEC), 0);
	ok(next.what == FILES_WRITABLE && fake.out_len >= 1 << 20 &&
	   fake.out_len < (1 << 20) + 1024, "a turn is a mebibyte long");
	before = fake.out_len;
	next = files_event(f, false, true);
	ok(next.what == FILES_WRITABLE && fake.out_len == before + (1 << 20),
	   "the next one, too");
	next = drive(f, path, 0);
	ok(next.what == FILES_READABLE && fake.out_len == before + (4 << 20),
	   "and the file ends");
	files_free(f);

	f = begin(GET("/large"));
	files_event(f, true, false);
	files_granted(f, open(path, O_RDONLY | O_CLOEXEC), 0);
	before = fake.out_len;
	if (truncate(path, 1500000))
		return;
	next = drive(f, path, 0);
	ok(next.what == FILES_ABORT && fake.out_len - before < 500000,
	   "a file that has become shorter ends the connection");
	ok(lowest_fd() == fd, "and is not kept open");
	files_free(f);

	f = begin(GET("/large"));
	fake.room = 100000;
	files_event(f, true, false);
	next = files_granted(f, open(path, O_RDONLY | O_CLOEXEC), 0);
	ok(next.what == FILES_WRITABLE && fake.out_len == 100000 &&
	   next.deadline == clock_ns + 60 * SECOND, "a client that does not read");
	clock_ns += 50 * SECOND;
	fake.room = 1;
	next = files_event(f, false, true);
	ok(next.what == FILES_WRITABLE && next.deadline == clock_ns + 60 * SECOND,
	   "has a minute more for each byte");
	clock_ns += 50 * SECOND;
	next = files_event(f, false, false);
	ok(next.what == FILES_WRITABLE && next.deadline == clock_ns + 10 * SECOND,
	   "and none for being asked");
	clock_ns += 10 * SECOND;
	next = files_event(f, false, false);
	ok(next.what == FILES_ABORT, "then it is cut");
	ok(lowest_fd() == fd, "and its file is closed");
	files_free(f);

	f = begin(GET("/large"));
	fake.room = 100000;
	files_event(f, true, false);
	files_granted(f, open(path, O_RDONLY | O_CLOEXEC), 0);
	fake.out_error = -EPIPE;
	next = files_event(f, false, true);
	ok(next.what == FILES_ABORT, "a client that is gone");
	files_free(f);

	f = begin(GET("/large"));
	fake.room = 100000;
	files_event(f, true, false);
	files_granted(f, open(path, O_RDONLY | O_CLOEXEC), 0);
	files_free(f);
	ok(lowest_fd() == fd, "a connection that is freed has its file closed");
}

static void test_refusals(void)
{
	static const struct {
		int error;
		const char *path;
		const char *status;
	} cases[] = {
		{ -ENOENT, "/a", "HTTP/1.1 404 " }, { -ENOTDIR, "/a", "HTTP/1.1 404 " },
		{ -ENAMETOOLONG, "/a", "HTTP/1.1 404 " }, { -EISDIR, "/a", "HTTP/1.1 301 " },
		{ -EISDIR, "/a/", "HTTP/1.1 404 " }, { -EISDIR, "/", "HTTP/1.1 404 " },
		{ -EACCES, "/a", "HTTP/1.1 403 " }, { -EXDEV, "/a", "HTTP/1.1 403 " },
		{ -EAGAIN, "/a", "HTTP/1.1 503 " }, { -EMFILE, "/a", "HTTP/1.1 503 " },
		{ -EIO, "/a", "HTTP/1.1 500 " }, { -EPIPE, "/a", "HTTP/1.1 500 " },
	};
	struct files_next next;
	const char *path;
	struct files *f;
	char text[128];
	size_t i;
	int fd;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		snprintf(text, sizeof(text), "GET %s HTTP/1.1\r\nHost: x\r\n\r\n",
			 cases[i].path);
		f = begin(text);
		next = drive(f, NULL, cases[i].error);
		ok(next.what == FILES_READABLE && out_has(cases[i].status),
		   "%s: %s is %s", cases[i].path, strerror(-cases[i].error),
		   cases[i].status);
		files_free(f);
	}

	f = begin(GET("/a"));
	fake.wish_error = -EAGAIN;
	next = drive(f, NULL, -EIO);
	ok(next.what == FILES_READABLE && out_has("HTTP/1.1 503 "),
	   "a broker that has too much to do");
	files_free(f);

	path = make_file("small", 1000);
	f = begin("");
	files_event(f, true, false);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	next = files_granted(f, fd, 0);
	ok(next.what == FILES_READABLE && fcntl(fd, F_GETFD) == -1 && !fake.out_len,
	   "what nobody wished for is closed");
	files_free(f);

	f = begin("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n123");
	next = files_event(f, true, false);
	ok(next.what == FILES_READABLE && next.deadline == clock_ns + 2 * SECOND &&
	   out_has("HTTP/1.1 405 ") && out_has("Connection: close\r\n"),
	   "a request with a body is answered, and the rest of it awaited");
	fake.in = "456789" GET("/a");
	fake.in_len = strlen(fake.in);
	next = files_event(f, true, false);
	ok(next.what == FILES_READABLE && !fake.in_len && !fake.wishes,
	   "which is read for nothing");
	fake.in_end = true;
	next = files_event(f, true, false);
	ok(next.what == FILES_CLOSE, "until it ends");
	files_free(f);
	f = begin("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n123");
	files_event(f, true, false);
	clock_ns += 2 * SECOND;
	next = files_event(f, false, false);
	ok(next.what == FILES_CLOSE, "or for two seconds");
	files_free(f);
}

static void test_ends(void)
{
	const char *path = make_file("small", 1000);
	struct files_next next;
	struct files *f;
	int i;

	f = begin("");
	next = files_event(f, true, false);
	ok(next.what == FILES_READABLE && next.deadline == clock_ns + 60 * SECOND,
	   "a new connection has a minute");
	clock_ns += 59 * SECOND;
	next = files_event(f, false, false);
	ok(next.what == FILES_READABLE, "of which this is the last second");
	clock_ns += SECOND;
	next = files_event(f, false, false);
	ok(next.what == FILES_CLOSE && !fake.out_len, "then it is closed, without a word");
	files_free(f);

	f = begin("GET / HTTP/1.1\r\nX: ");
	next = files_event(f, true, false);
	for (i = 0; i < 9; i++) {
		clock_ns += SECOND;
		fake.in = "a";
		fake.in_len = 1;
		next = files_event(f, true, false);
	}
	ok(next.what == FILES_READABLE && next.deadline == clock_ns + SECOND,
	   "who sends slowly gets no more time");
	clock_ns += SECOND;
	next = files_event(f, false, false);
	ok(next.what == FILES_READABLE && out_has("HTTP/1.1 408 ") &&
	   out_has("Connection: close\r\n"), "and is told so");
	clock_ns += 2 * SECOND;
	next = files_event(f, false, false);
	ok(next.what == FILES_CLOSE, "before the end");
	files_free(f);

	f = begin("");
	fake.in_end = true;
	ok(files_event(f, true, false).what == FILES_CLOSE, "the client ends");
	files_free(f);
	f = begin("GET / HT");
	fake.in_end = true;
	ok(drive(f, path, 0).what == FILES_ABORT, "in the middle of a request");
	files_free(f);
	f = begin(GET("/small"));
	fake.in_end = true;
	next = drive(f, path, 0);
	ok(next.what == FILES_CLOSE && out_has("HTTP/1.1 200 "),
	   "behind one, which is answered");
	files_free(f);
	f = begin("");
	fake.in_error = -ECONNRESET;
	ok(files_event(f, true, false).what == FILES_ABORT, "by a reset");
	files_free(f);
	f = begin(GET("/small"));
	fake.out_error = -EPIPE;
	ok(drive(f, path, 0).what == FILES_ABORT, "before it has been answered");
	files_free(f);

	f = begin("");
	files_event(f, true, false);
	ok(files_drain(f).what == FILES_CLOSE, "an idle connection is drained at once");
	files_free(f);
	f = begin(GET("/small") GET("/small"));
	files_event(f, true, false);
	next = files_drain(f);
	ok(next.what == FILES_GRANTED, "one with a request is answered");
	next = drive(f, path, 0);
	ok(next.what == FILES_CLOSE && out_count("HTTP/1.1 200 ") == 1 &&
	   out_has("Connection: close\r\n"), "that it is the last");
	files_free(f);
	f = begin(GET("/small"));
	fake.room = 10;
	files_event(f, true, false);
	files_granted(f, open(path, O_RDONLY | O_CLOEXEC), 0);
	next = files_drain(f);
	fake.room = SIZE_MAX;
	ok(next.what == FILES_WRITABLE && drive(f, path, 0).what == FILES_CLOSE,
	   "one with half an answer gets the other half");
	files_free(f);
}

/* The PROXY protocol */

#define SIGNATURE 0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a
#define TCP4_ENDS 0xc0, 0x00, 0x02, 0x01, 0xc6, 0x33, 0x64, 0x07, 0xc8, 0x22, 0x01, 0xbb

static const unsigned char proxy_tcp4[] = {
	SIGNATURE, 0x21, 0x11, 0x00, 0x13, TCP4_ENDS,
	0x03, 0x00, 0x04, 0x71, 0x7f, 0xb0, 0xc3,
};

static const unsigned char proxy_tcp6[] = {
	SIGNATURE, 0x21, 0x21, 0x00, 0x2b,
	0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x01,
	0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x02,
	0xc8, 0x22, 0x01, 0xbb,
	0x03, 0x00, 0x04, 0x30, 0x96, 0xd8, 0x40,
};

static const unsigned char proxy_all[] = {
	SIGNATURE, 0x21, 0x11, 0x00, 0x59, TCP4_ENDS,
	0x01, 0x00, 0x02, 'h', '2',
	0x02, 0x00, 0x0b, 'e', 'x', 'a', 'm', 'p', 'l', 'e', '.', 'o', 'r', 'g',
	0x20, 0x00, 0x30, 0x07, 0x00, 0x00, 0x00, 0x00,
	0x21, 0x00, 0x07, 'T', 'L', 'S', 'v', '1', '.', '3',
	0x23, 0x00, 0x16, 'T', 'L', 'S', '_', 'A', 'E', 'S', '_', '1', '2', '8', '_',
	'G', 'C', 'M', '_', 'S', 'H', 'A', '2', '5', '6',
	0x22, 0x00, 0x05, 'a', 'l', 'i', 'c', 'e',
	0x03, 0x00, 0x04, 0x31, 0x1d, 0xa0, 0xa6,
};

static const unsigned char proxy_no_certificate[] = {
	SIGNATURE, 0x21, 0x11, 0x00, 0x29, TCP4_ENDS,
	0x20, 0x00, 0x13, 0x01, 0x00, 0x00, 0x00, 0x01,
	0x21, 0x00, 0x07, 'T', 'L', 'S', 'v', '1', '.', '2',
	0x23, 0x00, 0x01, 'X',
	0x03, 0x00, 0x04, 0xcc, 0xee, 0x06, 0x98,
};

static const unsigned char proxy_local[] = { SIGNATURE, 0x20, 0x00, 0x00, 0x00 };

static bool is_header(const struct proxy_client *c, const unsigned char *expected,
		      size_t len)
{
	unsigned char *exact = malloc(len), room[PROXY_MAX];
	bool same;

	same = proxy_header(c, room, sizeof(room)) == len && !memcmp(room, expected, len) &&
	       proxy_header(c, exact, len) == len && !memcmp(exact, expected, len) &&
	       !proxy_header(c, exact, len - 1) && !proxy_header(c, exact, 0);
	free(exact);
	return same;
}

#define IS_HEADER(c, expected) is_header(c, expected, sizeof(expected))

static void test_proxy(void)
{
	struct sockaddr_in in[2] = {
		{ .sin_family = AF_INET, .sin_addr.s_addr = htonl(0xc0000201),
		  .sin_port = htons(51234) },
		{ .sin_family = AF_INET, .sin_addr.s_addr = htonl(0xc6336407),
		  .sin_port = htons(443) },
	};
	struct sockaddr_in6 in6[2] = {
		{ .sin6_family = AF_INET6, .sin6_port = htons(51234),
		  .sin6_addr.s6_addr = { 0x20, 0x01, 0x0d, 0xb8, [15] = 1 } },
		{ .sin6_family = AF_INET6, .sin6_port = htons(443),
		  .sin6_addr.s6_addr = { 0x20, 0x01, 0x0d, 0xb8, [15] = 2 } },
	};
	struct sockaddr_in6 mapped[2] = {
		{ .sin6_family = AF_INET6, .sin6_port = htons(51234),
		  .sin6_addr.s6_addr = { [10] = 0xff, 0xff, 192, 0, 2, 1 } },
		{ .sin6_family = AF_INET6, .sin6_port = htons(443),
		  .sin6_addr.s6_addr = { [10] = 0xff, 0xff, 198, 51, 100, 7 } },
	};
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	struct proxy_client c = {
		.source = (struct sockaddr *)&in[0],
		.destination = (struct sockaddr *)&in[1],
	};
	unsigned char header[PROXY_MAX];
	char name[PROXY_MAX];

	ok(IS_HEADER(&c, proxy_tcp4), "PROXY: IPv4");
	c.version = "TLSv1.2";
	c.cipher = "X";
	ok(IS_HEADER(&c, proxy_no_certificate), "PROXY: TLS without a client certificate");
	c.verified = true;
	ok(IS_HEADER(&c, proxy_no_certificate), "PROXY: none is not verified");
	c.alpn = (const unsigned char *)"h2";
	c.alpn_len = 2;
	c.server_name = "example.org";
	c.version = "TLSv1.3";
	c.cipher = "TLS_AES_128_GCM_SHA256";
	c.common_name = "alice";
	c.certificate = true;
	ok(IS_HEADER(&c, proxy_all), "PROXY: all there is to tell");
	memset(name, 'a', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	c.common_name = name;
	ok(!proxy_header(&c, header, sizeof(header)),
	   "PROXY: what is too long is not sent");

	memset(&c, 0, sizeof(c));
	c.source = (struct sockaddr *)&in6[0];
	c.destination = (struct sockaddr *)&in6[1];
	ok(IS_HEADER(&c, proxy_tcp6), "PROXY: IPv6");
	c.source = (struct sockaddr *)&mapped[0];
	c.destination = (struct sockaddr *)&mapped[1];
	ok(IS_HEADER(&c, proxy_tcp4), "PROXY: IPv4 over a socket of IPv6");
	c.destination = (struct sockaddr *)&un;
	ok(IS_HEADER(&c, proxy_local), "PROXY: what has no address of TCP is local");
	c.destination = NULL;
	ok(IS_HEADER(&c, proxy_local), "PROXY: what has none, too");
	c.server_name = "example.org";
	ok(IS_HEADER(&c, proxy_local), "PROXY: and says nothing else");
}

static void remove_directory(void)
{
	static const char *const names[] = { "small", "empty", "medium", "large" };
	char path[128];
	size_t i;

	for (i = 0; i < ARRAY_SIZE(names); i++) {
		snprintf(path, sizeof(path), "%s/%s", directory, names[i]);
		unlink(path);
	}
	rmdir(directory);
}

int main(void)
{
	tap_begin();
	if (!mkdtemp(directory))
		return 1;
	test_targets();
	test_requests();
	test_limits();
	test_conditions();
	test_answers();
	test_mutations();
	test_files();
	test_large_files();
	test_refusals();
	test_ends();
	test_proxy();
	remove_directory();
	return tap_end();
}
