/* SPDX-License-Identifier: ISC */
/* dgram.h - the echo of datagrams: one in, the same one out, or silence. */
#ifndef ECHOD_DGRAM_H
#define ECHOD_DGRAM_H

#include "worker.h"

#include <stdbool.h>
#include <stddef.h>

struct executor;

/* What an executor needs to answer datagrams; embedded, set up once. */
struct dgram {
	struct executor *executor;
	struct ports refused;   /* source ports that are never answered */
	struct address *groups; /* multicast groups that are answered */
	size_t n_groups;
	char *buffer; /* for the largest datagram there is */
};

/* Set up D.  Returns 0 or -ENOMEM. */
int dgram_init(struct dgram *d, struct executor *ex);

/* Free what D holds. */
void dgram_deinit(struct dgram *d);

/* Answer up to MAX datagrams that wait at endpoint I, without waiting for more.  Returns
 * how many were received. */
size_t dgram_answer(struct dgram *d, size_t i, size_t max);

/* Told to stop: answer what has reached the sockets by now, in bounds. */
void dgram_finish(struct dgram *d);

#endif
