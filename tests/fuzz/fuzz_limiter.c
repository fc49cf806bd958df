/* SPDX-License-Identifier: ISC */
/* Token buckets in a table of fixed size, against one exact bucket for each source: whoever
 * stays within it is never refused, and nobody gets more than it and the places allow.
 *
 * Few sources, in sets of their own: what happens when a set is full is the unit test's. */
#include "fuzz.h"

#include "limiter.h"

#include <sys/mman.h>

enum { SOURCES = 8, STEP = 4 };

struct bucket {
	double tokens;
	uint64_t at; /* us */
};

/* Zeroed pages, so that what is not touched costs nothing. */
static void *zeroed(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	PROMISE(p != MAP_FAILED);
	return p;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bucket bucket[SOURCES];
	uint64_t now = 1000000;
	uint32_t rate, burst;
	struct limiter *l;

	if (size < STEP)
		return 0;
	rate = 1 + ((uint32_t)data[0] << 8 | data[1]) * (1u + data[2]);
	burst = 1 + data[3];
	l = limiter_init(zeroed(limiter_size()), rate, burst);
	for (size_t i = 0; i < SOURCES; i++)
		bucket[i] = (struct bucket){.tokens = burst, .at = now};
	for (size_t at = STEP; at + STEP <= size; at += STEP) {
		const uint8_t *d = data + at;
		uint64_t source = d[0] % SOURCES;
		struct bucket *b = &bucket[source];
		unsigned wanted = 1 + d[1] % 8, given;

		now += ((uint64_t)d[2] << 8 | d[3]) * (d[0] & 0x80 ? 1000 : 10);
		b->tokens += (double)(now - b->at) * rate / 1e9;
		if (b->tokens > burst)
			b->tokens = burst;
		b->at = now;
		given = limiter_take(l, (source + 1) * 0x9e3779b97f4a7c15u, now, wanted);
		PROMISE(given <= wanted);
		PROMISE(given <= b->tokens + 0.2);
		PROMISE(given == wanted || given + 1.2 > b->tokens);
		b->tokens -= given;
		if (b->tokens < 0)
			b->tokens = 0;
	}
	munmap(l, limiter_size());
	return 0;
}
