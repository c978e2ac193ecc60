// SPDX-License-Identifier: GPL-2.0-or-later
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "http.h"
#include "ktlsd.h"

#define NSEC_PER_SEC 1000000000ull

/*
 * The C library reads the time zone when it converts a date first, even one in UTC;
 * a worker that opens a file is killed.
 */
__attribute__((constructor)) static void init(void)
{
	tzset();
}

/* Requests */

static struct http_request *request_of(http_parser *parser)
{
	return parser->data;
}

/* Ends the parser: the request is to be answered with @status. */
static int fail(struct http_request *r, unsigned int status)
{
	if (!r->status)
		r->status = status;
	r->unread = true;
	return -1;
}

static bool is_field(const struct http_text *name, const char *what)
{
	return strlen(what) == name->len &&
	       !strncasecmp(name->at, what, name->len);
}

static enum http_field field_of(const struct http_text *name)
{
	static const char *const names[] = {
		[HTTP_HOST] = "host",
		[HTTP_IF_MATCH] = "if-match",
		[HTTP_IF_MODIFIED_SINCE] = "if-modified-since",
		[HTTP_IF_NONE_MATCH] = "if-none-match",
		[HTTP_IF_RANGE] = "if-range",
		[HTTP_IF_UNMODIFIED_SINCE] = "if-unmodified-since",
		[HTTP_RANGE] = "range",
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(names); i++)
		if (is_field(name, names[i]))
			return i;
	return HTTP_OTHER;
}

static bool is_space(char c)
{
	return c == ' ' || c == '\t';
}

static struct http_text trim(struct http_text t)
{
	while (t.len && is_space(t.at[0])) {
		t.at++;
		t.len--;
	}
	while (t.len && is_space(t.at[t.len - 1]))
		t.len--;
	return t;
}

/* A field is over when the next one begins. */
static void end_field(struct http_request *r)
{
	enum http_field field = field_of(&r->name);

	if (r->name.len && field != HTTP_OTHER) {
		r->fields[r->fields_count].field = field;
		r->fields[r->fields_count++].value = trim(r->value);
	}
	r->name = (struct http_text){ 0 };
	r->value = (struct http_text){ 0 };
}

/* The value of a field that makes sense once; %NULL if it is not there just once. */
static const struct http_text *only(const struct http_request *r,
				    enum http_field field)
{
	const struct http_text *found = NULL;
	unsigned int i;

	for (i = 0; i < r->fields_count; i++) {
		if (r->fields[i].field != field)
			continue;
		if (found)
			return NULL;
		found = &r->fields[i].value;
	}
	return found;
}

static bool has(const struct http_request *r, enum http_field field)
{
	unsigned int i;

	for (i = 0; i < r->fields_count; i++)
		if (r->fields[i].field == field)
			return true;
	return false;
}

static int on_url(http_parser *parser, const char *at, size_t len)
{
	struct http_request *r = request_of(parser);

	if (!r->target.at)
		r->target.at = at;
	r->target.len += len;
	r->head = parser->method == HTTP_HEAD;
	return 0;
}

static int on_header_field(http_parser *parser, const char *at, size_t len)
{
	struct http_request *r = request_of(parser);

	if (r->value.at)
		end_field(r);
	if (!r->name.at) {
		if (++r->fields_seen > HTTP_FIELDS_MAX)
			return fail(r, HTTP_STATUS_REQUEST_HEADER_FIELDS_TOO_LARGE);
		r->name.at = at;
	}
	/* The parser may have been built to be lenient with this one. */
	if (memchr(at, ' ', len))
		return fail(r, HTTP_STATUS_BAD_REQUEST);
	r->name.len += len;
	return 0;
}

static int on_header_value(http_parser *parser, const char *at, size_t len)
{
	struct http_request *r = request_of(parser);
	const char *end = r->value.at ? r->value.at + r->value.len :
					r->name.at + r->name.len;

	/* No value goes on in the next line, RFC 9112, 5.2. */
	if (len && memchr(end, '\n', at - end))
		return fail(r, HTTP_STATUS_BAD_REQUEST);
	if (!r->value.at || !r->value.len)
		r->value.at = at;
	r->value.len = at + len - r->value.at;
	return 0;
}

