/* SPDX-License-Identifier: ISC */
/* echoctl status: an overview for people; --json has all there is. */
#include "ctl.h"
#include "session.h"
#include "size.h"
#include "text.h"

#include <string.h>

/* The words of the start-up log, and what is missing. */
static void print_sandbox(const json_t *sandbox)
{
	const char *missing = json_string_value(json_object_get(sandbox, "missing"));
	double landlock = number_of(sandbox, "landlock");
	const char *between = ": ";

	printf("  sandbox        ");
	text_put(stdout, text_of(sandbox, "mode"));
	if (json_is_true(json_object_get(sandbox, "seccomp"))) {
		printf("%sseccomp", between);
		between = ", ";
	}
	if (landlock > 0)
		printf("%sLandlock ABI %.0f", between, landlock);
	if (missing) {
		fputs("; this system has ", stdout);
		text_put(stdout, missing);
	}
	putchar('\n');
}

/* Pairs of a name and what it says, in two columns. */
static void print_daemon(const json_t *got)
{
	const json_t *config = json_object_get(got, "config");
	char duration[32], moment[32];

	printf("echod ");
	text_put(stdout, text_of(got, "version"));
	printf(", pid %.0f, ", number_of(got, "pid"));
	text_put(stdout, text_of(got, "state"));
	printf(", up for %s since %s\n", text_duration(number_of(got, "uptime"), duration),
	       text_moment(number_of(got, "started"), moment));
	printf("  configuration  ");
	text_put(stdout, json_is_null(json_object_get(config, "file")) ? "the command line"
								       : text_of(config, "file"));
	printf(", loaded %s ago\n", text_duration(number_of(config, "age"), duration));
	printf("  control        ");
	text_put(stdout, text_of(got, "control"));
	putchar('\n');
	print_sandbox(json_object_get(got, "sandbox"));
}

static void print_rates(const char *name, const json_t *rates, bool streams, bool datagrams)
{
	char a[SIZE_TEXT_MAX], in[32], out[32];

	printf("  %-14s %s echoes/s", name, size_short(number_of(rates, "echoes"), a));
	if (streams)
		printf(", %s connections/s", size_short(number_of(rates, "connections"), a));
	if (datagrams)
		printf(", %s datagrams/s", size_short(number_of(rates, "datagrams"), a));
	printf(", %s/s in, %s/s out\n", text_bytes(number_of(rates, "bytes_in"), in),
	       text_bytes(number_of(rates, "bytes_out"), out));
}

/* The values of an array or an object, in one line. */
static void print_list(const char *name, const json_t *list)
{
	const json_t *value;
	size_t i;

	printf("  %-14s ", name);
	json_array_foreach(list, i, value)
	{
		fputs(i ? ", " : "", stdout);
		text_put(stdout, json_string_value(value));
	}
	puts(i ? "" : "nothing");
}

static void print_numbers(json_t *list)
{
	json_t *value;
	size_t i;

	json_array_foreach(list, i, value)
		printf("%s%.10g", i ? "," : "=", json_number_value(value));
}

static void print_settings(json_t *settings)
{
	const char *name;
	json_t *value;

	printf("  %-14s", "settings");
	json_object_foreach(settings, name, value)
	{
		putchar(' ');
		text_put(stdout, name);
		if (json_is_string(value)) {
			putchar('=');
			text_put(stdout, json_string_value(value));
		} else if (json_is_boolean(value)) {
			printf("=%s", json_is_true(value) ? "true" : "false");
		} else if (json_is_array(value)) {
			print_numbers(value);
		} else {
			printf("=%.10g", json_number_value(value));
		}
	}
	putchar('\n');
}

static void print_workers(const json_t *workers)
{
	struct table t = {.columns = 5, .right = 1 << 1 | 1 << 2};
	const json_t *w;
	char duration[32];
	size_t i;

	json_array_foreach(workers, i, w)
	{
		double restarts = number_of(w, "restarts");

		table_add(&t, "worker %.0f", number_of(w, "number"));
		table_add(&t, "pid %.0f", number_of(w, "pid"));
		table_add(&t, "%s", text_duration(number_of(w, "age"), duration));
		table_add(&t, "%s",
			  number_of(w, "pid") == 0                 ? "not running"
			  : json_is_true(json_object_get(w, "up")) ? "up"
								   : "starting");
		if (restarts > 0)
			table_add(&t, "%.0f restart%s", restarts, restarts == 1 ? "" : "s");
		else
			table_add(&t, "%s", "");
	}
	table_print(&t, 2);
}

static void print_service(const json_t *service)
{
	bool streams = json_object_get(service, "max_clients") != NULL;
	double draining = number_of(service, "connections_draining");

	putchar('\n');
	text_put(stdout, text_of(service, "name"));
	printf(": ");
	text_put(stdout, text_of(service, "protocol"));
	printf(", model ");
	text_put(stdout, text_of(service, "model"));
	printf(", engine ");
	text_put(stdout, text_of(service, "engine"));
	putchar('\n');
	print_list("listens on", json_object_get(service, "listeners"));
	if (streams) {
		printf("  %-14s %.0f of %.0f", "connections", number_of(service, "connections"),
		       number_of(service, "max_clients"));
		if (draining > 0)
			printf(", %.0f of them draining", draining);
		putchar('\n');
	}
	print_rates("rates", json_object_get(service, "rates"), streams, !streams);
	print_settings(json_object_get(service, "settings"));
	print_workers(json_object_get(service, "workers"));
}

static enum ctl_exit run(const struct ctl *ctl)
{
	json_t *got = NULL;
	const json_t *service;
	enum ctl_exit code = session_ask(ctl, "GetStatus", ctl_about(ctl->argument), &got);
	size_t i;

	if (code != CTL_OK)
		return code;
	if (ctl->json) {
		ctl_print_json(got, false);
	} else {
		print_daemon(got);
		printf("  %-14s %.0f\n", "connections", number_of(got, "connections"));
		print_rates("rates", json_object_get(got, "rates"), true, true);
		json_array_foreach(json_object_get(got, "services"), i, service)
			print_service(service);
	}
	json_decref(got);
	return CTL_OK;
}

const struct ctl_command cmd_status = {
	.name = "status",
	.argument = "[SERVICE]",
	.text = "services, listeners, workers, connections, rates",
	.timeout = 5000,
	.run = run,
};
