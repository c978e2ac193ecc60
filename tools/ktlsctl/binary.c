// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Files that processes have mapped to execute, searched for a few words.  They
 * may be anybody's: they are read, never run from here.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "binary.h"

#define CHUNK (1u << 20)
/* No needle is longer; that much of a chunk is looked at again. */
#define OVERLAP 64
#define SIZE_MAX_READ (1ull << 30)
#define MAPPINGS_MAX 4096

struct needle {
	enum trait trait;
	const char *bytes;
	size_t len;
};

#define NEEDLE(trait, bytes) { trait, bytes, sizeof(bytes) - 1 }

static const struct needle needles[] = {
	/* A BIO of another kind does not know kernel TLS. */
	NEEDLE(TRAIT_SOCKET_BIO, "SSL_set_fd"),
	NEEDLE(TRAIT_SOCKET_BIO, "SSL_set_rfd"),
	NEEDLE(TRAIT_SOCKET_BIO, "SSL_set_wfd"),
	NEEDLE(TRAIT_SOCKET_BIO, "BIO_new_socket"),
	NEEDLE(TRAIT_SOCKET_BIO, "BIO_s_socket"),
	NEEDLE(TRAIT_SOCKET_BIO, "BIO_new_connect"),
	NEEDLE(TRAIT_SOCKET_BIO, "BIO_s_connect"),
	NEEDLE(TRAIT_SOCKET_BIO, "BIO_new_accept"),
	NEEDLE(TRAIT_SOCKET_BIO, "BIO_s_accept"),
	NEEDLE(TRAIT_SOCKET_BIO, "_ssl_connect"),
	NEEDLE(TRAIT_OPTIONS, "SSL_CTX_set_options"),
	NEEDLE(TRAIT_OPTIONS, "SSL_set_options"),
	NEEDLE(TRAIT_OPTIONS, "SSL_CONF_cmd"),
	NEEDLE(TRAIT_OPTIONS, "SSL_CTX_config"),
	NEEDLE(TRAIT_OPTIONS, "SSL_config"),
	/* Of key schedules: RFC 8446, 7.1, and RFC 5246, 6.3. */
	NEEDLE(TRAIT_TLS, "ap traffic"),
	NEEDLE(TRAIT_TLS, "key expansion"),
	NEEDLE(TRAIT_RECVMSG, "recvmsg"),
	NEEDLE(TRAIT_GO, "\xff Go buildinf:"),
	NEEDLE(TRAIT_BORINGSSL, "BoringSSL"),
	NEEDLE(TRAIT_OPENSSL, "OpenSSL 3."),
	NEEDLE(TRAIT_OPENSSL, "OpenSSL 4."),
};

static struct binary *binaries;

static struct binary *find_binary(const struct mapped *file)
{
	struct binary *b;

	for (b = binaries; b; b = b->next)
		if (b->inode == file->inode && b->major == file->major &&
		    b->minor == file->minor)
			return b;
	b = calloc(1, sizeof(*b));
	if (!b)
		return NULL;
	b->major = file->major;
	b->minor = file->minor;
	b->inode = file->inode;
	b->next = binaries;
	binaries = b;
	return b;
}

void free_binaries(void)
{
	struct binary *b;

	while ((b = binaries)) {
		binaries = b->next;
		free(b);
	}
}

bool same_file(const struct mapped *a, const struct mapped *b)
{
	return a->inode == b->inode && a->major == b->major &&
	       a->minor == b->minor;
}

void parse_mappings(const char *text, struct mappings *m)
{
	struct mapping mapping, *list;
	const char *end;
	size_t i;

	*m = (struct mappings){ 0 };
	for (; *text; text = *end ? end + 1 : end) {
		end = text + strcspn(text, "\n");
		memset(&mapping, 0, sizeof(mapping));
		if (!parse_map(text, end, &mapping.file) ||
		    !mapping.file.executable)
			continue;
		for (i = 0; i < m->count; i++)
			if (same_file(&m->list[i].file, &mapping.file))
				break;
		if (i < m->count)
			continue;
		list = m->count < MAPPINGS_MAX ?
		       reallocarray(m->list, m->count + 1, sizeof(*list)) : NULL;
		if (!list) {
			m->incomplete = true;
			return;
		}
		m->list = list;
		m->list[m->count++] = mapping;
	}
}

