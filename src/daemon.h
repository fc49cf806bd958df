/* SPDX-License-Identifier: ISC */
/* daemon.h - a daemon without systemd: it leaves the terminal, holds a pid file, and whoever
 * starts it waits until it serves. */
#ifndef ECHOD_DAEMON_H
#define ECHOD_DAEMON_H

#include <stdbool.h>

/* What the command line asks for. */
struct daemon_plan {
	bool detach;          /* leave the terminal */
	bool keep_stderr;     /* standard error is where the log goes: do not leave that */
	const char *pid_file; /* or NULL: none.  Must stay until daemon_end() */
};

/* What this process holds of it.  {0} holds nothing; the functions then do nothing. */
struct daemon {
	const char *path; /* of the pid file, absolute if detached; or NULL: none */
	int pid_file;     /* locked, if there is a path */
	int waiting;      /* a pipe to who waits for us, if `detached` */
	bool detached;    /* and somebody waits yet */
	bool borrowed;    /* standard error is a pipe to who waits */
};

/* PATH as it is found from every directory: PATH itself, if it is absolute.  The caller
 * frees it.  NULL with errno. */
char *daemon_absolute(const char *path);

/* Take the pid file; with `detach`, become another process, of its own session and without a
 * terminal, in "/", with no descriptor of the caller's but, with `keep_stderr`, that one.
 * True in the process that is to serve: it calls daemon_ready(), if it gets so far, and
 * daemon_end().  False in one that is to end with *CODE (sysexits.h), which has been
 * explained on standard error: 75 if a daemon has the pid file already, 73 if it cannot be
 * made; when detaching, 0 as soon as the daemon serves, or the code that it failed with. */
bool daemon_begin(struct daemon *d, const struct daemon_plan *plan, int *code);

/* We serve: who waits may go.  Also when it is not the first time. */
void daemon_ready(struct daemon *d);

/* The last before the end with CODE: the pid file is removed, if it is still ours, and who
 * still waits is told. */
void daemon_end(struct daemon *d, int code);

#endif
