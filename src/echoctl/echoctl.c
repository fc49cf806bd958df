/* SPDX-License-Identifier: ISC */
/* echoctl - looks at a running echod and tells it what to do.  Start here:
 *
 *   echoctl              which command, its options
 *    cmd_*               a command each, ends in its row
 *     session            the line to the daemon, errors, exit codes
 *      text              tables, times, nothing that a terminal obeys */
#include "ctl.h"
#include "log.h"
#include "process.h"
#include "size.h"
#include "varlink.h"

#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct ctl_command *const commands[] = {&cmd_status,      &cmd_stats,  &cmd_options,
						     &cmd_connections, &cmd_reload, &cmd_check};

enum { N_COMMANDS = sizeof(commands) / sizeof(commands[0]), DAY = 86400000 };

/* Values of options without a letter. */
enum { OPT_SOCKET = 256, OPT_INSTANCE, OPT_TIMEOUT, OPT_COUNT };

/* One table for getopt_long(3) and --help. */
static const struct {
	const char *name;
	int value;
	int has_arg;
	const char *left, *text;
} rows[] = {
	{"json", 'j', no_argument, "-j, --json", "print JSON"},
	{"socket", OPT_SOCKET, required_argument, "    --socket PATH",
	 "the daemon's control socket"},
	{"instance", OPT_INSTANCE, required_argument, "    --instance NAME",
	 "the instance echod@NAME: /run/echod-NAME/control"},
	{"timeout", OPT_TIMEOUT, required_argument, "    --timeout SECONDS",
	 "for an answer; default 5, connections 10, reload 60"},
	{"watch", 'w', optional_argument, "-w, --watch [SECONDS]",
	 "of stats: look again every second, or so many"},
	{"count", OPT_COUNT, required_argument, "    --count N", "of stats: look N times"},
	{"version", 'V', no_argument, "-V, --version", "print the version"},
	{"help", 'h', no_argument, "-h, --help", "print this"},
};

enum { N_ROWS = sizeof(rows) / sizeof(rows[0]), DONE = -1 /* nothing is left to do */ };

enum ctl_exit ctl_say(enum ctl_exit code, const char *fmt, ...)
{
	va_list ap;

	fflush(stdout); /* what was said before stands before */
	fprintf(stderr, "%sechoctl: ", log_prefix(LOG_ERR));
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	return code;
}

json_t *ctl_about(const char *service)
{
	json_t *parameters = json_object();

	if (service)
		json_object_set_new(parameters, "service", varlink_text(service));
	return parameters;
}

void ctl_print_json(const json_t *value, bool line)
{
	json_dumpf(value, stdout, (line ? JSON_COMPACT : JSON_INDENT(2)) | JSON_REAL_PRECISION(15));
	putchar('\n');
}

static void print_help(void)
{
	fputs("Usage: echoctl [OPTION]... COMMAND [ARGUMENT]\n"
	      "Looks at a running echod, and tells it to reload.\n\n",
	      stdout);
	for (int i = 0; i < N_COMMANDS; i++)
		printf("  %-11s %-9s  %s\n", commands[i]->name,
		       commands[i]->argument ? commands[i]->argument : "", commands[i]->text);
	puts("\nOptions:");
	for (int i = 0; i < N_ROWS; i++)
		printf("  %-23s %s\n", rows[i].left, rows[i].text);
	fputs("\nThe socket is that of --socket, of --instance, $RUNTIME_DIRECTORY/control, or\n"
	      "/run/echod/control.\n\n"
	      "Examples:\n"
	      "  echoctl status\n"
	      "  echoctl stats --watch 2 echo-tcp\n"
	      "  echoctl check /etc/echod/echod.conf && echoctl reload\n"
	      "Exit code: 0 ok, 1 refused (a reload failed), 64 usage, 69 no daemon,\n"
	      "           71 this machine failed, 74 output, 75 no answer in time,\n"
	      "           76 no proper answer, 77 permission, 78 configuration\n",
	      stdout);
}

__attribute__((format(printf, 1, 2))) static int usage(const char *fmt, ...)
{
	va_list ap;

	fprintf(stderr, "%sechoctl: ", log_prefix(LOG_ERR));
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputs("\nTry \"echoctl --help\".\n", stderr);
	return CTL_USAGE;
}

