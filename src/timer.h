/* SPDX-License-Identifier: ISC */
/* timer.h - monotonic time in milliseconds, and a wheel of deadlines for many connections:
 * adding, moving and removing cost the same however many there are.
 *
 * A timer may fire early, never late by more than a tick: whoever is called looks at its
 * own deadline and adds itself again if that has not come.  So activity on a connection
 * costs a store, not a move. */
#ifndef ECHOD_TIMER_H
#define ECHOD_TIMER_H

#include <stdint.h>

enum { WHEEL_TICK = 16 /* ms */, WHEEL_SLOTS = 256 };

/* A deadline, embedded in what it belongs to. */
struct timer {
	struct timer *prev, *next; /* NULL: not in a wheel */
	uint64_t due;              /* tick */
};

struct wheel {
	uint64_t tick;                      /* all up to here have fired */
	unsigned count;                     /* timers in the wheel */
	uint64_t used[2][WHEEL_SLOTS / 64]; /* which slots hold any: a bit each */
	struct timer slots[2][WHEEL_SLOTS]; /* list heads: [0] by tick, [1] by 256 ticks */
};

/* CLOCK_MONOTONIC_COARSE in milliseconds: as exact as the kernel's tick (1 to 10 ms). */
uint64_t timer_now(void);

/* CLOCK_MONOTONIC in microseconds. */
uint64_t timer_micros(void);

void wheel_init(struct wheel *w, uint64_t now);

/* Fire T at DUE milliseconds, or a little later; T must not be in a wheel. */
void wheel_add(struct wheel *w, struct timer *t, uint64_t due);

/* Take T out; nothing happens if it is in no wheel. */
void wheel_remove(struct wheel *w, struct timer *t);

/* Call FIRE for every timer that is due at NOW; it is out of the wheel by then. */
void wheel_advance(struct wheel *w, uint64_t now, void (*fire)(struct timer *t, void *arg),
		   void *arg);

/* Milliseconds from NOW until wheel_advance() has work, -1 for never. */
int wheel_wait(const struct wheel *w, uint64_t now);

#endif
