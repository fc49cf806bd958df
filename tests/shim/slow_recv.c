/* SPDX-License-Identifier: ISC */
/* For LD_PRELOAD: recv(2) takes long, as on a host that has too much to do.  Whoever sends all the
 * time has always sent more by then. */
#define _GNU_SOURCE
#include "busy.h"

#include <dlfcn.h>
#include <sys/socket.h>

enum { LONG = 2000 /* microseconds */ };

ssize_t recv(int fd, void *p, size_t n, int flags)
{
	static ssize_t (*real)(int, void *, size_t, int);

	if (!real)
		*(void **)&real = dlsym(RTLD_NEXT, __func__);
	busy_for(LONG);
	return real(fd, p, n, flags);
}
