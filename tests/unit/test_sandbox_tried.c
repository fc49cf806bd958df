/* SPDX-License-Identifier: ISC */
/* A process of each kind makes every system call that there can be, and gets what its rows say;
 * how who breaks out ends; what Landlock leaves. */
#include "kinds.h"
#include "landlock.h"
#include "sandbox.h"
#include "sandbox_calls.h"
#include "sandbox_filter.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* What became of a call. */
enum verdict { UNTRIED, ALLOWED, FORBIDDEN, IS_ENOSYS, IS_EACCES, IS_EPERM };

static const enum verdict verdict_of[] = {
	[SANDBOX_ALLOW] = ALLOWED,
	[SANDBOX_ENOSYS] = IS_ENOSYS,
	[SANDBOX_EACCES] = IS_EACCES,
	[SANDBOX_EPERM] = IS_EPERM,
};

static volatile sig_atomic_t caught;

static void on_forbidden(int number, siginfo_t *info, void *context)
{
	(void)number;
	(void)context;
	caught = info->si_syscall + 1;
}

/* Make call NUMBER with FIRST and, if it looks at an argument, VALUE there; harmless if it is let
 * through: descriptor -1, nothing at no address. */
static enum verdict attempt(long number, const struct sandbox_call *c, uint32_t value)
{
	long a[6] = {-1, 0, 0, 0, 0, 0}, r;

	if (c && c->mask)
		a[c->arg] = (long)value;
	caught = 0;
	errno = 0;
	r = syscall(number, a[0], a[1], a[2], a[3], a[4], a[5]);
	if (caught)
		return caught == number + 1 ? FORBIDDEN : UNTRIED;
	if (r != -1)
		return ALLOWED;
	return errno == ENOSYS   ? IS_ENOSYS
	       : errno == EACCES ? IS_EACCES
	       : errno == EPERM  ? IS_EPERM
				 : ALLOWED;
}

/* Are all bits that a row looks at needed as they are? */
static enum verdict attempt_row(int number, const struct sandbox_call *c)
{
	/* Without CLONE_VM the kernel refuses CLONE_SIGHAND: nothing is made. */
	uint32_t value = c->value | (strcmp(c->name, "clone") == 0 ? CLONE_SIGHAND : 0);

	for (uint32_t bit = 1; bit; bit <<= 1)
		if (c->mask & bit && attempt(number, c, value ^ bit) != FORBIDDEN)
			return UNTRIED;
	return attempt(number, c, value);
}

/* What ends who tries it; and two of x86 that no filter sees, since the kernel's own probes of
 * programs make them (uretprobe, uprobe): elsewhere they raise SIGILL. */
static bool cannot_be_tried(int number)
{
#ifdef __x86_64__
	if (number == 335 || number == 336)
		return true;
#endif
	return number == SYS_exit || number == SYS_exit_group || number == SYS_rt_sigreturn;
}

/* In a process with PARTS, which is thrown away: try everything. */
static _Noreturn void try_all(unsigned parts, unsigned char *verdicts)
{
	struct sigaction sa = {.sa_sigaction = on_forbidden, .sa_flags = SA_SIGINFO};
	unsigned from = parts & CALLS_CLIENT ? CALLS_WORKER | CALLS_FORK | CALLS_STREAMS |
						       CALLS_BLOCKING | CALLS_PINNED
					     : parts;
	struct sock_fprog filter, less;

	sigaction(SIGSYS, &sa, NULL);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || filter_make(from, &filter) < 0 ||
	    filter_make_less(from, parts, &less) < 0 || filter_load(&filter) < 0)
		_exit(1);
	if (parts & CALLS_CLIENT && filter_load(&less) < 0)
		_exit(1);
	for (int number = 0; number < NUMBERS; number++) {
		const struct sandbox_call *c = kinds_row(number, parts);

		if (!cannot_be_tried(number))
			verdicts[number] = (unsigned char)(c && c->mask ? attempt_row(number, c)
									: attempt(number, NULL, 0));
	}
	_exit(0);
}

