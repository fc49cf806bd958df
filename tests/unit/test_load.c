/* SPDX-License-Identifier: ISC */
/* The parts of a load that need no network: sizes, the schedule, what a result means. */
#include "echoc/exits.h"
#include "echoc/load_conn.h"
#include "echoc/moment.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void sizes_as_people_write_them(void **state)
{
	static const char *const bad[] = {"",      "x",     "-1",  "64-", "1500-64", "1-2-3",
					  "1,2-3", "1-2,3", "64,", ",64", "64 ",     "1KK"};
	struct sizes s;
	const char *why;

	(void)state;
	assert_int_equal(sizes_parse(&s, "64", &why), 0);
	assert_true(s.n == 1 && !s.range && s.list[0] == 64);
	assert_int_equal(sizes_parse(&s, "64-1500", &why), 0);
	assert_true(s.n == 2 && s.range && s.list[1] == 1500);
	assert_int_equal(sizes_parse(&s, "1,2K,3", &why), 0);
	assert_true(s.n == 3 && !s.range && s.list[1] == 2048);
	assert_int_equal(sizes_largest(&s), 2048);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_true(sizes_parse(&s, bad[i], &why) < 0);
}

static void sizes_of_a_list_in_turn_of_a_range_by_chance(void **state)
{
	struct sizes list = {.list = {10, 20, 30}, .n = 3};
	struct sizes range = {.list = {5, 8}, .n = 2, .range = true};
	int seen[9] = {0};
	uint64_t seed = 1;

	(void)state;
	for (uint64_t i = 0; i < 9; i++)
		assert_int_equal(sizes_next(&list, i, &seed), 10 * (i % 3 + 1));
	for (uint64_t i = 0; i < 4000; i++) {
		int64_t n = sizes_next(&range, i, &seed);

		assert_in_range(n, 5, 8);
		seen[n]++;
	}
	for (int n = 5; n <= 8; n++)
		assert_in_range(seen[n], 850, 1150);
}

/* 3 threads with 10 connections at 7000 a second: all dues together are the schedule. */
static void the_schedule_is_even(void **state)
{
	enum { THREADS = 3, CONNECTIONS = 10, ROUNDS = 100 };
	struct load_conf conf = {.connections = CONNECTIONS, .rate = 7000};
	struct load_shared shared = {.conf = &conf, .start = 5 * (int64_t)MOMENT_S};
	bool seen[CONNECTIONS * ROUNDS] = {false};

	(void)state;
	for (unsigned i = 0; i < THREADS; i++) {
		struct load_thread t = {.shared = &shared, .conf = &conf};
		int64_t last = 0;

		for (uint64_t n = 0; n < ROUNDS; n++) {
			for (uint64_t number = i; number < CONNECTIONS; number += THREADS) {
				struct load_conn c = {.number = number};
				int64_t due = load_due(&t, &c, n), from = due - shared.start;
				size_t place = (size_t)((double)from * 7000 / MOMENT_S + 0.5);

				assert_true(due > last);
				last = due;
				assert_true(place < CONNECTIONS * ROUNDS && !seen[place]);
				seen[place] = true;
			}
		}
	}
	for (size_t i = 0; i < CONNECTIONS * ROUNDS; i++)
		assert_true(seen[i]);
}

/* After a day at a high rate the schedule is still exact to a microsecond. */
static void the_schedule_does_not_drift(void **state)
{
	struct load_conf conf = {.connections = 1000, .rate = 1e6};
	struct load_shared shared = {.conf = &conf, .start = 0};
	struct load_thread t = {.shared = &shared, .conf = &conf};
	struct load_conn c = {.number = 0};
	int64_t due = load_due(&t, &c, 86400000); /* messages of one connection */

	(void)state;
	assert_in_range(due, 86400 * (int64_t)MOMENT_S - 1000, 86400 * (int64_t)MOMENT_S + 1000);
}

static void the_exit_code_tells_the_worst(void **state)
{
	struct load_result r = {.counts = {.sent = 10, .received = 10}};

	(void)state;
	assert_int_equal(load_exit(&r), EXITS_OK);
	r.counts.failures[LOAD_REFUSED] = 1;
	assert_int_equal(load_exit(&r), EXITS_REFUSED);
	r.counts.failures[LOAD_TIMEOUT] = 1;
	assert_int_equal(load_exit(&r), EXITS_TIMEOUT);
	r.counts.failures[LOAD_RESET] = 1;
	assert_int_equal(load_exit(&r), EXITS_DAMAGED);
	r = (struct load_result){.counts = {.sent = 10}};
	assert_int_equal(load_exit(&r), EXITS_TIMEOUT);
	r.counts.damages[DAMAGE_CUT] = 1;
	assert_int_equal(load_exit(&r), EXITS_DAMAGED);
}

static void the_client_admits_its_limits(void **state)
{
	struct load_conf conf = {.threads = 1, .rate = 1000};
	struct load_result r = {.cpu = 0.4, .waited = 0.01, .lag = hist_new()};
	char why[128];

	(void)state;
	hist_add(r.lag, 50 * MOMENT_US);
	assert_null(load_limited(&conf, &r, why, sizeof(why)));
	r.cpu = 0.99;
	assert_non_null(strstr(load_limited(&conf, &r, why, sizeof(why)), "99 %"));
	r.cpu = 0.4;
	r.waited = 0.5;
	assert_non_null(strstr(load_limited(&conf, &r, why, sizeof(why)), "waited 50 %"));
	r.waited = 0;
	hist_add(r.lag, 30 * MOMENT_MS);
	assert_non_null(strstr(load_limited(&conf, &r, why, sizeof(why)), "behind its schedule"));
	free(r.lag);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sizes_as_people_write_them),
		cmocka_unit_test(sizes_of_a_list_in_turn_of_a_range_by_chance),
		cmocka_unit_test(the_schedule_is_even),
		cmocka_unit_test(the_schedule_does_not_drift),
		cmocka_unit_test(the_exit_code_tells_the_worst),
		cmocka_unit_test(the_client_admits_its_limits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
