/* SPDX-License-Identifier: ISC */
/* Records: what goes in, what comes out, what is refused; and how they are sent. */
#include "log.h"
#include "log_record.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

enum { FD = 1000 };

static struct log_record sent;
static size_t n_sent;
static int send_error;
static char written[4096];

ssize_t __wrap_send(int fd, const void *buf, size_t n, int flags);
ssize_t __wrap_write(int fd, const void *buf, size_t n);
int __wrap_fstat(int fd, struct stat *st);
ssize_t __real_write(int fd, const void *buf, size_t n);

ssize_t __wrap_send(int fd, const void *buf, size_t n, int flags)
{
	assert_int_equal(fd, FD);
	assert_true(flags & MSG_DONTWAIT && flags & MSG_NOSIGNAL);
	if (send_error) {
		errno = send_error;
		return -1;
	}
	memcpy(&sent, buf, n);
	n_sent = n;
	return (ssize_t)n;
}

ssize_t __wrap_write(int fd, const void *buf, size_t n)
{
	if (fd != STDERR_FILENO)
		return __real_write(fd, buf, n);
	assert_true(n < sizeof(written));
	memcpy(written, buf, n);
	written[n] = '\0';
	return (ssize_t)n;
}

/* Standard error is device 7, inode 11. */
int __wrap_fstat(int fd, struct stat *st)
{
	assert_int_equal(fd, STDERR_FILENO);
	*st = (struct stat){.st_dev = 7, .st_ino = 11};
	return 0;
}

static int setup(void **state)
{
	(void)state;
	memset(&sent, 0xff, sizeof(sent));
	n_sent = 0;
	send_error = 0;
	written[0] = '\0';
	unsetenv("JOURNAL_STREAM");
	log_set_level(LOG_INFO);
	log_set_sink(FD, NULL);
	return 0;
}

static const char *message(const struct log_record *r)
{
	static char buf[4096];
	size_t n = log_record_message(r, buf, sizeof(buf));

	assert_int_equal(n, strlen(buf));
	return buf;
}

static void test_event(void **state)
{
	(void)state;
	errno = EPIPE;
	log_event(EVENT_WORKER_DIED, F_TEXT(SERVICE, "one"), F_NUMBER(WORKER, 3), F_NUMBER(PID, 77),
		  F_NUMBER(SIGNAL, 9));
	assert_int_equal(errno, EPIPE);
	assert_int_equal(log_record_check(&sent, n_sent), 0);
	assert_int_equal(sent.pid, getpid());
	assert_int_equal(sent.level, LOG_WARNING);
	assert_int_not_equal(sent.key, 0);
	assert_string_equal(log_record_get(&sent, FIELD_SIGNAL), "9");
	assert_null(log_record_get(&sent, FIELD_EXIT_STATUS));
	assert_string_equal(message(&sent),
			    "service=one worker 3 (pid 77) died: signal 9 (Killed)");
}

static void test_level(void **state)
{
	(void)state;
	log_event(EVENT_WORKER_STARTED, F_TEXT(SERVICE, "one"));
	log_debug("nothing");
	assert_int_equal(n_sent, 0);
	log_set_level(LOG_DEBUG);
	log_debug("%s", "something");
	assert_string_equal(message(&sent), "something");
	assert_int_equal(sent.event, EVENT_NONE);
	assert_int_equal(sent.key, 0);
}

