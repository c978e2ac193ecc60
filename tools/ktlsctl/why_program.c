// SPDX-License-Identifier: GPL-2.0-or-later
/* Why a program does not ask for kernel TLS: what user space knows of it. */
#include <errno.h>
#include <inttypes.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "conf_files.h"
#include "endpoint.h"
#include "program.h"
#include "server_conf.h"

/* OpenSSL 3.2, from which on it gives the kernel keys to receive TLS 1.3. */
#define OPENSSL_3_2 0x30200000

/* One connection, one direction, one of the processes that have it. */
struct question_why {
	struct connection *c;
	struct holder *h;
	struct program *p;
	int direction;
	bool proven;		/* nothing was asked for */
	struct finding *f;
};

static const char *purpose(int direction)
{
	return direction == KTLS_DIRECTION_TX ? "send" : "receive";
}

static const char *from_file(char buffer[64], const struct question_why *q,
			     const char *name)
{
	snprintf(buffer, 64, "/proc/%u/%s", q->h->process.pid, name);
	return buffer;
}

/* It did not ask, whether or not somebody watched it. */
#define never(q, reason, ...) \
	conclude((q)->f, VERDICT_NEVER_ASKED, reason, __VA_ARGS__)

static void not_known(const struct question_why *q, const char *text)
{
	conclude(q->f, q->proven ? VERDICT_NEVER_ASKED : VERDICT_UNKNOWN,
		 "unknown", "%s", text);
}

static void may_be_option(const struct question_why *q)
{
	add_remaining(q->f, "option-not-set",
		      "the program does not set the option: OpenSSL asks if SSL_OP_ENABLE_KTLS is set, by the program, its configuration or openssl.cnf");
}

static void may_be_own_io(const struct question_why *q)
{
	add_remaining(q->f, "program-own-io",
		      "the program does not let its TLS library have the socket");
}

static void may_be_ineligible(const struct question_why *q)
{
	add_remaining(q->f, "not-eligible",
		      "a version or cipher was negotiated that no kernel takes, or for which this library does not ask; ktlsctl probe tells what the server negotiates");
}

static void may_be_no_tls(const struct question_why *q)
{
	add_remaining(q->f, "not-tls", "the connection is not TLS");
}

static void may_be_pending(const struct question_why *q)
{
	add_remaining(q->f, "handshake-pending",
		      "the handshake is not done yet, or failed");
}

static void is_pending(const struct question_why *q)
{
	conclude(q->f, q->proven ? VERDICT_NEVER_ASKED : VERDICT_UNKNOWN,
		 "handshake-pending",
		 "the handshake is not done: not both ends have spoken yet");
}

static void may_be_refused(const struct question_why *q);
static void never_if_tls(const struct question_why *q, const char *reason,
			 const char *text, const char *next);

static void may_be(const struct question_why *q)
{
	may_be_refused(q);
	may_be_option(q);
	may_be_own_io(q);
	may_be_ineligible(q);
	may_be_pending(q);
	may_be_no_tls(q);
}

/* The library */

static enum answer build_asks(const struct build_trial *t, uint16_t version,
			      uint16_t cipher, int direction)
{
	bool negotiated = false;
	int i;

	for (i = 0; t && t->done && i < SUITES; i++) {
		if ((version && suites[i].version != version) ||
		    (cipher && suites[i].cipher != cipher) || !t->negotiated[i])
			continue;
		negotiated = true;
		if (t->asked[i][direction])
			return ANSWER_YES;
	}
	return negotiated ? ANSWER_NO : ANSWER_UNKNOWN;
}

/* A build of OpenSSL that the process has alone, tried; or %NULL. */
static const struct build_trial *only_openssl(const struct question_why *q)
{
	const struct build_trial *t;

	if (q->p->libraries_count != 1 ||
	    q->p->libraries[0].kind != LIBRARY_OPENSSL)
		return NULL;
	t = try_library_of(q->h);
	return t && t->done ? t : NULL;
}

/* Does it offer its key under all that it negotiates of what kernels know? */
static bool asks_always(const struct build_trial *t, int direction)
{
	int i;

	for (i = 0; i < SUITES; i++)
		if (t->negotiated[i] && !t->asked[i][direction])
			return false;
	return true;
}

