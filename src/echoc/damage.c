/* SPDX-License-Identifier: ISC */
/* The autopsy of bytes that are not the expected ones.  It is slow and may be: it runs once for
 * a connection that is then given up.
 *
 * The bytes behind the first wrong one are searched for a word that can be located (a "run").
 * Where the run belongs tells the damage: to another stream, to an earlier or to a later place
 * of the same one; and if none is there, the bytes were zeroed or changed. */
#include "damage.h"

#include "pattern.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>

const char *const damage_names[N_DAMAGES] = {
	[DAMAGE_NONE] = "none",           [DAMAGE_CUT] = "cut",
	[DAMAGE_FOREIGN] = "foreign",     [DAMAGE_DUPLICATED] = "duplicated",
	[DAMAGE_REORDERED] = "reordered", [DAMAGE_ZEROED] = "zeroed",
	[DAMAGE_CHANGED] = "changed",     [DAMAGE_EXTRA] = "extra",
};

/* What is looked at. */
struct view {
	const uint8_t *got;
	size_t len;
	uint32_t stream;
	uint64_t offset, end;
	const struct damage_world *world;
};

/* Bytes FROM to TO - 1 of the view are those of STREAM from AT on. */
struct run {
	size_t from, to;
	uint32_t stream;
	uint64_t at;
};

/* Places are known modulo the period: take the one that is nearest to NEAR. */
static uint64_t unwrap(uint64_t at, uint64_t near)
{
	uint64_t whole = near - near % PATTERN_PERIOD + at;

	if (whole > near + PATTERN_PERIOD / 2 && whole >= PATTERN_PERIOD)
		return whole - PATTERN_PERIOD;
	return whole + PATTERN_PERIOD / 2 < near ? whole + PATTERN_PERIOD : whole;
}

/* Does a run begin with the word at P?  One word alone may be chance if the world is large, so
 * what follows must agree as far as there is something. */
static bool run_at(const struct view *v, size_t p, struct run *r)
{
	size_t checked;

	pattern_locate(v->got + p, &r->stream, &r->at);
	if (r->stream < v->world->first || r->stream >= v->world->end)
		return false;
	r->at = unwrap(r->at, v->offset + p);
	if (r->at >= v->world->limit)
		return false;
	r->from = p;
	for (r->to = p + 8; r->to < v->len; r->to++)
		if (v->got[r->to] != pattern_byte(r->stream, r->at + (r->to - p)))
			break;
	checked = v->len - p < 16 ? v->len - p : 16;
	return r->to - p >= checked || r->to - p >= 12;
}

/* The first run from byte P on, extended to its left. */
static bool run_find(const struct view *v, size_t p, struct run *r)
{
	for (; p + 8 <= v->len; p++) {
		if (!run_at(v, p, r))
			continue;
		while (r->from > 0 && r->at > 0 &&
		       v->got[r->from - 1] == pattern_byte(r->stream, r->at - 1)) {
			r->from--;
			r->at--;
		}
		return true;
	}
	return false;
}

/* Both readings of the bytes from LO to HI agree by chance, so that the boundary may be at any
 * of them.  Buffers have round sizes: take the roundest. */
static size_t roundest(const struct view *v, size_t lo, size_t hi)
{
	size_t best = hi;
	int zeros = -1;

	for (size_t x = lo; x <= hi; x++) {
		uint64_t at = v->offset + x;
		int n = at ? __builtin_ctzll(at) : 64;

		if (n > zeros) {
			zeros = n;
			best = x;
		}
	}
	return best;
}

/* Does byte AT of the stream come from byte P of the view on? */
static bool comes_later(const struct view *v, size_t p, uint64_t at)
{
	struct run r;

	for (; run_find(v, p, &r); p = r.to)
		if (r.stream == v->stream && r.at <= at && at < r.at + (r.to - r.from))
			return true;
	return false;
}

/* A run stands at byte X: D says where the bytes belong. */
static void name_run(const struct view *v, const struct run *r, size_t x, struct damage *d)
{
	uint64_t at = r->at + (x - r->from), length = r->to - x;

	d->at = v->offset + x;
	d->other_stream = r->stream;
	d->other_at = at;
	d->length = length;
	if (r->stream != v->stream) {
		d->kind = DAMAGE_FOREIGN;
	} else if (at < d->at) {
		d->kind = DAMAGE_DUPLICATED;
		if (length > d->at - at)
			d->length = d->at - at;
	} else if (comes_later(v, r->to, d->at)) {
		d->kind = DAMAGE_REORDERED;
	} else {
		d->kind = DAMAGE_CUT;
		d->length = at - d->at;
	}
}

