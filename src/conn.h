/* SPDX-License-Identifier: ISC */
/* conn.h - one connection: its socket, what it still has to send, its deadlines, its end.
 * An engine waits for what a connection wants and then lets it take a step; or it receives
 * and sends by itself, and tells the connection. */
#ifndef ECHOD_CONN_H
#define ECHOD_CONN_H

#include "echo.h"
#include "proxy.h"
#include "stats.h"

#include <stdbool.h>
#include <stdint.h>

struct client;
struct executor;

enum conn_want { CONN_READ, CONN_WRITE, CONN_CLOSED };

/* The header of the PROXY protocol of one connection: while a part of it is missing, or where
 * it is to be told of later. */
struct conn_header {
	struct proxy_header header; /* once it is complete */
	uint32_t n;                 /* bytes that have come of it */
	char bytes[PROXY_MAX];
};

struct conn {
	int fd;
	uint32_t slot;    /* in the service's table */
	struct echo echo; /* what is pending, whether more is read */
	uint32_t sent;    /* bytes of held that are sent; the pending ones follow */
	uint32_t unacked; /* while lingering: bytes that the peer had yet to take, last time */
	char *held;       /* memory with pending bytes, only while there are any */
	uint64_t since;   /* ms, when it was accepted */
	uint64_t active;  /* ms, when bytes last moved, either way */
	uint16_t stalls;  /* while lingering: how often in a row unacked had not shrunk */
	uint8_t reason;   /* enum counter C_CLOSED_*: why it ends */
	bool lingering;   /* our FIN is out; wait for the client's */
	bool whole;       /* held is of the service's buffer size, as the scratch buffer is */
	bool header_due;  /* what comes first is a PROXY header, and not all of it has come */
	struct conn_header *header; /* mostly NULL */
};

/* Begin to serve CLIENT, which becomes C's. */
void conn_open(struct conn *c, const struct executor *ex, const struct client *client);

/* The socket is ready for what C wants, or failed: receive and send what goes without
 * waiting.  Returns what to wait for next; after CONN_CLOSED, C is no more. */
enum conn_want conn_step(struct conn *c, struct executor *ex);

/* An engine whose system calls complete by themselves tells C what they did, in the order in
 * which they did it.
 *
 * *N bytes, more than 0, were received at *P.  They are counted, and *P and *N become what
 * goes out for them, which is pending from now on: the same bytes, or others in memory that
 * is good until the next call, or none (*N 0; an answer may be held all the same).  All that
 * any client sends passes here, once.  Returns 0, or -errno: C has failed. */
int conn_received(struct conn *c, struct executor *ex, char **p, uint32_t *n);

/* The client's FIN was received. */
void conn_received_fin(struct conn *c, struct executor *ex);

/* N of the pending bytes were sent. */
void conn_sent(struct conn *c, struct executor *ex, uint32_t n);

/* Copy the last N of the pending bytes, at P, behind those that are held: conn_step() sends
 * them.  Not after it has begun to.  Returns 0 or -ENOMEM. */
int conn_hold(struct conn *c, const char *p, uint32_t n);

/* What is next after that, if its outcome was ERROR: 0, or -errno, which ends C.  Returns as
 * conn_step(). */
enum conn_want conn_next(struct conn *c, struct executor *ex, int error);

/* When conn_expire() must be called, if nothing happens before: ms, UINT64_MAX = never. */
uint64_t conn_deadline(const struct conn *c, const struct executor *ex);

/* See whether a deadline of C has come, and act on it.  Returns as conn_step(). */
enum conn_want conn_expire(struct conn *c, struct executor *ex);

/* Read no more, and end C when what is pending is out; REASON (C_CLOSED_*) is why. */
enum conn_want conn_end(struct conn *c, struct executor *ex, enum counter reason);

/* End C at once and count it under REASON (C_CLOSED_*). */
enum conn_want conn_close(struct conn *c, struct executor *ex, enum counter reason);

/* The same, such that the kernel forgets at once what it holds for a client that takes nothing. */
enum conn_want conn_reset(struct conn *c, struct executor *ex, enum counter reason);

/* conn_proxy.c: the header of the PROXY protocol while header_due.  Take what belongs to it
 * off the *N bytes at *P that were received.  Returns 0; -EBADMSG if it is none, which is
 * logged, and C's reason says it; or -ENOMEM. */
int conn_proxy_take(struct conn *c, struct executor *ex, char **p, uint32_t *n);

/* The peer's FIN came although the header is due. */
void conn_proxy_fin(struct conn *c, const struct executor *ex);

/* Log that the peer is refused, and WHY. */
void conn_proxy_refused(const struct conn *c, const struct executor *ex, const char *why);

#endif
