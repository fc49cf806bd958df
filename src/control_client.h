/* SPDX-License-Identifier: ISC */
/* control_client.h - one client of the control socket: its requests one after the other, each
 * answered before the next is looked at. */
#ifndef ECHOD_CONTROL_CLIENT_H
#define ECHOD_CONTROL_CLIENT_H

#include "control_call.h"
#include "varlink.h"

#include <systemd/sd-event.h>

struct control;
struct supervisor;

struct control_client {
	struct control_client *next;
	struct control *control;
	struct supervisor *s;
	int fd;
	sd_event_source *source;
	bool trusted; /* it is root, or who we are */
	struct varlink_in in;
	struct varlink_out out;
	struct control_listing listing;
	bool reloading;  /* it waits for a reload's verdict */
	bool ended;      /* it will say no more */
	bool broken;     /* what it said, or is to be told, cannot be gone on with */
	uint64_t active; /* ms: when it came, asked something, or took an answer */
};

/* The client behind FD, which becomes its own.  Returns NULL without memory, FD is as it
 * was. */
struct control_client *control_client_new(struct supervisor *s, int fd);

/* Go on with K after the EVENTS of epoll(7).  Returns false when it is to be ended. */
bool control_client_serve(struct control_client *k, uint32_t events);

/* Has it done nothing for too long? */
bool control_client_silent(const struct control_client *k, uint64_t now);

/* Close it. */
void control_client_free(struct control_client *k);

#endif
