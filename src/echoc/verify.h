/* SPDX-License-Identifier: ISC */
/* verify.h - is what comes back what was sent?  For any bytes, which need not tell where
 * they belong; the first damage is named. */
#ifndef ECHOC_VERIFY_H
#define ECHOC_VERIFY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { VERIFY_TEXT_MAX = 160 };

struct verify {
	char *sent;    /* what was sent from offset .base on */
	size_t size;   /* bytes of .sent in use */
	size_t room;   /* bytes allocated */
	uint64_t base; /* offset of .sent[0] in the stream */
	uint64_t next; /* offset of the next byte that is due */
	uint64_t bad;  /* offset of the first damage */
	bool damaged;
	char probe[64]; /* what came from .bad on */
	size_t n_probe;
};

void verify_deinit(struct verify *v);

/* SIZE bytes were sent.  Returns 0 or -ENOMEM. */
int verify_sent(struct verify *v, const void *data, size_t size);

/* Bytes that were sent and have not come back. */
size_t verify_due(const struct verify *v);

/* SIZE bytes came.  Returns false once there is damage; more bytes still help to name it. */
bool verify_got(struct verify *v, const void *data, size_t size);

/* How many bytes are missing where the damage is, if that is what it is; else 0. */
uint64_t verify_missing(const struct verify *v);

/* The sentence about the damage of a stream that is at its end, or NULL if there is none:
 * "cut at 2048 of 4096 bytes".  Uses BUF. */
const char *verify_text(const struct verify *v, char buf[VERIFY_TEXT_MAX]);

#endif
