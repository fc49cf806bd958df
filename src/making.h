/* SPDX-License-Identifier: ISC */
/* making.h - the steps by which a socket becomes a listener, of which listener.c makes its
 * lists.  Each returns 0, or -errno and what it was about in MAKING->what. */
#ifndef ECHOD_MAKING_H
#define ECHOD_MAKING_H

#include "conf.h"
#include "listener.h"

/* A socket that is being made. */
struct making {
	const struct service_conf *service;
	struct listener *l;
	const struct address *at; /* what it is to be bound to */
	int fd;
	int family;
	const char *what; /* the step, for the error */
};

/* socket(2), of the service's protocol and FAMILY. */
int making_socket(struct making *m);

/* What echod itself needs of every socket; and what it needs of one before bind(2) alone. */
int making_own_options(struct making *m);
int making_unbound_options(struct making *m);

/* What is sent and not acknowledged for write_timeout ends a connection, in the kernel too;
 * unless the configuration has a TCP_USER_TIMEOUT of its own. */
int making_user_timeout(struct making *m);

/* UDP: what udp.gro says; one of our own options that a new configuration may change. */
int making_gro(struct making *m);

/* Datagrams: what a report says of them the kernel tells with each; or no more. */
int making_facts(struct making *m);

/* The options of the configuration. */
int making_options_at_socket(struct making *m);
int making_options_when_bound(struct making *m);

/* The port is shared with other sockets of ours, or not. */
int making_share(struct making *m);

int making_bind(struct making *m);

/* The file of a UNIX socket gets its mode; making_file() notes also that it is ours. */
int making_file(struct making *m);
int making_keep_file(struct making *m);

/* getsockname(2): a port of the kernel's choice, say. */
int making_address(struct making *m);

int making_join_groups(struct making *m);

/* listen(2), unless the listener is silent. */
int making_listen(struct making *m);

#endif
