/* SPDX-License-Identifier: ISC */
/* limiter.h - so many a second of each source, and a burst: a token bucket for each, in a
 * table of fixed size that processes share.
 *
 * A source that is not in the table has a full bucket, and a bucket that is full need not be in
 * it.  So a new source finds a place whatever is there; only where more than eight sources of
 * one set are in debt at once, the one with the smallest debt is forgiven it.  Nobody is charged
 * for another, but for one chance in two million that a busy source of the same set has the
 * same 24 bits of a keyed hash. */
#ifndef ECHOD_LIMITER_H
#define ECHOD_LIMITER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct limiter;

/* Bytes of shared memory for one, a multiple of 64. */
size_t limiter_size(void);

/* Make one in zeroed memory AT, at a multiple of 64 bytes: RATE in thousandths a second, not 0;
 * BURST tokens, at least 1. */
struct limiter *limiter_init(void *at, uint32_t rate, uint32_t burst);

/* Take up to WANTED tokens from the bucket of the source with HASH; NOW is CLOCK_MONOTONIC in
 * microseconds.  Returns how many there were. */
unsigned limiter_take(struct limiter *l, uint64_t hash, uint64_t now, unsigned wanted);

/* Take one token from a bucket that is empty: true; false if it is overdrawn by more than PART
 * of what it may be, which is a twentieth of the burst.  The rate stays what it is. */
bool limiter_overdraw(struct limiter *l, uint64_t hash, uint64_t now, uint16_t part);

#endif
