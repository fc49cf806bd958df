/* SPDX-License-Identifier: ISC */
/* shares.h - several sockets at one UDP address (SO_REUSEPORT), one for each executor. */
#ifndef ECHOD_SHARES_H
#define ECHOD_SHARES_H

struct claim;
struct listener;
struct service_conf;
struct supervisor;

/* How many sockets SERVICE has at each of its addresses. */
unsigned shares_of(const struct service_conf *service);

/* CLAIM is a row of sockets for SERVICE: add rows to it, so that each executor has its own.
 * New listeners are put at the front of *OPENED.  Where there can be no further socket the
 * first is in each row.  From now on datagrams wait in what is new.  Returns 0 or -ENOMEM. */
int shares_claim(struct supervisor *s, const struct service_conf *service, struct listener **opened,
		 struct claim *claim);

#endif
