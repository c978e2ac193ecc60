/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _KTLS_LOCK_H
#define _KTLS_LOCK_H

#include <linux/types.h>

struct sock;

bool ktls_lock_sock(struct sock *sk, unsigned long timeout);

bool ktls_look(struct sock *sk, unsigned long timeout,
	       void (*look)(struct sock *sk, void *arg), void *arg);

#endif /* _KTLS_LOCK_H */
