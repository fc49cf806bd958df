/* SPDX-License-Identifier: ISC */
/* echoc load: measure one server. */
#include "cmd.h"
#include "exits.h"
#include "load_report.h"
#include "load_rows.h"
#include "moment.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* What the user asked for besides the load itself. */
struct command {
	bool json, csv, quiet, progress;
	const char *histogram; /* file, or NULL */
	const char *raw;       /* file, or NULL */
	double min_rate;       /* messages a second; 0: none */
	int64_t max_p99;       /* ns; 0: none */
	json_t *intervals;     /* of JSON, else NULL */
	bool tell;             /* progress, a line a second, on stderr */
};

static int take_min_rate(void *field, const char *text, const char **why)
{
	char *end;

	*(double *)field = strtod(text, &end);
	*why = "messages a second";
	return end == text || *end != '\0' || !(*(double *)field > 0) ? -EINVAL : 0;
}

#define FIELD(name_) .offset = offsetof(struct command, name_)

static const struct option_row rows[] = {
	{.name = "json",
	 .letter = 'j',
	 .kind = ARG_FLAG,
	 FIELD(json),
	 .left = "-j, --json  --csv",
	 .text = "the result for programs"},
	{.name = "csv", .kind = ARG_FLAG, FIELD(csv)},
	{.name = "histogram",
	 .argument = "FILE",
	 .kind = ARG_TEXT,
	 FIELD(histogram),
	 .text = "write all percentiles (.hgrm, microseconds)"},
	{.name = "raw",
	 .argument = "FILE",
	 .kind = ARG_TEXT,
	 FIELD(raw),
	 .text = "write every latency, in microseconds, one a line"},
	{.name = "min-rate",
	 .argument = "N",
	 .kind = ARG_TAKE,
	 .take = take_min_rate,
	 FIELD(min_rate),
	 .left = "    --min-rate N  --max-p99 S",
	 .text = "exit 1 below N a second, or if 1 % take longer"},
	{.name = "max-p99",
	 .argument = "S",
	 .kind = ARG_SECONDS,
	 .min = 1000,
	 .max = 1000 * (int64_t)MOMENT_S,
	 FIELD(max_p99)},
	{.name = "quiet",
	 .letter = 'q',
	 .kind = ARG_FLAG,
	 FIELD(quiet),
	 .left = "-q, --quiet  --progress",
	 .text = "no line a second, or even without a terminal"},
	{.name = "progress", .kind = ARG_FLAG, FIELD(progress)},
};

/* So that one knows from when on it counts; bench/ reads the server's account then. */
static void begin(void *data)
{
	const struct command *c = data;

	if (c->tell)
		fputs("    0 s   all connected, measuring\n", stderr);
}

static void interval(void *data, const struct load_interval *i)
{
	struct command *c = data;
	char p50[LOAD_TIME_MAX], p99[LOAD_TIME_MAX];

	if (c->intervals)
		json_array_append_new(c->intervals, load_json_interval(i));
	if (!c->tell)
		return;
	fprintf(stderr, "%5.0f s %10.0f/s   p50 %9s   p99 %9s", i->at, i->rate,
		load_time((double)i->p50, p50), load_time((double)i->p99, p99));
	if (i->failures > 0)
		fprintf(stderr, "   failures %" PRIu64, i->failures);
	fputc('\n', stderr);
}

/* The first address that answers.  Returns OPTIONS_RUN, or an exit code. */
static int find_server(struct load_conf *conf, const struct target *target)
{
	const struct address *to = &target->addresses[0];
	const char *what = "connect";
	int fd = 0;

	if (protocols[conf->sock.protocol].stream)
		fd = sock_connect_any(&conf->sock, target, conf->timeout, &to, &what);
	conf->to = *to;
	if (fd < 0)
		return (int)exits_say(fd == -EINTR ? EXITS_SYSTEM : exits_of(fd), "load",
				      "%s: %s: %s", target->host, what, strerror(-fd));
	if (fd > 0)
		close(fd);
	return OPTIONS_RUN;
}

static void put_histogram(const struct load_result *result, FILE *f)
{
	hist_write(result->latency, f);
}

static void put_raw(const struct load_result *result, FILE *f)
{
	raw_write(result->raw, f);
}

/* PUT what was measured into the file NAME; NULL: none. */
static int write_file(const char *name, const struct load_result *result,
		      void (*put)(const struct load_result *result, FILE *f))
{
	FILE *f = name ? fopen(name, "we") : NULL;
	bool bad = !f;

	if (!name)
		return EXITS_OK;
	if (f) {
		put(result, f);
		bad = ferror(f) != 0;
		bad = fclose(f) != 0 || bad;
	}
	if (!bad)
		return EXITS_OK;
	return (int)exits_say(EXITS_SYSTEM, "load", "%s: %s", name, strerror(errno));
}

