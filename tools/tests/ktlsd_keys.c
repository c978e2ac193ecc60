// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The key process of ktlsd, and the keys that are in it: messages, certificates from
 * files, how they are renewed, what is signed, and TLS with such keys.
 */
#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../ktlsd/identity.h"
#include "../ktlsd/keys.h"
#include "../ktlsd/ktlsd.h"
#include "../ktlsd/message.h"
#include "../ktlsd/remote_key.h"
#include "../ktlsd/signable.h"
#include "../ktlsd/watch.h"
#include "tap.h"

/* Where the files are. */
static char place[] = "/tmp/ktlsd-keys-XXXXXX";

/* A name in it; good for some more calls. */
__attribute__((format(printf, 1, 2)))
static const char *at(const char *format, ...)
{
	static char paths[8][256];
	static int next;
	char *path = paths[next++ % 8];
	va_list ap;
	int n;

	n = snprintf(path, 256, "%s/", place);
	va_start(ap, format);
	vsnprintf(path + n, 256 - n, format, ap);
	va_end(ap);
	return path;
}

static void must(bool good, const char *what)
{
	if (good)
		return;
	printf("Bail out! %s: %s\n", what, strerror(errno));
	ERR_print_errors_fp(stderr);
	exit(1);
}

static void sleep_ms(unsigned int ms)
{
	usleep(ms * 1000);
}

/* Messages. */

static bool round_trip(int ends[2], size_t len, int *fds, size_t count)
{
	unsigned char *body = malloc(len ?: 1);
	struct message m;
	bool same;
	size_t i;

	for (i = 0; i < len; i++)
		body[i] = i * 7;
	same = !message_send(ends[0], MESSAGE_IDENTITY, body, len, fds, count) &&
	       message_receive(ends[1], &m) == 1 &&
	       m.type == MESSAGE_IDENTITY && m.len == len &&
	       !memcmp(m.body, body, len) && !((uintptr_t)m.body % 8) &&
	       m.fds_count == count;
	for (i = 0; same && i < MESSAGE_FDS; i++) {
		if (i < count)
			same = m.fds[i] >= 0 &&
			       fcntl(m.fds[i], F_GETFD) == FD_CLOEXEC;
		else
			same = m.fds[i] == -1;
	}
	if (same)
		message_close_fds(&m);
	free(body);
	return same && m.fds_count == 0 && m.fds[0] == -1;
}

static size_t count_fds(void)
{
	size_t n = 0;
	int fd;

	for (fd = 0; fd < 256; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

static void send_raw(int fd, const void *data, size_t len, int *fds, size_t count)
{
	char control[CMSG_SPACE(8 * sizeof(int))] = {};
	struct iovec iov = { .iov_base = (void *)data, .iov_len = len };
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = count ? control : NULL,
		.msg_controllen = count ? CMSG_SPACE(count * sizeof(int)) : 0,
	};
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);

	if (count) {
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(count * sizeof(int));
		memcpy(CMSG_DATA(c), fds, count * sizeof(int));
	}
	must(sendmsg(fd, &msg, 0) == (ssize_t)len, "sendmsg");
}

static void test_messages(void)
{
	static unsigned char longer[8 + MESSAGE_MAX + 1];
	uint32_t header[2] = { MESSAGE_WORKER, 0 };
	int fds[8] = { 0, 1, 2, 0, 1, 2, 0, 1 }, ends[2], n;
	struct message m;
	size_t before;

	must(!message_pair(ends), "message_pair");
	ok(round_trip(ends, sizeof(struct message_identity), NULL, 0) &&
	   round_trip(ends, MESSAGE_MAX, NULL, 0),
	   "short and long messages arrive whole");
	before = count_fds();
	ok(round_trip(ends, 100, fds, 1) && round_trip(ends, 100, fds, 4) &&
	   count_fds() == before, "descriptors come along, and are closed");
	ok(message_send(ends[0], MESSAGE_READY, NULL, 0, NULL, 0) == 0 &&
	   message_receive(ends[1], &m) == 1 && m.type == MESSAGE_READY && !m.len,
	   "a message need not have a body");
	ok(message_send(ends[0], MESSAGE_READY, longer, MESSAGE_MAX + 1, NULL,
			0) == -EMSGSIZE &&
	   message_send(ends[0], MESSAGE_READY, NULL, 0, fds, 5) == -EMSGSIZE,
	   "what is too much is not sent");

	send_raw(ends[0], header, sizeof(header), NULL, 0);
	ok(message_receive(ends[1], &m) == -EBADMSG, "a short body is refused");
	send_raw(ends[0], "abc", 3, fds, 1);
	ok(message_receive(ends[1], &m) == -EBADMSG && count_fds() == before,
	   "half a header is refused, its descriptor closed");
	header[0] = 9999;
	send_raw(ends[0], header, sizeof(header), NULL, 0);
	ok(message_receive(ends[1], &m) == -EBADMSG,
	   "an unknown type is refused");
	header[0] = MESSAGE_READY;
	header[1] = 4;
	send_raw(ends[0], header, sizeof(header), NULL, 0);
	ok(message_receive(ends[1], &m) == -EBADMSG, "a wrong length is refused");
	header[1] = MESSAGE_MAX + 1;
	memcpy(longer, header, sizeof(header));
	send_raw(ends[0], longer, sizeof(longer), NULL, 0);
	ok(message_receive(ends[1], &m) == -EBADMSG,
	   "one that is too long is refused");
	header[1] = 0;
	send_raw(ends[0], header, sizeof(header), fds, 8);
	ok(message_receive(ends[1], &m) == -EBADMSG && count_fds() == before,
	   "too many descriptors are refused, and closed");

	fcntl(ends[0], F_SETFL, O_NONBLOCK);
	fcntl(ends[1], F_SETFL, O_NONBLOCK);
	ok(message_receive(ends[1], &m) == -EAGAIN, "there is none to receive");
	for (n = 0; n < 100000; n++) {
		if (message_send(ends[0], MESSAGE_IDENTITY, longer, 4096, NULL, 0))
			break;
	}
	ok(n > 1 && message_send(ends[0], MESSAGE_IDENTITY, longer, 4096, NULL,
				 0) == -EAGAIN, "a slow receiver is -EAGAIN");
	close(ends[1]);
	ok(message_send(ends[0], MESSAGE_READY, NULL, 0, NULL, 0) == -EPIPE,
	   "a receiver that is gone is -EPIPE");
	ok(message_receive(ends[0], &m) == 0,
	   "a sender that is gone is the end, whatever it left unread");
	close(ends[0]);
}

/* Certificates. */

