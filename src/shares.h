/* SPDX-License-Identifier: ISC */
/* shares.h - several sockets at one address (SO_REUSEPORT), one for each executor. */
#ifndef ECHOD_SHARES_H
#define ECHOD_SHARES_H

struct claim;
struct listener;
struct service_conf;
struct supervisor;

/* How many sockets at each address of SERVICE are worth keeping from one run to the next. */
unsigned shares_kept(const struct service_conf *service);

/* CLAIM is a row of sockets for SERVICE: add rows to it, so that each executor has its own.
 * New listeners are put at the front of *OPENED.  Where there can be no further socket the
 * first is in each row; and in each are those of TCP that no executor has for its own.  From now
 * on datagrams wait in what is new; connections only once it is settled.  Returns 0 or -ENOMEM. */
int shares_claim(struct supervisor *s, const struct service_conf *service, struct listener **opened,
		 struct claim *claim);

#endif
