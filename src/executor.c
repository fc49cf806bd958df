/* SPDX-License-Identifier: ISC */
/* The two waits of an executor, and what the leash says.  A wait that a signal interrupts
 * returns as if nothing had happened: whoever waits comes back with the same deadline. */
#include "executor.h"

#include "conf.h"
#include "log.h"
#include "stats.h"
#include "timer.h"
#include "worker.h"

#include <limits.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

void executor_init(struct executor *ex, struct worker *w, unsigned index)
{
	*ex = (struct executor){
		.worker = w,
		.stats = &w->stats[index],
		.index = index,
		.now = timer_now(),
	};
}

void executor_up(struct executor *ex)
{
	struct worker *w = ex->worker;
	unsigned all = w->conf->model->many_threads ? w->conf->workers : 1;
	pid_t me = getpid();

	if (atomic_fetch_add(&w->up, 1) + 1 == all && write(w->hello, &me, sizeof(me)) < 0)
		log_debug("service=%s cannot say that it is up: %m", w->conf->name);
}

int executor_serve(struct worker *w, unsigned index)
{
	struct executor ex;
	int r;

	executor_init(&ex, w, index);
	r = w->conf->engine->serve(&ex);
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

short executor_wait(struct executor *ex, int fd, short events, uint64_t deadline)
{
	struct pollfd p[2] = {
		{.fd = fd, .events = events},
		{.fd = ex->worker->leash, .events = ex->draining ? 0 : POLLIN},
	};
	int n;

	fall_asleep(ex);
	n = poll(p, 2, timeout_until(ex, deadline));
	wake_up(ex);
	if (n <= 0)
		return 0;
	executor_leash(ex, (unsigned)p[1].revents);
	return p[0].revents;
}

void executor_close(struct executor *ex, int fd)
{
	fall_asleep(ex);
	close(fd);
	beat(ex);
}

int executor_wait_events(struct executor *ex, int ep, struct epoll_event *events, int max,
			 uint64_t deadline)
{
	int n;

	fall_asleep(ex);
	n = epoll_wait(ep, events, max, timeout_until(ex, deadline));
	wake_up(ex);
	return n < 0 ? 0 : n;
}
