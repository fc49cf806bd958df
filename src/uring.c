/* SPDX-License-Identifier: ISC */
/* Setting up a ring and asking things of it.
 *
 * The ring belongs to one thread (SINGLE_ISSUER), and completions are made only while that
 * waits (DEFER_TASKRUN, Linux 6.1), so that nothing interrupts it; an older kernel gets
 * COOP_TASKRUN.  Before it is enabled the ring is restricted to the five operations used
 * here: whoever gets hold of it can open, read or write nothing by it.
 *
 * Buffers are not a page apart but a page and a line, and only as many are offered as were
 * needed at one time: those in use stay in the cache. */
#include "uring.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>

enum {
	REQUESTS = 512,     /* that wait to be told to the kernel */
	COMPLETIONS = 4096, /* that wait to be looked at; more are kept by the kernel */
	FEW_BUFFERS = 64,   /* offered at first */
	GROUP = 0,          /* of the buffers */
	LINE = 64           /* bytes between two buffers */
};

/* Operations and registrations that are left once the ring is enabled. */
static const uint8_t allowed_operations[] = {
	IORING_OP_RECV,
	IORING_OP_SEND,
	IORING_OP_POLL_ADD,
	IORING_OP_ASYNC_CANCEL,
};
static const uint8_t allowed_registrations[] = {
	IORING_UNREGISTER_RING_FDS,
};
enum { SQE_FLAGS = IOSQE_BUFFER_SELECT | IOSQE_CQE_SKIP_SUCCESS };

static int set_up(struct uring *u)
{
	static const unsigned ways[] = {
		IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN,
		IORING_SETUP_COOP_TASKRUN,
	};
	int r = -EINVAL;

	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]) && r == -EINVAL; i++) {
		struct io_uring_params p = {
			.flags = ways[i] | IORING_SETUP_SUBMIT_ALL | IORING_SETUP_R_DISABLED |
				 IORING_SETUP_CQSIZE,
			.cq_entries = COMPLETIONS,
		};

		r = io_uring_queue_init_params(REQUESTS, &u->ring, &p);
	}
	if (r == 0)
		u->multishot = u->ring.features & IORING_FEAT_RECVSEND_BUNDLE;
	return r;
}

static size_t list_size(void)
{
	return URING_BUFFERS * sizeof(struct io_uring_buf);
}

static size_t memory_size(const struct uring *u)
{
	return URING_BUFFERS * (size_t)(u->size + LINE);
}

static void *map(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

static int register_buffers(struct uring *u)
{
	struct io_uring_buf_reg reg = {.ring_entries = URING_BUFFERS, .bgid = GROUP};

	u->list = map(list_size());
	u->memory = map(memory_size(u));
	if (!u->list || !u->memory)
		return -ENOMEM;
	io_uring_buf_ring_init(u->list);
	reg.ring_addr = (uintptr_t)u->list;
	return io_uring_register_buf_ring(&u->ring, &reg, 0);
}

static int restrict_ring(struct uring *u)
{
	struct io_uring_restriction
		r[sizeof(allowed_operations) + sizeof(allowed_registrations) + 1];
	unsigned n = 0;

	memset(r, 0, sizeof(r));
	for (size_t i = 0; i < sizeof(allowed_operations); i++, n++) {
		r[n].opcode = IORING_RESTRICTION_SQE_OP;
		r[n].sqe_op = allowed_operations[i];
	}
	for (size_t i = 0; i < sizeof(allowed_registrations); i++, n++) {
		r[n].opcode = IORING_RESTRICTION_REGISTER_OP;
		r[n].register_op = allowed_registrations[i];
	}
	r[n].opcode = IORING_RESTRICTION_SQE_FLAGS_ALLOWED;
	r[n++].sqe_flags = SQE_FLAGS;
	return io_uring_register((unsigned)u->ring.ring_fd, IORING_REGISTER_RESTRICTIONS, r, n);
}

static int enable(struct uring *u)
{
	return io_uring_register((unsigned)u->ring.ring_fd, IORING_REGISTER_ENABLE_RINGS, NULL, 0);
}

/* The ring's descriptor is found faster by a number of the thread's own; it works without. */
static int shorten(struct uring *u)
{
	io_uring_register_ring_fd(&u->ring);
	return 0;
}

/* A filter of system calls may allow the making of a ring, and not its use. */
static int try_it(struct uring *u)
{
	int r = io_uring_get_events(&u->ring);

	return r == -EPERM || r == -EACCES || r == -ENOSYS ? r : 0;
}

static const struct step {
	const char *name;
	int (*take)(struct uring *u);
} steps[] = {
	{"io_uring_setup", set_up},
	{"IORING_REGISTER_PBUF_RING", register_buffers},
	{"IORING_REGISTER_RESTRICTIONS", restrict_ring},
	{"IORING_REGISTER_RING_FDS", shorten},
	{"IORING_REGISTER_ENABLE_RINGS", enable},
	{"io_uring_enter", try_it},
};

/* What the administrator can see to. */
static const struct reason {
	int error;
	const char *text;
} reasons[] = {
	{EPERM, "kernel.io_uring_disabled, or a filter of system calls"},
	{EACCES, "a security module"},
	{ENOSYS, "the kernel has none, or a filter of system calls"},
	{ENOMEM, "memory, or the limit of locked memory"},
	{EINVAL, "the kernel is too old"},
	{0, NULL},
};

void uring_explain(const struct uring_refusal *what, char *text, size_t size)
{
	const struct reason *row = reasons;

	while (row->error && row->error != what->error)
		row++;
	snprintf(text, size, "%s: %s%s%s%s", what->step, strerror(what->error),
		 row->text ? " (" : "", row->text ? row->text : "", row->text ? ")" : "");
}

/* Until a connection is stopped, two bursts may come in: half of BOUND each. */
int uring_init(struct uring *u, uint32_t bound, struct uring_refusal *what)
{
	uint32_t size = bound / (2 * URING_BURST);

	*u = (struct uring){.size = size < URING_BUFFER_MAX ? size : URING_BUFFER_MAX};
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		int r = steps[i].take(u);

		if (r < 0) {
			*what = (struct uring_refusal){.step = steps[i].name, .error = -r};
			if (i > 0)
				uring_deinit(u);
			return r;
		}
	}
	uring_more_buffers(u);
	return 0;
}

