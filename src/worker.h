/* SPDX-License-Identifier: ISC */
/* worker.h - a worker process: what it is given, and its life from fork(2) to _exit(2).
 * It holds the listeners of one service and nothing else of the daemon. */
#ifndef ECHOD_WORKER_H
#define ECHOD_WORKER_H

#include "address.h"
#include "process.h"

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct handshakes;
struct quotas;
struct log_conf;
struct sandbox;
struct sandbox_filters;
struct log_shared;
struct own;
struct process_conf;
struct service_conf;
struct slots;
struct stats;

/* A socket that a worker accepts or receives on. */
struct endpoint {
	int fd;                 /* non-blocking */
	struct address address; /* what it is bound to */
	bool shares;            /* it is a further one there: what is sent to many hosts comes to
				 * each, and is another's to judge and to count */
};

/* All that a worker is given.  It is the supervisor's until the fork; then a private copy. */
struct worker {
	const struct service_conf *conf;
	const struct process_conf *process;
	struct identity identity; /* to become */
	const struct log_conf *log;
	const struct sandbox *sandbox; /* what there is of it, or NULL: it is off */
	const struct sandbox_filters *filters;
	const struct endpoint
		*sockets; /* rows of n_endpoints, one for all executors or one for each;
					 * what an executor serves is in executor.h */
	size_t n_endpoints;
	unsigned rows;                 /* executor I has row I, round robin */
	bool alone;                    /* no executor shares its row with another */
	struct quotas *quotas;         /* shared */
	struct handshakes *handshakes; /* shared: of all services */
	struct slots *slots;           /* shared; streams only, else NULL */
	struct stats *stats;           /* shared: a block for each of its executors */
	const struct own *own;         /* shared: where this daemon receives datagrams */
	int leash;                     /* read end of a pipe: a byte in it means drain, its hang-up
					* that the supervisor is gone or wants us gone: leave now */
	int hello;                     /* pipe to the supervisor: our pid, once we serve */
	unsigned number;               /* of the worker within its service, from 1 */
	unsigned capacity;             /* connections that its descriptors allow */
	_Atomic unsigned up;           /* executors that serve */
	pthread_barrier_t all_up;      /* with many threads: they serve together */
};

/* Be the worker W: drop what is not its own, run the model, end the process. */
_Noreturn void worker_main(struct worker *w);

#endif
