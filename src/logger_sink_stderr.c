/* SPDX-License-Identifier: ISC */
/* Lines on standard error: a terminal, a file, a pipe, or the journal's stream, which reads a
 * level from what a line begins with. */
#include "logger_sink.h"

#include "log.h"
#include "log_record.h"

#include <errno.h>
#include <unistd.h>

static int put(const struct log_record *r)
{
	char line[sizeof(r->data) + 512];
	size_t n = log_detached() && r->level > LOG_WARNING ? 0 : log_line(r, line, sizeof(line));
	const char *p = line;

	while (n > 0) {
		ssize_t w = write(STDERR_FILENO, p, n);

		if (w < 0 && errno == EINTR)
			continue;
		if (w < 0)
			return -errno;
		p += w;
		n -= (size_t)w;
	}
	return 0;
}

const struct logger_sink logger_sink_stderr = {.name = "stderr", .put = put};
