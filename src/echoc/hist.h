/* SPDX-License-Identifier: ISC */
/* hist.h - latencies in an HDR histogram: three significant digits from 1 ns to 36 minutes, in
 * constant time and memory.
 *
 * One thread adds; others may read at any time and see each count as it was a moment ago. */
#ifndef ECHOC_HIST_H
#define ECHOC_HIST_H

#include <stdint.h>
#include <stdio.h>

/* Values below 2 * HIST_HALF have a class of their own; each doubling above has HIST_HALF
 * classes, so that none is wider than a thousandth of its value. */
enum { HIST_BITS = 10, HIST_HALF = 1 << HIST_BITS, HIST_TOP_BIT = 41 };
enum { HIST_CLASSES = (HIST_TOP_BIT - HIST_BITS + 1) * HIST_HALF };

struct hist {
	uint64_t total;
	uint64_t min, max; /* ns; exact */
	double sum;        /* ns */
	uint64_t count[HIST_CLASSES];
};

/* An empty one, or NULL. */
struct hist *hist_new(void);

/* Add a value in ns; what passes the range counts as its end. */
void hist_add(struct hist *h, uint64_t ns);

/* Add all of FROM to H. */
void hist_merge(struct hist *h, const struct hist *from);

/* Add the classes of FROM to H, but no sums; FROM may be added to meanwhile. */
void hist_gather(struct hist *h, const struct hist *from);

/* Make OUT what NOW has counted since OLD was a copy of its classes, and copy them again.  OUT
 * has no sums. */
void hist_since(const struct hist *now, struct hist *old, struct hist *out);

/* The value, in ns, that PERCENT (0 to 100) of all do not pass; 0 if there is none. */
uint64_t hist_percentile(const struct hist *h, double percent);

double hist_mean(const struct hist *h);   /* ns */
double hist_stddev(const struct hist *h); /* ns; of the classes */

/* Write the percentile distribution in the text form of the HdrHistogram tools (.hgrm), values
 * in microseconds.  Errors are the stream's. */
void hist_write(const struct hist *h, FILE *out);

#endif
