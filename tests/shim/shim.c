/* SPDX-License-Identifier: ISC */
/* shim.c - an LD_PRELOAD library that makes the kernel's answers worse: transfers are cut
 * short, calls fail with EAGAIN or EINTR, accept, fork and pthread_create with any errno, a
 * receive never returns, the wall clock is wrong.
 *
 * The panel is a file mapped by every process of the daemon and by the test, so a test turns
 * faults on and off while the daemon runs, and reads how many there were.  Its path stands in
 * the environment variable ECHOD_SHIM.  Only data sockets are touched: IP, and UNIX sockets
 * with a name; the daemon's own socket pairs have none.
 *
 * A process can also be made to do any system call, as if somebody had broken into it.
 *
 * Faults are drawn from one seeded sequence per thread, so that a run with one
 * client can be repeated. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

/* The words that shim.py names, in the same order. */
struct panel {
	_Atomic uint32_t seed;
	_Atomic uint32_t cut_percent, cut_most; /* stream transfers: cut to 1..cut_most bytes */
	_Atomic uint32_t again_percent;         /* transfers fail with EAGAIN */
	_Atomic uint32_t intr_percent;          /* transfers and waits fail with EINTR */
	_Atomic uint32_t accept_errno, accept_left;
	_Atomic uint32_t fork_skip, fork_errno, fork_left; /* the first fork_skip work */
	_Atomic uint32_t thread_errno, thread_left;
	_Atomic uint32_t send_skip, send_errno, send_left; /* datagrams only; as with fork */
	_Atomic uint32_t receive_errno, receive_left;      /* the same */
	_Atomic uint32_t hang_left; /* receives on streams that never return */
	_Atomic int32_t wall_days;  /* what the wall clock is ahead */
	_Atomic uint32_t call_number, call_accept, call_transfer; /* made that many times */
	_Atomic uint32_t did_cut, did_again, did_intr, did_accept, did_fork, did_thread, did_send;
	_Atomic uint32_t did_receive, streams; /* sequences of random numbers given out */
};

static struct panel *panel;
static _Thread_local uint64_t state;

/* Found at the first call and not in a constructor: sanitizers interpose the same names. */
#define REAL(name)              \
 static __typeof__(&name) real; \
 if (!real)                     \
 real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

__attribute__((constructor)) static void open_panel(void)
{
	const char *path = getenv("ECHOD_SHIM");
	int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
	void *map;

	if (fd < 0)
		return;
	map = mmap(NULL, sizeof(*panel), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	if (map != MAP_FAILED)
		panel = map;
}

/* xorshift64*, seeded by the panel and the order in which threads first ask. */
static uint32_t draw(uint32_t below)
{
	if (!state)
		state = (panel->seed + 1ull) * 0x9E3779B97F4A7C15ull ^ (uint64_t)++panel->streams
									       << 17;
	state ^= state >> 12;
	state ^= state << 25;
	state ^= state >> 27;
	return (uint32_t)((state * 0x2545F4914F6CDD1Dull) >> 33) % below;
}

static bool happens(uint32_t percent)
{
	return percent && draw(100) < percent;
}

/* Does a call with a limited number of faults fail?  UINT32_MAX is without limit. */
static int planned(_Atomic uint32_t *left, _Atomic uint32_t *error, _Atomic uint32_t *did)
{
	uint32_t n = panel ? *left : 0;

	while (n && n != UINT32_MAX && !atomic_compare_exchange_weak(left, &n, n - 1))
		;
	if (!n)
		return 0;
	++*did;
	return (int)*error;
}

/* 0 for a descriptor that is not ours to disturb, else SOCK_STREAM or SOCK_DGRAM. */
static int data_socket(int fd)
{
	struct sockaddr_un name;
	socklen_t len = sizeof(name);
	int type = 0, saved = errno;

	if (panel && !getsockname(fd, (struct sockaddr *)&name, &len) &&
	    (name.sun_family != AF_UNIX || len > sizeof(name.sun_family))) {
		len = sizeof(type);
		getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len);
	}
	errno = saved;
	return type;
}

static bool interrupted(void)
{
	if (!panel || !happens(panel->intr_percent))
		return false;
	++panel->did_intr;
	errno = EINTR;
	return true;
}

