/* SPDX-License-Identifier: ISC */
/* Token buckets: rates and bursts, many sources, many processes. */
#include "limiter.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

enum { MS = 1000, SECOND = 1000000 };

#define START UINT64_C(1000000000000) /* microseconds: eleven days up */

static void *memory;

static struct limiter *make(uint32_t per_second, uint32_t burst)
{
	memset(memory, 0, limiter_size());
	return limiter_init(memory, per_second * 1000, burst);
}

static int setup(void **state)
{
	(void)state;
	memory = mmap(NULL, limiter_size(), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		      0);
	return memory == MAP_FAILED ? -1 : 0;
}

static int teardown(void **state)
{
	(void)state;
	return munmap(memory, limiter_size());
}

static uint64_t random64(uint64_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return *seed * UINT64_C(0x2545f4914f6cdd1d);
}

static void gives_a_burst_and_then_the_rate(void **state)
{
	struct limiter *l = make(1000, 200);
	unsigned given = 0;

	(void)state;
	for (int i = 0; i < 1000; i++)
		given += limiter_take(l, 4711, START, 1);
	assert_int_equal(given, 200);
	assert_int_equal(limiter_take(l, 4711, START + 900, 1), 0);
	assert_int_equal(limiter_take(l, 4711, START + 1 * MS + 100, 1), 1);
	assert_int_equal(limiter_take(l, 4711, START + 1 * MS + 200, 1), 0);
	for (int i = 0; i < 10000; i++) /* ten times the rate, for a second */
		given += limiter_take(l, 4711, START + 2 * MS + (uint64_t)i * 100, 1);
	assert_in_range(given, 1200, 1202);
}

static void gives_part_of_what_is_wanted(void **state)
{
	struct limiter *l = make(1000, 50);

	(void)state;
	assert_int_equal(limiter_take(l, 1, START, 30), 30);
	assert_int_equal(limiter_take(l, 1, START, 30), 20);
	assert_int_equal(limiter_take(l, 1, START, 30), 0);
	assert_int_equal(limiter_take(l, 2, START, 30), 30);
}

static void a_pause_fills_the_bucket_and_no_more(void **state)
{
	struct limiter *l = make(10, 5);

	(void)state;
	assert_int_equal(limiter_take(l, 9, START, 100), 5);
	assert_int_equal(limiter_take(l, 9, START + 250 * MS, 100), 2);
	assert_int_equal(limiter_take(l, 9, START + 3600 * (uint64_t)SECOND, 100), 5);
}

/* One token every thousand seconds, four million a second. */
static void knows_extreme_rates(void **state)
{
	struct limiter *l;
	unsigned given = 0;

	(void)state;
	memset(memory, 0, limiter_size());
	l = limiter_init(memory, 1, 1);
	assert_int_equal(limiter_take(l, 9, START, 1), 1);
	assert_int_equal(limiter_take(l, 9, START + 999 * (uint64_t)SECOND, 1), 0);
	assert_int_equal(limiter_take(l, 9, START + 1001 * (uint64_t)SECOND, 1), 1);
	l = make(4000000, 1000);
	for (uint64_t us = 0; us < SECOND; us += 10)
		given += limiter_take(l, 9, START + us, 1000);
	assert_in_range(given, 4000000, 4001001);
}

/* Whatever time it is, and however long a bucket was left alone. */
static void time_goes_round(void **state)
{
	static const uint32_t rates[] = {1, 1000, 4000000};
	uint64_t seed = 3;

	(void)state;
	for (int i = 0; i < 3000; i++) {
		struct limiter *l = make(rates[i % 3], 20);
		uint64_t now = random64(&seed) >> 20, refill = 20 * (uint64_t)SECOND / rates[i % 3];

		assert_int_equal(limiter_take(l, 5, now, 100), 20);
		assert_in_range(limiter_take(l, 5, now + 1, 100), 0, 5);
		now += refill + 2 + random64(&seed) % (10 * refill + 1000);
		assert_in_range(limiter_take(l, 5, now, 100), 19, 20);
	}
}

/* A process that read the clock before another did finds a bucket from the future. */
static void a_late_clock_gives_nothing(void **state)
{
	struct limiter *l = make(1000, 200);

	(void)state;
	assert_int_equal(limiter_take(l, 5, START + 300 * MS, 200), 200);
	assert_int_equal(limiter_take(l, 5, START, 200), 0);
}

/* One more than there is, and then no other until that is paid back. */
static void can_be_overdrawn_once(void **state)
{
	struct limiter *l = make(1000, 10);

	(void)state;
	assert_int_equal(limiter_take(l, 5, START, 100), 10);
	assert_false(limiter_overdraw(l, 5, START, UINT16_MAX / 2));
	assert_true(limiter_overdraw(l, 5, START, UINT16_MAX));
	assert_false(limiter_overdraw(l, 5, START, UINT16_MAX));
	assert_false(limiter_overdraw(l, 5, START + 900, UINT16_MAX / 2 + 1));
	assert_int_equal(limiter_take(l, 5, START + 1100, 1), 0);
	assert_true(limiter_overdraw(l, 5, START + 1100, UINT16_MAX));
	assert_int_equal(limiter_take(l, 5, START + 3200, 100), 1);
}

