/* SPDX-License-Identifier: ISC */
/* Batches of datagrams, over a kernel that answers by script: what is received at once, what
 * is sent as one, and that each failure costs one datagram. */
#include "dgram.h"

#include "conf.h"
#include "dgram_kernel.h"
#include "executor.h"
#include "quotas.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct stats stats;
static struct own own;
static struct service_conf service;
static struct endpoint endpoint = {.fd = FD};
static struct quotas no_quotas;
static struct worker worker = {.conf = &service,
			       .quotas = &no_quotas,
			       .own = &own,
			       .sockets = &endpoint,
			       .n_endpoints = 1};
static struct executor ex = {.worker = &worker, .endpoints = &endpoint, .stats = &stats};
static struct dgram d;

static int start(bool gro, unsigned batch)
{
	memset(&k, 0, sizeof(k));
	memset(&stats, 0, sizeof(stats));
	service = (struct service_conf){.protocol = PROTO_UDP,
					.access.otherwise = true,
					.udp = {.gro = gro, .batch = batch}};
	return dgram_init(&d, &ex);
}

static int setup(void **state)
{
	(void)state;
	return start(true, 64);
}

static int setup_single(void **state)
{
	(void)state;
	return start(false, 64);
}

static int teardown(void **state)
{
	(void)state;
	dgram_deinit(&d);
	return 0;
}

static void come(uint16_t port, size_t size, char text)
{
	k.in[k.n_in++] = (struct arrival){.port = port, .size = size, .text = text};
}

static void came_out(unsigned i, uint16_t port, size_t size, char text)
{
	assert_true(i < k.n_out);
	assert_int_equal(k.out[i].port, port);
	assert_int_equal(k.out[i].size, size);
	assert_int_equal(k.out[i].text, size ? text : 0);
}

static void counted(enum counter c, uint64_t n)
{
	if (stats.value[c] != n)
		fail_msg("%s is %lu, not %lu", counters[c].name, (unsigned long)stats.value[c],
			 (unsigned long)n);
}

static void each_gets_its_own(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 50; i++)
		come((uint16_t)(4000 + i), 10 + i, (char)('A' + i));
	assert_int_equal(dgram_answer(&d, 0, 1000), 50);
	assert_int_equal(k.n_out, 50);
	for (unsigned i = 0; i < 50; i++)
		came_out(i, (uint16_t)(4000 + i), 10 + i, (char)('A' + i));
	counted(C_DATAGRAMS_IN, 50);
	counted(C_DATAGRAMS_OUT, 50);
	counted(C_ECHOES, 50);
	counted(C_BYTES_OUT, 50 * 10 + 49 * 50 / 2);
	assert_int_equal(k.bursts, 0);
}

static void batches_grow_while_datagrams_are_small(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 200; i++)
		come((uint16_t)(4000 + i), 100, 'x');
	assert_int_equal(dgram_answer(&d, 0, 1000), 200);
	assert_int_equal(k.asked, 64);
	assert_int_equal(k.n_out, 200);
}

static void and_shrink_when_they_are_large(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 40; i++)
		come((uint16_t)(4000 + i), 65507, 'x');
	dgram_answer(&d, 0, 40);
	k.asked = 0;
	dgram_answer(&d, 0, 40);
	assert_true(k.asked <= 16);
	assert_int_equal(k.n_out, 40);
}

static void no_more_than_asked_for_is_a_turn(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 500; i++)
		come(4000, 100, 'x');
	assert_in_range(dgram_answer(&d, 0, 64), 64, 127);
	assert_true(k.at < 500);
}

static void neighbours_of_one_client_leave_as_one(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 5; i++)
		come(4000, 100, 'a');
	come(4000, 60, 'a'); /* the last may be shorter, */
	come(4000, 60, 'b'); /* and then it is the last */
	come(4001, 60, 'c');
	dgram_answer(&d, 0, 1000);
	assert_int_equal(k.n_out, 8);
	for (unsigned i = 0; i < 5; i++)
		came_out(i, 4000, 100, 'a');
	came_out(5, 4000, 60, 'a');
	came_out(6, 4000, 60, 'b');
	came_out(7, 4001, 60, 'c');
	assert_int_equal(k.bursts, 1);
	assert_int_equal(k.calls, 1);
	counted(C_DATAGRAMS_OUT, 8);
	counted(C_BYTES_OUT, 680);
}

