/* SPDX-License-Identifier: ISC */
/* breaker.h - ends what goes round in a loop: a datagram that is answered, answered again by
 * whoever got the answer, and so on.  A loop is the same payload from the same source again and
 * again without a pause; one that is not answered is dead.
 *
 * BREAKER_REPEATS in a row are answered, none later than BREAKER_PAUSE after the one before;
 * then none for a BREAKER_PAUSE, and it begins anew.  Who sends the same at most twice a second
 * is never hurt; who sends it faster loses the half second after each hundred. */
#ifndef ECHOD_BREAKER_H
#define ECHOD_BREAKER_H

#include <stddef.h>
#include <stdint.h>

enum { BREAKER_REPEATS = 100, BREAKER_PAUSE = 500 /* ms */ };

enum breaker_verdict {
	BREAKER_FINE,
	BREAKER_TRIPS, /* do not answer: the first of them */
	BREAKER_OPEN   /* do not answer: nor this one */
};

struct breaker;

/* Bytes of shared memory for one, a multiple of 64. */
size_t breaker_size(void);

/* Make one in zeroed memory AT, at a multiple of 64 bytes. */
struct breaker *breaker_init(void *at);

/* A datagram comes, and HASH is of all that would be the same if it went round.  NOW is
 * CLOCK_MONOTONIC in ms. */
enum breaker_verdict breaker_judge(struct breaker *b, uint64_t hash, uint64_t now);

#endif
