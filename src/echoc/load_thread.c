/* SPDX-License-Identifier: ISC */
/* The program of one thread of a load: connect all, wait for the common start, keep to the
 * schedule or to the depth, stop, and wait for what is still out.
 *
 * In an open loop a message is due at a time that no answer can move: what is late because the
 * server stalled is counted from when it should have been sent. */
#include "load_conn.h"

#include "moment.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <time.h>

enum {
	EVENTS = 256,
	CONNECT_BURST = 128, /* a listener's backlog must hold what connects at once */
	TICK = 20 * MOMENT_MS,
	DRAIN_INTERRUPTED = 500 * MOMENT_MS
};

/* ThreadSanitizer takes the same number in two tables for one descriptor. */
#ifdef __has_feature
# if __has_feature(thread_sanitizer)
#  define __SANITIZE_THREAD__ 1 /* as gcc has it */
# endif
#endif
#ifdef __SANITIZE_THREAD__
enum { OWN_DESCRIPTORS = 0 };
#else
enum { OWN_DESCRIPTORS = 1 };
#endif

/* What the scheduler says of this thread, ns. */
struct usage {
	int64_t at, cpu, waited;
};

static struct usage usage_now(void)
{
	struct usage u = {.at = moment_now()};
	long long ran = 0, waited = 0;
	struct timespec t;
	FILE *f = fopen("/proc/thread-self/schedstat", "re");

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	u.cpu = t.tv_sec * (int64_t)MOMENT_S + t.tv_nsec;
	if (f && fscanf(f, "%lld %lld", &ran, &waited) == 2)
		u.waited = waited;
	if (f)
		fclose(f);
	return u;
}

/* Everything that is due by now. */
static void keep_schedule(struct load_thread *t)
{
	while (t->next_due <= t->now) {
		struct load_conn *c = &t->conns[t->scheduled % t->n_conns];

		if (t->next_due >= t->end || t->left == 0) {
			t->next_due = INT64_MAX;
			return;
		}
		if (t->next_due >= t->begin)
			hist_add(t->lag, (uint64_t)(t->now - t->next_due));
		c->owed++;
		t->owed++;
		t->scheduled++;
		load_conn_refill(t, c);
		c = &t->conns[t->scheduled % t->n_conns];
		t->next_due = load_due(t, c, t->scheduled / t->n_conns);
	}
}

static void tick(struct load_thread *t)
{
	for (uint32_t i = 0; i < t->n_conns; i++) {
		struct load_conn *c = &t->conns[i];

		if (!t->started && !c->tried && c->state == LOAD_IDLE &&
		    (t->connect_each || t->connecting >= CONNECT_BURST))
			continue;
		load_conn_tick(t, c);
	}
}

/* Serve what comes until UNTIL at the latest, once. */
static void serve(struct load_thread *t, int64_t until)
{
	struct epoll_event ev[EVENTS];
	struct timespec wait = {0};
	int64_t before = moment_now();
	int n;

	if (!t->conf->spin && until > before) {
		wait.tv_sec = (until - before) / MOMENT_S;
		wait.tv_nsec = (until - before) % MOMENT_S;
	}
	n = epoll_pwait2(t->epoll_fd, ev, EVENTS, &wait, NULL);
	t->now = moment_now();
	if (n <= 0)
		t->idle += t->now - before;
	for (int i = 0; i < n; i++) {
		load_conn_ready(t, ev[i].data.ptr, ev[i].events);
		t->now = moment_now();
		if (t->next_due <= t->now)
			keep_schedule(t);
	}
}

static bool all_tried(const struct load_thread *t)
{
	for (uint32_t i = 0; i < t->n_conns; i++)
		if (!t->conns[i].tried)
			return false;
	return true;
}

static bool stopped(const struct load_thread *t)
{
	return atomic_load_explicit(&t->shared->stop, memory_order_relaxed);
}

/* Every connection stands or has failed once. */
static void connect_all(struct load_thread *t)
{
	int64_t patience = moment_now() + 2 * t->conf->timeout;

	while (!t->connect_each && !stopped(t) && t->now < patience) {
		tick(t);
		if (all_tried(t))
			break;
		serve(t, t->now + MOMENT_MS);
	}
	atomic_fetch_add(&t->shared->connected, 1);
}

static void wait_for_start(struct load_thread *t)
{
	struct load_shared *all = t->shared;
	int64_t start;

	while (!(start = atomic_load(&all->start)) && !stopped(t))
		serve(t, t->now + MOMENT_MS);
	t->begin = atomic_load(&all->begin);
	t->end = atomic_load(&all->end);
	while (t->now < start && !stopped(t))
		serve(t, start);
}

static void start_all(struct load_thread *t)
{
	t->started = t->running = true;
	if (t->open_loop)
		t->next_due = load_due(t, &t->conns[0], 0);
	for (uint32_t i = 0; i < t->n_conns && !t->open_loop; i++) {
		t->now = moment_now();
		load_conn_refill(t, &t->conns[i]);
	}
}

static int64_t earliest(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

/* Run up to UNTIL, or until there is nothing more to start. */
static void run_until(struct load_thread *t, int64_t until)
{
	int64_t next_tick = t->now + TICK;

	while (t->now < until && t->running && !stopped(t)) {
		serve(t, earliest(earliest(t->next_due, next_tick), until));
		if (t->next_due <= t->now)
			keep_schedule(t);
		if (t->now >= next_tick) {
			tick(t);
			next_tick = t->now + TICK;
		}
	}
}

/* No more is started; wait for what is out, or owed. */
static void drain(struct load_thread *t)
{
	int64_t next_tick = t->now, limit = t->now + t->conf->timeout + 2 * TICK;

	if (stopped(t))
		limit = earliest(limit, t->now + DRAIN_INTERRUPTED);
	t->running = false;
	while (t->now < limit && t->in_flight + (t->left > 0 ? t->owed : 0) > 0) {
		serve(t, earliest(next_tick, limit));
		if (t->now < next_tick)
			continue;
		tick(t);
		next_tick = t->now + TICK;
		if (stopped(t))
			limit = earliest(limit, t->now + DRAIN_INTERRUPTED);
	}
	for (uint32_t i = 0; i < t->n_conns; i++)
		load_conn_give_up(t, &t->conns[i]);
}

void *load_thread_main(void *thread)
{
	struct load_thread *t = thread;
	struct usage before, after;
	double span;

	prctl(PR_SET_TIMERSLACK, 1000); /* ns: a schedule is to be kept */
	/* A table of descriptors that nobody shares costs no atomic operation at each call, which
	 * is a hundredth of an echo.  If it cannot be had, the load runs all the same. */
	if (OWN_DESCRIPTORS)
		unshare(CLONE_FILES);
	t->now = moment_now();
	t->next_due = INT64_MAX;
	t->begin = t->end = INT64_MAX;
	connect_all(t);
	wait_for_start(t);
	start_all(t);
	run_until(t, t->begin);
	before = usage_now();
	t->idle = 0;
	run_until(t, t->end);
	after = usage_now();
	if (t->end > t->now)
		t->end = t->now; /* the count is reached, or someone is impatient */
	span = (double)(after.at - before.at);
	if (span > 0) {
		int64_t idle = t->conf->spin ? t->idle : 0;

		t->cpu = (double)(after.cpu - before.cpu - idle) / span;
		t->waited = (double)(after.waited - before.waited) / span;
	}
	t->next_due = INT64_MAX;
	atomic_fetch_add(&t->shared->finished, 1);
	drain(t);
	return NULL;
}
