/* SPDX-License-Identifier: ISC */
/* session.h - a line to the daemon's control socket, and calls over it. */
#ifndef ECHOCTL_SESSION_H
#define ECHOCTL_SESSION_H

#include "ctl.h"
#include "varlink.h"

struct session {
	const struct ctl *ctl;
	int fd;
	uint64_t deadline; /* ms by timer_now(): of the answer */
	struct varlink_in in;
	char path[128];
};

/* Connect to the daemon that CTL names.  Returns CTL_OK, or the exit code after the user was
 * told. */
enum ctl_exit session_open(struct session *s, const struct ctl *ctl);

/* Call METHOD (without its interface) with PARAMETERS, which become ours; with MORE, for
 * several replies.  The same returns. */
enum ctl_exit session_send(struct session *s, const char *method, json_t *parameters, bool more);

/* The next reply's parameters into *PARAMETERS, the caller's, and into *CONTINUES whether
 * others follow (may be NULL).  An error of the daemon is told to the user, and printed with
 * --json; what it means is the exit code. */
enum ctl_exit session_receive(struct session *s, json_t **parameters, bool *continues);

void session_close(struct session *s);

/* All of it for one reply. */
enum ctl_exit session_ask(const struct ctl *ctl, const char *method, json_t *parameters,
			  json_t **reply);

#endif
