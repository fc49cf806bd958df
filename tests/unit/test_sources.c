/* SPDX-License-Identifier: ISC */
/* Connections of each source: counts, limits, and processes that die. */
#include "sources.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { N = 4096 };

static void *memory;

static struct sources *make(void)
{
	memset(memory, 0, sources_size(N));
	return sources_init(memory, N);
}

static int setup(void **state)
{
	(void)state;
	memory = mmap(NULL, sources_size(N), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		      0);
	return memory == MAP_FAILED ? -1 : 0;
}

static int teardown(void **state)
{
	(void)state;
	return munmap(memory, sources_size(N));
}

static uint64_t random64(uint64_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return *seed * UINT64_C(0x2545f4914f6cdd1d);
}

static void counts_up_to_the_limit(void **state)
{
	struct sources *s = make();
	_Atomic uint32_t place[6] = {0};

	(void)state;
	for (int i = 0; i < 5; i++) {
		assert_int_equal(sources_enter(s, 4711, 5, &place[i]), 0);
		assert_true(place[i] != 0);
	}
	assert_int_equal(sources_enter(s, 4711, 5, &place[5]), -EDQUOT);
	assert_int_equal(place[5], 0);
	assert_int_equal(sources_count(s, 4711), 5);
	sources_leave(s, N, &place[5]); /* it was not counted */
	assert_int_equal(sources_count(s, 4711), 5);
	sources_leave(s, N, &place[2]);
	assert_int_equal(place[2], 0);
	sources_leave(s, N, &place[2]);
	assert_int_equal(sources_count(s, 4711), 4);
	assert_int_equal(sources_enter(s, 4711, 5, &place[5]), 0);
	assert_int_equal(sources_count(s, 4711), 5);
}

static void one_source_does_not_count_for_another(void **state)
{
	struct sources *s = make();
	_Atomic uint32_t a[100], b = 0;

	(void)state;
	for (int i = 0; i < 100; i++)
		assert_int_equal(sources_enter(s, 1, 100, &a[i]), 0);
	assert_int_equal(sources_enter(s, 1, 100, &b), -EDQUOT);
	assert_int_equal(sources_enter(s, UINT64_C(1) << 63 | 1, 100, &b), 0); /* of the same set */
	assert_int_equal(sources_count(s, 1), 100);
	sources_leave(s, N, &b);
	assert_int_equal(sources_count(s, 1), 100);
	for (int i = 0; i < 100; i++)
		sources_leave(s, N, &a[i]);
	assert_int_equal(sources_count(s, 1), 0);
}

/* As many sources as connections, come and gone many times: all are counted, none is left. */
static void there_is_room_for_all(void **state)
{
	struct sources *s = make();
	static _Atomic uint32_t place[N];
	uint64_t seed = 1, again;
	unsigned uncounted = 0;

	(void)state;
	for (int lap = 0; lap < 50; lap++) {
		again = seed;
		for (int i = 0; i < N; i++) {
			assert_int_equal(sources_enter(s, random64(&seed), 1, &place[i]), 0);
			uncounted += place[i] == 0;
		}
		for (int i = 0; i < N; i++)
			sources_leave(s, N, &place[i]);
		for (int i = 0; i < N; i++)
			assert_int_equal(sources_count(s, random64(&again)), 0);
	}
	assert_in_range(uncounted, 0, 20);
}

/* Where there is no room nobody is refused. */
static void a_full_set_limits_nobody(void **state)
{
	struct sources *s = make();
	_Atomic uint32_t place[9];

	(void)state;
	for (uint64_t i = 0; i < 9; i++)
		assert_int_equal(sources_enter(s, i << 50 | 7, 1, &place[i]), 0);
	assert_int_equal(place[8], 0);
	assert_int_equal(sources_enter(s, 7, 1, &place[8]), -EDQUOT);
}

/* Processes that come and go for the same few sources, and are killed: the limit holds all
 * the time, and when everybody's places are given back nothing is left. */
static void survives_killed_processes(void **state)
{
	enum { PROCESSES = 4, PLACES = 50, SOURCES = 3, LIMIT = 40, ROUNDS = 20 };
	struct sources *s = make();
	size_t size = PROCESSES * PLACES * sizeof(_Atomic uint32_t);
	_Atomic uint32_t *place = mmap(NULL, size, PROT_READ | PROT_WRITE,
				       MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	uint64_t hash[SOURCES] = {0x1111111111111111, 0x2222222222222222, 0x1234567812341111};
	pid_t pids[PROCESSES];

	(void)state;
	for (int round = 0; round < ROUNDS; round++) {
		for (int p = 0; p < PROCESSES; p++) {
			uint64_t seed = (uint64_t)(round * PROCESSES + p + 1);

			pids[p] = fork();
			for (uint64_t i = 0; pids[p] == 0; i = random64(&seed) % PLACES) {
				_Atomic uint32_t *mine = &place[p * PLACES + (int)i];

				if (*mine)
					sources_leave(s, N, mine);
				else
					sources_enter(s, hash[random64(&seed) % SOURCES], LIMIT,
						      mine);
			}
		}
		for (int look = 0; look < 2000; look++)
			for (int i = 0; i < SOURCES; i++)
				assert_in_range(sources_count(s, hash[i]), 0, LIMIT);
		for (int p = 0; p < PROCESSES; p++) {
			kill(pids[p], SIGKILL);
			waitpid(pids[p], NULL, 0);
		}
		for (int i = 0; i < PROCESSES * PLACES; i++)
			sources_leave(s, N, &place[i]);
		for (int i = 0; i < SOURCES; i++)
			assert_int_equal(sources_count(s, hash[i]), 0);
	}
	munmap((void *)place, size);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(counts_up_to_the_limit),
		cmocka_unit_test(one_source_does_not_count_for_another),
		cmocka_unit_test(there_is_room_for_all),
		cmocka_unit_test(a_full_set_limits_nobody),
		cmocka_unit_test(survives_killed_processes),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
