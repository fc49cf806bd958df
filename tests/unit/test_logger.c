/* SPDX-License-Identifier: ISC */
/* The logger process itself, with standard error in a file. */
#include "log.h"
#include "log_record.h"
#include "logger.h"
#include "process.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

static struct logger logger;
static int out = -1, standard_error = -1;
static int fork_error, socketpair_error, mmap_error, connect_error;

pid_t __wrap_fork(void);
pid_t __real_fork(void);
int __wrap_socketpair(int family, int type, int protocol, int fds[2]);
int __real_socketpair(int family, int type, int protocol, int fds[2]);
void *__wrap_mmap(void *at, size_t n, int prot, int flags, int fd, off_t offset);
void *__real_mmap(void *at, size_t n, int prot, int flags, int fd, off_t offset);
int __wrap_connect(int fd, const struct sockaddr *sa, socklen_t len);

pid_t __wrap_fork(void)
{
	errno = fork_error;
	return fork_error ? -1 : __real_fork();
}

int __wrap_socketpair(int family, int type, int protocol, int fds[2])
{
	errno = socketpair_error;
	return socketpair_error ? -1 : __real_socketpair(family, type, protocol, fds);
}

void *__wrap_mmap(void *at, size_t n, int prot, int flags, int fd, off_t offset)
{
	errno = mmap_error;
	return mmap_error ? MAP_FAILED : __real_mmap(at, n, prot, flags, fd, offset);
}

/* There is neither a journal nor a syslogd. */
int __wrap_connect(int fd, const struct sockaddr *sa, socklen_t len)
{
	(void)fd;
	(void)sa;
	(void)len;
	errno = connect_error;
	return connect_error ? -1 : 0;
}

static int setup(void **state)
{
	char name[] = "/tmp/echod-log-XXXXXX";

	(void)state;
	fork_error = socketpair_error = mmap_error = 0;
	connect_error = ENOENT;
	out = mkostemp(name, O_APPEND);
	unlink(name);
	standard_error = dup(STDERR_FILENO);
	dup2(out, STDERR_FILENO);
	logger = (struct logger){.pid = 0};
	log_set_level(LOG_INFO);
	return out < 0 ? -1 : 0;
}

static int teardown(void **state)
{
	(void)state;
	dup2(standard_error, STDERR_FILENO);
	close(standard_error);
	close(out);
	return 0;
}

/* Stop the logger; all that it has written, which the caller frees. */
static char *stop(void)
{
	char *text;
	off_t size;

	logger_stop(&logger);
	assert_int_equal(log_sink(), -1);
	size = lseek(out, 0, SEEK_END);
	text = calloc(1, (size_t)size + 1);
	assert_int_equal(pread(out, text, (size_t)size, 0), size);
	return text;
}

/* How often PART is in TEXT. */
static int count(const char *text, const char *part)
{
	int n = 0;

	while ((text = strstr(text, part))) {
		text += strlen(part);
		n++;
	}
	return n;
}

static void test_order(void **state)
{
	char *text, part[40], *at;

	(void)state;
	assert_int_equal(logger_start(&logger, LOG_TARGET_STDERR, NULL), 0);
	assert_int_equal(logger_restart(&logger), 0);
	log_set_patience(5000); /* none is lost */
	for (int i = 0; i < 1000; i++)
		log_info("line %d.", i);
	text = at = stop();
	for (int i = 0; i < 1000; i++) {
		snprintf(part, sizeof(part), "info: line %d.\n", i);
		at = strstr(at, part);
		assert_non_null(at);
	}
	assert_null(strstr(text, "dropped"));
	free(text);
	log_set_patience(0);
}

/* What is no record is thrown away, counted and told of; the others are not disturbed. */
static void test_malformed(void **state)
{
	static char huge[2 * sizeof(struct log_record)];
	struct log_record r;
	char *text;

	(void)state;
	assert_int_equal(logger_start(&logger, LOG_TARGET_STDERR, NULL), 0);
	log_info("before");
	log_record_init(&r, EVENT_STOPPED, LOG_NOTICE);
	assert_int_equal(send(log_sink(), "x", 1, 0), 1);
	assert_int_equal(send(log_sink(), huge, sizeof(huge), 0), sizeof(huge));
	assert_int_equal(send(log_sink(), &r, log_record_size(&r) - 1, 0), log_record_size(&r) - 1);
	r.event = N_EVENTS;
	assert_int_equal(send(log_sink(), &r, log_record_size(&r), 0), log_record_size(&r));
	r.event = EVENT_STOPPED;
	assert_int_equal(send(log_sink(), &r, log_record_size(&r), 0), log_record_size(&r));
	log_info("after");
	text = stop();
	assert_int_equal(count(text, "info: before\n"), 1);
	assert_int_equal(count(text, "notice: stopped\n"), 1);
	assert_int_equal(count(text, "info: after\n"), 1);
	assert_int_equal(logger.shared->dropped, 4);
	assert_int_equal(logger.shared->reported, 4);
	assert_true(count(text, "log messages were dropped\n") > 0);
	free(text);
}

