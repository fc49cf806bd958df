/* SPDX-License-Identifier: ISC */
/* The histogram.  A value's class is its highest bits, so adding costs a shift and a store, and
 * no value of a long run is thrown away or averaged. */
#include "hist.h"

#include <math.h>
#include <stdlib.h>

struct hist *hist_new(void)
{
	struct hist *h = calloc(1, sizeof(*h));

	if (h)
		h->min = UINT64_MAX;
	return h;
}

static unsigned class_of(uint64_t ns)
{
	unsigned shift;

	if (ns < 2 * HIST_HALF)
		return (unsigned)ns;
	if (ns >> HIST_TOP_BIT)
		return HIST_CLASSES - 1;
	shift = 63 - (unsigned)__builtin_clzll(ns) - HIST_BITS;
	return shift * HIST_HALF + (unsigned)(ns >> shift);
}

/* The largest value of the class. */
static uint64_t top_of(unsigned class)
{
	unsigned shift;

	if (class < 2 * HIST_HALF)
		return class;
	shift = class / HIST_HALF - 1;
	return (((uint64_t)(class - shift * HIST_HALF) + 1) << shift) - 1;
}

/* Only one thread writes, so that a plain sum is enough; others read it meanwhile. */
static void add(uint64_t *p, uint64_t n)
{
	__atomic_store_n(p, *p + n, __ATOMIC_RELAXED);
}

void hist_add(struct hist *h, uint64_t ns)
{
	add(&h->count[class_of(ns)], 1);
	add(&h->total, 1);
	if (ns < h->min)
		h->min = ns;
	if (ns > h->max)
		h->max = ns;
	h->sum += (double)ns;
}

void hist_merge(struct hist *h, const struct hist *from)
{
	for (unsigned i = 0; i < HIST_CLASSES; i++)
		h->count[i] += from->count[i];
	h->total += from->total;
	if (from->min < h->min)
		h->min = from->min;
	if (from->max > h->max)
		h->max = from->max;
	h->sum += from->sum;
}

void hist_gather(struct hist *h, const struct hist *from)
{
	for (unsigned i = 0; i < HIST_CLASSES; i++)
		h->count[i] += __atomic_load_n(&from->count[i], __ATOMIC_RELAXED);
}

void hist_since(const struct hist *now, struct hist *old, struct hist *out)
{
	out->total = 0;
	out->min = UINT64_MAX;
	out->max = 0;
	for (unsigned i = 0; i < HIST_CLASSES; i++) {
		out->count[i] = now->count[i] - old->count[i];
		old->count[i] = now->count[i];
		out->total += out->count[i];
		if (out->count[i] == 0)
			continue;
		out->max = top_of(i);
		if (out->min == UINT64_MAX)
			out->min = top_of(i);
	}
}

uint64_t hist_percentile(const struct hist *h, double percent)
{
	double wanted = ceil(percent / 100 * (double)h->total - 1e-6);
	uint64_t seen = 0, value;

	if (h->total == 0)
		return 0;
	for (unsigned i = 0; i < HIST_CLASSES; i++) {
		seen += h->count[i];
		if (h->count[i] == 0 || (double)seen < wanted)
			continue;
		value = top_of(i);
		value = value > h->max ? h->max : value;
		return value < h->min ? h->min : value;
	}
	return h->max;
}

double hist_mean(const struct hist *h)
{
	return h->total ? h->sum / (double)h->total : 0;
}

double hist_stddev(const struct hist *h)
{
	double mean = hist_mean(h), squares = 0;

	if (h->total == 0)
		return 0;
	for (unsigned i = 0; i < HIST_CLASSES; i++) {
		double off = (double)top_of(i) - mean;

		squares += (double)h->count[i] * off * off;
	}
	return sqrt(squares / (double)h->total);
}

/* The tools' text has five steps in each halving of what is left above. */
void hist_write(const struct hist *h, FILE *out)
{
	double percent = 0, left;
	uint64_t seen = 0;

	fprintf(out, "%12s %14s %10s %14s\n\n", "Value", "Percentile", "TotalCount",
		"1/(1-Percentile)");
	for (unsigned i = 0; i < HIST_CLASSES && seen < h->total; i++) {
		uint64_t value = top_of(i) > h->max ? h->max : top_of(i);

		seen += h->count[i];
		if (h->count[i] == 0)
			continue;
		while (seen < h->total && (double)seen >= percent / 100 * (double)h->total) {
			fprintf(out, "%12.3f %2.12f %10llu %14.2f\n", (double)value / 1e3,
				percent / 100, (unsigned long long)seen, 100 / (100 - percent));
			left = floor(log2(100 / (100 - percent))) + 1;
			percent += 100 / exp2(left) / 5;
		}
	}
	if (h->total > 0)
		fprintf(out, "%12.3f %2.12f %10llu\n", (double)h->max / 1e3, 1.0,
			(unsigned long long)h->total);
	fprintf(out, "#[Mean    = %12.3f, StdDeviation   = %12.3f]\n", hist_mean(h) / 1e3,
		hist_stddev(h) / 1e3);
	fprintf(out, "#[Max     = %12.3f, Total count    = %12llu]\n",
		h->total ? (double)h->max / 1e3 : 0.0, (unsigned long long)h->total);
	fprintf(out, "#[Buckets = %12d, SubBuckets     = %12d]\n", HIST_TOP_BIT - HIST_BITS + 1,
		2 * HIST_HALF);
}
