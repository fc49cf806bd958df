/* SPDX-License-Identifier: ISC */
/* Headers of the PROXY protocol: right ones whole, in every piece and with more behind them;
 * wrong ones by their fault; and whatever chance makes of right ones. */
#include "proxy.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define V2 "\r\n\r\n\0\r\nQUIT\n"
/* Bytes with their number, NULs and all. */
#define B(text) text, sizeof(text) - 1

#define IPV4         "\xc0\x00\x02\x01\xc6\x33\x64\x07\x9c\x40\x00\x07"
#define IPV6_A       "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01"
#define IPV6_B       "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x02"
#define IPV6         IPV6_A IPV6_B "\x9c\x40\x00\x07"
#define SOURCE4      "192.0.2.1:40000"
#define DESTINATION4 "198.51.100.7:7"
#define SOURCE6      "[2001:db8::1]:40000"
#define DESTINATION6 "[2001:db8::2]:7"
#define ZEROS10      "\0\0\0\0\0\0\0\0\0\0"
#define PATH(name) \
 name ZEROS10 ZEROS10 ZEROS10 ZEROS10 ZEROS10 ZEROS10 ZEROS10 ZEROS10 ZEROS10 ZEROS10 "\0\0"

static const struct {
	const char *bytes;
	size_t n;
	int version;
	const char *source, *destination; /* NULL: not told */
} good[] = {
	{B("PROXY TCP4 192.0.2.1 198.51.100.7 40000 7\r\n"), 1, SOURCE4, DESTINATION4},
	{B("PROXY TCP6 2001:db8::1 2001:db8::2 40000 7\r\n"), 1, SOURCE6, DESTINATION6},
	{B("PROXY TCP6 2001:DB8::1 2001:0db8:0:0:0:0:0:2 40000 7\r\n"), 1, SOURCE6, DESTINATION6},
	{B("PROXY TCP4 255.255.255.255 0.0.0.0 65535 0\r\n"), 1, "255.255.255.255:65535",
	 "0.0.0.0:0"},
	{B("PROXY TCP6 ::ffff:192.0.2.1 :: 1 2\r\n"), 1, "[::ffff:192.0.2.1]:1", "[::]:2"},
	{B("PROXY UNKNOWN\r\n"), 1, NULL, NULL},
	{B("PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535\r\n"), 1, NULL, NULL},
	{B("PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
	   "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n"),
	 1, NULL, NULL}, /* 107 bytes: the longest */
	{B(V2 "\x20\x00\x00\x00"), 2, NULL, NULL},
	{B(V2 "\x20\x11\x00\x0c" IPV4), 2, NULL, NULL}, /* LOCAL: to be ignored */
	{B(V2 "\x20\xff\x00\x03zzz"), 2, NULL, NULL},
	{B(V2 "\x21\x00\x00\x00"), 2, NULL, NULL},
	{B(V2 "\x21\x00\x00\x05\xff\xff\xff\xff\xff"), 2, NULL, NULL},
	{B(V2 "\x21\x11\x00\x0c" IPV4), 2, SOURCE4, DESTINATION4},
	{B(V2 "\x21\x21\x00\x24" IPV6), 2, SOURCE6, DESTINATION6},
	{B(V2 "\x21\x31\x00\xd8" PATH("/run/a") PATH("/run/b")), 2, "/run/a", "/run/b"},
	/* TLVs: PP2_TYPE_NOOP, and one of nothing; one of a checksum that is right */
	{B(V2 "\x21\x11\x00\x17" IPV4 "\x04\x00\x05zzzzz\x05\x00\x00"), 2, SOURCE4, DESTINATION4},
	{B(V2 "\x21\x11\x00\x13" IPV4 "\x03\x00\x04\x93\xf9\xf8\x4f"), 2, SOURCE4, DESTINATION4},
};

