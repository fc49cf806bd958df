/* SPDX-License-Identifier: ISC */
/* compare.h - the same load on several servers, in turn and again. */
#ifndef ECHOC_COMPARE_H
#define ECHOC_COMPARE_H

#include "compare_proc.h"
#include "load.h"

#include <jansson.h>
#include <stdio.h>
#include <sys/types.h>

enum { COMPARE_MAX = 32 /* servers */, COMPARE_ROUNDS_MAX = 101 };

/* What is measured of a server, in each round and as the median of them. */
enum compare_metric {
	METRIC_RATE,     /* echoes a second */
	METRIC_RATIO,    /* of the rate to that of the best server in the same round */
	METRIC_P50,      /* us */
	METRIC_P99,      /* us */
	METRIC_P999,     /* us */
	METRIC_CPU,      /* us of processor time of the server's processes for an echo */
	METRIC_SYSTEM,   /* us of processor time of the whole machine for an echo */
	METRIC_SWITCHES, /* context switches of the machine but for the client's, for an echo */
	METRIC_MEMORY,   /* MB that the server's processes took at most */
	METRIC_PROCESSES,
	METRIC_THREADS,
	METRIC_ERRORS, /* failures and damages */
	N_METRICS
};

/* A column of the table, a key of JSON. */
struct compare_column {
	const char *title;
	const char *key;
	int digits;  /* behind the point */
	bool server; /* only of servers whose processes are known */
	bool echo;   /* of an echo: only of servers that gave one */
};
extern const struct compare_column compare_columns[N_METRICS];

/* One server. */
struct contender {
	char name[64];
	struct load_conf load; /* with its address */
	pid_t pid;             /* the root of its processes; 0: not known */
	const char *note;      /* in what its load differs, or NULL */
	double sample[N_METRICS][COMPARE_ROUNDS_MAX];
	double median[N_METRICS];
	unsigned rounds;      /* samples there are */
	struct hist *latency; /* of all rounds */
	int code;             /* the worst exit code of a load */
	struct damage damage; /* the first, if any */
};

struct comparison {
	struct contender server[COMPARE_MAX];
	unsigned n;
	unsigned rounds; /* that were asked for */
	unsigned best;   /* index of the one with the highest median rate */
	bool interrupted;
	void (*tell)(const struct comparison *c, unsigned round, const struct contender *s);
};

/* Measure all of C, ROUNDS times, in an order that turns; then the medians.  Returns 0, or
 * -errno with *WHAT. */
int compare_run(struct comparison *c, const char **what);

/* The exit code for all of it. */
int compare_exit(const struct comparison *c);
void compare_free(struct comparison *c);

/* compare_report.c: the table, for people and for programs; fastest first. */
void compare_report_table(const struct comparison *c, FILE *out);
void compare_report_csv(const struct comparison *c, FILE *out);
json_t *compare_report_json(const struct comparison *c);
/* Fill ORDER with the indices of the servers, the fastest first. */
void compare_report_order(const struct comparison *c, unsigned order[COMPARE_MAX]);

/* compare_plot.c: data, gnuplot's script and what it draws into DIR.  Tells the user what
 * goes wrong; returns an exit code. */
int compare_plot(const struct comparison *c, const char *dir);

#endif
