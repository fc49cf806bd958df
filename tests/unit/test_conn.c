/* SPDX-License-Identifier: ISC */
/* A connection against a scripted kernel: short reads and writes, every errno. */
#include "kernel.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Step while there is something to do at once; what is wanted in the end. */
static enum conn_want steps(void)
{
	enum conn_want want = CONN_READ;

	for (int i = 0; i < 1000000; i++) {
		size_t before = k.in + k.out;

		want = conn_step(&c, &ex);
		if (want == CONN_CLOSED || (k.in + k.out == before && k.in == 0 && !k.fin))
			return want;
	}
	fail();
	return want;
}

static char *random_bytes(size_t n)
{
	char *p = malloc(n);

	assert_non_null(p);
	for (size_t i = 0; i < n; i++)
		p[i] = (char)rand();
	return p;
}

static void echoes_in_any_pieces(void **state)
{
	static const size_t pieces[] = {0, 1, 7, 1000, 2048, 40000};
	enum { N = 200000 };

	teardown(state);
	for (size_t i = 0; i < 6; i++)
		for (size_t o = 0; o < 6; o++) {
			char *bytes = random_bytes(N);

			setup(state);
			ex.wide = o % 2;
			k.input = bytes;
			k.in = N;
			k.fin = true;
			k.chunk_in = pieces[i];
			k.chunk_out = pieces[o];
			assert_int_equal(steps(), CONN_CLOSED);
			assert_int_equal(k.out, N);
			assert_memory_equal(k.output, bytes, N);
			assert_int_equal(stats.value[C_BYTES_IN], N);
			assert_int_equal(stats.value[C_BYTES_OUT], N);
			assert_int_equal(stats.value[C_CLOSED_EOF], 1);
			assert_true(k.closed && !k.shut && !k.reset);
			assert_int_equal(slots_used(slots), 0);
			free(bytes);
			teardown(state);
		}
	setup(state);
}

static void holds_no_memory_while_nothing_waits(void **state)
{
	(void)state;
	k.input = "hello";
	k.in = 5;
	assert_int_equal(conn_step(&c, &ex), CONN_READ);
	assert_null(c.held);
}

/* The executor of one client allocates nothing for few words, and all that it may for many. */
static void takes_memory_for_many_words_only(void **state)
{
	char *bytes = random_bytes(2 * BUFFER);

	(void)state;
	ex.wide = false;
	k.input = bytes;
	k.in = sizeof(ex.spare) - 1;
	assert_int_equal(conn_step(&c, &ex), CONN_READ);
	assert_null(ex.scratch);
	k.in = 2 * BUFFER - k.out;
	assert_int_equal(conn_step(&c, &ex), CONN_READ);
	assert_null(ex.scratch);
	assert_int_equal(k.out, 2 * sizeof(ex.spare) - 1);
	assert_int_equal(conn_step(&c, &ex), CONN_READ);
	assert_non_null(ex.scratch);
	assert_int_equal(k.out, 2 * sizeof(ex.spare) - 1 + BUFFER);
	assert_memory_equal(k.output, bytes, k.out);
	free(bytes);
}

/* However fast a client is: after one buffer it is another's turn. */
static void takes_a_turn_of_one_buffer(void **state)
{
	char *bytes = random_bytes(3 * BUFFER);

	(void)state;
	k.input = bytes;
	k.in = 3 * BUFFER;
	for (size_t i = 1; i <= 3; i++) {
		assert_int_equal(conn_step(&c, &ex), CONN_READ);
		assert_int_equal(k.in, (3 - i) * BUFFER);
		assert_int_equal(k.out, i * BUFFER);
	}
	free(bytes);
}

static void reads_nothing_while_the_client_does_not(void **state)
{
	char *bytes = random_bytes(3 * BUFFER);

	(void)state;
	k.input = bytes;
	k.in = 3 * BUFFER;
	k.blocked = true;
	for (int i = 0; i < 10; i++)
		assert_int_equal(conn_step(&c, &ex), CONN_WRITE);
	assert_int_equal(k.in, 2 * BUFFER); /* one buffer and no more */
	k.blocked = false;
	k.fin = true;
	assert_int_equal(steps(), CONN_CLOSED);
	assert_int_equal(k.out, 3 * BUFFER);
	assert_memory_equal(k.output, bytes, 3 * BUFFER);
	free(bytes);
}

/* Every errno of recv(2) and send(2), and the reason it is counted under; 0 = none, the
 * connection goes on. */
