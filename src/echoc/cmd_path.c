/* SPDX-License-Identifier: ISC */
/* echoc path: what does the way to a server do to what passes?  One line for each check. */
#include "cmd.h"
#include "interrupt.h"
#include "moment.h"
#include "path.h"
#include "reply.h"

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#define FIELD(name_) .offset = offsetof(struct path_conf, name_)
#define ONLY(value_) .kind = ARG_CHOICE, .value = (value_), FIELD(only)

struct check {
	const char *name;
	int needs;   /* PATH_TCP, PATH_UDP; PATH_BOTH: either */
	bool always; /* the others build on it */
	bool report; /* only with --report-port, or when asked for by name */
	void (*run)(struct path *p, struct verdict *v);
};

static const struct check checks[] = {
	{"tcp", PATH_TCP, true, false, path_check_tcp},
	{"udp", PATH_UDP, true, false, path_check_udp},
	{"half-close", PATH_TCP, false, false, path_check_half_close},
	{"mtu", PATH_UDP, false, false, path_check_mtu},
	{"fragments", PATH_UDP, false, false, path_check_fragments},
	{"ports", PATH_BOTH, false, false, path_check_ports},
	{"dscp", PATH_UDP, false, false, path_check_dscp},
	{"who", PATH_UDP, false, true, path_check_who},
	{"families", PATH_BOTH, false, false, path_check_families},
	{"idle", PATH_TCP, false, false, path_check_idle},
};

enum { N_CHECKS = sizeof(checks) / sizeof(checks[0]) };

static const char *const states[] = {[PATH_OK] = "ok",
				     [PATH_DEGRADED] = "degraded",
				     [PATH_BROKEN] = "broken",
				     [PATH_UNKNOWN] = "unknown"};

/* Is NAME in the list of names between commas? */
static bool listed(const char *list, const char *name)
{
	size_t n = strlen(name);

	for (const char *p = list; p; p = strchr(p, ',')) {
		p += *p == ',';
		if (strncmp(p, name, n) == 0 && (p[n] == ',' || p[n] == '\0'))
			return true;
	}
	return false;
}

static int take_list(void *field, const char *text, const char **why)
{
	*why = "names between commas: half-close, mtu, fragments, ports, dscp, who, families,"
	       " idle";
	for (const char *p = text; p; p = strchr(p, ',')) {
		size_t n = strcspn(p += *p == ',', ",");
		bool known = false;

		for (int i = 0; i < N_CHECKS; i++)
			known |= strlen(checks[i].name) == n && strncmp(checks[i].name, p, n) == 0;
		if (!known)
			return -EINVAL;
	}
	*(const char **)field = text;
	return 0;
}

static const struct option_row rows[] = {
	{.name = "tcp",
	 ONLY(PATH_TCP),
	 .left = "    --tcp  -u, --udp",
	 .text = "checks over that protocol alone"},
	{.name = "udp", .letter = 'u', ONLY(PATH_UDP)},
	{.name = "check",
	 .letter = 'C',
	 .argument = "NAME,...",
	 .kind = ARG_TAKE,
	 .take = take_list,
	 FIELD(list),
	 .text = "half-close, mtu, fragments, ports, dscp,"},
	{.text = "who, families, idle; all without it", .left = ""},
	{.name = "report-port",
	 .argument = "PORT",
	 .kind = ARG_INT,
	 .min = 1,
	 .max = 65535,
	 FIELD(report_port),
	 .text = "ask there (UDP, respond = \"report\") which"},
	{.text = "marks arrive, and who answers", .left = ""},
	{.name = "max",
	 .argument = "SECONDS",
	 .kind = ARG_SECONDS,
	 .min = MOMENT_S / 10,
	 .max = 86400LL * MOMENT_S,
	 FIELD(max_idle),
	 .text = "longest silence to try (5)"},
	{.name = "ports",
	 .letter = 'n',
	 .argument = "N",
	 .kind = ARG_INT,
	 .min = 1,
	 .max = 1024,
	 FIELD(ports),
	 .text = "source ports to try (16)"},
	{.name = "count",
	 .letter = 'c',
	 .argument = "N",
	 .kind = ARG_INT,
	 .min = 1,
	 .max = 10000,
	 FIELD(count),
	 .text = "messages from each (5)"},
	{.name = "timeout",
	 .letter = 'W',
	 .argument = "SECONDS",
	 .kind = ARG_SECONDS,
	 .min = MOMENT_MS,
	 .max = 3600LL * MOMENT_S,
	 FIELD(timeout),
	 .text = "wait so long for an answer (2)"},
	{.name = "verbose",
	 .letter = 'v',
	 .kind = ARG_FLAG,
	 FIELD(verbose),
	 .left = "-v, --verbose  --json",
	 .text = "figures below each line; JSON"},
	{.name = "json", .kind = ARG_FLAG, FIELD(json)},
};

