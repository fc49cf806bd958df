/* SPDX-License-Identifier: ISC */
/* Many clients in one executor, by completions: io_uring(7).
 *
 * What connections ask for is told to the kernel with the wait: one io_uring_enter(2) for all
 * that is to be sent, and for the next completions.  What becomes of a connection says flow.c.
 *
 * Clients are taken by the acceptor when the ring says that a listener has some, not by a
 * multishot accept: that would take clients for whom there is no slot, who must wait in the
 * backlog, and would cost a getpeername(2) each; and the bench's bare loop that has one takes
 * clients no faster (table `connect`).  One that polls is woken alone, with
 * EPOLLEXCLUSIVE, as in epoll.  Datagrams are answered in batches by dgram.c; the ring waits
 * for them. */
#include "engines.h"

#include "acceptor.h"
#include "alarm.h"
#include "conf.h"
#include "dgram.h"
#include "executor.h"
#include "flow.h"
#include "sandbox_calls.h"
#include "slots.h"
#include "turn.h"
#include "worker.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

enum {
	BATCH = 64,        /* datagrams answered before the others get their turn */
	MIN_BUFFER = 4096, /* of a service */
	LOOK = 256,        /* completions taken out of the ring at once */
	PATIENCE = 250,    /* looks for memory, */
	CURIOSITY = 50,    /* if it is only to find out, */
	PAUSE = 2          /* ms apart */
};

/* The upper byte of a completion's 64 bits, after those of flows. */
enum { LISTENER = FLOW_TAGS, LEASH, BELL, ALARM };

/* One executor's reactor. */
struct loop {
	struct executor *ex;
	struct uring uring;
	struct acceptor acceptor;
	struct flows flows;
	struct alarm alarm;
	struct dgram *dgram; /* NULL: streams */
	bool *watched;       /* [endpoints]: the ring watches it */
	unsigned n_watched;
	bool unwatch; /* those that are watched are to be no longer */
};

static uint64_t tag(unsigned what, size_t i)
{
	return (uint64_t)what << 56 | i;
}

static void on_listener(struct loop *l, size_t i)
{
	if (!l->dgram) {
		acceptor_take_some(&l->acceptor, i, flow_open, &l->flows);
		return;
	}
	dgram_answer(l->dgram, i, BATCH);
	if (l->dgram->error)
		acceptor_rest(&l->acceptor, l->dgram->error);
}

/* Watch the listeners, or do not, as the acceptor wants it.  Level-triggered: to watch again
 * is to look whether anybody waits.
 *
 * The ring of who was killed lives on for a moment, and a watch that wakes one alone may then be
 * what is woken.  So that is for those who share a listener and have a bell: see crew.c. */
static void watch_listeners(struct loop *l)
{
	const struct worker *w = l->ex->worker;
	bool all = l->acceptor.troubled || l->dgram || w->alone;
	uint32_t events = all ? EPOLLIN : EPOLLIN | EPOLLEXCLUSIVE;

	if (l->acceptor.armed && l->n_watched < w->n_endpoints) {
		for (size_t i = 0; i < w->n_endpoints; i++)
			if (!l->watched[i])
				uring_poll(&l->uring, l->ex->endpoints[i].fd, events,
					   tag(LISTENER, i));
		memset(l->watched, true, w->n_endpoints);
		l->n_watched = (unsigned)w->n_endpoints;
		l->unwatch = true;
	} else if (!l->acceptor.armed && l->unwatch) {
		for (size_t i = 0; i < w->n_endpoints; i++)
			if (l->watched[i])
				uring_cancel(&l->uring, tag(LISTENER, i));
		l->unwatch = false;
	}
}

/* The leash, once: when it has been heard, its hang-up alone is news. */
static void watch_leash(struct loop *l)
{
	uring_poll(&l->uring, l->ex->worker->leash, l->ex->draining ? 0 : EPOLLIN, tag(LEASH, 0));
}

/* The bell is never read: each stroke is an event, as with EPOLLET. */
static void watch_bell(struct loop *l)
{
	if (l->ex->worker->slots)
		uring_poll_edges(&l->uring, l->ex->worker->slots->bell, EPOLLIN, tag(BELL, 0));
}

/* Nor is the alarm.  Without it, every wait has a timeout. */
static void watch_alarm(struct loop *l)
{
	if (l->alarm.fd >= 0)
		uring_poll_edges(&l->uring, l->alarm.fd, EPOLLIN, tag(ALARM, 0));
}

/* Told to drain: take what has reached us, no more after that, once no listener is watched any
 * longer.  It may be many: until it is gone, a watch that is cancelled takes every wake-up, and
 * others who share the listener none. */
static void sweep(struct loop *l)
{
	struct client client;

	if (l->dgram)
		dgram_finish(l->dgram);
	for (size_t i = 0; !l->dgram && i < l->ex->worker->n_endpoints; i++)
		while (acceptor_take(&l->acceptor, i, &client))
			flow_open(&l->flows, &client);
	executor_deaf(l->ex);
}

static void on_leash(struct loop *l, uint32_t events)
{
	bool before = l->ex->draining;

	executor_leash(l->ex, events);
	watch_leash(l);
	if (l->ex->draining == before)
		return;
	acceptor_disarm(&l->acceptor);
	flow_drain(&l->flows);
}

static void on_bell(struct loop *l, uint32_t flags)
{
	if (!(flags & IORING_CQE_F_MORE))
		watch_bell(l);
	acceptor_resume(&l->acceptor);
	for (size_t i = 0; i < l->ex->worker->n_endpoints && l->acceptor.armed; i++)
		on_listener(l, i);
}

