/* SPDX-License-Identifier: ISC */
/* Lists of networks: examples, and any list against a plain walk through all of it. */
#include "acl.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

static struct prefix parse(const char *text)
{
	char why[PREFIX_WHY_MAX] = "";
	struct prefix p;

	if (prefix_parse(text, &p, why) < 0)
		fail_msg("%s: %s", text, why);
	return p;
}

static bool ask(const struct acl *a, const char *host)
{
	struct prefix p = parse(host);

	return acl_says(a, &p);
}

static void an_empty_list_has_one_answer(void **state)
{
	struct acl a;

	(void)state;
	for (int otherwise = 0; otherwise < 2; otherwise++) {
		assert_int_equal(acl_build(&a, NULL, 0, otherwise), 0);
		assert_int_equal(ask(&a, "192.0.2.1"), otherwise);
		assert_int_equal(ask(&a, "2001:db8::1"), otherwise);
		acl_clear(&a);
	}
}

static void the_most_specific_wins(void **state)
{
	struct acl_rule rules[] = {
		{parse("10.1.2.3"), true},        {parse("10.0.0.0/8"), true},
		{parse("10.1.0.0/16"), false},    {parse("0.0.0.0/0"), false},
		{parse("2001:db8::/32"), true},   {parse("2001:db8:1::/48"), false},
		{parse("255.255.255.255"), true}, {parse("ffff::/16"), true},
	};
	struct acl a;

	(void)state;
	assert_int_equal(acl_build(&a, rules, sizeof(rules) / sizeof(rules[0]), false), 0);
	assert_true(ask(&a, "10.0.0.0"));
	assert_true(ask(&a, "10.0.255.255"));
	assert_false(ask(&a, "10.1.0.0"));
	assert_false(ask(&a, "10.1.2.2"));
	assert_true(ask(&a, "10.1.2.3"));
	assert_false(ask(&a, "10.1.2.4"));
	assert_false(ask(&a, "10.1.255.255"));
	assert_true(ask(&a, "10.2.0.0"));
	assert_true(ask(&a, "10.255.255.255"));
	assert_false(ask(&a, "11.0.0.0"));
	assert_false(ask(&a, "0.0.0.0"));
	assert_true(ask(&a, "255.255.255.255"));
	assert_true(ask(&a, "::ffff:10.1.2.3"));
	assert_true(ask(&a, "2001:db8::"));
	assert_false(ask(&a, "2001:db8:1:ffff::"));
	assert_true(ask(&a, "2001:db8:2::"));
	assert_false(ask(&a, "2001:db9::"));
	assert_true(ask(&a, "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"));
	assert_false(ask(&a, "::"));
	acl_clear(&a);
}

static void of_the_same_network_a_no_counts(void **state)
{
	struct acl_rule rules[] = {
		{parse("10.0.0.0/8"), true},
		{parse("10.0.0.0/8"), false},
		{parse("10.0.0.0/8"), true},
	};
	struct acl a;

	(void)state;
	assert_int_equal(acl_build(&a, rules, 3, true), 0);
	assert_false(ask(&a, "10.0.0.1"));
	assert_true(ask(&a, "11.0.0.1"));
	acl_clear(&a);
}

/* --- any list */

static uint64_t random64(uint64_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return *seed;
}

/* An address that is near others: few values in each byte. */
static struct prefix random_host(uint64_t *seed)
{
	uint64_t keep = UINT64_C(0x0301030103010301), edge = random64(seed) % 4 ? 0 : ~UINT64_C(0);
	struct prefix p = {.width = random64(seed) % 2 ? 32 : 128};

	p.bits = p.width;
	p.lo = (random64(seed) & keep) ^ edge;
	if (p.width == 32)
		p.lo &= UINT32_MAX;
	else
		p.hi = (random64(seed) & keep) ^ edge;
	return p;
}

/* What A must say: the longest prefix decides, and among the same the no. */
static bool model(const struct acl_rule *rules, size_t n, const struct prefix *host, bool otherwise)
{
	int best = -1;
	bool answer = otherwise;

	for (size_t i = 0; i < n; i++) {
		const struct prefix *p = &rules[i].prefix;

		if (!prefix_has(p, host) || p->bits < best)
			continue;
		answer = p->bits == best ? answer && rules[i].yes : rules[i].yes;
		best = p->bits;
	}
	return answer;
}

