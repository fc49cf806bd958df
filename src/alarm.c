/* SPDX-License-Identifier: ISC */
/* A deadline that moves away does not move the alarm: it rings once for nothing then, and is
 * set anew. */
#include "alarm.h"

#include <sys/timerfd.h>
#include <unistd.h>

void alarm_init(struct alarm *a)
{
	*a = (struct alarm){
		.fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC),
		.at = UINT64_MAX,
	};
}

void alarm_deinit(struct alarm *a)
{
	if (a->fd >= 0)
		close(a->fd);
	a->fd = -1;
}

/* From NOW on, not to a point in time: the clock of NOW is up to a tick behind the timer's, and
 * it must have come to WHEN, too, when the timer fires. */
static int set(const struct alarm *a, uint64_t now, uint64_t when)
{
	uint64_t ms = when - now;
	struct itimerspec spec = {
		.it_value = {.tv_sec = (time_t)(ms / 1000), .tv_nsec = (long)(ms % 1000) * 1000000},
	};

	return timerfd_settime(a->fd, 0, &spec, NULL);
}

uint64_t alarm_set(struct alarm *a, uint64_t now, uint64_t when)
{
	if (a->fd < 0 || when <= now)
		return when;
	if (when >= a->at)
		return UINT64_MAX;
	if (set(a, now, when) < 0)
		return when;
	a->at = when;
	return UINT64_MAX;
}

void alarm_heard(struct alarm *a)
{
	a->at = UINT64_MAX;
}
