/* SPDX-License-Identifier: ISC */
/* What is passed, told apart: names, kinds, states; and what the store is told. */
#include "passed.h"

#include "log.h"
#include "protocol.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

enum { FIRST = 3 }; /* SD_LISTEN_FDS_START */

static struct passed passed;
static struct notify nobody;

/* Put FD where the next passed descriptor is, and close it. */
static void place(int fd, int *n)
{
	assert_true(fd >= 0);
	if (fd != FIRST + *n) {
		assert_true(dup2(fd, FIRST + *n) >= 0);
		close(fd);
	}
	++*n;
}

static int make(int family, int type, bool listening)
{
	int fd = socket(family, type, 0);
	struct address a = {.len = sizeof(a.in), .in = {.sin_family = AF_INET}};

	a.in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(bind(fd, &a.sa, a.len), 0);
	if (listening)
		assert_int_equal(listen(fd, 1), 0);
	return fd;
}

static void announce(int n, const char *names)
{
	char text[16];

	snprintf(text, sizeof(text), "%d", getpid());
	setenv("LISTEN_PID", text, 1);
	snprintf(text, sizeof(text), "%d", n);
	setenv("LISTEN_FDS", text, 1);
	setenv("LISTEN_FDNAMES", names, 1);
	passed_take(&passed);
	assert_null(getenv("LISTEN_PID"));
	assert_null(getenv("LISTEN_FDS"));
	assert_null(getenv("LISTEN_FDNAMES"));
}

static int setup(void **state)
{
	(void)state;
	nobody = (struct notify){.fd = -1};
	log_set_level(LOG_EMERG);
	/* Whatever the test's own start has left open. */
	for (int fd = FIRST; fd < FIRST + 8; fd++)
		close(fd);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	passed_close(&passed);
	assert_int_equal(passed.n, 0);
	return 0;
}

static void nothing_is_passed(void **state)
{
	char text[64];

	(void)state;
	passed_take(&passed);
	assert_int_equal(passed.n, 0);
	assert_null(passed.problem);
	assert_null(passed_next(&passed, NULL, "a", PROTO_TCP));
	assert_string_equal(passed_describe(&passed, text, sizeof(text)), "nothing");
	assert_int_equal(passed_discard(&passed, &nobody), 0);
}

static void tells_kinds_apart(void **state)
{
	int n = 0, line[2];
	struct passed_socket *s;
	char text[512];

	(void)state;
	place(make(AF_INET, SOCK_STREAM, true), &n);
	place(make(AF_INET, SOCK_STREAM, false), &n);
	place(make(AF_INET, SOCK_DGRAM, false), &n);
	assert_int_equal(pipe(line), 0);
	close(line[1]);
	place(line[0], &n);
	place(make(AF_INET, SOCK_STREAM, true), &n);
	announce(n, "a:a:a:b\033:a");
	assert_int_equal(passed.n, 5);
	s = passed_next(&passed, NULL, "a", PROTO_TCP);
	assert_ptr_equal(s, &passed.socket[0]);
	assert_int_equal(fcntl(s->fd, F_GETFD), FD_CLOEXEC);
	assert_ptr_equal(passed_next(&passed, s, "a", PROTO_TCP), &passed.socket[4]);
	assert_null(passed_next(&passed, &passed.socket[4], "a", PROTO_TCP));
	assert_ptr_equal(passed_next(&passed, NULL, "a", PROTO_UDP), &passed.socket[2]);
	assert_null(passed_next(&passed, NULL, "a", PROTO_MPTCP));
	assert_ptr_equal(passed_find(&passed, PROTO_UDP, &passed.socket[2].address, true, ""),
			 &passed.socket[2]);
	assert_null(passed_find(&passed, PROTO_TCP, &passed.socket[2].address, true, ""));
	assert_non_null(strstr(passed_describe(&passed, text, sizeof(text)),
			       "\"a\" (does not listen), \"a\" (udp 127.0.0.1:"));
	assert_non_null(strstr(text, "\"b?\" (is no socket)"));
	assert_int_equal(passed_describe(&passed, text, 20)[19], '\0');
	passed_log(&passed); /* closes what is of no use */
	assert_int_equal(fcntl(FIRST + 1, F_GETFD), -1);
	assert_int_equal(fcntl(FIRST + 3, F_GETFD), -1);
	assert_int_equal(passed_discard(&passed, &nobody), 0);
	assert_int_equal(fcntl(FIRST, F_GETFD), FD_CLOEXEC);
}

