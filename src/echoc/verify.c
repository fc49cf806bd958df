/* SPDX-License-Identifier: ISC */
/* Comparing a stream with its echo.  What was sent is kept until it comes back, and a little
 * longer: bytes that come twice are found in there. */
#include "verify.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { HISTORY = 256 << 10 /* bytes */, SURE = 8 /* bytes that are hardly there by chance */ };

void verify_deinit(struct verify *v)
{
	free(v->sent);
	*v = (struct verify){0};
}

/* Forget what came back long ago, once that is worth the copying. */
static void forget(struct verify *v)
{
	size_t back = (size_t)(v->next - v->base), drop;

	if (back < 2 * HISTORY || back < v->size / 2)
		return;
	drop = back - HISTORY;
	memmove(v->sent, v->sent + drop, v->size - drop);
	v->size -= drop;
	v->base += drop;
}

int verify_sent(struct verify *v, const void *data, size_t size)
{
	if (!v->damaged)
		forget(v);
	if (v->room - v->size < size) {
		size_t room = (v->size + size) * 2;
		char *grown = realloc(v->sent, room);

		if (!grown)
			return -ENOMEM;
		v->sent = grown;
		v->room = room;
	}
	if (size > 0)
		memcpy(v->sent + v->size, data, size);
	v->size += size;
	return 0;
}

size_t verify_due(const struct verify *v)
{
	return v->size - (size_t)(v->next - v->base);
}

static void keep_probe(struct verify *v, const char *data, size_t size)
{
	if (size > sizeof(v->probe) - v->n_probe)
		size = sizeof(v->probe) - v->n_probe;
	memcpy(v->probe + v->n_probe, data, size);
	v->n_probe += size;
}

bool verify_got(struct verify *v, const void *data, size_t size)
{
	const char *got = data, *want;
	size_t n = 0, due = verify_due(v), common = size < due ? size : due;

	if (v->damaged) {
		keep_probe(v, got, size);
		return false;
	}
	want = v->sent + (v->next - v->base);
	if (common > 0 && memcmp(want, got, common) == 0)
		n = common;
	while (n < common && want[n] == got[n])
		n++;
	v->next += n;
	if (n == size)
		return true;
	v->damaged = true;
	v->bad = v->next;
	keep_probe(v, got + n, size - n);
	return false;
}

static bool all_zero(const char *p, size_t n)
{
	while (n > 0 && p[n - 1] == 0)
		n--;
	return n == 0;
}

/* Where in what was sent the bytes of the probe are, nearest to the damage; -1: nowhere. */
static int64_t find_origin(const struct verify *v)
{
	size_t at = (size_t)(v->bad - v->base);
	const char *after = memmem(v->sent + at, v->size - at, v->probe, v->n_probe);
	int64_t best = after ? (int64_t)(v->base + (uint64_t)(after - v->sent)) : -1;

	if (best >= 0)
		return best;
	for (size_t i = at; i-- > 0;)
		if (i + v->n_probe <= v->size && memcmp(v->sent + i, v->probe, v->n_probe) == 0)
			return (int64_t)(v->base + i);
	return -1;
}

uint64_t verify_missing(const struct verify *v)
{
	int64_t origin = v->damaged && v->n_probe >= SURE ? find_origin(v) : -1;

	return origin > (int64_t)v->bad ? (uint64_t)origin - v->bad : 0;
}

const char *verify_text(const struct verify *v, char buf[VERIFY_TEXT_MAX])
{
	uint64_t end = v->base + v->size;
	int64_t origin;

	if (!v->damaged) {
		if (v->next == end)
			return NULL;
		snprintf(buf, VERIFY_TEXT_MAX, "cut at %" PRIu64 " of %" PRIu64 " bytes", v->next,
			 end);
		return buf;
	}
	origin = v->n_probe >= SURE ? find_origin(v) : -1;
	if (all_zero(v->probe, v->n_probe))
		snprintf(buf, VERIFY_TEXT_MAX, "zeroed from byte %" PRIu64 " on", v->bad);
	else if (origin > (int64_t)v->bad)
		snprintf(buf, VERIFY_TEXT_MAX,
			 "bytes missing: %" PRIu64 " from byte %" PRIu64 " on",
			 (uint64_t)origin - v->bad, v->bad);
	else if (origin >= 0)
		snprintf(buf, VERIFY_TEXT_MAX,
			 "duplicated: at byte %" PRIu64 " come those from %" PRId64 " on again",
			 v->bad, origin);
	else if (v->bad == end)
		snprintf(buf, VERIFY_TEXT_MAX,
			 "more than was sent: byte %" PRIu64 " follows the end", v->bad);
	else
		snprintf(buf, VERIFY_TEXT_MAX,
			 "changed: byte %" PRIu64 " is 0x%02x, was sent as 0x%02x", v->bad,
			 (uint8_t)v->probe[0], (uint8_t)v->sent[v->bad - v->base]);
	return buf;
}
