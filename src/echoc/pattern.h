/* SPDX-License-Identifier: ISC */
/* pattern.h - bytes that say where they belong, and what became of those that do not.
 *
 * A stream is a row of 8-byte words.  Word I of stream S is mix(S << 32 | I), and mix() can be
 * undone: any 8 bytes that stand together tell their stream and their place in it, at whatever
 * address they turn up.  Places are modulo 32 GiB.  The words of no stream are zero. */
#ifndef ECHOC_PATTERN_H
#define ECHOC_PATTERN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Make the words of STREAM that hold its bytes OFFSET to OFFSET + LEN - 1.  Byte OFFSET is then
 * the one at OFFSET % 8 of WORDS, which must have room for LEN / 8 + 2 words. */
void pattern_fill(uint64_t *words, uint32_t stream, uint64_t offset, size_t len);

/* Are the LEN bytes at OFFSET % 8 of WORDS those of STREAM from OFFSET on?  May write to the
 * unused bytes of the first and the last word. */
bool pattern_check(uint64_t *words, uint32_t stream, uint64_t offset, size_t len);

/* Byte OFFSET of STREAM. */
uint8_t pattern_byte(uint32_t stream, uint64_t offset);

enum damage_kind {
	DAMAGE_NONE,
	DAMAGE_CUT,        /* bytes are missing */
	DAMAGE_FOREIGN,    /* bytes of another stream */
	DAMAGE_DUPLICATED, /* bytes that were there already */
	DAMAGE_REORDERED,  /* bytes before their time; those that they overtook came later */
	DAMAGE_ZEROED,     /* zeros instead */
	DAMAGE_CHANGED,    /* bytes that were never sent */
	N_DAMAGES
};

/* "cut", "foreign", ... as in JSON. */
extern const char *const damage_names[N_DAMAGES];

/* What is wrong, and from where on. */
struct damage {
	enum damage_kind kind;
	uint32_t stream;       /* whose bytes were expected */
	uint64_t at;           /* offset in it of the first that is wrong or missing */
	uint64_t length;       /* bytes concerned; 0 = not known */
	uint32_t other_stream; /* FOREIGN: where the bytes belong */
	uint64_t other_at;     /* FOREIGN, DUPLICATED, REORDERED: their offset there */
	uint64_t message;      /* offset of the message that holds AT */
	uint64_t message_size; /* its bytes; 0 = not known */
	uint8_t got, want;     /* CHANGED: the first wrong byte */
	bool datagram;         /* the message came alone, as a datagram */
};

/* What a reader can know of the streams around. */
struct pattern_world {
	uint32_t first, end; /* numbers of the streams that exist: first <= s < end */
	uint64_t limit;      /* no stream is longer than this, bytes */
};

/* Name what is wrong with the LEN bytes GOT that came where STREAM from byte OFFSET to byte
 * END - 1 (all that was sent) was expected.  Sets kind, stream, at, length and others; kind is
 * DAMAGE_NONE if nothing is wrong. */
struct damage pattern_diagnose(const uint8_t *got, size_t len, uint32_t stream, uint64_t offset,
			       uint64_t end, const struct pattern_world *world);

/* The sentence for people, at most SIZE bytes with NUL.  Returns BUF. */
const char *damage_text(const struct damage *d, char *buf, size_t size);

/* Which message is this datagram?  The stream and offset that its first whole word tells.
 * Returns false if it holds no word of this world. */
bool pattern_locate(const uint8_t *got, size_t len, const struct pattern_world *world,
		    uint32_t *stream, uint64_t *offset);

#endif