static int run(void (*child)(unsigned, unsigned char *), unsigned parts, unsigned char *verdicts)
{
	pid_t pid = fork();
	int status = -1;

	if (pid == 0) {
		for (int i = 1; i < SIGSYS + 1; i++) /* cmocka catches some */
			signal(i, SIG_DFL);
		child(parts, verdicts);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static void compare(const struct kind *k, const unsigned char *verdicts)
{
	char name[64];

	for (int number = 0; number < NUMBERS; number++) {
		const struct sandbox_call *c = kinds_row(number, k->parts);
		bool named = strspn(filter_call_name(number, name, sizeof(name)), "0123456789") ==
			     0;
		enum verdict expected = c ? verdict_of[c->action] : named ? FORBIDDEN : IS_ENOSYS;

		if (!cannot_be_tried(number) && verdicts[number] != expected)
			fail_msg("%s: %s: %d, expected %d", k->name, name, verdicts[number],
				 expected);
	}
}

static void need_filters(void)
{
	struct sock_fprog filter;

	if (n_sandbox_more_calls > 0 || filter_make(CALLS_WORKER, &filter) < 0)
		skip();
	filter_free(&filter);
}

static void test_every_call(void **state)
{
	unsigned char *verdicts;

	(void)state;
	need_filters();
	verdicts = mmap(NULL, NUMBERS, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_true(verdicts != MAP_FAILED);
	for (size_t i = 0; i < n_kinds; i++) {
		memset(verdicts, UNTRIED, NUMBERS);
		assert_int_equal(run(try_all, kinds[i].parts, verdicts), 0);
		compare(&kinds[i], verdicts);
	}
	munmap(verdicts, NUMBERS);
}

/* The worker of a test that is thrown away: what sandbox_enter() is given. */
static void enter(unsigned parts, _Atomic uint32_t *told)
{
	struct sock_fprog filter;

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || filter_make(parts, &filter) < 0 ||
	    sandbox_enter(&filter, told) < 0)
		_exit(1);
}

static void make_socket(unsigned parts, unsigned char *told)
{
	enter(parts, (_Atomic uint32_t *)(void *)told);
	socket(AF_INET, SOCK_STREAM, 0);
	_exit(0);
}

static void signal_itself(unsigned parts, unsigned char *told)
{
	enter(parts, (_Atomic uint32_t *)(void *)told);
	abort();
}

#ifdef __x86_64__
/* getpid(2), allowed, by the numbers of other architectures. */
static void call_as_32_bits(unsigned parts, unsigned char *told)
{
	long r;

	enter(parts, (_Atomic uint32_t *)(void *)told);
	__asm__ volatile("int $0x80" : "=a"(r) : "a"(20L) : "memory");
	_exit(0);
}

static void call_as_x32(unsigned parts, unsigned char *told)
{
	enter(parts, (_Atomic uint32_t *)(void *)told);
	syscall(0x40000000 + SYS_getpid);
	_exit(0);
}
#endif

static void test_end(void **state)
{
	_Atomic uint32_t *told;
	int status;

	(void)state;
	need_filters();
	told = mmap(NULL, sizeof(*told), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	status = run(make_socket, CALLS_WORKER | CALLS_STREAMS, (unsigned char *)told);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGSYS);
	assert_int_equal(*told, SYS_socket + 1);
	*told = 0;
	/* abort(3) cannot send a signal, and ends all the same. */
	status = run(signal_itself, CALLS_WORKER, (unsigned char *)told);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(*told, 0);
#ifdef __x86_64__
	status = run(call_as_x32, CALLS_WORKER, (unsigned char *)told);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS);
	status = run(call_as_32_bits, CALLS_WORKER, (unsigned char *)told);
	assert_true(WIFSIGNALED(status));
#endif
	munmap((void *)told, sizeof(*told));
}

/* Nothing can be opened, by whatever name; what is open stays. */
static void look_around(unsigned parts, unsigned char *unused)
{
	int wrong = prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0;
	int pipes[2];

	(void)parts;
	(void)unused;
	if (pipe(pipes) < 0 || landlock_enter(landlock_version(), false, false) < 0)
		_exit(1);
	wrong |= open("/", O_RDONLY | O_CLOEXEC) >= 0 || errno != EACCES;
	wrong |= open("/dev/null", O_WRONLY | O_CLOEXEC) >= 0 || errno != EACCES;
	wrong |= mkdir("/tmp/echod-sandbox", 0700) == 0;
	wrong |= write(pipes[1], "", 1) != 1;
	if (landlock_version() >= 6)
		wrong |= kill(getppid(), 0) == 0 || errno != EPERM;
	_exit(wrong);
}

static void test_names(void **state)
{
	(void)state;
	if (landlock_version() < 1)
		skip();
	assert_int_equal(run(look_around, 0, NULL), 0);
}

/* What there is can be said, and why it is off. */
static void test_text(void **state)
{
	struct sandbox s = {.known = true, .seccomp = true, .landlock = 6};
	char text[SANDBOX_TEXT_MAX];

	(void)state;
	assert_string_equal(sandbox_text(&s, text),
			    "seccomp, Landlock ABI 6, no_new_privs, no capabilities");
	s.landlock = 0;
	assert_string_equal(sandbox_text(&s, text), "seccomp, no_new_privs, no capabilities");
	assert_string_equal(sandbox_text(NULL, text), "off; no_new_privs, no capabilities");
	assert_int_equal(sandbox_find(&s), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_call),
		cmocka_unit_test(test_end),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_text),
	};

	return cmocka_run_group_tests(tests, kinds_list, NULL);
}
