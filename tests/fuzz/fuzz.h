/* SPDX-License-Identifier: ISC */
/* fuzz.h - the entry that libFuzzer and replay.c call: one file for each target, which aborts
 * when a promise is broken. */
#ifndef ECHOD_FUZZ_H
#define ECHOD_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* Do what the target does with the SIZE bytes at DATA.  Returns 0. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What must hold, in every build. */
#define PROMISE(condition) \
 do {                      \
  if (!(condition))        \
   abort();                \
 } while (0)

/* What judges is not what is tried: which way it goes is nothing for the fuzzer to look into, and
 * to look costs more than all the rest. */
#ifdef __clang__
# define FUZZ_JUDGE __attribute__((no_sanitize("coverage")))
#else
# define FUZZ_JUDGE
#endif

/* Bytes of a stream, each known by where it is. */
enum { FUZZ_STREAM = (1 << 16) + (1 << 12) };

FUZZ_JUDGE static inline const char *fuzz_stream(void)
{
	static char all[FUZZ_STREAM];

	for (size_t i = 0; !all[1] && i < sizeof(all); i++)
		all[i] = (char)(i * 31 + (i >> 8) * 7);
	return all;
}

/* The bytes as a string of its own; NULs in it stay, and end it early for who stops there. */
static inline char *fuzz_text(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1);

	PROMISE(text);
	if (size > 0)
		memcpy(text, data, size);
	text[size] = '\0';
	return text;
}

#endif
