// SPDX-License-Identifier: GPL-2.0-or-later
/* The certificates of a server. */
#include <openssl/bio.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "negotiation.h"

static void name_text(const X509_NAME *name, char *buffer, size_t size)
{
	BIO *bio = BIO_new(BIO_s_mem());
	int len = 0;

	/* Other letters than ASCII's are escaped. */
	if (bio && X509_NAME_print_ex(bio, name, 0, XN_FLAG_ONELINE) >= 0)
		len = BIO_read(bio, buffer, size - 1);
	buffer[len > 0 ? len : 0] = '\0';
	BIO_free(bio);
	clean_text(buffer);
	if (!*buffer)
		snprintf(buffer, size, "(empty)");
}

static int64_t seconds(const ASN1_TIME *t)
{
	struct tm tm;

	if (!t || !ASN1_TIME_to_tm(t, &tm))
		return 0;
	return timegm(&tm);
}

static void read_certificate(const X509 *x, struct certificate *c)
{
	name_text(X509_get_subject_name(x), c->subject, sizeof(c->subject));
	name_text(X509_get_issuer_name(x), c->issuer, sizeof(c->issuer));
	c->not_before = seconds(X509_get0_notBefore(x));
	c->not_after = seconds(X509_get0_notAfter(x));
}

/* "DNS:example.org, IP Address:192.0.2.1", or %NULL. */
static char *alternative_names(const X509 *x)
{
	GENERAL_NAMES *names;
	char *text = NULL, *data;
	BIO *bio;
	long len;
	int i;

	names = X509_get_ext_d2i(x, NID_subject_alt_name, NULL, NULL);
	if (!names)
		return NULL;
	bio = BIO_new(BIO_s_mem());
	for (i = 0; bio && i < sk_GENERAL_NAME_num(names); i++) {
		if (i)
			BIO_puts(bio, ", ");
		GENERAL_NAME_print(bio, sk_GENERAL_NAME_value(names, i));
	}
	len = bio ? BIO_get_mem_data(bio, &data) : 0;
	if (len > 0)
		text = strndup(data, len);
	BIO_free(bio);
	GENERAL_NAMES_free(names);
	if (text)
		clean_text(text);
	return text;
}

static bool is_good_for(X509 *x, const char *name)
{
	/* An address is compared with addresses only. */
	int ip = X509_check_ip_asc(x, name, 0);

	if (ip != -2)
		return ip == 1;
	return X509_check_host(x, name, 0, 0, NULL) == 1;
}

void read_chain(SSL *ssl, const char *name, struct chain *chain)
{
	STACK_OF(X509) *sent = SSL_get_peer_cert_chain(ssl);
	X509 *leaf = SSL_get0_peer_certificate(ssl);
	int i, count = sent ? sk_X509_num(sent) : 0;

	for (i = 0; i < count && i < CHAIN_MAX; i++)
		read_certificate(sk_X509_value(sent, i), &chain->list[i]);
	chain->count = i;
	chain->verify = SSL_get_verify_result(ssl);
	chain->name = name;
	if (!leaf)
		return;
	chain->names = alternative_names(leaf);
	chain->name_matches = is_good_for(leaf, name);
}

const char *verify_text(long verify)
{
	return X509_verify_cert_error_string(verify);
}
