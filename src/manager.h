/* SPDX-License-Identifier: ISC */
/* manager.h - the daemon's state as the service manager is told it: sd_notify(3)'s READY,
 * RELOADING, STOPPING, STATUS, WATCHDOG and EXTEND_TIMEOUT_USEC. */
#ifndef ECHOD_MANAGER_H
#define ECHOD_MANAGER_H

#include "notify.h"

#include <stdbool.h>
#include <stdint.h>

struct manager {
	struct notify notify;
	bool loading;     /* it was told RELOADING and not yet READY */
	uint64_t period;  /* ms between heartbeats; 0 = none are wanted */
	uint64_t beat_at; /* ms */
	char status[400]; /* the last one that was told */
};

/* Find the manager by NOTIFY_SOCKET and WATCHDOG_USEC, if there is one.  Returns 0 or
 * -errno: then M does nothing. */
int manager_open(struct manager *m);

/* A new configuration is being read; everybody serves (again). */
void manager_reloading(struct manager *m);
void manager_ready(struct manager *m);

/* The daemon drains; and, again and again, that it still does and needs a few seconds. */
void manager_stopping(struct manager *m);
void manager_draining(struct manager *m);

/* One line for systemctl status. */
void manager_status(struct manager *m, const char *line);

/* Send the heartbeat if it is due, and what could not be sent before.  Returns when it is
 * due next, ms; UINT64_MAX = never. */
uint64_t manager_beat(struct manager *m, uint64_t now);

/* Say what can still be said, and forget the manager. */
void manager_close(struct manager *m);

#endif
