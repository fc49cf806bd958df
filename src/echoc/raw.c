/* SPDX-License-Identifier: ISC */
/* The recorder that keeps everything.  It is what the histogram is checked against: it shares
 * none of its arithmetic, and a page that is touched for the first time each 512 values is all
 * that it costs the thread that measures. */
#include "raw.h"

#include <inttypes.h>
#include <stdlib.h>

enum { PIECE = (1 << 20) / sizeof(uint64_t) - 2 };

struct piece {
	struct piece *next;
	uint64_t n;
	uint64_t ns[PIECE];
};

struct raw {
	struct piece *first, *last;
	uint64_t missing;
};

struct raw *raw_new(void)
{
	return calloc(1, sizeof(struct raw));
}

void raw_free(struct raw *r)
{
	struct piece *next;

	for (struct piece *p = r ? r->first : NULL; p; p = next) {
		next = p->next;
		free(p);
	}
	free(r);
}

static void append(struct raw *r, struct piece *first, struct piece *last)
{
	if (r->last)
		r->last->next = first;
	else
		r->first = first;
	r->last = last;
}

void raw_add(struct raw *r, uint64_t ns)
{
	struct piece *p;

	if (!r)
		return;
	if (!r->last || r->last->n == PIECE) {
		p = malloc(sizeof(*p)); /* not calloc(): its pages are touched when they are used */
		if (!p) {
			r->missing++;
			return;
		}
		p->next = NULL;
		p->n = 0;
		append(r, p, p);
	}
	p = r->last;
	p->ns[p->n++] = ns;
}

void raw_join(struct raw *r, struct raw *from)
{
	if (!r || !from)
		return;
	if (from->first)
		append(r, from->first, from->last);
	r->missing += from->missing;
	*from = (struct raw){0};
}

uint64_t raw_missing(const struct raw *r)
{
	return r ? r->missing : 0;
}

void raw_write(const struct raw *r, FILE *out)
{
	for (const struct piece *p = r ? r->first : NULL; p; p = p->next)
		for (uint64_t i = 0; i < p->n; i++)
			fprintf(out, "%" PRIu64 ".%03u\n", p->ns[i] / 1000,
				(unsigned)(p->ns[i] % 1000));
}
