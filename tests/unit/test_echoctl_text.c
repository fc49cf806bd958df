/* SPDX-License-Identifier: ISC */
/* What echoctl prints: times, bytes, and nothing that a terminal obeys. */
#include "echoctl/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static void writes_durations(void **state)
{
	static const struct {
		double seconds;
		const char *text;
	} rows[] = {
		{0, "0.0 s"},
		{0.04, "0.0 s"},
		{1.26, "1.3 s"},
		{9.94, "9.9 s"},
		{9.96, "10 s"},
		{59.4, "59 s"},
		{59.6, "1 min"},
		{60, "1 min"},
		{125, "2 min 5 s"},
		{3600, "1 h"},
		{3600 + 59, "1 h"},
		{11520, "3 h 12 min"},
		{86400, "1 d"},
		{86400 * 5 + 3 * 3600 + 5, "5 d 3 h"},
		{86400.0 * 1000, "1000 d"},
		{-1, "0.0 s"},
		{1e300, "0.0 s"},
	};
	char buf[32];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_string_equal(text_duration(rows[i].seconds, buf), rows[i].text);
}

static void writes_moments_and_bytes(void **state)
{
	char buf[32];

	(void)state;
	setenv("TZ", "UTC", 1);
	assert_string_equal(text_moment(1795402627.9, buf), "2026-11-23 02:57:07");
	assert_string_equal(text_moment(-1e300, buf), "1970-01-01 00:00:00");
	assert_string_equal(text_bytes(0, buf), "0 B");
	assert_string_equal(text_bytes(1500, buf), "1.5 kB");
	assert_string_equal(text_bytes(41.3e6, buf), "41 MB");
}

/* What text_put() makes of TEXT. */
static void expect(const char *text, const char *wanted)
{
	char *got = NULL;
	size_t size;
	FILE *f = open_memstream(&got, &size);

	assert_non_null(f);
	text_put(f, text);
	fclose(f);
	assert_string_equal(got, wanted);
	free(got);
}

static void obeys_nothing(void **state)
{
	(void)state;
	expect("plain", "plain");
	expect(NULL, "-");
	expect("a\033[31mb\r\n\x7f", "a?[31mb???");
	expect("gr\xc3\xbc\xc3\x9f", "gr\xc3\xbc\xc3\x9f");
	expect("a\xc2\x9b\xc2\xa0z", "a?\xc2\xa0z"); /* C1's CSI, but not a no-break space */
	expect("\xc2", "\xc2");
	assert_int_equal(text_width("gr\xc3\xbc\xc3\x9f"), 4);
	assert_int_equal(text_width("a\xc2\x9bz\n"), 4);
	assert_int_equal(text_width(NULL), 1);
}

static void reads_fields(void **state)
{
	json_t *o = json_pack("{s:s, s:i, s:f}", "s", "text", "i", 7, "f", 0.5);

	(void)state;
	assert_string_equal(text_of(o, "s"), "text");
	assert_string_equal(text_of(o, "i"), "");
	assert_string_equal(text_of(NULL, "s"), "");
	assert_true(number_of(o, "i") == 7);
	assert_true(number_of(o, "f") == 0.5);
	assert_true(number_of(o, "s") == 0);
	json_decref(o);
}

/* Also a table of more columns than a mask has bits. */
static void aligns_every_column(void **state)
{
	enum { COLUMNS = 70 };
	struct table t = {.columns = COLUMNS, .right = ~1u};
	char line[COLUMNS * 4 + 2], wanted[COLUMNS * 4 + 2] = "a ";
	FILE *out = tmpfile();
	int saved = dup(STDOUT_FILENO);

	(void)state;
	assert_non_null(out);
	for (int i = 0; i < 2 * COLUMNS; i++)
		table_add(&t, "%s", i < COLUMNS ? "a" : "bb");
	for (int i = 1; i < COLUMNS; i++)
		strcat(wanted, "   a");
	strcat(wanted, "\n");
	fflush(stdout);
	dup2(fileno(out), STDOUT_FILENO);
	table_print(&t, 0);
	fflush(stdout);
	dup2(saved, STDOUT_FILENO);
	close(saved);
	rewind(out);
	assert_non_null(fgets(line, sizeof(line), out));
	assert_string_equal(line, wanted);
	fclose(out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(writes_durations),    cmocka_unit_test(writes_moments_and_bytes),
		cmocka_unit_test(obeys_nothing),       cmocka_unit_test(reads_fields),
		cmocka_unit_test(aligns_every_column),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
