/* SPDX-License-Identifier: ISC */
/* groups.h - the multicast groups that a UDP socket is in. */
#ifndef ECHOD_GROUPS_H
#define ECHOD_GROUPS_H

struct udp_conf;

/* Have the socket FD of FAMILY join the groups of UDP that are of its family.  Returns 0, or
 * -errno with *WHAT the key that could not be. */
int groups_join(int fd, int family, const struct udp_conf *udp, const char **what);

/* Have it leave them; those that it is not in are no matter. */
void groups_leave(int fd, int family, const struct udp_conf *udp);

/* Have it leave all groups, whoever had it join them. */
void groups_leave_all(int fd, int family);

#endif
