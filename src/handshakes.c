/* SPDX-License-Identifier: ISC */
/* A word has 32 bits of the source's hash and the second of its handshake, counted from 1. */
#include "handshakes.h"

#include "sets.h"

enum { SETS = 8192 /* of eight sources: half a MiB */, TIME_BITS = 32 };

struct handshakes {
	struct set set[SETS];
};

size_t handshakes_size(void)
{
	return sizeof(struct handshakes);
}

static uint32_t second_of(uint64_t now)
{
	return (uint32_t)(now / 1000) + 1;
}

void handshakes_add(struct handshakes *h, uint64_t hash, uint64_t now)
{
	struct set *set = sets_find(h->set, SETS, hash);
	uint64_t tag = hash >> TIME_BITS, new = tag << TIME_BITS | second_of(now);
	uint64_t oldest = UINT64_MAX;
	unsigned way = 0;

	for (unsigned i = 0; i < SETS_WAYS; i++) {
		uint64_t word = sets_word(set, i);

		if (word >> TIME_BITS == tag) {
			way = i;
			oldest = word;
			break;
		}
		if ((uint32_t)word < (uint32_t)oldest) {
			way = i;
			oldest = word;
		}
	}
	/* If somebody is quicker, one of two that came at once is not remembered: it will ask
	 * again. */
	if (oldest != new)
		sets_swap(set, way, &oldest, new);
}

bool handshakes_have(const struct handshakes *h, uint64_t hash, uint64_t now)
{
	const struct set *set = &h->set[hash & (SETS - 1)];
	uint32_t second = second_of(now);

	for (unsigned i = 0; i < SETS_WAYS; i++) {
		uint64_t word = sets_word(set, i);

		if (word >> TIME_BITS == hash >> TIME_BITS && (uint32_t)word > 0)
			return second <= (uint32_t)word ||
			       second - (uint32_t)word <= HANDSHAKES_KEPT;
	}
	return false;
}
