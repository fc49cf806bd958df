/* SPDX-License-Identifier: ISC */
/* For LD_PRELOAD: it takes long until accept4(2) looks.  Who calls it has a slot meanwhile, and
 * maybe no client for it; it may be the last to look. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <sys/socket.h>
#include <time.h>

enum { LEAST = 10, MORE = 50 /* ms */ };

static long microseconds(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

int accept4(int fd, struct sockaddr *restrict from, socklen_t *restrict len, int flags)
{
	static int (*real)(int, struct sockaddr *, socklen_t *, int);
	long since = microseconds(), until = since + (LEAST + since % MORE) * 1000;

	if (!real)
		*(void **)&real = dlsym(RTLD_NEXT, __func__);
	while (microseconds() < until)
		; /* a call to sleep could be forbidden */
	return real(fd, from, len, flags);
}
