/* SPDX-License-Identifier: ISC */
/* options.h - command lines: one table for each subcommand drives getopt_long(3) and its
 * --help. */
#ifndef ECHOC_OPTIONS_H
#define ECHOC_OPTIONS_H

#include <stddef.h>
#include <stdint.h>

/* What an option's argument is, and the type of the field that it goes to. */
enum option_kind {
	ARG_FLAG,    /* none; bool, set to true */
	ARG_CHOICE,  /* none; int, set to the row's .value */
	ARG_INT,     /* an integer within min..max; int64_t */
	ARG_SIZE,    /* bytes, "64K", within min..max; int64_t */
	ARG_SECONDS, /* decimal seconds within min..max nanoseconds; int64_t nanoseconds */
	ARG_TEXT,    /* const char *, as it stands in argv */
	ARG_TAKE     /* the row's take() */
};

struct option_row {
	const char *name;     /* NULL: a line of help alone */
	char letter;          /* or 0 */
	const char *argument; /* its name in --help; NULL: none */
	enum option_kind kind;
	size_t offset;    /* of the field in the group's base */
	int64_t min, max; /* of numbers */
	int value;        /* of ARG_CHOICE */
	/* ARG_TAKE: put TEXT into FIELD.  Returns 0, or -EINVAL with *WHY what is allowed. */
	int (*take)(void *field, const char *text, const char **why);
	const char *text; /* for --help; NULL: not shown there */
	const char *left; /* not NULL: --help's left column instead of the made one */
};

/* Rows that fill one struct. */
struct option_group {
	const struct option_row *rows;
	size_t n;
	void *base;
};

/* The command line of one subcommand. */
struct options {
	const char *command;  /* "ping" */
	const char *usage;    /* "[OPTION]... HOST [PORT]" */
	const char *summary;  /* what it does: one or two lines */
	const char *examples; /* lines */
	const struct option_group *groups;
	size_t n_groups;
};

/* OPTIONS_RUN: go on; anything else is the exit code to leave with. */
enum { OPTIONS_RUN = -1 };

/* Parse ARGV; --help is added to the rows and printed here, errors are told on stderr.
 * Options may stand behind arguments; "--" ends them.  Afterwards the arguments are
 * ARGV[optind] up to ARGC.  Returns OPTIONS_RUN or an exit code. */
int options_parse(const struct options *o, int argc, char *argv[]);

/* Tell of a wrong command line.  Returns EXITS_USAGE. */
__attribute__((format(printf, 2, 3))) int options_error(const struct options *o, const char *fmt,
							...);

#endif