static void cite_library(const struct question_why *q,
			 const struct tls_library *l)
{
	const struct build_trial *t = l->kind == LIBRARY_OPENSSL ?
				      q->p->trial : NULL;
	char from[64];

	from_file(from, q, "maps");
	if (t && t->done)
		add_evidence(q->c, from, "%s is mapped (%s)%s",
			     l->mapping->file.path, t->version,
			     l->mapping->file.deleted ?
			     "; the file was replaced since" : "");
	else if (t)
		add_evidence(q->c, from, "%s is mapped (%s); %s",
			     l->mapping->file.path, l->name, t->failure);
	else
		add_evidence(q->c, from, "%s is mapped (%s)",
			     l->mapping->file.path, l->name);
}

/* Can this library ask at all?  @why: why not. */
static enum answer library_can(const struct question_why *q,
			       const struct tls_library *l, char why[WHY_LEN])
{
	const struct build_trial *t;
	enum answer answer;

	switch (l->kind) {
	case LIBRARY_WITHOUT:
		snprintf(why, WHY_LEN, "%s does not know kernel TLS", l->name);
		return ANSWER_NO;
	case LIBRARY_GNUTLS:
		/* With kernel TLS, it gets the type of a record by this call. */
		answer = has_trait(q->h->process.pid, l->mapping, TRAIT_RECVMSG);
		snprintf(why, WHY_LEN,
			 "this build of GnuTLS is without kernel TLS (it does not call recvmsg), whatever its configuration says");
		return answer;
	case LIBRARY_OPENSSL:
		t = try_library_of(q->h);
		snprintf(why, WHY_LEN,
			 "%s, as it is mapped, offers no key to the kernel (tried with SSL_OP_ENABLE_KTLS)",
			 t ? t->version : l->name);
		return build_asks(t, 0, 0, q->direction);
	default:
		return ANSWER_UNKNOWN;
	}
}

/* TLS without a library that is mapped */

static void judge_linked_in(const struct question_why *q, const char *from)
{
	if (program_has(q->h, TRAIT_BORINGSSL) == ANSWER_YES &&
	    program_has(q->h, TRAIT_OPENSSL) == ANSWER_NO) {
		add_evidence(q->c, from, "no TLS library, but BoringSSL in %s",
			     q->h->exe);
		never_if_tls(q, "library-without-ktls",
			     "BoringSSL, which is linked in, does not know kernel TLS",
			     "to have it on kernel TLS, let a proxy as nginx do the TLS");
		return;
	}
	add_evidence(q->c, from,
		     "no TLS library; %s, or a library of its own, has a TLS linked in",
		     q->h->exe);
	not_known(q, "the program has a TLS linked in, of which nothing is known here");
	add_remaining(q->f, "library-without-ktls",
		      "its own TLS does not know kernel TLS");
	may_be(q);
}

static void judge_without_library(const struct question_why *q)
{
	char version[64], from[64];

	from_file(from, q, "maps");
	if (q->p->runtime == RUNTIME_GO) {
		go_version(q->h, version, sizeof(version));
		add_evidence(q->c, from_file(from, q, "exe"),
			     "%s is a program of Go%s%s", q->h->exe,
			     *version ? ", " : "", version);
		never(q, "no-tls-library",
		      "the TLS of Go does not know kernel TLS");
		advise(q->f, "to have it on kernel TLS, let a proxy as nginx do the TLS");
		return;
	}
	if (q->p->runtime == RUNTIME_JAVA) {
		add_evidence(q->c, from, "libjvm.so is mapped");
		never(q, "no-tls-library",
		      "the TLS of Java does not know kernel TLS");
		advise(q->f, "to have it on kernel TLS, let a proxy as nginx do the TLS");
		return;
	}
	switch (program_has(q->h, TRAIT_TLS)) {
	case ANSWER_NO:
		add_evidence(q->c, from,
			     "no TLS library, and nothing with the labels that TLS derives its keys with");
		never(q, "no-tls-library",
		      "the process has no TLS library: it speaks no TLS, or by means that do not know kernel TLS");
		return;
	case ANSWER_YES:
		judge_linked_in(q, from);
		return;
	default:
		not_known(q, "what the program does TLS with is not known, as its files could not be read");
		add_remaining(q->f, "no-tls-library", "it has no TLS library");
		may_be(q);
	}
}

/* What the program was told */

