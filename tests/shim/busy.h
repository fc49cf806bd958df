/* SPDX-License-Identifier: ISC */
/* busy.h - for what is to take long: a call to sleep could be forbidden to who is under test. */
#include <time.h>

static inline long busy_clock(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

/* Do nothing for so many MICROSECONDS. */
static inline void busy_for(long microseconds)
{
	long until = busy_clock() + microseconds;

	while (busy_clock() < until)
		;
}
