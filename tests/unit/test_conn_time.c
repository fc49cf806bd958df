/* SPDX-License-Identifier: ISC */
/* The deadlines of a connection, on a clock of the test's own. */
#include "kernel.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void idle_ends_with_fin_then_waits_for_the_clients(void **state)
{
	(void)state;
	assert_int_equal(conn_deadline(&c, &ex), ex.now + 30000);
	ex.now += 299999;
	assert_int_equal(conn_expire(&c, &ex), CONN_READ);
	assert_false(k.shut);
	ex.now += 1;
	assert_int_equal(conn_expire(&c, &ex), CONN_READ);
	assert_true(k.shut && !k.closed);
	k.input = "late";
	k.in = 4;
	assert_int_equal(conn_step(&c, &ex), CONN_READ); /* thrown away */
	k.fin = true;
	assert_int_equal(conn_step(&c, &ex), CONN_CLOSED);
	assert_int_equal(k.out, 0);
	assert_int_equal(stats.value[C_CLOSED_IDLE], 1);
	assert_false(k.reset);
}

static void any_byte_puts_off_the_idle_end(void **state)
{
	(void)state;
	ex.now += 200000;
	k.input = "x";
	k.in = 1;
	conn_step(&c, &ex);
	assert_int_equal(conn_deadline(&c, &ex), ex.now + 30000);
}

static void lingers_no_longer_than_it_must(void **state)
{
	(void)state;
	ex.now += 300000;
	conn_expire(&c, &ex);
	ex.now = conn_deadline(&c, &ex);
	assert_int_equal(conn_expire(&c, &ex), CONN_CLOSED);
	assert_int_equal(stats.value[C_CLOSED_IDLE], 1);
	assert_false(k.reset);
}

static void lingers_while_the_client_takes_what_was_sent(void **state)
{
	(void)state;
	ex.now += 300000;
	conn_expire(&c, &ex);
	for (k.unacked = 1000; k.unacked > 900; k.unacked--) {
		ex.now = conn_deadline(&c, &ex);
		assert_int_equal(conn_expire(&c, &ex), CONN_READ);
	}
	for (int i = 0; i < 59; i++) { /* stalled from here on: write_timeout */
		ex.now = conn_deadline(&c, &ex);
		assert_int_equal(conn_expire(&c, &ex), CONN_READ);
	}
	while (!k.closed) {
		ex.now = conn_deadline(&c, &ex);
		conn_expire(&c, &ex);
	}
	assert_true(k.reset);
}

static void lingers_not_for_ever_whatever_the_patience(void **state)
{
	(void)state;
	service.write_timeout = 30u * 86400 * 1000;
	ex.now += 300000;
	conn_expire(&c, &ex);
	k.unacked = 1000;
	for (int i = 0; i <= 30 * 86400 && !k.closed; i++) {
		ex.now = conn_deadline(&c, &ex);
		conn_expire(&c, &ex);
	}
	assert_true(k.reset);
}

static void a_reader_that_stalls_is_reset(void **state)
{
	(void)state;
	k.input = "x";
	k.in = 1;
	k.blocked = true;
	assert_int_equal(conn_step(&c, &ex), CONN_WRITE);
	assert_int_equal(conn_deadline(&c, &ex), ex.now + 6000); /* to look */
	ex.now += 60000;
	assert_int_equal(conn_expire(&c, &ex), CONN_CLOSED);
	assert_true(k.reset);
	assert_int_equal(stats.value[C_CLOSED_WRITE_TIMEOUT], 1);
}

static void lifetime_lets_what_is_pending_out_first(void **state)
{
	(void)state;
	service.lifetime = 1000;
	k.input = "pending";
	k.in = 7;
	k.blocked = true;
	conn_step(&c, &ex);
	ex.now += 1000;
	assert_int_equal(conn_expire(&c, &ex), CONN_WRITE);
	assert_false(k.shut);
	k.blocked = false;
	assert_int_equal(conn_step(&c, &ex), CONN_READ);
	assert_true(k.shut);
	assert_memory_equal(k.output, "pending", 7);
	k.fin = true;
	assert_int_equal(conn_step(&c, &ex), CONN_CLOSED);
	assert_int_equal(stats.value[C_CLOSED_LIFETIME], 1);
}

static void without_timeouts_there_is_no_deadline(void **state)
{
	(void)state;
	service.idle_timeout = service.write_timeout = 0;
	assert_int_equal(conn_deadline(&c, &ex), UINT64_MAX);
}

