/* SPDX-License-Identifier: ISC */
/* A connection in a ring has two ways of life.
 *
 * It flows, as long as its client says little at a time and reads what it gets: one request
 * receives into the ring's buffers, and what is in a buffer is sent from there by a second
 * request, which never waits.  An echo costs two completions and no system call of its own.
 *
 * It goes by steps as soon as anything is unusual: a buffer is full (a bulk stream does best
 * with few large reads), more came in while the last was being sent, not everything could be
 * sent, no buffer was left, or a deadline came.  The receive is cancelled.  Once nothing is
 * under way any more, what came in meanwhile is copied into the connection's own memory, so
 * that no slow reader keeps a buffer from others; from then on the ring only waits for the
 * socket, as epoll would, and conn_step() receives and sends.  After some small reads in a
 * row it flows again.
 *
 * So whoever does not read holds what came in until it was stopped, and no more: one buffer
 * that could not be sent, and a burst each before this was known and before the receive was
 * cancelled.  The buffers are so small that this is less than the bound (uring_init).
 *
 * A connection is closed only when all its completions are in. */
#include "flow.h"

#include "acceptor.h"
#include "executor.h"
#include "slots.h"
#include "worker.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>

enum { SMALL_READS = 4 /* in a row, after which a connection flows again */ };

static uint64_t tag_for(const struct entry *e, enum flow_tag what)
{
	return (uint64_t)what << 56 | pool_tag(e);
}

static void receive(struct flows *f, struct entry *e)
{
	e->flow.receiving = true;
	uring_receive(f->uring, e->conn.fd, tag_for(e, FLOW_RECEIVE));
}

static void forget(struct flows *f, struct entry *e)
{
	wheel_remove(&f->wheel, &e->timer);
	pool_free(&f->pool, e);
	acceptor_left(f->acceptor);
}

/* While a request sends, the deadline is that of a slow reader, which the next completion
 * may make an earlier one: look again at the next tick. */
static void set_timer(struct flows *f, struct entry *e)
{
	uint64_t deadline = e->flow.sending_plus1 ? f->ex->now : conn_deadline(&e->conn, f->ex);

	e->want = e->conn.echo.pending > 0 ? CONN_WRITE : CONN_READ;
	wheel_remove(&f->wheel, &e->timer);
	if (deadline != UINT64_MAX)
		wheel_add(&f->wheel, &e->timer, deadline);
}

/* E, which goes by steps, wants WANT.  Its timer is worth moving only if the deadline may lie
 * earlier than before: if it was set for something else. */
static void settle(struct flows *f, struct entry *e, enum conn_want want, bool anew)
{
	if (want == CONN_CLOSED) {
		forget(f, e);
		return;
	}
	if (anew || want != e->want)
		set_timer(f, e);
	e->want = (uint8_t)want;
	if (e->flow.small >= SMALL_READS) {
		e->flow.small = 0;
		receive(f, e);
		return;
	}
	e->flow.polling = true;
	uring_poll(f->uring, e->conn.fd, want == CONN_READ ? EPOLLIN : EPOLLOUT,
		   tag_for(e, FLOW_POLL));
}

/* Let E take a step, and see whether it read little. */
static void step(struct flows *f, struct entry *e)
{
	const struct slot *slot = &f->ex->worker->slots->slot[e->conn.slot];
	bool lingering = e->conn.lingering;
	uint64_t n = slot->bytes_in;
	enum conn_want want = conn_step(&e->conn, f->ex);

	n = want == CONN_CLOSED ? 0 : slot->bytes_in - n;
	if (want == CONN_WRITE || e->conn.lingering || n >= f->uring->size)
		e->flow.small = 0;
	else if (n > 0)
		e->flow.small++;
	settle(f, e, want, lingering != e->conn.lingering);
}

