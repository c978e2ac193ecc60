/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What this host's kernel and its libssl can do with kernel TLS, found out by
 * trying.
 */
#ifndef CAPABILITY_H
#define CAPABILITY_H

#include "ktlsctl.h"

/* TX and RX, by enum ktls_direction. */
#define DIRECTIONS 2

/* A cipher of kernel TLS under one version of TLS, as OpenSSL names it. */
struct suite {
	uint16_t version;	/* enum ktls_version */
	uint16_t cipher;	/* enum ktls_cipher */
	const char *openssl;	/* all cipher suites that use it */
	const char *algorithm;	/* of the kernel's crypto API */
};

/* Those that both OpenSSL and kernel TLS know. */
#define SUITES 8
extern const struct suite suites[SUITES];

/* How far a key came on its way into the kernel. */
enum step {
	STEP_SOCKETS,		/* two connected TCP sockets */
	STEP_ULP,		/* TCP_ULP "tls" */
	STEP_KEY,		/* TLS_TX or TLS_RX */
};

struct kernel_trial {
	enum step step;
	int error;		/* errno that ended it, 0 if the key was taken */
};

/* A handshake of libssl with itself. */
struct library_trial {
	bool negotiated;
	bool untried;		/* there was no handshake to fail */
	char failure[160];	/* why neither */
	/* By direction of the server's end: */
	bool asked[DIRECTIONS];	/* libssl offered the key to the kernel */
	bool taken[DIRECTIONS];	/* and the kernel has it */
};

struct capability {
	struct kernel_trial kernel[DIRECTIONS];
	struct library_trial library;
};

/*
 * Tries all suites, without CAP_NET_ADMIN, as a server does that gave up its
 * privileges: so tls.ko is not loaded by the trial.
 */
void try_capabilities(struct capability all[SUITES]);

enum answer {
	ANSWER_NO,
	ANSWER_YES,
	ANSWER_UNKNOWN,
};

const char *answer_name(enum answer answer);

#define WHY_LEN 320

/* Does the kernel do this?  @why gets the reason unless it does. */
enum answer kernel_does(const struct suite *suite,
			const struct kernel_trial *trial, int direction,
			char why[WHY_LEN]);
/* Does libssl offer it, if the kernel does? */
enum answer library_does(const struct suite *suite,
			 const struct capability *capability, int direction,
			 char why[WHY_LEN]);
/* Both; the kernel's reason comes first. */
enum answer host_does(const struct suite *suite,
		      const struct capability *capability, int direction,
		      char why[WHY_LEN]);

/* "OpenSSL 3.5.1": the library in use, not the one compiled against. */
const char *libssl_version(char buffer[NUMBER_LEN]);

struct evp_pkey_st;
struct x509_st;
/* For handshakes with oneself; both are to be freed, also if it fails. */
bool make_certificate(struct evp_pkey_st **key, struct x509_st **cert);

/* What OpenSSL's queue says went wrong first, and empties it. */
void openssl_error(char *buffer, size_t size);

#endif /* CAPABILITY_H */
