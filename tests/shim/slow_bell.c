/* SPDX-License-Identifier: ISC */
/* For LD_PRELOAD: a client's process takes long to ring the bell, the only eventfd that it writes
 * to.  Its slot is free by then. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdint.h>
#include <string.h>
#include <sys/types.h>
#include <time.h>

enum { LONG = 3 /* s */ };

static long seconds(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec;
}

ssize_t write(int fd, const void *p, size_t n)
{
	static ssize_t (*real)(int, const void *, size_t);
	long until = seconds() + LONG;
	uint64_t one = 1;

	if (!real)
		*(void **)&real = dlsym(RTLD_NEXT, __func__);
	while (n == sizeof(one) && memcmp(p, &one, n) == 0 && seconds() < until)
		; /* a call to sleep could be forbidden */
	return real(fd, p, n);
}
