/* SPDX-License-Identifier: ISC */
/* histogram.h - latencies in classes that are 3 % wide, so that recording costs nothing. */
#ifndef BENCH_HISTOGRAM_H
#define BENCH_HISTOGRAM_H

#include <stdint.h>

enum { SUB_BITS = 5, SUBS = 1 << SUB_BITS, CLASSES = 64 * SUBS };

struct histogram {
	uint64_t count[CLASSES];
	uint64_t total;
};

static inline void histogram_add(struct histogram *h, uint64_t ns, uint64_t times)
{
	unsigned class = (unsigned)ns;

	if (ns >= SUBS) {
		unsigned e = 63 - (unsigned)__builtin_clzll(ns) - SUB_BITS;

		class = (e + 1) * SUBS + (unsigned)((ns >> e) & (SUBS - 1));
	}
	h->count[class] += times;
	h->total += times;
}

/* The lower end, in microseconds, of the class in which SHARE (0 to 1) is reached. */
static inline double histogram_us(const struct histogram *h, double share)
{
	uint64_t seen = 0;
	unsigned i = 0;

	if (!h->total)
		return 0;
	for (; i < CLASSES - 1; i++) {
		seen += h->count[i];
		if ((double)seen >= share * (double)h->total)
			break;
	}
	if (i < SUBS)
		return i / 1e3;
	return (double)((uint64_t)(SUBS | (i & (SUBS - 1))) << (i / SUBS - 1)) / 1e3;
}

#endif
