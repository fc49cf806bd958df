/* SPDX-License-Identifier: ISC */
/* listener.h - the sockets that clients come to.  The supervisor makes them, or takes over
 * what the daemon was started with, and keeps them for as long as the configuration names
 * them, whatever becomes of its workers. */
#ifndef ECHOD_LISTENER_H
#define ECHOD_LISTENER_H

#include "conf.h"
#include "notify.h"
#include "worker.h"

#include <stdbool.h>
#include <sys/types.h>

struct passed_socket;

struct listener {
	struct listener *next;
	enum protocol protocol;
	struct address asked;               /* what the configuration says; port 0 is any */
	struct endpoint endpoint;           /* the socket and what it is bound to */
	const struct service_conf *service; /* whose it is in the configuration in force */
	unsigned share;                     /* of several at its address: 0 is the first */
	bool shares;                        /* there are several, so they have SO_REUSEPORT */
	bool silent;                        /* bound, and does not listen yet */
	bool wanted;                        /* by the configuration that is being set up */
	bool taken_over;                    /* and its options are still another's */
	bool made_file;                     /* a UNIX socket's file is ours, and which it was: */
	dev_t dev;
	ino_t ino;
	char stored[NOTIFY_NAME_MAX];     /* its name in the manager's store; "" = not there */
	const struct passed_socket *from; /* a .socket unit, which keeps it; NULL = our own */
};

/* What could not be done, for the log: a phrase and an errno. */
struct listener_error {
	const char *what; /* "bind", "SO_RCVBUF", ... */
	int error;        /* errno */
};

/* Make the socket of SERVICE at ADDRESS: options, bind, listen.  Returns NULL with *ERROR. */
struct listener *listener_open(const struct service_conf *service, const struct address *address,
			       struct listener_error *error);

/* One more socket beside FIRST, with the NUMBER from 1, at the very address that it is bound to
 * (which has allowed it: listener_share_port()).  One of a stream does not listen yet.  Returns
 * NULL with *ERROR. */
struct listener *listener_open_share(const struct service_conf *service,
				     const struct listener *first, unsigned number,
				     struct listener_error *error);

/* Give L, a listener of SERVICE, the packets of the processor that its executor is pinned to, if
 * the service is steered, and have it listen if it is silent.  Returns 0 or -errno with *ERROR. */
int listener_settle(struct listener *l, const struct service_conf *service,
		    struct listener_error *error);

/* Can several sockets of PROTOCOL have one address, of which each gets a part of what comes? */
static inline bool listener_can_share(enum protocol protocol)
{
	return protocol == PROTO_UDP || protocol == PROTO_TCP;
}

/* Allow sockets of this user at the address of FD, a socket of SERVICE; or, unless SHARE, only
 * if the configuration does. */
void listener_share_port(int fd, const struct service_conf *service, bool share);

/* The socket FROM, as a listener of SERVICE.  Nothing of the socket is changed yet:
 * listener_options_renew() does that.  One that we have stored ourselves is the listener's
 * from now on; of a unit's own it has a duplicate.  Returns NULL with *ERROR. */
struct listener *listener_take_over(const struct service_conf *service, struct passed_socket *from,
				    struct listener_error *error);

/* Have the manager keep the socket L, if it is our own and not in the store yet. */
void listener_store(struct listener *l, struct notify *n);

/* Does its address still lead to it?  Not if a UNIX socket's file was removed or replaced. */
bool listener_reachable(const struct listener *l);

/* Close it, and remove its file if it is still ours; a socket that the manager has stays as it
 * is, and so does its file.  Returns NULL. */
struct listener *listener_close(struct listener *l);

/* The same for every process that has the socket: whoever comes from now on is refused, even
 * while workers that drain still hold their descriptors.  Returns NULL. */
struct listener *listener_shut(struct listener *l);

/* It is not named any more: take it out of the store, and shut it.  Returns NULL. */
struct listener *listener_drop(struct listener *l, struct notify *n);

/* Would listener_options_change() or listener_options_renew() work?  Tries on a socket that is
 * thrown away.  Returns 0 or -errno with *ERROR. */
int listener_options_try(const struct listener *l, const struct service_conf *service,
			 struct listener_error *error);

/* Give a socket that stays the options of a new configuration: what it no longer names goes
 * back to what a new socket has.  Returns 0 or -errno with *ERROR. */
int listener_options_change(struct listener *l, const struct service_conf *was,
			    const struct service_conf *is, struct listener_error *error);

/* The same for a socket that was taken over.  What a former configuration of ours has set
 * goes back to what a new socket has; what a .socket unit has set stays, unless IS names it.
 * Returns 0 or -errno with *ERROR. */
int listener_options_renew(struct listener *l, const struct service_conf *is,
			   struct listener_error *error);

/* Log what the kernel made of the options that SERVICE asks for. */
void listener_options_log(const struct listener *l, const struct service_conf *service);

#endif
