/* SPDX-License-Identifier: ISC */
/* echoctl stats: the counters; with --watch again and again, with what they grew by in a
 * second.  Each look is a connection of its own, so a daemon that was restarted is found. */
#include "ctl.h"
#include "session.h"
#include "size.h"
#include "text.h"

#include <poll.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* Two looks at the counters, and the seconds between them; before is NULL at the first. */
struct looks {
	const json_t *before, *now;
	double seconds;
};

/* The counters of service I at the look before, if it was the same service of the same
 * daemon. */
static const json_t *counters_before(const struct looks *l, const json_t *service)
{
	const json_t *old;
	size_t i;

	if (!l->before || l->seconds <= 0)
		return NULL;
	json_array_foreach(json_object_get(l->before, "services"), i,
			   old) if (strcmp(text_of(old, "name"), text_of(service, "name")) ==
				    0) return json_object_get(old, "counters");
	return NULL;
}

/* Growth in a second; of what is no total, such as connections_active, too. */
static double growth(const struct looks *l, const json_t *before, const json_t *now,
		     const char *counter)
{
	return (number_of(now, counter) - number_of(before, counter)) / l->seconds;
}

static void add_rate(struct table *t, const struct looks *l, const json_t *before,
		     const json_t *now, const char *counter)
{
	double rate = before ? growth(l, before, now, counter) : 0;
	char text[SIZE_TEXT_MAX];

	if (rate == 0)
		table_add(t, "%s", before ? "" : "-");
	else
		table_add(t, "%s%s/s", rate < 0 ? "-" : "",
			  size_short(rate < 0 ? -rate : rate, text));
}

/* A row for each counter, and for each service a column, or two with rates. */
static void print_table(const struct looks *l, bool rates)
{
	json_t *services = json_object_get(l->now, "services");
	json_t *first = json_object_get(json_array_get(services, 0), "counters"), *value;
	struct table t = {.columns = 1 + json_array_size(services) * (rates ? 2 : 1), .right = ~1u};
	const json_t *service;
	const char *counter;
	size_t i;

	table_add(&t, "COUNTER");
	json_array_foreach(services, i, service)
	{
		table_add(&t, "%s", text_of(service, "name"));
		if (rates)
			table_add(&t, "%s", "");
	}
	json_object_foreach(first, counter, value)
	{
		table_add(&t, "%s", counter);
		json_array_foreach(services, i, service)
		{
			const json_t *now = json_object_get(service, "counters");

			table_add(&t, "%.0f", number_of(now, counter));
			if (rates)
				add_rate(&t, l, counters_before(l, service), now, counter);
		}
	}
	table_print(&t, 0);
}

/* Give each service what its counters grew by, a second. */
static void add_rates(const struct looks *l)
{
	json_t *service, *value;
	const char *counter;
	size_t i;

	json_array_foreach(json_object_get(l->now, "services"), i, service)
	{
		const json_t *before = counters_before(l, service);
		json_t *now = json_object_get(service, "counters"), *rates = json_object();

		json_object_foreach(now, counter, value) if (before)
			json_object_set_new(rates, counter,
					    json_real(growth(l, before, now, counter)));
		json_object_set_new(service, "rates", rates);
	}
}

static void print(const struct ctl *ctl, const struct looks *l, bool first)
{
	char moment[32];

	if (ctl->json) {
		if (ctl->watch)
			add_rates(l);
		ctl_print_json(l->now, ctl->watch);
		return;
	}
	/* A terminal shows the latest look, a pipe has them all. */
	if (ctl->watch && isatty(STDOUT_FILENO))
		fputs("\033[H\033[2J", stdout);
	else if (!first)
		putchar('\n');
	if (ctl->watch)
		printf("%s, up for %s\n", text_moment((double)time(NULL), moment),
		       text_duration(number_of(l->now, "uptime"), (char[32]){0}));
	print_table(l, ctl->watch);
}

static enum ctl_exit run(const struct ctl *ctl)
{
	struct looks l = {.before = NULL};
	enum ctl_exit code = CTL_OK;
	json_t *before = NULL;

	for (int64_t i = 0; code == CTL_OK && (ctl->count == 0 || i < ctl->count); i++) {
		json_t *now = NULL;

		if (i > 0)
			poll(NULL, 0, (int)ctl->interval);
		code = session_ask(ctl, "GetStats", ctl_about(ctl->argument), &now);
		if (code == CTL_OK) {
			l = (struct looks){before, now,
					   number_of(now, "uptime") - number_of(before, "uptime")};
			print(ctl, &l, i == 0);
			if (fflush(stdout) != 0)
				code = CTL_OUTPUT; /* main() tells */
		}
		json_decref(before);
		before = now;
	}
	json_decref(before);
	return code;
}

const struct ctl_command cmd_stats = {
	.name = "stats",
	.argument = "[SERVICE]",
	.text = "the counters; with --watch what they grow by",
	.watches = true,
	.timeout = 5000,
	.run = run,
};
