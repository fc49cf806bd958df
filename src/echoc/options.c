/* SPDX-License-Identifier: ISC */
/* Command lines from tables: parsing and --help.  No option is named here but --help. */
#include "options.h"

#include "exits.h"
#include "moment.h"
#include "size.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_ROWS = 96, FIRST_VALUE = 256, LEFT = 24, MICRO = 1000000 };

static const struct option_row help_row = {.name = "help", .letter = 'h', .text = "print this"};

/* Every row with the struct that it fills; getopt_long(3) returns FIRST_VALUE + index. */
struct all_rows {
	const struct option_row *row[MAX_ROWS];
	char *base[MAX_ROWS];
	int n;
};

int options_error(const struct options *o, const char *fmt, ...)
{
	va_list ap;

	fprintf(stderr, "echoc: %s: ", o->command);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fprintf(stderr, "\nTry \"echoc %s --help\".\n", o->command);
	return EXITS_USAGE;
}

static void collect(const struct options *o, struct all_rows *all)
{
	all->n = 0;
	for (size_t g = 0; g < o->n_groups; g++) {
		for (size_t i = 0; i < o->groups[g].n && all->n < MAX_ROWS - 1; i++) {
			all->row[all->n] = &o->groups[g].rows[i];
			all->base[all->n++] = o->groups[g].base;
		}
	}
	all->row[all->n] = &help_row;
	all->base[all->n++] = NULL;
}

static void make_tables(const struct all_rows *all, struct option *longs, char *letters)
{
	int n = 0;

	*letters++ = ':'; /* tell a missing argument from an unknown option */
	for (int i = 0; i < all->n; i++) {
		const struct option_row *row = all->row[i];

		if (row->name)
			longs[n++] = (struct option){.name = row->name,
						     .has_arg = row->argument ? required_argument
									      : no_argument,
						     .val = FIRST_VALUE + i};
		if (row->letter)
			*letters++ = row->letter;
		if (row->letter && row->argument)
			*letters++ = ':';
	}
	longs[n] = (struct option){0};
	*letters = '\0';
}

static int find(const struct all_rows *all, int value)
{
	if (value >= FIRST_VALUE)
		return value - FIRST_VALUE;
	for (int i = 0; i < all->n; i++)
		if (all->row[i]->letter == value)
			return i;
	return -1;
}

static void print_left(const struct option_row *row, char *left, size_t size)
{
	char letter[5] = "    ";

	if (row->letter)
		snprintf(letter, sizeof(letter), "-%c%s", row->letter, row->name ? ", " : "");
	if (row->left)
		snprintf(left, size, "%s", row->left);
	else
		snprintf(left, size, "%s%s%s%s%s", letter, row->name ? "--" : "",
			 row->name ? row->name : "", row->argument ? " " : "",
			 row->argument ? row->argument : "");
}

static void print_help(const struct options *o, const struct all_rows *all)
{
	char left[80];

	printf("Usage: echoc %s %s\n%s\n\n", o->command, o->usage, o->summary);
	for (int i = 0; i < all->n; i++) {
		if (!all->row[i]->text)
			continue;
		print_left(all->row[i], left, sizeof(left));
		printf(" %-*s %s\n", LEFT, left, all->row[i]->text);
	}
	printf("\nExamples:\n%s\n%s", o->examples, exits_help());
}

/* The number of an argument into OUT; -EINVAL if it is none, -ERANGE out of the row's range. */
static int parse_number(const struct option_row *row, const char *text, int64_t *out)
{
	char *end;
	int r = 0;

	switch (row->kind) {
	case ARG_SIZE:
		r = size_parse(text, out);
		break;
	case ARG_SECONDS:
		r = seconds_parse(text, MICRO, out);
		*out = r == 0 && *out <= INT64_MAX / MOMENT_US ? *out * MOMENT_US : INT64_MAX;
		break;
	default:
		errno = 0;
		*out = strtoll(text, &end, 10);
		if (end == text || *end != '\0')
			r = -EINVAL;
		else if (errno == ERANGE)
			r = -ERANGE;
	}
	if (r == 0 && (*out < row->min || *out > row->max))
		r = -ERANGE;
	return r;
}

/* What the row takes, for the message. */
static const char *allowed(const struct option_row *row, char *buf, size_t size)
{
	char a[SIZE_TEXT_MAX], b[SIZE_TEXT_MAX];

	switch (row->kind) {
	case ARG_SIZE:
		snprintf(buf, size, "a size, %s to %s", size_format(row->min, a),
			 size_format(row->max, b));
		break;
	case ARG_SECONDS:
		snprintf(buf, size, "seconds, %s to %s",
			 seconds_format(row->min / MOMENT_US, MICRO, a),
			 seconds_format(row->max / MOMENT_US, MICRO, b));
		break;
	default:
		snprintf(buf, size, "an integer, %" PRId64 " to %" PRId64, row->min, row->max);
	}
	return buf;
}

/* Put an option that was given where it belongs. */
static int take(const struct options *o, const struct option_row *row, char *base,
		const char *argument)
{
	void *field = base + row->offset;
	const char *why = "";
	char buf[128];

	switch (row->kind) {
	case ARG_FLAG:
		*(bool *)field = true;
		return OPTIONS_RUN;
	case ARG_CHOICE:
		*(int *)field = row->value;
		return OPTIONS_RUN;
	case ARG_TEXT:
		*(const char **)field = argument;
		return OPTIONS_RUN;
	case ARG_TAKE:
		if (row->take(field, argument, &why) == 0)
			return OPTIONS_RUN;
		break;
	default:
		if (parse_number(row, argument, field) == 0)
			return OPTIONS_RUN;
		why = allowed(row, buf, sizeof(buf));
	}
	if (row->name)
		return options_error(o, "--%s %s: %s", row->name, argument, why);
	return options_error(o, "-%c %s: %s", row->letter, argument, why);
}

int options_parse(const struct options *o, int argc, char *argv[])
{
	struct all_rows all;
	struct option longs[MAX_ROWS + 1];
	char letters[2 * MAX_ROWS + 2];
	int value, i, r;

	collect(o, &all);
	make_tables(&all, longs, letters);
	opterr = 0;
	optind = 0; /* from the start, although it was called before */
	while ((value = getopt_long(argc, argv, letters, longs, NULL)) != -1) {
		i = value == ':' || value == '?' ? -1 : find(&all, value);
		if (value == ':')
			return options_error(o, "%s needs an argument", argv[optind - 1]);
		if (i < 0 && optopt && optopt < FIRST_VALUE)
			return options_error(o, "unknown option -%c", optopt);
		if (i < 0)
			return options_error(o, "unknown option %s, or one that takes no argument",
					     argv[optind - 1]);
		if (all.row[i] == &help_row) {
			print_help(o, &all);
			return EXITS_OK;
		}
		r = take(o, all.row[i], all.base[i], optarg);
		if (r != OPTIONS_RUN)
			return r;
	}
	return OPTIONS_RUN;
}
