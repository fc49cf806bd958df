/* SPDX-License-Identifier: ISC */
/* sources.h - how many connections each source has, in memory that the processes of a service
 * share.  A count belongs to slots (slots.h): who takes a place tells where it was counted, and
 * whoever frees the slot, the owner or in its stead the supervisor, counts it down. */
#ifndef ECHOD_SOURCES_H
#define ECHOD_SOURCES_H

#include <stddef.h>
#include <stdint.h>

struct sources;

/* Bytes of shared memory for N connections, a multiple of 64. */
size_t sources_size(uint32_t n);

/* Make a table for N connections in zeroed memory AT, at a multiple of 64 bytes. */
struct sources *sources_init(void *at, uint32_t n);

/* Count one more for the source with HASH, unless it has LIMIT.  Stores where in *PLACE; 0 if
 * there was no room, one chance in 100,000 with all N connections from different sources: it is
 * not counted then.  Returns 0, or -EDQUOT and *PLACE 0.
 *
 * *PLACE is written before the count, and cleared after it: who dies in between has counted one
 * too few, until the source has none, and never one too many. */
int sources_enter(struct sources *s, uint64_t hash, uint32_t limit, _Atomic uint32_t *place);

/* One less where *PLACE says, if that is in a table for N connections, and *PLACE is 0. */
void sources_leave(struct sources *s, uint32_t n, _Atomic uint32_t *place);

/* How many the source with HASH has. */
uint32_t sources_count(const struct sources *s, uint64_t hash);

#endif
