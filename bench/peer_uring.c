/* SPDX-License-Identifier: ISC */
/* peer_uring.c - an echo server with io_uring, bare: multishot accept and receive, one ring
 * of buffers for all clients, completions run only when they are asked for (DEFER_TASKRUN).
 *
 * It is correct: one send is in flight for each client and takes all that is held for it; one
 * that does not read holds at most some HELD_MAX buffers, then its receive is cancelled until
 * they are sent; a client that found no buffer waits for one that comes back; and a
 * connection is closed only after its last operation.
 *
 * BUFFER is the size of a buffer, 4096 bytes if not said. */
#include "peer.h"

#include <errno.h>
#include <liburing.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

enum { BUFFERS = 4096, BUFFER_SIZE = 4096, HELD_MAX = 16, SQES = 4096, CQES = 16384 };
enum { NONE = BUFFERS }; /* no buffer */
enum tag { ACCEPT, RECV, SEND, CANCEL, TAGS };

struct conn {
	int fd;
	bool receiving, sending, cancelling; /* operations that are out */
	bool ended;                          /* the client's FIN came */
	bool failed;                         /* only to be closed */
	bool starved;                        /* it waits for a buffer, in a list */
	unsigned head, tail, held;           /* buffers with what is to be sent */
	unsigned offset;                     /* bytes of the first that are sent */
	struct conn *next;                   /* in the list of the starved */
	struct msghdr msg;
	struct iovec iov[HELD_MAX];
};

static struct io_uring ring;
static struct io_uring_buf_ring *lent;
static char *memory;
static size_t buffer_size = BUFFER_SIZE;
static unsigned available; /* buffers that the kernel has */
static struct {
	unsigned next; /* of the same client */
	unsigned len;  /* bytes */
} buffers[BUFFERS];
static struct conn *starved;
static int listen_fd;
static bool paused; /* no descriptor or memory: accept when a client has gone */

static struct io_uring_sqe *new_sqe(void)
{
	struct io_uring_sqe *sqe;

	while (!(sqe = io_uring_get_sqe(&ring)))
		io_uring_submit(&ring);
	return sqe;
}

/* A completion says whose it is and what: the address of a connection has its low bits free. */
static uint64_t name_of(struct conn *c, enum tag tag)
{
	return (uint64_t)(uintptr_t)c | tag;
}

static void start_accept(void)
{
	struct io_uring_sqe *sqe = new_sqe();

	io_uring_prep_multishot_accept(sqe, listen_fd, NULL, NULL, SOCK_CLOEXEC);
	io_uring_sqe_set_data64(sqe, name_of(NULL, ACCEPT));
	paused = false;
}

static void start_recv(struct conn *c)
{
	struct io_uring_sqe *sqe = new_sqe();

	io_uring_prep_recv_multishot(sqe, c->fd, NULL, 0, 0);
	sqe->flags |= IOSQE_BUFFER_SELECT;
	sqe->buf_group = 0;
	io_uring_sqe_set_data64(sqe, name_of(c, RECV));
	c->receiving = true;
}

static void stop_recv(struct conn *c)
{
	struct io_uring_sqe *sqe = new_sqe();

	io_uring_prep_cancel64(sqe, name_of(c, RECV), 0);
	io_uring_sqe_set_data64(sqe, name_of(c, CANCEL));
	c->cancelling = true;
}

/* Send all that is held; the kernel goes on after a short send by itself. */
static void start_send(struct conn *c)
{
	struct io_uring_sqe *sqe = new_sqe();
	unsigned n = 0, offset = c->offset;

	for (unsigned b = c->head; b != NONE && n < HELD_MAX; b = buffers[b].next, n++) {
		c->iov[n].iov_base = memory + b * buffer_size + offset;
		c->iov[n].iov_len = buffers[b].len - offset;
		offset = 0;
	}
	if (n == 1) {
		io_uring_prep_send(sqe, c->fd, c->iov[0].iov_base, c->iov[0].iov_len,
				   MSG_WAITALL | MSG_NOSIGNAL);
	} else {
		c->msg = (struct msghdr){.msg_iov = c->iov, .msg_iovlen = n};
		io_uring_prep_sendmsg(sqe, c->fd, &c->msg, MSG_WAITALL | MSG_NOSIGNAL);
	}
	io_uring_sqe_set_data64(sqe, name_of(c, SEND));
	c->sending = true;
}

static void give_back(unsigned b)
{
	io_uring_buf_ring_add(lent, memory + b * buffer_size, (unsigned)buffer_size,
			      (unsigned short)b, BUFFERS - 1, 0);
	io_uring_buf_ring_advance(lent, 1);
	available++;
}

static void hold(struct conn *c, unsigned b, unsigned len)
{
	buffers[b].next = NONE;
	buffers[b].len = len;
	if (c->head == NONE)
		c->head = b;
	else
		buffers[c->tail].next = b;
	c->tail = b;
	c->held++;
}

/* LEN bytes of what is held are sent. */
static void consume(struct conn *c, unsigned len)
{
	while (c->head != NONE && c->offset + len >= buffers[c->head].len) {
		unsigned b = c->head;

		len -= buffers[b].len - c->offset;
		c->offset = 0;
		c->head = buffers[b].next;
		c->held--;
		give_back(b);
	}
	c->offset += len;
}

