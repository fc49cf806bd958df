/* SPDX-License-Identifier: ISC */
/* dgram_out.h - answers on their way: collected, then sent in as few calls as possible.
 * Neighbours of one size for one client leave as one (UDP_SEGMENT), which the network sees as
 * the same single datagrams. */
#ifndef ECHOD_DGRAM_OUT_H
#define ECHOD_DGRAM_OUT_H

#include "dgram_judge.h"

#include <stdbool.h>
#include <stddef.h>

struct iovec;
struct letter;
struct mmsghdr;

struct dgram_out {
	struct stats *stats;     /* what is sent, or cannot be, is counted there */
	enum counter answered;   /* as what */
	struct mmsghdr *headers; /* one for each of */
	struct letter *letters;  /* answers, or several for one client */
	struct iovec *pieces;    /* of memory that they consist of, in order */
	unsigned n, n_pieces;
	unsigned max;   /* of both */
	bool join;      /* neighbours at all */
	unsigned apart; /* bursts that go singly, since the kernel would not cut one */
};

/* Set up O for up to MAX answers at a time; JOIN: as one, where they can.  Returns 0 or
 * -ENOMEM. */
int dgram_out_init(struct dgram_out *o, struct stats *stats, unsigned max, bool join);

/* Free what O holds. */
void dgram_out_deinit(struct dgram_out *o);

/* Answer Q with the SIZE bytes at DATA by the socket FD.  Q and the bytes stay as they are
 * until dgram_out_send(); if there is no more room, that is called first. */
void dgram_out_add(struct dgram_out *o, int fd, const struct question *q, char *data, size_t size);

/* Send all by FD, without waiting.  What cannot be sent is dropped and counted, and the rest
 * goes on. */
void dgram_out_send(struct dgram_out *o, int fd);

#endif
