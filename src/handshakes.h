/* SPDX-License-Identifier: ISC */
/* handshakes.h - who has lately completed a handshake of TCP with this daemon, and so is not
 * forged: for udp.require_tcp_first.  One table for all services, in memory that processes
 * share; when it is full, those go whose handshake is longest ago. */
#ifndef ECHOD_HANDSHAKES_H
#define ECHOD_HANDSHAKES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { HANDSHAKES_KEPT = 600 /* seconds that one is remembered */ };

struct handshakes;

/* Bytes of shared memory for the table, a multiple of 64; at a multiple of 64 bytes and
 * zeroed it is ready for use. */
size_t handshakes_size(void);

/* The source with HASH has completed one; NOW is CLOCK_MONOTONIC in ms. */
void handshakes_add(struct handshakes *h, uint64_t hash, uint64_t now);

/* Has it, within the last HANDSHAKES_KEPT seconds?  Of sources that have not, one in 2^29 may
 * be taken for another that has. */
bool handshakes_have(const struct handshakes *h, uint64_t hash, uint64_t now);

#endif
