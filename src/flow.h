/* SPDX-License-Identifier: ISC */
/* flow.h - the connections of one executor that has a ring: what is asked of it for each, and
 * what follows from a completion. */
#ifndef ECHOD_FLOW_H
#define ECHOD_FLOW_H

#include "pool.h"
#include "timer.h"
#include "uring.h"

struct acceptor;
struct client;
struct executor;

struct flows {
	struct executor *ex;
	struct uring *uring;
	struct acceptor *acceptor; /* is told who has left */
	struct pool pool;
	struct wheel wheel;
	uint16_t next_plus1[URING_BUFFERS]; /* after a buffer in the queue of its connection */
	uint32_t length[URING_BUFFERS];     /* bytes in a buffer of such a queue */
};

/* What a completion is about: the upper byte of its 64 bits. */
enum flow_tag { FLOW_NOTHING, FLOW_RECEIVE, FLOW_SEND, FLOW_POLL, FLOW_TAGS };

/* Serve CLIENT, which becomes F's; F is a struct flows. */
void flow_open(void *f, const struct client *client);

/* What was asked for with TAG (FLOW_RECEIVE, FLOW_SEND, FLOW_POLL) has the result RES and the
 * FLAGS of a completion. */
void flow_complete(struct flows *f, uint64_t tag, int res, uint32_t flags);

/* A timer of F's wheel fires; ARG is F. */
void flow_timer(struct timer *t, void *arg);

/* Told to drain: the deadlines have changed. */
void flow_drain(struct flows *f);

/* End all connections at once and free the memory; after the ring. */
void flow_deinit(struct flows *f);

#endif
