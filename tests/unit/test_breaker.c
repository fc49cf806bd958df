/* SPDX-License-Identifier: ISC */
/* The breaker of loops: what it ends, and whom it leaves alone. */
#include "breaker.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define START UINT64_C(5000000000) /* ms: later than 32 bits of them */

static struct breaker *make(void)
{
	void *at = aligned_alloc(64, breaker_size());

	assert_non_null(at);
	memset(at, 0, breaker_size());
	return breaker_init(at);
}

static uint64_t random64(uint64_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return *seed * UINT64_C(0x2545f4914f6cdd1d);
}

/* Answers until one that comes EVERY ms is not answered, at most MOST. */
static unsigned answers(struct breaker *b, uint64_t hash, unsigned every, unsigned most)
{
	unsigned n = 0;

	while (n < most && breaker_judge(b, hash, START + (uint64_t)n * every) == BREAKER_FINE)
		n++;
	return n;
}

static void a_loop_ends(void **state)
{
	static const unsigned paces[] = {0, 1, 50, 300, BREAKER_PAUSE};

	(void)state;
	for (size_t i = 0; i < sizeof(paces) / sizeof(paces[0]); i++) {
		struct breaker *b = make();

		assert_int_equal(answers(b, 4711, paces[i], 1000), BREAKER_REPEATS);
		free(b);
	}
}

static void a_slow_pinger_is_answered_for_ever(void **state)
{
	struct breaker *b = make();

	(void)state;
	assert_int_equal(answers(b, 4711, BREAKER_PAUSE + 1, 100000), 100000);
	free(b);
}

/* All that circulates comes by in the pause and is dropped; one who goes on is answered again. */
static void is_open_for_a_pause(void **state)
{
	struct breaker *b = make();

	(void)state;
	assert_int_equal(answers(b, 4711, 0, 1000), BREAKER_REPEATS);
	for (uint64_t ms = 0; ms <= BREAKER_PAUSE; ms += 10)
		assert_int_equal(breaker_judge(b, 4711, START + ms), BREAKER_OPEN);
	assert_int_equal(breaker_judge(b, 4711, START + BREAKER_PAUSE + 1), BREAKER_FINE);
	free(b);
}

static void trips_once(void **state)
{
	struct breaker *b = make();
	unsigned trips = 0;

	(void)state;
	for (int i = 0; i < 1000; i++)
		trips += breaker_judge(b, 4711, START) == BREAKER_TRIPS;
	assert_int_equal(trips, 1);
	free(b);
}

/* A client that numbers its datagrams, and two loops at once that take turns. */
static void others_do_not_matter(void **state)
{
	struct breaker *b = make();
	uint64_t seed = 1;
	unsigned fine = 0;

	(void)state;
	for (int i = 0; i < 1000000; i++)
		fine += breaker_judge(b, random64(&seed), START + (uint64_t)i / 1000) ==
			BREAKER_FINE;
	assert_int_equal(fine, 1000000);
	fine = 0;
	for (int i = 0; i < 1000; i++) {
		fine += breaker_judge(b, 1111, START + 2000) == BREAKER_FINE;
		fine += breaker_judge(b, UINT64_C(0xabcdef0000000000) | 1111, START + 2000) ==
			BREAKER_FINE;
	}
	assert_int_equal(fine, 2 * BREAKER_REPEATS);
	free(b);
}

/* A loop every 10 ms among a hundred thousand others a second. */
static void a_crowd_hides_no_loop(void **state)
{
	struct breaker *b = make();
	uint64_t seed = 2;
	unsigned n = 0;

	(void)state;
	for (uint64_t ms = 0; ms < 10000; ms++) {
		for (int i = 0; i < 100; i++)
			breaker_judge(b, random64(&seed), START + ms);
		if (ms % 10 == 0 && breaker_judge(b, 4711, START + ms) != BREAKER_FINE)
			break;
		n += ms % 10 == 0;
	}
	assert_in_range(n, BREAKER_REPEATS, BREAKER_REPEATS + 20);
	free(b);
}

/* A process that read the clock a little earlier than the last. */
static void a_late_clock_counts_too(void **state)
{
	struct breaker *b = make();
	unsigned n = 0;

	(void)state;
	while (n < 1000 && breaker_judge(b, 4711, START + 100 - n % 2 * 20) == BREAKER_FINE)
		n++;
	assert_int_equal(n, BREAKER_REPEATS);
	free(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_loop_ends),
		cmocka_unit_test(a_slow_pinger_is_answered_for_ever),
		cmocka_unit_test(is_open_for_a_pause),
		cmocka_unit_test(trips_once),
		cmocka_unit_test(others_do_not_matter),
		cmocka_unit_test(a_crowd_hides_no_loop),
		cmocka_unit_test(a_late_clock_counts_too),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
