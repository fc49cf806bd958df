/* SPDX-License-Identifier: ISC */
/* model.h - the concurrency models: who runs.  One row and one file each.
 *
 * A model decides which processes and threads exist and hands each either a set of
 * listeners (engine->serve) or one client (engine->echo).  It knows nothing of buffers. */
#ifndef ECHOD_MODEL_H
#define ECHOD_MODEL_H

#include <stdbool.h>
#include <stddef.h>

struct worker;

struct model {
	const char *name;             /* as in the configuration: "prefork" */
	const char *text;             /* one phrase for --help and the manual page */
	bool many_processes;          /* the service has `workers` processes, else one */
	bool many_threads;            /* its process has `workers` threads, else one */
	bool per_client;              /* accepts by itself and calls engine->echo; streams only */
	bool own_descriptors;         /* each client's are in a process of its own */
	unsigned calls;               /* what its processes call: enum sandbox_part */
	int (*run)(struct worker *w); /* in the worker process; returns 0 when told to stop,
				       * or -errno when it could not go on */
};

/* All models, in the order of the textbook, NULL at the end. */
extern const struct model *const models[];

/* The model called NAME, or NULL. */
const struct model *model_find(const char *name);

#endif
