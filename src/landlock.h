/* SPDX-License-Identifier: ISC */
/* landlock.h - a thread gives up what it could reach by a name, landlock(7). */
#ifndef ECHOD_LANDLOCK_H
#define ECHOD_LANDLOCK_H

#include <stdbool.h>

/* The version of Landlock that the kernel has (1 and up), or -errno: -ENOSYS and -EOPNOTSUPP if
 * it has none or none that is on. */
int landlock_version(void);

/* Of the world outside keep nothing, as far as VERSION goes: no file, no port, no signal to
 * others, and unless REPLIES no UNIX socket with an abstract name.  With FILES the file system
 * stays.  For this thread and all that it makes, for good; no privilege must be left to gain
 * (PR_SET_NO_NEW_PRIVS).  Returns 0 or -errno. */
int landlock_enter(int version, bool replies, bool files);

#endif
