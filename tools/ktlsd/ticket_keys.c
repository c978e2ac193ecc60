// SPDX-License-Identifier: GPL-2.0-or-later
/* The keys of session tickets. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "ktlsd.h"
#include "ticket_keys.h"

static struct message_ticket_keys now;

static void make(struct ticket_key *key)
{
	/* So few bytes come whole, or not at all. */
	while (getrandom(key, sizeof(*key), 0) != sizeof(*key)) {
		if (errno == EINTR)
			continue;
		log_line(LOG_ERR, "no random bytes from the kernel: %s", strerror(errno));
		exit(1);
	}
}

const struct message_ticket_keys *ticket_keys(void)
{
	if (!now.count) {
		make(&now.keys[0]);
		make(&now.keys[1]);
		now.count = 2;
	}
	return &now;
}

void ticket_keys_rotate(void)
{
	ticket_keys();
	now.keys[2] = now.keys[0];
	now.keys[0] = now.keys[1];
	make(&now.keys[1]);
	now.count = 3;
}

void ticket_keys_forget(void)
{
	explicit_bzero(&now, sizeof(now));
}
