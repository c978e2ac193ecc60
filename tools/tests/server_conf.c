// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What the readers of servers' configurations make of files below a directory:
 *
 *	server_conf SERVER ROOT ADDRESS PORT ARGUMENTS...
 *	server_conf --pid PID ADDRESS PORT
 *	server_conf --mutate ROUNDS SEED SERVER ROOT FILE ADDRESS PORT ARGUMENTS...
 *
 * The first prints "yes|no|unknown REASON", then where that is from, then the
 * sentence, then what to do; OpenSSL's configuration is ROOT/openssl.cnf, if there
 * is one. The second prints the same of a running server. The third changes FILE
 * below ROOT at random before each of ROUNDS readings.
 */
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "../ktlsctl/conf_server.h"

struct options opt;

/* What main.c of ktlsctl has. */
enum status error(enum status status, const char *format, ...)
{
	(void)format;
	return status;
}

struct job {
	const struct conf_kind *kind;
	const char *root;
	const char *addr;
	uint16_t port;
	int argc;
	char **argv;
};

static bool read_cnf(struct conf_files *files, struct openssl_cnf *cnf)
{
	char *text = conf_load_if(files, "/openssl.cnf", NULL);

	if (!text)
		return false;
	free(text);
	read_cnf_file(files, "/openssl.cnf", "", cnf);
	return true;
}

static void run(const struct job *j, struct server_conf *conf)
{
	struct conf_result *r = calloc(1, sizeof(*r));
	struct openssl_cnf cnf;
	bool has_cnf;

	r->files = conf_open_root(j->root, "/cwd");
	r->end.port = j->port;
	r->end.family = strchr(j->addr, ':') ? AF_INET6 : AF_INET;
	inet_pton(r->end.family, j->addr, r->end.addr);
	has_cnf = read_cnf(r->files, &cnf);
	conf_read(j->kind, r, j->argc, j->argv, has_cnf ? &cnf : NULL,
		  UINT64_MAX, conf);
	conf_close(r->files);
	free(r);
}

static char *load(const char *path, size_t *len)
{
	FILE *file = fopen(path, "r");
	char *text = malloc(1 << 20);

	*len = fread(text, 1, 1 << 19, file);
	fclose(file);
	return text;
}

/* Bytes that mean something to one language or the other come often. */
static void mutate(char *text, size_t *len)
{
	static const char often[] = "{}();\"'\\#\n=<>[] \0\377,+$:*";
	unsigned int times = 1 + random() % 8;
	size_t at, n;

	while (times--) {
		at = *len ? random() % *len : 0;
		n = *len - at ? random() % (*len - at) % 64 : 0;
		switch (random() % 5) {
		case 0:
			text[at] = often[random() % sizeof(often)];
			break;
		case 1:
			text[at] = random();
			break;
		case 2:		/* less */
			memmove(text + at, text + at + n, *len - at - n);
			*len -= n;
			break;
		case 3:		/* twice */
			if (*len + n > 1 << 19)
				break;
			memmove(text + at + n, text + at, *len - at);
			*len += n;
			break;
		case 4:		/* an end */
			*len -= n;
			break;
		}
	}
}

static int fuzz(const struct job *j, unsigned long rounds, const char *file)
{
	struct server_conf conf;
	size_t len, n;
	char path[4096], *text, *copy;
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", j->root, file);
	text = load(path, &len);
	copy = malloc(1 << 20);
	while (rounds--) {
		memcpy(copy, text, len);
		n = len;
		mutate(copy, &n);
		f = fopen(path, "w");
		fwrite(copy, 1, n, f);
		fclose(f);
		run(j, &conf);
		if ((conf.asks == ANSWER_NO) != !!conf.reason || !*conf.text) {
			fprintf(stderr, "no reason, or too many: %s\n",
				conf.text);
			return 1;
		}
	}
	f = fopen(path, "w");
	fwrite(text, 1, len, f);
	fclose(f);
	free(text);
	free(copy);
	return 0;
}

static int ask_process(const char *pid, const char *addr, uint16_t port,
		       struct server_conf *conf)
{
	struct process p = { .pid = atoi(pid) };
	uint8_t a[16] = { 0 };
	uint16_t family = strchr(addr, ':') ? AF_INET6 : AF_INET;
	char path[64], *maps;

	snprintf(path, sizeof(path), "/proc/%u/maps", p.pid);
	maps = read_text(path);
	if (maps)
		parse_maps(maps, &p.libssl);
	free(maps);
	inet_pton(family, addr, a);
	return read_server_conf(&p, family, a, port, conf) ? 0 : 2;
}

static int print(const struct server_conf *conf)
{
	printf("%s %s\n%s\n%s\n%s\n", answer_name(conf->asks),
	       conf->reason ?: conf->tx_reason ?: "-", conf->from, conf->text,
	       conf->next);
	return 0;
}

int main(int argc, char **argv)
{
	unsigned long rounds = 0;
	struct server_conf conf;
	const char *file = NULL;
	struct job j;
	int i = 1;

	if (argc < 5)
		return 2;
	if (!strcmp(argv[1], "--pid"))
		return ask_process(argv[2], argv[3], atoi(argv[4]), &conf) ?:
		       print(&conf);
	if (!strcmp(argv[1], "--mutate")) {
		rounds = strtoul(argv[2], NULL, 0);
		srandom(strtoul(argv[3], NULL, 0));
		i = 4;
	}
	j.kind = conf_kind(argv[i++]);
	if (!j.kind)
		return 2;
	j.root = argv[i++];
	if (rounds)
		file = argv[i++];
	j.addr = argv[i++];
	j.port = atoi(argv[i++]);
	j.argc = argc - i;
	j.argv = argv + i;
	if (rounds)
		return fuzz(&j, rounds, file);
	run(&j, &conf);
	return print(&conf);
}
