/* SPDX-License-Identifier: ISC */
/* Hosts and ports as people write them. */
#include "echoc/target.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static void test_parse(void **state)
{
	static const struct {
		const char *text, *word; /* as on the command line; WORD may be NULL */
		const char *host, *port; /* NULL: refused */
	} rows[] = {
		{"host", NULL, "host", "7"},
		{"host", "echo", "host", "echo"},
		{"host:echo", NULL, "host", "echo"},
		{"192.0.2.1:7007", NULL, "192.0.2.1", "7007"},
		{"::1", NULL, "::1", "7"},
		{"::1", "9", "::1", "9"},
		{"[::1]", NULL, "::1", "7"},
		{"[::1]", "8", "::1", "8"},
		{"[::1]:7", NULL, "::1", "7"},
		{"fe80::1%eth0", NULL, "fe80::1%eth0", "7"},
		{"[fe80::1%eth0]:echo", NULL, "fe80::1%eth0", "echo"},
		{"host:7", "8", NULL, NULL},
		{"[::1]:7", "8", NULL, NULL},
		{"[::1", NULL, NULL, NULL},
		{"[::1]7", NULL, NULL, NULL},
		{"host:", NULL, NULL, NULL},
		{"[::1]:", NULL, NULL, NULL},
		{":7", NULL, NULL, NULL},
		{"", NULL, NULL, NULL},
		{"[]:7", NULL, NULL, NULL},
		{"host", "", NULL, NULL},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct target t;
		const char *why = NULL;
		int r = target_parse(&t, rows[i].text, rows[i].word, PROTO_TCP, &why);

		assert_int_equal(r, rows[i].host ? 0 : -EINVAL);
		if (r < 0) {
			assert_non_null(why);
			continue;
		}
		assert_string_equal(t.host, rows[i].host);
		assert_string_equal(t.port, rows[i].port);
	}
}

static void test_has_port(void **state)
{
	(void)state;
	assert_true(target_has_port("host:7"));
	assert_true(target_has_port("[::1]:7"));
	assert_false(target_has_port("host"));
	assert_false(target_has_port("::1"));
	assert_false(target_has_port("[::1]"));
}

static void test_resolve(void **state)
{
	static const struct {
		const char *host, *port;
		int family, result;
		const char *text; /* of the first address */
	} rows[] = {
		{"127.0.0.1", "7", AF_UNSPEC, 0, "127.0.0.1:7"},
		{"::1", "65535", AF_UNSPEC, 0, "[::1]:65535"},
		{"fe80::1%lo", "7", AF_INET6, 0, "[fe80::1%lo]:7"},
		{"127.0.0.1", "0", AF_UNSPEC, -EINVAL, NULL},
		{"127.0.0.1", "65536", AF_UNSPEC, -EINVAL, NULL},
		{"127.0.0.1", "70000", AF_UNSPEC, -EINVAL, NULL},
		{"127.0.0.1", "-1", AF_UNSPEC, -EINVAL, NULL},
		{"127.0.0.1", "no-such-port", AF_UNSPEC, -EINVAL, NULL},
		{"::1", "7", AF_INET, -ENOENT, NULL},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct target t;
		const char *why = NULL;
		char text[ADDRESS_TEXT_MAX];

		assert_int_equal(target_parse(&t, rows[i].host, rows[i].port, PROTO_TCP, &why), 0);
		assert_int_equal(target_resolve(&t, PROTO_TCP, rows[i].family, &why),
				 rows[i].result);
		if (rows[i].result == 0) {
			assert_int_equal(t.n, 1);
			assert_string_equal(address_format(&t.addresses[0], text), rows[i].text);
		} else {
			assert_non_null(why);
		}
	}
}

static void test_unix(void **state)
{
	struct target t;
	const char *why;

	(void)state;
	assert_int_equal(target_parse(&t, "/run/x:7", NULL, PROTO_UNIX, &why), 0);
	assert_string_equal(t.addresses[0].un.sun_path, "/run/x:7");
	assert_int_equal(target_parse(&t, "@name", NULL, PROTO_UNIX_DGRAM, &why), 0);
	assert_int_equal(target_parse(&t, "relative", NULL, PROTO_UNIX, &why), -EINVAL);
	assert_int_equal(target_parse(&t, "/run/x", "7", PROTO_UNIX, &why), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse),
		cmocka_unit_test(test_has_port),
		cmocka_unit_test(test_resolve),
		cmocka_unit_test(test_unix),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