static void empty_ones_stay_single(void **state)
{
	(void)state;
	come(4000, 0, 0);
	come(4000, 0, 0);
	come(4000, 9, 'a');
	come(4000, 0, 0);
	dgram_answer(&d, 0, 1000);
	assert_int_equal(k.n_out, 4);
	came_out(0, 4000, 0, 0);
	came_out(2, 4000, 9, 'a');
	came_out(3, 4000, 0, 0);
	assert_int_equal(k.bursts, 0);
	counted(C_DATAGRAMS_OUT, 4);
}

static void large_ones_that_came_singly_stay_single(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 6; i++)
		come(4000, 1473, 'a');
	dgram_answer(&d, 0, 1000);
	assert_int_equal(k.n_out, 6);
	assert_int_equal(k.bursts, 0);
}

static void what_the_kernel_joined_is_judged_one_by_one(void **state)
{
	(void)state;
	k.in[k.n_in++] =
		(struct arrival){.port = 4000, .size = 10 * 1200 + 7, .segment = 1200, .text = 'g'};
	assert_int_equal(dgram_answer(&d, 0, 1000), 11);
	counted(C_DATAGRAMS_IN, 11);
	counted(C_DATAGRAMS_OUT, 11);
	counted(C_BYTES_IN, 12007);
	assert_int_equal(k.n_out, 11);
	for (unsigned i = 0; i < 10; i++)
		came_out(i, 4000, 1200, 'g');
	came_out(10, 4000, 7, 'g');
	assert_int_equal(k.bursts, 1);
	assert_int_equal(k.calls, 1);
}

static void also_when_it_is_larger_than_a_frame(void **state)
{
	(void)state;
	k.in[k.n_in++] =
		(struct arrival){.port = 4000, .size = 7 * 8972, .segment = 8972, .text = 'g'};
	assert_int_equal(dgram_answer(&d, 0, 1000), 7);
	assert_int_equal(k.n_out, 7);
	assert_int_equal(k.bursts, 1);
}

static void refusals_count_each_of_a_burst(void **state)
{
	(void)state;
	k.in[k.n_in++] = (struct arrival){.port = 0, .size = 1000, .segment = 100, .text = 'g'};
	assert_int_equal(dgram_answer(&d, 0, 1000), 10);
	counted(C_REFUSED_SOURCE, 10);
	assert_int_equal(k.n_out, 0);
	assert_int_equal(k.calls, 0);
}

static void more_segments_than_one_message_takes(void **state)
{
	(void)state;
	k.in[k.n_in++] =
		(struct arrival){.port = 4000, .size = 200 * 10, .segment = 10, .text = 'g'};
	assert_int_equal(dgram_answer(&d, 0, 1000), 200);
	assert_int_equal(k.n_out, 200);
	assert_int_equal(k.bursts, 4);
}

static void without_joining_a_burst_leaves_singly(void **state)
{
	(void)state;
	k.in[k.n_in++] =
		(struct arrival){.port = 4000, .size = 150 * 10 + 3, .segment = 10, .text = 'g'};
	assert_int_equal(dgram_answer(&d, 0, 1000), 151);
	assert_int_equal(k.n_out, 151);
	came_out(150, 4000, 3, 'g');
	assert_int_equal(k.bursts, 0);
	assert_in_range(k.calls, 3, 4); /* 64 at a time */
}

static void a_burst_that_is_refused_goes_singly(void **state)
{
	static const int errors[] = {EINVAL, EIO, EMSGSIZE};

	(void)state;
	for (size_t e = 0; e < sizeof(errors) / sizeof(errors[0]); e++) {
		dgram_deinit(&d);
		setup(state);
		k.burst_error = errors[e];
		come(4001, 10, 'x');
		k.in[k.n_in++] =
			(struct arrival){.port = 4000, .size = 305, .segment = 100, .text = 'g'};
		come(4001, 10, 'y');
		dgram_answer(&d, 0, 1000);
		assert_int_equal(k.n_out, 6);
		came_out(1, 4000, 100, 'g');
		came_out(4, 4000, 5, 'g');
		came_out(5, 4001, 10, 'y');
		counted(C_DATAGRAMS_OUT, 6);
		counted(C_DROPPED_SEND, 0);
		come(4000, 10, 'z'); /* and so do the next */
		come(4000, 10, 'z');
		k.bursts = 0;
		dgram_answer(&d, 0, 1000);
		assert_int_equal(k.bursts, 0);
	}
}

