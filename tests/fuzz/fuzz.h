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
