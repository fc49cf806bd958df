/* SPDX-License-Identifier: ISC */
/* capability.h - a process gives up its capabilities, capabilities(7). */
#ifndef ECHOD_CAPABILITY_H
#define ECHOD_CAPABILITY_H

/* Empty the bounding set, if we may.  It says what execve(2) could give, which nothing does after
 * capability_drop(): it is there to be seen.  Before another user is become. */
void capability_bound(void);

/* Give up every capability of this process, for good, and gain none by execve(2) later.  Where
 * a filter refuses capset(2), CAP_NET_BIND_SERVICE may stay, but then bind(2) fails with EPERM
 * from now on.  Threads that there are already keep what they have.  Returns 0 or -errno: -EPERM
 * if another capability cannot be given up. */
int capability_drop(void);

#endif