static void knows_its_own(void **state)
{
	char names[4 * NOTIFY_NAME_MAX], own[NOTIFY_NAME_MAX], other[NOTIFY_NAME_MAX];
	int n = 0;

	(void)state;
	place(make(AF_INET, SOCK_STREAM, true), &n);
	place(make(AF_INET, SOCK_STREAM, true), &n);
	place(make(AF_INET, SOCK_STREAM, true), &n);
	passed_store_name(FIRST, 0, 0, own);
	passed_store_name(FIRST + 1, 0, 0, other);
	assert_string_not_equal(own, other);
	assert_null(strchr(own, ':'));
	/* The second has the name of another socket: it was not given by us. */
	snprintf(names, sizeof(names), "%s:%s:%s", own, own, "listener-");
	announce(n, names);
	assert_true(passed.socket[0].stored);
	assert_false(passed.socket[1].stored);
	assert_false(passed.socket[2].stored);
	assert_ptr_equal(passed_next(&passed, NULL, own, PROTO_TCP), &passed.socket[1]);
	assert_ptr_equal(passed_find(&passed, PROTO_TCP, &passed.socket[0].address, true, ""),
			 &passed.socket[0]);
	assert_int_equal(passed_discard(&passed, &nobody), 1);
	assert_int_equal(passed.socket[0].fd, -1);
	assert_null(passed_find(&passed, PROTO_TCP, &passed.socket[0].address, true, ""));
}

static void keeps_what_is_wanted(void **state)
{
	char own[NOTIFY_NAME_MAX];
	int n = 0;

	(void)state;
	place(make(AF_INET, SOCK_DGRAM, false), &n);
	passed_store_name(FIRST, 0, 0, own);
	announce(n, own);
	passed.socket[0].wanted = true;
	assert_int_equal(passed_discard(&passed, &nobody), 0);
	assert_int_equal(passed.socket[0].fd, FIRST);
}

static void a_file_is_part_of_the_name(void **state)
{
	struct address a;
	const char *why;
	char directory[] = "/tmp/test_passed.XXXXXX", path[64], own[NOTIFY_NAME_MAX];
	int fd, n = 0;
	struct stat st;

	(void)state;
	assert_non_null(mkdtemp(directory));
	snprintf(path, sizeof(path), "%s/s", directory);
	assert_int_equal(address_parse_unix(path, &a, &why), 1);
	fd = socket(AF_UNIX, SOCK_DGRAM, 0);
	assert_int_equal(bind(fd, &a.sa, a.len), 0);
	assert_int_equal(stat(path, &st), 0);
	passed_store_name(fd, st.st_dev, st.st_ino, own);
	place(fd, &n);
	announce(n, own);
	assert_true(passed.socket[0].stored);
	assert_int_equal(passed.socket[0].dev, st.st_dev);
	assert_int_equal(passed.socket[0].ino, st.st_ino);
	assert_non_null(passed_find(&passed, PROTO_UNIX_DGRAM, &a, true, ""));
	assert_int_equal(unlink(path), 0);
	assert_null(passed_find(&passed, PROTO_UNIX_DGRAM, &a, true, ""));
	assert_int_equal(rmdir(directory), 0);
}

static void the_longest_name_fits(void **state)
{
	char name[NOTIFY_NAME_MAX];

	(void)state;
	passed_store_name(-1, (dev_t)UINT64_MAX, (ino_t)UINT64_MAX, name);
	assert_string_equal(name, "listener-0-ffffffffffffffff-ffffffffffffffff");
	assert_true(strlen(name) + 15 < sizeof(name)); /* an inode number instead of the 0 */
}

static void lies_take_nothing(void **state)
{
	(void)state;
	announce(2, "a:b"); /* nothing is open there */
	assert_int_equal(passed.n, 0);
	assert_non_null(passed.problem);
	passed_log(&passed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(nothing_is_passed, setup, teardown),
		cmocka_unit_test_setup_teardown(tells_kinds_apart, setup, teardown),
		cmocka_unit_test_setup_teardown(knows_its_own, setup, teardown),
		cmocka_unit_test_setup_teardown(keeps_what_is_wanted, setup, teardown),
		cmocka_unit_test_setup_teardown(a_file_is_part_of_the_name, setup, teardown),
		cmocka_unit_test_setup_teardown(the_longest_name_fits, setup, teardown),
		cmocka_unit_test_setup_teardown(lies_take_nothing, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
