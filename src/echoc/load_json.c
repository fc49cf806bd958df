/* SPDX-License-Identifier: ISC */
/* The result of a load for programs: JSON and CSV. */
#include "load_report.h"

#include "moment.h"

#include <inttypes.h>

/* Three digits behind the point: nanoseconds as microseconds. */
static json_t *us(double ns)
{
	return json_real(ns / 1e3);
}

static json_t *latency(const struct hist *h)
{
	json_t *o = json_pack("{s:I}", "count", (json_int_t)h->total);

	if (h->total == 0)
		return o;
	json_object_set_new(o, "min", us((double)h->min));
	json_object_set_new(o, "mean", us(hist_mean(h)));
	json_object_set_new(o, "stddev", us(hist_stddev(h)));
	json_object_set_new(o, "max", us((double)h->max));
	for (int i = 0; i < LOAD_PERCENTILES; i++)
		json_object_set_new(o, load_percentile_names[i],
				    us((double)hist_percentile(h, load_percentiles[i])));
	return o;
}

static json_t *counts(const char *const names[], const uint64_t n[], int first, int end)
{
	json_t *o = json_object();

	for (int i = first; i < end; i++)
		json_object_set_new(o, names[i], json_integer((json_int_t)n[i]));
	return o;
}

static json_t *settings(const struct load_conf *conf)
{
	json_t *sizes = json_array();

	for (unsigned i = 0; i < conf->sizes.n; i++)
		json_array_append_new(sizes, json_integer(conf->sizes.list[i]));
	return json_pack("{s:I s:I s:I s:f s:o s:b s:f s:I s:f s:f s:b}", "connections",
			 (json_int_t)conf->connections, "threads", (json_int_t)conf->threads,
			 "depth", (json_int_t)conf->depth, "rate", conf->rate, "sizes", sizes,
			 "size_range", conf->sizes.range, "duration",
			 (double)conf->duration / MOMENT_S, "count", (json_int_t)conf->count,
			 "warmup", (double)conf->warmup / MOMENT_S, "timeout",
			 (double)conf->timeout / MOMENT_S, "connect_each", conf->connect_each);
}

static json_t *client(const struct load_conf *conf, const struct load_result *result)
{
	char why[128];
	const char *limited = load_limited(conf, result, why, sizeof(why));

	return json_pack("{s:f s:f s:b s:s? s:o}", "cpu", result->cpu, "waited", result->waited,
			 "limited", limited != NULL, "why", limited, "lag_us",
			 latency(result->lag));
}

static json_t *damage_list(const struct load_result *result)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < result->n_damage; i++) {
		const struct damage *d = &result->damage[i];
		char text[DAMAGE_TEXT_MAX];

		json_array_append_new(list,
				      json_pack("{s:s s:I s:I s:I s:s}", "kind",
						damage_names[d->kind], "stream",
						(json_int_t)d->stream, "at", (json_int_t)d->at,
						"length", (json_int_t)d->length, "text",
						damage_text(d, text)));
	}
	return list;
}

json_t *load_json_interval(const struct load_interval *i)
{
	return json_pack("{s:f s:f s:f s:f s:I}", "at", i->at, "rate", i->rate, "p50_us",
			 (double)i->p50 / 1e3, "p99_us", (double)i->p99 / 1e3, "failures",
			 (json_int_t)i->failures);
}

json_t *load_json(const struct load_conf *conf, const struct load_result *result, json_t *intervals)
{
	const struct load_counts *c = &result->counts;
	double seconds = result->seconds > 0 ? result->seconds : 1;
	char address[ADDRESS_TEXT_MAX];
	json_t *o = json_pack("{s:s s:s s:s s:o s:f s:b}", "command", "load", "protocol",
			      protocols[conf->sock.protocol].name, "address",
			      address_format(&conf->to, address), "settings", settings(conf),
			      "seconds", result->seconds, "interrupted", result->interrupted);

	json_object_update_new(o,
			       json_pack("{s:I s:I s:I s:I s:I s:I s:f s:f}", "sent",
					 (json_int_t)c->sent, "received", (json_int_t)c->received,
					 "completed", (json_int_t)c->completed, "unsent",
					 (json_int_t)c->unsent, "bytes", (json_int_t)c->bytes,
					 "connects", (json_int_t)c->connects, "rate",
					 (double)c->completed / seconds, "bytes_per_second",
					 (double)c->bytes / seconds));
	json_object_set_new(o, "latency_us", latency(result->latency));
	json_object_set_new(o, "connect_us", latency(result->connect));
	json_object_set_new(o, "failures",
			    counts(load_failure_names, c->failures, 0, N_LOAD_FAILURES));
	json_object_set_new(o, "damage",
			    counts(damage_names, c->damages, DAMAGE_NONE + 1, N_DAMAGES));
	json_object_set_new(o, "damages", damage_list(result));
	json_object_set_new(o, "datagrams",
			    json_pack("{s:I s:I s:I}", "lost", (json_int_t)c->lost, "duplicated",
				      (json_int_t)c->duplicated, "reordered",
				      (json_int_t)c->reordered));
	json_object_set_new(o, "client", client(conf, result));
	if (intervals)
		json_object_set_new(o, "intervals", intervals);
	return o;
}

void load_print_csv(const struct load_conf *conf, const struct load_result *result, FILE *out)
{
	const struct load_counts *c = &result->counts;
	double seconds = result->seconds > 0 ? result->seconds : 1;
	char address[ADDRESS_TEXT_MAX];

	fputs("protocol,address,connections,depth,asked_rate,seconds,sent,received,rate,"
	      "bytes_per_second,min_us,mean_us,max_us",
	      out);
	for (int i = 0; i < LOAD_PERCENTILES; i++)
		fprintf(out, ",%s_us", load_percentile_names[i]);
	fputs(",failures,damages,lost\n", out);
	fprintf(out, "%s,%s,%" PRId64 ",%" PRId64 ",%.10g,%.3f,%" PRIu64 ",%" PRIu64 ",%.1f,%.0f",
		protocols[conf->sock.protocol].name, address_format(&conf->to, address),
		conf->connections, conf->depth, conf->rate, result->seconds, c->sent, c->received,
		(double)c->completed / seconds, (double)c->bytes / seconds);
	fprintf(out, ",%.3f,%.3f,%.3f",
		result->latency->total ? (double)result->latency->min / 1e3 : 0.0,
		hist_mean(result->latency) / 1e3, (double)result->latency->max / 1e3);
	for (int i = 0; i < LOAD_PERCENTILES; i++)
		fprintf(out, ",%.3f",
			(double)hist_percentile(result->latency, load_percentiles[i]) / 1e3);
	fprintf(out, ",%" PRIu64 ",%" PRIu64 ",%" PRIu64 "\n", load_all_failures(c),
		load_all_damages(c), c->lost);
}
