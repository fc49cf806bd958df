/* SPDX-License-Identifier: ISC */
/* acceptor.h - taking clients from a service's listeners, in every model: within the
 * connection limit, and without a spin when the system is out of something.
 *
 * An acceptor has an epoll(7) set with the leash, the bell (slots.h), the listeners and
 * what its user adds.  While it may not accept, the listeners are out of the set. */
#ifndef ECHOD_ACCEPTOR_H
#define ECHOD_ACCEPTOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct executor;

/* What an epoll event is about: the upper byte of its data.u64, the rest is the index. */
enum tag { TAG_CONN, TAG_LISTENER, TAG_LEASH, TAG_BELL, TAG_EXTRA };

static inline uint64_t tag_make(enum tag tag, uint64_t index)
{
	return (uint64_t)tag << 56 | index;
}

static inline enum tag tag_of(uint64_t data)
{
	return (enum tag)(data >> 56);
}

/* A client that was accepted; whoever has it owns both. */
struct client {
	int fd;        /* non-blocking */
	uint32_t slot; /* in the service's table */
};

struct acceptor {
	struct executor *executor;
	int ep;                /* -1: bare */
	bool armed;            /* the listeners are in the set */
	bool troubled;         /* the latest accept failed for lack of something */
	unsigned failures;     /* of accept in a row that were no lack of anything */
	uint64_t retry_at;     /* ms: when to look again although nothing rang; 0 = no need */
	_Atomic unsigned open; /* connections of this executor; a thread that serves one
			       * takes itself off */
	pid_t pid;             /* of this process: the owner of the slots that it claims */
	unsigned accepts;      /* clients to take at once */
	uint64_t waits;        /* of the engine, counted by it */
	uint64_t came_at;      /* the latest of them that brought clients */
	uint32_t hint;         /* where to look for a slot */
};

enum accepted { ACCEPT_CLIENT, ACCEPT_EXTRA, ACCEPT_STOP };

/* Set up A for EX: the listeners are armed.  Returns 0 or -errno. */
int acceptor_init(struct acceptor *a, struct executor *ex);

/* The same without a set, for an engine that watches by itself: the leash, the bell (and then
 * calls acceptor_resume() and takes from every listener), and the listeners while A is armed:
 * with EPOLLEXCLUSIVE if it is not troubled. */
void acceptor_init_bare(struct acceptor *a, struct executor *ex);

/* Close the set; the listeners stay as they are. */
void acceptor_deinit(struct acceptor *a);

/* Watch FD too: acceptor_wait() returns ACCEPT_EXTRA when it is readable. */
int acceptor_watch(struct acceptor *a, int fd);

/* Wait until listener *I has something (ACCEPT_CLIENT: nothing is taken yet), or for the
 * watched descriptor (ACCEPT_EXTRA), or until told to stop. */
enum accepted acceptor_ready(struct acceptor *a, size_t *i);

/* Take a client from listener I without waiting.  Returns true and *CLIENT; or false when
 * none is there, or none may be taken now. */
bool acceptor_take(struct acceptor *a, size_t i, struct client *client);

/* A listener has clients: call TAKEN(ARG, client) for some of them.  Returns how many. */
unsigned acceptor_take_some(struct acceptor *a, size_t i,
			    void (*taken)(void *arg, const struct client *client), void *arg);

/* Wait for a client, or for the watched descriptor.  ACCEPT_STOP: told to stop, and
 * nobody that we alone were woken for is left behind; at once if we were told before: whoever
 * waits then is our successor's. */
enum accepted acceptor_wait(struct acceptor *a, struct client *client);

/* The listeners are out of the set for good: take, without waiting, whom this executor alone may
 * have been woken for.  Returns true and *CLIENT, or false. */
bool acceptor_sweep(struct acceptor *a, struct client *client);

/* A connection of this executor is over. */
void acceptor_left(struct acceptor *a);

/* The bell rang, or retry_at has come: look at the listeners again. */
void acceptor_resume(struct acceptor *a);

/* What waits at a listener cannot be received for ERROR: look again in a tenth of a second. */
void acceptor_rest(struct acceptor *a, int error);

/* Take the listeners out of the set for good. */
void acceptor_disarm(struct acceptor *a);

#endif