static const char examples[] =
	"  echoc path 192.0.2.1\n"
	"  echoc path --check mtu,fragments host:echo\n"
	"  echoc path --tcp --check idle --max 600 host 7\n"
	"  echoc path --check dscp,who --report-port 7008 192.0.2.1\n"
	"Verdicts: ok, degraded (exit code 1), broken (7, or why it is), unknown.\n";

static bool wanted(const struct path_conf *c, const struct check *check)
{
	if (!(check->needs & c->only))
		return false;
	if (c->list && !check->always)
		return listed(c->list, check->name);
	return !check->report || c->report_port;
}

static void run_check(struct path *p, const struct check *check, struct verdict *v)
{
	int have = (p->tcp ? PATH_TCP : 0) | (p->udp ? PATH_UDP : 0);

	if (check->report && !p->conf->report_port)
		path_say(v, PATH_UNKNOWN, "only a report listener could tell: --report-port");
	else if (check->always || (have & check->needs))
		check->run(p, v);
	else
		path_say(v, PATH_UNKNOWN, "needs an answer over %s",
			 check->needs == PATH_TCP   ? "TCP"
			 : check->needs == PATH_UDP ? "UDP"
						    : "TCP or UDP");
}

static void print(const struct path *p, const struct check *check, const struct verdict *v)
{
	if (p->conf->json)
		return;
	printf("%-9s %-11s %s\n", states[v->state], check->name, v->why);
	if (p->conf->verbose && json_object_size(v->details) > 0) {
		fputs("          ", stdout);
		json_dumpf(v->details, stdout, JSON_REAL_PRECISION(6));
		putchar('\n');
	}
	fflush(stdout);
}

/* The worst of all verdicts as an exit code. */
static int worse(int code, const struct verdict *v)
{
	if (v->state == PATH_BROKEN && code <= EXITS_MISSED)
		return v->code == EXITS_OK ? EXITS_DAMAGED : v->code;
	return v->state == PATH_DEGRADED && code == EXITS_OK ? EXITS_MISSED : code;
}

static int examine(struct path *p, json_t *list)
{
	int code = EXITS_OK;

	for (int i = 0; i < N_CHECKS && !interrupt_seen(); i++) {
		struct verdict v = {.details = NULL};

		if (!wanted(p->conf, &checks[i]))
			continue;
		v.details = json_object();
		run_check(p, &checks[i], &v);
		if (interrupt_seen()) /* what was cut short says nothing of the path */
			path_say(&v, PATH_UNKNOWN, "interrupted");
		print(p, &checks[i], &v);
		code = worse(code, &v);
		json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:o}", "check",
						      checks[i].name, "verdict", states[v.state],
						      "why", v.why, "details", v.details));
	}
	return code;
}

static int path(const struct path_conf *conf, const struct target *target)
{
	struct path p = {.conf = conf, .target = target, .in = malloc(REPLY_MAX)};
	json_t *list = json_array(), *o;
	int code;

	if (!p.in || !list) {
		json_decref(list);
		free(p.in);
		return exits_say(EXITS_SYSTEM, "path", "out of memory");
	}
	interrupt_catch();
	code = examine(&p, list);
	if (conf->json) {
		o = json_pack("{s:s, s:s, s:O, s:i, s:s}", "target", target->host, "port",
			      target->port, "checks", list, "exit", code, "result",
			      exits_word((enum exit_code)code));
		json_dumpf(o, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(9));
		putchar('\n');
		json_decref(o);
	}
	json_decref(list);
	free(p.in);
	return code;
}

static int run(int argc, char *argv[])
{
	struct path_conf conf = {.sock = SOCK_CONF_INIT,
				 .timeout = 2LL * MOMENT_S,
				 .max_idle = 5LL * MOMENT_S,
				 .ports = 16,
				 .count = 5,
				 .only = PATH_BOTH};
	const struct option_group groups[] = {
		{rows, sizeof(rows) / sizeof(rows[0]), &conf},
		{sock_tuning_rows, n_sock_tuning_rows, &conf.sock},
	};
	const struct options o = {
		.command = "path",
		.usage = "[OPTION]... HOST [PORT]",
		.summary = "Tell what the way to an echo server does to what passes.",
		.examples = examples,
		.groups = groups,
		.n_groups = 2,
	};
	struct target target;
	int r = options_parse(&o, argc, argv);

	if (r != OPTIONS_RUN)
		return r;
	r = sock_take_target(&o, &conf.sock, argc - optind, argv + optind, &target);
	if (r < 0)
		return -r;
	if (optind + r < argc)
		return options_error(&o, "unexpected argument \"%s\"", argv[optind + r]);
	return path(&conf, &target);
}

const struct cmd cmd_path = {.name = "path",
			     .text = "tell what the way to a server does to what passes",
			     .run = run};