/* The queue is full: nobody waits, and what was lost is told exactly. */
static void test_full_queue(void **state)
{
	enum { MANY = 5000 };
	uint64_t dropped;
	char *text;

	(void)state;
	assert_int_equal(logger_start(&logger, LOG_TARGET_STDERR, NULL), 0);
	kill(logger.pid, SIGSTOP);
	for (int i = 0; i < MANY; i++)
		log_info("line");
	dropped = logger.shared->dropped;
	assert_in_range(dropped, 1, MANY - 1);
	kill(logger.pid, SIGCONT);
	text = stop();
	assert_int_equal(count(text, "info: line\n"), MANY - dropped);
	assert_int_equal(logger.shared->reported, dropped);
	assert_int_equal(count(text, "warning: "), 1);
	free(text);
}

/* A logger that is killed: what was said meanwhile is for the next, and what was lost too. */
static void test_another(void **state)
{
	pid_t first;
	int status;
	char *text;

	(void)state;
	assert_int_equal(logger_start(&logger, LOG_TARGET_STDERR, NULL), 0);
	first = logger.pid;
	kill(first, SIGKILL);
	assert_int_equal(waitpid(first, &status, 0), first);
	assert_false(logger_ended(&logger, first + 1, status));
	assert_true(logger_ended(&logger, first, status));
	assert_false(logger_ended(&logger, first, status));
	for (int i = 0; i < 5000; i++)
		log_info("line");
	assert_true(logger.shared->dropped > 0);
	fork_error = EAGAIN;
	assert_int_equal(logger_restart(&logger), -EAGAIN);
	fork_error = 0;
	assert_int_equal(logger_restart(&logger), 0);
	assert_int_not_equal(logger.pid, first);
	text = stop();
	assert_int_equal(count(text, "warning: the logger (pid "), 1);
	assert_int_equal(count(text, ") died: signal 9 (Killed)\n"), 1);
	assert_int_equal(count(text, "info: line\n"), 5000 - logger.shared->dropped);
	assert_int_equal(logger.shared->reported, logger.shared->dropped);
	free(text);
}

/* It ended of its own accord, and is not started again before the stop. */
static void test_none(void **state)
{
	char *text;

	(void)state;
	assert_int_equal(logger_start(&logger, LOG_TARGET_STDERR, NULL), 0);
	kill(logger.pid, SIGKILL);
	waitpid(logger.pid, NULL, 0);
	assert_true(logger_ended(&logger, logger.pid, 3 << 8));
	text = stop();
	assert_string_equal(text, "");
	free(text);
}

static void test_complaints(void **state)
{
	enum { MANY = 30 }; /* of which most are counted where they arise */
	char *text;

	(void)state;
	assert_int_equal(logger_start(&logger, LOG_TARGET_STDERR, NULL), 0);
	log_set_patience(5000);
	for (int i = 0; i < MANY; i++) {
		log_repeated(LOG_WARNING, "service=a once %s", "more");
		log_event(EVENT_FULL, F_TEXT(SERVICE, "a"), F_NUMBER(MAX_CLIENTS, i));
		log_event(EVENT_FULL, F_TEXT(SERVICE, "b"), F_NUMBER(MAX_CLIENTS, i));
		log_event(EVENT_OPTION_FAILED, F_TEXT(SERVICE, "a"), F_NUMBER(ERRNO, EPERM));
	}
	text = stop();
	log_set_patience(0);
	assert_int_equal(count(text, "service=a once more\n"), 1);
	assert_int_equal(count(text, "service=a once more (and 29 more like it in 10 s)\n"), 1);
	assert_int_equal(count(text, "service=a is full: "), 2);
	assert_int_equal(count(text, "service=a is full: max_clients=0 are connected, more \n"), 1);
	assert_int_equal(count(text, "service=b is full: "), 2);
	assert_int_equal(count(text, "service=b is full: max_clients=0 are connected, more \n"), 1);
	assert_int_equal(count(text, " (and 29 more like it in 10 s)\n"), 4);
	assert_int_equal(count(text, "service=a : Operation not permitted\n"), 1);
	free(text);
}

/* Whatever there is to complain of, the log has a bound: those who find no place share one. */
static void test_more_causes_than_places(void **state)
{
	enum { MORE = LOG_CAUSES + 100 };
	char name[32], part[80], *text;

	(void)state;
	assert_int_equal(logger_start(&logger, LOG_TARGET_STDERR, NULL), 0);
	log_set_patience(5000);
	for (int i = 0; i < 3 * MORE; i++) {
		snprintf(name, sizeof(name), "s%d", i % MORE);
		log_event(EVENT_WORKER_CANNOT_SERVE, F_TEXT(SERVICE, name), F_NUMBER(WORKER, 1));
	}
	text = stop();
	log_set_patience(0);
	for (int i = 0; i < LOG_CAUSES; i++) {
		snprintf(part, sizeof(part), "service=s%d worker 1 cannot serve", i);
		assert_int_equal(count(text, part), 2);
	}
	assert_int_equal(count(text, "\n"), 2 * (LOG_CAUSES + 1));
	snprintf(part, sizeof(part), " (and %d more like it in 10 s)\n", 3 * 100 - 1);
	assert_int_equal(count(text, part), 1);
	free(text);
}

