/* SPDX-License-Identifier: ISC */
/* The command line.  One table drives getopt_long(3) and --help. */
#include "cli.h"

#include "config.h"
#include "daemon.h"
#include "log.h"

#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#ifndef SYSCONFDIR
# define SYSCONFDIR "/etc"
#endif

#ifndef RUNSTATEDIR
# define RUNSTATEDIR "/run"
#endif

#define DEFAULT_FILE     SYSCONFDIR "/echod/echod.conf"
#define DEFAULT_PID_FILE RUNSTATEDIR "/echod.pid"

/* Where an option's argument goes. */
enum target {
	TO_ACTION,
	TO_FILE,
	TO_LISTEN,
	TO_OVERRIDE,
	TO_MODEL,
	TO_ENGINE,
	TO_WORKERS,
	TO_DAEMON,
	TO_PID_FILE
};

struct option_row {
	const char *name;
	char letter;          /* or 0 */
	const char *argument; /* its name in --help; NULL: none */
	enum target target;
	enum cli_action action; /* of TO_ACTION */
	const char *text;
};

static const struct option_row rows[] = {
	{"config", 'c', "FILE", TO_FILE, 0, "read FILE instead of " DEFAULT_FILE},
	{"check", 't', NULL, TO_ACTION, CLI_CHECK,
	 "check the configuration and say what it serves"},
	{"dump-config", 0, NULL, TO_ACTION, CLI_DUMP,
	 "print every key in force, as a configuration"},
	{"override", 'o', "PATH=VALUE", TO_OVERRIDE, 0, "set one key: -o 'services[0].backlog=64'"},
	{"listen", 0, "PROTO:ADDR", TO_LISTEN, 0, "serve ADDR without any file; may be repeated"},
	{"model", 0, "MODEL", TO_MODEL, 0, "concurrency model of --listen's services"},
	{"engine", 0, "ENGINE", TO_ENGINE, 0, "engine of --listen's services"},
	{"workers", 0, "N", TO_WORKERS, 0, "their executors; 0 = one for each processor"},
	{"daemon", 0, NULL, TO_DAEMON, 0, "leave the terminal; done when the daemon serves"},
	{"pid-file", 0, "FILE", TO_PID_FILE, 0,
	 "hold FILE with the pid; with --daemon: " DEFAULT_PID_FILE},
	{"list-options", 0, NULL, TO_ACTION, CLI_LIST_OPTIONS, "print the socket options"},
	{"version", 'V', NULL, TO_ACTION, CLI_VERSION, "print the version"},
	{"help", 'h', NULL, TO_ACTION, CLI_HELP, "print this"},
};

enum { N_ROWS = sizeof(rows) / sizeof(rows[0]), FIRST_VALUE = 256 };

/* Tell the user what is wrong with the command line. */
__attribute__((format(printf, 2, 3))) static enum cli_action usage_error(struct cli *cli,
									 const char *fmt, ...)
{
	va_list ap;

	fprintf(stderr, "%sechod: ", log_prefix(LOG_ERR));
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputs("\nTry \"echod --help\".\n", stderr);
	cli->action = CLI_USAGE_ERROR;
	return cli->action;
}

/* What getopt_long(3) needs.  An option's value is FIRST_VALUE + its row. */
static void make_tables(struct option longs[N_ROWS + 1], char letters[2 * N_ROWS + 2])
{
	char *p = letters;

	*p++ = ':'; /* tell a missing argument from an unknown option */
	for (int i = 0; i < N_ROWS; i++) {
		longs[i] = (struct option){.name = rows[i].name,
					   .has_arg = rows[i].argument ? required_argument
								       : no_argument,
					   .val = FIRST_VALUE + i};
		if (rows[i].letter)
			*p++ = rows[i].letter;
		if (rows[i].letter && rows[i].argument)
			*p++ = ':';
	}
	longs[N_ROWS] = (struct option){0};
	*p = '\0';
}

/* The row of what getopt_long(3) returned, or NULL. */
static const struct option_row *find_row(int value)
{
	if (value >= FIRST_VALUE)
		return &rows[value - FIRST_VALUE];
	for (int i = 0; i < N_ROWS; i++)
		if (rows[i].letter == value)
			return &rows[i];
	return NULL;
}

static int append(const char ***list, size_t *n, const char *text)
{
	const char **grown = reallocarray(*list, *n + 2, sizeof(*grown));

	if (!grown)
		return -ENOMEM;
	grown[*n] = text;
	grown[++*n] = NULL;
	*list = grown;
	return 0;
}

