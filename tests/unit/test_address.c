/* SPDX-License-Identifier: ISC */
/* Addresses to and from text. */
#include "address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* What is parsed, and how it is written again; NULL: refused, with WHY. */
struct sample {
	const char *text, *again, *why;
};

static const struct sample ip[] = {
	{"127.0.0.1:7", "127.0.0.1:7", NULL},
	{"0.0.0.0:0", "0.0.0.0:0", NULL},
	{"255.255.255.255:65535", "255.255.255.255:65535", NULL},
	{"127.0.0.1:007", "127.0.0.1:7", NULL},
	{"127.0.0.1:echo", "127.0.0.1:7", NULL},
	{"[::1]:echo", "[::1]:7", NULL},
	{"[::]:7", "[::]:7", NULL},
	{"[2001:DB8::0:1]:7", "[2001:db8::1]:7", NULL},
	{"[::ffff:1.2.3.4]:7", "[::ffff:1.2.3.4]:7", NULL},
	{"[fe80::1%lo]:7", "[fe80::1%lo]:7", NULL},
	{"[fe80::1%1]:7", "[fe80::1%lo]:7", NULL},
	{"[fe80::1%99999]:7", "[fe80::1%99999]:7", NULL},
	{"[fe80::1]:7", NULL, "a link-local address needs its interface, as in [fe80::1%eth0]"},
	{"[fe80::1%nosuch]:7", NULL, "no interface has the name after the '%'"},
	{"[fe80::1%]:7", NULL, "no interface has the name after the '%'"},
	{"[::1]", NULL, "no port: an address is HOST:PORT"},
	{"[::1", NULL, "no closing bracket"},
	{"[]:7", NULL, "no host: for every address write *:PORT"},
	{"[127.0.0.1]:7", NULL, "what stands in the brackets is no IPv6 address"},
	{"[*]:7", NULL, "what stands in the brackets is no IPv6 address"},
	{"::1:7", NULL, "an IPv6 address stands in brackets, as in [::1]:7"},
	{"fe80::1%eth0:7", NULL, "an IPv6 address stands in brackets, as in [::1]:7"},
	{"udp:127.0.0.1:7", NULL, "an address is HOST:PORT, and protocol a key of its own"},
	{"127.0.0.1", NULL, "no port: an address is HOST:PORT"},
	{"7", NULL, "no port: an address is HOST:PORT"},
	{"", NULL, "no port: an address is HOST:PORT"},
	{":7", NULL, "no host: for every address write *:PORT"},
	{"127.0.0.1:", NULL, "no port after the colon"},
	{"127.0.0.1:65536", NULL, "the port is out of range, 0 to 65535"},
	{"127.0.0.1:70000", NULL, "the port is out of range, 0 to 65535"},
	{"127.0.0.1:4294967303", NULL, "the port is out of range, 0 to 65535"},
	{"127.0.0.1:-1", NULL, "the port is neither a number nor a name of services(5)"},
	{"127.0.0.1: 7", NULL, "the port is neither a number nor a name of services(5)"},
	{"127.0.0.1:7x", NULL, "the port is neither a number nor a name of services(5)"},
	{"127.0.0.1:nosuchport", NULL, "the port is neither a number nor a name of services(5)"},
	{"1.2.3:7", NULL, "the host is no numeric address (names are not looked up)"},
	{"localhost:7", NULL, "the host is no numeric address (names are not looked up)"},
	{" 127.0.0.1:7", NULL, "the host is no numeric address (names are not looked up)"},
};

static void test_ip(void **state)
{
	char buf[ADDRESS_TEXT_MAX];

	(void)state;
	for (size_t i = 0; i < sizeof(ip) / sizeof(ip[0]); i++) {
		struct address a[2];
		const char *why = NULL;
		int n = address_parse_ip(ip[i].text, a, &why);

		if (ip[i].again) {
			assert_int_equal(n, 1);
			assert_string_equal(address_format(&a[0], buf), ip[i].again);
		} else {
			assert_int_equal(n, -EINVAL);
			assert_string_equal(why, ip[i].why);
		}
	}
}

static void test_long_host(void **state)
{
	struct address a[2];
	const char *why;
	char text[5000];

	(void)state;
	memset(text, '1', sizeof(text));
	strcpy(text + sizeof(text) - 3, ":7");
	assert_int_equal(address_parse_ip(text, a, &why), -EINVAL);
	assert_string_equal(why, "the host is too long");
	text[0] = '[';
	strcpy(text + sizeof(text) - 4, "]:7");
	assert_int_equal(address_parse_ip(text, a, &why), -EINVAL);
	assert_string_equal(why, "the host is too long");
}

static void test_every_address(void **state)
{
	struct address a[2];
	const char *why;
	char buf[ADDRESS_TEXT_MAX];

	(void)state;
	assert_int_equal(address_parse_ip("*:7", a, &why), 2);
	assert_string_equal(address_format(&a[0], buf), "0.0.0.0:7");
	assert_string_equal(address_format(&a[1], buf), "[::]:7");
	assert_true(address_is_any(&a[0]));
	assert_true(address_is_any(&a[1]));
	assert_int_equal(address_port(&a[1]), 7);
	assert_int_equal(a[0].len, sizeof(struct sockaddr_in));
	assert_int_equal(a[1].len, sizeof(struct sockaddr_in6));
}

