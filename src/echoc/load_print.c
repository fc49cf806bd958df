/* SPDX-License-Identifier: ISC */
/* The result of a load for people. */
#include "load_report.h"

#include "moment.h"

#include <inttypes.h>

const double load_percentiles[LOAD_PERCENTILES] = {50, 75, 90, 95, 99, 99.9, 99.99, 99.999};
const char *const load_percentile_names[LOAD_PERCENTILES] = {"p50", "p75",   "p90",    "p95",
							     "p99", "p99.9", "p99.99", "p99.999"};

const char *load_time(double ns, char buf[LOAD_TIME_MAX])
{
	static const char *const units[] = {"ns", "us", "ms", "s"};
	double x = ns;
	int unit = 0;

	while (x >= 999.95 && unit < 3) {
		x /= 1000;
		unit++;
	}
	snprintf(buf, LOAD_TIME_MAX, "%.*f %s", unit == 0 ? 0 : x < 10 ? 2 : 1, x, units[unit]);
	return buf;
}

static void print_sizes(const struct sizes *s, FILE *out)
{
	for (unsigned i = 0; i < s->n; i++)
		fprintf(out, "%s%" PRId64, i == 0 ? "" : s->range ? "-" : ",", s->list[i]);
}

void load_print_plan(const struct load_conf *conf, FILE *out)
{
	char address[ADDRESS_TEXT_MAX];

	fprintf(out, "%s %s: %" PRId64 " connection%s, %" PRId64 " thread%s, messages of ",
		protocols[conf->sock.protocol].name, address_format(&conf->to, address),
		conf->connections, conf->connections == 1 ? "" : "s", conf->threads,
		conf->threads == 1 ? "" : "s");
	print_sizes(&conf->sizes, out);
	fputs(" bytes", out);
	if (conf->connect_each)
		fputs(", a connection for each", out);
	else
		fprintf(out, ", %" PRId64 " in flight on each", conf->depth);
	if (conf->rate > 0)
		fprintf(out, ", %.10g a second", conf->rate);
	if (conf->count > 0)
		fprintf(out, ", %" PRId64 " messages", conf->count);
	if (conf->duration > 0)
		fprintf(out, ", %s%.10g s", conf->count > 0 ? "at most " : "",
			(double)conf->duration / MOMENT_S);
	if (conf->warmup > 0)
		fprintf(out, " after %.10g s of warm-up", (double)conf->warmup / MOMENT_S);
	fputc('\n', out);
}

static void print_latency(const char *name, const struct hist *h, FILE *out)
{
	char a[LOAD_TIME_MAX], b[LOAD_TIME_MAX], c[LOAD_TIME_MAX], d[LOAD_TIME_MAX];

	if (h->total == 0)
		return;
	fprintf(out, "%-10s min %s, mean %s, stddev %s, max %s\n", name,
		load_time((double)h->min, a), load_time(hist_mean(h), b),
		load_time(hist_stddev(h), c), load_time((double)h->max, d));
}

static void print_percentiles(const struct hist *h, FILE *out)
{
	char text[LOAD_TIME_MAX];

	for (int i = 0; i < LOAD_PERCENTILES && h->total > 0; i++)
		fprintf(out, "%15s %%  %10s\n", load_percentile_names[i] + 1,
			load_time((double)hist_percentile(h, load_percentiles[i]), text));
}

static void print_counts(const char *title, const char *const names[], const uint64_t counts[],
			 int n, FILE *out)
{
	bool any = false;

	for (int i = 0; i < n; i++) {
		if (counts[i] == 0)
			continue;
		if (any)
			fputs(", ", out);
		else
			fprintf(out, "%-10s ", title);
		fprintf(out, "%s %" PRIu64, names[i], counts[i]);
		any = true;
	}
	if (any)
		fputc('\n', out);
}

static void print_trouble(const struct load_result *result, FILE *out)
{
	static const char *const names[] = {"lost", "duplicated", "reordered"};
	const struct load_counts *c = &result->counts;
	const uint64_t datagrams[] = {c->lost, c->duplicated, c->reordered};
	char text[DAMAGE_TEXT_MAX];

	print_counts("failures", load_failure_names, c->failures, N_LOAD_FAILURES, out);
	print_counts("datagrams", names, datagrams, 3, out);
	print_counts("damage", damage_names, c->damages, N_DAMAGES, out);
	for (unsigned i = 0; i < result->n_damage; i++)
		fprintf(out, "%11s%s\n", "", damage_text(&result->damage[i], text));
	if (load_all_damages(c) > result->n_damage)
		fprintf(out, "%11s...\n", "");
}

static void print_client(const struct load_conf *conf, const struct load_result *result, FILE *out)
{
	char why[128], p99[LOAD_TIME_MAX], max[LOAD_TIME_MAX];

	fprintf(out, "%-10s %.0f %% of a processor", "client", result->cpu * 100);
	if (conf->rate > 0)
		fprintf(out, ", behind its schedule by %s (99 %%), %s at most",
			load_time((double)hist_percentile(result->lag, 99), p99),
			load_time((double)result->lag->max, max));
	fputc('\n', out);
	if (load_limited(conf, result, why, sizeof(why)))
		fprintf(out, "%-10s the client itself may be the limit: %s\n", "warning", why);
}

void load_print(const struct load_conf *conf, const struct load_result *result, FILE *out)
{
	const struct load_counts *c = &result->counts;
	double seconds = result->seconds > 0 ? result->seconds : 1;
	double rate = (double)c->completed / seconds;

	fprintf(out, "%-10s %" PRIu64 " sent, %" PRIu64 " back in %.3f s%s\n", "messages", c->sent,
		c->received, result->seconds,
		load_all_damages(c) == 0 && c->received > 0 ? ", every byte verified" : "");
	fprintf(out, "%-10s %.1f/s, %.3f MB/s each way\n", "rate", rate,
		(double)c->bytes / seconds / 1e6);
	if (conf->rate > 0 && (c->unsent > 0 || rate < conf->rate * 0.99))
		fprintf(out,
			"%-10s the rate was not reached: %.1f %% of it; %" PRIu64
			" were due and never sent\n",
			"warning", rate / conf->rate * 100, c->unsent);
	print_latency("latency", result->latency, out);
	print_percentiles(result->latency, out);
	print_latency("connect", result->connect, out);
	print_trouble(result, out);
	print_client(conf, result, out);
}
