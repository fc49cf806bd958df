/* SPDX-License-Identifier: ISC */
/* Notifications, to a manager that is a bound socket: one that listens, one that hangs, one
 * that is gone, and none. */
#include "notify.h"

#include "log.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

/* A manager that takes datagrams when asked. */
struct manager {
	char directory[32], path[64];
	int fd;
};

static struct manager m;
static struct notify n;

/* Bind its socket at NAME, as in NOTIFY_SOCKET. */
static void listen_at(const char *name)
{
	struct address a;
	const char *why;

	assert_int_equal(address_parse_unix(name, &a, &why), 1);
	m.fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	assert_true(m.fd >= 0);
	assert_int_equal(bind(m.fd, &a.sa, a.len), 0);
}

static int setup(void **state)
{
	(void)state;
	strcpy(m.directory, "/tmp/test_notify.XXXXXX");
	if (!mkdtemp(m.directory))
		return -1;
	snprintf(m.path, sizeof(m.path), "%s/notify", m.directory);
	listen_at(m.path);
	setenv("NOTIFY_SOCKET", m.path, 1);
	return notify_open(&n);
}

static int teardown(void **state)
{
	(void)state;
	notify_close(&n);
	close(m.fd);
	unlink(m.path);
	return rmdir(m.directory);
}

/* What the manager finds next: the text, and the descriptor or -1.  False: nothing. */
static bool heard(char *text, size_t size, int *fd)
{
	union {
		struct cmsghdr header;
		char room[CMSG_SPACE(4 * sizeof(int))];
	} control;
	struct iovec iov = {.iov_base = text, .iov_len = size - 1};
	struct msghdr h = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};
	ssize_t got = recvmsg(m.fd, &h, MSG_CMSG_CLOEXEC);
	const struct cmsghdr *c = got < 0 ? NULL : CMSG_FIRSTHDR(&h);

	*fd = -1;
	if (got < 0)
		return false;
	text[got] = '\0';
	if (c)
		memcpy(fd, CMSG_DATA(c), sizeof(*fd));
	return true;
}

static void assert_hears(const char *expected)
{
	char text[1024];
	int fd;

	assert_true(heard(text, sizeof(text), &fd));
	assert_string_equal(text, expected);
	assert_int_equal(fd, -1);
}

static void assert_hears_nothing(void)
{
	char text[1024];
	int fd;

	assert_false(heard(text, sizeof(text), &fd));
}

/* The same open file? */
static bool same_file(int a, int b)
{
	struct stat x, y;

	return fstat(a, &x) == 0 && fstat(b, &y) == 0 && x.st_dev == y.st_dev &&
	       x.st_ino == y.st_ino;
}

/* Let the manager hang: fill its queue.  Returns with how many. */
static int hang(void)
{
	int count = 0;

	while (n.waiting == 0) {
		notify_must(&n, "FILL=%d", count++);
		assert_in_range(count, 1, 100000);
	}
	return count;
}

/* Take what hang() left; the last of it had to wait. */
static void recover(int count)
{
	char expected[32];

	for (int i = 0; i < count; i++) {
		snprintf(expected, sizeof(expected), "FILL=%d", i);
		assert_hears(expected);
		notify_flush(&n);
	}
}

static void takes_the_variable_away(void **state)
{
	(void)state;
	assert_null(getenv("NOTIFY_SOCKET"));
	assert_true(notify_wanted(&n));
}

static void tells(void **state)
{
	(void)state;
	notify_must(&n, "READY=1\nSTATUS=%d services", 2);
	assert_true(notify_may(&n, "WATCHDOG=%d", 1));
	assert_hears("READY=1\nSTATUS=2 services");
	assert_hears("WATCHDOG=1");
	assert_hears_nothing();
}

static void hands_over_a_descriptor(void **state)
{
	char text[1024];
	int fd, pair[2];

	(void)state;
	assert_int_equal(pipe(pair), 0);
	notify_fd(&n, "listener-1", pair[0]);
	assert_true(heard(text, sizeof(text), &fd));
	assert_string_equal(text, "FDSTORE=1\nFDNAME=listener-1\nFDPOLL=0");
	assert_true(fd >= 0 && same_file(fd, pair[0]));
	close(fd);
	notify_fd_remove(&n, "listener-1");
	assert_hears("FDSTOREREMOVE=1\nFDNAME=listener-1");
	close(pair[0]);
	close(pair[1]);
}

static void an_abstract_address(void **state)
{
	char name[80];

	(void)state;
	notify_close(&n);
	close(m.fd);
	snprintf(name, sizeof(name), "@%s", m.path);
	listen_at(name);
	setenv("NOTIFY_SOCKET", name, 1);
	assert_int_equal(notify_open(&n), 0);
	notify_must(&n, "READY=1");
	assert_hears("READY=1");
}

static void does_nothing_without_a_manager(void **state)
{
	(void)state;
	notify_close(&n);
	assert_int_equal(notify_open(&n), 0);
	assert_false(notify_wanted(&n));
	notify_must(&n, "READY=1");
	notify_may(&n, "STATUS=up");
	notify_fd(&n, "x", 0);
	notify_fd_remove(&n, "x");
	notify_flush(&n);
	assert_int_equal(n.waiting, 0);
}

