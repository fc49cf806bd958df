/* SPDX-License-Identifier: ISC */
/* Runs a target over the inputs in tests/fuzz/corpus/NAME: what fuzzing has begun with and
 * what it has found. */
#include "fuzz.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static void replay_file(const char *path)
{
	static uint8_t data[1 << 20];
	FILE *f = fopen(path, "rb");
	size_t size;

	assert_non_null(f);
	size = fread(data, 1, sizeof(data), f);
	fclose(f);
	print_message("%s\n", path);
	LLVMFuzzerTestOneInput(data, size);
}

static void test_replay(void **state)
{
	const char *srcdir = getenv("srcdir");
	char path[600];
	unsigned n = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "%s/tests/fuzz/corpus/%s", srcdir ? srcdir : ".",
		 (const char *)*state);
	dir = opendir(path);
	assert_non_null(dir);
	for (struct dirent *e; (e = readdir(dir));) {
		char file[sizeof(path) + sizeof(e->d_name) + 1];

		if (e->d_name[0] == '.')
			continue;
		snprintf(file, sizeof(file), "%s/%s", path, e->d_name);
		replay_file(file);
		n++;
	}
	closedir(dir);
	assert_true(n > 0);
}

int main(int argc, char *argv[])
{
	const char *name = strrchr(argv[0], '_');
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_prestate(test_replay, (void *)(uintptr_t)(name + 1)),
	};

	(void)argc;
	if (!name)
		return EXIT_FAILURE;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
