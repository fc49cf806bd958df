/* SPDX-License-Identifier: ISC */
/* Prethreaded: a fixed number of threads in one process, each of which accepts and echoes
 * by itself on the listeners that all share; the thread twin of prefork. */
#include "models.h"

#include "conf.h"
#include "executor.h"
#include "log.h"
#include "sandbox_calls.h"
#include "worker.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

/* What one thread is told. */
struct part {
	struct worker *worker;
	unsigned index;
	pthread_t thread;
};

/* A thread that cannot serve ends the process, which the supervisor replaces whole: there
 * is no half of a worker. */
static void *serve(void *arg)
{
	const struct part *part = arg;
	int r = executor_serve(part->worker, part->index);

	if (r < 0) {
		errno = -r;
		log_err("service=%s thread %u cannot serve: %m", part->worker->conf->name,
			part->index + 1);
		_exit(EX_OSERR);
	}
	return NULL;
}

static int start(struct part *parts, struct worker *w)
{
	pthread_attr_t attr;
	int r = 0;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, (size_t)w->process->thread_stack);
	for (unsigned i = 0; i < w->conf->workers && r == 0; i++) {
		parts[i] = (struct part){.worker = w, .index = i};
		r = pthread_create(&parts[i].thread, &attr, serve, &parts[i]);
	}
	pthread_attr_destroy(&attr);
	return -r;
}

/* If not all threads can be made the process ends, and those that run with it. */
static int prethread_run(struct worker *w)
{
	struct part *parts = calloc(w->conf->workers, sizeof(*parts));
	int r;

	if (!parts)
		return -ENOMEM;
	pthread_barrier_init(&w->all_up, NULL, w->conf->workers);
	r = start(parts, w);
	if (r < 0)
		return r;
	for (unsigned i = 0; i < w->conf->workers; i++)
		pthread_join(parts[i].thread, NULL);
	free(parts);
	return 0;
}

const struct model model_prethread = {
	.name = "prethread",
	.text = "a fixed number of threads, each accepting by itself",
	.many_threads = true,
	.calls = CALLS_THREADS,
	.run = prethread_run,
};
