/* SPDX-License-Identifier: ISC */
/* The table of sinks.  A record that a sink cannot take goes to standard error, so each has to
 * know whether anybody is there: sd_journal_sendv(3) is content when there is no journal, and
 * syslog(3) returns nothing at all. */
#include "logger_sink.h"

#include "log.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static const struct logger_sink *const sinks[] = {
	[LOG_TARGET_JOURNAL] = &logger_sink_journal,
	[LOG_TARGET_SYSLOG] = &logger_sink_syslog,
	[LOG_TARGET_STDERR] = &logger_sink_stderr,
};

const struct logger_sink *logger_sink_of(enum log_target target)
{
	if (target == LOG_TARGET_AUTO)
		target = log_prefix(LOG_INFO)[0] ? LOG_TARGET_JOURNAL
			 : log_detached()        ? LOG_TARGET_SYSLOG
						 : LOG_TARGET_STDERR;
	return sinks[target];
}

int logger_sink_reach(const char *path)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int r = 0;

	if (fd < 0)
		return -errno;
	strncpy(a.sun_path, path, sizeof(a.sun_path) - 1);
	/* A syslogd may listen for streams: then somebody is there too. */
	if (connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0 && errno != EPROTOTYPE)
		r = -errno;
	close(fd);
	return r;
}
