/* SPDX-License-Identifier: ISC */
/* Connections by number and generation, and the counters' sums. */
#include "pool.h"

#include "slots.h"
#include "stats.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void finds_what_it_gave(void **state)
{
	struct pool p = {.chunk = NULL};
	struct entry *e[1000];

	(void)state;
	for (int i = 0; i < 1000; i++) {
		e[i] = pool_get(&p);
		assert_non_null(e[i]);
	}
	for (int i = 0; i < 1000; i++)
		assert_ptr_equal(pool_find(&p, pool_tag(e[i])), e[i]);
	pool_deinit(&p);
}

static void an_old_tag_finds_nobody(void **state)
{
	struct pool p = {.chunk = NULL};
	struct entry *e = pool_get(&p);
	uint64_t old = pool_tag(e);

	(void)state;
	pool_free(&p, e);
	assert_null(pool_find(&p, old));
	assert_ptr_equal(pool_get(&p), e); /* the same place, another connection */
	assert_null(pool_find(&p, old));
	assert_ptr_equal(pool_find(&p, pool_tag(e)), e);
	assert_null(pool_find(&p, UINT64_C(12345678)));
	pool_deinit(&p);
}

static void a_tag_leaves_its_upper_byte_alone(void **state)
{
	struct pool p = {.chunk = NULL};
	struct entry *e = pool_get(&p);

	(void)state;
	e->generation = UINT32_MAX;
	assert_int_equal(pool_tag(e) >> 56, 0);
	pool_deinit(&p);
}

static void walks_over_all_in_use(void **state)
{
	struct pool p = {.chunk = NULL};
	struct entry *e[600];
	int n = 0;

	(void)state;
	for (int i = 0; i < 600; i++)
		e[i] = pool_get(&p);
	for (int i = 0; i < 600; i += 2)
		pool_free(&p, e[i]);
	for (struct entry *at = pool_first(&p); at; at = pool_next(&p, at)) {
		pool_free(&p, at); /* as an engine does that closes them all */
		n++;
	}
	assert_int_equal(n, 300);
	assert_null(pool_first(&p));
	pool_deinit(&p);
}

static void every_counter_has_a_name_and_a_sentence(void **state)
{
	(void)state;
	for (int i = 0; i < N_COUNTERS; i++) {
		assert_non_null(counters[i].name);
		assert_non_null(counters[i].text);
		for (int j = 0; j < i; j++)
			assert_string_not_equal(counters[i].name, counters[j].name);
	}
}

static void active_is_what_is_not_closed(void **state)
{
	static struct stats s = {.shared = false}, shared = {.shared = true};
	uint64_t sum[N_COUNTERS] = {0};
	char text[2048];

	(void)state;
	stats_add(&s, C_CONNECTIONS_ACCEPTED, 10);
	stats_add(&s, C_CLOSED_EOF, 3);
	stats_add(&shared, C_CLOSED_KILLED, 2);
	stats_sum(sum, &s);
	stats_sum(sum, &shared);
	assert_int_equal(stats_active(sum), 5);
	assert_non_null(strstr(stats_format(sum, text, sizeof(text)), "connections_active=5 "));
	assert_non_null(strstr(text, " closed_killed=2 "));
	assert_non_null(strstr(text, " workers_died=0"));
	stats_format(sum, text, 30); /* too little room: cut, not overrun */
	assert_true(strlen(text) < 30);
}

/* What a client that is silent costs: no buffer, and little else. */
static void an_idle_connection_is_small(void **state)
{
	(void)state;
	assert_true(sizeof(struct entry) + sizeof(struct entry *) + sizeof(struct slot) +
			    sizeof(pid_t) <=
		    192);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(finds_what_it_gave),
		cmocka_unit_test(an_old_tag_finds_nobody),
		cmocka_unit_test(a_tag_leaves_its_upper_byte_alone),
		cmocka_unit_test(walks_over_all_in_use),
		cmocka_unit_test(an_idle_connection_is_small),
		cmocka_unit_test(every_counter_has_a_name_and_a_sentence),
		cmocka_unit_test(active_is_what_is_not_closed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
