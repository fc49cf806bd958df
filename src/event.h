/* SPDX-License-Identifier: ISC */
/* event.h - what the daemon has to say that somebody may look for: a row each, with a number
 * (the journal's MESSAGE_ID), the fields that it carries, and its words.  The catalogue
 * systemd/echod.catalog and echod-journal(7) are tested against the rows.
 *
 * A field is a name and a value that are never parsed out of a text again, so nothing that
 * comes from a client can be taken for another field. */
#ifndef ECHOD_EVENT_H
#define ECHOD_EVENT_H

#include <stdbool.h>
#include <stdint.h>

enum event {
	EVENT_NONE, /* a line that nobody looks for: no number, and nothing but its text */
	EVENT_READY,
	EVENT_STOPPING,
	EVENT_STOPPING_AT_ONCE,
	EVENT_STOPPED,
	EVENT_CANNOT_START,
	EVENT_RELOADED,
	EVENT_RELOAD_FAILED,
	EVENT_PROBLEM,
	EVENT_SETUP_FAILED,
	EVENT_SANDBOX,
	EVENT_SANDBOX_PARTIAL,
	EVENT_SERVICE,
	EVENT_LIMIT_LOWERED,
	EVENT_ENGINE_REFUSED,
	EVENT_LISTENING,
	EVENT_NOT_LISTENING,
	EVENT_LISTENER_FAILED,
	EVENT_OPTION_CHANGED,
	EVENT_OPTION_FAILED,
	EVENT_LEFTOVER,
	EVENT_COUNTERS,
	EVENT_CONNECTION,
	EVENT_FULL,
	EVENT_PROXY_REFUSED,
	EVENT_REFUSED,
	EVENT_ACCEPT_PAUSED,
	EVENT_WORKER_STARTED,
	EVENT_WORKER_NOT_STARTED,
	EVENT_WORKER_CANNOT_SERVE,
	EVENT_WORKER_DIED,
	EVENT_WORKER_STUCK,
	EVENT_CALL_FORBIDDEN,
	EVENT_CUT_OFF,
	EVENT_LOGGER_DIED,
	EVENT_LOG_FALLBACK,
	EVENT_LOG_DROPPED,
	EVENT_MANAGER_SILENT,
	EVENT_MANAGER_BACK,
	EVENT_PASSED_WRONG,
	EVENT_PASSED_UNFIT,
	N_EVENTS
};

enum field {
	FIELD_NONE,
	FIELD_TEXT, /* words that are no field for others */
	FIELD_SERVICE,
	FIELD_ADDRESS,
	FIELD_PEER,
	FIELD_REASON,
	FIELD_BYTES_IN,
	FIELD_BYTES_OUT,
	FIELD_DURATION_USEC,
	FIELD_WORKER,
	FIELD_PID,
	FIELD_SIGNAL,
	FIELD_EXIT_STATUS,
	FIELD_STATE,
	FIELD_OPTION,
	FIELD_ASKED,
	FIELD_EFFECTIVE,
	FIELD_MAX_CLIENTS,
	FIELD_MAX_CLIENTS_ASKED,
	FIELD_SERVICES,
	FIELD_LISTENERS,
	FIELD_WORKERS,
	FIELD_SETTINGS,
	FIELD_ENGINE,
	FIELD_COUNTERS,
	FIELD_FILE,
	FIELD_LINE,
	FIELD_WHAT,
	FIELD_DESCRIPTOR,
	FIELD_NAME,
	FIELD_TARGET,
	FIELD_CALL,
	FIELD_DROPPED,
	FIELD_REPEATED, /* the logger's: how often it was said without being written */
	FIELD_ERRNO,
	N_FIELDS
};

enum field_kind {
	KIND_TEXT,   /* as it is */
	KIND_WORD,   /* one word: spaces, backslashes and control characters become \xHH */
	KIND_NUMBER, /* decimal */
	KIND_USEC,   /* microseconds; seconds in the message */
	KIND_ERRNO,  /* a number of errno(3); its words in the message */
	KIND_SIGNAL, /* a signal's number; "signal 9 (Killed)" in the message */
	KIND_STATUS, /* a number; "exit status 1" in the message */
	KIND_PAIRS   /* "name=value name=value", made by us: a field ECHOD_NAME for each */
};

struct event_field_row {
	const char *name; /* in the words of the events: @NAME@ */
	enum field_kind kind;
	const char *journal; /* name in the journal, or NULL: not a field there */
	const char *absent;  /* its place in a message when it is not there; NULL = nothing */
};

struct event_row {
	const char *name;
	const char *id;   /* MESSAGE_ID: 32 hexadecimal digits, never changed, never used again */
	int level;        /* of syslog(3); EVENT_NONE: that of each line */
	bool repeated;    /* it may come again and again: written once, then counted */
	uint64_t fields;  /* a bit 1 << FIELD_* for each that it may carry */
	const char *text; /* the message; @NAME@ stands for a field's value */
};

extern const struct event_field_row event_fields[N_FIELDS];
extern const struct event_row event_rows[N_EVENTS];

/* One field of an event that happens now. */
struct event_field {
	enum field id;
	const char *text; /* of kinds TEXT, WORD and PAIRS; NULL: the field is not there */
	uint64_t number;  /* of the other kinds */
};

#define F_TEXT(field, value) ((struct event_field){.id = FIELD_##field, .text = (value)})
#define F_NUMBER(field, value) \
 ((struct event_field){.id = FIELD_##field, .number = (uint64_t)(value)})

#endif