static void conn_close(struct conn *c)
{
	while (c->head != NONE)
		consume(c, buffers[c->head].len - c->offset);
	close(c->fd);
	free(c);
	if (paused)
		start_accept();
}

/* What is to be done for C now. */
static void settle(struct conn *c)
{
	bool over = c->failed || (c->ended && c->held == 0);

	if (over && !c->receiving && !c->sending && !c->cancelling && !c->starved) {
		conn_close(c);
		return;
	}
	if (over)
		return;
	if (c->held > 0 && !c->sending)
		start_send(c);
	if (c->held >= HELD_MAX && c->receiving && !c->cancelling)
		stop_recv(c);
	if (c->held == 0 && !c->receiving && !c->ended && !c->starved && !c->cancelling)
		start_recv(c);
}

/* Both of its operations end soon. */
static void fail(struct conn *c)
{
	if (!c->failed)
		shutdown(c->fd, SHUT_RDWR);
	c->failed = true;
}

static void accepted(struct conn *none, int result, unsigned flags)
{
	struct conn *c = result >= 0 ? calloc(1, sizeof(*c)) : NULL;

	(void)none;
	if (c) {
		c->fd = result;
		c->head = NONE;
		start_recv(c);
	} else if (result >= 0) {
		close(result);
	}
	if (flags & IORING_CQE_F_MORE)
		return;
	paused = result == -EMFILE || result == -ENFILE || result == -ENOMEM;
	if (!paused)
		start_accept();
}

static void received(struct conn *c, int result, unsigned flags)
{
	c->receiving = flags & IORING_CQE_F_MORE;
	if (flags & IORING_CQE_F_BUFFER) {
		unsigned b = flags >> IORING_CQE_BUFFER_SHIFT;

		available--;
		if (result > 0)
			hold(c, b, (unsigned)result);
		else
			give_back(b);
	}
	if (result == 0) {
		c->ended = true;
	} else if (result == -ENOBUFS && !c->receiving) {
		c->starved = true;
		c->next = starved;
		starved = c;
	} else if (result < 0 && result != -ENOBUFS && result != -ECANCELED && result != -EINTR) {
		fail(c);
	}
}

static void sent(struct conn *c, int result, unsigned flags)
{
	(void)flags;
	c->sending = false;
	if (result >= 0)
		consume(c, (unsigned)result);
	else if (result != -EAGAIN && result != -EINTR)
		fail(c);
}

static void cancelled(struct conn *c, int result, unsigned flags)
{
	(void)result;
	(void)flags;
	c->cancelling = false;
}

static void (*const completed[TAGS])(struct conn *c, int result, unsigned flags) = {
	[ACCEPT] = accepted,
	[RECV] = received,
	[SEND] = sent,
	[CANCEL] = cancelled,
};

static void feed_the_starved(void)
{
	for (unsigned n = available; starved && n > 0; n--) {
		struct conn *c = starved;

		starved = c->next;
		c->starved = false;
		settle(c);
	}
}

static void serve(void)
{
	struct io_uring_cqe *cqe;
	unsigned head, n = 0;

	io_uring_submit_and_wait(&ring, 1);
	io_uring_for_each_cqe(&ring, head, cqe)
	{
		uint64_t name = io_uring_cqe_get_data64(cqe);
		struct conn *c = (struct conn *)(uintptr_t)(name & ~7ULL);

		n++;
		completed[name & 7](c, cqe->res, cqe->flags);
		if (c)
			settle(c);
	}
	io_uring_cq_advance(&ring, n);
	feed_the_starved();
}

static void open_ring(void)
{
	struct io_uring_params params = {
		.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN |
			 IORING_SETUP_CQSIZE,
		.cq_entries = CQES,
	};
	size_t size = BUFFERS * sizeof(struct io_uring_buf);
	struct io_uring_buf_reg reg = {.ring_entries = BUFFERS};
	int r = io_uring_queue_init_params(SQES, &ring, &params);

	errno = -r;
	if (r < 0)
		peer_die("io_uring");
	io_uring_register_ring_fd(&ring);
	lent = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	memory = malloc(BUFFERS * buffer_size);
	if (lent == MAP_FAILED || !memory)
		peer_die("memory");
	reg.ring_addr = (uintptr_t)lent;
	r = io_uring_register_buf_ring(&ring, &reg, 0);
	errno = -r;
	if (r < 0)
		peer_die("buffers");
	io_uring_buf_ring_init(lent);
	available = 0;
	for (unsigned b = 0; b < BUFFERS; b++)
		give_back(b);
}

int main(int argc, char **argv)
{
	if (argc < 2 || argc > 3) {
		fprintf(stderr, "usage: peer_uring PORT [BUFFER]\n");
		return 64;
	}
	peer_init();
	if (argc == 3)
		buffer_size = peer_number(argv[2]);
	listen_fd = peer_listen(argv[1], 0);
	open_ring();
	start_accept();
	for (;;)
		serve();
}