static int hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Returns the byte at *@p, decoded, and goes on behind it; -1 if there is none. */
static int decode(const char **p, const char *end)
{
	int high, low;

	if (**p != '%')
		return (unsigned char)*(*p)++;
	if (end - *p < 3)
		return -1;
	high = hex((*p)[1]);
	low = hex((*p)[2]);
	*p += 3;
	return high < 0 || low < 0 ? -1 : high << 4 | low;
}

/* What is behind the scheme and the authority, if there are any; %NULL: no path. */
static const char *skip_authority(const char *p, const char *end)
{
	static const char *const schemes[] = { "https://", "http://" };
	size_t i, len;

	if (p < end && *p == '/')
		return p;
	for (i = 0; i < ARRAY_SIZE(schemes); i++) {
		len = strlen(schemes[i]);
		if ((size_t)(end - p) <= len || strncasecmp(p, schemes[i], len))
			continue;
		for (p += len; p < end && *p != '/'; p++)
			;
		return p;
	}
	return NULL;
}

/* Makes the path of the target.  Returns 0 or the status of an error. */
static unsigned int read_target(struct http_request *r)
{
	const char *end = r->target.at + r->target.len;
	const char *p, *query = end;
	size_t begin, len = 0;
	int c;

	for (p = r->target.at; p < end; p++) {
		if ((unsigned char)*p <= ' ' || *p == 0x7f || *p == '#')
			return HTTP_STATUS_BAD_REQUEST;
		if (*p == '?' && query == end)
			query = p;
	}
	r->query.at = query;
	r->query.len = end - query;
	end = query;
	p = skip_authority(r->target.at, end);
	if (!p)
		return HTTP_STATUS_BAD_REQUEST;

	while (p < end) {
		while (p < end && *p == '/')
			p++;
		for (begin = len; p < end && *p != '/';) {
			c = decode(&p, end);
			/* A slash that is none, too, has no place in a file's name. */
			if (c <= 0 || c == '/')
				return HTTP_STATUS_BAD_REQUEST;
			/* There is to be place for a slash and an end. */
			if (len >= sizeof(r->path) - 2)
				return HTTP_STATUS_URI_TOO_LONG;
			r->path[len++] = c;
		}
		if (len - begin == 1 && r->path[begin] == '.') {
			len = begin;
		} else if (len - begin == 2 && !memcmp(r->path + begin, "..", 2)) {
			if (!begin)
				return HTTP_STATUS_BAD_REQUEST;
			/* From behind a slash to behind the one before it. */
			for (len = begin - 1; len && r->path[len - 1] != '/';)
				len--;
		} else if (p < end && len > begin) {
			r->path[len++] = '/';
		}
	}
	r->path[len] = '\0';
	return 0;
}

/* RFC 9112, 3.2. */
static bool has_good_host(const struct http_request *r)
{
	const struct http_text *host = only(r, HTTP_HOST);
	size_t i;

	if (!host)
		return !r->minor && !has(r, HTTP_HOST);
	for (i = 0; i < host->len; i++)
		if ((unsigned char)host->at[i] <= ' ' ||
		    memchr("/\\?#@,\"<>", host->at[i], 9))
			return false;
	return true;
}

static int on_headers_complete(http_parser *parser)
{
	struct http_request *r = request_of(parser);
	bool body = parser->flags & F_CHUNKED || parser->uses_transfer_encoding ||
		    (parser->flags & F_CONTENTLENGTH && parser->content_length);
	unsigned int status;

	end_field(r);
	r->minor = parser->http_minor;
	if (parser->http_major != 1)
		return fail(r, HTTP_STATUS_HTTP_VERSION_NOT_SUPPORTED);
	if (!has_good_host(r))
		return fail(r, HTTP_STATUS_BAD_REQUEST);
	if (parser->method != HTTP_GET && parser->method != HTTP_HEAD) {
		r->status = HTTP_STATUS_METHOD_NOT_ALLOWED;
		/* What is behind it is of another protocol, perhaps. */
		if (body || parser->method == HTTP_CONNECT)
			return fail(r, r->status);
	} else {
		status = body ? HTTP_STATUS_PAYLOAD_TOO_LARGE : read_target(r);
		if (status)
			return fail(r, status);
	}
	r->keep_alive = http_should_keep_alive(parser);
	return 0;
}

