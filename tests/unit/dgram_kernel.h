/* SPDX-License-Identifier: ISC */
/* dgram_kernel.h - a kernel of datagrams that answers by script: its program is linked with
 * --wrap for recvmmsg, sendmmsg and sendmsg. */
#ifndef TEST_DGRAM_KERNEL_H
#define TEST_DGRAM_KERNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { FD = 1000, ROOM = 2000 };

/* What comes in: N datagrams of SIZE bytes joined, or one if SEGMENT is 0. */
struct arrival {
	uint16_t port; /* of the client */
	size_t size;   /* bytes of all */
	int segment;   /* what UDP_GRO says; 0 = nothing */
	bool truncated;
	char text;   /* that it consists of */
	bool to_all; /* by broadcast */
};

/* What went out, datagram by datagram. */
struct departure {
	uint16_t port;
	size_t size;
	char text;
};

/* What the scripted kernel does and saw. */
struct dgram_kernel {
	struct arrival in[ROOM];
	unsigned n_in, at, asked; /* in .in; the most that was asked for */
	struct departure out[ROOM];
	unsigned n_out;
	unsigned calls, bursts; /* of sendmmsg; messages with UDP_SEGMENT */
	char bad;               /* datagrams of this text fail with .error, once each */
	int error, burst_error; /* and bursts with .burst_error */
	int receive_errors, send_interrupts;
};

extern struct dgram_kernel k;

#endif
