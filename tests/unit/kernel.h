/* SPDX-License-Identifier: ISC */
/* kernel.h - one connection and a kernel that answers it by script: its program is linked
 * with --wrap for recv, send, shutdown, close, setsockopt and ioctl. */
#ifndef TEST_KERNEL_H
#define TEST_KERNEL_H

#include "conf.h"
#include "conn.h"
#include "executor.h"
#include "slots.h"
#include "worker.h"

enum { FD = 1000, BUFFER = 65536 };

/* What the scripted kernel does and saw. */
struct kernel {
	const char *input;          /* bytes that the client sends */
	size_t in;                  /* how many are left */
	bool fin;                   /* and then its FIN */
	size_t chunk_in, chunk_out; /* the most per call */
	int recv_error, send_error; /* errno of the next call, once */
	bool blocked;               /* the client takes nothing */
	size_t out;
	int unacked;
	bool shut, closed, reset;
	char output[1 << 20]; /* the first OUT of them: no setup() clears it */
};

extern struct kernel k;
extern struct slots *slots;
extern struct stats stats;
extern struct service_conf service;
extern struct executor ex;
extern struct conn c;

/* cmocka's: a fresh connection with the default timeouts; and its end. */
int setup(void **state);
int teardown(void **state);

#endif