/* How each kind of value is read. */
static void test_kinds(void **state)
{
	static const struct {
		struct event_field field;
		enum event event;
		const char *is;
	} rows[] = {
		{{FIELD_ERRNO, NULL, ENOENT},
		 EVENT_CANNOT_START,
		 "cannot start: No such file or directory"},
		{{FIELD_ERRNO, NULL, 9999}, EVENT_CANNOT_START, "cannot start: error 9999"},
		{{FIELD_FILE, "/a b", 0}, EVENT_RELOADED, "reloaded: /a b"},
		{{FIELD_FILE, NULL, 0}, EVENT_RELOADED, "reloaded: the command line"},
		{{FIELD_SIGNAL, NULL, 11},
		 EVENT_LOGGER_DIED,
		 "the logger (pid ) died: signal 11 (Segmentation fault)"},
		{{FIELD_SIGNAL, NULL, 999},
		 EVENT_LOGGER_DIED,
		 "the logger (pid ) died: signal 999 (unknown)"},
		{{FIELD_EXIT_STATUS, NULL, 71},
		 EVENT_LOGGER_DIED,
		 "the logger (pid ) died: exit status 71"},
		{{FIELD_DURATION_USEC, NULL, 1234567},
		 EVENT_CONNECTION,
		 "connection service= peer=- reason= bytes_in= bytes_out= seconds=1.235"},
		{{FIELD_BYTES_IN, NULL, UINT64_MAX},
		 EVENT_CONNECTION,
		 "connection service= peer=- reason= bytes_in=18446744073709551615 bytes_out= "
		 "seconds="},
		{{FIELD_TEXT, "a\nb\033[2J\x7f", 0}, EVENT_NONE, "a?b?[2J?"},
		{{FIELD_TEXT, "@SERVICE@ 100% \xc3\xa9", 0}, EVENT_NONE, "@SERVICE@ 100% \xc3\xa9"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct log_record r;

		log_record_init(&r, rows[i].event, LOG_ERR);
		log_record_add(&r, &rows[i].field);
		assert_string_equal(message(&r), rows[i].is);
		assert_int_equal(log_record_check(&r, log_record_size(&r)), 0);
	}
}

/* No value becomes two words, or two fields. */
static void test_forged(void **state)
{
	const char *peer;

	(void)state;
	log_event(EVENT_CONNECTION, F_TEXT(SERVICE, "one"),
		  F_TEXT(PEER, "a reason=forged\nECHOD_REASON=x\\\x01"), F_TEXT(REASON, "eof"));
	peer = "a\\x20reason=forged\\x0aECHOD_REASON=x\\x5c\\x01";
	assert_string_equal(log_record_get(&sent, FIELD_PEER), peer);
	assert_string_equal(log_record_get(&sent, FIELD_REASON), "eof");
	assert_non_null(strstr(message(&sent), " reason=eof "));
	assert_null(strstr(message(&sent), " reason=forged"));
}

/* What does not fit is cut; what comes after it is left out. */
static void test_long(void **state)
{
	char text[3 * LOG_RECORD_DATA], line[LOG_RECORD_DATA + 512], little[8];
	struct log_record r;

	(void)state;
	memset(text, 'x', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	log_err("%s", text);
	assert_int_equal(log_record_check(&sent, n_sent), 0);
	assert_int_equal(n_sent, offsetof(struct log_record, data) + LOG_RECORD_DATA);
	log_record_add(&sent, &F_NUMBER(REPEATED, 5));
	assert_null(log_record_get(&sent, FIELD_REPEATED));
	assert_int_equal(strlen(message(&sent)), LOG_RECORD_DATA - 2);
	assert_true(log_line(&sent, line, sizeof(line)) < sizeof(line));
	assert_int_equal(log_record_message(&sent, little, sizeof(little)), 7);
	assert_string_equal(little, "xxxxxxx");
	log_record_init(&r, EVENT_CONNECTION, LOG_INFO);
	memset(text, ' ', sizeof(text) - 1);
	log_record_add(&r, &F_TEXT(PEER, text));
	assert_int_equal(log_record_check(&r, log_record_size(&r)), 0);
	r.length = LOG_RECORD_DATA - 2;
	r.data[r.length - 1] = '\0';
	log_record_add(&r, &F_NUMBER(BYTES_IN, 12345));
	assert_int_equal(r.length, LOG_RECORD_DATA);
	assert_string_equal(log_record_get(&r, FIELD_BYTES_IN), "");
}

static void test_repeated(void **state)
{
	struct log_record r;

	(void)state;
	log_record_init(&r, EVENT_CUT_OFF, LOG_WARNING);
	log_record_add(&r, &F_TEXT(SERVICE, "one"));
	log_record_add(&r, &F_NUMBER(REPEATED, 5));
	assert_string_equal(message(&r),
			    "service=one shutdown_timeout is over: what is left is cut "
			    "off (and 5 more like it in 10 s)");
}

/* What no process of ours would send, the logger throws away. */
static void test_malformed(void **state)
{
	struct log_record good, r;
	size_t n;

	(void)state;
	log_record_init(&good, EVENT_LISTENING, LOG_INFO);
	log_record_add(&good, &F_TEXT(SERVICE, "a"));
	log_record_add(&good, &F_TEXT(ADDRESS, "b"));
	n = log_record_size(&good);
	assert_int_equal(log_record_check(&good, n), 0);
	assert_int_equal(log_record_check(&good, n - 1), -EBADMSG);
	assert_int_equal(log_record_check(&good, n + 1), -EBADMSG);
	assert_int_equal(log_record_check(&good, 1), -EBADMSG);
	assert_int_equal(log_record_check(&good, 0), -EBADMSG);
#define BAD(change)                                                      \
 do {                                                                    \
  r = good;                                                              \
  change;                                                                \
  assert_int_equal(log_record_check(&r, log_record_size(&r)), -EBADMSG); \
 } while (0)
	BAD(r.event = N_EVENTS);
	BAD(r.event = 65535);
	BAD(r.level = LOG_CRIT);
	BAD(r.level = LOG_DEBUG + 1);
	BAD(r.level = -1);
	BAD(r.data[0] = 0);
	BAD(r.data[0] = N_FIELDS);
	BAD(r.data[0] = (char)200);
	BAD(r.data[3] = 0);
	BAD(r.data[r.length - 1] = 'x');
	BAD(r.data[r.length++] = FIELD_PEER);
	BAD(r.data[r.length++] = '\0');
	BAD(r.length = LOG_RECORD_DATA + 1);
#undef BAD
	good.length = 0;
	assert_int_equal(log_record_check(&good, log_record_size(&good)), 0);
	assert_string_equal(message(&good), "service= listening on ");
}

static void test_dropped(void **state)
{
	struct log_shared shared = {.dropped = 0};
	int errors[] = {EAGAIN, ENOBUFS, EPIPE, EMSGSIZE};

	(void)state;
	log_set_sink(FD, &shared);
	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
		send_error = errors[i];
		errno = EDOM;
		log_err("lost");
		assert_int_equal(errno, EDOM);
		assert_int_equal(shared.dropped, i + 1);
	}
	log_set_sink(FD, NULL);
	log_err("lost, and nobody counts");
	assert_int_equal(log_sink(), FD);
}

/* Where standard error leads to the journal, lines have levels; elsewhere all the rest. */
static void test_standard_error(void **state)
{
	static const char *const elsewhere[] = {"", "7", "7:", "7:12", "8:11", ":11", "x:y", "-"};

	(void)state;
	log_set_sink(-1, NULL);
	setenv("JOURNAL_STREAM", "7:11", 1);
	log_warn("one");
	assert_string_equal(written, "<4>one\n");
	log_err("two");
	assert_string_equal(written, "<3>two\n");
	for (size_t i = 0; i < sizeof(elsewhere) / sizeof(elsewhere[0]); i++) {
		setenv("JOURNAL_STREAM", elsewhere[i], 1);
		assert_string_equal(log_prefix(LOG_ERR), "");
		log_warn("three");
		assert_int_equal(written[4], '-');
		assert_non_null(strstr(written, "] warning: three\n"));
	}
	unsetenv("JOURNAL_STREAM");
	assert_string_equal(log_prefix(LOG_ERR), "");
}

static void test_problem(void **state)
{
	static const struct {
		const char *line, *file, *number, *service;
	} rows[] = {
		{"/etc/echod.conf:12: services[0].x: unknown key", "/etc/echod.conf", "12", NULL},
		{"/a:b/c:3: text: more:4: x", "/a:b/c", "3", NULL},
		{"-o: log.x: unknown key", NULL, NULL, NULL},
		{"/file: cannot be read", NULL, NULL, NULL},
		{"/file:12x: odd", NULL, NULL, NULL},
		{"/file:: odd", NULL, NULL, NULL},
		{"out of memory", NULL, NULL, NULL},
		{"", NULL, NULL, NULL},
		{"service=echo-tcp cannot listen on [::1]:7: bind: in use", NULL, NULL, "echo-tcp"},
		{"service=", NULL, NULL, ""},
	};
	enum field fields[] = {FIELD_FILE, FIELD_LINE, FIELD_SERVICE};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const char *want[] = {rows[i].file, rows[i].number, rows[i].service};

		log_problem(rows[i].line);
		assert_string_equal(message(&sent), rows[i].line);
		assert_int_equal(sent.event, rows[i].service ? EVENT_SETUP_FAILED : EVENT_PROBLEM);
		for (int k = 0; k < 3; k++) {
			const char *is = log_record_get(&sent, fields[k]);

			assert_true(!is == !want[k]);
			if (is)
				assert_string_equal(is, want[k]);
		}
	}
}

static void test_levels(void **state)
{
	(void)state;
	for (int i = LOG_ERR; i <= LOG_DEBUG; i++)
		assert_int_equal(log_level_find(log_level_name(i)), i);
	assert_int_equal(log_level_find("loud"), -EINVAL);
	assert_string_equal(log_level_name(LOG_CRIT), "?");
	assert_string_equal(log_level_name(LOG_DEBUG + 1), "?");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_event, setup),
		cmocka_unit_test_setup(test_level, setup),
		cmocka_unit_test_setup(test_kinds, setup),
		cmocka_unit_test_setup(test_forged, setup),
		cmocka_unit_test_setup(test_long, setup),
		cmocka_unit_test_setup(test_repeated, setup),
		cmocka_unit_test_setup(test_malformed, setup),
		cmocka_unit_test_setup(test_dropped, setup),
		cmocka_unit_test_setup(test_standard_error, setup),
		cmocka_unit_test_setup(test_problem, setup),
		cmocka_unit_test_setup(test_levels, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
