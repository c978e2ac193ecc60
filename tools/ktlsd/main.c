// SPDX-License-Identifier: GPL-2.0-or-later
/* ktlsd: TLS handshakes in user space, connections in the kernel. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <openssl/x509_vfy.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "conf.h"
#include "identity.h"
#include "ktlsd.h"
#include "supervisor.h"

#define DEFAULT_PATH "/etc/ktlsd.conf"

/* How it ends, as ktlsctl does: done, could not, asked in a wrong way. */
enum { OK, FAILED, USAGE };

static void help(void)
{
	printf("ktlsd [OPTIONS]: terminates TLS, with the kernel doing the records\n\n"
	       "Options\n"
	       "  -c, --config FILE  the configuration (default: " DEFAULT_PATH ")\n"
	       "      --check        say what is wrong with it and its certificates, and end\n"
	       "  -h, --help         this\n"
	       "  -V, --version      the version of this program\n\n"
	       "It stays in the foreground, and logs to standard error. SIGHUP has it read\n"
	       "the configuration anew; SIGTERM has it end with its last connection. To see\n"
	       "what it does, type: ktlsctl daemon status\n");
}

/*
 * If one of the first three descriptors is closed, the next socket would get its
 * number, and the log.
 */
static void fill_descriptors(void)
{
	int fd;

	for (fd = 0; fd <= 2; fd++)
		if (fcntl(fd, F_GETFD) < 0 && errno == EBADF)
			(void)!open("/dev/null", O_RDWR);
}

static int flush(int status)
{
	if (!fflush(stdout) && !ferror(stdout))
		return status;
	fprintf(stderr, "ktlsd: could not write the output: %s\n", strerror(errno));
	return status ?: FAILED;
}

static bool load_identity(const struct conf *conf, const struct conf_identity *i)
{
	char error[IDENTITY_ERROR];
	struct identity *identity = identity_load(i->chain, i->key, error);

	if (!identity)
		fprintf(stderr, "%s:%u: %s\n", conf->path, i->line, error);
	identity_free(identity);
	return identity;
}

static bool load_ca(const struct conf *conf, const struct conf_listener *l)
{
	X509_STORE *store = X509_STORE_new();
	bool loaded = store && X509_STORE_load_file(store, l->ca);

	if (!loaded)
		fprintf(stderr, "%s:%u: %s holds no certificates in PEM\n", conf->path,
			l->line, l->ca);
	X509_STORE_free(store);
	return loaded;
}

static int check(const struct conf *conf)
{
	size_t i, count = conf->listeners_count;
	bool good = true;

	/* To load what is not there would only say so again. */
	if (!conf_check_files(conf, stderr))
		return FAILED;
	for (i = 0; i < conf->identities_count; i++)
		if (!load_identity(conf, &conf->identities[i]))
			good = false;
	for (i = 0; i < conf->listeners_count; i++)
		if (conf->listeners[i].ca && !load_ca(conf, &conf->listeners[i]))
			good = false;
	if (!good)
		return FAILED;
	/* The one for services is none that somebody wrote. */
	if (count && conf->listeners[count - 1].kind == LISTENER_HANDSHAKE)
		count--;
	printf("%s: ok: %zu listener%s, %zu certificate%s\n", conf->path,
	       count, count == 1 ? "" : "s",
	       conf->identities_count, conf->identities_count == 1 ? "" : "s");
	return OK;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "config", required_argument, NULL, 'c' },
		{ "check", no_argument, NULL, 'K' },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },
		{ 0 },
	};
	const char *path = DEFAULT_PATH;
	bool check_only = false;
	struct conf *conf;
	char *full;
	int c;

	fill_descriptors();
	while ((c = getopt_long(argc, argv, "c:hV", options, NULL)) >= 0) {
		switch (c) {
		case 'c':
			path = optarg;
			break;
		case 'K':
			check_only = true;
			break;
		case 'h':
			help();
			return flush(OK);
		case 'V':
			printf("ktlsd %s\n", KTLSD_VERSION);
			return flush(OK);
		default:
			fprintf(stderr, "ktlsd: for help, type: ktlsd --help\n");
			return USAGE;
		}
	}
	if (optind < argc) {
		fprintf(stderr,
			"ktlsd: it takes no argument, and there is \"%s\"; for help, type: ktlsd --help\n",
			argv[optind]);
		return USAGE;
	}
	/* So that a reload finds it from wherever. */
	full = realpath(path, NULL);
	conf = conf_read(full && path[0] != '/' ? full : path, stderr);
	free(full);
	if (!conf)
		return FAILED;
	if (check_only) {
		c = check(conf);
		conf_free(conf);
		return flush(c);
	}
	return flush(supervisor_run(conf));
}
