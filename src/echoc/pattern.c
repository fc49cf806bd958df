/* SPDX-License-Identifier: ISC */
/* The self-describing bytes: made and compared a word at a time, since every byte of a load
 * passes here twice.  What is wrong with them is found out elsewhere (damage.c), at leisure. */
#include "pattern.h"

#include <string.h>

/* An odd factor spreads a place over the word's upper half, and the shift brings it down, so
 * that each byte of a word depends on the stream and, but for rare chances, on the place. */
#define FACTOR  0x9e3779b97f4a7c15ULL
#define INVERSE 0xf1de83e19937733dULL /* FACTOR * INVERSE = 1 modulo 2^64 */

_Static_assert(FACTOR *INVERSE == 1, "the mixing must be undone");

static inline uint64_t word_of(uint32_t stream, uint32_t index)
{
	/* + 1: the word of stream 0, place 0 is not zero. */
	uint64_t w = (((uint64_t)stream + 1) << 32 | index) * FACTOR;

	return w ^ w >> 32;
}

void pattern_fill(uint64_t *words, uint32_t stream, uint64_t offset, size_t len)
{
	uint32_t index = (uint32_t)(offset >> 3);
	size_t n = ((offset & 7) + len + 7) / 8;

	for (size_t i = 0; i < n; i++)
		words[i] = word_of(stream, index + (uint32_t)i);
}

bool pattern_check(uint64_t *words, uint32_t stream, uint64_t offset, size_t len)
{
	uint32_t index = (uint32_t)(offset >> 3);
	size_t head = offset & 7, end = head + len, n = (end + 7) / 8;
	uint64_t first = word_of(stream, index), last, bad = 0;

	if (len == 0)
		return true;
	memcpy(words, &first, head);
	if (end & 7) {
		last = word_of(stream, index + (uint32_t)n - 1);
		memcpy((char *)words + end, (char *)&last + (end & 7), 8 - (end & 7));
	}
	for (size_t i = 0; i < n; i++)
		bad |= words[i] ^ word_of(stream, index + (uint32_t)i);
	return bad == 0;
}

uint8_t pattern_byte(uint32_t stream, uint64_t offset)
{
	uint64_t word = word_of(stream, (uint32_t)(offset >> 3));

	return ((const uint8_t *)&word)[offset & 7];
}

void pattern_locate(const uint8_t p[8], uint32_t *stream, uint64_t *offset)
{
	uint64_t w;

	memcpy(&w, p, sizeof(w));
	w = (w ^ w >> 32) * INVERSE;
	*stream = (uint32_t)(w >> 32) - 1;
	*offset = (uint64_t)(uint32_t)w << 3;
}
