/* SPDX-License-Identifier: ISC */
/* What executors pay for the memory that they share: each case by one thread, and by two on two
 * processors that touch the same cache line or lines apart.  docs/scaling.md quotes it. */
#include "limiter.h"
#include "slots.h"
#include "stats.h"

#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>

enum { TIMES = 5000000, ROUNDS = 5, SLOTS = 1024, FAR = SLOTS / 2 };

static struct stats *stats;
static struct slots slots;
static struct limiter *limiter;

static void count_apart(uint32_t me)
{
	stats_add(&stats[me], C_ECHOES, 1);
}

static void count_together(uint32_t me)
{
	stats_add(&stats[0], me ? C_ECHOES : C_BYTES_IN, 1);
}

static void claim(uint32_t me, uint32_t hint)
{
	int64_t slot = slots_claim(&slots, (pid_t)me + 1, &hint);

	if (slot >= 0)
		slots_release(&slots, (uint32_t)slot);
}

static void claim_together(uint32_t me)
{
	claim(me, me);
}

static void claim_apart(uint32_t me)
{
	claim(me, me * FAR);
}

static void write_slot(uint32_t slot)
{
	slots.slot[slot].bytes_in = slots.slot[slot].bytes_in + 1;
}

static void write_neighbours(uint32_t me)
{
	write_slot(me);
}

static void write_apart(uint32_t me)
{
	write_slot(me * FAR);
}

static void limit_together(uint32_t me)
{
	(void)me;
	limiter_take(limiter, 1, 1000, 0);
}

static void limit_apart(uint32_t me)
{
	limiter_take(limiter, 1 + me, 1000, 0);
}

static const struct test {
	const char *name;
	void (*together)(uint32_t me);
	void (*apart)(uint32_t me);
} tests[] = {
	{"a counter", count_together, count_apart},
	{"a slot claimed and freed", claim_together, claim_apart},
	{"bytes in a slot", write_neighbours, write_apart},
	{"the limit of a source", limit_together, limit_apart},
};

/* One thread's part. */
struct part {
	void (*touch)(uint32_t me);
	pthread_barrier_t *begin;
	uint32_t me;
	int cpu;
	double ns; /* each */
};

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec * 1e9 + (double)ts.tv_nsec;
}

static void *run(void *arg)
{
	struct part *p = arg;
	double since;
	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET(p->cpu, &one);
	sched_setaffinity(0, sizeof(one), &one);
	pthread_barrier_wait(p->begin);
	since = now();
	for (int i = 0; i < TIMES; i++)
		p->touch(p->me);
	p->ns = (now() - since) / TIMES;
	return NULL;
}

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* Nanoseconds for each touch by each of N threads: the median of some rounds. */
static double measure(void (*touch)(uint32_t me), unsigned n, const int cpus[2])
{
	double taken[ROUNDS];

	for (int round = 0; round < ROUNDS; round++) {
		pthread_barrier_t begin;
		pthread_t threads[2];
		struct part parts[2];

		pthread_barrier_init(&begin, NULL, n);
		for (uint32_t i = 0; i < n; i++) {
			parts[i] = (struct part){touch, &begin, i, cpus[i], 0};
			if (pthread_create(&threads[i], NULL, run, &parts[i]) != 0)
				abort();
		}
		taken[round] = 0;
		for (uint32_t i = 0; i < n; i++) {
			pthread_join(threads[i], NULL);
			taken[round] += parts[i].ns / n;
		}
		pthread_barrier_destroy(&begin);
	}
	qsort(taken, ROUNDS, sizeof(taken[0]), by_size);
	return taken[ROUNDS / 2];
}

/* The first and the last processor that we may have.  Returns whether these are two. */
static int choose(int cpus[2])
{
	cpu_set_t set;
	int n = 0;

	sched_getaffinity(0, sizeof(set), &set);
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
		if (CPU_ISSET(cpu, &set)) {
			cpus[n > 0] = cpu;
			n++;
		}
	return n > 1;
}

int main(void)
{
	enum { BLOCKS = 1 << 16, LIMITS = 1 << 20, SIZE = 1 << 22 };
	char *shared = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int cpus[2];

	if (shared == MAP_FAILED || !choose(cpus)) {
		fprintf(stderr, "lines: no memory, or one processor\n");
		return EXIT_FAILURE;
	}
	stats = (struct stats *)shared;
	slots_init(&slots, shared + BLOCKS, SLOTS, -1);
	limiter = limiter_init(shared + LIMITS, 1000000, 1000);
	printf("nanoseconds for each         alone  two, same line  two, lines apart\n");
	for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++)
		printf("%-26s %7.1f %15.1f %17.1f\n", tests[i].name,
		       measure(tests[i].apart, 1, cpus), measure(tests[i].together, 2, cpus),
		       measure(tests[i].apart, 2, cpus));
	printf("a slot is %zu bytes, a block of counters %zu\n", sizeof(struct slot),
	       sizeof(struct stats));
	return EXIT_SUCCESS;
}
