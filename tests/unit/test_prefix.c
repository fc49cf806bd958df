/* SPDX-License-Identifier: ISC */
/* Networks: what is one, what is in one, and what is said of a wrong one. */
#include "prefix.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static struct prefix parse(const char *text)
{
	char why[PREFIX_WHY_MAX] = "";
	struct prefix p;

	if (prefix_parse(text, &p, why) < 0)
		fail_msg("%s: %s", text, why);
	return p;
}

static void reads_and_writes(void **state)
{
	static const char *const rows[][2] = {
		{"192.0.2.0/24", "192.0.2.0/24"},
		{"192.0.2.1", "192.0.2.1"},
		{"192.0.2.1/32", "192.0.2.1"},
		{"0.0.0.0/0", "0.0.0.0/0"},
		{"255.255.255.255", "255.255.255.255"},
		{"10.0.0.0/8", "10.0.0.0/8"},
		{"2001:db8::/32", "2001:db8::/32"},
		{"2001:DB8:0::1", "2001:db8::1"},
		{"::/0", "::/0"},
		{"::1/128", "::1"},
		{"2001:db8:0:1::/64", "2001:db8:0:1::/64"},
		{"2001:db8:0:0:8000::/65", "2001:db8:0:0:8000::/65"},
		{"fe80::/10", "fe80::/10"},
		{"::ffff:192.0.2.0/120", "192.0.2.0/24"},
		{"::ffff:192.0.2.7", "192.0.2.7"},
		{"::ffff:0:0/96", "0.0.0.0/0"},
	};
	char text[PREFIX_TEXT_MAX];
	struct prefix p;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		p = parse(rows[i][0]);
		assert_string_equal(prefix_format(&p, text), rows[i][1]);
	}
}

static void says_what_is_wrong(void **state)
{
	static const char none[] =
		"is no network of IPv4 or IPv6 (such as 192.0.2.0/24 or 2001:db8::/32)";
	static const char *const rows[][2] = {
		{"", none},
		{"/24", none},
		{"192.0.2", none},
		{"192.0.2.0.0/24", none},
		{"192.0.2.256", none},
		{"192.0.02.1", none},
		{" 192.0.2.1", none},
		{"localhost", none},
		{"[2001:db8::]/32", none},
		{"fe80::1%lo", none},
		{"2001:db8:::/32", none},
		{"1111:1111:1111:1111:1111:1111:1111:1111:1111:1111:1111", none},
		{"192.0.2.0/", "has no prefix length of 0 to 32 behind the slash"},
		{"192.0.2.0/33", "has no prefix length of 0 to 32 behind the slash"},
		{"192.0.2.0/-1", "has no prefix length of 0 to 32 behind the slash"},
		{"192.0.2.0/024", "has no prefix length of 0 to 32 behind the slash"},
		{"192.0.2.0/24 ", "has no prefix length of 0 to 32 behind the slash"},
		{"192.0.2.0/24/1", "has no prefix length of 0 to 32 behind the slash"},
		{"192.0.2.0/255.255.255.0", "has no prefix length of 0 to 32 behind the slash"},
		{"2001:db8::/129", "has no prefix length of 0 to 128 behind the slash"},
		{"2001:db8::/1280", "has no prefix length of 0 to 128 behind the slash"},
		{"::ffff:192.0.2.0/24", "has no prefix length of 96 to 128 behind the slash"},
		{"192.0.2.1/24", "is a host in a network: write 192.0.2.0/24 or 192.0.2.1"},
		{"10.1.0.0/8", "is a host in a network: write 10.0.0.0/8 or 10.1.0.0"},
		{"2001:db8::1/32", "is a host in a network: write 2001:db8::/32 or 2001:db8::1"},
		{"::1/0", "is a host in a network: write ::/0 or ::1"},
	};
	char why[PREFIX_WHY_MAX];
	struct prefix p;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(prefix_parse(rows[i][0], &p, why), -EINVAL);
		assert_string_equal(why, rows[i][1]);
	}
}

static void knows_what_is_within(void **state)
{
	static const struct {
		const char *net, *within;
		bool is;
	} rows[] = {
		{"192.0.2.0/24", "192.0.2.255", true},
		{"192.0.2.0/24", "192.0.3.0", false},
		{"192.0.2.0/24", "192.0.2.128/25", true},
		{"192.0.2.128/25", "192.0.2.0/24", false},
		{"0.0.0.0/0", "203.0.113.9", true},
		{"0.0.0.0/0", "2001:db8::1", false},
		{"::/0", "203.0.113.9", false},
		{"::/0", "::ffff:203.0.113.9", false},
		{"0.0.0.0/0", "::ffff:203.0.113.9", true},
		{"2001:db8::/32", "2001:db8:ffff::1", true},
		{"2001:db8::/64", "2001:db8:0:0:1::", true},
		{"2001:db8::/65", "2001:db8:0:0:8000::", false},
		{"2001:db8::1", "2001:db8::1", true},
		{"2001:db8::1", "2001:db8::2", false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct prefix net = parse(rows[i].net), p = parse(rows[i].within);

		assert_int_equal(prefix_has(&net, &p), rows[i].is);
	}
}

static void cuts(void **state)
{
	static const struct {
		const char *from;
		unsigned bits;
		const char *to;
	} rows[] = {
		{"192.0.2.1", 24, "192.0.2.0/24"},    {"192.0.2.1", 32, "192.0.2.1"},
		{"192.0.2.1", 0, "0.0.0.0/0"},        {"192.0.0.0/16", 24, "192.0.0.0/16"},
		{"2001:db8::1", 64, "2001:db8::/64"}, {"2001:db8::1", 0, "::/0"},
		{"2001:db8::1", 128, "2001:db8::1"},  {"2001:db8::3", 127, "2001:db8::2/127"},
	};
	char text[PREFIX_TEXT_MAX];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct prefix p = prefix_cut(parse(rows[i].from), rows[i].bits);

		assert_string_equal(prefix_format(&p, text), rows[i].to);
	}
}

static void takes_addresses(void **state)
{
	static const char *const rows[][2] = {
		{"192.0.2.1:7", "192.0.2.1"},
		{"[2001:db8::1]:7", "2001:db8::1"},
		{"[::ffff:192.0.2.1]:7", "192.0.2.1"},
	};
	struct address a[2], unnamed = {.len = 0};
	char text[PREFIX_TEXT_MAX];
	const char *why;
	struct prefix p;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(address_parse_ip(rows[i][0], a, &why), 1);
		assert_true(prefix_of(&a[0], &p));
		assert_string_equal(prefix_format(&p, text), rows[i][1]);
	}
	assert_false(prefix_of(&unnamed, &p));
	assert_int_equal(address_parse_unix("@echo", a, &why), 1);
	assert_false(prefix_of(&a[0], &p));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_and_writes),     cmocka_unit_test(says_what_is_wrong),
		cmocka_unit_test(knows_what_is_within), cmocka_unit_test(cuts),
		cmocka_unit_test(takes_addresses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
