/* SPDX-License-Identifier: ISC */
/* dgram.h - the echo of datagrams: one in, the same one out, or silence. */
#ifndef ECHOD_DGRAM_H
#define ECHOD_DGRAM_H

#include "dgram_judge.h"
#include "dgram_out.h"

#include <stddef.h>

struct executor;
struct mmsghdr;
struct place;
struct responder;

/* What an executor needs to answer datagrams; embedded, set up once. */
struct dgram {
	struct executor *executor;
	struct dgram_judge judge;
	struct dgram_out out;
	const struct responder *responder;
	const struct address *local; /* of the endpoint that is read */
	size_t control;              /* bytes for what the kernel tells of a datagram */
	struct mmsghdr *headers;     /* a header and a place for each datagram of a batch, */
	struct place *places;
	char *memory;   /* and there for the largest that there is; pages that none has used */
	unsigned batch; /* cost nothing */
	unsigned limit; /* how many are received at once now */
	int error;      /* errno: nothing could be received; 0: it could, or nothing waited */
};

/* Set up D.  Returns 0 or -errno. */
int dgram_init(struct dgram *d, struct executor *ex);

/* Free what D holds. */
void dgram_deinit(struct dgram *d);

/* Answer what waits at endpoint I, until MAX datagrams or somewhat more were received, without
 * waiting for more.  Returns how many were received; less than MAX: no more waited. */
size_t dgram_answer(struct dgram *d, size_t i, size_t max);

/* Told to stop: answer what has reached the sockets by now, in bounds. */
void dgram_finish(struct dgram *d);

#endif
