/* SPDX-License-Identifier: ISC */
/* A word has 40 bits of the source's hash and its count; with a count of 0 it is free.  There
 * is eight times the room that is needed, so that a set of eight is hardly ever full.
 *
 * Two that take a free word for the same source at the same time may make two of it: what
 * counts is the sum. */
#include "sources.h"

#include "sets.h"

#include <errno.h>

enum { COUNT_BITS = 24, ROOM = 8 /* words for a connection */, SETS_LEAST = 8 };

#define COUNT_MASK ((UINT64_C(1) << COUNT_BITS) - 1)

struct sources {
	uint32_t n; /* sets, a power of two */
	_Alignas(64) struct set set[];
};

static uint32_t sets_for(uint32_t n)
{
	uint32_t sets = SETS_LEAST;

	while ((uint64_t)sets * SETS_WAYS < (uint64_t)n * ROOM)
		sets *= 2;
	return sets;
}

size_t sources_size(uint32_t n)
{
	return sizeof(struct sources) + SETS_SIZE(sets_for(n));
}

struct sources *sources_init(void *at, uint32_t n)
{
	struct sources *s = at;

	s->n = sets_for(n);
	return s;
}

/* What a set has for a source. */
struct place {
	unsigned way;   /* its own, or else a free one; SETS_WAYS = neither */
	uint64_t word;  /* what is there */
	uint32_t count; /* of all its words */
};

static struct place look(const struct set *set, uint64_t tag)
{
	struct place p = {.way = SETS_WAYS};

	for (unsigned i = SETS_WAYS; i-- > 0;) {
		uint64_t word = sets_word(set, i);
		bool own = word & COUNT_MASK && word >> COUNT_BITS == tag;

		if (own)
			p.count += (uint32_t)(word & COUNT_MASK);
		if (own || (!(word & COUNT_MASK) && p.count == 0)) {
			p.way = i;
			p.word = word;
		}
	}
	return p;
}

int sources_enter(struct sources *s, uint64_t hash, uint32_t limit, _Atomic uint32_t *place)
{
	struct set *set = sets_find(s->set, s->n, hash);
	uint64_t tag = hash >> COUNT_BITS, one_more;

	for (;;) {
		struct place p = look(set, tag);

		if (p.count >= limit || p.way == SETS_WAYS) {
			*place = 0;
			return p.count >= limit ? -EDQUOT : 0;
		}
		*place = (uint32_t)(set - s->set) * SETS_WAYS + p.way + 1;
		one_more = tag << COUNT_BITS | ((p.word & COUNT_MASK) + 1);
		if (sets_swap(set, p.way, &p.word, one_more))
			return 0;
	}
}

/* What is shared may be wrong: neither *PLACE is believed nor the size that the table has. */
void sources_leave(struct sources *s, uint32_t n, _Atomic uint32_t *place)
{
	uint32_t i = *place - 1; /* of 0 it is the largest */
	struct set *set = &s->set[i / SETS_WAYS];
	uint64_t word;

	if (i / SETS_WAYS >= sets_for(n)) {
		*place = 0;
		return;
	}
	word = sets_word(set, i % SETS_WAYS);
	while (word & COUNT_MASK && !sets_swap(set, i % SETS_WAYS, &word, word - 1))
		;
	*place = 0;
}

uint32_t sources_count(const struct sources *s, uint64_t hash)
{
	return look(&s->set[hash & (s->n - 1)], hash >> COUNT_BITS).count;
}
