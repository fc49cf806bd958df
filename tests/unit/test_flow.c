/* SPDX-License-Identifier: ISC */
/* A connection in a ring against a kernel that completes by chance: short sends, none, no
 * buffers, receives that end or are cancelled too late.  Whatever comes, what goes in comes
 * out, no buffer is lost, and nothing is under way when the socket is closed. */
#include "acceptor.h"
#include "ring.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void echoes_whatever_happens(void **state)
{
	enum { N = 300000 };
	char *bytes = malloc(N);

	(void)state;
	assert_non_null(bytes);
	for (unsigned seed = 0; seed < 400; seed++) {
		srand(seed);
		for (size_t i = 0; i < N; i++)
			bytes[i] = (char)rand();
		ring_begin(seed % 4 * 20, seed / 4 % 2);
		k.input = bytes;
		k.in = (size_t)rand() % N;
		k.chunk_in = seed / 8 % 2 ? 3000 : 0;
		k.chunk_out = seed / 16 % 2 ? 2500 : 0;
		k.fin = true;
		size_t n = k.in;

		for (int i = 0; i < 1000000 && !k.closed; i++) {
			if (rand() % 64 == 0 && !r.n_asked)
				ex.now += 200;
			wheel_advance(&flows.wheel, ex.now, flow_timer, &flows);
			ring_enter();
		}
		assert_true(k.closed && !k.reset);
		assert_int_equal(k.out, n);
		assert_memory_equal(k.output, bytes, n);
		assert_int_equal(stats.value[C_BYTES_IN], n);
		assert_int_equal(stats.value[C_BYTES_OUT], n);
		assert_int_equal(stats.value[C_CLOSED_EOF], 1);
		assert_int_equal(slots_used(slots), 0);
		assert_int_equal(acceptor.open, 0);
		ring_end();
	}
	free(bytes);
}

/* A client that reads nothing is heard no more, and no buffer waits for it. */
static void holds_no_buffer_for_a_slow_reader(void **state)
{
	static char bytes[4 * BUFFER];

	(void)state;
	for (unsigned multishot = 0; multishot < 2; multishot++) {
		ring_begin(0, multishot);
		k.input = bytes;
		k.in = sizeof(bytes);
		k.blocked = true;
		for (int i = 0; i < 1000; i++)
			ring_enter();
		for (int i = 0; i < BUFFERS; i++)
			assert_false(r.taken[i]);
		assert_true(k.in >= sizeof(bytes) - 2 * (size_t)BUFFER);
		assert_int_equal(k.out % SIZE, 0);
		k.blocked = false;
		k.fin = true;
		for (int i = 0; i < 1000 && !k.closed; i++)
			ring_enter();
		assert_int_equal(k.out, sizeof(bytes));
		ring_end();
	}
}

/* Small messages flow; a bulk stream goes by steps; and then small ones flow again. */
static void flows_while_messages_are_small(void **state)
{
	static char bytes[BUFFER];
	struct entry *e;

	(void)state;
	ring_begin(0, true);
	e = pool_first(&flows.pool);
	for (int i = 0; i < 100; i++) {
		k.input = bytes;
		k.in = 64;
		while (k.in > 0)
			ring_enter();
		assert_true(r.receiving);
	}
	k.input = bytes;
	k.in = sizeof(bytes);
	while (k.in > 0)
		ring_enter();
	for (int i = 0; i < 10; i++)
		ring_enter();
	assert_true(!r.receiving && r.polling);
	for (int i = 0; i < 10; i++) {
		k.input = bytes;
		k.in = 64;
		while (k.in > 0)
			ring_enter();
	}
	assert_true(r.receiving && !r.polling);
	assert_null(e->conn.held);
	k.fin = true;
	while (!k.closed)
		ring_enter();
	ring_end();
}

static const struct {
	int error;
	enum counter reason;
} errors[] = {
	{-ECONNRESET, C_CLOSED_RESET},
	{-EPIPE, C_CLOSED_RESET},
	{-ETIMEDOUT, C_CLOSED_WRITE_TIMEOUT},
	{-ENOMEM, C_CLOSED_ERROR},
	{-EIO, C_CLOSED_ERROR},
};

/* An error ends it, after all that is under way: of a receive while a send is, of a send while
 * a receive is. */
static void an_error_ends_it(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++)
		for (int sending = 0; sending < 2; sending++) {
			ring_begin(0, true);
			k.input = "hello";
			k.in = 5;
			while (k.in > 0)
				ring_enter();
			assert_int_equal(r.n_asked, 1);
			if (sending) {
				flow_complete(&flows, r.asked[0].tag, errors[i].error, 0);
				r.asked[0] = r.asked[--r.n_asked];
			} else {
				uint64_t tag = r.receiving;

				r.receiving = 0;
				flow_complete(&flows, tag, errors[i].error, 0);
			}
			assert_false(k.closed);
			ring_enter();
			assert_true(k.closed);
			assert_int_equal(stats.value[errors[i].reason], 1);
			ring_end();
		}
}

/* Turns of the loop, with MS milliseconds of its time between them, until the connection has
 * been ended; or N of them. */
static void turn(unsigned n, unsigned ms)
{
	for (unsigned i = 0; i < n && !k.shut && !k.closed; i++) {
		ex.now += ms;
		wheel_advance(&flows.wheel, ex.now, flow_timer, &flows);
		ring_enter();
	}
}

/* A drain that comes while a client does not read, or while its answer is being sent: once that
 * is out, the deadline is the drain's, and not that of a slow reader. */
static void a_drain_ends_who_has_been_slow(void **state)
{
	static char bytes[BUFFER];

	(void)state;
	for (int blocked = 0; blocked < 2; blocked++) {
		size_t n = blocked ? sizeof(bytes) : 64;

		ring_begin(0, true);
		k.input = bytes;
		k.in = n;
		k.blocked = blocked;
		if (blocked)
			turn(100, 20);
		else
			for (int i = 0; i < 100 && !r.n_asked; i++)
				ring_enter();
		ex.draining = true;
		ex.drain_since = ex.now;
		flow_drain(&flows);
		if (blocked)
			turn(100, 20);
		assert_false(k.shut || k.closed);
		k.blocked = false;
		turn(100, 20); /* two seconds: a drain's, and no write_timeout */
		assert_true(k.shut);
		assert_int_equal(k.out, n);
		k.fin = true;
		for (int i = 0; i < 1000 && !k.closed; i++)
			ring_enter();
		assert_true(k.closed && !k.reset);
		ring_end();
	}
}

/* A completion that comes late finds nobody, and its buffer is not lost. */
static void the_late_find_nobody(void **state)
{
	uint64_t tag;

	(void)state;
	ring_begin(0, true);
	tag = r.receiving;
	k.fin = true;
	while (!k.closed)
		ring_enter();
	r.taken[3] = true;
	flow_complete(&flows, tag, 10, IORING_CQE_F_BUFFER | 3u << IORING_CQE_BUFFER_SHIFT);
	assert_false(r.taken[3]);
	ring_end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(echoes_whatever_happens),
		cmocka_unit_test(holds_no_buffer_for_a_slow_reader),
		cmocka_unit_test(flows_while_messages_are_small),
		cmocka_unit_test(an_error_ends_it),
		cmocka_unit_test(a_drain_ends_who_has_been_slow),
		cmocka_unit_test(the_late_find_nobody),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