static EVP_PKEY *new_key(const char *kind)
{
	EVP_PKEY *key = NULL;

	if (!strncmp(kind, "RSA", 3))
		key = EVP_RSA_gen(atoi(kind + 3));
	else if (!strncmp(kind, "ED", 2))
		key = EVP_PKEY_Q_keygen(NULL, NULL, kind);
	else
		key = EVP_PKEY_Q_keygen(NULL, NULL, "EC", kind);
	must(key, kind);
	return key;
}

static const EVP_MD *digest_for(EVP_PKEY *key)
{
	int id = EVP_PKEY_get_base_id(key);

	return id == EVP_PKEY_ED25519 || id == EVP_PKEY_ED448 ? NULL :
								EVP_sha256();
}

/* From and until are seconds from now. */
static X509 *new_certificate(const char *name, EVP_PKEY *key, const char *issuer,
			     EVP_PKEY *issuer_key, bool ca, long from, long until)
{
	static long serial = 0x1234;
	X509 *x = X509_new();
	X509_NAME *n = X509_NAME_new();
	X509_EXTENSION *e;

	X509_set_version(x, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(x), serial++);
	X509_gmtime_adj(X509_getm_notBefore(x), from);
	X509_gmtime_adj(X509_getm_notAfter(x), until);
	X509_NAME_add_entry_by_txt(n, "CN", MBSTRING_UTF8,
				   (const unsigned char *)name, -1, -1, 0);
	X509_set_subject_name(x, n);
	X509_NAME_free(n);
	n = X509_NAME_new();
	X509_NAME_add_entry_by_txt(n, "CN", MBSTRING_UTF8,
				   (const unsigned char *)issuer, -1, -1, 0);
	X509_set_issuer_name(x, n);
	X509_NAME_free(n);
	X509_set_pubkey(x, key);
	e = X509V3_EXT_conf_nid(NULL, NULL, NID_basic_constraints,
				ca ? "critical,CA:TRUE" : "CA:FALSE");
	X509_add_ext(x, e, -1);
	X509_EXTENSION_free(e);
	must(X509_sign(x, issuer_key, digest_for(issuer_key)), "X509_sign");
	return x;
}

/* Certificates, up to a %NULL, and then the key if there is one. */
static void write_pem(const char *path, EVP_PKEY *key, X509 *first, ...)
{
	FILE *f = fopen(path, "w");
	va_list ap;
	X509 *x;

	must(f, path);
	va_start(ap, first);
	for (x = first; x; x = va_arg(ap, X509 *))
		PEM_write_X509(f, x);
	va_end(ap);
	if (key)
		PEM_write_PrivateKey(f, key, NULL, NULL, 0, NULL, NULL);
	fclose(f);
}

static void write_text(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");

	must(f, path);
	fputs(text, f);
	fclose(f);
}

static void copy_cut(const char *to, const char *from, long len)
{
	static char data[65536];
	FILE *f = fopen(from, "r");
	size_t n;

	must(f, from);
	n = fread(data, 1, sizeof(data), f);
	fclose(f);
	f = fopen(to, "w");
	must(f, to);
	fwrite(data, 1, len < 0 ? n + len : (size_t)len, f);
	fclose(f);
}

#define DAY 86400L

static EVP_PKEY *root_key, *middle_key;
static X509 *root, *middle;

static void make_issuers(void)
{
	root_key = new_key("P-256");
	middle_key = new_key("P-256");
	root = new_certificate("Root", root_key, "Root", root_key, true, -DAY,
			       10 * DAY);
	middle = new_certificate("Middle", middle_key, "Root", root_key, true,
				 -DAY, 10 * DAY);
}

static X509 *issue(EVP_PKEY *key)
{
	return new_certificate("example.org", key, "Middle", middle_key, false,
			       -DAY, 5 * DAY);
}

static void good_identity(const char *kind)
{
	EVP_PKEY *key = new_key(kind);
	X509 *x = issue(key);
	char error[IDENTITY_ERROR] = "";
	struct identity *one, *two;

	write_pem(at("chain"), NULL, x, middle, root, NULL);
	write_pem(at("key"), key, NULL);
	write_pem(at("both"), key, x, middle, NULL);
	one = identity_load(at("chain"), at("key"), error);
	two = identity_load(at("both"), at("both"), error);
	ok(one && two && one->certificates == 3 && two->certificates == 2 &&
	   one->serial_len == 2 && one->not_after > time(NULL) + 4 * DAY &&
	   EVP_PKEY_eq(one->key, key) == 1 && !identity_same(one, two) &&
	   identity_same(one, one), "a chain and a key of %s, %s", kind, error);
	identity_free(one);
	identity_free(two);
	X509_free(x);
	EVP_PKEY_free(key);
}

static void bad_identity(const char *chain, const char *key, const char *why)
{
	char error[IDENTITY_ERROR] = "";
	struct identity *id = identity_load(chain, key, error);

	if (!ok(!id && strstr(error, why) && strstr(error, place) &&
		!ERR_peek_error(), "refused: %s", why))
		printf("# %s\n", error);
	identity_free(id);
}

static void test_cuts(const char *from)
{
	char error[IDENTITY_ERROR];
	struct identity *id;
	struct stat st;
	long len;
	int bad = 0;

	/* All but the last line's end. */
	stat(from, &st);
	for (len = 0; len < st.st_size - 1; len++) {
		copy_cut(at("cut"), from, len);
		*error = '\0';
		id = identity_load(at("cut"), at("cut"), error);
		if (id || !*error) {
			printf("# %ld of %ld bytes: %s\n", len, (long)st.st_size,
			       error);
			bad++;
		}
		identity_free(id);
	}
	ok(!bad, "a file is refused wherever it is cut");
}