/* What was counted for a logger that was killed is told of as dropped. */
static void test_another_counts_on(void **state)
{
	char *text;

	(void)state;
	assert_int_equal(logger_start(&logger, LOG_TARGET_STDERR, NULL), 0);
	kill(logger.pid, SIGKILL);
	waitpid(logger.pid, NULL, 0);
	for (int i = 0; i < LOG_CAUSES_BURST + 5; i++)
		log_causes_pass(&logger.shared->causes, UINT64_C(4711) << 32, 1000);
	assert_true(logger_ended(&logger, logger.pid, 0));
	assert_int_equal(logger_restart(&logger), 0);
	text = stop();
	assert_int_equal(count(text, "5 log messages were dropped"), 1);
	free(text);
}

/* No journal, no syslogd: standard error, said once for each time. */
static void test_fallback(void **state)
{
	char *text;

	(void)state;
	connect_error = ECONNREFUSED;
	assert_int_equal(logger_start(&logger, LOG_TARGET_JOURNAL, NULL), 0);
	log_info("one");
	log_info("two");
	text = stop();
	assert_int_equal(count(text, "log.target \"journal\" takes nothing (Connection refused): "
				     "standard error instead\n"),
			 1);
	assert_int_equal(count(text, "info: one\n"), 1);
	assert_int_equal(count(text, "info: two\n"), 1);
	free(text);
	logger = (struct logger){.pid = 0};
	connect_error = ENOENT;
	assert_int_equal(logger_start(&logger, LOG_TARGET_STDERR, NULL), 0);
	logger_set_target(&logger, LOG_TARGET_SYSLOG);
	log_info("three");
	text = stop();
	assert_int_equal(count(text, "\"syslog\" takes nothing (No such file or directory)"), 1);
	assert_int_equal(count(text, "info: three\n"), 1);
	free(text);
}

/* Nobody reads what it writes, and there is no descriptor left: to stop does not take much longer
 * than a second. */
static void test_blocked(void **state)
{
	struct rlimit before = {0};
	struct timespec begin, end;
	int line[2];

	(void)state;
	assert_int_equal(pipe2(line, O_CLOEXEC), 0);
	dup2(line[1], STDERR_FILENO);
	assert_int_equal(logger_start(&logger, LOG_TARGET_STDERR, NULL), 0);
	for (int i = 0; i < 5000; i++)
		log_info("%0500d", i);
	dup2(out, STDERR_FILENO);
	getrlimit(RLIMIT_NOFILE, &before);
	setrlimit(RLIMIT_NOFILE, &(struct rlimit){.rlim_max = before.rlim_max});
	alarm(60); /* to wait for ever is to fail, too */
	clock_gettime(CLOCK_MONOTONIC, &begin);
	logger_stop(&logger);
	clock_gettime(CLOCK_MONOTONIC, &end);
	alarm(0);
	setrlimit(RLIMIT_NOFILE, &before);
	assert_in_range(end.tv_sec - begin.tv_sec, 0, 10);
	assert_int_equal(kill(logger.pid, 0), -1);
	close(line[0]);
	close(line[1]);
}

/* A start that fails leaves the log where it was, and a stop with nothing to do. */
static void test_cannot_start(void **state)
{
	(void)state;
	logger_stop(&logger);
	mmap_error = ENOMEM;
	assert_int_equal(logger_start(&logger, LOG_TARGET_STDERR, NULL), -ENOMEM);
	mmap_error = 0;
	logger_stop(&logger);
	socketpair_error = EMFILE;
	assert_int_equal(logger_start(&logger, LOG_TARGET_STDERR, NULL), -EMFILE);
	socketpair_error = 0;
	logger_stop(&logger);
	fork_error = EAGAIN;
	assert_int_equal(logger_start(&logger, LOG_TARGET_STDERR, NULL), -EAGAIN);
	assert_int_equal(log_sink(), -1);
	logger_stop(&logger);
}

int main(int argc, char *argv[])
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_order, setup, teardown),
		cmocka_unit_test_setup_teardown(test_malformed, setup, teardown),
		cmocka_unit_test_setup_teardown(test_full_queue, setup, teardown),
		cmocka_unit_test_setup_teardown(test_another, setup, teardown),
		cmocka_unit_test_setup_teardown(test_none, setup, teardown),
		cmocka_unit_test_setup_teardown(test_complaints, setup, teardown),
		cmocka_unit_test_setup_teardown(test_more_causes_than_places, setup, teardown),
		cmocka_unit_test_setup_teardown(test_another_counts_on, setup, teardown),
		cmocka_unit_test_setup_teardown(test_fallback, setup, teardown),
		cmocka_unit_test_setup_teardown(test_blocked, setup, teardown),
		cmocka_unit_test_setup_teardown(test_cannot_start, setup, teardown),
	};

	unsetenv("JOURNAL_STREAM");
	process_title_init(argc, argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
