/* SPDX-License-Identifier: ISC */
/* syslog(3).  The process that it names is to be the one that spoke, not this one: openlog(3)
 * keeps the pointer to the name that it is given, so it gets "echod[PID]" for each message. */
#include "logger_sink.h"

#include "log_record.h"

#include <paths.h>
#include <stdio.h>
#include <syslog.h>

static int put(const struct log_record *r)
{
	char name[32], text[sizeof(r->data) + 512];
	int e = logger_sink_reach(_PATH_LOG);

	if (e < 0)
		return e;
	snprintf(name, sizeof(name), "echod[%d]", (int)r->pid);
	log_record_message(r, text, sizeof(text));
	openlog(name, 0, LOG_DAEMON);
	syslog(r->level, "%s", text);
	closelog(); /* it must not keep NAME */
	return 0;
}

const struct logger_sink logger_sink_syslog = {.name = "syslog", .put = put};