/* Processes that are told apart by nothing that matters here. */
static bool is_alike(struct holder *a, struct holder *b)
{
	const struct program *p = find_program(a), *q = find_program(b);
	size_t i;

	if (!p || !q || p->error != q->error || strcmp(a->exe, b->exe) ||
	    p->libraries_count != q->libraries_count)
		return false;
	for (i = 0; i < p->libraries_count; i++)
		if (!same_file(&p->libraries[i].mapping->file,
			       &q->libraries[i].mapping->file))
			return false;
	return true;
}

/* Most connections of a server come to the same end. */
struct known {
	unsigned int pid;
	struct end end;
	bool found;
	struct server_conf conf;
	struct known *next;
};

static struct known *all_known;

void free_known(void)
{
	struct known *k;

	while ((k = all_known)) {
		all_known = k->next;
		free(k);
	}
}

static const struct server_conf *find_conf(const struct question_why *q)
{
	const struct connection *c = q->c;
	struct end end = { .family = c->family, .port = c->local_port };
	struct known *k;

	memcpy(end.addr, c->local_addr, sizeof(end.addr));
	for (k = all_known; k; k = k->next)
		if (k->pid == q->h->process.pid &&
		    !memcmp(&k->end, &end, sizeof(end)))
			return k->found ? &k->conf : NULL;
	k = calloc(1, sizeof(*k));
	if (!k)
		return NULL;
	k->pid = q->h->process.pid;
	k->end = end;
	k->found = read_server_conf(&q->h->process, c->family, c->local_addr,
				    c->local_port, &k->conf);
	k->next = all_known;
	all_known = k;
	return k->found ? &k->conf : NULL;
}

/* openssl.cnf, as the process has read it; once for each. */
static enum answer cnf_asks(const struct question_why *q)
{
	struct program *p = q->p;
	struct conf_files *files;
	struct openssl_cnf cnf;

	if (p->cnf_read)
		return p->cnf;
	p->cnf_read = true;
	p->cnf = ANSWER_UNKNOWN;
	files = conf_open(q->h->process.pid);
	if (!files)
		return p->cnf;
	if (read_process_cnf(files, &q->h->process.libssl, &cnf) &&
	    !*conf_failure(files) && !conf_newer(files, q->h->start)) {
		p->cnf = cnf.ktls ? ANSWER_YES : ANSWER_NO;
		snprintf(p->cnf_path, sizeof(p->cnf_path), "%s", cnf.path);
	}
	conf_close(files);
	return p->cnf;
}

/* It asks, and is not on kernel TLS */

static bool has_net_admin(const struct holder *h)
{
	return h->capabilities & 1u << CAP_NET_ADMIN;
}

/* Why the kernel has no TLS for this process now; %NULL if it has, or may. */
static const char *find_obstacle(const struct question_why *q, char path[512])
{
	const struct kernel_trial *t = &kernel_trials()[0].kernel[0];
	char unused[512];
	struct utsname uts;

	*path = '\0';
	/* What was attached stays, and keeps tls.ko. */
	if (q->c->space->has_module || q->c->ulp == ULP_TLS ||
	    q->c->ulp == ULP_MPTCP || t->step != STEP_ULP ||
	    t->error != ENOENT || uname(&uts))
		return NULL;
	if (!find_tls_module(uts.release, "modules.dep", unused,
			     sizeof(unused)))
		return "tls-module-absent";
	if (find_forbidden(path, 512) != FORBIDDEN_NOT)
		return "tls-module-forbidden";
	/* For one that has it, the kernel would have loaded it. */
	return !q->h || !q->h->known || has_net_admin(q->h) ?
	       NULL : "tls-module-not-loaded";
}

/* What the kernel may have said, where ktls.ko does not know. */
static void may_be_refused(const struct question_why *q)
{
	const char *reason;
	char path[512];

	if (q->c->ulp == ULP_MPTCP) {
		add_remaining(q->f, "mptcp",
			      "it asked, and a socket of MPTCP takes no TLS in the kernel");
		return;
	}
	if (q->proven)
		return;
	reason = find_obstacle(q, path);
	if (reason)
		add_remaining(q->f, reason,
			      "it asked, and the kernel had no TLS: tls.ko is not loaded");
	add_remaining(q->f, "refused",
		      q->c->space->has_module ?
		      "it asked, and the kernel refused it, before ktls.ko looked" :
		      "it asked, and the kernel refused it");
}

