/* SPDX-License-Identifier: ISC */
/* Who has completed a handshake, and for how long that is remembered. */
#include "handshakes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define START UINT64_C(7000) /* ms: just booted */
#define KEPT  (HANDSHAKES_KEPT * UINT64_C(1000))

static struct handshakes *make(void)
{
	void *at = aligned_alloc(64, handshakes_size());

	assert_non_null(at);
	memset(at, 0, handshakes_size());
	return at;
}

static uint64_t random64(uint64_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return *seed * UINT64_C(0x2545f4914f6cdd1d);
}

static void remembers_for_a_while(void **state)
{
	struct handshakes *h = make();

	(void)state;
	assert_false(handshakes_have(h, 0, START));
	assert_false(handshakes_have(h, 4711, START));
	handshakes_add(h, 4711, START);
	assert_true(handshakes_have(h, 4711, START));
	assert_true(handshakes_have(h, 4711, START + KEPT));
	assert_false(handshakes_have(h, 4711, START + KEPT + 1000));
	assert_false(handshakes_have(h, 4711 + (UINT64_C(1) << 40), START));
	free(h);
}

static void another_handshake_renews_it(void **state)
{
	struct handshakes *h = make();

	(void)state;
	handshakes_add(h, 4711, START);
	handshakes_add(h, 4711, START + KEPT);
	assert_true(handshakes_have(h, 4711, START + 2 * KEPT));
	free(h);
}

/* One who was told a second ago by a process whose clock is ahead. */
static void the_future_counts(void **state)
{
	struct handshakes *h = make();

	(void)state;
	handshakes_add(h, 4711, START + 1000);
	assert_true(handshakes_have(h, 4711, START));
	free(h);
}

static void the_oldest_go_first(void **state)
{
	enum { SOURCES = 1000000, LATEST = 10000 };
	struct handshakes *h = make();
	uint64_t seed = 1, late;
	unsigned kept = 0;

	(void)state;
	for (int i = 0; i < SOURCES - LATEST; i++)
		handshakes_add(h, random64(&seed), START + (uint64_t)i / 10);
	late = seed;
	for (int i = 0; i < LATEST; i++)
		handshakes_add(h, random64(&seed), START + SOURCES);
	for (int i = 0; i < LATEST; i++)
		kept += handshakes_have(h, random64(&late), START + SOURCES);
	assert_int_equal(kept, LATEST);
	free(h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(remembers_for_a_while),
		cmocka_unit_test(another_handshake_renews_it),
		cmocka_unit_test(the_future_counts),
		cmocka_unit_test(the_oldest_go_first),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