static const struct {
	const char *bytes;
	size_t n;
	enum proxy_fault fault;
} bad[] = {
	{B("G"), PROXY_NO_HEADER},
	{B("hello"), PROXY_NO_HEADER},
	{B("proxy TCP4 192.0.2.1 198.51.100.7 40000 7\r\n"), PROXY_NO_HEADER},
	{B(" PROXY TCP4 192.0.2.1 198.51.100.7 40000 7\r\n"), PROXY_NO_HEADER},
	{B("PROXY\tTCP4 192.0.2.1 198.51.100.7 40000 7\r\n"), PROXY_NO_HEADER},
	{B("PROXY TCP4 192.0.2.1 198.51.100.7 40000 7\n"), PROXY_LINE_END},
	{B("PROXY TCP4 192.0.2.1 198.51.100.7 40000 7\rx"), PROXY_LINE_END},
	{B("PROXY TCP4 192.0.2.1 198.51.100.7 40000 7\r\r\n"), PROXY_LINE_END},
	{B("PROXY UNKNOWN x\nx\r\n"), PROXY_LINE_END},
	{B("PROXY UNKNOWN x\0x\r\n"), PROXY_FIELDS},
	{B("PROXY \r\n"), PROXY_FIELDS},
	{B("PROXY TCP4\r\n"), PROXY_FIELDS},
	{B("PROXY TCP4 192.0.2.1 198.51.100.7 40000\r\n"), PROXY_FIELDS},
	{B("PROXY TCP4 192.0.2.1 198.51.100.7 40000 7 \r\n"), PROXY_FIELDS},
	{B("PROXY TCP4 192.0.2.1 198.51.100.7 40000 7 8\r\n"), PROXY_FIELDS},
	{B("PROXY TCP4  192.0.2.1 198.51.100.7 40000 7\r\n"), PROXY_FIELDS},
	{B("PROXY  TCP4 192.0.2.1 198.51.100.7 40000 7\r\n"), PROXY_FIELDS},
	{B("PROXY TCP4 192.0.2.1 198.51.100.7  7\r\n"), PROXY_FIELDS},
	{B("PROXY UNKNOWNX\r\n"), PROXY_FIELDS},
	{B("PROXY UDP4 192.0.2.1 198.51.100.7 40000 7\r\n"), PROXY_FAMILY},
	{B("PROXY tcp4 192.0.2.1 198.51.100.7 40000 7\r\n"), PROXY_FAMILY},
	{B("PROXY TCP40 192.0.2.1 198.51.100.7 40000 7\r\n"), PROXY_FAMILY},
	{B("PROXY TCP4 2001:db8::1 2001:db8::2 40000 7\r\n"), PROXY_ADDRESS},
	{B("PROXY TCP6 192.0.2.1 198.51.100.7 40000 7\r\n"), PROXY_ADDRESS},
	{B("PROXY TCP4 192.0.2.1 2001:db8::2 40000 7\r\n"), PROXY_ADDRESS},
	{B("PROXY TCP4 192.0.2.01 198.51.100.7 40000 7\r\n"), PROXY_ADDRESS},
	{B("PROXY TCP4 192.0.2 198.51.100.7 40000 7\r\n"), PROXY_ADDRESS},
	{B("PROXY TCP4 192.0.2.256 198.51.100.7 40000 7\r\n"), PROXY_ADDRESS},
	{B("PROXY TCP4 0xc0000201 198.51.100.7 40000 7\r\n"), PROXY_ADDRESS},
	{B("PROXY TCP4 localhost 198.51.100.7 40000 7\r\n"), PROXY_ADDRESS},
	{B("PROXY TCP6 2001:db8::1%lo 2001:db8::2 40000 7\r\n"), PROXY_ADDRESS},
	{B("PROXY TCP6 [2001:db8::1] 2001:db8::2 40000 7\r\n"), PROXY_ADDRESS},
	{B("PROXY TCP6 1::2::3 2001:db8::2 40000 7\r\n"), PROXY_ADDRESS},
	{B("PROXY TCP4 192.0.2.1 198.51.100.7 65536 7\r\n"), PROXY_PORT},
	{B("PROXY TCP4 192.0.2.1 198.51.100.7 040 7\r\n"), PROXY_PORT},
	{B("PROXY TCP4 192.0.2.1 198.51.100.7 00 7\r\n"), PROXY_PORT},
	{B("PROXY TCP4 192.0.2.1 198.51.100.7 -1 7\r\n"), PROXY_PORT},
	{B("PROXY TCP4 192.0.2.1 198.51.100.7 +1 7\r\n"), PROXY_PORT},
	{B("PROXY TCP4 192.0.2.1 198.51.100.7 0x1 7\r\n"), PROXY_PORT},
	{B("PROXY TCP4 192.0.2.1 198.51.100.7 40000 echo\r\n"), PROXY_PORT},
	{B("PROXY TCP4 192.0.2.1 198.51.100.7 40000 4294967303\r\n"), PROXY_PORT},
	{B("PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
	   "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535x\r\n"),
	 PROXY_UNENDED},
	{B("\r\n\r\nx"), PROXY_NO_HEADER},
	{B("\r\n\r\n\0\r\nQUIT\rx"), PROXY_NO_HEADER},
	{B(V2 "\x11"), PROXY_VERSION},
	{B(V2 "\x31"), PROXY_VERSION},
	{B(V2 "\x22"), PROXY_COMMAND},
	{B(V2 "\x2f"), PROXY_COMMAND},
	{B(V2 "\x21\x11\x00\x0b" IPV4), PROXY_LENGTH},
	{B(V2 "\x21\x11\x00\x00"), PROXY_LENGTH},
	{B(V2 "\x21\x21\x00\x0c" IPV4), PROXY_LENGTH},
	{B(V2 "\x21\x31\x00\x0c" IPV4), PROXY_LENGTH},
	{B(V2 "\x21\x12\x00\x0c" IPV4), PROXY_FAMILY}, /* UDP over IPv4 */
	{B(V2 "\x21\x22\x00\x24" IPV6), PROXY_FAMILY},
	{B(V2 "\x21\x10\x00\x0c" IPV4), PROXY_FAMILY},
	{B(V2 "\x21\x01\x00\x00"), PROXY_FAMILY},
	{B(V2 "\x21\x41\x00\x0c" IPV4), PROXY_FAMILY},
	{B(V2 "\x21\x11\x08\x01"), PROXY_TOO_LONG},
	{B(V2 "\x20\x00\xff\xff"), PROXY_TOO_LONG},
	{B(V2 "\x21\x11\x00\x0e" IPV4 "\x04\x00"), PROXY_TLV},
	{B(V2 "\x21\x11\x00\x10" IPV4 "\x04\x00\x02z"), PROXY_TLV},
	{B(V2 "\x21\x11\x00\x11" IPV4 "\x03\x00\x02zz"), PROXY_TLV},
	{B(V2 "\x21\x11\x00\x13" IPV4 "\x03\x00\x04\x93\xf9\xf8\x4e"), PROXY_CHECKSUM},
};