/* Note an option that was given. */
static int take(struct cli *cli, const struct option_row *row, const char *argument)
{
	switch (row->target) {
	case TO_ACTION:
		/* Who asks for help gets it, whatever else is there. */
		if (cli->action != CLI_HELP && (cli->action == CLI_RUN || row->action == CLI_HELP))
			cli->action = row->action;
		else if (cli->action != row->action && cli->action != CLI_HELP)
			usage_error(cli, "--%s does not go with another action", row->name);
		break;
	case TO_FILE:
		cli->source.file = argument;
		break;
	case TO_LISTEN:
		return append(&cli->listen, &cli->n_listen, argument);
	case TO_OVERRIDE:
		return append(&cli->overrides, &cli->n_overrides, argument);
	case TO_MODEL:
		cli->source.model = argument;
		break;
	case TO_ENGINE:
		cli->source.engine = argument;
		break;
	case TO_WORKERS:
		cli->source.workers = argument;
		break;
	case TO_DAEMON:
		cli->daemon = true;
		break;
	case TO_PID_FILE:
		cli->pid_file = argument;
		break;
	}
	return 0;
}

/* Rules between the options. */
static void check(struct cli *cli)
{
	const struct conf_source *s = &cli->source;

	if (s->file && cli->n_listen > 0)
		usage_error(cli, "--config and --listen exclude each other");
	else if (cli->n_listen == 0 && (s->model || s->engine || s->workers))
		usage_error(cli, "--%s needs --listen (with a file, use -o 'services[0].%s=...')",
			    s->model    ? "model"
			    : s->engine ? "engine"
					: "workers",
			    s->model    ? "model"
			    : s->engine ? "engine"
					: "workers");
	else if (cli->pid_file && !cli->pid_file[0])
		usage_error(cli, "--pid-file needs the name of a file");
	for (size_t i = 0; cli->action != CLI_USAGE_ERROR && i < cli->n_overrides; i++)
		if (cli->overrides[i][0] == '=' || !strchr(cli->overrides[i], '='))
			usage_error(cli, "-o needs PATH=VALUE, not \"%s\"", cli->overrides[i]);
}

/* *PATH so that it is found from every directory; *OWNED is to be freed. */
static int make_absolute(const char **path, char **owned)
{
	if (!*path)
		return 0;
	*owned = daemon_absolute(*path);
	if (!*owned)
		return -errno;
	*path = *owned;
	return 0;
}

/* What was not said; and a daemon leaves the directory that relative names start in. */
static void complete(struct cli *cli)
{
	if (!cli->source.file && cli->n_listen == 0)
		cli->source.file = DEFAULT_FILE;
	if (!cli->daemon)
		return;
	if (!cli->pid_file)
		cli->pid_file = DEFAULT_PID_FILE;
	if (make_absolute(&cli->source.file, &cli->absolute[0]) < 0 ||
	    make_absolute(&cli->pid_file, &cli->absolute[1]) < 0)
		usage_error(cli, "--daemon: the current directory: %m");
}

enum cli_action cli_parse(int argc, char *argv[], struct cli *cli)
{
	struct option longs[N_ROWS + 1];
	char letters[2 * N_ROWS + 2];
	int value;

	*cli = (struct cli){.action = CLI_RUN};
	make_tables(longs, letters);
	opterr = 0;
	optind = 0; /* from the start, although it was called before */
	while ((value = getopt_long(argc, argv, letters, longs, NULL)) != -1) {
		const struct option_row *row = find_row(value);

		if (value == ':')
			return usage_error(cli, "%s needs an argument", argv[optind - 1]);
		if (!row && optopt && optopt < FIRST_VALUE)
			return usage_error(cli, "unknown option -%c", optopt);
		if (!row)
			return usage_error(cli, "unknown option %s, or one that takes no argument",
					   argv[optind - 1]);
		if (take(cli, row, optarg) < 0)
			return usage_error(cli, "out of memory");
		if (cli->action == CLI_USAGE_ERROR)
			return cli->action;
	}
	if (cli->action == CLI_HELP || cli->action == CLI_VERSION)
		return cli->action;
	if (optind < argc)
		return usage_error(cli, "unexpected argument \"%s\"", argv[optind]);
	check(cli);
	cli->source.listen = cli->listen;
	cli->source.overrides = cli->overrides;
	complete(cli);
	return cli->action;
}

void cli_clear(struct cli *cli)
{
	free(cli->listen);
	free(cli->overrides);
	free(cli->absolute[0]);
	free(cli->absolute[1]);
	*cli = (struct cli){.action = CLI_RUN};
}

