/* SPDX-License-Identifier: ISC */
/* A bucket is one number: when it will be full again (its "theoretical arrival time" in the
 * generic cell rate algorithm of ITU-T I.371).  That is as good as a level and a time, and fits
 * into a word with 24 bits of the source's hash.
 *
 * Time is counted in sixteenths of a token.  40 bits of it go round in hours at the highest rate
 * and in years at usual ones; a time far from now is long past, and that bucket is full. */
#include "limiter.h"

#include "sets.h"

enum {
	SETS = 8192, /* of eight sources: half a MiB */
	TOKEN = 16,
	TIME_BITS = 40,
	CREDIT = 20, /* one in so many of the burst may be overdrawn */
	LEAST = 24   /* but at least a token, and what can be left to lots */
};

#define TIME_MASK ((UINT64_C(1) << TIME_BITS) - 1)

struct limiter {
	double ticks;    /* sixteenths of a token in a microsecond */
	uint64_t burst;  /* ticks: the most that a bucket can owe, */
	uint64_t credit; /* unless it is overdrawn: by less than this */
	uint64_t slack;  /* ticks of a second: other processes may be ahead of our NOW */
	_Alignas(64) struct set set[SETS];
};

/* What a set has for a source. */
struct place {
	unsigned way;
	uint64_t word; /* what is there */
	uint64_t debt; /* ticks */
};

size_t limiter_size(void)
{
	return sizeof(struct limiter);
}

struct limiter *limiter_init(void *at, uint32_t rate, uint32_t burst)
{
	struct limiter *l = at;

	l->ticks = rate / 1e3 * TOKEN / 1e6;
	l->burst = (uint64_t)burst * TOKEN;
	l->credit = l->burst / CREDIT > LEAST ? l->burst / CREDIT : LEAST;
	l->slack = (uint64_t)(l->ticks * 1e6);
	return l;
}

/* The place of the source with TAG, or that of whoever owes least. */
static struct place look(const struct limiter *l, const struct set *set, uint64_t tag, uint64_t now)
{
	struct place least = {.debt = UINT64_MAX};

	for (unsigned i = 0; i < SETS_WAYS; i++) {
		struct place p = {.way = i, .word = sets_word(set, i)};

		p.debt = (p.word - now) & TIME_MASK;
		if (p.debt > l->burst + l->credit + l->slack)
			p.debt = 0;
		if (p.word >> TIME_BITS == tag)
			return p;
		if (p.debt < least.debt)
			least = p;
	}
	least.debt = 0;
	return least;
}

/* Take up to WANTED tokens such that the debt is no more than MOST. */
static unsigned take(struct limiter *l, uint64_t hash, uint64_t now, unsigned wanted, uint64_t most)
{
	uint64_t at = (uint64_t)((double)now * l->ticks) & TIME_MASK, tag = hash >> TIME_BITS;
	struct set *set = sets_find(l->set, SETS, hash);

	for (;;) {
		struct place p = look(l, set, tag, at);
		uint64_t room = p.debt < most ? (most - p.debt) / TOKEN : 0;
		unsigned given = room < wanted ? (unsigned)room : wanted;
		uint64_t full_at = (at + p.debt + (uint64_t)given * TOKEN) & TIME_MASK;

		if (given == 0 || sets_swap(set, p.way, &p.word, tag << TIME_BITS | full_at))
			return given;
	}
}

unsigned limiter_take(struct limiter *l, uint64_t hash, uint64_t now, unsigned wanted)
{
	return take(l, hash, now, wanted, l->burst);
}

bool limiter_overdraw(struct limiter *l, uint64_t hash, uint64_t now, uint16_t part)
{
	return take(l, hash, now, 1, l->burst + (l->credit * part >> 16)) == 1;
}
