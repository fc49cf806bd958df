/* SPDX-License-Identifier: ISC */
/* conn.h - one connection: its socket, what it still has to send, its deadlines, its end.
 * An engine waits for what a connection wants and then lets it take a step. */
#ifndef ECHOD_CONN_H
#define ECHOD_CONN_H

#include "echo.h"
#include "stats.h"

#include <stdbool.h>
#include <stdint.h>

struct client;
struct executor;

enum conn_want { CONN_READ, CONN_WRITE, CONN_CLOSED };

struct conn {
	int fd;
	uint32_t slot;    /* in the service's table */
	struct echo echo; /* what is pending, whether more is read */
	uint32_t sent;    /* bytes of held that are sent; the pending ones follow */
	char *held;       /* memory with pending bytes, only while there are any */
	uint64_t since;   /* ms, when it was accepted */
	uint64_t active;  /* ms, when bytes last moved, either way */
	uint32_t unacked; /* while lingering: bytes that the peer had yet to take, last time */
	uint16_t stalls;  /* while lingering: how often in a row that had not shrunk */
	uint8_t reason;   /* enum counter C_CLOSED_*: why it ends */
	bool lingering;   /* our FIN is out; wait for the client's */
};

/* Begin to serve CLIENT, which becomes C's. */
void conn_open(struct conn *c, const struct executor *ex, const struct client *client);

/* The socket is ready for what C wants, or failed: receive and send what goes without
 * waiting.  Returns what to wait for next; after CONN_CLOSED, C is no more. */
enum conn_want conn_step(struct conn *c, struct executor *ex);

/* When conn_expire() must be called, if nothing happens before: ms, UINT64_MAX = never. */
uint64_t conn_deadline(const struct conn *c, const struct executor *ex);

/* See whether a deadline of C has come, and act on it.  Returns as conn_step(). */
enum conn_want conn_expire(struct conn *c, struct executor *ex);

/* End C at once and count it under REASON (C_CLOSED_*). */
enum conn_want conn_close(struct conn *c, struct executor *ex, enum counter reason);

#endif
