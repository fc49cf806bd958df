/* SPDX-License-Identifier: ISC */
/* claim.h - the listeners that a service is to have: one that is there already, a socket that
 * was passed, or a new one. */
#ifndef ECHOD_CLAIM_H
#define ECHOD_CLAIM_H

#include <stdbool.h>
#include <stddef.h>

struct conf;
struct listener;
struct problems;
struct service_conf;
struct supervisor;

/* What a service has been found, in order of its addresses: for all executors, or a row of
 * sockets for each (shares.h). */
struct claim {
	struct listener **listeners;
	size_t n;      /* in all rows */
	unsigned rows; /* at least 1 */
	bool several;  /* there are several at an address */
};

/* Put L into CLAIM, and mark it as wanted.  Returns 0 or -ENOMEM. */
int claim_add(struct claim *claim, struct listener *l);

/* Are the IPv6 sockets of SERVICE for IPv6 alone?  They are unless told not to be. */
bool claim_v6only(const struct service_conf *service);

/* The interface that the sockets of SERVICE are bound to, "" = none. */
const char *claim_interface(const struct service_conf *service);

/* Can the socket of L, a listener of the configuration in force, become what SERVICE wants?  Not
 * every option of a bound socket can be changed: not whether it is for IPv6 alone, and to what
 * interface it is bound not by everybody. */
bool claim_can_keep(const struct listener *l, const struct service_conf *service);

/* At the start: of the sockets that the manager has kept, let go those that CONF does not
 * name, before they are in the way of those that it does. */
void claim_begin(struct supervisor *s, const struct conf *conf);

/* At the start, when every service has its listeners: say what of the rest nobody uses. */
void claim_end(const struct supervisor *s);

/* Fill CLAIM (which starts empty, and whose array is the caller's to free) for SERVICE, and
 * mark what is in it as wanted.  New listeners are put at the front of *OPENED.  Returns 0,
 * or -errno with the reasons in PROBLEMS; -EBADFD if what was passed does not fit. */
int claim_listeners(struct supervisor *s, const struct service_conf *service,
		    struct listener **opened, struct claim *claim, struct problems *problems);

#endif
