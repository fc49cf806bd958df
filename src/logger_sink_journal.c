/* SPDX-License-Identifier: ISC */
/* The journal's native protocol: a record's fields are the journal's.  What libsystemd would
 * find out by itself (the program's name, the place in the source) is that of the logger, so
 * it is said or suppressed.  systemd.journal-fields(7). */
#define SD_JOURNAL_SUPPRESS_LOCATION
#include "logger_sink.h"

#include "log_record.h"

#include <ctype.h>
#include <inttypes.h>
#include <linux/sockios.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <syslog.h>
#include <systemd/sd-journal.h>
#include <time.h>
#include <unistd.h>

#define SOCKET "/run/systemd/journal/socket"

enum { LOOK = 2 /* ms between two looks: no event tells that a datagram was read */ };

/* The fields of one record, as they are handed over. */
struct bundle {
	struct iovec iov[128];
	int n;
	size_t used;
	char text[3 * LOG_RECORD_DATA]; /* the message has all fields in it once more */
};

/* Add NAME=VALUE; what finds no room is left out. */
static void add(struct bundle *b, const char *name, const char *value, size_t n)
{
	size_t len = strlen(name) + 1 + n;
	char *at = b->text + b->used;

	if (b->n == (int)(sizeof(b->iov) / sizeof(b->iov[0])) || len >= sizeof(b->text) - b->used)
		return;
	snprintf(at, len + 1, "%s=%.*s", name, (int)n, value);
	b->iov[b->n++] = (struct iovec){.iov_base = at, .iov_len = len};
	b->used += len;
}

static void add_text(struct bundle *b, const char *name, const char *value)
{
	add(b, name, value, strlen(value));
}

static void add_number(struct bundle *b, const char *name, int64_t value)
{
	char text[24];

	snprintf(text, sizeof(text), "%" PRId64, value);
	add_text(b, name, text);
}

/* "name=value name=value": a field ECHOD_NAME for each. */
static void add_pairs(struct bundle *b, const char *pairs)
{
	char name[64];

	while (*pairs) {
		size_t word = strcspn(pairs, " "), n = strcspn(pairs, "= ");

		snprintf(name, sizeof(name), "ECHOD_%.*s", (int)n, pairs);
		for (char *p = name; *p; p++)
			*p = (char)toupper((unsigned char)*p);
		if (n < word)
			add(b, name, pairs + n + 1, word - n - 1);
		pairs += word + strspn(pairs + word, " ");
	}
}

static int put(const struct log_record *r)
{
	struct bundle b = {.n = 0};
	char message[sizeof(r->data) + 512];
	const char *at = NULL;
	enum field id;
	int e = logger_sink_reach(SOCKET);

	if (e < 0)
		return e;
	log_record_message(r, message, sizeof(message));
	add_text(&b, "MESSAGE", message);
	add_number(&b, "PRIORITY", r->level);
	add_text(&b, "SYSLOG_IDENTIFIER", "echod");
	add_number(&b, "SYSLOG_FACILITY", LOG_FAC(LOG_DAEMON));
	add_number(&b, "SYSLOG_PID", r->pid);
	/* The journal's own time is when it was written, which may be later. */
	add_number(&b, "ECHOD_TIME_USEC",
		   (int64_t)r->when.tv_sec * 1000000 + r->when.tv_nsec / 1000);
	if (event_rows[r->event].id)
		add_text(&b, "MESSAGE_ID", event_rows[r->event].id);
	while ((id = log_record_next(r, &at))) {
		if (event_fields[id].kind == KIND_PAIRS)
			add_pairs(&b, at);
		else if (event_fields[id].journal)
			add_text(&b, event_fields[id].journal, at);
	}
	return sd_journal_sendv(b.iov, b.n);
}

/* journald asks /proc whose record it has, and without an answer journalctl -u does not show
 * it: the last words of a start that failed, say.  It reads one datagram after the other from
 * all senders, and is done with one before it takes the next; an empty one means nothing to
 * it.  So when that is gone from our queue, all that came before has been dealt with. */
static void settle(int ms)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX, .sun_path = SOCKET};
	struct timespec pause = {.tv_nsec = LOOK * 1000000};
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int unread = 1;
	ssize_t sent = -1;

	if (fd < 0)
		return;
	if (connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0)
		unread = 0;
	for (int waited = 0; unread > 0 && waited < ms; waited += LOOK) {
		if (sent < 0)
			sent = send(fd, "", 0, MSG_DONTWAIT | MSG_NOSIGNAL);
		else if (ioctl(fd, SIOCOUTQ, &unread) < 0)
			break;
		if (unread > 0)
			nanosleep(&pause, NULL);
	}
	close(fd);
}

const struct logger_sink logger_sink_journal = {
	.name = "journal",
	.put = put,
	.settle = settle,
};