/* The files; they are written whatever the result is. */
static int write_files(const struct command *c, const struct load_result *result)
{
	int code = write_file(c->histogram, result, put_histogram);
	int raw = write_file(c->raw, result, put_raw);

	if (raw == EXITS_OK && raw_missing(result->raw) > 0)
		raw = (int)exits_say(EXITS_SYSTEM, "load", "%s: no memory for %" PRIu64 " of them",
				     c->raw, raw_missing(result->raw));
	return code != EXITS_OK ? code : raw;
}

static void report(const struct command *c, const struct load_conf *conf,
		   const struct load_result *result)
{
	json_t *json;

	if (c->csv) {
		load_print_csv(conf, result, stdout);
	} else if (c->json) {
		json = load_json(conf, result, c->intervals);
		json_dumpf(json, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(9));
		putchar('\n');
		json_decref(json);
	} else {
		load_print(conf, result, stdout);
	}
}

/* Damage and failures come before thresholds. */
static int exit_code(const struct command *c, const struct load_result *result)
{
	double rate = result->seconds > 0 ? (double)result->counts.completed / result->seconds : 0;
	int code = load_exit(result), files = write_files(c, result);

	if (code == EXITS_OK)
		code = files;
	if (code != EXITS_OK)
		return code;
	if (c->min_rate > 0 && rate < c->min_rate)
		return (int)exits_say(EXITS_MISSED, "load", "%.1f a second, less than %.10g", rate,
				      c->min_rate);
	if (c->max_p99 > 0 && (int64_t)hist_percentile(result->latency, 99) > c->max_p99)
		return (int)exits_say(EXITS_MISSED, "load", "99 %% took up to %.3f ms, not %.3f ms",
				      (double)hist_percentile(result->latency, 99) / MOMENT_MS,
				      (double)c->max_p99 / MOMENT_MS);
	return EXITS_OK;
}

static int measure(struct command *c, const struct load_conf *conf)
{
	struct load_watch watch = {.begin = begin, .interval = interval, .data = c};
	struct load_result result;
	const char *what;
	int r;

	c->tell = c->progress || (!c->quiet && isatty(STDERR_FILENO));
	c->intervals = c->json ? json_array() : NULL;
	if (!c->json && !c->csv) {
		load_print_plan(conf, stdout);
		fflush(stdout);
	}
	r = load_run(conf, &watch, &result, &what);
	if (r < 0) {
		r = (int)exits_say(EXITS_SYSTEM, "load", "%s: %s", what, strerror(-r));
	} else {
		report(c, conf, &result);
		r = exit_code(c, &result);
	}
	load_free(&result);
	return r;
}

static int run(int argc, char *argv[])
{
	struct load_conf conf = load_rows_default();
	struct command command = {.json = false};
	const struct option_group groups[] = {
		{load_rows, n_load_rows, &conf},
		{rows, sizeof(rows) / sizeof(rows[0]), &command},
		{sock_rows, n_sock_rows, &conf.sock},
	};
	const struct options o = {
		.command = "load",
		.usage = "[OPTION]... HOST [PORT]",
		.summary = "Measure an echo server with many connections.  Every byte that comes\n"
			   "back is verified, and damage is named.",
		.examples = "  echoc load -c 1000 -d 10 server 7\n"
			    "  echoc load --rate 20k --histogram out.hgrm server:7\n"
			    "  echoc load --udp -w 16 -s 64-1400 --json [::1]:7\n",
		.groups = groups,
		.n_groups = sizeof(groups) / sizeof(groups[0]),
	};
	struct target target;
	int r = options_parse(&o, argc, argv), taken;

	if (r == OPTIONS_RUN)
		r = load_rows_check(&o, &conf);
	if (r != OPTIONS_RUN)
		return r;
	taken = sock_take_target(&o, &conf.sock, argc - optind, argv + optind, &target);
	if (taken < 0)
		return -taken;
	if (taken < argc - optind)
		return options_error(&o, "what is \"%s\"?", argv[optind + taken]);
	conf.raw = command.raw != NULL;
	r = find_server(&conf, &target);
	if (r == OPTIONS_RUN)
		r = load_rows_check(&o, &conf);
	return r == OPTIONS_RUN ? measure(&command, &conf) : r;
}

const struct cmd cmd_load = {.name = "load",
			     .text = "drive a server with many connections and measure it",
			     .run = run};
