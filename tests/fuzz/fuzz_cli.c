/* SPDX-License-Identifier: ISC */
/* The command line: each line of the input is an argument. */
#include "fuzz.h"

#include "cli.h"
#include "conf.h"
#include "world.h"

#include <fcntl.h>
#include <getopt.h>
#include <unistd.h>

enum { ARGUMENTS = 40 };

/* What is wrong is said on standard error; nobody reads it here. */
static void be_quiet(void)
{
	static int null = -1;

	if (null < 0) {
		null = open("/dev/null", O_WRONLY | O_CLOEXEC);
		stderr = fdopen(null, "w");
		setvbuf(stderr, NULL, _IOFBF, BUFSIZ);
	}
}

static void load(const struct cli *cli)
{
	struct problems problems = {0};
	struct conf *c = conf_load(&cli->source, &problems);

	PROMISE(!c == (problems.n > 0));
	problems_clear(&problems);
	conf_free(c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = fuzz_text(data, size), *rest = text, *argv[ARGUMENTS + 2];
	char name[] = "echod";
	struct cli cli = {0};
	enum cli_action action;
	int argc = 0;

	be_quiet();
	world_has_rings(size % 2);
	argv[argc++] = name;
	for (char *line; argc <= ARGUMENTS && (line = strsep(&rest, "\n"));)
		argv[argc++] = line;
	argv[argc] = NULL;
	optind = 0; /* getopt(3) begins anew */
	action = cli_parse(argc, argv, &cli);
	if (action == CLI_RUN || action == CLI_CHECK || action == CLI_DUMP)
		load(&cli);
	cli_clear(&cli);
	free(text);
	return 0;
}
