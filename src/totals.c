/* SPDX-License-Identifier: ISC */
/* A list with one entry for each name that a service ever had; reloads are rare and names
 * few. */
#include "totals.h"

#include "conf.h"
#include "log.h"
#include "slots.h"
#include "supervisor.h"

#include <stdlib.h>
#include <string.h>

/* Counters of a service's crews that are gone. */
struct totals {
	struct totals *next;
	char *name;
	uint64_t sum[N_COUNTERS];
};

static struct totals *find(const struct supervisor *s, const char *name)
{
	struct totals *t = s->totals;

	while (t && strcmp(t->name, name) != 0)
		t = t->next;
	return t;
}

void totals_retire(struct supervisor *s, const struct crew *c)
{
	struct totals *t = find(s, c->name);

	if (!t) {
		t = calloc(1, sizeof(*t));
		if (!t || !(t->name = strdup(c->name))) {
			free(t);
			return;
		}
		t->next = s->totals;
		s->totals = t;
	}
	crew_sum(c, t->sum);
}

void totals_sum(const struct supervisor *s, const char *name, uint64_t sum[N_COUNTERS])
{
	const struct totals *gone = find(s, name);

	for (int i = 0; gone && i < N_COUNTERS; i++)
		sum[i] += gone->sum[i];
	for (const struct crew *c = s->crews; c; c = c->next)
		if (strcmp(c->name, name) == 0)
			crew_sum(c, sum);
}

/* The counters are right in the end whoever has died.  A number kept beside the slots would
 * not be, and it would be a line of memory that every processor wants for every client. */
void totals_tell_crowds(struct supervisor *s)
{
	for (struct crew *c = s->crews; c; c = c->next) {
		uint64_t sum[N_COUNTERS] = {0};

		if (!c->slots)
			continue;
		crew_sum(c, sum);
		c->slots->shared->crowd = (uint32_t)stats_active(sum);
	}
}

void totals_log(const struct supervisor *s)
{
	char text[1536];

	for (size_t i = 0; i < s->conf->n_services; i++) {
		const char *name = s->conf->services[i].name;
		uint64_t sum[N_COUNTERS] = {0};

		totals_sum(s, name, sum);
		log_event(EVENT_COUNTERS, F_TEXT(SERVICE, name),
			  F_TEXT(COUNTERS, stats_format(sum, text, sizeof(text))));
	}
}

void totals_clear(struct supervisor *s)
{
	struct totals *t;

	while ((t = s->totals)) {
		s->totals = t->next;
		free(t->name);
		free(t);
	}
}
