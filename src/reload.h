/* SPDX-License-Identifier: ISC */
/* reload.h - from the wish for a new configuration to its verdict, for whoever asked. */
#ifndef ECHOD_RELOAD_H
#define ECHOD_RELOAD_H

#include <stdbool.h>
#include <stdint.h>

struct problems;
struct supervisor;

/* Called once: PROBLEMS is NULL when the new configuration serves, with all its workers up;
 * else nothing has changed, or echod stops, and its lines say why.  They are the caller's.
 * It must not call anything of this file. */
typedef void reload_done(void *arg, const struct problems *problems);

/* One who waits for a verdict. */
struct reload_waiter {
	struct reload_waiter *next;
	reload_done *done;
	void *arg;
	uint64_t since; /* ms: when the configuration was put in force; 0 = not yet */
};

/* What the supervisor knows of reloads. */
struct reload {
	bool wanted;
	char why[200]; /* the last one failed: its first problem; "" = it did not */
	struct reload_waiter *waiters;
};

/* Ask for a reload; DONE (which may be NULL) is called with ARG, perhaps before this
 * returns.  Several who ask at once get one reload.  Returns 0 or -ENOMEM: then DONE is not
 * called. */
int reload_request(struct supervisor *s, reload_done *done, void *arg);

/* ARG does not wait any more. */
void reload_forget(struct supervisor *s, const void *arg);

/* Is a reload wanted, and few enough of what older ones have replaced still there? */
bool reload_due(const struct supervisor *s);

/* Read the configuration anew and put it in force if it is right.  Returns whether it is in
 * force now; if it is not, all who waited have been told why. */
bool reload_now(struct supervisor *s, uint64_t now);

/* Everybody serves: tell those who wait for it. */
void reload_serves(struct supervisor *s);

/* Tell those that have waited for too long for the new workers, and, if echod is STOPPING,
 * everybody. */
void reload_expire(struct supervisor *s, uint64_t now, bool stopping);

#endif
