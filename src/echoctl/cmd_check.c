/* SPDX-License-Identifier: ISC */
/* echoctl check: what echod --check says, without a daemon. */
#include "cli.h"
#include "conf.h"
#include "ctl.h"
#include "varlink.h"

#include <stdio.h>

#ifndef SYSCONFDIR
# define SYSCONFDIR "/etc"
#endif

static json_t *lines(const struct problems *problems)
{
	json_t *list = json_array();

	for (size_t i = 0; i < problems->n; i++)
		json_array_append_new(list, varlink_text(problems->line[i]));
	return list;
}

static enum ctl_exit check_json(const struct conf_source *source)
{
	struct problems problems = {.n = 0}, notes = {.n = 0};
	struct conf *conf = conf_load_noting(source, &problems, &notes);
	bool ok = conf != NULL;
	json_t *got = json_pack("{s:o s:b s:o s:o}", "file", varlink_text(source->file), "ok", ok,
				"problems", lines(&problems), "notes", lines(&notes));

	ctl_print_json(got, false);
	json_decref(got);
	problems_clear(&problems);
	problems_clear(&notes);
	conf_free(conf);
	return ok ? CTL_OK : CTL_CONFIG;
}

static enum ctl_exit run(const struct ctl *ctl)
{
	char file[256];
	struct cli cli = {.action = CLI_CHECK, .source.file = file};

	snprintf(file, sizeof(file), SYSCONFDIR "/echod/%s.conf",
		 ctl->instance ? ctl->instance : "echod");
	if (ctl->argument)
		cli.source.file = ctl->argument;
	return ctl->json ? check_json(&cli.source) : (enum ctl_exit)cli_act(&cli);
}

const struct ctl_command cmd_check = {
	.name = "check",
	.argument = "[FILE]",
	.text = "what echod --check says; needs no daemon",
	.run = run,
};
