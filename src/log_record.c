/* SPDX-License-Identifier: ISC */
/* Fields stand apart by NUL, and no value can hold one: so what a peer, a path or a file's
 * text has in it is always inside its own field.  Control characters are taken out here,
 * once for all places where a record may be written: nothing of it may move a terminal's
 * cursor or start a line of its own. */
#include "log_record.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

/* A text that grows in a buffer of fixed size; what does not fit is left out. */
struct words {
	char *at;
	size_t left; /* the NUL included */
};

static void put(struct words *w, const char *text, size_t n)
{
	n = n < w->left ? n : w->left - 1;
	memcpy(w->at, text, n);
	w->at += n;
	w->left -= n;
	*w->at = '\0';
}

void log_record_init(struct log_record *r, enum event event, int level)
{
	*r = (struct log_record){.event = (uint16_t)event, .level = level, .pid = getpid()};
	clock_gettime(CLOCK_REALTIME, &r->when);
	if (event_rows[event].repeated)
		r->key = (uint64_t)event;
}

/* Is C written as it is in a value of this kind? */
static bool plain(enum field_kind kind, unsigned char c)
{
	return c >= ' ' && c != 127 && (kind != KIND_WORD || (c != ' ' && c != '\\'));
}

/* Add the text of a value as its kind is written. */
static void put_value(struct words *w, enum field_kind kind, const char *text)
{
	char code[5];
	size_t n;

	for (; *text; text += n) {
		for (n = 0; text[n] && plain(kind, (unsigned char)text[n]);)
			n++;
		put(w, text, n);
		if (n > 0)
			continue;
		snprintf(code, sizeof(code), "\\x%02x", (unsigned char)*text);
		put(w, kind == KIND_WORD ? code : "?", kind == KIND_WORD ? 4 : 1);
		n = 1;
	}
}

void log_record_add(struct log_record *r, const struct event_field *f)
{
	enum field_kind kind = event_fields[f->id].kind;
	bool texts = kind == KIND_TEXT || kind == KIND_WORD || kind == KIND_PAIRS;
	struct words w = {.at = r->data + r->length, .left = sizeof(r->data) - r->length};
	char number[24], id = (char)f->id;

	if ((texts && !f->text) || w.left < 2)
		return;
	put(&w, &id, 1);
	if (!texts)
		snprintf(number, sizeof(number), "%" PRIu64, f->number);
	put_value(&w, kind, texts ? f->text : number);
	r->length = (uint16_t)(w.at + 1 - r->data);
}

/* Fields that make one cause of trouble another: each is to be told. */
static const enum field cause_fields[] = {FIELD_REASON, FIELD_CALL};

/* FNV-1a of TEXT up to STOP, from H on. */
static uint64_t hash_to(uint64_t h, const char *text, char stop)
{
	for (const char *p = text; p && *p && *p != stop; p++)
		h = (h ^ (unsigned char)*p) * 1099511628211u;
	return h;
}

uint64_t log_record_cause(const struct log_record *r)
{
	const char *service = log_record_get(r, FIELD_SERVICE);
	uint64_t h = r->key * 1099511628211u;

	if (!r->key)
		return 0;
	h = hash_to(h, service ? service : log_record_get(r, FIELD_TEXT), ' ');
	for (size_t i = 0; i < sizeof(cause_fields) / sizeof(cause_fields[0]); i++)
		h = hash_to(h, log_record_get(r, cause_fields[i]), '\0');
	return h | 1;
}

size_t log_record_size(const struct log_record *r)
{
	return offsetof(struct log_record, data) + r->length;
}

enum field log_record_next(const struct log_record *r, const char **at)
{
	const char *next = *at ? *at + strlen(*at) + 1 : r->data;

	if (next >= r->data + r->length)
		return FIELD_NONE;
	*at = next + 1;
	return (enum field)(unsigned char)*next;
}

int log_record_check(const struct log_record *r, size_t n)
{
	const char *end;

	if (n < offsetof(struct log_record, data) || r->length > sizeof(r->data) ||
	    n != log_record_size(r) || r->event >= N_EVENTS || r->level < LOG_ERR ||
	    r->level > LOG_DEBUG)
		return -EBADMSG;
	end = r->data + r->length;
	if (r->length && end[-1] != '\0')
		return -EBADMSG;
	for (const char *p = r->data; p < end; p += strlen(p + 1) + 2)
		if (p + 1 == end || *p <= FIELD_NONE || *p >= N_FIELDS)
			return -EBADMSG;
	return 0;
}

const char *log_record_get(const struct log_record *r, enum field field)
{
	const char *at = NULL;
	enum field id;

	while ((id = log_record_next(r, &at)))
		if (id == field)
			return at;
	return NULL;
}

/* A value as people read it.  Numbers were written by us, or by a process of ours that has
 * gone mad: then they are what they are. */
static void put_readable(struct words *w, enum field id, const char *value)
{
	unsigned long long number = strtoull(value, NULL, 10);
	const char *name = NULL;
	char buf[80];
	int n;

	switch (event_fields[id].kind) {
	case KIND_USEC:
		n = snprintf(buf, sizeof(buf), "%.3f", (double)number / 1e6);
		break;
	case KIND_ERRNO:
		name = strerrordesc_np((int)number);
		n = snprintf(buf, sizeof(buf), "%s%s", name ? name : "error ", name ? "" : value);
		break;
	case KIND_SIGNAL:
		name = sigdescr_np((int)number);
		n = snprintf(buf, sizeof(buf), "signal %s (%s)", value, name ? name : "unknown");
		break;
	case KIND_STATUS:
		n = snprintf(buf, sizeof(buf), "exit status %s", value);
		break;
	default:
		put(w, value, strlen(value));
		return;
	}
	put(w, buf, (size_t)n < sizeof(buf) ? (size_t)n : sizeof(buf) - 1);
}

/* The field whose name the LEN bytes at NAME are. */
static enum field find(const char *name, size_t len)
{
	for (int i = FIELD_NONE + 1; i < N_FIELDS; i++)
		if (strlen(event_fields[i].name) == len &&
		    memcmp(event_fields[i].name, name, len) == 0)
			return (enum field)i;
	return FIELD_NONE;
}

static void put_field(struct words *w, const struct log_record *r, enum field id)
{
	const char *value = log_record_get(r, id), *absent = event_fields[id].absent;

	if (value)
		put_readable(w, id, value);
	else if (absent)
		put(w, absent, strlen(absent));
}

size_t log_record_message(const struct log_record *r, char *buf, size_t size)
{
	struct words w = {.at = buf, .left = size};
	const char *p = event_rows[r->event].text, *repeated;
	char more[80];
	int n;

	while (*p) {
		size_t before = strcspn(p, "@");
		const char *name = p + before + 1, *end = p[before] ? strchr(name, '@') : NULL;

		put(&w, p, before);
		if (!end)
			break;
		put_field(&w, r, find(name, (size_t)(end - name)));
		p = end + 1;
	}
	repeated = log_record_get(r, FIELD_REPEATED);
	if (repeated) {
		n = snprintf(more, sizeof(more), " (and %s more like it in %d s)", repeated,
			     LOG_RECORD_WINDOW / 1000);
		put(&w, more, (size_t)n < sizeof(more) ? (size_t)n : sizeof(more) - 1);
	}
	return (size_t)(w.at - buf);
}
