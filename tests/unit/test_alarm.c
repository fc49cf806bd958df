/* SPDX-License-Identifier: ISC */
/* The alarm against the kernel's clock, and against a kernel that has no timers to give. */
#include "alarm.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>
#include <poll.h>
#include <sys/timerfd.h>

enum { NOW = 1000000 };

static unsigned sets;
static int refusal;

int __real_timerfd_settime(int fd, int flags, const struct itimerspec *new_value,
			   struct itimerspec *old_value);
int __wrap_timerfd_settime(int fd, int flags, const struct itimerspec *new_value,
			   struct itimerspec *old_value);
int __wrap_timerfd_create(int clock, int flags);
int __real_timerfd_create(int clock, int flags);

int __wrap_timerfd_settime(int fd, int flags, const struct itimerspec *new_value,
			   struct itimerspec *old_value)
{
	sets++;
	errno = refusal;
	return refusal ? -1 : __real_timerfd_settime(fd, flags, new_value, old_value);
}

int __wrap_timerfd_create(int clock, int flags)
{
	errno = refusal;
	return refusal ? -1 : __real_timerfd_create(clock, flags);
}

static int setup(void **state)
{
	static struct alarm a;

	sets = 0;
	refusal = 0;
	alarm_init(&a);
	*state = &a;
	return a.fd < 0;
}

static int teardown(void **state)
{
	alarm_deinit(*state);
	return 0;
}

static bool rings(const struct alarm *a, int ms)
{
	struct pollfd p = {.fd = a->fd, .events = POLLIN};

	return poll(&p, 1, ms) == 1;
}

static void rings_at_the_deadline(void **state)
{
	struct alarm *a = *state;

	assert_true(alarm_set(a, NOW, NOW + 5) == UINT64_MAX);
	assert_true(rings(a, 5000));
}

static void is_set_only_when_a_deadline_comes_nearer(void **state)
{
	struct alarm *a = *state;

	assert_true(alarm_set(a, NOW, NOW + 60000) == UINT64_MAX);
	assert_true(alarm_set(a, NOW + 1, NOW + 60001) == UINT64_MAX);
	assert_true(alarm_set(a, NOW + 2, UINT64_MAX) == UINT64_MAX);
	assert_int_equal(sets, 1);
	assert_false(rings(a, 0));
	assert_true(alarm_set(a, NOW + 3, NOW + 8) == UINT64_MAX);
	assert_int_equal(sets, 2);
	assert_true(rings(a, 5000));
}

static void is_set_anew_once_it_was_heard(void **state)
{
	struct alarm *a = *state;

	alarm_set(a, NOW, NOW + 5);
	assert_true(rings(a, 5000));
	alarm_heard(a);
	assert_true(alarm_set(a, NOW + 5, NOW + 60000) == UINT64_MAX);
	assert_int_equal(sets, 2);
	assert_false(rings(a, 0));
}

static void a_deadline_that_has_come_needs_none(void **state)
{
	assert_true(alarm_set(*state, NOW, NOW) == NOW);
	assert_true(alarm_set(*state, NOW, NOW - 1) == NOW - 1);
	assert_int_equal(sets, 0);
}

static void without_a_timer_the_wait_ends_by_itself(void **state)
{
	struct alarm a;

	refusal = ENOMEM;
	assert_true(alarm_set(*state, NOW, NOW + 5) == NOW + 5);
	alarm_init(&a);
	assert_int_equal(a.fd, -1);
	assert_true(alarm_set(&a, NOW, NOW + 5) == NOW + 5);
	alarm_deinit(&a);
	refusal = 0;
	assert_true(alarm_set(*state, NOW, NOW + 5) == UINT64_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(rings_at_the_deadline, setup, teardown),
		cmocka_unit_test_setup_teardown(is_set_only_when_a_deadline_comes_nearer, setup,
						teardown),
		cmocka_unit_test_setup_teardown(is_set_anew_once_it_was_heard, setup, teardown),
		cmocka_unit_test_setup_teardown(a_deadline_that_has_come_needs_none, setup,
						teardown),
		cmocka_unit_test_setup_teardown(without_a_timer_the_wait_ends_by_itself, setup,
						teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
