/* SPDX-License-Identifier: ISC */
/* stats.h - the counters: a row each, kept in one cache-line-padded block per executor in
 * memory shared with the supervisor.  An executor alone writes its block; readers sum. */
#ifndef ECHOD_STATS_H
#define ECHOD_STATS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum counter {
	/* connections: accepted = active + the sum of the closed_*; the rejected_* were not
	 * accepted, but for those that a PROXY header names, which are closed_refused too */
	C_CONNECTIONS_ACCEPTED,
	C_CLOSED_EOF,
	C_CLOSED_RESET,
	C_CLOSED_IDLE,
	C_CLOSED_LIFETIME,
	C_CLOSED_WRITE_TIMEOUT,
	C_CLOSED_DRAIN,
	C_CLOSED_ANSWERED,
	C_CLOSED_PROXY_UNTRUSTED,
	C_CLOSED_PROXY_MALFORMED,
	C_CLOSED_PROXY_TIMEOUT,
	C_CLOSED_REFUSED,
	C_CLOSED_ERROR,
	C_CLOSED_KILLED,
	C_REJECTED_FULL,
	C_REJECTED_ACL,
	C_REJECTED_SOURCE,
	C_REJECTED_RATE,
	/* bytes, of streams and datagrams alike */
	C_BYTES_IN,
	C_BYTES_OUT,
	/* what was sent back whole: a read of a stream, or a datagram */
	C_ECHOES,
	/* what was sent instead, where respond is "report" */
	C_REPORTS,
	/* datagrams: in = out + discarded + the sum of the refused_* and dropped_* */
	C_DATAGRAMS_IN,
	C_DATAGRAMS_OUT,
	C_DATAGRAMS_DISCARDED,
	C_REFUSED_SOURCE_PORT,
	C_REFUSED_OWN_PORT,
	C_REFUSED_SOURCE,
	C_REFUSED_DESTINATION,
	C_REFUSED_TRUNCATED,
	C_REFUSED_SHORT,
	C_REFUSED_ACL,
	C_REFUSED_NO_TCP,
	C_REFUSED_RATE,
	C_REFUSED_LOOP,
	C_DROPPED_SEND,
	/* what went wrong around accept(2) and fork(2) */
	C_ACCEPT_EMFILE,
	C_ACCEPT_ENFILE,
	C_ACCEPT_ENOBUFS,
	C_ACCEPT_ENOMEM,
	C_ACCEPT_ABORTED,
	C_ACCEPT_OTHER,
	C_SPAWN_FAILED,
	/* the supervisor's own */
	C_WORKERS_STARTED,
	C_WORKERS_DIED,
	N_COUNTERS
};

/* One counter for people. */
struct counter_row {
	const char *name; /* "connections_accepted" */
	const char *text; /* one sentence */
};

extern const struct counter_row counters[N_COUNTERS];

enum { CACHE_LINE = 64 };

/* The counters of one executor. */
struct stats {
	_Alignas(CACHE_LINE) _Atomic uint64_t value[N_COUNTERS];
	_Atomic uint32_t beat;      /* odd while the executor is awake; see worker.h */
	_Atomic uint32_t forbidden; /* a system call that ended it, and 1: see sandbox.h */
	_Atomic bool deaf;          /* it takes no more clients, for good */
	bool shared;                /* several threads or processes write: add atomically */
};

/* Add N to counter C of block S. */
static inline void stats_add(struct stats *s, enum counter c, uint64_t n)
{
	if (s->shared)
		__atomic_fetch_add((uint64_t *)&s->value[c], n, __ATOMIC_RELAXED);
	else
		__atomic_store_n((uint64_t *)&s->value[c],
				 __atomic_load_n((uint64_t *)&s->value[c], __ATOMIC_RELAXED) + n,
				 __ATOMIC_RELAXED);
}

/* Add the counters of S to SUM. */
void stats_sum(uint64_t sum[N_COUNTERS], const struct stats *s);

/* Connections that are open, by the invariant above. */
uint64_t stats_active(const uint64_t sum[N_COUNTERS]);

/* "name=value" of every counter into BUF, spaces between, connections_active first.
 * Returns BUF. */
char *stats_format(const uint64_t sum[N_COUNTERS], char *buf, size_t size);

#endif
