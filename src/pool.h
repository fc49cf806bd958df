/* SPDX-License-Identifier: ISC */
/* pool.h - the connections of one executor that multiplexes: in chunks that never move,
 * named by a number and a generation, so that an event for one that is gone finds nobody. */
#ifndef ECHOD_POOL_H
#define ECHOD_POOL_H

#include "conn.h"
#include "timer.h"

#include <stddef.h>
#include <stdint.h>

/* What is under way for a connection in a ring: see flow.c. */
struct flow {
	uint16_t first_plus1, last_plus1; /* buffers received, not looked at; 0 = none */
	uint16_t sending_plus1;           /* buffer that is being sent; 0 = none */
	uint16_t at;                      /* where in it the bytes begin */
	int16_t error;                    /* -errno that ends it */
	uint8_t small;                    /* reads in a row that were small */
	bool receiving : 1;               /* into the ring's buffers */
	bool polling : 1;
	bool cancelled : 1; /* receiving or polling is to end */
	bool leaving : 1;   /* by steps from now on */
	bool expired : 1;   /* a deadline has come */
	bool fin : 1;       /* of the client's, not told yet */
};

/* A connection and what its reactor knows of it. */
struct entry {
	struct conn conn;
	struct timer timer;
	uint32_t number;
	uint32_t generation; /* odd: in use; 24 bits of it are in the tag */
	uint32_t next_free;  /* number + 1 of the next free one; 0 = none */
	struct flow flow;    /* in a ring */
	uint8_t want;        /* enum conn_want that the engine waits for */
};

struct pool {
	struct entry **chunk; /* POOL_CHUNK entries each; n_chunks of them */
	uint32_t n_chunks;
	uint32_t free_plus1; /* number + 1 of the first free entry; 0 = none */
};

enum { POOL_CHUNK = 256 };

/* An entry to use, or NULL for lack of memory.  Start from a zeroed pool. */
struct entry *pool_get(struct pool *p);

/* Give E back: its tag is nobody's from now on. */
void pool_free(struct pool *p, struct entry *e);

/* What stands for E in an event: below 2^56, so that enum tag fits above it. */
uint64_t pool_tag(const struct entry *e);

/* The entry with TAG, or NULL if it is gone. */
struct entry *pool_find(const struct pool *p, uint64_t tag);

/* All entries in use, in no order; the current one may be given back on the way. */
struct entry *pool_first(const struct pool *p);
struct entry *pool_next(const struct pool *p, const struct entry *e);

/* Free the memory of all entries. */
void pool_deinit(struct pool *p);

static inline struct entry *entry_of_timer(struct timer *t)
{
	return (struct entry *)((char *)t - offsetof(struct entry, timer));
}

#endif