static const struct {
	int error;
	enum counter reason;
} errors[] = {
	{EAGAIN, 0},
	{EINTR, 0},
	{ECONNRESET, C_CLOSED_RESET},
	{EPIPE, C_CLOSED_RESET},
	{ETIMEDOUT, C_CLOSED_WRITE_TIMEOUT},
	{EHOSTUNREACH, C_CLOSED_RESET},
	{ENETUNREACH, C_CLOSED_RESET},
	{ENOTCONN, C_CLOSED_RESET},
	{ENOMEM, C_CLOSED_ERROR},
	{ENOBUFS, C_CLOSED_ERROR},
	{EIO, C_CLOSED_ERROR},
};

static void errors_end_it_or_do_not(void **state)
{
	teardown(state);
	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++)
		for (int sending = 0; sending < 2; sending++) {
			enum conn_want want;

			setup(state);
			k.input = "x";
			k.in = 1;
			*(sending ? &k.send_error : &k.recv_error) = errors[i].error;
			want = conn_step(&c, &ex);
			if (errors[i].reason) {
				assert_int_equal(want, CONN_CLOSED);
				assert_int_equal(stats.value[errors[i].reason], 1);
				assert_int_equal(slots_used(slots), 0);
			} else {
				assert_int_not_equal(want, CONN_CLOSED);
				k.fin = true;
				assert_int_equal(steps(), CONN_CLOSED);
				assert_int_equal(k.out, 1);
			}
			teardown(state);
		}
	setup(state);
}

/* Tell C that N bytes of the input were received by somebody else; SENT of them were sent by
 * it too, and the others wait. */
static void tell(size_t n, uint32_t sent)
{
	char *p = (char *)k.input;
	uint32_t out = (uint32_t)n;

	assert_int_equal(conn_received(&c, &ex, &p, &out), 0);
	assert_int_equal(out, n);
	memcpy(k.output + k.out, p, sent);
	k.out += sent;
	conn_sent(&c, &ex, sent);
	if (sent < n)
		assert_int_equal(conn_hold(&c, p + sent, out - sent), 0);
	k.input += n;
	k.in -= n;
}

/* An engine of completions: what it has received and could not send goes out by steps, in
 * order, before anything else is read. */
static void sends_what_others_received(void **state)
{
	enum { N = 100000 };
	char *bytes = random_bytes(N);

	(void)state;
	k.input = bytes;
	k.in = N;
	k.chunk_out = 700;
	tell(1000, 1000);
	assert_int_equal(conn_next(&c, &ex, 0), CONN_READ);
	assert_null(c.held);
	tell(1000, 10);
	assert_int_equal(conn_next(&c, &ex, 0), CONN_WRITE);
	tell(30000, 0);
	tell(1, 0);
	assert_int_equal(c.echo.pending, 990 + 30000 + 1);
	assert_int_equal(slots->slot[c.slot].bytes_in, 32001);
	k.fin = true;
	assert_int_equal(steps(), CONN_CLOSED);
	assert_int_equal(k.out, N);
	assert_memory_equal(k.output, bytes, N);
	assert_int_equal(stats.value[C_BYTES_IN], N);
	assert_int_equal(stats.value[C_BYTES_OUT], N);
	assert_int_equal(stats.value[C_CLOSED_EOF], 1);
	free(bytes);
}

/* The FIN that was received ends it once everything is out; an error ends it at once. */
static void ends_as_it_is_told(void **state)
{
	(void)state;
	k.input = "hello";
	k.in = 5;
	tell(5, 2);
	conn_received_fin(&c, &ex);
	assert_int_equal(conn_next(&c, &ex, 0), CONN_WRITE);
	assert_int_equal(conn_step(&c, &ex), CONN_CLOSED);
	assert_int_equal(k.out, 5);
	assert_int_equal(stats.value[C_CLOSED_EOF], 1);
	assert_false(k.shut);
	teardown(state);
	setup(state);
	assert_int_equal(conn_next(&c, &ex, -ECONNRESET), CONN_CLOSED);
	assert_int_equal(stats.value[C_CLOSED_RESET], 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(echoes_in_any_pieces, setup, teardown),
		cmocka_unit_test_setup_teardown(holds_no_memory_while_nothing_waits, setup,
						teardown),
		cmocka_unit_test_setup_teardown(takes_memory_for_many_words_only, setup, teardown),
		cmocka_unit_test_setup_teardown(takes_a_turn_of_one_buffer, setup, teardown),
		cmocka_unit_test_setup_teardown(reads_nothing_while_the_client_does_not, setup,
						teardown),
		cmocka_unit_test_setup_teardown(sends_what_others_received, setup, teardown),
		cmocka_unit_test_setup_teardown(ends_as_it_is_told, setup, teardown),
		cmocka_unit_test_setup_teardown(errors_end_it_or_do_not, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