static void test_identities(void)
{
	static const char *const kinds[] = {
		"RSA2048", "P-256", "P-384", "P-521", "ED25519", "ED448",
	};
	EVP_PKEY *key = new_key("P-256"), *other = new_key("P-256"), *weak;
	X509 *x = issue(key), *y;
	char text[200];
	FILE *f;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(kinds); i++)
		good_identity(kinds[i]);

	write_pem(at("chain"), NULL, x, middle, root, NULL);
	write_pem(at("key"), key, NULL);
	write_pem(at("both"), key, x, middle, NULL);
	write_pem(at("other"), other, NULL);
	bad_identity(at("chain"), at("other"), "not the one of the certificate");
	bad_identity(at("none"), at("key"), "No such file");
	bad_identity(at("chain"), at("none"), "No such file");
	bad_identity(place, at("key"), "is not a file");
	must(!mkfifo(at("fifo"), 0600), "mkfifo");
	bad_identity(at("fifo"), at("key"), "is not a file");
	write_text(at("empty"), "");
	bad_identity(at("empty"), at("key"), "is empty");
	write_text(at("words"), "no PEM at all\n");
	bad_identity(at("words"), at("key"), "holds no certificate");
	bad_identity(at("key"), at("key"), "holds no certificate");
	bad_identity(at("chain"), at("chain"), "holds no private key");
	must(!truncate(at("words"), IDENTITY_FILE_MAX + 1), "truncate");
	bad_identity(at("words"), at("key"), "is longer than");

	copy_cut(at("cut"), at("chain"), -100);
	bad_identity(at("cut"), at("key"), "half-written");
	copy_cut(at("cut"), at("chain"), 200);
	bad_identity(at("cut"), at("key"), "half-written");
	write_pem(at("cut"), NULL, x, NULL);
	f = fopen(at("cut"), "a");
	fputs("-----BEG", f);
	fclose(f);
	bad_identity(at("cut"), at("key"), "half-written");
	copy_cut(at("cut"), at("key"), 100);
	bad_identity(at("chain"), at("cut"), "half-written");
	test_cuts(at("both"));
	write_text(at("words"),
		   "-----BEGIN CERTIFICATE-----\nMAMCAQA=\n-----END CERTIFICATE-----\n");
	bad_identity(at("words"), at("key"), "certificate 1");

	f = fopen(at("locked"), "w");
	PEM_write_PKCS8PrivateKey(f, key, EVP_aes_128_cbc(), "secret", 6, NULL,
				  NULL);
	fclose(f);
	bad_identity(at("chain"), at("locked"), "is encrypted");

	write_pem(at("chain"), NULL, middle, x, NULL);
	bad_identity(at("chain"), at("key"),
		     "that of certificate 2");
	write_pem(at("chain"), NULL, x, root, middle, NULL);
	bad_identity(at("chain"), at("key"), "issued by number 3, not by number 2");
	write_pem(at("chain"), NULL, x, root, NULL);
	bad_identity(at("chain"), at("key"),
		     "certificate 1 (example.org) is not issued by number 2 (Root)");
	y = new_certificate("Middle", other, "Root", root_key, true, -DAY, DAY);
	write_pem(at("chain"), NULL, x, y, NULL);
	bad_identity(at("chain"), at("key"), "is not issued by number 2");
	X509_free(y);

	y = new_certificate("a", key, "Middle", middle_key, false, -2 * DAY, -DAY);
	write_pem(at("chain"), NULL, y, NULL);
	bad_identity(at("chain"), at("key"), "expired on");
	X509_free(y);
	y = new_certificate("a", key, "Middle", middle_key, false, DAY, 2 * DAY);
	write_pem(at("chain"), NULL, y, NULL);
	bad_identity(at("chain"), at("key"), "not valid before");
	X509_free(y);

	weak = new_key("RSA1024");
	y = issue(weak);
	write_pem(at("weak"), weak, y, NULL);
	bad_identity(at("weak"), at("weak"), "1024 bits");
	X509_free(y);
	EVP_PKEY_free(weak);
	weak = new_key("secp256k1");
	y = issue(weak);
	write_pem(at("weak"), weak, y, NULL);
	bad_identity(at("weak"), at("weak"), "secp256k1");
	X509_free(y);
	EVP_PKEY_free(weak);
	weak = EVP_PKEY_Q_keygen(NULL, NULL, "X25519");
	y = issue(weak);
	write_pem(at("weak"), weak, y, NULL);
	bad_identity(at("weak"), at("weak"), "is of a kind (X25519)");
	X509_free(y);
	EVP_PKEY_free(weak);

	/* A comment in front is what "openssl x509 -text" leaves. */
	snprintf(text, sizeof(text), "cat %s %s >%s", at("words"), at("both"),
		 at("text"));
	write_text(at("words"), "Certificate:\n    Data:\n- - -\n\n");
	must(!system(text), text);
	{
		char error[IDENTITY_ERROR] = "";
		struct identity *id = identity_load(at("text"), at("text"), error);

		ok(id && id->certificates == 2, "text between is skipped %s",
		   error);
		identity_free(id);
	}
	X509_free(x);
	EVP_PKEY_free(key);
	EVP_PKEY_free(other);
}

/* Watching. */

/* Which paths are reported within @ms: a mask of bits. */
static unsigned int changed(struct watch *w, int ms)
{
	uint64_t end = monotonic_ns() + ms * UINT64_C(1000000), now;
	struct pollfd p = { .fd = watch_fd(w), .events = POLLIN };
	unsigned int mask = 0;
	ssize_t n;

	while ((now = monotonic_ns()) < end && !mask) {
		if (poll(&p, 1, (end - now) / 1000000 + 1) <= 0)
			continue;
		while ((n = watch_next(w)) >= 0)
			mask |= 1u << n;
	}
	return mask;
}

static void write_over(const char *path, const char *text)
{
	write_text(at("new"), text);
	must(!rename(at("new"), path), path);
}

static void link_over(const char *target, const char *path)
{
	must(!symlink(target, at("newlink")), path);
	must(!rename(at("newlink"), path), path);
}

