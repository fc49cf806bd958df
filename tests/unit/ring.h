/* SPDX-License-Identifier: ISC */
/* ring.h - one connection in a ring that completes by chance: its program is linked with
 * --wrap for the functions of uring.h, and with kernel.c. */
#ifndef TEST_RING_H
#define TEST_RING_H

#include "flow.h"
#include "kernel.h"

enum { BUFFERS = 64, SIZE = BUFFER / (2 * URING_BURST), QUEUE = 4 * BUFFERS };

struct completion {
	uint64_t tag;
	int res;
	uint32_t flags;
};

/* What the ring was asked for, and what it knows. */
struct ring {
	uint64_t receiving, polling; /* tags; 0: not */
	struct {
		uint64_t tag; /* of a send, or to cancel */
		const char *p;
		uint32_t n;
		bool send;
	} asked[QUEUE];
	unsigned n_asked;
	struct completion done[QUEUE];
	unsigned n_done;
	bool taken[BUFFERS]; /* by the flows */
	unsigned chance;     /* of 100: that something unusual happens */
	bool multishot;
	bool errors; /* a receive or a send may fail for good */
	char memory[BUFFERS][SIZE];
};

extern struct ring r;
extern struct flows flows;
extern struct acceptor acceptor;

/* A fresh connection; something unusual happens in CHANCE of 100 cases. */
void ring_begin(unsigned chance, bool multishot);

/* One io_uring_enter(2), and a look at what came of it. */
void ring_enter(void);

/* Nothing is under way or lost any more. */
void ring_end(void);

#endif
