/* SPDX-License-Identifier: ISC */
/* The rows of system calls: in order, few, and as docs/sandbox.md tells.
 *
 * "test_sandbox table" prints the tables of that document. */
#include "engines.h"
#include "kinds.h"
#include "sandbox_calls.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { MOST = 35 /* calls of a worker */ };

static unsigned count_allowed(unsigned parts)
{
	unsigned n = 0;

	for (int number = 0; number < NUMBERS; number++) {
		const struct sandbox_call *c = kinds_row(number, parts);

		n += c && c->action == SANDBOX_ALLOW;
	}
	return n;
}

static char *words_of(unsigned parts, char *buf, size_t size)
{
	size_t n = 0;

	buf[0] = '\0';
	for (int i = 0; i < N_CALLS_PARTS; i++)
		if (parts >> i & 1)
			n += (size_t)snprintf(buf + n, size - n, "%s%s", n ? ", " : "",
					      sandbox_parts[i]);
	return buf;
}

static const char *const answers[] = {
	[SANDBOX_ALLOW] = "",
	[SANDBOX_ENOSYS] = "ENOSYS: ",
	[SANDBOX_EACCES] = "EACCES: ",
	[SANDBOX_EPERM] = "EPERM: ",
};

static void write_rows(FILE *out)
{
	char who[200];

	fputs("| call | who | why |\n|---|---|---|\n", out);
	for (size_t i = 0; i < n_sandbox_calls; i++)
		fprintf(out, "| `%s` | %s | %s%s |\n", sandbox_calls[i].name,
			words_of(sandbox_calls[i].parts, who, sizeof(who)),
			answers[sandbox_calls[i].action], sandbox_calls[i].why);
}

static void write_kinds(FILE *out)
{
	char parts[200];

	fputs("| process | parts | calls |\n|---|---|---|\n", out);
	for (size_t i = 0; i < n_kinds; i++)
		fprintf(out, "| %s | %s | %u |\n", kinds[i].name,
			words_of(kinds[i].parts, parts, sizeof(parts)),
			count_allowed(kinds[i].parts));
}

static void test_rows(void **state)
{
	(void)state;
	for (size_t i = 0; i < n_sandbox_calls; i++) {
		const struct sandbox_call *c = &sandbox_calls[i];

		assert_non_null(c->why);
		assert_true(c->parts != 0);
		assert_true((c->value & ~c->mask) == 0);
		if (i > 0 && strcmp(c[-1].name, c->name) >= 0) {
			assert_string_equal(c[-1].name, c->name);
			assert_int_equal(c[-1].parts & c->parts, 0);
		}
	}
}

/* Are all calls known by their names, and all engines built in? */
static bool is_whole(void)
{
	return count_allowed(CALLS_WORKER) > 0 && engine_uring.calls != 0;
}

static void test_few(void **state)
{
	(void)state;
	if (!is_whole())
		skip();
	assert_true(n_kinds > 10);
	for (size_t i = 0; i < n_kinds; i++)
		if (count_allowed(kinds[i].parts) > MOST)
			fail_msg("%s: %u calls, %d are the limit", kinds[i].name,
				 count_allowed(kinds[i].parts), MOST);
}

/* The document has both tables as they are made here; counts are those of this architecture, and
 * of a build with everything. */
static void test_document(void **state)
{
	const char *srcdir = getenv("srcdir");
	char file[512], *document = NULL, *table = NULL;
	size_t size = 0;
	FILE *f;

	(void)state;
	snprintf(file, sizeof(file), "%s/docs/sandbox.md", srcdir ? srcdir : ".");
	f = fopen(file, "r");
	if (!f)
		skip();
	assert_true(getdelim(&document, &size, '\0', f) > 0);
	fclose(f);
	f = open_memstream(&table, &size);
	write_rows(f);
	fclose(f);
	if (!strstr(document, table))
		fail_msg("docs/sandbox.md has not the rows that this has:\n%s", table);
	free(table);
#ifdef __x86_64__
	f = open_memstream(&table, &size);
	write_kinds(f);
	fclose(f);
	if (is_whole() && !strstr(document, table))
		fail_msg("docs/sandbox.md has not the kinds that this has:\n%s", table);
	free(table);
#endif
	free(document);
}

int main(int argc, char *argv[])
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_few),
		cmocka_unit_test(test_document),
	};

	if (argc > 1 && strcmp(argv[1], "table") == 0) {
		kinds_list(NULL);
		write_kinds(stdout);
		putchar('\n');
		write_rows(stdout);
		return 0;
	}
	return cmocka_run_group_tests(tests, kinds_list, NULL);
}
