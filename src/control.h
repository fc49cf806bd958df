/* SPDX-License-Identifier: ISC */
/* control.h - the control socket: Varlink's wire format, interface org.echod.Control, served
 * in the supervisor's loop.  Whoever can open it may look at figures; connections and reload
 * are for root and for the user that the daemon runs as. */
#ifndef ECHOD_CONTROL_H
#define ECHOD_CONTROL_H

#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-event.h>

struct conf;
struct control;
struct problems;
struct supervisor;

/* Nobody listens yet.  Returns NULL without memory. */
struct control *control_new(struct supervisor *s, sd_event *event);

/* The first half of a change of configuration: open the socket that CONF names, if it is not
 * open already.  Returns 0; or -errno with a line in PROBLEMS. */
int control_prepare(struct control *c, const struct conf *conf, struct problems *problems);

/* The second: CONF is in force, or it is not.  Clients stay connected. */
void control_settle(struct control *c, bool in_force);

/* About once a second: end the clients that have been silent for too long. */
void control_check(struct control *c, uint64_t now);

/* End all clients, close the socket, remove its file.  Returns NULL; C may be NULL. */
struct control *control_free(struct control *c);

/* What others may know of it. */
struct control_facts {
	const char *path;               /* of the socket; "" = none */
	double started, loaded;         /* seconds since the epoch: daemon, configuration */
	uint64_t started_ms, loaded_ms; /* the same by timer_now() */
};
const struct control_facts *control_facts(const struct control *c);

#endif
