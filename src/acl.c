/* SPDX-License-Identifier: ISC */
/* Networks are nested or apart, never crossed.  Sorted by their first address, larger ones
 * first, they are walked once with a stack of those that are open; wherever one begins or
 * ends, a range with one answer begins.  A question is then a search among the beginnings. */
#include "acl.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct acl_range {
	uint64_t hi, lo; /* its first address */
	bool yes;
};

/* A walk through the rules of one family. */
struct walk {
	struct acl_table *table;
	const struct acl_rule *open[129]; /* one within the other; at most one for each length */
	unsigned depth;
	bool otherwise;
};

static int by_prefix(const void *a, const void *b)
{
	const struct acl_rule *one = a, *two = b;
	int r = prefix_compare(&one->prefix, &two->prefix);

	/* Of the same network the last counts: the no. */
	return r ? r : (int)two->yes - (int)one->yes;
}

/* From the address on, the answer is that of the innermost open rule. */
static void begin(struct walk *w, uint64_t hi, uint64_t lo)
{
	bool yes = w->depth ? w->open[w->depth - 1]->yes : w->otherwise;
	struct acl_table *t = w->table;
	struct acl_range *last = t->n ? &t->range[t->n - 1] : NULL;

	if (last && last->hi == hi && last->lo == lo)
		t->n--; /* nothing is before us in it */
	if (t->n > 0 && t->range[t->n - 1].yes == yes)
		return;
	t->range[t->n++] = (struct acl_range){.hi = hi, .lo = lo, .yes = yes};
}

/* The first address after P; false if there is none. */
static bool after(const struct prefix *p, uint64_t *hi, uint64_t *lo)
{
	unsigned bits = p->width - p->bits; /* that may vary */
	uint64_t low = bits >= 64 ? 0 : UINT64_C(1) << bits;

	*lo = p->lo + low;
	*hi = p->hi + (bits >= 128 ? 0 : bits >= 64 ? UINT64_C(1) << (bits - 64) : *lo < low);
	if (p->width == 32)
		return *lo >> 32 == 0;
	return *hi != 0 || *lo != 0;
}

/* Close the open rules that do not hold for P; NULL: all. */
static void close_until(struct walk *w, const struct prefix *p)
{
	uint64_t hi, lo;

	while (w->depth > 0) {
		const struct prefix *top = &w->open[w->depth - 1]->prefix;

		if (p && prefix_has(top, p))
			return;
		w->depth--;
		if (after(top, &hi, &lo))
			begin(w, hi, lo);
	}
}

static int build_table(struct acl_table *t, const struct acl_rule *rules, size_t n, bool otherwise)
{
	struct walk w = {.table = t, .otherwise = otherwise};

	t->range = calloc(2 * n + 1, sizeof(*t->range));
	if (!t->range)
		return -ENOMEM;
	begin(&w, 0, 0);
	for (size_t i = 0; i < n; i++) {
		const struct prefix *p = &rules[i].prefix;

		close_until(&w, p);
		/* The same network once more would not be within itself. */
		if (w.depth > 0 && prefix_compare(&w.open[w.depth - 1]->prefix, p) == 0)
			w.depth--;
		w.open[w.depth++] = &rules[i];
		begin(&w, p->hi, p->lo);
	}
	close_until(&w, NULL);
	return 0;
}

int acl_build(struct acl *a, struct acl_rule *rules, size_t n, bool otherwise)
{
	size_t four = 0;
	int r;

	*a = (struct acl){.otherwise = otherwise};
	if (n > 0)
		qsort(rules, n, sizeof(*rules), by_prefix);
	while (four < n && rules[four].prefix.width == 32)
		four++;
	r = build_table(&a->four, rules, four, otherwise);
	if (r == 0)
		r = build_table(&a->six, rules + four, n - four, otherwise);
	if (r < 0)
		acl_clear(a);
	return r;
}

static int copy_table(struct acl_table *to, const struct acl_table *from)
{
	to->range = calloc(from->n + 1, sizeof(*to->range));
	if (!to->range)
		return -ENOMEM;
	if (from->n > 0)
		memcpy(to->range, from->range, from->n * sizeof(*to->range));
	to->n = from->n;
	return 0;
}

int acl_copy(struct acl *to, const struct acl *from)
{
	int r;

	*to = (struct acl){.otherwise = from->otherwise};
	r = copy_table(&to->four, &from->four);
	if (r == 0)
		r = copy_table(&to->six, &from->six);
	if (r < 0)
		acl_clear(to);
	return r;
}

void acl_clear(struct acl *a)
{
	free(a->four.range);
	free(a->six.range);
	*a = (struct acl){.otherwise = a->otherwise};
}

bool acl_says(const struct acl *a, const struct prefix *host)
{
	const struct acl_table *t = host->width == 32 ? &a->four : &a->six;
	size_t low = 0, high = t->n; /* the range is one of low to high - 1 */

	if (t->n == 0)
		return a->otherwise;
	while (high - low > 1) {
		size_t middle = low + (high - low) / 2;
		const struct acl_range *r = &t->range[middle];

		if (host->hi > r->hi || (host->hi == r->hi && host->lo >= r->lo))
			low = middle;
		else
			high = middle;
	}
	return t->range[low].yes;
}