/* The first and the last address of a network, and their neighbours. */
static struct prefix near_edge(const struct prefix *p, unsigned which)
{
	struct prefix host = *p;
	uint64_t one = which & 1;

	host.bits = host.width;
	if (which & 2) { /* the last */
		if (p->width == 32) {
			host.lo |= UINT32_MAX >> p->bits % 32;
			host.lo |= p->bits == 0 ? UINT32_MAX : 0;
			if (p->bits == 32)
				host.lo = p->lo;
		} else {
			host.hi |= p->bits == 0   ? ~UINT64_C(0)
				   : p->bits < 64 ? ~UINT64_C(0) >> p->bits
						  : 0;
			host.lo |= p->bits <= 64   ? ~UINT64_C(0)
				   : p->bits < 128 ? ~UINT64_C(0) >> (p->bits - 64)
						   : 0;
		}
		host.lo += one;
	} else {
		host.lo -= one;
	}
	if (p->width == 32)
		host.lo &= UINT32_MAX;
	return host;
}

static void agrees_with_a_plain_walk(void **state)
{
	enum { LISTS = 400, RULES = 60, QUESTIONS = 300 };
	uint64_t seed = 88172645463325252u;
	struct acl_rule rules[RULES];
	struct acl a;

	(void)state;
	for (int list = 0; list < LISTS; list++) {
		size_t n = random64(&seed) % RULES + 1;
		bool otherwise = list % 2;

		for (size_t i = 0; i < n; i++) {
			struct prefix host = random_host(&seed);
			unsigned bits = (unsigned)(random64(&seed) % (host.width + 1u));

			rules[i].prefix = prefix_cut(host, bits);
			rules[i].yes = random64(&seed) & 1;
		}
		assert_int_equal(acl_build(&a, rules, n, otherwise), 0);
		for (int q = 0; q < QUESTIONS; q++) {
			struct prefix host = q % 2 ? random_host(&seed)
						   : near_edge(&rules[random64(&seed) % n].prefix,
							       (unsigned)random64(&seed) % 4);

			assert_int_equal(acl_says(&a, &host), model(rules, n, &host, otherwise));
		}
		acl_clear(&a);
	}
}

/* Printed, not asserted: what a question costs with a few rules and with many. */
static void its_length_costs_little(void **state)
{
	enum { MANY = 60000, QUESTIONS = 1000000 };
	static const size_t lengths[] = {1, 100, 5000, MANY};
	struct acl_rule *rules = calloc(MANY, sizeof(*rules));
	uint64_t seed = 1;
	unsigned yes = 0;
	struct acl a;

	(void)state;
	assert_non_null(rules);
	for (size_t k = 0; k < sizeof(lengths) / sizeof(lengths[0]); k++) {
		struct timespec begin, end;

		for (size_t i = 0; i < lengths[k]; i++) {
			struct prefix host = {.width = 32,
					      .bits = 32,
					      .lo = random64(&seed) & UINT32_MAX};

			rules[i] = (struct acl_rule){.prefix = prefix_cut(host, 24), .yes = i & 1};
		}
		assert_int_equal(acl_build(&a, rules, lengths[k], true), 0);
		clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &begin);
		for (int q = 0; q < QUESTIONS; q++) {
			struct prefix host = {.width = 32,
					      .bits = 32,
					      .lo = random64(&seed) & UINT32_MAX};

			yes += acl_says(&a, &host);
		}
		clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &end);
		print_message("%zu rules: %.0f ns a question\n", lengths[k],
			      ((double)(end.tv_sec - begin.tv_sec) * 1e9 +
			       (double)(end.tv_nsec - begin.tv_nsec)) /
				      QUESTIONS);
		acl_clear(&a);
	}
	assert_true(yes > 0);
	free(rules);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_empty_list_has_one_answer),
		cmocka_unit_test(the_most_specific_wins),
		cmocka_unit_test(of_the_same_network_a_no_counts),
		cmocka_unit_test(agrees_with_a_plain_walk),
		cmocka_unit_test(its_length_costs_little),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