/* After each change the next one has to be seen as well: nothing was lost. */
static void test_watch(void)
{
	const struct watch_times quick = { 150, 600, 60000 };
	struct watch *w = watch_new(&quick);
	unsigned int took;
	uint64_t begin;
	char *map;
	int i, fd;

	must(w, "watch_new");
	for (i = 1; i < 4; i++) {
		mkdir(at("v%d", i), 0700);
		write_text(at("v%d/file", i), "text");
		write_text(at("v%d/beside", i), "text");
	}
	mkdir(at("live"), 0700);
	must(!symlink("v1", at("current")), "symlink");
	must(!symlink("../current/file", at("live/file")), "symlink");
	write_text(at("plain"), "text");
	ok(watch_add(w, at("plain")) == 0 && watch_add(w, at("live/file")) == 1 &&
	   watch_add(w, at("later/file")) == 2 && !changed(w, 300),
	   "nothing has changed yet");

	write_text(at("plain"), "in place");
	ok(changed(w, 5000) == 1 && !changed(w, 300), "written in place, once");
	for (i = 0; i < 2; i++) {
		write_over(at("plain"), "over");
		ok(changed(w, 5000) == 1 && !changed(w, 300), "renamed over");
	}
	chmod(at("plain"), 0);
	ok(changed(w, 5000) == 1, "its rights have changed");
	unlink(at("plain"));
	ok(changed(w, 5000) == 1, "removed");
	write_text(at("plain"), "again");
	ok(changed(w, 5000) == 1, "made again");
	write_text(at("plain2"), "another");
	ok(!changed(w, 300), "another file beside it is none of ours");

	write_text(at("v1/file"), "at the end of links");
	ok(changed(w, 5000) == 2, "written behind two links");
	write_text(at("v1/beside"), "another");
	write_text(at("v2/file"), "not yet");
	ok(!changed(w, 300), "what the links do not lead to is none of ours");
	link_over("v2", at("current"));
	ok(changed(w, 5000) == 2, "a link in the middle leads elsewhere");
	write_over(at("v2/file"), "there");
	ok(changed(w, 5000) == 2, "and there it is watched");
	write_text(at("v1/file"), "former");
	ok(!changed(w, 300), "and no longer where it was");
	link_over("../v3/file", at("live/file"));
	ok(changed(w, 5000) == 2, "the link itself leads elsewhere");
	write_text(at("v3/file"), "there");
	ok(changed(w, 5000) == 2, "and there it is watched");

	must(!rename(at("v3"), at("v3-old")) && !rename(at("v2"), at("v3")),
	     "rename");
	ok(changed(w, 5000) == 2, "a directory is swapped, in two steps");
	write_text(at("v3/file"), "there");
	ok(changed(w, 5000) == 2, "and the new one is watched");
	must(!syscall(SYS_renameat2, AT_FDCWD, at("v3"), AT_FDCWD, at("v3-old"),
		      2 /* RENAME_EXCHANGE */), "renameat2");
	ok(changed(w, 5000) == 2, "a directory is swapped, in one");
	write_text(at("v3/file"), "there");
	ok(changed(w, 5000) == 2, "and the new one is watched");
	unlink(at("v3/file"));
	unlink(at("v3/beside"));
	rmdir(at("v3"));
	ok(changed(w, 5000) == 2, "a directory is removed");
	mkdir(at("v3"), 0700);
	sleep_ms(100);
	write_text(at("v3/file"), "there");
	ok(changed(w, 5000) == 2, "and made again");
	changed(w, 300);
	write_text(at("v3/file"), "there");
	ok(changed(w, 5000) == 2, "and watched");
	must(!symlink("loop", at("loop")), "symlink");
	link_over("../loop", at("live/file"));
	ok(changed(w, 5000) == 2, "a loop of links ends");
	link_over("../v3/file", at("live/file"));
	ok(changed(w, 5000) == 2, "and is left again");

	mkdir(at("later"), 0700);
	ok(changed(w, 5000) == 4, "what was not there comes");
	write_text(at("later/file"), "there");
	ok(changed(w, 5000) == 4, "and is watched");

	write_text(at("plain"), "both");
	write_text(at("later/file"), "both");
	ok(changed(w, 5000) == 5 && !changed(w, 300),
	   "two changes are reported together");
	watch_free(w);

	/* Longer than a busy machine lets us wait between two writes. */
	w = watch_new(&(struct watch_times){ 1500, 2000, 60000 });
	must(w, "watch_new");
	watch_add(w, at("plain"));
	begin = monotonic_ns();
	do {
		write_text(at("plain"), "restless");
		i = changed(w, 20);
		took = (monotonic_ns() - begin) / 1000000;
	} while (!i && took < 10000);
	ok(took > 1900 && took < 10000,
	   "without quiet it waits, but not for ever: %u ms", took);
	watch_free(w);

	/* What goes through memory, inotify does not tell of. */
	w = watch_new(&(struct watch_times){ 150, 600, 200 });
	must(w, "watch_new");
	watch_add(w, at("plain"));
	ok(!changed(w, 600), "looking finds nothing");
	fd = open(at("plain"), O_RDWR);
	map = mmap(NULL, 4, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	must(map != MAP_FAILED, "mmap");
	*map = 'B';
	msync(map, 4, MS_SYNC);
	ok(changed(w, 5000) == 1 && !changed(w, 600),
	   "looking finds what no event told");
	munmap(map, 4);
	close(fd);
	watch_free(w);
}

/* What may be signed. */

static size_t put_verify(uint8_t *c, const char *role, size_t hash)
{
	memset(c, ' ', 64);
	sprintf((char *)c + 64, "TLS 1.3, %s CertificateVerify", role);
	memset(c + 98, 0xab, hash);
	return 98 + hash;
}

static size_t put_exchange(uint8_t *c, uint8_t curve, uint8_t len)
{
	memset(c, 0xcd, 68 + len);
	c[64] = 3;
	c[65] = 0;
	c[66] = curve;
	c[67] = len;
	c[68] = 4;
	return 68 + len;
}

static size_t put_handshake(uint8_t *c, const uint8_t *types, size_t count)
{
	size_t i, len = 0;

	for (i = 0; i < count; i++) {
		c[len++] = types[i];
		c[len++] = 0;
		c[len++] = 0;
		c[len++] = 40;
		memset(c + len, 3, 40);
		len += 40;
	}
	return len;
}

static void test_signable(void)
{
	static const char jwt[] =
		"eyJhbGciOiJFUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxIn0";
	static const uint8_t all[] = { 1, 2, 11, 12, 13, 14, 11, 16 };
	static const uint8_t again[] = { 1, 2, 11, 1, 14, 16 };
	static const uint8_t odd[] = { 1, 2, 11, 20, 14, 16 };
	uint8_t c[1024];
	size_t len, i;
	int bad = 0;

	ok(signable(c, put_verify(c, "server", 32)) == SIGNABLE_TLS_1_3 &&
	   signable(c, put_verify(c, "client", 48)) == SIGNABLE_TLS_1_3,
	   "a CertificateVerify of TLS 1.3");
	ok(!signable(c, put_verify(c, "sorver", 32)) &&
	   !signable(c, put_verify(c, "server", 33)) &&
	   !signable(c, put_verify(c, "server", 64)), "and what is nearly one");
	len = put_verify(c, "server", 32);
	c[63] = 0;
	ok(!signable(c, len), "and without its blanks");
	ok(signable(c, put_exchange(c, 23, 65)) == SIGNABLE_TLS_1_2 &&
	   signable(c, put_exchange(c, 24, 97)) == SIGNABLE_TLS_1_2 &&
	   signable(c, put_exchange(c, 25, 133)) == SIGNABLE_TLS_1_2 &&
	   signable(c, put_exchange(c, 28, 129)) == SIGNABLE_TLS_1_2 &&
	   signable(c, put_exchange(c, 29, 32)) == SIGNABLE_TLS_1_2 &&
	   signable(c, put_exchange(c, 30, 56)) == SIGNABLE_TLS_1_2,
	   "a ServerKeyExchange of TLS 1.2");
	ok(!signable(c, put_exchange(c, 23, 64)) &&
	   !signable(c, put_exchange(c, 29, 65)) &&
	   !signable(c, put_exchange(c, 1, 32)) &&
	   !signable(c, put_exchange(c, 29, 32) + 1), "and what is nearly one");
	len = put_exchange(c, 23, 65);
	c[68] = 2;
	ok(!signable(c, len), "and a point in another form");
	len = put_handshake(c, all, sizeof(all));
	ok(signable(c, len) == SIGNABLE_TLS_1_2,
	   "a CertificateVerify of TLS 1.2");
	for (i = 0; i < len; i++)
		bad += signable(c, i) != SIGNABLE_NOT;
	ok(!bad, "and none that is cut");
	ok(!signable(c, put_handshake(c, all + 1, sizeof(all) - 1)) &&
	   !signable(c, put_handshake(c, all, 7)) &&
	   !signable(c, put_handshake(c, again, sizeof(again))) &&
	   !signable(c, put_handshake(c, odd, sizeof(odd))),
	   "and none in another order");
	ok(!signable((const uint8_t *)jwt, strlen(jwt)) && !signable(c, 0) &&
	   !signable((const uint8_t *)"", 1), "a token or nothing");
	memset(c, 'a', sizeof(c));
	for (i = 0; i < sizeof(c); i++)
		bad += signable(c, i) != SIGNABLE_NOT;
	ok(!bad, "a text of any length");
}

/* The key process, seen from a supervisor and workers. */

enum {
	ID_RSA,
	ID_P256,
	ID_P384,
	ID_P521,
	ID_ED25519,
	ID_ED448,
	IDS,
};

static const char *const kinds[IDS] = {
	"RSA2048", "P-256", "P-384", "P-521", "ED25519", "ED448",
};

struct end {
	int sign;
	int identities;
	X509 *certificates[IDS];	/* the latest that came */
	uint32_t generations[IDS];
	size_t count;			/* in each message */
};

static pid_t keys_pid;
static int supervisor;
static struct message_identity_state states[IDS];

/* With another key and another serial. */
static void renew(int id)
{
	EVP_PKEY *key = new_key(kinds[id]);
	X509 *x = issue(key);

	write_pem(at("new"), key, x, middle, NULL);
	must(!rename(at("new"), at("%s.pem", kinds[id])), "rename");
	X509_free(x);
	EVP_PKEY_free(key);
}

static bool readable(int fd, int ms)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, ms) == 1;
}

