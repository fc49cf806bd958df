/* SPDX-License-Identifier: ISC */
/* log.h - what the daemon says.  Before the logger process runs, and in programs without
 * one, lines go to standard error; afterwards each is a record sent to the logger, which
 * never blocks the sender: a record that does not fit is dropped and counted. */
#ifndef ECHOD_LOG_H
#define ECHOD_LOG_H

#include "event.h"
#include "log_causes.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <syslog.h>

struct log_record;

/* Memory shared with the logger. */
struct log_shared {
	_Atomic uint64_t dropped;   /* records lost since the start */
	uint64_t reported;          /* of those, how many the log has been told of: the logger's */
	_Atomic int target;         /* enum log_target */
	struct log_causes causes;   /* of complaints that are repeated */
	_Atomic uint32_t forbidden; /* a system call that ended the logger: see sandbox.h */
};

/* Say nothing above LEVEL (LOG_ERR to LOG_DEBUG). */
void log_set_level(int level);

/* Send records to the socket FD (a SEQPACKET pair's end), or to standard error again with
 * -1; SHARED counts what is lost and may be NULL. */
void log_set_sink(int fd, struct log_shared *shared);

/* Whoever started us waits until we serve, and is then gone with standard error: what is less
 * than a warning is not for there. */
void log_set_detached(void);
bool log_detached(void);

/* How long, in ms, to wait for a logger that is behind before a record is dropped.  0, as at
 * the start: not at all.  One wait in vain ends the patience. */
void log_set_patience(int ms);

/* The socket that log_set_sink() was given, or -1. */
int log_sink(void);

/* Is LEVEL said?  To spare the work of a costly argument. */
bool log_enabled(int level);

/* R as a line for standard error, into BUF: "2026-11-22 23:10:05.123 echod[PID] LEVEL: TEXT\n",
 * or "<N>TEXT\n" if what is written there goes to the journal.  Returns its length. */
size_t log_line(const struct log_record *r, char *buf, size_t size);

/* What a line of LEVEL on standard error begins with, sd-daemon(3): "<N>" if it goes to the
 * journal (JOURNAL_STREAM of systemd.exec(5) tells), else "". */
const char *log_prefix(int level);

/* The word of a level ("warning"), and the level of a word (-EINVAL if it is none). */
const char *log_level_name(int level);
int log_level_find(const char *name);

/* Log an event with its fields: log_event(EVENT_LISTENING, F_TEXT(SERVICE, name), ...).
 * errno is kept. */
#define log_event(event, ...) \
 log_fields(event, (const struct event_field[]){__VA_ARGS__ __VA_OPT__(, ){.id = FIELD_NONE}})
void log_fields(enum event event, const struct event_field *fields);

/* Log a line about a configuration: "FILE:LINE: PATH: what is wrong", or "service=NAME ..." of
 * one that could not be set up. */
void log_problem(const char *line);

void log_write(int level, uint64_t key, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* Lines that are no event.  Formats are printf(3)'s, %m for errno; errno is kept. */
#define log_err(...)    log_write(LOG_ERR, 0, __VA_ARGS__)
#define log_warn(...)   log_write(LOG_WARNING, 0, __VA_ARGS__)
#define log_notice(...) log_write(LOG_NOTICE, 0, __VA_ARGS__)
#define log_info(...)   log_write(LOG_INFO, 0, __VA_ARGS__)
#define log_debug(...)  log_write(LOG_DEBUG, 0, __VA_ARGS__)

/* A complaint that may come again and again: the logger writes it once, and then, every ten
 * seconds, how often it was repeated.  It hears of a few of them and is told how many there are.  Those of one place in the code that begin with the
 * same word (service=NAME) are taken for the same. */
#define log_repeated(level, ...) log_write(level, log_key(__func__, __LINE__), __VA_ARGS__)

/* The key of a place in the code; never 0. */
static inline uint64_t log_key(const char *function, int line)
{
	uint64_t h = 14695981039346656037u ^ (uint64_t)line; /* FNV-1a */

	while (*function)
		h = (h ^ (unsigned char)*function++) * 1099511628211u;
	return h | 1;
}

#endif
