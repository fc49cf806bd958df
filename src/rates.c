/* SPDX-License-Identifier: ISC */
/* The supervisor's regular look keeps two sums of each counter.  Growth over the time that
 * really passed is exact; a look that comes late only makes the mean one over longer. */
#include "rates.h"

#include "conf.h"
#include "size.h"
#include "supervisor.h"
#include "totals.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void rate_look(struct rate *r, const uint64_t sum[N_COUNTERS], uint64_t now)
{
	if (r->at && now <= r->at)
		return;
	r->ms = r->at ? (uint32_t)(now - r->at) : 0;
	r->at = now;
	for (int i = 0; i < N_COUNTERS; i++) {
		/* Blocks are read while they are written: a sum may seem to shrink. */
		r->growth[i] = sum[i] > r->sum[i] ? sum[i] - r->sum[i] : 0;
		r->sum[i] = sum[i];
	}
}

double rate_of(const struct rate *r, enum counter c)
{
	return r && r->ms ? (double)r->growth[c] * 1000 / r->ms : 0;
}

void rates_clear(struct rates *r)
{
	for (size_t i = 0; i < r->n; i++)
		free(r->list[i].name);
	free(r->list);
	*r = (struct rates){0};
}

/* Is there an entry for each service of CONF, in its order? */
static bool fits(const struct rates *r, const struct conf *conf)
{
	bool same = r->n == conf->n_services;

	for (size_t i = 0; same && i < r->n; i++)
		same = strcmp(r->list[i].name, conf->services[i].name) == 0;
	return same;
}

/* What was known of the service NAME. */
static void remember(struct rate *now, const struct rates *old)
{
	for (size_t i = 0; i < old->n; i++) {
		if (strcmp(old->list[i].name, now->name) == 0) {
			char *name = now->name;

			*now = old->list[i];
			now->name = name;
		}
	}
}

/* Make the entries fit CONF; what is known of services that stay is kept. */
static bool make_fit(struct rates *r, const struct conf *conf)
{
	struct rates made = {.list = calloc(conf->n_services, sizeof(*made.list))};

	if (!made.list)
		return false;
	for (size_t i = 0; i < conf->n_services; i++) {
		made.list[i].name = strdup(conf->services[i].name);
		if (!made.list[i].name) {
			rates_clear(&made);
			return false;
		}
		made.n++;
		remember(&made.list[i], r);
	}
	rates_clear(r);
	*r = made;
	return true;
}

void rates_look(struct supervisor *s, uint64_t now)
{
	if (!fits(&s->rates, s->conf) && !make_fit(&s->rates, s->conf))
		return;
	for (size_t i = 0; i < s->rates.n; i++) {
		uint64_t sum[N_COUNTERS] = {0};

		totals_sum(s, s->rates.list[i].name, sum);
		rate_look(&s->rates.list[i], sum, now);
	}
}

const struct rate *rates_of(const struct supervisor *s, size_t i)
{
	return fits(&s->rates, s->conf) ? &s->rates.list[i] : NULL;
}

char *rates_line(const struct supervisor *s, char *buf, size_t size)
{
	uint64_t active = 0;
	double echoes = 0;
	char number[SIZE_TEXT_MAX];

	for (size_t i = 0; i < s->rates.n; i++) {
		active += stats_active(s->rates.list[i].sum);
		echoes += rate_of(&s->rates.list[i], C_ECHOES);
	}
	snprintf(buf, size, "%zu service%s, %llu connection%s, %s echoes/s", s->conf->n_services,
		 s->conf->n_services == 1 ? "" : "s", (unsigned long long)active,
		 active == 1 ? "" : "s", size_short(echoes, number));
	return buf;
}
