/* SPDX-License-Identifier: ISC */
/* Sizes and times to and from text. */
#include "size.h"

#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static void test_size_parse(void **state)
{
	static const struct {
		const char *text;
		int result;
		int64_t value;
	} rows[] = {
		{"0", 0, 0},
		{"1", 0, 1},
		{"64K", 0, 65536},
		{"64k", 0, 65536},
		{"1M", 0, 1 << 20},
		{"3g", 0, 3ll << 30},
		{"2T", 0, 2ll << 40},
		{"9223372036854775807", 0, INT64_MAX},
		{"9223372036854775808", -ERANGE, 0},
		{"8388608T", -ERANGE, 0},
		{"8388607T", 0, 8388607ll << 40},
		{"99999999999999999999K", -ERANGE, 0},
		{"", -EINVAL, 0},
		{"K", -EINVAL, 0},
		{"-1", -EINVAL, 0},
		{"+1", -EINVAL, 0},
		{" 1", -EINVAL, 0},
		{"1 ", -EINVAL, 0},
		{"1KB", -EINVAL, 0},
		{"1.5K", -EINVAL, 0},
		{"0x10", -EINVAL, 0},
		{"1P", -EINVAL, 0},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		int64_t value = -1;

		assert_int_equal(size_parse(rows[i].text, &value), rows[i].result);
		assert_int_equal(value, rows[i].result ? -1 : rows[i].value);
	}
}

static void test_size_format(void **state)
{
	static const struct {
		int64_t n;
		const char *text;
	} rows[] = {
		{0, "0"},
		{1, "1"},
		{1000, "1000"},
		{1024, "1K"},
		{1536, "1536"},
		{65536, "64K"},
		{1 << 20, "1M"},
		{5ll << 30, "5G"},
		{3ll << 50, "3072T"},
		{INT64_MAX, "9223372036854775807"},
	};
	char buf[SIZE_TEXT_MAX];
	int64_t back;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_string_equal(size_format(rows[i].n, buf), rows[i].text);
		assert_int_equal(size_parse(buf, &back), 0);
		assert_int_equal(back, rows[i].n);
	}
}

static void test_seconds(void **state)
{
	char buf[SIZE_TEXT_MAX];
	int64_t n = -1;

	(void)state;
	assert_int_equal(seconds_parse("2.5", 1000, &n), 0);
	assert_int_equal(n, 2500);
	assert_int_equal(seconds_parse("300", 1000, &n), 0);
	assert_int_equal(n, 300000);
	assert_int_equal(seconds_parse(".25", 1000000, &n), 0);
	assert_int_equal(n, 250000);
	assert_int_equal(seconds_parse("0", 1000, &n), 0);
	assert_int_equal(n, 0);
	assert_int_equal(seconds_parse("0.0001", 1000, &n), -ERANGE);
	assert_int_equal(seconds_parse("1e3", 1000, &n), -EINVAL);
	assert_int_equal(seconds_parse("1.2.3", 1000, &n), -EINVAL);
	assert_int_equal(seconds_parse("-1", 1000, &n), -EINVAL);
	assert_int_equal(seconds_parse("", 1000, &n), -EINVAL);
	assert_int_equal(seconds_parse(".", 1000, &n), -EINVAL);
	assert_int_equal(seconds_parse("99999999999999", 1000, &n), -ERANGE);
	assert_int_equal(seconds_round((double)NAN, 1000, &n), -ERANGE);
	assert_int_equal(seconds_round(-0.1, 1000, &n), -ERANGE);
	assert_string_equal(seconds_format(300000, 1000, buf), "300.0");
	assert_string_equal(seconds_format(1, 1000, buf), "0.001");
	assert_string_equal(seconds_format(1500, 1000, buf), "1.5");
	assert_string_equal(seconds_format(0, 1000, buf), "0.0");
	assert_string_equal(seconds_format(2000001, 1000000, buf), "2.000001");
}

/* Every time that a millisecond can tell apart comes back as it was. */
static void test_seconds_round_trip(void **state)
{
	char buf[SIZE_TEXT_MAX];
	int64_t back;

	(void)state;
	for (int64_t ms = 0; ms < 2592000000; ms = ms * 3 / 2 + 1) {
		assert_int_equal(seconds_parse(seconds_format(ms, 1000, buf), 1000, &back), 0);
		assert_int_equal(back, ms);
	}
}

static void test_size_short(void **state)
{
	static const struct {
		double n;
		const char *text;
	} rows[] = {
		{0, "0"},       {0.04, "0"},    {0.5, "0.5"}, {1, "1"},         {7.49, "7.5"},
		{9.94, "9.9"},  {9.96, "10"},   {41, "41"},   {999, "999"},     {999.6, "1k"},
		{1250, "1.2k"}, {41300, "41k"}, {1e6, "1M"},  {1.26e6, "1.3M"}, {999.4e6, "999M"},
		{5e9, "5G"},    {2e12, "2T"},   {3e15, "3P"}, {4e18, "4E"},     {5e22, "50000E"},
	};
	char buf[SIZE_TEXT_MAX];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_string_equal(size_short(rows[i].n, buf), rows[i].text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_size_parse),         cmocka_unit_test(test_size_format),
		cmocka_unit_test(test_size_short),         cmocka_unit_test(test_seconds),
		cmocka_unit_test(test_seconds_round_trip),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