/* It asked, and the kernel had no TLS. */
static void judge_obstacle(const struct question_why *q, const char *reason,
			   const char *path)
{
	char from[64];

	if (!strcmp(reason, "tls-module-absent")) {
		conclude(q->f, VERDICT_REFUSED, reason,
			 "it asks for kernel TLS, and there is no tls.ko for this kernel");
		advise(q->f, "install the modules of this kernel, or boot one that has CONFIG_TLS; after an upgrade of the kernel: reboot");
	} else if (!strcmp(reason, "tls-module-forbidden")) {
		add_evidence(q->c, path, "tls.ko is not to be loaded");
		conclude(q->f, VERDICT_REFUSED, reason,
			 "it asks for kernel TLS, but tls.ko is not loaded, and is forbidden");
		advise(q->f, "somebody did not want it; to have it all the same, remove that line, and type: modprobe tls; then connect anew");
	} else {
		add_evidence(q->c, from_file(from, q, "status"),
			     "CapEff is without CAP_NET_ADMIN");
		conclude(q->f, VERDICT_REFUSED, reason,
			 "it asks for kernel TLS, but tls.ko is not loaded, and the process has not the privilege to have it loaded");
		advise(q->f, "type: modprobe tls, and for every boot: echo tls >/etc/modules-load.d/tls.conf; then connect anew");
	}
}

/*
 * Its setting keeps libssl from asking for sending: from 3.2 on it surely does,
 * before that it depends on the version of TLS, and is left open.
 */
static bool pads_or_splits(const struct question_why *q,
			   const struct server_conf *conf)
{
	const struct build_trial *t = only_openssl(q);

	if (!conf || !conf->tx_reason || q->direction != KTLS_DIRECTION_TX ||
	    !t || t->number < OPENSSL_3_2)
		return false;
	add_evidence(q->c, conf->from, "%s", conf->text);
	never(q, conf->tx_reason,
	      !strcmp(conf->tx_reason, "record-padding") ?
	      "it pads the records that it sends, and then libssl does not ask for sending" :
	      "it sends fragments smaller than a record holds, and then libssl does not ask for sending");
	advise(q->f, "take that setting out of its configuration");
	return true;
}

/* What OpenSSL does not ask for before 3.2. */
static void may_be_old_openssl(const struct question_why *q,
			       const struct server_conf *conf)
{
	if (conf && conf->tx_reason)
		add_remaining(q->f, conf->tx_reason,
			      "with that setting, libssl before 3.2 may ask for neither direction");
	if (q->direction == KTLS_DIRECTION_RX)
		add_remaining(q->f, "tls13-receive-openssl-3.0",
			      "OpenSSL 3.0 and 3.1 never give the kernel the key to receive TLS 1.3");
}

/* What the program may have told libssl, and then it does not ask for sending. */
static void may_be_cut(const struct question_why *q)
{
	add_remaining(q->f, "record-padding",
		      "the program pads the records that it sends");
	add_remaining(q->f, "small-fragments",
		      "it sends fragments smaller than a record holds");
}

static void judge_asking(const struct question_why *q,
			 const struct server_conf *conf)
{
	const struct build_trial *t = only_openssl(q);
	bool always = t && asks_always(t, q->direction);
	enum answer ineligible;
	uint64_t handshake;
	const char *reason;
	char path[512];

	if (q->c->ulp == ULP_MPTCP) {
		conclude(q->f, VERDICT_REFUSED, "mptcp",
			 "it asks for kernel TLS, but the socket is one of MPTCP, which takes none");
		advise(q->f, "have both ends use plain TCP, as nginx without \"multipath\", or a program without mptcpize");
		return;
	}
	if (pads_or_splits(q, conf))
		return;
	if (q->c->silent) {
		is_pending(q);
		return;
	}
	/* It is asked without a name, and one of that name answers for itself. */
	ineligible = conf->several ? ANSWER_UNKNOWN :
				     server_takes_ineligible(q->c);
	if (ineligible == ANSWER_NO)
		add_evidence(q->c, "asked the server",
			     "it refuses all versions and ciphers that kernel TLS does not know");
	reason = q->proven ? NULL : find_obstacle(q, path);
	if (reason)
		add_evidence(q->c, "tried on a socket of its own",
			     "TCP_ULP: ENOENT: the kernel has no TLS now");
	if (reason && ineligible == ANSWER_NO && always && !conf->tx_reason &&
	    server_has_said_more(q->c, &handshake)) {
		add_evidence(q->c, "sock_diag",
			     "%" PRIu64 " bytes were sent, and the handshake, which the server was asked for, takes less than %" PRIu64,
			     q->c->sent, handshake);
		judge_obstacle(q, reason, path);
		return;
	}
	not_known(q, q->proven ? "it is set to ask for kernel TLS, and did not ask" :
		  "it is set to ask for kernel TLS, and is not on it");
	may_be_refused(q);
	if (ineligible != ANSWER_NO || !always)
		may_be_ineligible(q);
	if (!t || t->number < OPENSSL_3_2)
		may_be_old_openssl(q, conf);
	may_be_pending(q);
	may_be_no_tls(q);
	if (!q->proven)
		advise(q->f, q->c->space->has_module ?
		       "connect anew, and ask again" : reason ?
		       "type: modprobe tls; then connect anew" :
		       "type: modprobe ktls; then connect anew, and ask again");
}

