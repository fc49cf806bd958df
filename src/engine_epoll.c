/* SPDX-License-Identifier: ISC */
/* Many clients in one executor: the reactor, by epoll(7), level-triggered.
 *
 * An echo costs a recv and a send; the wait is shared by all that are ready.  What a
 * connection waits for changes only when its client does not read (conn.c), so epoll_ctl
 * is called when it is made and when it stalls, and else never.
 *
 * Connections live in chunks that never move, found by number; events carry number and
 * generation, never a descriptor, so none can reach the wrong one. */
#include "engines.h"

#include "acceptor.h"
#include "alarm.h"
#include "conf.h"
#include "conn.h"
#include "dgram.h"
#include "executor.h"
#include "pool.h"
#include "sandbox_calls.h"
#include "timer.h"
#include "turn.h"
#include "worker.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>

enum {
	EVENTS = 512, /* that one epoll_wait(2) may return */
	BATCH = 64,   /* datagrams answered before the others get their turn */
	TURN = 8      /* clients after which it is the turn of another executor that sleeps */
};

/* One executor's reactor. */
struct loop {
	struct executor *ex;
	struct acceptor acceptor;
	struct pool pool;
	struct wheel wheel;
	struct alarm alarm;
	struct dgram *dgram; /* NULL: streams */
	unsigned clients;    /* taken since the listeners were watched anew */
	struct epoll_event events[EVENTS];
};

static uint32_t events_of(enum conn_want want)
{
	return want == CONN_READ ? EPOLLIN : EPOLLOUT;
}

static void forget(struct loop *l, struct entry *e)
{
	wheel_remove(&l->wheel, &e->timer);
	pool_free(&l->pool, e);
	acceptor_left(&l->acceptor);
}

/* E has taken a step and wants WANT now. */
static void settle(struct loop *l, struct entry *e, enum conn_want want)
{
	struct epoll_event ev;
	uint64_t deadline;

	if (want == CONN_CLOSED) {
		forget(l, e);
		return;
	}
	if (want != e->want) {
		e->want = (uint8_t)want;
		ev = (struct epoll_event){.events = events_of(want), .data.u64 = pool_tag(e)};
		if (epoll_ctl(l->acceptor.ep, EPOLL_CTL_MOD, e->conn.fd, &ev) < 0) {
			conn_close(&e->conn, l->ex, C_CLOSED_ERROR);
			forget(l, e);
			return;
		}
	}
	deadline = conn_deadline(&e->conn, l->ex);
	wheel_remove(&l->wheel, &e->timer);
	if (deadline != UINT64_MAX)
		wheel_add(&l->wheel, &e->timer, deadline);
}

/* A deadline that lies later than the timer is found when the timer fires; only one that
 * may lie earlier, after a change, is worth moving the timer. */
static void on_conn(struct loop *l, uint64_t tag)
{
	struct entry *e = pool_find(&l->pool, tag);
	bool lingering;
	enum conn_want want;

	if (!e)
		return;
	lingering = e->conn.lingering;
	want = conn_step(&e->conn, l->ex);
	if (want != e->want || e->conn.lingering != lingering)
		settle(l, e, want);
}

static void on_timer(struct timer *t, void *arg)
{
	struct loop *l = arg;
	struct entry *e = entry_of_timer(t);

	settle(l, e, conn_expire(&e->conn, l->ex));
}

static void add(void *arg, const struct client *client)
{
	struct loop *l = arg;
	struct epoll_event ev = {.events = EPOLLIN};
	struct entry *e = pool_get(&l->pool);
	struct conn lost;

	if (!e) {
		conn_open(&lost, l->ex, client);
		conn_close(&lost, l->ex, C_CLOSED_ERROR);
		acceptor_left(&l->acceptor);
		return;
	}
	conn_open(&e->conn, l->ex, client);
	e->want = CONN_READ;
	ev.data.u64 = pool_tag(e);
	if (epoll_ctl(l->acceptor.ep, EPOLL_CTL_ADD, client->fd, &ev) < 0) {
		conn_close(&e->conn, l->ex, C_CLOSED_ERROR);
		forget(l, e);
		return;
	}
	settle(l, e, CONN_READ);
}

/* Of all who sleep the kernel wakes who has watched the listener longest, always the same if it is
 * quick: that one would have all the clients, and serve them alone when they talk at once.  To
 * watch anew is to stand behind the others. */
