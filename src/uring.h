/* SPDX-License-Identifier: ISC */
/* uring.h - the ring of one executor, io_uring(7): set up, probed and restricted in one place;
 * what can be asked of it, and the buffers that it receives into.
 *
 * What is asked waits for uring_wait() and goes to the kernel in one call with the wait.  A
 * completion names what it belongs to by the 64 bits that it was asked with. */
#ifndef ECHOD_URING_H
#define ECHOD_URING_H

#include "uring_names.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct uring {
	struct io_uring ring;
	struct io_uring_buf_ring *list; /* buffers that the kernel may take */
	char *memory;                   /* of all buffers; pages are there once touched */
	uint32_t size;                  /* bytes of one buffer */
	uint16_t buffers;               /* that exist; the others of URING_BUFFERS come later */
	uint16_t offered;               /* to the kernel, of which it does not know yet */
	bool more;                      /* there are more buffers than at the last wait */
	bool multishot;                 /* one request receives until it ends */
};

enum {
	URING_BUFFERS = 1024,    /* at most; a power of two */
	URING_BUFFER_MAX = 2048, /* bytes of one */
	URING_BURST = 32 /* buffers that a multishot receive fills at most before others have
				* their turn */
};

/* What was refused, for people. */
struct uring_refusal {
	const char *step; /* "io_uring_setup" */
	int error;        /* errno */
};

/* Set up U for the calling thread, which alone may use it, with receive buffers such that
 * what arrives between two looks at a connection fits into BOUND bytes.  Returns 0, or -errno
 * with what was refused in *WHAT. */
int uring_init(struct uring *u, uint32_t bound, struct uring_refusal *what);

/* Write into TEXT, of SIZE bytes, what was refused, and what can be the reason. */
void uring_explain(const struct uring_refusal *what, char *text, size_t size);

/* Free what U holds; requests that are not complete are cancelled. */
void uring_deinit(struct uring *u);

/* Receive from FD into buffers: into one, or if U is multishot into one after the other until
 * a completion without IORING_CQE_F_MORE. */
void uring_receive(struct uring *u, int fd, uint64_t tag);

/* Send N bytes at P, as many as go without waiting.  P must stay until the completion. */
void uring_send(struct uring *u, int fd, const char *p, uint32_t n, uint64_t tag);

/* Say once when FD has EVENTS of epoll(7); EPOLLEXCLUSIVE is possible. */
void uring_poll(struct uring *u, int fd, uint32_t events, uint64_t tag);

/* The same at every event that comes, until a completion without IORING_CQE_F_MORE. */
void uring_poll_edges(struct uring *u, int fd, uint32_t events, uint64_t tag);

/* Cancel what was asked with TAG; if it is not complete yet, it completes with -ECANCELED.
 * This has no completion of its own, unless there was nothing to cancel: that has tag 0. */
void uring_cancel(struct uring *u, uint64_t tag);

/* Buffer ID, of a completion that has IORING_CQE_F_BUFFER.  It is ours until given back. */
char *uring_buffer(const struct uring *u, uint16_t id);
void uring_give_back(struct uring *u, uint16_t id);

/* The kernel ran out of buffers: offer more, up to URING_BUFFERS. */
void uring_more_buffers(struct uring *u);

/* Tell the kernel all that was asked, and wait for a completion for at most MS milliseconds,
 * -1 = without end.  The arguments are executor_wait_by()'s: U is a struct uring. */
int uring_wait(void *u, int ms);

#endif
