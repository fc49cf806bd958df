/* SPDX-License-Identifier: ISC */
/* log_causes.h - complaints that come again and again are counted where they arise: in memory
 * that all who log share with the logger, with a place for each cause.  Now and then one is
 * passed on, so that the logger has a recent one to show; a flood costs it nothing. */
#ifndef ECHOD_LOG_CAUSES_H
#define ECHOD_LOG_CAUSES_H

#include <stdbool.h>
#include <stdint.h>

enum {
	LOG_CAUSES = 128,       /* places */
	LOG_CAUSES_BURST = 8,   /* of one cause that are passed on at once, */
	LOG_CAUSES_PAUSE = 100, /* and ms to one more */
};

/* Zeroed memory has no causes. */
struct log_causes {
	struct log_cause {
		_Atomic uint64_t counted; /* the cause, and how often it was not passed on */
		_Atomic uint64_t full_at; /* ms: when a whole burst may be passed on again */
	} cause[LOG_CAUSES];
};

/* The place of the cause KEY, which takes one if it has none; LOG_CAUSES if there is no more. */
unsigned log_causes_place(struct log_causes *c, uint64_t key);

/* A complaint with the cause KEY arises; NOW is CLOCK_MONOTONIC in ms.  Is it to be passed on?
 * It is where the cause has no place; else, if not, it is counted. */
bool log_causes_pass(struct log_causes *c, uint64_t key, uint64_t now);

/* The rest is for the logger alone. */

/* What was counted in place I since it was asked for the last time. */
uint32_t log_causes_take(struct log_causes *c, unsigned i);

/* Place I is to be nobody's; false if something was counted there meanwhile: it stays. */
bool log_causes_close(struct log_causes *c, unsigned i);

#endif
