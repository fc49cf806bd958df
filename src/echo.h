/* SPDX-License-Identifier: ISC */
/* echo.h - what the echo of one stream has to do next.  Pure: no system calls, no memory of
 * its own; it is told what the kernel did.
 *
 * RFC 862 over TCP: what comes in goes out, in order, until the client ends its side; then
 * the rest goes out, and then our side ends.  Nothing is read while anything waits to be
 * sent, so one bounded buffer is the most that a connection holds. */
#ifndef ECHOD_ECHO_H
#define ECHOD_ECHO_H

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>

enum echo_want {
	ECHO_READ,  /* bytes from the client */
	ECHO_WRITE, /* to send what is pending */
	ECHO_FINISH /* all is sent and no more will come: end our side */
};

struct echo {
	uint32_t pending; /* bytes to send that are not sent yet */
	bool ended;       /* no more will be read: the client's FIN, or our own decision */
};

/* What is next? */
static inline enum echo_want echo_wants(const struct echo *e)
{
	if (e->pending > 0)
		return ECHO_WRITE;
	return e->ended ? ECHO_FINISH : ECHO_READ;
}

/* Bytes were received for which N are to be sent; for an echo, as many. */
static inline void echo_received(struct echo *e, uint32_t n)
{
	assert(!e->ended);
	e->pending += n;
}

/* N of the pending bytes were sent. */
static inline void echo_sent(struct echo *e, uint32_t n)
{
	assert(n <= e->pending);
	e->pending -= n;
}

/* The client's FIN came, or we read no more: what is pending still goes out. */
static inline void echo_end(struct echo *e)
{
	e->ended = true;
}

#endif