/* The next message to the supervisor; 0: there is none in time. */
static uint32_t hear(int ms)
{
	const struct message_identity_state *s;
	struct message m;

	if (!readable(supervisor, ms) || message_receive(supervisor, &m) != 1)
		return 0;
	s = m.body;
	if (m.type == MESSAGE_IDENTITY_STATE && s->identity < IDS)
		states[s->identity] = *s;
	return m.type;
}

static void begin_keys(void)
{
	static struct conf_identity identities[IDS];
	static struct conf conf = {
		.identities = identities,
		.identities_count = IDS,
	};
	int ends[2], i;

	for (i = 0; i < IDS; i++) {
		renew(i);
		identities[i].chain = strdup(at("%s.pem", kinds[i]));
		identities[i].key = strdup(identities[i].chain);
	}
	must(!message_pair(ends), "message_pair");
	supervisor = ends[0];
	keys_pid = fork();
	must(keys_pid >= 0, "fork");
	if (!keys_pid) {
		close(ends[0]);
		log_name("keys");
		_exit(keys_run(&conf, ends[1]));
	}
	close(ends[1]);
	for (i = 0; i < IDS; i++) {
		free(identities[i].chain);
		free(identities[i].key);
	}
}

/* @room: of the channel, 0: as it is. */
static void add_end(struct end *e, int room)
{
	struct message_worker worker = { 0 };
	int sign[2], identities[2], fds[2];

	memset(e, 0, sizeof(*e));
	must(!message_pair(sign) && !message_pair(identities), "message_pair");
	if (room)
		setsockopt(identities[1], SOL_SOCKET, SO_SNDBUF, &room,
			   sizeof(room));
	fds[0] = sign[1];
	fds[1] = identities[1];
	must(!message_send(supervisor, MESSAGE_WORKER, &worker, sizeof(worker),
			   fds, 2), "message_send");
	close(sign[1]);
	close(identities[1]);
	e->sign = sign[0];
	e->identities = identities[0];
}

static X509 *first_of(const struct message_identity *m)
{
	const unsigned char *der = m->der + 4;
	uint32_t len;

	memcpy(&len, m->der, sizeof(len));
	return d2i_X509(NULL, &der, len);
}

/* Takes one identity; its number, or -1 if there is none in time. */
static int take_identity(struct end *e, int ms)
{
	const struct message_identity *id;
	struct message m;

	if (!readable(e->identities, ms) ||
	    message_receive(e->identities, &m) != 1 ||
	    m.type != MESSAGE_IDENTITY)
		return -1;
	id = m.body;
	X509_free(e->certificates[id->identity]);
	e->certificates[id->identity] = first_of(id);
	e->generations[id->identity] = id->generation;
	e->count = id->certificates;
	return id->identity;
}

static void drop_end(struct end *e)
{
	int i;

	for (i = 0; i < IDS; i++)
		X509_free(e->certificates[i]);
	close(e->sign);
	close(e->identities);
}

/* The error of an answer, or its positive length. */
static int ask(struct end *e, uint32_t id, uint32_t generation, uint16_t scheme,
	       const void *content, size_t len)
{
	unsigned char buffer[sizeof(struct message_sign) + 1024] = {};
	struct message_sign *s = (struct message_sign *)buffer;
	const struct message_signature *answer;
	struct message m;

	s->identity = id;
	s->generation = generation;
	s->scheme = scheme;
	s->len = len;
	memcpy(s->content, content, len);
	if (message_send(e->sign, MESSAGE_SIGN, s, sizeof(*s) + len, NULL, 0) ||
	    message_receive(e->sign, &m) != 1 || m.type != MESSAGE_SIGNATURE)
		return -EPIPE;
	answer = m.body;
	return answer->error ?: (int)answer->len;
}

static SSL_CTX *new_context(bool server, int version, const char *sigalgs)
{
	SSL_CTX *ctx = SSL_CTX_new(server ? TLS_server_method() :
					    TLS_client_method());

	SSL_CTX_set_min_proto_version(ctx, version);
	SSL_CTX_set_max_proto_version(ctx, version);
	X509_STORE_add_cert(SSL_CTX_get_cert_store(ctx), root);
	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT,
			   NULL);
	/* What the other end may sign with. */
	if (sigalgs)
		must(SSL_CTX_set1_sigalgs_list(ctx, sigalgs), sigalgs);
	return ctx;
}

static bool use(SSL_CTX *ctx, X509 *x, int id, uint32_t generation)
{
	EVP_PKEY *key = remote_key_new(x, id, generation);
	bool good = key && SSL_CTX_use_certificate(ctx, x) == 1 &&
		    SSL_CTX_use_PrivateKey(ctx, key) == 1 &&
		    SSL_CTX_add1_chain_cert(ctx, middle) == 1 &&
		    SSL_CTX_check_private_key(ctx) == 1;

	EVP_PKEY_free(key);
	return good;
}

