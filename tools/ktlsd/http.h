/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * HTTP/1.1 as a server of files speaks it (RFC 9110, RFC 9112): requests are read
 * and answers are written in memory; nothing here does I/O.
 */
#ifndef HTTP_H
#define HTTP_H

#include <http_parser.h>
#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>
#include <time.h>

#define HTTP_HEAD_MAX 8192	/* bytes of a request */
#define HTTP_FIELDS_MAX 100	/* of a request */
#define HTTP_ANSWER_MAX 16384	/* bytes: one record of TLS */

/* Part of the caller's buffer. */
struct http_text {
	const char *at;
	size_t len;
};

/* Those that a server of files looks at. */
enum http_field {
	HTTP_HOST,
	HTTP_IF_MATCH,
	HTTP_IF_MODIFIED_SINCE,
	HTTP_IF_NONE_MATCH,
	HTTP_IF_RANGE,
	HTTP_IF_UNMODIFIED_SINCE,
	HTTP_RANGE,
	HTTP_OTHER,
};

struct http_request {
	unsigned int status;	/* 0, or that of the answer: the request is bad */
	bool head;		/* HEAD, otherwise GET */
	bool keep_alive;
	bool unread;		/* the client may be sending what nobody reads */
	unsigned int minor;	/* HTTP/1.minor */
	struct http_text query;	/* with the question mark */

	/* The parser's. */
	struct http_parser parser;
	bool done;
	size_t parsed;
	struct http_text target;
	struct http_text name;
	struct http_text value;
	unsigned int fields_seen;
	unsigned int fields_count;

	/*
	 * Beneath the root: decoded, without empty segments, "." and ".."; empty, or
	 * with a slash at its end, if it is of a directory.
	 */
	char path[PATH_MAX];
	struct {
		enum http_field field;
		struct http_text value;
	} fields[HTTP_FIELDS_MAX];
};

struct http_answer {
	unsigned int status;
	bool keep_alive;
	off_t offset;		/* of the part of the file that follows the head */
	off_t len;		/* of that part; 0: nothing follows */
	size_t head_len;
	char head[HTTP_ANSWER_MAX];	/* with the body, if that is no file's */
};

void http_request_init(struct http_request *r);

/*
 * @buf has the @len first bytes of a request, or more than that; it is to stay where
 * it is, as @r refers to it.  Returns how many bytes the request takes, or 0 if it is
 * not there as a whole: to be called again with more, and never more than
 * HTTP_HEAD_MAX are needed.
 */
size_t http_parse(struct http_request *r, const char *buf, size_t len);

/* Answers with the file, or with why not. */
void http_answer_file(const struct http_request *r, const struct stat *st,
		      time_t now, struct http_answer *a);

/* Answers with a status and a few words. */
void http_answer_status(const struct http_request *r, unsigned int status,
			time_t now, struct http_answer *a);

/* Answers that @r's path is a directory: the same with a slash behind it. */
void http_answer_directory(const struct http_request *r, time_t now,
			   struct http_answer *a);

#endif /* HTTP_H */
