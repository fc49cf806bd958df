/* SPDX-License-Identifier: ISC */
/* For LD_PRELOAD: it takes long until accept4(2) looks.  Who calls it has a slot meanwhile, and
 * maybe no client for it; it may be the last to look. */
#define _GNU_SOURCE
#include "busy.h"

#include <dlfcn.h>
#include <sys/socket.h>

enum { LEAST = 10, MORE = 50 /* ms */ };

int accept4(int fd, struct sockaddr *restrict from, socklen_t *restrict len, int flags)
{
	static int (*real)(int, struct sockaddr *, socklen_t *, int);

	if (!real)
		*(void **)&real = dlsym(RTLD_NEXT, __func__);
	busy_for((LEAST + busy_clock() % MORE) * 1000);
	return real(fd, from, len, flags);
}
