/* SPDX-License-Identifier: ISC */
/* How fast counters grow. */
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(counts_from_one_look_to_the_next),
		cmocka_unit_test(follows_the_configuration),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
