/* SPDX-License-Identifier: ISC */
/* Messages on a stream: whole, halved, many at once, too long, and not JSON at all. */
#include "varlink.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

enum { MAX = 65536 };

/* A pair of sockets, and what is read at the second. */
struct line {
	int fd[2];
	struct varlink_in in;
};

static int setup(void **state)
{
	struct line *l = calloc(1, sizeof(*l));

	if (!l || socketpair(AF_UNIX, SOCK_STREAM, 0, l->fd) < 0)
		return -1;
	l->in.max = MAX;
	*state = l;
	return 0;
}

static int teardown(void **state)
{
	struct line *l = *state;

	varlink_clear_in(&l->in);
	close(l->fd[0]);
	close(l->fd[1]);
	free(l);
	return 0;
}

/* Send SIZE bytes and receive them all. */
static void say(struct line *l, const char *bytes, size_t size)
{
	size_t sent = 0;

	while (sent < size) {
		size_t n = size - sent < 10000 ? size - sent : 10000;

		assert_int_equal(send(l->fd[0], bytes + sent, n, 0), n);
		sent += n;
		while (varlink_receive(&l->in, l->fd[1]) > 0)
			;
	}
}

/* The next message has number N under "n". */
static void expect(struct line *l, int n)
{
	json_t *message = NULL;

	assert_int_equal(varlink_next(&l->in, &message), 1);
	assert_int_equal(json_integer_value(json_object_get(message, "n")), n);
	json_decref(message);
}

static void takes_what_is_whole(void **state)
{
	static const char three[] = "{\"n\":1}\0 { \"n\" : 2 }\n\0{\"n\":3}";
	struct line *l = *state;
	json_t *none;

	assert_int_equal(varlink_next(&l->in, &none), 0);
	assert_int_equal(varlink_receive(&l->in, l->fd[1]), -EAGAIN);
	say(l, three, sizeof(three) - 1);
	expect(l, 1);
	expect(l, 2);
	assert_true(varlink_pending(&l->in));
	assert_int_equal(varlink_next(&l->in, &none), 0);
	assert_false(varlink_pending(&l->in));
	say(l, "", 1);
	assert_true(varlink_pending(&l->in));
	expect(l, 3);
	assert_false(varlink_pending(&l->in));
	assert_int_equal(varlink_next(&l->in, &none), 0);
	assert_null(l->in.data);
	close(l->fd[0]);
	l->fd[0] = -1;
	assert_int_equal(varlink_receive(&l->in, l->fd[1]), 0);
}

static void takes_what_comes_byte_by_byte(void **state)
{
	static const char text[] = "{\"n\":7}";
	struct line *l = *state;
	json_t *none;

	for (int round = 0; round < 3; round++) {
		for (size_t i = 0; i < sizeof(text); i++) {
			assert_int_equal(varlink_next(&l->in, &none), 0);
			say(l, text + i, 1);
		}
		expect(l, 7);
	}
}

static void keeps_what_follows_when_it_makes_room(void **state)
{
	struct line *l = *state;
	char big[6000];

	memset(big, ' ', sizeof(big));
	memcpy(big, "{\"n\":5}", 7);
	say(l, "{\"n\":4}", 8);
	say(l, big, sizeof(big));
	expect(l, 4);
	big[sizeof(big) - 1] = '\0';
	say(l, big + 6, sizeof(big) - 6);
	assert_int_equal(l->in.begin, 0);
}

static void refuses_a_message_that_is_too_long(void **state)
{
	struct line *l = *state;
	char *big = malloc(MAX);

	assert_non_null(big);
	memset(big, ' ', MAX);
	memcpy(big, "{\"n\":6}", 7);
	big[MAX - 1] = '\0';
	say(l, big, MAX); /* just not */
	expect(l, 6);
	big[MAX - 1] = ' ';
	say(l, big, MAX);
	assert_int_equal(varlink_receive(&l->in, l->fd[1]), -EMSGSIZE);
	free(big);
}

static void refuses_what_is_no_object(void **state)
{
	static const char *const rows[] = {
		"",
		"null",
		"17",
		"[{}]",
		"\"text\"",
		"{",
		"{\"a\":1}x",
		"{\"a\":1,\"a\":2}",
		"{\"a\":1e999}",
		"{\"a\":99999999999999999999999}",
		"{\"a\":\"\xff\xfe\"}",
		"{\"\\u0000\":1}",
		"{\"a\":\"\\ud800\"}",
		"\xef\xbb\xbf{}",
	};
	struct line *l = *state;
	json_t *none = NULL;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		say(l, rows[i], strlen(rows[i]) + 1);
		assert_int_equal(varlink_next(&l->in, &none), -EBADMSG);
	}
	assert_null(none);
}

