/* SPDX-License-Identifier: ISC */
/* pattern.h - bytes that say where they belong.
 *
 * A stream is a row of 8-byte words.  Word I of stream S is a mixture of S and I that can be
 * undone: any 8 bytes that stand together tell their stream and their place in it, wherever
 * they turn up.  Places repeat every PATTERN_PERIOD bytes. */
#ifndef ECHOC_PATTERN_H
#define ECHOC_PATTERN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PATTERN_PERIOD (8ULL << 32) /* bytes */

/* Make the words of STREAM that hold its bytes OFFSET to OFFSET + LEN - 1.  Byte OFFSET is then
 * the one at OFFSET % 8 of WORDS, which must have room for LEN / 8 + 2 words. */
void pattern_fill(uint64_t *words, uint32_t stream, uint64_t offset, size_t len);

/* Are the LEN bytes at OFFSET % 8 of WORDS those of STREAM from OFFSET on?  Writes to the
 * unused bytes of the first and the last word. */
bool pattern_check(uint64_t *words, uint32_t stream, uint64_t offset, size_t len);

/* Byte OFFSET of STREAM. */
uint8_t pattern_byte(uint32_t stream, uint64_t offset);

/* The stream and the offset (modulo PATTERN_PERIOD) of the word at P, which need not be
 * aligned.  Bytes of no stream give chance values. */
void pattern_locate(const uint8_t p[8], uint32_t *stream, uint64_t *offset);

#endif
