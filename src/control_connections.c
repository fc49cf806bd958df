/* SPDX-License-Identifier: ISC */
/* Who is connected, from the slot tables, which others write meanwhile.  There may be a
 * million slots: they are looked through piece by piece, and between two pieces crews may go
 * and new ones come.  So a listing keeps the crews that there were when it began, and a crew
 * is looked at only while it is still the supervisor's. */
#include "control_call.h"

#include "crew.h"
#include "slots.h"
#include "supervisor.h"
#include "varlink.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { LOOKS = 1 << 17 /* slots that are looked at in one go: less than a millisecond */ };

int control_list(struct control_listing *l, const struct supervisor *s, const char *service)
{
	size_t n = 0;

	for (const struct crew *c = s->crews; c; c = c->next)
		n++;
	*l = (struct control_listing){.going = true};
	l->crews = calloc(n + 1, sizeof(*l->crews));
	if (!l->crews)
		return -ENOMEM;
	for (const struct crew *c = s->crews; c; c = c->next)
		if (c->slots && (!service || strcmp(c->name, service) == 0))
			l->crews[l->n++] = c;
	return 0;
}

void control_list_end(struct control_listing *l)
{
	free(l->crews);
	*l = (struct control_listing){.going = false};
}

static double epoch(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* The connection in slot I; NULL if there is none, or it changed hands while it was read. */
static json_t *connection(const struct crew *c, uint32_t i, uint64_t now)
{
	pid_t owner = c->slots->owner[i];
	struct slot copy;
	struct address peer;
	char text[ADDRESS_TEXT_MAX];
	double age;

	if (owner == 0)
		return NULL;
	memcpy(&copy, &c->slots->slot[i], sizeof(copy));
	if (copy.since == 0 || c->slots->owner[i] != owner ||
	    memcmp(&copy, &c->slots->slot[i], offsetof(struct slot, bytes_in)) != 0)
		return NULL;
	slot_peer(&copy, &peer);
	age = now > copy.since ? (double)(now - copy.since) / 1000 : 0;
	return json_pack("{s:o s:o s:i s:f s:f s:I s:I s:b}", "service", varlink_text(c->name),
			 "peer", varlink_text(address_format(&peer, text)), "pid", (int)owner,
			 "since", epoch() - age, "age", age, "bytes_in", (json_int_t)copy.bytes_in,
			 "bytes_out", (json_int_t)copy.bytes_out, "draining", c->draining);
}

static bool still_there(const struct supervisor *s, const struct crew *wanted)
{
	const struct crew *c = s->crews;

	while (c && c != wanted)
		c = c->next;
	return c && c->slots;
}

/* Add to LIST what is connected to C, from l->slot on. */
static void list_crew(struct control_listing *l, const struct crew *c, json_t *list, size_t limit,
		      unsigned *looks, uint64_t now)
{
	while (l->slot < c->slots->n && *looks < LOOKS && json_array_size(list) < limit) {
		json_t *found = NULL;

		if (atomic_load_explicit(&c->slots->owner[l->slot], memory_order_relaxed))
			found = connection(c, l->slot, now);
		if (found)
			json_array_append_new(list, found);
		l->slot++;
		*looks += 1;
	}
}

json_t *control_list_next(struct control_listing *l, const struct supervisor *s, size_t limit,
			  uint64_t now)
{
	json_t *list = json_array();
	unsigned looks = 0;

	while (list && l->at < l->n && looks < LOOKS && json_array_size(list) < limit) {
		const struct crew *c = l->crews[l->at];
		bool there = still_there(s, c);

		if (there)
			list_crew(l, c, list, limit, &looks, now);
		if (!there || l->slot >= c->slots->n) {
			l->at++;
			l->slot = 0;
		}
	}
	l->going = l->at < l->n;
	return list;
}