enum { N_GOOD = sizeof(good) / sizeof(good[0]), N_BAD = sizeof(bad) / sizeof(bad[0]) };

static void is_address(const struct address *a, const char *text)
{
	char buf[ADDRESS_TEXT_MAX];

	if (text)
		assert_string_equal(address_format(a, buf), text);
	else
		assert_int_equal(a->len, 0);
}

/* Parse a copy without a byte behind it, so that a sanitizer sees who reads there. */
static int parse(const char *bytes, size_t n, struct proxy_header *h)
{
	char *copy = malloc(n ? n : 1);
	int r;

	assert_non_null(copy);
	memcpy(copy, bytes, n);
	r = proxy_parse(copy, n, h);
	free(copy);
	return r;
}

static void good_ones_whole(void **state)
{
	struct proxy_header h;

	(void)state;
	for (size_t i = 0; i < N_GOOD; i++) {
		assert_int_equal(parse(good[i].bytes, good[i].n, &h), good[i].n);
		assert_int_equal(h.version, good[i].version);
		is_address(&h.source, good[i].source);
		is_address(&h.destination, good[i].destination);
	}
}

static void every_beginning_needs_more(void **state)
{
	struct proxy_header h;

	(void)state;
	for (size_t i = 0; i < N_GOOD; i++)
		for (size_t n = 0; n < good[i].n; n++)
			assert_int_equal(parse(good[i].bytes, n, &h), 0);
}

