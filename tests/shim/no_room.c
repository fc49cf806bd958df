/* SPDX-License-Identifier: ISC */
/* For LD_PRELOAD: what a process sends with sendmsg(2) has no room, unless it is a descriptor. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <sys/socket.h>

ssize_t sendmsg(int fd, const struct msghdr *m, int flags)
{
	ssize_t (*real)(int, const struct msghdr *, int);

	if (!m->msg_control) {
		errno = ENOBUFS;
		return -1;
	}
	*(void **)&real = dlsym(RTLD_NEXT, __func__);
	return real(fd, m, flags);
}