static int on_message_complete(http_parser *parser)
{
	request_of(parser)->done = true;
	/* What follows is the next request. */
	http_parser_pause(parser, 1);
	return 0;
}

void http_request_init(struct http_request *r)
{
	/* The path and the fields are as long as they are written. */
	memset(r, 0, offsetof(struct http_request, path));
	r->path[0] = '\0';
	http_parser_init(&r->parser, HTTP_REQUEST);
	r->parser.data = r;
}

/*
 * The parser knows no other methods than its own.  It stopped at @buf[@at], so that is
 * all there is to judge by: what came behind it by chance makes no difference.
 */
static unsigned int status_of_method(const char *buf, size_t at)
{
	char c = buf[at];

	return (c >= 'A' && c <= 'Z') || c == '-' || c == '_' || c == ' ' ?
	       HTTP_STATUS_METHOD_NOT_ALLOWED : HTTP_STATUS_BAD_REQUEST;
}

size_t http_parse(struct http_request *r, const char *buf, size_t len)
{
	static const struct http_parser_settings settings = {
		.on_url = on_url,
		.on_header_field = on_header_field,
		.on_header_value = on_header_value,
		.on_headers_complete = on_headers_complete,
		.on_message_complete = on_message_complete,
	};

	if (len > HTTP_HEAD_MAX)
		len = HTTP_HEAD_MAX;
	/* No bytes would be the end to the parser. */
	if (r->parsed >= len)
		return 0;
	r->parsed += http_parser_execute(&r->parser, &settings, buf + r->parsed,
					 len - r->parsed);
	if (r->done)
		return r->parsed;

	switch (HTTP_PARSER_ERRNO(&r->parser)) {
	case HPE_OK:
		if (len < HTTP_HEAD_MAX)
			return 0;
		fail(r, r->fields_seen ? HTTP_STATUS_REQUEST_HEADER_FIELDS_TOO_LARGE :
					 HTTP_STATUS_URI_TOO_LONG);
		break;
	case HPE_INVALID_METHOD:
		fail(r, status_of_method(buf, r->parsed));
		break;
	default:
		fail(r, HTTP_STATUS_BAD_REQUEST);
		break;
	}
	r->keep_alive = false;
	return len;
}

/* Dates */

static const char days[][4] = { "Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat" };
static const char months[][4] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun",
				  "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" };

#define DATE_MAX 64

static void print_date(char *text, time_t t)
{
	struct tm tm;

	if (!gmtime_r(&t, &tm)) {
		t = 0;
		gmtime_r(&t, &tm);
	}
	snprintf(text, DATE_MAX, "%s, %02d %s %04d %02d:%02d:%02d GMT",
		 days[tm.tm_wday], tm.tm_mday, months[tm.tm_mon],
		 tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec);
}

/* The three forms of RFC 9110, 5.6.7. */
static bool read_date(const struct http_text *text, time_t *t)
{
	static const char *const forms[] = {
		"%a, %d %b %Y %H:%M:%S GMT",
		"%a, %d-%b-%y %H:%M:%S GMT",
		"%a %b %e %H:%M:%S %Y",
	};
	char copy[DATE_MAX];
	struct tm tm;
	const char *end;
	size_t i;

	if (!text || text->len >= sizeof(copy))
		return false;
	memcpy(copy, text->at, text->len);
	copy[text->len] = '\0';
	for (i = 0; i < ARRAY_SIZE(forms); i++) {
		memset(&tm, 0, sizeof(tm));
		end = strptime(copy, forms[i], &tm);
		if (end && !*end) {
			*t = timegm(&tm);
			return true;
		}
	}
	return false;
}

/* Entity tags */

#define ETAG_MAX 64

