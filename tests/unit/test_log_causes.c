/* SPDX-License-Identifier: ISC */
/* Complaints that are counted where they arise. */
#include "log_causes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static const uint64_t a = UINT64_C(0x123456789abcdef1);

/* A complaint of KEY arises N times: how many are passed on. */
static int passed(struct log_causes *c, uint64_t key, uint64_t now, int n)
{
	int sum = 0;

	while (n-- > 0)
		sum += log_causes_pass(c, key, now);
	return sum;
}

static void passes_few_and_counts_the_others(void **state)
{
	struct log_causes c = {0};

	(void)state;
	assert_int_equal(passed(&c, a, 1000, 100), LOG_CAUSES_BURST);
	assert_int_equal(passed(&c, a, 1000 + LOG_CAUSES_PAUSE - 1, 100), 0);
	assert_int_equal(passed(&c, a, 1000 + LOG_CAUSES_PAUSE, 100), 1);
	assert_int_equal(passed(&c, ~a, 1000, 100), LOG_CAUSES_BURST);
	assert_int_equal(log_causes_take(&c, log_causes_place(&c, a)), 300 - LOG_CAUSES_BURST - 1);
	assert_int_equal(log_causes_take(&c, log_causes_place(&c, a)), 0);
	assert_int_equal(passed(&c, a, 100000, 100), LOG_CAUSES_BURST);
}

static void passes_what_finds_no_place(void **state)
{
	struct log_causes c = {0};

	(void)state;
	for (uint64_t i = 1; i <= LOG_CAUSES; i++)
		assert_int_equal(log_causes_place(&c, i << 32), i - 1);
	assert_int_equal(log_causes_place(&c, a), LOG_CAUSES);
	assert_int_equal(passed(&c, a, 1000, 100), 100);
	assert_true(log_causes_close(&c, 7));
	assert_int_equal(log_causes_place(&c, a), 7);
	assert_int_equal(log_causes_place(&c, UINT64_C(1) << 32), 0);
}

static void closes_what_is_empty(void **state)
{
	struct log_causes c = {0};

	(void)state;
	assert_int_equal(passed(&c, a, 1000, LOG_CAUSES_BURST + 1), LOG_CAUSES_BURST);
	assert_false(log_causes_close(&c, 0));
	assert_int_equal(log_causes_take(&c, 0), 1);
	assert_true(log_causes_close(&c, 0));
	assert_int_equal(log_causes_take(&c, 0), 0);
}

/* A logger that does not move for weeks: the count ends, and spoils nothing. */
static void counts_no_further_than_it_can(void **state)
{
	struct log_causes c = {0};

	(void)state;
	assert_int_equal(passed(&c, a, 1000, LOG_CAUSES_BURST), LOG_CAUSES_BURST);
	c.cause[0].counted += UINT32_MAX - 1;
	assert_int_equal(passed(&c, a, 1000, 3), 0);
	assert_int_equal(log_causes_take(&c, 0), UINT32_MAX);
	assert_int_equal(passed(&c, a, 1000, 1), 0);
	assert_int_equal(log_causes_take(&c, 0), 1);
}

/* Several processes at once, and one that takes away what was counted: each complaint is either
 * passed on or counted. */
static void counts_for_all_processes(void **state)
{
	enum { PROCESSES = 3, EACH = 200000 };
	struct shared {
		struct log_causes causes;
		_Atomic uint64_t passed;
	} *s = mmap(NULL, sizeof(*s), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	uint64_t counted = 0;
	int status, left = PROCESSES;

	(void)state;
	assert_ptr_not_equal(s, MAP_FAILED);
	for (int i = 0; i < PROCESSES; i++)
		if (fork() == 0) {
			for (int k = 0; k < EACH; k++)
				s->passed += log_causes_pass(&s->causes, a,
							     1000 + (uint64_t)k / 100);
			_exit(0);
		}
	while (left > 0) {
		if (waitpid(-1, &status, WNOHANG) > 0)
			left--;
		counted += log_causes_take(&s->causes, 0);
		log_causes_close(&s->causes, 0);
	}
	assert_int_equal(s->passed + counted + log_causes_take(&s->causes, 0), PROCESSES * EACH);
	munmap(s, sizeof(*s));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(passes_few_and_counts_the_others),
		cmocka_unit_test(passes_what_finds_no_place),
		cmocka_unit_test(closes_what_is_empty),
		cmocka_unit_test(counts_no_further_than_it_can),
		cmocka_unit_test(counts_for_all_processes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
