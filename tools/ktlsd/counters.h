/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a worker counts, in memory that it shares with the supervisor: written by
 * it alone, and read by the supervisor at any time.
 */
#ifndef COUNTERS_H
#define COUNTERS_H

#include <stdbool.h>
#include <stdint.h>

/*
 * A COUNTER only grows, a GAUGE is how many there are now; with what it counts, for
 * the operator.
 */
#define COUNTERS(COUNTER, GAUGE)						\
	COUNTER(accepted, "connections that were accepted")		\
	GAUGE(open, "connections that are open now")			\
	COUNTER(limited, "connections that a limit turned away")	\
	GAUGE(handshakes, "handshakes that are under way now")		\
	COUNTER(handshakes_done, "handshakes that succeeded")		\
	COUNTER(handshakes_resumed, "those of them that resumed a session") \
	COUNTER(handshakes_alerted, "handshakes that the other end ended by an alert") \
	COUNTER(handshakes_failed, "handshakes that failed otherwise")	\
	COUNTER(handshakes_timeout, "handshakes that took too long")	\
	COUNTER(tx_kernel, "connections whose sending the kernel took over") \
	COUNTER(rx_kernel, "connections whose receiving it took over")	\
	COUNTER(tx_user, "connections whose sending stayed in user space") \
	COUNTER(rx_user, "connections whose receiving stayed there")	\
	COUNTER(refused_kernel, "connections ended as the kernel did not take a key") \
	COUNTER(key_updates, "KeyUpdates that were received")		\
	COUNTER(rekeys, "keys that the kernel took after the first")	\
	COUNTER(backend_failed, "connections whose backend could not be reached") \
	COUNTER(closed, "connections that both ends ended properly")	\
	COUNTER(truncated, "connections whose TLS end left without close_notify") \
	COUNTER(reset, "connections that an end reset")			\
	COUNTER(alerted, "connections that the TLS end ended by a fatal alert") \
	COUNTER(broken, "connections ended as a record was forged or made no sense") \
	COUNTER(rekey_unsupported, "connections ended by a KeyUpdate that this kernel cannot follow") \
	COUNTER(rekey_storm, "connections ended for too many KeyUpdates") \
	COUNTER(idle, "connections ended as nothing moved any more")	\
	COUNTER(drained, "connections ended as the worker had to")

#define COUNTERS_FIELD(name, doc) uint64_t name;

struct counters {
	COUNTERS(COUNTERS_FIELD, COUNTERS_FIELD)
};

struct counter {
	const char *name;
	const char *doc;
	unsigned int offset;
	bool gauge;
};

extern const struct counter counters_table[];
extern const unsigned int counters_count;

/* For the supervisor; the worker writes them as any other number. */
uint64_t counters_get(const struct counters *counters, const struct counter *which);
/* Adds what only grows, and the gauges too if @gauges. */
void counters_add(struct counters *to, const struct counters *from, bool gauges);
void counters_clear_gauges(struct counters *counters);
/* A page that forked processes share; %NULL without memory. */
struct counters *counters_new(void);
void counters_free(struct counters *counters);

#endif /* COUNTERS_H */
