/* SPDX-License-Identifier: ISC */
/* logger.h - the logger process: takes records and writes them, so that a slow or stuck
 * reader of the log can stop neither serving nor supervision. */
#ifndef ECHOD_LOGGER_H
#define ECHOD_LOGGER_H

#include "conf.h"
#include "sandbox.h"

#include <stdbool.h>
#include <sys/types.h>

struct log_shared;

/* The supervisor's hold on the logger.  It keeps both ends of the line: what is said while
 * there is no logger waits for the next. */
struct logger {
	pid_t pid;                     /* 0: none runs */
	int line[2];                   /* [0] for the logger, [1] for all who log */
	struct log_shared *shared;     /* what was lost */
	const struct sandbox *sandbox; /* or NULL: it is off */
	struct sandbox_filters filters;
};

/* Set up the line, start the process, which writes to TARGET and enters SANDBOX (NULL: none),
 * and send this process's log there.  Returns 0 or -errno: then the log still goes to standard
 * error directly. */
int logger_start(struct logger *l, enum log_target target, const struct sandbox *sandbox);

/* Write to TARGET from now on. */
void logger_set_target(struct logger *l, enum log_target target);

/* Process PID has ended with STATUS of wait(2).  Was it the logger?  Then it is said. */
bool logger_ended(struct logger *l, pid_t pid, int status);

/* Start the process again if it is not there.  Returns 0 or -errno. */
int logger_restart(struct logger *l);

/* Log to standard error again, and wait, not for long, until the logger has written what it
 * has.  Every other process that logs must have ended. */
void logger_stop(struct logger *l);

#endif
