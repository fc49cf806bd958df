/* SPDX-License-Identifier: ISC */
/* log_record.h - one record on its way to the logger: who says it, when, which event it is,
 * and its fields.  Words are made of it where it is written. */
#ifndef ECHOD_LOG_RECORD_H
#define ECHOD_LOG_RECORD_H

#include "event.h"

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

enum {
	LOG_RECORD_DATA = 1968,   /* bytes for fields */
	LOG_RECORD_WINDOW = 10000 /* ms in which a repeated complaint is only counted */
};

struct log_record {
	struct timespec when;       /* CLOCK_REALTIME */
	uint64_t key;               /* not 0: a complaint that is said once, then counted */
	pid_t pid;                  /* who says it */
	int32_t level;              /* LOG_ERR to LOG_DEBUG */
	uint16_t event;             /* enum event */
	uint16_t length;            /* bytes of the fields */
	char data[LOG_RECORD_DATA]; /* for each field its number, a byte, and its text and NUL */
};

/* Make R a record of EVENT without a field, said now by this process.  A repeated event has
 * its key. */
void log_record_init(struct log_record *r, enum event event, int level);

/* Add a field.  A text is made fit for its kind, and cut where there is no more room. */
void log_record_add(struct log_record *r, const struct event_field *f);

/* Complaints are alike that are the same event, or come from one place in the code, and are
 * of one service and for one reason or forbidden call, or begin with the same word: what one
 * service has to say must not hide what another has.  The same for those, and 0 for what is no complaint. */
uint64_t log_record_cause(const struct log_record *r);

/* Bytes of R that are in use: what is sent. */
size_t log_record_size(const struct log_record *r);

/* Are the N bytes at R a record?  Returns 0 or -EBADMSG. */
int log_record_check(const struct log_record *r, size_t n);

/* The text of a field, or NULL. */
const char *log_record_get(const struct log_record *r, enum field field);

/* Go through the fields: *AT starts as NULL.  Returns FIELD_NONE after the last. */
enum field log_record_next(const struct log_record *r, const char **at);

/* The words of R into BUF, NUL-terminated, cut if they are longer.  Returns their length. */
size_t log_record_message(const struct log_record *r, char *buf, size_t size);

#endif
