/* SPDX-License-Identifier: ISC */
/* fortified.c - the calls of shim.c as a program built with _FORTIFY_SOURCE names them. */
#define _GNU_SOURCE
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

ssize_t __read_chk(int fd, void *buf, size_t size, size_t room);
ssize_t __recv_chk(int fd, void *buf, size_t size, size_t room, int flags);
ssize_t __recvfrom_chk(int fd, void *restrict buf, size_t size, size_t room, int flags,
		       struct sockaddr *restrict from, socklen_t *restrict len);
int __poll_chk(struct pollfd *v, nfds_t n, int timeout, size_t room);
int __ppoll_chk(struct pollfd *v, nfds_t n, const struct timespec *timeout, const sigset_t *mask,
		size_t room);

ssize_t __read_chk(int fd, void *buf, size_t size, size_t room)
{
	return size > room ? (abort(), -1) : read(fd, buf, size);
}

ssize_t __recv_chk(int fd, void *buf, size_t size, size_t room, int flags)
{
	return size > room ? (abort(), -1) : recv(fd, buf, size, flags);
}

ssize_t __recvfrom_chk(int fd, void *restrict buf, size_t size, size_t room, int flags,
		       struct sockaddr *restrict from, socklen_t *restrict len)
{
	return size > room ? (abort(), -1) : recvfrom(fd, buf, size, flags, from, len);
}

int __poll_chk(struct pollfd *v, nfds_t n, int timeout, size_t room)
{
	return n > room / sizeof(*v) ? (abort(), -1) : poll(v, n, timeout);
}

int __ppoll_chk(struct pollfd *v, nfds_t n, const struct timespec *timeout, const sigset_t *mask,
		size_t room)
{
	return n > room / sizeof(*v) ? (abort(), -1) : ppoll(v, n, timeout, mask);
}
