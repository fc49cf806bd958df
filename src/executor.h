/* SPDX-License-Identifier: ISC */
/* executor.h - one process or thread that serves.  Every wait of an executor goes through
 * here, so that none can miss the call to stop, and so that the supervisor can see whether
 * it is awake. */
#ifndef ECHOD_EXECUTOR_H
#define ECHOD_EXECUTOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct endpoint;
struct epoll_event;
struct stats;
struct worker;

enum { EXECUTOR_TEXT_MAX = 160 };

struct executor {
	struct worker *worker;
	const struct endpoint *endpoints; /* worker->n_endpoints that it serves */
	struct stats *stats;              /* its counters */
	unsigned index;                   /* within the worker, from 0 */
	bool draining;                    /* take no new clients; end those that are quiet */
	bool leaving;                     /* end now */
	bool eager;           /* something has come of the latest wait: look before sleeping */
	uint64_t now;         /* ms, timer_now() of the latest wake-up */
	uint64_t drain_since; /* ms */
	bool wide;            /* more may come at once than the spare buffer holds */
	char *scratch;        /* conf->buffer bytes to receive into, or NULL: see conn.c */
	char spare[2048];     /* to receive into unless wide, or when there is no memory for that */
	char refused[EXECUTOR_TEXT_MAX]; /* what serve() was refused and why, before it served */
};

/* Be executor INDEX of worker W. */
void executor_init(struct executor *ex, struct worker *w, unsigned index);

/* It has all that it needs to serve.  When all executors of the worker have, the worker is in
 * its sandbox and the supervisor is told; before that this does not return. */
void executor_up(struct executor *ex);

/* Be executor INDEX of W, serve its listeners by the service's engine, and end.  Returns 0
 * when told to stop, or -errno. */
int executor_serve(struct worker *w, unsigned index);

/* Free what it holds. */
void executor_deinit(struct executor *ex);

/* Wait until FD has EVENTS (of poll(2); FD -1: nothing), until the time DEADLINE (ms,
 * UINT64_MAX: none) or until told to drain or leave.  Returns the events that FD has, or 0. */
short executor_wait(struct executor *ex, int fd, short events, uint64_t deadline);

/* epoll_wait(2) until DEADLINE.  Returns the number of EVENTS, 0 if interrupted. */
int executor_wait_events(struct executor *ex, int ep, struct epoll_event *events, int max,
			 uint64_t deadline);

/* Any other wait until DEADLINE: WAIT(ARG, MS) returns how many things it found, 0 for none
 * within MS milliseconds (-1: for ever; 0: it only looks), or -errno; what it returns is
 * returned.  It is called again and again with 0 while busy_poll says so. */
int executor_wait_by(struct executor *ex, uint64_t deadline, int (*wait)(void *arg, int ms),
		     void *arg);

/* It takes no more clients, for good: whoever comes from now on is its successor's.  The supervisor
 * waits for that before it says that a new configuration serves. */
void executor_deaf(struct executor *ex);

/* Close FD.  With SO_LINGER that may wait, and who waits there is not stuck. */
void executor_close(struct executor *ex, int fd);

/* The leash has poll(2) or epoll(7) EVENTS: take note of what it says. */
void executor_leash(struct executor *ex, unsigned events);

#endif
