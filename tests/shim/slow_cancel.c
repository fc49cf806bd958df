/* SPDX-License-Identifier: ISC */
/* For LD_PRELOAD: what a ring cancels takes effect late.  In the meantime a poll that wakes one
 * alone takes every wake-up for itself, and says of none. */
#define _GNU_SOURCE
#include "busy.h"

#include <dlfcn.h>
#include <liburing.h>
#include <stdbool.h>

enum { LATE = 400 /* ms */ };

/* Tell the kernel what is to be cancelled; it does it when the ring's owner waits. */
static void cancel_late(struct io_uring *ring)
{
	struct io_uring_sq *sq = &ring->sq;
	bool cancels = false;

	for (unsigned i = sq->sqe_head; i != sq->sqe_tail; i++)
		cancels |= sq->sqes[i & *sq->kring_mask].opcode == IORING_OP_ASYNC_CANCEL;
	if (!cancels)
		return;
	io_uring_submit(ring);
	busy_for(LATE * 1000);
}

int io_uring_submit_and_wait(struct io_uring *ring, unsigned n)
{
	static int (*real)(struct io_uring *, unsigned);

	if (!real)
		*(void **)&real = dlsym(RTLD_NEXT, __func__);
	cancel_late(ring);
	return real(ring, n);
}

int io_uring_submit_and_wait_timeout(struct io_uring *ring, struct io_uring_cqe **cqe, unsigned n,
				     struct __kernel_timespec *ts, sigset_t *mask)
{
	static int (*real)(struct io_uring *, struct io_uring_cqe **, unsigned,
			   struct __kernel_timespec *, sigset_t *);

	if (!real)
		*(void **)&real = dlsym(RTLD_NEXT, __func__);
	cancel_late(ring);
	return real(ring, cqe, n, ts, mask);
}
