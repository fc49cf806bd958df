/* SPDX-License-Identifier: ISC */
/* A thread per client: accept, make a thread, detached, with the client in an argument of
 * its own; it echoes and ends.
 *
 * When no thread can be made, the client in hand is kept and the others stay in the
 * backlog until one can; who is to drain, and has no thread whose end could make room, serves it
 * by himself. */
#include "models.h"

#include "acceptor.h"
#include "conf.h"
#include "executor.h"
#include "log.h"
#include "placement.h"
#include "sandbox_calls.h"
#include "slots.h"
#include "stats.h"
#include "worker.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { RETRY = 100 /* ms between attempts to make a thread */ };

/* The thread that accepts. */
struct host {
	struct executor ex;
	struct acceptor acceptor;
	pthread_attr_t attr;
	unsigned made; /* threads, ever */
	int over;      /* eventfd(2): the last client's thread has ended */
};

/* What a client's thread is told; its own to free. */
struct task {
	struct host *host;
	unsigned number; /* of the thread, ever, from 0 */
	struct client client;
};

static void *serve_client(void *arg)
{
	struct task task = *(struct task *)arg;
	struct worker *w = task.host->ex.worker;
	struct executor ex;
	uint64_t one = 1;

	free(arg);
	executor_init(&ex, w, 1);
	placement_pin(w->conf, task.number);
	w->conf->engine->echo(&ex, &task.client);
	executor_deinit(&ex);
	if (atomic_fetch_sub(&task.host->acceptor.open, 1) == 1 &&
	    write(task.host->over, &one, sizeof(one)) < 0)
		log_debug("service=%s eventfd: %m", w->conf->name);
	return NULL;
}

/* A thread for CLIENT.  Returns 0 or -errno. */
static int start(struct host *h, const struct client *client)
{
	struct task *task = malloc(sizeof(*task));
	pthread_t thread;
	int r;

	if (!task)
		return -ENOMEM;
	*task = (struct task){.host = h, .number = h->made, .client = *client};
	r = pthread_create(&thread, &h->attr, serve_client, task);
	if (r == 0)
		h->made++;
	else
		free(task);
	return -r;
}

/* A thread for CLIENT, as soon as one can be made; not if we are to leave, or to drain and
 * no other thread is left whose end could make room. */
static void hand_over(struct host *h, const struct client *client)
{
	struct acceptor *a = &h->acceptor;
	int r;

	while ((r = start(h, client)) < 0 && !h->ex.leaving && !(h->ex.draining && a->open == 1)) {
		stats_add(h->ex.stats, C_SPAWN_FAILED, 1);
		log_event(EVENT_ACCEPT_PAUSED, F_TEXT(SERVICE, h->ex.worker->conf->name),
			  F_TEXT(WHAT, "make a thread"), F_NUMBER(ERRNO, -r));
		executor_wait(&h->ex, -1, 0, h->ex.now + RETRY);
	}
	if (r == 0)
		return;
	h->ex.worker->conf->engine->echo(&h->ex, client);
	acceptor_left(a);
}

/* The process must not end before its threads have: wait until the last says so. */
static void wait_for_threads(struct host *h)
{
	uint64_t n;

	while (atomic_load(&h->acceptor.open) > 0 && !h->ex.leaving) {
		executor_wait(&h->ex, h->over, POLLIN, UINT64_MAX);
		if (read(h->over, &n, sizeof(n)) < 0)
			continue; /* woken by the leash */
	}
}

static void serve(struct host *h)
{
	struct client client;

	executor_up(&h->ex);
	while (acceptor_wait(&h->acceptor, &client) == ACCEPT_CLIENT)
		hand_over(h, &client);
	executor_deaf(&h->ex);
	wait_for_threads(h);
}

/* The host is never freed: told to leave, the process ends while threads still use it. */
static int thread_run(struct worker *w)
{
	struct host *h = calloc(1, sizeof(*h));
	int r;

	if (!h)
		return -ENOMEM;
	h->over = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (h->over < 0) {
		r = -errno;
		free(h);
		return r;
	}
	executor_init(&h->ex, w, 0);
	pthread_attr_init(&h->attr);
	pthread_attr_setdetachstate(&h->attr, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&h->attr, (size_t)w->process->thread_stack);
	r = acceptor_init(&h->acceptor, &h->ex);
	if (r == 0)
		serve(h);
	return r;
}

const struct model model_thread = {
	.name = "thread",
	.text = "a thread for each client",
	.per_client = true,
	.calls = CALLS_THREADS | CALLS_NEW_THREAD,
	.run = thread_run,
};
