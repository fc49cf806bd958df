/* SPDX-License-Identifier: ISC */
/* Cause and count are one word, which changes by compare-and-swap: nothing is counted in a place
 * that has become another's, and nothing is lost, whoever dies at any instant. */
#include "log_causes.h"

#include <stdatomic.h>

enum { COUNT_BITS = 32 };

#define COUNT_MASK ((uint64_t)UINT32_MAX)

/* What stands in a word for KEY: never 0. */
static uint64_t tag_of(uint64_t key)
{
	return key >> COUNT_BITS ? key >> COUNT_BITS : 1;
}

/* Count one of the cause with TAG; false if the place is no longer its.  A full count stays. */
static bool count(struct log_cause *place, uint64_t tag)
{
	uint64_t word = place->counted;

	while (word >> COUNT_BITS == tag && (word & COUNT_MASK) < COUNT_MASK)
		if (atomic_compare_exchange_weak(&place->counted, &word, word + 1))
			return true;
	return word >> COUNT_BITS == tag;
}

unsigned log_causes_place(struct log_causes *c, uint64_t key)
{
	uint64_t tag = tag_of(key), word;

	for (unsigned i = 0; i < LOG_CAUSES; i++)
		if (c->cause[i].counted >> COUNT_BITS == tag)
			return i;
	for (unsigned i = 0; i < LOG_CAUSES; i++) {
		word = 0;
		if (atomic_compare_exchange_strong(&c->cause[i].counted, &word,
						   tag << COUNT_BITS) ||
		    word >> COUNT_BITS == tag)
			return i;
	}
	return LOG_CAUSES;
}

/* The generic cell rate algorithm, as in limiter.c. */
static bool within_rate(struct log_cause *place, uint64_t now)
{
	uint64_t full_at = place->full_at, from;

	do {
		from = full_at > now ? full_at : now;
		if (from - now > (uint64_t)(LOG_CAUSES_BURST - 1) * LOG_CAUSES_PAUSE)
			return false;
	} while (!atomic_compare_exchange_weak(&place->full_at, &full_at, from + LOG_CAUSES_PAUSE));
	return true;
}

bool log_causes_pass(struct log_causes *c, uint64_t key, uint64_t now)
{
	unsigned i = log_causes_place(c, key);

	return i == LOG_CAUSES || within_rate(&c->cause[i], now) ||
	       !count(&c->cause[i], tag_of(key));
}

uint32_t log_causes_take(struct log_causes *c, unsigned i)
{
	return (uint32_t)(atomic_fetch_and(&c->cause[i].counted, ~COUNT_MASK) & COUNT_MASK);
}

bool log_causes_close(struct log_causes *c, unsigned i)
{
	uint64_t empty = c->cause[i].counted & ~COUNT_MASK;

	return atomic_compare_exchange_strong(&c->cause[i].counted, &empty, 0);
}
