/* SPDX-License-Identifier: ISC */
/* cli.h - the command line, and the actions that need no daemon. */
#ifndef ECHOD_CLI_H
#define ECHOD_CLI_H

#include "conf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

enum cli_action {
	CLI_RUN,
	CLI_CHECK,
	CLI_DUMP,
	CLI_LIST_OPTIONS,
	CLI_VERSION,
	CLI_HELP,
	CLI_USAGE_ERROR /* the user was told on stderr */
};

/* A parsed command line. */
struct cli {
	enum cli_action action;
	struct conf_source source;        /* what it points to is argv's and the lists' */
	const char **listen, **overrides; /* owned, NULL-terminated */
	size_t n_listen, n_overrides;
	bool daemon;          /* leave the terminal */
	const char *pid_file; /* argv's or static; NULL: none */
	char *absolute[2];    /* owned: the files of a daemon, which leaves this directory */
};

/* Parse ARGV into *CLI, which cli_clear() frees.  Never ends the process.  Returns
 * CLI->action. */
enum cli_action cli_parse(int argc, char *argv[], struct cli *cli);

/* Free the lists of CLI. */
void cli_clear(struct cli *cli);

/* Do the action of CLI (any but CLI_RUN).  Returns the exit code, as in sysexits.h. */
int cli_act(const struct cli *cli);

/* Print the lines of P to OUT, which is standard error: marked as errors if that is the
 * journal's. */
void cli_print_problems(const struct problems *p, FILE *out);

#endif
