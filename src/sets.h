/* SPDX-License-Identifier: ISC */
/* sets.h - a table of fixed size in memory that processes share: words of 64 bits, eight to a
 * set, a set to a cache line.  A keyed hash (siphash.h) says in which set a key may be, so that
 * a look costs one line however many keys there are, and nobody can choose whom to crowd.
 * A word changes as a whole, by compare-and-swap: whoever dies at any instant leaves it right. */
#ifndef ECHOD_SETS_H
#define ECHOD_SETS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { SETS_WAYS = 8 };

struct set {
	_Alignas(64) _Atomic uint64_t way[SETS_WAYS]; /* 0: never used */
};

/* At a multiple of 64 bytes, zeroed, SETS_SIZE(n) of them; N is a power of two. */
#define SETS_SIZE(n) ((size_t)(n) * sizeof(struct set))

/* The set of HASH among N at SETS: by the low bits.  The high bits are for the caller to tell
 * keys of one set apart. */
static inline struct set *sets_find(struct set *sets, uint32_t n, uint64_t hash)
{
	return &sets[hash & (n - 1)];
}

/* Put NEW where OLD is; false, and *OLD is what is there, if somebody was quicker. */
static inline bool sets_swap(struct set *set, unsigned way, uint64_t *old, uint64_t new)
{
	return __atomic_compare_exchange_n((uint64_t *)&set->way[way], old, new, false,
					   __ATOMIC_RELAXED, __ATOMIC_RELAXED);
}

static inline uint64_t sets_word(const struct set *set, unsigned way)
{
	return __atomic_load_n((const uint64_t *)&set->way[way], __ATOMIC_RELAXED);
}

#endif
