/* SPDX-License-Identifier: ISC */
/* turn.h - the time of a reactor: what is due, in each turn of the loop of an executor that
 * multiplexes. */
#ifndef ECHOD_TURN_H
#define ECHOD_TURN_H

#include "timer.h"

struct acceptor;
struct alarm;

/* Set ALARM, which the reactor watches, to when there is something to do although nothing
 * happens.  Returns until when to wait (ms; UINT64_MAX: without end): see alarm_set(). */
uint64_t turn_deadline(const struct wheel *w, const struct acceptor *a, struct alarm *alarm);

/* It has woken up: call before anything of what has come is looked at; */
void turn_begin(struct wheel *w, struct acceptor *a);

/* and after that: FIRE is called with ARG for every timer of W that is due, and A looks at its
 * listeners again if it was to. */
void turn_end(struct wheel *w, struct acceptor *a, void (*fire)(struct timer *t, void *arg),
	      void *arg);

#endif
