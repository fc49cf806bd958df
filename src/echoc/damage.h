/* SPDX-License-Identifier: ISC */
/* damage.h - what is wrong with bytes that are not the expected ones (pattern.h). */
#ifndef ECHOC_DAMAGE_H
#define ECHOC_DAMAGE_H

#include <stddef.h>
#include <stdint.h>

enum damage_kind {
	DAMAGE_NONE,
	DAMAGE_CUT,        /* bytes are missing */
	DAMAGE_FOREIGN,    /* bytes of another stream */
	DAMAGE_DUPLICATED, /* bytes that had come already */
	DAMAGE_REORDERED,  /* bytes before others of their stream that came later */
	DAMAGE_ZEROED,     /* zeros instead */
	DAMAGE_CHANGED,    /* bytes that were never sent */
	DAMAGE_EXTRA,      /* more bytes than were sent, of unknown origin */
	N_DAMAGES
};

/* "cut", "foreign", ...: the keys of JSON. */
extern const char *const damage_names[N_DAMAGES];

/* What is wrong, and from where on. */
struct damage {
	enum damage_kind kind;
	uint32_t stream;       /* whose bytes were expected */
	uint64_t at;           /* offset in it of the first that is wrong or missing */
	uint64_t length;       /* bytes concerned */
	uint32_t other_stream; /* FOREIGN: where the bytes belong */
	uint64_t other_at;     /* FOREIGN, DUPLICATED, REORDERED: their offset there */
	uint64_t message;      /* offset of the message that holds AT; set by the caller */
	uint64_t message_size; /* its bytes, 0 = not known; set by the caller */
	uint8_t got, want;     /* CHANGED: the first wrong byte */
};

/* The streams that exist: only what can have been sent is taken for an origin. */
struct damage_world {
	uint32_t first, end; /* first <= stream < end */
	uint64_t limit;      /* no stream is longer, bytes */
};

/* Name what is wrong with the LEN bytes GOT, where those of STREAM from OFFSET on were due and
 * END bytes of it were sent.  The kind is DAMAGE_NONE if nothing is wrong. */
struct damage damage_find(const uint8_t *got, size_t len, uint32_t stream, uint64_t offset,
			  uint64_t end, const struct damage_world *world);

enum { DAMAGE_TEXT_MAX = 200 };

/* The sentence for people.  Returns BUF. */
const char *damage_text(const struct damage *d, char buf[DAMAGE_TEXT_MAX]);

#endif
