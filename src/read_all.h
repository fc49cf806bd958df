/* SPDX-License-Identifier: ISC */
/* read_all.h - a descriptor, to its end. */
#ifndef ECHOD_READ_ALL_H
#define ECHOD_READ_ALL_H

#include <stddef.h>
#include <sys/types.h>

/* Read what FD has until its end, at most ROOM bytes, into DATA.  Returns how many, or -errno. */
ssize_t read_all(int fd, void *data, size_t room);

#endif
