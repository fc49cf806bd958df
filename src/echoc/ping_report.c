/* SPDX-License-Identifier: ISC */
/* What echoc ping tells: lines as they come, the summary, JSON, or a plugin's line with
 * performance data (the monitoring plugins' guidelines). */
#include "ping.h"

#include "moment.h"
#include "varlink.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>

enum { PLUGIN_OK, PLUGIN_WARNING, PLUGIN_CRITICAL, PLUGIN_UNKNOWN };

static const double percents[] = {50, 90, 95, 99, 99.9};

enum { N_PERCENTS = sizeof(percents) / sizeof(percents[0]) };

static double ms(double ns)
{
	return ns / MOMENT_MS;
}

static double loss(const struct ping *p)
{
	uint64_t lost = p->sent > p->received ? p->sent - p->received : 0;

	return p->sent > 0 ? 100.0 * (double)lost / (double)p->sent : 100.0;
}

static const char *name_of(const struct ping *p, char buf[ADDRESS_TEXT_MAX])
{
	return address_format(p->to, buf);
}

void ping_report_begin(const struct ping *p)
{
	char to[ADDRESS_TEXT_MAX];

	if (p->conf->output != PING_LINES && p->conf->output != PING_QUIET)
		return;
	setvbuf(stdout, NULL, _IOLBF, 0);
	printf("PING %s (%s) over %s, %" PRId64 " bytes\n", p->target->host, name_of(p, to),
	       protocols[p->conf->sock.protocol].name, p->conf->size);
}

void ping_report_connected(const struct ping *p, int64_t took)
{
	char to[ADDRESS_TEXT_MAX], from[ADDRESS_TEXT_MAX];

	if (p->conf->output == PING_LINES && !p->conf->connect_each)
		printf("connected to %s from %s in %.3f ms\n", name_of(p, to),
		       address_format(&p->local, from), ms((double)took));
}

void ping_report_answer(const struct ping *p, uint32_t seq, int64_t rtt, size_t size, int ttl,
			const char *note)
{
	char to[ADDRESS_TEXT_MAX];

	if (p->conf->output != PING_LINES)
		return;
	printf("%zu bytes from %s: seq=%u", size, name_of(p, to), seq);
	if (ttl >= 0)
		printf(" ttl=%d", ttl);
	if (p->conf->connect_each && p->connect->total > 0)
		printf(" connect=%.3f ms", ms((double)p->last_connect));
	if (rtt >= 0)
		printf(" time=%.3f ms", ms((double)rtt));
	printf("%s\n", note);
}

void ping_report_lost(const struct ping *p, uint32_t seq)
{
	if (p->conf->output == PING_LINES)
		printf("seq=%u: lost with its connection\n", seq);
}

void ping_problem(struct ping *p, uint32_t seq, enum exit_code code, const char *fmt, ...)
{
	va_list ap;

	p->code = code;
	va_start(ap, fmt);
	vsnprintf(p->why, sizeof(p->why), fmt, ap);
	va_end(ap);
	if (p->conf->output != PING_LINES)
		return;
	if (seq > 0)
		printf("seq=%u: ", seq);
	puts(p->why);
}

static int exit_code(const struct ping *p)
{
	if (p->damaged > 0 || p->elsewhere > 0)
		return EXITS_DAMAGED;
	if (p->received == 0)
		return p->sent == 0 || p->code == EXITS_OK ? EXITS_TIMEOUT : p->code;
	if (loss(p) > (double)p->conf->max_loss ||
	    (p->conf->max_rtt > 0 && hist_mean(p->rtt) > (double)p->conf->max_rtt))
		return EXITS_MISSED;
	return EXITS_OK;
}

static void print_times(const char *what, const struct hist *h)
{
	if (h->total == 0)
		return;
	printf("%s min/avg/max/mdev = %.3f/%.3f/%.3f/%.3f ms\n", what, ms((double)h->min),
	       ms(hist_mean(h)), ms((double)h->max), ms(hist_stddev(h)));
	printf("%s percentiles", what);
	for (int i = 0; i < N_PERCENTS; i++)
		printf(" %g%% %.3f", percents[i], ms((double)hist_percentile(h, percents[i])));
	puts(" ms");
}

static void print_summary(const struct ping *p)
{
	printf("\n--- %s %s echo statistics ---\n", p->target->host,
	       protocols[p->conf->sock.protocol].name);
	printf("%" PRIu64 " sent, %" PRIu64 " received, %" PRIu64 " lost (%.6g%%), %" PRIu64
	       " duplicated, %" PRIu64 " reordered, %" PRIu64 " damaged, time %.0f ms\n",
	       p->sent, p->received, p->sent > p->received ? p->sent - p->received : 0, loss(p),
	       p->duplicated, p->reordered, p->damaged, ms((double)(p->ended - p->began)));
	if (p->elsewhere > 0)
		printf("%" PRIu64 " answered from another address than the one asked\n",
		       p->elsewhere);
	if (p->connections > 0)
		print_times("connect", p->connect);
	print_times("rtt", p->rtt);
}