/* Seconds of TEXT, a millisecond to a day, into *MS. */
static int take_seconds(const char *option, const char *text, int64_t *ms)
{
	if (seconds_parse(text, 1000, ms) == 0 && *ms > 0 && *ms <= DAY)
		return 0;
	return usage("%s: seconds, 0.001 to 86400, not \"%s\"", option, text);
}

static int take_count(const char *text, int64_t *count)
{
	char *end;

	errno = 0;
	*count = strtoll(text, &end, 10);
	if (errno == 0 && end != text && *end == '\0' && *count > 0)
		return 0;
	return usage("--count: an integer of at least 1, not \"%s\"", text);
}

/* --watch may stand alone, or with the seconds as its own word or as the next. */
static int take_watch(struct ctl *ctl, int argc, char *argv[])
{
	int64_t ms;

	ctl->watch = true;
	if (optarg)
		return take_seconds("--watch", optarg, &ctl->interval);
	if (optind < argc && seconds_parse(argv[optind], 1000, &ms) == 0)
		return take_seconds("--watch", argv[optind++], &ctl->interval);
	return 0;
}

static int take(struct ctl *ctl, int value, int argc, char *argv[])
{
	switch (value) {
	case 'j':
		ctl->json = true;
		return 0;
	case 'w':
		return take_watch(ctl, argc, argv);
	case OPT_SOCKET:
		ctl->socket = optarg;
		return 0;
	case OPT_INSTANCE:
		ctl->instance = optarg;
		if (optarg[0] == '\0' || strchr(optarg, '/'))
			return usage("--instance: \"%s\" is no name", optarg);
		return 0;
	case OPT_TIMEOUT:
		return take_seconds("--timeout", optarg, &ctl->timeout);
	case OPT_COUNT:
		return take_count(optarg, &ctl->count);
	case 'V':
		puts("echoctl " PACKAGE_VERSION);
		return DONE;
	case 'h':
		print_help();
		return DONE;
	case ':':
		return usage("%s needs an argument", argv[optind - 1]);
	default:
		return usage("unknown option %s, or one that takes no argument", argv[optind - 1]);
	}
}

/* The command and its argument; rules between options. */
static int take_words(struct ctl *ctl, int argc, char *argv[])
{
	if (optind == argc)
		return usage("which command?");
	for (int i = 0; i < N_COMMANDS; i++)
		if (strcmp(commands[i]->name, argv[optind]) == 0)
			ctl->command = commands[i];
	if (!ctl->command)
		return usage("no command \"%s\"", argv[optind]);
	ctl->argument = argv[optind + 1]; /* argv ends with NULL */
	if (ctl->argument && (!ctl->command->argument || optind + 2 < argc))
		return usage("unexpected argument \"%s\"", argv[argc - 1]);
	if (ctl->socket && ctl->instance)
		return usage("--socket and --instance exclude each other");
	if ((ctl->watch || ctl->count) && !ctl->command->watches)
		return usage("%s takes no --watch and no --count", ctl->command->name);
	if (!ctl->watch && ctl->count == 0)
		ctl->count = 1;
	else
		ctl->watch = true;
	if (!ctl->timeout)
		ctl->timeout = ctl->command->timeout;
	return 0;
}

static int parse(struct ctl *ctl, int argc, char *argv[])
{
	struct option longs[N_ROWS + 1] = {{0}};
	int value, r = 0;

	for (int i = 0; i < N_ROWS; i++)
		longs[i] = (struct option){.name = rows[i].name,
					   .has_arg = rows[i].has_arg,
					   .val = rows[i].value};
	opterr = 0;
	while (r == 0 && (value = getopt_long(argc, argv, ":jw::Vh", longs, NULL)) != -1)
		r = take(ctl, value, argc, argv);
	return r ? r : take_words(ctl, argc, argv);
}

int main(int argc, char *argv[])
{
	struct ctl ctl = {.interval = 1000};
	int code;

	process_open_standard(O_PATH);
	signal(SIGPIPE, SIG_IGN);
	code = parse(&ctl, argc, argv);
	if (code == 0)
		code = ctl.command->run(&ctl);
	if (code == DONE)
		code = CTL_OK;
	/* A full disk or a closed pipe must not look like success. */
	if (fflush(stdout) != 0 || ferror(stdout))
		code = ctl_say(CTL_OUTPUT, "cannot write the output");
	return code;
}
