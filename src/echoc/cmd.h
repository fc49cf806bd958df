/* SPDX-License-Identifier: ISC */
/* cmd.h - the subcommands of echoc, a row each; each is a file that ends in its row. */
#ifndef ECHOC_CMD_H
#define ECHOC_CMD_H

struct cmd {
	const char *name; /* "send" */
	const char *text; /* one line for `echoc --help` */
	/* Do it; ARGV[0] is the subcommand's name.  Returns the exit code (exits.h). */
	int (*run)(int argc, char *argv[]);
};

extern const struct cmd cmd_send, cmd_ping, cmd_load, cmd_compare, cmd_path;

#endif
