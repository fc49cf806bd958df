/* SPDX-License-Identifier: ISC */
/* totals.h - the counters of a service over all its crews: those that serve, those that
 * drain, and those that are gone. */
#ifndef ECHOD_TOTALS_H
#define ECHOD_TOTALS_H

#include "stats.h"

struct crew;
struct supervisor;

/* Keep the counters of C, which is about to be forgotten. */
void totals_retire(struct supervisor *s, const struct crew *c);

/* Add the counters of the service NAME since the daemon's start to SUM. */
void totals_sum(const struct supervisor *s, const char *name, uint64_t sum[N_COUNTERS]);

/* Tell the workers how many connections their service has: it makes timeouts shorter. */
void totals_tell_crowds(struct supervisor *s);

/* Log a line of counters for each service. */
void totals_log(const struct supervisor *s);

/* Forget what was kept. */
void totals_clear(struct supervisor *s);

#endif
