/* SPDX-License-Identifier: ISC */
/* notify.h - what the daemon tells the service manager: the datagrams of sd_notify(3).  Only
 * the supervisor tells it anything.  No call waits: sd_notify(3) itself blocks for as long as
 * the manager hangs, and with it everybody who waits for the supervisor. */
#ifndef ECHOD_NOTIFY_H
#define ECHOD_NOTIFY_H

#include "address.h"

#include <stdbool.h>
#include <stddef.h>

struct notice;

/* The way to the manager.  Without a manager every call does nothing. */
struct notify {
	int fd;               /* -1: there is nobody to tell */
	struct address to;    /* its socket */
	struct notice *first; /* what must arrive and has not been taken yet, in order */
	struct notice *last;
	size_t waiting; /* how many those are */
};

/* The longest name of a descriptor in the store, NUL included. */
enum { NOTIFY_NAME_MAX = 64 };

/* Take the manager's address from NOTIFY_SOCKET: "/path" or "@abstract".  The variable is
 * removed from the environment: nobody else is to speak in our name.  Returns 0, also without
 * one, or -errno (-EINVAL: no address of these kinds); N can be used in any case. */
int notify_open(struct notify *n);

/* Does anybody listen? */
bool notify_wanted(const struct notify *n);

/* Tell the manager what it must hear, such as "READY=1": assignments with newlines between
 * them, at most 500 bytes.  What cannot be sent now is sent later, in order. */
void notify_must(struct notify *n, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Tell it what will be out of date soon: STATUS, WATCHDOG.  Skipped if it cannot be sent now:
 * returns whether it was sent. */
bool notify_may(struct notify *n, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Put FD into the manager's store as NAME (printable, no ':', shorter than NOTIFY_NAME_MAX).
 * FD stays the caller's and may be closed at once. */
void notify_fd(struct notify *n, const char *name, int fd);

/* Take everything called NAME out of the store; what has not been sent yet never is. */
void notify_fd_remove(struct notify *n, const char *name);

/* Send what waits, as far as it goes.  To be called every now and then, and before the end. */
void notify_flush(struct notify *n);

/* Wait, MS at most, until the manager has worked off everything that it was told.  Returns 0,
 * also without a manager, or -errno: -EAGAIN if it cannot even be told, -ETIMEDOUT. */
int notify_barrier(struct notify *n, int ms);

/* Forget the manager, and what waits. */
void notify_close(struct notify *n);

#endif