static void refuses_endless_nesting(void **state)
{
	static const char open[] = "[{\"a\":";
	struct line *l = *state;
	char *deep = malloc(MAX);
	json_t *none;

	assert_non_null(deep);
	for (size_t i = 0; i < MAX - 1; i++)
		deep[i] = open[i % 6];
	deep[MAX - 1] = '\0';
	say(l, deep, MAX);
	assert_int_equal(varlink_next(&l->in, &none), -EBADMSG);
	free(deep);
}

static void sends_what_was_queued(void **state)
{
	struct line *l = *state;
	struct varlink_out out = {.max = 100};
	json_t *message = json_pack("{s:i}", "n", 8);

	assert_int_equal(varlink_queue(&out, message), 0);
	json_object_set_new(message, "n", json_integer(9));
	assert_int_equal(varlink_queue(&out, message), 0);
	assert_int_equal(varlink_send(&out, l->fd[0]), 0);
	assert_null(out.data);
	assert_true(varlink_receive(&l->in, l->fd[1]) > 0);
	expect(l, 8);
	expect(l, 9);
	json_decref(message);
}

static void queues_no_more_than_it_may(void **state)
{
	struct varlink_out out = {.max = 24};
	json_t *message = json_pack("{s:s}", "n", "abcdefgh"); /* 16 bytes and a NUL */

	(void)state;
	assert_int_equal(varlink_queue(&out, NULL), -ENOMEM);
	assert_int_equal(varlink_queue(&out, message), 0);
	assert_int_equal(varlink_queue(&out, message), -EMSGSIZE);
	assert_int_equal(out.end, 17);
	assert_string_equal(out.data, "{\"n\":\"abcdefgh\"}");
	out.max = 34;
	assert_int_equal(varlink_queue(&out, message), 0);
	assert_int_equal(out.end, 34);
	varlink_clear_out(&out);
	out.max = 16;
	assert_int_equal(varlink_queue(&out, message), -EMSGSIZE);
	assert_int_equal(out.end, 0);
	varlink_clear_out(&out);
	json_decref(message);
}

static void goes_on_where_the_socket_was_full(void **state)
{
	struct line *l = *state;
	struct varlink_out out = {.max = 4 << 20};
	char *text = malloc(1 << 20);
	json_t *message, *back = NULL;
	int waits = 0, r;

	assert_non_null(text);
	memset(text, 'x', (1 << 20) - 1);
	text[(1 << 20) - 1] = '\0';
	message = json_pack("{s:s}", "text", text);
	l->in.max = 4 << 20;
	assert_int_equal(varlink_queue(&out, message), 0);
	while ((r = varlink_send(&out, l->fd[0])) == -EAGAIN) {
		if (waits++ == 3) /* some is sent: what is queued behind moves it */
			assert_int_equal(varlink_queue(&out, message), 0);
		assert_true(varlink_receive(&l->in, l->fd[1]) > 0);
	}
	assert_int_equal(r, 0);
	assert_true(waits > 3);
	while (varlink_receive(&l->in, l->fd[1]) > 0)
		;
	for (int i = 0; i < 2; i++) {
		assert_int_equal(varlink_next(&l->in, &back), 1);
		assert_true(json_equal(back, message));
		json_decref(back);
	}
	close(l->fd[1]);
	l->fd[1] = -1;
	assert_int_equal(varlink_queue(&out, message), 0);
	assert_int_equal(varlink_send(&out, l->fd[0]), -EPIPE);
	varlink_clear_out(&out);
	json_decref(message);
	free(text);
}

static void makes_text_of_any_bytes(void **state)
{
	json_t *t = varlink_text("plain");

	(void)state;
	assert_string_equal(json_string_value(t), "plain");
	json_decref(t);
	t = varlink_text("gr\xc3\xbc\xc3\x9f");
	assert_string_equal(json_string_value(t), "gr\xc3\xbc\xc3\x9f");
	json_decref(t);
	t = varlink_text("a\xff\n\x80z");
	assert_string_equal(json_string_value(t), "a?\n?z");
	json_decref(t);
	t = varlink_text(NULL);
	assert_true(json_is_null(t));
	json_decref(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(takes_what_is_whole, setup, teardown),
		cmocka_unit_test_setup_teardown(takes_what_comes_byte_by_byte, setup, teardown),
		cmocka_unit_test_setup_teardown(keeps_what_follows_when_it_makes_room, setup,
						teardown),
		cmocka_unit_test_setup_teardown(refuses_a_message_that_is_too_long, setup,
						teardown),
		cmocka_unit_test_setup_teardown(refuses_what_is_no_object, setup, teardown),
		cmocka_unit_test_setup_teardown(refuses_endless_nesting, setup, teardown),
		cmocka_unit_test_setup_teardown(sends_what_was_queued, setup, teardown),
		cmocka_unit_test(queues_no_more_than_it_may),
		cmocka_unit_test_setup_teardown(goes_on_where_the_socket_was_full, setup, teardown),
		cmocka_unit_test(makes_text_of_any_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
