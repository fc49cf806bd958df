/* SPDX-License-Identifier: ISC */
/* complete.c - in the same library, for the engine io_uring: one completion is an error, the Nth
 * of its kind.  A kind is what the daemon asked for, by the upper byte of the 64 bits that go
 * with it (flow.h, engine_uring.c).
 *
 * A result cannot be changed once the kernel has acted: bytes that were received would be lost,
 * which no error does.  So it is the request that is spoilt, by a descriptor that does not
 * exist, and its EBADF is then read as the error.  Of a cancellation only the result is changed,
 * as nothing may stay that was to go.
 *
 * A multishot receive would complete many times for one request; while receives are meant there
 * are none. */
#define _GNU_SOURCE
#include "fail.h"

#include <dlfcn.h>
#include <errno.h>
#include <liburing.h>

enum { CANCEL, RECEIVE, SEND, POLL, LISTENER, LEASH, BELL, ALARM, KINDS };

static struct call kinds[KINDS] = {
	[CANCEL] = {.name = "cqe_cancel"},     [RECEIVE] = {.name = "cqe_receive"},
	[SEND] = {.name = "cqe_send"},         [POLL] = {.name = "cqe_poll"},
	[LISTENER] = {.name = "cqe_listener"}, [LEASH] = {.name = "cqe_leash"},
	[BELL] = {.name = "cqe_bell"},         [ALARM] = {.name = "cqe_alarm"},
};

/* The one that was spoilt; a ring belongs to one thread. */
static _Thread_local struct {
	bool is;
	uint64_t tag;
	int error;
} spoilt;

__attribute__((constructor(101))) static void known_kinds(void)
{
	for (unsigned i = 0; i < KINDS; i++)
		fail_known(&kinds[i]);
}

static struct call *kind_of(uint64_t tag)
{
	return tag >> 56 < KINDS ? &kinds[tag >> 56] : NULL;
}

/* Less of it than was asked for, which is no error. */
static void shorten(struct io_uring_sqe *sqe)
{
	sqe->len = sqe->opcode == IORING_OP_SEND ? (sqe->len + 1) / 2 : 1;
}

static void spoil(struct io_uring_sqe *sqe, int error)
{
	spoilt.is = true;
	spoilt.tag = sqe->user_data;
	spoilt.error = error;
	if (sqe->opcode == IORING_OP_ASYNC_CANCEL)
		sqe->flags &= (uint8_t)~IOSQE_CQE_SKIP_SUCCESS;
	else
		sqe->fd = -1;
}

/* Those that are told to the kernel now. */
static void look_at_requests(struct io_uring *ring)
{
	struct io_uring_sq *sq = &ring->sq;

	for (unsigned i = sq->sqe_head; i != sq->sqe_tail; i++) {
		struct io_uring_sqe *sqe = &sq->sqes[i & *sq->kring_mask];
		struct call *kind = kind_of(sqe->user_data);

		if (!kind || !kind->meant)
			continue;
		if (sqe->opcode == IORING_OP_RECV)
			sqe->ioprio &= (uint16_t)~IORING_RECV_MULTISHOT;
		if (!fail_now(kind))
			continue;
		if (errno == 0)
			shorten(sqe);
		else
			spoil(sqe, errno);
	}
}

unsigned io_uring_peek_batch_cqe(struct io_uring *ring, struct io_uring_cqe **cqes, unsigned count)
{
	static unsigned (*real)(struct io_uring *, struct io_uring_cqe **, unsigned);
	unsigned n;

	if (!real)
		real = dlsym(RTLD_NEXT, "io_uring_peek_batch_cqe");
	n = real(ring, cqes, count);
	for (unsigned i = 0; i < n; i++) {
		struct call *kind = kind_of(cqes[i]->user_data);

		if (spoilt.is && cqes[i]->user_data == spoilt.tag) {
			cqes[i]->res = -spoilt.error;
			spoilt.is = false;
		} else if (kind && !kind->meant) {
			fail_now(kind); /* it is counted, for whoever wants to know */
		}
	}
	return n;
}

/* clang-format off */
#define LOOK(name, parameters, arguments)               \
 int name parameters                                    \
 {                                                      \
  static int(*real) parameters;                         \
                                                        \
  if (!real)                                            \
   real = (int(*) parameters)dlsym(RTLD_NEXT, #name);   \
  look_at_requests(ring);                               \
  return real arguments;                                \
 }

LOOK(io_uring_submit, (struct io_uring *ring), (ring))
LOOK(io_uring_submit_and_get_events, (struct io_uring *ring), (ring))
LOOK(io_uring_submit_and_wait, (struct io_uring *ring, unsigned n), (ring, n))
LOOK(io_uring_submit_and_wait_timeout,
     (struct io_uring *ring, struct io_uring_cqe **cqe, unsigned n,
      struct __kernel_timespec *time, sigset_t *mask),
     (ring, cqe, n, time, mask))
/* clang-format on */