/* Make the call that is asked for, if LEFT says so. */
static void misbehave(_Atomic uint32_t *left)
{
	uint32_t n = *left;
	int saved = errno;

	while (n && !atomic_compare_exchange_weak(left, &n, n - 1))
		;
	if (n)
		syscall(panel->call_number, -1, 0, 0, 0, 0, 0);
	errno = saved;
}

/* Shall a transfer on FD fail?  Sets errno.  A datagram that cannot be sent is lost for good,
 * so that one needs `send_left`. */
static bool fails(int fd, bool sending)
{
	int type = data_socket(fd);
	int error;

	if (!type)
		return false;
	misbehave(&panel->call_transfer);
	if (interrupted())
		return true;
	if (type == SOCK_DGRAM && sending)
		error = planned(&panel->send_left, &panel->send_errno, &panel->did_send);
	else if (type == SOCK_DGRAM && panel->receive_left)
		error = planned(&panel->receive_left, &panel->receive_errno, &panel->did_receive);
	else if ((error = happens(panel->again_percent) ? EAGAIN : 0))
		++panel->did_again;
	errno = error ? error : errno;
	return error != 0;
}

/* The number of bytes that a transfer of SIZE on FD may move. */
static size_t cut(int fd, size_t size)
{
	size_t most;

	if (!panel || size < 2 || !panel->cut_most || data_socket(fd) != SOCK_STREAM ||
	    !happens(panel->cut_percent))
		return size;
	most = 1 + draw(panel->cut_most);
	if (most >= size)
		return size;
	++panel->did_cut;
	return most;
}

/* Is this the receive that never returns? */
static void hang(int fd)
{
	uint32_t n = panel ? panel->hang_left : 0;

	if (n && data_socket(fd) == SOCK_STREAM &&
	    atomic_compare_exchange_strong(&panel->hang_left, &n, n - 1))
		for (;;)
			pause();
}

ssize_t recv(int fd, void *buf, size_t size, int flags)
{
	REAL(recv);
	hang(fd);
	return fails(fd, false) ? -1 : real(fd, buf, cut(fd, size), flags);
}

ssize_t send(int fd, const void *buf, size_t size, int flags)
{
	REAL(send);
	return fails(fd, true) ? -1 : real(fd, buf, cut(fd, size), flags);
}

ssize_t recvfrom(int fd, void *restrict buf, size_t size, int flags, struct sockaddr *restrict from,
		 socklen_t *restrict len)
{
	REAL(recvfrom);
	return fails(fd, false) ? -1 : real(fd, buf, cut(fd, size), flags, from, len);
}

ssize_t sendto(int fd, const void *buf, size_t size, int flags, const struct sockaddr *to,
	       socklen_t len)
{
	REAL(sendto);
	return fails(fd, true) ? -1 : real(fd, buf, cut(fd, size), flags, to, len);
}

ssize_t read(int fd, void *buf, size_t size)
{
	REAL(read);
	return fails(fd, false) ? -1 : real(fd, buf, cut(fd, size));
}

ssize_t write(int fd, const void *buf, size_t size)
{
	REAL(write);
	return fails(fd, true) ? -1 : real(fd, buf, cut(fd, size));
}

/* A message cut to its first vector's first bytes. */
static struct msghdr shortened(int fd, const struct msghdr *m, struct iovec *one)
{
	struct msghdr copy = *m;

	if (!m->msg_iovlen)
		return copy;
	*one = m->msg_iov[0];
	one->iov_len = cut(fd, one->iov_len);
	if (one->iov_len < m->msg_iov[0].iov_len) {
		copy.msg_iov = one;
		copy.msg_iovlen = 1;
	}
	return copy;
}

ssize_t recvmsg(int fd, struct msghdr *m, int flags)
{
	REAL(recvmsg);
	struct msghdr copy;
	struct iovec one;
	ssize_t n;

	if (fails(fd, false))
		return -1;
	copy = shortened(fd, m, &one);
	n = real(fd, &copy, flags);
	m->msg_namelen = copy.msg_namelen;
	m->msg_controllen = copy.msg_controllen;
	m->msg_flags = copy.msg_flags;
	return n;
}

