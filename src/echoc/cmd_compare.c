/* SPDX-License-Identifier: ISC */
/* echoc compare: several servers, or every model of echod, under the same load. */
#include "cmd.h"
#include "compare.h"
#include "compare_models.h"
#include "exits.h"
#include "load_report.h"
#include "load_rows.h"
#include "moment.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct command {
	bool models, persistent, json, csv, quiet;
	int64_t rounds, workers;
	const char *echod, *plot;
};

#define FIELD(name_) .offset = offsetof(struct command, name_)

static const struct option_row rows[] = {
	{.name = "models",
	 .letter = 'm',
	 .kind = ARG_FLAG,
	 FIELD(models),
	 .text = "start echod in every model and engine; implies"},
	{.left = "", .text = "--connect-each, in which models differ most,"},
	{.name = "persistent", .kind = ARG_FLAG, FIELD(persistent), .text = "unless this is given"},
	{.name = "echod",
	 .argument = "FILE",
	 .kind = ARG_TEXT,
	 FIELD(echod),
	 .left = "    --echod FILE",
	 .text = "its program (beside echoc, or in the path)"},
	{.name = "workers",
	 .argument = "N",
	 .kind = ARG_INT,
	 .min = 1,
	 .max = 4096,
	 FIELD(workers),
	 .text = "of prefork and prethread (what the load needs)"},
	{.name = "rounds",
	 .argument = "N",
	 .kind = ARG_INT,
	 .min = 1,
	 .max = COMPARE_ROUNDS_MAX,
	 FIELD(rounds),
	 .text = "of --duration each; medians count (5)"},
	{.name = "plot",
	 .argument = "DIR",
	 .kind = ARG_TEXT,
	 FIELD(plot),
	 .text = "draw rate and latency (SVG, PNG) with gnuplot"},
	{.name = "json",
	 .letter = 'j',
	 .kind = ARG_FLAG,
	 FIELD(json),
	 .left = "-j, --json  --csv",
	 .text = "the table for programs"},
	{.name = "csv", .kind = ARG_FLAG, FIELD(csv)},
	{.name = "quiet", .letter = 'q', .kind = ARG_FLAG, FIELD(quiet), .text = "no progress"},
};

static void tell(const struct comparison *c, unsigned round, const struct contender *s)
{
	fprintf(stderr, "round %u of %u: %-20s %10.0f/s   p99 %.0f us\n", round + 1, c->rounds,
		s->name, s->sample[METRIC_RATE][round], s->sample[METRIC_P99][round]);
}

/* NAME=HOST:PORT, or HOST:PORT alone. */
static int add_target(const struct options *o, const struct load_conf *load, char *word,
		      struct comparison *c)
{
	char *equals = strchr(word, '='), *place = equals ? equals + 1 : word;
	struct contender *s = &c->server[c->n];
	const struct address *to;
	struct target target;
	const char *what = "connect";
	int fd = 0, taken;

	if (c->n == COMPARE_MAX)
		return options_error(o, "at most %d servers", COMPARE_MAX);
	s->load = *load;
	snprintf(s->name, sizeof(s->name), "%.*s", equals ? (int)(equals - word) : 63, word);
	taken = sock_take_target(o, &load->sock, 1, &place, &target);
	if (taken < 0)
		return -taken;
	to = &target.addresses[0];
	if (protocols[load->sock.protocol].stream)
		fd = sock_connect_any(&load->sock, &target, load->timeout, &to, &what);
	s->load.to = *to;
	if (fd < 0)
		return (int)exits_say(exits_of(fd), "compare", "%s: %s: %s", s->name, what,
				      strerror(-fd));
	if (fd > 0)
		close(fd);
	c->n++;
	return load_rows_check(o, &s->load);
}

