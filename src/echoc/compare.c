/* SPDX-License-Identifier: ISC */
/* Rounds over all servers.  They alternate, and the order turns, so that what disturbs the
 * machine for a while disturbs all of them; medians forget the rest. */
#include "compare.h"

#include "exits.h"
#include "moment.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

const struct compare_column compare_columns[N_METRICS] = {
	[METRIC_RATE] = {"rate/s", "rate", 0, false, false},
	[METRIC_RATIO] = {"ratio", "ratio", 2, false, false},
	[METRIC_P50] = {"p50 us", "p50_us", 0, false, true},
	[METRIC_P99] = {"p99 us", "p99_us", 0, false, true},
	[METRIC_P999] = {"p99.9 us", "p99.9_us", 0, false, true},
	[METRIC_CPU] = {"CPU us", "cpu_us", 1, true, true},
	[METRIC_SYSTEM] = {"all CPU us", "system_cpu_us", 1, false, true},
	[METRIC_SWITCHES] = {"switches", "context_switches", 2, false, true},
	[METRIC_MEMORY] = {"MB", "memory_mb", 1, true, false},
	[METRIC_PROCESSES] = {"processes", "processes", 0, true, false},
	[METRIC_THREADS] = {"threads", "threads", 0, true, false},
	[METRIC_ERRORS] = {"errors", "errors", 0, false, false},
};

/* What is read while one load runs. */
struct account {
	const struct contender *server;
	struct compare_proc before, after;
	struct compare_proc peak; /* memory, processes, threads */
};

static void look(struct account *a, struct compare_proc *now)
{
	compare_proc_read(a->server->pid, now);
	if (now->memory > a->peak.memory)
		a->peak.memory = now->memory;
	if (now->processes > a->peak.processes)
		a->peak.processes = now->processes;
	if (now->threads > a->peak.threads)
		a->peak.threads = now->threads;
}

static void begin(void *data)
{
	struct account *a = data;

	look(a, &a->before);
}

static void interval(void *data, const struct load_interval *i)
{
	struct compare_proc now;

	(void)i;
	look(data, &now);
}

static void end(void *data)
{
	struct account *a = data;

	look(a, &a->after);
}

/* What was used between two looks.  The kernel counts in ticks, and what processes that have
 * ended used may be a tick less than what was read of them. */
static double used(int64_t before, int64_t after)
{
	return after > before ? (double)(after - before) : 0;
}

static void keep(struct contender *s, const struct account *a, const struct load_result *r)
{
	double echoes = r->counts.completed ? (double)r->counts.completed : 1;
	double seconds = r->seconds > 0 ? r->seconds : 1;
	const double values[N_METRICS] = {
		[METRIC_RATE] = (double)r->counts.completed / seconds,
		[METRIC_P50] = (double)hist_percentile(r->latency, 50) / MOMENT_US,
		[METRIC_P99] = (double)hist_percentile(r->latency, 99) / MOMENT_US,
		[METRIC_P999] = (double)hist_percentile(r->latency, 99.9) / MOMENT_US,
		[METRIC_CPU] = used(a->before.cpu, a->after.cpu) / echoes / MOMENT_US,
		[METRIC_SYSTEM] = used(a->before.system, a->after.system) / echoes / MOMENT_US,
		[METRIC_SWITCHES] = used(a->before.switches, a->after.switches) / echoes,
		[METRIC_MEMORY] = (double)a->peak.memory / 1e6,
		[METRIC_PROCESSES] = (double)a->peak.processes,
		[METRIC_THREADS] = (double)a->peak.threads,
		[METRIC_ERRORS] = (double)(load_all_failures(&r->counts) +
					   load_all_damages(&r->counts) + r->counts.lost),
	};

	for (int m = 0; m < N_METRICS; m++)
		s->sample[m][s->rounds] = values[m];
	s->rounds++;
	hist_merge(s->latency, r->latency);
	if (s->code == EXITS_OK)
		s->code = load_exit(r);
	if (s->damage.kind == DAMAGE_NONE && r->n_damage > 0)
		s->damage = r->damage[0];
}

/* One load on one server. */
static int measure(struct comparison *c, struct contender *s, const char **what)
{
	struct account a = {.server = s};
	struct load_watch watch = {.begin = begin, .end = end, .interval = interval, .data = &a};
	struct load_result result;
	int r = load_run(&s->load, &watch, &result, what);

	if (r == 0 && result.interrupted)
		c->interrupted = true;
	else if (r == 0)
		keep(s, &a, &result);
	load_free(&result);
	return r;
}

static int ascending(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(const double *values, unsigned n)
{
	double sorted[COMPARE_ROUNDS_MAX];

	if (n == 0)
		return 0;
	memcpy(sorted, values, n * sizeof(*values));
	qsort(sorted, n, sizeof(*sorted), ascending);
	return n % 2 ? sorted[n / 2] : (sorted[n / 2 - 1] + sorted[n / 2]) / 2;
}

static void medians(struct comparison *c)
{
	struct contender *best = &c->server[0];

	for (unsigned i = 0; i < c->n; i++) {
		struct contender *s = &c->server[i];

		s->median[METRIC_RATE] = median(s->sample[METRIC_RATE], s->rounds);
		if (s->median[METRIC_RATE] > best->median[METRIC_RATE])
			best = s;
	}
	c->best = (unsigned)(best - c->server);
	for (unsigned i = 0; i < c->n; i++) {
		struct contender *s = &c->server[i];
		/* An interrupted round has not all. */
		unsigned n = s->rounds < best->rounds ? s->rounds : best->rounds;

		for (unsigned k = 0; k < s->rounds; k++)
			s->sample[METRIC_RATIO][k] = k < n && best->sample[METRIC_RATE][k] > 0
							     ? s->sample[METRIC_RATE][k] /
								       best->sample[METRIC_RATE][k]
							     : 0;
		for (int m = 0; m < N_METRICS; m++)
			s->median[m] = median(s->sample[m], m == METRIC_RATIO ? n : s->rounds);
		for (unsigned k = 0; k < s->rounds; k++) /* the worst, not the median */
			if (s->sample[METRIC_ERRORS][k] > s->median[METRIC_ERRORS])
				s->median[METRIC_ERRORS] = s->sample[METRIC_ERRORS][k];
	}
}

int compare_run(struct comparison *c, const char **what)
{
	int r = 0;

	*what = "memory";
	for (unsigned i = 0; i < c->n; i++)
		if (!(c->server[i].latency = hist_new()))
			return -ENOMEM;
	for (unsigned round = 0; round < c->rounds && r == 0; round++) {
		for (unsigned i = 0; i < c->n && r == 0 && !c->interrupted; i++) {
			struct contender *s = &c->server[(round + i) % c->n];

			r = measure(c, s, what);
			if (r == 0 && !c->interrupted && c->tell)
				c->tell(c, round, s);
		}
		if (c->interrupted)
			break;
	}
	medians(c);
	return r;
}

int compare_exit(const struct comparison *c)
{
	int code = EXITS_OK;

	for (unsigned i = 0; i < c->n; i++)
		if (c->server[i].code > code && code != EXITS_DAMAGED)
			code = c->server[i].code;
	return code;
}

void compare_free(struct comparison *c)
{
	for (unsigned i = 0; i < c->n; i++)
		free(c->server[i].latency);
}