static void print_etag(char *text, const struct stat *st)
{
	snprintf(text, ETAG_MAX, "\"%llx-%llx-%llx\"",
		 st->st_mtim.tv_sec * NSEC_PER_SEC + st->st_mtim.tv_nsec,
		 (unsigned long long)st->st_size, (unsigned long long)st->st_ino);
}

/* Whether a list has the tag.  A tag that is weak is none where @strong is wanted. */
static bool list_has(struct http_text list, const char *etag, bool strong)
{
	const char *p = list.at, *end = p + list.len, *begin;
	size_t len = strlen(etag);
	bool weak;

	while (p < end) {
		if (is_space(*p) || *p == ',') {
			p++;
			continue;
		}
		weak = end - p > 2 && p[0] == 'W' && p[1] == '/';
		if (weak)
			p += 2;
		if (*p != '"')
			return false;
		begin = p++;
		while (p < end && *p != '"')
			p++;
		if (p == end)
			return false;
		p++;
		if (!(weak && strong) && (size_t)(p - begin) == len &&
		    !memcmp(begin, etag, len))
			return true;
	}
	return false;
}

/* As a field may come in several lines. */
static bool is_listed(const struct http_request *r, enum http_field field,
		      const char *etag, bool strong)
{
	const struct http_text *value;
	unsigned int i;

	for (i = 0; i < r->fields_count; i++) {
		if (r->fields[i].field != field)
			continue;
		value = &r->fields[i].value;
		if ((value->len == 1 && *value->at == '*') ||
		    list_has(*value, etag, strong))
			return true;
	}
	return false;
}

/* Conditions and ranges */

/* In the order of RFC 9110, 13.2.2. */
static unsigned int judge(const struct http_request *r, const struct stat *st,
			  const char *etag)
{
	time_t t;

	if (has(r, HTTP_IF_MATCH)) {
		if (!is_listed(r, HTTP_IF_MATCH, etag, true))
			return HTTP_STATUS_PRECONDITION_FAILED;
	} else if (read_date(only(r, HTTP_IF_UNMODIFIED_SINCE), &t) &&
		   st->st_mtim.tv_sec > t) {
		return HTTP_STATUS_PRECONDITION_FAILED;
	}
	if (has(r, HTTP_IF_NONE_MATCH)) {
		if (is_listed(r, HTTP_IF_NONE_MATCH, etag, false))
			return HTTP_STATUS_NOT_MODIFIED;
	} else if (read_date(only(r, HTTP_IF_MODIFIED_SINCE), &t) &&
		   st->st_mtim.tv_sec <= t) {
		return HTTP_STATUS_NOT_MODIFIED;
	}
	return HTTP_STATUS_OK;
}

/* Whether the client has a part of this very file. */
static bool is_same(const struct http_request *r, const struct stat *st,
		    const char *etag, time_t now)
{
	const struct http_text *value = only(r, HTTP_IF_RANGE);
	time_t t;

	if (!value)
		return !has(r, HTTP_IF_RANGE);
	if (value->len == strlen(etag) && !memcmp(value->at, etag, value->len))
		return true;
	/* In the second that a file was written in, it may be written again. */
	return read_date(value, &t) && t == st->st_mtim.tv_sec && t < now;
}

/* Returns false without a digit; a number too large is the largest. */
static bool read_number(const char **p, const char *end, off_t *number)
{
	const char *begin = *p;
	int64_t n = 0;

	for (; *p < end && **p >= '0' && **p <= '9'; (*p)++)
		if (__builtin_mul_overflow(n, 10, &n) ||
		    __builtin_add_overflow(n, **p - '0', &n))
			n = INT64_MAX / 10;
	*number = n;
	return *p > begin;
}

struct part {
	off_t offset;
	off_t len;
};

/*
 * Sets the part of a file of @size bytes that is asked for.  Returns the status:
 * 200 if it is all of it, as there is no range, not one, or not one of bytes.
 */
static unsigned int read_range(const struct http_text *value, off_t size,
			       struct part *part)
{
	static const char unit[] = "bytes=";
	const char *p, *end;
	off_t first, last;

	if (!value || value->len < strlen(unit) ||
	    strncasecmp(value->at, unit, strlen(unit)))
		return HTTP_STATUS_OK;
	p = value->at + strlen(unit);
	end = value->at + value->len;
	while (p < end && is_space(*p))
		p++;

