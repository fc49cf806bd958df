/* SPDX-License-Identifier: ISC */
/* echoc path. */
#include "cmd.h"
#include "exits.h"

static int run(int argc, char *argv[])
{
	(void)argc;
	return exits_say(EXITS_USAGE, argv[0], "not there yet");
}

const struct cmd cmd_path = {.name = "path", .text = "not there yet", .run = run};