static void push(struct flows *f, struct flow *w, uint16_t id, uint32_t n)
{
	f->length[id] = n;
	f->next_plus1[id] = 0;
	if (w->first_plus1)
		f->next_plus1[w->last_plus1 - 1] = (uint16_t)(id + 1);
	else
		w->first_plus1 = (uint16_t)(id + 1);
	w->last_plus1 = (uint16_t)(id + 1);
}

static uint16_t pop(struct flows *f, struct flow *w)
{
	uint16_t id = (uint16_t)(w->first_plus1 - 1);

	w->first_plus1 = f->next_plus1[id];
	return id;
}

/* Tell the connection what is in buffer ID.  What goes out for it is left in the buffer, *N
 * bytes from the place that is returned, if it fits there; else it is held. */
static uint16_t tell(struct flows *f, struct entry *e, uint16_t id, uint32_t *n)
{
	char *buffer = uring_buffer(f->uring, id), *p = buffer;

	*n = f->length[id];
	e->flow.error = (int16_t)conn_received(&e->conn, f->ex, &p, n);
	if (e->flow.error < 0)
		*n = 0;
	if (e->conn.echo.ended) /* it has had its answer, which is held */
		e->flow.leaving = true;
	if (*n == 0 || (p >= buffer && p < buffer + f->uring->size))
		return (uint16_t)(p - buffer);
	if (*n <= f->uring->size) {
		memcpy(buffer, p, *n);
		return 0;
	}
	e->flow.error = (int16_t)conn_hold(&e->conn, p, *n);
	e->flow.leaving = true;
	*n = 0;
	return 0;
}

/* Send what has come in, if anything has and is to be sent. */
static void send_next(struct flows *f, struct entry *e)
{
	struct flow *w = &e->flow;

	while (w->first_plus1 && !w->leaving && !w->error) {
		uint16_t id = pop(f, w);
		uint32_t n;

		w->at = tell(f, e, id, &n);
		if (n > 0) {
			w->sending_plus1 = (uint16_t)(id + 1);
			uring_send(f->uring, e->conn.fd, uring_buffer(f->uring, id) + w->at, n,
				   tag_for(e, FLOW_SEND));
			return;
		}
		uring_give_back(f->uring, id);
	}
}

/* Copy all that has come in to the connection's own memory. */
static void hold_all(struct flows *f, struct entry *e)
{
	while (e->flow.first_plus1) {
		uint16_t id = pop(f, &e->flow), at;
		uint32_t n = 0;

		if (!e->flow.error) {
			at = tell(f, e, id, &n);
			if (n > 0)
				e->flow.error = (int16_t)conn_hold(&e->conn,
								   uring_buffer(f->uring, id) + at,
								   n);
		}
		uring_give_back(f->uring, id);
	}
}

/* Nothing is under way any more. */
static void leave(struct flows *f, struct entry *e)
{
	struct flow w = e->flow;

	e->flow = (struct flow){.small = w.small};
	if (w.fin && !w.error)
		conn_received_fin(&e->conn, f->ex);
	if (w.error || w.fin)
		settle(f, e, conn_next(&e->conn, f->ex, w.error), true);
	else if (w.expired)
		settle(f, e, conn_expire(&e->conn, f->ex), true);
	else
		step(f, e);
}

/* See what is to be done for E after a completion. */
static void go_on(struct flows *f, struct entry *e)
{
	struct flow *w = &e->flow;

	if (!w->sending_plus1)
		send_next(f, e);
	if (w->error || w->expired || w->fin)
		w->leaving = true;
	if (w->leaving && (w->receiving || w->polling) && !w->cancelled) {
		w->cancelled = true;
		uring_cancel(f->uring, tag_for(e, w->receiving ? FLOW_RECEIVE : FLOW_POLL));
	}
	if (w->sending_plus1)
		return;
	if (w->leaving) {
		hold_all(f, e);
		if (!w->receiving && !w->polling)
			leave(f, e);
	} else if (!w->receiving) {
		receive(f, e);
	}
}

