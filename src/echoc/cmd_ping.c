/* SPDX-License-Identifier: ISC */
/* echoc ping: the round-trip time of messages, as ping(8) shows it; or a monitoring plugin. */
#include "cmd.h"
#include "moment.h"
#include "ping.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIELD(name_) .offset = offsetof(struct ping_conf, name_)
#define COUNT \
 .name = "count", .argument = "N", .kind = ARG_INT, .min = 1, .max = PING_MOST, FIELD(count)
#define DEADLINE                                                                   \
 .name = "deadline", .argument = "SECONDS", .kind = ARG_SECONDS, .min = MOMENT_MS, \
 .max = 86400LL * 365 * MOMENT_S, FIELD(deadline)
#define OUTPUT(value_) .kind = ARG_CHOICE, .value = (value_), FIELD(output)

/* "100.0,20%" */
static int take_limit(void *field, const char *text, const char **why)
{
	struct ping_limit *limit = field;
	char *end;

	*why = "milliseconds,percent% as 100.0,20%";
	limit->rta = strtod(text, &end);
	if (end == text || *end != ',' || !(limit->rta >= 0))
		return -EINVAL;
	text = end + 1;
	limit->loss = strtod(text, &end);
	if (end == text || !(limit->loss >= 0 && limit->loss <= 100))
		return -EINVAL;
	return strcmp(end, "%") == 0 || *end == '\0' ? 0 : -EINVAL;
}

/* Letters as ping(8) has them. */
static const struct option_row plain_rows[] = {
	{.letter = 'c', COUNT, .text = "end after N messages"},
	{.letter = 'w', DEADLINE, .text = "end after that time"},
};

/* Letters as plugins have them. */
static const struct option_row plugin_rows[] = {
	{.letter = 'p', COUNT, .text = "with --nagios: N messages (5)"},
	{DEADLINE},
	{.name = "warning",
	 .letter = 'w',
	 .argument = "RTA,LOSS%",
	 .kind = ARG_TAKE,
	 .take = take_limit,
	 FIELD(warning),
	 .text = "with --nagios: ms, percent (200,40%)"},
	{.name = "critical",
	 .letter = 'c',
	 .argument = "RTA,LOSS%",
	 .kind = ARG_TAKE,
	 .take = take_limit,
	 FIELD(critical),
	 .text = "with --nagios: ms, percent (500,80%)"},
};

static const struct option_row rows[] = {
	{.name = "interval",
	 .letter = 'i',
	 .argument = "SECONDS",
	 .kind = ARG_SECONDS,
	 .min = MOMENT_MS,
	 .max = 86400LL * MOMENT_S,
	 FIELD(interval),
	 .text = "from one message to the next (1)"},
	{.name = "size",
	 .letter = 's',
	 .argument = "SIZE",
	 .kind = ARG_SIZE,
	 .min = 0,
	 .max = 64 << 20,
	 FIELD(size),
	 .text = "bytes of a message (56)"},
	{.name = "timeout",
	 .letter = 'W',
	 .argument = "SECONDS",
	 .kind = ARG_SECONDS,
	 .min = MOMENT_MS,
	 .max = 3600LL * MOMENT_S,
	 FIELD(timeout),
	 .text = "wait so long for an answer, or to connect (2)"},
	{.name = "connect-each",
	 .kind = ARG_FLAG,
	 FIELD(connect_each),
	 .text = "streams: a connection for each message"},
	{.name = "max-loss",
	 .argument = "PERCENT",
	 .kind = ARG_INT,
	 .min = 0,
	 .max = 100,
	 FIELD(max_loss),
	 .left = "    --max-loss PERCENT",
	 .text = "exit with 1 if more are lost"},
	{.name = "max-rtt",
	 .argument = "SECONDS",
	 .kind = ARG_SECONDS,
	 .min = MOMENT_US,
	 .max = 3600LL * MOMENT_S,
	 FIELD(max_rtt),
	 .text = "exit with 1 if the mean is more"},
	{.name = "quiet",
	 .letter = 'q',
	 OUTPUT(PING_QUIET),
	 .left = "-q, --quiet  --json",
	 .text = "the summary alone; as JSON"},
	{.name = "json", OUTPUT(PING_JSON)},
	{.name = "nagios", OUTPUT(PING_NAGIOS), .text = "a plugin: -w and -c are RTA,LOSS% then"},
};

