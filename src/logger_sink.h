/* SPDX-License-Identifier: ISC */
/* logger_sink.h - where the logger's records end.  A sink may block for as long as it likes:
 * only the logger waits. */
#ifndef ECHOD_LOGGER_SINK_H
#define ECHOD_LOGGER_SINK_H

#include "conf.h"

struct log_record;

struct logger_sink {
	const char *name; /* the word of log.target */

	/* Write R.  Returns 0 or -errno: then nobody has it. */
	int (*put)(const struct log_record *r);

	/* Before this process ends: wait, at most MS, until what was put has been dealt with.
	 * NULL: there is nothing to wait for. */
	void (*settle)(int ms);
};

extern const struct logger_sink logger_sink_journal, logger_sink_syslog, logger_sink_stderr;

/* The sink of a target; what "auto" is depends on where standard error goes. */
const struct logger_sink *logger_sink_of(enum log_target target);

/* Does somebody take datagrams at the socket PATH?  Returns 0 or -errno. */
int logger_sink_reach(const char *path);

#endif