void cli_print_problems(const struct problems *p, FILE *out)
{
	for (size_t i = 0; i < p->n; i++)
		fprintf(out, "%s%s\n", log_prefix(LOG_ERR), p->line[i]);
}

static void print_help(FILE *out)
{
	char left[40];

	fputs("Usage: echod [-c FILE] [OPTION]...\n"
	      "       echod --listen PROTO:ADDR [--listen PROTO:ADDR]... [OPTION]...\n"
	      "The echo service of RFC 862 over TCP, UDP, MPTCP and UNIX sockets.\n\n",
	      out);
	for (int i = 0; i < N_ROWS; i++) {
		const struct option_row *row = &rows[i];

		snprintf(left, sizeof(left), "%c%c%s --%s%s%s", row->letter ? '-' : ' ',
			 row->letter ? row->letter : ' ', row->letter ? "," : " ", row->name,
			 row->argument ? " " : "", row->argument ? row->argument : "");
		fprintf(out, "  %-27s %s\n", left, row->text);
	}
	fputs("\nPROTO is one of", out);
	for (int i = 0; i < N_PROTOCOLS; i++)
		fprintf(out, "%s %s", i ? "," : "", protocols[i].name);
	fputs(".\n\nModels:\n", out);
	for (size_t i = 0; models[i]; i++)
		fprintf(out, "  %-10s %s\n", models[i]->name, models[i]->text);
	fputs("Engines:\n", out);
	for (size_t i = 0; engines[i]; i++)
		fprintf(out, "  %-10s %s\n", engines[i]->name, engines[i]->text);
	fputs("\nExamples:\n"
	      "  echod --listen tcp:127.0.0.1:7007 --listen 'udp:*:7007' --model prefork\n"
	      "  echod -c echod.conf --check\n"
	      "  echod -c echod.conf -o 'services[0].socket.SO_RCVBUF=64K'\n"
	      "  echod --daemon -c echod.conf && kill -HUP $(cat " DEFAULT_PID_FILE ")\n"
	      "Signals: HUP reloads, TERM drains and stops, USR1 logs the counters.\n",
	      out);
}

static void print_services(const struct conf *conf, FILE *out)
{
	for (size_t i = 0; i < conf->n_services; i++) {
		const struct service_conf *s = &conf->services[i];

		fprintf(out, "  %s: %s", s->name, protocols[s->protocol].name);
		for (size_t k = 0; k < s->n_listen; k++)
			fprintf(out, "%s %s", k ? "," : "", s->listen[k]);
		if (s->activation[0])
			fprintf(out, " sockets that systemd passes as \"%s\" when it starts echod",
				s->activation);
		fprintf(out, "; model %s, engine %s, workers %u", s->model->name, s->engine->name,
			s->workers);
		if (protocols[s->protocol].stream)
			fprintf(out, ", max_clients %u", s->max_clients);
		fputc('\n', out);
	}
}

/* --check and --dump-config: both are about the configuration alone. */
static int show_conf(const struct cli *cli)
{
	struct problems problems = {0}, notes = {0};
	struct conf *conf = conf_load_noting(&cli->source, &problems, &notes);
	int code = conf ? EX_OK : problems.shortage ? EX_OSERR : EX_CONFIG;

	cli_print_problems(&problems, stderr);
	problems_clear(&problems);
	if (conf && cli->action == CLI_DUMP) {
		conf_dump(conf, stdout);
	} else if (conf) {
		printf("%s: ok\n", conf->file ? conf->file : "--listen");
		print_services(conf, stdout);
		for (size_t i = 0; i < notes.n; i++)
			puts(notes.line[i]);
	}
	problems_clear(&notes);
	conf_free(conf);
	return code;
}

int cli_act(const struct cli *cli)
{
	int code = EX_OK;

	switch (cli->action) {
	case CLI_CHECK:
	case CLI_DUMP:
		code = show_conf(cli);
		break;
	case CLI_LIST_OPTIONS:
		sockopt_list(stdout);
		break;
	case CLI_VERSION:
		puts("echod " PACKAGE_VERSION);
		break;
	case CLI_HELP:
		print_help(stdout);
		break;
	default:
		return EX_USAGE;
	}
	/* What was asked for must have arrived: a full disk is an error. */
	if (fflush(stdout) != 0 || ferror(stdout)) {
		perror("echod: standard output");
		return EX_OSERR;
	}
	return code;
}
