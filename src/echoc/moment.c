/* SPDX-License-Identifier: ISC */
/* Time for measuring, and the wait for one socket with a deadline. */
#include "moment.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <time.h>

int64_t moment_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * (int64_t)MOMENT_S + t.tv_nsec;
}

int moment_poll(int fd, short events, int64_t deadline)
{
	struct pollfd p = {.fd = fd, .events = events};
	struct timespec t;
	int64_t left = deadline == MOMENT_NEVER ? 0 : deadline - moment_now();
	sigset_t none;
	int n;

	if (left < 0)
		left = 0;
	t = (struct timespec){.tv_sec = left / MOMENT_S, .tv_nsec = left % MOMENT_S};
	sigemptyset(&none); /* what interrupt.c holds back may come here */
	n = ppoll(&p, 1, deadline == MOMENT_NEVER ? NULL : &t, &none);
	if (n < 0)
		return -errno;
	return n == 0 ? 0 : p.revents;
}