static void what_follows_is_not_the_headers(void **state)
{
	struct proxy_header h;
	char more[4096];

	(void)state;
	for (size_t i = 0; i < N_GOOD; i++)
		for (size_t extra = 1; extra < 300; extra += 37) {
			memcpy(more, good[i].bytes, good[i].n);
			memset(more + good[i].n, extra & 1 ? '\r' : 'P', extra);
			assert_int_equal(parse(more, good[i].n + extra, &h), good[i].n);
		}
}

static void bad_ones_by_their_fault(void **state)
{
	struct proxy_header h;
	int before;

	(void)state;
	for (size_t i = 0; i < N_BAD; i++) {
		assert_int_equal(parse(bad[i].bytes, bad[i].n, &h), -(int)bad[i].fault);
		assert_non_null(proxy_faults[bad[i].fault]);
		/* As they come: never taken, and once refused, refused. */
		before = 0;
		for (size_t n = 0; n <= bad[i].n; n++) {
			int r = parse(bad[i].bytes, n, &h);

			assert_true(r <= 0);
			assert_true(before == 0 || r == before);
			before = r;
		}
	}
}

static void every_fault_has_a_test(void **state)
{
	(void)state;
	for (int fault = 1; fault < N_PROXY_FAULTS; fault++) {
		bool found = false;

		for (size_t i = 0; i < N_BAD; i++)
			found |= bad[i].fault == (enum proxy_fault)fault;
		assert_true(found);
	}
}

/* As many bytes as may be held are never too few to tell. */
static void the_longest(void **state)
{
	char header[PROXY_MAX + 1] = V2 "\x21\x11\x08\x00" IPV4 "\x04\x07\xf1";
	struct proxy_header h;

	(void)state;
	memset(header + 31, 'z', sizeof(header) - 31);
	assert_int_equal(parse(header, PROXY_MAX - 1, &h), 0);
	assert_int_equal(parse(header, PROXY_MAX, &h), PROXY_MAX);
	assert_int_equal(parse(header, PROXY_MAX + 1, &h), PROXY_MAX);
	is_address(&h.source, SOURCE4);
}

/* Some bytes changed: it is taken, refused, or more is needed; and it is so again. */
static void changed_by_chance(void **state)
{
	char bytes[1024];

	(void)state;
	srand(1);
	for (int round = 0; round < 200000; round++) {
		size_t i = (size_t)rand() % N_GOOD, n = good[i].n;
		struct proxy_header h, again;
		int r;

		memcpy(bytes, good[i].bytes, n);
		for (int k = rand() % 4; k >= 0; k--)
			bytes[(size_t)rand() % n] = (char)rand();
		r = parse(bytes, n, &h);
		assert_true(r > -N_PROXY_FAULTS && r <= (int)n);
		if (r <= 0)
			continue;
		assert_true(h.version == 1 || h.version == 2);
		assert_int_equal(parse(bytes, (size_t)r, &again), r);
		assert_memory_equal(&h.source, &again.source, sizeof(h.source));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_ones_whole),
		cmocka_unit_test(every_beginning_needs_more),
		cmocka_unit_test(what_follows_is_not_the_headers),
		cmocka_unit_test(bad_ones_by_their_fault),
		cmocka_unit_test(every_fault_has_a_test),
		cmocka_unit_test(the_longest),
		cmocka_unit_test(changed_by_chance),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
