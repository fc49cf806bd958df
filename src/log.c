/* SPDX-License-Identifier: ISC */
/* The one sink of the process.  A record is a datagram on a SEQPACKET socket pair rather
 * than a SOCK_DGRAM one: both keep records apart, but unix(7) datagrams queue only ten
 * (net.unix.max_dgram_qlen), and the last end to close tells the logger that all is said. */
#include "log.h"

#include "log_record.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
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

/* JOURNAL_STREAM is "DEVICE:INODE", and stays in the environment when standard error is sent
 * elsewhere: only what fstat(2) says tells whether it is still true. */
const char *log_prefix(int level)
{
	static const char *const prefixes[] = {"<0>", "<1>", "<2>", "<3>",
					       "<4>", "<5>", "<6>", "<7>"};
	const char *stream = getenv("JOURNAL_STREAM");
	unsigned long long device, inode;
	struct stat st;

	if (!stream || sscanf(stream, "%llu:%llu", &device, &inode) != 2 ||
	    fstat(STDERR_FILENO, &st) < 0 || st.st_dev != device || st.st_ino != inode)
		return "";
	return prefixes[level & LOG_PRIMASK];
}

size_t log_line(const struct log_record *r, char *buf, size_t size)
{
	const char *prefix = log_prefix(r->level);
	struct tm tm;
	char when[32];
	size_t n;

	if (prefix[0]) {
		n = (size_t)snprintf(buf, size, "%s", prefix);
	} else {
		localtime_r(&r->when.tv_sec, &tm);
		strftime(when, sizeof(when), "%Y-%m-%d %H:%M:%S", &tm);
		n = (size_t)snprintf(buf, size, "%s.%03ld echod[%d] %s: ", when,
				     r->when.tv_nsec / 1000000, (int)r->pid,
				     log_level_name(r->level));
	}
	n += log_record_message(r, buf + n, size - n - 1);
	buf[n] = '\n';
	return n + 1;
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

/* Has the logger heard enough of what R complains of?  Then it has been counted. */
static bool is_counted(const struct log_record *r)
{
	struct timespec now;

	if (!r->key || sink.fd < 0 || !sink.shared)
		return false;
	clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	return !log_causes_pass(&sink.shared->causes, log_record_cause(r),
				(uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000);
}

static void deliver(const struct log_record *r)
{
	char line[sizeof(r->data) + 512];
	ssize_t n;

	if (is_counted(r))
		return;
	if (sink.fd < 0) {
		n = write(STDERR_FILENO, line, log_line(r, line, sizeof(line)));
	} else {
		do
			n = send(sink.fd, r, log_record_size(r), MSG_DONTWAIT | MSG_NOSIGNAL);
		while (n < 0 && errno == EAGAIN && wait_for_room());
	}
	if (n < 0 && sink.shared)
		sink.shared->dropped++;
}

void log_fields(enum event event, const struct event_field *fields)
{
	const struct event_row *row = &event_rows[event];
	int saved = errno;
	struct log_record r;

	if (!log_enabled(row->level))
		return;
	log_record_init(&r, event, row->level);
	for (; fields->id; fields++) {
		assert(row->fields >> fields->id & 1);
		log_record_add(&r, fields);
	}
	deliver(&r);
	errno = saved;
}

/* "FILE:LINE: ..." has a file that may itself hold colons. */
void log_problem(const char *line)
{
	static const char service[] = "service=";
	size_t n = strlen(service);
	const char *end = strstr(line, ": ");
	char *part = NULL, *colon;

	if (strncmp(line, service, n) == 0) {
		part = strndup(line + n, strcspn(line + n, " "));
		log_event(EVENT_SETUP_FAILED, F_TEXT(SERVICE, part), F_TEXT(TEXT, line));
		free(part);
		return;
	}
	if (end)
		part = strndup(line, (size_t)(end - line));
	colon = part ? strrchr(part, ':') : NULL;
	if (colon && colon[1] && strspn(colon + 1, "0123456789") == strlen(colon + 1)) {
		*colon = '\0';
		log_event(EVENT_PROBLEM, F_TEXT(FILE, part),
			  F_NUMBER(LINE, strtoul(colon + 1, NULL, 10)), F_TEXT(TEXT, line));
	} else {
		log_event(EVENT_PROBLEM, F_TEXT(TEXT, line));
	}
	free(part);
}

void log_write(int level, uint64_t key, const char *format, ...)
{
	int saved = errno;
	struct log_record r;
	char text[sizeof(r.data)];
	va_list ap;

	if (!log_enabled(level))
		return;
	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	log_record_init(&r, EVENT_NONE, level);
	r.key = key;
	log_record_add(&r, &F_TEXT(TEXT, text));
	deliver(&r);
	errno = saved;
}
