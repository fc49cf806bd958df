/* SPDX-License-Identifier: ISC */
/* echoctl options: what was asked of each socket, and what the kernel made of it. */
#include "ctl.h"
#include "session.h"
#include "text.h"

#include <string.h>

/* A value that is not there, or is nothing, such as no interface, is a dash. */
static const char *value(const json_t *option, const char *name)
{
	const char *text = text_of(option, name);

	return text[0] ? text : "-";
}

static void add(struct table *t, const json_t *option)
{
	const char *note = "";

	if (strcmp(text_of(option, "stage"), "connection") == 0)
		note = "set on each connection";
	else if (json_is_true(json_object_get(option, "doubled")) &&
		 json_is_string(json_object_get(option, "asked")))
		note = "the kernel doubles what is set: socket(7)";
	table_add(t, "%s", text_of(option, "name"));
	table_add(t, "%s", value(option, "asked"));
	table_add(t, "%s", value(option, "effective"));
	table_add(t, "%s", note);
}

static void print_listener(const json_t *service, const json_t *listener)
{
	struct table t = {.columns = 4};
	const json_t *option;
	size_t i;

	text_put(stdout, text_of(service, "name"));
	fputs(": ", stdout);
	text_put(stdout, text_of(service, "protocol"));
	putchar(' ');
	text_put(stdout, text_of(listener, "address"));
	putchar('\n');
	table_add(&t, "OPTION");
	table_add(&t, "ASKED");
	table_add(&t, "EFFECTIVE");
	table_add(&t, "%s", "");
	json_array_foreach(json_object_get(listener, "options"), i, option) add(&t, option);
	table_print(&t, 2);
}

static enum ctl_exit run(const struct ctl *ctl)
{
	json_t *got = NULL;
	const json_t *service, *listener;
	enum ctl_exit code = session_ask(ctl, "GetOptions", ctl_about(ctl->argument), &got);
	size_t i, k, n = 0;

	if (code != CTL_OK)
		return code;
	if (ctl->json)
		ctl_print_json(got, false);
	else
		json_array_foreach(json_object_get(got, "services"), i, service)
		{
			json_array_foreach(json_object_get(service, "listeners"), k, listener)
			{
				fputs(n++ ? "\n" : "", stdout);
				print_listener(service, listener);
			}
		}
	json_decref(got);
	return CTL_OK;
}

const struct ctl_command cmd_options = {
	.name = "options",
	.argument = "[SERVICE]",
	.text = "each socket option: asked, and effective now",
	.timeout = 5000,
	.run = run,
};
