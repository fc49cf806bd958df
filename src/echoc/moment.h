/* SPDX-License-Identifier: ISC */
/* moment.h - exact monotonic time, in nanoseconds. */
#ifndef ECHOC_MOMENT_H
#define ECHOC_MOMENT_H

#include <stdbool.h>
#include <stdint.h>

enum { MOMENT_US = 1000, MOMENT_MS = 1000000, MOMENT_S = 1000000000 };

/* A deadline that never comes. */
#define MOMENT_NEVER INT64_MAX

/* CLOCK_MONOTONIC. */
int64_t moment_now(void);

/* Wait until FD has one of poll(2)'s EVENTS, or until DEADLINE.  Returns the events that
 * came, 0 at the deadline, -EINTR when a signal came, or another -errno.  FD may be -1. */
int moment_poll(int fd, short events, int64_t deadline);

#endif
