/* SPDX-License-Identifier: ISC */
/* pattern.h - bytes that describe themselves: a stream is a row of 8-byte words, each the
 * stream's number << 40 | the word's index in it.  So a byte of another stream, a lost, a
 * repeated or a swapped one is found, and its origin can be told. */
#ifndef BENCH_PATTERN_H
#define BENCH_PATTERN_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

/* Make the words of STREAM that hold its bytes OFFSET to OFFSET + LEN.  Byte OFFSET is
 * then the one at OFFSET % 8 of WORDS. */
static inline void pattern_fill(uint64_t *words, uint64_t stream, uint64_t offset, uint64_t len)
{
	uint64_t word = stream << 40 | offset >> 3, n = ((offset & 7) + len + 7) / 8;

	for (uint64_t i = 0; i < n; i++)
		words[i] = word + i;
}

static inline void pattern_explain(uint64_t stream, uint64_t at, uint64_t got)
{
	fprintf(stderr,
		"stream %llu: wrong in bytes %llu to %llu: got %016llx, which is byte %llu of "
		"stream %llu if it is a word of this client\n",
		(unsigned long long)stream, (unsigned long long)at, (unsigned long long)at + 7,
		(unsigned long long)got, (unsigned long long)(got << 24 >> 21),
		(unsigned long long)(got >> 40));
}

/* Are the LEN bytes at OFFSET % 8 of WORDS the bytes of STREAM from OFFSET on?  Says on
 * stderr what is wrong.  Writes into the unused parts of the first and the last word. */
static inline bool pattern_check(uint64_t *words, uint64_t stream, uint64_t offset, uint64_t len)
{
	uint64_t word = stream << 40 | offset >> 3, head = offset & 7, end = head + len;
	uint64_t n = (end + 7) / 8, last = word + n - 1, bad = 0;

	memcpy(words, &word, head);
	if (end & 7)
		memcpy((char *)words + end, (char *)&last + (end & 7), 8 - (end & 7));
	for (uint64_t i = 0; i < n; i++)
		bad |= words[i] ^ (word + i);
	for (uint64_t i = 0; bad && i < n; i++) {
		if (words[i] != word + i) {
			pattern_explain(stream, (offset & ~7ULL) + i * 8, words[i]);
			break;
		}
	}
	return !bad;
}

#endif
