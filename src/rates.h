/* SPDX-License-Identifier: ISC */
/* rates.h - how fast the counters of each service grow, from looks a second apart. */
#ifndef ECHOD_RATES_H
#define ECHOD_RATES_H

#include "stats.h"

#include <stddef.h>
#include <stdint.h>

struct supervisor;

/* A service's counters at the last two looks. */
struct rate {
	char *name;
	uint64_t sum[N_COUNTERS];    /* at the last */
	uint64_t growth[N_COUNTERS]; /* from the one before */
	uint64_t at;                 /* ms: of the last; 0 = there was none */
	uint32_t ms;                 /* between the two; 0 = there was but one */
};

/* One for each service of the configuration in force, in its order. */
struct rates {
	struct rate *list;
	size_t n;
};

/* Look at the counters: call this about once a second.  Without memory nothing changes. */
void rates_look(struct supervisor *s, uint64_t now);

/* A look at the counters SUM of one service, at NOW. */
void rate_look(struct rate *r, const uint64_t sum[N_COUNTERS], uint64_t now);

/* Of service I of the configuration, or NULL if it has not been looked at yet. */
const struct rate *rates_of(const struct supervisor *s, size_t i);

/* How much counter C grew in a second; R may be NULL. */
double rate_of(const struct rate *r, enum counter c);

/* "2 services, 12 connections, 41k echoes/s" into BUF: for the service manager's STATUS.
 * Returns BUF. */
char *rates_line(const struct supervisor *s, char *buf, size_t size);

/* Forget them. */
void rates_clear(struct rates *r);

#endif
