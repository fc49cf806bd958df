/* SPDX-License-Identifier: ISC */
/* dgram_control.h - control messages of datagrams, cmsg(3): where one was sent to, from where
 * its answer is to leave, and how many have come or are to go as one. */
#ifndef ECHOD_DGRAM_CONTROL_H
#define ECHOD_DGRAM_CONTROL_H

#include "dgram_judge.h"

#include <netinet/in.h>
#include <sys/socket.h>

/* Room for what the kernel may tell of a datagram: addresses, GRO, and what else is asked for,
 * TOS and TTL, timestamps; and for what we tell it of an answer. */
enum {
	DGRAM_CONTROL_IN = CMSG_SPACE(sizeof(struct in_pktinfo)) +
			   CMSG_SPACE(sizeof(struct in6_pktinfo)) + CMSG_SPACE(sizeof(int)) + 256,
	DGRAM_CONTROL_OUT = CMSG_SPACE(sizeof(struct in6_pktinfo)) + CMSG_SPACE(sizeof(uint16_t))
};

/* Fill in of Q (whose .from is there) what the control messages of MSG say.  Returns the size
 * in bytes of the datagrams that the kernel has joined in it, the last of which may be
 * shorter (UDP_GRO, udp(7)); 0: it is a single one. */
size_t dgram_control_read(struct msghdr *msg, struct question *q);

/* Write into MSG, which has room for DGRAM_CONTROL_OUT bytes, from where the answer to Q is to
 * leave; and, unless SEGMENT is 0, that it is to be cut into datagrams of SEGMENT bytes
 * (UDP_SEGMENT).  Sets msg_control and msg_controllen. */
void dgram_control_write(const struct question *q, uint16_t segment, struct msghdr *msg);

#endif
