/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a worker counts. */
#ifndef COUNTERS_H
#define COUNTERS_H

#include <stdint.h>

/* Name, and what it counts. */
#define COUNTERS(X)							\
	X(accepted, "connections that were accepted")			\
	X(open, "connections that are open now")			\
	X(limited, "connections that a limit turned away")		\
	X(handshakes, "handshakes that are under way now")		\
	X(handshakes_done, "handshakes that succeeded")			\
	X(handshakes_resumed, "those of them that resumed a session")	\
	X(handshakes_alerted, "handshakes that the other end ended by an alert") \
	X(handshakes_failed, "handshakes that failed otherwise")	\
	X(handshakes_timeout, "handshakes that took too long")		\
	X(tx_kernel, "connections whose sending the kernel took over")	\
	X(rx_kernel, "connections whose receiving it took over")	\
	X(tx_user, "connections whose sending stayed in user space")	\
	X(rx_user, "connections whose receiving stayed there")		\
	X(refused_kernel, "connections ended as the kernel did not take a key") \
	X(key_updates, "KeyUpdates that were received")			\
	X(rekeys, "keys that the kernel took after the first")		\
	X(backend_failed, "connections whose backend could not be reached") \
	X(closed, "connections that both ends ended properly")		\
	X(truncated, "connections whose TLS end left without close_notify") \
	X(reset, "connections that an end reset")			\
	X(alerted, "connections that the TLS end ended by a fatal alert") \
	X(broken, "connections ended as a record was forged or made no sense") \
	X(rekey_unsupported, "connections ended by a KeyUpdate that this kernel cannot follow") \
	X(rekey_storm, "connections ended for too many KeyUpdates")	\
	X(idle, "connections ended as nothing moved any more")		\
	X(drained, "connections ended as the worker had to")

struct counters {
#define COUNTER_FIELD(name, doc) uint64_t name;
	COUNTERS(COUNTER_FIELD)
#undef COUNTER_FIELD
};

#endif /* COUNTERS_H */
