/* SPDX-License-Identifier: ISC */
/* Chunks are never given back: who had many connections will have many again.  A free
 * entry is used again last in, first out, while it is still in the cache. */
#include "pool.h"

#include <stdlib.h>

enum { GENERATION_BITS = 24 };

static struct entry *at(const struct pool *p, uint32_t number)
{
	return &p->chunk[number / POOL_CHUNK][number % POOL_CHUNK];
}

/* One more chunk, all of it free.  Returns false for lack of memory. */
static bool grow(struct pool *p)
{
	struct entry **chunks = realloc(p->chunk, (p->n_chunks + 1) * sizeof(*chunks));
	struct entry *chunk;

	if (!chunks)
		return false;
	p->chunk = chunks;
	chunk = calloc(POOL_CHUNK, sizeof(*chunk));
	if (!chunk)
		return false;
	chunks[p->n_chunks] = chunk;
	for (uint32_t i = POOL_CHUNK; i-- > 0;) {
		chunk[i].number = p->n_chunks * POOL_CHUNK + i;
		chunk[i].next_free = p->free_plus1;
		p->free_plus1 = chunk[i].number + 1;
	}
	p->n_chunks++;
	return true;
}

struct entry *pool_get(struct pool *p)
{
	struct entry *e;

	if (p->free_plus1 == 0 && !grow(p))
		return NULL;
	e = at(p, p->free_plus1 - 1);
	p->free_plus1 = e->next_free;
	e->generation++;
	return e;
}

void pool_free(struct pool *p, struct entry *e)
{
	e->generation++;
	e->next_free = p->free_plus1;
	p->free_plus1 = e->number + 1;
}

uint64_t pool_tag(const struct entry *e)
{
	uint64_t generation = e->generation & ((UINT32_C(1) << GENERATION_BITS) - 1);

	return generation << 32 | e->number;
}

struct entry *pool_find(const struct pool *p, uint64_t tag)
{
	uint32_t number = (uint32_t)tag;
	struct entry *e;

	if (number / POOL_CHUNK >= p->n_chunks)
		return NULL;
	e = at(p, number);
	return (e->generation & 1) && pool_tag(e) == tag ? e : NULL;
}

/* The first entry in use from NUMBER on. */
static struct entry *used_from(const struct pool *p, uint32_t number)
{
	for (; number < p->n_chunks * POOL_CHUNK; number++)
		if (at(p, number)->generation & 1)
			return at(p, number);
	return NULL;
}

struct entry *pool_first(const struct pool *p)
{
	return used_from(p, 0);
}

struct entry *pool_next(const struct pool *p, const struct entry *e)
{
	return used_from(p, e->number + 1);
}

void pool_deinit(struct pool *p)
{
	for (uint32_t i = 0; i < p->n_chunks; i++)
		free(p->chunk[i]);
	free(p->chunk);
	*p = (struct pool){.chunk = NULL};
}
