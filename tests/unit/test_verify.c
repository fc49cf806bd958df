/* SPDX-License-Identifier: ISC */
/* Naming what is wrong with an echo. */
#include "echoc/verify.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { SIZE = 3000 };

static char sent[SIZE], got[2 * SIZE];

static int setup(void **state)
{
	uint32_t x = 7;

	(void)state;
	for (size_t i = 0; i < SIZE; i++) {
		x = x * 1664525 + 1013904223;
		sent[i] = (char)(x >> 24);
	}
	memcpy(got, sent, SIZE);
	memcpy(got + SIZE, sent, SIZE);
	return 0;
}

/* The text for SIZE bytes sent and N bytes of GOT, in pieces of STEP. */
static const char *text_of(size_t n, size_t step, char buf[VERIFY_TEXT_MAX])
{
	struct verify v = {0};
	const char *text;

	assert_int_equal(verify_sent(&v, sent, SIZE), 0);
	for (size_t i = 0; i < n; i += step)
		verify_got(&v, got + i, n - i < step ? n - i : step);
	text = verify_text(&v, buf);
	verify_deinit(&v);
	return text;
}

static void check(size_t n, const char *want)
{
	static const size_t steps[] = {1, 7, 64, 1000, 2 * SIZE};
	char buf[VERIFY_TEXT_MAX];

	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		const char *text = text_of(n, steps[i], buf);

		if (!want)
			assert_null(text);
		else
			assert_string_equal(text, want);
	}
}

static void test_kinds(void **state)
{
	(void)state;
	check(SIZE, NULL);
	check(2048, "cut at 2048 of 3000 bytes");
	check(0, "cut at 0 of 3000 bytes");
	check(SIZE + 500, "duplicated: at byte 3000 come those from 0 on again");
	memcpy(got + 1000, sent + 1500, 1500);
	check(2500, "bytes missing: 500 from byte 1000 on");
	memcpy(got + 1000, sent + 500, 2000);
	check(SIZE, "duplicated: at byte 1000 come those from 500 on again");
	memset(got + 1000, 0, 2000);
	check(SIZE, "zeroed from byte 1000 on");
	memcpy(got, sent, SIZE);
	sent[1234] = 0x41;
	got[1234] = 0x42;
	check(SIZE, "changed: byte 1234 is 0x42, was sent as 0x41");
	got[1234] = 0x41;
	memcpy(got + SIZE, "something of the server's own", 29);
	check(SIZE + 29, "more than was sent: byte 3000 follows the end");
}

/* What came back is forgotten, offsets stay those of the stream. */
static void test_long_stream(void **state)
{
	struct verify v = {0};
	char buf[VERIFY_TEXT_MAX];
	const size_t rounds = 2000;

	(void)state;
	for (size_t i = 0; i < rounds; i++) {
		assert_int_equal(verify_sent(&v, sent, SIZE), 0);
		assert_int_equal(verify_due(&v), SIZE);
		assert_true(verify_got(&v, sent, SIZE));
		assert_int_equal(verify_due(&v), 0);
	}
	assert_true(v.room < rounds * SIZE / 2);
	assert_int_equal(verify_sent(&v, sent, SIZE), 0);
	assert_true(verify_got(&v, sent, 10));
	assert_string_equal(verify_text(&v, buf), "cut at 6000010 of 6003000 bytes");
	assert_false(verify_got(&v, sent + 110, 100));
	assert_int_equal(verify_missing(&v), 100);
	assert_string_equal(verify_text(&v, buf), "bytes missing: 100 from byte 6000010 on");
	verify_deinit(&v);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_kinds, setup),
		cmocka_unit_test_setup(test_long_stream, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