static bool exchange(SSL *server, SSL *client)
{
	char text[4] = "";
	int i, s = 0, c = 0;

	for (i = 0; i < 20 && (s != 1 || c != 1); i++) {
		c = SSL_do_handshake(client);
		if (c != 1 && SSL_get_error(client, c) != SSL_ERROR_WANT_READ)
			return false;
		s = SSL_do_handshake(server);
		if (s != 1 && SSL_get_error(server, s) != SSL_ERROR_WANT_READ)
			return false;
	}
	return s == 1 && c == 1 && SSL_write(server, "abc", 4) == 4 &&
	       SSL_read(client, text, 4) == 4 && !strcmp(text, "abc") &&
	       SSL_write(client, "def", 4) == 4 &&
	       SSL_read(server, text, 4) == 4 && !strcmp(text, "def");
}

/* Both ends have the key remote; @type: as which each sees the other's signature. */
static bool handshake(X509 *x, int id, uint32_t generation, int version,
		      const char *sigalgs, int type)
{
	SSL_CTX *sctx = new_context(true, version, sigalgs);
	SSL_CTX *cctx = new_context(false, version, sigalgs);
	SSL *server, *client;
	BIO *a, *b;
	int seen = 0;
	bool good;

	good = use(sctx, x, id, generation) && use(cctx, x, id, generation);
	server = SSL_new(sctx);
	client = SSL_new(cctx);
	BIO_new_bio_pair(&a, 0, &b, 0);
	SSL_set_bio(server, a, a);
	SSL_set_bio(client, b, b);
	SSL_set_accept_state(server);
	SSL_set_connect_state(client);
	good = good && exchange(server, client) &&
	       SSL_get_verify_result(client) == X509_V_OK &&
	       SSL_get_verify_result(server) == X509_V_OK &&
	       SSL_get_peer_signature_type_nid(client, &seen) && seen == type &&
	       SSL_get_peer_signature_type_nid(server, &seen) && seen == type;
	SSL_free(server);
	SSL_free(client);
	SSL_CTX_free(sctx);
	SSL_CTX_free(cctx);
	return good;
}

/* For those where it does not matter. */
static bool simple_handshake(X509 *x, int id, uint32_t generation)
{
	bool good = handshake(x, id, generation, TLS1_3_VERSION, NULL,
			      id == ID_RSA ? EVP_PKEY_RSA_PSS :
			      id < ID_ED25519 ? EVP_PKEY_EC :
			      EVP_PKEY_get_id(X509_get0_pubkey(x)));

	ERR_clear_error();
	return good;
}

static void test_handshakes(struct end *e)
{
	static const struct {
		int id;
		int version;
		int type;
		const char *sigalgs;
	} cells[] = {
#define CELL(i, v, t, s) { ID_##i, TLS1_##v##_VERSION, EVP_PKEY_##t, s }
		CELL(RSA, 2, RSA, "RSA+SHA256"),
		CELL(RSA, 2, RSA, "RSA+SHA384"),
		CELL(RSA, 2, RSA, "RSA+SHA512"),
		CELL(RSA, 2, RSA_PSS, "rsa_pss_rsae_sha256"),
		CELL(RSA, 2, RSA_PSS, "rsa_pss_rsae_sha384"),
		CELL(RSA, 2, RSA_PSS, "rsa_pss_rsae_sha512"),
		CELL(RSA, 3, RSA_PSS, "rsa_pss_rsae_sha256"),
		CELL(RSA, 3, RSA_PSS, "rsa_pss_rsae_sha384"),
		CELL(RSA, 3, RSA_PSS, "rsa_pss_rsae_sha512"),
		CELL(P256, 2, EC, "ECDSA+SHA256"),
		CELL(P256, 2, EC, "ECDSA+SHA384"),
		CELL(P256, 3, EC, "ECDSA+SHA256"),
		CELL(P384, 2, EC, "ECDSA+SHA384"),
		CELL(P384, 2, EC, "ECDSA+SHA256"),
		CELL(P384, 3, EC, "ECDSA+SHA384"),
		CELL(P521, 2, EC, "ECDSA+SHA512"),
		CELL(P521, 3, EC, "ECDSA+SHA512"),
		CELL(ED25519, 2, ED25519, "ed25519"),
		CELL(ED25519, 3, ED25519, "ed25519"),
		CELL(ED448, 2, ED448, "ed448"),
		CELL(ED448, 3, ED448, "ed448"),
#undef CELL
	};
	char sigalgs[128];
	size_t i;

	for (i = 0; i < ARRAY_SIZE(cells); i++) {
		/* Issuers sign with the latter. */
		snprintf(sigalgs, sizeof(sigalgs), "%s%s", cells[i].sigalgs,
			 strcmp(cells[i].sigalgs, "ECDSA+SHA256") ?
			 ":ECDSA+SHA256" : "");
		if (!ok(handshake(e->certificates[cells[i].id], cells[i].id, 1,
				  cells[i].version, sigalgs, cells[i].type),
			"TLS 1.%d of both ends with a remote key, %s, %s",
			cells[i].version - TLS1_VERSION, kinds[cells[i].id],
			cells[i].sigalgs))
			ERR_print_errors_fp(stdout);
		ERR_clear_error();
	}
	for (i = 0; i < IDS; i++) {
		ok(handshake(e->certificates[i], i, 1, TLS1_2_VERSION, NULL,
			     i == ID_RSA ? EVP_PKEY_RSA_PSS :
			     i < ID_ED25519 ? EVP_PKEY_EC :
			     EVP_PKEY_get_id(X509_get0_pubkey(e->certificates[i]))) &&
		   simple_handshake(e->certificates[i], i, 1),
		   "%s with what OpenSSL offers by default", kinds[i]);
		ERR_clear_error();
	}
}

static bool key_comes_first(X509 *x, X509 *other, int id)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
	EVP_PKEY *key = remote_key_new(x, id, 1);
	bool good = SSL_CTX_use_PrivateKey(ctx, key) == 1 &&
		    SSL_CTX_use_certificate(ctx, x) == 1 &&
		    SSL_CTX_check_private_key(ctx) == 1 &&
		    SSL_CTX_use_cert_and_key(ctx, x, key, NULL, 1) == 1;

	/* A certificate of another key of the kind drops it. */
	good = good && SSL_CTX_use_certificate(ctx, other) == 1 &&
	       SSL_CTX_check_private_key(ctx) != 1;
	EVP_PKEY_free(key);
	SSL_CTX_free(ctx);
	ERR_clear_error();
	return good;
}

