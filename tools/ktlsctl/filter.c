// SPDX-License-Identifier: GPL-2.0-or-later
/* Which sockets: "dport 443 cipher aes-gcm-128". */
#include <string.h>

#include "ktlsctl.h"

const char filter_help[] =
	"FILTER: all of these must hold\n"
	"  port N            either end's port\n"
	"  sport N           port of this end\n"
	"  dport N           port of the other end\n"
	"  tx | rx           this direction is on kernel TLS; mode, version and\n"
	"                    cipher are about it alone\n"
	"  mode MODE         sw, hw or none\n"
	"  version VERSION   1.2 or 1.3\n"
	"  cipher CIPHER     aes-gcm-128, aes-gcm-256, aes-ccm-128,\n"
	"                    chacha20-poly1305, sm4-gcm, sm4-ccm, aria-gcm-128,\n"
	"                    aria-gcm-256\n"
	"  pid N             process that installed the key\n"
	"  uid USER          owner of the socket, by name or number\n"
	"  cgroup PATH       cgroup (v2) that the socket was made in, but not\n"
	"                    its children: /system.slice/nginx.service\n";

enum status parse_filter(int argc, char **argv, struct ktls_filter *f)
{
	struct wrong w;
	bool good = true;
	uint32_t bit;
	int i;

	*f = (struct ktls_filter){ 0 };
	for (i = 0; i < argc; i++) {
		const char *key = argv[i];
		const char *word = i + 1 < argc ? argv[i + 1] : NULL;

		if (!strcmp(key, "tx") || !strcmp(key, "rx")) {
			if (f->match & KTLS_MATCH(DIRECTION))
				return error(STATUS_USAGE,
					     "tx and rx cannot be asked for at once");
			f->match |= KTLS_MATCH(DIRECTION);
			f->direction = *key == 't' ? KTLS_DIRECTION_TX :
						     KTLS_DIRECTION_RX;
			continue;
		}
		if (!strcmp(key, "port"))
			bit = KTLS_MATCH(PORT);
		else if (!strcmp(key, "sport"))
			bit = KTLS_MATCH(LOCAL_PORT);
		else if (!strcmp(key, "dport"))
			bit = KTLS_MATCH(REMOTE_PORT);
		else if (!strcmp(key, "mode"))
			bit = KTLS_MATCH(MODE);
		else if (!strcmp(key, "version"))
			bit = KTLS_MATCH(VERSION);
		else if (!strcmp(key, "cipher"))
			bit = KTLS_MATCH(CIPHER);
		else if (!strcmp(key, "pid"))
			bit = KTLS_MATCH(PID);
		else if (!strcmp(key, "uid"))
			bit = KTLS_MATCH(UID);
		else if (!strcmp(key, "cgroup"))
			bit = KTLS_MATCH(CGROUP_ID);
		else
			return error(STATUS_USAGE,
				     "\"%s\" is no filter; filters are port, sport, dport, tx, rx, mode, version, cipher, pid, uid and cgroup",
				     key);
		if (f->match & bit)
			return error(STATUS_USAGE, "%s is given twice", key);
		if (!word)
			return error(STATUS_USAGE, "%s wants a value", key);
		f->match |= bit;
		i++;

		switch (bit) {
		case KTLS_MATCH(PORT):
			good = parse_port(&w, key, word, &f->port);
			break;
		case KTLS_MATCH(LOCAL_PORT):
			good = parse_port(&w, key, word, &f->local_port);
			break;
		case KTLS_MATCH(REMOTE_PORT):
			good = parse_port(&w, key, word, &f->remote_port);
			break;
		case KTLS_MATCH(MODE):
			good = parse_mode(&w, word, true, &f->mode);
			break;
		case KTLS_MATCH(VERSION):
			good = parse_version(&w, word, &f->version);
			break;
		case KTLS_MATCH(CIPHER):
			good = parse_cipher(&w, word, &f->cipher);
			break;
		case KTLS_MATCH(PID):
			good = parse_pid(&w, word, &f->pid);
			break;
		case KTLS_MATCH(UID):
			good = parse_user(&w, word, &f->uid);
			break;
		case KTLS_MATCH(CGROUP_ID):
			good = parse_cgroup(&w, word, &f->cgroup_id);
			break;
		}
		if (!good)
			return error(STATUS_USAGE, "%s", w.text);
	}
	return STATUS_OK;
}