/* The table has four slots. */
static void timeouts_shrink_when_the_service_fills_up(void **state)
{
	(void)state;
	service.lifetime = 1000000;
	slots->shared->crowd = 2;
	assert_int_equal(conn_deadline(&c, &ex), ex.now + 30000);
	ex.now += 30000; /* the look finds it as it was */
	assert_int_equal(conn_expire(&c, &ex), CONN_READ);
	assert_int_equal(conn_deadline(&c, &ex), ex.now + 30000);
	slots->shared->crowd = 4;
	assert_int_equal(conn_deadline(&c, &ex), ex.now); /* a tenth of 300 s is over */
	conn_expire(&c, &ex);
	assert_true(k.shut);
	k.fin = true;
	assert_int_equal(conn_step(&c, &ex), CONN_CLOSED);
	assert_int_equal(stats.value[C_CLOSED_IDLE], 1);
}

static void a_stalled_reader_has_less_time_in_a_crowd(void **state)
{
	(void)state;
	k.input = "x";
	k.in = 1;
	k.blocked = true;
	assert_int_equal(conn_step(&c, &ex), CONN_WRITE);
	slots->shared->crowd = 4;
	assert_int_equal(conn_deadline(&c, &ex), ex.now + 6000);
	ex.now += 6000;
	assert_int_equal(conn_expire(&c, &ex), CONN_CLOSED);
	assert_int_equal(stats.value[C_CLOSED_WRITE_TIMEOUT], 1);
}

static void lifetime_shrinks_too(void **state)
{
	(void)state;
	service.lifetime = 100000;
	ex.now += 20000;
	c.active = ex.now;
	assert_int_equal(conn_expire(&c, &ex), CONN_READ);
	slots->shared->crowd = 4;
	conn_expire(&c, &ex);
	k.fin = true;
	assert_int_equal(conn_step(&c, &ex), CONN_CLOSED);
	assert_int_equal(stats.value[C_CLOSED_LIFETIME], 1);
}

static void a_draining_one_ends_when_it_is_quiet(void **state)
{
	(void)state;
	ex.now += 10000;
	ex.draining = true;
	ex.drain_since = ex.now;
	assert_int_equal(conn_deadline(&c, &ex), ex.now + 100);
	ex.now += 50;
	k.input = "in flight";
	k.in = 9;
	assert_int_equal(conn_step(&c, &ex), CONN_READ);
	ex.now += 50;
	assert_int_equal(conn_expire(&c, &ex), CONN_READ);
	assert_false(k.shut);
	ex.now += 50;
	conn_expire(&c, &ex);
	assert_true(k.shut);
	assert_memory_equal(k.output, "in flight", 9);
	k.fin = true;
	assert_int_equal(conn_step(&c, &ex), CONN_CLOSED);
	assert_int_equal(stats.value[C_CLOSED_DRAIN], 1);
}

static void a_draining_one_that_never_pauses_ends_too(void **state)
{
	(void)state;
	ex.now += 10000;
	ex.draining = true;
	ex.drain_since = ex.now;
	for (int i = 0; i < 12; i++) { /* a byte every 90 ms, until 1080 ms have gone */
		ex.now += 90;
		k.input = &"and on, and on"[i];
		k.in = 1;
		if (conn_deadline(&c, &ex) <= ex.now)
			conn_expire(&c, &ex);
		else
			assert_int_equal(conn_step(&c, &ex), CONN_READ);
		assert_int_equal(k.shut, i == 11);
	}
	assert_memory_equal(k.output, "and on, and ", 12);
	k.fin = true;
	assert_int_equal(conn_step(&c, &ex), CONN_CLOSED);
	assert_int_equal(stats.value[C_CLOSED_DRAIN], 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(idle_ends_with_fin_then_waits_for_the_clients,
						setup, teardown),
		cmocka_unit_test_setup_teardown(any_byte_puts_off_the_idle_end, setup, teardown),
		cmocka_unit_test_setup_teardown(lingers_no_longer_than_it_must, setup, teardown),
		cmocka_unit_test_setup_teardown(lingers_while_the_client_takes_what_was_sent, setup,
						teardown),
		cmocka_unit_test_setup_teardown(lingers_not_for_ever_whatever_the_patience, setup,
						teardown),
		cmocka_unit_test_setup_teardown(a_reader_that_stalls_is_reset, setup, teardown),
		cmocka_unit_test_setup_teardown(lifetime_lets_what_is_pending_out_first, setup,
						teardown),
		cmocka_unit_test_setup_teardown(without_timeouts_there_is_no_deadline, setup,
						teardown),
		cmocka_unit_test_setup_teardown(timeouts_shrink_when_the_service_fills_up, setup,
						teardown),
		cmocka_unit_test_setup_teardown(a_stalled_reader_has_less_time_in_a_crowd, setup,
						teardown),
		cmocka_unit_test_setup_teardown(lifetime_shrinks_too, setup, teardown),
		cmocka_unit_test_setup_teardown(a_draining_one_ends_when_it_is_quiet, setup,
						teardown),
		cmocka_unit_test_setup_teardown(a_draining_one_that_never_pauses_ends_too, setup,
						teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
