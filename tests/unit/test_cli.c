/* SPDX-License-Identifier: ISC */
/* Command lines: what they mean, and which are refused. */
#include "cli.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include <cmocka.h>

/* What TEXT, split at its blanks, is parsed to; what is said goes nowhere. */
static enum cli_action parse(const char *text, struct cli *cli)
{
	static char copy[512];
	char name[] = "echod", *argv[32] = {name}, *save = NULL;
	int argc = 1, old = dup(STDERR_FILENO);
	enum cli_action action;

	snprintf(copy, sizeof(copy), "%s", text);
	for (char *p = strtok_r(copy, " ", &save); p; p = strtok_r(NULL, " ", &save))
		argv[argc++] = p;
	assert_non_null(freopen("/dev/null", "w", stderr));
	action = cli_parse(argc, argv, cli);
	fflush(stderr);
	dup2(old, STDERR_FILENO);
	close(old);
	return action;
}

static void test_actions(void **state)
{
	static const struct {
		const char *text;
		enum cli_action action;
	} rows[] = {
		{"", CLI_RUN},
		{"-c x", CLI_RUN},
		{"--config=x -o a=b -o c=d", CLI_RUN},
		{"--listen tcp:x --model fork --engine auto --workers 3", CLI_RUN},
		{"--daemon", CLI_RUN},
		{"--daemon --pid-file x", CLI_RUN},
		{"--pid-file x", CLI_RUN},
		{"--pid-file=", CLI_USAGE_ERROR},
		{"--daemon=yes", CLI_USAGE_ERROR},
		{"-t", CLI_CHECK},
		{"--check -c x", CLI_CHECK},
		{"-t -t", CLI_CHECK},
		{"--dump-config", CLI_DUMP},
		{"--list-options", CLI_LIST_OPTIONS},
		{"-V", CLI_VERSION},
		{"--version", CLI_VERSION},
		{"-h", CLI_HELP},
		{"--help -t", CLI_HELP},
		{"-t --help", CLI_HELP},
		{"--help stray", CLI_HELP},
		{"-t --dump-config", CLI_USAGE_ERROR},
		{"stray", CLI_USAGE_ERROR},
		{"-x", CLI_USAGE_ERROR},
		{"--nosuch", CLI_USAGE_ERROR},
		{"--check=1", CLI_USAGE_ERROR},
		{"-c", CLI_USAGE_ERROR},
		{"--listen", CLI_USAGE_ERROR},
		{"-c x --listen tcp:y", CLI_USAGE_ERROR},
		{"--model fork", CLI_USAGE_ERROR},
		{"--engine epoll -c x", CLI_USAGE_ERROR},
		{"--workers 2", CLI_USAGE_ERROR},
		{"-o backlog", CLI_USAGE_ERROR},
		{"-o =5", CLI_USAGE_ERROR},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct cli cli;

		if (parse(rows[i].text, &cli) != rows[i].action)
			fail_msg("%s: %d", rows[i].text, cli.action);
		assert_int_equal(cli.action, rows[i].action);
		cli_clear(&cli);
	}
}

static void test_source(void **state)
{
	struct cli cli;

	(void)state;
	parse("", &cli);
	assert_string_equal(cli.source.file + strlen(cli.source.file) - 17, "/echod/echod.conf");
	assert_null(cli.source.listen);
	assert_null(cli.source.overrides);
	cli_clear(&cli);

	parse("-c x -o a=b -oc=d", &cli);
	assert_string_equal(cli.source.file, "x");
	assert_string_equal(cli.source.overrides[0], "a=b");
	assert_string_equal(cli.source.overrides[1], "c=d");
	assert_null(cli.source.overrides[2]);
	cli_clear(&cli);

	parse("--listen tcp:a --listen=udp:b --model m --engine e --workers 4", &cli);
	assert_null(cli.source.file);
	assert_string_equal(cli.source.listen[1], "udp:b");
	assert_null(cli.source.listen[2]);
	assert_string_equal(cli.source.model, "m");
	assert_string_equal(cli.source.engine, "e");
	assert_string_equal(cli.source.workers, "4");
	cli_clear(&cli);
	assert_null(cli.source.model);
}

static void test_pid_file(void **state)
{
	struct cli cli;

	(void)state;
	parse("", &cli);
	assert_false(cli.daemon);
	assert_null(cli.pid_file);
	cli_clear(&cli);

	parse("--pid-file x", &cli);
	assert_false(cli.daemon);
	assert_string_equal(cli.pid_file, "x");
	cli_clear(&cli);

	/* A daemon leaves the directory in which a relative name means something. */
	parse("--daemon --pid-file x -c y", &cli);
	assert_true(cli.daemon);
	assert_int_equal(cli.pid_file[0], '/');
	assert_string_equal(strrchr(cli.pid_file, '/'), "/x");
	assert_int_equal(cli.source.file[0], '/');
	assert_string_equal(strrchr(cli.source.file, '/'), "/y");
	cli_clear(&cli);

	parse("--daemon --pid-file /a/x -c /b/y", &cli);
	assert_string_equal(cli.pid_file, "/a/x");
	assert_string_equal(cli.source.file, "/b/y");
	cli_clear(&cli);

	parse("--daemon", &cli);
	assert_string_equal(cli.pid_file + strlen(cli.pid_file) - 10, "/echod.pid");
	cli_clear(&cli);
}

static void test_usage_code(void **state)
{
	struct cli cli;

	(void)state;
	parse("--nosuch", &cli);
	assert_int_equal(cli_act(&cli), EX_USAGE);
	cli_clear(&cli);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_actions),
		cmocka_unit_test(test_source),
		cmocka_unit_test(test_pid_file),
		cmocka_unit_test(test_usage_code),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