ssize_t sendmsg(int fd, const struct msghdr *m, int flags)
{
	REAL(sendmsg);
	struct msghdr copy;
	struct iovec one;

	if (fails(fd, true))
		return -1;
	copy = shortened(fd, m, &one);
	return real(fd, &copy, flags);
}

int recvmmsg(int fd, struct mmsghdr *v, unsigned n, int flags, struct timespec *timeout)
{
	REAL(recvmmsg);
	return fails(fd, false) ? -1 : real(fd, v, n, flags, timeout);
}

/* Several datagrams in one message, which the kernel is to cut: UDP_SEGMENT. */
static bool is_burst(const struct msghdr *m)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR((struct msghdr *)m, c))
		if (c->cmsg_level == SOL_UDP && c->cmsg_type == UDP_SEGMENT)
			return true;
	return false;
}

/* The first that fails ends the call, and if there were some before it its errno is kept back
 * until it is tried again.  A burst fails as one: what is planned is planned for single ones. */
int sendmmsg(int fd, struct mmsghdr *v, unsigned n, int flags)
{
	REAL(sendmmsg);
	uint32_t skip = panel && panel->send_left ? panel->send_skip : 0;

	if (skip > 0) {
		int sent = real(fd, v, n < skip ? n : skip, flags);

		panel->send_skip -= sent > 0 ? (uint32_t)sent : 0;
		return sent;
	}
	if (panel && panel->send_left && n > 0 && is_burst(&v->msg_hdr)) {
		errno = (int)panel->send_errno;
		return -1;
	}
	return fails(fd, true) ? -1 : real(fd, v, n, flags);
}

static bool no_accept(void)
{
	int error = planned(&panel->accept_left, &panel->accept_errno, &panel->did_accept);

	misbehave(&panel->call_accept);
	if (error) {
		errno = error;
		return true;
	}
	return interrupted();
}

int accept4(int fd, struct sockaddr *restrict from, socklen_t *restrict len, int flags)
{
	REAL(accept4);
	return panel && no_accept() ? -1 : real(fd, from, len, flags);
}

int accept(int fd, struct sockaddr *restrict from, socklen_t *restrict len)
{
	REAL(accept);
	return panel && no_accept() ? -1 : real(fd, from, len);
}

pid_t fork(void)
{
	REAL(fork);
	bool skip = panel && panel->fork_left && panel->fork_skip && panel->fork_skip--;
	int error = !panel || skip
			    ? 0
			    : planned(&panel->fork_left, &panel->fork_errno, &panel->did_fork);

	if (!error)
		return real();
	errno = error;
	return -1;
}

int pthread_create(pthread_t *restrict thread, const pthread_attr_t *restrict attr,
		   void *(*run)(void *), void *restrict arg)
{
	REAL(pthread_create);
	int error = panel ? planned(&panel->thread_left, &panel->thread_errno, &panel->did_thread)
			  : 0;

	return error ? error : real(thread, attr, run, arg);
}

int poll(struct pollfd *v, nfds_t n, int timeout)
{
	REAL(poll);
	return interrupted() ? -1 : real(v, n, timeout);
}

int ppoll(struct pollfd *v, nfds_t n, const struct timespec *timeout, const sigset_t *mask)
{
	REAL(ppoll);
	return interrupted() ? -1 : real(v, n, timeout, mask);
}

int epoll_wait(int fd, struct epoll_event *v, int n, int timeout)
{
	REAL(epoll_wait);
	return interrupted() ? -1 : real(fd, v, n, timeout);
}

int epoll_pwait(int fd, struct epoll_event *v, int n, int timeout, const sigset_t *mask)
{
	REAL(epoll_pwait);
	return interrupted() ? -1 : real(fd, v, n, timeout, mask);
}

int epoll_pwait2(int fd, struct epoll_event *v, int n, const struct timespec *timeout,
		 const sigset_t *mask)
{
	REAL(epoll_pwait2);
	return interrupted() ? -1 : real(fd, v, n, timeout, mask);
}

int clock_gettime(clockid_t clock, struct timespec *now)
{
	REAL(clock_gettime);
	int r = real(clock, now);

	if (r == 0 && panel && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
		now->tv_sec += panel->wall_days * 86400;
	return r;
}