static json_t *times(const struct hist *h)
{
	json_t *o, *all;

	if (h->total == 0)
		return json_null();
	o = json_pack("{s:f, s:f, s:f, s:f}", "min", ms((double)h->min), "avg", ms(hist_mean(h)),
		      "max", ms((double)h->max), "mdev", ms(hist_stddev(h)));
	all = json_object();
	for (int i = 0; i < N_PERCENTS; i++) {
		char key[16];

		snprintf(key, sizeof(key), "%g", percents[i]);
		json_object_set_new(all, key,
				    json_real(ms((double)hist_percentile(h, percents[i]))));
	}
	json_object_set_new(o, "percentiles", all);
	return o;
}

static void set_count(json_t *o, const char *key, uint64_t n)
{
	json_object_set_new(o, key, json_integer((json_int_t)n));
}

static void print_json(const struct ping *p, int code)
{
	char to[ADDRESS_TEXT_MAX];
	json_t *o = json_pack("{s:o, s:s, s:s, s:I, s:b}", "target", varlink_text(p->target->host),
			      "address", name_of(p, to), "protocol",
			      protocols[p->conf->sock.protocol].name, "size",
			      (json_int_t)p->conf->size, "connect_each", p->conf->connect_each);

	set_count(o, "sent", p->sent);
	set_count(o, "received", p->received);
	set_count(o, "lost", p->sent > p->received ? p->sent - p->received : 0);
	set_count(o, "duplicated", p->duplicated);
	set_count(o, "reordered", p->reordered);
	set_count(o, "damaged", p->damaged);
	set_count(o, "answered_elsewhere", p->elsewhere);
	set_count(o, "connections", p->connections);
	json_object_set_new(o, "loss_percent", json_real(loss(p)));
	json_object_set_new(o, "seconds", json_real((double)(p->ended - p->began) / MOMENT_S));
	json_object_set_new(o, "connect_ms", times(p->connect));
	json_object_set_new(o, "rtt_ms", times(p->rtt));
	json_object_set_new(o, "problem", p->why[0] ? json_string(p->why) : json_null());
	set_count(o, "exit", (uint64_t)code);
	json_object_set_new(o, "result", json_string(exits_word((enum exit_code)code)));
	json_dumpf(o, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(9));
	putchar('\n');
	json_decref(o);
}

static int plugin_state(const struct ping *p)
{
	const struct ping_conf *c = p->conf;
	double rta = ms(hist_mean(p->rtt));

	if (p->damaged > 0 || p->elsewhere > 0 || p->received == 0 || loss(p) >= c->critical.loss ||
	    rta >= c->critical.rta)
		return PLUGIN_CRITICAL;
	if (p->duplicated > 0 || loss(p) >= c->warning.loss || rta >= c->warning.rta)
		return PLUGIN_WARNING;
	return PLUGIN_OK;
}

static int print_nagios(const struct ping *p)
{
	static const char *const states[] = {"OK", "WARNING", "CRITICAL", "UNKNOWN"};
	const struct ping_conf *c = p->conf;
	int state = plugin_state(p);
	char to[ADDRESS_TEXT_MAX];

	printf("ECHO %s - %s %s: ", states[state], protocols[c->sock.protocol].name,
	       name_of(p, to));
	if (p->received > 0)
		printf("rta %.3f ms, ", ms(hist_mean(p->rtt)));
	printf("lost %.6g%%", loss(p));
	if (p->why[0])
		printf(", %s", p->why);
	printf(" |");
	if (p->received > 0)
		printf(" rta=%.3fms;%.3f;%.3f;0", ms(hist_mean(p->rtt)), c->warning.rta,
		       c->critical.rta);
	printf(" pl=%.6g%%;%g;%g;0;100", loss(p), c->warning.loss, c->critical.loss);
	if (p->received > 0)
		printf(" rtmin=%.3fms;;;0 rtmax=%.3fms;;;0", ms((double)p->rtt->min),
		       ms((double)p->rtt->max));
	if (p->connect->total > 0)
		printf(" connect=%.3fms;;;0", ms(hist_mean(p->connect)));
	printf(" damaged=%" PRIu64 ";;;0\n", p->damaged + p->elsewhere);
	return state;
}

int ping_report_end(const struct ping *p)
{
	int code = exit_code(p);

	if (p->conf->output == PING_NAGIOS)
		return print_nagios(p);
	if (p->conf->output == PING_JSON)
		print_json(p, code);
	else
		print_summary(p);
	return code;
}

int ping_report_failure(const struct ping_conf *conf, enum exit_code code, const char *text)
{
	if (conf->output != PING_NAGIOS)
		return exits_say(code, "ping", "%s", text);
	printf("ECHO UNKNOWN - %s\n", text);
	return PLUGIN_UNKNOWN;
}
