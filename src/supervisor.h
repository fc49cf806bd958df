/* SPDX-License-Identifier: ISC */
/* supervisor.h - the one process that has the configuration, the listeners and the workers,
 * and never touches a client's byte. */
#ifndef ECHOD_SUPERVISOR_H
#define ECHOD_SUPERVISOR_H

#include "crew.h"
#include "manager.h"
#include "rates.h"
#include "reload.h"

struct conf;
struct conf_source;
struct control;
struct daemon;
struct listener;
struct passed;
struct totals;

struct supervisor {
	const struct conf_source *source; /* to read the configuration again */
	struct daemon *daemon;            /* who waits for us to serve */
	struct conf *conf;                /* in force */
	struct passed *passed;            /* sockets that the daemon was started with */
	struct listener *listeners;       /* of conf */
	uint64_t let_go_at;               /* ms: when one was last closed; 0 = never */
	struct crew *crews;               /* of conf, and older ones that drain */
	struct totals *totals;            /* counters of crews that are gone */
	struct own *own;                  /* shared with the workers */
	struct crew_env env;
	struct reload reload;
	struct manager manager;
	struct control *control;
	struct rates rates;
	bool ready; /* everybody serves conf, and that was said */
	bool stopping;
};

/* Serve CONF, which becomes the supervisor's, until told to stop; DAEMON is told when we do.
 * PASSED is what we were started with.  Returns the exit code of the daemon (sysexits.h). */
int supervisor_run(struct conf *conf, const struct conf_source *source, struct daemon *daemon,
		   struct passed *passed);

#endif
