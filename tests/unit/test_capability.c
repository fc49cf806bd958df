/* SPDX-License-Identifier: ISC */
/* Giving up capabilities, each time in a child that is thrown away.  What needs root to be
 * tried is skipped without it. */
#include "capability.h"

#include <errno.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { BIND = 1u << CAP_NET_BIND_SERVICE, ADMIN = 1u << CAP_NET_ADMIN };

/* Have PERMITTED and no other. */
static void have(uint32_t permitted)
{
	struct __user_cap_header_struct h = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {
		{.effective = permitted, .permitted = permitted}};

	if (syscall(SYS_capset, &h, data) < 0)
		_exit(100);
}

static uint32_t permitted(void)
{
	struct __user_cap_header_struct h = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];

	return syscall(SYS_capget, &h, data) < 0 ? ~0u : data[0].permitted | data[1].permitted;
}

/* Let CALL fail with EPERM from now on, as a unit's SystemCallFilter= does. */
static void refuse(uint32_t call)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, call, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {.len = 4, .filter = code};

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) < 0)
		_exit(101);
}

/* 0 or the errno of binding any port. */
static int try_bind(void)
{
	struct sockaddr_in any = {.sin_family = AF_INET};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), r = 0;

	if (fd < 0)
		_exit(102);
	if (bind(fd, (const struct sockaddr *)&any, sizeof(any)) < 0)
		r = errno;
	if (listen(fd, 1) < 0)
		_exit(103);
	close(fd);
	return r;
}

/* Run TRIAL in a child, of whom the coverage is not counted: it returns what went wrong. */
static void in_child(int (*trial)(void))
{
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0)
		_exit(trial());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

static int given_up(void)
{
	if (capability_drop() != 0)
		return 1;
	if (permitted() != 0)
		return 2;
	if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1)
		return 3;
	return try_bind() == 0 ? 0 : 4;
}

static void test_given_up(void **state)
{
	(void)state;
	in_child(given_up);
}

static int none_to_give_up(void)
{
	have(0);
	refuse(__NR_capset);
	if (capability_drop() != 0)
		return 1;
	return try_bind() == 0 ? 0 : 2; /* no need to forbid it */
}

static void test_none_to_give_up(void **state)
{
	(void)state;
	in_child(none_to_give_up);
}

static int bind_made_worthless(void)
{
	have(BIND);
	refuse(__NR_capset);
	if (try_bind() != 0)
		return 1;
	if (capability_drop() != 0)
		return 2;
	if (permitted() != BIND)
		return 3;
	return try_bind() == EPERM ? 0 : 4;
}

static void test_bind_made_worthless(void **state)
{
	(void)state;
	if (geteuid() != 0 || !(permitted() & BIND))
		skip();
	in_child(bind_made_worthless);
}

static int more_is_refused(void)
{
	have(BIND | ADMIN);
	refuse(__NR_capset);
	return capability_drop() == -EPERM ? 0 : 1;
}

static void test_more_is_refused(void **state)
{
	(void)state;
	if (geteuid() != 0 || !(permitted() & ADMIN))
		skip();
	in_child(more_is_refused);
}

static int unknown_is_refused(void)
{
	have(BIND);
	refuse(__NR_capset);
	refuse(__NR_capget);
	return capability_drop() == -EPERM ? 0 : 1;
}

static void test_unknown_is_refused(void **state)
{
	(void)state;
	if (geteuid() != 0 || !(permitted() & BIND))
		skip();
	in_child(unknown_is_refused);
}

static int no_prctl(void)
{
	refuse(__NR_prctl);
	return capability_drop() == -EPERM ? 0 : 1;
}

static void test_no_prctl(void **state)
{
	(void)state;
	in_child(no_prctl);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_given_up),
		cmocka_unit_test(test_none_to_give_up),
		cmocka_unit_test(test_bind_made_worthless),
		cmocka_unit_test(test_more_is_refused),
		cmocka_unit_test(test_unknown_is_refused),
		cmocka_unit_test(test_no_prctl),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