static void test_unix(void **state)
{
	struct address a, b;
	const char *why;
	char buf[ADDRESS_TEXT_MAX], path[200];

	(void)state;
	assert_int_equal(address_parse_unix("/run/x.sock", &a, &why), 1);
	assert_string_equal(address_format(&a, buf), "/run/x.sock");
	assert_int_equal(a.len, offsetof(struct sockaddr_un, sun_path) + strlen("/run/x.sock") + 1);
	assert_int_equal(address_port(&a), 0);
	assert_false(address_is_any(&a));

	/* The kernel may leave the NUL out of the length. */
	b = a;
	b.len--;
	assert_true(address_equal(&a, &b));

	assert_int_equal(address_parse_unix("@name", &b, &why), 1);
	assert_string_equal(address_format(&b, buf), "@name");
	assert_int_equal(b.len, offsetof(struct sockaddr_un, sun_path) + 5);
	assert_false(address_equal(&a, &b));

	memset(path, 'a', sizeof(path));
	path[0] = '/';
	path[107] = '\0';
	assert_int_equal(address_parse_unix(path, &a, &why), 1);
	assert_string_equal(address_format(&a, buf), path);
	path[107] = 'a';
	path[108] = '\0';
	assert_int_equal(address_parse_unix(path, &a, &why), -EINVAL);
	assert_string_equal(why, "the path is longer than 107 bytes");
	assert_int_equal(address_parse_unix("", &a, &why), -EINVAL);
	assert_string_equal(why, "the path is empty");
	assert_int_equal(address_parse_unix("@", &a, &why), -EINVAL);
	assert_int_equal(address_parse_unix("run/x", &a, &why), -EINVAL);
	assert_string_equal(why,
			    "the path is not absolute (\"/run/x.sock\"), nor abstract (\"@name\")");
}

static void test_odd_names(void **state)
{
	struct address a = {.len = sizeof(sa_family_t), .un.sun_family = AF_UNIX};
	struct address none = {0}, b;
	const char *why;
	char buf[ADDRESS_TEXT_MAX];

	(void)state;
	assert_string_equal(address_format(&a, buf), "unnamed");
	assert_string_equal(address_format(&none, buf), "unnamed");
	assert_true(address_equal(&none, &(struct address){0}));
	assert_false(address_equal(&none, &a));
	assert_int_equal(address_parse_unix("/a\nb\x1b[31m", &b, &why), 1);
	assert_string_equal(address_format(&b, buf), "/a?b?[31m");
	/* Autobind gives an abstract name with any bytes. */
	a.len = offsetof(struct sockaddr_un, sun_path) + 4;
	memcpy(a.un.sun_path, "\0a\0b", 4);
	assert_string_equal(address_format(&a, buf), "@a?b");
	a.sa.sa_family = 77;
	assert_string_equal(address_format(&a, buf), "family 77");
	assert_false(address_equal(&a, &a));
}

static void test_equal(void **state)
{
	static const char *const texts[] = {"127.0.0.1:7",    "127.0.0.1:8",      "127.0.0.2:7",
					    "[::1]:7",        "[::1]:8",          "[::2]:7",
					    "[fe80::1%lo]:7", "[fe80::1%77777]:7"};
	enum { N = sizeof(texts) / sizeof(texts[0]) };
	struct address a[N][2];
	const char *why;

	(void)state;
	for (size_t i = 0; i < N; i++)
		assert_int_equal(address_parse_ip(texts[i], a[i], &why), 1);
	for (size_t i = 0; i < N; i++)
		for (size_t j = 0; j < N; j++)
			assert_int_equal(address_equal(&a[i][0], &a[j][0]), i == j);
}

/* What may be known of a client that is not to be known: no host, no port, no scope, no path. */
static void test_network(void **state)
{
	static const struct {
		const char *text, *network;
	} rows[] = {
		{"192.0.2.77:50000", "192.0.2.0/24"},
		{"255.255.255.255:1", "255.255.255.0/24"},
		{"[2001:db8:1:2:3:4:5:6]:50000", "2001:db8:1::/48"},
		{"[ffff:ffff:ffff:ffff::1]:1", "ffff:ffff:ffff::/48"},
		{"[::1]:1", "::/48"},
		{"[fe80::1%lo]:1", "fe80::/48"},
		{"[::ffff:192.0.2.77]:1", "192.0.2.0/24"},
	};
	struct address a[2], none = {.len = 0};
	char buf[ADDRESS_TEXT_MAX];
	const char *why;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(address_parse_ip(rows[i].text, a, &why), 1);
		assert_string_equal(address_format_network(&a[0], buf), rows[i].network);
	}
	assert_int_equal(address_parse_unix("/home/somebody/s", a, &why), 1);
	assert_string_equal(address_format_network(&a[0], buf), "unix");
	assert_string_equal(address_format_network(&none, buf), "unix");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ip),
		cmocka_unit_test(test_long_host),
		cmocka_unit_test(test_every_address),
		cmocka_unit_test(test_unix),
		cmocka_unit_test(test_odd_names),
		cmocka_unit_test(test_equal),
		cmocka_unit_test(test_network),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