static void stand_behind(struct loop *l, unsigned clients)
{
	l->clients += clients;
	if (l->clients < TURN || !l->acceptor.armed || l->ex->worker->alone)
		return;
	l->clients = 0;
	acceptor_resume(&l->acceptor);
}

static void on_listener(struct loop *l, size_t i)
{
	if (!l->dgram) {
		stand_behind(l, acceptor_take_some(&l->acceptor, i, add, l));
		return;
	}
	dgram_answer(l->dgram, i, BATCH);
	if (l->dgram->error)
		acceptor_rest(&l->acceptor, l->dgram->error);
}

/* Told to drain: take what has reached us, no more after that, and give everybody the
 * deadline of the quiet. */
static void drain(struct loop *l)
{
	struct client client;

	acceptor_disarm(&l->acceptor);
	if (l->dgram)
		dgram_finish(l->dgram);
	else if (acceptor_sweep(&l->acceptor, &client))
		add(l, &client);
	executor_deaf(l->ex);
	for (struct entry *e = pool_first(&l->pool); e; e = pool_next(&l->pool, e))
		settle(l, e, e->want);
}

static void on_leash(struct loop *l, uint32_t events)
{
	bool before = l->ex->draining;
	struct epoll_event hangup = {.events = 0, .data.u64 = tag_make(TAG_LEASH, 0)};

	executor_leash(l->ex, events);
	if (l->ex->draining == before)
		return;
	/* The byte stays in the pipe: from now on only its hang-up is news. */
	epoll_ctl(l->acceptor.ep, EPOLL_CTL_MOD, l->ex->worker->leash, &hangup);
	drain(l);
}

static void dispatch(struct loop *l, const struct epoll_event *ev)
{
	switch (tag_of(ev->data.u64)) {
	case TAG_CONN:
		on_conn(l, ev->data.u64);
		break;
	case TAG_LISTENER:
		on_listener(l, (size_t)(ev->data.u64 & UINT32_MAX));
		break;
	case TAG_LEASH:
		on_leash(l, ev->events);
		break;
	case TAG_EXTRA:
		alarm_heard(&l->alarm);
		break;
	default:
		acceptor_resume(&l->acceptor);
	}
}

static void run(struct loop *l)
{
	struct executor *ex = l->ex;

	executor_up(ex);
	while (!ex->leaving && !(ex->draining && l->acceptor.open == 0)) {
		int n = executor_wait_events(ex, l->acceptor.ep, l->events, EVENTS,
					     turn_deadline(&l->wheel, &l->acceptor, &l->alarm));

		turn_begin(&l->wheel, &l->acceptor);
		for (int i = 0; i < n && !ex->leaving; i++)
			dispatch(l, &l->events[i]);
		turn_end(&l->wheel, &l->acceptor, on_timer, l);
	}
	for (struct entry *e = pool_first(&l->pool); e; e = pool_next(&l->pool, e))
		conn_close(&e->conn, ex, C_CLOSED_DRAIN);
}

/* Without it, every wait has a timeout. */
static void watch_alarm(struct loop *l)
{
	struct epoll_event ev = {.events = EPOLLIN | EPOLLET, .data.u64 = tag_make(TAG_EXTRA, 0)};

	alarm_init(&l->alarm);
	if (epoll_ctl(l->acceptor.ep, EPOLL_CTL_ADD, l->alarm.fd, &ev) < 0)
		alarm_deinit(&l->alarm);
}

static int epoll_serve(struct executor *ex)
{
	struct loop *l = calloc(1, sizeof(*l));
	struct dgram dgram;
	int r = -ENOMEM;

	if (!l)
		return r;
	l->ex = ex;
	wheel_init(&l->wheel, ex->now);
	if (!protocols[ex->worker->conf->protocol].stream) {
		r = dgram_init(&dgram, ex);
		if (r < 0)
			goto out;
		l->dgram = &dgram;
	}
	r = acceptor_init(&l->acceptor, ex);
	if (r == 0) {
		watch_alarm(l);
		run(l);
		alarm_deinit(&l->alarm);
		acceptor_deinit(&l->acceptor);
	}
	pool_deinit(&l->pool);
	if (l->dgram)
		dgram_deinit(l->dgram);
out:
	free(l);
	return r;
}

const struct engine engine_epoll = {
	.name = "epoll",
	.text = "many clients at once in each executor, by epoll(7)",
	.serve = epoll_serve,
	.calls = CALLS_EPOLL,
};
