/* SPDX-License-Identifier: ISC */
/* needs.h - what some settings need of whoever starts echod, and where echod.service gives
 * it: the unit that is shipped gives no more than the default configuration needs. */
#ifndef ECHOD_NEEDS_H
#define ECHOD_NEEDS_H

#include <stddef.h>
#include <sys/socket.h>

enum need {
	NEEDS_NOTHING,
	NEEDS_NET_ADMIN,
	NEEDS_BIND_SERVICE,
	NEEDS_SCHEDULING,
	NEEDS_ROOT,
	NEEDS_WRITABLE_PATH,
	NEEDS_NETWORK,
	N_NEEDS
};

struct need_row {
	const char *what;   /* "needs CAP_NET_ADMIN" */
	const char *dropin; /* the file in systemd/dropins that gives it, or NULL */
	const char *unit;   /* else what there is to say of echod.service */
};

extern const struct need_row needs[N_NEEDS];

enum { NEED_TEXT_MAX = 200 };

/* A phrase about NEED for people: "needs X; in echod.service the drop-in Y gives it".
 * Returns BUF. */
const char *need_format(enum need need, char buf[NEED_TEXT_MAX]);

/* What was lacking when STEP (a socket's "socket" or "bind", or the name of a socket option
 * whose own need is OPTION) failed with the errno ERROR on an address of FAMILY.  Most
 * failures are not about that. */
enum need need_of_failure(const char *step, enum need option, int error, sa_family_t family);

#endif
