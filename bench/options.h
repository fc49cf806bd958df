/* SPDX-License-Identifier: ISC */
/* options.h - the client's options: all of them numbers, one row each. */
#ifndef BENCH_OPTIONS_H
#define BENCH_OPTIONS_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum option_index { PORT, CONNECTIONS, SIZE, SECONDS, WARMUP, WINDOW, SOURCES, OPTIONS };

enum { CHUNK_MAX = 256 * 1024 }; /* bytes: the most that is written or read at once */

static struct {
	const char *name;
	double min, max, value;
} options[OPTIONS] = {
	[PORT] = {"--port", 1, 65535, 0},       [CONNECTIONS] = {"--connections", 1, 100000, 64},
	[SIZE] = {"--size", 1, CHUNK_MAX, 64},  [SECONDS] = {"--seconds", 0.01, 3600, 1},
	[WARMUP] = {"--warmup", 0, 3600, 0.2},  [WINDOW] = {"--window", 1, 1 << 30, 256 * 1024},
	[SOURCES] = {"--sources", 0, 60000, 0},
};

static inline void usage(void)
{
	fprintf(stderr, "usage: client rr|bulk|connect --port PORT [OPTION VALUE]...\n");
	for (int i = 0; i < OPTIONS; i++)
		fprintf(stderr, "  %-14s %g to %g (%g)\n", options[i].name, options[i].min,
			options[i].max, options[i].value);
	exit(64);
}

static inline void parse_option(const char *name, const char *value)
{
	char *end;
	int i;

	for (i = 0; i < OPTIONS && strcmp(options[i].name, name); i++)
		;
	if (i == OPTIONS || !value)
		usage();
	options[i].value = strtod(value, &end);
	if (end == value || *end || !(options[i].value >= options[i].min) ||
	    options[i].value > options[i].max)
		usage();
}

#endif