/* In updates, and a copy on the way. */
static bool sign_in_parts(X509 *x, int id, const uint8_t *content, size_t len)
{
	EVP_PKEY *key = remote_key_new(x, id, 1);
	EVP_MD_CTX *ctx = EVP_MD_CTX_new(), *copy = EVP_MD_CTX_new();
	unsigned char signature[512];
	size_t size = sizeof(signature);
	bool good;

	good = EVP_DigestSignInit_ex(ctx, NULL, "SHA256", NULL, NULL, key,
				     NULL) == 1 &&
	       EVP_DigestSignUpdate(ctx, content, 10) == 1 &&
	       EVP_MD_CTX_copy_ex(copy, ctx) == 1 &&
	       EVP_DigestSignUpdate(copy, content + 10, len - 10) == 1 &&
	       EVP_DigestSignFinal(copy, signature, &size) == 1;
	EVP_MD_CTX_reset(ctx);
	good = good &&
	       EVP_DigestVerifyInit_ex(ctx, NULL, "SHA256", NULL, NULL,
				       X509_get0_pubkey(x), NULL) == 1 &&
	       EVP_DigestVerify(ctx, signature, size, content, len) == 1;
	EVP_MD_CTX_free(ctx);
	EVP_MD_CTX_free(copy);
	EVP_PKEY_free(key);
	return good;
}

static bool refuses_digest(X509 *x, int id, const char *digest)
{
	EVP_PKEY *key = remote_key_new(x, id, 1);
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	bool refused = EVP_DigestSignInit_ex(ctx, NULL, digest, NULL, NULL, key,
					     NULL) <= 0;

	EVP_MD_CTX_free(ctx);
	EVP_PKEY_free(key);
	ERR_clear_error();
	return refused;
}

static bool is_apart(X509 *x)
{
	EVP_KEYMGMT *k = EVP_KEYMGMT_fetch(NULL, "RSA", "provider=ktlsd");
	EVP_SIGNATURE *s = EVP_SIGNATURE_fetch(NULL, "ECDSA", "provider=ktlsd");
	EVP_PKEY *key = remote_key_new(x, ID_RSA, 1), *copy = NULL;
	unsigned char *der = NULL;
	BIGNUM *d = NULL;
	bool apart;

	apart = !k && !s && key && !EVP_PKEY_get_bn_param(key, "d", &d) &&
		i2d_PrivateKey(key, &der) <= 0 &&
		EVP_PKEY_eq(key, X509_get0_pubkey(x)) == 1 &&
		EVP_PKEY_eq(X509_get0_pubkey(x), key) == 1 &&
		EVP_PKEY_eq(X509_get0_pubkey(middle), key) != 1 &&
		EVP_PKEY_get_bits(key) == 2048;
	ERR_clear_error();
	EVP_KEYMGMT_free(k);
	EVP_SIGNATURE_free(s);
	EVP_PKEY_free(key);
	EVP_PKEY_free(copy);
	OPENSSL_free(der);
	return apart;
}

static void test_asking(struct end *e)
{
	static const char jwt[] = "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiIxIn0";
	uint8_t c[1024];
	size_t len;

	ok(ask(e, ID_P256, 1, 0x0403, jwt, strlen(jwt)) == -EACCES,
	   "a token is not signed");
	len = put_verify(c, "server", 32);
	ok(ask(e, ID_P256, 1, 0x0403, c, len) > 64 &&
	   ask(e, ID_RSA, 1, 0x0804, c, len) == 256, "what TLS signs is");
	ok(ask(e, ID_RSA, 1, 0x0401, c, len) == -EINVAL &&
	   ask(e, ID_P256, 1, 0x0503, c, len) == -EINVAL &&
	   ask(e, ID_P256, 1, 0x0804, c, len) == -EINVAL &&
	   ask(e, ID_RSA, 1, 0x0201, c, len) == -EINVAL &&
	   ask(e, ID_ED448, 1, 0x0807, c, len) == -EINVAL,
	   "but not with a scheme that TLS 1.3 has not for the key");
	ok(ask(e, ID_P256, 0, 0x0403, c, len) == -ENOENT &&
	   ask(e, ID_P256, 2, 0x0403, c, len) == -ENOENT &&
	   ask(e, IDS, 1, 0x0403, c, len) == -ENOENT &&
	   ask(e, UINT32_MAX, UINT32_MAX, 0x0403, c, len) == -ENOENT,
	   "nor with a key that there is not");
	ok(sign_in_parts(e->certificates[ID_P256], ID_P256, c, len),
	   "it can be signed in parts");
	ok(refuses_digest(e->certificates[ID_RSA], ID_RSA, "SHA1") &&
	   refuses_digest(e->certificates[ID_RSA], ID_RSA, "SHA224") &&
	   refuses_digest(e->certificates[ID_P256], ID_P256, "SHA1") &&
	   refuses_digest(e->certificates[ID_ED25519], ID_ED25519, "SHA256"),
	   "weak and odd digests are refused");
	ok(key_comes_first(e->certificates[ID_P256], middle, ID_P256),
	   "it may be there before its certificate");
	ok(is_apart(e->certificates[ID_RSA]),
	   "a remote key is like its certificate's, and nobody else's");
}

/* Takes identities until there is this one. */
static bool wait_for(struct end *e, int id, uint32_t generation)
{
	int i;

	for (i = 0; i < 100; i++) {
		if (e->generations[id] == generation)
			return true;
		take_identity(e, 200);
	}
	return false;
}

/* Takes states until one fits. */
static bool wait_state(int id, uint32_t generation, const char *error)
{
	int i;

	for (i = 0; i < 100; i++) {
		if (hear(200) == MESSAGE_IDENTITY_STATE &&
		    states[id].generation == generation &&
		    !!*error == !!*states[id].error &&
		    strstr(states[id].error, error))
			return true;
	}
	printf("# generation %u, \"%s\"\n", states[id].generation,
	       states[id].error);
	return false;
}

static bool same_serial(int id, X509 *x)
{
	const ASN1_INTEGER *serial = X509_get0_serialNumber(x);

	return (int)states[id].serial_len == serial->length &&
	       !memcmp(states[id].serial, serial->data, serial->length);
}