/* Only one direction is on kernel TLS */

static void judge_other_way(const struct question_why *q,
			    const struct server_conf *conf)
{
	const struct connection *c = q->c;
	const struct build_trial *t = only_openssl(q);
	char v[NUMBER_LEN], n[NUMBER_LEN];
	enum answer asks = ANSWER_UNKNOWN;

	if (t && c->version)
		asks = build_asks(t, c->version, c->cipher, q->direction);
	if (asks == ANSWER_NO && c->version == KTLS_VERSION_TLS_1_3 &&
	    q->direction == KTLS_DIRECTION_RX && t->number < OPENSSL_3_2) {
		never(q, "tls13-receive-openssl-3.0",
		      "%s never gives the kernel the key to receive TLS 1.3 (tried)",
		      t->version);
		advise(q->f, "OpenSSL 3.2 and later do, as Debian 13 has; or let clients use TLS 1.2");
		return;
	}
	if (asks == ANSWER_NO) {
		never(q, "library-without-ktls",
		      "%s does not offer the kernel its key to %s %s under TLS %s (tried)",
		      t->version, purpose(q->direction),
		      format_cipher(n, c->cipher), format_version(v, c->version));
		return;
	}
	if (pads_or_splits(q, conf))
		return;
	if (q->proven && !q->p->libraries_count) {
		never(q, "no-key",
		      "the program gave the kernel no key to %s, and no TLS library does that for it",
		      purpose(q->direction));
		return;
	}
	not_known(q, q->proven ?
		  "the program did not ask for this direction, though its library does" :
		  c->finding[!q->direction].verdict == VERDICT_REFUSED ?
		  "the other direction was refused, and whether this one was asked for is not known" :
		  "only the other direction is on kernel TLS");
	if (asks == ANSWER_UNKNOWN && c->version == KTLS_VERSION_TLS_1_3 &&
	    q->direction == KTLS_DIRECTION_RX)
		add_remaining(q->f, "tls13-receive-openssl-3.0",
			      "OpenSSL 3.0 and 3.1 never give the kernel the key to receive TLS 1.3");
	if (q->direction == KTLS_DIRECTION_TX) {
		may_be_cut(q);
	} else {
		add_remaining(q->f, "read-ahead",
			      "the library had read beyond the handshake when the key was due (read-ahead)");
		may_be_pending(q);
	}
	if (!q->proven)
		add_remaining(q->f, "refused",
			      "the kernel refused its key before ktls.ko looked");
}

/* Neither is */

/* A URL on the command line says so, or a server that is asked. */
static bool is_tls(const struct question_why *q)
{
	bool found = false;
	size_t i;

	for (i = 1; q->p->argv && q->p->argv[i]; i++) {
		if (strstr(q->p->argv[i], "http://") ||
		    strstr(q->p->argv[i], "ftp://"))
			return false;
		/* Others may be for whom it serves, or what it serves. */
		found |= https_port(q->p->argv[i]) == q->c->remote_port;
	}
	return found || server_has_tls(q->c) == ANSWER_YES;
}

/*
 * A reason that only holds for TLS: for a connection without it, it would be
 * another.
 */