/* Bytes FROM to TO - 1 belong nowhere. */
static void name_garbage(const struct view *v, size_t from, size_t to, struct damage *d)
{
	size_t zeros = from, lo = from;

	while (zeros < to && v->got[zeros] == 0)
		zeros++;
	while (to == v->len && zeros > from && zeros < to && zeros - from < 8)
		zeros = from; /* a zero among others */
	d->kind = DAMAGE_CHANGED;
	if (zeros == to || zeros - from >= 8) {
		d->kind = DAMAGE_ZEROED;
		while (lo > 0 && v->got[lo - 1] == 0)
			lo--;
		from = roundest(v, lo, from);
		to = zeros;
	} else if (v->offset + from >= v->end) {
		d->kind = DAMAGE_EXTRA;
		to = v->len;
	}
	d->at = v->offset + from;
	d->length = to - from;
	d->got = v->got[from];
	d->want = pattern_byte(v->stream, d->at);
}

/* The first byte that is wrong, or LEN. */
static size_t first_wrong(const struct view *v)
{
	size_t i = 0;

	while (i < v->len && v->offset + i < v->end &&
	       v->got[i] == pattern_byte(v->stream, v->offset + i))
		i++;
	return i;
}

struct damage damage_find(const uint8_t *got, size_t len, uint32_t stream, uint64_t offset,
			  uint64_t end, const struct damage_world *world)
{
	struct view v = {got, len, stream, offset, end, world};
	struct damage d = {.kind = DAMAGE_NONE, .stream = stream};
	size_t wrong = first_wrong(&v);
	struct run r;

	if (wrong == len)
		return d;
	if (!run_find(&v, wrong, &r))
		name_garbage(&v, wrong, len, &d);
	else if (r.from > wrong)
		name_garbage(&v, wrong, r.from, &d);
	else
		name_run(&v, &r, roundest(&v, r.from, wrong), &d);
	return d;
}

static int text_of_message(const struct damage *d, char *buf, size_t size)
{
	uint64_t into = d->at - d->message;

	if (d->message_size == 0)
		return snprintf(buf, size, "%s", "");
	if (d->kind == DAMAGE_CUT && into == 0 && d->length >= d->message_size)
		return snprintf(buf, size, ": a whole message of %" PRIu64, d->message_size);
	if (d->kind == DAMAGE_CUT)
		return snprintf(buf, size, ": a message of %" PRIu64 " was cut at %" PRIu64,
				d->message_size, into);
	return snprintf(buf, size, ": from byte %" PRIu64 " of a message of %" PRIu64, into,
			d->message_size);
}

const char *damage_text(const struct damage *d, char buf[DAMAGE_TEXT_MAX])
{
	uint64_t last = d->at + d->length - (d->length > 0);
	size_t size = DAMAGE_TEXT_MAX;
	int n = 0;

	switch (d->kind) {
	case DAMAGE_CUT:
		n = snprintf(buf, size, "bytes %" PRIu64 " to %" PRIu64 " of stream %u are missing",
			     d->at, last, d->stream);
		break;
	case DAMAGE_FOREIGN:
		n = snprintf(buf, size,
			     "byte %" PRIu64 " of stream %u belongs to stream %u (its byte %" PRIu64
			     "; %" PRIu64 " bytes)",
			     d->at, d->stream, d->other_stream, d->other_at, d->length);
		break;
	case DAMAGE_DUPLICATED:
		n = snprintf(buf, size,
			     "bytes %" PRIu64 " to %" PRIu64 " of stream %u are duplicated at byte "
			     "%" PRIu64,
			     d->other_at, d->other_at + d->length - 1, d->stream, d->at);
		break;
	case DAMAGE_REORDERED:
		n = snprintf(buf, size,
			     "byte %" PRIu64 " of stream %u came reordered, before byte %" PRIu64,
			     d->other_at, d->stream, d->at);
		break;
	case DAMAGE_ZEROED:
		n = snprintf(buf, size, "bytes %" PRIu64 " to %" PRIu64 " of stream %u are zeroed",
			     d->at, last, d->stream);
		break;
	case DAMAGE_CHANGED:
		n = snprintf(buf, size,
			     "bytes %" PRIu64 " to %" PRIu64 " of stream %u are changed: the first "
			     "is 0x%02x, not 0x%02x",
			     d->at, last, d->stream, d->got, d->want);
		break;
	case DAMAGE_EXTRA:
		n = snprintf(buf, size,
			     "%" PRIu64 " bytes more than the %" PRIu64 " of stream %u came back",
			     d->length, d->at, d->stream);
		break;
	default:
		n = snprintf(buf, size, "nothing is wrong with stream %u", d->stream);
		break;
	}
	text_of_message(d, buf + n, size - (size_t)n);
	return buf;
}
