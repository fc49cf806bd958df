/* SPDX-License-Identifier: ISC */
/* How fast counters grow, and numbers in four characters. */
#include "rates.h"

#include "conf.h"
#include "supervisor.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void counts_from_one_look_to_the_next(void **state)
{
	uint64_t sum[N_COUNTERS] = {[C_ECHOES] = 1000, [C_BYTES_IN] = 5};
	struct rate r = {.name = NULL};

	(void)state;
	assert_true(rate_of(NULL, C_ECHOES) == 0);
	assert_true(rate_of(&r, C_ECHOES) == 0);
	rate_look(&r, sum, 5000);
	assert_true(rate_of(&r, C_ECHOES) == 0); /* since when? */
	sum[C_ECHOES] = 1600;
	rate_look(&r, sum, 7000);
	assert_true(rate_of(&r, C_ECHOES) == 300);
	assert_true(rate_of(&r, C_BYTES_IN) == 0);
	rate_look(&r, sum, 7000); /* no time has passed: no look */
	assert_true(rate_of(&r, C_ECHOES) == 300);
	sum[C_ECHOES] = 1599; /* read while it was written */
	rate_look(&r, sum, 8000);
	assert_true(rate_of(&r, C_ECHOES) == 0);
	sum[C_ECHOES] = 1600;
	rate_look(&r, sum, 8500);
	assert_true(rate_of(&r, C_ECHOES) == 2);
}

static void follows_the_configuration(void **state)
{
	struct service_conf first[] = {{.name = (char[]){"a"}}, {.name = (char[]){"b"}}};
	struct service_conf second[] = {{.name = (char[]){"c"}}, {.name = (char[]){"a"}}};
	struct conf conf = {.services = first, .n_services = 2};
	struct supervisor s = {.conf = &conf};
	char line[64];

	(void)state;
	assert_null(rates_of(&s, 0));
	assert_string_equal(rates_line(&s, line, sizeof(line)),
			    "2 services, 0 connections, 0 echoes/s");
	rates_look(&s, 1000);
	rates_look(&s, 2000);
	assert_int_equal(rates_of(&s, 0)->ms, 1000);
	conf.services = second;
	assert_null(rates_of(&s, 0));
	rates_look(&s, 4000);
	assert_int_equal(rates_of(&s, 0)->ms, 0);    /* c is new */
	assert_int_equal(rates_of(&s, 1)->ms, 2000); /* a is not */
	conf.n_services = 1;
	rates_look(&s, 5000);
	s.rates.list[0].sum[C_CONNECTIONS_ACCEPTED] = 1;
	s.rates.list[0].growth[C_ECHOES] = 41300;
	assert_string_equal(rates_line(&s, line, sizeof(line)),
			    "1 service, 1 connection, 41k echoes/s");
	rates_clear(&s.rates);
	assert_null(s.rates.list);
}

static void writes_short_numbers(void **state)
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
	char buf[16];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_string_equal(rates_short(rows[i].n, buf), rows[i].text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(counts_from_one_look_to_the_next),
		cmocka_unit_test(follows_the_configuration),
		cmocka_unit_test(writes_short_numbers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