static void never_if_tls(const struct question_why *q, const char *reason,
			 const char *text, const char *next)
{
	if (is_tls(q)) {
		never(q, reason, "%s", text);
		if (*next)
			advise(q->f, "%s", next);
		return;
	}
	not_known(q, q->proven ? "the program did not ask for it" :
		  "whether the program asked for it is not known");
	add_remaining(q->f, reason, "%s", text);
	may_be_no_tls(q);
}

/* What the libraries say; true if that settles it. */
static bool judge_libraries(const struct question_why *q,
			    const struct tls_library **candidate, size_t *able)
{
	char why[WHY_LEN], first[WHY_LEN] = "";
	size_t i;

	*able = 0;
	for (i = 0; i < q->p->libraries_count; i++) {
		const struct tls_library *l = &q->p->libraries[i];
		enum answer can = library_can(q, l, why);

		cite_library(q, l);
		if (can == ANSWER_NO) {
			if (!*first)
				snprintf(first, sizeof(first), "%s", why);
			continue;
		}
		++*able;
		*candidate = l;
	}
	if (*able)
		return false;
	never_if_tls(q, "library-without-ktls", first,
		     "run the program with a TLS library that can, as OpenSSL 3 of Debian; or let a proxy as nginx do the TLS");
	return true;
}

/* @alone: it has no other TLS library. */
static void judge_openssl(const struct question_why *q,
			  const struct server_conf *conf, bool alone)
{
	const struct build_trial *t = only_openssl(q);
	bool old = !t || t->number < OPENSSL_3_2;
	char from[64];
	enum answer cnf;

	if (conf && conf->asks == ANSWER_YES) {
		judge_asking(q, conf);
		return;
	}
	from_file(from, q, "maps");
	if (alone && program_has(q->h, TRAIT_SOCKET_BIO) == ANSWER_NO) {
		add_evidence(q->c, from,
			     "no file but libssl names a function that gives OpenSSL a socket (SSL_set_fd, BIO_s_socket ...)");
		never_if_tls(q, "program-own-io",
			     "the program does not let OpenSSL have the socket, so that OpenSSL cannot ask for it",
			     "no setting changes that; to have it on kernel TLS, let a proxy as nginx do the TLS");
		return;
	}
	cnf = cnf_asks(q);
	if (cnf != ANSWER_UNKNOWN)
		add_evidence(q->c, q->p->cnf_path,
			     cnf == ANSWER_YES ?
			     "Options = KTLS is set for all programs that read it" :
			     "Options = KTLS is not set");
	if (!conf && alone && cnf == ANSWER_NO && is_tls(q) &&
	    program_has(q->h, TRAIT_OPTIONS) == ANSWER_NO) {
		add_evidence(q->c, from,
			     "no file but libssl names a function that sets options of OpenSSL");
		never(q, "option-not-set",
		      "neither the program nor openssl.cnf tells OpenSSL to ask");
		advise(q->f, "set Options = KTLS in the section system_default of %s, and start the program again",
		       q->p->cnf_path);
		return;
	}
	if (q->c->silent) {
		is_pending(q);
		return;
	}
	not_known(q, q->proven ? "the program did not ask for it" :
		  "whether the program asked for it is not known");
	may_be_refused(q);
	if (!alone)
		add_remaining(q->f, "library-without-ktls",
			      "it is done by another library of the process, which does not know kernel TLS");
	if (conf || cnf != ANSWER_YES)
		may_be_option(q);
	if (!conf)
		may_be_own_io(q);
	may_be_ineligible(q);
	if (old || q->direction == KTLS_DIRECTION_TX)
		may_be_cut(q);
	if (old)
		may_be_old_openssl(q, conf);
	may_be_pending(q);
	may_be_no_tls(q);
	if (conf && *conf->next)
		advise(q->f, "%s", conf->next);
	else if (q->c->ulp == ULP_MPTCP)
		advise(q->f, "to have it on kernel TLS, both ends have to use plain TCP first");
	else if (!q->proven)
		advise(q->f, q->c->space->has_module ?
		       "connect anew, and ask again" :
		       "type: modprobe ktls; then connect anew, and ask again");
}

