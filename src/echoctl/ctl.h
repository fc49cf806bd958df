/* SPDX-License-Identifier: ISC */
/* ctl.h - what echoctl was told to do, its commands, and its exit codes. */
#ifndef ECHOCTL_CTL_H
#define ECHOCTL_CTL_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

/* sysexits.h has the words. */
enum ctl_exit {
	CTL_OK = 0,
	CTL_REFUSED = 1,      /* the daemon said no: a reload failed, there is no such service */
	CTL_USAGE = 64,       /* the command line */
	CTL_UNAVAILABLE = 69, /* no daemon listens there */
	CTL_SYSTEM = 71,      /* this machine failed */
	CTL_OUTPUT = 74,      /* standard output cannot be written */
	CTL_TIMEOUT = 75,     /* no answer in time */
	CTL_PROTOCOL = 76,    /* the answer was none */
	CTL_PERMISSION = 77,  /* not for this user */
	CTL_CONFIG = 78       /* the configuration that was checked is wrong */
};

/* A command line. */
struct ctl {
	const struct ctl_command *command;
	const char *socket;   /* path, or NULL */
	const char *instance; /* name, or NULL */
	const char *argument; /* of the command, or NULL */
	bool json;
	bool watch;
	int64_t interval; /* ms */
	int64_t count;    /* times to look; 0 = without end */
	int64_t timeout;  /* ms for an answer */
};

/* A command; each is a file that ends in its row. */
struct ctl_command {
	const char *name;     /* "status" */
	const char *argument; /* its name in --help, or NULL: it takes none */
	const char *text;     /* one line */
	bool watches;         /* takes --watch and --count */
	int timeout;          /* ms, unless --timeout says else */
	enum ctl_exit (*run)(const struct ctl *ctl);
};

extern const struct ctl_command cmd_status, cmd_stats, cmd_options, cmd_reload, cmd_check,
	cmd_connections;

/* Tell the user on standard error: "echoctl: " and the text.  Returns CODE. */
__attribute__((format(printf, 2, 3))) enum ctl_exit ctl_say(enum ctl_exit code, const char *fmt,
							    ...);

/* The parameters of a call about one service: {"service": NAME}, or {} for NULL. */
json_t *ctl_about(const char *service);

/* Print VALUE for programs: indented, or a line. */
void ctl_print_json(const json_t *value, bool line);

#endif
