// SPDX-License-Identifier: LGPL-2.1-or-later
/* The kernel's filter in user space, for what the kernel does not filter. */
#include <stddef.h>

#include "libktls.h"

static bool match_stream(const struct ktls_filter *f,
			 const struct ktls_stream *s)
{
	if (f->match & KTLS_MATCH(MODE) ? s->mode != f->mode :
	    s->mode == KTLS_MODE_NONE)
		return false;
	if (f->match & KTLS_MATCH(VERSION) && s->version != f->version)
		return false;
	if (f->match & KTLS_MATCH(CIPHER) && s->cipher != f->cipher)
		return false;
	return true;
}

bool ktls_filter_match(const struct ktls_filter *f,
		       const struct ktls_socket *s)
{
	const uint32_t about_stream = KTLS_MATCH(DIRECTION) | KTLS_MATCH(MODE) |
				      KTLS_MATCH(VERSION) | KTLS_MATCH(CIPHER);

	if (!f)
		return true;
	if (f->match & KTLS_MATCH(PORT) &&
	    s->local_port != f->port && s->remote_port != f->port)
		return false;
	if (f->match & KTLS_MATCH(LOCAL_PORT) &&
	    s->local_port != f->local_port)
		return false;
	if (f->match & KTLS_MATCH(REMOTE_PORT) &&
	    s->remote_port != f->remote_port)
		return false;
	if (f->match & KTLS_MATCH(UID) && s->uid != f->uid)
		return false;
	if (f->match & KTLS_MATCH(PID) && s->pid != f->pid)
		return false;
	if (f->match & KTLS_MATCH(CGROUP_ID) && s->cgroup_id != f->cgroup_id)
		return false;
	if (!(f->match & about_stream))
		return true;
	if (f->match & KTLS_MATCH(DIRECTION))
		return match_stream(f, f->direction == KTLS_DIRECTION_TX ?
				       &s->tx : &s->rx);
	return match_stream(f, &s->tx) || match_stream(f, &s->rx);
}