void uring_deinit(struct uring *u)
{
	io_uring_queue_exit(&u->ring);
	if (u->list)
		munmap(u->list, list_size());
	if (u->memory)
		munmap(u->memory, memory_size(u));
}

/* An entry of the queue; when that is full, what is in it goes to the kernel first. */
static struct io_uring_sqe *ask(struct uring *u)
{
	struct io_uring_sqe *sqe;

	while (!(sqe = io_uring_get_sqe(&u->ring)))
		if (io_uring_submit(&u->ring) < 0)
			io_uring_get_events(&u->ring); /* too many completions wait */
	return sqe;
}

void uring_receive(struct uring *u, int fd, uint64_t tag)
{
	struct io_uring_sqe *sqe = ask(u);

	io_uring_prep_recv(sqe, fd, NULL, 0, 0);
	if (u->multishot)
		sqe->ioprio |= IORING_RECV_MULTISHOT;
	sqe->flags = IOSQE_BUFFER_SELECT;
	sqe->buf_group = GROUP;
	sqe->user_data = tag;
}

void uring_send(struct uring *u, int fd, const char *p, uint32_t n, uint64_t tag)
{
	struct io_uring_sqe *sqe = ask(u);

	io_uring_prep_send(sqe, fd, p, n, MSG_DONTWAIT | MSG_NOSIGNAL);
	sqe->user_data = tag;
}

void uring_poll(struct uring *u, int fd, uint32_t events, uint64_t tag)
{
	struct io_uring_sqe *sqe = ask(u);

	io_uring_prep_poll_add(sqe, fd, events);
	sqe->user_data = tag;
}

void uring_poll_edges(struct uring *u, int fd, uint32_t events, uint64_t tag)
{
	struct io_uring_sqe *sqe = ask(u);

	io_uring_prep_poll_multishot(sqe, fd, events);
	sqe->user_data = tag;
}

void uring_cancel(struct uring *u, uint64_t tag)
{
	struct io_uring_sqe *sqe = ask(u);

	io_uring_prep_cancel64(sqe, tag, 0);
	sqe->flags = IOSQE_CQE_SKIP_SUCCESS;
	sqe->user_data = 0;
}

char *uring_buffer(const struct uring *u, uint16_t id)
{
	assert(id < u->buffers);
	return u->memory + (size_t)id * (u->size + LINE);
}

void uring_give_back(struct uring *u, uint16_t id)
{
	io_uring_buf_ring_add(u->list, uring_buffer(u, id), u->size, id, URING_BUFFERS - 1,
			      u->offered++);
}

void uring_more_buffers(struct uring *u)
{
	uint16_t from = u->buffers, to = from ? (uint16_t)(from * 2) : FEW_BUFFERS;

	if (from == URING_BUFFERS || u->more)
		return;
	u->more = true;
	u->buffers = to;
	for (uint16_t id = from; id < to; id++)
		uring_give_back(u, id);
}

/* Enter the kernel, which makes completions only meanwhile.  To look, without waiting, is a call
 * of its own: a wait of no time is still one for the scheduler and its timers. */
static int enter(struct uring *u, int ms)
{
	struct __kernel_timespec time = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L};
	struct io_uring_cqe *first;

	if (ms < 0)
		return io_uring_submit_and_wait(&u->ring, 1);
	if (ms == 0)
		return io_uring_submit_and_get_events(&u->ring);
	return io_uring_submit_and_wait_timeout(&u->ring, &first, 1, &time, NULL);
}

int uring_wait(void *arg, int ms)
{
	struct uring *u = arg;
	unsigned n;
	int r;

	if (u->offered > 0)
		io_uring_buf_ring_advance(u->list, u->offered);
	u->offered = 0;
	u->more = false;
	r = enter(u, ms);
	n = io_uring_cq_ready(&u->ring);
	return n > 0 || r >= 0 || r == -ETIME ? (int)n : r;
}
