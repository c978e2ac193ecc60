/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The keys of session tickets: all workers have the same, so that each takes the
 * tickets of the others.
 */
#ifndef TICKET_KEYS_H
#define TICKET_KEYS_H

#include "message.h"

/*
 * Of now: to encrypt with, the next one, which all know before one of them uses
 * it, and the last one, from the second rotation on.
 */
const struct message_ticket_keys *ticket_keys(void);
void ticket_keys_rotate(void);
/* For processes that are not to have them. */
void ticket_keys_forget(void);

#endif /* TICKET_KEYS_H */
