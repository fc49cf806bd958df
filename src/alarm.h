/* SPDX-License-Identifier: ISC */
/* alarm.h - wakes an executor that waits without end: a timer of the kernel's (timerfd_create(2))
 * that its engine watches, edge-triggered.  It is set only when the next deadline comes nearer
 * than what it is set to.  Deadlines are seconds away and waits microseconds long, so that a
 * timeout for every wait would cost more than all else that echod adds to an echo. */
#ifndef ECHOD_ALARM_H
#define ECHOD_ALARM_H

#include <stdint.h>

struct alarm {
	int fd;      /* to watch; -1: there is none, and waits end by themselves */
	uint64_t at; /* ms, timer_now(), of what it is set to; UINT64_MAX: to nothing */
};

/* Make A.  Without a descriptor for it, it works as said of alarm_set(). */
void alarm_init(struct alarm *a);

/* Free what A holds, also to do without it. */
void alarm_deinit(struct alarm *a);

/* It is NOW, and the next deadline is WHEN (ms; UINT64_MAX: none).  Returns when the wait is to
 * end by itself: UINT64_MAX, or WHEN if A cannot see to it. */
uint64_t alarm_set(struct alarm *a, uint64_t now, uint64_t when);

/* It has been heard: it is set to nothing. */
void alarm_heard(struct alarm *a);

#endif
