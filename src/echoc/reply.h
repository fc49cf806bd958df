/* SPDX-License-Identifier: ISC */
/* reply.h - what comes to a datagram socket: answers, and ICMP errors with what they are
 * about.  The socket is not connected, so that an answer from a wrong address is seen. */
#ifndef ECHOC_REPLY_H
#define ECHOC_REPLY_H

#include "address.h"

#include <stddef.h>
#include <stdint.h>

enum { REPLY_MAX = 65536 /* no datagram is longer */ };

struct reply {
	size_t size;           /* bytes of the datagram, or of what the error is about */
	struct address from;   /* who sent it; of an error: who complains, len 0 = this host */
	int64_t when;          /* ns, when it was read */
	int ttl;               /* as it arrived; -1 unknown */
	int error;             /* -errno of an error; 0 for an answer */
	uint32_t mtu;          /* of -EMSGSIZE: what the path takes; 0 unknown */
	const char *complaint; /* of an error: "ICMP port unreachable" */
};

/* Who complains about what, for people: "ICMP port unreachable from 192.0.2.1". */
const char *reply_complaint(const struct reply *r, char *buf, size_t size);

/* Ask for the TTL of what arrives. */
void reply_prepare(int fd, int family);

/* Send one datagram; errors of earlier ones do not count.  Returns 0 or -errno. */
int reply_send(int fd, const void *data, size_t size, const struct address *to);

/* Take one from FD without waiting.  DATA has room for REPLY_MAX bytes.  Returns 1; 0 if
 * there is none; or -errno. */
int reply_take(int fd, void *data, struct reply *out);

/* The same, but wait until DEADLINE; 0 at the deadline, -EINTR at a signal. */
int reply_wait(int fd, void *data, struct reply *out, int64_t deadline);

#endif
