/* SPDX-License-Identifier: ISC */
/* The waits of an executor, and what the leash says.  A wait that a signal interrupts
 * returns as if nothing had happened: whoever waits comes back with the same deadline. */
#include "executor.h"

#include "conf.h"
#include "log.h"
#include "placement.h"
#include "sandbox.h"
#include "stats.h"
#include "timer.h"
#include "worker.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

void executor_init(struct executor *ex, struct worker *w, unsigned index)
{
	*ex = (struct executor){
		.worker = w,
		.endpoints = &w->sockets[index % w->rows * w->n_endpoints],
		.stats = &w->stats[index],
		.index = index,
		.eager = true,
		.now = timer_now(),
	};
}

/* All executors have what they need: shut the worker in, then say that it is up.  Who cannot say
 * so would be waited for for ever: another is started in its place. */
static void all_up(struct worker *w)
{
	int r = sandbox_enter(&w->filters->worker, &w->stats->forbidden);
	pid_t me = getpid();

	if (r == 0 && write(w->hello, &me, sizeof(me)) < 0)
		r = -errno;
	if (r < 0) {
		log_event(EVENT_WORKER_CANNOT_SERVE, F_TEXT(SERVICE, w->conf->name),
			  F_NUMBER(WORKER, w->number), F_NUMBER(ERRNO, -r));
		_exit(EX_OSERR);
	}
}

void executor_up(struct executor *ex)
{
	struct worker *w = ex->worker;
	bool many = w->conf->model->many_threads;

	if (atomic_fetch_add(&w->up, 1) + 1 == (many ? w->conf->workers : 1))
		all_up(w);
	if (many)
		pthread_barrier_wait(&w->all_up);
}

/* The supervisor could have a ring and this process cannot: its limits or rights are others. */
static int serve_otherwise(struct executor *ex)
{
	const struct engine *other = ex->worker->conf->engine->substitute;

	log_event(EVENT_ENGINE_REFUSED, F_TEXT(ENGINE, other->name), F_TEXT(WHAT, ex->refused));
	return other->serve(ex);
}

int executor_serve(struct worker *w, unsigned index)
{
	struct executor ex;
	int r;

	executor_init(&ex, w, index);
	ex.wide = true; /* of its many clients one will say much */
	placement_pin(w->conf, w->number - 1 + index);
	r = w->conf->engine->serve(&ex);
	if (r < 0 && w->conf->any_engine && ex.refused[0])
		r = serve_otherwise(&ex);
	executor_deinit(&ex);
	return r;
}

void executor_deinit(struct executor *ex)
{
	free(ex->scratch);
	ex->scratch = NULL;
}

/* The beat is odd while the executor is awake.  If it stays at the same odd number for
 * long, the supervisor takes it for stuck.  A block that many write says nothing. */
static void beat(struct executor *ex)
{
	if (!ex->stats->shared)
		__atomic_store_n((uint32_t *)&ex->stats->beat, ex->stats->beat + 1,
				 __ATOMIC_RELAXED);
}

static void fall_asleep(struct executor *ex)
{
	if (ex->stats->beat & 1)
		beat(ex);
}

static void wake_up(struct executor *ex)
{
	beat(ex);
	ex->now = timer_now();
}

static int timeout_until(const struct executor *ex, uint64_t deadline)
{
	if (deadline == UINT64_MAX)
		return -1;
	if (deadline <= ex->now)
		return 0;
	return deadline - ex->now > INT_MAX ? INT_MAX : (int)(deadline - ex->now);
}

void executor_leash(struct executor *ex, unsigned events)
{
	if (events & (POLLHUP | POLLERR)) {
		ex->leaving = true;
	} else if (events & POLLIN && !ex->draining) {
		ex->draining = true;
		ex->drain_since = ex->now;
	}
}

static uint64_t microseconds(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

/* Look, and do not sleep, for busy_poll microseconds, if there is that much time; or not at
 * all if nothing came of the latest wait, so that who is idle uses no processor.  Returns
 * what WAIT found. */
static int spin(struct executor *ex, uint64_t deadline, int (*wait)(void *arg, int ms), void *arg)
{
	uint64_t us = ex->worker->conf->busy_poll, since;
	int ms = timeout_until(ex, deadline), n;

	if (ms >= 0 && us > (uint64_t)ms * 1000)
		us = (uint64_t)ms * 1000;
	if (us == 0 || !ex->eager)
		return 0;
	since = microseconds();
	do
		n = wait(arg, 0);
	while (n == 0 && microseconds() - since < us);
	ex->now = timer_now();
	return n;
}

int executor_wait_by(struct executor *ex, uint64_t deadline, int (*wait)(void *arg, int ms),
		     void *arg)
{
	int n;

	fall_asleep(ex);
	n = spin(ex, deadline, wait, arg);
	if (n == 0)
		n = wait(arg, timeout_until(ex, deadline));
	wake_up(ex);
	ex->eager = n > 0;
	return n;
}

static int wait_by_poll(void *arg, int ms)
{
	int n = poll(arg, 2, ms);

	return n < 0 ? -errno : n;
}

short executor_wait(struct executor *ex, int fd, short events, uint64_t deadline)
{
	struct pollfd p[2] = {
		{.fd = fd, .events = events},
		{.fd = ex->worker->leash, .events = ex->draining ? 0 : POLLIN},
	};

	if (executor_wait_by(ex, deadline, wait_by_poll, p) <= 0)
		return 0;
	executor_leash(ex, (unsigned)p[1].revents);
	if (ex->draining) /* who is told while it serves looks for nobody: acceptor_wait() */
		executor_deaf(ex);
	return p[0].revents;
}

void executor_deaf(struct executor *ex)
{
	atomic_store(&ex->stats->deaf, true);
}

void executor_close(struct executor *ex, int fd)
{
	fall_asleep(ex);
	close(fd);
	beat(ex);
}

/* The arguments of epoll_wait(2). */
struct epoll {
	int ep, max;
	struct epoll_event *events;
};

static int wait_by_epoll(void *arg, int ms)
{
	const struct epoll *e = arg;
	int n = epoll_wait(e->ep, e->events, e->max, ms);

	return n < 0 ? -errno : n;
}

int executor_wait_events(struct executor *ex, int ep, struct epoll_event *events, int max,
			 uint64_t deadline)
{
	struct epoll e = {.ep = ep, .max = max, .events = events};
	int n = executor_wait_by(ex, deadline, wait_by_epoll, &e);

	return n < 0 ? 0 : n;
}
