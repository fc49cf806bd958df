/* SPDX-License-Identifier: ISC */
/* What is asked of each version of Landlock: no more than it knows, or it would refuse it all. */
#include "landlock.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <fcntl.h>
#include <unistd.h>

#define BITS(n) ((UINT64_C(1) << (n)) - 1)

static uint64_t asked[3]; /* files, ports, scoped */
static size_t size;       /* of what was asked, 0 = nothing was */
static int entered;       /* times */
static int create_error, enter_error;

long __wrap_syscall(long number, ...);

/* A kernel: landlock_create_ruleset(2) has 444, landlock_restrict_self(2) 446. */
long __wrap_syscall(long number, ...)
{
	va_list ap;
	const void *all;

	errno = number == 444 ? create_error : enter_error;
	if (errno)
		return -1;
	if (number == 446)
		return entered++, 0;
	assert_int_equal(number, 444);
	va_start(ap, number);
	all = va_arg(ap, const void *);
	size = va_arg(ap, size_t);
	va_end(ap);
	assert_true(all && size <= sizeof(asked));
	memcpy(asked, all, size);
	return open("/dev/null", O_RDONLY | O_CLOEXEC);
}

static int setup(void **state)
{
	(void)state;
	memset(asked, 0, sizeof(asked));
	size = 0;
	entered = create_error = enter_error = 0;
	return 0;
}

/* The rights of the file system, of the network, and the scopes that each version brought:
 * linux/landlock.h. */
static const struct version {
	int number;
	unsigned files, ports, scopes;
	size_t size;
} versions[] = {
	{1, 13, 0, 0, 8},  {2, 14, 0, 0, 8},  {3, 15, 0, 0, 8},  {4, 15, 2, 0, 16},
	{5, 16, 2, 0, 16}, {6, 16, 2, 2, 24}, {7, 16, 2, 2, 24}, {99, 16, 2, 2, 24},
};

static void test_versions(void **state)
{
	for (size_t i = 0; i < sizeof(versions) / sizeof(versions[0]); i++) {
		const struct version *v = &versions[i];

		setup(state);
		assert_int_equal(landlock_enter(v->number, false, false), 0);
		assert_int_equal(entered, 1);
		assert_int_equal(size, v->size);
		assert_int_equal(asked[0], BITS(v->files));
		assert_int_equal(asked[1], BITS(v->ports));
		assert_int_equal(asked[2], BITS(v->scopes));
	}
}

/* Who answers to abstract names keeps those, and nothing else. */
static void test_replies(void **state)
{
	(void)state;
	assert_int_equal(landlock_enter(6, true, false), 0);
	assert_int_equal(asked[0], BITS(16));
	assert_int_equal(asked[2], 2); /* LANDLOCK_SCOPE_SIGNAL */
}

/* With files an old version has nothing left to forbid, and is not asked. */
static void test_nothing_left(void **state)
{
	(void)state;
	assert_int_equal(landlock_enter(3, false, true), 0);
	assert_int_equal(size, 0);
	assert_int_equal(entered, 0);
	assert_int_equal(landlock_enter(4, false, true), 0);
	assert_int_equal(asked[0], 0);
	assert_int_equal(asked[1], BITS(2));
}

/* The set's descriptor does not stay, whatever comes of it. */
static void test_refused(void **state)
{
	int before = dup(0);

	(void)state;
	close(before);
	create_error = ENOMSG;
	assert_int_equal(landlock_version(), -ENOMSG);
	assert_int_equal(landlock_enter(6, false, false), -ENOMSG);
	create_error = 0;
	enter_error = EPERM;
	assert_int_equal(landlock_enter(6, false, false), -EPERM);
	assert_int_equal(dup(0), before);
	close(before);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_versions, setup),
		cmocka_unit_test_setup(test_replies, setup),
		cmocka_unit_test_setup(test_nothing_left, setup),
		cmocka_unit_test_setup(test_refused, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