#define N(rows_) (sizeof(rows_) / sizeof((rows_)[0]))

static const char examples[] = "  echoc ping -c 5 192.0.2.1\n"
			       "  echoc ping --udp -i 0.2 -s 1400 --df --dscp EF host:echo\n"
			       "  echoc ping --nagios -w 100,20% -c 500,60% --udp host 7\n";

/* Is --nagios there, or a beginning of it that getopt_long(3) takes for it? */
static bool is_plugin(int argc, char *argv[])
{
	for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
		if (strlen(argv[i]) > 2 && strncmp(argv[i], "--nagios", strlen(argv[i])) == 0)
			return true;
	return false;
}

/* Rules between the options; NULL if all is well. */
static const char *check(const struct ping_conf *c)
{
	const struct protocol_row *p = &protocols[c->sock.protocol];

	if (p->stream && c->size == 0)
		return "a stream needs a size of at least 1";
	if (!p->stream && c->connect_each)
		return "--connect-each is for streams";
	if (!p->stream && c->size > 65507)
		return "a datagram has at most 65507 bytes";
	return NULL;
}

static int ping(const struct ping_conf *conf, const struct target *target)
{
	struct ping p = {.conf = conf, .target = target};
	int code;

	if (ping_run(&p) < 0)
		code = ping_report_failure(conf, EXITS_SYSTEM, "out of memory");
	else
		code = ping_report_end(&p);
	ping_deinit(&p);
	return code;
}

static int parse(struct ping_conf *conf, struct target *target, int argc, char *argv[])
{
	bool plugin = is_plugin(argc, argv);
	const struct option_group groups[] = {
		{plugin ? plugin_rows : plain_rows, plugin ? N(plugin_rows) : N(plain_rows), conf},
		{rows, N(rows), conf},
		{sock_rows, n_sock_rows, &conf->sock},
	};
	const struct options o = {
		.command = "ping",
		.usage = "[OPTION]... HOST [PORT]",
		.summary = "Measure round-trip times; Ctrl-C prints the summary.",
		.examples = examples,
		.groups = groups,
		.n_groups = N(groups),
	};
	const char *problem;
	int r;

	conf->count = PING_MOST;
	if (plugin) {
		conf->count = 5;
		conf->interval = MOMENT_S / 5;
	}
	r = options_parse(&o, argc, argv);
	if (r != OPTIONS_RUN)
		return r;
	problem = check(conf);
	if (!problem && plugin && conf->output != PING_NAGIOS)
		problem = "--nagios prints a line of its own: no --quiet, no --json";
	if (problem)
		return options_error(&o, "%s", problem);
	r = sock_take_target(&o, &conf->sock, argc - optind, argv + optind, target);
	if (r < 0)
		return -r;
	if (optind + r < argc)
		return options_error(&o, "unexpected argument \"%s\"", argv[optind + r]);
	return OPTIONS_RUN;
}

static int run(int argc, char *argv[])
{
	struct ping_conf conf = {
		.sock = SOCK_CONF_INIT,
		.interval = MOMENT_S,
		.timeout = 2LL * MOMENT_S,
		.size = 56,
		.max_loss = 100,
		.warning = {.rta = 200, .loss = 40},
		.critical = {.rta = 500, .loss = 80},
	};
	struct target target;
	int r = parse(&conf, &target, argc, argv);

	if (r == OPTIONS_RUN)
		return ping(&conf, &target);
	/* The reason stands on standard error; whoever monitors reads the other. */
	if (is_plugin(argc, argv) && r != EXITS_OK) {
		conf.output = PING_NAGIOS;
		return ping_report_failure(&conf, EXITS_USAGE,
					   r == EXITS_NAME ? "name not found" : "wrong usage");
	}
	return r;
}

const struct cmd cmd_ping = {.name = "ping",
			     .text = "measure round-trip times; a monitoring plugin",
			     .run = run};
