/* SPDX-License-Identifier: ISC */
/* Deadlines come last in a turn: what arrived in time is looked at before. */
#include "turn.h"

#include "acceptor.h"
#include "alarm.h"
#include "executor.h"

#include <stddef.h>

uint64_t turn_deadline(const struct wheel *w, const struct acceptor *a, struct alarm *alarm)
{
	uint64_t now = a->executor->now, retry = a->retry_at;
	int wait = wheel_wait(w, now);
	uint64_t deadline = wait < 0 ? UINT64_MAX : now + (uint64_t)wait;

	return alarm_set(alarm, now, retry > 0 && retry < deadline ? retry : deadline);
}

/* An empty wheel catches up at once; one that has timers would, tick by tick, with all the
 * time that nobody was there. */
void turn_begin(struct wheel *w, struct acceptor *a)
{
	a->waits++;
	if (w->count == 0)
		wheel_advance(w, a->executor->now, NULL, NULL);
}

void turn_end(struct wheel *w, struct acceptor *a, void (*fire)(struct timer *t, void *arg),
	      void *arg)
{
	uint64_t now = a->executor->now;

	wheel_advance(w, now, fire, arg);
	if (a->retry_at > 0 && now >= a->retry_at)
		acceptor_resume(a);
}
