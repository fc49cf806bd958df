/* SPDX-License-Identifier: ISC */
/* Models and executors that cannot have what they need: threads, descriptors, a ring. */
#include "models.h"

#include "conf.h"
#include "engine.h"
#include "executor.h"
#include "stats.h"
#include "worker.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sysexits.h>

#include <cmocka.h>

enum { THREADS = 3 };

static unsigned most_threads, n_made;
static pthread_t made[THREADS];
static _Atomic int n_exits, exit_status;
static void *latest; /* memory: who cannot go on leaves it to the end of the process */

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*run)(void *),
			  void *arg);
int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*run)(void *),
			  void *arg);
_Noreturn void __wrap__exit(int status);
void *__wrap_calloc(size_t n, size_t size);
void *__real_calloc(size_t n, size_t size);
int __wrap_eventfd(unsigned initial, int flags);
int __wrap_signalfd(int fd, const sigset_t *mask, int flags);

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*run)(void *),
			  void *arg)
{
	int r = n_made < most_threads ? __real_pthread_create(thread, attr, run, arg) : EAGAIN;

	if (r == 0)
		made[n_made++] = *thread;
	return r;
}

/* The process lives: it is the test. */
_Noreturn void __wrap__exit(int status)
{
	exit_status = status;
	n_exits++;
	pthread_exit(NULL);
}

void *__wrap_calloc(size_t n, size_t size)
{
	latest = __real_calloc(n, size);
	return latest;
}

int __wrap_eventfd(unsigned initial, int flags)
{
	(void)initial;
	(void)flags;
	errno = EMFILE;
	return -1;
}

int __wrap_signalfd(int fd, const sigset_t *mask, int flags)
{
	(void)fd;
	(void)mask;
	(void)flags;
	errno = EMFILE;
	return -1;
}

static int serve(struct executor *ex)
{
	(void)ex;
	return 0;
}

static int serve_not(struct executor *ex)
{
	(void)ex;
	return -EMFILE;
}

static int serve_not_here(struct executor *ex)
{
	snprintf(ex->refused, sizeof(ex->refused), "not here");
	return -EPERM;
}

static const struct engine works = {.name = "works", .serve = serve};
static const struct engine fails = {.name = "fails", .serve = serve_not};
static const struct engine refused = {.name = "refused",
				      .serve = serve_not_here,
				      .substitute = &works};

static struct service_conf service;
static struct stats stats[THREADS];
static struct endpoint endpoint;
static const struct process_conf process = {.thread_stack = 1 << 20};
static struct worker worker;

static int setup(void **state)
{
	(void)state;
	most_threads = THREADS;
	n_made = 0;
	n_exits = exit_status = 0;
	service = (struct service_conf){
		.name = (char *)"test",
		.model = &model_prethread,
		.engine = &fails,
		.workers = THREADS,
	};
	worker = (struct worker){.conf = &service,
				 .process = &process,
				 .sockets = &endpoint,
				 .rows = 1,
				 .stats = stats,
				 .number = 1};
	return 0;
}

static void a_thread_that_cannot_serve_ends_the_worker(void **state)
{
	(void)state;
	assert_int_equal(model_prethread.run(&worker), 0);
	assert_int_equal(n_exits, THREADS);
	assert_int_equal(exit_status, EX_OSERR);
}

static void threads_that_serve_end_it_well(void **state)
{
	(void)state;
	service.engine = &works;
	assert_int_equal(model_prethread.run(&worker), 0);
	assert_int_equal(n_made, THREADS);
	assert_int_equal(n_exits, 0);
}

static void there_is_no_half_of_a_worker(void **state)
{
	(void)state;
	most_threads = THREADS - 1;
	service.engine = &works;
	assert_int_equal(model_prethread.run(&worker), -EAGAIN);
	assert_int_equal(n_made, THREADS - 1);
	for (unsigned i = 0; i < n_made; i++)
		pthread_join(made[i], NULL);
	free(latest);
}

static void another_engine_serves_if_none_was_named(void **state)
{
	(void)state;
	service.engine = &refused;
	assert_int_equal(executor_serve(&worker, 0), -EPERM);
	service.any_engine = true;
	assert_int_equal(executor_serve(&worker, 0), 0);
}

static void without_a_descriptor_there_is_no_worker(void **state)
{
	(void)state;
	assert_int_equal(model_thread.run(&worker), -EMFILE);
	assert_int_equal(model_fork.run(&worker), -EMFILE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(a_thread_that_cannot_serve_ends_the_worker, setup),
		cmocka_unit_test_setup(threads_that_serve_end_it_well, setup),
		cmocka_unit_test_setup(there_is_no_half_of_a_worker, setup),
		cmocka_unit_test_setup(another_engine_serves_if_none_was_named, setup),
		cmocka_unit_test_setup(without_a_descriptor_there_is_no_worker, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
