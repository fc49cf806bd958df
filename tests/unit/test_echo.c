/* SPDX-License-Identifier: ISC */
/* The echo of a stream, byte by byte, without a socket. */
#include "echo.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

static void starts_by_reading(void **state)
{
	struct echo e = {0};

	(void)state;
	assert_int_equal(echo_wants(&e), ECHO_READ);
}

static void writes_before_it_reads_again(void **state)
{
	struct echo e = {0};

	(void)state;
	echo_received(&e, 5);
	assert_int_equal(echo_wants(&e), ECHO_WRITE);
	echo_sent(&e, 2);
	assert_int_equal(e.pending, 3);
	assert_int_equal(echo_wants(&e), ECHO_WRITE);
	echo_sent(&e, 3);
	assert_int_equal(echo_wants(&e), ECHO_READ);
}

static void finishes_at_once_when_nothing_is_pending(void **state)
{
	struct echo e = {0};

	(void)state;
	echo_end(&e);
	assert_int_equal(echo_wants(&e), ECHO_FINISH);
}

static void sends_the_rest_before_it_finishes(void **state)
{
	struct echo e = {0};

	(void)state;
	echo_received(&e, 7);
	echo_end(&e);
	assert_int_equal(echo_wants(&e), ECHO_WRITE);
	echo_sent(&e, 6);
	assert_int_equal(echo_wants(&e), ECHO_WRITE);
	echo_sent(&e, 1);
	assert_int_equal(echo_wants(&e), ECHO_FINISH);
}

/* Whatever the kernel takes at a time, what comes in goes out. */
static void loses_and_makes_nothing(void **state)
{
	struct echo e = {0};
	uint64_t in = 0, out = 0;

	(void)state;
	srand(862);
	for (int i = 0; i < 100000; i++) {
		uint32_t n;

		switch (echo_wants(&e)) {
		case ECHO_READ:
			n = 1 + (uint32_t)rand() % 4096;
			echo_received(&e, n);
			in += n;
			break;
		case ECHO_WRITE:
			n = (uint32_t)rand() % (e.pending + 1);
			echo_sent(&e, n);
			out += n;
			break;
		default:
			fail();
		}
		assert_int_equal(in, out + e.pending);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(starts_by_reading),
		cmocka_unit_test(writes_before_it_reads_again),
		cmocka_unit_test(finishes_at_once_when_nothing_is_pending),
		cmocka_unit_test(sends_the_rest_before_it_finishes),
		cmocka_unit_test(loses_and_makes_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
