/* SPDX-License-Identifier: ISC */
/* echoc - the client of echod and of any other server of RFC 862.  Start here:
 *
 *   echoc                which subcommand
 *    cmd_*               a subcommand each, ends in its row
 *     options            command lines from tables, --help
 *     target             names and numbers of whom to talk to
 *     sock               sockets: source, options, connect
 *      exits, moment     exit codes, time */
#include "cmd.h"
#include "exits.h"
#include "process.h"

#include "config.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

static const struct cmd *const cmds[] = {&cmd_send, &cmd_ping, &cmd_path, &cmd_load, &cmd_compare};

enum { N_CMDS = sizeof(cmds) / sizeof(cmds[0]) };

static int print_help(void)
{
	fputs("Usage: echoc COMMAND [OPTION]... HOST [PORT]\n"
	      "The client of the echo service, RFC 862: over TCP, UDP, MPTCP and UNIX sockets.\n\n",
	      stdout);
	for (int i = 0; i < N_CMDS; i++)
		printf("  %-9s %s\n", cmds[i]->name, cmds[i]->text);
	printf("\nEach COMMAND has its own --help.  -V, --version prints the version.\n"
	       "HOST is a name or a number: host, 192.0.2.1, 2001:db8::1, fe80::1%%eth0, with its\n"
	       "port as host:echo, [::1]:7, or behind it; without, the port is 7.\n\n%s",
	       exits_help());
	return EXITS_OK;
}

static int run(int argc, char *argv[])
{
	const char *word = argc > 1 ? argv[1] : "";

	if (strcmp(word, "-h") == 0 || strcmp(word, "--help") == 0 || strcmp(word, "help") == 0)
		return print_help();
	if (strcmp(word, "-V") == 0 || strcmp(word, "--version") == 0) {
		puts("echoc " PACKAGE_VERSION);
		return EXITS_OK;
	}
	for (int i = 0; i < N_CMDS; i++)
		if (strcmp(cmds[i]->name, word) == 0)
			return cmds[i]->run(argc - 1, argv + 1);
	fprintf(stderr, argc > 1 ? "echoc: no command \"%s\"\n" : "echoc: which command?%s\n",
		word);
	fputs("Try \"echoc --help\".\n", stderr);
	return EXITS_USAGE;
}

int main(int argc, char *argv[])
{
	int code;

	process_open_standard(O_PATH);
	signal(SIGPIPE, SIG_IGN);
	code = run(argc, argv);
	/* A full disk or a closed pipe must not look like success. */
	if (fflush(stdout) != 0 || ferror(stdout))
		return exits_say(EXITS_SYSTEM, "output", "cannot write");
	return code;
}
