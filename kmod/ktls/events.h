/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _KTLS_EVENTS_H
#define _KTLS_EVENTS_H

#include <linux/bits.h>
#include <linux/types.h>

#include <uapi/linux/ktls.h>

struct ktls_net;
struct ktls_socket;

/* Bits of &ktls_socket.events. Those of one kind stand in the order of
 * &enum ktls_direction.
 */
enum ktls_event {
	KTLS_EVENT_INSTALL_TX,
	KTLS_EVENT_INSTALL_RX,
	KTLS_EVENT_REKEY_TX,
	KTLS_EVENT_REKEY_RX,
	KTLS_EVENT_ERROR_TX,
	KTLS_EVENT_ERROR_RX,
	KTLS_EVENT_CLOSE,
	KTLS_EVENTS,
};

void ktls_events_mark(struct ktls_socket *ks, enum ktls_event event);
void ktls_events_send(struct ktls_socket *ks);
void ktls_events_kick(struct ktls_net *kn);
void ktls_events_queue(struct ktls_socket *ks, enum ktls_event event);
void ktls_events_stop(void);

void ktls_events_net_init(struct ktls_net *kn);
void ktls_events_net_exit(struct ktls_net *kn);
int ktls_events_init(void);
void ktls_events_exit(void);

#endif /* _KTLS_EVENTS_H */