/* Of a twentieth of the burst as much as is said. */
static void can_be_overdrawn_in_part(void **state)
{
	struct limiter *l = make(1000, 200);
	unsigned half = 0, all = 0;

	(void)state;
	assert_int_equal(limiter_take(l, 5, START, 1000), 200);
	for (int i = 0; i < 100; i++)
		half += limiter_overdraw(l, 5, START, UINT16_MAX / 2 + 1);
	for (int i = 0; i < 100; i++)
		all += limiter_overdraw(l, 5, START, UINT16_MAX);
	assert_int_equal(half, 5);
	assert_int_equal(all, 4);
	assert_int_equal(limiter_take(l, 5, START + 9 * MS, 1), 0);
	assert_int_equal(limiter_take(l, 5, START + 11 * MS, 10), 2);
}

/* Against a bucket with a level and a time, for few sources and odd steps. */
static void agrees_with_a_plain_bucket(void **state)
{
	enum { SOURCES = 5, STEPS = 200000, RATE = 333, BURST = 17 };
	struct limiter *l = make(RATE, BURST);
	double level[SOURCES] = {BURST, BURST, BURST, BURST, BURST}, given[SOURCES] = {0};
	uint64_t hash[SOURCES], seed = 11, now = START;

	(void)state;
	for (int i = 0; i < SOURCES; i++)
		hash[i] = random64(&seed);
	for (int i = 0; i < STEPS; i++) {
		uint64_t step = random64(&seed) % 2000;
		unsigned who = (unsigned)(random64(&seed) % SOURCES);
		unsigned wanted = (unsigned)(random64(&seed) % 4 + 1), got;

		now += step;
		for (int k = 0; k < SOURCES; k++) {
			level[k] += (double)step * RATE / 1e6;
			level[k] = level[k] > BURST ? BURST : level[k];
		}
		got = limiter_take(l, hash[who], now, wanted);
		/* It counts in sixteenths: one token more or less where the level is near. */
		assert_true(got <= level[who] + 0.2);
		assert_true(got == wanted || got > level[who] - 1.2);
		level[who] -= got;
		given[who] += got;
	}
	for (int k = 0; k < SOURCES; k++)
		assert_true(given[k] < (double)(now - START) * RATE / 1e6 + BURST + 1);
}

/* Ten million sources that never come again: each is let in, one that is over its limit stays
 * there, and the last cost what the first did.  The cost is printed. */
static void millions_of_sources_change_nothing(void **state)
{
	enum { SOURCES = 10000000, LAPS = 10 };
	struct limiter *l = make(1000, 200);
	uint64_t seed = 99, now = START;
	unsigned busy = 0, in = 0;

	(void)state;
	for (int lap = 0; lap < LAPS; lap++) {
		struct timespec begin, end;

		clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &begin);
		for (int i = 0; i < SOURCES / LAPS; i++) {
			if (i % 10 == 0)
				now++; /* ten million a second */
			in += limiter_take(l, random64(&seed), now, 1);
			if (i % 100 == 0) /* a hundred times its limit */
				busy += limiter_take(l, 4711, now, 1);
		}
		clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &end);
		print_message("sources %d to %d million: %.0f ns each\n", lap, lap + 1,
			      ((double)(end.tv_sec - begin.tv_sec) * 1e9 +
			       (double)(end.tv_nsec - begin.tv_nsec)) /
				      (SOURCES / LAPS));
	}
	print_message("memory: %zu bytes\n", limiter_size());
	assert_in_range(in, SOURCES - 20, SOURCES); /* 24 bits: one in two million */
	assert_in_range(busy, 1190, 1202);          /* burst and one second */
}

/* Whatever others owe, a new source is let in: all are far over their limits here. */
static void a_new_source_finds_a_place(void **state)
{
	enum { SOURCES = 200000 };
	struct limiter *l = make(1, 10);
	uint64_t seed = 5;
	unsigned in = 0;

	(void)state;
	for (int i = 0; i < SOURCES; i++)
		in += limiter_take(l, random64(&seed), START + 1, 10) > 0;
	assert_in_range(in, SOURCES - 2, SOURCES);
}

/* Processes that take from one bucket together get what one alone would have got. */
static void holds_between_processes(void **state)
{
	enum { PROCESSES = 4, TAKES = 200000, BURST = 100000 };
	struct limiter *l = make(1, BURST);
	unsigned *given = mmap(NULL, PROCESSES * sizeof(*given), PROT_READ | PROT_WRITE,
			       MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	unsigned sum = 0;
	int status;

	(void)state;
	for (int p = 0; p < PROCESSES; p++) {
		if (fork() > 0)
			continue;
		for (int i = 0; i < TAKES; i++)
			given[p] += limiter_take(l, 77, START, 1);
		_exit(0);
	}
	for (int p = 0; p < PROCESSES; p++) {
		wait(&status);
		assert_int_equal(status, 0);
	}
	for (int p = 0; p < PROCESSES; p++)
		sum += given[p];
	assert_int_equal(sum, BURST);
	munmap(given, PROCESSES * sizeof(*given));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(gives_a_burst_and_then_the_rate),
		cmocka_unit_test(gives_part_of_what_is_wanted),
		cmocka_unit_test(a_pause_fills_the_bucket_and_no_more),
		cmocka_unit_test(knows_extreme_rates),
		cmocka_unit_test(time_goes_round),
		cmocka_unit_test(a_late_clock_gives_nothing),
		cmocka_unit_test(can_be_overdrawn_once),
		cmocka_unit_test(can_be_overdrawn_in_part),
		cmocka_unit_test(agrees_with_a_plain_bucket),
		cmocka_unit_test(millions_of_sources_change_nothing),
		cmocka_unit_test(a_new_source_finds_a_place),
		cmocka_unit_test(holds_between_processes),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
