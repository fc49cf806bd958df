/* SPDX-License-Identifier: ISC */
/* The record of every value: order, the borders of its pieces, joining, the text. */
#include "echoc/raw.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { MANY = 300000 /* more than two pieces */ };

/* What R writes; the caller frees it. */
static char *text_of(const struct raw *r)
{
	char *text = NULL;
	size_t size = 0;
	FILE *f = open_memstream(&text, &size);

	assert_non_null(f);
	raw_write(r, f);
	fclose(f);
	return text;
}

static void nothing(void **state)
{
	struct raw *r = raw_new();
	char *text = text_of(r);

	(void)state;
	assert_string_equal(text, "");
	assert_int_equal(raw_missing(r), 0);
	raw_add(NULL, 1);
	raw_join(NULL, r);
	raw_join(r, NULL);
	assert_int_equal(raw_missing(NULL), 0);
	raw_free(NULL);
	raw_free(r);
	free(text);
}

static void microseconds(void **state)
{
	struct raw *r = raw_new();
	char *text;

	(void)state;
	raw_add(r, 0);
	raw_add(r, 1);
	raw_add(r, 1050);
	raw_add(r, UINT64_MAX);
	text = text_of(r);
	assert_string_equal(text, "0.000\n0.001\n1.050\n18446744073709551.615\n");
	free(text);
	raw_free(r);
}

static void every_value_in_its_order(void **state)
{
	struct raw *r = raw_new(), *one = raw_new(), *two = raw_new();
	char *text, *at;

	(void)state;
	for (uint64_t i = 0; i < MANY; i++)
		raw_add(i < MANY / 2 ? one : two, i * 1000);
	raw_join(r, one);
	raw_join(r, two);
	raw_join(r, two); /* it is empty by now */
	raw_add(r, MANY * UINT64_C(1000));
	raw_free(one);
	raw_free(two);
	text = at = text_of(r);
	for (uint64_t i = 0; i <= MANY; i++) {
		assert_int_equal(strtoull(at, &at, 10), i);
		assert_memory_equal(at, ".000\n", 5);
		at += 5;
	}
	assert_string_equal(at, "");
	assert_int_equal(raw_missing(r), 0);
	free(text);
	raw_free(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing),
		cmocka_unit_test(microseconds),
		cmocka_unit_test(every_value_in_its_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
