/* SPDX-License-Identifier: ISC */
/* dgram_guard.h - allow and deny, and the limits of a source, for datagrams. */
#ifndef ECHOD_DGRAM_GUARD_H
#define ECHOD_DGRAM_GUARD_H

#include "prefix.h"
#include "stats.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct worker;

/* One executor's guard; embedded, set up once. */
struct dgram_guard {
	const struct worker *worker;
	uint64_t now;  /* microseconds, of the batch */
	uint64_t dice; /* random, never 0 */
	/* Who asked last, and what holds for him: datagrams come in bursts. */
	struct prefix host;
	uint64_t source; /* hash of his source */
	bool allowed, exempt, shook_hands;
};

/* Set up G for the service of W. */
void dgram_guard_init(struct dgram_guard *g, const struct worker *w);

/* What comes now has just been received. */
void dgram_guard_begin(struct dgram_guard *g);

/* May SIZE bytes of DATA from the IP address FROM be answered?  They are charged to their
 * source.  Returns the counter of what forbids it, or C_DATAGRAMS_OUT. */
enum counter dgram_guard_ask(struct dgram_guard *g, const struct address *from, const char *data,
			     size_t size);

#endif