static void a_failure_costs_one(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 30; i++)
		come((uint16_t)(4000 + i), 10, i % 3 == 0 ? '!' : 'x');
	k.bad = '!';
	k.error = EPERM;
	assert_int_equal(dgram_answer(&d, 0, 1000), 30);
	assert_int_equal(k.n_out, 20);
	counted(C_DATAGRAMS_OUT, 20);
	counted(C_DROPPED_SEND, 10);
	counted(C_BYTES_OUT, 200);
}

static void a_full_buffer_costs_what_does_not_fit(void **state)
{
	(void)state;
	k.burst_error = EAGAIN;
	for (unsigned i = 0; i < 4; i++)
		come(4000, 10, i == 2 ? '!' : 'x');
	k.bad = '!';
	k.error = EAGAIN;
	dgram_answer(&d, 0, 1000);
	counted(C_DATAGRAMS_OUT, 3);
	counted(C_DROPPED_SEND, 1);
}

static void interruptions_cost_nothing(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 10; i++)
		come((uint16_t)(4000 + i), 10, 'x');
	k.receive_errors = 20;
	k.send_interrupts = 20;
	assert_int_equal(dgram_answer(&d, 0, 1000), 10);
	counted(C_DATAGRAMS_OUT, 10);
	counted(C_DROPPED_SEND, 0);
}

static void errors_without_end_are_no_loop(void **state)
{
	(void)state;
	k.receive_errors = 1000000;
	assert_int_equal(dgram_answer(&d, 0, 1000), 0);
}

static void truncated_ones_are_counted(void **state)
{
	(void)state;
	k.in[k.n_in++] = (struct arrival){.port = 4000, .size = 65536, .truncated = true};
	come(4000, 10, 'x');
	dgram_answer(&d, 0, 1000);
	counted(C_REFUSED_TRUNCATED, 1);
	counted(C_DATAGRAMS_OUT, 1);
}

static void copies_are_for_another_to_count(void **state)
{
	(void)state;
	k.in[k.n_in++] = (struct arrival){.port = 4000, .size = 10, .text = 'x', .to_all = true};
	come(4000, 10, 'x');
	endpoint.shares = true;
	dgram_answer(&d, 0, 1000);
	endpoint.shares = false;
	counted(C_DATAGRAMS_IN, 1);
	counted(C_DATAGRAMS_OUT, 1);
	k.at = 0;
	dgram_answer(&d, 0, 1000);
	counted(C_DATAGRAMS_IN, 3);
	counted(C_REFUSED_DESTINATION, 1);
}

static void the_end_answers_all_that_waits(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 1500; i++)
		come(4000, 1000, 'x');
	dgram_finish(&d);
	counted(C_DATAGRAMS_OUT, 1500);
}

static void one_at_a_time(void **state)
{
	(void)state;
	dgram_deinit(&d);
	start(true, 1);
	for (unsigned i = 0; i < 20; i++)
		come(4000, 100, 'x');
	k.in[k.n_in++] = (struct arrival){.port = 4000, .size = 30, .segment = 10, .text = 'g'};
	assert_int_equal(dgram_answer(&d, 0, 1000), 23);
	assert_int_equal(k.n_out, 23);
	assert_int_equal(k.asked, 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(each_gets_its_own),
		TEST(batches_grow_while_datagrams_are_small),
		TEST(and_shrink_when_they_are_large),
		TEST(no_more_than_asked_for_is_a_turn),
		TEST(neighbours_of_one_client_leave_as_one),
		TEST(empty_ones_stay_single),
		TEST(large_ones_that_came_singly_stay_single),
		TEST(what_the_kernel_joined_is_judged_one_by_one),
		TEST(also_when_it_is_larger_than_a_frame),
		TEST(refusals_count_each_of_a_burst),
		TEST(more_segments_than_one_message_takes),
		cmocka_unit_test_setup_teardown(without_joining_a_burst_leaves_singly, setup_single,
						teardown),
		TEST(a_burst_that_is_refused_goes_singly),
		TEST(a_failure_costs_one),
		TEST(a_full_buffer_costs_what_does_not_fit),
		TEST(interruptions_cost_nothing),
		TEST(errors_without_end_are_no_loop),
		TEST(truncated_ones_are_counted),
		TEST(copies_are_for_another_to_count),
		TEST(the_end_answers_all_that_waits),
		TEST(one_at_a_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
