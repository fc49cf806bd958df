/* SPDX-License-Identifier: ISC */
/* The one sink of the process.  A record is a datagram on a SEQPACKET socket pair rather
 * than a SOCK_DGRAM one: both keep records apart, but unix(7) datagrams queue only ten
 * (net.unix.max_dgram_qlen), and the last end to close tells the logger that all is said. */
#include "log.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static struct {
	int fd;
	int level;
	int patience; /* ms */
	bool detached;
	struct log_shared *shared;
} sink = {.fd = -1, .level = LOG_INFO};

static const char *const level_names[] = {
	[LOG_ERR] = "error", [LOG_WARNING] = "warning", [LOG_NOTICE] = "notice",
	[LOG_INFO] = "info", [LOG_DEBUG] = "debug",
};

const char *log_level_name(int level)
{
	return level >= LOG_ERR && level <= LOG_DEBUG ? level_names[level] : "?";
}

int log_level_find(const char *name)
{
	for (int i = LOG_ERR; i <= LOG_DEBUG; i++)
		if (strcmp(level_names[i], name) == 0)
			return i;
	return -EINVAL;
}

void log_set_level(int level)
{
	sink.level = level;
}

void log_set_sink(int fd, struct log_shared *shared)
{
	sink.fd = fd;
	sink.shared = shared;
}

void log_set_patience(int ms)
{
	sink.patience = ms;
}

void log_set_detached(void)
{
	sink.detached = true;
}

bool log_detached(void)
{
	return sink.detached;
}

int log_sink(void)
{
	return sink.fd;
}

bool log_enabled(int level)
{
	return level <= sink.level;
}

size_t log_line(const struct log_record *r, char *buf, size_t size)
{
	struct tm tm;
	char when[32];
	int n;

	localtime_r(&r->when.tv_sec, &tm);
	strftime(when, sizeof(when), "%Y-%m-%d %H:%M:%S", &tm);
	n = snprintf(buf, size, "%s.%03ld echod[%d] %s: %s\n", when, r->when.tv_nsec / 1000000,
		     (int)r->pid, log_level_name(r->level), r->text);
	if (n < 0)
		return 0;
	if ((size_t)n < size)
		return (size_t)n;
	buf[size - 2] = '\n';
	return size - 1;
}

/* A peer, a path or a file's text may be in a line: nothing of it may move the cursor or
 * start a line of its own. */
static void defuse(char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < ' ' || *text == 127)
			*text = '?';
}

/* The logger is behind: give it the time there is.  Is there room now? */
static bool wait_for_room(void)
{
	struct pollfd p = {.fd = sink.fd, .events = POLLOUT};

	if (sink.patience > 0 && poll(&p, 1, sink.patience) == 1)
		return true;
	sink.patience = 0;
	return false;
}

static void deliver(const struct log_record *r)
{
	size_t size = offsetof(struct log_record, text) + strlen(r->text) + 1;
	char line[sizeof(r->text) + 96];

	ssize_t n;

	if (sink.fd < 0) {
		size = log_line(r, line, sizeof(line));
		n = write(STDERR_FILENO, line, size);
	} else {
		do
			n = send(sink.fd, r, size, MSG_DONTWAIT | MSG_NOSIGNAL);
		while (n < 0 && errno == EAGAIN && wait_for_room());
	}
	if (n < 0 && sink.shared)
		sink.shared->dropped++;
}

void log_write(int level, uint64_t key, const char *format, ...)
{
	int saved = errno;
	struct log_record r;
	va_list ap;

	if (!log_enabled(level))
		return;
	r.level = level;
	r.key = key;
	r.pid = getpid();
	clock_gettime(CLOCK_REALTIME, &r.when);
	va_start(ap, format);
	errno = saved;
	vsnprintf(r.text, sizeof(r.text), format, ap);
	va_end(ap);
	defuse(r.text);
	deliver(&r);
	errno = saved;
}
