/* SPDX-License-Identifier: ISC */
/* exits.h - the exit codes of echoc, and the words for what went wrong. */
#ifndef ECHOC_EXITS_H
#define ECHOC_EXITS_H

enum exit_code {
	EXITS_OK = 0,
	EXITS_MISSED = 1,      /* a threshold that the user set was missed */
	EXITS_USAGE = 2,       /* the command line */
	EXITS_REFUSED = 3,     /* nobody listens there */
	EXITS_TIMEOUT = 4,     /* no answer in time */
	EXITS_UNREACHABLE = 5, /* no way there, or not from here */
	EXITS_NAME = 6,        /* name not found */
	EXITS_DAMAGED = 7,     /* what came back is not what was sent, or was cut off */
	EXITS_SYSTEM = 71      /* this machine failed, not the path: EX_OSERR */
};

/* The exit code for a failed system call on a client's socket; ERR is -errno. */
enum exit_code exits_of(int err);

/* One word for CODE: "refused", "timeout". */
const char *exits_word(enum exit_code code);

/* The codes and their words, for --help. */
const char *exits_help(void);

/* Tell the user on standard error: "echoc: COMMAND: " and the text.  Returns CODE. */
__attribute__((format(printf, 3, 4))) enum exit_code exits_say(enum exit_code code,
							       const char *command, const char *fmt,
							       ...);

#endif