static void on_alarm(struct loop *l, const struct io_uring_cqe *cqe)
{
	alarm_heard(&l->alarm);
	if (cqe->res < 0)
		alarm_deinit(&l->alarm);
	else if (!(cqe->flags & IORING_CQE_F_MORE))
		watch_alarm(l);
}

static void dispatch(struct loop *l, const struct io_uring_cqe *cqe)
{
	size_t i = (size_t)(cqe->user_data & UINT32_MAX);

	switch (cqe->user_data >> 56) {
	case FLOW_NOTHING:
		break;
	case LISTENER:
		l->watched[i] = false;
		l->n_watched--;
		if (cqe->res > 0)
			on_listener(l, i);
		break;
	case LEASH:
		on_leash(l, cqe->res > 0 ? (uint32_t)cqe->res : 0);
		break;
	case BELL:
		on_bell(l, cqe->flags);
		break;
	case ALARM:
		on_alarm(l, cqe);
		break;
	default:
		flow_complete(&l->flows, cqe->user_data, cqe->res, cqe->flags);
	}
}

/* All completions that there are. */
static void look(struct loop *l)
{
	struct io_uring_cqe *cqes[LOOK], cqe;
	unsigned n;

	while (!l->ex->leaving && (n = io_uring_peek_batch_cqe(&l->uring.ring, cqes, LOOK)) > 0) {
		for (unsigned i = 0; i < n && !l->ex->leaving; i++) {
			cqe = *cqes[i];
			dispatch(l, &cqe);
		}
		io_uring_cq_advance(&l->uring.ring, n);
	}
}

static void run(struct loop *l)
{
	struct executor *ex = l->ex;
	bool swept = false;

	executor_up(ex);
	watch_leash(l);
	watch_bell(l);
	watch_alarm(l);
	while (!ex->leaving && !(swept && l->acceptor.open == 0)) {
		watch_listeners(l);
		executor_wait_by(ex, turn_deadline(&l->flows.wheel, &l->acceptor, &l->alarm),
				 uring_wait, &l->uring);
		turn_begin(&l->flows.wheel, &l->acceptor);
		look(l);
		turn_end(&l->flows.wheel, &l->acceptor, flow_timer, &l->flows);
		if (ex->draining && !ex->leaving && !swept && l->n_watched == 0) {
			swept = true;
			sweep(l);
		}
	}
}

/* The memory of a ring counts as locked, for all processes of the user together, and is given
 * back some 30 ms after the process that had it is gone: workers that replace others, and a
 * daemon that replaces another, may have to wait for that. */
static int get_ring(struct uring *u, uint32_t buffer, int looks, struct uring_refusal *what)
{
	int r = uring_init(u, buffer, what);

	for (; r == -ENOMEM && looks > 0; looks--) {
		poll(NULL, 0, PAUSE);
		r = uring_init(u, buffer, what);
	}
	return r;
}

static int set_up_ring(struct loop *l)
{
	struct uring_refusal what;
	int r = get_ring(&l->uring, l->ex->worker->conf->buffer, PATIENCE, &what);

	if (r < 0)
		uring_explain(&what, l->ex->refused, sizeof(l->ex->refused));
	return r;
}

/* What ends a connection right behind its last bytes may be no event of its own to a multishot
 * receive, which then stays for ever: a UNIX client that sends and shuts down at once would wait
 * for the end of its echo (liburing's issue 1549).  TCP tells of a FIN with the bytes before it;
 * of a reset hears who answers. */
static bool hears_the_end(const struct service_conf *conf)
{
	return conf->protocol == PROTO_TCP && conf->respond != RESPOND_DISCARD;
}

static int set_up(struct loop *l, struct dgram *dgram)
{
	const struct worker *w = l->ex->worker;
	int r;

	l->watched = calloc(w->n_endpoints, sizeof(*l->watched));
	if (!l->watched)
		return -ENOMEM;
	if (!protocols[w->conf->protocol].stream) {
		r = dgram_init(dgram, l->ex);
		if (r < 0)
			return r;
		l->dgram = dgram;
	}
	r = set_up_ring(l);
	if (r == 0 && !hears_the_end(w->conf))
		l->uring.multishot = false;
	return r;
}

static int uring_serve(struct executor *ex)
{
	struct loop *l = calloc(1, sizeof(*l));
	struct dgram dgram;
	int r;

	if (!l)
		return -ENOMEM;
	l->ex = ex;
	l->flows.ex = ex;
	l->flows.uring = &l->uring;
	l->flows.acceptor = &l->acceptor;
	wheel_init(&l->flows.wheel, ex->now);
	acceptor_init_bare(&l->acceptor, ex);
	r = set_up(l, &dgram);
	if (r == 0) {
		alarm_init(&l->alarm);
		run(l);
		alarm_deinit(&l->alarm);
		uring_deinit(&l->uring);
		flow_deinit(&l->flows);
	}
	if (l->dgram)
		dgram_deinit(l->dgram);
	free(l->watched);
	free(l);
	return r;
}

static int uring_probe(char *text, size_t size)
{
	struct uring_refusal what;
	struct uring u;
	int r = get_ring(&u, MIN_BUFFER, CURIOSITY, &what);

	if (r == 0)
		uring_deinit(&u);
	else
		uring_explain(&what, text, size);
	return r;
}

const struct engine engine_uring = {
	.name = "io_uring",
	.text = "many clients at once in each executor, by io_uring(7)",
	.serve = uring_serve,
	.probe = uring_probe,
	.calls = CALLS_URING,
	.substitute = &engine_epoll,
};
