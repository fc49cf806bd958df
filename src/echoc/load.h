/* SPDX-License-Identifier: ISC */
/* load.h - a load on one echo server: what is asked, what was measured. */
#ifndef ECHOC_LOAD_H
#define ECHOC_LOAD_H

#include "damage.h"
#include "hist.h"
#include "raw.h"
#include "sizes.h"
#include "sock.h"

#include <stdbool.h>
#include <stdint.h>

enum { LOAD_THREADS_MAX = 64, LOAD_DAMAGES_MAX = 8, LOAD_CONNECTIONS_MAX = 1000000 };

/* What is asked.  Times are nanoseconds. */
struct load_conf {
	struct sock_conf sock;
	struct address to;
	struct sizes sizes;
	int64_t connections, threads;
	int64_t depth;    /* messages in flight on each connection */
	double rate;      /* messages a second in all; 0: as fast as they come back */
	int64_t duration; /* of what is measured; 0: until COUNT */
	int64_t count;    /* messages to measure; 0: until DURATION */
	int64_t warmup;
	int64_t timeout;   /* the longest to wait for progress */
	int64_t sources;   /* rotate over so many addresses from sock.source on; 0: no */
	bool connect_each; /* a connection for each message */
	bool spin;         /* never sleep */
	bool raw;          /* keep every latency that is measured */
};

/* Why a connection, or a message, came to nothing. */
enum load_failure {
	LOAD_REFUSED,
	LOAD_TIMEOUT,     /* no connection, or no answer, in time */
	LOAD_UNREACHABLE, /* the network says so */
	LOAD_RESET,       /* the connection was reset */
	LOAD_CLOSED,      /* the server ended the connection before its answer */
	LOAD_LOCAL,       /* this machine: no port, no descriptor, no memory */
	N_LOAD_FAILURES
};

extern const char *const load_failure_names[N_LOAD_FAILURES];

/* What is counted by one thread, and the sum.  "Measured" are messages that were due within
 * the time measured; everything but that is counted always. */
struct load_counts {
	uint64_t sent;      /* messages that were measured */
	uint64_t received;  /* of them, those that came back */
	uint64_t completed; /* came back within the time measured, whenever they were due */
	uint64_t bytes;     /* of what completed */
	uint64_t unsent;    /* due, and never sent: their connections were not free */
	uint64_t connects;  /* connections made */
	uint64_t failures[N_LOAD_FAILURES];
	uint64_t damages[N_DAMAGES];
	uint64_t lost;       /* datagrams without an answer */
	uint64_t duplicated; /* answers of datagrams that came again, or after their time */
	uint64_t reordered;  /* answers of datagrams that came after those of later ones */
};

/* What one second was like. */
struct load_interval {
	double at;         /* seconds since what is measured began, its end */
	double rate;       /* messages a second */
	uint64_t p50, p99; /* ns */
	uint64_t failures; /* and damages */
};

struct load_result {
	struct load_counts counts;
	struct hist *latency;                   /* of measured messages */
	struct raw *raw;                        /* the same, each; NULL: not asked for */
	struct hist *connect;                   /* times of connect(2) */
	struct hist *lag;                       /* of the client behind its own schedule */
	double seconds;                         /* that were measured */
	struct damage damage[LOAD_DAMAGES_MAX]; /* the first ones */
	unsigned n_damage;
	double cpu;    /* share of a processor that the busiest thread used, 0 to 1 */
	double waited; /* share of the time that a thread waited for a processor, the largest */
	bool interrupted;
};

/* What is told while it runs, from the thread that called load_run(). */
struct load_watch {
	void (*begin)(void *data); /* the time that is measured begins; may be NULL */
	void (*end)(void *data);   /* it is over; may be NULL */
	void (*interval)(void *data, const struct load_interval *i); /* may be NULL */
	void *data;
};

/* Run it.  SIGINT and SIGTERM end it early and are not lost: the result says interrupted.
 * Returns 0 with RESULT, whose histograms and record load_free() frees; or -errno if it could not be
 * started, with *WHAT the step. */
int load_run(const struct load_conf *conf, const struct load_watch *watch,
	     struct load_result *result, const char **what);
void load_free(struct load_result *result);

/* Was the client, not the server, the limit?  NULL, or a sentence in BUF that says why. */
const char *load_limited(const struct load_conf *conf, const struct load_result *result, char *buf,
			 size_t size);

/* The exit code (exits.h) that tells of the result. */
int load_exit(const struct load_result *result);

uint64_t load_all_failures(const struct load_counts *c);
uint64_t load_all_damages(const struct load_counts *c);

#endif