static int add_all(const struct options *o, const struct command *command,
		   const struct load_conf *load, int n, char *argv[], struct comparison *c)
{
	struct compare_models m = {.load = *load, .workers = command->workers};
	char path[PATH_MAX];
	int r = OPTIONS_RUN;

	for (int i = 0; i < n && r == OPTIONS_RUN; i++)
		r = add_target(o, load, argv[i], c);
	if (r != OPTIONS_RUN || !command->models)
		return r;
	m.echod = compare_models_find(command->echod, path, sizeof(path));
	if (!m.echod)
		return (int)exits_say(EXITS_NAME, "compare",
				      "%s: no such program; use --echod FILE",
				      command->echod ? command->echod : "echod");
	return compare_models_start(&m, c) < 0 ? (int)EXITS_SYSTEM : OPTIONS_RUN;
}

static void report(const struct command *command, const struct comparison *c)
{
	json_t *json;

	if (command->csv) {
		compare_report_csv(c, stdout);
	} else if (command->json) {
		json = compare_report_json(c);
		json_dumpf(json, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(9));
		putchar('\n');
		json_decref(json);
	} else {
		compare_report_table(c, stdout);
	}
}

static int compare(const struct options *o, const struct command *command,
		   const struct load_conf *load, int n, char *argv[])
{
	struct comparison *c = calloc(1, sizeof(*c));
	const char *what;
	sigset_t signals;
	int r, code;

	if (!c)
		return (int)exits_say(EXITS_SYSTEM, "compare", "no memory");
	/* Ctrl-C is heard where it can be answered: between loads, and in them. */
	sigemptyset(&signals);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGHUP);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	c->rounds = (unsigned)command->rounds;
	c->tell = command->quiet || !isatty(STDERR_FILENO) ? NULL : tell;
	code = add_all(o, command, load, n, argv, c);
	if (code == OPTIONS_RUN) {
		r = compare_run(c, &what);
		code = compare_exit(c);
		if (r < 0)
			code = (int)exits_say(EXITS_SYSTEM, "compare", "%s: %s", what,
					      strerror(-r));
		else
			report(command, c);
		if (r == 0 && command->plot && !c->interrupted) {
			r = compare_plot(c, command->plot);
			code = code == EXITS_OK ? r : code;
		}
	}
	compare_models_stop(c);
	compare_free(c);
	free(c);
	return code;
}

static int run(int argc, char *argv[])
{
	struct load_conf load = load_rows_default();
	struct command command = {.rounds = 5};
	const struct option_group groups[] = {
		{load_rows, n_load_rows, &load},
		{rows, sizeof(rows) / sizeof(rows[0]), &command},
		{sock_rows, n_sock_rows, &load.sock},
	};
	const struct options o = {
		.command = "compare",
		.usage = "[OPTION]... NAME=HOST:PORT... | --models",
		.summary = "The same load on several servers, in turn; a table of medians.\n"
			   "Unless given, --connections is 16, --duration 1 and --warmup 0.2.",
		.examples = "  echoc compare --models --plot /tmp/models\n"
			    "  echoc compare -c 64 old=192.0.2.1:7 new=192.0.2.2:7\n",
		.groups = groups,
		.n_groups = sizeof(groups) / sizeof(groups[0]),
	};
	int r;

	load.connections = 16;
	load.duration = MOMENT_S;
	load.warmup = MOMENT_S / 5;
	r = options_parse(&o, argc, argv);
	if (r != OPTIONS_RUN)
		return r;
	if (command.models && !command.persistent && protocols[load.sock.protocol].stream)
		load.connect_each = true;
	if (command.models && load.connect_each && load.sources == 0 && !load.sock.source)
		load.sources = 64;
	if (command.models && load.sources > 0 && !load.sock.source)
		load.sock.source = "127.1.0.1";
	r = load_rows_check(&o, &load);
	if (r != OPTIONS_RUN)
		return r;
	if (command.models && protocols[load.sock.protocol].local)
		return options_error(&o, "--models: over an IP protocol");
	if (!command.models && argc == optind)
		return options_error(&o, "which servers? NAME=HOST:PORT, or --models");
	return compare(&o, &command, &load, argc - optind, argv + optind);
}

const struct cmd cmd_compare = {
	.name = "compare",
	.text = "the same load on several servers, or on every model of echod",
	.run = run};