static void test_renewal(struct end *e)
{
	X509 *first, *second;
	EVP_PKEY *key;
	uint8_t c[256];
	size_t len;

	first = X509_dup(e->certificates[ID_P256]);
	renew(ID_P256);
	ok(wait_for(e, ID_P256, 2) && wait_state(ID_P256, 2, "") &&
	   same_serial(ID_P256, e->certificates[ID_P256]) &&
	   X509_cmp(first, e->certificates[ID_P256]),
	   "a renewed certificate comes by itself");
	second = X509_dup(e->certificates[ID_P256]);
	ok(simple_handshake(second, ID_P256, 2) &&
	   simple_handshake(first, ID_P256, 1),
	   "its key signs, and the former one still does");
	renew(ID_P256);
	len = put_verify(c, "server", 32);
	ok(wait_for(e, ID_P256, 3) && wait_state(ID_P256, 3, "") &&
	   simple_handshake(e->certificates[ID_P256], ID_P256, 3) &&
	   simple_handshake(second, ID_P256, 2) &&
	   !simple_handshake(first, ID_P256, 1) &&
	   ask(e, ID_P256, 2, 0x0403, c, len) > 0 &&
	   ask(e, ID_P256, 1, 0x0403, c, len) == -ENOENT &&
	   ask(e, ID_P256, 4, 0x0403, c, len) == -ENOENT,
	   "the one before the former is gone");

	copy_cut(at("keep"), at("P-256.pem"), -1);
	key = new_key("P-256");
	write_pem(at("new"), key, e->certificates[ID_P256], NULL);
	must(!rename(at("new"), at("P-256.pem")), "rename");
	ok(wait_state(ID_P256, 3, "not the one of the certificate") &&
	   simple_handshake(e->certificates[ID_P256], ID_P256, 3),
	   "with a wrong key the former certificate stays");
	copy_cut(at("P-256.pem"), at("keep"), 300);
	ok(wait_state(ID_P256, 3, "half-written") &&
	   simple_handshake(e->certificates[ID_P256], ID_P256, 3),
	   "and with half a file");
	unlink(at("P-256.pem"));
	ok(wait_state(ID_P256, 3, "No such file") &&
	   simple_handshake(e->certificates[ID_P256], ID_P256, 3),
	   "and with none");
	must(!rename(at("keep"), at("P-256.pem")), "rename");
	ok(wait_state(ID_P256, 3, "") &&
	   take_identity(e, 100) < 0, "the same again is no new generation");
	renew(ID_P256);
	ok(wait_for(e, ID_P256, 4) && wait_state(ID_P256, 4, "") &&
	   simple_handshake(e->certificates[ID_P256], ID_P256, 4),
	   "and it is renewed once more");
	EVP_PKEY_free(key);
	X509_free(first);
	X509_free(second);
}

static void test_bad_workers(struct end *good)
{
	struct message_sign broken = { .len = 1000 };
	struct end slow, dead, rude;
	struct message m;
	uint8_t c[256];
	size_t len = put_verify(c, "server", 32);
	int i, n;

	add_end(&slow, 1);
	add_end(&dead, 0);
	drop_end(&dead);
	add_end(&rude, 0);
	must(!message_send(rude.sign, MESSAGE_SIGN, &broken, sizeof(broken), NULL,
			   0), "message_send");
	ok(message_receive(rude.sign, &m) == 0,
	   "a worker with a broken request is dropped");
	for (i = 0; i < 3; i++) {
		renew(ID_P384);
		if (!wait_for(good, ID_P384, 2 + i))
			break;
	}
	ok(i == 3 && ask(good, ID_P384, 4, 0x0503, c, len) > 0,
	   "a slow and a dead one do not hold up the others");
	for (n = 0; take_identity(&slow, 2000) >= 0; n++)
		;
	ok(slow.generations[ID_P384] == 4 && slow.generations[ID_ED448] == 1 &&
	   n < IDS + 3, "the slow one gets the latest when it reads, %d", n);
	ok(ask(&slow, ID_P384, 4, 0x0503, c, len) > 0, "and is served");
	drop_end(&slow);
	drop_end(&rude);
}

static void test_keys(void)
{
	uint32_t type = 0;
	struct end e;
	int status = -1, i, n = 0;

	must(remote_key_init(), "remote_key_init");
	begin_keys();
	for (i = 0; i <= IDS && type != MESSAGE_READY; i++)
		type = hear(60000);
	ok(type == MESSAGE_READY && i == IDS + 1 && states[ID_ED448].generation &&
	   !*states[ID_ED448].error, "ready once all states are told");
	add_end(&e, 0);
	for (i = 0; i < IDS; i++)
		n += take_identity(&e, 20000) == i;
	ok(n == IDS && e.count == 2 && e.certificates[ID_RSA] &&
	   same_serial(ID_RSA, e.certificates[ID_RSA]),
	   "a worker gets all certificates with their issuers");
	remote_key_set_channel(e.sign);
	test_asking(&e);
	test_handshakes(&e);
	test_renewal(&e);
	test_bad_workers(&e);
	if (waitpid(keys_pid, &status, WNOHANG))
		printf("# it ended too early, status 0x%x\n", status);
	close(supervisor);
	ok(waitpid(keys_pid, &status, 0) == keys_pid && !status,
	   "it ends with the supervisor");
	ok(!simple_handshake(e.certificates[ID_RSA], ID_RSA, 1) &&
	   !simple_handshake(e.certificates[ID_RSA], ID_RSA, 1),
	   "and without it there is no signature");
	drop_end(&e);
}

/* The sandbox. */

static void try_socket(void)
{
	socket(AF_INET, SOCK_STREAM, 0);
}

static void try_fork(void)
{
	fork();
}

static void try_exec(void)
{
	execl("/bin/true", "true", NULL);
}

static void try_write(void)
{
	open(at("plain"), O_WRONLY);
}

static void try_make(void)
{
	open(at("made"), O_RDONLY | O_CREAT, 0600);
}

static void try_kill(void)
{
	kill(getppid(), 0);
}

static void try_code(void)
{
	mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1,
	     0);
}

static void try_read(void)
{
	char c;
	int fd = open(at("plain"), O_RDONLY);

	if (fd < 0 || read(fd, &c, 1) != 1)
		_exit(1);
}

/* How it ends: its signal, or its status where there is none. */
static int end_of(void (*try)(void))
{
	pid_t pid = fork();
	int status;

	if (!pid) {
		if (!keys_sandbox())
			_exit(2);
		try();
		_exit(0);
	}
	waitpid(pid, &status, 0);
	return WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status);
}

static void test_sandbox(void)
{
	ok(end_of(try_read) == 0, "the sandbox lets files be read");
	ok(end_of(try_socket) == SIGSYS, "but no socket be made");
	ok(end_of(try_fork) == SIGSYS, "no process");
	ok(end_of(try_exec) == SIGSYS, "no program be run");
	ok(end_of(try_write) == SIGSYS && end_of(try_make) == SIGSYS,
	   "no file be written or made");
	ok(end_of(try_kill) == SIGSYS, "no process be killed");
	ok(end_of(try_code) == SIGSYS, "no code be loaded");
}

int main(void)
{
	char command[64];

	tap_begin();
	signal(SIGPIPE, SIG_IGN);
	must(mkdtemp(place), "mkdtemp");
	test_messages();
	make_issuers();
	test_identities();
	test_watch();
	test_signable();
	test_sandbox();
	test_keys();
	X509_free(root);
	X509_free(middle);
	EVP_PKEY_free(root_key);
	EVP_PKEY_free(middle_key);
	snprintf(command, sizeof(command), "rm -r %s", place);
	must(!system(command), command);
	return tap_end();
}
