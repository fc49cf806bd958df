/* SPDX-License-Identifier: ISC */
/* passed.h - the sockets that the daemon was started with (sd_listen_fds(3)): from a .socket
 * unit, or its own ones of the run before, which the service manager has kept. */
#ifndef ECHOD_PASSED_H
#define ECHOD_PASSED_H

#include "address.h"
#include "notify.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* One descriptor that was passed. */
struct passed_socket {
	int fd;            /* -1: closed, or a listener has it now */
	int number;        /* it was passed as, for the log */
	char *name;        /* FileDescriptorName= of the unit, or ours in the store */
	int protocol;      /* enum protocol, or -1 */
	const char *unfit; /* why it cannot be served, a phrase; NULL: it can */
	struct address address;
	bool v6only; /* of an IPv6 socket: no IPv4 comes to it */
	bool stored; /* by ourselves, with passed_store_name() */
	bool wanted; /* stored: the configuration names its address */
	dev_t dev;   /* stored, a UNIX socket with a path: its file as we made it; */
	ino_t ino;   /* else 0 */
};

struct passed {
	struct passed_socket *socket;
	size_t n;
	const char *problem; /* why nothing could be taken, though LISTEN_FDS is there; or NULL */
};

/* Take what is passed, before anything else opens a descriptor, and remove LISTEN_FDS,
 * LISTEN_PID and LISTEN_FDNAMES from the environment.  Never fails: what is wrong is noted in
 * *P for passed_log(). */
void passed_take(struct passed *p);

/* Close what is still open, free what P holds. */
void passed_close(struct passed *p);

/* Log what cannot be used, and why; it is closed. */
void passed_log(struct passed *p);

/* The socket of PROTOCOL bound to ADDRESS that no listener has taken, or NULL.  An IPv6 socket
 * must be as V6ONLY says, one of ours bound to no interface or to INTERFACE ("" = none), and the
 * file of a UNIX socket of ours must still be there. */
struct passed_socket *passed_find(const struct passed *p, int protocol,
				  const struct address *address, bool v6only,
				  const char *interface);

/* Note of up to MAX such sockets that they are wanted. */
void passed_want(struct passed *p, int protocol, const struct address *address, bool v6only,
		 const char *interface, unsigned max);

/* The next after AT (NULL: the first) of those called NAME that fit PROTOCOL and are not our
 * own of the run before; or NULL. */
struct passed_socket *passed_next(const struct passed *p, const struct passed_socket *at,
				  const char *name, int protocol);

/* What was passed, for a message: "a" (tcp 127.0.0.1:7), "b" (is no socket); or "nothing".
 * Returns BUF. */
const char *passed_describe(const struct passed *p, char *buf, size_t size);

/* Close those stored ones that are not wanted, have the manager forget them, and remove their
 * files.  Returns how many they were. */
size_t passed_discard(struct passed *p, struct notify *n);

/* The name under which the socket FD goes into the store; DEV and INO of the file of a UNIX
 * socket, else 0.  No two sockets have the same. */
void passed_store_name(int fd, dev_t dev, ino_t ino, char name[NOTIFY_NAME_MAX]);

#endif