	if (p < end && *p == '-') {
		p++;
		if (!read_number(&p, end, &last) || p != end)
			return HTTP_STATUS_OK;
		if (!last)
			return HTTP_STATUS_RANGE_NOT_SATISFIABLE;
		/* The last bytes of nothing are nothing, and no range is that. */
		if (!size)
			return HTTP_STATUS_OK;
		first = last < size ? size - last : 0;
		last = size - 1;
	} else {
		if (!read_number(&p, end, &first) || p == end || *p++ != '-')
			return HTTP_STATUS_OK;
		last = size - 1;
		if (p < end && (!read_number(&p, end, &last) || p != end ||
				last < first))
			return HTTP_STATUS_OK;
		if (first >= size)
			return HTTP_STATUS_RANGE_NOT_SATISFIABLE;
		if (last >= size)
			last = size - 1;
	}
	part->offset = first;
	part->len = last - first + 1;
	return HTTP_STATUS_PARTIAL_CONTENT;
}

/* Answers */

__attribute__((format(printf, 2, 3)))
static bool add(struct http_answer *a, const char *format, ...)
{
	size_t room = sizeof(a->head) - a->head_len;
	va_list ap;
	int len;

	va_start(ap, format);
	len = vsnprintf(a->head + a->head_len, room, format, ap);
	va_end(ap);
	if (len < 0 || (size_t)len >= room)
		return false;
	a->head_len += len;
	return true;
}

static void begin(const struct http_request *r, unsigned int status, time_t now,
		  struct http_answer *a)
{
	char date[DATE_MAX];

	a->status = status;
	a->keep_alive = r->keep_alive;
	a->offset = 0;
	a->len = 0;
	a->head_len = 0;
	print_date(date, now);
	add(a, "HTTP/1.1 %u %s\r\nDate: %s\r\n", status, http_status_str(status),
	    date);
	/* What is not usual in the client's version is said. */
	if (!r->keep_alive)
		add(a, "Connection: close\r\n");
	else if (!r->minor)
		add(a, "Connection: keep-alive\r\n");
}

/* Ends the head of an answer whose body is its status. */
static void end_with_words(const struct http_request *r, struct http_answer *a)
{
	char words[DATE_MAX];
	int len;

	len = snprintf(words, sizeof(words), "%u %s\n", a->status,
		       http_status_str(a->status));
	add(a, "Content-Type: text/plain\r\nContent-Length: %d\r\n"
	    "X-Content-Type-Options: nosniff\r\n\r\n%s", len,
	    r->head ? "" : words);
}

void http_answer_status(const struct http_request *r, unsigned int status,
			time_t now, struct http_answer *a)
{
	begin(r, status, now, a);
	if (status == HTTP_STATUS_METHOD_NOT_ALLOWED)
		add(a, "Allow: GET, HEAD\r\n");
	end_with_words(r, a);
}

/* Adds what a URL cannot hold, and all that some would take for an address, encoded. */
static bool add_encoded(struct http_answer *a, const char *text, size_t len,
			const char *as_they_are)
{
	unsigned char c;
	bool fits = true;
	size_t i;

	for (i = 0; i < len && fits; i++) {
		c = text[i];
		if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
		    (c >= '0' && c <= '9') || strchr(as_they_are, c))
			fits = add(a, "%c", c);
		else
			fits = add(a, "%%%02X", c);
	}
	return fits;
}

void http_answer_directory(const struct http_request *r, time_t now,
			   struct http_answer *a)
{
	begin(r, HTTP_STATUS_MOVED_PERMANENTLY, now, a);
	/* Neither "//host" nor "/\host" may come of it: the path has no such segments. */
	if (add(a, "Location: /") &&
	    add_encoded(a, r->path, strlen(r->path), "/-._~!$&'()*+,;=:@") &&
	    add(a, "/") &&
	    add_encoded(a, r->query.at, r->query.len, "?/-._~!$&'()*+,;=:@%") &&
	    add(a, "\r\n") && a->head_len < sizeof(a->head) - 512)
		end_with_words(r, a);
	else
		http_answer_status(r, HTTP_STATUS_URI_TOO_LONG, now, a);
}

