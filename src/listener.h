/* SPDX-License-Identifier: ISC */
/* listener.h - the sockets that clients come to.  The supervisor makes them and keeps them
 * for as long as the configuration names them, whatever becomes of its workers. */
#ifndef ECHOD_LISTENER_H
#define ECHOD_LISTENER_H

#include "conf.h"
#include "worker.h"

#include <stdbool.h>
#include <sys/types.h>

struct listener {
	struct listener *next;
	enum protocol protocol;
	struct address asked;               /* what the configuration says; port 0 is any */
	struct endpoint endpoint;           /* the socket and what it is bound to */
	const struct service_conf *service; /* whose it is in the configuration in force */
	bool wanted;                        /* by the configuration that is being set up */
	bool made_file;                     /* a UNIX socket's file is ours, and which it was: */
	dev_t dev;
	ino_t ino;
};

/* What could not be done, for the log: a phrase and an errno. */
struct listener_error {
	const char *what; /* "bind", "SO_RCVBUF", ... */
	int error;        /* errno */
};

/* Make the socket of SERVICE at ADDRESS: options, bind, listen.  Returns NULL with *ERROR. */
struct listener *listener_open(const struct service_conf *service, const struct address *address,
			       struct listener_error *error);

/* Does its address still lead to it?  Not if a UNIX socket's file was removed or replaced. */
bool listener_reachable(const struct listener *l);

/* Would listener_set_options() work?  Tries on a socket that is thrown away.  Returns 0 or
 * -errno with *ERROR. */
int listener_try_options(const struct listener *l, const struct service_conf *service,
			 struct listener_error *error);

/* Give a socket that stays the options of a new configuration: what it no longer names goes
 * back to what a new socket has.  Returns 0 or -errno with *ERROR. */
int listener_set_options(struct listener *l, const struct service_conf *was,
			 const struct service_conf *is, struct listener_error *error);

/* Close it, and remove its file if it is still ours.  Returns NULL. */
struct listener *listener_close(struct listener *l);

/* The same for every process that has the socket: whoever comes from now on is refused, even
 * while workers that drain still hold their descriptors.  Returns NULL. */
struct listener *listener_shut(struct listener *l);

/* Log what the kernel made of the options that SERVICE asks for. */
void listener_log_options(const struct listener *l, const struct service_conf *service);

#endif
