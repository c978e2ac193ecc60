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
 * COUNTER only grows, GAUGE is how many there are now; with what each is, for the
 * operator.  With dashes for underscores the names are those of the status.
 */
#define COUNTERS(COUNTER, GAUGE)						\
	COUNTER(accepted, "connections accepted")				\
	COUNTER(refused_connections, "closed at once: max-connections")		\
	COUNTER(refused_handshakes, "closed at once: max-handshakes")		\
	COUNTER(refused_rate, "closed at once: source-rate")			\
	GAUGE(connections, "connections open, handshakes included")		\
	GAUGE(handshakes, "handshakes under way")				\
	COUNTER(handshakes_done, "handshakes done")				\
	COUNTER(handshakes_resumed, "of these, with a session resumed")		\
	COUNTER(handshakes_tls12, "of these, TLS 1.2")				\
	COUNTER(handshakes_tls13, "of these, TLS 1.3")				\
	COUNTER(failed_timeout, "handshakes failed: handshake-timeout")		\
	COUNTER(failed_gone, "handshakes failed: the peer went away")		\
	COUNTER(failed_alert, "handshakes failed: the peer sent an alert")	\
	COUNTER(failed_protocol, "handshakes failed: the peer does not speak TLS, or nothing in common") \
	COUNTER(failed_certificate, "handshakes failed: the peer's certificate") \
	COUNTER(failed_key, "handshakes failed: no signature from the key process") \
	COUNTER(failed_other, "handshakes failed: for another reason")		\
	COUNTER(kernel_tx, "connections that send with the kernel")		\
	COUNTER(kernel_rx, "connections that receive with the kernel")		\
	COUNTER(user_tx, "connections that send in user space")			\
	COUNTER(user_rx, "connections that receive in user space")		\
	COUNTER(keys_no_tls, "keys refused: the kernel has no tls (ENOENT, ENOPROTOOPT)") \
	COUNTER(keys_cipher, "keys refused: version or cipher (EINVAL, ENOTSUPP)") \
	COUNTER(keys_policy, "keys refused: a policy (EPERM, EACCES)")		\
	COUNTER(keys_memory, "keys refused: memory (ENOMEM, ENOBUFS)")		\
	COUNTER(keys_other, "keys refused: another error")			\
	COUNTER(rekeys_tx, "new keys to send with")				\
	COUNTER(rekeys_rx, "new keys to receive with, as the peer changed its own") \
	COUNTER(closed_done, "closed: both sides had ended")			\
	COUNTER(closed_reset, "closed: reset by the peer")			\
	COUNTER(closed_truncated, "closed: the peer ended without close_notify") \
	COUNTER(closed_alert, "closed: the peer sent an alert")			\
	COUNTER(closed_record, "closed: a record that does not decrypt, or is none") \
	COUNTER(closed_no_backend, "closed: the backend could not be reached")	\
	COUNTER(closed_backend, "closed: the backend reset it")			\
	COUNTER(closed_no_kernel, "closed: require = kernel, and the keys were refused") \
	COUNTER(closed_rekey_unsupported, "closed: this kernel takes no second key") \
	COUNTER(closed_rekey_storm, "closed: too many new keys by the peer")	\
	COUNTER(closed_timeout, "closed: idle")					\
	COUNTER(closed_drained, "closed: by us, at a drain or a limit")		\
	COUNTER(closed_other, "closed: for another reason")			\
	COUNTER(requests, "HTTP requests answered")				\
	COUNTER(requests_bad, "HTTP requests refused as malformed")		\
	COUNTER(bytes_in, "bytes from TLS peers, without what TLS adds")		\
	COUNTER(bytes_out, "bytes to TLS peers, without what TLS adds")

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

/* For worker: nobody else writes, and a reader is to see no half of it. */
static inline void count(uint64_t *counter, int64_t n)
{
	__atomic_store_n(counter, *counter + n, __ATOMIC_RELAXED);
}

/* For the supervisor. */
uint64_t counters_get(const struct counters *counters, const struct counter *which);
/* Adds what only grows, and the gauges too if @gauges. */
void counters_add(struct counters *to, const struct counters *from, bool gauges);
void counters_clear_gauges(struct counters *counters);
/* A page that forked processes share; %NULL without memory. */
struct counters *counters_new(void);
void counters_free(struct counters *counters);

#endif /* COUNTERS_H */
