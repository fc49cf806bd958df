/* SPDX-License-Identifier: ISC */
/* Who a worker becomes, and its limits, against a scripted kernel. */
#include "process.h"

#include "conf.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/types.h>

#include <cmocka.h>

enum { USER = 1234 };

/* What the kernel says, and what it was asked for. */
static uid_t euid;
static bool refuses, way_back;
static char asked[200];
static struct rlimit limit;

uid_t __wrap_geteuid(void);
gid_t __wrap_getegid(void);
int __wrap_setgroups(size_t n, const gid_t *list);
int __wrap_setresgid(gid_t r, gid_t e, gid_t s);
int __wrap_setresuid(uid_t r, uid_t e, uid_t s);
int __wrap_setuid(uid_t uid);
int __wrap_capability_drop(void);
int __wrap_getrlimit(int resource, struct rlimit *out);
int __wrap_setrlimit(int resource, const struct rlimit *in);

static int note(const char *what)
{
	strcat(strcat(asked, asked[0] ? " " : ""), what);
	errno = EPERM;
	return refuses ? -1 : 0;
}

uid_t __wrap_geteuid(void)
{
	return euid;
}

gid_t __wrap_getegid(void)
{
	return euid;
}

int __wrap_setgroups(size_t n, const gid_t *list)
{
	assert_int_equal(n, 1);
	assert_int_equal(list[0], USER);
	return note("setgroups");
}

int __wrap_setresgid(gid_t r, gid_t e, gid_t s)
{
	assert_true(r == USER && e == USER && s == USER);
	return note("setresgid");
}

int __wrap_setresuid(uid_t r, uid_t e, uid_t s)
{
	assert_true(r == USER && e == USER && s == USER);
	return note("setresuid");
}

int __wrap_setuid(uid_t uid)
{
	assert_int_equal(uid, 0);
	return way_back ? 0 : -1;
}

int __wrap_capability_drop(void)
{
	return note("capabilities");
}

int __wrap_getrlimit(int resource, struct rlimit *out)
{
	(void)resource;
	*out = limit;
	return refuses ? -1 : 0;
}

int __wrap_setrlimit(int resource, const struct rlimit *in)
{
	(void)resource;
	limit = *in;
	return note("setrlimit");
}

static int setup(void **state)
{
	(void)state;
	euid = 0;
	refuses = way_back = false;
	asked[0] = '\0';
	limit = (struct rlimit){.rlim_cur = 1000, .rlim_max = 4000};
	return 0;
}

static int identity(const char *user, const char *group, struct identity *out, const char **who)
{
	struct process_conf conf = {.user = (char *)user, .group = (char *)group};

	*who = "";
	return process_identity(&conf, out, who);
}

static void names_must_be_known(void **state)
{
	struct identity id;
	const char *who;

	(void)state;
	assert_int_equal(identity("", "", &id, &who), 0);
	assert_true(id.uid == (uid_t)-1 && id.gid == (gid_t)-1);
	assert_int_equal(identity("root", "root", &id, &who), 0);
	assert_true(id.uid == 0 && id.gid == 0);
	assert_int_equal(identity("no-such-user", "root", &id, &who), -ENOENT);
	assert_string_equal(who, "no-such-user");
	assert_int_equal(identity("root", "no-such-group", &id, &who), -ENOENT);
	assert_string_equal(who, "no-such-group");
}

static void only_root_becomes_another(void **state)
{
	struct identity id;
	const char *who;

	(void)state;
	euid = USER;
	assert_int_equal(identity("root", "", &id, &who), -EPERM);
	assert_string_equal(who, "root");
	assert_int_equal(identity("", "root", &id, &who), -EPERM);
	assert_int_equal(identity("", "", &id, &who), 0);
	assert_true(id.uid == (uid_t)-1 && id.gid == (gid_t)-1);
}

/* Groups first: a user who is not root can change none. */
static void all_is_given_up_in_order(void **state)
{
	struct identity other = {.uid = USER, .gid = USER};
	struct identity same = {.uid = (uid_t)-1, .gid = (gid_t)-1};

	(void)state;
	assert_int_equal(process_drop_privileges(&same), 0);
	assert_string_equal(asked, "capabilities");
	asked[0] = '\0';
	assert_int_equal(process_drop_privileges(&other), 0);
	assert_string_equal(asked, "setgroups setresgid setresuid capabilities");
}

static void whoever_cannot_give_up_says_so(void **state)
{
	struct identity group = {.uid = (uid_t)-1, .gid = USER};
	struct identity user = {.uid = USER, .gid = (gid_t)-1};

	(void)state;
	way_back = true;
	assert_int_equal(process_drop_privileges(&user), -EPERM);
	refuses = true;
	assert_int_equal(process_drop_privileges(&user), -EPERM);
	assert_int_equal(process_drop_privileges(&group), -EPERM);
}

static void files_are_as_many_as_may_be(void **state)
{
	struct process_conf conf = {.open_files = 0};

	(void)state;
	assert_int_equal(process_open_files(&conf), 1000);
	conf.open_files = 3000;
	assert_int_equal(process_open_files(&conf), 3000);
	conf.open_files = 5000;
	assert_int_equal(process_open_files(&conf), 4000);
	refuses = true;
	assert_int_equal(process_open_files(&conf), 0);
	assert_int_equal(process_capacity(), UINT32_MAX);
}

static void limits_are_set_as_far_as_they_go(void **state)
{
	struct process_conf conf = {.open_files = 5000};

	(void)state;
	process_limit(&conf);
	assert_string_equal(asked, "setrlimit");
	assert_int_equal(limit.rlim_cur, 4000);
	assert_int_equal(limit.rlim_max, 4000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(names_must_be_known, setup),
		cmocka_unit_test_setup(only_root_becomes_another, setup),
		cmocka_unit_test_setup(all_is_given_up_in_order, setup),
		cmocka_unit_test_setup(whoever_cannot_give_up_says_so, setup),
		cmocka_unit_test_setup(files_are_as_many_as_may_be, setup),
		cmocka_unit_test_setup(limits_are_set_as_far_as_they_go, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