static void on_received(struct flows *f, struct entry *e, int res, uint32_t flags)
{
	struct flow *w = &e->flow;
	uint16_t id = (uint16_t)(flags >> IORING_CQE_BUFFER_SHIFT);

	if (!(flags & IORING_CQE_F_MORE))
		w->receiving = w->cancelled = false;
	if (flags & IORING_CQE_F_BUFFER) {
		if (res > 0)
			push(f, w, id, (uint32_t)res);
		else
			uring_give_back(f->uring, id);
	}
	if (res == 0)
		w->fin = true;
	else if (res == -ENOBUFS)
		uring_more_buffers(f->uring);
	else if (res < 0 && res != -ECANCELED && res != -EINTR && res != -EAGAIN)
		w->error = (int16_t)res;
	/* A buffer that is not full has all that was there; a second one came while the first
	 * is being sent, or waits for that. */
	if (res <= 0 || (uint32_t)res >= f->uring->size || w->sending_plus1 ||
	    w->first_plus1 != w->last_plus1)
		w->leaving = true;
}

static void on_sent(struct flows *f, struct entry *e, int res)
{
	struct flow *w = &e->flow;
	uint16_t id = (uint16_t)(w->sending_plus1 - 1);
	uint32_t n = res > 0 ? (uint32_t)res : 0;

	w->sending_plus1 = 0;
	if (n > 0)
		conn_sent(&e->conn, f->ex, n);
	if (res < 0 && res != -EAGAIN && res != -EINTR && res != -ECANCELED) {
		w->error = (int16_t)res;
	} else if (e->conn.echo.pending > 0) {
		w->leaving = true;
		w->error = (int16_t)conn_hold(&e->conn, uring_buffer(f->uring, id) + w->at + n,
					      e->conn.echo.pending);
	}
	uring_give_back(f->uring, id);
}

void flow_complete(struct flows *f, uint64_t tag, int res, uint32_t flags)
{
	struct entry *e = pool_find(&f->pool, tag & UINT64_C(0x00ffffffffffffff));

	if (!e) {
		if (flags & IORING_CQE_F_BUFFER)
			uring_give_back(f->uring, (uint16_t)(flags >> IORING_CQE_BUFFER_SHIFT));
		return;
	}
	switch ((enum flow_tag)(tag >> 56)) {
	case FLOW_RECEIVE:
		on_received(f, e, res, flags);
		break;
	case FLOW_SEND:
		on_sent(f, e, res);
		break;
	default:
		e->flow.polling = e->flow.cancelled = false;
		e->flow.leaving = true;
	}
	go_on(f, e);
}

void flow_open(void *arg, const struct client *client)
{
	struct flows *f = arg;
	struct entry *e = pool_get(&f->pool);
	struct conn lost;

	if (!e) {
		conn_open(&lost, f->ex, client);
		conn_close(&lost, f->ex, C_CLOSED_ERROR);
		acceptor_left(f->acceptor);
		return;
	}
	conn_open(&e->conn, f->ex, client);
	e->flow = (struct flow){.small = 0};
	e->want = CONN_READ;
	set_timer(f, e);
	receive(f, e);
}

/* Activity costs no move of the timer, so the deadline may have moved away meanwhile. */
void flow_timer(struct timer *t, void *arg)
{
	struct flows *f = arg;
	struct entry *e = entry_of_timer(t);

	if (f->ex->now < conn_deadline(&e->conn, f->ex)) {
		set_timer(f, e);
		return;
	}
	e->flow.expired = true;
	go_on(f, e);
}

void flow_drain(struct flows *f)
{
	for (struct entry *e = pool_first(&f->pool); e; e = pool_next(&f->pool, e))
		set_timer(f, e);
}

void flow_deinit(struct flows *f)
{
	for (struct entry *e = pool_first(&f->pool); e; e = pool_next(&f->pool, e))
		conn_close(&e->conn, f->ex, C_CLOSED_DRAIN);
	pool_deinit(&f->pool);
}
