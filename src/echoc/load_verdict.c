/* SPDX-License-Identifier: ISC */
/* What a result means: whose limit it was, and the exit code. */
#include "load.h"

#include "exits.h"
#include "moment.h"

#include <stdio.h>

/* A thread that is busy for so much of the time has no time to be on time. */
static const double busy = 0.95, waiting = 0.10;
enum { LAG_MAX = 2 * MOMENT_MS /* of 99 %: beyond it an open loop measures its client */ };

uint64_t load_all_failures(const struct load_counts *c)
{
	uint64_t n = 0;

	for (int i = 0; i < N_LOAD_FAILURES; i++)
		n += c->failures[i];
	return n;
}

uint64_t load_all_damages(const struct load_counts *c)
{
	uint64_t n = 0;

	for (int i = 0; i < N_DAMAGES; i++)
		n += c->damages[i];
	return n;
}

const char *load_limited(const struct load_conf *conf, const struct load_result *result, char *buf,
			 size_t size)
{
	uint64_t lag = hist_percentile(result->lag, 99);

	if (result->counts.failures[LOAD_LOCAL] > 0)
		snprintf(buf, size, "it ran out of ports, descriptors or memory%s",
			 conf->connect_each ? "; --sources N gives more ports" : "");
	else if (result->cpu >= busy)
		snprintf(buf, size, "a thread of it used %.0f %% of a processor%s",
			 result->cpu * 100, conf->threads == 1 ? "; try --threads" : "");
	else if (result->waited >= waiting)
		snprintf(buf, size, "a thread of it waited %.0f %% of the time for a processor",
			 result->waited * 100);
	else if (conf->rate > 0 && lag > LAG_MAX)
		snprintf(buf, size,
			 "it was more than %.1f ms behind its schedule for 1 %% of the "
			 "messages",
			 (double)lag / MOMENT_MS);
	else
		return NULL;
	return buf;
}

int load_exit(const struct load_result *result)
{
	static const struct {
		enum load_failure failure;
		enum exit_code code;
	} rows[] = {
		{LOAD_RESET, EXITS_DAMAGED},   {LOAD_CLOSED, EXITS_DAMAGED},
		{LOAD_TIMEOUT, EXITS_TIMEOUT}, {LOAD_UNREACHABLE, EXITS_UNREACHABLE},
		{LOAD_REFUSED, EXITS_REFUSED}, {LOAD_LOCAL, EXITS_SYSTEM},
	};
	const struct load_counts *c = &result->counts;

	if (load_all_damages(c) > 0)
		return EXITS_DAMAGED;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (c->failures[rows[i].failure] > 0)
			return rows[i].code;
	/* Nothing may have been sent in the time measured because nothing had come back before. */
	if (c->received == 0 && (c->sent > 0 || (c->lost > 0 && c->completed == 0)) &&
	    !result->interrupted)
		return EXITS_TIMEOUT;
	return EXITS_OK;
}
