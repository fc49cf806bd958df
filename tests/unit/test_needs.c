/* SPDX-License-Identifier: ISC */
/* What settings need, and which failures tell of it. */
#include "sockopt.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void test_format(void **state)
{
	char text[NEED_TEXT_MAX];

	(void)state;
	assert_string_equal(need_format(NEEDS_NOTHING, text), "");
	assert_string_equal(
		need_format(NEEDS_NET_ADMIN, text),
		"needs CAP_NET_ADMIN; in echod.service the drop-in net-admin.conf gives it");
	/* Every row is there, is whole, and says where it is to be had. */
	for (int i = NEEDS_NOTHING + 1; i < N_NEEDS; i++) {
		assert_non_null(strstr(needs[i].what, "needs "));
		assert_true(!needs[i].dropin != !needs[i].unit);
		assert_true(strlen(need_format((enum need)i, text)) < NEED_TEXT_MAX - 1);
		assert_non_null(strstr(text, "echod.service"));
	}
}

static void test_failures(void **state)
{
	static const struct {
		const char *step;
		int error;
		sa_family_t family;
		const char *begin;
	} rows[] = {
		{"bind", EACCES, AF_INET, " (a port below 1024 needs CAP_NET_BIND_SERVICE"},
		{"bind", EACCES, AF_INET6, " (a port below 1024 needs CAP_NET_BIND_SERVICE"},
		{"bind", EACCES, AF_UNIX, " (needs a directory that echod may write"},
		{"bind", EROFS, AF_UNIX, " (needs a directory that echod may write"},
		{"bind", EPERM, AF_UNIX, " (needs a directory that echod may write"},
		{"bind", EADDRINUSE, AF_INET, NULL},
		{"bind", EADDRINUSE, AF_UNIX, NULL},
		{"bind", EROFS, AF_INET, NULL},
		{"socket", EAFNOSUPPORT, AF_INET, " (needs a network"},
		{"socket", EAFNOSUPPORT, AF_INET6, " (needs a network"},
		{"socket", EMFILE, AF_INET, NULL},
		{"listen", EACCES, AF_INET, NULL},
		{"SO_MARK", EPERM, AF_INET, " (needs CAP_NET_ADMIN"},
		{"SO_MARK", EACCES, AF_INET, " (needs CAP_NET_ADMIN"},
		{"SO_MARK", EINVAL, AF_INET, NULL},
		{"TCP_CONGESTION", EPERM, AF_INET6, " (needs CAP_NET_ADMIN"},
		{"TCP_CONGESTION", ENOENT, AF_INET6, NULL},
		{"SO_RCVBUF", EPERM, AF_INET, NULL},
	};
	char text[NEED_TEXT_MAX + 3];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		sockopt_lack(rows[i].step, rows[i].error, rows[i].family, text);
		if (!rows[i].begin)
			assert_string_equal(text, "");
		else if (strncmp(text, rows[i].begin, strlen(rows[i].begin)) != 0 ||
			 text[strlen(text) - 1] != ')')
			fail_msg("%s: %s", rows[i].step, text);
	}
}

static enum need need_of(const char *name, const char *text)
{
	struct sockopt_value value;
	const char *why;
	int row = sockopt_find(name);

	assert_true(row >= 0);
	assert_int_equal(sockopt_parse(&sockopts[row], text, &value, &why), 0);
	return sockopt_need(&sockopts[row], &value);
}

/* A word that everybody may use, from the file that the system has for it. */
static void test_allowed_words(void **state)
{
	FILE *f = fopen("/proc/sys/net/ipv4/tcp_allowed_congestion_control", "re");
	char word[64] = "";

	(void)state;
	assert_int_equal(need_of("TCP_CONGESTION", "nosuch"), NEEDS_NET_ADMIN);
	if (!f || fscanf(f, "%63s", word) != 1) {
		print_message("no list of allowed algorithms here\n");
		skip();
	}
	fclose(f);
	assert_int_equal(need_of("TCP_CONGESTION", word), NEEDS_NOTHING);
}

/* Without that file (a unit sees little of /proc) nothing is known to be for everybody. */
static void test_no_list_of_words(void **state)
{
	struct sockopt_row row = sockopts[sockopt_find("TCP_CONGESTION")];
	struct sockopt_value value = {.set = true, .text = "reno"};

	(void)state;
	row.free_words = "/nonexistent/list";
	assert_int_equal(sockopt_need(&row, &value), NEEDS_NET_ADMIN);
}

static void test_numbers(void **state)
{
	struct sockopt_value unset = {.set = false, .number = 7};

	(void)state;
	assert_int_equal(need_of("SO_PRIORITY", "6"), NEEDS_NOTHING);
	assert_int_equal(need_of("SO_PRIORITY", "7"), NEEDS_NET_ADMIN);
	assert_int_equal(need_of("SO_MARK", "0"), NEEDS_NET_ADMIN);
	assert_int_equal(need_of("IP_TRANSPARENT", "false"), NEEDS_NOTHING);
	assert_int_equal(need_of("IP_TRANSPARENT", "true"), NEEDS_NET_ADMIN);
	assert_int_equal(need_of("SO_RCVBUF", "1M"), NEEDS_NOTHING);
	assert_int_equal(need_of("SO_RCVBUFFORCE", "1M"), NEEDS_NET_ADMIN);
	assert_int_equal(sockopt_need(&sockopts[sockopt_find("SO_MARK")], &unset), NEEDS_NOTHING);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_format),        cmocka_unit_test(test_failures),
		cmocka_unit_test(test_allowed_words), cmocka_unit_test(test_no_list_of_words),
		cmocka_unit_test(test_numbers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