static void judge_holder(const struct question_why *q)
{
	const struct server_conf *conf = find_conf(q);
	const struct tls_library *candidate = NULL;
	const struct fact *fact;
	size_t able;
	char from[64];

	if (!q->p || q->p->error) {
		not_known(q, q->p && q->p->error == EFBIG ?
			  "what the process does TLS with is not known, as it maps more files than are looked at" :
			  "what the process does TLS with is hidden; try it as root");
		may_be(q);
		return;
	}
	if (q->c->settled[!q->direction]) {
		judge_other_way(q, conf);
		if (q->p->libraries_count == 1)
			cite_library(q, &q->p->libraries[0]);
		return;
	}
	if (q->proven && q->c->ulp == ULP_TLS && !q->p->libraries_count) {
		never(q, "no-key",
		      "TLS is attached to the socket, but the program gave the kernel no key");
		return;
	}
	if (conf)
		add_evidence(q->c, *conf->from ? conf->from : "configuration",
			     "%s", conf->text);
	if (conf && conf->asks == ANSWER_NO) {
		if (q->p->libraries_count)
			judge_libraries(q, &candidate, &able);
		if (conf->outgoing && strcmp(conf->reason, "not-tls")) {
			never_if_tls(q, conf->reason, conf->text, conf->next);
			return;
		}
		never(q, conf->reason, "%s", conf->text);
		if (*conf->next)
			advise(q->f, "%s", conf->next);
		return;
	}
	fact = find_fact(q->h);
	if (fact) {
		add_evidence(q->c, from_file(from, q, "exe"), "%s", q->h->exe);
		never_if_tls(q, fact->reason, fact->text,
			     "no setting changes that; to have it on kernel TLS, let another program do the TLS, as nginx");
		return;
	}
	if (!q->p->libraries_count || q->p->runtime == RUNTIME_JAVA) {
		judge_without_library(q);
		return;
	}
	if (judge_libraries(q, &candidate, &able))
		return;
	if (able == 1 && candidate->kind == LIBRARY_OPENSSL) {
		judge_openssl(q, conf, q->p->libraries_count == 1);
		return;
	}
	not_known(q, "which of its TLS libraries has the connection, and whether it asks, is not known");
	add_remaining(q->f, "library-without-ktls",
		      "its library does not know kernel TLS");
	may_be(q);
}

/* Different programs may have one socket: what they do not agree on is open. */
static void merge(const struct question_why *q, const struct finding *other)
{
	struct finding first = { 0 };
	size_t i;

	if (q->f->verdict == other->verdict && q->f->reason && other->reason &&
	    !strcmp(q->f->reason, other->reason))
		return;
	copy_finding(&first, q->f);
	not_known(q, "several programs have the socket open, and which of them does the TLS is not known");
	if (strcmp(first.reason, "unknown"))
		add_remaining(q->f, first.reason, "%s", first.text);
	if (strcmp(other->reason, "unknown"))
		add_remaining(q->f, other->reason, "%s", other->text);
	for (i = 0; i < first.remaining_count; i++)
		add_remaining(q->f, first.remaining[i].reason, "%s",
			      first.remaining[i].text);
	for (i = 0; i < other->remaining_count; i++)
		add_remaining(q->f, other->remaining[i].reason, "%s",
			      other->remaining[i].text);
	free_finding(&first);
}

void judge_program(struct connection *c, int direction, bool proven)
{
	struct question_why q = { .c = c, .direction = direction,
				  .proven = proven,
				  .f = &c->finding[direction] };
	struct finding other = { 0 };
	size_t i;

	if (!c->space->sees_all &&
	    !(c->space->has_module && c->uid == geteuid())) {
		conclude(q.f, VERDICT_UNKNOWN, "unknown",
			 "whether another user's connection is on kernel TLS is for root to see");
		advise(q.f, "try it as root");
		may_be(&q);
		return;
	}
	if (!c->holders_count) {
		not_known(&q, "no process that may be seen has the socket open; the kernel has some of its own, as those of NFS");
		may_be(&q);
		return;
	}
	for (i = 0; i < c->holders_count; i++) {
		/* Workers of a server are. */
		if (i && is_alike(c->holders[i], c->holders[0]))
			continue;
		q.h = c->holders[i];
		q.p = find_program(q.h);
		q.f = i ? &other : &c->finding[direction];
		judge_holder(&q);
		if (!i)
			continue;
		q.f = &c->finding[direction];
		merge(&q, &other);
		free_finding(&other);
	}
	for (i = 0; i < c->holders_count; i++) {
		if (is_there(c->holders[i]))
			continue;
		not_known(&q, "a process that had it open has ended, or executed another program, while it was looked at");
		may_be(&q);
		advise(q.f, "ask again");
		return;
	}
}