static const char *type_of(const char *path)
{
	static const struct {
		const char *end;
		const char *type;
	} types[] = {
		{ "avif", "image/avif" },
		{ "bmp", "image/bmp" },
		{ "css", "text/css" },
		{ "csv", "text/csv" },
		{ "flac", "audio/flac" },
		{ "gif", "image/gif" },
		{ "gz", "application/gzip" },
		{ "htm", "text/html" },
		{ "html", "text/html" },
		{ "ico", "image/vnd.microsoft.icon" },
		{ "jpeg", "image/jpeg" },
		{ "jpg", "image/jpeg" },
		{ "js", "text/javascript" },
		{ "json", "application/json" },
		{ "md", "text/markdown" },
		{ "mjs", "text/javascript" },
		{ "mp3", "audio/mpeg" },
		{ "mp4", "video/mp4" },
		{ "oga", "audio/ogg" },
		{ "ogg", "audio/ogg" },
		{ "ogv", "video/ogg" },
		{ "otf", "font/otf" },
		{ "pdf", "application/pdf" },
		{ "png", "image/png" },
		{ "svg", "image/svg+xml" },
		{ "tar", "application/x-tar" },
		{ "ttf", "font/ttf" },
		{ "txt", "text/plain" },
		{ "wasm", "application/wasm" },
		{ "wav", "audio/wav" },
		{ "webm", "video/webm" },
		{ "webp", "image/webp" },
		{ "woff", "font/woff" },
		{ "woff2", "font/woff2" },
		{ "xhtml", "application/xhtml+xml" },
		{ "xml", "application/xml" },
		{ "zip", "application/zip" },
	};
	size_t i, len = strlen(path);
	const char *dot;

	/* That of a directory is its index.html. */
	if (!len || path[len - 1] == '/')
		return "text/html";
	dot = strrchr(path, '.');
	if (dot && !strchr(dot, '/'))
		for (i = 0; i < ARRAY_SIZE(types); i++)
			if (!strcasecmp(dot + 1, types[i].end))
				return types[i].type;
	return "application/octet-stream";
}

void http_answer_file(const struct http_request *r, const struct stat *st,
		      time_t now, struct http_answer *a)
{
	struct part part = { .len = st->st_size };
	char etag[ETAG_MAX], modified[DATE_MAX];
	unsigned int status;

	print_etag(etag, st);
	/* None is from the future, RFC 9110, 8.8.2.1. */
	print_date(modified, st->st_mtim.tv_sec < now ? st->st_mtim.tv_sec : now);

	status = judge(r, st, etag);
	/* Only GET has ranges. */
	if (status == HTTP_STATUS_OK && !r->head && is_same(r, st, etag, now))
		status = read_range(only(r, HTTP_RANGE), st->st_size, &part);

	begin(r, status, now, a);
	add(a, "Last-Modified: %s\r\nETag: %s\r\n", modified, etag);
	switch (status) {
	case HTTP_STATUS_NOT_MODIFIED:
		add(a, "\r\n");
		return;
	case HTTP_STATUS_RANGE_NOT_SATISFIABLE:
		add(a, "Content-Range: bytes */%jd\r\n", (intmax_t)st->st_size);
		end_with_words(r, a);
		return;
	case HTTP_STATUS_PRECONDITION_FAILED:
		end_with_words(r, a);
		return;
	case HTTP_STATUS_PARTIAL_CONTENT:
		add(a, "Content-Range: bytes %jd-%jd/%jd\r\n", (intmax_t)part.offset,
		    (intmax_t)(part.offset + part.len - 1), (intmax_t)st->st_size);
		break;
	}
	add(a, "Accept-Ranges: bytes\r\nContent-Type: %s\r\nContent-Length: %jd\r\n"
	    "X-Content-Type-Options: nosniff\r\n\r\n", type_of(r->path),
	    (intmax_t)part.len);
	if (!r->head) {
		a->offset = part.offset;
		a->len = part.len;
	}
}
