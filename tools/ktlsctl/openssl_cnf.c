// SPDX-License-Identifier: GPL-2.0-or-later
/* OpenSSL's configuration: what all programs are told that read it. */
#include <openssl/conf.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "host.h"

int find_ktls_option(const char *options)
{
	int found = 0, sign;
	size_t len;

	while (*options) {
		options += strspn(options, ", \t");
		sign = *options == '-' ? -1 : 1;
		options += *options == '-' || *options == '+';
		len = strcspn(options, ", \t");
		if (len == 4 && !strncasecmp(options, "KTLS", 4))
			found = sign;
		options += len;
	}
	return found;
}

/* A section's value of that name, which may be prefixed: "1.Options". */
static bool has_name(const CONF_VALUE *value, const char *name)
{
	const char *dot = strchr(value->name, '.');

	return !strcasecmp(dot ? dot + 1 : value->name, name);
}

static void read_section(CONF *conf, struct openssl_cnf *cnf)
{
	STACK_OF(CONF_VALUE) *values;
	const char *init, *ssl, *section;
	size_t len = 0;
	int i, found;

	init = NCONF_get_string(conf, NULL, "openssl_conf");
	ssl = init ? NCONF_get_string(conf, init, "ssl_conf") : NULL;
	section = ssl ? NCONF_get_string(conf, ssl, "system_default") : NULL;
	if (!section)
		return;
	snprintf(cnf->section, sizeof(cnf->section), "%s", section);
	values = NCONF_get_section(conf, section);
	for (i = 0; i < sk_CONF_VALUE_num(values); i++) {
		const CONF_VALUE *value = sk_CONF_VALUE_value(values, i);

		if (has_name(value, "RecordPadding"))
			cnf->padding = atoi(value->value) > 1;
		if (!has_name(value, "Options") || len >= sizeof(cnf->options))
			continue;
		len += snprintf(cnf->options + len, sizeof(cnf->options) - len,
				"%s%s", len ? "," : "", value->value);
		found = find_ktls_option(value->value);
		if (found)
			cnf->ktls = found > 0;
	}
}

static void load(CONF *conf, BIO *bio, const char *path,
		 struct openssl_cnf *cnf)
{
	long line = 0;
	int loaded;

	loaded = bio ? NCONF_load_bio(conf, bio, &line) :
		       NCONF_load(conf, path, &line);
	if (loaded <= 0) {
		unsigned long e = ERR_peek_error();
		const char *reason = ERR_reason_error_string(e);

		if (line > 0)
			snprintf(cnf->failure, sizeof(cnf->failure),
				 "line %ld: %s", line, reason ?: "?");
		else
			snprintf(cnf->failure, sizeof(cnf->failure), "%s",
				 reason ?: "?");
	} else {
		read_section(conf, cnf);
	}
}

void parse_openssl_cnf(const char *text, size_t len, struct openssl_cnf *cnf)
{
	BIO *bio = BIO_new_mem_buf(text, len);
	CONF *conf = NCONF_new(NULL);

	ERR_clear_error();
	if (bio && conf)
		load(conf, bio, NULL, cnf);
	else
		snprintf(cnf->failure, sizeof(cnf->failure), "out of memory");
	NCONF_free(conf);
	BIO_free(bio);
	ERR_clear_error();
}

void read_openssl_cnf(const char *path, struct openssl_cnf *cnf)
{
	char *standard = NULL;
	CONF *conf = NULL;

	memset(cnf, 0, sizeof(*cnf));
	if (!path)
		path = standard = CONF_get1_default_config_file();
	snprintf(cnf->path, sizeof(cnf->path), "%s", path ?: "");
	ERR_clear_error();
	if (path)
		conf = NCONF_new(NULL);
	if (conf)
		load(conf, NULL, path, cnf);
	else
		snprintf(cnf->failure, sizeof(cnf->failure),
			 "OpenSSL names no file");
	NCONF_free(conf);
	OPENSSL_free(standard);
	ERR_clear_error();
}
