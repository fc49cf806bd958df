/* SPDX-License-Identifier: ISC */
/* The histogram against the exact values, and its text. */
#include "echoc/hist.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { VALUES = 200000 };

static int ascending(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

/* Latencies as they are: most about 50 us, some far out. */
static uint64_t latency(uint64_t *seed)
{
	double u;

	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	u = (double)((*seed >> 11) + 1) / 9007199254740993.0;
	return (uint64_t)(30000 + 20000 / sqrt(u));
}

static void percentiles_are_within_a_thousandth(void **state)
{
	const double percents[] = {0, 1, 25, 50, 75, 90, 99, 99.9, 99.99, 99.999, 100};
	uint64_t *exact = malloc(VALUES * sizeof(*exact)), seed = 862;
	struct hist *h = hist_new();

	(void)state;
	for (int i = 0; i < VALUES; i++) {
		exact[i] = latency(&seed);
		hist_add(h, exact[i]);
	}
	qsort(exact, VALUES, sizeof(*exact), ascending);
	for (size_t i = 0; i < sizeof(percents) / sizeof(percents[0]); i++) {
		size_t rank = (size_t)ceil(percents[i] / 100 * VALUES - 1e-6);
		uint64_t want = exact[rank ? rank - 1 : 0];
		uint64_t got = hist_percentile(h, percents[i]);

		assert_in_range(got, want - want / 1000, want + want / 1000 + 1);
	}
	assert_int_equal(h->min, exact[0]);
	assert_int_equal(h->max, exact[VALUES - 1]);
	assert_int_equal(hist_percentile(h, 100), exact[VALUES - 1]);
	free(exact);
	free(h);
}

static void every_value_has_its_class(void **state)
{
	(void)state;
	for (int bit = 0; bit < 41; bit++) {
		for (int64_t d = -1; d <= 1; d++) {
			uint64_t ns = (uint64_t)((1LL << bit) + d);
			struct hist *h = hist_new();

			hist_add(h, ns);
			assert_int_equal(hist_percentile(h, 50), ns);
			hist_add(h, UINT64_MAX); /* so that max does not cap the class */
			assert_in_range(hist_percentile(h, 50), ns, ns + ns / 1000 + 1);
			free(h);
		}
	}
}

static void merging_is_adding(void **state)
{
	struct hist *a = hist_new(), *b = hist_new(), *both = hist_new();
	uint64_t seed = 1;

	(void)state;
	for (int i = 0; i < 1000; i++) {
		uint64_t ns = latency(&seed);

		hist_add(i % 3 ? a : b, ns);
		hist_add(both, ns);
	}
	hist_merge(a, b);
	assert_int_equal(a->total, both->total);
	assert_int_equal(a->min, both->min);
	assert_int_equal(a->max, both->max);
	assert_memory_equal(a->count, both->count, sizeof(a->count));
	assert_true(fabs(hist_mean(a) - hist_mean(both)) < 1e-6);
	assert_true(fabs(hist_stddev(a) - hist_stddev(both)) < 1e-3);
	free(a);
	free(b);
	free(both);
}

static void intervals_are_differences(void **state)
{
	struct hist *h = hist_new(), *now = hist_new(), *old = hist_new(), *out = hist_new();

	(void)state;
	hist_add(h, 1000);
	hist_gather(now, h);
	hist_since(now, old, out);
	assert_int_equal(out->total, 1);
	hist_add(h, 500000);
	hist_add(h, 500000);
	memset(now, 0, sizeof(*now));
	hist_gather(now, h);
	hist_since(now, old, out);
	assert_int_equal(out->total, 2);
	assert_in_range(hist_percentile(out, 0), 499500, 500500);
	free(h);
	free(now);
	free(old);
	free(out);
}

static void an_empty_one_says_nothing(void **state)
{
	struct hist *h = hist_new();

	(void)state;
	assert_int_equal(hist_percentile(h, 99), 0);
	assert_true(hist_mean(h) <= 0 && hist_stddev(h) <= 0);
	free(h);
}

static void the_text_is_that_of_the_tools(void **state)
{
	struct hist *h = hist_new();
	char *text = NULL, *line;
	double value, share, last = 0;
	unsigned long long count = 0;
	size_t size = 0;
	FILE *f = open_memstream(&text, &size);
	int lines = 0;

	(void)state;
	for (uint64_t i = 1; i <= 1000; i++)
		hist_add(h, i * 1000);
	hist_write(h, f);
	fclose(f);
	assert_non_null(strstr(text, "Value     Percentile TotalCount 1/(1-Percentile)"));
	assert_non_null(strstr(text, "#[Max     =     1000.000, Total count    =         1000]"));
	for (line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
		if (sscanf(line, "%lf %lf %llu", &value, &share, &count) != 3)
			continue;
		lines++;
		assert_true(share >= last);
		assert_true(fabs(value - share * 1000) < 0.002 * value + 2);
		last = share;
	}
	assert_true(lines > 20);
	assert_int_equal(count, 1000);
	assert_true(last >= 1);
	free(text);
	free(h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(percentiles_are_within_a_thousandth),
		cmocka_unit_test(every_value_has_its_class),
		cmocka_unit_test(merging_is_adding),
		cmocka_unit_test(intervals_are_differences),
		cmocka_unit_test(an_empty_one_says_nothing),
		cmocka_unit_test(the_text_is_that_of_the_tools),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
