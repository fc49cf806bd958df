/* SPDX-License-Identifier: ISC */
/* The wheel of deadlines, driven through hours in no time. */
#include "timer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

enum { START = 123456789 };

/* A timer that remembers when it fired. */
struct probe {
	struct timer timer; /* first: a timer is a probe */
	uint64_t due, fired;
};

static uint64_t now;

static void fire(struct timer *t, void *arg)
{
	struct probe *p = (struct probe *)t;

	if (p->due > now) { /* early, as is allowed beyond the horizon: again */
		wheel_add(arg, t, p->due);
		return;
	}
	p->fired = now;
}

static int setup(void **state)
{
	static struct wheel w;

	now = START;
	wheel_init(&w, now);
	*state = &w;
	return 0;
}

static void add(struct wheel *w, struct probe *p, uint64_t after)
{
	*p = (struct probe){.due = now + after};
	wheel_add(w, &p->timer, p->due);
}

/* Go on to the time UNTIL as an executor does: sleep as long as the wheel says. */
static unsigned run(struct wheel *w, uint64_t until)
{
	unsigned wakes = 0;

	while (now < until) {
		int wait = wheel_wait(w, now);

		now = wait < 0 || now + (uint64_t)wait > until ? until : now + (uint64_t)wait;
		wheel_advance(w, now, fire, w);
		assert_true(++wakes < 100000);
	}
	return wakes;
}

static void an_empty_wheel_never_wakes(void **state)
{
	assert_int_equal(wheel_wait(*state, now), -1);
}

static void fires_in_time_at_any_distance(void **state)
{
	static const uint64_t after[] = {0,    1,    15,    16,     17,      255,     4095,
					 4096, 4097, 65535, 300000, 1044479, 1048576, 3600000};
	struct wheel *w = *state;

	for (size_t i = 0; i < sizeof(after) / sizeof(after[0]); i++) {
		struct probe p;

		add(w, &p, after[i]);
		run(w, now + after[i] + 2 * WHEEL_TICK);
		assert_true(p.fired >= p.due);
		assert_true(p.fired <= p.due + 2 * WHEEL_TICK);
		assert_int_equal(w->count, 0);
	}
}

static void a_removed_timer_is_silent(void **state)
{
	struct wheel *w = *state;
	struct probe p, q;

	add(w, &p, 100);
	add(w, &q, 100);
	wheel_remove(w, &p.timer);
	wheel_remove(w, &p.timer); /* twice is fine */
	run(w, now + 1000);
	assert_int_equal(p.fired, 0);
	assert_true(q.fired > 0);
}

static void ten_thousand_at_random(void **state)
{
	enum { N = 10000 };
	struct wheel *w = *state;
	struct probe *p = calloc(N, sizeof(*p));

	assert_non_null(p);
	srand(7);
	for (int i = 0; i < N; i++)
		add(w, &p[i], (uint64_t)rand() % 2000000);
	run(w, now + 2000000 + 2 * WHEEL_TICK);
	for (int i = 0; i < N; i++) {
		assert_true(p[i].fired >= p[i].due);
		assert_true(p[i].fired <= p[i].due + 2 * WHEEL_TICK);
	}
	free(p);
}

static void sleeps_long_for_what_is_far(void **state)
{
	struct wheel *w = *state;
	struct probe p;

	add(w, &p, 300000);
	assert_true(run(w, now + 300000 + 2 * WHEEL_TICK) < 20);
	assert_true(p.fired > 0);
}

static void a_gap_of_days_is_one_step(void **state)
{
	struct wheel *w = *state;
	struct probe p;

	now += UINT64_C(86400000) * 30;
	wheel_advance(w, now, fire, w);
	add(w, &p, 50);
	run(w, now + 100);
	assert_true(p.fired > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(an_empty_wheel_never_wakes, setup),
		cmocka_unit_test_setup(fires_in_time_at_any_distance, setup),
		cmocka_unit_test_setup(a_removed_timer_is_silent, setup),
		cmocka_unit_test_setup(ten_thousand_at_random, setup),
		cmocka_unit_test_setup(sleeps_long_for_what_is_far, setup),
		cmocka_unit_test_setup(a_gap_of_days_is_one_step, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