static void refuses_what_is_no_address(void **state)
{
	static const char *const bad[] = {"", "relative", "vsock:2:1", "@"};
	char text[256];

	(void)state;
	memset(text, 'x', sizeof(text) - 1);
	text[0] = '/';
	text[sizeof(text) - 1] = '\0';
	for (size_t i = 0; i <= sizeof(bad) / sizeof(bad[0]); i++) {
		notify_close(&n);
		setenv("NOTIFY_SOCKET", i < sizeof(bad) / sizeof(bad[0]) ? bad[i] : text, 1);
		assert_int_equal(notify_open(&n), -EINVAL);
		assert_null(getenv("NOTIFY_SOCKET"));
		assert_false(notify_wanted(&n));
		notify_must(&n, "READY=1");
	}
}

static void waits_for_a_manager_that_hangs(void **state)
{
	char text[1024];
	int fd, pair[2], count = hang();

	(void)state;
	assert_int_equal(pipe(pair), 0);
	notify_must(&n, "RELOADING=1");
	notify_fd(&n, "listener-2", pair[1]);
	assert_false(notify_may(&n, "STATUS=skipped"));
	notify_must(&n, "READY=1");
	assert_int_equal(n.waiting, 4);
	close(pair[1]); /* the queue has its own */
	recover(count);
	assert_hears("RELOADING=1");
	assert_true(heard(text, sizeof(text), &fd));
	assert_string_equal(text, "FDSTORE=1\nFDNAME=listener-2\nFDPOLL=0");
	assert_true(fd >= 0 && same_file(fd, pair[0]));
	assert_hears("READY=1");
	assert_hears_nothing();
	assert_int_equal(n.waiting, 0);
	close(fd);
	close(pair[0]);
}

static void what_was_not_stored_need_not_be_removed(void **state)
{
	int pair[2], count = hang();

	(void)state;
	assert_int_equal(pipe(pair), 0);
	notify_fd(&n, "first", pair[0]);
	notify_fd(&n, "second", pair[0]);
	notify_must(&n, "READY=1");
	notify_fd(&n, "last", pair[1]);
	close(pair[0]);
	notify_fd_remove(&n, "second");
	notify_fd_remove(&n, "last");
	notify_fd_remove(&n, "first");
	assert_int_equal(write(pair[1], "", 1), -1); /* nobody holds the other end */
	close(pair[1]);
	notify_must(&n, "STOPPING=1");
	recover(count);
	assert_hears("READY=1");
	assert_hears("STOPPING=1");
	assert_hears_nothing();
}

static void knows_when_the_manager_is_done(void **state)
{
	char text[1024];
	int fd;

	(void)state;
	assert_int_equal(notify_barrier(&n, 1), -ETIMEDOUT);
	assert_true(heard(text, sizeof(text), &fd));
	assert_string_equal(text, "BARRIER=1");
	close(fd);
	close(m.fd); /* what it has not taken is closed: a pipe whose other end is gone hangs up */
	assert_int_equal(notify_barrier(&n, 1000), -ECONNREFUSED);
	notify_must(&n, "READY=1");
	assert_int_equal(notify_barrier(&n, 1000), -EAGAIN);
	notify_close(&n);
	assert_int_equal(notify_barrier(&n, 1000), 0);
}

static void waits_for_a_manager_that_is_gone(void **state)
{
	(void)state;
	close(m.fd);
	notify_must(&n, "READY=1");
	unlink(m.path);
	notify_must(&n, "STATUS=still here");
	assert_int_equal(n.waiting, 2);
	listen_at(m.path);
	notify_flush(&n);
	assert_hears("READY=1");
	assert_hears("STATUS=still here");
}

static void does_not_wait_without_bound(void **state)
{
	(void)state;
	hang();
	for (int i = 0; i < 5000; i++)
		notify_must(&n, "READY=1");
	assert_in_range(n.waiting, 100, 4000);
}

static void drops_what_can_never_be_sent(void **state)
{
	int count, fd = dup(0);

	(void)state;
	close(fd);
	notify_fd(&n, "closed", fd);
	assert_int_equal(n.waiting, 0);
	count = hang();
	notify_fd(&n, "closed", fd);
	assert_int_equal(n.waiting, 1);
	recover(count);
	assert_hears_nothing();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(takes_the_variable_away, setup, teardown),
		cmocka_unit_test_setup_teardown(tells, setup, teardown),
		cmocka_unit_test_setup_teardown(hands_over_a_descriptor, setup, teardown),
		cmocka_unit_test_setup_teardown(an_abstract_address, setup, teardown),
		cmocka_unit_test_setup_teardown(does_nothing_without_a_manager, setup, teardown),
		cmocka_unit_test_setup_teardown(refuses_what_is_no_address, setup, teardown),
		cmocka_unit_test_setup_teardown(waits_for_a_manager_that_hangs, setup, teardown),
		cmocka_unit_test_setup_teardown(what_was_not_stored_need_not_be_removed, setup,
						teardown),
		cmocka_unit_test_setup_teardown(knows_when_the_manager_is_done, setup, teardown),
		cmocka_unit_test_setup_teardown(waits_for_a_manager_that_is_gone, setup, teardown),
		cmocka_unit_test_setup_teardown(does_not_wait_without_bound, setup, teardown),
		cmocka_unit_test_setup_teardown(drops_what_can_never_be_sent, setup, teardown),
	};

	signal(SIGPIPE, SIG_IGN);
	log_set_level(LOG_EMERG); /* thousands of complaints are part of a test */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
