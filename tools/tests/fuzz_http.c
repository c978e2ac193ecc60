// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What must hold of any bytes that a client sends as a request. For libFuzzer:
 *
 *	make -C tools/tests fuzz_http && tools/tests/obj-fuzz/fuzz_http
 *
 * and for the unit test, which brings bytes of its own.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../ktlsd/http.h"
#include "../ktlsd/ktlsd.h"
#include "fuzz_http.h"

#define must_hold(c) \
	do { \
		if (!(c)) { \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #c); \
			abort(); \
		} \
	} while (0)

/* Beneath the root, by the name of it alone. */
static void check_path(const char *path)
{
	const char *p = path, *end;

	must_hold(strlen(path) < PATH_MAX - 1);
	while (*p) {
		end = strchrnul(p, '/');
		must_hold(end > p);
		must_hold(!(end - p == 1 && p[0] == '.'));
		must_hold(!(end - p == 2 && p[0] == '.' && p[1] == '.'));
		p = *end ? end + 1 : end;
	}
}

/* A head, the end of which is where it should be. */
static void check_answer(const struct http_answer *a, const char *words)
{
	const char *head = a->head, *end;
	size_t i;

	must_hold(a->head_len < sizeof(a->head));
	must_hold(a->head_len > 16 && !memcmp(head, "HTTP/1.1 ", 9));
	end = memmem(head, a->head_len, "\r\n\r\n", 4);
	must_hold(end);
	for (i = 0; i < (size_t)(end - head); i++)
		must_hold(head[i] >= ' ' ? head[i] < 0x7f :
			  head[i] == '\r' || head[i] == '\n');
	must_hold(!words || a->head_len - (end + 4 - head) == strlen(words));
}

static void check_location(const struct http_answer *a)
{
	const char *p = memmem(a->head, a->head_len, "\r\nLocation: ", 12);

	must_hold(!p == (a->status == HTTP_STATUS_URI_TOO_LONG));
	if (p)
		must_hold(p[12] == '/' && p[13] != '/' && p[13] != '\\');
}

static void check_answers(const struct http_request *r)
{
	static struct http_answer a;
	static const off_t sizes[] = { 0, 1, 1000, INT64_MAX };
	struct stat st = { .st_ino = 7, .st_mtim.tv_sec = 784111777 };
	bool no_words;
	size_t i;

	if (r->status) {
		must_hold(r->status >= 400 && r->status < 600);
		http_answer_status(r, r->status, 784111778, &a);
		check_answer(&a, NULL);
		return;
	}
	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		st.st_size = sizes[i];
		http_answer_file(r, &st, 784111778, &a);
		must_hold(a.offset >= 0 && a.len >= 0);
		must_hold(a.offset <= st.st_size && a.len <= st.st_size - a.offset);
		must_hold(!r->head || !a.len);
		must_hold(!a.len || a.status == 200 || a.status == 206);
		no_words = a.status < 400 || r->head;
		check_answer(&a, no_words ? "" : NULL);
	}
	http_answer_directory(r, 784111778, &a);
	check_answer(&a, NULL);
	if (r->path[0])
		check_location(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static struct http_request whole, parts;
	char *copy = malloc(len ?: 1), *slow = malloc(len ?: 1);
	size_t used, used_slow = 0, i;

	if (len)
		memcpy(copy, data, len);
	http_request_init(&whole);
	used = http_parse(&whole, copy, len);
	must_hold(used <= len && used <= HTTP_HEAD_MAX);
	must_hold(used || len < HTTP_HEAD_MAX);

	/* It makes no difference in which pieces it comes, and none is looked at early. */
	http_request_init(&parts);
	memset(slow, '?', len);
	for (i = 0; i < len && !used_slow; i++) {
		slow[i] = copy[i];
		used_slow = http_parse(&parts, slow, i + 1);
	}
	must_hold(!used == !used_slow);
	/* Of several errors, which comes first depends on it. */
	must_hold(!whole.status == !parts.status);
	if (used && !whole.unread) {
		must_hold(used == used_slow && !parts.unread);
		must_hold(whole.keep_alive == parts.keep_alive);
	}
	if (used && !whole.status) {
		must_hold(!strcmp(whole.path, parts.path));
		must_hold(whole.query.len == parts.query.len);
		must_hold(whole.fields_count == parts.fields_count);
		must_hold(whole.head == parts.head);
		check_path(whole.path);
	}
	if (used)
		check_answers(&whole);
	free(copy);
	free(slow);
	return 0;
}
