/* SPDX-License-Identifier: ISC */
/* A word has 24 bits of the hash, how often it came, and when it did last.  Most
 * payloads come once: whoever needs a place takes that of one that has paused, or of the one
 * that was repeated least, so that a flood of others does not hide a loop.
 *
 * Once it is open nothing is written, so the pause is counted from there.  All that goes round
 * in less than a pause comes by in it and ends; a loop that is slower is too slow to harm. */
#include "breaker.h"

#include "sets.h"

enum { SETS = 4096 /* of eight: 256 KiB */, TIME_BITS = 32, COUNT_BITS = 8 };

#define TIME_MASK  UINT32_MAX
#define COUNT_MASK ((UINT64_C(1) << COUNT_BITS) - 1)

struct breaker {
	struct set set[SETS];
};

size_t breaker_size(void)
{
	return sizeof(struct breaker);
}

struct breaker *breaker_init(void *at)
{
	return at;
}

/* How often in a row WORD was seen, by NOW. */
static unsigned repeats(uint64_t word, uint64_t now)
{
	uint32_t age = (uint32_t)now - (uint32_t)word;

	/* Another process may be ahead of our NOW. */
	return age > BREAKER_PAUSE && age < UINT32_MAX - BREAKER_PAUSE
		       ? 0
		       : (unsigned)(word >> TIME_BITS & COUNT_MASK);
}

/* The way in SET of what has TAG; or else of what was repeated least. */
static unsigned look(const struct set *set, uint64_t tag, uint64_t now)
{
	unsigned least = UINT32_MAX, found = 0;

	for (unsigned i = 0; i < SETS_WAYS; i++) {
		uint64_t word = sets_word(set, i);
		unsigned count = repeats(word, now);

		if (word >> (TIME_BITS + COUNT_BITS) == tag)
			return i;
		if (count < least) {
			least = count;
			found = i;
		}
	}
	return found;
}

enum breaker_verdict breaker_judge(struct breaker *b, uint64_t hash, uint64_t now)
{
	uint64_t tag = hash >> (TIME_BITS + COUNT_BITS);
	struct set *set = sets_find(b->set, SETS, hash);

	for (;;) {
		unsigned way = look(set, tag, now);
		uint64_t word = sets_word(set, way);
		bool same = word >> (TIME_BITS + COUNT_BITS) == tag;
		uint64_t count = same ? repeats(word, now) : 0, next;

		if (count > BREAKER_REPEATS)
			return BREAKER_OPEN;
		next = tag << (TIME_BITS + COUNT_BITS) | (count + 1) << TIME_BITS |
		       (now & TIME_MASK);
		if (sets_swap(set, way, &word, next))
			return count == BREAKER_REPEATS ? BREAKER_TRIPS : BREAKER_FINE;
	}
}