int read_mappings(unsigned int pid, struct mappings *m)
{
	char path[64], *text;
	size_t size;

	*m = (struct mappings){ 0 };
	snprintf(path, sizeof(path), "/proc/%u/maps", pid);
	text = read_bytes(path, &size);
	if (!text)
		return -errno;
	parse_mappings(text, m);
	/* There is more than was read. */
	m->incomplete |= size && text[size - 1] != '\n';
	free(text);
	/* What is not there cannot be said of a part. */
	if (m->incomplete)
		return -EFBIG;
	/* Kernel threads have none, and those that ended. */
	return m->count ? 0 : -ENOENT;
}

void free_mappings(struct mappings *m)
{
	free(m->list);
	*m = (struct mappings){ 0 };
}

const char *mapping_name(const struct mapping *m)
{
	const char *slash = strrchr(m->file.path, '/');

	return slash ? slash + 1 : m->file.path;
}

/* Whatever the path leads to, it is to be a file, and to be the one mapped. */
static int open_file(const char *path, const struct mapping *same)
{
	struct stat st;
	int fd;

	fd = open_regular(open(path, O_PATH | O_CLOEXEC));
	if (fd < 0)
		return -1;
	if (!fstat(fd, &st) &&
	    (!same || (st.st_ino == same->file.inode &&
		       major(st.st_dev) == same->file.major &&
		       minor(st.st_dev) == same->file.minor)))
		return fd;
	close(fd);
	errno = ESTALE;
	return -1;
}

int open_mapping(unsigned int pid, const struct mapping *m)
{
	char path[512];
	int fd;

	/* For those who may, it is a link to the file itself. */
	snprintf(path, sizeof(path), "/proc/%u/map_files/%s", pid,
		 m->file.range);
	fd = open_file(path, NULL);
	if (fd >= 0 || m->file.deleted)
		return fd;
	snprintf(path, sizeof(path), "/proc/%u/root%s", pid, m->file.path);
	return open_file(path, m);
}

static void search(struct binary *b, enum trait trait, const char *text,
		   size_t len)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(needles); i++)
		if (needles[i].trait == trait &&
		    memmem(text, len, needles[i].bytes, needles[i].len))
			b->traits |= 1u << trait;
}

static void look_for(struct binary *b, unsigned int pid,
		     const struct mapping *m, enum trait trait)
{
	uint64_t done = 0;
	size_t kept = 0;
	char *text;
	ssize_t n;
	int fd;

	b->looked_for |= 1u << trait;
	fd = open_mapping(pid, m);
	text = fd >= 0 ? malloc(OVERLAP + CHUNK) : NULL;
	if (!text) {
		b->unreadable = true;
		if (fd >= 0)
			close(fd);
		return;
	}
	while (!(b->traits & 1u << trait)) {
		n = read(fd, text + kept, CHUNK);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 || done > SIZE_MAX_READ)
			b->unreadable = true;
		if (n <= 0 || b->unreadable)
			break;
		done += n;
		search(b, trait, text, kept + n);
		n += kept;
		kept = n < OVERLAP ? n : OVERLAP;
		memmove(text, text + n - kept, kept);
	}
	free(text);
	close(fd);
}

enum answer has_trait(unsigned int pid, struct mapping *m, enum trait trait)
{
	struct binary *b = m->binary ?: find_binary(&m->file);

	m->binary = b;
	if (!b)
		return ANSWER_UNKNOWN;
	if (!(b->looked_for & 1u << trait))
		look_for(b, pid, m, trait);
	return b->traits & 1u << trait ? ANSWER_YES :
	       b->unreadable ? ANSWER_UNKNOWN : ANSWER_NO;
}
