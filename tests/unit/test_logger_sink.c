/* SPDX-License-Identifier: ISC */
/* What each sink makes of a record, and of a log that is not there. */
#include "log.h"
#include "log_record.h"
#include "logger_sink.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

static char given[65536]; /* a line for each field */
static char reached[120];
static char said[4096];
static int socket_error, connect_error, journal_result, write_error;
static int sends, looks, full_for, unread_for, ioctl_error;
static size_t write_most;

int __wrap_sd_journal_sendv(const struct iovec *iov, int n);
int __wrap_connect(int fd, const struct sockaddr *sa, socklen_t len);
int __wrap_socket(int family, int type, int protocol);
int __real_socket(int family, int type, int protocol);
ssize_t __wrap_send(int fd, const void *buf, size_t n, int flags);
int __wrap_ioctl(int fd, unsigned long request, int *value);
ssize_t __wrap_write(int fd, const void *buf, size_t n);
ssize_t __real_write(int fd, const void *buf, size_t n);
void __wrap_syslog(int priority, const char *format, ...) __attribute__((format(printf, 2, 3)));
void __wrap___syslog_chk(int priority, int flag, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

int __wrap_sd_journal_sendv(const struct iovec *iov, int n)
{
	size_t used = 0;

	for (int i = 0; i < n; i++)
		used += (size_t)snprintf(given + used, sizeof(given) - used, "%.*s\n",
					 (int)iov[i].iov_len, (const char *)iov[i].iov_base);
	return journal_result;
}

int __wrap_connect(int fd, const struct sockaddr *sa, socklen_t len)
{
	(void)fd;
	(void)len;
	snprintf(reached, sizeof(reached), "%s", ((const struct sockaddr_un *)sa)->sun_path);
	errno = connect_error;
	return connect_error ? -1 : 0;
}

int __wrap_socket(int family, int type, int protocol)
{
	errno = socket_error;
	return socket_error ? -1 : __real_socket(family, type, protocol);
}

/* The journal's queue is full for so many tries. */
ssize_t __wrap_send(int fd, const void *buf, size_t n, int flags)
{
	(void)fd;
	(void)buf;
	assert_int_equal(n, 0);
	assert_true(flags & MSG_DONTWAIT);
	sends++;
	errno = EAGAIN;
	return sends > full_for ? 0 : -1;
}

/* It has been read after so many looks. */
int __wrap_ioctl(int fd, unsigned long request, int *value)
{
	(void)fd;
	(void)request;
	looks++;
	errno = ioctl_error;
	*value = looks > unread_for ? 0 : 768;
	return ioctl_error ? -1 : 0;
}

ssize_t __wrap_write(int fd, const void *buf, size_t n)
{
	size_t used = strlen(said);

	if (fd != STDERR_FILENO)
		return __real_write(fd, buf, n);
	if (write_error) {
		errno = write_error;
		write_error = write_error == EINTR ? 0 : write_error;
		return -1;
	}
	n = write_most && n > write_most ? write_most : n;
	assert_true(used + n < sizeof(said));
	memcpy(said + used, buf, n);
	said[used + n] = '\0';
	return (ssize_t)n;
}

__attribute__((format(printf, 2, 0))) static void take(int priority, const char *format, va_list ap)
{
	size_t n = (size_t)snprintf(said, sizeof(said), "<%d>", priority);

	vsnprintf(said + n, sizeof(said) - n, format, ap);
}

void __wrap_syslog(int priority, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	take(priority, format, ap);
	va_end(ap);
}

void __wrap___syslog_chk(int priority, int flag, const char *format, ...)
{
	va_list ap;

	(void)flag;
	va_start(ap, format);
	take(priority, format, ap);
	va_end(ap);
}

static int setup(void **state)
{
	(void)state;
	given[0] = reached[0] = said[0] = '\0';
	socket_error = connect_error = journal_result = write_error = 0;
	sends = looks = full_for = unread_for = ioctl_error = 0;
	write_most = 0;
	return 0;
}

static struct log_record record(enum event event, const struct event_field *fields)
{
	struct log_record r;

	log_record_init(&r, event, event_rows[event].level);
	r.pid = 4711;
	r.when = (struct timespec){.tv_sec = 1795403575, .tv_nsec = 7999};
	for (; fields->id; fields++)
		log_record_add(&r, fields);
	return r;
}

static void test_journal(void **state)
{
	struct log_record r = record(EVENT_WORKER_DIED,
				     (struct event_field[]){F_TEXT(SERVICE, "one"),
							    F_NUMBER(WORKER, 2),
							    F_NUMBER(PID, 77),
							    F_NUMBER(SIGNAL, 9),
							    {.id = FIELD_NONE}});
	char want[600];

	(void)state;
	assert_int_equal(logger_sink_journal.put(&r), 0);
	snprintf(want, sizeof(want),
		 "MESSAGE=service=one worker 2 (pid 77) died: signal 9 (Killed)\nPRIORITY=4\n"
		 "SYSLOG_IDENTIFIER=echod\nSYSLOG_FACILITY=3\nSYSLOG_PID=4711\nECHOD_TIME_USEC="
		 "1795403575000007\nMESSAGE_ID=%s\n"
		 "ECHOD_SERVICE=one\nECHOD_WORKER=2\nECHOD_PID=77\nECHOD_SIGNAL=9\n",
		 event_rows[EVENT_WORKER_DIED].id);
	assert_string_equal(given, want);
	assert_string_equal(reached, "/run/systemd/journal/socket");
}

/* A line that is no event has no number and no field; pairs are a field each. */
static void test_journal_text_and_pairs(void **state)
{
	struct log_record r = record(EVENT_NONE, (struct event_field[]){F_TEXT(TEXT, "words"),
									{.id = FIELD_NONE}});

	(void)state;
	r.level = LOG_ERR;
	assert_int_equal(logger_sink_journal.put(&r), 0);
	assert_string_equal(given, "MESSAGE=words\nPRIORITY=3\nSYSLOG_IDENTIFIER=echod\n"
				   "SYSLOG_FACILITY=3\nSYSLOG_PID=4711\n"
				   "ECHOD_TIME_USEC=1795403575000007\n");
	r = record(EVENT_COUNTERS,
		   (struct event_field[]){F_TEXT(SERVICE, "one"),
					  F_TEXT(COUNTERS, "a_b=1  c=22 odd = x d="),
					  {.id = FIELD_NONE}});
	assert_int_equal(logger_sink_journal.put(&r), 0);
	assert_non_null(strstr(given, "\nECHOD_SERVICE=one\nECHOD_A_B=1\nECHOD_C=22\nECHOD_=\n"
				      "ECHOD_D=\n"));
}

/* More pairs, and longer ones, than there is room for: the others come, and nothing breaks. */
static void test_journal_many(void **state)
{
	char pairs[LOG_RECORD_DATA + 100], name[100];
	struct log_record r;
	size_t n = 0;

	(void)state;
	for (int i = 0; n < LOG_RECORD_DATA; i++)
		n += (size_t)snprintf(pairs + n, sizeof(pairs) - n, "x%d=%d ", i, i);
	r = record(EVENT_COUNTERS,
		   (struct event_field[]){F_TEXT(COUNTERS, pairs), {.id = FIELD_NONE}});
	assert_int_equal(logger_sink_journal.put(&r), 0);
	assert_non_null(strstr(given, "\nECHOD_X99=99\n"));
	memset(name, 'n', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	snprintf(pairs, sizeof(pairs), "%s=1", name);
	r = record(EVENT_COUNTERS,
		   (struct event_field[]){F_TEXT(COUNTERS, pairs), {.id = FIELD_NONE}});
	assert_int_equal(logger_sink_journal.put(&r), 0);
	assert_non_null(strstr(given, "NNN=1\n"));
}

/* The journal is not there, or refuses: the caller is told, whatever libsystemd says. */
static void test_journal_errors(void **state)
{
	static const int errors[] = {ENOENT, ECONNREFUSED, EACCES};
	static const int results[] = {-EMSGSIZE, -ENOBUFS, -ENOENT, -EPIPE};
	struct log_record r = record(EVENT_STOPPED, (struct event_field[]){{.id = FIELD_NONE}});

	(void)state;
	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
		connect_error = errors[i];
		assert_int_equal(logger_sink_journal.put(&r), -errors[i]);
		assert_int_equal(logger_sink_syslog.put(&r), -errors[i]);
	}
	assert_string_equal(given, "");
	assert_string_equal(said, "");
	connect_error = 0;
	for (size_t i = 0; i < sizeof(results) / sizeof(results[0]); i++) {
		journal_result = results[i];
		assert_int_equal(logger_sink_journal.put(&r), results[i]);
	}
	socket_error = EMFILE;
	assert_int_equal(logger_sink_reach("/x"), -EMFILE);
	assert_int_equal(logger_sink_journal.put(&r), -EMFILE);
}

/* The wait for the journal ends when it has read all, when there is none, or in time. */
static void test_settle(void **state)
{
	(void)state;
	full_for = 3;
	unread_for = 2;
	logger_sink_journal.settle(1000);
	assert_int_equal(sends, 4);
	assert_int_equal(looks, 3);
	unread_for = 1 << 30;
	logger_sink_journal.settle(20);
	assert_in_range(looks, 4, 14);
	full_for = 1 << 30;
	looks = sends = 0;
	logger_sink_journal.settle(20);
	assert_in_range(sends, 2, 12);
	assert_int_equal(looks, 0);
	full_for = 0;
	ioctl_error = EINVAL;
	logger_sink_journal.settle(1000);
	assert_int_equal(looks, 1);
	connect_error = ENOENT;
	sends = 0;
	logger_sink_journal.settle(1000);
	connect_error = 0;
	socket_error = EMFILE;
	logger_sink_journal.settle(1000);
	assert_int_equal(sends, 0);
}

static void test_syslog(void **state)
{
	struct log_record r = record(EVENT_STOPPING, (struct event_field[]){{.id = FIELD_NONE}});

	(void)state;
	assert_int_equal(logger_sink_syslog.put(&r), 0);
	assert_string_equal(said, "<5>stopping");
	assert_string_equal(reached, "/dev/log");
	connect_error = EPROTOTYPE; /* a stream socket: somebody is there */
	assert_int_equal(logger_sink_syslog.put(&r), 0);
}

static void test_stderr(void **state)
{
	struct log_record r = record(EVENT_STOPPING, (struct event_field[]){{.id = FIELD_NONE}});

	(void)state;
	write_most = 3;
	write_error = EINTR;
	assert_int_equal(logger_sink_stderr.put(&r), 0);
	assert_non_null(strstr(said, " echod[4711] notice: stopping\n"));
	write_error = EPIPE;
	assert_int_equal(logger_sink_stderr.put(&r), -EPIPE);
}

/* A daemon that left its terminal: only what matters is for who waits; auto is syslog. */
static void test_targets(void **state)
{
	struct log_record r = record(EVENT_STOPPING, (struct event_field[]){{.id = FIELD_NONE}});

	(void)state;
	assert_ptr_equal(logger_sink_of(LOG_TARGET_JOURNAL), &logger_sink_journal);
	assert_ptr_equal(logger_sink_of(LOG_TARGET_SYSLOG), &logger_sink_syslog);
	assert_ptr_equal(logger_sink_of(LOG_TARGET_STDERR), &logger_sink_stderr);
	assert_ptr_equal(logger_sink_of(LOG_TARGET_AUTO), &logger_sink_stderr);
	log_set_detached();
	assert_ptr_equal(logger_sink_of(LOG_TARGET_AUTO), &logger_sink_syslog);
	assert_int_equal(logger_sink_stderr.put(&r), 0);
	assert_string_equal(said, "");
	r.level = LOG_WARNING;
	assert_int_equal(logger_sink_stderr.put(&r), 0);
	assert_non_null(strstr(said, "warning: stopping\n"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_journal, setup),
		cmocka_unit_test_setup(test_journal_text_and_pairs, setup),
		cmocka_unit_test_setup(test_journal_many, setup),
		cmocka_unit_test_setup(test_journal_errors, setup),
		cmocka_unit_test_setup(test_settle, setup),
		cmocka_unit_test_setup(test_syslog, setup),
		cmocka_unit_test_setup(test_stderr, setup),
		cmocka_unit_test_setup(test_targets, setup),
	};

	unsetenv("JOURNAL_STREAM");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
