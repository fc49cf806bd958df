/* SPDX-License-Identifier: ISC */
/* load_report.h - a load's result for people and for programs. */
#ifndef ECHOC_LOAD_REPORT_H
#define ECHOC_LOAD_REPORT_H

#include "load.h"

#include <jansson.h>
#include <stdio.h>

/* The percentiles that every report has, and their names: "p50" ... "p99.999". */
enum { LOAD_PERCENTILES = 8 };
extern const double load_percentiles[LOAD_PERCENTILES];
extern const char *const load_percentile_names[LOAD_PERCENTILES];

enum { LOAD_TIME_MAX = 24 };

/* NS with its unit, four digits: "310.2 us".  Returns BUF. */
const char *load_time(double ns, char buf[LOAD_TIME_MAX]);

/* What is asked, in one line. */
void load_print_plan(const struct load_conf *conf, FILE *out);
void load_print(const struct load_conf *conf, const struct load_result *result, FILE *out);

/* An object, or NULL for lack of memory.  INTERVALS, an array or NULL, is taken over. */
json_t *load_json(const struct load_conf *conf, const struct load_result *result,
		  json_t *intervals);
json_t *load_json_interval(const struct load_interval *i);

/* Two lines: names and values. */
void load_print_csv(const struct load_conf *conf, const struct load_result *result, FILE *out);

#endif
